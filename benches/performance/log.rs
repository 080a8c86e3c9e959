//! An audit log of its own: written by the service's writer, sealed by its sealer, filled to any length.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dsrd::audit::tlog::VerifierKey;
use dsrd::audit::verify::{Plan, Policy};
use dsrd::audit::{LogKeys, Sealer};
use dsrd::domain::{Clock as _, SystemClock};
use dsrd::store::Store;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::rig;
use crate::say;

/// How many entries a case has in a log that was filled.
pub(crate) const CASE: u64 = 8;

/// How many entries are put into the inbox at once while a log is filled.
const AT_ONCE: u64 = 5_000;

/// A log and its sealer.
pub(crate) struct Log {
    pub(crate) options: PgConnectOptions,
    pub(crate) sealer: Arc<Sealer>,
}

/// A sealer at work as in the daemon: a turn, a pause, the next turn.
pub(crate) struct Sealing {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<Vec<Turn>>>,
}

/// After a turn so many entries were signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) at: Instant,
    pub(crate) size: u64,
}

impl Sealing {
    /// Lets the turn in hand end; answers with all that brought something.
    pub(crate) async fn stop(self) -> Result<Vec<Turn>> {
        // The other end can only be gone where the task failed, which the next line tells.
        self.stop.send(()).unwrap_or_default();
        self.task.await?
    }
}

impl Log {
    /// An empty log in a fresh database, with the daemon's own settings.
    pub(crate) async fn create(database: &mut rig::Database) -> Result<Self> {
        let options = database.create().await?;
        let settings = rig::defaults("database", &[])?;
        let store = Store::connect_as_sealer(options.clone(), &settings);
        let audit = rig::defaults("audit", &[("origin", "bench.example/log".into())])?;
        let sealer = Sealer::open(store, LogKeys::generate(), Arc::new(SystemClock), audit).await?;
        Ok(Self { options, sealer: Arc::new(sealer) })
    }

    /// Seals until it is told to stop.
    pub(crate) fn seal(&self) -> Sealing {
        const EVERY: Duration = Duration::from_millis(200);
        let sealer = Arc::clone(&self.sealer);
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut turns = Vec::new();
            loop {
                let turn = sealer.turn().await?;
                if turn.entries > 0 {
                    turns.push(Turn { at: Instant::now(), size: turn.size });
                }
                if turn.entries < dsrd::audit::MOST_AT_ONCE.into()
                    && tokio::time::timeout(EVERY, &mut stopped).await.is_ok()
                {
                    return Ok(turns);
                }
            }
        });
        Sealing { stop, task }
    }

    /// What an auditor verifies it with.
    pub(crate) async fn plan(&self) -> Result<Plan> {
        let keys = self.sealer.verifier_keys().await;
        let key: VerifierKey = keys.first().context("a log without a key")?.parse()?;
        Ok(Plan {
            policy: Policy::of_logs(vec![key]),
            known_heads: Vec::new(),
            since: 0,
            now: SystemClock.now(),
        })
    }

    /// Fills it with so many entries of the length that entries of a request have, eight for each case, and answers with
    /// the cases.
    pub(crate) async fn fill(&self, entries: u64) -> Result<Vec<Uuid>> {
        let mut cases = Vec::new();
        self.fill_with(entries, |place| {
            if place % CASE == 0 {
                cases.push(Uuid::new_v4());
            }
            Ok(entry(place, cases.last().context("a case")?))
        })
        .await?;
        Ok(cases)
    }

    /// Fills it with so many entries, each made from its place, and seals them.
    pub(crate) async fn fill_with(
        &self,
        entries: u64,
        mut make: impl FnMut(u64) -> Result<String>,
    ) -> Result<()> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let started = Instant::now();
        let mut done = 0;
        while done < entries {
            let number = AT_ONCE.min(entries - done);
            let rows: Vec<Vec<u8>> =
                (done..done + number).map(|place| Ok(make(place)?.into_bytes())).collect::<Result<_>>()?;
            sqlx::query("INSERT INTO audit.inbox (entry) SELECT unnest($1::bytea[])")
                .bind(&rows)
                .execute(&mut connection)
                .await?;
            self.sealer.seal_everything().await?;
            done += number;
            if done % 500_000 == 0 && done < entries {
                say(&format!(
                    "filled {done} of {entries} entries in {:.0} s",
                    started.elapsed().as_secs_f64()
                ));
            }
        }
        // Each by itself: a vacuum cannot run inside a transaction, and several statements at once are one.
        for statement in ["VACUUM ANALYZE audit.entry", "CHECKPOINT"] {
            sqlx::raw_sql(statement).execute(&mut connection).await?;
        }
        connection.close().await?;
        self.sealer.keep_checkpoint().await?;
        Ok(())
    }

    pub(crate) async fn close(self) {
        self.sealer.close().await;
    }
}

/// The place-th entry: the announcement of an effect, or the end of the one before.
pub(crate) fn entry(place: u64, case: &Uuid) -> String {
    // Half a second apart, from 23 November 2026 on.
    let at = 1_795_392_000_000_000 + place * 500_000;
    let id = id_of(place);
    let (action, rest, outcome) = if place.is_multiple_of(2) {
        ("deletion.began", String::new(), "")
    } else {
        ("deletion.ended", format!(",\"intent\":\"{}\"", id_of(place - 1)), ",\"outcome\":\"done\"")
    };
    format!(
        "{{\"action\":\"{action}\",\"actor\":\"process:worker\",\"at_us\":{at},\"build\":\"0.1.0\",\"case\":\"{case}\",\
         \"detail\":{{\"attempt\":1,\"contacts\":1,\"zone\":\"eu-south\"}},\"id\":\"{id}\"{rest}{outcome},\"tenant\":\"main\",\"v\":1}}"
    )
}

/// An id as its writer would have drawn it: of version 7, so that ids grow with time.
pub(crate) fn id_of(place: u64) -> Uuid {
    let millis = 1_795_392_000_000 + place * 500;
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6] = 0x70;
    bytes[8..].copy_from_slice(&place.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    bytes[8] = 0x80 | (bytes[8] & 0x3F);
    Uuid::from_bytes(bytes)
}
