//! Decisions and producers' parked rows at the command line.

use dsrd_simulator::ContactSpec;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::database::TestDatabase;
use crate::program::{Scene, run};

const PHONE: &str = "+39 333 1234567";

/// Three requests by a phone that two contacts share and two rows that are no requests, all parked by the daemon.
/// Returns the references of an erasure, an access and an opt-out.
async fn parked() -> (TestDatabase, Scene, Vec<String>) {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let organisation = scene.simulator.organisation("main");
    for email in ["canarino@posta.example", "canarino@altra.example"] {
        let _contact = organisation.add_contact(ContactSpec::new().email(email).phone(PHONE));
    }
    let references = ["erasure", "access", "opt_out"].map(|kind| {
        let request = serde_json::json!({
            "kind": kind, "channel": "letter", "received_at": "2026-11-20T10:00:00Z",
            "identifiers": { "phone": PHONE }, "idempotency_key": kind,
        });
        let submit = &["--json", "request", "submit", "--from", "-"];
        let receipt = run(&mut scene.command(submit), &request.to_string()).expect(0).json();
        receipt["reference"].as_str().unwrap().to_owned()
    });
    let mut producer = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::raw_sql(
        "SET ROLE dsrd_producer;
         INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email) VALUES
           ('venue-group', 'ticket-1', NULL, '2026-09-01T10:00:00Z', 'web', 'canarino@posta.example'),
           ('venue-group', 'ticket-2', 'access', '2026-11-20T10:00:00Z', 'web', 'canarino at posta')",
    )
    .execute(&mut producer)
    .await
    .unwrap();
    producer.close().await.unwrap();
    let mut daemon = scene.serve();
    daemon.wait_for_each(&[("a producer's row was parked", 2), ("request parked for a person", 3)]);
    daemon.signal("-TERM");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
    (database, scene, references.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn s_6_a_person_chooses_between_masked_contacts() {
    let (_database, scene, references) = parked().await;
    let [erasure, access, opt_out] = references.as_slice() else { panic!("{references:?}") };
    let shown = scene.run(&["request", "show", erasure]).expect(0);
    let next = format!("dsrd decide candidates {erasure}");
    assert!(shown.stdout.contains("what you can do:") && shown.stdout.contains(&next), "{}", shown.stdout);
    assert!(shown.stdout.contains(&format!("dsrd decide refuse {erasure} --ground RF-NN")));
    let shown = scene.run(&["request", "show", opt_out]).expect(0);
    assert!(!shown.stdout.contains("decide refuse"), "{}", shown.stdout);

    let table = scene.run(&["decide", "candidates", erasure]).expect(0);
    assert!(table.stdout.starts_with("CODE"), "{}", table.stdout);
    assert!(table.stdout.contains("email c•••@posta.example, phone +•••67"), "{}", table.stdout);
    let listed = scene.run(&["--json", "decide", "candidates", erasure]).expect(0);
    for finished in [&table, &listed] {
        assert!(!format!("{finished:?}").contains("canarino"), "{finished:?}");
    }
    let listed = listed.json();
    let candidates = listed["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    let code = candidates[0]["code"].as_str().unwrap();
    let of_other = scene.run(&["--json", "decide", "candidates", access]).expect(0).json();
    assert!(of_other["candidates"].as_array().unwrap().iter().all(|other| other["code"] != code));

    let choose = |code: &str, reason: &str| {
        scene.run(&["decide", "choose", erasure, "--contact", code, "--reason", reason])
    };
    choose(code, "because").expect(2);
    let unknown = choose("00000000", "details_match").expect(3);
    assert!(unknown.stderr.contains("dsrd decide candidates"), "{}", unknown.stderr);
    let done = choose(code, "details_match").expect(0);
    assert!(done.stdout.contains("no other is touched"), "{}", done.stdout);
    choose(code, "details_match").expect(5);
    let log = scene.run(&["--json", "audit", "list", "--action", "decision.contact_chosen"]).expect(0).json();
    assert_eq!(log[0]["detail"]["reason"], "details_match");
    assert!(log[0]["actor"].as_str().unwrap().starts_with("person:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s_6_where_nobody_else_can_be_chosen_any_more_nobody_is_sent_to_choose() {
    let (database, scene, references) = parked().await;
    let erasure = references[0].as_str();
    let mut owner = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::query("UPDATE dsrd.request SET park_reason = 'chosen_contact_changed' WHERE reference = $1")
        .bind(erasure)
        .execute(&mut owner)
        .await
        .unwrap();
    let acts = || {
        let shown = scene.run(&["--json", "request", "show", erasure]).expect(0).json();
        let acts = shown["what_you_can_do"].as_array().unwrap().clone();
        acts.into_iter().map(|act| act.as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    };
    assert!(acts().contains("dsrd decide candidates"), "it was not found yet: {}", acts());
    scene.run(&["decide", "candidates", erasure]).expect(0);
    sqlx::query(
        r#"INSERT INTO dsrd.checkpoint (organisation_id, request_id, step, began_at, finished_at, outcome)
           SELECT organisation_id, request_id, 'locate', now(), now(), '{"v": 1}' FROM dsrd.request WHERE reference = $1"#,
    )
    .bind(erasure)
    .execute(&mut owner)
    .await
    .unwrap();
    owner.close().await.unwrap();
    let acts = acts();
    assert!(!acts.contains("dsrd decide candidates") && !acts.contains("dsrd decide choose"), "{acts}");
    for said in [
        format!(
            "if the profile carries an identifier of the request again, then: dsrd request resume {erasure}"
        ),
        format!("nobody else can be chosen for it any more: dsrd request withdraw {erasure}"),
        "hand in a new request with the identifiers as they are now: dsrd request submit".to_owned(),
        format!("or refuse it on a ground of the law: dsrd decide refuse {erasure}"),
    ] {
        assert!(acts.contains(&said), "{said}: {acts}");
    }
    for refused in [
        scene.run(&["decide", "candidates", erasure]),
        scene.run(&["decide", "choose", erasure, "--contact", "00000000", "--reason", "told_by_person"]),
    ] {
        let refused = refused.expect(5);
        assert!(refused.stderr.contains("no other can be chosen for it any more"), "{}", refused.stderr);
        assert!(refused.stderr.contains("dsrd request show"), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_12_4_a_refusal_needs_a_ground_of_the_kind_and_its_facts() {
    let (_database, scene, references) = parked().await;
    let [erasure, access, opt_out] = references.as_slice() else { panic!("{references:?}") };
    let refuse = |reference: &str, ground: &str, facts: Option<&str>| {
        let mut arguments = vec!["decide", "refuse", reference, "--ground", ground];
        arguments.extend(facts.map(|_| ["--facts-file", "-"]).into_iter().flatten());
        run(&mut scene.command(&arguments), facts.unwrap_or_default())
    };
    let never = refuse(opt_out, "RF-02", Some("Ten requests a week.")).expect(5);
    assert!(never.stderr.contains("never refused"), "{}", never.stderr);
    let wrong = refuse(access, "RF-08", Some("A statute.")).expect(2);
    assert!(wrong.stderr.contains("RF-01, RF-02, RF-03, RF-04, RF-06, RF-16, RF-17"), "{}", wrong.stderr);
    let silent = refuse(erasure, "RF-08", None).expect(2);
    assert!(silent.stderr.contains("--facts-file: which statute"), "{}", silent.stderr);
    refuse(erasure, "RF-99", None).expect(2);
    refuse(erasure, "RF-08", Some(&"x".repeat(401))).expect(2);
    let done = refuse(erasure, "RF-08", Some("Section 147 of the tax code; invoices; until 2036.")).expect(0);
    assert!(done.stdout.contains("when the mail server has taken the notice"), "{}", done.stdout);
    refuse(erasure, "RF-08", Some("Again.")).expect(5);
    let shown = scene.run(&["request", "show", erasure]).expect(0);
    assert!(shown.stdout.contains("RF-08"), "{}", shown.stdout);
    refuse("DSR-AAAA-AAAA", "RF-17", Some("A complaint about the coffee.")).expect(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_18_a_code_that_staff_was_told_is_refused_with_what_to_do() {
    let (_database, scene, references) = parked().await;
    let take = |more: &[&str]| {
        let mut arguments = vec!["decide", "identity", references[0].as_str()];
        arguments.extend(more);
        scene.run(&arguments)
    };
    take(&[]).expect(2);
    take(&["--code", "12345678", "--method", "in_person"]).expect(2);
    let short = take(&["--code", "1234"]).expect(5);
    assert!(short.stderr.contains("a code has eight digits"), "{}", short.stderr);
    // Not in the list of processes: from standard input.
    let piped = |more: &[&str], input: &str| {
        let mut arguments = vec!["decide", "identity", references[0].as_str()];
        arguments.extend(more);
        run(&mut scene.command(&arguments), input)
    };
    for form in [&["--code", "-"][..], &["--code"]] {
        let short = piped(form, "1234\n").expect(5);
        assert!(short.stderr.contains("a code has eight digits"), "{}", short.stderr);
        let none = piped(form, " 1234-5678 \nmore\n").expect(5);
        assert!(none.stderr.contains("has no code that works"), "{}", none.stderr);
        piped(form, "").expect(5);
    }
    let none = take(&["--code", "1234-5678"]).expect(5);
    assert!(none.stderr.contains("has no code that works"), "{}", none.stderr);
    assert!(none.stderr.contains("dsrd request ask-again DSR-"), "{}", none.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_20_california_staff_states_what_was_compared_and_where_the_declaration_is_kept() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let settings = scene.path("dsrd.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replacen("contact = ", "regime = \"US-CA\"\ncontact = ", 1)).unwrap();
    let request = serde_json::json!({
        "kind": "access", "channel": "letter", "received_at": "2026-11-20T10:00:00Z",
        "identifiers": { "phone": PHONE }, "idempotency_key": "letter-1",
    });
    scene.run(&["migrate"]).expect(0);
    let submit = &["--json", "request", "submit", "--from", "-"];
    let receipt = run(&mut scene.command(submit), &request.to_string()).expect(0).json();
    let reference = receipt["reference"].as_str().unwrap();
    let take = |more: &str| {
        let mut arguments = vec!["decide", "identity", reference];
        arguments.extend(more.split_whitespace());
        scene.run(&arguments)
    };
    let none = take("--method in_person").expect(2);
    assert!(
        none.stderr.contains("needs 3 matching points and a declaration signed under penalty of perjury"),
        "{}",
        none.stderr
    );
    let same = take("--method in_person --matched email --matched email --matched venue").expect(2);
    assert!(same.stderr.contains("2 different fields were named"), "{}", same.stderr);
    let three = "--method in_person --matched email --matched venue --matched date_of_visit";
    let unsigned = take(three).expect(2);
    assert!(
        unsigned.stderr.contains("--declaration") && unsigned.stderr.contains("--declared-on"),
        "{}",
        unsigned.stderr
    );
    take(&format!("{three} --declaration file-118")).expect(2);
    take(&format!("{three} --declared-on 2026-11-20")).expect(2);
    take("--method in_person --matched birth_date --matched name").expect(2);
    take("--code 12345678 --matched email").expect(2);
    let ahead = take(&format!("{three} --declaration file-118 --declared-on 2999-01-01")).expect(2);
    assert!(ahead.stderr.contains("still to come"), "{}", ahead.stderr);
    let shown = scene.run(&["--json", "request", "show", reference]).expect(0).json();
    assert_eq!((&shown["proofs"], &shown["declaration"]), (&serde_json::json!([]), &serde_json::Value::Null));

    take(&format!("{three} --declaration file-118 --declared-on 2026-11-20")).expect(0);
    let shown = scene.run(&["--json", "request", "show", reference]).expect(0).json();
    assert_eq!(shown["matching_points"], serde_json::json!(["date_of_visit", "email", "venue"]));
    assert_eq!(
        shown["declaration"],
        serde_json::json!({ "reference": "file-118", "signed_on": "2026-11-20" })
    );
    assert_eq!(
        (&shown["proofs"][0]["matching_points"], &shown["proofs"][0]["declaration"]),
        (&3.into(), &true.into())
    );
    let table = scene.run(&["request", "show", reference]).expect(0).stdout;
    assert!(table.contains("compared: date_of_visit, email, venue"), "{table}");
    assert!(
        table.contains("declaration under penalty of perjury: file-118, signed on 2026-11-20"),
        "{table}"
    );
    let log = scene.run(&["--json", "audit", "list", "--action", "identity.checked"]).expect(0);
    assert!(!log.stdout.contains("file-118") && !log.stdout.contains("venue\""), "{}", log.stdout);
    assert_eq!(log.json()[0]["detail"]["matching_points"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_rows_are_listed_with_their_due_dates_shown_masked_and_handed_in_corrected() {
    let (_database, scene, _) = parked().await;
    let table = scene.run(&["request", "parked", "list"]).expect(0);
    assert!(table.stdout.contains("2026-10-01 OVERDUE"), "{}", table.stdout);
    let rows = scene.run(&["--json", "request", "parked", "list"]).expect(0).json();
    let same = scene.run(&["--json", "request", "list", "--parked-rows"]).expect(0).json();
    assert_eq!(rows, same);
    let one = scene.run(&["request", "parked", "list", "--limit", "1"]).expect(0);
    assert!(one.stdout.contains("ticket-1") && !one.stdout.contains("ticket-2"), "{}", one.stdout);
    assert!(one.stderr.contains("1 more; raise --limit to see them"), "{}", one.stderr);
    let number = |key: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["idempotency_key"] == key).unwrap();
        row["intake"].to_string()
    };
    let (first, second) = (number("ticket-1"), number("ticket-2"));
    let shown = scene.run(&["request", "parked", "show", &first]).expect(0);
    assert!(shown.stdout.contains("c•••@posta.example"), "{}", shown.stdout);
    assert!(shown.stdout.contains(&format!("dsrd request parked release {first}")), "{}", shown.stdout);
    assert!(!format!("{table:?}{shown:?}").contains("canarino"));
    let revealed = scene.run(&["--json", "request", "parked", "show", &first, "--reveal"]).expect(0).json();
    assert_eq!(revealed["columns"]["email"], "canarino@posta.example");
    let log = scene.run(&["--json", "audit", "list", "--action", "intake.read"]).expect(0).json();
    let read: Vec<_> = log.as_array().unwrap().iter().map(|entry| &entry["detail"]["revealed"]).collect();
    assert_eq!(read, [false, true]);

    scene.run(&["request", "parked", "release", &first]).expect(2);
    let late = [
        "request",
        "parked",
        "release",
        &first,
        "--kind",
        "erasure",
        "--received-at",
        "2026-11-20T10:00:00Z",
    ];
    let stands = scene.run(&late).expect(5);
    assert!(stands.stderr.contains("received_at"), "{}", stands.stderr);
    let receipt =
        scene.run(&["--json", "request", "parked", "release", &first, "--kind", "erasure"]).expect(0).json();
    assert_eq!(receipt["due_on"], "2026-10-01", "the clock never restarts");
    let reference = receipt["reference"].as_str().unwrap();
    scene.run(&["request", "show", reference]).expect(0);

    let release = ["--json", "request", "parked", "release", &second, "--identifiers-from", "-"];
    let bad = run(&mut scene.command(&release), r#"{"mail": "canarino@posta.example"}"#).expect(2);
    assert!(bad.stderr.contains("known keys") && !bad.stderr.contains("canarino"), "{}", bad.stderr);
    run(&mut scene.command(&release), r#"{"email": "canarino@posta.example"}"#).expect(0);
    scene.run(&["request", "parked", "show", &second]).expect(3);
    scene.run(&["request", "parked", "discard", &second, "--reason", "test"]).expect(3);
    scene.run(&["request", "parked", "discard", &second, "--reason", "boring"]).expect(2);
    assert!(
        scene.run(&["--json", "request", "parked", "list"]).expect(0).json().as_array().unwrap().is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_ends_silently_and_a_look_at_contacts_stands_in_the_log() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    // Registers the organisation.
    scene.run(&["retention", "list"]).expect(0);
    let mut owner = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO dsrd.intake_parked
           (intake_id, organisation_id, producer, idempotency_key, reason, detail, sealed, parked_at, received_at)
         SELECT n, 'venue-group', 'webform', 'ticket-' || n, 'missing_column', 'kind is missing', '\\x00'::bytea, received_at, received_at
         FROM generate_series(1, 101) AS n, LATERAL (SELECT now() - interval '60 days' / n AS received_at) AS came;
         INSERT INTO dsrd.intake_rate (organisation_id, scope, key, window_start, accepted, held_back)
         SELECT 'venue-group', 'source', 'portal/web', now() - interval '1 minute' * n, 9, 1 FROM generate_series(1, 501) AS n;
         INSERT INTO dsrd.sweep (organisation_id, sweep_id, started_at, created_before, state, unclear)
         VALUES ('venue-group', '0193c1a2-0000-7000-8000-000000000001', now(), now(), 'finished', 3);
         INSERT INTO dsrd.sweep_candidate (organisation_id, sweep_id, contact_id, created_at, skipped)
         SELECT 'venue-group', '0193c1a2-0000-7000-8000-000000000001', 'contact-' || n, now(), 'unclear_activity'
         FROM generate_series(1, 3) AS n",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let parked = scene.run(&["request", "parked", "list"]).expect(0);
    let first = parked.stdout.lines().nth(1).unwrap();
    assert!(first.contains("ticket-1 ") && first.contains("OVERDUE"), "{first}");
    assert_eq!(parked.stderr.trim(), "1 more; raise --limit to see them");
    let floods = scene.run(&["--json", "request", "floods"]).expect(0);
    assert_eq!(floods.json()["windows"].as_array().unwrap().len(), 500);
    assert!(floods.stderr.contains("there are more"), "{}", floods.stderr);

    let reviewed = scene.run(&["retention", "review", "--limit", "2"]).expect(0);
    assert_eq!(reviewed.stdout.lines().count(), 2);
    assert_eq!(reviewed.stderr.trim(), "1 more; raise --limit to see them");
    let whole = scene.run(&["retention", "review"]).expect(0);
    assert!(whole.stderr.is_empty(), "{}", whole.stderr);
    let log = scene.run(&["--json", "audit", "list", "--action", "sweep.read"]).expect(0).json();
    let shown: Vec<_> = log.as_array().unwrap().iter().map(|entry| &entry["detail"]["contacts"]).collect();
    assert_eq!(shown, [2, 3]);
}
