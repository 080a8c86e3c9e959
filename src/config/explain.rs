//! Every effective key with its value, its origin and its meaning.

use std::fmt::Write;

use config::{Value, ValueKind};
use serde::Serialize;

use super::check::holds_password;
use super::schema::{self, Node};
use super::secrets::is_secret;
use super::source::{BUILT_IN, variable_of};
use super::{DEFAULTS, Loaded};

/// One key, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The key, for example `organisations[0].language`.
    pub key: String,
    /// Its value as text; for a secret the file that holds it, never the secret; `None` where it is not set.
    pub value: Option<String>,
    /// Where the value was set: a file, an environment variable, or `default`.
    pub origin: String,
    /// What it means.
    pub doc: String,
    /// By whom, when and why it was decided, where that is on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

/// Explains every key of the settings.
#[must_use]
pub fn explain(loaded: &Loaded) -> Vec<Explained> {
    let schema = schema::tree();
    let mut rows = Vec::new();
    for (name, node) in Node::new(&schema).members() {
        if name != schema::ORGANISATION_DEFAULTS {
            explain_in(node, name, name, member(Some(&loaded.tree), name), &mut rows);
        }
    }
    for decision in &loaded.settings.decisions {
        let place = match &decision.organisation {
            None => Some(decision.key.clone()),
            Some(id) => {
                let index = loaded.settings.organisations.iter().position(|each| each.id == *id);
                index.map(|index| format!("organisations[{index}].{}", decision.key))
            }
        };
        let Some(place) = place else { continue };
        let text = format!("decided by {} on {}: {}", decision.decided_by, decision.date, decision.reason);
        for row in &mut rows {
            if row
                .key
                .strip_prefix(&place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            {
                row.decision = Some(text.clone());
            }
        }
    }
    rows
}

/// The keys whose names are nearest to a text that none contains: at most three, without repetitions.
#[must_use]
pub fn near_keys(rows: &[Explained], text: &str) -> Vec<String> {
    let mut near: Vec<(usize, &str)> = rows
        .iter()
        .filter_map(|row| {
            parts_of(&row.key)
                .map(|part| (schema::distance(text, part), part.len()))
                .min()
                .filter(|(edits, length)| edits * 3 <= (*length).max(text.len()))
                .map(|(edits, _)| (edits, row.key.as_str()))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, key)| key.to_owned()).take(3).collect()
}

/// Every run of whole segments of a key, because people remember some of its words: `a.b.c`, `a.b`, `b.c`, `a`, `b`, `c`.
fn parts_of(key: &str) -> impl Iterator<Item = &str> {
    let starts = std::iter::once(0).chain(key.match_indices('.').map(|(at, _)| at + 1));
    starts.flat_map(move |start| {
        let rest = &key[start..];
        let ends = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]);
        ends.map(move |end| &rest[..end])
    })
}

fn explain_in(node: Node<'_>, name: &str, key: &str, value: Option<&Value>, rows: &mut Vec<Explained>) {
    let members = node.members();
    if !members.is_empty() {
        for (name, node) in members {
            explain_in(node, name, &format!("{key}.{name}"), member(value, name), rows);
        }
        return;
    }
    match (value.map(|value| &value.kind), node.items(), node.free_members()) {
        (Some(ValueKind::Array(elements)), Some(items), _) if !items.members().is_empty() => {
            for (index, element) in elements.iter().enumerate() {
                explain_in(items, name, &format!("{key}[{index}]"), Some(element), rows);
            }
        }
        (Some(ValueKind::Table(table)), _, Some(free)) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(name, _)| name.as_str());
            for (name, value) in entries {
                explain_in(free, name, &format!("{key}.{name}"), Some(value), rows);
            }
        }
        _ => rows.push(Explained {
            key: key.to_owned(),
            value: value.and_then(|value| shown(name, value)),
            origin: value.and_then(origin).unwrap_or_else(|| BUILT_IN.to_owned()),
            doc: node.doc(),
            decision: None,
        }),
    }
}

fn member<'a>(value: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    match &value?.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    }
}

fn origin(value: &Value) -> Option<String> {
    let own = value.origin().map(str::to_owned);
    own.or_else(|| match &value.kind {
        ValueKind::Array(elements) => elements.first().and_then(origin),
        _ => None,
    })
}

fn shown(name: &str, value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Nil => None,
        ValueKind::Array(elements) => {
            let elements: Vec<String> = elements.iter().filter_map(|each| shown(name, each)).collect();
            Some(format!("[{}]", elements.join(", ")))
        }
        ValueKind::String(text) if is_secret(name) => Some(format!("{text} [secret file]")),
        ValueKind::String(text) if text.contains("://") && holds_password(text) => {
            Some("[hidden: it holds a password]".to_owned())
        }
        leaf => Some(leaf.to_string()),
    }
}

/// The reference of all keys as Markdown: `config/reference.md`.
#[must_use]
pub fn reference() -> String {
    let schema = schema::tree();
    let defaults = super::values::parse_defaults(DEFAULTS);
    let mut text = String::from(HEAD);
    section(Node::new(&schema), "", defaults.as_ref(), &mut text);
    text
}

const HEAD: &str = "# Configuration reference

Generated from the program (`dsrd config reference`); do not edit. How layers and organisations work is told in
[docs/configuration.md](../docs/configuration.md). Every key of `[[organisations]]` may also stand in
`[organisation_defaults]`, and takes its default from there.
";

fn section(node: Node<'_>, path: &str, defaults: Option<&Value>, text: &mut String) {
    let mut tables = Vec::new();
    let mut rows = String::new();
    for (name, child) in node.members() {
        if path.is_empty() && name == schema::ORGANISATION_DEFAULTS {
            continue;
        }
        let key = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let list_of_tables = child.items().filter(|items| !items.members().is_empty());
        if let Some(table) = list_of_tables.or_else(|| (!child.members().is_empty()).then_some(child)) {
            tables.push((key, table, name, list_of_tables.is_some(), child.doc()));
            continue;
        }
        let default = member(defaults, name).and_then(|value| shown("", value));
        let default = match default {
            Some(value) if value.is_empty() => "empty".to_owned(),
            Some(value) => format!("`{value}`"),
            None if child.is_optional() => "unset".to_owned(),
            None => "**required**".to_owned(),
        };
        let words = child.words();
        let words =
            if words.is_empty() { String::new() } else { format!(" One of `{}`.", words.join("`, `")) };
        let doc = child.doc().replace('|', "\\|");
        // Writing to a String cannot fail.
        writeln!(rows, "| `{name}` | {default} | {doc}{words} |").unwrap_or_default();
    }
    if !rows.is_empty() {
        let variable = variable_of(if path.is_empty() { "key" } else { path });
        let environment = if path.is_empty() {
            format!("Environment: `{variable}`")
        } else {
            format!("Environment: `{variable}__KEY`")
        };
        write!(
            text,
            "\n{environment}, with the key in capitals.\n\n| Key | Default | Meaning |\n|---|---|---|\n{rows}"
        )
        .unwrap_or_default();
    }
    for (key, table, name, list, doc) in tables {
        let heading = if list { format!("[[{key}]]") } else { format!("[{key}]") };
        write!(text, "\n## `{heading}`\n\n{doc}\n").unwrap_or_default();
        // What an organisation inherits stands in another section of the defaults.
        let below = if list { schema::ORGANISATION_DEFAULTS } else { name };
        let inner = if list { format!("{key}[0]") } else { key };
        section(table, &inner, member(defaults, below), text);
    }
}
