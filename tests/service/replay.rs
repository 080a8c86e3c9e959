//! The ledger outside of the database, and what it is for: the time after a restore.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    Assurance, Clock as _, HoldKind, LiftReason, MasterKey, Outcome, ParkReason, Proof, RequestId,
    RequestKind, RequestState,
};
use dsrd::execution::{self, Finding, Place, ReplayError, Settlement, Verdict};
use dsrd::holds::{HoldId, NewHold};
use dsrd::suppression::ledger::{Entry, EntryKind};
use dsrd::{daemon, holds, intake};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::rig::count;
use crate::support::service::TestService;

fn spec(name: &str) -> ContactSpec {
    ContactSpec::new().email(address(name)).policy("mktgCommunications", true)
}

fn address(name: &str) -> String {
    format!("canarino.{name}@posta.example")
}

async fn as_owner(service: &TestService, statements: &'static str) {
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::raw_sql(statements).execute(&mut owner).await.unwrap();
}

/// What a dump of the service's tables holds.
pub(crate) async fn dump(service: &TestService) {
    as_owner(
        service,
        "CREATE SCHEMA dumped;
         DO $$
         DECLARE
           name text;
         BEGIN
           FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'dsrd' LOOP
             EXECUTE format('CREATE TABLE dumped.%I AS TABLE dsrd.%I', name, name);
           END LOOP;
         END
         $$",
    )
    .await;
}

/// Puts the service's tables back to the dump.
pub(crate) async fn restore(service: &TestService) {
    as_owner(
        service,
        "SET session_replication_role = replica;
         DO $$
         DECLARE
           name text;
         BEGIN
           FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'dsrd' LOOP
             EXECUTE format('DELETE FROM dsrd.%I', name);
             EXECUTE format('INSERT INTO dsrd.%I OVERRIDING SYSTEM VALUE TABLE dumped.%I', name, name);
           END LOOP;
         END
         $$",
    )
    .await;
}

pub(crate) fn place(service: &TestService) -> Place<'_> {
    Place {
        store: &service.store,
        desk: &service.desk,
        site: &service.executor.sites[&service.controller.id],
        ledger: &service.executor.ledger,
        second_look: service.executor.settings.second_look(),
    }
}

pub(crate) async fn lost(service: &TestService) -> Vec<Finding> {
    let replay = execution::replay(place(service)).await.unwrap();
    assert_eq!(replay.damaged_lines, 0);
    replay.findings
}

pub(crate) async fn settle(
    service: &TestService,
    finding: &Finding,
    settlement: Settlement,
) -> Result<Option<String>, ReplayError> {
    let dpo = Actor::Person("dpo".to_owned());
    let repeated = execution::settle(place(service), finding, settlement, dpo).await?;
    Ok(repeated.map(|reference| reference.to_string()))
}

/// As a daemon does before it takes the first request.
pub(crate) async fn compare(service: &TestService) -> usize {
    service.executor.ledger.compare(&service.store, &service.controller.id).await.unwrap()
}

async fn park_reason(service: &TestService, request: RequestId) -> Option<ParkReason> {
    service.case(request).await.park_reason
}

#[tokio::test]
async fn r_47_what_is_done_stands_outside_of_the_database_before_the_platform_is_called() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(spec("uno"));
    service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await;
    // While the file cannot be written, nothing is done.
    let directory = service.directory.path().join("ledger");
    std::fs::create_dir(&directory).unwrap();
    let month = directory.join(format!("ledger-{}.txt", service.clock.now().format("%Y-%m")));
    std::fs::create_dir(&month).unwrap();
    service.work().await;
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    std::fs::remove_dir(&month).unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 1);
    let text = std::fs::read_to_string(&month).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(!text.to_lowercase().contains("canarino"), "{text}");
    assert_eq!(std::fs::metadata(&month).unwrap().permissions().mode() & 0o077, 0);
    assert!(lost(&service).await.is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_47_entries_go_when_no_backup_is_as_old_any_more() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(spec("uno"));
    service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await;
    service.work_to_the_end().await;
    let purge = async |days: i64| {
        let before = service.clock.now() + TimeDelta::days(days) - TimeDelta::days(65);
        let mut connection = service.store.connection().await.unwrap();
        let organisation = &service.controller.id;
        let rows = dsrd::suppression::ledger::purge(&mut connection, organisation, before).await.unwrap();
        (rows, service.executor.ledger.purge_files(before).await.unwrap())
    };
    assert_eq!(purge(65).await, (0, 0));
    assert_eq!(purge(65 + 31).await, (1, 1));
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.ledger").await, 0);
    service.finish().await;
}

#[tokio::test]
async fn r_46_a_new_ledger_directory_is_filled_from_the_database() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(spec("uno"));
    service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await;
    service.work_to_the_end().await;
    std::fs::remove_dir_all(service.directory.path().join("ledger")).unwrap();
    assert_eq!(compare(&service).await, 0);
    let outside = service.executor.ledger.read(&service.controller.id).await.unwrap();
    assert_eq!(outside.entries.len(), 1);
    service.finish().await;
}

#[tokio::test]
async fn r_46_what_the_ledger_cannot_be_told_of_is_not_announced_again_and_again() {
    const PEOPLE: usize = 12;
    let service = TestService::start().await;
    let directory = service.directory.path().join("ledger");
    std::fs::write(&directory, "in the place of the directory").unwrap();
    let mut requests = Vec::new();
    for number in 0..PEOPLE {
        let name = format!("persona{number}");
        let _contact = service.platform.add_contact(spec(&name));
        requests.push(service.submit(RequestKind::Erasure, &[(Email, &address(&name))]).await.request);
    }
    let announced = async || {
        let entries = service.audit().await;
        entries.iter().filter(|entry| entry.action == "deletion.began").count()
    };
    service.work().await;
    let first = announced().await;
    assert!((1..=4).contains(&first), "those that were in hand: {first}");
    // However often they are tried: the files rest, and the log is not filled.
    for _ in 0..3 {
        as_owner(&service, "UPDATE dsrd.job SET run_at = now()").await;
        service.work().await;
    }
    assert_eq!(announced().await, first);
    service.advance(Duration::from_hours(1)).await;
    service.work().await;
    assert!(announced().await <= first + 4, "now and then it is tried");
    assert!(
        service.simulator.journal().deleted_contacts().is_empty(),
        "nothing is done that is not on record"
    );
    std::fs::remove_file(&directory).unwrap();
    service.work_to_the_end().await;
    for request in requests {
        assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    }
    assert_eq!(service.simulator.journal().deleted_contacts().len(), PEOPLE);
    service.finish().await;
}

#[tokio::test]
async fn f_27_after_a_restore_nothing_is_repeated_by_itself_and_everything_is_offered() {
    // Before the instant from which the simulator counts what it calls modified.
    let service = TestService::builder().starting_at("2025-06-02T09:00:00Z".parse().unwrap()).build().await;
    let old = service.clock.now() - TimeDelta::days(90);
    let known = |name| service.platform.add_contact(spec(name).created(old).modified(old));
    let (gone, opted, _) = (known("uno"), known("due"), known("tre"));
    let erasure = service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await.request;
    let opt_out = service.submit(RequestKind::OptOut, &[(Email, &address("due"))]).await.request;
    let access = service.submit(RequestKind::Access, &[(Email, &address("tre"))]).await.request;
    service.pump().await;
    dump(&service).await;
    service.work_to_the_end().await;
    for request in [erasure, opt_out, access] {
        assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    }
    // In the window that will be lost the person signed up again, and the other opted in again.
    service.clock.advance(TimeDelta::hours(2));
    let back = service.platform.add_contact(spec("uno").created(service.clock.now()));
    service.platform.set_policy(&opted, "mktgCommunications", true);
    let mails = service.mails.sent().len();
    let effects = service.simulator.journal().effects().len();
    restore(&service).await;
    assert_eq!(service.case(erasure).await.state, RequestState::Received, "the restore took it back");
    assert_eq!(compare(&service).await, 3);
    service.work_to_the_end().await;

    for request in [erasure, opt_out, access] {
        assert_eq!(park_reason(&service, request).await, Some(ParkReason::DoneBeforeRestore));
    }
    assert_eq!(service.simulator.journal().effects().len(), effects, "nothing was done again");
    assert_eq!(service.mails.sent().len(), mails, "and nothing was sent again");
    assert!(service.platform.truth(&back).unwrap().exists);

    let found = lost(&service).await;
    let verdict = |kind| found.iter().find(|each| each.kind == kind).unwrap().verdict;
    assert_eq!(found.len(), 3);
    assert_eq!(verdict(EntryKind::Erasure), Verdict::StillSo, "the contact that was deleted is gone");
    assert_eq!(verdict(EntryKind::OptOut), Verdict::NewerWill);
    assert_eq!(verdict(EntryKind::Report), Verdict::StillSo);
    for finding in &found {
        let refused = settle(&service, finding, Settlement::Repeat).await;
        assert!(refused.is_err(), "{:?} is not done again", finding.kind);
        let settlement = match finding.verdict {
            Verdict::StillSo => Settlement::Record,
            Verdict::Back | Verdict::NewerWill | Verdict::Missing => Settlement::Leave,
        };
        assert_eq!(settle(&service, finding, settlement).await.unwrap(), None);
        let twice = settle(&service, finding, settlement).await;
        assert!(matches!(twice, Err(ReplayError::NotFound)), "{twice:?}");
    }
    assert!(lost(&service).await.is_empty());
    // Who was erased is suppressed again; who opted in again is not.
    assert!(count(&service, "SELECT count(*) FROM dsrd.suppression WHERE source = 'replay'").await > 0);
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.suppression WHERE source = 'opt_out'").await, 0);

    // Even when a person sends the erasure on its way again, it does not take the new sign-up.
    let mut tx = service.store.begin("test.resume").await.unwrap();
    let dpo = Actor::Person("dpo".to_owned());
    dsrd::intake::resume(&mut tx, &service.desk, &service.controller.id, erasure, dpo).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(park_reason(&service, erasure).await, Some(ParkReason::NewerWill));
    assert!(service.platform.truth(&back).unwrap().exists && !service.platform.truth(&gone).unwrap().exists);
}

#[tokio::test]
async fn r_46_what_a_restore_of_the_platform_brought_back_is_erased_again_when_a_person_says_so() {
    let service = TestService::start().await;
    dump(&service).await;
    let old = service.clock.now() - TimeDelta::days(90);
    let contact = service.platform.add_contact(spec("uno").created(old).modified(old));
    let proven_at = service.clock.now();
    service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await;
    service.work_to_the_end().await;
    restore(&service).await;
    service.platform.restore_contact(&contact);
    assert_eq!(compare(&service).await, 1);
    // By now the proof is older than a wish may rest on.
    service.clock.advance(TimeDelta::days(3));
    let found = lost(&service).await;
    assert_eq!(found[0].verdict, Verdict::Back);
    let wrong = settle(&service, &found[0], Settlement::Record).await;
    assert!(wrong.is_err(), "what is there is not recorded as gone");
    let again = settle(&service, &found[0], Settlement::Repeat).await.unwrap().unwrap();
    service.work_to_the_end().await;
    // S-3: the evidence states what was known of the person then, and no proof that nobody gave.
    let mut connection = service.store.connection().await.unwrap();
    let again = intake::find_by_reference(&mut connection, &service.controller.id, &again).await.unwrap();
    drop(connection);
    assert_eq!(
        service.case(again.unwrap()).await.proof(),
        Some(Proof { assurance: Assurance::AuthenticatedSession, at: proven_at })
    );
    assert!(!service.platform.truth(&contact).unwrap().exists);
    assert!(lost(&service).await.is_empty());
}

#[tokio::test]
async fn f_27_who_is_disabled_or_marked_as_deleted_is_not_taken_for_erased_after_a_restore() {
    for (what, mark) in [
        ("disabled", (|spec| spec.enabled(false)) as fn(ContactSpec) -> ContactSpec),
        ("marked", ContactSpec::marked_deleted),
    ] {
        let service = TestService::start().await;
        dump(&service).await;
        let old = service.clock.now() - TimeDelta::days(90);
        let contact = service.platform.add_contact(mark(spec("uno").created(old).modified(old)));
        // The ledger knows of it before the platform is called, and the call fails.
        service.simulator.faults().inject(Fault::Status(503).on(Endpoint::DeleteContact));
        service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await;
        service.work().await;
        service.simulator.faults().clear();
        restore(&service).await;
        assert_eq!(compare(&service).await, 1, "{what}");
        let found = lost(&service).await;
        assert_eq!(found[0].verdict, Verdict::Back, "{what}");
        assert!(settle(&service, &found[0], Settlement::Record).await.is_err(), "{what}");
        settle(&service, &found[0], Settlement::Repeat).await.unwrap().unwrap();
        service.work_to_the_end().await;
        assert!(!service.platform.truth(&contact).unwrap().exists, "{what}");
        assert!(lost(&service).await.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn f_39_a_replay_does_not_take_one_absence_for_an_erasure() {
    let service = TestService::start().await;
    dump(&service).await;
    let old = service.clock.now() - TimeDelta::days(90);
    let contact = service.platform.add_contact(spec("uno").created(old).modified(old));
    service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await;
    service.work_to_the_end().await;
    restore(&service).await;
    service.platform.restore_contact(&contact);
    assert_eq!(compare(&service).await, 1);
    // A copy that lags behind.
    let once = Fault::Status(404).on(Endpoint::Contact).for_contact(&contact).times(1);
    service.simulator.faults().inject(once);
    assert_eq!(lost(&service).await[0].verdict, Verdict::Back);
}

#[tokio::test]
async fn s_3_an_erasure_that_nobody_is_known_to_have_asked_for_is_not_done_again() {
    let service = TestService::start().await;
    dump(&service).await;
    let old = service.clock.now() - TimeDelta::days(90);
    let contact = service.platform.add_contact(spec("uno").created(old).modified(old));
    service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await;
    service.work_to_the_end().await;
    restore(&service).await;
    service.platform.restore_contact(&contact);
    know(&service, None).await;
    assert_eq!(compare(&service).await, 1);
    let found = lost(&service).await;
    let refused = settle(&service, &found[0], Settlement::Repeat).await;
    assert!(matches!(refused, Err(ReplayError::Unproven(_))), "{refused:?}");
    assert!(service.platform.truth(&contact).unwrap().exists);
    assert_eq!(settle(&service, &found[0], Settlement::Leave).await.unwrap(), None);
}

async fn order(service: &TestService, name: &str) -> String {
    order_as(service, crate::holds::claim_about(service, &address(name))).await
}

/// Places a hold as a person does at the command line.
pub(crate) async fn order_as(service: &TestService, new: NewHold) -> String {
    let dpo = Actor::Person("dpo".to_owned());
    let mut tx = service.store.begin("test.place").await.unwrap();
    let placed = execution::place_hold(&mut tx, &service.desk, &service.controller, new, dpo).await.unwrap();
    tx.commit().await.unwrap();
    placed.reference
}

async fn end(service: &TestService, hold: &str) {
    let (mut tx, dpo) = (service.store.begin("test.lift").await.unwrap(), Actor::Person("dpo".to_owned()));
    let site = (&*service.controller, &[][..]);
    execution::lift_hold(&mut tx, &service.desk, site, hold, LiftReason::ClaimSettled, dpo).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn in_force(service: &TestService) -> Vec<String> {
    let mut connection = service.store.connection().await.unwrap();
    let listed = holds::list(&mut connection, &service.controller.id, false).await.unwrap();
    listed.into_iter().map(|hold| hold.reference).collect()
}

/// As the daemon does every minute.
pub(crate) async fn bring_into_files(service: &TestService) -> usize {
    service.executor.ledger.append_holds(&service.store, &service.controller.id).await.unwrap()
}

#[tokio::test]
async fn r_65_a_hold_that_a_restore_lost_stands_again_before_anything_is_deleted() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(spec("uno"));
    dump(&service).await;
    let hold = order(&service, "uno").await;
    let ended = order(&service, "due").await;
    assert_eq!((bring_into_files(&service).await, bring_into_files(&service).await), (2, 0), "once");
    end(&service, &ended).await;
    assert_eq!(bring_into_files(&service).await, 1);
    for entry in service.executor.ledger.read(&service.controller.id).await.unwrap().entries {
        let line = serde_json::to_string(&entry).unwrap();
        assert!(!line.contains("2026-O-17") && !line.contains("legal"), "what it orders is sealed: {line}");
    }
    restore(&service).await;
    assert!(in_force(&service).await.is_empty(), "the restore took it back");
    // Months later its day of review is past.
    service.clock.advance(TimeDelta::days(100));
    assert_eq!(execution::place_lost_holds(place(&service)).await.unwrap(), std::slice::from_ref(&hold));
    assert!(execution::place_lost_holds(place(&service)).await.unwrap().is_empty(), "once");
    assert_eq!(in_force(&service).await, std::slice::from_ref(&hold), "by the name that people know");
    let erasure = service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await.request;
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure).await.outcome, Some(Outcome::PartlyFulfilled));
    assert!(service.platform.truth(&contact).unwrap().exists, "it is about the same person");

    // What was placed and lifted in the lost time is nothing to be done.
    let found = lost(&service).await;
    let kinds: Vec<EntryKind> = found.iter().map(|each| each.kind).collect();
    assert_eq!(kinds, [EntryKind::Hold, EntryKind::HoldEnded]);
    for finding in &found {
        assert_eq!((finding.reference.as_str(), finding.verdict), (ended.as_str(), Verdict::StillSo));
        settle(&service, finding, Settlement::Record).await.unwrap();
    }
    assert!(lost(&service).await.is_empty());
    assert_eq!(compare(&service).await, 0);
    let log = service.audit().await;
    let by_itself: Vec<&str> = log
        .iter()
        .filter(|entry| entry.actor == "process:ledger")
        .map(|entry| entry.action.as_str())
        .collect();
    assert_eq!(by_itself, ["hold.placed", "ledger.settled"]);
}

#[tokio::test]
async fn r_65_a_lost_hold_that_cannot_be_read_is_named_and_keeps_nobody_from_working() {
    // Sealed by another installation's key, and of a form that is not known here.
    for of_another_key in [true, false] {
        let service = TestService::start().await;
        dump(&service).await;
        let (hold, unreadable) = (order(&service, "uno").await, order(&service, "due").await);
        bring_into_files(&service).await;
        restore(&service).await;
        let (ledger, organisation) = (&service.executor.ledger, &service.controller.id);
        let outside = ledger.read(organisation).await.unwrap();
        std::fs::remove_dir_all(service.directory.path().join("ledger")).unwrap();
        let (other, mut broken) = (MasterKey::generate(), None);
        for entry in outside.entries {
            let entry = if HoldId(entry.request).reference() == unreadable {
                let keys = if of_another_key { &other } else { &*service.desk.keys };
                let about = (organisation, entry.request);
                broken.insert(Entry::of_hold(keys, about, EntryKind::Hold, "{}", entry.at)).clone()
            } else {
                entry
            };
            ledger.append(&entry, service.clock.now()).await.unwrap();
        }
        let broken = broken.unwrap().entry;
        let site = &service.executor.sites[organisation];
        assert!(daemon::place_lost_holds_once(&service.executor, site).await, "requests are taken");
        assert_eq!(in_force(&service).await, std::slice::from_ref(&hold), "what can be read stands again");
        let told = String::from_utf8(crate::support::logs::since(service.logged_before)).unwrap();
        let named = |line: &str| line.contains("cannot be read") && line.contains(&broken.to_string());
        assert!(told.lines().any(named), "{of_another_key}");
        let replayed = execution::replay(place(&service)).await;
        let named = match replayed {
            Err(ReplayError::Sealed { entry, .. }) => of_another_key && entry == broken,
            Err(ReplayError::UnreadableHold(entry)) => !of_another_key && entry == broken,
            _ => false,
        };
        assert!(named, "{of_another_key}: {replayed:?}");
    }
}

#[tokio::test]
async fn r_65_an_end_of_a_hold_that_a_restore_lost_is_shown_and_the_hold_is_lifted_again() {
    let service = TestService::start().await;
    let hold = order(&service, "uno").await;
    dump(&service).await;
    end(&service, &hold).await;
    bring_into_files(&service).await;
    restore(&service).await;
    assert!(execution::place_lost_holds(place(&service)).await.unwrap().is_empty());
    let found = lost(&service).await;
    assert_eq!((found.len(), found[0].kind, found[0].verdict), (1, EntryKind::HoldEnded, Verdict::Missing));
    let refused = settle(&service, &found[0], Settlement::Repeat).await;
    assert!(matches!(refused, Err(ReplayError::StandsAgain(_))), "{refused:?}");
    assert_eq!(in_force(&service).await, std::slice::from_ref(&hold));
    end(&service, &hold).await;
    assert!(lost(&service).await.is_empty(), "lifted again");
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_that_cannot_be_placed_again_by_itself_is_left_to_a_person() {
    let service = TestService::start().await;
    let request = service.submit(RequestKind::Restriction, &[(Email, &address("uno"))]).await.request;
    service.work_to_the_end().await;
    dump(&service).await;
    let restriction = async || {
        let mut new = crate::holds::claim_about(&service, &address("uno"));
        (new.kind, new.request) = (HoldKind::Restriction, Some(request));
        let dpo = Actor::Person("dpo".to_owned());
        let mut tx = service.store.begin("test.place").await.unwrap();
        execution::place_hold(&mut tx, &service.desk, &service.controller, new, dpo).await.unwrap();
        tx.commit().await.unwrap();
    };
    restriction().await;
    bring_into_files(&service).await;
    restore(&service).await;
    // Somebody was faster, and placed another one.
    restriction().await;
    assert!(execution::place_lost_holds(place(&service)).await.unwrap().is_empty());
    let found = lost(&service).await;
    assert_eq!((found.len(), found[0].verdict), (1, Verdict::Missing));
    let refused = settle(&service, &found[0], Settlement::Repeat).await;
    assert!(matches!(refused, Err(ReplayError::Hold(_))), "{refused:?}");
    settle(&service, &found[0], Settlement::Leave).await.unwrap();
    assert!(lost(&service).await.is_empty());
    assert_eq!(in_force(&service).await.len(), 1);
}

/// Writes the one line of the ledger anew, with so much known of who asked.
pub(crate) async fn know(service: &TestService, proof: Option<Proof>) {
    let ledger = &service.executor.ledger;
    let outside = ledger.read(&service.controller.id).await.unwrap();
    let [entry] = outside.entries.try_into().unwrap();
    std::fs::remove_dir_all(service.directory.path().join("ledger")).unwrap();
    ledger.append(&entry.asked_by(proof), service.clock.now()).await.unwrap();
}

#[tokio::test]
async fn r_47_an_attempt_in_a_later_month_leaves_nothing_in_the_files_that_the_database_does_not_know() {
    let service = TestService::builder().starting_at("2026-10-31T12:00:00Z".parse().unwrap()).build().await;
    let _contact = service.platform.add_contact(spec("uno"));
    let refusing = service.simulator.faults().inject(Fault::Status(503).on(Endpoint::DeleteContact));
    service.submit(RequestKind::Erasure, &[(Email, &address("uno"))]).await;
    service.work().await;
    service.advance(Duration::from_hours(48)).await;
    service.simulator.faults().remove(refusing);
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts().len(), 1);
    let files = || std::fs::read_dir(service.directory.path().join("ledger")).unwrap().count();
    assert_eq!((files(), count(&service, "SELECT count(*) FROM dsrd.ledger").await), (2, 1));
    // The row of an earlier version, which kept the day of the first attempt.
    as_owner(
        &service,
        "ALTER TABLE dsrd.ledger DISABLE TRIGGER ledger_stays;
         UPDATE dsrd.ledger SET at = '2026-10-31T12:00:00Z', record = jsonb_set(record, '{at}', '\"2026-10-31T12:00:00Z\"');
         ALTER TABLE dsrd.ledger ENABLE TRIGGER ledger_stays",
    )
    .await;
    assert_eq!(compare(&service).await, 0);

    let purge = async |before: &str| {
        let before = before.parse().unwrap();
        let mut connection = service.store.connection().await.unwrap();
        let organisation = &service.controller.id;
        let rows = dsrd::suppression::ledger::purge(&mut connection, organisation, before).await.unwrap();
        (rows, service.executor.ledger.purge_files(before).await.unwrap())
    };
    assert_eq!(purge("2026-11-20T00:00:00Z").await, (0, 1), "the first month");
    assert_eq!(compare(&service).await, 0, "nothing seems to be lost by a restore");
    assert!(lost(&service).await.is_empty());
    assert_eq!(purge("2026-12-20T00:00:00Z").await, (1, 1), "both go with the last line");
    assert_eq!((compare(&service).await, files()), (0, 0));
    service.finish().await;
}
