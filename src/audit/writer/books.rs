//! What a writer knows of each of its numbers. Pure: no database, no clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::account::{Account, Summary, VOID};
use crate::store::{Fate, Written};

/// So long one entry alone waits for its account.
const LONGEST_UNACCOUNTED: Duration = Duration::from_hours(24);

/// What is known of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its transaction is open.
    UnderWay,
    /// Its transaction may have been committed.
    InDoubt([u8; 32], Instant),
    /// It was committed with this leaf hash.
    Written([u8; 32]),
    /// It was rolled back.
    GivenUp,
}

/// An entry that was committed and not seen in the log.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    leaf: [u8; 32],
    since: Instant,
    told: bool,
}

/// How far the announcement got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Announcement {
    #[default]
    Missing,
    /// The number of the entry that brings it.
    UnderWay(u64),
    Made,
}

/// What is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Ranges of numbers that were given up.
    pub(super) voids: Vec<(u64, u64)>,
    pub(super) account: Option<Account>,
}

/// The books of a writer. Bounded by what is under way, what waits to be sealed, and what was written since the last
/// account.
#[derive(Debug, Default)]
pub(super) struct Books {
    drawn: u64,
    announcement: Announcement,
    /// Above `accounted`.
    standing: BTreeMap<u64, Standing>,
    waiting: BTreeMap<u64, Waiting>,
    /// Seen in the log before the end of their transaction was known here.
    early: BTreeMap<u64, [u8; 32]>,
    accounted: u64,
    /// An account up to there was written by the entry of this number.
    proposed: Option<(u64, u64)>,
    /// When that was, of the last one.
    proposed_at: Option<Instant>,
    /// Up to which number of the log its entries were looked for.
    seen: i64,
    /// Whether the log is another one than what this writer wrote into.
    is_forsaken: bool,
}

impl Books {
    pub(super) fn begin_after(&mut self, size: u64) {
        self.seen = self.seen.max(i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// The log has so many entries, and so many were seen in it before that was asked. Fewer: the database went back.
    pub(super) fn compare(&mut self, seen: i64, size: i64) {
        self.is_forsaken |= size < seen;
    }

    /// Nothing is accounted for any more.
    pub(super) fn forsake(&mut self) {
        self.is_forsaken = true;
    }

    pub(super) const fn is_forsaken(&self) -> bool {
        self.is_forsaken
    }

    pub(super) const fn drawn(&self) -> u64 {
        self.drawn
    }

    pub(super) const fn seen(&self) -> i64 {
        self.seen
    }

    pub(super) fn saw(&mut self, seq: i64) {
        self.seen = self.seen.max(seq);
    }

    /// The next number.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.standing.insert(self.drawn, Standing::UnderWay);
        self.drawn
    }

    pub(super) fn must_announce(&self) -> bool {
        self.announcement == Announcement::Missing
    }

    /// The next number, for the announcement.
    pub(super) fn draw_announcement(&mut self) -> u64 {
        let number = self.draw();
        self.announcement = Announcement::UnderWay(number);
        number
    }

    pub(super) fn has_announced(&self) -> bool {
        self.announcement == Announcement::Made
    }

    /// Whether anything was committed.
    pub(super) fn has_written(&self) -> bool {
        let is_written = |standing: &Standing| matches!(standing, Standing::Written(_));
        self.accounted > 0 || self.has_announced() || self.standing.values().any(is_written)
    }

    /// Whether nothing is on its way into the log.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_open = |standing: &Standing| matches!(standing, Standing::UnderWay | Standing::InDoubt(..));
        self.waiting.is_empty() && !self.standing.values().any(is_open)
    }

    /// A transaction ended.
    pub(super) fn ended(&mut self, written: &[Written], fate: Fate, now: Instant) {
        for &Written { number, digest } in written {
            let standing = match fate {
                Fate::Committed => Standing::Written(digest),
                Fate::RolledBack => Standing::GivenUp,
                Fate::Unknown => Standing::InDoubt(digest, now),
            };
            self.standing.insert(number, standing);
            if self.announcement == Announcement::UnderWay(number) {
                // One that may be lost is made again: two of them say the same.
                self.announcement =
                    if fate == Fate::Committed { Announcement::Made } else { Announcement::Missing };
            }
            if let Some(leaf) = self.early.remove(&number) {
                if leaf == digest {
                    self.standing.insert(number, Standing::Written(digest));
                }
            } else if fate == Fate::Committed {
                self.waiting.insert(number, Waiting { leaf: digest, since: now, told: false });
            }
        }
    }

    /// An entry was seen in the log; answers whether it is the one that was written.
    pub(super) fn arrive(&mut self, number: u64, leaf: &[u8]) -> bool {
        if let Some(waiting) = self.waiting.remove(&number) {
            return waiting.leaf == leaf;
        }
        match self.standing.get(&number).copied() {
            Some(Standing::UnderWay) => {
                if let Ok(leaf) = leaf.try_into() {
                    self.early.insert(number, leaf);
                }
                true
            }
            Some(Standing::InDoubt(digest, _)) if digest == leaf => {
                self.standing.insert(number, Standing::Written(digest));
                true
            }
            Some(Standing::Written(digest)) => digest == leaf,
            // Accounted for, and seen a second time after a look that failed in the middle.
            None => number <= self.accounted,
            Some(_) => false,
        }
    }

    /// Committed entries that were not sealed in time and of which nobody was told.
    pub(super) fn overdue(&self, merge_delay: Duration, now: Instant) -> Vec<u64> {
        let is_overdue =
            |waiting: &Waiting| !waiting.told && now.saturating_duration_since(waiting.since) >= merge_delay;
        self.waiting.iter().filter(|(_, waiting)| is_overdue(waiting)).map(|(number, _)| *number).collect()
    }

    /// Numbers whose COMMIT went unanswered so long ago.
    pub(super) fn doubtful(&self, delay: Duration, now: Instant) -> Vec<u64> {
        let is_old = |standing: &Standing| matches!(standing, Standing::InDoubt(_, since) if now.saturating_duration_since(*since) >= delay);
        self.standing.iter().filter(|(_, standing)| is_old(standing)).map(|(number, _)| *number).collect()
    }

    /// Somebody is told that an entry is late; that happens once.
    pub(super) fn tell(&mut self, number: u64) {
        if let Some(waiting) = self.waiting.get_mut(&number) {
            waiting.told = true;
        }
    }

    /// A committed entry is not to be found; answers whether it really is missing still.
    pub(super) fn lose(&mut self, number: u64) -> bool {
        self.waiting.remove(&number).is_some()
    }

    /// A number in doubt was looked for: it waits in the inbox, or there is no trace of it.
    pub(super) fn decide(&mut self, number: u64, waits: bool, doubt: Duration, now: Instant) {
        let Some(Standing::InDoubt(digest, since)) = self.standing.get(&number).copied() else { return };
        if waits {
            self.standing.insert(number, Standing::Written(digest));
            self.waiting.insert(number, Waiting { leaf: digest, since: now, told: false });
        } else if now.saturating_duration_since(since) >= doubt {
            self.standing.insert(number, Standing::GivenUp);
        }
    }

    /// What can be accounted for at `now`. Nothing before the key is known or while the fate of the last account is not, but at
    /// the end.
    pub(super) fn due(&mut self, at_end: bool, now: Instant) -> Option<Due> {
        if !at_end && !self.has_announced() {
            return None;
        }
        if let Some((number, last)) = self.proposed {
            match self.standing.get(&number) {
                Some(Standing::Written(_)) => {
                    self.standing = self.standing.split_off(&(last + 1));
                    self.accounted = last;
                    self.proposed = None;
                }
                Some(Standing::GivenUp) | None => self.proposed = None,
                Some(_) if at_end => return Some(Due { voids: Vec::new(), account: None }),
                Some(_) => return None,
            }
        }
        let first = self.accounted + 1;
        let mut last = self.accounted;
        let mut voids: Vec<(u64, u64)> = Vec::new();
        let mut summary = Summary::default();
        for (&number, standing) in &self.standing {
            match standing {
                Standing::Written(leaf) => summary.take(leaf),
                Standing::GivenUp => {
                    summary.take(&VOID);
                    match voids.last_mut() {
                        Some((_, end)) if *end + 1 == number => *end = number,
                        _ => voids.push((number, number)),
                    }
                }
                Standing::UnderWay | Standing::InDoubt(..) => break,
            }
            last = number;
        }
        let account = (last >= first).then(|| Account { first, last, sha256: summary.finish() });
        // Accounts account for accounts, and would never come to an end: one number alone waits for the next entry, a day at
        // the longest. So each day of a writer that lives has an entry of it.
        let is_of_yesterday =
            self.proposed_at.is_some_and(|at| now.saturating_duration_since(at) >= LONGEST_UNACCOUNTED);
        let is_worth_it = at_end
            || last > first
            || (first == 1 && last == 1)
            || !voids.is_empty()
            || (last >= first && is_of_yesterday);
        is_worth_it.then_some(Due { voids, account }).filter(|due| at_end || due.account.is_some())
    }

    /// The entry of this number brings an account up to `last`, if its transaction is committed.
    pub(super) fn propose(&mut self, number: u64, last: u64, now: Instant) {
        self.proposed = Some((number, last));
        self.proposed_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_13_a_log_that_went_back_stays_another_one_however_long_it_becomes() {
        let mut books = Books::default();
        books.begin_after(40);
        for (size, is_forsaken) in [(40, false), (41, false), (39, true), (50, true)] {
            books.compare(books.seen(), size);
            assert_eq!(books.is_forsaken(), is_forsaken, "{size}");
        }
    }

    #[test]
    fn a_writer_with_nothing_to_say_accounts_for_its_last_account_once_a_day() {
        let (mut books, began) = (Books::default(), Instant::now());
        let write = |books: &mut Books, number: u64, now: Instant| {
            books.ended(&[Written { number, digest: [7; 32] }], Fate::Committed, now);
        };
        let announced = books.draw_announcement();
        write(&mut books, announced, began);
        assert!(
            books.due(false, began).is_some_and(|due| due.account.is_some()),
            "the announcement is told at once"
        );
        let account = books.draw();
        books.propose(account, announced, began);
        write(&mut books, account, began);
        // What is left is that account alone.
        let day = LONGEST_UNACCOUNTED;
        assert_eq!(books.due(false, began + day / 2), None);
        let due = books.due(false, began + day).and_then(|due| due.account);
        assert_eq!(due.map(|due| (due.first, due.last)), Some((account, account)));
        // And not again before another day has passed.
        let next = books.draw();
        books.propose(next, account, began + day);
        write(&mut books, next, began + day);
        assert_eq!(books.due(false, began + day + day / 2), None);
        assert!(books.due(false, began + day * 2).is_some());
    }
}
