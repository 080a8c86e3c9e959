//! Steps `delete` and `verify` of an erasure: one deletion, then the proof of absence by id, by every identifier that
//! the request gave or the profile held, and by events, devices and accountings.
//!
//! One absence is no proof: an answer may come from a copy that lags behind, or a deletion may be undone (F-39). A first look
//! reads the contact by its id, one call; the lease is given back, and only a second look, the whole one, that finds it gone
//! as well ends the step. A contact that answers again in between begins anew.
//!
//! The look before the deletion keeps to that, too: a contact that was located in an earlier run is read again, must still carry
//! what the request gave, and is not deleted unseen because one look did not find it. Nor is one whose consent was given again
//! since, or whose data was restricted, where the erasure follows by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::TryStreamExt;

use super::Step;
use super::absence::SECOND_LOOK;
use super::effect::Effect;
use super::engine::Run;
use super::hold::Weighed;
use super::locate::{
    is_past_its_time, let_access_go_first, refuse_newer_will, retention_cutoff, still_carries,
};
use super::outcome::{EffectEnded, Held, ReadBackDone};
use super::sql::Marks;
use super::stop::Stop;
use super::{hold, inform};
use crate::audit::{Action, Detail, Ending};
use crate::domain::{ContactId, IdentifierKind, Origin, ParkReason, SubjectIdentifier};
use crate::intake::{Identifier, IdentifierRole};
use crate::platform::{Contact, Coverage, Seen, Source, Span, seen_since};
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
    let deletion = Effect::Delete { contact: &contact, urgency: run.urgency() };
    // Asked again: between finding the contact and deleting it, weeks may lie.
    let_access_go_first(run, &contact, &[]).await?;
    let located_before = !run.unsaved.iter().any(|finished| finished.step == Step::Locate);
    let mut seen = None;
    // What was announced and may be under way is looked for by whoever goes on with it.
    if located_before && !run.is_open(Step::Delete) {
        let Some(found) = look(run, &contact).await? else { return run.end_absent(&deletion).await };
        if !still_carries(run, &found) {
            return Err(Stop::NeedsPerson(ParkReason::ChosenContactChanged));
        }
        refuse_newer_will(run, &found).await?;
        if run.case.origin == Origin::Retention && !is_past_its_time(run, &found) {
            return leave_alone(run, "rule_changed").await;
        }
        // A hold may be about an identifier that the profile got since.
        run.shown_now.clone_from(&found.identifiers);
        seen = Some(found);
    }
    match hold::weigh(run, &contact, seen).await? {
        Weighed::Free => {}
        Weighed::Postponed => return Ok(()),
        Weighed::Absent => return run.end_absent(&deletion).await,
    }
    match last_activity(run, &contact).await? {
        Activity::Past => run.carry_out(deletion).await,
        Activity::Keeps(why) => leave_alone(run, why).await,
        Activity::Absent => run.end_absent(&deletion).await,
    }
}

/// Looks whether the contact is there before it is deleted; none when it was proven to be gone. What one look does not find may
/// be there all the same (F-39), and would be deleted unseen.
pub(super) async fn look(run: &mut Run<'_>, contact: &ContactId) -> Result<Option<Contact>, Stop> {
    let found = run.site.platform.find_contact(contact, run.urgency()).await;
    let found = found.map_err(|error| run.platform_failed(&error))?;
    if found.is_some() {
        run.forget_absence(Step::Hold).await?;
    } else {
        prove_gone(run, contact).await?;
    }
    Ok(found)
}

/// Goes on once a second look and every search found the contact gone as well.
async fn prove_gone(run: &Run<'_>, contact: &ContactId) -> Result<(), Stop> {
    run.prove_absence(Step::Hold).await?;
    if is_gone(run, contact).await? { Ok(()) } else { Err(run.later("search_disagrees")) }
}

/// What the last activity of a sweep's candidate means for its deletion.
enum Activity {
    /// It lies before the cutoff, or the rule does not ask for it.
    Past,
    /// Nobody is erased: why.
    Keeps(&'static str),
    /// The contact was proven to be gone.
    Absent,
}

/// Looks again at the activity of a sweep's candidate for a rule that counts from the last one: the sweep had looked, but
/// somebody may have come back since.
async fn last_activity(run: &mut Run<'_>, contact: &ContactId) -> Result<Activity, Stop> {
    let (Origin::Retention, Some(rule), Some(since)) =
        (run.case.origin, &run.site.activity, retention_cutoff(run))
    else {
        return Ok(Activity::Past);
    };
    let span = Span { since, now: run.executor.desk.clock.now() };
    let seen = seen_since(run.site.platform.as_ref(), contact, rule, span, run.urgency()).await;
    Ok(match seen.map_err(|error| run.platform_failed(&error))? {
        Seen::Since => Activity::Keeps("active_since"),
        Seen::Unclear => Activity::Keeps("activity_unclear"),
        Seen::Before => {
            run.forget_absence(Step::Hold).await?;
            Activity::Past
        }
        // Of whom one look does not find, nobody knows when they were there last.
        Seen::Gone => {
            prove_gone(run, contact).await?;
            Activity::Absent
        }
    })
}

/// Ends the erasure of a sweep without deleting anything: a later sweep looks again.
async fn leave_alone(run: &mut Run<'_>, why: &'static str) -> Result<(), Stop> {
    hold::end_open_deletion(run).await?;
    let left = Held { holds: Vec::new(), policies_off: 0, policies: None, active: true };
    let mut finished = run.finished(Step::Hold, &left);
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
    // Where nothing can be searched by, nothing else shows that the platform serves.
    let absent_since = match run.absent_since(Step::ReadBack) {
        Some(_) if run.identifiers.is_empty() => run.prove_absence(Step::ReadBack).await?,
        Some(absent_since) => absent_since,
        None => return Err(run.look_a_second_time(Step::ReadBack)),
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
    let ended: Option<EffectEnded> = run.outcome(Step::Delete)?;
    let was_gone = ended.is_some_and(|ended| ended.ending == Ending::Absent.as_str());
    let left = done.remaining.keys().map(String::as_str);
    finished.notice = Some(inform::erased(run, left, was_gone, inform::names_of(run, &affected)));
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

/// Searches by every identifier known. Only this contact counts. A search of a kind that the request was made with, and that was
/// honoured when the contact was located, is a person's business when it proves nothing any more.
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
            let kind = identifier.kind();
            let given =
                |each: &Identifier| each.role == IdentifierRole::Given && each.identifier.kind() == kind;
            if run.identifiers.iter().any(given) {
                return Err(Stop::NeedsPerson(ParkReason::SearchNotHonoured));
            }
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
