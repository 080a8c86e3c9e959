//! What mails to staff say: plain text in the organisation's language, references and dates, no person.

use std::fmt::Write as _;

use super::rule::earliest_due;
use super::watch::Raised;
use crate::delivery::{Vocabulary, VocabularyOf, vocabulary};
use crate::domain::{AlertRule, Controller};
use crate::figures::Outlook;

/// A mail to staff.
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) body: String,
}

/// The gravest first.
const ORDER: [AlertRule; 25] = [
    AlertRule::IncidentOverdue,
    AlertRule::IncidentOpen,
    AlertRule::StatutoryBreach,
    AlertRule::Overdue,
    AlertRule::AcknowledgementLate,
    AlertRule::AcknowledgementDue,
    AlertRule::RowsOfNobody,
    AlertRule::RowsParked,
    AlertRule::ForecastLate,
    AlertRule::PlatformDown,
    AlertRule::FilterIgnored,
    AlertRule::NoticeBounced,
    AlertRule::VerificationFailed,
    AlertRule::RecipientOverdue,
    AlertRule::HoldReview,
    AlertRule::LogHoldReview,
    AlertRule::SelfTestFailed,
    AlertRule::CameBack,
    AlertRule::SweepMissed,
    AlertRule::PastTerm,
    AlertRule::Flood,
    AlertRule::OftenLate,
    AlertRule::OftenExtended,
    AlertRule::DueSoon,
    AlertRule::TargetMissed,
];

/// The words in which staff of an organisation is written to.
pub(super) fn words(controller: &Controller) -> &'static Vocabulary {
    vocabulary(VocabularyOf::Staff, [controller.language.as_str()])
}

/// The mail about alerts raised in one turn.
pub(super) fn alerts(controller: &Controller, raised: &[&Raised<'_>]) -> Letter {
    let words = words(controller);
    let gravest = ORDER.into_iter().find(|rule| raised.iter().any(|each| each.cause.rule == *rule));
    let what = gravest.map(|rule| words.say(&format!("what.{rule}"), &[])).unwrap_or_default();
    let more = (raised.len() - 1).to_string();
    let key = if raised.len() > 1 { "subject.more" } else { "subject" };
    let values =
        [("organisation", controller.name.as_str()), ("what", what.as_str()), ("count", more.as_str())];
    let subject = words.say(key, &values);

    let mut body = String::new();
    paragraph(&mut body, &words.say("intro", &values));
    for rule in ORDER {
        let of_rule: Vec<_> = raised.iter().filter(|each| each.cause.rule == rule).collect();
        if of_rule.is_empty() {
            continue;
        }
        push(&mut body, format_args!("\n"));
        paragraph(&mut body, &words.say(&format!("heading.{rule}"), &[]));
        for each in of_rule {
            push(&mut body, format_args!("  {}\n", line(words, controller, each)));
        }
    }
    push(&mut body, format_args!("\n"));
    paragraph(&mut body, &words.say("closing", &[]));
    body.push_str("  dsrd alert list\n  dsrd alert acknowledge REFERENCE\n");
    Letter { subject, body }
}

/// What is said of one alert.
fn line(words: &Vocabulary, controller: &Controller, raised: &Raised<'_>) -> String {
    if let Some(review) = raised.review {
        let due = review.review_on.to_string();
        let values =
            [("reference", review.reference.as_str()), ("due", due.as_str()), ("owner", &review.owner)];
        return words.say("line.hold", &values);
    }
    if let Some(rows) = raised.rows {
        let count = rows.count.to_string();
        let due =
            (raised.cause.rule == AlertRule::RowsParked).then(|| earliest_due(rows, controller)).flatten();
        if let Some(due) = due {
            return words.say("line.rows", &[("count", &count), ("due", &due.to_string())]);
        }
        // By which law nobody knows.
        let at = controller.local_time(rows.running_since);
        return words.say("line.rows_of_nobody", &[("count", &count), ("at", &at)]);
    }
    if let Some(outlook) = raised.outlook {
        return forecast(words, controller, outlook);
    }
    let Some(watched) = raised.watched else {
        return words.say("line.since", &[("at", &controller.local_time(raised.cause.since))]);
    };
    let (reference, kind) = (watched.reference.to_string(), watched.kind.to_string());
    let named = [("reference", reference.as_str()), ("kind", kind.as_str())];
    match (raised.cause.rule, watched.incident, watched.recipients_late) {
        (AlertRule::IncidentOpen | AlertRule::IncidentOverdue, Some(incident), _) => {
            match incident.authority_due_at {
                Some(due_at) => {
                    let at = controller.local_time(due_at);
                    words.say("line.incident", &[named[0], named[1], ("at", &at)])
                }
                None => words.say("line.incident_no_hours", &named),
            }
        }
        (AlertRule::RecipientOverdue, _, Some(late)) => {
            words.say("line.recipients", &[named[0], named[1], ("count", &late.count.to_string())])
        }
        (AlertRule::AcknowledgementDue | AlertRule::AcknowledgementLate, ..) => {
            let term = controller.acknowledgement(watched.kind, watched.received_at);
            let by = term.map(|term| term.by.to_string()).unwrap_or_default();
            words.say("line.acknowledge", &[named[0], named[1], ("due", &by)])
        }
        _ => {
            let due = watched.due_on.to_string();
            let reason = watched.park_reason.map(|reason| reason.to_string());
            let key = if reason.is_some() { "line.waits" } else { "line" };
            let values = [
                named[0],
                named[1],
                ("state", watched.state.as_str()),
                ("due", due.as_str()),
                ("reason", reason.as_deref().unwrap_or_default()),
            ];
            words.say(key, &values)
        }
    }
}

/// What is said of dates that will be missed.
pub(super) fn forecast(words: &Vocabulary, controller: &Controller, outlook: &Outlook) -> String {
    let (late, waiting) = (outlook.forecast.late.to_string(), outlook.forecast.waiting.to_string());
    let due = outlook.forecast.first_late_on.map(|due_on| due_on.to_string()).unwrap_or_default();
    let away = outlook.platform_away_since.map(|since| controller.local_time(since));
    let key = if away.is_some() { "line.forecast_away" } else { "line.forecast" };
    let at = away.unwrap_or_default();
    words.say(
        key,
        &[("late", late.as_str()), ("waiting", waiting.as_str()), ("due", due.as_str()), ("at", at.as_str())],
    )
}

/// Appends a paragraph, broken between words so that no line is long.
pub(super) fn paragraph(text: &mut String, paragraph: &str) {
    const LONGEST: usize = 76;
    let mut width = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > LONGEST {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
    }
    text.push('\n');
}

/// Appends to a text; writing to a string cannot fail.
pub(super) fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staff_has_words_for_every_alert() {
        for rule in AlertRule::ALL {
            assert!(ORDER.contains(rule), "{rule}");
            let words = vocabulary(VocabularyOf::Staff, ["en"]);
            assert!(words.has(&format!("what.{rule}")) && words.has(&format!("heading.{rule}")), "{rule}");
        }
    }

    #[test]
    fn a_paragraph_has_short_lines_and_all_its_words() {
        let mut text = String::new();
        let long = "word ".repeat(60);
        paragraph(&mut text, long.trim());
        assert!(text.lines().all(|line| line.chars().count() <= 76), "{text}");
        assert_eq!(text.split_whitespace().count(), 60);
    }
}
