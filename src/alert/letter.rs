//! What mails to staff say: plain text in English, references and dates, no person.

use std::fmt::Write as _;

use super::watch::Raised;
use crate::domain::{AlertRule, Controller};

/// A mail to staff.
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) body: String,
}

/// What a cause is, as the heading over its requests.
pub(super) const fn heading(rule: AlertRule) -> &'static str {
    match rule {
        AlertRule::StatutoryBreach => "Past the last lawful day: answer at once, and look into why",
        AlertRule::Overdue => "Past the conservative due date: answer at once",
        AlertRule::DueSoon => "Due soon",
        AlertRule::TargetMissed => "Open for longer than your own goal, although the due date is far",
        AlertRule::NoticeBounced => "A notice did not arrive: the person has not been told",
        AlertRule::VerificationFailed => "Carried out, but reading back did not show it",
        AlertRule::PlatformDown => "The contact platform does not answer; due dates do not move for that",
    }
}

/// The gravest first.
const ORDER: [AlertRule; 7] = [
    AlertRule::StatutoryBreach,
    AlertRule::Overdue,
    AlertRule::PlatformDown,
    AlertRule::NoticeBounced,
    AlertRule::VerificationFailed,
    AlertRule::DueSoon,
    AlertRule::TargetMissed,
];

/// The mail about alerts raised in one turn.
pub(super) fn alerts(controller: &Controller, raised: &[&Raised<'_>]) -> Letter {
    let gravest = ORDER.into_iter().find(|rule| raised.iter().any(|each| each.cause.rule == *rule));
    let what = gravest.map_or("alerts", |rule| match rule {
        AlertRule::StatutoryBreach => "past the last lawful day",
        AlertRule::Overdue => "overdue",
        AlertRule::PlatformDown => "platform down",
        AlertRule::NoticeBounced => "not told",
        AlertRule::VerificationFailed => "not verified",
        AlertRule::DueSoon => "due soon",
        AlertRule::TargetMissed => "past your goal",
    });
    let count = raised.len();
    let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    let subject = format!("[dsrd] {}: {what}{more}", controller.name);

    let mut body = format!(
        "Somebody has to look at these requests to {}. They are named by\nreference only: `dsrd request show REFERENCE` shows \
         what each is about\nand what you can do.\n",
        controller.name
    );
    for rule in ORDER {
        let of_rule: Vec<_> = raised.iter().filter(|each| each.cause.rule == rule).collect();
        if of_rule.is_empty() {
            continue;
        }
        push(&mut body, format_args!("\n{}\n", heading(rule)));
        for each in of_rule {
            match each.watched {
                Some(watched) => {
                    let waits =
                        watched.park_reason.map_or_else(String::new, |reason| format!(", waits: {reason}"));
                    push(
                        &mut body,
                        format_args!(
                            "  {}  {}, {}, due {}{waits}\n",
                            watched.reference, watched.kind, watched.state, watched.due_on
                        ),
                    );
                }
                None => {
                    push(&mut body, format_args!("  since {}\n", controller.local_time(each.cause.since)));
                }
            }
        }
    }
    body.push_str(
        "\nThis is repeated every day until the cause is gone or somebody says\nthat it is being looked at:\n  dsrd alert list\n  \
         dsrd alert acknowledge REFERENCE\n",
    );
    Letter { subject, body }
}

/// Appends to a text; writing to a string cannot fail.
pub(super) fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).unwrap_or_default();
}
