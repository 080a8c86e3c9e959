//! What an operator sets, and the rule that follows from it.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::schedule::{Schedule, ScheduleError};
use super::vocabulary::StopReason;
use crate::domain::{ActivityKind, ActivityRule, RetentionPeriod, WithoutActivity};
use crate::platform::Source;

/// From which event a retention period runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The creation of the contact.
    Created,
    /// The last contact that came from the person.
    LastActivity,
}

impl Anchor {
    /// The word as set, shown and audited.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::LastActivity => "last_activity",
        }
    }
}

/// Settings of the retention rule of one organisation.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether sweeps run, by schedule or because a person asks. A preview can be asked for before.
    pub enabled: bool,
    /// How many months a contact is kept after the event that `anchor` names. The legal reason for the number belongs into
    /// the controller's record of processing (Art. 30(1)(f) GDPR). No default.
    pub keep_months: Option<u32>,
    /// From which event the months run. `created` erases guests who still come, and is not what supervisory authorities
    /// count (CNIL: three years from the last contact that comes from the person), so that the controller has to confirm it:
    /// `[[decisions]]` with the key `retention.anchor`. `last_activity` reads the records of everybody old enough before
    /// anybody is erased.
    pub anchor: Anchor,
    /// For `last_activity`: what counts as contact from the person. `last_login` and `last_visit` stand in the profile and
    /// cost one call a contact, or none where the platform lists them; `events`, `devices` and `accountings` cost a call each.
    /// `events` is the contact's own list: clicks in campaigns and answers to surveys that stand in the organisation's list
    /// only are not read and do not count.
    pub activities: Vec<ActivityKind>,
    /// Types of events that are no contact from the person. Every other type counts, a new one of the platform included.
    pub passive_events: Vec<String>,
    /// What follows when nothing tells of any activity: `review` leaves the contact for a person to look at, `created` lets
    /// its period run from the creation.
    pub without_activity: WithoutActivity,
    /// Names of top-level fields of the profile, beside those that the vendor documents, that the controller knows and has
    /// decided about: the rule for contacts covers them. A field that is neither is a finding of each sweep
    /// (`unclassified_data`).
    pub classified_fields: Vec<String>,
    /// For how long the records of contacts that are kept may be kept themselves.
    pub records: RecordTerms,
    /// Hours taken off on top, because the platform's creation date may be a local time without a zone. 24 covers
    /// every zone; less deletes contacts up to 14 hours too early.
    pub safety_margin_hours: u32,
    /// When sweeps run: a cron expression of five fields (minute hour day month weekday) or six, with seconds in
    /// front. Weekdays by name; day and weekday must both fit.
    pub schedule: String,
    /// The time zone of `schedule`, by its IANA name. UTC has no clock changes.
    pub schedule_time_zone: String,
    /// A sweep that would erase more than this percentage of all contacts stops before the first. No default.
    pub most_percent: Option<u8>,
    /// A sweep that would erase more contacts than this stops before the first. No default.
    pub most_contacts: Option<u64>,
    /// How many erasures are submitted in one database transaction.
    pub submit_batch: u16,
}

/// Terms of the records that hang on contacts. The platform deletes contacts only, so that what is past its term while
/// the contact is kept is reported as a gap. Each term needs a recorded decision with its legal reason and who answers for
/// it: `[[decisions]]` with the key `retention.records`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordTerms {
    /// How many months events may be kept. Nobody looks when it is not set.
    pub events_months: Option<u32>,
    /// How many months devices may be kept after their last connection. Nobody looks when it is not set.
    pub devices_months: Option<u32>,
    /// How many months connection records may be kept. Nobody looks when it is not set.
    pub accountings_months: Option<u32>,
    /// Into how many contacts, drawn at random, a sweep or preview looks at most: one call for each and category.
    pub most_looked_at: u32,
}

impl RecordTerms {
    /// The categories that have a term, with it.
    #[must_use]
    pub fn terms(&self) -> Vec<(Source, u32)> {
        [
            (Source::Events, self.events_months),
            (Source::Devices, self.devices_months),
            (Source::Accountings, self.accountings_months),
        ]
        .into_iter()
        .filter_map(|(source, months)| Some((source, months?)))
        .collect()
    }
}

/// Why settings give no retention rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A setting without a default is missing.
    #[error("retention.{0} is not set; a retention rule needs it and it has no default")]
    Missing(&'static str),
    /// A number is out of its range.
    #[error("retention.{setting} must be from {least} to {most}")]
    Range {
        /// The setting's name.
        setting: &'static str,
        /// The least value allowed.
        least: u64,
        /// The greatest value allowed.
        most: u64,
    },
    /// A period from the last activity for which no activity counts.
    #[error(
        "retention.activities is empty; a period from the last activity needs at least one kind that counts"
    )]
    NoActivity,
    /// A type of event that no platform can have.
    #[error("retention.passive_events must be words of letters, digits, `_` and `-`, 64 characters at most")]
    PassiveEvent,
    /// The schedule is refused.
    #[error("retention.schedule is refused")]
    Schedule(#[from] ScheduleError),
}

/// A checked retention rule. There is none without caps.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) enabled: bool,
    pub(super) keep_months: u32,
    /// What counts, for a period from the last activity; none for one from the creation.
    pub(super) activity: Option<ActivityRule>,
    /// Terms of the records of contacts that are kept, in months.
    pub(super) record_terms: Vec<(Source, u32)>,
    pub(super) most_looked_at: usize,
    pub(super) classified_fields: Vec<String>,
    /// Tells one wording of the rule from another: the beginning of a SHA-256 over its settings.
    pub(super) version: String,
    pub(super) safety_margin_hours: u32,
    pub(super) schedule: Schedule,
    pub(super) caps: Caps,
    pub(super) submit_batch: i64,
}

/// How much one sweep may erase at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of the organisation's contacts, in percent.
    pub most_percent: u8,
    /// In contacts.
    pub most_contacts: u64,
}

impl Caps {
    /// Which cap so many candidates among so many contacts exceed. Exactly at a cap is within it.
    #[must_use]
    pub fn exceeded_by(self, candidates: u64, contacts: u64) -> Option<StopReason> {
        if candidates > self.most_contacts {
            Some(StopReason::OverMostContacts)
        } else if u128::from(candidates) * 100 > u128::from(self.most_percent) * u128::from(contacts) {
            Some(StopReason::OverMostPercent)
        } else {
            None
        }
    }
}

/// How long a sweep that failed on a passing trouble waits before it is tried again.
pub(super) const RETRY_AFTER: TimeDelta = TimeDelta::hours(1);

/// How far our clock may differ from the platform's before a sweep refuses to run.
pub(super) const MOST_CLOCK_DIFFERENCE_SECS: u64 = 300;

impl Settings {
    /// What counts as activity, for a period that runs from the last one; none for one from the creation.
    #[must_use]
    pub fn activity(&self) -> Option<ActivityRule> {
        (self.anchor == Anchor::LastActivity).then(|| ActivityRule {
            kinds: self.activities.clone(),
            passive_events: self.passive_events.clone(),
            without: self.without_activity,
        })
    }

    /// How long contacts are kept by the rule in force; none while it is not enabled.
    #[must_use]
    pub fn period(&self) -> Option<RetentionPeriod> {
        let keep_months = self.keep_months.filter(|_| self.enabled)?;
        Some(RetentionPeriod { keep_months, safety_margin_hours: self.safety_margin_hours })
    }

    /// The version of the rule: it changes with every setting that may change what a sweep does.
    fn version(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(&Sha256::digest(text)[..8])
    }

    /// Checks the settings and gives the rule.
    pub fn rule(&self) -> Result<Rule, SettingsError> {
        let keep_months = self.keep_months.ok_or(SettingsError::Missing("keep_months"))?;
        let most_percent = self.most_percent.ok_or(SettingsError::Missing("most_percent"))?;
        let most_contacts = self.most_contacts.ok_or(SettingsError::Missing("most_contacts"))?;
        in_range("keep_months", u64::from(keep_months), 1, 1_200)?;
        in_range("safety_margin_hours", u64::from(self.safety_margin_hours), 0, 8_760)?;
        in_range("most_percent", u64::from(most_percent), 1, 100)?;
        in_range("most_contacts", most_contacts, 1, 100_000_000)?;
        in_range("submit_batch", u64::from(self.submit_batch), 1, 1_000)?;
        let is_word = |word: &String| {
            (1..=64).contains(&word.len())
                && word.bytes().all(|each| each.is_ascii_alphanumeric() || matches!(each, b'_' | b'-'))
        };
        if !self.passive_events.iter().all(is_word) {
            return Err(SettingsError::PassiveEvent);
        }
        let activity = self.activity();
        if activity.as_ref().is_some_and(|activity| activity.kinds.is_empty()) {
            return Err(SettingsError::NoActivity);
        }
        let record_terms = self.records.terms();
        for (source, months) in &record_terms {
            let setting = match source {
                Source::Events => "records.events_months",
                Source::Devices => "records.devices_months",
                Source::Accountings => "records.accountings_months",
            };
            in_range(setting, u64::from(*months), 1, 1_200)?;
        }
        in_range("records.most_looked_at", u64::from(self.records.most_looked_at), 1, 100_000)?;
        Ok(Rule {
            enabled: self.enabled,
            keep_months,
            activity,
            record_terms,
            most_looked_at: usize::try_from(self.records.most_looked_at).unwrap_or(usize::MAX),
            classified_fields: self.classified_fields.clone(),
            version: self.version(),
            safety_margin_hours: self.safety_margin_hours,
            schedule: Schedule::parse(&self.schedule, &self.schedule_time_zone)?,
            caps: Caps { most_percent, most_contacts },
            submit_batch: i64::from(self.submit_batch),
        })
    }
}

impl Rule {
    /// Whether sweeps run.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// From which event the period runs.
    #[must_use]
    pub const fn anchor(&self) -> Anchor {
        if self.activity.is_some() { Anchor::LastActivity } else { Anchor::Created }
    }

    /// When sweeps are due.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// How much one sweep may erase at most.
    #[must_use]
    pub const fn caps(&self) -> Caps {
        self.caps
    }

    #[cfg(test)]
    pub(super) fn for_tests(keep_months: u32, safety_margin_hours: u32) -> Self {
        Self {
            enabled: true,
            keep_months,
            activity: None,
            record_terms: Vec::new(),
            most_looked_at: 200,
            classified_fields: Vec::new(),
            version: String::new(),
            safety_margin_hours,
            schedule: Schedule::parse("30 2 * * *", "UTC").unwrap(),
            caps: Caps { most_percent: 5, most_contacts: 1_000 },
            submit_batch: 100,
        }
    }
}

const fn in_range(setting: &'static str, value: u64, least: u64, most: u64) -> Result<(), SettingsError> {
    if least <= value && value <= most { Ok(()) } else { Err(SettingsError::Range { setting, least, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Settings {
        Settings {
            enabled: true,
            keep_months: Some(36),
            anchor: Anchor::Created,
            activities: vec![ActivityKind::LastLogin],
            passive_events: vec!["open_email".to_owned()],
            without_activity: WithoutActivity::Review,
            classified_fields: Vec::new(),
            records: RecordTerms { most_looked_at: 200, ..RecordTerms::default() },
            safety_margin_hours: 24,
            schedule: "30 2 * * *".to_owned(),
            schedule_time_zone: "UTC".to_owned(),
            most_percent: Some(5),
            most_contacts: Some(1_000),
            submit_batch: 100,
        }
    }

    #[test]
    fn s_51_there_is_no_rule_without_period_and_caps() {
        assert!(complete().rule().is_ok());
        for (settings, expected) in [
            (Settings { keep_months: None, ..complete() }, "keep_months"),
            (Settings { most_percent: None, ..complete() }, "most_percent"),
            (Settings { most_contacts: None, ..complete() }, "most_contacts"),
        ] {
            assert_eq!(settings.rule().unwrap_err(), SettingsError::Missing(expected));
        }
    }

    #[test]
    fn r_59_every_change_of_the_rule_is_another_version_of_it() {
        let version = |settings: Settings| settings.rule().unwrap().version;
        let first = version(complete());
        assert_eq!(first, version(complete()));
        assert_eq!(first.len(), 16);
        for changed in [
            Settings { keep_months: Some(35), ..complete() },
            Settings { anchor: Anchor::LastActivity, ..complete() },
            Settings { classified_fields: vec!["loyalty".to_owned()], ..complete() },
        ] {
            assert_ne!(first, version(changed));
        }
    }

    #[test]
    fn f_52_a_cap_is_exceeded_by_one_and_not_by_none() {
        let caps = Caps { most_percent: 5, most_contacts: 1_000 };
        assert_eq!(caps.exceeded_by(50, 1_000), None, "exactly at the percentage");
        assert_eq!(caps.exceeded_by(51, 1_000), Some(StopReason::OverMostPercent));
        assert_eq!(caps.exceeded_by(50, 999), Some(StopReason::OverMostPercent));
        assert_eq!(caps.exceeded_by(1_000, 1_000_000), None, "exactly at the number");
        assert_eq!(caps.exceeded_by(1_001, 1_000_000), Some(StopReason::OverMostContacts));
        assert_eq!(caps.exceeded_by(0, 0), None);
        assert_eq!(caps.exceeded_by(u64::MAX, u64::MAX), Some(StopReason::OverMostContacts));
    }

    #[test]
    fn senseless_numbers_are_refused() {
        for settings in [
            Settings { keep_months: Some(0), ..complete() },
            Settings { most_percent: Some(0), ..complete() },
            Settings { most_percent: Some(101), ..complete() },
            Settings { most_contacts: Some(0), ..complete() },
            Settings { submit_batch: 0, ..complete() },
        ] {
            assert!(matches!(settings.rule(), Err(SettingsError::Range { .. })), "{settings:?}");
        }
        let records =
            RecordTerms { accountings_months: Some(0), most_looked_at: 200, ..RecordTerms::default() };
        let no_months = Settings { records, ..complete() };
        assert!(matches!(no_months.rule(), Err(SettingsError::Range { .. })));
        let last_activity = Settings { anchor: Anchor::LastActivity, ..complete() };
        assert!(last_activity.rule().unwrap().activity.is_some());
        let nothing_counts = Settings { activities: Vec::new(), ..last_activity };
        assert_eq!(nothing_counts.rule().unwrap_err(), SettingsError::NoActivity);
        let no_word = Settings { passive_events: vec!["open an e-mail".to_owned()], ..complete() };
        assert_eq!(no_word.rule().unwrap_err(), SettingsError::PassiveEvent);
        let never = Settings { schedule: "0 3 30 2 *".to_owned(), ..complete() };
        assert_eq!(never.rule().unwrap_err(), SettingsError::Schedule(ScheduleError::Never));
    }
}
