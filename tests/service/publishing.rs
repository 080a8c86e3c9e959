//! Heads that left the machine: what a directory and a witness get, and how an older or altered database is found out.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dsrd::audit::tlog::{
    AddCheckpoint, Bundle, Checkpoint, CosigningKey, Edge, Hash, SignedNote, SigningKey, TileMap,
    VerifierKey, bundle, consistency_proof, leaf_hash,
};
use dsrd::audit::{
    self, Action, Actor, Answer, Courier, Divergence, Event, HeadMail, LogKeys, PublishError,
    PublishSettings, Publisher, RestoreReason, Restored, SealError, Witness, WitnessError, WitnessSettings,
};
use dsrd::delivery::{self, MemoryTransport, Transport};
use dsrd::domain::RequestId;
use dsrd::http;
use dsrd::store::{self, Store};
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::bucket::{KEY, PREFIX, Stub};
use crate::support::service::TestService;
use crate::support::settings::{mail_settings, sealer};

/// A log in memory.
struct Log {
    key: SigningKey,
    salt: u8,
}

impl Log {
    fn new(salt: u8, keys: &LogKeys) -> Self {
        let key = keys.signing_keys(&"log.example/a".parse().unwrap()).remove(0);
        Self { key, salt }
    }

    fn tree(&self, size: u64) -> (TileMap, Hash) {
        let mut edge = Edge::new();
        let mut tiles = TileMap::default();
        for index in 0..size {
            tiles.extend(edge.push(leaf_hash(&[&[self.salt][..], &index.to_be_bytes()].concat())));
        }
        tiles.extend(edge.partial_tiles());
        (tiles, edge.root())
    }

    fn note(&self, size: u64) -> SignedNote {
        let origin = self.key.verifier().name().clone();
        Checkpoint { origin, size, root: self.tree(size).1 }.sign([&self.key]).unwrap()
    }

    fn request(&self, old: u64, size: u64) -> AddCheckpoint {
        let proof = consistency_proof(&self.tree(size).0, old, size).unwrap_or_default();
        AddCheckpoint { old, proof, note: self.note(size) }
    }
}

fn witness_key(seed: &LogKeys) -> CosigningKey {
    seed.cosigning_key(&"witness.example/w".parse().unwrap()).unwrap()
}

fn open(folder: &Path, seed: &LogKeys, logs: Vec<VerifierKey>) -> Result<Witness, WitnessError> {
    Witness::open(folder, witness_key(seed), logs, Arc::new(dsrd::domain::SystemClock))
}

/// The body of a short answer; `None` if it broke off.
async fn text(mut answer: reqwest::Response) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).ok()
}

/// A witness behind its real listener, and a door before it that stays where it is while the witness is away: a port that was
/// given back may be somebody else's.
struct Served {
    address: SocketAddr,
    key: VerifierKey,
    behind: watch::Sender<Option<SocketAddr>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    door: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.door.abort();
    }
}

/// Serves a witness where the system says.
async fn listen(witness: Witness) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let settings = http::Settings { listen: None, header_timeout_secs: 5, max_connections: 20 };
    let (router, ended) = (http::witness_router(Arc::new(witness)), stop.clone());
    let task = tokio::spawn(async move { http::serve(listener, router, &settings, ended).await });
    (address, stop, task)
}

impl Served {
    async fn start(witness: Witness) -> Self {
        let key = witness.verifier().clone();
        let (inner, stop, task) = listen(witness).await;
        let front = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap();
        let (behind, present) = watch::channel(Some(inner));
        let door = tokio::spawn(async move {
            while let Ok((mut client, _)) = front.accept().await {
                let Some(inner) = *present.borrow() else { continue };
                tokio::spawn(async move {
                    // Whoever is cut off sees that by itself.
                    if let Ok(mut server) = tokio::net::TcpStream::connect(inner).await {
                        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
                    }
                });
            }
        });
        Self { address, key, behind, stop, task, door }
    }

    /// Ends the witness; whoever comes is sent away.
    async fn go_away(&mut self) {
        self.behind.send_replace(None);
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }

    /// Another run of the witness in the same place.
    async fn come_back(&mut self, witness: Witness) {
        let (inner, stop, task) = listen(witness).await;
        (self.stop, self.task) = (stop, task);
        self.behind.send_replace(Some(inner));
    }

    fn settings(&self) -> WitnessSettings {
        WitnessSettings { url: format!("http://{}/", self.address), verifier_key: self.key.to_string() }
    }

    async fn end(mut self) {
        self.go_away().await;
    }
}

#[tokio::test]
async fn a_witness_answers_each_request_as_the_specification_says() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (seed, keys) = (LogKeys::generate(), LogKeys::generate());
    let (log, fork) = (Log::new(1, &keys), Log::new(2, &keys));
    let stranger = Log::new(1, &LogKeys::generate());
    let served = Served::start(open(folder.path(), &seed, vec![log.key.verifier().clone()]).unwrap()).await;
    let client = reqwest::Client::new();
    let post = async |body: String| {
        let url = format!("http://{}/add-checkpoint", served.address);
        let answer = client.post(url).body(body).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), kind, text(answer).await.unwrap())
    };
    let other = log.key.verifier().name().as_str().replace("/a", "/b").parse().unwrap();
    let other = keys.signing_keys(&other).remove(0);
    let unknown = Log { key: other, salt: 1 };

    assert_eq!(post("old x\n\nhello\n".to_owned()).await.0, 400);
    assert_eq!(
        post("old 9\n".to_owned() + &log.request(0, 5).to_string()[6..]).await.0,
        400,
        "above the size"
    );
    assert_eq!(post(unknown.request(0, 5).to_string()).await.0, 404);
    assert_eq!(post(stranger.request(0, 5).to_string()).await.0, 403);
    let mut proven = log.request(0, 5);
    proven.proof.push(leaf_hash(b"x"));
    assert_eq!(post(proven.to_string()).await.0, 422, "a proof from nothing");

    for (old, size) in [(0, 5), (5, 5), (5, 300), (300, 70_000)] {
        let (status, _, text) = post(log.request(old, size).to_string()).await;
        assert_eq!(status, 200, "{old} to {size}: {text}");
        let line = text.strip_suffix('\n').unwrap().parse().unwrap();
        let note = log.note(size).with_signatures([line]).unwrap();
        let opened = Checkpoint::open(&note, [log.key.verifier(), &served.key]).unwrap();
        let time = opened.signatures.iter().find_map(|signature| signature.signed_at_secs).unwrap();
        assert!(time > 1_700_000_000, "the time of the cosignature");
    }
    for (old, size) in [(0, 70_001), (300, 70_001), (300, 300), (0, 5)] {
        let (status, kind, text) = post(log.request(old, size).to_string()).await;
        assert_eq!((status, kind.as_str(), text.as_str()), (409, "text/x.tlog.size", "70000\n"));
    }
    assert_eq!(post(fork.request(70_000, 70_000).to_string()).await.0, 409, "another tree of the same size");
    assert_eq!(post(fork.request(70_000, 70_001).to_string()).await.0, 422, "a fork");
    let mut short = log.request(70_000, 70_001);
    short.proof.pop();
    assert_eq!(post(short.to_string()).await.0, 422);
    assert_eq!(post(log.request(70_000, 70_001).to_string()).await.0, 200, "a refusal changes nothing");
    served.end().await;
}

#[test]
fn a_witness_that_ends_between_remembering_and_answering_has_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (seed, keys) = (LogKeys::generate(), LogKeys::generate());
    let log = Log::new(1, &keys);
    let logs = || vec![log.key.verifier().clone()];
    let witness = open(folder.path(), &seed, logs()).unwrap();
    assert!(
        matches!(open(folder.path(), &seed, logs()), Err(WitnessError::Taken(_))),
        "one process a folder"
    );
    // The answer is lost, as when the process is killed before it leaves.
    drop(witness.add_checkpoint(log.request(0, 7).to_string().as_bytes()));
    drop(witness);
    let witness = open(folder.path(), &seed, logs()).unwrap();
    let ask = |old, size| witness.add_checkpoint(log.request(old, size).to_string().as_bytes());
    assert_eq!(ask(0, 7), Answer::Conflict { size: 7 });
    assert!(matches!(ask(7, 7), Answer::Cosigned(_)));
    let forked = Log::new(2, &keys).request(7, 9).to_string();
    assert_eq!(witness.add_checkpoint(forked.as_bytes()), Answer::Unproven);
    drop(witness);
    let state = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "checkpoint"))
        .unwrap();
    std::fs::write(&state, "cut").unwrap();
    assert!(matches!(open(folder.path(), &seed, logs()), Err(WitnessError::State(_))));
}

#[test]
fn of_requests_at_the_same_time_one_is_cosigned() {
    let folder = tempfile::tempdir().unwrap();
    let (seed, keys) = (LogKeys::generate(), LogKeys::generate());
    let log = Log::new(1, &keys);
    let witness = open(folder.path(), &seed, vec![log.key.verifier().clone()]).unwrap();
    let answers: Vec<(u64, Answer)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=16_u64)
            .map(|size| {
                let (witness, body) = (&witness, log.request(0, size).to_string());
                scope.spawn(move || (size, witness.add_checkpoint(body.as_bytes())))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let signed: Vec<u64> = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Answer::Cosigned(_)))
        .map(|(size, _)| *size)
        .collect();
    assert_eq!(signed.len(), 1, "{answers:?}");
    let conflict = Answer::Conflict { size: signed[0] };
    assert!(answers.iter().all(|(size, answer)| *size == signed[0] || *answer == conflict), "{answers:?}");
}

pub(crate) fn database_settings() -> store::Settings {
    store::Settings {
        url_file: None,
        url: None,
        max_connections: 1,
        statement_timeout_secs: 30,
        acquire_timeout_secs: 30,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    }
}

/// Settings of nothing but the directory's defaults, and no bucket.
pub(crate) fn no_bucket() -> PublishSettings {
    PublishSettings {
        every_secs: 10,
        directory: std::path::PathBuf::new(),
        entries: false,
        witnesses: Vec::new(),
        mail_to: String::new(),
        mail_every_secs: 86_400,
        bucket_url: String::new(),
        bucket_region: String::new(),
        bucket_key_file: std::path::PathBuf::new(),
        bucket_every_secs: 600,
        bucket_retain_days: 0,
        timestamp_url: String::new(),
        timestamp_every_secs: 3_600,
        timestamp_certificate_file: std::path::PathBuf::new(),
    }
}

pub(crate) fn publisher(
    service: &TestService,
    directory: &Path,
    entries: bool,
    witnesses: Vec<WitnessSettings>,
) -> Publisher {
    let settings = PublishSettings {
        every_secs: 10,
        directory: directory.to_owned(),
        entries,
        witnesses,
        mail_to: String::new(),
        mail_every_secs: 86_400,
        ..no_bucket()
    };
    let store = Store::connect_as_sealer(service.database.options(), &database_settings());
    Publisher::new(store, settings, None, service.clock.clone()).unwrap()
}

pub(crate) async fn append(service: &TestService, number: u64) {
    let mut tx = service.store.begin("test").await.unwrap();
    for _ in 0..number {
        let case = RequestId(Uuid::now_v7());
        let (action, actor) = (Action::RequestRead, Actor::Process("test"));
        let event = Event::of(&service.controller.id, case, action, actor, service.desk.clock.now());
        audit::append(&mut tx, event).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Appends, seals, and keeps a checkpoint.
pub(crate) async fn grow(service: &TestService, number: u64) {
    append(service, number).await;
    service.sealer.seal_everything().await.unwrap();
    service.sealer.keep_checkpoint().await.unwrap();
}

pub(crate) async fn owner(service: &TestService) -> PgConnection {
    PgConnection::connect_with(&service.database.options()).await.unwrap()
}

/// Reads a published log as a foreign program does: the checkpoint, then all entries, whose root must be the signed one.
pub(crate) fn read_published(folder: &Path, keys: &[String]) -> u64 {
    let keys: Vec<VerifierKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
    let note = SignedNote::from_bytes(&std::fs::read(folder.join("checkpoint")).unwrap()).unwrap();
    let checkpoint = Checkpoint::open(&note, &keys).unwrap().checkpoint;
    let mut edge = Edge::new();
    let mut completed = Vec::new();
    for index in 0..checkpoint.size.div_ceil(256) {
        let wanted = Bundle::of_tree(index, checkpoint.size).unwrap();
        let content = std::fs::read(folder.join(wanted.path())).unwrap();
        for entry in bundle::read(wanted, &content).unwrap() {
            completed.extend(edge.push(leaf_hash(entry)));
        }
    }
    assert_eq!(edge.root(), checkpoint.root, "the entries lead to the signed root");
    for tile in completed.into_iter().chain(edge.partial_tiles()) {
        let path = folder.join(tile.tile().unwrap().path());
        assert_eq!(std::fs::read(&path).unwrap(), tile.bytes(), "{}", path.display());
    }
    checkpoint.size
}

#[tokio::test]
async fn heads_reach_the_directory_and_the_witness_and_catch_up_after_an_outage() {
    let service = TestService::start().await;
    let folders = tempfile::tempdir().unwrap();
    let (directory, state) = (folders.path().join("log"), folders.path().join("witness"));
    let keys = service.sealer.verifier_keys().await;
    let (seed, log) = (LogKeys::generate(), keys[0].parse::<VerifierKey>().unwrap());
    let witness = || open(&state, &seed, vec![log.clone()]).unwrap();
    let mut served = Served::start(witness()).await;
    let publisher = publisher(&service, &directory, true, vec![served.settings()]);
    publisher.round().await.unwrap();
    assert!(!directory.join("checkpoint").exists(), "there is no log yet");

    for (number, size) in [(3, 3), (253, 256), (300, 556)] {
        grow(&service, number).await;
        publisher.round().await.unwrap();
        publisher.round().await.unwrap();
        assert_eq!(read_published(&directory, &keys), size);
    }
    let cosigned: Vec<i64> = sqlx::query_scalar("SELECT size FROM audit.cosignature ORDER BY size")
        .fetch_all(&mut owner(&service).await)
        .await
        .unwrap();
    assert_eq!(cosigned, [3, 256, 556]);

    // Both are away: nothing fails, nothing waits, and the status says so.
    served.go_away().await;
    let away = folders.path().join("away");
    std::fs::rename(&directory, &away).unwrap();
    std::fs::write(&directory, "in the way").unwrap();
    grow(&service, 700).await;
    publisher.round().await.unwrap();
    let status = publisher.status().await.unwrap();
    assert!(status[0].problem.is_some() && status[0].size.is_none(), "{status:?}");
    assert_eq!((status[1].size, status[1].behind), (Some(556), 700));

    std::fs::remove_file(&directory).unwrap();
    std::fs::rename(&away, &directory).unwrap();
    served.come_back(witness()).await;
    publisher.round().await.unwrap();
    assert_eq!(read_published(&directory, &keys), 1_256);
    let status = publisher.status().await.unwrap();
    assert!(status.iter().all(|each| each.size == Some(1_256) && each.behind == 0), "{status:?}");
    // A partial tile goes when the full one is there.
    assert!(directory.join("tile/0/000").exists() && !directory.join("tile/0/000.p").exists());
    served.end().await;
}

/// Remembers what it was to send; refuses while told to.
#[derive(Debug, Default)]
struct Letters {
    sent: Mutex<Vec<HeadMail>>,
    refuses: AtomicBool,
    refused: AtomicUsize,
}

impl Courier for Letters {
    fn send(&self, mail: HeadMail) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            if self.refuses.load(Ordering::Relaxed) {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err("451".to_owned());
            }
            self.sent.lock().unwrap().push(mail);
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_head_is_mailed_when_it_is_due_and_again_after_a_refusal() {
    let service = TestService::start().await;
    let folder = tempfile::tempdir().unwrap();
    let letters = Arc::new(Letters::default());
    let settings = PublishSettings {
        every_secs: 10,
        directory: folder.path().to_owned(),
        entries: false,
        witnesses: Vec::new(),
        mail_to: "auditor@studio.example".to_owned(),
        mail_every_secs: 3_600,
        ..no_bucket()
    };
    let store = Store::connect_as_sealer(service.database.options(), &database_settings());
    let publisher = Publisher::new(store, settings, Some(letters.clone()), service.clock.clone()).unwrap();
    let sizes = || letters.sent.lock().unwrap().iter().map(|mail| mail.size).collect::<Vec<_>>();
    letters.refuses.store(true, Ordering::Relaxed);
    grow(&service, 2).await;
    publisher.round().await.unwrap();
    assert_eq!(publisher.status().await.unwrap()[1].size, None);
    publisher.round().await.unwrap();
    assert_eq!(letters.refused.load(Ordering::Relaxed), 1, "the server is not asked with every round");
    letters.refuses.store(false, Ordering::Relaxed);
    service.clock.advance(chrono::TimeDelta::minutes(5));
    publisher.round().await.unwrap();
    grow(&service, 2).await;
    publisher.round().await.unwrap();
    assert_eq!(sizes(), [2], "the next one is not due");
    service.clock.advance(chrono::TimeDelta::hours(1));
    publisher.round().await.unwrap();
    service.clock.advance(chrono::TimeDelta::hours(1));
    publisher.round().await.unwrap();
    assert_eq!(sizes(), [2, 4], "a head is mailed once");
    service.clock.advance(chrono::TimeDelta::days(-1));
    append(&service, 2).await;
    service.sealer.turn().await.unwrap();
    publisher.round().await.unwrap();
    assert_eq!(sizes(), [2, 4, 6], "a clock that was set back holds no head back");
    append(&service, 1).await;
    service.sealer.turn().await.unwrap();
    publisher.round().await.unwrap();
    assert_eq!(sizes(), [2, 4, 6], "nor does it send each");

    let mail = letters.sent.lock().unwrap().pop().unwrap();
    let memory = MemoryTransport::new();
    let (subject, text) = ("Head".to_owned(), mail.note.clone());
    let settings = mail_settings();
    let way = Transport::Memory(memory.clone());
    delivery::send_plain(&way, &settings, &mail.to, subject, text, mail.at).await.unwrap();
    let arrived = memory.sent_to("auditor@studio.example");
    assert!(arrived[0].text.expose().contains(&mail.note));
}

/// Keeps the state of the log, as a dump does.
pub(crate) async fn dump(service: &TestService) {
    sqlx::raw_sql(
        "CREATE TABLE public.old_head AS TABLE audit.head; CREATE TABLE public.old_edge AS TABLE audit.edge;",
    )
    .execute(&mut owner(service).await)
    .await
    .unwrap();
}

/// Puts the log back to where it was dumped, as restoring that dump does.
pub(crate) async fn restore(service: &TestService) {
    sqlx::raw_sql(
        "BEGIN;
         ALTER TABLE audit.entry DISABLE TRIGGER ALL; ALTER TABLE audit.tile DISABLE TRIGGER ALL;
         ALTER TABLE audit.head DISABLE TRIGGER ALL; ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL;
         ALTER TABLE audit.cosignature DISABLE TRIGGER ALL;
         DELETE FROM audit.cosignature WHERE size > (SELECT size FROM public.old_head);
         DELETE FROM audit.checkpoint WHERE size > (SELECT size FROM public.old_head);
         DELETE FROM audit.entry WHERE seq > (SELECT size FROM public.old_head);
         DELETE FROM audit.tile WHERE (n + 1) * 256 > (SELECT size FROM public.old_head);
         DELETE FROM audit.edge; INSERT INTO audit.edge SELECT * FROM public.old_edge;
         DELETE FROM audit.head; INSERT INTO audit.head SELECT * FROM public.old_head;
         ALTER TABLE audit.entry ENABLE TRIGGER ALL; ALTER TABLE audit.tile ENABLE TRIGGER ALL;
         ALTER TABLE audit.head ENABLE TRIGGER ALL;
         COMMIT;",
    )
    .execute(&mut owner(service).await)
    .await
    .unwrap();
}

#[tokio::test]
async fn f_26_an_older_database_is_found_out_by_each_place_outside_and_goes_on_as_a_named_fork() {
    let service = TestService::start().await;
    let folders = tempfile::tempdir().unwrap();
    let (directory, nowhere) = (folders.path().join("log"), folders.path().join("empty"));
    let keys = service.sealer.verifier_keys().await;
    let (seed, log) = (LogKeys::generate(), keys[0].parse::<VerifierKey>().unwrap());
    let served = Served::start(open(&folders.path().join("w"), &seed, vec![log.clone()]).unwrap()).await;
    let by_directory = || publisher(&service, &directory, false, Vec::new());
    let by_witness = || publisher(&service, &nowhere, false, vec![served.settings()]);

    grow(&service, 300).await;
    by_directory().round().await.unwrap();
    by_witness().round().await.unwrap();
    dump(&service).await;
    grow(&service, 50).await;
    by_directory().round().await.unwrap();
    by_witness().round().await.unwrap();
    restore(&service).await;
    std::fs::remove_dir_all(&nowhere).unwrap();

    // A sealer that knows the newer state does not go back with the database.
    append(&service, 2).await;
    assert!(matches!(service.sealer.seal_everything().await, Err(SealError::SetBack { from: 350, to: 300 })));
    for (found, has_root) in [(by_directory().round().await, true), (by_witness().round().await, false)] {
        match found {
            Err(PublishError::Diverged(Divergence::Ahead { outside: 350, inside: 300, root, .. })) => {
                assert_eq!(root.is_some(), has_root);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(!nowhere.exists(), "nothing is published of a log that was found out");
    let status = by_directory().status().await.unwrap();
    assert!(status[0].problem.as_ref().is_some_and(|problem| problem.contains("recover --after-restore")));

    // A daemon without this check would have grown over the lost size: the places find that out, too.
    let keys_of = || LogKeys::from_text(&service.log_keys).unwrap();
    let careless = sealer(&service.database, keys_of(), service.clock.clone()).await.unwrap();
    append(&service, 60).await;
    careless.seal_everything().await.unwrap();
    careless.keep_checkpoint().await.unwrap();
    for found in [by_directory().round().await, by_witness().round().await] {
        assert!(
            matches!(found, Err(PublishError::Diverged(Divergence::Fork { size: 350, .. }))),
            "{found:?}"
        );
    }
    restore(&service).await;

    let fresh = sealer(&service.database, keys_of(), service.clock.clone()).await.unwrap();
    append(&service, 2).await;
    let root = match by_directory().look().await {
        Err(PublishError::Diverged(Divergence::Ahead { root, .. })) => root,
        other => panic!("{other:?}"),
    };
    let reason = RestoreReason::HardwareFailure;
    let name = fresh.fork(Restored { origin: None, size: Some(350), root, reason }).await.unwrap();
    assert_eq!(name, format!("{}/restored-20261123120000", log.name()));
    by_directory().round().await.unwrap();
    // The witness does not know the new name until its operator was given the key: that stops nothing.
    by_witness().round().await.unwrap();
    let rows = sqlx::query("SELECT seq, action, detail FROM audit_view.log WHERE seq > 300 ORDER BY seq")
        .fetch_all(&mut owner(&service).await)
        .await
        .unwrap();
    let actions: Vec<String> = rows.iter().map(|row| row.get("action")).collect();
    assert_eq!(actions, ["log.restored", "request.read", "request.read"]);
    let detail: serde_json::Value = rows[0].get("detail");
    assert_eq!(
        detail,
        serde_json::json!({
            "former_origin": log.name().as_str(), "former_size": 350, "former_root": hex::encode(root.unwrap().0),
            "kept": 300, "lost_from": 301, "lost_to": 350, "reason": "hardware_failure",
        })
    );
    // Both histories stand side by side, each signed under its own name.
    let new_keys: Vec<VerifierKey> =
        fresh.verifier_keys().await.iter().map(|key| key.parse().unwrap()).collect();
    assert_ne!(new_keys[0], log);
    for (folder, key, size) in
        [(directory.clone(), &log, 350), (directory.join("restored-20261123120000"), &new_keys[0], 303)]
    {
        let note = SignedNote::from_bytes(&std::fs::read(folder.join("checkpoint")).unwrap()).unwrap();
        assert_eq!(Checkpoint::open(&note, [key]).unwrap().checkpoint.size, size);
    }
    // It goes on, and the same dump is found out once more.
    append(&service, 5).await;
    assert_eq!(fresh.seal_everything().await.unwrap(), 5);
    let twice = sealer(&service.database, keys_of(), service.clock.clone()).await;
    assert!(twice.is_ok(), "a new daemon takes the fork as the log that it is");
    restore(&service).await;
    let found = by_directory().round().await;
    assert!(
        matches!(found, Err(PublishError::Diverged(Divergence::LaterName { size: 303, .. }))),
        "{found:?}"
    );
    served.end().await;
}

#[tokio::test]
async fn f_26_of_several_places_that_are_ahead_the_one_that_knows_most_says_what_was_lost() {
    let service = TestService::start().await;
    let folders = tempfile::tempdir().unwrap();
    let (directory, newer) = (folders.path().join("log"), folders.path().join("newer"));
    let log = service.sealer.verifier_keys().await[0].parse::<VerifierKey>().unwrap();
    let witness = async |name: &str| {
        let witness = open(&folders.path().join(name), &LogKeys::generate(), vec![log.clone()]).unwrap();
        Served::start(witness).await
    };
    let (late, served) = (witness("late").await, witness("witness").await);
    let (stub, address, _task) = Stub::start().await;
    let bucket = PublishSettings {
        bucket_url: format!("http://{address}{PREFIX}"),
        bucket_region: "eu-south-1".to_owned(),
        bucket_key_file: "unused".into(),
        ..no_bucket()
    };
    let of = |directory: &Path, witnesses: Vec<WitnessSettings>| PublishSettings {
        directory: directory.to_owned(),
        witnesses,
        ..no_bucket()
    };
    let publisher = |settings: PublishSettings| {
        let store = Store::connect_as_sealer(service.database.options(), &database_settings());
        Publisher::new(store, settings, None, service.clock.clone()).unwrap().with_bucket(KEY).unwrap()
    };
    grow(&service, 300).await;
    dump(&service).await;
    grow(&service, 40).await;
    publisher(of(&directory, Vec::new())).round().await.unwrap();
    grow(&service, 10).await;
    publisher(PublishSettings { bucket_key_file: "unused".into(), ..of(&newer, vec![served.settings()]) })
        .round()
        .await
        .unwrap();
    publisher(PublishSettings { directory: newer.clone(), ..bucket.clone() }).round().await.unwrap();
    assert_eq!(stub.sizes(&format!("{PREFIX}checkpoint")), 350);
    restore(&service).await;

    // The directory was set back with the host, to 340.
    let both = vec![late.settings(), served.settings()];
    for (settings, has_root) in [
        (PublishSettings { witnesses: both.clone(), directory: directory.clone(), ..bucket }, true),
        (of(&directory, both), false),
    ] {
        match publisher(settings).look().await {
            Err(PublishError::Diverged(Divergence::Ahead { outside: 350, inside: 300, root, .. })) => {
                assert_eq!(root.is_some(), has_root);
            }
            other => panic!("{other:?}"),
        }
    }
    let remembered = |name: &str| {
        let files = std::fs::read_dir(folders.path().join(name)).unwrap();
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some()).count()
    };
    assert_eq!(
        (remembered("witness"), remembered("late")),
        (1, 0),
        "no witness signs a log that was found out"
    );
    late.end().await;
    served.end().await;
}

#[tokio::test]
async fn s_40_a_tail_that_was_cut_off_and_another_log_are_found_out_against_the_outside_head() {
    let service = TestService::start().await;
    let other = TestService::start().await;
    let folder = tempfile::tempdir().unwrap();
    grow(&service, 5).await;
    dump(&service).await;
    grow(&service, 1).await;
    publisher(&service, folder.path(), false, Vec::new()).round().await.unwrap();
    // Databases of tests are copies of one, so this log has the same name and other entries.
    grow(&other, 9).await;
    let rewritten = publisher(&other, folder.path(), false, Vec::new()).round().await;
    assert!(
        matches!(rewritten, Err(PublishError::Diverged(Divergence::Fork { size: 6, .. }))),
        "{rewritten:?}"
    );
    restore(&service).await;
    let cut = publisher(&service, folder.path(), false, Vec::new()).round().await;
    assert!(
        matches!(cut, Err(PublishError::Diverged(Divergence::Ahead { outside: 6, inside: 5, .. }))),
        "{cut:?}"
    );
    let stranger = Log::new(1, &LogKeys::generate()).note(3).to_string();
    std::fs::write(folder.path().join("checkpoint"), stranger).unwrap();
    let foreign = publisher(&service, folder.path(), false, Vec::new()).round().await;
    assert!(matches!(foreign, Err(PublishError::Diverged(Divergence::Foreign { .. }))), "{foreign:?}");
}
