//! The organisation: policy names, places, segments, and all events.

use std::sync::Arc;

use super::query::{BadParameter, Parameters, continued};
use crate::answer::Answer;
use crate::contacts::Presence;
use crate::dialect;
use crate::faults::poison::Target;
use crate::people::{COUNTRIES, ContactRecord, LOCATIONS, SEGMENTS};
use crate::records::{EventFamily, RecordOwner, instant_of, type_of_event};
use crate::server::{Call, Organisation, Outcome, lock};

/// One event, to be written later.
#[derive(Clone, Copy, Debug)]
struct EventReference {
    at_ms: i64,
    slot: u32,
    number: u32,
    family: EventFamily,
}

/// What a scroll over events reads.
#[derive(Debug)]
pub(crate) struct EventSnapshot {
    events: Vec<EventReference>,
}

/// `GET /v1/organizations/{orgId}/policies`.
pub(super) fn policy_names(call: &Call<'_>) -> Outcome {
    let mut titles = call.organisation.directory.policy_titles();
    // The documented order begins with these two.
    titles.swap(0, 1);
    let body = serde_json::json!({
        "status": "OK", "generated": call.shared.generated, "count": titles.len(), "policies": titles,
    });
    Answer::json(200, body.to_string()).into()
}

/// `GET /v1/organizations/{orgId}/locations`.
pub(super) fn locations(call: &Call<'_>) -> Outcome {
    let people = call.organisation.directory.people();
    let places: Vec<String> = LOCATIONS
        .iter()
        .zip(people.location_ids())
        .zip(COUNTRIES)
        .map(|(((name, city), id), (country, _, _, zone, _))| {
            serde_json::json!({
                "id": id, "name": name, "organziationId": people.organisation_id(), "lat": 43.7, "lng": 10.4,
                "timezone": zone, "externalId": "", "tags": [],
                "address": {"address": "Via Inventata 1", "city": city, "zip": "00000", "country": country},
            })
            .to_string()
        })
        .collect();
    let number = places.len();
    super::envelope(call, "size", number, "locations").answer(texts(places)).into()
}

/// `GET /v2/segments/organizations/{orgId}`.
pub(super) fn segments(call: &Call<'_>) -> Outcome {
    let people = call.organisation.directory.people();
    let segments: Vec<String> = SEGMENTS
        .iter()
        .zip(people.segment_ids())
        .map(|(name, id)| {
            serde_json::json!({
                "id": id, "name": name, "description": "", "lastRun": call.shared.generated,
                "created": call.shared.generated, "modified": call.shared.generated,
                "segmentStatus": "active", "audience": 0,
            })
            .to_string()
        })
        .collect();
    let number = segments.len();
    super::envelope(call, "size", number, "segments").answer(texts(segments)).into()
}

fn texts(list: Vec<String>) -> crate::answer::NextRecord {
    let mut list = list.into_iter();
    Box::new(move |out| match list.next() {
        Some(text) => {
            out.extend_from_slice(text.as_bytes());
            true
        }
        None => false,
    })
}

/// `GET /v1/organizations/{orgId}/events`: visits, connections and application events of everybody.
pub(super) fn events(call: &Call<'_>) -> Outcome {
    events_or_refuse(call).unwrap_or_else(|BadParameter(message)| call.refuse(409, &message))
}

fn events_or_refuse(call: &Call<'_>) -> Result<Outcome, BadParameter> {
    let organisation = call.organisation;
    let parameters = Parameters::of(call.uri)?;
    let asked_size = parameters.size()?;
    let scroll_wanted = parameters.boolean(dialect::ENABLE_SCROLL)? == Some(true);
    let (snapshot, position, size, open) = if let Some(id) = parameters.text(dialect::SCROLL_ID) {
        let scroll = continued(&organisation.event_scrolls, id, asked_size)?;
        (scroll.snapshot, scroll.position, scroll.size, Some(id.to_owned()))
    } else {
        let snapshot = select_events(organisation, &parameters)?;
        (Arc::new(snapshot), 0, asked_size.unwrap_or(dialect::DEFAULT_PAGE), None)
    };
    let next = (position + size).min(snapshot.events.len());
    let number = next - position;
    let goes_on = next < snapshot.events.len() || number >= size;
    let id = match open {
        Some(id) => {
            lock(&organisation.event_scrolls).advance(&id, next);
            Some(id)
        }
        None if scroll_wanted && goes_on => {
            Some(lock(&organisation.event_scrolls).open(Arc::clone(&snapshot), next, size))
        }
        None => None,
    };
    let id = id.filter(|_| goes_on);
    let mut envelope = super::envelope(call, "count", number, "events");
    envelope.scroll = id.as_deref().map(|id| (dialect::SCROLL_ID, id));
    Ok(envelope.answer(event_writer(call, snapshot, position, next)).into())
}

fn event_writer(
    call: &Call<'_>,
    snapshot: Arc<EventSnapshot>,
    position: usize,
    end: usize,
) -> crate::answer::NextRecord {
    let organisation = Arc::clone(call.organisation);
    let style = call.faults.style();
    let mut at = position;
    let mut record = ContactRecord::default();
    let mut filled = None;
    let target = Target::of(call.faults);
    Box::new(move |out| {
        if at >= end {
            return false;
        }
        let (event, start, place) = (snapshot.events[at], out.len(), at - position);
        at += 1;
        let directory = &organisation.directory;
        if filled != Some(event.slot) {
            directory.fill(event.slot, &mut record);
            filled = Some(event.slot);
        }
        let owner = RecordOwner {
            people: directory.people(),
            slot: event.slot,
            contact_id: &record.cid,
            created_ms: record.created_ms,
        };
        let counts = directory.counts(event.slot);
        let count = match event.family {
            EventFamily::Visit => counts.events,
            EventFamily::Application => counts.application_events,
        };
        owner.write_event(out, event.family, event.number, count, style);
        if let Some(target) = &target {
            target.spoil(out, start, place);
        }
        true
    })
}

/// The events of a window, in their order. `businessTime` and `utcTime` sort alike here.
fn select_events(
    organisation: &Organisation,
    parameters: &Parameters,
) -> Result<EventSnapshot, BadParameter> {
    let from = parameters.instant(dialect::DATE_START)?;
    let to = parameters.instant(dialect::DATE_END)?;
    let types = parameters.list(dialect::EVENTS);
    let reverse = parameters.boolean(dialect::SORT_REVERSE)? == Some(true);
    if parameters.text(dialect::SORT_BY).is_some_and(|key| !matches!(key, "businessTime" | "utcTime")) {
        return Err(BadParameter("sortBy is not businessTime or utcTime".to_owned()));
    }
    let directory = &organisation.directory;
    let people = directory.people();
    let mut events = Vec::new();
    for slot in 0..directory.slots() {
        if directory.presence(slot) == Presence::Gone {
            continue;
        }
        let counts = directory.counts(slot);
        let created_ms = directory.created_ms(slot);
        for (family, count) in
            [(EventFamily::Visit, counts.events), (EventFamily::Application, counts.application_events)]
        {
            for number in 0..count {
                let at_ms = instant_of(people, created_ms, number, count);
                if from.is_some_and(|from| at_ms < from) || to.is_some_and(|to| at_ms > to) {
                    continue;
                }
                let wanted = types.as_ref().is_none_or(|types| {
                    let kind = type_of_event(people, slot, family, number);
                    types.iter().any(|wanted| wanted == kind)
                });
                if wanted {
                    events.push(EventReference { at_ms, slot, number, family });
                }
            }
        }
    }
    events.sort_unstable_by_key(|event| {
        (event.at_ms, event.slot, event.number, event.family == EventFamily::Visit)
    });
    if reverse {
        events.reverse();
    }
    Ok(EventSnapshot { events })
}
