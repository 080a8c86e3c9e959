//! One contact: reading and deleting it.

use std::time::Instant;

use crate::answer::{Answer, Producer};
use crate::contacts::Due;
use crate::faults::{Fault, Poison};
use crate::journal::Effect;
use crate::json::{Style, write_string};
use crate::people::ContactRecord;
use crate::server::{Call, Organisation, Outcome};

/// Appends a contact, spoilt by poison if there is any.
pub(super) fn write_one(
    organisation: &Organisation,
    out: &mut Vec<u8>,
    slot: u32,
    record: &mut ContactRecord,
    style: Style,
    poison: Option<&Poison>,
) {
    let directory = &organisation.directory;
    let Some(poison) = poison else {
        directory.write_contact(out, slot, record, style);
        return;
    };
    match poison {
        Poison::NotAnObject => return out.extend_from_slice(b"42"),
        Poison::Record(text) => return out.extend_from_slice(text.as_bytes()),
        _ => {}
    }
    let before = out.len();
    directory.write_contact(out, slot, record, style);
    let mut spoilt = String::from_utf8_lossy(&out[before..]).into_owned();
    out.truncate(before);
    let member = match poison {
        Poison::Nul => {
            spoilt = spoilt.replacen("\"firstName\":\"", "\"firstName\":\"\\u0000", 1);
            String::new()
        }
        Poison::WithoutId => {
            spoilt = spoilt.replacen("\"cid\":", "\"was\":", 1);
            String::new()
        }
        Poison::LoneSurrogate => ",\"companyName\":\"half \\ud83d pair\"".to_owned(),
        Poison::HugeExponent => ",\"score\":1e999".to_owned(),
        Poison::FortyDigits => ",\"points\":1234567890123456789012345678901234567890".to_owned(),
        Poison::DeepNesting => format!(",\"custom\":{}{}", "[".repeat(200_000), "]".repeat(200_000)),
        Poison::DuplicateCid => ",\"cid\":\"00000000000000000000000000000000\"".to_owned(),
        Poison::InvalidUtf8 | Poison::NotAnObject | Poison::Record(_) => String::new(),
    };
    spoilt.pop();
    out.extend_from_slice(spoilt.as_bytes());
    out.extend_from_slice(member.as_bytes());
    if *poison == Poison::InvalidUtf8 {
        out.extend_from_slice(b",\"companyName\":\"\xff\xfe caf\xe9\"");
    }
    out.push(b'}');
}

/// The contact by its id.
pub(super) fn by_id(call: &Call<'_>) -> Outcome {
    let mut slot = match super::readable_contact(call) {
        Ok(slot) => slot,
        Err(refusal) => return refusal,
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
    let poison = call.faults.find(|fault| match fault {
        Fault::Poison { poison, .. } => Some(poison.clone()),
        _ => None,
    });
    let wrapped = call.faults.has(&Fault::ContactUnderCustomer);
    let mut body = Vec::with_capacity(2048);
    if wrapped {
        body.extend_from_slice(b"{\"generated\":");
        write_string(&mut body, &call.shared.generated);
        body.extend_from_slice(b",\"size\":1,\"customer\":");
    }
    let mut record = ContactRecord::default();
    write_one(call.organisation, &mut body, slot, &mut record, call.faults.style(), poison.as_ref());
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
    let slot = match super::readable_contact(call) {
        Ok(slot) => slot,
        Err(refusal) => return refusal,
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
