//! Counting, without any I/O.

use std::collections::BTreeMap;

use chrono::{Months, NaiveDate};

use super::course::{Course, End};
use super::{Block, Figures, Question, SelfTests, Share, Sweeps};
use crate::domain::{Origin, Outcome};

/// Outcomes after which nobody waits for an answer: the person took the request back, or it was the repetition of another.
const NEEDS_NO_ANSWER: [&str; 2] = [Outcome::Withdrawn.as_str(), Outcome::Superseded.as_str()];

/// Counts the requests of a period. What the log covers is for the caller to say.
#[must_use]
pub fn count(question: &Question, courses: &[Course]) -> Figures {
    let in_period = |course: &&Course| {
        course.origin != Origin::SelfTest && (question.since..question.until).contains(&course.received_on)
    };
    let (sweeps, people): (Vec<&Course>, Vec<&Course>) =
        courses.iter().filter(in_period).partition(|course| course.origin == Origin::Retention);
    let mut kinds: BTreeMap<String, Vec<&Course>> = BTreeMap::new();
    for course in &people {
        kinds.entry(course.kind.clone()).or_default().push(course);
    }
    Figures {
        organisation: question.organisation.clone(),
        since: question.since,
        until: question.until,
        counted_on: question.today,
        all: block(&people, question.today),
        by_kind: kinds.into_iter().map(|(kind, of_kind)| (kind, block(&of_kind, question.today))).collect(),
        sweeps: Sweeps {
            submitted: number(sweeps.len()),
            ended: number(sweeps.iter().filter(|course| course.end.is_some()).count()),
        },
        self_tests: SelfTests::default(),
        covered_since: None,
        dated_by_entry: number(people.iter().filter(|course| course.dated_by_entry).count()),
    }
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The end of a request that was answered.
fn answer(course: &Course) -> Option<&End> {
    course.end.as_ref().filter(|end| !NEEDS_NO_ANSWER.contains(&end.outcome.as_str()))
}

fn block(courses: &[&Course], today: NaiveDate) -> Block {
    let open: Vec<&&Course> = courses.iter().filter(|course| course.end.is_none()).collect();
    let mut outcomes = BTreeMap::new();
    let mut refused_on = BTreeMap::new();
    for course in courses {
        let Some(end) = &course.end else { continue };
        *outcomes.entry(end.outcome.clone()).or_insert(0) += 1;
        if end.outcome == Outcome::Refused.as_str() {
            let ground = course.refused_on.clone().unwrap_or_else(|| "unknown".to_owned());
            *refused_on.entry(ground).or_insert(0) += 1;
        }
    }
    let mut days: Vec<u64> = courses
        .iter()
        .filter_map(|course| Some(days_between(course.received_on, answer(course)?.on)))
        .collect();
    days.sort_unstable();
    Block {
        received: number(courses.len()),
        open: number(open.len()),
        overdue: number(open.iter().filter(|course| course.due_on < today).count()),
        answered: number(days.len()),
        extended: share(
            number(courses.iter().filter(|course| course.extended).count()),
            number(courses.len()),
        ),
        within_1_month: within(courses, 1, today),
        within_3_months: within(courses, 3, today),
        median_days: median(&days),
        p90_days: nearest_rank(&days, 90),
        outcomes,
        refused_on,
    }
}

fn days_between(from: NaiveDate, to: NaiveDate) -> u64 {
    // A receipt that somebody dated later than its answer was answered on the same day.
    u64::try_from((to - from).num_days()).unwrap_or_default()
}

/// How many were answered within so many months, of those of which that can be said.
fn within(courses: &[&Course], months: u32, today: NaiveDate) -> Share {
    let mut counted = (0, 0);
    for course in courses {
        let last = course.received_on.checked_add_months(Months::new(months)).unwrap_or(NaiveDate::MAX);
        match (answer(course), &course.end) {
            (Some(end), _) => {
                counted.0 += u64::from(end.on <= last);
                counted.1 += 1;
            }
            (None, None) if today > last => counted.1 += 1,
            _ => {}
        }
    }
    share(counted.0, counted.1)
}

fn share(count: u64, of: u64) -> Share {
    // In whole tenths of a per cent, so that no binary fraction decides how a half is rounded.
    let tenths = (of > 0).then(|| (count * 2000 + of) / (of * 2));
    #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
    let percent = tenths.map(|tenths| tenths as f64 / 10.0);
    Share { count, of, percent }
}

/// Of sorted numbers.
fn median(sorted: &[u64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    let lower = if sorted.len().is_multiple_of(2) { sorted[middle - 1] } else { upper };
    #[expect(clippy::cast_precision_loss, reason = "days of a life have few digits")]
    let mean = (lower + upper) as f64 / 2.0;
    Some(mean)
}

/// The smallest of sorted numbers that so many per cent of them do not exceed.
fn nearest_rank(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn question() -> Question {
        Question {
            organisation: "main".parse().unwrap(),
            since: day("2026-01-01"),
            until: day("2026-04-01"),
            zone: chrono_tz::Europe::Rome,
            today: day("2026-05-01"),
        }
    }

    fn course(received: &str, end: Option<(&str, &str)>) -> Course {
        let received_on = day(received);
        Course {
            kind: "access".to_owned(),
            origin: Origin::Subject,
            received_on,
            dated_by_entry: false,
            due_on: received_on + Months::new(1),
            extended: false,
            refused_on: None,
            end: end.map(|(outcome, on)| End { outcome: outcome.to_owned(), on: day(on) }),
        }
    }

    #[test]
    fn terms_are_months_of_the_calendar_and_young_requests_count_for_neither() {
        let courses = [
            course("2026-01-31", Some(("fulfilled", "2026-02-28"))),
            course("2026-01-31", Some(("fulfilled", "2026-03-01"))),
            course("2026-03-31", None),
            course("2026-03-30", None),
            course("2026-02-10", Some(("withdrawn", "2026-02-11"))),
            course("2026-02-12", Some(("superseded", "2026-02-12"))),
            Course { extended: true, ..course("2026-02-10", Some(("withdrawn", "2026-02-11"))) },
        ];
        let figures = count(&question(), &courses);
        assert_eq!((figures.all.extended.count, figures.all.extended.of), (1, 7));
        let month = figures.all.within_1_month;
        assert_eq!(
            (month.count, month.of, month.percent),
            (1, 4, Some(25.0)),
            "30 April ends both open months"
        );
        let three = figures.all.within_3_months;
        assert_eq!((three.count, three.of), (2, 2), "three months of the open ones are not over");
        assert_eq!((figures.all.open, figures.all.overdue), (2, 2));
    }

    #[test]
    fn percentiles_and_rounding() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3]), Some(3.0));
        assert_eq!(median(&[1, 2, 3, 10]), Some(2.5));
        let ten: Vec<u64> = (1..=10).collect();
        assert_eq!(nearest_rank(&ten, 90), Some(9));
        assert_eq!(nearest_rank(&[7], 90), Some(7));
        assert_eq!(nearest_rank(&[], 90), None);
        assert_eq!(share(1, 8).percent, Some(12.5));
        assert_eq!(share(1, 16).percent, Some(6.3), "6.25 is rounded up");
        assert_eq!(share(2, 3).percent, Some(66.7));
        assert_eq!(share(0, 0).percent, None);
    }

    #[test]
    fn the_period_is_half_open_and_sweeps_stand_apart() {
        let mut sweep = course("2026-02-01", Some(("fulfilled", "2026-02-01")));
        sweep.origin = Origin::Retention;
        let courses = [
            course("2025-12-31", None),
            course("2026-01-01", None),
            course("2026-03-31", None),
            course("2026-04-01", None),
            sweep,
        ];
        let figures = count(&question(), &courses);
        assert_eq!(figures.all.received, 2);
        assert_eq!(figures.sweeps, Sweeps { submitted: 1, ended: 1 });
    }
}
