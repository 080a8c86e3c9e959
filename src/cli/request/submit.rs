//! `dsrd request submit`: a request handed in by a person or a script.

use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, pairs};
use crate::daemon::Foundation;
use crate::domain::{
    Channel, Controller, IdentifierKind, OrganisationId, Origin, Personal, RequestKind, SubjectIdentifier,
};
use crate::intake::{self, IntakeError, Receipt, Submission};

/// The most that is read of a file: a request has a few hundred bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// Options of `dsrd request submit`.
///
/// Arguments of a process can be read by every user of a host: prefer `--from` for identifiers.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Read the request from a JSON file, or from standard input with -: {"kind": …, "channel": …, "received_at": …,
    /// "identifiers": {"email": …}, "language": …, "policies": […], "idempotency_key": …, "organisation": …}.
    /// Options given beside it override it.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// What is asked: access, erasure or opt_out.
    #[arg(long)]
    kind: Option<RequestKind>,
    /// How it reached the controller: web, email, letter, phone, in_person or api.
    #[arg(long)]
    channel: Option<Channel>,
    /// When it reached the controller (RFC 3339, for example 2026-11-23T10:00:00+01:00). The legal clock starts here.
    #[arg(long)]
    received_at: Option<DateTime<Utc>>,
    /// Language of the answer, for example it.
    #[arg(long)]
    language: Option<String>,
    /// For opt_out: a policy to switch off; may be given several times. Those of the configuration when left out.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Your own id of the request, without personal data. The same key again is the same request.
    #[arg(long = "key", value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    identifiers: IdentifierArgs,
}

/// Identifiers as options.
#[derive(Debug, clap::Args)]
struct IdentifierArgs {
    /// E-mail address of the person.
    #[arg(long, value_parser = personal)]
    email: Option<Personal<String>>,
    /// Telephone number of the person, with country code.
    #[arg(long, value_parser = personal)]
    phone: Option<Personal<String>>,
    /// User name of the person.
    #[arg(long, value_parser = personal)]
    username: Option<Personal<String>>,
    /// Id that a system of the controller gave the person.
    #[arg(long, value_parser = personal)]
    external_id: Option<Personal<String>>,
    /// First free property beside the external id.
    #[arg(long, value_parser = personal)]
    external_property_1: Option<Personal<String>>,
    /// Second free property beside the external id.
    #[arg(long, value_parser = personal)]
    external_property_2: Option<Personal<String>>,
}

#[expect(clippy::unnecessary_wraps, reason = "the signature that clap asks of a parser")]
fn personal(text: &str) -> Result<Personal<String>, std::convert::Infallible> {
    Ok(Personal::new(text.to_owned()))
}

/// A request as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SubmissionWire {
    organisation: Option<OrganisationId>,
    kind: Option<RequestKind>,
    channel: Option<Channel>,
    received_at: Option<DateTime<Utc>>,
    language: Option<String>,
    policies: Vec<String>,
    idempotency_key: Option<String>,
    identifiers: IdentifiersWire,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IdentifiersWire {
    email: Option<Personal<String>>,
    phone: Option<Personal<String>>,
    username: Option<Personal<String>>,
    external_id: Option<Personal<String>>,
    external_property_1: Option<Personal<String>>,
    external_property_2: Option<Personal<String>>,
}

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let wire = args.from.as_deref().map(read).transpose()?.unwrap_or_default();
    let organisation = context.organisation(args.organisation.as_ref().or(wire.organisation.as_ref()))?;
    let Some(controller) = foundation.controllers.get(&organisation) else {
        return Err(Failure::NotFound.because(format!("organisation {organisation} is not registered")));
    };
    let submission =
        Submission { handed_in_by: Some(context.person()), ..submission(args, wire, controller)? };
    let receipt = intake::submit_request(&foundation.store, &foundation.desk, controller, submission)
        .await
        .map_err(classed)?;
    output.show(&receipt, shown)
}

fn shown(receipt: &Receipt) -> String {
    pairs([
        ("reference", receipt.reference.to_string()),
        ("request", receipt.request.to_string()),
        ("due on", receipt.due_on.to_string()),
        ("repeated", if receipt.repeated { "yes, this key was handed in before" } else { "no" }.to_owned()),
    ])
}

fn classed(error: IntakeError) -> anyhow::Error {
    match error {
        IntakeError::Store(error) => error.into(),
        IntakeError::KeyReused => Failure::Refused.because(error.to_string()),
        other => Failure::Usage.because(other.to_string()),
    }
}

fn read(path: &Path) -> anyhow::Result<SubmissionWire> {
    let shown = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let unreadable =
        |error: std::io::Error| Failure::Usage.because(format!("{shown} cannot be read: {error}"));
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    }
    if text.len() as u64 > MOST_BYTES {
        return Err(Failure::Usage.because(format!("{shown} is longer than a request can be")));
    }
    // The parser's own message may repeat a value: only the place is told.
    serde_json::from_str(&text).map_err(|error| {
        Failure::Usage.because(format!(
            "{shown} is not a request: line {}, column {}; known keys are organisation, kind, channel, received_at, \
             language, policies, idempotency_key and identifiers with email, phone, username, external_id, \
             external_property_1, external_property_2",
            error.line(),
            error.column()
        ))
    })
}

/// Puts options and file together; options win.
fn submission(args: Args, wire: SubmissionWire, controller: &Controller) -> anyhow::Result<Submission> {
    let missing = |name: &str, remedy: &str| Failure::Usage.because(format!("{name} is missing: {remedy}"));
    let (typed, read) = (args.identifiers, wire.identifiers);
    let given = [
        (IdentifierKind::Email, typed.email.or(read.email)),
        (IdentifierKind::Phone, typed.phone.or(read.phone)),
        (IdentifierKind::Username, typed.username.or(read.username)),
        (IdentifierKind::ExternalId, typed.external_id.or(read.external_id)),
        (IdentifierKind::ExternalProperty1, typed.external_property_1.or(read.external_property_1)),
        (IdentifierKind::ExternalProperty2, typed.external_property_2.or(read.external_property_2)),
    ];
    let mut identifiers = Vec::new();
    for (kind, text) in given {
        if let Some(text) = text {
            let identifier =
                SubjectIdentifier::parse(kind, text.expose(), controller.default_country.as_deref())
                    .map_err(|error| Failure::Usage.because(error.to_string()))?;
            identifiers.push(identifier);
        }
    }
    let channel = args.channel.or(wire.channel).ok_or_else(|| {
        missing(
            "channel",
            "say how the request arrived with --channel web, email, letter, phone, in_person or api",
        )
    })?;
    if channel == Channel::Retention {
        return Err(Failure::Usage.because("channel retention is reserved for the daemon's own sweeps"));
    }
    Ok(Submission {
        kind: args
            .kind
            .or(wire.kind)
            .ok_or_else(|| missing("kind", "say what is asked with --kind access, erasure or opt_out"))?,
        origin: Origin::Subject,
        channel,
        received_at: args.received_at.or(wire.received_at).ok_or_else(|| {
            missing(
                "received_at",
                "say when the request reached the controller with --received-at; the legal clock starts there",
            )
        })?,
        language: args.language.or(wire.language),
        identifiers,
        policies: if args.policies.is_empty() { wire.policies } else { args.policies },
        producer: "cli".to_owned(),
        idempotency_key: args
            .idempotency_key
            .or(wire.idempotency_key)
            .unwrap_or_else(|| Uuid::now_v7().to_string()),
        handed_in_by: None,
        sweep_target: None,
    })
}
