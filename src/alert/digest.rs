//! The daily digest: what is open, due, waiting, and what ended yesterday.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, Utc};

use super::letter::{Letter, forecast, paragraph, push, words};
use super::rule::{DueReview, Watched, unconfirmed};
use super::{Settings, sql};
use crate::delivery::Vocabulary;
use crate::domain::{Controller, Origin, ParkReason};
use crate::figures::Outlook;
use crate::store::{StoreError, Tx};

/// Composes the digest of a day; `None` when there is nothing to tell. `outlook` is there where dates will be missed.
pub(super) async fn compose(
    tx: &mut Tx,
    controller: &Controller,
    settings: &Settings,
    outlook: Option<&Outlook>,
    now: DateTime<Utc>,
) -> Result<Option<Letter>, StoreError> {
    let today = now.with_timezone(&controller.time_zone).date_naive();
    let yesterday = today - Days::new(1);
    let before = yesterday - Days::new(1);
    let (from, to) = (controller.end_of_day(before), controller.end_of_day(yesterday));
    let watched = sql::list_watched(tx, &controller.id, today).await?;
    let reviews = sql::list_due_reviews(tx, &controller.id).await?;
    let ended = sql::count_ended(tx, &controller.id, from, to).await?;
    let rows = sql::count_parked_rows(tx, &controller.id).await?;
    let fallbacks = sql::count_fallbacks(tx, &controller.id, from, to).await?;
    let (closed, open): (Vec<_>, Vec<_>) = watched.iter().partition(|each| each.state == "closed");
    if open.is_empty() && closed.is_empty() && ended.is_empty() && rows == 0 && reviews.is_empty() {
        return Ok(None);
    }

    let words = words(controller);
    let of_people: Vec<_> = open.iter().copied().filter(|each| each.origin == Origin::Subject).collect();
    let horizon = settings.due_days.iter().copied().max().unwrap_or_default();
    let last_soon = today + Days::new(horizon.into());
    let overdue: Vec<_> = of_people.iter().copied().filter(|each| each.due_on < today).collect();
    let soon: Vec<_> =
        of_people.iter().copied().filter(|each| each.due_on >= today && each.due_on <= last_soon).collect();

    let (open_count, soon_count, overdue_count) =
        (of_people.len().to_string(), soon.len().to_string(), overdue.len().to_string());
    let (day, horizon) = (today.to_string(), horizon.to_string());
    let values = [
        ("organisation", controller.name.as_str()),
        ("open", open_count.as_str()),
        ("soon", soon_count.as_str()),
        ("overdue", overdue_count.as_str()),
        ("day", day.as_str()),
        ("days", horizon.as_str()),
    ];
    let subject = words.say("digest.subject", &values);
    let mut body = String::new();
    paragraph(&mut body, &words.say("digest.intro", &values));

    incidents(&mut body, words, controller, &watched);
    requests(&mut body, words, &values, (&open, &overdue, &soon));
    section(
        &mut body,
        words,
        &words.say("digest.forecast", &[]),
        outlook.iter().map(|outlook| forecast(words, controller, outlook)),
    );
    section(
        &mut body,
        words,
        &words.say("digest.unconfirmed", &[]),
        of_people.iter().filter(|each| unconfirmed(each, controller, today).is_some()).filter_map(|each| {
            let by = controller.acknowledgement(each.kind, each.received_at)?.by;
            Some(about(words, "digest.line.unconfirmed", each, &[("by", &by.to_string())]))
        }),
    );
    others(&mut body, words, &watched, &reviews);
    if rows > 0 {
        body.push('\n');
        paragraph(&mut body, &words.say("digest.rows", &[("count", &rows.to_string())]));
    }
    section(
        &mut body,
        words,
        &words.say("digest.ended", &[("day", &yesterday.to_string())]),
        ended.iter().map(|each| format!("{:>4}  {}, {}", each.count, each.kind, each.outcome)),
    );
    if fallbacks > 0 {
        body.push('\n');
        let values = [("count", &*fallbacks.to_string()), ("day", &*yesterday.to_string())];
        paragraph(&mut body, &words.say("digest.fallbacks", &values));
    }
    body.push('\n');
    paragraph(&mut body, &words.say("digest.closing", &[]));
    Ok(Some(Letter { subject, body }))
}

/// Breaches of which the authority must be told.
fn incidents(body: &mut String, words: &Vocabulary, controller: &Controller, watched: &[Watched]) {
    section(
        body,
        words,
        &words.say("digest.incidents", &[]),
        watched.iter().filter_map(|each| {
            let incident = each.incident?;
            Some(match incident.authority_due_at {
                Some(due_at) => {
                    about(words, "line.incident", each, &[("at", &controller.local_time(due_at))])
                }
                None => about(words, "line.incident_no_hours", each, &[]),
            })
        }),
    );
}

/// What is open, late, near and waiting.
fn requests(
    body: &mut String,
    words: &Vocabulary,
    values: &[(&str, &str)],
    (open, overdue, soon): (&[&Watched], &[&Watched], &[&Watched]),
) {
    let mut by_kind: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for each in open.iter().filter(|each| each.origin == Origin::Subject) {
        *by_kind.entry((each.kind.to_string(), each.state.as_str())).or_default() += 1;
    }
    section(
        body,
        words,
        &words.say("digest.open", &[]),
        by_kind.iter().map(|((kind, state), count)| format!("{count:>4}  {kind}, {state}")),
    );
    section(
        body,
        words,
        &words.say("digest.overdue", &[]),
        overdue.iter().map(|each| about(words, "digest.line.overdue", each, &[])),
    );
    section(
        body,
        words,
        &words.say("digest.soon", values),
        soon.iter().map(|each| about(words, "digest.line.soon", each, &[])),
    );
    section(
        body,
        words,
        &words.say("digest.waiting", &[]),
        open.iter().filter_map(|each| {
            let reason = each.park_reason?;
            let way_out = words.say(way_out(reason), &[]);
            let more = [("reason", reason.as_str()), ("way_out", way_out.as_str())];
            Some(about(words, "digest.line.waiting", each, &more))
        }),
    );
}

/// Who was not told, and what is left beside the requests themselves.
fn others(body: &mut String, words: &Vocabulary, watched: &[Watched], reviews: &[DueReview]) {
    section(
        body,
        words,
        &words.say("digest.not_told", &[]),
        watched
            .iter()
            .filter(|each| each.notice_failed_at.is_some())
            .map(|each| about(words, "digest.line.not_told", each, &[])),
    );
    section(
        body,
        words,
        &words.say("digest.recipients", &[]),
        watched.iter().filter_map(|each| {
            let late = each.recipients_late?;
            Some(about(words, "digest.line.recipients", each, &[("count", &late.count.to_string())]))
        }),
    );
    section(
        body,
        words,
        &words.say("digest.reviews", &[]),
        reviews.iter().map(|each| {
            let due = each.review_on.to_string();
            let values = [
                ("reference", each.reference.as_str()),
                ("due", due.as_str()),
                ("owner", each.owner.as_str()),
            ];
            words.say("line.hold", &values)
        }),
    );
}

/// A line about a request.
fn about(words: &Vocabulary, key: &str, watched: &Watched, more: &[(&str, &str)]) -> String {
    let (reference, kind, due) =
        (watched.reference.to_string(), watched.kind.to_string(), watched.due_on.to_string());
    let named = [("reference", reference.as_str()), ("kind", kind.as_str()), ("due", due.as_str())];
    words.say(key, &[named.as_slice(), more].concat())
}

/// A heading with its lines; nothing where there are none. A mail with thousands of lines helps nobody: the command
/// shows them all.
fn section(body: &mut String, words: &Vocabulary, heading: &str, lines: impl Iterator<Item = String>) {
    const MOST: usize = 40;
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return;
    }
    push(body, format_args!("\n{heading}\n"));
    for line in lines.iter().take(MOST) {
        push(body, format_args!("  {line}\n"));
    }
    if lines.len() > MOST {
        let more = words.say("digest.more", &[("count", &(lines.len() - MOST).to_string())]);
        push(body, format_args!("  {more}\n"));
    }
}

/// The key of what gets a waiting request on, in a few words; `dsrd request show` has the exact commands.
const fn way_out(reason: ParkReason) -> &'static str {
    match reason {
        ParkReason::AmbiguousMatch | ParkReason::IdentifiersDisagree | ParkReason::ChosenContactChanged => {
            "way_out.choose"
        }
        ParkReason::NoContactPoint | ParkReason::NoticeRefused | ParkReason::NoticeFailed => "way_out.tell",
        ParkReason::VerificationFailed | ParkReason::PlatformRejected => "way_out.platform",
        ParkReason::PlatformForbidden => "way_out.right",
        ParkReason::PackageTooLarge => "way_out.limits",
        ParkReason::WaitsForAccess => "way_out.access",
        ParkReason::NothingToOptOutOf => "way_out.policy",
        ParkReason::NotAutomated => "way_out.carry_out",
        ParkReason::NothingPortable => "way_out.legal_bases",
        ParkReason::RequesterNotSelf => "way_out.authority",
        ParkReason::FeeUnanswered => "way_out.fee",
        _ => "way_out.other",
    }
}
