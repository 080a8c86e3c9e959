//! The code that stands for a link: typed on a page that everybody can open, or told to staff (R-18, S-2, S-5).

use std::time::Duration;

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, Personal, RequestId, RequestKind, RequestState};
use dsrd::identity::{self, CodeAnswer, CodeCheck, Confirmation, IdentityError};
use futures_util::future::join_all;

use crate::identity::{STORED, asked, confirm, dpo, page, person, secret, submit};
use crate::rig::count;
use crate::support::service::TestService;

/// The code in the latest message to the person.
pub(crate) fn code(service: &TestService) -> String {
    let mail = service.mails.sent().pop().expect("a mail");
    let (_, rest) = mail.text.expose().split_once("Code: ").expect("the mail names a code");
    rest.lines().next().unwrap_or_default().trim().to_owned()
}

/// The same code with its last digit changed.
fn another(code: &str, by: u32) -> String {
    let last = code.chars().last().and_then(|last| last.to_digit(10)).expect("a digit");
    format!("{}{}", &code[..code.len() - 1], (last + by) % 10)
}

async fn look(service: &TestService, reference: &str, code: &str) -> CodeAnswer {
    page(service).look_by_code(reference, &Personal::new(code.to_owned())).await.unwrap()
}

async fn type_in(service: &TestService, reference: &str, code: &str) -> CodeAnswer {
    page(service).confirm_by_code(reference, &Personal::new(code.to_owned())).await.unwrap()
}

pub(crate) async fn tell(
    service: &TestService,
    request: RequestId,
    code: &str,
) -> Result<CodeCheck, IdentityError> {
    let mut tx = service.store.begin("test").await.unwrap();
    let code = Personal::new(code.to_owned());
    let checked =
        identity::record_code(&mut tx, &service.desk, &service.controller, request, &code, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(checked)
}

#[tokio::test]
async fn r_18_a_code_proves_what_its_link_proves_works_once_and_is_stored_nowhere() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let secret = asked(&service, receipt.request).await;
    let code = code(&service);
    assert!(code.len() == 9 && code.as_bytes()[4] == b' ', "eight digits that can be read out: {code}");
    let stored: Vec<String> = {
        let mut connection = service.store.connection().await.unwrap();
        sqlx::query_scalar(
            "SELECT to_jsonb(link)::text FROM dsrd.proof_link AS link UNION ALL SELECT to_jsonb(notice)::text FROM dsrd.notice",
        )
        .fetch_all(&mut *connection)
        .await
        .unwrap()
    };
    let bare = code.replace(' ', "");
    assert!(stored.len() >= 2 && stored.iter().all(|row| !row.contains(&bare) && !row.contains(&code)));

    // Looking shows what would happen and changes nothing; the reference is read as people type it.
    let reference = receipt.reference.to_string();
    for typed in [reference.clone(), reference.to_lowercase(), reference.replace('-', "")] {
        let CodeAnswer::Shown(landing) = look(&service, &typed, &bare).await else { panic!("{typed}") };
        assert!(landing.consequences.iter().any(|line| line.contains("cannot be undone")), "R-25");
    }
    assert_eq!(service.case(receipt.request).await.state, RequestState::NeedsIdentity);
    assert!(service.platform.truth(&contact).unwrap().exists);

    assert!(matches!(type_in(&service, &reference, &code).await, CodeAnswer::Confirmed(_)));
    assert_eq!(type_in(&service, &reference, &code).await, CodeAnswer::NoSuchCode, "used");
    assert_eq!(confirm(&service, &secret, STORED).await, Confirmation::NoSuchLink, "its link is used, too");
    let method = "SELECT count(*) FROM dsrd.identity_proof WHERE method = 'code' AND assurance = 'verified_channel_loop'";
    assert_eq!(count(&service, method).await, 1);
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_18_a_code_expires_with_its_link_and_is_for_its_request_only() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let one = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    asked(&service, one.request).await;
    let code_of_one = code(&service);
    let _other_contact =
        service.platform.add_contact(person().email("cardellino@posta.example").phone("+39 333 7654321"));
    let other = submit(&service, RequestKind::Erasure, &[(Email, "cardellino@posta.example")], None).await;
    service.work().await;
    service.pump().await;
    assert_eq!(type_in(&service, other.reference.as_str(), &code_of_one).await, CodeAnswer::NoSuchCode);
    // A used link of the same contact point ends nothing of the other request.
    service.advance(Duration::from_hours(73)).await;
    assert_eq!(look(&service, one.reference.as_str(), &code_of_one).await, CodeAnswer::NoSuchCode, "expired");
    assert_eq!(
        type_in(&service, one.reference.as_str(), &code_of_one).await,
        CodeAnswer::NoSuchCode,
        "expired"
    );
    assert_eq!(tell(&service, one.request, &code_of_one).await.unwrap(), CodeCheck::NoneWorks);
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.identity_proof").await, 0);
    service.finish().await;
}

#[tokio::test]
async fn s_2_five_wrong_codes_end_the_codes_of_a_request_however_many_guess_at_once() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let secret = asked(&service, receipt.request).await;
    let (reference, code) = (receipt.reference.to_string(), code(&service));
    // What is no code at all is no guess.
    for none in ["", "1234", "abcd efgh", "123456789"] {
        assert_eq!(look(&service, &reference, none).await, CodeAnswer::NoSuchCode);
    }
    assert_eq!(count(&service, "SELECT sum(wrong_codes) FROM dsrd.proof_link").await, 0);
    // Both pages take guesses, and count the same.
    let guesses = (1..10).map(|by| another(&code, by)).collect::<Vec<_>>();
    let looked = join_all(guesses[..6].iter().map(|guess| look(&service, &reference, guess)));
    let typed = join_all(guesses[6..].iter().map(|guess| type_in(&service, &reference, guess)));
    let (looked, typed) = tokio::join!(looked, typed);
    assert!(looked.iter().chain(&typed).all(|answer| *answer == CodeAnswer::NoSuchCode));
    let story = service.story(receipt.request).await;
    assert_eq!(story.iter().filter(|action| *action == "identity.refused").count(), 5);
    assert_eq!(
        look(&service, &reference, &code).await,
        CodeAnswer::NoSuchCode,
        "the right one comes too late"
    );
    assert_eq!(type_in(&service, &reference, &code).await, CodeAnswer::NoSuchCode);
    assert!(service.platform.truth(&contact).unwrap().exists);
    // Whoever guesses takes nothing from the person: their link works.
    assert!(matches!(confirm(&service, &secret, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn s_2_of_many_codes_typed_at_once_one_counts() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    let secret = asked(&service, receipt.request).await;
    let (reference, code) = (receipt.reference.to_string(), code(&service));
    let typed = join_all((0..6).map(|_| type_in(&service, &reference, &code)));
    let clicked = join_all((0..3).map(|_| confirm(&service, &secret, STORED)));
    let (typed, clicked) = tokio::join!(typed, clicked);
    let by_code = typed.iter().filter(|each| matches!(each, CodeAnswer::Confirmed(_))).count();
    let by_link = clicked.iter().filter(|each| matches!(each, Confirmation::Confirmed(_))).count();
    assert_eq!(by_code + by_link, 1, "{typed:?} {clicked:?}");
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.identity_proof").await, 1);
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}

#[tokio::test]
async fn r_18_staff_take_a_code_on_the_telephone_and_cannot_invent_one() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    asked(&service, receipt.request).await;
    let code = code(&service);
    let refused = tell(&service, receipt.request, "12 34").await.unwrap_err();
    assert!(matches!(refused, IdentityError::NoCode), "{refused}");
    assert_eq!(tell(&service, receipt.request, &another(&code, 1)).await.unwrap(), CodeCheck::Wrong(4));
    assert_eq!(tell(&service, receipt.request, &another(&code, 2)).await.unwrap(), CodeCheck::Wrong(3));
    assert!(service.platform.truth(&contact).unwrap().exists);
    assert_eq!(tell(&service, receipt.request, &code).await.unwrap(), CodeCheck::Proven);
    assert_eq!(tell(&service, receipt.request, &code).await.unwrap(), CodeCheck::NoneWorks, "used");
    let log = service.audit().await;
    let proven = log.iter().find(|entry| entry.action == "identity.proven").unwrap();
    assert_eq!((proven.actor.as_str(), &proven.detail["method"]), ("person:dpo", &serde_json::json!("code")));
    service.work_to_the_end().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    // Nothing of a code stands in the log, right or wrong.
    let said = log.iter().map(|entry| entry.detail.to_string()).collect::<String>();
    assert!(!said.contains(&code.replace(' ', "")) && !said.contains(&code));
    // A request for which nobody was asked has none.
    let unasked = submit(&service, RequestKind::Access, &[(Email, "nessuno@posta.example")], None).await;
    assert_eq!(tell(&service, unasked.request, &code).await.unwrap(), CodeCheck::NoneWorks);
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn r_18_each_message_has_a_code_of_its_own() {
    let service = TestService::start().await;
    let contact = service.platform.add_contact(person());
    let receipt = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await;
    asked(&service, receipt.request).await;
    let first = code(&service);
    let mut tx = service.store.begin("test").await.unwrap();
    identity::ask_again(&mut tx, &service.desk, &service.controller, receipt.request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.pump().await;
    let second = code(&service);
    assert_ne!(first, second);
    // Both work, as both links do, until one is used; a wrong code counts against both.
    let reference = receipt.reference.to_string();
    assert_eq!(look(&service, &reference, &another(&second, 1)).await, CodeAnswer::NoSuchCode);
    assert_eq!(count(&service, "SELECT sum(wrong_codes) FROM dsrd.proof_link").await, 2);
    assert!(matches!(look(&service, &reference, &second).await, CodeAnswer::Shown(_)));
    assert!(matches!(type_in(&service, &reference, &first).await, CodeAnswer::Confirmed(_)));
    assert_eq!(type_in(&service, &reference, &second).await, CodeAnswer::NoSuchCode);
    assert_eq!(confirm(&service, &secret(&service), STORED).await, Confirmation::NoSuchLink);
    service.work_to_the_end().await;
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    service.finish().await;
}
