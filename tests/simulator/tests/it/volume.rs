//! A million people and a million events: found, scrolled and streamed without being held.

use crate::rig::{Rig, escape};
use dsrd_simulator::{ContactSpec, JournalKeeping, Settings};

#[tokio::test]
async fn a_million_contacts_are_found_and_counted() {
    let mut settings = Settings::with_contacts(1_000_000);
    settings.journal = JournalKeeping::CountersOnly;
    let rig = Rig::start(settings).await;
    assert_eq!(rig.organisation.contact_number(), 1_000_000);
    let id = rig.organisation.contact_id(999_998).unwrap();
    assert_eq!(rig.contact(&id).await.json()["cid"], id);
    let email = rig.organisation.truth(&id).unwrap().identifiers.email;
    assert!(rig.list(&format!("email={}", escape(&email))).await.ids().contains(&id));
    let page = rig.list("size=1000&sortBy=created_absolute&sortReverse=false").await;
    assert_eq!(page.ids().len(), 1_000);
    rig.delete(&id).await;
    assert_eq!(rig.organisation.contact_number(), 999_999);
    assert!(rig.simulator.journal().entries().is_empty());
}

#[tokio::test]
async fn very_many_events_are_streamed_and_counted_right() {
    let rig = Rig::with_contacts(0).await;
    let id = rig.organisation.add_contact(ContactSpec::new().events(50_000));
    let reply = rig.get(&format!("/v2/customers/{id}/events")).await;
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    let body = reply.json();
    assert_eq!(body["events"].as_array().unwrap().len(), 50_000);
    let ids: std::collections::HashSet<&str> = body["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 50_000, "every event has an id of its own");
}
