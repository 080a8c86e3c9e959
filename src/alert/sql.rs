//! Tables `dsrd.alert`, `dsrd.staff_mail` and `dsrd.figures_watch`; reads what is watched from `dsrd.request`, `dsrd.notice`,
//! `dsrd.look`, `dsrd.intake_rate`, `dsrd.sweep`, `dsrd.schedule`, `dsrd.self_test`, `dsrd.platform_watch` and
//! `dsrd.intake_parked`.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::letter::Letter;
use super::list::ListedAlert;
use super::rule::{Cause, DueReview, FiguresState, LateRecipients, OpenIncident, SelfTestState, Watched};
use super::watch::Kind;
use crate::audit::EntryId;
use crate::domain::{OrganisationId, Reference, RequestId, StaffRole};
use crate::store::StoreError;

/// What is watched of an organisation: open requests of people, sweeps' erasures that could not be verified, requests whose
/// person was not told although a notice was sent or had to be, those that led to a breach, and those whose recipients have
/// not answered by `today`.
pub(super) async fn list_watched(
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
           SELECT request_id AS "request_id!", reference, kind, origin, state, park_reason, received_at, due_on,
                  statutory_due_on, failed_at AS "failed_at?", late.count AS "late?", late.newest AS "newest?",
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
                notice_failed_at: row.failed_at,
            })
        })
        .collect()
}

/// The holds in force whose date of review came near and did not move on.
pub(super) async fn list_due_reviews(
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

/// What an alert is about, beside the platform.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) request: Option<RequestId>,
    pub(super) hold: Option<Uuid>,
}

/// Raises an alert; false when it was raised that day, or acknowledged since its cause began.
pub(super) async fn insert_alert(
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
               AND acknowledged_at IS NOT NULL AND ($8::timestamptz IS NULL OR raised_at >= $8))
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

/// When the latest contact was found to be back of those that wait for a person.
pub(super) async fn last_came_back(
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
pub(super) async fn last_flood(
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
pub(super) async fn next_sweep(
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

/// Since when contacts are past their term without a hold that explains it: the last sweep did not get through, or an erasure
/// of a sweep waits for a person.
pub(super) async fn past_term_since(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT greatest(
             (SELECT max(inserted_at)
              FROM dsrd.request
              WHERE organisation_id = $1 AND origin = 'retention' AND state = 'manual'),
             (SELECT last.finished_at
              FROM (SELECT finished_at, state, candidates
                    FROM dsrd.sweep
                    WHERE organisation_id = $1 AND finished_at IS NOT NULL
                    ORDER BY started_at DESC, sweep_id DESC
                    LIMIT 1) AS last
              WHERE last.state IN ('stopped', 'failed') AND last.candidates > 0)) AS since"#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.past_term_since"))
}

/// Where the daily self-test stands: whether the latest run that ended failed, and when the next one is due.
pub(super) async fn self_test(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<SelfTestState, StoreError> {
    sqlx::query_as!(
        SelfTestState,
        r#"SELECT (SELECT CASE WHEN NOT latest.passed THEN latest.settled_at END
                   FROM (SELECT passed, settled_at
                         FROM dsrd.self_test
                         WHERE organisation_id = $1 AND settled_at IS NOT NULL
                         ORDER BY run_on DESC
                         LIMIT 1) AS latest) AS failed_at,
                  (SELECT next_run_at FROM dsrd.schedule
                   WHERE organisation_id = $1 AND name = 'self_test') AS next_run_at"#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.self_test"))
}

/// Takes the counting of a day for the caller's transaction; false when it was counted that day.
pub(super) async fn claim_figures(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
) -> Result<bool, StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.figures_watch AS known (organisation_id, counted_on)
           VALUES ($1, $2)
           ON CONFLICT (organisation_id) DO UPDATE
           SET counted_on = excluded.counted_on
           WHERE known.counted_on < excluded.counted_on"#,
        organisation.as_str(),
        today,
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::during("alert.claim_figures"))
}

/// Records which figures are worse than wanted. Since when, stands until they are not.
pub(super) async fn set_figures(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    (extended, late): (bool, bool),
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.figures_watch
           SET extended_since = CASE WHEN $2 THEN coalesce(extended_since, $4) END,
               late_since = CASE WHEN $3 THEN coalesce(late_since, $4) END
           WHERE organisation_id = $1"#,
        organisation.as_str(),
        extended,
        late,
        at,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("alert.set_figures"))
}

/// Since when which figures are worse than wanted, as last counted.
pub(super) async fn figures_state(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<FiguresState, StoreError> {
    let found = sqlx::query_as!(
        FiguresState,
        "SELECT extended_since, late_since FROM dsrd.figures_watch WHERE organisation_id = $1",
        organisation.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("alert.figures_state"))?;
    Ok(found.unwrap_or_default())
}

/// Puts a mail into the outbox; without words it stands for a digest that had nothing to tell. False when there is a
/// digest of that day already.
pub(super) async fn insert_mail(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    (kind, role): (Kind, StaffRole),
    raised_on: NaiveDate,
    letter: Option<&Letter>,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let id = Uuid::now_v7();
    // As of notices: unique by the id alone, and nobody's domain.
    let message_id = format!("<{id}@{organisation}.dsrd.invalid>");
    let done = sqlx::query!(
        r#"INSERT INTO dsrd.staff_mail (organisation_id, mail_id, kind, role, raised_on, message_id, subject, body, state,
                                        enqueued_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           ON CONFLICT DO NOTHING"#,
        organisation.as_str(),
        id,
        kind.as_str(),
        role.as_str(),
        raised_on,
        message_id,
        letter.map_or("", |letter| letter.subject.as_str()),
        letter.map_or("", |letter| letter.body.as_str()),
        if letter.is_some() { "pending" } else { "skipped" },
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("alert.insert_mail"))?;
    Ok(done.rows_affected() == 1)
}

/// Whether the digest of a day exists, or had nothing to tell.
pub(super) async fn has_digest(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    role: StaffRole,
    day: NaiveDate,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.staff_mail
                          WHERE organisation_id = $1 AND role = $2 AND raised_on = $3 AND kind = 'digest') AS "has!""#,
        organisation.as_str(),
        role.as_str(),
        day,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.has_digest"))
}

/// How many requests of a kind ended in one way.
pub(super) struct EndedRow {
    pub(super) kind: String,
    pub(super) outcome: String,
    pub(super) count: i64,
}

/// What of people's requests ended from one instant until before another.
pub(super) async fn count_ended(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<EndedRow>, StoreError> {
    sqlx::query_as!(
        EndedRow,
        r#"SELECT kind, outcome AS "outcome!", count(*) AS "count!"
           FROM dsrd.request
           WHERE organisation_id = $1 AND origin = 'subject' AND closed_at >= $2 AND closed_at < $3
           GROUP BY kind, outcome
           ORDER BY kind, outcome"#,
        organisation.as_str(),
        from,
        to,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("alert.count_ended"))
}

/// How many rows of producers could not become a request.
pub(super) async fn count_parked_rows(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM dsrd.intake_parked WHERE organisation_id = $1"#,
        organisation.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.count_parked_rows"))
}

/// How many notices were sent in another language than the one wished for.
pub(super) async fn count_fallbacks(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM dsrd.notice
           WHERE organisation_id = $1 AND sent_at >= $2 AND sent_at < $3
             AND split_part(template, '/', 2) <> split_part(language, '-', 1)"#,
        organisation.as_str(),
        from,
        to,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("alert.count_fallbacks"))
}

/// A mail taken for sending.
pub(super) struct MailRow {
    pub(super) organisation_id: String,
    pub(super) mail_id: Uuid,
    pub(super) kind: String,
    pub(super) role: String,
    pub(super) message_id: String,
    pub(super) subject: String,
    pub(super) body: String,
    pub(super) attempts: i32,
    pub(super) intent: Option<Uuid>,
    pub(super) enqueued_at: DateTime<Utc>,
}

/// Takes one due mail for the time `claim`, after which another daemon may take it.
pub(super) async fn claim_mail(
    connection: &mut PgConnection,
    organisations: &[String],
    claim: Duration,
) -> Result<Option<MailRow>, StoreError> {
    sqlx::query_as!(
        MailRow,
        r#"UPDATE dsrd.staff_mail
           SET run_at = now() + make_interval(secs => $2)
           WHERE (organisation_id, mail_id) IN (
             SELECT organisation_id, mail_id
             FROM dsrd.staff_mail
             WHERE state = 'pending' AND run_at <= now() AND organisation_id = ANY ($1)
             ORDER BY run_at
             LIMIT 1
             FOR UPDATE SKIP LOCKED)
           RETURNING organisation_id, mail_id, kind, role, message_id, subject, body, attempts, intent, enqueued_at"#,
        organisations,
        claim.as_secs_f64(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("alert.claim_mail"))
}

/// Notes that an attempt begins; false when another daemon began one since the mail was read.
pub(super) async fn begin_mail(
    connection: &mut PgConnection,
    row: &MailRow,
    intent: EntryId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.staff_mail
           SET attempts = attempts + 1, intent = $3
           WHERE organisation_id = $1 AND mail_id = $2 AND state = 'pending' AND intent IS NOT DISTINCT FROM $4"#,
        row.organisation_id,
        row.mail_id,
        intent.0,
        row.intent,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("alert.begin_mail"))?;
    Ok(done.rows_affected() == 1)
}

/// Notes how an attempt ended; false when another one took the mail over, and then writes its end.
pub(super) async fn end_mail(
    connection: &mut PgConnection,
    row: &MailRow,
    intent: EntryId,
    state: &str,
    code: &str,
    again: Duration,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.staff_mail
           SET state = $4, last_code = $5, intent = NULL, run_at = now() + make_interval(secs => $6),
               sent_at = CASE WHEN $4 = 'sent' THEN $7::timestamptz END
           WHERE organisation_id = $1 AND mail_id = $2 AND intent = $3 AND state = 'pending'"#,
        row.organisation_id,
        row.mail_id,
        intent.0,
        state,
        code,
        again.as_secs_f64(),
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("alert.end_mail"))?;
    Ok(done.rows_affected() == 1)
}

/// Lists causes, each once, the newest first.
pub(super) async fn list_alerts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    all: bool,
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
                      AND alert.raised_on = (SELECT max(raised_on) FROM dsrd.alert WHERE organisation_id = $1)
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
                                WHEN alert.rule IN ('flood', 'sweep_missed', 'past_term', 'self_test_failed') THEN true
                                WHEN alert.rule = 'often_extended'
                                THEN EXISTS (SELECT FROM dsrd.figures_watch
                                             WHERE organisation_id = $1 AND extended_since IS NOT NULL)
                                WHEN alert.rule = 'often_late'
                                THEN EXISTS (SELECT FROM dsrd.figures_watch
                                             WHERE organisation_id = $1 AND late_since IS NOT NULL)
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
pub(super) struct AcknowledgedRow {
    pub(super) alert_id: Uuid,
    pub(super) rule: String,
    pub(super) request_id: Option<Uuid>,
}

/// Acknowledges the cause of one alert, or all causes of a request, with every day on which they were told.
pub(super) async fn acknowledge(
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

/// Deletes mails to staff that were written before an instant and are not waiting, and the alerts about platforms from
/// before it. Alerts about a request go with its case.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    before: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM dsrd.staff_mail WHERE organisation_id = $1 AND state <> 'pending' AND enqueued_at < $2",
        organisation.as_str(),
        before,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("alert.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.alert WHERE organisation_id = $1 AND request_id IS NULL AND raised_at < $2",
        organisation.as_str(),
        before,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("alert.purge"))?;
    Ok(())
}
