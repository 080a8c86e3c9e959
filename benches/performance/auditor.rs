//! P-8 and P-14: what an auditor does with a long log: verifies it, looks a case up, takes everything out.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use dsrd::audit::export::{self, LineFormat, Selection};
use dsrd::audit::verify::{self, Database as LogDatabase, Directory, Plan as Checks, Source, Tiles, Verdict};
use dsrd::audit::{self, Search};
use dsrd::domain::RequestId;
use dsrd::store;
use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::log::{CASE, Log};
use crate::measure::Figures;
use crate::outcome::Line;
use crate::rig::{self, Database};
use crate::{Plan, say};

/// The columns that a verification reads.
const COLUMNS: &str =
    "seq, entry, leaf, uid, at, organisation_id, action, outcome, actor, case_id, intent, writer, wseq";

/// P-8: a verification of a million entries, from the database and from files.
pub(crate) async fn verification(plan: Plan, database: &mut Database) -> Result<Vec<Line>> {
    let entries = plan.entries(1_000_000, 50_000);
    let log = Log::create(database).await?;
    log.fill(entries).await?;
    let checks = log.plan().await?;
    let directory = tempfile::tempdir()?;
    let tiles = directory.path().join("tiles");
    let mut source = LogDatabase::open(&log.options, String::new()).await?;
    export::write_tiles(&mut source, &tiles).await?;
    source.close().await;

    let (mut to_copy, mut rate, mut to_chain, mut offline_rate) =
        <(Figures, Figures, Figures, Figures)>::default();
    let copied = format!("COPY (SELECT {COLUMNS} FROM audit.entry ORDER BY seq) TO STDOUT (FORMAT binary)");
    let content = everything(&log).await?;
    // Read once, so that neither bound nor candidate is the one that warms the caches.
    copy_out(&log, &copied).await?;
    for pair in 0..plan.pairs {
        let (bound, bytes) = copy_out(&log, &copied).await?;
        let mut source = LogDatabase::open(&log.options, String::new()).await?;
        let verified = timed(&mut source, &checks).await?;
        source.close().await;
        let chained = chain(&content);
        let offline = timed(&mut Tiles::of(Directory(tiles.clone())), &checks).await?;
        say(&format!(
            "P-8 pair {}: COPY of {} MB {bound:.2} s, verified {verified:.2} s; chained SHA-256 {chained:.2} s, verified from files {offline:.2} s",
            pair + 1,
            bytes / 1_000_000,
        ));
        to_copy.push(bound / verified);
        rate.push(precise(entries) / verified);
        to_chain.push(chained / offline);
        offline_rate.push(precise(entries) / offline);
    }
    let storage = storage(&log).await?;
    log.close().await;
    let one = |figure: f64| {
        let mut figures = Figures::default();
        figures.push(figure);
        figures
    };
    Ok(vec![
        Line::ratio("P-8", format!("verification of {entries} entries to COPY of the same columns"), to_copy)
            .judged(0.80, 0.50),
        Line::amount("P-8", "verification from the database", "entries/s", rate),
        Line::ratio("P-8", "verification from files to a chained SHA-256 of the same bytes", to_chain)
            .judged(0.30, 0.15),
        Line::amount("P-8", "verification from files", "entries/s", offline_rate),
        Line::amount("P-8", "storage with indexes and tree", "bytes/entry", one(storage.all))
            .judged(1_000.0, 1_500.0),
        Line::amount("P-8", "the entry itself", "bytes/entry", one(storage.entry)),
        Line::amount("P-8", "tiles", "bytes/entry", one(storage.tiles)),
    ])
}

async fn timed<S: Source>(source: &mut S, checks: &Checks) -> Result<f64> {
    let started = Instant::now();
    let report = verify::verify(source, checks).await?;
    let secs = started.elapsed().as_secs_f64();
    anyhow::ensure!(report.verdict == Verdict::Ok, "the log is not in order: {:?}", report.first_bad());
    Ok(secs)
}

/// Seconds and bytes of a COPY whose bytes nobody keeps.
async fn copy_out(log: &Log, statement: &str) -> Result<(f64, u64)> {
    let mut connection = PgConnection::connect_with(&log.options).await?;
    let started = Instant::now();
    let mut bytes = 0;
    let mut stream = connection.copy_out_raw(statement).await?;
    while let Some(piece) = stream.try_next().await? {
        bytes += piece.len() as u64;
    }
    drop(stream);
    let secs = started.elapsed().as_secs_f64();
    connection.close().await?;
    Ok((secs, bytes))
}

/// The bytes of all entries.
async fn everything(log: &Log) -> Result<Vec<Vec<u8>>> {
    let mut connection = PgConnection::connect_with(&log.options).await?;
    let rows =
        sqlx::query_scalar("SELECT entry FROM audit.entry ORDER BY seq").fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(rows)
}

/// The seconds that a plain chain of hashes over all entries takes.
fn chain(entries: &[Vec<u8>]) -> f64 {
    let started = Instant::now();
    let mut link = Sha256::digest(b"");
    for entry in entries {
        link = Sha256::new().chain_update(link).chain_update(entry).finalize();
    }
    let secs = started.elapsed().as_secs_f64();
    // The result is used, so that the work is done.
    if link.iter().all(|byte| *byte == 0) { f64::NAN } else { secs }
}

/// Bytes an entry.
struct Storage {
    all: f64,
    entry: f64,
    tiles: f64,
}

async fn storage(log: &Log) -> Result<Storage> {
    let mut connection = PgConnection::connect_with(&log.options).await?;
    let (all, tiles, entry): (f64, f64, f64) = sqlx::query_as(
        "SELECT (entries + tiles + others)::float8 / number, tiles::float8 / number, bytes::float8 / number
         FROM (SELECT count(*) AS number, sum(octet_length(entry)) AS bytes FROM audit.entry) AS counted,
              (SELECT sum(pg_total_relation_size(inhrelid)) AS entries
               FROM pg_inherits WHERE inhparent = 'audit.entry'::regclass) AS of_entries,
              (SELECT pg_total_relation_size('audit.tile') AS tiles) AS of_tiles,
              (SELECT pg_total_relation_size('audit.checkpoint') + pg_total_relation_size('audit.edge')
                      + pg_total_relation_size('audit.head') AS others) AS of_others",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(Storage { all, entry, tiles })
}

/// P-14: look-ups and exports in ten million entries.
pub(crate) async fn questions(plan: Plan, database: &mut Database) -> Result<Vec<Line>> {
    let entries = plan.entries(10_000_000, 100_000);
    let log = Log::create(database).await?;
    let cases = log.fill(entries).await?;
    let mut lines = look_ups(plan, &log, entries, &cases).await?;
    lines.extend(exports(plan, &log, entries).await?);
    log.close().await;
    Ok(lines)
}

/// One case, found by its id: the command's own search beside the same SELECT on a bare connection.
async fn look_ups(plan: Plan, log: &Log, entries: u64, cases: &[Uuid]) -> Result<Vec<Line>> {
    let number = if plan.quick { 200 } else { 1_000 };
    let (mut ratio, mut p50, mut p99) = <(Figures, Figures, Figures)>::default();
    for pair in 0..plan.pairs {
        let mut ours = PgConnection::connect_with(&log.options).await?;
        let mut bare = PgConnection::connect_with(&log.options).await?;
        for connection in [&mut ours, &mut bare] {
            sqlx::query("SET ROLE auditor").execute(connection).await?;
        }
        let mut ours = store::PgConnection::of(ours, &rig::defaults("database", &[])?);
        let (mut found_in, mut bound_in) = (Figures::default(), 0.0);
        for place in 0..number {
            // Spread over the whole log, no case twice.
            let case = cases[(place * plan.pairs + pair) * cases.len() / (number * plan.pairs)];
            let started = Instant::now();
            let rows = sqlx::query(
                "SELECT seq, at, organisation_id, case_id, action, outcome, actor, intent, uid, detail
                 FROM audit_view.log WHERE case_id = $1 ORDER BY seq LIMIT 200",
            )
            .bind(case)
            .fetch_all(&mut bare)
            .await?;
            bound_in += started.elapsed().as_secs_f64();
            let search = Search { case: Some(RequestId(case)), ..Search::default() };
            let started = Instant::now();
            let found = audit::search(&mut ours, &search, 0, 200).await?;
            found_in.push(started.elapsed().as_secs_f64() * 1e3);
            anyhow::ensure!(rows.len() == found.len() && found.len() as u64 <= CASE, "a case is not whole");
        }
        ours.close().await?;
        bare.close().await?;
        let total = found_in.total();
        say(&format!(
            "P-14 pair {}: {number} cases in {entries} entries: bare {:.2} ms each, search p50 {:.2} p99 {:.2} ms",
            pair + 1,
            bound_in * 1e3 / precise(number as u64),
            found_in.median(),
            found_in.quantile(0.99)
        ));
        ratio.push(bound_in * 1e3 / total);
        p50.push(found_in.median());
        p99.push(found_in.quantile(0.99));
    }
    Ok(vec![
        Line::ratio("P-14", format!("a case found in {entries} entries, to the same SELECT"), ratio)
            .judged(0.80, 0.50),
        Line::amount("P-14", "the same, p50", "ms", p50),
        Line::amount("P-14", "the same, p99", "ms", p99).judged(20.0, 100.0),
    ])
}

/// Everything taken out in each form, beside COPY of the same columns.
async fn exports(plan: Plan, log: &Log, entries: u64) -> Result<Vec<Line>> {
    let directory = tempfile::tempdir()?;
    let copied = format!("COPY (SELECT {COLUMNS} FROM audit.entry ORDER BY seq) TO STDOUT");
    let forms = ["csv", "ndjson with a proof each", "tiles"];
    let mut ratios = [const { Vec::new() }; 3];
    for pair in 0..plan.pairs.min(3) {
        let (bound, _) = copy_out(log, &copied).await?;
        for (place, form) in forms.iter().enumerate() {
            let out = directory.path().join(format!("export-{pair}-{place}"));
            let started = Instant::now();
            let written = take_out(log, place, &out).await?;
            let secs = started.elapsed().as_secs_f64();
            anyhow::ensure!(written == entries, "an export is not whole");
            say(&format!("P-14 pair {}: COPY {bound:.1} s, {form} {secs:.1} s", pair + 1));
            ratios[place].push(bound / secs);
            // Three exports of ten million entries need not lie on the disk together.
            if out.is_dir() { std::fs::remove_dir_all(&out)? } else { std::fs::remove_file(&out)? }
        }
    }
    let line = |(form, ratios): (&str, Vec<f64>)| {
        let mut figures = Figures::default();
        for ratio in ratios {
            figures.push(ratio);
        }
        Line::ratio("P-14", format!("export of {entries} entries as {form}, to COPY"), figures)
            .judged(0.50, 0.30)
    };
    Ok(std::iter::zip(forms, ratios).map(line).collect())
}

async fn take_out(log: &Log, form: usize, out: &Path) -> Result<u64> {
    let mut source = LogDatabase::open(&log.options, String::new()).await?;
    let exported = if form == 2 {
        export::write_tiles(&mut source, out).await?
    } else {
        let format = if form == 0 { LineFormat::Csv } else { LineFormat::Ndjson };
        let mut file = BufWriter::new(std::fs::File::create_new(out).context("a new file")?);
        let exported = export::write_lines(&mut source, &Selection::default(), format, &mut file).await?;
        file.flush()?;
        exported
    };
    source.close().await;
    Ok(exported.entries)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}
