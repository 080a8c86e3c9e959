//! Holds on the log: the table of them against the entries that set and lifted them, and what went while one was in force.
//!
//! A row of the table is a summary of its entries, so that whatever both say must be the same: a superuser who wants to erase in
//! a hold need not lift it, but only move its last day for a moment.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Days, NaiveDate};

use super::report::{Findings, Step};
use crate::audit::leaf::LeafView;

/// Who set a hold or lifted it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldDeed {
    /// Who, as entries name them.
    pub by: String,
    /// When, in microseconds since 1970.
    pub at_us: u64,
}

/// A hold as the database holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRow {
    /// Its id, as entries name it.
    pub id: String,
    /// Why it was set.
    pub reason: String,
    /// When somebody is to ask whether it is still needed.
    pub review_on: Option<NaiveDate>,
    /// The last day (UTC) on which it is in force.
    pub until_on: Option<NaiveDate>,
    /// Who set it, and when.
    pub set: HoldDeed,
    /// Who lifted it, and when; none as long as nobody did.
    pub lifted: Option<HoldDeed>,
}

/// A hold as the entries tell it.
#[derive(Debug)]
struct Told {
    /// The first entry that names it.
    seq: u64,
    /// What the entry says that set it; none where that one was not seen.
    set: Option<HoldRow>,
    /// The entry that lifted it, and what that says.
    lifted: Option<(u64, HoldDeed)>,
}

impl Told {
    fn is_in_force(&self, day: NaiveDate) -> bool {
        let until = self.set.as_ref().and_then(|set| set.until_on);
        self.lifted.is_none() && until.is_none_or(|until| until >= day)
    }
}

/// The holds that the entries of a run tell of.
#[derive(Debug, Default)]
pub(super) struct Holds {
    told: HashMap<String, Told>,
}

impl Holds {
    /// Takes note of an entry that sets a hold.
    pub(super) fn set(&mut self, seq: u64, leaf: LeafView<'_>) {
        let Some(id) = leaf.detail_word("hold") else { return };
        let day = |key| leaf.detail_word(key).and_then(|day| day.parse().ok());
        let row = HoldRow {
            id: id.to_owned(),
            reason: leaf.detail_word("reason").unwrap_or_default().to_owned(),
            review_on: day("review_on"),
            until_on: day("until_on"),
            set: deed(leaf),
            lifted: None,
        };
        self.told.insert(id.to_owned(), Told { seq, set: Some(row), lifted: None });
    }

    /// Takes note of an entry that lifts one.
    pub(super) fn lift(&mut self, seq: u64, leaf: LeafView<'_>, findings: &mut Findings) {
        let id = leaf.detail_word("hold").unwrap_or_default();
        match self.told.get_mut(id) {
            Some(Told { lifted: Some(_), .. }) => findings.violation(
                Step::Erasures,
                format!("entry {seq}"),
                "it lifts a hold that was lifted before",
            ),
            Some(told) => told.lifted = Some((seq, deed(leaf))),
            // It was set before the beginning of this run, or among pruned entries.
            None => {
                let told = Told { seq, set: None, lifted: Some((seq, deed(leaf))) };
                self.told.insert(id.to_owned(), told);
            }
        }
    }

    /// An entry that allows others to go must not fall into a hold. Who announces it asks both clocks, that of the database and the one
    /// in the entry.
    pub(super) fn prune(&self, seq: u64, leaf: LeafView<'_>, findings: &mut Findings) {
        if let Some(hold) = self.in_force(leaf, Days::new(0)) {
            let what = format!("it lets entries go while the hold of entry {hold} was in force");
            findings.violation(Step::Erasures, format!("entry {seq}"), what);
        }
    }

    /// Whether no hold forbade what an entry `log.redact` tells of; says so where one did. Who erases asks the clock of the database,
    /// which may be in the day after the last one of a hold before the clock in the entry is.
    pub(super) fn allow_erasing(&self, seq: u64, leaf: LeafView<'_>, findings: &mut Findings) -> bool {
        let Some(hold) = self.in_force(leaf, Days::new(1)) else { return true };
        let what = format!("it tells of an erasure while the hold of entry {hold} was in force");
        findings.violation(Step::Erasures, format!("entry {seq}"), what);
        false
    }

    /// The first hold that was in force when an entry was written, even if that was so much later.
    fn in_force(&self, leaf: LeafView<'_>, tolerance: Days) -> Option<u64> {
        let at = i64::try_from(leaf.at_us()).ok().and_then(DateTime::from_timestamp_micros);
        let day = at.unwrap_or_default().date_naive();
        let day = day.checked_add_days(tolerance).unwrap_or(day);
        self.told.values().filter(|told| told.is_in_force(day)).map(|told| told.seq).min()
    }

    /// Compares what was told with the table. `pending`: holds of which an entry is not sealed yet; `partial`: the run did not see
    /// all entries.
    pub(super) fn settle(
        &self,
        table: &[HoldRow],
        pending: &HashSet<String>,
        partial: bool,
        findings: &mut Findings,
    ) {
        let rows: HashMap<&str, &HoldRow> = table.iter().map(|row| (row.id.as_str(), row)).collect();
        let mut told: Vec<_> = self.told.iter().filter(|(id, _)| !pending.contains(*id)).collect();
        told.sort_unstable_by_key(|(_, told)| told.seq);
        for (id, told) in told {
            let Some(row) = rows.get(id.as_str()) else {
                let what = "the hold that it tells of is not in the table of holds";
                findings.violation(Step::Erasures, format!("entry {}", told.seq), what);
                continue;
            };
            if let Some(what) = told.set.as_ref().and_then(|set| difference(set, row)) {
                let what = format!("the table of holds says otherwise {what}");
                findings.violation(Step::Erasures, format!("entry {}", told.seq), what);
            }
            let lifting = match (&told.lifted, &row.lifted) {
                (Some((seq, said)), Some(kept)) if said != kept => {
                    Some((seq, "by whom or when its hold was lifted"))
                }
                (None, Some(_)) => Some((&told.seq, "whether its hold was lifted")),
                (Some((seq, _)), None) => Some((seq, "whether its hold was lifted")),
                _ => None,
            };
            if let Some((seq, what)) = lifting {
                let what = format!("the table of holds says otherwise {what}");
                findings.violation(Step::Erasures, format!("entry {seq}"), what);
            }
        }
        let unknown = |row: &&HoldRow| !self.told.contains_key(&row.id) && !pending.contains(&row.id);
        for row in table.iter().filter(unknown).filter(|_| !partial) {
            findings.violation(
                Step::Erasures,
                "audit.hold",
                format!("no entry tells of the hold {}", row.id),
            );
        }
    }
}

fn deed(leaf: LeafView<'_>) -> HoldDeed {
    HoldDeed { by: leaf.actor().to_owned(), at_us: leaf.at_us() }
}

/// In what a row of the table differs from the entry that set its hold.
fn difference(said: &HoldRow, row: &HoldRow) -> Option<&'static str> {
    [
        (said.until_on != row.until_on, "up to which day its hold is in force"),
        (said.review_on != row.review_on, "when its hold is to be reviewed"),
        (said.reason != row.reason, "why its hold was set"),
        (said.set != row.set, "by whom or when its hold was set"),
    ]
    .into_iter()
    .find_map(|(differs, what)| differs.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::leaf::{DetailValue, Leaf, LeafBytes};
    use crate::audit::verify::report::Finding;

    /// Noon of 24 November 2026.
    const NOON_US: u64 = 1_795_521_600_000_000;
    const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;

    fn leaf(action: &str, detail: &[(&str, &str)]) -> Leaf {
        let text = r#"{"action":"a.b","actor":"process:test","at_us":1795521600000000,"detail":{},"id":"0193d3e0-0000-7000-8000-000000000000","v":1}"#;
        let words = detail.iter().map(|(key, word)| {
            let value =
                word.parse().map_or_else(|_| DetailValue::Word((*word).to_owned()), DetailValue::Number);
            ((*key).to_owned(), value)
        });
        let leaf = Leaf::parse(text.as_bytes()).unwrap();
        Leaf { action: action.to_owned(), detail: words.collect(), ..leaf }
    }

    fn row() -> HoldRow {
        HoldRow {
            id: "h".to_owned(),
            reason: "court_or_claim".to_owned(),
            review_on: None,
            until_on: "2026-11-24".parse().ok(),
            set: HoldDeed { by: "process:test".to_owned(), at_us: NOON_US },
            lifted: None,
        }
    }

    fn lifted() -> HoldRow {
        HoldRow { lifted: Some(row().set), ..row() }
    }

    fn set() -> Leaf {
        leaf("log.hold_set", &[("hold", "h"), ("reason", "court_or_claim"), ("until_on", "2026-11-24")])
    }

    fn found(table: &[HoldRow], entries: &[Leaf]) -> Vec<Finding> {
        let (mut holds, mut findings) = (Holds::default(), Findings::default());
        for (entry, seq) in entries.iter().zip(1..) {
            let bytes = LeafBytes::of(entry.to_bytes().into()).unwrap();
            let view = bytes.view();
            match view.action() {
                "log.hold_set" => holds.set(seq, view),
                "log.hold_lifted" => holds.lift(seq, view, &mut findings),
                "log.prune" => holds.prune(seq, view, &mut findings),
                _ => {
                    let before = findings.verdict();
                    let is_allowed = holds.allow_erasing(seq, view, &mut findings);
                    assert_eq!(is_allowed, findings.verdict() == before);
                }
            }
        }
        holds.settle(table, &HashSet::new(), false, &mut findings);
        findings.into_parts().0
    }

    #[track_caller]
    fn says(found: &[Finding], what: Option<&str>) {
        let said: Vec<_> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(said.len(), usize::from(what.is_some()), "{what:?}: {said:?}");
        assert!(what.is_none_or(|what| said[0].contains(what)), "{what:?}: {said:?}");
    }

    #[test]
    fn what_goes_in_a_hold_is_named_and_what_goes_after_its_last_day_is_not() {
        let at = |action: &str, days: u64| Leaf { at_us: NOON_US + days * DAY_US, ..leaf(action, &[]) };
        let lift = leaf("log.hold_lifted", &[("hold", "h")]);
        // Set the day before, so that its last day can be looked at.
        let longer = "2026-11-25".parse().ok();
        let (long, long_row) = (
            leaf("log.hold_set", &[("hold", "h"), ("reason", "court_or_claim"), ("until_on", "2026-11-25")]),
            HoldRow { until_on: longer, ..row() },
        );
        for (table, entries, what) in [
            (
                long_row.clone(),
                vec![long.clone(), at("log.prune", 1)],
                Some("lets entries go while the hold of entry 1"),
            ),
            (long_row.clone(), vec![long.clone(), at("log.prune", 2)], None),
            (
                long_row.clone(),
                vec![long.clone(), at("log.redact", 0)],
                Some("an erasure while the hold of entry 1"),
            ),
            // The clock of the database may have been in the next day.
            (long_row.clone(), vec![long.clone(), at("log.redact", 1)], None),
            (lifted(), vec![set(), lift.clone(), at("log.redact", 0), at("log.prune", 0)], None),
            (row(), vec![at("log.redact", 0), set()], None),
        ] {
            says(&found(&[table], &entries), what);
        }
        let open =
            leaf("log.hold_set", &[("hold", "h"), ("reason", "court_or_claim"), ("review_on", "2026-12-01")]);
        let table = HoldRow { until_on: None, review_on: "2026-12-01".parse().ok(), ..row() };
        says(&found(&[table], &[open, at("log.redact", 900)]), Some("an erasure while the hold"));
    }

    #[test]
    fn a_hold_stands_in_entries_and_table_alike() {
        let lift = leaf("log.hold_lifted", &[("hold", "h")]);
        let other = |at_us| HoldDeed { by: "process:other".to_owned(), at_us };
        for (table, entries, what) in [
            (vec![row()], vec![set()], None),
            (vec![lifted()], vec![set(), lift.clone()], None),
            (vec![row()], vec![], Some("no entry tells")),
            (vec![], vec![set()], Some("not in the table")),
            (vec![lifted()], vec![set()], Some("otherwise whether its hold was lifted")),
            (vec![row()], vec![set(), lift.clone()], Some("otherwise whether its hold was lifted")),
            (vec![lifted()], vec![set(), lift.clone(), lift.clone()], Some("lifted before")),
            // It was set among entries that were not seen.
            (vec![lifted()], vec![lift.clone()], None),
            (
                vec![HoldRow { until_on: "2020-01-01".parse().ok(), ..row() }],
                vec![set()],
                Some("up to which day its hold is in force"),
            ),
            (vec![HoldRow { until_on: None, ..row() }], vec![set()], Some("up to which day")),
            (
                vec![HoldRow { review_on: "2026-11-23".parse().ok(), ..row() }],
                vec![set()],
                Some("when its hold is to be reviewed"),
            ),
            (vec![HoldRow { reason: "security_incident".to_owned(), ..row() }], vec![set()], Some("why")),
            (
                vec![HoldRow { set: other(NOON_US), ..row() }],
                vec![set()],
                Some("by whom or when its hold was set"),
            ),
            (
                vec![HoldRow { lifted: Some(HoldDeed { at_us: 1, ..row().set }), ..row() }],
                vec![set(), lift.clone()],
                Some("by whom or when its hold was lifted"),
            ),
        ] {
            says(&found(&table, &entries), what);
        }
    }
}
