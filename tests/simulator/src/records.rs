//! Events, devices and accountings: computed from the contact and a number, written while they are sent.
//!
//! Record *n* of a contact depends only on the organisation's seed, the contact's slot and *n*, so a contact with a
//! million events costs nothing until somebody reads them. Instants grow with *n*, from the contact's creation to the
//! platform's reference instant.

use crate::json::{Object, Style, write_string};
use crate::people::{
    APPLICATION_EVENTS, COUNTRIES, LOCATIONS, Population, VISIT_EVENTS, below, id_of, mix, pick, push_hex,
    push_padded, small,
};

const HOUR_MS: i64 = 3600 * 1000;

/// The two families of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventFamily {
    /// Visits and connections.
    Visit,
    /// Campaign e-mails, SMS, surveys.
    Application,
}

/// The contact whose records are written.
#[derive(Clone, Debug)]
pub(crate) struct RecordOwner<'a> {
    pub(crate) people: &'a Population,
    pub(crate) slot: u32,
    pub(crate) contact_id: &'a str,
    pub(crate) created_ms: i64,
}

impl RecordOwner<'_> {
    fn hash(&self, number: u32, salt: u64) -> u64 {
        mix(self.people.seed() ^ mix((u64::from(self.slot) << 32 | u64::from(number)) ^ salt << 56))
    }

    /// The instant of record `number` of `count`.
    pub(crate) fn instant_ms(&self, number: u32, count: u32) -> i64 {
        instant_of(self.people, self.created_ms, number, count)
    }

    /// Appends one event.
    pub(crate) fn write_event(
        &self,
        out: &mut Vec<u8>,
        family: EventFamily,
        number: u32,
        count: u32,
        style: Style,
    ) {
        let salt = if family == EventFamily::Visit { 1 } else { 2 };
        let hash = self.hash(number, salt);
        let kind = event_type(family, number, hash);
        let kind = if style.unknown_event_types { "teleported" } else { kind };
        let at = self.instant_ms(number, count);
        let place = small(hash >> 8, LOCATIONS.len());
        let (_, _, _, zone, hours) = COUNTRIES[place % COUNTRIES.len()];
        let mut id = String::with_capacity(33);
        push_hex(&mut id, hash);
        push_hex(&mut id, mix(hash ^ 0xe7));
        id.push('l');
        let mut event = Object::open(out, style);
        if style.flat_events {
            event.text("type", kind);
            event.text("id", &id);
            event.text("customerId", self.contact_id);
            event.object("visit", |visit| {
                visit.instant("startAt", at);
                visit.instant("startAtLocal", at + hours * HOUR_MS);
                visit.text("timezone", zone);
            });
        } else {
            event.text("organizationId", self.people.organisation_id());
            event.text("customerId", self.contact_id);
            event.object("event", |event| {
                event.text("type", kind);
                event.text("id", &id);
            });
            event.object("where", |place_of| {
                place_of.text("locationId", &self.people.location_ids()[place]);
                place_of.text("locationName", LOCATIONS[place].0);
                place_of.text("hotspotId", &self.people.hotspot_ids()[place]);
            });
            event.object("when", |when| {
                when.instant("createdAt", at);
                // The platform's own false `Z`: local time, marked as UTC.
                when.instant("createdAtLocal", at + hours * HOUR_MS);
                when.text("timezone", zone);
            });
        }
        if family == EventFamily::Application {
            write_campaign(&mut event, kind, hash);
        } else if kind == "signup" {
            event.object("signup", |signup| signup.text("source", "splashportal"));
        }
        event.close();
    }

    fn mac(&self, device: u32) -> String {
        let hash = self.hash(device, 3);
        let mut digits = String::with_capacity(16);
        push_hex(&mut digits, hash);
        // Second digit 2, 6, A or E: locally administered, as random addresses of phones are.
        let second = ["2", "6", "A", "E"][small(hash >> 4, 4)];
        let hex = digits.to_ascii_uppercase();
        [&[&hex[..1], second].concat(), &hex[2..4], &hex[4..6], &hex[6..8], &hex[8..10], &hex[10..12]]
            .join(":")
    }

    /// Appends one device.
    pub(crate) fn write_device(&self, out: &mut Vec<u8>, number: u32, count: u32, style: Style) {
        let hash = self.hash(number, 4);
        let mut device = Object::open(out, style);
        device.text("macAddress", &self.mac(number));
        device.number("connections", 1 + below(hash, 80));
        device.instant("lastConnection", self.instant_ms(number, count));
        device.close();
    }

    /// Appends one accounting record; `devices` is the number of the contact's devices.
    pub(crate) fn write_accounting(
        &self,
        out: &mut Vec<u8>,
        number: u32,
        count: u32,
        devices: u32,
        style: Style,
    ) {
        let hash = self.hash(number, 5);
        let start = self.instant_ms(number, count);
        let seconds = 30 + below(hash, 4 * 3600);
        let place = small(hash >> 16, LOCATIONS.len());
        let mut id = "s-".to_owned();
        push_padded(&mut id, u64::from(number) + 1, 7);
        let mut accounting = Object::open(out, style);
        accounting.text("id", &id);
        accounting.instant("start", start);
        accounting.instant("stop", start + seconds * 1000);
        accounting.number("duration", seconds);
        accounting.number("bytesIn", below(hash >> 3, 1 << 31));
        accounting.number("bytesOut", below(hash >> 7, 1 << 28));
        let device =
            u32::try_from(small(hash >> 24, devices.max(1) as usize)).expect("below the number of devices");
        accounting.text("macAddress", &self.mac(device));
        accounting.text("hotspotId", &self.people.hotspot_ids()[place]);
        accounting.text("locationId", &self.people.location_ids()[place]);
        accounting.close();
    }
}

/// The instant of record `number` of `count` of a contact that was created at `created_ms`.
pub(crate) fn instant_of(people: &Population, created_ms: i64, number: u32, count: u32) -> i64 {
    let span = (people.reference_ms() - created_ms).max(0);
    let step = span / (i64::from(count) + 1);
    let at = created_ms + step * i64::from(number);
    at - at.rem_euclid(1000)
}

/// The type of an event, from the same hash that the writer uses.
fn event_type(family: EventFamily, number: u32, hash: u64) -> &'static str {
    match family {
        EventFamily::Visit if number == 0 => "signup",
        EventFamily::Visit => pick(&VISIT_EVENTS, hash),
        EventFamily::Application => pick(&APPLICATION_EVENTS, hash),
    }
}

/// The type of an event without writing it.
pub(crate) fn type_of_event(
    people: &Population,
    slot: u32,
    family: EventFamily,
    number: u32,
) -> &'static str {
    let owner = RecordOwner { people, slot, contact_id: "", created_ms: 0 };
    let salt = if family == EventFamily::Visit { 1 } else { 2 };
    event_type(family, number, owner.hash(number, salt))
}

fn write_campaign(event: &mut Object<'_>, kind: &str, hash: u64) {
    let campaign = id_of(hash % 40, 1);
    let names = ["Summer sale", "Happy birthday, caro!", "Win-back (90 days)", "Offerta \"2x1\""];
    let name = pick(&names, hash % 40);
    let (member, channel) = match kind {
        "send_sms" | "click_sms" => ("sms", "sms"),
        "survey" => ("survey", "web"),
        "promo" => ("promo", "web"),
        _ => ("email", "email"),
    };
    let key = event.key(member);
    key.push(b'{');
    key.extend_from_slice(b"\"campaignId\":");
    write_string(key, &campaign);
    key.extend_from_slice(b",\"channel\":");
    write_string(key, channel);
    key.extend_from_slice(b",\"campaignName\":");
    write_string(key, name);
    key.push(b'}');
}
