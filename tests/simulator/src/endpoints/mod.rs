//! What each endpoint does, once a call is let in.

mod contact;
mod list;
pub(crate) mod login;
mod organisation;
mod policies;
mod query;
mod records;

pub(crate) use list::ContactSnapshot;
pub(crate) use organisation::EventSnapshot;

use crate::answer::{Answer, Envelope, EnvelopeShape};
use crate::contacts::Presence;
use crate::faults::Fault;
use crate::journal::Endpoint;
use crate::server::{Call, Outcome};

/// Does the work of a call.
pub(crate) fn answer(call: &Call<'_>) -> Outcome {
    let directory = &call.organisation.directory;
    let read =
        (call.route.endpoint == Endpoint::Contact).then(|| directory.slot_of(&call.route.id)).flatten();
    let effective = directory.settle(read, false);
    call.shared.note_late_deletions(call.organisation, &effective);
    match call.route.endpoint {
        Endpoint::Logout => login::logout(call),
        Endpoint::Service => login::service(call),
        Endpoint::ListContacts => list::list(call),
        Endpoint::Exist => list::exist(call),
        Endpoint::Contact => contact::by_id(call),
        Endpoint::ContactEvents | Endpoint::Devices | Endpoint::Accountings => records::records(call),
        Endpoint::UpdatePolicies => policies::update(call),
        Endpoint::DeleteContact => contact::delete(call),
        Endpoint::PolicyNames => organisation::policy_names(call),
        Endpoint::OrganisationEvents => organisation::events(call),
        Endpoint::Locations => organisation::locations(call),
        Endpoint::Segments => organisation::segments(call),
        Endpoint::Login | Endpoint::Unknown | Endpoint::Platform => call.refuse(404, "no such resource"),
    }
}

/// The slot of the contact in the path when its profile can be read.
fn readable_contact(call: &Call<'_>) -> Option<u32> {
    let directory = &call.organisation.directory;
    let slot = directory.slot_of(&call.route.id);
    slot.filter(|&slot| matches!(directory.presence(slot), Presence::There | Presence::SoftDeleted))
}

/// The envelope of a list, with what faults make of it.
fn envelope<'a>(call: &'a Call<'_>, counter: &'a str, number: usize, key: &'a str) -> Envelope<'a> {
    let mut envelope = Envelope {
        generated: &call.shared.generated,
        counter,
        number,
        scroll: None,
        key,
        shape: EnvelopeShape::Documented,
        style: call.faults.style(),
    };
    for fault in call.faults.iter() {
        match fault {
            Fault::BareArray => envelope.shape = EnvelopeShape::BareArray,
            Fault::UnrecognisedEnvelope => envelope.shape = EnvelopeShape::Unrecognised,
            Fault::EnvelopeKey(key) => envelope.key = key,
            _ => {}
        }
    }
    envelope
}

/// The plain success answer.
fn ok(call: &Call<'_>) -> Answer {
    Answer::ok(&call.shared.generated)
}
