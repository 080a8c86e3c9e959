//! The page by which a person confirms that a request is theirs. Looking confirms nothing: mail scanners look, too.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::code::CodeWire;
use super::pages::{AnswerWire, AppState, Token, message, not_found, page};
use super::words::PageWords;
use crate::domain::{Personal, random};
use crate::identity::{Confirmation, IdentityError, ProofLanding};

#[derive(Template)]
#[template(path = "pages/identity.html")]
struct IdentityPage<'a> {
    nonce: &'a str,
    words: &'a PageWords,
    landing: &'a ProofLanding,
    /// The code by which the page was reached, instead of a link; then nothing more is asked.
    code: Option<&'a CodeWire>,
    /// Why the last answer confirmed nothing.
    problem: Option<&'a str>,
}

pub(super) async fn show(State(state): State<AppState>, headers: HeaderMap, token: Token) -> Response {
    let Ok(Path(token)) = token else { return not_found(&headers) };
    match state.proofs.look(&token).await {
        Ok(Some(landing)) => landing_page(StatusCode::OK, &landing, None, None),
        Ok(None) => not_found(&headers),
        Err(error) => trouble(&headers, &error),
    }
}

fn words_of(landing: &ProofLanding) -> PageWords {
    PageWords::about(&landing.language, &landing.reference, &landing.contact)
}

/// The page of a link or a code that works; with a problem after an answer that confirmed nothing.
pub(super) fn landing_page(
    status: StatusCode,
    landing: &ProofLanding,
    code: Option<&CodeWire>,
    problem: Option<&str>,
) -> Response {
    let (nonce, words) = (random::token(), words_of(landing));
    let page_of = IdentityPage { nonce: &nonce, words: &words, landing, code, problem };
    page(status, &nonce, &page_of)
}

/// The page after the confirmation.
pub(super) fn confirmed(landing: &ProofLanding) -> Response {
    message(
        StatusCode::OK,
        &words_of(landing),
        "identity.confirmed.title",
        &["identity.confirmed.next", "identity.confirmed.reference", "identity.confirmed.close"],
    )
}

pub(super) async fn confirm(
    State(state): State<AppState>,
    headers: HeaderMap,
    token: Token,
    form: Result<Form<AnswerWire>, FormRejection>,
) -> Response {
    let Ok(Path(token)) = token else { return not_found(&headers) };
    let answer = form.map_or_else(|_| Personal::new(String::new()), |Form(wire)| wire.answer);
    match state.proofs.confirm(&token, &answer).await {
        Ok(Confirmation::Confirmed(landing)) => confirmed(&landing),
        Ok(Confirmation::Unproven { landing, tries_left }) => {
            let problem = words_of(&landing).problem(tries_left);
            landing_page(StatusCode::UNPROCESSABLE_ENTITY, &landing, None, Some(&problem))
        }
        // After the last wrong answer. From then on the link is one that does not work.
        Ok(Confirmation::Locked) => message(
            StatusCode::FORBIDDEN,
            &PageWords::for_browser(&headers),
            "locked.title",
            &["identity.locked", "identity.locked.way"],
        ),
        Ok(Confirmation::NoSuchLink) => not_found(&headers),
        Err(error) => trouble(&headers, &error),
    }
}

pub(super) fn trouble(headers: &HeaderMap, error: &IdentityError) -> Response {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a page to confirm a request could not be served"
    );
    super::pages::try_later(headers)
}
