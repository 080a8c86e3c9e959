//! Whether what a notice says reached anybody.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::delivery::notice::{NoticeKind, comes_too_late};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// What became of the notices of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The latest was refused for good, or came back, and nobody told the person by other means.
    pub failed: bool,
    /// One was taken by the mail server (or the gateway of text messages) in time and did not come back, or the person was told
    /// what it said by other means.
    pub taken: bool,
    /// Where the latest was not sent yet: when it was written.
    pub unsent_since: Option<DateTime<Utc>>,
    /// And until when its link works.
    pub unsent_until: Option<DateTime<Utc>>,
}

impl Reach {
    /// Whether the latest is still to be sent and would leave too little time to do what it asks.
    #[must_use]
    pub fn comes_too_late(&self, at: DateTime<Utc>) -> bool {
        self.unsent_since.zip(self.unsent_until).is_some_and(|lasts| comes_too_late(lasts, at))
    }
}

/// What became of the notices of a kind that were written at an instant or later. One whose link works for less than
/// `time_to_answer` from its sending on reached nobody.
pub async fn reach_of(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
    since: DateTime<Utc>,
    time_to_answer: Duration,
) -> Result<Reach, StoreError> {
    sqlx::query_as!(
        Reach,
        r#"SELECT coalesce((array_agg((state = 'refused' AND last_code IS DISTINCT FROM 'superseded' OR bounced_at IS NOT NULL)
                                      AND made_good_at IS NULL
                                      ORDER BY round DESC))[1], false) AS "failed!",
                  coalesce(bool_or(state = 'sent' AND bounced_at IS NULL
                                     AND coalesce(sent_at + make_interval(secs => $5) <= (facts->>'expires_at')::timestamptz, true)
                                   OR made_good_at IS NOT NULL), false) AS "taken!",
                  (array_agg(CASE WHEN state = 'pending' AND intent IS NULL THEN enqueued_at END
                             ORDER BY round DESC))[1] AS unsent_since,
                  (array_agg(CASE WHEN state = 'pending' AND intent IS NULL THEN (facts->>'expires_at')::timestamptz END
                             ORDER BY round DESC))[1] AS unsent_until
           FROM dsrd.notice
           WHERE organisation_id = $1 AND request_id = $2 AND kind = $3 AND enqueued_at >= $4"#,
        organisation.as_str(),
        request.0,
        kind.as_str(),
        since,
        time_to_answer.as_secs_f64(),
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::during("delivery.reach_of"))
}
