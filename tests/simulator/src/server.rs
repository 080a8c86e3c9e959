//! The way of a call: route, faults, rate limit, token, scope, endpoint, journal, answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Response, Uri};
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::auth::Tokens;
use crate::connection::Grip;
use crate::contacts::Directory;
use crate::endpoints::{self, ContactSnapshot, EventSnapshot};
use crate::faults::mangle::{self, Instead};
use crate::faults::{CallFaults, Fault, Faults};
use crate::journal::{Effect, Endpoint, Entry, Journal};
use crate::json::instant_text;
use crate::people::Population;
use crate::rate_limit::Bucket;
use crate::routes::Route;
use crate::scroll::Scrolls;
use crate::settings::{OrganisationSettings, ScopeRule, Settings};

/// One organisation at work.
#[derive(Debug)]
pub(crate) struct Organisation {
    pub(crate) name: Arc<str>,
    pub(crate) settings: OrganisationSettings,
    pub(crate) directory: Directory,
    pub(crate) scopes: Mutex<Vec<String>>,
    pub(crate) bucket: Mutex<Option<Bucket>>,
    pub(crate) key_revoked: AtomicBool,
    pub(crate) scrolls: Mutex<Scrolls<ContactSnapshot>>,
    pub(crate) event_scrolls: Mutex<Scrolls<EventSnapshot>>,
}

/// All that calls share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) organisations: Vec<Arc<Organisation>>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) stop: CancellationToken,
    /// The `generated` member of answers.
    pub(crate) generated: String,
}

/// Takes a lock even when a test panicked while it held it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let reference_ms = settings.reference.timestamp_millis();
        let organisations = settings
            .organisations
            .iter()
            .map(|organisation| {
                let people = Population::new(
                    organisation.seed,
                    organisation.contacts,
                    reference_ms,
                    &organisation.organisation_id,
                );
                Arc::new(Organisation {
                    name: Arc::from(organisation.name.as_str()),
                    directory: Directory::new(people),
                    scopes: Mutex::new(organisation.scopes.clone()),
                    bucket: Mutex::new(organisation.rate_limit.clone().map(Bucket::new)),
                    key_revoked: AtomicBool::new(false),
                    scrolls: Mutex::new(Scrolls::new(settings.scroll_life)),
                    event_scrolls: Mutex::new(Scrolls::new(settings.scroll_life)),
                    settings: organisation.clone(),
                })
            })
            .collect();
        Self {
            organisations,
            tokens: Mutex::default(),
            journal: Journal::new(settings.journal),
            faults: Faults::new(),
            stop: CancellationToken::new(),
            generated: instant_text(reference_ms),
            settings,
        }
    }

    /// Journals deletions that the platform carried out by itself.
    pub(crate) fn note_late_deletions(&self, organisation: &Organisation, slots: &[u32]) {
        for &slot in slots {
            let now = Instant::now();
            self.journal.add(Entry {
                sequence: 0,
                arrived: now,
                settled: now,
                wall: SystemTime::now(),
                organisation: Some(Arc::clone(&organisation.name)),
                endpoint: Endpoint::Platform,
                contact: Some(organisation.directory.id_of(slot)),
                query: String::new(),
                status: 200,
                effects: vec![Effect::Deleted { contact: organisation.directory.id_of(slot) }],
                withheld: false,
            });
        }
    }
}

/// What an endpoint gives back.
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    pub(crate) effects: Vec<Effect>,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self { answer, effects: Vec::new() }
    }
}

/// A call, as endpoints see it.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) organisation: &'a Arc<Organisation>,
    pub(crate) route: &'a Route,
    /// The bearer token.
    pub(crate) token: &'a str,
    pub(crate) uri: &'a Uri,
    pub(crate) body: &'a [u8],
    pub(crate) faults: &'a CallFaults,
}

impl Call<'_> {
    /// An error answer.
    pub(crate) fn refuse(&self, status: u16, message: &str) -> Outcome {
        Answer::ko(status, &self.shared.generated, message).into()
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

/// Answers one call.
pub(crate) async fn answer_call(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(Grip(control)): ConnectInfo<Grip>,
    request: Request,
) -> Response<Body> {
    let (arrived, wall) = (Instant::now(), SystemTime::now());
    let (parts, body) = request.into_parts();
    let route = Route::of(&parts.method, parts.uri.path());
    let read = axum::body::to_bytes(body, shared.settings.largest_request).await;
    let token = bearer(&parts.headers);
    let login = (route.endpoint == Endpoint::Login)
        .then(|| endpoints::login::Credentials::read(read.as_deref().unwrap_or_default()))
        .flatten();
    let owner = match &login {
        Some(credentials) => credentials.owner(&shared),
        None => token.and_then(|token| lock(&shared.tokens).owner(token)),
    };
    let organisation = owner.and_then(|at| shared.organisations.get(at));
    let faults = shared.faults.take(
        route.endpoint,
        organisation.map(|organisation| &*organisation.name),
        route.contact(),
    );

    let (mut outcome, ended) = match mangle::instead_of_work(&faults, &shared.generated) {
        Some(Instead::Answer(answer)) => (Outcome::from(answer), None),
        Some(Instead::End(end)) => (Outcome::from(Answer::empty(0)), Some(end)),
        None => {
            let outcome = match &read {
                Err(_) => Answer::ko(409, &shared.generated, "request body is too large or broken").into(),
                Ok(bytes) => admit(&shared, organisation, &route, token, &faults).unwrap_or_else(|| {
                    if route.endpoint == Endpoint::Login {
                        return endpoints::login::login(&shared, login.as_ref(), &faults);
                    }
                    organisation.map_or_else(
                        || Answer::ko(403, &shared.generated, "token is missing").into(),
                        |organisation| {
                            endpoints::answer(&Call {
                                shared: &shared,
                                organisation,
                                route: &route,
                                token: token.unwrap_or_default(),
                                uri: &parts.uri,
                                body: bytes,
                                faults: &faults,
                            })
                        },
                    )
                }),
            };
            (outcome, None)
        }
    };
    mangle::dress(&mut outcome.answer, &faults);
    shared.journal.add(Entry {
        sequence: 0,
        arrived,
        settled: Instant::now(),
        wall,
        organisation: organisation.map(|organisation| Arc::clone(&organisation.name)),
        endpoint: route.endpoint,
        contact: route.contact().map(str::to_owned),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        status: outcome.answer.status,
        effects: std::mem::take(&mut outcome.effects),
        withheld: faults.withhold(),
    });
    if let Some(latency) = faults.find(|fault| match fault {
        Fault::Latency(latency) => Some(*latency),
        _ => None,
    }) {
        tokio::select! {
            () = tokio::time::sleep(latency) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    // The library's attempt to write any response is what wakes a takeover.
    if let Some(end) = ended {
        control.end(end);
        return Response::new(Body::empty());
    }
    if let Some(takeover) = mangle::wire(&mut outcome.answer, &faults) {
        control.take_over(takeover);
        return Response::new(Body::empty());
    }
    outcome.answer.into_response()
}

/// Rate limit, token, organisation and scope; an answer means refusal.
fn admit(
    shared: &Shared,
    organisation: Option<&Arc<Organisation>>,
    route: &Route,
    token: Option<&str>,
    faults: &CallFaults,
) -> Option<Outcome> {
    let refuse = |status, message| Some(Outcome::from(Answer::ko(status, &shared.generated, message)));
    if route.endpoint == Endpoint::Unknown {
        return refuse(404, "no such resource");
    }
    if let Some(organisation) = organisation {
        let mut bucket = lock(&organisation.bucket);
        if let Some(bucket) = bucket.as_mut()
            && (route.endpoint != Endpoint::Login || bucket.limit().logins_count)
            && !bucket.take(Instant::now())
        {
            return Some(mangle::too_many_requests(&shared.generated, &bucket.limit().retry_after).into());
        }
    }
    if route.endpoint == Endpoint::Login {
        return None;
    }
    let expired = if faults.has(&Fault::ExpiryAs401) { 401 } else { 403 };
    let (Some(token), Some(organisation)) = (token, organisation) else {
        return refuse(403, "token is missing or unknown");
    };
    if !lock(&shared.tokens).is_valid(token)
        || organisation.key_revoked.load(Ordering::Acquire)
        || faults.has(&Fault::TokenExpired)
    {
        return refuse(expired, "token is expired or revoked");
    }
    if route.organisation().is_some_and(|id| id != organisation.settings.organisation_id) {
        return refuse(403, "service is not authorised for this organisation");
    }
    let needed = route.scopes();
    let held = lock(&organisation.scopes);
    let holds = |scope: &&'static str| held.iter().any(|held| held == scope);
    let enough = match shared.settings.scope_rule {
        ScopeRule::Either => needed.is_empty() || needed.iter().any(holds),
        ScopeRule::Both => needed.iter().all(holds),
    };
    if !enough || faults.has(&Fault::ScopeLost) {
        return refuse(403, "service is not authorised for this resource");
    }
    None
}
