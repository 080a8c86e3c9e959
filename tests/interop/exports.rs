//! Taking the log out, and verifying what was taken out.

use std::net::SocketAddr;
use std::path::Path;

use chrono::TimeDelta;
use dsrd::audit::export::{self, LineFormat, Selection};
use dsrd::audit::tlog::{Checkpoint, CosigningKey, ProofFile, SignedNote, leaf_hash};
use dsrd::audit::verify::{
    self, Database, Directory, Level, Plan, Report, Severity, Step, Tiles, Verdict, Web,
};
use dsrd::domain::Clock as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::log::{Log, fill, plan};

/// Writes the log as tiles.
pub(crate) async fn tiles(log: &Log, directory: &Path) {
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    let exported = export::write_tiles(&mut database, directory).await.unwrap();
    database.close().await;
    assert!(exported.entries == exported.size && exported.size >= crate::log::ENTRIES, "{exported:?}");
}

pub(crate) async fn verified(log: &Log, directory: &Path) -> Report {
    let known = [("known head", log.head.as_str())];
    verify::verify(&mut Tiles::of(Directory(directory.to_owned())), &plan(&log.key, &known)).await.unwrap()
}

async fn lines(log: &Log, selection: &Selection, format: LineFormat) -> (String, export::Exported) {
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    let mut out = Vec::new();
    let exported = export::write_lines(&mut database, selection, format, &mut out).await.unwrap();
    database.close().await;
    assert_eq!(exported.bytes, out.len() as u64);
    (String::from_utf8(out).unwrap(), exported)
}

/// Serves files of a directory until it is dropped.
pub(crate) async fn serve(directory: &Path) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let directory = directory.to_owned();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let directory = directory.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path =
                    request.split(' ').nth(1).unwrap_or_default().trim_start_matches("/log/").to_owned();
                let (status, body) = match std::fs::read(directory.join(path)) {
                    Ok(body) => ("200 OK", body),
                    Err(_) => ("404 Not Found", Vec::new()),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let answer = [head.as_bytes(), &body].concat();
                stream.write_all(&answer).await.unwrap_or_default();
            });
        }
    });
    address
}

#[tokio::test]
async fn tiles_are_verified_from_a_directory_and_from_an_address() {
    let log = Log::of_a_real_run().await;
    let directory = log.service.directory.path().join("tiles");
    tiles(&log, &directory).await;
    let report = verified(&log, &directory).await;
    assert_eq!(report.verdict, Verdict::Ok, "{:#?}", report.findings);
    assert!(report.counts.entries >= crate::log::ENTRIES && report.counts.tiles >= 3, "{:?}", report.counts);

    let address = serve(&directory).await;
    let mut web = Tiles::of(Web::new(&format!("http://{address}/log")).unwrap());
    let report = verify::verify(&mut web, &plan(&log.key, &[])).await.unwrap();
    assert_eq!(report.verdict, Verdict::Ok, "{:#?}", report.findings);

    // A missing file leaves the question open; so does a server that is away.
    std::fs::remove_file(directory.join("checkpoint")).unwrap();
    assert_eq!(verified(&log, &directory).await.verdict, Verdict::Undecided);
    let mut nobody = Tiles::of(Web::new("http://127.0.0.1:9/").unwrap());
    assert!(verify::verify(&mut nobody, &plan(&log.key, &[])).await.is_err());
    for refused in ["ftp://a/", "no address", "http://name:word@host/", "http://host/?x=1"] {
        assert!(Web::new(refused).is_err(), "{refused}");
    }
    log.service.finish().await;
}

#[tokio::test]
async fn witnesses_raise_the_level_and_a_missing_quorum_leaves_it_open() {
    let log = Log::of_a_real_run().await;
    let directory = log.service.directory.path().join("tiles");
    tiles(&log, &directory).await;
    let earlier: String = sqlx::query_scalar("SELECT note FROM audit.checkpoint ORDER BY size LIMIT 1")
        .fetch_one(&mut *log.service.store.connection().await.unwrap())
        .await
        .unwrap();
    let witness = CosigningKey::from_seed("witness.example/one".parse().unwrap(), &Zeroizing::new([5; 32]));
    let cosigned = |note: &str, at: u64| {
        let note: SignedNote = note.parse().unwrap();
        let checkpoint: Checkpoint = note.text().parse().unwrap();
        note.with_signatures([witness.sign(&checkpoint, at).unwrap()]).unwrap().to_string()
    };
    let now = u64::try_from(log.service.clock.now().timestamp()).unwrap();
    let policy = format!("log {}\nwitness W {}\nquorum W\n", log.key, witness.verifier());
    let verified = async |known: &[(&str, &str)]| {
        let mut plan = plan(&log.key, known);
        plan.policy = policy.parse().unwrap();
        verify::verify(&mut Tiles::of(Directory(directory.clone())), &plan).await.unwrap()
    };
    let report = verified(&[("known head", &log.head)]).await;
    assert_eq!(report.verdict, Verdict::Undecided, "nobody witnessed: {:#?}", report.findings);

    std::fs::write(directory.join("checkpoint"), cosigned(&log.head, now)).unwrap();
    let report = verified(&[]).await;
    assert_eq!((report.verdict, report.level), (Verdict::Ok, Level::L3), "{:#?}", report.findings);
    assert!(report.still_possible.contains("the 0 entries after"), "{}", report.still_possible);

    let known = cosigned(&earlier, now);
    let report = verified(&[("known head", &known)]).await;
    assert_eq!((report.verdict, report.level), (Verdict::Ok, Level::L4), "{:#?}", report.findings);
    // Entries that are younger than the signature under them bound nothing in time.
    let known = cosigned(&earlier, now - 1_000_000);
    assert_eq!(verified(&[("known head", &known)]).await.level, Level::L3);
    log.service.finish().await;
}

#[tokio::test]
async fn times_of_others_bound_a_log_as_far_as_they_reach_and_no_further() {
    let log = Log::of_a_real_run().await;
    let directory = log.service.directory.path().join("tiles");
    let earlier: String = sqlx::query_scalar("SELECT note FROM audit.checkpoint ORDER BY size LIMIT 1")
        .fetch_one(&mut *log.service.store.connection().await.unwrap())
        .await
        .unwrap();
    let witness = CosigningKey::from_seed("witness.example/one".parse().unwrap(), &Zeroizing::new([5; 32]));
    let began = u64::try_from(log.service.clock.now().timestamp()).unwrap();
    let checkpoint =
        |note: &str| -> Checkpoint { note.parse::<SignedNote>().unwrap().text().parse().unwrap() };
    let cosigned = |note: &str, hours: u64| {
        let line = witness.sign(&checkpoint(note), began + hours * 3_600).unwrap();
        note.parse::<SignedNote>().unwrap().with_signatures([line]).unwrap().to_string()
    };
    log.service.clock.advance(TimeDelta::days(2));
    fill(&log.service, checkpoint(&log.head).size + 5).await;
    let newest = log.service.sealer.keep_checkpoint().await.unwrap().unwrap();
    tiles(&log, &directory).await;
    let policy = format!("log {}\nwitness W {}\nquorum W\n", log.key, witness.verifier());
    let verified = async |published: &str, known: &[(&str, &str)]| {
        std::fs::write(directory.join("checkpoint"), published).unwrap();
        let plan = Plan { policy: policy.parse().unwrap(), ..plan(&log.key, known) };
        verify::verify(&mut Tiles::of(Directory(directory.clone())), &plan).await.unwrap()
    };
    let (first, hour_later) = (cosigned(&earlier, 0), cosigned(&log.head, 1));
    // The witness was switched off: what the auditor kept since then has no time, and nobody stands for its being the only one.
    let off = verified(&newest, &[("a", &first), ("b", &hour_later), ("plain", &newest)]).await;
    assert_eq!((off.verdict, off.level), (Verdict::Ok, Level::L3), "{:#?}", off.findings);
    let witnessed_to = format!("entries after number {} could", checkpoint(&log.head).size);
    assert!(off.still_possible.contains(&witnessed_to), "{}", off.still_possible);
    // A newest head that the witness signed before its entries were written, by their own word.
    let early = verified(&cosigned(&newest, 20), &[("a", &first), ("b", &hour_later)]).await;
    assert_eq!((early.verdict, early.level), (Verdict::Ok, Level::L3), "{:#?}", early.findings);
    assert!(early.findings.iter().any(|each| each.what.contains("younger than the witnesses' signatures")));
    // One a day, to the end.
    let known = cosigned(&log.head, 24);
    let whole = verified(&cosigned(&newest, 48), &[("a", &first), ("b", &known)]).await;
    assert_eq!((whole.verdict, whole.level), (Verdict::Ok, Level::L4), "{:#?}", whole.findings);
    log.service.finish().await;
}

#[tokio::test]
async fn a_place_that_is_older_than_a_kept_head_is_undecided() {
    let log = Log::of_a_real_run().await;
    let directory = log.service.directory.path().join("tiles");
    tiles(&log, &directory).await;
    fill(&log.service, crate::log::ENTRIES + 30).await;
    let newer = log.service.sealer.keep_checkpoint().await.unwrap().unwrap();
    let known = [("kept in March", newer.as_str())];
    let mut files = Tiles::of(Directory(directory));
    let report = verify::verify(&mut files, &plan(&log.key, &known)).await.unwrap();
    let bad = report.first_bad().unwrap();
    assert_eq!((report.verdict, bad.place.as_str()), (Verdict::Undecided, "kept in March"), "{bad:?}");
    assert!(bad.what.contains("of an earlier moment, or was cut"), "{bad:?}");
    log.service.finish().await;
}

#[tokio::test]
async fn lines_carry_what_was_selected_and_each_its_proof() {
    let log = Log::of_a_real_run().await;
    let (text, exported) = lines(&log, &Selection::default(), LineFormat::Ndjson).await;
    let mut json = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let head = json.next().unwrap();
    let checkpoint = head["checkpoint"].as_str().unwrap();
    let mut entries = 0;
    for line in json {
        let hashes: Vec<&str> =
            line["proof"].as_array().unwrap().iter().map(|hash| hash.as_str().unwrap()).collect();
        let seq = line["seq"].as_u64().unwrap();
        // The same as a receipt, which is another format for the same proof.
        let file =
            format!("c2sp.org/tlog-proof@v1\nindex {}\n{}\n\n{checkpoint}", seq - 1, hashes.join("\n"));
        let file: ProofFile = file.parse().unwrap();
        file.verify(&leaf_hash(line["entry"].as_str().unwrap().as_bytes()), [&log.key]).unwrap();
        entries += 1;
    }
    assert_eq!((entries, exported.size), (exported.entries, entries));

    let of_case = Selection { case: Some(log.case.0), ..Selection::default() };
    let (text, exported) = lines(&log, &of_case, LineFormat::Csv).await;
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64, exported.entries);
    assert!(
        rows.iter().any(|row| &row[4] == "deletion.verified")
            && rows.iter().all(|row| row[3] == log.case.0.to_string())
    );
    assert!(rows[0][1].ends_with('Z') && rows[0][9].starts_with('{'), "{:?}", rows[0]);

    let ended = Selection { action: Some("deletion.ended".to_owned()), ..Selection::default() };
    let (text, exported) = lines(&log, &ended, LineFormat::Ocsf).await;
    let event: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(exported.entries, 1);
    assert_eq!((&event["class_uid"], &event["type_uid"]), (&6003.into(), &600_304.into()));
    assert_eq!(event["status"], "Success");

    let (text, _) = lines(&log, &ended, LineFormat::CloudEvents).await;
    let event: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (event["specversion"].as_str(), event["type"].as_str()),
        (Some("1.0"), Some("dsrd.audit.deletion.ended"))
    );
    assert_eq!(event["subject"], log.case.0.to_string());
    log.service.finish().await;
}

#[tokio::test]
async fn a_receipt_proves_its_entry_and_no_other() {
    let log = Log::of_a_real_run().await;
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    let receipts = export::prove(&mut database, &[1, 200, 257, crate::log::ENTRIES]).await.unwrap();
    assert!(export::prove(&mut database, &[1_000_000]).await.is_err());
    database.close().await;
    for (row, proof) in &receipts {
        let read: ProofFile = proof.to_string().parse().unwrap();
        let opened = read.verify(&leaf_hash(&row.entry), [&log.key]).unwrap();
        assert!(opened.checkpoint.size >= crate::log::ENTRIES && read.index + 1 == row.seq);
        assert!(read.verify(&leaf_hash(b"another"), [&log.key]).is_err());
    }
    assert!(receipts[0].1.verify(&leaf_hash(&receipts[1].0.entry), [&log.key]).is_err());
    log.service.finish().await;
}

#[tokio::test]
async fn an_altered_entry_is_not_taken_out() {
    let log = Log::of_a_real_run().await;
    log.rest().await;
    let copy = log.copy().await;
    copy.tamper(
        "ALTER TABLE audit.entry DISABLE TRIGGER USER;
         UPDATE audit.entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '\"v\":1', '\"v\":0'), 'UTF8') WHERE seq = 40",
    )
    .await
    .unwrap();
    let mut database = Database::open(&copy.options, String::new()).await.unwrap();
    let refused =
        export::write_lines(&mut database, &Selection::default(), LineFormat::Csv, Vec::new()).await;
    assert!(matches!(refused, Err(export::ExportError::Altered { seq: 40 })), "{refused:?}");
    database.close().await;
    copy.drop().await;
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn a_log_that_is_published_without_its_entries_is_compared_as_far_as_it_goes() {
    let log = Log::of_a_real_run().await;
    let place = tempfile::tempdir().unwrap();
    tiles(&log, place.path()).await;
    // Entries were wanted once, and are not any more.
    std::fs::remove_dir_all(place.path().join("tile/entries/001.p")).unwrap();
    let report = verified(&log, place.path()).await;
    let bad = report.first_bad().unwrap();
    assert_eq!((report.verdict, bad.step), (Verdict::Undecided, Step::Absence), "{:#?}", report.findings);
    assert!(bad.what.contains("others before them"), "{bad:?}");
    std::fs::remove_dir_all(place.path().join("tile/entries")).unwrap();
    let report = verified(&log, place.path()).await;
    let found: Vec<_> = report.findings.iter().map(|each| (each.severity, each.step)).collect();
    assert_eq!(found, [(Severity::Undecided, Step::Absence)], "{:#?}", report.findings);
    assert!(report.findings[0].what.contains("publish.entries"), "{:#?}", report.findings);
    assert_eq!((report.verdict, report.level, report.counts.heads), (Verdict::Undecided, Level::L2, 1));
    // What stands there is compared nevertheless.
    let tile = place.path().join("tile/0/000");
    let mut hashes = std::fs::read(&tile).unwrap();
    hashes[40] ^= 1;
    std::fs::write(&tile, hashes).unwrap();
    assert_eq!(verified(&log, place.path()).await.verdict, Verdict::Violation);
    log.service.finish().await;
}
