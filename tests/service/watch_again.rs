//! How an opt-out that did not last is done again: as what it was, and never where nobody could ever see that it is done.

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Clock as _, ContactId, Outcome, RequestId, RequestKind, SubjectIdentifier};
use dsrd::execution::{Decided, LookedAgain, WatchError};
use dsrd::intake;
use dsrd::recipients::{ChannelKind, TaskAction};
use dsrd::suppression;
use dsrd::suppression::watch::{self, Found, Seen};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::grounds::follow_up;
use crate::notices::{EMAIL, tasks};
use crate::recipients::recipient;
use crate::rig::count;
use crate::support::builder::start_of_test;
use crate::support::service::TestService;
use crate::upkeep::forget;
use crate::watch::{found, look, settle};

const MARKETING: &str = "mktgCommunications";
const TERMS: &str = "termsOfUse";

/// An opt-out of a kind, from what is named, that was carried out; with its contact.
async fn opted_out(service: &TestService, kind: RequestKind, policies: &[&str]) -> (RequestId, String) {
    let spec = ContactSpec::new().email(EMAIL).created(service.clock.now() - TimeDelta::days(400));
    let contact = service.platform.add_contact(spec.policy(MARKETING, true).policy(TERMS, true));
    let mut submission = service.submission(kind, &[(Email, EMAIL)]);
    submission.policies = policies.iter().map(|&policy| policy.to_owned()).collect();
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled), "{kind}");
    (receipt.request, contact)
}

/// The request by which something is done again.
async fn case_of(service: &TestService, reference: &str) -> intake::Case {
    let mut connection = service.store.connection().await.unwrap();
    let found = intake::find_by_reference(&mut connection, &service.controller.id, reference).await.unwrap();
    drop(connection);
    service.case(found.unwrap()).await
}

async fn open(service: &TestService) -> Vec<Found> {
    found(service).await.into_iter().filter(Found::is_open).collect()
}

/// From now on the profile does not name a policy, as after it was renamed at the platform.
fn rename(service: &TestService, contact: &str, policy: &str) {
    let json = service.platform.contact_json(contact).unwrap();
    assert!(json.contains(policy), "{json}");
    let renamed = Fault::Body(json.replace(policy, "renamed")).on(Endpoint::Contact).for_contact(contact);
    service.simulator.faults().inject(renamed);
}

#[tokio::test]
async fn r_53_r_56_an_opt_out_that_did_not_last_is_done_again_as_what_it_was() {
    for (kind, told) in [
        (RequestKind::CcpaOptOut, &[("crm", TaskAction::CcpaOptOut), ("ended", TaskAction::CcpaOptOut)][..]),
        (RequestKind::ConsentWithdrawal, &[]),
    ] {
        // One of them had the data until the day of the request.
        let mut ended = recipient("ended", ChannelKind::Mail);
        ended.until = Some(start_of_test().date_naive());
        let register = vec![recipient("crm", ChannelKind::Mail), ended];
        let service = TestService::builder().erasure(follow_up(true)).recipients(register).build().await;
        let (_, contact) = opted_out(&service, kind, &[]).await;
        service.platform.set_policy(&contact, MARKETING, true);
        service.clock.advance(TimeDelta::days(1));
        let looked = look(&service).await;
        let [again] = looked.applied_again.as_slice() else { panic!("{kind}: {looked:?}") };
        service.work_to_the_end().await;
        let case = case_of(&service, again.as_str()).await;
        assert_eq!((case.kind, case.outcome), (kind, Some(Outcome::Fulfilled)));
        assert_eq!(service.platform.truth(&contact).unwrap().policy(MARKETING), Some(false), "{kind}");
        let tasks = tasks(&service, case.request).await;
        let asked: Vec<_> = tasks.iter().map(|task| (task.recipient.as_str(), task.action)).collect();
        assert_eq!(asked, told, "{kind}");
        let mail = service.last_told();
        assert!(mail.contains("it did not last") && mail.contains("What is not named above stays"), "{mail}");
        for untrue in ["no more marketing", "Marketing is switched off"] {
            assert!(!mail.contains(untrue), "{kind}: {untrue}: {mail}");
        }
        // What follows from a withdrawal follows once.
        let scheduled = i64::from(kind == RequestKind::ConsentWithdrawal);
        assert_eq!(count(&service, "SELECT count(*) FROM dsrd.follow_up").await, scheduled, "{kind}");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_53_a_policy_that_the_profile_names_no_more_is_a_task_and_never_done_again() {
    let service = TestService::start().await;
    let (_, contact) = opted_out(&service, RequestKind::OptOut, &[]).await;
    rename(&service, &contact, MARKETING);
    service.clock.advance(TimeDelta::days(1));
    let looked = look(&service).await;
    assert_eq!((looked.found, looked.applied_again.len()), (1, 0), "{looked:?}");
    let [task] = open(&service).await.try_into().unwrap();
    assert_eq!(task.seen, Seen::Back);
    service.clock.advance(TimeDelta::days(6));
    assert_eq!(look(&service).await.found, 0, "one task");
    // Nor does a person have it done again: no read-back could ever end that.
    let again = settle(&service, &task, Decided::Again).await;
    assert!(matches!(again, Err(WatchError::NotNamed)), "{again:?}");
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.request").await, 1);
    settle(&service, &task, Decided::Leave).await.unwrap();
    service.clock.advance(TimeDelta::days(30));
    assert_eq!(look(&service).await, LookedAgain::default());
    service.simulator.faults().clear();
    service.finish().await;
}

#[tokio::test]
async fn r_53_beside_a_policy_that_is_named_no_more_a_person_has_the_others_done_again() {
    let service = TestService::start().await;
    let (_, contact) = opted_out(&service, RequestKind::OptOut, &[MARKETING, TERMS]).await;
    service.platform.set_policy(&contact, MARKETING, true);
    rename(&service, &contact, TERMS);
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(look(&service).await.applied_again.len(), 0);
    let [task] = open(&service).await.try_into().unwrap();
    let again = settle(&service, &task, Decided::Again).await.unwrap().unwrap();
    service.simulator.faults().clear();
    service.work_to_the_end().await;
    let case = case_of(&service, again.as_str()).await;
    assert_eq!((case.policies, case.outcome), (vec![MARKETING.to_owned()], Some(Outcome::Fulfilled)));
    assert_eq!(service.platform.truth(&contact).unwrap().policy(MARKETING), Some(false));
    service.finish().await;
}

/// Erased at their wish, and proven.
async fn erased(service: &TestService) {
    let receipt = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
}

/// Whether the platform's id of a contact stands on the list of those erased.
async fn is_listed(service: &TestService) -> bool {
    count(service, "SELECT count(*) FROM dsrd.suppression WHERE kind = 'contact'").await == 1
}

#[tokio::test]
async fn r_48_what_was_erased_anew_is_watched_on_whatever_becomes_of_the_finding_before_it() {
    // By the time of the decision the contact is gone again, or back once more.
    for is_back in [false, true] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
        erased(&service).await;
        service.platform.restore_contact(&contact);
        service.clock.advance(TimeDelta::days(1));
        assert_eq!(look(&service).await.found, 1);
        let [task] = open(&service).await.try_into().unwrap();
        // Before anybody decides the person asks again.
        service.clock.advance(TimeDelta::hours(1));
        erased(&service).await;
        if is_back {
            service.platform.restore_contact(&contact);
        } else {
            let again = settle(&service, &task, Decided::Again).await;
            assert!(matches!(again, Err(WatchError::StillSo)), "{again:?}");
        }
        settle(&service, &task, Decided::Leave).await.unwrap();
        assert!(open(&service).await.is_empty());
        assert!(is_listed(&service).await, "{is_back}");
        if !is_back {
            service.platform.restore_contact(&contact);
        }
        service.clock.advance(TimeDelta::days(1));
        assert_eq!(look(&service).await.found, 1, "{is_back}");
        let [task] = open(&service).await.try_into().unwrap();
        // Left in earnest it is off the list.
        settle(&service, &task, Decided::Leave).await.unwrap();
        assert!(!is_listed(&service).await, "{is_back}");
        service.clock.advance(TimeDelta::days(30));
        assert_eq!(look(&service).await.found, 0, "{is_back}");
        // Not asked here: the oracle rightly says that the records are told otherwise than the platform.
    }
}

#[tokio::test]
async fn r_48_a_sweep_that_lists_who_is_being_erased_again_makes_no_second_task() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    erased(&service).await;
    service.platform.restore_contact(&contact);
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(look(&service).await.found, 1);
    let [task] = open(&service).await.try_into().unwrap();
    let refused = service.simulator.faults().inject(Fault::Status(503).on(Endpoint::DeleteContact));
    settle(&service, &task, Decided::Again).await.unwrap();
    service.work().await;
    let listed: ContactId = contact.parse().unwrap();
    let list = async || {
        let mut connection = service.store.connection().await.unwrap();
        let (keys, organisation) = (&service.desk.keys, &service.controller.id);
        let since = [(&listed, task.since)];
        watch::look_at_erased(&mut connection, keys, organisation, &since, service.clock.now()).await.unwrap()
    };
    assert_eq!(list().await, 0);
    service.simulator.faults().remove(refused);
    service.work_to_the_end().await;
    assert!(!service.platform.truth(&contact).unwrap().exists);
    assert_eq!(list().await, 1, "and one that comes back after it was is looked at");
    service.finish().await;
}

/// Takes whoever has the address off the list.
async fn revoke(service: &TestService) {
    let mut tx = service.store.begin("test").await.unwrap();
    let who = [SubjectIdentifier::parse(Email, EMAIL, None).unwrap()];
    let (keys, organisation) = (&service.desk.keys, &service.controller.id);
    let by = (Actor::Person("dpo".to_owned()), service.clock.now());
    suppression::revoke(&mut tx, keys, organisation, &who, None, by).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn r_53_r_54_whoever_was_taken_off_the_list_is_not_opted_out_again_by_the_watch() {
    // While the service knows the identifiers of the opt-out, and once it has forgotten them.
    for forgotten in [false, true] {
        let service = TestService::start().await;
        let (_, contact) = opted_out(&service, RequestKind::OptOut, &[]).await;
        crate::support::oracle::check(&service).await;
        revoke(&service).await;
        if forgotten {
            service.clock.advance(TimeDelta::days(31));
            forget(&service).await;
        }
        service.platform.set_policy(&contact, MARKETING, true);
        service.clock.advance(TimeDelta::days(1));
        let looked = look(&service).await;
        assert_eq!((looked.found, looked.applied_again.len()), (1, 0), "{forgotten}: {looked:?}");
        let [task] = open(&service).await.try_into().unwrap();
        assert_eq!(task.seen, Seen::NewerWill, "{forgotten}");
        let again = settle(&service, &task, Decided::Again).await;
        assert!(matches!(again, Err(WatchError::NewerWill)), "{again:?}");
        service.work_to_the_end().await;
        assert_eq!(service.platform.truth(&contact).unwrap().policy(MARKETING), Some(true), "{forgotten}");
    }
}

#[tokio::test]
async fn r_48_r_54_whoever_was_taken_off_the_list_is_not_erased_again_by_a_finding() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    erased(&service).await;
    service.platform.restore_contact(&contact);
    revoke(&service).await;
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(look(&service).await.found, 1);
    let [task] = open(&service).await.try_into().unwrap();
    assert_eq!(task.seen, Seen::NewerWill);
    let again = settle(&service, &task, Decided::Again).await;
    assert!(matches!(again, Err(WatchError::NewerWill)), "{again:?}");
    settle(&service, &task, Decided::Leave).await.unwrap();
    assert_eq!(
        count(&service, "SELECT count(*) FROM dsrd.suppression").await,
        0,
        "nothing of them is left on it"
    );
}
