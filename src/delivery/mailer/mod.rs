//! Sending, with proof before and after.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use lettre::Address;
use lettre::message::Mailbox;
use uuid::Uuid;

use crate::audit::{Action, Detail, Ending, EntryId, Event};
use crate::delivery::message::{Message, settings_address};
use crate::delivery::notice::{NoticeKind, Sender};
use crate::delivery::sql;
use crate::delivery::text;
use crate::delivery::transport::{Effect, Failure, TextGateway, Transport};
use crate::delivery::{DeliveryError, Settings};
use crate::domain::{Clock, Controller, KillSwitch, MasterKey, OrganisationId, RequestId};
use crate::queue::{self, Instance};
use crate::store::{Store, StoreError};

mod announce;
mod attempt;
mod record;

pub use attempt::{Announced, Answered, Attempt};
pub use record::{end_open_attempts, is_given_up};

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The mail server took the notice just now.
    Sent,
    /// It did not; try again after this time.
    Later(Duration),
    /// It never will, with this code: a person must find another way.
    Refused(String),
    /// It was sent before.
    AlreadySent,
}

/// Why a notice waits that a newer program wrote.
const NEWER_PROGRAM: &str = "newer_program";

/// How long this program leaves it alone.
const LEAVE_TO_NEWER: Duration = Duration::from_mins(1);

/// The gateways of text messages, by organisation.
pub type TextGateways = BTreeMap<OrganisationId, TextGateway>;

/// Sends notices.
#[derive(Clone, Debug)]
pub struct Mailer {
    settings: Settings,
    store: Store,
    keys: Arc<MasterKey>,
    controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    clock: Arc<dyn Clock>,
    transport: Arc<Transport>,
    gateways: Arc<TextGateways>,
    from: Address,
    reply_to: Option<Mailbox>,
    kill: KillSwitch,
    /// Whether the clock is compared with the database's before a notice is given up.
    checks_clock: bool,
}

impl Mailer {
    /// The addresses that mails come from and that answers go to: the controller's own, and no person's.
    pub fn own_addresses(&self) -> impl Iterator<Item = &str> {
        iter::once(self.settings.from_address.as_str()).chain(self.settings.reply_to_address.as_deref())
    }

    /// Checks the settings and all texts. Nothing is sent or connected yet.
    pub fn new(
        settings: Settings,
        store: Store,
        keys: Arc<MasterKey>,
        controllers: BTreeMap<OrganisationId, Arc<Controller>>,
        clock: Arc<dyn Clock>,
        transport: Transport,
    ) -> Result<Self, DeliveryError> {
        settings.check()?;
        text::check_texts().map_err(DeliveryError::Texts)?;
        let from = settings_address(&settings.from_address)?;
        let reply_to = match &settings.reply_to_address {
            Some(address) => Some(Mailbox::new(None, settings_address(address)?)),
            None => None,
        };
        let transport = Arc::new(transport);
        let kill = KillSwitch::default();
        let gateways = Arc::default();
        Ok(Self {
            settings,
            store,
            keys,
            controllers,
            clock,
            transport,
            gateways,
            from,
            reply_to,
            kill,
            checks_clock: false,
        })
    }

    /// The same mailer, with the ways to telephones.
    #[must_use]
    pub fn with_gateways(self, gateways: TextGateways) -> Self {
        Self { gateways: Arc::new(gateways), ..self }
    }

    /// The same mailer, giving no notice up because its days have passed by a clock that differs from the database's (F-48): for
    /// whoever works by the clock of a machine, and not by one that is moved by hand.
    #[must_use]
    pub fn checking_the_clock(self) -> Self {
        Self { checks_clock: true, ..self }
    }

    /// The same mailer, dying where `kill` says: at `notice.begun`, `notice.sent` and `notice.ended`. For tests of
    /// crashes.
    #[must_use]
    pub fn with_kill(&self, kill: KillSwitch) -> Self {
        Self { kill, ..self.clone() }
    }

    /// Sends the notice of a request now and waits for the mail server's answer. Whoever calls it must make sure that
    /// nobody else does so for the same notice at the same time: the procedure by its lease, the pump by its claim.
    ///
    /// Three parts: a transaction that announces the attempt, the sending, a transaction that records its end. When the
    /// process dies in between, the next call finds the announcement without an end, records it as `outcome_unknown`, and
    /// sends once more under the same Message-ID.
    pub async fn deliver(
        &self,
        organisation: &OrganisationId,
        request: RequestId,
        kind: NoticeKind,
    ) -> Result<Delivery, DeliveryError> {
        self.deliver_one((organisation, request, kind), None).await
    }

    /// The same for the one notice that is named, where there are several of the kind.
    async fn deliver_one(
        &self,
        (organisation, request, kind): (&OrganisationId, RequestId, NoticeKind),
        notice: Option<Uuid>,
    ) -> Result<Delivery, DeliveryError> {
        let attempt = match self.begin((organisation, request, kind), notice).await? {
            Announced::Ready(attempt) => attempt,
            Announced::Settled(delivery) => {
                if matches!(delivery, Delivery::Later(_)) {
                    // Whoever waits for an answer to it is told after the row is free: they lock in another order.
                    queue::wake(&mut *self.store.connection().await?, organisation, request).await?;
                }
                return Ok(delivery);
            }
            Announced::FormerOpen => return Err(DeliveryError::Superseded),
        };
        let answered = self.send(attempt).await?;
        let delivery = self.record_alone(&answered).await?;
        self.reached("ended")?;
        Ok(delivery)
    }

    /// Sends what was announced in a transaction that is committed.
    pub async fn send(&self, attempt: Box<Attempt>) -> Result<Answered, DeliveryError> {
        self.reached("begun")?;
        let answer = match &attempt.message {
            Message::Mail(mail) => self.transport.send(mail).await,
            Message::Text(text) => match self.gateways.get(&attempt.organisation) {
                Some(gateway) => gateway.send(text).await,
                None => Err(Failure::temporary("no_gateway", Effect::None)),
            },
        };
        let at = self.clock.now();
        self.reached("sent")?;
        Ok(Answered { attempt, answer, at })
    }

    fn reached(&self, point: &str) -> Result<(), DeliveryError> {
        Ok(self.kill.reached("notice", point)?)
    }

    /// Sends the due notices that nobody waits for, one round of as many as may be under way at once, and returns how
    /// many it took up: call it again at once while that is not 0. A notice that cannot be made into a mail is put off
    /// for the longest wait and told in the log, until it counts as refused like one that fails for days; it does not keep
    /// the others.
    ///
    /// Without an instance a claim ends by its time only: for tests and tools that end with their process. A daemon pumps
    /// with [`Mailer::pump_as`].
    pub async fn pump_once(&self) -> Result<usize, DeliveryError> {
        self.pump(None).await
    }

    /// The same in the name of an instance: as soon as that is declared dead, [`crate::delivery::take_back_claims`] gives what it
    /// was about to send to others. An instance that was declared dead gets nothing.
    pub async fn pump_as(&self, instance: Instance) -> Result<usize, DeliveryError> {
        self.pump(Some(instance)).await
    }

    async fn pump(&self, instance: Option<Instance>) -> Result<usize, DeliveryError> {
        let organisations: Vec<String> = self.controllers.keys().map(ToString::to_string).collect();
        let most = i64::from(self.settings.smtp.max_connections.max(1));
        // Waiting for a place and sending may each last this long, the transactions a little.
        let claim = Duration::from_secs(2 * u64::from(self.settings.send_timeout_secs) + 60);
        let longest = claim.max(Duration::from_secs(self.settings.retry_max_secs.into()));
        let mut connection = self.store.connection().await?;
        let claimed =
            sql::claim_due(&mut connection, instance, &organisations, most, (claim, longest)).await?;
        drop(connection);
        let sendings = claimed.iter().map(|row| async move {
            let result = self.pump_one(row).await;
            if let Err(error) = &result
                && !error.is_transient()
                && !matches!(error, DeliveryError::Killed)
            {
                self.set_aside(row, error).await?;
            }
            result
        });
        let mut failed = None;
        for result in join_all(sendings).await {
            if let Err(error) = result {
                if matches!(error, DeliveryError::Killed) {
                    return Err(error);
                }
                if matches!(error, DeliveryError::NewerProgram(_)) {
                    tracing::info!(%error, "a notice is left alone");
                    continue;
                }
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a notice could not be sent and waits; see dsrd.notice"
                );
                failed = failed.or(error.is_transient().then_some(error));
            }
        }
        failed.map_or(Ok(claimed.len()), Err)
    }

    async fn pump_one(&self, row: &sql::ClaimRow) -> Result<(), DeliveryError> {
        let organisation = row
            .organisation_id
            .parse()
            .map_err(|_| StoreError::unreadable("delivery.pump", "dsrd.notice.organisation_id"))?;
        let kind = row.kind.parse().map_err(|_| DeliveryError::NewerProgram("dsrd.notice.kind"))?;
        let of = (&organisation, RequestId(row.request_id), kind);
        self.deliver_one(of, Some(row.notice_id)).await?;
        Ok(())
    }

    /// Puts a notice off that cannot be made into a mail: one of a newer program for a moment, so that the pump of that finds it.
    /// After as many days as one is given that fails it counts as refused, so that staff hear that the person was not told.
    async fn set_aside(&self, row: &sql::ClaimRow, error: &DeliveryError) -> Result<(), DeliveryError> {
        let (code, wait) = match error {
            DeliveryError::NewerProgram(_) => (NEWER_PROGRAM, LEAVE_TO_NEWER),
            _ => ("unsendable", Duration::from_secs(self.settings.retry_max_secs.into())),
        };
        let at = self.clock.now();
        let mut tx = self.store.begin("delivery.set_aside").await?;
        let waiting = sql::put_off(&mut tx, &row.organisation_id, row.notice_id, code, wait).await?;
        let given_up = match waiting {
            Some(since) => self.is_given_up(&mut tx, since, at).await?,
            None => false,
        };
        if given_up && let (Ok(organisation), Ok(kind)) = (row.organisation_id.parse(), row.kind.parse()) {
            let of = (&organisation, RequestId(row.request_id), kind);
            self.refuse_unsendable(&mut tx, of, Sender::Pump, row.notice_id, code, at).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// The end of an attempt that nobody saw.
fn former_ended(
    organisation: &OrganisationId,
    request: RequestId,
    sender: Sender,
    kind: NoticeKind,
    notice: Uuid,
    intent: Uuid,
    at: DateTime<Utc>,
) -> Event {
    Event::of(organisation, request, Action::NoticeEnded, sender.actor(), at)
        .ending(EntryId(intent), Ending::Unknown)
        .with(detail_of(kind, notice))
}

fn detail_of(kind: NoticeKind, notice: Uuid) -> Detail {
    Detail::none().word("kind", kind.as_str()).word("notice", &notice.to_string())
}
