//! The oracle itself: what it must not let pass, one breach a test. Each begins with a run that is in order.

use dsrd::audit::drill::{Scene, manipulations};
use dsrd::audit::tlog::{Checkpoint, SignedNote, leaf_hash};
use dsrd::audit::{self, Action, Actor, Event, LogKeys};
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{ContactId, RequestKind};
use dsrd::intake::Receipt;
use dsrd::platform::{ContactPlatform, Leave};
use dsrd_simulator::{ContactSpec, RecordCounts};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::oracle::{self, Posted};
use crate::support::service::{ORGANISATION, TestService};
use crate::support::settings::CallLimit;

/// A service that has fulfilled one request, the contact and the receipt.
async fn fulfilled(kind: RequestKind) -> (TestService, String, Receipt) {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(
        ContactSpec::new()
            .email("canarino@posta.example")
            .phone("+39 333 1234567")
            .policy("mktgCommunications", true)
            .events(3)
            .devices(1),
    );
    let receipt = service.submit(kind, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    oracle::check(&service).await;
    (service, contact, receipt)
}

fn platform(service: &TestService) -> &dyn ContactPlatform {
    service.executor.sites.values().next().unwrap().platform.as_ref()
}

async fn owner(service: &TestService) -> PgConnection {
    PgConnection::connect_with(&service.database.options()).await.unwrap()
}

fn mails(service: &TestService) -> Vec<Posted> {
    service.mails.sent().into_iter().map(Posted::from).collect()
}

#[tokio::test]
#[should_panic(expected = "is received and its job None")]
async fn i_1_a_request_that_nobody_will_take_up() {
    let service = TestService::start().await;
    let _receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    oracle::check(&service).await;
    sqlx::query("DELETE FROM dsrd.job").execute(&mut owner(&service).await).await.unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "was received and is nowhere")]
async fn i_1_a_request_that_vanished() {
    let (service, _, _) = fulfilled(RequestKind::OptOut).await;
    let statements = "SET session_replication_role = replica; DELETE FROM dsrd.request";
    sqlx::raw_sql(statements).execute(&mut owner(&service).await).await.unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = ", its events say")]
async fn i_6_a_date_that_was_moved_by_hand() {
    let service = TestService::start().await;
    let _receipt = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await;
    oracle::check(&service).await;
    let statements = "SET session_replication_role = replica; UPDATE dsrd.request SET due_on = due_on + 1";
    sqlx::raw_sql(statements).execute(&mut owner(&service).await).await.unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "I-2: effect")]
async fn i_2_a_policy_that_nobody_asked_for() {
    let (service, contact, _) = fulfilled(RequestKind::OptOut).await;
    let contact: ContactId = contact.parse().unwrap();
    platform(&service).set_policy(&contact, "privacy", false, Leave::ALWAYS).await.unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "lies within no announcement and end of its own")]
async fn i_3_an_effect_that_was_not_announced() {
    let (service, contact, _) = fulfilled(RequestKind::Erasure).await;
    service.platform.restore_contact(&contact);
    platform(&service).delete_contact(&contact.parse().unwrap(), Leave::ALWAYS).await.unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "(deletion.began) has no end")]
async fn i_3_an_announcement_without_an_end() {
    let (service, _, receipt) = fulfilled(RequestKind::Erasure).await;
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, now) = (&service.controller.id, service.desk.clock.now());
    let event = Event::of(organisation, receipt.request, Action::DeletionBegan, Actor::Process("test"), now);
    audit::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "entries were committed and are not in the log")]
async fn i_4_an_entry_that_was_committed_and_never_sealed() {
    let (service, _, receipt) = fulfilled(RequestKind::OptOut).await;
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, now) = (&service.controller.id, service.desk.clock.now());
    let event = Event::of(organisation, receipt.request, Action::RequestResumed, Actor::Process("test"), now);
    audit::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
    let mut owner = owner(&service).await;
    sqlx::raw_sql("ALTER TABLE audit.inbox DISABLE TRIGGER USER; DELETE FROM audit.inbox")
        .execute(&mut owner)
        .await
        .unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "I-4: verification, Entries: entry 2: its bytes do not hash")]
async fn i_4_an_entry_that_was_changed_after_it_was_sealed() {
    let (service, _, _) = fulfilled(RequestKind::OptOut).await;
    let scene = Scene { size: 300, first: 1, run: 2, kept_heads: 0, page: None };
    let edit = manipulations(&scene).into_iter().find(|each| each.name == "edit").unwrap();
    let statements = edit.statements.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut owner(&service).await).await.unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "I-4: verification, Consistency: head")]
async fn i_4_a_head_that_is_no_beginning_of_the_log() {
    let (service, _, _) = fulfilled(RequestKind::OptOut).await;
    let note: SignedNote =
        service.heads.list().pop().expect("the head that the oracle read").parse().unwrap();
    let mut head: Checkpoint = note.text().parse().unwrap();
    // Somebody was shown another log of that length, signed by the same key.
    head.root = leaf_hash(b"another log");
    let keys = LogKeys::from_text(&service.log_keys).unwrap().signing_keys(&head.origin);
    service.heads.keep(Some(head.sign(&keys).unwrap().to_string()));
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "says fulfilled and mktgCommunications is Some(true)")]
async fn i_5_a_policy_that_is_on_after_all() {
    let (service, contact, _) = fulfilled(RequestKind::OptOut).await;
    service.platform.set_policy(&contact, "mktgCommunications", true);
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "nobody read twice that the contact is gone")]
async fn i_5_a_proof_that_nobody_read() {
    let (service, _, _) = fulfilled(RequestKind::Erasure).await;
    // The other witness forgets what it saw.
    service.simulator.journal().clear();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "has 3 of 4 records")]
async fn i_6_a_package_that_holds_too_little() {
    let (service, contact, _) = fulfilled(RequestKind::Access).await;
    let counts = RecordCounts { events: 4, devices: 1, ..RecordCounts::default() };
    service.platform.set_record_counts(&contact, counts);
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "went to an address that its contact does not have")]
async fn i_6_a_link_for_somebody_else() {
    let (service, _, _) = fulfilled(RequestKind::Access).await;
    let mut mails = mails(&service);
    for mail in &mut mails {
        "somebody-else@posta.example".clone_into(&mut mail.to);
    }
    oracle::check_with(&service, mails, Vec::new()).await;
}

#[tokio::test]
#[should_panic(expected = "went out 2 times; the log says taken 1, unknown 0")]
async fn i_7_a_mail_that_went_out_twice() {
    let (service, _, _) = fulfilled(RequestKind::OptOut).await;
    let twice = mails(&service).into_iter().chain(mails(&service)).collect();
    oracle::check_with(&service, twice, Vec::new()).await;
}

#[tokio::test]
#[should_panic(expected = "I-8: a mail beyond its recipient holds the canary")]
async fn i_8_a_header_that_names_the_person() {
    let (service, _, _) = fulfilled(RequestKind::OptOut).await;
    let mut mails = mails(&service);
    mails[0].raw = [b"Reply-To: canarino@posta.example\r\n".as_slice(), &mails[0].raw].concat();
    oracle::check_with(&service, mails, Vec::new()).await;
}

#[tokio::test]
#[should_panic(expected = "I-8: an argument of a process holds a phone")]
async fn i_8_a_number_in_another_spelling() {
    let (service, _, _) = fulfilled(RequestKind::OptOut).await;
    let said = vec![("an argument of a process", "dsrd --phone=%2B393331234567".to_owned())];
    oracle::check_with(&service, mails(&service), said).await;
}

#[tokio::test]
#[should_panic(expected = "holds a hardware address")]
async fn i_8_a_file_that_was_left() {
    let (service, contact, _) = fulfilled(RequestKind::Access).await;
    // As the platform shows it, without what separates the digits.
    let contact: ContactId = contact.parse().unwrap();
    let devices = platform(&service).records(
        &contact,
        dsrd::platform::Source::Devices,
        dsrd::platform::Urgency::Request,
    );
    let mut devices = devices.await.unwrap().unwrap();
    let batch = futures_util::TryStreamExt::try_next(&mut devices).await.unwrap().unwrap();
    let device: serde_json::Value = serde_json::from_str(batch.records[0].expose()).unwrap();
    let address = device["macAddress"].as_str().unwrap().replace(':', "").to_lowercase();
    std::fs::write(service.directory.path().join("left"), format!("station={address}")).unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "holds the secret of a link")]
async fn i_8_the_secret_of_a_link_in_a_table() {
    let (service, _, _) = fulfilled(RequestKind::Access).await;
    let link = service.mails.sent().into_iter().find_map(|mail| mail.link).expect("a link");
    sqlx::query("UPDATE dsrd.notice SET template = $1")
        .bind(link.expose())
        .execute(&mut *service.store.connection().await.unwrap())
        .await
        .unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "I-9: an open transaction after: BEGIN; SELECT reference")]
async fn i_9_a_transaction_that_nobody_ended() {
    let (service, _, _) = fulfilled(RequestKind::OptOut).await;
    let mut left = owner(&service).await;
    sqlx::raw_sql("BEGIN; SELECT reference FROM dsrd.request").execute(&mut left).await.unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "I-9: a half-written file")]
async fn i_9_a_file_that_was_not_finished() {
    let (service, _, _) = fulfilled(RequestKind::Access).await;
    std::fs::write(service.directory.path().join("package.zip.age.partial"), "half").unwrap();
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "I-9: 1 jobs are still leased")]
async fn i_9_a_lease_that_nobody_gave_back() {
    let service = TestService::start().await;
    let worker = service.worker().await;
    let _receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    let mut connection = service.store.connection().await.unwrap();
    let organisations = [service.controller.id.to_string()];
    let lane = dsrd::queue::Lane::Request;
    let claimed =
        dsrd::queue::claim(&mut connection, worker.instance(), &organisations, lane, 1).await.unwrap();
    assert_eq!(claimed.len(), 1);
    drop(connection);
    oracle::check(&service).await;
}

#[tokio::test]
#[should_panic(expected = "I-10: main: ")]
async fn i_10_more_calls_than_the_limit_allows() {
    let (mut service, _, _) = fulfilled(RequestKind::OptOut).await;
    // As if the client had been told so.
    let limit = CallLimit { per_second: 0.1, burst: 1 };
    service.call_limits.insert(ORGANISATION.to_owned(), limit);
    oracle::check(&service).await;
}
