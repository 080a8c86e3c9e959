//! A restriction and its end (N-13), placed by a person or by an objection that is weighed, and who else is told.

use std::sync::Arc;

use chrono::{Days, NaiveDate, TimeDelta};
use dsrd::delivery::{MemoryTransport, Plan};
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    AnsweredOutcome, Clock as _, HoldCategory, HoldKind, KillSwitch, LiftReason, Outcome, RefusalGround,
    RequestId, RequestKind,
};
use dsrd::execution;
use dsrd::holds::{self, About, EndRule, HoldError, NewHold};
use dsrd::intake;
use dsrd::recipients::{self, TaskAction};
use dsrd::triage::{self, TriageError};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::notices::{EMAIL, PHONE, answer, dpo, last_mail, person, register, tasks, today, words};
use crate::recipients::{advance, courier};
use crate::support::service::TestService;
use crate::upkeep::forget;

pub(crate) async fn restrict(service: &TestService, request: RequestId) -> Result<String, HoldError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let references = holds::references_of(&mut tx, &service.controller.id, request).await?;
    let new = NewHold {
        kind: HoldKind::Restriction,
        category: HoldCategory::Everything,
        ground: None,
        statute: None,
        matter: None,
        owner: "dpo".to_owned(),
        about: About::Person(references),
        contacts: Vec::new(),
        ends: EndRule::WhenLifted,
        review_on: Some(today(service) + Days::new(90)),
        request: Some(request),
    };
    let placed = holds::place(&mut tx, &service.controller, new, dpo(), service.clock.now()).await?;
    tx.commit().await.unwrap();
    Ok(placed.reference)
}

pub(crate) async fn announce(service: &TestService, hold: &str, on: NaiveDate) -> Result<(), TriageError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let why = words("We checked the data: it is correct.");
    let end = (hold, on);
    triage::announce_restriction_end(&mut tx, &service.desk, &service.controller, end, why, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

pub(crate) async fn lift(service: &TestService, hold: &str, reason: LiftReason) -> Result<(), HoldError> {
    let register = Arc::clone(&service.executor.sites[&service.controller.id].recipients);
    let mut tx = service.store.begin("test").await.unwrap();
    let site = (&*service.controller, &*register);
    execution::lift_hold(&mut tx, &service.desk, site, hold, reason, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn r_44_a_restriction_is_in_place_before_it_is_told_and_ends_after_the_person_was_told() {
    let service = TestService::builder().recipients(register()).build().await;
    let contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Restriction, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    // Nothing is said to be restricted that is not.
    let early = answer(&service, request, AnsweredOutcome::Fulfilled, "Restricted.").await;
    assert!(matches!(early, Err(TriageError::NotRestricted(_))), "{early:?}");
    let hold = restrict(&service, request).await.unwrap();
    assert!(matches!(restrict(&service, request).await, Err(HoldError::RestrictedAlready)));
    answer(&service, request, AnsweredOutcome::Fulfilled, "Your address is kept and not used.")
        .await
        .unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    let mail = last_mail(&service);
    for wanted in
        ["is restricted", "Your address is kept and not used.", "We tell crm s.r.l.", "Before we lift"]
    {
        assert!(mail.contains(wanted), "{wanted:?} is not in {mail}");
    }
    // Art. 19: the recipient is told of the restriction, by the id of the contact.
    let [told] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!((told.action, told.channel.as_str(), told.object_held), (TaskAction::Restrict, "mail", true));

    // Art. 18(3): it ends after the person was told, and on the day that they were told.
    let lifted = async || lift(&service, &hold, LiftReason::RestrictionEnded).await;
    assert!(matches!(lifted().await, Err(HoldError::NotTold)));
    let now = announce(&service, &hold, today(&service)).await;
    assert!(matches!(now, Err(TriageError::Hold(HoldError::EndTooSoon))), "{now:?}");
    let day = today(&service) + Days::new(14);
    service.mails.plan(Plan::NoConnection, 1);
    announce(&service, &hold, day).await.unwrap();
    service.pump().await;
    assert!(matches!(lifted().await, Err(HoldError::NotTold)), "the mail server did not take it");
    assert!(
        matches!(lift(&service, &hold, LiftReason::Mistake).await, Err(HoldError::NotTold)),
        "no way around it once it is announced"
    );
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let forced = sqlx::query(
        "UPDATE dsrd.hold SET ended_at = now(), ended_by = 'person:x', end_reason = 'restriction_ended'",
    )
    .execute(&mut owner)
    .await;
    assert!(forced.unwrap_err().to_string().contains("only after the person was told"));
    service.advance(std::time::Duration::from_hours(1)).await;
    service.pump().await;
    let mail = last_mail(&service);
    for wanted in
        ["is going to end", "7 December 2026", "We checked the data", "Until that day you can object"]
    {
        assert!(mail.contains(wanted), "{wanted:?} is not in {mail}");
    }
    assert!(matches!(lifted().await, Err(HoldError::BeforeItsDay(on)) if on == day));
    service.clock.advance(TimeDelta::days(14));
    lifted().await.unwrap();
    let tasks = tasks(&service, request).await;
    let release = tasks.iter().find(|task| task.action == TaskAction::Release).expect("a task");
    assert_eq!((release.recipient.as_str(), release.object_held), ("crm", true));
    assert!(service.platform.truth(&contact).unwrap().exists);
    let log = service.audit().await;
    let actions: Vec<&str> =
        log.iter().map(|entry| entry.action.as_str()).filter(|action| action.starts_with("hold.")).collect();
    assert_eq!(actions, ["hold.placed", "hold.end_announced", "hold.lifted"]);
    service.finish().await;
}

#[tokio::test]
async fn r_44_the_end_of_a_restriction_is_told_however_long_ago_it_was_answered() {
    let service = TestService::builder().recipients(register()).build().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Restriction, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let hold = restrict(&service, request).await.unwrap();
    answer(&service, request, AnsweredOutcome::Fulfilled, "Restricted.").await.unwrap();
    service.work_to_the_end().await;
    assert!(last_mail(&service).contains("until all of this is settled"), "{}", last_mail(&service));
    let mails = MemoryTransport::new();
    assert_eq!(courier(&service, &mails, KillSwitch::default()).pump_once().await.unwrap(), 1);
    crate::support::oracle::check(&service).await;
    // After the terms of identifiers, of contact ids and of evidence.
    for days in [31, 40, 37 * 31] {
        service.clock.advance(TimeDelta::days(days));
        forget(&service).await;
    }
    let day = today(&service) + Days::new(14);
    announce(&service, &hold, day).await.unwrap();
    service.pump().await;
    assert!(last_mail(&service).contains("is going to end"));
    service.clock.advance(TimeDelta::days(14));
    lift(&service, &hold, LiftReason::RestrictionEnded).await.unwrap();
    let tasks = tasks(&service, request).await;
    let release = tasks.iter().find(|task| task.action == TaskAction::Release).expect("a task");
    assert!(release.object_held, "the recipient can be told whose data it may use again");
    let forgotten = forget(&service).await;
    assert_eq!((forgotten.identifiers_of, forgotten.contacts_of), (1, 1), "nothing is needed any more");
}

#[tokio::test]
async fn r_44_the_end_of_a_restriction_can_be_told_by_other_means_and_a_mistake_is_mended_at_once() {
    let service = TestService::start().await;
    let request = service.submit(RequestKind::Restriction, &[(Phone, PHONE)]).await.request;
    service.work_to_the_end().await;
    let hold = restrict(&service, request).await.unwrap();
    lift(&service, &hold, LiftReason::Mistake).await.unwrap();
    let hold = restrict(&service, request).await.unwrap();
    let day = today(&service) + Days::new(7);
    assert!(matches!(announce(&service, &hold, day).await, Err(TriageError::NoAddress)));
    let mut tx = service.store.begin("test").await.unwrap();
    let end = (hold.as_str(), day);
    triage::restriction_end_told_otherwise(&mut tx, &service.desk, &service.controller, end, dpo())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    service.clock.advance(TimeDelta::days(7));
    lift(&service, &hold, LiftReason::RestrictionEnded).await.unwrap();
    assert!(tasks(&service, request).await.is_empty(), "nobody was told of it");
    service.finish().await;
}

#[tokio::test]
async fn r_57_an_objection_restricts_until_it_is_weighed_and_the_end_is_told() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    let other = service.submit(RequestKind::Portability, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let look = async || {
        holds::restrict_objections(&service.store, &service.controller, &*service.desk.clock).await.unwrap()
    };
    assert_eq!((look().await, look().await), (1, 0), "at once, and once");
    let restriction = async |request| {
        let mut connection = service.store.connection().await.unwrap();
        holds::restriction_of(&mut connection, &service.controller.id, request).await.unwrap()
    };
    let hold = restriction(request).await.expect("a restriction");
    assert_eq!(restriction(other).await, None);
    // Weighed: the grounds of the controller outweigh. The restriction ends after the person was told, and not by itself.
    let mut tx = service.store.begin("test").await.unwrap();
    let facts = Some(words("We need the visits to answer for the safety of the building."));
    let ground = RefusalGround::CompellingGrounds;
    triage::refuse(&mut tx, &service.desk, &service.controller.id, request, ground, facts, dpo())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Refused));
    assert!(matches!(lift(&service, &hold, LiftReason::RestrictionEnded).await, Err(HoldError::NotTold)));
    let day = today(&service) + Days::new(14);
    announce(&service, &hold, day).await.unwrap();
    service.pump().await;
    service.clock.advance(TimeDelta::days(14));
    lift(&service, &hold, LiftReason::RestrictionEnded).await.unwrap();
    assert_eq!(look().await, 0, "what was weighed is not restricted again");
    service.finish().await;
}

#[tokio::test]
async fn r_57_recipients_are_told_of_the_restriction_that_stands_meanwhile_and_of_its_end() {
    let service = TestService::builder().recipients(register()).build().await;
    let contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let site = &service.executor.sites[&service.controller.id];
    let tell = async || execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap();
    assert_eq!(tell().await, 0, "nothing is restricted yet");
    holds::restrict_objections(&service.store, &service.controller, &*service.desk.clock).await.unwrap();
    // While the platform is away nobody is told, and nothing is forgotten.
    let away = service.simulator.faults().inject(Fault::Status(503));
    assert_eq!(tell().await, 0);
    assert!(tasks(&service, request).await.is_empty());
    service.simulator.faults().remove(away);
    // Two daemons look at once: one tells.
    let both = tokio::join!(tell(), tell());
    assert_eq!(both.0 + both.1, 1);
    assert_eq!(tell().await, 0, "once");
    let [task] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!((task.recipient.as_str(), task.action), ("crm", TaskAction::Restrict));
    assert_eq!(task.channel, "mail");
    let mut tx = service.store.begin("test").await.unwrap();
    let (keys, organisation) = (&service.desk.keys, &service.controller.id);
    let object = recipients::reveal(&mut tx, keys, organisation, task.task, dpo(), service.clock.now()).await;
    assert_eq!(object.unwrap().expect("the contact").expose().as_str(), contact);
    drop(tx);

    let mut connection = service.store.connection().await.unwrap();
    let hold = holds::restriction_of(&mut connection, organisation, request).await.unwrap().unwrap();
    drop(connection);
    announce(&service, &hold, today(&service) + Days::new(14)).await.unwrap();
    service.pump().await;
    service.clock.advance(TimeDelta::days(14));
    lift(&service, &hold, LiftReason::RestrictionEnded).await.unwrap();
    let actions: Vec<TaskAction> = tasks(&service, request).await.iter().map(|each| each.action).collect();
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert!(actions.contains(&TaskAction::Release), "{actions:?}");
    assert_eq!(tell().await, 0, "what has ended is not told as standing");
    service.finish().await;
}

#[tokio::test]
async fn r_57_where_nobody_knows_which_contact_is_meant_a_person_tells_the_recipients() {
    let service = TestService::builder().recipients(register()).build().await;
    for name in ["Canarino", "Cardellino"] {
        let _one = service.platform.add_contact(ContactSpec::new().name(name, "Prova").phone(PHONE));
    }
    let several = service.submit(RequestKind::Objection, &[(Phone, PHONE)]).await.request;
    let erasure = service.submit(RequestKind::Portability, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let hold = restrict(&service, several).await.unwrap();
    let of_another_kind = restrict(&service, erasure).await.unwrap();
    let site = &service.executor.sites[&service.controller.id];
    assert_eq!(execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap(), 1);
    let [task] = tasks(&service, several).await.try_into().unwrap();
    assert_eq!((task.channel.as_str(), task.object_held), ("person", false));
    assert!(tasks(&service, erasure).await.is_empty(), "{of_another_kind} is told when it is answered");
    // Nor does anybody know where the platform refuses the search for good.
    let refused = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    restrict(&service, refused).await.unwrap();
    let bad_request = service.simulator.faults().inject(Fault::Status(400).on(Endpoint::ListContacts));
    assert_eq!(execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap(), 1);
    service.simulator.faults().remove(bad_request);
    let [task] = tasks(&service, refused).await.try_into().unwrap();
    assert_eq!((task.channel.as_str(), task.object_held), ("person", false));
    // A restriction that was a mistake is taken back, and that is told, too.
    lift(&service, &hold, LiftReason::Mistake).await.unwrap();
    assert_eq!(tasks(&service, several).await.len(), 2);
    service.finish().await;
}

#[tokio::test]
async fn r_57_that_a_restriction_ended_is_not_told_before_that_it_began() {
    let service = TestService::builder().recipients(register()).build().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let site = &service.executor.sites[&service.controller.id];
    holds::restrict_objections(&service.store, &service.controller, &*service.desk.clock).await.unwrap();
    assert_eq!(execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap(), 1);
    let mails = MemoryTransport::new();
    let courier = courier(&service, &mails, KillSwitch::default());
    // The recipient's mail server is away, and the restriction was a mistake that is taken back meanwhile.
    mails.plan(Plan::NoConnection, 1);
    assert_eq!(courier.pump_once().await.unwrap(), 1);
    let mut connection = service.store.connection().await.unwrap();
    let hold =
        holds::restriction_of(&mut connection, &service.controller.id, request).await.unwrap().unwrap();
    drop(connection);
    lift(&service, &hold, LiftReason::Mistake).await.unwrap();
    assert_eq!(courier.pump_once().await.unwrap(), 0, "the first is still to be told");
    advance(&service, std::time::Duration::from_mins(6)).await;
    assert_eq!(courier.pump_once().await.unwrap(), 2);
    let told = tasks(&service, request).await;
    let of = |action| told.iter().find(|task| task.action == action).unwrap().task.to_string();
    let sent = mails.sent();
    assert_eq!(sent.len(), 2);
    let (restrict, release) = (of(TaskAction::Restrict), of(TaskAction::Release));
    assert!(sent[0].text.expose().contains(&restrict), "{}", sent[0].text.expose());
    assert!(sent[1].text.expose().contains(&release), "{}", sent[1].text.expose());
    service.finish().await;
}

/// What the recipients of a request were told, or are to be told, in the order in which that was written.
async fn told(service: &TestService, request: RequestId) -> Vec<(TaskAction, String)> {
    let mut told = tasks(service, request).await;
    told.sort_by_key(|task| task.task);
    told.into_iter().map(|task| (task.action, task.task.to_string())).collect()
}

#[tokio::test]
async fn r_57_a_restriction_that_is_placed_again_is_told_again_and_so_is_its_end() {
    let service = TestService::builder().recipients(register()).build().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let site = &service.executor.sites[&service.controller.id];
    let tell = async || execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap();
    let mails = MemoryTransport::new();
    let courier = courier(&service, &mails, KillSwitch::default());
    let first = restrict(&service, request).await.unwrap();
    assert_eq!((tell().await, courier.pump_once().await.unwrap()), (1, 1));
    lift(&service, &first, LiftReason::Mistake).await.unwrap();
    // The recipient's mail server is away, and the restriction is placed again meanwhile.
    mails.plan(Plan::NoConnection, 1);
    assert_eq!(courier.pump_once().await.unwrap(), 1);
    let second = restrict(&service, request).await.unwrap();
    assert_eq!((tell().await, tell().await), (1, 0), "once");
    assert_eq!(courier.pump_once().await.unwrap(), 0, "the end of the first is still to be told");
    advance(&service, std::time::Duration::from_mins(6)).await;
    assert_eq!(courier.pump_once().await.unwrap(), 2);
    lift(&service, &second, LiftReason::Mistake).await.unwrap();
    assert_eq!(courier.pump_once().await.unwrap(), 1);
    let told = told(&service, request).await;
    let actions: Vec<TaskAction> = told.iter().map(|(action, _)| *action).collect();
    let (restrict, release) = (TaskAction::Restrict, TaskAction::Release);
    assert_eq!(actions, [restrict, release, restrict, release]);
    let sent = mails.sent();
    assert_eq!(sent.len(), 4);
    for ((_, task), mail) in told.iter().zip(sent) {
        assert!(mail.text.expose().contains(task), "{}", mail.text.expose());
    }
    service.finish().await;
}

#[tokio::test]
async fn r_44_a_restriction_that_was_answered_and_is_placed_again_is_told_again() {
    let service = TestService::builder().recipients(register()).build().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Restriction, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    let hold = restrict(&service, request).await.unwrap();
    answer(&service, request, AnsweredOutcome::Fulfilled, "Restricted.").await.unwrap();
    service.work_to_the_end().await;
    let site = &service.executor.sites[&service.controller.id];
    let tell = async || execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap();
    assert_eq!(tell().await, 0, "the answer told of it");
    service.clock.advance(TimeDelta::hours(1));
    lift(&service, &hold, LiftReason::Mistake).await.unwrap();
    restrict(&service, request).await.unwrap();
    assert_eq!((tell().await, tell().await), (1, 0));
    let actions: Vec<TaskAction> = told(&service, request).await.iter().map(|(action, _)| *action).collect();
    assert_eq!(actions, [TaskAction::Restrict, TaskAction::Release, TaskAction::Restrict]);
    service.finish().await;
}

#[tokio::test]
async fn r_57_of_an_objection_that_is_taken_back_nobody_new_is_told_and_its_restriction_ends_with_a_notice() {
    for told_before in [false, true] {
        let service = TestService::builder().recipients(register()).build().await;
        let _contact = service.platform.add_contact(person());
        let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
        service.work_to_the_end().await;
        let site = &service.executor.sites[&service.controller.id];
        let tell = async || execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap();
        let hold = restrict(&service, request).await.unwrap();
        assert_eq!(if told_before { tell().await } else { 0 }, u64::from(told_before));
        let mut tx = service.store.begin("test").await.unwrap();
        intake::withdraw(&mut tx, &service.desk, &service.controller, request, dpo()).await.unwrap();
        tx.commit().await.unwrap();
        service.work_to_the_end().await;
        let mail = last_mail(&service);
        for wanted in
            ["has been withdrawn", "The use of your data stays restricted", "until all of this is settled"]
        {
            assert!(mail.contains(wanted), "{wanted:?} is not in {mail}");
        }
        assert_eq!(tell().await, 0, "nothing begins because of what was taken back");
        let actions =
            async || told(&service, request).await.into_iter().map(|(action, _)| action).collect::<Vec<_>>();
        let before = if told_before { vec![TaskAction::Restrict] } else { Vec::new() };
        assert_eq!(actions().await, before);
        announce(&service, &hold, today(&service) + Days::new(14)).await.unwrap();
        service.pump().await;
        assert!(last_mail(&service).contains("is going to end"));
        service.clock.advance(TimeDelta::days(14));
        lift(&service, &hold, LiftReason::RestrictionEnded).await.unwrap();
        let after = if told_before { vec![TaskAction::Restrict, TaskAction::Release] } else { Vec::new() };
        assert_eq!(actions().await, after);
        service.finish().await;
    }
}

#[tokio::test]
async fn r_42_r_57_whoever_was_told_to_erase_is_not_asked_to_use_the_data_again() {
    // With a restriction that knows its contact, and so ends with the data, and with one that does not: it ends soon, or when the case
    // of the erasure names no contact any more.
    for (knows, late) in [(true, false), (false, false), (false, true)] {
        let service = TestService::builder().recipients(register()).build().await;
        let contact = service.platform.add_contact(person());
        let request = service.submit(RequestKind::Objection, &[(Email, EMAIL)]).await.request;
        service.work_to_the_end().await;
        let hold = restrict(&service, request).await.unwrap();
        let site = &service.executor.sites[&service.controller.id];
        if knows {
            let found = execution::find_held_contacts(&service.store, &service.desk, site).await.unwrap();
            assert_eq!(found, 1);
        }
        assert_eq!(execution::tell_of_objections(&service.store, &service.desk, site).await.unwrap(), 1);
        // It is followed: the person is erased.
        let erasure = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await.request;
        service.work_to_the_end().await;
        assert_eq!(service.case(erasure).await.outcome, Some(Outcome::Fulfilled));
        assert!(!service.platform.truth(&contact).unwrap().exists);
        let erase = told(&service, erasure).await;
        assert_eq!(erase.iter().map(|(action, _)| *action).collect::<Vec<_>>(), [TaskAction::Erase]);
        let log = service.audit().await;
        let ended =
            log.iter().find(|entry| entry.action == "hold.lifted").map(|entry| &entry.detail["reason"]);
        if knows {
            assert_eq!(ended, Some(&"erased".into()));
            let lifted = lift(&service, &hold, LiftReason::Mistake).await;
            assert!(matches!(lifted, Err(HoldError::Ended)), "{lifted:?}");
        } else {
            assert_eq!(ended, None);
            if late {
                crate::support::oracle::check(&service).await;
                service.clock.advance(TimeDelta::days(66));
                assert_eq!(forget(&service).await.contacts_of, 1);
                assert_eq!(service.case(erasure).await.contact, None);
            }
            lift(&service, &hold, LiftReason::Mistake).await.unwrap();
        }
        let heard: Vec<TaskAction> =
            told(&service, request).await.iter().map(|(action, _)| *action).collect();
        assert_eq!(heard, [TaskAction::Restrict]);
        if !late {
            service.finish().await;
        }
    }
}

#[tokio::test]
async fn r_44_a_restriction_ends_untold_in_no_other_way_than_with_the_data() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let request = service.submit(RequestKind::Restriction, &[(Email, EMAIL)]).await.request;
    service.work_to_the_end().await;
    restrict(&service, request).await.unwrap();
    let erasure = service.submit(RequestKind::Erasure, &[(Phone, PHONE)]).await.request;
    service.work_to_the_end().await;
    assert!(service.case(erasure).await.verified_at.is_some());
    // An erasure of somebody was proven, and not now.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let forced = sqlx::query(
        "UPDATE dsrd.hold SET ended_at = now(), ended_by = 'process:worker', end_reason = 'erased'",
    )
    .execute(&mut owner)
    .await;
    assert!(forced.unwrap_err().to_string().contains("only after the person was told"));
    service.finish().await;
}
