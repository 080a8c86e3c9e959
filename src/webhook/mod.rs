//! Signed calls to servers that the controller names: those of recipients of data, and the gateway that sends text messages.
//!
//! One call enters as a [`Call`]: a URL, a secret, a body. It leaves as one `POST` of JSON, or not at all; what the server
//! answered comes back, or why it did not and whether the call may have arrived all the same.
//!
//! Invariants:
//! - Calls go by TLS, to the addresses that were looked at, and follow no redirect; to a private network only where the settings
//!   allow it ([`check_url`]).
//! - Time and body are signed ([`signature`]), so that whoever is called knows who calls, and can refuse what is old.
//! - Nothing of the body, of the answer or of the secret is logged or part of an error.
//!
//! Why no client is kept: each call looks its host's addresses up anew and is bound to them, so that a name cannot lead a later
//! call into a private network. Calls are few.

mod address;

use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub use address::check_url;

/// The shortest secret that signs anything, in characters: 128 bits in hexadecimal digits.
pub const SHORTEST_SECRET: usize = 32;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most bytes of an answer that are read.
const MOST_ANSWER_BYTES: usize = 16 * 1024;

/// One call.
pub struct Call<'a> {
    /// Where to.
    pub url: &'a str,
    /// Whether that may be an address of a private network.
    pub may_be_private: bool,
    /// What signs it.
    pub secret: &'a str,
    /// A header that names what is told, the same for every repetition: name and value.
    pub subject: (&'static str, String),
    /// JSON.
    pub body: Vec<u8>,
    /// When it is sent.
    pub at: DateTime<Utc>,
}

/// What a server answered.
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// The beginning of what it said; empty where that was too long.
    pub body: Vec<u8>,
}

/// A call that got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Why, as a short word.
    pub code: &'static str,
    /// Whether the call may have arrived all the same.
    pub may_have_arrived: bool,
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

/// Calls once.
pub async fn post(call: Call<'_>) -> Result<Answer, Unanswered> {
    let before = |code| Unanswered { code, may_have_arrived: false };
    let place = address::place_of(call.url).map_err(|_| before("bad_url"))?;
    let addresses = address::resolve(&place, call.may_be_private).await.map_err(before)?;
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
    let timestamp = call.at.timestamp();
    let (name, value) = call.subject;
    let request = client
        .post(call.url)
        .header("content-type", "application/json")
        .header(name, value)
        .header("dsrd-timestamp", timestamp.to_string())
        .header("dsrd-signature", format!("v1={}", signature(call.secret, timestamp, &call.body)))
        .body(call.body);
    let mut response = request.send().await.map_err(|error| {
        if error.is_connect() {
            before("unreachable")
        } else if error.is_timeout() {
            Unanswered { code: "timeout", may_have_arrived: true }
        } else {
            Unanswered { code: "broke_off", may_have_arrived: true }
        }
    })?;
    let status = response.status().as_u16();
    // What it says beyond the status is welcome and not needed.
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        if body.len() + piece.len() > MOST_ANSWER_BYTES {
            body.clear();
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { status, body })
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
