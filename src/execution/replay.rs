//! After a restore: what the ledger outside knows and the database has lost, compared with the platform and settled by a
//! person.
//!
//! Nothing is repeated by itself. What the platform shows as it was left is recorded again; what a restore of the platform
//! brought back can be done again, by a request of its own; where the person acted since, the newer will stands and only a
//! person can say what is to be done. Holds are another matter: see `lost_holds`.
//!
//! A line of the ledger is written before the platform is called: what it says was begun, and may not have happened. A contact
//! that is disabled or marked as deleted is there, and one is gone that two looks do not find (F-39).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::effect::is_on;
use super::{Site, lost_holds};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Channel, ContactId, Follows, FollowsBecause, KeyError, Origin, Reference, RequestId, RequestKind,
    RequesterRole, zone_bounds,
};
use crate::holds::{HoldError, NewHold};
use crate::intake::{self, Case, Desk, IntakeError, Submission};
use crate::platform::{Contact, PlatformError, Shown, Urgency};
use crate::store::{Store, StoreError};
use crate::suppression::ledger::{self, CompareError, Entry, EntryKind, Ledger, Settled};
use crate::suppression::{self, Source};

/// What the platform shows of something that the database has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it was left: the contact is gone (two looks did not find it), the policy off, the report handed over.
    StillSo,
    /// As it was before, and nothing tells that the person acted since: a restore of the platform, perhaps.
    Back,
    /// Otherwise, and the person acted since: they signed up, were seen or changed something.
    NewerWill,
    /// A hold does not stand any more, or one that was lifted stands again.
    Missing,
}

impl Verdict {
    /// The word as shown and audited.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StillSo => "still_so",
            Self::Back => "back",
            Self::NewerWill => "newer_will",
            Self::Missing => "missing",
        }
    }
}

/// Something that the database has lost.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Names it in commands.
    pub entry: Uuid,
    /// The reference of the request by which it was done, or of the hold.
    pub reference: String,
    /// What was done.
    pub kind: EntryKind,
    /// For an opt-out: which policy.
    pub policy: Option<String>,
    /// For a hold: the number of the matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matter: Option<String>,
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// What the platform shows now; of a hold, what the database does.
    pub verdict: Verdict,
    /// None for a hold.
    #[serde(skip)]
    pub(super) contact: Option<ContactId>,
    /// What a hold orders that was placed.
    #[serde(skip)]
    pub(super) order: Option<NewHold>,
    #[serde(skip)]
    pub(super) record: Entry,
}

/// What a look at ledger, database and platform found.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// What the database has lost, oldest first.
    pub findings: Vec<Finding>,
    /// Lines of the ledger that are damaged: what they said is not known.
    pub damaged_lines: u64,
}

/// What a person has done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is as it was left: record it.
    Record,
    /// Have it done again.
    Repeat,
    /// Leave it as it is now.
    Leave,
}

/// Why a replay does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Files and database cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The platform failed.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// An entry does not open.
    #[error("entry {entry} of the ledger does not open; was it written with another master key?")]
    Sealed {
        /// Which.
        entry: Uuid,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The request that repeats it was not accepted.
    #[error("the request that would do it again was not accepted")]
    Intake(#[source] IntakeError),
    /// There is no such finding.
    #[error("no such entry is lost; see `dsrd ledger replay`")]
    NotFound,
    /// The platform shows it as it was left.
    #[error("entry {0} is still so at the platform; there is nothing to do again, and nothing to leave")]
    StillSo(Uuid),
    /// The person acted since.
    #[error(
        "entry {0} is not done again: the person acted since, and the older will does not overrule the newer; leave it, and \
         hand in a new request when they ask again"
    )]
    NewerWill(Uuid),
    /// Nobody is on record as having asked for the erasure.
    #[error(
        "entry {0} does not tell how it was known who asked: it was the erasure of a sweep, or was written before that was \
         kept; leave it: the next sweep looks again, and a person who asked can be asked again for a request of their own"
    )]
    Unproven(Uuid),
    /// The line of a hold says something that this version does not know.
    #[error(
        "entry {0} of the ledger holds the order of a hold that cannot be read; was it written by a newer version?"
    )]
    UnreadableHold(Uuid),
    /// A hold that was lifted stands again.
    #[error("{0} stands again, because the restore lost its end; lift it again with `dsrd hold lift`")]
    StandsAgain(String),
    /// The hold cannot be placed again.
    #[error(transparent)]
    Hold(HoldError),
}

impl From<HoldError> for ReplayError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Store(error) => Self::Store(error),
            other => Self::Hold(other),
        }
    }
}

/// Where a replay happens.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The database.
    pub store: &'a Store,
    /// Keys and clock.
    pub desk: &'a Desk,
    /// The organisation and its contacts.
    pub site: &'a Site,
    /// The files outside.
    pub ledger: &'a Ledger,
    /// How long after a look that does not find a contact it is looked for again.
    pub second_look: Duration,
}

/// Compares the ledger outside with the database, and reads the platform for what the database has lost. Changes nothing.
pub async fn replay(place: Place<'_>) -> Result<Replay, ReplayError> {
    let organisation = &place.site.controller.id;
    let mut connection = place.store.connection().await?;
    let outside = place.ledger.list_lost(&mut connection, organisation).await?;
    // Holds first: what was ordered to be kept must stand before anything is done again.
    let mut findings = lost_holds::findings(place, &mut connection, &outside.entries).await?;
    drop(connection);
    let mut seen = Vec::new();
    for record in outside.entries.into_iter().filter(|record| !record.kind.is_of_hold()) {
        let contact = record
            .open_contact(&place.desk.keys)
            .map_err(|source| ReplayError::Sealed { entry: record.entry, source })?;
        let verdict = look(place.site, &record, &contact).await?;
        seen.push((record, contact, verdict));
    }
    if seen.iter().any(|(_, _, verdict)| verdict.is_none()) {
        // One answer may come from a copy that lags behind; and the log-in may serve while nobody's contact is shown.
        tokio::time::sleep(place.second_look).await;
        place.site.platform.check_contacts().await?;
    }
    for (record, contact, verdict) in seen {
        let verdict = match verdict {
            Some(verdict) => verdict,
            None => look(place.site, &record, &contact).await?.unwrap_or(Verdict::StillSo),
        };
        findings.push(Finding {
            entry: record.entry,
            reference: Reference::of(RequestId(record.request)).to_string(),
            kind: record.kind,
            policy: record.policy.clone(),
            matter: None,
            at: record.at,
            verdict,
            contact: Some(contact),
            order: None,
            record,
        });
    }
    Ok(Replay { findings, damaged_lines: outside.damaged })
}

/// What the platform shows; none when a look does not find the contact.
async fn look(site: &Site, record: &Entry, contact: &ContactId) -> Result<Option<Verdict>, PlatformError> {
    if record.kind == EntryKind::Report {
        return Ok(Some(Verdict::StillSo));
    }
    let Some(found) = site.platform.find_contact(contact, Urgency::Request).await? else { return Ok(None) };
    let is_off = record.policy.as_ref().is_some_and(|policy| !is_on(&found, policy));
    Ok(Some(if is_off {
        Verdict::StillSo
    } else if acted_since(&found, record.at) {
        Verdict::NewerWill
    } else {
        Verdict::Back
    }))
}

/// Whether anything tells that the person, or somebody for them, acted after an instant, or may have: a time without its zone is
/// taken for the latest that it can be. That a contact was marked as deleted changed it, and is nobody's act of will.
pub(super) fn acted_since(contact: &Contact, at: DateTime<Utc>) -> bool {
    let modified = if contact.deleted { Shown::Nothing } else { modified(contact) };
    let dates = [contact.created.into(), modified, contact.shows.last_login];
    dates.into_iter().filter_map(latest).any(|instant| instant > at)
}

/// The latest instant that a time can mean.
pub(super) fn latest(shown: Shown) -> Option<DateTime<Utc>> {
    match shown {
        Shown::At(at) => Some(at),
        Shown::About(at) => Some(zone_bounds(at).1),
        Shown::Nothing | Shown::Unreadable => None,
    }
}

/// When the platform says that anything of the contact was changed last.
pub(super) fn modified(contact: &Contact) -> Shown {
    Shown::read(modified_field(contact).as_ref())
}

/// The same as it stands there: two of them tell whether anything was changed in between, in whatever zone they are.
pub(super) fn modified_text(contact: &Contact) -> Option<String> {
    let readable = matches!(modified(contact), Shown::At(_) | Shown::About(_));
    modified_field(contact).filter(|_| readable).map(|value| value.to_string())
}

fn modified_field(contact: &Contact) -> Option<Value> {
    let profile: Value = serde_json::from_str(contact.raw.expose()).ok()?;
    profile.get("modified").cloned()
}

/// Settles one finding as a person decided, and puts the entry back into the database. Returns the request that does it
/// again, if one does.
pub async fn settle(
    place: Place<'_>,
    finding: &Finding,
    settlement: Settlement,
    actor: Actor,
) -> Result<Option<Reference>, ReplayError> {
    let Some(contact) = &finding.contact else {
        lost_holds::settle(place, finding, settlement, actor).await?;
        return Ok(None);
    };
    let organisation = &place.site.controller.id;
    let settled = match (settlement, finding.verdict) {
        (Settlement::Record, Verdict::StillSo) => Settled::StillSo,
        (Settlement::Repeat | Settlement::Leave, Verdict::StillSo) => {
            return Err(ReplayError::StillSo(finding.entry));
        }
        (Settlement::Repeat, Verdict::NewerWill | Verdict::Missing) => {
            return Err(ReplayError::NewerWill(finding.entry));
        }
        (Settlement::Repeat, Verdict::Back)
            if finding.kind == EntryKind::Erasure && finding.record.proof.is_none() =>
        {
            return Err(ReplayError::Unproven(finding.entry));
        }
        (Settlement::Repeat, Verdict::Back) => Settled::Repeated,
        (Settlement::Leave, _) => Settled::Left,
        // What is not as it was left is never recorded as if it were.
        (Settlement::Record, _) => return Err(ReplayError::NotFound),
    };
    let now = place.desk.clock.now();
    let mut tx = place.store.begin("execution.settle_replay").await?;
    if !ledger::settle(&mut tx, &finding.record, settled).await? {
        return Err(ReplayError::NotFound);
    }
    // Their will to be left alone was lost with the rest; where they acted since, it is not brought back.
    if finding.verdict != Verdict::NewerWill && settled != Settled::Left {
        let hashed = finding.record.suppressed();
        suppression::add(&mut tx, &place.site.controller, &hashed, Source::Replay, finding.at).await?;
    }
    let repeated = match settled {
        Settled::Repeated => {
            let former = RequestId(finding.record.request);
            let former = intake::find_case(&mut tx, organisation, former).await?;
            let submission = again(place.site, (finding, contact), former.as_ref(), now, actor.clone());
            let receipt = intake::submit(&mut tx, place.desk, &place.site.controller, submission)
                .await
                .map_err(ReplayError::Intake)?;
            Some(receipt.reference)
        }
        Settled::StillSo | Settled::Left => None,
    };
    let mut detail = Detail::none()
        .word("entry", &finding.entry.to_string())
        .word("kind", finding.kind.as_str())
        .word("verdict", finding.verdict.as_str())
        .word("settled", settled.as_str());
    if let Some(reference) = &repeated {
        detail = detail.word("request", reference.as_str());
    }
    let event = Event::general(organisation, Action::LedgerSettled, actor, now);
    audit::append(&mut tx, event.with(detail)).await?;
    tx.commit().await?;
    Ok(repeated)
}

fn again(
    site: &Site,
    (finding, contact): (&Finding, &ContactId),
    former: Option<&Case>,
    now: DateTime<Utc>,
    actor: Actor,
) -> Submission {
    let (controller, organisation) = (&site.controller, &site.controller.id);
    let because = FollowsBecause::Again;
    // The case may be lost with the rest.
    let lost = || Follows {
        request: RequestId(finding.record.request),
        received_on: controller.local_date(finding.at),
        because,
    };
    let kind = match finding.kind {
        EntryKind::OptOut => former.and_then(Case::opt_out_again).unwrap_or(RequestKind::OptOut),
        EntryKind::Erasure | EntryKind::Report | EntryKind::Hold | EntryKind::HoldEnded => {
            RequestKind::Erasure
        }
    };
    tracing::info!(%organisation, kind = kind.as_str(), "something that a restore had lost is done again");
    Submission {
        kind,
        also: Vec::new(),
        kind_unknown: false,
        requester_role: RequesterRole::Own,
        origin: Origin::Subject,
        channel: Channel::Api,
        received_at: now,
        language: None,
        identifiers: Vec::new(),
        policies: finding.policy.iter().cloned().collect(),
        // The case that named one is lost.
        ground: None,
        // What was known of who asked, and since when: nobody proves anything anew here.
        proof: finding.record.proof,
        producer: "ledger".to_owned(),
        handed_in_by: Some(actor),
        idempotency_key: finding.entry.to_string(),
        sweep_target: Some((contact.clone(), now)),
        follows: Some(former.map_or_else(lost, |former| former.followed(controller, because))),
    }
}
