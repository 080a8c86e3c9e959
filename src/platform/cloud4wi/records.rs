//! Events, devices and connections of one contact, handed out while they arrive.
//!
//! The vendor documents neither paging nor order of these lists. One body of any length is split as it comes; when an
//! answer carries an id to go on with, the next page is asked for with it.
//!
//! The first [`HELD_BACK`] bytes of each page are read before anything of it is handed out, so that an answer that is
//! cut early, refused in its envelope or empty without framing is asked for again. After that a failure ends the
//! stream, and the caller begins anew. So does the loss of a page that was asked for with an id, since the id may be a
//! cursor that has moved on.

use std::hash::{DefaultHasher, Hasher};

use futures_util::stream;
use reqwest::header::HeaderMap;
use serde_json::value::RawValue;

use super::Cloud4Wi;
use super::api::{Api, check_envelope, split_failure};
use super::body::Body;
use super::failure::{Failure, Patience};
use super::settings::secs;
use super::split::{Envelope, Splitter};
use super::transport::Spec;
use super::wire;
use crate::domain::ContactId;
use crate::platform::{PlatformError, RawRecord, RecordBatch, Records, Source, Urgency};

/// How much of a page is read before any of it is handed out.
const HELD_BACK: usize = 1024 * 1024;
/// How often one page is asked for at most, while answers fail or disagree.
const MOST_ANSWERS: u32 = 16;
/// How much is gathered for one batch afterwards.
const BATCH: usize = 256 * 1024;

const fn operation(source: Source) -> &'static str {
    match source {
        Source::Events => "read events",
        Source::Devices => "read devices",
        Source::Accountings => "read accountings",
    }
}

const fn list_names(source: Source) -> &'static [&'static str] {
    match source {
        Source::Events => wire::EVENT_LISTS,
        Source::Devices => wire::DEVICE_LISTS,
        Source::Accountings => wire::ACCOUNTING_LISTS,
    }
}

/// A page that is being read.
struct Reading {
    body: Body,
    headers: HeaderMap,
    splitter: Splitter,
    told: u64,
}

/// Records that were read, and how the page goes on.
struct Part {
    records: Vec<RawRecord>,
    unreadable: u64,
    digest: u64,
    rest: Rest,
}

enum Rest {
    More(Box<Reading>),
    Ended(End),
}

struct End {
    next: Option<(String, String)>,
    announced: Option<u64>,
    total: u64,
    framed: bool,
}

/// The state of the stream between two batches.
struct Progress<'a> {
    api: &'a Api,
    id: &'a ContactId,
    source: Source,
    urgency: Urgency,
    part: Option<Part>,
    /// With what the page that is being read was asked for.
    query: Option<(String, String)>,
    /// Whether parts of this page were handed out before its end was known.
    streamed: bool,
    received: u64,
    digest: u64,
    last_digest: Option<u64>,
    repeats: u32,
    empty_pages: u32,
    pages: u32,
}

impl Cloud4Wi {
    /// The body of [`crate::platform::ContactPlatform::records`].
    pub(super) async fn read_records<'a>(
        &'a self,
        id: &'a ContactId,
        source: Source,
        urgency: Urgency,
    ) -> Result<Option<Records<'a>>, PlatformError> {
        let operation = operation(source);
        let Some(part) = open_page(&self.api, id, source, urgency, None).await? else {
            // The path may be wrong as well as the contact gone: only the contact itself can tell.
            return if self.read_contact(id, urgency).await?.is_some() {
                Err(PlatformError::Rejected {
                    operation,
                    detail: "status 404 although the contact exists".to_owned(),
                })
            } else {
                Ok(None)
            };
        };
        let progress = Progress {
            api: &self.api,
            id,
            source,
            urgency,
            part: Some(part),
            query: None,
            streamed: false,
            received: 0,
            digest: 0,
            last_digest: None,
            repeats: 0,
            empty_pages: 0,
            pages: 1,
        };
        Ok(Some(Box::pin(stream::try_unfold(progress, Progress::advance))))
    }
}

impl Progress<'_> {
    async fn advance(mut self) -> Result<Option<(RecordBatch, Self)>, PlatformError> {
        loop {
            let Some(part) = self.part.take() else { return Ok(None) };
            self.received += part.records.len() as u64 + part.unreadable;
            self.digest ^= part.digest;
            let mut batch = RecordBatch { records: part.records, unreadable: part.unreadable };
            batch.unreadable += match part.rest {
                Rest::More(reading) => {
                    self.streamed = true;
                    let source = self.source;
                    self.part = Some(reading.read(BATCH).await.map_err(|failure| fail_now(source, failure))?);
                    0
                }
                Rest::Ended(end) => self.go_on_after(&end).await?,
            };
            if !batch.records.is_empty() || batch.unreadable > 0 {
                return Ok(Some((batch, self)));
            }
        }
    }

    /// Opens the page after one that has ended. Where there is none, returns how many announced records never came.
    async fn go_on_after(&mut self, end: &End) -> Result<u64, PlatformError> {
        if self.streamed && !end.framed && self.query.is_none() {
            self.count_again(end.total).await?;
        }
        if let Some(query) = self.next_page(end)? {
            self.pages += 1;
            self.query = Some(query);
            self.streamed = false;
            self.part = Some(self.open_next().await?);
            return Ok(0);
        }
        let missing = end.announced.unwrap_or(0).saturating_sub(self.received);
        if missing > 0 {
            tracing::warn!(
                source = self.source.as_str(),
                count = missing,
                "the platform announced more records"
            );
        }
        Ok(missing)
    }

    async fn open_next(&self) -> Result<Part, PlatformError> {
        let part = open_page(self.api, self.id, self.source, self.urgency, self.query.clone()).await?;
        part.ok_or_else(|| PlatformError::Unavailable {
            operation: operation(self.source),
            detail: "the contact went away while its records were read".to_owned(),
        })
    }

    /// Reads the page once more and compares the number of its records: without framing the end of a long answer may
    /// be a cut.
    async fn count_again(&self, total: u64) -> Result<(), PlatformError> {
        let mut part = self.open_next().await?;
        let again = loop {
            match part.rest {
                Rest::Ended(end) => break end.total,
                Rest::More(reading) => {
                    part = reading.read(BATCH).await.map_err(|failure| fail_now(self.source, failure))?;
                }
            }
        };
        if again == total { Ok(()) } else { Err(disagreement(self.source)) }
    }

    /// The query with which the list goes on after a page, if it does.
    fn next_page(&mut self, end: &End) -> Result<Option<(String, String)>, PlatformError> {
        let digest = std::mem::take(&mut self.digest);
        let Some(next) = &end.next else { return Ok(None) };
        if end.total == 0 {
            self.empty_pages += 1;
            if self.empty_pages >= 2 {
                return Ok(None);
            }
        } else {
            self.empty_pages = 0;
            self.repeats = if self.last_digest == Some(digest) { self.repeats + 1 } else { 0 };
            self.last_digest = Some(digest);
        }
        let operation = operation(self.source);
        if self.repeats > 0 {
            return Err(PlatformError::Unreadable {
                operation,
                detail: "paging: the same page came twice".to_owned(),
            });
        }
        if self.pages >= self.api.transport.settings.paging.max_pages {
            return Err(PlatformError::TooLarge { operation, limit: "paging.max_pages".to_owned() });
        }
        Ok(Some(next.clone()))
    }
}

fn disagreement(source: Source) -> PlatformError {
    let detail = "answers without length disagree".to_owned();
    PlatformError::Unavailable { operation: operation(source), detail }
}

/// Opens a page and reads its beginning; `None` for 404. A page that ends there, in an answer that may have been cut,
/// counts only when a second one has as many records.
async fn open_page(
    api: &Api,
    id: &ContactId,
    source: Source,
    urgency: Urgency,
    query: Option<(String, String)>,
) -> Result<Option<Part>, PlatformError> {
    let settings = &api.transport.settings;
    let path = vec!["v2", "customers", id.as_str(), source.as_str()];
    let mut spec = Spec::get(operation(source), path, urgency, settings);
    spec.absence_is_answer = true;
    spec.patience = secs(settings.limits.records_timeout_secs);
    spec.repeatable = query.is_none();
    spec.query.extend(query);
    let mut patience = Patience::new(&api.transport, &spec);
    let mut doubtful = None;
    for _ in 0..MOST_ANSWERS {
        match open_page_once(api, &spec, source).await {
            Ok(Some(Part { rest: Rest::Ended(end), .. }))
                if spec.repeatable && !end.framed && doubtful != Some(end.total) =>
            {
                doubtful = Some(end.total);
            }
            Ok(part) => return Ok(part),
            Err(failure) => api.recover(&mut patience, &spec, failure).await?,
        }
    }
    Err(disagreement(source))
}

async fn open_page_once(api: &Api, spec: &Spec<'_>, source: Source) -> Result<Option<Part>, Failure> {
    let answer = api.open(spec).await?;
    if answer.status == 404 {
        return Ok(None);
    }
    let splitter = Splitter::new(list_names(source), api.record_limits());
    let reading = Reading { body: answer.body, headers: answer.headers, splitter, told: 0 };
    let mut part = Box::new(reading).read_with(HELD_BACK, spec).await?;
    if let Rest::More(reading) = &mut part.rest {
        reading.body.release_slot();
    }
    Ok(Some(part))
}

impl Reading {
    async fn read(self: Box<Self>, target: usize) -> Result<Part, Failure> {
        self.read_until(target, |_| Ok(())).await
    }

    async fn read_with(self: Box<Self>, target: usize, spec: &Spec<'_>) -> Result<Part, Failure> {
        self.read_until(target, |envelope| check_envelope(envelope, spec)).await
    }

    /// Reads until so many bytes of records are gathered or the page ends.
    async fn read_until(
        mut self: Box<Self>,
        target: usize,
        check: impl Fn(&Envelope) -> Result<(), Failure>,
    ) -> Result<Part, Failure> {
        let framed = self.body.is_framed();
        let mut gathered = Gathered::default();
        loop {
            if gathered.bytes >= target {
                let unreadable = self.newly_unreadable();
                return Ok(gathered.part(unreadable, Rest::More(self)));
            }
            let Some(piece) = self.body.next().await? else { break };
            self.splitter
                .push(&piece, &mut |record| gathered.take(record))
                .map_err(|error| split_failure(error, framed))?;
        }
        let envelope = self
            .splitter
            .finish(&mut |record| gathered.take(record))
            .map_err(|error| split_failure(error, framed))?;
        check(&envelope)?;
        let end = End {
            next: wire::next_scroll(&envelope, &self.headers),
            announced: wire::announced_total(&envelope),
            total: self.splitter.records(),
            framed,
        };
        let unreadable = self.newly_unreadable();
        Ok(gathered.part(unreadable, Rest::Ended(end)))
    }

    fn newly_unreadable(&mut self) -> u64 {
        let new = self.splitter.unreadable() - self.told;
        self.told = self.splitter.unreadable();
        new
    }
}

#[derive(Default)]
struct Gathered {
    records: Vec<RawRecord>,
    bytes: usize,
    digest: u64,
}

impl Gathered {
    fn take(&mut self, record: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(record) else { return false };
        let Ok(raw) = RawValue::from_string(text.to_owned()) else { return false };
        self.bytes += text.len();
        if self.records.is_empty() {
            self.digest = digest(record);
        }
        self.records.push(RawRecord::new(raw));
        true
    }

    fn part(self, unreadable: u64, rest: Rest) -> Part {
        Part { records: self.records, unreadable, digest: self.digest, rest }
    }
}

/// What tells one page from another: the first record of each part that was read.
fn digest(record: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(record);
    hasher.finish()
}

/// The error of a failure in the middle of a page, where nothing can be tried again.
fn fail_now(source: Source, failure: Failure) -> PlatformError {
    let operation = operation(source);
    match failure {
        Failure::Unreadable(detail) => PlatformError::Unreadable { operation, detail },
        Failure::TooLarge(limit) => PlatformError::TooLarge { operation, limit },
        Failure::Final(error) => error,
        Failure::Refused { detail, .. } => PlatformError::Rejected { operation, detail },
        Failure::Broken(detail) | Failure::Server(detail) | Failure::NotSent(detail) => {
            PlatformError::Unavailable { operation, detail }
        }
        Failure::Throttled(_) | Failure::Denied { .. } => {
            PlatformError::Unavailable { operation, detail: "the answer broke off".to_owned() }
        }
    }
}
