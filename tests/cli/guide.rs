//! The ten cases of the guide for data protection officers do what it says: its commands run in its order, and the mails that
//! it quotes were sent.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{Datelike as _, Months, NaiveDate, TimeDelta};
use dsrd::domain::{Clock as _, SystemClock};
use dsrd_simulator::ContactSpec;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::database::TestDatabase;
use crate::program::{Scene, files, run};

const GUIDE: &str = include_str!("../../docs/dpo-guide.md");
/// Where the ten cases end and the reference begins, whose commands are examples.
const END: &str = "\n# What stands behind it\n";

/// The day on which the guide is read, as it stands there. Every date of its commands and files is moved as far as this one is
/// from today, so that what is in time there is in time whenever the test runs.
const TODAY: &str = "2026-11-26";

/// A text with its dates moved. One of the next year is the end of a term of three months: its beginning is moved.
fn moved(text: &str, by: TimeDelta) -> String {
    let date_at = |at: usize| text.get(at..at + 10).and_then(|date| date.parse::<NaiveDate>().ok());
    let term = Months::new(3);
    let mut whole = String::new();
    let mut rest = 0;
    for (at, _) in text.match_indices("202") {
        if let Some(date) = date_at(at) {
            let moved = if date.year() == 2026 { date + by } else { date - term + by + term };
            whole.push_str(&text[rest..at]);
            whole.push_str(&moved.to_string());
            rest = at + 10;
        }
    }
    whole + &text[rest..]
}

/// A block of the guide: the words after its three marks, and its lines.
struct Block {
    head: Vec<&'static str>,
    lines: Vec<&'static str>,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut rest, _) = GUIDE.split_once(END).unwrap();
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
        let prefix = if name == "HOLD" { "HLD-" } else { "DSR-" };
        output.split_whitespace().find(|word| word.starts_with(prefix)).map(|word| word.trim_end_matches(':'))
    };
    found.unwrap_or_else(|| panic!("no {name} in: {output}")).to_owned()
}

/// The digits that a mail asks the person to type, or to tell staff.
fn code_in(mail: &str) -> String {
    let (_, rest) = mail.split_once("Code: ").expect("a code");
    rest.split_whitespace().take(2).collect()
}

/// What is left to do: requests on their way, notices to be sent, extensions told that do not count yet, erasures for which no
/// hold stands any more.
const LEFT: &str = "SELECT (SELECT count(*) FROM dsrd.request WHERE state IN ('received', 'in_progress'))
    + (SELECT count(*) FROM dsrd.notice WHERE state = 'pending')
    + (SELECT count(*) FROM dsrd.decision WHERE kind = 'extension'
         AND NOT EXISTS (SELECT FROM dsrd.extension WHERE extension.request_id = decision.request_id))
    + (SELECT count(*) FROM dsrd.postponed_erasure AS erasure WHERE resumed_at IS NULL
         AND NOT EXISTS (SELECT FROM dsrd.postponed_by JOIN dsrd.hold USING (organisation_id, hold_id)
                         WHERE postponed_by.request_id = erasure.request_id AND hold.ended_at IS NULL))";

/// Lets the daemon work until nothing is left to do.
async fn work(scene: &Scene, database: &TestDatabase) {
    let mut daemon = scene.serve();
    daemon.wait_for("ready");
    let mut owner = PgConnection::connect_with(&database.options()).await.unwrap();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let left: i64 = sqlx::query_scalar(LEFT).fetch_one(&mut owner).await.unwrap();
        if left == 0 {
            break;
        }
    }
    daemon.signal("-TERM");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
}

/// The mails to an address that the daemon wrote, each with its subject, in one line.
fn mails_to(scene: &Scene, address: &str) -> Vec<String> {
    let directory = scene.path("data").join("mail");
    let mails = files(&directory)
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "eml"));
    let mails = mails.map(|name| fs::read_to_string(directory.join(name)).unwrap());
    let mut found = Vec::new();
    for mail in mails {
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        if head.contains(&format!("To: {address}\r\n")) {
            // The first part is the text; the first line of all says what ends it.
            let (mark, body) = body.split_once("\r\n").unwrap();
            let text = body.split_once("\r\n\r\n").unwrap().1.split(mark).next().unwrap();
            found.push(words(&decoded(text)));
        }
    }
    found
}

/// The text that stands behind quoted-printable.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'=' {
            bytes.push(*first);
        } else if let Some(after) = rest.strip_prefix(b"\r\n") {
            rest = after;
        } else {
            let (digits, after) = rest.split_at(2);
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// An organisation with a partner, and the people of the guide.
async fn scene(database: &TestDatabase) -> Scene {
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
        ("emil@people.example", "+39 333 3333333"),
        ("fina@people.example", "+39 333 4444444"),
        ("gino@people.example", "+39 333 5555555"),
        ("hanna@people.example", "+39 333 6666666"),
    ] {
        let _contact = organisation.add_contact(ContactSpec::new().email(address).phone(phone).events(1));
    }
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_ten_cases_in_the_guide_for_officers_does_what_it_says() {
    let database = TestDatabase::create().await;
    let scene = scene(&database).await;
    let now = SystemClock.now();
    let by = now.date_naive() - TODAY.parse::<NaiveDate>().unwrap();
    let mut names: BTreeMap<&str, String> = BTreeMap::from([
        ("NOW", now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        ("NEXT-MONTH", (now + chrono::TimeDelta::days(30)).date_naive().to_string()),
    ]);
    let (mut commands, mut cases, mut mails) = (0, 0, 0);
    for block in blocks() {
        let [kind, more @ ..] = block.head.as_slice() else { continue };
        if *kind == "mail" {
            let received = mails_to(&scene, more[0]);
            let (taken, said): (Vec<&str>, Vec<&str>) =
                block.lines.iter().partition(|line| line.starts_with("> "));
            let mail = received.iter().find(|mail| said.iter().all(|line| mail.contains(&words(line))));
            let mail =
                mail.unwrap_or_else(|| panic!("no mail to {} says all of {said:?}: {received:#?}", more[0]));
            for name in taken {
                names.insert(&name[2..], code_in(mail));
            }
            mails += 1;
            continue;
        }
        if *kind != "console" {
            fs::write(scene.path(more[0]), moved(&block.lines.join("\n"), by)).unwrap();
            continue;
        }
        // A block that the daemon follows: what it says about the outcome is looked at after it worked.
        let works_first = more == ["daemon"] && block.lines[0].contains("request show");
        if works_first {
            work(&scene, &database).await;
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
                        None => moved(word, by),
                    })
                    .collect();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let finished = run(&mut scene.command(&arguments), "");
                assert_eq!(finished.code, 0, "{command}: {}{}", finished.stdout, finished.stderr);
                output = finished.stdout;
                commands += 1;
            } else if let Some(name) = line.strip_prefix("> ") {
                names.insert(name, captured(name, &output));
                cases += usize::from(!["TASK", "CODE", "HOLD"].contains(&name));
            } else {
                let said = words(&output);
                assert!(
                    said.contains(&words(&moved(line, by))),
                    "the guide says {line:?}, and the command: {output}"
                );
            }
        }
        if more == ["daemon"] && !works_first {
            work(&scene, &database).await;
        }
    }
    // R-70: what an auditor gets of them tells how it was known who asks, and what moved the dates.
    for (name, said) in [
        ("EIGHT", r#""identity":[{"assurance":"verified_channel_loop","method":"code","#),
        ("FIVE", r#""clock":[{"event":"extension","reason":"complexity","#),
    ] {
        let archive = scene.path(&format!("{name}.zip"));
        scene.run(&["evidence", "--case", &names[name], "--out", archive.to_str().unwrap()]).expect(0);
        let mut archive = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
        let cases = std::io::read_to_string(archive.by_name("cases.ndjson").unwrap()).unwrap();
        assert!(cases.contains(said), "{name}: {cases}");
    }
    let numbered = GUIDE.lines().filter(|line| line.starts_with("## ") && line.contains(". ")).count();
    assert_eq!(numbered, 10, "cases");
    assert!(
        commands >= 35 && cases == 9 && mails >= 10,
        "{commands} commands, {cases} requests, {mails} mails"
    );
}
