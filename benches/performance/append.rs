//! P-7: an entry of the log beside a bare insertion, and how long it takes until it is signed.
//!
//! A bare insertion believes what it is given. How much of the distance is the check of an entry in the transaction that
//! writes it, and how much the log itself, says a second bound: an insertion of such an entry into a table with the check,
//! the generated columns and the keys of the inbox, which nobody seals.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dsrd::audit::{self, Action, Actor, Detail, Ending, EntryId, Event};
use dsrd::domain::{OrganisationId, RequestId};
use dsrd::store::{self, Store, Tx};
use futures_util::future::try_join_all;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::log::{self, Log, Turn};
use crate::measure::Figures;
use crate::outcome::Line;
use crate::rig::{self, Database};
use crate::{Plan, say};

/// Entries of one transaction where many are written at once.
const BATCH: usize = 100;

/// Entries a second while the time to a signature is measured.
const RATE: u64 = 1_000;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// A row of a plain table with the indexes that are searched by.
    Bare,
    /// An entry in a table like the inbox, which nobody seals.
    Checked,
    /// An entry of the log, while the sealer works.
    Entry,
}

/// P-7.
pub(crate) async fn beside_a_bare_insert(plan: Plan, database: &mut Database) -> Result<Vec<Line>> {
    let secs = if plan.quick { 2 } else { 6 };
    let mut lines = Vec::new();
    for (callers, batch) in [(1, 1), (16, 1), (32, 1), (16, BATCH)] {
        let (mut ratio, mut of_checked, mut rate, mut bare_rate, mut waiting) =
            <(Figures, Figures, Figures, Figures, Figures)>::default();
        for pair in 0..plan.pairs {
            // Both tables grow while they are written to: a fresh database for each pair.
            let log = Log::create(database).await?;
            make_bounds(&log).await?;
            let mut order = [Row::Bare, Row::Checked, Row::Entry];
            if pair % 2 == 1 {
                order.reverse();
            }
            let mut rates = [0.0; 3];
            for row in order {
                let sealing = (row == Row::Entry).then(|| log.seal());
                let rows = write_for(&log, row, callers, batch, Duration::from_secs(secs)).await?;
                rates[row as usize] = rows;
                if let Some(sealing) = sealing {
                    sealing.stop().await?;
                    waiting.push(precise(log.sealer.seal_everything().await?));
                }
            }
            let [bare, checked, entry] = rates;
            say(&format!(
                "P-7 {callers} callers, {batch} a transaction, pair {}: bare {bare:.0}/s, checked {checked:.0}/s, log {entry:.0}/s = {:.2}, {:.2}",
                pair + 1,
                entry / bare,
                entry / checked
            ));
            ratio.push(entry / bare);
            of_checked.push(entry / checked);
            rate.push(entry);
            bare_rate.push(bare);
            log.close().await;
        }
        let what = if batch == 1 {
            format!("entry in a transaction, {callers} callers, sealer at work, to a bare insertion")
        } else {
            format!("{batch} entries in a transaction, {callers} callers, to as many bare insertions")
        };
        let (goal, floor) = if batch == 1 { (0.90, 0.60) } else { (0.80, 0.50) };
        lines.push(Line::ratio("P-7", what, ratio).judged(goal, floor));
        lines.push(Line::ratio("P-7", "the same, to a checked insertion that nobody seals", of_checked));
        lines.push(Line::amount("P-7", "the same, entries", "rows/s", rate));
        lines.push(Line::amount("P-7", "the same, bare", "rows/s", bare_rate));
        lines.push(Line::amount("P-7", "the same, left to seal at the end", "entries", waiting));
    }
    lines.extend(until_signed(plan, database).await?);
    Ok(lines)
}

/// A plain table of the same content with the two indexes that a log is searched by, and one like the inbox.
async fn make_bounds(log: &Log) -> Result<()> {
    let mut connection = PgConnection::connect_with(&log.options).await?;
    sqlx::raw_sql(
        "CREATE TABLE bare (bare_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry bytea NOT NULL,
                            at timestamptz NOT NULL, action text NOT NULL, case_id uuid NOT NULL);
         CREATE INDEX ON bare (case_id, bare_id);
         CREATE INDEX ON bare (action, at);
         GRANT INSERT ON bare TO dsrd_service;
         CREATE TABLE checked (LIKE audit.inbox INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING INDEXES);
         GRANT INSERT ON checked TO dsrd_service",
    )
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    Ok(())
}

fn event(organisation: &OrganisationId) -> Event {
    let actor = Actor::Process("worker");
    let request = RequestId(Uuid::now_v7());
    Event::of(organisation, request, Action::DeletionEnded, actor, crate::now())
        .ending(EntryId(Uuid::now_v7()), Ending::Done)
        .with(Detail::none().count("contacts", 1).count("attempt", 1).word("zone", "eu-south"))
}

/// One row in a transaction that is open already.
async fn write(tx: &mut Tx, row: Row, organisation: &OrganisationId, body: &[u8]) -> Result<Uuid> {
    let event = event(organisation);
    match row {
        Row::Entry => return Ok(audit::append(tx, event).await?.0),
        Row::Checked => {
            static WRITTEN: AtomicU64 = AtomicU64::new(0);
            let place = WRITTEN.fetch_add(1, Ordering::Relaxed);
            let entry = log::entry(place, &event.case.context("a case")?.0);
            sqlx::query("INSERT INTO checked (entry) VALUES ($1)")
                .bind(entry.into_bytes())
                .execute(&mut **tx)
                .await?;
            return Ok(event.id.0);
        }
        Row::Bare => {}
    }
    sqlx::query("INSERT INTO bare (entry, at, action, case_id) VALUES ($1, $2, $3, $4)")
        .bind(body)
        .bind(event.at)
        .bind(event.action.as_str())
        .bind(event.case.context("a case")?.0)
        .execute(&mut **tx)
        .await?;
    Ok(event.id.0)
}

fn store_for(log: &Log, callers: usize) -> Result<Store> {
    let settings: store::Settings = rig::defaults("database", &[])?;
    let max_connections = u32::try_from(callers)?;
    Ok(Store::connect_lazily(log.options.clone(), &store::Settings { max_connections, ..settings }))
}

/// Lets so many callers write for a while; rows a second.
async fn write_for(log: &Log, row: Row, callers: usize, batch: usize, time: Duration) -> Result<f64> {
    let store = store_for(log, callers)?;
    let organisation: OrganisationId = "main".parse().map_err(|_| anyhow::anyhow!("a name"))?;
    // As long as an entry of this kind.
    let body: Arc<[u8]> = vec![b'x'; 330].into();
    // Connections learn their statements before they are timed.
    let warm_up = Instant::now() + Duration::from_millis(500);
    run(&store, row, callers, batch, warm_up, &organisation, &body).await?;
    let started = Instant::now();
    let rows = run(&store, row, callers, batch, started + time, &organisation, &body).await?;
    let wall = started.elapsed().as_secs_f64();
    store.close().await;
    Ok(precise(rows) / wall)
}

async fn run(
    store: &Store,
    row: Row,
    callers: usize,
    batch: usize,
    until: Instant,
    organisation: &OrganisationId,
    body: &Arc<[u8]>,
) -> Result<u64> {
    let rows = Arc::new(AtomicU64::new(0));
    let tasks = (0..callers).map(|_| {
        let (store, organisation, body, rows) =
            (store.clone(), organisation.clone(), Arc::clone(body), Arc::clone(&rows));
        let task = tokio::spawn(async move {
            while Instant::now() < until {
                let mut tx = store.begin("bench").await?;
                for _ in 0..batch {
                    write(&mut tx, row, &organisation, &body).await?;
                }
                tx.commit().await?;
                rows.fetch_add(batch as u64, Ordering::Relaxed);
            }
            Ok::<_, anyhow::Error>(())
        });
        async move { task.await? }
    });
    try_join_all(tasks).await?;
    Ok(rows.load(Ordering::Relaxed))
}

/// How long after its intended instant an entry is covered by a signature, at a constant rate.
async fn until_signed(plan: Plan, database: &mut Database) -> Result<Vec<Line>> {
    const CALLERS: usize = 16;
    let secs = if plan.quick { 5 } else { 20 };
    let (mut p50, mut p99, mut written) = <(Figures, Figures, Figures)>::default();
    for pair in 0..plan.pairs {
        let log = Log::create(database).await?;
        let store = store_for(&log, CALLERS)?;
        let organisation: OrganisationId = "main".parse().map_err(|_| anyhow::anyhow!("a name"))?;
        let warm_up = Instant::now() + Duration::from_millis(500);
        run(&store, Row::Entry, CALLERS, 1, warm_up, &organisation, &Arc::from([].as_slice())).await?;
        let sealing = log.seal();
        let start = Instant::now() + Duration::from_millis(300);
        let total = RATE * secs;
        let tasks = (0..CALLERS as u64).map(|caller| {
            let (store, organisation) = (store.clone(), organisation.clone());
            let task = tokio::spawn(async move {
                let mut mine = Vec::new();
                for number in (caller..total).step_by(CALLERS) {
                    let intended = start + Duration::from_micros(number * 1_000_000 / RATE);
                    tokio::time::sleep_until(intended.into()).await;
                    let mut tx = store.begin("bench").await?;
                    let id = write(&mut tx, Row::Entry, &organisation, &[]).await?;
                    tx.commit().await?;
                    mine.push((id, intended, Instant::now()));
                }
                Ok::<_, anyhow::Error>(mine)
            });
            async move { task.await? }
        });
        let all: Vec<_> = try_join_all(tasks).await?.into_iter().flatten().collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let turns = sealing.stop().await?;
        let numbers = numbers(&log).await?;
        let (mut signed, mut committed) = <(Figures, Figures)>::default();
        for (id, intended, at) in &all {
            let seq = numbers.get(id).context("an entry was not sealed within a second")?;
            signed.push(covered_at(&turns, *seq)?.duration_since(*intended).as_secs_f64() * 1e3);
            committed.push(at.duration_since(*intended).as_secs_f64() * 1e3);
        }
        say(&format!(
            "P-7 {RATE} entries/s for {secs} s, run {}: committed p50 {:.1} p99 {:.1} ms, signed p50 {:.0} p99 {:.0} max {:.0} ms",
            pair + 1,
            committed.median(),
            committed.quantile(0.99),
            signed.median(),
            signed.quantile(0.99),
            signed.most(),
        ));
        p50.push(signed.median());
        p99.push(signed.quantile(0.99));
        written.push(committed.quantile(0.99));
        store.close().await;
        log.close().await;
    }
    let at_rate = format!("at {RATE} entries/s");
    Ok(vec![
        Line::amount("P-7", format!("intended to signed {at_rate}, p50"), "ms", p50),
        Line::amount("P-7", format!("intended to signed {at_rate}, p99"), "ms", p99).judged(300.0, 600.0),
        Line::amount("P-7", format!("intended to committed {at_rate}, p99"), "ms", written),
    ])
}

/// When the first turn ended after which an entry was covered.
fn covered_at(turns: &[Turn], seq: u64) -> Result<Instant> {
    let place = turns.partition_point(|turn| turn.size < seq);
    turns.get(place).map(|turn| turn.at).context("an entry that no turn covered")
}

async fn numbers(log: &Log) -> Result<HashMap<Uuid, u64>> {
    let mut connection = PgConnection::connect_with(&log.options).await?;
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT uid, seq FROM audit.entry").fetch_all(&mut connection).await?;
    connection.close().await?;
    rows.into_iter().map(|(uid, seq)| Ok((uid, u64::try_from(seq)?))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}
