//! The numbers of the writers' entries, and the accounts that writers give of them (`audit::writer`).
//!
//! Behind what was pruned, and in a run from the middle, a writer is met in the middle of its numbers: its announcement and
//! what it accounted for lie before. Whoever has the service's login may invent such a writer, or put an entry into the
//! name of an old one, and nothing of that can be compared. So it is told of each that it began before, and it is left
//! undecided where one appears long after the first entry that is there: one that is at work is not silent for so long.
//!
//! A restore that gave the log another name leaves such a gap, too: of a process that lived through it the copy has the
//! numbers up to some instant, and what comes behind is what it wrote into the copy.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::report::{Counts, Findings, Step};
use super::{range_of, runs};
use crate::audit::event::Action;
use crate::audit::leaf::LeafView;
use crate::audit::writer::{self, Account as Stated, Summary};

/// The most numbers of a writer that may be missing at a time before the rest is no longer told one by one.
const MOST_HOLES: usize = 100_000;

/// The word of an entry by which a writer says that numbers of it were never committed: `first` and `last`.
pub(super) const VOID: &str = "writer.void";

/// The most leaf hashes of entries that no account covers yet which are kept, of all writers together.
const MOST_UNACCOUNTED: usize = 1_000_000;

/// So many microseconds after its last entry a writer that is alive has closed its account, or is declared ended: a
/// quarter of an hour.
pub(super) const WRITER_PATIENCE_US: u64 = 15 * 60 * 1_000_000;

/// So many microseconds after the first entry that is there, one more writer that is said to have begun before it is left
/// undecided: a week. A daemon that has nothing else to write accounts for its last account once a day; a host may rest for some.
pub(super) const APPEARANCE_PATIENCE_US: u64 = 7 * DAY_US;

/// Microseconds of a day.
const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;

/// How a writer ended, as far as the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    None,
    /// It closed its account with the entry of this number.
    Stopped(u64),
    /// Another one declared it ended.
    Declared,
}

/// A writer of which numbers lie before what is there.
#[derive(Clone, Copy, Debug)]
struct Earlier {
    /// The first of its numbers that was seen.
    first: u64,
    /// How long after the first entry that is there it appeared, in microseconds; nothing for one that was there before a gap.
    after_us: u64,
    /// The entry of the restore with which others of its numbers were lost, where that is why they are not here.
    restore: Option<u64>,
    /// Whether it was met before what is not here.
    is_known: bool,
}

/// Counters of one writer.
#[derive(Debug, Default)]
struct Writer {
    /// The next number if none is missing.
    next: u64,
    /// Numbers below `next` that were not seen.
    holes: BTreeSet<u64>,
    /// Whether more are missing than are kept.
    overflow: bool,
    /// The key that it announced, and the entry that did so.
    key: Option<(String, u64)>,
    /// Leaf hashes of numbers that no account covers yet; zero bytes for those that were given up.
    leaves: BTreeMap<u64, [u8; 32]>,
    /// Up to which number it has accounted for its entries, or from where on this run saw them.
    accounted: u64,
    /// Up to which number accounts of it were seen; 0 as long as none was.
    stated: u64,
    /// Whether what it wrote cannot be compared with its next account.
    is_partial: bool,
    /// Where others of its numbers may lie before what is there.
    earlier: Option<Earlier>,
    /// Whether it accounted for its entries from the first one on, by the key that it announced here: then nothing of it lies before.
    is_whole: bool,
    /// How many gaps of the log it has come through.
    gaps: u64,
    end: End,
    last_at_us: u64,
}

/// From where on a run sees the log, where something lies before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// The latest instant up to the first entry that is there, in microseconds since 1970.
    pub(super) from_us: u64,
    /// The latest instant so far.
    pub(super) latest_us: u64,
}

/// An entry of a writer.
pub(super) struct Written<'e> {
    /// Its number in the log.
    pub(super) seq: u64,
    pub(super) leaf: LeafView<'e>,
    /// The hash of its bytes.
    pub(super) hash: [u8; 32],
    /// The writer's name.
    pub(super) name: &'e str,
    /// The writer's number.
    pub(super) number: u64,
}

/// All writers.
#[derive(Debug, Default)]
pub(super) struct Writers {
    by_name: HashMap<String, Writer>,
    /// How many leaf hashes they hold.
    unaccounted: usize,
    /// How many gaps there were that a place may have, or that a restore left.
    gaps: u64,
    /// The entry that tells of the restore that left the last one.
    restore: Option<u64>,
}

impl Writers {
    /// Whether none was seen so far.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Takes note of entries that a place may lack behind others, or that were lost with a restore, which this entry tells of:
    /// some of any writer's may be among them.
    pub(super) fn interrupt(&mut self, restore: Option<u64>) {
        self.gaps += 1;
        self.restore = restore;
    }

    /// Takes note that a writer is declared ended by another one.
    pub(super) fn end(&mut self, name: &str) {
        if let Some(writer) = self.by_name.get_mut(name)
            && writer.end == End::None
        {
            writer.end = End::Declared;
        }
    }

    /// Takes note of an entry; `sight` says from where on the log is seen, where something lies before.
    pub(super) fn take(&mut self, entry: &Written<'_>, sight: Option<Sight>, findings: &mut Findings) {
        let &Written { seq, leaf, hash, name, number } = entry;
        let Self { by_name, unaccounted: kept, gaps, restore } = self;
        if !by_name.contains_key(name) {
            by_name.insert(name.to_owned(), Writer::met(number, sight, (*gaps, *restore)));
        }
        let Some(writer) = by_name.get_mut(name) else { return };
        if writer.gaps < *gaps {
            writer.go_on_after_a_gap(number, *restore, kept);
            writer.gaps = *gaps;
        }
        writer.last_at_us = writer.last_at_us.max(leaf.at_us());
        if leaf.action() == VOID
            && let Some((first, last)) = range_of(leaf)
        {
            writer.reach(last.saturating_add(1).min(number));
            let void: Vec<u64> = writer.holes.range(first..=last).copied().collect();
            for each in void {
                writer.holes.remove(&each);
                writer.keep(each, writer::VOID, kept);
            }
        }
        let place = || format!("entry {seq}");
        if number >= writer.next {
            if let End::Stopped(stop) = writer.end {
                findings.violation(
                    Step::Counters,
                    place(),
                    format!("it is number {number} of the writer {name}, which closed its account with number {stop}"),
                );
            }
            writer.reach(number);
            writer.next = number + 1;
        } else if !writer.holes.remove(&number) && !writer.overflow {
            if !writer.may_be_of_before(number) {
                findings.violation(
                    Step::Counters,
                    place(),
                    format!("writer {name} used its number {number} a second time, or after giving it up"),
                );
            } else if writer.end != End::None {
                findings.undecided(
                    Step::Counters,
                    place(),
                    format!(
                        "it is number {number} of the writer {name}, which had ended: whether it used that number before \
                         stands in entries that are not here"
                    ),
                );
            }
        }
        writer.keep(number, hash, kept);
        if leaf.action() == Action::WriterStart.as_str()
            && let Some(key) = leaf.detail_word("key")
            && let Err(what) = writer.announce(name, key, seq)
        {
            findings.violation(Step::Counters, place(), what);
        }
        let is_stop = leaf.action() == Action::WriterStop.as_str();
        if is_stop || leaf.action() == Action::WriterAccount.as_str() {
            if let Some((stated, signature)) = Stated::read(&leaf.to_leaf()) {
                for what in writer.compare(name, number, &stated, &signature, kept) {
                    findings.violation(Step::Counters, place(), what);
                }
            }
            if is_stop {
                writer.end = End::Stopped(number);
            }
        }
    }

    /// Tells what is left open at `present_us`.
    pub(super) fn settle(&self, present_us: u64, counts: &mut Counts, findings: &mut Findings) {
        counts.writers = u64::try_from(self.by_name.len()).unwrap_or(u64::MAX);
        let mut writers: Vec<_> = self.by_name.iter().collect();
        writers.sort_unstable_by_key(|(name, _)| *name);
        for (name, writer) in writers {
            writer.settle(name, present_us, findings);
        }
    }
}

impl Writer {
    /// A writer that is met with this number. It counts from 1; where something lies before, nobody knows what stood there.
    fn met(number: u64, sight: Option<Sight>, (gaps, restore): (u64, Option<u64>)) -> Self {
        let earlier = sight.filter(|_| number > 1).map(|sight| Earlier {
            first: number,
            after_us: sight.latest_us.saturating_sub(sight.from_us),
            restore,
            is_known: false,
        });
        let next = if earlier.is_some() { number } else { 1 };
        Self {
            next,
            accounted: next.saturating_sub(1),
            is_partial: earlier.is_some(),
            earlier,
            gaps,
            ..Self::default()
        }
    }

    /// Numbers below this one, and up to where it had come, may be among what is not there.
    fn go_on_after_a_gap(&mut self, number: u64, restore: Option<u64>, kept: &mut usize) {
        *kept -= self.leaves.len();
        self.leaves.clear();
        self.holes.clear();
        self.overflow = false;
        self.next = self.next.max(number);
        self.accounted = self.next.saturating_sub(1);
        self.is_partial = true;
        self.is_whole = false;
        self.earlier = Some(Earlier { first: self.next, after_us: 0, restore, is_known: true });
    }

    /// Whether a number below `next` may have been used for the first time although others before it were not seen: it was
    /// sealed a little later than a larger one, which happens to be the first that is there. What an account covers is sealed
    /// before it.
    fn may_be_of_before(&self, number: u64) -> bool {
        number > self.stated && self.earlier.is_some_and(|earlier| number < earlier.first)
    }

    /// Takes the key of an announcement in entry `seq`, or says what is wrong with it.
    fn announce(&mut self, name: &str, key: &str, seq: u64) -> Result<(), String> {
        match &self.key {
            Some((known, _)) if known != key => {
                Err(format!("the writer {name} announces itself with another key than before"))
            }
            // Nobody accounts for anything before the announcement is committed.
            None if self.stated > 0 => Err(format!(
                "the writer {name} announces itself after it has accounted for entries: one of both is somebody else's"
            )),
            Some(_) => Ok(()),
            None => {
                self.key = Some((key.to_owned(), seq));
                Ok(())
            }
        }
    }

    /// Keeps a leaf hash until an account covers its number.
    fn keep(&mut self, number: u64, leaf: [u8; 32], kept: &mut usize) {
        if number <= self.accounted {
            return;
        }
        if *kept >= MOST_UNACCOUNTED {
            // The next account of this writer cannot be compared; its numbers still are.
            self.is_partial = true;
        } else if self.leaves.insert(number, leaf).is_none() {
            *kept += 1;
        }
    }

    /// Compares an account, which entry `number` brings, with what is in the log; answers with what is wrong.
    fn compare(
        &mut self,
        name: &str,
        number: u64,
        stated: &Stated,
        signature: &str,
        kept: &mut usize,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let Stated { first, last, .. } = *stated;
        let is_signed = self.key.as_ref().map(|(key, _)| stated.is_signed(name, key, signature));
        match (is_signed, &self.key) {
            // Whoever accounts from a later number on has accounted, and so announced itself, before.
            (Some(false), Some((_, announced)))
                if self.earlier.is_some() && self.stated == 0 && first > 1 =>
            {
                wrong.push(format!(
                    "the account is not signed by the key that entry {announced} announces for the writer {name}, which \
                     began before what is here: one of both is somebody else's"
                ));
                self.key = None;
            }
            (Some(false), _) => {
                // Its numbers are as little worth as its signature.
                return vec![format!(
                    "the account is not signed by the key that the writer {name} announced"
                )];
            }
            (Some(true), _) if first == 1 => self.is_whole = true,
            _ => {}
        }
        if last >= number || (first != self.accounted + 1 && !self.is_partial) {
            wrong.push(format!(
                "the writer {name} accounts for its entries {first} to {last}, and had accounted for those up to {}",
                self.accounted
            ));
            return wrong;
        }
        let missing: BTreeSet<u64> = self.holes.range(first..=last).copied().collect();
        for (first, last) in runs(&missing) {
            wrong.push(format!(
                "the writer {name} accounts for its entries {first} to {last} as committed, and they are not in the log: \
                 they were removed before they were sealed"
            ));
        }
        let later = self.leaves.split_off(&(last + 1));
        let covered = std::mem::replace(&mut self.leaves, later);
        *kept -= covered.len();
        if missing.is_empty() && !self.is_partial && !self.overflow {
            let mut summary = Summary::default();
            for leaf in covered.values() {
                summary.take(leaf);
            }
            if summary.finish() != stated.sha256 {
                wrong.push(format!(
                    "the entries {first} to {last} of the writer {name} are not those that it accounts for"
                ));
            }
        }
        for each in missing {
            self.holes.remove(&each);
        }
        self.accounted = last;
        self.stated = last;
        // Of numbers between this account and the first one that is here nothing is known: the next account covers them, too.
        self.is_partial = self.earlier.is_some_and(|earlier| last.saturating_add(1) < earlier.first);
        wrong
    }

    /// Everything from `next` to below `number` is missing so far.
    fn reach(&mut self, number: u64) {
        for missing in self.next..number {
            if self.holes.len() >= MOST_HOLES {
                self.overflow = true;
                break;
            }
            self.holes.insert(missing);
        }
        self.next = self.next.max(number);
    }

    fn settle(&self, name: &str, present_us: u64, findings: &mut Findings) {
        let place = || format!("writer {name}");
        let is_recent = present_us.saturating_sub(self.last_at_us) <= WRITER_PATIENCE_US;
        if self.overflow {
            findings.undecided(
                Step::Counters,
                place(),
                "more of its numbers are missing than are kept; check the log in parts (--since)",
            );
        }
        match self.earlier {
            None if self.key.is_none() && !is_recent => findings.undecided(
                Step::Counters,
                place(),
                "it never announced itself: an entry was removed before it was sealed, or somebody else wrote in this name",
            ),
            None => {}
            // Its account may begin with the first number: what it tells of is lost nevertheless.
            Some(Earlier { restore, is_known, .. }) if self.is_whole && (restore.is_none() || !is_known) => {}
            // Of one that announces itself here a smaller number was sealed a little later.
            Some(Earlier { first, after_us, restore, .. })
                if after_us > APPEARANCE_PATIENCE_US && self.key.is_none() =>
            {
                let since = restore.map_or_else(
                    || "the first entry that is here".to_owned(),
                    |entry| format!("the restore that entry {entry} tells of"),
                );
                findings.undecided(
                    Step::Counters,
                    place(),
                    format!(
                        "its first entry here is its number {first}, {} days after {since}: either a process that began before \
                         was silent for so long, or somebody invented it; an earlier part of the log tells",
                        after_us / DAY_US
                    ),
                );
            }
            Some(Earlier { first, restore: Some(entry), .. }) => findings.remark(
                Step::Counters,
                place(),
                format!(
                    "it began before the restore that entry {entry} tells of, and goes on with its number {first}: what it \
                     wrote in the time that is lost was not compared, nor whether it used a number before"
                ),
            ),
            Some(Earlier { first, restore: None, .. }) => findings.remark(
                Step::Counters,
                place(),
                format!(
                    "entries of it lie before what is here, which begins with its number {first}: by which key it signs, and \
                     whether it used a number before, was not compared as far as that"
                ),
            ),
        }
        for (first, last) in runs(&self.holes) {
            let numbers = if first == last {
                format!("its entry {first} is not in the log")
            } else {
                format!("its entries {first} to {last} are not in the log")
            };
            match self.end {
                End::Declared => findings.remark(
                    Step::Counters,
                    place(),
                    format!(
                        "{numbers}: it ended without a stop and could not say what became of them; rolled back as the \
                         process died, or removed in the last moments before that"
                    ),
                ),
                End::None if self.key.is_some() && is_recent => {
                    findings.remark(Step::Counters, place(), format!("{numbers}: they may be under way"));
                }
                End::None | End::Stopped(_) => findings.undecided(
                    Step::Counters,
                    place(),
                    format!(
                        "{numbers}, and no entry says that they were given up: \
                         rolled back as the process died, or removed before they were sealed"
                    ),
                ),
            }
        }
    }
}
