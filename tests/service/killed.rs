//! F-1: whatever works on a request dies at every boundary that an undisturbed run passes, and it ends as if it had not: the
//! engine, what hands in what follows from a withdrawn consent, and the courier that tells recipients.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use dsrd::delivery::{MemoryTransport, Plan};
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    AnsweredOutcome, Clock as _, ErasureRules, Handling, LegalBases, LegalBasis, Outcome, RequestId,
    RequestKind,
};
use dsrd::execution::{self, Ended, FollowUpError, KillSwitch};
use dsrd::recipients::{ChannelKind, TaskState};
use dsrd_simulator::{Endpoint, Fault};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::crash::person;
use crate::recipients::{advance, courier, recipient, webhook};
use crate::rig::count;
use crate::support::service::TestService;
use crate::{grounds, notices, restriction};

/// The time between the two looks at a deletion.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// The time after which erasures follow from a withdrawn consent.
const WEEK: Duration = Duration::from_hours(7 * 24);
/// How long a task that a courier took up is left to it.
const CLAIM: Duration = Duration::from_mins(6);

/// How a request comes to the worker that dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// Somebody asks, and the machine carries it out.
    Asked,
    /// The retention rule asks, and nobody else.
    Swept,
    /// It follows from a consent that was withdrawn a week before.
    Followed,
    /// Somebody asked, and a person has carried it out and recorded how.
    Answered,
}

/// What is carried out to its end however often it dies.
#[derive(Clone, Copy, Debug)]
struct Course {
    kind: RequestKind,
    arrival: Arrival,
}

impl Course {
    fn handling(self) -> Handling {
        if self.arrival == Arrival::Answered { Handling::Person } else { self.kind.handling() }
    }

    /// So that all of it can be taken along; or so that an erasure follows from the withdrawal of a consent.
    fn rules(self) -> ErasureRules {
        if self.arrival == Arrival::Followed || self.kind == RequestKind::ConsentWithdrawal {
            return grounds::follow_up(true);
        }
        by_contract()
    }

    /// The call that changes a contact.
    fn effect(self) -> Option<Endpoint> {
        match self.handling() {
            Handling::Access | Handling::Portability | Handling::Person => None,
            Handling::Erasure => Some(Endpoint::DeleteContact),
            Handling::OptOut => Some(Endpoint::UpdatePolicies),
        }
    }

    /// Whether those that got the data have to be told, once for each request.
    fn is_told_to_recipients(self) -> bool {
        matches!(
            self.kind,
            RequestKind::Erasure
                | RequestKind::CcpaOptOut
                | RequestKind::Rectification
                | RequestKind::Restriction
        )
    }

    /// Brings a request so far that a worker takes it up: its contact and its id.
    async fn begin(self, service: &TestService, number: usize) -> (String, RequestId) {
        let (email, spec) = person(number);
        let spec = match self.arrival {
            Arrival::Swept => spec.created(service.clock.now() - TimeDelta::days(400)),
            Arrival::Asked | Arrival::Followed | Arrival::Answered => spec,
        };
        let contact = service.platform.add_contact(spec);
        let submit = async |kind| service.submit(kind, &[(Email, &email)]).await.request;
        let request = match self.arrival {
            Arrival::Asked => submit(self.kind).await,
            Arrival::Swept => {
                let before = service.clock.now() - TimeDelta::days(30);
                service.submit_sweep(&contact, before).await.request
            }
            Arrival::Followed => {
                submit(RequestKind::ConsentWithdrawal).await;
                service.work_to_the_end().await;
                service.advance(WEEK).await;
                let [second] = hand_in(service, &KillSwitch::default()).await.unwrap().try_into().unwrap();
                second
            }
            Arrival::Answered => {
                let request = submit(self.kind).await;
                service.work_to_the_end().await;
                if self.kind == RequestKind::Restriction {
                    restriction::restrict(service, request).await.unwrap();
                }
                let (done, said) = (AnsweredOutcome::Fulfilled, "We did what you asked for.");
                notices::answer(service, request, done, said).await.unwrap();
                request
            }
        };
        (contact, request)
    }

    /// What the undisturbed run has to have passed for the others to mean something.
    fn check(self, boundaries: &[String]) {
        let passes = |name: &str| boundaries.iter().filter(|boundary| *boundary == name).count();
        let looks = match self.handling() {
            Handling::Access | Handling::Portability | Handling::Person => 0,
            Handling::OptOut => 1,
            Handling::Erasure => 2,
        };
        assert_eq!(passes("verify.before"), looks, "{boundaries:?}");
        let put_back = usize::from(self.handling() == Handling::Erasure);
        for name in ["put_back.written", "put_back.committed"] {
            assert_eq!(passes(name), put_back, "{name} of {boundaries:?}");
        }
        // Nobody is told of a sweep.
        assert_eq!(passes("notice.sent") > 0, self.arrival != Arrival::Swept, "{boundaries:?}");
        let fewest = if self.handling() == Handling::Person { 8 } else { 11 };
        assert!(boundaries.len() >= fewest, "{boundaries:?}");
        assert_eq!((passes("close.written"), passes("close.committed")), (1, 1), "{boundaries:?}");
    }
}

/// Everything is held for a contract, so that all of it can be taken along.
pub(crate) fn by_contract() -> ErasureRules {
    let contract = || vec![LegalBasis::Contract];
    let legal_bases =
        LegalBases { profile: contract(), events: contract(), devices: contract(), accountings: contract() };
    ErasureRules { legal_bases, ..ErasureRules::default() }
}

/// A switch that kills nothing, and what it saw.
fn recorder() -> (KillSwitch, Arc<Mutex<Vec<String>>>) {
    let passed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&passed);
    let switch = KillSwitch::new(move |boundary| {
        seen.lock().unwrap().push(boundary.to_owned());
        false
    });
    (switch, passed)
}

/// A switch that kills at the boundary of this number, counted from 0.
fn dying_at(number: usize) -> KillSwitch {
    let reached = AtomicUsize::new(0);
    KillSwitch::new(move |_| reached.fetch_add(1, Ordering::SeqCst) == number)
}

/// What follows from withdrawn consents is handed in, as the daemon does every minute.
async fn hand_in(service: &TestService, kill: &KillSwitch) -> Result<Vec<RequestId>, FollowUpError> {
    let site = &service.executor.sites[&service.controller.id];
    execution::hand_in_due(&service.store, &service.desk, site, kill).await
}

/// F-1: dies once at each boundary that an undisturbed run passes, those of the mailer among them, and resumes; then twice
/// in a row; then once while the platform's answer to the effect is lost as well.
async fn killed_everywhere_ends_the_same(course: Course) {
    let Course { kind, arrival } = course;
    let register = vec![recipient("partner", ChannelKind::Person)];
    let service =
        TestService::builder().recipients(register).erasure(course.rules()).second_look_secs(2).build().await;
    let (_, request) = course.begin(&service, 0).await;
    let (switch, passed) = recorder();
    let worker = service.worker_with(switch, false).await;
    worker.work_until_idle().await.unwrap();
    // A deletion is looked at a second time (F-39).
    service.advance(SECOND_LOOK).await;
    worker.work_until_idle().await.unwrap();
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    let boundaries = passed.lock().unwrap().clone();
    course.check(&boundaries);

    let mut number = 0;
    let plans = [(1, None), (2, None)].into_iter().chain(course.effect().map(|endpoint| (1, Some(endpoint))));
    for (kills, loses) in plans {
        for (dies_at, boundary) in boundaries.iter().enumerate() {
            number += 1;
            let (contact, request) = course.begin(&service, number).await;
            let lost = loses
                .map(|endpoint| service.simulator.faults().inject(Fault::LoseAnswer.on(endpoint).times(1)));
            for kill in 0..kills {
                let worker = service.worker_with(dying_at(dies_at), false).await;
                let mut ended = worker.work_once().await.unwrap();
                if ended == [Ended::PutBack] {
                    service.advance(SECOND_LOOK).await;
                    ended = worker.work_once().await.unwrap();
                }
                assert!(kill > 0 || lost.is_some() || ended == [Ended::Killed], "{boundary}: {ended:?}");
                service.bury_workers().await;
            }
            service.work_to_the_end().await;
            let case = service.case(request).await;
            let place = format!(
                "{kind} ({arrival:?}), killed {kills} times at {boundary}, answer lost: {}",
                loses.is_some()
            );
            if let Some(lost) = lost {
                assert_eq!(service.simulator.faults().hits(lost), 1, "{place}: the answer was lost");
            }
            assert_eq!(case.outcome, Some(Outcome::Fulfilled), "{place}: {case:?}");
            let truth = service.platform.truth(&contact).unwrap();
            match course.handling() {
                Handling::Erasure => assert!(!truth.exists, "{place}"),
                Handling::OptOut => assert_eq!(truth.policy("mktgCommunications"), Some(false), "{place}"),
                Handling::Access | Handling::Portability | Handling::Person => {
                    assert!(truth.exists, "{place}");
                }
            }
        }
    }
    let runs = i64::try_from(number + 1).unwrap();
    let told = if course.is_told_to_recipients() { runs } else { 0 };
    for statement in [
        "SELECT count(*) FROM dsrd.recipient_task",
        "SELECT count(DISTINCT request_id) FROM dsrd.recipient_task",
    ] {
        assert_eq!(count(&service, statement).await, told, "{statement}");
    }
    // A file whose package was not recorded is swept away at the next start.
    if matches!(course.handling(), Handling::Access | Handling::Portability) {
        leftovers_are_swept_away(&service).await;
    }
    if kind == RequestKind::ConsentWithdrawal {
        what_follows_is_handed_in_once(&service, runs).await;
    }
    service.finish().await;
}

/// After a sweep of the directory each file is one that the database knows.
async fn leftovers_are_swept_away(service: &TestService) {
    let directory = &service.executor.packages.report.directory;
    let tomorrow = service.desk.clock.now() + TimeDelta::days(1);
    dsrd::delivery::remove_leftovers(&service.store, directory, tomorrow).await.unwrap();
    let packages = count(service, "SELECT count(*) FROM dsrd.package").await;
    assert_eq!(i64::try_from(std::fs::read_dir(directory).unwrap().count()).unwrap(), packages);
}

/// Each of these withdrawals is followed by one erasure, wherever the process dies that hands them in.
async fn what_follows_is_handed_in_once(service: &TestService, withdrawals: i64) {
    service.advance(WEEK).await;
    // Looked, written, committed: of the first, and of the second.
    for dies_at in 0..6 {
        let ended = hand_in(service, &dying_at(dies_at)).await;
        assert!(matches!(ended, Err(FollowUpError::Killed)), "{dies_at}: {ended:?}");
    }
    let erasures = "SELECT count(*) FROM dsrd.request WHERE kind = 'erasure'";
    assert!((1..withdrawals).contains(&count(service, erasures).await), "some were, before the deaths");
    hand_in(service, &KillSwitch::default()).await.unwrap();
    assert_eq!(count(service, erasures).await, withdrawals);
    assert_eq!(hand_in(service, &KillSwitch::default()).await.unwrap(), [], "once");
    service.work_to_the_end().await;
    let done = "SELECT count(DISTINCT contact_id) FROM dsrd.request WHERE kind = 'erasure' AND outcome = 'fulfilled'";
    assert_eq!(count(service, done).await, withdrawals);
}

#[tokio::test]
async fn f_1_a_request_for_portability_killed_at_any_boundary_ends_as_if_it_was_not() {
    let kind = RequestKind::Portability;
    killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Asked }).await;
}

#[tokio::test]
async fn f_1_an_access_request_killed_at_any_boundary_ends_as_if_it_was_not() {
    let kind = RequestKind::Access;
    killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Asked }).await;
}

#[tokio::test]
async fn f_1_an_erasure_killed_at_any_boundary_ends_as_if_it_was_not() {
    let kind = RequestKind::Erasure;
    killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Asked }).await;
}

#[tokio::test]
async fn f_1_an_opt_out_killed_at_any_boundary_ends_as_if_it_was_not() {
    let kind = RequestKind::OptOut;
    killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Asked }).await;
}

#[tokio::test]
async fn f_1_a_californian_opt_out_killed_at_any_boundary_ends_as_if_it_was_not() {
    let kind = RequestKind::CcpaOptOut;
    killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Asked }).await;
}

#[tokio::test]
async fn f_1_a_withdrawn_consent_and_what_hands_in_the_erasure_killed_at_any_boundary_end_as_if_they_were_not()
 {
    let kind = RequestKind::ConsentWithdrawal;
    killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Asked }).await;
}

#[tokio::test]
async fn f_1_an_erasure_that_follows_a_withdrawn_consent_killed_at_any_boundary_ends_as_if_it_was_not() {
    let kind = RequestKind::Erasure;
    killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Followed }).await;
}

#[tokio::test]
async fn f_1_an_erasure_of_a_sweep_killed_at_any_boundary_ends_as_if_it_was_not() {
    let kind = RequestKind::Erasure;
    killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Swept }).await;
}

#[tokio::test]
async fn f_1_what_a_person_carried_out_killed_at_any_boundary_ends_as_if_it_was_not() {
    // Without any call of the platform; with the look for the contact that recipients are told of; behind a restriction.
    for kind in [RequestKind::Other, RequestKind::Rectification, RequestKind::Restriction] {
        killed_everywhere_ends_the_same(Course { kind, arrival: Arrival::Answered }).await;
    }
}

/// What the courier passes in telling one recipient.
const OF_A_TELLING: [&str; 5] =
    ["recipient.announced", "recipient.begun", "recipient.sent", "recipient.written", "recipient.ended"];

/// F-1: the courier dies at each boundary, then twice in a row, then once after the first telling went wrong: the mail's
/// answer was lost, or the recipient's server failed.
async fn a_courier_killed_everywhere_tells_each(channel: ChannelKind) {
    let server = MockServer::start().await;
    let confirmed = ResponseTemplate::new(200).set_body_json(serde_json::json!({ "status": "confirmed" }));
    Mock::given(method("POST")).respond_with(confirmed).mount(&server).await;
    let (partner, ends_as) = match channel {
        ChannelKind::Webhook => (webhook("crm", &format!("{}/hook", server.uri())), TaskState::Confirmed),
        ChannelKind::Mail | ChannelKind::Person => (recipient("crm", ChannelKind::Mail), TaskState::Sent),
    };
    let service = TestService::builder().recipients(vec![partner]).build().await;
    let mails = MemoryTransport::new();
    let erased = async |number| {
        let (email, spec) = person(number);
        let _contact = service.platform.add_contact(spec);
        let request = service.submit(RequestKind::Erasure, &[(Email, &email)]).await.request;
        service.work_to_the_end().await;
        request
    };
    erased(0).await;
    let (switch, passed) = recorder();
    assert_eq!(courier(&service, &mails, switch).pump_once().await.unwrap(), 1);
    assert_eq!(*passed.lock().unwrap(), OF_A_TELLING);

    let mut number = 0;
    for (kills, fails) in [(1, false), (2, false), (1, true)] {
        for (dies_at, boundary) in OF_A_TELLING.iter().enumerate() {
            number += 1;
            let place = format!("{channel:?}, killed {kills} times at {boundary}, failed: {fails}");
            let request = erased(number).await;
            match channel {
                _ if !fails => {}
                ChannelKind::Webhook => {
                    let failed = Mock::given(method("POST")).respond_with(ResponseTemplate::new(503));
                    failed.with_priority(1).up_to_n_times(1).mount(&server).await;
                }
                ChannelKind::Mail | ChannelKind::Person => mails.plan(Plan::AnswerLost, 1),
            }
            for kill in 0..kills {
                let ended = courier(&service, &mails, dying_at(dies_at)).pump_once().await;
                assert!(kill > 0 || ended.is_err(), "{place}: {ended:?}");
                advance(&service, CLAIM).await;
            }
            let courier = courier(&service, &mails, KillSwitch::default());
            for _ in 0..2 {
                courier.pump_once().await.unwrap();
                advance(&service, CLAIM).await;
            }
            assert_eq!(courier.pump_once().await.unwrap(), 0, "{place}: nothing is left to tell");
            let [task] = notices::tasks(&service, request).await.try_into().unwrap();
            assert_eq!(task.state, ends_as, "{place}: {task:?}");
            // A repetition is known as one: by the id of the task.
            let id = task.task.to_string();
            let times = match channel {
                ChannelKind::Webhook => {
                    let calls = server.received_requests().await.unwrap();
                    calls.iter().filter(|call| call.headers.get("dsrd-task").unwrap() == id.as_str()).count()
                }
                ChannelKind::Mail | ChannelKind::Person => {
                    mails.sent().iter().filter(|mail| mail.message_id.contains(&id)).count()
                }
            };
            assert!((1..=1 + kills + usize::from(fails)).contains(&times), "{place}: told {times} times");
            let story = service.story(request).await;
            let of = |word: &str| story.iter().filter(|entry| *entry == word).count();
            assert_eq!((of("recipient.queued"), of("recipient.ended=done")), (1, 1), "{place}: {story:?}");
            // Told as often as the log says that it was, or that it may have been.
            let known = 1 + of("recipient.ended=outcome_unknown") + of("recipient.ended=failed");
            assert!(times <= known, "{place}: told {times} times, {story:?}");
            assert_eq!(of("recipient.confirmed"), usize::from(ends_as == TaskState::Confirmed), "{place}");
        }
    }
    service.finish().await;
}

#[tokio::test]
async fn f_1_a_courier_killed_at_any_boundary_tells_each_recipient_and_the_log_says_how_often() {
    for channel in [ChannelKind::Mail, ChannelKind::Webhook] {
        a_courier_killed_everywhere_tells_each(channel).await;
    }
}
