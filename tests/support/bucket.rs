//! A bucket of an S3-compatible store.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use dsrd::audit::tlog::{Checkpoint, SignedNote};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Id and secret of the access key that it knows.
pub(crate) const KEY: &str = "AKIDEXAMPLE wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Bucket and prefix of what is published.
pub(crate) const PREFIX: &str = "/audit-log/venue/";

/// One request, as the store saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// Speaks as much of S3 as the publisher uses, and refuses what a real store would refuse.
#[derive(Default)]
pub(crate) struct Stub {
    pub(crate) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// How many objects it takes before it refuses; all where none is told.
    pub(crate) room: Mutex<Option<usize>>,
    /// How long it takes for each object.
    pub(crate) pause: Mutex<Duration>,
    /// Whether it refuses everything.
    pub(crate) away: AtomicBool,
}

/// How many names a page of a listing has: stores may give fewer than a thousand.
const PAGE: usize = 3;

impl Stub {
    pub(crate) async fn start() -> (Arc<Self>, SocketAddr, tokio::task::JoinHandle<()>) {
        let stub = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let own = Arc::clone(&stub);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stub = Arc::clone(&own);
                tokio::spawn(async move { stub.serve(stream).await });
            }
        });
        (stub, address, task)
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let mut words = line.split_whitespace().map(str::to_owned);
            let (method, path) = (words.next()?, words.next()?);
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.ok()?;
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            if method == "PUT" {
                let pause = *self.pause.lock().expect("no test holds it and fails");
                tokio::time::sleep(pause).await;
            }
            let (status, answer) = self.answer(Seen { method: method.clone(), path, headers }, body);
            let sent = if method == "HEAD" { Vec::new() } else { answer.clone() };
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", answer.len());
            stream.get_mut().write_all(&[head.as_bytes(), &sent].concat()).await.ok()?;
        }
    }

    fn answer(&self, seen: Seen, body: Vec<u8>) -> (u16, Vec<u8>) {
        let header = |name: &str| seen.headers.get(name).cloned().unwrap_or_default();
        let digest = Sha256::digest(&body);
        let is_signed = header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            && header("authorization").contains("/eu-south-1/s3/aws4_request,SignedHeaders=host;")
            && header("x-amz-content-sha256") == hex::encode(digest)
            && header("x-amz-date").ends_with('Z');
        let is_checked =
            header("x-amz-checksum-sha256") == base64::engine::general_purpose::STANDARD.encode(digest);
        let mut objects = self.objects.lock().expect("no test holds it and fails");
        let (method, path) = (seen.method.clone(), seen.path.clone());
        self.seen.lock().expect("no test holds it and fails").push(seen);
        match method.as_str() {
            _ if self.away.load(Ordering::Relaxed) => (503, Vec::new()),
            _ if !is_signed => (403, Vec::new()),
            "PUT" if !is_checked => (400, Vec::new()),
            "PUT" if self.is_full() => (503, Vec::new()),
            "GET" if path.contains('?') => (200, listing(&objects, &path)),
            "PUT" => {
                objects.insert(path, body);
                (200, Vec::new())
            }
            _ => objects.get(&path).map_or((404, Vec::new()), |object| (200, object.clone())),
        }
    }

    fn is_full(&self) -> bool {
        let mut room = self.room.lock().expect("no test holds it and fails");
        let left = room.map(|room| room.checked_sub(1));
        *room = left.map(Option::unwrap_or_default);
        left == Some(None)
    }

    /// How many pages of listings of entries were asked for.
    pub(crate) fn listings(&self) -> usize {
        let seen = self.seen.lock().expect("no test holds it and fails");
        seen.iter().filter(|seen| seen.path.contains("list-type=2") && seen.path.contains("entries")).count()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.objects.lock().expect("no test holds it and fails").keys().cloned().collect()
    }

    pub(crate) fn sizes(&self, checkpoint: &str) -> u64 {
        let objects = self.objects.lock().expect("no test holds it and fails");
        let note: SignedNote =
            String::from_utf8(objects[checkpoint].clone()).expect("text").parse().expect("a note");
        note.text().parse::<Checkpoint>().expect("a checkpoint").size
    }

    /// How many times an object was written.
    pub(crate) fn written(&self, path: &str) -> usize {
        self.seen
            .lock()
            .expect("no test holds it and fails")
            .iter()
            .filter(|seen| seen.method == "PUT" && seen.path == path)
            .count()
    }

    /// Copies what is published into a directory, as who reads the bucket would.
    pub(crate) fn copy_to(&self, directory: &Path) {
        for (name, content) in self.objects.lock().expect("no test holds it and fails").iter() {
            let path = directory.join(name.trim_start_matches(PREFIX));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
            std::fs::write(path, content).expect("a file can be written");
        }
    }
}

/// A page of the names in a bucket, as `ListObjectsV2` answers.
fn listing(objects: &BTreeMap<String, Vec<u8>>, path: &str) -> Vec<u8> {
    let (bucket, query) = path.split_once('?').expect("a query");
    let value = |name: &str| {
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        pair.map(|value| value.replace("%2F", "/"))
    };
    assert_eq!(value("list-type").as_deref(), Some("2"), "{path}");
    let (prefix, after) = (value("prefix").unwrap_or_default(), value("start-after").unwrap_or_default());
    let below = format!("{bucket}/");
    let keys: Vec<&str> = objects.keys().filter_map(|name| name.strip_prefix(&below)).collect();
    let keys: Vec<&str> =
        keys.into_iter().filter(|key| key.starts_with(&prefix) && **key > *after).take(PAGE + 1).collect();
    let told: Vec<String> = keys
        .iter()
        .take(PAGE)
        .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{}</IsTruncated>{}</ListBucketResult>\n",
        keys.len() > PAGE,
        told.concat()
    )
    .into_bytes()
}
