//! The log compared with what was published of it, and the work that waits until both agree. The same look finds that a newer
//! program has migrated the database meanwhile, and ends all work.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::halves::{self, Mixed};
use super::{Database, StartError, notify, tasks};
use crate::audit::{Courier, HeadMail, Looked, PublishError, Publisher, Sink};
use crate::config::{self, Settings};
use crate::delivery::{self, Transport};
use crate::domain::Clock;
use crate::store::{self, SchemaState, Store, StoreError};

/// A gate before everything that has an effect: closed until the log is known to continue what was published of it.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(super) fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    fn set(&self, open: bool) {
        self.0.send_if_modified(|state| std::mem::replace(state, open) != open);
    }

    async fn becomes(&self, open: bool) {
        // The sender is held here, so the channel cannot end.
        drop(self.0.subscribe().wait_for(|state| *state == open).await);
    }

    /// Does `work` while the gate is open, each time with a token that ends it when the gate closes; ends with `stop`.
    pub(super) async fn pass<F: Future<Output = ()>>(
        &self,
        stop: &CancellationToken,
        work: impl Fn(CancellationToken) -> F,
    ) {
        loop {
            tokio::select! {
                () = self.becomes(true) => {}
                () = stop.cancelled() => return,
            }
            let turn = stop.child_token();
            let mut working = std::pin::pin!(work(turn.clone()));
            tokio::select! {
                () = &mut working => {}
                () = self.becomes(false) => {
                    turn.cancel();
                    working.await;
                }
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }
}

/// What is done with the heads of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    /// Compared with every place outside, and published.
    Published,
    /// Compared with the directory alone: by whoever does not seal.
    Compared,
}

/// Compares and publishes for as long as the daemon runs; opens the gate, and closes it at a divergence. Where the database is of
/// a newer program it stays closed, and everything that works with `working` ends (F-24).
///
/// Work waits for the comparison, and not for what is published after it: a bucket that gets the whole log for the first time
/// takes hours, and a place that does not answer holds up no other.
///
/// Cancels `anew` where a look finds another log than the one that was worked with. What publishing alone finds is of the same
/// log.
pub(super) async fn publish(
    publisher: Arc<Publisher>,
    heads: Heads,
    store: Store,
    gate: Gate,
    (anew, working): (CancellationToken, CancellationToken),
    stop: CancellationToken,
) {
    const AFTER_FAILURE: Duration = Duration::from_secs(5);
    let mut keeper = Keeper::new(publisher, gate);
    while !stop.is_cancelled() {
        // Both can be broken off anywhere and begun again; a place that does not answer must not delay the end.
        let publisher = Arc::clone(&keeper.publisher);
        let compared = tokio::select! {
            compared = keeper.meanwhile(compare(&publisher, heads, &store)) => compared,
            () = stop.cancelled() => break,
        };
        let pause = match compared {
            Ok(looked) => {
                keeper.found = Some(Ok(()));
                keeper.judge();
                if let Some(looked) = looked {
                    keeper.begin(looked);
                }
                publisher.every()
            }
            Err(Unfit::Publish(PublishError::Store(error)) | Unfit::Store(error)) => {
                // Whoever works without a database finds out alone; a gate that is open stays open.
                tracing::warn!(%error, "the audit log could not be compared with what was published of it; tried again");
                AFTER_FAILURE
            }
            Err(error @ Unfit::SchemaNewer) => {
                working.cancel();
                keeper.gate.set(false);
                notify::tell(&NotifyState::Status("not ready: schema_newer"));
                tracing::error!(%error, "not ready: nothing is taken in, claimed, sealed, mailed or destroyed until this daemon is replaced");
                break;
            }
            Err(error) => {
                keeper.found = Some(Err(error.to_string()));
                keeper.judge();
                if keeper.was_open {
                    anew.cancel();
                }
                // Nobody is shown more of a log that was found out.
                keeper.break_off().await;
                publisher.every()
            }
        };
        keeper.meanwhile(tasks::pause(&stop, pause)).await;
    }
    keeper.break_off().await;
}

/// Keeps the gate by what comparing and publishing find.
struct Keeper {
    publisher: Arc<Publisher>,
    gate: Gate,
    /// What the last look found; none before the first.
    found: Option<Result<(), String>>,
    /// Why the gate is closed, as it was told last.
    told: Option<String>,
    /// Whether the gate was open, and work went on behind it.
    was_open: bool,
    publishing: JoinSet<(Sink, Result<(), PublishError>)>,
    busy: BTreeSet<Sink>,
}

impl Keeper {
    fn new(publisher: Arc<Publisher>, gate: Gate) -> Self {
        let was_open = gate.is_open();
        let (publishing, busy) = (JoinSet::new(), BTreeSet::new());
        Self { publisher, gate, found: None, told: None, was_open, publishing, busy }
    }

    /// Begins to publish to each sink that is not at it still.
    fn begin(&mut self, looked: Looked) {
        for sink in Sink::ALL {
            if self.busy.insert(sink) {
                let publisher = Arc::clone(&self.publisher);
                self.publishing.spawn(async move { (sink, publisher.publish(sink, looked).await) });
            }
        }
    }

    async fn break_off(&mut self) {
        self.publishing.shutdown().await;
        self.busy.clear();
    }

    /// Waits for something, and hears meanwhile what became of the sinks.
    async fn meanwhile<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = std::pin::pin!(awaited);
        loop {
            tokio::select! {
                done = &mut awaited => return done,
                Some(ended) = self.publishing.join_next() => self.hear(ended),
            }
        }
    }

    fn hear(&mut self, ended: Result<(Sink, Result<(), PublishError>), JoinError>) {
        match ended {
            Ok((sink, published)) => {
                self.busy.remove(&sink);
                if let Err(PublishError::Store(error)) = published {
                    tracing::warn!(%error, "heads of the audit log could not be published; tried again");
                }
                self.judge();
            }
            // As if it had broken down here: the whole task is started again.
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    /// Opens the gate where both agree, the last look and what publishing has read of the log; else it is closed, and why is
    /// told once. What publishing found stands until that sink has got everything: looks read heads only, and would open
    /// the gate again each time.
    fn judge(&mut self) {
        let why = match (&self.found, self.publisher.obstacle()) {
            (None, _) => return,
            (Some(Err(why)), _) => why.clone(),
            (Some(Ok(())), Some(obstacle)) => obstacle.to_string(),
            (Some(Ok(())), None) => {
                if self.told.take().is_some() {
                    tracing::info!("the audit log continues what was published of it; work goes on");
                }
                self.gate.set(true);
                self.was_open = true;
                return;
            }
        };
        self.gate.set(false);
        if self.told.as_ref() != Some(&why) {
            tracing::error!(error = why, "safe mode: nothing is sealed, claimed, mailed or destroyed");
        }
        self.told = Some(why);
    }
}

/// Why nothing may be done.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("schema_newer: {0}", StartError::SchemaNewer)]
    SchemaNewer,
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Mixed(#[from] Mixed),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The database is of this program, both its halves are of one moment, and the log continues what was published; answers with what
/// the look could read, for who publishes.
async fn compare(publisher: &Publisher, heads: Heads, store: &Store) -> Result<Option<Looked>, Unfit> {
    let schema = store.connection().await?.visible_schema_state().await?;
    if schema == Some(SchemaState::Newer) {
        return Err(Unfit::SchemaNewer);
    }
    // Where both are wrong, the comparison with outside says more.
    publisher.glance().await?;
    if let Some(mixed) = halves::compare(store).await? {
        return Err(mixed.into());
    }
    match heads {
        Heads::Published => Ok(Some(publisher.look().await?)),
        Heads::Compared => Ok(None),
    }
}

/// Mails heads by the way out of the notices.
#[derive(Debug)]
struct Mails {
    transport: Transport,
    settings: delivery::Settings,
}

impl Courier for Mails {
    fn send(&self, mail: HeadMail) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            let text = format!(
                "Signed head of the audit log {origin}, {size} entries.\n\nKeep this message: it proves what the log held \
                 when it was sent. The lines between the rules are the signed checkpoint.\n\n-----\n{note}-----\n\nKeys of the log:\n{keys}\n",
                origin = mail.origin,
                size = mail.size,
                note = mail.note,
                keys = mail.verifier_keys.join("\n"),
            );
            let subject = format!("Audit log head: {} entries", mail.size);
            delivery::send_plain(&self.transport, &self.settings, &mail.to, subject, text, mail.at).await
        })
    }
}

/// Opens the publisher of the configured database.
///
/// # Errors
/// Where the settings of a witness cannot be used, or mail cannot be set up.
pub async fn open_publisher(
    settings: &Settings,
    database: &Database,
    clock: Arc<dyn Clock>,
) -> Result<Publisher, StartError> {
    let courier: Option<Arc<dyn Courier>> = if settings.publish.mail_to.is_empty() {
        None
    } else {
        let transport = Transport::open(&settings.delivery, &settings.data_dir).await?;
        Some(Arc::new(Mails { transport, settings: settings.delivery.clone() }))
    };
    let store = Store::connect_as_sealer(database.options().clone(), &settings.database);
    let publisher = Publisher::new(store, settings.publish.clone(), courier, clock)?;
    let publisher = with_authority(publisher, settings)?;
    if settings.publish.bucket_url.is_empty() {
        return Ok(publisher);
    }
    let key = config::read_secret("publish.bucket_key_file", &settings.publish.bucket_key_file)?;
    Ok(publisher.with_bucket(&key)?)
}

/// What compares the log with the published directory where nothing is sealed: it needs the rights of the service only.
pub(super) fn open_comparer(
    settings: &Settings,
    database: &Database,
    clock: Arc<dyn Clock>,
) -> Result<Publisher, StartError> {
    let one = store::Settings { max_connections: 1, ..settings.database.clone() };
    let store = Store::connect_lazily(database.options().clone(), &one);
    Ok(Publisher::new(store, settings.publish.clone(), None, clock)?)
}

#[cfg(feature = "timestamps")]
fn with_authority(publisher: Publisher, settings: &Settings) -> Result<Publisher, StartError> {
    if settings.publish.timestamp_url.is_empty() {
        return Ok(publisher);
    }
    // A certificate is no secret: anybody may be able to read it.
    let pem = std::fs::read(&settings.publish.timestamp_certificate_file)
        .map_err(|error| PublishError::Timestamp(error.kind().to_string()))?;
    Ok(publisher.with_authority(&pem)?)
}

#[cfg(not(feature = "timestamps"))]
fn with_authority(publisher: Publisher, settings: &Settings) -> Result<Publisher, StartError> {
    if settings.publish.timestamp_url.is_empty() {
        Ok(publisher)
    } else {
        Err(PublishError::Timestamp("this program was built without time-stamps".to_owned()).into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_passes_a_gate_waits_for_it_ends_when_it_closes_and_begins_again() {
        let (gate, stop) = (Gate::closed(), CancellationToken::new());
        let (began, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let passing = {
            let (gate, stop) = (gate.clone(), stop.clone());
            let (began, ended) = (Arc::clone(&began), Arc::clone(&ended));
            tokio::spawn(async move {
                let work = |turn: CancellationToken| {
                    let (began, ended) = (Arc::clone(&began), Arc::clone(&ended));
                    async move {
                        began.fetch_add(1, Ordering::Relaxed);
                        turn.cancelled().await;
                        ended.fetch_add(1, Ordering::Relaxed);
                    }
                };
                gate.pass(&stop, work).await;
            })
        };
        let counts = async || {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            (began.load(Ordering::Relaxed), ended.load(Ordering::Relaxed))
        };
        assert_eq!(counts().await, (0, 0));
        gate.set(true);
        assert_eq!(counts().await, (1, 0));
        gate.set(true);
        assert_eq!(counts().await, (1, 0), "open stays open");
        gate.set(false);
        assert_eq!(counts().await, (1, 1));
        gate.set(true);
        assert_eq!(counts().await, (2, 1));
        stop.cancel();
        passing.await.unwrap();
        assert_eq!((began.load(Ordering::Relaxed), ended.load(Ordering::Relaxed)), (2, 2));
    }
}
