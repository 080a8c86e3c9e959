//! Reading, checking and filling one text.

use super::Part;
use super::values::{SLOTS, Shape, Values};

/// What is wrong with a text, or with the facts for it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TextError {
    /// A line that no rule covers.
    #[error("line {line}: {problem}")]
    Malformed {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A placeholder that does not exist.
    #[error("line {line}: no such placeholder; known: {}", known())]
    Unknown {
        /// The line's number, from 1.
        line: usize,
    },
    /// A placeholder that notices of this kind do not have.
    #[error("{{{{{0}}}}} has no value in a notice of this kind")]
    Foreign(&'static str),
    /// A placeholder that the text must hold.
    #[error("{{{{{0}}}}} must stand in the text and does not")]
    Missing(&'static str),
    /// The facts hold no value for it.
    #[error("the facts have no value for {{{{{0}}}}}")]
    NoValue(&'static str),
    /// The language has no phrase for a word, or the phrase asks for a value that there is not.
    #[error("the language has no usable phrase {0:?}")]
    NoPhrase(String),
    /// What is wrong in a file.
    #[error("{file} is wrong")]
    File {
        /// Which one, below the source folder.
        file: String,
        /// What is wrong with it.
        #[source]
        problem: Box<TextError>,
    },
    /// The HTML could not be written.
    #[error("the HTML form cannot be made")]
    Html,
}

fn known() -> String {
    SLOTS.iter().map(|slot| slot.name).collect::<Vec<_>>().join(", ")
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(&'static str),
}

type Line = Vec<Piece>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    Title(Line),
    Heading(Line),
    Paragraph(Line),
    Bullet(Line),
    Fact(Line, Line),
    Button(Line, Line),
}

/// A text that was read.
#[derive(Clone, Debug)]
pub(super) struct Template {
    version: u16,
    subject: Line,
    blocks: Vec<Block>,
}

/// Checks a text: every line is of a known form, every placeholder is one of `allowed`, and all `required` ones are
/// there. The daemon does so with its own texts at start; `dsrd check` does with any.
pub fn check_template(
    source: &str,
    required: &[&'static str],
    allowed: &[&'static str],
) -> Result<(), TextError> {
    Template::read(source)?.check(required, allowed)
}

impl Template {
    /// Reads a text: its version, its subject, its blocks. One without a subject line has an empty subject (the closing).
    pub(super) fn read(source: &str) -> Result<Self, TextError> {
        let mut template = Self { version: 0, subject: Line::new(), blocks: Vec::new() };
        for (index, text) in source.lines().enumerate() {
            let number = index + 1;
            let malformed = |problem| TextError::Malformed { line: number, problem };
            let text = text.trim_end();
            if text.is_empty() {
                continue;
            }
            if number == 1 {
                let version = text.strip_prefix("version: ").and_then(|version| version.parse().ok());
                template.version = version
                    .filter(|version| *version > 0)
                    .ok_or(malformed("the first line is the version, for example version: 1"))?;
                continue;
            }
            if let Some(subject) = text.strip_prefix("subject: ") {
                if number != 2 {
                    return Err(malformed("the subject is the second line"));
                }
                template.subject = read_line(subject, number)?;
                continue;
            }
            template.blocks.push(read_block(text, number)?);
        }
        if template.version == 0 {
            return Err(TextError::Malformed { line: 1, problem: "the first line is the version" });
        }
        Ok(template)
    }

    /// The version of its words.
    pub(super) const fn version(&self) -> u16 {
        self.version
    }

    pub(super) fn check(&self, required: &[&'static str], allowed: &[&'static str]) -> Result<(), TextError> {
        let found: Vec<&'static str> = self.slots().collect();
        if let Some(foreign) = found.iter().find(|name| !allowed.contains(name) && !required.contains(name)) {
            return Err(TextError::Foreign(foreign));
        }
        match required.iter().find(|name| !found.contains(name)) {
            Some(missing) => Err(TextError::Missing(missing)),
            None => Ok(()),
        }
    }

    fn slots(&self) -> impl Iterator<Item = &'static str> {
        let lines = self.blocks.iter().flat_map(|block| match block {
            Block::Title(line) | Block::Heading(line) | Block::Paragraph(line) | Block::Bullet(line) => {
                vec![line]
            }
            Block::Fact(label, value) | Block::Button(label, value) => vec![label, value],
        });
        std::iter::once(&self.subject).chain(lines).flatten().filter_map(|piece| match piece {
            Piece::Slot(name) => Some(*name),
            Piece::Text(_) => None,
        })
    }

    /// Fills the values in: subject and blocks. One pass; a value is copied, never read. A list of `optional` without a
    /// value vanishes with its bullet; anything else without one is an error.
    pub(super) fn fill(&self, values: &Values, optional: &[&str]) -> Result<(String, Vec<Part>), TextError> {
        let mut parts: Vec<Part> = Vec::new();
        for block in &self.blocks {
            match block {
                Block::Title(line) => parts.push(Part::Title(fill_line(line, values)?)),
                Block::Heading(line) => parts.push(Part::Heading(fill_line(line, values)?)),
                Block::Paragraph(line) => parts.push(Part::Paragraph(fill_line(line, values)?)),
                Block::Button(label, link) => {
                    parts.push(Part::Button(fill_line(label, values)?, fill_line(link, values)?));
                }
                Block::Bullet(line) => {
                    let items = match line.as_slice() {
                        [Piece::Slot(name)] if shape(name) == Shape::List => match values.list(name) {
                            Err(TextError::NoValue(_)) if optional.contains(name) => continue,
                            items => items?.to_vec(),
                        },
                        _ => vec![fill_line(line, values)?],
                    };
                    match parts.last_mut() {
                        Some(Part::Bullets(before)) => before.extend(items),
                        _ => parts.push(Part::Bullets(items)),
                    }
                }
                Block::Fact(label, value) => {
                    let row = (fill_line(label, values)?, fill_line(value, values)?);
                    match parts.last_mut() {
                        Some(Part::Facts(before)) => before.push(row),
                        _ => parts.push(Part::Facts(vec![row])),
                    }
                }
            }
        }
        Ok((fill_line(&self.subject, values)?, parts))
    }
}

fn shape(name: &str) -> Shape {
    SLOTS.iter().find(|slot| slot.name == name).map_or(Shape::Word, |slot| slot.shape)
}

fn fill_line(line: &Line, values: &Values) -> Result<String, TextError> {
    let mut text = String::new();
    for piece in line {
        match piece {
            Piece::Text(words) => text.push_str(words),
            Piece::Slot(name) => text.push_str(values.word(name)?),
        }
    }
    Ok(text)
}

fn read_block(text: &str, number: usize) -> Result<Block, TextError> {
    let pair = |rest: &str, problem| {
        let (label, value) = rest.split_once(" | ").ok_or(TextError::Malformed { line: number, problem })?;
        Ok((read_line(label, number)?, read_line(value, number)?))
    };
    let block = if let Some(rest) = text.strip_prefix("## ") {
        Block::Heading(read_line(rest, number)?)
    } else if let Some(rest) = text.strip_prefix("# ") {
        Block::Title(read_line(rest, number)?)
    } else if let Some(rest) = text.strip_prefix("- ") {
        return read_bullet(rest, number);
    } else if let Some(rest) = text.strip_prefix("| ") {
        let (label, value) = pair(rest, "write | label | value")?;
        Block::Fact(label, value)
    } else if let Some(rest) = text.strip_prefix("! ") {
        let (label, link) = pair(rest, "write ! label | {{link}}")?;
        if link != [Piece::Slot("link")] {
            return Err(TextError::Malformed { line: number, problem: "a button leads to {{link}} only" });
        }
        Block::Button(label, link)
    } else if text.starts_with(|first: char| first.is_whitespace() || "#|!-".contains(first)) {
        return Err(TextError::Malformed { line: number, problem: "a mark is followed by one space" });
    } else {
        Block::Paragraph(read_line(text, number)?)
    };
    Ok(block)
}

fn read_bullet(text: &str, number: usize) -> Result<Block, TextError> {
    let line = read_pieces(text, number)?;
    let lists =
        line.iter().filter(|piece| matches!(piece, Piece::Slot(name) if shape(name) == Shape::List)).count();
    if lists > 0 && line.len() > 1 {
        return Err(TextError::Malformed { line: number, problem: "a list stands alone in its bullet" });
    }
    Ok(Block::Bullet(line))
}

fn read_line(text: &str, number: usize) -> Result<Line, TextError> {
    let line = read_pieces(text, number)?;
    if line.iter().any(|piece| matches!(piece, Piece::Slot(name) if shape(name) == Shape::List)) {
        return Err(TextError::Malformed { line: number, problem: "a list stands in a bullet only" });
    }
    Ok(line)
}

/// What other template languages would evaluate. None of it means anything here, so a text that holds it was written
/// for something else.
const FOREIGN_SYNTAX: [&str; 8] = ["{", "}", "${", "#{", "<%", "%>", "__", "<!--"];

fn read_pieces(text: &str, number: usize) -> Result<Line, TextError> {
    let mut line = Line::new();
    let mut rest = text;
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        if FOREIGN_SYNTAX.iter().any(|mark| before.contains(mark)) || before.chars().any(char::is_control) {
            return Err(TextError::Malformed {
                line: number,
                problem: "braces, ${, <%, __, <!-- and control characters mean nothing here",
            });
        }
        if !before.is_empty() {
            line.push(Piece::Text(before.to_owned()));
        }
        let Some(after) = after else { return Ok(line) };
        let (name, following) =
            after.split_once("}}").ok_or(TextError::Malformed { line: number, problem: "{{ without }}" })?;
        let slot = SLOTS.iter().find(|slot| slot.name == name).ok_or(TextError::Unknown { line: number })?;
        line.push(Piece::Slot(slot.name));
        rest = following;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: &[&str] = &["reference"];
    const ALLOWED: &[&str] = &["organisation", "policies", "link"];

    #[test]
    fn s_20_bad_templates_are_refused() {
        let check = |source: &str| check_template(&format!("version: 1\n{source}"), REQUIRED, ALLOWED);
        assert_eq!(check("subject: {{reference}}\n# Title\n- {{policies}}\n! Go | {{link}}"), Ok(()));
        assert_eq!(check("# no reference"), Err(TextError::Missing("reference")));
        assert_eq!(check("{{reference}} {{secret}}"), Err(TextError::Unknown { line: 2 }));
        assert_eq!(check("{{reference}} {{due_on}}"), Err(TextError::Foreign("due_on")));
        for bad in [
            "{{reference}} {{organisation",
            "{{reference}} organisation}}",
            "{{reference}} {% include 'x' %}",
            "{{reference}} ${env.HOME}",
            "{{reference}} #{7*7}",
            "{{reference}} <% x %>",
            "{{reference}} __X__",
            "{{reference}} <!--#include file=x -->",
            "{{reference}} {organisation}",
            "{{reference}} {{policies}}",
            "{{reference}}\n- of {{policies}}",
            "{{reference}}\n! Go | https://elsewhere.example",
            "{{reference}}\n| no value",
            "{{reference}}\n#no space",
            "{{reference}}\nsubject: late",
            "{{reference}} \u{7}",
        ] {
            assert!(matches!(check(bad), Err(TextError::Malformed { .. })), "{bad:?}: {:?}", check(bad));
        }
        for versionless in
            ["", "# Title {{reference}}", "version: 0\n{{reference}}", "version: x\n{{reference}}"]
        {
            let checked = check_template(versionless, REQUIRED, ALLOWED);
            assert!(matches!(checked, Err(TextError::Malformed { line: 1, .. })), "{versionless:?}");
        }
        for unknown in ["{{ reference }}", "{{reference|safe}}", "{{self.__init__}}", "{{{reference}}}"] {
            assert!(matches!(check(unknown), Err(TextError::Unknown { .. })), "{unknown:?}");
        }
    }
}
