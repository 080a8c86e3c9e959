//! A mail that the server took and that came back: the person was not told.
//!
//! The case stays as it ended, because what was done was done; its notice is marked, somebody is alerted every day, and
//! the mark goes when it is recorded that the person was told by other means. So a bounce is a task linked to the case
//! and not the case begun anew, which would repeat its effects.

use chrono::{DateTime, Utc};

use super::{NoticeKind, sql};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{OrganisationId, RequestId};
use crate::store::{StoreError, Tx};

/// Why a bounce is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum BounceError {
    /// No mail of the request left.
    #[error("no notice of this request was sent, or not of that kind; see `dsrd request show`")]
    NotSent,
    /// It is on record.
    #[error("it is on record already that the {0} notice came back")]
    Known(NoticeKind),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records that a notice came back: the one of that kind, else the one that was sent last. Returns its kind.
pub async fn record_bounce(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    kind: Option<NoticeKind>,
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<NoticeKind, BounceError> {
    let sent = sql::lock_sent(tx, organisation, request, kind).await?.ok_or(BounceError::NotSent)?;
    let kind = sent.kind.parse()?;
    if sent.bounced {
        return Err(BounceError::Known(kind));
    }
    sql::set_bounced(tx, organisation, sent.notice_id, at).await?;
    let detail = Detail::none().word("kind", kind.as_str()).word("notice", &sent.notice_id.to_string());
    audit::append(tx, Event::of(organisation, request, Action::NoticeBounced, actor, at).with(detail))
        .await?;
    Ok(kind)
}

/// Records that the person was told by other means what notices should have told that came back or were refused, and
/// returns how many those were.
pub async fn make_good(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    actor: &Actor,
    at: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let made_good = sql::make_good(tx, organisation, request, at).await?;
    for row in &made_good {
        let detail = Detail::none().word("kind", &row.kind).word("notice", &row.notice_id.to_string());
        let event = Event::of(organisation, request, Action::NoticeMadeGood, actor.clone(), at);
        audit::append(tx, event.with(detail)).await?;
    }
    Ok(made_good.len())
}
