//! Whom `dsrd hold place` is about.

use std::time::Duration;

use serde::Serialize;

use super::PlaceArgs;
use crate::cli::context::Context;
use crate::cli::identifiers;
use crate::daemon::{self, Foundation};
use crate::domain::{Controller, SubjectIdentifier, SubjectRef};
use crate::{execution, holds, intake};

/// Whether a hold about a person knows the contact, and so follows a profile whose address or number changes.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Knows {
    /// It does.
    Contact,
    /// A daemon looks it up, by what the request gave.
    SoughtByDaemon,
    /// No contact is certainly meant: none carries the identifiers, or several have the telephone number.
    NotFound,
    /// The platform gave no answer.
    NotAnswered,
}

/// Whom a hold is about, by pseudonyms.
pub(super) struct Person {
    pub(super) references: Vec<SubjectRef>,
    /// Which of them are of contacts.
    pub(super) contacts: Vec<SubjectRef>,
    pub(super) contact: Knows,
}

/// So long the platform has to say whose identifiers these are: a hold is not kept waiting for it.
const LONGEST_SEARCH: Duration = Duration::from_secs(30);

/// The pseudonyms of the person: of a request, or of identifiers that are handed in, and of the contact that is meant.
pub(super) async fn person(
    args: &PlaceArgs,
    controller: &Controller,
    context: &Context,
    foundation: &Foundation,
) -> anyhow::Result<Person> {
    let keys = &foundation.desk.keys;
    let of_contact = keys.subject(&controller.id);
    let Some(named) = &args.request else {
        let identifiers = identifiers::read(args.from.as_deref(), controller)?;
        let mut references: Vec<SubjectRef> =
            identifiers.iter().map(|each| each.reference(keys, &controller.id)).collect();
        let organisations = &context.settings().organisations;
        // A platform that cannot be asked keeps no hold from being placed.
        let sites =
            daemon::sites(organisations, &foundation.controllers, &foundation.store, &foundation.desk)
                .unwrap_or_default();
        let given: Vec<&SubjectIdentifier> = identifiers.iter().collect();
        let site = sites.get(&controller.id);
        let search = async {
            match site {
                Some(site) => execution::contacts_to_hold(site, &given).await.ok(),
                None => None,
            }
        };
        let found = tokio::time::timeout(LONGEST_SEARCH, search).await.ok().flatten();
        let contact = match &found {
            Some(found) if found.is_empty() => Knows::NotFound,
            Some(_) => Knows::Contact,
            None => Knows::NotAnswered,
        };
        let contacts: Vec<SubjectRef> =
            found.iter().flatten().map(|contact| of_contact.contact(contact)).collect();
        references.extend(&contacts);
        return Ok(Person { references, contacts, contact });
    };
    let request = named.find(foundation, &controller.id).await?;
    let mut connection = foundation.store.connection().await?;
    let mut references = holds::references_of(&mut connection, &controller.id, request).await?;
    let case = intake::find_case(&mut connection, &controller.id, request).await?;
    let found = case.and_then(|case| case.contact);
    let contacts: Vec<SubjectRef> = found.iter().map(|contact| of_contact.contact(contact)).collect();
    references.extend(&contacts);
    let contact = if contacts.is_empty() { Knows::SoughtByDaemon } else { Knows::Contact };
    Ok(Person { references, contacts, contact })
}
