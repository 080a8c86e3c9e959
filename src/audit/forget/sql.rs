//! The functions of the database that erase and prune, and the table `audit.hold`.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::Erasing;
use super::hold::{Hold, HoldReason};
use super::prune::Prunable;
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// An entry `log.prune` that may be carried out.
pub(super) struct Announced {
    pub(super) id: Uuid,
    pub(super) seq: i64,
}

pub(super) async fn erase_subjects(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    cases: Option<&[RequestId]>,
    (due_before, most): (DateTime<Utc>, i32),
    actor: &str,
    erasing: &Erasing<'_>,
) -> Result<Vec<RequestId>, StoreError> {
    let cases: Option<Vec<Uuid>> = cases.map(|cases| cases.iter().map(|case| case.0).collect());
    let erased = sqlx::query_scalar!(
        r#"SELECT audit.erase_subjects($1, $2, $3, $4, $5, $6, $7) AS "case_id!""#,
        organisation.as_str(),
        cases.as_deref(),
        due_before,
        most,
        erasing.rule.as_str(),
        actor,
        erasing.at,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.erase_subjects"))?;
    Ok(erased.into_iter().map(RequestId).collect())
}

/// The names by which the log knows a login: its own, and those under other accounts.
pub(super) async fn names_of(connection: &mut PgConnection, login: &str) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(r#"SELECT audit.names_of($1) AS "name!""#, login)
        .fetch_all(connection)
        .await
        .map_err(StoreError::during("audit.names_of"))
}

/// Erases one of them, which an entry says.
pub(super) async fn forget_person(
    connection: &mut PgConnection,
    name: &str,
    actor: &str,
    erasing: &Erasing<'_>,
) -> Result<(), StoreError> {
    sqlx::query_scalar!(
        "SELECT audit.forget_person($1, $2, $3, $4)",
        name,
        erasing.rule.as_str(),
        actor,
        erasing.at,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.forget_person"))?;
    Ok(())
}

pub(super) async fn set_hold(
    connection: &mut PgConnection,
    id: Uuid,
    reason: HoldReason,
    (review_on, until_on): (Option<NaiveDate>, Option<NaiveDate>),
    actor: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT audit.set_hold($1, $2, $3, $4, $5, $6)",
        id,
        reason.as_str(),
        review_on,
        until_on,
        actor,
        at,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.set_hold"))?;
    Ok(())
}

pub(super) async fn lift_hold(
    connection: &mut PgConnection,
    id: Uuid,
    actor: &str,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(r#"SELECT audit.lift_hold($1, $2, $3) AS "lifted!""#, id, actor, at)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.lift_hold"))
}

pub(super) async fn is_held(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sqlx::query_scalar!(r#"SELECT audit.is_held() AS "held!""#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.is_held"))
}

/// Waits until no hold is being set, and lets none be set before the transaction has ended. It is the lock of `audit.set_hold`.
pub(super) async fn keep_holds_away(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared(7236123, 2)")
        .execute(connection)
        .await
        .map_err(StoreError::during("audit.keep_holds_away"))?;
    Ok(())
}

/// Whether a hold is in force, by the clock of the database or at an instant of another clock.
pub(super) async fn is_held_at(connection: &mut PgConnection, at: DateTime<Utc>) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT audit.is_held()
                  OR EXISTS (SELECT FROM audit.hold
                             WHERE lifted_at IS NULL AND until_on >= ($1::timestamptz AT TIME ZONE 'UTC')::date) AS "held!""#,
        at,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.is_held_at"))
}

/// The latest day on which the review of a hold that is in force fell due.
pub(super) async fn last_due_review(
    connection: &mut PgConnection,
    today: NaiveDate,
) -> Result<Option<NaiveDate>, StoreError> {
    sqlx::query_scalar!(
        "SELECT max(review_on) FROM audit_view.hold WHERE in_force AND review_on <= $1",
        today,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.last_due_review"))
}

pub(super) async fn list_holds(connection: &mut PgConnection) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT hold_id AS "hold_id!", reason AS "reason!", set_at AS "set_at!", set_by AS "set_by!", review_on, until_on,
                  lifted_at, in_force AS "in_force!"
           FROM audit_view.hold
           ORDER BY set_at DESC, hold_id"#
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.list_holds"))?;
    rows.into_iter()
        .map(|row| {
            let unreadable = |_| StoreError::unreadable("audit.list_holds", "hold.reason");
            Ok(Hold {
                id: row.hold_id,
                reason: row.reason.parse().map_err(unreadable)?,
                set_at: row.set_at,
                set_by: row.set_by,
                review_on: row.review_on,
                until_on: row.until_on,
                lifted_at: row.lifted_at,
                in_force: row.in_force,
            })
        })
        .collect()
}

/// The whole closed partitions that are past the term, looked at by their last entries; the database looks at each entry
/// before it drops them.
pub(super) async fn find_prunable(
    connection: &mut PgConnection,
    months: u32,
) -> Result<Option<Prunable>, StoreError> {
    sqlx::query_as!(
        Prunable,
        r#"WITH part AS (
             SELECT part.first, part.beyond - 1 AS last
             FROM audit.partitions() AS part CROSS JOIN audit.head
             WHERE part.beyond - 1 <= head.size
           ), kept AS (
             SELECT part.first, part.last, last_entry.sealed_at
             FROM part JOIN audit.entry AS last_entry ON last_entry.seq = part.last
             WHERE last_entry.sealed_at < clock_timestamp() - make_interval(months => $1)
               AND NOT EXISTS (
                 SELECT FROM part AS before JOIN audit.entry AS younger ON younger.seq = before.last
                 WHERE before.last < part.last
                   AND younger.sealed_at >= clock_timestamp() - make_interval(months => $1))
           ), range AS (
             SELECT min(first) AS first, max(last) AS last, count(*) AS partitions, max(sealed_at) AS sealed_at FROM kept
           )
           SELECT range.first AS "first!", range.last AS "last!", range.partitions AS "partitions!",
                  (SELECT min(at) FROM audit.entry WHERE seq BETWEEN range.first AND range.last) AS "oldest!",
                  (SELECT max(at) FROM audit.entry WHERE seq BETWEEN range.first AND range.last) AS "newest!",
                  range.sealed_at AS "sealed_at!", head.size, encode(head.root, 'hex') AS "root!"
           FROM range CROSS JOIN audit.head
           WHERE range.first IS NOT NULL"#,
        i32::try_from(months).unwrap_or(i32::MAX),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("audit.find_prunable"))
}

/// Whether an entry, sealed or waiting to be, lets exactly what goes up to this number go, after exactly so many months. Whoever
/// may write entries may write such, too: one that says more than this could be carried out later or never, one of fewer months
/// is not carried out, and neither must stand in the way of this one.
pub(super) async fn is_announced(
    connection: &mut PgConnection,
    last: i64,
    months: u32,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT
             FROM (SELECT audit.detail_of(entry) AS detail FROM audit.entry WHERE action = 'log.prune' AND seq > $1::bigint
                   UNION ALL
                   SELECT detail FROM audit.pending WHERE action = 'log.prune') AS announced
             WHERE CASE WHEN jsonb_typeof(detail -> 'last') = 'number' AND jsonb_typeof(detail -> 'months') = 'number'
                        THEN (detail -> 'last')::numeric = $1::bigint AND (detail -> 'months')::numeric = $2::integer
                        ELSE false END) AS "announced!""#,
        last,
        i32::try_from(months).unwrap_or(i32::MAX),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.is_announced"))
}

/// The sealed announcements of at least so many months that keep to the rules of `audit.prune`, that a kept checkpoint covers,
/// and of whose entries some are still there, oldest first; with `up_to` only those that let nothing beyond this number go.
pub(super) async fn announced(
    connection: &mut PgConnection,
    months: u32,
    up_to: Option<i64>,
) -> Result<Vec<Announced>, StoreError> {
    sqlx::query_as!(
        Announced,
        r#"SELECT announced.uid AS "id!", announced.seq AS "seq!"
           FROM (SELECT uid, seq, audit.detail_of(entry) AS detail
                 FROM audit.entry
                 WHERE action = 'log.prune' AND seq <= (SELECT max(size) FROM audit.checkpoint)) AS announced
           WHERE CASE WHEN jsonb_typeof(detail -> 'last') = 'number' AND jsonb_typeof(detail -> 'months') = 'number'
                      THEN (detail -> 'last')::numeric < seq AND (detail -> 'months')::numeric >= $1::integer
                           AND (detail -> 'last')::numeric >= (SELECT min(seq) FROM audit.entry)
                           AND ($2::bigint IS NULL OR (detail -> 'last')::numeric <= $2)
                      ELSE false END
           ORDER BY announced.seq"#,
        i32::try_from(months).unwrap_or(i32::MAX),
        up_to,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.announced"))
}

pub(super) async fn prune(connection: &mut PgConnection, announced: Uuid) -> Result<u64, StoreError> {
    let dropped = sqlx::query_scalar!(r#"SELECT audit.prune($1) AS "dropped!""#, announced)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.prune"))?;
    Ok(u64::try_from(dropped).unwrap_or_default())
}

pub(super) async fn cut_partition(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sqlx::query_scalar!(r#"SELECT audit.cut_partition() AS "cut!""#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.cut_partition"))
}
