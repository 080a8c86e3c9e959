//! Which of several contacts is meant.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::error::TriageError;
use super::matching::{self, Matches, carried};
use super::sql::{self, Act};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    ChoiceReason, ContactId, Controller, IdentifierKind, MasterKey, ParkReason, Personal, RequestId,
    RequestState, SubjectIdentifier,
};
use crate::intake::{self, CaseError, Desk, Identifier, IdentifierRole};
use crate::platform::{ContactPlatform, Created, Urgency};
use crate::report::MaskedIdentifier;
use crate::store::Store;

/// Where a decision is taken: the database, the organisation and its contacts.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The database.
    pub store: &'a Store,
    /// Keys and clock.
    pub desk: &'a Desk,
    /// The organisation.
    pub controller: &'a Controller,
    /// Its contacts.
    pub platform: &'a dyn ContactPlatform,
}

/// An identifier of the request that found a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Its number in the request, as `dsrd request show` lists it.
    pub number: i16,
    /// What kind of identifier it is.
    pub kind: IdentifierKind,
}

/// A contact that a person may choose: masked, and named by a code.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// Names the contact within this request, whatever the order of the list.
    pub code: String,
    /// By which identifiers of the request it was found.
    pub found_by: Vec<Matched>,
    /// The identifiers in its profile, masked.
    pub profile: Vec<MaskedIdentifier>,
    /// When it was created, where that can be read.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was last seen, where the platform says so.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Marked as deleted or disabled by the platform.
    pub marked_deleted: bool,
}

/// Searches the platform again for the contacts of a request that waits for a choice, and lists them masked. That
/// somebody looked stands in the log before the list is handed out.
pub async fn candidates(
    site: Site<'_>,
    request: RequestId,
    actor: Actor,
) -> Result<Vec<Candidate>, TriageError> {
    let given = given_identifiers(site, request).await?;
    let matches = search(site, &given).await?;
    let mut listed: Vec<Candidate> = matches
        .contacts
        .into_iter()
        .map(|(id, found)| Candidate {
            code: code_of(&site.desk.keys, site.controller, request, &id),
            found_by: found
                .found_by
                .iter()
                .map(|place| Matched { number: given[*place].number, kind: given[*place].identifier.kind() })
                .collect(),
            profile: found.contact.identifiers.iter().map(MaskedIdentifier::of).collect(),
            created_at: match found.contact.created {
                Created::At(at) | Created::About(at) => Some(at),
                Created::Unknown => None,
            },
            last_seen_at: found.contact.last_seen_at,
            marked_deleted: found.contact.marked_deleted,
        })
        .collect();
    listed.sort_by(|one, other| one.code.cmp(&other.code));
    let event =
        Event::of(&site.controller.id, request, Action::CandidatesShown, actor, site.desk.clock.now());
    let mut tx = site.store.begin("triage.candidates").await?;
    audit::append(&mut tx, event.with(Detail::none().count("contacts", listed.len() as u64))).await?;
    tx.commit().await?;
    Ok(listed)
}

/// Records that the contact of this code is meant, and sends the request on its way with it.
pub async fn choose(
    site: Site<'_>,
    request: RequestId,
    code: &str,
    reason: ChoiceReason,
    actor: Actor,
) -> Result<(), TriageError> {
    let organisation = &site.controller.id;
    let given = given_identifiers(site, request).await?;
    let matches = search(site, &given).await?;
    let mut named =
        matches.contacts.keys().filter(|id| code_of(&site.desk.keys, site.controller, request, id) == code);
    let (Some(contact), None) = (named.next(), named.next()) else {
        return Err(TriageError::NoSuchCandidate);
    };
    // A listing may show less, or older, than the contact itself.
    let read = site.platform.find_contact(contact, Urgency::Request).await.map_err(TriageError::Platform)?;
    let country = site.controller.default_country.as_deref();
    if read.is_none_or(|read| carried(&read, &identifiers_of(&given), country).is_empty()) {
        return Err(TriageError::CandidateChanged);
    }
    let mut tx = site.store.begin("triage.choose").await?;
    let parked = intake::lock_parked(&mut tx, organisation, request).await?;
    check_reason(parked.reason, parked.located)?;
    // Nobody looks for the contact anew: the choice of another one would change nothing, or somebody else's request.
    if parked.located && parked.contact.as_ref() != Some(contact) {
        return Err(TriageError::AlreadyLocated);
    }
    if parked.refusal.is_some() {
        return Err(TriageError::AlreadyRefused);
    }
    let by = actor.to_string();
    let act = Act {
        organisation,
        request,
        decision: Uuid::now_v7(),
        by: &by,
        confirmed_by: None,
        at: site.desk.clock.now(),
    };
    sql::insert_choice(&mut tx, &act, reason, contact).await?;
    let detail = Detail::none().word("reason", reason.as_str()).count("among", matches.contacts.len() as u64);
    let event = Event::of(organisation, request, Action::ContactChosen, actor.clone(), act.at);
    audit::append(&mut tx, event.with(detail)).await?;
    intake::continue_with(&mut tx, site.desk, organisation, request, Some(contact), actor).await?;
    tx.commit().await?;
    Ok(())
}

/// The identifiers that the person gave, if the request waits for a choice.
async fn given_identifiers(site: Site<'_>, request: RequestId) -> Result<Vec<Identifier>, TriageError> {
    let organisation = &site.controller.id;
    let mut connection = site.store.connection().await?;
    let case = intake::find_case(&mut connection, organisation, request).await?.ok_or(CaseError::NotFound)?;
    match (case.state, case.park_reason) {
        (RequestState::Closed, _) => return Err(CaseError::Closed.into()),
        (RequestState::Manual, Some(reason)) => check_reason(reason, case.located)?,
        _ => return Err(CaseError::NotParked.into()),
    }
    if case.refusal.is_some() {
        return Err(TriageError::AlreadyRefused);
    }
    let mut known = intake::identifiers(&mut connection, &site.desk.keys, organisation, request).await?;
    known.retain(|each| each.role == IdentifierRole::Given);
    Ok(known)
}

const fn check_reason(reason: ParkReason, located: bool) -> Result<(), TriageError> {
    match reason {
        // The contact stands: chosen is that it goes on.
        ParkReason::NewerWill => Ok(()),
        ParkReason::AmbiguousMatch | ParkReason::IdentifiersDisagree | ParkReason::ChosenContactChanged
            if located =>
        {
            Err(TriageError::AlreadyLocated)
        }
        ParkReason::AmbiguousMatch | ParkReason::IdentifiersDisagree | ParkReason::ChosenContactChanged => {
            Ok(())
        }
        other => Err(TriageError::NothingToChoose(other)),
    }
}

fn identifiers_of(given: &[Identifier]) -> Vec<&SubjectIdentifier> {
    given.iter().map(|each| &each.identifier).collect()
}

async fn search(site: Site<'_>, given: &[Identifier]) -> Result<Matches, TriageError> {
    Ok(matching::find_matches(site.platform, &identifiers_of(given)).await?)
}

/// The first eight hexadecimal digits of a keyed pseudonym of contact and request together: it tells nobody the contact's
/// id, and the same contact has another code in another request.
fn code_of(keys: &MasterKey, controller: &Controller, request: RequestId, contact: &ContactId) -> String {
    let named = Personal::new(format!("{request}/{contact}"));
    let full = keys.subject(&controller.id).reference("choice", &named).to_string();
    full.chars().take(8).collect()
}
