//! What a program of the controller does: it logs in with its own role, hands in requests with one INSERT each, and
//! reads what became of them in `dsrd.receipt`.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::domain::{OrganisationId, Personal};
use crate::store::StoreError;

/// A row as a producer writes it; `kind` is whatever it takes for one.
#[derive(Debug)]
pub(super) struct ProducerRow<'a> {
    pub(super) key: &'a str,
    pub(super) kind: &'a str,
    pub(super) received_at: DateTime<Utc>,
    pub(super) email: Personal<String>,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub(super) struct ReceiptRow {
    pub(super) key: String,
    /// The request, unless the row was parked.
    pub(super) request: Option<Uuid>,
    /// Why it was parked.
    pub(super) detail: Option<String>,
}

/// The login of an invented web form: it has no more rights than any producer.
#[derive(Debug)]
pub(super) struct Producer(PgConnection);

impl Producer {
    /// Makes the login role, as an administrator would, and becomes it. The private cluster lets in the accounts of
    /// the operating system only, hence one connection that changes its session's user in place of a second login.
    pub(super) async fn log_in(options: &PgConnectOptions) -> Result<Self, StoreError> {
        const OPERATION: &str = "demo.log_in";
        let mut connection =
            PgConnection::connect_with(options).await.map_err(StoreError::during(OPERATION))?;
        sqlx::query!("CREATE ROLE web_form LOGIN IN ROLE dsrd_producer")
            .execute(&mut connection)
            .await
            .map_err(StoreError::during(OPERATION))?;
        sqlx::query!("SET SESSION AUTHORIZATION web_form")
            .execute(&mut connection)
            .await
            .map_err(StoreError::during(OPERATION))?;
        Ok(Self(connection))
    }

    /// Hands in one row.
    pub(super) async fn insert(
        &mut self,
        organisation: &OrganisationId,
        row: &ProducerRow<'_>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
               VALUES ($1, $2, $3, $4, 'web', $5)"#,
            organisation.as_str(),
            row.key,
            row.kind,
            row.received_at,
            row.email.expose(),
        )
        .execute(&mut self.0)
        .await
        .map_err(StoreError::during("demo.insert"))?;
        Ok(())
    }

    /// Reads what became of the rows that were taken so far.
    pub(super) async fn receipts(&mut self) -> Result<Vec<ReceiptRow>, StoreError> {
        sqlx::query_as!(
            ReceiptRow,
            r#"SELECT idempotency_key AS "key!", request_id AS "request?", detail AS "detail?" FROM dsrd.receipt"#
        )
        .fetch_all(&mut self.0)
        .await
        .map_err(StoreError::during("demo.receipts"))
    }

    pub(super) async fn log_out(self) -> Result<(), StoreError> {
        self.0.close().await.map_err(StoreError::during("demo.log_out"))
    }
}
