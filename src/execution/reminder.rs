//! That a request turns out to be a reminder once its contact is found.
//!
//! Who asks again may name themselves otherwise: with the telephone number in place of the address. Intake sees two
//! requests then. When the search, or a person's choice, finds for the later one the contact of an open earlier one, it
//! ends as a reminder of that: the first goes on with its first date, and nothing is done twice.
//!
//! Only for what surely is the same: one contact, one kind, one ground, the data subject asking in both, within the time of
//! reminders. In doubt it is a request of its own, because answering twice harms nobody:
//! - An opt-out is carried out at once, whatever else is open.
//! - One that is known to come from the person never ends for one of which that is not known.
//! - What was answered or refused already, ended its wait for a proof without one, or stands against a newer will, is nothing that
//!   could be reminded of. Nor is what follows by itself from an older wish: it stops for a newer one, which this request is.
//! - Where the earlier one waits for a proof, the reminder takes the place of the one that the machine sends: the person gets
//!   another link at once. Where they had that already, or the time for it is nearly over, nothing would come of it.
//!
//! Whoever typed somebody's identifiers gains nothing by it and learns nothing from it (S-1, S-5). The first keeps its proof,
//! its recipient and its dates. The person is told as of every reminder, by an acknowledgement with the first date: of the
//! first request, which goes on, and at the address in the profile. At the address that was typed everything is as if there
//! were no other request: one acknowledgement with the date of the later one, which that keeps, and the same receipt however
//! often it is asked for.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::engine::Run;
use super::sql;
use super::stop::{Ended, Stop};
use crate::audit::{Action, Detail};
use crate::delivery::{self, NewNotice, NoticeKind, Sender};
use crate::domain::{
    ContactId, Handling, IdentifierKind, IdentityDoubt, Origin, Proof, Reference, RequestId, RequestKind,
    RequestState, SubjectIdentifier,
};
use crate::identity::{self, Asked, Occasion};
use crate::intake::{self, Case, CaseError, Identifier, IdentifierRole};
use crate::queue::{self, PutBack};
use crate::store::{PgConnection, Tx};

/// Where the earlier request ended between two looks: the later one goes on by itself, and is not looked at again.
const EARLIER_ENDED: &str = "earlier_ended";

/// The least time that the person must have left to answer by a new link.
const LEAST_LEFT: TimeDelta = TimeDelta::days(1);

/// An open request about the same contact, received earlier.
pub(super) struct Earlier {
    pub(super) request: RequestId,
    pub(super) due_on: NaiveDate,
    /// How it is known who asks in it.
    pub(super) proof: Option<Proof>,
    pub(super) state: RequestState,
    /// What is doubted, and until when an answer is waited for, where it waits for a proof.
    pub(super) waits: Option<(IdentityDoubt, DateTime<Utc>)>,
    /// Whether the person was reminded of that.
    pub(super) identity_reminded: bool,
}

impl Earlier {
    fn waits_for_proof(&self) -> bool {
        self.state == RequestState::NeedsIdentity
    }

    /// Whether the person can still answer it: it waits for nothing, or another link may go out and be used.
    fn can_be_answered(&self, now: DateTime<Utc>) -> bool {
        !self.waits_for_proof()
            || (!self.identity_reminded && self.waits.is_some_and(|(_, until)| now + LEAST_LEFT <= until))
    }
}

/// When the person said last what they want.
pub(super) struct LastAsked {
    /// When that reached the controller.
    pub(super) received_at: DateTime<Utc>,
    /// When the service accepted it.
    pub(super) inserted_at: DateTime<Utc>,
}

/// When the person asked last: by this request, or by one that ended as its reminder. What they did before that is no newer will.
/// A reminder of which it is less known who made it says nothing of what the person wants.
pub(super) async fn last_asked(run: &Run<'_>) -> Result<LastAsked, Stop> {
    let (case, now) = (&run.case, run.executor.desk.clock.now());
    let mut connection = run.executor.store.connection().await?;
    let reminders = intake::reminders_of(&mut connection, &run.lease.organisation, run.lease.request).await?;
    let is_doubtful = |proof| run.site.controller.identity.doubt(case.kind, proof, now).is_some();
    let own = LastAsked { received_at: case.received_at, inserted_at: case.inserted_at };
    let as_well_known =
        reminders.into_iter().filter(|reminder| is_doubtful(case.proof()) || !is_doubtful(reminder.proof));
    Ok(as_well_known.fold(own, |last, reminder| LastAsked {
        received_at: last.received_at.max(reminder.received_at),
        inserted_at: last.inserted_at.max(reminder.inserted_at),
    }))
}

/// Whether this request reminds of an open one, now that its contact is known.
pub(super) async fn reminds(run: &Run<'_>, contact: &ContactId) -> Result<bool, Stop> {
    if !may_remind(run) {
        return Ok(false);
    }
    let mut connection = run.executor.store.connection().await?;
    Ok(find(run, &mut connection, contact).await?.is_some())
}

fn may_remind(run: &Run<'_>) -> bool {
    run.site.controller.reminder_days > 0
        && run.case.origin == Origin::Subject
        && matches!(run.case.kind.handling(), Handling::Access | Handling::Portability | Handling::Erasure)
        // A person decided that this one goes on.
        && !run.case.despite_access
}

async fn find(
    run: &Run<'_>,
    connection: &mut PgConnection,
    contact: &ContactId,
) -> Result<Option<Earlier>, Stop> {
    let controller = &run.site.controller;
    let from = run.case.received_at - TimeDelta::days(controller.reminder_days.into());
    let Some(earlier) = sql::find_earlier_of_contact(connection, run.lease, contact, from).await? else {
        return Ok(None);
    };
    let now = run.executor.desk.clock.now();
    let is_doubtful = |proof| controller.identity.doubt(run.case.kind, proof, now).is_some();
    if is_doubtful(earlier.proof) && !is_doubtful(run.case.proof()) || !earlier.can_be_answered(now) {
        return Ok(None);
    }
    let organisation = &run.lease.organisation;
    let answered = delivery::answer_may_be_out(connection, organisation, earlier.request).await?;
    Ok((!answered).then_some(earlier))
}

impl Run<'_> {
    /// Ends the request as a reminder, if the earlier one is open still; otherwise it goes on by itself.
    pub(super) async fn end_as_reminder(&mut self) -> Result<Ended, Stop> {
        let contact = self.contact()?;
        let (organisation, request) = (&self.lease.organisation, self.lease.request);
        let now = self.executor.desk.clock.now();
        let mut tx = self.open("execution.end_as_reminder").await?;
        let Some(earlier) = self.lock_earlier(&mut tx, &contact).await? else {
            let how = PutBack { after: Duration::ZERO, code: EARLIER_ENDED, counts: false, crashed: false };
            queue::put_back(&mut tx, self.lease, how).await??;
            tx.commit().await?;
            return Ok(Ended::PutBack);
        };
        intake::set_superseded(&mut tx, organisation, request, earlier.request, now).await?;
        queue::done(&mut tx, self.lease).await??;
        if matches!(self.case.kind, RequestKind::Access | RequestKind::Portability) {
            queue::wake_waiting(&mut tx, organisation).await?;
        }
        let first = Reference::of(earlier.request);
        let detail = Detail::none()
            .word("reminds_of", first.as_str())
            .word("first_due_on", &earlier.due_on.to_string())
            .flag("same_contact", true);
        self.append(&mut tx, self.event(Action::RequestSuperseded).with(detail)).await?;
        self.tell_of_earlier(&mut tx, &earlier, now).await?;
        self.executor.kill.reached("reminder", "written")?;
        tx.commit().await?;
        self.executor.kill.reached("reminder", "committed")?;
        tracing::info!(request = %request, reference = first.as_str(), "a request turned out to be a reminder of an open one about the same contact");
        Ok(Ended::Closed)
    }

    /// The earlier request, kept from ending until this transaction does. Only a later one locks an earlier one, so that two
    /// never wait for each other.
    async fn lock_earlier(&self, tx: &mut Tx, contact: &ContactId) -> Result<Option<Earlier>, Stop> {
        let Some(seen) = find(self, tx, contact).await? else { return Ok(None) };
        match intake::lock_waiting(tx, &self.lease.organisation, seen.request).await {
            Ok(_) => {}
            Err(CaseError::Store(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        }
        // It may have gone on before it was locked; what is found now stays so.
        let found = find(self, tx, contact).await?;
        Ok(found.filter(|found| found.request == seen.request))
    }

    /// Lets the person know, at the address in their profile, that the earlier request goes on with its date: its receipt is
    /// acknowledged again. Where it waits for a proof, another link goes there as well.
    async fn tell_of_earlier(&self, tx: &mut Tx, earlier: &Earlier, now: DateTime<Utc>) -> Result<(), Stop> {
        let (organisation, keys) = (&self.lease.organisation, &self.executor.desk.keys);
        let known = intake::identifiers(tx, keys, organisation, earlier.request).await?;
        let case = intake::find_case(tx, organisation, earlier.request).await?;
        let Some(case) = case else { return Ok(()) };
        if let Some(address) = address_in_profile(&known) {
            self.acknowledge_again(tx, &case, address.number, now).await?;
        }
        if let Some(point) = identity::contact_point(&known, &self.site.controller)
            && let Some((doubt, until)) = earlier.waits.filter(|_| earlier.waits_for_proof())
        {
            let asked = Asked { doubt, until, contact_point: point.number, occasion: Occasion::Reminder };
            let actor = self.event(Action::IdentityAsked).actor;
            identity::ask(tx, keys, &self.site.controller, &case, asked, actor, now).await?;
            intake::set_reminded(tx, organisation, earlier.request).await?;
        }
        Ok(())
    }

    async fn acknowledge_again(
        &self,
        tx: &mut Tx,
        first: &Case,
        recipient_no: i16,
        now: DateTime<Utc>,
    ) -> Result<(), Stop> {
        const KIND: NoticeKind = NoticeKind::Acknowledgement;
        let organisation = &self.lease.organisation;
        // One that is about to go out says the same; whoever it goes to must not miss it because of this.
        if delivery::waits_to_be_sent(tx, organisation, first.request, KIND).await? {
            return Ok(());
        }
        if let Some(address) = address_in_profile(&self.identifiers) {
            // This request's own, with the later date, if it goes to the same address and is still to be sent.
            let own = self.lease.request;
            delivery::supersede_acknowledgement(tx, organisation, own, address.number, now).await?;
        }
        let notice = NewNotice {
            organisation: organisation.clone(),
            request: first.request,
            kind: KIND,
            sender: Sender::Pump,
            recipient_no,
            language: self.case.language.clone(),
            facts: first.facts(&self.site.controller),
            words: None,
            link_token: None,
        };
        delivery::enqueue_again(tx, &self.executor.desk.keys, notice, now).await?;
        Ok(())
    }
}

/// The address in the profile, among what is known of a request.
fn address_in_profile(known: &[Identifier]) -> Option<&Identifier> {
    known.iter().find(|each| is_address_in_profile(each.role, &each.identifier))
}

/// Whether an identifier is the address in the profile: its contact point, where that is no telephone number, which several
/// people may share.
pub(super) fn is_address_in_profile(role: IdentifierRole, identifier: &SubjectIdentifier) -> bool {
    role == IdentifierRole::ContactPoint && identifier.kind() == IdentifierKind::Email
}
