//! The way of text messages: a gateway of the controller's, which passes them to a telephone company.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Effect, Failure};
use crate::delivery::message::TextMessage;
use crate::domain::{OrganisationId, TextMessages};
use crate::webhook::{self, Call};

/// The gateway of one organisation.
pub struct TextGateway {
    settings: TextMessages,
    secret: Zeroizing<String>,
}

impl fmt::Debug for TextGateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TextGateway").field("url", &self.settings.url).finish_non_exhaustive()
    }
}

/// The body of a call. Its form is told in docs/identity.md.
#[derive(Serialize)]
struct Body<'a> {
    form: &'static str,
    message: &'a str,
    organisation: &'a OrganisationId,
    to: &'a str,
    language: &'a str,
    text: &'a str,
    sent_at: DateTime<Utc>,
}

impl TextGateway {
    /// A gateway, with the secret that signs its calls. Nothing is called yet.
    #[must_use]
    pub const fn new(settings: TextMessages, secret: Zeroizing<String>) -> Self {
        Self { settings, secret }
    }

    /// Hands a message over; the HTTP status when it was taken.
    pub(in crate::delivery) async fn send(&self, message: &TextMessage) -> Result<String, Failure> {
        let body = Body {
            form: "dsrd-text/1",
            message: &message.id,
            organisation: &message.organisation,
            to: message.to.expose(),
            language: &message.language,
            text: message.text.expose(),
            sent_at: message.at,
        };
        let body = serde_json::to_vec(&body).map_err(|_| Failure::permanent("no_body"))?;
        let call = Call {
            url: &self.settings.url,
            may_be_private: self.settings.allow_private_address.unwrap_or(false),
            secret: &self.secret,
            subject: ("dsrd-message", message.id.clone()),
            body,
            at: message.at,
        };
        let answer = webhook::post(call).await.map_err(|failed| {
            let effect = if failed.may_have_arrived { Effect::Unknown } else { Effect::None };
            Failure::temporary(failed.code, effect)
        })?;
        let code = format!("http_{}", answer.status);
        match answer.status {
            200..300 => Ok(code),
            // This number or this text, whenever it is tried. Everything else may be mended at the gateway or in the settings.
            400 | 410 | 413 | 422 => Err(Failure::permanent(code)),
            _ => Err(Failure::temporary(code, Effect::None)),
        }
    }
}
