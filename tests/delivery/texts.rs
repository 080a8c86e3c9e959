//! What the mails say.

use dsrd::delivery::{DeliveryError, Facts, NoticeKind, Sender};
use dsrd::domain::{ExtensionReason, Personal, RequestKind};
use scraper::{Html, Selector};

use crate::world::{World, facts};

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

/// Facts that this kind can be told with: an extension has reasons of its own.
fn facts_for(kind: NoticeKind) -> Facts {
    let extension = (kind == NoticeKind::Extension).then_some(ExtensionReason::Complexity);
    let refusal = facts().refusal.filter(|_| extension.is_none());
    Facts { extension, refusal, ..facts() }
}

#[tokio::test]
async fn every_notice_says_what_the_law_wants_in_both_forms() {
    let world = World::new().await;
    let request = world.request().await;
    let (mailer, memory) = world.memory_mailer();
    for kind in NoticeKind::ALL {
        world.enqueue_with(request, kind, Sender::Procedure, facts_for(kind)).await.unwrap();
        mailer.deliver(world.organisation(), request, kind).await.unwrap();
    }
    let reference = dsrd::domain::Reference::of(request);
    let common = [
        reference.as_str(),
        "Harbour Café Group",
        "23 November 2026",
        "dpo@venue.example",
        "data protection authority",
        "court",
        "Please do not send copies of identity cards",
        "It is not advertising",
    ];
    for (kind, sent) in NoticeKind::ALL.into_iter().zip(memory.sent()) {
        let particular: &[&str] = match kind {
            NoticeKind::Acknowledgement => {
                &["23 December 2026, at the latest", "contact details that we already hold"]
            }
            NoticeKind::AccessReady => &["9 December 2026, 10:00 CET", "/handover/", "corrected"],
            NoticeKind::NoData => {
                &["25 November 2026", "the e-mail address", "the telephone number", "new request"]
            }
            NoticeKind::ErasureDone => &["25 November 2026", "What we keep, and why", "Article 5(2) GDPR"],
            NoticeKind::ErasurePartlyDone => {
                &["Invoices, because tax law requires us to keep them. Until 31 December 2036."]
            }
            NoticeKind::OptOutDone => &["Marketing messages", "nothing else"],
            NoticeKind::Refused => &[
                "25 November 2026",
                "A law obliges us to keep the data (Article 17(3)(b) GDPR).",
                "Section 147 of the tax code: invoices.",
                "Until 2036.",
                "Complain to the supervisory authority: Garante, Piazza Venezia 11, Roma",
                "Go to court",
            ],
            NoticeKind::Withdrawn => &["25 November 2026", "new request"],
            NoticeKind::Extension => &[
                "23 December 2026, at the latest",
                "Your request is complex.",
                "Section 147 of the tax code: invoices.",
                "supervisory authority",
            ],
            NoticeKind::ClarificationRequest => {
                &["23 December 2026, at the latest", "Section 147 of the tax code: invoices.", "full answer"]
            }
            NoticeKind::Answered => &[
                "25 November 2026",
                "done in part",
                "Section 147 of the tax code: invoices.",
                "Article 5(2) GDPR",
            ],
        };
        let page = Html::parse_document(sent.html.expose());
        let href = page
            .select(&Selector::parse("a").unwrap())
            .filter_map(|link| link.value().attr("href"))
            .collect::<Vec<_>>()
            .join(" ");
        let seen = page.root_element().text().collect::<String>() + " " + &href;
        for form in [sent.text.expose(), &seen] {
            let form = form.split_whitespace().collect::<Vec<_>>().join(" ");
            for wanted in common.iter().chain(particular) {
                assert!(form.contains(wanted), "{kind}: {wanted:?} is not in\n{form}");
            }
            assert!(!form.contains("{{"), "{kind}: {form}");
        }
        assert!(sent.subject.contains(reference.as_str()), "{kind}");
        assert!(
            sent.text.expose().lines().all(|line| line.starts_with("https://") || line.chars().count() <= 72)
        );
        assert!(!sent.html.expose().contains("src="), "nothing is loaded, so nothing tracks");
    }
}

#[tokio::test]
async fn the_words_of_the_mails() {
    let world = World::new().await;
    let request = world.request().await;
    let (mailer, memory) = world.memory_mailer();
    for kind in NoticeKind::ALL {
        let mut facts = facts_for(kind);
        facts.request_kind = match kind {
            NoticeKind::ErasureDone | NoticeKind::ErasurePartlyDone | NoticeKind::Refused => {
                RequestKind::Erasure
            }
            NoticeKind::OptOutDone => RequestKind::OptOut,
            NoticeKind::Answered => RequestKind::Rectification,
            _ => RequestKind::Access,
        };
        world.enqueue_with(request, kind, Sender::Procedure, facts).await.unwrap();
        mailer.deliver(world.organisation(), request, kind).await.unwrap();
    }
    let reference = dsrd::domain::Reference::of(request);
    let mut all = String::new();
    for sent in memory.sent() {
        let secret = sent.link.map_or_else(|| "no secret".to_owned(), Personal::into_exposed);
        let text =
            sent.text.expose().replace(&secret, "<secret>").replace(reference.as_str(), "DSR-XXXX-XXXX");
        let subject = sent.subject.replace(reference.as_str(), "DSR-XXXX-XXXX");
        all.extend(["Subject: ", &subject, "\n\n", &text, "\n######\n\n"]);
    }
    insta::assert_snapshot!(all);
}
