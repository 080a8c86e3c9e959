//! What the entries say about themselves: effects and their ends, counters of writers, silence, allowed absences.
//!
//! Memory is bounded by what is open at one moment, not by the length of the log.

mod writers;

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use self::writers::{Sight, Writers, Written};
use super::absence::Absences;
use super::erasure::Erasures;
use super::instants::Instants;
use super::report::{Counts, Findings, Step};
use crate::audit::event::Action;
use crate::audit::leaf::LeafView;
use crate::audit::tlog::Hash;

/// An effect that began so much earlier than the newest entry, in microseconds, should have ended: an hour. Calls time
/// out within minutes, and an interrupted one is read back when its job is taken up again.
const EFFECT_PATIENCE_US: u64 = 60 * 60 * 1_000_000;

/// How far the clocks of two hosts may differ, in microseconds: five minutes.
const CLOCK_TOLERANCE_US: u64 = 5 * 60 * 1_000_000;

/// Silence of so many microseconds is worth a remark: three times the usual interval of heartbeats.
const SILENCE_US: u64 = 30 * 60 * 1_000_000;

/// The most entries without a number that are told from each other; a heartbeat every ten minutes for 19 years.
const MOST_UNNUMBERED: usize = 1_000_000;

/// The newest entry of files may be so many microseconds old without a remark: a day.
const FILES_PATIENCE_US: u64 = 24 * 60 * 60 * 1_000_000;

/// Entries that have no number: the sealer writes them in the transaction that seals them, or a function of the database
/// does.
const WITHOUT_NUMBER: [&str; 7] = [
    "log.heartbeat",
    "log.hold_lifted",
    "log.hold_set",
    "log.key",
    "log.migrated",
    "log.redact",
    "log.restored",
];

/// The account of a run over the log.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four facts, none of which follows from another")]
pub(super) struct Account {
    /// Whether the run began in the middle, so that beginnings may lie before it.
    partial: bool,
    /// When this is, by the clock of whoever verifies, in microseconds since 1970.
    now_us: u64,
    /// Whether the service writes into the log that is read: what is open is then judged by the clock, too, since nothing may
    /// follow in a log whose service died.
    is_live: bool,
    open: HashMap<Uuid, (u64, u64)>,
    /// The last entry `log.mixed`, by number and instant, and the effects whose ends it explains.
    mixed: Option<(u64, u64)>,
    explained: HashSet<Uuid>,
    writers: Writers,
    /// Whether the log went on from an older copy.
    is_restored: bool,
    /// Whether the last entry was not there.
    in_gap: bool,
    /// The latest instant up to the first entry that is there behind those that are not, in microseconds since 1970.
    seen_from_us: Option<u64>,
    /// Entries without a writer since the first one of a writer: the first one's number, and how many.
    without_writer: Option<(u64, u64)>,
    /// The ids of those that a log with writers has without a number, and their own numbers in the log.
    unnumbered: HashMap<Uuid, u64>,
    heartbeats: u64,
    last_at_us: u64,
    /// The number of the last entry that is there.
    last: u64,
    instants: Instants,
    pub(super) absences: Absences,
    /// What stands beside the entries.
    pub(super) erasures: Erasures,
}

impl Account {
    /// An account of a log that is read at `now`; `is_live`: whether the service writes into it.
    pub(super) fn new(partial: bool, absences: Absences, now: DateTime<Utc>, is_live: bool) -> Self {
        Self {
            partial,
            absences,
            now_us: u64::try_from(now.timestamp_micros()).unwrap_or_default(),
            is_live,
            open: HashMap::new(),
            mixed: None,
            explained: HashSet::new(),
            writers: Writers::default(),
            is_restored: false,
            in_gap: false,
            seen_from_us: None,
            without_writer: None,
            unnumbered: HashMap::new(),
            heartbeats: 0,
            last_at_us: 0,
            last: 0,
            instants: Instants::default(),
            erasures: Erasures::default(),
        }
    }

    /// Takes note of an entry that is there, and of the hash of its bytes.
    pub(super) fn take(&mut self, seq: u64, leaf: LeafView<'_>, hash: Hash, findings: &mut Findings) {
        if let Some(intent) = leaf.intent()
            && self.open.remove(&intent).is_none()
            && !self.partial
            && self.absences.is_empty()
        {
            let what =
                format!("{} ends an effect that no entry before it began, or a second time", leaf.action());
            let place = format!("entry {seq}");
            match self.explanation(intent) {
                Some(mixed) => findings.undecided(
                    Step::Effects,
                    place,
                    format!(
                        "{what}: log and working tables were put back from different moments, see entry {mixed}, and it was \
                         under way in one of them"
                    ),
                ),
                None => findings.violation(Step::Effects, place, what),
            }
        }
        if leaf.action() == Action::LogMixed.as_str() {
            self.mixed = Some((seq, leaf.at_us()));
        }
        if matches!(leaf.action().rsplit_once('.'), Some((_, "began"))) {
            self.open.insert(leaf.id(), (seq, leaf.at_us()));
        }
        self.in_gap = false;
        self.last = seq;
        self.count(seq, leaf, hash, findings);
        self.absences.take(seq, leaf, findings);
        self.listen(seq, leaf, findings);
        self.instants.take(seq, leaf);
        self.erasures.take(seq, leaf, findings);
    }

    /// The entry `log.mixed` that may explain why the end of an effect fits no beginning: the effect was announced before it, which
    /// its id tells, and its end is the only one that is left over.
    fn explanation(&mut self, intent: Uuid) -> Option<u64> {
        let (mixed, at_us) = self.mixed?;
        let (secs, nanos) = intent.get_timestamp()?.to_unix();
        let began_us = secs.checked_mul(1_000_000)?.checked_add(u64::from(nanos) / 1_000)?;
        (began_us <= at_us.saturating_add(CLOCK_TOLERANCE_US) && self.explained.insert(intent))
            .then_some(mixed)
    }

    /// Takes note that the log went on from an older copy of its database, as the entry `seq` tells: what writers wrote behind
    /// that copy is lost, and a process that did not notice goes on with numbers behind.
    pub(super) fn restore(&mut self, seq: u64) {
        self.is_restored = true;
        self.seen_from_us = None;
        self.writers.interrupt(Some(seq));
    }

    /// Takes note of an entry that is not there.
    pub(super) fn miss(&mut self, seq: u64) {
        self.absences.miss(seq);
        if !self.in_gap {
            self.in_gap = true;
            self.seen_from_us = None;
            if self.absences.may_lack_some() {
                self.writers.interrupt(None);
            }
        }
    }

    fn count(&mut self, seq: u64, leaf: LeafView<'_>, hash: Hash, findings: &mut Findings) {
        if leaf.action() == Action::WriterEnded.as_str()
            && let Some(name) = leaf.detail_word("writer")
        {
            self.writers.end(name);
        }
        let latest_us = self.last_at_us.max(leaf.at_us());
        let sight = (self.partial || self.is_restored || !self.absences.is_empty())
            .then(|| Sight { from_us: *self.seen_from_us.get_or_insert(latest_us), latest_us });
        let (Some(name), Some(number)) = (leaf.w(), leaf.n()) else {
            let is_due = WITHOUT_NUMBER.contains(&leaf.action());
            if !is_due && !self.writers.is_empty() && leaf.v() > 0 {
                self.without_writer.get_or_insert((seq, 0)).1 += 1;
            }
            if is_due || self.without_writer.is_some() {
                self.count_once(seq, leaf, findings);
            }
            return;
        };
        self.writers.take(&Written { seq, leaf, hash: hash.0, name, number }, sight, findings);
    }

    /// Of two entries with the same number of a writer the account tells; of those without a number nothing else does.
    fn count_once(&mut self, seq: u64, leaf: LeafView<'_>, findings: &mut Findings) {
        if self.unnumbered.len() >= MOST_UNNUMBERED {
            return;
        }
        if let Some(first) = self.unnumbered.insert(leaf.id(), seq) {
            findings.violation(
                Step::Counters,
                format!("entry {seq}"),
                format!("it has the id of entry {first}: the same was written into the log twice"),
            );
        }
    }

    fn listen(&mut self, seq: u64, leaf: LeafView<'_>, findings: &mut Findings) {
        if leaf.action() == "log.heartbeat" {
            self.heartbeats += 1;
        }
        // Only a log that has heartbeats can be missed.
        if self.heartbeats > 0 && self.last_at_us > 0 && leaf.at_us() > self.last_at_us + SILENCE_US {
            let minutes = (leaf.at_us() - self.last_at_us) / 60_000_000;
            findings.remark(
                Step::Heartbeats,
                format!("entry {seq}"),
                format!("the log was silent for {minutes} minutes before it; was the service stopped?"),
            );
        }
        self.last_at_us = self.last_at_us.max(leaf.at_us());
    }

    /// The latest instant of the entries so far, in microseconds since 1970.
    pub(super) fn latest_us(&self) -> u64 {
        self.last_at_us
    }

    /// The number of the last entry that is there, 0 where none is.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Settles the account: counts what is gone as allowed and what is open.
    pub(super) fn settle(self, counts: &mut Counts, findings: &mut Findings) {
        counts.authorised_absences = self.absences.settle(findings);
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_unstable_by_key(|(_, (seq, _))| *seq);
        let present_us = if self.is_live { self.last_at_us.max(self.now_us) } else { self.last_at_us };
        for (id, (seq, at_us)) in &open {
            let place = format!("entry {seq}");
            if present_us.saturating_sub(*at_us) > EFFECT_PATIENCE_US {
                findings.undecided(
                    Step::Effects,
                    place,
                    format!("the effect {id} was announced, and how it ended is not recorded"),
                );
            } else {
                findings.remark(Step::Effects, place, format!("the effect {id} may be under way"));
            }
        }
        self.writers.settle(present_us, counts, findings);
        if let Some((first, number)) = self.without_writer {
            findings.remark(
                Step::Counters,
                format!("entry {first}"),
                format!(
                    "{number} entries from it on have no writer's number: an older program wrote them, or somebody \
                     with the service's login did"
                ),
            );
        }
        self.instants.settle(findings);
        self.tell_its_age(findings);
        counts.open_effects = u64::try_from(open.len()).unwrap_or(u64::MAX);
        self.erasures.settle(self.partial || !self.absences.is_empty(), counts, findings);
    }

    /// Tells how old the newest entry is: nothing that came after it was looked at.
    fn tell_its_age(&self, findings: &mut Findings) {
        let age_us = self.now_us.saturating_sub(self.last_at_us);
        let what = match self.is_live {
            _ if self.last_at_us == 0 => return,
            true if self.heartbeats > 0 && age_us > SILENCE_US => {
                format!(
                    "the log has been silent for {} minutes since it; is the service stopped?",
                    age_us / 60_000_000
                )
            }
            false if age_us > FILES_PATIENCE_US => format!(
                "it is the newest entry that is here, and {} days old: what came after it was not looked at",
                age_us / FILES_PATIENCE_US
            ),
            _ => return,
        };
        findings.remark(Step::Heartbeats, format!("entry {}", self.last), what);
    }
}

/// The numbers `first` and `last` of an entry's detail.
pub(super) fn range_of(leaf: LeafView<'_>) -> Option<(u64, u64)> {
    let number = |key| leaf.detail_number(key).and_then(|number| u64::try_from(number).ok());
    let (first, last) = (number("first")?, number("last")?);
    (first <= last).then_some((first, last))
}

/// Numbers as ranges.
fn runs(numbers: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

/// A range of entries in words.
pub(super) fn range_name(first: u64, last: u64) -> String {
    if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") }
}

#[cfg(test)]
mod tests;
