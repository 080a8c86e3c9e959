//! Plain messages that concern no request and no person: to a mailbox of the settings, without link and template.

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::Mailbox;

use super::message::Parcel;
use super::text::Words;
use super::{Outgoing, Settings, Transport};
use crate::domain::{Personal, random};

/// Sends text to an address of the settings and waits for the server's answer. An error is a reply code or a short word.
pub async fn send_plain(
    transport: &Transport,
    settings: &Settings,
    to: &str,
    subject: String,
    text: String,
    at: DateTime<Utc>,
) -> Result<(), String> {
    let unusable = |_| "unusable address".to_owned();
    let to: Address = to.parse().map_err(unusable)?;
    let from: Address = settings.from_address.parse().map_err(unusable)?;
    let message_id = format!("<{}@{}>", random::token(), from.domain());
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let words = Words {
        template: "plain/en/1".to_owned(),
        subject,
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
        at,
    };
    let mail = Outgoing::pack(parcel).map_err(|_| "unusable message".to_owned())?;
    transport.send(&mail).await.map(drop).map_err(|failure| failure.code)
}
