//! Table `dsrd.suppression`.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::{Hashed, Source, Suppressed};
use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

/// The columns of hashes, for `unnest`.
fn columns(hashed: &[Hashed]) -> (Vec<String>, Vec<String>, Vec<Vec<u8>>) {
    let purposes = hashed.iter().map(|each| each.purpose.as_str().to_owned()).collect();
    let kinds = hashed.iter().map(|each| each.kind.clone()).collect();
    let bytes = hashed.iter().map(|each| each.hash.to_vec()).collect();
    (purposes, kinds, bytes)
}

pub(super) async fn upsert(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hashed: &[Hashed],
    source: Source,
    jurisdiction: &str,
    (since, do_not_ask_before): (DateTime<Utc>, Option<NaiveDate>),
) -> Result<(), StoreError> {
    let (purposes, kinds, bytes) = columns(hashed);
    sqlx::query!(
        r#"INSERT INTO dsrd.suppression AS stored (organisation_id, purpose, kind, hash, source, jurisdiction, since,
                                                   do_not_ask_before)
           SELECT $1, given.purpose, given.kind, given.hash, $5, $6, $7,
                  CASE WHEN given.purpose = 'marketing' THEN $8::date END
           FROM unnest($2::text[], $3::text[], $4::bytea[]) AS given (purpose, kind, hash)
           ON CONFLICT (organisation_id, purpose, kind, hash) DO UPDATE
           SET source = CASE WHEN excluded.since > stored.since THEN excluded.source ELSE stored.source END,
               since = greatest(stored.since, excluded.since),
               do_not_ask_before = greatest(stored.do_not_ask_before, excluded.do_not_ask_before)"#,
        organisation.as_str(),
        &purposes,
        &kinds,
        &bytes,
        source.as_str(),
        jurisdiction,
        since,
        do_not_ask_before,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("suppression.upsert"))
}

pub(super) async fn find(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hashed: &[Hashed],
) -> Result<Vec<Suppressed>, StoreError> {
    let (purposes, kinds, bytes) = columns(hashed);
    let rows = sqlx::query!(
        r#"SELECT stored.purpose, stored.kind, stored.source, stored.jurisdiction, stored.since,
                  stored.do_not_ask_before
           FROM dsrd.suppression AS stored
           JOIN unnest($2::text[], $3::text[], $4::bytea[]) AS given (purpose, kind, hash)
             ON stored.purpose = given.purpose AND stored.kind = given.kind AND stored.hash = given.hash
           WHERE stored.organisation_id = $1
           ORDER BY stored.purpose DESC, stored.kind"#,
        organisation.as_str(),
        &purposes,
        &kinds,
        &bytes,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("suppression.find"))?;
    let unreadable =
        |column: &str| StoreError::unreadable("suppression.find", format!("suppression.{column}"));
    rows.into_iter()
        .map(|row| {
            Ok(Suppressed {
                purpose: row.purpose.parse().map_err(|_| unreadable("purpose"))?,
                kind: row.kind,
                source: row.source.parse().map_err(|_| unreadable("source"))?,
                jurisdiction: row.jurisdiction,
                since: row.since,
                do_not_ask_before: row.do_not_ask_before,
            })
        })
        .collect()
}

pub(super) async fn erased_among(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hashes: &[Vec<u8>],
) -> Result<Vec<(usize, DateTime<Utc>)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT given.place AS "place!", stored.since
           FROM unnest($2::bytea[]) WITH ORDINALITY AS given (hash, place)
           JOIN dsrd.suppression AS stored
             ON stored.organisation_id = $1 AND stored.purpose = 're_creation' AND stored.kind = 'contact'
            AND stored.hash = given.hash"#,
        organisation.as_str(),
        hashes,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("suppression.erased_among"))?;
    Ok(rows
        .into_iter()
        .map(|row| (usize::try_from(row.place - 1).unwrap_or(usize::MAX), row.since))
        .collect())
}

pub(super) async fn delete(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    hashed: &[Hashed],
) -> Result<u64, StoreError> {
    let (purposes, kinds, bytes) = columns(hashed);
    let deleted = sqlx::query!(
        r#"DELETE FROM dsrd.suppression AS stored
           USING unnest($2::text[], $3::text[], $4::bytea[]) AS given (purpose, kind, hash)
           WHERE stored.organisation_id = $1
             AND stored.purpose = given.purpose
             AND stored.kind = given.kind
             AND stored.hash = given.hash"#,
        organisation.as_str(),
        &purposes,
        &kinds,
        &bytes,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("suppression.delete"))?;
    Ok(deleted.rows_affected())
}

/// How many entries there are of one purpose, kind and source.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// For which purpose.
    pub purpose: String,
    /// Of which kind of identifier.
    pub kind: String,
    /// How they came about.
    pub source: String,
    /// Under which law.
    pub jurisdiction: String,
    /// How many.
    pub entries: i64,
    /// The oldest.
    pub oldest: DateTime<Utc>,
    /// The newest.
    pub newest: DateTime<Utc>,
}

/// Counts the entries of an organisation. There is no list of them: hashes are no audience.
pub async fn count_by_purpose(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<Counted>, StoreError> {
    sqlx::query_as!(
        Counted,
        r#"SELECT purpose, kind, source, jurisdiction, count(*) AS "entries!", min(since) AS "oldest!", max(since) AS "newest!"
           FROM dsrd.suppression
           WHERE organisation_id = $1
           GROUP BY purpose, kind, source, jurisdiction
           ORDER BY purpose, kind, source, jurisdiction"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("suppression.count_by_purpose"))
}
