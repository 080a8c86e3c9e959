//! Finding contacts: the filters, searches and sort orders of the list endpoint.

use super::{Directory, Selection, State};
use crate::people::{ContactRecord, PolicyFlags, Population};

/// A search parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SearchKey {
    Email,
    Phone,
    Username,
    ExtId,
    ExtProp1,
    ExtProp2,
}

/// What a list call asks for. `Default` asks for everybody in the order of creation.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContactFilter {
    pub(crate) has_email: Option<bool>,
    pub(crate) email_verified: Option<bool>,
    pub(crate) has_phone: Option<bool>,
    pub(crate) phone_verified: Option<bool>,
    pub(crate) signup_method: Option<String>,
    pub(crate) locations: Option<Vec<String>>,
    pub(crate) segments: Option<Vec<String>>,
    pub(crate) created_from_ms: Option<i64>,
    pub(crate) created_to_ms: Option<i64>,
    pub(crate) modified_from_ms: Option<i64>,
    pub(crate) modified_to_ms: Option<i64>,
    /// Bits of policies that must be accepted.
    pub(crate) accepted: u32,
    /// A custom opt-in was asked for that the organisation does not have.
    pub(crate) nobody: bool,
    pub(crate) searches: Vec<(SearchKey, String)>,
    /// Fault: an e-mail search finds every address that begins like the searched one's local part.
    pub(crate) email_prefix: bool,
    /// Sort key and descending order.
    pub(crate) sort: Option<(String, bool)>,
}

impl ContactFilter {
    fn asks_nothing(&self) -> bool {
        self.has_email.is_none()
            && self.email_verified.is_none()
            && self.has_phone.is_none()
            && self.phone_verified.is_none()
            && self.signup_method.is_none()
            && self.locations.is_none()
            && self.segments.is_none()
            && self.created_from_ms.is_none()
            && self.created_to_ms.is_none()
            && self.modified_from_ms.is_none()
            && self.modified_to_ms.is_none()
            && self.accepted == 0
            && !self.nobody
            && self.searches.is_empty()
    }
}

/// The digits of a phone number.
pub(crate) fn digits_of(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The form in which a value is compared: e-mail addresses without regard to case, phone numbers by their digits.
fn normal(key: SearchKey, value: &str) -> String {
    match key {
        SearchKey::Email => value.trim().to_lowercase(),
        SearchKey::Phone => digits_of(value),
        SearchKey::Username | SearchKey::ExtId | SearchKey::ExtProp1 | SearchKey::ExtProp2 => {
            value.to_owned()
        }
    }
}

/// The searchable values of a record.
pub(super) fn search_values(record: &ContactRecord) -> Vec<(SearchKey, String)> {
    [
        (SearchKey::Email, &record.email),
        (SearchKey::Phone, &record.phone),
        (SearchKey::Username, &record.username),
        (SearchKey::ExtId, &record.ext_id),
        (SearchKey::ExtProp1, &record.ext_prop1),
        (SearchKey::ExtProp2, &record.ext_prop2),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| (key, normal(key, value)))
    .collect()
}

/// Reads single values of a slot without filling a whole record.
struct Reader<'a> {
    people: &'a Population,
    state: &'a State,
    text: String,
}

impl Reader<'_> {
    fn wiped(&self, slot: u32) -> bool {
        self.state.change(slot).is_some_and(|change| change.wiped)
    }

    fn created_ms(&self, slot: u32) -> i64 {
        match self.state.added(self.people, slot) {
            Some(added) => added.record.created_ms,
            None => self.people.created_ms(slot),
        }
    }

    fn modified_ms(&self, slot: u32) -> i64 {
        if let Some(modified) = self.state.change(slot).and_then(|change| change.modified_ms) {
            return modified;
        }
        match self.state.added(self.people, slot) {
            Some(added) => added.record.modified_ms,
            None => self.people.modified_ms(slot),
        }
    }

    fn policies(&self, slot: u32) -> PolicyFlags {
        if let Some(flags) = self.state.change(slot).and_then(|change| change.policies) {
            return flags;
        }
        match self.state.added(self.people, slot) {
            Some(added) => added.record.policies,
            None => self.people.policies(slot),
        }
    }

    /// The value of a search key in its comparable form.
    fn value(&mut self, slot: u32, key: SearchKey) -> String {
        self.text.clear();
        if self.wiped(slot) {
            return String::new();
        }
        if let Some(added) = self.state.added(self.people, slot) {
            let record = &added.record;
            let value = match key {
                SearchKey::Email => &record.email,
                SearchKey::Phone => &record.phone,
                SearchKey::Username => &record.username,
                SearchKey::ExtId => &record.ext_id,
                SearchKey::ExtProp1 => &record.ext_prop1,
                SearchKey::ExtProp2 => &record.ext_prop2,
            };
            return normal(key, value);
        }
        match key {
            SearchKey::Email => self.people.write_email(slot, &mut self.text),
            SearchKey::Phone => self.people.write_phone(slot, &mut self.text),
            SearchKey::Username => self.people.write_username(slot, &mut self.text),
            SearchKey::ExtId => Population::write_ext_id(slot, &mut self.text),
            SearchKey::ExtProp1 => Population::write_ext_prop1(slot, &mut self.text),
            SearchKey::ExtProp2 => Population::write_ext_prop2(slot, &mut self.text),
        }
        normal(key, &self.text)
    }

    fn has_email(&self, slot: u32) -> bool {
        !self.wiped(slot)
            && self
                .state
                .added(self.people, slot)
                .map_or_else(|| Population::has_email(slot), |added| !added.record.email.is_empty())
    }

    fn has_phone(&self, slot: u32) -> bool {
        !self.wiped(slot)
            && self
                .state
                .added(self.people, slot)
                .map_or_else(|| Population::has_phone(slot), |added| !added.record.phone.is_empty())
    }

    fn email_verified(&self, slot: u32) -> bool {
        !self.wiped(slot)
            && self
                .state
                .added(self.people, slot)
                .map_or_else(|| self.people.email_verified(slot), |added| added.record.email_verified)
    }

    fn phone_verified(&self, slot: u32) -> bool {
        !self.wiped(slot)
            && self
                .state
                .added(self.people, slot)
                .map_or_else(|| self.people.phone_verified(slot), |added| added.record.phone_verified)
    }

    fn location(&self, slot: u32) -> &str {
        match self.state.added(self.people, slot) {
            Some(added) => &added.record.location_id,
            None => &self.people.location_ids()[self.people.location(slot)],
        }
    }

    fn in_segment(&self, slot: u32, wanted: &[String]) -> bool {
        if let Some(added) = self.state.added(self.people, slot) {
            return added.record.segments.iter().any(|(id, _)| wanted.contains(id));
        }
        let bits = self.people.segments(slot);
        let ids = self.people.segment_ids().iter().enumerate();
        ids.filter(|(at, _)| bits & (1 << at) != 0).any(|(_, id)| wanted.contains(id))
    }

    fn signup_method(&self, slot: u32) -> &str {
        match self.state.added(self.people, slot) {
            Some(added) => &added.record.signup_method,
            None => self.people.signup_method(slot),
        }
    }

    fn matches(&mut self, slot: u32, filter: &ContactFilter) -> bool {
        let within = |at: i64, from: Option<i64>, to: Option<i64>| {
            // The bounds have seconds only; a contact of the last second, with a fraction, is inside.
            from.is_none_or(|from| at >= from) && to.is_none_or(|to| at - at.rem_euclid(1000) <= to)
        };
        let dated = |from: Option<i64>, to: Option<i64>| from.is_some() || to.is_some();
        if dated(filter.created_from_ms, filter.created_to_ms)
            && !within(self.created_ms(slot), filter.created_from_ms, filter.created_to_ms)
        {
            return false;
        }
        if dated(filter.modified_from_ms, filter.modified_to_ms)
            && !within(self.modified_ms(slot), filter.modified_from_ms, filter.modified_to_ms)
        {
            return false;
        }
        if filter.has_email.is_some_and(|wanted| wanted != self.has_email(slot))
            || filter.has_phone.is_some_and(|wanted| wanted != self.has_phone(slot))
            || filter.email_verified.is_some_and(|wanted| wanted != self.email_verified(slot))
            || filter.phone_verified.is_some_and(|wanted| wanted != self.phone_verified(slot))
            || filter.signup_method.as_deref().is_some_and(|wanted| wanted != self.signup_method(slot))
            || filter.segments.as_deref().is_some_and(|wanted| !self.in_segment(slot, wanted))
        {
            return false;
        }
        if filter
            .locations
            .as_deref()
            .is_some_and(|wanted| !wanted.iter().any(|id| id == self.location(slot)))
        {
            return false;
        }
        if filter.accepted != 0 {
            let flags = self.policies(slot);
            if filter.accepted & flags.present & flags.accepted != filter.accepted {
                return false;
            }
        }
        filter.searches.iter().all(|(key, wanted)| {
            let value = self.value(slot, *key);
            if value.is_empty() {
                false
            } else if *key == SearchKey::Email && filter.email_prefix {
                let wanted = normal(*key, wanted);
                value.starts_with(wanted.split('@').next().unwrap_or_default())
            } else {
                value == normal(*key, wanted)
            }
        })
    }

    fn sort_text(&self, record: &ContactRecord, key: &str) -> String {
        let flag = |value: bool| if value { "1".to_owned() } else { "0".to_owned() };
        let policy = |title: &str| {
            let position = self.state.titles.iter().position(|known| known == title);
            flag(position.and_then(|at| u32::try_from(at).ok()).is_some_and(|at| record.policies.accepts(at)))
        };
        match key {
            "firstName" => record.first_name.clone(),
            "lastName" => record.last_name.clone(),
            "gender" => record.gender.clone(),
            "birthDate" => record.birth_date.clone(),
            "country" => record.country.clone(),
            "phone" => record.phone.clone(),
            "phoneVerified" => flag(record.phone_verified),
            "email" => record.email.to_lowercase(),
            "emailVerified" => flag(record.email_verified),
            "provider" => record.external_source.clone(),
            "username" => record.username.clone(),
            "locked" => flag(record.locked),
            "locations" => record.location_name.clone(),
            "system" => record.system.clone(),
            "enabled" => flag(record.enabled),
            "type" => record.kind.clone(),
            "totalVisits" => format!("{:020}", record.metrics.total_visits),
            "visitedLocations" => format!("{:020}", record.metrics.visited_locations),
            title => policy(title),
        }
    }
}

impl Directory {
    /// The contacts that match, in the order asked for.
    pub(crate) fn select(&self, filter: &ContactFilter) -> Selection {
        let slots = self.slots();
        let state = self.read();
        let natural = filter.sort.as_ref().is_none_or(|(key, reverse)| {
            !reverse && state.added.is_empty() && matches!(key.as_str(), "created" | "created_absolute")
        });
        if filter.asks_nothing() && natural && state.gone_number == 0 {
            return Selection::all(slots as usize);
        }
        if filter.nobody {
            return Selection::from_slots(Vec::new());
        }
        let mut reader = Reader { people: &self.people, state: &state, text: String::new() };
        let mut found: Vec<u32> = match filter.searches.first() {
            Some((SearchKey::Email, _)) if filter.email_prefix => (0..slots).collect(),
            Some((key, value)) => self.candidates(&state, *key, value),
            None => (0..slots).collect(),
        };
        found.retain(|&slot| !state.is_gone(slot) && reader.matches(slot, filter));
        if let Some((key, reverse)) = &filter.sort {
            match key.as_str() {
                "created" | "created_absolute" => found.sort_by_key(|&slot| (reader.created_ms(slot), slot)),
                "modified_absolute" => found.sort_by_key(|&slot| (reader.modified_ms(slot), slot)),
                key => {
                    let mut record = ContactRecord::default();
                    found.sort_by_cached_key(|&slot| {
                        state.fill(&self.people, slot, &mut record);
                        (reader.sort_text(&record, key), slot)
                    });
                }
            }
            if *reverse {
                found.reverse();
            }
        }
        Selection::from_slots(found)
    }

    fn candidates(&self, state: &State, key: SearchKey, value: &str) -> Vec<u32> {
        let value = normal(key, value);
        let people = &self.people;
        let mut found = match key {
            SearchKey::Email => people.candidates_by_email(&value),
            SearchKey::Phone => people.candidates_by_phone(&value),
            SearchKey::Username => people.candidates_by_username(&value),
            SearchKey::ExtId => people.candidates_by_ext_id(&value),
            SearchKey::ExtProp1 => people.candidates_by_ext_prop1(&value),
            SearchKey::ExtProp2 => people.candidates_by_ext_prop2(&value),
        };
        if let Some(added) = state.added_by_key.get(&(key, value)) {
            found.extend(added);
        }
        found
    }
}
