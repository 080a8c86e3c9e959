//! The one wrapper around personal data.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value about a person. `Debug`, `Display` and `Serialize` show `[personal]` instead of the value, so that it
/// cannot slip into a log line, an error or a stored row; [`Personal::expose`] is the only way to read it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Wraps a value about a person.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Each call is a place where personal data leaves its wrapper: review it as such.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, by move. The same care as for [`Personal::expose`] applies.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[personal]")
    }
}

impl<T> fmt::Display for Personal<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[personal]")
    }
}

impl<T> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[personal]")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_41_no_formatting_of_a_personal_value_shows_it() {
        let value = Personal::new("canary@people.example".to_owned());
        let shown = format!("{value} {value:?} {value:#?} {}", serde_json::to_string(&value).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }
}
