//! Table `dsrd.recipient_task`.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::settings::ChannelKind;
use super::task::{GiveUpReason, TaskAction, TaskState};
use crate::domain::{ContactId, OrganisationId, RequestId, SubjectRef};
use crate::store::{PgConnection, StoreError};

/// A task to be written.
pub(super) struct NewTask<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) request: RequestId,
    pub(super) task: Uuid,
    pub(super) recipient: &'a str,
    pub(super) action: TaskAction,
    pub(super) categories: &'a [String],
    pub(super) channel: ChannelKind,
    pub(super) sealed_object: Option<Vec<u8>>,
    /// Of an erasure: the pseudonym of the object, which stays when that is forgotten.
    pub(super) object_ref: Option<SubjectRef>,
    pub(super) answer_by: NaiveDate,
    pub(super) at: DateTime<Utc>,
}

/// Writes a task; false when the recipient has one of this request and action already: of a restriction, of the same one, for each
/// that ended begins another round.
pub(super) async fn insert(connection: &mut PgConnection, new: NewTask<'_>) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        r#"INSERT INTO dsrd.recipient_task (organisation_id, task_id, request_id, recipient, action, categories, channel,
             sealed_object, answer_by, created_at, object_ref, round)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
                   (SELECT count(*)::smallint FROM dsrd.recipient_task AS ended
                    WHERE ended.organisation_id = $1 AND ended.request_id = $3 AND ended.recipient = $4
                      AND ended.action = 'release' AND $5 IN ('restrict', 'release')))
           ON CONFLICT (organisation_id, request_id, recipient, action, round) DO NOTHING"#,
        new.organisation.as_str(),
        new.task,
        new.request.0,
        new.recipient,
        new.action.as_str(),
        new.categories,
        new.channel.as_str(),
        new.sealed_object,
        new.answer_by,
        new.at,
        new.object_ref.as_ref().map(|object| object.as_bytes().as_slice()),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("recipients.insert"))?;
    Ok(inserted.rows_affected() == 1)
}

/// A recipient that was told of a restriction.
pub(super) struct Restricted {
    pub(super) task: Uuid,
    pub(super) recipient: String,
    pub(super) categories: Vec<String>,
    pub(super) sealed_object: Option<Vec<u8>>,
    pub(super) created_at: DateTime<Utc>,
}

/// Those that were told, or are to be told, of the restriction of a request, and not yet of its end. One that was never told needs
/// not hear of its end, and is told in its turn all the same: its order may be on the way.
pub(super) async fn restricted(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Vec<Restricted>, StoreError> {
    sqlx::query_as!(
        Restricted,
        r#"SELECT task_id AS task, recipient, categories, sealed_object, created_at
           FROM dsrd.recipient_task AS restriction
           WHERE organisation_id = $1 AND request_id = $2 AND action = 'restrict'
             AND NOT EXISTS (SELECT FROM dsrd.recipient_task AS ended
                             WHERE ended.organisation_id = restriction.organisation_id
                               AND ended.request_id = restriction.request_id
                               AND ended.recipient = restriction.recipient
                               AND ended.action = 'release' AND ended.round = restriction.round)
           ORDER BY recipient"#,
        organisation.as_str(),
        request.0,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("recipients.restricted"))
}

/// Whether a recipient was told since then, or is to be told, to erase its copy of a contact. A task of an earlier program knows that
/// by its case only, as long as this names its contact.
pub(super) async fn is_told_to_erase(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    recipient: &str,
    (contact, object): (&ContactId, SubjectRef),
    since: DateTime<Utc>,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT
                          FROM dsrd.recipient_task AS task
                          JOIN dsrd.request AS erasure USING (organisation_id, request_id)
                          WHERE task.organisation_id = $1 AND task.recipient = $2 AND task.action = 'erase'
                            AND task.created_at >= $4 AND (task.object_ref = $5 OR erasure.contact_id = $3)) AS "told!""#,
        organisation.as_str(),
        recipient,
        contact.as_str(),
        since,
        object.as_bytes().as_slice(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("recipients.is_told_to_erase"))
}

/// A task as shown to people, without the object.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    /// Its id, which the recipient got, too.
    pub task: Uuid,
    /// Of which request.
    pub request: RequestId,
    /// Short name of the recipient.
    pub recipient: String,
    /// What it is asked to do.
    pub action: TaskAction,
    /// Of which sections.
    pub categories: Vec<String>,
    /// How it is told, by its word.
    pub channel: String,
    /// Where it stands.
    pub state: TaskState,
    /// Why it was given up, by its word.
    pub reason: Option<String>,
    /// By when an answer is expected.
    pub answer_by: NaiveDate,
    /// Whether it is open although that day is past.
    pub overdue: bool,
    /// How often it was sent or tried.
    pub attempts: i32,
    /// What the recipient's server last answered, or why there was no answer.
    pub last_code: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was told.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether the object that is meant is still held, so that it can be told.
    pub object_held: bool,
}

struct TaskRow {
    task_id: Uuid,
    request_id: Uuid,
    recipient: String,
    action: String,
    categories: Vec<String>,
    channel: String,
    state: String,
    reason: Option<String>,
    answer_by: NaiveDate,
    attempts: i32,
    last_code: Option<String>,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    object_held: bool,
}

impl TaskRow {
    fn read(self, today: NaiveDate) -> Result<Task, StoreError> {
        let state = state_of(&self.state)?;
        Ok(Task {
            task: self.task_id,
            request: RequestId(self.request_id),
            recipient: self.recipient,
            action: action_of(&self.action)?,
            categories: self.categories,
            channel: self.channel,
            state,
            reason: self.reason,
            answer_by: self.answer_by,
            overdue: state.is_open() && self.answer_by < today,
            attempts: self.attempts,
            last_code: self.last_code,
            created_at: self.created_at,
            sent_at: self.sent_at,
            ended_at: self.ended_at,
            object_held: self.object_held,
        })
    }
}

fn state_of(word: &str) -> Result<TaskState, StoreError> {
    word.parse().map_err(|_| StoreError::unreadable("recipients.task", "recipient_task.state"))
}

fn action_of(word: &str) -> Result<TaskAction, StoreError> {
    word.parse().map_err(|_| StoreError::unreadable("recipients.task", "recipient_task.action"))
}

/// Lists tasks of an organisation, open ones first, the most urgent at the top; only those of a request or the open ones
/// where asked so.
pub async fn list_tasks(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: Option<RequestId>,
    only_open: bool,
    today: NaiveDate,
    most: i64,
) -> Result<Vec<Task>, StoreError> {
    sqlx::query_as!(
        TaskRow,
        r#"SELECT task_id, request_id, recipient, action, categories, channel, state, reason, answer_by, attempts, last_code,
                  created_at, sent_at, ended_at, sealed_object IS NOT NULL AS "object_held!"
           FROM dsrd.recipient_task
           WHERE organisation_id = $1
             AND ($2::uuid IS NULL OR request_id = $2)
             AND (NOT $3 OR state IN ('queued', 'sent'))
           ORDER BY ended_at IS NOT NULL, answer_by, task_id
           LIMIT $4"#,
        organisation.as_str(),
        request.map(|request| request.0),
        only_open,
        most.clamp(1, 10_000),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("recipients.list_tasks"))?
    .into_iter()
    .map(|row| row.read(today))
    .collect()
}

/// Finds a task.
pub async fn find_task(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    task: Uuid,
    today: NaiveDate,
) -> Result<Option<Task>, StoreError> {
    sqlx::query_as!(
        TaskRow,
        r#"SELECT task_id, request_id, recipient, action, categories, channel, state, reason, answer_by, attempts, last_code,
                  created_at, sent_at, ended_at, sealed_object IS NOT NULL AS "object_held!"
           FROM dsrd.recipient_task
           WHERE organisation_id = $1 AND task_id = $2"#,
        organisation.as_str(),
        task,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("recipients.find_task"))?
    .map(|row| row.read(today))
    .transpose()
}

/// A task with its row locked.
pub(super) struct Locked {
    pub(super) request: RequestId,
    pub(super) recipient: String,
    pub(super) action: TaskAction,
    pub(super) categories: Vec<String>,
    pub(super) state: TaskState,
    pub(super) sealed_object: Option<Vec<u8>>,
    pub(super) answer_by: NaiveDate,
    pub(super) attempts: u32,
    pub(super) intent: Option<Uuid>,
}

pub(super) async fn lock(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    task: Uuid,
) -> Result<Option<Locked>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT request_id, recipient, action, categories, state, sealed_object, answer_by, attempts, intent
           FROM dsrd.recipient_task
           WHERE organisation_id = $1 AND task_id = $2
           FOR UPDATE"#,
        organisation.as_str(),
        task,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("recipients.lock"))?;
    row.map(|row| {
        Ok(Locked {
            request: RequestId(row.request_id),
            recipient: row.recipient,
            action: action_of(&row.action)?,
            categories: row.categories,
            state: state_of(&row.state)?,
            sealed_object: row.sealed_object,
            answer_by: row.answer_by,
            attempts: u32::try_from(row.attempts).unwrap_or_default(),
            intent: row.intent,
        })
    })
    .transpose()
}

pub(super) async fn end(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    task: Uuid,
    (state, reason): (TaskState, Option<GiveUpReason>),
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.recipient_task
           SET state = $3, reason = $4, ended_at = $5
           WHERE organisation_id = $1 AND task_id = $2"#,
        organisation.as_str(),
        task,
        state.as_str(),
        reason.map(GiveUpReason::as_str),
        at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("recipients.end"))?;
    Ok(())
}

/// Which tasks are due: up to `most`, each hidden from other daemons for the time of `claim`. That a restriction ended is
/// told after that it began, and not while that is still to be told: who hears both in the wrong order restricts for ever.
/// Nor is another one told before the end of the former, unless a person has to tell that: what was heard last is what
/// stands. What waits for more than the `longest` wait was put off, or queued, while the database's clock was ahead
/// (F-48), and is due.
pub(super) async fn claim_due(
    connection: &mut PgConnection,
    organisations: &[String],
    most: i64,
    (claim, longest): (Duration, Duration),
) -> Result<Vec<(String, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        r#"UPDATE dsrd.recipient_task AS task
           SET run_at = now() + $3
           FROM (SELECT organisation_id, task_id
                 FROM dsrd.recipient_task AS candidate
                 WHERE state = 'queued' AND channel <> 'person' AND organisation_id = ANY ($1)
                   AND (run_at <= now() OR run_at > now() + $4)
                   AND NOT (action IN ('restrict', 'release')
                            AND EXISTS (SELECT FROM dsrd.recipient_task AS first
                                        WHERE first.organisation_id = candidate.organisation_id
                                          AND first.request_id = candidate.request_id
                                          AND first.recipient = candidate.recipient AND first.state = 'queued'
                                          AND CASE candidate.action
                                                WHEN 'release' THEN first.action = 'restrict' AND first.round <= candidate.round
                                                ELSE first.action = 'release' AND first.round < candidate.round
                                                     AND first.channel <> 'person'
                                              END))
                 ORDER BY run_at
                 LIMIT $2
                 FOR UPDATE SKIP LOCKED) AS due
           WHERE task.organisation_id = due.organisation_id AND task.task_id = due.task_id
           RETURNING task.organisation_id, task.task_id"#,
        organisations,
        most,
        interval(claim),
        interval(longest),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("recipients.claim_due"))?;
    Ok(rows.into_iter().map(|row| (row.organisation_id, row.task_id)).collect())
}

fn interval(time: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(time.as_micros()).unwrap_or(i64::MAX) }
}

/// Notes that a sending is announced, or with none that the former one is accounted for.
pub(super) async fn set_intent(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    task: Uuid,
    intent: Option<Uuid>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.recipient_task
           SET intent = $3, attempts = attempts + CASE WHEN $3::uuid IS NULL THEN 0 ELSE 1 END
           WHERE organisation_id = $1 AND task_id = $2"#,
        organisation.as_str(),
        task,
        intent,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("recipients.set_intent"))?;
    Ok(())
}

/// Notes by which text a recipient was told.
pub(super) async fn set_text(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    task: Uuid,
    template: &str,
    digest: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE dsrd.recipient_task SET template = $3, text_sha256 = $4 WHERE organisation_id = $1 AND task_id = $2",
        organisation.as_str(),
        task,
        template,
        digest,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("recipients.set_text"))
}

/// Notes how a sending ended, if it is still the announced one: told at an instant, or to be tried again after a wait. A
/// task that ended meanwhile stays ended.
pub(super) async fn finish_sending(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    task: Uuid,
    intent: Uuid,
    sent_at: Option<DateTime<Utc>>,
    (code, wait): (&str, Duration),
) -> Result<bool, StoreError> {
    let finished = sqlx::query!(
        r#"UPDATE dsrd.recipient_task
           SET intent = NULL, last_code = $4, sent_at = coalesce($5, sent_at), run_at = now() + $6,
               state = CASE WHEN state = 'queued' AND $5::timestamptz IS NOT NULL THEN 'sent' ELSE state END
           WHERE organisation_id = $1 AND task_id = $2 AND intent = $3"#,
        organisation.as_str(),
        task,
        intent,
        code,
        sent_at,
        interval(wait),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("recipients.finish_sending"))?;
    Ok(finished.rows_affected() == 1)
}

/// Puts a task off that cannot be sent at all at present.
pub(super) async fn put_off(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    task: Uuid,
    code: &str,
    wait: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE dsrd.recipient_task SET last_code = $3, run_at = now() + $4 WHERE organisation_id = $1 AND task_id = $2",
        organisation.as_str(),
        task,
        code,
        interval(wait),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("recipients.put_off"))?;
    Ok(())
}

/// An open task whose day is past and that the log does not tell of yet.
pub(super) struct Overdue {
    pub(super) task: Uuid,
    pub(super) request: RequestId,
    pub(super) recipient: String,
    pub(super) state: String,
}

/// Takes up to `most` such tasks; several daemons take each once.
pub(super) async fn take_overdue(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    today: NaiveDate,
    at: DateTime<Utc>,
    most: i64,
) -> Result<Vec<Overdue>, StoreError> {
    let rows = sqlx::query!(
        r#"UPDATE dsrd.recipient_task AS task
           SET alerted_at = $3
           FROM (SELECT task_id
                 FROM dsrd.recipient_task
                 WHERE organisation_id = $1 AND state IN ('queued', 'sent') AND answer_by < $2 AND alerted_at IS NULL
                 ORDER BY answer_by
                 LIMIT $4
                 FOR UPDATE SKIP LOCKED) AS late
           WHERE task.organisation_id = $1 AND task.task_id = late.task_id
           RETURNING task.task_id, task.request_id, task.recipient, task.state"#,
        organisation.as_str(),
        today,
        at,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("recipients.take_overdue"))?;
    let overdue = rows.into_iter().map(|row| Overdue {
        task: row.task_id,
        request: RequestId(row.request_id),
        recipient: row.recipient,
        state: row.state,
    });
    Ok(overdue.collect())
}

/// Forgets which contact the ended and told tasks of these requests meant. One that was never told keeps it as long as
/// its row: without it nobody could be told any more.
pub async fn forget(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        r#"UPDATE dsrd.recipient_task
           SET sealed_object = NULL
           WHERE organisation_id = $1 AND request_id = ANY ($2) AND state <> 'queued'"#,
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("recipients.forget"))?;
    Ok(())
}

/// Deletes the tasks of requests.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.recipient_task WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("recipients.purge"))?;
    Ok(())
}
