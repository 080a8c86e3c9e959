//! The instants of the entries, in the order of their numbers.
//!
//! A number says when an entry was sealed, so that instants may fall a little from one to the next: a transaction took its
//! time, another host's clock is behind. More than that, and a clock was set back. That is no violation, since instants
//! are what the service's clock said, but whoever reckons with them has to know.

use super::report::{Findings, Step};
use crate::audit::leaf::LeafView;

/// Instants may fall by so many microseconds without a remark: five minutes, more than a transaction takes and than the
/// clocks of hosts may differ by.
const TOLERANCE_US: u64 = 5 * 60 * 1_000_000;

/// Where instants fell.
#[derive(Debug, Default)]
pub(super) struct Instants {
    /// The latest one since they fell last.
    latest_us: u64,
    falls: u64,
    /// The deepest fall: the number of the entry, and by how much.
    deepest: Option<(u64, u64)>,
}

impl Instants {
    /// Takes note of the next entry.
    pub(super) fn take(&mut self, seq: u64, leaf: LeafView<'_>) {
        // What was carried over from the first form of the log has its own order.
        if leaf.v() == 0 {
            return;
        }
        let by_us = self.latest_us.saturating_sub(leaf.at_us());
        if by_us <= TOLERANCE_US {
            self.latest_us = self.latest_us.max(leaf.at_us());
            return;
        }
        self.latest_us = leaf.at_us();
        self.falls += 1;
        if self.deepest.is_none_or(|(_, deepest_us)| by_us > deepest_us) {
            self.deepest = Some((seq, by_us));
        }
    }

    /// One remark, however often they fell: two hosts whose clocks differ make them fall again and again.
    pub(super) fn settle(&self, findings: &mut Findings) {
        let Some((seq, by_us)) = self.deepest else { return };
        let minutes = by_us / 60_000_000;
        let often = match self.falls {
            1 => String::new(),
            falls => format!(", the deepest of {falls} such falls"),
        };
        findings.remark(
            Step::Instants,
            format!("entry {seq}"),
            format!(
                "the instants of entries go back by {minutes} minutes before it{often}; a clock of the service was set \
                 back, or its hosts' clocks differ; the order is that of the numbers"
            ),
        );
    }
}
