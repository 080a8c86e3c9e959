//! The shape of all settings, from their types: for the published JSON schema, for finding unknown keys, and for the
//! text that explains each key.

use config::{Value as Tree, ValueKind};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::error::SettingsError;
use super::settings::Settings;
use super::source::BUILT_IN;
use super::values::first_origin;

/// The section whose keys every organisation inherits.
pub(super) const ORGANISATION_DEFAULTS: &str = "organisation_defaults";

/// The JSON schema of a configuration file. No key is required in any one file, because another layer may set it.
#[must_use]
pub fn schema() -> Value {
    let mut schema = tree();
    drop_required(&mut schema);
    schema
}

/// The schema of all settings, without references, and with `organisation_defaults`.
pub(super) fn tree() -> Value {
    let generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = Some("https://json-schema.org/draft/2020-12/schema".into());
        })
        .into_generator();
    let mut schema = generator.into_root_schema_for::<Settings>().to_value();
    let mut inherited = schema.pointer("/properties/organisations/items").cloned().unwrap_or_default();
    if let Some(inherited) = inherited.as_object_mut() {
        inherited.insert(
            "description".to_owned(),
            json!("What every organisation inherits: any key of `[[organisations]]`."),
        );
        inherited.remove("required");
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(ORGANISATION_DEFAULTS.to_owned(), inherited);
    }
    schema
}

fn drop_required(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("required");
            members.values_mut().for_each(drop_required);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_required),
        _ => {}
    }
}

/// One place of the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a>(&'a Value);

impl<'a> Node<'a> {
    pub(super) const fn new(schema: &'a Value) -> Self {
        Self(schema)
    }

    /// The alternatives that this place stands for: itself, or the branches of `anyOf` and `oneOf`.
    fn branches(self) -> impl Iterator<Item = &'a Value> {
        let alternatives = ["anyOf", "oneOf", "allOf"]
            .into_iter()
            .filter_map(|word| self.0.get(word).and_then(Value::as_array))
            .flatten();
        std::iter::once(self.0).chain(alternatives)
    }

    /// The members that are declared, in their order.
    pub(super) fn members(self) -> Vec<(&'a str, Self)> {
        let mut members: Vec<(&str, Self)> = Vec::new();
        for (name, schema) in self.branches().filter_map(properties).flatten() {
            if !members.iter().any(|(known, _)| *known == name) {
                members.push((name, Self(schema)));
            }
        }
        members
    }

    /// A declared member, or what a table with free keys holds.
    pub(super) fn member(self, name: &str) -> Option<Self> {
        let declared = self.members().into_iter().find(|(known, _)| *known == name).map(|(_, node)| node);
        declared.or_else(|| self.free_members())
    }

    /// What a table with free keys holds.
    pub(super) fn free_members(self) -> Option<Self> {
        self.branches()
            .find_map(|branch| branch.get("additionalProperties"))
            .filter(|schema| schema.is_object())
            .map(Self)
    }

    /// What a list holds.
    pub(super) fn items(self) -> Option<Self> {
        self.branches().find_map(|branch| branch.get("items")).map(Self)
    }

    /// Whether the key may stay unset.
    pub(super) fn is_optional(self) -> bool {
        self.branches().any(|branch| match branch.get("type") {
            Some(Value::Array(types)) => types.iter().any(|each| each == "null"),
            Some(only) => only == "null",
            None => false,
        })
    }

    /// The words that are allowed, where only certain ones are.
    pub(super) fn words(self) -> Vec<&'a str> {
        self.branches()
            .flat_map(|branch| {
                let listed = branch.get("enum").and_then(Value::as_array).into_iter().flatten();
                listed.chain(branch.get("const"))
            })
            .filter_map(Value::as_str)
            .collect()
    }

    /// The text that explains it, as one line.
    pub(super) fn doc(self) -> String {
        let text = self.0.get("description").and_then(Value::as_str).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn properties(schema: &Value) -> Option<impl Iterator<Item = (&str, &Value)>> {
    let members: &Map<String, Value> = schema.get("properties")?.as_object()?;
    Some(members.iter().map(|(name, schema)| (name.as_str(), schema)))
}

/// Refuses keys that nobody declares, all at once, each with its origin.
pub(super) fn refuse_unknown(tree: &Tree) -> Result<(), SettingsError> {
    let schema = self::tree();
    let mut unknown = Vec::new();
    collect_unknown(tree, Node::new(&schema), "", &mut unknown);
    if unknown.is_empty() { Ok(()) } else { Err(SettingsError::UnknownKeys(unknown)) }
}

fn collect_unknown(tree: &Tree, node: Node<'_>, path: &str, unknown: &mut Vec<String>) {
    match &tree.kind {
        ValueKind::Table(table) => {
            let members = node.members();
            // A leaf that was given a table has the wrong type, which deserialising says better.
            if members.is_empty() && node.free_members().is_none() {
                return;
            }
            let mut names: Vec<&String> = table.keys().collect();
            names.sort();
            for name in names {
                let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match node.member(name) {
                    Some(member) => collect_unknown(&table[name], member, &key, unknown),
                    None => unknown.push(describe_unknown(&key, name, &table[name], &members)),
                }
            }
        }
        ValueKind::Array(elements) => {
            if let Some(items) = node.items() {
                for (index, element) in elements.iter().enumerate() {
                    collect_unknown(element, items, &format!("{path}[{index}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

fn describe_unknown(key: &str, name: &str, found: &Tree, members: &[(&str, Node<'_>)]) -> String {
    let origin = first_origin(found).unwrap_or(BUILT_IN);
    let secret = format!("{name}_file");
    let hint = if members.iter().any(|(known, _)| *known == secret) {
        format!("; secrets come from files, set {secret}")
    } else {
        members
            .iter()
            .map(|(known, _)| (distance(name, known), known))
            .filter(|(distance, known)| distance * 3 <= known.len())
            .min()
            .map(|(_, known)| format!("; did you mean {known}?"))
            .unwrap_or_default()
    };
    format!("unknown key {key} ({origin}){hint}")
}

/// Edits that turn one word into the other (Levenshtein).
pub(super) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, from) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}
