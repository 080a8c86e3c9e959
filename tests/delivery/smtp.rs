//! What crosses the network to a mail server, and what its answers mean.

use std::time::Duration;

use dsrd::delivery::{self, Delivery, Mailer, NoticeKind, RecipientLetter, Security, StaffLetter, Transport};
use dsrd::domain::{Clock as _, Personal};

use crate::smtp_stub::{Mood, SmtpStub};
use crate::world::{ADA, World, facts};

async fn mailer_to(world: &mut World, stub: &SmtpStub) -> Mailer {
    world.settings.smtp.port = stub.port;
    let transport = Transport::open(&world.settings, "/nowhere".as_ref()).await.unwrap();
    world.mailer(transport)
}

/// Every line feed has its carriage return and the other way round.
fn assert_no_bare_line_ends(bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        let around = String::from_utf8_lossy(&bytes[index.saturating_sub(40)..(index + 20).min(bytes.len())]);
        match byte {
            b'\n' => assert!(index > 0 && bytes[index - 1] == b'\r', "bare LF at {index}: {around:?}"),
            b'\r' => assert!(bytes.get(index + 1) == Some(&b'\n'), "bare CR at {index}: {around:?}"),
            other => assert!(other.is_ascii(), "byte {other} at {index}: {around:?}"),
        }
    }
}

#[tokio::test]
async fn s_19_and_t_5_hostile_values_add_no_header_no_recipient_and_no_bare_line_end() {
    for hostile in [
        "Venue\r\nBcc: evil@evil.example",
        "Venue\nBcc: evil@evil.example",
        "Venue\rBcc: evil@evil.example",
        "Venue\r\n.\r\nMAIL FROM:<evil@evil.example>\r\nRCPT TO:<evil@evil.example>\r\nDATA",
        "Venue\n.\nMAIL FROM:<evil@evil.example>",
        "Venue\r.\rRCPT TO:<evil@evil.example>",
        "Venue\u{2028}Bcc: evil@evil.example",
        "Vénue \"Quoted\" <evil@evil.example>, other@evil.example",
        ".",
        "=?utf-8?q?x?=",
    ] {
        let mut world = World::new().await;
        hostile.clone_into(&mut world.controller.name);
        hostile.clone_into(&mut world.controller.contact);
        let stub = SmtpStub::start(Mood::Obedient).await;
        let request = world.request().await;
        let mut facts = facts();
        facts.kept[0].what = hostile.to_owned();
        facts.kept[0].why = hostile.to_owned();
        let kind = NoticeKind::ErasurePartlyDone;
        world.enqueue_with(request, kind, dsrd::delivery::Sender::Procedure, facts).await.unwrap();
        let mailer = mailer_to(&mut world, &stub).await;
        let delivered = mailer.deliver(world.organisation(), request, kind).await.unwrap();
        assert_eq!(delivered, Delivery::Sent, "{hostile:?}");

        let seen = stub.seen();
        let verbs: Vec<&str> =
            seen.commands.iter().map(|line| line.split([' ', ':']).next().unwrap()).collect();
        assert_eq!(verbs, ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"], "{hostile:?}");
        assert_eq!(seen.commands[1], "MAIL FROM:<privacy@venue.example>");
        assert_eq!(seen.commands[2], format!("RCPT TO:<{ADA}>"), "one recipient, the proven one");
        let body = &seen.bodies[0];
        assert_no_bare_line_ends(body);
        let text = String::from_utf8(body.clone()).unwrap();
        let (head, parts) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<String> = head
            .split("\r\n")
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().unwrap().to_ascii_lowercase())
            .collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(
            sorted,
            ["auto-submitted", "content-type", "date", "from", "message-id", "mime-version", "subject", "to"],
            "{hostile:?}\n{head}"
        );
        let to = head.split("\r\n").find(|line| line.starts_with("To: ")).unwrap();
        assert_eq!(to, format!("To: {ADA}"));
        let from = head.split("\r\n").filter(|line| line.starts_with("From: ")).collect::<Vec<_>>();
        assert_eq!(from.len(), 1);
        assert_eq!(parts.matches("Content-Transfer-Encoding: quoted-printable").count(), 2);
        assert_eq!(parts.matches("Content-Transfer-Encoding").count(), 2);
    }
}

#[tokio::test]
async fn t_5_every_notice_crosses_the_network_as_lines_of_ascii() {
    let mut world = World::new().await;
    let stub = SmtpStub::start(Mood::Obedient).await;
    let mailer = mailer_to(&mut world, &stub).await;
    let request = world.request().await;
    for kind in NoticeKind::ALL {
        world.enqueue(request, kind).await.unwrap();
        assert_eq!(mailer.deliver(world.organisation(), request, kind).await.unwrap(), Delivery::Sent);
    }
    let bodies = stub.seen().bodies;
    assert_eq!(bodies.len(), NoticeKind::ALL.len());
    for body in &bodies {
        assert_no_bare_line_ends(body);
        let longest = body.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
        assert!(longest <= 998, "RFC 5321 allows 998 characters a line; found {longest}");
    }
}

#[tokio::test]
async fn f_51_a_server_that_hangs_costs_the_time_out_and_no_more() {
    for (mood, outcome) in [
        (Mood::SilentAfterGreeting, "notice.ended:failed"),
        (Mood::SilentAfterBody, "notice.ended:outcome_unknown"),
    ] {
        let mut world = World::new().await;
        world.settings.send_timeout_secs = 1;
        let stub = SmtpStub::start(mood).await;
        let (request, enqueued) = world.pending().await;
        let mailer = mailer_to(&mut world, &stub).await;
        let delivered = tokio::time::timeout(Duration::from_secs(15), world.deliver(&mailer, request));
        assert!(matches!(delivered.await.unwrap(), Delivery::Later(_)));
        assert_eq!(world.notice(request).await.last_code.as_deref(), Some("timeout"));
        assert_eq!(world.log(request).await[2], outcome, "{mood:?}");

        stub.become_of(Mood::Obedient);
        assert_eq!(world.deliver(&mailer, request).await, Delivery::Sent);
        for body in stub.seen().bodies {
            assert!(
                String::from_utf8(body).unwrap().contains(&format!("Message-ID: {}", enqueued.message_id))
            );
        }
    }
}

#[tokio::test]
async fn f_51_a_connection_dropped_after_the_body_is_unknown_and_repeated() {
    let mut world = World::new().await;
    let stub = SmtpStub::start(Mood::DropsAfterBody).await;
    let (request, enqueued) = world.pending().await;
    let mailer = mailer_to(&mut world, &stub).await;
    assert!(matches!(world.deliver(&mailer, request).await, Delivery::Later(_)));
    assert_eq!(world.log(request).await[2], "notice.ended:outcome_unknown");
    stub.become_of(Mood::Obedient);
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Sent);
    let bodies = stub.seen().bodies;
    assert_eq!(bodies.len(), 2);
    for body in bodies {
        assert!(String::from_utf8(body).unwrap().contains(&enqueued.message_id));
    }
}

#[tokio::test]
async fn f_51_the_phase_decides_what_an_answer_means() {
    for (mood, state, code) in [
        (Mood::AtRecipient("550 5.1.1 <ada@people.example> unknown"), "refused", "550"),
        (Mood::AtRecipient("450 4.2.0 greylisted, try later"), "pending", "450"),
        (Mood::AtRecipient("530 5.7.0 authentication required"), "pending", "530"),
        (Mood::AtRecipient("421 closing"), "pending", "421"),
        (Mood::AtBody("554 5.7.1 refused"), "refused", "554"),
        (Mood::AtBody("451 4.3.0 try later"), "pending", "451"),
        (Mood::AtSender("550 5.7.1 sender unknown"), "pending", "550"),
    ] {
        let mut world = World::new().await;
        let stub = SmtpStub::start(mood).await;
        let (request, _) = world.pending().await;
        let mailer = mailer_to(&mut world, &stub).await;
        world.deliver(&mailer, request).await;
        let row = world.notice(request).await;
        assert_eq!((row.state.as_str(), row.last_code.as_deref()), (state, Some(code)), "{mood:?}");
        assert_eq!(world.log(request).await[2], "notice.ended:failed", "an answer is no doubt: {mood:?}");
        assert!(!world.everything_stored().await.contains("ada@"), "the server's words are not kept");
    }
}

#[tokio::test]
async fn f_51_an_international_domain_goes_to_every_server_whoever_writes_to_whom() {
    let mut world = World::new().await;
    world.settings.from_address = "privacy@bücher.example".to_owned();
    world.settings.reply_to_address = Some("answers@bücher.example".to_owned());
    // It knows nothing of RFC 6531.
    let stub = SmtpStub::start(Mood::Obedient).await;
    let (request, _) = world.pending().await;
    let mailer = mailer_to(&mut world, &stub).await;
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Sent);
    let transport = Transport::open(&world.settings, "/nowhere".as_ref()).await.unwrap();
    let at = world.clock.now();
    let letter = StaffLetter {
        to: "dpo@bücher.example",
        message_id: "<1@venue.dsrd.invalid>".to_owned(),
        subject: "Due soon".to_owned(),
        text: "One request.\n".to_owned(),
        at,
    };
    delivery::send_to_staff(&transport, &world.settings, letter).await.unwrap();
    let letter = RecipientLetter {
        controller: &world.controller,
        language: "en",
        reference: "DSR-AAAA-BBBB",
        action: "erase",
        on: at.date_naive(),
        answer_by: at.date_naive(),
        objects: Personal::new("5f3a".to_owned()),
        to: "Privacy@käse.example",
        message_id: "<2@venue.dsrd.invalid>".to_owned(),
        at,
    };
    let letter = delivery::prepare_letter(&world.settings, letter).unwrap();
    delivery::send_letter(&transport, &letter).await.unwrap();
    let seen = stub.seen();
    let of = |verb: &str| seen.commands.iter().filter(|line| line.starts_with(verb)).collect::<Vec<_>>();
    assert_eq!(of("MAIL"), ["MAIL FROM:<privacy@xn--bcher-kva.example>"; 3]);
    let to = [
        format!("RCPT TO:<{ADA}>"),
        "RCPT TO:<dpo@xn--bcher-kva.example>".to_owned(),
        "RCPT TO:<Privacy@xn--kse-qla.example>".to_owned(),
    ];
    assert_eq!(of("RCPT"), to.iter().collect::<Vec<_>>());
    for body in &seen.bodies {
        assert_no_bare_line_ends(body);
    }
    let notice = String::from_utf8(seen.bodies[0].clone()).unwrap();
    assert!(notice.contains("Reply-To: answers@xn--bcher-kva.example"), "{notice}");
}

#[tokio::test]
async fn f_51_a_sender_that_the_server_cannot_take_is_our_set_up_and_no_refusal_of_the_recipient() {
    let mut world = World::new().await;
    world.settings.from_address = "büro@venue.example".to_owned();
    let stub = SmtpStub::start(Mood::Obedient).await;
    let (request, _) = world.pending().await;
    let mailer = mailer_to(&mut world, &stub).await;
    assert!(matches!(world.deliver(&mailer, request).await, Delivery::Later(_)));
    let row = world.notice(request).await;
    assert_eq!((row.state.as_str(), row.last_code.as_deref()), ("pending", Some("no_smtputf8")));
    // A recipient whom it cannot take will not be taken tomorrow either.
    world.settings = crate::world::settings();
    let mailer = mailer_to(&mut world, &stub).await;
    let request = world.request_of(dsrd::domain::IdentifierKind::Email, "zoë@people.example").await;
    world.enqueue(request, NoticeKind::AccessReady).await.unwrap();
    let refused = world.deliver(&mailer, request).await;
    assert_eq!(refused, Delivery::Refused("no_smtputf8".to_owned()));
}

#[tokio::test]
async fn f_51_a_server_that_is_down_is_waited_for() {
    let mut world = World::new().await;
    // Held and not listening: nobody else gets it meanwhile.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    world.settings.smtp.port = held.local_addr().unwrap().port();
    let (request, _) = world.pending().await;
    let transport = Transport::open(&world.settings, "/nowhere".as_ref()).await.unwrap();
    let mailer = world.mailer(transport);
    assert!(matches!(world.deliver(&mailer, request).await, Delivery::Later(_)));
    assert_eq!(world.notice(request).await.last_code.as_deref(), Some("connection"));
    assert_eq!(world.log(request).await[2], "notice.ended:failed");
}

#[tokio::test]
async fn f_51_s_46_a_server_without_starttls_gets_neither_address_nor_message() {
    let mut world = World::new().await;
    world.settings.smtp.security = Security::Starttls;
    let stub = SmtpStub::start(Mood::Obedient).await;
    let (request, _) = world.pending().await;
    let mailer = mailer_to(&mut world, &stub).await;
    assert!(matches!(world.deliver(&mailer, request).await, Delivery::Later(_)));
    assert_eq!(world.notice(request).await.last_code.as_deref(), Some("no_starttls"));
    let seen = stub.seen();
    assert!(seen.bodies.is_empty());
    assert!(!seen.commands.iter().any(|line| line.contains('@')), "{:?}", seen.commands);
}

#[tokio::test]
async fn i_7_a_daemon_killed_while_sending_repeats_once_under_the_same_message_id() {
    let mut world = World::new().await;
    let stub = SmtpStub::start(Mood::SilentAfterBody).await;
    let (request, enqueued) = world.pending().await;
    let mailer = mailer_to(&mut world, &stub).await;
    // Killed between the two transactions: the future is dropped once the body has arrived.
    tokio::select! {
        delivered = world.deliver(&mailer, request) => panic!("{delivered:?}"),
        () = async {
            while stub.seen().bodies.is_empty() {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    let row = world.notice(request).await;
    assert!(row.intent.is_some() && row.state == "pending");
    assert_eq!(world.log(request).await, ["notice.enqueued", "notice.began"]);

    stub.become_of(Mood::Obedient);
    assert_eq!(world.deliver(&mailer, request).await, Delivery::Sent);
    assert_eq!(
        world.log(request).await[1..],
        ["notice.began", "notice.ended:outcome_unknown", "notice.began", "notice.ended:done"]
    );
    let bodies = stub.seen().bodies;
    assert_eq!(bodies.len(), 2, "one extra for one kill");
    for body in bodies {
        assert!(String::from_utf8(body).unwrap().contains(&enqueued.message_id));
    }
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit.pending AS began WHERE action = 'notice.began'
         AND NOT EXISTS (SELECT FROM audit.pending AS ended WHERE ended.intent = began.uid)",
    )
    .fetch_one(&mut *world.store.connection().await.unwrap())
    .await
    .unwrap();
    assert_eq!(open, 0, "every announced attempt has its end");
}
