//! Settings of a simulator: what it serves and how strictly.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};

/// A simulator: where it listens and which organisations it holds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Organisations, each with its own credentials and contacts. Names must differ.
    pub organisations: Vec<OrganisationSettings>,
    /// The platform's "now" at the start; everything generated lies before it. The default is a fixed instant, so that
    /// the same seed gives the same bytes; a demo passes the real time.
    pub reference: DateTime<Utc>,
    /// What is kept of each call.
    pub journal: JournalKeeping,
    /// Life of a token. The platform says one day.
    pub token_life: Duration,
    /// From which clock the `iat` and `exp` claims of tokens are taken. What the simulator accepts is always decided by
    /// the time that really passed.
    pub token_claims: TokenClaims,
    /// Life of a scroll id after its last use.
    pub scroll_life: Duration,
    /// Whether a scroll keeps its id. The documentation leaves it open.
    pub scroll_ids: ScrollIds,
    /// Whether one of the scopes of an endpoint is enough, or all are needed. The documentation leaves it open.
    pub scope_rule: ScopeRule,
    /// Largest request body that is read, in bytes.
    pub largest_request: usize,
}

/// The clock of the token claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenClaims {
    /// The real clock.
    WallClock,
    /// The reference instant plus the time since the start; for clients with a clock of their own.
    Reference,
    /// No `exp` claim at all.
    WithoutExpiry,
}

/// How a scroll of contacts is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScrollIds {
    /// One id for all pages and a cursor on the server: a page whose answer was lost is not given again. The worst case.
    OneForAll,
    /// Each page names the next one with a new id; an id can be used again.
    NewPerPage,
}

/// How the scopes of an endpoint are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// One of them is enough.
    Either,
    /// All are needed.
    Both,
}

/// What the journal keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalKeeping {
    /// Every call.
    All,
    /// The last so many calls.
    Last(usize),
    /// Counters only; for benches.
    CountersOnly,
}

/// One organisation.
#[derive(Clone, Debug)]
pub struct OrganisationSettings {
    /// Name by which tests ask for it.
    pub name: String,
    /// Organisation id in paths.
    pub organisation_id: String,
    /// Service id: the `iss` claim of its tokens.
    pub service_id: String,
    /// Client key.
    pub client_key: String,
    /// Client secret.
    pub client_secret: String,
    /// Scopes of the key.
    pub scopes: Vec<String>,
    /// Number of generated contacts.
    pub contacts: u32,
    /// Seed of the generated contacts.
    pub seed: u64,
    /// Rate limit of the key; `None` for no limit.
    pub rate_limit: Option<RateLimit>,
}

/// A rate limit: a bucket of `burst` calls, refilled with `per_second` calls a second.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// Calls per second.
    pub per_second: f64,
    /// Size of the bucket.
    pub burst: f64,
    /// What the refusal says about trying again.
    pub retry_after: RetryAfter,
    /// Logins count as well.
    pub logins_count: bool,
}

impl RateLimit {
    /// A limit that answers with `Retry-After: 1` and does not count logins.
    #[must_use]
    pub fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, retry_after: RetryAfter::Seconds(1), logins_count: false }
    }
}

/// The `Retry-After` header of a 429.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// No header.
    Absent,
    /// Delta seconds.
    Seconds(u64),
    /// An HTTP date, so many seconds from now on the real clock (negative: in the past).
    HttpDateIn(i64),
    /// Any text, as it is.
    Text(String),
}

/// The scopes that the vendor's dashboard offers and the endpoints ask for.
pub const ALL_SCOPES: [&str; 5] =
    ["organization_read", "organization_write", "customer_read", "customer_write", "events_read"];

impl OrganisationSettings {
    /// An organisation with ids and credentials made from its name, all scopes, no rate limit and `contacts` generated
    /// contacts.
    #[must_use]
    pub fn new(name: &str, contacts: u32) -> Self {
        let label = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let key = crate::people::id_of(label, 2);
        Self {
            name: name.to_owned(),
            organisation_id: crate::people::id_of(label, 0),
            service_id: crate::people::id_of(label, 1),
            client_key: format!(
                "ck-{}-{}-{}-{}-{}",
                &key[..8],
                &key[8..12],
                &key[12..16],
                &key[16..20],
                &key[20..]
            ),
            client_secret: crate::people::id_of(label, 3),
            scopes: ALL_SCOPES.map(str::to_owned).to_vec(),
            contacts,
            seed: label,
            rate_limit: None,
        }
    }
}

impl Default for Settings {
    /// One organisation called `main` with 1,000 contacts on a free port of 127.0.0.1.
    fn default() -> Self {
        Self::with_contacts(1_000)
    }
}

impl Settings {
    /// One organisation called `main` with `contacts` generated contacts on a free port of 127.0.0.1.
    #[must_use]
    pub fn with_contacts(contacts: u32) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            organisations: vec![OrganisationSettings::new("main", contacts)],
            reference: Utc.timestamp_opt(1_768_469_400, 0).single().unwrap_or_default(),
            journal: JournalKeeping::All,
            token_life: Duration::from_hours(24),
            token_claims: TokenClaims::WallClock,
            scroll_life: Duration::from_mins(2),
            scroll_ids: ScrollIds::OneForAll,
            scope_rule: ScopeRule::Either,
            largest_request: 1 << 20,
        }
    }

    /// Adds an organisation.
    #[must_use]
    pub fn organisation(mut self, organisation: OrganisationSettings) -> Self {
        self.organisations.push(organisation);
        self
    }
}
