//! The one request that a witness answers (c2sp.org/tlog-witness).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use crate::audit::tlog::MAX_ADD_CHECKPOINT_BYTES;
use crate::audit::{Answer, Witness};

/// How long a log may take to send its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// `POST /add-checkpoint`, and a sign of life.
pub fn witness_router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/health/live", get(|| async { "live\n" }))
        .with_state(witness)
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Body) -> Response {
    let read = tokio::time::timeout(PATIENCE, to_bytes(body, MAX_ADD_CHECKPOINT_BYTES)).await;
    let Ok(Ok(body)) = read else { return answer(&Answer::Malformed) };
    // It waits for the disk.
    let answered = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await;
    answer(&answered.unwrap_or(Answer::Failed))
}

fn answer(answer: &Answer) -> Response {
    let plain = "text/plain; charset=utf-8";
    let (status, kind, text) = match answer {
        Answer::Cosigned(line) => (StatusCode::OK, plain, line.clone()),
        Answer::Malformed => (StatusCode::BAD_REQUEST, plain, "malformed\n".to_owned()),
        Answer::NotSigned => (StatusCode::FORBIDDEN, plain, "not signed by a key of the log\n".to_owned()),
        Answer::UnknownLog => (StatusCode::NOT_FOUND, plain, "not a log of this witness\n".to_owned()),
        Answer::Conflict { size } => (StatusCode::CONFLICT, "text/x.tlog.size", format!("{size}\n")),
        Answer::Unproven => (StatusCode::UNPROCESSABLE_ENTITY, plain, "not proven\n".to_owned()),
        Answer::Failed => (StatusCode::INTERNAL_SERVER_ERROR, plain, "not remembered\n".to_owned()),
    };
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}
