//! Step `locate`: the one contact, by every identifier given.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::Step;
use super::effect::bare;
use super::engine::{Finished, Run};
use super::inform;
use super::outcome::Located;
use super::sql::Marks;
use super::stop::Stop;
use crate::audit::{Action, Detail};
use crate::domain::{ContactId, IdentifierKind, ParkReason, RequestKind, SubjectIdentifier};
use crate::intake::IdentifierRole;
use crate::platform::{Contact, Coverage, Created, Urgency};

/// How long an erasure waits before it looks again whether the access request of the same person has ended. The end
/// of one wakes it earlier.
const WAIT_FOR_ACCESS: Duration = Duration::from_mins(1);
/// The code of such a wait; the queue wakes jobs by it.
const WAITS_FOR_ACCESS: &str = "waits_for_access";

/// By how much a local time without its zone can be off.
const ZONE_UNCERTAINTY: TimeDelta = TimeDelta::hours(14);

/// Finds the contact and keeps what was found. More than one match, or a search that proves nothing, stops here.
pub(super) async fn locate(run: &mut Run<'_>) -> Result<(), Stop> {
    let (located, contact) = match run.case.contact.clone() {
        Some(id) => recheck(run, id).await?,
        None => search(run).await?,
    };
    if run.case.kind == RequestKind::Erasure
        && let Some(contact) = &contact
    {
        let_access_go_first(run, &contact.id, &contact.identifiers).await?;
    }
    let now = run.executor.desk.clock.now();
    let mut finished = Finished::new(Step::Locate, &located);
    let mut detail = Detail::none()
        .count("contacts", u64::from(contact.is_some()))
        .count("strangers", located.strangers)
        .flag("out_of_scope", located.out_of_scope);
    for (kind, hits) in &located.hits {
        detail = detail.count(hits_of(*kind), *hits);
    }
    finished.event = Some((Action::ContactLocated, detail));
    match contact {
        Some(contact) => {
            finished.marks.contact = Some(contact.id.clone());
            finished.identifiers =
                identifiers_to_keep(&contact, run.site.controller.default_country.as_deref());
        }
        None if !located.out_of_scope => {
            // A complete search that finds nobody is its own proof.
            finished.marks = Marks { executed_at: Some(now), verified_at: Some(now), ..Marks::default() };
            finished.notice = Some(inform::nothing_held(run, &located));
        }
        None => {}
    }
    run.keep(finished);
    Ok(())
}

/// An erasure lets an open access request of the same person go first while that will end by itself, and in time. Neither
/// an access request that waits for a person, nor a wait that lasts, may use up the month that the erasure has of its own:
/// then a person decides, and may have decided already that it goes on.
pub(super) async fn let_access_go_first(
    run: &mut Run<'_>,
    contact: &ContactId,
    identifiers: &[SubjectIdentifier],
) -> Result<(), Stop> {
    if run.case.despite_access {
        return Ok(());
    }
    let Some(access) = run.find_open_access(contact, identifiers).await? else { return Ok(()) };
    let today = run.executor.desk.clock.now().with_timezone(&run.site.controller.time_zone).date_naive();
    let last_days = TimeDelta::days(run.executor.settings.access_goes_first_until_days.into());
    if access.parked || run.case.due_on - today <= last_days {
        run.waits_for = Some(access.reference);
        return Err(Stop::NeedsPerson(ParkReason::WaitsForAccess));
    }
    Err(Stop::wait(WAIT_FOR_ACCESS, WAITS_FOR_ACCESS))
}

/// A sweep names its contact: it is read again, and must still fall under the rule.
async fn recheck(run: &Run<'_>, id: ContactId) -> Result<(Located, Option<Contact>), Stop> {
    let urgency = run.urgency();
    let found =
        run.site.platform.find_contact(&id, urgency).await.map_err(|error| run.platform_failed(&error))?;
    let mut located = Located {
        contact: None,
        out_of_scope: false,
        hits: BTreeMap::new(),
        strangers: 0,
        policies_before: BTreeMap::new(),
    };
    let Some(contact) = found else { return Ok((located, None)) };
    let in_scope = match (run.case.created_before, contact.created) {
        (None, _) => true,
        (Some(before), Created::At(created)) => created < before,
        (Some(before), Created::About(created)) => created + ZONE_UNCERTAINTY < before,
        // An unreadable creation date is never grounds for a deletion.
        (Some(_), Created::Unknown) => false,
    };
    located.out_of_scope = !in_scope;
    located.contact = in_scope.then_some(id);
    Ok((located, in_scope.then_some(contact)))
}

async fn search(run: &Run<'_>) -> Result<(Located, Option<Contact>), Stop> {
    let given: Vec<_> = run.identifiers.iter().filter(|each| each.role == IdentifierRole::Given).collect();
    let mut contacts: BTreeMap<ContactId, Contact> = BTreeMap::new();
    let mut hits = BTreeMap::new();
    let mut most_by_one = 0;
    let mut strangers = 0;
    for identifier in given.iter().map(|each| &each.identifier) {
        let answer =
            run.site.platform.search(identifier).await.map_err(|error| run.platform_failed(&error))?;
        if answer.coverage == Coverage::FilterNotHonoured {
            return Err(Stop::NeedsPerson(ParkReason::SearchNotHonoured));
        }
        if answer.unreadable > 0 {
            return Err(Stop::NeedsPerson(ParkReason::RecordUnreadable));
        }
        strangers += answer.strangers;
        most_by_one = most_by_one.max(answer.contacts.len());
        *hits.entry(identifier.kind()).or_default() += answer.contacts.len() as u64;
        contacts.extend(answer.contacts.into_iter().map(|contact| (contact.id.clone(), contact)));
    }
    if contacts.len() > 1 {
        let reason =
            if most_by_one > 1 { ParkReason::AmbiguousMatch } else { ParkReason::IdentifiersDisagree };
        return Err(Stop::NeedsPerson(reason));
    }
    let mut contact = contacts.into_values().next();
    if let Some(found) = &contact {
        // A listing may show less than the contact itself: what is acted upon is read by its id.
        contact = run
            .site
            .platform
            .find_contact(&found.id, Urgency::Request)
            .await
            .map_err(|error| run.platform_failed(&error))?;
        // Found by the search and gone by its id: only another search may say that nobody is there.
        if contact.is_none() {
            return Err(run.later("search_disagrees"));
        }
    }
    if run.case.kind == RequestKind::Erasure
        && let Some(contact) = &contact
        && given.iter().any(|each| contradicts(&each.identifier, contact))
    {
        return Err(Stop::NeedsPerson(ParkReason::IdentifiersDisagree));
    }
    let policies_before = contact
        .iter()
        .flat_map(|contact| {
            run.case
                .policies
                .iter()
                .filter_map(|name| Some((name.clone(), *contact.policies.get(bare(name))?)))
        })
        .collect();
    let id = contact.as_ref().map(|contact| contact.id.clone());
    Ok((Located { contact: id, out_of_scope: false, hits, strangers, policies_before }, contact))
}

/// Whether the profile holds identifiers of this kind, and this is none of them.
fn contradicts(given: &SubjectIdentifier, contact: &Contact) -> bool {
    let mut of_kind = contact.identifiers.iter().filter(|held| held.kind() == given.kind()).peekable();
    of_kind.peek().is_some() && of_kind.all(|held| held.normalised() != given.normalised())
}

/// The contact point first, then every other identifier of the profile: the read-back searches by each.
fn identifiers_to_keep(contact: &Contact, country: Option<&str>) -> Vec<(IdentifierRole, SubjectIdentifier)> {
    let contact_point = contact
        .email
        .as_ref()
        .and_then(|email| SubjectIdentifier::parse(IdentifierKind::Email, email.expose(), country).ok())
        .map(|email| (IdentifierRole::ContactPoint, email));
    let others = contact.identifiers.iter().map(|identifier| (IdentifierRole::Found, identifier.clone()));
    contact_point.into_iter().chain(others).collect()
}

const fn hits_of(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Email => "hits_email",
        IdentifierKind::Phone => "hits_phone",
        IdentifierKind::Username => "hits_username",
        IdentifierKind::ExternalId => "hits_external_id",
        IdentifierKind::ExternalProperty1 => "hits_external_property_1",
        IdentifierKind::ExternalProperty2 => "hits_external_property_2",
    }
}
