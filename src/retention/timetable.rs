//! What is done by the clock for an organisation: one row of `dsrd.schedule` a name. Whoever moves its due time on has claimed
//! it, so that each due time is taken once over any number of daemons, and missed ones give one run.

use chrono::{DateTime, TimeDelta, Utc};

use super::schedule::Schedule;
use super::sql;
use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

/// How far the clocks of two daemons may be apart that both work: each agrees with the database's to five minutes.
/// Whoever is ahead may have moved on a due time that has not come for the other.
const APART: TimeDelta = TimeDelta::minutes(10);

/// A due time that is no further away is not put off by a daemon with another schedule: each looks every minute, so that the
/// one whose due time it is has stored it by then.
const SETTLED: TimeDelta = TimeDelta::minutes(10);

/// The row of one thing that is done for an organisation.
#[derive(Clone, Copy, Debug)]
pub struct Timetable<'a> {
    /// For whom.
    pub organisation: &'a OrganisationId,
    /// What, by its name in the table.
    pub name: &'static str,
    /// When, as configured.
    pub schedule: &'a Schedule,
}

impl Timetable<'_> {
    /// The next due time; computed anew when the configured schedule is not the stored one, or when the stored time
    /// lies behind the next one, as a clock that was ahead has left it (F-48). `None` where the calendar has none any
    /// more.
    ///
    /// A due time that has come, or comes within some minutes, stands whatever schedule it is of: it is run before a changed
    /// schedule takes effect. So two daemons that are configured differently run the due times of both, instead of putting off
    /// each other's for ever.
    pub async fn next_run_at(
        &self,
        connection: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let configured = self.schedule.to_string();
        let stored = sql::find_schedule(connection, self.organisation, self.name).await?;
        if let Some(row) = &stored
            && row.expression == configured
        {
            let Some(next) = self.schedule.next_after(now + APART).filter(|next| *next < row.next_run_at)
            else {
                return Ok(Some(row.next_run_at));
            };
            sql::bring_forward(connection, (self.organisation, self.name), next).await?;
            return Ok(Some(next));
        }
        let next = self.schedule.next_after(now);
        if let Some(row) = &stored
            && row.next_run_at <= now + SETTLED
        {
            let Some(earlier) = next.filter(|next| *next < row.next_run_at) else {
                return Ok(Some(row.next_run_at));
            };
            sql::bring_forward(connection, (self.organisation, self.name), earlier).await?;
            return Ok(Some(earlier));
        }
        let Some(next) = next else { return Ok(None) };
        let former = stored.as_ref().map(|row| row.expression.as_str());
        sql::store_schedule(connection, (self.organisation, self.name), former, &configured, next).await?;
        Ok(Some(next))
    }

    /// Claims a due time: moves the row on to `next`, if it still stands at `due`. It stays locked for the transaction.
    pub async fn claim(
        &self,
        connection: &mut PgConnection,
        due: DateTime<Utc>,
        next: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        sql::claim_due(connection, (self.organisation, self.name), due, next, now).await
    }
}
