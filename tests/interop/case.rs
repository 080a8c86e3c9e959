//! One case, asked for while the log is verified: its entries with their proofs, its open effects, and its person.

use std::fs;

use dsrd::audit::export;
use dsrd::audit::verify::{self, CaseReport, CaseSubject, Database, Directory, Report, Tiles, Verdict};
use dsrd::audit::{self, Action, Actor, Detail, Event, append_about_log};
use uuid::Uuid;

use crate::forgetting::{age_subjects, forget_now};
use crate::log::Log;

async fn asked(log: &Log, case: Uuid) -> (Report, CaseReport) {
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    let mut report = verify::verify_case(&mut database, &log.plan(), Some(case)).await.unwrap();
    database.close().await;
    let told = report.case.take().unwrap();
    (report, told)
}

#[tokio::test]
async fn a_case_is_told_with_a_proof_of_each_entry_its_open_effects_and_whether_it_was_forgotten() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    let case = log.case.0;
    let (report, told) = asked(&log, case).await;
    assert_eq!(report.verdict, Verdict::Ok, "{:#?}", report.findings);
    let actions: Vec<&str> = told.entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions.first(), Some(&"request.received"), "{actions:?}");
    for expected in ["deletion.began", "deletion.ended", "deletion.verified", "request.closed"] {
        assert!(actions.contains(&expected), "{expected}: {actions:?}");
    }
    let logged = service.audit().await.iter().filter(|entry| entry.case == Some(case)).count();
    assert_eq!((told.entries.len(), told.more_entries), (logged, 0));
    assert!(told.entries.iter().all(|entry| entry.included && !entry.by_detail), "{told:#?}");
    assert!(told.open_intents.is_empty() && told.unread_entries == 0, "{told:#?}");
    let received = told.entries[0].seq;
    assert_eq!(told.subject, CaseSubject::Kept { entry: received });
    let (_, nothing) = asked(&log, Uuid::nil()).await;
    assert!(nothing.entries.is_empty() && nothing.subject == CaseSubject::Uncommitted, "{nothing:#?}");

    // From files: whether the salts are kept is not seen there, and what was changed is not proven.
    let place = service.directory.path().join("whole");
    let mut database = Database::open(&log.options(), String::new()).await.unwrap();
    export::write_tiles(&mut database, &place).await.unwrap();
    database.close().await;
    let of_files = async || {
        let mut tiles = Tiles::of(Directory(place.clone()));
        let mut report = verify::verify_case(&mut tiles, &log.plan(), Some(case)).await.unwrap();
        (report.case.take().unwrap(), report.verdict)
    };
    let (told, verdict) = of_files().await;
    assert_eq!((told.subject, verdict), (CaseSubject::Committed { entry: received }, Verdict::Ok));
    assert!(told.entries.len() == logged && told.entries.iter().all(|entry| entry.included));
    let bundle = place.join("tile/entries/000");
    let mut content = fs::read(&bundle).unwrap();
    let find = |content: &[u8], from: usize, wanted: &str| {
        from + content[from..].windows(wanted.len()).position(|at| at == wanted.as_bytes()).unwrap()
    };
    let tenant = find(&content, find(&content, 0, &case.to_string()), r#""tenant":"main""#);
    content[tenant + 13] = b'm';
    fs::write(&bundle, content).unwrap();
    let (told, verdict) = of_files().await;
    let unproven = told.entries.iter().filter(|entry| !entry.included).count();
    assert_eq!((verdict, unproven), (Verdict::Violation, 1), "{told:#?}");

    // An effect without end, evidence that names the case, and the forgetting of its person.
    let now = service.desk.clock.now();
    let mut tx = service.store.begin("test").await.unwrap();
    let actor = || Actor::Process("test");
    let began = Event::of(&service.controller.id, log.case, Action::DeletionBegan, actor(), now);
    audit::append(&mut tx, began).await.unwrap();
    let detail = Detail::none().word("of_case", &case.to_string());
    append_about_log(&mut tx, Action::EvidenceTaken, actor(), now, detail).await.unwrap();
    tx.commit().await.unwrap();
    age_subjects(&log).await;
    assert_eq!(forget_now(&log).await.unlinked, 3);
    let (report, told) = asked(&log, case).await;
    assert_eq!(report.verdict, Verdict::Ok, "{:#?}", report.findings);
    let by = told.entries.iter().find(|entry| entry.action == "log.redact").unwrap().seq;
    assert_eq!(told.subject, CaseSubject::Forgotten { entry: Some(received), by });
    let began = told.entries.iter().rfind(|entry| entry.action == "deletion.began").unwrap().seq;
    assert_eq!(told.open_intents, [began]);
    let evidence = told.entries.iter().find(|entry| entry.action == "evidence.taken").unwrap();
    assert!(evidence.by_detail && told.entries.iter().all(|entry| entry.included), "{told:#?}");
    log.service.simulator.shutdown().await;
}
