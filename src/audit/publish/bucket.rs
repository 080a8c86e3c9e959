//! A bucket of an S3-compatible store in the layout of tlog-tiles, as the directory has it; with Object Lock nobody can
//! take back what was written, not even who holds the account.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::aws::{self, Credentials, Request, encoded, instant};
use super::directory::RESTORED;
use super::error::PublishError;
use super::settings::PublishSettings;
use crate::audit::stamped::{self, StampedHeads};
use crate::audit::tlog::{Checkpoint, MAX_NOTE_BYTES, SignedNote};
use crate::domain::Clock;

/// How long one object may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of the newest checkpoint's object.
const CHECKPOINT: &str = "checkpoint";

/// The longest page of a listing that is read: 1,000 names of at most 1,024 bytes, with what a store tells of each.
const MAX_LISTING_BYTES: usize = 4 << 20;

/// A bucket, or a part of one.
pub(super) struct Bucket {
    client: reqwest::Client,
    /// Scheme and host.
    base: String,
    /// What `host` says.
    host: String,
    /// Bucket and prefix, with a slash in front and none behind.
    path: String,
    credentials: Credentials,
    /// How long an object is locked; the bucket's own rule holds for zero.
    retained: TimeDelta,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Bucket {
    /// Without the credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bucket").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl Bucket {
    /// The bucket of the settings, if they name one. `key` is the content of the key file: id and secret.
    pub(super) fn of(
        settings: &PublishSettings,
        key: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, PublishError> {
        if settings.bucket_url.is_empty() {
            return Ok(None);
        }
        let (base, host, path) = split(&settings.bucket_url)?;
        let mut words = key.split_whitespace();
        let (Some(id), Some(secret), None) = (words.next(), words.next(), words.next()) else {
            return Err(PublishError::Bucket(
                "publish.bucket_key_file must hold the id of an access key and its secret, with a space between them",
            ));
        };
        // An error means that some provider is installed already, which is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .referer(false)
            .user_agent(concat!("dsrd/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            .build()
            .map_err(|_| PublishError::Bucket("no HTTP client can be made on this host"))?;
        let credentials = Credentials {
            access_key_id: id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
            region: settings.bucket_region.clone(),
        };
        let retained = TimeDelta::days(settings.bucket_retain_days.into());
        Ok(Some(Self { client, base, host, path, credentials, retained, clock }))
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        format!("{}{}", self.base, self.path)
    }

    /// The newest checkpoint below a folder; `None` where there is none yet.
    pub(super) async fn checkpoint(&self, folder: &str) -> Result<Option<Checkpoint>, String> {
        let found = self.get(&joined(folder, CHECKPOINT), MAX_NOTE_BYTES).await?;
        let Some(bytes) = found else { return Ok(None) };
        // Who signed it is not asked: whatever stands there is to be a beginning of our own log.
        let note = SignedNote::from_bytes(&bytes).ok().and_then(|note| note.text().parse().ok());
        note.map(Some).ok_or_else(|| "holds an object checkpoint that is none".to_owned())
    }

    /// The index of the time-stamped heads below a folder; an empty one where there is none yet.
    pub(super) async fn stamped(&self, folder: &str) -> Result<StampedHeads, String> {
        let found = self.get(&joined(folder, stamped::INDEX), stamped::MAX_INDEX_BYTES).await?;
        StampedHeads::from_bytes(&found.unwrap_or_default()).map_err(|_| {
            "its index of time-stamped heads cannot be read; replace timestamps/index by an empty object"
                .to_owned()
        })
    }

    /// The checkpoints below folders of later instants than that of this one.
    pub(super) async fn later(&self, folder: &str) -> Result<Vec<Checkpoint>, String> {
        let above = self.above("");
        // Behind everything in a folder stands its name with the sign that comes after the slash.
        let behind = |folder: &str| format!("{above}{folder}0");
        let mut last = if folder.is_empty() { String::new() } else { behind(folder) };
        let mut found = Vec::new();
        loop {
            // The first object of each folder tells of it: of what lies below, nothing else is of interest.
            let (keys, _) = self.page(&format!("{above}{RESTORED}"), &last, Some("1")).await?;
            let Some(key) = keys.into_iter().next() else { return Ok(found) };
            let name = key.strip_prefix(&above).ok_or_else(unreadable)?;
            let name = name.split_once('/').map_or(name, |(folder, _)| folder).to_owned();
            let next = behind(&name);
            if next <= last {
                // It would be asked for the same page for ever.
                return Err(unreadable());
            }
            last = next;
            found.extend(self.checkpoint(&name).await?);
        }
    }

    /// The names of the objects below a folder that begin with `beginning`.
    pub(super) async fn names(&self, folder: &str, beginning: &str) -> Result<BTreeSet<String>, String> {
        let above = self.above(folder);
        let wanted = format!("{above}{beginning}");
        let mut names = BTreeSet::new();
        let mut last = String::new();
        loop {
            let (keys, is_truncated) = self.page(&wanted, &last, None).await?;
            let next = keys.last().cloned();
            for key in keys {
                names.insert(key.strip_prefix(&above).ok_or_else(unreadable)?.to_owned());
            }
            match (is_truncated, next) {
                (false, _) => return Ok(names),
                (true, Some(next)) if next > last => last = next,
                // It would be asked for the same page for ever.
                (true, _) => return Err(unreadable()),
            }
        }
    }

    /// What stands in the bucket before the names of objects below a folder.
    fn above(&self, folder: &str) -> String {
        let (_, prefix) = self.path[1..].split_once('/').unwrap_or_default();
        let parts = [prefix, folder].into_iter().filter(|part| !part.is_empty());
        parts.flat_map(|part| [part, "/"]).collect()
    }

    /// A page of the names in the bucket that begin with `wanted` and come after `last`, at most so many, and whether there are
    /// more.
    async fn page(
        &self,
        wanted: &str,
        last: &str,
        most: Option<&str>,
    ) -> Result<(Vec<String>, bool), String> {
        let bucket = self.path[1..].split('/').next().unwrap_or_default();
        // In the order of their names, in which they are signed.
        let mut query = vec![("list-type", "2")];
        query.extend(most.map(|most| ("max-keys", most)));
        query.push(("prefix", wanted));
        if !last.is_empty() {
            query.push(("start-after", last));
        }
        let path = format!("/{bucket}");
        let (status, body) =
            self.send("GET", &path, &aws::query(&query), Vec::new(), MAX_LISTING_BYTES).await?;
        if status != 200 {
            return Err(refused(status));
        }
        listed(&body).ok_or_else(unreadable)
    }

    /// Writes objects, each whole or not at all.
    pub(super) async fn write(&self, folder: &str, files: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        for (name, content) in files {
            self.put(&joined(folder, &name), content).await?;
        }
        Ok(())
    }

    /// Replaces the checkpoint; what it needs must be there. In a bucket with Object Lock the former one stays as a version.
    pub(super) async fn write_checkpoint(&self, folder: &str, note: &str) -> Result<(), String> {
        self.put(&joined(folder, CHECKPOINT), note.as_bytes().to_vec()).await
    }

    /// An object's content. One longer than `limit` bytes is refused.
    async fn get(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, String> {
        let (status, body) =
            self.send("GET", &format!("{}/{name}", self.path), "", Vec::new(), limit).await?;
        match status {
            200 => Ok(Some(body)),
            404 => Ok(None),
            other => Err(refused(other)),
        }
    }

    async fn put(&self, name: &str, content: Vec<u8>) -> Result<(), String> {
        let (status, _) = self.send("PUT", &format!("{}/{name}", self.path), "", content, 0).await?;
        if status == 200 { Ok(()) } else { Err(refused(status)) }
    }

    /// Sends a signed request; answers with the status and, of a GET, with the body, of at most `limit` bytes.
    async fn send(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<(u16, Vec<u8>), String> {
        let now = self.clock.now();
        let digest = Sha256::digest(&body);
        let body_sha256 = hex::encode(digest);
        let mut headers = vec![
            ("host", self.host.clone()),
            ("x-amz-content-sha256", body_sha256.clone()),
            ("x-amz-date", instant(now)),
        ];
        if method == "PUT" {
            // A store takes a locked object only with a checksum.
            headers.push(("x-amz-checksum-sha256", STANDARD.encode(digest)));
            headers.extend(self.lock(now));
        }
        let signed = Request { method, path, query, headers: &headers, body_sha256: &body_sha256 };
        headers.push(("authorization", self.credentials.authorization(&signed, now)));
        let mut map = HeaderMap::new();
        for (name, value) in headers.into_iter().filter(|(name, _)| *name != "host") {
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| "the access key is no text of a header".to_owned())?;
            value.set_sensitive(name == "authorization");
            map.insert(HeaderName::from_static(name), value);
        }
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{}{mark}{query}", self.base, encoded(path));
        let method =
            reqwest::Method::from_bytes(method.as_bytes()).map_err(|_| "no such method".to_owned())?;
        let is_get = method == reqwest::Method::GET;
        let sent = self.client.request(method, url).headers(map).body(body).send().await;
        let mut response = sent.map_err(|error| away(&error))?;
        let status = response.status().as_u16();
        let mut content = Vec::new();
        if is_get && status == 200 {
            let announced = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            let too_long = || format!("holds an object that is longer than {limit} bytes: {path}");
            if announced.and_then(|text| text.parse().ok()).is_some_and(|length: usize| length > limit) {
                return Err(too_long());
            }
            while let Some(piece) = response.chunk().await.map_err(|error| away(&error))? {
                if content.len() + piece.len() > limit {
                    return Err(too_long());
                }
                content.extend_from_slice(&piece);
            }
        }
        Ok((status, content))
    }

    fn lock(&self, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
        if self.retained <= TimeDelta::zero() {
            return Vec::new();
        }
        let until = (now + self.retained).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        vec![
            ("x-amz-object-lock-mode", "COMPLIANCE".to_owned()),
            ("x-amz-object-lock-retain-until-date", until),
        ]
    }
}

/// Whether the settings name a bucket as they must.
pub(super) fn check(settings: &PublishSettings) -> Result<(), PublishError> {
    if settings.bucket_url.is_empty() {
        return Ok(());
    }
    split(&settings.bucket_url)?;
    if settings.bucket_region.is_empty() {
        return Err(PublishError::Bucket(
            "publish.bucket_region is missing; for a store without regions write us-east-1",
        ));
    }
    if settings.bucket_key_file.as_os_str().is_empty() {
        return Err(PublishError::Bucket("publish.bucket_key_file is missing"));
    }
    Ok(())
}

/// Scheme and host, host, and path of a bucket's address.
fn split(url: &str) -> Result<(String, String, String), PublishError> {
    let wrong = PublishError::Bucket(
        "publish.bucket_url must be https://<host>/<bucket> or https://<host>/<bucket>/<prefix>, without user, ? and #",
    );
    let Some((scheme @ ("https" | "http"), rest)) = url.split_once("://") else { return Err(wrong) };
    let Some((host, path)) = rest.trim_end_matches('/').split_once('/') else { return Err(wrong) };
    let plain = |text: &str, signs: &str| {
        !text.is_empty() && text.chars().all(|each| each.is_ascii_alphanumeric() || signs.contains(each))
    };
    if !plain(host, ".-:[]")
        || !plain(path, "-._/")
        || path.split('/').any(|part| matches!(part, "" | "." | ".."))
    {
        return Err(wrong);
    }
    Ok((format!("{scheme}://{host}"), host.to_owned(), format!("/{path}")))
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The names on a page of a listing, and whether there are more; `None` for what is no listing. The names that are written here
/// need no escapes.
fn listed(body: &[u8]) -> Option<(Vec<String>, bool)> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, text) = text.split_once("<ListBucketResult")?;
    let text = text.trim_end().strip_suffix("</ListBucketResult>")?;
    let (_, truncated) = text.split_once("<IsTruncated>")?;
    let is_truncated = match truncated.split_once("</IsTruncated>")?.0 {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    let mut keys = Vec::new();
    for part in text.split("<Key>").skip(1) {
        let (key, _) = part.split_once("</Key>")?;
        if key.is_empty() || key.contains('&') {
            return None;
        }
        keys.push(key.to_owned());
    }
    Some((keys, is_truncated))
}

fn unreadable() -> String {
    "answers with a listing that cannot be read".to_owned()
}

fn refused(status: u16) -> String {
    match status {
        403 => {
            "refuses the access key (it needs the rights to list the bucket, to read and to write objects)"
                .to_owned()
        }
        404 => "has no such bucket".to_owned(),
        _ => format!("answers with status {status}"),
    }
}

fn away(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "does not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off"
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_listing_is_not_an_empty_one() {
        let page = |inner: &str| {
            format!("<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\">{inner}</ListBucketResult>")
        };
        let read = |text: &str| listed(text.as_bytes());
        let some = "<IsTruncated>true</IsTruncated><Contents><Key>a/b</Key><Size>1</Size></Contents><Contents><Key>c</Key></Contents>";
        assert_eq!(read(&page(some)), Some((vec!["a/b".to_owned(), "c".to_owned()], true)));
        assert_eq!(read(&page("<IsTruncated>false</IsTruncated>")), Some((Vec::new(), false)));
        for wrong in [
            "",
            "<html></html>",
            &page(""),
            &page("<IsTruncated>perhaps</IsTruncated>"),
            &page("<IsTruncated>false</IsTruncated><Contents><Key>a"),
            &page("<IsTruncated>false</IsTruncated><Contents><Key>a&amp;b</Key></Contents>"),
            page(some).strip_suffix("Result>").unwrap(),
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_scheme_host_bucket_and_perhaps_a_prefix() {
        let (base, host, path) = split("https://s3.eu-south-1.example/audit-log/venue/").unwrap();
        assert_eq!(
            (base.as_str(), host.as_str(), path.as_str()),
            ("https://s3.eu-south-1.example", "s3.eu-south-1.example", "/audit-log/venue")
        );
        for wrong in [
            "s3.example/bucket",
            "https://s3.example",
            "https://s3.example/",
            "https://key:word@s3.example/bucket",
            "https://s3.example/bucket?x=1",
            "https://s3.example/a/../b",
            "https://s3.example/a//b",
            "ftp://s3.example/bucket",
        ] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }
}
