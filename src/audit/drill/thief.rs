//! What somebody may do who has the signing key as well: then nothing that stands in the database tells.

use std::path::Path;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use zeroize::Zeroizing;

use super::copy::{Presence, extend};
use super::manipulations::{edit, unguarded};
use super::resealed::{Grown, Resealed, head_statement};
use super::{Attacker, DrillError, Outcome, Trial, execute, judge};
use crate::audit::sealer::sql;
use crate::audit::tlog::{AddCheckpoint, Checkpoint, CosigningKey, Edge, KeyName, SignedNote};
use crate::audit::verify::{Database, Level, Plan, Policy, Source as _, Verdict};
use crate::audit::witness::{Answer, Witness};
use crate::domain::random;
use crate::store::Store;

/// The name of the witness of the drill.
const WITNESS: &str = "witness.drill.invalid";

impl Resealed<'_> {
    /// Tries everything that a thief of the key can do.
    pub(super) async fn trials_of_a_thief(&self, folder: &Path) -> Result<Vec<Trial>, DrillError> {
        let mut trials = vec![self.rewritten().await?];
        trials.extend(self.set_back_and_forked().await?);
        trials.push(self.shown_to_one_auditor_only(folder).await?);
        Ok(trials)
    }

    /// A trial that must be found with a head that was kept elsewhere, and cannot be found without.
    async fn with_a_kept_head(
        &self,
        name: &'static str,
        deed: String,
        options: &PgConnectOptions,
        kept: &SignedNote,
        says: &'static str,
    ) -> Result<Trial, DrillError> {
        let without = self.copies.verified(options, &self.plan(&[])).await?;
        let with =
            self.copies.verified(options, &self.plan(&[("the head that was kept elsewhere", kept)])).await?;
        Ok(Trial {
            name,
            deed,
            by: Attacker::SuperuserWithKey,
            needs: Level::L2,
            found_one_level_lower: Some(without.verdict != Verdict::Ok),
            outcome: judge(&with, "the head that was kept elsewhere", says),
        })
    }

    async fn rewritten(&self) -> Result<Trial, DrillError> {
        let name = "rewrite with the key";
        let seq = self.scene.run + 4;
        let options = self.copy("rewritten").await?;
        execute(&options, &edit(seq, "\"at_us\":[0-9]+", "\"at_us\":1")).await?;
        self.rebuild(&options).await?;
        let trial = self
            .with_a_kept_head(
                name,
                format!("entry {seq} is changed, the tree is built anew and signed with the stolen key"),
                &options,
                &self.head,
                "not those that this head was signed for",
            )
            .await;
        self.place.discard("rewritten").await?;
        trial
    }

    async fn set_back_and_forked(&self) -> Result<Vec<Trial>, DrillError> {
        let ours = self.copy("grown").await?;
        let newer = self.grow(&ours).await?.note;
        self.place.discard("grown").await?;
        let older = self.place.options(self.base);
        let set_back = self
            .with_a_kept_head(
                "set back",
                "the whole database is replaced by an older copy of itself".to_owned(),
                &older,
                &newer,
                "cut or set back",
            )
            .await?;
        let forked = self.copy("forked").await?;
        self.grow(&forked).await?;
        let fork = self
            .with_a_kept_head(
                "fork",
                "an older copy goes on with other entries, signed with the stolen key".to_owned(),
                &forked,
                &newer,
                "not those that this head was signed for",
            )
            .await;
        self.place.discard("forked").await?;
        Ok(vec![set_back, fork?])
    }

    /// The head that the auditor kept is older than the parting of both logs, so that it agrees with either.
    async fn shown_to_one_auditor_only(&self, folder: &Path) -> Result<Trial, DrillError> {
        let (name, deed) = (
            "show another log",
            "two logs go on from one head, both signed with the stolen key; the auditor is shown the second"
                .to_owned(),
        );
        let key = CosigningKey::from_seed(witness_name()?, &Zeroizing::new(random::bytes()));
        let log = self.signing.verifier().clone();
        let witness = Witness::open(folder, key, [log.clone()], Arc::clone(&self.clock))
            .map_err(DrillError::Witness)?;
        let first = self.copy("first").await?;
        let shown_to_witness = self.grow(&first).await?;
        self.place.discard("first").await?;
        let ask = |grown: &Grown, old| {
            let request = AddCheckpoint { old, proof: Vec::new(), note: grown.note.clone() };
            // It would tell its operator of a fork, and there is none but that of the drill.
            tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
                witness.add_checkpoint(request.to_string().as_bytes())
            })
        };
        let cosigned = matches!(ask(&shown_to_witness, 0), Answer::Cosigned(_));
        let second = self.copy("second").await?;
        let shown_to_auditor = self.grow(&second).await?;
        let refused = matches!(ask(&shown_to_auditor, shown_to_witness.size), Answer::Conflict { .. });
        let kept = [("the head that was kept elsewhere", &self.head)];
        let below = self.copies.verified(&second, &self.plan(&kept)).await?;
        let policy: Policy = format!("log {log}\nwitness w {}\nquorum w\n", witness.verifier())
            .parse()
            .map_err(DrillError::Policy)?;
        let report = self.copies.verified(&second, &Plan { policy, ..self.plan(&kept) }).await?;
        self.place.discard("second").await?;
        let found = report.first_bad().filter(|bad| cosigned && refused && bad.what.contains("witnesses"));
        Ok(Trial {
            name,
            deed,
            by: Attacker::SuperuserWithKey,
            needs: Level::L3,
            found_one_level_lower: Some(below.verdict != Verdict::Ok),
            outcome: match found {
                Some(bad) => Outcome::Found {
                    place: bad.place.clone(),
                    says: format!(
                        "{}; the witness, asked to sign it, refuses: it has signed another head of {} entries",
                        bad.what, shown_to_auditor.size
                    ),
                    told_before: None,
                },
                None => judge(&report, "checkpoint", "witnesses"),
            },
        })
    }

    /// Builds the tree over what the entries are now, and what is left of those that were pruned, and signs it.
    async fn rebuild(&self, options: &PgConnectOptions) -> Result<(), DrillError> {
        let size = self.scene.size;
        let mut database = Database::open(options, String::new()).await?;
        let rows = database.entries(0, size, size).await?;
        let (mut edge, mut presence) = (Edge::new(), Presence::default());
        let tiles = extend(&mut database, &mut edge, &mut presence, rows.into(), size, size).await;
        database.close().await;
        let tiles = tiles?;
        let removed = unguarded("tile", "DELETE FROM audit.tile");
        execute(options, &format!("{removed}; DELETE FROM audit.edge")).await?;
        let store = Store::connect_as_sealer(options.clone(), &super::copy::settings());
        let mut tx = store.begin("audit.drill.rebuild").await?;
        if !tiles.is_empty() {
            sql::insert_tiles(&mut tx, &tiles).await?;
        }
        sql::replace_edge(&mut tx, &edge.partial_tiles()).await?;
        tx.commit().await?;
        store.close().await;
        let key = self.signing.verifier();
        let forged = Checkpoint { origin: key.name().clone(), size, root: edge.root() };
        let note = forged.sign([&self.signing]).map_err(|_| DrillError::NoHead)?;
        Ok(execute(options, &head_statement(&note, &forged, key)).await?)
    }
}

fn witness_name() -> Result<KeyName, DrillError> {
    WITNESS.parse().map_err(|_| DrillError::NoHead)
}
