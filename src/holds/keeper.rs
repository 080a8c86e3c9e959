//! What time does to holds: they end, and their reviews come near.

use chrono::TimeDelta;

use super::order::{About, NewHold, place};
use super::{EndRule, HoldError, order, sql};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{Clock, Controller, HoldCategory, HoldKind};
use crate::store::{Store, StoreError};

/// What one look at the holds of an organisation led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Holds whose last day has passed.
    pub expired: u64,
    /// Holds whose review was reminded of.
    pub reminded: u64,
}

/// Ends the holds whose last day has passed, and reminds once of each date of review that lies at most `remind_days` away.
/// Any number of daemons may call it at any time.
pub async fn keep_in_order(
    store: &Store,
    controller: &Controller,
    clock: &dyn Clock,
    remind_days: u16,
) -> Result<Kept, StoreError> {
    let organisation = &controller.id;
    let now = clock.now();
    let today = now.with_timezone(&controller.time_zone).date_naive();
    let actor = Actor::Schedule("holds");
    let mut kept = Kept::default();
    let mut tx = store.begin("holds.keep_in_order").await?;
    for hold in sql::take_expired(&mut tx, organisation, today).await? {
        order::end(&mut tx, organisation, &hold, Action::HoldExpired, "expired", (actor.clone(), now))
            .await?;
        tracing::info!(organisation = %organisation, hold = hold.reference, "a hold has ended: its last day has passed");
        kept.expired += 1;
    }
    let until = today + TimeDelta::days(remind_days.into());
    for hold in sql::take_due_for_review(&mut tx, organisation, until).await? {
        sql::set_reminded(&mut tx, organisation, hold.id, now).await?;
        let detail = Detail::none()
            .word("hold", &hold.reference)
            .word("review_on", &hold.review_on.to_string())
            .flag("overdue", hold.review_on < today);
        let event = Event::general(organisation, Action::HoldReviewDue, actor.clone(), now);
        audit::append(&mut tx, event.with(detail)).await?;
        tracing::warn!(
            organisation = %organisation,
            hold = hold.reference,
            detail = %hold.review_on,
            "the review of a hold is due: look whether it is still needed, then `dsrd hold review` or `dsrd hold lift`"
        );
        kept.reminded += 1;
    }
    tx.commit().await?;
    Ok(kept)
}

/// By when somebody must look at a restriction that an objection placed by itself: the objection is to be answered within a
/// month.
const REVIEW_AFTER: TimeDelta = TimeDelta::days(30);

/// Restricts the data of those whose objection (Art. 21(1) GDPR) waits to be weighed (Art. 18(1)(d)), once for each request;
/// returns how many. Any number of daemons may call it at any time.
pub async fn restrict_objections(
    store: &Store,
    controller: &Controller,
    clock: &dyn Clock,
) -> Result<u64, StoreError> {
    let organisation = &controller.id;
    let now = clock.now();
    let mut restricted = 0;
    let waiting = sql::unrestricted_objections(&mut *store.connection().await?, organisation).await?;
    for request in waiting {
        let mut tx = store.begin("holds.restrict_objections").await?;
        let references = sql::references_of(&mut tx, organisation, request).await?;
        let new = NewHold {
            kind: HoldKind::Restriction,
            category: HoldCategory::Everything,
            ground: None,
            statute: None,
            matter: None,
            owner: "dpo".to_owned(),
            about: About::Person(references),
            // Looked up by the next minute's look, as that of every hold about the person of a request.
            contacts: Vec::new(),
            ends: EndRule::WhenLifted,
            review_on: Some(controller.local_date(now + REVIEW_AFTER)),
            request: Some(request),
        };
        match place(&mut tx, controller, new, Actor::Schedule("holds"), now).await {
            Ok(placed) => {
                tx.commit().await?;
                tracing::info!(organisation = %organisation, %request, hold = placed.reference, "an objection is to be weighed: the use of the data is restricted meanwhile");
                if !placed.too_late_for.is_empty() {
                    tracing::warn!(
                        organisation = %organisation, %request, hold = placed.reference, detail = placed.too_late_for.join(", "),
                        "a restriction came too late for deletions that had been announced to the platform: look whether the data is still there, and tell the person"
                    );
                }
                restricted += 1;
            }
            // Another daemon was faster.
            Err(HoldError::RestrictedAlready) => {}
            Err(HoldError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(organisation = %organisation, %request, %error, "an objection could not be followed by a restriction; place it with `dsrd hold place`");
            }
        }
    }
    Ok(restricted)
}
