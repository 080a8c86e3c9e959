//! What an operator sets about the time after an erasure or opt-out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most days after which anybody may look: no contact id is kept for longer.
const MOST_DAYS: u32 = 366;

/// Whether what was erased stays gone, and what was switched off stays off.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// After how many days a proven erasure or opt-out is looked at again, ascending. Empty: never. Nobody looks after
    /// `upkeep.contact_ids_days`.
    pub watch_days: Vec<u32>,
    /// Whether a look after an erasure also searches by the person's identifiers, so that a contact made anew is found. On a
    /// platform that does not honour a filter, each search reads all contacts.
    pub watch_searches: bool,
    /// How many opt-outs are read again every day, drawn among those whose contact is still known; 0 means none.
    pub daily_sample: u32,
}

impl Settings {
    /// What is wrong, in a sentence that begins with the key; `None` when nothing is.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        let days = &self.watch_days;
        let ascending = days.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || days.iter().any(|days| !(1..=MOST_DAYS).contains(days)) {
            return Some(format!(
                "suppression.watch_days must name days from 1 to {MOST_DAYS} in ascending order, for example [1, 7, 30]"
            ));
        }
        (self.daily_sample > 10_000).then(|| {
            "suppression.daily_sample must be at most 10000: each is a call to the platform".to_owned()
        })
    }

    /// The first day to look at, later than `after`; none when that was the last.
    pub(super) fn next_day(&self, after: u32) -> Option<u32> {
        self.watch_days.iter().copied().find(|days| *days > after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(watch_days: &[u32]) -> Settings {
        Settings { watch_days: watch_days.to_vec(), watch_searches: true, daily_sample: 20 }
    }

    #[test]
    fn days_ascend_and_follow_each_other() {
        let usual = settings(&[1, 7, 30]);
        assert_eq!(usual.refused(), None);
        assert_eq!(
            [0, 1, 6, 7, 30].map(|after| usual.next_day(after)),
            [Some(1), Some(7), Some(7), Some(30), None]
        );
        assert_eq!(settings(&[]).refused(), None);
        for wrong in [&[7, 1][..], &[1, 1], &[0, 7], &[367]] {
            assert!(settings(wrong).refused().unwrap().starts_with("suppression.watch_days"), "{wrong:?}");
        }
        let many = Settings { daily_sample: 10_001, ..settings(&[1]) };
        assert!(many.refused().unwrap().starts_with("suppression.daily_sample"));
    }
}
