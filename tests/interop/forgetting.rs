//! The log forgets: what goes by the rules leaves it in order, and what goes otherwise is found (S-45, S-40, R-72, R-74).

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use dsrd::audit::forget::{self, Erasing, HoldReason, Rule};
use dsrd::audit::verify::{Report, Severity, Step, Verdict};
use dsrd::audit::{self, Action, Actor, Detail, Event, append_about_log, subject};
use dsrd::domain::{Clock as _, IdentifierKind, SubjectIdentifier, SystemClock};
use dsrd::upkeep::{Forgotten, Settings, Upkeep};
use dsrd_simulator::ContactSpec;
use sha2::{Digest as _, Sha256};

use crate::log::{Log, execute, fill, verified};
use crate::support::oracle;
use crate::support::service::TestService;

pub(crate) const MONTHS: u32 = 36;

/// A statement about entries with all guards off, which are on again afterwards as they were shipped.
pub(crate) fn unguarded(statement: &str) -> String {
    format!(
        "DO $$
         DECLARE part record;
         BEGIN
           ALTER TABLE audit.entry DISABLE TRIGGER USER;
           FOR part IN SELECT * FROM audit.partitions() LOOP
             EXECUTE format('ALTER TABLE audit.%I DISABLE TRIGGER USER', part.name);
           END LOOP;
           {statement};
           ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER entry_rows_stay;
           ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER entry_stays;
           FOR part IN SELECT * FROM audit.partitions() LOOP
             EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER entry_rows_stay', part.name);
             EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER %I', part.name, part.name || '_stays');
           END LOOP;
         END $$"
    )
}

/// Lets the database believe that entries were sealed earlier.
pub(crate) async fn age(log: &Log, up_to: u64, months: u32) {
    let earlier = format!(
        "UPDATE audit.entry SET sealed_at = sealed_at - interval '{months} months' WHERE seq <= {up_to}"
    );
    execute(&log.options(), &unguarded(&earlier)).await.unwrap();
}

/// Lets the database believe that the salts of all cases may be erased.
pub(crate) async fn age_subjects(log: &Log) {
    let statement = "UPDATE audit_private.subject SET erase_after = erase_after - interval '40 months'";
    execute(&log.options(), statement).await.unwrap();
}

/// Writes entries up to a number as if it were so many months ago, as a log has them that is old, and one more each month
/// until today.
pub(crate) async fn fill_earlier(log: &Log, entries: u64, months: i64) {
    log.service.clock.advance(TimeDelta::days(-months * 31));
    fill(&log.service, entries).await;
    let sealed = audit::sealed_up_to(&mut log.service.store.connection().await.unwrap()).await.unwrap();
    for month in 1..=u64::try_from(months).unwrap() {
        log.service.clock.advance(TimeDelta::days(31));
        fill(&log.service, sealed + month).await;
    }
}

fn upkeep(service: &TestService, log_months: u32) -> Upkeep {
    let settings = Settings { identifiers_days: 30, contact_ids_days: 65, evidence_months: 12, log_months };
    Upkeep { store: service.store.clone(), desk: service.desk.clone(), settings }
}

pub(crate) async fn forget_now(log: &Log) -> Forgotten {
    forget_after(log, MONTHS).await
}

/// The same with another term for entries.
pub(crate) async fn forget_after(log: &Log, log_months: u32) -> Forgotten {
    let forgotten = upkeep(&log.service, log_months).run(&Actor::Process("upkeep")).await.unwrap();
    log.service.sealer.seal_everything().await.unwrap();
    log.service.sealer.keep_checkpoint().await.unwrap();
    forgotten
}

pub(crate) async fn text(log: &Log, statement: &str) -> Option<String> {
    let mut connection = log.service.store.connection().await.unwrap();
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement.to_owned())).fetch_one(&mut *connection).await.unwrap()
}

pub(crate) async fn act_of_a_person(service: &TestService, login: &str) {
    let mut tx = service.store.begin("test").await.unwrap();
    let event = Event::general(
        &service.controller.id,
        Action::RequestRead,
        Actor::Person(login.to_owned()),
        service.desk.clock.now(),
    );
    audit::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
}

#[track_caller]
pub(crate) fn found(report: &Report, what: &str) {
    let bad = report.first_bad().unwrap_or_else(|| panic!("{what}: nothing was found"));
    assert!(
        bad.severity == Severity::Violation && bad.step == Step::Erasures && bad.what.contains(what),
        "{what}: {:#?}",
        report.findings
    );
}

#[track_caller]
pub(crate) fn in_order(report: &Report) {
    assert_eq!(report.verdict, Verdict::Ok, "{:#?}", report.findings);
}

#[tokio::test]
async fn r_41_the_erasure_of_a_sweep_is_found_by_what_stood_in_the_profile() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    let before = verified(&log.options(), &log.plan()).await.counts.openings;
    let spec = ContactSpec::new().name("Prova", "Persona").email("dora@people.example");
    let contact = service.platform.add_contact(spec);
    let case = service.submit_sweep(&contact, service.desk.clock.now()).await.request;
    service.work_to_the_end().await;
    service.sealer.seal_everything().await.unwrap();
    let mut connection = service.store.connection().await.unwrap();
    let asked = |text: &str| [SubjectIdentifier::parse(IdentifierKind::Email, text, None).unwrap()];
    let (keys, organisation) = (&service.desk.keys, &service.controller.id);
    let found = subject::find_cases(&mut connection, keys, organisation, &asked("Dora@people.example")).await;
    let found = found.unwrap();
    assert_eq!((found.len(), found[0].case, found[0].opens), (1, case, true));
    let nobody = subject::find_cases(&mut connection, keys, organisation, &asked("eva@people.example")).await;
    assert!(nobody.unwrap().is_empty());
    drop(connection);
    let report = verified(&log.options(), &log.plan()).await;
    in_order(&report);
    assert_eq!(report.counts.openings, before + 1, "the commitment stands in contact.located");
    let gone = format!("DELETE FROM audit_private.subject WHERE case_id = '{}'", case.0);
    execute(&log.options(), &gone).await.unwrap();
    self::found(&verified(&log.options(), &log.plan()).await, "the salts of its commitment are gone");
    // What was done after the tests' own witness of commits was removed is not for the oracle.
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn r_41_an_outsider_with_salt_and_identifier_recomputes_what_the_log_holds() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    let mut connection = service.store.connection().await.unwrap();
    let organisation = &service.controller.id;
    let kept = subject::openings(&mut connection, organisation, log.case).await.unwrap();
    assert_eq!(kept.len(), 1, "the erasure of cleo gave one address");
    let entry = format!(
        "SELECT convert_from(entry, 'UTF8')::json ->> 'subject_c' FROM audit.entry
         WHERE case_id = '{}' AND action = 'request.received'",
        log.case
    );
    let said = text(&log, &entry).await.unwrap();
    // As the guide tells it, with nothing of the program.
    let commitment = Sha256::new_with_prefix(b"dsr-audit/subject/v1\0")
        .chain_update(hex::decode(&kept[0].salt).unwrap())
        .chain_update(b"cleo@people.example")
        .finalize();
    assert_eq!(kept[0].commitment, hex::encode(commitment));
    let all = Sha256::new_with_prefix(b"dsr-audit/subjects/v1\0").chain_update(commitment).finalize();
    assert_eq!(said, hex::encode(all));

    // The question of the data protection office: by the identifier, in whatever spelling, and by nothing else.
    let asked = |text: &str| SubjectIdentifier::parse(IdentifierKind::Email, text, None).unwrap();
    let keys = &service.desk.keys;
    let hits =
        subject::find_cases(&mut connection, keys, organisation, &[asked(" CLEO@People.example ")]).await;
    let hits = hits.unwrap();
    assert_eq!((hits.len(), hits[0].case, hits[0].opens), (1, log.case, true));
    let nobody = [asked("dora@people.example")];
    assert!(subject::find_cases(&mut connection, keys, organisation, &nobody).await.unwrap().is_empty());
    let other = "other".parse().unwrap();
    let elsewhere = subject::find_cases(&mut connection, keys, &other, &[asked("cleo@people.example")]).await;
    assert!(elsewhere.unwrap().is_empty(), "another organisation has other tags");
    drop(connection);
    let report = verified(&log.options(), &log.plan()).await;
    in_order(&report);
    assert_eq!((report.counts.openings, report.counts.authorised_erasures), (3, 0), "{:?}", report.counts);
    log.service.finish().await;
}

#[tokio::test]
async fn s_45_salts_go_with_their_case_and_the_log_says_so() {
    let log = Log::of_a_real_run().await;
    assert_eq!(forget_now(&log).await, Forgotten::default(), "nothing is past its term on the first day");
    age_subjects(&log).await;
    let forgotten = forget_now(&log).await;
    assert_eq!(forgotten.unlinked, 3);
    assert_eq!(text(&log, "SELECT count(*)::text FROM audit_private.subject").await.unwrap(), "0");
    let told = text(
        &log,
        "SELECT string_agg(concat_ws(' ', actor, organisation_id, detail ->> 'kind', detail ->> 'rows', detail ->> 'rule'), ',')
         FROM audit_view.log WHERE action = 'log.redact' AND case_id IS NOT NULL",
    );
    let each = "process:upkeep main subject 1 evidence_term";
    assert_eq!(told.await.unwrap(), [each; 3].join(","));
    let report = verified(&log.options(), &log.plan()).await;
    in_order(&report);
    assert_eq!((report.counts.openings, report.counts.authorised_erasures), (0, 3), "{:?}", report.counts);
    assert_eq!(forget_now(&log).await.unlinked, 0, "once is enough");
    log.service.finish().await;
}

#[tokio::test]
async fn s_45_a_name_is_erased_with_an_entry_and_the_person_becomes_another_one() {
    let log = Log::of_a_real_run().await;
    for name in ["anna", "anna.as.dsrd", "anna.as.root", "annabella", "dsrd", "bea.as.anna"] {
        act_of_a_person(&log.service, name).await;
    }
    log.service.sealer.seal_everything().await.unwrap();
    let (at, actor) = (log.service.desk.clock.now(), Actor::Person("zoe".to_owned()));
    let erasing = Erasing { actor: &actor, at, rule: Rule::StaffLeft };
    let mut tx = log.service.store.begin("test").await.unwrap();
    assert!(forget::forget_person(&mut tx, "nobody", &erasing).await.unwrap().is_empty());
    let forgotten = forget::forget_person(&mut tx, "anna", &erasing).await.unwrap();
    assert_eq!(forgotten, ["anna", "anna.as.dsrd", "anna.as.root"], "one person under three accounts");
    tx.commit().await.unwrap();
    let left = "SELECT string_agg(name, ' ') FROM audit.names_of('anna') AS name";
    assert_eq!(text(&log, left).await, None);
    // What is not sealed yet is told as such.
    let unsealed = verified(&log.options(), &log.plan()).await;
    in_order(&unsealed);
    assert!(unsealed.findings.iter().any(|each| each.what.contains("not sealed yet")), "{unsealed:#?}");
    act_of_a_person(&log.service, "anna").await;
    log.service.sealer.seal_everything().await.unwrap();
    let report = verified(&log.options(), &log.plan()).await;
    in_order(&report);
    assert_eq!(report.counts.authorised_erasures, 3, "an entry each");
    let shown = text(
        &log,
        "SELECT string_agg(CASE WHEN actor ~ '^person:[0-9a-f]{32}$' THEN 'nobody' ELSE actor END, ' ' ORDER BY seq)
         FROM audit_view.log WHERE actor LIKE 'person:%' AND action = 'request.read'",
    );
    assert_eq!(
        shown.await.unwrap(),
        "nobody nobody nobody person:annabella person:dsrd person:bea.as.anna person:anna",
        "whoever comes back is somebody new"
    );
    // Named as entries show it: the same person.
    let mut tx = log.service.store.begin("test").await.unwrap();
    act_of_a_person(&log.service, "bea").await;
    let forgotten = forget::forget_person(&mut tx, "bea.as.anna", &erasing).await.unwrap();
    assert_eq!(forgotten, ["bea", "bea.as.anna"]);
    drop(tx);
    log.service.finish().await;
}

/// Statements about holds with their guards off, which are on again afterwards as they were shipped.
pub(crate) fn of_holds(statements: &str) -> String {
    format!(
        "ALTER TABLE audit.hold DISABLE TRIGGER USER; {statements};
         ALTER TABLE audit.hold ENABLE ALWAYS TRIGGER hold_row_stays;
         ALTER TABLE audit.hold ENABLE ALWAYS TRIGGER hold_is_only_lifted;
         ALTER TABLE audit.hold ENABLE ALWAYS TRIGGER hold_stays"
    )
}

#[tokio::test]
async fn s_40_what_is_erased_without_an_entry_is_found_and_named() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    act_of_a_person(service, "anna").await;
    let (at, dpo) = (service.desk.clock.now(), Actor::Person("anna".to_owned()));
    let mut tx = service.store.begin("test").await.unwrap();
    let day = at.date_naive();
    forget::set_hold(&mut tx, HoldReason::CourtOrClaim, (Some(day), None), &dpo, at).await.unwrap();
    tx.commit().await.unwrap();
    log.page_of_a_sweep().await;
    log.rest().await;
    in_order(&verified(&log.options(), &log.plan()).await);
    for (statement, what) in [
        (
            "DELETE FROM audit_private.subject WHERE kind = 'email'".to_owned(),
            "the salts of its commitment are gone",
        ),
        ("UPDATE audit_private.subject SET commitment = sha256(salt)".to_owned(), "they were changed"),
        ("DELETE FROM audit_private.actor".to_owned(), "the name of its actor is gone"),
        (
            "DELETE FROM audit_private.manifest_item".to_owned(),
            "the salts of 1 items of pages of sweeps are gone, and signed entries of the log allow 0",
        ),
        (of_holds("DELETE FROM audit.hold"), "not in the table of holds"),
        (of_holds("UPDATE audit.hold SET lifted_at = now(), lifted_by = set_by"), "says otherwise"),
        (of_holds("UPDATE audit.hold SET hold_id = gen_random_uuid()"), "not in the table of holds"),
        (of_holds("UPDATE audit.hold SET until_on = '2020-01-01'"), "up to which day its hold is in force"),
        (of_holds("UPDATE audit.hold SET review_on = '2099-01-01'"), "when its hold is to be reviewed"),
        (of_holds("UPDATE audit.hold SET reason = 'security_incident'"), "why its hold was set"),
        (of_holds("UPDATE audit.hold SET set_by = 'process:upkeep'"), "by whom or when its hold was set"),
    ] {
        let copy = log.copy().await;
        copy.tamper(&statement).await.unwrap();
        found(&verified(&copy.options, &log.plan()).await, what);
        copy.drop().await;
    }
    // The definition of what guards them is attested, too.
    for statement in [
        "ALTER TABLE audit.hold DISABLE TRIGGER hold_is_only_lifted",
        "GRANT DELETE ON audit_private.subject TO aud_eraser",
        "GRANT SELECT ON audit_private.subject TO auditor",
        "CREATE OR REPLACE FUNCTION audit.is_held() RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "ALTER FUNCTION audit.prune(uuid) SECURITY INVOKER",
        "CREATE OR REPLACE VIEW audit.known_actor AS SELECT DISTINCT actor AS actor_id FROM audit.entry",
    ] {
        let copy = log.copy().await;
        copy.tamper(statement).await.unwrap();
        let report = verified(&copy.options, &log.plan()).await;
        assert_eq!(report.first_bad().map(|bad| bad.step), Some(Step::Catalogue), "{statement}: {report:#?}");
        copy.drop().await;
    }
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn s_39_no_role_erases_or_prunes_but_through_the_functions_that_say_so() {
    let log = Log::of_a_real_run().await;
    let refused = [
        ("auditor", "SELECT FROM audit_private.subject"),
        ("auditor", "SELECT FROM audit_private.actor"),
        ("auditor", "SELECT audit.prune(gen_random_uuid())"),
        ("auditor", "SELECT audit.forget_person('anna', 'x', 'process:x', now())"),
        ("auditor", "SELECT audit.names_of('anna')"),
        ("aud_reader", "SELECT audit.cut_partition()"),
        ("aud_eraser", "DELETE FROM audit_private.subject"),
        ("aud_eraser", "DELETE FROM audit_private.actor"),
        ("aud_writer", "SELECT audit.erase_subjects('main', NULL, now(), 1, 'x', 'process:x', now())"),
        ("aud_sealer", "SELECT audit.prune(gen_random_uuid())"),
        ("aud_sealer", "UPDATE audit.layout SET partition_width = 256"),
        ("dsrd_service", "DELETE FROM audit_private.subject"),
        ("dsrd_service", "UPDATE audit_private.subject SET erase_after = now()"),
        ("dsrd_service", "UPDATE audit.hold SET lifted_at = now()"),
        ("dsrd_service", "INSERT INTO audit.hold (hold_id) VALUES (gen_random_uuid())"),
        ("dsrd_service", "SELECT audit.write_entry('log.redact', 'process:x', now(), NULL, NULL, '{}')"),
        (
            "dsrd_producer",
            "SELECT audit.set_hold(gen_random_uuid(), 'court_or_claim', now()::date, NULL, 'process:x', now())",
        ),
    ];
    for (role, statement) in refused {
        let done = execute(&log.options(), &format!("SET ROLE {role}; {statement}")).await;
        let error = done.expect_err(statement).to_string();
        assert!(error.contains("permission denied"), "{role}: {statement}: {error}");
    }
    // Not even a superuser, by accident.
    for statement in [
        "DELETE FROM audit.hold WHERE false; TRUNCATE audit.hold",
        "UPDATE audit.layout SET partition_width = 256",
        "DELETE FROM audit.layout",
    ] {
        let error = execute(&log.options(), statement).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    log.service.finish().await;
}

pub(crate) fn sealer_settings() -> dsrd::store::Settings {
    dsrd::store::Settings {
        url_file: None,
        url: None,
        max_connections: 1,
        statement_timeout_secs: 30,
        acquire_timeout_secs: 30,
        migrate_at_start: false,
        embedded_binaries_dir: None,
    }
}

#[tokio::test]
async fn s_40_an_entry_that_lets_others_go_is_not_believed_because_it_is_signed() {
    let log = Log::of_a_real_run().await;
    let at: DateTime<Utc> = log.service.desk.clock.now();
    // Whoever may write to the inbox has anything signed that has the form of an entry.
    let detail = Detail::none()
        .count("first", 1)
        .count("last", 24)
        .count("months", 24)
        .word("sealed_up_to", &(at - TimeDelta::days(800)).to_rfc3339_opts(SecondsFormat::Secs, true));
    let mut tx = log.service.store.begin("test").await.unwrap();
    append_about_log(&mut tx, Action::LogPrune, Actor::Process("thief"), at, detail).await.unwrap();
    tx.commit().await.unwrap();
    log.service.sealer.seal_everything().await.unwrap();
    log.rest().await;
    in_order(&verified(&log.options(), &log.plan()).await);
    for (seqs, severity, place, what) in [
        ("20 AND 24", Severity::Violation, "entries 20 to 24", "gone from between others"),
        ("1 AND 24", Severity::Undecided, "entry 25", "younger entries went, too"),
        ("1 AND 8", Severity::Undecided, "entry 9", "younger entries went, too"),
    ] {
        let copy = log.copy().await;
        let deed = format!("DELETE FROM audit.entry WHERE seq BETWEEN {seqs}");
        copy.tamper(&unguarded(&deed)).await.unwrap();
        let report = verified(&copy.options, &log.plan()).await;
        let told = report.findings.iter().any(|each| {
            each.severity == severity
                && each.step == Step::Absence
                && each.place == place
                && each.what.contains(what)
        });
        assert!(told && report.verdict != Verdict::Ok, "{seqs}: {report:#?}");
        copy.drop().await;
    }
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn a_hold_keeps_everything_until_it_is_lifted() {
    let log = Log::narrow().await;
    // Afterwards the log has forgotten what the oracle asks for.
    oracle::check(&log.service).await;
    fill_earlier(&log, 600, 40).await;
    age(&log, 512, 40).await;
    age_subjects(&log).await;
    let service = &log.service;
    let dpo = Actor::Person("anna".to_owned());
    let mut tx = service.store.begin("test").await.unwrap();
    let at = service.desk.clock.now();
    let neither =
        forget::set_hold(&mut tx, HoldReason::CourtOrClaim, (None, None), &dpo, at).await.unwrap_err();
    assert_eq!(neither.constraint(), Some("a_hold_ends_or_is_reviewed"));
    drop(tx);
    // The database asks its own clock.
    let review = SystemClock.now().date_naive();
    let mut tx = service.store.begin("test").await.unwrap();
    let reason = HoldReason::SupervisoryAuthority;
    let over = review.pred_opt();
    forget::set_hold(&mut tx, reason, (None, over), &dpo, at).await.unwrap();
    assert!(!forget::is_held(&mut tx).await.unwrap(), "its last day is over");
    let hold = forget::set_hold(&mut tx, reason, (Some(review), None), &dpo, at).await.unwrap();
    assert!(forget::is_held(&mut tx).await.unwrap());
    let erasing = Erasing { actor: &dpo, at, rule: Rule::StaffLeft };
    let refused = forget::forget_person(&mut tx, "anna", &erasing).await.unwrap_err();
    assert!(refused.to_string().contains("55006"), "{refused}");
    drop(tx);
    let mut tx = service.store.begin("test").await.unwrap();
    let hold_again = forget::set_hold(&mut tx, reason, (Some(review), None), &dpo, at).await.unwrap();
    assert_ne!(hold, hold_again);
    tx.commit().await.unwrap();

    let forgotten = forget_now(&log).await;
    assert_eq!(forgotten, Forgotten::default(), "nothing goes while the log is held");
    assert_eq!(forget_now(&log).await, Forgotten::default(), "nor later");

    let mut tx = service.store.begin("test").await.unwrap();
    assert!(forget::lift_hold(&mut tx, hold_again, &dpo, at).await.unwrap());
    assert!(!forget::lift_hold(&mut tx, hold_again, &dpo, at).await.unwrap(), "once");
    tx.commit().await.unwrap();
    let first = forget_now(&log).await;
    assert_eq!((first.unlinked, first.announced, first.pruned), (3, 512, 0), "announced by one run");
    let second = forget_now(&log).await;
    assert_eq!((second.unlinked, second.announced, second.pruned), (0, 0, 512), "dropped by the next");
    let report = verified(&log.options(), &log.plan()).await;
    in_order(&report);
    let mut connection = service.store.connection().await.unwrap();
    let holds = forget::list_holds(&mut connection).await.unwrap();
    assert!(holds.iter().all(|hold| !hold.in_force && hold.set_by == "person:anna"), "{holds:?}");
    drop(connection);
    log.service.simulator.shutdown().await;
}
