//! The state machine of a case: its mirror in the database, and random lives of requests against the table of
//! `domain::lifecycle`.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{
    AnsweredOutcome, CaseEvent, ClarificationReason, ExtensionReason, IdentityMethod, LiftReason,
    RefusalGround, RequestId, RequestKind, RequestState, TRANSITIONS,
};
use dsrd::execution::{KillSwitch, resume_postponed};
use dsrd::holds;
use dsrd::identity;
use dsrd::intake;
use dsrd::triage::{self, Decision, Facts};
use dsrd_simulator::ContactSpec;
use sqlx::{Connection as _, PgConnection};

use crate::holds::claim_about;
use crate::support::asked_for;
use crate::support::service::TestService;

/// The one person of these lives.
const PERSON: &str = "canarino@posta.example";

fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

#[tokio::test]
async fn the_database_refuses_what_the_table_of_states_does_not_hold() {
    let service = TestService::start().await;
    let request = service.submit(RequestKind::Complaint, &[(Email, PERSON)]).await.request;
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let mirrored: BTreeSet<(String, String)> =
        sqlx::query_as("SELECT from_state, to_state FROM dsrd.case_transition")
            .fetch_all(&mut owner)
            .await
            .unwrap()
            .into_iter()
            .collect();
    let table: BTreeSet<(String, String)> = TRANSITIONS
        .iter()
        .filter(|(from, _, to)| from != to)
        .map(|(from, _, to)| (from.to_string(), to.to_string()))
        .collect();
    assert_eq!(mirrored, table);
    let back = sqlx::query("UPDATE dsrd.request SET state = 'received', park_reason = NULL")
        .execute(&mut owner)
        .await;
    assert!(back.unwrap_err().to_string().contains("does not go from manual to received"));
    // I-7: what is closed stays closed, and as it was.
    let mut tx = service.store.begin("test").await.unwrap();
    intake::withdraw(&mut tx, &service.desk, &service.controller, request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    for change in [
        "UPDATE dsrd.request SET state = 'in_progress', outcome = NULL, closed_at = NULL",
        "UPDATE dsrd.request SET closed_at = closed_at - interval '1 day'",
        "UPDATE dsrd.request SET due_on = due_on + 1",
    ] {
        assert!(sqlx::query(change).execute(&mut owner).await.is_err(), "{change}");
    }
    service.work_to_the_end().await;
    service.finish().await;
}

/// Numbers that are the same for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// What the model does next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Work,
    Die,
    Days,
    MailAway,
    Resume,
    Withdraw,
    Answer,
    Refuse,
    Extend,
    Ask,
    Clarified,
    Informed,
    Prove,
    Hold,
    Lift,
}

const ACTS: [Act; 15] = [
    Act::Work,
    Act::Die,
    Act::Days,
    Act::MailAway,
    Act::Resume,
    Act::Withdraw,
    Act::Answer,
    Act::Refuse,
    Act::Extend,
    Act::Ask,
    Act::Clarified,
    Act::Informed,
    Act::Prove,
    Act::Hold,
    Act::Lift,
];

/// The event that an act is to a case, if it is one.
const fn event_of(act: Act) -> Option<CaseEvent> {
    match act {
        Act::Resume | Act::Answer | Act::Refuse | Act::Informed => Some(CaseEvent::Decide),
        Act::Withdraw => Some(CaseEvent::Withdraw),
        Act::Extend => Some(CaseEvent::Extend),
        Act::Ask => Some(CaseEvent::AskClarification),
        Act::Clarified => Some(CaseEvent::Clarify),
        Act::Work | Act::Die | Act::Days | Act::MailAway | Act::Prove | Act::Hold | Act::Lift => None,
    }
}

/// Does an act to a request; whether it was accepted.
async fn act(service: &TestService, act: Act, request: RequestId, random: &mut Random) -> bool {
    let facts = Facts::read("As the record of 3 March shows.").unwrap();
    let (desk, controller) = (&service.desk, &*service.controller);
    let mut tx = service.store.begin("test").await.unwrap();
    let accepted = match act {
        Act::Work => {
            drop(tx);
            service.work().await;
            return true;
        }
        Act::Die => {
            drop(tx);
            let dies_at = random.below(12);
            let reached = std::sync::atomic::AtomicUsize::new(0);
            let dying = KillSwitch::new(move |_| {
                reached.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == dies_at
            });
            service.worker_with(dying, false).await.work_once().await.unwrap();
            service.bury_workers().await;
            return true;
        }
        Act::Days => {
            drop(tx);
            let days = 1 + random.below(19) as u64;
            service.advance(Duration::from_secs(days * 86_400)).await;
            return true;
        }
        Act::MailAway => {
            drop(tx);
            service.mails.plan(Plan::NoConnection, 2);
            return true;
        }
        Act::Prove => {
            let method = IdentityMethod::InPerson;
            identity::record_check(&mut tx, desk, controller, request, method, dpo()).await.is_ok()
        }
        Act::Hold => {
            let now = desk.clock.now();
            holds::place(&mut tx, controller, claim_about(service, PERSON), dpo(), now).await.unwrap();
            true
        }
        Act::Lift => {
            drop(tx);
            lift_all(service).await;
            return true;
        }
        Act::Resume => intake::resume(&mut tx, desk, &controller.id, request, dpo()).await.is_ok(),
        Act::Withdraw => intake::withdraw(&mut tx, desk, controller, request, dpo()).await.is_ok(),
        Act::Informed => intake::record_informed(&mut tx, desk, &controller.id, request, dpo()).await.is_ok(),
        Act::Clarified => {
            let at = (random.below(10) < 7).then(|| dsrd::domain::Clock::now(&*service.clock));
            intake::clarified(&mut tx, desk, controller, request, at, dpo()).await.is_ok()
        }
        Act::Ask => {
            let question = (ClarificationReason::Unclear, facts);
            triage::ask_clarification(&mut tx, desk, controller, request, question, dpo()).await.is_ok()
        }
        Act::Answer | Act::Refuse | Act::Extend => {
            let decision = match act {
                Act::Answer => Decision::Answer(AnsweredOutcome::Fulfilled),
                Act::Refuse => Decision::Refusal(RefusalGround::NotARequest),
                _ => Decision::Extension(ExtensionReason::NumberOfRequests),
            };
            triage::decide(&mut tx, desk, controller, request, (decision, Some(facts)), dpo()).await.is_ok()
        }
    };
    if accepted {
        tx.commit().await.unwrap();
    }
    accepted
}

/// Lifts every hold, and lets the rest of what they kept follow.
async fn lift_all(service: &TestService) {
    let mut connection = service.store.connection().await.unwrap();
    let open: Vec<String> = sqlx::query_scalar("SELECT reference FROM dsrd.hold WHERE ended_at IS NULL")
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    drop(connection);
    for reference in open {
        let mut tx = service.store.begin("test").await.unwrap();
        let (controller, now) = (&service.controller, service.desk.clock.now());
        holds::lift(&mut tx, controller, &reference, LiftReason::ClaimSettled, dpo(), now).await.unwrap();
        tx.commit().await.unwrap();
    }
    resume_postponed(&service.store, &service.desk, &service.controller).await.unwrap();
}

/// Random lives: after each act every case stands where the table allows it to stand, what is closed stays as it ended,
/// and at the end the oracle agrees (it also computes every date from its events again).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_lives_of_requests_follow_the_table_of_states() {
    for seed in 0..asked_for("DSRD_TEST_LIVES", 5) as u64 {
        let mut random = Random(seed + 1);
        let service = TestService::start().await;
        let _contact = service
            .platform
            .add_contact(ContactSpec::new().email(PERSON).policy("mktgCommunications", true).events(2));
        let mut requests = Vec::new();
        for kind in [RequestKind::Objection, RequestKind::Access, RequestKind::OptOut, RequestKind::Other] {
            requests.push((kind, service.submit(kind, &[(Email, PERSON)]).await.request));
        }
        // Nobody knows who asks for this one.
        let erasure = crate::identity::submit(&service, RequestKind::Erasure, &[(Email, PERSON)], None).await;
        requests.push((RequestKind::Erasure, erasure.request));
        let mut log = Vec::new();
        for _ in 0..30 {
            let next = ACTS[random.below(ACTS.len())];
            let (kind, request) = requests[random.below(requests.len())];
            let before = service.case(request).await;
            let ended: Vec<_> = closed(&service, &requests).await;
            let accepted = act(&service, next, request, &mut random).await;
            let after = service.case(request).await;
            log.push(format!("{next:?} {kind}: {} -> {} ({accepted})", before.state, after.state));
            if let Some(event) = event_of(next) {
                let allowed = before.state.after(event);
                assert!(allowed.is_some() || !accepted, "seed {seed}: {log:#?}");
                if accepted && event != CaseEvent::Extend {
                    // A clarified case of a person goes back to that person.
                    let gives_back = before.state.after(CaseEvent::GiveBack);
                    assert!(
                        Some(after.state) == allowed
                            || (event == CaseEvent::Clarify && Some(after.state) == gives_back),
                        "seed {seed}: {log:#?}"
                    );
                }
                if !accepted {
                    assert_eq!(before.state, after.state, "seed {seed}: {log:#?}");
                }
            }
            let still = closed(&service, &requests).await;
            assert!(ended.iter().all(|each| still.contains(each)), "seed {seed}: {log:#?}");
        }
        // Whatever waits for a date comes to its end; what waits for a person may go on waiting.
        service.clock.advance(TimeDelta::hours(1));
        lift_all(&service).await;
        for _ in 0..3 {
            service.work().await;
            service.pump().await;
            service.advance(Duration::from_hours(24 * 20)).await;
        }
        service.work_to_the_end().await;
        service.finish().await;
    }
}

/// The closed requests with how they ended.
async fn closed(service: &TestService, requests: &[(RequestKind, RequestId)]) -> Vec<String> {
    let mut ended = Vec::new();
    for (_, request) in requests {
        let case = service.case(*request).await;
        if case.state == RequestState::Closed {
            ended.push(format!("{request} {:?} {:?} {}", case.outcome, case.closed_at, case.due_on));
        }
    }
    ended
}
