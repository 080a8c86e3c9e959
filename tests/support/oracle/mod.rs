//! The oracle: invariants I-1 to I-10, checked after every service test from independent witnesses: the simulator's
//! journal, the mails that went out, the database, and the times of its commits.
//!
//! One file for each group of promises: what was done to contacts ([`effects`]), what people received ([`answers`]),
//! where personal data and secrets may not be ([`canaries`]), what the log is ([`log`]), how fast the platform was called
//! ([`calls`]). Each check returns the faults that it found; a test fails
//! with all of them at once.

mod answers;
mod calls;
mod canaries;
mod effects;
mod log;

use std::collections::{BTreeMap, BTreeSet};

use dsrd::audit::Entry;
use dsrd::delivery::SentMail;
use dsrd_simulator::Effect;
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::service::TestService;
use super::witness;

/// A piece of every value that tests give to their canary person.
pub(crate) const CANARY: &str = "canarino";

/// A mail that went out.
pub(crate) struct Posted {
    /// With angle brackets.
    pub(crate) message_id: String,
    /// The envelope's recipient, or the only one in the header.
    pub(crate) to: String,
    /// As it crossed the network.
    pub(crate) raw: Vec<u8>,
}

impl Posted {
    /// The secret of its hand-over link, if the text holds one, as the person would copy it.
    fn link(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.raw).replace("=\r\n", "").replace("=3D", "=");
        let (_, rest) = text.split_once("https://privacy.prova.example/handover/")?;
        let secret = rest.split(|each: char| !(each.is_ascii_alphanumeric() || "_-".contains(each))).next();
        secret.map(str::to_owned)
    }
}

impl From<SentMail> for Posted {
    fn from(mail: SentMail) -> Self {
        Self { message_id: mail.message_id, to: mail.to.expose().clone(), raw: mail.raw.expose().clone() }
    }
}

/// A request as stored.
struct Stored {
    kind: String,
    contact: Option<String>,
    policies: Vec<String>,
    outcome: Option<String>,
}

/// What the witnesses say.
struct Evidence<'a> {
    service: &'a TestService,
    /// The whole log, in its order.
    log: Vec<Entry>,
    /// Places in the log of the entries of each request, so that ten thousand requests are checked in minutes.
    of_case: BTreeMap<Uuid, Vec<usize>>,
    /// When each entry of the log was committed.
    commits: BTreeMap<Uuid, i64>,
    /// The simulator's journal, in its order.
    journal: Vec<dsrd_simulator::Entry>,
    /// Places in the journal of the calls that name each contact or had an effect on it.
    of_contact: BTreeMap<String, Vec<usize>>,
    requests: BTreeMap<Uuid, Stored>,
    mails: Vec<Posted>,
    /// What else may hold no canary: outputs and arguments of processes, each with its name.
    said: Vec<(&'static str, String)>,
}

impl Evidence<'_> {
    /// The entries of a request with one of these actions.
    fn of<'a>(&'a self, request: Uuid, actions: &'a [&'a str]) -> impl Iterator<Item = &'a Entry> {
        let places = self.of_case.get(&request).map(Vec::as_slice).unwrap_or_default();
        places
            .iter()
            .map(|place| &self.log[*place])
            .filter(move |entry| actions.contains(&entry.action.as_str()))
    }

    /// The calls that name a contact or had an effect on it.
    fn calls_about(&self, contact: &str) -> impl DoubleEndedIterator<Item = &dsrd_simulator::Entry> {
        let places = self.of_contact.get(contact).map(Vec::as_slice).unwrap_or_default();
        places.iter().map(|place| &self.journal[*place])
    }

    /// When an entry was committed.
    fn committed(&self, entry: &Entry) -> i64 {
        *self.commits.get(&entry.id).expect("the witness saw every entry of the log")
    }
}

/// Fails with everything that is not as promised.
pub(crate) async fn check(service: &TestService) {
    let mails = service.mails.sent().into_iter().map(Posted::from).collect();
    check_with(service, mails, Vec::new()).await;
}

/// The same for a service whose mails went another way, and with what its processes said.
pub(crate) async fn check_with(service: &TestService, mails: Vec<Posted>, said: Vec<(&'static str, String)>) {
    let log = service.audit().await;
    let commits = witness::commits(&service.database.options()).await;
    let requests = requests(service).await;
    let journal = service.simulator.journal().entries();
    let mut of_case: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
    for (place, case) in log.iter().enumerate().filter_map(|(place, entry)| Some((place, entry.case?))) {
        of_case.entry(case).or_default().push(place);
    }
    let mut of_contact: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, call) in journal.iter().enumerate() {
        let concerned = call.contact.as_deref().into_iter().chain(call.effects.iter().map(Effect::contact));
        for contact in concerned.collect::<BTreeSet<_>>() {
            of_contact.entry(contact.to_owned()).or_default().push(place);
        }
    }
    let evidence = Evidence { service, log, of_case, commits, journal, of_contact, requests, mails, said };
    let mut faults = Vec::new();
    faults.extend(every_request_is_somewhere(&evidence).await);
    faults.extend(dates_follow_from_events(service).await);
    faults.extend(effects::only_approved_contacts_were_touched(&evidence));
    faults.extend(effects::every_effect_is_bracketed(&evidence));
    faults.extend(log::has_no_gap(&evidence));
    faults.extend(log::is_verified(&evidence).await);
    faults.extend(effects::success_follows_a_read_back(&evidence));
    let (wrong, contents) = answers::packages_hold_what_is_true(&evidence).await;
    faults.extend(wrong);
    faults.extend(answers::links_go_to_their_contact_only(&evidence).await);
    faults.extend(answers::notices_are_sent_once(&evidence).await);
    faults.extend(canaries::stay_in_their_cage(&evidence, &contents).await);
    faults.extend(nothing_is_left_running(service).await);
    faults.extend(calls::keep_the_limit(&evidence));
    assert!(faults.is_empty(), "the oracle found:\n- {}", faults.join("\n- "));
}

async fn rows(service: &TestService, statement: &'static str) -> Vec<sqlx::postgres::PgRow> {
    let mut connection = service.store.connection().await.expect("a connection");
    sqlx::query(statement).fetch_all(&mut *connection).await.expect("rows")
}

async fn requests(service: &TestService) -> BTreeMap<Uuid, Stored> {
    rows(service, "SELECT request_id, kind, contact_id, policies, outcome FROM dsrd.request")
        .await
        .iter()
        .map(|row| {
            let stored = Stored {
                kind: row.get("kind"),
                contact: row.get("contact_id"),
                policies: row.get("policies"),
                outcome: row.get("outcome"),
            };
            (row.get("request_id"), stored)
        })
        .collect()
}

/// I-1: every request is closed, scheduled, or parked with a reason, and its job agrees; and none that the log says was
/// received has vanished.
async fn every_request_is_somewhere(evidence: &Evidence<'_>) -> Vec<String> {
    let lost = rows(
        evidence.service,
        "SELECT reference, request.state, job.state AS job_state
         FROM dsrd.request LEFT JOIN dsrd.job USING (organisation_id, request_id)
         WHERE (request.state = 'closed') <> (job.job_id IS NULL)
            OR (request.state IN ('manual', 'needs_clarification'))
               <> (coalesce(job.state, '') = 'parked')",
    )
    .await;
    let adrift = lost.iter().map(|row| {
        let job: Option<String> = row.get("job_state");
        format!("I-1: request {} is {} and its job {job:?}", row.get::<String, _>(0), row.get::<String, _>(1))
    });
    let received = evidence.log.iter().filter(|entry| entry.action == "request.received");
    let vanished = received
        .filter_map(|entry| entry.case)
        .filter(|case| !evidence.requests.contains_key(case))
        .map(|case| format!("I-1: request {case} was received and is nowhere"));
    adrift.chain(vanished).collect()
}

/// I-6 of the state machine: the date of every open request is the one that its events give, and the queue hands it out by
/// that date.
async fn dates_follow_from_events(service: &TestService) -> Vec<String> {
    let mut faults = Vec::new();
    let open = rows(
        service,
        "SELECT request.request_id, request.organisation_id, due_on, job.due_at
         FROM dsrd.request JOIN dsrd.job USING (organisation_id, request_id)",
    )
    .await;
    let mut tx = service.store.begin("oracle").await.expect("a transaction");
    for row in open {
        let organisation: String = row.get("organisation_id");
        if organisation != service.controller.id.as_str() {
            continue;
        }
        let request = dsrd::domain::RequestId(row.get("request_id"));
        let stored: chrono::NaiveDate = row.get("due_on");
        let due_at: chrono::DateTime<chrono::Utc> = row.get("due_at");
        let computed = dsrd::intake::dates_from_events(&mut tx, &service.controller, request, false).await;
        let computed = computed.expect("events").map(|dates| dates.conservative);
        if computed != Some(stored) || due_at != service.controller.end_of_day(stored) {
            faults.push(format!("I-6: {request} is due on {stored}, its events say {computed:?}"));
        }
    }
    faults
}

fn files_below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return files };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// I-9: no lease, no open transaction, no half-written file.
async fn nothing_is_left_running(service: &TestService) -> Vec<String> {
    let mut faults = Vec::new();
    let leased = service.depth().await.leased;
    if leased > 0 {
        faults.push(format!("I-9: {leased} jobs are still leased"));
    }
    // With the rights of the owner: others see the states of their own sessions only.
    let mut owner = PgConnection::connect_with(&service.database.options()).await.expect("a connection");
    let open = sqlx::query(
        "SELECT query FROM pg_stat_activity
         WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()",
    )
    .fetch_all(&mut owner)
    .await
    .expect("the sessions");
    owner.close().await.expect("an end");
    faults.extend(
        open.iter().map(|row| format!("I-9: an open transaction after: {}", row.get::<String, _>("query"))),
    );
    let partial = files_below(service.directory.path());
    faults.extend(
        partial
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "partial"))
            .map(|path| format!("I-9: a half-written file {}", path.display())),
    );
    faults
}
