//! The key of the log was stolen: it is exchanged with one command, and the thief's log is told from ours.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::database::TestDatabase;
use crate::program::{Finished, Scene, dsrd, run};

/// A service whose log was signed, and its organisation's directory.
struct Robbed {
    database: TestDatabase,
    scene: Scene,
}

impl Robbed {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
        let robbed = Self { database, scene };
        robbed.grow();
        robbed
    }

    /// Who reads the log is told of in it: it grows, and is sealed with what was read before.
    fn grow(&self) {
        for _ in 0..3 {
            self.scene.run(&["audit", "list"]).expect(0);
        }
    }

    fn path(&self, name: &str) -> String {
        self.scene.path(name).display().to_string()
    }

    fn seeds(&self) -> String {
        fs::read_to_string(self.scene.path("data/keys/audit.key")).unwrap().trim().to_owned()
    }

    fn write_seeds(&self, seeds: &str) {
        fs::write(self.scene.path("data/keys/audit.key"), format!("{seeds}\n")).unwrap();
    }

    fn exchange(&self, file: &str) -> Finished {
        self.scene.run(&["--json", "audit", "key", "rotate", "--stolen", "--takeover", &self.path(file)])
    }

    fn changes(&self) -> Vec<Value> {
        let told = self.scene.run(&["--json", "audit", "list", "--action", "log.key"]).expect(0).json();
        told.as_array().unwrap().clone()
    }

    fn key(&self) -> String {
        let shown = self.scene.run(&["--json", "audit", "key", "show"]).expect(0).json();
        assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");
        shown[0]["verifier_key"].as_str().unwrap().to_owned()
    }

    /// What the auditor does: the new key alone, and the takeover head that was announced.
    fn verified(&self, key: &str, size: &str, source: &[&str]) -> Finished {
        let policy = self.path("new.policy");
        fs::write(&policy, format!("log {key}\nquorum none\n")).unwrap();
        let head = self.path("takeover.txt");
        let plan = ["audit", "verify", "--policy", &policy, "--known-head", &head, "--since", size];
        self.scene.run(&[&plan[..], source].concat())
    }

    /// What a thief has who copied database, data and keys: their configuration and the connection URL of their database.
    async fn copied(&self, name: &str) -> (String, String) {
        let postgres = self.database.options().database("postgres");
        let mut owner = PgConnection::connect_with(&postgres).await.unwrap();
        let options = self.database.options();
        let statement = format!("CREATE DATABASE {name} TEMPLATE {}", options.get_database().unwrap());
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut owner).await.unwrap();
        copy(&self.scene.path("data"), &self.scene.path(name));
        let url = self.path(&format!("{name}.url"));
        fs::write(&url, options.database(name).to_url_lossy().as_str()).unwrap();
        fs::set_permissions(&url, Permissions::from_mode(0o600)).unwrap();
        let ours = fs::read_to_string(self.scene.path("dsrd.toml")).unwrap();
        let theirs = ours
            .replace(&format!("{}\"", self.path("data")), &format!("{}\"", self.path(name)))
            .replace(&self.path("database.url"), &url);
        let config = self.path(&format!("{name}.toml"));
        fs::write(&config, theirs).unwrap();
        (config, url)
    }

    /// Lets the service have another database, as after a restore.
    fn restored_from(&self, name: &str) {
        let url = self.database.options().database(name).to_url_lossy();
        fs::write(self.scene.path("database.url"), url.as_str()).unwrap();
    }

    /// Publishes the newest head, as the daemon does all the time.
    async fn publish(&self) -> String {
        let mut owner = PgConnection::connect_with(&self.database.options()).await.unwrap();
        let note: String =
            sqlx::query_scalar("SELECT note FROM audit.head").fetch_one(&mut owner).await.unwrap();
        fs::create_dir_all(self.scene.path("data/log")).unwrap();
        fs::write(self.scene.path("data/log/checkpoint"), &note).unwrap();
        note
    }

    fn recover(&self, former: &[&str]) -> Finished {
        let named: Vec<&str> = former.iter().flat_map(|key| ["--former-key", key]).collect();
        let plain = ["--json", "audit", "recover", "--after-restore", "--reason", "hardware_failure"];
        self.scene.run(&[&plain[..], &named].concat())
    }

    async fn drop_copy(&self, name: &str) {
        let postgres = self.database.options().database("postgres");
        let mut owner = PgConnection::connect_with(&postgres).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
            .execute(&mut owner)
            .await
            .unwrap();
    }
}

/// Copies a directory with the rights of its files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// How often a log was signed under a head.
fn signatures(head: &str) -> usize {
    head.lines().filter(|line| line.starts_with('\u{2014}')).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_key_is_exchanged_at_once_and_the_thiefs_log_is_found() {
    let ours = Robbed::new().await;
    let (old_seed, old_key) = (ours.seeds(), ours.key());
    ours.scene.run(&["audit", "key", "rotate", "--stolen"]).expect(2);
    ours.scene.run(&["audit", "key", "rotate", "--takeover", "x"]).expect(2);
    let nowhere = ours.exchange("no/such/directory/takeover.txt").expect(5);
    assert!(nowhere.stderr.contains("cannot be written"), "{nowhere:?}");
    assert_eq!((ours.seeds(), ours.key()), (old_seed.clone(), old_key.clone()), "nothing was exchanged");
    let (early_config, early_url) = ours.copied("early_thief").await;

    let done = ours.exchange("takeover.txt").expect(0).json();
    let (size, new_key) = (done["size"].to_string(), done["verifier_key"].as_str().unwrap().to_owned());
    assert_eq!((done["former_verifier_key"].as_str(), ours.key()), (Some(old_key.as_str()), new_key.clone()));
    assert_ne!(new_key, old_key);
    let new_seed = ours.seeds();
    assert!(new_seed.len() == 64 && new_seed != old_seed, "the new seed alone is left");
    let head = fs::read_to_string(ours.scene.path("takeover.txt")).unwrap();
    assert_eq!((signatures(&head), head.lines().nth(1)), (2, Some(size.as_str())), "{head}");
    assert_eq!(head.lines().nth(2), done["root"].as_str());
    let [told] = ours.changes().try_into().unwrap();
    assert_eq!(
        (told["seq"].to_string(), told["detail"]["change"].as_str()),
        (size.clone(), Some("replaced"))
    );
    let tells =
        |key: &str, word: &str| key.ends_with(&format!("+{}", told["detail"][word].as_str().unwrap()));
    assert!(tells(&old_key, "former") && tells(&new_key, "key"), "{told}");
    let (late_config, late_url) = ours.copied("late_thief").await;
    ours.grow();
    ours.verified(&new_key, &size, &[]).expect(0);
    // The old key alone is believed by nobody who was told.
    ours.verified(&old_key, &size, &[]).expect(1);

    // A thief who goes on where the log stood before, until theirs is the longer one.
    let theirs = |config: &str, url: &str| {
        for _ in 0..12 {
            run(dsrd(&["--config", config]).args(["audit", "list"]), "").expect(0);
        }
        let found = ours.verified(&new_key, &size, &["--database-url-file", url]).expect(1);
        assert!(found.stdout.contains("no log's key of the policy signed it"), "{}", found.stdout);
        found.stdout
    };
    let found = theirs(&early_config, &early_url);
    assert!(
        found.contains("are not those that this head was signed for") || found.contains("proof"),
        "{found}"
    );
    // And one who goes on behind the takeover head itself, which the old key signed, too.
    fs::write(ours.scene.path("late_thief/keys/audit.key"), format!("{old_seed}\n")).unwrap();
    let mut superuser =
        PgConnection::connect_with(&ours.database.options().database("late_thief")).await.unwrap();
    // What the catalogue's attestation would tell is left as it was: only the key tells.
    let statement = format!(
        "ALTER TABLE audit.head DISABLE TRIGGER ALL;
         UPDATE audit.head SET verifier_keys = ARRAY['{old_key}'];
         DO $$ DECLARE guard text; BEGIN
           FOR guard IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit.head'::regclass AND NOT tgisinternal LOOP
             EXECUTE format('ALTER TABLE audit.head ENABLE ALWAYS TRIGGER %I', guard);
           END LOOP;
         END $$"
    );
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut superuser).await.unwrap();
    superuser.close().await.unwrap();
    theirs(&late_config, &late_url);
    for name in ["early_thief", "late_thief"] {
        ours.drop_copy(name).await;
    }
}

/// The policy of an auditor who was told of these keys.
fn policy(of: &Robbed, keys: &[&str]) -> String {
    let path = of.path("told.policy");
    let lines: Vec<String> = keys.iter().map(|key| format!("log {key}")).collect();
    fs::write(&path, format!("{}\nquorum none\n", lines.join("\n"))).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_before_an_exchange_of_keys_goes_on_with_the_present_key() {
    let ours = Robbed::new().await;
    let old_key = ours.key();
    // The nightly copy; the key is exchanged during the day, and the copy comes back.
    ours.copied("nightly").await;
    ours.exchange("takeover.txt").expect(0);
    let (new_key, new_seed) = (ours.key(), ours.seeds());
    ours.grow();
    let published = ours.publish().await;
    ours.restored_from("nightly");
    let check = ours.scene.run(&["check"]);
    assert!(check.stdout.contains("recover --after-restore"), "{check:?}");
    let refused = ours.recover(&[]);
    assert!(refused.code != 0 && refused.stderr.contains("--former-key"), "{refused:?}");
    assert!(refused.stderr.contains(&old_key), "{refused:?}");
    // A key that the restored log does not name is none of its.
    let refused = ours.recover(&[&new_key]);
    assert!(refused.code != 0 && refused.stderr.contains("no such former key"), "{refused:?}");
    assert_eq!(ours.key(), old_key, "nothing went on");

    let done = ours.recover(&[&old_key]).expect(0).json();
    let [key] = done["verifier_keys"].as_array().unwrap().as_slice() else { panic!("{done}") };
    let key = key.as_str().unwrap();
    assert_eq!((ours.key().as_str(), ours.seeds()), (key, new_seed));
    let public = |key: &str| key.splitn(3, '+').nth(2).unwrap().to_owned();
    assert_eq!(public(key), public(&new_key), "the present key under the new name");
    let told = ours.scene.run(&["--json", "audit", "list", "--action", "log.restored"]).expect(0).json();
    let detail = &told[0]["detail"];
    assert_eq!(
        (detail["key"].as_str(), detail["former_key"].as_str()),
        (Some(public(key).as_str()), Some(public(&old_key).as_str()))
    );
    // It is sealed and verified as any other, with the keys of each of its times.
    ours.grow();
    ours.scene.run(&["audit", "verify", "--policy", &policy(&ours, &[key, &old_key, &new_key])]).expect(0);
    ours.scene.run(&["audit", "verify", "--policy", &policy(&ours, &[key])]).expect(2);
    ours.scene.run(&["audit", "verify", "--policy", &policy(&ours, &[&old_key])]).expect(1);
    fs::write(ours.scene.path("known.txt"), published).unwrap();
    let known = ours.path("known.txt");
    let told = policy(&ours, &[key, &old_key, &new_key]);
    let lost = ours.scene.run(&["audit", "verify", "--policy", &told, "--known-head", &known]).expect(2);
    assert!(lost.stdout.contains("before that was restored from a copy"), "{}", lost.stdout);
    ours.scene.run(&["audit", "key", "rotate"]).expect(0);
    ours.drop_copy("nightly").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_was_broken_off_is_gone_on_with() {
    let ours = Robbed::new().await;
    let old_seed = ours.seeds();
    // Killed before the log was exchanged, or planned for another day: the thief may have the second seed, too.
    let unnamed = "7".repeat(64);
    ours.write_seeds(&format!("{old_seed} {unnamed}"));
    let done = ours.exchange("takeover.txt").expect(0).json();
    let new_seed = ours.seeds();
    assert!(new_seed.len() == 64 && new_seed != unnamed && new_seed != old_seed);
    let head = fs::read(ours.scene.path("takeover.txt")).unwrap();

    // Killed after the log was exchanged; after the head was written; not at all, but nobody saw the answer.
    for (seeds, is_written) in [
        (format!("{old_seed} {new_seed}"), false),
        (format!("{old_seed} {new_seed}"), true),
        (new_seed.clone(), true),
    ] {
        ours.write_seeds(&seeds);
        if !is_written {
            fs::remove_file(ours.scene.path("takeover.txt")).unwrap();
        }
        ours.grow();
        assert_eq!(ours.exchange("takeover.txt").expect(0).json(), done);
        assert_eq!(
            (ours.seeds(), fs::read(ours.scene.path("takeover.txt")).unwrap()),
            (new_seed.clone(), head.clone())
        );
        assert_eq!(ours.changes().len(), 1);
    }
    ours.verified(&ours.key(), &done["size"].to_string(), &[]).expect(0);

    // Another file is not written over; an exchange with overlap is ended first.
    let other = ours.path("other.txt");
    fs::write(&other, "not a head").unwrap();
    let refused = ours.exchange("other.txt").expect(5);
    assert!(refused.stderr.contains("name a file that does not exist"), "{refused:?}");
    assert_eq!((fs::read_to_string(&other).unwrap().as_str(), ours.changes().len()), ("not a head", 1));
    ours.scene.run(&["audit", "key", "rotate"]).expect(0);
    let refused = ours.exchange("second.txt").expect(5);
    assert!(refused.stderr.contains("key rotate --finish"), "{refused:?}");
    assert!(!ours.scene.path("second.txt").exists());
    ours.scene.run(&["audit", "key", "rotate", "--finish"]).expect(0);
    let third = ours.exchange("second.txt").expect(0).json();
    assert_ne!(third["former_verifier_key"], done["verifier_key"]);
    assert_eq!(ours.changes().len(), 4, "replaced, added, retired, replaced");
}

/// Waits until a process waits for the sealers' lock, which this test has.
async fn is_waited_for(holder: &mut PgConnection) {
    let waits = "SELECT count(*) FROM pg_locks
                 WHERE locktype = 'advisory' AND classid = 7236123 AND objid = 1 AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut *holder).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the end of a process; one that waits for another is ended.
async fn ended(mut child: Child) -> Finished {
    for _ in 0..3_000 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap_or_default();
    let output = child.wait_with_output().unwrap();
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_exchanges_at_once_the_second_is_refused_and_no_seed_is_lost() {
    let ours = Robbed::new().await;
    let (first, second) = (ours.path("first.txt"), ours.path("second.txt"));
    let start = |arguments: &[&str]| {
        let mut command = ours.scene.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let stolen = |file: &str| start(&["--json", "audit", "key", "rotate", "--stolen", "--takeover", file]);
    let mut holder = PgConnection::connect_with(&ours.database.options()).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(7236123, 1)").execute(&mut holder).await.unwrap();

    let at_work = stolen(&first);
    is_waited_for(&mut holder).await;
    for other in
        [stolen(&second), start(&["audit", "key", "rotate"]), start(&["audit", "key", "rotate", "--finish"])]
    {
        let refused = ended(other).await.expect(5);
        let told = format!("(process {}) is at work", at_work.id());
        assert!(refused.stderr.contains(&told) && refused.stderr.contains("wait until"), "{refused:?}");
    }
    sqlx::query("SELECT pg_advisory_unlock(7236123, 1)").execute(&mut holder).await.unwrap();
    let done = ended(at_work).await.expect(0).json();
    assert_eq!((ours.changes().len(), ours.seeds().len()), (1, 64));
    assert_eq!(done["verifier_key"].as_str(), Some(ours.key().as_str()));
    ours.grow();

    // One that is killed in the midst keeps nobody out.
    sqlx::query("SELECT pg_advisory_lock(7236123, 1)").execute(&mut holder).await.unwrap();
    let mut killed = stolen(&second);
    is_waited_for(&mut holder).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    sqlx::query("SELECT pg_advisory_unlock(7236123, 1)").execute(&mut holder).await.unwrap();
    ours.exchange("second.txt").expect(0);
    ours.grow();
    assert_eq!((ours.changes().len(), ours.seeds().len()), (2, 64));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_is_killed_again_and_again_exchanges_once() {
    let ours = Robbed::new().await;
    let (old_key, mut kills) = (ours.key(), 0_u32);
    let file = ours.path("takeover.txt");
    let done = loop {
        let mut command =
            ours.scene.command(&["--json", "audit", "key", "rotate", "--stolen", "--takeover", &file]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(5 + u64::from(kills) * 7));
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            break serde_json::from_slice::<Value>(&output.stdout).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    };
    assert!(kills > 3, "only {kills} kills");
    assert_eq!(done["former_verifier_key"].as_str(), Some(old_key.as_str()));
    assert_eq!((ours.changes().len(), ours.seeds().len()), (1, 64), "after {kills} kills");
    ours.grow();
    ours.verified(&ours.key(), &done["size"].to_string(), &[]).expect(0);
    assert!(!Path::new(&format!("{file}.partial")).exists());
}
