//! Telling recipients what is due, with an entry before and after.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::error::RecipientError;
use super::object;
use super::settings::{ChannelKind, Recipient};
use super::sql::{self, Locked};
use super::task::{TaskAction, TaskState};
use super::webhook::{self, Telling, Told};
use crate::audit::{self, Action, Actor, Detail, Ending, EntryId, Event};
use crate::delivery::{self, Effect, RecipientLetter, Transport};
use crate::domain::{Clock, Controller, KillSwitch, MasterKey, OrganisationId, Personal, Reference};
use crate::store::{Store, StoreError};

/// The secrets of webhooks, by organisation and short name of the recipient.
pub type Secrets = BTreeMap<(OrganisationId, String), Zeroizing<String>>;

/// So many tasks are taken up in a round, one after the other.
const BATCH: usize = 8;
/// A task that was taken up is left to whoever did for this long: longer than any one sending takes.
const CLAIM: Duration = Duration::from_mins(5);
/// The wait after a first failure; it doubles with every further one.
const FIRST_WAIT: Duration = Duration::from_mins(1);
/// The longest such wait, also for what only a person can mend.
const LONGEST_WAIT: Duration = Duration::from_hours(6);

/// Tells recipients.
#[derive(Clone)]
pub struct Courier {
    /// The database.
    pub store: Store,
    /// Opens the objects.
    pub keys: Arc<MasterKey>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// On whose behalf.
    pub controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    /// The recipients of each.
    pub registers: BTreeMap<OrganisationId, Arc<[Recipient]>>,
    /// What signs the calls.
    pub secrets: Arc<Secrets>,
    /// The way of mails.
    pub transport: Arc<Transport>,
    /// Their sender.
    pub mail: delivery::Settings,
    /// Stops the courier at a boundary; inert in production.
    pub kill: KillSwitch,
}

impl fmt::Debug for Courier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Courier")
            .field("organisations", &self.controllers.len())
            .finish_non_exhaustive()
    }
}

/// A sending that stands in the log and may now happen.
struct Sending {
    recipient: Recipient,
    locked: Locked,
    intent: EntryId,
    at: DateTime<Utc>,
}

/// How a sending ended, as far as is known.
struct Ended {
    ending: Ending,
    code: String,
    is_confirmed: bool,
    /// For a mail: name and digest of its text.
    text: Option<(String, [u8; 32])>,
}

impl Courier {
    /// Tells what is due, up to a batch, and returns how many it took up: call it again at once while that is not 0. Then
    /// says in the log which open tasks are past their day.
    pub async fn pump_once(&self) -> Result<usize, RecipientError> {
        let organisations: Vec<String> = self.controllers.keys().map(ToString::to_string).collect();
        let mut taken_up = 0;
        while taken_up < BATCH {
            // One at a time: the claims of those that wait for the one in hand would run out.
            let mut connection = self.store.connection().await?;
            let claimed = sql::claim_due(&mut connection, &organisations, 1, (CLAIM, LONGEST_WAIT)).await?;
            drop(connection);
            let Some((organisation, task)) = claimed.into_iter().next() else { break };
            let organisation: OrganisationId = organisation
                .parse()
                .map_err(|_| StoreError::unreadable("recipients.pump", "recipient_task.organisation_id"))?;
            taken_up += 1;
            self.tell(&organisation, task).await?;
        }
        self.raise_overdue().await?;
        Ok(taken_up)
    }

    async fn tell(&self, organisation: &OrganisationId, task: Uuid) -> Result<(), RecipientError> {
        let Some(sending) = self.begin(organisation, task).await? else { return Ok(()) };
        self.reached("begun")?;
        let ended = self.send(organisation, task, &sending).await;
        self.reached("sent")?;
        self.finish(organisation, task, &sending, ended).await
    }

    fn reached(&self, point: &str) -> Result<(), RecipientError> {
        self.kill.reached("recipient", point).map_err(|_| RecipientError::Killed)
    }

    /// Announces a sending; none where there is nothing to send, or nothing that can be sent now.
    async fn begin(
        &self,
        organisation: &OrganisationId,
        task: Uuid,
    ) -> Result<Option<Sending>, RecipientError> {
        let at = self.clock.now();
        let mut tx = self.store.begin("recipients.begin").await?;
        let Some(locked) = sql::lock(&mut tx, organisation, task).await? else { return Ok(None) };
        if let Some(former) = locked.intent {
            // Nobody saw how it ended; the recipient knows a repetition by the id of the task.
            sql::set_intent(&mut tx, organisation, task, None).await?;
            let event = event(organisation, task, &locked, Action::RecipientEnded, at);
            audit::append(&mut tx, event.ending(EntryId(former), Ending::Unknown)).await?;
        }
        if locked.state != TaskState::Queued {
            tx.commit().await?;
            return Ok(None);
        }
        let registered = self
            .registers
            .get(organisation)
            .and_then(|register| register.iter().find(|recipient| recipient.id == locked.recipient).cloned());
        let problem = match &registered {
            None => Some("not_in_register"),
            Some(recipient) if recipient.channel == ChannelKind::Person => Some("by_person"),
            Some(_) if locked.sealed_object.is_none() => Some("object_forgotten"),
            Some(_) => None,
        };
        let (Some(recipient), None) = (registered, problem) else {
            let code = problem.unwrap_or("not_in_register");
            sql::put_off(&mut tx, organisation, task, code, LONGEST_WAIT).await?;
            tx.commit().await?;
            tracing::warn!(%organisation, request = %locked.request, code, detail = locked.recipient, "a recipient cannot be told; see `dsrd recipient list`");
            return Ok(None);
        };
        let event = event(organisation, task, &locked, Action::RecipientBegan, at);
        let intent = event.id;
        audit::append(&mut tx, event).await?;
        sql::set_intent(&mut tx, organisation, task, Some(intent.0)).await?;
        self.reached("announced")?;
        tx.commit().await?;
        Ok(Some(Sending { recipient, locked, intent, at }))
    }

    async fn send(&self, organisation: &OrganisationId, task: Uuid, sending: &Sending) -> Ended {
        let failed =
            |code: &str, ending| Ended { ending, code: code.to_owned(), is_confirmed: false, text: None };
        let Some(controller) = self.controllers.get(organisation) else {
            return failed("unknown_organisation", Ending::Failed);
        };
        let sealed = sending.locked.sealed_object.as_deref().unwrap_or_default();
        let Ok(object) = object::open(&self.keys, task, sealed) else {
            return failed("object_does_not_open", Ending::Failed);
        };
        let telling = Telling {
            organisation: organisation.as_str(),
            task,
            action: sending.locked.action,
            object,
            categories: &sending.locked.categories,
            answer_by: sending.locked.answer_by,
            at: sending.at,
        };
        match sending.recipient.channel {
            ChannelKind::Webhook => {
                let key = (organisation.clone(), sending.recipient.id.clone());
                let Some(secret) = self.secrets.get(&key) else {
                    return failed("no_secret", Ending::Failed);
                };
                match webhook::call(&sending.recipient, secret, &telling).await {
                    Ok(told) => Ended {
                        ending: Ending::Done,
                        code: "taken".to_owned(),
                        is_confirmed: told == Told::Confirmed,
                        text: None,
                    },
                    Err((code, may_have_arrived)) => {
                        failed(&code, if may_have_arrived { Ending::Unknown } else { Ending::Failed })
                    }
                }
            }
            ChannelKind::Mail => self.mail(controller, sending, &telling).await,
            // Was put off when the sending was to be announced.
            ChannelKind::Person => failed("by_person", Ending::Failed),
        }
    }

    /// The notice N-17, in the recipient's language.
    async fn mail(&self, controller: &Controller, sending: &Sending, telling: &Telling<'_>) -> Ended {
        let Telling { task, action, object, categories, answer_by, at, .. } = telling;
        let reference = Reference::of(sending.locked.request);
        let letter = RecipientLetter {
            controller,
            language: sending.recipient.language.as_deref().unwrap_or(&controller.language),
            reference: reference.as_str(),
            action: phrase_of(*action),
            on: controller.local_date(*at),
            answer_by: *answer_by,
            objects: Personal::new(format!(
                "Cloud4Wi {}: {} (dsrd-task {task})",
                object.expose(),
                categories.join(", "),
            )),
            to: sending.recipient.mail_to.as_deref().unwrap_or_default(),
            message_id: format!("<{task}@{}.recipient.dsrd.invalid>", controller.id),
            at: *at,
        };
        let prepared = match delivery::prepare_letter(&self.mail, letter) {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(organisation = %controller.id, error = &error as &dyn std::error::Error, "a mail to a recipient cannot be made");
                return Ended {
                    ending: Ending::Failed,
                    code: "unusable_message".to_owned(),
                    is_confirmed: false,
                    text: None,
                };
            }
        };
        let (ending, code) = match delivery::send_letter(&self.transport, &prepared).await {
            Ok(_) => (Ending::Done, "taken".to_owned()),
            Err(failure) if failure.effect == Effect::Unknown => (Ending::Unknown, failure.code),
            Err(failure) => (Ending::Failed, failure.code),
        };
        Ended { ending, code, is_confirmed: false, text: Some((prepared.template, prepared.text_sha256)) }
    }

    async fn finish(
        &self,
        organisation: &OrganisationId,
        task: Uuid,
        sending: &Sending,
        ended: Ended,
    ) -> Result<(), RecipientError> {
        let at = self.clock.now();
        let is_told = ended.ending == Ending::Done;
        let mut tx = self.store.begin("recipients.finish").await?;
        // Locked first: an answer that a person records at this moment is seen.
        let Some(locked) = sql::lock(&mut tx, organisation, task).await? else { return Ok(()) };
        let how = (ended.code.as_str(), wait_after(sending.locked.attempts + 1));
        let sent_at = is_told.then_some(at);
        if !sql::finish_sending(&mut tx, organisation, task, sending.intent.0, sent_at, how).await? {
            // Another daemon took it over and has said that nobody knows how this one ended.
            return Ok(());
        }
        let mut event = event(organisation, task, &sending.locked, Action::RecipientEnded, at);
        event.detail = event.detail.word("code", &ended.code);
        if let (Some((template, digest)), true) = (&ended.text, is_told) {
            event.detail = event.detail.word("template", template).word("text_sha256", &hex::encode(digest));
            sql::set_text(&mut tx, organisation, task, template, digest).await?;
        }
        audit::append(&mut tx, event.ending(sending.intent, ended.ending)).await?;
        if ended.is_confirmed && locked.state.is_open() {
            sql::end(&mut tx, organisation, task, (TaskState::Confirmed, None), at).await?;
            audit::append(
                &mut tx,
                self::event(organisation, task, &sending.locked, Action::RecipientConfirmed, at),
            )
            .await?;
        }
        self.reached("written")?;
        tx.commit().await?;
        self.reached("ended")?;
        if !is_told {
            tracing::warn!(%organisation, request = %sending.locked.request, code = ended.code, detail = sending.recipient.id, "a recipient could not be told; tried again");
        }
        Ok(())
    }

    /// Says in the log, once for each, which open tasks are past their day.
    async fn raise_overdue(&self) -> Result<(), RecipientError> {
        let at = self.clock.now();
        for controller in self.controllers.values() {
            let organisation = &controller.id;
            let mut tx = self.store.begin("recipients.overdue").await?;
            let overdue =
                sql::take_overdue(&mut tx, organisation, controller.local_date(at), at, 100).await?;
            for late in &overdue {
                let detail = Detail::none()
                    .word("task", &late.task.to_string())
                    .word("recipient", &late.recipient)
                    .word("state", &late.state);
                let event = Event::of(
                    organisation,
                    late.request,
                    Action::RecipientOverdue,
                    Actor::Process("courier"),
                    at,
                );
                audit::append(&mut tx, event.with(detail)).await?;
            }
            tx.commit().await?;
            for late in overdue {
                tracing::warn!(%organisation, request = %late.request, detail = late.recipient, "a recipient has not answered in its time; see `dsrd recipient list --open`");
            }
        }
        Ok(())
    }
}

fn wait_after(attempts: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_WAIT)
}

fn event(
    organisation: &OrganisationId,
    task: Uuid,
    locked: &Locked,
    action: Action,
    at: DateTime<Utc>,
) -> Event {
    let detail = Detail::none()
        .word("task", &task.to_string())
        .word("recipient", &locked.recipient)
        .word("action", locked.action.as_str());
    Event::of(organisation, locked.request, action, Actor::Process("courier"), at).with(detail)
}

/// The ending of the phrase that says what a recipient is asked to do.
const fn phrase_of(action: TaskAction) -> &'static str {
    match action {
        TaskAction::Erase => "erasure",
        TaskAction::Rectify => "rectification",
        TaskAction::Restrict => "restriction",
        TaskAction::Release => "release",
        TaskAction::OptOut => "opt_out",
        TaskAction::CcpaOptOut => "ccpa_opt_out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let minutes = |attempts| wait_after(attempts).as_secs() / 60;
        assert_eq!([1, 2, 3, 4, 9, 10, 1000].map(minutes), [1, 2, 4, 8, 256, 360, 360]);
    }
}
