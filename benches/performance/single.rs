//! P-15: one request on an idle service, from its submission to its end.

use std::time::{Duration, Instant};

use anyhow::Result;
use dsrd::domain::RequestKind;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::measure::Figures;
use crate::naked::Caller;
use crate::outcome::Line;
use crate::rig::{Database, Service, work_done};
use crate::simulated::{Person, Simulated};
use crate::{Plan, say, watch};

/// What a round trip costs here, in seconds.
struct Costs {
    statement: f64,
    flush: f64,
    call: f64,
}

pub(crate) async fn submit_to_closed(plan: Plan, database: &mut Database) -> Result<Vec<Line>> {
    let number = if plan.quick { 20 } else { 100 };
    let mut simulated = Simulated::start(2_000).await?;
    let people = simulated.people(3 * number + 60).await?;
    let caller = Caller::log_in(&simulated.access).await?;
    let options = database.create().await?;
    let service = Service::build(&options, &simulated.access, 4).await?;
    let running = service.run().await?;
    let mut lines = Vec::new();
    let mut people = people.into_iter();
    for (kind, word) in
        [(RequestKind::OptOut, "opt-out"), (RequestKind::Access, "access"), (RequestKind::Erasure, "erasure")]
    {
        for person in people.by_ref().take(10) {
            one(&service, kind, &person, Instant::now()).await?;
        }
        // Counted apart from the measured ones, because counting costs.
        let work = work_done(&options, Duration::ZERO).await?;
        let calls = simulated.calls().await?;
        watch::count_statements(true);
        for person in people.by_ref().take(10) {
            one(&service, kind, &person, Instant::now()).await?;
        }
        watch::count_statements(false);
        let statements = figure(watch::statements()) / 10.0;
        let calls = figure(simulated.calls().await? - calls) / 10.0;
        let work = work_done(&options, Duration::ZERO).await?.since(work).per(10.0);

        let costs = costs(&options, &caller, &people.as_slice()[0]).await?;
        let sum = statements * costs.statement + work.writes * costs.flush + calls * costs.call;
        let mut figures = Figures::default();
        // A constant rate, timed from the intended start: a slow one makes the next ones late as well.
        let every = Duration::from_millis(100);
        let mut intended = Instant::now() + every;
        for person in people.by_ref().take(number) {
            tokio::time::sleep_until(intended.into()).await;
            figures.push(one(&service, kind, &person, intended).await? * 1e3);
            intended += every;
        }
        say(&format!(
            "P-15 {word}: p50 {:.1} ms, p99 {:.1} ms; {statements:.1} statements × {:.3} ms + {:.1} writing commits × {:.3} ms + {calls:.1} calls × {:.3} ms = {:.1} ms",
            figures.median(),
            figures.quantile(0.99),
            costs.statement * 1e3,
            work.writes,
            costs.flush * 1e3,
            costs.call * 1e3,
            sum * 1e3,
        ));
        let mut p99 = Figures::default();
        p99.push(figures.quantile(0.99));
        let mut to_sum = Figures::default();
        to_sum.push(figures.median() / (sum * 1e3));
        lines.push(
            Line::amount("P-15", format!("{word}, submitted to closed, p50"), "ms", figures)
                .judged(50.0, 250.0),
        );
        lines.push(Line::amount("P-15", format!("{word}, p99"), "ms", p99));
        lines.push(
            Line::amount(
                "P-15",
                format!("{word}, p50 to the sum of its round trips and flushes"),
                "times",
                to_sum,
            )
            .judged(3.0, f64::INFINITY),
        );
    }
    running.stop().await?;
    service.end().await?;
    simulated.end().await?;
    Ok(lines)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn figure(count: u64) -> f64 {
    count as f64
}

/// Seconds from `since` to the commit that closed the request.
async fn one(service: &Service, kind: RequestKind, person: &Person, since: Instant) -> Result<f64> {
    let before = watch::closed();
    service.submit(kind, person).await?;
    let closed = service.wait_closed(before, 1).await?;
    Ok(closed.duration_since(since).as_secs_f64())
}

async fn costs(options: &PgConnectOptions, caller: &Caller, person: &Person) -> Result<Costs> {
    const TIMES: u32 = 200;
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS flushed (number int)").execute(&mut connection).await?;
    let (mut reads, mut writes, mut calls) = <(Figures, Figures, Figures)>::default();
    for number in 0..TIMES {
        let started = Instant::now();
        sqlx::query("SELECT $1::int").bind(i32::try_from(number)?).execute(&mut connection).await?;
        reads.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        sqlx::query("INSERT INTO flushed VALUES ($1)")
            .bind(i32::try_from(number)?)
            .execute(&mut connection)
            .await?;
        writes.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        caller.read(person).await?;
        calls.push(started.elapsed().as_secs_f64());
    }
    sqlx::raw_sql("DROP TABLE flushed").execute(&mut connection).await?;
    connection.close().await?;
    let statement = reads.median();
    Ok(Costs { statement, flush: (writes.median() - statement).max(0.0), call: calls.median() })
}
