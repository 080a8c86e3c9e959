//! Identifiers of a person for commands that look somebody up: from a file, standard input or a terminal, never from
//! arguments, which every user of a host can read (I-8).

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::Path;

use serde::Deserialize;

use super::Failure;
use super::output::read_small_text;
use crate::domain::{Controller, IdentifierKind, Personal, SubjectIdentifier};

/// The identifiers as a file holds them: JSON with any of these keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IdentifiersWire {
    email: Option<Personal<String>>,
    phone: Option<Personal<String>>,
    username: Option<Personal<String>>,
    external_id: Option<Personal<String>>,
    external_property_1: Option<Personal<String>>,
    external_property_2: Option<Personal<String>>,
}

/// Reads the identifiers of one person from a file (`-` for standard input), or asks for them at the terminal.
pub(super) fn read(from: Option<&Path>, controller: &Controller) -> anyhow::Result<Vec<SubjectIdentifier>> {
    let wire = match from {
        Some(path) => parse(path)?,
        None if io::stdin().is_terminal() => ask(&mut io::stdin().lock(), &mut anstream::stderr())?
            .ok_or_else(|| Failure::Usage.because("the questions were broken off; nothing was done"))?,
        None => {
            return Err(Failure::Usage.because(
                "no identifier is given: put them into a file and name it with --from FILE, or pipe them in with --from -, \
                 for example {\"email\": \"…\"}",
            ));
        }
    };
    let mut identifiers = Vec::new();
    for (kind, text) in [
        (IdentifierKind::Email, wire.email),
        (IdentifierKind::Phone, wire.phone),
        (IdentifierKind::Username, wire.username),
        (IdentifierKind::ExternalId, wire.external_id),
        (IdentifierKind::ExternalProperty1, wire.external_property_1),
        (IdentifierKind::ExternalProperty2, wire.external_property_2),
    ] {
        let Some(text) = text else { continue };
        let identifier = SubjectIdentifier::parse(kind, text.expose(), controller.default_country.as_deref())
            .map_err(|error| Failure::Usage.because(error.to_string()))?;
        identifiers.push(identifier);
    }
    if identifiers.is_empty() {
        return Err(Failure::Usage.because("no identifier is given; give at least one"));
    }
    Ok(identifiers)
}

fn parse(path: &Path) -> anyhow::Result<IdentifiersWire> {
    let (shown, text) = read_small_text(path)?;
    // The parser's own message may repeat a value: only the place is told.
    serde_json::from_str(&text).map_err(|error| {
        Failure::Usage.because(format!(
            "{shown} does not hold identifiers: line {}, column {}; known keys are email, phone, username, external_id, \
             external_property_1, external_property_2",
            error.line(),
            error.column()
        ))
    })
}

/// Asks for each identifier; `None` when the input ended before.
fn ask(input: &mut impl BufRead, talk: &mut impl Write) -> io::Result<Option<IdentifiersWire>> {
    let mut wire = IdentifiersWire::default();
    for (asked, place) in [
        ("E-mail address (Enter: none)", &mut wire.email),
        ("Telephone number with country code (Enter: none)", &mut wire.phone),
        ("User name (Enter: none)", &mut wire.username),
        ("Id of the person in your own system (Enter: none)", &mut wire.external_id),
    ] {
        write!(talk, "{asked}: ")?;
        talk.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim();
        if !text.is_empty() {
            *place = Some(Personal::new(text.to_owned()));
        }
    }
    Ok(Some(wire))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_asked_for_one_by_one_and_a_broken_dialogue_gives_none() {
        let mut talk = Vec::new();
        let wire = ask(&mut " ada@people.example \n\n\nX-7\n".as_bytes(), &mut talk).unwrap().unwrap();
        assert_eq!(wire.email, Some(Personal::new("ada@people.example".to_owned())));
        assert_eq!((wire.phone, wire.username), (None, None));
        assert_eq!(wire.external_id, Some(Personal::new("X-7".to_owned())));
        assert!(ask(&mut "ada@people.example\n".as_bytes(), &mut talk).unwrap().is_none());
    }
}
