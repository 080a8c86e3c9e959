//! What a verification found, and what that means.

use std::fmt;

use serde::Serialize;

use super::run::CaseReport;

/// The most findings of a report that are told one by one.
pub const MAX_FINDINGS: usize = 200;

/// What was being checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Signatures of the newest head.
    Head,
    /// Heads that were known before, the auditor's and those that the log kept.
    Consistency,
    /// Time-stamps of kept heads.
    Stamps,
    /// Entries against the tree.
    Entries,
    /// Tiles and root.
    Tree,
    /// Columns against the bytes of their entry.
    Columns,
    /// The commitments beside pages of sweeps.
    Manifests,
    /// Definition of the tables and rights on them.
    Catalogue,
    /// Missing entries against the signed entries that allow it.
    Absence,
    /// Effects without end, ends without beginning.
    Effects,
    /// Counters of the writers.
    Counters,
    /// Silence.
    Heartbeats,
    /// Instants that go back from one entry to the next.
    Instants,
    /// What made entries personal and is gone, and holds, against the signed entries that tell of them.
    Erasures,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Remark,
    /// Something that is needed to decide is not there.
    Undecided,
    /// The log is not what was signed, or does not say what it must.
    Violation,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// At which step.
    pub step: Step,
    /// Where: an entry, a tile, a table.
    pub place: String,
    /// What.
    pub what: String,
}

/// How a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong.
    Ok,
    /// Something is wrong.
    Violation,
    /// Something that is needed is missing.
    Undecided,
}

impl Verdict {
    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Violation => 1,
            Self::Undecided => 2,
        }
    }
}

/// What somebody could have done beside the entries, at every level: a place that has this part holds it by no signature.
pub(super) const UNBOUND: &str = " Besides, the names of staff, and the salts and tags that tie entries to people, could have been \
                                  exchanged for others: no signature covers what they say.";

/// How much a log that was found in order is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    /// Stored.
    L0,
    /// A signed tree, on the same machine.
    L1,
    /// A head that somebody outside kept agrees with it.
    L2,
    /// Witnesses that somebody else runs cosigned it.
    L3,
    /// L3, and their times, or those of a time-stamping authority, bound every part of it from the first such head on, to
    /// within a day of its end.
    L4,
}

impl Level {
    /// What somebody could still have done without its being found here: one sentence. `protected_up_to`: the size up to which
    /// somebody else stands for the log, as the level has it; from L3 on that is witnesses, and for L4 times, too. `timed_from`:
    /// behind how many entries times of others bound those that follow.
    #[must_use]
    pub fn still_possible(self, protected_up_to: u64, size: u64, timed_from: Option<u64>) -> String {
        let newer = size.saturating_sub(protected_up_to);
        match self {
            Self::L0 => "Whoever can write to the place where the log stands could have rewritten all of it: \
                         no signature by a key that you trust covers it."
                .to_owned(),
            Self::L1 => "Whoever holds both the signing key and the place where the log stands could have rewritten \
                         all of it: no head that was kept elsewhere was compared (give one with --known-head)."
                .to_owned(),
            Self::L2 => format!(
                "Whoever holds both the signing key and the place where the log stands could have rewritten the \
                 {newer} entries after number {protected_up_to}, or shown another log to somebody else."
            ),
            Self::L3 => format!(
                "The signing key together with the witnesses' could have made another log; without them only the \
                 {newer} entries after number {protected_up_to} could have been rewritten, and clocks are not proven."
            ),
            Self::L4 => format!(
                "The signing key together with the witnesses' could have made another log; without them only the \
                 {newer} entries after number {protected_up_to}, instants within one interval between heads with a time, and \
                 those of the first {} entries as far back as one likes, could have been chosen freely.",
                timed_from.unwrap_or(size)
            ),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

/// What was counted on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Entries that were read and hashed.
    pub entries: u64,
    /// Entries that are gone, as signed entries allow.
    pub authorised_absences: u64,
    /// Tiles that were compared.
    pub tiles: u64,
    /// Heads, given or kept, that agree.
    pub heads: u64,
    /// Heads with enough witnesses.
    pub witnessed_heads: u64,
    /// Heads with a time-stamp of a trusted authority.
    pub stamped_heads: u64,
    /// Effects whose end is not recorded.
    pub open_effects: u64,
    /// Processes that numbered their entries.
    pub writers: u64,
    /// Commitments to people's identifiers for which salts are kept, and which what is kept beside these makes. Whether a salt fits
    /// is not told by that: it takes the identifier.
    pub openings: u64,
    /// Salts of cases and names of staff that are gone, as signed entries allow.
    pub authorised_erasures: u64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was read.
    pub source: String,
    /// Name of the log, if its head can be read.
    pub origin: Option<String>,
    /// Number of entries that the head covers.
    pub size: u64,
    /// Root of the tree, base64.
    pub root: Option<String>,
    /// After how many entries the check began; 0 for all of it.
    pub since: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// How much it is protected.
    pub level: Level,
    /// What could still have been done.
    pub still_possible: String,
    /// Whether the definition of a database was checked.
    pub catalogue_checked: bool,
    /// Numbers.
    pub counts: Counts,
    /// The case that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseReport>,
    /// What was found, in the order in which it was; at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// How many more were found.
    pub more_findings: u64,
}

impl Report {
    /// The first violation, or else the first thing that is missing.
    #[must_use]
    pub fn first_bad(&self) -> Option<&Finding> {
        let of = |severity| self.findings.iter().find(move |finding| finding.severity == severity);
        of(Severity::Violation).or_else(|| of(Severity::Undecided))
    }
}

/// Gathers findings in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Findings {
    told: Vec<Finding>,
    more: u64,
    worst: Option<Severity>,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        severity: Severity,
        step: Step,
        place: impl Into<String>,
        what: impl Into<String>,
    ) {
        self.worst = self.worst.max(Some(severity));
        let finding = Finding { severity, step, place: place.into(), what: what.into() };
        if self.told.len() < MAX_FINDINGS {
            self.told.push(finding);
            return;
        }
        self.more += 1;
        // What is worse than all that is told must not drown in remarks.
        if let Some(least) = self.told.iter().rposition(|known| known.severity < severity) {
            self.told.remove(least);
            self.told.push(finding);
        }
    }

    pub(super) fn violation(&mut self, step: Step, place: impl Into<String>, what: impl Into<String>) {
        self.add(Severity::Violation, step, place, what);
    }

    pub(super) fn undecided(&mut self, step: Step, place: impl Into<String>, what: impl Into<String>) {
        self.add(Severity::Undecided, step, place, what);
    }

    pub(super) fn remark(&mut self, step: Step, place: impl Into<String>, what: impl Into<String>) {
        self.add(Severity::Remark, step, place, what);
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.worst {
            Some(Severity::Violation) => Verdict::Violation,
            Some(Severity::Undecided) => Verdict::Undecided,
            Some(Severity::Remark) | None => Verdict::Ok,
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.told, self.more)
    }
}
