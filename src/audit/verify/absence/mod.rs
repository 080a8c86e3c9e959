//! Entries that are not there: each against the signed entry `log.prune` that let it go.
//!
//! A log forgets from its beginning on, whole months after an entry was sealed, and says so in an entry before. Whoever may
//! write to the inbox can have such an entry signed as well, so that it is not believed because it is signed: it has to keep
//! to the rules that the function `audit.prune` keeps to, and what stands around the absence has to bear it out.
//!
//! - Only a beginning may be missing, never something between two entries. A place of files that holds the hashes of all
//!   may lack entries anywhere: they were not wanted there for a while, or are on their way. That is left undecided.
//! - `log.prune` names a term of 24 months or more, when the last of those entries was sealed, and lies behind them; by the
//!   clock of whoever verifies, too.
//! - The first entry that is kept follows soon on the last one that went: a running service writes every few minutes. Where
//!   it does not, either the service rested for that long, or younger entries went, too; nobody can tell from the log alone.
//! - From the first entry that is kept to the one that let the others go, instants show no leap of more than a month: one
//!   entry with an invented date in front of today's would bear out what is not so.
//! - No head with a time of somebody else's, signed while entries were to follow that went, is younger than the entry says.
//!   Instants of entries are what the service's clock said, and whoever has its login may invent all of them; these nobody
//!   can invent. A head without a time that was kept elsewhere is named, for whoever knows when they kept it.
//!
//! What an earlier `log.prune` let go is let go by the later one as well: the earlier one may have gone with the rest.

use std::collections::BTreeMap;

use chrono::{DateTime, Months, TimeDelta, Utc};

use super::account::{range_name, range_of};
use super::report::{Findings, Step};
use crate::audit::event::Action;
use crate::audit::forget::LOWEST_LOG_MONTHS;
use crate::audit::leaf::LeafView;

/// So much later than the last entry that went may the first one be that is kept: a day. A running log has an entry every ten
/// minutes. A term, too, may be shorter by as much: the entry before `log.prune` counts for its instant.
const REST: TimeDelta = TimeDelta::days(1);

/// Instants of entries that are kept may leap by so much before the one that let others go: a service that rested for longer
/// cannot be told from dates that were invented.
const LONGEST_REST: TimeDelta = TimeDelta::days(31);

/// The most heads without a time that are named.
const MOST_NAMED: usize = 20;

/// What an entry `log.prune` lets go: everything up to an entry.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    last: u64,
    sealed_up_to: DateTime<Utc>,
}

/// A head that covers entries that are not there.
#[derive(Clone, Copy, Debug)]
struct Timed {
    size: u64,
    at: DateTime<Utc>,
}

/// The account of a run over the log.
#[derive(Debug)]
pub(super) struct Absences {
    /// When this is, by the clock of whoever verifies.
    now: DateTime<Utc>,
    /// Whether the place may hold the hashes of entries without the entries: of all of them, or of some.
    may_lack_some: bool,
    /// First and last numbers of what is missing.
    missing: BTreeMap<u64, u64>,
    /// The furthest of all permissions that keep to the rules.
    allowed: Option<Allowed>,
    /// The first entry that is there: its number, and when it was written.
    first_kept: Option<(u64, DateTime<Utc>)>,
    /// The latest instant of the entries so far.
    latest: Option<DateTime<Utc>>,
    /// The longest leap of these instants so far: before which entry, and by how much; and the one up to the furthest
    /// permission.
    longest_step: Option<(u64, TimeDelta)>,
    longest_step_before_allowed: Option<(u64, TimeDelta)>,
    /// The last head with a time before the first entry that is kept, and the youngest of those after which an entry is
    /// missing.
    last_timed: Option<Timed>,
    youngest_timed: Option<Timed>,
    /// Heads kept elsewhere without a time, before the first entry that is kept.
    untimed: Vec<(String, u64)>,
}

impl Absences {
    /// `may_lack_some`: whether the place may hold the hashes of entries, and none of these or not all.
    pub(super) fn new(now: DateTime<Utc>, may_lack_some: bool) -> Self {
        Self {
            now,
            may_lack_some,
            missing: BTreeMap::new(),
            allowed: None,
            first_kept: None,
            latest: None,
            longest_step: None,
            longest_step_before_allowed: None,
            last_timed: None,
            youngest_timed: None,
            untimed: Vec::new(),
        }
    }

    /// Whether the place may hold the hashes of entries without the entries.
    pub(super) fn may_lack_some(&self) -> bool {
        self.may_lack_some
    }

    /// Whether nothing is missing so far.
    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// Takes note of an entry that is not there.
    pub(super) fn miss(&mut self, seq: u64) {
        if let Some(head) = self.last_timed.take()
            && self.youngest_timed.is_none_or(|known| known.at < head.at)
        {
            self.youngest_timed = Some(head);
        }
        match self.missing.last_entry() {
            Some(mut last) if *last.get() + 1 == seq => *last.get_mut() = seq,
            _ => drop(self.missing.insert(seq, seq)),
        }
    }

    /// Takes note of a head that was met behind the entry of number `size`: where it was kept, empty for the log's own, and
    /// when somebody else signed or stamped it, in seconds since 1970.
    pub(super) fn meet(&mut self, size: u64, kept_at: &str, at_secs: Option<u64>) {
        if self.missing.is_empty() || self.first_kept.is_some() {
            return;
        }
        match at_secs.and_then(|secs| DateTime::from_timestamp(i64::try_from(secs).ok()?, 0)) {
            Some(at) => self.last_timed = Some(Timed { size, at }),
            None if !kept_at.is_empty() && self.untimed.len() < MOST_NAMED => {
                self.untimed.push((kept_at.to_owned(), size));
            }
            None => {}
        }
    }

    /// Takes note of an entry that is there.
    pub(super) fn take(&mut self, seq: u64, leaf: LeafView<'_>, findings: &mut Findings) {
        let at = instant(leaf.at_us());
        self.first_kept.get_or_insert((seq, at));
        let before = self.latest.replace(self.latest.map_or(at, |latest| latest.max(at))).unwrap_or(at);
        let step = at - before;
        if self.longest_step.is_none_or(|(_, longest)| longest < step) {
            self.longest_step = Some((seq, step));
        }
        if leaf.action() != Action::LogPrune.as_str() {
            return;
        }
        // An entry that is dated ahead of all others, or of today, makes nothing older.
        match Allowed::by(seq, leaf, at.min(before).min(self.now)) {
            Ok(allowed) if self.allowed.is_none_or(|known| known.last < allowed.last) => {
                self.allowed = Some(allowed);
                self.longest_step_before_allowed = self.longest_step;
            }
            Ok(_) => {}
            Err(why) => findings.violation(Step::Absence, format!("entry {seq}"), why),
        }
    }

    /// Settles the account, and counts what is gone as allowed.
    pub(super) fn settle(&self, findings: &mut Findings) -> u64 {
        if self.may_lack_some
            && self.first_kept.is_none()
            && let (Some((&first, _)), Some((_, &last))) =
                (self.missing.first_key_value(), self.missing.last_key_value())
        {
            findings.undecided(
                Step::Absence,
                range_name(first, last),
                "this place holds their hashes and none of them: tiles, signatures and heads were compared, and what the \
                 entries say was not; verify an export, the database, or a place with entries (publish.entries)",
            );
            return 0;
        }
        let allowed_to = self.allowed.map_or(0, |allowed| allowed.last);
        let is_behind = |first: u64| self.first_kept.is_some_and(|(kept, _)| kept < first);
        let has_holes = self.may_lack_some && self.missing.keys().any(|&first| is_behind(first));
        let mut authorised = 0;
        for (&first, &last) in &self.missing {
            if is_behind(first) && has_holes {
                findings.undecided(
                    Step::Absence,
                    range_name(first, last),
                    "this place holds their hashes and not them, though others before them: they were not wanted here for a \
                     while (publish.entries), are on their way, or were taken away; what they say was not compared",
                );
                continue;
            }
            if is_behind(first) {
                findings.violation(
                    Step::Absence,
                    range_name(first, last),
                    "gone from between others; a log lets entries go from its beginning on only",
                );
                continue;
            }
            authorised += (allowed_to + 1).clamp(first, last + 1) - first;
            if allowed_to >= last {
                continue;
            }
            let place = range_name(first.max(allowed_to + 1), last);
            if has_holes {
                findings.undecided(
                    Step::Absence,
                    place,
                    "gone, and no signed entry that is here allows it; one may be among those that this place does not hold",
                );
            } else {
                findings.violation(Step::Absence, place, "gone, and no signed entry of the log allows it");
            }
        }
        if authorised > 0
            && let Some(allowed) = self.allowed
        {
            self.compare_instants(allowed, findings);
        }
        authorised
    }

    /// Whether what is there bears out when the missing entries were written.
    fn compare_instants(&self, allowed: Allowed, findings: &mut Findings) {
        let up_to = allowed.sealed_up_to;
        if let Some(Timed { size, at }) = self.youngest_timed
            && at > up_to + REST
        {
            findings.violation(
                Step::Absence,
                range_name(size + 1, self.missing.last_key_value().map_or(size + 1, |(_, &last)| last)),
                format!(
                    "gone as if they had been sealed by {up_to}; the head of {size} entries, after which they came, has a \
                     time of somebody else's that is {} days later",
                    (at - up_to).num_days()
                ),
            );
        }
        if let Some((kept, at)) = self.first_kept
            && at > up_to + REST
        {
            findings.undecided(
                Step::Absence,
                format!("entry {kept}"),
                format!(
                    "it is the first that is kept, and was written {} days after the time up to which entries were let \
                     go: either the service rested for so long, or younger entries went, too",
                    (at - up_to).num_days()
                ),
            );
        }
        if let Some((seq, step)) = self.longest_step_before_allowed
            && step > LONGEST_REST
        {
            findings.undecided(
                Step::Absence,
                format!("entry {seq}"),
                format!(
                    "it was written {} days after those before it, which are the first that are kept: either the service \
                     rested for so long, or their dates are invented and younger entries went",
                    step.num_days()
                ),
            );
        }
        for (kept_at, size) in &self.untimed {
            findings.remark(
                Step::Absence,
                kept_at,
                format!(
                    "it covers {size} entries, all of which were let go as sealed by {up_to}: whoever kept it later than \
                     that can tell that younger entries went"
                ),
            );
        }
    }
}

impl Allowed {
    /// What an entry `log.prune` of this number, written at `at`, lets go; otherwise the rule that it does not keep to.
    fn by(seq: u64, leaf: LeafView<'_>, at: DateTime<Utc>) -> Result<Self, String> {
        let (_, last) = range_of(leaf).ok_or("it lets entries go and does not say which")?;
        if last >= seq {
            return Err("it lets itself go, or what came after it".to_owned());
        }
        let months = leaf.detail_number("months").unwrap_or_default();
        if months < i64::from(LOWEST_LOG_MONTHS) {
            return Err(format!("it lets entries go after less than {LOWEST_LOG_MONTHS} months"));
        }
        let sealed_up_to: DateTime<Utc> = leaf
            .detail_word("sealed_up_to")
            .and_then(|text| text.parse().ok())
            .ok_or("it lets entries go and does not say when they were sealed")?;
        let term = u32::try_from(months)
            .ok()
            .and_then(|months| sealed_up_to.checked_add_months(Months::new(months)));
        if term.is_none_or(|term| at + REST < term) {
            return Err(format!("it lets entries go that were not {months} months old"));
        }
        Ok(Self { last, sealed_up_to })
    }
}

fn instant(at_us: u64) -> DateTime<Utc> {
    i64::try_from(at_us).ok().and_then(DateTime::from_timestamp_micros).unwrap_or_default()
}

#[cfg(test)]
mod tests;
