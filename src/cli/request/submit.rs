//! `dsrd request submit`: a request handed in by a person or a script.

use std::fmt::Display;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::ask;
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, pairs};
use crate::daemon::Foundation;
use crate::domain::{
    Assurance, Channel, Controller, ErasureGround, IdentifierKind, OrganisationId, Origin, Personal, Proof,
    RequestKind, RequesterRole, SubjectIdentifier,
};
use crate::intake::{self, IntakeError, Receipt, Submission};

/// The most that is read of a file: a request has a few hundred bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// Options of `dsrd request submit`.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Read the request from a JSON file, or from standard input with -: {"kind": …, "channel": …, "received_at": …,
    /// "identifiers": {"email": …, "phone": …, "username": …, "external_id": …}, "language": …, "policies": […], "ground": …,
    /// "idempotency_key": …, "organisation": …, "requester_role": …, "assurance": …, "assured_at": …}; "kinds": […] instead of
    /// "kind" for several rights in one message. Options given beside it override it.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Short name of the organisation; the only one when left out.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// What is asked: access, erasure, opt_out, rectification, restriction, portability, objection, consent_withdrawal,
    /// automated_decision, complaint, ccpa_opt_out or other. May be given several times, for one message that asks for
    /// several rights: one request each, with one date of receipt.
    #[arg(long = "kind", value_name = "KIND", value_parser = RequestKind::read)]
    kinds: Vec<RequestKind>,
    /// Who asks: self (the data subject), agent, parent, heir or other; self when left out. All but an opt-out then waits
    /// until a person has checked the authority (dsrd decide accept).
    #[arg(long, value_name = "ROLE")]
    requester_role: Option<RequesterRole>,
    /// How it reached the controller: web, email, letter, phone, in_person or api.
    #[arg(long)]
    channel: Option<Channel>,
    /// When it reached the controller (RFC 3339, for example 2026-11-23T10:00:00+01:00). The legal clock starts here.
    #[arg(long, value_parser = received_at)]
    received_at: Option<DateTime<Utc>>,
    /// Language of the answer, for example it.
    #[arg(long)]
    language: Option<String>,
    /// For opt_out: a policy to switch off; may be given several times. Those of the configuration when left out.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// For erasure: the ground of Art. 17(1) GDPR, where it is known: no_longer_needed, consent_withdrawn, objection,
    /// unlawful, legal_obligation or child. The configured one when left out.
    #[arg(long)]
    ground: Option<ErasureGround>,
    /// Your own id of the request, without personal data. The same key again is the same request.
    #[arg(long = "key", value_name = "KEY")]
    idempotency_key: Option<String>,
    /// How it is known who asks: authenticated_session, verified_channel_loop, agent_proof, matched_data or none. Nothing
    /// is known when left out; the person is then asked where the right needs it.
    #[arg(long)]
    assurance: Option<Assurance>,
    /// When that was proven (RFC 3339); needed beside any assurance but none.
    #[arg(long, value_parser = received_at)]
    assured_at: Option<DateTime<Utc>>,
    #[command(flatten)]
    forbidden: IdentifierArgs,
}

/// Identifiers as options: known only to be refused with a remedy, and hidden from the help.
#[derive(Debug, clap::Args)]
struct IdentifierArgs {
    #[arg(long, hide = true, value_parser = personal)]
    email: Option<Personal<String>>,
    #[arg(long, hide = true, value_parser = personal)]
    phone: Option<Personal<String>>,
    #[arg(long, hide = true, value_parser = personal)]
    username: Option<Personal<String>>,
    #[arg(long, hide = true, value_parser = personal)]
    external_id: Option<Personal<String>>,
    #[arg(long, hide = true, value_parser = personal)]
    external_property_1: Option<Personal<String>>,
    #[arg(long, hide = true, value_parser = personal)]
    external_property_2: Option<Personal<String>>,
}

#[expect(clippy::unnecessary_wraps, reason = "the signature that clap asks of a parser")]
fn personal(text: &str) -> Result<Personal<String>, std::convert::Infallible> {
    Ok(Personal::new(text.to_owned()))
}

/// Reads the instant at which a request arrived; the message never repeats the text.
pub(in crate::cli) fn received_at(text: &str) -> Result<DateTime<Utc>, String> {
    text.trim().parse::<DateTime<Utc>>().map_err(|_| {
        "write day, time and offset from UTC, for example 2026-11-23T10:00:00+01:00 or 2026-11-23T09:00:00Z".to_owned()
    })
}

impl Args {
    /// Refuses identifiers among the arguments, before anything else is done (I-8).
    pub(super) fn refuse_identifiers(&self) -> anyhow::Result<()> {
        let forbidden = &self.forbidden;
        let given = [
            ("--email", &forbidden.email),
            ("--phone", &forbidden.phone),
            ("--username", &forbidden.username),
            ("--external-id", &forbidden.external_id),
            ("--external-property-1", &forbidden.external_property_1),
            ("--external-property-2", &forbidden.external_property_2),
        ];
        match given.into_iter().find(|(_, value)| value.is_some()) {
            None => Ok(()),
            Some((name, _)) => Err(Failure::Usage.because(format!(
                "{name} is refused, because every user of this host can read the arguments of a process and shells keep \
                 them; put the request into a file and name it with --from FILE, pipe it in with --from -, or leave \
                 {name} out at a terminal and you are asked for it"
            ))),
        }
    }
}

/// A request as JSON. Words and dates stand as they were written, so that one that cannot be read is told in a sentence,
/// with its key and what is known, where the parser would name a place.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SubmissionWire {
    pub(super) organisation: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) kinds: Vec<String>,
    pub(super) requester_role: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) received_at: Option<String>,
    pub(super) language: Option<String>,
    pub(super) policies: Vec<String>,
    pub(super) ground: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) assurance: Option<String>,
    pub(super) assured_at: Option<String>,
    pub(super) identifiers: IdentifiersWire,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IdentifiersWire {
    pub(super) email: Option<Personal<String>>,
    pub(super) phone: Option<Personal<String>>,
    pub(super) username: Option<Personal<String>>,
    pub(super) external_id: Option<Personal<String>>,
    pub(super) external_property_1: Option<Personal<String>>,
    pub(super) external_property_2: Option<Personal<String>>,
}

pub(super) async fn run(
    args: Args,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let wire = match &args.from {
        Some(path) => read(path)?,
        None if std::io::stdin().is_terminal() => asked(&args)?,
        None => {
            return Err(Failure::Usage.because(
                "no identifier is given: put the request into a file and name it with --from FILE, or pipe it in with \
                 --from -",
            ));
        }
    };
    let written = word("organisation", wire.organisation.as_deref(), str::parse::<OrganisationId>)?;
    let organisation = context.organisation(args.organisation.as_ref().or(written.as_ref()))?;
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

/// Asks the person at the terminal for what the arguments do not say.
fn asked(args: &Args) -> anyhow::Result<SubmissionWire> {
    let known = SubmissionWire {
        kind: args.kinds.first().map(ToString::to_string),
        channel: args.channel.map(|channel| channel.to_string()),
        received_at: args.received_at.map(|at| at.to_rfc3339()),
        ..SubmissionWire::default()
    };
    ask::for_missing(known, &mut std::io::stdin().lock(), &mut anstream::stderr())?
        .ok_or_else(|| Failure::Usage.because("the questions were broken off; nothing was handed in"))
}

fn shown(receipt: &Receipt) -> String {
    let all: Vec<String> = std::iter::once(receipt).chain(&receipt.also).map(shown_one).collect();
    all.join("\n\n")
}

fn shown_one(receipt: &Receipt) -> String {
    let mut rows = vec![
        ("reference", receipt.reference.to_string()),
        ("kind", receipt.kind.to_string()),
        ("due on", receipt.due_on.to_string()),
        ("repeated", if receipt.repeated { "yes, this key was handed in before" } else { "no" }.to_owned()),
    ];
    if let Some(first) = &receipt.reminds_of {
        rows.push(("reminder of", format!("{first}, which is open and goes on with its own date")));
    }
    pairs(rows)
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
            "{shown} is not a request: line {}, column {}; known keys are organisation, kind, kinds, channel, \
             received_at, language, policies, ground, idempotency_key, requester_role, assurance, assured_at and identifiers with email, phone, username, external_id, \
             external_property_1, external_property_2",
            error.line(),
            error.column()
        ))
    })
}

/// Reads what stands at a key; the message names the key and what is known, and does not repeat what was written.
fn word<T, E: Display>(
    key: &str,
    written: Option<&str>,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> anyhow::Result<Option<T>> {
    let read = written.map(read).transpose();
    read.map_err(|error| Failure::Usage.because(format!("{key} cannot be read: {error}")))
}

/// Puts options and file together; options win.
fn submission(args: Args, wire: SubmissionWire, controller: &Controller) -> anyhow::Result<Submission> {
    let missing = |name: &str, remedy: &str| Failure::Usage.because(format!("{name} is missing: {remedy}"));
    let read = wire.identifiers;
    let given = [
        (IdentifierKind::Email, read.email),
        (IdentifierKind::Phone, read.phone),
        (IdentifierKind::Username, read.username),
        (IdentifierKind::ExternalId, read.external_id),
        (IdentifierKind::ExternalProperty1, read.external_property_1),
        (IdentifierKind::ExternalProperty2, read.external_property_2),
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
    let written = word("channel", wire.channel.as_deref(), str::parse)?;
    let channel = args.channel.or(written).ok_or_else(|| {
        missing(
            "channel",
            "say how the request arrived with --channel web, email, letter, phone, in_person or api",
        )
    })?;
    if channel.is_internal() {
        return Err(
            Failure::Usage.because("channels retention and self_test are reserved for the daemon itself")
        );
    }
    let received_at = match (args.received_at, wire.received_at) {
        (Some(at), _) => at,
        (None, Some(text)) => received_at(&text)
            .map_err(|problem| Failure::Usage.because(format!("received_at cannot be read: {problem}")))?,
        (None, None) => {
            return Err(missing(
                "received_at",
                "say when the request reached the controller with --received-at, for example \
                 2026-11-23T10:00:00+01:00; the legal clock starts there",
            ));
        }
    };
    let assurance = word("assurance", wire.assurance.as_deref(), str::parse)?;
    let requester_role = word("requester_role", wire.requester_role.as_deref(), str::parse)?;
    let ground = word("ground", wire.ground.as_deref(), str::parse)?;
    let proof = proof(args.assurance.or(assurance), (args.assured_at, wire.assured_at))?;
    let mut kinds = args.kinds;
    if kinds.is_empty() {
        for written in wire.kind.iter().chain(&wire.kinds) {
            kinds.extend(word("kind", Some(written), RequestKind::read)?);
        }
    }
    let (kind, also) = kinds.split_first().ok_or_else(|| {
        missing("kind", "say what is asked with --kind, for example access, erasure, opt_out or other")
    })?;
    Ok(Submission {
        kind: *kind,
        also: also.to_vec(),
        kind_unknown: false,
        requester_role: args.requester_role.or(requester_role).unwrap_or(RequesterRole::Own),
        origin: Origin::Subject,
        channel,
        received_at,
        language: args.language.or(wire.language),
        identifiers,
        ground: args.ground.or(ground),
        policies: if args.policies.is_empty() { wire.policies } else { args.policies },
        proof,
        producer: "cli".to_owned(),
        idempotency_key: args
            .idempotency_key
            .or(wire.idempotency_key)
            .unwrap_or_else(|| Uuid::now_v7().to_string()),
        handed_in_by: None,
        sweep_target: None,
        follows: None,
    })
}

/// How it is known who asks. A proof without its instant could be any age.
fn proof(
    assurance: Option<Assurance>,
    (option, written): (Option<DateTime<Utc>>, Option<String>),
) -> anyhow::Result<Option<Proof>> {
    let written = written.map(|text| received_at(&text)).transpose();
    let written =
        written.map_err(|problem| Failure::Usage.because(format!("assured_at cannot be read: {problem}")))?;
    let at = option.or(written);
    match (assurance, at) {
        (None | Some(Assurance::None), None) => Ok(None),
        (Some(assurance), Some(at)) if assurance != Assurance::None => Ok(Some(Proof { assurance, at })),
        (Some(Assurance::None) | None, Some(_)) => Err(Failure::Usage.because(
            "assured_at stands without an assurance: say how it is known who asks with --assurance, or leave it out",
        )),
        (Some(_), _) => Err(Failure::Usage
            .because("assured_at is missing: say with --assured-at when it was proven who asks")),
    }
}
