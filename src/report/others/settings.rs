//! What a controller withholds from copies of a person's data because it belongs to others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::own::Kept;
use crate::report::flatten::LONGEST_PATH;

/// What is withheld from copies of a person's data because it belongs to other people (Art. 15(4) GDPR). The rest is
/// given out in any case; every withheld value is marked in its place and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactionRules {
    /// Whether e-mail addresses in records are withheld that are not the person's own.
    pub addresses: bool,
    /// Whether telephone numbers in records are withheld that are not the person's own. Only what is clearly one, in
    /// international form (`+39 …`).
    pub numbers: bool,
    /// Fields that hold data of other people throughout, by their names in the CSV files (`guest.name`): withheld whole,
    /// with everything below.
    pub fields: Vec<String>,
    /// Addresses and telephone numbers that are nobody's, such as mailboxes of the controller; `@venue.example` stands for
    /// all addresses of that domain. The sender of mails and the contact of the organisation belong to it anyway.
    pub keep: Vec<String>,
}

impl RedactionRules {
    /// What holds where nothing is configured.
    #[must_use]
    pub fn strict() -> Self {
        Self { addresses: true, numbers: true, fields: Vec::new(), keep: Vec::new() }
    }

    /// What is wrong with them, if anything is.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        for field in &self.fields {
            if field.trim().is_empty() || field.len() > LONGEST_PATH || field.chars().any(char::is_control) {
                return Some(
                    "redaction.fields must hold names of fields as in the CSV files, for example guest.name"
                        .into(),
                );
            }
        }
        let place = self.keep.iter().position(|entry| Kept::read(entry).is_none())?;
        Some(format!(
            "redaction.keep[{place}] is neither an e-mail address nor a telephone number with its country code nor @ and a domain"
        ))
    }

    /// Whether a field, or one that it is inside of, is withheld whole.
    pub(super) fn is_field(&self, path: &str) -> bool {
        self.fields.iter().any(|field| {
            path.strip_prefix(field.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}
