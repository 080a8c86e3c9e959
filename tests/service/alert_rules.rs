//! Of what staff is told, beside the dates of a request: receipts, breaches, holds, recipients, sweeps, the platform, figures
//! . How and when, tests `alerts`.

use std::sync::Arc;

use chrono::{Days, TimeDelta};
use dsrd::alert::{self, Settings};
use dsrd::audit::forget::{self, HoldReason};
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    AlertRule, HoldCategory, HoldKind, IncidentCategory, IncidentCause, IncidentEnd, LiftReason, RequestId,
    RequestKind,
};
use dsrd::recipients::{self, ChannelKind};
use dsrd::{holds, intake, queue, triage};
use dsrd_simulator::ContactSpec;

use crate::alerts::{
    DEPUTY, EMAIL, OPERATOR, acknowledge, dpo, everything, open_rules, round, settings, watch,
};
use crate::recipients::recipient;
use crate::rig::count;
use crate::support::alerts::DPO;
use crate::support::oracle::CANARY;
use crate::support::service::TestService;
use crate::undelivered::informed;

#[tokio::test]
async fn r_8_california_confirms_receipt_in_time_or_staff_hears_of_it_until_somebody_looks() {
    // A Monday at noon in California: receipt is to be confirmed by Monday 16 March.
    let start = "2026-03-02T20:00:00Z".parse().unwrap();
    let mut service = TestService::builder().starting_at(start).build().await;
    {
        let controller = Arc::make_mut(&mut service.controller);
        controller.time_zone = chrono_tz::America::Los_Angeles;
        controller.regime = "US-CA".parse().unwrap();
        controller.calendar = Some("US-CA".parse().unwrap());
    }
    let mailed = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await.request;
    let refused = service.submit(RequestKind::Access, &[(Email, "canarino.due@posta.example")]).await.request;
    let without = service.submit(RequestKind::Access, &[(Phone, "+390212345678")]).await.request;
    service.mails.plan(Plan::Reply(550), 1);
    service.pump().await;
    let sent: Vec<(uuid::Uuid,)> = sqlx::query_as("SELECT request_id FROM dsrd.notice WHERE state = 'sent'")
        .fetch_all(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    let [(taken,)] = sent.try_into().unwrap();
    let [taken, failed] = if taken == mailed.0 { [mailed, refused] } else { [refused, mailed] };
    let (watch, mails) = watch(&service, Settings { digest: true, ..settings() });
    let rules = async |request: RequestId| {
        let rules: Vec<(String,)> = sqlx::query_as(
            "SELECT rule FROM dsrd.alert WHERE request_id = $1 AND rule LIKE 'acknowledgement%' ORDER BY raised_on",
        )
        .bind(request.0)
        .fetch_all(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
        rules.into_iter().map(|(rule,)| rule).collect::<Vec<_>>()
    };
    service.clock.advance(TimeDelta::days(8));
    round(&watch, &mails).await;
    assert!(rules(without).await.is_empty(), "four business days are left on the 10th");
    service.clock.advance(TimeDelta::days(1));
    let (_, told) = round(&watch, &mails).await;
    assert!(told.contains(&DPO.to_owned()) && told.contains(&DEPUTY.to_owned()), "{told:?}");
    for request in [failed, without] {
        assert_eq!(rules(request).await, ["acknowledgement_due"]);
    }
    let said = everything(&mails);
    assert!(said.contains("confirm receipt by 2026-03-16") && !said.contains(CANARY), "{said}");
    assert!(
        said.contains("Receipt is not confirmed\n") && said.contains("to be confirmed by 2026-03-16"),
        "{said}"
    );
    // Somebody wrote a letter to the one without an address.
    acknowledge(&service, without).await;
    service.clock.advance(TimeDelta::days(1));
    round(&watch, &mails).await;
    assert_eq!(rules(without).await, ["acknowledgement_due"]);
    assert_eq!(rules(failed).await, ["acknowledgement_due"; 2]);
    // The person is told otherwise of the one that was refused: nothing is late then.
    informed(&service, failed).await.unwrap();
    service.clock.advance(TimeDelta::days(5));
    round(&watch, &mails).await;
    assert_eq!(rules(failed).await, ["acknowledgement_due"; 2]);
    assert_eq!(rules(without).await, ["acknowledgement_due", "acknowledgement_late"]);
    assert!(rules(taken).await.is_empty(), "the mail server took it");
    service.finish().await;
}

#[tokio::test]
async fn r_84_a_platform_away_for_a_day_is_alerted_daily_and_moves_no_due_date() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    let (watch, mails) = watch(&service, settings());
    let organisation = service.controller.id.clone();
    let look = async |answers: bool| {
        let mut connection = service.store.connection().await.unwrap();
        let now = service.desk.clock.now();
        queue::note_platform(&mut connection, &organisation, answers, now).await.unwrap();
    };
    let both = vec![DPO.to_owned(), OPERATOR.to_owned()];

    look(false).await;
    assert_eq!(round(&watch, &mails).await.0, 0);
    service.clock.advance(TimeDelta::hours(25));
    look(false).await;
    assert_eq!(round(&watch, &mails).await, (1, both.clone()), "on the first day");
    assert_eq!(open_rules(&service).await, [AlertRule::PlatformDown]);
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await, (1, both.clone()), "and on the second");
    assert_eq!(service.case(receipt.request).await.due_on, receipt.due_on);

    let listed = {
        let mut connection = service.store.connection().await.unwrap();
        alert::list_alerts(&mut connection, &organisation, false, service.desk.clock.now()).await.unwrap()
    };
    let mut tx = service.store.begin("test").await.unwrap();
    let now = service.desk.clock.now();
    let done = alert::acknowledge(&mut tx, &organisation, listed[0].alert, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(done.alerts, 2, "with all its days");
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await.0, 0);

    look(true).await;
    service.clock.advance(TimeDelta::hours(1));
    look(false).await;
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await, (1, both), "another outage is told of anew");
    look(true).await;
    assert!(open_rules(&service).await.is_empty());
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_8_a_receipt_is_confirmed_at_once_with_both_dates_and_no_data() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    service.pump().await;
    let sent = service.mails.sent().remove(0);
    let text = sent.text.expose();
    for wanted in [
        receipt.reference.as_str(),
        "23 November 2026",
        "23 December 2026, at the latest",
        "What happens next",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    assert!(!text.contains(CANARY), "no data beyond the reference");
    // California gives ten business days (11 CCR 7021(a)); the mail server took it on the first.
    let told: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("SELECT sent_at FROM dsrd.notice WHERE kind = 'acknowledgement'")
            .fetch_one(&mut *service.store.connection().await.unwrap())
            .await
            .unwrap();
    let term = dsrd::domain::deadline::Term {
        regime: "US-CA".parse().unwrap(),
        calendars: &["US-CA".parse().unwrap()],
        zone: service.controller.time_zone,
        received_at: service.desk.clock.now(),
        kind: Some(RequestKind::Access),
        extension: dsrd::domain::deadline::Extension::None,
        pauses: &[],
    };
    let latest = term.deadline().unwrap().acknowledge_by.unwrap();
    assert!(told.date_naive() <= latest && told.date_naive() == service.desk.clock.now().date_naive());
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_36_an_open_breach_is_mailed_daily_until_somebody_looks_and_anew_in_its_last_day() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    service.work_to_the_end().await;
    let (watch, mails) = watch(&service, Settings { digest: true, digest_hour: 0, ..settings() });
    let turn = async || {
        let (alerts, told) = round(&watch, &mails).await;
        (alerts, told.contains(&DPO.to_owned()) && told.contains(&DEPUTY.to_owned()))
    };
    let mut tx = service.store.begin("test").await.unwrap();
    let breach =
        (IncidentCause::Misdirected, [IncidentCategory::Profile].as_slice(), service.desk.clock.now());
    triage::declare_incident(&mut tx, &service.desk, &service.controller, receipt.request, breach, dpo())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(turn().await, (1, true));
    assert_eq!(turn().await.0, 0, "once a day");
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(turn().await, (1, true), "and again on the next");
    assert_eq!(open_rules(&service).await, [AlertRule::IncidentOpen]);
    assert_eq!(acknowledge(&service, receipt.request).await, 2);
    service.clock.advance(TimeDelta::hours(26));
    assert_eq!(turn().await, (1, true), "22 hours are left");
    service.clock.advance(TimeDelta::hours(23));
    assert_eq!(turn().await, (1, true), "too late");
    assert_eq!(open_rules(&service).await, [AlertRule::IncidentOverdue]);
    let said = everything(&mails);
    for wanted in ["tell the authority of a breach", "should have been told", "2026-11-26 13:00"] {
        assert!(said.contains(wanted), "{wanted:?} is not in {said}");
    }
    let digest = mails.sent().into_iter().rfind(|mail| mail.subject.contains("open,")).unwrap();
    assert!(digest.text.expose().contains("Breaches of which the authority must be told"));
    assert!(!said.contains(CANARY));
    let mut tx = service.store.begin("test").await.unwrap();
    let ended = IncidentEnd::Reported;
    triage::end_incident(&mut tx, &service.desk, &service.controller, receipt.request, ended, dpo())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(open_rules(&service).await.is_empty());
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(turn().await.0, 0);
    service.finish().await;
}

#[tokio::test]
async fn r_65_the_review_of_a_hold_is_mailed_daily_until_somebody_looks_and_anew_at_the_next_date() {
    let service = TestService::start().await;
    let (watch, mails) = watch(&service, settings());
    let today = || service.controller.local_date(service.desk.clock.now());
    let days = |days| Some(today() + chrono::Days::new(days));
    let mut tx = service.store.begin("test").await.unwrap();
    let new = holds::NewHold {
        kind: HoldKind::Claim,
        category: HoldCategory::Everything,
        ground: None,
        statute: None,
        matter: Some("7-O-1".to_owned()),
        owner: "legal".to_owned(),
        about: holds::About::Contacts { created_from: None, created_before: None },
        contacts: Vec::new(),
        ends: holds::EndRule::WhenLifted,
        review_on: days(30),
        request: None,
    };
    let now = service.desk.clock.now();
    let hold = holds::place(&mut tx, &service.controller, new, dpo(), now).await.unwrap().reference;
    tx.commit().await.unwrap();
    let look = async |days: i64| {
        service.clock.advance(TimeDelta::days(days));
        holds::keep_in_order(&service.store, &service.controller, &*service.desk.clock, 14).await.unwrap();
        round(&watch, &mails).await
    };
    let dpo_only = vec![DPO.to_owned()];
    assert_eq!(look(1).await.0, 0, "far");
    assert_eq!(look(20).await, (1, dpo_only.clone()), "near");
    assert_eq!(look(1).await, (1, dpo_only.clone()), "every day");
    let said = everything(&mails);
    assert!(said.contains(&hold) && said.contains("answered for by legal"), "{said}");
    let mut tx = service.store.begin("test").await.unwrap();
    let now = service.desk.clock.now();
    let done = alert::acknowledge_hold(&mut tx, &service.controller.id, &hold, dpo(), now).await.unwrap();
    assert_eq!(done.alerts, 2);
    tx.commit().await.unwrap();
    assert_eq!(look(1).await.0, 0);
    // Reviewed: still needed. The next date is another one.
    let mut tx = service.store.begin("test").await.unwrap();
    let now = service.desk.clock.now();
    holds::review(&mut tx, &service.controller, &hold, days(60).unwrap(), dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(look(1).await.0, 0);
    assert_eq!(look(50).await, (1, dpo_only));
    assert_eq!(open_rules(&service).await, [AlertRule::HoldReview]);
    let mut tx = service.store.begin("test").await.unwrap();
    let now = service.desk.clock.now();
    let reason = LiftReason::ClaimSettled;
    holds::lift(&mut tx, &service.controller, &hold, reason, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    assert!(open_rules(&service).await.is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_74_the_review_of_a_hold_on_the_log_is_mailed_daily_until_somebody_looks_or_it_is_lifted() {
    let service = TestService::start().await;
    let (watch, mails) = watch(&service, settings());
    let today = service.controller.local_date(service.desk.clock.now());
    let set = async |days| {
        let mut tx = service.store.begin("test").await.unwrap();
        let (reason, review) = (HoldReason::SupervisoryAuthority, Some(today + Days::new(days)));
        let now = service.desk.clock.now();
        let id = forget::set_hold(&mut tx, reason, (review, None), &dpo(), now).await.unwrap();
        tx.commit().await.unwrap();
        id
    };
    let look = async |days: i64| {
        service.clock.advance(TimeDelta::days(days));
        round(&watch, &mails).await
    };
    let told = vec![DPO.to_owned(), OPERATOR.to_owned()];
    let hold = set(1).await;
    assert_eq!(look(0).await.0, 0, "tomorrow");
    assert_eq!(look(2).await, (1, told.clone()));
    assert_eq!(open_rules(&service).await, [AlertRule::LogHoldReview]);
    assert_eq!(look(1).await.0, 1, "every day");
    let said = everything(&mails);
    assert!(said.contains("dsrd audit hold lift") && said.contains("since 2026-11-24"), "{said}");
    let now = service.desk.clock.now();
    let mut tx = service.store.begin("test").await.unwrap();
    let listed = alert::list_alerts(&mut tx, &service.controller.id, false, now).await.unwrap();
    let done =
        alert::acknowledge(&mut tx, &service.controller.id, listed[0].alert, dpo(), now).await.unwrap();
    assert_eq!(done.alerts, 2);
    tx.commit().await.unwrap();
    assert_eq!(look(1).await.0, 0, "somebody looks");
    let other = set(5).await;
    assert_eq!(look(1).await, (1, told), "another one");
    for id in [hold, other] {
        let mut tx = service.store.begin("test").await.unwrap();
        assert!(forget::lift_hold(&mut tx, id, &dpo(), service.desk.clock.now()).await.unwrap());
        tx.commit().await.unwrap();
    }
    assert!(open_rules(&service).await.is_empty());
    assert_eq!(look(1).await.0, 0);
    service.finish().await;
}

#[tokio::test]
async fn r_42_a_recipient_that_does_not_answer_is_mailed_to_staff_until_somebody_looks_in_their_language() {
    let register = vec![recipient("hand", ChannelKind::Person)];
    let mut service = TestService::builder().recipients(register).build().await;
    Arc::make_mut(&mut service.controller).language = "de".to_owned();
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
    service.work_to_the_end().await;
    let (watch, mails) = watch(&service, settings());
    service.clock.advance(TimeDelta::days(10));
    assert_eq!(round(&watch, &mails).await.0, 0, "its day is not over");
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await, (1, vec![DPO.to_owned()]));
    assert_eq!(open_rules(&service).await, [AlertRule::RecipientOverdue]);
    let said = everything(&mails);
    assert!(said.contains("ein Empfänger hat nicht geantwortet"), "{said}");
    assert!(said.contains(receipt.reference.as_str()) && said.contains("Empfänger: 1"), "{said}");
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await.0, 1, "repeated");
    assert_eq!(acknowledge(&service, receipt.request).await, 2);
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await.0, 0);

    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, now) = (&service.controller.id, service.desk.clock.now());
    let today = service.controller.local_date(now);
    let tasks = recipients::list_tasks(&mut tx, organisation, None, true, today, 10).await.unwrap();
    recipients::confirm(&mut tx, organisation, tasks[0].task, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    assert!(open_rules(&service).await.is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_62_a_sweep_that_does_not_begin_and_contacts_left_past_their_term_are_told() {
    let service = TestService::start().await;
    let (watch, mails) = watch(&service, settings());
    let mut connection = service.store.connection().await.unwrap();
    let organisation = service.controller.id.as_str();
    sqlx::query("INSERT INTO dsrd.schedule (organisation_id, name, expression, next_run_at) VALUES ($1, 'retention', '30 2 * * *', $2)")
        .bind(organisation)
        .bind(service.desk.clock.now() + TimeDelta::hours(14))
        .execute(&mut *connection)
        .await
        .unwrap();
    service.clock.advance(TimeDelta::hours(37));
    assert_eq!(round(&watch, &mails).await.0, 0, "late, and still within patience");
    service.clock.advance(TimeDelta::days(2));
    assert_eq!(round(&watch, &mails).await, (1, vec![DPO.to_owned(), OPERATOR.to_owned()]));
    assert_eq!(open_rules(&service).await, [AlertRule::SweepMissed]);
    sqlx::query("UPDATE dsrd.schedule SET next_run_at = $1")
        .bind(service.desk.clock.now() + TimeDelta::hours(14))
        .execute(&mut *connection)
        .await
        .unwrap();

    // A sweep ended without getting through; the next one did.
    let sweep = async |state: &str, reason: Option<&str>, connection: &mut dsrd::store::PgConnection| {
        service.clock.advance(TimeDelta::hours(1));
        let now = service.desk.clock.now();
        sqlx::query(
            "INSERT INTO dsrd.sweep (organisation_id, sweep_id, started_at, created_before, state, reason, contacts, candidates,
                                     finished_at)
             VALUES ($1, $2, $3, $3, $4, $5, 100, 40, $3)",
        )
        .bind(organisation)
        .bind(uuid::Uuid::now_v7())
        .bind(now)
        .bind(state)
        .bind(reason)
        .execute(connection)
        .await
        .unwrap();
    };
    sweep("stopped", Some("over_most_percent"), &mut connection).await;
    assert_eq!(round(&watch, &mails).await.0, 1);
    let listed = dsrd::retention::list_sweeps(&mut connection, &service.controller.id, 10).await.unwrap();
    assert_eq!(listed[0].still_past, Some(40));
    sweep("finished", None, &mut connection).await;
    service.clock.advance(TimeDelta::hours(1));
    assert_eq!(round(&watch, &mails).await.0, 0);
    // An erasure of a sweep that waits for a person is one that is still there.
    drop(connection);
    let contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    service.simulator.faults().inject(dsrd_simulator::Fault::DeleteIgnored);
    service.submit_sweep(&contact, service.desk.clock.now()).await;
    service.work_to_the_end().await;
    assert!(round(&watch, &mails).await.0 >= 1);
    assert!(open_rules(&service).await.contains(&AlertRule::PastTerm));
    service.finish().await;
}

#[tokio::test]
async fn r_62_a_sweep_that_ended_before_it_had_listed_anybody_is_told_too() {
    let service = TestService::start().await;
    let (watch, mails) = watch(&service, settings());
    let mut connection = service.store.connection().await.unwrap();
    let sweep = async |state: &str, reason: Option<&str>, connection: &mut dsrd::store::PgConnection| {
        service.clock.advance(TimeDelta::hours(1));
        let now = service.desk.clock.now();
        let ended = (state != "listing").then_some(now);
        sqlx::query(
            "INSERT INTO dsrd.sweep (organisation_id, sweep_id, started_at, created_before, state, reason, finished_at)
             VALUES ($1, $2, $3, $3, $4, $5, $6)",
        )
        .bind(service.controller.id.as_str())
        .bind(uuid::Uuid::now_v7())
        .bind(now)
        .bind(state)
        .bind(reason)
        .bind(ended)
        .execute(connection)
        .await
        .unwrap();
    };
    sweep("stopped", Some("clock_differs"), &mut connection).await;
    assert_eq!(round(&watch, &mails).await, (1, vec![DPO.to_owned(), OPERATOR.to_owned()]));
    assert_eq!(open_rules(&service).await, [AlertRule::PastTerm]);
    // One that a restart interrupted is run anew at once: that is none.
    service.clock.advance(TimeDelta::days(1));
    sweep("failed", Some("interrupted"), &mut connection).await;
    sweep("listing", None, &mut connection).await;
    assert_eq!(round(&watch, &mails).await.0, 0);
    drop(connection);
    service.finish().await;
}

#[tokio::test]
async fn r_7_too_many_late_answers_are_told_until_they_are_few_again() {
    let service = TestService::start().await;
    let few = Settings { figures_least: 4, extended_percent: 20, late_percent: 10, ..settings() };
    let (watch, mails) = watch(&service, few);
    let submit = async |number: usize, days: i64| {
        let address = format!("canarino.zahl.{number}@posta.example");
        let mut submission = service.submission(RequestKind::Access, &[(Email, &address)]);
        submission.received_at -= TimeDelta::days(days);
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap()
    };
    let counted = async || {
        service.work_to_the_end().await;
        service.sealer.seal_everything().await.unwrap();
        // Counted once a day, of days that are over.
        service.clock.advance(TimeDelta::days(1));
        round(&watch, &mails).await;
        let mut rules = open_rules(&service).await;
        rules.retain(|rule| [AlertRule::OftenLate, AlertRule::OftenExtended].contains(rule));
        rules
    };
    for number in 0..3 {
        submit(number, 40).await;
    }
    assert!(counted().await.is_empty(), "three are too few to say anything");
    for number in 3..10 {
        submit(number, 2).await;
    }
    assert_eq!(counted().await, [AlertRule::OftenLate], "three of ten were answered after more than a month");
    let said = everything(&mails).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("answered late") && said.contains("dsrd stats"), "{said}");
    assert_eq!(counted().await, [AlertRule::OftenLate], "every day");
    for number in 10..40 {
        submit(number, 2).await;
    }
    assert!(counted().await.is_empty(), "three of forty");
    assert_eq!(
        count(&service, "SELECT count(*) FROM dsrd.figures_watch WHERE late_since IS NOT NULL").await,
        0
    );
    service.finish().await;
}

#[tokio::test]
async fn r_7_extensions_are_counted_and_a_share_that_is_switched_off_is_not_told() {
    let service = TestService::start().await;
    let mut requests = Vec::new();
    for number in 0..4 {
        let address = format!("canarino.frist.{number}@posta.example");
        requests.push(service.submit(RequestKind::Objection, &[(Email, &address)]).await.request);
    }
    let facts = triage::Facts::read("Twelve systems are concerned.").unwrap();
    let decision = triage::Decision::Extension(dsrd::domain::ExtensionReason::Complexity);
    let decision = (decision, Some(facts));
    let mut tx = service.store.begin("test").await.unwrap();
    triage::decide(&mut tx, &service.desk, &service.controller, requests[0], decision, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.pump().await;
    service.sealer.seal_everything().await.unwrap();
    // One of four is not more than a quarter; it is more than a fifth.
    for (extended_percent, is_told) in [(100, false), (25, false), (20, true), (100, false)] {
        service.clock.advance(TimeDelta::days(1));
        let settings = Settings { figures_least: 4, extended_percent, ..settings() };
        let (watch, mails) = watch(&service, settings);
        round(&watch, &mails).await;
        // What was told on a day before is not told of today.
        let today = "SELECT count(*) FROM dsrd.alert WHERE rule = 'often_extended'
                     AND raised_on = (SELECT counted_on FROM dsrd.figures_watch)";
        assert_eq!(count(&service, today).await, i64::from(is_told), "{extended_percent}");
    }
    service.finish().await;
}
