//! The handle of one organisation: credentials, switches, and the truth about its contacts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};

use crate::contacts::{ContactSpec, Truth, digits_of};
use crate::faults::Faults;
use crate::journal::Journal;
use crate::people::{LOCATIONS, Population, RecordCounts, SEGMENTS};
use crate::rate_limit::Bucket;
use crate::server::{Organisation, Shared, lock};
use crate::settings::RateLimit;

/// A kind of generated person to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One person whose e-mail address and phone number nobody else has.
    UniqueIdentifiers,
    /// Two people with one e-mail address (in different case).
    SharedEmail,
    /// Two people with one phone number (the same digits).
    SharedPhone,
    /// One person without e-mail address.
    WithoutEmail,
    /// One person without phone number.
    WithoutPhone,
    /// One person with a plus sign in the e-mail address.
    PlusAddress,
    /// One person with a right-to-left name.
    RightToLeftName,
    /// One person with an external id.
    WithExternalId,
    /// One person who accepted marketing communication.
    AcceptsMarketing,
    /// One person created before an instant.
    CreatedBefore(DateTime<Utc>),
    /// One person created at or after an instant.
    CreatedFrom(DateTime<Utc>),
}

/// One organisation of a running simulator.
#[derive(Clone, Debug)]
pub struct OrganisationHandle {
    shared: Arc<Shared>,
    at: usize,
}

impl OrganisationHandle {
    pub(crate) fn new(shared: Arc<Shared>, at: usize) -> Self {
        Self { shared, at }
    }

    fn inner(&self) -> &Arc<Organisation> {
        &self.shared.organisations[self.at]
    }

    /// Name in the settings.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner().settings.name
    }

    /// Organisation id, as it stands in paths.
    #[must_use]
    pub fn org_id(&self) -> &str {
        &self.inner().settings.organisation_id
    }

    /// Service id: the `iss` claim of tokens.
    #[must_use]
    pub fn service_id(&self) -> &str {
        &self.inner().settings.service_id
    }

    /// Client key.
    #[must_use]
    pub fn client_key(&self) -> &str {
        &self.inner().settings.client_key
    }

    /// Client secret.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.inner().settings.client_secret
    }

    /// Fault switches for this organisation's calls.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.faults.of_organisation(Arc::clone(&self.inner().name))
    }

    /// The journal, this organisation's entries only. Counters are those of the whole simulator.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.shared.journal.of_organisation(Arc::clone(&self.inner().name))
    }

    /// Lets all tokens that were given expire.
    pub fn expire_tokens(&self) {
        lock(&self.shared.tokens).expire_all(self.at);
    }

    /// Revokes the key: logins are refused with 401, tokens with 403. `false` brings it back.
    pub fn revoke_key(&self, revoked: bool) {
        self.inner().key_revoked.store(revoked, Ordering::Release);
    }

    /// Changes the scopes of the key.
    pub fn set_scopes<S: Into<String>>(&self, scopes: impl IntoIterator<Item = S>) {
        *lock(&self.inner().scopes) = scopes.into_iter().map(Into::into).collect();
    }

    /// Changes the rate limit of the key; the new bucket is full.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) {
        *lock(&self.inner().bucket) = limit.map(Bucket::new);
    }

    /// Lets all scroll ids expire.
    pub fn expire_scrolls(&self) {
        lock(&self.inner().scrolls).close_all();
        lock(&self.inner().event_scrolls).close_all();
    }

    // ----- contacts -------------------------------------------------------------------------------------------------

    /// Adds a contact and answers its id.
    ///
    /// # Panics
    /// When the id exists already, or the organisation would have more than 32 policies.
    #[must_use = "the id is how the contact is found again"]
    pub fn add_contact(&self, spec: ContactSpec) -> String {
        let directory = &self.inner().directory;
        let slot = directory.add(spec);
        directory.id_of(slot)
    }

    /// Number of contacts whose profile can be read.
    #[must_use]
    pub fn contact_number(&self) -> usize {
        self.inner().directory.living()
    }

    /// The id of generated contact number `index`, from 0; after them those that were added. Deleted ones keep their
    /// place.
    #[must_use]
    pub fn contact_id(&self, index: u32) -> Option<String> {
        let directory = &self.inner().directory;
        (index < directory.slots()).then(|| directory.id_of(index))
    }

    /// Ids of all contacts whose profile can be read. For a million contacts prefer [`Self::contact_id`].
    #[must_use]
    pub fn contact_ids(&self) -> Vec<String> {
        let directory = &self.inner().directory;
        directory.living_slots().into_iter().map(|slot| directory.id_of(slot)).collect()
    }

    /// What is true of a contact; `None` for an id that this organisation never had.
    #[must_use]
    pub fn truth(&self, contact_id: &str) -> Option<Truth> {
        let directory = &self.inner().directory;
        let effective = directory.settle(None, false);
        self.shared.note_late_deletions(self.inner(), &effective);
        directory.slot_of(contact_id).map(|slot| directory.truth(slot))
    }

    /// The profile as the platform would answer it now, as JSON text, whether the contact still exists or not.
    #[must_use]
    pub fn contact_json(&self, contact_id: &str) -> Option<String> {
        let directory = &self.inner().directory;
        let slot = directory.slot_of(contact_id)?;
        let mut out = Vec::new();
        let mut record = crate::people::ContactRecord::default();
        directory.write_contact(&mut out, slot, &mut record, crate::json::Style::default());
        String::from_utf8(out).ok()
    }

    fn slot(&self, contact_id: &str) -> u32 {
        let slot = self.inner().directory.slot_of(contact_id);
        slot.unwrap_or_else(|| panic!("the organisation never had the contact {contact_id}"))
    }

    /// Deletes a contact as if somebody else had done it: no call, no journal entry.
    ///
    /// # Panics
    /// When the organisation never had the contact.
    pub fn delete_contact(&self, contact_id: &str) {
        let _: bool = self.inner().directory.delete(self.slot(contact_id), false);
    }

    /// Brings a contact back: the same id, the same data. Also ends a soft or pending deletion.
    ///
    /// # Panics
    /// When the organisation never had the contact.
    pub fn restore_contact(&self, contact_id: &str) {
        self.inner().directory.restore(self.slot(contact_id));
    }

    /// Sets a policy as if the person had done it: no call, no journal entry. `key` as in an update.
    ///
    /// # Panics
    /// When the organisation never had the contact or the policy.
    pub fn set_policy(&self, contact_id: &str, key: &str, accepted: bool) {
        let directory = &self.inner().directory;
        let position = directory
            .policy_position(key)
            .unwrap_or_else(|| panic!("the organisation has no policy with the key {key}"));
        directory.set_policy(self.slot(contact_id), position, accepted, false);
    }

    /// Changes the number of records of a contact, up to a million and more.
    ///
    /// # Panics
    /// When the organisation never had the contact.
    pub fn set_record_counts(&self, contact_id: &str, counts: RecordCounts) {
        self.inner().directory.set_counts(self.slot(contact_id), counts);
    }

    /// Makes all accepted deletions effective now, and answers the ids.
    #[must_use = "the ids tell what became effective"]
    pub fn settle_deletions(&self) -> Vec<String> {
        let directory = &self.inner().directory;
        let effective = directory.settle(None, true);
        self.shared.note_late_deletions(self.inner(), &effective);
        effective.into_iter().map(|slot| directory.id_of(slot)).collect()
    }

    /// Names of the policies as they are read, built-in ones first.
    #[must_use]
    pub fn policy_names(&self) -> Vec<String> {
        self.inner().directory.policy_titles()
    }

    /// (id, name) of the places.
    #[must_use]
    pub fn locations(&self) -> Vec<(String, &'static str)> {
        let ids = self.inner().directory.people().location_ids();
        ids.iter().cloned().zip(LOCATIONS.map(|(name, _)| name)).collect()
    }

    /// (id, name) of the segments.
    #[must_use]
    pub fn segments(&self) -> Vec<(String, &'static str)> {
        self.inner().directory.people().segment_ids().iter().cloned().zip(SEGMENTS).collect()
    }

    /// Looks for generated people who still exist: the `nth` find, from 0, of one kind. Two ids for people who share
    /// something, else one.
    #[must_use]
    pub fn find_generated(&self, wanted: Wanted, nth: usize) -> Option<Vec<String>> {
        let directory = &self.inner().directory;
        let people = directory.people();
        let count = people.count();
        let exists = |slot: u32| slot < count && directory.truth(slot).exists;
        let fits = |slot: u32| {
            let next = slot + 1;
            match wanted {
                Wanted::SharedEmail => {
                    let (one, other) = (email(people, slot), email(people, next));
                    next < count && !one.is_empty() && one.eq_ignore_ascii_case(&other)
                }
                Wanted::SharedPhone => {
                    let (one, other) = (phone(people, slot), phone(people, next));
                    next < count && !one.is_empty() && digits_of(&one) == digits_of(&other)
                }
                Wanted::UniqueIdentifiers => {
                    let (email, phone) = (email(people, slot), phone(people, slot));
                    let alone = |candidates: Vec<u32>, same: &dyn Fn(u32) -> bool| {
                        candidates.into_iter().all(|other| other == slot || !same(other))
                    };
                    let digits = digits_of(&phone);
                    !email.is_empty()
                        && !phone.is_empty()
                        && alone(people.candidates_by_email(&email.to_lowercase()), &|other| {
                            self::email(people, other).eq_ignore_ascii_case(&email)
                        })
                        && alone(people.candidates_by_phone(&digits), &|other| {
                            // Any spelling of the same subscriber counts, not only the same digits.
                            digits_of(&self::phone(people, other)).ends_with(&digits[digits.len() - 7..])
                        })
                }
                Wanted::WithoutEmail => !Population::has_email(slot),
                Wanted::WithoutPhone => !Population::has_phone(slot),
                Wanted::PlusAddress => email(people, slot).contains('+'),
                Wanted::RightToLeftName => {
                    let right_to_left = |letter: char| ('\u{590}'..='\u{6ff}').contains(&letter);
                    directory.truth(slot).display_name.chars().any(right_to_left)
                }
                Wanted::WithExternalId => !directory.truth(slot).identifiers.ext_id.is_empty(),
                Wanted::AcceptsMarketing => directory.truth(slot).policy("mktgCommunications") == Some(true),
                Wanted::CreatedBefore(at) => people.created_ms(slot) < at.timestamp_millis(),
                Wanted::CreatedFrom(at) => people.created_ms(slot) >= at.timestamp_millis(),
            }
        };
        let pair = matches!(wanted, Wanted::SharedEmail | Wanted::SharedPhone);
        let slot =
            (0..count).filter(|&slot| fits(slot) && exists(slot) && (!pair || exists(slot + 1))).nth(nth)?;
        let mut found = vec![directory.id_of(slot)];
        if pair {
            found.push(directory.id_of(slot + 1));
        }
        Some(found)
    }
}

fn email(people: &Population, slot: u32) -> String {
    let mut text = String::new();
    people.write_email(slot, &mut text);
    text
}

fn phone(people: &Population, slot: u32) -> String {
    let mut text = String::new();
    people.write_phone(slot, &mut text);
    text
}
