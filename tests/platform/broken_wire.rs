//! Connections that stall, drip, break or lie about where the answer ends.

use std::time::{Duration, Instant};

use dsrd::platform::cloud4wi::Settings;
use dsrd::platform::{ContactPlatform as _, Coverage, EffectAnswer, Leave, PlatformError, Source, Urgency};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Client, Raw, Script, client, client_with, contact, drain_records, email, id, with_length, without_length,
};

/// Gives up soon, but not so soon that an answer at hand could come too late on a busy machine: what breaks is seen at once,
/// and only what is silent has to be waited for.
fn impatient(url: &str) -> Client {
    client_with(url, |settings: &mut Settings| {
        settings.rate.attempts = 2;
        settings.limits.idle_timeout_secs = 1.5;
        settings.limits.total_timeout_secs = 3.0;
        settings.limits.records_timeout_secs = 3.0;
        settings.limits.connect_timeout_secs = 10.0;
    })
}

fn chunked(body: &str, last: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n{last}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn f_31_silence_stalls_and_drips_are_ended_by_a_limit_as_unavailable() {
    let body = json!({"customers": [contact(1)]}).to_string();
    let half = {
        let mut answer = with_length(&body);
        answer.truncate(answer.len() - 20);
        answer
    };
    let scripts = [
        ("no header", Script::Stall(Vec::new())),
        ("half a header", Script::Stall(b"HTTP/1.1 200 OK\r\ncontent-".to_vec())),
        ("stalled body", Script::Stall(half)),
        // One byte each millisecond never meets the idle limit, only the total one.
        ("drip", Script::Drip(with_length(&format!("[{}]", " ".repeat(30_000))))),
    ];
    // All at once, for most of it is waiting.
    let each = scripts.map(async |(name, script)| {
        let raw = Raw::start(move |_, _| script.clone()).await;
        let client = impatient(&raw.url);
        let started = Instant::now();
        let error = client.count_contacts().await.unwrap_err();
        assert!(matches!(error, PlatformError::Unavailable { .. }), "{name}: {error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{name}");
        assert_eq!(raw.count(), 2, "{name}");
        let error = drain_records(&client, &id("a"), Source::Events).await.unwrap_err();
        assert!(matches!(error, PlatformError::Unavailable { .. }), "{name}: {error}");
    });
    futures_util::future::join_all(each).await;
}

#[tokio::test]
async fn f_31_a_reset_or_end_at_each_byte_of_an_answer_is_unavailable_and_never_unreadable() {
    let body = r#"{"customers":[{"cid":"a"}]}"#;
    let answer = with_length(body);
    for cut in 0..answer.len() {
        let bytes = answer[..cut].to_vec();
        let raw = Raw::start(move |number, _| {
            if number % 2 == 0 { Script::Reset(bytes.clone()) } else { Script::Close(bytes.clone()) }
        })
        .await;
        let error = impatient(&raw.url).count_contacts().await.unwrap_err();
        assert!(matches!(error, PlatformError::Unavailable { .. }), "{cut}: {error}");
        assert_eq!(raw.count(), 2, "{cut}");
    }
}

#[tokio::test]
async fn f_31_no_connection_is_unavailable_also_for_effects() {
    let client = impatient("http://127.0.0.1:1");
    assert!(matches!(client.count_contacts().await, Err(PlatformError::Unavailable { .. })));
    assert!(matches!(
        client.delete_contact(&id("a"), Leave::ALWAYS).await,
        Err(PlatformError::Unavailable { .. })
    ));
}

#[tokio::test]
async fn f_32_t_6_bodies_cut_with_length_or_chunks_are_tried_again() {
    let body = json!({"customers": [contact(1)]}).to_string();
    let mut with_too_little = with_length(&format!("{body}    "));
    with_too_little.truncate(with_too_little.len() - 4);
    for cut in [with_too_little, chunked(&body, ""), chunked("[]", "")] {
        let (bad, good) = (cut, with_length(&body));
        let raw =
            Raw::start(move |number, _| Script::Close(if number == 1 { bad.clone() } else { good.clone() }))
                .await;
        assert_eq!(client(&raw.url).count_contacts().await.unwrap(), 1);
        assert_eq!(raw.count(), 2);
    }
    let whole = chunked(&body, "0\r\n\r\n");
    let raw = Raw::start(move |_, _| Script::Close(whole.clone())).await;
    assert_eq!(client(&raw.url).count_contacts().await.unwrap(), 1);
    assert_eq!(raw.count(), 1);
}

#[tokio::test]
async fn f_32_t_6_an_empty_list_without_length_counts_only_when_it_comes_twice() {
    let full = with_length(&json!({"customers": [contact(1)]}).to_string());
    let nobody = with_length("[]");
    // Looks for a value and a probe, then a search whose first answer is cut at a place where it is valid JSON.
    let raw = Raw::start(move |_, head| {
        let bytes = if head.contains("probe") { nobody.clone() } else { full.clone() };
        Script::Close(if head.contains("probe") || head.contains("second") {
            bytes
        } else {
            without_length("[]")
        })
    })
    .await;
    let answer = client(&raw.url).search(&email("person1@people.example")).await.unwrap();
    assert_eq!((answer.contacts.len(), answer.coverage), (0, Coverage::Complete));
    // A look for a value to search for, one probe, and two answers that say the same.
    assert_eq!(raw.count(), 4);

    let full = with_length(&json!({"customers": [contact(1)]}).to_string());
    let raw = Raw::start(move |number, _| {
        Script::Close(match number {
            1 | 2 => with_length("[]"),
            3 => without_length("[]"),
            _ => full.clone(),
        })
    })
    .await;
    let answer = client(&raw.url).search(&email("person1@people.example")).await.unwrap();
    assert_eq!(answer.contacts.len(), 1, "the cut answer was believed");
}

#[tokio::test]
async fn f_32_t_6_records_without_length_count_only_when_two_answers_agree() {
    let half = || without_length(r#"{"events":[{"n":1}]}"#);
    let whole = || without_length(r#"{"events":[{"n":1},{"n":2}]}"#);
    let raw = Raw::start(move |number, _| Script::Close(if number == 1 { half() } else { whole() })).await;
    let read = drain_records(&client(&raw.url), &id("a"), Source::Events).await.unwrap().unwrap();
    assert_eq!(read.records.len(), 2);
    assert_eq!(raw.count(), 3);

    let raw =
        Raw::start(move |number, _| Script::Close(if number % 2 == 1 { half() } else { whole() })).await;
    let error = drain_records(&client(&raw.url), &id("a"), Source::Events).await.unwrap_err();
    assert!(matches!(error, PlatformError::Unavailable { .. }), "{error}");
    // A long one is handed out while it arrives and counted again at its end.
    let long = |records: usize| {
        let record = format!(r#"{{"n":"{}"}}"#, "x".repeat(1000));
        without_length(&format!(r#"{{"events":[{}]}}"#, vec![record; records].join(",")))
    };
    for (second, agrees) in [(3000, true), (2000, false)] {
        let raw =
            Raw::start(move |number, _| Script::Close(long(if number == 1 { 3000 } else { second }))).await;
        let read = drain_records(&client(&raw.url), &id("a"), Source::Events).await;
        assert_eq!(read.is_ok(), agrees, "{second}");
    }
}

#[tokio::test]
async fn f_32_a_long_answer_cut_in_its_middle_ends_the_stream_with_an_error() {
    let record = format!(r#"{{"n":"{}"}},"#, "x".repeat(1000));
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{{\"events\":[",
        record.len() * 100_000
    );
    let raw =
        Raw::start(move |_, _| Script::Repeat(head.clone().into_bytes(), record.clone().into_bytes(), 5000))
            .await;
    let client = client(&raw.url);
    let contact = id("a");
    let mut stream = client.records(&contact, Source::Events, Urgency::Request).await.unwrap().unwrap();
    let mut batches = 0;
    let error = loop {
        match futures_util::StreamExt::next(&mut stream).await.expect("the stream must end with an error") {
            Ok(batch) => batches += batch.records.len(),
            Err(error) => break error,
        }
    };
    assert!(batches > 1000);
    assert!(matches!(error, PlatformError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn s_24_an_endless_header_is_ended() {
    let raw =
        Raw::start(|_, _| Script::Repeat(b"HTTP/1.1 200 OK\r\nx-a: ".to_vec(), vec![b'x'; 1 << 20], 100))
            .await;
    let error = impatient(&raw.url).count_contacts().await.unwrap_err();
    assert!(matches!(error, PlatformError::Unavailable { .. } | PlatformError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn f_38_an_effect_whose_answer_is_lost_is_not_repeated_and_says_so() {
    let stalled = Script::Stall(Vec::new());
    for script in
        [Script::Close(Vec::new()), Script::Reset(Vec::new()), stalled, Script::Close(b"HTTP/1.1 2".to_vec())]
    {
        let raw = Raw::start(move |_, _| script.clone()).await;
        let client = impatient(&raw.url);
        let error = client.delete_contact(&id("a"), Leave::ALWAYS).await.unwrap_err();
        assert!(matches!(error, PlatformError::AnswerLost { .. }), "{error}");
        assert_eq!(raw.count(), 1);
        let error =
            client.set_policy(&id("a"), "mktgCommunications", false, Leave::ALWAYS).await.unwrap_err();
        assert!(matches!(error, PlatformError::AnswerLost { .. }), "{error}");
        assert_eq!(raw.count(), 2);
    }
    // A status line is an answer, whatever happens to the body.
    let raw =
        Raw::start(|_, _| Script::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"sta".to_vec()))
            .await;
    assert_eq!(
        impatient(&raw.url).delete_contact(&id("a"), Leave::ALWAYS).await.unwrap(),
        EffectAnswer::Accepted
    );
}

#[tokio::test]
async fn a_contact_by_id_in_an_answer_without_length_is_read_when_it_is_whole() {
    let raw = Raw::start(|_, _| Script::Close(without_length(r#"{"cid":"a"}"#))).await;
    assert!(client(&raw.url).find_contact(&id("a"), Urgency::Request).await.unwrap().is_some());
    let raw = Raw::start(|_, _| Script::Close(without_length(""))).await;
    assert!(matches!(
        client(&raw.url).find_contact(&id("a"), Urgency::Request).await,
        Err(PlatformError::Unreadable { .. })
    ));
}

#[tokio::test]
async fn f_45_dns_and_tls_failures_are_retryable_and_named_also_for_effects() {
    let nowhere = impatient("https://no-such-host.invalid");
    for error in [
        nowhere.count_contacts().await.unwrap_err(),
        nowhere.delete_contact(&id("a"), Leave::ALWAYS).await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, PlatformError::Unavailable { detail, .. } if detail.contains("host name")),
            "{error}"
        );
    }
    // Something that does not speak TLS where TLS was expected.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    let error = impatient(&url).count_contacts().await.unwrap_err();
    assert!(matches!(&error, PlatformError::Unavailable { detail, .. } if detail.contains("TLS")), "{error}");
    server.abort();
}
