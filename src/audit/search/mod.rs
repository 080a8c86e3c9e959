//! Finds entries by closed filters, page by page. It reads what auditors read: the view `audit_view.log`.

mod sql;

use chrono::{DateTime, Utc};

use crate::domain::{OrganisationId, RequestId};

pub use sql::{StaffEntry, first_of_actions, list_actions, list_by_staff, search, whole_since};

/// What to find: entries that every given field fits.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Of one organisation, and of the log itself.
    pub organisation: Option<OrganisationId>,
    /// Of one request.
    pub case: Option<RequestId>,
    /// Of one action, or of all that begin so where it ends in a full stop (`deletion.`).
    pub action: Option<String>,
    /// With one outcome, by its word.
    pub outcome: Option<String>,
    /// By one actor, as the log shows it.
    pub actor: Option<String>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// With a value in the detail: its key and the value as text.
    pub detail: Option<(String, String)>,
}

impl Search {
    /// The names of the fields that are set, for the record of the search.
    #[must_use]
    pub fn fields(&self) -> String {
        let fields = [
            ("organisation", self.organisation.is_some()),
            ("case", self.case.is_some()),
            ("action", self.action.is_some()),
            ("outcome", self.outcome.is_some()),
            ("actor", self.actor.is_some()),
            ("since", self.since.is_some()),
            ("until", self.until.is_some()),
            ("detail", self.detail.is_some()),
        ];
        let set: Vec<&str> = fields.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
        if set.is_empty() { "none".to_owned() } else { set.join(" ") }
    }
}
