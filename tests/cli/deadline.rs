//! `dsrd deadline`, which needs no configuration and no database.

use crate::program::{Finished, dsrd, run};

fn ask(arguments: &str) -> Finished {
    let arguments: Vec<&str> = ["deadline"].into_iter().chain(arguments.split(' ')).collect();
    run(&mut dsrd(&arguments), "")
}

#[test]
fn e_26_bavaria_keeps_epiphany() {
    let asked = "--regime EU --calendar DE-BY --received 2026-12-06T10:00+01:00";
    let told = ask(&format!("{asked} --json")).expect(0).json();
    for (key, expected) in [
        ("unrolled", "2027-01-06"),
        ("conservative_due", "2027-01-06"),
        ("statutory_due", "2027-01-07"),
        ("due_instant", "2027-01-07T23:00:00Z"),
        ("conservative_due_instant", "2027-01-06T23:00:00Z"),
        ("time_zone", "Europe/Berlin"),
    ] {
        assert_eq!(told[key], expected, "{key}: {told:#}");
    }
    let told = ask(asked).expect(0).stdout;
    assert!(told.contains("statutory     2027-01-07 Thursday"), "{told}");
    assert!(
        told.contains("- moved to the next working day of DE-BY, Thu 2027-01-07: Wed 2027-01-06 is Epiphany"),
        "{told}"
    );
}

#[test]
fn e_37_and_e_34_pauses_and_extensions_are_options() {
    let paused = "--regime EU-suspend --calendar DE --received 2026-03-02 --pause identity:2026-03-03..2026-03-10 --json";
    assert_eq!(ask(paused).expect(0).json()["statutory_due"], "2026-04-09");
    let extended = "--calendar DE --received 2026-03-05 --json";
    assert_eq!(ask(&format!("{extended} --extended")).expect(0).json()["statutory_due"], "2026-06-05");
    ask(&format!("{extended} --extension-notice 2026-04-07")).expect(0);
    let late = ask(&format!("{extended} --extension-notice 2026-04-08")).expect(5);
    assert!(late.stderr.contains("the first term had ended on 2026-04-07"), "{late:?}");
}

#[test]
fn e_45_and_e_46_incidents_and_retention_periods() {
    let told = ask("--aware 2026-10-02T16:20+02:00 --time-zone Europe/Berlin --json").expect(0).json();
    assert_eq!(told["due_local"], "2026-10-05T16:20:00+02:00");
    let told = ask("--retention 12m --anchor 2024-02-29 --json").expect(0).json();
    assert_eq!((&told["last_day"], &told["erase_from"]), (&"2025-02-28".into(), &"2025-03-01".into()));
}

#[test]
fn what_cannot_be_told_is_one_sentence_with_the_remedy() {
    for (arguments, code, words) in [
        ("--calendar DE-XX --received 2026-03-02", 2, "there is no calendar 'DE-XX': use one of"),
        ("--regime XX --calendar DE --received 2026-03-02", 2, "there is no regime 'XX': use one of"),
        ("--received 2026-03-02", 2, "regime EU needs a calendar of public holidays"),
        ("--calendar DE --received 2031-03-02", 5, "not of 2031: add the year to its file"),
        ("--calendar DE --received soon", 2, "'soon' is no point in time"),
        ("--retention 12 --anchor 2024-02-29", 2, "'12' is no period"),
    ] {
        let finished = ask(arguments).expect(code);
        assert!(finished.stderr.contains(words) && finished.stderr.lines().count() == 1, "{finished:?}");
        assert!(finished.stdout.is_empty(), "{finished:?}");
    }
    for arguments in
        ["--calendar DE", "--retention 12m", "--calendar DE --received 2026-03-02 --pause identity:soon"]
    {
        ask(arguments).expect(2);
    }
}
