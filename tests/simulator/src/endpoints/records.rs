//! Events, devices and accountings of a contact.

use std::sync::Arc;

use crate::contacts::Presence;
use crate::faults::Fault;
use crate::faults::poison::Target;
use crate::journal::Endpoint;
use crate::people::ContactRecord;
use crate::records::{EventFamily, RecordOwner};
use crate::server::{Call, Outcome};

/// All records of one kind, streamed.
pub(super) fn records(call: &Call<'_>) -> Outcome {
    let directory = &call.organisation.directory;
    let slot = directory.slot_of(&call.route.id).filter(|&slot| directory.presence(slot) != Presence::Gone);
    let Some(slot) = slot else { return call.refuse(404, "no such contact") };
    let counts = directory.counts(slot);
    let forced = call.faults.find(|fault| match fault {
        Fault::RecordNumber(number) => Some(*number),
        _ => None,
    });
    let endpoint = call.route.endpoint;
    let (key, counter, own) = match endpoint {
        Endpoint::Devices => ("devices", "size", counts.devices),
        Endpoint::Accountings => ("accountings", "size", counts.accountings),
        _ => ("events", "count", counts.events),
    };
    let number = forced.unwrap_or(own);
    let mut record = ContactRecord::default();
    directory.fill(slot, &mut record);
    let (contact_id, created_ms) = (record.cid, record.created_ms);
    let organisation = Arc::clone(call.organisation);
    let style = call.faults.style();
    let target = Target::of(call.faults);
    let mut at = 0;
    let next = move |out: &mut Vec<u8>| {
        if at >= number {
            return false;
        }
        let start = out.len();
        let people = organisation.directory.people();
        let owner = RecordOwner { people, slot, contact_id: &contact_id, created_ms };
        match endpoint {
            Endpoint::Devices => owner.write_device(out, at, number, style),
            Endpoint::Accountings => owner.write_accounting(out, at, number, counts.devices, style),
            _ => owner.write_event(out, EventFamily::Visit, at, number, style),
        }
        if let Some(target) = &target {
            target.spoil(out, start, at as usize);
        }
        at += 1;
        true
    };
    super::envelope(call, counter, number as usize, key).answer(Box::new(next)).into()
}
