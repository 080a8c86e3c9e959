//! A rehearsal: a copy of the log is tampered with in every way that we know, and each time it is shown what `verify` says.
//!
//! The log enters through a [`Source`], read with a reader's rights; it is copied into databases of a [`Place`], a
//! throw-away cluster whose superuser the drill is. What comes out is a [`DrillReport`] with one [`Trial`] for each
//! manipulation: who does it, how much must be there for it to be found ([`Level`]), and what was found.
//!
//! Four kinds of attackers are played. A superuser without the signing key does what the list of [`manipulations`] says;
//! the original's own head and the auditor's own policy are enough to find it. A superuser, or somebody with the service's
//! login, who comes before the sealer does (`unsealed`): what is signed then is not what was written, and the account of the
//! writer tells. An operator sets the clock of the service back. A superuser *with* the key (`thief`) leaves a log that is in order by its own word: the drill shows that
//! nothing is found then, and that a head kept elsewhere, or a witness, finds it.
//!
//! Invariants:
//! - The original is only read. All that is written goes to the databases of the place, which are dropped.
//! - The untouched copy is verified first; a drill on a log that is not in order says so and ends.
//! - "Found" means: a violation, at the place and with the words that belong to this manipulation. Another finding does
//!   not count.
//!
//! A clock that is set back is no tampering by itself: instants are what the service's clock said, clocks are set right by a
//! little every day, and hosts differ, so that a violation would cry wolf. `verify` remarks on it ([`Outcome::Remarked`]), and
//! the order is that of the numbers. Whoever sets the clock back and *keeps* it so, from before the first entry on, is bound
//! only by instants of others: a time-stamping authority's or those in witnesses' signatures, which `verify` compares. That
//! sealing goes on meanwhile is a test of the service (`a_clock_that_is_set_back_by_a_day_…` in `tests/service/sealing.rs`).
//!
//! Of a log that was pruned what is there is copied, and verified from its beginning on: the entry that let the others go may lie
//! behind the end of a copy that does not take all.
//!
//! To add a manipulation: one more of the list in `manipulations.rs`; drill and tests both run it.

mod copy;
mod manipulations;
mod resealed;
mod sql;
mod thief;
mod unsealed;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

pub use self::manipulations::{Manipulation, RUN, Scene, manipulations};
use self::resealed::{BASE, Resealed};
use self::sql::execute;
use super::sealer::SealError;
use super::verify::{
    self, Database, Finding, Level, Plan, PolicyError, Report, Severity, Source, SourceError, Step, Verdict,
};
use super::witness::WitnessError;
use crate::domain::Clock;
use crate::store::{self, StoreError};

/// Why a drill cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Source(#[from] SourceError),
    /// The cluster of the drill failed.
    #[error("the database of the drill failed")]
    Store(#[from] StoreError),
    /// The copy could not be sealed.
    #[error("the copy could not be sealed")]
    Seal(#[from] SealError),
    /// The witness of the drill could not be opened.
    #[error("the witness of the drill could not be opened")]
    Witness(#[source] WitnessError),
    /// The policy of the drill's own witness could not be read.
    #[error("the drill's own policy cannot be read")]
    Policy(#[source] PolicyError),
    /// There is no signed head.
    #[error("the log has no signed head that could be read; run dsrd audit verify")]
    NoHead,
    /// Too few entries.
    #[error("the log is too short for a drill: it needs 20 entries, and 8 in a row of its present form")]
    TooShort,
    /// Too many entries.
    #[error(
        "{there} entries of the log are there, and none of the heads that it kept covers at most {most} of them; raise --most"
    )]
    TooLong {
        /// How many are there, those that were pruned left out.
        there: u64,
        /// How many are copied at most.
        most: u64,
    },
    /// The entries are not those that the head was signed for.
    #[error("the entries are not those that the head was signed for; run dsrd audit verify")]
    Altered,
    /// The copy is not what its policy and definition say.
    #[error(
        "the copy is not in order before anything was done to it: {place}: {what}; run dsrd audit verify"
    )]
    NotInOrder {
        /// Where.
        place: String,
        /// What.
        what: String,
    },
    /// The database of the copy holds a log already.
    #[error("the database of the drill holds a log already")]
    NotEmpty,
}

/// A throw-away cluster: its superuser may do anything, and nobody needs what is in it.
#[derive(Clone, Debug)]
pub struct Place {
    maintenance: PgConnectOptions,
    prefix: String,
}

impl Place {
    /// `maintenance` connects to a database of the cluster that stays, as its superuser; the names of the drill's own
    /// databases begin with `prefix`.
    #[must_use]
    pub fn new(maintenance: PgConnectOptions, prefix: &str) -> Self {
        // Making and dropping databases takes its time, of which nobody need be warned.
        Self { maintenance: maintenance.disable_statement_logging(), prefix: prefix.to_owned() }
    }

    fn name(&self, database: &str) -> String {
        format!("{}_{database}", self.prefix)
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        self.maintenance.clone().database(&self.name(database))
    }

    async fn create(&self, database: &str) -> Result<PgConnectOptions, StoreError> {
        execute(&self.maintenance, &format!("CREATE DATABASE {}", self.name(database))).await?;
        Ok(self.options(database))
    }

    async fn copy(&self, of: &str, database: &str) -> Result<PgConnectOptions, StoreError> {
        let statement = format!("CREATE DATABASE {} TEMPLATE {}", self.name(database), self.name(of));
        execute(&self.maintenance, &statement).await?;
        Ok(self.options(database))
    }

    async fn discard(&self, database: &str) -> Result<(), StoreError> {
        execute(&self.maintenance, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name(database)))
            .await
    }
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attacker {
    /// Somebody with all rights on the database.
    Superuser,
    /// The same, with the key that signs the log.
    SuperuserWithKey,
    /// Somebody with the login of the service, who may add entries and nothing else.
    ServiceLogin,
    /// Somebody who runs the machine of the service, and touches neither database nor key.
    Operator,
}

/// What came of one manipulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Outcome {
    /// `verify` named it, by the violation that its row of the list expects.
    Found {
        /// Where.
        place: String,
        /// What it says.
        says: String,
        /// The violation that was told before that one; none where the expected one is the first.
        told_before: Option<ToldBefore>,
    },
    /// `verify` remarked on it and called it no violation, because by itself it is no tampering.
    Remarked {
        /// Where.
        place: String,
        /// What it says.
        says: String,
    },
    /// `verify` did not name it: a fault of the program.
    Missed {
        /// What it said instead.
        says: String,
    },
    /// This log has nothing to which it could be done.
    NotTried {
        /// Why.
        reason: String,
    },
}

/// The first violation of a report, where another one is that of the manipulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToldBefore {
    /// Which check told it.
    pub step: Step,
    /// Where.
    pub place: String,
    /// What it says.
    pub says: String,
}

/// One manipulation and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// A short name.
    pub name: &'static str,
    /// What was done.
    pub deed: String,
    /// Who did it.
    pub by: Attacker,
    /// What must be there for it to be found.
    pub needs: Level,
    /// Whether it was found with one level less, too (then by the signed account of a writer, whose key was not stolen);
    /// not known where that was not tried.
    pub found_one_level_lower: Option<bool>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a drill came to.
#[derive(Clone, Debug, Serialize)]
pub struct DrillReport {
    /// What was copied.
    pub source: String,
    /// Name of the log.
    pub origin: String,
    /// Number of the first entry of the copy; later than 1 in a log that was pruned.
    pub first: u64,
    /// How many entries the copy has.
    pub copied: u64,
    /// How many the original has.
    pub size: u64,
    /// Manipulations that were found.
    pub found: usize,
    /// Those of them that were told as a remark.
    pub remarked: usize,
    /// Manipulations that were not.
    pub missed: usize,
    /// Manipulations for which this log has nothing to be manipulated.
    pub not_tried: usize,
    /// Each of them.
    pub trials: Vec<Trial>,
}

/// How a drill is held.
pub struct Drill<'a> {
    /// Where.
    pub place: &'a Place,
    /// An empty folder for the drill's own witness.
    pub folder: &'a Path,
    /// Whom the auditor trusts, as for a verification of the original.
    pub plan: &'a Plan,
    /// At most so many entries are copied.
    pub most: u64,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Drill<'_> {
    /// Holds it; `told` hears of each trial when it ends.
    pub async fn hold<S: Source>(
        &self,
        source: &mut S,
        told: &mut (dyn FnMut(&Trial) + Send),
    ) -> Result<DrillReport, DrillError> {
        let original = self.place.create("original").await?;
        store::migrate(&original).await?;
        let copied = copy::fill(source, self.most, &original, &*self.clock).await?;
        // What the auditor knows of the original holds for the copy; heads that are newer than it are not compared.
        let plan = Plan {
            policy: self.plan.policy.clone(),
            known_heads: Vec::new(),
            since: copied.scene.gone(),
            now: self.clock.now(),
        };
        let kind = Copies { has_manifests: copied.has_manifests };
        let untouched = kind.verified(&original, &plan).await?;
        if untouched.verdict == Verdict::Violation {
            let bad = untouched.first_bad();
            return Err(DrillError::NotInOrder {
                place: bad.map(|bad| bad.place.clone()).unwrap_or_default(),
                what: bad.map(|bad| bad.what.clone()).unwrap_or_default(),
            });
        }
        let mut trials = Vec::new();
        for manipulation in manipulations(&copied.scene) {
            let trial = self.superuser(manipulation, kind, &plan).await?;
            told(&trial);
            trials.push(trial);
        }
        let (checkpoint, clock) = (&copied.checkpoint, Arc::clone(&self.clock));
        let resealed = Resealed::prepare(self.place, kind, clock, checkpoint, copied.scene).await?;
        let unsealed = resealed.trials_before_sealing().await?;
        for trial in unsealed.into_iter().chain(resealed.trials_of_a_thief(self.folder).await?) {
            told(&trial);
            trials.push(trial);
        }
        self.place.discard(BASE).await?;
        self.place.discard("original").await?;
        let count =
            |wanted: fn(&Outcome) -> bool| trials.iter().filter(|trial| wanted(&trial.outcome)).count();
        Ok(DrillReport {
            source: source.describe(),
            origin: copied.checkpoint.origin.to_string(),
            first: copied.scene.first,
            copied: copied.checkpoint.size - copied.scene.gone(),
            size: copied.original_size,
            found: count(|outcome| matches!(outcome, Outcome::Found { .. } | Outcome::Remarked { .. })),
            remarked: count(|outcome| matches!(outcome, Outcome::Remarked { .. })),
            missed: count(|outcome| matches!(outcome, Outcome::Missed { .. })),
            not_tried: count(|outcome| matches!(outcome, Outcome::NotTried { .. })),
            trials,
        })
    }

    async fn superuser(
        &self,
        manipulation: Manipulation,
        copies: Copies,
        plan: &Plan,
    ) -> Result<Trial, DrillError> {
        let Manipulation { name, deed, needs, statements, place, says } = manipulation;
        let outcome = match statements {
            Err(reason) => Outcome::NotTried { reason: reason.to_owned() },
            Ok(statements) => {
                let options = self.place.copy("original", "tampered").await?;
                // The catalogue itself can be written by a superuser who says so.
                execute(&options, &format!("SET allow_system_table_mods = on; {statements}")).await?;
                let report = copies.verified(&options, plan).await?;
                self.place.discard("tampered").await?;
                judge(&report, &place, says)
            }
        };
        Ok(Trial { name, deed, by: Attacker::Superuser, needs, found_one_level_lower: None, outcome })
    }
}

/// What is common to all copies.
#[derive(Clone, Copy, Debug)]
struct Copies {
    /// Whether they have the commitments beside pages of sweeps.
    has_manifests: bool,
}

impl Copies {
    /// Verifies one as its auditor.
    async fn verified(self, options: &PgConnectOptions, plan: &Plan) -> Result<Report, DrillError> {
        let database = Database::open(options, "a copy".to_owned()).await?;
        let mut database = database.of_a_copy(self.has_manifests);
        let report = verify::verify(&mut database, plan).await;
        database.close().await;
        Ok(report?)
    }
}

/// Whether a violation is told that belongs to the manipulation. It need not be the first: the accounts of the writers tell
/// of a missing or changed entry, too, at another place; then the answer says which one was.
fn judge(report: &Report, place: &str, says: &str) -> Outcome {
    let mut violations = report.findings.iter().filter(|bad| bad.severity == Severity::Violation);
    let expected = violations.clone().find(|bad| bad.place.starts_with(place) && bad.what.contains(says));
    match (expected, violations.next()) {
        (Some(bad), first) => Outcome::Found {
            place: bad.place.clone(),
            says: bad.what.clone(),
            told_before: first.filter(|first| !std::ptr::eq(*first, bad)).map(told_before),
        },
        (None, _) => missed(report),
    }
}

/// Whether a remark of that check is told, and nothing is called a violation.
fn remarked(report: &Report, step: Step, says: &str) -> Outcome {
    let mut remarks = report.findings.iter().filter(|finding| finding.severity == Severity::Remark);
    match remarks.find(|remark| remark.step == step && remark.what.contains(says)) {
        Some(remark) if report.verdict != Verdict::Violation => {
            Outcome::Remarked { place: remark.place.clone(), says: remark.what.clone() }
        }
        _ => missed(report),
    }
}

fn missed(report: &Report) -> Outcome {
    let says = report
        .first_bad()
        .map_or_else(|| "in order".to_owned(), |bad| format!("{}: {}", bad.place, bad.what));
    Outcome::Missed { says }
}

fn told_before(first: &Finding) -> ToldBefore {
    ToldBefore { step: first.step, place: first.place.clone(), says: first.what.clone() }
}
