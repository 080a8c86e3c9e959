//! Who did something and whom an entry is about: what stands beside the log, how far `verify` covers it, and where it ends (S-40).

use dsrd::audit::forget::{self, HoldReason};
use dsrd::audit::verify::Severity;
use dsrd::audit::{Actor, subject};
use dsrd::domain::{IdentifierKind, SubjectIdentifier};

use crate::forgetting::{act_of_a_person, age_subjects, found, in_order, of_holds, text};
use crate::log::{Log, execute, verified};

#[tokio::test]
async fn s_40_an_erasure_in_a_hold_is_found_though_the_hold_was_put_back() {
    let log = Log::of_a_real_run().await;
    let (at, dpo) = (log.service.desk.clock.now(), Actor::Person("anna".to_owned()));
    let mut tx = log.service.store.begin("test").await.unwrap();
    forget::set_hold(&mut tx, HoldReason::CourtOrClaim, (Some(at.date_naive()), None), &dpo, at)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    log.service.sealer.seal_everything().await.unwrap();
    age_subjects(&log).await;
    let deed = "UPDATE audit.hold SET until_on = '2020-01-01';
                SELECT audit.erase_subjects('main', NULL, now(), 1, 'evidence_term', 'process:upkeep',
                                           (SELECT max(at) FROM audit.entry));
                UPDATE audit.hold SET until_on = NULL";
    execute(&log.options(), &of_holds(deed)).await.unwrap();
    log.service.sealer.seal_everything().await.unwrap();
    let report = verified(&log.options(), &log.plan()).await;
    found(&report, "it tells of an erasure while the hold of entry");
    let violations = report.findings.iter().filter(|each| each.severity == Severity::Violation).count();
    assert_eq!((violations, report.counts.authorised_erasures), (1, 0), "{report:#?}");
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn what_ties_entries_to_people_is_bound_by_no_signature_and_the_report_says_so() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    for login in ["anna", "bea"] {
        act_of_a_person(service, login).await;
    }
    service.sealer.seal_everything().await.unwrap();
    let cleo = [SubjectIdentifier::parse(IdentifierKind::Email, "cleo@people.example", None).unwrap()];
    let asked = async || {
        let mut connection = service.store.connection().await.unwrap();
        let found =
            subject::find_cases(&mut connection, &service.desk.keys, &service.controller.id, &cleo).await;
        found.unwrap().iter().map(|found| found.opens).collect::<Vec<_>>()
    };
    assert_eq!(asked().await, [true]);
    let who = "SELECT string_agg(actor, ' ' ORDER BY seq) FROM audit_view.log WHERE actor LIKE 'person:%' AND action = 'request.read'";
    assert_eq!(text(&log, who).await.unwrap(), "person:anna person:bea");
    for (statement, opens) in [
        // Another person is blamed for what they did.
        (
            "UPDATE audit_private.actor SET name = 'zoe' WHERE name = 'anna';
             UPDATE audit_private.actor SET name = 'anna' WHERE name = 'bea';
             UPDATE audit_private.actor SET name = 'bea' WHERE name = 'zoe'",
            &[true][..],
        ),
        // Who asks with the identifier sees that the salt was changed; a case whose tag was changed is found by nobody.
        ("UPDATE audit_private.subject SET salt = sha256(salt)", &[false]),
        ("UPDATE audit_private.subject SET tag = sha256(tag)", &[]),
    ] {
        execute(&log.options(), statement).await.unwrap();
        let report = verified(&log.options(), &log.plan()).await;
        in_order(&report);
        assert_eq!(report.counts.openings, 3, "they are there, and that is all that is counted");
        assert!(
            report.still_possible.contains("no signature covers what they say"),
            "{}",
            report.still_possible
        );
        assert_eq!(asked().await, opens, "{statement}");
    }
    assert_eq!(text(&log, who).await.unwrap(), "person:bea person:anna");
    log.service.simulator.shutdown().await;
}
