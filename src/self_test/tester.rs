//! Beginning a run when it is due, and judging it when its time is over.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::settings::Plan;
use super::sql::{self, NewRun, OpenRun};
use super::{NAME, judge};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Channel, Controller, Origin, RequestId, RequestKind, RequestState, RequesterRole, SelfTestFinding,
};
use crate::intake::{self, Desk, IntakeError, Receipt, Submission};
use crate::retention::Timetable;
use crate::store::{Store, StoreError, Tx};

/// Why a turn did not come to an end. What it recorded stands, and the next turn goes on.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// A request was not accepted.
    #[error("a request of the self-test was not accepted; correct self_test in the settings")]
    Intake(#[source] IntakeError),
    /// The calendar has no further due time for the schedule.
    #[error("self_test.schedule has no further due time; change it")]
    NoNextRun,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its day, where the controller is.
    pub on: NaiveDate,
    /// What became of each right.
    pub findings: Vec<(RequestKind, SelfTestFinding)>,
}

impl Run {
    /// Whether every right was carried out, read back and told in its time.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.findings.is_empty() && self.findings.iter().all(|(_, found)| *found == SelfTestFinding::Passed)
    }
}

/// What one turn did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Whether a run began.
    pub begun: bool,
    /// Runs that were judged.
    pub ended: Vec<Run>,
}

/// Tries the rights of one organisation's invented contact.
#[derive(Clone, Debug)]
pub struct SelfTester {
    /// The database.
    pub store: Store,
    /// Keys and clock.
    pub desk: Desk,
    /// The organisation.
    pub controller: Arc<Controller>,
    /// What is tried, on whom, when.
    pub plan: Plan,
}

impl SelfTester {
    /// Judges runs whose requests have ended or whose time is over, and begins the one that is due. Any number of daemons may
    /// call it at any time; due times that were missed give one run.
    pub async fn turn(&self) -> Result<Turn, SelfTestError> {
        let mut turn = Turn::default();
        let open = sql::list_open(&mut *self.store.connection().await?, &self.controller.id).await?;
        for run in open {
            turn.ended.extend(self.look_at(run).await?);
        }
        let now = self.desk.clock.now();
        let due = self.next_run_at(now).await?;
        if due <= now {
            let (begun, failed) = self.begin(due, now).await?;
            turn.begun = begun;
            turn.ended.extend(failed);
        }
        Ok(turn)
    }

    /// Reads the next due time; computes it anew when the configured schedule is not the stored one.
    async fn next_run_at(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>, SelfTestError> {
        let mut connection = self.store.connection().await?;
        let next = self.timetable().next_run_at(&mut connection, now).await?;
        next.ok_or(SelfTestError::NoNextRun)
    }

    fn timetable(&self) -> Timetable<'_> {
        Timetable { organisation: &self.controller.id, name: NAME, schedule: &self.plan.schedule }
    }

    /// Claims the due time and hands in the requests, all in one transaction; none where another daemon was faster, or where
    /// the day has its run. While a request of an earlier run is open, the run fails at once.
    async fn begin(
        &self,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(bool, Option<Run>), SelfTestError> {
        let organisation = &self.controller.id;
        let next = self.plan.schedule.next_after(now).ok_or(SelfTestError::NoNextRun)?;
        let run_on = self.controller.local_date(now);
        let mut tx = self.store.begin("self_test.begin").await?;
        if !self.timetable().claim(&mut tx, due, next, now).await? {
            return Ok((false, None));
        }
        if sql::has_run(&mut tx, organisation, run_on).await? {
            tx.commit().await?;
            return Ok((false, None));
        }
        let blocked = self.is_blocked(&mut tx, run_on).await?;
        let requests = if blocked { Vec::new() } else { self.hand_in(&mut tx, run_on, now).await? };
        let new = NewRun {
            organisation,
            run_on,
            requests: &requests,
            erases: self.plan.erases(),
            begun_at: now,
            due_at: now + self.plan.limit,
        };
        sql::insert_run(&mut tx, new).await?;
        let kinds: Vec<&str> = self.plan.kinds.iter().map(|kind| kind.as_str()).collect();
        let detail = Detail::none()
            .word("run_on", &run_on.to_string())
            .word("kinds", &kinds.join(" "))
            .count("requests", requests.len() as u64);
        let event = Event::general(organisation, Action::SelfTestSubmitted, Actor::Schedule(NAME), now);
        audit::append(&mut tx, event.with(detail)).await?;
        let mut failed = None;
        if blocked {
            let all = self.plan.kinds.iter().map(|kind| (*kind, SelfTestFinding::EarlierOpen));
            let run = Run { on: run_on, findings: all.collect() };
            self.record_end(&mut tx, &run, now).await?;
            failed = Some(run);
        }
        tx.commit().await?;
        Ok((true, failed))
    }

    /// Whether a request of the latest run that handed any in is open.
    async fn is_blocked(&self, tx: &mut Tx, today: NaiveDate) -> Result<bool, StoreError> {
        for request in sql::latest_requests(tx, &self.controller.id, today).await? {
            let case = intake::find_case(tx, &self.controller.id, request).await?;
            if case.is_some_and(|case| case.state != RequestState::Closed) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Hands in one message with all rights, as a person would who asks for several.
    async fn hand_in(
        &self,
        tx: &mut Tx,
        run_on: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<Vec<RequestId>, SelfTestError> {
        let mut kinds = self.plan.kinds.iter().copied();
        let Some(kind) = kinds.next() else { return Ok(Vec::new()) };
        let submission = Submission {
            kind,
            also: kinds.collect(),
            kind_unknown: false,
            requester_role: RequesterRole::Own,
            origin: Origin::SelfTest,
            channel: Channel::SelfTest,
            received_at: now,
            language: None,
            identifiers: self.plan.identifiers.clone(),
            policies: Vec::new(),
            ground: None,
            // The settings say who asks; requests of this origin need no other proof, and have none.
            proof: None,
            producer: NAME.to_owned(),
            handed_in_by: Some(Actor::Schedule(NAME)),
            idempotency_key: run_on.to_string(),
            sweep_target: None,
            follows: None,
        };
        let handed_in = intake::submit(tx, &self.desk, &self.controller, submission).await;
        let receipt = handed_in.map_err(|error| match error {
            IntakeError::Store(error) => SelfTestError::Store(error),
            other => SelfTestError::Intake(other),
        })?;
        let also = receipt.also.iter().map(|each: &Receipt| each.request);
        Ok(std::iter::once(receipt.request).chain(also).collect())
    }

    /// Judges a run if all of it has ended or its time is over.
    async fn look_at(&self, open: OpenRun) -> Result<Option<Run>, SelfTestError> {
        let organisation = &self.controller.id;
        let now = self.desk.clock.now();
        let (mut findings, mut all_ended) = (Vec::with_capacity(open.requests.len()), true);
        let mut tx = self.store.begin("self_test.judge").await?;
        for request in &open.requests {
            // What was deleted with its case was not judged in its time.
            if let Some(case) = intake::find_case(&mut tx, organisation, *request).await? {
                all_ended &= case.state == RequestState::Closed;
                findings.push((case.kind, judge(&case, open.due_at)));
            }
        }
        if !all_ended && now < open.due_at {
            return Ok(None);
        }
        let run = Run { on: open.run_on, findings };
        if !self.record_end(&mut tx, &run, now).await? {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(run))
    }

    /// Records how a run ended, with its entry in the log; false when another daemon did so.
    async fn record_end(&self, tx: &mut Tx, run: &Run, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let organisation = &self.controller.id;
        let words: Vec<String> = run.findings.iter().map(|(kind, found)| format!("{kind}:{found}")).collect();
        if !sql::settle(tx, organisation, run.on, &words, run.passed(), now).await? {
            return Ok(false);
        }
        let mut detail = Detail::none().word("run_on", &run.on.to_string()).flag("passed", run.passed());
        for (kind, found) in &run.findings {
            detail = detail.word(kind.as_str(), found.as_str());
        }
        let event = Event::general(organisation, Action::SelfTestEnded, Actor::Schedule(NAME), now);
        audit::append(tx, event.with(detail)).await?;
        Ok(true)
    }
}
