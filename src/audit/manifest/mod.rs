//! Pages of a sweep: what a sweep submits at a time is one entry, and each item of it can be proved by itself.
//!
//! Items enter through [`append_page`], in the transaction that submits them: each gets a salt of its own, and the entry
//! `sweep.page` holds their number and the root of a Merkle tree (RFC 6962) over their commitments. They leave as an
//! [`Opening`] ([`open_item`]), which shows to whoever holds it and the entry that this contact's erasure was submitted
//! as that case. So a proof has two levels: from the item to the root in the entry, and from the entry to a signed head.
//!
//! Invariants:
//! - The commitments of a page (`audit.manifest`) stay as long as the log and are never changed; without its salt a
//!   commitment is a random number, so they name nobody. `verify` compares them with the root in the entry.
//! - The salts (`audit_private.manifest_item`) go with the id of the contact ([`forget_items`]), with an entry `log.redact`. From then on
//!   only a receipt that was taken before can show whom an item was about.
//! - The id of the contact is not stored again here: it stands with its case, and is forgotten there.
//!
//! Why the entries of the deletion itself (`deletion.began` and what follows) stay one by one: an effect has to be
//! announced before and accounted for after, each at its own time.

mod sql;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::event::{Action, Actor, Detail, EntryId, Event};
use super::forget::Erasing;
use super::leaf::{DetailValue, Leaf};
use super::sql::{append, word_of};
use super::tlog::{Edge, HASH_BYTES, Hash, TileMap, inclusion_proof, leaf_hash, verify_inclusion};
use crate::domain::{ContactId, OrganisationId, RequestId, random};
use crate::store::{PgConnection, StoreError, Tx};

pub(super) use self::sql::{find_commitments, insert_commitments};

/// What a commitment begins with, so that it is a commitment to nothing else.
const PREFIX: &str = "dsrd/sweep-item/v1";

/// The form of an opening.
const FORM: &str = "dsrd-sweep-item/v1";

/// The key of the root in the detail of an entry.
const ROOT: &str = "root";

/// The key of the number of items.
pub(crate) const ITEMS: &str = "items";

/// An item of a page.
#[derive(Clone, Debug)]
pub struct PageItem {
    /// The erasure that was submitted.
    pub request: RequestId,
    /// Of whom.
    pub contact: ContactId,
}

/// A page of a sweep.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// For which organisation.
    pub organisation: &'a OrganisationId,
    /// Of which sweep.
    pub sweep: Uuid,
    /// Who caused it.
    pub actor: Actor,
    /// When.
    pub at: DateTime<Utc>,
    /// What was submitted; at least one item.
    pub items: &'a [PageItem],
}

/// Appends the entry of a page, with its commitments and salts, in the transaction that submitted its items.
pub async fn append_page(tx: &mut Tx, page: Page<'_>) -> Result<EntryId, StoreError> {
    let mut commitments = Vec::with_capacity(page.items.len());
    let mut salts = Vec::with_capacity(page.items.len());
    for item in page.items {
        let salt: [u8; 32] = random::bytes();
        commitments.push(commitment(&salt, item.request, &item.contact));
        salts.push(salt.to_vec());
    }
    let detail = Detail::none()
        .word("sweep_id", &page.sweep.to_string())
        .count(ITEMS, commitments.len() as u64)
        .word(ROOT, &hex::encode(root(&commitments).0));
    let event = Event::general(page.organisation, Action::SweepPage, page.actor, page.at).with(detail);
    let id = append(tx, event).await?;
    let requests: Vec<Uuid> = page.items.iter().map(|item| item.request.0).collect();
    insert_commitments(tx, id.0, &bytes(&commitments)).await?;
    sql::insert_items(tx, id.0, &requests, &salts).await?;
    Ok(id)
}

/// The commitment to an item: SHA-256 over a fixed word, a zero byte, the salt, the id of the case as text, a zero byte,
/// and the id of the contact.
fn commitment(salt: &[u8; 32], request: RequestId, contact: &ContactId) -> [u8; HASH_BYTES] {
    Sha256::new()
        .chain_update(PREFIX)
        .chain_update([0])
        .chain_update(salt)
        .chain_update(request.0.to_string())
        .chain_update([0])
        .chain_update(contact.as_str())
        .finalize()
        .into()
}

fn bytes(commitments: &[[u8; HASH_BYTES]]) -> Vec<u8> {
    commitments.concat()
}

/// The root of the tree whose leaves are the commitments.
fn root(commitments: &[[u8; HASH_BYTES]]) -> Hash {
    let mut edge = Edge::new();
    for commitment in commitments {
        // The tiles are of no use here: a page is small enough to be hashed anew.
        drop(edge.push(leaf_hash(commitment)));
    }
    edge.root()
}

/// Whether stored commitments are those of an entry; an error says in what they differ. `None` for an entry that is no
/// page.
pub(super) fn check_page(leaf: &Leaf, stored: Option<&[u8]>) -> Option<Result<(), &'static str>> {
    if leaf.action != Action::SweepPage.as_str() {
        return None;
    }
    let Some((items, expected)) = stated(leaf) else {
        return Some(Err("it does not say how many items it has and what their root is"));
    };
    let Some(stored) = stored else {
        return Some(Err("the commitments to its items are gone (audit.manifest)"));
    };
    let (commitments, rest) = stored.as_chunks::<HASH_BYTES>();
    let fits = rest.is_empty() && commitments.len() as u64 == items && root(commitments) == expected;
    Some(
        fits.then_some(())
            .ok_or("the commitments beside it (audit.manifest) are not those that it has the root of"),
    )
}

/// The number of items and the root that an entry states.
fn stated(leaf: &Leaf) -> Option<(u64, Hash)> {
    let (Some(DetailValue::Number(items)), Some(DetailValue::Word(root))) =
        (leaf.detail.get(ITEMS), leaf.detail.get(ROOT))
    else {
        return None;
    };
    Some((u64::try_from(*items).ok()?, Hash::from_bytes(&hex::decode(root).ok()?).ok()?))
}

/// What shows that an item stands on a page: handed over beside the entry, never stored.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// `dsrd-sweep-item/v1`.
    form: String,
    /// The case.
    pub case: Uuid,
    /// The platform's id of the contact.
    pub contact: String,
    /// The place on the page, from 0.
    pub index: u64,
    /// How many items the page has.
    pub items: u64,
    /// 32 bytes in hexadecimal.
    salt: String,
    /// The hashes from the item's sibling up, base64, as in a tlog-proof.
    proof: Vec<String>,
}

impl std::fmt::Debug for Opening {
    /// The contact is a person's.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Opening").field("case", &self.case).finish_non_exhaustive()
    }
}

/// Why an opening does not show what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// It cannot be read.
    #[error("what stands beside the proof is not the opening of a sweep's item")]
    Form,
    /// The entry is another one.
    #[error("the entry is not a page of a sweep")]
    NotAPage,
    /// The item does not stand on the page.
    #[error("the opening does not lead to the root in the entry: the item does not stand on this page")]
    NotOnPage,
}

impl Opening {
    /// Reads what [`Opening::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpeningError> {
        let opening: Self = serde_json::from_slice(bytes).map_err(|_| OpeningError::Form)?;
        if opening.form == FORM { Ok(opening) } else { Err(OpeningError::Form) }
    }

    /// JSON, to be carried beside a proof.
    ///
    /// # Panics
    /// Never: the fields are text and integers.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and integers can be written as JSON")
    }

    /// Whether the item stands on the page of this entry.
    pub fn check(&self, entry: &Leaf) -> Result<(), OpeningError> {
        if entry.action != Action::SweepPage.as_str() {
            return Err(OpeningError::NotAPage);
        }
        let (items, root) = stated(entry).ok_or(OpeningError::NotAPage)?;
        let contact: ContactId = self.contact.parse().map_err(|_| OpeningError::Form)?;
        let mut salt = [0_u8; 32];
        hex::decode_to_slice(&self.salt, &mut salt).map_err(|_| OpeningError::Form)?;
        let proof: Result<Vec<Hash>, _> = self.proof.iter().map(|line| Hash::from_base64(line)).collect();
        let proof = proof.map_err(|_| OpeningError::Form)?;
        let leaf = leaf_hash(&commitment(&salt, RequestId(self.case), &contact));
        if items != self.items {
            return Err(OpeningError::NotOnPage);
        }
        verify_inclusion(&leaf, self.index, items, &root, &proof).map_err(|_| OpeningError::NotOnPage)
    }
}

/// An item with the page that it stands on.
#[derive(Debug)]
pub struct Found {
    /// Number of the entry; none as long as it is not sealed.
    pub seq: Option<u64>,
    /// The opening; none once the id of the contact or the salt is forgotten.
    pub opening: Option<Opening>,
}

/// Finds the page that a case stands on, and opens the item for who knows the contact. `None` for a case that no sweep
/// submitted, for one that was submitted before there were pages, and for one whose salt is forgotten.
pub async fn open_item(
    connection: &mut PgConnection,
    request: RequestId,
    contact: Option<&ContactId>,
) -> Result<Option<Found>, StoreError> {
    let Some(item) = sql::find_item(connection, request).await? else { return Ok(None) };
    let seq = item.seq.and_then(|seq| u64::try_from(seq).ok());
    let opening = contact.and_then(|contact| open(&item, request, contact));
    Ok(Some(Found { seq, opening }))
}

/// The opening of a stored item; none where it has a place that its page has not. Whether it leads to the root in the entry, and so
/// whether its salt was changed, [`Opening::check`] tells: no signature covers the row.
fn open(item: &sql::ItemRow, request: RequestId, contact: &ContactId) -> Option<Opening> {
    let (commitments, _) = item.commitments.as_chunks::<HASH_BYTES>();
    let (index, items) = (u64::try_from(item.idx).ok()?, commitments.len() as u64);
    let mut edge = Edge::new();
    let mut tiles = TileMap::default();
    for commitment in commitments {
        edge.push(leaf_hash(commitment)).into_iter().for_each(|tile| tiles.insert(tile));
    }
    edge.partial_tiles().into_iter().for_each(|tile| tiles.insert(tile));
    let proof = inclusion_proof(&tiles, index, items).ok()?;
    Some(Opening {
        form: FORM.to_owned(),
        case: request.0,
        contact: contact.as_str().to_owned(),
        index,
        items,
        salt: hex::encode(&item.salt),
        proof: proof.iter().map(ToString::to_string).collect(),
    })
}

/// Forgets the salts of cases whose contact is forgotten: from then on nobody can show by this database whom an item was
/// about. Those of a case of whose end the log does not tell stay. Answers how many went. A hold makes it fail: ask
/// [`is_held`](super::forget::is_held) before.
pub async fn forget_items(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    cases: &[RequestId],
    erasing: &Erasing<'_>,
) -> Result<u64, StoreError> {
    if cases.is_empty() {
        return Ok(0);
    }
    let actor = word_of(connection, erasing.actor).await?;
    sql::forget_items(connection, organisation, cases, &actor, erasing).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u128) -> (Leaf, Vec<u8>, Vec<sql::ItemRow>, Vec<PageItem>) {
        let items: Vec<PageItem> = (0..number)
            .map(|place| PageItem {
                request: RequestId(Uuid::from_u128(place)),
                contact: format!("contact-{place}").parse().unwrap(),
            })
            .collect();
        let salts: Vec<[u8; 32]> = items.iter().map(|_| random::bytes()).collect();
        let commitments: Vec<_> = std::iter::zip(&items, &salts)
            .map(|(item, salt)| commitment(salt, item.request, &item.contact))
            .collect();
        let mut leaf = Leaf::about_log(
            Uuid::nil(),
            Action::SweepPage,
            "schedule:retention".to_owned(),
            DateTime::from_timestamp(1_795_473_600, 0).unwrap(),
        );
        let number = i64::try_from(commitments.len()).unwrap();
        leaf.detail.insert(ITEMS.to_owned(), DetailValue::Number(number));
        leaf.detail.insert(ROOT.to_owned(), DetailValue::Word(hex::encode(root(&commitments).0)));
        let stored = bytes(&commitments);
        let rows = (0..)
            .zip(&salts)
            .map(|(idx, salt)| sql::ItemRow {
                idx,
                salt: salt.to_vec(),
                commitments: stored.clone(),
                seq: Some(1),
            })
            .collect();
        (leaf, stored, rows, items)
    }

    #[test]
    fn each_item_of_a_page_of_any_length_is_proved_and_no_other() {
        for number in [1, 2, 3, 100, 256, 257, 600] {
            let (leaf, stored, rows, items) = page(number);
            assert_eq!(check_page(&leaf, Some(&stored)), Some(Ok(())));
            for (row, item) in std::iter::zip(&rows, &items) {
                let opening = open(row, item.request, &item.contact).unwrap();
                let read = Opening::from_bytes(&opening.to_bytes()).unwrap();
                assert_eq!(read.check(&leaf), Ok(()), "{number}");
                let other: ContactId = "somebody-else".parse().unwrap();
                let forged = open(row, item.request, &other).unwrap();
                assert_eq!(forged.check(&leaf), Err(OpeningError::NotOnPage));
                let of_another_case = open(row, RequestId(Uuid::from_u128(9999)), &item.contact).unwrap();
                assert_eq!(of_another_case.check(&leaf), Err(OpeningError::NotOnPage));
            }
        }
    }

    #[test]
    fn commitments_that_are_not_those_of_the_entry_are_told() {
        let (leaf, mut stored, rows, items) = page(5);
        let mut other = leaf.clone();
        other.action = Action::SweepFinished.as_str().to_owned();
        assert_eq!(check_page(&other, None), None);
        let opening = open(&rows[0], items[0].request, &items[0].contact).unwrap();
        assert_eq!(opening.check(&other), Err(OpeningError::NotAPage));
        assert!(check_page(&leaf, None).unwrap().unwrap_err().contains("gone"));
        assert!(check_page(&leaf, Some(&stored[32..])).unwrap().is_err());
        stored[70] ^= 1;
        assert!(check_page(&leaf, Some(&stored)).unwrap().is_err());
        for bad in [&b"{}"[..], b"", br#"{"form":"other"}"#] {
            assert_eq!(Opening::from_bytes(bad), Err(OpeningError::Form));
        }
    }

    #[test]
    fn two_commitments_to_the_same_item_have_nothing_in_common() {
        let (request, contact) = (RequestId(Uuid::nil()), "contact-1".parse().unwrap());
        assert_ne!(
            commitment(&random::bytes(), request, &contact),
            commitment(&random::bytes(), request, &contact)
        );
        assert!(!format!("{:?}", open(&page(1).2[0], request, &contact).unwrap()).contains("contact-1"));
    }
}
