//! P-5 and P-6: a million events, a million contacts. The candidate runs in a child process of this program, so that
//! its peak of memory is its own; the bound is `curl | wc -c` of the same bytes.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use dsrd::domain::{Clock as _, ContactId, Reference, RequestId, SystemClock};
use dsrd::platform::{RawRecord, Source, Urgency};
use dsrd::report::{Language, Others, Own, Package, RedactionRules, ReportHeader, Section, Spool};
use dsrd::{report, retention};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::measure::{Figures, Stopwatch, peak_mib};
use crate::naked::Caller;
use crate::outcome::Line;
use crate::rig;
use crate::simulated::{Access, Simulated};
use crate::{Plan, say};

const PAGE: usize = 10_000;

/// What a child found.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Found {
    /// Until the last record was spooled, or the listing was complete.
    read_secs: f64,
    /// Until the package was sealed.
    sealed_secs: f64,
    cpu_secs: f64,
    peak_mib: f64,
    records: u64,
    bytes: u64,
}

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    access: Access,
    contact: String,
    package: bool,
}

async fn in_child(work: &str, task: &Task) -> Result<Found> {
    let output = Command::new(std::env::current_exe()?)
        .args(["child", work, &serde_json::to_string(task)?])
        .stderr(std::process::Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        bail!("the child that does {work} failed");
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs a shell pipeline with `curl` and returns its seconds and the number that it prints.
async fn piped(curl_config: &Path) -> Result<(f64, u64)> {
    let started = Instant::now();
    let output = Command::new("sh")
        .args(["-c", "curl --silent --show-error --fail --config \"$0\" | wc -c"])
        .arg(curl_config)
        .stderr(std::process::Stdio::inherit())
        .output()
        .await?;
    let secs = started.elapsed().as_secs_f64();
    let bytes = String::from_utf8_lossy(&output.stdout).trim().parse().context("wc printed no number")?;
    Ok((secs, bytes))
}

// ---- P-5 -----------------------------------------------------------------------------------------------------------

/// P-5: an access report with a million events in one body.
pub(crate) async fn access_report(plan: Plan) -> Result<Vec<Line>> {
    let events: u64 = if plan.quick { 200_000 } else { 1_000_000 };
    let directory = tempfile::tempdir()?;
    let mut simulated = Simulated::start(1_000).await?;
    let caller = Caller::log_in(&simulated.access).await?;
    let small = simulated.person_with_events(10_000).await?;
    let task = |package: bool, contact: &str| Task {
        access: simulated.access.clone(),
        contact: contact.to_owned(),
        package,
    };
    let baseline = in_child("access", &task(true, &small.id)).await?;
    let contact = simulated.person_with_events(events).await?.id;
    let curl = directory.path().join("curl");
    std::fs::write(
        &curl,
        format!(
            "url = \"{}/v2/customers/{contact}/events\"\nheader = \"{}\"\n",
            simulated.access.base_url,
            caller.header()?
        ),
    )?;
    let (mut json, mut sealed, mut read, mut peak, mut peak_read, mut cpu) =
        <(Figures, Figures, Figures, Figures, Figures, Figures)>::default();
    let task = |package: bool| Task { access: simulated.access.clone(), contact: contact.clone(), package };
    for pair in 0..plan.pairs {
        let (bound, bytes) = piped(&curl).await?;
        let whole = in_child("access", &task(true)).await?;
        let only_read = in_child("access", &task(false)).await?;
        let (again, _) = piped(&curl).await?;
        let bound = f64::midpoint(bound, again);
        anyhow::ensure!(whole.records > events, "events are missing");
        say(&format!(
            "P-5 pair {}: curl {bound:.2} s for {} MB; split {:.2} s, spooled {:.2} s, sealed {:.2} s ({} MB), CPU {:.2} s, peak {:.1} MiB",
            pair + 1,
            bytes / 1_000_000,
            only_read.read_secs,
            whole.read_secs,
            whole.sealed_secs,
            whole.bytes / 1_000_000,
            whole.cpu_secs,
            whole.peak_mib,
        ));
        read.push(bound / only_read.read_secs);
        json.push(bound / whole.read_secs);
        sealed.push(bound / whole.sealed_secs);
        peak.push(whole.peak_mib);
        peak_read.push(whole.peak_mib - baseline.peak_mib);
        #[expect(clippy::cast_precision_loss, reason = "a million")]
        cpu.push(whole.cpu_secs / events as f64 * 1e6);
    }
    simulated.end().await?;
    Ok(vec![
        Line::ratio("P-5", format!("{events} events, read and split only, to curl | wc -c"), read),
        Line::ratio("P-5", "the same, spooled (encrypted)", json).judged(0.40, 0.20),
        Line::ratio("P-5", "the same, sealed package", sealed).judged(0.10, 0.05),
        Line::amount("P-5", "CPU, sealed package", "µs/event", cpu),
        Line::amount("P-5", "peak memory", "MiB", peak).judged(48.0, 96.0),
        Line::amount("P-5", "peak memory above the run with 10,000 events", "MiB", peak_read)
            .judged(16.0, f64::INFINITY),
    ])
}

/// The child's side: what step `collect` does, with its own channel and thread.
pub(crate) async fn access_child(task: &str) -> Result<()> {
    let task: Task = serde_json::from_str(task)?;
    let directory = tempfile::tempdir()?;
    let platform = rig::connect(&task.access, directory.path(), 4, 500)?;
    let contact: ContactId = task.contact.parse().map_err(|_| anyhow::anyhow!("no contact id"))?;
    let packages = directory.path().join("packages");
    report::prepare_directory(&packages)?;
    let settings: report::Settings =
        rig::defaults("report", &[("directory", packages.display().to_string().into())])?;
    let watch = Stopwatch::start()?;
    let (pieces, mut received) = tokio::sync::mpsc::channel::<(Section, Vec<RawRecord>)>(4);
    let package = task.package;
    let writer = tokio::task::spawn_blocking(move || -> Result<(f64, u64, u64)> {
        let started = Instant::now();
        // As for a request: what belongs to other people is looked for in every record.
        let others = Others::new(RedactionRules::strict(), Own::new(Some("IT")), Language::English);
        let mut spool = Spool::new(&settings.directory, &settings).withholding(others);
        let mut records = 0;
        while let Some((section, batch)) = received.blocking_recv() {
            for record in &batch {
                if package {
                    spool.push(section, record.expose())?;
                }
            }
            records += batch.len() as u64;
        }
        let read = started.elapsed().as_secs_f64();
        if !package {
            return Ok((read, records, 0));
        }
        let made = Package::write(&header()?, spool, &settings)?;
        Ok((read, records, made.manifest.bytes))
    });
    let profile = platform.find_contact(&contact, Urgency::Request).await?.context("no such contact")?;
    pieces.send((Section::Profile, vec![profile.raw])).await?;
    for (source, section) in [
        (Source::Events, Section::Events),
        (Source::Devices, Section::Devices),
        (Source::Accountings, Section::Accountings),
    ] {
        let mut records = platform
            .records(&contact, source, dsrd::platform::Urgency::Request)
            .await?
            .context("no such contact")?;
        while let Some(batch) = records.try_next().await? {
            pieces.send((section, batch.records)).await?;
        }
    }
    drop(pieces);
    let (read_secs, records, bytes) = writer.await??;
    let (sealed_secs, cpu_secs) = watch.stop()?;
    let found = Found { read_secs, sealed_secs, cpu_secs, peak_mib: peak_mib()?, records, bytes };
    crate::print_line(&serde_json::to_string(&found)?);
    Ok(())
}

fn header() -> Result<ReportHeader> {
    let controller = rig::controller()?;
    let now = SystemClock.now();
    Ok(ReportHeader {
        reference: Reference::of(RequestId(uuid::Uuid::now_v7())),
        organisation_name: controller.name,
        controller_contact: controller.contact,
        received_at: now,
        generated_at: now,
        time_zone: chrono_tz::UTC,
        regime: controller.regime,
        identifiers: Vec::new(),
        language: Language::English,
        form: dsrd::report::Form::Access,
        catalogue: None,
        storage: std::collections::BTreeMap::new(),
    })
}

// ---- P-6 -----------------------------------------------------------------------------------------------------------

/// P-6: what a sweep would do with a million contacts.
pub(crate) async fn retention_preview(plan: Plan) -> Result<Vec<Line>> {
    let contacts: u32 = if plan.quick { 200_000 } else { 1_000_000 };
    let directory = tempfile::tempdir()?;
    let simulated = Simulated::start(contacts).await?;
    let caller = Caller::log_in(&simulated.access).await?;
    let task = Task { access: simulated.access.clone(), contact: String::new(), package: false };
    let (mut ratio, mut peak, mut cpu) = <(Figures, Figures, Figures)>::default();
    for pair in 0..plan.pairs {
        let first = list_with_curl(&simulated.access, &caller, contacts, directory.path()).await?;
        let found = in_child("preview", &task).await?;
        let second = list_with_curl(&simulated.access, &caller, contacts, directory.path()).await?;
        let bound = f64::midpoint(first.0, second.0);
        anyhow::ensure!(found.records == u64::from(contacts), "the preview saw {} contacts", found.records);
        say(&format!(
            "P-6 pair {}: curl {bound:.2} s for {} MB, preview {:.2} s, CPU {:.2} s, peak {:.1} MiB",
            pair + 1,
            first.1 / 1_000_000,
            found.read_secs,
            found.cpu_secs,
            found.peak_mib,
        ));
        ratio.push(bound / found.read_secs);
        peak.push(found.peak_mib);
        cpu.push(found.cpu_secs / f64::from(contacts) * 1e6);
    }
    simulated.end().await?;
    Ok(vec![
        Line::ratio("P-6", format!("preview of {contacts} contacts by {PAGE}, to curl | wc -c"), ratio)
            .judged(0.50, 0.25),
        Line::amount("P-6", "CPU", "µs/contact", cpu),
        Line::amount("P-6", "peak memory", "MiB", peak).judged(64.0, 128.0),
    ])
}

/// The same pages with the same queries by curl: the first to learn the id of the list, the others by one process over
/// one connection.
async fn list_with_curl(
    access: &Access,
    caller: &Caller,
    contacts: u32,
    directory: &Path,
) -> Result<(f64, u64)> {
    let url = format!(
        "{}/v2/customers/organizations/{}?createdTo=2999-01-01T00:00:00Z&size={PAGE}&sortBy=created_absolute&sortReverse=false",
        access.base_url, access.organisation_id
    );
    let (config, page) = (directory.join("curl"), directory.join("page"));
    let header = caller.header()?;
    std::fs::write(
        &config,
        format!("url = \"{url}\"\nheader = \"{header}\"\noutput = \"{}\"\n", page.display()),
    )?;
    let (first_secs, _) = piped(&config).await?;
    let text = std::fs::read_to_string(&page)?;
    let sid = text.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split_once('"')).context("no id")?.0;
    let sid = sid.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let mut lines = format!("header = \"{header}\"\n");
    for _ in 0..contacts as usize / PAGE {
        use std::fmt::Write as _;
        writeln!(lines, "url = \"{url}&sid={sid}\"")?;
    }
    std::fs::write(&config, lines)?;
    let (secs, bytes) = piped(&config).await?;
    Ok((first_secs + secs, bytes + text.len() as u64))
}

/// The child's side.
pub(crate) async fn preview_child(task: &str) -> Result<()> {
    let task: Task = serde_json::from_str(task)?;
    let directory = tempfile::tempdir()?;
    let platform = rig::connect(&task.access, directory.path(), 4, u32::try_from(PAGE)?)?;
    let settings: retention::Settings = rig::defaults(
        "organisation_defaults.retention",
        &[("keep_months", 24.into()), ("most_percent", 50.into()), ("most_contacts", 10_000_000.into())],
    )?;
    let rule = settings.rule()?;
    let watch = Stopwatch::start()?;
    let preview =
        retention::preview(&*platform, &rig::controller()?, &rule, SystemClock.now(), None, |_| ()).await?;
    let (read_secs, cpu_secs) = watch.stop()?;
    let found = Found {
        read_secs,
        sealed_secs: read_secs,
        cpu_secs,
        peak_mib: peak_mib()?,
        records: preview.contacts,
        bytes: 0,
    };
    crate::print_line(&serde_json::to_string(&found)?);
    Ok(())
}
