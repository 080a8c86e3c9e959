//! What came of it, for programs and for people.

use std::io::{self, IsTerminal};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::output::one_line;

/// Everything that is shown at the end.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    /// Whether everything came out as it should; what did not stands in `unexpected`.
    pub(super) as_expected: bool,
    pub(super) unexpected: Vec<String>,
    pub(super) seconds: f64,
    pub(super) directory: String,
    pub(super) configuration: String,
    pub(super) log: String,
    pub(super) requests: Vec<AskedView>,
    pub(super) sweep: SweepView,
    pub(super) package: Option<PackageView>,
    pub(super) mails: MailsView,
    pub(super) audit: AuditView,
    pub(super) platform: PlatformView,
    /// Whether everything was left up.
    pub(super) keeps_running: bool,
    /// Commands to go on with.
    pub(super) commands: Vec<String>,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AskedView {
    pub(super) asked: String,
    /// By whom, masked.
    pub(super) by: String,
    pub(super) came_by: &'static str,
    pub(super) reference: Option<String>,
    /// Of the request; none for a row that became none.
    pub(super) state: Option<String>,
    /// The outcome, or why it waits.
    pub(super) result: Option<String>,
    pub(super) in_plain_words: String,
}

/// The retention sweep.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SweepView {
    pub(super) keep_months: u32,
    pub(super) created_before: String,
    /// The same in the controller's time zone.
    #[serde(skip)]
    pub(super) created_before_for_people: String,
    pub(super) contacts: u64,
    pub(super) past_their_time: u64,
    pub(super) submitted: u64,
    pub(super) erased: u64,
}

/// The access package.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PackageView {
    pub(super) encrypted: String,
    pub(super) archive: String,
    pub(super) page: String,
    pub(super) records: u64,
    pub(super) link: Option<String>,
    /// Whether the hand-over page opened.
    pub(super) link_opened: bool,
    /// What the page asks for as a second proof; only where the page stays up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link_asks_for: Option<String>,
}

/// The mails.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MailsView {
    pub(super) directory: String,
    pub(super) written: u64,
    /// Acknowledgements that were not sent because the answer was ready first.
    pub(super) acknowledgements_overtaken: u64,
    pub(super) with_link: Option<String>,
}

/// The audit log.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AuditView {
    pub(super) entries: u64,
    pub(super) gaps: u64,
    pub(super) effects_announced: u64,
    pub(super) effects_ended: u64,
    pub(super) effects_proved_by_reading_back: u64,
}

/// What the platform itself saw.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PlatformView {
    pub(super) base_url: String,
    pub(super) calls: u64,
    pub(super) deletions: u64,
    pub(super) deletions_approved: u64,
    pub(super) policy_changes: u64,
    pub(super) contacts_before: u64,
    pub(super) contacts_after: u64,
}

impl Summary {
    /// A table of the requests, then facts.
    pub(super) fn human(&self) -> String {
        let rows = self.requests.iter().map(|asked| {
            vec![
                asked.asked.clone(),
                asked.by.clone(),
                asked.came_by.to_owned(),
                asked.reference.clone().unwrap_or_else(|| "-".to_owned()),
                asked.in_plain_words.clone(),
            ]
        });
        let mut parts = vec![boxed(&["asked", "by", "came by", "reference", "what happened"], rows)];
        parts.extend(self.sections().iter().map(|(title, facts)| format!("{title}\n{}", indented(facts))));
        parts.push(format!("Go on\n  {}", self.commands.join("\n  ")));
        parts.push(if self.as_expected {
            format!("Everything came out as it should, in {:.1} seconds.", self.seconds)
        } else {
            format!("NOT AS IT SHOULD BE\n  {}", self.unexpected.join("\n  "))
        });
        parts.join("\n\n")
    }

    fn sections(&self) -> [(&'static str, Vec<Fact>); 4] {
        [
            ("Retention", self.retention()),
            ("The audit log says", self.log_says()),
            ("The platform's own journal says", self.platform_says()),
            ("What lies where", self.files()),
        ]
    }

    fn retention(&self) -> Vec<Fact> {
        let sweep = &self.sweep;
        let erased_before = self.platform.contacts_before.saturating_sub(sweep.contacts);
        vec![
            ("rule", format!("contacts are kept for {} months", sweep.keep_months)),
            (
                "past their time",
                format!(
                    "{} of the {} contacts that the sweep found: created before {}",
                    grouped(sweep.past_their_time),
                    grouped(sweep.contacts),
                    sweep.created_before_for_people
                ),
            ),
            (
                "erased",
                format!(
                    "{} of them, each by an erasure request of its own ({} submitted)",
                    grouped(sweep.erased),
                    grouped(sweep.submitted)
                ),
            ),
            (
                "not counted",
                format!(
                    "{}, who were erased at their own wish before the sweep looked",
                    grouped(erased_before)
                ),
            ),
        ]
    }

    fn log_says(&self) -> Vec<Fact> {
        let audit = &self.audit;
        let gaps = match audit.gaps {
            0 => "without a gap".to_owned(),
            gaps => format!("WITH {gaps} GAP(S)"),
        };
        vec![
            ("entries", format!("{}, numbered {gaps}", grouped(audit.entries))),
            (
                "effects",
                format!(
                    "{} (deletions, opt-outs, mails), each announced before it began; the end of {} recorded",
                    grouped(audit.effects_announced),
                    grouped(audit.effects_ended)
                ),
            ),
            (
                "proofs",
                format!(
                    "{} deletions and opt-outs proved by reading the platform again",
                    grouped(audit.effects_proved_by_reading_back)
                ),
            ),
        ]
    }

    fn platform_says(&self) -> Vec<Fact> {
        let platform = &self.platform;
        vec![
            ("calls", format!("{} received", grouped(platform.calls))),
            (
                "deletions",
                format!(
                    "{}, for {} requests that asked for one",
                    grouped(platform.deletions),
                    grouped(platform.deletions_approved)
                ),
            ),
            ("opt-outs", grouped(platform.policy_changes)),
            (
                "contacts",
                format!(
                    "{} before, {} after",
                    grouped(platform.contacts_before),
                    grouped(platform.contacts_after)
                ),
            ),
        ]
    }

    fn files(&self) -> Vec<Fact> {
        let mut files = Vec::new();
        if let Some(package) = &self.package {
            files.extend([
                ("read it", package.page.clone()),
                ("as received", package.archive.clone()),
                ("as kept, encrypted", package.encrypted.clone()),
            ]);
            if let Some(link) = &package.link {
                let opened = match (package.link_opened, &package.link_asks_for) {
                    (false, _) => "THE PAGE DID NOT OPEN".to_owned(),
                    (true, Some(asks_for)) => format!("open it in a browser; it asks for {asks_for}"),
                    (true, None) => {
                        "the page worked a moment ago and is gone now; start with --keep-running to try it"
                            .to_owned()
                    }
                };
                files.extend([("hand-over link", link.clone()), ("", format!("({opened})"))]);
            }
        }
        files.push(("mails", format!("{} in {}", self.mails.written, self.mails.directory)));
        if let Some(mail) = &self.mails.with_link {
            files.push(("mail with the link", mail.clone()));
        }
        files.extend([("configuration", self.configuration.clone()), ("log", self.log.clone())]);
        files
    }
}

/// A label and what stands beside it.
type Fact = (&'static str, String);

/// A number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn indented(facts: &[Fact]) -> String {
    let width = facts.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    let line = |(label, text): &Fact| format!("  {label:width$}  {}", one_line(text));
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn boxed(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    /// Where there is no terminal that has one.
    const WIDTH: u16 = 120;
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    table.set_header(head.iter().map(|each| each.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)));
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
