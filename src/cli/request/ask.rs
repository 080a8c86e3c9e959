//! The questions that `dsrd request submit` asks at a terminal.
//!
//! What is typed there stands in no argument of a process, no file and no history of a shell.

use std::io::{self, BufRead, Write};

use super::submit::{SubmissionWire, received_at};
use crate::domain::{Channel, Personal, RequestKind};

/// Asks for what a submission needs and `known` does not say; `None` when the input ended before.
pub(super) fn for_missing(
    known: SubmissionWire,
    input: &mut impl BufRead,
    talk: &mut impl Write,
) -> io::Result<Option<SubmissionWire>> {
    let mut wire = known;
    let mut dialogue = Dialogue { input, talk };
    let kind =
        |text: &str| RequestKind::read(text).map(|_| text.to_owned()).map_err(|error| error.to_string());
    let channel =
        |text: &str| text.parse::<Channel>().map(|_| text.to_owned()).map_err(|error| error.to_string());
    if wire.kind.is_none() && wire.kinds.is_empty() {
        wire.kind = dialogue.until("What is asked (access, erasure, opt_out, … or other)", kind)?;
        if wire.kind.is_none() {
            return Ok(None);
        }
    }
    if wire.channel.is_none() {
        wire.channel =
            dialogue.until("How it arrived (web, email, letter, phone, in_person or api)", channel)?;
        if wire.channel.is_none() {
            return Ok(None);
        }
    }
    if wire.received_at.is_none() {
        let asked = "When it arrived (for example 2026-11-23T10:00:00+01:00)";
        wire.received_at = dialogue.until(asked, |text| received_at(text).map(|_| text.to_owned()))?;
        if wire.received_at.is_none() {
            return Ok(None);
        }
    }
    let given = &mut wire.identifiers;
    for (asked, place) in [
        ("E-mail address (Enter: none)", &mut given.email),
        ("Telephone number with country code (Enter: none)", &mut given.phone),
        ("User name (Enter: none)", &mut given.username),
        ("Id of the person in your own system (Enter: none)", &mut given.external_id),
    ] {
        let Some(text) = dialogue.once(asked)? else { return Ok(None) };
        if !text.is_empty() {
            *place = Some(Personal::new(text));
        }
    }
    Ok(Some(wire))
}

struct Dialogue<'a, R, W> {
    input: &'a mut R,
    talk: &'a mut W,
}

impl<R: BufRead, W: Write> Dialogue<'_, R, W> {
    /// One line; `None` at the end of the input.
    fn once(&mut self, asked: &str) -> io::Result<Option<String>> {
        write!(self.talk, "{asked}: ")?;
        self.talk.flush()?;
        let mut line = String::new();
        Ok((self.input.read_line(&mut line)? > 0).then(|| line.trim().to_owned()))
    }

    /// Asks again until the line can be read.
    fn until<T>(&mut self, asked: &str, read: impl Fn(&str) -> Result<T, String>) -> io::Result<Option<T>> {
        while let Some(line) = self.once(asked)? {
            match read(&line) {
                Ok(value) => return Ok(Some(value)),
                Err(problem) => writeln!(self.talk, "  {problem}")?,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(known: SubmissionWire, typed: &str) -> (Option<SubmissionWire>, String) {
        let mut talk = Vec::new();
        let wire = for_missing(known, &mut typed.as_bytes(), &mut talk).unwrap();
        (wire, String::from_utf8(talk).unwrap())
    }

    #[test]
    fn what_is_missing_is_asked_for_and_asked_again_when_it_cannot_be_read() {
        let known = SubmissionWire { kind: Some("access".to_owned()), ..SubmissionWire::default() };
        let typed = "fax\nemail\nyesterday\n2026-11-23T10:00:00+01:00\n ada@people.example \n\n\n\n";
        let (wire, talk) = asked(known, typed);
        let wire = wire.unwrap();
        assert_eq!(wire.channel.as_deref(), Some("email"));
        assert_eq!(wire.received_at.as_deref(), Some("2026-11-23T10:00:00+01:00"));
        assert_eq!(wire.identifiers.email, Some(Personal::new("ada@people.example".to_owned())));
        assert_eq!(wire.identifiers.phone, None);
        assert!(!talk.contains("What is asked"), "what is known is not asked for: {talk}");
        assert_eq!(talk.matches("How it arrived").count(), 2, "{talk}");
        assert_eq!(talk.matches("When it arrived").count(), 2, "{talk}");
    }

    #[test]
    fn a_dialogue_that_is_broken_off_submits_nothing() {
        let typed = "access\nemail\n2026-11-23T10:00:00+01:00\nada@people.example\n";
        assert!(asked(SubmissionWire::default(), typed).0.is_none());
        assert!(asked(SubmissionWire::default(), "").0.is_none());
    }
}
