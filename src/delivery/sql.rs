//! Tables `dsrd.notice` and `dsrd.package`; reads the recipient from `dsrd.identifier` and the reference from
//! `dsrd.request`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::notice::{NewNotice, NoticeId, NoticeKind};
use super::package::{NewPackage, PackageId};
use crate::audit::EntryId;
use crate::domain::{OrganisationId, RequestId};
use crate::queue::Instance;
use crate::store::StoreError;

/// Writes a pending notice, with its first attempt where `intent` announces it; false when the request has one of that
/// kind already.
pub(super) async fn insert_notice(
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
pub(super) async fn next_round(
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

/// Gives up the notices of a kind that were not sent, because nothing of what they ask is needed any more; one whose sending
/// has begun keeps its end.
pub async fn drop_unsent(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'refused', last_code = 'superseded', sealed_link = NULL, claimed_by = NULL
           WHERE organisation_id = $1 AND request_id = $2 AND kind = $3 AND state = 'pending' AND intent IS NULL"#,
        organisation.as_str(),
        request.0,
        kind.as_str(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.drop_unsent"))?;
    Ok(())
}

/// Gives up a notice that was claimed while a later one of its kind is there.
pub(super) async fn give_up_earlier_round(
    connection: &mut PgConnection,
    claimed: &ClaimRow,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'refused', last_code = 'superseded', sealed_link = NULL, claimed_by = NULL
           WHERE organisation_id = $1 AND notice_id = $2 AND state = 'pending' AND intent IS NULL
             AND EXISTS (SELECT FROM dsrd.notice AS later
                         WHERE later.organisation_id = notice.organisation_id
                           AND later.request_id = notice.request_id AND later.kind = notice.kind
                           AND later.round > notice.round)"#,
        claimed.organisation_id,
        claimed.notice_id,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.give_up_earlier_round"))?;
    Ok(())
}

/// Whether the mail server refused the latest notice of a kind for good.
pub async fn was_refused(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
) -> Result<bool, StoreError> {
    let latest = sqlx::query_scalar!(
        r#"SELECT state = 'refused' AND last_code IS DISTINCT FROM 'superseded' AS "refused!"
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2 AND kind = $3
           ORDER BY round DESC
           LIMIT 1"#,
        organisation.as_str(),
        request.0,
        kind.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.was_refused"))?;
    Ok(latest.unwrap_or(false))
}

/// Drops an acknowledgement of which no sending has begun; false when there is none.
pub(super) async fn supersede_acknowledgement(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    let dropped = sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'refused', last_code = 'superseded'
           WHERE organisation_id = $1 AND request_id = $2 AND kind IN ('acknowledgement', 'complaint_received')
             AND state = 'pending' AND attempts = 0 AND intent IS NULL"#,
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.supersede_acknowledgement"))?;
    Ok(dropped.rows_affected() == 1)
}

/// A notice with what its sending needs.
pub(super) struct NoticeRow {
    pub(super) notice_id: Uuid,
    pub(super) sender: String,
    pub(super) identifier_no: i16,
    pub(super) message_id: String,
    pub(super) language: String,
    pub(super) facts: Value,
    pub(super) sealed_link: Option<Vec<u8>>,
    pub(super) sealed_words: Option<Vec<u8>>,
    pub(super) state: String,
    pub(super) attempts: i32,
    pub(super) last_code: Option<String>,
    pub(super) intent: Option<Uuid>,
    pub(super) enqueued_at: DateTime<Utc>,
    pub(super) identifier_kind: String,
    pub(super) sealed_identifier: Vec<u8>,
    pub(super) reference: String,
    pub(super) withdrawn: bool,
}

/// Reads and locks the notice of a request: of several of a kind the latest.
pub(super) async fn lock_notice(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
) -> Result<Option<NoticeRow>, StoreError> {
    sqlx::query_as!(
        NoticeRow,
        r#"SELECT notice.notice_id, notice.sender, notice.identifier_no, notice.message_id, notice.language,
                  notice.facts, notice.sealed_link, notice.sealed_words, notice.state, notice.attempts,
                  notice.last_code, notice.intent, notice.enqueued_at, identifier.kind AS identifier_kind,
                  identifier.sealed AS "sealed_identifier!",
                  request.reference, coalesce(request.outcome = 'withdrawn', false) AS "withdrawn!"
           FROM dsrd.notice
           JOIN dsrd.identifier USING (organisation_id, request_id, identifier_no)
           JOIN dsrd.request USING (organisation_id, request_id)
           WHERE notice.organisation_id = $1 AND notice.request_id = $2 AND notice.kind = $3
           ORDER BY notice.round DESC
           LIMIT 1
           FOR UPDATE OF notice"#,
        organisation.as_str(),
        request.0,
        kind.as_str(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.lock_notice"))
}

/// Gives up a notice that was not sent.
pub(super) async fn give_up(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    notice: Uuid,
    code: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET state = 'refused', last_code = $3, claimed_by = NULL
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

/// A notice that the mail server took.
pub(super) struct SentRow {
    pub(super) notice_id: Uuid,
    pub(super) kind: String,
    pub(super) bounced: bool,
}

/// Finds and locks the sent notice of a kind, or the one that was sent last.
pub(super) async fn lock_sent(
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
pub(super) async fn set_bounced(
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
pub(super) struct MadeGoodRow {
    pub(super) notice_id: Uuid,
    pub(super) kind: String,
}

/// Marks the failures of a request's notices as made good: what came back, and what was refused and not dropped on
/// purpose.
pub(super) async fn make_good(
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

/// Notes that an attempt begins.
pub(super) async fn begin_attempt(
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
pub(super) async fn end_sent(
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
pub(super) async fn end_unsent(
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

/// Puts a notice off that could not even be attempted.
pub(super) async fn put_off(
    connection: &mut PgConnection,
    organisation: &str,
    notice: Uuid,
    code: &str,
    again: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.notice
           SET last_code = $3, claimed_by = NULL, run_at = now() + make_interval(secs => $4)
           WHERE organisation_id = $1 AND notice_id = $2 AND state = 'pending'"#,
        organisation,
        notice,
        code,
        again.as_secs_f64(),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.put_off"))?;
    Ok(())
}

/// A notice taken for sending in the background.
pub(super) struct ClaimRow {
    pub(super) organisation_id: String,
    pub(super) notice_id: Uuid,
    pub(super) request_id: Uuid,
    pub(super) kind: String,
}

/// Takes up to `most` due notices of the pump for the time `claim`, after which another daemon may take them; earlier if
/// the instance is declared dead.
pub(super) async fn claim_due(
    connection: &mut PgConnection,
    instance: Option<Instance>,
    organisations: &[String],
    most: i64,
    claim: Duration,
) -> Result<Vec<ClaimRow>, StoreError> {
    sqlx::query_as!(
        ClaimRow,
        r#"UPDATE dsrd.notice
           SET run_at = now() + make_interval(secs => $3), claimed_by = $4
           WHERE (organisation_id, notice_id) IN (
             SELECT organisation_id, notice_id
             FROM dsrd.notice
             WHERE state = 'pending' AND sender = 'pump' AND run_at <= now() AND organisation_id = ANY ($1)
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
pub(super) async fn forget_intent(
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
pub(super) struct OpenAttempt {
    pub(super) notice_id: Uuid,
    pub(super) kind: String,
    pub(super) intent: Uuid,
}

/// The same for all attempts of a request's procedure, which it returns.
pub(super) async fn forget_open_attempts(
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

/// Writes the row of a package.
pub(super) async fn insert_package(
    connection: &mut PgConnection,
    package: &NewPackage,
    sealed_identity: &[u8],
    token_sha256: &[u8],
) -> Result<(), StoreError> {
    let bytes = i64::try_from(package.bytes)
        .map_err(|_| StoreError::unreadable("delivery.record_package", "dsrd.package.bytes"))?;
    let done = sqlx::query!(
        r#"INSERT INTO dsrd.package (organisation_id, package_id, request_id, file_name, sealed_identity,
                                     token_sha256, sha256, bytes, manifest, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
        package.organisation.as_str(),
        package.package_id.0,
        package.request.0,
        package.file_name,
        sealed_identity,
        token_sha256,
        package.sha256.as_slice(),
        bytes,
        package.manifest,
        package.created_at,
        package.expires_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.record_package"))?;
    StoreError::expect_rows("delivery.record_package", 1, done.rows_affected())
}

/// A package as read.
pub(super) struct PackageRow {
    pub(super) organisation_id: String,
    pub(super) package_id: Uuid,
    pub(super) request_id: Uuid,
    pub(super) reference: String,
    pub(super) language: String,
    pub(super) file_name: String,
    pub(super) sealed_identity: Option<Vec<u8>>,
    pub(super) sha256: Vec<u8>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) fetched_at: Option<DateTime<Utc>>,
}

/// Finds the package whose link is usable at `at`: neither expired nor locked. One that was begun to be fetched is found as well: whether it may be
/// begun again is for the caller to say.
pub(super) async fn find_by_token(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    most_wrong_answers: i16,
    at: DateTime<Utc>,
) -> Result<Option<PackageRow>, StoreError> {
    sqlx::query_as!(
        PackageRow,
        r#"SELECT package.organisation_id, package.package_id, package.request_id, request.reference, request.language,
                  package.file_name, package.sealed_identity, package.sha256, package.expires_at, package.fetched_at
           FROM dsrd.package
           JOIN dsrd.request USING (organisation_id, request_id)
           WHERE package.token_sha256 = $1 AND package.destroyed_at IS NULL AND package.expires_at > $2
             AND package.wrong_answers < $3"#,
        token_sha256,
        at,
        most_wrong_answers,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.find_by_token"))
}

/// Locks a package against other answers of the hand-over page and says how many were wrong so far.
pub(super) async fn lock_answers(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    package: PackageId,
) -> Result<Option<i16>, StoreError> {
    sqlx::query_scalar!(
        "SELECT wrong_answers FROM dsrd.package WHERE organisation_id = $1 AND package_id = $2 FOR UPDATE",
        organisation.as_str(),
        package.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.lock_answers"))
}

/// Counts a wrong answer.
pub(super) async fn count_wrong_answer(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    package: PackageId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.package SET wrong_answers = wrong_answers + 1
           WHERE organisation_id = $1 AND package_id = $2"#,
        organisation.as_str(),
        package.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.count_wrong_answer"))?;
    StoreError::expect_rows("delivery.count_wrong_answer", 1, done.rows_affected())
}

/// The pseudonyms of what a request was made with, and of the address to which its answer goes.
pub(super) async fn list_proofs(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<Vec<u8>>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT subject_ref
           FROM dsrd.identifier
           WHERE organisation_id = $1 AND request_id = $2 AND role IN ('given', 'contact_point')"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.list_proofs"))
}

/// Marks a package as fetched. Of several that do so at once exactly one gets true. `again` lets a download that broke
/// off begin once more; it names the beginning on record.
pub(super) async fn redeem(
    connection: &mut PgConnection,
    token_sha256: &[u8],
    again: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.package
           SET fetched_at = coalesce(fetched_at, $2)
           WHERE token_sha256 = $1 AND destroyed_at IS NULL AND expires_at > $2
             AND fetched_at IS NOT DISTINCT FROM $3"#,
        token_sha256,
        at,
        again,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("delivery.redeem"))?;
    Ok(done.rows_affected() == 1)
}

/// Forgets the secret of a link for good.
pub(super) async fn end_link(connection: &mut PgConnection, package: PackageId) -> Result<(), StoreError> {
    sqlx::query!(r#"UPDATE dsrd.package SET token_sha256 = NULL WHERE package_id = $1"#, package.0)
        .execute(connection)
        .await
        .map_err(StoreError::during("delivery.end_link"))?;
    Ok(())
}

/// The package of a request, if it was not destroyed.
pub(super) async fn find_of_request(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<PackageRow>, StoreError> {
    sqlx::query_as!(
        PackageRow,
        r#"SELECT package.organisation_id, package.package_id, package.request_id, request.reference, request.language,
                  package.file_name, package.sealed_identity, package.sha256, package.expires_at, package.fetched_at
           FROM dsrd.package
           JOIN dsrd.request USING (organisation_id, request_id)
           WHERE package.organisation_id = $1 AND package.request_id = $2 AND package.destroyed_at IS NULL"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("delivery.find_package"))
}

/// A package whose key was destroyed just now.
pub(super) struct DestroyedRow {
    pub(super) organisation_id: String,
    pub(super) package_id: Uuid,
    pub(super) request_id: Uuid,
    pub(super) file_name: String,
    pub(super) fetched: bool,
}

/// Destroys the keys and links of up to `most` packages that expired at `at`.
pub(super) async fn destroy_keys(
    connection: &mut PgConnection,
    at: DateTime<Utc>,
    most: i64,
) -> Result<Vec<DestroyedRow>, StoreError> {
    sqlx::query_as!(
        DestroyedRow,
        r#"UPDATE dsrd.package
           SET sealed_identity = NULL, token_sha256 = NULL, destroyed_at = $1
           WHERE package_id IN (
             SELECT package_id
             FROM dsrd.package
             JOIN dsrd.request USING (organisation_id, request_id)
             WHERE destroyed_at IS NULL
               AND (outcome IN ('refused', 'withdrawn') OR (expires_at <= $1 AND state <> 'manual'))
             ORDER BY expires_at
             LIMIT $2
             FOR UPDATE OF package SKIP LOCKED)
           RETURNING organisation_id, package_id, request_id, file_name, fetched_at IS NOT NULL AS "fetched!""#,
        at,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("delivery.destroy_keys"))
}

/// The names of the files of packages that are not destroyed.
pub(super) async fn living_files(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(r#"SELECT file_name FROM dsrd.package WHERE destroyed_at IS NULL"#)
        .fetch_all(connection)
        .await
        .map_err(StoreError::during("delivery.living_files"))
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
