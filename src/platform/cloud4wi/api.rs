//! Calls with a token, tried until they have an answer or an error of the port.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::failure::{CallError, Failure, Patience};
use super::session::Session;
use super::split::{Envelope, RecordLimits, SplitError, Splitter};
use super::transport::{Answer, Spec, Transport, error_words};
use super::wire;
use crate::platform::{PlatformError, Urgency};

/// Everything that a call needs.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) transport: Transport,
    pub(super) session: Session,
    /// The operations whose path has worked in this process: their 404 means that the thing is absent.
    proven: Mutex<HashSet<&'static str>>,
}

/// An answer with one small body.
#[derive(Debug)]
pub(super) struct Small {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// How many records came, readable or not.
    pub(super) total: u64,
    pub(super) unreadable: u64,
    /// The id with which the list goes on.
    pub(super) next: Option<String>,
    /// Whether a cut of this answer would have been noticed.
    pub(super) framed: bool,
    /// The platform's clock.
    pub(super) date: Option<DateTime<Utc>>,
}

/// Reads one record of a page; `None` when it cannot be read.
pub(super) type Decode<'a, T> = &'a (dyn Fn(&[u8]) -> Option<T> + Send + Sync);

impl Api {
    pub(super) fn new(transport: Transport, session: Session) -> Self {
        Self { transport, session, proven: Mutex::default() }
    }

    pub(super) fn record_limits(&self) -> RecordLimits {
        let limits = &self.transport.settings.limits;
        RecordLimits { max_bytes: limits.max_record_bytes, max_depth: limits.max_depth }
    }

    /// Attempts a call once, with a token.
    pub(super) async fn open(&self, spec: &Spec<'_>) -> Result<Answer, Failure> {
        let token = self.session.token(&self.transport, None).await.map_err(Failure::Final)?;
        self.session.forget_old_denials(&token);
        self.transport.open(spec, Some(&token)).await
    }

    /// Remembers that an operation has brought what it should.
    pub(super) fn prove(&self, operation: &'static str) {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).insert(operation);
    }

    /// What follows from a failure: returns for another attempt, or with the call's error.
    pub(super) async fn recover(
        &self,
        patience: &mut Patience<'_>,
        spec: &Spec<'_>,
        failure: Failure,
    ) -> Result<(), CallError> {
        let Failure::Denied { status, generation } = failure else { return patience.recover(failure).await };
        let operation = spec.operation;
        if patience.renewed || self.session.is_denied(operation, generation) {
            self.session.remember_denied(operation, generation);
            let error = if status == 401 {
                PlatformError::BadCredentials { operation }
            } else {
                PlatformError::Forbidden { operation, scopes: spec.scopes }
            };
            return Err(CallError { error, status: Some(status) });
        }
        patience.renewed = true;
        self.session.token(&self.transport, Some(generation)).await?;
        Ok(())
    }

    /// Makes a call whose body is one small object and reads it with `decode`.
    pub(super) async fn read_small<T>(
        &self,
        spec: &Spec<'_>,
        decode: impl Fn(Small) -> Result<T, Failure>,
    ) -> Result<T, CallError> {
        let mut patience = Patience::new(&self.transport, spec);
        loop {
            let outcome = match self.read_small_once(spec).await {
                Ok(small) => {
                    let status = small.status;
                    decode(small).map(|read| (read, status))
                }
                Err(failure) => Err(failure),
            };
            match outcome {
                Ok((read, status)) => {
                    if status != 404 {
                        self.prove(spec.operation);
                    }
                    return Ok(read);
                }
                Err(failure) => self.recover(&mut patience, spec, failure).await?,
            }
        }
    }

    async fn read_small_once(&self, spec: &Spec<'_>) -> Result<Small, Failure> {
        let mut answer = self.open(spec).await?;
        let limit = self.transport.settings.limits.max_record_bytes;
        let body = answer.body.read_whole(limit, "limits.max_record_bytes").await?;
        Ok(Small { status: answer.status, body })
    }

    /// Makes a call whose body is a list and reads each record with `decode`.
    pub(super) async fn read_page<T: Send>(
        &self,
        spec: &Spec<'_>,
        names: &'static [&'static str],
        decode: Decode<'_, T>,
    ) -> Result<Page<T>, CallError> {
        let mut patience = Patience::new(&self.transport, spec);
        loop {
            match self.read_page_once(spec, names, decode).await {
                Ok(page) => {
                    self.prove(spec.operation);
                    return Ok(page);
                }
                Err(failure) => self.recover(&mut patience, spec, failure).await?,
            }
        }
    }

    async fn read_page_once<T: Send>(
        &self,
        spec: &Spec<'_>,
        names: &'static [&'static str],
        decode: Decode<'_, T>,
    ) -> Result<Page<T>, Failure> {
        let mut answer = self.open(spec).await?;
        let mut splitter = Splitter::new(names, self.record_limits());
        let mut items = Vec::new();
        let mut sink = |text: &[u8]| {
            let item = decode(text);
            let readable = item.is_some();
            items.extend(item);
            readable
        };
        let framed = answer.body.is_framed();
        while let Some(piece) = answer.body.next().await? {
            splitter.push(&piece, &mut sink).map_err(|error| split_failure(error, framed))?;
        }
        let envelope = splitter.finish(&mut sink).map_err(|error| split_failure(error, framed))?;
        check_envelope(&envelope, spec)?;
        let next = wire::next_scroll(&envelope, &answer.headers).map(|(_, id)| id);
        Ok(Page {
            items,
            total: splitter.records(),
            unreadable: splitter.unreadable(),
            next,
            framed,
            date: answer.date(),
        })
    }

    /// Whether a 404 of this operation can be believed: its path has worked before, or the organisation's contact list
    /// answers, which shows that base URL and organisation are right. Otherwise a wrong `base_url` would look like an
    /// organisation without any contact.
    pub(super) async fn confirm_absence(&self, operation: &'static str) -> Result<(), PlatformError> {
        const LIST: &str = "confirm absence";
        let is_proven = |name| self.proven.lock().unwrap_or_else(PoisonError::into_inner).contains(name);
        if is_proven(operation) || is_proven(LIST) {
            return Ok(());
        }
        let settings = &self.transport.settings;
        let path = vec!["v2", "customers", "organizations", settings.organisation_id.as_str()];
        let mut spec = Spec::get(LIST, path, Urgency::Request, settings);
        spec.query.push((settings.dialect.size.clone(), "1".to_owned()));
        match self.read_page(&spec, wire::CONTACT_LISTS, &|_| Some(())).await {
            Ok(_) => Ok(()),
            Err(CallError { error: PlatformError::Rejected { detail, .. }, .. }) => {
                Err(PlatformError::Rejected {
                    operation,
                    detail: format!(
                        "status 404, and the list of contacts does not answer either ({detail}); check base_url and \
                         organisation_id"
                    ),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a splitter's error means for the call. A body that ends in the middle although its framing was whole was
/// written so; without framing it was cut on the way.
pub(super) fn split_failure(error: SplitError, framed: bool) -> Failure {
    match error {
        SplitError::Cut if framed => Failure::Unreadable("the JSON ends in the middle".to_owned()),
        SplitError::Cut => Failure::Broken("the body was cut".to_owned()),
        SplitError::Shape(what) => Failure::Unreadable(what.to_owned()),
    }
}

/// Refuses an envelope that says `status: KO`.
pub(super) fn check_envelope(envelope: &Envelope, spec: &Spec<'_>) -> Result<(), Failure> {
    if envelope.member("status").is_some_and(wire::is_ko) {
        let message = envelope.member("message").or_else(|| envelope.member("error")).unwrap_or_default();
        let message = serde_json::from_slice::<String>(message).unwrap_or_default();
        let words = error_words(message.as_bytes(), spec);
        return Err(Failure::Refused { status: 200, detail: format!("status KO{words}") });
    }
    Ok(())
}
