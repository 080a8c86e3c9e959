//! The call to a recipient's webhook: JSON, signed, over TLS.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use super::address::{check_url, resolve};
use super::settings::Recipient;
use super::task::TaskAction;
use crate::domain::{ContactId, Personal};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most bytes of an answer that are read.
const MOST_ANSWER_BYTES: usize = 16 * 1024;

/// What is told, whatever the channel.
pub(super) struct Telling<'a> {
    pub(super) organisation: &'a str,
    pub(super) task: Uuid,
    pub(super) action: TaskAction,
    pub(super) object: Personal<ContactId>,
    pub(super) categories: &'a [String],
    pub(super) answer_by: NaiveDate,
    pub(super) at: DateTime<Utc>,
}

/// The body of a call. Its form is told in docs/recipients.md.
#[derive(Serialize)]
struct Body<'a> {
    form: &'static str,
    task: Uuid,
    organisation: &'a str,
    action: TaskAction,
    system: &'static str,
    object: &'a str,
    categories: &'a [String],
    answer_by: NaiveDate,
    sent_at: DateTime<Utc>,
}

/// What a recipient may answer: that it is done already.
#[derive(Deserialize)]
struct Answer {
    status: Option<String>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The recipient took it.
    Taken,
    /// It took it and says that it is done.
    Confirmed,
}

/// The signature of a call: HMAC-SHA-256, in hexadecimal digits, over the time of sending in seconds since 1970, a full
/// stop, and the bytes of the body.
///
/// # Panics
/// Never: HMAC takes keys of any length.
#[must_use]
pub fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Calls a webhook once. An error is a short word: what the server answered, or why it did not; and whether the call may have
/// arrived all the same.
pub(super) async fn call(
    recipient: &Recipient,
    secret: &str,
    telling: &Telling<'_>,
) -> Result<Told, (String, bool)> {
    let before = |code: &str| (code.to_owned(), false);
    let url = recipient.url.as_deref().ok_or_else(|| before("no_url"))?;
    let place = check_url(url).map_err(|_| before("bad_url"))?;
    let addresses = resolve(&place, recipient.may_be_private()).await.map_err(before)?;
    // An error means that some provider is installed already, which is as good.
    let _already = rustls::crypto::ring::default_provider().install_default();
    // The client goes to the addresses that were looked at, and asks nobody again.
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .referer(false)
        .resolve_to_addrs(&place.host, &addresses)
        .user_agent(concat!("dsrd/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .build()
        .map_err(|_| before("no_client"))?;
    let body = Body {
        form: "dsrd-recipient/1",
        task: telling.task,
        organisation: telling.organisation,
        action: telling.action,
        system: "cloud4wi",
        object: telling.object.expose().as_str(),
        categories: telling.categories,
        answer_by: telling.answer_by,
        sent_at: telling.at,
    };
    let body = serde_json::to_vec(&body).map_err(|_| before("no_body"))?;
    let timestamp = telling.at.timestamp();
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("dsrd-task", telling.task.to_string())
        .header("dsrd-timestamp", timestamp.to_string())
        .header("dsrd-signature", format!("v1={}", signature(secret, timestamp, &body)))
        .body(body);
    let mut response = request.send().await.map_err(|error| {
        if error.is_connect() {
            before("unreachable")
        } else if error.is_timeout() {
            ("timeout".to_owned(), true)
        } else {
            ("broke_off".to_owned(), true)
        }
    })?;
    let status = response.status();
    if !status.is_success() {
        return Err((format!("http_{}", status.as_u16()), false));
    }
    // What it says beyond the status is welcome and not needed.
    let mut answer = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        if answer.len() + piece.len() > MOST_ANSWER_BYTES {
            return Ok(Told::Taken);
        }
        answer.extend_from_slice(&piece);
    }
    let status = serde_json::from_slice::<Answer>(&answer).ok().and_then(|answer| answer.status);
    Ok(if status.as_deref() == Some("confirmed") { Told::Confirmed } else { Told::Taken })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_the_guide_shows() {
        // Computed with: printf '1764329400.{}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let made = signature("0123456789abcdef0123456789abcdef", 1_764_329_400, b"{}");
        assert_eq!(made, "52ac5903f273852cbcd22254e0fc703993d86baaa251b825ef5015899ce92604");
        let guide = include_str!("../../docs/recipients.md");
        assert!(guide.contains(&made), "docs/recipients.md shows the same example");
    }
}
