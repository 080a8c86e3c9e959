//! Every fault switch does what it says, once at least.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::rig::{Ending, Rig};
use dsrd_simulator::{
    ContactSpec, Effect, Endpoint, Fault, FaultPlan, OrganisationSettings, RetryAfter, Settings,
};

const SHORT: Duration = Duration::from_millis(300);

/// A rig with one added contact.
pub(crate) async fn rig() -> (Rig, String) {
    let rig = Rig::with_contacts(20).await;
    let id = rig.organisation.add_contact(ContactSpec::new().email("ada@posta.example").events(4));
    (rig, id)
}

pub(crate) fn inject(rig: &Rig, plan: impl Into<FaultPlan>) {
    rig.simulator.faults().inject(plan);
}

pub(crate) fn exists(rig: &Rig, id: &str) -> bool {
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
    let journal = simulator.journal();
    simulator.shutdown().await;
    let mut piece = [0; 16];
    let read =
        tokio::time::timeout(Duration::from_secs(30), tokio::io::AsyncReadExt::read(&mut stream, &mut piece));
    assert!(matches!(read.await.unwrap(), Ok(0) | Err(_)));
    // The port may be somebody else's by now; whoever answers there, it is not the simulator.
    let calls = journal.total_calls();
    if let Ok(mut stream) = tokio::net::TcpStream::connect(address).await {
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.ok();
        tokio::time::timeout(SHORT, tokio::io::AsyncReadExt::read(&mut stream, &mut piece)).await.ok();
    }
    assert_eq!(journal.total_calls(), calls);
}

#[tokio::test]
async fn latency_delays_the_answer_but_not_the_effect() {
    let (rig, id) = rig().await;
    // Far longer than a busy machine takes for the effect.
    let latency = Duration::from_secs(3);
    inject(&rig, Fault::Latency(latency));
    let start = Instant::now();
    assert_eq!(rig.delete(&id).await.status, 200);
    assert!(start.elapsed() >= latency);
    let entry = rig.simulator.journal().entries_of(Endpoint::DeleteContact).remove(0);
    assert!(entry.settled.duration_since(entry.arrived) < latency);
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
