//! Who must not be created again or contacted, and what was done that a restore must not undo.
//!
//! `execution` calls [`add`] in the transaction that records a proven erasure or opt-out. Importers ask [`decide`] (or
//! `dsrd suppression check`) before they create a contact; [`revoke`] forgets a person who wants to be contacted again. The
//! [`ledger`] stands beside it: what was about to be done to contacts, copied to files outside of the database. [`watch`]
//! plans when somebody looks whether it lasted.
//!
//! Invariants:
//! - Nothing but keyed hashes is stored, with purpose, kind, source, jurisdiction and date. Each purpose has a key of
//!   its own: entries of two purposes cannot be joined, and neither can entries and the pseudonyms of requests.
//! - An entry says nothing of the person's own later sign-up: that is allowed, free of marketing.
//! - There is no list of hashes to hand out: the suppressed are never an audience.
//!
//! Why hashes although the identifiers are at hand: the entry outlives everything else that is known of the person, and
//! its purpose needs no more than "is it this one".
//!
//! To add a purpose: a word in [`Purpose`] and in the table's CHECK by a migration.

mod import;
pub mod ledger;
mod sql;
pub mod watch;

use chrono::{DateTime, Months, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

pub use import::{ImportDecision, decide, is_ahead};
pub use sql::{Counted, count_by_purpose};

use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{ContactId, Controller, MasterKey, OrganisationId, SubjectIdentifier};
use crate::store::{PgConnection, StoreError, Tx};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as stored and shown. Never renamed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::domain::UnknownWord> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|each| each.as_str() == text)
                    .ok_or_else(|| $crate::domain::UnknownWord::new($what, &[$($word,)+]))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}
use words;

words! {
    /// What an entry is for.
    Purpose, "purpose" {
        /// No import, synchronisation or bulk restore may create the contact again (Art. 17 GDPR).
        ReCreation = "re_creation",
        /// No marketing by this channel (Art. 21(3) GDPR).
        Marketing = "marketing",
    }
}

words! {
    /// How an entry came about.
    Source, "source" {
        /// The person was erased at their request.
        Erasure = "erasure",
        /// They opted out, or marketing was stopped while a hold keeps their data.
        OptOut = "opt_out",
        /// A replay of the ledger after a restore.
        Replay = "replay",
        /// A member of staff.
        Person = "person",
    }
}

/// The kind under which the platform's own id of a contact is hashed.
const CONTACT: &str = "contact";

/// A keyed hash with the kind of what was hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hashed {
    /// For which purpose: the key depends on it.
    pub purpose: Purpose,
    /// The kind of identifier, or `contact`.
    pub kind: String,
    /// The hash.
    pub hash: [u8; 32],
}

impl Hashed {
    /// The text form in the ledger: `purpose:kind:hex`.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}:{}:{}", self.purpose, self.kind, hex::encode(self.hash))
    }

    /// Reads [`Hashed::to_text`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (purpose, kind, digits) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        let mut hash = [0_u8; 32];
        hex::decode_to_slice(digits, &mut hash).ok()?;
        Some(Self { purpose, kind: kind.to_owned(), hash })
    }
}

/// The hashes of one person for some purposes: of each identifier in its normal form, and of the platform's id.
#[must_use]
pub fn hashes(
    keys: &MasterKey,
    organisation: &OrganisationId,
    purposes: &[Purpose],
    identifiers: &[&SubjectIdentifier],
    contact: Option<&ContactId>,
) -> Vec<Hashed> {
    let mut hashed = Vec::new();
    for purpose in purposes {
        let key = keys.suppression(organisation, purpose.as_str());
        for identifier in identifiers {
            let kind = identifier.kind().as_str();
            let hash = key.hash(kind, identifier.normalised().expose());
            hashed.push(Hashed { purpose: *purpose, kind: kind.to_owned(), hash });
        }
        // Marketing is sent to addresses, not to ids.
        if let Some(contact) = contact.filter(|_| *purpose == Purpose::ReCreation) {
            let hash = key.hash(CONTACT, contact.as_str());
            hashed.push(Hashed { purpose: *purpose, kind: CONTACT.to_owned(), hash });
        }
    }
    hashed.sort();
    hashed.dedup();
    hashed
}

/// Remembers hashes, in the caller's transaction. What is there already becomes as recent as this. Returns how many were
/// given.
pub async fn add(
    connection: &mut PgConnection,
    controller: &Controller,
    hashed: &[Hashed],
    source: Source,
    since: DateTime<Utc>,
) -> Result<u64, StoreError> {
    if hashed.is_empty() {
        return Ok(0);
    }
    let times = (since, do_not_ask_before(controller, since));
    sql::upsert(connection, &controller.id, hashed, source, controller.regime.as_str(), times).await?;
    Ok(hashed.len() as u64)
}

/// The day before which nobody may ask a person who opted out at an instant to change their mind; none where the law of the
/// organisation sets none.
fn do_not_ask_before(controller: &Controller, since: DateTime<Utc>) -> Option<NaiveDate> {
    let day = controller.local_date(since);
    let months = controller.regime.version_on(day).ok()?.no_asking_months?;
    day.checked_add_months(Months::new(months))
}

/// An entry that one of the hashes asked for has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    /// For which purpose.
    pub purpose: Purpose,
    /// By which kind of identifier it was found.
    pub kind: String,
    /// How it came about.
    pub source: Source,
    /// Under which law.
    pub jurisdiction: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The day before which nobody may ask the person to change their mind, where the law sets one.
    pub do_not_ask_before: Option<NaiveDate>,
}

/// The entries of a person, by any of their identifiers; none when nothing is suppressed.
pub async fn contains(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    identifiers: &[SubjectIdentifier],
) -> Result<Vec<Suppressed>, StoreError> {
    let identifiers: Vec<&SubjectIdentifier> = identifiers.iter().collect();
    let hashed = hashes(keys, organisation, Purpose::ALL, &identifiers, None);
    sql::find(connection, organisation, &hashed).await
}

/// Whether the list lacks any of these identifiers for a purpose. What an opt-out left on it only [`revoke`] takes off again.
pub async fn lacks_any(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    purpose: Purpose,
    identifiers: &[SubjectIdentifier],
) -> Result<bool, StoreError> {
    let identifiers: Vec<&SubjectIdentifier> = identifiers.iter().collect();
    let hashed = hashes(keys, organisation, &[purpose], &identifiers, None);
    Ok(sql::find(connection, organisation, &hashed).await?.len() < hashed.len())
}

/// Those of the platform's contact ids that belong to somebody who was erased: the place in the list, and since when.
pub async fn erased_among(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    contacts: &[&ContactId],
) -> Result<Vec<(usize, DateTime<Utc>)>, StoreError> {
    let key = keys.suppression(organisation, Purpose::ReCreation.as_str());
    let hashes: Vec<Vec<u8>> =
        contacts.iter().map(|contact| key.hash(CONTACT, contact.as_str()).to_vec()).collect();
    sql::erased_among(connection, organisation, &hashes).await
}

/// Forgets a person who wants to be contacted again, for one purpose or all; returns how many entries went.
pub async fn revoke(
    tx: &mut Tx,
    keys: &MasterKey,
    organisation: &OrganisationId,
    identifiers: &[SubjectIdentifier],
    purpose: Option<Purpose>,
    (actor, at): (Actor, DateTime<Utc>),
) -> Result<u64, StoreError> {
    let purposes: Vec<Purpose> = purpose.map_or_else(|| Purpose::ALL.to_vec(), |only| vec![only]);
    let identifiers: Vec<&SubjectIdentifier> = identifiers.iter().collect();
    let hashed = hashes(keys, organisation, &purposes, &identifiers, None);
    let gone = sql::delete(tx, organisation, &hashed).await?;
    let detail =
        Detail::none().count("entries", gone).word("purpose", purpose.map_or("all", Purpose::as_str));
    let event = Event::general(organisation, Action::SuppressionRevoked, actor, at);
    audit::append(tx, event.with(detail)).await?;
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::IdentifierKind;

    fn of(kind: IdentifierKind, text: &str) -> SubjectIdentifier {
        SubjectIdentifier::parse(kind, text, Some("IT")).unwrap()
    }

    #[test]
    fn r_54_spellings_of_one_address_are_one_entry_and_purposes_cannot_be_joined() {
        let keys = MasterKey::generate();
        let organisation: OrganisationId = "venue".parse().unwrap();
        let hash = |identifier: &SubjectIdentifier, purpose| {
            hashes(&keys, &organisation, &[purpose], &[identifier], None).remove(0).hash
        };
        let one = of(IdentifierKind::Email, "User+tag@EXAMPLE.com");
        let same = of(IdentifierKind::Email, "user+tag@example.com");
        assert_eq!(hash(&one, Purpose::Marketing), hash(&same, Purpose::Marketing));
        assert_ne!(hash(&one, Purpose::Marketing), hash(&one, Purpose::ReCreation));
        let national = of(IdentifierKind::Phone, "06 1234 5678");
        let whole = of(IdentifierKind::Phone, "+39 06 12345678");
        assert_eq!(hash(&national, Purpose::Marketing), hash(&whole, Purpose::Marketing));
        let other: OrganisationId = "other".parse().unwrap();
        let elsewhere = hashes(&keys, &other, &[Purpose::Marketing], &[&one], None).remove(0).hash;
        assert_ne!(elsewhere, hash(&one, Purpose::Marketing));
        // Neither is it the pseudonym of requests.
        assert_ne!(hash(&one, Purpose::Marketing)[..16], one.reference(&keys, &organisation).as_bytes()[..]);
    }

    #[test]
    fn a_hash_reads_back_from_its_text() {
        let hashed = Hashed { purpose: Purpose::ReCreation, kind: "email".to_owned(), hash: [7; 32] };
        assert_eq!(Hashed::from_text(&hashed.to_text()), Some(hashed));
        assert_eq!(Hashed::from_text("re_creation:email:07"), None);
    }
}
