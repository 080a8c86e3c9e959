//! The closed set of placeholders and their values.

use std::collections::BTreeMap;

use super::TextError;
use super::phrases::{Named, Speech};
use crate::delivery::NoticeKind;
use crate::delivery::notice::{Facts, OtherRequest};
use crate::domain::deadline::{PauseCause, PauseEffect};
use crate::domain::{Controller, Follows, Reference, RequestKind, bare_policy};

/// How a placeholder's value looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A few words, for anywhere in a line.
    Word,
    /// A list, for a bullet of its own.
    List,
}

/// A placeholder.
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

const fn word(name: &'static str) -> Slot {
    Slot { name, shape: Shape::Word }
}

const fn list(name: &'static str) -> Slot {
    Slot { name, shape: Shape::List }
}

/// Every placeholder there is. `docs/notices.md` tells what each stands for.
pub(super) const SLOTS: &[Slot] = &[
    word("organisation"),
    word("contact"),
    word("reference"),
    word("occasion"),
    word("asked"),
    word("received_on"),
    word("due_on"),
    word("new_due_on"),
    word("answer_by"),
    word("done_on"),
    word("lifted_on"),
    word("expires_at"),
    word("link"),
    word("code"),
    word("code_page"),
    word("amount"),
    word("gathered"),
    word("rights"),
    word("keep"),
    word("deleted"),
    word("clock"),
    word("complaint"),
    word("action"),
    list("policies"),
    list("searched_by"),
    list("kept"),
    list("marketing_off"),
    list("restricted"),
    list("missing"),
    list("explained"),
    list("recipients"),
    list("backups"),
    list("suppression"),
    list("others"),
    list("concerned"),
    list("reasons"),
    list("said"),
    list("remedies"),
    list("objects"),
    list("happened"),
    list("consequences"),
    list("measures"),
];

/// The values of one notice.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Values {
    words: BTreeMap<&'static str, String>,
    lists: BTreeMap<&'static str, Vec<String>>,
}

impl Values {
    pub(super) fn word(&self, name: &'static str) -> Result<&str, TextError> {
        self.words.get(name).map(String::as_str).ok_or(TextError::NoValue(name))
    }

    pub(super) fn list(&self, name: &'static str) -> Result<&[String], TextError> {
        self.lists.get(name).map(Vec::as_slice).ok_or(TextError::NoValue(name))
    }

    fn set(&mut self, name: &'static str, text: &str) {
        let clean = clean(text);
        if !clean.is_empty() {
            self.words.insert(name, clean);
        }
    }

    /// A phrase of the language, whose own values were cleaned when they were put into it.
    fn set_phrase(&mut self, name: &'static str, phrase: String) {
        self.words.insert(name, phrase);
    }

    fn set_list(&mut self, name: &'static str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.map(|item| one_line(&item)).filter(|item| !item.is_empty()).collect();
        if !items.is_empty() {
            self.lists.insert(name, items);
        }
    }
}

/// What a value may hold: one line of visible characters. Line breaks of every kind become a space, so that no value can
/// begin a line of its own or a header; marks that turn the direction of writing are dropped, so that none can make a
/// line read other than it is written.
pub(in crate::delivery) fn clean(text: &str) -> String {
    const LONGEST: usize = 400;
    one_line(text).chars().take(LONGEST).collect::<String>().trim_end().to_owned()
}

/// The same without a limit: for what a controller says itself, of which nothing may be cut off.
fn one_line(text: &str) -> String {
    let visible = text
        .chars()
        .map(|each| if each.is_control() || matches!(each, '\u{2028}' | '\u{2029}') { ' ' } else { each })
        .filter(|each| !matches!(each, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'))
        .collect::<String>();
    // A space that does not break is kept: it belongs to the punctuation of French.
    let breaks = |each: char| each.is_whitespace() && each != '\u{a0}';
    visible.split(breaks).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What a notice is about, beyond its facts.
pub(in crate::delivery) struct Occasion<'a> {
    pub(in crate::delivery) controller: &'a Controller,
    pub(in crate::delivery) reference: &'a str,
    pub(in crate::delivery) facts: &'a Facts,
    /// What the controller itself says, a few lines, where the notice has a place for it.
    pub(in crate::delivery) words: Option<&'a str>,
    /// The whole link, if the notice has one.
    pub(in crate::delivery) link: Option<&'a str>,
    /// The code that stands for the link, if there is one, and the page where it is typed.
    pub(in crate::delivery) code: Option<(&'a str, &'a str)>,
    /// What a recipient of data is asked to do, where that is not what the person asked: the ending of a phrase `action.…`.
    pub(in crate::delivery) action: Option<&'a str>,
}

/// The values of an occasion in a language. What the facts lack gets no value: filling a text that needs it fails.
pub(super) fn values(
    speech: &Speech<'_>,
    kind: NoticeKind,
    occasion: &Occasion<'_>,
) -> Result<Values, TextError> {
    let Occasion { controller, reference, facts, words, link, code, action } = occasion;
    let mut values = Values::default();
    values.set("organisation", &controller.name);
    values.set("contact", &controller.contact);
    values.set("reference", reference);
    let asked = asked(speech, kind, facts)?;
    values.set_phrase("asked", asked.clone());
    // The person knows the request that they made, and its day.
    let received_on = facts.follows.map_or(facts.received_on, |follows| follows.received_on);
    values.set_phrase("received_on", speech.day(received_on)?);
    if let Some(occasion) = occasion_of(speech, kind, controller, facts)? {
        values.set_phrase("occasion", occasion);
    }
    values.set_phrase("due_on", speech.day(facts.due_on)?);
    for (name, date) in [
        ("done_on", facts.done_on),
        ("new_due_on", facts.extended_to),
        ("answer_by", facts.answer_by),
        ("lifted_on", facts.lifted_on),
    ] {
        if let Some(date) = date {
            values.set_phrase(name, speech.day(date)?);
        }
    }
    if let Some(expires_at) = facts.expires_at {
        values.set_phrase("expires_at", speech.instant(expires_at, controller.time_zone)?);
    }
    if let Some(link) = link {
        values.set("link", link);
    }
    if let Some((code, page)) = code {
        values.set("code", code);
        values.set("code_page", page);
    }
    if let Some(amount) = &facts.amount {
        values.set("amount", amount);
    }
    let evidence = match facts.evidence_until {
        Some(until) => speech.say("evidence.until", &[("date", &speech.day(until)?)])?,
        None => speech.say("evidence.open", &[])?,
    };
    values.set_phrase("keep", speech.say("keep", &[("evidence", &evidence)])?);
    let deleted = if facts.was_gone { "deleted.absent" } else { "deleted.done" };
    values.set_phrase("deleted", speech.say(deleted, &[])?);
    values.set_phrase("complaint", speech.say("complaint", &[])?);
    let action = format!("action.{}", action.unwrap_or(facts.request_kind.as_str()));
    values.set_phrase("action", speech.say_first([&action, "action"], &[])?);
    if let Some(clock) = clock(speech, kind, controller, facts)? {
        values.set_phrase("clock", clock);
    }
    set_lists(&mut values, speech, facts)?;
    set_remedies(&mut values, speech, controller, facts)?;
    set_gathered(&mut values, speech, kind, facts)?;
    set_concerned(&mut values, speech, facts, &asked)?;
    set_words(&mut values, speech, kind, facts, words.unwrap_or_default())?;
    Ok(values)
}

/// What was asked; of what follows by itself, from what. Of an opt-out of less than all marketing, of what: the text that tells its
/// outcome lists that.
fn asked(speech: &Speech<'_>, kind: NoticeKind, facts: &Facts) -> Result<String, TextError> {
    let named_only = facts.named_only && facts.request_kind == RequestKind::OptOut;
    let asked = match kind {
        NoticeKind::OptOutDone if named_only => speech.say("asked.named", &[])?,
        _ if named_only && !facts.policies.is_empty() => {
            let policies: Vec<String> = facts.policies.iter().map(|each| policy(speech, each)).collect();
            speech.say("asked.only", &[("policies", &policies.join(", "))])?
        }
        _ => speech.say(&format!("asked.{}", facts.request_kind), &[])?,
    };
    let Some(Follows { request, received_on, .. }) = facts.follows else { return Ok(asked) };
    let (former, date) = (Reference::of(request), speech.day(received_on)?);
    speech.say("asked.follows", &[("asked", &asked), ("former", former.as_str()), ("date", &date)])
}

/// A policy in words of the language; one that has none there by the title that the organisation gave it.
fn policy(speech: &Speech<'_>, name: &str) -> String {
    let title = bare_policy(name);
    speech.find(&format!("policy.{title}")).map_or_else(|| clean(title), str::to_owned)
}

/// Why the person is written to, in a sentence: what they asked, or what follows from that by itself.
fn occasion_of(
    speech: &Speech<'_>,
    kind: NoticeKind,
    controller: &Controller,
    facts: &Facts,
) -> Result<Option<String>, TextError> {
    let own = match (kind, facts.request_kind) {
        (NoticeKind::IdentityRequest, _) => "identity_request",
        (NoticeKind::ErasureDone | NoticeKind::ErasurePartlyDone, _) => "erasure",
        (NoticeKind::OptOutDone, RequestKind::ConsentWithdrawal) => "consent_withdrawal",
        (NoticeKind::OptOutDone, RequestKind::CcpaOptOut) => "ccpa_opt_out",
        (NoticeKind::OptOutDone, _) if facts.named_only => "named",
        (NoticeKind::OptOutDone, _) => "opt_out",
        _ => return Ok(None),
    };
    let organisation = ("organisation", controller.name.as_str());
    let Some(Follows { request, received_on, because }) = facts.follows else {
        return speech.say(&format!("occasion.{own}"), &[organisation]).map(Some);
    };
    let (former, date) = (Reference::of(request), speech.day(received_on)?);
    let named = [organisation, ("former", former.as_str()), ("date", date.as_str())];
    speech.say(&format!("occasion.follows.{because}"), &named).map(Some)
}

/// What the time for the answer does while the organisation waits for the person.
fn clock(
    speech: &Speech<'_>,
    kind: NoticeKind,
    controller: &Controller,
    facts: &Facts,
) -> Result<Option<String>, TextError> {
    let cause = match kind {
        NoticeKind::IdentityRequest => PauseCause::Identity,
        NoticeKind::ClarificationRequest => PauseCause::Clarification,
        NoticeKind::Fee => PauseCause::Fee,
        _ => return Ok(None),
    };
    // A day before the first version is judged by none, and then nothing is promised about standing still.
    let effect = controller.regime.version_on(facts.received_on).map(|regime| regime.effect(cause));
    let key = match effect {
        _ if facts.was_proven => "clock.run",
        Ok(PauseEffect::Suspend | PauseEffect::SuspendBothEnds) => "clock.suspend",
        Ok(PauseEffect::Restart) => "clock.restart",
        Ok(PauseEffect::Run) | Err(_) => "clock.run",
    };
    speech.say(key, &[("due", &speech.day(facts.due_on)?)]).map(Some)
}

fn set_lists(values: &mut Values, speech: &Speech<'_>, facts: &Facts) -> Result<(), TextError> {
    let known = |prefix: &str, word: &str| {
        let phrase = speech.find(&format!("{prefix}.{word}"));
        phrase.map_or_else(|| clean(word), str::to_owned)
    };
    values.set_list("policies", facts.policies.iter().map(|each| policy(speech, each)));
    let mut searched_by = Vec::new();
    for kind in &facts.searched_by {
        searched_by.push(speech.say(&format!("identifier.{kind}"), &[])?);
    }
    values.set_list("searched_by", searched_by.into_iter());
    let mut kept = Vec::new();
    for each in &facts.kept {
        let (what, why) = (known("kept.what", &each.what), known("kept.why", &each.why));
        let named: Named<'_> = &[("what", &what), ("why", &why)];
        kept.push(match each.until {
            Some(until) => {
                let date = speech.day(until)?;
                speech.say("kept.until", &[named, &[("date", date.as_str())]].concat())?
            }
            None => speech.say("kept", named)?,
        });
    }
    values.set_list("kept", kept.into_iter());
    let mut recipients = Vec::new();
    for recipient in &facts.recipients {
        recipients.push(speech.say("recipient", &[("recipient", recipient)])?);
    }
    values.set_list("recipients", recipients.into_iter());
    if let Some(until) = facts.backups_until {
        let backups = speech.say("backups", &[("date", &speech.day(until)?)])?;
        values.set_list("backups", std::iter::once(backups));
    }
    if facts.suppressed {
        values.set_list("suppression", std::iter::once(speech.say("suppression", &[])?));
    }
    let mut others = Vec::new();
    for OtherRequest { request, received_on } in &facts.others {
        let (former, date) = (Reference::of(*request), speech.day(*received_on)?);
        others.push(speech.say("others", &[("former", former.as_str()), ("date", &date)])?);
    }
    if facts.more_others {
        others.push(speech.say("others.more", &[])?);
    }
    values.set_list("others", others.into_iter());
    if facts.marketing_off {
        values.set_list("marketing_off", std::iter::once(speech.say("marketing_off", &[])?));
    }
    if facts.restricted {
        values.set_list("restricted", std::iter::once(speech.say("restricted", &[])?));
    }
    Ok(())
}

/// What a person can do who is not content: us, the authority, a court (Art. 12(4), 77, 79 GDPR; R-88).
fn set_remedies(
    values: &mut Values,
    speech: &Speech<'_>,
    controller: &Controller,
    facts: &Facts,
) -> Result<(), TextError> {
    let named = facts.refusal.as_ref().and_then(|refusal| refusal.authority.clone());
    let authority = named.map_or_else(|| speech.say("authority", &[]), Ok)?;
    let remedies = [
        speech.say("remedy.review", &[("contact", &controller.contact)])?,
        speech.say("remedy.authority", &[("authority", &authority)])?,
        speech.say("remedy.court", &[])?,
    ];
    values.set_list("remedies", remedies.into_iter());
    Ok(())
}

/// What a package holds, beside the data, too, and the further rights that the law gives who reads it; where something is missing in
/// it, that it is, and what the person can do about it.
fn set_gathered(
    values: &mut Values,
    speech: &Speech<'_>,
    kind: NoticeKind,
    facts: &Facts,
) -> Result<(), TextError> {
    let (key, rights) = match kind {
        NoticeKind::AccessReady if facts.incomplete => ("gathered.access.part", "rights.access"),
        NoticeKind::AccessReady => ("gathered.access", "rights.access"),
        NoticeKind::PortabilityReady => ("gathered.portability", "rights.portability"),
        _ => return Ok(()),
    };
    values.set_phrase("rights", speech.say(rights, &[])?);
    let mut gathered = speech.say(key, &[])?;
    if facts.incomplete {
        gathered = format!("{gathered} {}", speech.say("incomplete", &[])?);
        let remedies = values.list("remedies")?.to_vec();
        values.set_list("missing", remedies.into_iter());
    }
    values.set_phrase("gathered", gathered);
    if kind == NoticeKind::AccessReady && facts.explained {
        values.set_list("explained", std::iter::once(speech.say("explained", &[])?));
    }
    Ok(())
}

/// What a refusal is about.
fn set_concerned(
    values: &mut Values,
    speech: &Speech<'_>,
    facts: &Facts,
    asked: &str,
) -> Result<(), TextError> {
    let Some(refusal) = &facts.refusal else { return Ok(()) };
    let own = format!("concerned.{}", facts.request_kind);
    let mut concerned = vec![speech.say_first([&own, "concerned"], &[("asked", asked)])?];
    if refusal.deletion_failed {
        concerned.push(speech.say("concerned.deletion_failed", &[])?);
    }
    values.set_list("concerned", concerned.into_iter());
    Ok(())
}

/// What the controller says itself, where the kind of notice has a place for it.
fn set_words(
    values: &mut Values,
    speech: &Speech<'_>,
    kind: NoticeKind,
    facts: &Facts,
    words: &str,
) -> Result<(), TextError> {
    let said = || words.lines().map(str::to_owned);
    match kind {
        NoticeKind::RecipientNotice => values.set_list("objects", said()),
        NoticeKind::BreachNotice => {
            // Art. 34(2) GDPR asks for each of the three: a text that lacks one is not sent.
            let words = words.replace("\r\n", "\n");
            let mut blocks = words.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
            for name in ["happened", "consequences"] {
                values.set_list(name, blocks.next().unwrap_or_default().lines().map(str::to_owned));
            }
            values.set_list("measures", blocks.flat_map(str::lines).map(str::to_owned));
        }
        _ => {
            let reason = match (&facts.refusal, facts.extension_reason) {
                (Some(refusal), _) => Some(speech.say(&format!("ground.{}", refusal.ground), &[])?),
                (None, Some(reason)) => Some(speech.say(&format!("reason.{}", reason.as_str()), &[])?),
                (None, None) => None,
            };
            if let Some(reason) = reason {
                values.set_list("reasons", std::iter::once(reason).chain(said()));
            }
            values.set_list("said", said());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn s_19_no_value_can_break_a_line(text in "\\PC*|(?s).{0,200}|[\r\n.\u{85}\u{2028}a]{0,60}") {
            let clean = clean(&text);
            prop_assert!(clean.lines().count() <= 1);
            let breaks = |each: char| each.is_control() || matches!(each, '\u{2028}' | '\u{2029}');
            prop_assert!(!clean.chars().any(breaks));
            prop_assert_eq!(super::clean(&clean), clean.clone(), "cleaning twice changes nothing");
        }
    }

    #[test]
    fn s_19_a_value_is_one_line_of_visible_characters() {
        for (dirty, expected) in [
            ("a\r\nBcc: x@evil.example", "a Bcc: x@evil.example"),
            ("a\n.\nb", "a . b"),
            ("a\r.\rb", "a . b"),
            ("a\u{2028}b\u{85}c\0d", "a b c d"),
            ("\u{202E}abc", "abc"),
            ("  two   words ", "two words"),
        ] {
            assert_eq!(clean(dirty), expected, "{dirty:?}");
        }
    }
}
