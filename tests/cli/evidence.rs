//! Evidence taken out and checked, and figures, at the command line.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::TimeDelta;
use dsrd::domain::{Clock as _, SystemClock};
use dsrd_simulator::ContactSpec;
use sha2::Digest as _;
use sqlx::ConnectOptions as _;

use crate::database::TestDatabase;
use crate::program::{Scene, dsrd, run};

/// A day so many days from today: what has to be in time is in time whenever the test runs.
fn day(from_today: i64) -> String {
    (SystemClock.now() + TimeDelta::days(from_today)).date_naive().to_string()
}

/// A fulfilled access request and a withdrawn opt-out; answers with the references.
async fn answered() -> (TestDatabase, Scene, Vec<String>) {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let organisation = scene.simulator.organisation("main");
    let contact =
        ContactSpec::new().name("Canarino", "Prova").email("canarino.prova@posta.example").events(3);
    let _contact = organisation.add_contact(contact);
    let references = ["access", "opt_out"].map(|kind| {
        let request = serde_json::json!({
            "kind": kind, "channel": "email", "received_at": format!("{}T10:00:00Z", day(-6)),
            "identifiers": { "email": "canarino.prova@posta.example" }, "idempotency_key": kind,
        });
        let submit = &["--json", "request", "submit", "--from", "-"];
        let receipt = run(&mut scene.command(submit), &request.to_string()).expect(0).json();
        receipt["reference"].as_str().unwrap().to_owned()
    });
    scene.run(&["request", "withdraw", &references[1]]).expect(0);
    let mut daemon = scene.serve();
    daemon.wait_for("request closed");
    daemon.signal("-TERM");
    let (status, log) = daemon.finish();
    assert!(status.success(), "{log}");
    (database, scene, references.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_goes_into_a_file_or_to_whoever_reads_standard_output() {
    let (_database, scene, references) = answered().await;
    let out = scene.path("package.zip");
    scene.run(&["request", "package", &references[0], "--out", out.to_str().unwrap()]).expect(0);
    // The command of another account writes no file that its caller could read.
    let piped = scene.command(&["request", "package", &references[0], "--out", "-"]).output().unwrap();
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    assert!(piped.stdout.starts_with(b"PK"));
    assert_eq!(piped.stdout, fs::read(&out).unwrap(), "the archive and nothing else");
    let log = scene.run(&["--json", "audit", "list", "--action", "package.opened"]).expect(0).json();
    assert_eq!(log.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_and_exports_go_to_whoever_reads_standard_output_and_are_recorded_before() {
    let (_database, scene, references) = answered().await;
    let piped = |arguments: &[&str]| {
        let output = scene.command(arguments).output().unwrap();
        (output.status.code(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let told = |action: &str| {
        let entries = scene.run(&["--json", "audit", "list", "--action", action]).expect(0).json();
        let of_detail = |entry: &serde_json::Value| entry["detail"]["sha256"].as_str().unwrap().to_owned();
        entries.as_array().unwrap().iter().map(of_detail).collect::<Vec<_>>()
    };
    let sha256 = |bytes: &[u8]| hex::encode(sha2::Sha256::digest(bytes));
    let (code, archive, said) = piped(&["evidence", "--case", &references[0], "--out", "-"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(archive.starts_with(b"PK") && said.contains(&sha256(&archive)), "{said}");
    assert_eq!(told("evidence.taken"), [sha256(&archive)]);
    let file = scene.path("evidence.zip");
    fs::write(&file, &archive).unwrap();
    run(&mut dsrd(&["evidence", "verify", file.to_str().unwrap()]), "").expect(0);

    let (code, lines, said) = piped(&["audit", "export", "--as", "csv", "--out", "-"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        String::from_utf8_lossy(&lines).contains("request.closed"),
        "{}",
        String::from_utf8_lossy(&lines)
    );
    assert_eq!(told("log.exported"), [sha256(&lines)]);
    let (code, nothing, said) = piped(&["audit", "export", "--as", "tiles", "--out", "-"]);
    assert!(code == Some(2) && nothing.is_empty() && said.contains("directory"), "{said}");
    assert_eq!(told("log.exported").len(), 1, "nothing was taken");
    let left = crate::program::files(&scene.path("data/packages"));
    assert!(left.iter().all(|name| name.ends_with(".zip.age")), "{left:?}");
}

fn unpack(archive: &Path, into: &Path) -> Vec<String> {
    let mut archive = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    fs::create_dir(into).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let name = String::from_utf8(file.name_raw().to_vec()).unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            fs::write(into.join(&name), content).unwrap();
            name
        })
        .collect()
}

fn sha256sum(folder: &Path) -> bool {
    let mut command = Command::new("sha256sum");
    command.args(["-c", "--quiet", "SHA256SUMS"]).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// Packs a folder as a forger would: with hashes that fit.
fn pack(folder: &Path, archive: &Path) {
    let hash = |name: &str| {
        let output = Command::new("sha256sum").arg(name).current_dir(folder).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let names: Vec<String> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap().to_owned())
        .collect();
    for (index, name) in names.iter().enumerate() {
        manifest["files"][index]["sha256"] = hash(name).into();
    }
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    let listed = names.iter().map(String::as_str).chain(["manifest.json"]);
    let sums: Vec<String> = listed.map(|name| format!("{}  {name}", hash(name))).collect();
    fs::write(folder.join("SHA256SUMS"), sums.join("\n") + "\n").unwrap();
    let mut zip = zip::ZipWriter::new(fs::File::create_new(archive).unwrap());
    for name in names.iter().map(String::as_str).chain(["manifest.json", "SHA256SUMS"]) {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&fs::read(folder.join(name)).unwrap()).unwrap();
    }
    zip.finish().unwrap();
}

/// Packs a folder with one file more in front, of another content and under the name of one that is there: written under a
/// name of the same length, because a writer of archives refuses the second.
fn pack_beside(folder: &Path, written_as: &str, named: &str, archive: &Path) {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut add = |name: &str, content: &[u8]| {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    };
    add(written_as, b"{}\n");
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        add(file.file_name().to_str().unwrap(), &fs::read(file.path()).unwrap());
    }
    let mut bytes = zip.finish().unwrap().into_inner();
    let places: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(written_as.as_bytes())).collect();
    assert_eq!(places.len(), 2, "before the content and in the directory");
    for at in places {
        bytes[at..at + named.len()].copy_from_slice(named.as_bytes());
    }
    fs::write(archive, bytes).unwrap();
}

/// Says of an unpacked bundle that it was taken when everything in it was long settled. That is not signed, and more is compared then.
fn taken_an_hour_later(folder: &Path) {
    let path = folder.join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["taken_at"] = (SystemClock.now() + TimeDelta::hours(1)).to_rfc3339().into();
    fs::write(path, manifest.to_string()).unwrap();
}

/// Packs a forged folder and says what is found.
fn findings(scene: &Scene, number: usize) -> String {
    let forged = scene.path(&format!("forged-{number}.zip"));
    let folder = scene.path(&format!("forged-{number}"));
    pack(&folder, &forged);
    assert!(sha256sum(&folder), "the forger's sums fit");
    let checked = run(&mut dsrd(&["--json", "evidence", "verify", forged.to_str().unwrap()]), "").expect(4);
    checked.json()["findings"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn r_70_evidence_opens_offline_proves_itself_and_names_nobody() {
    let (_database, scene, references) = answered().await;
    let path = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let out = path("case.zip");
    let taken = scene.run(&["--json", "evidence", "--case", &references[0], "--out", &out]).expect(0).json();
    assert_eq!(taken["cases"], 1);
    assert!(taken["entries"].as_u64().unwrap() > 5, "{taken}");
    scene.run(&["evidence", "--case", &references[0], "--out", &out]).expect(5);

    let folder = scene.path("case");
    let names = unpack(&scene.path("case.zip"), &folder);
    assert_eq!(
        names,
        [
            "cases.ndjson",
            "log.ndjson",
            "checkpoint",
            "log.policy",
            "README.txt",
            "manifest.json",
            "SHA256SUMS"
        ]
    );
    assert!(sha256sum(&folder), "plain sha256sum agrees");
    let everything: String =
        names.iter().map(|name| fs::read_to_string(folder.join(name)).unwrap().to_lowercase()).collect();
    assert!(!everything.contains("canarino") && !everything.contains("posta.example"), "it names nobody");
    assert!(
        everything.contains("\"outcome\":\"fulfilled\"")
            && everything.contains(&references[0].to_lowercase())
    );

    // Whoever receives it has neither configuration nor database.
    let verify = |file: &str, more: &[&str]| {
        run(&mut dsrd(&[&["--json", "evidence", "verify", file], more].concat()), "")
    };
    let checked = verify(&out, &[]).expect(0);
    assert!(checked.stderr.contains("no --policy was given"));
    let checked = checked.json();
    assert!(checked["borne_out"].as_u64().unwrap() >= 3, "outcome, package and notices: {checked}");
    let policy = folder.join("log.policy");
    verify(&out, &["--policy", policy.to_str().unwrap()]).expect(0);

    // The taking itself stands in the log, with the hash of the file.
    let found = scene.run(&["--json", "audit", "search", "--action", "evidence.taken"]).expect(0).json();
    assert_eq!(found[0]["detail"]["sha256"], taken["sha256"]);
    assert_eq!(found.as_array().unwrap().len(), 1, "a refused one is not taken");

    // A period holds both requests, and the log bears them out.
    let all = path("period.zip");
    let period = ["--since", "2000-01-01", "--until", "2100-01-01", "--out", all.as_str()];
    let taken = scene.run(&[&["--json", "evidence"], period.as_slice()].concat()).expect(0).json();
    assert_eq!((&taken["cases"], &taken["cases_purged"]), (&2.into(), &0.into()));
    verify(&all, &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_70_a_bundle_names_no_member_of_staff() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    let request = serde_json::json!({
        "kind": "erasure", "channel": "letter", "received_at": format!("{}T10:00:00Z", day(-6)),
        "identifiers": { "phone": "+39 333 1234567" }, "idempotency_key": "letter",
    });
    let submit = &["--json", "request", "submit", "--from", "-"];
    let receipt = run(&mut scene.command(submit), &request.to_string()).expect(0).json();
    let reference = receipt["reference"].as_str().unwrap();
    scene.run(&["decide", "identity", reference, "--method", "in_person"]).expect(0);
    let out = scene.path("case.zip");
    scene.run(&["evidence", "--case", reference, "--out", out.to_str().unwrap()]).expect(0);
    let folder = scene.path("case");
    unpack(&out, &folder);
    let cases = fs::read_to_string(folder.join("cases.ndjson")).unwrap();
    let case: serde_json::Value = serde_json::from_str(&cases).unwrap();
    let proof = &case["identity"][0];
    assert_eq!((&proof["method"], &proof["recorded_by"]), (&"in_person".into(), &"person".into()));
    assert!(!cases.contains("person:"), "{cases}");
    run(&mut dsrd(&["evidence", "verify", out.to_str().unwrap()]), "").expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_72_forged_evidence_is_found_although_its_hashes_fit() {
    let (_database, scene, references) = answered().await;
    let out = scene.path("case.zip");
    scene.run(&["evidence", "--case", &references[0], "--out", out.to_str().unwrap()]).expect(0);
    let forge = |number: usize, file: &str, from: &str, to: &str| {
        let folder = scene.path(&format!("forged-{number}"));
        unpack(&out, &folder);
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(from), "{file} holds {from}: {text}");
        fs::write(folder.join(file), text.replacen(from, to, 1)).unwrap();
        assert!(!sha256sum(&folder), "an edited file is found by sha256sum");
        findings(&scene, number)
    };
    // The case says another outcome than the log.
    assert!(
        forge(1, "cases.ndjson", "\"outcome\":\"fulfilled\"", "\"outcome\":\"fulfilled_no_data\"")
            .contains("outcome")
    );
    // An entry says another thing than was signed.
    assert!(forge(2, "log.ndjson", "request.closed", "request.parked").contains("not proven"));
    // The head says another root than was signed.
    let note = fs::read_to_string(scene.path("forged-1").join("checkpoint")).unwrap();
    let root = note.lines().nth(2).unwrap();
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert!(forge(3, "checkpoint", root, other).contains("not signed"));
    // The same where what would be compared is moved to a time of which the bundle says that it is not about: that is not signed.
    let edit = |number: usize, file: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        let folder = scene.path(&format!("forged-{number}"));
        unpack(&out, &folder);
        taken_an_hour_later(&folder);
        let path = folder.join(file);
        let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut json);
        fs::write(path, json.to_string() + "\n").unwrap();
        findings(&scene, number)
    };
    let (cases, manifest) = ("cases.ndjson", "manifest.json");
    let moved = |case: &mut serde_json::Value| {
        case["facts"]["outcome"] = "refused".into();
        case["facts"]["closed_at"] = "1999-01-01T00:00:00Z".into();
    };
    assert!(edit(4, cases, &moved).contains("says otherwise than its outcome"));
    let open = |case: &mut serde_json::Value| {
        case["facts"]["outcome"] = serde_json::Value::Null;
        case["facts"]["closed_at"] = serde_json::Value::Null;
    };
    assert!(edit(5, cases, &open).contains("says otherwise than its outcome"));
    let period = serde_json::json!({ "since": "1999-01-01T00:00:00Z", "until": "1999-02-01T00:00:00Z" });
    let about = |json: &mut serde_json::Value| json["scope"] = serde_json::json!({ "period": period });
    assert!(edit(6, manifest, &about).contains("is not of the period"));
    // What the log tells of is taken out of the case.
    let nothing = || serde_json::json!([]);
    assert!(edit(7, cases, &|case| case["packages"] = nothing()).contains("tells of a package"));
    assert!(edit(8, cases, &|case| case["notices"] = nothing()).contains("tells of the notice"));
    // A time of taking that would leave all of this uncompared is refuted by the entries.
    let early = |json: &mut serde_json::Value| json["taken_at"] = "1999-01-01T00:00:00Z".into();
    assert!(edit(9, manifest, &early).contains("later than the bundle says"));
    // Nothing of that was wrong with the bundle itself, when it is taken later.
    let honest = scene.path("honest");
    unpack(&out, &honest);
    taken_an_hour_later(&honest);
    pack(&honest, &scene.path("honest.zip"));
    let archive = scene.path("honest.zip");
    run(&mut dsrd(&["--json", "evidence", "verify", archive.to_str().unwrap()]), "").expect(0);
    // Programs differ in which of two files of one name they unpack: none may stand beside what is checked.
    let doubled = scene.path("doubled.zip");
    pack_beside(&honest, "Cases.ndjson", "cases.ndjson", &doubled);
    let found = run(&mut dsrd(&["--json", "evidence", "verify", doubled.to_str().unwrap()]), "").expect(4);
    assert_eq!(found.json()["findings"].as_array().unwrap().len(), 1, "{found:?}");
    assert!(found.stdout.contains("stands in it twice"), "{found:?}");
    // Nor would be, if the log were kept for a shorter time than the case: that is counted, and no accusation.
    let head = fs::read_to_string(honest.join("log.ndjson")).unwrap().lines().next().unwrap().to_owned();
    fs::write(honest.join("log.ndjson"), head + "\n").unwrap();
    let text = fs::read_to_string(honest.join("manifest.json")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["entries"] = 0.into();
    fs::write(honest.join("manifest.json"), manifest.to_string()).unwrap();
    let archive = scene.path("pruned.zip");
    pack(&honest, &archive);
    let pruned =
        run(&mut dsrd(&["--json", "evidence", "verify", archive.to_str().unwrap()]), "").expect(0).json();
    assert_eq!(pruned["borne_out"], 0);
    assert!(pruned["not_covered"].as_u64().unwrap() >= 3, "{pruned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r_70_a_bundle_with_a_reminder_is_in_order() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    for key in ["first", "reminder"] {
        let request = serde_json::json!({
            "kind": "access", "channel": "email", "received_at": format!("{}T10:00:00Z", day(-6)),
            "identifiers": { "email": "canarino.prova@posta.example" }, "idempotency_key": key,
        });
        let submit = &["--json", "request", "submit", "--from", "-"];
        run(&mut scene.command(submit), &request.to_string()).expect(0);
    }
    let out = scene.path("period.zip");
    let out = out.to_str().unwrap();
    // The first seals what it finds; the second lists the cases of what is sealed.
    scene
        .run(&["evidence", "--since", "2000-01-01", "--until", "2100-01-01", "--out", &format!("{out}.0")])
        .expect(0);
    scene.run(&["evidence", "--since", "2000-01-01", "--until", "2100-01-01", "--out", out]).expect(0);
    let folder = scene.path("period");
    unpack(std::path::Path::new(out), &folder);
    let cases = fs::read_to_string(folder.join("cases.ndjson")).unwrap();
    assert!(cases.contains("\"outcome\":\"superseded\""), "{cases}");
    let checked = run(&mut dsrd(&["--json", "evidence", "verify", out]), "").expect(0).json();
    assert!(checked["borne_out"].as_u64().unwrap() >= 1, "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r_7_figures_for_people_programs_and_spreadsheets() {
    let (_database, scene, _) = answered().await;
    let (since, until) = (day(-25), day(5));
    let period = ["--since", since.as_str(), "--until", until.as_str()];
    let stats = |form: &[&str]| scene.run(&[form, &["stats"], period.as_slice()].concat()).expect(0);
    let figures = stats(&["--json"]).json();
    assert_eq!(figures["all"]["received"], 2);
    assert_eq!(figures["all"]["outcomes"], serde_json::json!({ "fulfilled": 1, "withdrawn": 1 }));
    assert_eq!(figures["by_kind"]["access"]["answered"], 1);
    let shown = stats(&[]).stdout;
    assert!(shown.contains("within 1 month") && shown.contains("(1 of 1)"), "{shown}");
    assert_eq!((&figures["forecast"]["waiting"], &figures["forecast"]["late"]), (&0.into(), &0.into()));
    assert!(shown.contains("no open request waits for the platform"), "{shown}");
    let csv = scene.run(&[&["stats", "--csv"], period.as_slice()].concat()).expect(0).stdout;
    let mut lines = csv.lines();
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    let all: Vec<&str> = lines.next().unwrap().split(',').collect();
    let cell = |name: &str| all[head.iter().position(|each| *each == name).unwrap()];
    assert_eq!((cell("kind"), cell("received"), cell("outcome_withdrawn")), ("all", "2", "1"));
    assert_eq!(lines.count(), 2, "a line for each kind");
    scene.run(&["--json", "stats", "--csv"]).expect(2);
    scene.run(&["stats", "--since", until.as_str(), "--until", since.as_str()]).expect(2);
}
