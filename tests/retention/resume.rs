//! Sweeps that were killed, and what goes on from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::TimeDelta;
use dsrd::domain::Clock as _;
use dsrd::retention::{self, Halt, Settings, Stage, StopReason, SweepError, SweepState};

use crate::office::{Office, at, settings, words};
use crate::pages::{Fault, Pages, contacts};

/// Stops a sweep the nth time that it passes a stage, once.
fn halt_at(stage: Stage, nth: usize) -> Arc<Halt> {
    let passed = AtomicUsize::new(0);
    let used = AtomicBool::new(false);
    Arc::new(move |now| {
        now == stage && passed.fetch_add(1, Ordering::SeqCst) + 1 == nth && !used.swap(true, Ordering::SeqCst)
    })
}

#[tokio::test]
async fn f_1_a_sweep_stopped_at_any_stage_ends_with_one_erasure_for_each_contact() {
    for (stage, nth) in [
        (Stage::Started, 1),
        (Stage::Listed, 1),
        (Stage::Listed, 3),
        (Stage::Surveyed, 1),
        (Stage::Decided, 1),
        (Stage::Submitted, 1),
        (Stage::Submitted, 3),
        (Stage::Emptied, 1),
    ] {
        let office = Office::open().await;
        let platform = Arc::new(Pages::of(contacts(10, 20)));
        let sweeper = office.halting(&platform, &settings(), halt_at(stage, nth));
        sweeper.run_due().await.unwrap();
        office.move_to("2026-11-24T02:30:00Z");
        assert!(matches!(sweeper.run_due().await, Err(SweepError::Halted)), "{stage:?}");

        office.clock.advance(TimeDelta::minutes(1));
        let turn = sweeper.run_due().await.unwrap();
        let while_listing = matches!(stage, Stage::Started | Stage::Listed | Stage::Surveyed);
        let report = if while_listing {
            assert_eq!((turn.interrupted, turn.continued.len()), (1, 0), "{stage:?}");
            assert_eq!(office.states().await, ["failed", "finished"], "{stage:?}");
            turn.ran.unwrap()
        } else {
            assert_eq!((turn.interrupted, &turn.ran), (0, &None), "{stage:?}");
            assert_eq!(office.states().await, ["finished"], "{stage:?}");
            turn.continued[0].clone()
        };
        assert_eq!(report.scheduled_for, Some(at("2026-11-24T02:30:00Z")), "{stage:?}");
        assert_eq!((report.state, report.candidates, report.submitted), (SweepState::Finished, 10, 10));
        assert_eq!(office.count("requests").await, 10, "{stage:?}");
        assert_eq!(office.count("contacts with a request").await, 10, "{stage:?}");
        assert_eq!(office.count("jobs").await, 10, "{stage:?}");
        let begun_by: Vec<String> = office.sweeps().await.into_iter().map(|row| row.begun_by).collect();
        assert!(begun_by.iter().all(|by| by == "schedule"), "{stage:?}: {begun_by:?}");
        assert_eq!(sweeper.run_due().await.unwrap().next_run_at, Some(at("2026-11-25T02:30:00Z")));
    }
}

#[tokio::test]
async fn f_1_a_sweep_whose_process_dies_gives_its_lock_back() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 20)).with(Fault::Hangs));
    let sweeper = office.sweeper(&platform, &settings());
    sweeper.run_due().await.unwrap();
    office.move_to("2026-11-24T02:30:00Z");
    let dying = tokio::spawn({
        let sweeper = sweeper.clone();
        async move { sweeper.run_due().await }
    });
    while office.count("candidates").await < 4 {
        tokio::task::yield_now().await;
    }
    let turn = sweeper.run_due().await.unwrap();
    assert!(turn.busy, "a living sweep is left alone");
    assert!(matches!(sweeper.sweep("ada").await, Err(SweepError::AlreadyRunning)));

    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    platform.break_down(Fault::None);
    // PostgreSQL notices the closed connection in its own time.
    let turn = loop {
        let turn = sweeper.run_due().await.unwrap();
        if !turn.busy {
            break turn;
        }
    };
    assert_eq!(turn.interrupted, 1);
    assert_eq!(turn.ran.map(|ran| ran.submitted), Some(10));
    assert_eq!(office.states().await, ["failed", "finished"]);
    assert_eq!(
        office.log().await,
        words(&[
            ("sweep.started", ""),
            ("sweep.stopped", "interrupted"),
            ("sweep.started", ""),
            ("sweep.finished", ""),
        ])
    );
}

#[tokio::test]
async fn a_sweep_that_dies_again_and_again_waits_for_its_next_regular_time() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 20)));
    let sweeper = office.halting(&platform, &settings(), Arc::new(|stage| stage == Stage::Listed));
    sweeper.run_due().await.unwrap();
    office.move_to("2026-11-24T02:30:00Z");
    for _ in 0..3 {
        assert!(matches!(sweeper.run_due().await, Err(SweepError::Halted)));
        office.clock.advance(TimeDelta::minutes(1));
    }
    let turn = sweeper.run_due().await.unwrap();
    assert_eq!((turn.interrupted, turn.ran), (1, None));
    assert_eq!(turn.next_run_at, Some(at("2026-11-25T02:30:00Z")));
    assert_eq!(office.states().await, ["failed", "failed", "failed"]);
}

#[tokio::test]
async fn f_1_a_rule_that_is_switched_off_ends_what_a_sweep_left_unfinished() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 20)));
    for (stage, state, reason) in
        [(Stage::Listed, "failed", "interrupted"), (Stage::Submitted, "stopped", "rule_changed")]
    {
        let sweeper = office.halting(&platform, &settings(), halt_at(stage, 1));
        assert!(matches!(sweeper.sweep("ada").await, Err(SweepError::Halted)));
        let switched_off = office.sweeper(&platform, &Settings { enabled: false, ..settings() });
        assert_eq!(switched_off.run_due().await.unwrap().ran, None);
        let row = office.sweeps().await.pop().unwrap();
        assert_eq!((row.state.as_str(), row.reason.as_deref()), (state, Some(reason)));
        assert!(row.finished_at.is_some(), "from here on its contacts are forgotten on their term");
        assert_eq!(switched_off.run_due().await.unwrap(), retention::Turn::default(), "once");
    }
    assert_eq!(office.count("requests").await, 3, "one batch had been submitted");
}

#[tokio::test]
async fn r_73_the_contacts_of_a_sweep_that_nobody_takes_up_again_are_forgotten() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 20)));
    let sweeper = office.halting(&platform, &settings(), halt_at(Stage::Submitted, 1));
    assert!(matches!(sweeper.sweep("ada").await, Err(SweepError::Halted)));
    let (organisation, began) = (&office.controller.id, office.clock.now());
    let mut connection = office.store.connection().await.unwrap();
    let mut forget = async |before| {
        retention::purge_unused_candidates(&mut connection, organisation, before, 100).await.unwrap()
    };
    assert_eq!(forget(began).await, 0);
    assert_eq!(
        forget(began + TimeDelta::seconds(1)).await,
        7,
        "those for whom a request was made go with it"
    );
}

#[tokio::test]
async fn a_rule_made_milder_stops_a_sweep_that_is_taken_up_again() {
    for milder in [
        Settings { keep_months: Some(60), ..settings() },
        Settings { most_contacts: Some(9), ..settings() },
        Settings { most_percent: Some(10), ..settings() },
    ] {
        let office = Office::open().await;
        let platform = Arc::new(Pages::of(contacts(10, 20)));
        let sweeper = office.halting(&platform, &settings(), halt_at(Stage::Submitted, 1));
        assert!(matches!(sweeper.sweep("ada").await, Err(SweepError::Halted)));
        let turn = office.sweeper(&platform, &milder).run_due().await.unwrap();
        let stopped = &turn.continued[0];
        assert_eq!((stopped.state, stopped.reason), (SweepState::Stopped, Some(StopReason::RuleChanged)));
        assert_eq!(stopped.submitted, 3, "one batch had been submitted");
        assert_eq!(office.count("requests").await, 3);
    }
}
