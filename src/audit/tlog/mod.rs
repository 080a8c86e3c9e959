//! The pure core of the transparency log: hashes, tree, tiles, proofs, signed notes. No database, no files, no clock.
//!
//! Everything here follows published formats, so that programs we did not write can check our log, and so that we can
//! check theirs: the Merkle tree of RFC 6962 (SHA-256) and, of <https://c2sp.org>, tlog-tiles, signed-note,
//! tlog-checkpoint, tlog-cosignature, tlog-witness and tlog-proof. The only format of our own is the content of a leaf, which this
//! folder never looks into.
//!
//! Data enters as leaf hashes ([`leaf_hash`] of the stored bytes) that are pushed onto the right [`Edge`] of the tree,
//! and as bytes of foreign origin that the parsers read ([`SignedNote`], [`Checkpoint`], [`VerifierKey`], [`TilePath`],
//! [`ProofFile`], [`bundle`]). It leaves as tiles, roots, proofs and notes.
//!
//! One round of the sealer: [`Edge::restore`] from the stored partial tiles, compare [`Edge::root`] with the last
//! signed checkpoint, [`Edge::push`] each leaf and store the full tiles that come back, store [`Edge::partial_tiles`],
//! sign [`Checkpoint`] with [`Checkpoint::sign`].
//!
//! Building a proof reads tiles through [`TileSource`], which is synchronous. Who keeps tiles behind something slow asks
//! first which ones are needed ([`inclusion_tiles`], [`consistency_tiles`]), loads them into a [`TileMap`], then builds.
//!
//! Invariants:
//! - Every parser accepts exactly one spelling of each value: what it accepts is formatted back to the same bytes. So
//!   two readers never see different things in one file, and "verbatim" needs no second copy.
//! - Every parser is bounded before it allocates, and answers any bytes with a value or a typed error.
//! - Verification answers with what was proven, never with a bare `true`: an unchecked result does not compile away.
//! - Integers are below 2^63, because they are stored as PostgreSQL's `bigint`.
//!
//! To add a signature type: a variant of [`Algorithm`], its message and its encoding beside `cosignature.rs`.

mod add_checkpoint;
pub mod bundle;
mod checkpoint;
mod cosignature;
mod hash;
mod key;
mod note;
mod proof;
mod proof_file;
mod prover;
mod session;
mod text;
mod tile;
mod tree;

pub use add_checkpoint::{
    AddCheckpoint, AddCheckpointError, MAX_ADD_CHECKPOINT_BYTES, MAX_CONSISTENCY_HASHES,
};
pub use checkpoint::{Checkpoint, CheckpointError, OpenedCheckpoint};
pub use cosignature::CosigningKey;
pub use hash::{BASE64_CHARS, EMPTY_ROOT, HASH_BYTES, Hash, HashError, leaf_hash, node_hash};
pub use key::{Algorithm, KeyError, KeyId, KeyName, SigningKey, VerifierKey};
pub use note::{MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError, Signature, SignedNote, VerifiedSignature};
pub use proof::{
    BuildError, TileMap, TileSource, VerifyError, consistency_proof, consistency_tiles, inclusion_proof,
    inclusion_tiles, root, root_tiles, verify_consistency, verify_inclusion,
};
pub use proof_file::{MAX_PROOF_HASHES, ProofFile, ProofFileError};
pub use prover::{Checker, Prover};
pub use session::{SessionKey, is_signed_in_session};
pub use text::NumberError;
pub use tile::{Bundle, TILE_WIDTH, Tile, TileError, TilePath, bundles_between, tiles_between};
pub use tree::{Edge, EdgeError, MAX_SIZE, TileHashes};
