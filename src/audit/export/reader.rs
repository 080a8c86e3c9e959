//! Reads a log for an export: its head, its entries compared with their leaves, and proofs.

use super::ExportError;
use crate::audit::tlog::{
    Checker, Checkpoint, Hash, ProofFile, Prover, SignedNote, TILE_WIDTH, Tile, TileHashes, TileMap,
    leaf_hash,
};
use crate::audit::verify::{Source, Stored};

/// Entries in a tile.
pub(super) const WIDTH: u64 = TILE_WIDTH as u64;

/// Entries that are read at a time.
pub(super) const CHUNK: u64 = 16 * WIDTH;

/// A log under its newest head.
pub(super) struct Reader<'s, S> {
    source: &'s mut S,
    pub(super) note: SignedNote,
    pub(super) checkpoint: Checkpoint,
    prover: Prover,
    checker: Checker,
    /// The last tile of level 0.
    lowest: Option<(Tile, Vec<Hash>)>,
}

impl<'s, S: Source> Reader<'s, S> {
    pub(super) async fn open(source: &'s mut S) -> Result<Self, ExportError> {
        let note = SignedNote::from_bytes(&source.head().await?)?;
        let checkpoint: Checkpoint = note.text().parse()?;
        let prover = Prover::of_tree(checkpoint.size);
        let checker = Checker::of_tree(checkpoint.size, checkpoint.root);
        Ok(Self { source, note, checkpoint, prover, checker, lowest: None })
    }

    pub(super) fn size(&self) -> u64 {
        self.checkpoint.size
    }

    pub(super) fn source(&mut self) -> &mut S {
        self.source
    }

    /// The entries with indexes from `first` (whole tiles) to below `end`, each compared with its leaf, which stands beside it.
    pub(super) async fn entries(&mut self, first: u64, end: u64) -> Result<Vec<(Stored, Hash)>, ExportError> {
        let rows = self.source.entries(first, end, self.size()).await?;
        let mut compared = Vec::with_capacity(rows.len());
        for row in rows {
            let leaf = self.leaf(row.seq.saturating_sub(1)).await?;
            if leaf != leaf_hash(&row.entry) {
                return Err(ExportError::Altered { seq: row.seq });
            }
            compared.push((row, leaf));
        }
        Ok(compared)
    }

    async fn leaf(&mut self, index: u64) -> Result<Hash, ExportError> {
        let missing = || ExportError::NoEntry { seq: index + 1, size: self.checkpoint.size };
        let tile = Tile::of_tree(0, index / WIDTH, self.checkpoint.size).ok_or_else(missing)?;
        if self.lowest.as_ref().is_none_or(|(held, _)| *held != tile) {
            self.hashes(tile).await?;
        }
        let held = self.lowest.as_ref().filter(|(held, _)| *held == tile);
        let position = usize::try_from(index % WIDTH).unwrap_or_default();
        held.and_then(|(_, hashes)| hashes.get(position))
            .copied()
            .ok_or(ExportError::Tile { path: tile.path() })
    }

    /// A tile in the widest form that it has under this head.
    pub(super) async fn hashes(&mut self, tile: Tile) -> Result<Vec<Hash>, ExportError> {
        if let Some((held, hashes)) = &self.lowest
            && *held == tile
        {
            return Ok(hashes.clone());
        }
        let unusable = || ExportError::Tile { path: tile.path() };
        let bytes = self.source.tile(tile).await?.ok_or_else(unusable)?;
        let hashes = Hash::row_from_bytes(&bytes).map_err(|_| unusable())?;
        if hashes.len() != usize::from(tile.width()) {
            return Err(unusable());
        }
        if tile.level() == 0 {
            self.lowest = Some((tile, hashes.clone()));
        }
        Ok(hashes)
    }

    /// The proof that the leaf at `index` stands under the head; built, then verified.
    pub(super) async fn proof(&mut self, index: u64, leaf: &Hash) -> Result<Vec<Hash>, ExportError> {
        let size = self.checkpoint.size;
        let needed = self.prover.tiles(index).ok_or(ExportError::NoEntry { seq: index + 1, size })?;
        let mut map = TileMap::default();
        for tile in needed {
            let hashes = self.hashes(tile).await?;
            map.insert(TileHashes { level: tile.level(), index: tile.index(), hashes });
        }
        let altered = || ExportError::Altered { seq: index + 1 };
        let proof = self.prover.prove(&map, index).map_err(|_| altered())?;
        self.checker.check(leaf, index, &proof).map_err(|_| altered())?;
        Ok(proof)
    }
}

/// Receipts for the entries with these numbers, in the order given: each proves its entry under the newest head, without
/// the log. What goes out was verified against that head; whose signature it bears is for the reader to check.
pub async fn prove<S: Source>(source: &mut S, seqs: &[u64]) -> Result<Vec<(Stored, ProofFile)>, ExportError> {
    let mut reader = Reader::open(source).await?;
    let size = reader.size();
    let mut receipts = Vec::with_capacity(seqs.len());
    for &seq in seqs {
        let none = ExportError::NoEntry { seq, size };
        let Some(index) = seq.checked_sub(1).filter(|index| *index < size) else { return Err(none) };
        let first = index - index % WIDTH;
        let rows = reader.source.entries(first, (first + WIDTH).min(size), size).await?;
        let row = rows.into_iter().find(|row| row.seq == seq).ok_or(ExportError::Gone { seq })?;
        let hashes = reader.proof(index, &leaf_hash(&row.entry)).await?;
        let checkpoint = reader.note.clone();
        receipts.push((row, ProofFile { extra: None, index, hashes, checkpoint }));
    }
    Ok(receipts)
}
