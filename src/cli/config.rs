//! `dsrd config`: the configuration, explained.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Failure;
use super::output::{Output, table};
use crate::config::{self, Explained, LeftToController, Organisation, Settings, Sources, Standing};
use crate::retention::Anchor;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show every key with its effective value, where that was set, and what it means. Secrets are never shown.
    Explain {
        /// Only keys that contain this text.
        key: Option<String>,
    },
    /// Show what the law leaves to the controllers: what was decided by whom and why, and what stands on its default.
    Decisions,
    /// Print a record of this processing activity (Art. 30 GDPR), made from the settings, as JSON.
    ProcessingRecord,
    /// Print the JSON schema of configuration files, for editors.
    Schema,
    /// Print the reference of all keys as Markdown.
    Reference,
    /// Print the compiled-in defaults with their comments.
    Defaults,
}

pub(super) fn run(command: Command, files: &[PathBuf], output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Explain { key } => {
            let loaded = config::load(&Sources::of_process(files)?)?;
            let mut rows = config::explain(&loaded);
            if let Some(part) = key {
                let near = config::near_keys(&rows, &part);
                rows.retain(|row| row.key.contains(&part));
                if rows.is_empty() {
                    let hint = if near.is_empty() {
                        "`dsrd config explain` shows all".to_owned()
                    } else {
                        format!("did you mean {}?", near.join(", "))
                    };
                    return Err(Failure::NotFound.because(format!("no key contains {part:?}; {hint}")));
                }
            }
            output.show(&rows, |rows| explained(rows))
        }
        Command::Decisions => {
            let loaded = config::load(&Sources::of_process(files)?)?;
            output.show(&config::left_to_controllers(&loaded), |left| decided(left))
        }
        Command::ProcessingRecord => {
            let loaded = config::load(&Sources::of_process(files)?)?;
            config::check(&loaded.settings)?;
            let record = processing_record(&loaded.settings);
            output.show(&record, |record| format!("{record:#}"))
        }
        Command::Schema => output.show(&config::schema(), |schema| format!("{schema:#}")),
        Command::Reference => output.raw(config::reference().as_bytes()),
        Command::Defaults => output.raw(config::DEFAULTS.as_bytes()),
    }
}

fn explained(rows: &[Explained]) -> String {
    let cells = rows.iter().map(|row| {
        let value = row.value.clone().unwrap_or_else(|| "(unset)".to_owned());
        let value = if value.is_empty() { "\"\"".to_owned() } else { value };
        let origin = match &row.decision {
            Some(decision) => format!("{}; {decision}", row.origin),
            None => row.origin.clone(),
        };
        vec![row.key.clone(), value, origin, row.doc.clone()]
    });
    table(&["key", "value", "origin", "meaning"], cells)
}

fn decided(left: &[LeftToController]) -> String {
    let rows = left.iter().map(|each| {
        let standing = match (&each.standing, &each.decision) {
            (Standing::Decided, Some(decision)) => {
                format!("decided by {} on {}: {}", decision.decided_by, decision.date, decision.reason)
            }
            (Standing::Decided | Standing::SetWithoutRecord, _) => "set; nobody said why".to_owned(),
            (Standing::StrictDefault, _) => "default".to_owned(),
            (Standing::Unconfirmed, _) => "default; the controller has to confirm it".to_owned(),
        };
        let organisation = each.organisation.as_ref().map_or_else(|| "(all)".to_owned(), ToString::to_string);
        vec![organisation, each.key.to_owned(), each.value.clone(), standing, each.what.to_owned()]
    });
    table(&["organisation", "key", "value", "standing", "decides"], rows)
}

/// How long contacts are kept after an event, if that is the one that counts.
fn contacts_months(organisation: &Organisation, anchor: Anchor) -> Option<u32> {
    let retention = &organisation.retention;
    retention.keep_months.filter(|_| retention.enabled && retention.anchor == anchor)
}

/// Whether heads of the audit log go to a place that a restore of this host does not set back.
fn heads_leave(settings: &Settings) -> bool {
    let publish = &settings.publish;
    !publish.bucket_url.is_empty()
        || !publish.witnesses.is_empty()
        || !publish.mail_to.is_empty()
        || !publish.directory.starts_with(&settings.data_dir)
}

/// The record of Art. 30(1)(a) to (g) GDPR of what this program does for each organisation.
fn processing_record(settings: &Settings) -> Value {
    let upkeep = &settings.upkeep;
    let records = settings.organisations.iter().map(|organisation| {
        let catalogue = organisation.catalogue.as_ref();
        let recipients: Vec<Value> = organisation
            .recipients
            .iter()
            .map(|each| {
                json!({
                    "name": each.name,
                    "role": each.role,
                    "categories": each.categories,
                    "from": each.from,
                    "until": each.until,
                })
            })
            .collect();
        let transfers: Vec<Value> = organisation
            .recipients
            .iter()
            .filter(|each| each.safeguard.is_some())
            .map(|each| json!({ "recipient": each.name, "country": each.country, "safeguard": each.safeguard }))
            .collect();
        json!({
            "organisation": organisation.id,
            "a_controller_and_contact": { "name": organisation.name, "contact": organisation.contact },
            "b_purposes": [
                "answering requests of data subjects (Art. 12 to 22 GDPR)",
                "proving that they were answered (Art. 5(2), 24 GDPR)",
                "erasing contacts past their retention period (Art. 5(1)(e) GDPR)",
            ],
            "c_data_subjects_and_data": {
                "data_subjects": ["contacts of the organisation", "persons who make a request", "staff who work on requests"],
                "data": [
                    "identifiers given in a request or found in the contact's profile, encrypted",
                    "copies of the contact's data in an access package, encrypted, until it expires",
                    "kind, dates, decisions and outcome of a request",
                    "keyed hashes of the identifiers of those who must not be created again or contacted (suppression list)",
                    "ids of contacts, encrypted, with what was done to them (ledger, outside of the database)",
                    "what a producer handed in and could not become a request, encrypted",
                    "login names of staff and their acts",
                ],
            },
            "d_recipients": recipients,
            "e_transfers": { "of_recipients": transfers, "in_the_controllers_words": catalogue.map(|each| &each.transfers) },
            "f_time_limits": {
                "identifiers_days_after_end": upkeep.identifiers_days,
                "contact_ids_days_after_end": upkeep.contact_ids_days,
                "evidence_months_after_end": upkeep.evidence_months,
                "access_packages_days": settings.delivery.package_expiry_days,
                "access_packages_longer": "while the request is open, its link came back, or a breach is not ended",
                "ledger_days": settings.ledger.keep_days,
                "audit_log_months_after_sealing": upkeep.log_months,
                "suppression_list": "until the person wants to be contacted, or created, again",
                "rows_that_became_no_request": "until a person hands them in or removes them",
                "contacts_months_after_creation": contacts_months(organisation, Anchor::Created),
                "contacts_months_after_last_activity": contacts_months(organisation, Anchor::LastActivity),
            },
            "g_security_measures": [
                "identifiers encrypted for their row, with a key outside of the database",
                "access packages encrypted, each with a key of its own that is destroyed at expiry",
                if heads_leave(settings) {
                    "append-only audit log without identifiers, signed, its heads published elsewhere"
                } else {
                    "append-only audit log without identifiers, signed"
                },
                "one transaction for a change and its entry in the log; every outside effect announced and accounted for",
                "database roles: producers only insert, auditors only read views, the daemon changes no entry of the log",
            ],
        })
    });
    json!({ "form": "dsrd-processing-record/1", "records": records.collect::<Vec<_>>() })
}
