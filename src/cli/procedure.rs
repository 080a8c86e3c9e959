//! `dsrd procedure`: the written procedure that supervisory authorities ask for, made from the settings.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::context::Context;
use super::output::Output;
use crate::config::{Organisation, Settings, left_to_controllers};
use crate::domain::deadline::RegimeCode;
use crate::domain::{OrganisationId, ParkReason, RefusalGround, RequestKind};
use crate::execution;
use crate::retention::Anchor;

/// Options of `dsrd procedure`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
}

pub(super) fn run(args: &Args, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    let context = Context::load_checked(files)?;
    let organisation = context.organisation(args.organisation.as_ref())?;
    let settings = context.settings();
    // Found: the context has just looked it up.
    let Some(found) = settings.find_organisation(&organisation) else { return Ok(()) };
    let mut text = written(found, settings);
    decisions(&context, &organisation, &mut text);
    output.raw(text.as_bytes())
}

/// A line; writing to a text cannot fail.
macro_rules! line {
    ($text:expr) => { $text.push('\n') };
    ($text:expr, $($argument:tt)*) => { writeln!($text, $($argument)*).unwrap_or_default() };
}

fn written(organisation: &Organisation, settings: &Settings) -> String {
    let mut text = String::new();
    line!(text, "# How {} answers requests of data subjects", organisation.name);
    line!(text);
    line!(
        text,
        "Made by dsrd {} from the settings in force; it changes when they change. Contact for data protection: {}.",
        env!("CARGO_PKG_VERSION"),
        organisation.contact
    );
    terms(organisation, &mut text);
    steps(&mut text);
    people(&mut text);
    erasure_by_rule(organisation, &mut text);
    recipients(organisation, &mut text);
    keeping(settings, &mut text);
    text
}

fn terms(organisation: &Organisation, text: &mut String) {
    line!(text, "\n## Terms\n");
    line!(
        text,
        "The time begins when a request reaches the organisation, whichever way; days are those of {}.",
        organisation.time_zone
    );
    line!(text, "\n| law | in force from | answer within | longer, once, by a decision of a person |");
    line!(text, "|---|---|---|---|");
    let regime: RegimeCode = organisation.regime;
    for version in regime.versions() {
        let extension = version.extension.map_or_else(|| "-".to_owned(), |period| period.to_string());
        line!(text, "| {} | {} | {} | {extension} |", version.name, version.valid_from, version.limit);
    }
    line!(
        text,
        "\nRequests are worked on against a conservative date that is not moved to a working day. Receipt is confirmed by mail at \
         once where an address is known."
    );
}

fn steps(text: &mut String) {
    line!(text, "\n## What is done\n");
    for kind in RequestKind::ALL {
        line!(text, "**{kind}**\n");
        for (number, step) in execution::describe(*kind).steps.iter().enumerate() {
            line!(text, "{}. {} ({})", number + 1, step.description(), step.as_str());
        }
        let grounds: Vec<&str> = RefusalGround::of(*kind).map(RefusalGround::as_str).collect();
        if grounds.is_empty() {
            line!(text, "\nIt is never refused.\n");
        } else {
            line!(text, "\nA person may refuse it on: {}.\n", grounds.join(", "));
        }
    }
    line!(
        text,
        "No request of a person ends without an outcome that was told. A machine never refuses and never extends. An erasure counts as done when \
         reading the platform by id and by every known identifier finds nothing."
    );
}

fn people(text: &mut String) {
    line!(text, "\n## When a person decides\n");
    line!(text, "A request is set aside for a person, with its time running on, for one of these reasons:\n");
    for reason in ParkReason::ALL {
        line!(text, "- `{reason}`");
    }
    line!(text, "\n## Roles\n");
    line!(text, "| who | may |");
    line!(text, "|---|---|");
    line!(
        text,
        "| data protection officer | see cases, decide, record answers; every act, and every look at what is held of a person, stands in the \
         audit log |"
    );
    line!(
        text,
        "| operator | run the daemon, mend what the log names; sees no identifier without its reveal being recorded |"
    );
    line!(text, "| auditor | read the audit log, verify and export it; sees no identifier at all |");
    line!(text, "| producer | hand requests in and read their own receipts |");
}

fn erasure_by_rule(organisation: &Organisation, text: &mut String) {
    line!(text, "\n## Erasure by rule\n");
    let retention = &organisation.retention;
    match retention.keep_months.filter(|_| retention.enabled) {
        None => line!(text, "No retention rule is in force."),
        Some(months) => {
            line!(
                text,
                "Contacts are erased {months} months after their {}, by sweeps at `{}` ({}). A sweep that would erase more than {} \
                 per cent of all contacts or more than {} contacts stops before the first.",
                match retention.anchor {
                    Anchor::Created => "creation",
                    Anchor::LastActivity => "last activity",
                },
                retention.schedule,
                retention.schedule_time_zone,
                retention.most_percent.map_or_else(|| "-".to_owned(), |number| number.to_string()),
                retention.most_contacts.map_or_else(|| "-".to_owned(), |number| number.to_string()),
            );
        }
    }
}

fn recipients(organisation: &Organisation, text: &mut String) {
    line!(text, "\n## Recipients\n");
    if organisation.recipients.is_empty() {
        line!(text, "None is registered.");
        return;
    }
    line!(
        text,
        "Each is named in access reports to those whose data it held, and told of erasures, corrections and restrictions \
         (Art. 19 GDPR) and of opt-outs under the law of California (11 CCR 7026(f)); of other opt-outs where it says so.\n"
    );
    line!(text, "| recipient | data | country | from | until | told by | of opt-outs | answers within |");
    line!(text, "|---|---|---|---|---|---|---|---|");
    for each in &organisation.recipients {
        let data: Vec<&str> = each.categories.iter().map(|category| category.as_str()).collect();
        line!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} days |",
            each.name,
            data.join(", "),
            each.country,
            each.from,
            each.until.map_or_else(|| "today".to_owned(), |day| day.to_string()),
            each.channel.as_str(),
            if each.is_told_of_opt_outs() { "all" } else { "of California" },
            each.answer_within_days()
        );
    }
}

fn keeping(settings: &Settings, text: &mut String) {
    let upkeep = &settings.upkeep;
    line!(text, "\n## What is kept, and how long\n");
    line!(text, "| what | until |");
    line!(text, "|---|---|");
    line!(
        text,
        "| access package | {} days after it was built, or after its link went out late; longer while its request is open or its link \
         came back. Then its key is destroyed |",
        settings.delivery.package_expiry_days
    );
    line!(text, "| identifiers, encrypted | {} days after the end of the request |", upkeep.identifiers_days);
    line!(text, "| the platform's id of the contact | {} days after the end |", upkeep.contact_ids_days);
    line!(text, "| dates, decisions, outcome, proofs | {} months after the end |", upkeep.evidence_months);
    line!(
        text,
        "| suppression list: keyed hashes of who was erased or opted out | the person wants to be contacted, or created, again |"
    );
    line!(
        text,
        "| ledger of erasures, opt-outs and holds: ids of contacts, encrypted, and keyed hashes | {} days after the entry, by whole months |",
        settings.ledger.keep_days
    );
    line!(
        text,
        "| audit log: no identifiers; names of staff, until they are forgotten when they leave | {} months after an entry was sealed |",
        upkeep.log_months
    );
    line!(
        text,
        "| what a form or ticket system handed in and could not become a request, encrypted | a person hands it in or removes it |"
    );
    line!(
        text,
        "\nA restriction keeps all of its request until it is lifted, a breach until it is ended with its package, a hold the proofs of an \
         erasure that waits for it, and a hold on the audit log what would go of that."
    );
}

fn decisions(context: &Context, organisation: &OrganisationId, text: &mut String) {
    line!(text, "\n## What the controller decided\n");
    let left = left_to_controllers(&context.loaded);
    let concerns = |each: &&crate::config::LeftToController| {
        each.organisation.as_ref().is_none_or(|id| id == organisation) && each.decision.is_some()
    };
    let mut decided = left.iter().filter(concerns).peekable();
    if decided.peek().is_none() {
        line!(
            text,
            "Nothing is on record: what the law leaves to the controller stands on its default, or was set without a reason."
        );
        return;
    }
    line!(text, "| what | decision | by | on | because |");
    line!(text, "|---|---|---|---|---|");
    for each in decided {
        let Some(decision) = &each.decision else { continue };
        line!(
            text,
            "| {} | `{}` = {} | {} | {} | {} |",
            each.what,
            each.key,
            each.value,
            decision.decided_by,
            decision.date,
            decision.reason
        );
    }
}
