//! When a line of the audit log was committed, by a witness that the service does not know of; and the heads of the log that
//! somebody has seen.
//!
//! The log's own times are the writer's clock, which tests move by hand. A trigger notes each entry in a table of its
//! own, and PostgreSQL keeps the time of that row's commit (`track_commit_timestamp`). The journal of the simulator
//! uses the same clock of the same machine, so "announced before, recorded after" can be checked to the microsecond.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// Starts to note commits in a database.
pub(crate) async fn install(owner: &PgConnectOptions) {
    let mut owner = PgConnection::connect_with(owner).await.expect("a connection of the owner");
    sqlx::raw_sql(
        "CREATE SCHEMA witness;
         CREATE TABLE witness.appended (uid uuid NOT NULL);
         CREATE FUNCTION witness.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
           INSERT INTO witness.appended (uid) VALUES ((convert_from(NEW.entry, 'UTF8')::jsonb->>'id')::uuid);
           RETURN NULL;
         END $$;
         CREATE TRIGGER witnessed AFTER INSERT ON audit.inbox FOR EACH ROW EXECUTE FUNCTION witness.note();",
    )
    .execute(&mut owner)
    .await
    .expect("the witness");
    owner.close().await.expect("a closed connection");
}

/// When each entry of the log was committed first, in microseconds since 1970. A test that plays the restoring of an older
/// database writes entries once more, which happened long before.
pub(crate) async fn commits(owner: &PgConnectOptions) -> BTreeMap<Uuid, i64> {
    let mut owner = PgConnection::connect_with(owner).await.expect("a connection of the owner");
    let rows: Vec<(Uuid, DateTime<Utc>)> =
        sqlx::query_as("SELECT uid, min(pg_xact_commit_timestamp(xmin)) FROM witness.appended GROUP BY uid")
            .fetch_all(&mut owner)
            .await
            .expect("the witness's table; the server tracks commits");
    owner.close().await.expect("a closed connection");
    rows.into_iter().map(|(uid, at)| (uid, at.timestamp_micros())).collect()
}

/// An instant of the journal, so much later, in the same measure.
pub(crate) fn micros(wall: SystemTime, later: Duration) -> i64 {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970") + later;
    i64::try_from(since.as_micros()).expect("in range")
}

/// Heads of the log, as somebody keeps them who does not trust whoever runs it.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<Vec<String>>);

impl Heads {
    /// Keeps the signed note of a head; an empty log has none.
    pub(crate) fn keep(&self, note: Option<String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(note) = note.filter(|note| !kept.contains(note)) {
            kept.push(note);
        }
    }

    /// All that were kept, in the order in which they were seen.
    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
