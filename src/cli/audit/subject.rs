//! `dsrd audit subject`: whether a person's request stands in the log.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use crate::audit::{self, Action, Detail, Event, subject};
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, or_dash, read_small_text, table};
use crate::daemon::Foundation;
use crate::domain::{
    IdentifierKind, OrganisationId, Outcome, Personal, Reference, RequestId, RequestKind, RequestState,
    SubjectIdentifier, local_time,
};
use crate::intake;

/// Options of `dsrd audit subject`.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Read the identifiers as JSON from a file, or from standard input with -: {"email": …, "phone": …, "username": …,
    /// "external_id": …}. At a terminal you are asked for them where it is left out.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
}

type Given = BTreeMap<IdentifierKind, Personal<String>>;

/// A case that gave one of the identifiers. What its own row would tell is missing when the case was deleted already.
#[derive(Serialize)]
struct Found {
    case: RequestId,
    reference: Reference,
    kind: Option<RequestKind>,
    received_at: Option<DateTime<Utc>>,
    state: Option<RequestState>,
    outcome: Option<Outcome>,
    verified_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    /// Whether identifier and salt make the commitment that the log holds.
    opens: bool,
}

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let organisation = context.organisation(args.organisation.as_ref())?;
    let Some(controller) = foundation.controllers.get(&organisation) else {
        return Err(Failure::NotFound.because(format!("organisation {organisation} is not registered")));
    };
    let given = match &args.from {
        Some(path) => read(path)?,
        None if io::stdin().is_terminal() => asked(&mut io::stdin().lock(), &mut anstream::stderr())?
            .ok_or_else(|| Failure::Usage.because("the questions were broken off; nothing was looked up"))?,
        None => {
            return Err(Failure::Usage.because(
                "no identifier is given: put it into a file and name that with --from FILE, or pipe it in with --from -",
            ));
        }
    };
    let mut identifiers = Vec::with_capacity(given.len());
    for (kind, text) in given {
        let read = SubjectIdentifier::parse(kind, text.expose(), controller.default_country.as_deref());
        identifiers.push(read.map_err(|error| Failure::Usage.because(error.to_string()))?);
    }
    if identifiers.is_empty() {
        return Err(Failure::Usage.because("no identifier is given; give at least one"));
    }
    let found = look_up(&organisation, &identifiers, context, foundation).await?;
    let zone = context.zone(&organisation);
    output.show(&found, |found| shown(found, zone))
}

/// Finds the cases and records that it was asked, in one transaction.
async fn look_up(
    organisation: &OrganisationId,
    identifiers: &[SubjectIdentifier],
    context: &Context,
    foundation: &Foundation,
) -> anyhow::Result<Vec<Found>> {
    let mut tx = foundation.store.begin("cli.audit.subject").await?;
    let cases = subject::find_cases(&mut tx, &foundation.desk.keys, organisation, identifiers).await?;
    let mut found = Vec::with_capacity(cases.len());
    for each in cases {
        let case = intake::find_case(&mut tx, organisation, each.case).await?;
        found.push(Found {
            case: each.case,
            reference: Reference::of(each.case),
            kind: case.as_ref().map(|case| case.kind),
            received_at: case.as_ref().map(|case| case.received_at),
            state: case.as_ref().map(|case| case.state),
            outcome: case.as_ref().and_then(|case| case.outcome),
            verified_at: case.as_ref().and_then(|case| case.verified_at),
            closed_at: case.as_ref().and_then(|case| case.closed_at),
            opens: each.opens,
        });
    }
    let detail =
        Detail::none().count("identifiers", identifiers.len() as u64).count("cases", found.len() as u64);
    let asked = Event::general(organisation, Action::LogAsked, context.person(), foundation.desk.clock.now());
    audit::append(&mut tx, asked.with(detail)).await?;
    tx.commit().await?;
    Ok(found)
}

fn read(path: &std::path::Path) -> anyhow::Result<Given> {
    let (shown, text) = read_small_text(path)?;
    // The parser's own message may repeat a value: only the place is told.
    serde_json::from_str(&text).map_err(|error| {
        Failure::Usage.because(format!(
            "{shown} holds no identifiers: line {}, column {}; known keys are {}",
            error.line(),
            error.column(),
            IdentifierKind::ALL.map(IdentifierKind::as_str).join(", ")
        ))
    })
}

/// Asks the person at the terminal; `None` when the input ended before.
fn asked(input: &mut impl BufRead, talk: &mut impl Write) -> io::Result<Option<Given>> {
    let mut given = Given::new();
    for (kind, question) in [
        (IdentifierKind::Email, "E-mail address (Enter: none)"),
        (IdentifierKind::Phone, "Telephone number with country code (Enter: none)"),
        (IdentifierKind::Username, "User name (Enter: none)"),
        (IdentifierKind::ExternalId, "Id of the person in your own system (Enter: none)"),
    ] {
        write!(talk, "{question}: ")?;
        talk.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if !line.trim().is_empty() {
            given.insert(kind, Personal::new(line.trim().to_owned()));
        }
    }
    Ok(Some(given))
}

fn shown(found: &[Found], zone: Tz) -> String {
    if found.is_empty() {
        return "No request with this identifier stands in the log, as far as it remembers: what ties requests to a person \
                is erased with the evidence of their case."
            .to_owned();
    }
    let instant = |at: Option<DateTime<Utc>>| or_dash(at.map(|at| local_time(at, zone)).as_ref());
    let rows = found.iter().map(|each| {
        vec![
            each.reference.to_string(),
            each.case.to_string(),
            each.kind.map_or_else(|| "(case deleted)".to_owned(), |kind| kind.to_string()),
            instant(each.received_at),
            or_dash(each.state.as_ref()),
            or_dash(each.outcome.as_ref()),
            instant(each.verified_at),
            instant(each.closed_at),
            if each.opens { "fits" } else { "CHANGED" }.to_owned(),
        ]
    });
    let head =
        ["reference", "case", "kind", "received", "state", "outcome", "read back", "closed", "commitment"];
    table(&head, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_taken_and_an_end_of_input_looks_nothing_up() {
        let mut talk = Vec::new();
        let given = asked(&mut " ada@people.example \n\n\nA-7\n".as_bytes(), &mut talk).unwrap().unwrap();
        assert_eq!(given.len(), 2);
        assert_eq!(given[&IdentifierKind::Email].expose(), "ada@people.example");
        assert_eq!(given[&IdentifierKind::ExternalId].expose(), "A-7");
        assert!(asked(&mut "ada@people.example\n".as_bytes(), &mut talk).unwrap().is_none());
    }
}
