//! Tables `dsrd.extension` and `dsrd.pause`; the dates of `dsrd.request`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::deadline::{DueDates, PauseCause};
use crate::domain::{OrganisationId, RequestId, RequestKind};
use crate::store::{PgConnection, StoreError};

/// What moves the dates of a request.
pub(super) struct Events {
    pub(super) kind: RequestKind,
    pub(super) received_at: DateTime<Utc>,
    pub(super) extended: bool,
    pub(super) pauses: Vec<(PauseCause, DateTime<Utc>, DateTime<Utc>)>,
}

pub(super) async fn events(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<Events>, StoreError> {
    let unreadable = |what: &str| StoreError::unreadable("intake.events", what);
    // A reminder has the dates of the request that it reminds of.
    let row = sqlx::query!(
        r#"SELECT kind, received_at,
                  EXISTS (SELECT FROM dsrd.extension
                          WHERE extension.organisation_id = request.organisation_id
                            AND extension.request_id = request.request_id) AS "extended!"
           FROM dsrd.request AS request
           WHERE organisation_id = $1 AND request_id = $2 AND reminds_of IS NULL"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(StoreError::during("intake.events"))?;
    let Some(row) = row else { return Ok(None) };
    let pauses = sqlx::query!(
        r#"SELECT cause, asked_at, answered_at
           FROM dsrd.pause
           WHERE organisation_id = $1 AND request_id = $2
           ORDER BY asked_at, pause_id"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.events"))?;
    let pauses = pauses.into_iter().map(|pause| {
        let cause = PauseCause::ALL.into_iter().find(|cause| cause.as_str() == pause.cause);
        Ok((cause.ok_or_else(|| unreadable("pause.cause"))?, pause.asked_at, pause.answered_at))
    });
    Ok(Some(Events {
        kind: row.kind.parse().map_err(|_| unreadable("request.kind"))?,
        received_at: row.received_at,
        extended: row.extended,
        pauses: pauses.collect::<Result<_, StoreError>>()?,
    }))
}

/// Something that moved the dates of a request, for whoever proves that it was answered in time.
#[derive(Clone, Debug, Serialize)]
pub struct ClockEvent {
    /// `pause`, a time of waiting for the person that is over, or `extension`.
    pub event: String,
    /// What was waited for, or why it takes longer.
    pub reason: String,
    /// When the person was asked, or told of the extension.
    pub told_at: DateTime<Utc>,
    /// When they answered.
    pub answered_at: Option<DateTime<Utc>>,
    /// The notice by which.
    pub notice: Uuid,
}

/// What moved the dates of a request, in the order in which it happened.
pub async fn clock_events(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<ClockEvent>, StoreError> {
    sqlx::query_as!(
        ClockEvent,
        r#"SELECT 'pause' AS "event!", cause AS "reason!", asked_at AS "told_at!", answered_at, notice_id AS "notice!"
           FROM dsrd.pause
           WHERE organisation_id = $1 AND request_id = $2
           UNION ALL
           SELECT 'extension', decision.reason, extension.notified_at, NULL, extension.notice_id
           FROM dsrd.extension AS extension
           JOIN dsrd.decision AS decision USING (organisation_id, decision_id)
           WHERE extension.organisation_id = $1 AND extension.request_id = $2
           ORDER BY 3"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.clock_events"))
}

pub(super) async fn set_dates(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    dates: DueDates,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.request
           SET due_on = $3, statutory_due_on = $4
           WHERE organisation_id = $1 AND request_id = $2 AND state <> 'closed'
             AND (due_on, statutory_due_on) IS DISTINCT FROM ($3, $4)"#,
        organisation.as_str(),
        request.0,
        dates.conservative,
        dates.statutory,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.set_dates"))?;
    Ok(())
}

/// What the person was asked last: what they mean, or for a fee.
pub(in crate::intake) async fn asked_last(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<PauseCause, StoreError> {
    let kind = sqlx::query_scalar!(
        r#"SELECT kind
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2 AND kind IN ('clarification_request', 'fee')
           ORDER BY enqueued_at DESC, notice_id DESC
           LIMIT 1"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.asked_last"))?;
    Ok(if kind.as_deref() == Some("fee") { PauseCause::Fee } else { PauseCause::Clarification })
}

/// A question to the person that was taken by the mail server, or the gateway of text messages.
pub(super) struct Asked {
    pub(super) notice: Uuid,
    pub(super) at: DateTime<Utc>,
}

/// When the person was asked for the first time since they answered such a question last: a reminder does not begin the wait
/// anew.
pub(super) async fn find_asked(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    cause: PauseCause,
) -> Result<Option<Asked>, StoreError> {
    let kind = match cause {
        PauseCause::Identity => "identity_request",
        PauseCause::Clarification => "clarification_request",
        PauseCause::Fee => "fee",
    };
    let row = sqlx::query!(
        r#"SELECT notice_id, sent_at AS "sent_at!"
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2 AND kind = $3 AND state = 'sent'
             AND sent_at > coalesce((SELECT max(answered_at)
                                     FROM dsrd.pause
                                     WHERE organisation_id = $1 AND request_id = $2 AND cause = $4), '-infinity')
           ORDER BY sent_at
           LIMIT 1"#,
        organisation.as_str(),
        request.0,
        kind,
        cause.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("intake.find_asked"))?;
    Ok(row.map(|row| Asked { notice: row.notice_id, at: row.sent_at }))
}

pub(super) async fn insert_pause(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    pause: Uuid,
    cause: PauseCause,
    asked: &Asked,
    answered_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.pause (organisation_id, pause_id, request_id, cause, notice_id, asked_at, answered_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)"#,
        organisation.as_str(),
        pause,
        request.0,
        cause.as_str(),
        asked.notice,
        asked.at,
        answered_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.insert_pause"))?;
    Ok(())
}

/// Open requests whose extension was told in time and does not count yet: by the mail server's taking of its notice, as long as that
/// did not come back, or where it came back or was refused, by other means.
pub(super) async fn list_told(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<RequestId>, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT decision.request_id
           FROM dsrd.decision AS decision
           JOIN dsrd.notice AS notice USING (organisation_id, request_id)
           JOIN dsrd.request AS request USING (organisation_id, request_id)
           WHERE decision.organisation_id = $1 AND decision.kind = 'extension' AND notice.kind = 'extension'
             AND CASE WHEN notice.state = 'sent' AND notice.bounced_at IS NULL THEN notice.sent_at ELSE notice.made_good_at END
                 < decision.base_due_at
             AND request.state <> 'closed'
             AND NOT EXISTS (SELECT FROM dsrd.extension
                             WHERE extension.organisation_id = decision.organisation_id
                               AND extension.request_id = decision.request_id)
           LIMIT 100"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("intake.list_told"))?;
    Ok(found.into_iter().map(RequestId).collect())
}

/// Lets an extension count; false when another daemon did, or its case is closed.
pub(super) async fn insert_extension(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        r#"INSERT INTO dsrd.extension (organisation_id, request_id, decision_id, notice_id, base_due_at, notified_at)
           SELECT decision.organisation_id, decision.request_id, decision.decision_id, notice.notice_id,
                  decision.base_due_at,
                  CASE WHEN notice.state = 'sent' AND notice.bounced_at IS NULL THEN notice.sent_at ELSE notice.made_good_at END
           FROM dsrd.decision AS decision
           JOIN dsrd.notice AS notice USING (organisation_id, request_id)
           JOIN dsrd.request AS request USING (organisation_id, request_id)
           WHERE decision.organisation_id = $1 AND decision.request_id = $2 AND decision.kind = 'extension'
             AND notice.kind = 'extension'
             AND CASE WHEN notice.state = 'sent' AND notice.bounced_at IS NULL THEN notice.sent_at ELSE notice.made_good_at END
                 < decision.base_due_at
             AND request.state <> 'closed'
           ON CONFLICT DO NOTHING"#,
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.insert_extension"))?;
    Ok(inserted.rows_affected() == 1)
}

/// Deletes the events of requests past their evidence.
pub(in crate::intake) async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.extension WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("intake.purge_clock"))?;
    sqlx::query!(
        "DELETE FROM dsrd.pause WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("intake.purge_clock"))?;
    Ok(())
}
