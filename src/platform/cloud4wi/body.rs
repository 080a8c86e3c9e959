//! Reading a body piece by piece, within limits of size and time, whatever the platform sends.
//!
//! Compression is undone here rather than in the HTTP client, for two reasons: the limits count bytes on the wire and
//! decoded bytes (a few kilobytes can become gigabytes), and the client would hide how the answer was framed, which
//! decides whether an empty answer may be believed ([`Body::is_framed`]).

use std::io::Write;
use std::time::Duration;

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use reqwest::header;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use super::settings::{LimitSettings, secs};
use super::transport::describe;

/// The body of one answer.
#[derive(Debug)]
pub(super) struct Body {
    response: reqwest::Response,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    wire: Bytes,
    wire_left: u64,
    decoded_left: u64,
    idle: Duration,
    time_left: Duration,
    framed: bool,
    ended: bool,
    slot: Vec<OwnedSemaphorePermit>,
}

impl Body {
    pub(super) fn new(
        response: reqwest::Response,
        limits: &LimitSettings,
        time_left: Duration,
        slot: Vec<OwnedSemaphorePermit>,
    ) -> Result<Self, Failure> {
        let headers = response.headers();
        let gzip =
            match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase()) {
                None => None,
                Some(name) if name == b"identity" => None,
                Some(name) if name == b"gzip" || name == b"x-gzip" => Some(MultiGzDecoder::new(Vec::new())),
                Some(_) => return Err(Failure::Unreadable("unknown content encoding".to_owned())),
            };
        let chunked = headers
            .get(header::TRANSFER_ENCODING)
            .is_some_and(|value| value.as_bytes().to_ascii_lowercase().ends_with(b"chunked"));
        // The end of a gzip stream carries a checksum, which tells a cut as well as a length does.
        let framed = chunked || gzip.is_some() || headers.contains_key(header::CONTENT_LENGTH);
        Ok(Self {
            response,
            gzip,
            wire: Bytes::new(),
            wire_left: limits.max_wire_bytes,
            decoded_left: limits.max_decoded_bytes,
            idle: secs(limits.idle_timeout_secs),
            time_left,
            framed,
            ended: false,
            slot,
        })
    }

    /// Whether a body that was cut short would have been noticed. When not, an empty list may be the rest of a full
    /// one.
    pub(super) const fn is_framed(&self) -> bool {
        self.framed
    }

    /// Gives the call's slot back before the body has ended, because from here on the consumer sets the pace.
    pub(super) fn release_slot(&mut self) {
        self.slot.clear();
    }

    /// The next decoded bytes; `None` at the end of a whole body.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if !self.wire.has_remaining() && !self.receive().await? {
                return self.end();
            }
            let piece = match &mut self.gzip {
                None => std::mem::take(&mut self.wire),
                Some(gzip) => {
                    // One write decodes at most the decoder's own buffer (32 KiB), so memory stays bounded.
                    let taken = gzip.write(&self.wire).map_err(|_| broken_gzip())?;
                    self.wire.advance(taken);
                    Bytes::from(std::mem::take(gzip.get_mut()))
                }
            };
            if !piece.is_empty() {
                return self.count(piece).map(Some);
            }
        }
    }

    /// Reads what comes first, for error texts; failures on the way just end it.
    pub(super) async fn read_up_to(&mut self, limit: usize) -> Vec<u8> {
        let mut text = Vec::new();
        while text.len() < limit {
            match self.next().await {
                Ok(Some(piece)) => text.extend_from_slice(&piece[..piece.len().min(limit - text.len())]),
                Ok(None) | Err(_) => break,
            }
        }
        text
    }

    /// Reads the whole body; `setting` names the limit in the error.
    pub(super) async fn read_whole(&mut self, limit: usize, setting: &str) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        while let Some(piece) = self.next().await? {
            if text.len() + piece.len() > limit {
                return Err(Failure::TooLarge(setting.to_owned()));
            }
            text.extend_from_slice(&piece);
        }
        Ok(text)
    }

    /// Receives the next piece from the wire; `false` at its end.
    async fn receive(&mut self) -> Result<bool, Failure> {
        if self.ended {
            return Ok(false);
        }
        let started = Instant::now();
        let received = timeout(self.idle.min(self.time_left), self.response.chunk()).await;
        // Only the time spent waiting for the platform counts, not what the consumer does in between.
        self.time_left = self.time_left.saturating_sub(started.elapsed());
        match received {
            Err(_) => Err(Failure::Broken("the body stalled or took too long".to_owned())),
            Ok(Err(error)) => Err(Failure::Broken(describe(&error))),
            Ok(Ok(None)) => {
                self.ended = true;
                self.slot.clear();
                Ok(false)
            }
            Ok(Ok(Some(piece))) => {
                if self.time_left.is_zero() {
                    return Err(Failure::Broken("the body took too long".to_owned()));
                }
                self.wire_left = self
                    .wire_left
                    .checked_sub(piece.len() as u64)
                    .ok_or_else(|| Failure::TooLarge("limits.max_wire_bytes".to_owned()))?;
                self.wire = piece;
                Ok(true)
            }
        }
    }

    fn count(&mut self, piece: Bytes) -> Result<Bytes, Failure> {
        self.decoded_left = self
            .decoded_left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| Failure::TooLarge("limits.max_decoded_bytes".to_owned()))?;
        Ok(piece)
    }

    fn end(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(mut gzip) = self.gzip.take() else { return Ok(None) };
        gzip.try_finish().map_err(|_| Failure::Broken("the compressed body was cut".to_owned()))?;
        let rest = Bytes::from(std::mem::take(gzip.get_mut()));
        if rest.is_empty() { Ok(None) } else { self.count(rest).map(Some) }
    }
}

fn broken_gzip() -> Failure {
    Failure::Unreadable("the body is not the gzip that its header announces".to_owned())
}
