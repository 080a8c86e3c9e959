//! What a sweep leaves to a later one, and why.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::domain::{
    Channel, Clock as _, ContactId, HoldCategory, HoldKind, IdentifierKind, LiftReason, Origin, RequestId,
    RequestKind, SubjectIdentifier,
};
use dsrd::holds::{self, About, EndRule, NewHold};
use dsrd::intake::{self, Submission};
use dsrd::retention::{self, Anchor, Settings, StopReason, SweepState};

use crate::office::{Office, at, settings};
use crate::pages::{Pages, Person, contacts};

/// An order of this kind, reviewed in 90 days.
fn order(office: &Office, kind: HoldKind, about: About) -> NewHold {
    NewHold {
        kind,
        category: HoldCategory::Everything,
        ground: None,
        statute: None,
        matter: None,
        owner: "legal".to_owned(),
        about,
        contacts: Vec::new(),
        ends: EndRule::WhenLifted,
        review_on: Some((office.clock.now() + TimeDelta::days(90)).date_naive()),
        request: None,
    }
}

async fn place(office: &Office, new: NewHold) -> String {
    let mut tx = office.store.begin("test.place").await.unwrap();
    let dpo = Actor::Person("dpo".to_owned());
    let placed = holds::place(&mut tx, &office.controller, new, dpo, office.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    placed.reference
}

async fn hold(office: &Office, kind: HoldKind, contact: &str) -> String {
    let contact: ContactId = contact.parse().unwrap();
    let contact = office.desk.keys.subject(&office.controller.id).contact(&contact);
    place(office, order(office, kind, About::Person(vec![contact]))).await
}

/// A request for a copy of the data whose contact was located.
async fn ask_for_copy(office: &Office, kind: RequestKind, contact: &'static str) -> RequestId {
    let email = SubjectIdentifier::parse(IdentifierKind::Email, "ada@people.example", None).unwrap();
    let submission = Submission {
        kind,
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
        idempotency_key: kind.as_str().to_owned(),
        handed_in_by: None,
        sweep_target: None,
        follows: None,
    };
    let receipt =
        intake::submit_request(&office.store, &office.desk, &office.controller, submission).await.unwrap();
    sqlx::query("UPDATE dsrd.request SET contact_id = $1 WHERE request_id = $2")
        .bind(contact)
        .bind(receipt.request.0)
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
    let access = ask_for_copy(&office, RequestKind::Access, "old-0005").await;
    ask_for_copy(&office, RequestKind::Portability, "old-0006").await;

    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!(report.state, SweepState::Finished);
    assert_eq!((report.candidates, report.submitted, report.skipped), (8, 6, 4));
    let reasons = [
        ("old-0003", "hold"),
        ("old-0004", "restriction"),
        ("old-0005", "open_access_request"),
        ("old-0006", "open_access_request"),
    ];
    let reasons: Vec<_> = reasons.map(|(contact, why)| (contact.to_owned(), why.to_owned())).into();
    assert_eq!(skipped(&office).await, reasons);
    assert_eq!(office.sweeps().await[0].skipped, 4);

    let mut tx = office.store.begin("test.release").await.unwrap();
    let dpo = || Actor::Person("dpo".to_owned());
    let now = office.clock.now();
    holds::lift(&mut tx, &office.controller, &claim, LiftReason::ClaimSettled, dpo(), now).await.unwrap();
    intake::withdraw(&mut tx, &office.desk, &office.controller, access, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!((report.candidates, report.submitted, report.skipped), (9, 2, 2));
    assert_eq!(office.count("jobs").await, 8);
}

/// A claim about everybody of the first eight who are past their time.
fn about_eight() -> About {
    About::Contacts { created_from: None, created_before: Some(at("2020-01-08T00:00:00Z")) }
}

#[tokio::test]
async fn f_52_whom_a_hold_keeps_counts_for_no_cap_and_a_preview_shows_the_same() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 30)));
    place(&office, order(&office, HoldKind::Claim, about_eight())).await;

    let one = Settings { most_contacts: Some(1), ..settings() };
    let report = office.sweeper(&platform, &one).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.reason), (SweepState::Stopped, Some(StopReason::OverMostContacts)));
    assert_eq!((report.candidates, report.submitted, report.skipped), (2, 0, 8));
    assert_eq!(office.sweeps().await[0].still_past, Some(2), "no hold explains those two");
    assert!(office.count("candidates").await <= 1, "no more contacts are kept than the cap allows");

    let few = Settings { most_contacts: Some(5), ..settings() };
    let (rule, now) = (few.rule().unwrap(), office.clock.now());
    let preview =
        retention::preview(&*platform, &office.controller, &rule, now, Some(office.holds()), |_| ());
    let preview = preview.await.unwrap();
    assert_eq!((preview.candidates, preview.held, preview.stops), (2, 8, None));
    let report = office.sweeper(&platform, &few).sweep_confirmed("ada", 2).await.unwrap();
    assert_eq!((report.state, report.reason), (SweepState::Finished, None));
    assert_eq!((report.candidates, report.submitted, report.skipped), (2, 2, 8));
    assert_eq!(office.submitted().await, ["old-0008", "old-0009"]);
}

#[tokio::test]
async fn f_52_a_contact_that_a_hold_keeps_and_whose_erasure_is_open_stops_no_sweep() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 30)));
    let sweeper = office.sweeper(&platform, &settings());
    assert_eq!(sweeper.sweep("ada").await.unwrap().submitted, 10);
    place(&office, order(&office, HoldKind::Claim, about_eight())).await;
    let report = sweeper.sweep("ada").await.unwrap();
    assert_eq!((report.state, report.candidates), (SweepState::Finished, 2));
    assert_eq!((report.submitted, report.skipped), (0, 8));
}

#[tokio::test]
async fn r_60_the_records_of_whom_a_hold_keeps_are_not_read() {
    const EARLY: &[&str] = &[r#"{"stop":"2022-03-01T11:00:00Z"}"#];
    let away = || Person { accountings: EARLY, ..Person::default() };
    let office = Office::open().await;
    let people = Pages::of(contacts(0, 20)).person("gone", "2020-01-10T09:00:00Z", away()).person(
        "held",
        "2020-01-11T09:00:00Z",
        away(),
    );
    let platform = Arc::new(people);
    hold(&office, HoldKind::Claim, "held").await;
    let settings = Settings { anchor: Anchor::LastActivity, ..settings() };
    let (rule, now) = (settings.rule().unwrap(), office.clock.now());
    let preview =
        retention::preview(&*platform, &office.controller, &rule, now, Some(office.holds()), |_| ());
    let preview = preview.await.unwrap();
    assert_eq!((preview.old_enough, preview.candidates, preview.held), (2, 1, 1));
    let read = platform.reads.swap(0, Ordering::SeqCst);

    let report = office.sweeper(&platform, &settings).sweep("ada").await.unwrap();
    assert_eq!((report.candidates, report.submitted, report.skipped), (1, 1, 1));
    assert_eq!(office.submitted().await, ["gone"]);
    assert_eq!((read, platform.reads.load(Ordering::SeqCst)), (4, 4), "profile and three lists of one");
}
