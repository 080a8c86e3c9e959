//! The link by which a person fetches the package, once.
//!
//! Looking at a link changes nothing. Redeeming it needs a second proof (S-11): one of the identifiers with which the
//! request was made, or the address to which the mail went, compared by its keyed pseudonym. So a link alone, as it
//! stands in a history, a log or a forwarded line, opens nothing, and neither does a scanner that presses buttons. It is
//! no proof of identity by itself: that is the mailbox to which the link was sent. Wrong answers are counted in
//! the database, and with the fifth the link is locked for good.
//!
//! Redeeming marks the package as fetched before the first byte leaves; of two
//! that redeem at once one wins. When everything was taken by the network, the link's digest is emptied. When the
//! download broke off, the link works again until `download_retry_secs` after its first beginning, on the daemon that
//! served it; after a restart, or when that time is over, the person asks again or a member of staff hands the package
//! over. Every beginning, completion and breaking off stands in the log.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::package::{PackageId, digest, file_of, open_identity};
use super::sql::{self, PackageRow};
use super::text;
use super::{DeliveryError, Settings};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Clock, Controller, MasterKey, OrganisationId, Personal, RequestId, RequestKind, SubjectIdentifier,
    SubjectRef,
};
use crate::report::{PackageKey, PackageReader, read_package};
use crate::store::{Store, StoreError};

/// Serves hand-over links.
#[derive(Clone, Debug)]
pub struct Handover {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    keys: Arc<MasterKey>,
    controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    clock: Arc<dyn Clock>,
    package_dir: PathBuf,
    retry: TimeDelta,
    stall: Duration,
    /// Downloads that broke off, and until when each may begin again.
    broken: Mutex<HashMap<PackageId, DateTime<Utc>>>,
}

/// What the landing page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// The reference of the request.
    pub reference: String,
    /// The controller's name.
    pub organisation: String,
    /// How to reach its data protection officer.
    pub contact: String,
    /// The language of the mail with the link; where there are no words in it, the controller's, else English.
    pub language: String,
    /// What was asked for.
    pub kind: RequestKind,
    /// Until when the link works, in the controller's time zone, for people.
    pub expires: String,
}

/// What became of an answer given on the landing page.
#[derive(Debug)]
pub enum Redemption {
    /// The link does not work; alike for every reason, as in [`Handover::look`].
    NoSuchLink,
    /// The answer is not what the request was made with.
    Unproven {
        /// What the landing page says.
        landing: Landing,
        /// How many answers are left; `None` when nothing was answered, which counts as no try.
        tries_left: Option<u16>,
    },
    /// The answer was wrong, and the last one: the link is locked.
    Locked,
    /// The answer was right, and the package comes.
    Download(Download),
}

/// A package on its way out.
#[derive(Debug)]
pub struct Download {
    /// The name under which it is saved: the reference and `.zip`.
    pub file_name: String,
    /// The decrypted archive, piece by piece, and its end. An error, or that there is no more before the end was said, means
    /// that it is not whole. Dropping it breaks the download off.
    pub pieces: mpsc::Receiver<io::Result<Piece>>,
}

/// What comes of a package on its way out.
#[derive(Debug)]
pub enum Piece {
    /// More of the archive.
    Bytes(Vec<u8>),
    /// All of it was taken.
    End,
}

/// A link that works now.
struct Valid {
    row: PackageRow,
    organisation: OrganisationId,
    token_sha256: [u8; 32],
}

impl Valid {
    const fn package(&self) -> PackageId {
        PackageId(self.row.package_id)
    }

    fn event(&self, at: DateTime<Utc>, download: &str) -> Event {
        Event::of(
            &self.organisation,
            RequestId(self.row.request_id),
            Action::PackageFetched,
            Actor::Process("handover"),
            at,
        )
        .with(Detail::none().word("package", &self.package().to_string()).word("download", download))
    }
}

/// So many wrong answers lock a link. Mirrored by a CHECK of `dsrd.package`.
const MOST_WRONG_ANSWERS: i16 = 5;

/// So long may a person's network take for one piece before the download counts as broken off.
const STALL: Duration = Duration::from_mins(1);
const PIECE_BYTES: usize = 64 * 1024;
const PIECES_AHEAD: usize = 4;

impl Handover {
    /// Serves the packages in `package_dir`.
    #[must_use]
    pub fn new(
        settings: &Settings,
        store: Store,
        keys: Arc<MasterKey>,
        controllers: BTreeMap<OrganisationId, Arc<Controller>>,
        clock: Arc<dyn Clock>,
        package_dir: PathBuf,
    ) -> Self {
        let retry = TimeDelta::seconds(settings.download_retry_secs.into());
        let broken = Mutex::default();
        let stall = STALL;
        Self { inner: Arc::new(Inner { store, keys, controllers, clock, package_dir, retry, stall, broken }) }
    }

    /// The same, with another patience for a network that takes nothing; before it is shared. For tests.
    #[must_use]
    pub fn with_stall(mut self, stall: Duration) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.stall = stall;
        }
        self
    }

    /// What a link leads to; `None` alike when it is malformed, unknown, expired or used.
    pub async fn look(&self, token: &str) -> Result<Option<Landing>, DeliveryError> {
        let Some(valid) = self.inner.find(token).await? else { return Ok(None) };
        Ok(self.inner.landing(&valid))
    }

    /// Uses a link up and begins the download, when `answer` is what the request was made with. Of several at once one
    /// gets it. The file is opened before the link is used up, so that a file that cannot be read costs the person
    /// nothing.
    pub async fn redeem(&self, token: &str, answer: &Personal<String>) -> Result<Redemption, DeliveryError> {
        let Some(valid) = self.inner.find(token).await? else { return Ok(Redemption::NoSuchLink) };
        let Some(landing) = self.inner.landing(&valid) else { return Ok(Redemption::NoSuchLink) };
        if answer.expose().trim().is_empty() {
            return Ok(Redemption::Unproven { landing, tries_left: None });
        }
        match self.inner.judge(&valid, answer).await? {
            Judgement::Right => {}
            Judgement::Wrong(0) => return Ok(Redemption::Locked),
            Judgement::Wrong(left) => return Ok(Redemption::Unproven { landing, tries_left: Some(left) }),
            Judgement::TooLate => return Ok(Redemption::NoSuchLink),
        }
        Ok(self.begin(valid).await?.map_or(Redemption::NoSuchLink, Redemption::Download))
    }

    async fn begin(&self, valid: Valid) -> Result<Option<Download>, DeliveryError> {
        let inner = &self.inner;
        let identity = open_identity(&inner.keys, &valid.row)?;
        let path = file_of(&inner.package_dir, &valid.row.file_name).await?;
        let reader = tokio::task::spawn_blocking(move || {
            let key = PackageKey::parse(identity.expose())?;
            read_package(&path, &key)
        })
        .await
        .map_err(|_| DeliveryError::ReaderLost)?
        .map_err(DeliveryError::Package)?;

        // To its end, whether or not the person is still there: who leaves while the link is being used up would lose it and
        // get nothing. The download then breaks off at once, so that it may begin again.
        let begun = tokio::spawn(Arc::clone(inner).use_up(valid, reader));
        begun.await.map_err(|_| DeliveryError::ReaderLost)?
    }
}

/// How an answer compares.
enum Judgement {
    Right,
    /// Wrong; so many tries are left.
    Wrong(u16),
    /// Other answers have locked the link meanwhile.
    TooLate,
}

impl Inner {
    fn landing(&self, valid: &Valid) -> Option<Landing> {
        let controller = self.controllers.get(&valid.organisation)?;
        let languages = [valid.row.language.as_str(), controller.language.as_str()];
        let language = text::vocabulary(text::VocabularyOf::Pages, languages).tag();
        Some(Landing {
            language: language.to_owned(),
            kind: valid.row.kind.parse().ok()?,
            reference: valid.row.reference.clone(),
            organisation: controller.name.clone(),
            contact: controller.contact.clone(),
            expires: text::instant_in_words(language, controller, valid.row.expires_at),
        })
    }

    /// Compares an answer, one at a time for a package, and counts it when it is wrong.
    async fn judge(&self, valid: &Valid, answer: &Personal<String>) -> Result<Judgement, StoreError> {
        let mut tx = self.store.begin("delivery.judge").await?;
        let wrong = sql::lock_answers(&mut tx, &valid.organisation, valid.package())
            .await?
            .unwrap_or(MOST_WRONG_ANSWERS);
        if wrong >= MOST_WRONG_ANSWERS {
            return Ok(Judgement::TooLate);
        }
        let request = RequestId(valid.row.request_id);
        let known = sql::list_proofs(&mut tx, &valid.organisation, request).await?;
        if self
            .references(&valid.organisation, answer)
            .any(|one| known.iter().any(|each| each == one.as_bytes()))
        {
            return Ok(Judgement::Right);
        }
        sql::count_wrong_answer(&mut tx, &valid.organisation, valid.package()).await?;
        let left = u16::try_from(MOST_WRONG_ANSWERS - wrong - 1).unwrap_or_default();
        let at = self.clock.now();
        let detail = Detail::none()
            .word("package", &valid.package().to_string())
            .count("tries_left", u64::from(left))
            .flag("locked", left == 0);
        let event =
            Event::of(&valid.organisation, request, Action::PackageRefused, Actor::Process("handover"), at);
        audit::append(&mut tx, event.with(detail)).await?;
        tx.commit().await?;
        Ok(Judgement::Wrong(left))
    }

    /// The pseudonyms of an answer, read as each kind of identifier that it can be.
    fn references<'a>(
        &'a self,
        organisation: &'a OrganisationId,
        answer: &'a Personal<String>,
    ) -> impl Iterator<Item = SubjectRef> + 'a {
        let country = self.controllers.get(organisation).and_then(|each| each.default_country.as_deref());
        SubjectIdentifier::readings(answer.expose(), country)
            .map(move |identifier| identifier.reference(&self.keys, organisation))
    }

    async fn find(&self, token: &str) -> Result<Option<Valid>, DeliveryError> {
        let well_formed = token.len() == 64
            && token.bytes().all(|each| each.is_ascii_digit() || (b'a'..=b'f').contains(&each));
        if !well_formed {
            return Ok(None);
        }
        let at = self.clock.now();
        let token_sha256 = digest(&Personal::new(token.to_owned()));
        let mut connection = self.store.connection().await?;
        let Some(row) = sql::find_by_token(&mut connection, &token_sha256, MOST_WRONG_ANSWERS, at).await?
        else {
            return Ok(None);
        };
        if row.fetched_at.is_some() && !self.may_retry(PackageId(row.package_id), at) {
            return Ok(None);
        }
        let organisation = row
            .organisation_id
            .parse()
            .map_err(|_| StoreError::unreadable("delivery.find_by_token", "dsrd.package.organisation_id"))?;
        Ok(Some(Valid { row, organisation, token_sha256 }))
    }

    /// Uses the link up and begins to send.
    async fn use_up(
        self: Arc<Self>,
        valid: Valid,
        reader: PackageReader,
    ) -> Result<Option<Download>, DeliveryError> {
        let at = self.clock.now();
        let mut tx = self.store.begin("delivery.redeem").await?;
        if !sql::redeem(&mut tx, &valid.token_sha256, valid.row.fetched_at, at).await? {
            return Ok(None);
        }
        // Taken as late as possible; whether a commit whose answer was lost took effect is unknown, so that the link
        // stays usable for a while either way.
        audit::append(&mut tx, valid.event(at, "begun")).await?;
        if valid.row.fetched_at.is_some() && !self.take_retry(valid.package(), at) {
            return Ok(None);
        }
        if let Err(error) = tx.commit().await {
            self.allow_retry(valid.package(), at + self.retry, at);
            return Err(error.into());
        }

        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let file_name = format!("{}.zip", valid.row.reference);
        let first_at = valid.row.fetched_at.unwrap_or(at);
        tokio::spawn(self.serve(valid, first_at, reader, sender));
        Ok(Some(Download { file_name, pieces }))
    }

    /// Pumps the archive into the channel, then records how it ended.
    async fn serve(
        self: Arc<Self>,
        valid: Valid,
        first_at: DateTime<Utc>,
        reader: PackageReader,
        sender: mpsc::Sender<io::Result<Piece>>,
    ) {
        let (runtime, stall) = (Handle::current(), self.stall);
        let pumped = tokio::task::spawn_blocking(move || pump(reader, &sender, &runtime, stall)).await;
        let whole = matches!(pumped, Ok(true));
        let at = self.clock.now();
        if !whole {
            self.allow_retry(valid.package(), first_at + self.retry, at);
        }
        if let Err(error) = self.record_end(&valid, whole, at).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the end of a download could not be recorded"
            );
        }
    }

    async fn record_end(&self, valid: &Valid, whole: bool, at: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.store.begin("delivery.download_ended").await?;
        if whole {
            sql::end_link(&mut tx, valid.package()).await?;
        }
        audit::append(&mut tx, valid.event(at, if whole { "complete" } else { "broken_off" })).await?;
        tx.commit().await
    }

    fn may_retry(&self, package: PackageId, at: DateTime<Utc>) -> bool {
        self.with_broken(|broken| broken.get(&package).is_some_and(|until| *until > at))
    }

    fn take_retry(&self, package: PackageId, at: DateTime<Utc>) -> bool {
        self.with_broken(|broken| broken.remove(&package).is_some_and(|until| until > at))
    }

    fn allow_retry(&self, package: PackageId, until: DateTime<Utc>, at: DateTime<Utc>) {
        self.with_broken(|broken| {
            broken.retain(|_, until| *until > at);
            broken.insert(package, until);
        });
    }

    fn with_broken<T>(&self, work: impl FnOnce(&mut HashMap<PackageId, DateTime<Utc>>) -> T) -> T {
        work(&mut self.broken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads, decrypts and sends until the end, which it says last; true when the network took everything.
fn pump(
    mut reader: PackageReader,
    sender: &mpsc::Sender<io::Result<Piece>>,
    runtime: &Handle,
    stall: Duration,
) -> bool {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let filled = match fill(&mut reader, &mut piece) {
            Ok(filled) => filled,
            Err(error) => {
                // The receiver may be gone already; there is nobody else to tell.
                drop(runtime.block_on(timeout(stall, sender.send(Err(error)))));
                return false;
            }
        };
        if filled == 0 {
            break;
        }
        piece.truncate(filled);
        if !matches!(runtime.block_on(timeout(stall, sender.send(Ok(Piece::Bytes(piece))))), Ok(Ok(()))) {
            return false;
        }
    }
    // All places are free again only when every piece was taken.
    let Ok(Ok(mut places)) = runtime.block_on(timeout(stall, sender.reserve_many(PIECES_AHEAD))) else {
        return false;
    };
    places.next().map(|place| place.send(Ok(Piece::End))).is_some()
}

/// Fills the piece as far as the archive goes.
fn fill(reader: &mut PackageReader, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match reader.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
