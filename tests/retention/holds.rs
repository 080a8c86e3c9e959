//! What a sweep leaves to a later one, and why.

use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::domain::{
    Channel, Clock as _, ContactId, HoldCategory, HoldKind, IdentifierKind, LiftReason, Origin, RequestId,
    RequestKind, SubjectIdentifier,
};
use dsrd::holds::{self, About, EndRule, NewHold};
use dsrd::intake::{self, Submission};
use dsrd::retention::SweepState;

use crate::office::{Office, settings};
use crate::pages::{Pages, contacts};

async fn hold(office: &Office, kind: HoldKind, contact: &str) -> String {
    let contact: ContactId = contact.parse().unwrap();
    let new = NewHold {
        kind,
        category: HoldCategory::Everything,
        ground: None,
        statute: None,
        matter: None,
        owner: "legal".to_owned(),
        about: About::Person(vec![office.desk.keys.subject(&office.controller.id).contact(&contact)]),
        contacts: Vec::new(),
        ends: EndRule::WhenLifted,
        review_on: Some((office.clock.now() + TimeDelta::days(90)).date_naive()),
        request: None,
    };
    let mut tx = office.store.begin("test.place").await.unwrap();
    let dpo = Actor::Person("dpo".to_owned());
    let placed = holds::place(&mut tx, &office.controller, new, dpo, office.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    placed.reference
}

/// An access request whose contact was located.
async fn ask_for_access(office: &Office, contact: &'static str) -> RequestId {
    let email = SubjectIdentifier::parse(IdentifierKind::Email, "ada@people.example", None).unwrap();
    let submission = Submission {
        kind: RequestKind::Access,
        also: Vec::new(),
        kind_unknown: false,
        requester_role: dsrd::domain::RequesterRole::Own,
        origin: Origin::Subject,
        channel: Channel::Web,
        received_at: office.clock.now(),
        language: None,
        identifiers: vec![email],
        policies: Vec::new(),
        ground: None,
        proof: None,
        producer: "tests".to_owned(),
        idempotency_key: "access".to_owned(),
        handed_in_by: None,
        sweep_target: None,
        follows: None,
    };
    let receipt =
        intake::submit_request(&office.store, &office.desk, &office.controller, submission).await.unwrap();
    sqlx::query("UPDATE dsrd.request SET contact_id = $1 WHERE kind = 'access'")
        .bind(contact)
        .execute(&mut *office.store.connection().await.unwrap())
        .await
        .unwrap();
    receipt.request
}

async fn skipped(office: &Office) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT contact_id, skipped FROM dsrd.sweep_candidate WHERE skipped IS NOT NULL ORDER BY contact_id",
    )
    .fetch_all(&mut *office.store.connection().await.unwrap())
    .await
    .unwrap()
}

#[tokio::test]
async fn r_65_r_44_and_r_11_a_sweep_skips_with_a_reason_and_a_later_one_takes_what_was_let_go() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 30)));
    let claim = hold(&office, HoldKind::Claim, "old-0003").await;
    hold(&office, HoldKind::Restriction, "old-0004").await;
    let access = ask_for_access(&office, "old-0005").await;

    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!(report.state, SweepState::Finished);
    assert_eq!((report.candidates, report.submitted, report.skipped), (10, 7, 3));
    let reasons = [("old-0003", "hold"), ("old-0004", "restriction"), ("old-0005", "open_access_request")];
    let reasons: Vec<_> = reasons.map(|(contact, why)| (contact.to_owned(), why.to_owned())).into();
    assert_eq!(skipped(&office).await, reasons);
    assert_eq!(office.sweeps().await[0].skipped, 3);

    let mut tx = office.store.begin("test.release").await.unwrap();
    let dpo = || Actor::Person("dpo".to_owned());
    let now = office.clock.now();
    holds::lift(&mut tx, &office.controller, &claim, LiftReason::ClaimSettled, dpo(), now).await.unwrap();
    intake::withdraw(&mut tx, &office.desk, &office.controller, access, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!((report.candidates, report.submitted, report.skipped), (10, 2, 1));
    assert_eq!(office.count("jobs").await, 9);
}
