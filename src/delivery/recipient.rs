//! The notice N-17 to those who received personal data (Art. 19 GDPR): made from the same texts as the notices to people, in
//! the language of the recipient. Its outbox is the task of the recipient, in `recipients`.

use chrono::{DateTime, NaiveDate, Utc};
use lettre::message::Mailbox;
use sha2::{Digest, Sha256};

use super::message::{Parcel, settings_address};
use super::text::{self, Occasion};
use super::{DeliveryError, Facts, Failure, NoticeKind, Outgoing, Settings, Transport};
use crate::domain::{Controller, Personal, RequestKind};

/// What a recipient is told. It names records, never the person.
#[derive(Clone, Debug)]
pub struct RecipientLetter<'a> {
    /// On whose behalf.
    pub controller: &'a Controller,
    /// The recipient's language, a tag such as `de-AT`; where there are no texts in it, the controller's, else English.
    pub language: &'a str,
    /// The reference of the request.
    pub reference: &'a str,
    /// What it is asked to do: the ending of a phrase `action.…`.
    pub action: &'static str,
    /// The day on which the task was written.
    pub on: NaiveDate,
    /// By when an answer is expected.
    pub answer_by: NaiveDate,
    /// The records, one a line.
    pub objects: Personal<String>,
    /// The address.
    pub to: &'a str,
    /// Its Message-ID, with angle brackets: the same for every repetition.
    pub message_id: String,
    /// The date it bears.
    pub at: DateTime<Utc>,
}

/// A letter that is ready to be sent, with what is kept of it.
#[derive(Debug)]
pub struct PreparedLetter {
    /// Name, language and version of its text.
    pub template: String,
    /// SHA-256 of its text without the records.
    pub text_sha256: [u8; 32],
    /// The message.
    pub mail: Outgoing,
}

/// Makes the letter. An error means that the address or the settings are unusable, or a text is: nothing was sent.
pub fn prepare_letter(
    settings: &Settings,
    letter: RecipientLetter<'_>,
) -> Result<PreparedLetter, DeliveryError> {
    const KIND: NoticeKind = NoticeKind::RecipientNotice;
    let unusable = |source| DeliveryError::Text { kind: KIND, source };
    let to = settings_address(letter.to)?;
    let from = settings_address(&settings.from_address)?;
    let language = text::language_of(letter.language, &letter.controller.language).map_err(unusable)?;
    let mut facts = Facts::of(RequestKind::Other, letter.on, letter.answer_by);
    facts.answer_by = Some(letter.answer_by);
    let words = |objects: &str| {
        let occasion = Occasion {
            controller: letter.controller,
            reference: letter.reference,
            facts: &facts,
            words: Some(objects),
            link: None,
            code: None,
            action: Some(letter.action),
        };
        text::render(language, KIND, &occasion).map_err(unusable)
    };
    let text_sha256 = Sha256::digest(words("object")?.plain.as_bytes()).into();
    let words = words(letter.objects.expose())?;
    let template = words.template.clone();
    let name = text::clean(settings.from_name.as_ref().unwrap_or(&letter.controller.name));
    let mail = Outgoing::pack(Parcel {
        message_id: letter.message_id,
        from: Mailbox::new((!name.is_empty()).then_some(name), from),
        reply_to: None,
        to: Personal::new(to),
        words,
        link_token: None,
        at: letter.at,
    })?;
    Ok(PreparedLetter { template, text_sha256, mail })
}

/// Sends a letter and waits for the server's answer: its reply code, or why there was none.
pub async fn send_letter(transport: &Transport, letter: &PreparedLetter) -> Result<String, Failure> {
    transport.send(&letter.mail).await
}
