//! What is open, read from `dsrd.request`.

use chrono::NaiveDate;

use crate::domain::OrganisationId;
use crate::store::{PgConnection, StoreError};

/// Open requests of one due date and kind, and in one of two conditions.
pub(super) struct OpenRow {
    pub(super) due_on: NaiveDate,
    pub(super) kind: String,
    /// Whether the machine is to go on with them. Otherwise they wait for a person, or for an answer of the one who asked.
    pub(super) by_machine: bool,
    pub(super) count: i64,
}

/// Counts the open requests of people by due date and kind: a row for each day of a term at the most, however many requests there
/// are. One that was read back needs nothing any more but its mail, and is left out.
pub(super) async fn count_open(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
) -> Result<Vec<OpenRow>, StoreError> {
    sqlx::query_as!(
        OpenRow,
        r#"SELECT due_on, kind, state IN ('received', 'in_progress') AS "by_machine!", count(*) AS "count!"
           FROM dsrd.request
           WHERE organisation_id = $1 AND state <> 'closed' AND origin = 'subject'
             AND (verified_at IS NULL OR state NOT IN ('received', 'in_progress'))
           GROUP BY 1, 2, 3"#,
        organisation.as_str(),
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::during("figures.count_open"))
}
