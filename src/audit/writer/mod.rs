//! Who wrote what: the numbers of a process's entries, and the account that it gives of them.
//!
//! Between the commit of an entry and its sealing lie some tenths of a second in which no tree protects it. So each process
//! that writes entries is a *writer*: it draws a random name (field `w`) and a session key when it starts, and numbers its
//! entries 1, 2, 3 … (field `n`). It announces both with its first entry (`writer.start`), says which numbers it gave up
//! because their transaction was rolled back (`writer.void`), signs now and then what it wrote under all others
//! (`writer.account`), and once more when it ends (`writer.stop`). A writer that was killed is declared ended by another
//! one (`writer.ended`). An entry that vanished before it was sealed, or was put in by somebody else in a writer's name,
//! contradicts such an account, and `audit::verify` says so.
//!
//! Data enters as numbers that [`append`](super::append) draws, and as the ends of their transactions, which
//! [`store::Tx`](crate::store::Tx) tells. It leaves as entries, and as what [`Writer::turn`] found.
//!
//! Invariants:
//! - A number is drawn when the entry is written, within the process: no statement and no lock of the database is needed.
//! - A number is given up only if its transaction was rolled back, or if its COMMIT went unanswered and neither the inbox nor
//!   the log has the entry long after.
//! - An account covers every number from the one after the last account on. Entries of numbers that it covers are
//!   committed before it, and so have lower numbers in the log.
//! - Nothing is accounted for once the database went back: the books name numbers that the copy never had, and an account of
//!   them would accuse it. Such a process begins anew under another name; another one declares this writer ended.
//! - The session key never leaves the process and is never stored. It proves that one process wrote all of it, not which:
//!   whoever has the service's login can announce a writer of their own, and that announcement stands in the log.
//!
//! The keeper ([`Writer::turn`], once a second) also looks whether each committed entry is in the log within the merge
//! delay. One that only waits is told as late; one that is neither in the inbox nor in the log was removed.
//!
//! Entries that the sealer writes in the transaction that seals them, and those that functions of the database write
//! (`log.redact`, `log.hold_set`, `log.hold_lifted`), have no number.

mod account;
mod books;
mod sql;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

pub(super) use self::account::{Account, Summary, VOID};
use self::books::Books;
pub(super) use self::sql::enter;
use super::event::{Action, Actor, Detail};
use super::leaf::Leaf;
use super::sql::{put_off, sealed_up_to};
use super::tlog::SessionKey;
use crate::domain::{Clock, random};
use crate::store::{Fate, Numbering, PgConnection, Store, StoreError, Written};

/// After so many seconds without a sign of life a writer is declared ended.
const SILENT_AFTER_SECS: i32 = 600;

/// The most entries that are looked up at a time.
const MOST_AT_ONCE: i64 = 20_000;

/// How long after an unanswered COMMIT a number counts as given up when there is no trace of its entry.
const DOUBT: Duration = Duration::from_mins(2);

/// A process that writes entries.
#[derive(Debug)]
pub struct Writer {
    name: String,
    key: SessionKey,
    merge_delay: Duration,
    books: Mutex<Books>,
}

/// What a turn found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Numbers of entries that are late: committed longer ago than the merge delay, and not sealed.
    pub late: Vec<u64>,
    /// Numbers of entries that were committed, or sealed with other bytes, and are not where they must be.
    pub lost: Vec<u64>,
    /// Writers that were declared ended.
    pub ended: Vec<String>,
    /// Whether the log has fewer entries than this writer has seen in it, now or before: the database is an older copy. Then
    /// nothing else was looked at.
    pub is_set_back: bool,
}

impl Writer {
    /// A new writer, with a name and a key that nobody had before. `merge_delay` is how long sealing may take.
    #[must_use]
    pub fn draw(merge_delay: Duration) -> Arc<Self> {
        let seed = Zeroizing::new(random::bytes());
        Arc::new(Self {
            name: hex::encode(random::bytes::<8>()),
            key: SessionKey::from_seed(&seed),
            merge_delay,
            books: Mutex::default(),
        })
    }

    /// Its name: 16 hexadecimal digits, the field `w` of its entries.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many numbers it has used.
    #[must_use]
    pub fn drawn(&self) -> u64 {
        self.books().drawn()
    }

    /// Takes note of where the log ends, before anything is written.
    pub async fn begin(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let size = sealed_up_to(connection).await?;
        self.books().begin_after(size);
        Ok(())
    }

    /// Gives an entry the next number.
    pub(super) fn number(&self, leaf: &mut Leaf) -> u64 {
        let number = self.books().draw();
        leaf.n = Some(number);
        leaf.w = Some(self.name.clone());
        number
    }

    /// The announcement, where this transaction is to bring it. Nobody waits for one that is under way.
    pub(super) fn announcement(&self, at_us: u64) -> Option<(u64, Leaf)> {
        let mut books = self.books();
        if !books.must_announce() {
            return None;
        }
        let number = books.draw_announcement();
        let detail = Detail::none().word("key", &self.key.public());
        let leaf = Leaf {
            at_us,
            n: Some(number),
            w: Some(self.name.clone()),
            ..entry(Action::WriterStart, detail, DateTime::UNIX_EPOCH)
        };
        Some((number, leaf))
    }

    /// One look: at what was sealed, what is late, and, where `accounts` says that it is time for that, what is to be
    /// accounted for and which writers have gone silent.
    pub async fn turn(&self, store: &Store, clock: &dyn Clock, accounts: bool) -> Result<Turn, StoreError> {
        let mut turn = Turn::default();
        self.look(&mut *store.connection().await?, &mut turn).await?;
        turn.is_set_back = self.books().is_forsaken();
        if accounts && !turn.is_set_back {
            self.settle(store, clock.now(), false).await?;
            turn.ended = self.bury(store, clock.now()).await?;
        }
        Ok(turn)
    }

    /// Accounts for nothing any more: the log is known to be another one than what was written into.
    pub fn forsake(&self) {
        self.books().forsake();
    }

    /// Closes the account with `writer.stop`, if anything was written. Numbers whose transactions are still open stay open.
    pub async fn stop(&self, store: &Store, clock: &dyn Clock) -> Result<(), StoreError> {
        if !self.books().has_written() {
            return Ok(());
        }
        self.settle(store, clock.now(), true).await
    }

    /// Looks through what was sealed since the last look.
    async fn look(&self, connection: &mut PgConnection, turn: &mut Turn) -> Result<(), StoreError> {
        if self.books().is_at_rest() {
            let drawn = self.books().drawn();
            let size = self.size(connection).await?;
            let mut books = self.books();
            // Had something been written meanwhile, it could be sealed already.
            if books.drawn() == drawn && books.is_at_rest() {
                books.saw(size);
            }
            return Ok(());
        }
        self.read_log(connection, turn).await?;
        if self.books().is_forsaken() {
            return Ok(());
        }
        let overdue = self.books().overdue(self.merge_delay, Instant::now());
        let doubtful = self.books().doubtful(self.merge_delay, Instant::now());
        if overdue.is_empty() && doubtful.is_empty() {
            return Ok(());
        }
        let asked: Vec<i64> =
            overdue.iter().chain(&doubtful).filter_map(|number| (*number).try_into().ok()).collect();
        let waiting = sql::pending(connection, &self.name, &asked).await?;
        let waits = |number: &u64| waiting.iter().any(|waiting| u64::try_from(*waiting) == Ok(*number));
        // An entry goes from the inbox to the log and never back: what does not wait is in the log by now.
        self.read_log(connection, turn).await?;
        let mut books = self.books();
        for number in overdue {
            if waits(&number) {
                books.tell(number);
                turn.late.push(number);
            } else if books.lose(number) {
                turn.lost.push(number);
            }
        }
        for number in doubtful {
            books.decide(number, waits(&number), DOUBT, Instant::now());
        }
        Ok(())
    }

    /// How many entries the log has; takes note of it where they became fewer.
    async fn size(&self, connection: &mut PgConnection) -> Result<i64, StoreError> {
        let seen = self.books().seen();
        let size = i64::try_from(sealed_up_to(connection).await?).unwrap_or(i64::MAX);
        self.books().compare(seen, size);
        Ok(size)
    }

    async fn read_log(&self, connection: &mut PgConnection, turn: &mut Turn) -> Result<(), StoreError> {
        let size = self.size(connection).await?;
        loop {
            let seen = self.books().seen();
            if seen >= size {
                return Ok(());
            }
            let found = sql::sealed(connection, &self.name, seen, size, MOST_AT_ONCE).await?;
            let is_all = i64::try_from(found.len()) != Ok(MOST_AT_ONCE);
            let reached = if is_all { size } else { found.last().map_or(size, |last| last.seq) };
            let mut books = self.books();
            for entry in found {
                let number = u64::try_from(entry.number).unwrap_or_default();
                if !books.arrive(number, &entry.leaf) {
                    turn.lost.push(number);
                }
            }
            books.saw(reached);
        }
    }

    /// Writes the numbers that were given up, the account, and where it ends the end.
    async fn settle(&self, store: &Store, at: DateTime<Utc>, is_end: bool) -> Result<(), StoreError> {
        let mut tx = store.begin("audit.writer.settle").await?;
        self.size(&mut tx).await?;
        let due = {
            let mut books = self.books();
            if books.is_forsaken() { None } else { books.due(is_end, Instant::now()) }
        };
        let Some(due) = due else { return Ok(()) };
        for (first, last) in &due.voids {
            let detail = Detail::none().count("first", *first).count("last", *last);
            put_off(&mut tx, entry(Action::WriterVoid, detail, at)).await?;
        }
        let detail =
            due.account.as_ref().map(|account| account.detail(&self.name, &self.key)).unwrap_or_default();
        if is_end {
            sql::leave(&mut tx, &self.name).await?;
        }
        let action = if is_end { Action::WriterStop } else { Action::WriterAccount };
        let number = put_off(&mut tx, entry(action, detail, at)).await?;
        if let (Some(number), Some(account)) = (number, due.account) {
            self.books().propose(number, account.last, Instant::now());
        }
        tx.commit().await
    }

    /// Tells that this writer lives, and declares those ended that do not say so any more.
    async fn bury(&self, store: &Store, at: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
        let mut tx = store.begin("audit.writer.bury").await?;
        if self.books().has_announced() {
            sql::enter(&mut tx, &self.name).await?;
        }
        let silent = sql::take_silent(&mut tx, SILENT_AFTER_SECS).await?;
        for writer in &silent {
            let detail = Detail::none().word("writer", writer);
            put_off(&mut tx, entry(Action::WriterEnded, detail, at)).await?;
        }
        tx.commit().await?;
        Ok(silent)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry of a writer about itself or another one.
fn entry(action: Action, detail: Detail, at: DateTime<Utc>) -> Leaf {
    let actor = Actor::Process("writer").to_string();
    Leaf { detail: detail.into_values(), ..Leaf::about_log(Uuid::now_v7(), action, actor, at) }
}

impl Numbering for Writer {
    fn ended(&self, written: Vec<Written>, fate: Fate) {
        self.books().ended(&written, fate, Instant::now());
    }
}
