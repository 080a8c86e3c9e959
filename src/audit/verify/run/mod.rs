//! The run over a log, from its newest head to its last entry.

use std::collections::VecDeque;
use std::ops::Range;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::audit::event::Action;
use crate::audit::leaf::{LeafBytes, LeafError, LeafView};
use crate::audit::manifest;
use crate::audit::tlog::{Checkpoint, Hash, KeyName, TILE_WIDTH, Tile};
use crate::audit::verify::absence::Absences;
use crate::audit::verify::account::{Account, range_name};
use crate::audit::verify::catalogue::Flaw;
use crate::audit::verify::policy::Policy;
use crate::audit::verify::report::{Counts, Findings, Level, Report, Step, UNBOUND, Verdict};
use crate::audit::verify::source::{CommittedCases, ManifestOf, Source, SourceError, Stored};

mod case;
mod examine;
mod heads;
mod restores;
mod tiles;
mod times;

use self::case::Wanted;
pub use self::case::{CaseEntry, CaseReport, CaseSubject};
use self::examine::{Examination, Examined};
use self::heads::{Head, Known, told};
use self::restores::Restores;
use self::tiles::Tree;
use self::times::Times;

/// Entries in a full tile.
const WIDTH: u64 = TILE_WIDTH as u64;

/// Entries that are read at a time: a whole number of tiles.
const CHUNK: u64 = 32 * WIDTH;

/// What to compare with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom to believe.
    pub policy: Policy,
    /// Heads that were kept elsewhere: a name for people, and the signed note as it was kept.
    pub known_heads: Vec<(String, Vec<u8>)>,
    /// Begin after so many entries; the tiles stand for those before.
    pub since: u64,
    /// When this is: what lies in the future is not believed.
    pub now: DateTime<Utc>,
}

/// Verifies a log. What is wrong stands in the report; the answer is an error only where the log cannot be read.
pub async fn verify<S: Source>(source: &mut S, plan: &Plan) -> Result<Report, SourceError> {
    verify_case(source, plan, None).await
}

/// As [`verify`], and tells of one case what the log says of it ([`Report::case`]).
pub async fn verify_case<S: Source>(
    source: &mut S,
    plan: &Plan,
    case: Option<Uuid>,
) -> Result<Report, SourceError> {
    let mut run = Run {
        plan,
        wanted: case.map(Wanted::new),
        findings: Findings::default(),
        counts: Counts::default(),
        catalogue_checked: false,
        has_erasable: false,
        protected_up_to: 0,
        timed_from: None,
        witness: Times::default(),
        stamps: Times::default(),
        unchecked_stamps: 0,
        latest_us: 0,
        is_read_to_the_end: false,
        restores: Restores::default(),
        signed_as: None,
        differing: Vec::new(),
    };
    let Some(head) = run.head(source).await? else {
        return Ok(run.report(source.describe(), None, Level::L0));
    };
    match source.flaws(head.checkpoint.size).await {
        Ok(Some(flaws)) => {
            run.catalogue_checked = true;
            for Flaw { severity, place, what } in flaws {
                run.findings.add(severity, Step::Catalogue, place, what);
            }
        }
        Ok(None) => {}
        Err(error) => run.unreadable(Step::Catalogue, error)?,
    }
    let known = run.known_heads(&head.checkpoint, source.is_the_log());
    run.walk(source, &head.checkpoint, known).await?;
    run.prove_case(source, &head.checkpoint).await?;
    run.settle_differing(head.checkpoint.origin.as_str());
    run.witnessed(head.checkpoint.size, head.witnessed_at_secs, run.latest_us);
    let level = run.level(&head);
    Ok(run.report(source.describe(), Some(&head.checkpoint), level))
}

struct Run<'p> {
    plan: &'p Plan,
    /// The case that is asked for.
    wanted: Option<Wanted>,
    findings: Findings,
    counts: Counts,
    catalogue_checked: bool,
    /// Whether the place has what ties entries to people.
    has_erasable: bool,
    /// The largest size of a head that somebody else kept and that agrees.
    protected_up_to: u64,
    /// Behind how many entries times of others bound the log.
    timed_from: Option<u64>,
    /// What witnesses stand for.
    witness: Times,
    /// What the time-stamping authority stands for.
    stamps: Times,
    unchecked_stamps: u64,
    /// The latest instant of the entries that were read, in microseconds since 1970, and whether the last one was.
    latest_us: u64,
    is_read_to_the_end: bool,
    restores: Restores,
    /// The name under which the last of the log's own heads was signed that was met.
    signed_as: Option<KeyName>,
    /// Heads of former names of the log that do not agree, and whether every entry was there that they would cover.
    differing: Vec<(Known, bool)>,
}

impl Run<'_> {
    /// Rehashes all entries after `since`, rebuilds the tiles and compares everything on the way.
    async fn walk<S: Source>(
        &mut self,
        source: &mut S,
        checkpoint: &Checkpoint,
        mut known: VecDeque<Known>,
    ) -> Result<(), SourceError> {
        let size = checkpoint.size;
        let since = self.plan.since.min(size);
        if self.plan.since > size {
            let what =
                format!("the log has {size} entries, fewer than the {} to begin after", self.plan.since);
            self.findings.violation(Step::Head, "checkpoint", what);
        }
        let main = self.beginning(source, since, size).await?;
        let mut tree = Tree { main, of_entries: None, broken: false };
        let absences = Absences::new(self.plan.now, source.may_lack_entries());
        let mut account = Account::new(since > 0, absences, self.plan.now, source.is_live());
        match source.erasable().await {
            Ok(erasable) => {
                self.has_erasable = erasable.is_some();
                account.erasures.begin(erasable);
            }
            Err(error) => self.unreadable(Step::Erasures, error)?,
        }
        self.consistent_beginnings(source, &tree.main, &mut known, size).await?;
        // Chunks begin at whole tiles.
        let mut first = since - since % WIDTH;
        let rows = self.rows(source, first, (first + CHUNK).min(size), size).await?;
        let mut examination = Examination::begin(rows);
        while first < size && !tree.broken {
            let end = (first + CHUNK).min(size);
            // The next ones are fetched while these are examined, and examined while these are accounted for.
            let next = self.rows(source, end, (end + CHUNK).min(size), size).await?;
            let rows = std::mem::replace(&mut examination, Examination::begin(next)).finish().await;
            let from = first.max(since);
            account.erasures.may_open(source.openings(committed_cases(&rows)).await?);
            let kept = self.told_of(Step::Consistency, source.kept_heads(from, end).await)?;
            let stamps = self.told_of(Step::Stamps, source.stamps(from, end).await)?;
            let heads = self.heads_up_to(&mut known, kept, &stamps, end);
            let mut chunk = Chunk { rows, heads, tile: None, end, size, origin: &checkpoint.origin };
            self.chunk(source, from..end, &mut chunk, &mut tree, &mut account).await?;
            first = end;
        }
        if !tree.broken {
            self.compare_edge(source, checkpoint, &tree).await?;
        }
        let beyond = self.told_of(Step::Consistency, source.kept_heads(size, u64::MAX).await)?;
        self.heads_beyond(checkpoint, beyond);
        self.latest_us = account.latest_us();
        self.is_read_to_the_end = account.last() == size;
        account.settle(&mut self.counts, &mut self.findings);
        Ok(())
    }

    /// The entries of a chunk. Where one bundle of them is broken, the others are read nevertheless.
    async fn rows<S: Source>(
        &mut self,
        source: &mut S,
        first: u64,
        end: u64,
        size: u64,
    ) -> Result<Vec<Stored>, SourceError> {
        if first >= end {
            return Ok(Vec::new());
        }
        if let Ok(rows) = source.entries(first, end, size).await {
            return Ok(rows);
        }
        let mut rows = Vec::new();
        let mut from = first;
        while from < end {
            let to = (from + WIDTH).min(end);
            match source.entries(from, to, size).await {
                Ok(some) => rows.extend(some),
                Err(error) => self.unreadable(Step::Entries, error)?,
            }
            from = to;
        }
        Ok(rows)
    }

    async fn chunk<S: Source>(
        &mut self,
        source: &mut S,
        range: Range<u64>,
        chunk: &mut Chunk<'_>,
        tree: &mut Tree,
        account: &mut Account,
    ) -> Result<(), SourceError> {
        for index in range {
            let seq = index + 1;
            if index % WIDTH == 0 || chunk.tile.is_none() {
                chunk.tile = Some(match Tile::of_tree(0, index / WIDTH, chunk.size) {
                    Some(tile) => self.tile(source, tile).await?.unwrap_or_default(),
                    None => Vec::new(),
                });
            }
            let position = usize::try_from(index % WIDTH).unwrap_or_default();
            let in_tile = chunk.tile.as_ref().and_then(|tile| tile.get(position)).copied();
            while chunk.rows.pop_front_if(|row| row.seq < seq).is_some() {}
            let row = chunk.rows.pop_front_if(|row| row.seq == seq);
            let in_entry = row.as_ref().map(|row| row.own);
            let Some(hash) = in_tile.or(in_entry) else {
                self.findings.violation(
                    Step::Entries,
                    range_name(seq, seq),
                    "neither the entry nor its hash is there; what follows cannot be compared",
                );
                tree.broken = true;
                return Ok(());
            };
            match row {
                Some(row) => {
                    if let Some(leaf) = self.entry(row, hash, tree, account) {
                        let view = leaf.view();
                        self.compare_instant(seq, view);
                        if let Some(restore) = self.restores.take(seq, view).cloned() {
                            let reach = (chunk.end, chunk.size);
                            let behind = self.next_name(source, &chunk.heads, reach, chunk.origin).await?;
                            let before = self.signed_as.as_ref().map(KeyName::as_str);
                            if behind.is_some_and(|behind| restore.changes_name(before, behind.as_str())) {
                                account.restore(seq);
                            }
                        }
                        if view.action() == Action::SweepPage.as_str() {
                            self.page(source, seq, view).await?;
                        }
                    }
                }
                None => account.miss(seq),
            }
            for tile in tree.push(hash, in_entry.unwrap_or(hash)) {
                // Those of level 0 are where the hashes came from.
                if tile.level > 0 {
                    self.compare_tile(source, &tile).await?;
                }
            }
            while let Some(head) = chunk.heads.pop_front_if(|head| head.size == tree.main.size()) {
                account.absences.meet(head.size, &head.name, head.time_secs());
                let is_all_read = self.plan.since == 0 && account.absences.is_empty();
                self.compare_head(&head, tree, account.latest_us(), is_all_read);
                if head.name.is_empty() {
                    self.signed_as = Some(head.signed_as);
                }
            }
        }
        Ok(())
    }

    /// Tells what is wrong with one entry: against its leaf in the tree, its columns, and the form that entries have.
    fn entry(
        &mut self,
        row: Examined,
        hash: Hash,
        tree: &mut Tree,
        account: &mut Account,
    ) -> Option<LeafBytes> {
        self.counts.entries += 1;
        let Examined { seq, own, leaf, different_column } = row;
        let place = || range_name(seq, seq);
        if own != hash {
            tree.diverge();
            self.findings.violation(
                Step::Entries,
                place(),
                "its bytes do not hash to the leaf that stands in the tree: entry or tile was changed",
            );
        }
        match leaf {
            Ok(leaf) => {
                if let Some(column) = different_column {
                    let what = format!("the column {column} is not what the entry's bytes say");
                    self.findings.violation(Step::Columns, place(), what);
                }
                account.take(seq, leaf.view(), own, &mut self.findings);
                if let Some(wanted) = &mut self.wanted {
                    wanted.take(seq, leaf.view(), own, &account.erasures);
                }
                return Some(leaf);
            }
            // A change of the bytes was told already.
            Err(_) if own != hash => {}
            Err(LeafError::Json) => self.findings.undecided(
                Step::Entries,
                place(),
                "it is of a form that this program does not know; verify with the version that wrote it",
            ),
            Err(error) => self.findings.violation(Step::Entries, place(), told(&error)),
        }
        None
    }

    /// Compares the commitments beside a page of a sweep with the root in its entry.
    async fn page<S: Source>(
        &mut self,
        source: &mut S,
        seq: u64,
        leaf: LeafView<'_>,
    ) -> Result<(), SourceError> {
        let leaf = leaf.to_leaf();
        let stored = match source.manifest(leaf.id).await? {
            ManifestOf::Elsewhere => return Ok(()),
            ManifestOf::Missing => None,
            ManifestOf::Kept(commitments) => Some(commitments),
        };
        if let Some(Err(what)) = manifest::check_page(&leaf, stored.as_deref()) {
            self.findings.violation(Step::Manifests, range_name(seq, seq), what);
        }
        Ok(())
    }

    /// A missing thing leaves the question open, a malformed one answers it; anything else ends the run.
    fn unreadable(&mut self, step: Step, error: SourceError) -> Result<(), SourceError> {
        match error {
            SourceError::Missing { place } => self.findings.undecided(step, place, "it is not there"),
            SourceError::Malformed { place, reason } => self.findings.violation(step, place, reason),
            other => return Err(other),
        }
        Ok(())
    }

    /// What was read, or nothing and a finding.
    fn told_of<T: Default>(&mut self, step: Step, read: Result<T, SourceError>) -> Result<T, SourceError> {
        match read {
            Ok(read) => Ok(read),
            Err(error) => self.unreadable(step, error).map(|()| T::default()),
        }
    }

    fn level(&mut self, head: &Head) -> Level {
        if self.plan.policy.asks_for_witnesses() && self.witness.heads == 0 {
            self.findings.undecided(
                Step::Head,
                "checkpoint",
                "no head has the signatures of the witnesses that the policy asks for",
            );
        }
        self.counts.witnessed_heads = self.witness.heads;
        self.counts.stamped_heads = self.stamps.heads;
        if self.unchecked_stamps > 0 {
            let what = format!(
                "{} heads have a time-stamp that was not checked: name whom you trust with --timestamp-authority",
                self.unchecked_stamps
            );
            self.findings.remark(Step::Stamps, "time-stamps", what);
        }
        if !head.signed {
            return Level::L0;
        }
        if self.witness.heads == 0 {
            return if self.protected_up_to > 0 { Level::L2 } else { Level::L1 };
        }
        // A head of the auditor's own that is newer says neither that nobody was shown another log, nor when.
        self.protected_up_to = self.witness.size;
        match self.bounding(head.checkpoint.size) {
            Some(times) => {
                self.protected_up_to = times.size.min(self.witness.size);
                self.timed_from = Some(times.first_size);
                Level::L4
            }
            None => Level::L3,
        }
    }

    /// The times of others that bound the log of so many entries up to its end. Where one of both series contradicts the
    /// entries, none does.
    fn bounding(&self, size: u64) -> Option<Times> {
        let all = [self.witness, self.stamps];
        if all.iter().any(|times| times.contradicted) {
            return None;
        }
        let end_us = self.is_read_to_the_end.then_some(self.latest_us);
        let bounding = all.into_iter().filter(|times| times.bound(size, end_us));
        bounding.min_by_key(|times| times.first_size)
    }

    fn report(self, source: String, checkpoint: Option<&Checkpoint>, level: Level) -> Report {
        let verdict = self.findings.verdict();
        let size = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        let (level, still_possible) = if verdict == Verdict::Violation {
            (
                Level::L0,
                "The log is not what was signed: rely on no entry before each finding is explained."
                    .to_owned(),
            )
        } else {
            let possible = level.still_possible(self.protected_up_to, size, self.timed_from);
            (level, if self.has_erasable { possible + UNBOUND } else { possible })
        };
        let (findings, more_findings) = self.findings.into_parts();
        let unread = size.saturating_sub(self.counts.entries);
        Report {
            source,
            origin: checkpoint.map(|checkpoint| checkpoint.origin.to_string()),
            size,
            root: checkpoint.map(|checkpoint| checkpoint.root.to_string()),
            since: self.plan.since,
            verdict,
            level,
            still_possible,
            catalogue_checked: self.catalogue_checked,
            counts: self.counts,
            case: self.wanted.map(|wanted| wanted.into_report(unread)),
            findings,
            more_findings,
        }
    }
}

/// The cases of which it matters in these entries whether their commitment can still be opened.
fn committed_cases(rows: &VecDeque<Examined>) -> CommittedCases {
    let mut committed = CommittedCases::default();
    for leaf in rows.iter().filter_map(|row| row.leaf.as_ref().ok().map(LeafBytes::view)) {
        let concerns = leaf.subject_c().is_some() || leaf.action() == Action::LogRedact.as_str();
        if let (true, Some(organisation), Some(case)) = (concerns, leaf.tenant(), leaf.case()) {
            committed.organisations.push(organisation.to_owned());
            committed.cases.push(case);
        }
    }
    committed
}

/// What is needed while one chunk is gone through.
struct Chunk<'c> {
    rows: VecDeque<Examined>,
    heads: VecDeque<Known>,
    /// The tile of level 0 that the next entry belongs to; empty where it is missing.
    tile: Option<Vec<Hash>>,
    /// The number of its last entry, and of the log's.
    end: u64,
    size: u64,
    /// The name that the log has now.
    origin: &'c KeyName,
}
