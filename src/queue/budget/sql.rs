//! Table `dsrd.rate_budget`.

use std::time::Duration;

use super::super::sql::interval;
use super::{Limit, Reserved};
use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

/// Makes sure that the organisation has its row.
pub async fn ensure_budget(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO dsrd.rate_budget (organisation_id) VALUES ($1) ON CONFLICT DO NOTHING",
        organisation.as_str()
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.ensure_budget"))?;
    Ok(())
}

/// Whether the organisation has its row: from its first start on.
pub async fn has_budget(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM dsrd.rate_budget WHERE organisation_id = $1) AS "has!""#,
        organisation.as_str()
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("queue.has_budget"))
}

/// Reserves `calls` calls, if the first of them may be made within `horizon`. What lies further ahead than anybody may write
/// was written while the database's clock was ahead (F-48), and counts as past: otherwise no call would be made until then.
pub async fn reserve_calls(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    limit: Limit,
    calls: u32,
    horizon: Duration,
) -> Result<Reserved, StoreError> {
    let rest = limit.emission * limit.burst.saturating_sub(1);
    let reserved = sqlx::query_scalar!(
        r#"UPDATE dsrd.rate_budget
           SET theoretical_arrival_at = $2::interval + greatest(
                 CASE WHEN theoretical_arrival_at <= clock_timestamp() + $5::interval THEN theoretical_arrival_at END,
                 clock_timestamp() - $4::interval)
           WHERE organisation_id = $1
             AND (blocked_until <= clock_timestamp() OR blocked_until > clock_timestamp() + $6::interval)
             AND (theoretical_arrival_at <= clock_timestamp() + $3::interval
                  OR theoretical_arrival_at > clock_timestamp() + $5::interval)
           RETURNING greatest(0, extract(epoch FROM theoretical_arrival_at - $2::interval - clock_timestamp()))::float8 AS "delay!""#,
        organisation.as_str(),
        interval(limit.emission * calls),
        interval(horizon),
        interval(rest),
        interval(limit.furthest + limit.emission * calls),
        interval(limit.longest_pause),
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(StoreError::during("queue.reserve_calls"))?;
    if let Some(delay) = reserved {
        return Ok(Reserved::After(Duration::from_secs_f64(delay)));
    }
    let wait = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM greatest(blocked_until, theoretical_arrival_at - $2::interval) - clock_timestamp())::float8 AS "wait"
           FROM dsrd.rate_budget
           WHERE organisation_id = $1"#,
        organisation.as_str(),
        interval(horizon),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("queue.reserve_calls"))?;
    let wait = wait.filter(|secs| secs.is_finite()).unwrap_or_default().clamp(0.001, 600.0);
    Ok(Reserved::NotYet(Duration::from_secs_f64(wait)))
}

/// Blocks all calls of the organisation for a while; a shorter pause never cuts a longer one, unless that is longer than any
/// may be.
pub async fn block_calls(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    limit: Limit,
    pause: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE dsrd.rate_budget
           SET blocked_until = greatest(
                 CASE WHEN blocked_until <= clock_timestamp() + $3::interval THEN blocked_until END,
                 clock_timestamp() + $2::interval)
           WHERE organisation_id = $1"#,
        organisation.as_str(),
        interval(pause.min(limit.longest_pause)),
        interval(limit.longest_pause),
    )
    .execute(connection)
    .await
    .map_err(StoreError::during("queue.block_calls"))?;
    Ok(())
}

/// How much is left of the pause that the platform asked for; nothing where it asked for none. What is longer than any pause may be
/// was written while the database's clock was ahead (F-48), and is none.
pub async fn pause_left(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    limit: Limit,
) -> Result<Duration, StoreError> {
    let left = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM blocked_until - clock_timestamp())::float8 AS "left!"
           FROM dsrd.rate_budget
           WHERE organisation_id = $1
             AND blocked_until > clock_timestamp() AND blocked_until <= clock_timestamp() + $2::interval"#,
        organisation.as_str(),
        interval(limit.longest_pause),
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::during("queue.pause_left"))?;
    Ok(left.and_then(|secs| Duration::try_from_secs_f64(secs).ok()).unwrap_or_default())
}
