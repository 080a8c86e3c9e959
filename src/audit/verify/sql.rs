//! The log's tables and their definition, read with an auditor's rights.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::columns;
use super::erasure::{Erasable, PageRow};
use super::holds::{HoldDeed, HoldRow};
use super::source::{KeptHead, KeptStamp, Stored};
use crate::store::StoreError;

/// What stands before the rows of a binary COPY: its signature, no flags, no extension.
const BINARY_COPY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands after them.
const BINARY_COPY_END: [u8; 2] = [0xff; 2];

/// Begins to read one unchanging state of the database. Names are resolved in the system's own schema only, so that what
/// somebody put into another one is not called, and definitions are spelled with the schema of each name.
pub(super) async fn begin(connection: &mut PgConnection) -> Result<(), StoreError> {
    let failed = || StoreError::during("audit.verify.begin");
    sqlx::query!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *connection)
        .await
        .map_err(failed())?;
    sqlx::query!("SET LOCAL search_path = pg_catalog, pg_temp")
        .execute(&mut *connection)
        .await
        .map_err(failed())?;
    Ok(())
}

/// The name under which another connection may read the same state as this one.
pub(super) async fn export_snapshot(connection: &mut PgConnection) -> Result<String, StoreError> {
    sqlx::query_scalar!(r#"SELECT pg_export_snapshot() AS "snapshot!""#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.verify.export_snapshot"))
}

/// [`begin`]s to read the state that another connection exported. The statement takes no parameters and cannot be checked
/// when compiled; what is put into it is a name that the server has just made, if it is of the form that it makes.
pub(super) async fn begin_with(connection: &mut PgConnection, snapshot: &str) -> Result<(), StoreError> {
    let failed = || StoreError::during("audit.verify.begin_with");
    begin(&mut *connection).await?;
    if !snapshot.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        let unknown = "the name of an exported snapshot is not of the form that is known".to_owned();
        return Err(failed()(sqlx::Error::Protocol(unknown)));
    }
    sqlx::raw_sql(AssertSqlSafe(format!("SET TRANSACTION SNAPSHOT '{snapshot}'")))
        .execute(connection)
        .await
        .map_err(failed())?;
    Ok(())
}

/// Takes on an auditor's rights and no others, where the login may: a superuser would not see what is hidden from
/// auditors. Answers whether it did.
pub(super) async fn act_as_auditor(connection: &mut PgConnection) -> Result<bool, StoreError> {
    match sqlx::query!("SET ROLE auditor").execute(connection).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => Ok(false),
        Err(error) => Err(StoreError::during("audit.verify.act_as_auditor")(error)),
    }
}

/// The row of the newest head.
pub(super) struct HeadRow {
    pub(super) origin: String,
    pub(super) size: i64,
    pub(super) root: Vec<u8>,
    pub(super) note: Option<String>,
}

/// Reads the newest head.
pub(super) async fn find_head(connection: &mut PgConnection) -> Result<Option<HeadRow>, StoreError> {
    sqlx::query_as!(HeadRow, "SELECT origin, size, root, note FROM audit.head")
        .fetch_optional(connection)
        .await
        .map_err(StoreError::during("audit.verify.find_head"))
}

/// The largest number of an entry.
pub(super) async fn last_seq(connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar!("SELECT max(seq) FROM audit.entry")
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.verify.last_seq"))
}

/// Reads the entries with numbers above `after` and up to `last`, by COPY: a row comes as it is, and is taken apart where
/// it is compared. A COPY takes no parameters and cannot be checked when compiled; what is put into it are two numbers and
/// the names of [`SELECTED`](columns::SELECTED), and rows of another form than theirs are refused.
pub(super) async fn entries(
    connection: &mut PgConnection,
    after: i64,
    last: i64,
) -> Result<Vec<Stored>, StoreError> {
    let failed = || StoreError::during("audit.verify.entries");
    let malformed =
        || sqlx::Error::Protocol("a row of COPY is not of the form that was asked for".to_owned());
    let statement = format!(
        "COPY (SELECT {} FROM audit.entry WHERE seq > {after} AND seq <= {last} ORDER BY seq) TO STDOUT (FORMAT binary)",
        columns::SELECTED
    );
    let mut pieces = connection.copy_out_raw(&statement).await.map_err(failed())?;
    let mut rows =
        Vec::with_capacity(usize::try_from(last.saturating_sub(after)).unwrap_or_default().min(65_536));
    let mut head = BINARY_COPY_HEAD;
    while let Some(mut piece) = pieces.try_next().await.map_err(failed())? {
        // The head comes with the first row, or by itself where there is none; the server sends each row in one piece.
        if !head.is_empty() {
            piece = piece
                .strip_prefix(head)
                .map(|rest| piece.slice_ref(rest))
                .ok_or_else(malformed)
                .map_err(failed())?;
            head = &[];
        }
        if piece.is_empty() || piece.as_ref() == BINARY_COPY_END {
            continue;
        }
        rows.push(columns::read_row(piece).ok_or_else(malformed).map_err(failed())?);
    }
    Ok(rows)
}

/// Finds the cases with a reference. The log itself holds none.
pub(super) async fn cases_of(
    connection: &mut PgConnection,
    reference: &str,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT case_id AS "case!" FROM audit_view.request WHERE reference = $1 ORDER BY case_id LIMIT 2"#,
        reference
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.verify.cases_of"))
}

/// Reads full tiles of one level, from one index to below another: index and hashes.
pub(super) async fn tiles(
    connection: &mut PgConnection,
    level: i16,
    first: i64,
    end: i64,
) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT n, hashes FROM audit.tile WHERE level = $1 AND n >= $2 AND n < $3 ORDER BY n",
        level,
        first,
        end
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.verify.tiles"))?;
    Ok(rows.into_iter().map(|row| (row.n, row.hashes)).collect())
}

/// Reads the partial tile of a level: index and hashes.
pub(super) async fn find_edge(
    connection: &mut PgConnection,
    level: i16,
) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
    let row = sqlx::query!("SELECT n, hashes FROM audit.edge WHERE level = $1", level)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::during("audit.verify.find_edge"))?;
    Ok(row.map(|row| (row.n, row.hashes)))
}

/// Reads kept checkpoints with sizes above `after` and up to `last`, each with the lines of its witnesses.
pub(super) async fn kept_heads(
    connection: &mut PgConnection,
    after: i64,
    last: i64,
) -> Result<Vec<KeptHead>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT kept.size, kept.note || coalesce(string_agg(signed.line || chr(10), '' ORDER BY signed.key_name), '')
                  AS "note!"
           FROM audit.checkpoint AS kept
           LEFT JOIN audit.cosignature AS signed ON signed.size = kept.size
           WHERE kept.size > $1 AND kept.size <= $2
           GROUP BY kept.size, kept.note
           ORDER BY kept.size"#,
        after,
        last
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.verify.kept_heads"))?;
    Ok(rows
        .into_iter()
        .map(|row| KeptHead { size: u64::try_from(row.size).unwrap_or_default(), note: row.note })
        .collect())
}

/// Reads what stands beside the entries: whose names are kept, holds, pages of sweeps, and what is recorded of them and not
/// sealed yet.
pub(super) async fn erasable(connection: &mut PgConnection) -> Result<Erasable, StoreError> {
    let failed = || StoreError::during("audit.verify.erasable");
    let actors = sqlx::query_scalar!(r#"SELECT actor_id AS "actor_id!" FROM audit.known_actor"#)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed())?;
    let holds = sqlx::query!(
        r#"SELECT hold_id::text AS "id!", reason AS "reason!", review_on, until_on,
                  set_by AS "set_by!", (extract(epoch FROM set_at) * 1000000)::bigint AS "set_us!",
                  lifted_by, (extract(epoch FROM lifted_at) * 1000000)::bigint AS lifted_us
           FROM audit.hold"#
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(failed())?;
    let pending = sqlx::query!(
        r#"SELECT CASE WHEN action <> 'sweep.page' THEN case_id END AS case_id, detail ->> 'actor' AS actor, detail ->> 'hold' AS hold,
                  CASE WHEN action = 'sweep.page' THEN uid END AS page,
                  CASE WHEN action = 'log.redact' AND detail ->> 'kind' = 'sweep_item' AND detail ->> 'rows' ~ '^\d{1,15}$'
                       THEN (detail ->> 'rows')::bigint END AS items
           FROM audit.pending
           WHERE action IN ('log.redact', 'log.hold_set', 'log.hold_lifted', 'sweep.page')"#
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(failed())?;
    let pages = sqlx::query!(
        r#"SELECT uid AS "uid!", items::bigint AS "items!", kept AS "kept!" FROM audit.opening_item"#
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(failed())?;
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(Erasable {
        actors: actors.into_iter().collect(),
        holds: holds
            .into_iter()
            .map(|row| HoldRow {
                id: row.id,
                reason: row.reason,
                review_on: row.review_on,
                until_on: row.until_on,
                set: HoldDeed { by: row.set_by, at_us: number(row.set_us) },
                lifted: row.lifted_by.zip(row.lifted_us).map(|(by, us)| HoldDeed { by, at_us: number(us) }),
            })
            .collect(),
        pending_cases: pending.iter().filter_map(|row| row.case_id).collect(),
        pending_actors: pending.iter().filter_map(|row| row.actor.clone()).collect(),
        pages: pages
            .into_iter()
            .map(|row| (row.uid, PageRow { items: number(row.items), kept: number(row.kept) }))
            .collect(),
        pending_pages: pending.iter().filter_map(|row| row.page).collect(),
        pending_items: pending.iter().filter_map(|row| row.items).map(number).sum(),
        pending_holds: pending.into_iter().filter_map(|row| row.hold).collect::<HashSet<_>>(),
    })
}

/// Reads what the kept commitments make together, of cases that are given as their organisations and, in the same order, their
/// ids.
pub(super) async fn openings(
    connection: &mut PgConnection,
    organisations: &[String],
    cases: &[Uuid],
) -> Result<HashMap<Uuid, String>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT asked.case_id AS "case_id!", kept.subject_c AS "subject_c!"
           FROM unnest($1::text[], $2::uuid[]) AS asked (organisation_id, case_id)
           CROSS JOIN LATERAL (
             SELECT subject_c
             FROM audit.opening
             WHERE opening.organisation_id = asked.organisation_id AND opening.case_id = asked.case_id
           ) AS kept"#,
        organisations,
        cases
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.verify.openings"))?;
    Ok(rows.into_iter().map(|row| (row.case_id, row.subject_c)).collect())
}

/// Reads the time-stamps of kept checkpoints with sizes above `after` and up to `last`: size and token.
pub(super) async fn stamps(
    connection: &mut PgConnection,
    after: i64,
    last: i64,
) -> Result<Vec<KeptStamp>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT size, token AS "token!" FROM audit.anchor
           WHERE kind = 'rfc3161' AND token IS NOT NULL AND size > $1 AND size <= $2
           ORDER BY size, place"#,
        after,
        last
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.verify.stamps"))?;
    // The table refuses sizes below 1.
    Ok(rows
        .into_iter()
        .map(|row| KeptStamp { size: row.size.try_into().unwrap_or_default(), token: row.token })
        .collect())
}

/// The major version of the server.
pub(super) async fn server_major(connection: &mut PgConnection) -> Result<i32, StoreError> {
    sqlx::query_scalar!(r#"SELECT current_setting('server_version_num')::integer / 10000 AS "major!""#)
        .fetch_one(connection)
        .await
        .map_err(StoreError::during("audit.verify.server_major"))
}

/// One fact of the definition of the log's tables, functions and roles.
pub(super) struct FactRow {
    /// Table, view, function, schema or role.
    pub(super) object: String,
    /// Which of its properties.
    pub(super) aspect: String,
    /// What it is.
    pub(super) definition: String,
    /// Whether the object is a partition.
    pub(super) is_partition: bool,
    /// For a partition, its range.
    pub(super) bound: Option<String>,
}

/// Reads everything that the database says of the definition of the log: columns with what generates them, constraints,
/// indexes, triggers and whether they fire, rules, policies, views, functions with a hash of their source, rights, and
/// who is a member of the roles that may change the log. Owners other than the project's roles are the one who
/// migrated, whatever the name.
///
/// A member of a role counts if it can use its rights. From PostgreSQL 16 on whoever creates a role is made a member that cannot, and
/// cannot undo it; that one may appoint members, as whoever has CREATEROLE could before.
pub(super) async fn facts(connection: &mut PgConnection) -> Result<Vec<FactRow>, StoreError> {
    sqlx::query_as!(
        FactRow,
        r#"WITH relation AS (
             SELECT c.oid, c.relname::text AS name, n.nspname || '.' || c.relname AS full_name, c.relkind, c.relispartition,
                    c.relowner, c.relacl, n.nspname::text AS schema, c.relrowsecurity, c.relforcerowsecurity, c.relpersistence,
                    c.reloptions, c.relpartbound
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname IN ('audit', 'audit_private', 'audit_view') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
           ), owner AS (
             SELECT oid, CASE WHEN rolname IN ('aud_owner', 'aud_writer', 'aud_sealer', 'aud_reader', 'aud_eraser', 'auditor',
                                              'dsrd_audit', 'dsrd_service', 'dsrd_producer')
                         THEN rolname::text ELSE '<migrator>' END AS name FROM pg_roles
           ), fact AS (
             SELECT oid, full_name, 'relation' AS aspect,
                    format('kind %s, owner %s, persistence %s, row security %s/%s, options %s, partition %s', relkind,
                           (SELECT name FROM owner WHERE oid = relowner), relpersistence, relrowsecurity, relforcerowsecurity,
                           coalesce(array_to_string(reloptions, ' '), '-'), relispartition) AS definition
             FROM relation
             UNION ALL
             SELECT r.oid, full_name, 'column ' || a.attname,
                    format('%s, not null %s, generated %s, identity %s, default %s', format_type(a.atttypid, a.atttypmod), a.attnotnull,
                           nullif(a.attgenerated, ''), nullif(a.attidentity, ''), pg_get_expr(d.adbin, d.adrelid))
             FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
             LEFT JOIN pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum
             WHERE r.relkind <> 'S'
             UNION ALL
             SELECT r.oid, full_name, 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
             FROM relation AS r JOIN pg_constraint AS c ON c.conrelid = r.oid AND c.contype <> 'n'
             UNION ALL
             SELECT r.oid, full_name, 'index ' || i.relname, pg_get_indexdef(x.indexrelid) || CASE WHEN x.indisvalid THEN '' ELSE ' INVALID' END
             FROM relation AS r JOIN pg_index AS x ON x.indrelid = r.oid JOIN pg_class AS i ON i.oid = x.indexrelid
             UNION ALL
             SELECT r.oid, full_name, 'trigger ' || t.tgname, format('enabled %s: %s', t.tgenabled, pg_get_triggerdef(t.oid))
             FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
             UNION ALL
             SELECT r.oid, full_name, 'rule ' || w.rulename, pg_get_ruledef(w.oid)
             FROM relation AS r JOIN pg_rewrite AS w ON w.ev_class = r.oid AND NOT (r.relkind = 'v' AND w.rulename = '_RETURN')
             UNION ALL
             SELECT oid, full_name, 'view', regexp_replace(pg_get_viewdef(oid), '\s+', ' ', 'g') FROM relation WHERE relkind = 'v'
             UNION ALL
             SELECT r.oid, full_name, 'policy ' || p.polname, format('%s %s', p.polcmd, pg_get_expr(p.polqual, p.polrelid))
             FROM relation AS r JOIN pg_policy AS p ON p.polrelid = r.oid
             UNION ALL
             SELECT r.oid, full_name, 'child', 'inherited by ' || i.inhrelid::regclass
             FROM relation AS r JOIN pg_inherits AS i ON i.inhparent = r.oid
             WHERE NOT (r.full_name = 'audit.entry' AND EXISTS (SELECT FROM relation AS part WHERE part.oid = i.inhrelid))
             UNION ALL
             SELECT r.oid, full_name,
                    'grant to ' || CASE g.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(g.grantee) END,
                    string_agg(g.privilege_type || CASE WHEN g.is_grantable THEN '*' ELSE '' END, ' ' ORDER BY g.privilege_type)
             FROM relation AS r CROSS JOIN LATERAL aclexplode(r.relacl) AS g
             WHERE g.grantee <> r.relowner GROUP BY r.oid, full_name, g.grantee
             UNION ALL
             SELECT r.oid, full_name,
                    'grant to ' || CASE g.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(g.grantee) END || ' on ' || a.attname,
                    string_agg(g.privilege_type || CASE WHEN g.is_grantable THEN '*' ELSE '' END, ' ' ORDER BY g.privilege_type)
             FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid CROSS JOIN LATERAL aclexplode(a.attacl) AS g
             WHERE g.grantee <> r.relowner GROUP BY r.oid, full_name, g.grantee, a.attname
             UNION ALL
             SELECT p.oid, n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', 'function',
                    format('%s, language %s, volatile %s, strict %s, security definer %s, settings %s, owner %s, source sha256 %s',
                           pg_get_function_result(p.oid), l.lanname, p.provolatile, p.proisstrict, p.prosecdef,
                           coalesce(array_to_string(p.proconfig, ' '), '-'), (SELECT name FROM owner WHERE oid = p.proowner),
                           encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'))
             FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang
             WHERE n.nspname IN ('audit', 'audit_private', 'audit_view')
             UNION ALL
             SELECT p.oid, n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
                    'grant to ' || CASE g.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(g.grantee) END, g.privilege_type
             FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
             CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS g
             WHERE n.nspname IN ('audit', 'audit_private', 'audit_view') AND g.grantee <> p.proowner
             UNION ALL
             SELECT n.oid, 'schema ' || n.nspname,
                    'grant to ' || CASE g.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(g.grantee) END,
                    string_agg(g.privilege_type, ' ' ORDER BY g.privilege_type)
             FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS g
             WHERE n.nspname IN ('audit', 'audit_private', 'audit_view') AND g.grantee <> n.nspowner
             GROUP BY n.oid, n.nspname, g.grantee
             UNION ALL
             SELECT r.oid, 'role ' || r.rolname, 'role',
                    format('superuser %s, bypasses row security %s, may log in %s', r.rolsuper, r.rolbypassrls, r.rolcanlogin)
             FROM pg_roles AS r
             WHERE r.rolname IN ('aud_owner', 'aud_writer', 'aud_sealer', 'aud_reader', 'aud_eraser', 'auditor', 'dsrd_audit', 'dsrd_service')
             UNION ALL
             SELECT r.oid, 'role ' || r.rolname, 'member', 'member ' || m.member::regrole
             FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid WHERE r.rolname IN ('aud_owner', 'dsrd_audit', 'aud_eraser', 'pg_write_all_data')
               AND (to_jsonb(m) ->> 'set_option' IS DISTINCT FROM 'false' OR to_jsonb(m) ->> 'inherit_option' IS DISTINCT FROM 'false')
           )
           SELECT fact.full_name AS "object!", fact.aspect AS "aspect!", coalesce(fact.definition, '') AS "definition!",
                  coalesce(relation.relispartition, false) AS "is_partition!",
                  CASE WHEN aspect = 'relation' THEN pg_get_expr(relation.relpartbound, relation.oid) END AS bound
           FROM fact LEFT JOIN relation ON relation.oid = fact.oid AND relation.full_name = fact.full_name
           ORDER BY 1, 2, 3"#
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.verify.facts"))
}
