//! Every fault switch does what it says, once at least.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::rig::{Ending, Rig, escape};
use dsrd_simulator::{
    ContactSpec, Effect, Endpoint, Fault, FaultPlan, OrganisationSettings, Poison, RetryAfter, Settings,
};

const SHORT: Duration = Duration::from_millis(300);

/// A rig with one added contact.
async fn rig() -> (Rig, String) {
    let rig = Rig::with_contacts(20).await;
    let id = rig.organisation.add_contact(ContactSpec::new().email("ada@posta.example").events(4));
    (rig, id)
}

fn inject(rig: &Rig, plan: impl Into<FaultPlan>) {
    rig.simulator.faults().inject(plan);
}

fn exists(rig: &Rig, id: &str) -> bool {
    rig.organisation.truth(id).unwrap().exists
}

// ----- the connection -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_answer_is_lost_after_the_effect() {
    for (fault, ending) in [(Fault::LoseAnswer, Ending::Closed), (Fault::ResetAfterEffect, Ending::Reset)] {
        let (rig, id) = rig().await;
        inject(&rig, fault.on(Endpoint::DeleteContact).times(1));
        let reply = rig.delete(&id).await;
        assert_eq!((reply.raw.len(), reply.ending), (0, ending));
        assert!(!exists(&rig, &id));
        let entry = rig.simulator.journal().entries_of(Endpoint::DeleteContact).remove(0);
        assert!(entry.withheld);
        assert_eq!((entry.status, entry.effects), (200, vec![Effect::Deleted { contact: id.clone() }]));
        assert_eq!(rig.delete(&id).await.status, 404, "the fault is over");
    }
}

#[tokio::test]
async fn a_policy_update_is_applied_and_its_answer_lost() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::LoseAnswer.on(Endpoint::UpdatePolicies));
    assert!(rig.set_policy(&id, "mktgCommunications", false).await.raw.is_empty());
    assert_eq!(rig.organisation.truth(&id).unwrap().policy("mktgCommunications"), Some(false));
}

#[tokio::test]
async fn an_answer_is_lost_on_a_connection_that_was_used_before() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (rig, id) = rig().await;
    let mut stream = tokio::net::TcpStream::connect(rig.simulator.address()).await.unwrap();
    let request = |verb: &str, version: &str| {
        format!(
            "{verb} /{version}/customers/{id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
            rig.token
        )
    };
    stream.write_all(request("GET", "v2").as_bytes()).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), vec![0; 8192]);
    while !answer.ends_with(b"}") {
        let read = stream.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "the first answer comes whole");
        answer.extend_from_slice(&piece[..read]);
    }
    inject(&rig, Fault::LoseAnswer);
    stream.write_all(request("DELETE", "v1").as_bytes()).await.unwrap();
    assert_eq!(stream.read(&mut piece).await.unwrap(), 0);
    assert!(!exists(&rig, &id));
}

#[tokio::test]
async fn a_call_fails_without_effect() {
    for (fault, ending) in
        [(Fault::FailWithoutEffect, Ending::Closed), (Fault::ResetBeforeEffect, Ending::Reset)]
    {
        let (rig, id) = rig().await;
        inject(&rig, fault.times(1));
        let reply = rig.delete(&id).await;
        assert_eq!((reply.raw.len(), reply.ending), (0, ending));
        assert!(exists(&rig, &id));
        let entry = rig.simulator.journal().entries_of(Endpoint::DeleteContact).remove(0);
        assert_eq!((entry.status, entry.withheld, entry.effects.len()), (0, true, 0));
    }
}

#[tokio::test]
async fn a_call_is_never_answered() {
    for (fault, effect) in [(Fault::NeverAnswer, false), (Fault::HangAfterEffect, true)] {
        let (rig, id) = rig().await;
        inject(&rig, fault.times(1));
        let path = format!("/v1/customers/{id}");
        let reply = rig.call_patiently(&rig.token, "DELETE", &path, "", SHORT).await;
        assert_eq!((reply.raw.len(), reply.ending), (0, Ending::Silence));
        assert_eq!(exists(&rig, &id), !effect);
    }
}

#[tokio::test]
async fn hanging_calls_end_when_the_simulator_stops() {
    let (rig, _) = rig().await;
    inject(&rig, Fault::NeverAnswer);
    let (address, simulator) = (rig.simulator.address(), rig.simulator);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    while simulator.journal().total_calls() < 2 {
        tokio::task::yield_now().await;
    }
    simulator.shutdown().await;
    let mut piece = [0; 16];
    let read =
        tokio::time::timeout(Duration::from_secs(5), tokio::io::AsyncReadExt::read(&mut stream, &mut piece));
    assert!(matches!(read.await.unwrap(), Ok(0) | Err(_)));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn latency_delays_the_answer_but_not_the_effect() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::Latency(SHORT));
    let start = Instant::now();
    assert_eq!(rig.delete(&id).await.status, 200);
    assert!(start.elapsed() >= SHORT);
    let entry = rig.simulator.journal().entries_of(Endpoint::DeleteContact).remove(0);
    assert!(entry.settled.duration_since(entry.arrived) < SHORT);
}

#[tokio::test]
async fn headers_and_bodies_are_slow() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::SlowHeaders(Duration::from_millis(2)).times(1));
    let start = Instant::now();
    let reply = rig.contact(&id).await;
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(reply.complete && reply.json()["cid"] == id);
    inject(&rig, Fault::SlowBody { bytes: 100, pause: Duration::from_millis(10) }.times(1));
    let start = Instant::now();
    let reply = rig.contact(&id).await;
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(reply.complete && reply.json()["cid"] == id);
}

#[tokio::test]
async fn a_body_stalls() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::StalledBody { after: 10 });
    let reply = rig.call_patiently(&rig.token, "GET", &format!("/v2/customers/{id}"), "", SHORT).await;
    assert_eq!(
        (reply.status, reply.body.len(), reply.complete, reply.ending),
        (200, 10, false, Ending::Silence)
    );
}

#[tokio::test]
async fn a_connection_is_reset_at_each_byte() {
    let (rig, id) = rig().await;
    for bytes in [1, 9, 40, 200, 300] {
        inject(&rig, Fault::ResetAfterBytes(bytes).times(1));
        let reply = rig.contact(&id).await;
        assert_eq!((reply.raw.len(), reply.ending), (bytes, Ending::Reset));
    }
}

#[tokio::test]
async fn bodies_are_cut_in_three_ways() {
    let (rig, _) = rig().await;
    let whole = rig.list("size=10").await;
    inject(&rig, Fault::CutWithLength.times(1));
    let reply = rig.list("size=10").await;
    assert!(!reply.complete && reply.header("content-length").is_some());
    assert!(!reply.body.is_empty() && reply.body.len() < whole.body.len());
    inject(&rig, Fault::CutChunked.times(1));
    let reply = rig.list("size=10").await;
    assert!(!reply.complete && reply.header("transfer-encoding") == Some("chunked"));
    inject(&rig, Fault::CutAtValidJson.times(1));
    let reply = rig.list("size=10").await;
    assert!(reply.complete && reply.header("content-length").is_none());
    assert_eq!(reply.ids(), whole.ids()[..5]);
    assert_eq!(rig.simulator.journal().entries().iter().filter(|entry| entry.withheld).count(), 3);
}

// ----- the answer as a whole ----------------------------------------------------------------------------------------

#[tokio::test]
async fn too_many_requests_with_each_form_of_the_header() {
    let (rig, _) = rig().await;
    for (retry_after, header) in [
        (RetryAfter::Absent, None),
        (RetryAfter::Seconds(1_000_000_000), Some("1000000000")),
        (RetryAfter::Text("-5".into()), Some("-5")),
        (RetryAfter::Text("soon, maybe".into()), Some("soon, maybe")),
    ] {
        inject(&rig, Fault::TooManyRequests(retry_after).times(1));
        let reply = rig.list("").await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, header));
    }
    inject(&rig, Fault::TooManyRequests(RetryAfter::HttpDateIn(-3600)).on(Endpoint::Login).times(1));
    let reply = rig.login_reply("x", "y").await;
    let date = chrono::DateTime::parse_from_rfc2822(reply.header("retry-after").unwrap()).unwrap();
    assert_eq!(reply.status, 429);
    assert!(date < chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()));
}

#[tokio::test]
async fn failures_then_success() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::Status(500).on(Endpoint::Contact).times(2));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(rig.contact(&id).await.status);
    }
    assert_eq!(statuses, [500, 500, 200]);
    assert_eq!(rig.simulator.journal().failures(Endpoint::Contact), 2);
}

#[tokio::test]
async fn answers_that_are_no_data_at_all() {
    let (rig, id) = rig().await;
    for (fault, status, kind, body) in [
        (Fault::HtmlPage, 200, Some("text/html; charset=utf-8"), "<!doctype html>"),
        (Fault::EmptyBody, 200, Some("application/json"), ""),
        (Fault::NoContent, 204, None, ""),
        (Fault::NullBody, 200, Some("application/json"), "null"),
        (Fault::StatusKo, 200, Some("application/json"), r#"{"status":"KO""#),
        (Fault::Body("[1]".into()), 200, Some("application/json"), "[1]"),
    ] {
        inject(&rig, fault.on(Endpoint::DeleteContact).times(1));
        let reply = rig.delete(&id).await;
        assert_eq!((reply.status, reply.header("content-type")), (status, kind));
        let text = String::from_utf8(reply.body).unwrap();
        assert!(text.starts_with(body) && (!body.is_empty() || text.is_empty()), "{text}");
        assert!(exists(&rig, &id));
    }
}

#[tokio::test]
async fn headers_are_changed_and_redirects_given() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::ContentType("text/plain; charset=iso-8859-1".into()).times(1));
    let reply = rig.contact(&id).await;
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=iso-8859-1"));
    assert_eq!(reply.json()["cid"], id);
    inject(
        &rig,
        Fault::Header { name: "Date".into(), value: "Mon, 01 Jan 2001 00:00:00 GMT".into() }.times(1),
    );
    assert_eq!(rig.contact(&id).await.header("date"), Some("Mon, 01 Jan 2001 00:00:00 GMT"));
    inject(&rig, Fault::HugeHeader(500_000).times(1));
    assert_eq!(rig.contact(&id).await.header("x-huge").unwrap().len(), 500_000);
    inject(&rig, Fault::Redirect { location: "https://elsewhere.invalid/x".into() }.times(1));
    let reply = rig.delete(&id).await;
    assert_eq!((reply.status, reply.header("location")), (307, Some("https://elsewhere.invalid/x")));
    assert!(exists(&rig, &id));
}

#[tokio::test]
async fn a_gzip_bomb_unpacks_to_the_length_asked_for() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::GzipBomb { unpacked: 5_000_001 });
    let reply = rig.contact(&id).await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert!(reply.complete && reply.body.len() < 30_000, "{}", reply.body.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(reply.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked.len(), 5_000_001);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&unpacked).unwrap()["cid"], id);
}

#[tokio::test]
async fn a_huge_string_is_streamed_by_id_and_in_lists() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::HugeString(3_000_000));
    assert_eq!(rig.contact(&id).await.json()["firstName"].as_str().unwrap().len(), 3_000_000);
    assert_eq!(rig.list("").await.json()["customers"][0]["firstName"].as_str().unwrap().len(), 3_000_000);
}

// ----- login, token, scope ------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_token_stands_in_the_header_or_in_the_body_only() {
    let (rig, _) = rig().await;
    let (key, secret) = (rig.organisation.client_key(), rig.organisation.client_secret());
    inject(&rig, Fault::TokenOnlyInHeader.times(1));
    let reply = rig.login_reply(key, secret).await;
    assert!(reply.json()["token"].is_null());
    let token = reply.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let path = format!("/v2/customers/organizations/{}", rig.organisation.org_id());
    assert_eq!(rig.call_as(&token, "GET", &path, "").await.status, 200);
    inject(&rig, Fault::TokenOnlyInBody.times(1));
    let reply = rig.login_reply(key, secret).await;
    assert!(reply.header("authorization").is_none() && reply.json()["token"].is_string());
}

#[tokio::test]
async fn expiry_and_lost_scopes_are_told_as_401_or_403() {
    let (rig, id) = rig().await;
    inject(&rig, Fault::TokenExpired.times(1));
    assert_eq!(rig.contact(&id).await.status, 403);
    inject(&rig, Fault::ScopeLost.on(Endpoint::DeleteContact).times(1));
    assert_eq!(rig.delete(&id).await.status, 403);
    inject(&rig, Fault::ExpiryAs401);
    assert_eq!(rig.contact(&id).await.status, 200);
    rig.organisation.expire_tokens();
    assert_eq!(rig.contact(&id).await.status, 401);
}

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

// ----- where faults act ---------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_fault_can_be_of_one_organisation_or_one_contact() {
    let settings = Settings::with_contacts(3).organisation(OrganisationSettings::new("other", 3));
    let rig = Rig::start(settings).await;
    let (first, second) = (rig.organisation.contact_id(0).unwrap(), rig.organisation.contact_id(1).unwrap());
    let id = rig.simulator.organisation("other").faults().inject(Fault::Status(503));
    assert_eq!(rig.contact(&first).await.status, 200);
    assert_eq!(rig.simulator.faults().hits(id), 0);
    rig.organisation.faults().inject(FaultPlan::from(Fault::Status(502)).for_contact(second.clone()));
    assert_eq!(rig.contact(&first).await.status, 200);
    assert_eq!(rig.contact(&second).await.status, 502);
    rig.simulator.faults().clear();
    assert_eq!(rig.contact(&second).await.status, 200);
}
