//! What counts as contact that comes from the person, for retention periods that run from it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::vocabulary;

vocabulary! {
    /// Where the platform tells that a person was there.
    #[derive(JsonSchema)]
    ActivityKind, "kind of activity" {
        /// The date of the last log-in in the profile.
        LastLogin = "last_login",
        /// The date of the last visit among the profile's metrics.
        LastVisit = "last_visit",
        /// Visits, connections and what the person did with messages; passive events are left out.
        Events = "events",
        /// The last connection of each device.
        Devices = "devices",
        /// Connection records.
        Accountings = "accountings",
    }
}

vocabulary! {
    /// What follows when nothing at all tells of a contact's activity.
    #[derive(JsonSchema)]
    WithoutActivity, "what follows without activity" {
        /// The contact is left for a person to look at.
        Review = "review",
        /// The period runs from the creation.
        Created = "created",
    }
}

/// From what the last activity of a contact is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityRule {
    /// The kinds that count.
    pub kinds: Vec<ActivityKind>,
    /// Types of events that are no contact from the person, such as the opening of a mail.
    pub passive_events: Vec<String>,
    /// What follows when nothing tells of any activity.
    pub without: WithoutActivity,
}

impl ActivityRule {
    /// Whether a kind counts.
    #[must_use]
    pub fn counts(&self, kind: ActivityKind) -> bool {
        self.kinds.contains(&kind)
    }
}
