//! The page where a person types the code that stands for a link: for a message on the telephone, or another device.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use tokio::time::Instant;

use super::identity::{confirmed, landing_page, trouble};
use super::pages::{AppState, page};
use super::words::PageWords;
use crate::domain::{Personal, random};
use crate::identity::CodeAnswer;

/// Every answer to a typed code takes this long: a code of a request that waits for one is counted, in a transaction, and
/// whoever measures the time must not learn by it whether there is such a request (S-5). It slows guessing down, too.
const ANSWER_TAKES: Duration = Duration::from_millis(750);

#[derive(Template)]
#[template(path = "pages/code.html")]
struct CodePage<'a> {
    nonce: &'a str,
    words: &'a PageWords,
    /// What was typed before.
    reference: &'a str,
    /// Whether what was typed before does not work.
    wrong: bool,
}

/// What the person typed.
#[derive(Debug, Deserialize)]
pub(super) struct CodeWire {
    pub(super) reference: String,
    pub(super) code: Personal<String>,
    /// There when the button of the second page was pressed.
    pub(super) confirmed: Option<String>,
}

pub(super) async fn show(headers: HeaderMap) -> Response {
    code_page(StatusCode::OK, &headers, "", false)
}

pub(super) async fn take(
    State(state): State<AppState>,
    headers: HeaderMap,
    form: Result<Form<CodeWire>, FormRejection>,
) -> Response {
    let began = Instant::now();
    let response = answer(&state, &headers, form).await;
    tokio::time::sleep_until(began + ANSWER_TAKES).await;
    response
}

async fn answer(
    state: &AppState,
    headers: &HeaderMap,
    form: Result<Form<CodeWire>, FormRejection>,
) -> Response {
    // A body that is no such form counts as nothing typed.
    let Ok(Form(typed)) = form else {
        return code_page(StatusCode::UNPROCESSABLE_ENTITY, headers, "", true);
    };
    let answer = match typed.confirmed {
        None => state.proofs.look_by_code(&typed.reference, &typed.code).await,
        Some(_) => state.proofs.confirm_by_code(&typed.reference, &typed.code).await,
    };
    match answer {
        Ok(CodeAnswer::Shown(landing)) => landing_page(StatusCode::OK, &landing, Some(&typed), None),
        Ok(CodeAnswer::Confirmed(landing)) => confirmed(&landing),
        Ok(CodeAnswer::NoSuchCode) => {
            code_page(StatusCode::UNPROCESSABLE_ENTITY, headers, &typed.reference, true)
        }
        Err(error) => trouble(headers, &error),
    }
}

fn code_page(status: StatusCode, headers: &HeaderMap, reference: &str, wrong: bool) -> Response {
    let (nonce, words) = (random::token(), PageWords::for_browser(headers));
    page(status, &nonce, &CodePage { nonce: &nonce, words: &words, reference, wrong })
}
