//! Step `collect`: what the platform holds about the contact, in one encrypted package: everything for access (Art. 15
//! GDPR), and for portability (Art. 20) what rests on consent or contract.
//!
//! Records stream from the platform through a short channel into the spool of [`report`](crate::report), which writes
//! on a blocking thread; memory does not grow with their number. A source that fails midway fails the step: a package
//! with a silent gap is never made. What the platform says twice it does not have, although the contact exists, is
//! marked in the package as not complete: one answer may come from a copy that lags behind (F-39). Profile, events, devices and
//! accountings are each looked for twice. What belongs to other people is withheld on the way.

mod ages;

use std::collections::BTreeMap;

use ages::Ages;
use chrono::{DateTime, Days, Utc};
use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Step;
use super::absence::Look;
use super::engine::Run;
use super::locate::still_carries;
use super::outcome::{LookedFor, PackageMade};
use super::reminder::is_address_in_profile;
use super::sql::{self, Marks};
use super::stop::Stop;
use super::write::Finished;
use super::{PackageRules, inform};
use crate::audit::{self, Action, Detail};
use crate::delivery::{NewPackage, PackageId};
use crate::domain::{
    ContactId, DataCategory, Handling, ParkReason, Personal, Reference, RequestId, SubjectIdentifier, random,
};
use crate::intake::IdentifierRole;
use crate::platform::{Contact, PlatformError, RawRecord, Source, Urgency};
use crate::report::{
    Form, Language, LookUp, MaskedIdentifier, Others, Own, Package, ReportError, ReportHeader, Section,
    SectionCount, Spool, prepare_directory, provided,
};
use crate::{recipients, suppression};

/// What flows to the thread that writes the spool.
enum Piece {
    Records(Section, Vec<RawRecord>),
    /// Something that this service itself holds, with the closing of the request to which it belongs.
    Own(String, Option<DateTime<Utc>>),
    /// Every source was read to its end.
    End,
    Incomplete(Section),
    Unreadable(Section, u64),
}

/// So many batches may wait to be written; the platform waits when they are not.
const BATCHES_IN_FLIGHT: usize = 4;

/// Makes sure that it is known what belongs into the package: what a person may take along follows from the legal bases that
/// their controller configured, and an empty package by accident would be no answer.
pub(super) fn check_form(run: &Run<'_>) -> Result<(), Stop> {
    match form(run) {
        Form::Portability(bases) if bases.is_empty() => Err(Stop::NeedsPerson(ParkReason::NothingPortable)),
        _ => Ok(()),
    }
}

fn form(run: &Run<'_>) -> Form {
    if run.case.kind.handling() != Handling::Portability {
        return Form::Access;
    }
    let all = &run.site.controller.erasure.legal_bases;
    let mut bases = BTreeMap::new();
    for category in all.portable() {
        let own = all.of(category);
        bases.insert(section_of_category(category), own.to_vec());
        if category == DataCategory::Profile {
            // They stand in the profile.
            bases.insert(Section::Consents, own.to_vec());
        }
    }
    Form::Portability(bases)
}

pub(super) async fn collect(run: &mut Run<'_>) -> Result<(), Stop> {
    let contact = run.contact()?;
    let profile = run.site.platform.find_contact(&contact, Urgency::Request).await;
    let profile = profile.map_err(|error| run.platform_failed(&error))?;
    if let Some(found) = &profile {
        run.forget_absence(look_for(Section::Profile)).await?;
        // Between finding the contact and reading it, weeks may lie: a link to the address that it had then, or the data of
        // whoever it is now, would be a disclosure (F-42).
        if !is_still_theirs(run, found) {
            return Err(Stop::NeedsPerson(ParkReason::ChosenContactChanged));
        }
    } else {
        run.prove_absence(look_for(Section::Profile)).await?;
    }
    let header = header(run);
    let form = header.form.clone();
    let others = others(run, profile.as_ref(), header.language);
    let ages = Ages::look(run, &header, &contact, profile.as_ref()).await?;
    let rules = run.executor.packages.clone();
    let (pieces, received) = mpsc::channel(BATCHES_IN_FLIGHT);
    let prefix = run.lease.file_prefix();
    let writer = tokio::task::spawn_blocking(move || write(header, others, ages, received, &rules, &prefix));
    let fetched = fetch(run, &contact, profile, &form, &pieces).await;
    drop(pieces);
    let written = writer.await.map_err(|_| Stop::NeedsPerson(ParkReason::Poison))?;
    // A writer that failed is the cause; the reader merely found the channel closed.
    let package = match (fetched, written) {
        (_, Err(error)) => return Err(report_failed(run, &error)),
        (Err(Some(stop)), _) => return Err(stop),
        (Err(None) | Ok(()), Ok(None)) => return Err(Stop::NeedsPerson(ParkReason::Poison)),
        (Err(None) | Ok(()), Ok(Some(package))) => package,
    };
    run.executor.kill.reached(Step::Collect.as_str(), "file_written")?;
    keep_looks(run);
    keep_package(run, package)?;
    run.write_now(Step::Collect).await
}

/// What is looked for in a section. What a request that an earlier program began has of the step as a whole does not say what that
/// look had not found: it is not read.
const fn look_for(section: Section) -> Look {
    Look { step: Step::Collect, item: section.as_str() }
}

/// Reads everything. `Err(None)` when the writer stopped listening.
async fn fetch(
    run: &mut Run<'_>,
    contact: &ContactId,
    profile: Option<Contact>,
    form: &Form,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), Option<Stop>> {
    let failed = |run: &Run<'_>, error: &PlatformError| Some(run.platform_failed(error));
    let site = run.site;
    let piece = match profile {
        Some(profile) => Piece::Records(Section::Profile, vec![profile.raw]),
        // It was there when it was located: what vanished since is said, not hidden.
        None => Piece::Incomplete(Section::Profile),
    };
    if form.holds(Section::Profile) {
        pieces.send(piece).await.map_err(|_| None)?;
    }
    for source in Source::ALL {
        let section = section_of(source);
        if !form.holds(section) {
            continue;
        }
        let records = site.platform.records(contact, source, Urgency::Request).await;
        let Some(mut records) = records.map_err(|error| failed(run, &error))? else {
            run.prove_absence(look_for(section)).await.map_err(Some)?;
            pieces.send(Piece::Incomplete(section)).await.map_err(|_| None)?;
            continue;
        };
        run.forget_absence(look_for(section)).await.map_err(Some)?;
        while let Some(batch) = records.try_next().await.map_err(|error| failed(run, &error))? {
            if batch.unreadable > 0 {
                pieces.send(Piece::Unreadable(section, batch.unreadable)).await.map_err(|_| None)?;
            }
            pieces.send(Piece::Records(section, batch.records)).await.map_err(|_| None)?;
        }
    }
    if form.holds(Section::Requests) {
        send_own(run, pieces).await?;
    }
    pieces.send(Piece::End).await.map_err(|_| None)
}

/// What this service itself holds about the person.
async fn send_own(run: &Run<'_>, pieces: &mpsc::Sender<Piece>) -> Result<(), Option<Stop>> {
    let own = own_records(run).await.map_err(Some)?;
    if own.more {
        pieces.send(Piece::Incomplete(Section::Requests)).await.map_err(|_| None)?;
    }
    for (record, closed_at) in own.records {
        pieces.send(Piece::Own(record, closed_at)).await.map_err(|_| None)?;
    }
    pieces.send(Piece::Own(own_record(run), None)).await.map_err(|_| None)
}

/// What this service itself holds about the person beside the request.
#[derive(Default)]
struct OwnRecords {
    /// Each with the closing of the request to which it belongs, where that is closed and no hold keeps its record.
    records: Vec<(String, Option<DateTime<Utc>>)>,
    /// There were more requests, or looks of staff, than are listed.
    more: bool,
}

/// What this service itself holds about the person beside the request: their other requests, that they are on the
/// suppression list, and when staff looked at any of their requests. Found by the address in their profile; a number that a
/// household shares is no ground for showing somebody the requests of another.
async fn own_records(run: &Run<'_>) -> Result<OwnRecords, Stop> {
    let organisation = &run.lease.organisation;
    let keys = &run.executor.desk.keys;
    let mut connection = run.executor.store.connection().await?;
    let (mut earlier, suppressed) = match address_in_profile(run) {
        Some(address) => {
            let reference = address.reference(keys, organisation);
            let most = i64::from(MOST_EARLIER) + 1;
            let earlier = sql::list_earlier(&mut connection, run.lease, reference, most).await?;
            let suppressed = suppression::contains(&mut connection, keys, organisation, &[address]).await?;
            (earlier, suppressed)
        }
        None => (Vec::new(), Vec::new()),
    };
    let more_earlier = earlier.len() > usize::from(MOST_EARLIER);
    earlier.truncate(MOST_EARLIER.into());
    // The newest are listed, in the order of their time.
    earlier.reverse();
    let mut cases = vec![run.lease.request];
    cases.extend(earlier.iter().map(|earlier| RequestId(earlier.request)));
    let looks = audit::list_by_staff(
        &mut connection,
        organisation,
        &cases,
        &LOOKS.map(|(action, _)| action),
        i64::from(MOST_LOOKS) + 1,
    )
    .await?;
    drop(connection);
    let more = more_earlier || looks.len() > usize::from(MOST_LOOKS);
    let mut own = OwnRecords { records: Vec::new(), more };
    let closed: BTreeMap<Uuid, DateTime<Utc>> = earlier
        .iter()
        .filter(|earlier| !earlier.is_kept)
        .filter_map(|earlier| Some((earlier.request, earlier.closed_at?)))
        .collect();
    own.records.extend(earlier.into_iter().map(|earlier| {
        let record = serde_json::json!({
            "reference": earlier.reference,
            "kind": earlier.kind,
            "received_at": earlier.received_at,
            "due_on": earlier.due_on,
            "language": earlier.language,
            "channel": earlier.channel,
            "closed_at": earlier.closed_at,
            "outcome": earlier.outcome,
        });
        (record.to_string(), closed.get(&earlier.request).copied())
    }));
    own.records.extend(suppressed.into_iter().map(|entry| {
        let record = serde_json::json!({
            "suppression_list": entry.purpose.as_str(),
            "identifier": entry.kind,
            "source": entry.source.as_str(),
            "law": entry.jurisdiction,
            "since": entry.since,
        });
        // It stays as long as the will that it keeps.
        (record.to_string(), None)
    }));
    let language = language(run);
    own.records.extend(looks.iter().filter_map(|look| {
        let (_, known) = LOOKS.iter().find(|(action, _)| action.as_str() == look.action)?;
        let record = serde_json::json!({
            "reference": Reference::of(RequestId(look.case)),
            "looked_up_at": look.at,
            "look_up": known.as_str(),
            "purpose": known.purpose(language),
        });
        Some((record.to_string(), closed.get(&look.case).copied()))
    }));
    Ok(own)
}

/// What of the log is a look of staff at a request. Who it was stays out: the person learns when and what for.
const LOOKS: [(Action, LookUp); 7] = [
    (Action::RequestRead, LookUp::Case),
    (Action::PackageOpened, LookUp::Package),
    (Action::CandidatesShown, LookUp::Candidates),
    (Action::LogRead, LookUp::Log),
    (Action::LogExported, LookUp::Log),
    (Action::LogProved, LookUp::Log),
    (Action::EvidenceTaken, LookUp::Evidence),
];

/// So many other requests are listed, the newest; the report says when there were more.
const MOST_EARLIER: u16 = 1_000;

/// So many looks are listed; the report says when there were more.
const MOST_LOOKS: u16 = 10_000;

/// The address in the profile of the contact found. Where the profile has none, a telephone number is its contact point, and
/// that proves nothing of who asked.
fn address_in_profile(run: &Run<'_>) -> Option<SubjectIdentifier> {
    let written = run.identifiers.iter().map(|each| (each.role, &each.identifier));
    // Found a moment ago, and not written yet.
    let found = run.unsaved.iter().flat_map(|finished| &finished.identifiers);
    let mut known = written.chain(found.map(|(role, identifier)| (*role, identifier)));
    known.find(|(role, identifier)| is_address_in_profile(*role, identifier)).map(|(_, found)| found.clone())
}

/// Whether a contact is still the one that was located: it carries what the request gave, and the address to which its package
/// goes is still the one in its profile.
fn is_still_theirs(run: &Run<'_>, found: &Contact) -> bool {
    let country = run.site.controller.default_country.as_deref();
    let holds = |address: &SubjectIdentifier| {
        found.email.as_ref().is_some_and(|email| address.matches(email.expose(), country))
    };
    still_carries(run, found) && address_in_profile(run).is_none_or(|address| holds(&address))
}

/// What this service itself holds about the person: the request.
fn own_record(run: &Run<'_>) -> String {
    serde_json::json!({
        "reference": run.case.reference,
        "kind": run.case.kind,
        "received_at": run.case.received_at,
        "due_on": run.case.due_on,
        "language": run.case.language,
    })
    .to_string()
}

/// `None` when the reader gave up before the end, so that there is nothing whole to write.
fn write(
    mut header: ReportHeader,
    others: Others,
    mut ages: Ages,
    mut received: mpsc::Receiver<Piece>,
    rules: &PackageRules,
    prefix: &str,
) -> Result<Option<Package>, ReportError> {
    prepare_directory(&rules.report.directory)?;
    let mut spool = Spool::new(&rules.report.directory, &rules.report).withholding(others);
    let mut whole = false;
    while let Some(piece) = received.blocking_recv() {
        match piece {
            Piece::Records(section, records) => {
                for record in records {
                    ages.note(section, &record);
                    match (&header.form, section) {
                        (Form::Portability(_), Section::Profile) => {
                            spool.push(section, &provided(record.expose()))?;
                        }
                        _ => spool.push(section, record.expose())?,
                    }
                }
            }
            Piece::Unreadable(section, records) => {
                ages.miss(section, records);
                spool.note_unreadable(section, records);
            }
            Piece::Incomplete(section) => {
                ages.miss(section, 0);
                spool.mark_incomplete(section);
            }
            Piece::Own(record, closed_at) => {
                ages.note_own(closed_at);
                spool.push(Section::Requests, &record)?;
            }
            Piece::End => whole = true,
        }
    }
    header.storage = ages.ends();
    whole.then(|| Package::write_for(&header, spool, &rules.report, prefix)).transpose()
}

/// What belongs to other people: all addresses and numbers but those of the person, of their request and of the
/// controller.
fn others(run: &Run<'_>, profile: Option<&Contact>, language: Language) -> Others {
    let controller = &run.site.controller;
    let mut own = Own::new(controller.default_country.as_deref());
    for each in &run.identifiers {
        own.add(&each.identifier);
    }
    // Found a moment ago, and not written yet.
    for (_, identifier) in run.unsaved.iter().flat_map(|finished| &finished.identifiers) {
        own.add(identifier);
    }
    if let Some(profile) = profile {
        for identifier in &profile.identifiers {
            own.add(identifier);
        }
        for (_, held) in &profile.held {
            own.add_text(held.expose());
        }
        own.add_values_of(profile.raw.expose());
    }
    own.add_all_in(&controller.contact);
    for address in run.executor.mailer.own_addresses() {
        own.add_text(address);
    }
    Others::new(run.site.redaction.clone(), own, language)
}

fn header(run: &Run<'_>) -> ReportHeader {
    let controller = &run.site.controller;
    let today = controller.local_date(run.executor.desk.clock.now());
    let created_on = run.located().ok().and_then(|located| located.created_on);
    let name_recipients = |catalogue| recipients::name_in(catalogue, &run.site.recipients, created_on, today);
    let form = form(run);
    ReportHeader {
        reference: run.case.reference.clone(),
        organisation_name: controller.name.clone(),
        controller_contact: controller.contact.clone(),
        received_at: run.case.received_at,
        generated_at: run.executor.desk.clock.now(),
        time_zone: controller.time_zone,
        regime: controller.regime,
        identifiers: run
            .identifiers
            .iter()
            .filter(|each| each.role == IdentifierRole::Given)
            .map(|each| MaskedIdentifier::of(&each.identifier))
            .collect(),
        language: language(run),
        // Beside what a person takes along nothing has to be said of purposes and recipients.
        catalogue: match form {
            Form::Access => run.site.catalogue.clone().map(name_recipients),
            Form::Portability(_) => None,
        },
        // Known once every record was seen.
        storage: BTreeMap::new(),
        form,
    }
}

/// As of notices: the language of the request or of the profile, else the controller's, else English.
fn language(run: &Run<'_>) -> Language {
    Language::for_tag(&run.language())
        .or_else(|| Language::for_tag(&run.site.controller.language))
        .unwrap_or_default()
}

/// The looks for what was not found at first are over.
fn keep_looks(run: &mut Run<'_>) {
    let of_step = run.checkpoints.values().filter(|each| each.step == Step::Collect.as_str());
    let looks = of_step.filter(|each| !each.item.is_empty() && each.outcome.is_none());
    let over: Vec<_> = looks.map(|each| (each.item.clone(), each.absent_since.is_some())).collect();
    for (item, absent) in over {
        let finished = run.finished(Step::Collect, &LookedFor { absent });
        run.keep(Finished { item, ..finished });
    }
}

fn keep_package(run: &mut Run<'_>, package: Package) -> Result<(), Stop> {
    let now = run.executor.desk.clock.now();
    let expires_at = now + Days::new(u64::from(run.executor.packages.keep_days));
    let manifest = package.manifest;
    let incomplete = manifest.sections.values().any(SectionCount::has_gaps);
    let id = Uuid::now_v7();
    let token = Personal::new(random::token());
    let mut sha256 = [0_u8; 32];
    hex::decode_to_slice(&manifest.sha256, &mut sha256).map_err(|_| Stop::NeedsPerson(ParkReason::Poison))?;

    let mut finished =
        run.finished(Step::Collect, &PackageMade { package: id, manifest: manifest.clone(), incomplete });
    finished.marks = Marks { executed_at: Some(now), verified_at: Some(now), ..Marks::default() };
    let mut detail = Detail::none()
        .word("package", &id.to_string())
        .word("sha256", &manifest.sha256)
        .count("bytes", manifest.bytes)
        .flag("incomplete", incomplete)
        .count("withheld", manifest.sections.values().map(|count| count.withheld).sum());
    for (section, count) in &manifest.sections {
        detail = detail.count(section.as_str(), count.records);
    }
    finished.events.push(run.event(Action::PackageBuilt).with(detail));
    finished.package = Some(NewPackage {
        organisation: run.case.organisation.clone(),
        request: run.case.request,
        package_id: PackageId(id),
        file_name: manifest.file_name.clone(),
        identity: Personal::new(package.key.expose().to_owned()),
        token: token.clone(),
        sha256,
        bytes: manifest.bytes,
        manifest: serde_json::to_value(&manifest).unwrap_or_default(),
        created_at: now,
        expires_at,
    });
    finished.notice = Some(inform::package_ready(run, expires_at, token, incomplete));
    run.keep(finished);
    Ok(())
}

fn report_failed(run: &Run<'_>, error: &ReportError) -> Stop {
    tracing::warn!(request = %run.case.request, %error, "a package could not be made");
    match error {
        ReportError::TooLarge { .. } => Stop::NeedsPerson(ParkReason::PackageTooLarge),
        // The disk, the directory or the catalogue: the operator mends it, and the request goes on by itself.
        _ => run.later("package_not_written"),
    }
}

const fn section_of_category(category: DataCategory) -> Section {
    match category {
        DataCategory::Profile => Section::Profile,
        DataCategory::Events => Section::Events,
        DataCategory::Devices => Section::Devices,
        DataCategory::Accountings => Section::Accountings,
    }
}

const fn section_of(source: Source) -> Section {
    match source {
        Source::Events => Section::Events,
        Source::Devices => Section::Devices,
        Source::Accountings => Section::Accountings,
    }
}

const fn source_of(section: Section) -> Option<Source> {
    match section {
        Section::Events => Some(Source::Events),
        Section::Devices => Some(Source::Devices),
        Section::Accountings => Some(Source::Accountings),
        Section::Profile | Section::Consents | Section::Requests => None,
    }
}
