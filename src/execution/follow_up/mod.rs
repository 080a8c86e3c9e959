//! What follows when a consent was withdrawn: the data that rested on it alone is erased (Art. 17(1)(b) GDPR, R-52).
//!
//! Entered by the closing of a withdrawal that was carried out ([`schedule`]), in its transaction, where the controller set a
//! delay (`erasure.consent_follow_up_days`; off without it). When that has passed, [`hand_in_due`] hands in, by a request of
//! its own:
//!
//! | Rests on the consent alone | What follows |
//! |---|---|
//! | every category of data | the erasure of the contact, on the ground `consent_withdrawn` |
//! | some of them | a request of kind `other`, which waits for a person: the platform deletes contacts as a whole |
//! | none, or nobody configured it | nothing |
//!
//! Invariants:
//! - A consent that was given again in between ends it: the older will does not overrule the newer. Once the erasure is handed
//!   in, it is the erasure that looks, until it begins to delete (`locate::refuse_newer_will`). So it is with a restriction of
//!   the data (Art. 18 GDPR): who withdrew a consent asked for no erasure.
//! - A withdrawal needs no proof of who asks, an erasure does. It carries over what was known; where that is not enough, the
//!   person is asked at the address in the profile, as for every erasure (Art. 32 GDPR).
//! - Somebody's withdrawal for the person needs no authority that was checked, an erasure does: it waits for a person, as every
//!   one that is asked for somebody else.
//! - One row for each withdrawal, ended once, in the transaction of what follows. A platform that does not answer ends nothing.
//! - A contact that one look does not find is looked for a second time before the waiting ends.
//! - What is wrong with one withdrawal or its contact holds up no other: that one is tried again, later each time. When its
//!   contact still cannot be read after so many tries, a request of kind `other` gives it to a person.
//! - No personal data in the table: the contact is the case's.
//!
//! Why a table and no waiting request: a request has a clock, and the person asked for nothing more than the withdrawal.
//!
//! To add an end: a word in [`FollowedUp`] and in the table's CHECK.

mod sql;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use sql::Due;
pub use sql::{FollowUpView, follow_up_of};

use super::Site;
use super::effect::bare;
use super::engine::Run;
use super::stop::Stop;
use super::watch::code_of;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Channel, ContactId, DataCategory, ErasureGround, FollowsBecause, KillSwitch, Killed, Origin, Outcome,
    Proof, Reference, RequestId, RequestKind,
};
use crate::intake::{self, Case, Desk, IntakeError, Submission};
use crate::platform::{OrganisationMatch, PlatformError, Urgency};
use crate::store::{Store, StoreError, Tx};

/// Who hands in what follows.
const ACTOR: Actor = Actor::Schedule("consents");

/// After so many looks at a contact that cannot be read, a person decides: those of about a day.
const MOST_TRIES: i16 = 24;

/// How the waiting for a follow-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowedUp {
    /// A request was handed in.
    HandedIn,
    /// The consent was given again.
    ConsentAgain,
    /// The contact is gone, or nothing is known of it any more.
    Gone,
}

impl FollowedUp {
    /// Every word.
    pub const ALL: [Self; 3] = [Self::HandedIn, Self::ConsentAgain, Self::Gone];

    /// The word as stored and audited.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HandedIn => "handed_in",
            Self::ConsentAgain => "consent_again",
            Self::Gone => "gone",
        }
    }
}

impl FromStr for FollowedUp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|each| each.as_str() == text).ok_or(())
    }
}

impl fmt::Display for FollowedUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Why what is due could not be handed in; it stays due.
#[derive(Debug, thiserror::Error)]
pub enum FollowUpError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The platform failed.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// One look did not find the contact, or the platform does not show that it serves.
    #[error("the contact of a withdrawal of consent was not found; it is looked for a second time")]
    Absent,
    /// The request was not accepted.
    #[error("the request that follows a withdrawal of consent was not accepted")]
    Intake(#[source] IntakeError),
    /// A kill switch was reached. Only in tests.
    #[error("stopped by a kill switch")]
    Killed,
}

impl From<Killed> for FollowUpError {
    fn from(_: Killed) -> Self {
        Self::Killed
    }
}

/// The code of a follow-up whose contact one look did not find.
const NOT_FOUND: &str = "contact_not_found";

impl FollowUpError {
    /// What is wrong with one withdrawal, as a word; none for what stands in the way of all of them.
    fn code_of_one(&self) -> Option<&'static str> {
        match self {
            Self::Platform(error) if is_about_one_contact(error) => Some(code_of(error)),
            Self::Platform(_) | Self::Killed => None,
            Self::Absent => Some(NOT_FOUND),
            Self::Store(error) => code_of_refused(error),
            Self::Intake(error) => code_of_unaccepted(error),
        }
    }
}

fn code_of_refused(error: &StoreError) -> Option<&'static str> {
    (!error.is_transient()).then_some("database_refused")
}

/// What is wrong with one request that was handed in, as a word; none for what stands in the way of all of them.
pub(super) fn code_of_unaccepted(error: &IntakeError) -> Option<&'static str> {
    match error {
        IntakeError::Store(error) => code_of_refused(error),
        _ => Some("not_accepted"),
    }
}

/// Whether what the platform answered says nothing of other contacts.
const fn is_about_one_contact(error: &PlatformError) -> bool {
    matches!(
        error,
        PlatformError::Unreadable { .. } | PlatformError::TooLarge { .. } | PlatformError::Rejected { .. }
    )
}

/// The categories for which something follows when a withdrawal of consent ends so, and after how many days; none where nothing does.
pub(super) fn what_will_follow(run: &Run<'_>, outcome: Outcome) -> Option<(Vec<DataCategory>, u32)> {
    let rules = &run.site.controller.erasure;
    // What follows from a withdrawal that is done again, the first one has scheduled.
    let (RequestKind::ConsentWithdrawal, Outcome::Fulfilled, Some(days), None) =
        (run.case.kind, outcome, rules.consent_follow_up_days, run.case.follows)
    else {
        return None;
    };
    let categories = rules.legal_bases.on_consent_alone();
    (!categories.is_empty()).then_some((categories, days))
}

/// Notes, in the transaction that closes a withdrawal of consent, what follows from it and when.
pub(super) async fn schedule(
    run: &Run<'_>,
    tx: &mut Tx,
    outcome: Outcome,
    now: DateTime<Utc>,
) -> Result<(), Stop> {
    let Some((categories, days)) = what_will_follow(run, outcome) else { return Ok(()) };
    let due_at = now + TimeDelta::days(days.into());
    sql::insert(tx, run.lease, &categories, due_at).await?;
    let detail = Detail::none()
        .word("categories", &words_of(&categories))
        .word("follows", what_follows(&categories).as_str())
        .word("due_on", &run.site.controller.local_date(due_at).to_string());
    run.append(tx, run.event(Action::FollowUpScheduled).with(detail)).await
}

fn words_of(categories: &[DataCategory]) -> String {
    categories.iter().map(|each| each.as_str()).collect::<Vec<_>>().join(" ")
}

/// The platform deletes a contact with all that belongs to it: only where nothing of it has another basis can it go.
fn what_follows(categories: &[DataCategory]) -> RequestKind {
    let everything = DataCategory::ALL.iter().all(|category| categories.contains(category));
    if everything { RequestKind::Erasure } else { RequestKind::Other }
}

/// Hands in what follows from withdrawals whose time has come; returns the requests. Any number of daemons may call it at any
/// time. What cannot be decided now, because the platform does not answer, stays due; what is wrong with one of them is tried
/// again later, and stops no other.
/// `kill` stops it at a boundary; inert in production.
pub async fn hand_in_due(
    store: &Store,
    desk: &Desk,
    site: &Site,
    kill: &KillSwitch,
) -> Result<Vec<RequestId>, FollowUpError> {
    let organisation = &site.controller.id;
    let mut handed_in = Vec::new();
    let all = sql::list_due(&mut *store.connection().await?, organisation, desk.clock.now()).await?;
    for due in all {
        let error = match hand_in(store, desk, site, &due, kill).await {
            Ok(second) => {
                handed_in.extend(second);
                continue;
            }
            Err(error) => error,
        };
        let Some(code) = error.code_of_one() else { return Err(error) };
        let mut connection = store.connection().await?;
        sql::put_back(&mut connection, organisation, due.withdrawal, code, desk.clock.now()).await?;
        tracing::warn!(
            request = %due.withdrawal, code, error = &error as &dyn std::error::Error,
            "what follows from this withdrawal of consent could not be handed in; tried again later"
        );
    }
    Ok(handed_in)
}

/// Hands in what follows from one withdrawal, or ends the waiting for it; returns the request.
async fn hand_in(
    store: &Store,
    desk: &Desk,
    site: &Site,
    due: &Due,
    kill: &KillSwitch,
) -> Result<Option<RequestId>, FollowUpError> {
    let (organisation, withdrawal) = (&site.controller.id, due.withdrawal);
    let former = intake::find_case(&mut *store.connection().await?, organisation, withdrawal).await?;
    let Some(former) = former else { return Ok(None) };
    let looked = match &former.contact {
        None => Ok(FollowedUp::Gone),
        Some(contact) => look(site, &former, contact, due.not_found).await,
    };
    let (ended, unread) = match looked {
        Ok(ended) => (ended, None),
        // Nobody is erased of whom it is not known that the consent is still withdrawn.
        Err(error) => match error.code_of_one() {
            Some(code) if due.tries + 1 >= MOST_TRIES => (FollowedUp::HandedIn, Some(code)),
            _ => return Err(error),
        },
    };
    kill.reached("follow_up", "looked")?;
    let mut tx = store.begin("execution.follow_up").await?;
    // Somebody else may have been faster.
    let Some(categories) = sql::lock_open(&mut tx, organisation, withdrawal).await? else { return Ok(None) };
    let now = desk.clock.now();
    let mut detail = Detail::none().word("ended", ended.as_str());
    if let Some(code) = unread {
        detail = detail.word("code", code);
    }
    let mut second = None;
    if let (FollowedUp::HandedIn, Some(contact)) = (ended, &former.contact) {
        let kind = if unread.is_some() { RequestKind::Other } else { what_follows(&categories) };
        let submission = following(&former, contact, kind, site, now);
        let receipt = intake::submit(&mut tx, desk, &site.controller, submission).await;
        let receipt = receipt.map_err(FollowUpError::Intake)?;
        detail = detail
            .word("request", receipt.reference.as_str())
            .word("kind", receipt.kind.as_str())
            .word("categories", &words_of(&categories));
        tracing::info!(request = %receipt.request, kind = %receipt.kind, "what rested on a withdrawn consent follows");
        second = Some(receipt.request);
    }
    sql::end(&mut tx, organisation, withdrawal, ended, second, now).await?;
    let event = Event::of(organisation, withdrawal, Action::FollowUpEnded, ACTOR, now);
    audit::append(&mut tx, event.with(detail)).await?;
    kill.reached("follow_up", "written")?;
    tx.commit().await?;
    kill.reached("follow_up", "committed")?;
    Ok(second)
}

/// Whether the contact is still there, and the consent still withdrawn. It is gone when a look before this one did not find it
/// either and the platform shows that it serves (F-39). One that is marked as deleted or disabled is still there.
async fn look(
    site: &Site,
    former: &Case,
    contact: &ContactId,
    not_found_before: bool,
) -> Result<FollowedUp, FollowUpError> {
    let Some(found) = site.platform.find_contact(contact, Urgency::Sweep).await? else {
        if !not_found_before || site.platform.check_organisation().await? == OrganisationMatch::Other {
            return Err(FollowUpError::Absent);
        }
        // The log-in may serve while nobody's contact is shown.
        site.platform.check_contacts().await?;
        return Ok(FollowedUp::Gone);
    };
    let is_on = |policy: &String| found.policies.get(bare(policy)) == Some(&true);
    Ok(if former.policies.iter().any(is_on) { FollowedUp::ConsentAgain } else { FollowedUp::HandedIn })
}

/// The request that follows a withdrawal.
fn following(
    former: &Case,
    contact: &ContactId,
    kind: RequestKind,
    site: &Site,
    now: DateTime<Utc>,
) -> Submission {
    let is_erasure = kind == RequestKind::Erasure;
    let enough = |proof: &Proof| site.controller.identity.erasure.contains(&proof.assurance);
    Submission {
        kind,
        also: Vec::new(),
        kind_unknown: false,
        // Whoever withdrew it for the person may still not have them erased: nobody has checked their authority.
        requester_role: former.requester_role,
        origin: Origin::Subject,
        channel: Channel::Api,
        received_at: now,
        language: former.language_named.then(|| former.language.clone()),
        identifiers: Vec::new(),
        policies: Vec::new(),
        ground: is_erasure.then_some(ErasureGround::ConsentWithdrawn),
        // Whoever was known well enough at the withdrawal is known; everybody else is asked, as for every erasure.
        proof: former.proof().filter(enough).map(|proof| Proof { at: now, ..proof }),
        producer: "consents".to_owned(),
        handed_in_by: Some(ACTOR),
        idempotency_key: former.request.to_string(),
        sweep_target: Some((contact.clone(), now)),
        follows: Some(former.followed(&site.controller, FollowsBecause::Consent)),
    }
}

/// The references of a withdrawal and of what followed it, as `sql` reads them.
fn reference_of(request: uuid::Uuid) -> String {
    Reference::of(RequestId(request)).to_string()
}
