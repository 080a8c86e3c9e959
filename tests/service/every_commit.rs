//! F-12, on every kind of transaction that a day in the office makes: the connection breaks while it is committed, once without
//! effect and once with, and what was begun is done once all the same.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, TimeDelta};
use dsrd::delivery::{self, MemoryTransport, NoticeKind};
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    ActivityKind, AnsweredOutcome, ChoiceReason, Clock as _, DecisionKind, DiscardReason, IdentityMethod,
    IncidentCategory, IncidentCause, IncidentEnd, KillSwitch, LiftReason, OrganisationId, Outcome,
    ParkReason, RefusalGround, RequestId, RequestKind, RequestState, SystemClock, WithoutActivity,
};
use dsrd::execution::{self, Decided};
use dsrd::holds::EndRule;
use dsrd::recipients::{self, ChannelKind, GiveUpReason, TaskState};
use dsrd::retention::{Anchor, RecordTerms, Settings, Sweeper, never_halt};
use dsrd::upkeep::RemovalReason;
use dsrd::{holds, intake, triage};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::cutting::{Cuts, Cutting, WAYS, judge};
use crate::grounds::{follow_up, hand_in};
use crate::holds::{claim, claim_about, place, resume_held};
use crate::identity::{ask_again, asked, check, confirm, dpo};
use crate::identity_codes::{code, tell};
use crate::intake::{controllers, producer, take};
use crate::killed::by_contract;
use crate::parked::{list, of_kind, open, release};
use crate::proxy::Cut;
use crate::recipients::{courier, recipient};
use crate::restriction::{announce, lift, restrict};
use crate::rig::count;
use crate::support::builder::start_of_test;
use crate::support::service::TestService;
use crate::undelivered::{came_back, informed};
use crate::watch::{found, look, settle};
use crate::{access, alerts, cases, deadlines, decide, identity, notices, self_test, suppression, upkeep};

fn contact(address: &str) -> ContactSpec {
    ContactSpec::new().email(address).policy("mktgCommunications", true).events(2).devices(1)
}

/// A person who is in the platform, of whom nobody knows who asks.
async fn unproven(service: &TestService, address: &str, kind: RequestKind) -> RequestId {
    let _contact = service.platform.add_contact(contact(address));
    identity::submit(service, kind, &[(Email, address)], None).await.request
}

/// A request that the workers carried out, handed in by an address that is in the platform.
async fn answered(service: &TestService, address: &str, kind: RequestKind) -> (String, RequestId) {
    let contact = service.platform.add_contact(contact(address));
    let request = service.submit(kind, &[(Email, address)]).await.request;
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled), "{kind}");
    (contact, request)
}

/// The references of the holds in the order in which they were placed.
async fn references(service: &TestService) -> Vec<String> {
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query_scalar("SELECT reference FROM dsrd.hold ORDER BY placed_at, hold_id")
        .fetch_all(&mut *connection)
        .await
        .unwrap()
}

/// Every procedure once, by the tasks of a daemon, the first two commits of each kind cut in these ways.
async fn workers(ways: [Cut; 2]) -> Cuts {
    let register = vec![recipient("mailing", ChannelKind::Mail), recipient("partner", ChannelKind::Person)];
    let service = TestService::builder().recipients(register).erasure(by_contract()).build().await;
    let cutting = Cutting::over(service, ways).await;
    let service = &cutting.service;
    // So that jobs are put back too.
    service.simulator.faults().inject(Fault::Status(503).on(Endpoint::ListContacts).times(4));
    let mut done = Vec::new();
    for kind in [RequestKind::Access, RequestKind::OptOut, RequestKind::Erasure, RequestKind::Portability] {
        let address = format!("canarino.{}@posta.example", kind.as_str().replace('_', "-"));
        let _contact = service.platform.add_contact(contact(&address));
        cutting.deed("request.received", async || service.submit(kind, &[(Email, &address)]).await).await;
        done.push(kind);
    }
    let swept = service.platform.add_contact(
        contact("canarino.scaduto@posta.example").created(start_of_test() - TimeDelta::days(400)),
    );
    let limit = service.clock.now() - TimeDelta::days(1);
    cutting.deed("request.received", async || service.submit_sweep(&swept, limit).await).await;
    let held = "canarino.trattenuto@posta.example";
    let _held = service.platform.add_contact(contact(held));
    place(service, claim_about(service, held)).await;
    let held = service.submit(RequestKind::Erasure, &[(Email, held)]).await.request;
    for address in ["canarina@posta.example", "canarone@posta.example"] {
        let _contact = service.platform.add_contact(contact(address).phone("+39 333 1234567"));
    }
    let shared = service.submit(RequestKind::Erasure, &[(Phone, "333 1234567")]).await.request;
    let nobody =
        service.submit(RequestKind::Access, &[(Email, "canarino.nessuno@posta.example")]).await.request;
    let by_hand =
        service.submit(RequestKind::Rectification, &[(Email, "canarino.mano@posta.example")]).await.request;
    let silent = unproven(service, "canarino.muto@posta.example", RequestKind::Erasure).await;
    let mut producer = producer(service).await;
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email, assurance,
           assured_at)
         VALUES ('main', 'row', 'access', '2026-11-23T09:00:00Z', 'web', 'canarino.riga@posta.example',
           'authenticated_session', '2026-11-23T09:00:00Z')",
    )
    .execute(&mut producer)
    .await
    .unwrap();
    cutting.rest().await;
    assert_eq!(service.case(silent).await.state, RequestState::NeedsIdentity);
    // Nobody answers who asks: the reminder, and the end by rule.
    for _ in 0..4 {
        service.advance(Duration::from_hours(24 * 10)).await;
        cutting.rest().await;
    }

    let journal = service.simulator.journal();
    assert_eq!(journal.calls(Endpoint::DeleteContact), 2, "the erasure and that of the sweep");
    // Marketing stops for the one whose data must be kept, too.
    assert_eq!(journal.calls(Endpoint::UpdatePolicies), 2);
    let expected = [
        ("request.received", done.len() + 7),
        ("deletion.verified", 2),
        ("policy.verified", 1),
        ("package.built", 2),
        ("erasure.postponed", 1),
        ("identity.unproven", 1),
        ("request.closed", done.len() + 5),
    ];
    let mut found = expected;
    for (action, times) in &mut found {
        *times = cutting.entries(action).await;
    }
    assert_eq!(found, expected);
    for (request, outcome) in [
        (held, Some(Outcome::PartlyFulfilled)),
        (nobody, Some(Outcome::FulfilledNoData)),
        (silent, Some(Outcome::NotIdentified)),
        (shared, None),
        (by_hand, None),
    ] {
        assert_eq!(service.case(request).await.outcome, outcome);
    }
    assert_eq!(service.case(shared).await.park_reason, Some(ParkReason::AmbiguousMatch));
    let packages = &service.executor.packages.report.directory;
    delivery::remove_leftovers(&service.store, packages, chrono::DateTime::<chrono::Utc>::MAX_UTC)
        .await
        .unwrap();
    cutting.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_12_whichever_commit_of_a_worker_is_cut_first_each_request_is_carried_out_once() {
    // What is done again is not always the same kind of transaction: the other way comes first in a run of its own.
    let [before, after] = WAYS;
    let (mut cuts, others) = tokio::join!(workers([before, after]), workers([after, before]));
    for (kind, ways) in others {
        cuts.entry(kind).or_default().extend(ways);
    }
    let kinds = [
        "contact.located",
        "identity.asked",
        "identity.unproven",
        "policy.began",
        "policy.ended",
        "policy.verified",
        "deletion.began",
        "deletion.ended",
        "deletion.verified",
        "erasure.postponed",
        "package.built",
        "recipient.queued",
        "suppression.added",
        "request.parked",
        "request.closed",
        "notice.began",
        "notice.ended",
        "INSERT dsrd.checkpoint",
        "DELETE dsrd.intake",
        "UPDATE dsrd.instance",
    ];
    judge(&cuts, &kinds, 35);
}

/// Rows of producers that could not become a request: looked at, corrected, thrown away.
async fn rows(cutting: &Cutting) {
    let service = &cutting.service;
    let mut producer = producer(service).await;
    for key in ["corrected", "thrown-away"] {
        sqlx::query(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, received_at, channel, email)
             VALUES ('main', $1, '2026-11-20T09:00:00Z', 'web', 'canarino.riga@posta.example')",
        )
        .bind(key)
        .execute(&mut producer)
        .await
        .unwrap();
    }
    cutting.duty(async || take(service).await).await;
    let rows = list(service).await;
    assert_eq!(rows.len(), 2);
    let (first, second) = (rows[0].intake, rows[1].intake);
    cutting.deed("intake.read", async || open(service, first).await.unwrap()).await;
    let corrected = async || release(service, first, of_kind(RequestKind::Complaint)).await.unwrap();
    cutting.deed("intake.released", corrected).await;
    let thrown_away = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        let (desk, reader) = (&service.desk, (&service.controller.id, dpo()));
        let reason = DiscardReason::Duplicate;
        intake::discard_parked_row(&mut tx, desk, &controllers(service), second, reason, reader)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("intake.discarded", thrown_away).await;
    assert!(list(service).await.is_empty());
}

/// What is decided about requests, one decision by two persons.
async fn decisions(cutting: &Cutting) {
    let service = &cutting.service;
    let desk = &service.desk;
    let controller = &service.controller;
    let objection = deadlines::received(service, "2026-11-23T09:00:00Z").await;
    let extend = async || deadlines::extend(service, objection).await.unwrap();
    cutting.deed("decision.proposed", extend).await;
    let drop_it = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        triage::drop_proposal(&mut tx, desk, controller, objection, dpo()).await.unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("decision.dropped", drop_it).await;
    cutting.deed("decision.proposed", extend).await;
    let second = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        let other = dsrd::audit::Actor::Person("bea".to_owned());
        triage::confirm(&mut tx, desk, controller, objection, other).await.unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("decision.extended", second).await;
    cutting.duty(async || service.pump().await).await;
    assert_eq!(cutting.entries("term.extended").await, 1);

    let task = async |name: &str, kind| {
        let address = format!("canarino.{name}@posta.example");
        let _contact = service.platform.add_contact(contact(&address));
        let request = service.submit(kind, &[(Email, &address)]).await.request;
        service.work_to_the_end().await;
        request
    };
    let question = task("domanda", RequestKind::Rectification).await;
    cutting
        .deed("decision.clarification_asked", async || deadlines::ask(service, question).await.unwrap())
        .await;
    service.work_to_the_end().await;
    service.clock.advance(TimeDelta::days(1));
    let now = service.clock.now().to_rfc3339();
    let clarified = async || deadlines::clarified(service, question, Some(&now)).await.unwrap();
    cutting.deed("clarification.answered", clarified).await;
    let answer = async || cases::answer(service, question, AnsweredOutcome::Fulfilled).await.unwrap();
    cutting.deed("decision.answered", answer).await;
    let refused = task("rifiuto", RequestKind::Complaint).await;
    let refuse = async || cases::refuse(service, refused, RefusalGround::NotARequest).await.unwrap();
    cutting.deed("decision.refused", refuse).await;
    let withdrawn = task("ritiro", RequestKind::Complaint).await;
    let withdraw = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        intake::withdraw(&mut tx, desk, controller, withdrawn, dpo()).await.unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("request.withdrawn", withdraw).await;
    for address in ["canarina@posta.example", "canarone@altra.example"] {
        let _contact = service.platform.add_contact(contact(address).phone("+39 333 1234567"));
    }
    let shared = service.submit(RequestKind::Erasure, &[(Phone, "333 1234567")]).await.request;
    service.work_to_the_end().await;
    let shown = async || decide::candidates(service, shared).await;
    cutting.deed("decision.candidates_shown", shown).await;
    cutting.deed("request.resumed", async || decide::resume(service, shared).await).await;
    service.work_to_the_end().await;
    let meant = decide::code_of(&decide::candidates(service, shared).await, "@posta.example");
    let choose = async || {
        let site = decide::site(service);
        triage::choose(site, shared, &meant, ChoiceReason::ToldByPerson, dpo()).await.unwrap();
    };
    cutting.deed("decision.contact_chosen", choose).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(shared).await.outcome, Some(Outcome::Fulfilled));
    for (request, outcome) in
        [(question, Outcome::Fulfilled), (refused, Outcome::Refused), (withdrawn, Outcome::Withdrawn)]
    {
        assert_eq!(service.case(request).await.outcome, Some(outcome));
    }
}

/// Who asks, by each way in which that becomes known.
async fn proofs(cutting: &Cutting) {
    let service = &cutting.service;
    let address = "canarino.link@posta.example";
    let by_link = unproven(service, address, RequestKind::Erasure).await;
    let secret = asked(service, by_link).await;
    cutting
        .deed("identity.refused", async || confirm(service, &secret, "canarino.altro@posta.example").await)
        .await;
    cutting.deed("identity.proven", async || confirm(service, &secret, address).await).await;
    service.work_to_the_end().await;
    let by_code = unproven(service, "canarino.codice@posta.example", RequestKind::Erasure).await;
    asked(service, by_code).await;
    let code = code(service);
    cutting.deed("identity.proven", async || tell(service, by_code, &code).await.unwrap()).await;
    let by_staff = unproven(service, "canarino.persona@posta.example", RequestKind::Erasure).await;
    asked(service, by_staff).await;
    cutting.deed("identity.asked", async || ask_again(service, by_staff).await.unwrap()).await;
    let checked = async || check(service, by_staff, IdentityMethod::InPerson).await.unwrap();
    cutting.deed("identity.checked", checked).await;
    service.work_to_the_end().await;
    for request in [by_link, by_code, by_staff] {
        assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    }
}

/// What became of answers: packages that staff opens, mails that come back, answers that went to somebody else.
async fn answers(cutting: &Cutting) {
    let service = &cutting.service;
    let (_, request) = answered(service, "canarino.copia@posta.example", RequestKind::Access).await;
    cutting.deed("package.opened", async || access::package(service, request).await).await;
    let ready = Some(NoticeKind::AccessReady);
    cutting.deed("notice.bounced", async || came_back(service, request, ready).await.unwrap()).await;
    let (watch, mails) = alerts::watch(service, alerts::settings());
    cutting.duty(async || alerts::round(&watch, &mails).await).await;
    assert_eq!(cutting.entries("alert.raised").await, 1, "the mail that came back");
    cutting.deed("alert.acknowledged", async || alerts::acknowledge(service, request).await).await;
    cutting.deed("notice.made_good", async || informed(service, request).await.unwrap()).await;
    let (desk, controller) = (&service.desk, &service.controller);
    let declare = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        let breach = (IncidentCause::Misdirected, &[IncidentCategory::Profile][..], service.clock.now());
        triage::declare_incident(&mut tx, desk, controller, request, breach, dpo()).await.unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("incident.declared", declare).await;
    let end = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        triage::end_incident(&mut tx, desk, controller, request, IncidentEnd::Reported, dpo()).await.unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("incident.ended", end).await;
}

/// Holds and a restriction: placed, reviewed, ended, and what follows.
async fn orders(cutting: &Cutting) {
    let service = &cutting.service;
    cutting.deed("hold.placed", async || place(service, claim(service)).await).await;
    let kept = service.platform.add_contact(contact("canarino@posta.example"));
    let request = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await.request;
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::PartlyFulfilled));
    let hold = references(service).await.remove(0);
    let review = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        let (next, now) = (notices::today(service) + Days::new(60), service.clock.now());
        holds::review(&mut tx, &service.controller, &hold, next, dpo(), now).await.unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("hold.reviewed", review).await;
    cutting.deed("hold.lifted", async || lift(service, &hold, LiftReason::ClaimSettled).await.unwrap()).await;
    cutting.duty(async || resume_held(service).await).await;
    assert_eq!(cutting.entries("erasure.resumed").await, 1);
    service.work_to_the_end().await;
    assert!(!service.platform.truth(&kept).unwrap().exists);

    let limited = "canarino.limite@posta.example";
    let _contact = service.platform.add_contact(contact(limited));
    let request = service.submit(RequestKind::Restriction, &[(Email, limited)]).await.request;
    service.work_to_the_end().await;
    cutting.deed("hold.placed", async || restrict(service, request).await.unwrap()).await;
    let hold = references(service).await.remove(1);
    let answer = async || cases::answer(service, request, AnsweredOutcome::Fulfilled).await.unwrap();
    cutting.deed("decision.answered", answer).await;
    service.work_to_the_end().await;
    let day = notices::today(service) + Days::new(7);
    cutting.deed("hold.end_announced", async || announce(service, &hold, day).await.unwrap()).await;
    service.pump().await;
    service.clock.advance(TimeDelta::days(7));
    cutting
        .deed("hold.lifted", async || lift(service, &hold, LiftReason::RestrictionEnded).await.unwrap())
        .await;
}

/// What was erased comes back, and those who had the data from us are told.
async fn afterwards(cutting: &Cutting) {
    let service = &cutting.service;
    let address = "canarino.ritorno@posta.example";
    let (contact, request) = answered(service, address, RequestKind::Erasure).await;
    let who = [suppression::identifier(Email, address)];
    cutting.deed("suppression.import_blocked", async || suppression::decide(service, &who, None).await).await;
    let told = MemoryTransport::new();
    let courier = courier(service, &told, KillSwitch::default());
    cutting.duty(async || while courier.pump_once().await.unwrap() > 0 {}).await;
    let tasks = notices::tasks(service, request).await;
    let (organisation, now) = (&service.controller.id, service.clock.now());
    let task = |channel: &str| tasks.iter().find(|task| task.channel.as_str() == channel).unwrap().task;
    let confirmed = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        recipients::confirm(&mut tx, organisation, task("mail"), dpo(), now).await.unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("recipient.confirmed", confirmed).await;
    let given_up = async || {
        let mut tx = service.store.begin("test").await.unwrap();
        let end = (TaskState::Impossible, GiveUpReason::RecipientGone);
        recipients::give_up(&mut tx, organisation, task("person"), end, dpo(), now).await.unwrap();
        tx.commit().await.unwrap();
    };
    cutting.deed("recipient.given_up", given_up).await;

    service.platform.restore_contact(&contact);
    service.clock.advance(TimeDelta::days(1));
    cutting.duty(async || look(service).await).await;
    assert_eq!(cutting.entries("suppression.reappeared").await, 1);
    let task = found(service).await.remove(0);
    let again = async || settle(service, &task, Decided::Again).await.unwrap();
    cutting.deed("suppression.reappearance_settled", again).await;
    service.work_to_the_end().await;
    assert!(!service.platform.truth(&contact).unwrap().exists);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_12_whichever_commit_of_a_person_is_cut_first_what_they_did_is_done_once() {
    let register = vec![recipient("crm", ChannelKind::Mail), recipient("press", ChannelKind::Person)];
    let mut service = TestService::builder().recipients(register).build().await;
    Arc::make_mut(&mut service.controller).two_persons = vec![DecisionKind::Extension];
    sqlx::query("UPDATE dsrd.organisation SET two_persons = '{extension}'")
        .execute(&mut crate::sealing::owner(&service).await)
        .await
        .unwrap();
    let cutting = Cutting::over(service, WAYS).await;
    rows(&cutting).await;
    decisions(&cutting).await;
    proofs(&cutting).await;
    answers(&cutting).await;
    orders(&cutting).await;
    afterwards(&cutting).await;
    assert_eq!(
        count(&cutting.service, "SELECT count(*) FROM dsrd.request").await,
        15,
        "those that are named above"
    );
    // Each deed asked for its entry; that there are as many kinds at least, the number says.
    let cuts = cutting.finish().await;
    judge(&cuts, &["alert.raised", "staff_mail.began", "recipient.began", "recipient.ended"], 50);
}

/// A rule of 36 months from the creation.
pub(crate) fn sweeper(service: &TestService) -> Sweeper {
    let settings = Settings {
        enabled: true,
        keep_months: Some(36),
        anchor: Anchor::Created,
        activities: ActivityKind::ALL.to_vec(),
        passive_events: Vec::new(),
        without_activity: WithoutActivity::Review,
        classified_fields: Vec::new(),
        records: RecordTerms { most_looked_at: 200, ..RecordTerms::default() },
        safety_margin_hours: 24,
        schedule: "* * * * *".to_owned(),
        schedule_time_zone: "UTC".to_owned(),
        most_percent: Some(100),
        most_contacts: Some(1_000),
        submit_batch: 3,
    };
    Sweeper {
        store: service.store.clone(),
        platform: Arc::clone(&service.executor.sites[&service.controller.id].platform),
        desk: service.desk.clone(),
        controller: (*service.controller).clone(),
        rule: settings.rule().unwrap(),
        halt: never_halt(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f_12_whichever_commit_of_a_duty_of_the_clock_is_cut_first_it_is_done_once() {
    let register = vec![recipient("crm", ChannelKind::Mail)];
    let builder = TestService::builder().second_organisation().recipients(register).erasure(follow_up(true));
    // The platform tells its own time, which a sweep compares.
    let cutting = Cutting::over(builder.starting_at(SystemClock.now()).build().await, WAYS).await;
    let service = &cutting.service;
    let (desk, controller) = (&service.desk, &service.controller);

    let old =
        contact("canarino.scaduto@posta.example").created(service.clock.now() - TimeDelta::days(4 * 366));
    let _old = service.platform.add_contact(old);
    let sweeper = sweeper(service);
    sweeper.run_due().await.unwrap();
    cutting.duty(async || sweeper.sweep("dpo").await.unwrap()).await;
    // By its schedule, too; what was interrupted is said to be that, and nothing else stops one.
    service.clock.advance(TimeDelta::minutes(2));
    cutting.duty(async || sweeper.run_due().await.unwrap()).await;
    assert!(cutting.entries("sweep.finished").await > 0);
    for stopped in service.audit().await.iter().filter(|entry| entry.action == "sweep.stopped") {
        assert_eq!(stopped.detail["reason"], "interrupted");
    }
    let submitted = count(service, "SELECT count(*) FROM dsrd.request WHERE origin = 'retention'").await;
    let each = "SELECT count(DISTINCT contact_id) FROM dsrd.request WHERE origin = 'retention'";
    assert!(submitted > 0 && submitted == count(service, each).await, "{submitted}");
    service.work_to_the_end().await;

    let consent = "canarino.consenso@posta.example";
    answered(service, consent, RequestKind::ConsentWithdrawal).await;
    service.advance(Duration::from_hours(7 * 24)).await;
    cutting.duty(async || hand_in(service).await).await;
    assert_eq!(cutting.entries("follow_up.ended").await, 1);
    service.work_to_the_end().await;

    let tomorrow = notices::today(service) + Days::new(1);
    place(service, holds::NewHold { ends: EndRule::On(tomorrow), ..claim(service) }).await;
    let objector = "canarino.contrario@posta.example";
    let _contact = service.platform.add_contact(contact(objector));
    let objection = service.submit(RequestKind::Objection, &[(Email, objector)]).await.request;
    service.work_to_the_end().await;
    let site = &service.executor.sites[&controller.id];
    cutting
        .duty(async || {
            holds::restrict_objections(&service.store, controller, &*desk.clock).await.unwrap();
            execution::tell_of_objections(&service.store, desk, site).await.unwrap();
        })
        .await;
    assert_eq!(notices::tasks(service, objection).await.len(), 1);
    service.clock.advance(TimeDelta::days(2));
    let in_order = async || holds::keep_in_order(&service.store, controller, &*desk.clock, 30).await.unwrap();
    cutting.duty(in_order).await;
    assert_eq!(cutting.entries("hold.expired").await, 1);

    let _invented = service.platform.add_contact(self_test::invented());
    let tester = self_test::tester(service, &self_test::settings(&[RequestKind::OptOut]));
    tester.turn().await.unwrap();
    service.clock.advance(TimeDelta::days(1));
    cutting.duty(async || tester.turn().await.unwrap()).await;
    service.work_to_the_end().await;
    cutting.duty(async || tester.turn().await.unwrap()).await;
    let tests = (cutting.entries("self_test.submitted").await, cutting.entries("self_test.ended").await);
    assert_eq!(tests, (1, 1));

    answered(service, "canarino.copia@posta.example", RequestKind::Access).await;
    service.clock.advance(TimeDelta::days(40));
    let (watch, mails) = alerts::watch(service, alerts::settings());
    cutting.duty(async || alerts::round(&watch, &mails).await).await;
    let raised = count(service, "SELECT count(*) FROM dsrd.alert").await;
    assert!(raised > 0);
    assert_eq!(i64::try_from(cutting.entries("alert.raised").await), Ok(raised));
    cutting.duty(async || look(service).await).await;
    cutting.duty(async || upkeep::forget(service).await).await;
    assert_eq!(count(service, "SELECT count(*) FROM dsrd.package WHERE destroyed_at IS NULL").await, 0);
    assert_eq!(cutting.entries("package.destroyed").await, 1);

    let other: OrganisationId = "other".parse().unwrap();
    let removal = crate::removal::removal(service);
    let remove = async || removal.remove(&other, RemovalReason::ContractEnded, &dpo()).await.unwrap();
    cutting.deed("organisation.removed", remove).await;
    let expected = [
        "sweep.started",
        "sweep.page",
        "sweep.finished",
        "INSERT dsrd.sweep_candidate",
        "request.received",
        "follow_up.ended",
        "hold.placed",
        "hold.expired",
        "recipient.queued",
        "self_test.submitted",
        "self_test.ended",
        "alert.raised",
        "staff_mail.began",
        "staff_mail.ended",
        "package.destroyed",
        "upkeep.forgot",
        "UPDATE dsrd.look",
        "organisation.removal_began",
        "organisation.removed",
    ];
    judge(&cutting.finish().await, &expected, 30);
}
