//! what a person should have been told and did not arrive is told to staff until the person was told otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::alert::Settings;
use dsrd::audit::Actor;
use dsrd::delivery::{self, BounceError, Handover, NoticeKind, Plan};
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{AlertRule, Outcome, ParkReason, RequestId, RequestKind, RequestState};
use dsrd::intake::{self, CaseError};
use dsrd_simulator::ContactSpec;
use sqlx::{Connection as _, PgConnection};

use crate::access::package;
use crate::alerts::{EMAIL, OPERATOR, acknowledge, dpo, everything, open_rules, round, settings, watch};
use crate::deadlines::{extend, move_to, received, under};
use crate::rig::count;
use crate::support::alerts::DPO;
use crate::support::service::TestService;
use crate::support::settings::mail_settings;

/// Staff told the person otherwise and records it.
pub(crate) async fn informed(service: &TestService, request: RequestId) -> Result<(), CaseError> {
    let mut tx = service.store.begin("test").await.unwrap();
    intake::record_informed(&mut tx, &service.desk, &service.controller.id, request, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

/// Somebody reports that a notice came back, the one that was sent last unless it is named.
pub(crate) async fn came_back(
    service: &TestService,
    request: RequestId,
    which: Option<NoticeKind>,
) -> Result<NoticeKind, BounceError> {
    let now = service.desk.clock.now();
    let mut tx = service.store.begin("test").await.unwrap();
    let kind = delivery::record_bounce(&mut tx, &service.controller.id, request, which, dpo(), now).await?;
    tx.commit().await.unwrap();
    Ok(kind)
}

/// How many packages the daemon destroys now.
async fn destroyed(service: &TestService) -> u64 {
    let directory = &service.executor.packages.report.directory;
    delivery::destroy_expired(&service.store, directory, service.desk.clock.now()).await.unwrap()
}

/// Until when the link that went to the person works, as its page says.
async fn link_works_until(service: &TestService) -> Option<String> {
    let handover = Handover::new(
        &mail_settings(),
        service.store.clone(),
        Arc::clone(&service.desk.keys),
        BTreeMap::from([(service.controller.id.clone(), Arc::clone(&service.controller))]),
        Arc::clone(&service.desk.clock),
        service.executor.packages.report.directory.clone(),
    );
    let link = service.mails.sent_to(EMAIL).into_iter().rev().find_map(|mail| mail.link)?;
    Some(handover.look(link.expose()).await.unwrap()?.expires)
}

#[tokio::test]
async fn r_26_r_35_a_link_that_goes_out_late_works_for_as_long_as_one_that_goes_out_at_once() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL).events(2));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    service.pump().await;
    // The mailbox is full, and nobody sees to it until the package is past its days.
    service.mails.plan(Plan::Reply(552), 1);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoticeRefused));
    service.clock.advance(TimeDelta::days(20));
    assert_eq!(destroyed(&service).await, 0, "it is still needed");
    let mut tx = service.store.begin("test").await.unwrap();
    intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(destroyed(&service).await, 0, "nor is it destroyed while the notice is on its way");
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(destroyed(&service).await, 0);
    let told = link_works_until(&service).await.expect("the link works");
    let mail = service.mails.sent_to(EMAIL).pop().unwrap();
    assert!(mail.text.expose().contains(&told), "{told}: {}", mail.text.expose());
    service.clock.advance(TimeDelta::days(14) - TimeDelta::hours(1));
    assert!(link_works_until(&service).await.is_some(), "for as many days as any");
    service.clock.advance(TimeDelta::hours(1));
    assert!(link_works_until(&service).await.is_none());
    service.finish().await;
}

#[tokio::test]
async fn r_83_a_package_whose_link_came_back_stays_until_the_person_was_told_otherwise() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL).events(2));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    came_back(&service, receipt.request, Some(NoticeKind::AccessReady)).await.unwrap();
    service.clock.advance(TimeDelta::days(30));
    assert_eq!(destroyed(&service).await, 0);
    assert!(!package(&service, receipt.request).await.is_empty(), "staff can hand it over");
    informed(&service, receipt.request).await.unwrap();
    assert_eq!(destroyed(&service).await, 1);
    service.finish().await;
}

#[tokio::test]
async fn r_83_a_mail_refused_with_550_alerts_and_the_request_stays_open() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await;
    service.pump().await;
    service.mails.plan(Plan::Reply(550), 1);
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.park_reason), (RequestState::Manual, Some(ParkReason::NoticeRefused)));
    let (watch, mails) = watch(&service, settings());
    assert_eq!(round(&watch, &mails).await, (1, vec![DPO.to_owned(), OPERATOR.to_owned()]));
    assert_eq!(open_rules(&service).await, [AlertRule::NoticeBounced]);

    informed(&service, receipt.request).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await.0, 0);
    service.finish().await;
}

#[tokio::test]
async fn r_83_an_answer_that_comes_back_after_the_closing_is_a_task_until_the_person_was_told_otherwise() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
    service.work_to_the_end().await;
    let closed = service.case(receipt.request).await;
    assert_eq!(closed.outcome, Some(Outcome::Fulfilled));

    let kind = came_back(&service, receipt.request, None).await.unwrap();
    assert_eq!(kind, NoticeKind::ErasureDone, "the one that was sent last");
    let again = came_back(&service, receipt.request, None).await;
    assert!(again.unwrap_err().to_string().contains("on record already"));
    let other = came_back(&service, receipt.request, Some(NoticeKind::AccessReady)).await;
    assert!(other.unwrap_err().to_string().contains("no notice of this request was sent"));

    // I-7: the case is not begun anew; what was erased is erased.
    assert_eq!(service.case(receipt.request).await.closed_at, closed.closed_at);
    let (watch, mails) = watch(&service, Settings { digest: true, ..settings() });
    assert_eq!(round(&watch, &mails).await.0, 1);
    assert!(everything(&mails).contains("the person has not been told"));
    assert!(
        everything(&mails).contains("Not told, because a notice did not arrive"),
        "{}",
        everything(&mails)
    );
    service.clock.advance(TimeDelta::days(40));
    assert_eq!(round(&watch, &mails).await.0, 1, "every day until it is made good");

    // What is needed to tell the person otherwise is not forgotten meanwhile.
    let upkeep = dsrd::upkeep::Upkeep {
        store: service.store.clone(),
        desk: service.desk.clone(),
        settings: dsrd::upkeep::Settings {
            identifiers_days: 30,
            contact_ids_days: 65,
            evidence_months: 36,
            log_months: 36,
        },
    };
    assert_eq!(upkeep.run(&Actor::Process("upkeep")).await.unwrap().identifiers_of, 0);

    informed(&service, receipt.request).await.unwrap();
    let twice = informed(&service, receipt.request).await;
    assert!(twice.unwrap_err().to_string().contains("the request is closed"));
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await.0, 0);
    assert!(open_rules(&service).await.is_empty());
    assert_eq!(upkeep.run(&Actor::Process("upkeep")).await.unwrap().identifiers_of, 1);
    let story = service.story(receipt.request).await;
    for action in ["notice.bounced", "notice.made_good"] {
        assert_eq!(story.iter().filter(|each| *each == action).count(), 1, "{story:?}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_37_an_erasure_whose_notice_does_not_arrive_is_alerted_until_the_person_was_told() {
    // Refused by the mail server: what was deleted stays deleted, and the case is not closed.
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
    service.pump().await;
    service.mails.plan(Plan::Reply(550), 1);
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert!(case.executed_at.is_some() && case.verified_at.is_some(), "deleted, and proven absent");
    assert_eq!(
        (case.informed_at, case.closed_at, case.outcome),
        (None, None, None),
        "not told, so not closed"
    );
    assert_eq!((case.state, case.park_reason), (RequestState::Manual, Some(ParkReason::NoticeRefused)));
    assert!(!service.platform.truth(&contact).is_some_and(|truth| truth.exists));
    // Not by the back door either: closing needs all three instants.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let forced = sqlx::query(
        "UPDATE dsrd.request SET state = 'closed', park_reason = NULL, outcome = 'fulfilled', closed_at = now()
         WHERE request_id = $1",
    )
    .bind(receipt.request.0)
    .execute(&mut owner)
    .await;
    assert!(forced.is_err(), "closed without having told the person");
    let (first_watch, mails) = watch(&service, settings());
    assert_eq!(round(&first_watch, &mails).await, (1, vec![DPO.to_owned(), OPERATOR.to_owned()]));
    assert_eq!(open_rules(&service).await, [AlertRule::NoticeBounced]);
    informed(&service, receipt.request).await.unwrap();
    service.work_to_the_end().await;
    let case = service.case(receipt.request).await;
    assert_eq!(case.outcome, Some(Outcome::Fulfilled));
    assert!(case.informed_at.is_some() && case.closed_at.is_some());
    assert_eq!(service.simulator.journal().deleted_contacts().len(), 1, "deleted once");
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&first_watch, &mails).await.0, 0);
    service.finish().await;

    // Taken, and sent back later: that the person was not told is alerted every day.
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, EMAIL)]).await;
    service.work_to_the_end().await;
    came_back(&service, receipt.request, Some(NoticeKind::ErasureDone)).await.unwrap();
    let (watch, mails) = watch(&service, settings());
    for _ in 0..2 {
        assert_eq!(round(&watch, &mails).await, (1, vec![DPO.to_owned(), OPERATOR.to_owned()]));
        assert_eq!(open_rules(&service).await, [AlertRule::NoticeBounced]);
        service.clock.advance(TimeDelta::days(1));
    }
    informed(&service, receipt.request).await.unwrap();
    assert_eq!(round(&watch, &mails).await.0, 0);
    assert!(open_rules(&service).await.is_empty());
    assert_eq!(service.simulator.journal().deleted_contacts().len(), 1, "nothing is done anew");
    service.finish().await;
}

#[tokio::test]
async fn r_83_a_receipt_that_comes_back_is_made_good_while_the_request_goes_on() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await;
    service.pump().await;
    let nothing = informed(&service, receipt.request).await;
    assert!(nothing.unwrap_err().to_string().contains("does not wait for a person"));
    came_back(&service, receipt.request, None).await.unwrap();
    let (watch, mails) = watch(&service, settings());
    assert_eq!(round(&watch, &mails).await.0, 1);

    informed(&service, receipt.request).await.unwrap();
    assert_eq!(
        service.case(receipt.request).await.state,
        RequestState::Received,
        "nothing was decided by it"
    );
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.clock.advance(TimeDelta::days(1));
    assert_eq!(round(&watch, &mails).await.0, 0);
    service.finish().await;
}

#[tokio::test]
async fn r_83_a_receipt_that_comes_back_is_made_good_while_the_request_waits_for_a_person() {
    let service = TestService::start().await;
    let receipt = service.submit(RequestKind::Rectification, &[(Email, EMAIL)]).await;
    service.pump().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::Manual);
    let nothing = informed(&service, receipt.request).await;
    assert!(nothing.is_err(), "nothing came back, and nothing is answered yet");
    came_back(&service, receipt.request, None).await.unwrap();
    informed(&service, receipt.request).await.unwrap();
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.informed_at), (RequestState::Manual, None), "it waits for its answer");
    assert!(informed(&service, receipt.request).await.is_err(), "once is enough");
    service.finish().await;
}

/// An objection of 5 March on 20 March, whose first term ends on 7 April, the last lawful day.
async fn to_be_extended() -> (TestService, RequestId) {
    let service = under("EU", "DE", chrono_tz::Europe::Berlin, "2026-03-20T08:00:00Z").await;
    let request = received(&service, "2026-03-05T09:00:00Z").await;
    (service, request)
}

async fn due(service: &TestService, request: RequestId) -> (bool, String) {
    let case = service.case(request).await;
    (case.extended, case.due_on.to_string())
}

#[tokio::test]
async fn r_6_r_83_an_extension_whose_notice_did_not_arrive_counts_by_what_was_told_otherwise_in_time() {
    for (refused, told_at, counts) in [
        (false, "2026-04-07T21:59:00Z", true),
        (false, "2026-04-07T22:00:00Z", false),
        (true, "2026-04-07T21:59:00Z", true),
        (true, "2026-04-07T22:00:00Z", false),
    ] {
        let (service, request) = to_be_extended().await;
        extend(&service, request).await.unwrap();
        if refused {
            service.mails.plan(Plan::Reply(550), 1);
            service.pump().await;
        } else {
            // It comes back before anybody looked whether the extension counts.
            service.executor.mailer.pump_once().await.unwrap();
            let back = came_back(&service, request, Some(NoticeKind::Extension)).await;
            assert_eq!(back.unwrap(), NoticeKind::Extension);
        }
        service.pump().await;
        assert_eq!(due(&service, request).await, (false, "2026-04-05".to_owned()), "nobody was told");
        // Nor by the hand of somebody with the rights of the owner.
        let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
        let forced = sqlx::query(
            "INSERT INTO dsrd.extension (organisation_id, request_id, decision_id, notice_id, base_due_at, notified_at)
             SELECT organisation_id, request_id, decision_id, notice_id, base_due_at, coalesce(sent_at, enqueued_at)
             FROM dsrd.decision JOIN dsrd.notice USING (organisation_id, request_id)
             WHERE decision.kind = 'extension' AND notice.kind = 'extension'",
        )
        .execute(&mut owner)
        .await;
        assert!(forced.unwrap_err().to_string().contains("its notice in time only"));
        move_to(&service, told_at);
        informed(&service, request).await.unwrap();
        service.pump().await;
        let day = if counts { "2026-06-05" } else { "2026-04-05" };
        assert_eq!(due(&service, request).await, (counts, day.to_owned()), "{refused} {told_at}");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_6_r_83_an_extension_whose_notice_comes_back_later_is_alerted_every_day_whoever_saw_it() {
    let (service, request) = to_be_extended().await;
    extend(&service, request).await.unwrap();
    service.pump().await;
    let extended = (true, "2026-06-05".to_owned());
    assert_eq!(due(&service, request).await, extended);
    came_back(&service, request, Some(NoticeKind::Extension)).await.unwrap();
    service.pump().await;
    assert_eq!(due(&service, request).await, extended, "events are never changed");
    let (watch, mails) = watch(&service, settings());
    let bounced =
        async || count(&service, "SELECT count(*) FROM dsrd.alert WHERE rule = 'notice_bounced'").await;
    for days in 1..=3 {
        round(&watch, &mails).await;
        assert_eq!(bounced().await, days);
        assert!(acknowledge(&service, request).await >= 1);
        round(&watch, &mails).await;
        assert_eq!(bounced().await, days, "seen for this day");
        service.clock.advance(TimeDelta::days(1));
    }
    informed(&service, request).await.unwrap();
    round(&watch, &mails).await;
    assert_eq!(bounced().await, 3, "the person knows");
    assert_eq!(due(&service, request).await, extended);
    service.finish().await;
}
