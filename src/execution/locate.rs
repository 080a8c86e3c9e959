//! Step `locate`: the one contact, by every identifier given.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Step;
use super::effect::bare;
use super::engine::Run;
use super::opt_out::opted_in_since;
use super::outcome::Located;
use super::replay::{latest, modified_text};
use super::sql::Marks;
use super::stop::Stop;
use super::{identify, inform, reminder, restricted};
use crate::audit::{Action, Detail};
use crate::domain::{
    ContactId, FollowsBecause, Handling, IdentifierKind, Origin, ParkReason, RequestKind, SubjectIdentifier,
    ZONE_UNCERTAINTY,
};
use crate::holds::{self, Hold};
use crate::intake::{self, IdentifierRole};
use crate::platform::{Contact, Created, Urgency};
use crate::report::Language;
use crate::store::PgConnection;
use crate::triage::{self, MatchError, Matches};

/// How long an erasure waits before it looks again whether the access request of the same person has ended. The end
/// of one wakes it earlier.
const WAIT_FOR_ACCESS: Duration = Duration::from_mins(1);
/// The code of such a wait; the queue wakes jobs by it.
const WAITS_FOR_ACCESS: &str = "waits_for_access";

/// Finds the contact and keeps what was found. More than one match, or a search that proves nothing, stops here.
pub(super) async fn locate(run: &mut Run<'_>) -> Result<(), Stop> {
    let (mut located, contact) = match (run.case.origin, run.case.contact.clone()) {
        (Origin::Retention, Some(id)) => recheck(run, id).await?,
        // What follows from an earlier request: nobody gave an identifier again.
        (Origin::Subject | Origin::SelfTest, Some(id)) if given(run).is_empty() => {
            second_stage(run, id).await?
        }
        // A request of a person knows its contact before it was looked for only when a person chose it.
        (Origin::Subject | Origin::SelfTest, Some(id)) => chosen(run, &id).await?,
        (_, None) => search(run).await?,
    };
    let reminds = match &contact {
        // What follows from an earlier request was not asked again.
        Some(contact) if !given(run).is_empty() => reminder::reminds(run, &contact.id).await?,
        _ => false,
    };
    if run.case.kind == RequestKind::Erasure
        && !reminds
        && let Some(contact) = &contact
    {
        let_access_go_first(run, &contact.id, &contact.identifiers).await?;
    }
    if run.case.kind.handling() == Handling::OptOut
        && !located.chosen
        && let Some(contact) = &contact
        && opted_in_since(run, contact).await?
    {
        return Err(Stop::NeedsPerson(ParkReason::NewerWill));
    }
    if run.case.kind.handling() == Handling::OptOut {
        located.modified = contact.as_ref().and_then(modified_text);
    }
    located.created_on = contact.as_ref().and_then(|contact| match contact.created {
        Created::At(at) => Some(run.site.controller.local_date(at)),
        Created::About(at) => Some(run.site.controller.local_date(at - ZONE_UNCERTAINTY)),
        Created::Unknown => None,
    });
    located.language = contact.as_ref().and_then(language_of);
    if contact.is_none() && run.case.origin == Origin::Subject {
        identify::gate_of_no_data(run)?;
    }
    let now = run.executor.desk.clock.now();
    let mut finished = run.finished(Step::Locate, &located);
    let mut detail = Detail::none()
        .count("contacts", u64::from(contact.is_some()))
        .count("strangers", located.strangers)
        .flag("out_of_scope", located.out_of_scope)
        .flag("chosen", located.chosen);
    for (kind, hits) in &located.hits {
        detail = detail.count(hits_of(*kind), *hits);
    }
    finished.events.push(run.event(Action::ContactLocated).with(detail));
    match contact {
        Some(contact) => {
            finished.marks.contact = Some(contact.id.clone());
            finished.identifiers =
                identifiers_to_keep(&contact, run.site.controller.default_country.as_deref());
        }
        None if !located.out_of_scope => {
            // A complete search that finds nobody is its own proof.
            finished.marks = Marks { executed_at: Some(now), verified_at: Some(now), ..Marks::default() };
            finished.notice = Some(inform::nothing_held(run, &located).await?);
        }
        None => {}
    }
    run.keep(finished);
    if reminds { Err(Stop::Reminds) } else { Ok(()) }
}

/// The language in the profile, where there are texts in it.
fn language_of(contact: &Contact) -> Option<String> {
    let language = Language::for_tag(contact.language.as_deref()?)?;
    Some(language.tag().to_owned())
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

/// The contact that another request had named before: of an erasure that was postponed or follows from a withdrawal, or of
/// something that a restore had lost.
async fn second_stage(run: &mut Run<'_>, id: ContactId) -> Result<(Located, Option<Contact>), Stop> {
    let (located, contact) = recheck(run, id).await?;
    if let Some(contact) = &contact {
        refuse_newer_will(run, contact).await?;
    }
    Ok((located, contact))
}

/// What a person had wished, where an erasure follows from it by itself.
pub(super) struct Older {
    /// The policies that were switched off then: of a first stage those of the settings of that time, of a withdrawal of consent those
    /// that it named itself; where a hold had postponed what follows from a withdrawal, both.
    policies: Vec<String>,
    /// When they asked for the erasure; none where they asked for something else.
    pub(super) asked_at: Option<DateTime<Utc>>,
}

/// The wish from which an erasure follows by itself; none where the person asks for it, or nobody does.
pub(super) async fn older_will(run: &Run<'_>, connection: &mut PgConnection) -> Result<Option<Older>, Stop> {
    if run.case.origin == Origin::Retention || !given(run).is_empty() {
        return Ok(None);
    }
    let (organisation, request) = (&run.lease.organisation, run.lease.request);
    let former = match run.case.follows {
        Some(follows) => intake::find_case(connection, organisation, follows.request).await?,
        None => None,
    };
    let first = holds::first_stage_of(connection, organisation, request).await?;
    let present = || run.site.controller.opt_out_policies.clone();
    // What follows from a withdrawn consent does so behind a hold, too, that had postponed it.
    let is_withdrawal = match run.case.follows.map(|follows| follows.because) {
        Some(FollowsBecause::Consent) => true,
        Some(FollowsBecause::Hold) => {
            former.as_ref().is_some_and(|former| former.kind == RequestKind::ConsentWithdrawal)
        }
        Some(FollowsBecause::Again) | None => false,
    };
    if is_withdrawal {
        let named = former.map(|former| former.policies).filter(|policies| !policies.is_empty());
        let seen_off = first.and_then(|first| first.policies).into_iter().flatten();
        let policies = named.unwrap_or_else(present).into_iter().chain(seen_off).collect();
        return Ok(Some(Older { policies, asked_at: None }));
    }
    let Some(first) = first else { return Ok(None) };
    let asked = match former {
        // The first stage of an earlier program does not name it.
        None if run.case.follows.is_none() => {
            intake::find_case(connection, organisation, first.request).await?
        }
        former => former,
    };
    let asked = asked.map(|case| case.received_at);
    // Where its case is forgotten, the day is still known.
    let on_its_day = || Some(run.site.controller.end_of_day(run.case.follows?.received_on.pred_opt()?));
    Ok(Some(Older { policies: first.policies.unwrap_or_else(present), asked_at: asked.or_else(on_its_day) }))
}

/// Stops an erasure that follows by itself where marketing is on again, or where the data was restricted since it was asked for: the
/// person acted since, and the older will does not overrule the newer. Who took back a consent asked for no erasure: every
/// restriction stands against that one. Whether one by a telephone number alone is theirs, a person says.
pub(super) async fn refuse_newer_will(run: &mut Run<'_>, contact: &Contact) -> Result<(), Stop> {
    let mut connection = run.executor.store.connection().await?;
    let Some(older) = older_will(run, &mut connection).await? else { return Ok(()) };
    run.shown_now.clone_from(&contact.identifiers);
    restricted::refuse(run, &mut connection, contact, older.asked_at).await?;
    drop(connection);
    let is_on = |policy: &String| contact.policies.get(bare(policy)) == Some(&true);
    if older.policies.iter().any(is_on) { Err(Stop::NeedsPerson(ParkReason::NewerWill)) } else { Ok(()) }
}

impl Run<'_> {
    /// A restriction is the newer will: a person asks what is wanted, and finds by its reference what stands in the way.
    pub(super) fn stops_for(&mut self, restriction: Hold) -> Stop {
        self.waits_for = Some(restriction.reference);
        Stop::NeedsPerson(ParkReason::NewerWill)
    }
}

/// A sweep names its contact: it is read again, and must still fall under the rule, as it is now. Nobody searches for it: that it is gone
/// takes two looks, as for a deletion.
async fn recheck(run: &mut Run<'_>, id: ContactId) -> Result<(Located, Option<Contact>), Stop> {
    let urgency = run.urgency();
    let found =
        run.site.platform.find_contact(&id, urgency).await.map_err(|error| run.platform_failed(&error))?;
    let mut located = Located {
        contact: None,
        out_of_scope: false,
        hits: BTreeMap::new(),
        strangers: 0,
        policies_before: BTreeMap::new(),
        chosen: false,
        created_on: None,
        language: None,
        modified: None,
    };
    let Some(contact) = found else {
        run.prove_absence(Step::Locate).await?;
        return Ok((located, None));
    };
    run.forget_absence(Step::Locate).await?;
    let in_scope = is_past_its_time(run, &contact);
    located.out_of_scope = !in_scope;
    located.contact = in_scope.then_some(id);
    Ok((located, in_scope.then_some(contact)))
}

/// The instant before which a sweep's candidate must have been created, or last active: that of the sweep, and not later than that
/// of the rule in force now. None where no rule is.
pub(super) fn retention_cutoff(run: &Run<'_>) -> Option<DateTime<Utc>> {
    let now = run.executor.desk.clock.now();
    let present = run.site.retention?.cutoff(now, run.site.controller.time_zone);
    Some(run.case.created_before.map_or(present, |before| before.min(present)))
}

/// Whether a contact that a sweep named may go by the rule. What a person asked for knows no rule.
pub(super) fn is_past_its_time(run: &Run<'_>, contact: &Contact) -> bool {
    let before = match run.case.origin {
        Origin::Retention => match retention_cutoff(run) {
            Some(before) => before,
            None => return false,
        },
        Origin::Subject | Origin::SelfTest => match run.case.created_before {
            Some(before) => before,
            None => return true,
        },
    };
    match contact.created {
        Created::At(created) => created < before,
        Created::About(created) => created + ZONE_UNCERTAINTY < before,
        // An unreadable creation date is never grounds for a deletion.
        Created::Unknown => false,
    }
}

/// A person chose the contact: it alone is read, and must still carry an identifier of the request. Nobody else is
/// looked at (S-6).
async fn chosen(run: &Run<'_>, id: &ContactId) -> Result<(Located, Option<Contact>), Stop> {
    let urgency = run.urgency();
    let found =
        run.site.platform.find_contact(id, urgency).await.map_err(|error| run.platform_failed(&error))?;
    let country = run.site.controller.default_country.as_deref();
    let read = found.map(|contact| (triage::carried(&contact, &given(run), country), contact));
    let Some((hits, contact)) = read.filter(|(hits, _)| !hits.is_empty()) else {
        return nobody_instead(run).await;
    };
    let located = Located {
        contact: Some(id.clone()),
        out_of_scope: false,
        hits,
        strangers: 0,
        policies_before: policies_before(run, &contact),
        chosen: true,
        created_on: None,
        language: None,
        modified: None,
    };
    Ok((located, Some(contact)))
}

/// The contact chosen is gone or another's now. Only a search that finds nobody at all may end it without a person: the
/// one contact that is left is not the one that was meant.
async fn nobody_instead(run: &Run<'_>) -> Result<(Located, Option<Contact>), Stop> {
    let matches = find_all(run).await?;
    if !matches.contacts.is_empty() {
        return Err(Stop::NeedsPerson(ParkReason::ChosenContactChanged));
    }
    let located = Located {
        contact: None,
        out_of_scope: false,
        hits: matches.hits,
        strangers: matches.strangers,
        policies_before: BTreeMap::new(),
        chosen: true,
        created_on: None,
        language: None,
        modified: None,
    };
    Ok((located, None))
}

async fn find_all(run: &Run<'_>) -> Result<Matches, Stop> {
    let found = triage::find_matches(run.site.platform.as_ref(), &given(run)).await;
    found.map_err(|error| match error {
        MatchError::Platform(error) => run.platform_failed(&error),
        MatchError::NotHonoured => Stop::NeedsPerson(ParkReason::SearchNotHonoured),
        MatchError::Unreadable => Stop::NeedsPerson(ParkReason::RecordUnreadable),
    })
}

async fn search(run: &Run<'_>) -> Result<(Located, Option<Contact>), Stop> {
    let matches = find_all(run).await?;
    if matches.contacts.len() > 1 {
        let reason = if matches.most_by_one > 1 {
            ParkReason::AmbiguousMatch
        } else {
            ParkReason::IdentifiersDisagree
        };
        return Err(Stop::NeedsPerson(reason));
    }
    let mut contact = None;
    if let Some(found) = matches.contacts.keys().next() {
        // A listing may show less than the contact itself: what is acted upon is read by its id.
        contact = run
            .site
            .platform
            .find_contact(found, Urgency::Request)
            .await
            .map_err(|error| run.platform_failed(&error))?;
        // Found by the search and gone by its id: only another search may say that nobody is there.
        if contact.is_none() {
            return Err(run.later("search_disagrees"));
        }
    }
    if run.case.kind == RequestKind::Erasure
        && let Some(contact) = &contact
        && given(run).iter().any(|each| triage::contradicts(each, contact))
    {
        return Err(Stop::NeedsPerson(ParkReason::IdentifiersDisagree));
    }
    // A self-test touches the invented contact and nobody else: the one that carries everything that the settings name.
    if run.case.origin == Origin::SelfTest
        && let Some(contact) = &contact
        && !carries_all(run, contact)
    {
        return Err(Stop::NeedsPerson(ParkReason::IdentifiersDisagree));
    }
    // Who signed up after having asked to be forgotten, for the last time, may want the new contact: the older will does not overrule
    // it. A time without its zone may be later than it says.
    if run.case.kind == RequestKind::Erasure
        && let Some(created) = contact.as_ref().and_then(|contact| latest(contact.created.into()))
        && created > run.case.received_at
        && created > reminder::last_asked(run).await?.received_at
    {
        return Err(Stop::NeedsPerson(ParkReason::NewerWill));
    }
    let located = Located {
        contact: contact.as_ref().map(|contact| contact.id.clone()),
        out_of_scope: false,
        hits: matches.hits,
        strangers: matches.strangers,
        policies_before: contact.as_ref().map(|contact| policies_before(run, contact)).unwrap_or_default(),
        chosen: false,
        created_on: None,
        language: None,
        modified: None,
    };
    Ok((located, contact))
}

/// Whether a contact carries every identifier that was given.
fn carries_all(run: &Run<'_>, contact: &Contact) -> bool {
    let country = run.site.controller.default_country.as_deref();
    given(run).iter().all(|each| !triage::carried(contact, &[each], country).is_empty())
}

/// Whether a contact that was located before is still the one that was meant: it carries an identifier of the request, that of a
/// self-test all of them. Where nobody gave one the contact itself is meant.
pub(super) fn still_carries(run: &Run<'_>, contact: &Contact) -> bool {
    let given = given(run);
    let country = run.site.controller.default_country.as_deref();
    match run.case.origin {
        _ if given.is_empty() => true,
        Origin::SelfTest => carries_all(run, contact),
        Origin::Subject | Origin::Retention => !triage::carried(contact, &given, country).is_empty(),
    }
}

fn given<'a>(run: &'a Run<'_>) -> Vec<&'a SubjectIdentifier> {
    let given = run.identifiers.iter().filter(|each| each.role == IdentifierRole::Given);
    given.map(|each| &each.identifier).collect()
}

/// For an opt-out: each policy as the profile shows it.
fn policies_before(run: &Run<'_>, contact: &Contact) -> BTreeMap<String, bool> {
    let shown = |name: &String| Some((name.clone(), *contact.policies.get(bare(name))?));
    run.case.policies.iter().filter_map(shown).collect()
}

/// The contact point first, then every other identifier of the profile: the read-back searches by each. The contact point is
/// the address of the profile, or its first telephone number where it holds none.
fn identifiers_to_keep(contact: &Contact, country: Option<&str>) -> Vec<(IdentifierRole, SubjectIdentifier)> {
    let email = contact.email.as_ref();
    let email =
        email.and_then(|email| SubjectIdentifier::parse(IdentifierKind::Email, email.expose(), country).ok());
    let phone = || contact.identifiers.iter().find(|each| each.kind() == IdentifierKind::Phone).cloned();
    let contact_point = email.or_else(phone).map(|point| (IdentifierRole::ContactPoint, point));
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
