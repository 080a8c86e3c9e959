//! What staff is told of again: a cause that comes again after somebody acknowledged it, one that lasts longer than mails are kept,
//! and what another organisation's trouble kept back. Of what in the first place, tests `alert_rules`.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::alert::{self, Ward, Watch};
use dsrd::audit::Actor;
use dsrd::domain::{Clock as _, OrganisationId, RequestId, RequestKind};
use dsrd::upkeep::{self, Upkeep};
use dsrd::{intake, queue};
use dsrd_simulator::{ContactSpec, Fault};
use sqlx::Connection as _;

use crate::alerts::{EMAIL, dpo, round, settings, watch};
use crate::rig::count;
use crate::support::service::TestService;

/// Acknowledges everything that is listed.
async fn acknowledge_all(service: &TestService) {
    let (organisation, now) = (&service.controller.id, service.clock.now());
    let mut tx = service.store.begin("test").await.unwrap();
    for listed in alert::list_alerts(&mut tx, organisation, false, now).await.unwrap() {
        alert::acknowledge(&mut tx, organisation, listed.alert, dpo(), now).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn resume(service: &TestService, request: RequestId) {
    let mut tx = service.store.begin("test").await.unwrap();
    intake::resume(&mut tx, &service.desk, &service.controller.id, request, dpo()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn r_62_an_erasure_that_comes_to_wait_after_an_acknowledgement_is_told_and_so_is_one_that_waits_again()
{
    const OF_SWEEPS: &str = "SELECT count(*) FROM dsrd.alert WHERE rule = 'past_term'";
    const UNVERIFIED: &str = "SELECT count(*) FROM dsrd.alert WHERE rule = 'verification_failed'";
    let service = TestService::start().await;
    let (watch, mails) = watch(&service, settings());
    let mut requests = Vec::new();
    for address in [EMAIL, "canarino.spaet@posta.example"] {
        let contact = service.platform.add_contact(ContactSpec::new().email(address));
        requests.push(service.submit_sweep(&contact, service.clock.now()).await.request);
    }
    service.simulator.faults().inject(Fault::DeleteIgnored);
    // Submitted together; the second one is not taken up yet.
    let mut connection = service.store.connection().await.unwrap();
    sqlx::query("UPDATE dsrd.job SET state = 'parked' WHERE request_id = $1")
        .bind(requests[1].0)
        .execute(&mut *connection)
        .await
        .unwrap();
    service.work_to_the_end().await;
    round(&watch, &mails).await;
    assert_eq!((count(&service, OF_SWEEPS).await, count(&service, UNVERIFIED).await), (1, 1));
    acknowledge_all(&service).await;
    service.clock.advance(TimeDelta::days(1));
    round(&watch, &mails).await;
    assert_eq!(
        (count(&service, OF_SWEEPS).await, count(&service, UNVERIFIED).await),
        (1, 1),
        "somebody looks"
    );

    sqlx::query("UPDATE dsrd.job SET state = 'ready' WHERE request_id = $1")
        .bind(requests[1].0)
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);
    service.work_to_the_end().await;
    round(&watch, &mails).await;
    assert_eq!(
        (count(&service, OF_SWEEPS).await, count(&service, UNVERIFIED).await),
        (2, 2),
        "another one waits"
    );
    acknowledge_all(&service).await;

    // The platform does not do it again.
    service.clock.advance(TimeDelta::days(1));
    resume(&service, requests[0]).await;
    service.work_to_the_end().await;
    round(&watch, &mails).await;
    assert_eq!(
        (count(&service, OF_SWEEPS).await, count(&service, UNVERIFIED).await),
        (3, 3),
        "it waits again"
    );
    service.finish().await;
}

#[tokio::test]
async fn r_84_an_outage_that_was_acknowledged_is_not_told_anew_when_its_mails_are_forgotten() {
    let service = TestService::start().await;
    let (watch, mails) = watch(&service, settings());
    let mut connection = service.store.connection().await.unwrap();
    queue::note_platform(&mut connection, &service.controller.id, false, service.clock.now()).await.unwrap();
    drop(connection);
    for _ in 0..3 {
        service.clock.advance(TimeDelta::days(1));
        assert_eq!(round(&watch, &mails).await.0, 1);
    }
    acknowledge_all(&service).await;
    let terms =
        upkeep::Settings { identifiers_days: 30, contact_ids_days: 65, evidence_months: 36, log_months: 36 };
    let upkeep = Upkeep { store: service.store.clone(), desk: service.desk.clone(), settings: terms };
    for _ in 0..2 {
        service.clock.advance(TimeDelta::days(31));
        upkeep.run(&Actor::Process("upkeep")).await.unwrap();
        assert_eq!(round(&watch, &mails).await.0, 0);
    }
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.alert").await, 1, "one of each cause is kept");
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.staff_mail").await, 0);
    service.finish().await;
}

#[tokio::test]
async fn what_cannot_be_read_of_one_organisation_keeps_nobody_else_from_being_told() {
    let service = TestService::builder().second_organisation().build().await;
    let (alone, mails) = watch(&service, settings());
    let other: OrganisationId = "other".parse().unwrap();
    let mut controller = (*service.controller).clone();
    controller.id = other.clone();
    let own = alone.wards[&service.controller.id].clone();
    let theirs = Ward { controller: Arc::new(controller), ..own.clone() };
    let wards = BTreeMap::from([(service.controller.id.clone(), own), (other.clone(), theirs)]);
    let watch = Watch { wards, ..alone };

    let request =
        service.submit(RequestKind::Access, &[(dsrd::domain::IdentifierKind::Email, EMAIL)]).await.request;
    let mut owner = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query(
        "UPDATE dsrd.request SET state = 'manual', park_reason = 'of_a_newer_program' WHERE request_id = $1",
    )
    .bind(request.0)
    .execute(&mut owner)
    .await
    .unwrap();
    owner.close().await.unwrap();
    let mut connection = service.store.connection().await.unwrap();
    queue::note_platform(&mut connection, &other, false, service.clock.now()).await.unwrap();
    drop(connection);
    service.clock.advance(TimeDelta::hours(25));
    watch.turn().await.unwrap_err();
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.alert WHERE organisation_id = 'other'").await, 1);
    assert_eq!(watch.send_due().await.unwrap(), 2, "to both who are told of outages");
    assert_eq!(mails.sent().len(), 2);
}
