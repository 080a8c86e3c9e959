//! The daily digest: what is open, due, waiting, and what ended yesterday.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, Utc};

use super::letter::{Letter, push};
use super::{Settings, sql};
use crate::domain::{Controller, Origin, ParkReason};
use crate::store::{StoreError, Tx};

/// Composes the digest of a day; `None` when there is nothing to tell.
pub(super) async fn compose(
    tx: &mut Tx,
    controller: &Controller,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Result<Option<Letter>, StoreError> {
    let today = now.with_timezone(&controller.time_zone).date_naive();
    let yesterday = today - Days::new(1);
    let before = yesterday - Days::new(1);
    let (from, to) = (controller.end_of_day(before), controller.end_of_day(yesterday));
    let watched = sql::list_watched(tx, &controller.id).await?;
    let ended = sql::count_ended(tx, &controller.id, from, to).await?;
    let rows = sql::count_parked_rows(tx, &controller.id).await?;
    let fallbacks = sql::count_fallbacks(tx, &controller.id, from, to).await?;
    let (closed, open): (Vec<_>, Vec<_>) = watched.iter().partition(|each| each.state == "closed");
    if open.is_empty() && closed.is_empty() && ended.is_empty() && rows == 0 {
        return Ok(None);
    }

    let of_people: Vec<_> = open.iter().filter(|each| each.origin == Origin::Subject).collect();
    let horizon = settings.due_days.iter().copied().max().unwrap_or_default();
    let last_soon = today + Days::new(horizon.into());
    let overdue: Vec<_> = of_people.iter().filter(|each| each.due_on < today).collect();
    let soon: Vec<_> =
        of_people.iter().filter(|each| each.due_on >= today && each.due_on <= last_soon).collect();

    let subject = format!(
        "[dsrd] {}: {} open, {} due soon, {} overdue",
        controller.name,
        of_people.len(),
        soon.len(),
        overdue.len()
    );
    let mut body = format!("Requests to {} on the morning of {today}.\n", controller.name);

    let mut by_kind: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for each in &of_people {
        *by_kind.entry((each.kind.to_string(), each.state.as_str())).or_default() += 1;
    }
    section(
        &mut body,
        "Open",
        by_kind.iter().map(|((kind, state), count)| format!("{count:>4}  {kind}, {state}")),
    );
    section(
        &mut body,
        "Overdue",
        overdue.iter().map(|each| format!("{}  {}, was due {}", each.reference, each.kind, each.due_on)),
    );
    section(
        &mut body,
        &format!("Due within {horizon} days"),
        soon.iter().map(|each| format!("{}  {}, due {}", each.reference, each.kind, each.due_on)),
    );
    section(
        &mut body,
        "Waiting for a person",
        open.iter().filter_map(|each| {
            let reason = each.park_reason?;
            Some(format!("{}  {}, {reason}: {}", each.reference, each.kind, way_out(reason)))
        }),
    );
    section(
        &mut body,
        "Not told, because a notice did not arrive",
        watched.iter().filter(|each| each.notice_failed_at.is_some()).map(|each| {
            format!(
                "{}  {}; tell the person otherwise, then: dsrd request informed {}",
                each.reference, each.kind, each.reference
            )
        }),
    );
    if rows > 0 {
        push(
            &mut body,
            format_args!(
                "\n{rows} row(s) of producers could not become a request: dsrd request parked list\n"
            ),
        );
    }
    section(
        &mut body,
        &format!("Ended on {yesterday}"),
        ended.iter().map(|each| format!("{:>4}  {}, {}", each.count, each.kind, each.outcome)),
    );
    if fallbacks > 0 {
        push(
            &mut body,
            format_args!(
                "\n{fallbacks} notice(s) of {yesterday} were written in another language than the person's, because there \
                 are no texts in it (R-30); the log entries notice.ended name the language wished for.\n"
            ),
        );
    }
    body.push_str("\nWhat each request is about, and what you can do: dsrd request show REFERENCE\n");
    Ok(Some(Letter { subject, body }))
}

/// A heading with its lines; nothing where there are none. A mail with thousands of lines helps nobody: the command
/// shows them all.
fn section(body: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
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
        push(body, format_args!("  … and {} more: dsrd request list\n", lines.len() - MOST));
    }
}

/// What gets a waiting request on, in a few words; `dsrd request show` has the exact commands.
fn way_out(reason: ParkReason) -> &'static str {
    match reason {
        ParkReason::AmbiguousMatch | ParkReason::IdentifiersDisagree | ParkReason::ChosenContactChanged => {
            "choose the contact that is meant"
        }
        ParkReason::NoContactPoint | ParkReason::NoticeRefused | ParkReason::NoticeFailed => {
            "tell the person by other means, or mend the mail server"
        }
        ParkReason::VerificationFailed | ParkReason::PlatformRejected => {
            "look at the contact in the platform"
        }
        ParkReason::PlatformForbidden => "give the platform's key the right that is missing",
        ParkReason::PackageTooLarge => "raise the limits of the report",
        ParkReason::WaitsForAccess => "end the access request of the same person first",
        ParkReason::NothingToOptOutOf => "name a policy to opt out of",
        _ => "look at what the command shows, mend it, resume",
    }
}
