//! The identifiers of a request: the one place where people are named, each encrypted for its row.

mod sql;

use serde::Serialize;

pub(super) use sql::is_given_as;
pub use sql::{add_identifiers, identifiers, references};

use crate::domain::SubjectIdentifier;

/// Why an identifier of a request is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierRole {
    /// It stands in the request.
    Given,
    /// It stands in the contact's profile.
    Found,
    /// Answers go there: the e-mail address in the contact's profile.
    ContactPoint,
}

impl IdentifierRole {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Found => "found",
            Self::ContactPoint => "contact_point",
        }
    }
}

/// An identifier of a request, decrypted.
#[derive(Clone, Debug)]
pub struct Identifier {
    /// Its number within the request; notices name their recipient by it.
    pub number: i16,
    /// Why it is known.
    pub role: IdentifierRole,
    /// The identifier.
    pub identifier: SubjectIdentifier,
}
