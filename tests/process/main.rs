//! The service as real processes: killed, stopped, frozen, cut off from the database, several at once. Every test ends
//! with the oracle.

#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy.rs"]
#[expect(dead_code, reason = "these tests need some of its faults only")]
mod proxy;
#[path = "../support/required.rs"]
mod required;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the work is done by processes, not by the service within the test")]
mod support;

mod configuration;
mod crash;
mod dumps;
mod failover;
mod gate;
mod memory;
mod moving;
mod outage;
mod poison;
mod publishing;
mod restored;
mod sealer;
mod several;
mod signals;
mod wake;
mod witness;

use dsrd::domain::{Handling, RequestKind};
use dsrd_simulator::ContactSpec;

use crate::process::{ProcessService, insert};

/// A canary person, and their address.
fn person(number: usize) -> (String, ContactSpec) {
    let email = format!("canarino{number}@posta.example");
    let spec = ContactSpec::new()
        .name("Canarino", "Prova")
        .email(&email)
        .policy("mktgCommunications", true)
        .events(3)
        .devices(1)
        .accountings(2);
    (email, spec)
}

/// What is asked, in turn: each procedure once.
const KINDS: [RequestKind; 3] = [RequestKind::Access, RequestKind::Erasure, RequestKind::OptOut];

/// Requests of every kind, one for each of so many people, who are added to the platform.
async fn hand_in(
    service: &ProcessService,
    producer: &mut sqlx::PgConnection,
    numbers: std::ops::Range<usize>,
) -> Vec<(RequestKind, String)> {
    let mut handed_in = Vec::new();
    for number in numbers {
        let kind = KINDS[number % KINDS.len()];
        let (email, spec) = person(number);
        let contact = service.world.platform.add_contact(spec);
        insert(producer, kind, &format!("ticket-{number}"), &email).await;
        handed_in.push((kind, contact));
    }
    handed_in
}

/// Each request did to its contact what it should, and nothing else.
fn assert_done(service: &ProcessService, handed_in: &[(RequestKind, String)]) {
    for (kind, contact) in handed_in {
        let truth = service.world.platform.truth(contact).expect("a contact that was added");
        match kind.handling() {
            Handling::Erasure => assert!(!truth.exists, "{contact} is not erased"),
            Handling::OptOut => {
                assert_eq!(truth.policy("mktgCommunications"), Some(false), "{contact} is not opted out");
            }
            Handling::Access | Handling::Portability | Handling::Person => {
                assert!(truth.exists, "{contact} was erased");
            }
        }
    }
}
