//! S-41: what the service says when something goes wrong names no person. The log itself is searched by the oracle
//! after every test, at every level.

use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{RequestKind, SubjectIdentifier};
use dsrd::execution::KillSwitch;
use dsrd::intake;
use dsrd::platform::{ContactPlatform, Source, Urgency};
use dsrd::store::StoreError;
use dsrd_simulator::{ContactSpec, Endpoint, Fault, Poison};
use futures_util::TryStreamExt as _;

use crate::support::oracle::CANARY;
use crate::support::service::TestService;

fn ada() -> ContactSpec {
    ContactSpec::new()
        .name("Canarino", "Prova")
        .email("canarino@posta.example")
        .ext_id("canarino-7")
        .events(3)
}

/// An error with its whole chain, as people and programs see it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{error:?}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        text = format!("{text} | {error}");
        cause = error.source();
    }
    text
}

#[track_caller]
fn clean(what: &str, text: &str) {
    assert!(!text.to_lowercase().contains(CANARY), "{what} names the person: {text}");
}

#[tokio::test]
async fn s_41_failed_statements_and_failed_decoding_name_no_value() {
    let service = TestService::start().await;
    let mut connection = service.store.connection().await.unwrap();
    for statement in [
        // A violated key, whose detail quotes the value; a violated rule, whose detail quotes the row; a bad cast.
        "INSERT INTO dsrd.organisation VALUES ('canarino', 'x', now()), ('canarino', 'y', now())",
        "INSERT INTO dsrd.job (organisation_id, request_id, lane, due_at)
         VALUES ('main', '00000000-0000-0000-0000-000000000000', 'canarino', now())",
        "SELECT 'canarino'::integer",
        "SELECT canarino FROM dsrd.request",
    ] {
        let error = sqlx::query(statement).execute(&mut *connection).await.unwrap_err();
        assert!(error.to_string().contains(CANARY) || format!("{error:?}").contains(CANARY), "{error:?}");
        clean(statement, &chain(&StoreError::during("test")(error)));
    }
    let error = sqlx::query_scalar::<_, i64>("SELECT 'canarino'::text")
        .fetch_one(&mut *connection)
        .await
        .unwrap_err();
    clean("a failed decode", &chain(&StoreError::during("test")(error)));
    drop(connection);
    service.finish().await;
}

#[tokio::test]
async fn s_41_failed_calls_of_the_platform_name_no_person() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let site = service.executor.sites.values().next().unwrap();
    let platform: &dyn ContactPlatform = site.platform.as_ref();
    let identifier = SubjectIdentifier::parse(Email, "canarino@posta.example", None).unwrap();
    let id = contact.parse().unwrap();
    let page = "<html>Dear canarino@posta.example</html>".to_owned();
    let faults = [
        Fault::NeverAnswer,
        Fault::ResetBeforeEffect,
        Fault::CutWithLength,
        Fault::Status(500),
        Fault::Status(409),
        Fault::Body(page),
        Fault::Redirect { location: "https://elsewhere.example/?email=canarino@posta.example".to_owned() },
        Fault::Poison {
            poison: Poison::Record("{\"cid\": \"canarino\", \"email\": 7}".to_owned()),
            position: 0,
        },
        Fault::OtherContact,
        Fault::StatusKo,
    ];
    for fault in faults {
        let planned = service.simulator.faults().inject(fault.clone());
        let mut failed = 0;
        if let Err(error) = platform.search(&identifier).await {
            clean(&format!("{fault:?}"), &chain(&error));
            failed += 1;
        }
        if let Err(error) = platform.find_contact(&id, Urgency::Request).await {
            clean(&format!("{fault:?}"), &chain(&error));
            failed += 1;
        }
        assert!(failed > 0, "{fault:?} did no harm");
        service.simulator.faults().remove(planned);
    }
    service.finish().await;
}

#[tokio::test]
async fn s_41_nothing_that_can_be_printed_shows_the_person() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ada());
    let submission = service.submission(RequestKind::Access, &[(Email, "canarino@posta.example")]);
    clean("a submission", &format!("{submission:?}"));
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    clean("a receipt", &format!("{receipt:?}"));
    service.work_to_the_end().await;
    clean("a case", &format!("{:?}", service.case(receipt.request).await));
    let keys = &service.desk.keys;
    let mut connection = service.store.connection().await.unwrap();
    let identifiers =
        intake::identifiers(&mut connection, keys, &service.controller.id, receipt.request).await.unwrap();
    drop(connection);
    assert!(!identifiers.is_empty());
    clean("identifiers", &format!("{identifiers:?}"));
    clean("an executor", &format!("{:?}", service.executor));
    clean("mails", &format!("{:?}", service.mails.sent()));
    clean("the transport", &format!("{:?}", service.mails));
    clean("the log", &format!("{:?}", service.audit().await));
    clean("parked rows' desk", &format!("{:?}", service.desk));

    let site = service.executor.sites.values().next().unwrap();
    let id = contact.parse().unwrap();
    let found = site.platform.find_contact(&id, Urgency::Request).await.unwrap().unwrap();
    clean("a contact", &format!("{found:?}"));
    let identifier = SubjectIdentifier::parse(Email, "canarino@posta.example", None).unwrap();
    clean("an answer", &format!("{:?}", site.platform.search(&identifier).await.unwrap()));
    let mut records = site.platform.records(&id, Source::Events, Urgency::Request).await.unwrap().unwrap();
    clean("records", &format!("{:?}", records.try_next().await.unwrap()));
    drop(records);
    let error = SubjectIdentifier::parse(Phone, "canarino", Some("IT")).unwrap_err();
    clean("a refused identifier", &chain(&error));
    let error = SubjectIdentifier::parse(Email, "canarino at posta", None).unwrap_err();
    clean("a refused identifier", &chain(&error));
    service.finish().await;
}

#[tokio::test]
async fn s_41_mail_errors_time_outs_and_panics_are_logged_without_the_person() {
    let service = TestService::builder().most_attempts(3).build().await;
    let _contact = service.platform.add_contact(ada());
    service.mails.plan(Plan::Reply(450), 2);
    service.mails.plan(Plan::AnswerLost, 1);
    service.mails.plan(Plan::Reply(550), 1);
    let receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    let panicking = KillSwitch::new(|reached| {
        assert!(reached != "collect.before", "a planned panic");
        false
    });
    service.worker_with(panicking, false).await.work_once().await.unwrap();
    service.simulator.faults().inject(Fault::NeverAnswer.on(Endpoint::ContactEvents).times(1));
    service.simulator.faults().inject(Fault::Status(500).on(Endpoint::Contact).times(2));
    service.advance(std::time::Duration::from_mins(10)).await;
    service.work_to_the_end().await;
    // However it ended: what was logged on the way is searched by the oracle.
    let entries = service.story(receipt.request).await;
    assert!(entries.iter().any(|entry| entry.starts_with("notice.ended=failed")), "{entries:?}");
    assert!(crate::support::logs::contain("a run broke down"), "the log is recorded");
    service.finish().await;
}
