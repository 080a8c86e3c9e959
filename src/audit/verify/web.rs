//! A log behind an address.

use std::time::Duration;

use reqwest::{StatusCode, Url};

use super::files::Files;
use super::source::SourceError;

/// How long a file may take, in seconds: a bundle is at most 17 MB.
const PATIENCE_SECS: u64 = 60;

/// A server with the files of a log, without account: HTTP or HTTPS.
#[derive(Clone, Debug)]
pub struct Web {
    base: Url,
    client: reqwest::Client,
}

impl Web {
    /// A client for the files below `base`. Redirects are not followed.
    pub fn new(base: &str) -> Result<Self, SourceError> {
        let refused =
            |reason: &str| SourceError::Fetch { place: "the address".to_owned(), reason: reason.to_owned() };
        let mut url: Url = base.parse().map_err(|_| refused("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refused("it does not begin with http:// or https:// and a host"));
        }
        // What is shown and logged carries no password.
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(refused("it must not carry a login or a query"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        // An error means that some provider is installed already, which is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("dsrd/", env!("CARGO_PKG_VERSION")))
            .timeout(Duration::from_secs(PATIENCE_SECS));
        // Without TLS no CA certificate is needed, and a host without any can still read from its neighbour.
        let builder =
            if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder.https_only(true) };
        let client = builder.build().map_err(|_| refused("no client can be made for it"))?;
        Ok(Self { base: url, client })
    }
}

impl Files for Web {
    fn describe(&self) -> String {
        self.base.to_string()
    }

    fn place(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let failed = |reason: String| SourceError::Fetch { place: self.place(path), reason };
        let address = self.base.join(path).map_err(|_| failed("it makes no address".to_owned()))?;
        let mut response =
            self.client.get(address).send().await.map_err(|error| failed(error.without_url().to_string()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            other => return Err(failed(format!("status {}", other.as_u16()))),
        }
        let mut content = Vec::new();
        while let Some(piece) =
            response.chunk().await.map_err(|error| failed(error.without_url().to_string()))?
        {
            if content.len() + piece.len() > limit {
                return Err(SourceError::Malformed {
                    place: self.place(path),
                    reason: format!("it is longer than {limit} bytes"),
                });
            }
            content.extend_from_slice(&piece);
        }
        Ok(Some(content))
    }
}
