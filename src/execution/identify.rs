//! Whether it is known well enough who asks: the one gate before anything is disclosed or deleted, and the waiting for a proof.
//!
//! The gate stands before each step that discloses or deletes, and is asked anew on every run: whatever way a request takes
//! into the queue (submitted, resumed, released, chosen, rescued), it meets the same rule (S-3). A waiting request has a date:
//! no attempts are used up, the person is reminded once, and at the end a notice says why and what would help (Art. 12(4)).
//! Nobody fails to answer what they were never asked: a question that was refused, came back, never left, or left with no time
//! to answer it ends no request. One that waits in the outbox until its link is about to expire does not leave any more: another
//! takes its place, as long as there is time for an answer.
//!
//! Nothing but the acknowledgement goes by itself to an address that was merely typed, unless it is all that the request was
//! made with, or the profile's own: any other answer would show to whoever typed it whether somebody else is in the data (S-5).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Step;
use super::engine::Run;
use super::inform;
use super::outcome::Unproven;
use super::stop::{Ended, Stop};
use crate::audit::{Action, Detail};
use crate::delivery::{self, NoticeKind};
use crate::domain::{Handling, IdentifierKind, IdentityDoubt, Origin, ParkReason, RequestState};
use crate::identity::{self, Asked, Occasion};
use crate::intake::{self, CaseError, Identifier, IdentifierRole};
use crate::queue::{self, PutBack};

/// The code of a job that waits for a proof.
const WAITS_FOR_PROOF: &str = "needs_identity";

/// The least time that somebody has to answer, however near the due date is.
const LEAST_WAIT: TimeDelta = TimeDelta::days(1);

/// What stands in the way of what the request asks, if anything does. A sweep is the controller's own, and so is the invented
/// contact of a self-test: the settings say who that is.
fn doubt(run: &Run<'_>) -> Option<IdentityDoubt> {
    if run.case.origin != Origin::Subject {
        return None;
    }
    let (proof, now) = (run.case.proof(), run.executor.desk.clock.now());
    // The rest of an erasure that a hold had postponed, and what is done again because it did not last, are handed in by the
    // contact and without any identifier, which only the service itself can (`Submission::sweep_target`). The person's will
    // was proven when it was carried out the first time: freshness is asked of a new wish, and nobody wishes anew here.
    // How well they were known still has to be enough by the rules as they are now.
    let follows = !run.identifiers.iter().any(|each| each.role == IdentifierRole::Given);
    let at = proof.filter(|_| follows).map_or(now, |proof| proof.at);
    run.site.controller.identity.doubt(run.case.kind, proof, at)
}

/// Whether a copy of the data goes to the contact point of the profile only, which then proves who asked.
fn hand_over_proves(run: &Run<'_>) -> bool {
    matches!(run.case.kind.handling(), Handling::Access | Handling::Portability)
        && run.site.controller.identity.access_by_hand_over
}

/// Lets a step go on that discloses or deletes, if it is known well enough who asks.
pub(super) async fn gate(run: &mut Run<'_>) -> Result<(), Stop> {
    let Some(doubt) = doubt(run) else { return Ok(()) };
    // The contact point is known only once it is stored.
    run.write_now(Step::Locate).await?;
    match contact_point(run) {
        // A package is fetched by a link in a mail.
        Some(point) if hand_over_proves(run) && point.identifier.kind() == IdentifierKind::Email => Ok(()),
        Some(_) => {
            // When the wait ends is decided now, and stands.
            run.check_clock().await?;
            Err(Stop::WantsIdentity(doubt))
        }
        None => Err(Stop::NeedsPerson(ParkReason::IdentityUnproven)),
    }
}

/// Stops a request that found nobody and whose answer would go to an address that was merely typed. An opt-out has nothing
/// that could wait: it goes on, and a person tells the outcome.
pub(super) fn gate_of_no_data(run: &Run<'_>) -> Result<(), Stop> {
    let has_address = run.identifiers.iter().any(is_given_address);
    if run.case.kind.handling() == Handling::OptOut || !has_address || may_answer_given_address(run) {
        return Ok(());
    }
    Err(Stop::NeedsPerson(ParkReason::IdentityUnproven))
}

fn is_given_address(each: &Identifier) -> bool {
    each.role == IdentifierRole::Given && each.identifier.kind() == IdentifierKind::Email
}

/// Whether an answer may go to the address given in the request: the person is known, or the address is all that the request
/// was made with, so that the answer tells its holder of nobody but themselves. That of a self-test is the controller's own.
pub(super) fn may_answer_given_address(run: &Run<'_>) -> bool {
    if run.case.origin == Origin::SelfTest {
        return true;
    }
    let given = run.identifiers.iter().filter(|each| each.role == IdentifierRole::Given).count();
    run.case.proof().is_some_and(crate::domain::Proof::is_of_the_person) || given == 1
}

/// The contact point in the profile of the contact found by which the person can be asked.
fn contact_point<'a>(run: &'a Run<'_>) -> Option<&'a Identifier> {
    identity::contact_point(&run.identifiers, &run.site.controller)
}

/// Whether the end by rule can be told without a person: to the contact point, and to nobody who typed another address.
fn end_can_be_told(run: &Run<'_>) -> bool {
    let point = contact_point(run).filter(|point| point.identifier.kind() == IdentifierKind::Email);
    let Some(point) = point else { return false };
    run.identifiers
        .iter()
        .filter(|each| is_given_address(each))
        .all(|each| each.identifier.normalised() == point.identifier.normalised())
}

/// What becomes of a request that waits for a proof: it goes on waiting, is reminded of, or ends.
pub(super) async fn look_at_wait(run: &mut Run<'_>) -> Result<(), Stop> {
    let (Some(doubt), Some(wanted_at), Some(until)) =
        (run.case.identity_doubt, run.case.identity_wanted_at, run.case.identity_until)
    else {
        return Err(Stop::NeedsPerson(ParkReason::CheckpointUnreadable));
    };
    let now = run.executor.desk.clock.now();
    let mut connection = run.executor.store.connection().await?;
    let (organisation, request) = (&run.lease.organisation, run.lease.request);
    let kind = NoticeKind::IdentityRequest;
    let least = time_to_answer(run);
    let least_secs = least.to_std().unwrap_or_default();
    let question =
        delivery::reach_of(&mut connection, organisation, request, kind, wanted_at, least_secs).await?;
    let is_late = question.comes_too_late(now);
    let may_ask = is_late
        && until - now >= least
        && identity::may_ask_again(&mut connection, organisation, request).await?;
    drop(connection);
    if question.failed {
        return Err(Stop::NeedsPerson(ParkReason::NoticeRefused));
    }
    let next = if run.case.identity_reminded { until } else { until.min(remind_at(run, wanted_at)) };
    if now >= next || is_late {
        run.check_clock().await?;
    }
    if now >= until {
        // Whoever was never asked did not fail to answer.
        if question.taken && end_can_be_told(run) {
            return end_unproven(run, doubt).await;
        }
        give_up_question(run).await?;
        return Err(Stop::NeedsPerson(ParkReason::IdentityUnproven));
    }
    if is_late && !may_ask && !question.taken {
        // There is no time left to ask them: a person may still find out.
        give_up_question(run).await?;
        return Err(Stop::NeedsPerson(ParkReason::IdentityUnproven));
    }
    let remind = !run.case.identity_reminded && now >= remind_at(run, wanted_at);
    let ask = if remind { Some(Occasion::Reminder) } else { may_ask.then_some(Occasion::Wanted) };
    Err(Stop::AwaitsIdentity { ask })
}

/// How long somebody has to answer at the least, from when the question left; half of its time where a link works shorter.
fn time_to_answer(run: &Run<'_>) -> TimeDelta {
    let lasts = TimeDelta::hours(run.site.controller.identity.link_hours.into());
    delivery::TIME_TO_ANSWER.min(lasts / 2)
}

fn remind_at(run: &Run<'_>, wanted_at: DateTime<Utc>) -> DateTime<Utc> {
    wanted_at + TimeDelta::hours(run.site.controller.identity.remind_after_hours.into())
}

/// What asks the person for something until an instant that is past does not leave any more.
async fn give_up_question(run: &Run<'_>) -> Result<(), Stop> {
    let mut tx = run.executor.store.begin("execution.give_up_question").await?;
    queue::hold(&mut tx, run.lease).await??;
    let (organisation, request) = (&run.lease.organisation, run.lease.request);
    let waiting = intake::lock_waiting(&mut tx, organisation, request).await.map_err(stopped)?;
    if waiting.state != RequestState::NeedsIdentity {
        return Err(Stop::wait(Duration::ZERO, WAITS_FOR_PROOF));
    }
    identity::end_links(&mut tx, organisation, request).await?;
    tx.commit().await?;
    Ok(())
}

/// The request ends by rule. Whoever proves who they are at the same moment is first or too late, never both.
async fn end_unproven(run: &mut Run<'_>, doubt: IdentityDoubt) -> Result<(), Stop> {
    let mut tx = run.executor.store.begin("execution.end_unproven").await?;
    queue::hold(&mut tx, run.lease).await??;
    let (organisation, request) = (&run.lease.organisation, run.lease.request);
    let waiting = intake::lock_waiting(&mut tx, organisation, request).await.map_err(stopped)?;
    if waiting.state != RequestState::NeedsIdentity {
        return Err(Stop::wait(Duration::ZERO, WAITS_FOR_PROOF));
    }
    identity::end_links(&mut tx, organisation, request).await?;
    let mut finished = run.finished(Step::Unproven, &Unproven { doubt });
    finished
        .events
        .push(run.event(Action::IdentityUnproven).with(Detail::none().word("doubt", doubt.as_str())));
    finished.notice = Some(inform::unproven(run));
    run.keep(finished);
    run.save(&mut tx).await?;
    run.executor.kill.reached(Step::Unproven.as_str(), "written")?;
    tx.commit().await?;
    run.executor.kill.reached(Step::Unproven.as_str(), "committed")?;
    Ok(())
}

fn stopped(error: CaseError) -> Stop {
    match error {
        CaseError::Store(error) => Stop::Store(error),
        // Withdrawn meanwhile: the job went with it.
        _ => Stop::LeaseLost,
    }
}

impl Run<'_> {
    /// Asks the person, and lets the request wait for them: all in one transaction, so that a proof is either before it or
    /// after it.
    pub(super) async fn want_identity(&mut self, doubt: IdentityDoubt) -> Result<Ended, Stop> {
        let now = self.executor.desk.clock.now();
        let until = self.end_of_wait(now);
        let mut tx = self.open("execution.want_identity").await?;
        let (organisation, request) = (&self.lease.organisation, self.lease.request);
        let waiting = intake::lock_waiting(&mut tx, organisation, request).await.map_err(stopped)?;
        let controller = &self.site.controller;
        if controller.identity.doubt(waiting.kind, waiting.proof, now).is_none() {
            return self.wait_for_proof(tx, Duration::ZERO).await;
        }
        let Some(contact_point) = contact_point(self).map(|each| each.number) else {
            return Err(Stop::NeedsPerson(ParkReason::IdentityUnproven));
        };
        intake::set_needs_identity(&mut tx, organisation, request, doubt, (now, until)).await?;
        let detail = Detail::none().word("doubt", doubt.as_str()).word("until", &until.to_rfc3339());
        self.append(&mut tx, self.event(Action::IdentityWanted).with(detail)).await?;
        let asked = Asked { doubt, until, contact_point, occasion: Occasion::Wanted };
        let keys = &self.executor.desk.keys;
        let actor = self.event(Action::IdentityAsked).actor;
        identity::ask(&mut tx, keys, controller, &self.case, asked, actor, now).await?;
        tracing::info!(request = %self.lease.request, reason = doubt.as_str(), "a request waits until it is known who asks");
        let next = remind_at(self, now).min(until);
        self.wait_for_proof(tx, until_then(now, next)).await
    }

    /// Goes on waiting, with a reminder where it is time for it, or another question in place of one that did not leave in time.
    pub(super) async fn await_identity(&mut self, ask: Option<Occasion>) -> Result<Ended, Stop> {
        let now = self.executor.desk.clock.now();
        let mut tx = self.open("execution.await_identity").await?;
        let (organisation, request) = (&self.lease.organisation, self.lease.request);
        let waiting = intake::lock_waiting(&mut tx, organisation, request).await.map_err(stopped)?;
        if waiting.state != RequestState::NeedsIdentity {
            return self.wait_for_proof(tx, Duration::ZERO).await;
        }
        let until = self.case.identity_until.unwrap_or(now);
        let contact_point = contact_point(self).map(|each| each.number);
        let remind = ask == Some(Occasion::Reminder);
        if let (Some(occasion), Some(doubt), Some(contact_point)) =
            (ask, self.case.identity_doubt, contact_point)
        {
            let asked = Asked { doubt, until, contact_point, occasion };
            let (keys, controller) = (&self.executor.desk.keys, &self.site.controller);
            let actor = self.event(Action::IdentityAsked).actor;
            identity::ask(&mut tx, keys, controller, &self.case, asked, actor, now).await?;
            if remind {
                intake::set_reminded(&mut tx, organisation, request).await?;
            }
        }
        let reminded = remind || self.case.identity_reminded;
        let remind_at = self.case.identity_wanted_at.map(|wanted_at| remind_at(self, wanted_at));
        let next = remind_at.filter(|at| !reminded && *at > now).map_or(until, |at| at.min(until));
        self.wait_for_proof(tx, until_then(now, next)).await
    }

    async fn wait_for_proof(&self, mut tx: crate::store::Tx, after: Duration) -> Result<Ended, Stop> {
        let how = PutBack { after, code: WAITS_FOR_PROOF, counts: false, crashed: false };
        queue::put_back(&mut tx, self.lease, how).await??;
        self.executor.kill.reached("identify", "written")?;
        tx.commit().await?;
        self.executor.kill.reached("identify", "committed")?;
        Ok(Ended::PutBack)
    }

    /// When the waiting ends: after its longest time, and before the due date in any case.
    fn end_of_wait(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let (controller, rules) = (&self.site.controller, &self.site.controller.identity);
        let longest = now + TimeDelta::days(rules.wait_max_days.into());
        let in_time =
            controller.end_of_day(self.case.due_on) - TimeDelta::days(rules.answer_margin_days.into());
        longest.min(in_time).max(now + LEAST_WAIT)
    }
}

/// The time from now to an instant; none when that has passed.
fn until_then(now: DateTime<Utc>, then: DateTime<Utc>) -> Duration {
    (then - now).to_std().unwrap_or_default()
}
