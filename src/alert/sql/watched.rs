//! What is watched, read from `dsrd.request`, `dsrd.notice`, `dsrd.extension`, `dsrd.look`, `dsrd.intake_rate`, `dsrd.sweep`, `dsrd.schedule` and
//! `dsrd.self_test`.

use chrono::{DateTime, NaiveDate, Utc};

use crate::alert::rule::{DueReview, LateRecipients, OpenIncident, ParkedRows, SelfTestState, Watched};
use crate::domain::{OrganisationId, Reference, RequestId};
use crate::store::{PgConnection, StoreError};

/// What is watched of an organisation: open requests of people, sweeps' erasures that could not be verified, requests whose
/// person was not told although a notice was sent or had to be, those that led to a breach, and those whose recipients have
/// not answered by `today`.
pub(in crate::alert) async fn list_watched(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
) -> Result<Vec<Watched>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH watched AS (
             SELECT request_id
             FROM dsrd.request
             WHERE organisation_id = $1 AND state <> 'closed'
               AND (origin = 'subject' OR park_reason = 'verification_failed')
             UNION
             SELECT request_id
             FROM dsrd.notice
             WHERE organisation_id = $1 AND bounced_at IS NOT NULL AND made_good_at IS NULL
             UNION
             SELECT request_id
             FROM dsrd.notice
             WHERE organisation_id = $1 AND state = 'refused' AND made_good_at IS NULL
               AND kind IN ('withdrawn', 'breach_notice', 'restriction_lifting')
               AND last_code IS DISTINCT FROM 'superseded'
             UNION
             SELECT request_id
             FROM dsrd.incident
             WHERE organisation_id = $1 AND ended_as IS NULL
             UNION
             SELECT request_id
             FROM dsrd.recipient_task
             WHERE organisation_id = $1 AND state IN ('queued', 'sent') AND answer_by < $2
           ), late AS (
             SELECT request_id, count(*) AS count, max(answer_by) AS newest
             FROM dsrd.recipient_task
             WHERE organisation_id = $1 AND state IN ('queued', 'sent') AND answer_by < $2
             GROUP BY request_id
           ), failed AS (
             SELECT request_id, max(coalesce(bounced_at, attempted_at, enqueued_at)) AS failed_at
             FROM dsrd.notice
             JOIN watched USING (request_id)
             WHERE organisation_id = $1 AND made_good_at IS NULL
               AND (bounced_at IS NOT NULL
                    OR (state = 'refused' AND coalesce(last_code, '') NOT IN ('superseded', 'withdrawn')))
             GROUP BY request_id
           )
           SELECT request_id AS "request_id!", reference, kind, origin, state, park_reason, parked_at, received_at, due_on,
                  statutory_due_on, failed_at AS "failed_at?", late.count AS "late?", late.newest AS "newest?",
                  EXISTS (SELECT FROM dsrd.notice
                          WHERE notice.organisation_id = $1 AND notice.request_id = watched.request_id
                            AND kind <> 'breach_notice'
                            AND (state = 'sent' AND bounced_at IS NULL OR made_good_at IS NOT NULL)) AS "confirmed!",
                  EXISTS (SELECT FROM dsrd.extension
                          JOIN dsrd.notice USING (organisation_id, notice_id)
                          WHERE extension.organisation_id = $1 AND extension.request_id = watched.request_id
                            AND notice.bounced_at IS NOT NULL AND notice.made_good_at IS NULL) AS "extension_came_back!",
                  (SELECT declared_at FROM dsrd.incident
                   WHERE incident.organisation_id = $1 AND incident.request_id = watched.request_id AND ended_as IS NULL)
                    AS "declared_at?",
                  (SELECT authority_due_at FROM dsrd.incident
                   WHERE incident.organisation_id = $1 AND incident.request_id = watched.request_id AND ended_as IS NULL)
                    AS "authority_due_at?"
           FROM watched
           JOIN dsrd.request USING (request_id)
           LEFT JOIN failed USING (request_id)
           LEFT JOIN late USING (request_id)
           WHERE organisation_id = $1
           ORDER BY due_on, request_id"#,
        organisation.as_str(),
        today,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("alert.list_watched"))?;
    let unreadable = |column: &str| StoreError::unreadable("alert.list_watched", column);
    rows.into_iter()
        .map(|row| {
            let request = RequestId(row.request_id);
            Ok(Watched {
                request,
                reference: Reference::of(request),
                kind: row.kind.parse().map_err(|_| unreadable("dsrd.request.kind"))?,
                origin: row.origin.parse().map_err(|_| unreadable("dsrd.request.origin"))?,
                state: row.state,
                park_reason: row
                    .park_reason
                    .map(|reason| reason.parse())
                    .transpose()
                    .map_err(|_| unreadable("dsrd.request.park_reason"))?,
                parked_at: row.parked_at,
                received_at: row.received_at,
                due_on: row.due_on,
                statutory_due_on: row.statutory_due_on,
                incident: row
                    .declared_at
                    .map(|declared_at| OpenIncident { declared_at, authority_due_at: row.authority_due_at }),
                recipients_late: match (row.late, row.newest) {
                    (Some(count), Some(newest)) => Some(LateRecipients { count, newest }),
                    _ => None,
                },
                confirmed: row.confirmed,
                notice_failed_at: row.failed_at,
                extension_came_back: row.extension_came_back,
            })
        })
        .collect()
}

/// The holds in force whose date of review came near and did not move on.
pub(in crate::alert) async fn list_due_reviews(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<DueReview>, StoreError> {
    sqlx::query_as!(
        DueReview,
        r#"SELECT hold_id AS hold, reference, owner, review_on, coalesce(reminded_at, placed_at) AS "since!"
           FROM dsrd.hold
           WHERE organisation_id = $1 AND ended_at IS NULL AND reminded_on = review_on
           ORDER BY review_on, hold_id"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("alert.list_due_reviews"))
}

/// When the latest contact was found to be back of those that wait for a person.
pub(in crate::alert) async fn last_came_back(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT max(looked_at)
           FROM dsrd.look
           WHERE organisation_id = $1 AND verdict IN ('back', 'newer_will', 'other_contact') AND settled IS NULL"#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.last_came_back"))
}

/// The latest window since an instant in which more came in than the limits allow at once.
pub(in crate::alert) async fn last_flood(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    since: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT max(window_start)
           FROM dsrd.intake_rate
           WHERE organisation_id = $1 AND window_start >= $2 AND held_back + unacknowledged > 0"#,
        organisation.as_str(),
        since,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.last_flood"))
}

/// When the next retention sweep is due.
pub(in crate::alert) async fn next_sweep(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sqlx::query_scalar!(
        "SELECT next_run_at FROM dsrd.schedule WHERE organisation_id = $1 AND name = 'retention'",
        organisation.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("alert.next_sweep"))
}

/// Since when contacts are past their term without a hold that explains it, or nobody knows whether they are: the last
/// sweep did not get through, wherever it stopped, or an erasure of a sweep waits for a person. One that still runs
/// says nothing; one that began after `now` was begun by a clock that was ahead (F-48).
pub(in crate::alert) async fn past_term_since(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT greatest(
             (SELECT max(coalesce(parked_at, inserted_at))
              FROM dsrd.request
              WHERE organisation_id = $1 AND origin = 'retention' AND state = 'manual'),
             (SELECT last.finished_at
              FROM (SELECT finished_at, state
                    FROM dsrd.sweep
                    WHERE organisation_id = $1 AND started_at <= $2
                    ORDER BY started_at DESC, sweep_id DESC
                    LIMIT 1) AS last
              WHERE last.state IN ('stopped', 'failed'))) AS since"#,
        organisation.as_str(),
        now,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.past_term_since"))
}

/// Where the daily self-test stands: whether the latest run that ended failed, and when the next one is due. The latest
/// is the one that was judged last, by `now`: a clock that was ahead leaves runs of days that are still to come (F-48).
pub(in crate::alert) async fn self_test(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    now: DateTime<Utc>,
) -> Result<SelfTestState, StoreError> {
    sqlx::query_as!(
        SelfTestState,
        r#"SELECT (SELECT CASE WHEN NOT latest.passed THEN latest.settled_at END
                   FROM (SELECT passed, settled_at
                         FROM dsrd.self_test
                         WHERE organisation_id = $1 AND settled_at <= $2
                         ORDER BY settled_at DESC, run_on DESC
                         LIMIT 1) AS latest) AS failed_at,
                  (SELECT next_run_at FROM dsrd.schedule
                   WHERE organisation_id = $1 AND name = 'self_test') AS next_run_at"#,
        organisation.as_str(),
        now,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.self_test"))
}

/// The rows of producers for an organisation that could not become a request; none where there are none. A row that names the
/// future, or no instant, was there when it was parked.
pub(in crate::alert) async fn parked_rows(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Option<ParkedRows>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", max(parked_at) AS newest, min(least(received_at, parked_at)) AS since
           FROM dsrd.intake_parked
           WHERE organisation_id = $1"#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.parked_rows"))?;
    let instants = row.newest.zip(row.since);
    Ok(instants.map(|(newest, running_since)| ParkedRows { count: row.count, newest, running_since }))
}

/// The same for organisations that no daemon on this database serves.
pub(in crate::alert) async fn rows_of_nobody(
    connection: &mut PgConnection,
) -> Result<Option<ParkedRows>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", max(parked_at) AS newest, min(least(received_at, parked_at)) AS since
           FROM dsrd.intake_parked
           WHERE NOT EXISTS (SELECT FROM dsrd.organisation
                             WHERE dsrd.organisation.organisation_id = dsrd.intake_parked.organisation_id)"#,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.rows_of_nobody"))?;
    let instants = row.newest.zip(row.since);
    Ok(instants.map(|(newest, running_since)| ParkedRows { count: row.count, newest, running_since }))
}
