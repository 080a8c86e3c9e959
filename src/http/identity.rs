//! The page by which a person confirms that a request is theirs. Looking confirms nothing: mail scanners look, too.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::pages::{AnswerWire, AppState, MessagePage, Token, not_found, page, problem};
use crate::domain::{Personal, random};
use crate::identity::{Confirmation, IdentityError, ProofLanding};

#[derive(Template)]
#[template(path = "pages/identity.html")]
struct IdentityPage<'a> {
    nonce: &'a str,
    landing: &'a ProofLanding,
    /// Why the last answer confirmed nothing.
    problem: Option<&'a str>,
}

pub(super) async fn show(State(state): State<AppState>, token: Token) -> Response {
    let Ok(Path(token)) = token else { return not_found() };
    match state.proofs.look(&token).await {
        Ok(Some(landing)) => {
            let nonce = random::token();
            page(StatusCode::OK, &nonce, &IdentityPage { nonce: &nonce, landing: &landing, problem: None })
        }
        Ok(None) => not_found(),
        Err(error) => trouble(&error),
    }
}

pub(super) async fn confirm(
    State(state): State<AppState>,
    token: Token,
    form: Result<Form<AnswerWire>, FormRejection>,
) -> Response {
    let Ok(Path(token)) = token else { return not_found() };
    let answer = form.map_or_else(|_| Personal::new(String::new()), |Form(wire)| wire.answer);
    match state.proofs.confirm(&token, &answer).await {
        Ok(Confirmation::Confirmed(landing)) => confirmed(&landing),
        Ok(Confirmation::Unproven { landing, tries_left }) => {
            let nonce = random::token();
            let problem = problem(tries_left);
            let page_of = IdentityPage { nonce: &nonce, landing: &landing, problem: Some(&problem) };
            page(StatusCode::UNPROCESSABLE_ENTITY, &nonce, &page_of)
        }
        Ok(Confirmation::Locked) => locked(),
        Ok(Confirmation::NoSuchLink) => not_found(),
        Err(error) => trouble(&error),
    }
}

fn confirmed(landing: &ProofLanding) -> Response {
    let nonce = random::token();
    let known_by = format!("Your reference is {}.", landing.reference);
    let paragraphs = [
        "We go on with the request now, and write to you when it is done. There is nothing more to do for you.",
        known_by.as_str(),
        "You can close this page.",
    ];
    let message = MessagePage { nonce: &nonce, title: "Thank you, it is confirmed", paragraphs: &paragraphs };
    page(StatusCode::OK, &nonce, &message)
}

/// After the last wrong answer. From then on the link is one that does not work.
fn locked() -> Response {
    let nonce = random::token();
    let paragraphs = [
        "None of the answers was what the request was made with. To protect you, this link confirms nothing any more.",
        "If you made the request, write to the contact named in the message that we sent you and quote your reference: \
         we find another way.",
    ];
    let message = MessagePage { nonce: &nonce, title: "This link is locked", paragraphs: &paragraphs };
    page(StatusCode::FORBIDDEN, &nonce, &message)
}

fn trouble(error: &IdentityError) -> Response {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a page to confirm a request could not be served"
    );
    super::pages::try_later()
}
