//! Entries that are read ahead over a second connection: the server goes on sending while those before are examined and
//! accounted for, which the one connection of a [`Database`](super::Database) has to answer for.
//!
//! Both connections read the same state: the first exports its snapshot, the second begins with it. A task of its own reads
//! one piece after the other and lays a few by, so that neither side waits for the other at each piece. Whatever is asked
//! for out of turn, and everything once the second connection failed or could not be made, is read over the first: to read
//! ahead saves time and nothing else.

use std::ops::Range;

use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::source::Stored;
use super::sql;

/// So many pieces are laid by at most, besides the one that is being read.
const PIECES: usize = 2;

/// The second connection, and what it reads.
#[derive(Debug)]
pub(super) enum Ahead {
    /// There is none yet: a short log needs none.
    Unopened,
    /// It reads piece after piece.
    Reading(mpsc::Receiver<Piece>, JoinHandle<()>),
    /// It came to its end, failed, or was asked for something else.
    Gone,
}

/// Entries, and their indexes.
#[derive(Debug)]
pub(super) struct Piece {
    range: Range<i64>,
    rows: Vec<Stored>,
}

impl Ahead {
    /// Reads what comes after `read`, in pieces as long as it, up to `end`.
    pub(super) fn begin(mut connection: PgConnection, read: &Range<i64>, end: i64) -> Self {
        let (first, step) = (read.end, (read.end - read.start).max(1));
        let (lay_by, pieces) = mpsc::channel(PIECES);
        let task = tokio::spawn(async move {
            let mut start = first;
            while start < end {
                let range = start..(start + step).min(end);
                start = range.end;
                // What failed is asked for again by whoever waits for it, and told there.
                let Ok(rows) = sql::entries(&mut connection, range.start, range.end).await else { return };
                if lay_by.send(Piece { range, rows }).await.is_err() {
                    return;
                }
            }
        });
        Self::Reading(pieces, task)
    }

    /// What was read ahead, if it is what is asked for.
    pub(super) async fn take(&mut self, wanted: &Range<i64>) -> Option<Vec<Stored>> {
        let Self::Reading(pieces, _) = self else { return None };
        match pieces.recv().await {
            Some(piece) if piece.range == *wanted => Some(piece.rows),
            _ => {
                std::mem::replace(self, Self::Gone).close();
                None
            }
        }
    }

    /// Ends reading. The server ends the transaction with its connection.
    pub(super) fn close(self) {
        if let Self::Reading(_, task) = self {
            task.abort();
        }
    }
}
