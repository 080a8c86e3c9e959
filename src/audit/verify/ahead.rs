//! Entries that are read ahead over a second connection: the server sends the next ones while those before are accounted
//! for, which the one connection of a [`Database`](super::Database) has to answer for.
//!
//! Both connections read the same state: the first exports its snapshot, the second begins with it. Whatever is asked
//! for out of turn, and everything once the second connection failed or could not be made, is read over the first: to read
//! ahead saves time and nothing else.

use std::ops::Range;

use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;

use super::source::Stored;
use super::sql;
use crate::store::StoreError;

/// The second connection, and what it reads.
#[derive(Debug)]
pub(super) enum Ahead {
    /// There is none yet: a short log needs none.
    Unopened,
    /// It rests.
    Resting(PgConnection),
    /// It reads the entries with these indexes.
    Reading(Range<i64>, JoinHandle<(PgConnection, Result<Vec<Stored>, StoreError>)>),
    /// It failed.
    Gone,
}

impl Ahead {
    /// What was read ahead, if it is what is asked for.
    pub(super) async fn take(&mut self, wanted: &Range<i64>) -> Option<Vec<Stored>> {
        let Self::Reading(range, task) = self else { return None };
        let is_wanted = range == wanted;
        let read = task.await;
        *self = Self::Gone;
        // Whatever failed is asked for again by whoever waits for it, and told there.
        let (connection, Ok(rows)) = read.ok()? else { return None };
        *self = Self::Resting(connection);
        is_wanted.then_some(rows)
    }

    /// Reads these entries ahead, if the connection is free.
    pub(super) fn begin(&mut self, range: Range<i64>) {
        match std::mem::replace(self, Self::Gone) {
            Self::Resting(mut connection) => {
                let Range { start, end } = range;
                let task = tokio::spawn(async move {
                    let rows = sql::entries(&mut connection, start, end).await;
                    (connection, rows)
                });
                *self = Self::Reading(range, task);
            }
            other => *self = other,
        }
    }

    /// Ends reading.
    pub(super) async fn close(self) {
        match self {
            Self::Resting(connection) => drop(connection.close().await),
            Self::Reading(_, task) => task.abort(),
            Self::Unopened | Self::Gone => {}
        }
    }
}
