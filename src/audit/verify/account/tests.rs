use chrono::DateTime;
use zeroize::Zeroizing;

use super::super::report::{Finding, Severity};
use super::writers::{APPEARANCE_PATIENCE_US, VOID, WRITER_PATIENCE_US};
use super::*;
use crate::audit::leaf::{DetailValue, Leaf, LeafBytes};
use crate::audit::tlog::{SessionKey, leaf_hash};
use crate::audit::writer::{Account as Stated, Summary};
use crate::domain::{Clock as _, SystemClock};

fn leaf(action: &str) -> Leaf {
    let text = r#"{"action":"a.b","actor":"process:test","at_us":1,"detail":{},"id":"0193d3e0-0000-7000-8000-000000000000","v":1}"#;
    let leaf = Leaf::parse(text.as_bytes()).unwrap();
    Leaf { action: action.to_owned(), id: Uuid::now_v7(), ..leaf }
}

fn written(number: u64) -> Leaf {
    Leaf { w: Some("00000000000000aa".to_owned()), n: Some(number), ..leaf("request.read") }
}

fn with_range(leaf: Leaf, first: i64, last: i64) -> Leaf {
    let range = [("first", first), ("last", last)];
    let detail = range.map(|(key, number)| (key.to_owned(), DetailValue::Number(number)));
    Leaf { detail: detail.into(), ..leaf }
}

/// What is found in a log of these entries, `None` for one that is gone.
fn found(entries: impl IntoIterator<Item = Option<Leaf>>) -> (u64, u64, Vec<Finding>) {
    found_in(begun(false), entries)
}

/// Of a log that nobody writes into, read now; `partial`: from the middle on.
fn begun(partial: bool) -> Account {
    let now = DateTime::UNIX_EPOCH;
    Account::new(partial, Absences::new(now, false), now, false)
}

/// A place of files, which may lack entries.
fn begun_on_files() -> Account {
    let now = DateTime::UNIX_EPOCH;
    Account::new(false, Absences::new(now, true), now, false)
}

fn found_in(
    mut account: Account,
    entries: impl IntoIterator<Item = Option<Leaf>>,
) -> (u64, u64, Vec<Finding>) {
    let mut findings = Findings::default();
    for (entry, seq) in entries.into_iter().zip(1..) {
        match entry {
            Some(leaf) => {
                let bytes = LeafBytes::of(leaf.to_bytes().into()).unwrap();
                account.take(seq, bytes.view(), leaf_hash(&leaf.to_bytes()), &mut findings);
            }
            None => account.miss(seq),
        }
    }
    let mut counts = Counts::default();
    account.settle(&mut counts, &mut findings);
    (counts.authorised_absences, counts.open_effects, findings.into_parts().0)
}

#[test]
fn an_effect_has_one_beginning_and_one_end() {
    let began = leaf("deletion.began");
    let ended = Leaf { intent: Some(began.id), ..leaf("deletion.ended") };
    let (_, open, findings) = found([&began, &ended].map(|leaf| Some(leaf.clone())));
    assert!(open == 0 && findings.is_empty(), "{findings:?}");
    let (_, _, twice) = found([&began, &ended, &ended].map(|leaf| Some(leaf.clone())));
    assert_eq!((twice[0].severity, twice[0].place.as_str()), (Severity::Violation, "entry 3"));
    let (_, open, under_way) = found([Some(began.clone())]);
    assert_eq!((open, under_way[0].severity), (1, Severity::Remark));
    let later = Leaf { at_us: EFFECT_PATIENCE_US + 2, ..leaf("request.read") };
    let (_, _, lost) = found([Some(began), Some(later)]);
    assert_eq!((lost[0].severity, lost[0].place.as_str()), (Severity::Undecided, "entry 1"));
}

#[test]
fn a_writer_accounts_for_each_of_its_numbers() {
    let (_, _, findings) = found([1, 3, 2, 4].map(|number| Some(written(number))));
    assert!(findings.is_empty(), "the order of sealing is another: {findings:?}");
    let (_, _, findings) = found([1, 2, 5].map(|number| Some(written(number))));
    assert_eq!(findings[0].severity, Severity::Undecided);
    assert!(findings[0].what.contains("entries 3 to 4"), "{findings:?}");
    let void = with_range(Leaf { action: VOID.to_owned(), ..written(5) }, 3, 4);
    let (_, _, findings) = found([Some(written(1)), Some(written(2)), Some(void)]);
    assert!(findings.is_empty(), "{findings:?}");
    let (_, _, findings) = found([1, 2, 2].map(|number| Some(written(number))));
    assert_eq!((findings[0].severity, findings[0].place.as_str()), (Severity::Violation, "entry 3"));
}

#[test]
fn an_entry_without_a_number_stands_in_the_log_once() {
    let beat = leaf("log.heartbeat");
    let (_, _, findings) = found([&beat, &leaf("log.heartbeat")].map(|leaf| Some(leaf.clone())));
    assert!(findings.is_empty(), "{findings:?}");
    let (_, _, findings) = found([&beat, &beat].map(|leaf| Some(leaf.clone())));
    assert_eq!((findings[0].severity, findings[0].place.as_str()), (Severity::Violation, "entry 2"));
    assert!(findings[0].what.contains("the id of entry 1"), "{findings:?}");
    // Beside writers, also of what should have a number.
    let stranger = leaf("request.read");
    let (_, _, findings) = found([&written(1), &stranger, &stranger].map(|leaf| Some(leaf.clone())));
    assert!(findings.iter().any(|each| each.place == "entry 3"), "{findings:?}");
}

#[test]
fn an_account_is_compared_with_what_is_there() {
    const NAME: &str = "00000000000000aa";
    let key = SessionKey::from_seed(&Zeroizing::new([7; 32]));
    let other = SessionKey::from_seed(&Zeroizing::new([8; 32]));
    let mut start = Leaf { action: Action::WriterStart.as_str().to_owned(), ..written(1) };
    start.detail.insert("key".to_owned(), DetailValue::Word(key.public()));
    let entries = [start, written(2), written(3)];
    let account = |number, first: u64, last: u64, leaves: &[Leaf], key: &SessionKey| {
        let mut summary = Summary::default();
        for leaf in leaves {
            summary.take(&leaf_hash(&leaf.to_bytes()).0);
        }
        let stated = Stated { first, last, sha256: summary.finish() };
        let detail = stated.detail(NAME, key).into_values();
        Leaf { action: Action::WriterAccount.as_str().to_owned(), detail, ..written(number) }
    };
    let what = |entries: &[Leaf]| {
        let (_, _, findings) = found(entries.iter().cloned().map(Some));
        findings.into_iter().map(|finding| (finding.severity, finding.what)).collect::<Vec<_>>()
    };
    let says = |entries: &[Leaf], part: &str| {
        let found = what(entries);
        assert!(
            found.iter().any(|(severity, what)| *severity == Severity::Violation && what.contains(part)),
            "{found:?}"
        );
    };
    let [one, two, three] = entries.clone();
    let good = account(4, 1, 3, &entries, &key);
    assert!(what(&[one.clone(), two.clone(), three.clone(), good.clone()]).is_empty());
    // The order of sealing is another one.
    assert!(what(&[two.clone(), one.clone(), three.clone(), good.clone()]).is_empty());
    says(&[one.clone(), three.clone(), good.clone()], "accounts for its entries 2 to 2 as committed");
    says(&[one.clone(), written(2), three.clone(), good], "not those that it accounts for");
    let stranger = account(4, 1, 3, &entries, &other);
    says(&[one.clone(), two.clone(), three.clone(), stranger], "not signed by the key");
    let leap = account(4, 2, 3, &entries[1..], &key);
    says(&[one.clone(), two.clone(), three.clone(), leap], "had accounted for those up to 0");
    let early = account(3, 1, 3, &entries, &key);
    says(&[one, two, early], "had accounted for those up to 0");
}

#[test]
fn a_writer_that_began_before_what_is_there_is_not_accused() {
    const NAME: &str = "00000000000000aa";
    let key = SessionKey::from_seed(&Zeroizing::new([7; 32]));
    let stated = Stated { first: 4990, last: 5002, sha256: Summary::default().finish() };
    let detail = stated.detail(NAME, &key).into_values();
    let account = Leaf { action: Action::WriterAccount.as_str().to_owned(), detail, ..written(5003) };
    let later = Leaf { at_us: WRITER_PATIENCE_US + 2, ..leaf("log.heartbeat") };
    // A run from the middle meets number 5002 first; 5001 was sealed after it, and its start lies before.
    let since = || begun(true);
    let entries = [written(5002), written(5001), account.clone(), later.clone()];
    let (_, _, findings) = found_in(since(), entries.map(Some));
    assert!(findings.iter().all(|each| each.severity == Severity::Remark), "{findings:?}");
    assert!(findings[0].what.contains("begins with its number 5002"), "{findings:?}");
    // The same behind what was pruned: only the absence itself is told here, which nothing allows.
    let (_, _, findings) =
        found([None, Some(written(5002)), Some(written(5001)), Some(account), Some(later.clone())]);
    let worse = findings.iter().filter(|each| each.severity > Severity::Remark);
    assert!(
        worse.clone().count() > 0 && worse.into_iter().all(|each| each.step == Step::Absence),
        "{findings:?}"
    );
    // A number that was there is not used again.
    let (_, _, findings) = found_in(since(), [5002, 5003, 5003].map(|number| Some(written(number))));
    assert_eq!((findings[0].severity, findings[0].place.as_str()), (Severity::Violation, "entry 3"));
    // One that begins where it can be seen announces itself.
    let (_, _, findings) = found_in(since(), [written(1), later].map(Some));
    assert!(findings.iter().any(|each| each.what.contains("never announced itself")), "{findings:?}");
}

#[test]
fn silence_is_told_in_a_log_that_has_a_heartbeat() {
    let at = |action: &str, minutes: u64| Some(Leaf { at_us: 1 + minutes * 60_000_000, ..leaf(action) });
    let (_, _, findings) = found([at("log.heartbeat", 0), at("log.heartbeat", 10), at("request.read", 100)]);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Remark));
    assert!(findings[0].what.contains("90 minutes"), "{findings:?}");
    assert!(found([at("request.read", 0), at("request.read", 100)]).2.is_empty());
}

const NAME: &str = "00000000000000aa";

fn key(seed: u8) -> SessionKey {
    SessionKey::from_seed(&Zeroizing::new([seed; 32]))
}

/// The announcement of a writer, under a number.
fn start(number: u64, key: &SessionKey) -> Leaf {
    let mut start = Leaf { action: Action::WriterStart.as_str().to_owned(), ..written(number) };
    start.detail.insert("key".to_owned(), DetailValue::Word(key.public()));
    start
}

/// The account of a writer for others of its numbers, or its last one.
fn accounts(action: Action, number: u64, first: u64, last: u64, key: &SessionKey) -> Leaf {
    let stated = Stated { first, last, sha256: Summary::default().finish() };
    let detail = stated.detail(NAME, key).into_values();
    Leaf { action: action.as_str().to_owned(), detail, ..written(number) }
}

/// What is found of writers behind an entry that was pruned.
fn behind_what_was_pruned(entries: &[&Leaf]) -> Vec<Finding> {
    let (_, _, findings) = found([None].into_iter().chain(entries.iter().map(|leaf| Some((*leaf).clone()))));
    findings.into_iter().filter(|each| each.step == Step::Counters).collect()
}

#[test]
fn an_entry_in_the_name_of_a_writer_that_began_before_is_found_once_it_has_accounted() {
    let (first, seventeen) = (written(5000), written(17));
    let stop = accounts(Action::WriterStop, 5002, 4990, 5001, &key(7));
    let told = behind_what_was_pruned(&[&first, &written(5001), &stop, &seventeen]);
    assert_eq!((told[0].severity, told[0].place.as_str()), (Severity::Violation, "entry 5"), "{told:?}");
    assert!(told[0].what.contains("used its number 17 a second time"), "{told:?}");
    // As long as it has not accounted for anything a smaller number may be sealed late; when it has ended, hardly.
    let told = behind_what_was_pruned(&[&first, &seventeen]);
    assert!(told.len() == 1 && told[0].severity == Severity::Remark, "{told:?}");
    let ended = leaf(Action::WriterEnded.as_str());
    let ended = Leaf { detail: [("writer".to_owned(), DetailValue::Word(NAME.to_owned()))].into(), ..ended };
    let told = behind_what_was_pruned(&[&first, &ended, &seventeen]);
    assert!(told[0].severity == Severity::Undecided && told[0].what.contains("had ended"), "{told:?}");
}

#[test]
fn an_account_that_ends_before_what_is_there_says_nothing_of_the_next_one() {
    // Numbers 6 to 8 were under way when number 9 accounted for those up to 5, and were sealed before it: they are not here.
    let ours = key(7);
    let first = accounts(Action::WriterAccount, 9, 1, 5, &ours);
    let next = accounts(Action::WriterAccount, 11, 6, 10, &ours);
    let told = behind_what_was_pruned(&[&first, &written(10), &next]);
    assert!(told.iter().all(|each| each.severity != Severity::Violation), "{told:?}");
    // The one after that covers what is here only, and is compared.
    let wrong = accounts(Action::WriterAccount, 13, 11, 12, &ours);
    let told = behind_what_was_pruned(&[&first, &written(10), &next, &written(12), &wrong]);
    assert!(told.iter().any(|each| each.what.contains("are not those that it accounts for")), "{told:?}");
}

#[test]
fn a_writer_that_appears_long_after_the_first_entry_that_is_there_is_undecided() {
    let beat = leaf("log.heartbeat");
    let at = |number: u64, at_us: u64| Leaf { at_us, ..written(number) };
    let soon = behind_what_was_pruned(&[&beat, &at(2, APPEARANCE_PATIENCE_US)]);
    assert!(soon.len() == 1 && soon[0].severity == Severity::Remark, "{soon:?}");
    let late = behind_what_was_pruned(&[&beat, &at(2, APPEARANCE_PATIENCE_US + 2)]);
    assert_eq!((late.len(), late[0].severity), (1, Severity::Undecided), "{late:?}");
    assert!(late[0].what.contains("somebody invented it"), "{late:?}");
    // Its own date does not help it: that of the others counts.
    let now = Leaf { at_us: APPEARANCE_PATIENCE_US + 2, ..leaf("request.read") };
    let dated = behind_what_was_pruned(&[&beat, &now, &at(2, 1)]);
    assert!(dated.iter().any(|each| each.severity == Severity::Undecided), "{dated:?}");
    // One whose first number is sealed a little after the second has announced itself, and accounts from there on.
    let late = APPEARANCE_PATIENCE_US + 2;
    let (two, one) = (at(2, late), Leaf { at_us: late, ..start(1, &key(7)) });
    let stop = Leaf { at_us: late, ..accounts(Action::WriterStop, 3, 1, 2, &key(7)) };
    assert!(behind_what_was_pruned(&[&beat, &two, &one, &stop]).is_empty());
}

#[test]
fn the_accounts_of_a_writer_that_began_before_are_not_measured_by_a_key_that_somebody_put_in() {
    let (ours, thiefs) = (key(7), key(8));
    let account = accounts(Action::WriterAccount, 5001, 4990, 5000, &ours);
    let next = accounts(Action::WriterAccount, 5003, 5001, 5002, &ours);
    let planted = start(17, &thiefs);
    // Before its first account that is there: one contradiction, which blames neither.
    let told = behind_what_was_pruned(&[&written(5000), &planted, &account]);
    let bad: Vec<_> = told.iter().filter(|each| each.severity == Severity::Violation).collect();
    assert!(bad.len() == 1 && bad[0].what.contains("entry 3 announces"), "{told:?}");
    assert!(bad[0].what.contains("one of both is somebody else's"), "{told:?}");
    // Behind it: the announcement is the one that cannot be.
    let told = behind_what_was_pruned(&[&written(5000), &account, &start(5002, &thiefs), &next]);
    let bad: Vec<_> = told.iter().filter(|each| each.severity == Severity::Violation).collect();
    assert!(bad[0].place == "entry 4" && bad[0].what.contains("after it has accounted"), "{told:?}");
    assert!(!bad.iter().any(|each| each.what.contains("not signed by the key")), "{told:?}");
}

#[test]
fn accounts_behind_a_gap_in_a_place_of_files_are_not_held_against_anybody() {
    let ours = key(7);
    let later = Leaf { at_us: WRITER_PATIENCE_US + 2, ..leaf("log.heartbeat") };
    let entries = [
        Some(start(1, &ours)),
        Some(written(2)),
        None,
        Some(written(9)),
        Some(accounts(Action::WriterAccount, 10, 5, 9, &ours)),
        Some(accounts(Action::WriterStop, 11, 10, 10, &ours)),
        Some(later),
    ];
    let (_, _, findings) = found_in(begun_on_files(), entries.clone());
    let bad: Vec<_> = findings.iter().filter(|each| each.severity == Severity::Violation).collect();
    // The last account is one of nothing, so that it is told that it does not fit; the one over the gap fits.
    assert!(bad.iter().all(|each| each.place == "entry 6"), "{findings:?}");
    let (_, _, in_the_log) = found(entries);
    assert!(in_the_log.iter().any(|each| each.place == "entry 5"), "{in_the_log:?}");
}

#[test]
fn what_is_open_in_a_log_that_is_live_is_judged_by_the_clock() {
    let began = leaf("deletion.began");
    let day = DateTime::from_timestamp(24 * 60 * 60, 0).unwrap();
    let read = |is_live: bool| {
        let account = Account::new(false, Absences::new(day, false), day, is_live);
        let beat = Some(leaf("log.heartbeat"));
        found_in(account, [beat, Some(start(1, &key(7))), Some(written(3)), Some(began.clone())]).2
    };
    let of = |findings: &[Finding], step| {
        findings.iter().filter(|each| each.step == step).map(|each| each.severity).collect::<Vec<_>>()
    };
    let live = read(true);
    assert_eq!(of(&live, Step::Effects), [Severity::Undecided], "{live:?}");
    assert_eq!(of(&live, Step::Counters)[0], Severity::Undecided, "{live:?}");
    let silent = live.iter().find(|each| each.step == Step::Heartbeats).unwrap();
    assert!(silent.what.contains("silent for 1439 minutes"), "{live:?}");
    // Files are of the moment at which they were made.
    let files = read(false);
    assert_eq!(of(&files, Step::Effects), [Severity::Remark], "{files:?}");
    assert_eq!(of(&files, Step::Counters)[0], Severity::Remark, "{files:?}");
    assert!(of(&files, Step::Heartbeats).is_empty(), "{files:?}");
    let account = Account::new(false, Absences::new(day, false), day + chrono::TimeDelta::days(9), false);
    let old = found_in(account, [Some(leaf("request.read"))]).2;
    assert!(old.len() == 1 && old[0].what.contains("9 days old"), "{old:?}");
}

#[test]
fn f_13_a_writer_that_lived_through_a_restore_is_not_accused_of_what_the_copy_lacks() {
    let ours = key(7);
    let restored = leaf(Action::LogRestored.as_str());
    let seen = |entries: &[Leaf], is_renamed: bool| {
        let (mut account, mut findings) = (begun(false), Findings::default());
        for (leaf, seq) in entries.iter().zip(1..) {
            let bytes = LeafBytes::of(leaf.to_bytes().into()).unwrap();
            account.take(seq, bytes.view(), leaf_hash(&leaf.to_bytes()), &mut findings);
            if is_renamed && leaf.action == Action::LogRestored.as_str() {
                account.restore(seq);
            }
        }
        account.settle(&mut Counts::default(), &mut findings);
        findings.into_parts().0
    };
    let bad = |found: &[Finding]| found.iter().filter(|each| each.severity == Severity::Violation).count();
    // Numbers 3 to 8 were written into what is lost, and are accounted for.
    let account = accounts(Action::WriterAccount, 10, 1, 8, &ours);
    let entries = [start(1, &ours), written(2), restored.clone(), written(9), account];
    let told = seen(&entries, true);
    assert!(told.iter().all(|each| each.severity == Severity::Remark), "{told:?}");
    assert!(told[0].what.contains("began before the restore that entry 3 tells of"), "{told:?}");
    // The log went on under its name: nothing explains what is gone.
    assert_eq!(bad(&seen(&entries, false)), 1);
    // What is gone behind the restore is held against it, as ever.
    let account = accounts(Action::WriterAccount, 12, 1, 11, &ours);
    let gone = [start(1, &ours), written(2), restored.clone(), written(9), written(11), account];
    assert_eq!(bad(&seen(&gone, true)), 1);
    // Nor does it excuse a number that is used twice, or another key.
    assert_eq!(bad(&seen(&[start(1, &ours), restored.clone(), written(9), written(9)], true)), 1);
    assert_eq!(bad(&seen(&[start(1, &ours), restored, start(9, &key(8))], true)), 1);
}

#[test]
fn f_28_an_end_that_is_left_over_where_moments_were_mixed_is_undecided_and_names_the_entry() {
    let now_us = u64::try_from(SystemClock.now().timestamp_micros()).unwrap();
    let mixed = Leaf { at_us: now_us, ..leaf("log.mixed") };
    let began = leaf("notice.began");
    let ended = |began: &Leaf| Leaf { intent: Some(began.id), at_us: now_us, ..leaf("notice.ended") };
    let of = |entries: &[&Leaf]| {
        let (_, _, findings) = found(entries.iter().map(|leaf| Some((*leaf).clone())));
        findings.into_iter().filter(|each| each.step == Step::Effects).collect::<Vec<_>>()
    };
    // The log was newer, and had the end; the working tables were newer, and the log lost the beginning.
    let again = of(&[&began, &ended(&began), &mixed, &ended(&began)]);
    let lost = of(&[&mixed, &ended(&began)]);
    for (told, mixed) in [(&again, "see entry 3"), (&lost, "see entry 1")] {
        assert!(told.len() == 1 && told[0].severity == Severity::Undecided, "{told:?}");
        assert!(told[0].what.contains(mixed), "{told:?}");
    }
    // One end is explained, not two, none before it, and none of an effect that came later.
    let twice = of(&[&mixed, &ended(&began), &ended(&began)]);
    assert_eq!(twice.iter().filter(|each| each.severity == Severity::Violation).count(), 1, "{twice:?}");
    assert_eq!(of(&[&ended(&began), &mixed])[0].severity, Severity::Violation);
    let later = Leaf {
        id: Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, now_us / 1_000_000 + 3_600, 0)),
        ..leaf("notice.began")
    };
    assert_eq!(of(&[&mixed, &ended(&later)])[0].severity, Severity::Violation);
}
