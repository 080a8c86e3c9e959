//! Taking one organisation out at the end of its contract (Art. 28(3)(g) GDPR, R-80).
//!
//! An organisation that is in no configuration any more enters, with a person who wants it gone and why; zero rows of it in any
//! table that names organisations come out, or a sentence that says what stands in the way. What goes: cases with all evidence,
//! packages with their files, the suppression list, the ledger in the database and in the files of this machine, sweeps,
//! alerts, schedules, and what ties entries of the audit log to people. The entries themselves stay: they name nobody, and whoever
//! audits the service needs them.
//!
//! Invariants:
//! - Nothing goes while a person still waits for something: an open request, a notice that did not arrive, a row of a producer, a
//!   hold, a breach. The database refuses the deletion of open requests besides.
//! - Bounded transactions, each of which leaves a state from which the next run goes on: a process that dies is followed by the
//!   same command. Both ends stand in the log (`organisation.removal_began`, `organisation.removed`).
//! - "Removed" is written in the transaction that read back that no table holds a row of it.
//! - A mail to staff whose sender was cut off has its end in the log before its row goes: nobody takes it up again.
//! - Salts and tags younger than twelve months stay, because the log gives them to nobody (`audit::forget`). Until then the
//!   organisation stays registered, so that [`Upkeep::run`] forgets them, and the removal is not said to be done.
//! - On a further machine with a ledger of its own, where the organisation is registered no more, the lines of its files go all the
//!   same, if the log tells of the removal: where a restore has lost the registration they are all that is left, and stay.
//!
//! A table that a later migration adds needs nothing here: the catalogue of the database tells which tables there are.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Terms, Upkeep, sql};
use crate::alert;
use crate::audit::forget as log;
use crate::audit::{self, Action, Actor, Detail, Event, Filter};
use crate::delivery::{self, DeliveryError};
use crate::domain::OrganisationId;
use crate::intake;
use crate::store::StoreError;
use crate::suppression::ledger::{Ledger, LedgerError};

/// So many rows go in one transaction.
const ROWS: i32 = 1000;
/// Later than anything that an organisation still plans.
const FAR: TimeDelta = TimeDelta::days(3660);

/// How many rows of an organisation one table holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The table, with its schema.
    pub table: String,
    /// How many.
    pub rows: i64,
}

/// What stands in the way of a removal, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InTheWay {
    /// Requests that are not closed.
    pub open_requests: i64,
    /// Holds in force.
    pub holds: i64,
    /// Erasures that waited for a hold and have not followed yet.
    pub postponed_erasures: i64,
    /// Withdrawals of consent from which something is still to follow.
    pub follow_ups: i64,
    /// Breaches that are not ended.
    pub incidents: i64,
    /// Notices that wait, came back or were refused, and were not made good.
    pub untold: i64,
    /// Recipients of data that are not told yet of what was done about it.
    pub recipients_untold: i64,
    /// Rows that producers handed in and that did not become a request.
    pub rows_of_producers: i64,
}

impl InTheWay {
    /// The first thing in the way, with its remedy; nothing where there is none.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let said = [
            (
                self.open_requests,
                "requests are open: answer them first (put the organisation back into the configuration, dsrd request list)",
            ),
            (
                self.rows_of_producers,
                "rows of producers did not become a request: hand them in or discard them (put the organisation back into the \
                 configuration, dsrd request parked list)",
            ),
            (
                self.holds,
                "holds stand: lift them first (put the organisation back into the configuration, dsrd hold lift)",
            ),
            (
                self.postponed_erasures,
                "erasures that waited for a hold have not followed: let a daemon with the organisation in its configuration carry them out",
            ),
            (
                self.follow_ups,
                "consents were withdrawn whose data is still to be erased: let a daemon with the organisation in its configuration \
                 hand the erasures in when they are due and carry them out",
            ),
            (
                self.incidents,
                "breaches are not ended: end them first (put the organisation back into the configuration, dsrd decide incidents)",
            ),
            (
                self.untold,
                "notices wait or came back, so that somebody was not told: tell them first (put the organisation back into the \
                 configuration, dsrd request bounced, dsrd request informed)",
            ),
            (
                self.recipients_untold,
                "recipients of data are not told yet: tell them first (put the organisation back into the configuration, \
                 dsrd recipient list)",
            ),
        ];
        said.into_iter().find(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"))
    }
}

/// Why an organisation is removed. The words stand in the log: never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalReason {
    /// The contract with the controller ended.
    ContractEnded,
    /// Another service serves it now.
    MovedAway,
    /// It was set up by mistake or for a trial.
    Trial,
}

impl RemovalReason {
    /// The word as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ContractEnded => "contract_ended",
            Self::MovedAway => "moved_away",
            Self::Trial => "trial",
        }
    }
}

/// How a removal ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum Removed {
    /// No table holds a row of it.
    Done,
    /// All is gone except what the log keeps until then; the same command ends it.
    Waits {
        /// When the log gives the last of it to be erased.
        until: DateTime<Utc>,
    },
    /// It was removed before, and the files of the ledger on this machine still had lines of it.
    Before {
        /// How many, blanked now.
        ledger_lines: u64,
    },
    /// Something came in between, or is held by another process; the same command goes on.
    Left {
        /// Where rows are left.
        tables: Vec<Left>,
    },
}

/// Why an organisation was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// This database does not know it.
    #[error("no organisation {0} is registered in this database")]
    NotFound(OrganisationId),
    /// Somebody waits for something.
    #[error("the organisation is not removed: {0}")]
    InTheWay(String),
    /// A hold on the log keeps everything.
    #[error("the organisation is not removed: the audit log is held; lift that first (dsrd audit hold list)")]
    LogHeld,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A package could not be destroyed.
    #[error(transparent)]
    Packages(#[from] DeliveryError),
    /// The files of the ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Takes organisations out.
#[derive(Debug)]
pub struct Removal {
    /// Forgets the cases.
    pub upkeep: Upkeep,
    /// Where the packages lie.
    pub packages: PathBuf,
    /// The ledger outside of the database.
    pub ledger: Ledger,
}

impl Removal {
    /// What each table holds of an organisation, and what stands in the way of removing it. Changes nothing.
    pub async fn look(&self, organisation: &OrganisationId) -> Result<(Vec<Left>, InTheWay), RemovalError> {
        let mut connection = self.upkeep.store.connection().await?;
        let known = intake::registered_organisations(&mut connection).await?;
        if !known.contains(organisation) {
            return Err(RemovalError::NotFound(organisation.clone()));
        }
        let left = sql::count_rows(&mut connection, organisation).await?;
        let in_the_way = sql::in_the_way(&mut connection, organisation).await?;
        Ok((left, in_the_way))
    }

    /// Removes an organisation, or goes on where an earlier call ended. The caller knows that no configuration names it.
    pub async fn remove(
        &self,
        organisation: &OrganisationId,
        reason: RemovalReason,
        actor: &Actor,
    ) -> Result<Removed, RemovalError> {
        let store = &self.upkeep.store;
        let (_, in_the_way) = match self.look(organisation).await {
            Err(RemovalError::NotFound(_)) => return self.blank_here(organisation).await,
            looked => looked?,
        };
        if let Some(sentence) = in_the_way.sentence() {
            return Err(RemovalError::InTheWay(sentence));
        }
        let mut tx = store.begin("removal.begin").await?;
        if log::is_held(&mut tx).await? {
            return Err(RemovalError::LogHeld);
        }
        let now = self.upkeep.desk.clock.now();
        let began = Event::general(organisation, Action::OrganisationRemovalBegan, actor.clone(), now);
        audit::append(&mut tx, began.with(Detail::none().word("reason", reason.as_str()))).await?;
        tx.commit().await?;

        delivery::destroy_of(store, &self.packages, organisation, now).await?;
        let far = now + FAR;
        let rule = log::Rule::OrganisationRemoved;
        let terms = Terms { now, identifiers: far, contact_ids: far, evidence: far, leftovers: far, rule };
        while !self.upkeep.forget_batch(organisation, terms, actor).await?.is_nothing() {}
        self.ledger.blank(organisation).await?;
        let mut tx = store.begin("removal.end_mails").await?;
        alert::end_abandoned(&mut tx, organisation, actor, now).await?;
        tx.commit().await?;
        self.remove_rest(organisation).await?;
        self.read_back(organisation, reason, actor).await
    }

    /// Blanks what the files of this machine have of an organisation that was removed with a command on another one.
    async fn blank_here(&self, organisation: &OrganisationId) -> Result<Removed, RemovalError> {
        let action = Action::OrganisationRemoved.as_str().to_owned();
        let filter =
            Filter { organisation: Some(organisation.clone()), action: Some(action), ..Filter::default() };
        let told = audit::list(&mut *self.upkeep.store.connection().await?, &filter, 0, 1).await?;
        let ledger_lines = if told.is_empty() { 0 } else { self.ledger.blank(organisation).await? };
        match ledger_lines {
            0 => Err(RemovalError::NotFound(organisation.clone())),
            ledger_lines => Ok(Removed::Before { ledger_lines }),
        }
    }

    /// Deletes what no request refers to, table after table: those to which others refer come later.
    async fn remove_rest(&self, organisation: &OrganisationId) -> Result<(), RemovalError> {
        const ORGANISATION: &str = "dsrd.organisation";
        let store = &self.upkeep.store;
        loop {
            let left = sql::count_rows(&mut *store.connection().await?, organisation).await?;
            let mut gone = 0;
            for Left { table, .. } in left.iter().filter(|each| each.table != ORGANISATION) {
                let mut tx = store.begin("removal.remove_rows").await?;
                gone += sql::remove_rows(&mut tx, organisation, table, ROWS).await?;
                tx.commit().await?;
            }
            if gone == 0 {
                return Ok(());
            }
        }
    }

    /// Deletes the organisation itself where nothing else of it is left, and says so in the transaction that saw it.
    async fn read_back(
        &self,
        organisation: &OrganisationId,
        reason: RemovalReason,
        actor: &Actor,
    ) -> Result<Removed, RemovalError> {
        let mut tx = self.upkeep.store.begin("removal.read_back").await?;
        let left = sql::count_rows(&mut tx, organisation).await?;
        let others: Vec<&str> = left
            .iter()
            .map(|each| each.table.as_str())
            .filter(|table| *table != "dsrd.organisation")
            .collect();
        if others == ["audit_private.subject"]
            && let Some(until) = sql::tied_until(&mut tx, organisation).await?
        {
            return Ok(Removed::Waits { until });
        }
        if others.is_empty() {
            sql::remove_rows(&mut tx, organisation, "dsrd.organisation", ROWS).await?;
        }
        let left = sql::count_rows(&mut tx, organisation).await?;
        if !left.is_empty() {
            return Ok(Removed::Left { tables: left });
        }
        let now = self.upkeep.desk.clock.now();
        let removed = Event::general(organisation, Action::OrganisationRemoved, actor.clone(), now);
        audit::append(&mut tx, removed.with(Detail::none().word("reason", reason.as_str()))).await?;
        tx.commit().await?;
        Ok(Removed::Done)
    }
}
