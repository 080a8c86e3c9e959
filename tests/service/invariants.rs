//! The invariants of the life cycle (I-1 to I-8 of the requirements) are the database's own: whoever writes past the program,
//! with the rights of the owner, is refused as well. That the lawful way stays open, every other test shows.

use chrono::{DateTime, TimeDelta, Utc};
use dsrd::delivery::Plan;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    Assurance, Clock as _, LiftReason, Outcome, ParkReason, Proof, RequestId, RequestKind, RequestState,
};
use dsrd::intake;
use sqlx::{Connection as _, PgConnection};

use crate::deadlines::{extend, received, under};
use crate::holds::{claim_about, lift, place};
use crate::identity::{NUMBER, STORED, asked, dpo, person, submit};
use crate::support::service::TestService;

async fn owner(service: &TestService) -> PgConnection {
    PgConnection::connect_with(&service.database.options()).await.unwrap()
}

/// What the database answers to a statement about a request that it must not carry out.
async fn refused(owner: &mut PgConnection, statement: &'static str, request: RequestId) -> String {
    let answer = sqlx::query(statement).bind(request.0).execute(owner).await;
    answer.expect_err(statement).to_string()
}

/// A request that waits for the mail server with its answer.
async fn answer_under_way(service: &TestService, kind: RequestKind) -> RequestId {
    let receipt = service.submit(kind, &[(Email, STORED)]).await;
    service.pump().await;
    service.mails.plan(Plan::NoConnection, 1);
    service.work().await;
    let case = service.case(receipt.request).await;
    assert_eq!((case.state, case.informed_at), (RequestState::InProgress, None));
    receipt.request
}

#[tokio::test]
async fn law_i_1_nothing_is_closed_without_an_outcome_and_the_answer_sent_or_told() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let request = answer_under_way(&service, RequestKind::Access).await;
    let mut owner = owner(&service).await;
    for (statement, rule) in [
        (
            "UPDATE dsrd.request SET state = 'closed', closed_at = now(), informed_at = now() WHERE request_id = $1",
            "closed_with_an_outcome",
        ),
        (
            "UPDATE dsrd.request SET state = 'closed', outcome = 'fulfilled', verified_at = now(), closed_at = now()
             WHERE request_id = $1",
            "closed_was_told",
        ),
        (
            // A date alone tells nobody anything.
            "UPDATE dsrd.request SET state = 'closed', outcome = 'fulfilled', verified_at = now(), closed_at = now(),
               informed_at = now()
             WHERE request_id = $1",
            "closed after its answer was sent",
        ),
    ] {
        let answer = refused(&mut owner, statement, request).await;
        assert!(answer.contains(rule), "{answer}");
    }
    // What the person takes back is confirmed to them.
    let mut tx = owner.begin().await.unwrap();
    let withdraw = "UPDATE dsrd.request SET state = 'closed', outcome = 'withdrawn', closed_at = now() WHERE request_id = $1";
    sqlx::query(withdraw).bind(request.0).execute(&mut *tx).await.unwrap();
    let answer = tx.commit().await.unwrap_err().to_string();
    assert!(answer.contains("a withdrawal is confirmed to the person"), "{answer}");
    owner.close().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}

#[tokio::test]
async fn law_i_2_an_opt_out_is_not_refused_asked_for_a_proof_or_a_fee_or_extended() {
    for kind in [RequestKind::OptOut, RequestKind::ConsentWithdrawal, RequestKind::CcpaOptOut] {
        let service = TestService::start().await;
        for address in ["canarino.uno@posta.example", "canarino.due@posta.example"] {
            let _contact = service.platform.add_contact(person().email(address));
        }
        let request = service.submit(kind, &[(Phone, NUMBER)]).await.request;
        service.work_to_the_end().await;
        assert_eq!(service.case(request).await.park_reason, Some(ParkReason::AmbiguousMatch));
        let mut owner = owner(&service).await;
        // Not even where a person decided so.
        let decided = "INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, decided_by, decided_at)
             VALUES ('main', gen_random_uuid(), $1, 'refusal', 'RF-02', 'person:x', now())";
        sqlx::query(decided).bind(request.0).execute(&mut owner).await.unwrap();
        // From where the life of a case leads to all of it.
        let at_work =
            "UPDATE dsrd.request SET state = 'in_progress', park_reason = NULL WHERE request_id = $1";
        sqlx::query(at_work).bind(request.0).execute(&mut owner).await.unwrap();
        for (statement, rule) in [
            (
                "UPDATE dsrd.request SET state = 'closed', park_reason = NULL, outcome = 'refused', closed_at = now(),
                   informed_at = now()
                 WHERE request_id = $1",
                "opt_out_is_never_refused",
            ),
            (
                "UPDATE dsrd.request SET state = 'needs_identity', park_reason = NULL, identity_doubt = 'no_proof',
                   identity_wanted_at = now(), identity_until = now()
                 WHERE request_id = $1",
                "an_opt_out_needs_no_identity",
            ),
            (
                "INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, decided_by, decided_at,
                   sealed_facts)
                 VALUES ('main', gen_random_uuid(), $1, 'fee', 'RF-02', 'person:x', now(), 'x')",
                "an opt-out costs nothing",
            ),
            (
                "INSERT INTO dsrd.decision (organisation_id, decision_id, request_id, kind, reason, decided_by, decided_at,
                   sealed_facts, base_due_at)
                 VALUES ('main', gen_random_uuid(), $1, 'extension', 'complexity', 'person:x', now(), 'x', now())",
                "is not extended",
            ),
        ] {
            let answer = refused(&mut owner, statement, request).await;
            assert!(answer.contains(rule), "{kind}: {answer}");
        }
        let parked =
            "UPDATE dsrd.request SET state = 'manual', park_reason = 'ambiguous_match' WHERE request_id = $1";
        sqlx::query(parked).bind(request.0).execute(&mut owner).await.unwrap();
        owner.close().await.unwrap();
        service.finish().await;
    }
}

/// Announces the deletion for a request past the program, at an instant, and takes it back where it is let through.
async fn announce(service: &TestService, request: RequestId, at: DateTime<Utc>) -> Result<(), String> {
    let mut owner = owner(service).await;
    let mut tx = owner.begin().await.unwrap();
    let announced = sqlx::query(
        "INSERT INTO dsrd.checkpoint (organisation_id, request_id, step, began_at) VALUES ('main', $1, 'delete', $2)",
    )
    .bind(request.0)
    .bind(at)
    .execute(&mut *tx)
    .await;
    tx.rollback().await.unwrap();
    owner.close().await.unwrap();
    announced.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn law_i_3_a_deletion_needs_a_fresh_proof_and_no_hold() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let now = service.clock.now();

    let unknown = submit(&service, RequestKind::Erasure, &[(Email, STORED)], None).await.request;
    asked(&service, unknown).await;
    let answer = announce(&service, unknown, now).await.unwrap_err();
    assert!(answer.contains("only when it is known who asks"), "{answer}");
    let mut owner = owner(&service).await;
    let changed = "UPDATE dsrd.identity_proof SET method = 'account' WHERE request_id = $1";
    sqlx::query("INSERT INTO dsrd.identity_proof (organisation_id, proof_id, request_id, assurance, method, proven_at, recorded_by)
                 VALUES ('main', gen_random_uuid(), $1, 'matched_data', 'in_person', now(), 'person:x')")
        .bind(unknown.0)
        .execute(&mut owner)
        .await
        .unwrap();
    assert!(refused(&mut owner, changed, unknown).await.contains("never changed"));

    // A month is 720 hours; the run that asked has an hour to announce.
    let proof = Proof { assurance: Assurance::AuthenticatedSession, at: now };
    let other = "canarino.altro@posta.example";
    let known = submit(&service, RequestKind::Erasure, &[(Email, other)], Some(proof)).await.request;
    announce(&service, known, now + TimeDelta::hours(720)).await.unwrap();
    let answer = announce(&service, known, now + TimeDelta::hours(722)).await.unwrap_err();
    assert!(answer.contains("no older than a month"), "{answer}");

    // A hold about somebody else stands against nothing; one about the person does until it ends.
    place(&service, claim_about(&service, STORED)).await;
    announce(&service, known, now).await.unwrap();
    let about_them = place(&service, claim_about(&service, other)).await;
    let answer = announce(&service, known, now).await.unwrap_err();
    assert!(answer.contains("a hold stands against the deletion"), "{answer}");
    lift(&service, &about_them.reference, LiftReason::ClaimSettled).await.unwrap();
    announce(&service, known, now).await.unwrap();
    drop(owner);
    for request in [unknown, known] {
        let mut tx = service.store.begin("test").await.unwrap();
        intake::withdraw(&mut tx, &service.desk, &service.controller, request, dpo()).await.unwrap();
        tx.commit().await.unwrap();
    }
    service.finish().await;
}

#[tokio::test]
async fn law_i_4_i_5_i_6_dates_move_by_one_extension_and_by_waiting_that_was_asked_for_and_never_by_hand() {
    let service = under("EU", "DE", chrono_tz::Europe::Berlin, "2026-03-10T08:00:00Z").await;
    let request = received(&service, "2026-03-05T09:00:00Z").await;
    let mut owner = owner(&service).await;
    let by_hand = "UPDATE dsrd.request SET due_on = due_on + 1, statutory_due_on = statutory_due_on + 1 WHERE request_id = $1";
    assert!(refused(&mut owner, by_hand, request).await.contains("never edited"));
    extend(&service, request).await.unwrap();
    service.pump().await;
    assert_eq!(service.case(request).await.due_on.to_string(), "2026-06-05");
    // I-6: that there is an event moves the date once.
    assert!(refused(&mut owner, by_hand, request).await.contains("never edited"));
    let received_later =
        "UPDATE dsrd.request SET received_at = received_at + interval '1 day' WHERE request_id = $1";
    assert!(refused(&mut owner, received_later, request).await.contains("never edited"));
    // I-4
    let twice = "INSERT INTO dsrd.extension SELECT * FROM dsrd.extension WHERE request_id = $1";
    assert!(refused(&mut owner, twice, request).await.contains("extension_pkey"));
    // I-5: by a question that was sent, and of that cause.
    for pause in [
        "INSERT INTO dsrd.pause (organisation_id, pause_id, request_id, cause, notice_id, asked_at, answered_at)
         VALUES ('main', gen_random_uuid(), $1, 'identity', gen_random_uuid(), now(), now())",
        "INSERT INTO dsrd.pause (organisation_id, pause_id, request_id, cause, notice_id, asked_at, answered_at)
         SELECT organisation_id, gen_random_uuid(), request_id, 'identity', notice_id, sent_at, sent_at FROM dsrd.notice
         WHERE request_id = $1 AND kind = 'extension'",
    ] {
        assert!(refused(&mut owner, pause, request).await.contains("only after the person was asked"));
    }
    owner.close().await.unwrap();
    service.work_to_the_end().await;
    service.finish().await;
}

#[tokio::test]
async fn law_i_7_what_is_closed_stays_and_who_asks_again_has_a_request_of_its_own() {
    let service = TestService::start().await;
    let _contact = service.platform.add_contact(person());
    let first = service.submit(RequestKind::Access, &[(Email, STORED)]).await.request;
    service.work_to_the_end().await;
    let before = service.case(first).await;
    assert_eq!(before.outcome, Some(Outcome::Fulfilled));
    let mut owner = owner(&service).await;
    for state in [
        "UPDATE dsrd.request SET state = 'received', outcome = NULL, closed_at = NULL WHERE request_id = $1",
        "UPDATE dsrd.request SET state = 'in_progress', outcome = NULL, closed_at = NULL WHERE request_id = $1",
        "UPDATE dsrd.request SET state = 'manual', park_reason = 'ambiguous_match', outcome = NULL, closed_at = NULL
         WHERE request_id = $1",
        "UPDATE dsrd.request SET outcome = 'partly_fulfilled' WHERE request_id = $1",
        "UPDATE dsrd.request SET informed_at = informed_at - interval '1 day' WHERE request_id = $1",
    ] {
        let answer = refused(&mut owner, state, first).await;
        assert!(answer.contains("never changed") || answer.contains("does not go from closed"), "{answer}");
    }
    owner.close().await.unwrap();
    let second = service.submit(RequestKind::Access, &[(Email, STORED)]).await.request;
    assert_ne!(second, first);
    service.work_to_the_end().await;
    assert_eq!(service.case(second).await.outcome, Some(Outcome::Fulfilled));
    assert_eq!(service.case(first).await.closed_at, before.closed_at);
    service.finish().await;
}

#[tokio::test]
async fn law_i_8_a_decision_is_inserted_and_never_changed() {
    let service = under("EU", "DE", chrono_tz::Europe::Berlin, "2026-03-10T08:00:00Z").await;
    let request = received(&service, "2026-03-05T09:00:00Z").await;
    extend(&service, request).await.unwrap();
    service.pump().await;
    let mut owner = owner(&service).await;
    for statement in [
        "UPDATE dsrd.decision SET decided_by = 'person:somebody_else' WHERE request_id = $1",
        "UPDATE dsrd.decision SET decided_at = decided_at - interval '1 day' WHERE request_id = $1",
        "DELETE FROM dsrd.decision WHERE request_id = $1",
    ] {
        let answer = refused(&mut owner, statement, request).await;
        assert!(answer.contains("never changed"), "{answer}");
    }
    owner.close().await.unwrap();
    service.work_to_the_end().await;
    service.finish().await;
}
