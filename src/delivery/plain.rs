//! Plain messages that concern no request and no person: to a mailbox of the settings, without link and template.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::Mailbox;

use super::message::Parcel;
use super::text::Words;
use super::{Failure, Outgoing, Settings, Transport};
use crate::domain::{Personal, random};

/// A plain message.
#[derive(Clone, Debug)]
pub struct PlainMail {
    /// An address of the settings.
    pub to: String,
    /// With angle brackets: the same for every repetition of one message. A new one when left out.
    pub message_id: Option<String>,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: Personal<String>,
    /// When it is sent.
    pub at: DateTime<Utc>,
}

/// Sends text to an address of the settings and waits for the server's answer. An error is a reply code or a short word.
pub async fn send_plain(
    transport: &Transport,
    settings: &Settings,
    to: &str,
    subject: String,
    text: String,
    at: DateTime<Utc>,
) -> Result<(), String> {
    let mail = PlainMail { to: to.to_owned(), message_id: None, subject, text: Personal::new(text), at };
    send_plain_mail(transport, settings, mail).await.map_err(|failure| failure.code)
}

/// The same, with what is known about a failure.
pub async fn send_plain_mail(
    transport: &Transport,
    settings: &Settings,
    mail: PlainMail,
) -> Result<(), Failure> {
    let to: Address = mail.to.parse().map_err(|_| Failure::permanent("unusable address"))?;
    let from: Address = settings.from_address.parse().map_err(|_| Failure::permanent("unusable address"))?;
    let message_id = mail.message_id.unwrap_or_else(|| format!("<{}@{}>", random::token(), from.domain()));
    let text = mail.text.into_exposed();
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let words = Words {
        template: "plain/en/1".to_owned(),
        subject: mail.subject,
        plain: text,
        html: format!("<pre>{html}</pre>\n"),
    };
    let parcel = Parcel {
        message_id,
        from: Mailbox::new(settings.from_name.clone(), from),
        reply_to: None,
        to: Personal::new(to),
        words,
        link_token: None,
        at: mail.at,
    };
    let packed = Outgoing::pack(parcel).map_err(|_| Failure::permanent("unusable message"))?;
    transport.send(&packed).await.map(drop)
}
