//! Why a date cannot be told.

use chrono::NaiveDate;

/// Why a date cannot be told.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeadlineError {
    /// The text is no period.
    #[error("'{0}' is no period: write a number of months or days, for example 12m or 45d")]
    Period(String),
    /// No regime of that code.
    #[error("there is no regime '{code}': use one of {known}, or add it to config/regimes.toml")]
    Regime {
        /// What was asked for.
        code: String,
        /// The codes there are.
        known: String,
    },
    /// No calendar of that code.
    #[error("there is no calendar '{code}': use one of {known}, or add a file to config/calendars")]
    Calendar {
        /// What was asked for.
        code: String,
        /// The codes there are.
        known: String,
    },
    /// The regime has no version for that day.
    #[error(
        "regime {code} begins on {valid_from}, after {day}: name the regime that was in force on that day"
    )]
    NotYetInForce {
        /// The regime.
        code: &'static str,
        /// Its first day.
        valid_from: NaiveDate,
        /// The day asked for.
        day: NaiveDate,
    },
    /// The calendar does not know the holidays of that year, which is never read as "no holidays".
    #[error(
        "calendar {code} knows the holidays of {first} to {last}, not of {year}: add the year to its file as \
         docs/deadlines.md says; until then keep to the conservative date, {conservative_due}"
    )]
    YearUnknown {
        /// The calendar.
        code: &'static str,
        /// The year asked for.
        year: i32,
        /// The first year that it knows.
        first: i32,
        /// The last year that it knows.
        last: i32,
        /// The date that needs no calendar.
        conservative_due: NaiveDate,
    },
    /// The regime needs a calendar for what was asked.
    #[error("regime {0} needs a calendar of public holidays: name one, for example DE-BY")]
    NoCalendar(&'static str),
    /// The regime knows no extension of fixed length for that kind of request.
    #[error("regime {0} knows no extension of fixed length for this request: leave the extension out")]
    NoExtension(&'static str),
    /// The person was told of the extension too late.
    #[error(
        "the person was told of the extension on {notice}, after the first term had ended on {due}: the extension has no \
         effect, answer now"
    )]
    ExtensionTooLate {
        /// When the person was told.
        notice: NaiveDate,
        /// The end of the first term.
        due: NaiveDate,
    },
    /// A date lies before the receipt of the request.
    #[error("{what} on {day} lies before the receipt on {received}: correct one of the dates")]
    BeforeReceipt {
        /// What was dated.
        what: &'static str,
        /// Its day.
        day: NaiveDate,
        /// The day of receipt.
        received: NaiveDate,
    },
    /// A pause that ends before it begins.
    #[error("the pause from {from} to {to} ends before it begins: write FROM..TO")]
    Pause {
        /// Its first day.
        from: NaiveDate,
        /// Its last day.
        to: NaiveDate,
    },
    /// The regime knows no timer for incidents.
    #[error("regime {0} sets no hours for telling an authority of an incident: name another regime")]
    NoIncidentTimer(&'static str),
    /// The date lies outside of what can be computed.
    #[error("the date lies outside of what can be computed: use years of four digits and shorter periods")]
    OutOfRange,
}
