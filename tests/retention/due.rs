//! Due times, and several daemons that look at them.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::domain::{Controller, OrganisationId};
use dsrd::retention::{self, Settings, StopReason, SweepError, SweepState, Sweeper};

use crate::office::{NOON, Office, at, settings};
use crate::pages::{Fault, Pages, contacts};

#[tokio::test]
async fn f_50_three_missed_due_times_give_one_run_recorded_as_late() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(2, 20)));
    let sweeper = office.sweeper(&platform, &settings());
    let turn = sweeper.run_due().await.unwrap();
    assert_eq!((turn.ran, turn.next_run_at), (None, Some(at("2026-11-24T02:30:00Z"))));

    office.move_to("2026-11-26T12:30:00Z");
    let turn = sweeper.run_due().await.unwrap();
    let ran = turn.ran.unwrap();
    assert_eq!(ran.scheduled_for, Some(at("2026-11-24T02:30:00Z")));
    assert_eq!(ran.late_secs, (2 * 24 + 10) * 3_600);
    assert_eq!(turn.next_run_at, Some(at("2026-11-27T02:30:00Z")));
    assert_eq!(sweeper.run_due().await.unwrap().ran, None);
    assert_eq!(office.states().await, ["finished"]);
}

#[tokio::test]
async fn f_48_a_due_time_from_a_clock_that_was_ahead_comes_with_the_next_one() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(2, 20)));
    let sweeper = office.sweeper(&platform, &settings());
    sweeper.run_due().await.unwrap();
    office.move_to("2027-12-28T12:30:00Z");
    assert_eq!(sweeper.run_due().await.unwrap().next_run_at, Some(at("2027-12-29T02:30:00Z")));
    office.move_to(NOON);
    assert_eq!(sweeper.run_due().await.unwrap().next_run_at, Some(at("2026-11-24T02:30:00Z")));
    office.move_to("2026-11-24T02:30:00Z");
    assert!(sweeper.run_due().await.unwrap().ran.is_some());
    // A daemon whose clock is a little behind does not run it a second time.
    office.move_to("2026-11-24T02:29:55Z");
    let turn = sweeper.run_due().await.unwrap();
    assert_eq!((turn.ran, turn.next_run_at), (None, Some(at("2026-11-25T02:30:00Z"))));
    office.move_to("2026-11-24T02:30:00Z");
    assert_eq!(sweeper.run_due().await.unwrap().ran, None);
    // Both were begun by the schedule, although the due time stands with one of them alone.
    let sweeps = office.sweeps().await;
    let begun: Vec<_> =
        sweeps.iter().map(|row| (row.begun_by.as_str(), row.scheduled_for.is_some())).collect();
    assert_eq!(begun, [("schedule", false), ("schedule", true)]);
}

#[tokio::test]
async fn a_changed_schedule_is_taken_from_the_configuration_at_once() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(2, 20)));
    office.sweeper(&platform, &settings()).run_due().await.unwrap();
    let later = Settings { schedule: "0 5 * * SUN".to_owned(), ..settings() };
    let turn = office.sweeper(&platform, &later).run_due().await.unwrap();
    assert_eq!(turn.next_run_at, Some(at("2026-11-29T05:00:00Z")));
    let elsewhere = Settings { schedule_time_zone: "Europe/Rome".to_owned(), ..later };
    let turn = office.sweeper(&platform, &elsewhere).run_due().await.unwrap();
    assert_eq!(turn.next_run_at, Some(at("2026-11-29T04:00:00Z")));
}

#[tokio::test]
async fn f_50_a_due_time_that_came_before_its_schedule_was_changed_is_swept_for_once() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(2, 20)));
    office.sweeper(&platform, &settings()).run_due().await.unwrap();
    // No daemon ran that night, and the next one has another schedule.
    office.move_to("2026-11-24T09:00:00Z");
    let sweeper = office.sweeper(&platform, &Settings { schedule: "0 5 * * SUN".to_owned(), ..settings() });
    let turn = sweeper.run_due().await.unwrap();
    assert_eq!(turn.ran.map(|ran| ran.scheduled_for), Some(Some(at("2026-11-24T02:30:00Z"))));
    assert_eq!(turn.next_run_at, Some(at("2026-11-29T05:00:00Z")));
    let turn = sweeper.run_due().await.unwrap();
    assert_eq!((turn.ran, turn.next_run_at), (None, Some(at("2026-11-29T05:00:00Z"))));
}

#[tokio::test]
async fn f_6_daemons_with_different_schedules_run_the_due_times_of_both() {
    for first in [0, 1] {
        let office = Office::open().await;
        let platform = Arc::new(Pages::of(contacts(2, 20)));
        let sweepers = ["30 2 * * *", "30 3 * * *"].map(|schedule| {
            office.sweeper(&platform, &Settings { schedule: schedule.to_owned(), ..settings() })
        });
        let mut ran = Vec::new();
        for night in ["2026-11-24T01:50:00Z", "2026-11-25T01:50:00Z"] {
            office.move_to(night);
            // Each looks every minute, half a minute after the other.
            for look in 0..240 {
                let turn = sweepers[(first + look) % 2].run_due().await.unwrap();
                ran.extend(turn.ran.and_then(|ran| ran.scheduled_for));
                office.clock.advance(TimeDelta::seconds(30));
            }
        }
        let due_times =
            ["2026-11-24T02:30:00Z", "2026-11-24T03:30:00Z", "2026-11-25T02:30:00Z", "2026-11-25T03:30:00Z"];
        assert_eq!(ran, due_times.map(at));
    }
}

#[tokio::test]
async fn a_rule_that_is_not_enabled_never_runs() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(2, 20)));
    let sweeper = office.sweeper(&platform, &Settings { enabled: false, ..settings() });
    sweeper.run_due().await.unwrap();
    office.move_to("2027-11-26T12:30:00Z");
    assert_eq!(sweeper.run_due().await.unwrap(), retention::Turn::default());
    assert!(matches!(sweeper.sweep("ada").await, Err(SweepError::NotEnabled)));
    assert_eq!(office.states().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_platform_that_is_away_makes_the_sweep_due_again_after_an_hour() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 20)).with(Fault::Unavailable));
    let sweeper = office.sweeper(&platform, &settings());
    sweeper.run_due().await.unwrap();
    office.move_to("2026-11-24T02:30:00Z");
    let turn = sweeper.run_due().await.unwrap();
    let ran = turn.ran.unwrap();
    assert_eq!((ran.state, ran.reason), (SweepState::Failed, Some(StopReason::PlatformUnavailable)));
    assert_eq!(turn.next_run_at, Some(at("2026-11-24T03:30:00Z")));
    assert_eq!(office.count("requests").await, 0, "nothing comes of half a listing");

    platform.break_down(Fault::None);
    office.move_to("2026-11-24T03:30:00Z");
    let turn = sweeper.run_due().await.unwrap();
    assert_eq!(turn.ran.map(|ran| ran.state), Some(SweepState::Finished));
    assert_eq!(turn.next_run_at, Some(at("2026-11-25T02:30:00Z")));
    assert_eq!(office.count("requests").await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_6_two_schedulers_run_each_of_fifty_due_times_exactly_once() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(1, 5)));
    let hourly = Settings { schedule: "0 * * * *".to_owned(), ..settings() };
    office.sweeper(&platform, &hourly).run_due().await.unwrap();
    let mut due_times = Vec::new();
    for hour in 1..=50 {
        let due = at(NOON) + TimeDelta::hours(hour);
        office.move_to(&due.to_rfc3339());
        due_times.push(Some(due));
        let racers: Vec<_> = (0..2)
            .map(|_| {
                let sweeper = office.sweeper(&platform, &hourly);
                tokio::spawn(async move { sweeper.run_due().await })
            })
            .collect();
        let mut runs = 0;
        for racer in racers {
            runs += usize::from(racer.await.unwrap().unwrap().ran.is_some());
        }
        assert_eq!(runs, 1, "{due}");
    }
    let sweeps = office.sweeps().await;
    let scheduled: Vec<_> = sweeps.iter().map(|row| row.scheduled_for).collect();
    assert_eq!(scheduled, due_times);
    assert!(sweeps.iter().all(|row| row.state == "finished"));
    assert_eq!(office.count("requests").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_6_no_due_time_is_swept_twice_even_where_the_lock_fails() {
    // A pooler between us and the database can make session locks meaningless. Here every daemon gets the lock.
    // Then one may take another's living sweep for dead, so that a due time can be lost; it is never run twice.
    let office =
        Office::open_with("CREATE FUNCTION public.pg_try_advisory_lock(bigint) RETURNS boolean RETURN true")
            .await;
    let platform = Arc::new(Pages::of(contacts(5, 20)));
    let hourly = Settings { schedule: "0 * * * *".to_owned(), ..settings() };
    let sweeper = office.sweeper(&platform, &hourly);
    sweeper.run_due().await.unwrap();
    let mut due_times = Vec::new();
    for hour in 1..=20 {
        let due = at(NOON) + TimeDelta::hours(hour);
        office.move_to(&due.to_rfc3339());
        due_times.push(due);
        let racers: Vec<_> = (0..2)
            .map(|_| {
                let sweeper = sweeper.clone();
                tokio::spawn(async move { sweeper.run_due().await })
            })
            .collect();
        for racer in racers {
            // One takes the other for dead and goes on with its sweep; whoever lost it gets an error.
            drop(racer.await.unwrap());
        }
        while office.states().await.iter().any(|state| state == "listing" || state == "submitting") {
            sweeper.run_due().await.unwrap();
        }
    }
    let finished: Vec<DateTime<Utc>> = office
        .sweeps()
        .await
        .into_iter()
        .filter(|row| row.state == "finished")
        .filter_map(|row| row.scheduled_for)
        .collect();
    assert!(finished.is_sorted_by(|one, next| one < next), "one due time finished twice: {finished:?}");
    assert!(finished.iter().all(|due| due_times.contains(due)), "{finished:?}");
    assert!(!finished.is_empty());
    assert_eq!(office.count("requests").await, 5);
    assert_eq!(office.count("contacts with a request").await, 5);
}

#[tokio::test]
async fn sweeps_of_two_organisations_do_not_hinder_each_other() {
    let office = Office::open().await;
    sqlx::query("INSERT INTO dsrd.organisation VALUES ('hotels', 'platform-hotels', '2026-01-01Z')")
        .execute(&mut *office.store.connection().await.unwrap())
        .await
        .unwrap();
    let hanging = Arc::new(Pages::of(contacts(10, 20)).with(Fault::Hangs));
    let venues = office.sweeper(&hanging, &settings());
    let running = tokio::spawn(async move { venues.sweep("ada").await.map(|_| ()) });
    while office.count("candidates").await == 0 {
        tokio::task::yield_now().await;
    }
    let hotels: OrganisationId = "hotels".parse().unwrap();
    let other = Sweeper {
        controller: Controller { id: hotels, ..office.controller.clone() },
        ..office.sweeper(&Arc::new(Pages::of(contacts(2, 20))), &settings())
    };
    assert_eq!(other.sweep("ada").await.unwrap().submitted, 2);
    running.abort();
    assert!(running.await.is_err());
}
