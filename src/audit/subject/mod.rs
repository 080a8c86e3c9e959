//! What ties an entry to a person, and can be erased: salted commitments to identifiers, found by keyed tag.
//!
//! Data enters with the identifiers of a request, when it is received ([`commit_to`]); for a case to which nobody gave any,
//! as those of a retention sweep are, with what the platform tells when the contact is located. Each gets a row in
//! `audit_private.subject` with a tag (an HMAC whose key is outside of the database), a random salt, and its commitment.
//! Only the commitment to all of them goes into the entry `request.received` or `contact.located` (field `subject_c`). It leaves as an answer to
//! "was this person's request logged?" ([`find_cases`]), for those who have the identifier and the rights of the service,
//! and as the opening of a receipt ([`openings`]).
//!
//! ```text
//! commitment of an identifier   c = SHA-256("dsr-audit/subject/v1" 00 salt identifier)
//! subject_c of a request            SHA-256("dsr-audit/subjects/v1" 00 c1 c2 …)
//! ```
//!
//! The salt has 32 bytes; the identifier is UTF-8 in its normal form (`domain::SubjectIdentifier`); `c1 c2 …` are the 32
//! bytes of each commitment, in ascending order. Whoever has a receipt with the salts and knows one identifier recomputes
//! both; whoever has only the log learns nothing, and after the salts were erased nobody does but the holder of a receipt.
//!
//! Invariants:
//! - No identifier stands here, clear or sealed: only its kind, and what the key and the salt make of it.
//! - Rows are written in the transaction of the request, never changed, and go only through
//!   [`forget`](super::forget), which says so in the log.
//! - Tags are made with a key of their own for each organisation, so that no other table can be joined with them.

mod sql;

use std::collections::BTreeMap;

use chrono::{DateTime, Months, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::domain::{MasterKey, OrganisationId, RequestId, SubjectIdentifier, random};
use crate::store::{PgConnection, StoreError};

/// The key that makes tags at present. A later one makes new tags; old ones are asked for with their own.
const TAG_EPOCH: i32 = 1;

/// The lowest term of evidence that the settings allow, in months: no salt is erased before.
const LOWEST_TERM_MONTHS: u32 = 12;

/// What the entry of a request says of its identifiers: a commitment that opens with their salts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectCommitment([u8; 32]);

impl SubjectCommitment {
    /// The commitment as it stands in an entry: 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// The commitment to all identifiers of a request, out of the commitment to each, in whatever order.
    fn of_all(commitments: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let mut sorted: Vec<[u8; 32]> = commitments.into_iter().collect();
        sorted.sort_unstable();
        let mut hash = Sha256::new_with_prefix(b"dsr-audit/subjects/v1\0");
        for each in sorted {
            hash.update(each);
        }
        Self(hash.finalize().into())
    }
}

/// The commitment to one identifier.
fn commitment(salt: &[u8], identifier: &SubjectIdentifier) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"dsr-audit/subject/v1\0");
    hash.update(salt);
    hash.update(identifier.normalised().expose().as_bytes());
    hash.finalize().into()
}

/// Keeps what opens an entry of a request, in the transaction that receives it or locates its contact; `None` without
/// identifiers. At most once for a case.
pub async fn commit_to(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
    identifiers: &[SubjectIdentifier],
    at: DateTime<Utc>,
) -> Result<Option<SubjectCommitment>, StoreError> {
    let key = keys.tagging(organisation, TAG_EPOCH);
    let mut rows = BTreeMap::new();
    for identifier in identifiers {
        let tag = key.tag(identifier.kind().as_str(), identifier.normalised());
        // An identifier that was given twice is one.
        rows.entry(tag).or_insert_with(|| {
            let salt = random::bytes::<32>();
            sql::NewSubject { tag, salt, kind: identifier.kind(), commitment: commitment(&salt, identifier) }
        });
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let rows: Vec<sql::NewSubject> = rows.into_values().collect();
    let erase_after = at.checked_add_months(Months::new(LOWEST_TERM_MONTHS)).unwrap_or(at);
    sql::insert(connection, organisation, request, TAG_EPOCH, erase_after, &rows).await?;
    Ok(Some(SubjectCommitment::of_all(rows.iter().map(|row| row.commitment))))
}

/// A case whose request gave an identifier that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCase {
    /// The case.
    pub case: RequestId,
    /// Whether the salt and the identifier make the commitment that is kept beside it.
    pub opens: bool,
}

/// The cases of an organisation whose requests gave one of the identifiers, or whose contact had one where nobody gave any
/// (retention sweeps), oldest first.
pub async fn find_cases(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    identifiers: &[SubjectIdentifier],
) -> Result<Vec<FoundCase>, StoreError> {
    let key = keys.tagging(organisation, TAG_EPOCH);
    let by_tag: BTreeMap<[u8; 32], &SubjectIdentifier> =
        identifiers.iter().map(|each| (key.tag(each.kind().as_str(), each.normalised()), each)).collect();
    let tags: Vec<Vec<u8>> = by_tag.keys().map(|tag| tag.to_vec()).collect();
    // Ids of cases begin with the instant at which they were made.
    let mut found: BTreeMap<uuid::Uuid, bool> = BTreeMap::new();
    for row in sql::find(connection, organisation, TAG_EPOCH, &tags).await? {
        let opens = by_tag.iter().any(|(tag, identifier)| {
            tag.as_slice() == row.tag && commitment(&row.salt, identifier).as_slice() == row.commitment
        });
        found.entry(row.case_id).and_modify(|all| *all &= opens).or_insert(opens);
    }
    Ok(found.into_iter().map(|(case, opens)| FoundCase { case: RequestId(case), opens }).collect())
}

/// What opens the commitment of one identifier, for whoever knows the identifier. All values are in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// Kind of the identifier.
    pub kind: String,
    /// The salt.
    pub salt: String,
    /// The commitment that the salt makes of the identifier.
    pub commitment: String,
}

/// What is kept of the openings of a case, in ascending order of the commitments; nothing once it was erased.
pub async fn openings(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    case: RequestId,
) -> Result<Vec<Opening>, StoreError> {
    sql::openings(connection, organisation, case).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::IdentifierKind;

    fn identifier(text: &str) -> SubjectIdentifier {
        SubjectIdentifier::parse(IdentifierKind::Email, text, None).unwrap()
    }

    #[test]
    fn a_commitment_is_what_the_guide_says() {
        // Computed with sha256sum over the bytes that the module describes.
        let of_one = commitment(&[7; 32], &identifier("Ada@People.example"));
        assert_eq!(hex::encode(of_one), "736cbca9daefb6a5842f3b495ce9fa2343e036fe52161acc19ac4b2ef12da94d");
        let all = SubjectCommitment::of_all([[9; 32], of_one, [1; 32]]);
        assert_eq!(all.to_hex(), "7419eb50c7d7aef34f864a23f36f4d3ffa33a04abad1b6a9e94d9935403723f6");
        assert_eq!(SubjectCommitment::of_all([[1; 32], [9; 32], of_one]), all, "in whatever order");
    }

    #[test]
    fn a_commitment_says_nothing_without_its_salt() {
        let ada = identifier("ada@people.example");
        assert_ne!(commitment(&[1; 32], &ada), commitment(&[2; 32], &ada));
        assert_ne!(commitment(&[1; 32], &ada), commitment(&[1; 32], &identifier("bea@people.example")));
    }
}
