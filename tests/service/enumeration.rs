//! That nothing shows to whoever typed an identifier whether somebody is in the data (S-4, S-5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Channel, FloodLimits, Outcome, RequestKind};
use dsrd::intake::{self, Submission};
use dsrd_simulator::ContactSpec;
use sqlx::{PgConnection, Row as _};

use crate::identity::{NUMBER, STORED, person};
use crate::identity_paths::{insert, request_of};
use crate::intake::{producer, take};
use crate::support::service::TestService;

/// What a producer sees of each of its requests, without what differs between any two.
async fn seen(service: &TestService) -> BTreeMap<String, String> {
    let mut producer = producer(service).await;
    sqlx::query("SELECT idempotency_key, status, state, due_on::text, detail, length(reference) AS length FROM dsrd.receipt")
        .fetch_all(&mut producer)
        .await
        .unwrap()
        .iter()
        .map(|row| {
            let text = |column: &str| row.get::<Option<String>, _>(column);
            let seen =
                format!("{:?} {:?} {:?} {:?} {}", text("status"), text("state"), text("due_on"), text("detail"), row.get::<i32, _>("length"));
            (row.get("idempotency_key"), seen)
        })
        .collect()
}

/// How often something is handed in: half of it by somebody who is known.
const SUBMISSIONS: usize = 2_000;

/// Welch's t of two samples: far from zero, their means differ by more than chance explains.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let of = |sample: &[f64]| {
        let count = f64::from(u32::try_from(sample.len()).unwrap());
        let mean = sample.iter().sum::<f64>() / count;
        let squares: f64 = sample.iter().map(|each| (each - mean).powi(2)).sum();
        (mean, squares / (count - 1.0) / count)
    };
    let ((one, spread), (other, other_spread)) = (of(one), of(other));
    (one - other) / (spread + other_spread).sqrt()
}

/// Hands in by the table, as the portal of an organisation does.
async fn insert_as(
    producer: &mut PgConnection,
    key: &str,
    kind: RequestKind,
    channel: Channel,
    address: &str,
) {
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
         VALUES ('main', $1, $2, '2026-11-23T09:00:00Z', $3, $4)",
    )
    .bind(key)
    .bind(kind.as_str())
    .bind(channel.as_str())
    .bind(address)
    .execute(producer)
    .await
    .unwrap();
}

#[tokio::test]
async fn s_4_handing_in_shows_nobody_whether_somebody_is_known() {
    let service = TestService::builder().flood(FloodLimits::NONE).build().await;
    let mut producer = producer(&service).await;
    let kinds = RequestKind::ALL;
    let channels: Vec<Channel> = Channel::ALL.iter().copied().filter(|each| !each.is_internal()).collect();
    let pairs = SUBMISSIONS / 2;
    for number in 0..pairs {
        let _contact =
            service.platform.add_contact(ContactSpec::new().email(format!("canarino{number}@posta.example")));
    }
    let calls = service.simulator.journal().entries().len();
    let (mut shapes, mut inserted) = (BTreeMap::<_, BTreeSet<_>>::new(), Vec::new());
    let (mut known_took, mut unknown_took) = (Vec::new(), Vec::new());
    for number in 0..pairs {
        let kind = kinds[number % kinds.len()];
        let channel = channels[number / kinds.len() % channels.len()];
        // In each round every kind by every channel: in two by the library, in two by the table, now the one first, now the other.
        let round = number / (kinds.len() * channels.len());
        let mut pair = [("posta", &mut known_took), ("altra", &mut unknown_took)];
        if round % 2 == 1 {
            pair.reverse();
        }
        for (domain, took) in pair {
            let address = format!("canarino{number}@{domain}.example");
            if round % 4 > 1 {
                insert_as(&mut producer, &format!("{number}-{domain}"), kind, channel, &address).await;
                inserted.push(number);
                continue;
            }
            let submission =
                Submission { channel, proof: None, ..service.submission(kind, &[(Email, &address)]) };
            let began = Instant::now();
            let receipt =
                intake::submit_request(&service.store, &service.desk, &service.controller, submission)
                    .await
                    .unwrap();
            took.push(began.elapsed().as_secs_f64());
            let shown = serde_json::to_value(&receipt).unwrap();
            let keys: Vec<String> = shown.as_object().unwrap().keys().cloned().collect();
            shapes.entry((kind, channel)).or_default().insert((
                keys,
                shown.to_string().len(),
                receipt.due_on,
                receipt.repeated,
            ));
        }
    }
    while take(&service).await.accepted > 0 {}
    assert_eq!(shapes.len(), kinds.len() * channels.len(), "every kind by every channel");
    for (way, shapes) in shapes {
        assert_eq!(shapes.len(), 1, "one form and one length: {way:?} {shapes:?}");
    }
    let seen = seen(&service).await;
    assert_eq!(seen.len(), inserted.len());
    for number in inserted {
        assert_eq!(seen[&format!("{number}-posta")], seen[&format!("{number}-altra")]);
    }
    assert_eq!(service.simulator.journal().entries().len(), calls, "nobody was looked for before the answer");
    // A signal for people, and no test: a busy machine differs for its own reasons. The catalogue looks at 4.5.
    println!("S-4: Welch's t of the times is {:.2}", welch(&known_took, &unknown_took));
    service.finish().await;
}

#[tokio::test]
async fn s_5_nothing_shows_later_either_to_whoever_typed_an_address() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person().policy("mktgCommunications", true));
    // Three spellings of somebody who is known by a number, beside three of somebody who is not; each with a mailbox of
    // whoever asks.
    let mut rows = Vec::new();
    for kind in ["access", "erasure", "opt_out"] {
        for (who, number) in [("known", NUMBER), ("unknown", "+39 333 7654321")] {
            let mailbox = format!("canarino.{kind}.{who}@casella.example");
            let key = format!("{kind}-{who}");
            let values =
                format!("'{kind}', '2026-11-23T09:00:00Z', 'web', '{mailbox}', '{number}', NULL, NULL");
            insert(&service, &key, &values).await;
            rows.push((kind, who, mailbox, key));
        }
    }
    assert_eq!(take(&service).await.accepted, 6);
    for hours in [0_u64, 1, 80, 15 * 24, 30 * 24] {
        service.advance(Duration::from_hours(hours)).await;
        service.work().await;
        service.pump().await;
        let seen = seen(&service).await;
        let mailbox = |wanted: &str| {
            let mails = service.mails.sent_to(wanted);
            let masked = mails.into_iter().map(|mail| {
                let reference = mail.subject.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
                format!("{}\n{}", mail.subject, mail.text.expose()).replace(&reference, "DSR")
            });
            masked.collect::<Vec<_>>()
        };
        for pair in rows.chunks(2) {
            let [(kind, _, known, key), (_, _, unknown, other_key)] = pair else { unreachable!() };
            assert_eq!(seen[key], seen[other_key], "{kind} after {hours} h: the status");
            assert_eq!(mailbox(known), mailbox(unknown), "{kind} after {hours} h: the mails");
            assert_eq!(mailbox(known).len(), 1, "the acknowledgement, and nothing else by itself");
        }
    }
    // What is done is done: nobody waits for the opt-out.
    assert_eq!(
        service.case(request_of(&service, "opt_out-known").await).await.outcome,
        Some(Outcome::Fulfilled)
    );
    service.finish().await;
}

#[tokio::test]
async fn s_5_a_producer_reads_the_state_of_requests_of_people_who_are_known() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    insert(
        &service,
        "signed-in",
        &format!(
            "'access', '2026-11-23T09:00:00Z', 'web', '{STORED}', NULL, 'authenticated_session', '2026-11-23T09:00:00Z'"
        ),
    )
    .await;
    insert(
        &service,
        "typed",
        &format!("'access', '2026-11-23T09:00:00Z', 'web', '{STORED}', NULL, NULL, NULL"),
    )
    .await;
    assert_eq!(take(&service).await.accepted, 2);
    service.work_to_the_end().await;
    let seen = seen(&service).await;
    assert!(seen["signed-in"].contains("\"closed\""), "{}", seen["signed-in"]);
    assert!(seen["typed"].contains("\"received\""), "{}", seen["typed"]);
    service.finish().await;
}
