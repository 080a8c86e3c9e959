//! Step `refuse`: what a person's refusal means for a request, and the notice that says why.
//!
//! The decision was recorded by [`triage`](crate::triage); here it is carried out. Where a deletion had been announced,
//! the platform is read first: a contact that is gone was erased, whatever was decided since, and the request ends by
//! its read-back; one that is still there is said to be there.

use super::Step;
use super::carry_out::Former;
use super::effect::Effect;
use super::engine::Run;
use super::outcome::Refused;
use super::stop::Stop;
use super::{erasure, inform};
use crate::audit::{Action, Detail};
use crate::domain::{ParkReason, RefusalGround};
use crate::triage::{self, TriageError};

/// What a refusal means for the steps of a procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is none.
    None,
    /// Only the telling is left.
    Stands,
    /// The deletion took effect before: nothing is called any more, and what is read back counts.
    Overtaken,
}

impl Refusal {
    /// Whether a step is left out.
    pub(super) const fn skips(self, step: Step) -> bool {
        match self {
            Self::None => false,
            Self::Stands => !matches!(step, Step::Inform),
            Self::Overtaken => matches!(step, Step::Delete),
        }
    }
}

pub(super) async fn refuse(run: &mut Run<'_>, ground: RefusalGround) -> Result<Refusal, Stop> {
    let key = (Step::Delete.as_str().to_owned(), String::new());
    let deletion = run.checkpoints.get(&key).cloned();
    if let Some(deletion) = &deletion {
        let contact = run.contact()?;
        if erasure::is_gone(run, &contact).await? {
            if deletion.outcome.is_none()
                && let Some(former) = Former::of(deletion)
            {
                let effect = Effect::Delete { contact: &contact, urgency: run.urgency() };
                run.end_former(&effect, former).await?;
            }
            return Ok(Refusal::Overtaken);
        }
    }
    let words = facts(run).await?;
    let refused = Refused { ground, deletion_failed: deletion.is_some() };
    let mut finished = run.finished(Step::Refuse, &refused);
    if refused.deletion_failed {
        let detail = Detail::none().flag("contact_absent", false);
        finished.events.push(run.event(Action::RefusalChecked).with(detail));
    }
    finished.notice = Some(inform::refused(run, &refused, words));
    run.keep(finished);
    Ok(Refusal::Stands)
}

/// What the controller says in support of the refusal.
async fn facts(run: &Run<'_>) -> Result<Option<crate::domain::Personal<String>>, Stop> {
    let mut connection = run.executor.store.connection().await?;
    let keys = &run.executor.desk.keys;
    triage::refusal_facts(&mut connection, keys, &run.lease.organisation, run.lease.request).await.map_err(
        |error| match error {
            TriageError::Store(error) => Stop::Store(error),
            error => {
                tracing::error!(request = %run.lease.request, %error, "the facts of a refusal cannot be read");
                Stop::NeedsPerson(ParkReason::NoticeFailed)
            }
        },
    )
}
