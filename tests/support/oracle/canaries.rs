//! I-8: no personal data and no secret where none may be, in any spelling.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sqlx::{Connection as _, PgConnection, Row as _};

use super::{CANARY, Evidence, Posted, files_below, rows};
use crate::support::logs;

/// A shorter value would be found by chance.
const SHORTEST: usize = 8;

/// Texts that may not stand anywhere, lower-cased, found in one pass however many they are.
struct Needles {
    /// By their first four bytes: the whole text, and what it is.
    by_start: HashMap<[u8; 4], Vec<(Vec<u8>, &'static str)>>,
    /// Whether any begins with these two bytes.
    starts: Vec<bool>,
    known: BTreeSet<Vec<u8>>,
}

impl Needles {
    fn new() -> Self {
        Self { by_start: HashMap::new(), starts: vec![false; 1 << 16], known: BTreeSet::new() }
    }

    fn add_plain(&mut self, what: &'static str, text: &str) {
        let bytes = text.to_lowercase().into_bytes();
        if bytes.len() < SHORTEST || !self.known.insert(bytes.clone()) {
            return;
        }
        self.starts[usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))] = true;
        self.by_start.entry([bytes[0], bytes[1], bytes[2], bytes[3]]).or_default().push((bytes, what));
    }

    /// A value raw, percent-encoded, escaped as JSON, in hexadecimal digits and in base64.
    fn add(&mut self, what: &'static str, text: &str) {
        self.add_plain(what, text);
        if text.len() < SHORTEST {
            return;
        }
        let (mut every, mut escaped, mut hex) = (String::new(), String::new(), String::new());
        for byte in text.bytes() {
            write!(every, "%{byte:02x}").expect("a string takes all");
            write!(hex, "{byte:02x}").expect("a string takes all");
        }
        for unit in text.encode_utf16() {
            write!(escaped, "\\u{unit:04x}").expect("a string takes all");
        }
        let some: String = text
            .bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02x}"),
            })
            .collect();
        let quoted = serde_json::to_string(text).expect("a text is JSON");
        let ascii: String = text
            .chars()
            .map(|each| if each.is_ascii_alphanumeric() { each.to_string() } else { escape(each) })
            .collect();
        let marks: String = text
            .chars()
            .map(|each| {
                if each.is_ascii_alphanumeric() || "._-".contains(each) {
                    each.to_string()
                } else {
                    escape(each)
                }
            })
            .collect();
        for spelling in [&every, &escaped, &hex, &some, &some.replace("%20", "+"), &ascii, &marks] {
            self.add_plain(what, spelling);
        }
        self.add_plain(what, quoted.trim_matches('"'));
        // As it looks within a longer text, at each of the three places where it may begin.
        for shift in 0..3 {
            let shifted = [&[0; 2][..shift], text.as_bytes()].concat();
            let (from, until) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
            for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                self.add_plain(what, &encoded[from..until]);
            }
        }
    }

    /// A telephone number: as it is written, in E.164, and as people and programs shorten it.
    fn add_phone(&mut self, text: &str) {
        self.add("a phone", text);
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let national = digits.strip_prefix("39").unwrap_or(&digits).to_owned();
        for spelling in [format!("+{digits}"), digits.clone(), national.clone()] {
            self.add("a phone", &spelling);
        }
        if let Some((area, rest)) = national.split_at_checked(3) {
            for spelling in [format!("{area} {rest}"), format!("{area}-{rest}"), format!("({area}) {rest}")] {
                self.add("a phone", &spelling);
            }
            if let Some((exchange, line)) = rest.split_at_checked(3) {
                self.add("a phone", &format!("{area}-{exchange}-{line}"));
                self.add("a phone", &format!("({area}) {exchange}-{line}"));
            }
        }
    }

    fn add_mac(&mut self, text: &str) {
        self.add("a hardware address", text);
        self.add("a hardware address", &text.replace(':', "-"));
        self.add("a hardware address", &text.replace(':', ""));
    }

    /// What of these stands in a text; each kind once, with its surroundings.
    fn found_in(&self, text: &[u8]) -> Vec<String> {
        let lower = text.to_ascii_lowercase();
        let mut found: Vec<(&str, String)> = Vec::new();
        for at in 0..lower.len().saturating_sub(SHORTEST - 1) {
            if !self.starts[usize::from(u16::from_be_bytes([lower[at], lower[at + 1]]))] {
                continue;
            }
            let start = [lower[at], lower[at + 1], lower[at + 2], lower[at + 3]];
            for (needle, what) in self.by_start.get(&start).into_iter().flatten() {
                if lower[at..].starts_with(needle)
                    && !is_part_of_a_hash(needle, &lower, at)
                    && !found.iter().any(|(known, _)| known == what)
                {
                    let around = &text[at.saturating_sub(80)..(at + needle.len() + 40).min(text.len())];
                    found.push((what, String::from_utf8_lossy(around).into_owned()));
                }
            }
        }
        found.into_iter().map(|(what, around)| format!("{what}: …{around}…")).collect()
    }
}

/// Whether a few digits stand in the middle of many: hashes and ids hold any ten digits now and then.
fn is_part_of_a_hash(needle: &[u8], text: &[u8], at: usize) -> bool {
    const LONGEST_NUMBER: usize = 12;
    let is_digit =
        |place: Option<usize>| place.and_then(|place| text.get(place)).is_some_and(u8::is_ascii_hexdigit);
    needle.len() <= LONGEST_NUMBER
        && needle.iter().all(u8::is_ascii_hexdigit)
        && (is_digit(at.checked_sub(1)) || is_digit(Some(at + needle.len())))
}

fn escape(each: char) -> String {
    let (mut units, mut escaped) = ([0; 2], String::new());
    for unit in each.encode_utf16(&mut units) {
        write!(escaped, "\\u{unit:04x}").expect("a string takes all");
    }
    escaped
}

/// Values of these members in the clear contents of packages, which no log may repeat.
fn values_of<'a>(member: &str, text: &'a str) -> Vec<&'a str> {
    let mark = format!("\"{member}\":\"");
    text.split(&mark).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn needles(evidence: &Evidence<'_>, contents: &[String]) -> Needles {
    let mut needles = Needles::new();
    needles.add("the canary", CANARY);
    for organisation in evidence.service.simulator.organisations() {
        needles.add("a client secret", organisation.client_secret());
        needles.add("a client key", organisation.client_key());
    }
    needles.add("the master key", evidence.service.desk.keys.to_hex().as_str());
    for request in evidence.requests.values() {
        let Some(truth) = request.contact.as_deref().and_then(|contact| evidence.truth(contact)) else {
            continue;
        };
        let identifiers = truth.identifiers;
        needles.add("an e-mail address", &identifiers.email);
        needles.add("a user name", &identifiers.username);
        needles.add("an external id", &identifiers.ext_id);
        if !identifiers.phone.is_empty() {
            needles.add_phone(&identifiers.phone);
        }
    }
    for text in contents {
        for mac in values_of("macAddress", text) {
            needles.add_mac(mac);
        }
    }
    needles
}

/// The whole mail as its reader sees it, without the one header that may name the person.
fn without_recipient(mail: &Posted, refusals: &BTreeSet<String>) -> String {
    let text = String::from_utf8_lossy(&mail.raw);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut kept = String::new();
    let mut dropped = false;
    for line in head.lines() {
        // A line that begins with a space goes on with the header before it.
        if !line.starts_with([' ', '\t']) {
            dropped = line.to_ascii_lowercase().starts_with("to:");
        }
        if !dropped {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    // The text of a refusal quotes the controller's own words, which may name anything.
    if refusals.contains(&mail.message_id) {
        return kept;
    }
    kept + &body.replace("=\r\n", "").replace("=3D", "=").replace("=40", "@")
}

/// Nothing of these in any table, log, file, mail beyond its recipient, output or argument of a process; nor in any
/// place but a mail's text the secret of a link.
pub(super) async fn stay_in_their_cage(evidence: &Evidence<'_>, contents: &[String]) -> Vec<String> {
    let service = evidence.service;
    let mut needles = needles(evidence, contents);
    let mut faults = Vec::new();
    let refusals: BTreeSet<String> =
        rows(service, "SELECT message_id FROM dsrd.notice WHERE kind = 'refused'")
            .await
            .iter()
            .map(|row| row.get("message_id"))
            .collect();
    for mail in &evidence.mails {
        for found in needles.found_in(without_recipient(mail, &refusals).as_bytes()) {
            faults.push(format!("I-8: a mail beyond its recipient holds {found}"));
        }
    }
    for link in evidence.mails.iter().filter_map(Posted::link) {
        needles.add("the secret of a link", &link);
    }
    let tables = rows(
        service,
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
         WHERE table_schema IN ('dsrd', 'audit', 'audit_private') AND table_type = 'BASE TABLE'",
    )
    .await;
    // As owner: there are tables of the log that the service may not read.
    let mut connection =
        PgConnection::connect_with(&service.database.options()).await.expect("a connection of the owner");
    for table in tables {
        let name: String = table.get("name");
        // `bytea` is shown in hexadecimal digits, in which the needles are spelled too.
        let text = if ["audit.entry", "audit.inbox"].contains(&name.as_str()) {
            "convert_from(entry, 'UTF8')"
        } else {
            "row::text"
        };
        let statement = format!("SELECT coalesce(string_agg({text}, E'\\n'), '') FROM {name} AS row");
        let content: String = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut connection)
            .await
            .expect("the owner may read all tables");
        for found in needles.found_in(content.as_bytes()) {
            faults.push(format!("I-8: a row of {name} holds {found}"));
        }
    }
    drop(connection);
    for found in needles.found_in(&logs::since(service.logged_before)) {
        faults.push(format!("I-8: the log holds {found}"));
    }
    for (place, text) in &evidence.said {
        for found in needles.found_in(text.as_bytes()) {
            faults.push(format!("I-8: {place} holds {found}"));
        }
    }
    for path in files_below(service.directory.path()) {
        // The files that the operator wrote to hold a secret.
        if path.extension().is_some_and(|extension| extension == "key" || extension == "secret") {
            continue;
        }
        let content = std::fs::read(&path).expect("a file of the test");
        for found in needles.found_in(&content) {
            faults.push(format!("I-8: the file {} holds {found}", path.display()));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i_8_a_value_is_found_in_every_spelling() {
        let mut needles = Needles::new();
        needles.add("an e-mail address", "Ada.Canary@posta.example");
        needles.add_phone("+39 333 1234567");
        needles.add_mac("A2:B4:C6:D8:EA:FC");
        let encoded =
            |prefix: &str| STANDARD_NO_PAD.encode(format!("{prefix}ada.canary@posta.example and more"));
        for text in [
            "for ADA.CANARY@POSTA.EXAMPLE today".to_owned(),
            "?q=Ada.Canary%40posta.example&x".to_owned(),
            "?q=%41%64%61%2E%43%61%6E%61%72%79%40%70%6f%73%74%61%2e%65%78%61%6d%70%6c%65".to_owned(),
            "{\"to\":\"Ada.Canary\\u0040posta.example\"}".to_owned(),
            "{\"to\":\"ada\\u002ecanary\\u0040posta\\u002eexample\"}".to_owned(),
            hex::encode("Ada.Canary@posta.example"),
            STANDARD_NO_PAD.encode("Ada.Canary@posta.example"),
            STANDARD_NO_PAD.encode("1Ada.Canary@posta.example and more"),
            STANDARD_NO_PAD.encode("12Ada.Canary@posta.example and more"),
            "call +393331234567".to_owned(),
            "call 333 1234567.".to_owned(),
            "call (333) 123-4567.".to_owned(),
            "a2-b4-c6-d8-ea-fc".to_owned(),
            "mac=a2b4c6d8eafc".to_owned(),
        ] {
            assert_eq!(needles.found_in(text.as_bytes()).len(), 1, "{text}");
        }
        // Another spelling of the letters is another base64; the canary's own is what requests hold.
        assert!(needles.found_in(encoded("").as_bytes()).is_empty());
        for text in ["", "ada", "nobody@posta.example", "+39 333 7654321", "A2:B4:C6:D8:EA:FD"] {
            assert!(needles.found_in(text.as_bytes()).is_empty(), "{text}");
        }
    }
}
