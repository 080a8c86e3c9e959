//! The times of heads that somebody else stands for: witnesses, or a time-stamping authority.

use super::heads::CLOCK_TOLERANCE_US;

/// The longest interval between heads with a time, and behind the last of them, that still counts as bounding the log in time,
/// in seconds: a day.
const LONGEST_INTERVAL_SECS: u64 = 24 * 60 * 60;

/// What somebody else stands for.
#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    /// The largest size that enough of them signed.
    pub(super) size: u64,
    /// When they did, in seconds since 1970.
    at_secs: u64,
    longest_interval_secs: u64,
    /// How many different heads.
    pub(super) heads: u64,
    /// The size of the first one: nothing bounds the entries up to it from below.
    pub(super) first_size: u64,
    /// Whether an entry says that it is younger than its head, or older than the one before it.
    pub(super) contradicted: bool,
}

impl Times {
    /// Takes note of a head; smaller ones first.
    pub(super) fn take(&mut self, size: u64, at_secs: Option<u64>) {
        let Some(at_secs) = at_secs else { return };
        if self.heads > 0 && size <= self.size {
            return;
        }
        if self.heads == 0 {
            self.first_size = size;
        } else {
            self.longest_interval_secs = self.longest_interval_secs.max(at_secs.saturating_sub(self.at_secs));
        }
        self.heads += 1;
        self.at_secs = self.at_secs.max(at_secs);
        self.size = size;
    }

    /// Whether an entry behind the heads so far says that it is older than the last of them, by more than clocks differ;
    /// answers so once.
    pub(super) fn is_contradicted_by(&mut self, at_us: u64) -> bool {
        let earliest_us = self.at_secs.saturating_mul(1_000_000).saturating_sub(CLOCK_TOLERANCE_US);
        let is_first = self.heads > 0 && at_us < earliest_us && !self.contradicted;
        self.contradicted |= is_first;
        is_first
    }

    /// Whether times bound a log of so many entries from its first head on to its end: to its newest head, or to within a day of
    /// its latest instant, `end_us`, where its entries were read that far.
    pub(super) fn bound(&self, size: u64, end_us: Option<u64>) -> bool {
        let latest_allowed_secs = self.at_secs.saturating_add(LONGEST_INTERVAL_SECS);
        let reaches_the_end =
            self.size == size || end_us.is_some_and(|end_us| end_us / 1_000_000 <= latest_allowed_secs);
        self.heads > 1
            && self.longest_interval_secs <= LONGEST_INTERVAL_SECS
            && reaches_the_end
            && !self.contradicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60;

    fn times(heads: &[(u64, u64)]) -> Times {
        let mut times = Times::default();
        for (size, at_secs) in heads {
            times.take(*size, Some(*at_secs));
        }
        times
    }

    #[test]
    fn times_bound_a_log_from_the_first_to_its_end_and_nothing_longer_than_a_day() {
        let bound =
            |heads: &[(u64, u64)], hours: u64| times(heads).bound(100, Some(hours * HOUR * 1_000_000));
        assert!(bound(&[(10, HOUR), (100, 20 * HOUR)], 20));
        assert!(bound(&[(10, HOUR), (90, 20 * HOUR)], 44), "an entry of the day after the last one");
        assert!(!bound(&[(10, HOUR), (90, 20 * HOUR)], 45), "nothing bounds what came later than that");
        assert!(!times(&[(10, HOUR), (90, 20 * HOUR)]).bound(100, None), "nobody read how late its end is");
        assert!(!bound(&[(100, HOUR)], 1), "one head is no interval");
        assert!(!bound(&[(10, HOUR), (100, 26 * HOUR)], 26));
        let mut contradicted = times(&[(10, HOUR), (100, 20 * HOUR)]);
        assert!(contradicted.is_contradicted_by(HOUR * 1_000_000) && !contradicted.bound(100, Some(0)));
    }
}
