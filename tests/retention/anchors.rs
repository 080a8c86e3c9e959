//! From which event a period runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dsrd::domain::{ActivityKind, Clock as _, WithoutActivity};
use dsrd::platform::{ProfileDates, ReadOnly, Shown};
use dsrd::retention::{
    self, ActiveLately, Anchor, Halt, Preview, Settings, Stage, StopReason, SweepError, SweepState,
};

use crate::office::{Office, at, settings};
use crate::pages::{Pages, Person, contacts};

fn last_activity() -> Settings {
    Settings { anchor: Anchor::LastActivity, ..settings() }
}

/// A session of 1 May 2026, and one of 2022.
const LATE: &[&str] = &[r#"{"start":"2026-05-01T10:00:00Z","stop":"2026-05-01T11:00:00Z"}"#];
const EARLY: &[&str] = &[r#"{"start":"2022-03-01T10:00:00Z","stop":"2022-03-01T11:00:00Z"}"#];

fn logged_in(text: &str) -> ProfileDates {
    ProfileDates { last_login: Shown::At(at(text)), ..ProfileDates::default() }
}

/// The guest of the requirement, whose last log-in the listing shows or does not, somebody who stayed away, and 20 others.
fn guests(shows: ProfileDates) -> Pages {
    Pages::of(contacts(0, 20))
        .person("guest", "2020-01-10T09:00:00Z", Person { shows, accountings: LATE, ..Person::default() })
        .person("gone", "2020-01-10T09:00:00Z", Person { accountings: EARLY, ..Person::default() })
}

async fn preview(office: &Office, platform: Pages, settings: &Settings) -> Preview {
    let rule = settings.rule().unwrap();
    let (now, holds) = (office.clock.now(), Some(office.holds()));
    retention::preview(&ReadOnly(platform), &office.controller, &rule, now, holds, |_| ()).await.unwrap()
}

#[tokio::test]
async fn r_60_who_was_there_within_the_period_is_kept_and_who_stayed_away_is_not() {
    for (shows, reads) in [(ProfileDates::default(), 8), (logged_in("2026-05-01T10:00:00Z"), 4)] {
        let office = Office::open().await;
        let found = preview(&office, guests(shows), &last_activity()).await;
        assert_eq!((found.old_enough, found.candidates, found.active, found.unclear), (2, 1, 1, 0));
        assert_eq!((found.contacts, found.active_lately), (22, None));

        let platform = Arc::new(guests(shows));
        let report = office.sweeper(&platform, &last_activity()).sweep("ada").await.unwrap();
        assert_eq!(report.state, SweepState::Finished);
        assert_eq!((report.candidates, report.active, report.unclear, report.submitted), (1, 1, 0, 1));
        assert_eq!(office.submitted().await, ["gone"]);
        assert_eq!(office.count("candidates").await, 1, "nothing is kept of who was active");
        // Everything of who stayed away; of the guest what settles it, or nothing where the listing shows it.
        let asked = platform.reads.load(Ordering::SeqCst);
        assert!(asked <= reads, "{asked} reads");
        let row = &office.sweeps().await[0];
        assert_eq!((row.anchor.as_str(), row.candidates, row.active), ("last_activity", 1, 1));
    }
}

#[tokio::test]
async fn r_60_a_period_from_the_creation_takes_them_and_the_preview_warns() {
    let office = Office::open().await;
    let shows = logged_in("2026-05-01T10:00:00Z");
    let found = preview(&office, guests(shows), &settings()).await;
    assert_eq!((found.candidates, found.active, found.unclear), (2, 0, 0));
    assert_eq!(found.active_lately, Some(ActiveLately { active: 1, dated: 1 }));

    let platform = Arc::new(guests(shows));
    let report = office.sweeper(&platform, &settings()).sweep("ada").await.unwrap();
    assert_eq!(report.submitted, 2);
    assert_eq!(office.submitted().await, ["gone", "guest"]);
    assert_eq!(
        platform.reads.load(Ordering::SeqCst),
        0,
        "whoever counts from the creation pays for no reading"
    );
}

#[tokio::test]
async fn r_60_what_cannot_be_known_is_nobodys_end_and_waits_for_a_person() {
    let unclear = [
        ("poison", Person { accountings: EARLY, poison: 1, ..Person::default() }),
        ("too-large", Person { accountings: EARLY, too_large: true, ..Person::default() }),
        ("undated", Person { accountings: &[r#"{"id":"s-1","duration":3600}"#], ..Person::default() }),
        ("no-date", Person { devices: &[r#"{"lastConnection":"yesterday"}"#], ..Person::default() }),
        ("ahead", Person { accountings: &[r#"{"stop":"2031-01-01T00:00:00Z"}"#], ..Person::default() }),
        (
            "no-login",
            Person {
                shows: ProfileDates { last_login: Shown::Unreadable, ..ProfileDates::default() },
                accountings: EARLY,
                ..Person::default()
            },
        ),
        ("silent", Person::default()),
        ("mailed", Person { events: &[OPENED], ..Person::default() }),
    ];
    let office = Office::open().await;
    let mut platform = Pages::of(contacts(0, 20));
    for (id, person) in unclear.clone() {
        platform = platform.person(id, "2020-01-10T09:00:00Z", person);
    }
    let platform = Arc::new(platform);
    let report = office.sweeper(&platform, &last_activity()).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.candidates, report.active), (SweepState::Finished, 0, 0));
    assert_eq!((report.unclear, report.submitted), (8, 0));
    let mut connection = office.store.connection().await.unwrap();
    let listed = retention::list_unclear(&mut connection, &office.controller.id, 100).await.unwrap();
    assert_eq!(retention::count_unclear(&mut connection, &office.controller.id).await.unwrap(), 8);
    drop(connection);
    let mut listed: Vec<&str> = listed.iter().map(dsrd::domain::ContactId::as_str).collect();
    listed.sort_unstable();
    let mut expected = unclear.each_ref().map(|(id, _)| *id);
    expected.sort_unstable();
    assert_eq!(listed, expected);

    // Where the controller says so, the creation counts for those of whom nothing tells.
    let office = Office::open().await;
    let settings = Settings { without_activity: WithoutActivity::Created, ..last_activity() };
    let report = office.sweeper(&platform, &settings).sweep("ada").await.unwrap();
    assert_eq!((report.candidates, report.unclear, report.submitted), (2, 6, 2));
    assert_eq!(office.submitted().await, ["mailed", "silent"]);
}

/// A mail was opened in October: no contact that comes from the person.
const OPENED: &str = r#"{"event":{"type":"open_email"},"when":{"createdAt":"2026-10-01T10:00:00Z"}}"#;
/// A link in it was clicked: one that does; and a type that nobody knows yet.
const CLICKED: &str = r#"{"event":{"type":"click_email"},"when":{"createdAt":"2026-10-01T10:01:00Z"}}"#;
const UNKNOWN: &str = r#"{"type":"teleported","visit":{"startAt":"2026-10-01T10:01:00Z"}}"#;

#[tokio::test]
async fn r_60_an_opened_mail_does_not_count_and_what_does_is_the_controllers_to_say() {
    let people = || {
        Pages::of(contacts(0, 20))
            .person(
                "opened",
                "2020-01-10T09:00:00Z",
                Person { events: &[OPENED], accountings: EARLY, ..Person::default() },
            )
            .person(
                "clicked",
                "2020-01-10T09:00:00Z",
                Person { events: &[OPENED, CLICKED], ..Person::default() },
            )
            .person("unknown", "2020-01-10T09:00:00Z", Person { events: &[UNKNOWN], ..Person::default() })
    };
    let office = Office::open().await;
    let report = office.sweeper(&Arc::new(people()), &last_activity()).sweep("ada").await.unwrap();
    assert_eq!((report.active, report.submitted), (2, 1));
    assert_eq!(office.submitted().await, ["opened"]);

    let office = Office::open().await;
    let only = Settings { activities: vec![ActivityKind::Accountings], ..last_activity() };
    let report = office.sweeper(&Arc::new(people()), &only).sweep("ada").await.unwrap();
    assert_eq!((report.active, report.unclear, report.submitted), (0, 2, 1));
}

#[tokio::test]
async fn r_60_the_caps_are_asked_of_those_who_stayed_away() {
    let office = Office::open().await;
    let few = Settings { most_contacts: Some(1), ..last_activity() };
    let platform = guests(ProfileDates::default()).person(
        "away",
        "2020-02-10T09:00:00Z",
        Person { accountings: EARLY, ..Person::default() },
    );
    let report = office.sweeper(&Arc::new(platform), &few).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.reason), (SweepState::Stopped, Some(StopReason::OverMostContacts)));
    assert_eq!((report.candidates, report.active, report.submitted), (2, 1, 0));
    assert_eq!(office.count("requests").await, 0);
}

fn once(stage: Stage) -> Arc<Halt> {
    let used = AtomicBool::new(false);
    Arc::new(move |now| now == stage && !used.swap(true, Ordering::SeqCst))
}

/// 30 people who stayed away and 30 who did not.
fn crowd() -> Pages {
    (0..60).fold(Pages::of(contacts(0, 60)), |pages, number| {
        let accountings = if number % 2 == 0 { LATE } else { EARLY };
        let person = Person { accountings, ..Person::default() };
        pages.person(&format!("p-{number:02}"), "2020-01-10T09:00:00Z", person)
    })
}

#[tokio::test]
async fn r_60_a_sweep_that_ends_while_it_reads_goes_on_where_it_was() {
    for halted in [true, false] {
        let office = Office::open().await;
        let platform = Arc::new(crowd());
        let sweeper = office.halting(&platform, &last_activity(), once(Stage::Read));
        let sweeper = if halted { sweeper } else { office.sweeper(&platform, &last_activity()) };
        if !halted {
            platform.away_from.store(31, Ordering::SeqCst);
        }
        let ended = sweeper.sweep("ada").await.unwrap_err();
        assert_eq!(halted, matches!(ended, SweepError::Halted), "{ended}");
        assert_eq!(halted, !matches!(ended, SweepError::Platform(_)), "{ended}");
        assert_eq!(office.states().await, ["reading"]);
        let before = platform.reads.load(Ordering::SeqCst);
        platform.away_from.store(usize::MAX, Ordering::SeqCst);

        let turn = sweeper.run_due().await.unwrap();
        let report = &turn.continued[0];
        assert_eq!((report.state, report.candidates, report.active), (SweepState::Finished, 30, 30));
        assert_eq!(report.submitted, 30);
        assert_eq!(office.count("contacts with a request").await, 30);
        let all = platform.reads.load(Ordering::SeqCst);
        assert!(
            before > 10 && all <= 30 * 2 + 30 * 4 + 4,
            "what was read is not read again: {before} of {all}"
        );
    }
}

#[tokio::test]
async fn r_60_a_sweep_is_not_taken_up_by_a_rule_that_counts_from_another_event() {
    for (from, to, stage) in [
        (
            last_activity(),
            Settings { activities: vec![ActivityKind::Events], ..last_activity() },
            Stage::Read,
        ),
        (last_activity(), settings(), Stage::Read),
        (settings(), last_activity(), Stage::Decided),
    ] {
        let office = Office::open().await;
        let platform = Arc::new(crowd());
        let sweeper = office.halting(&platform, &from, once(stage));
        assert!(matches!(sweeper.sweep("ada").await, Err(SweepError::Halted)));
        let turn = office.sweeper(&platform, &to).run_due().await.unwrap();
        let stopped = &turn.continued[0];
        assert_eq!((stopped.state, stopped.reason), (SweepState::Stopped, Some(StopReason::RuleChanged)));
        assert_eq!(office.count("requests").await, 0);
    }
}

#[tokio::test]
async fn r_60_what_was_confirmed_holds_for_a_sweep_that_another_process_takes_up() {
    for (confirmed, state, reason) in
        [(29, SweepState::Stopped, Some(StopReason::NotConfirmed)), (30, SweepState::Finished, None)]
    {
        let office = Office::open().await;
        let platform = Arc::new(crowd());
        let sweeper = office.halting(&platform, &last_activity(), once(Stage::Read));
        let halted = sweeper.sweep_confirmed("ada", confirmed).await;
        assert!(matches!(halted, Err(SweepError::Halted)), "{confirmed}");
        let turn = office.sweeper(&platform, &last_activity()).run_due().await.unwrap();
        let report = &turn.continued[0];
        assert_eq!((report.state, report.reason, report.candidates), (state, reason, 30), "{confirmed}");
        assert_eq!(office.count("requests").await, if reason.is_some() { 0 } else { 30 }, "{confirmed}");
        assert_eq!(office.sweeps().await[0].begun_by, "person");
    }
}
