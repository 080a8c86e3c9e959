//! `dsrd request parked`: rows of producers that could not become a request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::Subcommand;
use serde::Serialize;

use super::show::instant;
use crate::cli::Failure;
use crate::cli::context::Context;
use crate::cli::output::{Output, or_dash, pairs, read_small_text, table};
use crate::daemon::Foundation;
use crate::domain::{
    Assurance, Channel, DiscardReason, ErasureGround, IdentifierKind, OrganisationId, Personal, RequestKind,
};
use crate::intake::{self, Corrections, IntakeError, ParkedRow, ParkedRowError};

/// What to do.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List them, those first that reached the controller first, of all organisations served here and of unknown ones, each
    /// with the due date that it has.
    List {
        /// At most this many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show the columns of one row. That you did so stands in the audit log.
    Show {
        /// Number of the row.
        row: i64,
        /// Show identifiers in clear instead of masked.
        #[arg(long)]
        reveal: bool,
        /// In whose log it stands when the row names no organisation of this daemon; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Correct a row and hand it in as its producer did: same producer, same key, same date. The clock never restarts.
    Release(Box<ReleaseArgs>),
    /// Remove a row that is no request. What remains is an entry in the audit log.
    Discard {
        /// Number of the row.
        row: i64,
        /// Why: duplicate, test or not_a_request.
        #[arg(long)]
        reason: DiscardReason,
        /// In whose log it stands when the row names no organisation of this daemon; the only one when left out.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
}

/// Options of `dsrd request parked release`.
#[expect(clippy::doc_markdown, reason = "the texts are shown in terminals, where backticks disturb")]
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReleaseArgs {
    /// Number of the row.
    row: i64,
    /// What is asked: access, erasure, opt_out or another kind that dsrd request submit knows.
    #[arg(long, value_parser = RequestKind::read)]
    kind: Option<RequestKind>,
    /// How it reached the controller: web, email, letter, phone, in_person or api.
    #[arg(long)]
    channel: Option<Channel>,
    /// Language of the answer, for example it.
    #[arg(long)]
    language: Option<String>,
    /// For opt_out: a policy to switch off; may be given several times.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Leave out the policies that the row names, for example with a request that is no opt-out.
    #[arg(long, conflicts_with = "policies")]
    no_policies: bool,
    /// When it reached the controller (RFC 3339); only where the row does not say so, or named the future when it was
    /// parked. Left out then, it is the time of the parking.
    #[arg(long)]
    received_at: Option<DateTime<Utc>>,
    /// The producer's own id; only where the row's is missing, too long, or was used for another request.
    #[arg(long = "key", value_name = "KEY")]
    idempotency_key: Option<String>,
    /// The organisation; only where the row names none of this daemon.
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// How it is known who asks; only where the row says nothing that can be read. You vouch for it.
    #[arg(long)]
    assurance: Option<Assurance>,
    /// When that was proven (RFC 3339); only where the row does not say so, or named the future when it was parked.
    #[arg(long)]
    assured_at: Option<DateTime<Utc>>,
    /// For erasure: on which ground of Art. 17(1) GDPR, as for dsrd request submit.
    #[arg(long)]
    ground: Option<ErasureGround>,
    /// Leave out the ground that the row names, for example with a request that is no erasure.
    #[arg(long, conflicts_with = "ground")]
    no_ground: bool,
    /// Identifiers to correct, as JSON from a file, or from standard input with -: {"email": …, "phone": null, …}. null
    /// takes one away.
    #[arg(long, value_name = "FILE")]
    identifiers_from: Option<PathBuf>,
}

pub(super) async fn run(
    command: Command,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    match command {
        Command::List { limit } => list(limit, context, foundation, output).await,
        Command::Show { row, reveal, organisation } => {
            let reader = context.organisation(organisation.as_ref())?;
            show(row, reveal, &reader, context, foundation, output).await
        }
        Command::Release(args) => release(*args, context, foundation, output).await,
        Command::Discard { row, reason, organisation } => {
            let reader = context.organisation(organisation.as_ref())?;
            let mut tx = foundation.store.begin("cli.discard").await?;
            intake::discard_parked_row(
                &mut tx,
                &foundation.desk,
                &foundation.controllers,
                row,
                reason,
                (&reader, context.person()),
            )
            .await
            .map_err(classed)?;
            tx.commit().await?;
            output.show(&serde_json::json!({ "row": row, "discarded": reason }), |_| {
                format!("{row}: removed ({reason})")
            })
        }
    }
}

pub(super) async fn list(
    limit: i64,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let mut connection = foundation.store.connection().await?;
    let rows =
        intake::list_parked_rows(&mut connection, &foundation.desk, &foundation.controllers, limit).await?;
    let all = intake::count_parked_rows(&mut connection, &foundation.controllers).await?;
    let more = all.saturating_sub(rows.len() as u64);
    output.show(&rows, |rows: &Vec<ParkedRow>| {
        let cells = rows.iter().map(|row| {
            vec![
                row.intake.to_string(),
                row.organisation.clone(),
                row.producer.clone(),
                or_dash(row.idempotency_key.as_ref()),
                row.reason.clone(),
                row.detail.clone(),
                instant(row.received_at.as_ref(), zone_of(context, &row.organisation)),
                due(row),
            ]
        });
        table(&["row", "organisation", "producer", "key", "reason", "detail", "received at", "due on"], cells)
    })?;
    if more > 0 {
        output.say(&format!("{more} more; raise --limit to see them"));
    }
    Ok(())
}

/// The zone of the organisation that a row names, where there is such an organisation.
fn zone_of(context: &Context, organisation: &str) -> Tz {
    organisation.parse().map_or(Tz::UTC, |organisation| context.zone(&organisation))
}

/// Without a usable `received_at` the date is the latest that it can be.
fn due(row: &ParkedRow) -> String {
    let day = or_dash(row.due_on.as_ref());
    let is_known = row.received_at.is_some_and(|at| at <= row.parked_at);
    match (row.overdue, !is_known && row.due_on.is_some()) {
        (true, _) => format!("{day} OVERDUE"),
        (false, true) => format!("{day} or before"),
        (false, false) => day,
    }
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: ParkedRow,
    revealed: bool,
    columns: BTreeMap<&'static str, String>,
}

async fn show(
    row: i64,
    reveal: bool,
    reader: &OrganisationId,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    let mut tx = foundation.store.begin("cli.show_parked").await?;
    let opened = intake::open_parked_row(
        &mut tx,
        &foundation.desk,
        &foundation.controllers,
        row,
        (reader, context.person()),
        reveal,
    )
    .await
    .map_err(classed)?;
    // Committed before anything is shown: who looked stands in the log, whatever happens next.
    tx.commit().await?;
    let columns = opened
        .columns
        .into_iter()
        .map(|column| (column.name, if reveal { column.value.into_exposed() } else { column.masked }))
        .collect();
    output.show(&Shown { row: opened.row, revealed: reveal, columns }, |shown| {
        let row = &shown.row;
        let head = pairs([
            ("row", row.intake.to_string()),
            ("organisation", row.organisation.clone()),
            ("producer", row.producer.clone()),
            ("key", or_dash(row.idempotency_key.as_ref())),
            ("parked because", format!("{}: {}", row.reason, row.detail)),
            ("parked at", instant(Some(&row.parked_at), zone_of(context, &row.organisation))),
            ("due on", due(row)),
        ]);
        let columns = pairs(shown.columns.iter().map(|(name, value)| (*name, value.clone())));
        let hint = if shown.revealed { "" } else { "\n\nIdentifiers are masked; --reveal shows them." };
        let number = row.intake;
        format!(
            "{head}\n\n{columns}{hint}\n\nwhat you can do:\n- correct and hand it in: dsrd request parked release {number} \
             --kind … (or another field)\n- remove it: dsrd request parked discard {number} --reason duplicate"
        )
    })
}

async fn release(
    args: ReleaseArgs,
    context: &Context,
    foundation: &Foundation,
    output: &Output,
) -> anyhow::Result<()> {
    if args.channel.is_some_and(Channel::is_internal) {
        return Err(
            Failure::Usage.because("channels retention and self_test are reserved for the daemon itself")
        );
    }
    let identifiers = args.identifiers_from.as_deref().map(read_identifiers).transpose()?.unwrap_or_default();
    let corrections = Corrections {
        organisation: args.organisation.as_ref().map(|id| context.organisation(Some(id))).transpose()?,
        kind: args.kind,
        channel: args.channel,
        received_at: args.received_at,
        language: args.language,
        // With --no-policies none were given.
        policies: (args.no_policies || !args.policies.is_empty()).then_some(args.policies),
        idempotency_key: args.idempotency_key,
        assurance: args.assurance,
        assured_at: args.assured_at,
        ground: args.ground,
        no_ground: args.no_ground,
        identifiers,
    };
    let mut tx = foundation.store.begin("cli.release").await?;
    let receipt = intake::release_parked_row(
        &mut tx,
        &foundation.desk,
        &foundation.controllers,
        args.row,
        corrections,
        context.person(),
    )
    .await
    .map_err(classed)?;
    tx.commit().await?;
    output.show(&receipt, |receipt| {
        pairs([
            ("reference", receipt.reference.to_string()),
            ("request", receipt.request.to_string()),
            ("due on", receipt.due_on.to_string()),
            (
                "repeated",
                if receipt.repeated { "yes, this key had become a request already" } else { "no" }.to_owned(),
            ),
        ])
    })
}

fn read_identifiers(path: &Path) -> anyhow::Result<BTreeMap<IdentifierKind, Option<Personal<String>>>> {
    let (shown, text) = read_small_text(path)?;
    // The parser's own message may repeat a value: only the place is told.
    serde_json::from_str(&text).map_err(|error| {
        Failure::Usage.because(format!(
            "{shown} holds no identifiers: line {}, column {}; known keys are email, phone, username, external_id, \
             external_property_1, external_property_2",
            error.line(),
            error.column()
        ))
    })
}

fn classed(error: ParkedRowError) -> anyhow::Error {
    match error {
        ParkedRowError::Store(error) => error.into(),
        ParkedRowError::NotFound => Failure::NotFound.because(error.to_string()),
        ParkedRowError::Refused(IntakeError::KeyReused) | ParkedRowError::Stands(_) => {
            Failure::Refused.because(error.to_string())
        }
        ParkedRowError::StillFaulty { .. } | ParkedRowError::Refused(_) => {
            Failure::Usage.because(error.to_string())
        }
        ParkedRowError::Sealed(_) => error.into(),
    }
}
