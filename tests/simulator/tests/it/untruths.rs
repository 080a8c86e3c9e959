//! Faults in what is said and done: envelopes, values, searches, pages and effects that are not what they should be. Those of
//! the way there, tests `faults`.

use std::time::Duration;

use crate::faults::{exists, inject, rig};
use crate::rig::{Reply, escape};
use dsrd_simulator::{ContactSpec, Effect, Endpoint, Fault, FaultPlan, Poison};

// ----- envelopes and values -----------------------------------------------------------------------------------------

#[tokio::test]
async fn envelopes_change() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::BareArray.times(1));
    let reply = rig.list("size=5").await;
    assert_eq!(reply.json().as_array().unwrap().len(), 5);
    assert!(reply.header("sid").is_some());
    inject(&rig, Fault::EnvelopeKey("results".into()).times(1));
    assert_eq!(rig.list("size=5").await.json()["results"].as_array().unwrap().len(), 5);
    inject(&rig, Fault::UnrecognisedEnvelope.times(1));
    let page = rig.list("size=5").await.json();
    assert!(page.as_object().unwrap().values().all(|value| !value.is_array()));
    inject(&rig, Fault::ContactUnderCustomer.times(1));
    assert_eq!(rig.contact(&id).await.json()["customer"]["cid"], id);
    inject(&rig, Fault::EnvelopeKey("data".into()).on(Endpoint::Devices).times(1));
    assert!(rig.get(&format!("/v2/customers/{id}/devices")).await.json()["data"].is_array());
}

#[tokio::test]
async fn values_are_spelled_otherwise() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::NullsForMissing.times(1));
    let contact = rig.contact(&id).await.json();
    assert!(contact.as_object().unwrap().contains_key("phone") && contact["phone"].is_null());
    inject(&rig, Fault::NumbersAsStrings.times(1));
    assert_eq!(rig.contact(&id).await.json()["logins"], "3");
    inject(&rig, Fault::BooleansAsStrings.times(1));
    let contact = rig.contact(&id).await.json();
    assert_eq!((&contact["enabled"], &contact["policies"][0]["accepted"]), (&"true".into(), &"true".into()));
    inject(&rig, Fault::UnparseableCreated.times(1));
    assert_eq!(rig.contact(&id).await.json()["created"], "sometime in spring");
    inject(&rig, Fault::UnknownEventType.times(1));
    let events = rig.get(&format!("/v2/customers/{id}/events")).await.json();
    assert_eq!(events["events"][0]["event"]["type"], "teleported");
    inject(&rig, Fault::FlatEvents.times(1));
    let events = rig.get(&format!("/v2/customers/{id}/events")).await.json();
    assert!(events["events"][0]["type"].is_string() && events["events"][0]["visit"]["startAt"].is_string());
    let odd = rig.organisation.add_contact(ContactSpec::new().created_json("null"));
    assert!(rig.contact(&odd).await.json()["created"].is_null());
}

#[tokio::test]
async fn one_record_of_a_page_is_poison() {
    let (rig, _) = rig().await;
    let clean = rig.list("size=5").await.ids();
    let deep = "[".repeat(200_000);
    let expectations: [(Poison, &[u8]); 9] = [
        (Poison::Nul, b"\"firstName\":\"\\u0000"),
        (Poison::LoneSurrogate, b"\\ud83d pair"),
        (Poison::HugeExponent, b"1e999"),
        (Poison::FortyDigits, b"1234567890123456789012345678901234567890"),
        (Poison::DeepNesting, deep.as_bytes()),
        (Poison::DuplicateCid, b"\"cid\":\"00000000000000000000000000000000\""),
        (Poison::InvalidUtf8, b"\xff\xfe"),
        (Poison::NotAnObject, b",42,"),
        (Poison::WithoutId, b"\"was\":"),
    ];
    for (poison, trace) in expectations {
        inject(&rig, Fault::Poison { poison: poison.clone(), position: 2 }.times(1));
        let body = rig.list("size=5").await.body;
        assert!(body.windows(trace.len()).any(|window| window == trace), "{poison:?}");
        for id in [&clean[1], &clean[3]] {
            let text = String::from_utf8_lossy(&body);
            assert!(text.contains(&format!("{{\"cid\":\"{id}\"")), "{poison:?} leaves the neighbours alone");
        }
    }
    inject(&rig, Fault::Poison { poison: Poison::Record("{\"cid\":7}".into()), position: 0 }.times(1));
    assert_eq!(rig.contact(&clean[0]).await.body, b"{\"cid\":7}");
}

#[tokio::test]
async fn one_event_device_or_accounting_is_poison() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::Poison { poison: Poison::Nul, position: 1 });
    for (path, key) in [
        (format!("/v2/customers/{id}/events"), "events"),
        (format!("/v2/customers/{id}/accountings"), "accountings"),
        (format!("/v1/organizations/{}/events", rig.organisation.org_id()), "events"),
    ] {
        let body = rig.get(&path).await.json();
        let notes: Vec<bool> =
            body[key].as_array().unwrap().iter().map(|record| record["note"] == "a\0b").collect();
        assert!(notes[1] && notes.iter().filter(|note| **note).count() == 1, "{path}");
    }
}

#[tokio::test]
async fn a_contact_suddenly_has_very_many_accountings() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::RecordNumber(100_000).on(Endpoint::Accountings));
    let body = rig.get(&format!("/v2/customers/{id}/accountings")).await.json();
    assert_eq!(
        (body["size"].as_u64(), body["accountings"].as_array().unwrap().len()),
        (Some(100_000), 100_000)
    );
}

// ----- searching and scrolling --------------------------------------------------------------------------------------

#[tokio::test]
async fn searches_are_ignored_or_too_wide_and_ids_wrong() {
    let (rig, id) = rig().await;
    let search = format!("email={}&size=100", escape("ada@posta.example"));
    assert_eq!(rig.list(&search).await.ids(), std::slice::from_ref(&id));
    inject(&rig, Fault::FilterIgnored.times(1));
    assert_eq!(rig.list(&search).await.ids().len(), 21);
    let longer = rig.organisation.add_contact(ContactSpec::new().email("ada.lovelace@posta.example"));
    inject(&rig, Fault::PrefixMatch.times(1));
    assert_eq!(rig.list(&search).await.ids(), [id.clone(), longer]);
    inject(&rig, Fault::OtherContact.times(1));
    let reply = rig.contact(&id).await;
    assert_eq!(reply.status, 200);
    assert_ne!(reply.json()["cid"], id);
}

#[tokio::test]
async fn a_scroll_id_expires_in_the_middle() {
    let (rig, _) = rig().await;
    let sid = rig.list("size=5").await.sid().unwrap();
    inject(&rig, Fault::ScrollExpired.times(1));
    // The second call shows that the id is gone for good.
    for _ in 0..2 {
        assert_eq!(rig.list(&format!("sid={}", escape(&sid))).await.status, 409);
    }
}

#[tokio::test]
async fn the_same_page_comes_forever() {
    let (rig, _) = rig().await;
    inject(&rig, Fault::SameScrollPage);
    let pages = rig.scroll("size=5", 8).await;
    assert_eq!(pages.len(), 8);
    assert!(pages.iter().all(|page| *page == pages[0]));
}

#[tokio::test]
async fn short_and_empty_pages_are_not_the_end() {
    for (fault, sizes) in [
        (Fault::ShortPage, vec![5, 3, 5, 5, 3]),
        (Fault::EmptyPage, vec![5, 0, 5, 5, 5, 1]),
        (Fault::SizeIgnored, vec![5, 10, 5, 1]),
    ] {
        let (rig, _) = rig().await;
        inject(&rig, FaultPlan::from(fault).after(1).times(1));
        let pages = rig.scroll("size=5", 10).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        let mut ids = pages.concat();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 21, "everybody is there");
    }
}

#[tokio::test]
async fn contacts_come_twice() {
    for fault in [Fault::DuplicateContacts, Fault::OverlappingPages] {
        let (rig, _) = rig().await;
        inject(&rig, fault.clone());
        let ids = rig.scroll("size=5", 30).await.concat();
        let mut once = ids.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), 21, "{fault:?}");
        assert!(ids.len() > 21, "{fault:?}");
    }
}

#[tokio::test]
async fn no_scroll_id_comes_back() {
    let (rig, _) = rig().await;
    inject(&rig, Fault::NoScrollId);
    let reply = rig.list("size=5").await;
    assert_eq!((reply.ids().len(), reply.sid()), (5, None));
}

#[tokio::test]
async fn a_page_is_capped_and_created_is_shown_in_local_time() {
    let (rig, _) = rig().await;
    let exact = rig.list("size=5&sortBy=created_absolute").await;
    inject(&rig, Fault::PageCap(3).times(1));
    inject(&rig, Fault::LocalCreated(2).times(1));
    let reply = rig.list("size=5&sortBy=created_absolute").await;
    assert_eq!(reply.ids(), exact.ids()[..3]);
    let instant = |reply: &Reply| -> chrono::DateTime<chrono::Utc> {
        reply.json()["customers"][0]["created"].as_str().unwrap().parse().unwrap()
    };
    assert_eq!(instant(&reply) - instant(&exact), chrono::TimeDelta::hours(2));
}

#[tokio::test]
async fn the_organisation_moves_while_scrolling() {
    let (rig, _) = rig().await;
    inject(&rig, Fault::DeleteWhileScrolling(3).times(1));
    inject(&rig, Fault::CreateWhileScrolling(2).times(1));
    let ids = rig.scroll("size=5", 10).await.concat();
    assert_eq!(ids.len(), 21, "the snapshot stays");
    assert_eq!(rig.organisation.contact_number(), 20);
    let mut gone = 0;
    for id in &ids {
        gone += usize::from(rig.contact(id).await.status == 404);
    }
    assert_eq!(gone, 3);
    assert!(rig.simulator.journal().effects().is_empty(), "nobody's call did it");
}

#[tokio::test]
async fn a_live_scroll_skips_those_behind_a_deletion() {
    let (rig, _) = rig().await;
    inject(&rig, Fault::LiveScroll);
    let first = rig.list("size=5").await;
    rig.organisation.delete_contact(&first.ids()[0]);
    let second = rig.list(&format!("sid={}", escape(&first.sid().unwrap()))).await;
    assert_eq!(second.ids()[0], rig.organisation.contact_id(6).unwrap(), "number 5 was never shown");
}

// ----- deletion and policies ----------------------------------------------------------------------------------------

#[tokio::test]
async fn a_deletion_happens_after_some_reads() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::DeleteAfterReads(2).times(1));
    assert_eq!(rig.delete(&id).await.status, 201);
    assert!(rig.organisation.truth(&id).unwrap().deletion_pending);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(rig.contact(&id).await.status);
    }
    assert_eq!(statuses, [200, 200, 404]);
    let effects: Vec<Effect> =
        rig.simulator.journal().effects().into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(
        effects,
        [Effect::DeletionAccepted { contact: id.clone() }, Effect::Deleted { contact: id.clone() }]
    );
    assert_eq!(rig.simulator.journal().entries_of(Endpoint::Platform).len(), 1);
}

#[tokio::test]
async fn a_deletion_happens_after_some_time_or_when_told() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::DeleteAfter(Duration::ZERO).times(1));
    assert_eq!(rig.delete(&id).await.status, 201);
    assert_eq!(rig.contact(&id).await.status, 404);
    let other = rig.organisation.contact_id(0).unwrap();
    inject(&rig, Fault::DeleteAfter(Duration::from_hours(1)).times(1));
    assert_eq!(rig.delete(&other).await.status, 201);
    assert_eq!(rig.contact(&other).await.status, 200);
    assert_eq!(rig.organisation.settle_deletions(), std::slice::from_ref(&other));
    assert_eq!(rig.contact(&other).await.status, 404);
    rig.organisation.restore_contact(&other);
    assert_eq!(rig.contact(&other).await.json()["cid"], other, "back after an hour");
}

#[tokio::test]
async fn a_deletion_is_soft_partial_or_ignored() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::SoftDelete.times(1));
    assert_eq!(rig.delete(&id).await.status, 200);
    assert_eq!(rig.contact(&id).await.json()["deleted"], true);
    assert!(rig.organisation.truth(&id).unwrap().soft_deleted);

    let other = rig.organisation.contact_id(1).unwrap();
    let before = rig.organisation.truth(&other).unwrap().records;
    inject(&rig, Fault::PartialDelete.times(1));
    assert_eq!(rig.delete(&other).await.status, 200);
    assert_eq!(rig.contact(&other).await.status, 404);
    for records in ["events", "devices", "accountings"] {
        assert_eq!(rig.get(&format!("/v2/customers/{other}/{records}")).await.status, 200);
    }
    let truth = rig.organisation.truth(&other).unwrap();
    assert_eq!((truth.exists, truth.records), (false, before));

    let third = rig.organisation.contact_id(2).unwrap();
    inject(&rig, Fault::DeleteIgnored.times(1));
    assert_eq!(rig.delete(&third).await.status, 200);
    assert!(exists(&rig, &third));
    assert_eq!(rig.simulator.journal().deleted_contacts(), [id, other]);
}

#[tokio::test]
async fn a_policy_update_is_accepted_and_not_applied() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::PolicyNotApplied.times(1));
    assert_eq!(rig.set_policy(&id, "mktgCommunications", false).await.status, 200);
    assert_eq!(rig.organisation.truth(&id).unwrap().policy("mktgCommunications"), Some(true));
    assert!(rig.simulator.journal().effects().is_empty());
}

#[tokio::test]
async fn withdrawing_privacy_wipes_the_profile() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::PrivacyWipesProfile);
    rig.set_policy(&id, "mktgCommunications", false).await;
    assert_eq!(rig.contact(&id).await.json()["email"], "ada@posta.example");
    rig.set_policy(&id, "privacy", false).await;
    let contact = rig.contact(&id).await.json();
    assert_eq!(contact["cid"], id);
    assert!(contact["email"].is_null() && contact["firstName"].is_null());
    assert!(rig.organisation.truth(&id).unwrap().wiped);
    assert!(rig.list(&format!("email={}", escape("ada@posta.example"))).await.ids().is_empty());
}
