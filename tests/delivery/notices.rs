//! The outbox and the sending, without a network.

use chrono::TimeDelta;
use dsrd::audit::Actor;
use dsrd::delivery::{Delivery, DeliveryError, Mailer, NoticeKind, Plan, Sender, Transport};
use dsrd::domain::{Clock as _, IdentifierKind, IdentityDoubt, KillSwitch, RequestId, SubjectIdentifier};
use dsrd::identity::{self, Asked, Occasion};
use dsrd::intake::{self, IdentifierRole, add_identifiers};

use crate::world::{ADA, World, facts, mode_of};

/// Asks the person of a request who they are, perhaps once more.
async fn ask(world: &World, request: RequestId) {
    let now = world.clock.now();
    let mut tx = world.store.begin("test").await.unwrap();
    let case = intake::find_case(&mut tx, world.organisation(), request).await.unwrap().unwrap();
    let asked = Asked {
        doubt: IdentityDoubt::NoProof,
        until: now + TimeDelta::days(14),
        contact_point: 0,
        occasion: Occasion::Wanted,
    };
    let actor = Actor::Process("test");
    identity::ask(&mut tx, &world.keys, &world.controller, &case, asked, actor, now).await.unwrap();
    tx.commit().await.unwrap();
}

/// Lets the claims and waits of the notices of a round run out.
async fn run_out(world: &World, round: i16) {
    sqlx::query("UPDATE dsrd.notice SET run_at = now() WHERE round = $1")
        .bind(round)
        .execute(&mut *world.store.connection().await.unwrap())
        .await
        .unwrap();
}

/// Of each notice, the first one first: its state, why, and whether the end of an attempt is open.
async fn rounds(world: &World, request: RequestId) -> Vec<(String, Option<String>, bool)> {
    sqlx::query_as(
        "SELECT state, last_code, intent IS NOT NULL FROM dsrd.notice WHERE request_id = $1 ORDER BY round",
    )
    .bind(request.0)
    .fetch_all(&mut *world.store.connection().await.unwrap())
    .await
    .unwrap()
}

#[tokio::test]
async fn f_51_a_notice_that_was_on_its_way_when_a_later_one_was_written_ends_and_disturbs_that_one_no_more() {
    let world = World::new().await;
    let request = world.request().await;
    let (mailer, memory) = world.memory_mailer();
    let dying_at = |dies_at: &'static str| mailer.with_kill(KillSwitch::new(move |at| at == dies_at));
    let notice = |state: &str, code: Option<&str>, open| (state.to_owned(), code.map(str::to_owned), open);
    ask(&world, request).await;
    assert!(matches!(dying_at("notice.sent").pump_once().await, Err(DeliveryError::Killed)));
    // While nobody knows how that ended, the person is asked again, and that mail is on its way at this moment.
    ask(&world, request).await;
    assert!(matches!(dying_at("notice.begun").pump_once().await, Err(DeliveryError::Killed)));
    assert_eq!(rounds(&world, request).await, [notice("pending", None, true), notice("pending", None, true)]);

    run_out(&world, 1).await;
    assert_eq!(mailer.pump_once().await.unwrap(), 1);
    let first = notice("refused", Some("superseded"), false);
    assert_eq!(rounds(&world, request).await, [first.clone(), notice("pending", None, true)]);
    assert_eq!(memory.sent().len(), 1, "the later one is left to whom it belongs");

    run_out(&world, 2).await;
    assert_eq!(mailer.pump_once().await.unwrap(), 1);
    assert_eq!(rounds(&world, request).await, [first, notice("sent", Some("250"), false)]);
    assert_eq!(memory.sent().len(), 2);
    assert_ne!(memory.sent()[0].message_id, memory.sent()[1].message_id);
    run_out(&world, 1).await;
    assert_eq!(mailer.pump_once().await.unwrap(), 0, "nothing is left");
    let log = world.log(request).await;
    let count = |entry: &str| log.iter().filter(|each| *each == entry).count();
    let ends = ["notice.began", "notice.ended:outcome_unknown", "notice.ended:done"].map(count);
    assert_eq!(ends, [3, 2, 1], "{log:?}");
}

#[tokio::test]
async fn f_51_r_83_a_notice_of_which_no_mail_can_be_made_for_days_is_given_to_a_person() {
    let world = World::new().await;
    let request = world.request().await;
    world.enqueue_with(request, NoticeKind::Acknowledgement, Sender::Pump, facts()).await.unwrap();
    sqlx::query("UPDATE dsrd.notice SET facts = '{}'")
        .execute(&mut *world.store.connection().await.unwrap())
        .await
        .unwrap();
    let (mailer, memory) = world.memory_mailer();
    let notice = |state: &str| [(state.to_owned(), Some("unsendable".to_owned()), false)];
    for (after, state) in [(0, "pending"), (4, "pending"), (1, "refused")] {
        world.clock.advance(TimeDelta::days(after));
        run_out(&world, 1).await;
        assert_eq!(mailer.pump_once().await.unwrap(), 1);
        assert_eq!(rounds(&world, request).await, notice(state));
    }
    assert_eq!(memory.tried(), 0);
    assert_eq!(world.log(request).await, ["notice.enqueued", "notice.began", "notice.ended:failed"]);
    run_out(&world, 1).await;
    assert_eq!(mailer.pump_once().await.unwrap(), 0);
}

#[tokio::test]
async fn f_22_a_notice_that_a_newer_program_wrote_is_left_to_it() {
    for (change, what) in [
        (r#"{"said_twice": true}"#, "a field"),
        (r#"{"kept": [{"what": "x", "why": "y", "until": null, "place": "z"}]}"#, "a field within"),
        (r#"{"extension_reason": "moon"}"#, "a word"),
    ] {
        let world = World::new().await;
        let request = world.request().await;
        world.enqueue_with(request, NoticeKind::Acknowledgement, Sender::Pump, facts()).await.unwrap();
        let facts: serde_json::Value = sqlx::query_scalar("SELECT facts FROM dsrd.notice")
            .fetch_one(&mut *world.store.connection().await.unwrap())
            .await
            .unwrap();
        sqlx::query("UPDATE dsrd.notice SET facts = facts || $1::jsonb")
            .bind(change)
            .execute(&mut *world.store.connection().await.unwrap())
            .await
            .unwrap();
        let (mailer, memory) = world.memory_mailer();
        for _ in 0..3 {
            run_out(&world, 1).await;
            assert_eq!(mailer.pump_once().await.unwrap(), 1, "{what}");
            assert_eq!(mailer.pump_once().await.unwrap(), 0, "{what}: it waits");
        }
        assert_eq!(
            rounds(&world, request).await,
            [("pending".to_owned(), Some("newer_program".to_owned()), false)]
        );
        let soon: bool = sqlx::query_scalar(
            "SELECT run_at BETWEEN now() AND now() + interval '1 minute' FROM dsrd.notice",
        )
        .fetch_one(&mut *world.store.connection().await.unwrap())
        .await
        .unwrap();
        assert!(soon, "{what}: the newer one is not kept waiting");
        assert_eq!((memory.tried(), world.log(request).await.len()), (0, 1), "{what}");

        // The one that knows what it means sends it.
        sqlx::query("UPDATE dsrd.notice SET facts = $1")
            .bind(facts)
            .execute(&mut *world.store.connection().await.unwrap())
            .await
            .unwrap();
        run_out(&world, 1).await;
        assert_eq!(mailer.pump_once().await.unwrap(), 1);
        assert_eq!((memory.tried(), world.notice(request).await.state.as_str()), (1, "sent"), "{what}");
    }
}

#[tokio::test]
async fn f_22_r_83_a_notice_of_a_newer_program_that_never_comes_is_given_to_a_person() {
    let world = World::new().await;
    let request = world.request().await;
    world.enqueue_with(request, NoticeKind::Acknowledgement, Sender::Pump, facts()).await.unwrap();
    sqlx::query("UPDATE dsrd.notice SET facts = facts || '{\"said_twice\": true}'")
        .execute(&mut *world.store.connection().await.unwrap())
        .await
        .unwrap();
    let (mailer, memory) = world.memory_mailer();
    world.clock.advance(TimeDelta::days(5));
    assert_eq!(mailer.pump_once().await.unwrap(), 1);
    assert_eq!(
        rounds(&world, request).await,
        [("refused".to_owned(), Some("newer_program".to_owned()), false)]
    );
    assert_eq!(memory.tried(), 0);
}

#[tokio::test]
async fn a_notice_is_sent_once_and_leaves_proof() {
    let world = World::new().await;
    let (request, enqueued) = world.pending().await;
    let (mailer, memory) = world.memory_mailer();

    assert_eq!(world.deliver(&mailer, request).await, Delivery::Sent);
    assert_eq!(world.deliver(&mailer, request).await, Delivery::AlreadySent);

    let sent = memory.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].message_id, enqueued.message_id);
    assert_eq!(sent[0].to.expose(), ADA);
    let token = sent[0].link.as_ref().unwrap().expose();
    assert!(sent[0].text.expose().contains(&format!("https://privacy.venue.example/handover/{token}")));

    let row = world.notice(request).await;
    assert_eq!((row.state.as_str(), row.attempts, row.last_code.as_deref()), ("sent", 1, Some("250")));
    assert_eq!(row.template.as_deref(), Some("access_ready/en/6"));
    assert_eq!(row.text_sha256.unwrap().len(), 32);
    assert!(row.sent_at.is_some() && row.intent.is_none());
    assert!(row.sealed_link.is_none(), "the secret is forgotten once it was sent");
    assert_eq!(world.log(request).await, ["notice.enqueued", "notice.began", "notice.ended:done"]);
}

#[tokio::test]
async fn the_same_notice_of_a_request_is_written_once() {
    let world = World::new().await;
    let request = world.request().await;
    assert!(world.enqueue(request, NoticeKind::NoData).await.is_some());
    assert!(world.enqueue(request, NoticeKind::NoData).await.is_none());
    assert!(world.enqueue(request, NoticeKind::Acknowledgement).await.is_some());
    assert_eq!(world.log(request).await, ["notice.enqueued", "notice.enqueued"]);
}

#[tokio::test]
async fn a_notice_of_a_rolled_back_decision_does_not_exist() {
    let world = World::new().await;
    let (mailer, memory) = world.memory_mailer();
    let request = world.request().await;
    let mut tx = world.store.begin("test").await.unwrap();
    let notice = dsrd::delivery::NewNotice {
        organisation: world.organisation().clone(),
        request,
        kind: NoticeKind::NoData,
        sender: Sender::Pump,
        recipient_no: 0,
        language: "en".to_owned(),
        facts: facts(),
        words: None,
        link_token: None,
    };
    let at = "2026-11-23T09:00:00Z".parse().unwrap();
    assert!(dsrd::delivery::enqueue(&mut tx, &world.keys, notice, at).await.unwrap().is_some());
    drop(tx);
    assert_eq!(mailer.pump_once().await.unwrap(), 0);
    assert!(memory.sent().is_empty());
}

#[tokio::test]
async fn f_51_down_421_and_450_are_tried_again_with_the_same_message_id() {
    for (plan, code) in
        [(Plan::NoConnection, "connection"), (Plan::Reply(421), "421"), (Plan::Reply(450), "450")]
    {
        let world = World::new().await;
        let (request, enqueued) = world.pending().await;
        let (mailer, memory) = world.memory_mailer();
        memory.plan(plan, 2);

        let Delivery::Later(first) = world.deliver(&mailer, request).await else { panic!("{plan:?}") };
        let Delivery::Later(second) = world.deliver(&mailer, request).await else { panic!("{plan:?}") };
        assert!(second > first, "the wait grows");
        let row = world.notice(request).await;
        assert_eq!((row.state.as_str(), row.last_code.as_deref()), ("pending", Some(code)));
        assert!(row.sealed_link.is_some() && row.sent_at.is_none() && row.intent.is_none());

        assert_eq!(world.deliver(&mailer, request).await, Delivery::Sent);
        assert_eq!(memory.sent().len(), 1);
        assert_eq!(memory.sent()[0].message_id, enqueued.message_id);
        assert_eq!(
            world.log(request).await[1..],
            [
                "notice.began",
                "notice.ended:failed",
                "notice.began",
                "notice.ended:failed",
                "notice.began",
                "notice.ended:done"
            ]
        );
    }
}

#[tokio::test]
async fn f_51_550_is_refused_for_good() {
    let world = World::new().await;
    let (request, _) = world.pending().await;
    let (mailer, memory) = world.memory_mailer();
    memory.plan(Plan::Reply(550), 1);
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Refused("550".to_owned()));
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Refused("550".to_owned()));
    assert_eq!(memory.tried(), 1, "a refused notice is not sent again");
    assert_eq!(world.notice(request).await.state, "refused");
}

#[tokio::test]
async fn f_51_a_lost_answer_is_recorded_as_unknown_and_repeated_with_the_same_message_id() {
    let world = World::new().await;
    let (request, enqueued) = world.pending().await;
    let (mailer, memory) = world.memory_mailer();
    memory.plan(Plan::AnswerLost, 1);
    assert!(matches!(world.deliver(&mailer, request).await, Delivery::Later(_)));
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Sent);
    let ids: Vec<_> = memory.sent().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!(ids, [enqueued.message_id.clone(), enqueued.message_id]);
    assert_eq!(
        world.log(request).await[1..],
        ["notice.began", "notice.ended:outcome_unknown", "notice.began", "notice.ended:done"]
    );
}

#[tokio::test]
async fn a_notice_that_fails_for_days_is_given_to_a_person() {
    let world = World::new().await;
    let (request, _) = world.pending().await;
    let (mailer, memory) = world.memory_mailer();
    memory.plan(Plan::NoConnection, 2);
    assert!(matches!(world.deliver(&mailer, request).await, Delivery::Later(_)));
    world.clock.advance(chrono::TimeDelta::days(5));
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Refused("connection".to_owned()));
}

#[tokio::test]
async fn s_1_an_answer_goes_to_the_named_address_alone() {
    let world = World::new().await;
    let (request, _) = world.pending().await;
    let other = "mallory@elsewhere.example";
    let identifier = SubjectIdentifier::parse(IdentifierKind::Email, other, None).unwrap();
    let mut tx = world.store.begin("test").await.unwrap();
    let (organisation, role) = (world.organisation(), IdentifierRole::Given);
    add_identifiers(&mut tx, &world.keys, organisation, request, 1, vec![(role, identifier)]).await.unwrap();
    tx.commit().await.unwrap();
    let (mailer, memory) = world.memory_mailer();
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Sent);
    let sent = memory.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].to.expose(), ADA);
    let raw = String::from_utf8(sent[0].raw.expose().clone()).unwrap();
    assert!(
        !raw.contains("elsewhere") && !raw.contains("\r\nCc:") && !raw.contains("\r\nReply-To:"),
        "{raw}"
    );
}

#[tokio::test]
async fn a_telephone_number_gets_no_mail() {
    let world = World::new().await;
    let request = world.request_of(IdentifierKind::Phone, "+39 06 6982 0000").await;
    world.enqueue(request, NoticeKind::AccessReady).await.unwrap();
    let (mailer, memory) = world.memory_mailer();
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Refused("no_mail_address".to_owned()));
    assert_eq!(memory.tried(), 0);
    assert_eq!(world.log(request).await[1..], ["notice.began", "notice.ended:failed"]);
}

#[tokio::test]
async fn two_pumps_send_each_notice_once_and_leave_the_procedures_alone() {
    let world = World::new().await;
    for number in 0..9 {
        let request =
            world.request_of(IdentifierKind::Email, &format!("person{number}@people.example")).await;
        world.enqueue_with(request, NoticeKind::Acknowledgement, Sender::Pump, facts()).await.unwrap();
    }
    let (of_procedure, _) = world.pending().await;
    let (one, memory) = world.memory_mailer();
    let other = world.mailer(Transport::Memory(memory.clone()));
    for _ in 0..4 {
        let (first, second) = tokio::join!(one.pump_once(), other.pump_once());
        first.unwrap();
        second.unwrap();
    }
    let mut recipients: Vec<_> = memory.sent().into_iter().map(|mail| mail.to.into_exposed()).collect();
    recipients.sort();
    let expected: Vec<_> = (0..9).map(|number| format!("person{number}@people.example")).collect();
    assert_eq!(recipients, expected);
    assert_eq!(world.notice(of_procedure).await.state, "pending");
}

#[tokio::test]
async fn f_51_other_notices_go_out_beside_a_refused_and_an_unreadable_one() {
    let world = World::new().await;
    let refused = world.request().await;
    let unreadable = world.request().await;
    let fine = world.request().await;
    let (mailer, memory) = world.memory_mailer();
    world.enqueue_with(refused, NoticeKind::Acknowledgement, Sender::Pump, facts()).await.unwrap();
    memory.plan(Plan::Reply(550), 1);
    assert_eq!(mailer.pump_once().await.unwrap(), 1);

    world.enqueue_with(unreadable, NoticeKind::Acknowledgement, Sender::Pump, facts()).await.unwrap();
    world.enqueue_with(fine, NoticeKind::Acknowledgement, Sender::Pump, facts()).await.unwrap();
    sqlx::query("UPDATE dsrd.notice SET facts = '{}' WHERE request_id = $1")
        .bind(unreadable.0)
        .execute(&mut *world.store.connection().await.unwrap())
        .await
        .unwrap();
    assert_eq!(mailer.pump_once().await.unwrap(), 2);
    assert_eq!(mailer.pump_once().await.unwrap(), 0, "the unreadable one waits");
    assert_eq!(world.notice(refused).await.state, "refused");
    assert_eq!(world.notice(fine).await.state, "sent");
    let waiting = world.notice(unreadable).await;
    assert_eq!((waiting.state.as_str(), waiting.last_code.as_deref()), ("pending", Some("unsendable")));
}

#[tokio::test]
async fn s_41_stored_rows_and_debug_forms_hold_no_address_and_no_secret() {
    let world = World::new().await;
    let canary = "canary-7q@people.example";
    let request = world.request_of(IdentifierKind::Email, canary).await;
    world.enqueue(request, NoticeKind::AccessReady).await.unwrap();
    let (mailer, memory) = world.memory_mailer();
    memory.plan(Plan::Reply(450), 1);
    world.deliver(&mailer, request).await;
    world.deliver(&mailer, request).await;
    let sent = memory.sent();
    let secret = sent[0].link.as_ref().unwrap().expose();
    let shown = format!("{}\n{mailer:?}\n{memory:?}\n{sent:?}", world.everything_stored().await);
    assert!(!shown.contains("canary-7q"), "{shown}");
    assert!(!shown.contains(secret.as_str()), "{shown}");
    assert!(!sent[0].text.expose().contains("canary-7q"), "a mail's words hold no personal data");
    assert!(!sent[0].subject.contains("canary-7q"));
}

#[tokio::test]
async fn the_file_transport_writes_one_private_file_for_a_notice() {
    let mut world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    world.settings.transport = dsrd::delivery::TransportKind::File;
    let request = world.request().await;
    let enqueued = world.enqueue(request, NoticeKind::NoData).await.unwrap();
    for _ in 0..2 {
        let transport = Transport::open(&world.settings, directory.path()).await.unwrap();
        let mailer = world.mailer(transport);
        let delivered = mailer.deliver(world.organisation(), request, NoticeKind::NoData).await.unwrap();
        assert_eq!(delivered, Delivery::Sent);
        // As after a crash between the sending and its record.
        sqlx::query("UPDATE dsrd.notice SET state = 'pending', sent_at = NULL")
            .execute(&mut *world.store.connection().await.unwrap())
            .await
            .unwrap();
    }
    let mail_dir = directory.path().join("mail");
    assert_eq!(mode_of(&mail_dir), 0o700);
    let files: Vec<_> = std::fs::read_dir(&mail_dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(mode_of(&files[0]), 0o600);
    assert_eq!(
        files[0].file_name().unwrap().to_str().unwrap(),
        format!("{}.eml", enqueued.message_id.trim_matches(['<', '>']))
    );
}

#[tokio::test]
async fn f_51_an_attempt_that_nobody_saw_ending_keeps_its_one_end_when_the_next_cannot_begin() {
    let world = World::new().await;
    let (request, _) = world.pending().await;
    let (mailer, memory) = world.memory_mailer();
    let dying = mailer.with_kill(KillSwitch::new(|boundary| boundary == "notice.sent"));
    let organisation = world.organisation();
    let deliver =
        |mailer: Mailer| async move { mailer.deliver(organisation, request, NoticeKind::AccessReady).await };
    assert!(matches!(deliver(dying).await, Err(DeliveryError::Killed)));
    let set_facts = |facts: serde_json::Value| {
        let store = world.store.clone();
        async move {
            sqlx::query("UPDATE dsrd.notice SET facts = $1")
                .bind(facts)
                .execute(&mut *store.connection().await.unwrap())
                .await
                .unwrap();
        }
    };
    set_facts(serde_json::json!({})).await;
    for _ in 0..2 {
        assert!(deliver(mailer.clone()).await.is_err(), "the text cannot be made");
        assert_eq!(world.log(request).await[1..], ["notice.began", "notice.ended:outcome_unknown"]);
    }
    set_facts(serde_json::to_value(facts()).unwrap()).await;
    assert_eq!(deliver(mailer.clone()).await.unwrap(), Delivery::Sent);
    assert_eq!(
        world.log(request).await[1..],
        ["notice.began", "notice.ended:outcome_unknown", "notice.began", "notice.ended:done"]
    );
    assert_eq!(memory.sent().len(), 2);
}
