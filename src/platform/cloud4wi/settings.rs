//! What an operator can set about one Cloud4Wi organisation, and what is refused before the first call.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::ContactId;
use crate::secret_file::{SecretFileError, read_secret};

/// Why a client cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The base URL is no URL, is plain HTTP to another host, or carries what it must not.
    #[error("platform base_url is refused: {0}")]
    BaseUrl(&'static str),
    /// A number in the settings makes no sense.
    #[error("platform setting {setting} must be {must}")]
    Number {
        /// The setting's name.
        setting: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// The file of the key or of its secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The HTTP client could not be built; most often the host has no CA certificates.
    #[error("the HTTP client for the platform cannot be built; is the package ca-certificates installed?")]
    Client(#[source] reqwest::Error),
}

/// Cloud4Wi's own id of an organisation (`155d60f2…`), as it stands in the vendor's URLs. The vendor calls this path
/// parameter `cid`, as it does the id of a contact: hence a type of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct OrgId(String);

impl OrgId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrgId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The same rule as for contacts: one safe segment of a URL path.
        match text.parse::<ContactId>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err("organisation_id must be 1 to 128 letters, digits, '-', '_', '.', ':' or '@'"),
        }
    }
}

impl<'de> Deserialize<'de> for OrgId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How to speak to one organisation at Cloud4Wi.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API is, for example `https://explore.cloud4wi.com`. Plain `http` is accepted for loopback only.
    pub base_url: String,
    /// The vendor's id of the organisation.
    pub organisation_id: OrgId,
    /// File that holds the `clientKey` of the service's key pair, readable by its owner only (0600).
    pub client_key_file: PathBuf,
    /// File that holds the `clientSecret` of the service's key pair, readable by its owner only (0600).
    pub client_secret_file: PathBuf,
    /// Whether the API may lie at a private or link-local address. Loopback is always allowed.
    pub allow_private_address: bool,
    /// Whether everything may be read and filtered here when the platform does not honour a search filter. When not,
    /// absence cannot be known and such requests wait for a person.
    pub full_scan: bool,
    /// How fast and how patiently the API is called.
    pub rate: RateSettings,
    /// What is accepted of an answer.
    pub limits: LimitSettings,
    /// How lists are read.
    pub paging: PagingSettings,
    /// The names of all query parameters. The vendor's page does not print most of them: check these against the
    /// `OpenAPI` file that the vendor offers for download, before the first real run.
    pub dialect: Dialect,
    /// How policies (opt-ins) are written.
    pub policies: PolicySettings,
}

/// How fast and how patiently the API is called.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// Calls a second, over all workers of this key.
    pub requests_per_second: f64,
    /// How many calls may follow each other at once after a quiet time.
    pub burst: u32,
    /// How many calls may be under way at once. Sweeps leave one of them free for people's requests.
    pub in_flight: u32,
    /// The longest that one answer "too many requests" can stop all workers, in seconds.
    pub pause_cap_secs: u64,
    /// The longest pause that a call waits out itself before it hands its request back, in seconds.
    pub patience_secs: u64,
    /// How often a read is tried before it counts as failed. Effects are never repeated blindly.
    pub attempts: u32,
    /// The first pause between two tries, in seconds; it doubles from try to try and is drawn at random below that.
    pub retry_pause_secs: f64,
    /// How many failures in a row stop all calls for a while.
    pub breaker_failures: u32,
    /// How long calls are stopped then, in seconds; afterwards one call tries whether the platform is back.
    pub breaker_pause_secs: f64,
}

/// What is accepted of an answer.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// How long a connection may take, in seconds.
    pub connect_timeout_secs: f64,
    /// How long the platform may stay silent in the middle of an answer, in seconds.
    pub idle_timeout_secs: f64,
    /// How long a call may take altogether, in seconds.
    pub total_timeout_secs: f64,
    /// How long reading all events, devices or connections of one contact may take, in seconds.
    pub records_timeout_secs: f64,
    /// The most bytes of response headers.
    pub max_header_bytes: usize,
    /// The most bytes of a body on the wire.
    pub max_wire_bytes: u64,
    /// The most bytes of a body after decompression.
    pub max_decoded_bytes: u64,
    /// The most bytes of one record, and of answers that hold one object.
    pub max_record_bytes: usize,
    /// The deepest nesting of one record.
    pub max_depth: u32,
}

/// How lists are read.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PagingSettings {
    /// Contacts in a page, 1 to 10000. The vendor's maximum makes very large answers.
    pub page_size: u32,
    /// The most pages of one list.
    pub max_pages: u32,
    /// The longest that one list may take, in seconds.
    pub list_timeout_secs: u64,
}

/// The names of the query parameters of the contact list.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// Page size.
    pub size: String,
    /// The id with which a list goes on.
    pub scroll: String,
    /// The field to sort by.
    pub sort_by: String,
    /// Whether to sort backwards.
    pub sort_reverse: String,
    /// The value of `sort_by` that means the instant of creation.
    pub sort_created: String,
    /// Created at or after.
    pub created_from: String,
    /// Created at or before.
    pub created_to: String,
    /// Search by e-mail address.
    pub email: String,
    /// Search by telephone number.
    pub phone: String,
    /// Search by user name.
    pub username: String,
    /// Search by external id.
    pub external_id: String,
    /// Search by the first external property.
    pub external_property_1: String,
    /// Search by the second external property.
    pub external_property_2: String,
}

/// How policies (opt-ins) are written.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// The HTTP method of the update.
    pub method: PolicyMethod,
    /// The shape of the body.
    pub body: PolicyBody,
}

/// The HTTP method of a policy update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum PolicyMethod {
    /// `PUT`.
    Put,
    /// `POST`.
    Post,
    /// `PATCH`.
    Patch,
}

/// The shape of the body of a policy update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyBody {
    /// `{"policyKey": k, "accepted": false}`.
    Single,
    /// `{"policies": [{"policyKey": k, "accepted": false}]}`.
    List,
    /// `{"policies": {k: false}}`.
    Map,
}

impl Settings {
    /// Checks the numbers; the base URL and the secret files are checked where they are read.
    pub(super) fn check(&self) -> Result<(), SetupError> {
        let positive = |setting, number: f64| {
            if number.is_finite() && number > 0.0 && number < 1e9 {
                Ok(())
            } else {
                Err(SetupError::Number { setting, must: "a number above 0" })
            }
        };
        positive("rate.requests_per_second", self.rate.requests_per_second)?;
        positive("rate.retry_pause_secs", self.rate.retry_pause_secs)?;
        positive("rate.breaker_pause_secs", self.rate.breaker_pause_secs)?;
        positive("limits.connect_timeout_secs", self.limits.connect_timeout_secs)?;
        positive("limits.idle_timeout_secs", self.limits.idle_timeout_secs)?;
        positive("limits.total_timeout_secs", self.limits.total_timeout_secs)?;
        positive("limits.records_timeout_secs", self.limits.records_timeout_secs)?;
        let at_least_one = |setting, number: u64| {
            if number >= 1 { Ok(()) } else { Err(SetupError::Number { setting, must: "1 or more" }) }
        };
        at_least_one("rate.burst", self.rate.burst.into())?;
        at_least_one("rate.in_flight", self.rate.in_flight.into())?;
        at_least_one("rate.attempts", self.rate.attempts.into())?;
        at_least_one("rate.breaker_failures", self.rate.breaker_failures.into())?;
        at_least_one("limits.max_wire_bytes", self.limits.max_wire_bytes)?;
        at_least_one("limits.max_decoded_bytes", self.limits.max_decoded_bytes)?;
        at_least_one("paging.max_pages", self.paging.max_pages.into())?;
        if !(1..=10_000).contains(&self.paging.page_size) {
            return Err(SetupError::Number { setting: "paging.page_size", must: "1 to 10000" });
        }
        if !(4..=128).contains(&self.limits.max_depth) {
            // 128 is where the JSON parser itself stops.
            return Err(SetupError::Number { setting: "limits.max_depth", must: "4 to 128" });
        }
        if self.limits.max_record_bytes < 1024 {
            return Err(SetupError::Number { setting: "limits.max_record_bytes", must: "1024 or more" });
        }
        Ok(())
    }

    /// The base URL, if it is one that secrets may be sent to (S-23).
    pub(super) fn checked_base_url(&self) -> Result<Url, SetupError> {
        let mut url = Url::parse(&self.base_url).map_err(|_| SetupError::BaseUrl("it is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SetupError::BaseUrl("it holds a user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(SetupError::BaseUrl("it holds a query or fragment"));
        }
        let host = url.host_str().ok_or(SetupError::BaseUrl("it names no host"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok();
        let loopback = bare == "localhost" || address.is_some_and(|found| found.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(SetupError::BaseUrl("plain http is for loopback only; write https")),
            _ => return Err(SetupError::BaseUrl("its scheme is not https")),
        }
        if let Some(address) = address
            && !may_connect(address, self.allow_private_address)
        {
            return Err(SetupError::BaseUrl(
                "its address is private; set allow_private_address if that is meant",
            ));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
        }
        Ok(url)
    }
}

/// A setting in seconds as a duration. Checked before to be positive and finite.
pub(super) fn secs(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)
}

/// Whether a connection to this address is allowed: public and loopback always, private ones by setting, metadata and
/// other special ones never without it.
pub(super) fn may_connect(address: IpAddr, allow_private: bool) -> bool {
    let address = match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    let never = address.is_unspecified() || address.is_multicast();
    !never && (address.is_loopback() || allow_private || !is_private(address))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let [first, second, ..] = four.octets();
            four.is_private()
                || four.is_link_local()
                || four.is_broadcast()
                || first == 0
                || (first == 100 && (64..128).contains(&second))
                || (first == 198 && (18..20).contains(&second))
                || four == Ipv4Addr::new(192, 0, 0, 192)
        }
        IpAddr::V6(six) => {
            let first = six.segments()[0];
            // fc00::/7 unique local, fe80::/10 link local, 64:ff9b::/96 translated IPv4.
            (first & 0xfe00) == 0xfc00 || (first & 0xffc0) == 0xfe80 || is_translated(six)
        }
    }
}

fn is_translated(six: Ipv6Addr) -> bool {
    six.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
}

/// The key pair, wiped from memory when dropped and never shown.
pub(super) struct Credentials {
    pub(super) key: Zeroizing<String>,
    pub(super) secret: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials([secret])")
    }
}

impl Credentials {
    pub(super) fn read(settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self {
            key: read_trimmed("platform.client_key_file", &settings.client_key_file)?,
            secret: read_trimmed("platform.client_secret_file", &settings.client_secret_file)?,
        })
    }
}

/// Without what stands around it: neither key nor secret has spaces at its ends, and who pastes one adds some.
fn read_trimmed(key: &str, path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let secret = read_secret(key, path)?;
    let trimmed = secret.trim();
    if trimmed.is_empty() {
        return Err(SecretFileError::Content { key: key.to_owned(), path: path.to_owned() });
    }
    Ok(Zeroizing::new(trimmed.to_owned()))
}
