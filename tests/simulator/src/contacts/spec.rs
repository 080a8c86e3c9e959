//! A contact that a test adds by hand.

use chrono::{DateTime, Utc};

use crate::json::string_text;
use crate::people::{ContactRecord, LOCATIONS, Metrics, PolicyFlags, Population, RecordCounts, SEGMENTS};

/// A contact to add, with dull defaults: created a year before the reference instant, the built-in policies accepted,
/// three events, one application event, one device, two accountings, no identifiers.
///
/// ```
/// let spec = dsrd_simulator::ContactSpec::new()
///     .name("Ada", "Example")
///     .email("ada@posta.example")
///     .policy("customs title with spaces", true)
///     .raw("language", "\"it\"")
///     .events(12);
/// # drop(spec);
/// ```
#[derive(Clone, Debug)]
pub struct ContactSpec {
    pub(super) id: Option<String>,
    record: ContactRecord,
    created: Option<DateTime<Utc>>,
    modified: Option<DateTime<Utc>>,
    location: usize,
    segments: Vec<usize>,
    policies: Vec<(String, bool)>,
    counts: RecordCounts,
}

impl Default for ContactSpec {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! text_members {
    ($($(#[$doc:meta])* $name:ident => $field:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, value: impl Into<String>) -> Self {
                self.record.$field = value.into();
                self
            }
        )+
    };
}

impl ContactSpec {
    /// A contact with the defaults.
    #[must_use]
    pub fn new() -> Self {
        let record = ContactRecord {
            first_name: "Ada".to_owned(),
            last_name: "Example".to_owned(),
            country: "IT".to_owned(),
            signup_method: "splashportal".to_owned(),
            system: "wifi".to_owned(),
            kind: "guest".to_owned(),
            enabled: true,
            logins: 3,
            ..ContactRecord::default()
        };
        let policies =
            ["privacy", "termsOfUse", "mktgCommunications"].map(|title| (title.to_owned(), true)).to_vec();
        Self {
            id: None,
            record,
            created: None,
            modified: None,
            location: 0,
            segments: Vec::new(),
            policies,
            counts: RecordCounts { events: 3, application_events: 1, devices: 1, accountings: 2 },
        }
    }

    text_members! {
        /// E-mail address.
        email => email,
        /// Phone number, in any spelling.
        phone => phone,
        /// User name.
        username => username,
        /// External id.
        ext_id => ext_id,
        /// External property 1.
        ext_prop1 => ext_prop1,
        /// External property 2.
        ext_prop2 => ext_prop2,
        /// Title.
        title => title,
        /// Gender, any text.
        gender => gender,
        /// Birth date, any text.
        birth_date => birth_date,
        /// Country code, any text.
        country => country,
        /// Postal code.
        zip_code => zip_code,
        /// Sign-up method.
        signup_method => signup_method,
        /// Id at an external identity provider.
        external_identity_id => external_identity_id,
        /// Number of an identity document.
        personal_id => personal_id,
        /// External source.
        external_source => external_source,
    }

    /// Contact id; made up when not given.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// First and last name.
    #[must_use]
    pub fn name(mut self, first: impl Into<String>, last: impl Into<String>) -> Self {
        self.record.first_name = first.into();
        self.record.last_name = last.into();
        self
    }

    /// The e-mail address and the phone number are verified, or not.
    #[must_use]
    pub fn verified(mut self, email: bool, phone: bool) -> Self {
        self.record.email_verified = email;
        self.record.phone_verified = phone;
        self
    }

    /// The contact is enabled, or not.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.record.enabled = enabled;
        self
    }

    /// The contact carries `deleted: true` from the beginning, and stays readable.
    #[must_use]
    pub fn marked_deleted(mut self) -> Self {
        self.record.deleted = true;
        self
    }

    /// Creation instant.
    #[must_use]
    pub fn created(mut self, at: DateTime<Utc>) -> Self {
        self.created = Some(at);
        self
    }

    /// What stands under `created`, as JSON text (`null`, `"yesterday"`, `1657286143`). Filters and sorting go on using
    /// [`Self::created`].
    #[must_use]
    pub fn created_json(mut self, json: impl Into<String>) -> Self {
        self.record.created_override = Some(json.into());
        self
    }

    /// Instant of the last change; the creation instant when not given.
    #[must_use]
    pub fn modified(mut self, at: DateTime<Utc>) -> Self {
        self.modified = Some(at);
        self
    }

    /// Place of registration, as an index into the organisation's locations.
    #[must_use]
    pub fn location(mut self, index: usize) -> Self {
        self.location = index % LOCATIONS.len();
        self
    }

    /// Adds a segment, as an index into the organisation's segments.
    #[must_use]
    pub fn segment(mut self, index: usize) -> Self {
        self.segments.push(index % SEGMENTS.len());
        self
    }

    /// Sets a policy by the name under which it is read; an unknown name becomes a custom opt-in of the organisation.
    #[must_use]
    pub fn policy(mut self, name: &str, accepted: bool) -> Self {
        self.policies.retain(|(title, _)| title != name);
        self.policies.push((name.to_owned(), accepted));
        self
    }

    /// Leaves a policy out.
    #[must_use]
    pub fn without_policy(mut self, name: &str) -> Self {
        self.policies.retain(|(title, _)| title != name);
        self
    }

    /// Adds a member to the contact: its key and its value as JSON text. Keys may repeat documented ones.
    #[must_use]
    pub fn raw(mut self, key: &str, json: &str) -> Self {
        let key = string_text(key);
        if !self.record.extra.is_empty() {
            self.record.extra.push(',');
        }
        self.record.extra.push_str(&key);
        self.record.extra.push(':');
        self.record.extra.push_str(json);
        self
    }

    /// Number of visits and connections; up to a million and more, they are generated while sent.
    #[must_use]
    pub fn events(mut self, number: u32) -> Self {
        self.counts.events = number;
        self
    }

    /// Number of application events (listed by the organisation's events endpoint only).
    #[must_use]
    pub fn application_events(mut self, number: u32) -> Self {
        self.counts.application_events = number;
        self
    }

    /// Number of devices.
    #[must_use]
    pub fn devices(mut self, number: u32) -> Self {
        self.counts.devices = number;
        self
    }

    /// Number of accounting records.
    #[must_use]
    pub fn accountings(mut self, number: u32) -> Self {
        self.counts.accountings = number;
        self
    }

    /// The record, its counts and its policies; what depends on the organisation is filled in here.
    pub(super) fn into_record(
        self,
        people: &Population,
        slot: u32,
    ) -> (ContactRecord, RecordCounts, Vec<(String, bool)>) {
        let mut record = self.record;
        record.cid =
            self.id.unwrap_or_else(|| crate::people::id_of(people.seed(), (1 << 52) + u64::from(slot)));
        let year_before = people.reference_ms() - 365 * 24 * 3600 * 1000;
        record.created_ms = self.created.map_or(year_before, |at| at.timestamp_millis());
        record.modified_ms = self.modified.map_or(record.created_ms, |at| at.timestamp_millis());
        record.last_login_ms = Some(record.modified_ms);
        people.organisation_id().clone_into(&mut record.organisation_id);
        record.location_id.clone_from(&people.location_ids()[self.location]);
        LOCATIONS[self.location].0.clone_into(&mut record.location_name);
        for index in self.segments {
            record.segments.push((people.segment_ids()[index].clone(), SEGMENTS[index].to_owned()));
        }
        record.policies = PolicyFlags::default();
        record.metrics = Metrics {
            frequency_monthly_visit: 1,
            top_location: LOCATIONS[self.location].0,
            top_location_count: i64::from(self.counts.events),
            last_visit_ms: record.modified_ms,
            average_visit_minutes: 30,
            visited_locations: 1,
            total_visits: i64::from(self.counts.events),
            conversion_rate: 0,
            days_between_visits: 7,
        };
        (record, self.counts, self.policies)
    }
}
