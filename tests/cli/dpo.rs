//! What a DPO reads at the command line about what came back and about floods.

use std::time::Duration;

use dsrd::domain::{Clock as _, SystemClock};
use dsrd_simulator::ContactSpec;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::database::TestDatabase;
use crate::program::{Scene, run};

const ERASED: &str = "canarino.ritorno@posta.example";
const IMPORTED: &str = "canarino.importato@posta.example";
const OPTED_OUT: &str = "canarino.silenzio@posta.example";

async fn scene() -> (TestDatabase, Scene) {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    (database, scene)
}

fn submit(scene: &Scene, kind: &str, email: &str) -> String {
    let request = serde_json::json!({
        "kind": kind, "channel": "email", "received_at": "2026-11-20T10:00:00Z",
        "identifiers": { "email": email }, "idempotency_key": format!("{kind} {email}"), "assurance": "authenticated_session",
        "assured_at": SystemClock.now(),
    });
    let submit = &["--json", "request", "submit", "--from", "-"];
    let receipt = run(&mut scene.command(submit), &request.to_string()).expect(0).json();
    receipt["reference"].as_str().unwrap().to_owned()
}

/// The daemon works until so many requests are closed.
fn serve_until_closed(scene: &Scene, requests: usize) {
    let mut daemon = scene.serve();
    for _ in 0..requests {
        daemon.wait_for("request closed");
    }
    daemon.signal("-TERM");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
}

/// The cells of the row that begins with a word, or has it in any cell.
fn row<'a>(table: &'a str, word: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {table}"));
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f_39_a_dpo_reads_what_came_back_has_it_done_again_and_leaves_what_another_imported() {
    let (_database, scene) = scene().await;
    let watch = |more: &[&str]| scene.run(&[&["suppression", "watch"], more].concat());
    let json =
        |more: &[&str]| scene.run(&[&["--json", "suppression", "watch"], more].concat()).expect(0).json();
    let nothing = "nothing is looked at again: nobody was erased or opted out lately\n";
    assert_eq!(watch(&[]).expect(0).stdout, nothing);

    let organisation = scene.simulator.organisation("main");
    let old = "2024-05-01T10:00:00Z".parse().unwrap();
    let erased = organisation.add_contact(ContactSpec::new().email(ERASED).created(old));
    let opted_out = organisation
        .add_contact(ContactSpec::new().email(OPTED_OUT).created(old).policy("mktgCommunications", true));
    let _imported_later = organisation.add_contact(ContactSpec::new().email(IMPORTED).created(old));
    let erasure = submit(&scene, "erasure", ERASED);
    let other_erasure = submit(&scene, "erasure", IMPORTED);
    submit(&scene, "opt_out", OPTED_OUT);
    serve_until_closed(&scene, 3);

    let shown = watch(&[]).expect(0).stdout;
    assert!(shown.starts_with("EFFECT"), "nothing was found: {shown}");
    for (effect, contacts) in [("erased", "2"), ("opted out", "1")] {
        let cells = row(&shown, effect);
        assert_eq!(cells[1..5], [contacts, "0 of 0", "-", contacts], "{shown}");
        assert_eq!(*cells.last().unwrap(), "-", "{shown}");
    }
    assert_eq!(watch(&["--now"]).expect(0).stdout.lines().next(), Some("looked at 3: 0 newly found"));

    // One contact is restored as it was, one is imported anew with its old date, and a policy is on again.
    organisation.restore_contact(&erased);
    let imported = organisation.add_contact(ContactSpec::new().email(IMPORTED).created(old));
    organisation.set_policy(&opted_out, "mktgCommunications", true);
    let found = json(&["--now"]);
    assert_eq!(found["looked_now"]["found"], 3, "{found}");
    let applied = found["looked_now"]["applied_again"][0].as_str().unwrap();
    assert!(applied.starts_with("DSR-"), "{found}");
    let open = found["open"].as_array().unwrap();
    assert_eq!((open.len(), found["settled"][0]["again_by"].as_str()), (2, Some(applied)), "{found}");
    let look = |seen: &str| {
        let found = open.iter().find(|each| each["seen"] == seen).unwrap_or_else(|| panic!("{found}"));
        (found["look"].as_str().unwrap().to_owned(), found["reference"].as_str().unwrap().to_owned())
    };
    let (back, of_back) = look("back");
    let (other, of_other) = look("other_contact");
    assert_eq!((&of_back, &of_other), (&erasure, &other_erasure));
    assert_eq!(found["watched"][0]["purpose"], "re_creation", "{found}");

    let shown = watch(&[]).expect(0).stdout;
    assert!(shown.starts_with("to be decided:\nLOOK"), "what waits comes first: {shown}");
    let cells = row(&shown, &back);
    assert_eq!((cells[1], cells[2], cells[4]), (erasure.as_str(), "erased", "back"), "{shown}");
    assert_eq!((cells[6], cells[7]), ("person", "-"), "{shown}");
    assert_eq!(row(&shown, &other)[4], "other_contact", "{shown}");
    assert_eq!(row(&shown, &format!("again by {applied}"))[2], "opted out", "{shown}");
    for said in ["Have it done again with --again LOOK", "Find out whose it is"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert!(!shown.contains("newer_will"), "only what is there is explained: {shown}");

    let refused = watch(&["--again", &other]).expect(5);
    assert!(refused.stderr.contains("another contact than the one that was erased"), "{}", refused.stderr);
    watch(&["--leave", "00000000-0000-0000-0000-000000000000"]).expect(3);
    let left = watch(&["--leave", &other]).expect(0).stdout;
    assert!(
        left.starts_with("1 finding is left as it is, and not reported again\n\nto be decided:"),
        "{left}"
    );
    assert_eq!(row(&left, &other).last(), Some(&"left"), "{left}");
    let again = watch(&["--again", &back]).expect(0).stdout;
    let by = again.strip_prefix("done again by ").and_then(|rest| rest.lines().next()).unwrap().to_owned();
    assert_eq!(*row(&again, &back).last().unwrap(), format!("again by {by}"), "{again}");
    assert!(again.contains("\n\nfound before:\n") && !again.contains("to be decided"), "{again}");
    watch(&["--again", &back]).expect(3);
    serve_until_closed(&scene, 2);
    assert!(!organisation.truth(&erased).unwrap().exists, "erased again");
    assert!(!organisation.truth(&opted_out).unwrap().policy("mktgCommunications").unwrap(), "off again");
    assert!(organisation.truth(&imported).unwrap().exists, "left as it is");

    let everything = format!("{found}{shown}{left}{again}{}", json(&[]));
    assert!(!everything.contains("canarino"), "{everything}");
    let log = scene.run(&["--json", "audit", "list", "--action", "suppression.reappearance_settled"]);
    let log = log.expect(0).json();
    let by_person = |entry: &&serde_json::Value| entry["actor"].as_str().unwrap().starts_with("person:");
    let settled = log.as_array().unwrap();
    assert_eq!((settled.len(), settled.iter().filter(by_person).count()), (3, 2), "{log}");
}

/// Counters are kept by the hour and by the day: what is handed in now must not fall into two.
async fn away_from_the_turn_of_an_hour() {
    let second_of_hour = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() % 3_600;
    if second_of_hour > 3_300 {
        tokio::time::sleep(Duration::from_secs(3_601 - second_of_hour)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s_10_a_dpo_reads_who_handed_in_too_much_what_waits_and_lets_it_begin() {
    let (database, scene) = scene().await;
    let floods = |more: &[&str]| scene.run(&[&["request", "floods"], more].concat());
    assert_eq!(floods(&[]).expect(0).stdout, "nothing was held back in the last 7 days\n");
    assert_eq!(
        floods(&["--release"]).expect(0).stdout,
        "nothing was waiting: nothing was let begin\n\nnothing was held back in the last 7 days\n"
    );
    let text = std::fs::read_to_string(scene.path("dsrd.toml")).unwrap();
    let limits = "[organisation_defaults.flood]\nper_source_per_hour = 5\nper_identifier_per_day = 2\nall_per_hour = 0\n";
    std::fs::write(scene.path("dsrd.toml"), format!("{text}{limits}")).unwrap();

    away_from_the_turn_of_an_hour().await;
    let first = submit(&scene, "access", "canarino@posta.example");
    for kind in ["rectification", "erasure", "opt_out"] {
        submit(&scene, kind, "canarino@posta.example");
    }
    for number in 0..3 {
        submit(&scene, "access", &format!("canarino.{number}@posta.example"));
    }

    let listed = scene.run(&["--json", "request", "floods"]).expect(0).json();
    assert_eq!(
        (&listed["released"], &listed["waiting"]["requests"]),
        (&serde_json::Value::Null, &3.into()),
        "{listed}"
    );
    let windows = listed["windows"].as_array().unwrap();
    let window = |scope: &str| windows.iter().find(|each| each["scope"] == scope).unwrap();
    assert_eq!(
        (&window("source")["accepted"], &window("source")["held_back"]),
        (&7.into(), &2.into()),
        "{listed}"
    );
    // The third and fourth of one person in a day; the fourth is an opt-out, and waits for nothing.
    let identifier = window("identifier");
    assert_eq!((&identifier["accepted"], &identifier["held_back"]), (&4.into(), &1.into()), "{listed}");
    assert_eq!(identifier["about"], first.as_str(), "{listed}");

    let shown = floods(&["--days", "1"]).expect(0).stdout;
    assert!(shown.starts_with("FROM"), "{shown}");
    let cells = row(&shown, "an identifier");
    assert_eq!(cells[1..], ["a day", "an identifier", &format!("that of {first}"), "4", "1", "0"], "{shown}");
    let cells = row(&shown, "a source");
    assert_eq!((cells[1], cells[2]), ("an hour", "a source"), "{shown}");
    assert!(cells[3].ends_with("/email") && cells[4..] == ["7", "2", "0"], "{shown}");
    assert!(shown.contains("\n\n3 requests wait and begin from ") && shown.contains("--release"), "{shown}");

    let released = floods(&["--release"]).expect(0).stdout;
    assert!(released.starts_with("3 requests begin at once\n\nFROM"), "{released}");
    assert!(!released.contains("wait"), "{released}");
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM dsrd.job WHERE run_at > now()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(waiting, 0);
    connection.close().await.unwrap();
    assert!(!format!("{listed}{shown}{released}").contains("canarino"));
    floods(&["--days", "0"]).expect(2);
    floods(&["--organisation", "unknown"]).expect(3);
    let log = scene.run(&["--json", "audit", "list", "--action", "flood.released"]).expect(0).json();
    let counts: Vec<_> = log.as_array().unwrap().iter().map(|entry| &entry["detail"]["requests"]).collect();
    assert_eq!(counts, [0, 3], "{log}");
}
