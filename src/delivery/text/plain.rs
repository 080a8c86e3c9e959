//! The plain-text form.

use super::{Frame, Part};

const WIDTH: usize = 72;

/// The parts as text with line feeds, wrapped at 72 characters. A long word, such as a link, stands on a line of its own.
pub(super) fn render(parts: &[Part], frame: &Frame<'_>) -> String {
    let colon = frame.colon;
    let mut blocks: Vec<String> = Vec::new();
    for part in parts {
        match part {
            Part::Title(text) => blocks.push(format!("{text}\n{}", "=".repeat(width(text).min(WIDTH)))),
            Part::Heading(text) => blocks.push(format!("{text}\n{}", "-".repeat(width(text).min(WIDTH)))),
            Part::Paragraph(text) => blocks.push(wrap(text, "", "")),
            Part::Bullets(items) => {
                blocks.push(items.iter().map(|item| wrap(item, "- ", "  ")).collect::<Vec<_>>().join("\n"));
            }
            Part::Facts(rows) => {
                let widest = rows.iter().map(|(label, _)| width(label)).max().unwrap_or_default();
                let lines = rows.iter().map(|(label, value)| {
                    let gap = " ".repeat(widest - width(label) + 2);
                    wrap(value, &format!("  {label}{colon}{gap}"), &" ".repeat(widest + 4 + width(colon)))
                });
                blocks.push(lines.collect::<Vec<_>>().join("\n"));
            }
            Part::Button(label, link) => blocks.push(format!("{label}{colon}\n\n{link}")),
            Part::Rule => blocks.push("-".repeat(WIDTH)),
        }
    }
    blocks.push(wrap(frame.footer, "", ""));
    blocks.join("\n\n") + "\n"
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn wrap(text: &str, first: &str, following: &str) -> String {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && width(&line) + 1 + width(word) > WIDTH {
            lines.push(std::mem::replace(&mut line, following.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_and_links_are_not() {
        let link = format!("https://privacy.venue.example/handover/{}", "a".repeat(64));
        let text = render(
            &[
                Part::Paragraph("word ".repeat(40).trim_end().to_owned()),
                Part::Bullets(vec!["item ".repeat(20).trim_end().to_owned()]),
                Part::Button("Open".to_owned(), link.clone()),
            ],
            &Frame { language: "en", organisation: "", footer: "footer", colon: ":", button_help: "" },
        );
        assert!(text.lines().all(|line| line == link || line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().any(|line| line == link));
        assert!(text.contains("\n  item"), "{text}");
    }
}
