//! What the mails say.

use dsrd::delivery::{DeliveryError, NoticeKind, Sender};
use dsrd::domain::{OneTimeCode, Personal};
use scraper::{Html, Selector};

use crate::world::{World, facts, facts_for};

#[tokio::test]
async fn s_20_values_are_never_evaluated_and_html_is_escaped() {
    let mut world = World::new().await;
    "{{contact}} ${HOME} __X__ {% include 'x' %} <script>alert(1)</script> \"&' {{link}}"
        .clone_into(&mut world.controller.name);
    let request = world.request().await;
    let mut facts = facts();
    facts.kept[0].what = "{{reference}} <img src=x onerror=alert(1)>".to_owned();
    let kind = NoticeKind::ErasurePartlyDone;
    world.enqueue_with(request, kind, Sender::Procedure, facts).await.unwrap();
    let (mailer, memory) = world.memory_mailer();
    mailer.deliver(world.organisation(), request, kind).await.unwrap();
    let sent = memory.sent().remove(0);
    let unwrapped = sent.text.expose().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains("{{contact}} ${HOME} __X__ {% include 'x' %} <script>alert(1)</script>"));
    assert!(
        unwrapped.contains("- {{reference}} <img src=x onerror=alert(1)>, because tax law"),
        "{unwrapped}"
    );
    let html = sent.html.expose();
    assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    let page = Html::parse_document(html);
    assert_eq!(page.select(&Selector::parse("script, img, link, iframe, form").unwrap()).count(), 0);
}

#[tokio::test]
async fn r_39_where_nothing_is_erased_yet_nobody_is_told_that_something_was() {
    for (language, yet, ended) in [
        ("en", "Nothing is erased yet", "Erased on"),
        ("de", "Gelöscht ist noch nichts", "Gelöscht am"),
        ("fr", "Rien n’est encore effacé", "Effacées le"),
        ("it", "Non è ancora stato cancellato nulla", "Cancellati il"),
        ("es", "Todavía no se ha suprimido nada", "Suprimidos el"),
    ] {
        let world = World::new().await;
        let request = world.request().await;
        let kind = NoticeKind::ErasurePartlyDone;
        let mut facts = facts_for(kind);
        facts.nothing_erased = true;
        world.enqueue_in(language, request, kind, Sender::Procedure, facts).await.unwrap();
        let (mailer, memory) = world.memory_mailer();
        mailer.deliver(world.organisation(), request, kind).await.unwrap();
        let sent = memory.sent().remove(0);
        for form in [squeezed(sent.text.expose()), seen(sent.html.expose())] {
            assert!(form.contains(yet) && !form.contains(ended), "{language}: {form}");
            // What is kept, why, and until when.
            assert!(
                form.contains("tax law requires us to keep them") && form.contains("2036"),
                "{language}: {form}"
            );
        }
    }
}

#[tokio::test]
async fn s_20_a_missing_value_is_an_error_and_nothing_is_sent() {
    let world = World::new().await;
    let request = world.request().await;
    let mut facts = facts();
    facts.done_on = None;
    world.enqueue_with(request, NoticeKind::ErasureDone, Sender::Procedure, facts).await.unwrap();
    let (mailer, memory) = world.memory_mailer();
    let failed = mailer.deliver(world.organisation(), request, NoticeKind::ErasureDone).await.unwrap_err();
    assert!(matches!(failed, DeliveryError::Text { kind: NoticeKind::ErasureDone, .. }), "{failed:?}");
    assert!(!failed.is_transient());
    assert_eq!(memory.tried(), 0);
    assert_eq!(world.notice(request).await.attempts, 0);
}

/// White space of any length counts as one space.
pub(crate) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What an HTML page shows, with the addresses of its links.
pub(crate) fn seen(html: &str) -> String {
    let page = Html::parse_document(html);
    let links = Selector::parse("a").unwrap();
    let hrefs =
        page.select(&links).filter_map(|link| link.value().attr("href")).collect::<Vec<_>>().join(" ");
    squeezed(&format!("{} {hrefs}", page.root_element().text().collect::<String>()))
}

/// What a notice of this kind must say beside what all say, word by word.
#[expect(clippy::too_many_lines, reason = "an arm for each kind of notice")]
fn particular_to(kind: NoticeKind) -> &'static [&'static str] {
    match kind {
        NoticeKind::Acknowledgement => {
            &["23 November 2026", "23 December 2026, at the latest", "contact details that we already hold"]
        }
        NoticeKind::IdentityRequest => &[
            "/identity/",
            "9 December 2026, 10:00 CET",
            "not in a way that shows us who sent it",
            "/identity and enter your reference and the code",
            "Never tell it to anybody who calls you.",
            "We need nothing else.",
            "runs on while we wait for you: you have it by 23 December 2026",
            "If you do not confirm",
        ],
        NoticeKind::ClarificationRequest => &[
            "Do you mean the guest Wi-Fi or the loyalty card?",
            "You do not have to narrow your request.",
            "runs on while we wait for you",
        ],
        NoticeKind::Extension => &[
            "23 February 2027, at the latest",
            "23 November 2026",
            "Your request is complex.",
            "Records of three systems",
        ],
        NoticeKind::PartialAnswer => &["are enclosed", "Those of 2025 follow.", "23 December 2026"],
        NoticeKind::Fee => &[
            "EUR 12.00",
            "because it repeats others (Article 12(5) GDPR).",
            "10 sheets at EUR 1.20",
            "Narrow your request",
            "Withdraw it.",
            "7 December 2026",
        ],
        NoticeKind::NotIdentified => &[
            "We cannot tell which data is yours (Articles 11(2) and 12(2) GDPR).",
            "What would help",
            "Complain to the supervisory authority: Garante",
            "Go to court",
        ],
        NoticeKind::AccessReady => &["9 December 2026, 10:00 CET", "/handover/", "corrected"],
        NoticeKind::PortabilityReady => &[
            "in a form that you can take to others",
            "9 December 2026, 10:00 CET",
            "/handover/",
            "with your consent or for a contract with you",
            "on another legal ground",
            "a copy of all data about you",
        ],
        NoticeKind::NoData => &[
            "no data about you in our contact platform",
            "25 November 2026",
            "the e-mail address",
            "the telephone number",
            "new request",
            "A fingerprint of your contact details",
            "another request about you: DSR-",
            "of 3 October 2026.",
        ],
        NoticeKind::ErasureDone => &[
            "25 November 2026",
            "What we keep, and why",
            "Article 5(2) GDPR",
            "We tell Mailworks Ltd",
            "copies until 30 December 2026",
            "A fingerprint of your contact details",
        ],
        NoticeKind::ErasurePartlyDone => &[
            "Invoices, because tax law requires us to keep them. Until 31 December 2036.",
            "we erase the data after it by ourselves",
            "Complain to the supervisory authority",
        ],
        NoticeKind::RestrictionSet => &["Before we lift the restriction, we tell you."],
        NoticeKind::RestrictionLifting => &["1 January 2027", "it is correct", "you can object"],
        NoticeKind::OptOutDone => &["Marketing messages", "nothing else", "Switched off on"],
        NoticeKind::RectificationDone => &["The spelling of the family name", "We tell Mailworks"],
        NoticeKind::Refused => &[
            "25 November 2026",
            "A law obliges us to keep the data (Article 17(3)(b) GDPR).",
            "Section 147 of the tax code: invoices.",
            "Until 2036.",
            "Complain to the supervisory authority: Garante, Piazza Venezia 11, Roma",
            "Go to court",
        ],
        NoticeKind::Withdrawn => &["25 November 2026", "new request"],
        NoticeKind::RecipientNotice => &[
            "erase the data, with all copies and links to it",
            "contact 5f3a",
            "contact 5f3b",
            "7 December 2026",
            "How to answer",
        ],
        NoticeKind::BreachNotice => &[
            "What happened",
            "A copy of data was sent",
            "What it may mean for you",
            "You may get unwanted mail.",
            "The copy was deleted.",
            "Watch out for strange mails.",
        ],
        NoticeKind::ComplaintReceived => &["23 December 2026, at the latest", "do not have to wait for us"],
        NoticeKind::Answered => &["stays as it is", "Go to court"],
    }
}

#[tokio::test]
async fn every_notice_says_what_the_law_wants_in_both_forms() {
    let world = World::new().await;
    let request = world.request().await;
    let (mailer, memory) = world.memory_mailer();
    for kind in NoticeKind::ALL {
        world.enqueue(request, kind).await.unwrap();
        mailer.deliver(world.organisation(), request, kind).await.unwrap();
    }
    let reference = dsrd::domain::Reference::of(request);
    let everywhere = [reference.as_str(), "Harbour Café Group", "dpo@venue.example", "It is not advertising"];
    let to_subjects = ["data protection authority", "court", "Please do not send copies of identity cards"];
    for (kind, sent) in NoticeKind::ALL.into_iter().zip(memory.sent()) {
        let particular = particular_to(kind);
        let to_subjects: &[&str] = if kind == NoticeKind::RecipientNotice { &[] } else { &to_subjects };
        for form in [&squeezed(sent.text.expose()), &seen(sent.html.expose())] {
            for wanted in everywhere.iter().chain(to_subjects).chain(particular) {
                assert!(form.contains(wanted), "{kind}: {wanted:?} is not in\n{form}");
            }
            assert!(!form.contains("{{"), "{kind}: {form}");
        }
        assert!(sent.subject.contains(reference.as_str()), "{kind}");
        assert_plain(kind, sent.text.expose(), sent.html.expose());
    }
}

/// Lines that every program shows, and a page that loads nothing: no pixel, no script, no link but ours.
fn assert_plain(kind: NoticeKind, text: &str, html: &str) {
    assert!(
        text.lines().all(|line| line.starts_with("https://") || line.chars().count() <= 72),
        "{kind}: {text}"
    );
    assert!(!html.contains("src=") && !html.contains("url("), "{kind}: nothing is loaded, so nothing tracks");
    let page = Html::parse_document(html);
    let links = Selector::parse("[href]").unwrap();
    for link in page.select(&links) {
        let href = link.value().attr("href").unwrap();
        assert!(href.starts_with("https://privacy.venue.example/"), "{kind}: {href}");
    }
}

#[tokio::test]
async fn r_30_the_words_of_the_mails_in_five_languages() {
    let world = World::new().await;
    let (mailer, memory) = world.memory_mailer();
    for language in ["en", "de", "fr", "it", "es"] {
        let request = world.request().await;
        let before = memory.sent().len();
        for kind in NoticeKind::ALL {
            let facts = facts_for(kind);
            world.enqueue_in(language, request, kind, Sender::Procedure, facts).await.unwrap();
            mailer.deliver(world.organisation(), request, kind).await.unwrap();
        }
        let reference = dsrd::domain::Reference::of(request);
        let mut all = String::new();
        for (kind, sent) in NoticeKind::ALL.into_iter().zip(memory.sent().into_iter().skip(before)) {
            assert!(sent.html.expose().contains(&format!("<html lang=\"{language}\">")), "{kind}");
            assert_plain(kind, sent.text.expose(), sent.html.expose());
            let secret = sent.link.map_or_else(|| "no secret".to_owned(), Personal::into_exposed);
            let code = OneTimeCode::of_secret(&world.keys, &Personal::new(secret.clone()));
            let text =
                sent.text.expose().replace(&secret, "<secret>").replace(code.spaced().expose(), "<code>");
            let text = text.replace(reference.as_str(), "DSR-XXXX-XXXX");
            let subject = sent.subject.replace(reference.as_str(), "DSR-XXXX-XXXX");
            all.extend(["Subject: ", &subject, "\n\n", &text, "\n######\n\n"]);
        }
        insta::assert_snapshot!(format!("the_words_of_the_mails_{language}"), all);
    }
}

#[tokio::test]
async fn r_30_a_language_without_texts_falls_back_to_the_controller_s_and_that_is_recorded() {
    let mut world = World::new().await;
    "de".clone_into(&mut world.controller.language);
    let request = world.request().await;
    let (mailer, memory) = world.memory_mailer();
    let kind = NoticeKind::NoData;
    world.enqueue_in("sv-FI", request, kind, Sender::Procedure, facts()).await.unwrap();
    mailer.deliver(world.organisation(), request, kind).await.unwrap();
    assert!(memory.sent()[0].subject.starts_with("Die Antwort auf Ihre Anfrage"));
    assert_eq!(world.notice(request).await.template.as_deref(), Some("no_data/de/2"));
    let detail: serde_json::Value =
        sqlx::query_scalar("SELECT detail FROM audit.pending WHERE case_id = $1 AND action = 'notice.ended'")
            .bind(request.0)
            .fetch_one(&mut *world.store.connection().await.unwrap())
            .await
            .unwrap();
    assert_eq!(detail["wished_language"], "sv-FI");
    assert_eq!(detail["template"], "no_data/de/2");
    assert_eq!(
        detail["text_sha256"].as_str(),
        world.notice(request).await.text_sha256.map(hex::encode).as_deref()
    );
}

#[tokio::test]
async fn r_88_refusals_and_erasures_name_the_remedies_of_their_law() {
    for (regime, wanted, unwanted) in [
        ("EU", vec!["GDPR", "Go to court"], vec!["UK GDPR"]),
        (
            "UK",
            // Reasons, a complaint to us, one to the ICO, a court.
            vec!["UK GDPR", "You can complain to us at the same address", "ico.org.uk", "go to court"],
            vec![],
        ),
        (
            "US-CA",
            vec!["California Privacy Protection Agency", "do not treat you worse", "November 25, 2026"],
            vec!["GDPR", "Article"],
        ),
        ("CH", vec!["Federal Data Protection and Information Commissioner"], vec!["GDPR"]),
        ("BR", vec!["ANPD"], vec!["GDPR"]),
    ] {
        let mut world = World::new().await;
        world.controller.regime = regime.parse().unwrap();
        let request = world.request().await;
        let (mailer, memory) = world.memory_mailer();
        for kind in [NoticeKind::Refused, NoticeKind::ErasureDone] {
            let mut facts = facts_for(kind);
            if let Some(refusal) = &mut facts.refusal {
                refusal.authority = None;
            }
            world.enqueue_with(request, kind, Sender::Procedure, facts).await.unwrap();
            mailer.deliver(world.organisation(), request, kind).await.unwrap();
        }
        let [refused, erased] = &memory.sent()[..] else { panic!("two mails") };
        let text = squeezed(refused.text.expose());
        for each in wanted {
            assert!(text.contains(each), "{regime}: {each:?} is not in\n{text}");
        }
        for form in [&text, &squeezed(erased.text.expose())] {
            for each in &unwanted {
                assert!(!form.contains(each), "{regime}: {each:?} is in\n{form}");
            }
        }
    }
}

#[tokio::test]
async fn r_16_waiting_for_the_person_is_told_as_the_law_counts_it() {
    for (regime, identity, clarification) in [
        ("EU", "runs on", "runs on"),
        ("EU-suspend", "stands still", "stands still"),
        ("UK", "begins when we have heard from you", "stands still"),
        ("US-CA", "runs on", "runs on"),
    ] {
        let mut world = World::new().await;
        world.controller.regime = regime.parse().unwrap();
        let request = world.request().await;
        let (mailer, memory) = world.memory_mailer();
        for kind in [NoticeKind::IdentityRequest, NoticeKind::ClarificationRequest] {
            world.enqueue(request, kind).await.unwrap();
            mailer.deliver(world.organisation(), request, kind).await.unwrap();
        }
        let texts: Vec<String> = memory.sent().iter().map(|sent| squeezed(sent.text.expose())).collect();
        assert!(texts[0].contains(identity), "{regime}: {}", texts[0]);
        assert!(texts[1].contains(clarification), "{regime}: {}", texts[1]);
    }
}

#[tokio::test]
async fn r_75_the_digest_is_that_of_the_text_without_secret_and_without_the_controller_s_words() {
    use sha2::{Digest as _, Sha256};
    let world = World::new().await;
    let request = world.request().await;
    let (mailer, memory) = world.memory_mailer();
    world.enqueue(request, NoticeKind::Refused).await.unwrap();
    mailer.deliver(world.organisation(), request, NoticeKind::Refused).await.unwrap();
    let sent = memory.sent().remove(0);
    let blank = sent
        .text
        .expose()
        .replace("- Section 147 of the tax code: invoices.\n- Until 2036.", "- words\n- words\n- words");
    assert_ne!(&blank, sent.text.expose());
    let digest: [u8; 32] = Sha256::digest(blank.as_bytes()).into();
    assert_eq!(world.notice(request).await.text_sha256.as_deref(), Some(&digest[..]));
}

#[tokio::test]
async fn r_69_a_breach_notice_without_one_of_its_three_parts_is_not_sent() {
    let world = World::new().await;
    let request = world.request().await;
    let (mailer, memory) = world.memory_mailer();
    let notice = dsrd::delivery::NewNotice {
        organisation: world.organisation().clone(),
        request,
        kind: NoticeKind::BreachNotice,
        sender: Sender::Procedure,
        recipient_no: 0,
        language: "en".to_owned(),
        facts: facts(),
        words: Some(Personal::new("It happened.\n\nIt may mean this.".to_owned())),
        link_token: None,
    };
    let mut tx = world.store.begin("test").await.unwrap();
    let now = dsrd::domain::Clock::now(&*world.clock);
    dsrd::delivery::enqueue(&mut tx, &world.keys, notice, now).await.unwrap();
    tx.commit().await.unwrap();
    let failed = mailer.deliver(world.organisation(), request, NoticeKind::BreachNotice).await.unwrap_err();
    assert!(matches!(failed, DeliveryError::Text { kind: NoticeKind::BreachNotice, .. }), "{failed:?}");
    assert_eq!(memory.tried(), 0);
}
