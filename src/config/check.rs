//! What a running service needs beyond well-formed values (S-51).

use std::collections::BTreeSet;

use super::decisions;
use super::error::SettingsError;
use super::settings::{Organisation, Settings};
use crate::recipients::Recipient;
use crate::telemetry;
use crate::webhook;

/// Refuses settings that are well-formed but wrong or unsafe; tells all that is wrong at once.
pub fn check(settings: &Settings) -> Result<(), SettingsError> {
    let mut refused = Vec::new();
    check_general(settings, &mut refused);
    check_organisations(&settings.organisations, &mut refused);
    decisions::check(settings, &mut refused);
    if refused.is_empty() { Ok(()) } else { Err(SettingsError::Refused(refused)) }
}

fn check_general(settings: &Settings, refused: &mut Vec<String>) {
    if settings.data_dir.is_relative() {
        refused.push(
            "data_dir must be an absolute path: a daemon has no directory of its own to start from".into(),
        );
    }
    if let Err(error) = telemetry::check(&settings.telemetry) {
        refused.push(error.to_string());
    }
    let database = &settings.database;
    if database.url.is_some() && database.url_file.is_some() {
        refused.push("database.url and database.url_file are both set: remove one".into());
    }
    if database.url.as_deref().is_some_and(holds_password) {
        refused.push(
            "database.url holds a password: put the whole URL into a file of mode 0600 and name it in database.url_file"
                .into(),
        );
    }
    for (key, number) in [
        ("database.max_connections", u64::from(database.max_connections)),
        ("database.statement_timeout_secs", u64::from(database.statement_timeout_secs)),
        ("database.acquire_timeout_secs", database.acquire_timeout_secs),
        ("queue.heartbeat_secs", settings.queue.heartbeat_secs),
        ("queue.poll_secs", settings.queue.poll_secs),
        ("queue.most_attempts", settings.queue.most_attempts.into()),
        ("queue.most_crashes", settings.queue.most_crashes.into()),
        ("queue.retry_base_secs", settings.queue.retry_base_secs),
    ] {
        if number == 0 {
            refused.push(format!("{key} must be at least 1"));
        }
    }
    check_terms(settings, refused);
    if let Some(reason) = settings.suppression.refused() {
        refused.push(reason);
    }
    check_log(settings, refused);
    let queue = &settings.queue;
    if queue.request_workers == 0 {
        refused
            .push("queue.request_workers must be at least 1: nobody would work on people's requests".into());
    }
    if queue.lease_secs < queue.heartbeat_secs.saturating_mul(3) {
        refused.push(
            "queue.lease_secs must be at least three times queue.heartbeat_secs, or one late heartbeat costs a lease"
                .into(),
        );
    }
    if !(1..=86_400).contains(&queue.second_look_secs) {
        refused.push(
            "queue.second_look_secs must be from 1 to 86400: two looks at the same moment prove no more than one, and a \
             person waits for the answer"
                .into(),
        );
    }
    if let Err(error) = settings.delivery.check() {
        refused.push(format!("delivery: {error}"));
    }
    if settings.delivery.package_dir.as_ref().is_some_and(|dir| *dir != settings.report.directory) {
        refused.push("report.directory and delivery.package_dir differ: set only one of them".into());
    }
    if let Some(address) = settings.http.listen
        && !address.ip().is_loopback()
        && settings.delivery.link_base_url.starts_with("http://")
    {
        refused.push(
            "http.listen is not a loopback address although delivery.link_base_url is plain http: links are secrets and \
             need TLS in front"
                .into(),
        );
    }
    for (key, number) in [
        ("http.header_timeout_secs", settings.http.header_timeout_secs),
        ("http.max_connections", settings.http.max_connections),
    ] {
        if number == 0 {
            refused.push(format!("{key} must be at least 1"));
        }
    }
    if queue.retry_cap_secs < queue.retry_base_secs {
        refused.push("queue.retry_cap_secs must not be below queue.retry_base_secs".into());
    }
}

/// For how long the service keeps its own copies.
fn check_terms(settings: &Settings, refused: &mut Vec<String>) {
    if let Some(reason) = settings.upkeep.refused() {
        refused.push(reason.to_owned());
    }
    if settings.ledger.keep_days < settings.upkeep.contact_ids_days {
        refused.push(
            "ledger.keep_days must not be less than upkeep.contact_ids_days: both are the age of your oldest backup, and 30 days"
                .into(),
        );
    }
    let contacts_go = settings.upkeep.contact_ids_days;
    let evidence_goes = settings.upkeep.evidence_months;
    for organisation in &settings.organisations {
        let newest = organisation.regime.versions().last();
        if let Some(least) = newest.and_then(|version| version.record_months)
            && evidence_goes < least
        {
            refused.push(format!(
                "upkeep.evidence_months must be at least {least}: organisation {} answers by the law of {}, which asks for \
                 records that long (R-74)",
                organisation.id, organisation.regime
            ));
        }
        // Without the contact's id nothing could follow.
        if organisation.erasure.consent_follow_up_days.is_some_and(|days| days >= contacts_go) {
            refused.push(format!(
                "erasure.consent_follow_up_days of organisation {} must be less than upkeep.contact_ids_days, which is {contacts_go}",
                organisation.id
            ));
        }
        // What a backup from before brings back can be deleted again as long as the contact's id is known.
        if organisation.erasure.backup_days.is_some_and(|days| days > contacts_go) {
            refused.push(format!(
                "erasure.backup_days of organisation {} must not be more than upkeep.contact_ids_days, which is {contacts_go}: \
                 both come from the age of your oldest backup",
                organisation.id
            ));
        }
    }
}

/// The audit log, and where its heads go.
fn check_log(settings: &Settings, refused: &mut Vec<String>) {
    let audit = &settings.audit;
    if !(0.01..=60.0).contains(&audit.seal_secs) {
        refused.push("audit.seal_secs must be between 0.01 and 60".into());
    }
    if audit.merge_delay_secs == 0 || !(1..=300).contains(&audit.account_secs) {
        refused.push("audit.merge_delay_secs must be at least 1, audit.account_secs 1 to 300".into());
    }
    if audit.checkpoint_secs == 0 || audit.heartbeat_secs < 10 {
        refused.push("audit.checkpoint_secs must be at least 1, audit.heartbeat_secs at least 10".into());
    }
    let is_plain = |each: char| each.is_ascii_alphanumeric() || "._:/-".contains(each);
    if audit.origin.len() > 200 || !audit.origin.chars().all(is_plain) {
        refused.push("audit.origin must be at most 200 characters of a-z, A-Z, 0-9 and . _ : / -".into());
    }
    let publish = &settings.publish;
    if publish.timestamp_url.is_empty() != publish.timestamp_certificate_file.as_os_str().is_empty() {
        refused.push("publish.timestamp_url and publish.timestamp_certificate_file belong together".into());
    }
    if cfg!(not(feature = "timestamps")) && !publish.timestamp_url.is_empty() {
        refused.push(
            "publish.timestamp_url is set, but this program was built without time-stamps: leave it empty, or install one that \
             was built with the feature `timestamps`"
                .into(),
        );
    }
    if publish.timestamp_every_secs == 0 {
        refused.push("publish.timestamp_every_secs must be at least 1".into());
    }
    if publish.every_secs == 0 || publish.mail_every_secs == 0 || publish.bucket_every_secs == 0 {
        refused.push(
            "publish.every_secs, publish.mail_every_secs and publish.bucket_every_secs must be at least 1"
                .into(),
        );
    }
    if let Err(error) = publish.check() {
        refused.push(error.to_string());
    }
}

fn check_organisations(organisations: &[Organisation], refused: &mut Vec<String>) {
    if organisations.is_empty() {
        refused.push(
            "no organisation is configured: add a table [[organisations]] with id, name and contact".into(),
        );
    }
    let mut ids = BTreeSet::new();
    let mut platform_ids = BTreeSet::new();
    for (index, organisation) in organisations.iter().enumerate() {
        let key = format!("organisations[{index}]");
        if !ids.insert(&organisation.id) {
            refused.push(format!("{key}.id is the id of another organisation too: every id must be unique"));
        }
        if !platform_ids.insert(organisation.platform.organisation_id.as_str()) {
            refused.push(format!(
                "{key}.platform.organisation_id is that of another organisation too: one contact must have one controller"
            ));
        }
        check_retention(&key, organisation, refused);
        if let Some(problem) = organisation.holds.refused() {
            refused.push(format!("{key}.{problem}"));
        }
        let register = Recipient::refused(&organisation.recipients, organisation.regime);
        refused.extend(register.into_iter().map(|problem| format!("{key}.{problem}")));
        if !organisation.recipients.is_empty() && organisation.catalogue.is_none() {
            refused.push(format!(
                "{key}.recipients needs {key}.catalogue: without it an access report cannot name them (Art. 15(1)(c) GDPR)"
            ));
        }
        let counts_activity = organisation.retention.activity().is_some();
        let catalogue = organisation.catalogue.as_ref();
        // To everybody: one that holds data no more is not named to who came later.
        let names_recipients = |section| {
            let register = organisation.recipients.iter();
            register.filter(|each| each.until.is_none()).any(|each| each.categories.contains(&section))
        };
        if let Some(problem) =
            catalogue.and_then(|catalogue| catalogue.refused(counts_activity, names_recipients))
        {
            refused.push(format!("{key}.{problem}"));
        }
        if let Some(reason) = organisation.identity.refused() {
            refused.push(format!("{key}.{reason}"));
        }
        if let Some(texts) = &organisation.identity.text_messages
            && let Err(problem) = webhook::check_url(&texts.url)
        {
            refused.push(format!("{key}.identity.text_messages.url {problem}"));
        }
        if let Some(problem) = organisation.redaction.refused() {
            refused.push(format!("{key}.{problem}"));
        }
        let country = organisation.default_country.as_deref();
        if let Err(error) = organisation.self_test.plan(organisation.time_zone, country) {
            refused.push(format!("{key}.{}", with_sources(&error)));
        }
        if let Some(problem) = organisation.escalation.refused() {
            refused.push(format!("{key}.escalation.{problem}"));
        }
        for (name, text) in [("name", &organisation.name), ("contact", &organisation.contact)] {
            if text.trim().is_empty() || text.chars().any(char::is_control) {
                refused.push(format!("{key}.{name} must be one line of text; people read it in notices"));
            }
        }
        if let Some(country) = &organisation.default_country
            && country.parse::<phonenumber::country::Id>().is_err()
        {
            refused.push(format!(
                "{key}.default_country must be an ISO 3166 code of two capital letters, for example IT"
            ));
        }
        let language = &organisation.language;
        if !(2..=3).contains(&language.len()) || !language.chars().all(|each| each.is_ascii_lowercase()) {
            refused.push(format!(
                "{key}.language must be an ISO 639 code of two or three letters, for example en"
            ));
        }
    }
}

/// A rule that is switched on must be whole; one that is not may be unfinished.
fn check_retention(key: &str, organisation: &Organisation, refused: &mut Vec<String>) {
    if organisation.retention.enabled
        && let Err(error) = organisation.retention.rule()
    {
        refused.push(format!("{key}.{}", with_sources(&error)));
    }
}

/// An error in one line, with what led to it.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// Whether a connection URL holds a password, written properly or not.
pub(super) fn holds_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    // Up to the last @, because a password that was not percent-encoded may hold an @ or a slash itself.
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    login.contains(':') || rest.contains("password=")
}
