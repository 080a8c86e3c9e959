//! The closed set of placeholders and their values.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::TextError;
use crate::delivery::notice::{Facts, Refusal};
use crate::domain::{
    AnsweredOutcome, Controller, ExtensionReason, Handling, IdentifierKind, RefusalGround, RequestKind,
};

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

/// Every placeholder there is.
pub(super) const SLOTS: &[Slot] = &[
    word("organisation"),
    word("contact"),
    word("reference"),
    word("asked"),
    word("received_on"),
    word("due_on"),
    word("done_on"),
    word("expires_at"),
    word("link"),
    word("evidence"),
    list("policies"),
    list("searched_by"),
    list("kept"),
    word("authority"),
    list("concerned"),
    list("reasons"),
    word("result"),
    list("answer"),
    list("questions"),
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

    fn set_list(&mut self, name: &'static str, items: impl Iterator<Item = String>) {
        let items: Vec<String> =
            items.map(|item| clean(&item)).filter(|item| !item.is_empty()).take(50).collect();
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
    let visible = text
        .chars()
        .map(|each| if each.is_control() || matches!(each, '\u{2028}' | '\u{2029}') { ' ' } else { each })
        .filter(|each| !matches!(each, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'))
        .collect::<String>();
    visible
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(LONGEST)
        .collect::<String>()
        .trim_end()
        .to_owned()
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
}

/// The values of an occasion, in English. What the facts lack gets no value: filling a text that needs it fails.
pub(in crate::delivery) fn values(occasion: &Occasion<'_>) -> Values {
    let Occasion { controller, reference, facts, words, link } = occasion;
    let mut values = Values::default();
    values.set("organisation", &controller.name);
    values.set("contact", &controller.contact);
    values.set("reference", reference);
    values.set("asked", asked(facts.request_kind));
    values.set("received_on", &day(facts.received_on));
    values.set("due_on", &day(facts.due_on));
    if let Some(done_on) = facts.done_on {
        values.set("done_on", &day(done_on));
    }
    if let Some(expires_at) = facts.expires_at {
        values.set("expires_at", &controller.local_time_in_words(expires_at));
    }
    if let Some(link) = link {
        values.set("link", link);
    }
    values.set(
        "evidence",
        &facts.evidence_until.map_or_else(
            || "only as long as the law asks us to".to_owned(),
            |until| format!("until {}", day(until)),
        ),
    );
    values.set_list("policies", facts.policies.iter().map(|policy| policy_name(policy)));
    values.set_list("searched_by", facts.searched_by.iter().map(|kind| identifier_name(*kind).to_owned()));
    values.set_list(
        "kept",
        facts.kept.iter().map(|kept| match kept.until {
            Some(until) => format!("{}, because {}. Until {}.", kept.what, kept.why, day(until)),
            None => format!("{}, because {}.", kept.what, kept.why),
        }),
    );
    if let Some(refusal) = &facts.refusal {
        set_refusal(&mut values, facts.request_kind, refusal, *words);
    }
    if let Some(outcome) = facts.answered {
        let result = match outcome {
            AnsweredOutcome::Fulfilled => "done",
            AnsweredOutcome::PartlyFulfilled => "done in part; what is missing, and why, stands below",
            AnsweredOutcome::FulfilledNoData => "we found no data about you",
        };
        values.set("result", result);
        values.set_list("answer", words.unwrap_or_default().lines().map(str::to_owned));
    }
    if let Some(reason) = facts.extension {
        let reason = match reason {
            ExtensionReason::Complexity => "Your request is complex.",
            ExtensionReason::NumberOfRequests => "We have to deal with an exceptional number of requests.",
        };
        let said = words.unwrap_or_default().lines().map(str::to_owned);
        values.set_list("reasons", std::iter::once(reason.to_owned()).chain(said));
    }
    values.set_list("questions", words.unwrap_or_default().lines().map(str::to_owned));
    values
}

/// What was asked, as it follows "you asked for".
const fn asked(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Access => "a copy of your data",
        RequestKind::Erasure => "the erasure of your data",
        RequestKind::OptOut => "no more marketing",
        RequestKind::Rectification => "the correction of your data",
        RequestKind::Restriction => "the restriction of the use of your data",
        RequestKind::Portability => "your data in a form for another provider",
        RequestKind::Objection => "an end to a use of your data",
        RequestKind::ConsentWithdrawal => "the end of a consent",
        RequestKind::AutomatedDecision => "a person to look at an automated decision",
        RequestKind::Complaint => "an answer to your complaint",
        RequestKind::CcpaOptOut => "no sale and no sharing of your data",
        RequestKind::Other => "an answer about your personal data",
    }
}

fn set_refusal(values: &mut Values, kind: RequestKind, refusal: &Refusal, words: Option<&str>) {
    let authority = refusal
        .authority
        .as_deref()
        .unwrap_or("a data protection authority, for example in the country where you live or work");
    values.set("authority", authority);
    let whole =
        |what: &str| format!("{what} of what we may hold about you: profile, visits, devices, connections.");
    let concerned = match kind.handling() {
        Handling::Access => Some(whole("A copy")),
        Handling::Erasure => Some(whole("The erasure")),
        Handling::Person => Some(format!("What you asked for: {}.", asked(kind))),
        // There is no such notice: an opt-out is never refused.
        Handling::OptOut => None,
    };
    let failed = refusal.deletion_failed.then_some(
        "We had asked our contact platform to delete your contact. It did not do so: we looked, and the contact is still there.",
    );
    values.set_list("concerned", concerned.into_iter().chain(failed.map(str::to_owned)));
    let said = words.unwrap_or_default().lines().map(str::to_owned);
    values.set_list("reasons", std::iter::once(ground_in_words(refusal.ground).to_owned()).chain(said));
}

/// A ground as a person understands it.
const fn ground_in_words(ground: RefusalGround) -> &'static str {
    match ground {
        RefusalGround::ManifestlyUnfounded => "The request is manifestly unfounded (Article 12(5) GDPR).",
        RefusalGround::Excessive => {
            "The request is excessive, in particular because it repeats others (Article 12(5) GDPR)."
        }
        RefusalGround::NotIdentifiable => {
            "We cannot tell which data is yours (Articles 11(2) and 12(2) GDPR). You can send us details that help to find it."
        }
        RefusalGround::IdentityNotConfirmed => {
            "We have reasonable doubts that it was you who asked, and they could not be cleared up (Article 12(6) GDPR)."
        }
        RefusalGround::RightsOfOthers => "It would harm the rights of other people (Article 15(4) GDPR).",
        RefusalGround::NationalRestriction => "A national law restricts this right (Article 23 GDPR).",
        RefusalGround::Expression => {
            "The data is needed for the freedom of expression and information (Article 17(3)(a) GDPR)."
        }
        RefusalGround::LegalObligation => "A law obliges us to keep the data (Article 17(3)(b) GDPR).",
        RefusalGround::PublicInterest => {
            "The data is needed for public health, archives, research or statistics in the public interest (Article 17(3)(c) and (d) GDPR)."
        }
        RefusalGround::LegalClaims => {
            "The data is needed to establish, exercise or defend legal claims (Article 17(3)(e) GDPR)."
        }
        RefusalGround::StillNeeded => {
            "We still need the data for the purpose it was collected for, and may use it; none of the reasons for erasure in Article 17(1) GDPR is met."
        }
        RefusalGround::NoRestriction => "None of the cases of Article 18(1) GDPR is met.",
        RefusalGround::NotPortable => "The data does not fall under Article 20 GDPR.",
        RefusalGround::CompellingGrounds => {
            "We have compelling legitimate grounds to use the data (Article 21(1) GDPR)."
        }
        RefusalGround::NotWrong => "There is nothing to correct in the data (Article 16 GDPR).",
        RefusalGround::NotCovered => {
            "The law on which the request relies does not give this right in your case."
        }
        RefusalGround::NotARequest => {
            "What you ask is not a right under data protection law, or somebody else is responsible for it."
        }
    }
}

fn day(date: NaiveDate) -> String {
    date.format("%-d %B %Y").to_string()
}

/// The platform's built-in policies have names for programs; a controller's own are titles already.
fn policy_name(policy: &str) -> String {
    match policy {
        "mktgCommunications" => "Marketing messages".to_owned(),
        "emailMarketing" => "Marketing by e-mail".to_owned(),
        "smsMarketing" => "Marketing by text message".to_owned(),
        own => own.to_owned(),
    }
}

const fn identifier_name(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Email => "the e-mail address",
        IdentifierKind::Phone => "the telephone number",
        IdentifierKind::Username => "the user name",
        IdentifierKind::ExternalId => "the customer number",
        IdentifierKind::ExternalProperty1 | IdentifierKind::ExternalProperty2 => "a further customer number",
    }
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
