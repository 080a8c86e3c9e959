//! Which contacts belong to the identifiers of a request: the one search that the machine and persons share.

use std::collections::BTreeMap;

use crate::domain::{ContactId, IdentifierKind, SubjectIdentifier};
use crate::platform::{Contact, ContactPlatform, Coverage, PlatformError};

/// Why a search says nothing about who is there.
#[derive(Debug)]
pub enum MatchError {
    /// The platform gave no answer.
    Platform(PlatformError),
    /// The platform ignores this filter, so that absence cannot be known.
    NotHonoured,
    /// Records came that cannot be read; the contact may be among them.
    Unreadable,
}

/// One contact and what it was found by.
#[derive(Clone, Debug)]
pub struct Match {
    /// The contact as the search showed it.
    pub contact: Contact,
    /// Places of the identifiers that found it, in the list that was searched by.
    pub found_by: Vec<usize>,
}

/// What the searches by all identifiers found.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// The contacts, each once.
    pub contacts: BTreeMap<ContactId, Match>,
    /// Hits by kind of identifier, after the local comparison.
    pub hits: BTreeMap<IdentifierKind, u64>,
    /// How many contacts a single identifier found at most.
    pub most_by_one: usize,
    /// Contacts that the platform returned although they do not match.
    pub strangers: u64,
}

/// Searches by every identifier. A search that proves nothing ends it.
pub async fn find_matches(
    platform: &dyn ContactPlatform,
    identifiers: &[&SubjectIdentifier],
) -> Result<Matches, MatchError> {
    let mut found = Matches::default();
    for (place, identifier) in identifiers.iter().enumerate() {
        let answer = platform.search(identifier).await.map_err(MatchError::Platform)?;
        if answer.coverage == Coverage::FilterNotHonoured {
            return Err(MatchError::NotHonoured);
        }
        if answer.unreadable > 0 {
            return Err(MatchError::Unreadable);
        }
        found.strangers += answer.strangers;
        found.most_by_one = found.most_by_one.max(answer.contacts.len());
        *found.hits.entry(identifier.kind()).or_default() += answer.contacts.len() as u64;
        for contact in answer.contacts {
            let id = contact.id.clone();
            found
                .contacts
                .entry(id)
                .or_insert_with(|| Match { contact, found_by: Vec::new() })
                .found_by
                .push(place);
        }
    }
    Ok(found)
}

/// How many of the identifiers a contact carries, by kind; compared as the search compares them.
#[must_use]
pub fn carried(
    contact: &Contact,
    identifiers: &[&SubjectIdentifier],
    default_country: Option<&str>,
) -> BTreeMap<IdentifierKind, u64> {
    let mut carried = BTreeMap::new();
    for identifier in identifiers {
        let held = contact.held.iter().any(|(kind, value)| {
            *kind == identifier.kind() && identifier.matches(value.expose(), default_country)
        });
        if held {
            *carried.entry(identifier.kind()).or_default() += 1;
        }
    }
    carried
}

/// Whether the profile holds identifiers of this kind, and this is none of them.
#[must_use]
pub fn contradicts(given: &SubjectIdentifier, contact: &Contact) -> bool {
    let mut of_kind = contact.identifiers.iter().filter(|held| held.kind() == given.kind()).peekable();
    of_kind.peek().is_some() && of_kind.all(|held| held.normalised() != given.normalised())
}
