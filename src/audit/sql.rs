//! Tables `audit.inbox` and `audit.entry`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::event::{EntryId, Event};
use crate::domain::{OrganisationId, RequestId};
use crate::store::StoreError;

/// Appends an event inside the caller's transaction; it lasts when the transaction does. The row must come back:
/// a rule or trigger that swallows the insertion makes the whole transaction fail.
pub async fn append(connection: &mut PgConnection, event: Event) -> Result<EntryId, StoreError> {
    let id = event.id;
    let written = sqlx::query_scalar!(
        r#"INSERT INTO audit.inbox (uid, at, organisation_id, case_id, action, outcome, actor, intent, detail)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           RETURNING inbox_id"#,
        id.0,
        event.at,
        event.organisation.as_str(),
        event.case.map(|case| case.0),
        event.action.as_str(),
        event.ending.map(super::Ending::as_str),
        event.actor.to_string(),
        event.intent.map(|intent| intent.0),
        event.detail.into_json(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.append"))?;
    StoreError::expect_rows("audit.append", 1, written.len() as u64)?;
    Ok(id)
}

/// Numbers up to `most` committed entries and returns how many it numbered. Any number of daemons may call it.
pub async fn seal(connection: &mut PgConnection, most: i32) -> Result<u64, StoreError> {
    let sealed = sqlx::query_scalar!(r#"SELECT audit.seal($1) AS "sealed!""#, most)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.seal"))?;
    Ok(u64::try_from(sealed).unwrap_or_default())
}

/// The number of the newest sealed entry; 0 for an empty log.
pub async fn sealed_up_to(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let last = sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "last!" FROM audit.entry"#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.sealed_up_to"))?;
    Ok(u64::try_from(last).unwrap_or_default())
}

/// An entry as read from the log.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its number, 1..n.
    pub seq: i64,
    /// When it happened, UTC.
    pub at: DateTime<Utc>,
    /// For which organisation.
    pub organisation: String,
    /// For which request.
    pub case: Option<Uuid>,
    /// What happened (closed vocabulary of `docs/audit-log.md`).
    pub action: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// Who caused it.
    pub actor: String,
    /// For an end: the entry of the beginning.
    pub intent: Option<Uuid>,
    /// Id of the entry.
    pub id: Uuid,
    /// Counts and words.
    pub detail: Value,
}

/// What to list; empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one organisation.
    pub organisation: Option<OrganisationId>,
    /// Of one request.
    pub case: Option<RequestId>,
    /// Of one action, by its word.
    pub action: Option<String>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
}

/// Lists sealed entries after the number `after`, at most `most` (the next page starts after the last one returned).
pub async fn list(
    connection: &mut PgConnection,
    filter: &Filter,
    after: i64,
    most: i64,
) -> Result<Vec<Entry>, StoreError> {
    sqlx::query_as!(
        Entry,
        r#"SELECT seq, at, organisation_id AS organisation, case_id AS "case", action, outcome, actor, intent,
                  uid AS id, detail
           FROM audit.entry
           WHERE seq > $1
             AND ($2::text IS NULL OR organisation_id = $2)
             AND ($3::uuid IS NULL OR case_id = $3)
             AND ($4::text IS NULL OR action = $4)
             AND ($5::timestamptz IS NULL OR at >= $5)
             AND ($6::timestamptz IS NULL OR at < $6)
           ORDER BY seq
           LIMIT $7"#,
        after,
        filter.organisation.as_ref().map(OrganisationId::as_str),
        filter.case.map(|case| case.0),
        filter.action,
        filter.since,
        filter.until,
        most.clamp(1, 10_000),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.list"))
}

/// Counts announced effects whose end is not recorded, numbered or not.
pub async fn open_intents(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let open = sqlx::query_scalar!(
        r#"WITH everything AS (
             SELECT uid, action, intent FROM audit.entry
             UNION ALL
             SELECT uid, action, intent FROM audit.inbox
           )
           SELECT count(*) AS "open!"
           FROM everything AS began
           WHERE began.action LIKE '%.began'
             AND NOT EXISTS (SELECT FROM everything AS ended WHERE ended.intent = began.uid)"#
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.open_intents"))?;
    Ok(u64::try_from(open).unwrap_or_default())
}
