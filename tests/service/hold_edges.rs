//! Whom a hold concerns at its edges: deletions that had begun, contacts created about its span, contacts of later sweeps.

use chrono::{NaiveDate, TimeDelta};
use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::{Email, ExternalId, Phone};
use dsrd::domain::{
    Clock as _, ContactId, HoldCategory, HoldKind, IdentifierKind, LiftReason, Outcome, ParkReason,
    RequestId, RequestKind, SubjectIdentifier, SystemClock,
};
use dsrd::holds::{self, About, EndRule, NewHold};
use dsrd::retention::{self, Holds, SweepState};
use dsrd::{execution, intake};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::decide::resume;
use crate::every_commit::sweeper;
use crate::grounds::{follow_up, hand_in};
use crate::holds::{claim_about, lift, place};
use crate::rig::count;
use crate::support::builder::start_of_test;
use crate::support::service::TestService;
use crate::upkeep::forget;

const ADDRESS: &str = "canarino@posta.example";
const TELEPHONE: &str = "+39 333 1234567";

/// From now on the profile of a contact shows another address in place of [`ADDRESS`].
fn change_address(service: &TestService, contact: &str) {
    let profile = service.platform.contact_json(contact).unwrap();
    let profile = profile.replace(ADDRESS, "canarino.nuovo@posta.example");
    service.simulator.faults().inject(Fault::Body(profile).on(Endpoint::Contact).for_contact(contact));
}

async fn find_contacts(service: &TestService) -> u64 {
    let site = &service.executor.sites[&service.controller.id];
    execution::find_held_contacts(&service.store, &service.desk, site).await.unwrap()
}

/// A hold about the person of a request, as far as it is known whose that is.
async fn about_the_person_of(service: &TestService, request: RequestId) -> NewHold {
    let mut connection = service.store.connection().await.unwrap();
    let mut references =
        holds::references_of(&mut connection, &service.controller.id, request).await.unwrap();
    let keys = service.desk.keys.subject(&service.controller.id);
    let contact = service.case(request).await.contact;
    let contacts: Vec<_> = contact.iter().map(|contact| keys.contact(contact)).collect();
    references.extend(&contacts);
    let about = About::Person(references);
    NewHold { about, contacts, request: Some(request), ..claim_about(service, ADDRESS) }
}

#[tokio::test]
async fn r_65_whoever_places_a_hold_hears_of_every_deletion_that_may_have_happened() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS));
    // Accepted, and not carried out: the deletion is open until reading shows it.
    service.simulator.faults().inject(Fault::DeleteIgnored);
    let receipt = service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await;
    service.work().await;
    assert!(service.case(receipt.request).await.executed_at.is_some());
    let late = [receipt.reference.to_string()];
    assert_eq!(place(&service, claim_about(&service, ADDRESS)).await.too_late_for, late);
    let other = claim_about(&service, "canarino.altro@posta.example");
    assert!(place(&service, other).await.too_late_for.is_empty());
    let now = service.clock.now();
    for created_from in [None, Some(now - TimeDelta::days(900))] {
        let about = About::Contacts { created_from, created_before: None };
        let placed = place(&service, NewHold { about, ..claim_about(&service, ADDRESS) }).await;
        assert_eq!(placed.too_late_for, late, "{created_from:?}");
    }
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::VerificationFailed));
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_does_not_come_too_late_for_a_deletion_that_certainly_failed() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS));
    let refused = service.simulator.faults().inject(Fault::Status(409).on(Endpoint::DeleteContact));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::PlatformRejected));
    assert!(place(&service, claim_about(&service, ADDRESS)).await.too_late_for.is_empty());
    // It looks for holds once more before it is announced again.
    service.simulator.faults().remove(refused);
    resume(&service, receipt.request).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::PartlyFulfilled));
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_over_a_span_keeps_who_may_have_been_created_in_it_by_a_local_time() {
    let service = TestService::start().await;
    let (from, before) = (start_of_test() - TimeDelta::days(400), start_of_test() - TimeDelta::days(300));
    let about = About::Contacts { created_from: Some(from), created_before: Some(before) };
    place(&service, NewHold { about, ..claim_about(&service, ADDRESS) }).await;
    let edge = TimeDelta::hours(13);
    let far = TimeDelta::hours(15);
    let people = [(from - edge, true), (from - far, false), (before + edge, true), (before + far, false)];
    let mut requests = Vec::new();
    for (number, (created, held)) in people.into_iter().enumerate() {
        let address = format!("canarino.{number}@posta.example");
        let _contact = service.platform.add_contact(ContactSpec::new().email(&address).created(created));
        let receipt = service.submit(RequestKind::Erasure, &[(Email, &address)]).await;
        requests.push((receipt.request, held));
    }
    service.work_to_the_end().await;
    for (request, held) in requests {
        let expected = if held { Outcome::PartlyFulfilled } else { Outcome::Fulfilled };
        assert_eq!(service.case(request).await.outcome, Some(expected));
    }
    // A sweep leaves the same ones alone.
    let keys = service.desk.keys.subject(&service.controller.id);
    let contacts = people.map(|(created, _)| (keys.contact(&"nobody".parse().unwrap()), created));
    let mut connection = service.store.connection().await.unwrap();
    let today = service.clock.now().date_naive();
    let mut among =
        holds::held_among(&mut connection, &service.controller.id, &contacts, today).await.unwrap();
    among.sort_unstable();
    assert_eq!(among, [(0, true), (2, true)]);
    drop(connection);
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_hold_by_identifiers_follows_a_profile_whose_address_changes() {
    let service = TestService::start().await;
    let spec = ContactSpec::new().email(ADDRESS).phone(TELEPHONE).policy("mktgCommunications", false);
    let contact = service.platform.add_contact(spec);
    let given = SubjectIdentifier::parse(Email, ADDRESS, None).unwrap();
    let site = &service.executor.sites[&service.controller.id];
    let keys = service.desk.keys.subject(&service.controller.id);
    let found = execution::contacts_to_hold(site, &[&given]).await.unwrap();
    let contacts: Vec<_> = found.iter().map(|contact| keys.contact(contact)).collect();
    let About::Person(mut references) = claim_about(&service, ADDRESS).about else { panic!("a person") };
    references.extend(&contacts);
    place(&service, NewHold { about: About::Person(references), contacts, ..claim_about(&service, ADDRESS) })
        .await;
    change_address(&service, &contact);
    let receipt = service.submit(RequestKind::Erasure, &[(Phone, TELEPHONE)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::PartlyFulfilled));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    service.finish().await;
}

#[tokio::test]
async fn r_65_the_contact_of_a_hold_by_a_request_is_looked_up_within_a_minute_or_when_the_platform_is_back() {
    let service = TestService::start().await;
    let spec =
        ContactSpec::new().email(ADDRESS).phone(TELEPHONE).created(start_of_test() - TimeDelta::days(400));
    let contact = service.platform.add_contact(spec);
    // The textbook case: who contests their address is restricted, and then it is corrected (Art. 16, 18(1)(a) GDPR).
    let request = service.submit(RequestKind::Restriction, &[(Email, ADDRESS)]).await.request;
    service.work_to_the_end().await;
    let restriction =
        NewHold { kind: HoldKind::Restriction, matter: None, ..about_the_person_of(&service, request).await };
    assert!(restriction.contacts.is_empty(), "nobody looked for the contact");
    let hold = place(&service, restriction).await;
    let away = service.simulator.faults().inject(Fault::Status(503));
    assert_eq!(find_contacts(&service).await, 0);
    service.simulator.faults().remove(away);
    let both = tokio::join!(find_contacts(&service), find_contacts(&service));
    assert_eq!((both.0 + both.1, find_contacts(&service).await), (1, 0), "once");
    let mut connection = service.store.connection().await.unwrap();
    assert!(holds::knows_contact(&mut connection, &service.controller.id, hold.id).await.unwrap());
    drop(connection);
    change_address(&service, &contact);
    let sweep = service.submit_sweep(&contact, start_of_test()).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(sweep.request).await.outcome, Some(Outcome::OutOfScope));
    assert_eq!(service.simulator.journal().calls(Endpoint::DeleteContact), 0);
    service.finish().await;
}

#[tokio::test]
async fn r_65_a_telephone_number_of_several_people_names_no_contact_to_hold() {
    let service = TestService::start().await;
    let household = ContactSpec::new().phone(TELEPHONE);
    let ada = service.platform.add_contact(household.clone().email(ADDRESS).ext_id("canarino-7"));
    let parse = |kind: IdentifierKind, text: &str| SubjectIdentifier::parse(kind, text, None).unwrap();
    let site = &service.executor.sites[&service.controller.id];
    let meant = async |given: &[(IdentifierKind, &str)]| {
        let given: Vec<_> = given.iter().map(|(kind, text)| parse(*kind, text)).collect();
        let given: Vec<_> = given.iter().collect();
        let found = execution::contacts_to_hold(site, &given).await.unwrap();
        found.into_iter().map(|contact| contact.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(meant(&[(Phone, TELEPHONE)]).await, std::slice::from_ref(&ada), "the only one who has it");
    let _other = service.platform.add_contact(household.email("cardellino@posta.example"));
    assert!(meant(&[(Phone, TELEPHONE)]).await.is_empty());
    assert_eq!(meant(&[(Phone, TELEPHONE), (Email, ADDRESS), (ExternalId, "canarino-7")]).await, [ada]);
    service.finish().await;
}

/// A person who looked at these holds says that they are about somebody else.
async fn resume_not_held(
    service: &TestService,
    request: RequestId,
    holds: &[String],
) -> Result<(), intake::CaseError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, dpo) = (&service.controller.id, Actor::Person("dpo".to_owned()));
    intake::resume_not_held(&mut tx, &service.desk, organisation, request, holds, dpo).await?;
    tx.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn r_65_a_hold_on_somebody_of_the_same_telephone_number_is_told_to_nobody_and_a_person_decides() {
    const OTHER: &str = "canarino.secondo@posta.example";
    for is_the_same in [false, true] {
        let service = TestService::start().await;
        let household = ContactSpec::new().phone(TELEPHONE).policy("mktgCommunications", true);
        let held = service.platform.add_contact(household.clone().email(ADDRESS));
        let contact = service.platform.add_contact(household.email(OTHER));
        let access = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await.request;
        service.work_to_the_end().await;
        let order = NewHold { kind: HoldKind::Court, ..about_the_person_of(&service, access).await };
        assert_eq!(order.contacts.len(), 1);
        let first = place(&service, order).await.reference;
        let own = service.submit(RequestKind::Erasure, &[(Email, OTHER)]).await.request;
        service.work_to_the_end().await;
        let case = service.case(own).await;
        assert_eq!(
            (case.park_reason, &case.waits_for),
            (Some(ParkReason::HoldUnclear), &Some(first.clone()))
        );
        let policy = |contact: &str| service.platform.truth(contact).unwrap().policy("mktgCommunications");
        assert_eq!(policy(&contact), Some(true), "nothing is changed");
        let told = service.mails.sent();
        assert!(
            !told.iter().any(|mail| mail.text.expose().contains("court or an authority has")),
            "{told:?}"
        );
        if is_the_same {
            place(&service, about_the_person_of(&service, own).await).await;
            resume(&service, own).await;
            service.work_to_the_end().await;
            assert_eq!(service.case(own).await.outcome, Some(Outcome::PartlyFulfilled));
            assert!(service.platform.truth(&contact).unwrap().exists);
            let told = service.last_told();
            assert!(told.contains("legal claims") && !told.contains("authority has ordered"), "{told}");
        } else {
            // Sent on its way without a decision it waits again.
            resume(&service, own).await;
            service.work_to_the_end().await;
            assert_eq!(service.case(own).await.park_reason, Some(ParkReason::HoldUnclear));
            // Another one is placed before it is decided about: nobody has seen that.
            let later = NewHold { kind: HoldKind::Court, ..about_the_person_of(&service, access).await };
            let later = place(&service, later).await.reference;
            resume_not_held(&service, own, std::slice::from_ref(&first)).await.unwrap();
            service.work_to_the_end().await;
            let case = service.case(own).await;
            assert_eq!(
                (case.park_reason, &case.waits_for),
                (Some(ParkReason::HoldUnclear), &Some(later.clone()))
            );
            assert!(service.platform.truth(&contact).unwrap().exists);
            // Whoever still looks at the first one decides nothing about the other.
            let refused = resume_not_held(&service, own, std::slice::from_ref(&first)).await.unwrap_err();
            assert!(refused.to_string().contains(&later), "{refused}");
            resume_not_held(&service, own, std::slice::from_ref(&later)).await.unwrap();
            service.work_to_the_end().await;
            assert_eq!(service.case(own).await.outcome, Some(Outcome::Fulfilled));
            let log = service.audit().await;
            let decided = log.iter().filter(|entry| entry.detail["held_is_another"] == true);
            let about: Vec<_> = decided.map(|entry| entry.detail["holds"].as_str().unwrap()).collect();
            assert_eq!(about, [first, later], "who decided about what is recorded");
        }
        assert!(service.platform.truth(&held).unwrap().exists);
        service.finish().await;
    }
}

#[tokio::test]
async fn r_65_whom_a_law_keeps_for_months_after_the_last_record_is_submitted_by_one_sweep_and_by_no_later_one()
 {
    const REMEMBERED: &str = "SELECT count(*) FROM dsrd.hold_until";
    // The platform tells its own time, which a sweep compares.
    let service = TestService::builder().starting_at(SystemClock.now()).build().await;
    let created = service.clock.now() - TimeDelta::days(4 * 366);
    let guest =
        service.platform.add_contact(ContactSpec::new().email(ADDRESS).created(created).accountings(3));
    let law = NewHold {
        kind: HoldKind::Statutory,
        category: HoldCategory::Accountings,
        about: About::Contacts { created_from: None, created_before: None },
        ends: EndRule::MonthsAfterLast(240),
        ..claim_about(&service, ADDRESS)
    };
    let law = place(&service, law).await.reference;
    let sweeper = sweeper(&service);
    let first = sweeper.sweep("dpo").await.unwrap();
    assert!(first.state == SweepState::Finished && first.submitted > 0 && first.skipped == 0, "{first:?}");
    service.work_to_the_end().await;
    let mut connection = service.store.connection().await.unwrap();
    let outcome = "SELECT outcome FROM dsrd.request WHERE contact_id = $1";
    let outcome: String = sqlx::query_scalar(outcome).bind(&guest).fetch_one(&mut *connection).await.unwrap();
    assert_eq!(outcome, Outcome::OutOfScope.as_str());
    let kept = count(&service, REMEMBERED).await;
    assert!(kept > 0);

    // Until that day, and not a day longer.
    let organisation = &service.controller.id;
    let contact: ContactId = guest.parse().unwrap();
    let contact = service.desk.keys.subject(organisation).contact(&contact);
    let last: NaiveDate = sqlx::query_scalar("SELECT held_until FROM dsrd.hold_until WHERE subject_ref = $1")
        .bind(contact.as_bytes().as_slice())
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    for (day, expected) in [(last, vec![(0, true)]), (last + TimeDelta::days(1), Vec::new())] {
        let held = holds::held_among(&mut connection, organisation, &[(contact, created)], day).await;
        assert_eq!(held.unwrap(), expected, "{day}");
    }
    drop(connection);

    service.clock.advance(SystemClock.now() - service.clock.now());
    let looked_up = Some(Holds { store: &service.store, keys: &service.desk.keys });
    let (platform, now) = (&*sweeper.platform, service.clock.now());
    let seen = retention::preview(platform, &service.controller, &sweeper.rule, now, looked_up, |_| ()).await;
    assert_eq!(i64::try_from(seen.unwrap().held), Ok(kept));
    let later = sweeper.sweep("dpo").await.unwrap();
    assert_eq!((later.state, later.submitted), (SweepState::Finished, 0));
    assert_eq!(i64::try_from(later.skipped), Ok(kept));

    // It is forgotten when it says nothing any more.
    forget(&service).await;
    assert_eq!(count(&service, REMEMBERED).await, kept);
    lift(&service, &law, LiftReason::OrderEnded).await.unwrap();
    let after = sweeper.sweep("dpo").await.unwrap();
    assert_eq!((i64::try_from(after.submitted), after.skipped), (Ok(kept), 0));
    forget(&service).await;
    assert_eq!(count(&service, REMEMBERED).await, 0);
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_52_r_65_the_restriction_of_a_housemate_is_no_newer_will_and_a_person_says_whose_it_is() {
    const OTHER: &str = "canarino.secondo@posta.example";
    let service = TestService::builder().erasure(follow_up(true)).build().await;
    let household = ContactSpec::new().phone(TELEPHONE).policy("mktgCommunications", true);
    let housemate = service.platform.add_contact(household.clone().email(ADDRESS));
    let contact = service.platform.add_contact(household.email(OTHER));
    let access = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await.request;
    service.work_to_the_end().await;
    let of_housemate = about_the_person_of(&service, access).await;
    let restriction = NewHold { kind: HoldKind::Restriction, matter: None, request: None, ..of_housemate };
    assert_eq!(restriction.contacts.len(), 1);
    let restriction = place(&service, restriction).await.reference;
    service.submit(RequestKind::ConsentWithdrawal, &[(Email, OTHER)]).await;
    service.work_to_the_end().await;
    service.advance(std::time::Duration::from_hours(7 * 24)).await;
    let [erasure] = hand_in(&service).await.try_into().unwrap();
    service.work_to_the_end().await;
    let case = service.case(erasure).await;
    assert_eq!((case.park_reason, case.outcome), (Some(ParkReason::HoldUnclear), None));
    assert_eq!(case.waits_for.as_deref(), Some(restriction.as_str()));
    assert!(service.platform.truth(&contact).unwrap().exists);
    resume_not_held(&service, erasure, &[restriction]).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(erasure).await.outcome, Some(Outcome::Fulfilled));
    assert!(!service.platform.truth(&contact).unwrap().exists);
    assert!(service.platform.truth(&housemate).unwrap().exists);
    service.finish().await;
}

#[tokio::test]
async fn r_44_r_60_a_sweep_whose_deletion_takes_effect_late_ends_no_restriction_that_came_meanwhile() {
    let service = TestService::start().await;
    let spec = ContactSpec::new().email(ADDRESS).created(start_of_test() - TimeDelta::days(400));
    let contact = service.platform.add_contact(spec);
    // Accepted, and not carried out yet.
    service.simulator.faults().inject(Fault::DeleteIgnored);
    let sweep = service.submit_sweep(&contact, start_of_test()).await;
    service.work().await;
    assert!(service.case(sweep.request).await.executed_at.is_some());
    service.submit(RequestKind::Objection, &[(Email, ADDRESS)]).await;
    let placed = holds::restrict_objections(&service.store, &service.controller, &*service.desk.clock).await;
    assert_eq!(placed.unwrap(), 1);
    assert_eq!(find_contacts(&service).await, 1);
    service.platform.delete_contact(&contact);
    service.work_to_the_end().await;
    assert!(service.case(sweep.request).await.verified_at.is_some());
    assert_eq!(
        count(&service, "SELECT count(*) FROM dsrd.hold WHERE kind = 'restriction' AND ended_at IS NULL")
            .await,
        1,
        "nobody is told of a sweep: a person tells whoever objected"
    );
    service.finish().await;
}
