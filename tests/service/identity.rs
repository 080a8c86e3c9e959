//! Who asks: the matrix and the link (R-16 to R-25, S-1, S-2). The waiting for the answer, tests `identity_wait`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::delivery::SentMail;
use dsrd::domain::IdentifierKind::{self, Email, Phone, Username};
use dsrd::domain::{
    Assurance, IdentityDoubt, IdentityMethod, IdentityRules, Outcome, ParkReason, Personal, Proof, RequestId,
    RequestKind, RequestState,
};
use dsrd::identity::{self, Confirmation, IdentityError, ProofPage};
use dsrd::intake::{self, Receipt};
use dsrd_simulator::{ContactSpec, Endpoint};
use sqlx::Connection as _;

use crate::rig::count;
use crate::support::service::TestService;

/// The address in the profile.
pub(crate) const STORED: &str = "canarino@posta.example";
/// An address that somebody types who may be anybody.
pub(crate) const TYPED: &str = "canarino.altro@casella.example";
pub(crate) const NUMBER: &str = "+39 333 1234567";

pub(crate) fn person() -> ContactSpec {
    ContactSpec::new().name("Canarino", "Prova").email(STORED).phone(NUMBER).events(3)
}

pub(crate) fn dpo() -> Actor {
    Actor::Person("dpo".to_owned())
}

/// Hands in a request of somebody of whom so much is known.
pub(crate) async fn submit(
    service: &TestService,
    kind: RequestKind,
    identifiers: &[(IdentifierKind, &str)],
    proof: Option<Proof>,
) -> Receipt {
    let submission = intake::Submission { proof, ..service.submission(kind, identifiers) };
    intake::submit_request(&service.store, &service.desk, &service.controller, submission).await.unwrap()
}

fn proof(service: &TestService, assurance: Assurance, hours_ago: i64) -> Proof {
    Proof { assurance, at: service.desk.clock.now() - TimeDelta::hours(hours_ago) }
}

pub(crate) fn page(service: &TestService) -> ProofPage {
    let controllers: BTreeMap<_, _> =
        service.executor.sites.iter().map(|(id, site)| (id.clone(), Arc::clone(&site.controller))).collect();
    ProofPage::new(service.store.clone(), service.desk.clone(), controllers)
}

/// The mails that ask who somebody is.
pub(crate) fn questions(service: &TestService) -> Vec<SentMail> {
    let mut sent = service.mails.sent();
    sent.retain(|mail| mail.link.is_some() && mail.text.expose().contains("/identity/"));
    sent
}

/// The secret of the latest link.
pub(crate) fn secret(service: &TestService) -> String {
    questions(service).pop().expect("somebody was asked").link.expect("a link").into_exposed()
}

pub(crate) async fn confirm(service: &TestService, secret: &str, answer: &str) -> Confirmation {
    page(service).confirm(secret, &Personal::new(answer.to_owned())).await.unwrap()
}

/// Works, sends the question, and returns the secret of its link.
pub(crate) async fn asked(service: &TestService, request: RequestId) -> String {
    service.work().await;
    service.pump().await;
    assert_eq!(service.case(request).await.state, RequestState::NeedsIdentity);
    secret(service)
}

pub(crate) async fn check(
    service: &TestService,
    request: RequestId,
    method: IdentityMethod,
) -> Result<(), IdentityError> {
    let mut tx = service.store.begin("test").await.unwrap();
    identity::record_check(&mut tx, &service.desk, &service.controller, request, method, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

pub(crate) async fn ask_again(service: &TestService, request: RequestId) -> Result<(), IdentityError> {
    let mut tx = service.store.begin("test").await.unwrap();
    identity::ask_again(&mut tx, &service.desk, &service.controller, request, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn s_1_r_18_whoever_names_another_address_is_asked_at_the_one_in_the_profile() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, TYPED), (Phone, NUMBER)], None).await;
    // An erasure stops for a person where the profile holds another address than the one given.
    service.work().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::IdentifiersDisagree));
    let access = submit(&service, RequestKind::Access, &[(Email, TYPED), (Phone, NUMBER)], None).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(access.request).await.outcome, Some(Outcome::Fulfilled));
    let by_phone = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    let secret = asked(&service, by_phone.request).await;
    for mail in service.mails.sent() {
        let text = format!("{}{}", mail.text.expose(), String::from_utf8_lossy(mail.raw.expose()));
        if mail.to.expose() == TYPED {
            assert!(
                mail.link.is_none(),
                "nothing that opens anything goes to an address that was merely typed"
            );
            assert!(!text.contains(STORED));
        } else {
            assert_eq!(mail.to.expose(), STORED);
            assert!(!text.contains(TYPED), "not as a copy either");
        }
    }
    assert!(service.platform.truth(&contact).unwrap().exists, "nothing is done before the proof");
    assert!(matches!(confirm(&service, &secret, NUMBER).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert_eq!(service.case(by_phone.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_16_who_is_signed_in_is_not_asked_and_who_is_asked_is_asked_for_a_reason() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let known = Some(proof(&service, Assurance::AuthenticatedSession, 1));
    let access = submit(&service, RequestKind::Access, &[(Email, STORED)], known).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(access.request).await.outcome, Some(Outcome::Fulfilled));
    assert!(!service.story(access.request).await.iter().any(|action| action.starts_with("identity.")));

    let erasure = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    asked(&service, erasure.request).await;
    assert_eq!(service.case(erasure.request).await.identity_doubt, Some(IdentityDoubt::NoProof));
    let log = service.audit().await;
    let wanted = log.iter().find(|entry| entry.action == "identity.wanted").unwrap();
    assert_eq!(wanted.detail["doubt"], "no_proof");
    // The database knows no waiting without a doubt and an end.
    let mut connection = service.store.connection().await.unwrap();
    let refused = sqlx::query("UPDATE dsrd.request SET identity_doubt = NULL WHERE state = 'needs_identity'")
        .execute(&mut *connection)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("identity_is_wanted_with_an_end"), "{refused}");
    drop(connection);
    service.finish().await;
}

#[tokio::test]
async fn r_17_the_database_has_no_place_for_a_document() {
    let service = TestService::start().await;
    let mut owner = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT table_name || '.' || column_name FROM information_schema.columns
         WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(columns.iter().any(|column| column == "identity_proof.method"), "all columns are seen");
    let suspicious =
        ["passport", "id_card", "identity_card", "ssn", "document", "image", "photo", "attachment"];
    for column in &columns {
        let words: Vec<&str> = column.split(['.', '_']).collect();
        for word in suspicious {
            assert!(!column.contains(word) || (word == "ssn" && !words.contains(&word)), "{column}");
        }
    }
    service.finish().await;
}

#[tokio::test]
async fn r_18_s_2_a_link_is_hashed_at_rest_expires_and_works_once_for_its_request() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let secret = asked(&service, receipt.request).await;
    assert_eq!(secret.len(), 64, "256 bits");
    let stored: Vec<String> = {
        let mut connection = service.store.connection().await.unwrap();
        sqlx::query_scalar(
            "SELECT to_jsonb(link)::text FROM dsrd.proof_link AS link UNION ALL SELECT to_jsonb(notice)::text FROM dsrd.notice",
        )
        .fetch_all(&mut *connection)
        .await
        .unwrap()
    };
    assert!(stored.len() >= 3 && stored.iter().all(|row| !row.contains(&secret)), "only its hash is kept");

    // Guesses, and what differs in one digit.
    let mut other = secret.clone().into_bytes();
    other[63] = if other[63] == b'0' { b'1' } else { b'0' };
    let mut guesses = vec![String::from_utf8(other).unwrap(), secret.to_uppercase(), secret[..63].to_owned()];
    guesses.extend((0..500).map(|_| dsrd::domain::random::token()));
    for guess in &guesses {
        assert_eq!(confirm(&service, guess, STORED).await, Confirmation::NoSuchLink);
    }
    assert_eq!(count(&service, "SELECT sum(wrong_answers) FROM dsrd.proof_link").await, 0);

    // Looking changes nothing, however often.
    for _ in 0..3 {
        let landing = page(&service).look(&secret).await.unwrap().unwrap();
        assert!(landing.consequences.iter().any(|line| line.contains("cannot be undone")), "R-25");
    }
    assert_eq!(service.case(receipt.request).await.state, RequestState::NeedsIdentity);
    service.advance(Duration::from_hours(73)).await;
    assert_eq!(page(&service).look(&secret).await.unwrap(), None, "expired");
    assert_eq!(confirm(&service, &secret, STORED).await, Confirmation::NoSuchLink);

    // The reminder carries a link of its own.
    service.work().await;
    service.pump().await;
    let second = self::secret(&service);
    assert_ne!(secret, second);
    assert!(matches!(confirm(&service, &second, STORED).await, Confirmation::Confirmed(_)));
    assert_eq!(confirm(&service, &second, STORED).await, Confirmation::NoSuchLink, "used");
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn s_2_five_wrong_answers_lock_a_link_whichever_process_is_asked() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let secret = asked(&service, receipt.request).await;
    let pages = [page(&service), page(&service)];
    let answer = |text: &str| Personal::new(text.to_owned());
    for empty in ["", "   "] {
        let said = pages[0].confirm(&secret, &answer(empty)).await.unwrap();
        assert!(matches!(said, Confirmation::Unproven { tries_left: None, .. }), "no try");
    }
    for (number, left) in [(0, 4), (1, 3), (2, 2), (3, 1)] {
        let said = pages[number % 2].confirm(&secret, &answer("eve@people.example")).await.unwrap();
        assert!(matches!(said, Confirmation::Unproven { tries_left: Some(tries), .. } if tries == left));
    }
    assert_eq!(pages[0].confirm(&secret, &answer("+39 333 7654321")).await.unwrap(), Confirmation::Locked);
    for page in &pages {
        assert_eq!(page.confirm(&secret, &answer(STORED)).await.unwrap(), Confirmation::NoSuchLink);
        assert_eq!(page.look(&secret).await.unwrap(), None);
    }
    let story = service.story(receipt.request).await;
    assert_eq!(story.iter().filter(|action| *action == "identity.refused").count(), 5);
    assert!(service.platform.truth(&contact).unwrap().exists);
    // Staff may send another one; what was locked stays locked.
    ask_again(&service, receipt.request).await.unwrap();
    service.pump().await;
    let second = self::secret(&service);
    assert_eq!(confirm(&service, &secret, STORED).await, Confirmation::NoSuchLink);
    assert!(matches!(confirm(&service, &second, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn s_2_of_many_confirmations_at_once_one_counts() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let secret = asked(&service, receipt.request).await;
    let said = futures_util::future::join_all((0..8).map(|_| confirm(&service, &secret, STORED))).await;
    let confirmed = said.iter().filter(|each| matches!(each, Confirmation::Confirmed(_))).count();
    assert_eq!(confirmed, 1, "{said:?}");
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.identity_proof").await, 1);
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_19_details_that_others_may_know_open_nothing() {
    // By default the hand-over is the loop: the package goes to the profile's own address and nowhere else.
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let details = Some(proof(&service, Assurance::MatchedData, 1));
    let access = submit(&service, RequestKind::Access, &[(Phone, NUMBER)], details).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(access.request).await.outcome, Some(Outcome::Fulfilled));
    let link = service.mails.sent().into_iter().find(|mail| mail.link.is_some()).unwrap();
    assert_eq!(link.to.expose(), STORED);
    service.finish().await;

    // Where the profile has no address, nobody is given anything on the strength of details.
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(ContactSpec::new().phone(NUMBER).events(3));
    let details = Some(proof(&service, Assurance::MatchedData, 1));
    let access = submit(&service, RequestKind::Access, &[(Phone, NUMBER)], details).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(access.request).await.park_reason, Some(ParkReason::IdentityUnproven));
    assert_eq!(service.simulator.journal().calls(Endpoint::ContactEvents), 0, "nothing was collected");
    service.finish().await;

    // Where the hand-over does not count, the person is asked before anything is collected.
    let rules = IdentityRules { access_by_hand_over: false, ..IdentityRules::default() };
    let service = TestService::builder().identity(rules).build().await;
    let _contact = service.platform.add_contact(person());
    let details = Some(proof(&service, Assurance::MatchedData, 1));
    let access = submit(&service, RequestKind::Access, &[(Email, STORED)], details).await;
    let secret = asked(&service, access.request).await;
    assert_eq!(service.case(access.request).await.identity_doubt, Some(IdentityDoubt::NotEnough));
    assert_eq!(service.simulator.journal().calls(Endpoint::ContactEvents), 0, "nothing was collected");
    assert!(matches!(confirm(&service, &secret, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert_eq!(service.case(access.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn r_20_an_opt_out_needs_no_proof_and_waits_for_none() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person().policy("mktgCommunications", true));
    let receipt = submit(&service, RequestKind::OptOut, &[(Phone, NUMBER)], None).await;
    service.work().await;
    assert_eq!(service.platform.truth(&contact).unwrap().policy("mktgCommunications"), Some(false));
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    let open = submit(&service, RequestKind::OptOut, &[(Phone, NUMBER)], None).await;
    let mut connection = service.store.connection().await.unwrap();
    let refused = sqlx::query(
        "UPDATE dsrd.request SET state = 'needs_identity', identity_doubt = 'no_proof', identity_wanted_at = now(),
           identity_until = now()
         WHERE request_id = $1",
    )
    .bind(open.request.0)
    .execute(&mut *connection)
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("an_opt_out_needs_no_identity"), "{refused}");
    drop(connection);
    service.work().await;
    service.finish().await;
}

#[tokio::test]
async fn r_21_a_profile_without_a_name_is_enough() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(ContactSpec::new().username("canarino88").email(STORED));
    let receipt = submit(&service, RequestKind::Erasure, &[(Username, "canarino88")], None).await;
    let secret = asked(&service, receipt.request).await;
    let Confirmation::Confirmed(_) = confirm(&service, &secret, "canarino88").await else {
        panic!("the user name is what the request was made with")
    };
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_22_several_matches_are_a_persons_to_choose_and_nobody_is_asked_before() {
    let service = TestService::start().await;
    let _one = service.platform.add_contact(person());
    let _other =
        service.platform.add_contact(ContactSpec::new().email("canarino@altra.example").phone(NUMBER));
    let receipt = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::AmbiguousMatch));
    assert!(questions(&service).is_empty());
    // Nobody found, and the answer tells its recipient of nobody but themselves: it is given at once.
    let unknown = submit(&service, RequestKind::Erasure, &[(Email, TYPED)], None).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(unknown.request).await.outcome, Some(Outcome::FulfilledNoData));
    service.finish().await;
}

#[tokio::test]
async fn r_24_an_agents_authority_is_enough_only_where_the_controller_says_so() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let agent = Some(proof(&service, Assurance::AgentProof, 1));
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], agent).await;
    asked(&service, receipt.request).await;
    let refused = check(&service, receipt.request, IdentityMethod::AgentAuthority).await.unwrap_err();
    assert!(matches!(refused, IdentityError::NotEnough { doubt: IdentityDoubt::NotEnough, .. }), "{refused}");
    service.finish().await;

    let mut rules = IdentityRules::default();
    rules.erasure.push(Assurance::AgentProof);
    let service = TestService::builder().identity(rules).build().await;
    let _contact = service.platform.add_contact(person());
    let agent = Some(proof(&service, Assurance::AgentProof, 1));
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], agent).await;
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn r_25_a_proof_of_ten_days_ago_is_asked_for_anew_before_a_deletion() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let old = Some(proof(&service, Assurance::AuthenticatedSession, 240));
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], old).await;
    let secret = asked(&service, receipt.request).await;
    assert_eq!(service.case(receipt.request).await.identity_doubt, Some(IdentityDoubt::TooOld));
    assert!(matches!(confirm(&service, &secret, STORED).await, Confirmation::Confirmed(_)));
    // It may also grow old on the way: the platform was away for two days.
    service
        .simulator
        .faults()
        .inject(dsrd_simulator::Fault::Status(500).on(Endpoint::DeleteContact).times(1));
    service.advance(Duration::from_hours(48)).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.state, RequestState::NeedsIdentity);
    assert!(service.platform.truth(&contact).unwrap().exists);
    service.simulator.faults().clear();
    service.pump().await;
    let again = self::secret(&service);
    assert!(matches!(confirm(&service, &again, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}
