//! how requests are answered, counted from the log.

use chrono::{Days, NaiveDate, TimeDelta};
use dsrd::audit::Actor;
use dsrd::delivery;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{Clock as _, IdentifierKind, RefusalGround, RequestId, RequestKind};
use dsrd::figures::{self, Figures, Question};
use dsrd::upkeep::{Settings, Upkeep};
use dsrd::{intake, triage};
use dsrd_simulator::ContactSpec;

use crate::deadlines::{ask, clarified, extend, move_to, received, under};
use crate::support::service::TestService;

const SHARED_PHONE: &str = "+39 333 7654321";

/// Hands in a request that reached the controller so many days ago.
async fn submit(
    service: &TestService,
    kind: RequestKind,
    by: (IdentifierKind, &str),
    days: u64,
) -> RequestId {
    let mut submission = service.submission(kind, &[by]);
    submission.received_at = service.clock.now() - Days::new(days);
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await;
    receipt.unwrap().request
}

fn today(service: &TestService) -> NaiveDate {
    service.controller.local_date(service.clock.now())
}

fn question(service: &TestService, today: NaiveDate) -> Question {
    Question {
        organisation: service.controller.id.clone(),
        since: today - Days::new(60),
        until: today + Days::new(1),
        zone: service.controller.time_zone,
        today,
    }
}

async fn count(service: &TestService, question: &Question) -> Figures {
    service.sealer.seal_everything().await.unwrap();
    let mut connection = service.store.connection().await.unwrap();
    figures::figures(&mut connection, question).await.unwrap()
}

/// One hundred requests: 40 opt-outs answered after 1 to 40 days, 20 access requests without data after 5, 10 erasures
/// after 2, 5 access requests refused after 10; 10 were withdrawn, 5 wait for a person for 35 days, 10 are three days old.
async fn a_hundred_requests(service: &TestService) {
    for days in 1..=40 {
        let address = format!("canarino.optout.{days}@posta.example");
        submit(service, RequestKind::OptOut, (Email, &address), days).await;
    }
    for number in 0..20 {
        let address = format!("canarino.access.{number}@posta.example");
        submit(service, RequestKind::Access, (Email, &address), 5).await;
    }
    for number in 0..10 {
        let address = format!("canarino.erasure.{number}@posta.example");
        let _contact = service.platform.add_contact(ContactSpec::new().email(&address));
        submit(service, RequestKind::Erasure, (Email, &address), 2).await;
    }
    for address in ["canarino.one@posta.example", "canarino.two@posta.example"] {
        let _contact = service.platform.add_contact(ContactSpec::new().email(address).phone(SHARED_PHONE));
    }
    let mut refused = Vec::new();
    for _ in 0..5 {
        let mut submission = service
            .submission(RequestKind::Access, &[(Phone, SHARED_PHONE), (Email, "canarino.one@posta.example")]);
        submission.received_at = service.clock.now() - Days::new(10);
        let receipt =
            intake::submit_request(&service.store, &service.desk, &service.controller, submission).await;
        refused.push(receipt.unwrap().request);
        submit(service, RequestKind::Erasure, (Phone, SHARED_PHONE), 35).await;
    }
    service.work_to_the_end().await;
    let person = || Actor::Person("dpo".to_owned());
    for request in refused {
        let facts = triage::Facts::read("the same request was answered yesterday").unwrap();
        let mut tx = service.store.begin("test.refuse").await.unwrap();
        let (desk, organisation) = (&service.desk, &service.controller.id);
        let ground = RefusalGround::ManifestlyUnfounded;
        triage::refuse(&mut tx, desk, organisation, request, ground, Some(facts), person()).await.unwrap();
        tx.commit().await.unwrap();
    }
    service.work_to_the_end().await;
    for number in 0..10 {
        let address = format!("canarino.withdrawn.{number}@posta.example");
        let request = submit(service, RequestKind::Access, (Email, &address), 20).await;
        let mut tx = service.store.begin("test.withdraw").await.unwrap();
        intake::withdraw(&mut tx, &service.desk, &service.controller, request, person()).await.unwrap();
        tx.commit().await.unwrap();
    }
    service.pump().await;
    for number in 0..10 {
        let address = format!("canarino.young.{number}@posta.example");
        submit(service, RequestKind::Access, (Email, &address), 3).await;
    }
}

#[tokio::test]
async fn r_7_a_hundred_requests_give_exact_percentages() {
    let service = TestService::start().await;
    // Working to the end lets hours pass; the figures are those of the day of the start.
    let day = today(&service);
    a_hundred_requests(&service).await;
    assert_eq!(today(&service), day, "the clock stayed within the day");
    let figures = count(&service, &question(&service, day)).await;
    let all = &figures.all;
    assert_eq!((all.received, all.answered, all.open, all.overdue), (100, 75, 15, 5), "{figures:#?}");
    let month = all.within_1_month;
    assert_eq!((month.count, month.of, month.percent), (66, 80, Some(82.5)), "31 of 40 opt-outs, all others");
    let three = all.within_3_months;
    assert_eq!((three.count, three.of, three.percent), (75, 75, Some(100.0)));
    assert_eq!((all.median_days, all.p90_days), (Some(8.0), Some(33)));
    let outcome = |word: &str| all.outcomes.get(word).copied().unwrap_or_default();
    assert_eq!(
        ["fulfilled", "fulfilled_no_data", "refused", "withdrawn"].map(outcome),
        [10, 60, 5, 10],
        "{figures:#?}"
    );
    assert_eq!(all.refused_on, [("RF-01".to_owned(), 5)].into());
    let kinds: Vec<(&str, u64)> =
        figures.by_kind.iter().map(|(kind, block)| (kind.as_str(), block.received)).collect();
    assert_eq!(kinds, [("access", 45), ("erasure", 15), ("opt_out", 40)]);
    assert_eq!(figures.by_kind["opt_out"].within_1_month.percent, Some(77.5));
    assert_eq!((figures.covered_since, figures.dated_by_entry), (None, 0));
    service.finish().await;
}

#[tokio::test]
async fn r_70_the_figures_of_a_period_are_the_same_after_its_cases_were_purged() {
    let service = TestService::start().await;
    let day = today(&service);
    for days in [1, 9, 40] {
        let address = format!("canarino.{days}@posta.example");
        submit(&service, RequestKind::OptOut, (Email, &address), days).await;
    }
    let contact = service.platform.add_contact(ContactSpec::new().email("canarino.old@posta.example"));
    service.submit_sweep(&contact, service.clock.now() + TimeDelta::days(1)).await;
    service.work_to_the_end().await;
    let before = count(&service, &question(&service, day)).await;
    assert_eq!((before.all.answered, before.sweeps.submitted, before.sweeps.ended), (3, 1, 1));

    service.clock.advance(TimeDelta::days(365 * 4));
    let settings =
        Settings { identifiers_days: 30, contact_ids_days: 65, evidence_months: 36, log_months: 36 };
    let upkeep = Upkeep { store: service.store.clone(), desk: service.desk.clone(), settings };
    let directory = &service.executor.packages.report.directory;
    delivery::destroy_expired(&service.store, directory, service.clock.now()).await.unwrap();
    let forgotten = upkeep.run(&Actor::Process("upkeep")).await.unwrap();
    assert_eq!(forgotten.requests, 4, "no case is left");
    // The oracle compares with cases, and there are none.
    assert_eq!(count(&service, &question(&service, day)).await, before);
}

#[tokio::test]
async fn r_6_r_7_a_request_whose_date_was_moved_is_overdue_after_that_date_only() {
    let service = under("EU-suspend", "IT", chrono_tz::Europe::Rome, "2026-11-23T11:00:00Z").await;
    let extended = received(&service, "2026-11-23T09:00:00Z").await;
    let paused = received(&service, "2026-11-23T09:00:00Z").await;
    extend(&service, extended).await.unwrap();
    ask(&service, paused).await.unwrap();
    service.pump().await;
    move_to(&service, "2026-12-13T11:00:00Z");
    clarified(&service, paused, Some("2026-12-13T10:00:00Z")).await.unwrap();
    let stored = async |request| service.case(request).await.due_on;
    let (last_of_paused, last_of_extended) = (stored(paused).await, stored(extended).await);
    let first: NaiveDate = "2026-12-23".parse().unwrap();
    assert!(first < last_of_paused && last_of_paused < last_of_extended);
    for (day, overdue) in [
        (first + Days::new(1), 0),
        (last_of_paused, 0),
        (last_of_paused + Days::new(1), 1),
        (last_of_extended, 1),
        (last_of_extended + Days::new(1), 2),
    ] {
        let question = Question { until: day, ..question(&service, day) };
        let question = Question { since: "2026-11-01".parse().unwrap(), ..question };
        assert_eq!(count(&service, &question).await.all.overdue, overdue, "{day}");
    }
}
