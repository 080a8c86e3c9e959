//! What we may ask of a contact platform.
//!
//! [`ContactPlatform`] is the port through which `execution` and `retention` reach the contacts of **one**
//! organisation. It has two implementations in production: [`cloud4wi`], which speaks to the real thing, and
//! [`ReadOnly`], which wraps another and refuses every effect (previews and dry runs).
//!
//! Invariants that every implementation keeps, and that one conformance suite checks:
//! - An answer that cannot be read is [`PlatformError::Unreadable`]; it never becomes "no data".
//! - A search returns only contacts that were compared again, here, with the identifier asked for.
//! - A contact fetched by id has that id.
//! - Records come as the platform wrote them ([`RawRecord`]): number for number, field for field.
//! - An effect that may have happened although its answer was lost is [`PlatformError::AnswerLost`].
//! - An effect is sent, and sent again, only while its [`Leave`] stands: asked after every wait for its turn.
//! - No error, log line or metric holds personal data or a query string.
//!
//! What all platforms have in common is read here: when a contact was last active ([`seen_since`]), by records whose dates
//! are believed sparingly ([`date_of`]).
//!
//! Calls of people's requests go before calls of sweeps: each call says its [`Urgency`], and the rate limiter draws
//! for the urgent ones first.
//!
//! To add a platform: implement the trait in a module beside [`cloud4wi`] and run the conformance suite over it.

mod activity;
pub mod cloud4wi;
mod dates;
mod read_only;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::Stream;
use serde_json::value::RawValue;

pub use activity::{LastActivity, ProfileDates, Seen, Shown, Span, date_of, seen_since};
pub use read_only::ReadOnly;

use crate::domain::{ContactId, IdentifierKind, Personal, SubjectIdentifier};

/// A boxed future of a platform call: an allocation per remote call is nothing, and `dyn` keeps builds short.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, PlatformError>> + Send + 'a>>;

/// A stream of record batches; ends with the last record or with an error.
pub type Records<'a> = Pin<Box<dyn Stream<Item = Result<RecordBatch, PlatformError>> + Send + 'a>>;

/// A stream of contact batches found by a listing.
pub type Listing<'a> = Pin<Box<dyn Stream<Item = Result<ListingBatch, PlatformError>> + Send + 'a>>;

/// How soon a call must be made when the rate limit is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// On behalf of a person's request.
    Request,
    /// On behalf of a sweep or a check, which can wait.
    Sweep,
}

/// One record as the platform wrote it: the text of one JSON object. Numbers keep all their digits.
#[derive(Clone)]
pub struct RawRecord(Personal<Box<RawValue>>);

impl RawRecord {
    /// Wraps the text of one JSON value.
    #[must_use]
    pub const fn new(json: Box<RawValue>) -> Self {
        Self(Personal::new(json))
    }

    /// The JSON text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose().get()
    }
}

impl fmt::Debug for RawRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RawRecord([personal])")
    }
}

/// The lists that the platform keeps beside a contact's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Visits and Wi-Fi connections.
    Events,
    /// Devices with their MAC addresses.
    Devices,
    /// Connection records: duration, traffic, access point.
    Accountings,
}

impl Source {
    /// Every source, in the order in which a report shows them.
    pub const ALL: [Self; 3] = [Self::Events, Self::Devices, Self::Accountings];

    /// The word as stored, shown and used in file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Devices => "devices",
            Self::Accountings => "accountings",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// When a contact was created, as far as the platform's text can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The platform said so with a zone or in UTC.
    At(DateTime<Utc>),
    /// A local time without a zone, read as UTC: may be off by up to 14 hours.
    About(DateTime<Utc>),
    /// Missing or not readable: never grounds for a deletion.
    Unknown,
}

/// What we read of a contact's profile, beside the raw record that holds everything.
#[derive(Clone, Debug)]
pub struct Contact {
    /// The platform's id.
    pub id: ContactId,
    /// When it was created.
    pub created: Created,
    /// When it was last seen, where the platform says so in a form that can be read.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// The dates of activity that the profile shows.
    pub shows: ProfileDates,
    /// Marked as deleted or disabled by the platform: a deletion under way, not an absence.
    pub marked_deleted: bool,
    /// Marked as deleted, not merely disabled: the platform may have emptied its profile.
    pub deleted: bool,
    /// Whether each policy is accepted, by the platform's name for it without prefix (`mktgCommunications`,
    /// `emailMarketing`).
    pub policies: BTreeMap<String, bool>,
    /// The e-mail address in the profile, as the platform holds it.
    pub email: Option<Personal<String>>,
    /// The language in the profile, if the platform gave one.
    pub language: Option<String>,
    /// Every identifier in the profile that could be normalised.
    pub identifiers: Vec<SubjectIdentifier>,
    /// Every identifier in the profile as the platform wrote it, also what could not be normalised: what a search is
    /// compared with.
    pub held: Vec<(IdentifierKind, Personal<String>)>,
    /// The whole profile as the platform wrote it.
    pub raw: RawRecord,
}

/// The answer to a search by one identifier.
#[derive(Clone, Debug)]
pub struct SearchAnswer {
    /// The contacts whose own value equals the identifier, each once.
    pub contacts: Vec<Contact>,
    /// Contacts that the platform returned although they do not match; dropped here.
    pub strangers: u64,
    /// Records that could not be read at all; absence cannot be known while there are any.
    pub unreadable: u64,
    /// How the answer was found.
    pub coverage: Coverage,
}

/// Whether a search or listing can be trusted to have seen everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The platform filters by this identifier (checked by a probe), or everything was read and filtered here.
    Complete,
    /// The platform does not honour the filter, and a full read is switched off or cannot have seen everybody: neither
    /// absence nor that there is no other match can be known.
    FilterNotHonoured,
}

/// One contact in a listing: only what a sweep needs, so that a million of them stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedContact {
    /// The platform's id.
    pub id: ContactId,
    /// When it was created.
    pub created: Created,
    /// The dates of activity that the listing shows.
    pub shows: ProfileDates,
    /// The names of its top-level fields that the platform's documentation does not name; `(other)` for what is no plain
    /// name, because anything may stand there.
    pub undocumented: Vec<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct ListingBatch {
    /// The contacts of this page that were not seen before in this listing.
    pub contacts: Vec<ListedContact>,
    /// Records that could not be read (F-8): counted, never deleted.
    pub unreadable: u64,
    /// Contacts returned although they lie outside of what was asked for; dropped here.
    pub strangers: u64,
    /// Contacts whose creation date is missing or not readable; dropped here, because their age is no ground for
    /// anything.
    pub undated: u64,
}

/// Some of the records of one source.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    /// The records, each the text of one JSON object, in the platform's order.
    pub records: Vec<RawRecord>,
    /// Records that came and could not be read, or that the platform announced and did not send (S-24): a report has to
    /// say that they are missing.
    pub unreadable: u64,
}

/// How the platform took an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectAnswer {
    /// Accepted; whether it took effect must be read back.
    Accepted,
    /// The contact was not there.
    Absent,
}

/// Leave to send an effect, asked right before each time it is sent: the call may have waited long for its turn, and whoever
/// gave the leave may have lost the request meanwhile.
#[derive(Clone, Copy)]
pub struct Leave<'a>(&'a (dyn Fn() -> bool + Send + Sync));

impl<'a> Leave<'a> {
    /// Leave that is never taken back.
    pub const ALWAYS: Leave<'static> = Leave(&|| true);

    /// Leave that stands as long as `stands` says so.
    #[must_use]
    pub const fn while_it(stands: &'a (dyn Fn() -> bool + Send + Sync)) -> Self {
        Self(stands)
    }

    /// Whether the effect may be sent now.
    #[must_use]
    pub fn stands(self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Leave<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Leave")
    }
}

/// What a start-up probe found out about one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterTrust {
    /// An impossible value found nobody, and a value that a contact shows, where there is one, found that contact, by its
    /// normal form, too.
    Honoured,
    /// An impossible value found somebody: the platform ignores this filter.
    Ignored,
    /// The probe failed, or the filter does not find what the platform itself shows, or by that very spelling only; why is in
    /// the log. Whoever is looked for needs a full read.
    Unknown,
}

/// The answer of [`ContactPlatform::probe`].
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// Trust in the search by each kind of identifier.
    pub searches: BTreeMap<IdentifierKind, FilterTrust>,
    /// Trust in the filter by creation date.
    pub created: FilterTrust,
    /// The organisation's policy names, where the platform tells them.
    pub policies: Option<Vec<String>>,
    /// The platform's own clock minus ours, from the `Date` header, where it gave one.
    pub clock_difference_secs: Option<i64>,
}

/// Why a call gave no answer. The class decides what happens next; the text is for operators and names no person.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlatformError {
    /// The platform asks to wait (429) and the client's own patience is used up.
    #[error("{operation}: the platform limits the rate; next try in {} s", wait.as_secs())]
    Throttled {
        /// Which call.
        operation: &'static str,
        /// How long to wait before the next try.
        wait: Duration,
    },
    /// No connection, a time-out, or a server error, after the client's own retries.
    #[error("{operation}: the platform is unavailable ({detail})")]
    Unavailable {
        /// Which call.
        operation: &'static str,
        /// What was seen, without personal data.
        detail: String,
    },
    /// The call may have taken effect, but its answer was lost: read before deciding anything.
    #[error("{operation}: the answer was lost ({detail}); the effect is unknown until it is read back")]
    AnswerLost {
        /// Which call.
        operation: &'static str,
        /// What was seen, without personal data.
        detail: String,
    },
    /// The platform refused the call for good (400, 405, 409, 410, 422, or `status: KO`).
    #[error("{operation}: the platform refused the call ({detail})")]
    Rejected {
        /// Which call.
        operation: &'static str,
        /// Status and the platform's words, redacted and cut.
        detail: String,
    },
    /// The key is wrong or was revoked (401 after a fresh log-in).
    #[error(
        "{operation}: the platform does not accept the key; check client_key_file and client_secret_file"
    )]
    BadCredentials {
        /// Which call.
        operation: &'static str,
    },
    /// The key is right but may not do this (403 with a fresh token).
    #[error(
        "{operation}: the key may not do this; it needs the role Organization Manager and the scopes {scopes}"
    )]
    Forbidden {
        /// Which call.
        operation: &'static str,
        /// The scopes that the vendor's documentation names for the call.
        scopes: &'static str,
    },
    /// The answer came but could not be read: never taken for "no data".
    #[error("{operation}: the platform's answer cannot be read ({detail})")]
    Unreadable {
        /// Which call.
        operation: &'static str,
        /// What was wrong with it, without its content.
        detail: String,
    },
    /// The answer exceeds a configured limit of size, depth or time.
    #[error("{operation}: the platform's answer exceeds {limit}")]
    TooLarge {
        /// Which call.
        operation: &'static str,
        /// Which limit, with its setting's name.
        limit: String,
    },
    /// The leave to send an effect was gone when its turn came: it was not sent.
    #[error("{operation}: it was not sent, because the leave to send it ended while it waited for its turn")]
    Withheld {
        /// Which call.
        operation: &'static str,
    },
    /// An effect was asked of a read-only port.
    #[error("{operation}: this connection to the platform is read-only")]
    ReadOnly {
        /// Which call.
        operation: &'static str,
    },
}

impl PlatformError {
    /// Whether the failure is one of what was asked for, so that the same call for another contact may succeed. Every other
    /// failure concerns all calls.
    #[must_use]
    pub const fn concerns_one(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::TooLarge { .. } | Self::Rejected { .. })
    }

    /// Whether nobody is served for now, whatever is asked: the platform does not answer, or refuses the key.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::AnswerLost { .. } | Self::BadCredentials { .. })
    }
}

/// The contacts of one organisation at a contact platform.
pub trait ContactPlatform: Send + Sync + fmt::Debug {
    /// Finds the contacts that carry an identifier.
    fn search<'a>(&'a self, identifier: &'a SubjectIdentifier) -> Call<'a, SearchAnswer>;

    /// Reads a contact; `None` when it is gone or never was.
    fn find_contact<'a>(&'a self, id: &'a ContactId, urgency: Urgency) -> Call<'a, Option<Contact>>;

    /// Reads all records of one source. `None` when the platform answers that the contact does not exist.
    fn records<'a>(
        &'a self,
        id: &'a ContactId,
        source: Source,
        urgency: Urgency,
    ) -> Call<'a, Option<Records<'a>>>;

    /// Lists the contacts created before an instant, oldest first, as far as the platform sorts. Every contact is
    /// compared again here; those of unknown or later creation are dropped and counted.
    fn list_created_before(&self, before: DateTime<Utc>) -> Listing<'_>;

    /// Counts all contacts, by listing them.
    fn count_contacts(&self) -> Call<'_, u64>;

    /// Sets one policy of a contact. `policy` is the platform's name without prefix, or with `customs.` for a custom
    /// opt-in.
    fn set_policy<'a>(
        &'a self,
        id: &'a ContactId,
        policy: &'a str,
        accepted: bool,
        leave: Leave<'a>,
    ) -> Call<'a, EffectAnswer>;

    /// Deletes a contact.
    fn delete_contact<'a>(&'a self, id: &'a ContactId, leave: Leave<'a>) -> Call<'a, EffectAnswer>;

    /// Checks which filters the platform honours, with values that nobody can have, and remembers it for `search`.
    fn probe(&self) -> Call<'_, ProbeReport>;

    /// The searches whose filter the platform ignores, by the latest probe or by what a search has brought back since.
    /// Makes no call.
    fn ignored_searches(&self) -> Vec<IdentifierKind>;

    /// Checks that the configured key belongs to the configured organisation (S-14).
    fn check_organisation(&self) -> Call<'_, OrganisationMatch>;

    /// Reads a page of the contact list, whatever was read before: whether people can be served now (F-46).
    fn check_contacts(&self) -> Call<'_, ()>;

    /// Ends the session at the platform; errors are of no consequence.
    fn log_out(&self) -> Call<'_, ()>;
}

/// The answer of [`ContactPlatform::check_organisation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganisationMatch {
    /// The key belongs to the configured organisation.
    Same,
    /// The key belongs to another organisation: refuse to start.
    Other,
    /// The platform does not tell.
    Unknown,
}

/// The rate budget of one platform key, shared by all workers that use the key (and, where the implementation says
/// so, by all daemons).
pub trait CallBudget: Send + Sync + fmt::Debug {
    /// Waits until one more call may be made.
    fn acquire(&self, urgency: Urgency) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Stops every worker of this key for a while (429). A shorter pause never cuts a longer one.
    fn pause(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
