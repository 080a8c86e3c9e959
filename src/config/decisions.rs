//! What the law leaves to the controller, and what the controller decided about it.
//!
//! Every such key is listed in [`LEFT`]. Each stands on its default, which is the strict one, or was set; a decision
//! ([`ControllerDecision`]) says by whom, when and why. What is looser than the default needs one: without a reason on
//! record the settings are refused.
//!
//! What the law does not leave to anybody has no key at all, and none may come: silence as an outcome, copies of identity
//! documents, the refusal of an objection to marketing, a second extension, a refusal by a machine, a deletion that is not
//! read back, a clear identifier in the audit log. A test reads all keys for it.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Loaded;
use super::explain::{Explained, explain};
use super::settings::{Organisation, Settings};
use super::source::BUILT_IN;
use crate::delivery::{Security, TransportKind};
use crate::domain::OrganisationId;
use crate::retention::Anchor;

/// A decision of a controller about a setting that the law leaves to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControllerDecision {
    /// Whose: the short name of an organisation. Left out for a setting of the daemon, which concerns all.
    #[schemars(with = "Option<String>")]
    pub organisation: Option<OrganisationId>,
    /// About which key, for example `retention.keep_months` (with `organisation`) or `upkeep.evidence_months`. Which keys
    /// there are tells `dsrd config decisions`.
    pub key: String,
    /// Who decided: a name or an office of the controller.
    pub decided_by: String,
    /// On which day.
    #[schemars(with = "String")]
    pub date: NaiveDate,
    /// Why, in a sentence: what an authority that asks will be told.
    pub reason: String,
}

/// A key that the law leaves to the controller.
#[derive(Clone, Copy, Debug)]
struct Left {
    key: &'static str,
    /// Whether every organisation has its own.
    of_organisation: bool,
    what: &'static str,
}

const fn of_organisation(key: &'static str, what: &'static str) -> Left {
    Left { key, of_organisation: true, what }
}

const fn of_daemon(key: &'static str, what: &'static str) -> Left {
    Left { key, of_organisation: false, what }
}

/// From which event contacts are kept: its default is the one that the controller has to confirm.
const ANCHOR: &str = "retention.anchor";

/// Terms of records. A rule needs its legal reason and somebody who answers for it.
const RECORDS: &str = "retention.records";

const LEFT: &[Left] = &[
    of_organisation("time_zone", "where days begin and end"),
    of_organisation("calendar", "which public holidays move the last lawful day"),
    of_organisation("further_calendars", "which further states' holidays may count"),
    of_organisation("regime", "which law holds, and whether its time may stand still"),
    of_organisation("language", "language of answers where the request names none"),
    of_organisation("two_persons", "which decisions two persons take"),
    of_organisation("identity.access", "what is proof enough for a copy of the data"),
    of_organisation("identity.access_by_hand_over", "whether the hand-over is that proof"),
    of_organisation("identity.erasure", "what is proof enough for an erasure"),
    of_organisation("identity.erasure_proof_hours", "how old that proof may be"),
    of_organisation(
        "identity.erasure_matching_points",
        "how many details must match before an erasure in California",
    ),
    of_organisation("identity.wait_max_days", "how long the person's answer is waited for"),
    of_organisation("opt_out_policies", "what an objection to marketing switches off"),
    of_organisation("erasure.ground", "the ground of erasures for which nobody states one"),
    of_organisation("erasure.legal_bases", "on which legal bases each category of data is held"),
    of_organisation(
        "erasure.consent_follow_up_days",
        "when what rested on a withdrawn consent alone is erased",
    ),
    of_organisation("erasure.backup_days", "until when backups may hold what was erased"),
    of_organisation("catalogue", "purposes, legal grounds, periods, sources, transfers"),
    of_organisation("redaction", "what is withheld from copies as data of other people"),
    of_organisation("recipients", "to whom data is given, and how they are told"),
    of_organisation("retention.enabled", "whether contacts past their time are erased by rule"),
    of_organisation("retention.keep_months", "how long contacts are kept"),
    of_organisation(ANCHOR, "from which event that time counts"),
    of_organisation(RECORDS, "how long records of contacts that are kept may be kept"),
    of_organisation(
        "retention.classified_fields",
        "which further fields of profiles the rule for contacts covers",
    ),
    of_organisation("retention.activities", "what counts as contact from the person"),
    of_organisation("retention.most_percent", "cap of a sweep, in per cent"),
    of_organisation("retention.most_contacts", "cap of a sweep, in contacts"),
    of_organisation("holds.statutes", "which laws oblige it to keep connection records"),
    of_organisation("escalation", "who of the staff is told of what, and when"),
    of_organisation("self_test", "whether an invented contact is taken through its rights every day"),
    of_daemon("delivery.package_expiry_days", "how long an access package can be fetched"),
    of_daemon("delivery.smtp.plain_text_allowed", "whether addresses may cross the network in clear"),
    of_daemon(
        "queue.access_goes_first_until_days",
        "how long an erasure waits for the access request before it",
    ),
    of_daemon("upkeep.identifiers_days", "how long identifiers are kept after the end of a request"),
    of_daemon("upkeep.contact_ids_days", "age of the oldest backup of the platform, and 30 days"),
    of_daemon("upkeep.evidence_months", "how long evidence is kept"),
    of_daemon("upkeep.log_months", "how long entries of the audit log are kept"),
    of_daemon("ledger.keep_days", "age of the oldest backup that the ledger makes good, and 30 days"),
];

/// How a key that is left to the controller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Somebody decided it, and it is on record.
    Decided,
    /// Nobody touched it.
    StrictDefault,
    /// It was set, and nobody said why.
    SetWithoutRecord,
    /// It is in force and not the strict one, and the controller has not confirmed it.
    Unconfirmed,
}

/// A key that the law leaves to the controller, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftToController {
    /// Of which organisation; none for a setting of the daemon.
    pub organisation: Option<OrganisationId>,
    /// The key.
    pub key: &'static str,
    /// What it decides.
    pub what: &'static str,
    /// Its value as text; for a table or list what it holds.
    pub value: String,
    /// How it stands.
    pub standing: Standing,
    /// The decision, if one is on record.
    pub decision: Option<ControllerDecision>,
}

/// Every key that the law leaves to the controllers, with how it stands.
#[must_use]
pub fn left_to_controllers(loaded: &Loaded) -> Vec<LeftToController> {
    let rows = explain(loaded);
    let settings = &loaded.settings;
    let mut found = Vec::new();
    for left in LEFT.iter().filter(|left| !left.of_organisation) {
        found.push(standing(left, None, left.key, &rows, settings));
    }
    for (index, organisation) in settings.organisations.iter().enumerate() {
        for left in LEFT.iter().filter(|left| left.of_organisation) {
            let key = format!("organisations[{index}].{}", left.key);
            found.push(standing(left, Some(&organisation.id), &key, &rows, settings));
        }
    }
    found
}

fn standing(
    left: &Left,
    organisation: Option<&OrganisationId>,
    key: &str,
    rows: &[Explained],
    settings: &Settings,
) -> LeftToController {
    let below = |row: &&Explained| {
        row.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let own: Vec<&Explained> = rows.iter().filter(below).collect();
    let is_default = own.iter().all(|row| row.value.is_none() || row.origin.starts_with(BUILT_IN));
    let value = match own.as_slice() {
        [] => "(none)".to_owned(),
        [only] => only.value.clone().unwrap_or_else(|| "(unset)".to_owned()),
        several => format!("({} keys)", several.iter().filter(|row| row.value.is_some()).count()),
    };
    let decision = find(settings, organisation, left.key).cloned();
    let unconfirmed = left.key == ANCHOR
        && organisation.and_then(|id| settings.find_organisation(id)).is_some_and(counts_from_creation);
    let standing = match (&decision, is_default) {
        (Some(_), _) => Standing::Decided,
        (None, _) if unconfirmed => Standing::Unconfirmed,
        (None, true) => Standing::StrictDefault,
        (None, false) => Standing::SetWithoutRecord,
    };
    LeftToController {
        organisation: organisation.cloned(),
        key: left.key,
        what: left.what,
        value,
        standing,
        decision,
    }
}

/// Whether contacts are erased by a period that runs from their creation.
fn counts_from_creation(organisation: &Organisation) -> bool {
    organisation.retention.enabled && organisation.retention.anchor == Anchor::Created
}

/// The latest decision about a key.
fn find<'a>(
    settings: &'a Settings,
    organisation: Option<&OrganisationId>,
    key: &str,
) -> Option<&'a ControllerDecision> {
    let own = |each: &&ControllerDecision| each.key == key && each.organisation.as_ref() == organisation;
    settings.decisions.iter().filter(own).max_by_key(|decision| decision.date)
}

/// Refuses records of decisions that cannot be right, and looser settings without one.
pub(super) fn check(settings: &Settings, refused: &mut Vec<String>) {
    for (index, decision) in settings.decisions.iter().enumerate() {
        let mut refuse = |text: &str| refused.push(format!("decisions[{index}].{text}"));
        let known = LEFT
            .iter()
            .any(|left| left.key == decision.key && left.of_organisation == decision.organisation.is_some());
        if !known {
            refuse(
                "key is none that the law leaves to a controller, or is one of an organisation and names none (or the \
                 other way round); dsrd config decisions lists them",
            );
        }
        if decision.organisation.as_ref().is_some_and(|id| settings.find_organisation(id).is_none()) {
            refuse("organisation is none that is configured");
        }
        for (key, text) in [("decided_by", &decision.decided_by), ("reason", &decision.reason)] {
            if text.trim().is_empty() || text.chars().any(char::is_control) {
                refuse(&format!("{key} must be one line of text: it is what an authority will be told"));
            }
        }
    }
    for organisation in &settings.organisations {
        let id = &organisation.id;
        if !organisation.retention.records.terms().is_empty() && find(settings, Some(id), RECORDS).is_none() {
            refused.push(format!(
                "{RECORDS} of organisation {id} sets a term: a rule needs its legal reason and who answers for it on record; \
                 add [[decisions]] with organisation = \"{id}\", key = \"{RECORDS}\", decided_by, date and reason \
                 (Art. 5(1)(e), 30(1)(f) GDPR)"
            ));
        }
    }
    for (organisation, key, looser) in loosened(settings) {
        if find(settings, organisation, key).is_some() {
            continue;
        }
        let (place, line) = match organisation {
            Some(id) => (format!("{key} of organisation {id}"), format!("organisation = \"{id}\", ")),
            None => (key.to_owned(), String::new()),
        };
        refused.push(format!(
            "{place} {looser}: this is looser than the default and needs a recorded decision; add [[decisions]] with \
             {line}key = \"{key}\", decided_by, date and reason (Art. 25(2) GDPR)"
        ));
    }
}

/// The longest terms that need no reason.
const PACKAGE_DAYS: u32 = 30;
const IDENTIFIERS_DAYS: u32 = 30;
const CONTACT_IDS_DAYS: u32 = 65;
const EVIDENCE_MONTHS: u32 = 36;
const LOG_MONTHS: u32 = 36;

/// Settings that are looser than the default, each with what is loose about it.
fn loosened(settings: &Settings) -> Vec<(Option<&OrganisationId>, &'static str, String)> {
    let mut found = Vec::new();
    let (delivery, upkeep) = (&settings.delivery, &settings.upkeep);
    for (key, value, most, unit) in [
        ("delivery.package_expiry_days", delivery.package_expiry_days, PACKAGE_DAYS, "days"),
        ("upkeep.identifiers_days", upkeep.identifiers_days, IDENTIFIERS_DAYS, "days"),
        ("upkeep.contact_ids_days", upkeep.contact_ids_days, CONTACT_IDS_DAYS, "days"),
        ("upkeep.evidence_months", upkeep.evidence_months, EVIDENCE_MONTHS, "months"),
        ("upkeep.log_months", upkeep.log_months, LOG_MONTHS, "months"),
        // The same backups, so that one decision is enough where both have the same length.
        (
            "ledger.keep_days",
            settings.ledger.keep_days,
            CONTACT_IDS_DAYS.max(upkeep.contact_ids_days),
            "days",
        ),
    ] {
        if value > most {
            found.push((None, key, format!("is {value}, more than {most} {unit}")));
        }
    }
    if delivery.transport == TransportKind::Smtp
        && delivery.smtp.security == Security::None
        && delivery.smtp.plain_text_allowed
    {
        found.push((None, "delivery.smtp.plain_text_allowed", "sends addresses in clear".to_owned()));
    }
    for organisation in &settings.organisations {
        if organisation.regime.as_str() == "EU-suspend" {
            let looser = "lets the time stand still while the person is asked".to_owned();
            found.push((Some(&organisation.id), "regime", looser));
        }
        for (key, looser) in organisation.identity.loosened() {
            found.push((Some(&organisation.id), key, looser));
        }
        let redaction = &organisation.redaction;
        if !(redaction.addresses && redaction.numbers) {
            let looser = "lets copies name other people's addresses or numbers".to_owned();
            found.push((Some(&organisation.id), "redaction", looser));
        }
        if !redaction.fields.is_empty() {
            let looser = "keeps whole fields from the person".to_owned();
            found.push((Some(&organisation.id), "redaction", looser));
        }
        if calls_private_addresses(organisation) {
            let looser = "lets calls go to private addresses".to_owned();
            found.push((Some(&organisation.id), "recipients", looser));
        }
    }
    found
}

fn calls_private_addresses(organisation: &Organisation) -> bool {
    organisation.recipients.iter().any(crate::recipients::Recipient::may_be_private)
}
