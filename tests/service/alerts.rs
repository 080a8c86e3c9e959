//! N-19: staff is told in time, once a day and once over all daemons, until somebody looks. Of what
//! else than dates, tests `alert_rules`.

use chrono::TimeDelta;
use dsrd::alert::{self, Settings, Turn, Watch};
use dsrd::audit::Actor;
use dsrd::delivery::MemoryTransport;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{AlertRule, Clock as _, KillSwitch, RequestId, RequestKind, RequestState};
use dsrd_simulator::ContactSpec;
use sqlx::Connection as _;

use crate::deadlines::{extend, move_to, received, under};
use crate::intake::{producer, take};
use crate::rig::count;
use crate::support::alerts::{self, DPO, to_dpo, ward};
use crate::support::oracle::CANARY;
use crate::support::service::TestService;

pub(crate) const EMAIL: &str = "canarino.sveglia@posta.example";
pub(crate) const DEPUTY: &str = "deputy@prova.example";
pub(crate) const OPERATOR: &str = "operator@prova.example";

pub(crate) fn settings() -> Settings {
    Settings { deputy: Some(DEPUTY.to_owned()), operator: Some(OPERATOR.to_owned()), ..to_dpo() }
}

/// The watch of one daemon, with its mails in memory.
pub(crate) fn watch(service: &TestService, settings: Settings) -> (Watch, MemoryTransport) {
    let mails = MemoryTransport::new();
    (alerts::watch(service, ward(service, settings), &mails), mails)
}

/// One round as the daemon does it: how many alerts, and who got a mail.
pub(crate) async fn round(watch: &Watch, mails: &MemoryTransport) -> (usize, Vec<String>) {
    let before = mails.sent().len();
    let turn = watch.turn().await.unwrap();
    watch.send_due().await.unwrap();
    let told = mails.sent().into_iter().skip(before).map(|mail| mail.to.expose().clone()).collect();
    (turn.alerts, told)
}

pub(crate) fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

pub(crate) async fn acknowledge(service: &TestService, request: RequestId) -> u64 {
    let mut tx = service.store.begin("test").await.unwrap();
    let now = service.desk.clock.now();
    let done =
        alert::acknowledge_request(&mut tx, &service.controller.id, request, dpo(), now).await.unwrap();
    tx.commit().await.unwrap();
    done.alerts
}

pub(crate) async fn open_rules(service: &TestService) -> Vec<AlertRule> {
    let mut connection = service.store.connection().await.unwrap();
    let listed = alert::list_alerts(&mut connection, &service.controller.id, false, service.desk.clock.now())
        .await
        .unwrap();
    listed.into_iter().map(|each| each.rule).collect()
}

/// Every line of what staff was written, to look for what must not be there.
pub(crate) fn everything(mails: &MemoryTransport) -> String {
    let texts = mails.sent();
    let texts: Vec<String> =
        texts.iter().map(|mail| format!("{}\n{}\n", mail.subject, mail.text.expose())).collect();
    texts.concat()
}

#[tokio::test]
async fn r_1_what_could_not_become_a_request_is_told_at_once_with_its_day_and_of_nobody_to_the_operator() {
    let service = TestService::start().await;
    let (watch, mails) = watch(&service, settings());
    let mut producer = producer(&service).await;
    let mut insert = async |organisation: &str, key: &str, received_at: &str| {
        let statement = format!(
            "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
             VALUES ('{organisation}', '{key}', 'access', {received_at}, 'carrier pigeon', '{EMAIL}')"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut producer).await.unwrap();
    };
    // Received on 20 November; the other does not say when.
    insert("main", "one", "'2026-11-20T09:00:00Z'").await;
    insert("main", "two", "NULL").await;
    assert_eq!(take(&service).await.parked, 2);
    assert_eq!(round(&watch, &mails).await, (1, vec![DPO.to_owned(), OPERATOR.to_owned()]));
    assert_eq!(open_rules(&service).await, [AlertRule::RowsParked]);
    let said = everything(&mails).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("2 row(s), the first to be answered by 2026-12-20 at the latest"), "{said}");
    assert!(said.contains("dsrd request parked list") && !said.contains(CANARY), "{said}");
    assert_eq!(round(&watch, &mails).await, (0, vec![]), "once a day");

    // What belongs to no organisation has nobody but the operator.
    insert("elsewhere", "three", "'2026-11-20T09:00:00Z'").await;
    assert_eq!(take(&service).await.parked, 1);
    assert_eq!(round(&watch, &mails).await, (1, vec![OPERATOR.to_owned()]));
    assert_eq!(open_rules(&service).await, [AlertRule::RowsParked, AlertRule::RowsOfNobody]);
    assert!(everything(&mails).contains("not configured"), "{}", everything(&mails));

    // Nothing is left to look at when the rows are gone.
    let mut owner = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query("DELETE FROM dsrd.intake_parked").execute(&mut owner).await.unwrap();
    assert!(open_rules(&service).await.is_empty());
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await, (0, vec![]));
}

#[tokio::test]
async fn r_5_a_request_is_alerted_at_its_target_then_ten_five_and_two_days_before_and_after_its_due_date() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    let (watch, mails) = watch(&service, settings());
    assert_eq!(round(&watch, &mails).await, (0, vec![]), "nothing is late on the first day");

    // Received on 23 November, due on 23 December, target ten days.
    for (days, alerts, told) in [
        (11, 1, vec![DPO]),
        (0, 0, vec![]),
        (1, 1, vec![DPO]),
        (8, 1, vec![DPO]),
        (5, 1, vec![DPO]),
        (3, 1, vec![DPO, DEPUTY]),
        (3, 1, vec![DPO, DEPUTY]),
    ] {
        service.clock.advance(TimeDelta::days(days));
        assert_eq!(
            round(&watch, &mails).await,
            (alerts, told.iter().map(ToString::to_string).collect()),
            "{days}"
        );
    }
    assert_eq!(open_rules(&service).await, [AlertRule::Overdue]);
    assert_eq!(service.case(receipt.request).await.due_on, receipt.due_on, "alerts move no date");

    let said = everything(&mails);
    assert!(said.contains(receipt.reference.as_str()));
    assert!(!said.contains(CANARY), "no person is named: {said}");

    // Acknowledged: no repetition. The answer ends what is listed.
    assert!(acknowledge(&service, receipt.request).await >= 1);
    assert_eq!(acknowledge(&service, receipt.request).await, 0);
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await, (0, vec![]));
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::Closed);
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await, (0, vec![]));
    assert!(open_rules(&service).await.is_empty());
    let story = service.story(receipt.request).await;
    let raised = story.iter().filter(|each| *each == "alert.raised").count();
    assert_eq!(raised, 6, "{story:?}");
    assert!(story.contains(&"alert.acknowledged".to_owned()));
    service.finish().await;
}

#[tokio::test]
async fn who_acknowledged_ten_days_still_hears_of_five() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    let (watch, mails) = watch(&service, settings());
    service.clock.advance(TimeDelta::days(20));
    assert_eq!(round(&watch, &mails).await.0, 1);
    assert_eq!(acknowledge(&service, receipt.request).await, 1);
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await.0, 0);
    service.clock.advance(TimeDelta::days(4));
    assert_eq!(round(&watch, &mails).await.0, 1, "five days are another step");
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_5_r_6_who_acknowledged_a_date_hears_of_it_again_where_it_was_moved() {
    let service = under("EU", "IT", chrono_tz::Europe::Rome, "2026-11-23T11:00:00Z").await;
    let request = received(&service, "2026-11-23T09:00:00Z").await;
    let (watch, mails) = watch(&service, settings());
    move_to(&service, "2026-12-13T11:00:00Z");
    assert_eq!(round(&watch, &mails).await.0, 1);
    assert_eq!(acknowledge(&service, request).await, 1);
    extend(&service, request).await.unwrap();
    service.pump().await;
    assert_eq!(service.case(request).await.due_on.to_string(), "2027-02-23");
    move_to(&service, "2027-02-13T11:00:00Z");
    assert_eq!(round(&watch, &mails).await, (1, vec![DPO.to_owned()]), "ten days before the new date");
    assert_eq!(open_rules(&service).await, [AlertRule::DueSoon]);
    assert_eq!(acknowledge(&service, request).await, 1);
    move_to(&service, "2027-02-14T11:00:00Z");
    assert_eq!(round(&watch, &mails).await.0, 0, "and not again");
}

#[tokio::test]
async fn f_48_what_a_clock_that_was_ahead_raised_hides_and_settles_nothing() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    let (watch, mails) = watch(&service, settings());
    let year = TimeDelta::days(400);
    service.clock.advance(year);
    assert!(round(&watch, &mails).await.0 >= 1);
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, now) = (&service.controller.id, service.clock.now());
    for listed in alert::list_alerts(&mut tx, organisation, false, now).await.unwrap() {
        alert::acknowledge(&mut tx, organisation, listed.alert, dpo(), now).await.unwrap();
    }
    tx.commit().await.unwrap();
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await.0, 0, "acknowledged then");
    let counted = async || {
        let statement = "SELECT counted_on FROM dsrd.figures_watch";
        let mut connection = service.store.connection().await.unwrap();
        sqlx::query_scalar::<_, chrono::NaiveDate>(statement).fetch_one(&mut *connection).await.unwrap()
    };
    assert_eq!(counted().await, service.controller.local_date(service.clock.now()));

    // The clock is right again: a week before the due date, and then after it.
    service.clock.advance(TimeDelta::days(22) - year);
    assert_eq!(round(&watch, &mails).await.0, 1);
    assert_eq!(open_rules(&service).await, [AlertRule::DueSoon]);
    assert_eq!(counted().await, service.controller.local_date(service.clock.now()));
    service.clock.advance(TimeDelta::days(9));
    assert_eq!(round(&watch, &mails).await.0, 1);
    assert_eq!(open_rules(&service).await, [AlertRule::Overdue]);
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn several_daemons_raise_each_alert_and_each_digest_once() {
    let service = TestService::start().await;
    for number in 0..3 {
        let email = format!("canarino.{number}@posta.example");
        let _contact = service.platform.add_contact(ContactSpec::new().email(&email));
        service.submit(RequestKind::Access, &[(Email, &email)]).await;
    }
    service.clock.advance(TimeDelta::days(21));
    let digest = Settings { digest: true, ..settings() };
    let watches: Vec<_> = (0..8).map(|_| watch(&service, digest.clone())).collect();
    for _ in 0..3 {
        let turns = watches.iter().map(|(watch, _)| async {
            let turn = watch.turn().await.unwrap();
            watch.send_due().await.unwrap();
            turn
        });
        futures_util::future::join_all(turns).await;
    }
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.alert").await, 3);
    let digests = count(&service, "SELECT count(*) FROM dsrd.staff_mail WHERE kind = 'digest'").await;
    assert_eq!(digests, 1);
    let sent: Vec<_> = watches.iter().flat_map(|(_, mails)| mails.sent()).collect();
    let mails = count(&service, "SELECT count(*) FROM dsrd.staff_mail").await;
    assert_eq!(i64::try_from(sent.len()).unwrap(), mails, "each mail went out once");
    let named: usize = sent
        .iter()
        .filter(|mail| !mail.text.expose().starts_with("Requests to"))
        .map(|mail| mail.text.expose().matches("  DSR-").count())
        .sum();
    assert_eq!(named, 3, "each request stands in one mail of alerts");
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn f_1_a_daemon_that_dies_while_it_mails_leaves_the_mail_to_another_with_the_same_id() {
    for (dies_at, times) in [("staff_mail.begun", 1), ("staff_mail.sent", 2)] {
        let service = TestService::start().await;
        let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
        service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
        service.clock.advance(TimeDelta::days(14));
        let (mut dying, mails) = watch(&service, settings());
        let heir = dying.clone();
        dying.kill = KillSwitch::new(move |boundary| boundary == dies_at);
        assert_eq!(dying.turn().await.unwrap(), Turn { alerts: 1, digests: 0 });
        dying.send_due().await.unwrap();
        assert_eq!(heir.send_due().await.unwrap(), 0, "{dies_at}: the claim holds for a while");
        let mut connection = service.store.connection().await.unwrap();
        sqlx::query("UPDATE dsrd.staff_mail SET run_at = now()").execute(&mut *connection).await.unwrap();
        drop(connection);
        assert_eq!(heir.send_due().await.unwrap(), 1, "{dies_at}");
        assert_eq!(heir.send_due().await.unwrap(), 0, "{dies_at}");
        let ids: Vec<_> = mails.sent().into_iter().map(|mail| mail.message_id).collect();
        assert_eq!(ids.len(), times, "{dies_at}");
        assert!(ids.iter().all(|id| *id == ids[0]), "{dies_at}: one Message-ID");
        let log = service.audit().await;
        let of_mails = |action: &str| log.iter().filter(|entry| entry.action == action).count();
        assert_eq!((of_mails("staff_mail.began"), of_mails("staff_mail.ended")), (2, 2), "{dies_at}");
        service.work_to_the_end().await;
        service.finish().await;
    }
}

#[tokio::test]
async fn the_digest_comes_once_a_day_at_its_hour_and_not_when_there_is_nothing() {
    let service = TestService::start().await;
    // Noon in UTC is one o'clock in Rome.
    let hour = |digest_hour| Settings { digest: true, digest_hour, ..settings() };
    let (early, mails) = watch(&service, hour(14));
    assert_eq!(early.turn().await.unwrap(), Turn::default(), "not before its hour");
    let watch = Watch { wards: watch(&service, hour(13)).0.wards, ..early };
    assert_eq!(watch.turn().await.unwrap(), Turn::default(), "nothing to tell");

    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    assert_eq!(watch.turn().await.unwrap(), Turn::default(), "the day had nothing to tell at its hour");
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(watch.turn().await.unwrap(), Turn { alerts: 0, digests: 1 });
    assert_eq!(watch.turn().await.unwrap(), Turn::default());
    watch.send_due().await.unwrap();
    let sent = mails.sent().remove(0);
    assert_eq!(sent.to.expose(), DPO);
    assert!(sent.subject.contains("1 open, 0 due soon, 0 overdue"), "{}", sent.subject);
    assert!(sent.text.expose().contains("1  access, received"), "{}", sent.text.expose());
    assert!(!sent.text.expose().contains(CANARY));

    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::Closed);
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(watch.turn().await.unwrap(), Turn { alerts: 0, digests: 1 });
    watch.send_due().await.unwrap();
    let text = mails.sent().remove(1).text.into_exposed();
    assert!(text.contains("1  access, fulfilled"), "{text}");
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(watch.turn().await.unwrap(), Turn::default(), "nothing open, nothing ended");
    service.finish().await;
}
