//! The tree over the entries, compared with the tiles and the edge that are stored.

use crate::audit::tlog::{Checkpoint, Edge, Hash, Tile, TileHashes};
use crate::audit::verify::report::Step;
use crate::audit::verify::source::{Source, SourceError};

use super::Run;
use super::heads::told;

/// The tree as it grows.
pub(super) struct Tree {
    /// Out of the tiles as long as there are any, so that each entry is compared with its own leaf and not with all
    /// that came before it.
    pub(super) main: Edge,
    /// Out of the entries alone, from the first one on that differs: tells which of both was changed.
    pub(super) of_entries: Option<Edge>,
    /// Whether neither the tiles nor the entries told a hash: then nothing after it can be compared.
    pub(super) broken: bool,
}

impl Tree {
    /// From here on the entries are another tree than the tiles.
    pub(super) fn diverge(&mut self) {
        if self.of_entries.is_none() {
            self.of_entries = Some(self.main.clone());
        }
    }

    pub(super) fn push(&mut self, hash: Hash, of_entry: Hash) -> Vec<TileHashes> {
        if let Some(edge) = &mut self.of_entries {
            edge.push(of_entry);
        }
        self.main.push(hash)
    }
}

impl Run<'_> {
    pub(super) async fn compare_tile<S: Source>(
        &mut self,
        source: &mut S,
        built: &TileHashes,
    ) -> Result<(), SourceError> {
        let Some(tile) = built.tile() else { return Ok(()) };
        if let Some(stored) = self.tile(source, tile).await?
            && stored != built.hashes
        {
            let position = stored.iter().zip(&built.hashes).take_while(|(one, other)| one == other).count();
            let what = format!("its hash {position} is not that of the tiles below it");
            self.findings.violation(Step::Tree, tile.path(), what);
        }
        Ok(())
    }

    /// Compares the partial tiles above level 0 and the root.
    pub(super) async fn compare_edge<S: Source>(
        &mut self,
        source: &mut S,
        checkpoint: &Checkpoint,
        tree: &Tree,
    ) -> Result<(), SourceError> {
        for partial in tree.main.partial_tiles() {
            if partial.level > 0 {
                self.compare_tile(source, &partial).await?;
            }
        }
        let signed = checkpoint.root;
        let of_entries = tree.of_entries.as_ref().map(Edge::root);
        match (tree.main.root() == signed, of_entries) {
            (true, None) => {}
            (true, Some(_)) => self.findings.remark(
                Step::Tree,
                "root",
                "the tiles agree with the signed head: it is the entries named above that were changed",
            ),
            (false, Some(root)) if root == signed => self.findings.violation(
                Step::Tree,
                "tiles",
                "the entries agree with the signed head: it is the tiles that were changed",
            ),
            (false, _) => self.findings.violation(
                Step::Tree,
                "root",
                format!("the tree over the {} entries has another root than the head says", checkpoint.size),
            ),
        }
        Ok(())
    }

    /// The hashes of a tile of the source; one that is malformed or missing is told.
    pub(super) async fn tile<S: Source>(
        &mut self,
        source: &mut S,
        tile: Tile,
    ) -> Result<Option<Vec<Hash>>, SourceError> {
        let bytes = match source.tile(tile).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                self.findings.undecided(Step::Tree, tile.path(), "the tile is missing");
                return Ok(None);
            }
            Err(error) => {
                self.unreadable(Step::Tree, error)?;
                return Ok(None);
            }
        };
        self.counts.tiles += 1;
        match Hash::row_from_bytes(&bytes) {
            Ok(hashes) if hashes.len() == usize::from(tile.width()) => Ok(Some(hashes)),
            Ok(hashes) => {
                let what = format!("it has {} hashes instead of {}", hashes.len(), tile.width());
                self.findings.violation(Step::Tree, tile.path(), what);
                Ok(None)
            }
            Err(error) => {
                self.findings.violation(Step::Tree, tile.path(), told(&error));
                Ok(None)
            }
        }
    }
}
