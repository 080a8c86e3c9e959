//! Steps `delete` and `verify` of an erasure: one deletion, then the proof of absence by id, by every identifier that
//! the request gave or the profile held, and by events, devices and accountings.
//!
//! One absence is no proof: an answer may come from a copy that lags behind, or a deletion may be undone (F-39). A first look
//! reads the contact by its id, one call; the lease is given back, and only a second look, the whole one, that finds it gone
//! as well ends the step. A contact that answers again in between begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::TryStreamExt;

use super::Step;
use super::effect::Effect;
use super::engine::{Run, SECOND_LOOK};
use super::locate::let_access_go_first;
use super::outcome::{Held, ReadBackDone};
use super::sql::Marks;
use super::stop::Stop;
use super::{hold, inform};
use crate::audit::{Action, Detail};
use crate::domain::{ContactId, IdentifierKind, Origin, SubjectIdentifier};
use crate::platform::{Coverage, Seen, Source, Span, seen_since};
use crate::recipients::{Affected, TaskAction};
use crate::report::Section;

/// When to read again while the contact still answers: deletion may take effect late, and a record marked as deleted
/// is pending, not gone.
const READ_AGAIN_AFTER: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(5),
    Duration::from_hours(1),
    Duration::from_hours(6),
    Duration::from_hours(24),
];

pub(super) async fn delete(run: &mut Run<'_>) -> Result<(), Stop> {
    let contact = run.contact()?;
    let urgency = run.urgency();
    // Asked again: between finding the contact and deleting it, weeks may lie.
    let_access_go_first(run, &contact, &[]).await?;
    if hold::postponed(run, &contact).await? {
        return Ok(());
    }
    if let Some(why) = active_since(run, &contact).await? {
        return leave_alone(run, why).await;
    }
    run.carry_out(Effect::Delete { contact: &contact, urgency }).await
}

/// Why a sweep's candidate is not deleted by a rule that counts from the last activity: the sweep had looked, but
/// somebody may have come back since.
async fn active_since(run: &Run<'_>, contact: &ContactId) -> Result<Option<&'static str>, Stop> {
    let (Origin::Retention, Some(rule), Some(since)) =
        (run.case.origin, &run.site.activity, run.case.created_before)
    else {
        return Ok(None);
    };
    let span = Span { since, now: run.executor.desk.clock.now() };
    let seen = seen_since(run.site.platform.as_ref(), contact, rule, span, run.urgency()).await;
    Ok(match seen.map_err(|error| run.platform_failed(&error))? {
        Seen::Since => Some("active_since"),
        Seen::Unclear => Some("activity_unclear"),
        // What is gone already is found so, and ends a deletion that was begun.
        Seen::Before | Seen::Gone => None,
    })
}

/// Ends the erasure of a sweep without deleting anything: a later sweep looks again.
async fn leave_alone(run: &mut Run<'_>, why: &'static str) -> Result<(), Stop> {
    hold::end_open_deletion(run).await?;
    let mut finished = run.finished(Step::Hold, &Held { holds: Vec::new(), policies_off: 0, active: true });
    let detail = Detail::none().count("contacts", 1).flag("out_of_scope", true).word("reason", why);
    finished.events.push(run.event(Action::ContactLocated).with(detail));
    run.keep(finished);
    Ok(())
}

pub(super) async fn read_back(run: &mut Run<'_>) -> Result<(), Stop> {
    if let Some(left) = run.until_second_look(Step::ReadBack) {
        return Err(Stop::wait(left, SECOND_LOOK));
    }
    let contact = run.contact()?;
    let urgency = run.urgency();
    let found = run
        .site
        .platform
        .find_contact(&contact, urgency)
        .await
        .map_err(|error| run.platform_failed(&error))?;
    if found.is_some() {
        return Err(run.read_again(&READ_AGAIN_AFTER, "contact_still_there").await?);
    }
    let Some(absent_since) = run.absent_since(Step::ReadBack) else {
        return Err(run.look_a_second_time(Step::ReadBack));
    };
    let searched = search_again(run, &contact).await?;
    if searched.found {
        return Err(run.read_again(&READ_AGAIN_AFTER, "contact_still_found").await?);
    }
    let remaining = remaining_records(run, &contact).await?;
    if !remaining.is_empty()
        && let Some(again) = run.read_again_if_any(&READ_AGAIN_AFTER[..3], "records_still_there", true)
    {
        return Err(again);
    }
    let now = run.executor.desk.clock.now();
    let mut detail = Detail::none()
        .flag("contact_absent", true)
        .count("looks_apart_secs", (now - absent_since).num_seconds().unsigned_abs())
        .count("searches_clear", searched.clear.values().sum())
        .count("searches_not_honoured", searched.not_honoured)
        .count("other_contacts", searched.others.len() as u64);
    for source in Source::ALL {
        detail = detail.count(source.as_str(), remaining.get(source.as_str()).copied().unwrap_or(0));
    }
    let partly = !remaining.is_empty();
    let done = ReadBackDone {
        contact_absent: true,
        searches_clear: searched.clear,
        searches_not_honoured: searched.not_honoured,
        other_contacts: searched.others.len() as u64,
        remaining,
        policies_after: BTreeMap::new(),
        profile_emptied: false,
    };
    let mut finished = run.finished(Step::ReadBack, &done);
    finished.marks = Marks { verified_at: Some(now), ..Marks::default() };
    finished.events.push(run.event(Action::DeletionVerified).with(detail));
    let affected = Affected {
        action: TaskAction::Erase,
        contact: Some(contact),
        sections: erased_sections(&done.remaining),
        since: run.located()?.created_on,
        origin: run.case.origin,
    };
    finished.notice = Some(inform::erased(run, partly, inform::names_of(run, &affected)));
    finished.to_tell = Some(affected);
    run.keep(finished);
    Ok(())
}

/// The sections of which nothing is left at the platform: their recipients are told.
fn erased_sections(remaining: &BTreeMap<String, u64>) -> Vec<Section> {
    let of_contact = Section::ALL.into_iter().filter(|section| *section != Section::Requests);
    of_contact.filter(|section| !remaining.contains_key(section.as_str())).collect()
}

/// Whether the contact is gone by its id and by every search. What cannot be read counts as still there.
pub(super) async fn is_gone(run: &Run<'_>, contact: &ContactId) -> Result<bool, Stop> {
    let urgency = run.urgency();
    let found = run.site.platform.find_contact(contact, urgency).await;
    if found.map_err(|error| run.platform_failed(&error))?.is_some() {
        return Ok(false);
    }
    Ok(!search_again(run, contact).await?.found)
}

/// What the searches by every identifier known show.
#[derive(Default)]
struct Searched {
    /// Searches that do not find the contact, by kind.
    clear: BTreeMap<IdentifierKind, u64>,
    /// Searches that prove nothing.
    not_honoured: u64,
    /// Other contacts with one of the identifiers: no failure, but the identifier is not gone with this contact.
    others: BTreeSet<ContactId>,
    /// Whether the contact was found, or may be among what could not be read.
    found: bool,
}

/// Searches by every identifier known. Only this contact counts.
async fn search_again(run: &Run<'_>, contact: &ContactId) -> Result<Searched, Stop> {
    let mut searched = Searched::default();
    let mut distinct: Vec<&SubjectIdentifier> = Vec::new();
    for each in &run.identifiers {
        let known = distinct.iter().any(|other| {
            other.kind() == each.identifier.kind() && other.normalised() == each.identifier.normalised()
        });
        if !known {
            distinct.push(&each.identifier);
        }
    }
    for identifier in distinct {
        let answer =
            run.site.platform.search(identifier).await.map_err(|error| run.platform_failed(&error))?;
        searched.found |= answer.unreadable > 0 || answer.contacts.iter().any(|found| &found.id == contact);
        if searched.found {
            return Ok(searched);
        }
        searched.others.extend(answer.contacts.into_iter().map(|other| other.id));
        if answer.coverage == Coverage::FilterNotHonoured {
            searched.not_honoured += 1;
        } else {
            *searched.clear.entry(identifier.kind()).or_default() += 1;
        }
    }
    Ok(searched)
}

/// Counts the records that still answer although the contact is gone.
async fn remaining_records(run: &Run<'_>, contact: &ContactId) -> Result<BTreeMap<String, u64>, Stop> {
    let mut remaining = BTreeMap::new();
    for source in Source::ALL {
        let records = run.site.platform.records(contact, source, run.urgency()).await;
        let Some(mut records) = records.map_err(|error| run.platform_failed(&error))? else { continue };
        let mut count = 0_u64;
        while let Some(batch) = records.try_next().await.map_err(|error| run.platform_failed(&error))? {
            count += batch.records.len() as u64 + batch.unreadable;
        }
        if count > 0 {
            remaining.insert(source.as_str().to_owned(), count);
        }
    }
    Ok(remaining)
}
