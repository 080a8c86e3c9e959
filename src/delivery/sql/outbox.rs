//! Notices in the outbox: written, looked at, given up, forgotten.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::audit::EntryId;
use crate::delivery::notice::{NewNotice, NoticeId, NoticeKind};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// Writes a pending notice, with its first attempt where `intent` announces it; false when the request has one of that
/// kind already.
pub(in crate::delivery) async fn insert_notice(
    connection: &mut PgConnection,
    (id, round): (NoticeId, i16),
    message_id: &str,
    notice: &NewNotice,
    (sealed_link, sealed_words): (Option<Vec<u8>>, Option<Vec<u8>>),
    intent: Option<EntryId>,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let facts = serde_json::to_value(&notice.facts)
        .map_err(|_| StoreError::unreadable("delivery.enqueue", "dsrd.notice.facts"))?;
    let done = sqlx::query!(
        r#"INSERT INTO dsrd.notice (organisation_id, notice_id, request_id, kind, sender, identifier_no, message_id,
                                    language, facts, sealed_link, sealed_words, enqueued_at, round, intent, attempts,
                                    attempted_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::timestamptz, $13, $14::uuid,
                   ($14 IS NOT NULL)::integer, CASE WHEN $14 IS NOT NULL THEN $12::timestamptz END)
           ON CONFLICT (organisation_id, request_id, kind, round) DO NOTHING"#,
        notice.organisation.as_str(),
        id.0,
        notice.request.0,
        notice.kind.as_str(),
        notice.sender.as_str(),
        notice.recipient_no,
        message_id,
        notice.language,
        facts,
        sealed_link,
        sealed_words,
        at,
        round,
        intent.map(|intent| intent.0),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.enqueue"))?;
    Ok(done.rows_affected() == 1)
}

/// The number that the next notice of a kind has for a request.
pub(in crate::delivery) async fn next_round(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
) -> Result<i16, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT (coalesce(max(round), 0) + 1)::smallint AS "round!"
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2 AND kind = $3"#,
        organisation.as_str(),
        request.0,
        kind.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("delivery.next_round"))
}

/// Gives up the notices of a kind that were not sent, or those of them to one recipient, because nothing of what they ask is needed
/// any more; one whose sending has begun keeps its end.
pub async fn drop_unsent(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
    recipient_no: Option<i16>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'refused', last_code = 'superseded', sealed_link = NULL, claimed_by = NULL
           WHERE organisation_id = $1 AND request_id = $2 AND kind = $3 AND state = 'pending' AND intent IS NULL
             AND ($4::smallint IS NULL OR identifier_no = $4)"#,
        organisation.as_str(),
        request.0,
        kind.as_str(),
        recipient_no,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.drop_unsent"))?;
    Ok(())
}

/// Whether a request has a notice of a kind that is still to be sent.
pub async fn waits_to_be_sent(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.notice
                          WHERE organisation_id = $1 AND request_id = $2 AND kind = $3 AND state = 'pending') AS "waits!""#,
        organisation.as_str(),
        request.0,
        kind.as_str(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("delivery.waits_to_be_sent"))
}

/// Drops an acknowledgement that was not sent, and is not being sent, and that goes to the address of an identifier; false when there
/// is none.
pub(in crate::delivery) async fn supersede_acknowledgement(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    identifier_no: i16,
) -> Result<bool, StoreError> {
    let dropped = sqlx::query!(
        r#"UPDATE dsrd.notice AS notice
           SET state = 'refused', last_code = 'superseded'
           WHERE organisation_id = $1 AND request_id = $2 AND kind IN ('acknowledgement', 'complaint_received')
             AND state = 'pending' AND intent IS NULL
             AND EXISTS (SELECT FROM dsrd.identifier AS own
                         JOIN dsrd.identifier AS other
                           ON other.organisation_id = own.organisation_id AND other.request_id = own.request_id
                              AND other.subject_ref = own.subject_ref
                         WHERE own.organisation_id = notice.organisation_id AND own.request_id = notice.request_id
                           AND own.identifier_no = notice.identifier_no AND other.identifier_no = $3)"#,
        organisation.as_str(),
        request.0,
        identifier_no,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.supersede_acknowledgement"))?;
    Ok(dropped.rows_affected() == 1)
}

/// A notice with what its sending needs.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one request")]
pub(in crate::delivery) struct NoticeRow {
    pub(in crate::delivery) notice_id: Uuid,
    pub(in crate::delivery) sender: String,
    pub(in crate::delivery) identifier_no: i16,
    pub(in crate::delivery) message_id: String,
    pub(in crate::delivery) language: String,
    pub(in crate::delivery) facts: Value,
    pub(in crate::delivery) sealed_link: Option<Vec<u8>>,
    pub(in crate::delivery) sealed_words: Option<Vec<u8>>,
    pub(in crate::delivery) state: String,
    pub(in crate::delivery) attempts: i32,
    pub(in crate::delivery) last_code: Option<String>,
    pub(in crate::delivery) intent: Option<Uuid>,
    pub(in crate::delivery) enqueued_at: DateTime<Utc>,
    pub(in crate::delivery) identifier_kind: String,
    pub(in crate::delivery) sealed_identifier: Vec<u8>,
    pub(in crate::delivery) reference: String,
    pub(in crate::delivery) withdrawn: bool,
    /// The request ended.
    pub(in crate::delivery) closed: bool,
    /// The request ended, and its answer went to the address of this notice's recipient.
    pub(in crate::delivery) answered_there: bool,
    /// A later one of its kind is there, which says the same and carries the link that counts.
    pub(in crate::delivery) superseded: bool,
}

/// Reads and locks the notice of a request: the one that is named, else of several of a kind the latest. One that each recipient has
/// to get ([`NoticeKind::is_owed_to_each`]) takes the place of those to the same one only.
pub(in crate::delivery) async fn lock_notice(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
    notice: Option<Uuid>,
) -> Result<Option<NoticeRow>, StoreError> {
    sqlx::query_as!(
        NoticeRow,
        r#"SELECT notice.notice_id, notice.sender, notice.identifier_no, notice.message_id, notice.language,
                  notice.facts, notice.sealed_link, notice.sealed_words, notice.state, notice.attempts,
                  notice.last_code, notice.intent, notice.enqueued_at, identifier.kind AS identifier_kind,
                  identifier.sealed AS "sealed_identifier!",
                  request.reference, coalesce(request.outcome = 'withdrawn', false) AS "withdrawn!",
                  request.state = 'closed' AS "closed!",
                  request.state = 'closed'
                    AND EXISTS (SELECT FROM dsrd.notice AS answer
                                JOIN dsrd.identifier AS told USING (organisation_id, request_id, identifier_no)
                                WHERE answer.organisation_id = notice.organisation_id
                                  AND answer.request_id = notice.request_id AND answer.sender = 'procedure'
                                  AND told.subject_ref = identifier.subject_ref
                                  AND NOT (answer.state = 'refused' AND answer.last_code IS NOT DISTINCT FROM 'superseded'))
                    AS "answered_there!",
                  EXISTS (SELECT FROM dsrd.notice AS later
                          WHERE later.organisation_id = notice.organisation_id
                            AND later.request_id = notice.request_id AND later.kind = notice.kind
                            AND later.round > notice.round
                            AND (NOT $5 OR later.identifier_no = notice.identifier_no)) AS "superseded!"
           FROM dsrd.notice
           JOIN dsrd.identifier USING (organisation_id, request_id, identifier_no)
           JOIN dsrd.request USING (organisation_id, request_id)
           WHERE notice.organisation_id = $1 AND notice.request_id = $2 AND notice.kind = $3
             AND ($4::uuid IS NULL OR notice.notice_id = $4)
           ORDER BY notice.round DESC
           LIMIT 1
           FOR UPDATE OF notice"#,
        organisation.as_str(),
        request.0,
        kind.as_str(),
        notice,
        kind.is_owed_to_each(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.lock_notice"))
}

/// Writes anew what the text of a notice that was not sent is made from.
pub(in crate::delivery) async fn set_facts(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    notice: Uuid,
    facts: &Value,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.notice SET facts = $3
           WHERE organisation_id = $1 AND notice_id = $2 AND state = 'pending'"#,
        organisation.as_str(),
        notice,
        facts,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.set_facts"))?;
    StoreError::expect_rows("delivery.set_facts", 1, done.rows_affected())
}

/// Gives up a notice that was not sent, and forgets the secret of its link.
pub(in crate::delivery) async fn give_up(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    notice: Uuid,
    code: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'refused', last_code = $3, sealed_link = NULL, claimed_by = NULL
           WHERE organisation_id = $1 AND notice_id = $2 AND state = 'pending'"#,
        organisation.as_str(),
        notice,
        code,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.give_up"))?;
    Ok(())
}

/// Lets the refused notices of a request be tried again, from the beginning, under the same Message-ID.
pub async fn reopen_refused(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'pending', run_at = now(), enqueued_at = $3
           WHERE organisation_id = $1 AND request_id = $2 AND state = 'refused' AND sender = 'procedure'
             AND last_code IS DISTINCT FROM 'superseded'"#,
        organisation.as_str(),
        request.0,
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.reopen_refused"))?;
    Ok(())
}

/// A notice of a request, as staff and auditors see it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct NoticeView {
    /// Its id.
    pub notice: Uuid,
    /// What it says.
    pub kind: String,
    /// `pending`, `sent` or `refused`.
    pub state: String,
    /// The language that the person wished for.
    pub wished_language: String,
    /// Name, language and version of the text that was sent.
    pub template: Option<String>,
    /// SHA-256 of the text that was sent, without the secret of a link and without the controller's own words;
    /// hexadecimal.
    pub text_sha256: Option<String>,
    /// The mail server's last reply code, or why there was none.
    pub last_code: Option<String>,
    /// When the mail server took it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it was reported that it came back.
    pub bounced_at: Option<DateTime<Utc>>,
    /// When the person was told by other means after that.
    pub made_good_at: Option<DateTime<Utc>>,
}

/// The notices of a request, the first one first.
pub async fn notices_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<NoticeView>, StoreError> {
    sqlx::query_as!(
        NoticeView,
        r#"SELECT notice_id AS notice, kind, state, language AS wished_language, template,
                  encode(text_sha256, 'hex') AS text_sha256, last_code, sent_at, bounced_at, made_good_at
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2
           ORDER BY enqueued_at, notice_id"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.notices_of"))
}

/// When the mail server took the notice of a request's outcome; `None` when there is none, or it was not sent.
pub async fn told_at(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT max(sent_at) AS "told_at"
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2 AND sender = 'procedure' AND state = 'sent'"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("delivery.told_at"))
}

/// Whether an answer to a request was sent, or a sending began whose end is not known.
pub async fn answer_may_be_out(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.notice
                          WHERE organisation_id = $1 AND request_id = $2 AND sender = 'procedure'
                            AND (state = 'sent' OR intent IS NOT NULL)) AS "out!""#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("delivery.answer_may_be_out"))
}

/// Whether an answer to a request was written, sent or not; one that a person decided otherwise about does not count.
pub async fn has_answer(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.notice
                          WHERE organisation_id = $1 AND request_id = $2 AND sender = 'procedure'
                            AND NOT (state = 'refused' AND last_code IS NOT DISTINCT FROM 'superseded')) AS "written!""#,
        organisation.as_str(),
        request.0,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("delivery.has_answer"))
}

/// Gives up the answers to a request that were not sent, because a person decided otherwise; they are not opened again.
pub async fn drop_unsent_answers(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'refused', last_code = 'superseded', sealed_link = NULL
           WHERE organisation_id = $1 AND request_id = $2 AND sender = 'procedure' AND state <> 'sent'
             AND intent IS NULL"#,
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.drop_unsent_answers"))?;
    Ok(())
}

/// Gives up a question to the person that was not sent, because it needs no answer any more.
pub async fn drop_unsent_question(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'refused', last_code = 'superseded'
           WHERE organisation_id = $1 AND request_id = $2 AND kind IN ('clarification_request', 'fee') AND state = 'pending'
             AND intent IS NULL"#,
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.drop_unsent_question"))?;
    Ok(())
}

/// Empties the secrets of links that never went out, and the words of refusals, of requests that are forgotten.
pub async fn forget_secrets(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET sealed_link = NULL, sealed_words = NULL
           WHERE organisation_id = $1 AND request_id = ANY ($2)
             AND (sealed_link IS NOT NULL OR sealed_words IS NOT NULL)"#,
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.forget_secrets"))?;
    Ok(())
}

/// Deletes the notices and destroyed packages of requests past their evidence. A package that still has its key makes
/// the whole transaction fail: its file would be left without anybody who knows of it.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.notice WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("delivery.purge"))?;
    sqlx::query!(
        "DELETE FROM dsrd.package WHERE organisation_id = $1 AND request_id = ANY ($2) AND destroyed_at IS NOT NULL",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.purge"))?;
    Ok(())
}
