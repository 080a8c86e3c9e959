//! The definition of the log's tables, compared with the one that was shipped.
//!
//! Whoever may change definitions can switch triggers off, hide rows behind a policy, or swallow insertions with a rule,
//! and no hash would tell. So everything that could do so is compared, fact by fact, with `catalogue.txt`, which a test
//! makes from a database that was just migrated.
//!
//! The text of a view is as its server spells it, which changed with PostgreSQL 16. So it is known in two spellings: that of 15 in
//! `catalogue.txt`, that of 18 in `views-18.txt`. On any other server a view has to be one of these to count as compared.
//! One more server: run the test `the_shipped_definition_is_that_of_the_migrations` on it, and put its file into [`VIEWS`].

use std::collections::{BTreeMap, BTreeSet};

use super::report::Severity;
use super::sql::FactRow;
use crate::store::SchemaState;

/// What was shipped: the server's major version in the first line, then a fact a line.
const SHIPPED: &str = include_str!("catalogue.txt");

/// The texts of the views as other servers spell them: the major version, and a view a line.
const VIEWS: [(i32, &str); 1] = [(18, include_str!("views-18.txt"))];

/// The aspect under which the text of a view is compared.
const VIEW: &str = "view";

/// Stands for the name of a partition.
const ANY_PARTITION: &str = "entry_N";

/// Something that is wrong with the place where a log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// How bad.
    pub severity: Severity,
    /// Table, view, function or role.
    pub place: String,
    /// What.
    pub what: String,
}

impl Flaw {
    pub(super) fn violation(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Violation, place: place.into(), what: what.into() }
    }
}

/// Facts of one object: property and definition.
type Facts = BTreeSet<(String, String)>;

/// All facts, one a line. The first partition stands for all of them.
pub(super) fn lines(facts: &[FactRow]) -> Vec<String> {
    let (objects, partitions) = sorted(facts);
    let mut all: Vec<_> = objects.into_iter().collect();
    all.extend(partitions.into_iter().next().map(|(_, facts)| (format!("audit.{ANY_PARTITION}"), facts)));
    let mut lines: Vec<String> = all
        .iter()
        .flat_map(|(object, facts)| {
            facts.iter().map(move |(aspect, definition)| format!("{object}\t{aspect}\t{definition}"))
        })
        .collect();
    lines.sort();
    lines
}

/// Compares the facts with those that were shipped. `major` is the server's version: servers spell views differently.
pub(super) fn differences(facts: &[FactRow], major: i32) -> Vec<Flaw> {
    let mut shipped: BTreeMap<&str, Facts> = BTreeMap::new();
    let (first, rest) = SHIPPED.split_once('\n').unwrap_or((SHIPPED, ""));
    let is_of_shipped = first.strip_prefix("server ").and_then(|text| text.parse().ok()) == Some(major);
    for (object, aspect, definition) in rest.lines().filter_map(line) {
        shipped.entry(object).or_default().insert((aspect.to_owned(), definition.to_owned()));
    }
    let pattern = shipped.remove(format!("audit.{ANY_PARTITION}").as_str()).unwrap_or_default();
    let (objects, partitions) = sorted(facts);
    let mut flaws = Vec::new();
    let uncompared = if is_of_shipped { BTreeSet::new() } else { spell_views(&mut shipped, &objects, major) };
    let names: BTreeSet<&str> = shipped.keys().copied().chain(objects.keys().map(String::as_str)).collect();
    let none = Facts::new();
    for name in names {
        match (shipped.get(name), objects.get(name)) {
            (Some(_), None) => flaws.push(Flaw::violation(name, "it is not there")),
            (None, Some(_)) => {
                flaws.push(Flaw::violation(name, "it was not shipped; who made it, and what for?"));
            }
            (wanted, found) => {
                let is_comparable = !uncompared.contains(name);
                compare(name, wanted.unwrap_or(&none), found.unwrap_or(&none), is_comparable, &mut flaws);
            }
        }
    }
    for (name, found) in &partitions {
        compare(name, &pattern, found, true, &mut flaws);
    }
    if !uncompared.is_empty() {
        let names: Vec<&str> = uncompared.iter().map(String::as_str).collect();
        flaws.push(Flaw {
            severity: Severity::Remark,
            place: "views".to_owned(),
            what: format!(
                "the text of {} was not compared: server {major} spells it in none of the ways that are known",
                names.join(", ")
            ),
        });
    }
    flaws
}

/// Object, aspect and definition.
fn line(text: &str) -> Option<(&str, &str, &str)> {
    let mut parts = text.splitn(3, '\t');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

/// Puts the texts of views into the spelling of a server of this major version; where that is not known, into the one that is
/// found, if it is any that is. Answers with the views that cannot be compared.
fn spell_views(
    shipped: &mut BTreeMap<&str, Facts>,
    objects: &BTreeMap<String, Facts>,
    major: i32,
) -> BTreeSet<String> {
    let text_of =
        |facts: &Facts| facts.iter().find(|(aspect, _)| aspect == VIEW).map(|(_, text)| text.clone());
    let mut uncompared = BTreeSet::new();
    for (name, wanted) in shipped.iter_mut() {
        let Some(own) = text_of(wanted) else { continue };
        let spelled = |views: &'static str| {
            views
                .lines()
                .filter_map(line)
                .find(|(object, ..)| object == name)
                .map(|(.., text)| text.to_owned())
        };
        let of_this_server =
            VIEWS.iter().find(|(server, _)| *server == major).map(|(_, views)| spelled(views));
        let found = objects.get(*name).and_then(text_of);
        let text = of_this_server.unwrap_or_else(|| {
            let mut known = VIEWS.iter().filter_map(|(_, views)| spelled(views)).chain([own.clone()]);
            known.find(|text| Some(text) == found.as_ref())
        });
        match text {
            Some(text) => {
                wanted.remove(&(VIEW.to_owned(), own));
                wanted.insert((VIEW.to_owned(), text));
            }
            None => drop(uncompared.insert((*name).to_owned())),
        }
    }
    uncompared
}

fn compare(name: &str, wanted: &Facts, found: &Facts, is_comparable: bool, flaws: &mut Vec<Flaw>) {
    let counts = |aspect: &str| is_comparable || aspect != VIEW;
    for (aspect, definition) in wanted.difference(found).filter(|(aspect, _)| counts(aspect)) {
        let now: Vec<&str> =
            found.iter().filter(|(other, _)| other == aspect).map(|(_, now)| now.as_str()).collect();
        let what = if now.is_empty() {
            format!("{aspect} is missing (shipped: {})", excerpt(definition, 0))
        } else {
            let now = now.join("; ");
            // Definitions can be long; what matters begins where they part.
            let same = now.chars().zip(definition.chars()).take_while(|(one, other)| one == other).count();
            format!(
                "{aspect} is \"{}\" and was shipped as \"{}\"",
                excerpt(&now, same),
                excerpt(definition, same)
            )
        };
        flaws.push(Flaw::violation(name, what));
    }
    for (aspect, definition) in found.difference(wanted) {
        if !wanted.iter().any(|(other, _)| other == aspect) {
            flaws
                .push(Flaw::violation(name, format!("{aspect} was not shipped: {}", excerpt(definition, 0))));
        }
    }
}

/// A piece of a definition around its character `at`.
fn excerpt(definition: &str, at: usize) -> String {
    const BEFORE: usize = 40;
    const LONGEST: usize = 160;
    let start = at.saturating_sub(BEFORE);
    let mut characters = definition.chars().skip(start);
    let piece: String = characters.by_ref().take(LONGEST).collect();
    let (before, after) =
        (if start > 0 { "…" } else { "" }, if characters.next().is_some() { "…" } else { "" });
    format!("{before}{piece}{after}")
}

/// Facts by object; partitions by themselves, with their own names left out.
fn sorted(facts: &[FactRow]) -> (BTreeMap<String, Facts>, BTreeMap<String, Facts>) {
    let (mut objects, mut partitions) = (BTreeMap::new(), BTreeMap::new());
    for fact in facts {
        if fact.is_partition {
            let own = fact.object.strip_prefix("audit.").unwrap_or(&fact.object);
            let general = |text: &str| text.replace(own, ANY_PARTITION);
            let of_partition: &mut Facts = partitions.entry(fact.object.clone()).or_default();
            of_partition.insert((general(&fact.aspect), general(&fact.definition)));
        } else {
            let of_object: &mut Facts = objects.entry(fact.object.clone()).or_default();
            of_object.insert((fact.aspect.clone(), fact.definition.clone()));
        }
    }
    (objects, partitions)
}

/// What was shipped is that of this program's own release. A database that another one migrated has other definitions, and only
/// a program of that release knows whether they are as shipped: then it is left undecided, and the first finding says why.
/// `seen` is how the list of migrations stands to this program, nothing where the login may not read it.
pub(super) fn allow_for_another_release(flaws: &mut Vec<Flaw>, seen: Option<SchemaState>) {
    let which = match seen {
        Some(SchemaState::Current | SchemaState::Altered) => return,
        Some(SchemaState::Newer) => "a newer release than that of this program",
        Some(SchemaState::Behind(_)) => "an older release than that of this program",
        // Auditors may read it since there is this program.
        None => "a release that does not show auditors its migrations (or the right to see them was taken)",
    };
    for flaw in flaws.iter_mut() {
        flaw.severity = flaw.severity.min(Severity::Undecided);
    }
    let what = format!(
        "the database is of {which}: whether what differs in its definition was shipped so is told by the program of its own \
         release; verify with that"
    );
    flaws.insert(0, Flaw { severity: Severity::Undecided, place: "migrations".to_owned(), what });
}

/// Holes between the ranges of partitions. A log that was pruned begins later, which its missing entries tell.
pub(super) fn gaps(facts: &[FactRow]) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let mut ranges = Vec::new();
    for fact in facts.iter().filter(|fact| fact.is_partition) {
        let Some(bound) = &fact.bound else { continue };
        match range_of(bound) {
            Some(range) => ranges.push((range, fact.object.as_str())),
            None => flaws.push(Flaw::violation(&*fact.object, format!("its range is no range: {bound}"))),
        }
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if let [((_, end), before), ((first, _), after)] = pair
            && end != first
        {
            let what = format!("no partition holds the entries {end} to {}, after {before}", first - 1);
            flaws.push(Flaw::violation(*after, what));
        }
    }
    flaws
}

/// `FOR VALUES FROM ('1') TO ('4194305')`.
fn range_of(bound: &str) -> Option<(i64, i64)> {
    let rest = bound.strip_prefix("FOR VALUES FROM ('")?.strip_suffix("')")?;
    let (first, end) = rest.split_once("') TO ('")?;
    Some((first.parse().ok()?, end.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(object: &str, aspect: &str, definition: &str, bound: Option<&str>) -> FactRow {
        FactRow {
            object: object.to_owned(),
            aspect: aspect.to_owned(),
            definition: definition.to_owned(),
            is_partition: bound.is_some(),
            bound: bound.map(str::to_owned),
        }
    }

    #[test]
    fn a_hole_between_partitions_is_named() {
        let range = |first, end| format!("FOR VALUES FROM ('{first}') TO ('{end}')");
        let facts = [
            fact("audit.entry_2", "relation", "r", Some(&range(513, 769))),
            fact("audit.entry_0", "relation", "r", Some(&range(1, 257))),
        ];
        let flaws = gaps(&facts);
        assert_eq!(flaws.len(), 1);
        assert_eq!(flaws[0].what, "no partition holds the entries 257 to 512, after audit.entry_0");
        let default = [fact("audit.entry_x", "relation", "r", Some("DEFAULT"))];
        assert_eq!(gaps(&default).len(), 1);
    }

    #[test]
    fn a_difference_is_shown_where_the_definitions_part() {
        let long = "x".repeat(500);
        let mut flaws = Vec::new();
        let facts = |end: &str| Facts::from([("view".to_owned(), format!("{long}{end}"))]);
        compare("v", &facts("shipped"), &facts("now"), true, &mut flaws);
        assert_eq!(flaws.len(), 1);
        assert!(
            flaws[0].what.contains("xnow\"") && flaws[0].what.contains("xshipped\""),
            "{}",
            flaws[0].what
        );
        assert!(flaws[0].what.len() < 300, "{}", flaws[0].what);
        compare("v", &facts("shipped"), &facts("now"), false, &mut flaws);
        assert_eq!(flaws.len(), 1, "another server spells views in its own way");
    }

    #[test]
    fn only_the_list_of_migrations_makes_a_difference_one_of_another_release() {
        let severities = |seen| {
            let mut flaws = vec![Flaw::violation("v", "view is another")];
            allow_for_another_release(&mut flaws, seen);
            flaws.into_iter().map(|flaw| flaw.severity).collect::<Vec<_>>()
        };
        for same in [SchemaState::Current, SchemaState::Altered] {
            assert_eq!(severities(Some(same)), [Severity::Violation]);
        }
        for other in [Some(SchemaState::Newer), Some(SchemaState::Behind(1)), None] {
            assert_eq!(severities(other), [Severity::Undecided, Severity::Undecided]);
        }
    }

    #[test]
    fn the_shipped_definition_can_be_read() {
        assert!(SHIPPED.starts_with("server "));
        assert!(SHIPPED.contains("audit.entry_N\ttrigger entry_N_stays\tenabled A"));
    }
}
