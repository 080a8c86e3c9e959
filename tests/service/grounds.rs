//! Why data is erased, and on which legal basis it was held.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{DataCategory, ErasureGround, ErasureRules, LegalBases, LegalBasis, Outcome, RequestKind};
use dsrd::intake::{self, IntakeError, Submission};
use dsrd_simulator::ContactSpec;
use sqlx::{Connection as _, PgConnection};

use crate::support::service::{TestService, start_of_test};

const ADDRESS: &str = "canarino.motivo@posta.example";

/// The profile rests on a contract, visits on the consent alone, the rest on an interest.
fn rules(ground: Option<ErasureGround>) -> ErasureRules {
    let legal_bases = LegalBases {
        profile: vec![LegalBasis::Contract],
        events: vec![LegalBasis::Consent],
        devices: vec![LegalBasis::LegitimateInterest, LegalBasis::Consent],
        accountings: vec![LegalBasis::LegitimateInterest],
    };
    ErasureRules { ground, legal_bases }
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
