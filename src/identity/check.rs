//! What a person of the controller found out themselves.

use uuid::Uuid;

use super::asking::end_links;
use super::error::IdentityError;
use super::sql::{self, NewProof};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Controller, Declaration, IdentityMethod, KeyError, MasterKey, Matched, MatchingNeed, OrganisationId,
    Personal, Proof, RequestId,
};
use crate::intake::{self, Desk};
use crate::store::{PgConnection, Tx};

/// How a person of the controller found out who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The method.
    pub method: IdentityMethod,
    /// What was compared for it; how much that must be says the law ([`MatchingNeed`]).
    pub matched: Matched,
}

impl From<IdentityMethod> for Check {
    fn from(method: IdentityMethod) -> Self {
        Self { method, matched: Matched::default() }
    }
}

/// The purpose under which a declaration is sealed.
const DECLARATION: &str = "identity_declaration";

/// The declaration under penalty of perjury of a request, as it was recorded last: where it is kept, and when it was signed.
///
/// # Errors
/// When the database fails, or when what it holds does not open.
pub async fn declaration_of(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<Declaration>, IdentityError> {
    let Some((proof, sealed)) = sql::sealed_declaration(connection, organisation, request).await? else {
        return Ok(None);
    };
    let clear = keys.sealing(DECLARATION).open(&proof.to_string(), &sealed)?;
    let text = String::from_utf8(clear.into_exposed()).map_err(|_| KeyError::DoesNotOpen)?;
    Ok(Some(Declaration::of_text(&text)?))
}

/// Records how a person of the controller found out who asks, and lets the request go on if it waited for that. The method
/// must be enough by the controller's own rules; what was shown is not kept.
pub async fn record_check(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    check: impl Into<Check>,
    actor: Actor,
) -> Result<(), IdentityError> {
    let Check { method, matched } = check.into();
    let waiting = intake::lock_waiting(tx, &controller.id, request).await?;
    waiting.takes_a_proof()?;
    let now = desk.clock.now();
    let proof = Proof { assurance: method.assurance(), at: now };
    if let Some(doubt) = controller.identity.doubt(waiting.kind, Some(proof), now) {
        return Err(IdentityError::NotEnough { method, kind: waiting.kind, doubt });
    }
    let need = MatchingNeed::of(controller.regime, &controller.identity, waiting.kind, method);
    matched.check(need, waiting.kind, controller.local_date(now))?;
    let id = Uuid::now_v7();
    let sealed = matched.declaration.as_ref().map(|declaration| {
        let clear = Personal::new(declaration.to_text().into_exposed().into_bytes());
        desk.keys.sealing(DECLARATION).seal(&id.to_string(), &clear)
    });
    let by = actor.to_string();
    let recorded = NewProof {
        organisation: &controller.id,
        request,
        id,
        proof,
        method: method.as_str(),
        by: &by,
        regime: controller.regime,
        points: matched.points.iter().map(|point| point.as_str().to_owned()).collect(),
        sealed_declaration: sealed,
    };
    sql::insert_proof(tx, &recorded).await?;
    end_links(tx, &controller.id, request).await?;
    let moved = intake::continue_proven(tx, controller, request, &waiting, proof).await?;
    let detail = Detail::none()
        .word("method", method.as_str())
        .word("assurance", proof.assurance.as_str())
        .count("matching_points", matched.points.len() as u64)
        .flag("declaration", matched.declaration.is_some());
    let event = Event::of(&controller.id, request, Action::IdentityChecked, actor, now);
    audit::append(tx, event.with(intake::stood_still(detail, moved))).await?;
    Ok(())
}
