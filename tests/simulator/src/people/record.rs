//! One contact with all its values, and its JSON form.

use super::PolicyFlags;
use crate::json::{Object, Style, write_string};

/// Values of a contact. Empty text means that the member is missing.
#[expect(clippy::struct_excessive_bools, reason = "the members of the vendor's object")]
#[derive(Clone, Debug, Default)]
pub(crate) struct ContactRecord {
    pub(crate) cid: String,
    pub(crate) title: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) gender: String,
    pub(crate) birth_date: String,
    pub(crate) birth_day: String,
    pub(crate) age: String,
    pub(crate) country: String,
    pub(crate) zip_code: String,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
    pub(crate) email: String,
    pub(crate) email_verified: bool,
    pub(crate) phone: String,
    pub(crate) phone_verified: bool,
    pub(crate) signup_method: String,
    pub(crate) external_identity_id: String,
    pub(crate) username: String,
    pub(crate) locked: bool,
    pub(crate) organisation_id: String,
    pub(crate) location_id: String,
    pub(crate) location_name: String,
    pub(crate) system: String,
    pub(crate) enabled: bool,
    pub(crate) kind: String,
    pub(crate) personal_id: String,
    pub(crate) external_source: String,
    pub(crate) last_login_ms: Option<i64>,
    pub(crate) logins: i64,
    pub(crate) policies: PolicyFlags,
    /// (id, name) of each segment.
    pub(crate) segments: Vec<(String, String)>,
    pub(crate) ext_id: String,
    pub(crate) ext_prop1: String,
    pub(crate) ext_prop2: String,
    pub(crate) metrics: Metrics,
    /// Soft-deleted: written as `"deleted": true`.
    pub(crate) deleted: bool,
    /// `created` written as this JSON value instead of the instant.
    pub(crate) created_override: Option<String>,
    /// Ready JSON members (`"a":1,"b":2`) written after the others.
    pub(crate) extra: String,
}

/// Profiling values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) frequency_monthly_visit: i64,
    pub(crate) top_location: &'static str,
    pub(crate) top_location_count: i64,
    pub(crate) last_visit_ms: i64,
    pub(crate) average_visit_minutes: i64,
    pub(crate) visited_locations: i64,
    pub(crate) total_visits: i64,
    pub(crate) conversion_rate: i64,
    pub(crate) days_between_visits: i64,
}

impl ContactRecord {
    /// What is left when the platform removes the personal data of a contact because a required policy was withdrawn:
    /// id, dates and policies.
    pub(crate) fn wipe(&mut self) {
        let kept = Self {
            cid: std::mem::take(&mut self.cid),
            created_ms: self.created_ms,
            modified_ms: self.modified_ms,
            organisation_id: std::mem::take(&mut self.organisation_id),
            enabled: self.enabled,
            policies: self.policies,
            deleted: self.deleted,
            ..Self::default()
        };
        *self = kept;
    }
}

/// Appends the JSON form of a contact. `titles` is the organisation's policy catalogue.
pub(crate) fn write_contact(out: &mut Vec<u8>, record: &ContactRecord, titles: &[String], style: Style) {
    let mut object = Object::open(out, style);
    object.text("cid", &record.cid);
    object.text("title", &record.title);
    object.text("firstName", &record.first_name);
    object.text("lastName", &record.last_name);
    object.text("gender", &record.gender);
    object.text("birthDate", &record.birth_date);
    object.text("birthDay", &record.birth_day);
    object.text("age", &record.age);
    object.text("country", &record.country);
    object.text("zipCode", &record.zip_code);
    if style.unparseable_created {
        object.text("created", "sometime in spring");
    } else if let Some(created) = &record.created_override {
        object.raw("created", created);
    } else {
        object.instant("created", record.created_ms + style.created_hours_ahead * 3_600_000);
    }
    object.instant("modified", record.modified_ms);
    object.text("email", &record.email);
    object.boolean("emailVerified", record.email_verified);
    object.text("phone", &record.phone);
    object.boolean("phoneVerified", record.phone_verified);
    object.text("signupMethod", &record.signup_method);
    object.text("externalIdentityId", &record.external_identity_id);
    object.text("username", &record.username);
    object.boolean("locked", record.locked);
    object.text("organizationCid", &record.organisation_id);
    object.text("locationCid", &record.location_id);
    object.text("system", &record.system);
    object.boolean("enabled", record.enabled);
    object.text("type", &record.kind);
    object.text("locationName", &record.location_name);
    object.text("personalId", &record.personal_id);
    object.text("externalSource", &record.external_source);
    match record.last_login_ms {
        Some(at) => object.instant("lastLogin", at),
        None => object.absent("lastLogin"),
    }
    write_segments(&mut object, record, style);
    object.number("logins", record.logins);
    write_policies(&mut object, record.policies, titles, style);
    if record.ext_id.is_empty() && record.ext_prop1.is_empty() && record.ext_prop2.is_empty() {
        object.absent("extId");
    } else {
        object.object("extId", |ext| {
            ext.text("id", &record.ext_id);
            ext.text("prop1", &record.ext_prop1);
            ext.text("prop2", &record.ext_prop2);
        });
    }
    if record.metrics.total_visits > 0 {
        write_metrics(&mut object, &record.metrics);
    } else {
        object.absent("metrics");
    }
    if record.deleted {
        object.boolean("deleted", true);
    }
    if !record.extra.is_empty() {
        // The members are ready text; only the comma before them is missing.
        object.members(&record.extra);
    }
    object.close();
}

fn write_segments(object: &mut Object<'_>, record: &ContactRecord, style: Style) {
    if record.segments.is_empty() {
        object.absent("segmentCids");
        object.absent("segments");
        return;
    }
    let out = object.key("segmentCids");
    out.push(b'"');
    for (at, (id, _)) in record.segments.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(id.as_bytes());
    }
    out.push(b'"');
    let out = object.key("segments");
    out.push(b'[');
    for (at, (id, name)) in record.segments.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let mut segment = Object::open(out, style);
        segment.text("cid", id);
        segment.text("name", name);
        segment.close();
    }
    out.push(b']');
}

fn write_policies(object: &mut Object<'_>, flags: PolicyFlags, titles: &[String], style: Style) {
    let out = object.key("policies");
    out.push(b'[');
    let mut first = true;
    for (position, title) in (0_u32..).zip(titles) {
        if flags.present & (1 << position) == 0 {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(b"{\"name\":");
        write_string(out, title);
        out.extend_from_slice(b",\"accepted\":");
        let text: &[u8] = match (flags.accepts(position), style.booleans_as_strings) {
            (true, false) => b"true",
            (false, false) => b"false",
            (true, true) => b"\"true\"",
            (false, true) => b"\"false\"",
        };
        out.extend_from_slice(text);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_metrics(object: &mut Object<'_>, metrics: &Metrics) {
    object.object("metrics", |out| {
        out.number("frequencyMonthlyVisit", metrics.frequency_monthly_visit);
        out.text("compassTopLocation", metrics.top_location);
        out.number("compassTopLocationCount", metrics.top_location_count);
        out.text("topFrequencyBuckets", "2-5");
        out.text("lastVisitVenue", metrics.top_location);
        out.text("prefVisitWDay", "Saturday");
        out.instant("lastVisitDateUtc", metrics.last_visit_ms);
        out.number("avgVisitLength", metrics.average_visit_minutes);
        out.number("countVisitedLocations", metrics.visited_locations);
        out.text("prefVisitTimebucket", "afternoon");
        out.text("prefVisitTimeHour", "17");
        out.instant("lastVisitDateBusiness", metrics.last_visit_ms);
        out.number("countTotalVisits", metrics.total_visits);
        out.number("conversionRate", metrics.conversion_rate);
        out.number("avgDaysBetweenVisits", metrics.days_between_visits);
    });
}
