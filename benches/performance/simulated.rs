//! The simulated platform in a process of its own, so that its processor time and memory are not the candidate's.
//!
//! The parent writes one command a line, the child answers one JSON line. The child ends with its standard input.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dsrd_simulator::{
    Endpoint, Fault, JournalKeeping, OrganisationHandle, RecordCounts, ScrollIds, Settings, Simulator,
    TokenClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How to reach the simulated platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) base_url: String,
    pub(crate) organisation_id: String,
    pub(crate) client_key: String,
    pub(crate) client_secret: String,
}

/// A person at the simulated platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
}

/// The child.
#[derive(Debug)]
pub(crate) struct Simulated {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) access: Access,
}

impl Simulated {
    /// Starts a simulator with so many generated contacts.
    pub(crate) async fn start(contacts: u32) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["child", "simulator", &contacts.to_string()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start the simulator")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let access = Access {
            base_url: String::new(),
            organisation_id: String::new(),
            client_key: String::new(),
            client_secret: String::new(),
        };
        let mut simulated = Self { child, input, output, access };
        simulated.access = serde_json::from_value(simulated.answer().await?)?;
        Ok(simulated)
    }

    async fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line).await? == 0 {
            bail!("the simulator has ended");
        }
        Ok(serde_json::from_str(&line)?)
    }

    async fn ask(&mut self, command: &str) -> Result<Value> {
        self.input.write_all(format!("{command}\n").as_bytes()).await?;
        self.answer().await
    }

    /// Calls answered so far.
    pub(crate) async fn calls(&mut self) -> Result<u64> {
        self.ask("calls").await?.as_u64().context("no number of calls")
    }

    /// Every call takes so long from now on; 0 for as fast as it can.
    pub(crate) async fn set_latency(&mut self, millis: u64) -> Result<()> {
        self.ask(&format!("latency {millis}")).await.map(|_| ())
    }

    /// People whose e-mail address nobody else has.
    pub(crate) async fn people(&mut self, number: usize) -> Result<Vec<Person>> {
        let people: Vec<Person> = serde_json::from_value(self.ask(&format!("people {number}")).await?)?;
        if people.len() < number {
            bail!("only {} people with an address of their own", people.len());
        }
        Ok(people)
    }

    /// A person with so many events.
    pub(crate) async fn person_with_events(&mut self, events: u64) -> Result<Person> {
        Ok(serde_json::from_value(self.ask(&format!("events {events}")).await?)?)
    }

    /// Ends it.
    pub(crate) async fn end(mut self) -> Result<()> {
        drop(self.input);
        self.child.wait().await?;
        Ok(())
    }
}

/// The child's side.
pub(crate) async fn serve(contacts: u32) -> Result<()> {
    let mut settings = Settings::with_contacts(contacts);
    settings.journal = JournalKeeping::CountersOnly;
    settings.token_claims = TokenClaims::WallClock;
    settings.scroll_ids = ScrollIds::OneForAll;
    settings.scroll_life = Duration::from_hours(1);
    settings.reference = crate::now();
    let simulator = Simulator::start(settings).await?;
    let organisation = simulator.organisation("main");
    tell(&serde_json::to_value(Access {
        base_url: simulator.base_url(),
        organisation_id: organisation.org_id().to_owned(),
        client_key: organisation.client_key().to_owned(),
        client_secret: organisation.client_secret().to_owned(),
    })?)?;
    let mut command = String::new();
    // A blocking read is all that this thread does; the simulator turns on the others.
    while tokio::task::block_in_place(|| {
        command.clear();
        std::io::stdin().read_line(&mut command)
    })? > 0
    {
        let command = command.trim_end();
        let (word, number) = command.split_once(' ').unwrap_or((command, "0"));
        let number: u64 = number.parse()?;
        let answer = match word {
            "calls" => json!(Endpoint::ALL.iter().map(|each| simulator.journal().calls(*each)).sum::<u64>()),
            "latency" => {
                simulator.faults().clear();
                if number > 0 {
                    simulator.faults().inject(Fault::Latency(Duration::from_millis(number)));
                }
                Value::Null
            }
            "people" => serde_json::to_value(unique(&organisation, usize::try_from(number)?))?,
            "events" => {
                let person = unique(&organisation, 1).pop().context("nobody has an address")?;
                let events = u32::try_from(number)?;
                let counts = RecordCounts { events, application_events: 0, devices: 2, accountings: 20 };
                organisation.set_record_counts(&person.id, counts);
                serde_json::to_value(person)?
            }
            other => bail!("unknown command {other}"),
        };
        tell(&answer)?;
    }
    simulator.shutdown().await;
    Ok(())
}

/// People whose address nobody shares; all generated contacts are looked at.
fn unique(organisation: &OrganisationHandle, number: usize) -> Vec<Person> {
    let all: Vec<Person> = (0..)
        .map_while(|index| organisation.contact_id(index))
        .filter_map(|id| {
            let email = organisation.truth(&id)?.identifiers.email;
            Some(Person { id, email })
        })
        .collect();
    let mut times = std::collections::HashMap::<String, u32>::new();
    for person in &all {
        *times.entry(person.email.to_lowercase()).or_default() += 1;
    }
    let alone = |person: &Person| times.get(&person.email.to_lowercase()) == Some(&1);
    all.into_iter().filter(|person| !person.email.is_empty() && alone(person)).take(number).collect()
}

fn tell(answer: &Value) -> Result<()> {
    crate::print_line(&answer.to_string());
    Ok(std::io::stdout().flush()?)
}
