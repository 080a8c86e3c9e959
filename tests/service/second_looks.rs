//! One answer may come from a copy that lags behind (F-39): a report leaves out nothing that only one look did not find.

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, RequestKind};
use dsrd_simulator::{ContactSpec, Endpoint, Fault};

use crate::access::package;
use crate::support::service::TestService;

const ADDRESS: &str = "canarino@posta.example";

#[tokio::test]
async fn f_39_a_report_leaves_out_nothing_that_only_one_look_did_not_find() {
    let absent = |endpoint, after| Fault::Status(404).on(endpoint).after(after).times(1);
    for once in [
        // Found when it was located, not when it is read.
        vec![absent(Endpoint::Contact, 1)],
        // Then found, and neither its events nor itself when those are asked for.
        vec![absent(Endpoint::ContactEvents, 0), absent(Endpoint::Contact, 2)],
    ] {
        let service = TestService::start().await;
        let _contact = service.platform.add_contact(ContactSpec::new().email(ADDRESS).events(3).devices(1));
        for fault in once {
            service.simulator.faults().inject(fault);
        }
        let receipt = service.submit(RequestKind::Access, &[(Email, ADDRESS)]).await;
        service.work_to_the_end().await;
        assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
        let files = package(&service, receipt.request).await;
        let profile = files.iter().any(|(_, text)| text.contains(ADDRESS));
        assert!(profile, "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());
        service.finish().await;
    }
}
