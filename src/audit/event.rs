//! The closed vocabulary of the log.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::leaf::DetailValue;
use super::subject::SubjectCommitment;
use crate::domain::{OrganisationId, RequestId};

/// Id of one entry, chosen by its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(pub Uuid);

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person at a keyboard, by login name.
    Person(String),
    /// A part of the daemon: `intake`, `worker`, `pump`, `upkeep`, `watch`, `writer`.
    Process(&'static str),
    /// A schedule, by name.
    Schedule(&'static str),
    /// A program that inserts into the intake table, by its database role.
    Producer(String),
}

/// Names come from the operating system or the database: only harmless characters reach the log.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .take(63)
        .map(|each| if each.is_ascii_alphanumeric() || "_.-".contains(each) { each } else { '_' })
        .collect()
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(formatter, "person:{}", plain(name)),
            Self::Process(name) => write!(formatter, "process:{name}"),
            Self::Schedule(name) => write!(formatter, "schedule:{name}"),
            Self::Producer(name) => write!(formatter, "producer:{}", plain(name)),
        }
    }
}

/// How an outside effect ended, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The other side accepted it.
    Done,
    /// There was nothing to do: the thing was absent (or the value already so) before we acted.
    Absent,
    /// An earlier attempt of ours did it; its answer had been lost.
    ByFormerAttempt,
    /// It did not happen.
    Failed,
    /// Nobody knows; reading back follows.
    Unknown,
}

impl Ending {
    /// The word as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Absent => "absent",
            Self::ByFormerAttempt => "by_former_attempt",
            Self::Failed => "failed",
            Self::Unknown => "outcome_unknown",
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// What happened. The words are an interface to auditors: never renamed, never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $variant,)+ }

        impl Action {
            /// Every action, for the documentation and its test.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as stored.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

actions! {
    /// A request was accepted.
    RequestReceived = "request.received",
    /// A person let everything begin at once that a flood had held back; their number is in the detail.
    FloodReleased = "flood.released",
    /// A producer's row could not become a request.
    IntakeParked = "intake.parked",
    /// A person opened a producer's parked row.
    IntakeRead = "intake.read",
    /// A person handed in a producer's parked row; the fields corrected are in the detail.
    IntakeReleased = "intake.released",
    /// A person removed a producer's parked row; the reason is in the detail.
    IntakeDiscarded = "intake.discarded",
    /// A request was withdrawn by the person.
    RequestWithdrawn = "request.withdrawn",
    /// A request waits for a person; the reason is in the detail.
    RequestParked = "request.parked",
    /// A person sent a parked request on its way again.
    RequestResumed = "request.resumed",
    /// A person was shown the contacts among which to choose, masked; their number is in the detail.
    CandidatesShown = "decision.candidates_shown",
    /// A person decided which contact a request means; the reason is in the detail.
    ContactChosen = "decision.contact_chosen",
    /// A person refused a request; the ground is in the detail.
    RequestRefused = "decision.refused",
    /// A person recorded how they carried out a request of a kind that no procedure covers; the outcome is in the detail.
    RequestAnswered = "decision.answered",
    /// A person accepted a request that somebody hands in for the data subject; what was checked is in the detail.
    RequestAccepted = "decision.accepted",
    /// A person proposed a decision that another one has to confirm.
    DecisionProposed = "decision.proposed",
    /// A second person confirmed it.
    DecisionConfirmed = "decision.confirmed",
    /// A proposed decision was dropped.
    ProposalDropped = "decision.dropped",
    /// A person decided that more time is needed; reason and date are in the detail. It counts once the person was told in
    /// time.
    ExtensionDecided = "decision.extended",
    /// The person was told of an extension in time: the new date, in the detail, holds.
    TermExtended = "term.extended",
    /// A person decided to ask the data subject what they mean.
    ClarificationAsked = "decision.clarification_asked",
    /// A person decided to ask for a fee; the ground is in the detail.
    FeeAsked = "decision.fee_asked",
    /// A person told the data subject a first part of the answer; the rest follows.
    PartAnswered = "decision.part_answered",
    /// The data subject answered; whether time stood still is in the detail.
    ClarificationAnswered = "clarification.answered",
    /// A person declared a breach that a request led to; cause, categories and the authority's date are in the detail.
    IncidentDeclared = "incident.declared",
    /// A person decided to tell the data subject of a breach (Art. 34 GDPR).
    IncidentTold = "incident.person_told",
    /// It ended: the authority was told, or need not be.
    IncidentEnded = "incident.ended",
    /// A request was recognised as a reminder of an open one and ended; the first goes on.
    RequestSuperseded = "request.superseded",
    /// Before a refusal was told, reading showed that an effect begun earlier is not in place.
    RefusalChecked = "refusal.checked",
    /// It is not known well enough who asks: the request waits for a proof; the doubt is in the detail.
    IdentityWanted = "identity.wanted",
    /// A link to prove it was made for a contact point of the profile; why is in the detail.
    IdentityAsked = "identity.asked",
    /// A wrong answer was given on the page of such a link; with the last one the link was locked.
    IdentityRefused = "identity.refused",
    /// A person proved by such a link that a contact point is theirs.
    IdentityProven = "identity.proven",
    /// A person of the controller recorded how they found out who asks; the method is in the detail.
    IdentityChecked = "identity.checked",
    /// It did not become known in time who asks: the request ends as not identified.
    IdentityUnproven = "identity.unproven",
    /// The contact was looked up; counts are in the detail.
    ContactLocated = "contact.located",
    /// The package was built; counts per source are in the detail.
    PackageBuilt = "package.built",
    /// A person fetched the package through the hand-over link.
    PackageFetched = "package.fetched",
    /// A wrong answer was given on the hand-over page; with the last one the link was locked.
    PackageRefused = "package.refused",
    /// A member of staff opened a package.
    PackageOpened = "package.opened",
    /// A package reached its expiry and was destroyed.
    PackageDestroyed = "package.destroyed",
    /// A policy of a contact is about to be switched off.
    PolicyBegan = "policy.began",
    /// It was, or was not.
    PolicyEnded = "policy.ended",
    /// Reading back showed the policies off.
    PolicyVerified = "policy.verified",
    /// A contact is about to be deleted.
    DeletionBegan = "deletion.began",
    /// It was, or was not.
    DeletionEnded = "deletion.ended",
    /// Reading back showed the contact gone.
    DeletionVerified = "deletion.verified",
    /// A person, or a setting, recorded that something must not be erased for now.
    HoldPlaced = "hold.placed",
    /// A person moved the review of a hold on; the new date is in the detail.
    HoldReviewed = "hold.reviewed",
    /// The date of review of a hold comes near.
    HoldReviewDue = "hold.review_due",
    /// The person is told that a restriction is going to end: by a notice, or by other means; the day is in the detail.
    HoldEndAnnounced = "hold.end_announced",
    /// A person, or a setting, ended a hold; the reason is in the detail.
    HoldLifted = "hold.lifted",
    /// The last day of a hold has passed.
    HoldExpired = "hold.expired",
    /// A hold stands against the deletion of a contact: nothing was deleted; which and until when is in the detail.
    ErasurePostponed = "erasure.postponed",
    /// No hold stands any more: the rest of the erasure follows by the request in the detail.
    ErasureResumed = "erasure.resumed",
    /// A withdrawal of consent was carried out: what follows for the data that rested on it alone, and when, is in the detail.
    FollowUpScheduled = "follow_up.scheduled",
    /// It was handed in as the request in the detail, or does not follow any more.
    FollowUpEnded = "follow_up.ended",
    /// Keyed hashes of a person were put on the suppression list; their number is in the detail.
    SuppressionAdded = "suppression.added",
    /// A person took somebody off the suppression list.
    SuppressionRevoked = "suppression.revoked",
    /// An import asked about somebody who was erased, and was told not to create them.
    ImportBlocked = "suppression.import_blocked",
    /// Somebody who stands on the suppression list was asked about, and what stands there of them was shown.
    SuppressionRead = "suppression.read",
    /// A look at the platform did not show an erasure or opt-out as it was left; what was seen is in the detail.
    Reappeared = "suppression.reappeared",
    /// What such a look had found was settled: done again by the request in the detail, or left as it is.
    ReappearanceSettled = "suppression.reappearance_settled",
    /// After a restore, an entry of the ledger that the database had lost was compared with the platform and settled.
    LedgerSettled = "ledger.settled",
    /// Reading back did not show what was to be shown.
    VerificationFailed = "verification.failed",
    /// A notice was put into the outbox.
    NoticeEnqueued = "notice.enqueued",
    /// A notice is about to be handed to the mail server.
    NoticeBegan = "notice.began",
    /// The mail server took it, or did not.
    NoticeEnded = "notice.ended",
    /// A notice that had not been sent was dropped, because the answer was there first: an acknowledgement, or one of the kind in the
    /// detail.
    NoticeSuperseded = "notice.superseded",
    /// It was reported that a notice which the mail server had taken came back.
    NoticeBounced = "notice.bounced",
    /// The person was told by other means what a notice that failed should have told.
    NoticeMadeGood = "notice.made_good",
    /// The daily self-test handed in its requests about an invented contact; day and kinds are in the detail.
    SelfTestSubmitted = "self_test.submitted",
    /// A self-test was judged: whether it passed, and what became of each right, is in the detail.
    SelfTestEnded = "self_test.ended",
    /// Somebody of the staff has to look; the cause is in the detail.
    AlertRaised = "alert.raised",
    /// Somebody of the staff looks at the cause of an alert.
    AlertAcknowledged = "alert.acknowledged",
    /// A mail to staff, about alerts or the daily digest, is about to be handed to the mail server.
    StaffMailBegan = "staff_mail.began",
    /// The mail server took it, or did not.
    StaffMailEnded = "staff_mail.ended",
    /// A request ended.
    RequestClosed = "request.closed",
    /// A recipient of the data has to be told; which, and what it is asked, is in the detail.
    RecipientQueued = "recipient.queued",
    /// A recipient is about to be told.
    RecipientBegan = "recipient.began",
    /// It was, or was not.
    RecipientEnded = "recipient.ended",
    /// A recipient said that it is done.
    RecipientConfirmed = "recipient.confirmed",
    /// A person decided that a recipient is told no further; ground and reason are in the detail.
    RecipientGivenUp = "recipient.given_up",
    /// A recipient has not answered in its time.
    RecipientOverdue = "recipient.overdue",
    /// A retention sweep began to list.
    SweepStarted = "sweep.started",
    /// A page of a retention sweep's erasures was submitted; their number and the root of a tree over salted commitments to
    /// them are in the detail.
    SweepPage = "sweep.page",
    /// A retention sweep stopped at a safeguard.
    SweepStopped = "sweep.stopped",
    /// A retention sweep has submitted its erasures.
    SweepFinished = "sweep.finished",
    /// A person was shown the platform's ids of contacts of a sweep that wait for a review; their number is in the detail.
    SweepRead = "sweep.read",
    /// The service forgot copies of its own that were past their term; counts are in the detail.
    UpkeepForgot = "upkeep.forgot",
    /// A person began to take an organisation out, with all that is held for it; the reason is in the detail.
    OrganisationRemovalBegan = "organisation.removal_began",
    /// No table holds a row of the organisation any more, except this log; the reason is in the detail.
    OrganisationRemoved = "organisation.removed",
    /// The settings of a daemon ask for two persons for other kinds of decision than before; for which now is in the
    /// detail.
    TwoPersonsChanged = "organisation.two_persons",
    /// A probe, or what a search brought back, has shown that the platform does not honour a filter.
    FilterIgnored = "platform.filter_ignored",
    /// Somebody read the log through the command line.
    LogRead = "log.read",
    /// Somebody verified the log; the verdict is in the detail.
    LogVerified = "log.verified",
    /// Somebody tampered with a copy of the log to see what is found; the numbers are in the detail.
    LogDrilled = "log.drilled",
    /// Somebody exported entries; form, filters, number and hash are in the detail.
    LogExported = "log.exported",
    /// Somebody took evidence about a request or a period; scope, numbers and hash are in the detail.
    EvidenceTaken = "evidence.taken",
    /// Somebody took receipts for entries.
    LogProved = "log.proved",
    /// Somebody read a case through the command line.
    RequestRead = "request.read",
    /// The entries of the first form of the log were carried over; their number and hash are in the detail.
    LogMigrated = "log.migrated",
    /// Nothing happened for a while: the log shows that it lives.
    LogHeartbeat = "log.heartbeat",
    /// A key that signs the log was added or retired.
    LogKey = "log.key",
    /// The database was restored from an older copy: the log goes on under another name; what was lost is in the detail.
    LogRestored = "log.restored",
    /// Somebody asked whether a person's identifier stands in the log; the number of cases found is in the detail.
    LogAsked = "log.asked",
    /// What made entries personal was erased: which kind, how many rows and by which rule is in the detail.
    LogRedact = "log.redact",
    /// Entries past their term may be dropped: their numbers and instants, the term and the head are in the detail.
    LogPrune = "log.prune",
    /// Somebody put a hold on the log: nothing is pruned or erased until it ends; reason and dates are in the detail.
    LogHoldSet = "log.hold_set",
    /// Somebody lifted a hold on the log.
    LogHoldLifted = "log.hold_lifted",
    /// Log and working tables were restored from different moments, and a person accepted that; which was newer is in the
    /// detail.
    LogMixed = "log.mixed",
    /// A process that writes entries announced itself; the public key with which it signs its accounts is in the detail.
    WriterStart = "writer.start",
    /// A writer gave up numbers of its entries: their transactions were rolled back; first and last are in the detail.
    WriterVoid = "writer.void",
    /// A writer accounted for its entries: numbers, hash and signature are in the detail.
    WriterAccount = "writer.account",
    /// A writer ended and closed its account.
    WriterStop = "writer.stop",
    /// A writer that had not been heard of for ten minutes was declared ended, without a stop; its name is in the detail.
    WriterEnded = "writer.ended",
}

/// Counts and short words that belong to an event: `[a-z0-9_]` keys; numbers, booleans and words as values.
///
/// The database refuses other forms, other characters (so that no mail address fits), and words that are a telephone number
/// or a hardware address. It cannot tell a word of a vocabulary from another one: that only those are written is for the
/// callers of [`Detail::word`], and for the test that looks for canaries in everything that was logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail(BTreeMap<String, DetailValue>);

/// The largest number of a detail: fifteen digits, which every reader of JSON can hold.
const LARGEST_COUNT: i64 = 999_999_999_999_999;

impl Detail {
    /// Nothing beyond the action.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a number; more than fifteen digits become the largest number of fifteen.
    #[must_use]
    pub fn count(mut self, key: &'static str, number: u64) -> Self {
        let number = i64::try_from(number).map_or(LARGEST_COUNT, |number| number.min(LARGEST_COUNT));
        self.0.insert(key.to_owned(), DetailValue::Number(number));
        self
    }

    /// Adds a truth.
    #[must_use]
    pub fn flag(mut self, key: &'static str, value: bool) -> Self {
        self.0.insert(key.to_owned(), DetailValue::Flag(value));
        self
    }

    /// Adds a word of a closed vocabulary or a configured name. Characters outside of letters, digits and
    /// `_ . : / + - space` become `_`, and so does a colon in front, which the check of the database would misread. A word
    /// that is a telephone number, a number of nine digits or more, or a hardware address is blanked altogether: it is no
    /// word of any vocabulary, and numbers are [`Self::count`]ed.
    #[must_use]
    pub fn word(mut self, key: &'static str, word: &str) -> Self {
        let is_plain = |(place, each): (usize, char)| {
            each.is_ascii_alphanumeric() || "_./+- ".contains(each) || (each == ':' && place > 0)
        };
        let plain = word.chars().enumerate().take(120);
        let mut plain: String = plain.map(|each| if is_plain(each) { each.1 } else { '_' }).collect();
        if is_number_of_somebody(&plain) {
            plain = plain.replace(|each: char| each.is_ascii_alphanumeric() || ":-".contains(each), "_");
        }
        self.0.insert(key.to_owned(), DetailValue::Word(plain));
        self
    }

    pub(super) fn into_values(self) -> BTreeMap<String, DetailValue> {
        self.0
    }
}

/// Whether a word is a telephone number, a long number, or a hardware address, and nothing else. The database refuses no
/// word that this lets through.
fn is_number_of_somebody(word: &str) -> bool {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let is_telephone = word.strip_prefix('+').is_some_and(|rest| {
        rest.starts_with(|first: char| first.is_ascii_digit())
            && rest.len() > 6
            && rest.bytes().all(|each| each.is_ascii_digit() || b" ./-".contains(&each))
    });
    let is_long = word.len() > 8 && digits(word) == word.len();
    let is_hardware = |separator: char| {
        word.split(separator).count() == 6 && word.split(separator).all(|pair| pair.chars().count() == 2)
    };
    is_telephone || is_long || is_hardware(':') || is_hardware('-')
}

/// One event to append.
#[derive(Clone, Debug)]
pub struct Event {
    /// Chosen by the writer, so that an end can name its beginning.
    pub id: EntryId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// For which organisation.
    pub organisation: OrganisationId,
    /// For which request.
    pub case: Option<RequestId>,
    /// What happened.
    pub action: Action,
    /// How it ended, for the end of an effect.
    pub ending: Option<Ending>,
    /// Who caused it.
    pub actor: Actor,
    /// For an end: the beginning.
    pub intent: Option<EntryId>,
    /// Counts and words.
    pub detail: Detail,
    /// For the entry that receives a request: the commitment to the identifiers that it gave.
    pub subject: Option<SubjectCommitment>,
}

impl Event {
    /// A plain event of a request.
    #[must_use]
    pub fn of(
        organisation: &OrganisationId,
        case: RequestId,
        action: Action,
        actor: Actor,
        at: DateTime<Utc>,
    ) -> Self {
        Self { case: Some(case), ..Self::general(organisation, action, actor, at) }
    }

    /// A plain event that belongs to no request.
    #[must_use]
    pub fn general(organisation: &OrganisationId, action: Action, actor: Actor, at: DateTime<Utc>) -> Self {
        Self {
            id: EntryId(Uuid::now_v7()),
            at,
            organisation: organisation.clone(),
            case: None,
            action,
            ending: None,
            actor,
            intent: None,
            detail: Detail::none(),
            subject: None,
        }
    }

    /// The same event with its detail.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }

    /// The same event with a commitment to the identifiers of its request.
    #[must_use]
    pub fn about(mut self, subject: Option<SubjectCommitment>) -> Self {
        self.subject = subject;
        self
    }

    /// The same event as the end of the effect that `intent` announced.
    #[must_use]
    pub fn ending(mut self, intent: EntryId, ending: Ending) -> Self {
        self.intent = Some(intent);
        self.ending = Some(ending);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_the_number_of_somebody_is_blanked_and_others_stay() {
        let written = |word: &str| match Detail::none().word("a", word).into_values().remove("a") {
            Some(DetailValue::Word(word)) => word,
            other => panic!("{other:?}"),
        };
        for (number, blank) in [
            ("+39 333 1234567", "+__ ___ _______"),
            ("+393331234567", "+____________"),
            ("393331234567", "____________"),
            ("AA:bb:cc:dd:ee:01", "__:__:__:__:__:__"),
            ("aa-bb-cc-dd-ee-01", "__-__-__-__-__-__"),
        ] {
            // What the database refuses by the form of the separators alone must not be left either.
            assert_eq!(written(number), blank.replace([':', '-'], "_"), "{number}");
        }
        for word in [
            "2026-11-01T10:00:00Z",
            "2026-11-01",
            "20261101",
            "DSR-2345-6789",
            "01234567-0123-0123-0123-012345678901",
            "+aB3/0123456789012345678901234567890123456789",
            "erased/3",
            "+01:00",
        ] {
            assert_eq!(written(word), word);
        }
    }
}
