//! P-1 and P-2: draining opt-outs.

use std::sync::Arc;

use anyhow::Result;
use dsrd::domain::RequestKind;
use sqlx::postgres::PgConnectOptions;

use crate::Plan;
use crate::measure::{Figures, Stopwatch};
use crate::naked::{self, Caller, SECTION_2, Shape};
use crate::outcome::Line;
use crate::rig::{Database, REPORTED, Service, Work, statements_by_time, watch_statements, work_done};
use crate::simulated::{Person, Simulated};
use crate::{say, watch};

/// What one drain by the service cost.
struct Drained {
    wall: f64,
    cpu: f64,
    calls: f64,
    statements: Option<f64>,
    work: Option<Work>,
}

/// Fills the queue of a fresh database and drains it. `count` asks for the server's and the driver's counters, which
/// costs a little, so that it is done in a run of its own.
async fn drain(
    database: &mut Database,
    simulated: &mut Simulated,
    people: &[Person],
    workers: u32,
    count: bool,
    statements: bool,
) -> Result<Drained> {
    let options = database.create().await?;
    let service = Service::build(&options, &simulated.access, workers).await?;
    service.submit_all(RequestKind::OptOut, people).await?;
    service.acknowledge_all().await?;
    analyse(&options).await?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let number = people.len() as f64;
    let before = watch::closed();
    let mails = service.mails();
    let calls = simulated.calls().await?;
    let work = if count { Some(work_done(&options, REPORTED).await?) } else { None };
    if statements {
        watch_statements(&options).await?;
    }
    watch::count_statements(count);
    let watch = Stopwatch::start()?;
    let running = service.run().await?;
    service.wait_closed(before, people.len()).await?;
    let (wall, cpu) = watch.stop()?;
    watch::count_statements(false);
    if statements {
        for line in statements_by_time(&options, number).await? {
            say(&line);
        }
    }
    running.stop().await?;
    let statements = count.then(|| precise(watch::statements()) / number);
    let work = match work {
        Some(before) => Some(work_done(&options, REPORTED).await?.since(before).per(number)),
        None => None,
    };
    let calls = precise(simulated.calls().await? - calls) / number;
    anyhow::ensure!(service.mails() - mails == people.len(), "not everybody was told");
    service.end().await?;
    Ok(Drained { wall, cpu, calls, statements, work })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}

/// Looks at the tables that have rows, as the server does by itself after a minute. An empty one is left alone by the server, too:
/// once it was called empty, plans would be made that read all of it.
async fn analyse(options: &PgConnectOptions) -> Result<()> {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect_with(options).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class
         WHERE relkind = 'r' AND pg_relation_size(oid) > 0 AND relnamespace::regnamespace::text IN ('dsrd', 'audit', 'audit_private')",
    )
    .fetch_all(&mut connection)
    .await?;
    let analyse = format!("ANALYZE {}; CHECKPOINT", tables.join(", "));
    sqlx::raw_sql(sqlx::AssertSqlSafe(analyse)).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of calls or commits")]
fn whole(figure: f64) -> usize {
    figure.round() as usize
}

/// P-1: 5,000 opt-outs as fast as the platform answers.
pub(crate) async fn at_full_speed(plan: Plan, database: &mut Database) -> Result<Vec<Line>> {
    let number = if plan.quick { 1_000 } else { 5_000 };
    let workers = 8;
    let mut simulated = Simulated::start(10_000).await?;
    let people = Arc::new(simulated.people(number).await?);
    let caller = Caller::log_in(&simulated.access).await?;
    let scratch = database.create().await?;

    let counted =
        drain(database, &mut simulated, &people[..number / 5], workers, true, plan.statements).await?;
    let work = counted.work.unwrap_or_default();
    let shape = Shape { calls: whole(counted.calls).clamp(3, 4), commits: whole(work.writes) };
    say(&format!(
        "P-1: one opt-out makes {:.2} calls, {:.2} writing transactions, {:.2} transactions, {:.2} flushes, {:.1} statements",
        counted.calls,
        work.writes,
        work.commits,
        work.flushes,
        counted.statements.unwrap_or_default(),
    ));
    let (mut section_2, mut same, mut rate, mut bound_rate, mut cpu, mut bound_cpu) =
        <(Figures, Figures, Figures, Figures, Figures, Figures)>::default();
    for pair in 0..plan.pairs {
        let mut naked_times = Vec::new();
        let mut drained = None;
        // The order turns round with each pair, so that neither always finds the warmer machine.
        for turn in 0..3 {
            match (turn + if pair % 2 == 0 { 0 } else { 2 }) % 3 {
                0 | 1 if naked_times.len() < 2 => {
                    let shape = if naked_times.is_empty() { SECTION_2 } else { shape };
                    naked::prepare(&scratch, number).await?;
                    analyse(&scratch).await?;
                    naked_times.push(naked::drain(&scratch, &caller, &people, workers, shape, number).await?);
                }
                _ => drained = Some(drain(database, &mut simulated, &people, workers, false, false).await?),
            }
        }
        let (Some(drained), [naked, like]) = (drained, naked_times.as_slice()) else {
            anyhow::bail!("a pair is not complete");
        };
        let each = precise(number as u64);
        say(&format!(
            "P-1 pair {}: naked (3 calls, 8 commits) {:.0}/s, naked ({} calls, {} commits) {:.0}/s, service {:.0}/s",
            pair + 1,
            each / naked.0,
            shape.calls,
            shape.commits,
            each / like.0,
            each / drained.wall,
        ));
        section_2.push(naked.0 / drained.wall);
        same.push(like.0 / drained.wall);
        rate.push(each / drained.wall);
        bound_rate.push(each / naked.0);
        cpu.push(drained.cpu / each * 1e3);
        bound_cpu.push(naked.1 / each * 1e3);
    }
    simulated.end().await?;
    let one = |figure: f64| {
        let mut figures = Figures::default();
        figures.push(figure);
        figures
    };
    Ok(vec![
        Line::ratio("P-1", "drain, 8 workers, to naked loop of 3 calls and 8 commits", section_2)
            .judged(0.60, 0.40),
        Line::ratio(
            "P-1",
            format!("the same to naked loop of {} calls and {} commits", shape.calls, shape.commits),
            same,
        )
        .judged(0.60, 0.40),
        Line::amount("P-1", "naked loop of 3 calls and 8 commits", "requests/s", bound_rate),
        Line::amount("P-1", "service", "requests/s", rate),
        Line::amount("P-1", "client CPU, naked loop", "ms/request", bound_cpu),
        Line::amount("P-1", "client CPU, service", "ms/request", cpu),
        Line::amount("P-1", "calls", "per request", one(counted.calls)),
        Line::amount("P-1", "transactions that write", "per request", one(work.writes)),
        Line::amount("P-1", "all transactions", "per request", one(work.commits)),
        Line::amount("P-1", "flushes of the log", "per request", one(work.flushes)),
        Line::amount(
            "P-1",
            "statements (with BEGIN and COMMIT)",
            "per request",
            one(counted.statements.unwrap_or_default()),
        ),
    ])
}

/// P-2: the platform takes 50 ms for each call.
pub(crate) async fn with_latency(plan: Plan, database: &mut Database) -> Result<Vec<Line>> {
    let mut simulated = Simulated::start(10_000).await?;
    let everybody = simulated.people(64 * 24).await?;
    let caller = Caller::log_in(&simulated.access).await?;
    let scratch = database.create().await?;
    let mut lines = Vec::new();
    for (workers, goal) in [(8_u32, 0.90), (32, 0.85), (64, 0.80)] {
        let rounds = if plan.quick { 12 } else { 24 };
        let people = Arc::new(everybody[..workers as usize * rounds].to_vec());
        let number = people.len();
        let (mut ratio, mut naked_ratio) = (Figures::default(), Figures::default());
        for pair in 0..plan.pairs.min(3) {
            simulated.set_latency(50).await?;
            let latency = measured_latency(&caller, &people[0]).await?;
            simulated.set_latency(0).await?;
            // Filling the queue makes no call; the probe of the fresh client does, hence the latency from here on.
            let drained = drain_slowly(database, &mut simulated, &people, workers).await?;
            let calls = drained.calls;
            let least = precise(number as u64) * calls * latency / f64::from(workers);
            ratio.push(least / drained.wall);
            naked::prepare(&scratch, number).await?;
            simulated.set_latency(50).await?;
            let naked = naked::drain(&scratch, &caller, &people, workers, SECTION_2, number).await?;
            simulated.set_latency(0).await?;
            let naked_least = precise(number as u64) * 3.0 * latency / f64::from(workers);
            naked_ratio.push(naked_least / naked.0);
            say(&format!(
                "P-2 {workers} workers, pair {}: latency {:.1} ms, {calls:.2} calls, service {:.1}/s = {:.2} of W/(calls × latency), naked loop {:.2}",
                pair + 1,
                latency * 1e3,
                precise(number as u64) / drained.wall,
                least / drained.wall,
                naked_least / naked.0,
            ));
        }
        lines.push(
            Line::ratio(
                "P-2",
                format!("drain at 50 ms a call, {workers} workers, to W/(calls × latency)"),
                ratio,
            )
            .judged(goal, 0.75),
        );
        lines.push(Line::ratio("P-2", format!("naked loop, {workers} workers, to the same"), naked_ratio));
    }
    simulated.end().await?;
    Ok(lines)
}

async fn drain_slowly(
    database: &mut Database,
    simulated: &mut Simulated,
    people: &[Person],
    workers: u32,
) -> Result<Drained> {
    let options = database.create().await?;
    let service = Service::build(&options, &simulated.access, workers).await?;
    service.submit_all(RequestKind::OptOut, people).await?;
    service.acknowledge_all().await?;
    analyse(&options).await?;
    simulated.set_latency(50).await?;
    let before = watch::closed();
    let calls = simulated.calls().await?;
    let watch = Stopwatch::start()?;
    let running = service.run().await?;
    service.wait_closed(before, people.len()).await?;
    let (wall, cpu) = watch.stop()?;
    running.stop().await?;
    let calls = precise(simulated.calls().await? - calls) / precise(people.len() as u64);
    simulated.set_latency(0).await?;
    service.end().await?;
    Ok(Drained { wall, cpu, calls, statements: None, work: None })
}

/// The median of a few calls one after the other, in seconds.
async fn measured_latency(caller: &Caller, person: &Person) -> Result<f64> {
    let mut figures = Figures::default();
    for _ in 0..20 {
        let started = std::time::Instant::now();
        caller.read(person).await?;
        figures.push(started.elapsed().as_secs_f64());
    }
    Ok(figures.median())
}
