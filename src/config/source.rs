//! The layers, and how they are merged.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::error::SettingsError;
use super::schema::Node;
use super::values::rename_origins;
use super::{DEFAULTS, STATE_DIRECTORY, schema};

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "/etc/dsrd/dsrd.toml";

/// Origin of values that nobody set.
pub(super) const BUILT_IN: &str = "default";

const PREFIX: &str = "DSRD__";

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Configuration files, each overriding those before it.
    pub files: Vec<PathBuf>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Whether the process runs as root, which decides the default data directory.
    pub root: bool,
    /// Whether [`STATE_DIRECTORY`](super::STATE_DIRECTORY) belongs to the user of the process, who is that of the service then:
    /// its commands work on what its unit works on.
    pub of_service: bool,
}

impl Sources {
    /// The layers of this process: the files named (else [`DEFAULT_FILE`], if it exists) and its environment.
    pub fn of_process(named: &[PathBuf]) -> Result<Self, SettingsError> {
        let default = Path::new(DEFAULT_FILE);
        let files = if named.is_empty() && !matches!(default.try_exists(), Ok(false)) {
            vec![default.to_owned()]
        } else {
            named.to_vec()
        };
        let mut environment = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => {
                    environment.insert(name, value);
                }
                // Other programs' variables are none of our business.
                Err(_) if name.starts_with(PREFIX) => return Err(SettingsError::VariableNotText { name }),
                Err(_) => {}
            }
        }
        let user = std::fs::metadata("/proc/self").ok().map(|process| process.uid());
        let owner = std::fs::metadata(STATE_DIRECTORY).ok().map(|directory| directory.uid());
        let of_service = user.is_some() && user == owner;
        Ok(Self { files, environment, root: user == Some(0), of_service })
    }

    /// A variable of the environment, if it is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// All layers in one tree; every value knows its origin, compiled-in ones have none.
pub(super) fn merged(sources: &Sources) -> Result<Value, SettingsError> {
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    for path in &sources.files {
        builder = builder.add_source(NamedFile::read(path)?);
    }
    // All that can fail was parsed before; merging maps cannot.
    builder.add_source(Environment(sources.environment.clone())).build().map(|config| config.cache).map_err(
        |_| SettingsError::FileMalformed {
            path: PathBuf::new(),
            problem: "the layers cannot be merged".to_owned(),
        },
    )
}

/// A parsed file whose values bear its path as it was given; the crate's own source would relate it to the working
/// directory, and quote lines at fault.
#[derive(Clone, Debug)]
struct NamedFile(Map<String, Value>);

impl NamedFile {
    fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::FileUnreadable { path: path.to_owned(), source })?;
        let mut values = File::from_str(&text, FileFormat::Toml).collect().map_err(|error| {
            SettingsError::FileMalformed { path: path.to_owned(), problem: place_and_rule(&error) }
        })?;
        let origin = path.to_string_lossy().into_owned();
        for value in values.values_mut() {
            rename_origins(value, &|_| Some(origin.clone()));
        }
        Ok(Self(values))
    }
}

impl Source for NamedFile {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// The parser quotes the line at fault, which may hold a secret written in the wrong place: only the place and the
/// rule are kept.
fn place_and_rule(error: &ConfigError) -> String {
    let text = match error {
        ConfigError::FileParse { cause, .. } => cause.to_string(),
        _ => "it cannot be read".to_owned(),
    };
    let kept: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|')).collect();
    kept.join(", ")
}

/// Variables `DSRD__SECTION__KEY`, each with its own name as origin. A number as segment is a place in a list. Where
/// the key is a list of words, the value is split at commas.
#[derive(Clone, Debug)]
struct Environment(BTreeMap<String, String>);

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let root = schema::tree();
        let mut found = Map::new();
        for (name, text) in &self.0 {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let segments: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            let mut key = String::new();
            let mut node = Some(Node::new(&root));
            for segment in &segments {
                if segment.parse::<usize>().is_ok() {
                    key.extend(["[", segment, "]"]);
                    node = node.and_then(Node::items);
                } else {
                    if !key.is_empty() {
                        key.push('.');
                    }
                    key.push_str(segment);
                    node = node.and_then(|node| node.member(segment));
                }
            }
            let origin = variable_origin(name);
            let kind = match node {
                Some(node) if text.is_empty() && node.is_optional() => ValueKind::Nil,
                Some(node) if node.items().is_some() => ValueKind::Array(
                    text.split(',')
                        .map(str::trim)
                        .filter(|word| !word.is_empty())
                        .map(|word| Value::new(Some(&origin), word))
                        .collect(),
                ),
                _ => ValueKind::String(text.clone()),
            };
            found.insert(key, Value::new(Some(&origin), kind));
        }
        Ok(found)
    }
}

fn variable_origin(name: &str) -> String {
    format!("environment variable {name}")
}

/// The name of the variable that sets a key.
pub(super) fn variable_of(key: &str) -> String {
    let path = key.replace('[', ".").replace(']', "").replace('.', "__").to_uppercase();
    format!("{PREFIX}{path}")
}
