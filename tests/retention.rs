//! Sweeps on a real database, with a contact platform that lives in the test.

#![expect(clippy::unwrap_used, reason = "what fails while a test is set up fails the test")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::audit;
use dsrd::domain::{Clock, ContactId, Controller, ManualClock, MasterKey, OrganisationId, SubjectIdentifier};
use dsrd::intake::Desk;
use dsrd::platform::{
    Call, Contact, ContactPlatform, Created, EffectAnswer, FilterTrust, ListedContact, Listing, ListingBatch,
    OrganisationMatch, PlatformError, ProbeReport, ReadOnly, Records, SearchAnswer, Source, Urgency,
};
use dsrd::retention::{
    self, Halt, Rule, Settings, Stage, StopReason, SweepError, SweepRow, SweepState, Sweeper, never_halt,
};
use dsrd::store::Store;
use futures_util::{StreamExt, stream};
use sqlx::Connection as _;
use support::database::TestDatabase;

const NOON: &str = "2026-11-23T12:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// What the platform of a test does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The probe finds that the filter by creation date is ignored.
    FilterIgnored,
    /// Its clock is so many seconds ahead of ours.
    Clock(i64),
    /// The listing fails after its first page.
    Unavailable,
    /// The second page never comes.
    Hangs,
}

/// Contacts in pages, and a journal of every effect that somebody asks for.
#[derive(Debug)]
struct Pages {
    contacts: Mutex<Vec<ListedContact>>,
    /// Records of the first page that cannot be read.
    poison: u64,
    page: usize,
    fault: Mutex<Fault>,
    /// Removed from the platform when the first page has been listed.
    vanishes: Option<ContactId>,
    effects: AtomicUsize,
}

impl Pages {
    fn of(contacts: Vec<ListedContact>) -> Self {
        Self {
            contacts: Mutex::new(contacts),
            poison: 0,
            page: 4,
            fault: Mutex::new(Fault::None),
            vanishes: None,
            effects: AtomicUsize::new(0),
        }
    }

    fn with(self, fault: Fault) -> Self {
        Self { fault: Mutex::new(fault), ..self }
    }

    fn break_down(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn next_page(&self, number: usize) -> Option<Result<ListingBatch, PlatformError>> {
        if number == 1 && *self.fault.lock().unwrap() == Fault::Unavailable {
            return Some(Err(PlatformError::Unavailable {
                operation: "list contacts",
                detail: "503".to_owned(),
            }));
        }
        let mut contacts = self.contacts.lock().unwrap();
        if number == 1
            && let Some(gone) = &self.vanishes
        {
            contacts.retain(|contact| contact.id != *gone);
        }
        let page: Vec<ListedContact> =
            contacts.iter().skip(number * self.page).take(self.page).cloned().collect();
        let unreadable = if number == 0 { self.poison } else { 0 };
        (!page.is_empty()).then_some(Ok(ListingBatch { contacts: page, unreadable, strangers: 0 }))
    }

    fn count_effect(&self) -> Call<'_, EffectAnswer> {
        self.effects.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(EffectAnswer::Accepted) })
    }
}

fn not_asked<T>() -> Result<T, PlatformError> {
    Err(PlatformError::Rejected {
        operation: "test",
        detail: "a sweep has no business with this call".to_owned(),
    })
}

impl ContactPlatform for Pages {
    fn search<'a>(&'a self, _identifier: &'a SubjectIdentifier) -> Call<'a, SearchAnswer> {
        Box::pin(async { not_asked() })
    }

    fn find_contact<'a>(&'a self, _id: &'a ContactId, _urgency: Urgency) -> Call<'a, Option<Contact>> {
        Box::pin(async { not_asked() })
    }

    fn records<'a>(&'a self, _id: &'a ContactId, _source: Source) -> Call<'a, Option<Records<'a>>> {
        Box::pin(async { not_asked() })
    }

    /// Ignores `before`, as the worst platform would: whoever sweeps must compare by itself.
    fn list_created_before(&self, _before: DateTime<Utc>) -> Listing<'_> {
        Box::pin(stream::unfold(0, move |number| async move {
            if number == 1 && *self.fault.lock().unwrap() == Fault::Hangs {
                std::future::pending::<()>().await;
            }
            self.next_page(number).map(|page| (page, number + 1))
        }))
    }

    fn count_contacts(&self) -> Call<'_, u64> {
        Box::pin(async { not_asked() })
    }

    fn set_policy<'a>(&'a self, _: &'a ContactId, _: &'a str, _: bool) -> Call<'a, EffectAnswer> {
        self.count_effect()
    }

    fn delete_contact<'a>(&'a self, _id: &'a ContactId) -> Call<'a, EffectAnswer> {
        self.count_effect()
    }

    fn probe(&self) -> Call<'_, ProbeReport> {
        let fault = *self.fault.lock().unwrap();
        Box::pin(async move {
            Ok(ProbeReport {
                searches: BTreeMap::new(),
                created: if fault == Fault::FilterIgnored {
                    FilterTrust::Ignored
                } else {
                    FilterTrust::Honoured
                },
                policies: None,
                clock_difference_secs: Some(if let Fault::Clock(secs) = fault { secs } else { 0 }),
            })
        })
    }

    fn check_organisation(&self) -> Call<'_, OrganisationMatch> {
        Box::pin(async { Ok(OrganisationMatch::Same) })
    }

    fn log_out(&self) -> Call<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn listed(id: &str, created: Created) -> ListedContact {
    ListedContact { id: id.parse().unwrap(), created }
}

/// `past` contacts past their time and `kept` others, mixed.
fn contacts(past: usize, kept: usize) -> Vec<ListedContact> {
    let old = (0..past).map(|number| {
        let created = at("2020-01-01T00:00:00Z") + TimeDelta::days(i64::try_from(number).unwrap());
        listed(&format!("old-{number:04}"), Created::At(created))
    });
    let young = (0..kept)
        .map(|number| listed(&format!("young-{number:04}"), Created::At(at("2026-01-01T00:00:00Z"))));
    old.chain(young).collect()
}

fn settings() -> Settings {
    Settings {
        enabled: true,
        keep_months: Some(36),
        safety_margin_hours: 24,
        schedule: "30 2 * * *".to_owned(),
        schedule_time_zone: "UTC".to_owned(),
        most_percent: Some(50),
        most_contacts: Some(1_000),
        submit_batch: 3,
    }
}

struct Office {
    database: TestDatabase,
    store: Store,
    clock: Arc<ManualClock>,
    desk: Desk,
    controller: Controller,
}

impl Office {
    async fn open() -> Self {
        Self::open_with("SELECT 1").await
    }

    /// Opens after a statement of the database's owner; functions in `public` come before the built-in ones.
    async fn open_with(statement: &'static str) -> Self {
        let database = TestDatabase::create().await;
        let mut owner = sqlx::PgConnection::connect_with(&database.options()).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut owner).await.unwrap();
        let store = Store::connect_lazily(
            database.options().options([("search_path", "public,pg_catalog")]),
            &dsrd::store::Settings {
                url_file: None,
                url: None,
                max_connections: 4,
                statement_timeout_secs: 30,
                acquire_timeout_secs: 30,
                migrate_at_start: false,
                embedded_binaries_dir: None,
            },
        );
        let clock = Arc::new(ManualClock::at(at(NOON)));
        let desk = Desk { keys: Arc::new(MasterKey::generate()), clock: clock.clone() };
        let controller = Controller {
            id: "venues".parse().unwrap(),
            name: "Venues Ltd".to_owned(),
            contact: "privacy@venues.example".to_owned(),
            time_zone: chrono_tz::Europe::Rome,
            default_country: None,
            language: "en".to_owned(),
            opt_out_policies: Vec::new(),
        };
        sqlx::query("INSERT INTO dsrd.organisation VALUES ('venues', 'platform-venues', '2026-01-01Z')")
            .execute(&mut *store.connection().await.unwrap())
            .await
            .unwrap();
        Self { database, store, clock, desk, controller }
    }

    fn sweeper(&self, platform: &Arc<Pages>, settings: &Settings) -> Sweeper {
        self.halting(platform, settings, never_halt())
    }

    fn halting(&self, platform: &Arc<Pages>, settings: &Settings, halt: Arc<Halt>) -> Sweeper {
        Sweeper {
            store: self.store.clone(),
            platform: platform.clone(),
            desk: self.desk.clone(),
            controller: self.controller.clone(),
            rule: settings.rule().unwrap(),
            halt,
        }
    }

    fn move_to(&self, now: &str) {
        self.clock.advance(at(now) - self.clock.now());
    }

    async fn count(&self, table: &'static str) -> i64 {
        let statement = match table {
            "jobs" => "SELECT count(*) FROM dsrd.job WHERE lane = 'sweep'",
            "requests" => {
                "SELECT count(*) FROM dsrd.request WHERE kind = 'erasure' AND origin = 'retention' AND channel = 'retention'"
            }
            "contacts with a request" => "SELECT count(DISTINCT contact_id) FROM dsrd.request",
            "candidates" => "SELECT count(*) FROM dsrd.sweep_candidate",
            "open candidates" => "SELECT count(*) FROM dsrd.sweep_candidate WHERE request_id IS NULL",
            other => panic!("no such count: {other}"),
        };
        sqlx::query_scalar(statement).fetch_one(&mut *self.store.connection().await.unwrap()).await.unwrap()
    }

    /// Sweeps, oldest first.
    async fn sweeps(&self) -> Vec<SweepRow> {
        let mut connection = self.store.connection().await.unwrap();
        let mut rows = retention::list_sweeps(&mut connection, &self.controller.id, 1_000).await.unwrap();
        rows.reverse();
        rows
    }

    async fn states(&self) -> Vec<String> {
        self.sweeps().await.into_iter().map(|row| row.state).collect()
    }

    /// Ids of the contacts for which an erasure was submitted.
    async fn submitted(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT contact_id FROM dsrd.request ORDER BY contact_id")
            .fetch_all(&mut *self.store.connection().await.unwrap())
            .await
            .unwrap()
    }

    /// Actions and reasons of the sweeps in the audit log.
    async fn log(&self) -> Vec<(String, String)> {
        let mut connection = self.store.connection().await.unwrap();
        audit::seal(&mut connection, 10_000).await.unwrap();
        let entries =
            audit::list(&mut connection, &audit::Filter::default(), 0, 10_000).await.unwrap().into_iter();
        entries
            .filter(|entry| entry.action.starts_with("sweep."))
            .map(|entry| (entry.action, entry.detail["reason"].as_str().unwrap_or_default().to_owned()))
            .collect()
    }
}

fn words(log: &[(&str, &str)]) -> Vec<(String, String)> {
    log.iter().map(|(action, reason)| ((*action).to_owned(), (*reason).to_owned())).collect()
}

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
    let preview = retention::preview(&read_only, &office.controller, &rule, office.clock.now(), |contacts| {
        seen.lock().unwrap().push(contacts);
    })
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
        let preview =
            retention::preview(&*platform, &office.controller, &settings.rule().unwrap(), at(NOON), |_| ())
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
    all.push(listed("local-time", Created::About(at("2023-11-21T22:59:59Z"))));
    all.push(listed("at-the-cutoff", Created::At(at("2023-11-21T23:00:00Z"))));
    let platform = Arc::new(Pages::of(all));
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.contacts, report.unreadable), (SweepState::Finished, 18, 3));
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
async fn a_rule_that_is_not_enabled_never_runs() {
    let office = Office::open().await;
    let platform = Arc::new(Pages::of(contacts(2, 20)));
    let sweeper = office.sweeper(&platform, &Settings { enabled: false, ..settings() });
    sweeper.run_due().await.unwrap();
    office.move_to("2027-11-26T12:30:00Z");
    assert_eq!(sweeper.run_due().await.unwrap(), retention::Turn::default());
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
async fn f_6_a_due_time_gives_one_sweep_even_where_the_lock_fails() {
    // A pooler between us and the database can make session locks meaningless. Here every daemon gets the lock.
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
    assert_eq!(finished, due_times);
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

#[tokio::test]
async fn a_preview_of_a_hundred_thousand_contacts_holds_one_page_at_a_time() {
    let office = Office::open().await;
    let platform = Pages { page: 10_000, ..Pages::of(contacts(1_000, 99_000)) };
    let rule = settings().rule().unwrap();
    let mut pages = 0;
    let preview =
        retention::preview(&platform, &office.controller, &rule, at(NOON), |_| pages += 1).await.unwrap();
    assert_eq!((preview.contacts, preview.candidates, pages), (100_000, 1_000, 10));
    assert_eq!(platform.list_created_before(at(NOON)).count().await, 10);
    drop(office.database);
}
