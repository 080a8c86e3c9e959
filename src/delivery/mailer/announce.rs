//! A notice made into a message, and its sending announced before it begins.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::Mailbox;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::audit::{self, Action, Ending, Event};
use crate::delivery::DeliveryError;
use crate::delivery::message::{Destination, Message, Outgoing, Parcel, TextMessage, address_of};
use crate::delivery::notice::{
    self, Facts, LINK, NewNotice, NoticeId, NoticeKind, Sender, WORDS, message_id,
};
use crate::delivery::package::PackageId;
use crate::delivery::sql::{self, NoticeRow};
use crate::delivery::text::{self, Occasion, ShortWords, Words};
use crate::domain::{
    Controller, IdentifierKind, OneTimeCode, OrganisationId, Personal, RequestId, SubjectIdentifier,
};
use crate::store::{PgConnection, StoreError, Tx};

use super::attempt::{Announced, Announcement, Letter, Prepared};
use super::{Delivery, Mailer, detail_of, former_ended};

/// Why a notice is not sent that another one made needless or untrue.
const SUPERSEDED: &str = "superseded";

impl Mailer {
    /// Announces an attempt in a transaction of its own, after the end of a former one that nobody saw.
    pub(super) async fn begin(
        &self,
        of: (&OrganisationId, RequestId, NoticeKind),
        notice: Option<Uuid>,
    ) -> Result<Announced, DeliveryError> {
        let mut tx = self.store.begin("delivery.begin").await?;
        let announced = self.announce_one(&mut tx, of, notice).await?;
        if !matches!(announced, Announced::FormerOpen) {
            tx.commit().await?;
            return Ok(announced);
        }
        // Nobody saw how it ended. Its end is committed by itself, so that it stands whatever becomes of this attempt.
        let row = lock(&mut tx, of, notice).await?;
        self.end_former(&mut tx, of, &row).await?;
        tx.commit().await?;
        let mut tx = self.store.begin("delivery.begin").await?;
        let announced = self.announce_one(&mut tx, of, notice).await?;
        tx.commit().await?;
        Ok(announced)
    }

    /// Records the end of an attempt that nobody saw, if there is one.
    async fn end_former(
        &self,
        tx: &mut Tx,
        (organisation, request, kind): (&OrganisationId, RequestId, NoticeKind),
        row: &NoticeRow,
    ) -> Result<(), DeliveryError> {
        let Some(former) = row.intent else { return Ok(()) };
        let at = self.clock.now();
        sql::forget_intent(tx, organisation, row.notice_id, former).await?;
        let sender = row.sender.parse()?;
        let ended = former_ended(organisation, request, sender, kind, row.notice_id, former, at);
        audit::append(tx, ended).await?;
        Ok(())
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
        self.announce_one(tx, (organisation, request, kind), None).await
    }

    async fn announce_one(
        &self,
        tx: &mut Tx,
        of: (&OrganisationId, RequestId, NoticeKind),
        notice: Option<Uuid>,
    ) -> Result<Announced, DeliveryError> {
        let (organisation, request, kind) = of;
        let controller = self.controllers.get(organisation).ok_or(DeliveryError::UnknownOrganisation)?;
        let at = self.clock.now();
        let mut row = lock(tx, of, notice).await?;
        if row.superseded && row.state == "pending" {
            // What it would say is said by the later one. How its own sending ended, if one began, nobody saw.
            self.end_former(tx, of, &row).await?;
            sql::give_up(tx, organisation, row.notice_id, SUPERSEDED).await?;
            return Ok(Announced::Settled(Delivery::Refused(SUPERSEDED.to_owned())));
        }
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
        if row.closed && (kind.is_about_an_open_request() || kind.confirms_receipt() && row.answered_there) {
            sql::give_up(tx, organisation, row.notice_id, SUPERSEDED).await?;
            let event = Event::of(organisation, request, Action::NoticeSuperseded, sender.actor(), at);
            audit::append(tx, event.with(detail_of(kind, row.notice_id))).await?;
            return Ok(Announced::Settled(Delivery::Refused(SUPERSEDED.to_owned())));
        }
        if kind == NoticeKind::IdentityRequest && is_late(&row, at)? {
            // Nobody is asked for what they have no time to answer: the request asks anew, with a link that lasts.
            let wait = Duration::from_secs(self.settings.retry_max_secs.into());
            sql::put_off(tx, organisation.as_str(), row.notice_id, "too_late", wait).await?;
            return Ok(Announced::Settled(Delivery::Later(wait)));
        }
        let renewed = match self.look_at_package(tx, of, at).await? {
            PackageOf::Lasts => None,
            PackageOf::Renewed(package, until) => {
                if let Some(facts) = row.facts.as_object_mut() {
                    facts.insert("expires_at".to_owned(), serde_json::json!(until));
                }
                Some((package, until))
            }
            PackageOf::Gone => {
                const CODE: &str = "package_destroyed";
                sql::give_up(tx, organisation, row.notice_id, CODE).await?;
                return Ok(Announced::Settled(Delivery::Refused(CODE.to_owned())));
            }
        };
        let letter = self.letter_of(controller, request, kind, &row)?;
        let Some(letter) = letter else {
            let code = "no_mail_address";
            let delivery = self.refuse_unsendable(tx, of, sender, row.notice_id, code, at).await?;
            return Ok(Announced::Settled(delivery));
        };
        let prepared = self.prepare(controller, kind, letter, at)?;
        let number = u32::try_from(row.attempts).unwrap_or_default() + 1;
        let mut detail = detail_of(kind, row.notice_id).count("attempt", number.into());
        if let Some((package, until)) = renewed {
            sql::set_expiry(tx, organisation, package, until).await?;
            sql::set_facts(tx, organisation, row.notice_id, &row.facts).await?;
            detail = detail.flag("package_renewed", true);
        }
        let event = Event::of(organisation, request, Action::NoticeBegan, sender.actor(), at).with(detail);
        let intent = audit::append(tx, event).await?;
        sql::begin_attempt(tx, organisation, row.notice_id, intent, at).await?;
        let announcement =
            Announcement { notice: row.notice_id, number, enqueued_at: row.enqueued_at, intent };
        Ok(Announced::Ready(prepared.attempt((organisation, request, kind, sender), announcement)))
    }

    /// Whether what a notice hands over can be fetched for as long as it says. A person gets the days of `package_expiry_days`
    /// from when they are told of it, less those that a notice may take which fails: where it was given up meanwhile, and is
    /// sent again once a person has seen to it, the days begin anew.
    async fn look_at_package(
        &self,
        tx: &mut Tx,
        (organisation, request, kind): (&OrganisationId, RequestId, NoticeKind),
        at: DateTime<Utc>,
    ) -> Result<PackageOf, DeliveryError> {
        if !kind.hands_over() {
            return Ok(PackageOf::Lasts);
        }
        let Some(package) = sql::lock_expiry(tx, organisation, request).await? else {
            return Ok(PackageOf::Lasts);
        };
        if package.gone {
            return Ok(PackageOf::Gone);
        }
        let days = |days: u32| TimeDelta::days(days.into());
        let until = at + days(self.settings.package_expiry_days);
        if package.expires_at + days(self.settings.give_up_after_days) > until {
            return Ok(PackageOf::Lasts);
        }
        Ok(PackageOf::Renewed(PackageId(package.package_id), until))
    }

    /// Writes a notice into the outbox and announces the first attempt to send it, in one go: what a procedure does that
    /// has just found what the notice tells. Where it cannot be made into a mail, or the request has a notice of that kind
    /// already, it is written and announced as [`crate::delivery::enqueue`] and [`Mailer::announce`] do, one after the other.
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
        let letter = self.destination(controller, kind, recipient).map(|to| Letter {
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

    /// Where a notice to an identifier goes: to a mail address, or, if it is the question who asks, to a telephone.
    fn destination(
        &self,
        controller: &Controller,
        kind: NoticeKind,
        identifier: &SubjectIdentifier,
    ) -> Option<Destination> {
        if let Some(address) = address_of(identifier) {
            return Some(Destination::Mail(address));
        }
        let is_told = kind.has_code() && identifier.kind() == IdentifierKind::Phone;
        (is_told && self.gateways.contains_key(&controller.id))
            .then(|| Destination::Telephone(identifier.normalised().clone()))
    }

    /// What a stored notice says to whom; `None` when nothing can be sent to its recipient.
    pub(super) fn letter_of(
        &self,
        controller: &Controller,
        request: RequestId,
        kind: NoticeKind,
        row: &NoticeRow,
    ) -> Result<Option<Letter>, DeliveryError> {
        let sealed = |what| move |source| DeliveryError::Sealed { what, source };
        let unreadable = |what: &str| StoreError::unreadable("delivery.read_notice", what);
        let identifier = SubjectIdentifier::open(
            &self.keys,
            (&controller.id, request, row.identifier_no),
            row.identifier_kind.parse().map_err(|_| DeliveryError::NewerProgram("dsrd.identifier.kind"))?,
            &row.sealed_identifier,
        )
        .map_err(sealed("dsrd.identifier.sealed"))?;
        let Some(to) = self.destination(controller, kind, &identifier) else { return Ok(None) };
        let facts = read_facts(&row.facts)?;
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
    pub(super) fn prepare(
        &self,
        controller: &Controller,
        kind: NoticeKind,
        letter: Letter,
        at: DateTime<Utc>,
    ) -> Result<Prepared, DeliveryError> {
        let language = text::language_of(&letter.language, &controller.language)
            .map_err(|source| DeliveryError::Text { kind, source })?;
        let code_page = self.settings.code_page();
        let render = |secret: Option<(&str, &str)>, said: Option<&str>| {
            let link = secret.map(|(secret, _)| self.settings.link(kind, secret));
            let code = secret.filter(|_| kind.has_code()).map(|(_, code)| (code, code_page.as_str()));
            let occasion = Occasion {
                controller,
                reference: &letter.reference,
                facts: &letter.facts,
                words: said,
                link: link.as_deref(),
                code,
                action: None,
            };
            let rendered = match &letter.to {
                Destination::Mail(_) => text::render(language, kind, &occasion).map(Rendered::Mail),
                Destination::Telephone(_) => {
                    text::render_identity_text(language, &occasion).map(Rendered::Text)
                }
            };
            rendered.map_err(|source| DeliveryError::Text { kind, source })
        };
        let code = letter.link_token.as_ref().map(|token| OneTimeCode::of_secret(&self.keys, token).spaced());
        let secret = letter
            .link_token
            .as_ref()
            .zip(code.as_ref())
            .map(|(token, code)| (token.expose().as_str(), code.expose().as_str()));
        let said = letter.words.as_ref().map(|words| words.expose().as_str());
        let words = render(secret, said)?;
        // The digest is that of the text without the secret and without what the controller wrote about the person: it
        // can be made again from the row once both are forgotten, and is nobody's personal data.
        let text_sha256: [u8; 32] = if secret.is_none() && said.is_none() {
            Sha256::digest(words.plain().as_bytes()).into()
        } else {
            let blank = render(secret.map(|_| ("secret", "code")), said.map(|_| BLANK))?;
            Sha256::digest(blank.plain().as_bytes()).into()
        };
        let template = words.template().to_owned();
        let message = match (words, letter.to) {
            (Rendered::Mail(words), Destination::Mail(to)) => {
                let name = text::clean(self.settings.from_name.as_ref().unwrap_or(&controller.name));
                Message::Mail(Outgoing::pack(Parcel {
                    message_id: letter.message_id,
                    from: Mailbox::new((!name.is_empty()).then_some(name), self.from.clone()),
                    reply_to: self.reply_to.clone(),
                    to,
                    words,
                    link_token: letter.link_token,
                    at,
                })?)
            }
            (Rendered::Text(words), Destination::Telephone(to)) => Message::Text(TextMessage {
                id: letter.message_id,
                organisation: controller.id.clone(),
                to,
                language: language.tag().to_owned(),
                text: Personal::new(words.text),
                at,
            }),
            _ => return Err(DeliveryError::Message),
        };
        Ok(Prepared {
            fell_back_from: fell_back_from(&letter.language, &template),
            template,
            text_sha256,
            message,
        })
    }

    /// Records that a notice cannot be sent: there is no address to which a mail could go, or no mail can be made of it.
    pub(super) async fn refuse_unsendable(
        &self,
        tx: &mut Tx,
        (organisation, request, kind): (&OrganisationId, RequestId, NoticeKind),
        sender: Sender,
        notice: Uuid,
        code: &str,
        at: DateTime<Utc>,
    ) -> Result<Delivery, DeliveryError> {
        let began = Event::of(organisation, request, Action::NoticeBegan, sender.actor(), at)
            .with(detail_of(kind, notice));
        let intent = audit::append(tx, began).await?;
        sql::begin_attempt(tx, organisation, notice, intent, at).await?;
        let ended = Event::of(organisation, request, Action::NoticeEnded, sender.actor(), at)
            .ending(intent, Ending::Failed)
            .with(detail_of(kind, notice).word("code", code).flag("refused", true));
        audit::append(tx, ended).await?;
        sql::end_unsent(tx, organisation, notice, intent, code, true, Duration::ZERO).await?;
        Ok(Delivery::Refused(code.to_owned()))
    }
}

/// Reads what a notice is made from. What serde does not know by name was written by a newer program; it says so by the first
/// words of its message only, and those of anything else that is wrong are other ones.
fn read_facts(stored: &serde_json::Value) -> Result<Facts, DeliveryError> {
    serde_json::from_value(stored.clone()).map_err(|error| {
        let told = error.to_string();
        if told.starts_with("unknown field") || told.starts_with("unknown variant") {
            DeliveryError::NewerProgram("dsrd.notice.facts")
        } else {
            StoreError::unreadable("delivery.read_notice", "dsrd.notice.facts").into()
        }
    })
}

/// What a look at the package of a notice found.
enum PackageOf {
    /// There is none, or it can be fetched for long enough.
    Lasts,
    /// It has to be kept until then.
    Renewed(PackageId, DateTime<Utc>),
    /// It was destroyed: there is nothing to fetch.
    Gone,
}

/// The words of a notice in the form of its way.
enum Rendered {
    Mail(Words),
    Text(ShortWords),
}

impl Rendered {
    fn plain(&self) -> &str {
        match self {
            Self::Mail(words) => &words.plain,
            Self::Text(words) => &words.text,
        }
    }

    fn template(&self) -> &str {
        match self {
            Self::Mail(words) => &words.template,
            Self::Text(words) => &words.template,
        }
    }
}

/// Whether a question has waited so long in the outbox that its link would leave too little time.
fn is_late(row: &NoticeRow, at: DateTime<Utc>) -> Result<bool, StoreError> {
    let expires_at = row.facts.get("expires_at").cloned().unwrap_or_default();
    let expires_at: Option<DateTime<Utc>> = serde_json::from_value(expires_at)
        .map_err(|_| StoreError::unreadable("delivery.read_notice", "dsrd.notice.facts"))?;
    Ok(expires_at.is_some_and(|until| notice::comes_too_late((row.enqueued_at, until), at)))
}

/// What stands for the controller's own words in the text whose digest is kept: as many blocks as any notice has.
const BLANK: &str = "words\n\nwords\n\nwords";

/// The language wished for, if a text in another one was taken.
fn fell_back_from(wished: &str, template: &str) -> Option<String> {
    let used = template.split('/').nth(1);
    (used != wished.split('-').next()).then(|| wished.to_owned())
}

/// Reads and locks the notice of a request: the one that is named, else the latest of its kind.
async fn lock(
    connection: &mut PgConnection,
    (organisation, request, kind): (&OrganisationId, RequestId, NoticeKind),
    notice: Option<Uuid>,
) -> Result<NoticeRow, DeliveryError> {
    let row = sql::lock_notice(connection, organisation, request, kind, notice).await?;
    row.ok_or(DeliveryError::NoSuchNotice(kind))
}
