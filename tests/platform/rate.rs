//! Throttling, bursts of server errors, and the breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dsrd::platform::{CallBudget, ContactPlatform as _, PlatformError, Urgency};
use wiremock::{Request, ResponseTemplate};

use crate::support::{LIST, answer, calls, client, client_with, contact, page, platform};

#[tokio::test]
async fn f_29_a_short_pause_is_waited_out_and_a_long_one_handed_back_capped() {
    let server = platform().await;
    let count = AtomicUsize::new(0);
    answer(&server, "GET", LIST, move |_: &Request| {
        if count.fetch_add(1, Ordering::SeqCst) < 2 {
            ResponseTemplate::new(429).insert_header("retry-after", "0")
        } else {
            page(&[contact(1)], None)
        }
    })
    .await;
    assert_eq!(client(&server.uri()).count_contacts().await.unwrap(), 1);

    for (asked, expected) in [("120", 120), ("1000000000", 600), ("Fri, 31 Dec 2100 23:59:59 GMT", 600)] {
        let server = platform().await;
        answer(&server, "GET", LIST, ResponseTemplate::new(429).insert_header("retry-after", asked)).await;
        let error = client(&server.uri()).count_contacts().await.unwrap_err();
        assert!(
            matches!(error, PlatformError::Throttled { wait, .. } if wait == Duration::from_secs(expected)),
            "{asked}: {error}"
        );
        assert_eq!(calls(&server, "GET", LIST).await, 1);
    }
    // Nonsense is no reason to wait long, and every attempt has an end.
    for asked in ["-1", "soon", ""] {
        let server = platform().await;
        answer(&server, "GET", LIST, ResponseTemplate::new(429).insert_header("retry-after", asked)).await;
        let client = client_with(&server.uri(), |settings| settings.rate.attempts = 1);
        let error = client.count_contacts().await.unwrap_err();
        assert!(
            matches!(error, PlatformError::Throttled { wait, .. } if wait <= Duration::from_secs(1)),
            "{error}"
        );
    }
}

/// Records what a client asks of its budget.
#[derive(Debug, Default)]
struct Ledger {
    acquired: AtomicUsize,
    paused: std::sync::Mutex<Vec<Duration>>,
}

impl CallBudget for Ledger {
    fn acquire(&self, _: Urgency) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.acquired.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }

    fn pause(&self, pause: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.paused.lock().unwrap().push(pause);
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn f_29_i_10_every_attempt_draws_from_the_budget_and_a_429_pauses_it_for_all() {
    let server = platform().await;
    answer(&server, "GET", LIST, ResponseTemplate::new(429).insert_header("retry-after", "7")).await;
    let secrets = tempfile::tempdir().unwrap();
    let settings = crate::support::settings(&server.uri(), secrets.path());
    let ledger = Arc::new(Ledger::default());
    let clock = Arc::new(dsrd::domain::SystemClock);
    let platform = dsrd::platform::cloud4wi::Cloud4Wi::new(settings, None, ledger.clone(), clock).unwrap();
    assert!(platform.count_contacts().await.is_err());
    let sent = server.received_requests().await.unwrap().len();
    assert_eq!(ledger.acquired.load(Ordering::SeqCst), sent);
    assert_eq!(*ledger.paused.lock().unwrap(), vec![Duration::from_secs(7); sent - 1]);
}

#[tokio::test]
async fn f_30_server_errors_are_tried_again_and_give_up_as_unavailable() {
    let server = platform().await;
    let count = AtomicUsize::new(0);
    answer(&server, "GET", LIST, move |_: &Request| {
        if count.fetch_add(1, Ordering::SeqCst) < 3 {
            ResponseTemplate::new(500)
        } else {
            page(&[contact(1)], None)
        }
    })
    .await;
    assert_eq!(client(&server.uri()).count_contacts().await.unwrap(), 1);

    let server = platform().await;
    answer(&server, "GET", LIST, ResponseTemplate::new(503)).await;
    let error = client(&server.uri()).count_contacts().await.unwrap_err();
    assert!(matches!(&error, PlatformError::Unavailable { detail, .. } if detail.contains("503")), "{error}");
    assert_eq!(calls(&server, "GET", LIST).await, 4);
}

#[tokio::test]
async fn f_30_a_platform_that_is_down_sees_a_handful_of_calls_and_recovery_is_noticed() {
    let server = platform().await;
    let down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_down = down.clone();
    answer(&server, "GET", LIST, move |_: &Request| {
        if is_down.load(Ordering::SeqCst) { ResponseTemplate::new(500) } else { page(&[contact(1)], None) }
    })
    .await;
    let client = client_with(&server.uri(), |settings| {
        settings.rate.breaker_failures = 5;
        // With a call after each pause, a busy machine has five seconds for the hundred that are asked for.
        settings.rate.breaker_pause_secs = 1.0;
    });
    for _ in 0..100 {
        assert!(matches!(client.count_contacts().await, Err(PlatformError::Unavailable { .. })));
    }
    let stormed = calls(&server, "GET", LIST).await;
    assert!(stormed <= 10, "{stormed} calls");
    down.store(false, Ordering::SeqCst);
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while client.count_contacts().await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the breaker never closed");
        tokio::task::yield_now().await;
    }
    assert_eq!(client.count_contacts().await.unwrap(), 1);
}
