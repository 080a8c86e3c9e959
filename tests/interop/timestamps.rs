//! Time-stamps (RFC 3161) that `openssl ts` made, kept beside heads and checked offline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::audit::timestamp::{self, Authorities, TimestampError};
use dsrd::audit::tlog::{CosigningKey, SignedNote};
use dsrd::audit::verify::{
    self, Directory, Level, Plan, Policy, Report, Severity, StampCheck, Step, Tiles, Verdict, Web,
};
use dsrd::audit::{PublishError, PublishSettings, Publisher};
use dsrd::domain::{Clock as _, SystemClock};
use dsrd::store::Store;
use sha2::{Digest as _, Sha256};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};
use zeroize::Zeroizing;

use crate::exports;
use crate::forgetting::sealer_settings;
use crate::log::{Log, execute, fill, plan, verified};
use crate::support::bucket::{KEY, PREFIX, Stub};

/// A time-stamping authority made of `openssl`: a root, a certificate below it, and what else is asked for.
struct Authority {
    directory: PathBuf,
    signer: &'static str,
    /// Whether it stamps something else than what it is asked for.
    confused: AtomicBool,
}

impl Authority {
    fn openssl(directory: &Path, arguments: &str) {
        let done = Command::new("openssl")
            .current_dir(directory)
            .args(arguments.split_whitespace())
            .output()
            .expect("openssl");
        assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Makes a root `ca` and, below it, a certificate for time-stamping (`tsa`, elliptic; `rsa`) and one for servers (`web`).
    fn make(directory: &Path) {
        let run = |arguments: &str| Self::openssl(directory, arguments);
        fs::write(directory.join("ts.ext"), "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n").unwrap();
        fs::write(directory.join("web.ext"), "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n").unwrap();
        fs::write(
            directory.join("ts.cnf"),
            "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\n\
             digests = sha256\naccuracy = secs:1\nordering = no\ntsa_name = yes\ness_cert_id_chain = no\ness_cert_id_alg = sha256\n",
        )
        .unwrap();
        fs::write(directory.join("serial"), "01\n").unwrap();
        run(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=Root -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        );
        for (name, key, extensions) in [
            ("tsa", "ec -pkeyopt ec_paramgen_curve:P-256", "ts.ext"),
            ("rsa", "rsa:2048", "ts.ext"),
            ("web", "ec -pkeyopt ec_paramgen_curve:P-256", "web.ext"),
        ] {
            run(&format!("req -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            run(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile {extensions} -out {name}.pem"
            ));
        }
    }

    /// What `openssl ts` answers to a query.
    fn reply(&self, query: &[u8]) -> Vec<u8> {
        fs::write(self.directory.join("query"), query).unwrap();
        if self.confused.load(Ordering::Relaxed) {
            fs::write(self.directory.join("other"), "something else").unwrap();
            Self::openssl(&self.directory, "ts -query -data other -sha256 -cert -out query");
        }
        let signer = self.signer;
        Self::openssl(
            &self.directory,
            &format!(
                "ts -reply -config ts.cnf -queryfile query -inkey {signer}.key -signer {signer}.pem -out reply"
            ),
        );
        fs::read(self.directory.join("reply")).unwrap()
    }

    fn trusted(&self, name: &str) -> Authorities {
        Authorities::from_pem(&fs::read(self.directory.join(name)).unwrap()).unwrap()
    }
}

impl Respond for Authority {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        ResponseTemplate::new(200).set_body_raw(self.reply(&request.body), "application/timestamp-reply")
    }
}

struct Shared(Arc<Authority>);

impl Respond for Shared {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.0.respond(request)
    }
}

fn authority(directory: &Path, signer: &'static str) -> Authority {
    Authority { directory: directory.to_owned(), signer, confused: AtomicBool::new(false) }
}

#[test]
fn a_token_of_openssl_is_read_and_one_of_something_or_somebody_else_is_refused() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Authority::make(folder.path());
    Authority::make(elsewhere.path());
    let hash: [u8; 32] = Sha256::digest("head").into();
    let other: [u8; 32] = Sha256::digest("another head").into();
    for signer in ["tsa", "rsa"] {
        let tsa = authority(folder.path(), signer);
        for nonce in [0, 1, 0x7f, 0x80, u64::MAX] {
            let reply = tsa.reply(&timestamp::request(&hash, nonce));
            let token = timestamp::token_of(&reply, &hash, nonce).unwrap();
            let at = timestamp::check(&token, &hash, &tsa.trusted("ca.pem")).unwrap();
            assert!((SystemClock.now() - at).abs() < TimeDelta::minutes(1), "{at}");
            // Whoever trusts the authority's own certificate need not know its root.
            let own = tsa.trusted(&format!("{signer}.pem"));
            assert_eq!(timestamp::check(&token, &hash, &own), Ok(at));
            let of_another = tsa.trusted(if signer == "tsa" { "rsa.pem" } else { "tsa.pem" });
            assert_eq!(timestamp::check(&token, &hash, &of_another), Err(TimestampError::Untrusted));
            let error = timestamp::token_of(&reply, &hash, nonce ^ 1).unwrap_err();
            assert_eq!(error, TimestampError::OtherRequest);
            assert_eq!(timestamp::token_of(&reply, &other, nonce).unwrap_err(), TimestampError::OtherHash);
            assert_eq!(
                timestamp::check(&token, &other, &tsa.trusted("ca.pem")),
                Err(TimestampError::OtherHash)
            );
        }
        let token = timestamp::token_of(&tsa.reply(&timestamp::request(&hash, 7)), &hash, 7).unwrap();
        let stranger = authority(elsewhere.path(), signer);
        let untrusted = timestamp::check(&token, &hash, &stranger.trusted("ca.pem"));
        assert_eq!(untrusted, Err(TimestampError::Untrusted));
        // No byte can be another one without its being noticed, or the instant would be another one.
        let mut unnoticed = 0;
        for place in 0..token.len() {
            let mut altered = token.clone();
            altered[place] ^= 1;
            if let Ok(at) = timestamp::check(&altered, &hash, &tsa.trusted("ca.pem")) {
                unnoticed += 1;
                assert_eq!(at, timestamp::check(&token, &hash, &tsa.trusted("ca.pem")).unwrap());
            }
        }
        // What is not signed may be another: versions, the list of digests, names of algorithms.
        assert!(unnoticed < 40, "{unnoticed} of {}", token.len());
    }
    let refused = authority(folder.path(), "tsa").reply(b"no query");
    assert_eq!(timestamp::token_of(&refused, &hash, 1).unwrap_err(), TimestampError::Refused(2));
    assert_eq!(Authorities::from_pem(b"").unwrap_err(), TimestampError::NoCertificate);
}

#[test]
fn a_certificate_for_another_purpose_stamps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    Authority::make(folder.path());
    let hash: [u8; 32] = Sha256::digest("head").into();
    // `openssl ts` itself refuses to sign with such a certificate: the token of the right one is signed anew with CMS.
    let tsa = authority(folder.path(), "tsa");
    let asked_at = SystemClock.now();
    let token = timestamp::token_of(&tsa.reply(&timestamp::request(&hash, 7)), &hash, 7).unwrap();
    fs::write(folder.path().join("token"), &token).unwrap();
    let run = |arguments: &str| Authority::openssl(folder.path(), arguments);
    run("ts -reply -in reply -token_out -out token");
    run("cms -verify -noverify -inform DER -in token -out content -binary");
    run(
        "cms -sign -binary -nodetach -econtent_type 1.2.840.113549.1.9.16.1.4 -in content -signer web.pem -inkey web.key -outform DER -out forged -md sha256",
    );
    let forged = fs::read(folder.path().join("forged")).unwrap();
    for chosen in ["ca.pem", "web.pem"] {
        let refused = timestamp::check(&forged, &hash, &tsa.trusted(chosen));
        assert_eq!(refused, Err(TimestampError::Untrusted), "{chosen}");
    }
    run(
        "cms -sign -binary -nodetach -econtent_type 1.2.840.113549.1.9.16.1.4 -in content -signer tsa.pem -inkey tsa.key -outform DER -out right -md sha256",
    );
    let right = fs::read(folder.path().join("right")).unwrap();
    // An instant at which the certificate was not valid yet.
    let mut content = fs::read(folder.path().join("content")).unwrap();
    let asked = asked_at.format("%Y%m").to_string();
    let stamped = SystemClock.now().format("%Y%m").to_string();
    let is_month = |part: &[u8]| part == asked.as_bytes() || part == stamped.as_bytes();
    let place = content.windows(stamped.len()).position(is_month).unwrap();
    content[place..place + 4].copy_from_slice(b"1999");
    fs::write(folder.path().join("content"), content).unwrap();
    run(
        "cms -sign -binary -nodetach -econtent_type 1.2.840.113549.1.9.16.1.4 -in content -signer tsa.pem -inkey tsa.key -outform DER -out early -md sha256",
    );
    let early = fs::read(folder.path().join("early")).unwrap();
    for chosen in ["ca.pem", "tsa.pem"] {
        let trusted = tsa.trusted(chosen);
        assert!(timestamp::check(&right, &hash, &trusted).is_ok(), "the same with the right certificate");
        assert_eq!(timestamp::check(&early, &hash, &trusted), Err(TimestampError::Untrusted), "{chosen}");
    }
}

fn settings(log: &Log, url: String) -> PublishSettings {
    PublishSettings {
        every_secs: 10,
        directory: log.service.directory.path().join("published"),
        entries: false,
        witnesses: Vec::new(),
        mail_to: String::new(),
        mail_every_secs: 86_400,
        bucket_url: String::new(),
        bucket_region: String::new(),
        bucket_key_file: PathBuf::new(),
        bucket_every_secs: 600,
        bucket_retain_days: 0,
        timestamp_url: url,
        timestamp_every_secs: 3_600,
        timestamp_certificate_file: PathBuf::new(),
    }
}

fn publisher(log: &Log, url: String, pem: &[u8]) -> Result<Publisher, PublishError> {
    let store = Store::connect_as_sealer(log.options(), &sealer_settings());
    Publisher::new(store, settings(log, url), None, log.service.clock.clone()).unwrap().with_authority(pem)
}

async fn stamped(log: &Log) -> i64 {
    let mut connection = log.service.store.connection().await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM audit.anchor WHERE kind = 'rfc3161' AND token IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .unwrap()
}

/// The kept heads that were stamped, smallest first.
async fn kept(log: &Log) -> Vec<(i64, String)> {
    let mut connection = log.service.store.connection().await.unwrap();
    sqlx::query_as(
        "SELECT size, note FROM audit.checkpoint JOIN audit.anchor USING (size) WHERE kind = 'rfc3161' ORDER BY size",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap()
}

fn about_stamps(report: &Report) -> Vec<(Severity, &str)> {
    let stamps = report.findings.iter().filter(|finding| finding.step == Step::Stamps);
    stamps.map(|finding| (finding.severity, finding.what.as_str())).collect()
}

/// Sets the service's clock to that of the authority, which is the machine's. Answers with it.
fn as_late_as_the_authority(log: &Log) -> DateTime<Utc> {
    let now = SystemClock.now();
    log.service.clock.advance(now - log.service.clock.now());
    now
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_stamped_when_due_and_the_stamps_are_verified_beside_them() {
    let log = Log::of_a_real_run().await;
    let folder = tempfile::tempdir().unwrap();
    Authority::make(folder.path());
    let pem = fs::read(folder.path().join("ca.pem")).unwrap();
    let tsa = Arc::new(authority(folder.path(), "tsa"));
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/tsa"))
        .and(header("content-type", "application/timestamp-query"))
        .respond_with(Shared(Arc::clone(&tsa)))
        .mount(&server)
        .await;
    for unsafe_url in ["http://tsa.example/", "https://user:word@tsa.example/", "tsa.example"] {
        assert!(publisher(&log, unsafe_url.to_owned(), &pem).is_err(), "{unsafe_url}");
    }
    let began = as_late_as_the_authority(&log);
    let publisher = publisher(&log, format!("{}/tsa", server.uri()), &pem).unwrap();
    // What the authority stamps must be what it was asked for.
    tsa.confused.store(true, Ordering::Relaxed);
    publisher.round().await.unwrap();
    assert_eq!(stamped(&log).await, 0);
    tsa.confused.store(false, Ordering::Relaxed);
    publisher.round().await.unwrap();
    assert_eq!(stamped(&log).await, 0, "a service that is paid for is not asked with every round");
    log.service.clock.advance(TimeDelta::minutes(5));
    publisher.round().await.unwrap();
    assert_eq!(stamped(&log).await, 1);
    let status = publisher.status().await.unwrap();
    assert!(status.iter().any(|each| each.kind == "timestamp" && each.behind == 0), "{status:?}");
    publisher.round().await.unwrap();
    // Nothing is younger than the authority's time.
    log.service.clock.advance(-TimeDelta::minutes(5));
    fill(&log.service, 310).await;
    log.service.clock.advance(TimeDelta::minutes(30));
    log.service.sealer.keep_checkpoint().await.unwrap();
    publisher.round().await.unwrap();
    assert_eq!(stamped(&log).await, 1, "the next one is not due yet");
    log.service.clock.advance(TimeDelta::minutes(36));
    publisher.round().await.unwrap();
    assert_eq!(stamped(&log).await, 2);
    publisher.close().await;

    let silent = verified(&log.options(), &log.plan()).await;
    assert_eq!(silent.verdict, Verdict::Ok, "{:#?}", silent.findings);
    assert!(about_stamps(&silent)[0].1.starts_with("2 heads have a time-stamp that was not checked"));
    let check = |name: &str| StampCheck::by(tsa.trusted(name));
    let believing = |stamps| {
        let mut ours = plan(&log.key, &[("ours", log.head.as_str())]);
        ours.policy = Policy::of_logs(vec![log.key.clone()]).with_stamps(stamps);
        ours
    };
    let whole = verified(&log.options(), &believing(check("ca.pem"))).await;
    assert_eq!((whole.verdict, whole.counts.stamped_heads), (Verdict::Ok, 2), "{:#?}", whole.findings);
    assert_eq!(whole.level, Level::L2, "time alone is no witness");
    assert!(about_stamps(&whole).is_empty(), "{:#?}", whole.findings);

    // A witness that signs every third day bounds nothing by itself; with the authority's time it does.
    let witness = CosigningKey::from_seed("witness.example/w".parse().unwrap(), &Zeroizing::new([9; 32]));
    for (days, (size, note)) in [0, 3].into_iter().zip(kept(&log).await) {
        let checkpoint = note.parse::<SignedNote>().unwrap().text().parse().unwrap();
        let at = began + TimeDelta::days(days);
        let line = witness.sign(&checkpoint, at.timestamp().try_into().unwrap()).unwrap();
        let (name, id) = (witness.verifier().name(), witness.verifier().id());
        let statement =
            format!("INSERT INTO audit.cosignature VALUES ({size}, '{name}', '\\x{id}', '{line}')");
        execute(&log.options(), &statement).await.unwrap();
    }
    let policy = format!("log {}\nwitness w {}\nquorum w\n", log.key, witness.verifier());
    let witnessed = |stamps: Option<StampCheck>| {
        let mut ours = plan(&log.key, &[]);
        let policy: Policy = policy.parse().unwrap();
        ours.policy = match stamps {
            Some(stamps) => policy.with_stamps(stamps),
            None => policy,
        };
        ours
    };
    let seldom = verified(&log.options(), &witnessed(None)).await;
    assert_eq!((seldom.verdict, seldom.level), (Verdict::Ok, Level::L3), "{:#?}", seldom.findings);
    let timed = verified(&log.options(), &witnessed(Some(check("ca.pem")))).await;
    assert_eq!((timed.verdict, timed.level), (Verdict::Ok, Level::L4), "{:#?}", timed.findings);
    assert!(timed.still_possible.contains("those of the first 300 entries as far back"), "{timed:#?}");

    // An entry that says that it is older than what was stamped before it is bounded by nothing.
    log.service.clock.advance(-TimeDelta::days(40));
    fill(&log.service, 311).await;
    let earlier = verified(&log.options(), &witnessed(Some(check("ca.pem")))).await;
    assert_eq!((earlier.verdict, earlier.level), (Verdict::Ok, Level::L3), "{:#?}", earlier.findings);
    assert!(about_stamps(&earlier).iter().any(|(_, what)| what.contains("older than the head")));

    // Stamps of another authority, of another head, and altered ones.
    let elsewhere = tempfile::tempdir().unwrap();
    Authority::make(elsewhere.path());
    let stranger = StampCheck::by(authority(elsewhere.path(), "tsa").trusted("ca.pem"));
    let untrusted = verified(&log.options(), &believing(stranger)).await;
    assert_eq!(untrusted.verdict, Verdict::Violation);
    assert!(about_stamps(&untrusted)[0].1.contains("trusted for time-stamping"), "{:#?}", untrusted.findings);
    log.rest().await;
    altered_stamps_are_told(&log, &believing(check("ca.pem"))).await;
    log.service.simulator.shutdown().await;
}

async fn altered_stamps_are_told(log: &Log, plan: &Plan) {
    let free = "ALTER TABLE audit.anchor DISABLE TRIGGER USER";
    let guard = "ALTER TABLE audit.anchor ENABLE ALWAYS TRIGGER anchor_rows_stay;
                 ALTER TABLE audit.anchor ENABLE ALWAYS TRIGGER anchor_stays";
    for (change, says) in [
        (
            "UPDATE audit.anchor SET token = (SELECT token FROM audit.anchor WHERE kind = 'rfc3161' ORDER BY size LIMIT 1)
             WHERE kind = 'rfc3161'",
            "not one of this head",
        ),
        (
            "UPDATE audit.anchor SET token = set_byte(token, octet_length(token) - 5, get_byte(token, octet_length(token) - 5) # 1)
             WHERE kind = 'rfc3161'",
            "signature",
        ),
        ("UPDATE audit.anchor SET token = '\\x3000' WHERE kind = 'rfc3161'", "malformed"),
    ] {
        let copy = log.copy().await;
        execute(&copy.options, &format!("{free}; {change}; {guard}")).await.unwrap();
        let report = verified(&copy.options, plan).await;
        assert_eq!(report.verdict, Verdict::Violation, "{says}");
        let told = about_stamps(&report);
        assert!(told.iter().any(|(_, what)| what.contains(says)), "{says}: {told:?}");
        copy.drop().await;
    }
}

/// A log with two stamped heads, the authority that stamped them, and the directory that they were published to.
async fn with_two_stamps(entries: bool) -> (Log, tempfile::TempDir, Arc<Authority>) {
    let log = Log::of_a_real_run().await;
    let folder = tempfile::tempdir().unwrap();
    Authority::make(folder.path());
    let pem = fs::read(folder.path().join("ca.pem")).unwrap();
    let tsa = Arc::new(authority(folder.path(), "tsa"));
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(Shared(Arc::clone(&tsa))).mount(&server).await;
    let settings = PublishSettings { entries, ..settings(&log, server.uri()) };
    as_late_as_the_authority(&log);
    let store = Store::connect_as_sealer(log.options(), &sealer_settings());
    let publisher = Publisher::new(store, settings, None, log.service.clock.clone()).unwrap();
    let publisher = publisher.with_authority(&pem).unwrap();
    publisher.round().await.unwrap();
    fill(&log.service, 310).await;
    log.service.clock.advance(TimeDelta::minutes(61));
    log.service.sealer.keep_checkpoint().await.unwrap();
    publisher.round().await.unwrap();
    publisher.close().await;
    assert_eq!(stamped(&log).await, 2);
    (log, folder, tsa)
}

async fn from_files(directory: &Path, plan: &Plan) -> Report {
    verify::verify(&mut Tiles::of(Directory(directory.to_owned())), plan).await.unwrap()
}

fn believing(log: &Log, authorities: Authorities) -> Plan {
    let policy = Policy::of_logs(vec![log.key.clone()]).with_stamps(StampCheck::by(authorities));
    Plan { policy, ..plan(&log.key, &[]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stamps_travel_with_the_files_and_are_checked_there_offline() {
    let (log, _folder, tsa) = with_two_stamps(true).await;
    let directory = log.service.directory.path().join("tiles");
    exports::tiles(&log, &directory).await;
    let published = log.service.directory.path().join("published");
    let whole = believing(&log, tsa.trusted("ca.pem"));
    for place in [&directory, &published] {
        let report = from_files(place, &whole).await;
        assert_eq!((report.verdict, report.counts.stamped_heads), (Verdict::Ok, 2), "{:#?}", report.findings);
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        let silent = from_files(place, &log.plan()).await;
        assert!(about_stamps(&silent)[0].1.starts_with("2 heads have a time-stamp that was not checked"));
    }
    let address = exports::serve(&directory).await;
    let mut web = Tiles::of(Web::new(&format!("http://{address}/log")).unwrap());
    let report = verify::verify(&mut web, &whole).await.unwrap();
    assert_eq!((report.verdict, report.counts.stamped_heads), (Verdict::Ok, 2), "{:#?}", report.findings);
    let elsewhere = tempfile::tempdir().unwrap();
    Authority::make(elsewhere.path());
    let stranger = believing(&log, authority(elsewhere.path(), "tsa").trusted("ca.pem"));
    let untrusted = from_files(&directory, &stranger).await;
    assert_eq!(untrusted.verdict, Verdict::Violation);
    assert!(about_stamps(&untrusted)[0].1.contains("trusted for time-stamping"), "{:#?}", untrusted.findings);

    let sizes: Vec<i64> = kept(&log).await.into_iter().map(|(size, _)| size).collect();
    altered_files_are_told(&directory, &whole, &sizes).await;
    log.service.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_gets_the_stamps_of_a_day_together_and_they_are_checked_there() {
    const INDEX: &str = "/audit-log/venue/timestamps/index";
    let log = Log::of_a_real_run().await;
    let folder = tempfile::tempdir().unwrap();
    Authority::make(folder.path());
    let pem = fs::read(folder.path().join("ca.pem")).unwrap();
    let tsa = Arc::new(authority(folder.path(), "tsa"));
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(Shared(Arc::clone(&tsa))).mount(&server).await;
    let (stub, address, _task) = Stub::start().await;
    let settings = PublishSettings {
        entries: true,
        bucket_url: format!("http://{address}{PREFIX}"),
        bucket_region: "eu-south-1".to_owned(),
        bucket_key_file: "unused".into(),
        ..settings(&log, server.uri())
    };
    let publisher = || {
        let store = Store::connect_as_sealer(log.options(), &sealer_settings());
        let publisher = Publisher::new(store, settings.clone(), None, log.service.clock.clone()).unwrap();
        publisher.with_bucket(KEY).unwrap().with_authority(&pem).unwrap()
    };
    let first = publisher();
    first.round().await.unwrap();
    let later = async |minutes, entries, publisher: &Publisher| {
        log.service.clock.advance(TimeDelta::minutes(minutes));
        fill(&log.service, entries).await;
        log.service.sealer.keep_checkpoint().await.unwrap();
        publisher.round().await.unwrap();
    };
    later(61, 310, &first).await;
    assert_eq!((stamped(&log).await, stub.written(INDEX)), (2, 0), "a day is not over");
    later(23 * 60, 320, &first).await;
    assert_eq!((stamped(&log).await, stub.written(INDEX)), (3, 1));
    let last = stub.seen.lock().unwrap().iter().rfind(|seen| seen.method == "PUT").cloned().unwrap();
    assert_eq!(last.path, INDEX, "what it names is there before");

    let own = tempfile::tempdir().unwrap();
    stub.copy_to(own.path());
    let whole = believing(&log, tsa.trusted("ca.pem"));
    let report = from_files(own.path(), &whole).await;
    assert_eq!((report.verdict, report.counts.stamped_heads), (Verdict::Ok, 3), "{:#?}", report.findings);
    let address = exports::serve(own.path()).await;
    let mut web = Tiles::of(Web::new(&format!("http://{address}/log")).unwrap());
    let report = verify::verify(&mut web, &whole).await.unwrap();
    assert_eq!((report.verdict, report.counts.stamped_heads), (Verdict::Ok, 3), "{:#?}", report.findings);

    // Another daemon, or this one after a start, goes on where the index ends.
    first.close().await;
    let second = publisher();
    later(61, 330, &second).await;
    later(61, 340, &second).await;
    assert_eq!((stamped(&log).await, stub.written(INDEX)), (5, 1));
    // An index that somebody broke is told as a place that is away: nothing else stops, nothing is written over it.
    let good = stub.objects.lock().unwrap().insert(INDEX.to_owned(), b"12 x".to_vec()).unwrap();
    later(24 * 60, 350, &second).await;
    assert_eq!((stamped(&log).await, stub.written(INDEX)), (6, 1));
    stub.objects.lock().unwrap().insert(INDEX.to_owned(), good);
    second.round().await.unwrap();
    assert_eq!(stub.written(INDEX), 2);
    stub.copy_to(own.path());
    let report = from_files(own.path(), &whole).await;
    assert_eq!((report.verdict, report.counts.stamped_heads), (Verdict::Ok, 6), "{:#?}", report.findings);
    second.close().await;
    log.service.finish().await;
}

/// Each change of a copy of the files, with what is said of it.
async fn altered_files_are_told(directory: &Path, plan: &Plan, sizes: &[i64]) {
    let at = |name: &str| format!("timestamps/{name}");
    let (note, later) = (at(&format!("{}.note", sizes[0])), at(&format!("{}.note", sizes[1])));
    let (token, other) = (at(&format!("{}-1.der", sizes[0])), at(&format!("{}-1.der", sizes[1])));
    let read = |name: &str| fs::read(directory.join(name)).unwrap();
    let flipped = |name: &str, from_end: usize| {
        let mut content = read(name);
        let place = content.len() - from_end;
        content[place] ^= 1;
        Some(content)
    };
    let index = at("index");
    let cases = [
        (token.as_str(), Some(read(&other)), Verdict::Violation, "not one of this head"),
        (&token, flipped(&token, 5), Verdict::Violation, "signature"),
        (&token, Some(b"0".to_vec()), Verdict::Violation, "malformed"),
        (&token, None, Verdict::Undecided, "it is not there"),
        (&note, None, Verdict::Undecided, "it is not there"),
        (&note, Some(read(&later)), Verdict::Violation, "its note is of another size"),
        (&note, flipped(&note, 5), Verdict::Violation, "signature"),
        (&note, Some(vec![0xff]), Verdict::Violation, "it is no text"),
        (&index, Some(b"12 x\n".to_vec()), Verdict::Violation, "a number of tokens is none"),
        // The checkpoint is set back to the first stamped head.
        ("checkpoint", Some(read(&note)), Verdict::Violation, "the log was cut or set back"),
    ];
    for (name, content, verdict, says) in cases {
        let before = read(name);
        let file = directory.join(name);
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let report = from_files(directory, plan).await;
        assert_eq!(report.verdict, verdict, "{name}, {says}: {:#?}", report.findings);
        let said = report.findings.iter().any(|finding| finding.what.contains(says));
        assert!(said, "{name}, {says}: {:#?}", report.findings);
        fs::write(&file, before).unwrap();
    }
    // Nobody signs the index: without it there is less proof, and nothing wrong.
    fs::remove_file(directory.join(index)).unwrap();
    let without = from_files(directory, plan).await;
    assert_eq!((without.verdict, without.counts.stamped_heads), (Verdict::Ok, 0), "{:#?}", without.findings);
}

/// Runs lines of the guide in a directory, with an auditor's rights on the database.
fn shell(directory: &Path, lines: &str) -> std::process::Output {
    let mut command = Command::new("sh");
    command.current_dir(directory).env("PGOPTIONS", "-c role=auditor").args(["-e", "-c", lines]);
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_lines_for_openssl_check_the_stamps_of_a_real_run() {
    let (log, folder, _tsa) = with_two_stamps(false).await;
    let place = tempfile::tempdir().unwrap();
    exports::tiles(&log, &place.path().join("export")).await;
    let options = log.options();
    let address = format!(
        "host={} port={} dbname={} user={}",
        options.get_socket().unwrap().display(),
        options.get_port(),
        options.get_database().unwrap(),
        options.get_username(),
    );
    fs::copy(folder.path().join("ca.pem"), place.path().join("authority.pem")).unwrap();
    let blocks: Vec<&str> =
        crate::guide::blocks("sh").into_iter().filter(|block| block.contains("openssl ts")).collect();
    assert_eq!(blocks.len(), 2, "one for the database, one for an export");
    for (size, _) in kept(&log).await {
        for block in &blocks {
            let lines = block.replace("size=52736 ", &format!("size={size} "));
            assert_ne!(lines, *block, "the guide's example is of another log");
            let lines = lines.replace("host=db.internal dbname=dsrd user=anna", &address);
            let done = shell(place.path(), &lines);
            let said =
                format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            assert!(done.status.success() && said.contains("Verification: OK"), "{lines}: {said}");
            // The same lines refuse another head.
            let other = lines.replace("openssl", "echo >> head.txt; openssl");
            let refused = shell(place.path(), &other);
            assert!(!refused.status.success(), "{other}");
        }
    }
    log.service.finish().await;
}
