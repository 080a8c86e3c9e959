//! A client with small time-outs, a platform of scripted answers, and one of raw bytes.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use dsrd::domain::{ContactId, IdentifierKind, ManualClock, SubjectIdentifier};
use dsrd::platform::cloud4wi::{Cloud4Wi, LocalBudget, Settings};
use dsrd::platform::{ContactPlatform, Listing, ListingBatch, PlatformError, RecordBatch, Source, Urgency};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub(crate) const ORG: &str = "155d60f21dc1938562900a0e201d54f6";
pub(crate) const LIST: &str = "/v2/customers/organizations/155d60f21dc1938562900a0e201d54f6";
pub(crate) const LOGIN: &str = "/v1/sts/login/services";

/// Writes a secret file as an operator should.
pub(crate) fn secret_file(directory: &Path, name: &str, text: &str, mode: u32) -> std::path::PathBuf {
    let path = directory.join(name);
    let mut file =
        std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

/// The defaults, at this address, with secrets in `directory`.
pub(crate) fn settings(base_url: &str, directory: &Path) -> Settings {
    let key = secret_file(directory, "key", "ck-test\n", 0o600);
    let secret = secret_file(directory, "secret", "  secret-canary-of-the-key \n", 0o600);
    let file = config::File::from_str(include_str!("defaults.toml"), config::FileFormat::Toml);
    let mut settings: Settings = config::Config::builder()
        .add_source(file)
        .set_override("organisation_id", ORG)
        .unwrap()
        .set_override("base_url", base_url)
        .unwrap()
        .set_override("client_key_file", key.to_str().unwrap())
        .unwrap()
        .set_override("client_secret_file", secret.to_str().unwrap())
        .unwrap()
        .build()
        .unwrap()
        .try_deserialize()
        .unwrap();
    settings.rate.requests_per_second = 1e6;
    settings.rate.burst = 1_000_000;
    settings.rate.in_flight = 64;
    settings.rate.retry_pause_secs = 0.001;
    settings.rate.breaker_failures = 1000;
    settings.limits.connect_timeout_secs = 2.0;
    settings.limits.idle_timeout_secs = 2.0;
    settings.limits.total_timeout_secs = 5.0;
    settings.limits.records_timeout_secs = 5.0;
    settings
}

/// A client, and what has to outlive it.
pub(crate) struct Client {
    pub(crate) platform: Cloud4Wi,
    pub(crate) clock: Arc<ManualClock>,
    _secrets: tempfile::TempDir,
}

impl std::ops::Deref for Client {
    type Target = Cloud4Wi;

    fn deref(&self) -> &Cloud4Wi {
        &self.platform
    }
}

pub(crate) fn client(base_url: &str) -> Client {
    client_with(base_url, |_| {})
}

pub(crate) fn client_with(base_url: &str, change: impl FnOnce(&mut Settings)) -> Client {
    let secrets = tempfile::tempdir().unwrap();
    let mut settings = settings(base_url, secrets.path());
    change(&mut settings);
    let clock = Arc::new(ManualClock::at("2026-01-15T09:30:00Z".parse().unwrap()));
    let budget = Arc::new(LocalBudget::new(&settings.rate));
    let platform = Cloud4Wi::new(settings, Some("IT".to_owned()), budget, clock.clone()).unwrap();
    Client { platform, clock, _secrets: secrets }
}

pub(crate) fn id(text: &str) -> ContactId {
    text.parse().unwrap()
}

pub(crate) fn email(text: &str) -> SubjectIdentifier {
    SubjectIdentifier::parse(IdentifierKind::Email, text, None).unwrap()
}

/// A token as the platform makes them, without an end.
pub(crate) fn token(number: usize) -> String {
    let encode = |json: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
    format!(
        "{}.{}.signature",
        encode(json!({"alg": "none"})),
        encode(json!({"iss": "service-1", "n": number}))
    )
}

/// A platform that lets everybody log in, with a token that counts the log-ins.
pub(crate) async fn platform() -> MockServer {
    let server = MockServer::start().await;
    let count = AtomicUsize::new(0);
    Mock::given(method("POST"))
        .and(path(LOGIN))
        .respond_with(move |_: &Request| {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            ResponseTemplate::new(200).set_body_json(json!({ "token": token(number) }))
        })
        .with_priority(10)
        .mount(&server)
        .await;
    server
}

pub(crate) async fn answer(server: &MockServer, verb: &str, at: &str, respond: impl Respond + 'static) {
    Mock::given(method(verb)).and(path(at)).respond_with(respond).mount(server).await;
}

/// How many calls of a path arrived.
pub(crate) async fn calls(server: &MockServer, verb: &str, at: &str) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests.iter().filter(|request| request.method.as_str() == verb && request.url.path() == at).count()
}

/// One query parameter of a request.
pub(crate) fn query(request: &Request, name: &str) -> Option<String> {
    request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

pub(crate) fn contact(number: u32) -> Value {
    json!({
        "cid": format!("contact-{number:05}"),
        "email": format!("person{number}@people.example"),
        "phone": format!("+3906{:08}", 12_000_000 + number),
        "created": (chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(i64::from(number) + 26_000_000))
            .format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "policies": [{"name": "mktgCommunications", "accepted": true}],
    })
}

pub(crate) fn page(contacts: &[Value], sid: Option<&str>) -> ResponseTemplate {
    let mut body =
        json!({"generated": "2026-01-15T09:30:00Z", "size": contacts.len(), "customers": contacts});
    if let Some(sid) = sid {
        body["sid"] = sid.into();
    }
    ResponseTemplate::new(200).set_body_json(body)
}

pub(crate) async fn drain(listing: Listing<'_>) -> Result<ListingBatch, PlatformError> {
    let mut all = ListingBatch::default();
    let mut listing = listing;
    while let Some(batch) = listing.next().await {
        let batch = batch?;
        all.contacts.extend(batch.contacts);
        all.unreadable += batch.unreadable;
        all.strangers += batch.strangers;
        all.undated += batch.undated;
    }
    Ok(all)
}

pub(crate) async fn drain_records(
    client: &Cloud4Wi,
    id: &ContactId,
    source: Source,
) -> Result<Option<RecordBatch>, PlatformError> {
    let Some(mut stream) = client.records(id, source, Urgency::Request).await? else { return Ok(None) };
    let mut all = RecordBatch::default();
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        all.records.extend(batch.records);
        all.unreadable += batch.unreadable;
    }
    Ok(Some(all))
}

/// What a raw platform does with one connection.
#[derive(Clone)]
pub(crate) enum Script {
    /// Sends the bytes and closes.
    Close(Vec<u8>),
    /// Sends the bytes and resets.
    Reset(Vec<u8>),
    /// Sends the bytes and stays silent.
    Stall(Vec<u8>),
    /// Sends the bytes, one each millisecond.
    Drip(Vec<u8>),
    /// Sends the bytes so many times.
    Repeat(Vec<u8>, Vec<u8>, usize),
}

/// A platform of raw bytes. Log-ins are answered; every other request, in the order of arrival, by the script.
pub(crate) struct Raw {
    pub(crate) url: String,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn with_length(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) fn without_length(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

impl Raw {
    pub(crate) async fn start(script: impl Fn(usize, &str) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (script, seen) = (Arc::new(script), requests.clone());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (script.clone(), seen.clone());
                tokio::spawn(async move {
                    // A client that gives up breaks the connection, which is what many tests want.
                    Self::serve(stream, &*script, &seen).await.ok();
                });
            }
        });
        Self { url, requests, server }
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    async fn serve(
        mut stream: TcpStream,
        script: &(dyn Fn(usize, &str) -> Script + Send + Sync),
        seen: &Mutex<Vec<String>>,
    ) -> std::io::Result<()> {
        loop {
            let mut head = Vec::new();
            let mut piece = [0_u8; 4096];
            while !complete(&head) {
                let read = stream.read(&mut piece).await?;
                if read == 0 {
                    return Ok(());
                }
                head.extend_from_slice(&piece[..read]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            if head.contains(LOGIN) {
                stream.write_all(&with_length(&json!({ "token": token(1) }).to_string())).await?;
                continue;
            }
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(head.lines().next().unwrap_or_default().to_owned());
                seen.len()
            };
            match script(number, &head) {
                Script::Close(bytes) => {
                    stream.write_all(&bytes).await?;
                    return stream.shutdown().await;
                }
                Script::Reset(bytes) => {
                    stream.write_all(&bytes).await?;
                    // Time for the bytes to arrive before the reset drops them; the outcome does not depend on it.
                    tokio::task::yield_now().await;
                    stream.set_zero_linger()?;
                    return Ok(());
                }
                Script::Stall(bytes) => {
                    stream.write_all(&bytes).await?;
                    std::future::pending::<()>().await;
                }
                Script::Drip(bytes) => {
                    let mut ticks = tokio::time::interval(Duration::from_millis(1));
                    for byte in bytes {
                        ticks.tick().await;
                        stream.write_all(&[byte]).await?;
                    }
                    return stream.shutdown().await;
                }
                Script::Repeat(first, bytes, times) => {
                    stream.write_all(&first).await?;
                    for _ in 0..times {
                        stream.write_all(&bytes).await?;
                    }
                    return stream.shutdown().await;
                }
            }
        }
    }
}

fn complete(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let Some(end) = text.find("\r\n\r\n") else { return false };
    let length: usize = text
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(|rest| rest.trim().parse().unwrap())
        })
        .unwrap_or(0);
    head.len() >= end + 4 + length
}
