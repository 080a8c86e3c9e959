//! Table `dsrd.look`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Ended, Found, Look, Seen, SettledAs};
use crate::domain::{MasterKey, OrganisationId, Reference, RequestId};
use crate::store::{PgConnection, StoreError};
use crate::suppression::Purpose;

/// For how long a look that was taken belongs to whoever took it.
const TAKEN_FOR: Duration = Duration::from_mins(15);

pub(super) async fn insert(
    connection: &mut PgConnection,
    keys: &MasterKey,
    look: &Look,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO dsrd.look (organisation_id, look_id, request_id, purpose, cause, after_days, contact, contact_hash,
                                  policies, others, since, due_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"#,
        look.organisation.as_str(),
        look.id,
        look.request.map(|request| request.0),
        look.purpose.as_str(),
        look.cause.as_str(),
        i32::try_from(look.after_days).unwrap_or(i32::MAX),
        super::seal(keys, look.id, &look.contact),
        &look.contact_hash[..],
        &look.policies,
        i64::try_from(look.others).unwrap_or(i64::MAX),
        look.since,
        look.due_at,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("suppression.insert_look"))
}

struct Row {
    look_id: Uuid,
    request_id: Option<Uuid>,
    purpose: String,
    cause: String,
    after_days: i32,
    contact: Vec<u8>,
    contact_hash: Vec<u8>,
    policies: Vec<String>,
    others: i64,
    since: DateTime<Utc>,
    due_at: DateTime<Utc>,
}

fn look_of(keys: &MasterKey, organisation: &OrganisationId, row: Row) -> Result<Look, StoreError> {
    let unreadable = |column: &str| StoreError::unreadable("suppression.read_look", format!("look.{column}"));
    Ok(Look {
        organisation: organisation.clone(),
        id: row.look_id,
        request: row.request_id.map(RequestId),
        purpose: row.purpose.parse().map_err(|_| unreadable("purpose"))?,
        cause: row.cause.parse().map_err(|_| unreadable("cause"))?,
        after_days: u32::try_from(row.after_days).map_err(|_| unreadable("after_days"))?,
        contact: super::open(keys, row.look_id, &row.contact)
            .map_err(|_| unreadable("contact (another master key?)"))?,
        contact_hash: row.contact_hash.try_into().map_err(|_| unreadable("contact_hash"))?,
        policies: row.policies,
        others: u64::try_from(row.others).map_err(|_| unreadable("others"))?,
        since: row.since,
        due_at: row.due_at,
    })
}

pub(super) async fn take_due(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    now: DateTime<Utc>,
) -> Result<Option<Look>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"UPDATE dsrd.look
           SET run_at = now() + make_interval(secs => $3), tries = tries + 1
           WHERE (organisation_id, look_id) IN (
             SELECT organisation_id, look_id
             FROM dsrd.look
             WHERE organisation_id = $1 AND looked_at IS NULL AND due_at <= $2
               -- Longer than it is ever put back for: that was done while the database's clock was ahead (F-48).
               AND (run_at <= now() OR run_at > now() + interval '60 minutes')
             ORDER BY due_at, look_id
             LIMIT 1
             FOR UPDATE SKIP LOCKED)
           RETURNING look_id, request_id, purpose, cause, after_days, contact, contact_hash, policies, others, since, due_at"#,
        organisation.as_str(),
        now,
        TAKEN_FOR.as_secs_f64(),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("suppression.take_look"))?;
    row.map(|row| look_of(keys, organisation, row)).transpose()
}

pub(super) async fn put_back(
    connection: &mut PgConnection,
    look: &Look,
    code: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.look
           SET run_at = now() + make_interval(mins => least(60, (2 ^ least(tries - 1, 6))::integer)), last_code = $3
           WHERE organisation_id = $1 AND look_id = $2 AND looked_at IS NULL"#,
        look.organisation.as_str(),
        look.id,
        code,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("suppression.put_look_back"))
}

/// Records the end of a look; false when somebody else has.
pub(super) async fn end(
    connection: &mut PgConnection,
    look: &Look,
    ended: &Ended<'_>,
    stranger: Option<[u8; 32]>,
    is_known: bool,
) -> Result<bool, StoreError> {
    let settled = is_known.then_some(SettledAs::Known.as_str());
    let done = sqlx::query!(
        r#"UPDATE dsrd.look
           SET looked_at = $3::timestamptz, verdict = $4, searches = $5, last_code = NULL, other_hash = $6,
               settled = $7, settled_at = CASE WHEN $7::text IS NULL THEN NULL ELSE $3::timestamptz END,
               settled_by = CASE WHEN $7::text IS NULL THEN NULL ELSE 'process:watch' END
           WHERE organisation_id = $1 AND look_id = $2 AND looked_at IS NULL"#,
        look.organisation.as_str(),
        look.id,
        ended.at,
        ended.seen.as_str(),
        i64::try_from(ended.searches).unwrap_or(i64::MAX),
        stranger.as_ref().map(<[u8; 32]>::as_slice),
        settled,
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("suppression.end_look"))?;
    Ok(done.rows_affected() == 1)
}

/// Whether the same contact is a task already, with all policies of this look; of a sign-up, whether it was seen before.
pub(super) async fn is_known(
    connection: &mut PgConnection,
    look: &Look,
    seen: Seen,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT FROM dsrd.look
             WHERE organisation_id = $1 AND purpose = $2 AND contact_hash = $3 AND look_id <> $4 AND policies @> $7
               AND CASE WHEN $5 THEN verdict IN ('back', 'newer_will') AND settled IS NULL
                        ELSE verdict = $6 END) AS "known!""#,
        look.organisation.as_str(),
        look.purpose.as_str(),
        &look.contact_hash[..],
        look.id,
        seen.needs_person(),
        seen.as_str(),
        &look.policies,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("suppression.is_known"))
}

/// The first of other contacts that nobody has seen yet: none of them is a task, or was one and was left. A task that does not say
/// whom it is about may be about any of them.
pub(super) async fn find_new_stranger(
    connection: &mut PgConnection,
    look: &Look,
    strangers: &[[u8; 32]],
) -> Result<Option<[u8; 32]>, StoreError> {
    let hashes: Vec<Vec<u8>> = strangers.iter().map(|hash| hash.to_vec()).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT seen.hash AS "hash!"
           FROM unnest($5::bytea[]) WITH ORDINALITY AS seen (hash, place)
           WHERE NOT EXISTS (
             SELECT FROM dsrd.look
             WHERE organisation_id = $1 AND purpose = $2 AND contact_hash = $3 AND look_id <> $4
               AND verdict = 'other_contact'
               AND (other_hash = seen.hash OR other_hash IS NULL AND settled IS NULL))
           ORDER BY seen.place
           LIMIT 1"#,
        look.organisation.as_str(),
        look.purpose.as_str(),
        &look.contact_hash[..],
        look.id,
        &hashes,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("suppression.find_new_stranger"))?;
    let unreadable = |_| StoreError::unreadable("suppression.find_new_stranger", "look.other_hash");
    found.map(|hash| hash.try_into().map_err(unreadable)).transpose()
}

/// The latest that is known of a contact.
pub(super) struct Latest {
    pub(super) request: Option<RequestId>,
    pub(super) others: u64,
    /// It is about to be looked at, a task, or being erased again.
    pub(super) is_pending: bool,
}

pub(super) async fn latest_of_contact(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    purpose: Purpose,
    contact_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<Latest>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT request_id, others,
                  bool_or(looked_at IS NULL AND due_at <= $4
                          OR verdict IN ('back', 'newer_will') AND settled IS NULL
                          OR settled = 'again'
                             AND EXISTS (SELECT FROM dsrd.request AS again
                                         WHERE again.organisation_id = look.organisation_id
                                           AND again.request_id = look.again_request_id AND again.state <> 'closed'))
                    OVER () AS "is_pending!"
           FROM dsrd.look
           WHERE organisation_id = $1 AND purpose = $2 AND contact_hash = $3
           ORDER BY since DESC, look_id DESC
           LIMIT 1"#,
        organisation.as_str(),
        purpose.as_str(),
        &contact_hash[..],
        now,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("suppression.latest_of_contact"))?;
    Ok(row.map(|row| Latest {
        request: row.request_id.map(RequestId),
        others: u64::try_from(row.others).unwrap_or_default(),
        is_pending: row.is_pending,
    }))
}

pub(super) async fn count_sampled(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    after: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM dsrd.look WHERE organisation_id = $1 AND cause = 'sample' AND due_at > $2"#,
        organisation.as_str(),
        after,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("suppression.count_sampled"))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Draws up to `most` effects, each once, of which none is about to be looked at and none is a task or was done again. That another
/// contact is a task says nothing of the erased one, and what became of one policy nothing of the others. A look that found another
/// contact is the last to be drawn from: an earlier version kept that one's id in it.
pub(super) async fn draw(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    purpose: Option<Purpose>,
    most: u64,
    now: DateTime<Utc>,
) -> Result<Vec<Look>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT look_id AS "look_id!", request_id, purpose AS "purpose!", cause AS "cause!", after_days AS "after_days!",
                  contact AS "contact!", contact_hash AS "contact_hash!", policies AS "policies!", others AS "others!",
                  since AS "since!", due_at AS "due_at!"
           FROM (
             SELECT DISTINCT ON (request_id, purpose) look.*
             FROM dsrd.look
             WHERE organisation_id = $1 AND request_id IS NOT NULL AND ($2::text IS NULL OR purpose = $2)
               AND NOT EXISTS (
                 SELECT FROM dsrd.look AS other
                 WHERE other.organisation_id = look.organisation_id AND other.purpose = look.purpose
                   AND other.contact_hash = look.contact_hash AND other.policies @> look.policies
                   AND (other.looked_at IS NULL AND other.due_at <= $3
                        OR other.verdict IN ('back', 'newer_will')
                           AND other.settled IS DISTINCT FROM 'known'
                           AND (other.settled IS NULL OR other.since >= look.since)))
             ORDER BY request_id, purpose, since DESC, (verdict IN ('signed_up', 'other_contact')) IS TRUE, look_id DESC) AS known
           ORDER BY random()
           LIMIT $4"#,
        organisation.as_str(),
        purpose.map(Purpose::as_str),
        now,
        i64::try_from(most).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("suppression.draw"))?;
    rows.into_iter().map(|row| look_of(keys, organisation, row)).collect()
}

/// Whether the watch has had an opt-out from the same policies done again before, or a person left any of them on since.
pub(super) async fn was_done_again(connection: &mut PgConnection, look: &Look) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT FROM dsrd.look
             WHERE organisation_id = $1 AND purpose = $2 AND contact_hash = $3
               AND (settled = 'again' AND settled_by = 'process:watch' AND policies @> $4
                    OR settled = 'left' AND settled_at > $5 AND policies && $4)) AS "was!""#,
        look.organisation.as_str(),
        look.purpose.as_str(),
        &look.contact_hash[..],
        &look.policies,
        look.since,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("suppression.was_done_again"))
}

pub(super) async fn lock_open(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    look: Uuid,
) -> Result<Option<(Look, Seen)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT look_id, request_id, purpose, cause, after_days, contact, contact_hash, policies, others, since, due_at,
                  verdict AS "verdict!"
           FROM dsrd.look
           WHERE organisation_id = $1 AND look_id = $2 AND settled IS NULL
             AND verdict IN ('back', 'newer_will', 'other_contact')
           FOR UPDATE"#,
        organisation.as_str(),
        look,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("suppression.lock_open"))?;
    let Some(row) = row else { return Ok(None) };
    let seen =
        row.verdict.parse().map_err(|_| StoreError::unreadable("suppression.lock_open", "look.verdict"))?;
    let row = Row {
        look_id: row.look_id,
        request_id: row.request_id,
        purpose: row.purpose,
        cause: row.cause,
        after_days: row.after_days,
        contact: row.contact,
        contact_hash: row.contact_hash,
        policies: row.policies,
        others: row.others,
        since: row.since,
        due_at: row.due_at,
    };
    Ok(Some((look_of(keys, organisation, row)?, seen)))
}

pub(super) async fn settle(
    connection: &mut PgConnection,
    look: &Look,
    settled: SettledAs,
    again: Option<RequestId>,
    by: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"UPDATE dsrd.look
           SET settled = $3, settled_at = $4, settled_by = $5, again_request_id = $6
           WHERE organisation_id = $1 AND look_id = $2 AND looked_at IS NOT NULL AND settled IS NULL"#,
        look.organisation.as_str(),
        look.id,
        settled.as_str(),
        at,
        by,
        again.map(|request| request.0),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("suppression.settle_look"))?;
    StoreError::expect_rows("suppression.settle_look", 1, done.rows_affected())
}

/// Deletes the looks that are still to come at a contact, and at no other policy than this look: not those at what was proven since.
pub(super) async fn end_planned(connection: &mut PgConnection, look: &Look) -> Result<(), StoreError> {
    sqlx::query!(
        r#"DELETE FROM dsrd.look
           WHERE organisation_id = $1 AND purpose = $2 AND contact_hash = $3 AND looked_at IS NULL
             AND policies <@ $4 AND since <= $5"#,
        look.organisation.as_str(),
        look.purpose.as_str(),
        &look.contact_hash[..],
        &look.policies,
        look.since,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("suppression.end_planned_looks"))
}

/// Takes the platform's id of a contact off the list of those erased, unless it was erased anew since.
pub(super) async fn allow_contact(connection: &mut PgConnection, look: &Look) -> Result<(), StoreError> {
    sqlx::query!(
        r#"DELETE FROM dsrd.suppression
           WHERE organisation_id = $1 AND purpose = 're_creation' AND kind = 'contact' AND hash = $2 AND since <= $3"#,
        look.organisation.as_str(),
        &look.contact_hash[..],
        look.since,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("suppression.allow_contact"))
}

/// What was found and is not as it was left: what waits for a person first, then the newest.
pub async fn list_found(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    most: u16,
) -> Result<Vec<Found>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT look_id, request_id, purpose, cause, since, looked_at AS "looked_at!", verdict AS "verdict!", settled,
                  settled_at, settled_by, again_request_id
           FROM dsrd.look
           WHERE organisation_id = $1 AND verdict <> 'still_so' AND settled IS DISTINCT FROM 'known'
           ORDER BY (settled IS NULL AND verdict <> 'signed_up') DESC, looked_at DESC, look_id
           LIMIT $2"#,
        organisation.as_str(),
        i64::from(most),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("suppression.list_found"))?;
    let unreadable =
        |column: &str| StoreError::unreadable("suppression.list_found", format!("look.{column}"));
    let reference = |request: Option<Uuid>| request.map(|id| Reference::of(RequestId(id)).to_string());
    rows.into_iter()
        .map(|row| {
            Ok(Found {
                look: row.look_id,
                reference: reference(row.request_id),
                purpose: row.purpose.parse().map_err(|_| unreadable("purpose"))?,
                cause: row.cause.parse().map_err(|_| unreadable("cause"))?,
                since: row.since,
                found_at: row.looked_at,
                seen: row.verdict.parse().map_err(|_| unreadable("verdict"))?,
                settled: row
                    .settled
                    .map(|word| word.parse())
                    .transpose()
                    .map_err(|_| unreadable("settled"))?,
                settled_at: row.settled_at,
                settled_by: row.settled_by,
                again_by: reference(row.again_request_id),
            })
        })
        .collect()
}

/// How the looks at effects of one purpose stand.
#[derive(Clone, Debug, Serialize)]
pub struct Watched {
    /// For which purpose: erased, or opted out.
    pub purpose: String,
    /// Effects that are looked at again, each once.
    pub effects: i64,
    /// Looks that ended.
    pub looks: i64,
    /// Of these, those that saw it as it was left.
    pub still_so: i64,
    /// Looks that are still to come.
    pub to_come: i64,
    /// Of these, those that are past their instant.
    pub overdue: i64,
    /// When the next one is due.
    pub next_at: Option<DateTime<Utc>>,
    /// When somebody looked last.
    pub last_at: Option<DateTime<Utc>>,
    /// Looks that the platform has not answered so far, by the code of the latest failure of any of them.
    pub failing: i64,
    /// That code.
    pub last_code: Option<String>,
}

/// Counts what is looked at, by purpose.
pub async fn list_watched(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    now: DateTime<Utc>,
) -> Result<Vec<Watched>, StoreError> {
    sqlx::query_as!(
        Watched,
        r#"SELECT purpose, count(DISTINCT (contact_hash, since)) AS "effects!",
                  count(*) FILTER (WHERE looked_at IS NOT NULL) AS "looks!",
                  count(*) FILTER (WHERE verdict = 'still_so') AS "still_so!",
                  count(*) FILTER (WHERE looked_at IS NULL) AS "to_come!",
                  count(*) FILTER (WHERE looked_at IS NULL AND due_at <= $2) AS "overdue!",
                  min(due_at) FILTER (WHERE looked_at IS NULL) AS next_at,
                  max(looked_at) AS last_at,
                  count(*) FILTER (WHERE looked_at IS NULL AND last_code IS NOT NULL) AS "failing!",
                  max(last_code) FILTER (WHERE looked_at IS NULL) AS last_code
           FROM dsrd.look
           WHERE organisation_id = $1
           GROUP BY purpose
           ORDER BY purpose DESC"#,
        organisation.as_str(),
        now,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("suppression.list_watched"))
}

/// Deletes the looks of requests that do not name their contact any more; what waits for a person stays.
pub async fn forget(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        r#"DELETE FROM dsrd.look
           WHERE organisation_id = $1 AND request_id = ANY ($2)
             AND NOT (verdict IS NOT NULL AND verdict IN ('back', 'newer_will', 'other_contact') AND settled IS NULL)"#,
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("suppression.forget_looks"))
}

/// Deletes the looks of requests that are deleted.
pub async fn purge(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    requests: &[RequestId],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
    sqlx::query!(
        "DELETE FROM dsrd.look WHERE organisation_id = $1 AND request_id = ANY ($2)",
        organisation.as_str(),
        &ids,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("suppression.purge_looks"))
}

/// Deletes the looks of sweeps that name no request: after the term of contact ids, and what waits for a person after that of
/// evidence.
pub async fn purge_without_request(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    contact_ids: DateTime<Utc>,
    evidence: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"DELETE FROM dsrd.look
           WHERE organisation_id = $1 AND request_id IS NULL
             AND (due_at < $3
                  OR due_at < $2
                     AND NOT (verdict IS NOT NULL AND verdict IN ('back', 'newer_will', 'other_contact')
                              AND settled IS NULL))"#,
        organisation.as_str(),
        contact_ids,
        evidence,
    )
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::during("suppression.purge_looks_without_request"))
}
