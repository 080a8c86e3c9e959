//! The clock of a case: which events moved its dates, and both dates computed from them again.
//!
//! Three kinds of event move a date: the receipt, an extension that counts ([`settle_extensions`]), and a time of waiting
//! for the person that is over ([`record_pause`]). What each does, the regime says (`domain::deadline`); here they are
//! kept, and [`recompute`] is the only writer of the dates after intake (I-6).
//!
//! Invariants:
//! - An extension counts only when the mail server took its notice before the end of the first term and it did not come back
//!   until then, or when it was recorded in that time that the person was told by other means: the decision is one row, the
//!   extension that counts another, and the database compares the two. One whose notice comes back later stays, because events are
//!   never changed: staff is alerted every day until the person was told.
//! - A wait moves nothing before it is over: until then the earlier date stands.
//! - Events are rows that are never changed.

mod sql;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use sql::{ClockEvent, clock_events};
pub(super) use sql::{asked_last, purge};

use super::submission::Desk;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::deadline::{DueDates, Extension, Pause, PauseCause};
use crate::domain::{Controller, OrganisationId, RequestId};
use crate::queue;
use crate::store::{Store, StoreError, Tx};

/// Both dates of a request from all events on record; with `extended` as if an extension counted already. Nothing for a
/// reminder, which has the dates of another request.
pub async fn dates_from_events(
    tx: &mut Tx,
    controller: &Controller,
    request: RequestId,
    extended: bool,
) -> Result<Option<DueDates>, StoreError> {
    let Some(events) = sql::events(tx, &controller.id, request).await? else { return Ok(None) };
    let local = |at: DateTime<Utc>| at.with_timezone(&controller.time_zone).date_naive();
    let pauses: Vec<Pause> = events
        .pauses
        .iter()
        .map(|(cause, asked_at, answered_at)| Pause {
            cause: *cause,
            from: local(*asked_at),
            to: local(*answered_at),
        })
        .collect();
    let extension = if events.extended || extended { Extension::Granted } else { Extension::None };
    Ok(Some(controller.due_dates(events.kind, events.received_at, extension, &pauses)))
}

/// Computes the dates of an open request again after an event, and stores them where they moved; the queue hands it out
/// by the new one. Returns them; nothing for a reminder.
pub async fn recompute(
    tx: &mut Tx,
    controller: &Controller,
    request: RequestId,
) -> Result<Option<DueDates>, StoreError> {
    let Some(dates) = dates_from_events(tx, controller, request, false).await? else { return Ok(None) };
    sql::set_dates(tx, &controller.id, request, dates).await?;
    queue::set_due(tx, &controller.id, request, controller.end_of_day(dates.conservative)).await?;
    Ok(Some(dates))
}

/// Records a time of waiting for the person that is over, and moves the dates as the regime says. Returns the dates that hold
/// since. Nothing where the question was never taken by the mail server: then nobody was waited for (I-5).
pub async fn record_pause(
    tx: &mut Tx,
    controller: &Controller,
    request: RequestId,
    cause: PauseCause,
    answered_at: DateTime<Utc>,
) -> Result<Option<DueDates>, StoreError> {
    let Some(asked) = sql::find_asked(tx, &controller.id, request, cause).await? else { return Ok(None) };
    if answered_at < asked.at {
        return Ok(None);
    }
    sql::insert_pause(tx, &controller.id, request, Uuid::now_v7(), cause, &asked, answered_at).await?;
    recompute(tx, controller, request).await
}

/// Lets the extensions count that the person was told of before the end of the first term, by a notice that the mail server took or
/// by other means, and returns how many that were. To be called after notices were sent; an extension told too late never counts, and
/// the first date stands.
pub async fn settle_extensions(
    store: &Store,
    desk: &Desk,
    controllers: &BTreeMap<OrganisationId, Arc<Controller>>,
) -> Result<u64, StoreError> {
    let mut settled = 0;
    for (organisation, controller) in controllers {
        let told = sql::list_told(&mut *store.connection().await?, organisation).await?;
        for request in told {
            let mut tx = store.begin("intake.settle_extension").await?;
            // The case's row first, as everywhere; a case that was closed meanwhile needs no more time.
            if super::sql::lock_case(&mut tx, organisation, request).await?.is_some()
                && sql::insert_extension(&mut tx, organisation, request).await?
            {
                recompute(&mut tx, controller, request).await?;
                let now = desk.clock.now();
                let case = super::sql::find_case(&mut tx, organisation, request).await?;
                let due_on = case.map(|case| case.due_on.to_string()).unwrap_or_default();
                let event =
                    Event::of(organisation, request, Action::TermExtended, Actor::Process("intake"), now);
                audit::append(&mut tx, event.with(Detail::none().word("due_on", &due_on))).await?;
                settled += 1;
            }
            tx.commit().await?;
        }
    }
    Ok(settled)
}
