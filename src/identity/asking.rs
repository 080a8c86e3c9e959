//! The question: a link to the contact point of the profile, and the notice that carries it.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::error::IdentityError;
use super::sql::{self, NewLink};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery::{self, NewNotice, NoticeKind, Sender};
use crate::domain::{
    Controller, IdentifierKind, IdentityDoubt, MasterKey, OrganisationId, Personal, RequestId, RequestState,
    link_digest, random,
};
use crate::intake::{self, Case, CaseError, Desk, Identifier, IdentifierRole};
use crate::store::{PgConnection, StoreError, Tx};

/// So many links are made for a request: nobody's mailbox is filled by asking. Beyond it a person who decides so has one made at a time
/// ([`ask_after_outage`]).
const MOST_LINKS: i64 = 6;

/// Why a person is asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The request came to where it has to be known, or what asked it then did not leave in time.
    Wanted,
    /// There was no answer.
    Reminder,
    /// Staff let the link be sent again.
    OnDemand,
    /// Staff let it be sent again although as many were made as are otherwise: we could not be reached while those worked.
    AfterOutage,
}

impl Occasion {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Reminder => "reminder",
            Self::OnDemand => "on_demand",
            Self::AfterOutage => "after_outage",
        }
    }
}

/// What is asked of a person.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// What is doubted.
    pub doubt: IdentityDoubt,
    /// Until when an answer is waited for.
    pub until: DateTime<Utc>,
    /// `identifier_no` of the contact point of the profile.
    pub contact_point: i16,
    /// Why now.
    pub occasion: Occasion,
}

/// Makes a link and the notice that carries it to the contact point, in the caller's transaction. It works no longer than an
/// answer is waited for: the message says until when. Links made before go on working until they expire; the first that is used
/// ends all of them.
pub async fn ask(
    tx: &mut Tx,
    keys: &MasterKey,
    controller: &Controller,
    case: &Case,
    asked: Asked,
    actor: Actor,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let token = Personal::new(random::token());
    let expires_at = (now + TimeDelta::hours(controller.identity.link_hours.into())).min(asked.until);
    let link = NewLink {
        organisation: &controller.id,
        request: case.request,
        link: Uuid::now_v7(),
        contact_point: asked.contact_point,
        made_at: now,
        expires_at,
    };
    sql::insert_link(tx, &link, &link_digest(&token)).await?;
    let mut facts = case.facts(controller);
    facts.expires_at = Some(expires_at);
    facts.was_proven = asked.doubt == IdentityDoubt::TooOld;
    let notice = NewNotice {
        organisation: controller.id.clone(),
        request: case.request,
        kind: NoticeKind::IdentityRequest,
        sender: Sender::Pump,
        recipient_no: asked.contact_point,
        language: case.language.clone(),
        facts,
        words: None,
        link_token: Some(token),
    };
    delivery::enqueue_again(tx, keys, notice, now).await?;
    let detail = Detail::none().word("doubt", asked.doubt.as_str()).word("occasion", asked.occasion.as_str());
    let event = Event::of(&controller.id, case.request, Action::IdentityAsked, actor, now);
    audit::append(tx, event.with(detail)).await?;
    Ok(())
}

/// The contact point of the profile by which the person can be asked: an address, or a telephone number where the controller
/// has a gateway for text messages. Never what was merely given with the request.
#[must_use]
pub fn contact_point<'a>(known: &'a [Identifier], controller: &Controller) -> Option<&'a Identifier> {
    known.iter().filter(|each| each.role == IdentifierRole::ContactPoint).find(|each| {
        match each.identifier.kind() {
            IdentifierKind::Email => true,
            IdentifierKind::Phone => controller.identity.text_messages.is_some(),
            _ => false,
        }
    })
}

/// Sends the link to a person once more, because staff want it so. The time until when an answer is waited for stands.
pub async fn ask_again(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    actor: Actor,
) -> Result<(), IdentityError> {
    ask_once_more(tx, desk, controller, request, (Occasion::OnDemand, actor)).await
}

/// The same although the person was asked as often as people are otherwise, because a person says that all of those links
/// expired while mail or page could not be reached: whoever was not let in did not fail to answer. The log records who said so. As long
/// as one of the links works, no other is made, so that nobody's mailbox is filled.
pub async fn ask_after_outage(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    actor: Actor,
) -> Result<(), IdentityError> {
    ask_once_more(tx, desk, controller, request, (Occasion::AfterOutage, actor)).await
}

async fn ask_once_more(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    (occasion, actor): (Occasion, Actor),
) -> Result<(), IdentityError> {
    let waiting = intake::lock_waiting(tx, &controller.id, request).await?;
    let case = intake::find_case(tx, &controller.id, request).await?.ok_or(CaseError::NotFound)?;
    let (RequestState::NeedsIdentity, Some(doubt), Some(until)) =
        (waiting.state, case.identity_doubt, case.identity_until)
    else {
        return Err(CaseError::NotWaitingForProof.into());
    };
    let now = desk.clock.now();
    if now >= until {
        return Err(CaseError::NotWaitingForProof.into());
    }
    let known = intake::identifiers(tx, &desk.keys, &controller.id, request).await?;
    let contact_point =
        contact_point(&known, controller).map(|each| each.number).ok_or(IdentityError::NoContactPoint)?;
    if occasion == Occasion::AfterOutage {
        if sql::has_working_link(tx, &controller.id, request, now).await? {
            return Err(IdentityError::LinkWorks);
        }
    } else {
        let links = sql::count_links(tx, &controller.id, request).await?;
        if links >= MOST_LINKS {
            return Err(IdentityError::TooOften(links));
        }
    }
    let asked = Asked { doubt, until, contact_point, occasion };
    ask(tx, &desk.keys, controller, &case, asked, actor, now).await?;
    Ok(())
}

/// Whether the machine may make another link for a request.
pub async fn may_ask_again(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    Ok(sql::count_links(connection, organisation, request).await? < MOST_LINKS)
}

/// Ends the links of a request that is proven or over, and drops those that were not sent.
pub async fn end_links(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<(), StoreError> {
    sql::end_links(connection, organisation, request).await?;
    delivery::drop_unsent(connection, organisation, request, NoticeKind::IdentityRequest, None).await
}
