//! Mails to staff sent, with proof before and after, as notices are.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::sql::{self, MailRow};
use super::watch::{ACTOR, Watch};
use crate::audit::{self, Action, Actor, Detail, Ending, EntryId, Event};
use crate::delivery::{self, Effect, Failure, StaffLetter};
use crate::domain::{Killed, OrganisationId, StaffRole};
use crate::store::{StoreError, Tx};

/// Ends the attempts to send mails to staff of an organisation of which nobody saw the end, and which nobody takes up again because
/// the organisation is taken out. Their end is unknown.
pub async fn end_abandoned(
    tx: &mut Tx,
    organisation: &OrganisationId,
    actor: &Actor,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    for mail in sql::abandon_mails(tx, organisation).await? {
        let ended = Event::general(organisation, Action::StaffMailEnded, actor.clone(), at)
            .ending(EntryId(mail.intent), Ending::Unknown)
            .with(detail_of(&mail.kind, &mail.role, mail.mail_id));
        audit::append(tx, ended).await?;
    }
    Ok(())
}

/// What entries say of a mail.
fn detail_of(kind: &str, role: &str, mail: Uuid) -> Detail {
    Detail::none().word("kind", kind).word("role", role).word("mail", &mail.to_string())
}

impl Watch {
    /// Sends the mails that are due, one after the other, and returns how many it took up. A mail whose sender died is
    /// taken up again after its claim, under the same Message-ID.
    pub async fn send_due(&self) -> Result<usize, StoreError> {
        let organisations: Vec<String> = self.wards.keys().map(ToString::to_string).collect();
        let claim = Duration::from_secs(2 * u64::from(self.mail.send_timeout_secs) + 60);
        let longest = claim.max(Duration::from_secs(self.mail.retry_max_secs.into()));
        let mut taken = 0;
        loop {
            let mut connection = self.store.connection().await?;
            let claimed = sql::claim_mail(&mut connection, &organisations, claim, longest).await?;
            drop(connection);
            let Some(row) = claimed else { return Ok(taken) };
            taken += 1;
            if self.send_one(&row).await?.is_err() {
                return Ok(taken);
            }
        }
    }

    async fn send_one(&self, row: &MailRow) -> Result<Result<(), Killed>, StoreError> {
        let unreadable = |what: &str| StoreError::unreadable("alert.send", what);
        let organisation: OrganisationId =
            row.organisation_id.parse().map_err(|_| unreadable("dsrd.staff_mail.organisation_id"))?;
        let role: StaffRole = row.role.parse().map_err(|_| unreadable("dsrd.staff_mail.role"))?;
        let detail = || detail_of(&row.kind, role.as_str(), row.mail_id);
        let begun_at = self.clock.now();
        let mut tx = self.store.begin("alert.send_begin").await?;
        if let Some(former) = row.intent {
            // Nobody saw how it ended.
            let ended = Event::general(&organisation, Action::StaffMailEnded, ACTOR, begun_at)
                .ending(EntryId(former), Ending::Unknown)
                .with(detail());
            audit::append(&mut tx, ended).await?;
        }
        let began = Event::general(&organisation, Action::StaffMailBegan, ACTOR, begun_at).with(detail());
        let intent = audit::append(&mut tx, began).await?;
        if !sql::begin_mail(&mut tx, row, intent).await? {
            // Another daemon has taken it over meanwhile; nothing of this transaction stays.
            return Ok(Ok(()));
        }
        tx.commit().await?;
        if let Err(killed) = self.kill.reached("staff_mail", "begun") {
            return Ok(Err(killed));
        }
        let answer = self.hand_over(row, &organisation, role).await;
        if let Err(killed) = self.kill.reached("staff_mail", "sent") {
            return Ok(Err(killed));
        }

        let ended_at = self.clock.now();
        let mut tx = self.store.begin("alert.send_end").await?;
        let (ending, code, refused) = match answer {
            Ok(code) => (Ending::Done, code, false),
            Err(failure) => {
                let lasted = (row.enqueued_at, ended_at);
                let refused = failure.permanent
                    || delivery::is_given_up(&mut tx, &self.mail, self.checks_clock, lasted).await?;
                let ending = if failure.effect == Effect::Unknown { Ending::Unknown } else { Ending::Failed };
                (ending, failure.code, refused)
            }
        };
        let state = match (ending, refused) {
            (Ending::Done, _) => "sent",
            (_, true) => "refused",
            (_, false) => "pending",
        };
        if sql::end_mail(&mut tx, row, intent, state, &code, self.wait(row.attempts), ended_at).await? {
            let ended = Event::general(&organisation, Action::StaffMailEnded, ACTOR, ended_at)
                .ending(intent, ending)
                .with(detail().word("code", &code).flag("refused", refused));
            audit::append(&mut tx, ended).await?;
            tx.commit().await?;
            if refused {
                tracing::error!(%organisation, role = role.as_str(), code, "a mail to staff was refused; correct organisations.escalation, and see dsrd alert list");
            }
        }
        Ok(Ok(()))
    }

    async fn hand_over(
        &self,
        row: &MailRow,
        organisation: &OrganisationId,
        role: StaffRole,
    ) -> Result<String, Failure> {
        let settings = self.wards.get(organisation).map(|ward| &ward.settings);
        // The role may have lost its address since the mail was written: then whoever has one is told.
        let to = settings.and_then(|settings| {
            let role = settings.address_of(role).map(|_| role).or_else(|| settings.reachable().next());
            role.and_then(|role| settings.address_of(role))
        });
        let Some(to) = to else {
            return Err(Failure {
                code: "no_mail_address".to_owned(),
                permanent: true,
                effect: Effect::None,
            });
        };
        let letter = StaffLetter {
            to,
            message_id: row.message_id.clone(),
            subject: row.subject.clone(),
            text: row.body.clone(),
            at: self.clock.now(),
        };
        delivery::send_to_staff(&self.transport, &self.mail, letter).await
    }

    fn wait(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts).unwrap_or_default().min(16);
        let wait = u64::from(self.mail.retry_first_secs) << doublings;
        Duration::from_secs(wait.min(self.mail.retry_max_secs.into()))
    }
}
