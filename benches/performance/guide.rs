//! The questions of the auditor's guide, in a log of any length: each as it stands in the guide, as role `auditor`.
//!
//! The log is written into the inbox and sealed like any other: ten entries for each request of one year, six of ten
//! requests an erasure, and what seldom happens as often as it may (a refusal, an effect that nobody knew the end of, a
//! late answer, a salt that was erased). The working tables beside it are filled by SQL, because no service was at work.
//! There is no bound: what is shown is how long an auditor waits. Sweeps and holds have none of the rows.

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::time::Instant;
use uuid::Uuid;

use crate::log::{self, Log};
use crate::measure::Figures;
use crate::outcome::Line;
use crate::rig::Database;
use crate::{Plan, say};

const GUIDE: &str = include_str!("../../docs/auditor-guide.md");

/// How many entries a request has.
const OF_A_REQUEST: u64 = 10;
/// How many requests a process carries out, from its start to its end.
const OF_A_WRITER: u64 = 250;
/// How many rows of a working table are written at once.
const AT_ONCE: usize = 20_000;
/// One in so many requests is so old that its salt was erased.
const FORGOTTEN: u64 = 11;

/// A year of requests: nothing is drawn, so that two runs ask about the same.
#[derive(Clone, Copy, Debug)]
struct Year {
    requests: u64,
}

/// What is told of one request.
#[derive(Clone, Copy, Debug)]
struct Request {
    number: u64,
    received_at: DateTime<Utc>,
}

impl Year {
    /// Microseconds since 1970 of its first instant, 1 December 2025.
    const BEGINS: u64 = 1_764_547_200_000_000;
    const MICROS: u64 = 365 * 24 * 3_600 * 1_000_000;

    fn request(self, number: u64) -> Result<Request> {
        let micros = Self::BEGINS + Self::MICROS / self.requests * number;
        let received_at = DateTime::from_timestamp_micros(micros.try_into()?).context("an instant")?;
        Ok(Request { number, received_at })
    }

    /// The entry of a place: of a request, or one of those that tell of erased salts, at the end.
    fn entry(self, place: u64) -> Result<String> {
        let of_requests = self.requests * OF_A_REQUEST;
        if place < of_requests {
            return self.request(place / OF_A_REQUEST)?.entry(place % OF_A_REQUEST);
        }
        let end = DateTime::from_timestamp_micros((Self::BEGINS + Self::MICROS).try_into()?);
        let request = self.request(place - of_requests)?;
        let detail = "{\"kind\":\"subject\",\"rule\":\"term\"}";
        Ok(request.write(11, end.context("an instant")?, "log.redact", "process:upkeep", detail, ""))
    }

    /// How many entries it has.
    const fn entries(self) -> u64 {
        self.requests * OF_A_REQUEST + self.requests / FORGOTTEN
    }
}

impl Request {
    fn id(self) -> Uuid {
        log::id_of(self.number * 16 + 15)
    }

    const fn kind(self) -> &'static str {
        match self.number % 10 {
            0..6 => "erasure",
            6..8 => "access",
            _ => "opt_out",
        }
    }

    fn refused(self) -> bool {
        self.number % 50 == 3
    }

    /// Nobody knew at first how its effect had ended.
    const fn unknown(self) -> bool {
        self.number % 1_000 == 11
    }

    fn outcome(self) -> &'static str {
        if self.refused() {
            "refused"
        } else if self.number.is_multiple_of(100) {
            "fulfilled_no_data"
        } else {
            "fulfilled"
        }
    }

    /// An hour after it came in, or, one in fifty, five weeks.
    fn closed_at(self) -> DateTime<Utc> {
        let late = self.number % 50 == 7;
        self.received_at + if late { TimeDelta::days(35) } else { TimeDelta::hours(1) }
    }

    /// The how many-th entry of it, from 0.
    fn entry(self, place: u64) -> Result<String> {
        let at = if place < 5 {
            self.received_at + TimeDelta::seconds(place.try_into()?)
        } else {
            self.closed_at() - TimeDelta::seconds((OF_A_REQUEST - place).try_into()?)
        };
        let ends = |intent: u64, outcome: &str| {
            format!(",\"intent\":\"{}\",\"outcome\":\"{outcome}\"", log::id_of(self.number * 16 + intent))
        };
        let (effect, verified) = match self.kind() {
            "erasure" => ("deletion", "deletion.verified"),
            _ => ("policy", "policy.verified"),
        };
        let write = |action: &str, actor: &str, detail: &str, rest: &str| {
            self.write(place, at, action, actor, detail, rest)
        };
        let worker = "process:worker";
        Ok(match (place, self.kind()) {
            (0, kind) => write(
                "request.received",
                "producer:web_form",
                &format!("{{\"channel\":\"web\",\"kind\":\"{kind}\"}}"),
                "",
            ),
            (1, _) => write("contact.located", worker, "{\"contacts\":1}", ""),
            (2, "access") => write("package.built", worker, "{\"devices\":2,\"events\":40}", ""),
            (3, "access") => write("package.opened", "person:0123456789abcdef0123456789abcdef", "{}", ""),
            (4, "access") => write("package.fetched", "process:web", "{}", ""),
            (2, _) => write(&format!("{effect}.began"), worker, "{\"contacts\":1}", ""),
            (3, _) => {
                let outcome = if self.unknown() { "outcome_unknown" } else { "done" };
                write(&format!("{effect}.ended"), worker, "{}", &ends(2, outcome))
            }
            (4, _) => write(verified, worker, "{\"contacts\":1}", ""),
            (5, _) => write("notice.began", worker, "{\"notice\":\"answer\"}", ""),
            (6, _) => write("notice.ended", worker, "{}", &ends(5, "done")),
            (7, _) if self.number.is_multiple_of(OF_A_WRITER) => self.writer_starts(place, at),
            (7, _) if self.number % OF_A_WRITER == OF_A_WRITER - 1 => self.writer_stops(place, at),
            (7, _) if self.number.is_multiple_of(5) => {
                write("request.read", "person:0123456789abcdef0123456789abcdef", "{}", "")
            }
            (7, _) => write("recipient.queued", worker, "{\"recipient\":\"newsletter\"}", ""),
            (8, _) if self.refused() => write(
                "decision.refused",
                "person:0123456789abcdef0123456789abcdef",
                "{\"ground\":\"RF-02\"}",
                "",
            ),
            (8, _) => write("recipient.confirmed", "process:courier", "{\"recipient\":\"newsletter\"}", ""),
            _ => write("request.closed", worker, &format!("{{\"outcome\":\"{}\"}}", self.outcome()), ""),
        })
    }

    fn write(
        self,
        place: u64,
        at: DateTime<Utc>,
        action: &str,
        actor: &str,
        detail: &str,
        rest: &str,
    ) -> String {
        let (at, case, id) = (at.timestamp_micros(), self.id(), log::id_of(self.number * 16 + place));
        let subject = if action == "request.received" {
            format!(",\"subject_c\":\"{:064x}\"", self.number)
        } else {
            String::new()
        };
        format!(
            "{{\"action\":\"{action}\",\"actor\":\"{actor}\",\"at_us\":{at},\"build\":\"0.1.0\",\"case\":\"{case}\",\
             \"detail\":{detail},\"id\":\"{id}\"{rest}{subject},\"tenant\":\"main\",\"v\":1}}"
        )
    }

    fn writer(self) -> String {
        format!("{:016x}", self.number / OF_A_WRITER + 1)
    }

    fn writer_starts(self, place: u64, at: DateTime<Utc>) -> String {
        const KEY: &str = "bKa8u2eU9K2SJFj3M2Xh94Fph+RVGRfxLRNcPiwOzgA";
        let detail = format!("{{\"key\":\"{KEY}\"}}");
        self.of_the_writer(place, at, "writer.start", 1, &detail)
    }

    fn writer_stops(self, place: u64, at: DateTime<Utc>) -> String {
        const SIGNATURE: &str =
            "bKa8u2eU9K2SJFj3M2Xh94Fph+RVGRfxLRNcPiwOzgCu/04fhw2Jlexx/gJdZFnjknGIqDHw+nNQWCcq4tTVBQ";
        let last = OF_A_WRITER * OF_A_REQUEST;
        let detail = format!(
            "{{\"first\":1,\"last\":{last},\"sha256\":\"{:064x}\",\"signature\":\"{SIGNATURE}\"}}",
            1
        );
        self.of_the_writer(place, at, "writer.stop", last + 1, &detail)
    }

    fn of_the_writer(self, place: u64, at: DateTime<Utc>, action: &str, number: u64, detail: &str) -> String {
        let (at, id, writer) = (at.timestamp_micros(), log::id_of(self.number * 16 + place), self.writer());
        format!(
            "{{\"action\":\"{action}\",\"actor\":\"process:writer\",\"at_us\":{at},\"build\":\"0.1.0\",\"detail\":{detail},\
             \"id\":\"{id}\",\"n\":{number},\"v\":1,\"w\":\"{writer}\"}}"
        )
    }
}

/// Each question of the guide, and how long its whole answer takes once the caches are warm.
pub(crate) async fn questions(plan: Plan, database: &mut Database) -> Result<Vec<Line>> {
    let year = Year { requests: plan.entries(10_000_000, 100_000) / OF_A_REQUEST };
    let log = Log::create(database).await?;
    log.fill_with(year.entries(), |place| year.entry(place)).await?;
    working_tables(&log, year).await?;
    let mut auditor = PgConnection::connect_with(&log.options).await?;
    sqlx::query("SET ROLE auditor").execute(&mut auditor).await?;
    let mut lines = Vec::new();
    for (title, question) in blocks() {
        let mut took = Figures::default();
        let mut rows = ask(&mut auditor, question).await?;
        for _ in 0..plan.pairs {
            let started = Instant::now();
            rows = ask(&mut auditor, question).await?;
            took.push(started.elapsed().as_secs_f64() * 1e3);
        }
        say(&format!("guide: {rows} rows in {:.0} ms: {title}", took.median()));
        lines.push(Line::amount("guide", format!("{title} ({rows} rows)"), "ms", took));
    }
    auditor.close().await?;
    log.close().await;
    Ok(lines)
}

/// The questions of the guide with the first words of what stands before each.
fn blocks() -> Vec<(String, &'static str)> {
    let mut parts = GUIDE.split("```sql\n");
    let mut before = parts.next().unwrap_or_default();
    let mut blocks = Vec::new();
    for part in parts {
        let (question, after) = part.split_once("\n```").unwrap_or((part, ""));
        let paragraph = before.trim_end().rsplit("\n\n").next().unwrap_or_default();
        let title: String = paragraph.split(['.', ':', ';']).next().unwrap_or_default().replace('\n', " ");
        blocks.push((title, question));
        before = after;
    }
    blocks
}

/// Fetches the whole answer and keeps none of it; how many rows it had.
async fn ask(auditor: &mut PgConnection, question: &'static str) -> Result<u64> {
    let mut answer = sqlx::query(AssertSqlSafe(question)).fetch(auditor);
    let mut rows = 0;
    while answer.try_next().await?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

/// The requests of the year, and the salts that are kept.
async fn working_tables(log: &Log, year: Year) -> Result<()> {
    let mut connection = PgConnection::connect_with(&log.options).await?;
    // The owner of the data sets up what a year of service would have left; triggers ask how each row came about.
    sqlx::raw_sql(
        "SET session_replication_role = replica;
         INSERT INTO audit_private.actor (actor_id, name) VALUES ('person:0123456789abcdef0123456789abcdef', 'anna')",
    )
    .execute(&mut connection)
    .await?;
    let numbers: Vec<u64> = (0..year.requests).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let requests = numbers.iter().map(|number| year.request(*number)).collect::<Result<Vec<_>>>()?;
        sqlx::query(
            "INSERT INTO dsrd.request (organisation_id, request_id, reference, kind, origin, channel, language, policies,
                                       producer, idempotency_key, received_at, inserted_at, due_on, state, outcome,
                                       procedure_version, executed_at, verified_at, informed_at, closed_at, policies_named)
             SELECT 'main', id, 'DSR-' || upper(left(md5(id::text), 4)) || '-' || upper(substr(md5(id::text), 5, 12)), kind,
                    'subject', 'web', 'en', '{}', 'web_form', id::text, at, at, (at + interval '28 days')::date, 'closed',
                    outcome, 1, at, at, closed_at, closed_at, true
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
                  AS given (id, kind, outcome, at, closed_at)",
        )
        .bind(requests.iter().map(|request| request.id()).collect::<Vec<_>>())
        .bind(requests.iter().map(|request| request.kind()).collect::<Vec<_>>())
        .bind(requests.iter().map(|request| request.outcome()).collect::<Vec<_>>())
        .bind(requests.iter().map(|request| request.received_at).collect::<Vec<_>>())
        .bind(requests.iter().map(|request| request.closed_at()).collect::<Vec<_>>())
        .execute(&mut connection)
        .await?;
        let kept = requests.iter().filter(|request| request.number >= year.requests / FORGOTTEN);
        sqlx::query(
            "INSERT INTO audit_private.subject (organisation_id, case_id, tag, key_epoch, salt, erase_after, kind, commitment)
             SELECT 'main', id, sha256(convert_to(id::text, 'UTF8')), 1, sha256(convert_to('salt' || id, 'UTF8')),
                    'infinity', 'email', sha256(convert_to('commitment' || id, 'UTF8'))
             FROM unnest($1::uuid[]) AS id",
        )
        .bind(kept.map(|request| request.id()).collect::<Vec<_>>())
        .execute(&mut connection)
        .await?;
    }
    // Each by itself: a vacuum cannot run inside a transaction, and several statements at once are one.
    for statement in ["VACUUM ANALYZE dsrd.request", "VACUUM ANALYZE audit_private.subject", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}
