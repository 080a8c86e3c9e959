//! Step `inform`: the person is told, after the read-back and not before.
//!
//! The notice is written into the outbox together with the finding that it tells; this step hands it to the mail
//! server and waits for its answer. Nobody is told of a sweep. A request without any address waits for a person, who
//! tells them by other means (`dsrd request informed`).

use chrono::{DateTime, Days, Months, Utc};

use super::Step;
use super::engine::{LEAVE_TO_NEWER, Run};
use super::follow_up::what_will_follow;
use super::hold::Standing;
use super::outcome::{Located, Refused};
use super::sql;
use super::stop::Stop;
use crate::delivery::{Announced, Delivery, DeliveryError, Facts, Kept, NoticeKind, OtherRequest, Refusal};
use crate::domain::{
    Handling, HoldKind, Origin, Outcome, ParkReason, Personal, RefusalGround, RequestId, RequestKind,
};
use crate::recipients::{self, Affected};
use crate::store::Tx;
use crate::suppression::{self, ledger};

/// A notice whose recipient is found when it is written.
pub(super) struct PreparedNotice {
    pub(super) kind: NoticeKind,
    pub(super) facts: Facts,
    /// What the controller says in support of a refusal.
    pub(super) words: Option<Personal<String>>,
    pub(super) link_token: Option<Personal<String>>,
}

pub(super) async fn inform(run: &mut Run<'_>) -> Result<(), Stop> {
    if run.case.origin == Origin::Retention || run.case.informed_at.is_some() {
        return Ok(());
    }
    let kind = match run.conclusion()? {
        Outcome::Refused => NoticeKind::Refused,
        Outcome::NotIdentified => NoticeKind::NotIdentified,
        _ if run.is_finished(Step::Answer, "") => run.answered_by()?,
        outcome => notice_kind(run.case.kind, outcome, run.located()?.contact.is_some()),
    };
    match run.send(kind).await? {
        Delivery::Sent | Delivery::AlreadySent => Ok(()),
        Delivery::Later(after) => Err(Stop::wait(after, "notice_waits")),
        Delivery::Refused(_) => Err(Stop::NeedsPerson(ParkReason::NoticeRefused)),
    }
}

impl Run<'_> {
    /// Announces the notice in the transaction that writes the finding which it tells, sends it, and leaves the recording of
    /// its success to the transaction that closes the request: each transaction saved is a flush of the log saved.
    async fn send(&mut self, kind: NoticeKind) -> Result<Delivery, Stop> {
        if kind.hands_over() {
            self.ledger_is_written()?;
        }
        let executor = self.executor;
        self.announcing = Some(kind);
        let opened = self.open("execution.inform").await;
        self.announcing = None;
        let mut tx = opened?;
        executor.kill.reached(Step::Inform.as_str(), "written")?;
        // The recipient is known only once the contact point is stored.
        if self.recipient().is_none() {
            tx.commit().await?;
            return Err(Stop::NeedsPerson(ParkReason::NoContactPoint));
        }
        let (organisation, request) = (&self.lease.organisation, self.lease.request);
        // A report that was handed over must be known after a restore, as an effect must.
        let entry = kind.hands_over().then(|| self.report_entry()).transpose()?;
        if let Some(entry) = &entry {
            ledger::enter(&mut tx, entry).await?;
        }
        let announced = match self.announced.take() {
            Some(announced) => announced,
            None => executor.mailer.announce(&mut tx, organisation, request, kind).await,
        };
        let announced = match announced {
            Err(DeliveryError::Store(error)) => return Err(Stop::Store(error)),
            announced => announced,
        };
        // What was found stands, whatever is wrong with the notice.
        tx.commit().await?;
        executor.kill.reached(Step::Inform.as_str(), "committed")?;
        if let Some(entry) = &entry {
            self.write_outside(entry).await?;
        }
        let attempt = match announced.map_err(|error| self.undelivered(&error))? {
            // Frozen and thawed in between: whoever took over may be sending this notice already.
            Announced::Ready(_) if !self.heart.may_act() => return Err(Stop::LeaseLost),
            Announced::Ready(attempt) => attempt,
            Announced::Settled(delivery) => return Ok(delivery),
            Announced::FormerOpen => {
                let delivered = executor.mailer.deliver(organisation, request, kind).await;
                return delivered.map_err(|error| self.undelivered(&error));
            }
        };
        let answered = executor.mailer.send(attempt).await.map_err(|error| self.undelivered(&error))?;
        if answered.is_taken() {
            self.told = Some(answered);
            return Ok(Delivery::Sent);
        }
        executor.mailer.record_alone(&answered).await.map_err(|error| self.undelivered(&error))
    }

    /// Records in the closing transaction that the mail server took the notice, and returns when it did.
    pub(super) async fn record_told(&mut self, tx: &mut Tx) -> Result<Option<DateTime<Utc>>, Stop> {
        let Some(answered) = self.told.take() else { return Ok(None) };
        let recorded = self.executor.mailer.record(tx, &answered).await;
        recorded.map_err(|error| match error {
            DeliveryError::Store(error) => Stop::Store(error),
            other => self.undelivered(&other),
        })?;
        Ok(Some(answered.at()))
    }

    /// Records the same where the case went to somebody else while the mail was under way: what was sent was sent.
    pub(super) async fn record_told_without_lease(&mut self) {
        if let Some(answered) = self.told.take()
            && let Err(error) = self.executor.mailer.record_alone(&answered).await
        {
            tracing::warn!(request = %self.lease.request, %error, "that a notice was sent could not be recorded");
        }
    }

    fn undelivered(&self, error: &DeliveryError) -> Stop {
        if matches!(error, DeliveryError::Killed) {
            return Stop::Killed;
        }
        if matches!(error, DeliveryError::NewerProgram(_)) {
            return Stop::wait(LEAVE_TO_NEWER, "newer_program");
        }
        tracing::warn!(request = %self.lease.request, %error, "a notice could not be sent");
        if error.is_transient() {
            self.later("notice_failed")
        } else {
            Stop::NeedsPerson(ParkReason::NoticeFailed)
        }
    }
}

const fn notice_kind(kind: RequestKind, outcome: Outcome, held: bool) -> NoticeKind {
    match (kind.handling(), outcome, held) {
        (Handling::Person, ..) => NoticeKind::Answered,
        (_, _, false) => NoticeKind::NoData,
        (Handling::Access, ..) => NoticeKind::AccessReady,
        (Handling::Portability, ..) => NoticeKind::PortabilityReady,
        (Handling::Erasure, Outcome::PartlyFulfilled, _) => NoticeKind::ErasurePartlyDone,
        (Handling::Erasure, ..) => NoticeKind::ErasureDone,
        (Handling::OptOut, ..) => NoticeKind::OptOutDone,
    }
}

fn facts(run: &Run<'_>) -> Facts {
    let controller = &run.site.controller;
    let today = controller.local_date(run.executor.desk.clock.now());
    let mut facts = run.case.facts(controller);
    facts.done_on = Some(today);
    facts.evidence_until = today.checked_add_months(Months::new(run.executor.desk.evidence_months));
    facts
}

/// Whether what was done is remembered by keyed hash, which the person is told: not of a self-test, whose contact is nobody.
fn is_remembered(run: &Run<'_>) -> bool {
    run.case.origin == Origin::Subject
}

/// So many other requests are named in a mail, the newest; it says when there are more.
const MOST_OTHERS: u8 = 50;

/// N-10. The platform holds nothing; who asked what is held about them is told as well what this service itself does: of the
/// one address to which the answer goes, so that it tells nobody of anybody else (S-5).
pub(super) async fn nothing_held(run: &Run<'_>, located: &Located) -> Result<PreparedNotice, Stop> {
    let mut facts = facts(run);
    facts.searched_by = located.hits.keys().copied().collect();
    let recipient = run.recipient();
    let address = run.identifiers.iter().find(|each| Some(each.number) == recipient);
    if run.case.kind == RequestKind::Access
        && run.case.origin == Origin::Subject
        && let Some(address) = address
    {
        let (organisation, keys) = (&run.lease.organisation, &run.executor.desk.keys);
        let mut connection = run.executor.store.connection().await?;
        let reference = address.identifier.reference(keys, organisation);
        let others =
            sql::list_earlier(&mut connection, run.lease, reference, i64::from(MOST_OTHERS) + 1).await?;
        let addresses = std::slice::from_ref(&address.identifier);
        let suppressed = suppression::contains(&mut connection, keys, organisation, addresses).await?;
        facts.suppressed = !suppressed.is_empty();
        facts.more_others = others.len() > usize::from(MOST_OTHERS);
        let named = others.iter().take(MOST_OTHERS.into()).map(|other| OtherRequest {
            request: RequestId(other.request),
            received_on: run.site.controller.local_date(other.received_at),
        });
        facts.others = named.collect();
    }
    Ok(PreparedNotice { kind: NoticeKind::NoData, facts, words: None, link_token: None })
}

pub(super) fn package_ready(
    run: &Run<'_>,
    expires_at: DateTime<Utc>,
    token: Personal<String>,
    incomplete: bool,
) -> PreparedNotice {
    let mut facts = facts(run);
    facts.expires_at = Some(expires_at);
    facts.incomplete = incomplete;
    let kind = match run.case.kind.handling() {
        Handling::Portability => NoticeKind::PortabilityReady,
        _ => NoticeKind::AccessReady,
    };
    facts.explained = kind == NoticeKind::AccessReady && run.site.catalogue.is_some();
    PreparedNotice { kind, facts, words: None, link_token: Some(token) }
}

pub(super) fn opted_out(run: &Run<'_>, recipients: Vec<String>) -> PreparedNotice {
    let mut facts = facts(run);
    facts.recipients = recipients;
    facts.policies.clone_from(&run.case.policies);
    facts.named_only = !is_all_marketing(run);
    facts.suppressed = is_remembered(run);
    // Its record stays until what follows from it is through, however long that takes.
    if what_will_follow(run, Outcome::Fulfilled).is_some() {
        facts.evidence_until = None;
    }
    PreparedNotice { kind: NoticeKind::OptOutDone, facts, words: None, link_token: None }
}

/// Whether marketing was meant, and all of it is off: every policy that the controller names for that.
fn is_all_marketing(run: &Run<'_>) -> bool {
    run.case.kind == RequestKind::OptOut && run.site.controller.is_all_marketing(&run.case.policies)
}

pub(super) fn refused(run: &Run<'_>, refused: &Refused, words: Option<Personal<String>>) -> PreparedNotice {
    let mut facts = facts(run);
    facts.refusal = Some(Refusal {
        ground: refused.ground,
        authority: authority(run),
        deletion_failed: refused.deletion_failed,
    });
    PreparedNotice { kind: NoticeKind::Refused, facts, words, link_token: None }
}

/// N-12: what is kept under holds, on which ground and until when. The platform deletes a contact as a whole, so that nothing
/// is erased yet.
pub(super) fn kept_for_now(run: &Run<'_>, standing: &[Standing]) -> PreparedNotice {
    let mut facts = facts(run);
    facts.kept = standing.iter().map(kept).collect();
    // Its proof and its ground stay until the rest has followed, however long that takes.
    facts.evidence_until = None;
    facts.nothing_erased = true;
    facts.marketing_off = !run.site.controller.opt_out_policies.is_empty();
    facts.suppressed = is_remembered(run);
    PreparedNotice { kind: NoticeKind::ErasurePartlyDone, facts, words: None, link_token: None }
}

/// What is kept and why, as endings of the phrases `kept.what.…` and `kept.why.…` of the notices' languages.
fn kept(standing: &Standing) -> Kept {
    let hold = &standing.hold;
    let why = match (hold.kind, hold.statute) {
        (HoldKind::Court, _) => "court",
        (HoldKind::Claim, _) => "claim",
        (HoldKind::Statutory | HoldKind::Restriction, Some(statute)) => statute.as_str(),
        (HoldKind::Statutory | HoldKind::Restriction, None) => "law",
    };
    Kept { what: hold.category.as_str().to_owned(), why: why.to_owned(), until: standing.until }
}

/// Whom the controller names for complaints.
fn authority(run: &Run<'_>) -> Option<String> {
    let named = run.site.catalogue.as_ref().map(|catalogue| catalogue.complaint_authority.clone());
    named.filter(|authority| !authority.trim().is_empty())
}

pub(super) fn unproven(run: &Run<'_>) -> PreparedNotice {
    let mut facts = facts(run);
    facts.refusal = Some(Refusal {
        ground: RefusalGround::IdentityNotConfirmed,
        authority: authority(run),
        deletion_failed: false,
    });
    PreparedNotice { kind: NoticeKind::NotIdentified, facts, words: None, link_token: None }
}

pub(super) fn answered(
    run: &Run<'_>,
    kind: NoticeKind,
    words: Option<Personal<String>>,
    recipients: Vec<String>,
) -> PreparedNotice {
    let mut facts = facts(run);
    facts.recipients = recipients;
    if kind == NoticeKind::RestrictionSet {
        // Nothing of the request is forgotten as long as the restriction stands.
        facts.evidence_until = None;
    }
    PreparedNotice { kind, facts, words, link_token: None }
}

/// The names of those that are told what was done to a person's data (Art. 19, second sentence, GDPR).
pub(super) fn names_of(run: &Run<'_>, affected: &Affected) -> Vec<String> {
    let today = run.site.controller.local_date(run.executor.desk.clock.now());
    let told = recipients::told_of(&run.site.recipients, affected, today);
    told.map(|recipient| recipient.name.clone()).collect()
}

/// N-11, or N-12 where records of these sources still answer. Of a contact that was gone already nobody is told that we deleted it.
pub(super) fn erased<'a>(
    run: &Run<'_>,
    left: impl Iterator<Item = &'a str>,
    was_gone: bool,
    recipients: Vec<String>,
) -> PreparedNotice {
    let mut facts = facts(run);
    facts.recipients = recipients;
    facts.suppressed = is_remembered(run);
    let backup_days = run.site.controller.erasure.backup_days;
    facts.backups_until =
        facts.done_on.zip(backup_days).and_then(|(day, days)| day.checked_add_days(Days::new(days.into())));
    facts.was_gone = was_gone;
    facts.kept = left
        .map(|source| Kept { what: format!("{source}_left"), why: "still_answered".to_owned(), until: None })
        .collect();
    if !facts.kept.is_empty() {
        return PreparedNotice { kind: NoticeKind::ErasurePartlyDone, facts, words: None, link_token: None };
    }
    PreparedNotice { kind: NoticeKind::ErasureDone, facts, words: None, link_token: None }
}
