//! The parts of a report, and the only file names that a package can hold.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One part of a report: records of one kind, in one CSV file and in one list of `report.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// The contact's own record.
    Profile,
    /// The consents found in the profile (`policies`). Filled by [`super::Spool`] itself from the profile.
    Consents,
    /// Visits, Wi-Fi connections, messages.
    Events,
    /// Devices with their MAC addresses.
    Devices,
    /// Connection records: duration, traffic, access point.
    Accountings,
    /// What this request service itself holds about the person.
    Requests,
}

impl Section {
    /// Every section, in the order in which a report shows them.
    pub const ALL: [Self; 6] =
        [Self::Profile, Self::Consents, Self::Events, Self::Devices, Self::Accountings, Self::Requests];

    /// The word in `report.json`, in the manifest and in the settings. Never renamed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Consents => "consents",
            Self::Events => "events",
            Self::Devices => "devices",
            Self::Accountings => "accountings",
            Self::Requests => "requests",
        }
    }

    /// The name of the section's CSV file in the package.
    #[must_use]
    pub const fn csv_name(self) -> &'static str {
        match self {
            Self::Profile => "profile.csv",
            Self::Consents => "consents.csv",
            Self::Events => "events.csv",
            Self::Devices => "devices.csv",
            Self::Accountings => "accountings.csv",
            Self::Requests => "requests.csv",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Section {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The readable report.
pub const HTML_NAME: &str = "report.html";
/// The complete, exact report.
pub const JSON_NAME: &str = "report.json";
/// What the person may take along, for programs.
pub const PORTABLE_NAME: &str = "data.json";
/// The description of its form.
pub const SCHEMA_NAME: &str = "data.schema.json";
/// What each file is.
pub const README_NAME: &str = "README.txt";

/// Every name that an entry of a package of an access request can have; one for portability has [`PORTABLE_NAME`] and
/// [`SCHEMA_NAME`] instead of the reports, and the CSV files of its sections. No name is ever made from data (S-18).
pub const FILE_NAMES: [&str; 9] = [
    README_NAME,
    HTML_NAME,
    Section::Profile.csv_name(),
    Section::Consents.csv_name(),
    Section::Events.csv_name(),
    Section::Devices.csv_name(),
    Section::Accountings.csv_name(),
    Section::Requests.csv_name(),
    JSON_NAME,
];
