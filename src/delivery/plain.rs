//! Plain messages that concern no person: to a mailbox of the settings, without link and template.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::Mailbox;

use super::message::{Parcel, settings_address};
use super::text::{Words, clean};
use super::{Effect, Failure, Outgoing, Settings, Transport};
use crate::domain::{Personal, random};

/// A message to a mailbox of the settings.
#[derive(Clone, Debug)]
pub struct StaffLetter<'a> {
    /// The address.
    pub to: &'a str,
    /// Its Message-ID, with angle brackets: the same for every repetition.
    pub message_id: String,
    /// One line.
    pub subject: String,
    /// Plain text with line feeds.
    pub text: String,
    /// The date it bears.
    pub at: DateTime<Utc>,
}

/// Whether a text is one mail address, as the settings need it.
#[must_use]
pub fn is_mail_address(text: &str) -> bool {
    settings_address(text).is_ok()
}

/// Sends a message to staff and waits for the server's answer: its reply code, or why there was none.
pub async fn send_to_staff(
    transport: &Transport,
    settings: &Settings,
    letter: StaffLetter<'_>,
) -> Result<String, Failure> {
    let unusable = |code: &str| Failure { code: code.to_owned(), permanent: true, effect: Effect::None };
    let to = settings_address(letter.to).map_err(|_| unusable("unusable_address"))?;
    let from = settings_address(&settings.from_address).map_err(|_| unusable("unusable_address"))?;
    let html = letter.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let words = Words {
        template: "plain/en/1".to_owned(),
        subject: clean(&letter.subject),
        plain: letter.text,
        html: format!("<pre>{html}</pre>\n"),
    };
    let parcel = Parcel {
        message_id: letter.message_id,
        from: Mailbox::new(settings.from_name.clone(), from),
        reply_to: None,
        to: Personal::new(to),
        words,
        link_token: None,
        at: letter.at,
    };
    let mail = Outgoing::pack(parcel).map_err(|_| unusable("unusable_message"))?;
    transport.send(&mail).await
}

/// Sends a message that nobody has to recognise again to an address of the settings. An error is a reply code or a short
/// word.
pub async fn send_plain(
    transport: &Transport,
    settings: &Settings,
    to: &str,
    subject: String,
    text: String,
    at: DateTime<Utc>,
) -> Result<(), String> {
    let from = settings_address(&settings.from_address);
    let domain = from.as_ref().map_or("dsrd.invalid", Address::domain);
    let message_id = format!("<{}@{domain}>", random::token());
    let letter = StaffLetter { to, message_id, subject, text, at };
    send_to_staff(transport, settings, letter).await.map(drop).map_err(|failure| failure.code)
}
