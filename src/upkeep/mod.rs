//! The service forgets, too: each of its own tables loses what it no longer needs, on its term.
//!
//! [`Upkeep::run`] goes through the closed requests of every organisation that this database ever served, whether it is
//! still configured or not, and through the remains of retention sweeps. It reads nothing from outside and calls nobody.
//! Three terms, counted from the closing of a request:
//!
//! | Term | What goes | Why not earlier |
//! |---|---|---|
//! | `identifiers_days` | the encrypted identifiers, the secrets and words of notices that were never sent | questions and complaints about the answer |
//! | `contact_ids_days` | the platform's id of the contact, the checkpoints that name it, the candidates of sweeps, the looks whether it lasted, the salts of their items in the audit log, what recipients were told of | a restored backup of the platform may need the deletion again |
//! | `evidence_months` | the case with its notices, packages, proofs of identity, pseudonyms and job, and the salts and tags by which the log is asked for the person | limitation of claims and fines; counts and dates only, no identifier |
//!
//! The entries of the log go by `log_months` after they were sealed ([`audit::forget`]): announced by one run, dropped by a
//! later one, when the announcement is sealed and published. While somebody holds the log nothing of it goes. Encrypted package files are destroyed by
//! [`delivery::destroy_expired`] at their expiry, long before.
//!
//! Invariants:
//! - An open request loses nothing: each statement asks for `closed`, and the database refuses the rest by constraint
//!   and trigger.
//! - A closed request whose last notice is still under way keeps its identifiers until that has ended.
//! - While a restriction stands, the request that it answers keeps everything: whoever ends it has to tell the person and the
//!   recipients (Art. 18(3), 19 GDPR). While an erasure waits for a hold, its case stays: the rest follows on its proof.
//! - Small transactions: a batch each, rows that somebody else holds are left for the next time. Several daemons may do
//!   this at once.
//! - A producer's row that could not become a request has no term: it is somebody's request, and waits for a person who hands it in
//!   or removes it (`dsrd request parked`).
//! - What was forgotten is counted in the audit log (`upkeep.forgot`), in the transaction that forgot it.
//!
//! [`Removal`] does the same for one organisation at the end of its contract, with every term at its end, and goes on until no
//! table holds a row of it.
//!
//! To add a table: give its owner a `purge` or `forget` function in its `sql.rs`, call it here, grant the right in a
//! migration, and let the test over all tables (`tests/service/upkeep.rs`) show that nothing of the person is left.

mod removal;
mod sql;

pub use removal::{InTheWay, Left, Removal, RemovalError, RemovalReason, Removed};

use chrono::{DateTime, Months, NaiveTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::forget::{self as log, Erasing, LOWEST_LOG_MONTHS, Rule};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{OrganisationId, RequestId};
use crate::intake::{self, Desk};
use crate::store::{Store, StoreError, Tx};
use crate::suppression::watch;
use crate::{alert, delivery, execution, holds, identity, queue, recipients, retention, self_test, triage};

/// How many requests one transaction takes up.
const BATCH: i64 = 500;

/// When the service's own copies are forgotten.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Days after the closing of a request until its identifiers are emptied.
    pub identifiers_days: u32,
    /// Days after the closing of a request until the platform's id of the contact goes: the age of your oldest backup of
    /// the platform, and 30 days.
    pub contact_ids_days: u32,
    /// Months after the closing of a request until the case itself goes.
    pub evidence_months: u32,
    /// Months after the sealing of an entry until it is pruned from the audit log; at least 24, and better not fewer than
    /// `evidence_months`.
    pub log_months: u32,
}

impl Settings {
    /// What is wrong with the terms, in a sentence; nothing when they fit each other.
    #[must_use]
    pub fn refused(&self) -> Option<&'static str> {
        if self.identifiers_days > self.contact_ids_days {
            return Some("upkeep.contact_ids_days must not be less than upkeep.identifiers_days");
        }
        if u64::from(self.evidence_months) * 28 < u64::from(self.contact_ids_days) {
            return Some("upkeep.evidence_months must not end before upkeep.contact_ids_days");
        }
        if !(LOWEST_LOG_MONTHS..=240).contains(&self.log_months) {
            return Some(
                "upkeep.log_months must be from 24 to 240: the laws of some countries ask for 24 months of records",
            );
        }
        (!(12..=120).contains(&self.evidence_months)).then_some(
            "upkeep.evidence_months must be from 12 to 120: without evidence no answer can be proved, and without end it is \
             kept for no purpose",
        )
    }
}

/// What one run forgot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Requests whose identifiers were emptied.
    pub identifiers_of: u64,
    /// Requests that do not name their contact any more.
    pub contacts_of: u64,
    /// Cases that were deleted.
    pub requests: u64,
    /// Candidates of sweeps for which no request was made.
    pub candidates: u64,
    /// Items on pages of sweeps in the audit log of which nobody can show any more whom they were about.
    pub page_items: u64,
    /// Sweeps whose last trace was deleted.
    pub sweeps: u64,
    /// Holds that ended long ago.
    pub holds: u64,
    /// Processes that ended long ago.
    pub instances: u64,
    /// Cases whose entries cannot be tied to a person any more.
    pub unlinked: u64,
    /// Entries of the audit log that were announced to be pruned by a later run.
    pub announced: u64,
    /// Entries of the audit log that were pruned.
    pub pruned: u64,
}

impl Forgotten {
    /// Whether there was nothing to forget.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, other: Self) {
        self.identifiers_of += other.identifiers_of;
        self.contacts_of += other.contacts_of;
        self.requests += other.requests;
        self.candidates += other.candidates;
        self.page_items += other.page_items;
        self.sweeps += other.sweeps;
        self.holds += other.holds;
        self.instances += other.instances;
        self.unlinked += other.unlinked;
        self.announced += other.announced;
        self.pruned += other.pruned;
    }
}

/// The terms as instants.
#[derive(Clone, Copy, Debug)]
struct Terms {
    now: DateTime<Utc>,
    identifiers: DateTime<Utc>,
    contact_ids: DateTime<Utc>,
    evidence: DateTime<Utc>,
    /// Salts and tags that were kept beyond their case, because the log was held or the term was shortened.
    leftovers: DateTime<Utc>,
    /// Why salts and tags go; stands in their entries.
    rule: Rule,
}

/// Months after which what ties entries to a person goes even if its case has not taken it along, beyond the term of
/// evidence: no request is open for so long.
const LEFTOVER_MONTHS: u32 = 6;

/// Forgets what is past its term.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// The database.
    pub store: Store,
    /// The clock; the keys are not used.
    pub desk: Desk,
    /// The terms.
    pub settings: Settings,
}

impl Upkeep {
    /// Forgets everything that is past its term now, and tells how much that was. What fails for one organisation keeps nothing
    /// else from being forgotten.
    ///
    /// # Errors
    /// The first failure, after everything else was forgotten. Those of organisations are told in the log.
    pub async fn run(&self, actor: &Actor) -> Result<Forgotten, StoreError> {
        let now = self.desk.clock.now();
        let days = |days: u32| now - TimeDelta::days(days.into());
        // A period of months ends with its last day, and what is kept goes on the day after it. The days are
        // those of UTC: a database may hold organisations of many zones, and some that are configured no more.
        let today = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        let months = |months: u32| today.checked_sub_months(Months::new(months)).unwrap_or(now);
        let terms = Terms {
            now,
            identifiers: days(self.settings.identifiers_days),
            contact_ids: days(self.settings.contact_ids_days),
            evidence: months(self.settings.evidence_months),
            // Counted from the instant at which it may be erased at the earliest, a year after the request.
            leftovers: months((self.settings.evidence_months + LEFTOVER_MONTHS).saturating_sub(12)),
            rule: Rule::EvidenceTerm,
        };
        let mut total = Forgotten::default();
        let mut failed = None;
        let organisations = intake::registered_organisations(&mut *self.store.connection().await?).await?;
        for organisation in organisations {
            loop {
                match self.forget_batch(&organisation, terms, actor).await {
                    Ok(forgotten) if forgotten.is_nothing() => break,
                    Ok(forgotten) => total.add(forgotten),
                    Err(error) => {
                        tracing::warn!(%organisation, %error, "copies of an organisation past their term could not be forgotten in full");
                        failed.get_or_insert(error);
                        break;
                    }
                }
            }
        }
        let mut connection = self.store.connection().await?;
        total.instances = queue::purge_instances(&mut connection, self.settings.contact_ids_days).await?;
        drop(connection);
        self.prune_log(&mut total, actor).await?;
        failed.map_or(Ok(total), Err)
    }

    /// Drops what earlier runs announced, and announces what is past its term now.
    async fn prune_log(&self, total: &mut Forgotten, actor: &Actor) -> Result<(), StoreError> {
        let mut tx = self.store.begin("upkeep.cut_partition").await?;
        log::cut_partition(&mut tx).await?;
        tx.commit().await?;

        let mut tx = self.store.begin("upkeep.prune").await?;
        if log::is_held(&mut tx).await? {
            return Ok(());
        }
        let months = self.settings.log_months;
        total.pruned = log::prune_announced(&mut tx, months, None).await?.entries;
        tx.commit().await?;

        let mut tx = self.store.begin("upkeep.announce").await?;
        if let Some(prunable) = log::find_prunable(&mut tx, months).await?
            && log::announce_pruning(&mut tx, &prunable, months, actor.clone(), &*self.desk.clock)
                .await?
                .is_some()
        {
            total.announced = prunable.entries();
        }
        tx.commit().await
    }

    async fn forget_batch(
        &self,
        organisation: &OrganisationId,
        terms: Terms,
        actor: &Actor,
    ) -> Result<Forgotten, StoreError> {
        let mut tx = self.store.begin("upkeep.forget").await?;
        let identifiers =
            intake::forget_identifiers(&mut tx, organisation, terms.identifiers, terms.now, BATCH).await?;
        delivery::forget_secrets(&mut tx, organisation, &identifiers).await?;

        let contacts =
            intake::forget_contacts(&mut tx, organisation, terms.contact_ids, terms.now, BATCH).await?;
        execution::purge(&mut tx, organisation, &contacts).await?;
        triage::forget(&mut tx, organisation, &contacts).await?;
        recipients::forget(&mut tx, organisation, &contacts).await?;
        retention::purge_candidates(&mut tx, organisation, &contacts).await?;
        watch::forget(&mut tx, organisation, &contacts).await?;
        watch::purge_without_request(&mut tx, organisation, terms.contact_ids, terms.evidence).await?;
        let rule = if terms.rule == Rule::EvidenceTerm { Rule::ContactTerm } else { terms.rule };
        let mut page_items =
            forget_page_items(&mut tx, organisation, &contacts, &Erasing { actor, at: terms.now, rule })
                .await?;

        alert::purge(&mut tx, organisation, terms.identifiers).await?;
        intake::purge_rates(&mut tx, organisation, terms.identifiers).await?;
        self_test::purge(&mut tx, organisation, terms.evidence).await?;

        let requests = intake::past_evidence(&mut tx, organisation, terms.evidence, BATCH).await?;
        self.purge_requests(&mut tx, organisation, &requests).await?;
        // Those that stayed because somebody held the log when the contact went, and those whose case went in a hold, too.
        let erasing = Erasing { actor, at: terms.now, rule: terms.rule };
        page_items += forget_page_items(&mut tx, organisation, &requests, &erasing).await?;
        let left = sql::left_page_items(&mut tx, organisation, terms.evidence, BATCH).await?;
        page_items += forget_page_items(&mut tx, organisation, &left, &erasing).await?;
        let unlinked = unlink(&mut tx, organisation, &requests, terms, actor).await?;

        let forgotten = Forgotten {
            identifiers_of: number(&identifiers),
            contacts_of: number(&contacts),
            requests: number(&requests),
            candidates: retention::purge_unused_candidates(&mut tx, organisation, terms.contact_ids, BATCH)
                .await?,
            page_items,
            sweeps: retention::purge_sweeps(&mut tx, organisation, terms.evidence).await?,
            holds: holds::purge(&mut tx, organisation, terms.evidence, terms.now).await?,
            unlinked,
            ..Forgotten::default()
        };
        if !forgotten.is_nothing() {
            let detail = Detail::none()
                .count("identifiers_of", forgotten.identifiers_of)
                .count("contacts_of", forgotten.contacts_of)
                .count("requests", forgotten.requests)
                .count("candidates", forgotten.candidates)
                .count("page_items", forgotten.page_items)
                .count("sweeps", forgotten.sweeps)
                .count("holds", forgotten.holds)
                .count("unlinked", forgotten.unlinked);
            let event = Event::general(organisation, Action::UpkeepForgot, actor.clone(), terms.now);
            audit::append(&mut tx, event.with(detail)).await?;
        }
        tx.commit().await?;
        Ok(forgotten)
    }

    /// Deletes cases with all that refers to them, the case itself last.
    async fn purge_requests(
        &self,
        tx: &mut Tx,
        organisation: &OrganisationId,
        requests: &[RequestId],
    ) -> Result<(), StoreError> {
        if requests.is_empty() {
            return Ok(());
        }
        holds::forget_requests(tx, organisation, requests).await?;
        delivery::purge(tx, organisation, requests).await?;
        triage::purge(tx, organisation, requests).await?;
        recipients::purge(tx, organisation, requests).await?;
        identity::purge(tx, organisation, requests).await?;
        execution::purge(tx, organisation, requests).await?;
        retention::purge_candidates(tx, organisation, requests).await?;
        watch::purge(tx, organisation, requests).await?;
        queue::purge(tx, organisation, requests).await?;
        intake::purge(tx, organisation, requests).await
    }
}

/// Forgets the salts by which items of sweeps are shown to be of these cases; nothing while the log is held.
async fn forget_page_items(
    tx: &mut Tx,
    organisation: &OrganisationId,
    cases: &[RequestId],
    erasing: &Erasing<'_>,
) -> Result<u64, StoreError> {
    if log::is_held(tx).await? {
        return Ok(0);
    }
    audit::manifest::forget_items(tx, organisation, cases, erasing).await
}

/// Erases the salts and tags of the cases that go, and those that were kept too long; nothing while the log is held.
/// Answers of how many cases.
async fn unlink(
    tx: &mut Tx,
    organisation: &OrganisationId,
    purged: &[RequestId],
    terms: Terms,
    actor: &Actor,
) -> Result<u64, StoreError> {
    if log::is_held(tx).await? {
        return Ok(0);
    }
    let erasing = Erasing { actor, at: terms.now, rule: terms.rule };
    let most = i32::try_from(BATCH).unwrap_or(i32::MAX);
    let mut unlinked = 0;
    if !purged.is_empty() {
        let with_case =
            log::erase_subjects(tx, organisation, Some(purged), (terms.now, most), &erasing).await?;
        unlinked += number(&with_case);
    }
    let leftovers = log::erase_subjects(tx, organisation, None, (terms.leftovers, most), &erasing).await?;
    Ok(unlinked + number(&leftovers))
}

fn number(requests: &[RequestId]) -> u64 {
    requests.len() as u64
}
