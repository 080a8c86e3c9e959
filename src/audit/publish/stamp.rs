//! The authority that stamps heads with its time (RFC 3161).

use chrono::TimeDelta;
use sha2::{Digest as _, Sha256};

use super::error::Trouble;
use super::{PublishError, PublishSettings, Publisher, sql, stored};
use crate::audit::timestamp::{self, Authorities, MAX_REPLY_BYTES};
use crate::domain::clock::is_due;
use crate::domain::random;

/// The kind of an anchor that is a time-stamp.
pub(super) const KIND: &str = "rfc3161";

/// The authority, and who is trusted to have stamped.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) url: String,
    trusted: Authorities,
}

impl Authority {
    /// The authority of the settings; `pem` is the content of `timestamp_certificate_file`.
    pub(super) fn of(settings: &PublishSettings, pem: &[u8]) -> Result<Option<Self>, PublishError> {
        let url = settings.timestamp_url.clone();
        if url.is_empty() {
            return Ok(None);
        }
        let refused = |why: &str| PublishError::Timestamp(why.to_owned());
        let Some((scheme @ ("https" | "http"), rest)) = url.split_once("://") else {
            return Err(refused("the URL must begin with https://"));
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return Err(refused("the URL holds a login, which would stand in the database"));
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if scheme == "http" && !["127.0.0.1", "localhost", "[::1]"].contains(&name) {
            return Err(refused("https is needed (http only on this host)"));
        }
        let trusted = Authorities::from_pem(pem).map_err(|error| refused(&error.to_string()))?;
        Ok(Some(Self { url, trusted }))
    }
}

impl Publisher {
    /// Has the newest kept checkpoint stamped when that is due. Only a time-stamp that can be verified is kept.
    pub(super) async fn stamp(&self, authority: &Authority) -> Result<(), Trouble> {
        let Some((checkpoint, note)) = self.head().await?.kept else { return Ok(()) };
        let (now, size) = (self.clock.now(), stored(checkpoint.size));
        let mut connection = self.store.connection().await?;
        let last = sql::newest_anchor(&mut connection, KIND, &authority.url).await?;
        drop(connection);
        let every = TimeDelta::seconds(self.settings.timestamp_every_secs.into());
        if last.is_some_and(|last| last.size >= size || !is_due(last.at, every, now)) {
            return Ok(());
        }
        let hash: [u8; 32] = Sha256::digest(note.text()).into();
        let nonce = u64::from_le_bytes(random::bytes());
        let request = timestamp::request(&hash, nonce);
        let asked = self.post.send_bytes(&authority.url, Some("application/timestamp-query"), request).await;
        let (status, reply) = asked.map_err(Trouble::Away)?;
        if status != 200 || reply.len() > MAX_REPLY_BYTES {
            return Err(Trouble::Away(format!("answers with status {status} and no time-stamp")));
        }
        let token = timestamp::token_of(&reply, &hash, nonce);
        let token = token.and_then(|token| {
            timestamp::check(&token, &hash, &authority.trusted)?;
            Ok(token)
        });
        let token =
            token.map_err(|error| Trouble::Away(format!("answers with what is not kept: {error}")))?;
        let mut connection = self.store.connection().await?;
        sql::insert_timestamp(&mut connection, size, &authority.url, &token, now).await?;
        Ok(())
    }
}
