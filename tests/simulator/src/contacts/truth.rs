//! What is true of a contact, for assertions.

use crate::people::RecordCounts;

/// What the simulator knows to be true of one contact, independent of any fault.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, read one by one in assertions")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The contact's profile can be read (soft-deleted counts as existing).
    pub exists: bool,
    /// The profile carries `deleted: true`.
    pub soft_deleted: bool,
    /// The platform removed the personal data because a required policy was withdrawn.
    pub wiped: bool,
    /// A deletion was accepted and is not effective yet.
    pub deletion_pending: bool,
    /// Records that can be read now.
    pub records: RecordCounts,
    /// Policies now, as (name as read, accepted).
    pub policies: Vec<(String, bool)>,
    /// Identifiers now.
    pub identifiers: Identifiers,
    /// Creation instant in milliseconds since 1970.
    pub created_ms: i64,
    /// Name of the person, given name first.
    pub display_name: String,
}

impl Truth {
    /// The state of one policy; `None` when the contact has no entry for it.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<bool> {
        self.policies.iter().find(|(title, _)| title == name).map(|(_, accepted)| *accepted)
    }
}

/// What a contact can be found by. Empty text means none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifiers {
    /// E-mail address as stored.
    pub email: String,
    /// Phone number as stored, in whatever spelling.
    pub phone: String,
    /// User name.
    pub username: String,
    /// External id.
    pub ext_id: String,
    /// External property 1.
    pub ext_prop1: String,
    /// External property 2.
    pub ext_prop2: String,
}
