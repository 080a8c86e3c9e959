//! What a sweep finds, submits and refuses.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use dsrd::domain::Clock as _;
use dsrd::platform::{ContactPlatform as _, Created, ReadOnly};
use dsrd::retention::{self, Progress, Rule, Settings, StopReason, SweepState};
use dsrd::suppression::{self, Purpose};
use futures_util::StreamExt as _;

use crate::office::{NOON, Office, at, settings, words};
use crate::pages::{Fault, Pages, contacts, listed};

#[tokio::test]
async fn a_sweep_submits_an_erasure_for_every_contact_past_its_time_and_deletes_nothing() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 30)));
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();

    assert_eq!((report.state, report.reason), (SweepState::Finished, None));
    assert_eq!((report.contacts, report.candidates, report.submitted), (40, 10, 10));
    // 36 months before 23 November 2026 in Rome, and a day of margin.
    assert_eq!(report.created_before, at("2023-11-21T23:00:00Z"));
    let expected: Vec<String> = (0..10).map(|number| format!("old-{number:04}")).collect();
    assert_eq!(office.submitted().await, expected);
    assert_eq!(office.count("requests").await, 10);
    assert_eq!(office.count("jobs").await, 10);
    assert_eq!(office.count("open candidates").await, 0);
    assert_eq!(platform.effects.load(Ordering::SeqCst), 0);
    assert_eq!(office.log().await, words(&[("sweep.started", ""), ("sweep.finished", "")]));
}

#[tokio::test]
async fn a_preview_shows_what_the_sweep_will_do_and_writes_nothing() {
    let office = Office::open().await;
    let platform = Arc::new(Pages { poison: 2, ..Pages::of(contacts(10, 30)) });
    let rule: Rule = settings().rule().unwrap();
    let seen = Mutex::new(Vec::new());
    let read_only = ReadOnly(Pages { poison: 2, ..Pages::of(contacts(10, 30)) });
    let preview = retention::preview(
        &read_only,
        &office.controller,
        &rule,
        office.clock.now(),
        Some(office.holds()),
        |progress| {
            let Progress::Listed(contacts) = progress else { panic!("nothing is read") };
            seen.lock().unwrap().push(contacts);
        },
    )
    .await
    .unwrap();

    assert!(preview.allowed());
    assert_eq!((preview.contacts, preview.candidates, preview.unreadable), (42, 10, 2));
    assert_eq!(preview.share_basis_points, 2_381);
    assert_eq!(preview.oldest, Some(at("2020-01-01T00:00:00Z")));
    assert_eq!(preview.newest, Some(at("2020-01-10T00:00:00Z")));
    assert_eq!(seen.into_inner().unwrap(), [6, 10, 14, 18, 22, 26, 30, 34, 38, 42]);
    assert_eq!(office.states().await, Vec::<String>::new());
    assert_eq!(office.count("candidates").await, 0);

    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!((report.contacts, report.candidates, report.unreadable), (42, 10, 2));
    assert_eq!(report.created_before, preview.created_before);
}

#[tokio::test]
async fn f_52_over_a_cap_a_sweep_stops_before_the_first_erasure() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(40, 60)));
    for (most_percent, most_contacts, reason) in
        [(39, 1_000, StopReason::OverMostPercent), (100, 39, StopReason::OverMostContacts)]
    {
        let settings =
            Settings { most_percent: Some(most_percent), most_contacts: Some(most_contacts), ..settings() };
        let report = office.sweeper(&platform, &settings).sweep("ada").await.unwrap();
        assert_eq!((report.state, report.reason), (SweepState::Stopped, Some(reason)));
        assert_eq!((report.contacts, report.candidates, report.submitted), (100, 40, 0));
        let preview = retention::preview(
            &*platform,
            &office.controller,
            &settings.rule().unwrap(),
            at(NOON),
            Some(office.holds()),
            |_| (),
        )
        .await
        .unwrap();
        assert_eq!(preview.stops, Some(reason), "the preview says the same");
    }
    assert_eq!(office.count("requests").await, 0);
    assert_eq!(
        office.log().await,
        words(&[
            ("sweep.started", ""),
            ("sweep.stopped", "over_most_percent"),
            ("sweep.started", ""),
            ("sweep.stopped", "over_most_contacts"),
        ])
    );
    let row = &office.sweeps().await[0];
    assert_eq!((row.state.as_str(), row.reason.as_deref()), ("stopped", Some("over_most_percent")));
    assert!(row.finished_at.is_some());

    // Exactly at both caps is within them.
    let at_the_caps = Settings { most_percent: Some(40), most_contacts: Some(40), ..settings() };
    let report = office.sweeper(&platform, &at_the_caps).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.submitted), (SweepState::Finished, 40));
    assert_eq!(office.count("requests").await, 40);
}

#[tokio::test]
async fn a_sweep_that_finds_another_number_than_was_confirmed_submits_nobody() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 30)));
    let sweeper = office.sweeper(&platform, &settings());
    let (rule, holds) = (settings().rule().unwrap(), Some(office.holds()));
    let preview =
        retention::preview(&*platform, &office.controller, &rule, at(NOON), holds, |_| ()).await.unwrap();
    assert_eq!(preview.candidates, 10);
    platform.contacts.lock().unwrap().push(listed("old-new", Created::At(at("2021-01-01T00:00:00Z"))));
    let report = sweeper.sweep_confirmed("ada", preview.candidates).await.unwrap();
    assert_eq!((report.state, report.reason), (SweepState::Stopped, Some(StopReason::NotConfirmed)));
    assert_eq!((report.candidates, report.submitted), (11, 0));
    assert_eq!(office.count("requests").await, 0);
    assert_eq!(office.log().await, words(&[("sweep.started", ""), ("sweep.stopped", "not_confirmed")]));

    let report = sweeper.sweep_confirmed("ada", 11).await.unwrap();
    assert_eq!((report.state, report.submitted), (SweepState::Finished, 11));
    assert!(office.sweeps().await.iter().all(|sweep| sweep.begun_by == "person"));
}

#[tokio::test]
async fn f_52_a_sweep_far_over_its_cap_keeps_no_more_contacts_than_the_cap() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(60, 0)));
    let settings = Settings { most_percent: Some(100), most_contacts: Some(10), ..settings() };
    let report = office.sweeper(&platform, &settings).sweep("ada").await.unwrap();
    assert_eq!((report.reason, report.candidates), (Some(StopReason::OverMostContacts), 60));
    assert!(office.count("candidates").await <= 10);
}

#[tokio::test]
async fn f_53_contacts_of_unknown_or_future_creation_are_counted_and_never_submitted() {
    let office = Office::open().await;
    let mut all = contacts(3, 10);
    all.push(listed("unknown", Created::Unknown));
    all.push(listed("future", Created::At(at("2031-01-01T00:00:00Z"))));
    all.push(listed("far-future", Created::About(at("9999-12-31T00:00:00Z"))));
    // A local time without its zone is past its time only when it is so in every zone: 14 hours earlier.
    all.push(listed("local-time", Created::About(at("2023-11-21T08:59:59Z"))));
    all.push(listed("local-time-too-close", Created::About(at("2023-11-21T09:00:00Z"))));
    all.push(listed("at-the-cutoff", Created::At(at("2023-11-21T23:00:00Z"))));
    let platform = Arc::new(Pages::of(all));
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.contacts, report.unreadable), (SweepState::Finished, 19, 3));
    assert_eq!(office.submitted().await, ["local-time", "old-0000", "old-0001", "old-0002"]);
    assert_eq!(office.sweeps().await[0].unreadable, 3);
}

#[tokio::test]
async fn f_8_one_poison_record_in_a_page_of_ten_thousand_spoils_nothing_else() {
    let office = Office::open().await;
    let platform = Arc::new(Pages { poison: 1, page: 9_999, ..Pages::of(contacts(99, 9_900)) });
    let settings = Settings { most_percent: Some(1), submit_batch: 50, ..settings() };
    let report = office.sweeper(&platform, &settings).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.contacts, report.unreadable), (SweepState::Finished, 10_000, 1));
    assert_eq!((report.candidates, report.submitted), (99, 99));
}

#[tokio::test]
async fn f_36_a_contact_that_vanishes_while_the_sweep_lists_is_normal() {
    let office = Office::open().await;
    let platform =
        Arc::new(Pages { vanishes: Some("old-0001".parse().unwrap()), ..Pages::of(contacts(10, 30)) });
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!(report.state, SweepState::Finished);
    let submitted = office.submitted().await;
    assert_eq!(report.submitted, submitted.len() as u64);
    // It was seen, so the erasure procedure will look it up, find nobody and say so. Its absence made a page slip, so
    // one contact was not seen and waits for the next sweep.
    assert!(submitted.contains(&"old-0001".to_owned()));
    assert!(submitted.iter().all(|contact| contact.starts_with("old-")));
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!(report.state, SweepState::Finished);
    assert_eq!(office.count("contacts with a request").await, 10);
}

#[tokio::test]
async fn s_7_a_platform_that_ignores_the_filter_stops_the_sweep_and_loses_nobody() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(10, 30)).with(Fault::FilterIgnored));
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.reason), (SweepState::Stopped, Some(StopReason::FilterNotHonoured)));
    assert_eq!(office.count("candidates").await, 0);
    assert_eq!(office.count("requests").await, 0);
    assert_eq!(platform.effects.load(Ordering::SeqCst), 0);

    // One that hides it from the probe still cannot make us submit anybody who is not past their time.
    platform.break_down(Fault::None);
    office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert!(office.submitted().await.iter().all(|contact| contact.starts_with("old-")));
    assert_eq!(office.count("requests").await, 10);
}

#[tokio::test]
async fn f_48_clocks_that_differ_by_more_than_five_minutes_stop_a_sweep() {
    let office = Office::open().await;
    for (secs, state) in
        [(-301, SweepState::Stopped), (301, SweepState::Stopped), (300, SweepState::Finished)]
    {
        let platform = Arc::new(Pages::of(contacts(1, 9)).with(Fault::Clock(secs)));
        let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
        assert_eq!(report.state, state, "{secs} s");
    }
    assert_eq!(office.count("requests").await, 1);
}

#[tokio::test]
async fn a_contact_with_an_open_retention_request_gets_no_second_one() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(5, 20)));
    office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    platform.contacts.lock().unwrap().push(listed("old-new", Created::At(at("2021-01-01T00:00:00Z"))));
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!((report.candidates, report.submitted), (6, 1));
    assert_eq!(office.count("requests").await, 6);
    assert_eq!(office.count("open candidates").await, 0, "each candidate names its request");
}

#[tokio::test]
async fn a_preview_of_a_hundred_thousand_contacts_holds_one_page_at_a_time() {
    let office = Office::open().await;
    let platform = Pages { page: 10_000, ..Pages::of(contacts(1_000, 99_000)) };
    let rule = settings().rule().unwrap();
    let mut pages = 0;
    let preview =
        retention::preview(&platform, &office.controller, &rule, at(NOON), Some(office.holds()), |_| {
            pages += 1;
        })
        .await
        .unwrap();
    assert_eq!((preview.contacts, preview.candidates, pages), (100_000, 1_000, 10));
    assert_eq!(platform.list_created_before(at(NOON)).count().await, 10);
    drop(office.database);
}

#[tokio::test]
async fn r_48_a_sweep_has_those_looked_at_that_it_lists_although_they_were_erased() {
    let office = Office::open().await;
    let erased = |id: &str| {
        let contact = id.parse().unwrap();
        suppression::hashes(
            &office.desk.keys,
            &office.controller.id,
            &[Purpose::ReCreation],
            &[],
            Some(&contact),
        )
    };
    let mut connection = office.store.connection().await.unwrap();
    for id in ["young-0003", "gone-0001"] {
        let since = at("2026-10-01T00:00:00Z");
        suppression::add(
            &mut connection,
            &office.controller,
            &erased(id),
            suppression::Source::Erasure,
            since,
        )
        .await
        .unwrap();
    }
    drop(connection);
    let platform = Arc::new(Pages::of(contacts(2, 10)));
    for _ in 0..2 {
        office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
        let mut connection = office.store.connection().await.unwrap();
        let looks: Vec<(String, i32, bool)> =
            sqlx::query_as("SELECT cause, after_days, due_at <= $1 FROM dsrd.look")
                .bind(office.clock.now())
                .fetch_all(&mut *connection)
                .await
                .unwrap();
        assert_eq!(looks, [("sweep".to_owned(), 53, true)], "one look, however often it is listed");
    }
    assert_eq!(office.submitted().await, ["old-0000", "old-0001"], "the sweep itself leaves it alone");
    assert_eq!(platform.effects.load(Ordering::SeqCst), 0);
}
