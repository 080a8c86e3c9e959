//! What the person may take along (Art. 20 GDPR, R-32): `data.json`, in a form that is described by a schema.
//!
//! It holds what the person provided and what was observed while they used the service, of the sections that rest on
//! consent or contract. What was worked out from it is not theirs to take along, however much it concerns them (WP 242 rev.01):
//! of a profile the members of [`WORKED_OUT`] are left out, and the file says so. Everything else keeps its text.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::flatten::elements;
use super::package::{WithheldWire, instant, rights_of_others, withheld_wires, write_records};
use super::spool::{Collected, SectionCount};
use super::{ReportHeader, SCHEMA_NAME, Section};
use crate::domain::LegalBasis;

/// The JSON Schema (2020-12) of `data.json`; every package brings it along.
pub const PORTABLE_SCHEMA: &str = include_str!("portable.schema.json");

/// Name and version of the form.
const FORMAT: &str = "dsrd-portable-data/1";

/// Members of a profile that the platform worked out: statistics of visits, and groups made by rules on them.
const WORKED_OUT: [&str; 3] = ["metrics", "segmentCids", "segments"];

/// The profile without what was worked out about the person; every other member keeps its text. What is no object has no
/// members to leave out.
#[must_use]
pub fn provided(profile: &str) -> String {
    let is_worked_out = |key: &str| WORKED_OUT.iter().any(|name| key.trim_matches('"') == *name);
    let members = elements(profile);
    let keyed = members.iter().filter_map(|(key, value)| Some(((*key)?, *value)));
    if !profile.trim_start().starts_with('{') || !keyed.clone().any(|(key, _)| is_worked_out(key)) {
        return profile.to_owned();
    }
    let kept: Vec<String> =
        keyed.filter(|(key, _)| !is_worked_out(key)).map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", kept.join(","))
}

#[derive(Serialize)]
struct HeadWire<'a> {
    format: &'static str,
    schema: &'static str,
    reference: &'a str,
    controller: &'a str,
    received_at: String,
    generated_at: String,
    categories: BTreeMap<Section, CategoryWire<'a>>,
    left_out: LeftOutWire,
    withheld: Vec<WithheldWire<'a>>,
}

#[derive(Serialize)]
struct CategoryWire<'a> {
    legal_bases: &'a [LegalBasis],
    #[serde(flatten)]
    count: SectionCount,
}

/// What is held and not in the file.
#[derive(Serialize)]
struct LeftOutWire {
    /// Sections that rest on no consent and no contract.
    categories: Vec<Section>,
    /// Members of the profile that were worked out.
    profile_fields: &'static [&'static str],
}

/// Writes `data.json`.
pub(super) fn write(
    header: &ReportHeader,
    bases: &BTreeMap<Section, Vec<LegalBasis>>,
    collected: &Collected,
    file: &mut dyn Write,
) -> io::Result<()> {
    let parts = || collected.sections().iter().filter(|part| bases.contains_key(&part.section));
    let reason = rights_of_others(header);
    let head = HeadWire {
        format: FORMAT,
        schema: SCHEMA_NAME,
        reference: header.reference.as_str(),
        controller: &header.organisation_name,
        received_at: instant(header.received_at),
        generated_at: instant(header.generated_at),
        categories: parts()
            .map(|part| {
                let legal_bases = bases.get(&part.section).map_or(&[][..], Vec::as_slice);
                (part.section, CategoryWire { legal_bases, count: part.count })
            })
            .collect(),
        left_out: LeftOutWire {
            categories: Section::ALL
                .into_iter()
                .filter(|section| !bases.contains_key(section) && *section != Section::Requests)
                .collect(),
            profile_fields: &WORKED_OUT,
        },
        withheld: withheld_wires(collected, &reason),
    };
    write_records(&head, collected, parts(), file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_32_what_was_worked_out_is_left_out_and_the_rest_keeps_its_text() {
        let profile =
            r#"{ "cid":"c", "metrics":{"a":1} , "age":"\u0034\u0032","segments":[{"cid":"s"}],"n": 1.50}"#;
        assert_eq!(provided(profile), r#"{"cid":"c","age":"\u0034\u0032","n":1.50}"#);
        let plain = r#"{ "cid" : "c" }"#;
        assert_eq!(provided(plain), plain);
        assert_eq!(provided("[1]"), "[1]");
        assert_eq!(provided("no json"), "no json");
    }
}
