//! How an opt-out that did not last is done again: as what it was, and never where nobody could ever see that it is done.

use chrono::TimeDelta;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Clock as _, Outcome, RequestId, RequestKind};
use dsrd::execution::{Decided, LookedAgain, WatchError};
use dsrd::intake;
use dsrd::recipients::{ChannelKind, TaskAction};
use dsrd::suppression::watch::{Found, Seen};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::grounds::follow_up;
use crate::notices::{EMAIL, tasks};
use crate::recipients::recipient;
use crate::rig::count;
use crate::support::builder::start_of_test;
use crate::support::service::TestService;
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
