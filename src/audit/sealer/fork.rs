//! The log goes on after its database was restored from an older copy.
//!
//! What was published of the lost entries stays signed and true; a log that grew differently under the same name would be
//! a lie that any witness could prove. So it goes on under another name, the former one and the instant, and its first
//! entry says what was lost. Whoever checks the log has to accept the new name, and thereby learns of it.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Extended, SealError, Sealer, Settings, State, public_part, sql, words};
use crate::audit::event::{Action, Actor};
use crate::audit::keys::LogKeys;
use crate::audit::leaf::{DetailValue, Leaf};
use crate::audit::tlog::{Hash, KeyName, SigningKey, VerifierKey};
use crate::domain::Clock;
use crate::store::Store;

/// What stands between the first name of a log and the instant of a restore.
const MARK: &str = "/restored-";

/// How the instant is written.
const INSTANT: &str = "%Y%m%d%H%M%S";

/// Why a database was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreReason {
    /// The host or its disk failed.
    HardwareFailure,
    /// Somebody made a mistake with the database.
    OperatorError,
    /// Data were damaged.
    DataCorruption,
    /// Somebody got in who should not have.
    SecurityIncident,
    /// A rehearsal.
    Drill,
}

impl RestoreReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::HardwareFailure,
        Self::OperatorError,
        Self::DataCorruption,
        Self::SecurityIncident,
        Self::Drill,
    ];

    /// The word as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HardwareFailure => "hardware_failure",
            Self::OperatorError => "operator_error",
            Self::DataCorruption => "data_corruption",
            Self::SecurityIncident => "security_incident",
            Self::Drill => "drill",
        }
    }
}

/// What is known of the log that was lost.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Its name, where that is a later one than the database's: it had been restored before, and that is lost, too.
    pub origin: Option<String>,
    /// The size of its newest head that was published; none where nothing is left outside that tells it.
    pub size: Option<u64>,
    /// The root of that head, where it is known.
    pub root: Option<Hash>,
    /// Why the database was restored.
    pub reason: RestoreReason,
}

/// The name that the log had before any restore.
pub(super) fn first_name(origin: &str) -> &str {
    origin.split_once(MARK).map_or(origin, |(first, _)| first)
}

/// The name with which a log goes on at an instant: always a greater one than its present one, also where the clock was set
/// back or it was restored a moment ago.
fn next_name(present: &str, now: DateTime<Utc>) -> String {
    let first = first_name(present);
    let named = |at: NaiveDateTime| format!("{first}{MARK}{}", at.format(INSTANT));
    let next = named(now.naive_utc());
    let instant =
        present.split_once(MARK).and_then(|(_, at)| NaiveDateTime::parse_from_str(at, INSTANT).ok());
    match instant {
        Some(instant) if next.as_str() <= present => named(instant + TimeDelta::seconds(1)),
        _ => next,
    }
}

/// Whether a log had this name before the restore that gave it its present one.
pub(in crate::audit) fn is_former_name(name: &str, present: &str) -> bool {
    // Instants are as long as each other: the later name is the greater one.
    first_name(name) == first_name(present) && name < present
}

impl Sealer {
    /// Opens the log of a restored database and lets it go on at once, as [`Sealer::fork`] does; answers with the new name, too.
    /// `former` are keys that its head names and whose seeds are gone, because they were exchanged after the copy was made:
    /// what they signed is checked with them, and the newest key of the key file signs from there on.
    pub async fn open_restored(
        store: Store,
        keys: LogKeys,
        clock: Arc<dyn Clock>,
        settings: Settings,
        former: &[VerifierKey],
        restored: Restored,
    ) -> Result<(Self, String), SealError> {
        let sealer = Self::open_with(store, keys, clock, settings, former).await?;
        let name = sealer.fork_with(former, restored).await?;
        Ok((sealer, name))
    }

    /// Lets the log go on under another name, behind the entries that the database still has; answers with the new name.
    /// Everything that waits is sealed behind the entry `log.restored`.
    pub async fn fork(&self, restored: Restored) -> Result<String, SealError> {
        self.fork_with(&[], restored).await
    }

    async fn fork_with(&self, former: &[VerifierKey], restored: Restored) -> Result<String, SealError> {
        let mut state = self.state.lock().await;
        let mut tx = self.begin_with(&mut state, former).await?;
        let before = state.origin.clone();
        let lost = restored.origin.as_deref().unwrap_or(before.as_str());
        let name = next_name(before.as_str().max(lost), self.clock.now());
        let origin: KeyName = name.parse().map_err(SealError::OriginMalformed)?;
        let present = words(&state.signers);
        let keys = self.keys();
        let mut signers: Vec<SigningKey> =
            std::iter::zip(keys.signing_keys(&before), keys.signing_keys(&origin))
                .filter(|(before, _)| present.contains(&before.verifier().to_string()))
                .map(|(_, after)| after)
                .collect();
        let exchanged = former.last().filter(|_| signers.is_empty());
        if exchanged.is_some() {
            signers.extend(keys.signing_keys(&origin).pop());
        }
        let mut leaf = self.leaf_of_restore(before.as_str(), state.edge.size(), &restored);
        if let (Some(former), Some(signer)) = (exchanged, signers.first()) {
            let mut put = |key: &str, value| leaf.detail.insert(key.to_owned(), DetailValue::Word(value));
            put("key", public_part(signer.verifier()));
            put("former_key", public_part(former));
        }
        let mut taken = vec![sql::Taken::of(leaf.to_bytes())];
        taken.extend(sql::take(&mut tx, i64::from(i32::MAX)).await?);
        let named = words(&signers);
        let mut forked = State {
            edge: state.edge.clone(),
            origin,
            signers,
            note: state.note.clone(),
            signed_at: state.signed_at,
            // None of the new name is kept yet, so this one is.
            kept: None,
        };
        let next: Extended = self.extend(&mut tx, &forked, taken, &named).await?;
        tx.commit().await?;
        *state = next.into_state(&mut forked);
        Ok(name)
    }

    fn leaf_of_restore(&self, present: &str, kept: u64, restored: &Restored) -> Leaf {
        let number = |value: u64| DetailValue::Number(i64::try_from(value).unwrap_or(i64::MAX));
        let word = |text: &str| DetailValue::Word(text.to_owned());
        let mut leaf = Leaf::about_log(
            Uuid::now_v7(),
            Action::LogRestored,
            Actor::Process("recover").to_string(),
            self.clock.now(),
        );
        let mut put = |key: &str, value| leaf.detail.insert(key.to_owned(), value);
        let former = restored.origin.as_deref().unwrap_or(present);
        put("former_origin", word(former));
        if former != present {
            put("copy_origin", word(present));
        }
        if let Some(size) = restored.size {
            put("former_size", number(size));
        }
        if let Some(root) = restored.root {
            put("former_root", word(&hex::encode(root.0)));
        }
        put("kept", number(kept));
        // A log of a later name may have gone on from fewer entries than the copy has: which of its numbers are lost is not
        // known here.
        if let Some(size) = restored.size.filter(|size| *size > kept && former == present) {
            put("lost_from", number(kept + 1));
            put("lost_to", number(size));
        }
        put("reason", word(restored.reason.as_str()));
        leaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_restored_twice_still_has_one_first_name() {
        assert_eq!(first_name("a.example/log"), "a.example/log");
        assert_eq!(first_name("a.example/log/restored-20261123120000"), "a.example/log");
    }
    #[test]
    fn each_name_is_greater_than_the_one_before_whatever_the_clock_says() {
        let now: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
        let first = next_name("a.example/log", now);
        assert_eq!(first, "a.example/log/restored-20261123120000");
        for (later, expected) in [
            (now + TimeDelta::hours(1), "20261123130000"),
            (now, "20261123120001"),
            (now - TimeDelta::days(40), "20261123120001"),
        ] {
            let second = next_name(&first, later);
            assert_eq!(second, format!("a.example/log/restored-{expected}"));
            assert!(is_former_name(&first, &second) && is_former_name("a.example/log", &second));
        }
    }
}
