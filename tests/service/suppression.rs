//! Who must not come back: keyed hashes that outlive everything else.

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{Clock as _, IdentifierKind, RequestKind, SubjectIdentifier};
use dsrd::suppression::{self, ImportDecision, Purpose};
use dsrd_simulator::ContactSpec;

use crate::rig::count;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino@posta.example";

fn ada() -> ContactSpec {
    ContactSpec::new().email(ADDRESS).phone("+39 333 1234567").policy("mktgCommunications", true)
}

pub(crate) fn identifier(kind: IdentifierKind, text: &str) -> SubjectIdentifier {
    SubjectIdentifier::parse(kind, text, Some("IT")).unwrap()
}

pub(crate) async fn decide(
    service: &TestService,
    who: &[SubjectIdentifier],
    signed_up: Option<TimeDelta>,
) -> ImportDecision {
    let mut tx = service.store.begin("test.decide").await.unwrap();
    let now = service.clock.now();
    let signed_up_at = signed_up.map(|after| now + after);
    let by = (Actor::Person("importer".to_owned()), now);
    let keys = &service.desk.keys;
    let decided =
        suppression::decide(&mut tx, keys, &service.controller.id, who, signed_up_at, by).await.unwrap();
    tx.commit().await.unwrap();
    decided.0
}

#[tokio::test]
async fn r_48_an_import_of_somebody_erased_is_blocked_and_recorded_and_their_own_sign_up_is_not() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.submit(RequestKind::Erasure, &[(Email, ADDRESS)]).await;
    assert_eq!(decide(&service, &[identifier(Email, ADDRESS)], None).await, ImportDecision::Allowed);
    service.work_to_the_end().await;

    service.clock.advance(TimeDelta::hours(1));
    // By the address given, in another spelling, and by the number that only the profile held.
    for who in [identifier(Email, "Canarino@POSTA.example"), identifier(Phone, "0039 333 1234567")] {
        let who = std::slice::from_ref(&who);
        assert_eq!(decide(&service, who, None).await, ImportDecision::Blocked);
        let since = Some(TimeDelta::minutes(-30));
        assert_eq!(decide(&service, who, since).await, ImportDecision::WithoutMarketing);
        // What has not happened shows nothing; nobody finds out in this way who was erased.
        assert_eq!(decide(&service, who, Some(TimeDelta::days(3))).await, ImportDecision::Blocked);
    }
    assert_eq!(
        decide(&service, &[identifier(Email, "altro@posta.example")], None).await,
        ImportDecision::Allowed
    );
    let entries = service.audit().await;
    let count = |action| entries.iter().filter(|entry| entry.action == action).count();
    assert_eq!((count("suppression.import_blocked"), count("suppression.read")), (4, 2));
    service.finish().await;
}

#[tokio::test]
async fn whoever_is_shown_what_stands_of_a_person_on_the_suppression_list_leaves_an_entry() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let who = [identifier(Email, ADDRESS)];
    assert_eq!(decide(&service, &who, None).await, ImportDecision::Allowed);
    service.submit(RequestKind::OptOut, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    assert_eq!(decide(&service, &who, None).await, ImportDecision::WithoutMarketing);
    let entries = service.audit().await;
    let read: Vec<_> = entries.iter().filter(|entry| entry.action == "suppression.read").collect();
    assert_eq!(read.len(), 1, "nothing is shown of whom the list does not know");
    assert_eq!(read[0].actor, "person:importer");
    assert_eq!(read[0].detail, serde_json::json!({"entries": 1, "new_sign_up_claimed": false}));
    service.finish().await;
}

#[tokio::test]
async fn r_54_an_opt_out_suppresses_marketing_only_and_a_revocation_purges_it() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    service.submit(RequestKind::OptOut, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    let who = [identifier(Email, ADDRESS), identifier(Phone, "+39 333 1234567")];
    assert_eq!(decide(&service, &who, None).await, ImportDecision::WithoutMarketing);
    assert_eq!(
        count(&service, "SELECT count(*) FROM dsrd.suppression WHERE purpose <> 'marketing'").await,
        0
    );
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.suppression").await, 2, "address and number");
    let clear = "SELECT count(*) FROM dsrd.suppression AS each WHERE each::text ILIKE '%canarino%'";
    assert_eq!(count(&service, clear).await, 0);

    let mut tx = service.store.begin("test.revoke").await.unwrap();
    let by = (Actor::Person("dpo".to_owned()), service.clock.now());
    let purpose = Some(Purpose::Marketing);
    let keys = &service.desk.keys;
    let gone = suppression::revoke(&mut tx, keys, &service.controller.id, &who, purpose, by).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(gone, 2);
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.suppression").await, 0);
    assert_eq!(decide(&service, &who, None).await, ImportDecision::Allowed);
    service.finish().await;
}

#[tokio::test]
async fn r_54_a_sweep_suppresses_nobody() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    service.submit_sweep(&contact, service.clock.now() + TimeDelta::days(1)).await;
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.suppression").await, 0);
    service.finish().await;
}

#[tokio::test]
async fn r_55_nobody_asks_again_before_the_day_that_the_law_sets() {
    let mut service = TestService::start().await;
    let _contact = service.platform.add_contact(ada());
    let day = async |service: &TestService| {
        let mut tx = service.store.begin("test").await.unwrap();
        let who = [identifier(Email, ADDRESS)];
        let found = suppression::contains(&mut tx, &service.desk.keys, &service.controller.id, &who).await;
        let found = found.unwrap().into_iter().filter(|entry| entry.purpose == Purpose::Marketing);
        found.map(|entry| entry.do_not_ask_before).next().unwrap()
    };
    service.submit(RequestKind::OptOut, &[(Email, ADDRESS)]).await;
    service.work_to_the_end().await;
    assert_eq!(day(&service).await, None, "the law of the Union sets none");

    // The same person, in California: twelve months (Civ. Code 1798.135(c)(4)).
    std::sync::Arc::make_mut(&mut service.controller).regime = "US-CA".parse().unwrap();
    let opted_out = "2026-03-02T18:00:00Z".parse().unwrap();
    let who = identifier(Email, ADDRESS);
    let organisation = &service.controller.id;
    let hashed = suppression::hashes(&service.desk.keys, organisation, &[Purpose::Marketing], &[&who], None);
    let mut tx = service.store.begin("test").await.unwrap();
    let source = suppression::Source::OptOut;
    suppression::add(&mut tx, &service.controller, &hashed, source, opted_out).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(day(&service).await.unwrap().to_string(), "2027-03-02");
    service.finish().await;
}
