//! One contact: reading and deleting it.

use std::time::Instant;

use crate::answer::{Answer, Producer};
use crate::contacts::Due;
use crate::faults::Fault;
use crate::faults::poison::Target;
use crate::journal::Effect;
use crate::json::write_string;
use crate::people::ContactRecord;
use crate::server::{Call, Outcome};

/// The contact by its id.
pub(super) fn by_id(call: &Call<'_>) -> Outcome {
    let Some(mut slot) = super::readable_contact(call) else {
        return call.refuse(404, "no such contact");
    };
    let directory = &call.organisation.directory;
    if call.faults.has(&Fault::OtherContact) {
        slot = if slot + 1 < directory.slots() { slot + 1 } else { slot.saturating_sub(1) };
    }
    if let Some(length) = call.faults.find(|fault| match fault {
        Fault::HugeString(length) => Some(*length),
        _ => None,
    }) {
        return Answer::produced(huge_contact(&directory.id_of(slot), length, Vec::new(), b"")).into();
    }
    let wrapped = call.faults.has(&Fault::ContactUnderCustomer);
    let mut body = Vec::with_capacity(2048);
    if wrapped {
        body.extend_from_slice(b"{\"generated\":");
        write_string(&mut body, &call.shared.generated);
        body.extend_from_slice(b",\"size\":1,\"customer\":");
    }
    let mut record = ContactRecord::default();
    let start = body.len();
    directory.write_contact(&mut body, slot, &mut record, call.faults.style());
    if let Some(target) = Target::of(call.faults) {
        target.spoil_alone(&mut body, start);
    }
    if wrapped {
        body.push(b'}');
    }
    Answer::json(200, body).into()
}

/// A contact with an enormous first name between `before` and `after`.
pub(super) fn huge_contact(id: &str, length: u64, before: Vec<u8>, after: &[u8]) -> Producer {
    let mut head = before;
    head.extend_from_slice(b"{\"cid\":");
    write_string(&mut head, id);
    head.extend_from_slice(b",\"firstName\":\"");
    Producer::padded(head, b'a', length, [b"\"}", after].concat())
}

/// Deletes the contact.
pub(super) fn delete(call: &Call<'_>) -> Outcome {
    let Some(slot) = super::readable_contact(call) else {
        return call.refuse(404, "no such contact");
    };
    let directory = &call.organisation.directory;
    let contact = call.route.id.clone();
    let keeps_records = call.faults.has(&Fault::PartialDelete);
    let later = call.faults.find(|fault| match fault {
        Fault::DeleteAfterReads(reads) => Some(Due::Reads(*reads)),
        Fault::DeleteAfter(time) => Some(Due::At(Instant::now() + *time)),
        _ => None,
    });
    let mut outcome = Outcome::from(super::ok(call));
    if let Some(due) = later {
        directory.delete_later(slot, due, keeps_records);
        outcome.answer.status = 201;
        outcome.effects.push(Effect::DeletionAccepted { contact });
    } else if call.faults.has(&Fault::DeleteIgnored) {
        // Answered as a success, nothing happens.
    } else if call.faults.has(&Fault::SoftDelete) {
        directory.soft_delete(slot);
        outcome.effects.push(Effect::Deleted { contact });
    } else if directory.delete(slot, keeps_records) {
        outcome.effects.push(Effect::Deleted { contact });
    } else {
        return call.refuse(404, "no such contact");
    }
    outcome
}
