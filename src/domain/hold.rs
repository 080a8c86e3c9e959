//! The words of holds: why something must not be erased for now.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Origin;
use super::request::vocabulary;

vocabulary! {
    /// What kind of order a hold is, from the strongest to the weakest.
    HoldKind, "kind of hold" {
        /// A court or an authority ordered that the data be kept (Art. 17(3)(b) and (e) GDPR).
        Court = "court",
        /// The data is needed for legal claims (Art. 17(3)(e) GDPR).
        Claim = "claim",
        /// A law obliges to keep it for some time (Art. 17(3)(b) GDPR).
        Statutory = "statutory",
        /// The person has the data restricted (Art. 18 GDPR): no sweep takes it, their own erasure does. What follows by itself from an
        /// older wish waits for a person.
        Restriction = "restriction",
    }
}

impl HoldKind {
    /// Whether it stops an erasure of this origin: court and claim before statute, before a person's erasure, before a
    /// restriction, before a sweep.
    #[must_use]
    pub const fn stops(self, origin: Origin) -> bool {
        match self {
            Self::Court | Self::Claim | Self::Statutory => true,
            Self::Restriction => matches!(origin, Origin::Retention),
        }
    }

    /// The grounds of the law on which it can rest, by their stored words.
    #[must_use]
    pub const fn grounds(self) -> &'static [&'static str] {
        match self {
            Self::Court => &["RF-08", "RF-10", "RF-06", "RF-07", "RF-09"],
            Self::Claim => &["RF-10"],
            Self::Statutory => &["RF-08", "RF-06", "RF-09"],
            Self::Restriction => &["art_18"],
        }
    }
}

vocabulary! {
    /// What a hold keeps. The platform deletes a contact as a whole, so that each stops the deletion.
    HoldCategory, "category of a hold" {
        /// All that is held about the person.
        Everything = "everything",
        /// The profile.
        Profile = "profile",
        /// Visits and connections as events.
        Events = "events",
        /// Devices with their addresses.
        Devices = "devices",
        /// Connection records.
        Accountings = "accountings",
    }
}

impl HoldCategory {
    /// Whether it consists of dated records, of which one is the last.
    #[must_use]
    pub const fn has_records(self) -> bool {
        matches!(self, Self::Events | Self::Devices | Self::Accountings)
    }
}

vocabulary! {
    /// Why a person ends a hold before its time.
    LiftReason, "reason to lift" {
        /// The claim was settled, or is barred by time.
        ClaimSettled = "claim_settled",
        /// The court or the authority lifted its order.
        OrderEnded = "order_ended",
        /// A review found that it is not needed any more.
        Reviewed = "reviewed",
        /// It was placed by mistake.
        Mistake = "mistake",
        /// The person agreed, or was told before, that the restriction ends (Art. 18(3) GDPR).
        RestrictionEnded = "restriction_ended",
    }
}

vocabulary! {
    /// Laws that oblige an operator of public Wi-Fi to keep connection records. None holds by itself: whether one applies
    /// is the controller's decision.
    Statute, "statute" {
        /// France, Art. L.34-1 CPCE: connection data for one year.
        FrenchConnectionLogs = "fr_connection_logs",
        /// Italy, Art. 132 of the Codice privacy: internet traffic data for twelve months.
        ItalianTrafficData = "it_traffic_data",
        /// Italy, Art. 24 of law 167/2017: traffic data for seventy-two months.
        ItalianTrafficDataLong = "it_traffic_data_72",
        /// Spain, law 25/2007: connection data for twelve months.
        SpanishConnectionLogs = "es_connection_logs",
    }
}

impl Statute {
    /// What it keeps.
    #[must_use]
    pub const fn category(self) -> HoldCategory {
        HoldCategory::Accountings
    }

    /// How many months after the last record of that category.
    #[must_use]
    pub const fn months(self) -> u8 {
        match self {
            Self::FrenchConnectionLogs | Self::ItalianTrafficData | Self::SpanishConnectionLogs => 12,
            Self::ItalianTrafficDataLong => 72,
        }
    }

    /// Its name as the person reads it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::FrenchConnectionLogs => "Art. L.34-1 CPCE (France)",
            Self::ItalianTrafficData => "Art. 132 Codice privacy (Italy)",
            Self::ItalianTrafficDataLong => "Art. 24 Legge 167/2017 (Italy)",
            Self::SpanishConnectionLogs => "Ley 25/2007 (Spain)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_65_a_restriction_stops_sweeps_and_every_other_hold_stops_the_persons_erasure_too() {
        for kind in HoldKind::ALL {
            assert!(kind.stops(Origin::Retention), "{kind}");
            assert_eq!(kind.stops(Origin::Subject), *kind != HoldKind::Restriction, "{kind}");
            assert!(!kind.grounds().is_empty());
        }
        assert!(HoldKind::Court < HoldKind::Claim && HoldKind::Claim < HoldKind::Statutory);
    }

    #[test]
    fn r_66_each_statute_is_about_records_that_have_a_last_one() {
        for statute in Statute::ALL {
            assert!(statute.category().has_records() && statute.months() >= 12, "{statute}");
            assert_eq!(statute.as_str().parse(), Ok(*statute));
        }
    }
}
