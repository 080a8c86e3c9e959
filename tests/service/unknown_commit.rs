//! F-12: the connection to the database breaks while a COMMIT is under way.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::delivery;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{ChoiceReason, Outcome, ParkReason, RefusalGround, RequestId, RequestKind, RequestState};
use dsrd::execution::KillSwitch;
use dsrd::intake;
use dsrd::store::Store;
use dsrd::triage::{self, Facts, Site};
use dsrd::upkeep::{Settings, Upkeep};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::proxy::{Cut, PgProxy};
use crate::rig::{self, Tasks, count};
use crate::support::service::TestService;

/// People of each kind of request.
const EACH: u32 = 15;

fn mixed(seed: u64, number: u64) -> u64 {
    // The finaliser of splitmix64.
    let mut mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn person(number: u32) -> (String, ContactSpec) {
    let email = format!("canarino{number}@posta.example");
    let spec = ContactSpec::new().email(&email).policy("mktgCommunications", true).events(2).devices(1);
    (email, spec)
}

/// No step was done twice, and no event stands in the log twice.
async fn nothing_was_doubled(service: &TestService) {
    let journal = service.simulator.journal();
    assert_eq!(journal.calls(Endpoint::DeleteContact), u64::from(EACH));
    assert_eq!(journal.calls(Endpoint::UpdatePolicies), u64::from(EACH));
    let entries = service.audit().await;
    let mut told: BTreeMap<(uuid::Uuid, &str), u64> = BTreeMap::new();
    for entry in &entries {
        if let Some(case) = entry.case {
            *told.entry((case, entry.action.as_str())).or_default() += 1;
        }
    }
    for ((case, action), times) in told {
        let once = [
            "request.received",
            "contact.located",
            "policy.verified",
            "deletion.verified",
            "package.built",
            "request.parked",
            "request.closed",
        ];
        assert!(times == 1 || !once.contains(&action), "{action} of {case} stands there {times} times");
    }
    let effective = |action| {
        let settled = |entry: &&dsrd::audit::Entry| {
            entry.action == action
                && entry.outcome.as_deref().is_some_and(|outcome| outcome != "outcome_unknown")
        };
        entries.iter().filter(settled).count()
    };
    assert_eq!((effective("deletion.ended"), effective("policy.ended")), (EACH as usize, EACH as usize));
}

/// The first three commits of each kind are cut, each in a way of its own, so that what is tested is no matter of chance, and of
/// the others one in five; returns how each kind of transaction was.
async fn commits_are_cut(seed: u64) -> BTreeMap<String, Vec<Cut>> {
    let service = TestService::start().await;
    let proxy = PgProxy::start(service.database.options()).await;
    let (store, pulse) = (rig::store(proxy.options(), 8), rig::store(proxy.options(), 2));
    let executor = rig::executor(&service, &store, KillSwitch::default(), |settings| {
        // A hand-out that is committed after its connection is gone is found after a lease.
        (settings.heartbeat_secs, settings.lease_secs) = (1, 4);
        settings.most_attempts = 1000;
    });
    // So that jobs are put back too.
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::ListContacts).times(8));
    let tasks = Tasks::start(&service, &executor, &pulse);
    let (passed, met) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    proxy.cut_commits(move |sent| {
        let kind = sent.kind()?;
        let mixed = mixed(seed, passed.fetch_add(1, Ordering::SeqCst));
        let mut met = met.lock().unwrap();
        let times: &mut u64 = met.entry(kind).or_default();
        *times += 1;
        let place = if *times <= 3 { (seed + *times) % 3 } else { mixed % 15 };
        Cut::ALL.get(usize::try_from(place).unwrap()).copied()
    });

    let mut producer = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("SET ROLE dsrd_producer").execute(&mut producer).await.unwrap();
    let mut receipts = Vec::new();
    for number in 0..EACH * 3 {
        let kind = RequestKind::AUTOMATED[number as usize % 3];
        let (email, spec) = person(number);
        let _contact = service.platform.add_contact(spec);
        if number % 2 == 0 {
            sqlx::query(
                "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email,
                   assurance, assured_at)
                 VALUES ('main', $1, $2, '2026-11-23T09:00:00Z', 'web', $3, 'authenticated_session',
                   '2026-11-23T09:00:00Z')",
            )
            .bind(number.to_string())
            .bind(kind.as_str())
            .bind(&email)
            .execute(&mut producer)
            .await
            .unwrap();
        } else {
            let submission = service.submission(kind, &[(Email, &email)]);
            // The library call reads back by its key; whoever calls it again gets the same receipt.
            let receipt = loop {
                let again = submission.clone();
                match intake::submit_request(&store, &service.desk, &service.controller, again).await {
                    Ok(receipt) => break receipt,
                    Err(intake::IntakeError::Store(error)) => assert!(error.is_transient(), "{error}"),
                    Err(error) => panic!("{error}"),
                }
            };
            receipts.push(receipt.request);
        }
    }
    // Two who share a telephone: parked.
    for email in ["canarina@posta.example", "canarone@posta.example"] {
        let _contact = service.platform.add_contact(ContactSpec::new().email(email).phone("+39 333 1234567"));
    }
    let mut parked = Vec::new();
    for _ in 0..6 {
        parked.push(service.submit(RequestKind::Erasure, &[(Phone, "333 1234567")]).await.request);
    }
    tasks.rest(&service, Duration::from_mins(3)).await;
    proxy.spare_commits();
    tasks.stop().await;
    let cuts = proxy.cuts();

    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.request").await, i64::from(3 * EACH + 6));
    let fulfilled = "SELECT count(*) FROM dsrd.request WHERE outcome = 'fulfilled' AND state = 'closed'";
    assert_eq!(count(&service, fulfilled).await, i64::from(3 * EACH));
    for request in receipts {
        assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    }
    for request in parked {
        let case = service.case(request).await;
        assert_eq!((case.state, case.park_reason), (RequestState::Manual, Some(ParkReason::AmbiguousMatch)));
    }
    nothing_was_doubled(&service).await;
    dsrd::delivery::remove_leftovers(
        &service.store,
        &service.executor.packages.report.directory,
        chrono::DateTime::<chrono::Utc>::MAX_UTC,
    )
    .await
    .unwrap();
    store.close().await;
    pulse.close().await;
    service.finish().await;
    cuts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_12_a_commit_whose_answer_is_lost_doubles_nothing_and_loses_nothing() {
    let mut all: BTreeMap<String, Vec<Cut>> = BTreeMap::new();
    for cuts in futures_util::future::join_all((1..=3).map(commits_are_cut)).await {
        for (kind, ways) in cuts {
            all.entry(kind).or_default().extend(ways);
        }
    }
    for part in [
        "request.received",
        "DELETE dsrd.intake",
        "INSERT dsrd.checkpoint",
        "contact.located",
        "policy.began",
        "policy.ended",
        "policy.verified",
        "deletion.began",
        "deletion.ended",
        "deletion.verified",
        "package.built",
        "request.parked",
        "request.closed",
        "notice.began",
        "notice.ended",
        "UPDATE dsrd.instance",
        "UPDATE dsrd.job #",
        "UPDATE dsrd.notice #",
    ] {
        let cut = |cut| all.iter().any(|(kind, ways)| kind.contains(part) && ways.contains(&cut));
        assert!(Cut::ALL.into_iter().all(cut), "not every {part} was cut: {all:#?}");
    }
    assert!(all.values().map(Vec::len).sum::<usize>() >= 200, "{all:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_12_a_submission_whose_commit_is_not_answered_gives_one_request() {
    for cut in Cut::ALL {
        let service = TestService::start().await;
        let proxy = PgProxy::start(service.database.options()).await;
        let store = rig::store(proxy.options(), 4);
        let passed = AtomicU64::new(0);
        proxy.cut_commits(move |sent| {
            let submits = sent.holds("request.received");
            (submits && passed.fetch_add(1, Ordering::SeqCst) == 0).then_some(cut)
        });
        let submission = service.submission(RequestKind::Access, &[(Email, "canarino@posta.example")]);
        let receipt =
            intake::submit_request(&store, &service.desk, &service.controller, submission).await.unwrap();
        assert_eq!(proxy.cuts().into_values().collect::<Vec<_>>(), [[cut]], "once");
        if cut == Cut::After {
            assert!(receipt.repeated, "what was committed is found by its key");
        }
        service.work_to_the_end().await;
        assert_eq!(count(&service, "SELECT count(*) FROM dsrd.request").await, 1, "{cut:?}");
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::FulfilledNoData));
        store.close().await;
        service.finish().await;
    }
}

/// What persons and the clock do to a case, each in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Choose,
    Refuse,
    Resume,
    Withdraw,
    Destroy,
    Forget,
}

impl Deed {
    const ALL: [Self; 6] =
        [Self::Choose, Self::Refuse, Self::Resume, Self::Withdraw, Self::Destroy, Self::Forget];

    /// The entry that it leaves.
    const fn action(self) -> &'static str {
        match self {
            Self::Choose => "decision.contact_chosen",
            Self::Refuse => "decision.refused",
            Self::Resume => "request.resumed",
            Self::Withdraw => "request.withdrawn",
            Self::Destroy => "package.destroyed",
            Self::Forget => "upkeep.forgot",
        }
    }

    /// Brings a case to where this can be done to it.
    async fn prepare(self, service: &TestService) -> RequestId {
        let (email, spec) = person(1);
        let _contact = service.platform.add_contact(spec.phone("+39 333 1234567"));
        if matches!(self, Self::Destroy | Self::Forget) {
            let request = service.submit(RequestKind::Access, &[(Email, &email)]).await.request;
            service.work_to_the_end().await;
            service.clock.advance(TimeDelta::days(31));
            if self == Self::Forget {
                let directory = &service.executor.packages.report.directory;
                delivery::destroy_expired(&service.store, directory, service.desk.clock.now()).await.unwrap();
            }
            return request;
        }
        let _other = service
            .platform
            .add_contact(ContactSpec::new().email("canarone@posta.example").phone("+39 333 1234567"));
        let request = service.submit(RequestKind::Erasure, &[(Phone, "333 1234567")]).await.request;
        service.work_to_the_end().await;
        request
    }

    async fn carry_out(self, service: &TestService, store: &Store, request: RequestId) -> Result<(), String> {
        let desk = &service.desk;
        let controller = service.controller.as_ref();
        let organisation = &controller.id;
        let dpo = || Actor::Person("dpo".to_owned());
        let text = |error: &dyn std::error::Error| error.to_string();
        match self {
            Self::Choose => {
                let platform = service.executor.sites[organisation].platform.as_ref();
                // The candidates are looked at by the usual way: that leaves an entry, too.
                let shown = Site { store: &service.store, desk, controller, platform };
                let found = triage::candidates(shown, request, dpo()).await.map_err(|error| text(&error))?;
                let site = Site { store, ..shown };
                let code = &found.first().expect("a candidate").code;
                let chosen = triage::choose(site, request, code, ChoiceReason::ToldByPerson, dpo()).await;
                chosen.map_err(|error| text(&error))
            }
            Self::Refuse => {
                let ground = RefusalGround::NationalRestriction;
                let facts = Some(Facts::read("A statute, until 2027.").unwrap());
                let mut tx = store.begin("test").await.map_err(|error| text(&error))?;
                let refused =
                    triage::refuse(&mut tx, desk, organisation, request, ground, facts, dpo()).await;
                refused.map_err(|error| text(&error))?;
                tx.commit().await.map_err(|error| text(&error))
            }
            Self::Resume => {
                let mut tx = store.begin("test").await.map_err(|error| text(&error))?;
                let resumed = intake::resume(&mut tx, desk, organisation, request, dpo()).await;
                resumed.map_err(|error| text(&error))?;
                tx.commit().await.map_err(|error| text(&error))
            }
            Self::Withdraw => {
                let mut tx = store.begin("test").await.map_err(|error| text(&error))?;
                let withdrawn = intake::withdraw(&mut tx, desk, controller, request, dpo()).await;
                withdrawn.map_err(|error| text(&error))?;
                tx.commit().await.map_err(|error| text(&error))
            }
            Self::Destroy => {
                let directory = &service.executor.packages.report.directory;
                let destroyed = delivery::destroy_expired(store, directory, desk.clock.now()).await;
                destroyed.map(drop).map_err(|error| text(&error))
            }
            Self::Forget => {
                let settings = Settings {
                    identifiers_days: 30,
                    contact_ids_days: 65,
                    evidence_months: 36,
                    log_months: 36,
                };
                let upkeep = Upkeep { store: store.clone(), desk: desk.clone(), settings };
                upkeep.run(&Actor::Process("upkeep")).await.map(drop).map_err(|error| text(&error))
            }
        }
    }
}

#[tokio::test]
async fn f_12_what_persons_and_the_clock_do_is_done_once_although_its_commit_is_not_answered() {
    for deed in Deed::ALL {
        for cut in Cut::ALL {
            let place = format!("{deed:?}, cut {cut:?}");
            let service = TestService::start().await;
            let request = deed.prepare(&service).await;
            let proxy = PgProxy::start(service.database.options()).await;
            let store = rig::store(proxy.options(), 2);
            let passed = AtomicU64::new(0);
            proxy.cut_commits(move |sent| {
                (sent.kind().is_some() && passed.fetch_add(1, Ordering::SeqCst) == 0).then_some(cut)
            });
            let unanswered = deed.carry_out(&service, &store, request).await;
            assert!(unanswered.is_err(), "{place}: nobody may say that it was done");
            // Whoever did it does it again. What was done already is refused, and says so.
            let again = deed.carry_out(&service, &store, request).await;
            if cut == Cut::Before {
                again.unwrap_or_else(|error| panic!("{place}: {error}"));
            }
            let entries = service.audit().await;
            let times = entries.iter().filter(|entry| entry.action == deed.action()).count();
            assert_eq!(times, 1, "{place}");
            service.work_to_the_end().await;
            let case = service.case(request).await;
            match deed {
                // Chosen, the erasure goes on; resumed, it is ambiguous again.
                Deed::Choose => assert_eq!(case.outcome, Some(Outcome::Fulfilled), "{place}"),
                // Refused, it waits for a way to tell the person: only a telephone number is known.
                Deed::Refuse => assert_eq!(case.park_reason, Some(ParkReason::NoContactPoint), "{place}"),
                Deed::Withdraw => assert_eq!(case.outcome, Some(Outcome::Withdrawn), "{place}"),
                Deed::Resume => assert_eq!(case.park_reason, Some(ParkReason::AmbiguousMatch), "{place}"),
                Deed::Destroy => {
                    let kept = "SELECT count(*) FROM dsrd.package WHERE destroyed_at IS NULL";
                    assert_eq!(count(&service, kept).await, 0, "{place}");
                }
                Deed::Forget => {
                    let kept = "SELECT count(*) FROM dsrd.identifier WHERE sealed IS NOT NULL";
                    assert_eq!(count(&service, kept).await, 0, "{place}");
                }
            }
            store.close().await;
            service.finish().await;
        }
    }
}
