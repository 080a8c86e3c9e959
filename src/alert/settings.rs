//! Who among the staff is told what, and when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery;
use crate::domain::{AlertRule, StaffRole};

/// Alerts and the daily digest of one organisation.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Mail address of the data protection officer, or of whoever answers for requests: all alerts and the digest.
    pub dpo: Option<String>,
    /// Mail address of the deputy: what is close to its due date or past it.
    pub deputy: Option<String>,
    /// Mail address of whoever runs the service: platform away, mails that come back, effects that cannot be verified.
    pub operator: Option<String>,
    /// How many days before its conservative due date an open request is told of, each time anew.
    pub due_days: Vec<u16>,
    /// After how many hours without an answer of the platform it is told of.
    pub platform_down_hours: u32,
    /// How many hours after its due time a retention sweep that did not begin is told of.
    pub sweep_late_hours: u32,
    /// How many days back requests are counted, once a day, for `extended_percent` and `late_percent`.
    pub figures_days: u32,
    /// Of fewer requests than this no share is looked at: it would say nothing.
    pub figures_least: u32,
    /// When more than this percentage of them is extended, it is told (EDPB guidelines 01/2022, paragraph 162: extensions
    /// are exceptions). 100 never tells.
    pub extended_percent: u8,
    /// When more than this percentage of those of which it can be said was not answered within a month, it is told. 100
    /// never tells.
    pub late_percent: u8,
    /// Whether a digest is mailed every day on which there is something to tell.
    pub digest: bool,
    /// The hour of the digest, 0 to 23, in the organisation's time zone.
    pub digest_hour: u32,
}

impl Settings {
    /// What is wrong with the settings, in a sentence that begins with the key; `None` when nothing is.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        for role in StaffRole::ALL {
            if self.address_of(*role).is_some_and(|address| !delivery::is_mail_address(address)) {
                return Some(format!("{role} must be one mail address, for example dpo@venue.example"));
            }
        }
        if self.due_days.is_empty() || self.due_days.iter().any(|days| !(1..=60).contains(days)) {
            return Some("due_days must name at least one number of days, each from 1 to 60".to_owned());
        }
        if self.platform_down_hours == 0 {
            return Some("platform_down_hours must be at least 1".to_owned());
        }
        if self.sweep_late_hours == 0 {
            return Some("sweep_late_hours must be at least 1".to_owned());
        }
        if !(1..=366).contains(&self.figures_days) {
            return Some("figures_days must be from 1 to 366".to_owned());
        }
        if self.extended_percent > 100 || self.late_percent > 100 {
            return Some("extended_percent and late_percent must be from 0 to 100".to_owned());
        }
        (self.digest_hour > 23).then(|| "digest_hour must be from 0 to 23".to_owned())
    }

    /// The address of a role, if one is set.
    #[must_use]
    pub fn address_of(&self, role: StaffRole) -> Option<&str> {
        match role {
            StaffRole::Dpo => self.dpo.as_deref(),
            StaffRole::Deputy => self.deputy.as_deref(),
            StaffRole::Operator => self.operator.as_deref(),
        }
    }

    /// Who is told of a cause: the roles that it concerns and that have an address, each address once; where none of them
    /// has one, the first role that does.
    pub(super) fn recipients(&self, rule: AlertRule, step: u16) -> Vec<StaffRole> {
        let is_last_step = rule == AlertRule::DueSoon && self.due_days.iter().min() == Some(&step);
        let concerned: &[StaffRole] = match rule {
            AlertRule::NoticeBounced
            | AlertRule::VerificationFailed
            | AlertRule::PlatformDown
            | AlertRule::ForecastLate
            | AlertRule::FilterIgnored
            | AlertRule::CameBack
            | AlertRule::Flood
            | AlertRule::SweepMissed
            | AlertRule::PastTerm
            | AlertRule::RowsParked
            | AlertRule::LogHoldReview
            | AlertRule::SelfTestFailed => &[StaffRole::Dpo, StaffRole::Operator],
            AlertRule::RowsOfNobody => &[StaffRole::Operator],
            AlertRule::RecipientOverdue | AlertRule::HoldReview => &[StaffRole::Dpo],
            AlertRule::DueSoon | AlertRule::TargetMissed if !is_last_step => &[StaffRole::Dpo],
            _ => &[StaffRole::Dpo, StaffRole::Deputy],
        };
        let mut told: Vec<StaffRole> = Vec::new();
        for role in concerned {
            let address = self.address_of(*role);
            if address.is_some() && !told.iter().any(|known| self.address_of(*known) == address) {
                told.push(*role);
            }
        }
        if told.is_empty() {
            told.extend(self.reachable().next());
        }
        told
    }

    /// The roles with an address, the data protection officer first.
    pub(super) fn reachable(&self) -> impl Iterator<Item = StaffRole> {
        StaffRole::ALL.iter().copied().filter(|role| self.address_of(*role).is_some())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::alert) fn boring() -> Settings {
        Settings {
            dpo: Some("dpo@venue.example".to_owned()),
            deputy: Some("deputy@venue.example".to_owned()),
            operator: Some("dpo@venue.example".to_owned()),
            due_days: vec![10, 5, 2],
            platform_down_hours: 24,
            sweep_late_hours: 24,
            figures_days: 90,
            figures_least: 20,
            extended_percent: 20,
            late_percent: 5,
            digest: true,
            digest_hour: 8,
        }
    }

    #[test]
    fn each_address_is_told_once_and_somebody_is_always_told() {
        let mut settings = boring();
        assert_eq!(settings.recipients(AlertRule::DueSoon, 10), [StaffRole::Dpo]);
        assert_eq!(settings.recipients(AlertRule::DueSoon, 2), [StaffRole::Dpo, StaffRole::Deputy]);
        assert_eq!(settings.recipients(AlertRule::Overdue, 0), [StaffRole::Dpo, StaffRole::Deputy]);
        // Dpo and operator share a mailbox.
        assert_eq!(settings.recipients(AlertRule::PlatformDown, 0), [StaffRole::Dpo]);
        settings.dpo = None;
        assert_eq!(settings.recipients(AlertRule::TargetMissed, 0), [StaffRole::Deputy]);
        settings.deputy = None;
        settings.operator = None;
        assert!(settings.recipients(AlertRule::Overdue, 0).is_empty());
    }

    #[test]
    fn wrong_settings_are_named() {
        let refused = |change: fn(&mut Settings)| {
            let mut settings = boring();
            change(&mut settings);
            settings.refused().unwrap_or_default()
        };
        assert_eq!(boring().refused(), None);
        assert!(
            refused(|settings| settings.operator = Some("nobody".to_owned())).starts_with("operator must")
        );
        assert!(refused(|settings| settings.due_days = vec![]).starts_with("due_days"));
        assert!(refused(|settings| settings.due_days = vec![10, 0]).starts_with("due_days"));
        assert!(refused(|settings| settings.platform_down_hours = 0).starts_with("platform_down_hours"));
        assert!(refused(|settings| settings.figures_days = 0).starts_with("figures_days"));
        assert!(refused(|settings| settings.late_percent = 101).starts_with("extended_percent and late"));
        assert!(refused(|settings| settings.digest_hour = 24).starts_with("digest_hour"));
    }
}
