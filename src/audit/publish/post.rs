//! The request to a witness or a time-stamping authority, over HTTP.

use std::time::Duration;

use super::error::PublishError;

/// How long a witness may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of an answer: cosignatures of many keys, or a time-stamp.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Asks witnesses.
#[derive(Clone, Debug)]
pub(super) struct Post(reqwest::Client);

/// What came back: status and text.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Post {
    pub(super) fn new() -> Result<Self, PublishError> {
        // An error means that some provider is installed already, which is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .referer(false)
            .user_agent(concat!("dsrd/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            .build();
        client.map(Self).map_err(|_| PublishError::Witness("no HTTP client can be made on this host"))
    }

    /// Posts a request; an error in words of our own when no whole answer came.
    pub(super) async fn send(&self, url: &str, body: String) -> Result<Reply, String> {
        let (status, bytes) = self.send_bytes(url, None, body.into_bytes()).await?;
        let text = String::from_utf8(bytes).map_err(|_| "answers with bytes that are no text".to_owned())?;
        Ok(Reply { status, text })
    }

    /// The same for an answer that need not be text.
    pub(super) async fn send_bytes(
        &self,
        url: &str,
        content_type: Option<&'static str>,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let away = |error: &reqwest::Error| {
            let what = if error.is_timeout() {
                "does not answer in time"
            } else if error.is_connect() {
                "cannot be reached"
            } else {
                "broke off"
            };
            what.to_owned()
        };
        let mut request = self.0.post(url).body(body);
        if let Some(content_type) = content_type {
            request = request.header(reqwest::header::CONTENT_TYPE, content_type);
        }
        let mut response = request.send().await.map_err(|error| away(&error.without_url()))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| away(&error.without_url()))? {
            if bytes.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err("answers with more than it was asked for".to_owned());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((status, bytes))
    }
}
