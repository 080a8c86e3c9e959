//! What the log says of restores, and which heads from before one they explain.
//!
//! A log that goes on from an older copy of its database does so under a new name (`audit::sealer::fork`), and its first entry
//! then, `log.restored`, says which name it had. A head that was signed under a former name agrees as far as the copy reached.
//! One that reaches further cannot: the entries that the copy lacked are lost. It is excused by an entry `log.restored` among
//! those that it would cover, and only if the part of the log at its size has a later name than the head has: where that part
//! still has the head's own name, no copy came between, and the head must agree.

use crate::audit::event::Action;
use crate::audit::leaf::LeafView;
use crate::audit::sealer::is_former_name;

/// An entry `log.restored`.
#[derive(Clone, Debug)]
pub(super) struct Restore {
    /// Its number in the log.
    seq: u64,
    /// The name of what was lost: the one that the log had until then, or a later one that was published under.
    former: String,
    /// The name that the copy had, where that is an older one.
    copy: Option<String>,
}

impl Restore {
    /// The name of the part of the log before it.
    fn name_before(&self) -> &str {
        self.copy.as_deref().unwrap_or(&self.former)
    }

    /// Whether the log got another name with it: `before` is the name under which the last of its own heads before it was signed,
    /// where there is one, `behind` that of the next one behind it. Whoever may write into the inbox can have such an entry sealed,
    /// and no head under another name.
    pub(super) fn changes_name(&self, before: Option<&str>, behind: &str) -> bool {
        before.is_none_or(|before| before == self.name_before()) && is_former_name(&self.former, behind)
    }
}

/// All of them, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Restores(Vec<Restore>);

/// What a head of a former name that does not agree means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The log parted from it with the restore that this entry tells of: what the copy lacked is lost.
    Told(u64),
    /// A restore may explain it. No entry that is here says so.
    Untold,
    /// No restore explains it.
    Unexplained,
}

impl Restores {
    /// Takes note of an entry; answers with the restore that it tells of.
    pub(super) fn take(&mut self, seq: u64, leaf: LeafView<'_>) -> Option<&Restore> {
        if leaf.action() != Action::LogRestored.as_str() {
            return None;
        }
        // The sealer writes it as the first one behind those that the copy has. What somebody else had sealed among others
        // mostly says something else.
        let kept = leaf.detail_number("kept").and_then(|kept| u64::try_from(kept).ok());
        if kept.and_then(|kept| kept.checked_add(1)) != Some(seq) {
            return None;
        }
        let former = leaf.detail_word("former_origin")?;
        let copy = leaf.detail_word("copy_origin").filter(|copy| is_former_name(copy, former));
        self.0.push(Restore { seq, former: former.to_owned(), copy: copy.map(str::to_owned) });
        self.0.last()
    }

    /// What it means that a head of `size` entries, signed under the name `former`, does not agree with the log of the name
    /// `present`. `is_all_read`: whether every entry was there that the head would cover.
    pub(super) fn judge(&self, former: &str, size: u64, present: &str, is_all_read: bool) -> Parting {
        let plausible = || self.0.iter().filter(|restore| is_former_name(&restore.former, present));
        // Names only become greater: the part at that size has no later one than any restore behind it found.
        let behind = || plausible().filter(|restore| restore.seq > size);
        let of_part = behind().map(Restore::name_before).min().unwrap_or(present);
        if !is_former_name(former, of_part) {
            // The head's name may have come and gone outside of this log, which goes on from an older copy: then it is lost as a
            // whole. Not so where the part still has that name, which a restore before it tells.
            let is_lost_by = |restore: &&Restore| {
                restore.copy.as_deref().is_some_and(|copy| {
                    let is_of_here = |before: &Restore| before.seq <= size && before.former.as_str() >= copy;
                    copy < former && former <= restore.former.as_str() && !plausible().any(is_of_here)
                })
            };
            return behind()
                .find(is_lost_by)
                .map_or(Parting::Unexplained, |restore| Parting::Told(restore.seq));
        }
        let mut before = plausible().filter(|restore| restore.seq <= size).peekable();
        let is_any = before.peek().is_some();
        // The first one that the head's own log, or one that came after it, was left with.
        match before.find(|restore| restore.former.as_str() >= former) {
            Some(restore) => Parting::Told(restore.seq),
            None if is_any || !is_all_read => Parting::Untold,
            None => Parting::Unexplained,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "a.example/log";
    const SECOND: &str = "a.example/log/restored-20261123120000";
    const THIRD: &str = "a.example/log/restored-20261124120000";

    fn restores(told: &[(u64, &str)]) -> Restores {
        let restore = |&(seq, former): &(u64, &str)| Restore { seq, former: former.to_owned(), copy: None };
        Restores(told.iter().map(restore).collect())
    }

    #[test]
    fn f_26_a_head_is_excused_by_a_restore_of_its_own_log_and_by_no_other() {
        let twice = restores(&[(1_001, FIRST), (9_000, SECOND)]);
        let judged = |former, size| twice.judge(former, size, THIRD, true);
        assert_eq!(judged(FIRST, 5_000), Parting::Told(1_001));
        assert_eq!(judged(FIRST, 1_001), Parting::Told(1_001));
        // As far as the copy reached nothing excuses a difference.
        assert_eq!(judged(FIRST, 1_000), Parting::Unexplained);
        assert_eq!(judged(SECOND, 5_000), Parting::Unexplained);
        assert_eq!(judged(SECOND, 9_100), Parting::Told(9_000));
        // The second copy was older than the first restore, of which the log then knows nothing.
        let older = restores(&[(901, FIRST)]);
        assert_eq!(older.judge(SECOND, 2_000, THIRD, true), Parting::Untold);
        assert_eq!(older.judge(FIRST, 2_000, THIRD, true), Parting::Told(901));
        assert_eq!(restores(&[]).judge(FIRST, 2_000, SECOND, true), Parting::Unexplained);
        // An entry that somebody put in between explains nothing: the real one behind tells the name of that part.
        for planted in [FIRST, SECOND, "another.example/log", "a.example/log/restored-99991231000000"] {
            let with = restores(&[(1_001, FIRST), (4_000, planted), (6_000, planted), (9_000, SECOND)]);
            assert_eq!(with.judge(SECOND, 5_000, THIRD, true), Parting::Unexplained, "{planted}");
        }
    }

    #[test]
    fn f_13_a_restore_counts_for_writers_where_the_log_changed_its_name_with_it() {
        let of = |former: &str, copy: Option<&str>| Restore {
            seq: 1_001,
            former: former.to_owned(),
            copy: copy.map(str::to_owned),
        };
        assert!(
            of(FIRST, None).changes_name(Some(FIRST), SECOND) && of(FIRST, None).changes_name(None, SECOND)
        );
        // A copy from before an earlier restore.
        assert!(of(SECOND, Some(FIRST)).changes_name(Some(FIRST), THIRD));
        // Put in where the name stays, before a restore or behind one.
        for (before, behind) in [(FIRST, FIRST), (SECOND, SECOND)] {
            for former in [FIRST, SECOND] {
                assert!(!of(former, None).changes_name(Some(before), behind), "{former}: {before}, {behind}");
            }
        }
        assert!(!of(FIRST, None).changes_name(Some(SECOND), THIRD));
        assert!(!of(FIRST, None).changes_name(Some(FIRST), "another.example/log"));
    }

    #[test]
    fn f_26_a_log_that_came_and_went_outside_of_the_copy_is_lost_as_a_whole() {
        // The first copy went on as the second log; a later copy of the first log was restored then, and knows nothing of it.
        let copied =
            Restores(vec![Restore { seq: 351, former: SECOND.to_owned(), copy: Some(FIRST.to_owned()) }]);
        assert_eq!(copied.judge(SECOND, 320, THIRD, true), Parting::Told(351));
        assert_eq!(copied.judge(SECOND, 391, THIRD, true), Parting::Told(351));
        assert_eq!(copied.judge(FIRST, 400, THIRD, true), Parting::Told(351));
        // The part before has the name of the first log: it must agree, whatever is not there.
        for is_all_read in [true, false] {
            assert_eq!(copied.judge(FIRST, 320, THIRD, is_all_read), Parting::Unexplained);
        }
        // A part that is of the second log itself, which the restore before it tells, is excused by nothing planted behind.
        let planted = Restore { seq: 500, former: SECOND.to_owned(), copy: Some(FIRST.to_owned()) };
        let real = Restore { seq: 301, former: FIRST.to_owned(), copy: None };
        assert_eq!(Restores(vec![real, planted]).judge(SECOND, 400, THIRD, true), Parting::Unexplained);
    }

    #[test]
    fn f_26_where_entries_are_not_there_a_restore_may_have_been_told_in_them() {
        assert_eq!(restores(&[]).judge(FIRST, 2_000, SECOND, false), Parting::Untold);
        // But not where the part of the log still has the head's name.
        assert_eq!(restores(&[(3_000, FIRST)]).judge(FIRST, 2_000, SECOND, false), Parting::Unexplained);
    }
}
