//! One answer may come from a copy that lags behind (F-39): a report leaves out nothing that only one look did not find.

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, RequestKind};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::access::package;
use crate::rig::count;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino@posta.example";

#[tokio::test]
async fn f_39_a_report_leaves_out_nothing_that_only_one_look_did_not_find() {
    let absent = |endpoint, after| Fault::Status(404).on(endpoint).after(after).times(1);
    // A list that is not found is believed only where the contact is not found by its id either: each takes two.
    let (events, devices) = (Endpoint::ContactEvents, Endpoint::Devices);
    for once in [
        // Found when it was located, not when it is read.
        vec![absent(Endpoint::Contact, 1)],
        // Then found, and neither its events nor itself when those are asked for.
        vec![absent(events, 0), absent(Endpoint::Contact, 2)],
        // Not found when it is read; at the second look it is, and its events are not.
        vec![absent(Endpoint::Contact, 1), absent(events, 0), absent(Endpoint::Contact, 3)],
        // Neither its events, nor at the second look, which finds those, its devices.
        vec![
            absent(events, 0),
            absent(Endpoint::Contact, 2),
            absent(devices, 0),
            absent(Endpoint::Contact, 4),
        ],
        // Not found when it is read, found at the second look, and not at the third one, which the events need.
        vec![
            absent(Endpoint::Contact, 1),
            absent(events, 0),
            absent(Endpoint::Contact, 3),
            absent(Endpoint::Contact, 4),
        ],
    ] {
        let service = TestService::start().await;
        let _contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS).events(3).devices(1));
        let injected = service.simulator.faults();
        let once: Vec<_> = once.into_iter().map(|fault| injected.inject(fault)).collect();
        let receipt = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await;
        service.work_to_the_end().await;
        let case = service.case(receipt.request).await;
        assert!(once.iter().all(|fault| injected.hits(*fault) == 1), "each look came");
        assert_eq!(case.outcome, Some(Outcome::Fulfilled));
        let files = package(&service, receipt.request).await;
        let profile = files.iter().any(|(_, text)| text.contains(ADDRESS));
        assert!(profile, "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());
        let open = "SELECT count(*) FROM dsrd.checkpoint WHERE finished_at IS NULL";
        assert_eq!(count(&service, open).await, 0, "no look is left open");
        service.finish().await;
    }
}
