//! From words to the bytes that cross the network.

use std::fmt;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as MimeMessage, MultiPart, SinglePart};

use super::DeliveryError;
use super::text::Words;
use super::transport::SentMail;
use crate::domain::{IdentifierKind, OrganisationId, Personal, SubjectIdentifier};

/// A message ready to be handed over, with its envelope. One recipient, always.
pub struct Outgoing {
    message_id: String,
    from: Address,
    to: Personal<Address>,
    subject: String,
    text: Personal<String>,
    html: Personal<String>,
    link: Option<Personal<String>>,
    raw: Vec<u8>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outgoing").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// What a message is put together from.
pub(super) struct Parcel {
    pub(super) message_id: String,
    pub(super) from: Mailbox,
    pub(super) reply_to: Option<Mailbox>,
    pub(super) to: Personal<Address>,
    pub(super) words: Words,
    pub(super) link_token: Option<Personal<String>>,
    pub(super) at: DateTime<Utc>,
}

impl Outgoing {
    /// Puts a message together: multipart/alternative, each part quoted-printable.
    ///
    /// The encoding is named instead of left to lettre: it sends short ASCII bytes as `7bit` with the line feeds that
    /// they hold (T-5), and a line feed, a dot and a line feed end a message on some servers.
    pub(super) fn pack(parcel: Parcel) -> Result<Self, DeliveryError> {
        let Parcel { message_id, from, reply_to, to, words, link_token, at } = parcel;
        let part = |kind: ContentType, text: &str| {
            SinglePart::builder()
                .header(kind)
                .header(ContentTransferEncoding::QuotedPrintable)
                .body(text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n"))
        };
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.expose().clone()])
            .map_err(|_| DeliveryError::Message)?;
        let sender = from.email.clone();
        let mut builder = MimeMessage::builder()
            .message_id(Some(message_id.clone()))
            .date(SystemTime::from(at))
            .from(from)
            .to(Mailbox::new(None, to.expose().clone()))
            .subject(words.subject.clone())
            .header(AutoSubmitted)
            .envelope(envelope);
        if let Some(reply_to) = reply_to {
            builder = builder.reply_to(reply_to);
        }
        let message = builder
            .multipart(
                MultiPart::alternative()
                    .singlepart(part(ContentType::TEXT_PLAIN, &words.plain))
                    .singlepart(part(ContentType::TEXT_HTML, &words.html)),
            )
            .map_err(|_| DeliveryError::Message)?;
        Ok(Self {
            message_id,
            from: sender,
            to,
            subject: words.subject,
            text: Personal::new(words.plain),
            html: Personal::new(words.html),
            link: link_token,
            raw: message.formatted(),
        })
    }

    /// Its Message-ID, with angle brackets.
    #[must_use]
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    pub(super) const fn from(&self) -> &Address {
        &self.from
    }

    pub(super) const fn to(&self) -> &Personal<Address> {
        &self.to
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(super) fn sender_is_ascii(&self) -> bool {
        AsRef::<str>::as_ref(&self.from).is_ascii()
    }

    pub(super) fn envelope_is_ascii(&self) -> bool {
        self.sender_is_ascii() && AsRef::<str>::as_ref(self.to.expose()).is_ascii()
    }

    pub(super) fn to_sent(&self) -> SentMail {
        SentMail {
            message_id: self.message_id.clone(),
            to: Personal::new(self.to.expose().to_string()),
            subject: self.subject.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
            link: self.link.clone(),
            raw: Personal::new(self.raw.clone()),
        }
    }
}

/// What goes out: a mail, or a text message to a telephone.
#[derive(Debug)]
pub(super) enum Message {
    Mail(Outgoing),
    Text(TextMessage),
}

/// A text message ready to be handed to the gateway.
#[derive(Clone, Debug)]
pub(super) struct TextMessage {
    /// The same for every repetition.
    pub(super) id: String,
    pub(super) organisation: OrganisationId,
    /// E.164.
    pub(super) to: Personal<String>,
    pub(super) language: String,
    pub(super) text: Personal<String>,
    pub(super) at: DateTime<Utc>,
}

/// Where a message goes.
#[derive(Debug)]
pub(super) enum Destination {
    Mail(Personal<Address>),
    /// A telephone number, E.164.
    Telephone(Personal<String>),
}

/// The address of an identifier: the local part as it was given (its case may matter to its server), the domain in its
/// ASCII form. `None` for anything but an e-mail address that a mail server accepts.
pub(super) fn address_of(identifier: &SubjectIdentifier) -> Option<Personal<Address>> {
    if identifier.kind() != IdentifierKind::Email {
        return None;
    }
    let (local, _) = identifier.given().expose().rsplit_once('@')?;
    let (_, domain) = identifier.normalised().expose().rsplit_once('@')?;
    Address::new(local, domain).ok().map(Personal::new)
}

/// An address of the settings as every mail server takes it: the local part as it is written, the domain in its ASCII form.
pub(super) fn settings_address(text: &str) -> Result<Address, DeliveryError> {
    let address: Address = text.parse().map_err(|_| DeliveryError::Message)?;
    if address.domain().is_ascii() {
        return Ok(address);
    }
    let domain = idna::domain_to_ascii(address.domain()).map_err(|_| DeliveryError::Message)?;
    Address::new(address.user(), domain).map_err(|_| DeliveryError::Message)
}

/// RFC 3834: a machine wrote this; holiday answers and other machines stay quiet.
#[derive(Clone, Copy)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
