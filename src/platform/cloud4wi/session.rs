//! The token: one log-in for all workers, renewed in time and when the platform says so.
//!
//! The platform answers 403 both for an expired token and for a missing right, so either status leads to one renewal and
//! one repetition of the call; a second refusal with the fresh token stands. What a fresh token was refused is
//! remembered for a while, so that a missing right does not make every call log in again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use reqwest::header::{self, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::failure::{Failure, Patience};
use super::settings::{Credentials, secs};
use super::transport::{Spec, Transport};
use super::wire::Scalar;
use crate::platform::{Leave, PlatformError, Urgency};

/// The vendor says one day; without an `exp` in the token an hour less is assumed.
const ASSUMED_LIFE: TimeDelta = TimeDelta::hours(23);
/// A token is renewed this long before it ends, so that no call carries one that ends on the way.
const RENEW_BEFORE: TimeDelta = TimeDelta::minutes(1);
/// How long a key that was refused is not tried again.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// How long a refusal of a fresh token is remembered.
const DENIED_FOR: Duration = Duration::from_mins(10);
const LOG_IN: &str = "log in";

/// A bearer token. `Debug` shows no part of it, because the header value is marked sensitive.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) bearer: HeaderValue,
    pub(super) generation: u64,
    /// The id of the service, from the token itself, which is not verified: of use only as a name in a URL.
    pub(super) issuer: Option<String>,
    expires_at: DateTime<Utc>,
    minted: Instant,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    failure: Option<PlatformError>,
    refused_until: Option<Instant>,
}

/// The session of one key pair.
#[derive(Debug)]
pub(super) struct Session {
    credentials: Credentials,
    /// Held during a log-in, so that everybody else waits for its outcome.
    state: tokio::sync::Mutex<State>,
    log_ins: AtomicU64,
    denied: Mutex<HashMap<&'static str, u64>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogInWire<'a> {
    client_key: &'a str,
    client_secret: &'a str,
}

#[derive(Deserialize)]
struct TokenWire<'a> {
    #[serde(borrow, default)]
    token: Scalar<'a>,
}

#[derive(Deserialize, Default)]
struct ClaimsWire {
    #[serde(default)]
    exp: Option<serde_json::Number>,
    #[serde(default)]
    iss: Option<String>,
}

impl Session {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            state: tokio::sync::Mutex::default(),
            log_ins: AtomicU64::new(0),
            denied: Mutex::default(),
        }
    }

    /// A token, newer than the generation `outdated`. Logs in when there is none; callers that come meanwhile wait and
    /// share the outcome, also a failure.
    pub(super) async fn token(
        &self,
        transport: &Transport,
        outdated: Option<u64>,
    ) -> Result<Arc<Token>, PlatformError> {
        let before = self.log_ins.load(Ordering::SeqCst);
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && Some(token.generation) != outdated
            && transport.clock.now() + RENEW_BEFORE < token.expires_at
        {
            return Ok(Arc::clone(token));
        }
        if let Some(failure) = &state.failure
            && self.log_ins.load(Ordering::SeqCst) != before
        {
            return Err(failure.clone());
        }
        if state.refused_until.is_some_and(|until| until > Instant::now()) {
            return Err(PlatformError::BadCredentials { operation: LOG_IN });
        }
        state.token = None;
        let generation = self.log_ins.load(Ordering::SeqCst) + 1;
        let outcome = self.log_in(transport, generation).await;
        self.log_ins.fetch_add(1, Ordering::SeqCst);
        match outcome {
            Ok(token) => {
                *state = State { token: Some(Arc::clone(&token)), failure: None, refused_until: None };
                Ok(token)
            }
            Err(error) => {
                if matches!(error, PlatformError::BadCredentials { .. }) {
                    state.refused_until = Some(Instant::now() + REFUSED_FOR);
                }
                state.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Forgets the token and returns it, for the log-out.
    pub(super) async fn take(&self) -> Option<Arc<Token>> {
        self.state.lock().await.token.take()
    }

    /// Whether a fresh token of this generation was refused for this operation before.
    pub(super) fn is_denied(&self, operation: &'static str, generation: u64) -> bool {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.get(operation) == Some(&generation)
    }

    /// Remembers that a fresh token was refused.
    pub(super) fn remember_denied(&self, operation: &'static str, generation: u64) {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).insert(operation, generation);
    }

    /// Forgets refusals when the token has grown old, since the reason may be its age by now.
    pub(super) fn forget_old_denials(&self, token: &Token) {
        if token.minted.elapsed() > DENIED_FOR {
            self.denied.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    async fn log_in(&self, transport: &Transport, generation: u64) -> Result<Arc<Token>, PlatformError> {
        let wire = LogInWire { client_key: &self.credentials.key, client_secret: &self.credentials.secret };
        let body =
            serde_json::to_vec(&wire).map_err(|_| PlatformError::BadCredentials { operation: LOG_IN })?;
        let spec = Spec {
            operation: LOG_IN,
            method: Method::POST,
            path: vec!["v1", "sts", "login", "services"],
            query: Vec::new(),
            body: Some(body),
            // A second token does no harm: a log-in is repeated like a read.
            effect: false,
            repeatable: true,
            // Everybody waits for it, so it goes first.
            urgency: Urgency::Request,
            scopes: "",
            absence_is_answer: false,
            leave: Leave::ALWAYS,
            // It carries the key, and an error may repeat what was sent.
            quiet: true,
            patience: secs(transport.settings.limits.total_timeout_secs),
        };
        let mut patience = Patience::new(transport, &spec);
        loop {
            match self.log_in_once(transport, &spec, generation).await {
                Ok(token) => {
                    tracing::info!("logged in to the platform");
                    return Ok(Arc::new(token));
                }
                Err(failure) => patience.recover(failure).await?,
            }
        }
    }

    async fn log_in_once(
        &self,
        transport: &Transport,
        spec: &Spec<'_>,
        generation: u64,
    ) -> Result<Token, Failure> {
        let mut answer = transport.open(spec, None).await?;
        let body = Zeroizing::new(
            answer
                .body
                .read_whole(transport.settings.limits.max_record_bytes, "limits.max_record_bytes")
                .await?,
        );
        let in_body = serde_json::from_slice::<TokenWire<'_>>(&body)
            .ok()
            .and_then(|wire| wire.token.text().map(|text| Zeroizing::new(text.to_owned())));
        let in_header = || {
            let value = answer.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            Some(Zeroizing::new(value.to_owned()))
        };
        let text = in_body.or_else(in_header).ok_or_else(no_token)?;
        let text = text.trim();
        let bare =
            text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer ")).unwrap_or(text).trim();
        if bare.is_empty() {
            return Err(no_token());
        }
        let claims = claims(bare);
        let now = transport.clock.now();
        let expires_at = claims
            .exp
            .and_then(|number| number.as_i64())
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            // An end that has passed means that the clocks differ: the platform will say when it is over.
            .filter(|end| *end > now + RENEW_BEFORE)
            .unwrap_or(now + ASSUMED_LIFE);
        let mut bearer =
            HeaderValue::from_str(&Zeroizing::new(format!("Bearer {bare}"))).map_err(|_| no_token())?;
        bearer.set_sensitive(true);
        let issuer = claims.iss.filter(|issuer| !issuer.is_empty());
        Ok(Token { bearer, generation, issuer, expires_at, minted: Instant::now() })
    }
}

fn no_token() -> Failure {
    Failure::Unreadable("no token in body or header".to_owned())
}

/// The claims of a token, as far as it has any. Never trusted.
fn claims(token: &str) -> ClaimsWire {
    token
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default()
}
