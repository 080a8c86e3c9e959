//! Finding the contacts of one identifier although the platform may ignore the filter, match by prefix or ignore case.
//!
//! Every contact that comes back is compared again here. When the platform's filter cannot be trusted, by its probe or
//! by what it returns, everything is read and filtered here, if the settings allow it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::Cloud4Wi;
use super::scroll::{Listed, Scroll};
use super::wire::{self, ContactWire};
use crate::domain::{ContactId, IdentifierKind, SubjectIdentifier};
use crate::platform::{Contact, Coverage, Created, FilterTrust, PlatformError, SearchAnswer, Urgency};

const OPERATION: &str = "search contacts";

/// What the probe and the searches so far have shown about each filter.
#[derive(Debug, Default)]
pub(super) struct Trust(Mutex<BTreeMap<IdentifierKind, FilterTrust>>);

impl Trust {
    pub(super) fn get(&self, kind: IdentifierKind) -> Option<FilterTrust> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).copied()
    }

    pub(super) fn set(&self, kind: IdentifierKind, trust: FilterTrust) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, trust);
    }

    /// The kinds whose filter is ignored.
    pub(super) fn ignored(&self) -> Vec<IdentifierKind> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(_, trust)| **trust == FilterTrust::Ignored).map(|(kind, _)| *kind).collect()
    }
}

/// One record of a search: the contact if it matches.
struct Hit {
    id: ContactId,
    created: Created,
    /// Whether the record holds a value of the kind at all; when not, it cannot be compared.
    comparable: bool,
    contact: Option<Contact>,
}

impl Listed for Hit {
    fn id(&self) -> &ContactId {
        &self.id
    }

    fn created(&self) -> Created {
        self.created
    }
}

fn read_hit(record: &[u8], identifier: &SubjectIdentifier, default_country: Option<&str>) -> Option<Hit> {
    let record = std::str::from_utf8(record).ok()?;
    let wire = ContactWire::read(record)?;
    let id = wire.contact_id()?;
    let created = wire.created();
    let held = wire.held();
    let mut same_kind = held.iter().filter(|(kind, _)| *kind == identifier.kind()).peekable();
    let comparable = same_kind.peek().is_some();
    let contact = if same_kind.any(|(_, value)| identifier.matches(value, default_country)) {
        // A match whose other fields cannot be read is unreadable as a whole.
        Some(wire.into_contact(record, default_country)?)
    } else {
        None
    };
    Some(Hit { id, created, comparable, contact })
}

/// What a search has gathered.
#[derive(Default)]
struct Gathered {
    contacts: BTreeMap<ContactId, Contact>,
    strangers: BTreeSet<ContactId>,
    incomparable: BTreeSet<ContactId>,
    unreadable: u64,
}

impl Gathered {
    fn add(&mut self, hit: Hit) {
        match hit.contact {
            Some(contact) => {
                self.contacts.insert(hit.id, contact);
            }
            None if hit.comparable => {
                self.strangers.insert(hit.id);
            }
            None => {
                self.incomparable.insert(hit.id);
            }
        }
    }

    fn answer(self, coverage: Coverage) -> SearchAnswer {
        let strangers = self.strangers.iter().filter(|id| !self.contacts.contains_key(*id)).count();
        SearchAnswer {
            contacts: self.contacts.into_values().collect(),
            strangers: strangers as u64,
            unreadable: self.unreadable,
            coverage,
        }
    }
}

/// The most contacts that are read one by one because the list does not show the field that was searched for.
const MOST_READ_ONE_BY_ONE: usize = 20;

impl Cloud4Wi {
    /// The body of [`crate::platform::ContactPlatform::search`].
    pub(super) async fn find_by(
        &self,
        identifier: &SubjectIdentifier,
    ) -> Result<SearchAnswer, PlatformError> {
        let kind = identifier.kind();
        let trust = match self.trust.get(kind) {
            Some(trust) => trust,
            None => self.probe_before_use(kind).await?,
        };
        // Whom a filter of unknown trust finds may be one of several, and nobody is served as the only one on its word (S-6).
        let full_scan = self.api.transport.settings.full_scan;
        if trust == FilterTrust::Ignored || (trust == FilterTrust::Unknown && full_scan) {
            return self.without_filter(identifier, Gathered::default()).await;
        }
        let mut gathered = Gathered::default();
        for spelling in spellings(identifier, self.default_country.as_deref()) {
            if !self.filtered(identifier, spelling, &mut gathered).await? {
                self.trust.set(kind, FilterTrust::Ignored);
                tracing::warn!(
                    filter = kind.as_str(),
                    "the platform returned contacts that do not match; its filter is not used any more"
                );
                return self.without_filter(identifier, gathered).await;
            }
        }
        if !gathered.strangers.is_empty() {
            tracing::warn!(
                filter = kind.as_str(),
                count = gathered.strangers.len(),
                "the platform returned contacts beside those that match; they were dropped"
            );
        }
        self.read_incomparable(identifier, &mut gathered).await?;
        Ok(gathered.answer(match trust {
            FilterTrust::Honoured => Coverage::Complete,
            FilterTrust::Ignored | FilterTrust::Unknown => Coverage::FilterNotHonoured,
        }))
    }

    /// Searches one spelling. `false` when nothing of what came matches, which means that the filter does not filter.
    async fn filtered(
        &self,
        identifier: &SubjectIdentifier,
        spelling: String,
        gathered: &mut Gathered,
    ) -> Result<bool, PlatformError> {
        let filters = vec![(self.search_parameter(identifier.kind()).to_owned(), spelling)];
        let mut scroll = Scroll::new(&self.api, OPERATION, Urgency::Request, filters);
        let country = self.default_country.as_deref();
        let decode = |record: &[u8]| read_hit(record, identifier, country);
        while let Some(page) = scroll.next(&decode).await? {
            gathered.unreadable += page.unreadable;
            for hit in page.items {
                gathered.add(hit);
            }
            if gathered.contacts.is_empty() && !gathered.strangers.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads those contacts whole that the list showed without the field that was searched for. A platform that shows
    /// less in lists than by id would otherwise look as if it held nobody.
    async fn read_incomparable(
        &self,
        identifier: &SubjectIdentifier,
        gathered: &mut Gathered,
    ) -> Result<(), PlatformError> {
        let ids: Vec<ContactId> = std::mem::take(&mut gathered.incomparable)
            .into_iter()
            .filter(|id| !gathered.contacts.contains_key(id))
            .collect();
        if ids.len() > MOST_READ_ONE_BY_ONE {
            gathered.unreadable += ids.len() as u64;
            return Ok(());
        }
        for id in ids {
            let Some(contact) = self.read_contact(&id, Urgency::Request).await? else { continue };
            let raw = contact.raw.clone();
            let country = self.default_country.as_deref();
            match read_hit(raw.expose().as_bytes(), identifier, country) {
                Some(hit) => gathered.add(hit),
                None => gathered.unreadable += 1,
            }
        }
        // Still without the field: a stranger.
        let strangers = std::mem::take(&mut gathered.incomparable);
        gathered.strangers.extend(strangers);
        Ok(())
    }

    /// Reads all contacts and filters here.
    async fn without_filter(
        &self,
        identifier: &SubjectIdentifier,
        before: Gathered,
    ) -> Result<SearchAnswer, PlatformError> {
        if !self.api.transport.settings.full_scan {
            return Ok(before.answer(Coverage::FilterNotHonoured));
        }
        let mut gathered = Gathered::default();
        let mut scroll = Scroll::new(&self.api, OPERATION, Urgency::Request, Vec::new());
        let country = self.default_country.as_deref();
        let decode = |record: &[u8]| read_hit(record, identifier, country);
        let (mut others, mut shown) = (0_u64, false);
        while let Some(page) = scroll.next(&decode).await? {
            gathered.unreadable += page.unreadable;
            for hit in page.items {
                shown |= hit.comparable;
                if hit.contact.is_some() {
                    gathered.add(hit);
                    continue;
                }
                others += 1;
                if !hit.comparable && gathered.incomparable.len() < MOST_READ_ONE_BY_ONE {
                    gathered.add(hit);
                }
            }
        }
        tracing::info!(
            filter = identifier.kind().as_str(),
            count = others,
            "all contacts were read and filtered here"
        );
        let mut coverage =
            if scroll.may_lack_undated() { Coverage::FilterNotHonoured } else { Coverage::Complete };
        if !shown && others <= MOST_READ_ONE_BY_ONE as u64 {
            self.read_incomparable(identifier, &mut gathered).await?;
            others = gathered.strangers.len() as u64;
        } else if !shown {
            // The list shows of nobody what was searched for: whoever has it cannot be seen in it.
            coverage = Coverage::FilterNotHonoured;
        }
        Ok(SearchAnswer { strangers: others, ..gathered.answer(coverage) })
    }

    /// The name of the query parameter of a search.
    pub(super) fn search_parameter(&self, kind: IdentifierKind) -> &str {
        let dialect = &self.api.transport.settings.dialect;
        match kind {
            IdentifierKind::Email => &dialect.email,
            IdentifierKind::Phone => &dialect.phone,
            IdentifierKind::Username => &dialect.username,
            IdentifierKind::ExternalId => &dialect.external_id,
            IdentifierKind::ExternalProperty1 => &dialect.external_property_1,
            IdentifierKind::ExternalProperty2 => &dialect.external_property_2,
        }
    }

    /// The body of [`crate::platform::ContactPlatform::find_contact`].
    pub(super) async fn read_contact(
        &self,
        id: &ContactId,
        urgency: Urgency,
    ) -> Result<Option<Contact>, PlatformError> {
        const OPERATION: &str = "find contact";
        let settings = &self.api.transport.settings;
        let mut spec =
            super::transport::Spec::get(OPERATION, vec!["v2", "customers", id.as_str()], urgency, settings);
        spec.absence_is_answer = true;
        let limits = self.api.record_limits();
        let country = self.default_country.as_deref();
        let found = self
            .api
            .read_small(&spec, |small| {
                if small.status == 404 {
                    return Ok(None);
                }
                let contact = wire::single_contact(&small.body, limits, country)?;
                if contact.id != *id {
                    return Err(super::failure::Failure::Unreadable(
                        "it is another contact than was asked for".into(),
                    ));
                }
                Ok(Some(contact))
            })
            .await?;
        if found.is_none() {
            self.api.confirm_absence(OPERATION).await?;
        }
        Ok(found)
    }
}

/// The spellings under which the platform may hold an identifier, without repetition: all that
/// [`SubjectIdentifier::matches`] takes for it, but for signs between digits and capitals other than those given.
pub(super) fn spellings(identifier: &SubjectIdentifier, default_country: Option<&str>) -> Vec<String> {
    let given = identifier.given().expose();
    let normalised = identifier.normalised().expose();
    let mut spellings = vec![given.clone()];
    match identifier.kind() {
        IdentifierKind::Email => {
            spellings.extend([given.to_lowercase(), normalised.clone()]);
            spellings.extend(unicode_spelling(normalised));
        }
        IdentifierKind::Phone => {
            let digits = normalised.trim_start_matches('+');
            spellings.extend([normalised.clone(), digits.to_owned(), format!("00{digits}")]);
            spellings.extend(national_spelling(normalised, default_country));
        }
        _ => spellings.push(normalised.clone()),
    }
    let mut unique = Vec::new();
    for spelling in spellings {
        if !unique.contains(&spelling) {
            unique.push(spelling);
        }
    }
    unique
}

/// An address with its domain as people write it, where the normal form has that in ASCII (`xn--`).
fn unicode_spelling(normalised: &str) -> Option<String> {
    let (local, domain) = normalised.rsplit_once('@')?;
    let (domain, read) = idna::domain_to_unicode(domain);
    read.ok().map(|()| format!("{local}@{domain}"))
}

/// The digits of a number of the organisation's own country as they are dialled there: people sign up with that.
fn national_spelling(normalised: &str, default_country: Option<&str>) -> Option<String> {
    let number = phonenumber::parse(None, normalised).ok()?;
    // By code rather than by country, because some countries share a code and cannot be told apart by number.
    let country = phonenumber::metadata::DATABASE.by_id(default_country?)?;
    if number.code().value() != country.country_code() {
        return None;
    }
    let text = number.format().mode(phonenumber::Mode::National).to_string();
    Some(text.chars().filter(char::is_ascii_digit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_searched_as_given_and_in_its_normal_forms_once_each() {
        let all = |kind, text| spellings(&SubjectIdentifier::parse(kind, text, None).unwrap(), Some("IT"));
        assert_eq!(
            all(IdentifierKind::Email, "Ada@People.Example"),
            ["Ada@People.Example", "ada@people.example"]
        );
        assert_eq!(all(IdentifierKind::Email, "ada@people.example"), ["ada@people.example"]);
        assert_eq!(
            all(IdentifierKind::Email, "ada@xn--caf-dma.example"),
            ["ada@xn--caf-dma.example", "ada@caf\u{e9}.example"]
        );
        assert_eq!(
            all(IdentifierKind::Phone, "+39 06 1234 5678"),
            ["+39 06 1234 5678", "+390612345678", "390612345678", "00390612345678", "0612345678"]
        );
        assert_eq!(
            all(IdentifierKind::Phone, "+493012345678"),
            ["+493012345678", "493012345678", "00493012345678"]
        );
        assert_eq!(all(IdentifierKind::Username, "Ada"), ["Ada"]);
    }
}
