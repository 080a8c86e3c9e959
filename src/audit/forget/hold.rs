//! Holds on the log: an authority asks, a claim is under way, and nothing may be pruned or erased meanwhile.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::sql;
use crate::audit::event::Actor;
use crate::audit::sql::word_of;
use crate::domain::UnknownWord;
use crate::store::{PgConnection, StoreError};

/// Why the log is held. The words stand in entries: never renamed, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// A supervisory authority asks, or has announced that it will.
    SupervisoryAuthority,
    /// A court, or the establishment, exercise or defence of a claim.
    CourtOrClaim,
    /// Somebody inside investigates.
    InternalInvestigation,
    /// Somebody got in who should not have; what they did is being found out.
    SecurityIncident,
}

impl HoldReason {
    /// Every reason.
    pub const ALL: [Self; 4] =
        [Self::SupervisoryAuthority, Self::CourtOrClaim, Self::InternalInvestigation, Self::SecurityIncident];

    /// The word as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SupervisoryAuthority => "supervisory_authority",
            Self::CourtOrClaim => "court_or_claim",
            Self::InternalInvestigation => "internal_investigation",
            Self::SecurityIncident => "security_incident",
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for HoldReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for HoldReason {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownWord::new("reason of a hold", &Self::ALL.map(Self::as_str)))
    }
}

/// A hold on the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Its id.
    pub id: Uuid,
    /// Why.
    pub reason: HoldReason,
    /// Since when, UTC.
    pub set_at: DateTime<Utc>,
    /// Who set it, by name as long as the name is kept.
    pub set_by: String,
    /// When somebody is to ask whether it is still needed.
    pub review_on: Option<NaiveDate>,
    /// The last day (UTC) on which it is in force; until it is lifted when none is given.
    pub until_on: Option<NaiveDate>,
    /// When it was lifted, UTC.
    pub lifted_at: Option<DateTime<Utc>>,
    /// Whether it is in force now, by the clock of the database.
    pub in_force: bool,
}

/// Sets a hold; one of the two dates must be given, or the database refuses it. From then on, and until it is lifted or
/// its last day is over, nothing of the log is pruned or erased.
pub async fn set_hold(
    connection: &mut PgConnection,
    reason: HoldReason,
    (review_on, until_on): (Option<NaiveDate>, Option<NaiveDate>),
    actor: &Actor,
    at: DateTime<Utc>,
) -> Result<Uuid, StoreError> {
    let actor = word_of(connection, actor).await?;
    let id = Uuid::now_v7();
    sql::set_hold(connection, id, reason, (review_on, until_on), &actor, at).await?;
    Ok(id)
}

/// Lifts a hold; answers whether there was one of this id that had not been lifted.
pub async fn lift_hold(
    connection: &mut PgConnection,
    id: Uuid,
    actor: &Actor,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let actor = word_of(connection, actor).await?;
    sql::lift_hold(connection, id, &actor, at).await
}

/// Every hold that ever was, newest first.
pub async fn list_holds(connection: &mut PgConnection) -> Result<Vec<Hold>, StoreError> {
    sql::list_holds(connection).await
}

/// The latest day on which the review of a hold that is in force fell due, until today.
pub async fn last_due_review(
    connection: &mut PgConnection,
    today: NaiveDate,
) -> Result<Option<NaiveDate>, StoreError> {
    sql::last_due_review(connection, today).await
}

/// Whether a hold is in force now.
pub async fn is_held(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sql::is_held(connection).await
}
