//! From the merged tree to typed settings.

use config::{ConfigError, Map, Value, ValueKind};
use serde::Deserialize;

use super::error::SettingsError;
use super::schema::{self, Node, ORGANISATION_DEFAULTS};
use super::settings::Settings;
use super::source::{BUILT_IN, variable_of};

/// Moves `[organisation_defaults]` below every organisation: what an organisation says itself stays.
pub(super) fn inherit_organisation_defaults(tree: &mut Value) {
    let ValueKind::Table(root) = &mut tree.kind else { return };
    let Some(mut defaults) = root.remove(ORGANISATION_DEFAULTS) else { return };
    rename_origins(&mut defaults, &|origin| {
        origin.map(|origin| format!("{origin}, {ORGANISATION_DEFAULTS}"))
    });
    let Some(Value { kind: ValueKind::Array(organisations), .. }) = root.get_mut("organisations") else {
        return;
    };
    for organisation in organisations {
        underlay(organisation, &defaults);
    }
}

/// Gives every value within `value` the origin that `rename` makes of its present one.
pub(super) fn rename_origins(value: &mut Value, rename: &dyn Fn(Option<&str>) -> Option<String>) {
    match &mut value.kind {
        ValueKind::Table(table) => table.values_mut().for_each(|each| rename_origins(each, rename)),
        ValueKind::Array(elements) => elements.iter_mut().for_each(|each| rename_origins(each, rename)),
        _ => {}
    }
    let origin = rename(value.origin());
    *value = Value::new(origin.as_ref(), std::mem::replace(&mut value.kind, ValueKind::Nil));
}

fn underlay(value: &mut Value, defaults: &Value) {
    match (&mut value.kind, &defaults.kind) {
        (ValueKind::Table(own), ValueKind::Table(inherited)) => {
            for (name, default) in inherited {
                match own.get_mut(name) {
                    Some(mine) => underlay(mine, default),
                    None => {
                        own.insert(name.clone(), default.clone());
                    }
                }
            }
        }
        // An element that a variable with a high index made room for.
        (ValueKind::Nil, _) => *value = defaults.clone(),
        _ => {}
    }
}

/// Deserialises the tree; errors name the key and its origin, and never the value.
pub(super) fn deserialise(tree: &Value) -> Result<Settings, SettingsError> {
    Settings::deserialize(tree.clone()).map_err(|error| translate(tree, error))
}

fn translate(tree: &Value, error: ConfigError) -> SettingsError {
    match error {
        ConfigError::NotFound(key) => {
            let key = well_formed(&key);
            SettingsError::Missing { variable: variable_of(&key), key }
        }
        ConfigError::Type { origin, expected, key, .. } => {
            let key = well_formed(&key.unwrap_or_default());
            let found = find(tree, &key);
            let origin = origin.or_else(|| found.and_then(first_origin).map(str::to_owned));
            let article = expected.replace("an signed", "a signed").replace("u64 bit", "64 bit");
            SettingsError::Invalid {
                problem: format!("must be {article}, not {}", found.map_or("something else", kind_word)),
                origin: origin.unwrap_or_else(|| BUILT_IN.to_owned()),
                key,
            }
        }
        ConfigError::At { error, origin, key } => {
            let key = well_formed(&key.unwrap_or_default());
            let origin = origin.or_else(|| find(tree, &key).and_then(first_origin).map(str::to_owned));
            let problem = match *error {
                ConfigError::Message(text) => without_values(tree, &key, &text),
                other => return translate(tree, other),
            };
            SettingsError::Invalid { key, origin: origin.unwrap_or_else(|| BUILT_IN.to_owned()), problem }
        }
        other => SettingsError::Invalid {
            key: "settings".to_owned(),
            origin: "all layers".to_owned(),
            problem: without_values(tree, "", &other.to_string()),
        },
    }
}

/// The crate writes `organisations[0]name`.
fn well_formed(key: &str) -> String {
    let mut text = String::with_capacity(key.len() + 1);
    let mut characters = key.chars().peekable();
    while let Some(character) = characters.next() {
        text.push(character);
        if character == ']' && characters.peek().is_some_and(|next| !matches!(next, '.' | '[')) {
            text.push('.');
        }
    }
    text.trim_end_matches('.').to_owned()
}

/// A message of serde or of a type's own parser, with everything cut out that repeats the value.
fn without_values(tree: &Value, key: &str, message: &str) -> String {
    let schema = schema::tree();
    let words = find_node(Node::new(&schema), key).map(Node::words).unwrap_or_default();
    if !words.is_empty() {
        return format!("must be one of {}", words.join(", "));
    }
    if message.starts_with("invalid ")
        && let Some((_, expected)) = message.rsplit_once(", expected ")
    {
        return format!("must be {expected}");
    }
    if key.ends_with("time_zone") {
        return "must be the name of a time zone in the IANA database, for example Europe/Rome".to_owned();
    }
    let mut text = message.to_owned();
    for leaf in find(tree, key).map(leaves).unwrap_or_default() {
        for shown in [leaf.escape_debug().to_string(), leaf] {
            if !shown.is_empty() {
                text = text.replace(&shown, "the value");
            }
        }
    }
    text
}

fn leaves(value: &Value) -> Vec<String> {
    match &value.kind {
        ValueKind::Table(table) => table.values().flat_map(leaves).collect(),
        ValueKind::Array(elements) => elements.iter().flat_map(leaves).collect(),
        ValueKind::Nil => Vec::new(),
        leaf => vec![leaf.to_string()],
    }
}

fn kind_word(value: &Value) -> &'static str {
    match &value.kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "this whole number"
        }
        ValueKind::Float(_) => "a number with a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}

/// Where a value was set. Tables have no origin of their own: the first value in them tells.
pub(super) fn first_origin(tree: &Value) -> Option<&str> {
    tree.origin().or_else(|| match &tree.kind {
        ValueKind::Table(table) => table.values().find_map(first_origin),
        ValueKind::Array(elements) => elements.iter().find_map(first_origin),
        _ => None,
    })
}

/// The compiled-in layer as a tree of its own.
pub(super) fn parse_defaults(text: &str) -> Option<Value> {
    let source = config::File::from_str(text, config::FileFormat::Toml);
    config::Config::builder().add_source(source).build().ok().map(|config| config.cache)
}

/// Splits `organisations[0].platform` into its segments.
fn segments(key: &str) -> impl Iterator<Item = &str> {
    key.split(['.', '[', ']']).filter(|segment| !segment.is_empty())
}

/// The value at a key.
pub(super) fn find<'a>(tree: &'a Value, key: &str) -> Option<&'a Value> {
    segments(key).try_fold(tree, |value, segment| match &value.kind {
        ValueKind::Table(table) => table.get(segment),
        ValueKind::Array(elements) => elements.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

fn find_node<'a>(node: Node<'a>, key: &str) -> Option<Node<'a>> {
    segments(key).try_fold(node, |node, segment| match segment.parse::<usize>() {
        Ok(_) => node.items(),
        Err(_) => node.member(segment),
    })
}

/// Sets a value at a path of tables.
pub(super) fn set(tree: &mut Value, path: &[&str], text: &str) {
    let Some((name, rest)) = path.split_first() else { return };
    if !matches!(tree.kind, ValueKind::Table(_)) {
        tree.kind = ValueKind::Table(Map::new());
    }
    if let ValueKind::Table(table) = &mut tree.kind {
        let member = table.entry((*name).to_owned()).or_insert_with(|| Value::new(None, ValueKind::Nil));
        if rest.is_empty() {
            *member = Value::new(None, text);
        } else {
            set(member, rest, text);
        }
    }
}
