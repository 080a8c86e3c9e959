//! Regimes: what a law says about time, as versioned data.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize};

use super::{DeadlineError, PauseCause, Period};
use crate::domain::{Handling, RequestKind};

const FILE: &str = include_str!("../../../config/regimes.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegimesWire {
    regimes: Vec<RegimeWire>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegimeWire {
    code: String,
    name: String,
    version: u32,
    valid_from: NaiveDate,
    limit: Period,
    extension: Option<Period>,
    rolls: bool,
    pauses: PausesWire,
    margin_days: u32,
    target_days: TargetsWire,
    acknowledge_business_days: Option<u32>,
    opt_out_business_days: Option<u32>,
    incident_hours: Option<u32>,
    no_asking_months: Option<u32>,
    record_months: Option<u32>,
    source: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PausesWire {
    identity: PauseEffect,
    clarification: PauseEffect,
    fee: PauseEffect,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetsWire {
    access: u32,
    erasure: u32,
    opt_out: u32,
}

/// What the time does while the organisation waits for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseEffect {
    /// It runs on.
    Run,
    /// It stands still; the day of asking is not counted, the day of the answer is.
    Suspend,
    /// It stands still; the day of asking and the day of the answer are both counted.
    SuspendBothEnds,
    /// It begins anew on the day of the answer.
    Restart,
}

/// One version of a regime.
#[derive(Debug)]
pub struct Regime {
    /// Its name, for people.
    pub name: String,
    /// The version.
    pub version: u32,
    /// The first day of receipt that it holds for.
    pub valid_from: NaiveDate,
    /// The term for an answer.
    pub limit: Period,
    /// By how much the term can be extended, once; none where the law fixes no length.
    pub extension: Option<Period>,
    /// Whether a last day that is no working day moves to the next one.
    pub rolls: bool,
    /// Days by which the internal date stays before the unrolled one.
    pub margin_days: u32,
    /// Business days until receipt must be confirmed.
    pub acknowledge_business_days: Option<u32>,
    /// Business days until an opt-out must be carried out; none where the limit holds for it too.
    pub opt_out_business_days: Option<u32>,
    /// Hours from becoming aware of a breach to telling the authority.
    pub incident_hours: Option<u32>,
    /// Months after an opt-out during which nobody may ask the person to change their mind; none where the law sets none.
    pub no_asking_months: Option<u32>,
    /// Months for which records of requests and of the answers must be kept; none where the law sets no number.
    pub record_months: Option<u32>,
    /// Where it stands.
    pub source: String,
    pauses: PausesWire,
    target_days: TargetsWire,
}

impl Regime {
    /// What the time does while the organisation waits for that cause.
    #[must_use]
    pub const fn effect(&self, cause: PauseCause) -> PauseEffect {
        match cause {
            PauseCause::Identity => self.pauses.identity,
            PauseCause::Clarification => self.pauses.clarification,
            PauseCause::Fee => self.pauses.fee,
        }
    }

    /// Days from the start until a request of that kind should be answered ("without undue delay").
    #[must_use]
    pub const fn target_days(&self, kind: RequestKind) -> u32 {
        match kind.handling() {
            Handling::Access | Handling::Portability | Handling::Person => self.target_days.access,
            Handling::Erasure => self.target_days.erasure,
            Handling::OptOut => self.target_days.opt_out,
        }
    }

    /// The term in business days, for the kind of request that has one.
    pub(super) fn business_term(&self, kind: Option<RequestKind>) -> Option<u32> {
        let is_opt_out = kind.is_some_and(|kind| kind.handling() == Handling::OptOut);
        self.opt_out_business_days.filter(|_| is_opt_out)
    }
}

impl From<RegimeWire> for Regime {
    fn from(wire: RegimeWire) -> Self {
        Self {
            name: wire.name,
            version: wire.version,
            valid_from: wire.valid_from,
            limit: wire.limit,
            extension: wire.extension,
            rolls: wire.rolls,
            margin_days: wire.margin_days,
            acknowledge_business_days: wire.acknowledge_business_days,
            opt_out_business_days: wire.opt_out_business_days,
            incident_hours: wire.incident_hours,
            no_asking_months: wire.no_asking_months,
            record_months: wire.record_months,
            source: wire.source,
            pauses: wire.pauses,
            target_days: wire.target_days,
        }
    }
}

/// Versions by code, each list from the oldest to the newest.
static REGIMES: LazyLock<BTreeMap<String, Vec<Regime>>> = LazyLock::new(|| {
    let wire: RegimesWire =
        toml::from_str(FILE).expect("the compiled-in regimes are read by a test of this module");
    let mut regimes: BTreeMap<String, Vec<Regime>> = BTreeMap::new();
    for each in wire.regimes {
        regimes.entry(each.code.clone()).or_default().push(each.into());
    }
    for versions in regimes.values_mut() {
        versions.sort_by_key(|version| version.valid_from);
    }
    regimes
});

/// The code of a regime that exists, for example `EU`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RegimeCode(&'static str);

/// The law behind a regime, as far as it decides what people are told: whose articles are cited, and who is complained to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// The General Data Protection Regulation.
    Gdpr,
    /// The same as the law of the United Kingdom.
    UkGdpr,
    /// Those of states of the United States.
    UnitedStates,
    /// The Swiss Federal Act on Data Protection.
    Switzerland,
    /// The Brazilian General Data Protection Law.
    Brazil,
}

impl RegimeCode {
    /// The General Data Protection Regulation, without pauses.
    pub const EU: Self = Self("EU");
    /// The California Consumer Privacy Act with its regulations.
    pub const CALIFORNIA: Self = Self("US-CA");

    /// Every code, in alphabetical order.
    pub fn all() -> impl Iterator<Item = Self> {
        REGIMES.keys().map(|code| Self(code))
    }

    /// The code as written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The law that stands behind it.
    #[must_use]
    pub fn law(self) -> Law {
        match self.0 {
            "UK" => Law::UkGdpr,
            "CH" => Law::Switzerland,
            "BR" => Law::Brazil,
            code if code.starts_with("US-") => Law::UnitedStates,
            _ => Law::Gdpr,
        }
    }

    /// Every version, the oldest first; never empty.
    ///
    /// # Panics
    /// Never: a code is made only of a regime that exists, and a test reads the file.
    #[must_use]
    pub fn versions(self) -> &'static [Regime] {
        REGIMES.get(self.0).expect("a code is made only of a regime that exists")
    }

    /// The version for requests received on that local day.
    pub fn version_on(self, day: NaiveDate) -> Result<&'static Regime, DeadlineError> {
        let versions = self.versions();
        versions.iter().rev().find(|version| version.valid_from <= day).ok_or_else(|| {
            let valid_from = versions.first().map_or(NaiveDate::MIN, |first| first.valid_from);
            DeadlineError::NotYetInForce { code: self.0, valid_from, day }
        })
    }
}

impl Default for RegimeCode {
    fn default() -> Self {
        Self::EU
    }
}

impl FromStr for RegimeCode {
    type Err = DeadlineError;

    fn from_str(text: &str) -> Result<Self, DeadlineError> {
        REGIMES.get_key_value(text).map(|(code, _)| Self(code)).ok_or_else(|| DeadlineError::Regime {
            code: text.chars().take(20).collect(),
            known: REGIMES.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

impl<'de> Deserialize<'de> for RegimeCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for RegimeCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole() {
        let wire: RegimesWire = toml::from_str(FILE).unwrap_or_else(|error| panic!("{error}"));
        let mut seen = std::collections::BTreeSet::new();
        for each in &wire.regimes {
            assert!(
                seen.insert((each.code.clone(), each.version)),
                "{} version {} twice",
                each.code,
                each.version
            );
            assert!(!each.name.is_empty() && !each.source.is_empty(), "{}", each.code);
            if let Some(extension) = each.extension {
                assert!(
                    each.limit.joined(extension).is_some(),
                    "{}: limit and extension in one unit",
                    each.code
                );
            }
        }
        for code in RegimeCode::all() {
            let numbers: Vec<u32> = code.versions().iter().map(|each| each.version).collect();
            assert!(
                numbers.is_sorted() && code.versions().is_sorted_by_key(|each| each.valid_from),
                "{code}"
            );
        }
        assert_eq!("EU".parse(), Ok(RegimeCode::EU));
    }

    #[test]
    fn r_90_a_new_version_holds_for_requests_received_from_its_first_day() {
        let code: RegimeCode = "UK".parse().unwrap();
        let version = |day: &str| code.version_on(day.parse().unwrap()).map(|regime| regime.version);
        assert_eq!(version("2026-02-04"), Ok(1));
        assert_eq!(version("2026-02-05"), Ok(2));
        assert!(matches!(version("2020-12-31"), Err(DeadlineError::NotYetInForce { .. })));
    }
}
