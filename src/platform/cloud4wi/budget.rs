//! The rate budget of one key within one process: a token bucket, and one pause for everybody.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::settings::RateSettings;
use crate::platform::{CallBudget, Urgency};

/// A [`CallBudget`] for a single daemon. Within one urgency, calls go in the order of their asking; sweeps wait while
/// a person's request waits.
#[derive(Debug)]
pub struct LocalBudget {
    per_second: f64,
    burst: f64,
    bucket: Mutex<Bucket>,
    requests_waiting: AtomicUsize,
    no_request_waits: Notify,
    /// Tokio's mutexes are fair: whoever holds one is the head of its queue.
    request_queue: tokio::sync::Mutex<()>,
    sweep_queue: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    counted_at: Instant,
    paused_until: Option<Instant>,
}

impl LocalBudget {
    /// A full bucket with the settings' rate and burst.
    #[must_use]
    pub fn new(settings: &RateSettings) -> Self {
        let burst = f64::from(settings.burst.max(1));
        Self {
            per_second: settings.requests_per_second,
            burst,
            bucket: Mutex::new(Bucket { tokens: burst, counted_at: Instant::now(), paused_until: None }),
            requests_waiting: AtomicUsize::new(0),
            no_request_waits: Notify::new(),
            request_queue: tokio::sync::Mutex::new(()),
            sweep_queue: tokio::sync::Mutex::new(()),
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a token, or says how long to wait before trying again.
    fn try_take(&self) -> Result<(), Duration> {
        let mut bucket = self.bucket();
        let now = Instant::now();
        if let Some(until) = bucket.paused_until {
            if until > now {
                return Err(until - now);
            }
            // A pause ends with one call, not with a burst: the platform has just said that we are too fast.
            bucket.paused_until = None;
            bucket.tokens = 1.0;
            bucket.counted_at = now;
        }
        let gained = now.duration_since(bucket.counted_at).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + gained).min(self.burst);
        bucket.counted_at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        // One millisecond more, because timers and fractions both round down.
        let missing = (1.0 - bucket.tokens) / self.per_second;
        Err(Duration::try_from_secs_f64(missing)
            .unwrap_or(Duration::MAX)
            .saturating_add(Duration::from_millis(1)))
    }

    async fn take_for_request(&self) {
        let _waiting = Waiting::new(self);
        let _head = self.request_queue.lock().await;
        while let Err(wait) = self.try_take() {
            sleep(wait).await;
        }
    }

    async fn take_for_sweep(&self) {
        let _head = self.sweep_queue.lock().await;
        loop {
            let quiet = self.no_request_waits.notified();
            if self.requests_waiting.load(Ordering::SeqCst) > 0 {
                quiet.await;
                continue;
            }
            match self.try_take() {
                Ok(()) => return,
                Err(wait) => sleep(wait).await,
            }
        }
    }
}

/// Counts one waiting request, also when its waiting is given up.
struct Waiting<'a>(&'a LocalBudget);

impl<'a> Waiting<'a> {
    fn new(budget: &'a LocalBudget) -> Self {
        budget.requests_waiting.fetch_add(1, Ordering::SeqCst);
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.requests_waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.no_request_waits.notify_waiters();
        }
    }
}

impl CallBudget for LocalBudget {
    fn acquire(&self, urgency: Urgency) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        match urgency {
            Urgency::Request => Box::pin(self.take_for_request()),
            Urgency::Sweep => Box::pin(self.take_for_sweep()),
        }
    }

    fn pause(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let now = Instant::now();
            let until = now.checked_add(pause).unwrap_or(now);
            let mut bucket = self.bucket();
            if bucket.paused_until.is_none_or(|earlier| earlier < until) {
                bucket.paused_until = Some(until);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn budget(per_second: f64, burst: u32) -> Arc<LocalBudget> {
        Arc::new(LocalBudget::new(&RateSettings {
            requests_per_second: per_second,
            burst,
            in_flight: 4,
            pause_cap_secs: 600,
            patience_secs: 30,
            attempts: 4,
            retry_pause_secs: 0.5,
            breaker_failures: 5,
            breaker_pause_secs: 15.0,
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn i_10_no_window_of_time_sees_more_calls_than_rate_and_burst_allow() {
        let budget = budget(2.0, 5);
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..40 {
            budget.acquire(Urgency::Request).await;
            times.push(start.elapsed().as_secs_f64());
        }
        for (first, from) in times.iter().enumerate() {
            for (last, to) in times.iter().enumerate().skip(first) {
                let calls = u32::try_from(last - first + 1).unwrap();
                assert!(
                    f64::from(calls) <= 5.0 + 2.0 * (to - from) + 1e-6,
                    "{calls} calls from {from} to {to}"
                );
            }
        }
        // P-3: and the limit is nearly used up.
        assert!(times[39] < 35.0 / 2.0 * 1.02, "{}", times[39]);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_drawn_before_sweeps_that_waited_longer() {
        let budget = budget(1.0, 1);
        budget.acquire(Urgency::Sweep).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, urgency) in [
            ("sweep 1", Urgency::Sweep),
            ("sweep 2", Urgency::Sweep),
            ("request 1", Urgency::Request),
            ("request 2", Urgency::Request),
        ] {
            let (budget, order) = (budget.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                budget.acquire(urgency).await;
                order.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["request 1", "request 2", "sweep 1", "sweep 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn f_29_a_pause_stops_everybody_and_is_not_shortened() {
        let budget = budget(100.0, 50);
        let start = Instant::now();
        budget.pause(Duration::from_mins(10)).await;
        budget.pause(Duration::from_secs(1)).await;
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let budget = budget.clone();
                tokio::spawn(async move { budget.acquire(Urgency::Request).await })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        assert!(start.elapsed() >= Duration::from_mins(10));
        // No burst of 50 after it: seven of the eight had to wait for their tokens.
        assert!(start.elapsed() >= Duration::from_millis(600_069), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_gives_up_waiting_does_not_hold_sweeps_back() {
        let budget = budget(1.0, 1);
        budget.acquire(Urgency::Request).await;
        assert!(
            tokio::time::timeout(Duration::from_millis(10), budget.acquire(Urgency::Request)).await.is_err()
        );
        tokio::time::timeout(Duration::from_secs(5), budget.acquire(Urgency::Sweep)).await.unwrap();
    }
}
