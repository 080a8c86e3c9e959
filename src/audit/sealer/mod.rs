//! The sealer: moves committed entries from the inbox to the log, extends the tree, and signs its new head.
//!
//! One transaction does all of it: the rows leave the inbox, get the next numbers, the full tiles and the right edge are
//! stored, and the head is replaced on the condition that it is still the one that was read. Killed at any point, a
//! sealer leaves either nothing or everything. A lock keeps two sealers from doing the same work; what keeps a second
//! one from *committing* is the condition on the head and the primary key of the log, which hold without the lock.
//!
//! The state (edge and head) is kept in memory and read again when the head is not what it was. It is never made from all
//! leaves, and it is compared with the signed note before anything is built on it.
//!
//! The number of an entry says when it was sealed, not when it happened: an entry of a long transaction, or of a host whose
//! clock is behind, has a later number than its `at` suggests. Within one case the order is that of the events, because
//! writers lock the case.
//!
//! Only keys that the log names (`audit.head.verifier_keys`) sign, and all of them do. A key file without one of them
//! stops the sealing, loudly; see [`SealError`].

mod error;
mod fork;
pub(super) mod sql;
mod state;
mod takeover;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::error::SealError;
pub(in crate::audit) use self::fork::is_former_name;
pub use self::fork::{RestoreReason, Restored};
use self::state::{Extended, State};
pub use self::takeover::Takeover;
use super::event::{Action, Actor};
use super::keys::LogKeys;
use super::leaf::{DetailValue, Leaf};
use super::sql::write;
use super::tlog::{Checkpoint, Hash, KeyName, SigningKey, VerifierKey, leaf_hash};
use crate::domain::Clock;
use crate::domain::clock::is_due;
use crate::store::{Store, Tx};

/// The most entries of one transaction.
pub const MOST_AT_ONCE: u32 = 5_000;

/// Hosts whose clocks differ by less than this are not told of.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// Settings of the log.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// File that holds the seed of the key that signs the log, readable by its owner only (0600 or 0400). Empty means
    /// the systemd credential `audit.key` where there is one, else `keys/audit.key` in the data directory, which is made
    /// at the first start. Every daemon that seals the same database needs the same file.
    pub key_file: std::path::PathBuf,
    /// Name of the log in its checkpoints, in the form of a URL without scheme that belongs to you, for example
    /// `privacy.venue-group.example/audit`. Cannot be changed after the first start. Drawn at random when empty.
    pub origin: String,
    /// How often entries are sealed, in seconds.
    pub seal_secs: f64,
    /// How often a signed checkpoint is kept while the log grows, in seconds.
    pub checkpoint_secs: u32,
    /// After how many seconds without an entry the log records that it lives.
    pub heartbeat_secs: u32,
    /// How long an entry may wait for its sealing before the service's log says that it is late, in seconds.
    pub merge_delay_secs: u32,
    /// How often each process accounts for the entries that it wrote, in seconds.
    pub account_secs: u32,
}

/// What one turn of the sealer did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// How many entries were sealed.
    pub entries: u64,
    /// How many there are now.
    pub size: u64,
}

/// Seals the log of one database.
pub struct Sealer {
    store: Store,
    keys: Mutex<Arc<LogKeys>>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// The most entries of a partition of this log.
    partition_width: u64,
    /// The instant of the head that was ahead of this host's clock, when that was told last.
    told_of_clock: Mutex<Option<DateTime<Utc>>>,
    state: tokio::sync::Mutex<State>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// Makes ready to seal. `store` must be one of [`Store::connect_as_sealer`]. The first sealer of a database names
    /// the log and its key.
    pub async fn open(
        store: Store,
        keys: LogKeys,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, SealError> {
        Self::open_with(store, keys, clock, settings, &[]).await
    }

    /// `former` are keys that the log may name although the key file does not hold them.
    async fn open_with(
        store: Store,
        keys: LogKeys,
        clock: Arc<dyn Clock>,
        settings: Settings,
        former: &[VerifierKey],
    ) -> Result<Self, SealError> {
        let mut tx = store.begin("audit.open").await.map_err(SealError::of_connecting)?;
        sql::lock(&mut tx).await?;
        let mut head = sql::head(&mut tx).await?;
        if head.verifier_keys.is_empty() {
            if !settings.origin.is_empty() {
                head.origin.clone_from(&settings.origin);
            }
            let origin = head.origin.parse().map_err(SealError::OriginMalformed)?;
            head.verifier_keys = words(&keys.signing_keys(&origin));
            sql::name_log(&mut tx, &head.origin, &head.verifier_keys).await?;
        } else if !settings.origin.is_empty() && settings.origin != fork::first_name(&head.origin) {
            return Err(SealError::OriginOther { stored: head.origin });
        }
        let state = State::load(&mut tx, head, &keys, former).await?;
        sql::make_partition_ahead(&mut tx).await?;
        let partition_width = sql::partition_width(&mut tx).await?;
        tx.commit().await?;
        Ok(Self {
            store,
            keys: Mutex::new(Arc::new(keys)),
            clock,
            settings,
            partition_width,
            told_of_clock: Mutex::new(None),
            state: tokio::sync::Mutex::new(state),
        })
    }

    /// The seeds of the key file, as it is now: after a change of keys by another process.
    pub fn take_keys(&self, keys: LogKeys) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn keys(&self) -> Arc<LogKeys> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Longer than [`Sealer::turn`] takes, whatever the server does.
    #[must_use]
    pub fn longest_turn(&self) -> std::time::Duration {
        self.store.longest_turn()
    }

    /// Closes its connection.
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// One step of the daemon's loop: seals at most [`MOST_AT_ONCE`] entries, keeps a checkpoint when one is due, and
    /// records that the log lives when nothing happened for long.
    pub async fn turn(&self) -> Result<Sealed, SealError> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let is_silent = state
            .signed_at
            .is_some_and(|last| is_due(last, TimeDelta::seconds(self.settings.heartbeat_secs.into()), now));
        self.tell_of_clock(&state, now);
        let is_waiting = {
            let mut connection = self.store.connection().await?;
            sql::is_waiting(&mut connection).await?
        };
        if !is_waiting && !is_silent && !self.is_checkpoint_due(&state, state.edge.size(), now) {
            return Ok(Sealed { entries: 0, size: state.edge.size() });
        }
        self.seal(&mut state, MOST_AT_ONCE, is_silent && !is_waiting).await
    }

    /// Seals everything that is committed when it is called, and perhaps more; answers how many entries that were.
    pub async fn seal_everything(&self) -> Result<u64, SealError> {
        let mut sealed = 0;
        loop {
            let entries = self.seal_once(MOST_AT_ONCE).await?;
            sealed += entries;
            if entries < self.most(MOST_AT_ONCE) {
                return Ok(sealed);
            }
        }
    }

    /// Seals at most so many entries and answers how many.
    pub async fn seal_once(&self, most: u32) -> Result<u64, SealError> {
        let mut state = self.state.lock().await;
        Ok(self.seal(&mut state, most, false).await?.entries)
    }

    /// Keeps a checkpoint of the present head, whether or not it is due, and answers with its signed note; `None` for
    /// an empty log.
    pub async fn keep_checkpoint(&self) -> Result<Option<String>, SealError> {
        let mut state = self.state.lock().await;
        let mut tx = self.begin(&mut state).await?;
        let (Some(note), Some(signed_at)) = (state.note.clone(), state.signed_at) else { return Ok(None) };
        let size = state.edge.size();
        sql::insert_checkpoint(&mut tx, stored(size), &state.edge.root().0, &note, signed_at).await?;
        tx.commit().await?;
        state.kept = Some((size, signed_at));
        Ok(Some(note))
    }

    /// The public keys that sign at present, oldest first, and the name of the log in each.
    pub async fn verifier_keys(&self) -> Vec<String> {
        words(&self.state.lock().await.signers)
    }

    /// Whether the key file still holds a key that was retired before.
    pub async fn holds_retired_key(&self) -> bool {
        let state = self.state.lock().await;
        let newest = self.keys().newest().map(|newest| words(&newest.signing_keys(&state.origin)));
        newest.is_some_and(|newest| newest == words(&state.signers))
    }

    /// Lets the newest key of the key file sign beside the present one. The entry `log.key` is sealed by both.
    pub async fn add_key(&self) -> Result<(), SealError> {
        let mut state = self.state.lock().await;
        let tx = self.begin(&mut state).await?;
        let all = self.keys().signing_keys(&state.origin);
        if state.signers.len() != 1 || all.len() != 2 || words(&state.signers) != words(&all)[..1] {
            return Err(SealError::Rotation(
                "a key is added where the log is signed by one key and the file holds that one and a new one",
            ));
        }
        self.change_keys(tx, &mut state, all, KeyChange::Added).await.map(drop)
    }

    /// Ends the time in which two keys sign: from the entry `log.key` on, the newest one signs alone.
    pub async fn retire_key(&self) -> Result<(), SealError> {
        let mut state = self.state.lock().await;
        let tx = self.begin(&mut state).await?;
        let Some(newest) = self.keys().newest().filter(|_| state.signers.len() == 2) else {
            return Err(SealError::Rotation("the log is signed by one key alone; there is none to retire"));
        };
        let signers = newest.signing_keys(&state.origin);
        self.change_keys(tx, &mut state, signers, KeyChange::Retired).await.map(drop)
    }

    /// Seals an entry that tells of a change of keys, signed by the keys after the change and by those before; answers with
    /// the head over it, which is kept. `former` is told where the change ends the time of a key with nothing between.
    ///
    /// `tx` comes from [`Sealer::begin`], after which the caller has looked whether the change is one of the keys that sign: with
    /// what it knew before, it would seal the change of another process a second time.
    async fn change_keys(
        &self,
        mut tx: Tx,
        state: &mut State,
        signers: Vec<SigningKey>,
        change: KeyChange,
    ) -> Result<String, SealError> {
        let concerned = match change {
            KeyChange::Added | KeyChange::Replaced => signers.last(),
            KeyChange::Retired => state.signers.first(),
        };
        let mut leaf = self.leaf(Action::LogKey);
        let mut put = |key: &str, value: String| leaf.detail.insert(key.to_owned(), DetailValue::Word(value));
        put("change", change.as_str().to_owned());
        if let Some(key) = concerned.map(SigningKey::verifier) {
            put("key_id", key.id().to_string());
            put("key", public_part(key));
        }
        if let (KeyChange::Replaced, Some(key)) = (change, state.signers.first().map(SigningKey::verifier)) {
            put("former_id", key.id().to_string());
            put("former", public_part(key));
        }
        let present = words(&signers);
        // Everything older first, so that this one is the last of the old keys' time: the head over it has its number.
        let mut taken = sql::take(&mut tx, i64::from(i32::MAX)).await?;
        taken.push(sql::Taken::of(leaf.to_bytes()));
        let next = self.extend(&mut tx, state, taken, &present).await?;
        tx.commit().await?;
        let note = next.note.clone();
        *state = State { signers, ..next.into_state(state) };
        Ok(note)
    }

    /// There is a place for the entries of one partition ahead, never for more.
    fn most(&self, wanted: u32) -> u64 {
        u64::from(wanted).min(self.partition_width)
    }

    async fn seal(&self, state: &mut State, most: u32, beat: bool) -> Result<Sealed, SealError> {
        let mut tx = self.begin(state).await?;
        let most = stored(self.most(most));
        let mut taken = sql::take(&mut tx, most).await?;
        let now = self.clock.now();
        // Another daemon may have recorded it: the state was compared with the stored head just now.
        let is_silent = |last| is_due(last, TimeDelta::seconds(self.settings.heartbeat_secs.into()), now);
        if taken.is_empty() && beat && state.signed_at.is_some_and(is_silent) {
            let mut leaf = self.leaf(Action::LogHeartbeat);
            let size = i64::try_from(state.edge.size()).unwrap_or(i64::MAX);
            leaf.detail.insert("entries".to_owned(), DetailValue::Number(size));
            write(&mut tx, &leaf).await?;
            taken = sql::take(&mut tx, most).await?;
        }
        let entries = taken.len() as u64;
        if entries == 0 {
            if let (true, Some(note), Some(signed_at)) =
                (self.is_checkpoint_due(state, state.edge.size(), now), &state.note, state.signed_at)
            {
                let size = state.edge.size();
                sql::insert_checkpoint(&mut tx, stored(size), &state.edge.root().0, note, signed_at).await?;
                tx.commit().await?;
                state.kept = Some((size, now));
            }
            return Ok(Sealed { entries, size: state.edge.size() });
        }
        let present = words(&state.signers);
        let next = self.extend(&mut tx, state, taken, &present).await?;
        tx.commit().await?;
        let size = next.edge.size();
        let next = next.into_state(state);
        *state = next;
        Ok(Sealed { entries, size })
    }

    /// Begins a transaction as the only sealer, with a state that is the stored one.
    async fn begin(&self, state: &mut State) -> Result<Tx, SealError> {
        self.begin_with(state, &[]).await
    }

    async fn begin_with(&self, state: &mut State, former: &[VerifierKey]) -> Result<Tx, SealError> {
        let mut tx = self.store.begin("audit.seal").await.map_err(SealError::of_connecting)?;
        sql::lock(&mut tx).await?;
        let head = sql::head(&mut tx).await?;
        let (from, to) = (state.edge.size(), u64::try_from(head.size).unwrap_or_default());
        if to < from {
            return Err(SealError::SetBack { from, to });
        }
        if head.note != state.note || words(&state.signers) != head.verifier_keys {
            *state = State::load(&mut tx, head, &self.keys(), former).await?;
        }
        Ok(tx)
    }

    /// Puts taken entries behind the log and moves the head; `verifier_keys` are those that the log names from then on.
    async fn extend(
        &self,
        tx: &mut Tx,
        state: &State,
        taken: Vec<sql::Taken>,
        verifier_keys: &[String],
    ) -> Result<Extended, SealError> {
        let mut edge = state.edge.clone();
        let first = stored(edge.size()) + 1;
        let mut tiles = Vec::new();
        let mut entries = Vec::with_capacity(taken.len());
        for row in taken {
            let leaf = leaf_hash(&row.entry);
            if leaf.0 != row.leaf.as_slice() {
                return Err(SealError::Altered { what: "the hash of an entry in the inbox" });
            }
            tiles.extend(edge.push(leaf));
            entries.push(row.entry);
        }
        sql::insert(tx, first, &entries).await?;
        if !tiles.is_empty() {
            sql::insert_tiles(tx, &tiles).await?;
        }
        sql::replace_edge(tx, &edge.partial_tiles()).await?;
        let signed_at = self.clock.now();
        let root = edge.root();
        let note = sign(&state.origin, edge.size(), root, &self.signers_of(state, verifier_keys))?;
        let new = sql::NewHead {
            origin: state.origin.as_str(),
            size: stored(edge.size()),
            root: &root.0,
            note: &note,
            verifier_keys,
            signed_at,
        };
        if !sql::move_head(tx, stored(state.edge.size()), state.note.as_deref(), &new).await? {
            return Err(SealError::Overtaken);
        }
        let is_kept =
            self.is_checkpoint_due(state, edge.size(), signed_at) || words(&state.signers) != verifier_keys;
        if is_kept {
            sql::insert_checkpoint(tx, new.size, &root.0, &note, signed_at).await?;
        }
        // Made when the log has grown by the width of a partition, which leaves a place for as many again.
        if state.edge.size() / self.partition_width != edge.size() / self.partition_width {
            sql::make_partition_ahead(tx).await?;
        }
        Ok(Extended { edge, note, signed_at, is_kept })
    }

    /// All keys that the log named before or names from now on.
    fn signers_of(&self, state: &State, verifier_keys: &[String]) -> Vec<SigningKey> {
        let before = words(&state.signers);
        let signs = |key: &SigningKey| {
            let word = key.verifier().to_string();
            before.contains(&word) || verifier_keys.contains(&word)
        };
        self.keys().signing_keys(&state.origin).into_iter().filter(signs).collect()
    }

    /// Says that this host's clock is behind the instant of the newest head: it was set back, or is behind another
    /// host's. Nothing waits for it; what is numbered from now on has earlier instants than what was before it. Told
    /// once for a clock that was set back, and once an hour while two hosts go on to differ.
    fn tell_of_clock(&self, state: &State, now: DateTime<Utc>) {
        let Some(last) = state.signed_at.filter(|last| *last - now >= CLOCK_TOLERANCE) else { return };
        let mut told = self.told_of_clock.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| is_due(told, TimeDelta::hours(1), last)) {
            tracing::warn!(
                behind_secs = (last - now).num_seconds(),
                "the clock of this host is behind the newest head of the audit log: it was set back, or differs from \
                 another host's; entries are sealed and heads published, with instants that go back"
            );
            *told = Some(last);
        }
    }

    fn is_checkpoint_due(&self, state: &State, size: u64, now: DateTime<Utc>) -> bool {
        let every = TimeDelta::seconds(self.settings.checkpoint_secs.into());
        size > 0 && state.kept.is_none_or(|(kept, at)| size > kept && is_due(at, every, now))
    }

    fn leaf(&self, action: Action) -> Leaf {
        Leaf::about_log(Uuid::now_v7(), action, Actor::Process("sealer").to_string(), self.clock.now())
    }
}

/// What a change does to the keys that sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyChange {
    /// A new one signs beside the present one.
    Added,
    /// The older of two signs no more.
    Retired,
    /// A new one signs instead of the present one, at once.
    Replaced,
}

impl KeyChange {
    /// The word in the entry `log.key`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Retired => "retired",
            Self::Replaced => "replaced",
        }
    }
}

fn sign(origin: &KeyName, size: u64, root: Hash, keys: &[SigningKey]) -> Result<String, SealError> {
    let note = Checkpoint { origin: origin.clone(), size, root }
        .sign(keys)
        .map_err(|_| SealError::Altered { what: "the name of the log" })?;
    Ok(note.to_string())
}

fn words(keys: &[SigningKey]) -> Vec<String> {
    keys.iter().map(|key| key.verifier().to_string()).collect()
}

/// The key itself, without its name and id. It is base64, which may hold the sign that parts the three; a name may not.
fn public_part(key: &VerifierKey) -> String {
    key.to_string().splitn(3, '+').nth(2).map(str::to_owned).unwrap_or_default()
}

/// A size as the database stores it; the tree has fewer than 2^62 leaves.
fn stored(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
