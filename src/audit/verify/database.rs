//! The log in its tables. Entries that are read in their order are read ahead over a second connection ([`Ahead`]).

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::ahead::Ahead;
use super::catalogue::{self, Flaw};
use super::erasure::Erasable;
use super::report::Severity;
use super::source::{CommittedCases, KeptHead, KeptStamp, ManifestOf, Source, SourceError, Stored};
use super::sql;
use crate::audit::manifest;
use crate::audit::tlog::{Checkpoint, HASH_BYTES, SignedNote, Tile};
use crate::store::{self, StoreError};

/// Full tiles of level 0 that are read at a time.
const TILES_AHEAD: i64 = 32;

/// The tables of a log, as one unchanging state that is read with an auditor's rights.
#[derive(Debug)]
pub struct Database {
    connection: PgConnection,
    options: PgConnectOptions,
    entries_ahead: Ahead,
    /// Where the last reading of entries ended.
    read_up_to: u64,
    described: String,
    acts_as_auditor: bool,
    ahead: VecDeque<(i64, Vec<u8>)>,
    has_manifests: bool,
    is_copy: bool,
}

impl Database {
    /// Connects and begins to read. `described` is what people call the place.
    pub async fn open(options: &PgConnectOptions, described: String) -> Result<Self, SourceError> {
        let options = options.clone().application_name("dsrd audit");
        let mut connection =
            PgConnection::connect_with(&options).await.map_err(StoreError::during("audit.verify.connect"))?;
        let acts_as_auditor = sql::act_as_auditor(&mut connection).await?;
        sql::begin(&mut connection).await?;
        Ok(Self {
            connection,
            options,
            entries_ahead: Ahead::Unopened,
            read_up_to: 0,
            described,
            acts_as_auditor,
            ahead: VecDeque::new(),
            has_manifests: true,
            is_copy: false,
        })
    }

    /// The origin that the log calls itself.
    pub async fn origin(&mut self) -> Result<Option<String>, SourceError> {
        Ok(sql::find_head(&mut self.connection).await?.map(|head| head.origin))
    }

    /// All facts of the definition of the tables, one a line, as they are compared with those that were shipped.
    pub async fn definition(&mut self) -> Result<Vec<String>, SourceError> {
        Ok(catalogue::lines(&sql::facts(&mut self.connection).await?))
    }

    /// The cases with a reference, such as `DSR-ABCD-2345`: one, unless organisations happen to share it.
    pub async fn cases_of(&mut self, reference: &str) -> Result<Vec<Uuid>, SourceError> {
        Ok(sql::cases_of(&mut self.connection, reference).await?)
    }

    /// The major version of the server.
    pub async fn server_major(&mut self) -> Result<i32, SourceError> {
        Ok(sql::server_major(&mut self.connection).await?)
    }

    /// Takes it for a copy that was made of entries and tiles: no service writes into it, what can be erased is kept elsewhere,
    /// and so may be the commitments beside pages of sweeps.
    pub(in crate::audit) fn of_a_copy(mut self, has_manifests: bool) -> Self {
        self.has_manifests = has_manifests;
        self.is_copy = true;
        self
    }

    /// Ends reading.
    pub async fn close(self) {
        // The server ends a transaction with its connection, whether or not the farewell arrives.
        self.entries_ahead.close();
        drop(self.connection.close().await);
    }

    /// Another connection that reads the same state with the same rights.
    async fn connect_again(&mut self) -> Result<PgConnection, StoreError> {
        let failed = StoreError::during("audit.verify.connect_again");
        let snapshot = sql::export_snapshot(&mut self.connection).await?;
        let mut connection = PgConnection::connect_with(&self.options).await.map_err(failed)?;
        if self.acts_as_auditor {
            sql::act_as_auditor(&mut connection).await?;
        }
        sql::begin_with(&mut connection, &snapshot).await?;
        Ok(connection)
    }

    /// Begins to read ahead what comes after these entries, if somebody goes through the log.
    async fn read_ahead(&mut self, read: Range<u64>, size: u64) {
        let Range { start, end } = read;
        let goes_on = start > 0 && start == self.read_up_to && end < size;
        self.read_up_to = end;
        if goes_on && matches!(self.entries_ahead, Ahead::Unopened) {
            // Where a login may have one connection only, the log is read over that.
            self.entries_ahead = match self.connect_again().await {
                Ok(connection) => Ahead::begin(connection, &(signed(start)..signed(end)), signed(size)),
                Err(_) => Ahead::Gone,
            };
        }
    }

    /// A row of hashes cut to the width that was asked for.
    fn cut(tile: Tile, mut hashes: Vec<u8>) -> Vec<u8> {
        hashes.truncate(usize::from(tile.width()) * HASH_BYTES);
        hashes
    }
}

impl Source for Database {
    fn describe(&self) -> String {
        let rights = if self.acts_as_auditor { "as auditor" } else { "with the rights of the login" };
        format!("database {}, {rights}", self.described)
    }

    async fn head(&mut self) -> Result<Vec<u8>, SourceError> {
        let head = sql::find_head(&mut self.connection).await?;
        let note = head.and_then(|head| head.note);
        note.map(String::into_bytes)
            .ok_or_else(|| SourceError::Missing { place: "the signed head (audit.head)".to_owned() })
    }

    async fn entries(&mut self, first: u64, end: u64, size: u64) -> Result<Vec<Stored>, SourceError> {
        let rows = match self.entries_ahead.take(&(signed(first)..signed(end))).await {
            Some(rows) => rows,
            None => sql::entries(&mut self.connection, signed(first), signed(end)).await?,
        };
        self.read_ahead(first..end, size).await;
        Ok(rows)
    }

    fn is_the_log(&self) -> bool {
        true
    }

    fn is_live(&self) -> bool {
        !self.is_copy
    }

    async fn tile(&mut self, tile: Tile) -> Result<Option<Vec<u8>>, SourceError> {
        let level = i16::from(tile.level());
        let index = signed(tile.index());
        if !tile.is_full()
            && let Some((n, hashes)) = sql::find_edge(&mut self.connection, level).await?
            && n == index
        {
            return Ok(Some(Self::cut(tile, hashes)));
        }
        // Those of level 0 are asked for one after the other.
        if tile.level() == 0 {
            while self.ahead.pop_front_if(|(n, _)| *n < index).is_some() {}
            if self.ahead.front().is_none_or(|(n, _)| *n != index) {
                self.ahead = sql::tiles(&mut self.connection, 0, index, index + TILES_AHEAD).await?.into();
            }
            let found = self.ahead.front().filter(|(n, _)| *n == index);
            return Ok(found.map(|(_, hashes)| Self::cut(tile, hashes.clone())));
        }
        let found = sql::tiles(&mut self.connection, level, index, index + 1).await?;
        Ok(found.into_iter().next().map(|(_, hashes)| Self::cut(tile, hashes)))
    }

    async fn kept_heads(&mut self, after: u64, end: u64) -> Result<Vec<KeptHead>, SourceError> {
        Ok(sql::kept_heads(&mut self.connection, signed(after), signed(end)).await?)
    }

    async fn stamps(&mut self, after: u64, end: u64) -> Result<Vec<KeptStamp>, SourceError> {
        Ok(sql::stamps(&mut self.connection, signed(after), signed(end)).await?)
    }

    async fn manifest(&mut self, page: Uuid) -> Result<ManifestOf, SourceError> {
        if !self.has_manifests {
            return Ok(ManifestOf::Elsewhere);
        }
        let found = manifest::find_commitments(&mut self.connection, page).await?;
        Ok(found.map_or(ManifestOf::Missing, ManifestOf::Kept))
    }

    async fn erasable(&mut self) -> Result<Option<Erasable>, SourceError> {
        if self.is_copy {
            return Ok(None);
        }
        Ok(Some(sql::erasable(&mut self.connection).await?))
    }

    async fn openings(&mut self, asked: CommittedCases) -> Result<HashMap<Uuid, String>, SourceError> {
        if asked.cases.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(sql::openings(&mut self.connection, &asked.organisations, &asked.cases).await?)
    }

    async fn flaws(&mut self, size: u64) -> Result<Option<Vec<Flaw>>, SourceError> {
        let facts = sql::facts(&mut self.connection).await?;
        let major = sql::server_major(&mut self.connection).await?;
        let mut flaws = catalogue::differences(&facts, major);
        if flaws.iter().any(|flaw| flaw.severity == Severity::Violation) {
            let seen = store::visible_schema_state(&mut self.connection).await?;
            catalogue::allow_for_another_release(&mut flaws, seen);
        }
        flaws.extend(catalogue::gaps(&facts));
        let last = sql::last_seq(&mut self.connection).await?.unwrap_or_default();
        if last > signed(size) {
            flaws.push(Flaw::violation(
                format!("entries {} to {last}", size + 1),
                "they stand in the log, and no signed head covers them",
            ));
        }
        if let Some(head) = sql::find_head(&mut self.connection).await?
            && let Some(note) = &head.note
            && let Some(said) = checkpoint_of(note)
            && (signed(said.size) != head.size
                || said.root.as_bytes().as_slice() != head.root
                || said.origin.as_str() != head.origin)
        {
            flaws.push(Flaw::violation("audit.head", "its columns are not what its signed note says"));
        }
        Ok(Some(flaws))
    }
}

fn checkpoint_of(note: &str) -> Option<Checkpoint> {
    note.parse::<SignedNote>().ok()?.text().parse().ok()
}

/// Sizes and indexes are below 2^63; a larger one is not in any table.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
