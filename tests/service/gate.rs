//! S-14: nothing of an organisation is begun before its platform's key was found to be its own.

use std::sync::Arc;

use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{Outcome, RequestKind, RequestState};
use dsrd::execution::{Ended, Gate, KillSwitch, Worker};
use dsrd_simulator::ContactSpec;

use crate::rig::count;
use crate::support::service::TestService;

#[tokio::test]
async fn s_14_an_organisation_that_was_not_checked_gets_no_work_until_it_was() {
    let service = TestService::builder().second_organisation().build().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let receipt = service.submit(RequestKind::Erasure, &[(Email, "canarino@posta.example")]).await;
    let mut executor = service.executor_with(KillSwitch::default());
    let gate = Gate::default();
    executor.sites.get_mut(&service.controller.id).unwrap().gate = gate.clone();
    let worker = Worker::start(Arc::new(executor), service.store.clone()).await.unwrap();

    assert_eq!(worker.work_once().await.unwrap(), []);
    assert_eq!(service.case(receipt.request).await.state, RequestState::Received);
    assert_eq!(count(&service, "SELECT fence FROM dsrd.job").await, 0, "it was never handed out");
    assert_eq!(service.simulator.journal().total_calls(), 0);

    gate.open();
    // Put back between the two looks at the deletion.
    assert_eq!(worker.work_until_idle().await.unwrap(), [Ended::PutBack, Ended::Closed]);
    assert_eq!(service.case(receipt.request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn s_14_an_organisation_that_was_not_checked_does_not_stop_the_others() {
    let service = TestService::builder().second_organisation().build().await;
    let _contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example"));
    let receipt = service.submit(RequestKind::OptOut, &[(Email, "canarino@posta.example")]).await;
    let mut executor = service.executor_with(KillSwitch::default());
    executor.sites.get_mut(&"other".parse().unwrap()).unwrap().gate = Gate::default();
    let worker = Worker::start(Arc::new(executor), service.store.clone()).await.unwrap();
    worker.work_until_idle().await.unwrap();
    assert_eq!(service.case(receipt.request).await.state, RequestState::Closed);
    service.finish().await;
}
