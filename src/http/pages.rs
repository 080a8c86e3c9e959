//! The pages and the health answers.

use std::io;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Form, Router};

use serde::Deserialize;

use super::words::PageWords;
use super::{code, identity};
use crate::delivery::{DeliveryError, Download, Handover, Landing, Piece, Redemption};
use crate::domain::{Personal, RequestKind, random};
use crate::identity::ProofPage;
use crate::queue::Rounds;
use crate::store::{SchemaState, Store};

/// One field of a form has a few hundred bytes.
const MOST_BODY_BYTES: usize = 4 * 1024;

/// How long a request may take until its answer begins.
const LONGEST_ANSWER: Duration = Duration::from_mins(1);

/// What the pages need.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Finds and redeems links.
    pub handover: Handover,
    /// Finds and takes the links by which people prove who asks.
    pub proofs: ProofPage,
    /// For the readiness answer: the database, and what goes on beside the pages.
    pub store: Store,
    /// See [`AppState::store`].
    pub rounds: Rounds,
    /// Whether people come by TLS (`link_base_url` begins with `https`).
    pub behind_tls: bool,
}

/// All routes.
pub fn router(state: AppState) -> Router {
    let behind_tls = state.behind_tls;
    Router::new()
        .route("/handover/{token}", get(show_landing).post(download))
        .route("/identity", get(code::show).post(code::take))
        .route("/identity/{token}", get(identity::show).post(identity::confirm))
        .route("/health/live", get(|| async { plain(StatusCode::OK, "live\n") }))
        .route("/health/ready", get(ready))
        .fallback(|headers: HeaderMap| async move { not_found(&headers) })
        .method_not_allowed_fallback(|| async { plain(StatusCode::METHOD_NOT_ALLOWED, "not allowed\n") })
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .layer(axum::middleware::from_fn(in_time))
        .with_state(state)
        .layer(axum::middleware::map_response(move |response| async move { secured(response, behind_tls) }))
}

#[derive(Template)]
#[template(path = "pages/handover.html")]
struct LandingPage<'a> {
    nonce: &'a str,
    words: &'a PageWords,
    landing: &'a Landing,
    /// What was asked for, and where to begin in what is fetched.
    intro: String,
    open: String,
    /// Why the last answer opened nothing.
    problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "pages/message.html")]
pub(super) struct MessagePage<'a> {
    pub(super) nonce: &'a str,
    pub(super) words: &'a PageWords,
    pub(super) title: String,
    pub(super) paragraphs: Vec<String>,
}

/// The secret of a link; a path that is no text is one more wrong link.
pub(super) type Token = Result<Path<String>, PathRejection>;

async fn show_landing(State(state): State<AppState>, headers: HeaderMap, token: Token) -> Response {
    let Ok(Path(token)) = token else { return not_found(&headers) };
    match state.handover.look(&token).await {
        Ok(Some(landing)) => landing_page(StatusCode::OK, &landing, &words_of(&landing), None),
        Ok(None) => not_found(&headers),
        Err(error) => trouble(&headers, &error),
    }
}

fn words_of(landing: &Landing) -> PageWords {
    PageWords::about(&landing.language, &landing.reference, &landing.contact)
}

/// The page of a link that works; with a problem after an answer that opened nothing.
fn landing_page(status: StatusCode, landing: &Landing, words: &PageWords, problem: Option<&str>) -> Response {
    let nonce = random::token();
    let of_kind = |key: &str| match landing.kind {
        RequestKind::Portability => words.of(&format!("{key}.portability")),
        _ => words.of(key),
    };
    let (intro, open) = (of_kind("handover.intro"), of_kind("handover.open"));
    let page_of = LandingPage { nonce: &nonce, words, landing, intro, open, problem };
    page(status, &nonce, &page_of)
}

/// A page of a title and paragraphs, by their keys.
pub(super) fn message(status: StatusCode, words: &PageWords, title: &str, paragraphs: &[&str]) -> Response {
    let nonce = random::token();
    let paragraphs = paragraphs.iter().map(|key| words.of(key)).collect();
    page(status, &nonce, &MessagePage { nonce: &nonce, words, title: words.of(title), paragraphs })
}

/// What the person typed. A body that is no such form counts as nothing typed.
#[derive(Debug, Deserialize)]
pub(super) struct AnswerWire {
    pub(super) answer: Personal<String>,
}

async fn download(
    State(state): State<AppState>,
    headers: HeaderMap,
    token: Token,
    form: Result<Form<AnswerWire>, FormRejection>,
) -> Response {
    let Ok(Path(token)) = token else { return not_found(&headers) };
    let answer = form.map_or_else(|_| Personal::new(String::new()), |Form(wire)| wire.answer);
    match state.handover.redeem(&token, &answer).await {
        Ok(Redemption::Download(download)) => archive(download),
        Ok(Redemption::Unproven { landing, tries_left }) => {
            let words = words_of(&landing);
            let problem = words.problem(tries_left);
            landing_page(StatusCode::UNPROCESSABLE_ENTITY, &landing, &words, Some(&problem))
        }
        // After the last wrong answer. From then on the link is one that does not work.
        Ok(Redemption::Locked) => {
            let words = PageWords::for_browser(&headers);
            message(
                StatusCode::FORBIDDEN,
                &words,
                "locked.title",
                &["handover.locked", "handover.locked.way"],
            )
        }
        Ok(Redemption::NoSuchLink) => not_found(&headers),
        Err(error) => trouble(&headers, &error),
    }
}

fn archive(download: Download) -> Response {
    let Download { file_name, pieces } = download;
    // Where the pieces end without saying so, the answer must not end either as if it were whole: the connection is cut.
    let stream = futures_util::stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Ok(Piece::Bytes(bytes))) => Some((Ok(bytes), Some(pieces))),
            Some(Ok(Piece::End)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None)),
        }
    });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    // A reference is letters, digits and hyphens; should it ever hold anything else, the browser invents a name.
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{file_name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}

/// The one page for links that do not work.
pub(super) fn not_found(headers: &HeaderMap) -> Response {
    let words = PageWords::for_browser(headers);
    message(StatusCode::NOT_FOUND, &words, "not_found.title", &["not_found.why", "not_found.way"])
}

fn trouble(headers: &HeaderMap, error: &DeliveryError) -> Response {
    tracing::error!(error = error as &dyn std::error::Error, "a hand-over page could not be served");
    try_later(headers)
}

/// The page for troubles of ours.
pub(super) fn try_later(headers: &HeaderMap) -> Response {
    let words = PageWords::for_browser(headers);
    message(StatusCode::SERVICE_UNAVAILABLE, &words, "later.title", &["later.why"])
}

pub(super) fn page(status: StatusCode, nonce: &str, template: &impl Template) -> Response {
    let Ok(html) = template.render() else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be shown\n");
    };
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn ready(State(state): State<AppState>) -> Response {
    if state.rounds.standing_still().is_some() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "a part of the service stands still\n");
    }
    let asked = async {
        let mut connection = state.store.connection().await?;
        connection.visible_schema_state().await
    };
    match tokio::time::timeout(Duration::from_secs(3), asked).await {
        // Whatever works in this process has stopped, or does so in a moment (F-24).
        Ok(Ok(Some(SchemaState::Newer))) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "schema_newer: the database is of a newer program\n")
        }
        Ok(Ok(_)) => plain(StatusCode::OK, "ready\n"),
        _ => plain(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}

/// Waits for the beginning of an answer no longer than a person on a bad line needs to send one field: a body that never
/// ends holds a connection no longer than that. The archive itself streams after that, at the network's pace.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LONGEST_ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => plain(StatusCode::REQUEST_TIMEOUT, "too slow\n"),
    }
}

/// What every answer carries.
fn secured(mut response: Response, behind_tls: bool) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    if behind_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}
