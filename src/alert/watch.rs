//! Looking at every organisation, raising what is new today, and writing the mails about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Timelike as _, Utc};
use uuid::Uuid;

use super::letter;
use super::rule::{
    Cause, DueReview, ParkedRows, Watched, came_back, causes, filter_ignored, flood, forecast_late,
    log_review, of_figures, past_term, platform_cause, review_cause, rows_parked, self_test, sweep_missed,
    worse_than_wanted,
};
use super::{Settings, digest, sql};
use crate::audit::{self, Action, Actor, Detail, Event, forget};
use crate::delivery::{self, Transport};
use crate::domain::{AlertRule, Clock, Controller, KillSwitch, OrganisationId, StaffRole};
use crate::figures::{self, Outlook, Question};
use crate::queue::{self, Limit};
use crate::store::{Store, StoreError, Tx};

/// One organisation that is watched.
#[derive(Clone, Debug)]
pub struct Ward {
    /// The controller.
    pub controller: Arc<Controller>,
    /// Who is told.
    pub settings: Settings,
    /// Whether its retention rule is switched on, so that a sweep that does not begin is a failure.
    pub sweeps: bool,
    /// Whether its daily self-test is switched on.
    pub self_tests: bool,
    /// How fast its platform may be called.
    pub limit: Limit,
}

/// Watches over requests and platforms, and tells the staff.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Whom it watches.
    pub wards: BTreeMap<OrganisationId, Ward>,
    /// The way out of mails.
    pub transport: Arc<Transport>,
    /// Sender, waits and patience of mails.
    pub mail: delivery::Settings,
    /// Whether the clock is compared with the database's before a mail is given up (F-48); not where it is moved by hand.
    pub checks_clock: bool,
    /// Dies at `staff_mail.begun` and `staff_mail.sent` where it says. For tests of crashes.
    pub kill: KillSwitch,
}

/// What one turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Alerts raised.
    pub alerts: usize,
    /// Digests written.
    pub digests: usize,
}

/// An alert raised just now.
pub(super) struct Raised<'a> {
    pub(super) cause: Cause,
    /// None for a hold and for what concerns the organisation as a whole.
    pub(super) watched: Option<&'a Watched>,
    pub(super) review: Option<&'a DueReview>,
    pub(super) rows: Option<ParkedRows>,
    pub(super) outlook: Option<&'a Outlook>,
}

impl Raised<'_> {
    /// About the organisation as a whole.
    const fn of(cause: Cause) -> Self {
        Self { cause, watched: None, review: None, rows: None, outlook: None }
    }
}

/// By which forecast dates will be missed, and since when there was no other one.
pub(super) type Ahead = (Outlook, DateTime<Utc>);

/// Who is recorded as having raised and mailed.
pub(super) const ACTOR: Actor = Actor::Process("watch");

impl Watch {
    /// Raises what is to be raised now and has not been today, and writes the digest when its hour has come. What fails for one
    /// organisation, or in one of the parts, keeps nothing else from being told.
    ///
    /// # Errors
    /// The first failure, after everything else was done. Each is told in the log.
    pub async fn turn(&self) -> Result<Turn, StoreError> {
        let mut done = Turn::default();
        let mut failed = None;
        for ward in self.wards.values() {
            let mut note = |error: StoreError| {
                let organisation = &ward.controller.id;
                tracing::warn!(%organisation, %error, "what staff of an organisation must know could not be looked at in full; tried again");
                failed.get_or_insert(error);
            };
            self.count_figures(ward).await.unwrap_or_else(&mut note);
            let ahead = self.look_ahead(ward).await.unwrap_or_else(|error| {
                note(error);
                None
            });
            match self.raise(ward, ahead.as_ref()).await {
                Ok(raised) => done.alerts += raised,
                Err(error) => note(error),
            }
            match self.write_digest(ward, ahead.as_ref()).await {
                Ok(written) => done.digests += usize::from(written),
                Err(error) => note(error),
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// Counts how requests were answered, once a day over any number of daemons, and notes what is worse than wanted.
    async fn count_figures(&self, ward: &Ward) -> Result<(), StoreError> {
        let Ward { controller, settings, .. } = ward;
        if settings.extended_percent >= 100 && settings.late_percent >= 100 {
            return Ok(());
        }
        let now = self.clock.now();
        let today = controller.local_date(now);
        let mut tx = self.store.begin("alert.count_figures").await?;
        if !sql::claim_figures(&mut tx, &controller.id, today).await? {
            return Ok(());
        }
        let question = Question {
            organisation: controller.id.clone(),
            since: today - TimeDelta::days(settings.figures_days.into()),
            until: today,
            zone: controller.time_zone,
            today,
        };
        let figures = figures::figures(&mut tx, &question).await?;
        let worse = worse_than_wanted(&figures.all, settings);
        sql::set_figures(&mut tx, &controller.id, worse, now).await?;
        tx.commit().await
    }

    /// Forecasts which dates will be missed at the pace that the platform allows, and notes since when any will (F-46).
    async fn look_ahead(&self, ward: &Ward) -> Result<Option<Ahead>, StoreError> {
        let organisation = &ward.controller.id;
        let now = self.clock.now();
        let mut tx = self.store.begin("alert.look_ahead").await?;
        let zone = ward.controller.time_zone;
        let outlook = figures::outlook(&mut tx, organisation, zone, ward.limit, now).await?;
        let known = sql::figures_state(&mut tx, organisation).await?.forecast_late_since;
        // What a clock that was ahead noted (F-48) begins now.
        let since = (outlook.forecast.late > 0).then(|| known.filter(|since| *since <= now).unwrap_or(now));
        if since == known {
            return Ok(since.map(|since| (outlook, since)));
        }
        sql::set_forecast(&mut tx, organisation, since).await?;
        tx.commit().await?;
        if let Some(due_on) = outlook.forecast.first_late_on {
            let count = outlook.forecast.late;
            tracing::warn!(%organisation, count, %due_on, "at the present pace requests will be answered after their due date, the first of them on this one; see dsrd stats");
        } else {
            tracing::info!(%organisation, "at the present pace every request that waits for the platform will be answered in time");
        }
        Ok(since.map(|since| (outlook, since)))
    }

    /// The organisation among whose alerts stands what belongs to none that is configured, or to all of them: one whose operator
    /// has an address, else one where anybody has, else the first.
    fn hears_of_nobody(&self) -> Option<&OrganisationId> {
        let has_operator = |ward: &&Ward| ward.settings.address_of(StaffRole::Operator).is_some();
        let has_anybody = |ward: &&Ward| ward.settings.reachable().next().is_some();
        let wards = || self.wards.values();
        let ward =
            wards().find(has_operator).or_else(|| wards().find(has_anybody)).or_else(|| wards().next());
        ward.map(|ward| &ward.controller.id)
    }

    async fn raise(&self, ward: &Ward, ahead: Option<&Ahead>) -> Result<usize, StoreError> {
        let Ward { controller, settings, .. } = ward;
        let now = self.clock.now();
        let today = now.with_timezone(&controller.time_zone).date_naive();
        let mut tx = self.store.begin("alert.raise").await?;
        let watched = sql::list_watched(&mut tx, &controller.id, today).await?;
        let reviews = sql::list_due_reviews(&mut tx, &controller.id).await?;
        let mut found: Vec<Raised<'_>> = Vec::new();
        for each in &watched {
            for cause in causes(each, controller, settings, now) {
                found.push(Raised { watched: Some(each), ..Raised::of(cause) });
            }
        }
        let down_since = queue::platform_down_since(&mut tx, &controller.id).await?;
        if let Some(cause) = down_since.and_then(|since| platform_cause(since, settings, now)) {
            found.push(Raised::of(cause));
        }
        if let Some((outlook, since)) = ahead {
            found.push(Raised { outlook: Some(outlook), ..Raised::of(forecast_late(*since)) });
        }
        if let Some(found_at) = queue::filter_ignored_since(&mut tx, &controller.id).await? {
            found.push(Raised::of(filter_ignored(found_at)));
        }
        for each in &reviews {
            found.push(Raised { review: Some(each), ..Raised::of(review_cause(each)) });
        }
        if let Some(found_at) = sql::last_came_back(&mut tx, &controller.id).await? {
            found.push(Raised::of(came_back(found_at)));
        }
        let lately = now - TimeDelta::days(1);
        if let Some(window_start) = sql::last_flood(&mut tx, &controller.id, lately).await? {
            found.push(Raised::of(flood(window_start)));
        }
        if ward.sweeps {
            let due_at = sql::next_sweep(&mut tx, &controller.id).await?;
            if let Some(cause) = due_at.and_then(|due_at| sweep_missed(due_at, settings, now)) {
                found.push(Raised::of(cause));
            }
            if let Some(since) = sql::past_term_since(&mut tx, &controller.id, now).await? {
                found.push(Raised::of(past_term(since)));
            }
        }
        if let Some(rows) = sql::parked_rows(&mut tx, &controller.id).await? {
            let cause = rows_parked(rows, AlertRule::RowsParked);
            found.push(Raised { rows: Some(rows), ..Raised::of(cause) });
        }
        if self.hears_of_nobody() == Some(&controller.id) {
            if let Some(rows) = sql::rows_of_nobody(&mut tx).await? {
                let cause = rows_parked(rows, AlertRule::RowsOfNobody);
                found.push(Raised { rows: Some(rows), ..Raised::of(cause) });
            }
            if let Some(review_on) = forget::last_due_review(&mut tx, today).await? {
                let cause = log_review(review_on, controller);
                found.push(Raised::of(cause));
            }
        }
        let state = sql::figures_state(&mut tx, &controller.id).await?;
        for cause in of_figures(state, settings) {
            found.push(Raised::of(cause));
        }
        if ward.self_tests {
            let state = sql::self_test(&mut tx, &controller.id, now).await?;
            if let Some(cause) = self_test(state, now) {
                found.push(Raised::of(cause));
            }
        }
        let mut raised = Vec::new();
        for each in found {
            if raise_one(&mut tx, controller, &each, today, now).await? {
                raised.push(each);
            }
        }
        if raised.is_empty() {
            return Ok(0);
        }
        for role in StaffRole::ALL {
            let told: Vec<&Raised<'_>> = raised
                .iter()
                .filter(|each| settings.recipients(each.cause.rule, each.cause.step).contains(role))
                .collect();
            if !told.is_empty() {
                let letter = letter::alerts(controller, &told);
                sql::insert_mail(&mut tx, &controller.id, (Kind::Alerts, *role), today, Some(&letter), now)
                    .await?;
            }
        }
        if settings.reachable().next().is_none() {
            tracing::warn!(organisation = %controller.id, count = raised.len(), "alerts were raised and nobody is told by mail; set organisations.escalation, see dsrd alert list");
        }
        let count = raised.len();
        tx.commit().await?;
        Ok(count)
    }

    /// Writes the digest of the day; false before its hour, where there is one, and where nobody gets it.
    async fn write_digest(&self, ward: &Ward, ahead: Option<&Ahead>) -> Result<bool, StoreError> {
        let Ward { controller, settings, .. } = ward;
        let now = self.clock.now();
        let local = now.with_timezone(&controller.time_zone);
        let reader = settings.reachable().next();
        let (true, Some(role)) = (settings.digest && local.hour() >= settings.digest_hour, reader) else {
            return Ok(false);
        };
        let today = local.date_naive();
        let mut tx = self.store.begin("alert.digest").await?;
        // Looked at first, because the digest is composed from the whole of what is open.
        if sql::has_digest(&mut tx, &controller.id, role, today).await? {
            return Ok(false);
        }
        let outlook = ahead.map(|(outlook, _)| outlook);
        let letter = digest::compose(&mut tx, controller, settings, outlook, now).await?;
        let written =
            sql::insert_mail(&mut tx, &controller.id, (Kind::Digest, role), today, letter.as_ref(), now)
                .await?;
        tx.commit().await?;
        Ok(written && letter.is_some())
    }
}

/// What a mail to staff is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Alerts,
    Digest,
}

impl Kind {
    /// The word as stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Digest => "digest",
        }
    }
}

/// Raises an alert with its audit entry; false when it was raised today or acknowledged.
async fn raise_one(
    tx: &mut Tx,
    controller: &Controller,
    raised: &Raised<'_>,
    today: NaiveDate,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Raised { cause, watched, review, .. } = raised;
    let request = watched.map(|watched| watched.request);
    let id = Uuid::now_v7();
    let about = sql::About { request, hold: review.map(|review| review.hold) };
    if !sql::insert_alert(tx, &controller.id, id, cause, about, today, now).await? {
        return Ok(false);
    }
    let event = match request {
        Some(request) => Event::of(&controller.id, request, Action::AlertRaised, ACTOR, now),
        None => Event::general(&controller.id, Action::AlertRaised, ACTOR, now),
    };
    let mut detail = Detail::none().word("rule", cause.rule.as_str()).word("alert", &id.to_string());
    if cause.step > 0 {
        detail = detail.count("days_before_due", cause.step.into());
    }
    if let Some(review) = review {
        detail = detail.word("hold", &review.reference);
    }
    audit::append(tx, event.with(detail)).await?;
    Ok(true)
}
