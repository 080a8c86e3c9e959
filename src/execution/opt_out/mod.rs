//! Steps `apply` and `verify` of an opt-out: each policy switched off by one call, then read back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Step;
use super::effect::{Effect, bare};
use super::engine::Run;
use super::inform;
use super::outcome::ReadBackDone;
use super::sql::Marks;
use super::stop::Stop;
use crate::audit::{Action, Detail};
use crate::domain::ParkReason;

/// When to read again while the platform does not show the change yet (it may answer "accepted" and act later).
const READ_AGAIN_AFTER: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_mins(1),
];

pub(super) async fn switch_off(run: &mut Run<'_>) -> Result<(), Stop> {
    if run.case.policies.is_empty() {
        return Err(Stop::NeedsPerson(ParkReason::NothingToOptOutOf));
    }
    let contact = run.contact()?;
    for policy in run.case.policies.clone() {
        run.carry_out(Effect::SwitchOff { contact: &contact, policy: &policy }).await?;
    }
    Ok(())
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
    let mut after = BTreeMap::new();
    let mut still_on = 0_u64;
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
    };
    let mut finished = run.finished(Step::ReadBack, &done);
    finished.marks = Marks { verified_at: Some(now), ..Marks::default() };
    let event = run.event(Action::PolicyVerified);
    finished.events.push(
        event.with(
            Detail::none()
                .count("policies", run.case.policies.len() as u64)
                .flag("contact_absent", done.contact_absent),
        ),
    );
    finished.notice = Some(inform::opted_out(run));
    run.keep(finished);
    Ok(())
}
