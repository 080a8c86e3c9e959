use uuid::Uuid;

use super::super::report::{Finding, Severity};
use super::*;
use crate::audit::leaf::{DetailValue, Leaf, LeafBytes};

const SEALED: &str = "2023-01-01T00:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn leaf(action: &str, written: &str) -> Leaf {
    let text = r#"{"action":"a.b","actor":"process:test","at_us":1,"detail":{},"id":"0193d3e0-0000-7000-8000-000000000000","v":1}"#;
    let leaf = Leaf::parse(text.as_bytes()).unwrap();
    let at_us = u64::try_from(at(written).timestamp_micros()).unwrap();
    Leaf { action: action.to_owned(), at_us, id: Uuid::now_v7(), ..leaf }
}

fn pruned(first: i64, last: i64, months: i64, sealed_up_to: &str) -> Leaf {
    let numbers = [("first", first), ("last", last), ("months", months)];
    let mut detail: std::collections::BTreeMap<_, _> =
        numbers.map(|(key, number)| (key.to_owned(), DetailValue::Number(number))).into();
    if !sealed_up_to.is_empty() {
        detail.insert("sealed_up_to".to_owned(), DetailValue::Word(sealed_up_to.to_owned()));
    }
    Leaf { detail, ..leaf("log.prune", "2026-01-01T00:00:00Z") }
}

/// What is found in a log of these entries, `None` for one that is gone, and how many may be. Before a heartbeat the
/// service wrote something every 30 days since the entry before.
fn found(entries: &[Option<&Leaf>]) -> (u64, Vec<Finding>) {
    found_with(&[], entries)
}

/// The same with heads behind so many entries: where they were kept, and their time.
fn found_with(heads: &[(u64, &str, Option<&str>)], entries: &[Option<&Leaf>]) -> (u64, Vec<Finding>) {
    let (mut absences, mut findings) =
        (Absences::new(at("2026-06-01T00:00:00Z"), false), Findings::default());
    for (entry, seq) in entries.iter().zip(1..) {
        for (size, kept_at, time) in heads.iter().filter(|(size, ..)| size + 1 == seq) {
            let secs = time.map(|time| at(time).timestamp().try_into().unwrap());
            absences.meet(*size, kept_at, secs);
        }
        match entry {
            Some(leaf) => {
                while leaf.action == "log.heartbeat"
                    && let Some(latest) = absences.latest
                    && latest + TimeDelta::days(30) < instant(leaf.at_us)
                {
                    let between = self::leaf("request.read", &(latest + TimeDelta::days(30)).to_rfc3339());
                    let bytes = LeafBytes::of(between.to_bytes().into()).unwrap();
                    absences.take(seq, bytes.view(), &mut findings);
                }
                let bytes = LeafBytes::of(leaf.to_bytes().into()).unwrap();
                absences.take(seq, bytes.view(), &mut findings);
            }
            None => absences.miss(seq),
        }
    }
    (absences.settle(&mut findings), findings.into_parts().0)
}

#[test]
fn a_beginning_that_is_missing_needs_an_entry_that_allows_it() {
    let kept = leaf("request.read", "2023-01-01T00:05:00Z");
    let now = &leaf("log.heartbeat", "2026-01-01T00:00:00Z");
    let (kept, two, three) = (&kept, &pruned(1, 2, 24, SEALED), &pruned(3, 3, 24, "2023-01-01T00:04:00Z"));
    for (entries, authorised, wrong) in [
        (vec![None, None, Some(kept), Some(now), Some(two)], 2, None),
        // The later one is enough where the earlier one went with the rest.
        (vec![None, None, None, Some(kept), Some(now), Some(three)], 3, None),
        (vec![None, None, None, Some(kept), Some(now), Some(two), Some(three)], 3, None),
        // What may go need not be gone.
        (vec![Some(kept), Some(kept), Some(kept), Some(now), Some(two)], 0, None),
        (vec![None, Some(kept), Some(kept), Some(now), Some(two)], 1, None),
        (vec![None, None, None, Some(kept), Some(now), Some(two)], 2, Some(("entry 3", "no signed entry"))),
        (vec![None, None, Some(kept)], 0, Some(("entries 1 to 2", "no signed entry"))),
        (
            vec![Some(kept), None, Some(kept), Some(now), Some(two)],
            0,
            Some(("entry 2", "from between others")),
        ),
    ] {
        let (number, findings) = found(&entries);
        assert_eq!(number, authorised, "{findings:?}");
        let said = findings.first().map(|each| (each.severity, each.place.as_str(), each.what.as_str()));
        let is_right = match (said, wrong) {
            (None, None) => true,
            (Some((severity, at, what)), Some((place, part))) => {
                severity == Severity::Violation && at == place && what.contains(part)
            }
            _ => false,
        };
        assert!(is_right && findings.len() <= 1, "{wrong:?}: {findings:?}");
    }
}

#[test]
fn r_74_an_entry_that_allows_more_than_the_rules_allows_nothing() {
    let kept = leaf("request.read", "2023-01-01T00:05:00Z");
    let now = leaf("log.heartbeat", "2026-01-01T00:00:00Z");
    for (entry, why) in [
        (pruned(1, 2, 23, SEALED), "less than 24 months"),
        (pruned(1, 2, 24, "2025-01-01T00:00:00Z"), "not 24 months old"),
        (pruned(1, 2, 999_999_999_999_999, SEALED), "months old"),
        (pruned(1, 2, 24, ""), "when they were sealed"),
        (pruned(1, 9, 24, SEALED), "lets itself go"),
        (pruned(2, 1, 24, SEALED), "does not say which"),
        // Its own date is not believed beyond that of the others.
        (Leaf { at_us: 1 << 52, ..pruned(1, 2, 24, "2025-01-01T00:00:00Z") }, "not 24 months old"),
    ] {
        let (authorised, findings) = found(&[None, None, Some(&kept), Some(&now), Some(&entry)]);
        assert_eq!(authorised, 0, "{why}");
        assert!(findings[0].what.contains(why) && findings[0].place == "entry 5", "{why}: {findings:?}");
        assert_eq!(findings[1].place, "entries 1 to 2");
    }
}

#[test]
fn younger_entries_that_went_with_old_ones_leave_a_gap_that_is_told() {
    let (young, now) =
        (leaf("request.read", "2025-12-30T00:00:00Z"), leaf("log.heartbeat", "2026-01-01T00:00:00Z"));
    let (_, findings) = found(&[None, None, Some(&young), Some(&now), Some(&pruned(1, 2, 24, SEALED))]);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Undecided));
    assert!(findings[0].place == "entry 3" && findings[0].what.contains("1094 days"), "{findings:?}");
    // To let more go than is missing does not hide it.
    let (_, findings) =
        found(&[None, Some(&young), Some(&young), Some(&young), Some(&now), Some(&pruned(1, 5, 24, SEALED))]);
    assert_eq!((findings[0].severity, findings[0].place.as_str()), (Severity::Undecided, "entry 2"));
}

#[test]
fn s_40_an_invented_date_bears_out_nothing() {
    let kept = leaf("request.read", "2023-01-01T00:05:00Z");
    let today = leaf("request.read", "2026-01-01T00:00:00Z");
    // One entry was written as if it were old, and everything before it taken out.
    let (_, findings) = found(&[None, None, Some(&kept), Some(&today), Some(&pruned(1, 2, 24, SEALED))]);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Undecided));
    assert!(findings[0].place == "entry 4" && findings[0].what.contains("1095 days"), "{findings:?}");
    // Two were written as if they were of a time to come.
    let ahead = leaf("request.read", "2040-01-01T00:00:00Z");
    let entry = Leaf { at_us: ahead.at_us, ..pruned(1, 2, 24, "2025-12-31T00:00:00Z") };
    let (authorised, findings) = found(&[None, None, Some(&today), Some(&ahead), Some(&entry)]);
    assert!(authorised == 0 && findings[0].what.contains("not 24 months old"), "{findings:?}");
}

#[test]
fn s_40_a_head_with_a_time_tells_of_younger_entries_that_went() {
    let kept = leaf("request.read", "2023-01-01T00:05:00Z");
    let (now, entry) = (leaf("log.heartbeat", "2026-01-01T00:00:00Z"), pruned(1, 3, 24, SEALED));
    let entries = [None, None, None, Some(&kept), Some(&now), Some(&entry)];
    let place = |heads: &[(u64, &str, Option<&str>)]| {
        let (authorised, findings) = found_with(heads, &entries);
        assert_eq!(authorised, 3);
        findings.into_iter().map(|each| (each.severity, each.place)).collect::<Vec<_>>()
    };
    let older = (1, "", Some("2022-12-31T00:00:00Z"));
    assert!(place(&[older]).is_empty());
    let younger = (2, "", Some("2025-06-01T00:00:00Z"));
    assert_eq!(place(&[older, younger]), [(Severity::Violation, "entry 3".to_owned())]);
    // A witness may sign the last head again as long as nothing follows.
    assert!(place(&[older, (3, "", Some("2025-06-01T00:00:00Z"))]).is_empty());
    // What an auditor kept without a time says so to the auditor.
    assert_eq!(place(&[(2, "mine.txt", None)]), [(Severity::Remark, "mine.txt".to_owned())]);
    assert!(place(&[(2, "", None)]).is_empty());
}

/// What is found in a place of files with these entries, `None` for one that is not there.
fn found_in_files(entries: &[Option<&Leaf>]) -> Vec<(Severity, String)> {
    let (mut absences, mut findings) = (Absences::new(at("2026-06-01T00:00:00Z"), true), Findings::default());
    for (entry, seq) in entries.iter().zip(1..) {
        match entry {
            Some(leaf) => {
                absences.take(seq, LeafBytes::of(leaf.to_bytes().into()).unwrap().view(), &mut findings);
            }
            None => absences.miss(seq),
        }
    }
    absences.settle(&mut findings);
    findings.into_parts().0.into_iter().map(|each| (each.severity, each.place)).collect()
}

#[test]
fn a_place_of_files_that_lacks_entries_behind_others_is_not_accused() {
    let there = leaf("request.read", "2023-01-01T00:05:00Z");
    let undecided = |place: &str| (Severity::Undecided, place.to_owned());
    let (yes, no) = (Some(&there), None);
    assert_eq!(found_in_files(&[yes, no, no]), [undecided("entries 2 to 3")]);
    assert_eq!(found_in_files(&[yes, no, yes]), [undecided("entry 2")]);
    // What allows the beginning to be gone may be among what is not there.
    assert_eq!(found_in_files(&[no, yes, no]), [undecided("entry 1"), undecided("entry 3")]);
    // With everything else there, it is not.
    assert_eq!(found_in_files(&[no, no, yes]), [(Severity::Violation, "entries 1 to 2".to_owned())]);
}

#[test]
fn a_place_that_holds_hashes_only_is_not_accused() {
    let (mut absences, mut findings) = (Absences::new(at(SEALED), true), Findings::default());
    for seq in 1..=3 {
        absences.miss(seq);
    }
    assert_eq!(absences.settle(&mut findings), 0);
    let found = findings.into_parts().0;
    assert_eq!(
        (found.len(), found[0].severity, found[0].place.as_str()),
        (1, Severity::Undecided, "entries 1 to 3")
    );
}
