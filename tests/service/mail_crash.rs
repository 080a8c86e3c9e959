//! F-1 and F-51: the sending of notices dies at every boundary, and every announcement has exactly one end.

use std::sync::Arc;
use std::time::Duration;

use dsrd::audit::Actor;
use dsrd::delivery::{self, DeliveryError};
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, ParkReason, RequestKind};
use dsrd::execution::{Ended, KillSwitch};
use dsrd::intake;
use dsrd::queue::Instance;
use dsrd_simulator::ContactSpec;

use crate::rig::count;
use crate::support::service::TestService;

const EMAIL: &str = "canarino@posta.example";

fn dying_at(dies_at: &'static str) -> KillSwitch {
    KillSwitch::new(move |boundary| boundary == dies_at)
}

async fn instance(service: &TestService) -> Instance {
    Instance::register(&mut *service.store.connection().await.unwrap()).await.unwrap()
}

async fn take_back(service: &TestService) -> u64 {
    delivery::take_back_claims(&mut *service.store.connection().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn f_1_a_pump_that_dies_at_any_boundary_leaves_its_notices_to_another_at_once() {
    for (dies_at, taken_back) in [("notice.begun", 1), ("notice.sent", 1), ("notice.ended", 0)] {
        let service = TestService::start().await;
        let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
        let receipt = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await;
        let mailer = &service.executor.mailer;
        let (dead, heir) = (instance(&service).await, instance(&service).await);
        let died = mailer.with_kill(dying_at(dies_at)).pump_as(dead).await;
        assert!(matches!(died, Err(DeliveryError::Killed)), "{dies_at}: {died:?}");
        // While its process counts as alive, nobody else takes it.
        assert_eq!(take_back(&service).await, 0, "{dies_at}");
        assert_eq!(mailer.pump_as(heir).await.unwrap(), 0, "{dies_at}");

        dead.retire(&mut *service.store.connection().await.unwrap()).await.unwrap();
        assert_eq!(mailer.pump_as(dead).await.unwrap(), 0, "{dies_at}: the dead claim nothing");
        assert_eq!(take_back(&service).await, taken_back, "{dies_at}");
        assert_eq!(mailer.pump_as(heir).await.unwrap() as u64, taken_back, "{dies_at}");
        let sent: Vec<_> = service.mails.sent().into_iter().map(|mail| mail.message_id).collect();
        let times = if dies_at == "notice.sent" { 2 } else { 1 };
        assert_eq!(sent.len(), times, "{dies_at}");
        assert!(sent.iter().all(|id| *id == sent[0]), "{dies_at}: one Message-ID");
        assert_eq!(count(&service, "SELECT count(claimed_by) FROM dsrd.notice").await, 0);
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
        service.finish().await;
    }
}

#[tokio::test]
async fn f_51_a_notice_in_hand_when_its_request_is_parked_as_poison_has_its_end_and_is_sent_when_resumed() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, EMAIL)]).await;
    service.pump().await;
    for _ in 0..3 {
        let ended = service.worker_with(dying_at("notice.begun"), false).await.work_once().await.unwrap();
        assert_eq!(ended, [Ended::Killed]);
        service.bury_workers().await;
    }
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::Poison));
    assert_eq!(count(&service, "SELECT count(intent) FROM dsrd.notice").await, 0, "nothing is left open");
    let ends = |story: &[String]| story.iter().filter(|each| each.starts_with("notice.ended=")).count();
    let begins = |story: &[String]| story.iter().filter(|each| *each == "notice.began").count();
    let story = service.story(receipt.request).await;
    assert_eq!((begins(&story), ends(&story)), (4, 4), "{story:?}");
    let mut tx = service.store.begin("test").await.unwrap();
    let actor = Actor::Person("operator".to_owned());
    intake::resume(&mut tx, &service.desk, &service.controller.id, receipt.request, actor).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    let story = service.story(receipt.request).await;
    assert_eq!((begins(&story), ends(&story)), (5, 5), "{story:?}");
    service.finish().await;
}

#[tokio::test]
async fn f_51_a_notice_in_hand_when_its_request_is_withdrawn_has_its_end() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    service.pump().await;
    service.worker_with(dying_at("notice.begun"), false).await.work_once().await.unwrap();
    service.bury_workers().await;
    let mut tx = service.store.begin("test").await.unwrap();
    let actor = Actor::Person("dpo".to_owned());
    intake::withdraw(&mut tx, &service.desk, &service.controller, receipt.request, actor).await.unwrap();
    tx.commit().await.unwrap();
    let story = service.story(receipt.request).await;
    assert!(story.contains(&"notice.ended=outcome_unknown".to_owned()), "{story:?}");
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn s_44_the_file_of_a_killed_building_is_removed_once_its_lease_is_gone() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email(EMAIL).events(3));
    let receipt = service.submit(RequestKind::Access, &[(Email, EMAIL)]).await;
    let directory = Arc::clone(&service.executor).packages.report.directory.clone();
    let files = || std::fs::read_dir(&directory).unwrap().count();
    // Hours ago: only what says by its name that nobody is writing it any more is removed.
    let before = service.desk.clock.now() - chrono::TimeDelta::days(3650);
    let removed = || delivery::remove_leftovers(&service.store, &directory, before);
    let killed = service.worker_with(dying_at("collect.file_written"), false).await;
    killed.work_once().await.unwrap();
    std::fs::write(directory.join("0123456789abcdef.zip.age"), "of an older release").unwrap();
    assert_eq!(files(), 2);
    assert_eq!(removed().await.unwrap(), 0, "its writer counts as alive");
    service.bury_workers().await;
    assert_eq!(removed().await.unwrap(), 1);
    assert_eq!(files(), 1, "what does not tell its writer stays for some hours");
    std::fs::remove_file(directory.join("0123456789abcdef.zip.age")).unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(removed().await.unwrap(), 0);
    assert_eq!(files(), 1, "the package itself stays");
    service.advance(Duration::from_secs(1)).await;
    service.finish().await;
}
