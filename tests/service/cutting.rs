//! A service whose way to the database is cut at the first commits of every kind of transaction (F-12).
//!
//! Nobody lists the kinds: the proxy tells transactions apart by what they write. Of the first two of each kind one never gets to
//! the server, one is carried out, and of neither does whoever made it hear anything.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dsrd::execution::KillSwitch;
use dsrd::store::Store;
use futures_util::FutureExt as _;

use crate::parked::as_owner;
use crate::proxy::{Cut, PgProxy};
use crate::rig::{self, Tasks};
use crate::support::service::TestService;

/// What becomes of the first two commits of a kind.
pub(crate) const WAYS: [Cut; 2] = [Cut::Before, Cut::After];

/// How each kind of transaction was cut.
pub(crate) type Cuts = BTreeMap<String, Vec<Cut>>;

/// So often something is tried at the most: each kind of transaction that is in it fails twice.
const MOST_ATTEMPTS: usize = 60;

/// The service, and where its commits are cut.
pub(crate) struct Cutting {
    /// Its store and its executor go through the proxy.
    pub(crate) service: TestService,
    proxy: PgProxy,
    /// Whether commits are cut at the moment: not while a test looks or sets up.
    cuts: Arc<AtomicBool>,
    /// A way of the test's own that nothing cuts.
    direct: Store,
}

impl Cutting {
    /// Nothing is cut yet. The first two commits of each kind will be cut in these ways.
    pub(crate) async fn over(mut service: TestService, ways: [Cut; 2]) -> Self {
        let proxy = PgProxy::start(service.database.options()).await;
        let store = rig::store(proxy.options(), 8);
        service.executor = rig::executor(&service, &store, KillSwitch::default(), |settings| {
            // A hand-out that is committed after its connection is gone is found after a lease.
            (settings.heartbeat_secs, settings.lease_secs) = (1, 4);
            settings.most_attempts = 1000;
        });
        let direct = std::mem::replace(&mut service.store, store);
        let cuts = Arc::new(AtomicBool::new(false));
        let (on, met) = (Arc::clone(&cuts), Mutex::new(BTreeMap::new()));
        proxy.cut_commits(move |sent| {
            if !on.load(Ordering::SeqCst) {
                return None;
            }
            let mut met = met.lock().unwrap();
            let times: &mut usize = met.entry(sent.kind()?).or_default();
            *times += 1;
            ways.get(*times - 1).copied()
        });
        Self { service, proxy, cuts, direct }
    }

    /// How many entries of this action stand in the log.
    pub(crate) async fn entries(&self, action: &str) -> usize {
        self.service.audit().await.iter().filter(|entry| entry.action == action).count()
    }

    /// Lets somebody do what leaves an entry of this action, who looks after each failure whether it is there and does it again
    /// if not. It is there once in the end, and at once where whoever did it was told that it is done.
    pub(crate) async fn deed<T>(&self, action: &str, act: impl AsyncFn() -> T) {
        let before = self.entries(action).await;
        for _ in 0..MOST_ATTEMPTS {
            let (_, failed) = self.attempt(&act).await;
            let entries = self.entries(action).await - before;
            assert!(failed || entries > 0, "{action} was said to be done");
            if entries > 0 {
                assert_eq!(entries, 1, "{action} was done twice");
                return;
            }
        }
        panic!("{action} is never done");
    }

    /// Does what the clock or a process does again and again, until nothing is cut any more. Between two times so much passes that
    /// what somebody took up who is not heard of any more may be taken up by the next.
    pub(crate) async fn duty<T>(&self, act: impl AsyncFn() -> T) {
        for _ in 0..MOST_ATTEMPTS {
            if self.attempt(&act).await.0 {
                return;
            }
            as_owner(
                &self.service,
                "UPDATE dsrd.notice SET run_at = run_at - interval '1 h' WHERE state = 'pending';
                 UPDATE dsrd.recipient_task SET run_at = run_at - interval '1 h' WHERE state = 'queued';
                 UPDATE dsrd.staff_mail SET run_at = run_at - interval '1 h' WHERE state = 'pending';
                 UPDATE dsrd.look SET run_at = run_at - interval '1 h' WHERE looked_at IS NULL",
            )
            .await;
        }
        panic!("its commits are cut for ever: {:#?}", self.proxy.cuts());
    }

    /// Does it with the proxy at work, and returns whether nothing was cut, and whether it failed. What is cut may fail, and nothing
    /// else.
    async fn attempt<T>(&self, act: &impl AsyncFn() -> T) -> (bool, bool) {
        let before = self.number_of_cuts();
        self.cuts.store(true, Ordering::SeqCst);
        let ended = AssertUnwindSafe(act()).catch_unwind().await;
        self.cuts.store(false, Ordering::SeqCst);
        let whole = self.number_of_cuts() == before;
        match ended {
            Err(panic) if whole => resume_unwind(panic),
            ended => (whole, ended.is_err()),
        }
    }

    fn number_of_cuts(&self) -> usize {
        self.proxy.cuts().values().map(Vec::len).sum()
    }

    /// Lets a daemon's worker, its intake and its mailer work until everything is closed or waits.
    pub(crate) async fn rest(&self) {
        let pulse = rig::store(self.proxy.options(), 2);
        self.cuts.store(true, Ordering::SeqCst);
        let tasks = Tasks::start(&self.service, &self.service.executor, &pulse);
        tasks.rest_in(&self.direct, Duration::from_mins(4)).await;
        self.cuts.store(false, Ordering::SeqCst);
        tasks.stop().await;
        pulse.close().await;
    }

    /// Ends the test: the oracle finds nothing. Returns how each kind was cut.
    pub(crate) async fn finish(self) -> Cuts {
        let cuts = self.proxy.cuts();
        self.proxy.spare_commits();
        self.direct.close().await;
        self.service.finish().await;
        cuts
    }
}

/// Fails unless so many kinds at least were cut both with and without effect, and each of `expected` stands in the name of one of
/// them: what is no longer met would be cut by no test, and nobody would see it. A kind that is met once in all runs is cut one way:
/// the transaction that does the same again may be of another.
pub(crate) fn judge(cuts: &Cuts, expected: &[&str], least: usize) {
    let is_both = |ways: &Vec<Cut>| WAYS.iter().all(|way| ways.contains(way));
    let both: Vec<&str> =
        cuts.iter().filter(|(_, ways)| is_both(ways)).map(|(kind, _)| kind.as_str()).collect();
    for part in expected {
        assert!(
            both.iter().any(|kind| kind.contains(part)),
            "{part} was not cut both ways:\n{}",
            both.join("\n")
        );
    }
    assert!(both.len() >= least, "{} kinds only:\n{}", both.len(), both.join("\n"));
}
