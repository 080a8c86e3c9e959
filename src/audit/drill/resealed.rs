//! A copy that goes on: signed and sealed by a key that was made for the drill.
//!
//! The real key is not there to be used. The copy's head is signed by the drill's own, and whoever checks is told to trust
//! that one. Two kinds of attackers are played on it: who has that key (`thief`), and who comes between a commit and the
//! sealer that does not know of it (`unsealed`).

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::manipulations::{Scene, unguarded};
use super::{Copies, DrillError, Place, execute};
use crate::audit::event::{Action, Actor};
use crate::audit::keys::LogKeys;
use crate::audit::leaf::Leaf;
use crate::audit::sealer::{Sealer, Settings};
use crate::audit::sql::write;
use crate::audit::tlog::{Checkpoint, SignedNote, SigningKey, VerifierKey};
use crate::audit::verify::{Plan, Policy};
use crate::domain::Clock;
use crate::store::Store;

/// The name of its database.
pub(super) const BASE: &str = "resealed";

/// The drill's own key, and the copy whose head it signed.
pub(super) struct Resealed<'a> {
    pub(super) place: &'a Place,
    pub(super) copies: Copies,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keys: LogKeys,
    pub(super) signing: SigningKey,
    pub(super) scene: Scene,
    /// The head of the untouched copy, as somebody kept it elsewhere.
    pub(super) head: SignedNote,
    /// The name of the database with that head.
    pub(super) base: &'static str,
}

impl<'a> Resealed<'a> {
    /// Makes a copy of the copy that the drill's own key signed.
    pub(super) async fn prepare(
        place: &'a Place,
        copies: Copies,
        clock: Arc<dyn Clock>,
        checkpoint: &Checkpoint,
        scene: Scene,
    ) -> Result<Self, DrillError> {
        let keys = LogKeys::generate();
        let signing = keys.signing_keys(&checkpoint.origin).pop().ok_or(DrillError::NoHead)?;
        let head = checkpoint.sign([&signing]).map_err(|_| DrillError::NoHead)?;
        let base = BASE;
        let options = place.copy("original", base).await?;
        let kept = unguarded("checkpoint", "DELETE FROM audit.checkpoint");
        execute(&options, &format!("{kept}; {}", head_statement(&head, checkpoint, signing.verifier())))
            .await?;
        Ok(Self { place, copies, clock, keys, signing, scene, head, base })
    }

    pub(super) fn plan(&self, known: &[(&str, &SignedNote)]) -> Plan {
        Plan {
            policy: Policy::of_logs(vec![self.signing.verifier().clone()]),
            known_heads: known
                .iter()
                .map(|(name, note)| ((*name).to_owned(), note.to_string().into_bytes()))
                .collect(),
            since: self.scene.gone(),
            now: self.clock.now(),
        }
    }

    pub(super) async fn copy(&self, name: &'static str) -> Result<PgConnectOptions, DrillError> {
        Ok(self.place.copy(self.base, name).await?)
    }

    /// Lets a copy grow by three entries, as the real sealer does it.
    pub(super) async fn grow(&self, options: &PgConnectOptions) -> Result<Grown, DrillError> {
        let store = Store::connect_as_sealer(options.clone(), &super::copy::settings());
        for _ in 0..3 {
            let leaf = Leaf::about_log(
                Uuid::now_v7(),
                Action::LogHeartbeat,
                Actor::Process("drill").to_string(),
                self.clock.now(),
            );
            let mut tx = store.begin("audit.drill.grow").await?;
            write(&mut tx, &leaf).await?;
            tx.commit().await?;
        }
        let sealer = self.sealer(store).await?;
        sealer.seal_everything().await?;
        let note = sealer.keep_checkpoint().await?;
        sealer.close().await;
        let note: SignedNote = note.and_then(|note| note.parse().ok()).ok_or(DrillError::NoHead)?;
        let checkpoint: Checkpoint = note.text().parse().map_err(|_| DrillError::NoHead)?;
        Ok(Grown { note, size: checkpoint.size })
    }

    /// The sealer of a copy.
    pub(super) async fn sealer(&self, store: Store) -> Result<Sealer, DrillError> {
        let settings = Settings {
            key_file: std::path::PathBuf::new(),
            origin: String::new(),
            seal_secs: 0.2,
            checkpoint_secs: 10,
            heartbeat_secs: 600,
            merge_delay_secs: 5,
            account_secs: 60,
        };
        let keys = LogKeys::from_text(&self.keys.to_text()).map_err(|_| DrillError::NoHead)?;
        Ok(Sealer::open(store, keys, Arc::clone(&self.clock), settings).await?)
    }
}

/// A copy after it grew.
pub(super) struct Grown {
    pub(super) note: SignedNote,
    pub(super) size: u64,
}

/// Replaces the head as a superuser does it. Neither a note nor a key can hold the quotes.
pub(super) fn head_statement(note: &SignedNote, checkpoint: &Checkpoint, key: &VerifierKey) -> String {
    unguarded(
        "head",
        &format!(
            "UPDATE audit.head SET note = $note${note}$note$, verifier_keys = ARRAY[$key${key}$key$],
               size = {}, root = '\\x{}'",
            checkpoint.size,
            hex::encode(checkpoint.root.0)
        ),
    )
}
