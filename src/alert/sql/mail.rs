//! Table `dsrd.staff_mail`: mails to staff, until they are sent.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::alert::letter::Letter;
use crate::alert::watch::Kind;
use crate::audit::EntryId;
use crate::domain::{OrganisationId, StaffRole};
use crate::store::{PgConnection, StoreError};

/// Puts a mail into the outbox; without words it stands for a digest that had nothing to tell. False when there is a
/// digest of that day already.
pub(in crate::alert) async fn insert_mail(
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
pub(in crate::alert) async fn has_digest(
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

/// A mail taken for sending.
pub(in crate::alert) struct MailRow {
    pub(in crate::alert) organisation_id: String,
    pub(in crate::alert) mail_id: Uuid,
    pub(in crate::alert) kind: String,
    pub(in crate::alert) role: String,
    pub(in crate::alert) message_id: String,
    pub(in crate::alert) subject: String,
    pub(in crate::alert) body: String,
    pub(in crate::alert) attempts: i32,
    pub(in crate::alert) intent: Option<Uuid>,
    pub(in crate::alert) enqueued_at: DateTime<Utc>,
}

/// Takes one due mail for the time `claim`, after which another daemon may take it. What waits for more than the
/// `longest` wait was put off, or written, while the database's clock was ahead (F-48), and is due.
pub(in crate::alert) async fn claim_mail(
    connection: &mut PgConnection,
    organisations: &[String],
    claim: Duration,
    longest: Duration,
) -> Result<Option<MailRow>, StoreError> {
    sqlx::query_as!(
        MailRow,
        r#"UPDATE dsrd.staff_mail
           SET run_at = now() + make_interval(secs => $2)
           WHERE (organisation_id, mail_id) IN (
             SELECT organisation_id, mail_id
             FROM dsrd.staff_mail
             WHERE state = 'pending' AND organisation_id = ANY ($1)
               AND (run_at <= now() OR run_at > now() + make_interval(secs => $3))
             ORDER BY run_at
             LIMIT 1
             FOR UPDATE SKIP LOCKED)
           RETURNING organisation_id, mail_id, kind, role, message_id, subject, body, attempts, intent, enqueued_at"#,
        organisations,
        claim.as_secs_f64(),
        longest.as_secs_f64(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("alert.claim_mail"))
}

/// Notes that an attempt begins; false when another daemon began one since the mail was read.
pub(in crate::alert) async fn begin_mail(
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

/// A mail whose attempt was announced and has no end.
pub(in crate::alert) struct Abandoned {
    pub(in crate::alert) mail_id: Uuid,
    pub(in crate::alert) kind: String,
    pub(in crate::alert) role: String,
    pub(in crate::alert) intent: Uuid,
}

/// Takes the announced attempts off the mails of an organisation: whoever is still at one finds that it is no longer theirs to end.
pub(in crate::alert) async fn abandon_mails(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<Abandoned>, StoreError> {
    sqlx::query_as!(
        Abandoned,
        r#"WITH abandoned AS MATERIALIZED (
             SELECT mail_id, kind, role, intent
             FROM dsrd.staff_mail
             WHERE organisation_id = $1 AND intent IS NOT NULL
             ORDER BY mail_id
             FOR UPDATE)
           UPDATE dsrd.staff_mail AS mail
           SET intent = NULL
           FROM abandoned
           WHERE mail.organisation_id = $1 AND mail.mail_id = abandoned.mail_id
           RETURNING abandoned.mail_id, abandoned.kind, abandoned.role, abandoned.intent AS "intent!""#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("alert.abandon_mails"))
}

/// Notes how an attempt ended; false when another one took the mail over, and then writes its end.
pub(in crate::alert) async fn end_mail(
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
