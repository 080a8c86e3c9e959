//! Why a hold cannot be placed, reviewed or lifted.

use crate::domain::{HoldCategory, HoldKind};
use crate::store::StoreError;

/// Why an act on a hold is refused.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// No date of review was given.
    #[error("a hold needs a date of review; say by when somebody must look whether it is still needed")]
    NoReview,
    /// The date of review has passed, or lies further away than a year.
    #[error("the date of review must lie within the next 366 days, after today")]
    ReviewOutOfRange,
    /// The last day has passed.
    #[error("the hold would have ended already; give a last day from today on")]
    EndInPast,
    /// A statutory hold has no end.
    #[error("a statutory hold needs an end; give a last day, or the months after the last record")]
    StatuteWithoutEnd,
    /// Months after the last record of something that has no records.
    #[error(
        "months after the last record need events, devices or accountings; {0} has no last record: give a last day"
    )]
    NoRecords(HoldCategory),
    /// Months out of range.
    #[error("months after the last record must be from 1 to 240")]
    Months,
    /// The ground does not go with the kind.
    #[error("a {kind} hold cannot rest on {ground}; it can on {known}")]
    GroundDoesNotFit {
        /// What kind of hold.
        kind: HoldKind,
        /// The ground given.
        ground: String,
        /// Those that can be given.
        known: String,
    },
    /// A law of the library with another kind.
    #[error("a statute belongs to a statutory hold")]
    StatuteOfOtherKind,
    /// The owner is not a plain name.
    #[error("the owner must be an account or mailbox of 1 to 63 letters, digits and _ . @ -")]
    Owner,
    /// The number of the matter is not plain.
    #[error("the number of the matter must be 1 to 60 letters, digits and _ . / : + -, and never a name")]
    Matter,
    /// Nobody is meant.
    #[error("the hold is about nobody; name a request, give identifiers, or a span of creation dates")]
    AboutNobody,
    /// The span ends before it begins.
    #[error("the span of creation dates is empty; created_from must lie before created_before")]
    EmptySpan,
    /// There is no such hold.
    #[error("no such hold in this organisation; see `dsrd hold list`")]
    NotFound,
    /// It ended before.
    #[error("the hold has ended already; place a new one")]
    Ended,
    /// The settings placed it.
    #[error("the hold follows from holds.statutes in the settings; take the statute out there")]
    FromSettings,
    /// The reason belongs to another kind.
    #[error("a restriction is lifted with restriction_ended, once the person was told (Art. 18(3) GDPR)")]
    RestrictionReason,
    /// A restriction with a last day.
    #[error(
        "a restriction ends when it is lifted, after the person was told (Art. 18(3) GDPR); leave its end out and give a \
         date of review"
    )]
    RestrictionEndsByItself,
    /// One at a time.
    #[error("the person of this request is restricted already; see `dsrd hold list`")]
    RestrictedAlready,
    /// Another kind of hold.
    #[error("the end of a restriction is announced; other holds end with `dsrd hold lift`")]
    NoRestriction,
    /// The day lies not after today, or too far.
    #[error("the restriction must end after today and within a year, so that the person can object")]
    EndTooSoon,
    /// The person does not know yet.
    #[error(
        "the person has not been told that the restriction ends: announce it with `dsrd hold announce-end`, and lift it when \
         the mail server has taken that notice (Art. 18(3) GDPR)"
    )]
    NotTold,
    /// The day that the person was told has not come.
    #[error("the person was told that the restriction ends on {0}; it can be lifted from that day on")]
    BeforeItsDay(chrono::NaiveDate),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
