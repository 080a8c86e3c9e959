//! Entries are missed that vanish before they are sealed, and strangers among them are told (`audit::writer`).

use std::sync::Arc;
use std::time::Duration;

use dsrd::audit::verify::{Finding, Plan, Report, Severity, Step, Verdict};
use dsrd::audit::{self, Action, Actor, Detail, Event, Writer, WriterTurn};
use dsrd::domain::Clock as _;
use dsrd::store::{Numbering, Store};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::log::{execute, plan, verified};
use crate::support::service::{ORGANISATION, TestService};

/// A writer's store beside the service's own, which numbers nothing.
struct Writing {
    store: Store,
    writer: Arc<Writer>,
}

impl Writing {
    async fn begin(service: &TestService, merge_delay: Duration) -> Self {
        let writer = Writer::draw(merge_delay);
        let store = service.store.clone().numbered_by(Arc::clone(&writer) as Arc<dyn Numbering>);
        writer.begin(&mut store.connection().await.unwrap()).await.unwrap();
        Self { store, writer }
    }

    async fn append(&self, service: &TestService, entries: u64, is_kept: bool) {
        let mut tx = self.store.begin("test").await.unwrap();
        for number in 0..entries {
            let at = service.clock.now();
            let event = Event::general(
                &ORGANISATION.parse().unwrap(),
                Action::RequestRead,
                Actor::Process("test"),
                at,
            );
            audit::append(&mut tx, event.with(Detail::none().count("number", number))).await.unwrap();
        }
        if is_kept {
            tx.commit().await.unwrap();
        }
    }

    async fn turn(&self, service: &TestService) -> WriterTurn {
        self.writer.turn(&self.store, &*service.clock, true).await.unwrap()
    }

    async fn stop(&self, service: &TestService) {
        self.writer.stop(&self.store, &*service.clock).await.unwrap();
    }
}

/// Everything is sealed and verified as an auditor does.
async fn report(service: &TestService) -> Report {
    service.sealer.seal_everything().await.unwrap();
    let key = service.sealer.verifier_keys().await[0].parse().unwrap();
    // A log that is live is judged by the clock, which is the service's here.
    verified(&service.database.options(), &Plan { now: service.clock.now(), ..plan(&key, &[]) }).await
}

/// What was found about writers.
fn told(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.step == Step::Counters).collect()
}

async fn service() -> TestService {
    let service = TestService::start().await;
    // A trigger that was not shipped is a finding, and the tests' own witness of commits is one.
    execute(&service.database.options(), "DROP TRIGGER witnessed ON audit.inbox").await.unwrap();
    service
}

/// What a superuser does to entries that wait.
async fn in_the_inbox(service: &TestService, statement: &str) {
    let statements = format!(
        "ALTER TABLE audit.inbox DISABLE TRIGGER USER; {statement};
         ALTER TABLE audit.inbox ENABLE ALWAYS TRIGGER inbox_rows_stay;
         ALTER TABLE audit.inbox ENABLE ALWAYS TRIGGER inbox_stays"
    );
    execute(&service.database.options(), &statements).await.unwrap();
}

async fn actions(service: &TestService, writer: &Writer) -> Vec<(String, i64)> {
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query_as("SELECT action, wseq FROM audit.entry WHERE writer = $1 ORDER BY seq")
        .bind(writer.name())
        .fetch_all(&mut owner)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_entry_that_was_written_a_second_time_is_found_also_without_a_number() {
    let service = service().await;
    let at_us = service.clock.now().timestamp_micros();
    let beat = format!(
        "INSERT INTO audit.inbox (entry) VALUES (convert_to(
           '{{\"action\":\"log.heartbeat\",\"actor\":\"process:sealer\",\"at_us\":{at_us},\"detail\":{{}},\"id\":\"{}\",\"v\":1}}', 'UTF8'))",
        Uuid::now_v7()
    );
    execute(&service.database.options(), &beat).await.unwrap();
    let refused = execute(&service.database.options(), &beat).await.unwrap_err();
    assert!(refused.to_string().contains("uid"), "while the first waits, a second is refused: {refused}");
    assert_eq!(report(&service).await.verdict, Verdict::Ok);
    execute(&service.database.options(), &beat).await.unwrap();
    let report = report(&service).await;
    let bad = report.first_bad().unwrap();
    assert_eq!((report.verdict, bad.step), (Verdict::Violation, Step::Counters), "{:#?}", report.findings);
    assert!(bad.what.contains("it has the id of entry "), "{bad:?}");
}

#[tokio::test]
async fn a_writer_numbers_its_entries_gives_up_what_was_rolled_back_and_closes_its_account() {
    let service = service().await;
    let writing = Writing::begin(&service, Duration::from_secs(5)).await;
    writing.append(&service, 2, true).await;
    writing.append(&service, 3, false).await;
    writing.append(&service, 1, true).await;
    let unfinished = report(&service).await;
    assert_eq!(unfinished.verdict, Verdict::Ok, "{:#?}", unfinished.findings);
    assert!(
        told(&unfinished)[0].what.contains("4 to 6 are not in the log: they may be under way"),
        "{unfinished:#?}"
    );
    assert_eq!(writing.turn(&service).await, WriterTurn::default());
    writing.append(&service, 1, true).await;
    writing.stop(&service).await;
    let report = report(&service).await;
    assert_eq!((report.verdict, report.counts.writers), (Verdict::Ok, 1), "{:#?}", report.findings);
    assert!(told(&report).is_empty(), "{:#?}", report.findings);
    let words = actions(&service, &writing.writer).await;
    let expected = [
        ("writer.start", 1),
        ("request.read", 2),
        ("request.read", 3),
        ("request.read", 7),
        ("writer.void", 8),
        ("writer.account", 9),
        ("request.read", 10),
        ("writer.stop", 11),
    ];
    assert_eq!(words, expected.map(|(word, number)| (word.to_owned(), number)));
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit.writer").fetch_one(&mut owner).await.unwrap();
    assert_eq!(left, 0, "who has stopped is entered no more");
}

#[tokio::test]
async fn an_entry_that_is_removed_before_it_is_sealed_is_missed_by_its_writer_and_by_who_verifies() {
    let service = service().await;
    let writing = Writing::begin(&service, Duration::from_millis(10)).await;
    writing.append(&service, 3, true).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let late = writing.turn(&service).await;
    assert_eq!((late.late, late.lost), (vec![1, 2, 3, 4], vec![]), "nobody seals");
    service.sealer.seal_everything().await.unwrap();

    writing.append(&service, 3, true).await;
    let second = "DELETE FROM audit.inbox WHERE convert_from(entry, 'UTF8') LIKE '%\"number\":1}%'";
    in_the_inbox(&service, second).await;
    service.sealer.seal_everything().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let lost = writing.turn(&service).await.lost;
    assert_eq!(lost.len(), 1);
    writing.append(&service, 1, true).await;
    writing.stop(&service).await;
    let report = report(&service).await;
    let bad = report.first_bad().unwrap();
    assert_eq!((report.verdict, bad.step), (Verdict::Violation, Step::Counters), "{:#?}", report.findings);
    assert!(
        bad.what.contains(&format!("entries {0} to {0} as committed", lost[0]))
            && bad.what.contains("removed before"),
        "{}",
        bad.what
    );
}

#[tokio::test]
async fn an_entry_of_somebody_else_in_a_writers_name_is_found() {
    let service = service().await;
    let writing = Writing::begin(&service, Duration::from_millis(10)).await;
    writing.append(&service, 1, true).await;
    let forged = |number: u64| {
        format!(
            "INSERT INTO audit.inbox (entry) VALUES (convert_to(
               '{{\"action\":\"request.read\",\"actor\":\"process:test\",\"at_us\":1,\"detail\":{{}},\"id\":\"'
               || gen_random_uuid() || '\",\"n\":{number},\"v\":1,\"w\":\"{}\"}}', 'UTF8'))",
            writing.writer.name()
        )
    };
    // The next number, before the writer uses it.
    execute(&service.database.options(), &forged(3)).await.unwrap();
    service.sealer.seal_everything().await.unwrap();
    writing.append(&service, 1, true).await;
    service.sealer.seal_everything().await.unwrap();
    writing.stop(&service).await;
    let second = report(&service).await;
    let bad = second.first_bad().unwrap();
    assert_eq!((second.verdict, bad.step), (Verdict::Violation, Step::Counters), "{:#?}", second.findings);
    assert!(bad.what.contains("used its number 3 a second time"), "{}", bad.what);
    execute(&service.database.options(), &forged(100)).await.unwrap();
    let after = report(&service).await;
    assert!(
        told(&after).iter().any(|finding| finding.what.contains("closed its account")),
        "{:#?}",
        after.findings
    );
}

#[tokio::test]
async fn an_account_that_the_session_key_did_not_sign_is_refused() {
    let service = service().await;
    let writing = Writing::begin(&service, Duration::from_secs(5)).await;
    writing.append(&service, 1, true).await;
    let forged = format!(
        "INSERT INTO audit.inbox (entry) VALUES (convert_to(
           '{{\"action\":\"writer.stop\",\"actor\":\"process:writer\",\"at_us\":1,\"detail\":{{\"first\":1,\"last\":2,\"sha256\":\"{}\",\"signature\":\"{}\"}},\"id\":\"'
           || gen_random_uuid() || '\",\"n\":3,\"v\":1,\"w\":\"{}\"}}', 'UTF8'))",
        "0".repeat(64),
        "A".repeat(86),
        writing.writer.name()
    );
    execute(&service.database.options(), &forged).await.unwrap();
    let report = report(&service).await;
    let bad = report.first_bad().unwrap();
    assert_eq!((report.verdict, bad.step), (Verdict::Violation, Step::Counters));
    assert!(bad.what.contains("not signed by the key"), "{}", bad.what);
}

#[tokio::test]
async fn a_writer_that_was_killed_is_declared_ended_and_its_last_numbers_are_told_as_such() {
    let service = service().await;
    let killed = Writing::begin(&service, Duration::from_secs(5)).await;
    killed.append(&service, 1, true).await;
    // What was under way as it died: the numbers are drawn, and nobody will say what became of them.
    killed.append(&service, 2, false).await;
    killed.append(&service, 1, true).await;
    let other = Writing::begin(&service, Duration::from_secs(5)).await;
    assert_eq!(other.turn(&service).await.ended, Vec::<String>::new(), "it was heard of a moment ago");
    execute(&service.database.options(), "UPDATE audit.writer SET beat_at = beat_at - interval '11 min'")
        .await
        .unwrap();
    assert_eq!(other.turn(&service).await.ended, [killed.writer.name()]);
    assert!(other.turn(&service).await.ended.is_empty(), "once");
    other.stop(&service).await;
    let report = report(&service).await;
    assert_eq!((report.verdict, report.counts.writers), (Verdict::Ok, 2), "{:#?}", report.findings);
    let [finding] = told(&report)[..] else { panic!("{:#?}", report.findings) };
    assert_eq!(finding.severity, Severity::Remark);
    assert!(
        finding.what.contains("its entries 3 to 4 are not in the log: it ended without a stop"),
        "{}",
        finding.what
    );
}

#[tokio::test]
async fn entries_without_a_number_are_counted_once_there_are_writers() {
    let service = service().await;
    let writing = Writing::begin(&service, Duration::from_secs(5)).await;
    writing.append(&service, 1, true).await;
    writing.stop(&service).await;
    service.sealer.seal_everything().await.unwrap();
    let unnumbered = Writing { store: service.store.clone(), writer: Arc::clone(&writing.writer) };
    unnumbered.append(&service, 2, true).await;
    let report = report(&service).await;
    assert_eq!(report.verdict, Verdict::Ok);
    let [finding] = told(&report)[..] else { panic!("{:#?}", report.findings) };
    assert!(finding.what.starts_with("2 entries from it on have no writer's number"), "{}", finding.what);
}
