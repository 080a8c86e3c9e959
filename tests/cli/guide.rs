//! The walk through cases for data protection officers does what it says: its commands run in its order.

use std::collections::BTreeMap;
use std::fs;

use dsrd::domain::{Clock as _, SystemClock};
use dsrd_simulator::ContactSpec;
use sqlx::ConnectOptions as _;

use crate::database::TestDatabase;
use crate::program::{Scene, run};

const GUIDE: &str = include_str!("../../docs/dpo-walkthrough.md");

/// A block of the guide: the words after its three marks, and its lines.
struct Block {
    head: Vec<&'static str>,
    lines: Vec<&'static str>,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut rest = GUIDE;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (head, after) = after.split_once('\n').unwrap();
        let (body, after) = after.split_once("\n```").unwrap();
        blocks.push(Block { head: head.split_whitespace().collect(), lines: body.lines().collect() });
        rest = after;
    }
    blocks
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a name of the guide stands for: the reference, the id or the code in the output of a command.
fn captured(name: &str, output: &str) -> String {
    let found = if name == "TASK" || name == "CODE" {
        // The first cell of the first row under the head.
        output.lines().nth(1).and_then(|line| line.split_whitespace().next())
    } else {
        output.split_whitespace().find(|word| word.starts_with("DSR-"))
    };
    found.unwrap_or_else(|| panic!("no {name} in: {output}")).to_owned()
}

/// Lets the daemon work until nothing is left to do.
fn work(scene: &Scene) {
    let mut daemon = scene.serve();
    daemon.wait_for("ready");
    loop {
        std::thread::sleep(std::time::Duration::from_millis(300));
        // In the order in which a request passes them, so that none is between the two looks.
        let is_empty = |state| {
            let listed = scene.run(&["--json", "request", "list", "--state", state]).expect(0).json();
            listed.as_array().unwrap().is_empty()
        };
        if is_empty("received") && is_empty("in_progress") {
            break;
        }
    }
    daemon.signal("-TERM");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_guide_for_officers_does_what_it_says() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let settings = scene.path("dsrd.toml");
    let mut text = fs::read_to_string(&settings).unwrap();
    text.push_str(
        r#"
[organisations.catalogue]
automated_decisions = "None."
transfers = "None."
complaint_authority = "Garante"
[organisations.catalogue.sections]
profile = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
consents = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
events = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
devices = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
accountings = { purposes = "Wi-Fi", legal_basis = "consent", recipients = "staff", storage_period = "two years", source = "you" }
requests = { purposes = "law", legal_basis = "law", recipients = "nobody", storage_period = "three years", source = "you" }
[[organisations.recipients]]
id = "partner"
name = "Partner"
role = "controller"
categories = ["profile"]
country = "IT"
from = "2020-01-01"
channel = "person"
"#,
    );
    fs::write(&settings, text).unwrap();
    let organisation = scene.simulator.organisation("main");
    for (address, phone) in [
        ("ada@people.example", "+39 333 1111111"),
        ("bea@people.example", "+39 333 1234567"),
        ("bice@people.example", "+39 333 1234567"),
        ("carla@people.example", "+39 333 7654321"),
        ("clara@people.example", "+39 333 7654321"),
        ("dora@people.example", "+39 333 2222222"),
    ] {
        let _contact = organisation.add_contact(ContactSpec::new().email(address).phone(phone).events(1));
    }
    let now = SystemClock.now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let mut names: BTreeMap<&str, String> = BTreeMap::from([("NOW", now)]);
    let (mut commands, mut cases) = (0, 0);
    for block in blocks() {
        let [kind, more @ ..] = block.head.as_slice() else { continue };
        if *kind != "console" {
            fs::write(scene.path(more[0]), block.lines.join("\n")).unwrap();
            continue;
        }
        // A block that the daemon follows: what it says about the outcome is looked at after it worked.
        let works_first = more == ["daemon"] && block.lines[0].contains("request show");
        if works_first {
            work(&scene);
        }
        let mut output = String::new();
        for line in &block.lines {
            if let Some(command) = line.strip_prefix("$ dsrd ") {
                let arguments: Vec<String> = command
                    .split_whitespace()
                    .map(|word| match names.get(word) {
                        Some(value) => value.clone(),
                        None if ["json", "txt", "zip"]
                            .iter()
                            .any(|end| word.ends_with(&format!(".{end}"))) =>
                        {
                            scene.path(word).display().to_string()
                        }
                        None => word.to_owned(),
                    })
                    .collect();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let finished = run(&mut scene.command(&arguments), "");
                assert_eq!(finished.code, 0, "{command}: {}{}", finished.stdout, finished.stderr);
                output = finished.stdout;
                commands += 1;
            } else if let Some(name) = line.strip_prefix("> ") {
                names.insert(name, captured(name, &output));
                cases += usize::from(!["TASK", "CODE"].contains(&name));
            } else {
                let said = words(&output);
                assert!(said.contains(&words(line)), "the guide says {line:?}, and the command: {output}");
            }
        }
        if more == ["daemon"] && !works_first {
            work(&scene);
        }
    }
    assert!(commands >= 18 && cases == 4, "{commands} commands, {cases} requests");
}
