//! Steps `apply` and `verify` of an opt-out: each policy switched off by one call, then read back. Which policies are meant
//! where the request names none is asked of the configuration at each run.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Step;
use super::answered::concerned;
use super::effect::{Effect, bare};
use super::engine::Run;
use super::outcome::{Located, ReadBackDone};
use super::reminder::last_asked;
use super::replay::{modified, modified_text};
use super::sql::Marks;
use super::stop::Stop;
use super::{erasure, inform};
use crate::audit::{Action, Detail};
use crate::domain::{ContactId, Handling, ParkReason, RequestKind};
use crate::intake::{self, IdentifierRole};
use crate::platform::{Contact, Shown};
use crate::recipients::{Affected, TaskAction};

/// When to read again while the platform does not show the change yet (it may answer "accepted" and act later).
const READ_AGAIN_AFTER: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_mins(1),
];

/// By how much the platform's clock may differ from ours; sweeps trust no platform whose clock differs by more. A portal writes
/// the profile a moment before it hands the request in.
const CLOCKS_MAY_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// Where the request names no policies, those of the configuration are meant, as it is now: what waits for a person because it
/// named none, or one that does not exist, goes on with the right ones once that is mended. What was read back stands.
pub(super) async fn take_present_policies(run: &mut Run<'_>) -> Result<(), Stop> {
    let case = &run.case;
    let present = &run.site.controller.opt_out_policies;
    if case.kind.handling() != Handling::OptOut
        || case.verified_at.is_some()
        || (case.policies_named && !case.policies.is_empty())
        || present.is_empty()
        || *present == case.policies
    {
        return Ok(());
    }
    let present = present.clone();
    let mut tx = run.open("execution.take_present_policies").await?;
    intake::set_policies(&mut tx, &run.lease.organisation, run.lease.request, &present).await?;
    tx.commit().await?;
    run.case.policies = present;
    Ok(())
}

pub(super) async fn switch_off(run: &mut Run<'_>) -> Result<(), Stop> {
    if run.case.policies.is_empty() {
        return Err(Stop::NeedsPerson(ParkReason::NothingToOptOutOf));
    }
    let contact = run.contact()?;
    // Located by an earlier attempt: what happened while the request waited is not known yet.
    if !run.unsaved.iter().any(|finished| finished.step == Step::Locate) {
        let found = run.site.platform.find_contact(&contact, run.urgency()).await;
        let found = found.map_err(|error| run.platform_failed(&error))?;
        if let Some(found) = &found
            && opted_in_since(run, found).await?
        {
            return Err(Stop::NeedsPerson(ParkReason::NewerWill));
        }
    }
    for policy in run.case.policies.clone() {
        run.carry_out(Effect::SwitchOff { contact: &contact, policy: &policy }).await?;
    }
    Ok(())
}

/// Whether the person opted in again after they had opted out, as far as the platform tells (F-42): a policy that was off when
/// the contact was found is on, or one is on and the profile was changed after the request was accepted, and not by us. The
/// older will does not overrule the newer. Who asked again since then opted out for the last time then.
pub(super) async fn opted_in_since(run: &Run<'_>, found: &Contact) -> Result<bool, Stop> {
    let to_do = |policy: &&String| !run.is_finished(Step::SwitchOff, policy);
    let on: Vec<&String> = run
        .case
        .policies
        .iter()
        .filter(to_do)
        .filter(|policy| found.policies.get(bare(policy)) == Some(&true))
        .collect();
    if on.is_empty() {
        return Ok(false);
    }
    if run.case.chosen {
        // A person looked, perhaps because it had stopped here, and had it go on.
        return Ok(false);
    }
    let before: Option<Located> = run.outcome(Step::Locate)?;
    if !shows_opt_in(run, before.as_ref(), found, &on, run.case.inserted_at) {
        return Ok(false);
    }
    let accepted_at = last_asked(run).await?.inserted_at;
    if accepted_at <= run.case.inserted_at {
        return Ok(true);
    }
    // What was seen before the person asked again does not tell on which side of that they changed it. Where nothing else does, a
    // person asks them.
    let tells = matches!(modified(found), Shown::At(_) | Shown::About(_));
    let before =
        before.filter(|_| !tells || run.finished_at(Step::Locate).is_none_or(|at| at >= accepted_at));
    Ok(shows_opt_in(run, before.as_ref(), found, &on, accepted_at))
}

/// Whether policies are on that were off, or the profile was changed, since an instant and since the contact was found.
fn shows_opt_in(
    run: &Run<'_>,
    before: Option<&Located>,
    found: &Contact,
    on: &[&String],
    accepted_at: DateTime<Utc>,
) -> bool {
    let was_off = before
        .is_some_and(|located| on.iter().any(|policy| located.policies_before.get(*policy) == Some(&false)));
    was_off || changed_since(run, before, found, accepted_at)
}

/// Whether the profile was changed since the request was accepted, and not by us.
fn changed_since(
    run: &Run<'_>,
    before: Option<&Located>,
    found: &Contact,
    accepted_at: DateTime<Utc>,
) -> bool {
    let switched_off = run.checkpoints.values().any(|checkpoint| {
        checkpoint.step == Step::SwitchOff.as_str()
            && (checkpoint.intent.is_some() || checkpoint.outcome.is_some())
    });
    match before.and_then(|located| located.modified.as_ref()) {
        // As it stood there when the contact was found: that needs no clock and no zone.
        Some(then) if !switched_off => modified_text(found).as_ref() != Some(then),
        // A policy of several that was switched off by an earlier attempt changed the profile, too.
        _ => {
            let ours = run.case.executed_at.map_or(accepted_at, |at| at.max(accepted_at));
            match modified(found) {
                Shown::At(at) | Shown::About(at) => at > ours + CLOCKS_MAY_DIFFER,
                Shown::Nothing | Shown::Unreadable => false,
            }
        }
    }
}

pub(super) async fn read_back(run: &mut Run<'_>) -> Result<(), Stop> {
    let contact = run.contact()?;
    let urgency = run.urgency();
    let found = run
        .site
        .platform
        .find_contact(&contact, urgency)
        .await
        .map_err(|error| run.platform_failed(&error))?;
    // Gone is who a second look does not find either, nor any search: one answer may come from a copy that lags behind.
    let absent_since = match &found {
        Some(_) => None,
        None => Some(run.prove_absence(Step::ReadBack).await?),
    };
    if absent_since.is_some() && !erasure::is_gone(run, &contact).await? {
        return Err(run.read_again(&READ_AGAIN_AFTER, "contact_still_found").await?);
    }
    let mut after = BTreeMap::new();
    let mut still_on = 0_u64;
    // Some rules of the platform take the profile with a policy (F-44). What the answer needs was kept before.
    let profile_emptied = found.as_ref().is_some_and(|contact| contact.held.is_empty())
        && run.identifiers.iter().any(|each| each.role != IdentifierRole::Given);
    if let Some(contact) = &found {
        for policy in &run.case.policies {
            match contact.policies.get(bare(policy)) {
                Some(accepted) => {
                    after.insert(policy.clone(), *accepted);
                    still_on += u64::from(*accepted);
                }
                // A policy that the profile does not name was not seen to be off: no proof.
                None => still_on += 1,
            }
        }
    }
    if still_on > 0 {
        return Err(run.read_again(&READ_AGAIN_AFTER, "policy_still_on").await?);
    }
    let now = run.executor.desk.clock.now();
    let done = ReadBackDone {
        contact_absent: found.is_none(),
        searches_clear: BTreeMap::new(),
        searches_not_honoured: 0,
        other_contacts: 0,
        remaining: BTreeMap::new(),
        policies_after: after,
        profile_emptied,
    };
    let mut finished = run.finished(Step::ReadBack, &done);
    finished.marks = Marks { verified_at: Some(now), ..Marks::default() };
    let mut detail = Detail::none()
        .count("policies", run.case.policies.len() as u64)
        .flag("contact_absent", done.contact_absent)
        .flag("profile_emptied", profile_emptied);
    if let Some(absent_since) = absent_since {
        detail = detail.count("looks_apart_secs", (now - absent_since).num_seconds().unsigned_abs());
    }
    finished.events.push(run.event(Action::PolicyVerified).with(detail));
    let affected = affected(run, contact);
    finished.notice = Some(inform::opted_out(run, inform::names_of(run, &affected)));
    finished.to_tell = Some(affected);
    run.keep(finished);
    Ok(())
}

/// What recipients have to be told: those who held the data between the request and now (11 CCR 7026(f), R-56). Of one that is done
/// again, because it did not last, since the request that the person made.
fn affected(run: &Run<'_>, contact: ContactId) -> Affected {
    let action = match run.case.kind {
        RequestKind::CcpaOptOut => TaskAction::CcpaOptOut,
        _ => TaskAction::OptOut,
    };
    let asked_on = run
        .case
        .follows
        .map_or_else(|| run.site.controller.local_date(run.case.received_at), |first| first.received_on);
    concerned(action, Some(contact), Some(asked_on), run.case.origin)
}
