//! What must go round in a process, and whether it does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The loops without which a process is of no use to anybody: it calls itself ready, and lets its service manager know that
/// it lives, only while each of them turns. A turn that fails is one: a database that is away is no reason to be ended.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Arc<Mutex<BTreeMap<&'static str, Turn>>>);

#[derive(Clone, Copy, Debug)]
struct Turn {
    last: Instant,
    longest: Duration,
}

impl Rounds {
    /// Watches a loop until what is returned is dropped; no turn of it takes longer than `longest`.
    #[must_use]
    pub fn watch(&self, task: &'static str, longest: Duration) -> Round {
        self.turns().insert(task, Turn { last: Instant::now(), longest });
        Round { rounds: self.clone(), task }
    }

    /// A loop that stands still, if one does.
    #[must_use]
    pub fn standing_still(&self) -> Option<&'static str> {
        self.standing_still_at(Instant::now())
    }

    fn standing_still_at(&self, now: Instant) -> Option<&'static str> {
        let stands_still = |turn: &Turn| now.saturating_duration_since(turn.last) > turn.longest;
        self.turns().iter().find(|(_, turn)| stands_still(turn)).map(|(task, _)| *task)
    }

    fn turns(&self) -> MutexGuard<'_, BTreeMap<&'static str, Turn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A loop that is watched.
#[derive(Debug)]
pub struct Round {
    rounds: Rounds,
    task: &'static str,
}

impl Round {
    /// Says that a turn has ended, in whatever way.
    pub fn turned(&self) {
        if let Some(turn) = self.rounds.turns().get_mut(self.task) {
            turn.last = Instant::now();
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.rounds.turns().remove(self.task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_16_a_loop_stands_still_from_its_longest_turn_until_it_turns_or_is_watched_no_more() {
        let rounds = Rounds::default();
        let longest = Duration::from_mins(1);
        let _slow = rounds.watch("sealer", Duration::from_hours(1));
        let quick = rounds.watch("heartbeats", longest);
        let watched = Instant::now();
        assert_eq!(rounds.standing_still(), None);
        // By a clock of the test: how long a turn of it takes is for the machine to say.
        let too_late = watched + longest + Duration::from_millis(1);
        assert_eq!(rounds.standing_still_at(too_late), Some("heartbeats"));
        std::thread::sleep(Duration::from_millis(5));
        quick.turned();
        assert_eq!(rounds.standing_still_at(too_late), None);
        assert_eq!(rounds.standing_still_at(Instant::now() + longest * 2), Some("heartbeats"));
        drop(quick);
        assert_eq!(rounds.standing_still_at(too_late + longest), None, "a loop that ended is not waited for");
    }
}
