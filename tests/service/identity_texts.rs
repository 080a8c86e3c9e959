//! Who asks, where the profile holds a telephone number and no address: a code in a text message.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dsrd::domain::IdentifierKind::{Email, Phone, Username};
use dsrd::domain::{
    IdentityRules, Outcome, ParkReason, Personal, RequestId, RequestKind, RequestState, TextMessages,
};
use dsrd::identity::{self, CodeAnswer, CodeCheck};
use dsrd::intake;
use dsrd_simulator::{ContactSpec, Endpoint};
use serde_json::Value;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::identity::{NUMBER, TYPED, dpo, page, submit};
use crate::rig::count;
use crate::support::oracle::{self, Posted};
use crate::support::service::TestService;
use crate::support::settings::GATEWAY_SECRET;
use crate::undelivered::informed;

/// The number as it is kept.
const E164: &str = "+393331234567";

/// A gateway that answers as planned, then always takes what it gets; what it took it would have sent.
#[derive(Clone, Default)]
struct Gateway {
    planned: Arc<Mutex<Vec<u16>>>,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Respond for Gateway {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let header = |name: &str| request.headers.get(name).unwrap().to_str().unwrap().to_owned();
        let made = dsrd::webhook::signature(
            GATEWAY_SECRET,
            header("dsrd-timestamp").parse().unwrap(),
            &request.body,
        );
        assert_eq!(header("dsrd-signature"), format!("v1={made}"), "the gateway knows who calls");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["message"], header("dsrd-message"));
        let status = self.planned.lock().unwrap().pop().unwrap_or(202);
        if (200..300).contains(&status) {
            self.taken.lock().unwrap().push(body);
        }
        ResponseTemplate::new(status)
    }
}

impl Gateway {
    fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    /// The code in the latest message.
    fn code(&self) -> String {
        let last = self.taken().pop().expect("a message");
        let (_, rest) = last["text"].as_str().unwrap().split_once("the code ").expect("a code");
        rest[..9].to_owned()
    }

    /// What it took, for the oracle.
    fn posted(&self) -> Vec<Posted> {
        let posted = |body: Value| Posted {
            message_id: body["message"].as_str().unwrap().to_owned(),
            to: body["to"].as_str().unwrap().to_owned(),
            raw: body["text"].as_str().unwrap().as_bytes().to_vec(),
        };
        self.taken().into_iter().map(posted).collect()
    }
}

/// A service whose controller has a gateway for text messages.
async fn start() -> (TestService, Gateway, MockServer) {
    let (server, gateway) = (MockServer::start().await, Gateway::default());
    Mock::given(method("POST")).respond_with(gateway.clone()).mount(&server).await;
    let texts = TextMessages {
        url: format!("{}/texts", server.uri()),
        secret_file: "unused".into(),
        allow_private_address: Some(true),
    };
    let rules = IdentityRules { text_messages: Some(texts), ..IdentityRules::default() };
    (TestService::builder().identity(rules).build().await, gateway, server)
}

async fn finish(service: TestService, gateway: &Gateway) {
    let mut posted: Vec<Posted> = service.mails.sent().into_iter().map(Posted::from).collect();
    posted.extend(gateway.posted());
    oracle::check_with(&service, posted, Vec::new()).await;
    service.simulator.shutdown().await;
    service.store.close().await;
}

fn without_address() -> ContactSpec {
    ContactSpec::new().name("Canarino", "Prova").username("canarino88").phone(NUMBER).events(3)
}

async fn ask(service: &TestService, request: RequestId) {
    service.work().await;
    service.pump().await;
    assert_eq!(service.case(request).await.state, RequestState::NeedsIdentity);
}

async fn type_in(service: &TestService, receipt: &intake::Receipt, code: &str) -> CodeAnswer {
    let code = Personal::new(code.to_owned());
    page(service).confirm_by_code(receipt.reference.as_str(), &code).await.unwrap()
}

#[tokio::test]
async fn r_18_who_has_no_address_on_record_is_asked_by_a_code_at_their_number() {
    let (service, gateway, _server) = start().await;
    let contact = service.platform.add_contact(without_address());
    let receipt = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    ask(&service, receipt.request).await;
    let [message] = <[Value; 1]>::try_from(gateway.taken()).unwrap();
    assert_eq!((&message["form"], &message["organisation"]), (&"dsrd-text/1".into(), &"main".into()));
    assert_eq!((&message["to"], &message["language"]), (&E164.into(), &"en".into()));
    let text = message["text"].as_str().unwrap();
    assert!(
        text.contains(receipt.reference.as_str()) && text.contains("https://privacy.prova.example/identity,"),
        "{text}"
    );
    assert!(!text.to_lowercase().contains("canarino") && !text.contains(E164), "{text}");
    assert!(service.platform.truth(&contact).unwrap().exists, "nothing is done before the proof");

    assert!(matches!(type_in(&service, &receipt, &gateway.code()).await, CodeAnswer::Confirmed(_)));
    service.work().await;
    // Done and read back; how the person is told is found out by a person, and nothing ends before that.
    assert_eq!(service.simulator.journal().deleted_contacts(), [contact]);
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoContactPoint));
    informed(&service, receipt.request).await.unwrap();
    service.work().await;
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    // What was sent is proven as a mail is: by the name of its text and a digest without the code.
    let proven = "SELECT count(*) FROM dsrd.notice WHERE kind = 'identity_request' AND state = 'sent'
                    AND template = 'identity_text/en/1' AND length(text_sha256) = 32 AND last_code = 'http_202'";
    assert_eq!(count(&service, proven).await, 1);
    finish(service, &gateway).await;
}

#[tokio::test]
async fn s_1_a_code_goes_to_the_number_on_record_and_never_to_one_that_was_typed() {
    let (service, gateway, _server) = start().await;
    let contact = service.platform.add_contact(without_address());
    let receipt = submit(
        &service,
        RequestKind::Access,
        &[(Username, "canarino88"), (Phone, "+39 333 7654321"), (Email, TYPED)],
        None,
    )
    .await;
    ask(&service, receipt.request).await;
    assert_eq!(service.simulator.journal().calls(Endpoint::ContactEvents), 0, "nothing is collected before");
    let to: Vec<String> =
        gateway.taken().iter().map(|each| each["to"].as_str().unwrap().to_owned()).collect();
    assert_eq!(to, [E164]);
    assert!(matches!(type_in(&service, &receipt, &gateway.code()).await, CodeAnswer::Confirmed(_)));
    service.work().await;
    // The package is made. There is no address on record to which its link could go: a person hands it over.
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::NoContactPoint));
    assert!(service.mails.sent().iter().all(|mail| mail.link.is_none()));
    assert_eq!(gateway.taken().len(), 1, "one question, and nothing else goes to a telephone");
    assert!(service.platform.truth(&contact).unwrap().exists);
    finish(service, &gateway).await;
}

#[tokio::test]
async fn r_18_an_address_on_record_is_asked_before_a_number() {
    let (service, gateway, _server) = start().await;
    let _contact = service.platform.add_contact(without_address().email("canarino@posta.example"));
    let receipt = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    ask(&service, receipt.request).await;
    assert!(gateway.taken().is_empty());
    assert!(service.mails.sent().iter().any(|mail| mail.link.is_some()));
    finish(service, &gateway).await;
}

#[tokio::test]
async fn r_18_a_gateway_that_is_away_is_tried_again_with_the_same_message_and_a_refused_number_is_a_persons()
{
    let (service, gateway, server) = start().await;
    let _contact = service.platform.add_contact(without_address());
    *gateway.planned.lock().unwrap() = vec![429, 503];
    let receipt = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    ask(&service, receipt.request).await;
    for _ in 0..2 {
        service.advance(Duration::from_mins(2)).await;
        service.pump().await;
    }
    let calls = server.received_requests().await.unwrap();
    assert_eq!((calls.len(), gateway.taken().len()), (3, 1));
    let ids: std::collections::BTreeSet<_> = calls
        .iter()
        .map(|call| call.headers.get("dsrd-message").unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1, "the gateway can tell a repetition");
    assert!(matches!(type_in(&service, &receipt, &gateway.code()).await, CodeAnswer::Confirmed(_)));
    service.work().await;

    let other = service.platform.add_contact(ContactSpec::new().phone("+39 333 7654321"));
    *gateway.planned.lock().unwrap() = vec![422];
    let refused = submit(&service, RequestKind::Erasure, &[(Phone, "+39 333 7654321")], None).await;
    ask(&service, refused.request).await;
    service.advance(Duration::from_hours(73)).await;
    service.work().await;
    assert_eq!(service.case(refused.request).await.park_reason, Some(ParkReason::NoticeRefused));
    assert!(service.platform.truth(&other).unwrap().exists);
    finish(service, &gateway).await;
}

#[tokio::test]
async fn r_18_who_answers_no_text_message_is_told_by_a_person_and_nothing_ends_silently() {
    let (service, gateway, _server) = start().await;
    let contact = service.platform.add_contact(without_address());
    let receipt = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await;
    ask(&service, receipt.request).await;
    let first = gateway.code();
    // The reminder is a text message, too, and staff can send another.
    service.advance(Duration::from_hours(73)).await;
    service.work().await;
    service.pump().await;
    assert_eq!(gateway.taken().len(), 2);
    assert_ne!(gateway.code(), first);
    let mut tx = service.store.begin("test").await.unwrap();
    identity::ask_again(&mut tx, &service.desk, &service.controller, receipt.request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
    service.pump().await;
    assert_eq!(gateway.taken().len(), 3);
    let mut tx = service.store.begin("test").await.unwrap();
    let told = Personal::new(first);
    let checked =
        identity::record_code(&mut tx, &service.desk, &service.controller, receipt.request, &told, dpo())
            .await;
    tx.commit().await.unwrap();
    assert_eq!(checked.unwrap(), CodeCheck::Wrong(4), "the first has expired");
    service.advance(Duration::from_hours(24 * 14)).await;
    service.work().await;
    assert_eq!(service.case(receipt.request).await.park_reason, Some(ParkReason::IdentityUnproven));
    assert!(service.platform.truth(&contact).unwrap().exists);
    finish(service, &gateway).await;
}
