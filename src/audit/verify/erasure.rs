//! What made entries personal and is gone: each absence against the signed entry that allows it, and each such entry against the
//! [holds](super::holds) that forbid it.
//!
//! Only a database has these parts; a directory of files shows entries and hashes, and of it only is asked whether an entry tells of
//! an erasure in a hold.
//!
//! What is still there is compared as far as a signature reaches, and no further: the commitments that are kept beside a case must
//! make the one in its entry. Salts, tags and names are bound by nothing that this place has. A salt fits where it and the identifier
//! make the commitment, and only who knows the identifier can compute that (`audit::subject`, `audit::manifest`); a name belongs to a
//! random word by its row alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::holds::{HoldRow, Holds};
use super::report::{Counts, Findings, Step};
use crate::audit::event::Action;
use crate::audit::leaf::LeafView;

/// What a place has beside the entries, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Erasable {
    /// The random words of people whose names are kept.
    pub actors: HashSet<String>,
    /// Every hold.
    pub holds: Vec<HoldRow>,
    /// Cases whose erasing is recorded and not sealed yet.
    pub pending_cases: HashSet<Uuid>,
    /// People whose erasing is recorded and not sealed yet.
    pub pending_actors: HashSet<String>,
    /// Holds whose setting or lifting is recorded and not sealed yet.
    pub pending_holds: HashSet<String>,
    /// Pages of sweeps by the ids of their entries, sealed or not, or pruned.
    pub pages: HashMap<Uuid, PageRow>,
    /// Pages whose entry is recorded and not sealed yet.
    pub pending_pages: HashSet<Uuid>,
    /// Of how many items the forgetting is recorded and not sealed yet.
    pub pending_items: u64,
}

/// A page of a sweep as the database holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRow {
    /// How many commitments stand beside its entry.
    pub items: u64,
    /// How many items still have their salt.
    pub kept: u64,
}

impl PageRow {
    const fn gone(self) -> u64 {
        self.items.saturating_sub(self.kept)
    }
}

/// What became of the salt that opens a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Openable {
    /// This place has no such part.
    Elsewhere,
    /// There is one; whether it fits, the identifier would tell.
    Kept,
    /// Erased; the entry that says so is not sealed yet.
    Pending,
    Gone,
}

/// The account of a run over the log.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    erasable: Option<Erasable>,
    /// What the commitments that are kept with their salts make together, of the cases of the present chunk.
    openings: HashMap<Uuid, String>,
    /// Cases whose salts are gone, with the number of the entry that holds the commitment.
    closed_cases: BTreeMap<Uuid, u64>,
    /// People whose name is gone, with the number of their first entry.
    unnamed: HashMap<String, u64>,
    redacted_actors: HashSet<String>,
    holds: Holds,
    /// Pages of sweeps with the numbers of their entries.
    pages: Vec<(u64, Uuid)>,
    /// Of how many items of them entries tell that they were forgotten.
    redacted_items: u64,
    /// Number of the last entry, and how many were taken.
    last: u64,
    taken: u64,
    opened: u64,
    authorised: u64,
}

impl Erasures {
    /// Begins with what the place has, `None` where it has no such part.
    pub(super) fn begin(&mut self, erasable: Option<Erasable>) {
        self.erasable = erasable;
    }

    /// The commitments that can still be opened, for the entries that are taken next.
    pub(super) fn may_open(&mut self, openings: HashMap<Uuid, String>) {
        self.openings = openings;
    }

    /// Whether the commitment of a case of the present chunk can be opened.
    pub(super) fn openable(&self, case: Uuid) -> Openable {
        match &self.erasable {
            None => Openable::Elsewhere,
            Some(_) if self.openings.contains_key(&case) => Openable::Kept,
            Some(erasable) if erasable.pending_cases.contains(&case) => Openable::Pending,
            Some(_) => Openable::Gone,
        }
    }

    pub(super) fn take(&mut self, seq: u64, leaf: LeafView<'_>, findings: &mut Findings) {
        match leaf.action() {
            "log.hold_set" => self.holds.set(seq, leaf),
            "log.hold_lifted" => self.holds.lift(seq, leaf, findings),
            "log.prune" => self.holds.prune(seq, leaf, findings),
            _ => {}
        }
        let is_redact = leaf.action() == "log.redact";
        let is_allowed = is_redact && self.holds.allow_erasing(seq, leaf, findings);
        (self.last, self.taken) = (seq, self.taken + 1);
        let Some(erasable) = &self.erasable else { return };
        if leaf.action() == Action::SweepPage.as_str() {
            self.pages.push((seq, leaf.id()));
        }
        if leaf.actor().starts_with("person:")
            && !erasable.actors.contains(leaf.actor())
            && !self.redacted_actors.contains(leaf.actor())
        {
            self.unnamed.entry(leaf.actor().to_owned()).or_insert(seq);
        }
        if let (Some(said), Some(case)) = (leaf.subject_c(), leaf.case()) {
            match self.openings.get(&case) {
                Some(kept) if kept == said => self.opened += 1,
                Some(_) => findings.violation(
                    Step::Erasures,
                    format!("entry {seq}"),
                    "the commitments that are kept for its case do not make the one that it holds: they were changed",
                ),
                None => drop(self.closed_cases.insert(case, seq)),
            }
        }
        if is_redact {
            self.redact(seq, leaf, is_allowed, findings);
        }
    }

    /// `is_allowed`: no hold forbade it.
    fn redact(&mut self, seq: u64, leaf: LeafView<'_>, is_allowed: bool, findings: &mut Findings) {
        let Some(erasable) = &self.erasable else { return };
        let back = |what: &str| format!("it says that {what} erased, and they are there");
        match (leaf.detail_word("kind"), leaf.case()) {
            (Some("subject"), Some(case)) => {
                if self.closed_cases.remove(&case).is_some() {
                    self.authorised += u64::from(is_allowed);
                } else if self.openings.contains_key(&case) {
                    findings.violation(
                        Step::Erasures,
                        format!("entry {seq}"),
                        back("the salts of its case were"),
                    );
                }
            }
            (Some("actor"), _) => {
                let Some(actor) = leaf.detail_word("actor") else { return };
                if erasable.actors.contains(actor) {
                    findings.violation(Step::Erasures, format!("entry {seq}"), back("a name was"));
                }
                self.unnamed.remove(actor);
                self.redacted_actors.insert(actor.to_owned());
                self.authorised += u64::from(is_allowed);
            }
            (Some("sweep_item"), _) => {
                let rows = leaf.detail_number("rows").and_then(|rows| u64::try_from(rows).ok());
                self.redacted_items = self.redacted_items.saturating_add(rows.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Settles the account. `partial`: the run did not see all entries.
    pub(super) fn settle(self, partial: bool, counts: &mut Counts, findings: &mut Findings) {
        counts.openings = self.opened;
        counts.authorised_erasures = self.authorised;
        let Some(erasable) = &self.erasable else { return };
        let unsealed =
            "what it refers to was erased a moment ago; the entry that allows it is not sealed yet";
        let mut closed: Vec<_> = self.closed_cases.iter().collect();
        closed.sort_unstable_by_key(|(_, seq)| **seq);
        for (case, seq) in closed {
            let place = format!("entry {seq}");
            if erasable.pending_cases.contains(case) {
                findings.remark(Step::Erasures, place, unsealed);
            } else {
                findings.violation(
                    Step::Erasures,
                    place,
                    "the salts of its commitment are gone, and no signed entry of the log allows it",
                );
            }
        }
        let mut unnamed: Vec<_> = self.unnamed.iter().collect();
        unnamed.sort_unstable_by_key(|(_, seq)| **seq);
        for (actor, seq) in unnamed {
            let place = format!("entry {seq}");
            if erasable.pending_actors.contains(actor) {
                findings.remark(Step::Erasures, place, unsealed);
            } else if partial {
                findings.undecided(
                    Step::Erasures,
                    place,
                    "the name of its actor is gone; the entry that allows it may lie before the beginning of this run",
                );
            } else {
                findings.violation(
                    Step::Erasures,
                    place,
                    "the name of its actor is gone, and no signed entry of the log allows it",
                );
            }
        }
        self.holds.settle(&erasable.holds, &erasable.pending_holds, partial, findings);
        self.settle_pages(erasable, findings);
    }

    /// An entry that tells of forgotten items says how many, not of which pages: what is compared is the sum. What was forgotten
    /// of a page came after it, so an entry that this run saw after the entries that it did not see may speak of either.
    fn settle_pages(&self, erasable: &Erasable, findings: &mut Findings) {
        let place = "audit_private.manifest_item";
        let (mut gone, mut is_whole) = (0, self.taken == self.last);
        let of_pending = erasable.pending_pages.iter().map(|page| (None, page));
        for (seq, page) in self.pages.iter().map(|(seq, page)| (Some(seq), page)).chain(of_pending) {
            let Some(row) = erasable.pages.get(page) else {
                // The missing commitments are told where the page is compared with them.
                is_whole = false;
                continue;
            };
            gone += row.gone();
            if row.kept > row.items {
                let place = seq.map_or_else(|| place.to_owned(), |seq| format!("entry {seq}"));
                findings.violation(
                    Step::Erasures,
                    place,
                    "more salts are kept for its page than it has items",
                );
            }
        }
        let told = self.redacted_items.saturating_add(erasable.pending_items);
        let at_most = if is_whole { gone } else { erasable.pages.values().map(|row| row.gone()).sum() };
        if gone > told {
            let what = format!(
                "the salts of {gone} items of pages of sweeps are gone, and signed entries of the log allow {told}"
            );
            findings.violation(Step::Erasures, place, what);
        } else if told > at_most {
            let what = format!(
                "entries say that the salts of {told} items of pages of sweeps were erased, and those of {at_most} are gone"
            );
            findings.violation(Step::Erasures, place, what);
        } else if told > gone {
            let what = format!(
                "entries tell that the salts of {told} items of pages of sweeps were erased, and {gone} are gone from the pages \
                 that this run saw: whether the difference was of pages before them is not told, and an erasure without an \
                 entry could hide in it"
            );
            findings.remark(Step::Erasures, place, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::holds::HoldDeed;
    use super::super::report::Finding;
    use super::*;
    use crate::audit::leaf::{DetailValue, Leaf, LeafBytes};

    fn leaf(action: &str, detail: &[(&str, &str)]) -> Leaf {
        let text = r#"{"action":"a.b","actor":"process:test","at_us":1795473600000000,"detail":{},"id":"0193d3e0-0000-7000-8000-000000000000","v":1}"#;
        let words = detail.iter().map(|(key, word)| {
            let value =
                word.parse().map_or_else(|_| DetailValue::Word((*word).to_owned()), DetailValue::Number);
            ((*key).to_owned(), value)
        });
        let leaf = Leaf::parse(text.as_bytes()).unwrap();
        Leaf { action: action.to_owned(), detail: words.collect(), ..leaf }
    }

    fn found(erasable: Erasable, openings: &[(Uuid, &str)], entries: &[Leaf]) -> (Counts, Vec<Finding>) {
        found_from(1, erasable, openings, entries)
    }

    fn found_from(
        first: u64,
        erasable: Erasable,
        openings: &[(Uuid, &str)],
        entries: &[Leaf],
    ) -> (Counts, Vec<Finding>) {
        let (mut erasures, mut findings) = (Erasures::default(), Findings::default());
        let mut counts = Counts::default();
        erasures.begin(Some(erasable));
        erasures.may_open(openings.iter().map(|(case, word)| (*case, (*word).to_owned())).collect());
        for (entry, seq) in entries.iter().zip(first..) {
            let bytes = LeafBytes::of(entry.to_bytes().into()).unwrap();
            erasures.take(seq, bytes.view(), &mut findings);
        }
        erasures.settle(false, &mut counts, &mut findings);
        (counts, findings.into_parts().0)
    }

    #[test]
    fn salts_that_are_gone_need_an_entry_that_allows_it() {
        let (case, commitment) = (Uuid::now_v7(), "c".repeat(64));
        let received =
            Leaf { case: Some(case), subject_c: Some(commitment.clone()), ..leaf("request.received", &[]) };
        let redact = Leaf { case: Some(case), ..leaf("log.redact", &[("kind", "subject")]) };
        let here = [(case, commitment.as_str())];
        let both = [received.clone(), redact];
        let (counts, findings) = found(Erasable::default(), &here, &both[..1]);
        assert!(counts.openings == 1 && findings.is_empty(), "{findings:?}");
        let (counts, findings) = found(Erasable::default(), &[], &both);
        assert!(counts.authorised_erasures == 1 && findings.is_empty(), "{findings:?}");
        for (openings, entries, what) in [
            (&[][..], &both[..1], "no signed entry"),
            (&[(case, "d")][..], &both[..1], "were changed"),
            (&here[..], &both[..], "they are there"),
        ] {
            let (_, findings) = found(Erasable::default(), openings, entries);
            assert!(findings.len() == 1 && findings[0].what.contains(what), "{what}: {findings:?}");
        }
        let pending = Erasable { pending_cases: [case].into(), ..Erasable::default() };
        let (_, findings) = found(pending, &[], &both[..1]);
        assert!(findings[0].what.contains("not sealed yet"), "{findings:?}");
    }

    #[test]
    fn a_name_that_is_gone_needs_an_entry_that_allows_it() {
        let word = format!("person:{}", "a".repeat(32));
        let read = Leaf { actor: word.clone(), ..leaf("request.read", &[]) };
        let redact = leaf("log.redact", &[("kind", "actor"), ("actor", word.as_str())]);
        let (_, findings) = found(Erasable::default(), &[], std::slice::from_ref(&read));
        assert!(findings[0].what.contains("name of its actor is gone"), "{findings:?}");
        let (_, findings) = found(Erasable::default(), &[], &[read.clone(), redact.clone(), read.clone()]);
        assert!(findings.is_empty(), "{findings:?}");
        let kept = Erasable { actors: [word].into(), ..Erasable::default() };
        let (_, findings) = found(kept, &[], &[read, redact]);
        assert!(findings[0].what.contains("they are there"), "{findings:?}");
    }

    #[test]
    fn salts_of_a_sweeps_items_go_only_with_entries_that_say_how_many() {
        let page = leaf("sweep.page", &[("items", "3")]);
        let (redact, other) =
            (leaf("log.redact", &[("kind", "sweep_item"), ("rows", "2")]), leaf("a.b", &[]));
        let row =
            |kept| Erasable { pages: [(page.id, PageRow { items: 3, kept })].into(), ..Erasable::default() };
        let earlier = |mut erasable: Erasable, kept| {
            erasable.pages.insert(Uuid::now_v7(), PageRow { items: 3, kept });
            erasable
        };
        let pending = |kept, pending_items| Erasable { pending_items, ..row(kept) };
        for (erasable, entries, first, what) in [
            (row(3), vec![&page], 1, None),
            (row(1), vec![&page, &redact], 1, None),
            (pending(2, 1), vec![&page], 1, None),
            (row(2), vec![&page], 1, Some("signed entries of the log allow 0")),
            (row(0), vec![&page, &redact], 1, Some("3 items of pages of sweeps are gone")),
            (row(2), vec![&page, &redact], 1, Some("those of 1 are gone")),
            (row(4), vec![&page], 1, Some("more salts are kept")),
            // Entries before these are not there.
            (earlier(row(1), 3), vec![&page, &redact], 9, None),
            (earlier(row(2), 0), vec![&page, &redact], 9, Some("is not told")),
            (earlier(row(0), 0), vec![&page, &redact], 9, Some("signed entries of the log allow 2")),
            (earlier(row(3), 2), vec![&page, &redact], 9, Some("those of 1 are gone")),
            (earlier(row(3), 0), vec![&page, &other], 9, None),
        ] {
            let entries: Vec<Leaf> = entries.into_iter().cloned().collect();
            let (_, findings) = found_from(first, erasable, &[], &entries);
            let said: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
            assert_eq!(said.len(), usize::from(what.is_some()), "{what:?}: {said:?}");
            assert!(what.is_none_or(|what| said[0].contains(what)), "{what:?}: {said:?}");
        }
    }

    #[test]
    fn an_erasure_in_a_hold_is_none_that_is_allowed() {
        let (case, commitment) = (Uuid::now_v7(), "c".repeat(64));
        let received =
            Leaf { case: Some(case), subject_c: Some(commitment), ..leaf("request.received", &[]) };
        let redact = Leaf { case: Some(case), ..leaf("log.redact", &[("kind", "subject")]) };
        let set = leaf("log.hold_set", &[("hold", "h"), ("reason", "court_or_claim")]);
        let hold = HoldRow {
            id: "h".to_owned(),
            reason: "court_or_claim".to_owned(),
            review_on: None,
            until_on: None,
            set: HoldDeed { by: set.actor.clone(), at_us: set.at_us },
            lifted: None,
        };
        let erasable = Erasable { holds: vec![hold], ..Erasable::default() };
        let (counts, findings) = found(erasable, &[], &[received, set, redact]);
        assert_eq!(counts.authorised_erasures, 0);
        assert!(findings.len() == 1 && findings[0].what.contains("the hold of entry 2"), "{findings:?}");
    }
}
