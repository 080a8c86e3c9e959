//! What a hold means for an erasure (R-39, R-65, R-67).
//!
//! The platform deletes a contact as a whole, with its events, devices and connection records: a hold on any of them
//! stands against the deletion. A person's erasure is then carried out in stages. First: marketing is switched off, read
//! back, and the person is told what is kept, why and until when; the request ends as fulfilled in part. Second, when no
//! hold stands any more: a request of its own, made by [`resume_postponed`], deletes the contact, reads that back and tells
//! the person. A sweep's candidate is left alone; a later sweep looks again, where the last day is known once that has passed.

use std::time::Duration;

use chrono::{DateTime, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use futures_util::TryStreamExt;

use super::Step;
use super::effect::{Effect, bare};
use super::engine::Run;
use super::follow_up::code_of_unaccepted;
use super::locate::older_will;
use super::outcome::Held;
use super::settle::end_open_effects;
use super::sql::Marks;
use super::stop::Stop;
use super::unclear::{self, Sorted};
use super::{erasure, inform, restricted};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Channel, ContactId, Controller, Follows, FollowsBecause, HoldCategory, IdentifierKind, Origin,
    ParkReason, RequestId, RequestKind, RequesterRole, SubjectRef, zone_bounds,
};
use crate::holds::{self, EndRule, Hold, HoldId, Postponed, Postponement};
use crate::intake::{self, Desk, IntakeError, Submission};
use crate::platform::{Contact, Created, RawRecord, Source, date_of};
use crate::store::{PgConnection, Store, Tx};

/// When to read again while the platform does not show a policy switched off yet.
const READ_AGAIN_AFTER: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_mins(1),
];
/// How soon an erasure looks again when a hold was placed while it was on its way.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A hold that stands against the deletion of a contact, with its last day for this contact where one is known.
pub(super) struct Standing {
    pub(super) hold: Hold,
    pub(super) until: Option<NaiveDate>,
}

/// What a look for holds found.
enum Found {
    /// Nothing stands against the deletion.
    Nothing,
    /// The contact that they may be about is gone already.
    Absent,
    /// The contact as it is, and what stands against its deletion, the strongest first.
    Held(Box<Contact>, Vec<Standing>),
}

/// What becomes of a deletion once holds were looked for.
pub(super) enum Weighed {
    /// It may go on.
    Free,
    /// A hold stands in the way; what it leaves of the erasure was done.
    Postponed,
    /// The contact was proven to be gone: nothing is left to delete.
    Absent,
}

/// The holds that stand against the deletion of the contact, which may have been read just now. Those that were looked at and
/// do not are remembered, so that the announcement of the deletion tells them from those placed since.
async fn standing(run: &mut Run<'_>, contact: &ContactId, seen: Option<Contact>) -> Result<Found, Stop> {
    let mut connection = run.executor.store.connection().await?;
    let possible = stopping(run, &mut connection, contact, (run.case.origin, None)).await?;
    if possible.is_empty() {
        return Ok(Found::Nothing);
    }
    // Who is looked at by a sweep is told nothing, and a later sweep looks again: it leaves alone whoever may be held.
    let sorted = if run.case.origin == Origin::Retention {
        Sorted { about: possible, ..Sorted::default() }
    } else {
        unclear::sort(run, &mut connection, contact, possible).await?
    };
    drop(connection);
    let read = match seen {
        Some(seen) => seen,
        None => match erasure::look(run, contact).await? {
            Some(read) => read,
            None => return Ok(Found::Absent),
        },
    };
    // One that the platform marks as deleted or disabled may still be read, and is kept: only an absence lets a hold go.
    let created = created_of(&read);
    let zone = run.site.controller.time_zone;
    let today = run.executor.desk.clock.now().with_timezone(&zone).date_naive();
    let (mut found, mut cleared) = (Vec::new(), sorted.of_others);
    for hold in sorted.about {
        let outside = !hold.about_persons
            && created.map(zone_bounds).is_some_and(|(earliest, latest)| {
                hold.created_from.is_some_and(|from| latest < from)
                    || hold.created_before.is_some_and(|before| earliest >= before)
            });
        let until = match hold.ends {
            _ if outside => None,
            EndRule::On(last) => Some(last),
            EndRule::WhenLifted => None,
            EndRule::MonthsAfterLast(months) => {
                let last = last_record(run, contact, hold.category, zone).await?;
                last.and_then(|last| last.checked_add_months(Months::new(months.into())))
            }
        };
        let passed = match hold.ends {
            EndRule::MonthsAfterLast(_) => until.is_none_or(|until| until < today),
            EndRule::On(_) | EndRule::WhenLifted => false,
        };
        if passed {
            run.check_clock().await?;
        }
        if outside || passed {
            cleared.insert(hold.id);
        } else {
            found.push(Standing { hold, until });
        }
    }
    run.cleared_holds = cleared;
    if found.is_empty() && !sorted.unclear.is_empty() {
        return Err(run.asks_about(sorted.unclear));
    }
    Ok(if found.is_empty() { Found::Nothing } else { Found::Held(Box::new(read), found) })
}

/// When the contact was created, where that is known well enough to be outside of a span: not if it stands there without a zone.
pub(super) fn created_of(contact: &Contact) -> Option<DateTime<Utc>> {
    match contact.created {
        Created::At(at) => Some(at),
        Created::About(_) | Created::Unknown => None,
    }
}

impl Run<'_> {
    /// The pseudonyms by which a hold may be about the contact: that of its id, and those of the identifiers of some kinds that the
    /// request gave or the profile shows.
    pub(super) fn held_references(
        &self,
        contact: &ContactId,
        counts: impl Fn(IdentifierKind) -> bool,
    ) -> Vec<SubjectRef> {
        let (keys, organisation) = (&self.executor.desk.keys, &self.lease.organisation);
        // Those of the profile may have been found a moment ago, and be written with the next write.
        let found = self.unsaved.iter().flat_map(|finished| &finished.identifiers);
        let identifiers = self
            .identifiers
            .iter()
            .map(|each| &each.identifier)
            .chain(found.map(|(_, identifier)| identifier))
            .chain(&self.shown_now);
        identifiers
            .filter(|identifier| counts(identifier.kind()))
            .map(|identifier| identifier.reference(keys, organisation))
            .chain([keys.subject(organisation).contact(contact)])
            .collect()
    }
}

/// The holds in force that stop an erasure of this origin.
pub(super) async fn stopping(
    run: &Run<'_>,
    connection: &mut PgConnection,
    contact: &ContactId,
    (origin, created): (Origin, Option<DateTime<Utc>>),
) -> Result<Vec<Hold>, Stop> {
    let mut holds = about_contact(run, connection, contact, created).await?;
    holds.retain(|hold| hold.kind.stops(origin));
    Ok(holds)
}

/// The holds in force that may be about a contact.
pub(super) async fn about_contact(
    run: &Run<'_>,
    connection: &mut PgConnection,
    contact: &ContactId,
    created: Option<DateTime<Utc>>,
) -> Result<Vec<Hold>, Stop> {
    let organisation = &run.lease.organisation;
    let references = run.held_references(contact, |_| true);
    let zone = run.site.controller.time_zone;
    let today = run.executor.desk.clock.now().with_timezone(&zone).date_naive();
    Ok(holds::in_force(connection, organisation, &references, created, today).await?)
}

/// Refuses to announce a deletion against which a hold stands: the last look, in the transaction of the announcement and
/// under the lock that keeps holds from being placed meanwhile. By a clock that cannot be believed every hold may seem to
/// have ended. A restriction that came in between stops what follows by itself, too.
pub(super) async fn refuse_if_held(run: &mut Run<'_>, tx: &mut Tx, contact: &ContactId) -> Result<(), Stop> {
    let database = holds::lock_for_deletion(tx, &run.lease.organisation).await?;
    run.compare_clock(database)?;
    let possible = stopping(run, tx, contact, (run.case.origin, None)).await?;
    if possible.iter().any(|hold| !run.cleared_holds.contains(&hold.id)) {
        return Err(Stop::wait(LOOK_AGAIN_AFTER, "hold_placed"));
    }
    let Some(older) = older_will(run, tx).await? else { return Ok(()) };
    let mut about = about_contact(run, tx, contact, None).await?;
    // Of one about a span it was seen a moment ago whether the contact lies in it.
    about.retain(|hold| hold.about_persons);
    restricted::stop_for(run, tx, contact, (about, older.asked_at)).await
}

/// The day of the last record of a category, in the controller's time zone; none when there are no records. Records that
/// do not tell their dates wait for a person: nobody can say when the hold ends.
async fn last_record(
    run: &Run<'_>,
    contact: &ContactId,
    category: HoldCategory,
    zone: Tz,
) -> Result<Option<NaiveDate>, Stop> {
    // The table refuses such a hold.
    let source = source_of(category).ok_or(Stop::NeedsPerson(ParkReason::HoldUnclear))?;
    let records = run.site.platform.records(contact, source, run.urgency()).await;
    // The contact was read a moment ago: that list and contact are not found now is no word about its records.
    let mut records =
        records.map_err(|error| run.platform_failed(&error))?.ok_or_else(|| run.later("search_disagrees"))?;
    let mut last: Option<NaiveDate> = None;
    while let Some(batch) = records.try_next().await.map_err(|error| run.platform_failed(&error))? {
        if batch.unreadable > 0 {
            return Err(Stop::NeedsPerson(ParkReason::HoldUnclear));
        }
        for record in batch.records {
            let day = last_day(&record, zone).ok_or(Stop::NeedsPerson(ParkReason::HoldUnclear))?;
            last = last.max(Some(day));
        }
    }
    Ok(last)
}

/// The list of the records that a hold keeps, where it keeps those of one.
pub(super) const fn source_of(category: HoldCategory) -> Option<Source> {
    match category {
        HoldCategory::Events => Some(Source::Events),
        HoldCategory::Devices => Some(Source::Devices),
        HoldCategory::Accountings => Some(Source::Accountings),
        HoldCategory::Everything | HoldCategory::Profile => None,
    }
}

/// The local day of the latest date that a record names, whatever the names of its fields. A time without its zone stands for
/// the day that is written: taken for one of UTC it would become the day before in the zones that are behind.
fn last_day(record: &RawRecord, zone: Tz) -> Option<NaiveDate> {
    date_of(record).day(zone)
}

/// Looks for holds, and carries out what one leaves of an erasure, if one stands. The contact may have been read just now.
pub(super) async fn weigh(
    run: &mut Run<'_>,
    contact: &ContactId,
    seen: Option<Contact>,
) -> Result<Weighed, Stop> {
    let (read, standing) = match standing(run, contact, seen).await? {
        Found::Nothing => return Ok(Weighed::Free),
        Found::Absent => return Ok(Weighed::Absent),
        Found::Held(read, standing) => (read, standing),
    };
    end_open_deletion(run).await?;
    let now = run.executor.desk.clock.now();
    let mut marks = Marks::default();
    let (mut switched_off, mut policies) = (0_u64, None);
    if run.case.origin.is_told() {
        let marketing = run.site.controller.opt_out_policies.clone();
        switched_off = stop_marketing(run, contact, &read, &marketing).await?;
        policies = Some(marketing);
        marks = Marks { executed_at: Some(now), verified_at: Some(now), ..marks };
    }
    let until = standing.iter().map(|each| each.until).max_by_key(|until| until.unwrap_or(NaiveDate::MAX));
    let held = Held {
        holds: standing.iter().map(|each| (each.hold.id.0, each.until)).collect(),
        policies_off: switched_off,
        policies,
        active: false,
    };
    let strongest = &standing[0].hold;
    let mut detail = Detail::none()
        .word("hold", &strongest.reference)
        .word("kind", strongest.kind.as_str())
        .word("category", strongest.category.as_str())
        .word("ground", &strongest.ground)
        .count("holds", standing.len() as u64)
        .count("policies_off", switched_off);
    detail = match until.flatten() {
        Some(until) => detail.word("until", &until.to_string()),
        None => detail.word("until", "when lifted"),
    };
    let mut finished = run.finished(Step::Hold, &held);
    finished.marks = marks;
    finished.events.push(run.event(Action::ErasurePostponed).with(detail));
    finished.notice = Some(inform::kept_for_now(run, &standing));
    run.keep(finished);
    Ok(Weighed::Postponed)
}

/// Says of a deletion that was announced before the hold was placed, and that reading does not show, that its outcome is
/// unknown: nobody will look for it in this request any more.
pub(super) async fn end_open_deletion(run: &mut Run<'_>) -> Result<(), Stop> {
    if !run.is_open(Step::Delete) {
        return Ok(());
    }
    let now = run.executor.desk.clock.now();
    let mut tx = run.open("execution.end_open_deletion").await?;
    end_open_effects(&mut tx, run.lease, now).await?;
    tx.commit().await?;
    for checkpoint in run.checkpoints.values_mut() {
        checkpoint.ended_intent = checkpoint.intent;
    }
    Ok(())
}

/// Switches off these marketing policies, as far as the contact does not show them as off, and reads that back: data that
/// is kept under a hold is used for nothing else (R-66). Returns how many policies were switched off.
async fn stop_marketing(
    run: &mut Run<'_>,
    contact: &ContactId,
    read: &Contact,
    policies: &[String],
) -> Result<u64, Stop> {
    // A policy that the profile does not name is not seen to be off: no proof.
    let is_off = |contact: &Contact, policy: &str| contact.policies.get(bare(policy)) == Some(&false);
    let mut switched_off = 0;
    for policy in policies {
        let begun = run.checkpoints.contains_key(&(Step::SwitchOff.as_str().to_owned(), policy.clone()));
        if begun || !is_off(read, policy) {
            run.carry_out(Effect::SwitchOff { contact, policy }).await?;
            switched_off += 1;
        }
    }
    if switched_off == 0 {
        return Ok(0);
    }
    let urgency = run.urgency();
    let found = run.site.platform.find_contact(contact, urgency).await;
    let after = found.map_err(|error| run.platform_failed(&error))?;
    match after {
        Some(after) if policies.iter().all(|policy| is_off(&after, policy)) => Ok(switched_off),
        Some(_) => Err(run.read_again(&READ_AGAIN_AFTER, "policy_still_on").await?),
        // Whether it is gone is found out before anything else the next time.
        None => Err(run.read_again(&READ_AGAIN_AFTER, "contact_not_found").await?),
    }
}

/// Remembers, in the transaction that closes the first stage, what follows when the holds have ended.
pub(super) async fn remember(run: &Run<'_>, tx: &mut Tx, held: &Held) -> Result<(), Stop> {
    let contact = run.contact()?;
    let holds: Vec<(HoldId, Option<NaiveDate>)> =
        held.holds.iter().map(|(id, until)| (HoldId(*id), *until)).collect();
    let postponement = Postponement {
        organisation: &run.lease.organisation,
        request: run.lease.request,
        contact: &contact,
        language: &run.language(),
        policies: held.policies.as_deref(),
        holds: &holds,
        at: run.executor.desk.clock.now(),
    };
    holds::postpone(tx, &postponement).await?;
    Ok(())
}

/// Hands in the second stage of every erasure against which no hold stands any more, each as a request of its own; returns
/// them. Any number of daemons may call it at any time. What is wrong with one of them is tried again, later each time, and stops
/// no other.
pub async fn resume_postponed(
    store: &Store,
    desk: &Desk,
    controller: &Controller,
) -> Result<Vec<RequestId>, IntakeError> {
    let organisation = &controller.id;
    let mut resumed = Vec::new();
    loop {
        let now = desk.clock.now();
        let today = now.with_timezone(&controller.time_zone).date_naive();
        let mut tx = store.begin("execution.resume_postponed").await?;
        let Some(first) = holds::take_resumable(&mut tx, organisation, today, now).await? else {
            return Ok(resumed);
        };
        let former = first.request;
        let error = match hand_in_rest(tx, desk, controller, first).await {
            Ok(second) => {
                tracing::info!(request = %second, "the rest of an erasure follows: no hold stands any more");
                resumed.push(second);
                continue;
            }
            Err(error) => error,
        };
        let Some(code) = code_of_unaccepted(&error) else { return Err(error) };
        holds::put_rest_back(&mut *store.connection().await?, organisation, former, code, now).await?;
        tracing::error!(
            request = %former, code, error = &error as &dyn std::error::Error,
            "the rest of this erasure could not be handed in although no hold stands any more; tried again later"
        );
    }
}

/// Hands in the second stage of one erasure.
async fn hand_in_rest(
    mut tx: Tx,
    desk: &Desk,
    controller: &Controller,
    first: Postponed,
) -> Result<RequestId, IntakeError> {
    let (organisation, now) = (&controller.id, desk.clock.now());
    let former = intake::find_case(&mut tx, organisation, first.request).await?;
    let proof = former.as_ref().and_then(intake::Case::proof);
    // A hold may stand for longer than the record of the first stage is kept.
    let gone = || Follows {
        request: first.request,
        received_on: controller.local_date(first.request.taken_up_at().unwrap_or(now)),
        because: FollowsBecause::Hold,
    };
    let mut follows =
        former.as_ref().map_or_else(gone, |former| former.followed(controller, FollowsBecause::Hold));
    // Where what follows from a consent taken back was done again before it was held, the person asked for no erasure either.
    if follows.because == FollowsBecause::Hold
        && follows.request != first.request
        && let Some(made) = intake::find_case(&mut tx, organisation, follows.request).await?
        && made.kind == RequestKind::ConsentWithdrawal
    {
        follows.because = FollowsBecause::Consent;
    }
    let submission = Submission {
        kind: RequestKind::Erasure,
        also: Vec::new(),
        kind_unknown: false,
        requester_role: RequesterRole::Own,
        origin: Origin::Subject,
        channel: Channel::Api,
        received_at: now,
        language: Some(first.language),
        identifiers: Vec::new(),
        policies: Vec::new(),
        ground: former.as_ref().and_then(|former| former.ground),
        // What was known of who asked, and since when: nobody proves anything anew here.
        proof,
        producer: "holds".to_owned(),
        handed_in_by: Some(Actor::Schedule("holds")),
        idempotency_key: first.request.to_string(),
        sweep_target: Some((first.contact, now)),
        follows: Some(follows),
    };
    let receipt = intake::submit(&mut tx, desk, controller, submission).await?;
    holds::note_resumed(&mut tx, organisation, first.request, receipt.request, now).await?;
    let detail = Detail::none().word("request", receipt.reference.as_str());
    let actor = Actor::Schedule("holds");
    let event = Event::of(organisation, first.request, Action::ErasureResumed, actor, now);
    audit::append(&mut tx, event.with(detail)).await?;
    tx.commit().await?;
    Ok(receipt.request)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn r_65_the_last_instant_of_a_record_is_found_whatever_its_fields_are_called() {
        let record = |json: &str| RawRecord::new(RawValue::from_string(json.to_owned()).unwrap());
        let found = |json: &str| last_day(&record(json), chrono_tz::Europe::Rome).map(|day| day.to_string());
        assert_eq!(
            found(r#"{"start":"2026-01-15T10:00:00Z","stop":"2026-01-15T23:30:00.5Z","bytesIn":7}"#)
                .as_deref(),
            Some("2026-01-16")
        );
        // The platform's local times carry a false `Z`.
        assert_eq!(
            found(r#"{"when":{"createdAt":"2026-01-15T10:00:00Z","createdAtLocal":"2026-01-16T01:00:00Z"}}"#)
                .as_deref(),
            Some("2026-01-15")
        );
        assert_eq!(found(r#"{"stop":"2026-01-15 10:00:00"}"#).as_deref(), Some("2026-01-15"));
        assert_eq!(found(r#"{"id":"s-0000001","duration":3600}"#), None);
    }

    #[test]
    fn r_65_a_day_of_a_record_without_its_zone_is_the_day_that_is_written() {
        for zone in [chrono_tz::America::Los_Angeles, chrono_tz::UTC, chrono_tz::Pacific::Auckland] {
            for text in ["2026-01-15", "2026-01-15 00:30:00", "2026-01-15T23:30:00"] {
                let json = format!(r#"{{"stop":"{text}"}}"#);
                let record = RawRecord::new(RawValue::from_string(json).unwrap());
                assert_eq!(last_day(&record, zone), NaiveDate::from_ymd_opt(2026, 1, 15), "{text} in {zone}");
            }
        }
    }
}
