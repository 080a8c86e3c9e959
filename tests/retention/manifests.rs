//! Pages of a sweep in the audit log: one entry for many erasures, each of them provable, and forgettable.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use dsrd::audit::export;
use dsrd::audit::forget::{Erasing, Rule};
use dsrd::audit::manifest::{self, Found};
use dsrd::audit::tlog::VerifierKey;
use dsrd::audit::verify::{self, Database, Plan, Policy, Proven, Report, Verdict, check_receipt};
use dsrd::audit::{self, Action, Actor, Entry, Event, Filter};
use dsrd::domain::{Clock as _, ContactId, RequestId, SystemClock};
use dsrd::store::StoreError;
use sqlx::Connection as _;
use uuid::Uuid;

use crate::office::{Office, settings};
use crate::pages::{Pages, contacts};

/// Ten contacts, swept in pages of three; the log is sealed.
async fn swept() -> (Office, Policy) {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 30)));
    office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    office.sealer.seal_everything().await.unwrap();
    office.sealer.keep_checkpoint().await.unwrap();
    let key: VerifierKey = office.sealer.verifier_keys().await[0].parse().unwrap();
    (office, Policy::of_logs(vec![key]))
}

async fn entries(office: &Office) -> Vec<Entry> {
    let mut connection = office.store.connection().await.unwrap();
    audit::list(&mut connection, &Filter::default(), 0, 10_000).await.unwrap()
}

async fn verified(office: &Office, policy: &Policy) -> Report {
    let mut database = Database::open(&office.database.options(), String::new()).await.unwrap();
    let plan = Plan { policy: policy.clone(), known_heads: Vec::new(), since: 0, now: SystemClock.now() };
    let report = verify::verify(&mut database, &plan).await.unwrap();
    database.close().await;
    report
}

async fn cases(office: &Office) -> Vec<(RequestId, ContactId)> {
    let rows: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT request_id, contact_id FROM dsrd.request ORDER BY contact_id")
            .fetch_all(&mut *office.store.connection().await.unwrap())
            .await
            .unwrap();
    rows.into_iter().map(|(case, contact)| (RequestId(case), contact.parse().unwrap())).collect()
}

async fn found(office: &Office, case: RequestId, contact: &ContactId) -> Option<Found> {
    let mut connection = office.store.connection().await.unwrap();
    manifest::open_item(&mut connection, case, Some(contact)).await.unwrap()
}

/// The entry of a case's page and its receipt with the item opened, as files hold them.
async fn receipt(office: &Office, case: RequestId, contact: &ContactId) -> (Vec<u8>, Vec<u8>) {
    let found = found(office, case, contact).await.unwrap();
    let mut database = Database::open(&office.database.options(), String::new()).await.unwrap();
    let (row, mut proof) = export::prove(&mut database, &[found.seq.unwrap()]).await.unwrap().remove(0);
    database.close().await;
    proof.extra = Some(found.opening.unwrap().to_bytes());
    (row.entry.to_vec(), proof.to_string().into_bytes())
}

async fn tamper(office: &Office, statements: &str) {
    let mut owner = sqlx::PgConnection::connect_with(&office.database.options()).await.unwrap();
    let text = format!(
        "ALTER TABLE audit.manifest DISABLE TRIGGER USER; {statements};
         ALTER TABLE audit.manifest ENABLE ALWAYS TRIGGER manifest_rows_stay;
         ALTER TABLE audit.manifest ENABLE ALWAYS TRIGGER manifest_stays"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut owner).await.unwrap();
    owner.close().await.unwrap();
}

#[tokio::test]
async fn s_40_the_erasures_of_a_sweep_are_one_entry_a_page_and_each_is_proved() {
    let (office, policy) = swept().await;
    let log = entries(&office).await;
    let of = |action: &str| log.iter().filter(|entry| entry.action == action).collect::<Vec<_>>();
    let sizes: Vec<u64> =
        of("sweep.page").iter().map(|entry| entry.detail["items"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [3, 3, 3, 1]);
    assert_eq!(of("request.received").len(), 0, "the page stands for them");
    assert_eq!(log.len(), 6, "started, four pages, finished: {log:#?}");
    let text = format!("{log:?}");
    let cases = cases(&office).await;
    assert_eq!(cases.len(), 10);
    for (case, contact) in &cases {
        assert!(!text.contains(contact.as_str()) && !text.contains(&case.0.to_string()));
        let (entry, proof) = receipt(&office, *case, contact).await;
        let Proven { action, item, .. } = check_receipt(&policy, &entry, &proof).unwrap();
        let item = item.unwrap();
        assert_eq!(
            (action.as_str(), item.case, item.contact.as_str()),
            ("sweep.page", case.0, contact.as_str())
        );
    }
    // What is proved of one is not proved of another.
    let (entry, proof) = receipt(&office, cases[0].0, &cases[0].1).await;
    let (other, _) = receipt(&office, cases[5].0, &cases[5].1).await;
    assert!(check_receipt(&policy, &other, &proof).is_err());
    let forged = found(&office, cases[0].0, &cases[1].1).await.unwrap().opening.unwrap();
    let mut file: audit::tlog::ProofFile = String::from_utf8(proof.clone()).unwrap().parse().unwrap();
    file.extra = Some(forged.to_bytes());
    let error = check_receipt(&policy, &entry, file.to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, verify::ReceiptError::Opening(_)), "{error:?}");
    assert_eq!(verified(&office, &policy).await.verdict, Verdict::Ok);

    // A program with none of our code comes to the same.
    let directory = tempfile::tempdir().unwrap();
    let (json, path) = (directory.path().join("entry.json"), directory.path().join("entry.tlog-proof"));
    std::fs::write(&json, &entry).unwrap();
    std::fs::write(&path, &proof).unwrap();
    let key = office.sealer.verifier_keys().await.remove(0);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/receipt.py");
    let python = || Command::new("python3").arg(&program).arg(&json).arg(&path).arg(&key).output();
    match python() {
        Err(error) => crate::required::skipped(&format!("python3 cannot be run ({error})")),
        Ok(ran) => {
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success() && said.contains(cases[0].1.as_str()), "{ran:?}");
            std::fs::write(&path, file.to_string()).unwrap();
            assert!(!python().unwrap().status.success(), "the forged item is refused");
        }
    }
}

#[tokio::test]
async fn s_40_commitments_that_were_changed_or_removed_are_found() {
    let (office, policy) = swept().await;
    let pages: Vec<Entry> =
        entries(&office).await.into_iter().filter(|entry| entry.action == "sweep.page").collect();
    let first_bad = async || {
        let report = verified(&office, &policy).await;
        let bad = report.first_bad().unwrap();
        (report.verdict, bad.place.clone(), bad.what.clone())
    };
    let of = |page: &Entry| format!("WHERE uid = '{}'", page.id);
    let flip =
        "UPDATE audit.manifest SET commitments = set_byte(commitments, 40, get_byte(commitments, 40) # 1)";
    tamper(&office, &format!("{flip} {}", of(&pages[1]))).await;
    let (verdict, place, what) = first_bad().await;
    assert_eq!((verdict, place), (Verdict::Violation, format!("entry {}", pages[1].seq)));
    assert!(what.contains("not those"), "{what}");
    tamper(&office, &format!("{flip} {}", of(&pages[1]))).await;
    assert_eq!(verified(&office, &policy).await.verdict, Verdict::Ok);

    tamper(
        &office,
        &format!(
            "DELETE FROM audit_private.manifest_item {0}; DELETE FROM audit.manifest {0}",
            of(&pages[0])
        ),
    )
    .await;
    let (_, place, what) = first_bad().await;
    assert_eq!(place, format!("entry {}", pages[0].seq));
    assert!(what.contains("gone"), "{what}");
}

#[tokio::test]
async fn a_salt_that_was_exchanged_is_found_by_whoever_opens_its_item_and_not_by_verify() {
    let (office, policy) = swept().await;
    let cases = cases(&office).await;
    tamper(&office, "UPDATE audit_private.manifest_item SET salt = sha256(salt)").await;
    let report = verified(&office, &policy).await;
    assert_eq!(report.verdict, Verdict::Ok, "{:#?}", report.findings);
    assert!(report.still_possible.contains("no signature covers what they say"), "{}", report.still_possible);
    let (entry, proof) = receipt(&office, cases[0].0, &cases[0].1).await;
    let error = check_receipt(&policy, &entry, &proof).unwrap_err();
    assert!(matches!(error, verify::ReceiptError::Opening(_)), "{error:?}");
}

/// Lets the log tell that a case has ended.
async fn closed(office: &Office, case: RequestId) {
    let mut tx = office.store.begin("test.close").await.unwrap();
    let (action, at) = (Action::RequestClosed, office.desk.clock.now());
    let event = Event::of(&office.controller.id, case, action, Actor::Process("test"), at);
    audit::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
}

async fn forget(office: &Office, case: RequestId) -> Result<u64, StoreError> {
    let mut connection = office.store.connection().await.unwrap();
    let (actor, at) = (Actor::Process("upkeep"), office.desk.clock.now());
    let erasing = Erasing { actor: &actor, at, rule: Rule::ContactTerm };
    manifest::forget_items(&mut connection, &office.controller.id, &[case], &erasing).await
}

#[tokio::test]
async fn an_item_stays_while_the_log_is_held_also_by_a_hold_that_is_being_set() {
    let (office, _) = swept().await;
    let cases = cases(&office).await;
    for (case, _) in &cases[..3] {
        closed(&office, *case).await;
    }
    assert_eq!(forget(&office, cases[0].0).await.unwrap(), 1);
    let mut owner = sqlx::PgConnection::connect_with(&office.database.options()).await.unwrap();
    let hold = "SELECT audit.set_hold(gen_random_uuid(), 'court_or_claim', current_date + 90, NULL, 'process:test', now())";
    let mut tx = owner.begin().await.unwrap();
    sqlx::query(hold).execute(&mut *tx).await.unwrap();
    // Not committed yet: who erases waits for it, and then is refused.
    let erasing = forget(&office, cases[1].0);
    let setting = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7236123 AND objid = 2 AND NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        for _ in 0..500 {
            if sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut *tx).await.unwrap() > 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        tx.commit().await.unwrap();
    };
    let (refused, ()) = tokio::join!(erasing, setting);
    assert!(refused.unwrap_err().to_string().contains("55006"), "the hold that was being set is kept to");
    assert!(forget(&office, cases[2].0).await.is_err());
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_private.manifest_item")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(kept, 9);
}

#[tokio::test]
async fn r_75_a_forgotten_item_opens_no_more_and_a_receipt_of_before_still_proves() {
    let (office, policy) = swept().await;
    let cases = cases(&office).await;
    let (case, contact) = &cases[4];
    let (entry, proof) = receipt(&office, *case, contact).await;
    let mut connection = office.store.connection().await.unwrap();
    assert_eq!(forget(&office, *case).await.unwrap(), 0, "its case has not ended");
    assert!(found(&office, *case, contact).await.unwrap().opening.is_some());
    closed(&office, *case).await;
    assert_eq!(forget(&office, *case).await.unwrap(), 1);
    assert_eq!(forget(&office, *case).await.unwrap(), 0);
    office.sealer.seal_everything().await.unwrap();
    let told: Vec<Entry> =
        entries(&office).await.into_iter().filter(|entry| entry.action == "log.redact").collect();
    assert_eq!(told.len(), 1, "one that forgot nothing says nothing");
    let detail = serde_json::json!({"kind": "sweep_item", "rows": 1, "rule": "contact_term"});
    assert_eq!((&told[0].detail, told[0].case), (&detail, None));
    assert!(found(&office, *case, contact).await.is_none());
    let (beside, beside_contact) = &cases[3];
    assert!(found(&office, *beside, beside_contact).await.unwrap().opening.is_some(), "the others stay");
    assert!(check_receipt(&policy, &entry, &proof).unwrap().item.is_some());
    assert_eq!(verified(&office, &policy).await.verdict, Verdict::Ok);
    // No role of the service changes a page.
    for statement in ["UPDATE audit.manifest SET commitments = commitments", "DELETE FROM audit.manifest"] {
        assert!(sqlx::query(statement).execute(&mut *connection).await.is_err(), "{statement}");
    }
    let private = sqlx::query("DELETE FROM audit_private.manifest_item").execute(&mut *connection).await;
    assert!(private.is_err(), "only through the function that forgets");
}
