//! Sending, with proof before and after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use lettre::Address;
use lettre::message::Mailbox;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::message::{Outgoing, Parcel, address_of};
use super::notice::{self, Facts, LINK, NewNotice, NoticeId, NoticeKind, Sender, WORDS, message_id};
use super::sql::{self, NoticeRow};
use super::text::{self, Occasion};
use super::transport::{Effect, Failure, Transport};
use super::{DeliveryError, Settings};
use crate::audit::{self, Action, Detail, Ending, EntryId, Event};
use crate::domain::{
    Clock, Controller, KillSwitch, MasterKey, OrganisationId, Personal, RequestId, SubjectIdentifier, random,
};
use crate::queue::Instance;
use crate::store::{Store, StoreError, Tx};

/// What stands for the controller's own words in the text whose digest is kept: as many blocks as any notice has.
const BLANK: &str = "words\n\nwords\n\nwords";

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The mail server took the notice just now.
    Sent,
    /// It did not; try again after this time.
    Later(Duration),
    /// It never will, with this code: a person must find another way.
    Refused(String),
    /// It was sent before.
    AlreadySent,
}

/// Sends notices.
#[derive(Clone, Debug)]
pub struct Mailer {
    settings: Settings,
    store: Store,
    keys: Arc<MasterKey>,
    controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    clock: Arc<dyn Clock>,
    transport: Arc<Transport>,
    from: Address,
    reply_to: Option<Mailbox>,
    kill: KillSwitch,
}

/// An attempt that is announced: once its announcement is committed, it may happen.
#[derive(Debug)]
pub struct Attempt {
    organisation: OrganisationId,
    request: RequestId,
    kind: NoticeKind,
    notice: Uuid,
    sender: Sender,
    number: u32,
    enqueued_at: DateTime<Utc>,
    intent: EntryId,
    template: String,
    text_sha256: [u8; 32],
    /// The language wished for, where there are no texts in it.
    fell_back_from: Option<String>,
    mail: Outgoing,
}

/// What a notice says to whom, in clear.
#[derive(Debug)]
struct Letter {
    to: Personal<Address>,
    message_id: String,
    /// As wished for.
    language: String,
    reference: String,
    facts: Facts,
    link_token: Option<Personal<String>>,
    words: Option<Personal<String>>,
}

/// A message with what its announcement keeps of it.
#[derive(Debug)]
struct Prepared {
    template: String,
    text_sha256: [u8; 32],
    fell_back_from: Option<String>,
    mail: Outgoing,
}

/// Under which entry of the log an attempt is announced, and as the how-manieth of which notice.
#[derive(Clone, Copy, Debug)]
struct Announcement {
    notice: Uuid,
    number: u32,
    enqueued_at: DateTime<Utc>,
    intent: EntryId,
}

impl Prepared {
    fn attempt(
        self,
        (organisation, request, kind, sender): (&OrganisationId, RequestId, NoticeKind, Sender),
        announcement: Announcement,
    ) -> Box<Attempt> {
        Box::new(Attempt {
            organisation: organisation.clone(),
            request,
            kind,
            notice: announcement.notice,
            sender,
            number: announcement.number,
            enqueued_at: announcement.enqueued_at,
            intent: announcement.intent,
            template: self.template,
            text_sha256: self.text_sha256,
            fell_back_from: self.fell_back_from,
            mail: self.mail,
        })
    }
}

/// What became of announcing an attempt.
#[derive(Debug)]
pub enum Announced {
    /// It stands in the transaction; commit that, then [`Mailer::send`].
    Ready(Box<Attempt>),
    /// There is nothing to send.
    Settled(Delivery),
    /// The end of a former attempt is not recorded; [`Mailer::deliver`] records it before it announces another.
    FormerOpen,
}

/// An attempt with the mail server's answer to it, which [`Mailer::record`] writes down.
#[derive(Debug)]
pub struct Answered {
    attempt: Box<Attempt>,
    answer: Result<String, Failure>,
    /// When the answer came, whenever it is written down.
    at: DateTime<Utc>,
}

impl Answered {
    /// Whether the mail server took the message.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.answer.is_ok()
    }

    /// When the answer came.
    #[must_use]
    pub const fn at(&self) -> DateTime<Utc> {
        self.at
    }
}

impl Mailer {
    /// Checks the settings and all texts. Nothing is sent or connected yet.
    pub fn new(
        settings: Settings,
        store: Store,
        keys: Arc<MasterKey>,
        controllers: BTreeMap<OrganisationId, Arc<Controller>>,
        clock: Arc<dyn Clock>,
        transport: Transport,
    ) -> Result<Self, DeliveryError> {
        settings.check()?;
        text::check_texts().map_err(DeliveryError::Texts)?;
        let from = settings.from_address.parse().map_err(|_| DeliveryError::Message)?;
        let reply_to = match &settings.reply_to_address {
            Some(address) => Some(Mailbox::new(None, address.parse().map_err(|_| DeliveryError::Message)?)),
            None => None,
        };
        let transport = Arc::new(transport);
        let kill = KillSwitch::default();
        Ok(Self { settings, store, keys, controllers, clock, transport, from, reply_to, kill })
    }

    /// The same mailer, dying where `kill` says: at `notice.begun`, `notice.sent` and `notice.ended`. For tests of
    /// crashes.
    #[must_use]
    pub fn with_kill(&self, kill: KillSwitch) -> Self {
        Self { kill, ..self.clone() }
    }

    /// Sends the notice of a request now and waits for the mail server's answer. Whoever calls it must make sure that
    /// nobody else does so for the same notice at the same time: the procedure by its lease, the pump by its claim.
    ///
    /// Three parts: a transaction that announces the attempt, the sending, a transaction that records its end. When the
    /// process dies in between, the next call finds the announcement without an end, records it as `outcome_unknown`, and
    /// sends once more under the same Message-ID.
    pub async fn deliver(
        &self,
        organisation: &OrganisationId,
        request: RequestId,
        kind: NoticeKind,
    ) -> Result<Delivery, DeliveryError> {
        let attempt = match self.begin(organisation, request, kind).await? {
            Announced::Ready(attempt) => attempt,
            Announced::Settled(delivery) => return Ok(delivery),
            Announced::FormerOpen => return Err(DeliveryError::Superseded),
        };
        let answered = self.send(attempt).await?;
        let delivery = self.record_alone(&answered).await?;
        self.reached("ended")?;
        Ok(delivery)
    }

    /// Sends what was announced in a transaction that is committed.
    pub async fn send(&self, attempt: Box<Attempt>) -> Result<Answered, DeliveryError> {
        self.reached("begun")?;
        let answer = self.transport.send(&attempt.mail).await;
        let at = self.clock.now();
        self.reached("sent")?;
        Ok(Answered { attempt, answer, at })
    }

    fn reached(&self, point: &str) -> Result<(), DeliveryError> {
        Ok(self.kill.reached("notice", point)?)
    }

    /// Sends the due notices that nobody waits for, one round of as many as may be under way at once, and returns how
    /// many it took up: call it again at once while that is not 0. A notice that cannot be made into a mail is put off
    /// for the longest wait and told in the log; it does not keep the others.
    ///
    /// Without an instance a claim ends by its time only: for tests and tools that end with their process. A daemon pumps
    /// with [`Mailer::pump_as`].
    pub async fn pump_once(&self) -> Result<usize, DeliveryError> {
        self.pump(None).await
    }

    /// The same in the name of an instance: as soon as that is declared dead, [`super::take_back_claims`] gives what it
    /// was about to send to others. An instance that was declared dead gets nothing.
    pub async fn pump_as(&self, instance: Instance) -> Result<usize, DeliveryError> {
        self.pump(Some(instance)).await
    }

    async fn pump(&self, instance: Option<Instance>) -> Result<usize, DeliveryError> {
        let organisations: Vec<String> = self.controllers.keys().map(ToString::to_string).collect();
        let most = i64::from(self.settings.smtp.max_connections.max(1));
        // Waiting for a place and sending may each last this long, the transactions a little.
        let claim = Duration::from_secs(2 * u64::from(self.settings.send_timeout_secs) + 60);
        let claimed =
            sql::claim_due(&mut *self.store.connection().await?, instance, &organisations, most, claim)
                .await?;
        let sendings = claimed.iter().map(|row| async move {
            let result = self.pump_one(row).await;
            if let Err(error) = &result
                && !error.is_transient()
                && !matches!(error, DeliveryError::Killed)
            {
                let wait = Duration::from_secs(self.settings.retry_max_secs.into());
                let mut connection = self.store.connection().await?;
                sql::put_off(&mut connection, &row.organisation_id, row.notice_id, "unsendable", wait)
                    .await?;
            }
            result
        });
        let mut failed = None;
        for result in join_all(sendings).await {
            if let Err(error) = result {
                if matches!(error, DeliveryError::Killed) {
                    return Err(error);
                }
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a notice could not be sent and waits; see dsrd.notice"
                );
                failed = failed.or(error.is_transient().then_some(error));
            }
        }
        failed.map_or(Ok(claimed.len()), Err)
    }

    async fn pump_one(&self, row: &sql::ClaimRow) -> Result<(), DeliveryError> {
        let organisation = row
            .organisation_id
            .parse()
            .map_err(|_| StoreError::unreadable("delivery.pump", "dsrd.notice.organisation_id"))?;
        self.deliver(&organisation, RequestId(row.request_id), row.kind.parse()?).await?;
        sql::give_up_earlier_round(&mut *self.store.connection().await?, row).await?;
        Ok(())
    }

    /// Announces an attempt in a transaction of its own, after the end of a former one that nobody saw.
    async fn begin(
        &self,
        organisation: &OrganisationId,
        request: RequestId,
        kind: NoticeKind,
    ) -> Result<Announced, DeliveryError> {
        let mut tx = self.store.begin("delivery.begin").await?;
        let announced = self.announce(&mut tx, organisation, request, kind).await?;
        if !matches!(announced, Announced::FormerOpen) {
            tx.commit().await?;
            return Ok(announced);
        }
        // Nobody saw how it ended. Its end is committed by itself, so that it stands whatever becomes of this attempt.
        let row = lock(&mut tx, organisation, request, kind).await?;
        if let Some(former) = row.intent {
            let at = self.clock.now();
            sql::forget_intent(&mut tx, organisation, row.notice_id, former).await?;
            let sender = row.sender.parse()?;
            let ended = former_ended(organisation, request, sender, kind, row.notice_id, former, at);
            audit::append(&mut tx, ended).await?;
        }
        tx.commit().await?;
        let mut tx = self.store.begin("delivery.begin").await?;
        let announced = self.announce(&mut tx, organisation, request, kind).await?;
        tx.commit().await?;
        Ok(announced)
    }

    /// Announces an attempt to send the notice of a request, inside the caller's transaction, which may be the one that
    /// writes the finding which the notice tells. An error other than that of the database has written nothing.
    pub async fn announce(
        &self,
        tx: &mut Tx,
        organisation: &OrganisationId,
        request: RequestId,
        kind: NoticeKind,
    ) -> Result<Announced, DeliveryError> {
        let controller = self.controllers.get(organisation).ok_or(DeliveryError::UnknownOrganisation)?;
        let at = self.clock.now();
        let row = lock(tx, organisation, request, kind).await?;
        let sender: Sender = row.sender.parse()?;
        if row.intent.is_some() {
            return Ok(Announced::FormerOpen);
        }
        match row.state.as_str() {
            "sent" => return Ok(Announced::Settled(Delivery::AlreadySent)),
            "refused" => {
                return Ok(Announced::Settled(Delivery::Refused(row.last_code.unwrap_or_default())));
            }
            _ => {}
        }
        if row.withdrawn && !kind.is_sent_after_withdrawal() {
            // The person took the request back: its answer must not follow.
            sql::give_up(tx, organisation, row.notice_id, "withdrawn").await?;
            return Ok(Announced::Settled(Delivery::Refused("withdrawn".to_owned())));
        }
        let letter = self.letter_of(controller, request, &row)?;
        let Some(letter) = letter else {
            let delivery =
                self.refuse_unaddressable(tx, organisation, request, kind, sender, &row, at).await?;
            return Ok(Announced::Settled(delivery));
        };
        let prepared = self.prepare(controller, kind, letter, at)?;
        let number = u32::try_from(row.attempts).unwrap_or_default() + 1;
        let event = Event::of(organisation, request, Action::NoticeBegan, sender.actor(), at)
            .with(detail_of(kind, row.notice_id).count("attempt", number.into()));
        let intent = audit::append(tx, event).await?;
        sql::begin_attempt(tx, organisation, row.notice_id, intent, at).await?;
        let announcement =
            Announcement { notice: row.notice_id, number, enqueued_at: row.enqueued_at, intent };
        Ok(Announced::Ready(prepared.attempt((organisation, request, kind, sender), announcement)))
    }

    /// Writes a notice into the outbox and announces the first attempt to send it, in one go: what a procedure does that
    /// has just found what the notice tells. Where it cannot be made into a mail, or the request has a notice of that kind
    /// already, it is written and announced as [`super::enqueue`] and [`Mailer::announce`] do, one after the other.
    pub async fn enqueue_and_announce(
        &self,
        tx: &mut Tx,
        notice: NewNotice,
        (recipient, reference): (&SubjectIdentifier, &str),
        at: DateTime<Utc>,
    ) -> Result<Announced, DeliveryError> {
        let (organisation, request, kind) = (notice.organisation.clone(), notice.request, notice.kind);
        let controller = self.controllers.get(&organisation).ok_or(DeliveryError::UnknownOrganisation)?;
        let id = NoticeId(Uuid::now_v7());
        let letter = address_of(recipient).map(|to| Letter {
            to,
            message_id: message_id(id, &organisation),
            language: notice.language.clone(),
            reference: reference.to_owned(),
            facts: notice.facts.clone(),
            link_token: notice.link_token.clone(),
            words: notice.words.clone(),
        });
        let prepared = letter.map(|letter| self.prepare(controller, kind, letter, at)).transpose();
        if let Ok(Some(prepared)) = prepared {
            let sender = notice.sender;
            let event = Event::of(&organisation, request, Action::NoticeBegan, sender.actor(), at)
                .with(detail_of(kind, id.0).count("attempt", 1));
            let intent = event.id;
            if notice::write(tx, &self.keys, &notice, (id, 1), Some(intent), at).await? {
                audit::append(tx, event).await?;
                let announcement = Announcement { notice: id.0, number: 1, enqueued_at: at, intent };
                return Ok(Announced::Ready(
                    prepared.attempt((&organisation, request, kind, sender), announcement),
                ));
            }
        } else {
            notice::enqueue(tx, &self.keys, notice, at).await?;
        }
        self.announce(tx, &organisation, request, kind).await
    }

    /// What a stored notice says to whom; `None` when its recipient is no mail address.
    fn letter_of(
        &self,
        controller: &Controller,
        request: RequestId,
        row: &NoticeRow,
    ) -> Result<Option<Letter>, DeliveryError> {
        let sealed = |what| move |source| DeliveryError::Sealed { what, source };
        let unreadable = |what: &str| StoreError::unreadable("delivery.read_notice", what);
        let identifier = SubjectIdentifier::open(
            &self.keys,
            (&controller.id, request, row.identifier_no),
            row.identifier_kind.parse().map_err(|_| unreadable("dsrd.identifier.kind"))?,
            &row.sealed_identifier,
        )
        .map_err(sealed("dsrd.identifier.sealed"))?;
        let Some(to) = address_of(&identifier) else { return Ok(None) };
        let facts: Facts =
            serde_json::from_value(row.facts.clone()).map_err(|_| unreadable("dsrd.notice.facts"))?;
        let link_token = match &row.sealed_link {
            Some(bytes) => {
                let clear = self
                    .keys
                    .sealing(LINK)
                    .open(&row.notice_id.to_string(), bytes)
                    .map_err(sealed("dsrd.notice.sealed_link"))?;
                let text = String::from_utf8(clear.into_exposed())
                    .map_err(|_| unreadable("dsrd.notice.sealed_link"))?;
                Some(Personal::new(text))
            }
            None => None,
        };
        let words = match &row.sealed_words {
            Some(bytes) => {
                let clear = self
                    .keys
                    .sealing(WORDS)
                    .open(&row.notice_id.to_string(), bytes)
                    .map_err(sealed("dsrd.notice.sealed_words"))?;
                let text = String::from_utf8(clear.into_exposed())
                    .map_err(|_| unreadable("dsrd.notice.sealed_words"))?;
                Some(Personal::new(text))
            }
            None => None,
        };
        Ok(Some(Letter {
            to,
            message_id: row.message_id.clone(),
            language: row.language.clone(),
            reference: row.reference.clone(),
            facts,
            link_token,
            words,
        }))
    }

    /// The message of a notice.
    fn prepare(
        &self,
        controller: &Controller,
        kind: NoticeKind,
        letter: Letter,
        at: DateTime<Utc>,
    ) -> Result<Prepared, DeliveryError> {
        let language = text::language_of(&letter.language, &controller.language)
            .map_err(|source| DeliveryError::Text { kind, source })?;
        let render = |secret: Option<&str>, said: Option<&str>| {
            let link = secret.map(|secret| self.settings.link(kind, secret));
            let occasion = Occasion {
                controller,
                reference: &letter.reference,
                facts: &letter.facts,
                words: said,
                link: link.as_deref(),
                action: None,
            };
            text::render(language, kind, &occasion).map_err(|source| DeliveryError::Text { kind, source })
        };
        let secret = letter.link_token.as_ref().map(|token| token.expose().as_str());
        let said = letter.words.as_ref().map(|words| words.expose().as_str());
        let words = render(secret, said)?;
        // The digest is that of the text without the secret and without what the controller wrote about the person: it
        // can be made again from the row once both are forgotten, and is nobody's personal data.
        let text_sha256: [u8; 32] = if secret.is_none() && said.is_none() {
            Sha256::digest(words.plain.as_bytes()).into()
        } else {
            let blank = render(secret.map(|_| "secret"), said.map(|_| BLANK))?;
            Sha256::digest(blank.plain.as_bytes()).into()
        };
        let template = words.template.clone();
        let name = text::clean(self.settings.from_name.as_ref().unwrap_or(&controller.name));
        let mail = Outgoing::pack(Parcel {
            message_id: letter.message_id,
            from: Mailbox::new((!name.is_empty()).then_some(name), self.from.clone()),
            reply_to: self.reply_to.clone(),
            to: letter.to,
            words,
            link_token: letter.link_token,
            at,
        })?;
        Ok(Prepared {
            fell_back_from: fell_back_from(&letter.language, &template),
            template,
            text_sha256,
            mail,
        })
    }

    /// Records that a notice has no address to which a mail could go.
    #[expect(clippy::too_many_arguments, reason = "what an event names")]
    async fn refuse_unaddressable(
        &self,
        tx: &mut Tx,
        organisation: &OrganisationId,
        request: RequestId,
        kind: NoticeKind,
        sender: Sender,
        row: &NoticeRow,
        at: DateTime<Utc>,
    ) -> Result<Delivery, DeliveryError> {
        const CODE: &str = "no_mail_address";
        let began = Event::of(organisation, request, Action::NoticeBegan, sender.actor(), at)
            .with(detail_of(kind, row.notice_id));
        let intent = audit::append(tx, began).await?;
        sql::begin_attempt(tx, organisation, row.notice_id, intent, at).await?;
        let ended = Event::of(organisation, request, Action::NoticeEnded, sender.actor(), at)
            .ending(intent, Ending::Failed)
            .with(detail_of(kind, row.notice_id).word("code", CODE).flag("refused", true));
        audit::append(tx, ended).await?;
        sql::end_unsent(tx, organisation, row.notice_id, intent, CODE, true, Duration::ZERO).await?;
        Ok(Delivery::Refused(CODE.to_owned()))
    }

    /// Records how an attempt ended, inside the caller's transaction, which may be the one that closes the request.
    pub async fn record(&self, tx: &mut Tx, answered: &Answered) -> Result<Delivery, DeliveryError> {
        let at = answered.at;
        let attempt = answered.attempt.as_ref();
        let organisation = &attempt.organisation;
        let detail = detail_of(attempt.kind, attempt.notice).count("attempt", attempt.number.into());
        let ended = |ending, detail| {
            Event::of(organisation, attempt.request, Action::NoticeEnded, attempt.sender.actor(), at)
                .ending(attempt.intent, ending)
                .with(detail)
        };
        let (event, mine, delivery) = match &answered.answer {
            Ok(code) => {
                let mine = sql::end_sent(
                    tx,
                    organisation,
                    attempt.notice,
                    attempt.intent,
                    &attempt.template,
                    &attempt.text_sha256,
                    code,
                    at,
                )
                .await?;
                let mut detail = detail
                    .word("code", code)
                    .word("template", &attempt.template)
                    .word("text_sha256", &hex::encode(attempt.text_sha256));
                if let Some(wished) = &attempt.fell_back_from {
                    detail = detail.word("wished_language", wished);
                }
                (ended(Ending::Done, detail), mine, Delivery::Sent)
            }
            Err(failure) => {
                let given_up =
                    attempt.enqueued_at + TimeDelta::days(self.settings.give_up_after_days.into()) <= at;
                let refused = failure.permanent || given_up;
                let wait = self.wait(attempt.number);
                let mine = sql::end_unsent(
                    tx,
                    organisation,
                    attempt.notice,
                    attempt.intent,
                    &failure.code,
                    refused,
                    wait,
                )
                .await?;
                let ending = match failure.effect {
                    Effect::None => Ending::Failed,
                    Effect::Unknown => Ending::Unknown,
                };
                let detail = detail.word("code", &failure.code).flag("refused", refused);
                let delivery =
                    if refused { Delivery::Refused(failure.code.clone()) } else { Delivery::Later(wait) };
                (ended(ending, detail), mine, delivery)
            }
        };
        if !mine {
            return Err(DeliveryError::Superseded);
        }
        audit::append(tx, event).await?;
        Ok(delivery)
    }

    /// Records how an attempt ended, in a transaction of its own: for a sender who has lost the case meanwhile.
    pub async fn record_alone(&self, answered: &Answered) -> Result<Delivery, DeliveryError> {
        let mut tx = self.store.begin("delivery.end").await?;
        let delivery = self.record(&mut tx, answered).await?;
        tx.commit().await?;
        Ok(delivery)
    }

    fn wait(&self, attempts: u32) -> Duration {
        let first = f64::from(self.settings.retry_first_secs);
        let longest = f64::from(self.settings.retry_max_secs);
        let doubled = first * 2_f64.powi(i32::try_from(attempts.saturating_sub(1).min(30)).unwrap_or(30));
        // Up to a tenth less, so that notices that failed together do not come back together.
        Duration::from_secs_f64(doubled.min(longest) * (1.0 - random::fraction() / 10.0))
    }
}

/// The language wished for, if a text in another one was taken.
fn fell_back_from(wished: &str, template: &str) -> Option<String> {
    let used = template.split('/').nth(1);
    (used != wished.split('-').next()).then(|| wished.to_owned())
}

/// Reads and locks the notice of a request.
async fn lock(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
    kind: NoticeKind,
) -> Result<NoticeRow, DeliveryError> {
    let row = sql::lock_notice(connection, organisation, request, kind).await?;
    row.ok_or(DeliveryError::NoSuchNotice(kind))
}

/// Ends the attempts of a request's procedure whose end nobody will see any more, as unknown, inside the transaction that
/// parks or withdraws the request: each announcement has one end, and has it in time.
pub async fn end_open_attempts(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    for open in sql::forget_open_attempts(tx, organisation, request).await? {
        let (notice, intent) = (open.notice_id, open.intent);
        let event =
            former_ended(organisation, request, Sender::Procedure, open.kind.parse()?, notice, intent, at);
        audit::append(tx, event).await?;
    }
    Ok(())
}

/// The end of an attempt that nobody saw.
fn former_ended(
    organisation: &OrganisationId,
    request: RequestId,
    sender: Sender,
    kind: NoticeKind,
    notice: Uuid,
    intent: Uuid,
    at: DateTime<Utc>,
) -> Event {
    Event::of(organisation, request, Action::NoticeEnded, sender.actor(), at)
        .ending(EntryId(intent), Ending::Unknown)
        .with(detail_of(kind, notice))
}

fn detail_of(kind: NoticeKind, notice: Uuid) -> Detail {
    Detail::none().word("kind", kind.as_str()).word("notice", &notice.to_string())
}
