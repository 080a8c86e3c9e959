//! Sweeps over the real client and the simulated platform.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use dsrd::domain::{Clock as _, SystemClock};
use dsrd::intake::Desk;
use dsrd::platform::cloud4wi::{Cloud4Wi, LocalBudget};
use dsrd::retention::{self, StopReason, SweepState, Sweeper};
use dsrd_simulator::{ContactSpec, Endpoint, Fault, OrganisationHandle, Poison, Settings, Simulator};

use crate::office::{Office, settings};

/// A simulated platform with `young` people, and the client of one of its organisations.
struct Platform {
    simulator: Simulator,
    organisation: OrganisationHandle,
    client: Arc<Cloud4Wi>,
    _secrets: tempfile::TempDir,
}

fn secret_file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

impl Platform {
    async fn start() -> Self {
        let mut wanted = Settings::with_contacts(0);
        // Until when records are written.
        wanted.reference = SystemClock.now();
        for organisation in &mut wanted.organisations {
            organisation.rate_limit = None;
        }
        let keys = wanted.organisations[0].clone();
        let simulator = Simulator::start(wanted).await.unwrap();
        let secrets = tempfile::tempdir().unwrap();
        let defaults =
            config::File::from_str(include_str!("../platform/defaults.toml"), config::FileFormat::Toml);
        let key = secret_file(secrets.path(), "key", &keys.client_key);
        let secret = secret_file(secrets.path(), "secret", &keys.client_secret);
        let sources = config::Config::builder()
            .add_source(defaults)
            .set_override("base_url", simulator.base_url())
            .unwrap()
            .set_override("organisation_id", keys.organisation_id.as_str())
            .unwrap()
            .set_override("client_key_file", key.to_str())
            .unwrap()
            .set_override("client_secret_file", secret.to_str())
            .unwrap();
        let mut client: dsrd::platform::cloud4wi::Settings =
            sources.build().unwrap().try_deserialize().unwrap();
        client.rate.requests_per_second = 1e6;
        client.rate.burst = 1_000_000;
        client.rate.retry_pause_secs = 0.001;
        client.paging.page_size = 20;
        let budget = Arc::new(LocalBudget::new(&client.rate));
        let client = Arc::new(Cloud4Wi::new(client, None, budget, Arc::new(SystemClock)).unwrap());
        let organisation = simulator.organisation("main");
        Self { simulator, organisation, client, _secrets: secrets }
    }

    /// Adds people created four years and a year ago.
    fn people(&self, past: usize, kept: usize) {
        let now = SystemClock.now();
        for number in 0..past + kept {
            let days = if number < past { 4 * 366 } else { 366 };
            let spec = ContactSpec::new()
                .email(format!("person-{number}@people.example"))
                .created(now - TimeDelta::days(days) + TimeDelta::seconds(i64::try_from(number).unwrap()));
            drop(self.organisation.add_contact(spec));
        }
    }

    /// A sweeper by the host's clock, because the simulator's answers carry its date.
    fn sweeper(&self, office: &Office) -> Sweeper {
        Sweeper {
            desk: Desk { clock: Arc::new(SystemClock), ..office.desk.clone() },
            ..office.sweeper(&self.client, &settings())
        }
    }

    /// Whether a contact was created before the cutoff of the tests' rule, by the platform's own truth.
    fn is_old(&self, contact: &str) -> bool {
        let limit = SystemClock.now() - TimeDelta::days(3 * 365);
        self.organisation.truth(contact).is_some_and(|truth| truth.created_ms < limit.timestamp_millis())
    }
}

#[tokio::test]
async fn a_sweep_over_the_wire_submits_those_past_their_time_and_changes_nothing_there() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(50, 70);
    let rule = settings().rule().unwrap();
    let now = SystemClock.now();
    let preview =
        retention::preview(&*platform.client, &office.controller, &rule, now, Some(office.holds()), |_| ())
            .await
            .unwrap();
    assert_eq!((preview.contacts, preview.candidates, preview.stops), (120, 50, None));

    let report = platform.sweeper(&office).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.contacts, report.submitted), (SweepState::Finished, 120, 50));
    assert!(office.submitted().await.iter().all(|contact| platform.is_old(contact)));
    assert!(platform.simulator.journal().effects().is_empty());
}

#[tokio::test]
async fn s_7_a_simulated_platform_that_ignores_filters_stops_the_sweep() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(10, 30);
    let fault = platform.simulator.faults().inject(Fault::FilterIgnored);
    let report = platform.sweeper(&office).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.reason), (SweepState::Stopped, Some(StopReason::FilterNotHonoured)));
    assert_eq!(office.count("requests").await, 0);
    assert!(platform.simulator.faults().hits(fault) > 0);
    assert!(platform.simulator.journal().effects().is_empty());
}

#[tokio::test]
async fn s_7_filters_ignored_only_after_the_probe_still_cost_nobody_young_anything() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(10, 30);
    // The probe asks once for each filter and once more for the clock; the listing comes after.
    let before = platform.simulator.journal().calls(Endpoint::ListContacts);
    dsrd::platform::ContactPlatform::probe(&*platform.client).await.unwrap();
    let probe_calls = platform.simulator.journal().calls(Endpoint::ListContacts) - before;
    let after = u32::try_from(probe_calls).unwrap();
    let fault = Fault::FilterIgnored.on(Endpoint::ListContacts).after(after);
    let fault = platform.simulator.faults().inject(fault);
    let report = platform.sweeper(&office).sweep("ada").await.unwrap();
    assert!(platform.simulator.faults().hits(fault) > 0);
    assert_eq!((report.state, report.submitted), (SweepState::Finished, 10));
    assert!(office.submitted().await.iter().all(|contact| platform.is_old(contact)));
}

#[tokio::test]
async fn f_8_one_hostile_record_in_a_page_is_counted_and_the_others_are_swept() {
    for poison in [Poison::HugeExponent, Poison::LoneSurrogate, Poison::NotAnObject, Poison::WithoutId] {
        let office = Office::open().await;
        let platform = Platform::start().await;
        platform.people(5, 10);
        let name = format!("{poison:?}");
        let fault = Fault::Poison { poison, position: 3 }.on(Endpoint::ListContacts);
        platform.simulator.faults().inject(fault);
        let report = platform.sweeper(&office).sweep("ada").await.unwrap();
        assert_eq!(report.state, SweepState::Finished, "{name}");
        assert!(report.unreadable <= 1, "{name}: {report:?}");
        assert!(report.submitted >= 4, "{name}: {report:?}");
        assert!(office.submitted().await.iter().all(|contact| platform.is_old(contact)), "{name}");
    }
}

#[tokio::test]
async fn f_53_contacts_whose_creation_date_is_unreadable_are_counted_and_kept() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(10, 30);
    let now: chrono::DateTime<Utc> = SystemClock.now();
    for (number, json) in ["null", "\"yesterday\"", "\"\"", "{}"].into_iter().enumerate() {
        let spec = ContactSpec::new()
            .email(format!("undated-{number}@people.example"))
            .created(now - TimeDelta::days(4 * 366))
            .created_json(json);
        drop(platform.organisation.add_contact(spec));
    }
    let report = platform.sweeper(&office).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.contacts), (SweepState::Finished, 44));
    assert_eq!((report.unreadable, report.candidates, report.submitted), (4, 10, 10));
}

#[tokio::test]
async fn f_36_contacts_deleted_and_created_while_the_listing_runs_are_normal() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(40, 60);
    for fault in [Fault::DeleteWhileScrolling(5), Fault::CreateWhileScrolling(5)] {
        platform.simulator.faults().inject(fault.on(Endpoint::ListContacts).times(2));
    }
    let report = platform.sweeper(&office).sweep("ada").await.unwrap();
    assert_eq!(report.state, SweepState::Finished);
    assert_eq!(report.submitted, office.submitted().await.len() as u64);
    assert!(report.submitted >= 30, "{report:?}");
}

#[tokio::test]
async fn f_35_a_scroll_that_expires_now_and_then_submits_nobody_twice() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(40, 60);
    platform.simulator.faults().inject(Fault::ScrollExpired.on(Endpoint::ListContacts).after(12).times(1));
    let report = platform.sweeper(&office).sweep("ada").await.unwrap();
    assert_eq!((report.state, report.contacts, report.submitted), (SweepState::Finished, 100, 40));
    assert_eq!(office.count("contacts with a request").await, 40);
}

#[tokio::test]
async fn r_60_over_the_wire_the_records_themselves_say_who_still_comes() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(0, 30);
    let now = SystemClock.now();
    let long_ago = now - TimeDelta::days(6 * 366);
    // Records lie evenly between the creation and today: a single one on the first day, the last of nine on a late one.
    for (number, (sessions, seen)) in
        [(1, long_ago), (9, long_ago), (1, now - TimeDelta::days(90))].into_iter().enumerate()
    {
        let spec = ContactSpec::new()
            .email(format!("old-{number}@people.example"))
            .created(long_ago)
            .modified(seen)
            .events(1)
            .devices(0)
            .accountings(sessions);
        drop(platform.organisation.add_contact(spec));
    }
    let last_activity = retention::Settings { anchor: retention::Anchor::LastActivity, ..settings() };
    let rule = last_activity.rule().unwrap();
    let preview =
        retention::preview(&*platform.client, &office.controller, &rule, now, Some(office.holds()), |_| ())
            .await
            .unwrap();
    assert_eq!((preview.old_enough, preview.candidates, preview.active, preview.unclear), (3, 1, 2, 0));
    // Who logged in lately is known from the listing; the two others are read.
    assert_eq!(platform.simulator.journal().calls(Endpoint::Accountings), 2);
    assert_eq!(platform.simulator.journal().calls(Endpoint::Contact), 2);

    let sweeper = Sweeper { rule, ..platform.sweeper(&office) };
    let report = sweeper.sweep("ada").await.unwrap();
    assert_eq!((report.state, report.submitted, report.active), (SweepState::Finished, 1, 2));
    let from_creation = platform.sweeper(&office).sweep("ada").await.unwrap();
    assert_eq!(from_creation.candidates, 3);
    assert_eq!(
        platform.simulator.journal().calls(Endpoint::Accountings),
        4,
        "a period from the creation reads nobody"
    );
}

#[tokio::test]
async fn r_60_over_the_wire_one_hostile_record_leaves_its_contact_for_a_person() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(0, 30);
    // The second of two records lies four years back: without the hostile one, all three would be past their time.
    for number in 0..3 {
        let spec = ContactSpec::new()
            .email(format!("old-{number}@people.example"))
            .created(SystemClock.now() - TimeDelta::days(6 * 366))
            .accountings(2);
        drop(platform.organisation.add_contact(spec));
    }
    let fault = Fault::Poison { poison: Poison::NotAnObject, position: 0 }.on(Endpoint::Accountings);
    platform.simulator.faults().inject(fault);
    let activities = vec![dsrd::domain::ActivityKind::Accountings];
    let settings = retention::Settings { anchor: retention::Anchor::LastActivity, activities, ..settings() };
    let sweeper = Sweeper { rule: settings.rule().unwrap(), ..platform.sweeper(&office) };
    let report = sweeper.sweep("ada").await.unwrap();
    assert_eq!((report.state, report.unclear, report.submitted), (SweepState::Finished, 3, 0));
}

#[tokio::test]
async fn r_59_over_the_wire_a_field_that_nobody_documents_is_found_by_its_name_only() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    platform.people(0, 10);
    let spec = ContactSpec::new().email("member@people.example").raw("loyalty", "{\"points\":7}");
    drop(platform.organisation.add_contact(spec.raw("mario@posta.example", "1")));
    let report = platform.sweeper(&office).sweep("ada").await.unwrap();
    let found: Vec<(&str, i64)> =
        report.findings.iter().map(|finding| (finding.category.as_str(), finding.contacts)).collect();
    assert_eq!(found, [("(other)", 1), ("loyalty", 1)]);
}

#[tokio::test]
async fn r_61_over_the_wire_old_connections_of_a_contact_that_is_kept_are_counted() {
    let office = Office::open().await;
    let platform = Platform::start().await;
    let created = SystemClock.now() - TimeDelta::days(2 * 366);
    // Records lie evenly between the creation and today: those of 24, 19 and 14½ months ago are past the term, the
    // last one is not.
    let spec = ContactSpec::new().email("kept@people.example").created(created).accountings(4);
    drop(platform.organisation.add_contact(spec));
    let records = retention::RecordTerms {
        accountings_months: Some(14),
        most_looked_at: 10,
        ..retention::RecordTerms::default()
    };
    let rule = retention::Settings { records, ..settings() }.rule().unwrap();
    let report = Sweeper { rule, ..platform.sweeper(&office) }.sweep("ada").await.unwrap();
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((finding.category.as_str(), finding.looked_at, finding.contacts), ("accountings", 1, 1));
    assert_eq!((finding.records, finding.unreadable), (3, 0));
    assert_eq!((report.candidates, platform.simulator.journal().calls(Endpoint::Accountings)), (0, 1));
}
