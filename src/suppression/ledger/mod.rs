//! What was about to be done to contacts, and what must not be done to them, outside of the database as well.
//!
//! `execution` enters an [`Entry`] in the transaction that announces an effect, appends it to the file of the month
//! ([`Ledger::append`]: one line, synced to the disk) and only then calls the platform. After a restore the files know what
//! the database has lost: [`Ledger::compare`] finds it, the requests concerned wait for a person, and `dsrd ledger replay`
//! reads the platform again and offers what is to be decided (`execution::replay`).
//!
//! Holds that people place and lift are entered in the transaction that does so. A daemon brings them into the files within a minute
//! ([`Ledger::append_holds`]): whoever works at the command line may have no right to write there, and a file of theirs would
//! stop the daemon.
//!
//! Invariants:
//! - No effect without its line: when the file cannot be written, the platform is not called.
//! - Lines are only appended, each with a checksum, in files that only the owner reads. A torn last line, as a crash leaves
//!   it, is told from a damaged one.
//! - An entry holds keyed hashes and the sealed id of the contact, or the sealed order of a hold; without the master key it names
//!   nobody.
//! - The lines of an organisation that is removed are overwritten with spaces ([`Ledger::blank`]); otherwise nothing is rewritten.
//! - Whole months go when no backup is as old any more (`ledger.keep_days`), here and in the database. A row goes no sooner than
//!   its last line: what is left in a file only was lost by a restore.
//!
//! Why a file a month: purging must not rewrite what was written. Why the id of an entry follows from its request: a second
//! attempt of the same effect is the same entry, in whatever order a crash left file and database.

mod file;
mod settings;
mod sql;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

pub use file::{LedgerError, Outside};
pub use settings::Settings;
pub use sql::{purge, settle};

use super::{Hashed, words};
use crate::domain::{ContactId, KeyError, MasterKey, OrganisationId, Personal, Proof, RequestId};
use crate::store::{PgConnection, Store, StoreError};

words! {
    /// What was about to be done.
    EntryKind, "kind of ledger entry" {
        /// The contact deleted.
        Erasure = "erasure",
        /// A policy switched off.
        OptOut = "opt_out",
        /// The access report handed over.
        Report = "report",
        /// A hold placed; its id stands in the place of the request's.
        Hold = "hold",
        /// A hold lifted.
        HoldEnded = "hold_ended",
    }
}

impl EntryKind {
    /// Whether it is about a hold, and not about something that is done to a contact.
    #[must_use]
    pub const fn is_of_hold(self) -> bool {
        matches!(self, Self::Hold | Self::HoldEnded)
    }
}

words! {
    /// What became of an entry that a restore had lost.
    Settled, "settlement" {
        /// The platform shows it as it was left; it stands in the database again.
        StillSo = "still_so",
        /// A person had it done again, by a request of its own.
        Repeated = "repeated",
        /// A person left it as the platform shows it now.
        Left = "left",
    }
}

/// The version of the form below.
const VERSION: u8 = 1;

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of this form.
    pub v: u8,
    /// Its id; follows from request, kind and policy.
    pub entry: Uuid,
    /// Of which organisation.
    pub organisation: String,
    /// By which request, or which hold.
    pub request: Uuid,
    /// What was about to be done.
    pub kind: EntryKind,
    /// For an opt-out: the policy.
    pub policy: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// The contact's id, or what a hold orders, sealed for this entry, as hexadecimal digits.
    pub contact: String,
    /// The entries of the suppression list that follow from it.
    pub suppress: Vec<String>,
    /// How it was known who asked for it, and when that was proven; nothing for a sweep, and in lines written before this
    /// was kept. What repeats it after a restore states the same and nothing else (S-3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// The purpose under which contact ids are sealed here.
const SEALED: &str = "ledger";

impl Entry {
    /// What is about to be done to a contact.
    #[must_use]
    pub fn new(
        keys: &MasterKey,
        (organisation, request): (&OrganisationId, RequestId),
        (kind, policy): (EntryKind, Option<&str>),
        contact: &ContactId,
        suppress: &[Hashed],
        at: DateTime<Utc>,
    ) -> Self {
        let suppress = suppress.iter().map(Hashed::to_text).collect();
        let policy = policy.map(str::to_owned);
        let entry = Self::sealed(keys, (organisation, request.0), (kind, policy), contact.as_str(), at);
        Self { suppress, ..entry }
    }

    /// A hold that is placed or lifted, with what it orders in the form of the module that owns it.
    #[must_use]
    pub fn of_hold(
        keys: &MasterKey,
        about: (&OrganisationId, Uuid),
        kind: EntryKind,
        order: &str,
        at: DateTime<Utc>,
    ) -> Self {
        Self::sealed(keys, about, (kind, None), order, at)
    }

    fn sealed(
        keys: &MasterKey,
        (organisation, request): (&OrganisationId, Uuid),
        (kind, policy): (EntryKind, Option<String>),
        text: &str,
        at: DateTime<Utc>,
    ) -> Self {
        let entry = id_of(request, kind, policy.as_deref());
        let clear = Personal::new(text.as_bytes().to_vec());
        Self {
            v: VERSION,
            entry,
            organisation: organisation.as_str().to_owned(),
            request,
            kind,
            policy,
            at,
            contact: hex::encode(keys.sealing(SEALED).seal(&entry.to_string(), &clear)),
            suppress: Vec::new(),
            proof: None,
        }
    }

    /// The same, with how it was known who asked for it.
    #[must_use]
    pub fn asked_by(self, proof: Option<Proof>) -> Self {
        Self { proof, ..self }
    }

    /// The contact's id.
    pub fn open_contact(&self, keys: &MasterKey) -> Result<ContactId, KeyError> {
        self.open(keys)?.parse().map_err(|_| KeyError::DoesNotOpen)
    }

    /// What a hold orders, as it was entered.
    pub fn open_order(&self, keys: &MasterKey) -> Result<String, KeyError> {
        self.open(keys)
    }

    fn open(&self, keys: &MasterKey) -> Result<String, KeyError> {
        let sealed = hex::decode(&self.contact).map_err(|_| KeyError::DoesNotOpen)?;
        let clear = keys.sealing(SEALED).open(&self.entry.to_string(), &sealed)?;
        String::from_utf8(clear.into_exposed()).map_err(|_| KeyError::DoesNotOpen)
    }

    /// The entries of the suppression list that follow from it.
    #[must_use]
    pub fn suppressed(&self) -> Vec<Hashed> {
        self.suppress.iter().filter_map(|text| Hashed::from_text(text)).collect()
    }
}

fn id_of(request: Uuid, kind: EntryKind, policy: Option<&str>) -> Uuid {
    let mut digest = Sha256::new();
    digest.update(request.as_bytes());
    digest.update(kind.as_str().as_bytes());
    digest.update([0]);
    digest.update(policy.unwrap_or_default().as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Year and month of an instant: that of the file in which its line stands.
fn month_of(at: DateTime<Utc>) -> (i32, u32) {
    (at.year(), at.month())
}

/// Enters what is about to be done, in the transaction that announces it. An attempt before this one may have.
pub async fn enter(connection: &mut PgConnection, entry: &Entry) -> Result<(), StoreError> {
    sql::insert(connection, entry).await
}

/// The files of the ledger, and what a comparison found missing in the database.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    /// What this process has to append; lines of other processes are told apart by the line.
    queue: Arc<Mutex<Queue>>,
    /// Requests with entries that the database had lost when it was last compared.
    lost: Mutex<BTreeMap<RequestId, Vec<Uuid>>>,
    /// Entries of holds that the files have.
    holds: Mutex<BTreeSet<Uuid>>,
    /// Until when nothing is announced, because the files could not be written.
    rest: Mutex<Option<Rest>>,
}

/// The first rest of a ledger whose files cannot be written, doubled with each failure after it.
const FIRST_REST: TimeDelta = TimeDelta::seconds(30);
/// The longest.
const LONGEST_REST: TimeDelta = TimeDelta::minutes(15);

#[derive(Clone, Copy, Debug)]
struct Rest {
    began: DateTime<Utc>,
    lasts: TimeDelta,
}

impl Rest {
    /// What is left of it; nothing as well where the clock was set back meanwhile.
    fn left(self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let passed = now - self.began;
        (TimeDelta::zero() <= passed && passed < self.lasts).then(|| self.lasts - passed)
    }
}

/// Entries that wait for the disk. One task writes all that wait and syncs once, while the next ones gather: a sync for
/// each would make every worker wait for all others.
#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether the task is at work, which takes up what comes meanwhile.
    is_written: bool,
}

#[derive(Debug)]
struct Waiting {
    entries: Vec<Entry>,
    done: oneshot::Sender<Result<(), LedgerError>>,
}

/// Writes what waits until nothing does.
fn write_waiting(directory: &Path, queue: &Mutex<Queue>) {
    loop {
        let waiting = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.waiting.is_empty() {
                queue.is_written = false;
                return;
            }
            std::mem::take(&mut queue.waiting)
        };
        let together: Vec<Entry> = waiting.iter().flat_map(|each| each.entries.iter().cloned()).collect();
        let is_written = file::append(directory, &together).is_ok();
        for each in waiting {
            // Which of them the disk has after a failure is not known: each is told by itself, and written again if need
            // be. A line that stands there twice counts once.
            let written = if is_written { Ok(()) } else { file::append(directory, &each.entries) };
            // Whoever waited may have given up meanwhile, which is their affair.
            drop(each.done.send(written));
        }
    }
}

impl Ledger {
    /// The ledger in a directory, which is made when the first line is written.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            queue: Arc::default(),
            lost: Mutex::default(),
            holds: Mutex::default(),
            rest: Mutex::default(),
        }
    }

    /// Appends an entry to the file of its month and waits until the disk has it.
    pub async fn append(&self, entry: &Entry, now: DateTime<Utc>) -> Result<(), LedgerError> {
        let appended = self.append_all(vec![entry.clone()]).await;
        self.note(appended.is_ok(), now);
        appended
    }

    /// How long nothing should be announced that the ledger has to know of, because its files could not be written a moment
    /// ago. Every announcement that comes to nothing is two entries of the audit log: a directory that is away for a night
    /// must not fill it.
    #[must_use]
    pub fn rests_for(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).and_then(|rest| rest.left(now))
    }

    fn note(&self, is_written: bool, now: DateTime<Utc>) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *rest = match *rest {
            _ if is_written => None,
            // Several were on their way when the first of them failed: that counts once.
            Some(rest) if rest.left(now).is_some() => Some(rest),
            before => {
                let lasts = before.map_or(FIRST_REST, |before| (before.lasts * 2).min(LONGEST_REST));
                Some(Rest { began: now, lasts })
            }
        };
    }

    async fn append_all(&self, entries: Vec<Entry>) -> Result<(), LedgerError> {
        let (done, written) = oneshot::channel();
        let is_written = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.push(Waiting { entries, done });
            std::mem::replace(&mut queue.is_written, true)
        };
        if !is_written {
            let (directory, queue) = (self.directory.clone(), Arc::clone(&self.queue));
            drop(tokio::task::spawn_blocking(move || write_waiting(&directory, &queue)));
        }
        written.await.unwrap_or(Err(LedgerError::Interrupted))
    }

    /// Brings the entries of holds that the database has got since into the files, and waits until the disk has them; returns how
    /// many. Any number of daemons may call it at any time, each for its own directory.
    pub async fn append_holds(
        &self,
        store: &Store,
        organisation: &OrganisationId,
    ) -> Result<usize, CompareError> {
        let entered = sql::list_holds(&mut *store.connection().await?, organisation).await?;
        let missing: Vec<Entry> = {
            let written = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
            entered.into_iter().filter(|entry| !written.contains(&entry.entry)).collect()
        };
        if missing.is_empty() {
            return Ok(0);
        }
        let ids: Vec<Uuid> = missing.iter().map(|entry| entry.entry).collect();
        self.append_all(missing).await?;
        let count = ids.len();
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        Ok(count)
    }

    /// Reads every entry of an organisation, each once.
    pub async fn read(&self, organisation: &OrganisationId) -> Result<Outside, LedgerError> {
        let directory = self.directory.clone();
        let read = tokio::task::spawn_blocking(move || file::read(&directory)).await;
        let mut outside = read.unwrap_or(Err(LedgerError::Interrupted))?;
        outside.entries.retain(|entry| entry.organisation == organisation.as_str());
        Ok(outside)
    }

    /// Brings files and database together at start: entries that only the database has are appended (the directory may be
    /// new), and requests with entries that only the files have are remembered, until they are settled. Returns how many
    /// entries the database has lost.
    pub async fn compare(&self, store: &Store, organisation: &OrganisationId) -> Result<usize, CompareError> {
        let outside = self.read(organisation).await?;
        if outside.damaged > 0 {
            tracing::error!(
                %organisation,
                directory = %self.directory.display(),
                count = outside.damaged,
                "lines of the ledger are damaged; what they said cannot be compared with the database"
            );
        }
        let mut connection = store.connection().await?;
        let known = sql::list(&mut connection, organisation).await?;
        drop(connection);
        // An earlier version kept the row of the first attempt, which would go before the line of the last.
        let is_older =
            |line: &&Entry| known.get(&line.entry).is_some_and(|row| month_of(row.at) < month_of(line.at));
        for line in outside.entries.iter().filter(is_older) {
            let mut tx = store.begin("ledger.take_line").await?;
            sql::insert(&mut tx, line).await?;
            tx.commit().await?;
        }
        let written: BTreeSet<Uuid> = outside.entries.iter().map(|entry| entry.entry).collect();
        let missing: Vec<Entry> =
            known.values().filter(|entry| !written.contains(&entry.entry)).cloned().collect();
        if !missing.is_empty() {
            self.append_all(missing).await?;
        }
        let holds = known.values().filter(|entry| entry.kind.is_of_hold()).map(|entry| entry.entry);
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).extend(holds);
        let mut lost: BTreeMap<RequestId, Vec<Uuid>> = BTreeMap::new();
        for entry in outside.entries.iter().filter(|entry| !known.contains_key(&entry.entry)) {
            lost.entry(RequestId(entry.request)).or_default().push(entry.entry);
        }
        let count = lost.values().map(Vec::len).sum();
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).extend(lost);
        Ok(count)
    }

    /// Whether something was done for a request that the restored database does not know, and nobody has settled yet.
    pub async fn has_lost(
        &self,
        connection: &mut PgConnection,
        organisation: &OrganisationId,
        request: RequestId,
    ) -> Result<bool, StoreError> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).get(&request).cloned();
        let Some(entries) = lost else { return Ok(false) };
        let known = sql::count_known(connection, organisation, &entries).await?;
        if known < entries.len() as u64 {
            return Ok(true);
        }
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
        Ok(false)
    }

    /// The entries that the database has lost and nobody has settled, oldest first, with the number of damaged lines.
    pub async fn list_lost(
        &self,
        connection: &mut PgConnection,
        organisation: &OrganisationId,
    ) -> Result<Outside, CompareError> {
        let mut outside = self.read(organisation).await?;
        let known = sql::list(connection, organisation).await?;
        outside.entries.retain(|entry| !known.contains_key(&entry.entry));
        outside.entries.sort_by_key(|entry| (entry.at, entry.entry));
        Ok(outside)
    }

    /// Blanks the lines of an organisation that is removed, in every file of this directory; returns how many. The files keep their
    /// length, so that a daemon that appends at the same moment loses nothing.
    pub async fn blank(&self, organisation: &OrganisationId) -> Result<u64, LedgerError> {
        let (directory, organisation) = (self.directory.clone(), organisation.clone());
        let blanked = tokio::task::spawn_blocking(move || file::blank(&directory, organisation.as_str()));
        blanked.await.unwrap_or(Err(LedgerError::Interrupted))
    }

    /// Deletes the files of months that ended before an instant; returns how many.
    pub async fn purge_files(&self, before: DateTime<Utc>) -> Result<u64, LedgerError> {
        let directory = self.directory.clone();
        let purged = tokio::task::spawn_blocking(move || file::purge(&directory, before));
        purged.await.unwrap_or(Err(LedgerError::Interrupted))
    }
}

/// Why files and database could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The files cannot be read or written.
    #[error(transparent)]
    Files(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
