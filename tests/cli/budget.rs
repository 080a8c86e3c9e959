//! The rate budget that several daemons share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dsrd::config::{self, Sources};
use dsrd::daemon::SharedBudget;
use dsrd::platform::cloud4wi::RateSettings;
use dsrd::platform::{CallBudget, Urgency};
use dsrd::queue;
use dsrd::store::Store;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::database::TestDatabase;

async fn budgets(database: &TestDatabase, number: usize) -> Vec<Arc<SharedBudget>> {
    let environment = [("HOME".to_owned(), "/nonexistent".to_owned())].into();
    let settings = config::load(&Sources { environment, ..Sources::default() }).unwrap().settings;
    let organisation: dsrd::domain::OrganisationId = "venue-group".parse().unwrap();
    let rate = RateSettings {
        requests_per_second: 20.0,
        burst: 1,
        in_flight: 4,
        pause_cap_secs: 600,
        patience_secs: 30,
        attempts: 4,
        retry_pause_secs: 0.5,
        breaker_failures: 5,
        breaker_pause_secs: 15.0,
    };
    let mut budgets = Vec::new();
    for _ in 0..number {
        let store = Store::connect_lazily(database.options(), &settings.database);
        queue::ensure_budget(&mut store.connection().await.unwrap(), &organisation).await.unwrap();
        budgets.push(Arc::new(SharedBudget::new(store, organisation.clone(), &rate)));
    }
    budgets
}

#[tokio::test(flavor = "multi_thread")]
async fn i_10_two_daemons_together_keep_to_the_rate_of_their_key() {
    let database = TestDatabase::create().await;
    let began = Instant::now();
    let calls = budgets(&database, 2).await.into_iter().map(|budget| {
        tokio::spawn(async move {
            for _ in 0..10 {
                budget.acquire(Urgency::Request).await;
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    // 20 calls, the first at once, one each 50 ms after it. Each alone would need half of that.
    assert!(began.elapsed() >= Duration::from_millis(19 * 50 - 20), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn f_29_a_pause_that_one_daemon_was_told_stops_the_others() {
    let database = TestDatabase::create().await;
    let budgets = budgets(&database, 2).await;
    // Before the pause is told: it may take a busy machine a while to write it down, which is a part of the pause.
    let began = Instant::now();
    budgets[0].pause(Duration::from_millis(400)).await;
    budgets[1].acquire(Urgency::Request).await;
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn f_48_what_a_clock_that_was_ahead_reserved_stops_nobody_after_it_came_back() {
    let database = TestDatabase::create().await;
    let budget = budgets(&database, 1).await.remove(0);
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let began = Instant::now();
    for row in [
        "theoretical_arrival_at = now() + interval '400 days'",
        "blocked_until = now() + interval '400 days'",
        "theoretical_arrival_at = now() + interval '1 minute', blocked_until = now() + interval '11 minutes'",
    ] {
        let ahead = format!("UPDATE dsrd.rate_budget SET {row}");
        sqlx::query(AssertSqlSafe(ahead)).execute(&mut connection).await.unwrap();
        budget.acquire(Urgency::Request).await;
        budget.acquire(Urgency::Sweep).await;
        budget.pause(Duration::from_millis(100)).await;
        budget.acquire(Urgency::Request).await;
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
