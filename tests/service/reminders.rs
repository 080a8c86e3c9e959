//! Who asks again by other identifiers, and what a stranger who types them gains and learns by it: nothing (S-1, S-5).

use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    Assurance, Clock as _, ErasureGround, IdentifierKind, KillSwitch, Outcome, ParkReason, RefusalGround,
    RequestId, RequestKind, RequestState, RequesterRole,
};
use dsrd::execution::Ended;
use dsrd::identity::Confirmation;
use dsrd::intake::{self, CaseError, Receipt, Submission};
use dsrd_simulator::{ContactSpec, Fault};
use sqlx::{Connection as _, PgConnection};

use crate::access::package;
use crate::identity::{NUMBER, STORED, TYPED, confirm, dpo, person, secret};
use crate::support::service::TestService;

/// Somebody else, by whom nothing was asked.
const OTHER_STORED: &str = "canarino.due@posta.example";
const OTHER_NUMBER: &str = "+39 333 7654321";

/// A service whose organisation takes reminders.
pub(crate) async fn start() -> TestService {
    taking_reminders(TestService::start().await)
}

pub(crate) fn taking_reminders(mut service: TestService) -> TestService {
    Arc::make_mut(&mut service.controller).reminder_days = 90;
    let mut executor = service.executor_with(KillSwitch::default());
    for site in executor.sites.values_mut() {
        site.controller = Arc::clone(&service.controller);
    }
    service.executor = Arc::new(executor);
    service
}

async fn submit(service: &TestService, submission: Submission) -> Receipt {
    intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap()
}

/// As a web form hands in what anybody typed.
fn unproven(service: &TestService, kind: RequestKind, by: &[(IdentifierKind, &str)]) -> Submission {
    Submission { proof: None, ..service.submission(kind, by) }
}

/// Works without sending what waits in the outbox.
async fn work_only(service: &TestService) -> Vec<Ended> {
    service.worker().await.work_until_idle().await.unwrap()
}

/// An access request of somebody who is known, whose answer the mail server refused: it is open.
async fn unanswered_access(service: &TestService, by: &[(IdentifierKind, &str)]) -> Receipt {
    let receipt = service.submit(RequestKind::Access, by).await;
    service.pump().await;
    service.mails.plan(Plan::Reply(550), 1);
    work_only(service).await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoticeRefused));
    receipt
}

async fn is_reminder_of(service: &TestService, receipt: &Receipt, first: &Receipt) {
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Superseded)));
    assert_eq!(case.reminds_of.as_ref(), Some(&first.reference));
    let story = service.story(receipt.request).await;
    let place = |action: &str| story.iter().position(|each| each == action).expect("in the log");
    assert!(place("contact.located") < place("request.superseded"), "{story:?}");
}

async fn stands_by_itself(service: &TestService, receipt: &Receipt, what: &str) {
    let case = service.case(receipt.request).await;
    assert_eq!((case.reminds_of, case.outcome == Some(Outcome::Superseded)), (None, false), "{what}");
}

async fn withdraw(service: &TestService, request: RequestId) -> Result<(), CaseError> {
    let mut tx = service.store.begin("test").await.unwrap();
    intake::withdraw(&mut tx, &service.desk, &service.controller, request, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn r_12_who_asks_again_by_other_identifiers_reminds_once_the_contact_is_found() {
    let service = start().await;
    let contact = service.platform.add_contact(person());
    // Nobody knows yet who asks: it waits for a proof, and the link is overlooked.
    let first = submit(&service, unproven(&service, RequestKind::Erasure, &[(Phone, NUMBER)])).await;
    service.work().await;
    service.pump().await;
    let waiting = service.case(first.request).await;
    assert_eq!((waiting.state, waiting.identity_reminded), (RequestState::NeedsIdentity, false));
    let overlooked = secret(&service);
    service.clock.advance(TimeDelta::days(4));
    let again = submit(&service, unproven(&service, RequestKind::Erasure, &[(Email, STORED)])).await;
    assert_eq!(again.reminds_of, None, "intake sees two people");
    assert_eq!(again.due_on, first.due_on + TimeDelta::days(4));
    let mails_before = service.mails.sent_to(STORED).len();
    assert_eq!(work_only(&service).await, [Ended::Closed]);
    service.pump().await;
    is_reminder_of(&service, &again, &first).await;

    // The first goes on with its dates and without a proof; its person gets one acknowledgement with the first date, and a new link.
    let case = service.case(first.request).await;
    assert_eq!((case.state, case.due_on), (RequestState::NeedsIdentity, first.due_on));
    assert_eq!((case.assurance, case.identity_until), (Assurance::None, waiting.identity_until));
    let mut told = service.mails.sent_to(STORED).split_off(mails_before);
    told.sort_by_key(|mail| mail.link.is_some());
    let [acknowledged, asked] = told.as_slice() else { panic!("{} mails", told.len()) };
    assert!(acknowledged.subject.contains(first.reference.as_str()), "{}", acknowledged.subject);
    assert!(acknowledged.text.expose().contains("23 December 2026"), "{}", acknowledged.text.expose());
    assert!(asked.subject.contains(first.reference.as_str()) && asked.link.is_some(), "{}", asked.subject);
    let mut connection = service.store.connection().await.unwrap();
    let around = intake::surroundings(&mut connection, &service.controller.id, first.request).await.unwrap();
    drop(connection);
    assert_eq!(around.reminders, [again.reference.to_string()]);
    let log = service.audit().await;
    let linked = log.iter().find(|entry| entry.action == "request.superseded").unwrap();
    assert_eq!(linked.detail["reminds_of"], first.reference.as_str());
    assert_eq!(linked.detail["same_contact"], true);

    // They were reminded: another one would change nothing for them, and asks by itself.
    let third =
        submit(&service, unproven(&service, RequestKind::Erasure, &[(Email, STORED), (Phone, NUMBER)])).await;
    work_only(&service).await;
    stands_by_itself(&service, &third, "there is no reminder left").await;
    withdraw(&service, third.request).await.unwrap();

    // Nobody takes back with the first what somebody asked by other identifiers.
    assert!(matches!(withdraw(&service, first.request).await, Err(CaseError::Reminded)));
    let mut tx = service.store.begin("test").await.unwrap();
    intake::withdraw_with_reminders(&mut tx, &service.desk, &service.controller, first.request, dpo())
        .await
        .unwrap();
    drop(tx);

    // Who used the address confirms with it what was asked by the number.
    assert_eq!(confirm(&service, &overlooked, STORED).await, Confirmation::NoSuchLink, "expired");
    let link = asked.link.clone().expect("a link").into_exposed();
    assert!(matches!(confirm(&service, &link, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert_eq!(service.case(first.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_12_what_is_not_surely_the_same_is_a_request_of_its_own() {
    let service = start().await;
    let contact = service.platform.add_contact(person().policy("mktgCommunications", true));
    // An opt-out that the platform does not carry out holds no other one up.
    let broken = service.simulator.faults().inject(Fault::PolicyNotApplied);
    let stuck = service.submit(RequestKind::OptOut, &[(Phone, NUMBER)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(stuck.request).await.park_reason, Some(ParkReason::VerificationFailed));
    service.simulator.faults().remove(broken);
    let opt_out = service.submit(RequestKind::OptOut, &[(Email, STORED)]).await;
    service.work().await;
    assert_eq!(service.case(opt_out.request).await.outcome, Some(Outcome::Fulfilled), "at once");
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));

    let first = unanswered_access(&service, &[(Email, STORED)]).await;
    // Another right, and somebody else for the person.
    let other_right = service.submit(RequestKind::Erasure, &[(Phone, NUMBER)]).await;
    let agent = Submission {
        requester_role: RequesterRole::Agent,
        ..service.submission(RequestKind::Access, &[(Phone, NUMBER)])
    };
    let agent = submit(&service, agent).await;
    service.work().await;
    for receipt in [&other_right, &agent] {
        stands_by_itself(&service, receipt, receipt.kind.as_str()).await;
    }
    // The same person and right: a reminder, of the first and not of what came between.
    let reminder = service.submit(RequestKind::Access, &[(Phone, NUMBER)]).await;
    service.work().await;
    is_reminder_of(&service, &reminder, &first).await;
    service.clock.advance(TimeDelta::days(91));
    let late = service.submit(RequestKind::Access, &[(Phone, NUMBER)]).await;
    service.work().await;
    stands_by_itself(&service, &late, "after the time of reminders").await;

    // The database lets nothing become a reminder for which something was done, or of something else.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    for request in [other_right.request, late.request, agent.request] {
        let forged = sqlx::query(
            "UPDATE dsrd.request SET state = 'closed', park_reason = NULL, outcome = 'superseded', reminds_of = $2,
               closed_at = now()
             WHERE request_id = $1",
        )
        .bind(request.0)
        .bind(first.request.0)
        .execute(&mut owner)
        .await;
        assert!(forged.is_err());
    }
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_12_another_ground_is_another_request() {
    let service = start().await;
    let _contact = service.platform.add_contact(person());
    let first = submit(&service, unproven(&service, RequestKind::Erasure, &[(Phone, NUMBER)])).await;
    service.work().await;
    let with_ground = |by: (IdentifierKind, &str)| Submission {
        ground: Some(ErasureGround::ConsentWithdrawn),
        ..unproven(&service, RequestKind::Erasure, &[by])
    };
    // By the number again, and by the address.
    for submission in [with_ground((Phone, NUMBER)), with_ground((Email, STORED))] {
        let own = submit(&service, submission).await;
        assert_eq!(own.reminds_of, None);
        work_only(&service).await;
        stands_by_itself(&service, &own, "another ground").await;
        withdraw(&service, own.request).await.unwrap();
    }
    withdraw(&service, first.request).await.unwrap();
    service.work().await;
    service.finish().await;
}

#[tokio::test]
async fn r_12_s_3_whoever_is_known_does_not_wait_for_what_nobody_knows_who_asked() {
    let service = start().await;
    let contact = service.platform.add_contact(person());
    let first = submit(&service, unproven(&service, RequestKind::Erasure, &[(Phone, NUMBER)])).await;
    service.work().await;
    let known = service.submit(RequestKind::Erasure, &[(Email, STORED)]).await;
    work_only(&service).await;
    for _ in 0..3 {
        service.advance(std::time::Duration::from_mins(1)).await;
        service.work().await;
    }
    assert_eq!(service.case(known.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    assert_eq!(service.case(first.request).await.state, RequestState::NeedsIdentity);
    withdraw(&service, first.request).await.unwrap();
    service.work().await;
    service.finish().await;
}

#[tokio::test]
async fn r_12_what_is_answered_is_not_reminded_of_and_no_death_loses_a_reminder() {
    let service = start().await;
    let _contact = service.platform.add_contact(person());
    // The answer is out, and whoever sent it died before that was written.
    let answered = service.submit(RequestKind::Access, &[(Email, STORED)]).await;
    service.pump().await;
    let dying = KillSwitch::new(|boundary| boundary == "close.written");
    assert_eq!(service.worker_with(dying, false).await.work_once().await.unwrap(), [Ended::Killed]);
    assert_ne!(service.case(answered.request).await.state, RequestState::Closed);
    let next = service.submit(RequestKind::Access, &[(Phone, NUMBER)]).await;
    work_only(&service).await;
    assert_eq!(service.case(next.request).await.outcome, Some(Outcome::Fulfilled));
    service.bury_workers().await;
    service.work_to_the_end().await;
    assert_eq!(service.case(answered.request).await.outcome, Some(Outcome::Fulfilled));

    let first = unanswered_access(&service, &[(Email, STORED)]).await;
    let reminder = service.submit(RequestKind::Access, &[(Phone, NUMBER)]).await;
    let ends = [("reminder.written", false), ("reminder.committed", true)];
    for (dies_at, is_written) in ends {
        let dying = KillSwitch::new(move |boundary| boundary == dies_at);
        assert_eq!(
            service.worker_with(dying, false).await.work_once().await.unwrap(),
            [Ended::Killed],
            "{dies_at}"
        );
        let closed = service.case(reminder.request).await.state == RequestState::Closed;
        assert_eq!(closed, is_written, "{dies_at}");
        service.bury_workers().await;
    }
    service.work_to_the_end().await;
    is_reminder_of(&service, &reminder, &first).await;
    let told = service.mails.sent_to(STORED);
    let told = told.iter().filter(|mail| mail.subject.contains(first.reference.as_str()));
    assert_eq!(told.count(), 2, "acknowledged at its receipt, and once more");
    service.finish().await;
}

#[tokio::test]
async fn r_12_s_5_a_stranger_learns_nothing_from_a_reminder_and_takes_nothing_over() {
    let service = start().await;
    let _asked_before = service.platform.add_contact(person());
    let _never_asked = service.platform.add_contact(
        ContactSpec::new().name("Canarino", "Due").email(OTHER_STORED).phone(OTHER_NUMBER).events(3),
    );
    let first = unanswered_access(&service, &[(Email, STORED)]).await;
    let before = format!("{:?}", service.case(first.request).await);
    let sent_before = service.mails.sent().len();
    service.clock.advance(TimeDelta::days(4));
    // A stranger types the number of each of them, with a mailbox of their own.
    let typed = |number: &str, mailbox: &str| {
        unproven(&service, RequestKind::Access, &[(Phone, number), (Email, mailbox)])
    };
    let about_first = typed(NUMBER, TYPED);
    let about_other = typed(OTHER_NUMBER, "canarino.terzo@casella.example");
    let receipts = [submit(&service, about_first.clone()).await, submit(&service, about_other.clone()).await];
    // Whichever is first, the work or the sending of the acknowledgement.
    work_only(&service).await;
    service.pump().await;
    is_reminder_of(&service, &receipts[0], &first).await;
    assert_eq!(service.case(receipts[1].request).await.outcome, Some(Outcome::Fulfilled));

    // Mailboxes, receipts and their repetition, and what a producer reads are alike.
    let masked = |mailbox: &str, receipt: &Receipt| {
        let mails = service.mails.sent_to(mailbox).into_iter();
        let text = |mail: dsrd::delivery::SentMail| format!("{}\n{}", mail.subject, mail.text.expose());
        mails.map(|mail| text(mail).replace(receipt.reference.as_str(), "DSR")).collect::<Vec<_>>()
    };
    let of_first = masked(TYPED, &receipts[0]);
    assert_eq!(of_first.len(), 1, "the acknowledgement");
    assert_eq!(of_first, masked("canarino.terzo@casella.example", &receipts[1]));
    for (submission, receipt) in [(about_first, &receipts[0]), (about_other, &receipts[1])] {
        let repeated = submit(&service, submission).await;
        assert_eq!(Receipt { repeated: false, ..repeated }, *receipt, "the same for a repetition");
        assert_eq!(receipt.due_on, receipts[1].due_on);
    }
    let read: Vec<(String, chrono::NaiveDate)> =
        sqlx::query_as("SELECT CASE WHEN assurance = 'none' THEN 'received' ELSE state END, due_on FROM dsrd.request WHERE request_id = ANY ($1)")
            .bind(receipts.iter().map(|receipt| receipt.request.0).collect::<Vec<_>>())
            .fetch_all(&mut *service.store.connection().await.unwrap())
            .await
            .unwrap();
    assert_eq!(read[0], read[1]);

    // The first is as it was; its person is told at their own address that somebody asked again.
    assert_eq!(format!("{:?}", service.case(first.request).await), before);
    assert_eq!(service.case(receipts[0].request).await.assurance, Assurance::None);
    let since: Vec<String> =
        service.mails.sent().split_off(sent_before).iter().map(|mail| mail.to.expose().clone()).collect();
    assert_eq!(since.iter().filter(|to| *to == STORED).count(), 1, "{since:?}");
    let mut tx = service.store.begin("test").await.unwrap();
    intake::resume(&mut tx, &service.desk, &service.controller.id, first.request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(first.request).await.outcome, Some(Outcome::Fulfilled));
    let handed_over: Vec<String> = service
        .mails
        .sent()
        .iter()
        .filter(|mail| mail.link.is_some())
        .map(|mail| mail.to.expose().clone())
        .collect();
    assert_eq!(handed_over, [OTHER_STORED, STORED]);

    // Nor does the report on their own data tell it, once there are any.
    let _stranger = service.platform.add_contact(ContactSpec::new().email(TYPED).events(1));
    let own = service.submit(RequestKind::Access, &[(Email, TYPED)]).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(own.request).await.outcome, Some(Outcome::Fulfilled));
    let files = package(&service, own.request).await;
    let report = &files.iter().find(|(name, _)| name == "report.json").unwrap().1;
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    let listed = report["records"]["requests"].as_array().unwrap();
    let typed = listed.iter().find(|record| record["reference"] == receipts[0].reference.as_str()).unwrap();
    assert_eq!(
        (&typed["outcome"], &typed["closed_at"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    for (name, content) in &files {
        assert!(!content.contains("superseded") && !content.contains(first.reference.as_str()), "{name}");
    }
    service.finish().await;
}

/// By the same identifiers a request is recognised at its receipt, before its contact is found.
async fn is_reminder_at_once(service: &TestService, receipt: &Receipt, first: &Receipt) {
    assert_eq!(receipt.reminds_of.as_ref(), Some(&first.reference));
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Superseded));
}

#[tokio::test]
async fn r_12_r_51_what_was_carried_out_and_waits_to_be_told_swallows_no_new_request() {
    let service = start().await;
    let contact = service.platform.add_contact(person().policy("mktgCommunications", true));
    let by_address = [(Email, STORED)];
    let objected = service.submit(RequestKind::OptOut, &by_address).await;
    service.pump().await;
    service.mails.plan(Plan::Reply(550), 1);
    work_only(&service).await;
    assert_eq!(service.case(objected.request).await.park_reason, Some(ParkReason::NoticeRefused));
    // They are in again by a checkbox, and object again.
    service.platform.set_policy(&contact, "mktgCommunications", true);
    let again = service.submit(RequestKind::OptOut, &by_address).await;
    assert_eq!(again.reminds_of, None);
    service.work_to_the_end().await;
    assert_eq!(service.case(again.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));

    // The profile has a number only: the erasure is done, and a person has to tell it. Then they come back.
    let by_number = [(Phone, OTHER_NUMBER)];
    let _first_visit = service.platform.add_contact(ContactSpec::new().phone(OTHER_NUMBER));
    let erased = service.submit(RequestKind::Erasure, &by_number).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(erased.request).await.park_reason, Some(ParkReason::NoContactPoint));
    let second_visit = service.platform.add_contact(ContactSpec::new().phone(OTHER_NUMBER));
    let again = service.submit(RequestKind::Erasure, &by_number).await;
    assert_eq!(again.reminds_of, None);
    service.work_to_the_end().await;
    assert!(!service.platform.truth(&second_visit).unwrap().exists);

    // As long as nothing was done, whoever asks again reminds.
    let third =
        service.platform.add_contact(ContactSpec::new().email(TYPED).policy("mktgCommunications", true));
    let waiting = service.submit(RequestKind::OptOut, &[(Email, TYPED)]).await;
    let reminder = service.submit(RequestKind::OptOut, &[(Email, TYPED)]).await;
    is_reminder_at_once(&service, &reminder, &waiting).await;
    service.work_to_the_end().await;
    assert_eq!(service.platform.truth(&third).unwrap().policy("mktgCommunications"), Some(false));
    service.finish().await;
}

#[tokio::test]
async fn r_12_what_is_decided_or_stands_against_a_newer_will_swallows_no_new_request() {
    let service = start().await;
    let by_address = [(Email, STORED)];
    // They signed up after they had asked to be forgotten, and ask again: that is the newest will.
    let earlier = service.submit(RequestKind::Erasure, &by_address).await;
    let signed_up = service.clock.now() + TimeDelta::minutes(5);
    let contact = service.platform.add_contact(person().created(signed_up));
    service.clock.advance(TimeDelta::hours(2));
    service.work_to_the_end().await;
    assert_eq!(service.case(earlier.request).await.park_reason, Some(ParkReason::NewerWill));
    let newest = service.submit(RequestKind::Erasure, &by_address).await;
    assert_eq!(newest.reminds_of, None);
    service.work_to_the_end().await;
    assert!(!service.platform.truth(&contact).unwrap().exists);

    // A person refused it because of two contacts, and nobody told the person yet.
    let by_number = [(Phone, OTHER_NUMBER)];
    for address in [OTHER_STORED, TYPED] {
        let _twin = service.platform.add_contact(ContactSpec::new().email(address).phone(OTHER_NUMBER));
    }
    let refused = service.submit(RequestKind::Access, &by_number).await;
    service.work_to_the_end().await;
    let reminder = service.submit(RequestKind::Access, &by_number).await;
    is_reminder_at_once(&service, &reminder, &refused).await;
    crate::cases::refuse(&service, refused.request, RefusalGround::IdentityNotConfirmed).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(refused.request).await.park_reason, Some(ParkReason::NoContactPoint));
    let anew = service.submit(RequestKind::Access, &by_number).await;
    assert_eq!(anew.reminds_of, None);
    assert_ne!(service.case(anew.request).await.state, RequestState::Closed);
    service.finish().await;
}

#[tokio::test]
async fn r_12_s_3_whoever_comes_with_a_proof_is_no_reminder_of_who_comes_without_one() {
    let service = start().await;
    let contact = service.platform.add_contact(person());
    let by_address = [(Email, STORED)];
    let first = submit(&service, unproven(&service, RequestKind::Erasure, &by_address)).await;
    service.work().await;
    assert_eq!(service.case(first.request).await.state, RequestState::NeedsIdentity);
    let reminder = submit(&service, unproven(&service, RequestKind::Erasure, &by_address)).await;
    is_reminder_at_once(&service, &reminder, &first).await;
    let proven = service.submit(RequestKind::Erasure, &by_address).await;
    assert_eq!(proven.reminds_of, None, "its proof would go unused");
    for _ in 0..4 {
        work_only(&service).await;
        service.advance(std::time::Duration::from_mins(1)).await;
    }
    assert_eq!(service.case(proven.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    withdraw(&service, first.request).await.unwrap();
    service.work().await;
    service.finish().await;
}
