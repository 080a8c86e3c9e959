//! What somebody may do between the commit of an entry and its sealing, to a sealer that does not know of it: the log is
//! validly signed then, and only the account of the writer tells (`audit::writer`), or, of a clock, the entries themselves.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::manipulations::unguarded;
use super::resealed::Resealed;
use super::{Attacker, DrillError, Trial, execute, judge, remarked};
use crate::audit::event::{Action, Actor, Detail};
use crate::audit::leaf::Leaf;
use crate::audit::sql::{append_about_log, write};
use crate::audit::verify::{Level, Step};
use crate::audit::writer::Writer;
use crate::store::{Numbering, Store};

/// The key of an entry's detail by which the drill knows its own entries.
const NUMBER: &str = "number";

/// By how much the clock is set back.
const SET_BACK: TimeDelta = TimeDelta::days(1);

impl Resealed<'_> {
    /// Tries what can be done before the sealer comes.
    pub(super) async fn trials_before_sealing(&self) -> Result<Vec<Trial>, DrillError> {
        Ok(vec![
            self.removed().await?,
            self.written_in_the_name_of_another().await?,
            self.written_with_a_clock_set_back().await?,
        ])
    }

    async fn removed(&self) -> Result<Trial, DrillError> {
        let database = "unsealed";
        let options = self.copy(database).await?;
        let service = Service::begin(&options).await?;
        self.append(&service, &[1, 2, 3]).await?;
        let second =
            format!("DELETE FROM audit.inbox WHERE convert_from(entry, 'UTF8') LIKE '%\"{NUMBER}\":2}}%'");
        execute(&options, &unguarded("inbox", &second)).await?;
        self.seal(&options).await?;
        self.append(&service, &[4]).await?;
        let trial = self.judged_at_the_end(
            service,
            &options,
            "removed before it was sealed",
            "an entry is taken out of the inbox after its commit, before it is sealed",
            Attacker::Superuser,
            "removed before they were sealed",
        );
        let trial = trial.await;
        self.place.discard(database).await?;
        trial
    }

    async fn written_in_the_name_of_another(&self) -> Result<Trial, DrillError> {
        let database = "foreign";
        let options = self.copy(database).await?;
        let service = Service::begin(&options).await?;
        self.append(&service, &[1]).await?;
        let foreign = Leaf {
            w: Some(service.writer.name().to_owned()),
            n: Some(service.writer.drawn() + 1),
            ..self.leaf()
        };
        let mut tx = service.store.begin("audit.drill.foreign").await?;
        write(&mut tx, &foreign).await?;
        tx.commit().await?;
        self.seal(&options).await?;
        self.append(&service, &[2]).await?;
        let trial = self.judged_at_the_end(
            service,
            &options,
            "written with a stolen login",
            "an entry is added with the service's stolen login, in the name of a process that writes",
            Attacker::ServiceLogin,
            "a second time",
        );
        let trial = trial.await;
        self.place.discard(database).await?;
        trial
    }

    async fn written_with_a_clock_set_back(&self) -> Result<Trial, DrillError> {
        let database = "setback";
        let options = self.copy(database).await?;
        let service = Service::begin(&options).await?;
        self.append(&service, &[1]).await?;
        self.append_at(&service, &[2], self.clock.now() - SET_BACK).await?;
        let trial = self.judged_at_the_end(
            service,
            &options,
            "written with a clock set back",
            "the clock of the service is set back by a day, and an entry is written",
            Attacker::Operator,
            "the instants of entries go back by",
        );
        let trial = trial.await;
        self.place.discard(database).await?;
        trial
    }

    /// The service ends and accounts for what it wrote; then the copy is verified.
    async fn judged_at_the_end(
        &self,
        service: Service,
        options: &PgConnectOptions,
        name: &'static str,
        deed: &str,
        by: Attacker,
        says: &str,
    ) -> Result<Trial, DrillError> {
        self.seal(options).await?;
        let Service { store, writer } = service;
        writer.turn(&store, &*self.clock, true).await?;
        writer.stop(&store, &*self.clock).await?;
        store.close().await;
        self.seal(options).await?;
        let report = self.copies.verified(options, &self.plan(&[])).await?;
        Ok(Trial {
            name,
            deed: deed.to_owned(),
            by,
            needs: Level::L1,
            found_one_level_lower: None,
            outcome: match by {
                // By itself it is no tampering.
                Attacker::Operator => remarked(&report, Step::Instants, says),
                _ => judge(&report, "entry", says),
            },
        })
    }

    fn leaf(&self) -> Leaf {
        let actor = Actor::Process("drill").to_string();
        Leaf::about_log(Uuid::now_v7(), Action::LogDrilled, actor, self.clock.now())
    }

    /// Entries as the service writes them, one transaction each.
    async fn append(&self, service: &Service, numbers: &[u64]) -> Result<(), DrillError> {
        self.append_at(service, numbers, self.clock.now()).await
    }

    async fn append_at(
        &self,
        service: &Service,
        numbers: &[u64],
        at: DateTime<Utc>,
    ) -> Result<(), DrillError> {
        for number in numbers {
            let mut tx = service.store.begin("audit.drill.append").await?;
            let detail = Detail::none().count(NUMBER, *number);
            let actor = Actor::Process("drill");
            append_about_log(&mut tx, Action::LogDrilled, actor, at, detail).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn seal(&self, options: &PgConnectOptions) -> Result<(), DrillError> {
        let store = Store::connect_as_sealer(options.clone(), &super::copy::settings());
        let sealer = self.sealer(store).await?;
        sealer.seal_everything().await?;
        sealer.close().await;
        Ok(())
    }
}

/// The service at its work: a store whose entries are numbered, and accounted for.
struct Service {
    store: Store,
    writer: Arc<Writer>,
}

impl Service {
    async fn begin(options: &PgConnectOptions) -> Result<Self, DrillError> {
        // Nobody seals meanwhile: whatever is not sealed at the next look is late.
        let writer = Writer::draw(Duration::ZERO);
        let store = Store::connect_lazily(options.clone(), &super::copy::settings())
            .numbered_by(Arc::clone(&writer) as Arc<dyn Numbering>);
        writer.begin(&mut *store.connection().await?).await?;
        Ok(Self { store, writer })
    }
}
