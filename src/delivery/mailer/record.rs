//! How a sending ended, written down.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::audit::{self, Action, Ending, Event};
use crate::delivery::notice::Sender;
use crate::delivery::sql;
use crate::delivery::transport::Effect;
use crate::delivery::{DeliveryError, Settings};
use crate::domain::{OrganisationId, RequestId, clock_difference, random};
use crate::store::{self, PgConnection, StoreError, Tx};

use super::attempt::Answered;
use super::{Delivery, Mailer, detail_of, former_ended};

impl Mailer {
    /// Records how an attempt ended, inside the caller's transaction, which may be the one that closes the request.
    pub async fn record(&self, tx: &mut Tx, answered: &Answered) -> Result<Delivery, DeliveryError> {
        let at = answered.at;
        let attempt = answered.attempt.as_ref();
        let organisation = &attempt.organisation;
        let detail = detail_of(attempt.kind, attempt.notice).count("attempt", attempt.number.into());
        let ended = |ending, detail| {
            Event::of(organisation, attempt.request, Action::NoticeEnded, attempt.sender.actor(), at)
                .ending(attempt.intent, ending)
                .with(detail)
        };
        let (event, mine, delivery) = match &answered.answer {
            Ok(code) => {
                let mine = sql::end_sent(
                    tx,
                    organisation,
                    attempt.notice,
                    attempt.intent,
                    &attempt.template,
                    &attempt.text_sha256,
                    code,
                    at,
                )
                .await?;
                let mut detail = detail
                    .word("code", code)
                    .word("template", &attempt.template)
                    .word("text_sha256", &hex::encode(attempt.text_sha256));
                if let Some(wished) = &attempt.fell_back_from {
                    detail = detail.word("wished_language", wished);
                }
                (ended(Ending::Done, detail), mine, Delivery::Sent)
            }
            Err(failure) => {
                let refused = failure.permanent || self.is_given_up(tx, attempt.enqueued_at, at).await?;
                let wait = self.wait(attempt.number);
                let mine = sql::end_unsent(
                    tx,
                    organisation,
                    attempt.notice,
                    attempt.intent,
                    &failure.code,
                    refused,
                    wait,
                )
                .await?;
                let ending = match failure.effect {
                    Effect::None => Ending::Failed,
                    Effect::Unknown => Ending::Unknown,
                };
                let detail = detail.word("code", &failure.code).flag("refused", refused);
                let delivery =
                    if refused { Delivery::Refused(failure.code.clone()) } else { Delivery::Later(wait) };
                (ended(ending, detail), mine, delivery)
            }
        };
        if !mine {
            return Err(DeliveryError::Superseded);
        }
        audit::append(tx, event).await?;
        Ok(delivery)
    }

    /// Records how an attempt ended, in a transaction of its own: for a sender who has lost the case meanwhile.
    pub async fn record_alone(&self, answered: &Answered) -> Result<Delivery, DeliveryError> {
        let mut tx = self.store.begin("delivery.end").await?;
        let delivery = self.record(&mut tx, answered).await?;
        tx.commit().await?;
        Ok(delivery)
    }

    pub(super) async fn is_given_up(
        &self,
        connection: &mut PgConnection,
        written_at: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        is_given_up(connection, &self.settings, self.checks_clock, (written_at, at)).await
    }

    pub(super) fn wait(&self, attempts: u32) -> Duration {
        let first = f64::from(self.settings.retry_first_secs);
        let longest = f64::from(self.settings.retry_max_secs);
        let doubled = first * 2_f64.powi(i32::try_from(attempts.saturating_sub(1).min(30)).unwrap_or(30));
        // Up to a tenth less, so that notices that failed together do not come back together.
        Duration::from_secs_f64(doubled.min(longest) * (1.0 - random::fraction() / 10.0))
    }
}

/// Whether a mail that was written at the first instant and did not leave by the second one is given up. By a clock that jumped ahead
/// every one would be at its first failure (F-48).
pub async fn is_given_up(
    connection: &mut PgConnection,
    settings: &Settings,
    checks_clock: bool,
    (written_at, at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<bool, StoreError> {
    if at < written_at + TimeDelta::days(settings.give_up_after_days.into()) {
        return Ok(false);
    }
    if !checks_clock {
        return Ok(true);
    }
    let Some(ahead) = clock_difference(at, store::server_time(connection).await?) else { return Ok(true) };
    tracing::warn!(
        ahead_secs = ahead,
        "the clocks of this machine and of the database differ by more than five minutes; no mail is given up until they agree"
    );
    Ok(false)
}

/// Ends the attempts of a request's procedure whose end nobody will see any more, as unknown, inside the transaction that
/// parks or withdraws the request: each announcement has one end, and has it in time.
pub async fn end_open_attempts(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    for open in sql::forget_open_attempts(tx, organisation, request).await? {
        let (notice, intent) = (open.notice_id, open.intent);
        let event =
            former_ended(organisation, request, Sender::Procedure, open.kind.parse()?, notice, intent, at);
        audit::append(tx, event).await?;
    }
    Ok(())
}
