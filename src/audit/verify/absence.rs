//! Entries that are not there: each against the signed entry `log.prune` that let it go.
//!
//! A log forgets from its beginning on, whole months after an entry was sealed, and says so in an entry before. Whoever may
//! write to the inbox can have such an entry signed as well, so that it is not believed because it is signed: it has to keep
//! to the rules that the function `audit.prune` keeps to, and what stands around the absence has to bear it out.
//!
//! - Only a beginning may be missing, never something between two entries.
//! - `log.prune` names a term of 24 months or more, when the last of those entries was sealed, and lies behind them.
//! - The first entry that is kept follows soon on the last one that went: a running service writes every few minutes. Where
//!   it does not, either the service rested for that long, or younger entries went, too; nobody can tell from the log alone.
//!
//! What an earlier `log.prune` let go is let go by the later one as well: the earlier one may have gone with the rest.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::account::{range_name, range_of};
use super::report::{Findings, Step};
use crate::audit::event::Action;
use crate::audit::forget::LOWEST_LOG_MONTHS;
use crate::audit::leaf::LeafView;

/// Days of a month at least, for a term in months that is compared with instants in seconds.
const SHORTEST_MONTH_DAYS: i64 = 28;

/// So much later than the last entry that went may the first one be that is kept: a day. A running log has an entry every ten
/// minutes.
const REST: TimeDelta = TimeDelta::days(1);

/// What an entry `log.prune` lets go: everything up to an entry.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    last: u64,
    sealed_up_to: DateTime<Utc>,
}

/// The account of a run over the log.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// First and last numbers of what is missing.
    missing: BTreeMap<u64, u64>,
    /// The furthest of all permissions that keep to the rules.
    allowed: Option<Allowed>,
    /// The first entry that is there: its number, and when it was written.
    first_kept: Option<(u64, DateTime<Utc>)>,
    /// The latest instant of the entries so far.
    latest: Option<DateTime<Utc>>,
}

impl Absences {
    /// Whether nothing is missing so far.
    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// Takes note of an entry that is not there.
    pub(super) fn miss(&mut self, seq: u64) {
        match self.missing.last_entry() {
            Some(mut last) if *last.get() + 1 == seq => *last.get_mut() = seq,
            _ => drop(self.missing.insert(seq, seq)),
        }
    }

    /// Takes note of an entry that is there.
    pub(super) fn take(&mut self, seq: u64, leaf: LeafView<'_>, findings: &mut Findings) {
        let at = instant(leaf.at_us());
        self.first_kept.get_or_insert((seq, at));
        let before = self.latest.replace(self.latest.map_or(at, |latest| latest.max(at))).unwrap_or(at);
        if leaf.action() != Action::LogPrune.as_str() {
            return;
        }
        // An entry that is dated ahead of all others makes nothing older.
        match Allowed::by(seq, leaf, at.min(before)) {
            Ok(allowed) if self.allowed.is_none_or(|known| known.last < allowed.last) => {
                self.allowed = Some(allowed);
            }
            Ok(_) => {}
            Err(why) => findings.violation(Step::Absence, format!("entry {seq}"), why),
        }
    }

    /// Settles the account, and counts what is gone as allowed.
    pub(super) fn settle(&self, findings: &mut Findings) -> u64 {
        let allowed_to = self.allowed.map_or(0, |allowed| allowed.last);
        let mut authorised = 0;
        for (&first, &last) in &self.missing {
            if self.first_kept.is_some_and(|(kept, _)| kept < first) {
                findings.violation(
                    Step::Absence,
                    range_name(first, last),
                    "gone from between others; a log lets entries go from its beginning on only",
                );
                continue;
            }
            authorised += (allowed_to + 1).clamp(first, last + 1) - first;
            if allowed_to < last {
                findings.violation(
                    Step::Absence,
                    range_name(first.max(allowed_to + 1), last),
                    "gone, and no signed entry of the log allows it",
                );
            }
        }
        if authorised > 0
            && let (Some(allowed), Some((kept, at))) = (self.allowed, self.first_kept)
            && at > allowed.sealed_up_to + REST
        {
            findings.undecided(
                Step::Absence,
                format!("entry {kept}"),
                format!(
                    "it is the first that is kept, and was written {} days after the time up to which entries were let \
                     go: either the service rested for so long, or younger entries went, too",
                    (at - allowed.sealed_up_to).num_days()
                ),
            );
        }
        authorised
    }
}

impl Allowed {
    /// What an entry `log.prune` of this number, written at `at`, lets go; otherwise the rule that it does not keep to.
    fn by(seq: u64, leaf: LeafView<'_>, at: DateTime<Utc>) -> Result<Self, String> {
        let (_, last) = range_of(leaf).ok_or("it lets entries go and does not say which")?;
        if last >= seq {
            return Err("it lets itself go, or what came after it".to_owned());
        }
        let months = leaf.detail_number("months").unwrap_or_default();
        if months < i64::from(LOWEST_LOG_MONTHS) {
            return Err(format!("it lets entries go after less than {LOWEST_LOG_MONTHS} months"));
        }
        let sealed_up_to: DateTime<Utc> = leaf
            .detail_word("sealed_up_to")
            .and_then(|text| text.parse().ok())
            .ok_or("it lets entries go and does not say when they were sealed")?;
        let term = months.checked_mul(SHORTEST_MONTH_DAYS).and_then(TimeDelta::try_days);
        if term.is_none_or(|term| at - sealed_up_to < term) {
            return Err(format!("it lets entries go that were not {months} months old"));
        }
        Ok(Self { last, sealed_up_to })
    }
}

fn instant(at_us: u64) -> DateTime<Utc> {
    i64::try_from(at_us).ok().and_then(DateTime::from_timestamp_micros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
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

    /// What is found in a log of these entries, `None` for one that is gone, and how many may be.
    fn found(entries: &[Option<&Leaf>]) -> (u64, Vec<Finding>) {
        let (mut absences, mut findings) = (Absences::default(), Findings::default());
        for (entry, seq) in entries.iter().zip(1..) {
            match entry {
                Some(leaf) => {
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
        let (kept, two, three) =
            (&kept, &pruned(1, 2, 24, SEALED), &pruned(3, 3, 24, "2023-01-01T00:04:00Z"));
        for (entries, authorised, wrong) in [
            (vec![None, None, Some(kept), Some(now), Some(two)], 2, None),
            // The later one is enough where the earlier one went with the rest.
            (vec![None, None, None, Some(kept), Some(now), Some(three)], 3, None),
            (vec![None, None, None, Some(kept), Some(now), Some(two), Some(three)], 3, None),
            // What may go need not be gone.
            (vec![Some(kept), Some(kept), Some(kept), Some(now), Some(two)], 0, None),
            (vec![None, Some(kept), Some(kept), Some(now), Some(two)], 1, None),
            (
                vec![None, None, None, Some(kept), Some(now), Some(two)],
                2,
                Some(("entry 3", "no signed entry")),
            ),
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
        let (_, findings) = found(&[
            None,
            Some(&young),
            Some(&young),
            Some(&young),
            Some(&now),
            Some(&pruned(1, 5, 24, SEALED)),
        ]);
        assert_eq!((findings[0].severity, findings[0].place.as_str()), (Severity::Undecided, "entry 2"));
    }
}
