//! One attempt of one HTTP call: where it may go, how fast, and which failure its outcome is.
//!
//! Nothing here logs a URL, a header or a body: the platform forces identifiers into query strings (S-43).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::body::Body;
use super::failure::Failure;
use super::redaction::redact;
use super::session::Token;
use super::settings::{Settings, SetupError, may_connect, secs};
use crate::domain::Clock;
use crate::platform::{CallBudget, Leave, PlatformError, Urgency};

/// The most bytes of an error body that are read.
const ERROR_BODY_BYTES: usize = 8 * 1024;

/// One call, as often as it is attempted.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one call")]
pub(super) struct Spec<'a> {
    /// The call's name in errors and logs.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// The segments of the path below the base URL; each is percent-encoded.
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    /// Whether the call changes something at the platform.
    pub(super) effect: bool,
    /// Whether the call may be made again after an answer was lost. A call that moves a cursor may not.
    pub(super) repeatable: bool,
    pub(super) urgency: Urgency,
    /// The scopes that the vendor names for the call.
    pub(super) scopes: &'static str,
    /// Whether 404 is an answer to this call.
    pub(super) absence_is_answer: bool,
    /// Whether it may still be sent when its turn comes.
    pub(super) leave: Leave<'a>,
    /// Whether the platform's words about it are left out of errors and logs.
    pub(super) quiet: bool,
    /// How long the answer may take.
    pub(super) patience: Duration,
}

impl<'a> Spec<'a> {
    /// A read.
    pub(super) fn get(
        operation: &'static str,
        path: Vec<&'a str>,
        urgency: Urgency,
        settings: &Settings,
    ) -> Self {
        Self {
            operation,
            method: Method::GET,
            path,
            query: Vec::new(),
            body: None,
            effect: false,
            repeatable: true,
            urgency,
            scopes: "organization_read, customer_read",
            absence_is_answer: false,
            leave: Leave::ALWAYS,
            quiet: false,
            patience: secs(settings.limits.total_timeout_secs),
        }
    }
}

/// An answer of status 2xx, or 404 where that is an answer; its body is not read yet.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl Answer {
    /// The platform's clock.
    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        http_date(self.headers.get(header::DATE)?)
    }
}

/// Sends calls to one base URL.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
    pub(super) settings: Settings,
    pub(super) budget: Arc<dyn CallBudget>,
    pub(super) clock: Arc<dyn Clock>,
    slots: Arc<Semaphore>,
    /// One less than `slots`, so that sweeps that wait for the rate leave a slot to people's requests.
    sweep_slots: Arc<Semaphore>,
    breaker: Breaker,
}

impl Transport {
    pub(super) fn new(
        settings: Settings,
        budget: Arc<dyn CallBudget>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let base = settings.checked_base_url()?;
        let in_flight = settings.rate.in_flight as usize;
        Ok(Self {
            http: build_http(&base, &settings)?,
            base,
            budget,
            clock,
            slots: Arc::new(Semaphore::new(in_flight)),
            sweep_slots: Arc::new(Semaphore::new(in_flight.saturating_sub(1).max(1))),
            breaker: Breaker::default(),
            settings,
        })
    }

    /// Attempts a call once.
    pub(super) async fn open(&self, spec: &Spec<'_>, token: Option<&Token>) -> Result<Answer, Failure> {
        let slot = self.slot(spec.urgency).await;
        self.budget.acquire(spec.urgency).await;
        // The wait may have been long: the process frozen in it, the database away.
        if !spec.leave.stands() {
            return Err(Failure::Final(PlatformError::Withheld { operation: spec.operation }));
        }
        self.breaker.admit(spec.operation)?;
        let outcome = self.send(spec, token, slot).await;
        let failed = matches!(outcome, Err(Failure::NotSent(_) | Failure::Broken(_) | Failure::Server(_)));
        self.breaker.note(failed, &self.settings);
        outcome
    }

    async fn slot(&self, urgency: Urgency) -> Vec<OwnedSemaphorePermit> {
        let mut permits = Vec::with_capacity(2);
        let gates: &[&Arc<Semaphore>] = match urgency {
            Urgency::Request => &[&self.slots],
            Urgency::Sweep => &[&self.sweep_slots, &self.slots],
        };
        for gate in gates {
            permits.extend(Arc::clone(gate).acquire_owned().await.ok());
        }
        permits
    }

    async fn send(
        &self,
        spec: &Spec<'_>,
        token: Option<&Token>,
        slot: Vec<OwnedSemaphorePermit>,
    ) -> Result<Answer, Failure> {
        let limits = &self.settings.limits;
        let mut request = self
            .http
            .request(spec.method.clone(), self.url(spec))
            .header(header::ACCEPT, HeaderValue::from_static("application/json"))
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token.bearer.clone());
        }
        if let Some(body) = &spec.body {
            request = request
                .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        }
        let started = Instant::now();
        // A connection has its own time-out inside of this one, which tells "not sent" from "no answer".
        let head = secs(limits.connect_timeout_secs)
            .saturating_add(secs(limits.idle_timeout_secs))
            .min(spec.patience);
        let response = match timeout(head, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => return Err(Failure::NotSent(describe(&error))),
            Ok(Err(error)) => return Err(Failure::Broken(describe(&error))),
            Err(_) => return Err(Failure::Broken("no answer in time".to_owned())),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let header_bytes: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if header_bytes > limits.max_header_bytes {
            return Err(Failure::TooLarge("limits.max_header_bytes".to_owned()));
        }
        let left = spec.patience.saturating_sub(started.elapsed());
        let is_answer = (200..300).contains(&status) || (status == 404 && spec.absence_is_answer);
        if is_answer {
            return Ok(Answer { status, headers, body: Body::new(response, limits, left, slot)? });
        }
        Err(match status {
            401 | 403 => Failure::Denied { status, generation: token.map_or(0, |token| token.generation) },
            429 => Failure::Throttled(retry_after(&headers, self.clock.now())),
            300..=399 => Failure::Refused {
                status,
                detail: format!("redirect {status} was not followed; check base_url"),
            },
            _ => {
                let words = match Body::new(response, limits, left.min(secs(limits.idle_timeout_secs)), slot)
                {
                    Ok(mut body) => error_words(&body.read_up_to(ERROR_BODY_BYTES).await, spec),
                    Err(_) => String::new(),
                };
                let detail = format!("status {status}{words}");
                if status >= 500 || status == 408 {
                    Failure::Server(detail)
                } else {
                    Failure::Refused { status, detail }
                }
            }
        })
    }

    fn url(&self, spec: &Spec<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(&spec.path);
        }
        if !spec.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&spec.query);
        }
        url
    }
}

fn build_http(base: &Url, settings: &Settings) -> Result<reqwest::Client, SetupError> {
    // An error means that some provider is installed already, which is as good.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .no_gzip()
        .http1_only()
        .referer(false)
        .user_agent(concat!("dsrd/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(secs(settings.limits.connect_timeout_secs))
        .dns_resolver(Arc::new(GuardedResolver { allow_private: settings.allow_private_address }));
    let builder = if base.scheme() == "http" {
        // Without TLS no CA certificate is needed, and a host without any can still run against loopback.
        builder.tls_certs_only([])
    } else {
        builder.https_only(true)
    };
    builder.build().map_err(SetupError::Client)
}

/// Resolves names and drops addresses that must not be connected to. The connection is made to exactly the addresses
/// that were checked, so a name cannot change its mind in between (S-23).
#[derive(Debug)]
struct GuardedResolver {
    allow_private: bool,
}

/// Why a name leads nowhere (F-45).
#[derive(Debug, thiserror::Error)]
enum NameError {
    #[error("the host name of base_url cannot be resolved")]
    Unresolved(#[source] std::io::Error),
    #[error("the host name resolves to private addresses only; set allow_private_address if that is meant")]
    Private,
}

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(NameError::Unresolved)?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| is_allowed(name.as_str(), address.ip(), allow_private)).collect();
            if allowed.is_empty() {
                return Err(NameError::Private.into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Whether a name may lead to an address. A public name that points to loopback is as suspicious as one that points to
/// 10.0.0.1.
fn is_allowed(name: &str, address: IpAddr, allow_private: bool) -> bool {
    may_connect(address, allow_private) && (name == "localhost" || allow_private || !address.is_loopback())
}

/// What went wrong below HTTP, without the URL.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = source {
        if let Some(name) = current.downcast_ref::<NameError>() {
            return name.to_string();
        }
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return format!("TLS: {tls}");
        }
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            // An I/O error may wrap a more telling one.
            match io.get_ref() {
                Some(inner) => {
                    source = Some(inner);
                    continue;
                }
                None => return io.kind().to_string(),
            }
        }
        source = current.source();
    }
    if error.is_timeout() {
        "time-out".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else if error.is_body() || error.is_decode() {
        "the body was cut".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}

fn http_date(value: &HeaderValue) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(value.to_str().ok()?).ok().map(|date| date.with_timezone(&Utc))
}

/// What a 429 asks for: seconds or a date. Nonsense is as good as nothing; a date that has passed asks for no pause
/// beyond a second, lest the same call comes back at once.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?;
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|each| each.is_ascii_digit()) {
        // Digits that do not fit are a very long time; the cap follows.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = http_date(value)?;
    let now = headers.get(header::DATE).and_then(http_date).unwrap_or(now);
    Some((date - now).to_std().unwrap_or(Duration::ZERO).max(Duration::from_secs(1)))
}

/// The platform's own words in an error body, redacted; empty when there are none, or none may be repeated.
pub(super) fn error_words(body: &[u8], spec: &Spec<'_>) -> String {
    if spec.quiet {
        return String::new();
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with('<') {
        return ", an HTML page".to_owned();
    }
    let json = serde_json::from_str::<serde_json::Value>(text).ok();
    let words = json.as_ref().and_then(|json| {
        ["/message", "/error", "/error/message", "/description", "/errors/0/message"]
            .iter()
            .find_map(|path| json.pointer(path)?.as_str())
    });
    let words = match (&json, words) {
        (_, Some(words)) => words,
        (None, None) => text,
        // JSON without any known place for words: its other members may be about a person.
        (Some(_), None) => "",
    };
    let mut sent: Vec<&str> = spec.query.iter().map(|(_, value)| value.as_str()).collect();
    sent.extend(spec.path.iter().skip(2).filter(|segment| segment.len() >= 16));
    let words = redact(words, &sent);
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

/// Stops all calls for a while after failures in a row, so that a platform in trouble is not stormed (F-30).
#[derive(Debug, Default)]
struct Breaker(Mutex<BreakerState>);

#[derive(Debug, Default)]
struct BreakerState {
    failures: u32,
    open_until: Option<Instant>,
    pause: Duration,
}

impl Breaker {
    /// Lets a call through, or not. When the pause is over one call may try; the others wait for its outcome.
    fn admit(&self, operation: &'static str) -> Result<(), Failure> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match state.open_until {
            Some(until) if until > now => Err(Failure::Final(PlatformError::Unavailable {
                operation,
                detail: format!(
                    "{} calls in a row failed; calls are stopped for {} s",
                    state.failures,
                    (until - now).as_secs() + 1
                ),
            })),
            Some(_) => {
                state.open_until = Some(now + state.pause);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn note(&self, failed: bool, settings: &Settings) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !failed {
            *state = BreakerState::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= settings.rate.breaker_failures {
            state.pause = secs(settings.rate.breaker_pause_secs);
            state.open_until = Some(Instant::now() + state.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, "2015-10-21T07:28:00Z".parse().unwrap())
    }

    #[test]
    fn f_29_every_form_of_retry_after_is_understood_or_left_aside() {
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("0"), Some(Duration::ZERO));
        assert_eq!(asked("1000000000"), Some(Duration::from_secs(1_000_000_000)));
        assert_eq!(asked("99999999999999999999999"), Some(Duration::from_secs(u64::from(u32::MAX))));
        assert_eq!(asked("Wed, 21 Oct 2015 07:29:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::from_secs(1)));
        assert_eq!(asked("-5"), None);
        assert_eq!(asked("soon"), None);
        assert_eq!(asked(""), None);
    }

    #[test]
    fn s_23_private_and_metadata_addresses_need_an_explicit_setting() {
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
        ] {
            assert!(!may_connect(private.parse().unwrap(), false), "{private}");
        }
        for public in ["127.0.0.1", "::1", "8.8.8.8", "2001:4860:4860::8888"] {
            assert!(may_connect(public.parse().unwrap(), false), "{public}");
        }
        assert!(may_connect("10.0.0.1".parse().unwrap(), true));
        assert!(!may_connect("0.0.0.0".parse().unwrap(), true));
        // By name: what the name resolves to at the moment of connecting decides.
        for rebound in ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"] {
            assert!(!is_allowed("explore.cloud4wi.com", rebound.parse().unwrap(), false), "{rebound}");
        }
        assert!(is_allowed("explore.cloud4wi.com", "8.8.8.8".parse().unwrap(), false));
        assert!(is_allowed("localhost", "127.0.0.1".parse().unwrap(), false));
    }
}
