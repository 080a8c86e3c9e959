//! recipients are named to people, and told of erasures and opt-outs.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate, TimeDelta};
use dsrd::audit::Actor;
use dsrd::delivery::{MemoryTransport, Transport};
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Clock as _, KillSwitch, Outcome, RequestId, RequestKind, RequestState};
use dsrd::intake;
use dsrd::recipients::{
    self, ChannelKind, Courier, GiveUpReason, Recipient, Role, Secrets, Task, TaskAction, TaskState,
};
use dsrd::report::Section;
use dsrd::upkeep::{Settings, Upkeep};
use dsrd_simulator::ContactSpec;
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};
use zeroize::Zeroizing;

use crate::support::builder::start_of_test;
use crate::support::service::TestService;
use crate::support::settings::mail_settings;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn recipient(id: &str, channel: ChannelKind) -> Recipient {
    Recipient {
        id: id.to_owned(),
        name: format!("{id} s.r.l."),
        role: Role::Controller,
        categories: vec![Section::Profile, Section::Events],
        country: "IT".to_owned(),
        safeguard: None,
        from: NaiveDate::from_ymd_opt(2020, 1, 1).unwrap(),
        until: None,
        channel,
        mail_to: (channel == ChannelKind::Mail).then(|| format!("privacy@{id}.example")),
        url: None,
        secret_file: None,
        allow_private_address: Some(true),
        answer_within_days: Some(10),
        told_of_sweeps: None,
        told_of_opt_outs: None,
        language: None,
    }
}

pub(crate) fn webhook(id: &str, url: &str) -> Recipient {
    let mut recipient = recipient(id, ChannelKind::Webhook);
    recipient.url = Some(url.to_owned());
    recipient
}

/// A courier with a way of mails of its own: what the oracle counts are notices to people.
pub(crate) fn courier(service: &TestService, mails: &MemoryTransport, kill: KillSwitch) -> Courier {
    let id = service.controller.id.clone();
    let secrets: Secrets =
        ["slow", "crm"].map(|name| ((id.clone(), name.to_owned()), Zeroizing::new(SECRET.to_owned()))).into();
    Courier {
        store: service.store.clone(),
        keys: Arc::clone(&service.desk.keys),
        clock: Arc::clone(&service.desk.clock),
        controllers: [(id.clone(), Arc::clone(&service.controller))].into(),
        registers: [(id.clone(), Arc::clone(&service.executor.sites[&id].recipients))].into(),
        secrets: Arc::new(secrets),
        transport: Arc::new(Transport::Memory(mails.clone())),
        mail: mail_settings(),
        kill,
    }
}

async fn tasks(service: &TestService, request: RequestId) -> Vec<Task> {
    let today = service.controller.local_date(service.clock.now());
    let mut connection = service.store.connection().await.unwrap();
    let organisation = &service.controller.id;
    let mut tasks = recipients::list_tasks(&mut connection, organisation, Some(request), false, today, 100)
        .await
        .unwrap();
    tasks.sort_by(|one, other| one.recipient.cmp(&other.recipient));
    tasks
}

/// Lets time pass for what waits to be told.
pub(crate) async fn advance(service: &TestService, by: Duration) {
    service.advance(by).await;
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query("UPDATE dsrd.recipient_task SET run_at = run_at - make_interval(secs => $1)")
        .bind(by.as_secs_f64())
        .execute(&mut *connection)
        .await
        .unwrap();
}

async fn erased(service: &TestService) -> (String, RequestId) {
    let spec = ContactSpec::new().email("canarino@posta.example").events(2);
    let contact = service.platform.add_contact(spec);
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    service.work_to_the_end().await;
    (contact, receipt.request)
}

#[tokio::test]
async fn r_42_two_recipients_one_times_out_and_the_request_closes_with_an_open_task() {
    let server = MockServer::start().await;
    // Stays silent for the first two calls, then confirms.
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    let answer = ResponseTemplate::new(200).set_body_json(serde_json::json!({ "status": "confirmed" }));
    Mock::given(method("POST"))
        .and(header("content-type", "application/json"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let register =
        vec![recipient("mailing", ChannelKind::Mail), webhook("slow", &format!("{}/hook", server.uri()))];
    let service = TestService::builder().recipients(register).build().await;
    let (contact, request) = erased(&service).await;
    let case = service.case(request).await;
    assert_eq!((case.state, case.outcome), (RequestState::Closed, Some(Outcome::Fulfilled)));
    let mails = MemoryTransport::new();
    let courier = courier(&service, &mails, KillSwitch::default());
    assert_eq!(courier.pump_once().await.unwrap(), 2);
    let [mailing, slow] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!((mailing.state, slow.state), (TaskState::Sent, TaskState::Queued), "{slow:?}");
    assert_eq!(slow.last_code.as_deref(), Some("http_503"));
    assert_eq!(mailing.categories, ["profile", "events"]);

    let [mail] = mails.sent_to("privacy@mailing.example").try_into().unwrap();
    let text = mail.text.expose();
    assert!(text.contains(&contact) && text.contains(&mailing.task.to_string()), "{text}");
    assert!(!text.contains("canarino"), "the object by its id only: {text}");

    assert_eq!(courier.pump_once().await.unwrap(), 0, "not before its wait is over");
    for _ in 0..2 {
        advance(&service, Duration::from_mins(3)).await;
        courier.pump_once().await.unwrap();
    }
    let [mailing, slow] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!((mailing.state, slow.state, slow.attempts), (TaskState::Sent, TaskState::Confirmed, 3));

    // What was called is signed over the time and the bytes, and holds the object and nothing else of the person.
    let calls = server.received_requests().await.unwrap();
    for call in &calls {
        let header = |name: &str| call.headers.get(name).unwrap().to_str().unwrap().to_owned();
        let made = dsrd::webhook::signature(SECRET, header("dsrd-timestamp").parse().unwrap(), &call.body);
        assert_eq!(header("dsrd-signature"), format!("v1={made}"));
        let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!((&body["object"], &body["action"]), (&contact.as_str().into(), &"erase".into()));
        assert_eq!(body["task"], header("dsrd-task"));
        assert!(!body.to_string().contains("canarino"));
    }
    let story = service.story(request).await;
    let count = |word: &str| story.iter().filter(|entry| *entry == word).count();
    assert_eq!(count("recipient.queued"), 2);
    assert_eq!(count("recipient.began"), 4);
    assert_eq!((count("recipient.ended=done"), count("recipient.ended=failed")), (2, 2));
    assert_eq!(count("recipient.confirmed"), 1);

    // The open one is an alert after its day, once.
    advance(&service, Duration::from_hours(24 * 11)).await;
    courier.pump_once().await.unwrap();
    courier.pump_once().await.unwrap();
    assert!(tasks(&service, request).await[0].overdue);
    let story = service.story(request).await;
    assert_eq!(story.iter().filter(|entry| *entry == "recipient.overdue").count(), 1);
    let person = || Actor::Person("dpo".to_owned());
    let (organisation, now) = (&service.controller.id, service.clock.now());
    let mut tx = service.store.begin("test.confirm").await.unwrap();
    recipients::confirm(&mut tx, organisation, mailing.task, person(), now).await.unwrap();
    let again = (TaskState::Impossible, GiveUpReason::NoAnswer);
    let refused = recipients::give_up(&mut tx, organisation, mailing.task, again, person(), now).await;
    assert!(matches!(refused, Err(recipients::RecipientError::Ended)), "{refused:?}");
    tx.commit().await.unwrap();
    assert!(!tasks(&service, request).await[0].overdue);
    service.finish().await;
}

#[tokio::test]
async fn a_courier_that_dies_tells_again_and_the_log_says_that_nobody_knows() {
    for point in ["recipient.begun", "recipient.sent"] {
        let service =
            TestService::builder().recipients(vec![recipient("mailing", ChannelKind::Mail)]).build().await;
        let (_, request) = erased(&service).await;
        let mails = MemoryTransport::new();
        let dying = courier(&service, &mails, KillSwitch::new(move |at| at == point));
        assert!(dying.pump_once().await.is_err(), "{point}");
        let courier = courier(&service, &mails, KillSwitch::default());
        assert_eq!(courier.pump_once().await.unwrap(), 0, "it is claimed for a while");
        advance(&service, Duration::from_mins(6)).await;
        assert_eq!(courier.pump_once().await.unwrap(), 1);
        assert_eq!(tasks(&service, request).await[0].state, TaskState::Sent);
        let mails = mails.sent_to("privacy@mailing.example");
        assert_eq!(mails.len(), if point == "recipient.sent" { 2 } else { 1 });
        assert!(mails.iter().all(|mail| mail.message_id == mails[0].message_id), "known as a repetition");
        let story = service.story(request).await;
        let told: Vec<&str> =
            story.iter().map(String::as_str).filter(|entry| entry.starts_with("recipient.")).collect();
        assert_eq!(
            told,
            [
                "recipient.queued",
                "recipient.began",
                "recipient.ended=outcome_unknown",
                "recipient.began",
                "recipient.ended=done"
            ],
            "{point}"
        );
        service.finish().await;
    }
}

#[tokio::test]
async fn r_42_only_recipients_that_held_the_data_in_its_time_are_told() {
    let mut gone = recipient("gone", ChannelKind::Mail);
    gone.until = NaiveDate::from_ymd_opt(2020, 12, 31);
    let mut later = recipient("later", ChannelKind::Mail);
    later.from = NaiveDate::from_ymd_opt(2099, 1, 1).unwrap();
    let mut not_of_sweeps = recipient("not-of-sweeps", ChannelKind::Person);
    not_of_sweeps.told_of_sweeps = Some(false);
    let register = vec![gone, later, not_of_sweeps, recipient("present", ChannelKind::Person)];
    let service = TestService::builder().recipients(register).build().await;
    let spec =
        |address: &str| ContactSpec::new().email(address).created(service.clock.now() - TimeDelta::days(400));
    let _asked = service.platform.add_contact(spec("canarino@posta.example"));
    let swept = service.platform.add_contact(spec("canarino.swept@posta.example"));
    let asked = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    let nobody = service.submit(RequestKind::Erasure, &[(Email, "canarino.nobody@posta.example")]).await;
    let sweep = service.submit_sweep(&swept, service.clock.now() - TimeDelta::days(30)).await;
    service.work_to_the_end().await;
    let names = async |request| {
        let tasks = tasks(&service, request).await;
        tasks.into_iter().map(|task| task.recipient).collect::<Vec<_>>()
    };
    assert_eq!(names(asked.request).await, ["not-of-sweeps", "present"]);
    assert_eq!(names(sweep.request).await, ["present"]);
    assert!(names(nobody.request).await.is_empty(), "nobody was erased, so nobody is told");
    let mails = MemoryTransport::new();
    let courier = courier(&service, &mails, KillSwitch::default());
    assert_eq!(courier.pump_once().await.unwrap(), 0, "told by hand");
    service.finish().await;
}

#[tokio::test]
async fn r_42_what_recipients_were_told_of_is_forgotten_with_the_case() {
    let register = vec![recipient("crm", ChannelKind::Mail), recipient("hand", ChannelKind::Person)];
    let service = TestService::builder().recipients(register).build().await;
    let (_, request) = erased(&service).await;
    let mails = MemoryTransport::new();
    let courier = courier(&service, &mails, KillSwitch::default());
    courier.pump_once().await.unwrap();
    let held = |tasks: Vec<Task>| tasks.into_iter().map(|task| task.object_held).collect::<Vec<_>>();
    assert_eq!(held(tasks(&service, request).await), [true, true]);
    let settings =
        Settings { identifiers_days: 30, contact_ids_days: 65, evidence_months: 36, log_months: 36 };
    let upkeep = Upkeep { store: service.store.clone(), desk: service.desk.clone(), settings };
    let actor = Actor::Process("upkeep");
    service.clock.advance(TimeDelta::days(66));
    upkeep.run(&actor).await.unwrap();
    assert_eq!(held(tasks(&service, request).await), [false, true], "what was never told can still be told");
    service.clock.advance(TimeDelta::days(365 * 4));
    // The oracle compares with cases, and there are none.
    assert_eq!(upkeep.run(&actor).await.unwrap().requests, 1);
    assert!(tasks(&service, request).await.is_empty());
}

#[tokio::test]
async fn r_42_a_webhook_is_not_led_astray() {
    let server = MockServer::start().await;
    let other = MockServer::start().await;
    let moved = ResponseTemplate::new(307).insert_header("location", format!("{}/elsewhere", other.uri()));
    Mock::given(method("POST")).respond_with(moved).mount(&server).await;
    let mut private = webhook("slow", &format!("{}/hook", server.uri()));
    private.allow_private_address = None;
    let register = vec![private, webhook("crm", &format!("{}/hook", server.uri()))];
    let service = TestService::builder().recipients(register).build().await;
    let (_, request) = erased(&service).await;
    let mails = MemoryTransport::new();
    courier(&service, &mails, KillSwitch::default()).pump_once().await.unwrap();
    let [crm, slow] = tasks(&service, request).await.try_into().unwrap();
    assert_eq!(slow.last_code.as_deref(), Some("private_address"), "not called at all");
    assert_eq!(crm.last_code.as_deref(), Some("http_307"), "a redirect is not followed");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    assert!(other.received_requests().await.unwrap().is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_28_an_access_report_names_those_that_held_the_data_in_its_time() {
    let mut former = recipient("former", ChannelKind::Person);
    (former.from, former.until) = ("2025-01-01".parse().unwrap(), Some("2025-06-30".parse().unwrap()));
    let entry = || dsrd::report::CatalogueEntry {
        purposes: "Wi-Fi.".to_owned(),
        legal_basis: "Consent.".to_owned(),
        recipients: "Our staff.".to_owned(),
        storage_period: "Two years.".to_owned(),
        source: "You.".to_owned(),
        retention: None,
    };
    let catalogue = dsrd::report::Catalogue {
        sections: Section::ALL.into_iter().map(|section| (section, entry())).collect(),
        automated_decisions: "None.".to_owned(),
        transfers: "None.".to_owned(),
        complaint_authority: "Garante".to_owned(),
    };
    let service = TestService::builder().recipients(vec![former]).catalogue(catalogue).build().await;
    for (address, created, is_named) in [
        ("canarino.one@posta.example", "2025-03-01T10:00:00Z", true),
        ("canarino.two@posta.example", "2025-09-01T10:00:00Z", false),
    ] {
        let spec = ContactSpec::new().email(address).created(created.parse().unwrap());
        let _contact = service.platform.add_contact(spec);
        let receipt = service.submit(RequestKind::Access, &[(Email, address)]).await;
        service.work_to_the_end().await;
        let files = crate::access::package(&service, receipt.request).await;
        let html = &files.iter().find(|(name, _)| name == "report.html").unwrap().1;
        assert!(html.contains("Our staff."), "the controller's own words stay");
        assert_eq!(html.contains("former s.r.l. (IT; 2025-01-01 – 2025-06-30)"), is_named, "{created}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_42_a_recipient_reads_what_to_do_in_its_own_language_and_the_text_is_on_record() {
    let mut german = recipient("mailing", ChannelKind::Mail);
    german.language = Some("de".to_owned());
    let service = TestService::builder().recipients(vec![german]).build().await;
    let (contact, request) = erased(&service).await;
    let mails = MemoryTransport::new();
    courier(&service, &mails, KillSwitch::default()).pump_once().await.unwrap();
    let [mail] = mails.sent_to("privacy@mailing.example").try_into().unwrap();
    let text = mail.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in ["Caffè Prova", contact.as_str(), "3. Dezember 2026", "profile, events"] {
        assert!(text.contains(wanted), "{wanted:?} is not in {text}");
    }
    assert!(!text.contains("canarino"), "{text}");
    let stored: (String, Vec<u8>) =
        sqlx::query_as("SELECT template, text_sha256 FROM dsrd.recipient_task WHERE request_id = $1")
            .bind(request.0)
            .fetch_one(&mut *service.store.connection().await.unwrap())
            .await
            .unwrap();
    assert_eq!((stored.0.as_str(), stored.1.len()), ("recipient_notice/de/1", 32));
    let log = service.audit().await;
    let ended = log.iter().find(|entry| entry.action == "recipient.ended").unwrap();
    assert_eq!(ended.detail["template"], "recipient_notice/de/1");
    service.finish().await;
}

#[tokio::test]
async fn r_56_all_that_got_data_in_between_are_told_of_a_californian_opt_out() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(serde_json::json!({ "status": "confirmed" }));
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    let asked_on = start_of_test().date_naive() - Days::new(3);
    let mut before = recipient("before", ChannelKind::Mail);
    before.until = Some(asked_on - Days::new(1));
    let mut between = recipient("between", ChannelKind::Mail);
    (between.from, between.until) = (asked_on + Days::new(1), Some(asked_on + Days::new(2)));
    let mut later = recipient("later", ChannelKind::Mail);
    later.from = asked_on + Days::new(30);
    let mut register = vec![before, between, later, webhook("crm", &format!("{}/hook", server.uri()))];
    let words = [
        ("de", "verkaufen oder weitergeben, und alle"),
        ("en", "stop selling or sharing the data, and tell everyone"),
        ("es", "no vender ni ceder más los datos, y pedir"),
        ("fr", "ne plus vendre ni partager les données, et demander"),
        ("it", "non vendere né condividere più i dati, e chiedere"),
    ];
    for (language, _) in words {
        let mut each = recipient(&format!("mail-{language}"), ChannelKind::Mail);
        each.language = Some(language.to_owned());
        register.push(each);
    }
    let service = TestService::builder().recipients(register).build().await;
    let spec = ContactSpec::new().email("canarino@posta.example");
    let contact = service.platform.add_contact(spec.created(service.clock.now() - TimeDelta::days(400)));
    let request = opted_out(&service, RequestKind::CcpaOptOut, "canarino@posta.example").await;
    let told = tasks(&service, request).await;
    let names: Vec<&str> = told.iter().map(|task| task.recipient.as_str()).collect();
    assert_eq!(names, ["between", "crm", "mail-de", "mail-en", "mail-es", "mail-fr", "mail-it"]);
    assert!(told.iter().all(|task| task.action == TaskAction::CcpaOptOut), "{told:?}");
    let person = service.mails.sent_to("canarino@posta.example").pop().unwrap();
    let text = person.text.expose();
    assert!(text.contains("between s.r.l.") && !text.contains("before s.r.l."), "{text}");

    let mails = MemoryTransport::new();
    let courier = courier(&service, &mails, KillSwitch::default());
    while courier.pump_once().await.unwrap() > 0 {}
    for (language, wanted) in words {
        let [mail] = mails.sent_to(&format!("privacy@mail-{language}.example")).try_into().unwrap();
        let text = mail.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(wanted) && text.contains(&contact), "{wanted:?} is not in {text}");
        assert!(!text.contains("canarino"), "{text}");
    }
    let [call] = server.received_requests().await.unwrap().try_into().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!((&body["object"], &body["action"]), (&contact.as_str().into(), &"ccpa_opt_out".into()));
    let told = tasks(&service, request).await;
    assert_eq!((told[1].state, told[2].state), (TaskState::Confirmed, TaskState::Sent));
    let story = service.story(request).await;
    let count = |word: &str| story.iter().filter(|entry| *entry == word).count();
    assert_eq!((count("recipient.queued"), count("recipient.confirmed")), (7, 1));
    // Who does not answer is an alert, as with an erasure.
    advance(&service, Duration::from_hours(24 * 11)).await;
    courier.pump_once().await.unwrap();
    let story = service.story(request).await;
    assert_eq!(story.iter().filter(|entry| *entry == "recipient.overdue").count(), 6);

    // Where nobody is found, nobody had anything to sell.
    let nobody = opted_out(&service, RequestKind::CcpaOptOut, "canarino.nobody@posta.example").await;
    assert!(tasks(&service, nobody).await.is_empty());
    service.finish().await;
}

#[tokio::test]
async fn r_56_of_other_opt_outs_only_those_are_told_whose_settings_ask_for_it() {
    let mut agency = recipient("agency", ChannelKind::Mail);
    agency.told_of_opt_outs = Some(true);
    let register = vec![agency, recipient("crm", ChannelKind::Mail)];
    let service = TestService::builder().recipients(register).build().await;
    let mails = MemoryTransport::new();
    let courier = courier(&service, &mails, KillSwitch::default());
    for (kind, address) in [
        (RequestKind::OptOut, "canarino.one@posta.example"),
        (RequestKind::ConsentWithdrawal, "canarino.two@posta.example"),
    ] {
        let _contact = service.platform.add_contact(ContactSpec::new().email(address));
        let request = opted_out(&service, kind, address).await;
        let [task] = tasks(&service, request).await.try_into().unwrap();
        assert_eq!((task.recipient.as_str(), task.action), ("agency", TaskAction::OptOut), "{kind}");
        assert_eq!(courier.pump_once().await.unwrap(), 1);
        let mail = mails.sent_to("privacy@agency.example").pop().unwrap();
        let text = mail.text.expose();
        assert!(text.contains("stop using the data for marketing"), "{text}");
    }
    service.finish().await;
}

/// An opt-out that was asked for three days ago, carried out to its end.
async fn opted_out(service: &TestService, kind: RequestKind, address: &str) -> RequestId {
    let mut submission = service.submission(kind, &[(Email, address)]);
    submission.received_at = service.clock.now() - TimeDelta::days(3);
    let receipt =
        intake::submit_request(&service.store, &service.desk, &service.controller, submission).await;
    let request = receipt.unwrap().request;
    service.work_to_the_end().await;
    request
}
