//! F-20: many writers append to the log at once, some give up, several sealers number what was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsrd::audit::{self, Action, Actor, Detail, Event, LogKeys, Sealer};
use dsrd::domain::RequestId;
use dsrd::store::Store;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::rig;
use crate::support::service::{TestService, sealer};

const WRITERS: u64 = 32;
const EACH: u64 = 1_000;
const SEALERS: usize = 2;

/// Whether a writer gives up a transaction: about a third of them, differently for each writer.
fn given_up(writer: u64, number: u64) -> bool {
    // The finaliser of splitmix64.
    let mut mixed = (writer << 32 | number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)).is_multiple_of(3)
}

/// Each writer appends to a case of its own, one transaction an entry; returns what each committed, in its order.
async fn append(service: &TestService, store: &Store, each: u64) -> BTreeMap<Uuid, Vec<i64>> {
    let start = Arc::new(Barrier::new(usize::try_from(WRITERS).unwrap()));
    let writers = (0..WRITERS).map(|writer| {
        let (store, desk, start) = (store.clone(), service.desk.clone(), Arc::clone(&start));
        let organisation = service.controller.id.clone();
        tokio::spawn(async move {
            let case = RequestId(Uuid::now_v7());
            let mut committed = Vec::new();
            start.wait().await;
            for number in 0..each {
                let mut tx = store.begin("test").await.unwrap();
                let at = desk.clock.now();
                let event = Event::of(&organisation, case, Action::RequestRead, Actor::Process("test"), at);
                audit::append(&mut tx, event.with(Detail::none().count("number", number))).await.unwrap();
                if !given_up(writer, number) {
                    tx.commit().await.unwrap();
                    committed.push(i64::try_from(number).unwrap());
                }
            }
            (case.0, committed)
        })
    });
    let joined = futures_util::future::join_all(writers).await;
    joined.into_iter().map(Result::unwrap).collect()
}

/// Numbers what is written until told to stop; returns how often that failed.
async fn seal(sealer: Sealer, stop: CancellationToken) -> usize {
    let mut failed = 0;
    while !stop.is_cancelled() {
        failed += usize::from(sealer.seal_once(200).await.is_err());
    }
    sealer.close().await;
    failed
}

/// Appends and seals side by side; returns what was committed and how many sealings failed.
async fn race(service: &TestService, each: u64) -> (BTreeMap<Uuid, Vec<i64>>, usize) {
    let store = rig::store(service.database.options(), u32::try_from(WRITERS).unwrap());
    let stop = CancellationToken::new();
    let mut sealers = Vec::new();
    for _ in 0..SEALERS {
        let keys = LogKeys::from_text(&service.log_keys).unwrap();
        let sealer = sealer(&service.database, keys, Arc::clone(&service.desk.clock)).await.unwrap();
        sealers.push(tokio::spawn(seal(sealer, stop.clone())));
    }
    let committed = append(service, &store, each).await;
    stop.cancel();
    let failed = futures_util::future::join_all(sealers).await.into_iter().map(Result::unwrap).sum();
    store.close().await;
    (committed, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_20_thirty_two_writers_of_a_thousand_entries_leave_no_gap_and_lose_no_order() {
    let service = TestService::start().await;
    let (committed, failed) = race(&service, EACH).await;
    assert_eq!(failed, 0, "sealers that wait for each other never collide");
    let given_up = WRITERS * EACH - committed.values().map(Vec::len).sum::<usize>() as u64;
    assert!((WRITERS * EACH / 4..WRITERS * EACH / 2).contains(&given_up), "{given_up} were given up");

    let log = service.audit().await;
    let mut found: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    for (entry, expected) in log.iter().zip(1..) {
        assert_eq!(entry.seq, expected, "numbers run from 1 without gap");
        found.entry(entry.case.unwrap()).or_default().push(entry.detail["number"].as_i64().unwrap());
    }
    assert!(found == committed, "each case stands there as it was committed: all of it, once, in its order");
    service.finish().await;
}
