//! Reading a whole list, page by page, from a platform whose paging is hardly documented.
//!
//! | what comes | what it means |
//! |---|---|
//! | an id | the list goes on with it, also after a short page |
//! | no id, after pages with one | the end if the page is short; else on with the last id, which may bring nothing |
//! | no id at all, short page | the end; if the page is long enough to be a cap of the platform, one more look |
//! | no id at all, full page | on by creation date: from the last one seen |
//! | a page by creation date that does not begin with whom is known already | an error: somebody may stand between |
//! | a page by creation date with nobody in it | one more look, from earlier: the dates shown may be local |
//! | a last look as long as the longest page before | an error, as the platform may have cut both; the end, if it ignores the date |
//! | empty page | the end; with an id, only if a second one says so too |
//! | short page in an answer without framing | perhaps cut: from the start, until the same page comes twice |
//! | 404, 409 or 410 with an id, or an answer that was lost | the list is taken up anew |
//! | taken up anew more than [`RESUMPTIONS`] times without a new contact | an error |
//! | two pages that bring nothing new | an error, as are too many pages and too much time |
//!
//! An id may be a cursor that moves with every answer, also with one that was lost on its way here. So a call with an id
//! is never simply repeated, which could skip a page: the list is taken up without the id, from its start or, where only
//! dated contacts matter, from shortly before the last creation date seen.
//!
//! Every contact is handed out once: the ids seen are kept as hashes of 8 bytes. Two different ids share one with a
//! chance of one in ten million for a million contacts; then one of them is missed in this listing.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::api::{Api, Decode, Page};
use super::failure::{CallError, pause_before};
use super::transport::Spec;
use super::wire;
use crate::domain::ContactId;
use crate::platform::dates::filter_text;
use crate::platform::{Created, ListedContact, PlatformError, Urgency};

/// How often in a row a list is taken up anew without bringing a new contact.
const RESUMPTIONS: u32 = 3;
/// How far before the last creation date seen a list is taken up: local dates of one instant differ by at most so much.
const OVERLAP: TimeDelta = TimeDelta::hours(26);
/// A date of creation that no contact has, in seconds since 1970: the year 2999.
const NEVER_SECS: i64 = 32_472_144_000;
/// A short page of at least this many records may be the platform's own page size instead of the end.
const PLAUSIBLE_CAP: u64 = 10;

/// What the paging needs to know of a record.
pub(super) trait Listed: Send {
    fn id(&self) -> &ContactId;
    fn created(&self) -> Created;
}

impl Listed for ListedContact {
    fn id(&self) -> &ContactId {
        &self.id
    }

    fn created(&self) -> Created {
        self.created
    }
}

/// The records of one page that were not seen before.
#[derive(Debug)]
pub(super) struct Fresh<T> {
    pub(super) items: Vec<T>,
    pub(super) unreadable: u64,
}

/// One pass through the list of contacts.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one list")]
pub(super) struct Scroll<'a> {
    api: &'a Api,
    operation: &'static str,
    urgency: Urgency,
    filters: Vec<(String, String)>,
    sid: Option<String>,
    had_sid: bool,
    /// Creation date from which the list goes on when there is no id.
    from: Option<DateTime<Utc>>,
    /// The latest creation date of the last full page that came without an id.
    last_created: Option<DateTime<Utc>>,
    /// Whether `from` is the date of a contact that has to come again.
    keyed: bool,
    /// Whether `from` was moved back because nobody came again.
    moved_back: bool,
    /// How many records the longest page of this pass had.
    longest: u64,
    /// The page that is asked for shows whether creation dates are honoured: nobody has the one asked for.
    testing: bool,
    /// Whether contacts without a creation date may be missing.
    may_lack_undated: bool,
    /// The page that is asked for only confirms the end.
    confirming: bool,
    seen: Seen,
    pages: u32,
    pages_in_pass: u32,
    /// How many records seen before may come again because the list was taken up anew.
    to_walk_again: u64,
    /// How often the list was taken up anew since the last new contact.
    resumptions: u32,
    /// Whether contacts without a date may be left out when the list is taken up anew.
    dated_only: bool,
    /// The latest creation date seen, and whether all came in its order.
    latest: Option<DateTime<Utc>>,
    sorted: bool,
    /// A short page that may have been cut: its place and its length.
    doubtful: Option<(u32, u64)>,
    idle_pages: u32,
    empty_pages: u32,
    unreadable_in_pass: u64,
    unreadable_told: u64,
    started: Instant,
    done: bool,
}

impl<'a> Scroll<'a> {
    pub(super) fn new(
        api: &'a Api,
        operation: &'static str,
        urgency: Urgency,
        filters: Vec<(String, String)>,
    ) -> Self {
        Self {
            api,
            operation,
            urgency,
            filters,
            sid: None,
            had_sid: false,
            from: None,
            last_created: None,
            keyed: false,
            moved_back: false,
            longest: 0,
            testing: false,
            may_lack_undated: false,
            confirming: false,
            seen: Seen::default(),
            pages: 0,
            pages_in_pass: 0,
            to_walk_again: 0,
            resumptions: 0,
            dated_only: false,
            latest: None,
            sorted: true,
            doubtful: None,
            idle_pages: 0,
            empty_pages: 0,
            unreadable_in_pass: 0,
            unreadable_told: 0,
            started: Instant::now(),
            done: false,
        }
    }

    /// For lists of which only contacts with a creation date matter: they can be taken up by date.
    pub(super) const fn dated_only(mut self) -> Self {
        self.dated_only = true;
        self
    }

    /// Whether the list went on by creation date, so that contacts without one may not have come.
    pub(super) const fn may_lack_undated(&self) -> bool {
        self.may_lack_undated
    }

    /// The next page with anything in it; `None` at the end of the list.
    pub(super) async fn next<T: Listed>(
        &mut self,
        decode: Decode<'_, T>,
    ) -> Result<Option<Fresh<T>>, PlatformError> {
        while !self.done {
            self.check_limits()?;
            self.pages += 1;
            self.pages_in_pass += 1;
            let page = match self.fetch(decode).await {
                Ok(page) => page,
                Err(CallError { status: Some(404 | 409 | 410), .. })
                    if self.sid.is_some() && self.confirming =>
                {
                    // Spent after the last page, most likely: the creation date has to confirm the end.
                    self.sid = None;
                    self.from = self.last_created;
                    self.keyed = true;
                    self.done = self.from.is_none();
                    continue;
                }
                Err(CallError { status: Some(404 | 409 | 410), error }) if self.sid.is_some() => {
                    self.take_up_anew(error).await?;
                    continue;
                }
                Err(CallError {
                    error: error @ (PlatformError::Unavailable { .. } | PlatformError::Unreadable { .. }),
                    ..
                }) if self.sid.is_some() => {
                    self.take_up_anew(error).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if self.is_doubtful(&page) {
                self.doubtful = Some((self.pages_in_pass, page.total));
                let detail = "answers without length disagree".to_owned();
                self.take_up_anew(PlatformError::Unavailable { operation: self.operation, detail }).await?;
                // The page is recognised by its place from the start.
                self.from = None;
                continue;
            }
            let fresh = self.take(page)?;
            if !fresh.items.is_empty() || fresh.unreadable > 0 {
                return Ok(Some(fresh));
            }
        }
        Ok(None)
    }

    fn check_limits(&self) -> Result<(), PlatformError> {
        let paging = &self.api.transport.settings.paging;
        let limit = if self.pages >= paging.max_pages {
            "paging.max_pages"
        } else if self.started.elapsed() > Duration::from_secs(paging.list_timeout_secs) {
            "paging.list_timeout_secs"
        } else {
            return Ok(());
        };
        Err(PlatformError::TooLarge { operation: self.operation, limit: limit.to_owned() })
    }

    /// Whether a page may be shorter than it was sent. Then it counts only when it comes a second time; it is asked for
    /// by reading the list anew, because asking again with the same id may give the page after it.
    fn is_doubtful<T>(&self, page: &Page<T>) -> bool {
        let is_short = page.total < u64::from(self.api.transport.settings.paging.page_size);
        !page.framed && is_short && self.doubtful != Some((self.pages_in_pass, page.total))
    }

    /// Prepares to read the list without its id; the reason is the error when that has been tried too often.
    async fn take_up_anew(&mut self, reason: PlatformError) -> Result<(), PlatformError> {
        if self.resumptions >= RESUMPTIONS {
            return Err(reason);
        }
        self.resumptions += 1;
        tracing::info!(operation = self.operation, %reason, "the list is taken up anew");
        pause_before(&self.api.transport, self.resumptions).await;
        self.sid = None;
        self.pages_in_pass = 0;
        self.had_sid = false;
        self.from = if self.dated_only && self.sorted {
            self.latest.and_then(|latest| latest.checked_sub_signed(OVERLAP))
        } else {
            None
        };
        self.to_walk_again = self.seen.hashes.len() as u64;
        self.keyed = false;
        self.moved_back = false;
        self.longest = 0;
        self.testing = false;
        self.confirming = false;
        self.idle_pages = 0;
        self.empty_pages = 0;
        self.unreadable_in_pass = 0;
        Ok(())
    }

    async fn fetch<T: Listed>(&self, decode: Decode<'_, T>) -> Result<Page<T>, CallError> {
        let settings = &self.api.transport.settings;
        let dialect = &settings.dialect;
        let path = vec!["v2", "customers", "organizations", settings.organisation_id.as_str()];
        let mut spec = Spec::get(self.operation, path, self.urgency, settings);
        spec.query = self.filters.clone();
        if let Some(from) = self.from {
            spec.query.push((dialect.created_from.clone(), filter_text(from)));
        }
        spec.query.push((dialect.size.clone(), settings.paging.page_size.to_string()));
        spec.query.push((dialect.sort_by.clone(), dialect.sort_created.clone()));
        spec.query.push((dialect.sort_reverse.clone(), "false".to_owned()));
        if let Some(sid) = &self.sid {
            spec.query.push((dialect.scroll.clone(), sid.clone()));
            spec.repeatable = false;
        }
        self.api.read_page(&spec, wire::CONTACT_LISTS, decode).await
    }

    /// Takes a page in and decides how the list goes on.
    fn take<T: Listed>(&mut self, page: Page<T>) -> Result<Fresh<T>, PlatformError> {
        if self.testing {
            if page.total == 0 {
                return Err(self.lost("the platform may have cut the last page as it cut those before"));
            }
            // The date is ignored: the last look saw the list from its start, and nothing in it was new.
            self.done = true;
            return Ok(Fresh { items: Vec::new(), unreadable: 0 });
        }
        let size = u64::from(self.api.transport.settings.paging.page_size);
        let by_date = self.keyed && self.sid.is_none();
        let span = Span::of(&page.items);
        let came = page.items.len();
        let mut items = Vec::with_capacity(came);
        for item in page.items {
            self.note_created(item.created());
            if self.seen.insert(item.id()) {
                items.push(item);
            }
        }
        if by_date && items.len() == came {
            return self.without_overlap(page.total, page.next.is_some());
        }
        let is_idle = items.is_empty();
        self.may_lack_undated |= by_date && !is_idle;
        let was_confirming = std::mem::take(&mut self.confirming);
        let confirmed = was_confirming && is_idle;
        if !is_idle {
            self.resumptions = 0;
        }
        // Records without an id cannot be told apart. A page that only repeats others repeats theirs, and of several
        // passes the largest count stands.
        self.unreadable_in_pass += if confirmed { 0 } else { page.unreadable };
        let unreadable = self.unreadable_in_pass.saturating_sub(self.unreadable_told);
        self.unreadable_told += unreadable;
        let fresh = Fresh { items, unreadable };

        let has_next = page.next.is_some();
        if has_next {
            self.sid = page.next;
            self.had_sid = true;
        }
        if confirmed && !has_next {
            self.testing = by_date && page.total >= self.longest;
            self.done = !self.testing;
            if self.testing {
                self.from = DateTime::from_timestamp(NEVER_SECS, 0);
            }
            return Ok(fresh);
        }
        self.longest = self.longest.max(page.total);
        if page.total == 0 {
            self.empty_pages += 1;
            self.done = self.empty_pages >= 2 || !has_next;
            return Ok(fresh);
        }
        self.empty_pages = 0;
        if !is_idle {
            self.idle_pages = 0;
        } else if self.to_walk_again > 0 {
            self.to_walk_again = self.to_walk_again.saturating_sub(page.total);
        } else {
            self.idle_pages += 1;
        }
        if self.idle_pages >= 2 {
            return Err(self.lost("two pages in a row brought nothing new"));
        }
        if has_next {
            return Ok(fresh);
        }
        if self.had_sid {
            // A full page without a new id: either the platform keeps one id for the whole list, or this page was the
            // last. The last id tells.
            self.done = page.total < size;
            self.confirming = true;
            self.last_created = span.map(|span| span.last);
            return Ok(fresh);
        }
        if page.total < size && page.total < PLAUSIBLE_CAP {
            self.done = true;
            return Ok(fresh);
        }
        let Some(span) = span else {
            if page.total < size {
                self.may_lack_undated = true;
                self.done = true;
                return Ok(fresh);
            }
            return Err(
                self.lost("the page is full, has no id to go on with, and no readable creation dates")
            );
        };
        if !span.ascending && (page.total >= size || was_confirming) {
            return Err(self.lost("the page has no id to go on with and is not sorted by creation date"));
        }
        if self.from.is_some_and(|from| from >= span.last) && is_idle && page.total >= size {
            return Err(self.lost("a full page was created in the same second, or the list does not go on"));
        }
        self.confirming = page.total < size;
        self.from = Some(span.last);
        self.keyed = true;
        self.moved_back = false;
        Ok(fresh)
    }

    /// What follows from a page by creation date in which nobody comes again although its lower bound is inclusive.
    fn without_overlap<T>(&mut self, total: u64, has_next: bool) -> Result<Fresh<T>, PlatformError> {
        if total > 0 || has_next || self.moved_back {
            return Err(self.lost("the list does not go on where it ended; the creation dates may be local"));
        }
        // Most likely the end, of a list whose local dates lie ahead of the instants by which it is filtered.
        self.from = self.from.and_then(|from| from.checked_sub_signed(OVERLAP));
        self.moved_back = true;
        self.confirming = true;
        Ok(Fresh { items: Vec::new(), unreadable: 0 })
    }

    fn note_created(&mut self, created: Created) {
        let (Created::At(created) | Created::About(created)) = created else { return };
        if self
            .latest
            .and_then(|latest| latest.checked_sub_signed(OVERLAP))
            .is_some_and(|earliest| created < earliest)
        {
            self.sorted = false;
        }
        self.latest = self.latest.max(Some(created));
    }

    fn lost(&self, what: &str) -> PlatformError {
        PlatformError::Unreadable { operation: self.operation, detail: format!("paging: {what}") }
    }
}

/// The creation dates of one page, to the second.
struct Span {
    last: DateTime<Utc>,
    ascending: bool,
}

impl Span {
    fn of<T: Listed>(items: &[T]) -> Option<Self> {
        let mut span: Option<Self> = None;
        for item in items {
            let (Created::At(created) | Created::About(created)) = item.created() else { continue };
            let second = DateTime::from_timestamp(created.timestamp(), 0)?;
            span = Some(match span {
                None => Self { last: second, ascending: true },
                Some(before) => Self {
                    last: before.last.max(second),
                    ascending: before.ascending && second >= before.last,
                },
            });
        }
        span
    }
}

/// The ids seen.
#[derive(Default)]
struct Seen {
    keys: RandomState,
    hashes: HashSet<u64, BuildHasherDefault<Hashed>>,
}

impl Seen {
    /// Whether the id is new.
    fn insert(&mut self, id: &ContactId) -> bool {
        self.hashes.insert(self.keys.hash_one(id.as_str()))
    }
}

/// Passes a hash through: the keys of the set are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
