//! I-10: how fast the platform was called.

use std::time::{Duration, Instant};

use dsrd_simulator::Endpoint;

use super::Evidence;
use crate::support::settings::CallLimit;

/// A call that was made in time may arrive so much later on a busy machine, together with those made after it.
const DELAY: Duration = Duration::from_millis(250);

/// I-10: no span of time, however long, saw more calls of one key than the rate and the burst allow that its client was
/// configured with.
pub(super) fn keep_the_limit(evidence: &Evidence<'_>) -> Vec<String> {
    let service = evidence.service;
    let organisations = service.simulator.organisations();
    let faults = organisations.iter().filter_map(|organisation| {
        let name = organisation.name();
        let calls = organisation.journal().entries().into_iter();
        let made = calls.filter(|call| call.endpoint != Endpoint::Platform).map(|call| call.arrived);
        let Some(limit) = service.call_limits.get(name) else {
            return Some(format!("I-10: nobody knows the limit of {name}"));
        };
        let too_many = worst(made.collect(), *limit)?;
        Some(format!("I-10: {name}: {too_many}, at {limit:?}"))
    });
    faults.collect()
}

/// The first time that the calls do not fit through a bucket of the limit. That is the sliding window of every length at once:
/// `n` calls within `t` fit if `n` is at most the burst and what `t` and the delay add at the rate.
fn worst(mut calls: Vec<Instant>, limit: CallLimit) -> Option<String> {
    calls.sort_unstable();
    let full = f64::from(limit.burst) + limit.per_second * DELAY.as_secs_f64();
    let mut level = full;
    // Since when the bucket was not full, and how many calls came since.
    let (mut since, mut number, mut last) = (*calls.first()?, 0, *calls.first()?);
    for at in calls {
        level += limit.per_second * at.duration_since(last).as_secs_f64();
        last = at;
        if level >= full {
            (level, since, number) = (full, at, 0);
        }
        level -= 1.0;
        number += 1;
        // Fractions are not exact.
        if level < -1e-6 {
            return Some(format!("{number} calls within {:?}", at.duration_since(since)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i_10_the_window_slides_over_all_lengths() {
        let limit = CallLimit { per_second: 20.0, burst: 5 };
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        // With the delay ten at once, and one each 50 ms after them.
        let steady =
            |first: u64, every: u64| (0..first).map(|_| 0).chain((1..400).map(move |each| each * every));
        let worst = |millis: &mut dyn Iterator<Item = u64>| worst(millis.map(at).collect(), limit);
        assert_eq!(worst(&mut steady(10, 50)), None);
        assert_eq!(worst(&mut steady(11, 50)).as_deref(), Some("11 calls within 0ns"));
        // A little too fast: no single second shows it.
        assert_eq!(worst(&mut steady(5, 49)).as_deref(), Some("256 calls within 12.299s"));
        // After a rest the whole burst again, and not more.
        let rested = |more: u64| (0..10).chain((0..10 + more).map(|_| 60_000));
        assert_eq!(worst(&mut rested(0)), None);
        assert_eq!(worst(&mut rested(1)).as_deref(), Some("11 calls within 0ns"));
        assert_eq!(worst(&mut std::iter::empty()), None);
    }
}
