//! an invented contact is taken through its rights every day, by the way that everybody goes.

use std::sync::Arc;

use chrono::{Days, TimeDelta};
use dsrd::alert::{self, Ward};
use dsrd::audit::Actor;
use dsrd::delivery::MemoryTransport;
use dsrd::domain::IdentifierKind::{Email, ExternalId};
use dsrd::domain::{
    AlertRule, Channel, Clock as _, Origin, Outcome, ParkReason, RequestId, RequestKind, RequestState,
    SelfTestFinding,
};
use dsrd::figures::{self, Question};
use dsrd::intake::{self, Case, Submission};
use dsrd::recipients::ChannelKind;
use dsrd::self_test::{Run, SelfTester, Settings, Turn};
use dsrd_simulator::{ContactSpec, Fault};

use crate::recipients::recipient;
use crate::rig::count;
use crate::support::alerts::{self, to_dpo, ward};
use crate::support::service::TestService;

const EMAIL: &str = "privacy+dsrd-self-test@prova.example";
const EXTERNAL: &str = "dsrd-self-test-1";
const POLICY: &str = "mktgCommunications";

pub(crate) fn invented() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Inventato")
        .email(EMAIL)
        .ext_id(EXTERNAL)
        .policy(POLICY, true)
        .events(2)
}

pub(crate) fn settings(kinds: &[RequestKind]) -> Settings {
    Settings {
        enabled: true,
        kinds: kinds.to_vec(),
        email: Some(EMAIL.to_owned()),
        phone: None,
        username: None,
        external_id: Some(EXTERNAL.to_owned()),
        schedule: "30 4 * * *".to_owned(),
        // Hours pass where something has to be tried again.
        limit_minutes: 600,
    }
}

pub(crate) fn tester(service: &TestService, settings: &Settings) -> SelfTester {
    let plan = settings.plan(service.controller.time_zone, None).unwrap().expect("switched on");
    SelfTester {
        store: service.store.clone(),
        desk: service.desk.clone(),
        controller: Arc::clone(&service.controller),
        plan,
    }
}

const DAILY: [RequestKind; 2] = [RequestKind::OptOut, RequestKind::Access];

/// Lets time pass until a run has begun, as the daemon looks every minute.
async fn begin(service: &TestService, tester: &SelfTester) -> Turn {
    for _ in 0..25 {
        let turn = tester.turn().await.unwrap();
        if turn.begun {
            return turn;
        }
        service.clock.advance(TimeDelta::hours(1));
    }
    panic!("no run began within a day");
}

async fn cases(service: &TestService) -> Vec<Case> {
    let mut connection = service.store.connection().await.unwrap();
    let organisation = &service.controller.id;
    intake::list_cases(&mut connection, organisation, None, Some(Origin::SelfTest), 100).await.unwrap()
}

async fn resume(service: &TestService, request: RequestId) {
    let mut tx = service.store.begin("test").await.unwrap();
    let by = Actor::Person("dpo".to_owned());
    intake::resume(&mut tx, &service.desk, &service.controller.id, request, by).await.unwrap();
    tx.commit().await.unwrap();
}

async fn alerts(service: &TestService) -> (usize, Vec<AlertRule>) {
    let settings = alert::Settings {
        operator: Some("operator@prova.example".to_owned()),
        due_days: vec![10],
        ..to_dpo()
    };
    let ward = Ward { sweeps: false, ..ward(service, settings) };
    let watch = alerts::watch(service, ward, &MemoryTransport::new());
    let raised = watch.turn().await.unwrap().alerts;
    let mut connection = service.store.connection().await.unwrap();
    let listed = alert::list_alerts(&mut connection, &service.controller.id, false, service.clock.now())
        .await
        .unwrap();
    (raised, listed.into_iter().map(|each| each.rule).collect())
}

async fn acknowledge_all(service: &TestService) {
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, now) = (&service.controller.id, service.clock.now());
    for listed in alert::list_alerts(&mut tx, organisation, false, now).await.unwrap() {
        let by = Actor::Person("dpo".to_owned());
        alert::acknowledge(&mut tx, organisation, listed.alert, by, now).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn r_85_an_invented_contact_goes_through_its_rights_every_day_and_each_is_read_back_and_told() {
    let service = TestService::builder().recipients(vec![recipient("crm", ChannelKind::Mail)]).build().await;
    let contact = service.platform.add_contact(invented());
    let tester = tester(&service, &settings(&DAILY));
    assert_eq!(tester.turn().await.unwrap(), Turn::default(), "it is noon, and it begins at half past four");
    service.clock.advance(TimeDelta::hours(18));
    // Two daemons look at the same moment.
    let both = tokio::join!(tester.turn(), tester.turn());
    assert_eq!(usize::from(both.0.unwrap().begun) + usize::from(both.1.unwrap().begun), 1);
    let begun = cases(&service).await;
    let kinds: Vec<RequestKind> = begun.iter().map(|case| case.kind).collect();
    assert_eq!(begun.len(), 2, "{kinds:?}");
    assert_eq!(tester.turn().await.unwrap(), Turn::default(), "neither ended nor over");
    service.work_to_the_end().await;
    let [run] = tester.turn().await.unwrap().ended.try_into().unwrap();
    assert!(run.passed(), "{run:?}");
    assert_eq!(tester.turn().await.unwrap(), Turn::default(), "judged once, and one run a day");
    // The real way: the platform was changed, the mailbox got everything that a person gets.
    assert_eq!(service.platform.truth(&contact).unwrap().policy(POLICY), Some(false));
    let mails = service.mails.sent_to(EMAIL);
    assert_eq!(mails.len(), 4, "two acknowledgements, two answers");
    assert!(mails.iter().any(|mail| mail.link.is_some()), "the package is offered");
    // Nobody else's lists know of it.
    for statement in [
        "SELECT count(*) FROM dsrd.suppression",
        "SELECT count(*) FROM dsrd.look",
        "SELECT count(*) FROM dsrd.recipient_task",
        "SELECT count(*) FROM dsrd.request WHERE origin <> 'self_test'",
    ] {
        assert_eq!(count(&service, statement).await, 0, "{statement}");
    }
    let today = service.controller.local_date(service.clock.now());
    let question = Question {
        organisation: service.controller.id.clone(),
        since: today - Days::new(30),
        until: today + Days::new(1),
        zone: service.controller.time_zone,
        today,
    };
    let log = service.audit().await;
    let mut connection = service.store.connection().await.unwrap();
    let figures = figures::figures(&mut connection, &question).await.unwrap();
    drop(connection);
    assert_eq!((figures.all.received, figures.by_kind.len()), (0, 0), "no person asked");
    assert_eq!((figures.self_tests.ended, figures.self_tests.failed), (1, 0));
    let received = log.iter().find(|entry| entry.action == "request.received").unwrap();
    assert_eq!(
        (received.actor.as_str(), &received.detail["channel"]),
        ("schedule:self_test", &"self_test".into())
    );
    let ended = log.iter().find(|entry| entry.action == "self_test.ended").unwrap();
    assert_eq!((&ended.detail["opt_out"], &ended.detail["access"]), (&"passed".into(), &"passed".into()));
    assert_eq!(alerts(&service).await, (0, vec![]));

    // The next day again: not as a reminder of the day before, nor as its repetition.
    service.clock.advance(TimeDelta::hours(12));
    begin(&service, &tester).await;
    assert_eq!(cases(&service).await.iter().filter(|case| case.state != RequestState::Closed).count(), 2);
    service.work_to_the_end().await;
    assert!(tester.turn().await.unwrap().ended.iter().all(Run::passed));
    service.finish().await;
}

#[tokio::test]
async fn r_85_a_right_that_is_not_carried_out_in_its_time_is_told_to_staff_until_it_is() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(invented());
    let tester = tester(&service, &settings(&[RequestKind::OptOut]));
    // The platform says yes and does nothing: what vendors' tools did in the cases that authorities decided.
    let broken = service.simulator.faults().inject(Fault::PolicyNotApplied);
    begin(&service, &tester).await;
    service.work_to_the_end().await;
    let [parked] = cases(&service).await.try_into().unwrap();
    assert_eq!(parked.park_reason, Some(ParkReason::VerificationFailed));
    service.clock.advance(TimeDelta::hours(10));
    let [run] = tester.turn().await.unwrap().ended.try_into().unwrap();
    assert_eq!(run.findings, [(RequestKind::OptOut, SelfTestFinding::NotInTime)]);
    let (_, rules) = alerts(&service).await;
    assert!(rules.contains(&AlertRule::SelfTestFailed), "{rules:?}");
    acknowledge_all(&service).await;

    // While it stands, no second one is piled upon it; and each day's failure is told anew.
    service.clock.advance(TimeDelta::hours(12));
    let [run] = begin(&service, &tester).await.ended.try_into().unwrap();
    assert_eq!(run.findings, [(RequestKind::OptOut, SelfTestFinding::EarlierOpen)]);
    assert_eq!(cases(&service).await.len(), 1);
    let (_, rules) = alerts(&service).await;
    assert!(rules.contains(&AlertRule::SelfTestFailed), "{rules:?}");

    // Mended, and too late for its day: the next one passes, and nothing is raised any more.
    service.simulator.faults().remove(broken);
    service.platform.set_policy(&contact, POLICY, false);
    resume(&service, parked.request).await;
    service.work_to_the_end().await;
    service.clock.advance(TimeDelta::hours(12));
    begin(&service, &tester).await;
    service.work_to_the_end().await;
    assert!(tester.turn().await.unwrap().ended.iter().all(Run::passed));
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(alerts(&service).await.0, 0);
    // Nobody begins runs any more: that is told, too.
    service.clock.advance(TimeDelta::days(2));
    let (raised, rules) = alerts(&service).await;
    assert_eq!((raised, rules), (1, vec![AlertRule::SelfTestFailed]));
    service.finish().await;
}

#[tokio::test]
async fn r_85_nobody_but_the_contact_that_carries_everything_is_touched() {
    let service = TestService::start().await;
    // The address is there, and on a contact without the other identifier of the settings.
    let somebody = service.platform.add_contact(ContactSpec::new().email(EMAIL).policy(POLICY, true));
    let tester = tester(&service, &settings(&[RequestKind::OptOut]));
    begin(&service, &tester).await;
    service.work_to_the_end().await;
    let [case] = cases(&service).await.try_into().unwrap();
    assert_eq!(case.park_reason, Some(ParkReason::IdentifiersDisagree));
    assert_eq!(service.platform.truth(&somebody).unwrap().policy(POLICY), Some(true));
    service.finish().await;

    // Nobody is there at all: an answer of "nothing held" is no success of a self-test.
    let service = TestService::start().await;
    let tester = self::tester(&service, &settings(&[RequestKind::Access]));
    begin(&service, &tester).await;
    service.work_to_the_end().await;
    let [run] = tester.turn().await.unwrap().ended.try_into().unwrap();
    assert_eq!(run.findings, [(RequestKind::Access, SelfTestFinding::NobodyFound)]);
    service.finish().await;
}

#[tokio::test]
async fn r_85_an_erasure_is_tried_where_the_settings_say_so_and_by_nothing_else() {
    let service = TestService::start().await;
    let all = [RequestKind::Erasure, RequestKind::Access, RequestKind::OptOut];
    let tester = tester(&service, &settings(&all));
    let first = service.platform.add_contact(invented());
    begin(&service, &tester).await;
    service.work_to_the_end().await;
    let [run] = tester.turn().await.unwrap().ended.try_into().unwrap();
    assert!(run.passed() && run.findings.len() == 3, "{run:?}");
    assert!(service.platform.truth(&first).is_none_or(|truth| !truth.exists), "erased at the platform");
    // Made anew by the controller, it is no return of somebody who was erased.
    let second = service.platform.add_contact(invented());
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.look").await, 0);

    // The origin alone deletes nobody: no run says that it may.
    let forged = Submission {
        origin: Origin::SelfTest,
        channel: Channel::SelfTest,
        proof: None,
        ..service.submission(RequestKind::Erasure, &[(Email, EMAIL), (ExternalId, EXTERNAL)])
    };
    let forged =
        intake::submit_request(&service.store, &service.desk, &service.controller, forged).await.unwrap();
    service.work_to_the_end().await;
    let case = service.case(forged.request).await;
    assert_ne!(case.outcome, Some(Outcome::Fulfilled));
    assert!(service.platform.truth(&second).is_some_and(|truth| truth.exists), "it is still there");
    service.finish().await;
}

#[tokio::test]
async fn f_48_a_clock_that_was_ahead_stops_no_self_test_and_hides_no_failure() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(invented());
    let tester = tester(&service, &settings(&[RequestKind::OptOut]));
    assert_eq!(tester.turn().await.unwrap(), Turn::default());
    // As a daemon leaves it whose clock was more than a year ahead for a while: a run that passed, and the next due time.
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query(
        "INSERT INTO dsrd.self_test (organisation_id, run_on, request_ids, erases, begun_at, due_at, settled_at, passed, findings)
         VALUES ($1, $2::timestamptz::date, '{}', false, $2, $2 + interval '1 hour', $2 + interval '1 hour', true, '{opt_out:passed}')",
    )
    .bind(service.controller.id.as_str())
    .bind(service.clock.now() + TimeDelta::days(400))
    .execute(&mut *connection)
    .await
    .unwrap();
    sqlx::query("UPDATE dsrd.schedule SET next_run_at = next_run_at + interval '400 days'")
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);

    service.simulator.faults().inject(Fault::PolicyNotApplied);
    begin(&service, &tester).await;
    service.work_to_the_end().await;
    service.clock.advance(TimeDelta::hours(10));
    let [run] = tester.turn().await.unwrap().ended.try_into().unwrap();
    assert_eq!(run.findings, [(RequestKind::OptOut, SelfTestFinding::NotInTime)]);
    let (_, rules) = alerts(&service).await;
    assert!(rules.contains(&AlertRule::SelfTestFailed), "{rules:?}");
    service.finish().await;
}

#[tokio::test]
async fn r_85_a_failure_is_listed_as_open_no_longer_than_until_the_next_run_passes() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(invented());
    let tester = tester(&service, &settings(&[RequestKind::OptOut]));
    let broken = service.simulator.faults().inject(Fault::PolicyNotApplied);
    begin(&service, &tester).await;
    service.work_to_the_end().await;
    service.clock.advance(TimeDelta::hours(10));
    assert!(!tester.turn().await.unwrap().ended[0].passed());
    let (_, rules) = alerts(&service).await;
    assert!(rules.contains(&AlertRule::SelfTestFailed), "{rules:?}");
    service.simulator.faults().remove(broken);
    service.platform.set_policy(&contact, POLICY, false);
    let [parked] = cases(&service).await.try_into().unwrap();
    resume(&service, parked.request).await;
    service.work_to_the_end().await;
    begin(&service, &tester).await;
    service.work_to_the_end().await;
    assert!(tester.turn().await.unwrap().ended.iter().all(Run::passed));
    assert_eq!(alerts(&service).await, (0, Vec::new()), "no other alert has to come first");
    service.finish().await;
}
