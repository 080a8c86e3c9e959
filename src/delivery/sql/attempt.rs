//! Attempts to send a notice, their claims and ends, and what came back afterwards.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::audit::EntryId;
use crate::delivery::notice::NoticeKind;
use crate::domain::{OrganisationId, RequestId};
use crate::queue::Instance;
use crate::store::{PgConnection, StoreError};

/// A notice that the mail server took.
pub(in crate::delivery) struct SentRow {
    pub(in crate::delivery) notice_id: Uuid,
    pub(in crate::delivery) kind: String,
    pub(in crate::delivery) bounced: bool,
}

/// Finds and locks the sent notice of a kind, or the one that was sent last.
pub(in crate::delivery) async fn lock_sent(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: Option<NoticeKind>,
) -> Result<Option<SentRow>, StoreError> {
    sqlx::query_as!(
        SentRow,
        r#"SELECT notice_id, kind, bounced_at IS NOT NULL AS "bounced!"
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2 AND state = 'sent' AND ($3::text IS NULL OR kind = $3)
           ORDER BY sent_at DESC, notice_id DESC
           LIMIT 1
           FOR UPDATE"#,
        organisation.as_str(),
        request.0,
        kind.map(NoticeKind::as_str),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.lock_sent"))
}

/// Marks a sent notice as come back.
pub(in crate::delivery) async fn set_bounced(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    notice: Uuid,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.notice
           SET bounced_at = $3
           WHERE organisation_id = $1 AND notice_id = $2 AND state = 'sent' AND bounced_at IS NULL"#,
        organisation.as_str(),
        notice,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.set_bounced"))?;
    StoreError::expect_rows("delivery.set_bounced", 1, done.rows_affected())
}

/// A notice whose failure was made good just now.
pub(in crate::delivery) struct MadeGoodRow {
    pub(in crate::delivery) notice_id: Uuid,
    pub(in crate::delivery) kind: String,
}

/// Marks the failures of a request's notices as made good: what came back, and what was refused and not dropped on
/// purpose.
pub(in crate::delivery) async fn make_good(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    at: DateTime<Utc>,
) -> Result<Vec<MadeGoodRow>, StoreError> {
    sqlx::query_as!(
        MadeGoodRow,
        r#"UPDATE dsrd.notice
           SET made_good_at = $3
           WHERE organisation_id = $1 AND request_id = $2 AND made_good_at IS NULL
             AND (bounced_at IS NOT NULL
                  OR (state = 'refused' AND coalesce(last_code, '') NOT IN ('superseded', 'withdrawn')))
           RETURNING notice_id, kind"#,
        organisation.as_str(),
        request.0,
        at,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.make_good"))
}

/// Notes that an attempt begins.
pub(in crate::delivery) async fn begin_attempt(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    notice: Uuid,
    intent: EntryId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.notice
           SET attempts = attempts + 1, attempted_at = $3, intent = $4
           WHERE organisation_id = $1 AND notice_id = $2 AND state = 'pending'"#,
        organisation.as_str(),
        notice,
        at,
        intent.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.begin_attempt"))?;
    StoreError::expect_rows("delivery.begin_attempt", 1, done.rows_affected())
}

/// Notes that the mail server took the message; false when another attempt took the notice over.
#[expect(clippy::too_many_arguments, reason = "one column each")]
pub(in crate::delivery) async fn end_sent(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    notice: Uuid,
    intent: EntryId,
    template: &str,
    text_sha256: &[u8],
    code: &str,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'sent', sent_at = $4, template = $5, text_sha256 = $6, last_code = $7, intent = NULL,
               sealed_link = NULL, claimed_by = NULL
           WHERE organisation_id = $1 AND notice_id = $2 AND intent = $3 AND state = 'pending'"#,
        organisation.as_str(),
        notice,
        intent.0,
        at,
        template,
        text_sha256,
        code,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.end_attempt"))?;
    Ok(done.rows_affected() == 1)
}

/// Notes that an attempt failed, for good (`refused`) or until `again`; false when another attempt took over. The wait
/// is counted by the database's clock, on which several daemons agree.
pub(in crate::delivery) async fn end_unsent(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    notice: Uuid,
    intent: EntryId,
    code: &str,
    refused: bool,
    again: Duration,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = CASE WHEN $5 THEN 'refused' ELSE 'pending' END, last_code = $4, intent = NULL,
               claimed_by = NULL, run_at = now() + make_interval(secs => $6)
           WHERE organisation_id = $1 AND notice_id = $2 AND intent = $3 AND state = 'pending'"#,
        organisation.as_str(),
        notice,
        intent.0,
        code,
        refused,
        again.as_secs_f64(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.end_attempt"))?;
    Ok(done.rows_affected() == 1)
}

/// Puts a notice off that could not even be attempted, and returns since when it waits, where the end of no attempt is open.
pub(in crate::delivery) async fn put_off(
    connection: &mut PgConnection,
    organisation: &str,
    notice: Uuid,
    code: &str,
    again: Duration,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let since = sqlx::query_scalar!(
        r#"UPDATE dsrd.notice
           SET last_code = $3, claimed_by = NULL, run_at = now() + make_interval(secs => $4)
           WHERE organisation_id = $1 AND notice_id = $2 AND state = 'pending'
           RETURNING CASE WHEN intent IS NULL THEN enqueued_at END AS since"#,
        organisation,
        notice,
        code,
        again.as_secs_f64(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.put_off"))?;
    Ok(since.flatten())
}

/// A notice taken for sending in the background.
pub(in crate::delivery) struct ClaimRow {
    pub(in crate::delivery) organisation_id: String,
    pub(in crate::delivery) notice_id: Uuid,
    pub(in crate::delivery) request_id: Uuid,
    pub(in crate::delivery) kind: String,
}

/// Takes up to `most` due notices of the pump for the time `claim`, after which another daemon may take them; earlier
/// if the instance is declared dead. What waits for more than the `longest` wait was put off, or enqueued, while the
/// database's clock was ahead (F-48), and is due.
pub(in crate::delivery) async fn claim_due(
    connection: &mut PgConnection,
    instance: Option<Instance>,
    organisations: &[String],
    most: i64,
    (claim, longest): (Duration, Duration),
) -> Result<Vec<ClaimRow>, StoreError> {
    sqlx::query_as!(
        ClaimRow,
        r#"UPDATE dsrd.notice
           SET run_at = now() + make_interval(secs => $3), claimed_by = $4
           WHERE (organisation_id, notice_id) IN (
             SELECT organisation_id, notice_id
             FROM dsrd.notice
             WHERE state = 'pending' AND sender = 'pump' AND organisation_id = ANY ($1)
               AND (run_at <= now() OR run_at > now() + make_interval(secs => $5))
               AND ($4::bigint IS NULL
                    OR EXISTS (SELECT FROM dsrd.instance WHERE instance_id = $4 AND dead_at IS NULL))
             ORDER BY run_at
             LIMIT $2
             FOR UPDATE SKIP LOCKED)
           RETURNING organisation_id, notice_id, request_id, kind"#,
        organisations,
        most,
        claim.as_secs_f64(),
        instance.map(|instance| instance.0),
        longest.as_secs_f64(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.claim_due"))
}

/// Makes the notices that dead instances had claimed due at once, and returns how many: what they were about to send is
/// sent by another daemon, under the same Message-ID.
pub async fn take_back_claims(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let taken_back = sqlx::query!(
        r#"UPDATE dsrd.notice
           SET claimed_by = NULL, run_at = now()
           WHERE state = 'pending'
             AND claimed_by IN (SELECT instance_id FROM dsrd.instance WHERE dead_at IS NOT NULL)"#,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.take_back_claims"))?;
    Ok(taken_back.rows_affected())
}

/// Notes that the end of an attempt stands in the log although nobody saw it.
pub(in crate::delivery) async fn forget_intent(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    notice: Uuid,
    intent: Uuid,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.notice
           SET intent = NULL
           WHERE organisation_id = $1 AND notice_id = $2 AND intent = $3"#,
        organisation.as_str(),
        notice,
        intent,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.forget_intent"))?;
    StoreError::expect_rows("delivery.forget_intent", 1, done.rows_affected())
}

/// An attempt that was announced and whose end is not recorded.
pub(in crate::delivery) struct OpenAttempt {
    pub(in crate::delivery) notice_id: Uuid,
    pub(in crate::delivery) kind: String,
    pub(in crate::delivery) intent: Uuid,
}

/// The same for all attempts of a request's procedure, which it returns.
pub(in crate::delivery) async fn forget_open_attempts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<OpenAttempt>, StoreError> {
    sqlx::query_as!(
        OpenAttempt,
        r#"WITH open AS (
             SELECT notice_id, kind, intent
             FROM dsrd.notice
             WHERE organisation_id = $1 AND request_id = $2 AND sender = 'procedure' AND intent IS NOT NULL
             FOR UPDATE
           )
           UPDATE dsrd.notice
           SET intent = NULL
           FROM open
           WHERE notice.organisation_id = $1 AND notice.notice_id = open.notice_id
           RETURNING open.notice_id, open.kind, open.intent AS "intent!""#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.forget_open_attempts"))
}
