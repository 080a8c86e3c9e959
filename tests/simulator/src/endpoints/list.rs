//! The contact list: filters, searches, pages; and the `exist` call.

use std::sync::Arc;

use super::query::{BadParameter, Parameters, continued};
use crate::answer::Answer;
use crate::contacts::{ContactFilter, ContactSpec, Presence, SearchKey, Selection};
use crate::dialect;
use crate::faults::Fault;
use crate::faults::poison::Target;
use crate::people::ContactRecord;
use crate::server::{Call, Outcome, lock};
use crate::settings::ScrollIds;

/// What a scroll reads: the contacts found by its first call, and what that call asked for.
#[derive(Debug)]
pub(crate) struct ContactSnapshot {
    selection: Selection,
    filter: ContactFilter,
}

const SEARCHES: [(&str, SearchKey); 6] = [
    (dialect::EMAIL, SearchKey::Email),
    (dialect::PHONE, SearchKey::Phone),
    (dialect::USERNAME, SearchKey::Username),
    (dialect::EXT_ID, SearchKey::ExtId),
    (dialect::EXT_PROP1, SearchKey::ExtProp1),
    (dialect::EXT_PROP2, SearchKey::ExtProp2),
];

fn searches(parameters: &Parameters) -> Vec<(SearchKey, String)> {
    SEARCHES
        .iter()
        .filter_map(|(name, key)| Some((*key, parameters.text(name)?.to_owned())))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn read_filter(call: &Call<'_>, parameters: &Parameters) -> Result<ContactFilter, BadParameter> {
    let directory = &call.organisation.directory;
    let reverse = parameters.boolean(dialect::SORT_REVERSE)?;
    let sort = match (parameters.text(dialect::SORT_BY), reverse) {
        (Some(key), reverse) if dialect::SORT_KEYS.contains(&key) => {
            Some((key.to_owned(), reverse == Some(true)))
        }
        (Some(_), _) => return Err(BadParameter("sortBy is not a sort key".to_owned())),
        (None, Some(_)) => return Err(BadParameter("sortReverse needs sortBy".to_owned())),
        (None, None) => None,
    };
    let mut filter = ContactFilter { sort, ..ContactFilter::default() };
    if call.faults.has(&Fault::FilterIgnored) {
        return Ok(filter);
    }
    filter.has_email = parameters.boolean(dialect::HAS_EMAIL)?;
    filter.email_verified = parameters.boolean(dialect::EMAIL_VERIFIED)?;
    filter.has_phone = parameters.boolean(dialect::HAS_PHONE)?;
    filter.phone_verified = parameters.boolean(dialect::PHONE_VERIFIED)?;
    filter.signup_method = parameters.text(dialect::SIGNUP_METHOD).map(str::to_owned);
    filter.locations = parameters.list(dialect::LOCATIONS);
    filter.segments = parameters.list(dialect::SEGMENTS);
    filter.created_from_ms = parameters.instant(dialect::CREATED_FROM)?;
    filter.created_to_ms = parameters.instant(dialect::CREATED_TO)?;
    filter.modified_from_ms = parameters.instant(dialect::MODIFIED_FROM)?;
    filter.modified_to_ms = parameters.instant(dialect::MODIFIED_TO)?;
    filter.email_prefix = call.faults.has(&Fault::PrefixMatch);
    filter.searches = searches(parameters);
    for name in [dialect::MARKETING, dialect::AGE_VERIFICATION] {
        // These filters select `true` only; `false` asks for nothing.
        if parameters.boolean(name)? == Some(true)
            && let Some(position) = directory.policy_position(name)
        {
            filter.accepted |= 1 << position;
        }
    }
    for (title, value) in parameters.with_prefix(dialect::CUSTOM_OPTIN_PREFIX) {
        if value != "true" {
            continue;
        }
        match directory.custom_position(title) {
            Some(position) => filter.accepted |= 1 << position,
            None => filter.nobody = true,
        }
    }
    Ok(filter)
}

/// Slots of one page, and where the next begins.
struct Page {
    slots: Vec<u32>,
    next: usize,
    /// The answer must carry a scroll id although the page is short.
    goes_on: bool,
}

fn cut_page(call: &Call<'_>, selection: &Selection, position: usize, size: usize) -> Page {
    let total = selection.len();
    let slots = |from: usize, to: usize| (from..to.min(total)).filter_map(|at| selection.get(at)).collect();
    let page = |from: usize, to: usize| Page { slots: slots(from, to), next: to.min(total), goes_on: false };
    for fault in call.faults.iter() {
        match fault {
            Fault::SizeIgnored => return page(position, position + size * 2),
            Fault::PageCap(most) => return page(position, position + size.min(*most)),
            Fault::ShortPage => {
                let to = position + size.div_ceil(2);
                return Page { goes_on: to < total, ..page(position, to) };
            }
            Fault::EmptyPage => return Page { slots: Vec::new(), next: position, goes_on: position < total },
            Fault::DuplicateContacts => {
                let half = page(position, position + size.div_ceil(2));
                let doubled = half.slots.iter().flat_map(|&slot| [slot, slot]).collect();
                return Page { slots: doubled, goes_on: half.next < total, ..half };
            }
            Fault::OverlappingPages => {
                let overlap = (size / 4).max(usize::from(size > 1)).min(position);
                let to = position - overlap + size;
                return page(position - overlap, to);
            }
            _ => {}
        }
    }
    page(position, position + size)
}

/// The list endpoint.
pub(super) fn list(call: &Call<'_>) -> Outcome {
    list_or_refuse(call).unwrap_or_else(|BadParameter(message)| call.refuse(409, &message))
}

fn list_or_refuse(call: &Call<'_>) -> Result<Outcome, BadParameter> {
    let organisation = call.organisation;
    let directory = &organisation.directory;
    let parameters = Parameters::of(call.uri)?;
    let asked_size = parameters.size()?;
    let (snapshot, position, size, open) = if let Some(sid) = parameters.text(dialect::SID) {
        if call.faults.has(&Fault::ScrollExpired) {
            lock(&organisation.scrolls).close(sid);
        }
        let scroll = continued(&organisation.scrolls, sid, asked_size)?;
        (scroll.snapshot, scroll.position, scroll.size, Some(sid.to_owned()))
    } else {
        let filter = read_filter(call, &parameters)?;
        let selection = directory.select(&filter);
        let size = asked_size.unwrap_or(dialect::DEFAULT_PAGE);
        (Arc::new(ContactSnapshot { selection, filter }), 0, size, None)
    };
    let living =
        (open.is_some() && call.faults.has(&Fault::LiveScroll)).then(|| directory.select(&snapshot.filter));
    let selection = living.as_ref().unwrap_or(&snapshot.selection);
    let stuck = call.faults.has(&Fault::SameScrollPage);
    let position = if stuck { 0 } else { position };
    let page = cut_page(call, selection, position, size);
    // A full page may be followed by more or, at the end, by an empty one; a short page is the end.
    let goes_on = page.next < selection.len() || page.goes_on || page.slots.len() >= size || stuck;
    let sid = match open {
        Some(sid) if call.shared.settings.scroll_ids == ScrollIds::OneForAll => {
            lock(&organisation.scrolls).advance(&sid, page.next);
            Some(sid)
        }
        Some(sid) if stuck => Some(sid),
        _ if goes_on => Some(lock(&organisation.scrolls).open(Arc::clone(&snapshot), page.next, size)),
        _ => None,
    };
    let sid = sid.filter(|_| goes_on && !call.faults.has(&Fault::NoScrollId));
    move_while_scrolling(call, selection, page.next);
    let answer = write_page(call, page.slots, sid.as_deref());
    Ok(answer.into())
}

/// Faults that change the organisation behind the back of a scroll.
fn move_while_scrolling(call: &Call<'_>, selection: &Selection, next: usize) {
    let directory = &call.organisation.directory;
    for fault in call.faults.iter() {
        match fault {
            Fault::DeleteWhileScrolling(number) => {
                let later = (next..selection.len()).filter_map(|at| selection.get(at));
                let there = later.filter(|&slot| directory.presence(slot) == Presence::There);
                for slot in there.take(*number).collect::<Vec<_>>() {
                    directory.delete(slot, false);
                }
            }
            Fault::CreateWhileScrolling(number) => {
                for _ in 0..*number {
                    directory.add(ContactSpec::new());
                }
            }
            _ => {}
        }
    }
}

fn write_page(call: &Call<'_>, slots: Vec<u32>, sid: Option<&str>) -> Answer {
    let organisation = Arc::clone(call.organisation);
    let mut envelope = super::envelope(call, "size", slots.len(), dialect::CONTACTS_ENVELOPE);
    envelope.scroll = sid.map(|sid| (dialect::SID, sid));
    let huge = call.faults.find(|fault| match fault {
        Fault::HugeString(length) => Some(*length),
        _ => None,
    });
    if let (Some(length), Some(&slot)) = (huge, slots.first()) {
        let before = format!(r#"{{"generated":"{}","size":1,"customers":["#, call.shared.generated);
        let id = organisation.directory.id_of(slot);
        return Answer::produced(super::contact::huge_contact(&id, length, before.into_bytes(), b"]}"));
    }
    let style = call.faults.style();
    let target = Target::of(call.faults);
    let mut record = ContactRecord::default();
    let mut at = 0;
    let next = move |out: &mut Vec<u8>| {
        let Some(&slot) = slots.get(at) else { return false };
        let start = out.len();
        organisation.directory.write_contact(out, slot, &mut record, style);
        if let Some(target) = &target {
            target.spoil(out, start, at);
        }
        at += 1;
        true
    };
    envelope.answer(Box::new(next))
}

/// `exist`: 200 when a contact has all the identifiers of the call, else 404.
pub(super) fn exist(call: &Call<'_>) -> Outcome {
    let directory = &call.organisation.directory;
    let parameters = match Parameters::of(call.uri) {
        Ok(parameters) => parameters,
        Err(BadParameter(message)) => return call.refuse(409, &message),
    };
    let filter = ContactFilter { searches: searches(&parameters), ..ContactFilter::default() };
    let by_id = parameters.text(dialect::CID);
    if by_id.is_none() && filter.searches.is_empty() {
        return call.refuse(409, "an identifier is needed");
    }
    let there = |slot: &u32| matches!(directory.presence(*slot), Presence::There | Presence::SoftDeleted);
    let wanted = by_id.map(|id| directory.slot_of(id).filter(there));
    let found = match wanted {
        Some(None) => false,
        Some(Some(slot)) if filter.searches.is_empty() => directory.presence(slot) != Presence::Gone,
        Some(Some(slot)) => {
            let selection = directory.select(&filter);
            (0..selection.len()).any(|at| selection.get(at) == Some(slot))
        }
        None => directory.select(&filter).len() > 0,
    };
    if found { super::ok(call).into() } else { call.refuse(404, "no such contact") }
}
