//! Tables `audit.inbox`, `audit.entry`, `audit.head`, `audit.half` and the view `audit_view.log`, as writers and readers use
//! them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::event::{Action, Actor, Detail, EntryId, Event, plain};
use super::leaf::Leaf;
use super::tlog::leaf_hash;
use super::writer::{self, Writer};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError, Tx, Written};

/// Appends an event to the caller's transaction; it lasts when the transaction does, and keeps its place among the
/// transaction's other events. It is written right before the commit, with all of them in one statement, because the
/// database's check of an entry costs more than the insertion, and most of that is paid once a statement. Every row must
/// come back: a rule or trigger that swallows one makes the whole transaction fail. Beside that one statement for an event
/// that a person caused, whose word is looked up. A store with a [`Writer`] numbers it.
pub async fn append(tx: &mut Tx, event: Event) -> Result<EntryId, StoreError> {
    let id = event.id;
    let actor = word_of(tx, &event.actor).await?;
    put_off(tx, Leaf::of(event, actor)).await?;
    Ok(id)
}

/// Appends an entry about the log itself, which concerns no organisation: that somebody verified or exported it. It is
/// written at once, with what was put off before it.
pub async fn append_about_log(
    tx: &mut Tx,
    action: Action,
    actor: Actor,
    at: DateTime<Utc>,
    detail: Detail,
) -> Result<EntryId, StoreError> {
    let id = Uuid::now_v7();
    let actor = word_of(tx, &actor).await?;
    let leaf = Leaf { detail: detail.into_values(), ..Leaf::about_log(id, action, actor, at) };
    put_off(tx, leaf).await?;
    tx.write_put_off().await?;
    Ok(EntryId(id))
}

/// The word by which the log knows an actor: a random one for a person, made when the person is seen for the first time.
pub(super) async fn word_of(connection: &mut PgConnection, actor: &Actor) -> Result<String, StoreError> {
    let Actor::Person(name) = actor else { return Ok(actor.to_string()) };
    sqlx::query_scalar!(r#"SELECT audit.person($1) AS "word!""#, plain(name))
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.person"))
}

/// Puts an entry off to the end of the transaction as the next one of the store's writer; answers with its number there, if
/// it has one. The first transaction of a writer brings its announcement.
pub(super) async fn put_off(tx: &mut Tx, mut leaf: Leaf) -> Result<Option<u64>, StoreError> {
    let write = |tx: &mut Tx, bytes| {
        tx.put_off(bytes, |connection, entries| Box::pin(write_all(connection, entries)));
    };
    let Some(writer) = tx.numbering::<Writer>() else {
        write(tx, leaf.to_bytes());
        return Ok(None);
    };
    if let Some((number, start)) = writer.announcement(leaf.at_us) {
        let bytes = start.to_bytes();
        tx.note(Written { number, digest: leaf_hash(&bytes).0 });
        write(tx, bytes);
        writer::enter(tx, writer.name()).await?;
    }
    let number = writer.number(&mut leaf);
    let bytes = leaf.to_bytes();
    tx.note(Written { number, digest: leaf_hash(&bytes).0 });
    write(tx, bytes);
    Ok(Some(number))
}

/// Puts an entry without a writer's number into the inbox at once.
pub(super) async fn write(connection: &mut PgConnection, leaf: &Leaf) -> Result<(), StoreError> {
    write_all(connection, vec![leaf.to_bytes()]).await
}

/// Puts entries into the inbox, in their order.
async fn write_all(connection: &mut PgConnection, entries: Vec<Vec<u8>>) -> Result<(), StoreError> {
    let written = sqlx::query_scalar!(
        "INSERT INTO audit.inbox (entry) SELECT unnest($1::bytea[]) RETURNING inbox_id",
        &entries,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.append"))?;
    StoreError::expect_rows("audit.append", entries.len() as u64, written.len() as u64)
}

/// The public keys that sign the log at present, oldest first, as verifier keys (`<origin>+<id>+<key>`); none before
/// the first start of a sealer.
pub async fn verifier_keys(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!("SELECT verifier_keys FROM audit.head")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.verifier_keys"))
}

/// How many entries are written but not sealed.
pub async fn pending(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let pending = sqlx::query_scalar!(r#"SELECT count(*) AS "pending!" FROM audit.pending"#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.pending"))?;
    Ok(u64::try_from(pending).unwrap_or_default())
}

/// The number of the newest sealed entry; 0 for an empty log.
pub async fn sealed_up_to(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let last = sqlx::query_scalar!("SELECT size FROM audit.head")
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
    /// For which organisation; none for what concerns the log itself.
    pub organisation: Option<String>,
    /// For which request.
    pub case: Option<Uuid>,
    /// What happened (closed vocabulary of `docs/audit-log.md`).
    pub action: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// Who caused it; a person by name as long as the name is kept, then by a random word.
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
    /// Of one organisation, and of the log itself.
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
        r#"SELECT seq AS "seq!", at AS "at!", organisation_id AS organisation, case_id AS "case", action AS "action!",
                  outcome, actor AS "actor!", intent, uid AS "id!", detail AS "detail!"
           FROM audit_view.log
           WHERE seq > $1
             AND ($2::text IS NULL OR organisation_id = $2 OR organisation_id IS NULL)
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
             SELECT uid, action, intent FROM audit.pending
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

/// A half of the database: the number of the last moment at which both were seen together, and when that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// Raised in both halves at once.
    pub number: i64,
    /// By the database's clock, UTC.
    pub at: DateTime<Utc>,
}

/// Reads the half of the log.
pub async fn half(connection: &mut PgConnection) -> Result<Half, StoreError> {
    sqlx::query_as!(Half, "SELECT number, at FROM audit.half")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.half"))
}

/// Raises the number of the log's half to the next one, if it is still this one; answers whether it did.
pub async fn raise_half(connection: &mut PgConnection, from: i64) -> Result<bool, StoreError> {
    let raised = sqlx::query!(
        "UPDATE audit.half SET number = number + 1, at = clock_timestamp() WHERE number = $1",
        from
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("audit.raise_half"))?;
    Ok(raised.rows_affected() == 1)
}

/// Sets the number of the log's half, when a person accepted that it was another one.
pub async fn settle_half(connection: &mut PgConnection, number: i64) -> Result<(), StoreError> {
    let settled = sqlx::query!("UPDATE audit.half SET number = $1, at = clock_timestamp()", number)
        .execute(connection)
        .await
        .map_err(StoreError::during("audit.settle_half"))?;
    StoreError::expect_rows("audit.settle_half", 1, settled.rows_affected())
}
