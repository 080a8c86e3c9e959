//! Holds: nothing is deleted that must be kept, the person is told, and what waits follows by itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    Assurance, Clock as _, ErasureRules, HoldCategory, HoldKind, KillSwitch, LegalBases, LegalBasis,
    LiftReason, Outcome, ParkReason, RequestId, RequestKind, RequestState, Statute, SubjectIdentifier,
};
use dsrd::execution::resume_postponed;
use dsrd::holds::{self, About, EndRule, HoldError, Kept, NewHold, Placed, Settings};
use dsrd::intake::Receipt;
use dsrd_simulator::{ContactSpec, Endpoint, Fault, FaultPlan, RetryAfter};

use crate::parked::as_owner;
use crate::rig::count;
use crate::support::builder::start_of_test;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino@posta.example";

fn ada() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email(ADDRESS)
        .phone("+39 333 1234567")
        .created(start_of_test() - TimeDelta::days(400))
        .policy("mktgCommunications", true)
        .events(3)
        .devices(2)
        .accountings(4)
}

async fn erase(service: &TestService) -> Receipt {
    service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await
}

/// Whoever has this address.
fn about(service: &TestService, address: &str) -> About {
    let identifier = SubjectIdentifier::parse(Email, address, None).unwrap();
    About::Person(vec![identifier.reference(&service.desk.keys, &service.controller.id)])
}

/// A claim about whoever has this address, reviewed in 90 days.
pub(crate) fn claim_about(service: &TestService, address: &str) -> NewHold {
    NewHold {
        kind: HoldKind::Claim,
        category: HoldCategory::Everything,
        ground: None,
        statute: None,
        matter: Some("2026-O-17".to_owned()),
        owner: "legal".to_owned(),
        about: about(service, address),
        contacts: Vec::new(),
        ends: EndRule::WhenLifted,
        review_on: Some((service.clock.now() + TimeDelta::days(90)).date_naive()),
        request: None,
    }
}

pub(crate) fn claim(service: &TestService) -> NewHold {
    claim_about(service, ADDRESS)
}

pub(crate) async fn place(service: &TestService, new: NewHold) -> Placed {
    let mut tx = service.store.begin("test.place").await.unwrap();
    let dpo = Actor::Person("dpo".to_owned());
    let placed = holds::place(&mut tx, &service.controller, new, dpo, service.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    placed
}

pub(crate) async fn lift(
    service: &TestService,
    reference: &str,
    reason: LiftReason,
) -> Result<(), HoldError> {
    let mut tx = service.store.begin("test.lift").await.unwrap();
    let dpo = Actor::Person("dpo".to_owned());
    let now = service.clock.now();
    holds::lift(&mut tx, &service.controller, reference, reason, dpo, now).await?;
    tx.commit().await.unwrap();
    Ok(())
}

pub(crate) async fn resume_held(service: &TestService) -> Vec<RequestId> {
    resume_postponed(&service.store, &service.desk, &service.controller).await.unwrap()
}

async fn outcome(service: &TestService, request: RequestId) -> Option<Outcome> {
    service.case(request).await.outcome
}

fn exists(service: &TestService, contact: &str) -> bool {
    service.platform.truth(contact).is_some_and(|truth| truth.exists)
}

fn move_to(service: &TestService, instant: &str) {
    let instant: DateTime<Utc> = instant.parse().unwrap();
    service.clock.advance(instant - service.clock.now());
}

pub(crate) fn statutes(review_on: &str) -> Settings {
    Settings {
        statutes: vec![Statute::FrenchConnectionLogs],
        statutes_owner: Some("dpo".to_owned()),
        statutes_review_on: Some(review_on.parse().unwrap()),
        remind_days: 30,
    }
}

pub(crate) async fn settle(service: &TestService, settings: &Settings) {
    let mut tx = service.store.begin("test.settle").await.unwrap();
    holds::settle_statutes(&mut tx, &service.controller.id, settings, service.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn r_65_an_erasure_under_a_statutory_hold_resumes_by_itself_at_midnight_after_its_last_day() {
    let service = TestService::builder().starting_at("2026-02-10T09:00:00Z".parse().unwrap()).build().await;
    // With one record it is of the instant of creation: the last session is of 15 January.
    let contact =
        service.platform.add_contact(ada().created("2026-01-15T09:00:00Z".parse().unwrap()).accountings(1));
    settle(&service, &statutes("2026-12-31")).await;
    let first = erase(&service).await;
    service.work_to_the_end().await;

    // First stage: nothing is deleted, marketing is off, and the person knows what is kept, why and until when.
    let case = service.case(first.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::PartlyFulfilled)));
    assert!(service.simulator.journal().deleted_contacts().is_empty());
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
    let mails = service.mails.sent();
    let told = String::from_utf8_lossy(mails.last().unwrap().raw.expose()).replace("=\r\n", "");
    // the platform deletes a contact as a whole, so nothing is erased yet; the person is not told otherwise.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in
        ["Your data has not been erased yet", "Nothing is erased yet", "Marketing to you is switched off."]
    {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!told.contains("erased in part") && !told.contains("Erased on"), "{told}");
    assert!(told.contains("15 January 2027"), "{told}");
    assert!(told.contains("L.34-1 CPCE"), "{told}");
    // who is not to be written to is remembered, and told so.
    assert!(told.contains("A fingerprint of your contact details"), "{told}");
    let entries = service.audit().await;
    let postponed = entries.iter().find(|entry| entry.action == "erasure.postponed").unwrap();
    assert_eq!(postponed.detail["until"], "2027-01-15");
    assert_eq!(postponed.detail["ground"], "RF-08");

    // The last second of the last day in Rome, and the first of the next.
    move_to(&service, "2027-01-15T22:59:59Z");
    assert!(resume_held(&service).await.is_empty());
    move_to(&service, "2027-01-15T23:00:00Z");
    let second = resume_held(&service).await;
    assert_eq!(second.len(), 1);
    assert!(resume_held(&service).await.is_empty(), "once is enough");
    service.work_to_the_end().await;

    // Second stage: evidence, read-back and notice of its own. Of who asked it states what was known then, however long ago,
    // and no proof that nobody gave (S-3).
    assert_eq!(outcome(&service, second[0]).await, Some(Outcome::Fulfilled));
    let proofs = (service.case(second[0]).await.proof(), service.case(first.request).await.proof());
    assert_eq!(proofs.0, proofs.1);
    assert_eq!(proofs.0.map(|proof| proof.assurance), Some(Assurance::AuthenticatedSession));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    let story = service.story(second[0]).await;
    for step in ["deletion.began", "deletion.ended=done", "deletion.verified", "notice.ended=done"] {
        assert!(story.contains(&step.to_owned()), "{step}: {story:?}");
    }
    assert!(service.story(first.request).await.contains(&"erasure.resumed".to_owned()));
    assert_eq!(service.mails.sent().len(), mails.len() + 1, "the person is told that the rest is erased");
    // They know the request that they made, and none of this January.
    let told = service.last_told();
    let known = format!("({} of 10 February 2026), and we had to keep it for a time.", first.reference);
    assert!(told.contains(&known) && told.contains("the rest of that request. It is done."), "{told}");
    assert!(told.contains("Received on: 10 February 2026"), "{told}");
    service.finish().await;
}

#[tokio::test]
async fn r_65_where_no_policies_are_named_for_marketing_nobody_is_told_that_it_was_switched_off() {
    let mut service = TestService::start().await;
    Arc::make_mut(&mut service.controller).opt_out_policies.clear();
    let executor = Arc::get_mut(&mut service.executor).expect("nobody works yet");
    executor.sites.get_mut(&service.controller.id).unwrap().controller = Arc::clone(&service.controller);
    let contact = service.platform.add_contact(ada());
    place(&service, claim(&service)).await;
    erase(&service).await;
    service.work_to_the_end().await;
    let told = service.last_told();
    assert!(told.contains("Nothing is erased yet") && !told.contains("Marketing"), "{told}");
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(true));
    service.finish().await;
}

#[tokio::test]
async fn r_67_a_hold_on_any_category_refuses_the_deletion_of_the_whole_contact() {
    for category in HoldCategory::ALL {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(ada());
        let until = NaiveDate::from_ymd_opt(2027, 2, 1).unwrap();
        let hold = NewHold { category: *category, ends: EndRule::On(until), ..claim(&service) };
        place(&service, hold).await;
        let receipt = erase(&service).await;
        service.work_to_the_end().await;
        assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::PartlyFulfilled), "{category}");
        assert!(exists(&service, &contact), "{category}");
        assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0, "{category}");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_65_a_claim_is_kept_until_it_is_lifted_and_what_waits_follows() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let placed = place(&service, claim(&service)).await;
    assert!(placed.reference.starts_with("HLD-") && placed.too_late_for.is_empty(), "{placed:?}");
    let first = erase(&service).await;
    service.work_to_the_end().await;
    service.clock.advance(TimeDelta::days(80));
    assert!(resume_held(&service).await.is_empty());

    let wrong = lift(&service, &placed.reference, LiftReason::RestrictionEnded).await;
    assert!(matches!(wrong, Err(HoldError::RestrictionReason)), "{wrong:?}");
    lift(&service, &placed.reference, LiftReason::ClaimSettled).await.unwrap();
    let again = lift(&service, &placed.reference, LiftReason::ClaimSettled).await;
    assert!(matches!(again, Err(HoldError::Ended)), "{again:?}");
    let second = resume_held(&service).await;
    service.work_to_the_end().await;
    assert_eq!(outcome(&service, second[0]).await, Some(Outcome::Fulfilled));
    assert!(!exists(&service, &contact));
    assert_eq!(
        outcome(&service, first.request).await,
        Some(Outcome::PartlyFulfilled),
        "it ended as it was told"
    );
    service.finish().await;
}

#[tokio::test]
async fn r_65_one_erasure_whose_rest_is_not_accepted_holds_up_no_other() {
    let service = TestService::start().await;
    let other = "canarino.altro@posta.example";
    let (one, two) =
        (place(&service, claim(&service)).await, place(&service, claim_about(&service, other)).await);
    let contacts = [ada(), ada().email(other).phone("")].map(|spec| service.platform.add_contact(spec));
    let mut firsts = Vec::new();
    for address in [ADDRESS, other] {
        firsts.push(service.submit(RequestKind::Erasure, &[(Email, address)]).await.request);
        service.work_to_the_end().await;
        service.clock.advance(TimeDelta::minutes(1));
    }
    for placed in [&one, &two] {
        lift(&service, &placed.reference, LiftReason::ClaimSettled).await.unwrap();
    }
    // The database refuses the rest of the first.
    let refuse = format!(
        "ALTER TABLE dsrd.request ADD CONSTRAINT test_refuses CHECK (idempotency_key <> '{}') NOT VALID",
        firsts[0]
    );
    as_owner(&service, &refuse).await;
    assert_eq!(resume_held(&service).await.len(), 1);
    assert_eq!(resume_held(&service).await.len(), 0);
    let told: (i16, String) =
        sqlx::query_as("SELECT tries, last_code FROM dsrd.postponed_erasure WHERE resumed_at IS NULL")
            .fetch_one(&mut *service.store.connection().await.unwrap())
            .await
            .unwrap();
    assert_eq!(told, (1, "database_refused".to_owned()), "not once more before its time");
    as_owner(&service, "ALTER TABLE dsrd.request DROP CONSTRAINT test_refuses").await;
    service.clock.advance(TimeDelta::minutes(1));
    assert_eq!(resume_held(&service).await.len(), 1);
    service.work_to_the_end().await;
    for contact in &contacts {
        assert!(!exists(&service, contact));
    }
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_second_hold_keeps_what_the_first_lets_go() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let one = place(&service, claim(&service)).await;
    let two = place(&service, NewHold { kind: HoldKind::Court, ..claim(&service) }).await;
    erase(&service).await;
    service.work_to_the_end().await;
    lift(&service, &one.reference, LiftReason::ClaimSettled).await.unwrap();
    assert!(resume_held(&service).await.is_empty(), "the court's order stands");
    lift(&service, &two.reference, LiftReason::OrderEnded).await.unwrap();
    assert_eq!(resume_held(&service).await.len(), 1);
    service.work_to_the_end().await;
    assert!(!exists(&service, &contact));
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_that_comes_while_an_erasure_is_on_its_way_is_honoured() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::DeleteContact).times(2));
    service.work().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::InProgress);
    let placed = place(&service, claim(&service)).await;
    assert_eq!(placed.too_late_for, [receipt.reference.to_string()], "its deletion had been announced");
    service.work_to_the_end().await;
    assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::PartlyFulfilled));
    assert!(exists(&service, &contact));
    service.finish().await;
}

#[tokio::test]
async fn r_65_no_deletion_is_announced_past_a_hold_that_was_placed_a_moment_before() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let receipt = erase(&service).await;
    // Everything was looked at, and the hold comes before the announcement: only its own look can see it.
    let passed = Arc::new(AtomicUsize::new(0));
    let stops = {
        let passed = Arc::clone(&passed);
        KillSwitch::new(move |boundary| {
            boundary.starts_with("delete") && passed.fetch_add(1, Ordering::SeqCst) == 0
        })
    };
    service.worker_with(stops, false).await.work_until_idle().await.unwrap();
    place(&service, claim(&service)).await;
    service.bury_workers().await;
    service.work_to_the_end().await;
    assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::PartlyFulfilled));
    assert!(exists(&service, &contact));
    assert!(!service.story(receipt.request).await.contains(&"deletion.began".to_owned()));
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_sweep_leaves_what_is_held_or_restricted_and_a_restriction_does_not_stop_the_person() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let restriction = NewHold { kind: HoldKind::Restriction, matter: None, ..claim(&service) };
    place(&service, restriction).await;
    let sweep = service.submit_sweep(&contact, start_of_test()).await;
    service.work_to_the_end().await;
    assert_eq!(outcome(&service, sweep.request).await, Some(Outcome::OutOfScope));
    assert!(service.story(sweep.request).await.contains(&"erasure.postponed".to_owned()));
    assert!(exists(&service, &contact));
    assert!(resume_held(&service).await.is_empty(), "a later sweep looks again by itself");

    let own = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(outcome(&service, own.request).await, Some(Outcome::Fulfilled));
    assert!(!exists(&service, &contact));
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_about_a_span_of_creation_dates_keeps_those_and_no_others() {
    let service = TestService::start().await;
    let inside = service.platform.add_contact(ada());
    let outside = service.platform.add_contact(
        ContactSpec::new()
            .email("altro.canarino@posta.example")
            .created(start_of_test() - TimeDelta::days(30)),
    );
    let about =
        About::Contacts { created_from: None, created_before: Some(start_of_test() - TimeDelta::days(100)) };
    place(&service, NewHold { about, ..claim(&service) }).await;
    erase(&service).await;
    service.submit(RequestKind::Erasure, &[(Email, "altro.canarino@posta.example")]).await;
    service.work_to_the_end().await;
    assert!(exists(&service, &inside) && !exists(&service, &outside));
    service.finish().await;
}

#[tokio::test]
async fn r_66_statutes_hold_nobody_until_they_are_switched_on_and_nobody_after() {
    let service = TestService::start().await;
    let off = Settings { statutes: Vec::new(), ..statutes("2027-06-30") };
    settle(&service, &off).await;
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.hold").await, 0);
    settle(&service, &statutes("2027-06-30")).await;
    settle(&service, &statutes("2027-06-30")).await;
    settle(&service, &statutes("2027-07-31")).await;
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.hold WHERE ended_at IS NULL").await, 1);

    // No records, no last record: the law keeps nothing of this person.
    let contact = service.platform.add_contact(ada().accountings(0));
    erase(&service).await;
    service.work_to_the_end().await;
    assert!(!exists(&service, &contact));

    let kept = service.platform.add_contact(ada());
    let first = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(outcome(&service, first.request).await, Some(Outcome::PartlyFulfilled));
    settle(&service, &off).await;
    assert_eq!(resume_held(&service).await.len(), 1);
    service.work_to_the_end().await;
    assert!(!exists(&service, &kept));
    let words: Vec<String> = service.audit().await.into_iter().map(|entry| entry.action).collect();
    for action in ["hold.placed", "hold.reviewed", "hold.lifted"] {
        assert_eq!(words.iter().filter(|word| *word == action).count(), 1, "{action}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_66_what_a_law_keeps_stands_in_the_copy_of_the_data_and_is_not_taken_along() {
    let legal_bases = LegalBases {
        profile: vec![LegalBasis::Contract],
        events: vec![LegalBasis::Consent],
        devices: vec![LegalBasis::Contract],
        accountings: vec![LegalBasis::LegalObligation],
    };
    let rules = ErasureRules { legal_bases, ..ErasureRules::default() };
    let service = TestService::builder().erasure(rules).build().await;
    settle(&service, &statutes("2027-06-30")).await;
    let contact = service.platform.add_contact(ada());
    let erasure = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(outcome(&service, erasure.request).await, Some(Outcome::PartlyFulfilled));
    assert!(exists(&service, &contact), "held");
    // Locked for other uses: no marketing.
    let policies = service.platform.truth(&contact).unwrap().policies;
    assert!(policies.contains(&("mktgCommunications".to_owned(), false)), "{policies:?}");
    let packed = async |kind, name: &str| -> serde_json::Value {
        let receipt = service.submit(kind, &[(Email, ADDRESS)]).await;
        service.work_to_the_end().await;
        assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::Fulfilled), "{kind}");
        let files = crate::access::package(&service, receipt.request).await;
        serde_json::from_str(&files.iter().find(|(each, _)| each == name).unwrap().1).unwrap()
    };
    let copy = packed(RequestKind::Access, "report.json").await;
    assert_eq!(copy["records"]["accountings"].as_array().unwrap().len(), 4);
    let taken_along = packed(RequestKind::Portability, "data.json").await;
    assert!(taken_along["records"].get("accountings").is_none());
    assert_eq!(taken_along["left_out"]["categories"], serde_json::json!(["accountings"]));
    assert_eq!(taken_along["records"]["devices"].as_array().unwrap().len(), 2);
    service.finish().await;
}

#[tokio::test]
async fn r_65_holds_end_after_their_last_day_and_their_reviews_are_reminded_of_once() {
    let service = TestService::start().await;
    let until = NaiveDate::from_ymd_opt(2026, 12, 1).unwrap();
    place(&service, NewHold { ends: EndRule::On(until), ..claim(&service) }).await;
    let keep = || async {
        holds::keep_in_order(&service.store, &service.controller, service.desk.clock.as_ref(), 30)
            .await
            .unwrap()
    };
    assert_eq!(keep().await, Kept::default());
    move_to(&service, "2026-12-01T22:59:59Z");
    assert_eq!(keep().await, Kept::default());
    move_to(&service, "2026-12-01T23:00:00Z");
    assert_eq!(keep().await, Kept { expired: 1, reminded: 0 });
    place(&service, claim(&service)).await;
    service.clock.advance(TimeDelta::days(60));
    assert_eq!(keep().await, Kept { expired: 0, reminded: 1 });
    assert_eq!(keep().await, Kept::default(), "once for each date");
    service.finish().await;
}

#[tokio::test]
async fn f_42_an_erasure_does_not_delete_who_signed_up_after_it_was_asked_for() {
    let service = TestService::start().await;
    let receipt = erase(&service).await;
    let contact = service.platform.add_contact(ada().created(service.clock.now() + TimeDelta::minutes(5)));
    service.clock.advance(TimeDelta::minutes(10));
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NewerWill));
    assert!(exists(&service, &contact));
    service.finish().await;
}

#[tokio::test]
async fn f_42_the_second_stage_does_not_overrule_who_opted_in_again() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let placed = place(&service, claim(&service)).await;
    erase(&service).await;
    service.work_to_the_end().await;
    service.platform.set_policy(&contact, "mktgCommunications", true);
    lift(&service, &placed.reference, LiftReason::Reviewed).await.unwrap();
    let second = resume_held(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(second[0]).await.park_reason, Some(ParkReason::NewerWill));
    assert!(exists(&service, &contact));
}

#[tokio::test]
async fn f_40_marketing_that_the_profile_does_not_name_is_switched_off_under_a_hold_and_seen_to_be() {
    // With a platform that does as it says, and with one that does not.
    for applies in [true, false] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(ada().without_policy("mktgCommunications"));
        if !applies {
            service.simulator.faults().inject(Fault::PolicyNotApplied);
        }
        place(&service, claim(&service)).await;
        let receipt = erase(&service).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert_eq!(service.simulator.journal().calls(Endpoint::UpdatePolicies), 1, "{applies}");
        let said = service.mails.sent();
        let said = said.iter().filter(|mail| mail.text.expose().contains("switched off")).count();
        if applies {
            assert_eq!((case.outcome, said), (Some(Outcome::PartlyFulfilled), 1));
            assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
        } else {
            // What the profile does not name was not seen to be off: nobody is told that it is.
            assert_eq!((case.park_reason, said), (Some(ParkReason::VerificationFailed), 0));
            assert_eq!(case.verified_at, None);
        }
        assert!(exists(&service, &contact));
        service.finish().await;
    }
}

#[tokio::test]
async fn f_39_one_absence_lets_no_hold_go() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    place(&service, claim(&service)).await;
    // A copy that lags behind: seen when it is located, not when the hold is weighed.
    service.simulator.faults().inject(Fault::Status(404).on(Endpoint::Contact).after(1).times(1));
    let receipt = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    assert!(exists(&service, &contact));
    assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::PartlyFulfilled));
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_keeps_who_is_disabled_or_marked_as_deleted() {
    for (what, spec) in [("disabled", ada().enabled(false)), ("marked", ada().marked_deleted())] {
        let service = TestService::start().await;
        let contact = service.platform.add_contact(spec);
        let placed = place(&service, claim(&service)).await;
        let receipt = erase(&service).await;
        service.work_to_the_end().await;
        assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0, "{what}");
        assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::PartlyFulfilled), "{what}");
        lift(&service, &placed.reference, LiftReason::ClaimSettled).await.unwrap();
        let second = resume_held(&service).await;
        service.work_to_the_end().await;
        assert_eq!(outcome(&service, second[0]).await, Some(Outcome::Fulfilled), "{what}");
        assert_eq!(service.simulator.journal().deleted_contacts(), [contact], "{what}");
        service.finish().await;
    }
}

#[tokio::test]
async fn f_39_a_list_that_is_not_found_once_ends_no_hold_of_a_law() {
    let service = TestService::start().await;
    settle(&service, &statutes("2027-06-30")).await;
    let contact = service.platform.add_contact(ada());
    // The contact is read when it is located and when the hold is weighed; the copy that the list is asked of lags behind.
    let faults = service.simulator.faults();
    faults.inject(Fault::Status(404).on(Endpoint::Accountings).times(1));
    faults.inject(Fault::Status(404).on(Endpoint::Contact).after(2).times(1));
    let receipt = erase(&service).await;
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    assert!(exists(&service, &contact));
    assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::PartlyFulfilled));
    service.finish().await;
}

#[tokio::test]
async fn f_39_who_was_proven_to_be_gone_under_a_hold_is_not_deleted_once_more() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    place(&service, claim(&service)).await;
    let receipt = erase(&service).await;
    // Somebody deletes it in the platform between the two.
    let elsewhere = {
        let (platform, contact) = (service.platform.clone(), contact.clone());
        KillSwitch::new(move |boundary| {
            if boundary == "delete.before" {
                platform.delete_contact(&contact);
            }
            false
        })
    };
    service.worker_with(elsewhere, false).await.work_until_idle().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::Fulfilled));
    let story = service.story(receipt.request).await;
    for step in ["deletion.began", "deletion.ended=absent", "deletion.verified"] {
        assert!(story.contains(&step.to_owned()), "{step}: {story:?}");
    }
    let told = service.last_told();
    assert!(told.contains("it was gone already") && !told.contains("We deleted"), "{told}");
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_is_found_by_an_address_that_the_profile_got_since_it_was_located() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada().policy("mktgCommunications", false));
    place(&service, claim_about(&service, "canarino.nuovo@posta.example")).await;
    let receipt = service.submit(RequestKind::Erasure, &[(Phone, "+39 333 1234567")]).await;
    let limited = Fault::TooManyRequests(RetryAfter::Seconds(1)).on(Endpoint::DeleteContact);
    let limited = service.simulator.faults().inject(limited);
    service.work().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::InProgress);
    service.simulator.faults().remove(limited);
    let calls = service.simulator.journal().calls(Endpoint::DeleteContact);
    assert_ne!(calls, 0);
    let moved = service.platform.contact_json(&contact).unwrap();
    let moved = moved.replace(ADDRESS, "canarino.nuovo@posta.example");
    service.simulator.faults().inject(Fault::Body(moved).on(Endpoint::Contact).for_contact(&contact));
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), calls);
    assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::PartlyFulfilled));
    assert!(exists(&service, &contact));
    service.finish().await;
}

#[tokio::test]
async fn f_39_the_second_stage_does_not_believe_one_absence() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let placed = place(&service, claim(&service)).await;
    erase(&service).await;
    service.work_to_the_end().await;
    lift(&service, &placed.reference, LiftReason::Reviewed).await.unwrap();
    let second = resume_held(&service).await;
    service.simulator.faults().inject(Fault::Status(404).on(Endpoint::Contact).times(1));
    service.work_to_the_end().await;
    assert!(!exists(&service, &contact), "it was there all the time");
    assert_eq!(outcome(&service, second[0]).await, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn f_39_the_second_stage_finds_nobody_only_with_a_second_look_at_a_platform_that_serves() {
    let service = TestService::builder().second_look_secs(30).build().await;
    let contact = service.platform.add_contact(ada());
    let placed = place(&service, claim(&service)).await;
    erase(&service).await;
    service.work_to_the_end().await;
    lift(&service, &placed.reference, LiftReason::Reviewed).await.unwrap();
    let second = resume_held(&service).await;
    service.platform.delete_contact(&contact);
    service.work().await;
    assert_eq!(service.case(second[0]).await.verified_at, None, "one look");
    service.advance(Duration::from_mins(1)).await;
    // A gateway that answers 404 to everything, or to every question for contacts, shows nobody's absence.
    let absent = Fault::Status(404);
    for gateway in [
        vec![FaultPlan::from(absent.clone())],
        vec![absent.clone().on(Endpoint::Contact), absent.on(Endpoint::ListContacts)],
    ] {
        let faults = service.simulator.faults();
        let gateway: Vec<_> = gateway.into_iter().map(|fault| faults.inject(fault)).collect();
        service.work().await;
        assert_eq!(service.case(second[0]).await.verified_at, None, "a platform that serves nobody");
        for fault in gateway {
            faults.remove(fault);
        }
        service.advance(Duration::from_hours(2)).await;
    }
    service.platform.restore_contact(&contact);
    service.work_to_the_end().await;
    assert_eq!(outcome(&service, second[0]).await, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn f_1_a_postponed_erasure_killed_at_any_boundary_ends_as_if_it_was_not() {
    let service = TestService::start().await;
    let everybody = About::Contacts { created_from: None, created_before: None };
    place(&service, NewHold { about: everybody, ..claim(&service) }).await;
    let spec = |number: usize| {
        let email = format!("canarino{number}@posta.example");
        (email.clone(), ContactSpec::new().email(email).policy("mktgCommunications", true).accountings(1))
    };
    let passed = Arc::new(Mutex::new(Vec::new()));
    let recorder = {
        let passed = Arc::clone(&passed);
        KillSwitch::new(move |boundary| {
            passed.lock().unwrap().push(boundary.to_owned());
            false
        })
    };
    let (email, contact) = spec(0);
    let _contact = service.platform.add_contact(contact);
    service.submit(RequestKind::Erasure, &[(Email, &email)]).await;
    service.worker_with(recorder, false).await.work_until_idle().await.unwrap();
    let boundaries = passed.lock().unwrap().clone();
    assert!(boundaries.iter().any(|boundary| boundary.starts_with("apply")), "{boundaries:?}");
    for (dies_at, boundary) in boundaries.iter().enumerate() {
        let (email, contact) = spec(dies_at + 1);
        let contact = service.platform.add_contact(contact);
        let receipt = service.submit(RequestKind::Erasure, &[(Email, &email)]).await;
        let reached = AtomicUsize::new(0);
        let dying = KillSwitch::new(move |_| reached.fetch_add(1, Ordering::SeqCst) == dies_at);
        service.worker_with(dying, false).await.work_once().await.unwrap();
        service.bury_workers().await;
        service.advance(Duration::from_secs(1)).await;
        service.work_to_the_end().await;
        assert_eq!(outcome(&service, receipt.request).await, Some(Outcome::PartlyFulfilled), "{boundary}");
        assert!(exists(&service, &contact), "{boundary}");
        let truth = service.platform.truth(&contact).unwrap();
        assert_eq!(truth.policy("mktgCommunications"), Some(false), "{boundary}");
    }
    let waiting = "SELECT count(*) FROM dsrd.postponed_erasure WHERE resumed_at IS NULL";
    assert_eq!(usize::try_from(count(&service, waiting).await).unwrap(), boundaries.len() + 1);
    service.finish().await;
}

#[tokio::test]
async fn a_hold_is_found_by_the_phone_of_the_profile_although_the_request_gave_the_address() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let identifier = SubjectIdentifier::parse(Phone, "+39 333 1234567", None).unwrap();
    let reference = identifier.reference(&service.desk.keys, &service.controller.id);
    place(&service, NewHold { about: About::Person(vec![reference]), ..claim(&service) }).await;
    erase(&service).await;
    service.work_to_the_end().await;
    assert!(exists(&service, &contact));
    service.finish().await;
}
