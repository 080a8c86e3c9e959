//! The bound of a drain: the same calls and commits, and no logic.
//!
//! Each worker has a connection of its own and repeats: claim a job, take it through `inner` transactions of one row
//! and one audit row each with `calls` calls spread between them, mark it done. With three calls and six inner
//! transactions this is the loop of the acceptance suite: 8 commits, 3 calls. With the candidate's own numbers it is
//! the bound that follows when the engine gets leaner.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::measure::Stopwatch;
use crate::simulated::{Access, Person};

/// What one request costs the naked loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Calls to the platform: 3 or 4, the fourth being the search.
    pub(crate) calls: usize,
    /// Transactions that write, with claim and done.
    pub(crate) commits: usize,
}

/// The shape that section 2 of the acceptance suite gives.
pub(crate) const SECTION_2: Shape = Shape { calls: 3, commits: 8 };

/// A client with a token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    http: reqwest::Client,
    access: Access,
    bearer: HeaderValue,
}

impl Caller {
    pub(crate) async fn log_in(access: &Access) -> Result<Self> {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only([]).build()?;
        let body = serde_json::json!({"clientKey": access.client_key, "clientSecret": access.client_secret});
        let answer = http
            .post(format!("{}/v1/sts/login/services", access.base_url))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await?
            .error_for_status()?;
        let bearer = answer.headers().get(AUTHORIZATION).context("the log-in gave no token")?.clone();
        Ok(Self { http, access: access.clone(), bearer })
    }

    /// The token as a header line.
    pub(crate) fn header(&self) -> Result<String> {
        Ok(format!("Authorization: {}", self.bearer.to_str()?))
    }

    async fn finish(&self, request: reqwest::RequestBuilder) -> Result<()> {
        let answer = request.header(AUTHORIZATION, &self.bearer).send().await?.error_for_status()?;
        let mut body = answer.bytes_stream();
        while let Some(piece) = body.next().await {
            piece?;
        }
        Ok(())
    }

    pub(crate) async fn read(&self, person: &Person) -> Result<()> {
        self.finish(self.http.get(format!("{}/v2/customers/{}", self.access.base_url, person.id))).await
    }

    async fn search(&self, person: &Person) -> Result<()> {
        let url =
            format!("{}/v2/customers/organizations/{}", self.access.base_url, self.access.organisation_id);
        self.finish(self.http.get(url).query(&[("email", person.email.as_str()), ("size", "500")])).await
    }

    async fn switch_off(&self, person: &Person) -> Result<()> {
        let url = format!("{}/v1/customers/{}/policies", self.access.base_url, person.id);
        let body = r#"{"policyKey":"mktgCommunications","accepted":false}"#;
        self.finish(self.http.put(url).header("content-type", "application/json").body(body)).await
    }

    /// The call with this number among so many: (search,) read, write, read back.
    async fn call(&self, number: usize, of: usize, person: &Person) -> Result<()> {
        match (number + 4).saturating_sub(of) {
            0 => self.search(person).await,
            2 => self.switch_off(person).await,
            _ => self.read(person).await,
        }
    }
}

/// Tables of its own, with so many jobs.
pub(crate) async fn prepare(options: &PgConnectOptions, jobs: usize) -> Result<()> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::raw_sql(
        "DROP TABLE IF EXISTS naked_job, naked_step, naked_audit;
         CREATE TABLE naked_job (job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person int NOT NULL,
                                 state text NOT NULL DEFAULT 'ready');
         CREATE INDEX ON naked_job (job_id) WHERE state = 'ready';
         CREATE TABLE naked_step (job_id bigint, step int, outcome jsonb, PRIMARY KEY (job_id, step));
         CREATE TABLE naked_audit (audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, uid uuid NOT NULL,
                                   at timestamptz NOT NULL DEFAULT now(), job_id bigint, action text NOT NULL,
                                   detail jsonb NOT NULL)",
    )
    .execute(&mut connection)
    .await?;
    sqlx::query("INSERT INTO naked_job (person) SELECT number - 1 FROM generate_series(1, $1) AS number")
        .bind(i32::try_from(jobs)?)
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql("ANALYZE naked_job").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Drains the prepared jobs and returns wall and processor seconds.
pub(crate) async fn drain(
    options: &PgConnectOptions,
    caller: &Caller,
    people: &Arc<Vec<Person>>,
    workers: u32,
    shape: Shape,
    jobs: usize,
) -> Result<(f64, f64)> {
    // The tables are empty when their plans are made and kept: a plan that reads all of `naked_step` for each step would
    // slow the bound down.
    let options = options.clone().options([("enable_seqscan", "off")]);
    let mut connections = Vec::new();
    for _ in 0..workers {
        connections.push(PgConnection::connect_with(&options).await?);
    }
    let done = Arc::new(AtomicUsize::new(0));
    let watch = Stopwatch::start()?;
    let tasks = connections.into_iter().map(|connection| {
        let (caller, people, done) = (caller.clone(), Arc::clone(people), Arc::clone(&done));
        let task = tokio::spawn(async move { work(connection, &caller, &people, shape, &done).await });
        async move { task.await? }
    });
    try_join_all(tasks).await?;
    let times = watch.stop()?;
    anyhow::ensure!(done.load(Ordering::Relaxed) == jobs, "the naked loop lost jobs");
    Ok(times)
}

async fn work(
    mut connection: PgConnection,
    caller: &Caller,
    people: &[Person],
    shape: Shape,
    done: &AtomicUsize,
) -> Result<()> {
    let inner = shape.commits.saturating_sub(2);
    loop {
        let claimed: Option<(i64, i32)> = sqlx::query_as(
            "UPDATE naked_job SET state = 'leased'
             WHERE job_id = (SELECT job_id FROM naked_job WHERE state = 'ready' ORDER BY job_id LIMIT 1
                             FOR UPDATE SKIP LOCKED)
             RETURNING job_id, person",
        )
        .fetch_optional(&mut connection)
        .await?;
        let Some((job, person)) = claimed else { break };
        let person = &people[usize::try_from(person)? % people.len()];
        let mut made = 0;
        for number in 0..inner {
            write(&mut connection, job, number).await?;
            while made < shape.calls && made * inner <= number * shape.calls {
                caller.call(made, shape.calls, person).await?;
                made += 1;
            }
        }
        sqlx::query("UPDATE naked_job SET state = 'done' WHERE job_id = $1")
            .bind(job)
            .execute(&mut connection)
            .await?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    connection.close().await?;
    Ok(())
}

/// One transaction: a row that begins or finishes a step, and an audit row.
async fn write(connection: &mut PgConnection, job: i64, number: usize) -> Result<()> {
    let mut tx = connection.begin().await?;
    let step = i32::try_from(number / 2)?;
    if number.is_multiple_of(2) {
        sqlx::query("INSERT INTO naked_step (job_id, step) VALUES ($1, $2)")
            .bind(job)
            .bind(step)
            .execute(&mut *tx)
            .await?;
    } else {
        sqlx::query("UPDATE naked_step SET outcome = $3 WHERE job_id = $1 AND step = $2")
            .bind(job)
            .bind(step)
            .bind(serde_json::json!({"ok": true}))
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query("INSERT INTO naked_audit (uid, job_id, action, detail) VALUES ($1, $2, $3, $4)")
        .bind(uuid::Uuid::now_v7())
        .bind(job)
        .bind("step.finished")
        .bind(serde_json::json!({"step": step}))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
