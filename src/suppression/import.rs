//! Whether an import may create a contact.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Purpose, Suppressed, contains};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{MasterKey, OrganisationId, SubjectIdentifier};
use crate::store::{StoreError, Tx};

/// What an importer has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportDecision {
    /// Create it.
    Allowed,
    /// Create it with every marketing policy off.
    WithoutMarketing,
    /// Do not create it: the person was erased, and has not signed up since.
    Blocked,
}

impl ImportDecision {
    /// The word as shown and audited.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::WithoutMarketing => "without_marketing",
            Self::Blocked => "blocked",
        }
    }

    /// What follows from the entries of a person who, as far as the importer knows, signed up anew at an instant.
    #[must_use]
    pub fn of(entries: &[Suppressed], signed_up_at: Option<DateTime<Utc>>) -> Self {
        let blocked = entries
            .iter()
            .filter(|entry| entry.purpose == Purpose::ReCreation)
            .any(|entry| signed_up_at.is_none_or(|signed_up| signed_up <= entry.since));
        if blocked {
            Self::Blocked
        } else if entries.is_empty() {
            Self::Allowed
        } else {
            Self::WithoutMarketing
        }
    }
}

/// The clocks of importers may differ by so much.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Whether a sign-up is claimed that cannot have happened yet.
#[must_use]
pub fn is_ahead(signed_up_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    signed_up_at.is_some_and(|signed_up| signed_up > now + CLOCK_TOLERANCE)
}

/// Decides whether a contact with these identifiers may be created by an import. `signed_up_at` is when the person
/// themself signed up with consent, where the importer can show that; one that lies ahead shows nothing. Whoever is found is
/// recorded in the audit log, as a number of entries: the caller sees since when and by which law they were erased or objected.
pub async fn decide(
    tx: &mut Tx,
    keys: &MasterKey,
    organisation: &OrganisationId,
    identifiers: &[SubjectIdentifier],
    signed_up_at: Option<DateTime<Utc>>,
    (actor, at): (Actor, DateTime<Utc>),
) -> Result<(ImportDecision, Vec<Suppressed>), StoreError> {
    let entries = contains(tx, keys, organisation, identifiers).await?;
    let shown = signed_up_at.filter(|_| !is_ahead(signed_up_at, at));
    let decision = ImportDecision::of(&entries, shown);
    let action = match decision {
        ImportDecision::Allowed => None,
        ImportDecision::WithoutMarketing => Some(Action::SuppressionRead),
        ImportDecision::Blocked => Some(Action::ImportBlocked),
    };
    if let Some(action) = action {
        let detail = Detail::none()
            .count("entries", entries.len() as u64)
            .flag("new_sign_up_claimed", signed_up_at.is_some());
        let event = Event::general(organisation, action, actor, at);
        audit::append(tx, event.with(detail)).await?;
    }
    Ok((decision, entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suppression::Source;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn entry(purpose: Purpose) -> Suppressed {
        Suppressed {
            purpose,
            kind: "email".to_owned(),
            source: Source::Erasure,
            jurisdiction: "EU".to_owned(),
            since: at("2026-03-02T12:00:00Z"),
            do_not_ask_before: None,
        }
    }

    #[test]
    fn r_48_an_import_is_blocked_and_the_persons_own_later_sign_up_is_not() {
        let both = [entry(Purpose::ReCreation), entry(Purpose::Marketing)];
        assert_eq!(ImportDecision::of(&both, None), ImportDecision::Blocked);
        let before = Some(at("2026-03-02T12:00:00Z"));
        assert_eq!(ImportDecision::of(&both, before), ImportDecision::Blocked);
        let after = Some(at("2026-03-02T12:00:01Z"));
        assert_eq!(ImportDecision::of(&both, after), ImportDecision::WithoutMarketing);
        assert_eq!(ImportDecision::of(&both[1..], None), ImportDecision::WithoutMarketing);
        assert_eq!(ImportDecision::of(&[], None), ImportDecision::Allowed);
    }
}
