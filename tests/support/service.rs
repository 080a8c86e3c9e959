//! The service in one process: real PostgreSQL, the simulator, mails in memory, a clock that is moved by hand.
//!
//! A test builds a [`TestService`], submits requests, lets them be worked on, and ends with [`TestService::finish`],
//! which asks the [`oracle`](super::oracle) whether every promise was kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::audit::Sealer;
use dsrd::delivery::MemoryTransport;
use dsrd::domain::{
    Assurance, Channel, Clock, ContactId, Controller, IdentifierKind, ManualClock, Origin, Proof, RequestId,
    RequestKind, RequesterRole, SubjectIdentifier,
};
use dsrd::execution::{Ended, Executor, KillSwitch, Worker};
use dsrd::intake::{self, Case, Desk, Receipt, Submission};
use dsrd::queue;
use dsrd::store::Store;
use dsrd_simulator::{OrganisationHandle, Simulator};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::database::TestDatabase;
use super::oracle;
use super::settings::CallLimit;
use super::witness::Heads;

/// The name of the one organisation that most tests have.
pub(crate) const ORGANISATION: &str = "main";

/// The service under test, with everything around it.
pub(crate) struct TestService {
    pub(crate) database: TestDatabase,
    pub(crate) simulator: Simulator,
    pub(crate) platform: OrganisationHandle,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) mails: MemoryTransport,
    pub(crate) store: Store,
    pub(crate) desk: Desk,
    pub(crate) controller: Arc<Controller>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) sealer: Arc<Sealer>,
    /// The seeds with which the log is signed.
    pub(crate) log_keys: Zeroizing<String>,
    /// The heads under which the test read the log.
    pub(crate) heads: Heads,
    /// How fast the client was told that it may call with the key of each organisation.
    pub(crate) call_limits: BTreeMap<String, CallLimit>,
    pub(crate) directory: TempDir,
    /// How much had been logged when it was built.
    pub(crate) logged_before: usize,
    pub(super) settings: queue::Settings,
}

impl TestService {
    /// A submission by a person, received an hour ago.
    pub(crate) fn submission(&self, kind: RequestKind, identifiers: &[(IdentifierKind, &str)]) -> Submission {
        Submission {
            kind,
            also: Vec::new(),
            kind_unknown: false,
            requester_role: RequesterRole::Own,
            origin: Origin::Subject,
            channel: Channel::Web,
            received_at: self.clock.now() - TimeDelta::hours(1),
            language: None,
            identifiers: identifiers
                .iter()
                .map(|(kind, text)| {
                    SubjectIdentifier::parse(*kind, text, Some("IT")).expect("a valid identifier")
                })
                .collect(),
            policies: Vec::new(),
            ground: None,
            // As a portal hands in what a person asks who is signed in; tests of who asks say otherwise.
            proof: Some(Proof { assurance: Assurance::AuthenticatedSession, at: self.clock.now() }),
            producer: "tests".to_owned(),
            idempotency_key: uuid::Uuid::new_v4().to_string(),
            handed_in_by: None,
            sweep_target: None,
            follows: None,
        }
    }

    /// Hands in a request.
    pub(crate) async fn submit(&self, kind: RequestKind, identifiers: &[(IdentifierKind, &str)]) -> Receipt {
        let submission = self.submission(kind, identifiers);
        intake::submit_request(&self.store, &self.desk, &self.controller, submission)
            .await
            .expect("a receipt")
    }

    /// Hands in the erasure of a sweep.
    pub(crate) async fn submit_sweep(&self, contact: &str, created_before: DateTime<Utc>) -> Receipt {
        let contact: ContactId = contact.parse().expect("a contact id");
        let submission = Submission {
            origin: Origin::Retention,
            channel: Channel::Retention,
            producer: "retention".to_owned(),
            proof: None,
            handed_in_by: None,
            sweep_target: Some((contact, created_before)),
            ..self.submission(RequestKind::Erasure, &[])
        };
        intake::submit_request(&self.store, &self.desk, &self.controller, submission)
            .await
            .expect("a receipt")
    }

    /// A worker process.
    pub(crate) async fn worker(&self) -> Worker {
        self.worker_with(KillSwitch::default(), true).await
    }

    /// A worker process; with a kill switch of its own unless `inherit` says to take the service's.
    pub(crate) async fn worker_with(&self, kill: KillSwitch, inherit: bool) -> Worker {
        let executor = if inherit { Arc::clone(&self.executor) } else { Arc::new(self.executor_with(kill)) };
        Worker::start(executor, self.store.clone()).await.expect("a worker")
    }

    /// The same executor with another kill switch.
    pub(crate) fn executor_with(&self, kill: KillSwitch) -> Executor {
        Executor {
            store: self.store.clone(),
            desk: self.desk.clone(),
            sites: self.executor.sites.clone(),
            mailer: Arc::new(self.executor.mailer.with_kill(kill.clone())),
            settings: self.settings.clone(),
            packages: self.executor.packages.clone(),
            ledger: Arc::clone(&self.executor.ledger),
            watch: self.executor.watch.clone(),
            checks_clock: self.executor.checks_clock,
            kill,
        }
    }

    /// Works until nothing is ready, and sends the notices of the pump.
    pub(crate) async fn work(&self) -> Vec<Ended> {
        self.pump().await;
        let worker = self.worker().await;
        worker.work_until_idle().await.expect("work")
    }

    /// Sends what the pump has to send.
    pub(crate) async fn pump(&self) {
        while self.executor.mailer.pump_once().await.expect("the pump works") > 0 {}
        let controllers = BTreeMap::from([(self.controller.id.clone(), Arc::clone(&self.controller))]);
        intake::settle_extensions(&self.store, &self.desk, &controllers).await.expect("extensions");
    }

    /// Subject and text of the last mail, with each white space as one space.
    pub(crate) fn last_told(&self) -> String {
        let mails = self.mails.sent();
        let last = mails.last().expect("a mail was sent");
        let text = format!("{} {}", last.subject, last.text.expose());
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Lets time pass for everything that waits in the queue and the outbox (their times are the database's), and for
    /// the clock.
    pub(crate) async fn advance(&self, by: Duration) {
        let delta = TimeDelta::from_std(by).expect("a difference in range");
        self.clock.advance(delta);
        let interval = sqlx::postgres::types::PgInterval {
            months: 0,
            days: 0,
            microseconds: delta.num_microseconds().expect("in range"),
        };
        let mut connection = self.store.connection().await.expect("a connection");
        for statement in [
            "UPDATE dsrd.job SET run_at = run_at - $1",
            "UPDATE dsrd.notice SET run_at = run_at - $1 WHERE state = 'pending'",
        ] {
            sqlx::query(statement).bind(interval).execute(&mut *connection).await.expect("time passes");
        }
    }

    /// Works, lets time pass, and works again, until every request is closed or waits for a person.
    pub(crate) async fn work_to_the_end(&self) {
        for _ in 0..60 {
            self.work().await;
            let mut connection = self.store.connection().await.expect("a connection");
            let depth = queue::depth(&mut connection).await.expect("a depth");
            drop(connection);
            if depth.ready + depth.scheduled + depth.leased == 0 {
                return;
            }
            self.advance(Duration::from_hours(1)).await;
        }
        let mut connection = self.store.connection().await.expect("a connection");
        let waiting: Vec<String> = sqlx::query_scalar(
            "SELECT concat_ws(' ', request.kind, request.state, request.park_reason, job.state, job.run_at - now())
             FROM dsrd.job JOIN dsrd.request USING (organisation_id, request_id)",
        )
        .fetch_all(&mut *connection)
        .await
        .expect("what waits");
        panic!("the queue does not come to rest: {waiting:#?}");
    }

    pub(crate) async fn depth(&self) -> queue::Depth {
        queue::depth(&mut self.store.connection().await.expect("a connection")).await.expect("a depth")
    }

    /// Declares every worker dead, as their missing heartbeats would, and puts their jobs back.
    pub(crate) async fn bury_workers(&self) {
        let mut connection = self.store.connection().await.expect("a connection");
        sqlx::query("UPDATE dsrd.instance SET dead_at = now() WHERE dead_at IS NULL")
            .execute(&mut *connection)
            .await
            .expect("instances");
        queue::rescue(&mut connection, Duration::from_secs(20), Duration::ZERO).await.expect("a rescue");
    }

    /// The case as stored.
    pub(crate) async fn case(&self, request: RequestId) -> Case {
        let mut connection = self.store.connection().await.expect("a connection");
        intake::find_case(&mut connection, &self.controller.id, request)
            .await
            .expect("a case")
            .expect("it exists")
    }

    /// Seals the audit entries that are still in the inbox and returns all, oldest first. The head under which they stand is
    /// kept: whatever the log is later, it has to begin so.
    pub(crate) async fn audit(&self) -> Vec<dsrd::audit::Entry> {
        self.sealer.seal_everything().await.expect("sealing");
        let mut connection = self.store.connection().await.expect("a connection");
        let head: Option<String> = sqlx::query_scalar("SELECT note FROM audit.head")
            .fetch_one(&mut *connection)
            .await
            .expect("the head of the log");
        self.heads.keep(head);
        let mut entries: Vec<dsrd::audit::Entry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |last| last.seq);
            let filter = dsrd::audit::Filter::default();
            let page = dsrd::audit::list(&mut connection, &filter, after, 10_000).await.expect("the log");
            if page.is_empty() {
                return entries;
            }
            entries.extend(page);
        }
    }

    /// The actions in the log of one request, in their order, with their endings.
    pub(crate) async fn story(&self, request: RequestId) -> Vec<String> {
        let entries = self.audit().await;
        let of_request = entries.iter().filter(|entry| entry.case == Some(request.0));
        of_request
            .map(|entry| match &entry.outcome {
                Some(outcome) => format!("{}={outcome}", entry.action),
                None => entry.action.clone(),
            })
            .collect()
    }

    /// Ends the test: the oracle checks every promise.
    pub(crate) async fn finish(self) {
        oracle::check(&self).await;
        self.simulator.shutdown().await;
        self.store.close().await;
    }
}
