//! The view `audit_view.log`, searched.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Search;
use crate::audit::{Action, Entry};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// Finds sealed entries with numbers above `after`, at most `most`; the next page starts after the last one returned.
pub async fn search(
    connection: &mut PgConnection,
    search: &Search,
    after: i64,
    most: i64,
) -> Result<Vec<Entry>, StoreError> {
    let (key, value) = search.detail.as_ref().map_or((None, None), |(key, value)| (Some(key), Some(value)));
    let organisation = search.organisation.as_ref().map(OrganisationId::as_str);
    let most = most.clamp(1, 10_000);
    let found = match search.case {
        // A statement of its own, whose plan need not be made anew to see that the index of cases fits.
        Some(case) => {
            sqlx::query_as!(
                Entry,
                r#"SELECT seq AS "seq!", at AS "at!", organisation_id AS organisation, case_id AS "case", action AS "action!",
                          outcome, actor AS "actor!", intent, uid AS "id!", detail AS "detail!"
                   FROM audit_view.log
                   WHERE case_id = $1
                     AND seq > $2
                     AND ($3::text IS NULL OR organisation_id = $3 OR organisation_id IS NULL)
                     AND ($4::text IS NULL OR action = $4 OR ($4 LIKE '%.' AND starts_with(action, $4)))
                     AND ($5::text IS NULL OR outcome = $5)
                     AND ($6::text IS NULL OR actor = $6)
                     AND ($7::timestamptz IS NULL OR at >= $7)
                     AND ($8::timestamptz IS NULL OR at < $8)
                     AND ($9::text IS NULL OR detail ->> $9 = $10)
                   ORDER BY seq
                   LIMIT $11"#,
                case.0,
                after,
                organisation,
                search.action,
                search.outcome,
                search.actor,
                search.since,
                search.until,
                key,
                value,
                most,
            )
            .fetch_all(connection)
            .await
        }
        None => {
            sqlx::query_as!(
                Entry,
                r#"SELECT seq AS "seq!", at AS "at!", organisation_id AS organisation, case_id AS "case", action AS "action!",
                          outcome, actor AS "actor!", intent, uid AS "id!", detail AS "detail!"
                   FROM audit_view.log
                   WHERE seq > $1
                     AND ($2::text IS NULL OR organisation_id = $2 OR organisation_id IS NULL)
                     AND ($3::text IS NULL OR action = $3 OR ($3 LIKE '%.' AND starts_with(action, $3)))
                     AND ($4::text IS NULL OR outcome = $4)
                     AND ($5::text IS NULL OR actor = $5)
                     AND ($6::timestamptz IS NULL OR at >= $6)
                     AND ($7::timestamptz IS NULL OR at < $7)
                     AND ($8::text IS NULL OR detail ->> $8 = $9)
                   ORDER BY seq
                   LIMIT $10"#,
                after,
                organisation,
                search.action,
                search.outcome,
                search.actor,
                search.since,
                search.until,
                key,
                value,
                most,
            )
            .fetch_all(connection)
            .await
        }
    };
    found.map_err(StoreError::during("audit.search"))
}

/// The number of the first sealed entry of an organisation with one of these actions that is not older than `since`; none where
/// there is none. Found by action and instant: a log of years is not read from its beginning.
pub async fn first_of_actions(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    actions: &[Action],
    since: DateTime<Utc>,
) -> Result<Option<i64>, StoreError> {
    let words: Vec<String> = actions.iter().map(|action| action.as_str().to_owned()).collect();
    // The offset keeps the planner from walking the numbers upwards until one fits.
    sqlx::query_scalar!(
        r#"SELECT min(seq)
           FROM (SELECT seq FROM audit.entry
                 WHERE organisation_id = $1 AND action = ANY ($2) AND at >= $3
                 OFFSET 0) AS found"#,
        organisation.as_str(),
        &words,
        since,
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("audit.first_of_actions"))
}

/// Lists sealed entries of an organisation with one of these actions, not older than `since`, with numbers above `after`;
/// at most `most`. What figures are counted from.
pub async fn list_actions(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    actions: &[Action],
    since: DateTime<Utc>,
    after: i64,
    most: i64,
) -> Result<Vec<Entry>, StoreError> {
    let words: Vec<String> = actions.iter().map(|action| action.as_str().to_owned()).collect();
    sqlx::query_as!(
        Entry,
        r#"SELECT seq AS "seq!", at AS "at!", organisation_id AS organisation, case_id AS "case", action AS "action!",
                  outcome, actor AS "actor!", intent, uid AS "id!", detail AS "detail!"
           FROM audit_view.log
           WHERE seq > $1 AND organisation_id = $2 AND action = ANY ($3) AND at >= $4
           ORDER BY seq
           LIMIT $5"#,
        after,
        organisation.as_str(),
        &words,
        since,
        most.clamp(1, 10_000),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.list_actions"))
}

/// That a member of staff did something in a case. Who it was is left out.
#[derive(Clone, Debug)]
pub struct StaffEntry {
    /// The case.
    pub case: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// What, a word of [`Action`].
    pub action: String,
}

/// Lists what members of staff did in these cases, as far as it is one of these actions and sealed; oldest first, at
/// most `most`. Who searched the log for a case, took its entries out, or evidence of it, left an entry about the log as a whole, which
/// names the case in its detail.
pub async fn list_by_staff(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    cases: &[RequestId],
    actions: &[Action],
    most: i64,
) -> Result<Vec<StaffEntry>, StoreError> {
    let words: Vec<String> = actions.iter().map(|action| action.as_str().to_owned()).collect();
    let ids: Vec<Uuid> = cases.iter().map(|case| case.0).collect();
    let texts: Vec<String> = cases.iter().map(ToString::to_string).collect();
    sqlx::query_as!(
        StaffEntry,
        r#"SELECT found.case_id AS "case!", found.at AS "at!", found.action AS "action!"
           FROM (SELECT seq, case_id, at, action FROM audit_view.log
                 WHERE organisation_id = $1 AND case_id = ANY ($2) AND action = ANY ($4) AND actor LIKE 'person:%'
                 UNION ALL
                 SELECT seq, (detail ->> 'of_case')::uuid, at, action FROM audit_view.log
                 WHERE action IN ('log.read', 'log.exported', 'log.proved', 'evidence.taken') AND action = ANY ($4)
                   AND detail ->> 'of_case' = ANY ($3) AND actor LIKE 'person:%') AS found
           ORDER BY found.at, found.seq
           LIMIT $5"#,
        organisation.as_str(),
        &ids,
        &texts,
        &words,
        most,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("audit.list_by_staff"))
}

/// From when on the log is whole: the instant of its oldest entry where older ones were removed, none where it still
/// holds its first.
pub async fn whole_since(connection: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StoreError> {
    let oldest =
        sqlx::query!(r#"SELECT seq AS "seq!", at AS "at!" FROM audit_view.log ORDER BY seq LIMIT 1"#)
            .fetch_optional(connection)
            .await
            .map_err(StoreError::during("audit.whole_since"))?;
    Ok(oldest.filter(|oldest| oldest.seq > 1).map(|oldest| oldest.at))
}
