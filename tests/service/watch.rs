//! What was erased stays gone and what was switched off stays off, or somebody hears of it (R-48, R-53, F-39).

use std::time::Duration;

use chrono::TimeDelta;
use dsrd::alert;
use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{AlertRule, Clock as _, Outcome, ParkReason, Reference, RequestKind};
use dsrd::execution::{self, Decided, LookedAgain, Lookout, WatchError};
use dsrd::intake;
use dsrd::suppression::watch::{self, Cause, Found, Seen, Settings, SettledAs};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::rig::count;
use crate::support::alerts::{self, to_dpo, ward};
use crate::support::service::TestService;

const ADDRESS: &str = "canarino.ritorno@posta.example";

fn spec() -> ContactSpec {
    ContactSpec::new().email(ADDRESS).phone("+39 333 1234567").policy("mktgCommunications", true)
}

fn lookout(service: &TestService) -> Lookout<'_> {
    Lookout {
        store: &service.store,
        desk: &service.desk,
        site: &service.executor.sites[&service.controller.id],
        settings: &service.executor.watch,
    }
}

/// As the daemon does every minute.
pub(crate) async fn look(service: &TestService) -> LookedAgain {
    execution::look_again(lookout(service), || false).await.unwrap()
}

pub(crate) async fn settle(
    service: &TestService,
    found: &Found,
    decided: Decided,
) -> Result<Option<Reference>, WatchError> {
    let dpo = Actor::Person("dpo".to_owned());
    execution::settle_look(lookout(service), found.look, decided, dpo).await
}

pub(crate) async fn found(service: &TestService) -> Vec<Found> {
    let mut connection = service.store.connection().await.unwrap();
    watch::list_found(&mut connection, &service.controller.id, 100).await.unwrap()
}

async fn open(service: &TestService) -> Vec<Seen> {
    found(service).await.iter().filter(|each| each.is_open()).map(|each| each.seen).collect()
}

/// The rules of which the staff is told, after another turn of the alerts.
pub(crate) async fn alerts(service: &TestService) -> Vec<AlertRule> {
    let watch = alerts::watch(service, ward(service, to_dpo()), &service.mails);
    watch.turn().await.unwrap();
    let mut connection = service.store.connection().await.unwrap();
    let listed = alert::list_alerts(&mut connection, &service.controller.id, false, service.desk.clock.now())
        .await
        .unwrap();
    listed.into_iter().map(|each| each.rule).collect()
}

async fn done(service: &TestService, kind: RequestKind) -> dsrd::domain::RequestId {
    let receipt = service.submit(kind, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    receipt.request
}

fn days(service: &TestService, days: i64) {
    service.clock.advance(TimeDelta::days(days));
}

#[tokio::test]
async fn f_39_a_contact_that_comes_back_an_hour_after_its_deletion_is_found_by_the_first_look() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(spec());
    let request = done(&service, RequestKind::Erasure).await;
    let mails = service.mails.sent().len();
    service.clock.advance(TimeDelta::hours(1));
    service.platform.restore_contact(&contact);
    assert_eq!(look(&service).await, LookedAgain::default(), "nothing is due yet");
    service.clock.advance(TimeDelta::hours(23));
    let looked = look(&service).await;
    assert_eq!((looked.looked, looked.found, looked.applied_again.len()), (1, 1, 0));
    assert_eq!(open(&service).await, [Seen::Back]);
    assert!(service.story(request).await.contains(&"suppression.reappeared".to_owned()));
    assert!(service.platform.truth(&contact).unwrap().exists, "nobody deletes it silently");
    assert_eq!(alerts(&service).await, [AlertRule::CameBack]);
    assert_eq!(look(&service).await, LookedAgain::default(), "once");

    // The later looks add no second task; a person has it erased again, and the data subject is told.
    days(&service, 7);
    assert_eq!(look(&service).await.found, 0);
    let task = found(&service).await.remove(0);
    let again = settle(&service, &task, Decided::Again).await.unwrap().unwrap();
    assert!(matches!(settle(&service, &task, Decided::Again).await, Err(WatchError::NotFound)));
    service.work_to_the_end().await;
    assert!(!service.platform.truth(&contact).unwrap().exists);
    let told = service.last_told();
    let known = service.case(request).await.reference;
    assert!(
        told.contains("at our contact platform it did not last") && told.contains(known.as_str()),
        "{told}"
    );
    // S-3: it states what was known of who asked the first time, and no proof that nobody gave.
    let mut connection = service.store.connection().await.unwrap();
    let second =
        intake::find_by_reference(&mut connection, &service.controller.id, again.as_str()).await.unwrap();
    drop(connection);
    assert_eq!(service.case(second.unwrap()).await.proof(), service.case(request).await.proof());
    assert_eq!(service.mails.sent().len(), mails + 1, "told that it is erased, once more");
    let settled = found(&service).await.remove(0);
    assert_eq!(settled.settled, Some(SettledAs::Again));
    assert_eq!(settled.again_by, Some(again.to_string()));
    assert!(open(&service).await.is_empty());
    days(&service, 1);
    assert_eq!(look(&service).await, LookedAgain { looked: 1, ..LookedAgain::default() });
    assert!(alerts(&service).await.is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_48_their_own_sign_up_after_the_erasure_is_recorded_and_left_alone() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(spec());
    let request = done(&service, RequestKind::Erasure).await;
    service.clock.advance(TimeDelta::hours(5));
    let anew = service.platform.add_contact(spec().created(service.clock.now()));
    days(&service, 1);
    assert_eq!(look(&service).await.found, 1);
    assert!(open(&service).await.is_empty(), "R-48 allows it");
    assert_eq!(found(&service).await.remove(0).seen, Seen::SignedUp);
    days(&service, 6);
    assert_eq!(look(&service).await, LookedAgain { looked: 1, ..LookedAgain::default() });
    days(&service, 23);
    assert_eq!(look(&service).await.looked, 1);
    let now = execution::look_now(lookout(&service)).await.unwrap();
    assert_eq!(
        now,
        LookedAgain { looked: 1, ..LookedAgain::default() },
        "whom it looks for is still the erased one"
    );
    days(&service, 400);
    assert_eq!(look(&service).await, LookedAgain::default(), "three looks, and no more");
    assert!(service.platform.truth(&anew).unwrap().exists);
    let story = service.story(request).await;
    assert_eq!(story.iter().filter(|each| *each == "suppression.reappeared").count(), 1, "{story:?}");
    assert!(alerts(&service).await.is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_48_an_import_with_old_dates_is_a_task_and_is_not_deleted() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(spec());
    done(&service, RequestKind::Erasure).await;
    let imported = service.platform.add_contact(spec().created(service.clock.now() - TimeDelta::days(90)));
    days(&service, 1);
    assert_eq!(look(&service).await.found, 1);
    assert_eq!(open(&service).await, [Seen::OtherContact]);
    let task = found(&service).await.remove(0);
    assert!(matches!(settle(&service, &task, Decided::Again).await, Err(WatchError::OtherContact)));
    settle(&service, &task, Decided::Leave).await.unwrap();
    assert!(open(&service).await.is_empty());
    days(&service, 6);
    assert_eq!(
        look(&service).await,
        LookedAgain { looked: 1, ..LookedAgain::default() },
        "left, and not reported again"
    );
    let another = service.platform.add_contact(spec().created(service.clock.now() - TimeDelta::days(80)));
    // The erased one itself comes back as well: whose the others are has nothing to do with it.
    assert_eq!(execution::look_now(lookout(&service)).await.unwrap().found, 1);
    assert_eq!(open(&service).await, [Seen::OtherContact], "another other one is another task");
    service.platform.restore_contact(&contact);
    days(&service, 23);
    assert_eq!(look(&service).await.found, 1);
    let waits = open(&service).await;
    assert!(waits.contains(&Seen::Back) && waits.contains(&Seen::OtherContact), "{waits:?}");
    let back = found(&service).await.into_iter().find(|each| each.seen == Seen::Back).unwrap();
    settle(&service, &back, Decided::Again).await.unwrap();
    service.work_to_the_end().await;
    assert!(!service.platform.truth(&contact).unwrap().exists, "erased again");
    assert_eq!(open(&service).await, [Seen::OtherContact], "which is still to be decided");
    for other in [imported, another] {
        assert!(service.platform.truth(&other).unwrap().exists, "left as it is");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_48_another_contact_that_was_there_before_is_none_of_its_business() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(spec());
    let _of_the_family = service
        .platform
        .add_contact(ContactSpec::new().email("altra@posta.example").phone("+39 333 1234567"));
    done(&service, RequestKind::Erasure).await;
    days(&service, 1);
    assert_eq!(look(&service).await, LookedAgain { looked: 1, ..LookedAgain::default() });
    service.finish().await;
}

#[tokio::test]
async fn r_53_an_opt_out_that_did_not_last_is_applied_again_once_and_then_a_person_looks() {
    let service = TestService::start().await;
    // The simulator's own dates lie before the clock of the test: nothing tells that anybody acted.
    let contact = service.platform.add_contact(spec());
    done(&service, RequestKind::OptOut).await;
    let is_on = || service.platform.truth(&contact).unwrap().policy("mktgCommunications").unwrap();
    service.platform.set_policy(&contact, "mktgCommunications", true);
    days(&service, 1);
    let looked = look(&service).await;
    assert_eq!((looked.found, looked.applied_again.len()), (1, 1));
    assert!(open(&service).await.is_empty());
    service.work_to_the_end().await;
    assert!(!is_on(), "applied again, and read back");
    let log = service.audit().await;
    let verified = log.iter().filter(|entry| entry.action == "policy.verified").count();
    assert_eq!(verified, 2);

    service.platform.set_policy(&contact, "mktgCommunications", true);
    days(&service, 1);
    let looked = look(&service).await;
    assert_eq!((looked.found, looked.applied_again.len()), (1, 0));
    assert_eq!(open(&service).await, [Seen::Back]);
    assert!(is_on());
    let task = found(&service).await.remove(0);
    settle(&service, &task, Decided::Again).await.unwrap();
    service.work_to_the_end().await;
    assert!(!is_on());
    service.finish().await;
}

#[tokio::test]
async fn r_53_who_opted_in_again_is_not_overruled() {
    // Before the instant from which the simulator counts what it calls modified.
    let service = TestService::builder().starting_at("2025-06-02T09:00:00Z".parse().unwrap()).build().await;
    let old = service.clock.now() - TimeDelta::days(90);
    let contact = service.platform.add_contact(spec().created(old).modified(old));
    done(&service, RequestKind::OptOut).await;
    service.platform.set_policy(&contact, "mktgCommunications", true);
    days(&service, 1);
    let looked = look(&service).await;
    assert_eq!((looked.found, looked.applied_again.len()), (1, 0));
    assert_eq!(open(&service).await, [Seen::NewerWill]);
    assert_eq!(alerts(&service).await, [AlertRule::CameBack]);
    let task = found(&service).await.remove(0);
    assert!(matches!(settle(&service, &task, Decided::Again).await, Err(WatchError::NewerWill)));
    settle(&service, &task, Decided::Leave).await.unwrap();
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(true));
    days(&service, 30);
    assert_eq!(look(&service).await, LookedAgain::default());
    assert!(alerts(&service).await.is_empty());
    // Not asked here: the oracle sees a policy that is on, as the person wants it.
}

#[tokio::test]
async fn r_48_a_platform_that_does_not_answer_only_puts_a_look_off() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(spec());
    done(&service, RequestKind::Erasure).await;
    days(&service, 1);
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::Contact));
    assert_eq!(look(&service).await, LookedAgain { put_back: 1, ..LookedAgain::default() });
    service.simulator.faults().clear();
    assert_eq!(look(&service).await, LookedAgain::default(), "not at once");
    let mut connection = service.store.connection().await.unwrap();
    let watched = watch::list_watched(&mut connection, &service.controller.id, service.clock.now()).await;
    let watched = watched.unwrap().remove(0);
    assert_eq!((watched.overdue, watched.failing), (1, 1));
    assert_eq!(watched.last_code.as_deref(), Some("platform_unavailable"));
    sqlx::query("UPDATE dsrd.look SET run_at = now()").execute(&mut *connection).await.unwrap();
    drop(connection);
    assert_eq!(look(&service).await, LookedAgain { looked: 1, ..LookedAgain::default() });
    service.finish().await;
}

#[tokio::test]
async fn r_48_several_daemons_look_once_and_raise_one_task() {
    let service = TestService::start().await;
    for number in 0..6 {
        let email = format!("canarino.{number}@posta.example");
        let contact = service.platform.add_contact(ContactSpec::new().email(&email));
        service.submit(RequestKind::Erasure, &[(Email, &email)]).await;
        service.work_to_the_end().await;
        service.platform.restore_contact(&contact);
    }
    days(&service, 2);
    let rounds = futures_util::future::join_all((0..5).map(|_| look(&service))).await;
    assert_eq!(rounds.iter().map(|round| round.looked).sum::<u64>(), 6);
    assert_eq!(rounds.iter().map(|round| round.found).sum::<u64>(), 6);
    assert_eq!(open(&service).await.len(), 6);
    let log = service.audit().await;
    assert_eq!(log.iter().filter(|entry| entry.action == "suppression.reappeared").count(), 6);
    // At once, as a person asks: what is a task already is not looked at anew.
    assert_eq!(execution::look_now(lookout(&service)).await.unwrap(), LookedAgain::default());
    // Not asked here: the oracle rightly says that the records are told otherwise than the platform.
}

#[tokio::test]
async fn r_53_a_sample_of_opt_outs_is_read_again_every_day() {
    let service = TestService::start().await;
    for number in 0..3 {
        let email = format!("canarino.{number}@posta.example");
        let _contact =
            service.platform.add_contact(ContactSpec::new().email(&email).policy("mktgCommunications", true));
        service.submit(RequestKind::OptOut, &[(Email, &email)]).await;
    }
    service.work_to_the_end().await;
    let settings = Settings { watch_days: vec![1], watch_searches: true, daily_sample: 2 };
    let lookout = Lookout { settings: &settings, ..lookout(&service) };
    days(&service, 2);
    let look = async || execution::look_again(lookout, || false).await.unwrap().looked;
    assert_eq!(look().await, 3, "those that are due anyway are not drawn");
    assert_eq!(look().await, 2);
    assert_eq!(look().await, 0, "enough for today");
    days(&service, 1);
    assert_eq!(look().await, 2);
    let drawn = count(&service, "SELECT count(*) FROM dsrd.look WHERE cause = 'sample'").await;
    assert_eq!(drawn, 4);
    assert_eq!(Cause::Sample.as_str(), "sample");
    service.finish().await;
}

#[tokio::test]
async fn r_53_an_opt_out_of_somebody_who_is_disabled_or_marked_is_watched_as_any_other() {
    for (what, spec) in [("disabled", spec().enabled(false)), ("marked", spec().marked_deleted())] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(spec);
        done(&service, RequestKind::OptOut).await;
        service.platform.set_policy(&contact, "mktgCommunications", true);
        days(&service, 1);
        assert_eq!(look(&service).await.applied_again.len(), 1, "{what}");
        service.work_to_the_end().await;
        let policy = service.platform.truth(&contact).unwrap().policy("mktgCommunications");
        assert_eq!(policy, Some(false), "{what}");
        // Of a profile that was emptied with the mark nothing is on.
        let json = service.platform.contact_json(&contact).unwrap();
        let mut emptied: serde_json::Value = serde_json::from_str(&json).unwrap();
        emptied["policies"] = serde_json::json!([]);
        emptied["deleted"] = true.into();
        let emptied = Fault::Body(emptied.to_string()).on(Endpoint::Contact).for_contact(&contact);
        service.simulator.faults().inject(emptied);
        days(&service, 1);
        let looked = look(&service).await;
        assert!(looked.looked > 0 && looked.found == 0, "{what}: {looked:?}");
        service.simulator.faults().clear();
        service.finish().await;
    }
}

#[tokio::test]
async fn f_42_an_opt_out_that_waited_does_not_overrule_who_opted_in_again() {
    // Before the instant from which the simulator counts what it calls modified.
    let service = TestService::builder().starting_at("2025-06-02T09:00:00Z".parse().unwrap()).build().await;
    let old = service.clock.now() - TimeDelta::days(90);
    for located in [false, true] {
        let email = format!("canarino.{located}@posta.example");
        let spec = ContactSpec::new().email(&email).policy("mktgCommunications", true);
        let contact = service.platform.add_contact(spec.created(old).modified(old));
        // Either nothing answers, or the contact is found and the policy cannot be switched off.
        let outage = Fault::Status(503);
        if located {
            service.simulator.faults().inject(outage.on(Endpoint::UpdatePolicies));
        } else {
            service.simulator.faults().inject(outage);
        }
        let receipt = service.submit(RequestKind::OptOut, &[(Email, &email)]).await;
        service.work().await;
        assert_eq!(service.case(receipt.request).await.park_reason, None);
        service.simulator.faults().clear();
        service.platform.set_policy(&contact, "mktgCommunications", true);
        service.advance(Duration::from_hours(1)).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(case.park_reason, Some(ParkReason::NewerWill), "located: {located}");
        let policy = service.platform.truth(&contact).unwrap().policy("mktgCommunications");
        assert_eq!(policy, Some(true), "the newer will stands");
    }
    service.finish().await;
}

#[tokio::test]
async fn f_42_an_opt_out_that_waited_is_carried_out_where_nobody_acted_since() {
    for located in [false, true] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(spec());
        let outage = Fault::Status(503);
        if located {
            service.simulator.faults().inject(outage.on(Endpoint::UpdatePolicies));
        } else {
            service.simulator.faults().inject(outage);
        }
        let receipt = service.submit(RequestKind::OptOut, &[(Phone, "333 1234567")]).await;
        service.work().await;
        service.simulator.faults().clear();
        service.advance(Duration::from_hours(1)).await;
        service.work_to_the_end().await;
        assert_eq!(
            service.case(receipt.request).await.outcome,
            Some(Outcome::Fulfilled),
            "located: {located}"
        );
        let policy = service.platform.truth(&contact).unwrap().policy("mktgCommunications");
        assert_eq!(policy, Some(false));
        service.finish().await;
    }
}

#[tokio::test]
async fn f_44_an_opt_out_that_empties_the_profile_is_told_and_says_so() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(spec().policy("termsOfUse", true));
    service.simulator.faults().inject(Fault::PrivacyWipesProfile);
    let mut submission = service.submission(RequestKind::OptOut, &[(Email, ADDRESS)]);
    submission.policies = vec!["termsOfUse".to_owned()];
    let receipt =
        dsrd::intake::submit_request(&service.store, &service.desk, &service.controller, submission)
            .await
            .unwrap();
    service.work_to_the_end().await;
    assert!(service.platform.truth(&contact).unwrap().wiped);
    let case = service.case(receipt.request).await;
    assert_eq!((case.park_reason, case.outcome), (None, Some(Outcome::Fulfilled)));
    let told = service.mails.sent();
    assert_eq!(told.last().unwrap().to.expose(), ADDRESS, "the address was kept before it was gone");
    let log = service.audit().await;
    let verified = log.iter().find(|entry| entry.action == "policy.verified").unwrap();
    assert_eq!(verified.detail["profile_emptied"], true);
    service.finish().await;
}

#[tokio::test]
async fn r_53_what_becomes_of_one_policy_of_a_contact_is_no_word_about_another() {
    const POLICIES: [&str; 2] = ["mktgCommunications", "termsOfUse"];
    let service = TestService::start().await;
    let contact = service.platform.add_contact(spec().policy("termsOfUse", true));
    for policy in POLICIES {
        let mut submission = service.submission(RequestKind::OptOut, &[(Email, ADDRESS)]);
        submission.policies = vec![policy.to_owned()];
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
        service.work_to_the_end().await;
    }
    let is_on = |policy| service.platform.truth(&contact).unwrap().policy(policy).unwrap();
    // Both come on in one night, as by an import, and each is applied again.
    for policy in POLICIES {
        assert!(!is_on(policy), "{policy}");
        service.platform.set_policy(&contact, policy, true);
    }
    days(&service, 1);
    assert_eq!(look(&service).await.applied_again.len(), 2);
    service.work_to_the_end().await;
    assert!(POLICIES.into_iter().all(|policy| !is_on(policy)));
    // A second time each of them is a task.
    for (number, policy) in POLICIES.into_iter().enumerate() {
        service.platform.set_policy(&contact, policy, true);
        days(&service, if number == 0 { 1 } else { 6 });
        let looked = look(&service).await;
        assert_eq!((looked.found, looked.applied_again.len()), (1, 0), "{policy}");
    }
    assert_eq!(open(&service).await, [Seen::Back, Seen::Back]);
    // Not asked here: the oracle sees policies that are on.
}
