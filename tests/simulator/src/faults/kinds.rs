//! The fault switches.

use std::time::Duration;

use crate::journal::Endpoint;
use crate::settings::RetryAfter;

/// One way in which the platform, or the way to it, misbehaves.
///
/// A fault concerns only the endpoints for which it has a meaning ([`Fault::concerns`]); calls of others neither meet it
/// nor use up its number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    // ----- the connection -----
    /// The connection is closed without an answer and **without effect**.
    FailWithoutEffect,
    /// The call **takes effect** and the connection is closed before the first byte of the answer.
    LoseAnswer,
    /// The connection is reset (TCP RST) without an answer and without effect.
    ResetBeforeEffect,
    /// The call takes effect, then the connection is reset without an answer.
    ResetAfterEffect,
    /// No answer ever comes; no effect.
    NeverAnswer,
    /// The call takes effect, and no answer ever comes.
    HangAfterEffect,
    /// The call takes effect at once and is answered after this time, which the timer rounds up to the next millisecond.
    Latency(Duration),
    /// The head of the answer is sent byte by byte, one each time this long passes.
    SlowHeaders(Duration),
    /// The body stops after so many bytes, and the connection stays open.
    StalledBody {
        /// Bytes sent before the stall.
        after: usize,
    },
    /// The body is sent in pieces with pauses.
    SlowBody {
        /// Bytes per piece.
        bytes: usize,
        /// Pause before each piece.
        pause: Duration,
    },
    /// The connection is reset after so many bytes of the whole answer, counted from the first byte of its head.
    ResetAfterBytes(usize),
    /// The body is half as long as its `Content-Length` says, then the connection closes.
    CutWithLength,
    /// The chunked body ends after half without its last chunk.
    CutChunked,
    /// The body ends after half of its records, closed so that it is valid JSON, without length: only the end of the
    /// connection ends it.
    CutAtValidJson,

    // ----- the answer as a whole -----
    /// 429 without effect.
    TooManyRequests(RetryAfter),
    /// Another status without effect, such as 500 or 503; the body is the platform's error object.
    Status(u16),
    /// 307 to another URL, without effect.
    Redirect {
        /// The `Location` header.
        location: String,
    },
    /// 200 with an HTML page (a login page of a proxy), without effect.
    HtmlPage,
    /// 200 with an empty body, without effect.
    EmptyBody,
    /// 204, without effect.
    NoContent,
    /// 200 with the JSON value `null`, without effect.
    NullBody,
    /// 200 with `{"status": "KO"}`, without effect.
    StatusKo,
    /// 200 with any body, without effect.
    Body(String),
    /// The right body under another content type.
    ContentType(String),
    /// An additional header, or another value for one such as `Date`.
    Header {
        /// Name of the header.
        name: String,
        /// Its value.
        value: String,
    },
    /// An additional header of so many bytes.
    HugeHeader(usize),
    /// The right body, compressed, followed by spaces: so many bytes when unpacked, a thousandth on the wire.
    GzipBomb {
        /// Length when unpacked.
        unpacked: u64,
    },
    /// A contact whose first name has so many bytes, streamed (list and by id).
    HugeString(u64),

    // ----- login, token, scope -----
    /// The token stands only in the `Authorization` header of the answer.
    TokenOnlyInHeader,
    /// The token in the body only.
    TokenOnlyInBody,
    /// Expired and revoked tokens are answered with 401 instead of 403.
    ExpiryAs401,
    /// The call's token is treated as expired.
    TokenExpired,
    /// The key has lost the scope of the endpoint.
    ScopeLost,

    // ----- envelopes and values -----
    /// A list is a bare array.
    BareArray,
    /// A list stands under another key.
    EnvelopeKey(String),
    /// A list stands where no reader finds it: `{"page": {"rows": "<number>"}}`.
    UnrecognisedEnvelope,
    /// The contact by id stands under `customer`.
    ContactUnderCustomer,
    /// Missing values are `null`.
    NullsForMissing,
    /// Numbers are strings.
    NumbersAsStrings,
    /// Booleans are strings.
    BooleansAsStrings,
    /// `created` is not a date.
    UnparseableCreated,
    /// `created` is the local time of a zone so many hours ahead of UTC, with the platform's false `Z`; filters and order
    /// keep to the instant.
    LocalCreated(i64),
    /// Events have an unknown type.
    UnknownEventType,
    /// Events have the flat shape of the documented schema.
    FlatEvents,
    /// One hostile record in each list of contacts, events, devices or accountings, or the contact by id itself.
    Poison {
        /// The kind of poison.
        poison: Poison,
        /// Place in the page, from 0.
        position: usize,
    },
    /// Every contact has so many events, devices or accountings (by the endpoint called).
    RecordNumber(u32),

    // ----- searching and scrolling -----
    /// All filters and searches of the list are ignored.
    FilterIgnored,
    /// A search by e-mail finds every address that begins like the searched one's local part.
    PrefixMatch,
    /// By id comes another contact.
    OtherContact,
    /// The scroll id of the call has expired.
    ScrollExpired,
    /// Every page carries the same scroll id, and that id always gives the first page again.
    SameScrollPage,
    /// The page has only half of its contacts and a scroll id; the rest follows.
    ShortPage,
    /// The page is empty and has a scroll id; the contacts follow with the next.
    EmptyPage,
    /// The page is twice as long as asked for.
    SizeIgnored,
    /// The page has so many contacts at most, whatever is asked for.
    PageCap(usize),
    /// Each contact of the page stands there twice in a row (the page has the size asked for).
    DuplicateContacts,
    /// The page begins with the last contacts (a quarter of the size) of the one before.
    OverlappingPages,
    /// No scroll id comes back although more contacts remain.
    NoScrollId,
    /// Scrolling works on the living state instead of a snapshot: deletions shift the pages.
    LiveScroll,
    /// After the page was made, so many contacts of later pages are deleted.
    DeleteWhileScrolling(usize),
    /// After the page was made, so many contacts are added.
    CreateWhileScrolling(usize),

    // ----- deletion and policies -----
    /// The deletion is answered 201 and happens after so many reads of the contact by id.
    DeleteAfterReads(u32),
    /// The deletion is answered 201 and happens after this time.
    DeleteAfter(Duration),
    /// The deletion is answered 200 and never happens.
    DeleteIgnored,
    /// The contact stays readable with `"deleted": true`.
    SoftDelete,
    /// The profile is deleted; events, devices and accountings go on answering.
    PartialDelete,
    /// The policy update is answered 200 and changes nothing.
    PolicyNotApplied,
    /// Withdrawing `privacy` or `termsOfUse` removes the personal data from the profile.
    PrivacyWipesProfile,
}

/// A hostile record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poison {
    /// U+0000, escaped, in the first name (records without one: in a member `note`).
    Nul,
    /// Half of a surrogate pair, escaped.
    LoneSurrogate,
    /// `1e999` as a number.
    HugeExponent,
    /// A number of 40 digits.
    FortyDigits,
    /// Arrays nested 200,000 deep.
    DeepNesting,
    /// The member `cid` twice, the second with another id.
    DuplicateCid,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A record that is a number instead of an object.
    NotAnObject,
    /// No id.
    WithoutId,
    /// Any JSON text in place of the record.
    Record(String),
}

/// Stage of a call at which a fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Instead of the work.
    Before,
    /// While or after the work is done.
    Within,
}

impl Fault {
    /// True for the endpoints on which this fault has a meaning.
    #[must_use]
    pub fn concerns(&self, endpoint: Endpoint) -> bool {
        use Endpoint as E;
        match self {
            Self::TokenOnlyInHeader | Self::TokenOnlyInBody => endpoint == E::Login,
            Self::ExpiryAs401 | Self::TokenExpired | Self::ScopeLost => {
                endpoint != E::Login && endpoint != E::Unknown
            }
            Self::BareArray | Self::EnvelopeKey(_) | Self::UnrecognisedEnvelope => matches!(
                endpoint,
                E::ListContacts
                    | E::ContactEvents
                    | E::Devices
                    | E::Accountings
                    | E::OrganisationEvents
                    | E::Locations
                    | E::Segments
            ),
            Self::ContactUnderCustomer | Self::OtherContact => endpoint == E::Contact,
            Self::UnparseableCreated | Self::LocalCreated(_) | Self::HugeString(_) => {
                matches!(endpoint, E::Contact | E::ListContacts)
            }
            Self::Poison { .. }
            | Self::NullsForMissing
            | Self::NumbersAsStrings
            | Self::BooleansAsStrings => matches!(
                endpoint,
                E::Contact
                    | E::ListContacts
                    | E::ContactEvents
                    | E::Devices
                    | E::Accountings
                    | E::OrganisationEvents
            ),
            Self::UnknownEventType | Self::FlatEvents => {
                matches!(endpoint, E::ContactEvents | E::OrganisationEvents)
            }
            Self::RecordNumber(_) => matches!(endpoint, E::ContactEvents | E::Devices | E::Accountings),
            Self::FilterIgnored
            | Self::PrefixMatch
            | Self::ScrollExpired
            | Self::SameScrollPage
            | Self::ShortPage
            | Self::EmptyPage
            | Self::SizeIgnored
            | Self::PageCap(_)
            | Self::DuplicateContacts
            | Self::OverlappingPages
            | Self::NoScrollId
            | Self::LiveScroll
            | Self::DeleteWhileScrolling(_)
            | Self::CreateWhileScrolling(_) => endpoint == E::ListContacts,
            Self::DeleteAfterReads(_)
            | Self::DeleteAfter(_)
            | Self::DeleteIgnored
            | Self::SoftDelete
            | Self::PartialDelete => endpoint == E::DeleteContact,
            Self::PolicyNotApplied | Self::PrivacyWipesProfile => endpoint == E::UpdatePolicies,
            _ => true,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::FailWithoutEffect
            | Self::ResetBeforeEffect
            | Self::NeverAnswer
            | Self::TooManyRequests(_)
            | Self::Status(_)
            | Self::Redirect { .. }
            | Self::HtmlPage
            | Self::EmptyBody
            | Self::NoContent
            | Self::NullBody
            | Self::StatusKo
            | Self::Body(_) => Stage::Before,
            _ => Stage::Within,
        }
    }

    /// True when the caller does not get the whole answer.
    pub(crate) fn withholds(&self) -> bool {
        matches!(
            self,
            Self::FailWithoutEffect
                | Self::LoseAnswer
                | Self::ResetBeforeEffect
                | Self::ResetAfterEffect
                | Self::NeverAnswer
                | Self::HangAfterEffect
                | Self::StalledBody { .. }
                | Self::ResetAfterBytes(_)
                | Self::CutWithLength
                | Self::CutChunked
                | Self::CutAtValidJson
        )
    }

    /// This fault on one endpoint only.
    #[must_use]
    pub fn on(self, endpoint: Endpoint) -> super::FaultPlan {
        super::FaultPlan::from(self).on(endpoint)
    }

    /// This fault for the next `number` calls that it concerns.
    #[must_use]
    pub fn times(self, number: u32) -> super::FaultPlan {
        super::FaultPlan::from(self).times(number)
    }
}
