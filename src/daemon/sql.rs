//! Tables `dsrd.master_key`, `dsrd.organisation` and `dsrd.half`, and what the server says about itself.

use chrono::{DateTime, Utc};

use crate::audit::Half;
use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

/// The fingerprint of the key that sealed what is stored, if there is one.
pub async fn find_fingerprint(connection: &mut PgConnection) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!("SELECT fingerprint FROM dsrd.master_key")
        .fetch_optional(connection)
        .await
        .map_err(StoreError::during("daemon.find_fingerprint"))
}

/// Stores the fingerprint where there is none, and returns the one that stands.
pub(super) async fn settle_fingerprint(
    connection: &mut PgConnection,
    fingerprint: &str,
) -> Result<String, StoreError> {
    sqlx::query!("INSERT INTO dsrd.master_key (fingerprint) VALUES ($1) ON CONFLICT DO NOTHING", fingerprint)
        .execute(&mut *connection)
        .await
        .map_err(StoreError::during("daemon.settle_fingerprint"))?;
    let stands = find_fingerprint(connection).await?;
    stands.ok_or_else(|| StoreError::unreadable("daemon.settle_fingerprint", "dsrd.master_key"))
}

/// What became of registering an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registered {
    /// The database did not know it.
    Now,
    /// It knew it.
    Before,
    /// It, or its id at the platform, was registered differently before.
    Otherwise,
}

/// Registers an organisation where the database does not know it.
pub(super) async fn register_organisation(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    platform_organisation_id: &str,
    at: DateTime<Utc>,
) -> Result<Registered, StoreError> {
    let done = sqlx::query!(
        r#"INSERT INTO dsrd.organisation (organisation_id, platform_organisation_id, registered_at)
           VALUES ($1, $2, $3)
           ON CONFLICT DO NOTHING"#,
        organisation.as_str(),
        platform_organisation_id,
        at,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::during("daemon.register_organisation"))?;
    let stands = sqlx::query_scalar!(
        "SELECT platform_organisation_id FROM dsrd.organisation WHERE organisation_id = $1",
        organisation.as_str()
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("daemon.register_organisation"))?;
    Ok(match (stands.as_deref() == Some(platform_organisation_id), done.rows_affected()) {
        (false, _) => Registered::Otherwise,
        (true, 0) => Registered::Before,
        (true, _) => Registered::Now,
    })
}

/// Writes down which kinds of decision need a second person, so that the database refuses them without one; false where
/// it knew the same ones, in whatever order.
pub(super) async fn set_two_persons(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    kinds: &[String],
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.organisation
           SET two_persons = $2
           WHERE organisation_id = $1 AND NOT (two_persons @> $2 AND two_persons <@ $2)"#,
        organisation.as_str(),
        kinds,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("daemon.set_two_persons"))?;
    Ok(done.rows_affected() == 1)
}

/// What is stored for an organisation that the configuration does not name, and so waits for another daemon or for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranded {
    /// Its short name; none when a producer wrote something that cannot be one, which is not repeated.
    pub organisation: Option<OrganisationId>,
    /// Requests that are not closed.
    pub open_requests: i64,
    /// Rows of producers that are not taken, or did not become a request. One of an organisation that no daemon knows is anybody's
    /// to correct and does not wait here once it is parked.
    pub intake_rows: i64,
}

/// Counts what is stored for organisations other than `configured`.
pub async fn find_stranded(
    connection: &mut PgConnection,
    configured: &[String],
) -> Result<Vec<Stranded>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT organisation_id AS "organisation_id!", sum(requests)::bigint AS "open_requests!",
                  sum(rows)::bigint AS "intake_rows!"
           FROM (
             SELECT organisation_id, count(*) AS requests, 0 AS rows
             FROM dsrd.request
             WHERE state <> 'closed' AND organisation_id <> ALL ($1)
             GROUP BY organisation_id
             UNION ALL
             SELECT organisation_id, 0, count(*)
             FROM dsrd.intake
             WHERE organisation_id <> ALL ($1)
             GROUP BY organisation_id
             UNION ALL
             SELECT organisation_id, 0, count(*)
             FROM dsrd.intake_parked
             JOIN dsrd.organisation USING (organisation_id)
             WHERE organisation_id <> ALL ($1)
             GROUP BY organisation_id
           ) AS stored
           GROUP BY organisation_id
           ORDER BY organisation_id"#,
        configured,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("daemon.find_stranded"))?;
    let mut found: Vec<Stranded> = Vec::new();
    for row in rows {
        let organisation = row.organisation_id.parse().ok();
        match found.iter_mut().find(|each| each.organisation == organisation) {
            Some(known) => {
                known.open_requests += row.open_requests;
                known.intake_rows += row.intake_rows;
            }
            None => found.push(Stranded {
                organisation,
                open_requests: row.open_requests,
                intake_rows: row.intake_rows,
            }),
        }
    }
    Ok(found)
}

/// What the role of the service may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleRights {
    /// It writes requests and audit entries, and the login may seal those.
    pub may_work: bool,
    /// It could change or delete audit entries, which it must not.
    pub may_forge: bool,
}

/// Reads the rights of the present role (`dsrd_service` on connections of the pool).
pub async fn role_rights(connection: &mut PgConnection) -> Result<RoleRights, StoreError> {
    sqlx::query_as!(
        RoleRights,
        r#"SELECT has_table_privilege(current_user, 'dsrd.request', 'INSERT, UPDATE')
                    AND has_column_privilege(current_user, 'audit.inbox', 'entry', 'INSERT')
                    AND pg_has_role(session_user, 'aud_sealer', 'MEMBER') AS "may_work!",
                  has_any_column_privilege(current_user, 'audit.entry', 'INSERT')
                    OR has_table_privilege(current_user, 'audit.entry', 'UPDATE')
                    OR has_table_privilege(current_user, 'audit.entry', 'DELETE')
                    OR has_table_privilege(current_user, 'audit.entry', 'TRUNCATE')
                    OR has_table_privilege(current_user, 'audit.head', 'UPDATE')
                    OR has_table_privilege(current_user, 'audit.inbox', 'UPDATE')
                    OR has_table_privilege(current_user, 'audit.inbox', 'DELETE') AS "may_forge!""#
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("daemon.role_rights"))
}

/// A setting of the server and its value.
pub async fn server_settings(connection: &mut PgConnection) -> Result<Vec<(String, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT name AS "name!", setting AS "setting!"
           FROM pg_settings
           WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'server_version')
           ORDER BY name"#
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("daemon.server_settings"))?;
    Ok(rows.into_iter().map(|row| (row.name, row.setting)).collect())
}

/// Reads the half of the working tables, and keeps others from raising it until the transaction ends.
pub(super) async fn lock_half(connection: &mut PgConnection) -> Result<Half, StoreError> {
    sqlx::query_as!(Half, "SELECT number, at FROM dsrd.half FOR UPDATE")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("daemon.lock_half"))
}

/// Raises the number of the working tables' half; answers with the new one.
pub(super) async fn raise_half(connection: &mut PgConnection) -> Result<i64, StoreError> {
    sqlx::query_scalar!("UPDATE dsrd.half SET number = number + 1, at = clock_timestamp() RETURNING number")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("daemon.raise_half"))
}

/// Sets the number of the working tables' half, when a person accepted that it was another one.
pub(super) async fn settle_half(connection: &mut PgConnection, number: i64) -> Result<(), StoreError> {
    let settled = sqlx::query!("UPDATE dsrd.half SET number = $1, at = clock_timestamp()", number)
        .execute(connection)
        .await
        .map_err(StoreError::during("daemon.settle_half"))?;
    StoreError::expect_rows("daemon.settle_half", 1, settled.rows_affected())
}
