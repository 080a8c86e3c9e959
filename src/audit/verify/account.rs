//! What the entries say about themselves: effects and their ends, counters of writers, silence, allowed absences.
//!
//! Memory is bounded by what is open at one moment, not by the length of the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::absence::Absences;
use super::erasure::Erasures;
use super::instants::Instants;
use super::report::{Counts, Findings, Step};
use crate::audit::event::Action;
use crate::audit::leaf::LeafView;
use crate::audit::tlog::Hash;
use crate::audit::writer::{self, Account as Stated, Summary};

/// An effect that began so much earlier than the newest entry, in microseconds, should have ended: an hour. Calls time
/// out within minutes, and an interrupted one is read back when its job is taken up again.
const EFFECT_PATIENCE_US: u64 = 60 * 60 * 1_000_000;

/// Silence of so many microseconds is worth a remark: three times the usual interval of heartbeats.
const SILENCE_US: u64 = 30 * 60 * 1_000_000;

/// The most numbers of a writer that may be missing at a time before the rest is no longer told one by one.
const MOST_HOLES: usize = 100_000;

/// The word of an entry by which a writer says that numbers of it were never committed: `first` and `last`.
const VOID: &str = "writer.void";

/// The most leaf hashes of entries that no account covers yet which are kept, of all writers together.
const MOST_UNACCOUNTED: usize = 1_000_000;

/// The most entries without a number that are told from each other; a heartbeat every ten minutes for 19 years.
const MOST_UNNUMBERED: usize = 1_000_000;

/// So many microseconds after its last entry a writer that is alive has closed its account, or is declared ended: a
/// quarter of an hour.
const WRITER_PATIENCE_US: u64 = 15 * 60 * 1_000_000;

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

/// Counters of one writer.
#[derive(Debug, Default)]
struct Writer {
    /// The next number if none is missing.
    next: u64,
    /// Numbers below `next` that were not seen.
    holes: BTreeSet<u64>,
    /// Whether more are missing than are kept.
    overflow: bool,
    /// The key that it announced.
    key: Option<String>,
    /// Leaf hashes of numbers that no account covers yet; zero bytes for those that were given up.
    leaves: BTreeMap<u64, [u8; 32]>,
    /// Up to which number it has accounted for its entries, or from where on this run saw them.
    accounted: u64,
    /// Whether what it wrote cannot be compared with its next account.
    is_partial: bool,
    /// The first of its numbers that was seen, where others may lie before what is there.
    began_before: Option<u64>,
    end: End,
    last_at_us: u64,
}

/// The account of a run over the log.
#[derive(Debug)]
pub(super) struct Account {
    /// Whether the run began in the middle, so that beginnings may lie before it.
    partial: bool,
    open: HashMap<Uuid, (u64, u64)>,
    writers: HashMap<String, Writer>,
    /// How many leaf hashes the writers hold.
    unaccounted: usize,
    /// Entries without a writer since the first one of a writer: the first one's number, and how many.
    without_writer: Option<(u64, u64)>,
    /// The ids of those that a log with writers has without a number, and their own numbers in the log.
    unnumbered: HashMap<Uuid, u64>,
    heartbeats: u64,
    last_at_us: u64,
    instants: Instants,
    pub(super) absences: Absences,
    /// What stands beside the entries.
    pub(super) erasures: Erasures,
}

impl Account {
    pub(super) fn new(partial: bool, absences: Absences) -> Self {
        Self {
            partial,
            absences,
            open: HashMap::new(),
            writers: HashMap::new(),
            unaccounted: 0,
            without_writer: None,
            unnumbered: HashMap::new(),
            heartbeats: 0,
            last_at_us: 0,
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
            findings.violation(
                Step::Effects,
                format!("entry {seq}"),
                format!("{} ends an effect that no entry before it began, or a second time", leaf.action()),
            );
        }
        if matches!(leaf.action().rsplit_once('.'), Some((_, "began"))) {
            self.open.insert(leaf.id(), (seq, leaf.at_us()));
        }
        self.count(seq, leaf, hash, findings);
        self.absences.take(seq, leaf, findings);
        self.listen(seq, leaf, findings);
        self.instants.take(seq, leaf);
        self.erasures.take(seq, leaf, findings);
    }

    /// Takes note of an entry that is not there.
    pub(super) fn miss(&mut self, seq: u64) {
        self.absences.miss(seq);
    }

    fn count(&mut self, seq: u64, leaf: LeafView<'_>, hash: Hash, findings: &mut Findings) {
        if leaf.action() == Action::WriterEnded.as_str()
            && let Some(name) = leaf.detail_word("writer")
            && let Some(writer) = self.writers.get_mut(name)
            && writer.end == End::None
        {
            writer.end = End::Declared;
        }
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
        if !self.writers.contains_key(name) {
            // A writer counts from 1; a run from the middle, or after what was pruned, cannot know what stood before.
            let is_partial = (self.partial || !self.absences.is_empty()) && number > 1;
            let next = if is_partial { number } else { 1 };
            let writer = Writer {
                next,
                accounted: next.saturating_sub(1),
                is_partial,
                began_before: is_partial.then_some(number),
                ..Writer::default()
            };
            self.writers.insert(name.to_owned(), writer);
        }
        let Some(writer) = self.writers.get_mut(name) else { return };
        writer.last_at_us = writer.last_at_us.max(leaf.at_us());
        if leaf.action() == VOID
            && let Some((first, last)) = range_of(leaf)
        {
            writer.reach(last.saturating_add(1).min(number));
            let void: Vec<u64> = writer.holes.range(first..=last).copied().collect();
            for each in void {
                writer.holes.remove(&each);
                writer.keep(each, writer::VOID, &mut self.unaccounted);
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
        } else if !writer.holes.remove(&number)
            && !writer.overflow
            // Sealed a little later than a larger number, which happens to be the first that is there.
            && writer.began_before.is_none_or(|first| number >= first)
        {
            findings.violation(
                Step::Counters,
                place(),
                format!("writer {name} used its number {number} a second time, or after giving it up"),
            );
        }
        writer.keep(number, hash.0, &mut self.unaccounted);
        if leaf.action() == Action::WriterStart.as_str()
            && let Some(key) = leaf.detail_word("key")
        {
            if writer.key.as_ref().is_some_and(|known| known != key) {
                findings.violation(
                    Step::Counters,
                    place(),
                    format!("the writer {name} announces itself with another key than before"),
                );
            }
            writer.key.get_or_insert_with(|| key.to_owned());
        }
        let is_stop = leaf.action() == Action::WriterStop.as_str();
        if is_stop || leaf.action() == Action::WriterAccount.as_str() {
            if let Some((stated, signature)) = Stated::read(&leaf.to_leaf()) {
                let compared = writer.compare(name, number, &stated, &signature, &mut self.unaccounted);
                for what in compared {
                    findings.violation(Step::Counters, place(), what);
                }
            }
            if is_stop {
                writer.end = End::Stopped(number);
            }
        }
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

    /// Settles the account: counts what is gone as allowed and what is open.
    pub(super) fn settle(self, counts: &mut Counts, findings: &mut Findings) {
        counts.authorised_absences = self.absences.settle(findings);
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_unstable_by_key(|(_, (seq, _))| *seq);
        for (id, (seq, at_us)) in &open {
            let place = format!("entry {seq}");
            if self.last_at_us.saturating_sub(*at_us) > EFFECT_PATIENCE_US {
                findings.undecided(
                    Step::Effects,
                    place,
                    format!("the effect {id} was announced, and how it ended is not recorded"),
                );
            } else {
                findings.remark(Step::Effects, place, format!("the effect {id} may be under way"));
            }
        }
        counts.writers = u64::try_from(self.writers.len()).unwrap_or(u64::MAX);
        let mut writers: Vec<_> = self.writers.iter().collect();
        writers.sort_unstable_by_key(|(name, _)| *name);
        for (name, writer) in writers {
            self.settle_writer(name, writer, findings);
        }
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
        counts.open_effects = u64::try_from(open.len()).unwrap_or(u64::MAX);
        self.erasures.settle(self.partial || !self.absences.is_empty(), counts, findings);
    }

    fn settle_writer(&self, name: &str, writer: &Writer, findings: &mut Findings) {
        let place = || format!("writer {name}");
        let is_recent = self.last_at_us.saturating_sub(writer.last_at_us) <= WRITER_PATIENCE_US;
        if writer.overflow {
            findings.undecided(
                Step::Counters,
                place(),
                "more of its numbers are missing than are kept; check the log in parts (--since)",
            );
        }
        if writer.key.is_none() && writer.began_before.is_none() && !is_recent {
            findings.undecided(
                Step::Counters,
                place(),
                "it never announced itself: an entry was removed before it was sealed, or somebody else wrote in this name",
            );
        }
        for (first, last) in runs(&writer.holes) {
            let numbers = if first == last {
                format!("its entry {first} is not in the log")
            } else {
                format!("its entries {first} to {last} are not in the log")
            };
            match writer.end {
                End::Declared => findings.remark(
                    Step::Counters,
                    place(),
                    format!(
                        "{numbers}: it ended without a stop and could not say what became of them; rolled back as the \
                         process died, or removed in the last moments before that"
                    ),
                ),
                End::None if writer.key.is_some() && is_recent => {
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

impl Writer {
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
        let is_signed = self.key.as_ref().map(|key| stated.is_signed(name, key, signature));
        if is_signed == Some(false) {
            // Its numbers are as little worth as its signature.
            return vec![format!("the account is not signed by the key that the writer {name} announced")];
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
        self.is_partial = false;
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
mod tests {
    use chrono::DateTime;
    use zeroize::Zeroizing;

    use super::super::report::{Finding, Severity};
    use super::*;
    use crate::audit::leaf::{DetailValue, Leaf, LeafBytes};
    use crate::audit::tlog::{SessionKey, leaf_hash};

    fn leaf(action: &str) -> Leaf {
        let text = r#"{"action":"a.b","actor":"process:test","at_us":1,"detail":{},"id":"0193d3e0-0000-7000-8000-000000000000","v":1}"#;
        let leaf = Leaf::parse(text.as_bytes()).unwrap();
        Leaf { action: action.to_owned(), id: Uuid::now_v7(), ..leaf }
    }

    fn written(number: u64) -> Leaf {
        Leaf { w: Some("00000000000000aa".to_owned()), n: Some(number), ..leaf("request.read") }
    }

    fn with_range(leaf: Leaf, first: i64, last: i64) -> Leaf {
        let range = [("first", first), ("last", last)];
        let detail = range.map(|(key, number)| (key.to_owned(), DetailValue::Number(number)));
        Leaf { detail: detail.into(), ..leaf }
    }

    /// What is found in a log of these entries, `None` for one that is gone.
    fn found(entries: impl IntoIterator<Item = Option<Leaf>>) -> (u64, u64, Vec<Finding>) {
        found_in(Account::new(false, Absences::new(DateTime::UNIX_EPOCH, false)), entries)
    }

    fn found_in(
        mut account: Account,
        entries: impl IntoIterator<Item = Option<Leaf>>,
    ) -> (u64, u64, Vec<Finding>) {
        let mut findings = Findings::default();
        for (entry, seq) in entries.into_iter().zip(1..) {
            match entry {
                Some(leaf) => {
                    let bytes = LeafBytes::of(leaf.to_bytes().into()).unwrap();
                    account.take(seq, bytes.view(), leaf_hash(&leaf.to_bytes()), &mut findings);
                }
                None => account.miss(seq),
            }
        }
        let mut counts = Counts::default();
        account.settle(&mut counts, &mut findings);
        (counts.authorised_absences, counts.open_effects, findings.into_parts().0)
    }

    #[test]
    fn an_effect_has_one_beginning_and_one_end() {
        let began = leaf("deletion.began");
        let ended = Leaf { intent: Some(began.id), ..leaf("deletion.ended") };
        let (_, open, findings) = found([&began, &ended].map(|leaf| Some(leaf.clone())));
        assert!(open == 0 && findings.is_empty(), "{findings:?}");
        let (_, _, twice) = found([&began, &ended, &ended].map(|leaf| Some(leaf.clone())));
        assert_eq!((twice[0].severity, twice[0].place.as_str()), (Severity::Violation, "entry 3"));
        let (_, open, under_way) = found([Some(began.clone())]);
        assert_eq!((open, under_way[0].severity), (1, Severity::Remark));
        let later = Leaf { at_us: EFFECT_PATIENCE_US + 2, ..leaf("request.read") };
        let (_, _, lost) = found([Some(began), Some(later)]);
        assert_eq!((lost[0].severity, lost[0].place.as_str()), (Severity::Undecided, "entry 1"));
    }

    #[test]
    fn a_writer_accounts_for_each_of_its_numbers() {
        let (_, _, findings) = found([1, 3, 2, 4].map(|number| Some(written(number))));
        assert!(findings.is_empty(), "the order of sealing is another: {findings:?}");
        let (_, _, findings) = found([1, 2, 5].map(|number| Some(written(number))));
        assert_eq!(findings[0].severity, Severity::Undecided);
        assert!(findings[0].what.contains("entries 3 to 4"), "{findings:?}");
        let void = with_range(Leaf { action: VOID.to_owned(), ..written(5) }, 3, 4);
        let (_, _, findings) = found([Some(written(1)), Some(written(2)), Some(void)]);
        assert!(findings.is_empty(), "{findings:?}");
        let (_, _, findings) = found([1, 2, 2].map(|number| Some(written(number))));
        assert_eq!((findings[0].severity, findings[0].place.as_str()), (Severity::Violation, "entry 3"));
    }

    #[test]
    fn an_entry_without_a_number_stands_in_the_log_once() {
        let beat = leaf("log.heartbeat");
        let (_, _, findings) = found([&beat, &leaf("log.heartbeat")].map(|leaf| Some(leaf.clone())));
        assert!(findings.is_empty(), "{findings:?}");
        let (_, _, findings) = found([&beat, &beat].map(|leaf| Some(leaf.clone())));
        assert_eq!((findings[0].severity, findings[0].place.as_str()), (Severity::Violation, "entry 2"));
        assert!(findings[0].what.contains("the id of entry 1"), "{findings:?}");
        // Beside writers, also of what should have a number.
        let stranger = leaf("request.read");
        let (_, _, findings) = found([&written(1), &stranger, &stranger].map(|leaf| Some(leaf.clone())));
        assert!(findings.iter().any(|each| each.place == "entry 3"), "{findings:?}");
    }

    #[test]
    fn an_account_is_compared_with_what_is_there() {
        const NAME: &str = "00000000000000aa";
        let key = SessionKey::from_seed(&Zeroizing::new([7; 32]));
        let other = SessionKey::from_seed(&Zeroizing::new([8; 32]));
        let mut start = Leaf { action: Action::WriterStart.as_str().to_owned(), ..written(1) };
        start.detail.insert("key".to_owned(), DetailValue::Word(key.public()));
        let entries = [start, written(2), written(3)];
        let account = |number, first: u64, last: u64, leaves: &[Leaf], key: &SessionKey| {
            let mut summary = Summary::default();
            for leaf in leaves {
                summary.take(&leaf_hash(&leaf.to_bytes()).0);
            }
            let stated = Stated { first, last, sha256: summary.finish() };
            let detail = stated.detail(NAME, key).into_values();
            Leaf { action: Action::WriterAccount.as_str().to_owned(), detail, ..written(number) }
        };
        let what = |entries: &[Leaf]| {
            let (_, _, findings) = found(entries.iter().cloned().map(Some));
            findings.into_iter().map(|finding| (finding.severity, finding.what)).collect::<Vec<_>>()
        };
        let says = |entries: &[Leaf], part: &str| {
            let found = what(entries);
            assert!(
                found.iter().any(|(severity, what)| *severity == Severity::Violation && what.contains(part)),
                "{found:?}"
            );
        };
        let [one, two, three] = entries.clone();
        let good = account(4, 1, 3, &entries, &key);
        assert!(what(&[one.clone(), two.clone(), three.clone(), good.clone()]).is_empty());
        // The order of sealing is another one.
        assert!(what(&[two.clone(), one.clone(), three.clone(), good.clone()]).is_empty());
        says(&[one.clone(), three.clone(), good.clone()], "accounts for its entries 2 to 2 as committed");
        says(&[one.clone(), written(2), three.clone(), good], "not those that it accounts for");
        let stranger = account(4, 1, 3, &entries, &other);
        says(&[one.clone(), two.clone(), three.clone(), stranger], "not signed by the key");
        let leap = account(4, 2, 3, &entries[1..], &key);
        says(&[one.clone(), two.clone(), three.clone(), leap], "had accounted for those up to 0");
        let early = account(3, 1, 3, &entries, &key);
        says(&[one, two, early], "had accounted for those up to 0");
    }

    #[test]
    fn a_writer_that_began_before_what_is_there_is_not_accused() {
        const NAME: &str = "00000000000000aa";
        let key = SessionKey::from_seed(&Zeroizing::new([7; 32]));
        let stated = Stated { first: 4990, last: 5002, sha256: Summary::default().finish() };
        let detail = stated.detail(NAME, &key).into_values();
        let account = Leaf { action: Action::WriterAccount.as_str().to_owned(), detail, ..written(5003) };
        let later = Leaf { at_us: WRITER_PATIENCE_US + 2, ..leaf("log.heartbeat") };
        // A run from the middle meets number 5002 first; 5001 was sealed after it, and its start lies before.
        let since = || Account::new(true, Absences::new(DateTime::UNIX_EPOCH, false));
        let entries = [written(5002), written(5001), account.clone(), later.clone()];
        let (_, _, findings) = found_in(since(), entries.map(Some));
        assert!(findings.is_empty(), "{findings:?}");
        // The same behind what was pruned: only the absence itself is told here, which nothing allows.
        let (_, _, findings) =
            found([None, Some(written(5002)), Some(written(5001)), Some(account), Some(later.clone())]);
        assert!(findings.iter().all(|each| each.step == Step::Absence), "{findings:?}");
        // A number that was there is not used again.
        let (_, _, findings) = found_in(since(), [5002, 5003, 5003].map(|number| Some(written(number))));
        assert_eq!((findings[0].severity, findings[0].place.as_str()), (Severity::Violation, "entry 3"));
        // One that begins where it can be seen announces itself.
        let (_, _, findings) = found_in(since(), [written(1), later].map(Some));
        assert!(findings.iter().any(|each| each.what.contains("never announced itself")), "{findings:?}");
    }

    #[test]
    fn silence_is_told_in_a_log_that_has_a_heartbeat() {
        let at = |action: &str, minutes: u64| Some(Leaf { at_us: 1 + minutes * 60_000_000, ..leaf(action) });
        let (_, _, findings) =
            found([at("log.heartbeat", 0), at("log.heartbeat", 10), at("request.read", 100)]);
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Remark));
        assert!(findings[0].what.contains("90 minutes"), "{findings:?}");
        assert!(found([at("request.read", 0), at("request.read", 100)]).2.is_empty());
    }
}
