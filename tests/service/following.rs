//! What follows by itself is nobody's own wish of today: it takes no more than what was asked then, and stops for a newer will.

use std::sync::Arc;
use std::time::Duration;

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    AcceptanceReason, HoldKind, KillSwitch, LiftReason, Outcome, ParkReason, RequestId, RequestKind,
    RequestState, RequesterRole,
};
use dsrd::holds::NewHold;
use dsrd::intake::{self, Submission};
use dsrd::triage;
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::decide::resume;
use crate::grounds::{follow_up, hand_in};
use crate::holds::{claim_about, lift, place, resume_held};
use crate::notices::{EMAIL, dpo};
use crate::reminders;
use crate::support::service::TestService;

const WEEK: Duration = Duration::from_hours(7 * 24);

/// A consent withdrawn by somebody who is signed in, in this role, and that carried out at once.
async fn withdrawn(service: &TestService, requester_role: RequesterRole) -> (RequestId, String) {
    let spec = ContactSpec::new().email(EMAIL).policy("mktgCommunications", true).events(3);
    let contact = service.platform.add_contact(spec);
    let submission = service.submission(RequestKind::ConsentWithdrawal, &[(Email, EMAIL)]);
    let submission = Submission { requester_role, ..submission };
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    (receipt.request, contact)
}

/// An organisation that names these policies for marketing from now on.
fn name_policies(service: &mut TestService, policies: &[&str]) {
    let names = policies.iter().map(|&policy| policy.to_owned()).collect();
    Arc::make_mut(&mut service.controller).opt_out_policies = names;
    let mut executor = service.executor_with(KillSwitch::default());
    executor.sites.get_mut(&service.controller.id).unwrap().controller = Arc::clone(&service.controller);
    service.executor = Arc::new(executor);
}

fn exists(service: &TestService, contact: &str) -> bool {
    service.platform.truth(contact).is_some_and(|truth| truth.exists)
}

#[tokio::test]
async fn r_24_r_52_what_an_agent_withdrew_erases_nobody_before_their_authority_was_checked() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (_, contact) = withdrawn(&service, RequesterRole::Agent).await;
    service.advance(WEEK).await;
    let [erasure] = hand_in(&service).await.try_into().unwrap();
    service.work_to_the_end().await;
    let case = service.case(erasure).await;
    assert_eq!(
        (case.kind, case.requester_role, case.park_reason),
        (RequestKind::Erasure, RequesterRole::Agent, Some(ParkReason::RequesterNotSelf))
    );
    assert!(exists(&service, &contact));
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, reason) = (&service.controller.id, AcceptanceReason::AuthorityChecked);
    triage::accept(&mut tx, &service.desk, organisation, erasure, reason, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure).await.outcome, Some(Outcome::Fulfilled));
    assert!(!exists(&service, &contact));
    service.finish().await;
}

#[tokio::test]
async fn r_65_what_the_settings_name_for_marketing_since_the_first_stage_stops_no_second() {
    // Whoever opts in again to what the first stage had switched off stops it, whatever the settings name by then.
    for opts_in_again in [false, true] {
        let mut service = TestService::start().await;
        let spec =
            ContactSpec::new().email(EMAIL).policy("mktgCommunications", true).policy("termsOfUse", true);
        let contact = service.platform.add_contact(spec);
        let placed = place(&service, claim_about(&service, EMAIL)).await;
        service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
        service.work_to_the_end().await;
        name_policies(&mut service, &["termsOfUse"]);
        service.platform.set_policy(&contact, "mktgCommunications", opts_in_again);
        lift(&service, &placed.reference, LiftReason::ClaimSettled).await.unwrap();
        let [second] = resume_held(&service).await.try_into().unwrap();
        service.work_to_the_end().await;
        let case = service.case(second).await;
        let (parked, outcome) = if opts_in_again {
            (Some(ParkReason::NewerWill), None)
        } else {
            (None, Some(Outcome::Fulfilled))
        };
        assert_eq!((case.park_reason, case.outcome), (parked, outcome));
        assert_eq!(exists(&service, &contact), opts_in_again);
        // The oracle knows the settings of the day only; and it looks for what the first stage had switched off, whoever opted in again.
        name_policies(&mut service, &["mktgCommunications"]);
        if opts_in_again {
            service.platform.set_policy(&contact, "mktgCommunications", false);
        }
        service.finish().await;
    }
}

/// A restriction of the data of whoever has the address.
async fn restrict(service: &TestService) -> String {
    let restriction = NewHold { kind: HoldKind::Restriction, matter: None, ..claim_about(service, EMAIL) };
    place(service, restriction).await.reference
}

/// The erasure waits for a person, who learns for what, and nothing of the contact is gone.
async fn stopped(service: &TestService, erasure: RequestId, contact: &str, restriction: &str) {
    let case = service.case(erasure).await;
    assert_eq!((case.park_reason, case.outcome), (Some(ParkReason::NewerWill), None));
    assert_eq!(case.waits_for.as_deref(), Some(restriction));
    assert!(exists(service, contact));
    assert!(service.simulator.journal().deleted_contacts().is_empty());
}

#[tokio::test]
async fn r_52_r_65_what_follows_a_withdrawal_takes_nobody_whose_data_is_restricted() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (_, contact) = withdrawn(&service, RequesterRole::Own).await;
    let restriction = restrict(&service).await;
    service.advance(WEEK).await;
    let [erasure] = hand_in(&service).await.try_into().unwrap();
    service.work_to_the_end().await;
    stopped(&service, erasure, &contact, &restriction).await;
    // Once it has ended, what rested on the consent has no basis any more.
    lift(&service, &restriction, LiftReason::Mistake).await.unwrap();
    resume(&service, erasure).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure).await.outcome, Some(Outcome::Fulfilled));
    assert!(!exists(&service, &contact));
    service.finish().await;
}

#[tokio::test]
async fn r_52_r_65_a_restriction_that_comes_while_the_deletion_is_tried_stops_it() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (_, contact) = withdrawn(&service, RequesterRole::Own).await;
    service.advance(WEEK).await;
    let [erasure] = hand_in(&service).await.try_into().unwrap();
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::DeleteContact).times(1));
    service.work().await;
    assert_eq!(service.case(erasure).await.state, RequestState::InProgress);
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 1);
    // It may have happened; seen that it did not, it is not announced once more.
    let restriction = restrict(&service).await;
    service.work_to_the_end().await;
    stopped(&service, erasure, &contact, &restriction).await;
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 1);
    service.finish().await;
}

#[tokio::test]
async fn r_65_the_second_stage_does_not_overrule_who_had_the_data_restricted_since() {
    for restricted_since in [true, false] {
        let service = TestService::start().await;
        let spec = ContactSpec::new().email(EMAIL).policy("mktgCommunications", true);
        let contact = service.platform.add_contact(spec);
        let claim = place(&service, claim_about(&service, EMAIL)).await.reference;
        let mut restriction = None;
        if !restricted_since {
            restriction = Some(restrict(&service).await);
            service.advance(Duration::from_hours(2)).await;
        }
        service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
        service.work_to_the_end().await;
        if restricted_since {
            restriction = Some(restrict(&service).await);
        }
        lift(&service, &claim, LiftReason::ClaimSettled).await.unwrap();
        let [second] = resume_held(&service).await.try_into().unwrap();
        service.work_to_the_end().await;
        if restricted_since {
            stopped(&service, second, &contact, &restriction.unwrap()).await;
        } else {
            // Whoever asks to be forgotten although their data is restricted is.
            assert_eq!(service.case(second).await.outcome, Some(Outcome::Fulfilled));
            assert!(!exists(&service, &contact));
        }
        service.finish().await;
    }
}

#[tokio::test]
async fn r_12_r_65_who_asks_to_be_erased_reminds_of_nothing_that_follows_by_itself_and_may_stop() {
    let service = reminders::start().await;
    let spec = ContactSpec::new().email(EMAIL).policy("mktgCommunications", true);
    let contact = service.platform.add_contact(spec);
    let claim = place(&service, claim_about(&service, EMAIL)).await.reference;
    service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
    service.work_to_the_end().await;
    lift(&service, &claim, LiftReason::ClaimSettled).await.unwrap();
    let [second] = resume_held(&service).await.try_into().unwrap();
    let refused = service.simulator.faults().inject(Fault::Status(503).on(Endpoint::DeleteContact));
    service.work().await;
    assert_eq!(service.case(second).await.state, RequestState::InProgress);
    // They ask once more, after it was handed in.
    service.advance(Duration::from_hours(2)).await;
    let own = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
    assert_eq!(own.reminds_of, None);
    service.work().await;
    assert_eq!(service.case(own.request).await.reminds_of, None);
    // What follows by itself stops for a restriction; what they ask now does not.
    let restriction = restrict(&service).await;
    service.advance(Duration::from_mins(10)).await;
    service.work().await;
    stopped(&service, second, &contact, &restriction).await;
    service.simulator.faults().remove(refused);
    service.work_to_the_end().await;
    assert_eq!(service.case(own.request).await.outcome, Some(Outcome::Fulfilled));
    assert!(!exists(&service, &contact));
    service.finish().await;
}
