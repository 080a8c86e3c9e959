//! What commands and the daemon share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::sql::Registered;
use super::{Database, StartError, halves, load_or_create_master_key, sql};
use crate::audit::{self, Action, Actor, Detail, Event, Writer};
use crate::config::{Loaded, Organisation, Settings, Sources};
use crate::domain::{Clock, Controller, DecisionKind, OrganisationId, SystemClock};
use crate::holds;
use crate::intake::Desk;
use crate::queue;
use crate::store::{self, Numbering, SchemaState, Store, StoreError, Tx};

/// Database, keys, clock and organisations, ready for work.
#[derive(Debug)]
pub struct Foundation {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The database.
    pub store: Store,
    /// Who numbers the entries of the audit log that this process writes.
    pub writer: Arc<Writer>,
    /// Keys and clock.
    pub desk: Desk,
    /// The organisations.
    pub controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    /// How to reach the database, and the private cluster if there is one.
    pub database: Database,
}

impl Foundation {
    /// Opens the database and makes ready, or fails: for commands, which do not wait, and which migrate nothing but an empty
    /// database: a command of a newer release would bring the schema forward under the daemon that runs. A private cluster is
    /// not made either: a command that looks in the wrong place would take requests into one that no daemon ever sees.
    pub async fn open_ready(loaded: &Loaded, sources: &Sources) -> Result<Self, StartError> {
        if !Database::is_there(&loaded.settings) {
            return Err(StartError::NoDatabase { data_dir: loaded.settings.data_dir.clone() });
        }
        Self::open_or_make(loaded, sources).await
    }

    /// The same, and makes the private cluster where there is none.
    pub async fn open_or_make(loaded: &Loaded, sources: &Sources) -> Result<Self, StartError> {
        let settings = Arc::new(loaded.settings.clone());
        let database = Database::open(&settings, sources).await?;
        match Self::prepare(&settings, &database, Opener::Command, Arc::new(SystemClock)).await {
            Ok(Prepared { store, writer, desk, controllers }) => {
                Ok(Self { settings, store, writer, desk, controllers, database })
            }
            Err(error) => {
                database.close().await;
                Err(error)
            }
        }
    }

    /// Checks or migrates the schema, loads the master key, registers the organisations. Can be repeated after a failure
    /// that [`StartError::is_transient`].
    pub(super) async fn prepare(
        settings: &Settings,
        database: &Database,
        opener: Opener,
        clock: Arc<dyn Clock>,
    ) -> Result<Prepared, StartError> {
        bring_up_to_date(settings, database, opener).await?;
        let writer = Writer::draw(Duration::from_secs(settings.audit.merge_delay_secs.into()));
        let store = Store::connect_lazily(database.options().clone(), &settings.database)
            .numbered_by(Arc::clone(&writer) as Arc<dyn Numbering>);
        let prepared = settle(settings, &store, &writer, opener, clock).await;
        match prepared {
            Ok((desk, controllers)) => Ok(Prepared { store, writer, desk, controllers }),
            Err(error) => {
                store.close().await;
                Err(error)
            }
        }
    }

    /// Closes the account of what was written into the audit log, then the pool, and stops the private cluster.
    pub async fn close(self) {
        if let Err(error) = self.writer.stop(&self.store, &*self.desk.clock).await {
            tracing::warn!(%error, "the account of the audit entries was not closed; another process declares it ended");
        }
        if self.writer.drawn() > 0
            && let Err(error) = halves::raise(&self.store).await
        {
            tracing::debug!(%error, "the last moment of log and working tables was not noted");
        }
        self.store.close().await;
        self.database.close().await;
    }
}

/// Who opens a database, which decides what of it is changed by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    /// A daemon with worker or scheduler: what its settings say of statutes and of two persons holds from now on.
    Work,
    /// A daemon of the hand-over page alone.
    Page,
    /// A command: it may read another file than the daemon, or a variable of whoever gives it. What a database knows of
    /// an organisation is not changed by that, or a look into the figures would end the holds of a law.
    Command,
}

impl Opener {
    /// Whether databases of a former release are migrated, where `database.migrate_at_start` allows it, and not empty
    /// ones only.
    const fn migrates_any(self) -> bool {
        matches!(self, Self::Work | Self::Page)
    }
}

/// A database that is fit for work.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) store: Store,
    pub(super) writer: Arc<Writer>,
    pub(super) desk: Desk,
    pub(super) controllers: BTreeMap<OrganisationId, Arc<Controller>>,
}

async fn bring_up_to_date(
    settings: &Settings,
    database: &Database,
    opener: Opener,
) -> Result<(), StartError> {
    match database.schema_state(settings).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Behind(missing)
            if settings.database.migrate_at_start
                && (opener.migrates_any() || missing == store::migration_count()) =>
        {
            store::migrate(database.options()).await?;
            tracing::info!(count = missing, "the schema was brought up to date");
            Ok(())
        }
        SchemaState::Behind(missing) => Err(StartError::SchemaBehind { missing }),
        SchemaState::Newer => Err(StartError::SchemaNewer),
        SchemaState::Altered => Err(StartError::SchemaAltered),
    }
}

async fn settle(
    settings: &Settings,
    store: &Store,
    writer: &Writer,
    opener: Opener,
    clock: Arc<dyn Clock>,
) -> Result<(Desk, BTreeMap<OrganisationId, Arc<Controller>>), StartError> {
    let path = &settings.keys.master_key_file;
    let mut tx = store.begin("daemon.settle").await?;
    writer.begin(&mut tx).await?;
    let stored = sql::find_fingerprint(&mut tx).await?;
    let key = load_or_create_master_key(path, stored.as_deref())?;
    // Another daemon may have settled on its own key since.
    if sql::settle_fingerprint(&mut tx, &key.fingerprint()).await? != key.fingerprint() {
        return Err(StartError::MasterKeyOther { path: path.clone() });
    }
    let mut controllers = BTreeMap::new();
    for organisation in &settings.organisations {
        let platform_id = organisation.platform.organisation_id.as_str();
        let registered =
            sql::register_organisation(&mut tx, &organisation.id, platform_id, clock.now()).await?;
        if registered == Registered::Otherwise {
            return Err(StartError::OrganisationMoved { organisation: organisation.id.clone() });
        }
        queue::ensure_budget(&mut tx, &organisation.id).await?;
        if opener == Opener::Work || registered == Registered::Now {
            settle_two_persons(&mut tx, organisation, clock.now()).await?;
            holds::settle_statutes(&mut tx, &organisation.id, &organisation.holds, clock.now()).await?;
        }
        controllers.insert(organisation.id.clone(), Arc::new(organisation.controller()));
    }
    tx.commit().await?;
    let evidence_months = settings.upkeep.evidence_months;
    Ok((Desk { keys: Arc::new(key), clock, evidence_months }, controllers))
}

/// Writes down which decisions two persons take; that it is another set than before stands in the log.
async fn settle_two_persons(
    tx: &mut Tx,
    organisation: &Organisation,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let kinds: Vec<String> = organisation.two_persons.iter().map(ToString::to_string).collect();
    if !sql::set_two_persons(tx, &organisation.id, &kinds).await? {
        return Ok(());
    }
    let detail = DecisionKind::ALL.iter().fold(Detail::none(), |detail, kind| {
        detail.flag(kind.as_str(), organisation.two_persons.contains(kind))
    });
    let actor = Actor::Process("settings");
    let event = Event::general(&organisation.id, Action::TwoPersonsChanged, actor, now);
    audit::append(tx, event.with(detail)).await?;
    Ok(())
}
