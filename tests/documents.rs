//! Documents that must not drift from the program: generated files, samples, names of log fields.
//!
//! A stale file is renewed by copying the fresh text, whose path the failing test prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dsrd::config::{self, Sources};

fn project(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn assert_fresh(file: &str, fresh: &str) {
    let committed = std::fs::read_to_string(project(file)).unwrap_or_default();
    if committed != fresh {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Path::new(file).file_name().unwrap());
        std::fs::write(&path, fresh).unwrap();
        panic!("{file} is stale; look at the difference, then: cp {} {file}", path.display());
    }
}

#[test]
fn the_configuration_reference_is_fresh() {
    assert_fresh("config/reference.md", &config::reference());
}

#[test]
fn the_reference_names_the_connections_of_a_daemon() {
    let more = format!("up to {} more", dsrd::daemon::CONNECTIONS_BESIDE_POOL);
    let reference = config::reference();
    let row = reference
        .lines()
        .find(|line| line.starts_with("| `max_connections` | `4` | The most connections of the pool"));
    assert!(row.is_some_and(|row| row.contains(&more)), "{row:?} does not say {more}");
}

#[test]
fn whoever_needs_a_login_is_told_that_the_private_cluster_gives_none() {
    for file in ["operator-runbook.md", "producers.md", "auditor-guide.md", "embedded-database.md"] {
        let text = std::fs::read_to_string(project("docs").join(file)).unwrap();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = words.match_indices("obody but root and the daemon's account can log in").count();
        assert!(said > 0, "docs/{file}");
    }
}

#[test]
fn the_configuration_schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    assert_fresh("config/schema.json", &schema);
}

#[test]
fn the_drawing_of_the_states_is_fresh() {
    assert_fresh("docs/states.md", &dsrd::domain::states_document());
}

#[test]
fn the_comments_of_the_default_file_are_those_of_the_program() {
    assert_fresh("config/default.toml", &annotate(config::DEFAULTS, &config::schema()));
}

#[test]
fn the_default_file_names_every_key() {
    let schema = config::schema();
    let mut missing = Vec::new();
    for_each_key(&schema, "", &mut |section, key, _| {
        let named = sections(config::DEFAULTS).into_iter().any(|(name, lines)| {
            name == section && lines.iter().any(|line| key_of(line).is_some_and(|found| found == key))
        });
        if !named {
            missing.push(format!("[{section}] {key}"));
        }
    });
    assert!(missing.is_empty(), "config/default.toml does not name: {missing:#?}");
}

#[test]
fn the_production_example_loads_and_passes_the_checks() {
    let sources = Sources { files: vec![project("config/example-production.toml")], ..Sources::default() };
    let loaded = config::load(&sources).unwrap();
    config::check(&loaded.settings).unwrap();
    // Whoever starts from it hands in one known person first: nobody is erased by rule before somebody has looked at the preview.
    assert!(!loaded.settings.organisations.is_empty());
    assert!(loaded.settings.organisations.iter().all(|each| !each.retention.enabled));
}

#[test]
fn the_guide_to_notices_has_every_kind_with_its_placeholders() {
    let guide = std::fs::read_to_string(project("docs/notices.md")).unwrap();
    for kind in dsrd::delivery::NoticeKind::ALL {
        let begin = format!("| `{kind}` |");
        let row = guide.lines().find(|line| line.starts_with(&begin));
        let row = row.unwrap_or_else(|| panic!("docs/notices.md has no row {begin}"));
        let (required, optional) = dsrd::delivery::placeholders(kind);
        let everywhere = ["organisation", "reference"];
        for name in required.iter().filter(|name| !everywhere.contains(name)) {
            assert!(row.contains(&format!("`{name}`")), "docs/notices.md: {kind} needs `{name}`");
        }
        for name in optional.iter().filter(|name| **name != "contact") {
            assert!(row.contains(&format!("(`{name}`)")), "docs/notices.md: {kind} may have (`{name}`)");
        }
    }
    for rule in dsrd::domain::AlertRule::ALL {
        assert!(guide.contains(&format!("| `{rule}` |")), "docs/notices.md has no row for the alert {rule}");
    }
}

/// The text with the program's explanation above each key, in place of whatever comment stood there.
fn annotate(text: &str, schema: &serde_json::Value) -> String {
    let mut docs = Vec::new();
    for_each_key(schema, "", &mut |section, key, doc| docs.push((section.to_owned(), key.to_owned(), doc)));
    let mut section = String::new();
    let mut written: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(name) = section_of(line) {
            name.clone_into(&mut section);
        }
        if let Some(key) = key_of(line)
            && let Some((_, _, doc)) = docs.iter().find(|(place, name, _)| *place == section && *name == key)
        {
            while written.last().is_some_and(|last| {
                last.starts_with("# ") && key_of(last).is_none() && section_of(last).is_none()
            }) {
                written.pop();
            }
            if written.last().is_some_and(|last| !last.is_empty() && section_of(last).is_none()) {
                written.push(String::new());
            }
            written.extend(wrapped(doc, 116).into_iter().map(|line| format!("# {line}")));
        }
        written.push(line.to_owned());
    }
    written.join("\n") + "\n"
}

/// The key that a line sets, or would set if it were not commented out.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")?;
    let plain = !key.is_empty() && key.chars().all(|each| each.is_ascii_alphanumeric() || each == '_');
    plain.then_some(key)
}

/// The section that a line begins, or would begin if it were not commented out.
fn section_of(line: &str) -> Option<&str> {
    line.strip_prefix("# ").unwrap_or(line).strip_prefix('[')?.strip_suffix(']')
}

fn sections(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut found = vec![(String::new(), Vec::new())];
    for line in text.lines() {
        match section_of(line) {
            Some(name) => found.push((name.to_owned(), Vec::new())),
            None => found.last_mut().unwrap().1.push(line),
        }
    }
    found
}

/// Calls back for every key with its section and explanation. The keys of organisations stand under
/// `organisation_defaults`.
fn for_each_key(schema: &serde_json::Value, section: &str, found: &mut dyn FnMut(&str, &str, String)) {
    for (name, inner) in members(schema) {
        let path = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        if members(&inner).is_empty() {
            let doc = inner["description"].as_str().unwrap_or_default();
            found(section, &name, doc.split_whitespace().collect::<Vec<_>>().join(" "));
        } else {
            for_each_key(&inner, &path, found);
        }
    }
}

fn members(schema: &serde_json::Value) -> Vec<(String, serde_json::Value)> {
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten();
    let mut members: Vec<(String, serde_json::Value)> = Vec::new();
    for (name, inner) in std::iter::once(schema)
        .chain(alternatives)
        .filter_map(|each| each["properties"].as_object())
        .flatten()
    {
        if !members.iter().any(|(known, _)| known == name) {
            members.push((name.clone(), inner.clone()));
        }
    }
    members
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[test]
fn the_runbook_explains_every_reason_to_wait_for_a_person() {
    let runbook = std::fs::read_to_string(project("docs/operator-runbook.md")).unwrap();
    for reason in dsrd::domain::ParkReason::ALL {
        let row = format!("| `{reason}` |");
        assert!(runbook.contains(&row), "docs/operator-runbook.md has no row for {reason}");
    }
}

#[test]
fn the_runbook_names_for_every_ground_of_a_refusal_what_can_be_refused_on_it() {
    use dsrd::domain::{RefusalGround, RequestKind};
    let runbook = std::fs::read_to_string(project("docs/operator-runbook.md")).unwrap();
    let words = |kinds: &[RequestKind]| kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    let refusable: Vec<RequestKind> =
        RequestKind::ALL.iter().copied().filter(|kind| kind.can_be_refused()).collect();
    for ground in RefusalGround::ALL {
        let row = runbook.lines().find(|line| line.starts_with(&format!("| {ground} |")));
        let row = row.unwrap_or_else(|| panic!("docs/operator-runbook.md has no row for {ground}"));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let kinds: Vec<RequestKind> =
            refusable.iter().copied().filter(|kind| ground.applies_to(*kind)).collect();
        let expected = match kinds.len() {
            0 => "no request".to_owned(),
            all if all == refusable.len() => "every kind".to_owned(),
            _ => words(&kinds),
        };
        assert_eq!(cells[2], expected, "{row}");
        let optional = ["(optional)", "-"].contains(&cells[4]);
        assert_eq!(optional, ground.needed_facts().is_none(), "{row}");
    }
    let every_kind = words(&refusable).replace(", other", " and other");
    let squeezed = runbook.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed.contains(&format!("can be refused: {every_kind}.")), "{every_kind}");
}

#[test]
fn commands_in_documents_exist() {
    for file in ["docs/operator-runbook.md", "docs/configuration.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(project(file)).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("$ dsrd "));
        for line in lines {
            let words: Vec<&str> = line
                .split_whitespace()
                .take_while(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
                .collect();
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dsrd"));
            let output = command.env_clear().args(&words).arg("--help").output().unwrap();
            assert!(output.status.success(), "{file} names `dsrd {line}`, which does not exist");
        }
    }
}

#[test]
fn log_fields_have_the_names_that_are_listed() {
    let known: Vec<&str> = dsrd::telemetry::fields::ALL.iter().map(|(name, _)| *name).collect();
    let mut unknown = Vec::new();
    for file in sources_of(&project("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        // Tests may log whatever they need to.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        if file.ends_with("tests.rs") {
            continue;
        }
        for name in logged_fields(text) {
            if !known.contains(&name.as_str()) {
                unknown.push(format!("{}: {name}", file.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "add these to telemetry::fields or use a name of it: {unknown:#?}");
}

#[test]
fn the_reader_of_log_fields_finds_them() {
    let text = r#"
        tracing::info!(request = %id, kind, ?state, target: "x", count = f(1, "a, b"), "message {with} braces, commas");
        warn!("no field");
        tracing::info_span!("execution.step", step = name.as_str());
    "#;
    assert_eq!(logged_fields(text), ["request", "kind", "state", "count", "step"]);
}

fn sources_of(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources_of(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The names of the fields in calls of `tracing`'s macros.
fn logged_fields(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for level in ["trace", "debug", "info", "warn", "error"] {
        for name in [format!("{level}!("), format!("{level}_span!(")] {
            for (position, _) in text.match_indices(&name) {
                let before = text[..position].chars().next_back();
                if before.is_some_and(|each| each.is_alphanumeric() || each == '_') {
                    continue;
                }
                names.extend(
                    arguments(&text[position + name.len()..])
                        .into_iter()
                        .filter_map(|each| field_name(&each)),
                );
            }
        }
    }
    names
}

/// Splits at the commas of the outermost level, up to the closing bracket.
fn arguments(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut depth = 0_u32;
    let mut quoted = false;
    let mut escaped = false;
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().unwrap().push(character);
    }
    found
}

fn field_name(argument: &str) -> Option<String> {
    let argument = argument.trim();
    if argument.is_empty()
        || argument.starts_with('"')
        || argument.starts_with("target:")
        || argument.starts_with("parent:")
    {
        return None;
    }
    let name = argument.split(" = ").next().unwrap_or_default().trim_start_matches(['%', '?']);
    // `request.id` as a short form has the name of the last part.
    Some(name.to_owned())
}

#[test]
fn the_audit_vocabulary_is_documented_word_for_word() {
    let document = include_str!("../docs/audit-log.md");
    for action in dsrd::audit::Action::ALL {
        assert!(document.contains(&format!("| `{}` |", action.as_str())), "{} is missing", action.as_str());
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirements {
    requirement: Vec<Requirement>,
    /// What no test of another catalogue shows, by the id there.
    open: std::collections::BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    id: u32,
    title: String,
    /// Tests that show it under another name.
    #[serde(default)]
    tests: Vec<String>,
    /// What no test shows, and why.
    open: Option<String>,
}

/// How many requirements the law file of this project has.
const REQUIREMENTS: u32 = 90;

/// Every test in the sources: its name and the file.
fn tests_in_sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let files = ["src", "tests"].into_iter().flat_map(|folder| sources_of(&project(folder)));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = file.strip_prefix(project("")).unwrap().display().to_string();
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[") {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                continue;
            }
            let name = line.trim_start_matches("async ").strip_prefix("fn ").map(|rest| {
                rest.chars()
                    .take_while(|each| each.is_ascii_alphanumeric() || *each == '_')
                    .collect::<String>()
            });
            if let Some(name) = name
                && is_test
            {
                found.push((name, shown.clone()));
            }
            is_test &= line.is_empty() || line.starts_with("//");
        }
    }
    found.sort();
    found
}

/// The ranges of a catalogue in the name of a test, which begins with all that it is about, from the first number to the
/// last: one of `r_71_to_r_75_…`, two of `e_46_and_e_47_…`, three of `e_1_to_e_29_e_49_and_e_50_…`; `r_34_s_9_…` is about
/// R-34 and S-9. A second number cites an article: `r_12_4_…` is about Art. 12(4) and has none.
fn ranges_of(name: &str, catalogue: &str) -> Vec<(u32, u32)> {
    let words: Vec<&str> = name.split('_').collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u32>().ok());
    let (mut found, mut at) = (Vec::new(), 0);
    while let (Some(letter), Some(first), None) = (words.get(at), number(at + 1), number(at + 2)) {
        at += 2;
        let is_range = words.get(at) == Some(&"to") && words.get(at + 1) == Some(letter);
        let last = number(at + 2).filter(|_| is_range);
        at += if last.is_some() { 3 } else { 0 };
        if *letter == catalogue {
            found.push((first, last.unwrap_or(first)));
        }
        at += usize::from(words.get(at) == Some(&"and"));
    }
    found
}

/// The numbers of a catalogue in the name of a test.
fn numbers_of(name: &str, catalogue: &str) -> Vec<u32> {
    ranges_of(name, catalogue).into_iter().flat_map(|(first, last)| first..=last).collect()
}

/// The rows of the deadline oracle that tests have: as `"E-7"` in their tables, or named by a test. The numbering has gaps,
/// so that a range in the name of a test is no list of rows.
fn rows_of_the_oracle(tests: &[(String, String)]) -> BTreeSet<u32> {
    let named = tests.iter().flat_map(|(name, _)| ranges_of(name, "e"));
    let mut rows: BTreeSet<u32> = named.flat_map(|(first, last)| [first, last]).collect();
    for (_, file) in tests.iter().filter(|(name, _)| name.starts_with("e_")) {
        let text = std::fs::read_to_string(project(file)).unwrap();
        for (at, opening) in text.match_indices("\"E-") {
            let digits = text[at + opening.len()..].chars().take_while(char::is_ascii_digit);
            rows.extend(digits.collect::<String>().parse::<u32>());
        }
    }
    rows
}

#[test]
fn the_map_of_requirements_is_fresh_and_leaves_none_out() {
    let requirements: Requirements = toml::from_str(include_str!("../docs/requirements.toml")).unwrap();
    let tests = tests_in_sources();
    assert!(tests.len() > 500, "the tests are found: {}", tests.len());
    let ids: Vec<u32> = requirements.requirement.iter().map(|each| each.id).collect();
    assert_eq!(ids, (1..=REQUIREMENTS).collect::<Vec<_>>(), "every requirement once, in order");
    let named = |catalogue: &str, number: u32| {
        let of = tests.iter().filter(|(name, _)| numbers_of(name, catalogue).contains(&number));
        of.map(|(name, file)| format!("`{name}` ({file})")).collect::<Vec<_>>()
    };
    let rows = rows_of_the_oracle(&tests);
    let mut unused: BTreeSet<String> = requirements.open.keys().cloned().collect();
    let mut text = String::from(MAP_HEAD);
    for each in &requirements.requirement {
        let mut cells = named("r", each.id);
        for further in &each.tests {
            let found = tests.iter().find(|(name, _)| name == further);
            let (name, file) = found.unwrap_or_else(|| panic!("R-{}: there is no test {further}", each.id));
            cells.push(format!("`{name}` ({file})"));
        }
        cells.dedup();
        assert!(
            !cells.is_empty() || each.open.is_some(),
            "R-{} has neither a test nor a reason in docs/requirements.toml",
            each.id
        );
        let open = each.open.as_deref().unwrap_or_default();
        writeln!(text, "| R-{} | {} | {} | {open} |", each.id, each.title, cells.join("<br>")).unwrap();
    }
    text.push_str("\n## Invariants of the life cycle, kept by the database\n\n| id | tests |\n|---|---|\n");
    for number in 1..=INVARIANTS {
        let of = tests.iter().filter(|(name, _)| {
            name.strip_prefix("law_").is_some_and(|name| numbers_of(name, "i").contains(&number))
        });
        let cells: Vec<String> = of.map(|(name, file)| format!("`{name}` ({file})")).collect();
        assert!(!cells.is_empty(), "no test named law_i_{number}_… shows invariant I-{number} of the law");
        writeln!(text, "| I-{number} | {} |", cells.join("<br>")).unwrap();
    }
    for (catalogue, letter, promised, head) in [
        ("e", "E", ROWS, "\n## Rows of the deadline oracle\n"),
        ("i", "I", PROMISES, "\n## Promises of the oracle\n"),
        ("s", "S", SECURITY, "\n## Security\n"),
        ("f", "F", FAULTS, "\n## Faults\n"),
    ] {
        text.push_str(head);
        text.push_str("\n| id | tests | what no test shows yet, and why |\n|---|---|---|\n");
        for number in 1..=200 {
            let id = format!("{letter}-{number}");
            let open = requirements.open.get(&id).map_or("", String::as_str);
            let cells = named(catalogue, number);
            let is_row = catalogue != "e" || rows.contains(&number);
            if is_row && !cells.is_empty() {
                writeln!(text, "| {id} | {} | {open} |", cells.join("<br>")).unwrap();
                unused.remove(&id);
            } else {
                assert!(!promised.contains(&number), "{id} has no test any more");
            }
        }
    }
    assert!(
        unused.is_empty(),
        "docs/requirements.toml says of these what is open, and no test has them: {unused:?}"
    );
    assert_fresh("docs/requirements.md", &text);
}

/// How many invariants the life cycle of a request has (law section 3).
const INVARIANTS: u32 = 8;

/// The rows that the deadline oracle has (law section 2).
const ROWS: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 14, 15, 16, 17, 20, 22, 24, 26, 28, 29, 30, 32, 34, 36, 37, 39, 40, 42,
    44, 45, 46, 47, 49, 50,
];

/// What must have a test of the promises of the oracle, of security and of faults: what was shown once stays shown.
const PROMISES: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const SECURITY: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 36, 38, 39,
    40, 41, 42, 43, 44, 45, 46, 49, 50, 51,
];
const FAULTS: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54,
];

const MAP_HEAD: &str = "# Which test shows which requirement

Made from the names of the tests and from docs/requirements.toml by `cargo test --test documents`; do not edit.

## Requirements of the law

| id | requirement | tests | what no test shows yet, and why |
|---|---|---|---|
";

#[test]
fn numbers_are_read_from_the_names_of_tests() {
    assert_eq!(numbers_of("r_7_a_hundred_requests", "r"), [7]);
    assert_eq!(numbers_of("r_71_to_r_75_after_37_months", "r"), [71, 72, 73, 74, 75]);
    assert_eq!(numbers_of("r_72_r_74_entries_past_their_term", "r"), [72, 74]);
    assert_eq!(numbers_of("e_46_and_e_47_periods", "e"), [46, 47]);
    assert_eq!(numbers_of("r_34_s_9_an_address", "s"), [9]);
    assert_eq!(numbers_of("s_1_r_18_whoever", "r"), [18]);
    assert_eq!(numbers_of("e_46_and_e_47_retention_periods_clamp", "e"), [46, 47]);
    assert_eq!(numbers_of("e_1_to_e_3_e_49_and_e_50_plain_terms", "e"), [1, 2, 3, 49, 50]);
    assert_eq!(ranges_of("e_36_to_e_40_pauses_by_regime", "e"), [(36, 40)]);
    assert_eq!(numbers_of("s_4_s_5_and_nothing_else", "s"), [4, 5]);
    assert!(numbers_of("r_12_4_a_refusal_needs_a_ground", "r").is_empty(), "an article of the law");
    assert!(numbers_of("s_1_a_package", "r").is_empty());
    assert!(numbers_of("run_7_times", "r").is_empty());
}

/// Law section 2: the rows that it has.
#[test]
fn every_row_of_the_deadline_oracle_has_a_test() {
    assert_eq!(rows_of_the_oracle(&tests_in_sources()).into_iter().collect::<Vec<_>>(), ROWS);
}
