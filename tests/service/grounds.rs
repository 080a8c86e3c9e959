//! Why data is erased, and on which legal basis it was held (R-38, R-52).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use dsrd::delivery::day_in_words;
use dsrd::domain::Assurance;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    ContactId, DataCategory, ErasureGround, ErasureRules, FollowsBecause, IdentityMethod, KillSwitch,
    LegalBases, LegalBasis, LiftReason, Outcome, ParkReason, RequestId, RequestKind, RequestState,
};
use dsrd::execution;
use dsrd::intake::{self, IntakeError, Submission};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::deadlines::{ask, clarified};
use crate::decide::resume;
use crate::holds;
use crate::identity::check;
use crate::rig::count;
use crate::support::builder::start_of_test;
use crate::support::service::TestService;
use crate::upkeep::forget;

const ADDRESS: &str = "canarino.motivo@posta.example";

/// The profile rests on a contract, visits on the consent alone, the rest on an interest.
fn rules(ground: Option<ErasureGround>) -> ErasureRules {
    let legal_bases = LegalBases {
        profile: vec![LegalBasis::Contract],
        events: vec![LegalBasis::Consent],
        devices: vec![LegalBasis::LegitimateInterest, LegalBasis::Consent],
        accountings: vec![LegalBasis::LegitimateInterest],
    };
    ErasureRules { ground, legal_bases, ..ErasureRules::default() }
}

/// Ground and categories in the case, and the same words in the log.
async fn recorded(service: &TestService, receipt: &intake::Receipt) -> (Option<ErasureGround>, String) {
    let case = service.case(receipt.request).await;
    let categories: Vec<&str> = case.categories.iter().map(|each| each.as_str()).collect();
    let log = service.audit().await;
    let received = log
        .iter()
        .find(|entry| entry.case == Some(receipt.request.0) && entry.action == "request.received")
        .unwrap();
    assert_eq!(
        received.detail.get("ground").and_then(|word| word.as_str()),
        case.ground.map(ErasureGround::as_str)
    );
    let told = received.detail.get("categories").and_then(|word| word.as_str());
    assert_eq!(told.unwrap_or_default(), categories.join(" "));
    (case.ground, categories.join(" "))
}

#[tokio::test]
async fn r_38_an_erasure_records_its_ground_and_the_categories_with_that_basis() {
    let service = TestService::builder().erasure(rules(Some(ErasureGround::NoLongerNeeded))).build().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS));
    let hand_in = async |kind, ground| {
        let submission = Submission { ground, ..service.submission(kind, &[(Email, ADDRESS)]) };
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await
    };
    let stated = hand_in(RequestKind::Erasure, Some(ErasureGround::ConsentWithdrawn)).await.unwrap();
    let expected = (Some(ErasureGround::ConsentWithdrawn), "events devices".to_owned());
    assert_eq!(recorded(&service, &stated).await, expected);
    let case = service.case(stated.request).await;
    assert_eq!(case.categories, [DataCategory::Events, DataCategory::Devices]);
    // Not stated: as the controller says. Another kind has none.
    let not_stated = hand_in(RequestKind::Erasure, None).await.unwrap();
    let all = "profile events devices accountings".to_owned();
    assert_eq!(recorded(&service, &not_stated).await, (Some(ErasureGround::NoLongerNeeded), all.clone()));
    let access = hand_in(RequestKind::Access, None).await.unwrap();
    assert_eq!(recorded(&service, &access).await, (None, String::new()));
    let refused = hand_in(RequestKind::Access, Some(ErasureGround::Child)).await;
    assert!(matches!(refused, Err(IntakeError::Ground)), "{refused:?}");
    // It changes nothing of what is erased.
    service.work_to_the_end().await;
    for receipt in [&stated, &not_stated] {
        let outcome = service.case(receipt.request).await.outcome;
        assert!(matches!(outcome, Some(Outcome::Fulfilled | Outcome::FulfilledNoData)), "{outcome:?}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_38_a_sweep_erases_what_is_needed_no_longer_whatever_people_are_taken_to_ask() {
    let service = TestService::builder().erasure(rules(Some(ErasureGround::Objection))).build().await;
    let spec = ContactSpec::new().email(ADDRESS).created(start_of_test() - TimeDelta::days(400));
    let contact = service.platform.add_contact(spec);
    let receipt = service.submit_sweep(&contact, start_of_test()).await;
    assert_eq!(service.case(receipt.request).await.ground, Some(ErasureGround::NoLongerNeeded));
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_38_a_producer_states_the_ground_and_a_word_that_nobody_knows_waits_for_a_person() {
    let service = TestService::builder().erasure(rules(None)).build().await;
    let mut producer = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("SET ROLE dsrd_producer").execute(&mut producer).await.unwrap();
    for (key, ground) in [("stated", Some("objection")), ("silent", None), ("unknown", Some("a whim"))] {
        sqlx::query(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, ground)
             VALUES ('main', $1, 'erasure', '2026-11-23T09:00:00Z', 'web', $2, $3)",
        )
        .bind(key)
        .bind(format!("{key}@posta.example"))
        .bind(ground)
        .execute(&mut producer)
        .await
        .unwrap();
    }
    let controllers = BTreeMap::from([(service.controller.id.clone(), Arc::clone(&service.controller))]);
    let taken = intake::take_producer_rows(&service.store, &service.desk, &controllers).await.unwrap();
    assert_eq!((taken.accepted, taken.parked), (2, 1));
    let stored: Vec<(String, Option<String>, Vec<String>)> = sqlx::query_as(
        "SELECT idempotency_key, erasure_ground, erasure_categories FROM dsrd.request ORDER BY idempotency_key",
    )
    .fetch_all(&mut *service.store.connection().await.unwrap())
    .await
    .unwrap();
    let concerned = vec!["devices".to_owned(), "accountings".to_owned()];
    assert_eq!(
        stored,
        [
            ("silent".to_owned(), None, Vec::new()),
            ("stated".to_owned(), Some("objection".to_owned()), concerned)
        ]
    );
    // A person corrects the word; the row is a request then, with its own date.
    let mut tx = service.store.begin("test").await.unwrap();
    let parked = intake::list_parked_rows(&mut tx, &service.desk, &controllers, 10).await.unwrap();
    assert_eq!(parked[0].reason, "unknown_ground");
    let corrections =
        intake::Corrections { ground: Some(ErasureGround::Unlawful), ..intake::Corrections::default() };
    let actor = dsrd::audit::Actor::Person("dpo".to_owned());
    let row = parked[0].intake;
    let released = intake::release_parked_row(&mut tx, &service.desk, &controllers, row, corrections, actor)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(service.case(released.request).await.ground, Some(ErasureGround::Unlawful));
    service.work_to_the_end().await;
    service.finish().await;
}

/// Everything rests on the consent, or visits only; what follows comes after a week.
pub(crate) fn follow_up(everything: bool) -> ErasureRules {
    let consent = vec![LegalBasis::Consent];
    let other = if everything { consent.clone() } else { vec![LegalBasis::Contract] };
    let legal_bases =
        LegalBases { profile: other.clone(), events: consent, devices: other.clone(), accountings: other };
    ErasureRules { legal_bases, consent_follow_up_days: Some(7), ..ErasureRules::default() }
}

/// A consent withdrawn and that carried out, by somebody of whom so much is known.
async fn withdrawn(service: &TestService, assurance: Assurance) -> (RequestId, String) {
    withdrawn_by(service, ADDRESS, assurance).await
}

async fn withdrawn_by(service: &TestService, address: &str, assurance: Assurance) -> (RequestId, String) {
    withdrawn_as(service, ContactSpec::new(), address, assurance).await
}

async fn withdrawn_as(
    service: &TestService,
    spec: ContactSpec,
    address: &str,
    assurance: Assurance,
) -> (RequestId, String) {
    let spec = spec.email(address).policy("mktgCommunications", true).events(3);
    let contact = service.platform.add_contact(spec);
    let mut submission = service.submission(RequestKind::ConsentWithdrawal, &[(Email, address)]);
    submission.proof = submission
        .proof
        .filter(|_| assurance != Assurance::None)
        .map(|proof| dsrd::domain::Proof { assurance, ..proof });
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    (receipt.request, contact)
}

/// As the daemon does every minute.
pub(crate) async fn hand_in(service: &TestService) -> Vec<RequestId> {
    let site = &service.executor.sites[&service.controller.id];
    execution::hand_in_due(&service.store, &service.desk, site, &KillSwitch::default()).await.unwrap()
}

const WEEK: Duration = Duration::from_hours(7 * 24);

#[tokio::test]
async fn r_52_what_rests_on_a_withdrawn_consent_alone_is_erased_after_the_delay() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (withdrawal, contact) = withdrawn(&service, Assurance::AuthenticatedSession).await;
    assert_eq!(hand_in(&service).await, [], "not before its time");
    assert!(service.story(withdrawal).await.contains(&"follow_up.scheduled".to_owned()));
    service.advance(WEEK).await;
    // A platform that does not answer ends nothing.
    let away = service.simulator.faults().inject(Fault::Status(503).on(Endpoint::Contact));
    let site = &service.executor.sites[&service.controller.id];
    execution::hand_in_due(&service.store, &service.desk, site, &KillSwitch::default()).await.unwrap_err();
    service.simulator.faults().remove(away);
    let handed_in = hand_in(&service).await;
    let [erasure] = handed_in.as_slice() else { panic!("{handed_in:?}") };
    assert_eq!(hand_in(&service).await, [], "once");
    let mails = service.mails.sent().len();
    service.work_to_the_end().await;
    let case = service.case(*erasure).await;
    assert_eq!((case.kind, case.outcome), (RequestKind::Erasure, Some(Outcome::Fulfilled)));
    assert_eq!((case.ground, case.categories.len()), (Some(ErasureGround::ConsentWithdrawn), 4));
    assert!(!service.platform.truth(&contact).unwrap().exists);
    assert_eq!(service.mails.sent().len(), mails + 1, "the person is told");
    // Nobody asked for an erasure: it follows from the request that they know.
    let told = service.last_told();
    let known = service.case(withdrawal).await;
    let day = day_in_words("en", &service.controller, service.controller.local_date(known.received_at));
    assert!(
        told.contains(&format!(
            "You took back a consent that you had given to Caffè Prova ({} of {day}).",
            known.reference
        )),
        "{told}"
    );
    assert!(told.contains(&format!("Received on: {day}")) && !told.contains("You asked Caffè"), "{told}");
    let mut connection = service.store.connection().await.unwrap();
    let seen =
        execution::follow_up_of(&mut connection, &service.controller.id, *erasure).await.unwrap().unwrap();
    drop(connection);
    assert_eq!(seen.withdrawal, service.case(withdrawal).await.reference.to_string());
    assert_eq!(seen.followed_by, Some(case.reference.to_string()));
    let log = service.audit().await;
    let ended = log.iter().find(|entry| entry.action == "follow_up.ended").unwrap();
    assert_eq!(
        (ended.case, ended.detail["request"].as_str()),
        (Some(withdrawal.0), seen.followed_by.as_deref())
    );
    service.finish().await;
}

#[tokio::test]
async fn f_33_a_contact_that_cannot_be_read_holds_up_no_other_and_goes_to_a_person() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let known = Assurance::AuthenticatedSession;
    let (withdrawal, never) = withdrawn_by(&service, "canarino1@posta.example", known).await;
    let (_, soon) = withdrawn_by(&service, "canarino2@posta.example", known).await;
    let (_, fine) = withdrawn_by(&service, "canarino3@posta.example", known).await;
    service.advance(WEEK).await;
    let contact_of = async |request| service.case(request).await.contact.map(|id| id.as_str().to_owned());
    let unread = |contact: &str| {
        let answer = Fault::Body(r#"{"status": "OK", "customer": {"id": 7}}"#.to_owned());
        service.simulator.faults().inject(answer.on(Endpoint::Contact).for_contact(contact))
    };
    unread(&never);
    let passing = unread(&soon);
    let handed_in = hand_in(&service).await;
    assert_eq!(handed_in.len(), 1, "{handed_in:?}");
    assert_eq!(contact_of(handed_in[0]).await, Some(fine));
    // It is not asked for again at once, however often somebody looks what is due.
    let asked = service.simulator.journal().calls(Endpoint::Contact);
    assert_eq!(hand_in(&service).await, []);
    assert_eq!(service.simulator.journal().calls(Endpoint::Contact), asked);
    let mut connection = service.store.connection().await.unwrap();
    let seen =
        execution::follow_up_of(&mut connection, &service.controller.id, withdrawal).await.unwrap().unwrap();
    drop(connection);
    assert_eq!((seen.last_code.as_deref(), seen.ended_as), (Some("platform_unreadable"), None));
    // One that can be read again follows as it would have.
    service.simulator.faults().remove(passing);
    service.advance(Duration::from_mins(2)).await;
    let handed_in = hand_in(&service).await;
    assert_eq!(handed_in.len(), 1, "{handed_in:?}");
    assert_eq!(contact_of(handed_in[0]).await, Some(soon));
    // The other one goes to a person in the end, and nothing is deleted of it.
    let (mut rounds, mut handed_in) = (0, Vec::new());
    while handed_in.is_empty() && rounds < 100 {
        service.advance(Duration::from_hours(1)).await;
        handed_in = hand_in(&service).await;
        rounds += 1;
    }
    assert!((6..100).contains(&rounds), "{rounds}");
    service.simulator.faults().clear();
    service.work_to_the_end().await;
    let case = service.case(handed_in[0]).await;
    assert_eq!((case.kind, case.park_reason), (RequestKind::Other, Some(ParkReason::NotAutomated)));
    assert_eq!(case.contact.as_ref().map(ContactId::as_str), Some(never.as_str()));
    assert!(service.platform.truth(&never).unwrap().exists);
    let log = service.audit().await;
    let ended = log
        .iter()
        .find(|entry| entry.action == "follow_up.ended" && entry.case == Some(withdrawal.0))
        .unwrap();
    assert_eq!(
        (&ended.detail["kind"], &ended.detail["code"]),
        (&"other".into(), &"platform_unreadable".into())
    );
    assert_eq!(hand_in(&service).await, [], "once");
    service.finish().await;
}

/// How the waiting for what follows a withdrawal ended.
async fn ended_as(service: &TestService, withdrawal: RequestId) -> Option<String> {
    let mut connection = service.store.connection().await.unwrap();
    let seen = execution::follow_up_of(&mut connection, &service.controller.id, withdrawal).await.unwrap();
    seen.unwrap().ended_as
}

#[tokio::test]
async fn f_39_what_follows_a_withdrawal_ends_with_two_absences_at_a_platform_that_serves_and_not_with_one() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let known = Assurance::AuthenticatedSession;
    let (one, there) = withdrawn_by(&service, "canarino1@posta.example", known).await;
    let (two, gone) = withdrawn_by(&service, "canarino2@posta.example", known).await;
    let disabled = ContactSpec::new().enabled(false);
    let (three, disabled) = withdrawn_as(&service, disabled, "canarino3@posta.example", known).await;
    service.advance(WEEK).await;
    service.platform.delete_contact(&gone);
    let faults = service.simulator.faults();
    faults.inject(Fault::Status(404).on(Endpoint::Contact).for_contact(&there).times(1));
    let handed_in = hand_in(&service).await;
    assert_eq!(handed_in.len(), 1, "{handed_in:?}");
    let contact = service.case(handed_in[0]).await.contact.unwrap();
    assert_eq!(contact.as_str(), disabled, "one that is disabled is still there");
    assert_eq!(ended_as(&service, three).await.as_deref(), Some("handed_in"));
    assert_eq!((ended_as(&service, one).await, ended_as(&service, two).await), (None, None), "one look");
    service.advance(Duration::from_mins(2)).await;
    // A gateway that shows nobody.
    let gateway = faults.inject(Fault::Status(404).on(Endpoint::ListContacts));
    assert_eq!(hand_in(&service).await.len(), 1);
    assert_eq!(ended_as(&service, one).await.as_deref(), Some("handed_in"));
    assert_eq!(ended_as(&service, two).await, None);
    faults.remove(gateway);
    for _ in 0..2 {
        service.advance(Duration::from_hours(1)).await;
        assert_eq!(hand_in(&service).await, []);
    }
    assert_eq!(ended_as(&service, two).await.as_deref(), Some("gone"));
    service.platform.restore_contact(&gone);
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_52_where_some_data_has_another_basis_a_person_decides() {
    let service = TestService::builder().erasure(follow_up(false)).build().await;
    let (_, contact) = withdrawn(&service, Assurance::AuthenticatedSession).await;
    service.advance(WEEK).await;
    let handed_in = hand_in(&service).await;
    let [task] = handed_in.as_slice() else { panic!("{handed_in:?}") };
    service.work_to_the_end().await;
    let case = service.case(*task).await;
    assert_eq!((case.kind, case.park_reason), (RequestKind::Other, Some(ParkReason::NotAutomated)));
    let mut connection = service.store.connection().await.unwrap();
    let seen =
        execution::follow_up_of(&mut connection, &service.controller.id, *task).await.unwrap().unwrap();
    drop(connection);
    assert_eq!(seen.categories, ["events"]);
    assert!(service.platform.truth(&contact).unwrap().exists, "nothing is deleted with it");
    assert!(service.simulator.journal().deleted_contacts().is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_52_a_consent_that_was_given_again_is_not_overruled() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (withdrawal, contact) = withdrawn(&service, Assurance::AuthenticatedSession).await;
    service.advance(WEEK).await;
    service.platform.set_policy(&contact, "mktgCommunications", true);
    assert_eq!(hand_in(&service).await, []);
    assert_eq!(hand_in(&service).await, []);
    assert!(service.platform.truth(&contact).unwrap().exists);
    let log = service.audit().await;
    let ended: Vec<_> = log.iter().filter(|entry| entry.action == "follow_up.ended").collect();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].case, &ended[0].detail["ended"]), (Some(withdrawal.0), &"consent_again".into()));
    // The oracle looks for what the withdrawal was closed with, and does not know of the newer will.
    service.platform.set_policy(&contact, "mktgCommunications", false);
    service.finish().await;
}

#[tokio::test]
async fn r_52_nobody_is_erased_because_somebody_unknown_withdrew() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (withdrawal, contact) = withdrawn(&service, Assurance::None).await;
    service.advance(WEEK).await;
    let handed_in = hand_in(&service).await;
    service.work().await;
    service.pump().await;
    // What they are asked to confirm is no wish that they never had.
    let told = service.last_told();
    let known = service.case(withdrawal).await.reference;
    assert!(told.contains("You took back a consent") && told.contains(known.as_str()), "{told}");
    assert!(told.contains("want to be sure that it was you") && !told.contains("in your name"), "{told}");
    let case = service.case(handed_in[0]).await;
    assert_eq!(
        (case.state, case.kind),
        (RequestState::NeedsIdentity, RequestKind::Erasure),
        "asked in the profile"
    );
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.pump().await;
    service.advance(WEEK * 3).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(handed_in[0]).await.outcome, Some(Outcome::NotIdentified));
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.finish().await;
}

#[tokio::test]
async fn r_52_nothing_follows_unless_the_controller_says_so() {
    for rules in [
        ErasureRules { consent_follow_up_days: None, ..follow_up(true) },
        ErasureRules { legal_bases: LegalBases::default(), ..follow_up(true) },
    ] {
        let service = TestService::builder().erasure(rules).build().await;
        let (withdrawal, contact) = withdrawn(&service, Assurance::AuthenticatedSession).await;
        service.advance(WEEK * 8).await;
        assert_eq!(hand_in(&service).await, []);
        assert!(!service.story(withdrawal).await.iter().any(|word| word.starts_with("follow_up")));
        assert!(service.platform.truth(&contact).unwrap().exists);
        service.finish().await;
    }
}

#[tokio::test]
async fn r_52_a_consent_that_is_given_again_while_the_erasure_waits_is_not_overruled() {
    // The erasure waits for an access request of the same person, before anybody is looked for, or for a proof of who asks, after it.
    for assurance in [Assurance::AuthenticatedSession, Assurance::None] {
        let service = TestService::builder().erasure(follow_up(true)).build().await;
        let (withdrawal, contact) = withdrawn(&service, assurance).await;
        service.advance(WEEK).await;
        let waits_for_access = assurance != Assurance::None;
        let mut access = None;
        if waits_for_access {
            let receipt = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await;
            ask(&service, receipt.request).await.unwrap();
            access = Some(receipt.request);
        }
        let [erasure] = hand_in(&service).await.try_into().unwrap();
        service.work().await;
        let case = service.case(erasure).await;
        let waits = if waits_for_access { "waits_for_access" } else { "needs_identity" };
        assert_eq!(case.last_code.as_deref(), Some(waits));
        assert_eq!(case.located, !waits_for_access);
        // In the meantime the person consents again.
        service.platform.set_policy(&contact, "mktgCommunications", true);
        match access {
            Some(access) => clarified(&service, access, None).await.unwrap(),
            None => check(&service, erasure, IdentityMethod::InPerson).await.unwrap(),
        }
        service.work_to_the_end().await;
        let case = service.case(erasure).await;
        assert_eq!(case.park_reason, Some(ParkReason::NewerWill), "{waits}");
        assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0, "{waits}");
        assert!(service.platform.truth(&contact).unwrap().exists, "{waits}");
        assert_eq!(case.follows.unwrap().request, withdrawal);
        // The oracle looks for what the withdrawal was closed with, and does not know of the newer will.
        service.platform.set_policy(&contact, "mktgCommunications", false);
        service.finish().await;
    }
}

#[tokio::test]
async fn r_52_a_consent_that_is_given_again_while_a_hold_stands_is_not_overruled_when_it_ends() {
    // The withdrawal names a policy that the settings do not.
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let spec = ContactSpec::new().email(ADDRESS).policy("newsletter", true).events(3);
    let contact = service.platform.add_contact(spec);
    let mut submission = service.submission(RequestKind::ConsentWithdrawal, &[(Email, ADDRESS)]);
    submission.policies = vec!["customs.newsletter".to_owned()];
    let withdrawal =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(withdrawal.request).await.outcome, Some(Outcome::Fulfilled));
    service.advance(WEEK).await;
    let placed = holds::place(&service, holds::claim_about(&service, ADDRESS)).await;
    let [first] = hand_in(&service).await.try_into().unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(first).await.outcome, Some(Outcome::PartlyFulfilled));
    service.platform.set_policy(&contact, "customs.newsletter", true);
    holds::lift(&service, &placed.reference, LiftReason::Reviewed).await.unwrap();
    let [second] = holds::resume_held(&service).await.try_into().unwrap();
    service.work_to_the_end().await;
    let case = service.case(second).await;
    assert_eq!(case.park_reason, Some(ParkReason::NewerWill));
    assert_eq!(case.follows.unwrap().request, withdrawal.request);
    assert!(service.platform.truth(&contact).unwrap().exists);
    // The oracle looks for what the withdrawal was closed with, and does not know of the newer will.
    service.platform.set_policy(&contact, "customs.newsletter", false);
    service.finish().await;
}

#[tokio::test]
async fn r_52_r_65_what_follows_a_withdrawal_is_told_as_that_after_a_hold_too() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (withdrawal, contact) = withdrawn(&service, Assurance::AuthenticatedSession).await;
    service.advance(WEEK).await;
    let mut erasures = hand_in(&service).await;
    // Two holds, one after the other.
    for _ in 0..2 {
        let placed = holds::place(&service, holds::claim_about(&service, ADDRESS)).await;
        service.work_to_the_end().await;
        let [held] = erasures.try_into().unwrap();
        assert_eq!(service.case(held).await.outcome, Some(Outcome::PartlyFulfilled));
        holds::lift(&service, &placed.reference, LiftReason::Reviewed).await.unwrap();
        erasures = holds::resume_held(&service).await;
    }
    service.work_to_the_end().await;
    let [rest] = erasures.try_into().unwrap();
    let case = service.case(rest).await;
    assert_eq!(case.outcome, Some(Outcome::Fulfilled));
    let follows = case.follows.unwrap();
    assert_eq!((follows.request, follows.because), (withdrawal, FollowsBecause::Consent));
    assert!(!service.platform.truth(&contact).unwrap().exists);
    // Nobody asked for an erasure: neither of the stages says so.
    let known = service.case(withdrawal).await.reference;
    let occasion = format!("You took back a consent that you had given to Caffè Prova ({known} of");
    let mails = service.mails.sent();
    let told: Vec<String> = mails
        .iter()
        .rev()
        .take(3)
        .map(|mail| mail.text.expose().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for text in told {
        assert!(text.contains(&occasion) && !text.contains("You asked Caffè"), "{text}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_52_what_an_earlier_program_handed_in_overrules_no_newer_consent_either() {
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let (withdrawal, contact) = withdrawn(&service, Assurance::AuthenticatedSession).await;
    service.advance(WEEK).await;
    let [erasure] = hand_in(&service).await.try_into().unwrap();
    // An earlier program did not write it; the migration to this one does.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("DELETE FROM dsrd.following").execute(&mut owner).await.unwrap();
    let migration = include_str!("../../migrations/20261208900000_what_followed_before.sql");
    sqlx::raw_sql(migration).execute(&mut owner).await.unwrap();
    service.platform.set_policy(&contact, "mktgCommunications", true);
    service.work_to_the_end().await;
    let case = service.case(erasure).await;
    assert_eq!(case.park_reason, Some(ParkReason::NewerWill));
    assert_eq!(case.follows.unwrap().request, withdrawal);
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.platform.set_policy(&contact, "mktgCommunications", false);
    service.finish().await;
}

#[tokio::test]
async fn r_52_what_an_earlier_program_let_wait_behind_a_hold_overrules_no_newer_consent_either() {
    // The hold ends after the migration to this program, or had ended before it.
    for had_ended in [false, true] {
        let service = TestService::builder().erasure(follow_up(true)).build().await;
        let (withdrawal, contact) = withdrawn(&service, Assurance::AuthenticatedSession).await;
        service.advance(WEEK).await;
        let placed = holds::place(&service, holds::claim_about(&service, ADDRESS)).await;
        let [first] = hand_in(&service).await.try_into().unwrap();
        service.work_to_the_end().await;
        assert_eq!(service.case(first).await.outcome, Some(Outcome::PartlyFulfilled));
        let resumed = async || {
            holds::lift(&service, &placed.reference, LiftReason::Reviewed).await.unwrap();
            let [second] = holds::resume_held(&service).await.try_into().unwrap();
            second
        };
        let handed_in = if had_ended { Some(resumed().await) } else { None };
        let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
        sqlx::query("DELETE FROM dsrd.following").execute(&mut owner).await.unwrap();
        for migration in [
            include_str!("../../migrations/20261208900000_what_followed_before.sql"),
            include_str!("../../migrations/20261209420000_what_waited_behind_a_hold.sql"),
        ] {
            sqlx::raw_sql(migration).execute(&mut owner).await.unwrap();
        }
        let follower = handed_in.unwrap_or(first);
        let follows = service.case(follower).await.follows.unwrap();
        assert_eq!((follows.request, follows.because), (withdrawal, FollowsBecause::Consent), "{had_ended}");
        let second = match handed_in {
            Some(second) => second,
            None => resumed().await,
        };
        service.platform.set_policy(&contact, "mktgCommunications", true);
        service.work_to_the_end().await;
        let case = service.case(second).await;
        assert_eq!(case.park_reason, Some(ParkReason::NewerWill), "{had_ended}");
        assert_eq!(case.follows.unwrap().request, withdrawal, "{had_ended}");
        assert!(service.platform.truth(&contact).unwrap().exists);
        service.platform.set_policy(&contact, "mktgCommunications", false);
        service.finish().await;
    }
}

#[tokio::test]
async fn r_52_r_74_a_withdrawal_is_known_for_as_long_as_what_follows_from_it_waits_for_a_hold() {
    // It names a policy that the settings do not: nothing else tells what the person had taken back.
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let contact =
        service.platform.add_contact(ContactSpec::new().email(ADDRESS).policy("newsletter", true).events(3));
    let mut submission = service.submission(RequestKind::ConsentWithdrawal, &[(Email, ADDRESS)]);
    submission.policies = vec!["customs.newsletter".to_owned()];
    let withdrawal =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap();
    service.work_to_the_end().await;
    service.advance(WEEK).await;
    let placed = holds::place(&service, holds::claim_about(&service, ADDRESS)).await;
    let [first] = hand_in(&service).await.try_into().unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(first).await.outcome, Some(Outcome::PartlyFulfilled));
    crate::support::oracle::check(&service).await;
    for days in [31, 35, 37 * 31 - 66] {
        service.clock.advance(TimeDelta::days(days));
        forget(&service).await;
    }
    assert_eq!(service.case(withdrawal.request).await.policies, ["customs.newsletter"]);
    service.platform.set_policy(&contact, "customs.newsletter", true);
    holds::lift(&service, &placed.reference, LiftReason::Reviewed).await.unwrap();
    let [second] = holds::resume_held(&service).await.try_into().unwrap();
    // Once the rest is on its way, too.
    forget(&service).await;
    assert_eq!(service.case(withdrawal.request).await.outcome, Some(Outcome::Fulfilled));
    service.work_to_the_end().await;
    assert_eq!(service.case(second).await.park_reason, Some(ParkReason::NewerWill));
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.platform.set_policy(&contact, "customs.newsletter", false);
    resume(&service, second).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(second).await.outcome, Some(Outcome::Fulfilled));
    forget(&service).await;
    let left = "SELECT count(*) FROM dsrd.request WHERE kind = 'consent_withdrawal'";
    assert_eq!(count(&service, left).await, 0, "nothing keeps it any more");
}
