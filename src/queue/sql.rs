//! Tables `dsrd.job` and `dsrd.job_done`.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::types::PgInterval;

use super::{Instance, Lane, Lease, LeaseLost, PutBack};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// The code of a job that waits for an access request of the same person to end.
const WAITS_FOR_ACCESS: &str = "waits_for_access";

pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

/// Puts a request into the queue, in the transaction that creates it, and wakes the workers at commit.
pub async fn enqueue(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    lane: Lane,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO dsrd.job (organisation_id, request_id, lane, due_at) VALUES ($1, $2, $3, $4)",
        organisation.as_str(),
        request.0,
        lane.as_str(),
        due_at,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("queue.enqueue"))?;
    announce(connection).await
}

/// Puts a request into the queue that begins after a while only, because a flood came before it.
pub async fn enqueue_held_back(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    lane: Lane,
    due_at: DateTime<Utc>,
    wait: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.job (organisation_id, request_id, lane, due_at, run_at, last_code)
           VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5), 'held_back')"#,
        organisation.as_str(),
        request.0,
        lane.as_str(),
        due_at,
        wait.as_secs_f64(),
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("queue.enqueue_held_back"))
}

/// Puts a request into the queue that waits for a person from its receipt on, because of `code`; nobody is woken.
pub async fn enqueue_parked(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    lane: Lane,
    due_at: DateTime<Utc>,
    code: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.job (organisation_id, request_id, lane, due_at, state, last_code)
           VALUES ($1, $2, $3, $4, 'parked', $5)"#,
        organisation.as_str(),
        request.0,
        lane.as_str(),
        due_at,
        code,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.enqueue_parked"))?;
    Ok(())
}

/// Wakes the workers of all daemons at commit.
pub(super) async fn announce(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(r#"SELECT 1 AS "one!" FROM pg_notify('dsrd_job', '')"#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("queue.announce"))?;
    Ok(())
}

/// How many jobs one claim hands out at the most; the statement of [`claim`] has it as a number.
pub const MOST_AT_ONCE: usize = 64;

/// Hands out up to `most` jobs of a lane to an instance, earliest due date first, [`MOST_AT_ONCE`] at the most: those of the
/// organisations named, because daemons of different organisations may share a database. An instance that was declared dead gets
/// nothing.
///
/// A limit that is a parameter counts as a tenth of the queue for the planner, which then plans the statement anew each time. The
/// one that it can read makes a kept plan as good; no more rows are locked than the other lets through.
pub async fn claim(
    connection: &mut PgConnection,
    instance: Instance,
    organisations: &[String],
    lane: Lane,
    most: usize,
) -> Result<Vec<Lease>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH next AS MATERIALIZED (
             SELECT job_id
             FROM (
               SELECT job_id
               FROM dsrd.job
               WHERE state = 'ready'
                 AND lane = $1
                 AND organisation_id = ANY ($4)
                 AND run_at <= now()
                 AND EXISTS (SELECT FROM dsrd.instance WHERE instance_id = $2 AND dead_at IS NULL)
               ORDER BY due_at, job_id
               LIMIT 64
               FOR UPDATE SKIP LOCKED
             ) AS first
             LIMIT $3
           )
           UPDATE dsrd.job AS job
           SET state = 'leased', owner = $2, fence = job.fence + 1, attempt = job.attempt + 1
           WHERE job.job_id = ANY (ARRAY(SELECT job_id FROM next))
           RETURNING job.job_id, job.fence, job.organisation_id, job.request_id, job.attempt, job.crash_count"#,
        lane.as_str(),
        instance.0,
        i64::try_from(most).unwrap_or(i64::MAX),
        organisations,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("queue.claim"))?;
    rows.into_iter()
        .map(|row| {
            Ok(Lease {
                job: row.job_id,
                fence: row.fence,
                organisation: row
                    .organisation_id
                    .parse()
                    .map_err(|_| StoreError::unreadable("queue.claim", "job.organisation_id"))?,
                request: RequestId(row.request_id),
                lane,
                attempt: u32::try_from(row.attempt).unwrap_or_default(),
                crashes: u32::try_from(row.crash_count).unwrap_or_default(),
            })
        })
        .collect()
}

/// Locks the job's row if the lease still holds; to be called first in every transaction of a worker.
pub async fn hold(connection: &mut PgConnection, lease: &Lease) -> Result<Result<(), LeaseLost>, StoreError> {
    let held = sqlx::query_scalar!(
        "SELECT job_id FROM dsrd.job WHERE job_id = $1 AND fence = $2 AND state = 'leased' FOR UPDATE",
        lease.job,
        lease.fence,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("queue.hold"))?;
    Ok(held.map(|_| ()).ok_or(LeaseLost))
}

/// Puts a held job back for later.
pub async fn put_back(
    connection: &mut PgConnection,
    lease: &Lease,
    how: PutBack,
) -> Result<Result<(), LeaseLost>, StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.job
           SET state = 'ready', owner = NULL, run_at = now() + $3, last_code = $4,
               attempt = attempt - CASE WHEN $5 THEN 0 ELSE 1 END,
               crash_count = crash_count + CASE WHEN $6 THEN 1 ELSE 0 END
           WHERE job_id = $1 AND fence = $2 AND state = 'leased'"#,
        lease.job,
        lease.fence,
        interval(how.after),
        how.code,
        how.counts,
        how.crashed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.put_back"))?;
    Ok(if changed.rows_affected() == 1 { Ok(()) } else { Err(LeaseLost) })
}

/// Gives a held job its attempts and crashes back, because a step of it was finished: this one is the first since. To be
/// called when there is something to give back, so that a request without trouble pays no statement for it.
pub async fn note_progress(connection: &mut PgConnection, lease: &Lease) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.job
           SET attempt = least(attempt, 1), crash_count = 0
           WHERE job_id = $1 AND fence = $2 AND state = 'leased'"#,
        lease.job,
        lease.fence,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.note_progress"))?;
    Ok(())
}

/// The hand-outs that are in the hands of a worker now: job and fence.
pub async fn running(connection: &mut PgConnection) -> Result<HashSet<(i64, i64)>, StoreError> {
    let rows = sqlx::query!("SELECT job_id, fence FROM dsrd.job WHERE state = 'leased'")
        .fetch_all(connection)
        .await
        .map_err(StoreError::during("queue.running"))?;
    Ok(rows.into_iter().map(|row| (row.job_id, row.fence)).collect())
}

/// Sets a held job aside until a person decides.
pub async fn park(
    connection: &mut PgConnection,
    lease: &Lease,
    code: &str,
) -> Result<Result<(), LeaseLost>, StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.job
           SET state = 'parked', owner = NULL, last_code = $3
           WHERE job_id = $1 AND fence = $2 AND state = 'leased'"#,
        lease.job,
        lease.fence,
        code,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.park"))?;
    Ok(if changed.rows_affected() == 1 { Ok(()) } else { Err(LeaseLost) })
}

/// Moves a held job to the history.
pub async fn done(connection: &mut PgConnection, lease: &Lease) -> Result<Result<(), LeaseLost>, StoreError> {
    let moved = sqlx::query!(
        r#"WITH finished AS (
             DELETE FROM dsrd.job
             WHERE job_id = $1 AND fence = $2 AND state = 'leased'
             RETURNING job_id, organisation_id, request_id, lane, attempt, crash_count
           )
           INSERT INTO dsrd.job_done (job_id, organisation_id, request_id, lane, attempt, crash_count)
           SELECT job_id, organisation_id, request_id, lane, attempt, crash_count FROM finished"#,
        lease.job,
        lease.fence,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.done"))?;
    Ok(if moved.rows_affected() == 1 { Ok(()) } else { Err(LeaseLost) })
}

/// Ends the job of a withdrawn request, whoever holds it: the holder finds its lease lost at its next write.
pub async fn withdraw(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"WITH finished AS (
             DELETE FROM dsrd.job
             WHERE organisation_id = $1 AND request_id = $2
             RETURNING job_id, organisation_id, request_id, lane, attempt, crash_count
           )
           INSERT INTO dsrd.job_done (job_id, organisation_id, request_id, lane, attempt, crash_count)
           SELECT job_id, organisation_id, request_id, lane, attempt, crash_count FROM finished"#,
        organisation.as_str(),
        request.0,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.withdraw"))?;
    Ok(())
}

/// Sets the job of a request aside until somebody answers, whoever holds it: the holder finds its lease lost at its next
/// write.
pub async fn set_aside(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    code: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.job
           SET state = 'parked', owner = NULL, fence = fence + 1, last_code = $3
           WHERE organisation_id = $1 AND request_id = $2"#,
        organisation.as_str(),
        request.0,
        code,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.set_aside"))?;
    Ok(())
}

/// Hands the job of a request out by another due date from now on.
pub async fn set_due(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE dsrd.job SET due_at = $3 WHERE organisation_id = $1 AND request_id = $2",
        organisation.as_str(),
        request.0,
        due_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.set_due"))?;
    Ok(())
}

/// Makes a parked job ready again with fresh attempts; false when it was not parked.
pub async fn resume(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    let changed = sqlx::query!(
        r#"UPDATE dsrd.job
           SET state = 'ready', run_at = now(), attempt = 0, crash_count = 0, last_code = 'resumed'
           WHERE organisation_id = $1 AND request_id = $2 AND state = 'parked'"#,
        organisation.as_str(),
        request.0,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("queue.resume"))?;
    announce(connection).await?;
    Ok(changed.rows_affected() == 1)
}

/// Lets a job that waits for a date be handed out now; one that is leased is left to its holder.
pub async fn wake(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.job
           SET run_at = now()
           WHERE organisation_id = $1 AND request_id = $2 AND state = 'ready'"#,
        organisation.as_str(),
        request.0,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("queue.wake"))?;
    announce(connection).await
}

/// Lets the jobs that wait for an access request of an organisation look again, because one has just ended.
pub async fn wake_waiting(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<(), StoreError> {
    let woken = sqlx::query!(
        r#"UPDATE dsrd.job
           SET run_at = now()
           WHERE organisation_id = $1 AND state = 'ready' AND last_code = $2"#,
        organisation.as_str(),
        WAITS_FOR_ACCESS,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("queue.wake_waiting"))?;
    if woken.rows_affected() > 0 {
        announce(connection).await?;
    }
    Ok(())
}

/// Declares instances without a heartbeat dead and puts their jobs back, counting a crash for each. Looks at the
/// jobs of *all* dead instances each time, because a hand-out may commit after its instance was declared dead.
/// Those that
/// saw a worker die before come back at different times, so that one that kills its worker does not take the same
/// neighbours with it again. Returns how many jobs were rescued.
///
/// A heartbeat that lies ahead was made while the database's clock was ahead (F-48). It counts as made now, so that an instance
/// that lives has time for another one.
pub async fn rescue(
    connection: &mut PgConnection,
    lease: Duration,
    wait: Duration,
) -> Result<u64, StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.instance
           SET dead_at = CASE WHEN last_seen_at < now() - $1::interval THEN now() END, last_seen_at = least(last_seen_at, now())
           WHERE dead_at IS NULL AND (last_seen_at < now() - $1::interval OR last_seen_at > now() + $1::interval)"#,
        interval(lease),
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("queue.rescue"))?;
    let rescued = sqlx::query!(
        r#"UPDATE dsrd.job
           SET state = 'ready', owner = NULL, crash_count = crash_count + 1, last_code = 'worker_died',
               run_at = now() + $1::interval * (1 + random() * 12 * crash_count)
           WHERE state = 'leased'
             AND owner IN (SELECT instance_id FROM dsrd.instance WHERE dead_at IS NOT NULL)"#,
        interval(wait),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.rescue"))?;
    Ok(rescued.rows_affected())
}

/// Puts back every job that an instance holds but does not work on: all of them at shutdown, and those of a hand-out
/// whose answer was lost (`working` names the others). Nothing is counted.
pub async fn release_all(
    connection: &mut PgConnection,
    instance: Instance,
    working: &[i64],
) -> Result<u64, StoreError> {
    let released = sqlx::query!(
        r#"UPDATE dsrd.job
           SET state = 'ready', owner = NULL, attempt = attempt - 1, run_at = now(), last_code = 'released'
           WHERE state = 'leased' AND owner = $1 AND job_id <> ALL ($2)"#,
        instance.0,
        working,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.release_all"))?;
    Ok(released.rows_affected())
}

/// How much work there is.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be handed out now.
    pub ready: i64,
    /// Ready at a later time.
    pub scheduled: i64,
    /// In the hands of a worker.
    pub leased: i64,
    /// Waiting for a person.
    pub parked: i64,
}

/// Counts the jobs by their state.
pub async fn depth(connection: &mut PgConnection) -> Result<Depth, StoreError> {
    sqlx::query_as!(
        Depth,
        r#"SELECT count(*) FILTER (WHERE state = 'ready' AND run_at <= now()) AS "ready!",
                  count(*) FILTER (WHERE state = 'ready' AND run_at > now()) AS "scheduled!",
                  count(*) FILTER (WHERE state = 'leased') AS "leased!",
                  count(*) FILTER (WHERE state = 'parked') AS "parked!"
           FROM dsrd.job"#
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("queue.depth"))
}

/// Deletes the history of the jobs of requests past their evidence.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<uuid::Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.job_done WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.purge"))?;
    Ok(())
}

/// Deletes the rows of processes that ended so many days ago and hold nothing; returns how many.
pub async fn purge_instances(connection: &mut PgConnection, days: u32) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        r#"DELETE FROM dsrd.instance
           WHERE dead_at < now() - make_interval(days => $1)
             AND NOT EXISTS (SELECT FROM dsrd.job WHERE job.owner = instance.instance_id)"#,
        i32::try_from(days).unwrap_or(i32::MAX),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.purge_instances"))?;
    Ok(deleted.rows_affected())
}
