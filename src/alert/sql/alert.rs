//! Table `dsrd.alert`: what was raised, listed and acknowledged.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::alert::list::ListedAlert;
use crate::alert::rule::Cause;
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// What an alert is about, beside the platform.
#[derive(Clone, Copy)]
pub(in crate::alert) struct About {
    pub(in crate::alert) request: Option<RequestId>,
    pub(in crate::alert) hold: Option<Uuid>,
}

/// Raises an alert; false when it was raised that day, or acknowledged since its cause began. What a clock that was ahead raised
/// (F-48) was for another cause.
pub(in crate::alert) async fn insert_alert(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    id: Uuid,
    cause: &Cause,
    about: About,
    raised_on: NaiveDate,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let step = i16::try_from(cause.step).unwrap_or(i16::MAX);
    // The earliest instant of chrono is before that of PostgreSQL.
    let since = (cause.since > DateTime::<Utc>::UNIX_EPOCH).then_some(cause.since);
    let done = sqlx::query!(
        r#"INSERT INTO dsrd.alert (organisation_id, alert_id, rule, step, request_id, raised_on, raised_at, hold_id)
           SELECT $1, $2, $3, $4, $5, $6, $7, $9
           WHERE NOT EXISTS (
             SELECT FROM dsrd.alert
             WHERE organisation_id = $1 AND request_id IS NOT DISTINCT FROM $5 AND hold_id IS NOT DISTINCT FROM $9
               AND rule = $3 AND step = $4
               AND acknowledged_at IS NOT NULL AND raised_at <= $7 AND ($8::timestamptz IS NULL OR raised_at >= $8))
           ON CONFLICT DO NOTHING"#,
        organisation.as_str(),
        id,
        cause.rule.as_str(),
        step,
        about.request.map(|request| request.0),
        raised_on,
        at,
        since,
        about.hold,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("alert.raise"))?;
    Ok(done.rows_affected() == 1)
}

/// Lists causes, each once, the newest first. The latest day is that of the clock: what one that was ahead raised (F-48) hides
/// nothing.
#[expect(clippy::too_many_lines, reason = "one statement, which has a case for each rule")]
pub(in crate::alert) async fn list_alerts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    all: bool,
    now: DateTime<Utc>,
) -> Result<Vec<ListedAlert>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (alert.request_id, alert.hold_id, alert.rule, alert.step)
                  alert.alert_id, alert.rule, alert.step, request.reference AS "reference?", request.kind AS "kind?",
                  request.due_on AS "due_on?", alert.raised_on AS last_on, alert.acknowledged_at, alert.acknowledged_by,
                  (SELECT hold.reference FROM dsrd.hold
                   WHERE hold.organisation_id = $1 AND hold.hold_id = alert.hold_id) AS "hold?",
                  (SELECT min(earlier.raised_on)
                   FROM dsrd.alert AS earlier
                   WHERE earlier.organisation_id = $1 AND earlier.rule = alert.rule AND earlier.step = alert.step
                     AND earlier.request_id IS NOT DISTINCT FROM alert.request_id
                     AND earlier.hold_id IS NOT DISTINCT FROM alert.hold_id) AS "first_on!"
           FROM dsrd.alert
           LEFT JOIN dsrd.request USING (organisation_id, request_id)
           WHERE organisation_id = $1
             AND ($2
                  OR (alert.acknowledged_at IS NULL
                      AND alert.raised_on = (SELECT max(raised_on) FROM dsrd.alert WHERE organisation_id = $1 AND raised_at <= $3)
                      AND (CASE WHEN alert.rule = 'hold_review'
                                THEN EXISTS (SELECT FROM dsrd.hold
                                             WHERE hold.organisation_id = $1 AND hold.hold_id = alert.hold_id
                                               AND hold.ended_at IS NULL AND hold.reminded_on = hold.review_on)
                                WHEN alert.rule IN ('incident_open', 'incident_overdue')
                                THEN EXISTS (SELECT FROM dsrd.incident
                                             WHERE incident.organisation_id = $1
                                               AND incident.request_id = alert.request_id AND incident.ended_as IS NULL)
                                WHEN alert.rule = 'recipient_overdue'
                                THEN EXISTS (SELECT FROM dsrd.recipient_task AS task
                                             WHERE task.organisation_id = $1 AND task.request_id = alert.request_id
                                               AND task.state IN ('queued', 'sent') AND task.answer_by < alert.raised_on)
                                WHEN alert.rule = 'platform_down'
                                THEN EXISTS (SELECT FROM dsrd.platform_watch
                                             WHERE organisation_id = $1 AND down_since IS NOT NULL)
                                WHEN alert.rule = 'filter_ignored'
                                THEN EXISTS (SELECT FROM dsrd.platform_watch
                                             WHERE organisation_id = $1 AND filter_ignored_at IS NOT NULL)
                                WHEN alert.rule = 'flood'
                                THEN EXISTS (SELECT FROM dsrd.intake_rate
                                             WHERE organisation_id = $1 AND window_start + interval '1 day' >= $3
                                               AND held_back + unacknowledged > 0)
                                WHEN alert.rule = 'sweep_missed'
                                THEN EXISTS (SELECT FROM dsrd.schedule
                                             WHERE organisation_id = $1 AND name = 'retention' AND next_run_at <= $3)
                                WHEN alert.rule = 'past_term'
                                THEN EXISTS (SELECT FROM dsrd.request AS waiting
                                             WHERE waiting.organisation_id = $1 AND waiting.origin = 'retention'
                                               AND waiting.state = 'manual')
                                     OR (SELECT last.state IN ('stopped', 'failed')
                                         FROM dsrd.sweep AS last
                                         WHERE last.organisation_id = $1 AND last.started_at <= $3
                                         ORDER BY last.started_at DESC, last.sweep_id DESC
                                         LIMIT 1)
                                WHEN alert.rule = 'self_test_failed'
                                THEN EXISTS (SELECT FROM dsrd.schedule
                                             WHERE organisation_id = $1 AND name = 'self_test'
                                               AND next_run_at + interval '1 day' <= $3)
                                     OR (SELECT NOT latest.passed
                                         FROM dsrd.self_test AS latest
                                         WHERE latest.organisation_id = $1 AND latest.settled_at <= $3
                                         ORDER BY latest.settled_at DESC, latest.run_on DESC
                                         LIMIT 1)
                                WHEN alert.rule = 'often_extended'
                                THEN EXISTS (SELECT FROM dsrd.figures_watch
                                             WHERE organisation_id = $1 AND extended_since IS NOT NULL)
                                WHEN alert.rule = 'often_late'
                                THEN EXISTS (SELECT FROM dsrd.figures_watch
                                             WHERE organisation_id = $1 AND late_since IS NOT NULL)
                                WHEN alert.rule = 'forecast_late'
                                THEN EXISTS (SELECT FROM dsrd.figures_watch
                                             WHERE organisation_id = $1 AND forecast_late_since IS NOT NULL)
                                WHEN alert.rule = 'rows_parked'
                                THEN EXISTS (SELECT FROM dsrd.intake_parked WHERE organisation_id = $1)
                                WHEN alert.rule = 'rows_of_nobody'
                                THEN EXISTS (SELECT FROM dsrd.intake_parked AS parked
                                             WHERE NOT EXISTS (SELECT FROM dsrd.organisation AS known
                                                               WHERE known.organisation_id = parked.organisation_id))
                                WHEN alert.rule = 'log_hold_review'
                                THEN EXISTS (SELECT FROM audit_view.hold
                                             WHERE hold.in_force AND hold.review_on <= alert.raised_on)
                                WHEN alert.rule = 'came_back'
                                THEN EXISTS (SELECT FROM dsrd.look
                                             WHERE organisation_id = $1 AND settled IS NULL
                                               AND verdict IN ('back', 'newer_will', 'other_contact'))
                                ELSE request.state <> 'closed'
                                     OR EXISTS (SELECT FROM dsrd.notice
                                                WHERE notice.organisation_id = $1
                                                  AND notice.request_id = alert.request_id
                                                  AND notice.made_good_at IS NULL
                                                  AND (notice.bounced_at IS NOT NULL OR notice.state = 'refused'))
                           END)))
           ORDER BY alert.request_id, alert.hold_id, alert.rule, alert.step, alert.raised_on DESC"#,
        organisation.as_str(),
        all,
        now,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("alert.list"))?;
    let mut listed = Vec::new();
    for row in rows {
        listed.push(ListedAlert {
            alert: row.alert_id,
            rule: row.rule.parse().map_err(|_| StoreError::unreadable("alert.list", "dsrd.alert.rule"))?,
            step: u16::try_from(row.step).unwrap_or_default(),
            reference: row.reference,
            hold: row.hold,
            kind: row.kind,
            due_on: row.due_on,
            first_on: row.first_on,
            last_on: row.last_on,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
        });
    }
    listed.sort_by(|one, other| {
        (one.due_on, one.rule, &one.reference).cmp(&(other.due_on, other.rule, &other.reference))
    });
    Ok(listed)
}

/// An alert acknowledged just now.
pub(in crate::alert) struct AcknowledgedRow {
    pub(in crate::alert) alert_id: Uuid,
    pub(in crate::alert) rule: String,
    pub(in crate::alert) request_id: Option<Uuid>,
}

/// Acknowledges the cause of one alert, or all causes of a request, with every day on which they were told.
pub(in crate::alert) async fn acknowledge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    alert: Option<Uuid>,
    (request, hold): (Option<RequestId>, Option<&str>),
    by: &str,
    at: DateTime<Utc>,
) -> Result<Vec<AcknowledgedRow>, StoreError> {
    sqlx::query_as!(
        AcknowledgedRow,
        r#"UPDATE dsrd.alert
           SET acknowledged_at = $4, acknowledged_by = $5
           WHERE organisation_id = $1 AND acknowledged_at IS NULL
             AND (request_id = $3
                  OR EXISTS (SELECT FROM dsrd.alert AS named
                             WHERE named.organisation_id = $1 AND named.alert_id = $2 AND named.rule = alert.rule
                               AND named.step = alert.step AND named.request_id IS NOT DISTINCT FROM alert.request_id
                               AND named.hold_id IS NOT DISTINCT FROM alert.hold_id)
                  OR hold_id = (SELECT hold.hold_id FROM dsrd.hold
                                WHERE hold.organisation_id = $1 AND hold.reference = $6))
           RETURNING alert_id, rule, request_id"#,
        organisation.as_str(),
        alert,
        request.map(|request| request.0),
        at,
        by,
        hold,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("alert.acknowledge"))
}
