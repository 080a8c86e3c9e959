//! Who asks, under the law of California: how much must match before a proof of staff counts (R-20; 11 CCR 7060 to 7063).

use std::sync::Arc;

use chrono::TimeDelta;
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    Assurance, Declaration, IdentityDoubt, IdentityMethod, IdentityRules, Matched, MatchingError,
    MatchingPoint, Outcome, Proof, RequestId, RequestKind, RequestState,
};
use dsrd::identity::{self, Check, Confirmation, IdentityError};
use dsrd_simulator::ContactSpec;

use crate::identity::{NUMBER, STORED, asked, confirm, dpo, submit};
use crate::rig::count;
use crate::support::service::TestService;

/// Where the declaration of the tests is kept; nothing but the sealed column holds it. Its word has letters that no hash and
/// no random id is written with, so that finding it is never chance.
const KEPT: &str = "file canarino-118";

/// An organisation in California in which a person proves who they are before anything is collected.
async fn california(rules: IdentityRules) -> TestService {
    let rules = IdentityRules { access_by_hand_over: false, ..rules };
    let mut service = TestService::builder().identity(rules).build().await;
    let controller = Arc::make_mut(&mut service.controller);
    controller.regime = "US-CA".parse().unwrap();
    controller.time_zone = chrono_tz::America::Los_Angeles;
    let executor = Arc::get_mut(&mut service.executor).expect("nobody works yet");
    executor.sites.get_mut(&service.controller.id).unwrap().controller = Arc::clone(&service.controller);
    service
}

fn compared(method: IdentityMethod, points: &[MatchingPoint], declared: bool) -> Check {
    let declaration = declared.then(|| Declaration::new(KEPT, "2026-11-22".parse().unwrap()).unwrap());
    Check { method, matched: Matched { points: points.iter().copied().collect(), declaration } }
}

async fn check(
    service: &TestService,
    request: RequestId,
    check: impl Into<Check>,
) -> Result<(), IdentityError> {
    let mut tx = service.store.begin("test").await.unwrap();
    identity::record_check(&mut tx, &service.desk, &service.controller, request, check, dpo()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

fn person() -> ContactSpec {
    ContactSpec::new().name("Canarino", "Prova").email(STORED).phone(NUMBER).events(3)
}

#[tokio::test]
async fn r_20_california_a_copy_of_the_data_needs_three_matching_points_and_a_signed_declaration() {
    use IdentityMethod::{Account, InPerson};
    use MatchingPoint::{DateOfVisit, Device, Email as Address, Venue};
    let service = california(IdentityRules::default()).await;
    let _contact = service.platform.add_contact(person());
    let request = submit(&service, RequestKind::Access, &[(Phone, NUMBER)], None).await.request;
    asked(&service, request).await;

    let nothing = check(&service, request, InPerson).await.unwrap_err();
    assert!(matches!(nothing, IdentityError::Matching(MatchingError::TooFew { found: 0, .. })), "{nothing}");
    let same = compared(InPerson, &[Address, Address, Venue], true);
    let same = check(&service, request, same).await.unwrap_err();
    assert!(matches!(same, IdentityError::Matching(MatchingError::TooFew { found: 2, .. })), "{same}");
    let unsigned = compared(InPerson, &[Address, Venue, Device], false);
    let unsigned = check(&service, request, unsigned).await.unwrap_err();
    assert!(matches!(unsigned, IdentityError::Matching(MatchingError::NoDeclaration { .. })), "{unsigned}");
    assert_eq!(service.case(request).await.state, RequestState::NeedsIdentity, "nothing went on");
    assert_eq!(count(&service, "SELECT count(*) FROM dsrd.identity_proof").await, 0);

    // The database refuses what the program would let through.
    let mut connection = service.store.connection().await.unwrap();
    for (method, points, declaration, problem) in [
        ("in_person", "{email,venue}", Some("x"), "the law of California wants more to be compared"),
        ("in_person", "{email,venue,device}", None, "the law of California wants more to be compared"),
        ("matched_data", "{}", Some("x"), "the law of California wants more to be compared"),
        ("in_person", "{email,venue,venue}", Some("x"), "matching_points_are_known"),
        ("in_person", "{email,venue,birth_date}", Some("x"), "matching_points_are_known"),
        ("in_person", "{email,venue,device}", Some(""), "a_declaration_is_sealed"),
    ] {
        let refused = sqlx::query(
            "INSERT INTO dsrd.identity_proof (organisation_id, proof_id, request_id, assurance, method, proven_at, recorded_by,
                                              regime, matching_points, sealed_declaration)
             SELECT organisation_id, gen_random_uuid(), request_id, 'authenticated_session', $1, now(), 'person:dpo', 'US-CA',
                    $2::text[], convert_to($3, 'UTF8')
             FROM dsrd.request WHERE request_id = $4",
        )
        .bind(method)
        .bind(points)
        .bind(declaration)
        .bind(request.0)
        .execute(&mut *connection)
        .await
        .unwrap_err();
        assert!(refused.to_string().contains(problem), "{method} {points}: {refused}");
    }
    drop(connection);

    check(&service, request, compared(InPerson, &[Address, Venue, DateOfVisit], true)).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(request).await.outcome, Some(Outcome::Fulfilled));

    // The log tells how much was compared, and neither what nor where the declaration is.
    let log = service.audit().await;
    let entry = log.iter().find(|entry| entry.action == "identity.checked").unwrap();
    assert_eq!((&entry.detail["matching_points"], &entry.detail["declaration"]), (&3.into(), &true.into()));
    let all = format!("{:?}", log.iter().map(|entry| &entry.detail).collect::<Vec<_>>());
    assert!(!all.contains("date_of_visit") && !all.contains("canarino"), "{all}");
    // With the case stand the names of the fields, and the declaration under its seal.
    let organisation = &service.controller.id;
    let mut connection = service.store.connection().await.unwrap();
    let points = identity::matching_points_of(&mut connection, organisation, request).await.unwrap();
    assert_eq!(points, ["date_of_visit", "email", "venue"]);
    let declaration = identity::declaration_of(&mut connection, &service.desk.keys, organisation, request)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(declaration.reference().expose(), KEPT);
    assert_eq!(declaration.signed_on().to_string(), "2026-11-22");
    let clear = "SELECT count(*) FROM dsrd.identity_proof AS proof WHERE proof::text LIKE '%canarino-118%'";
    drop(connection);
    assert_eq!(count(&service, clear).await, 0);

    // An account of the person's own is proof without any of it (11 CCR 7061).
    let other = submit(&service, RequestKind::Portability, &[(Phone, NUMBER)], None).await.request;
    check(&service, other, Account).await.unwrap();
    service.finish().await;
}

#[tokio::test]
async fn r_20_california_an_erasure_needs_two_points_or_as_many_as_the_controller_says() {
    use IdentityMethod::ContactPoint;
    use MatchingPoint::{Device, Phone as Number, Venue};
    for (wanted, too_few, enough) in
        [(2, vec![Number], vec![Number, Venue]), (3, vec![Number, Venue], vec![Number, Venue, Device])]
    {
        let rules = IdentityRules { erasure_matching_points: wanted, ..IdentityRules::default() };
        let service = california(rules).await;
        let contact = service.platform.add_contact(person());
        let request = submit(&service, RequestKind::Erasure, &[(Phone, NUMBER)], None).await.request;
        asked(&service, request).await;
        let refused = check(&service, request, compared(ContactPoint, &too_few, false)).await.unwrap_err();
        assert!(refused.to_string().contains(&format!("needs {wanted} matching points")), "{refused}");
        assert!(service.platform.truth(&contact).unwrap().exists);
        check(&service, request, compared(ContactPoint, &enough, false)).await.unwrap();
        service.work_to_the_end().await;
        assert!(!service.platform.truth(&contact).is_some_and(|truth| truth.exists), "{wanted}");
        service.finish().await;
    }
}

#[tokio::test]
async fn r_20_california_a_link_needs_no_points_and_a_bare_statement_proves_nothing() {
    use MatchingPoint::{Email as Address, PostalCode, Venue};
    let known = vec![Assurance::VerifiedChannelLoop, Assurance::MatchedData];
    let rules = IdentityRules { access: known.clone(), erasure: known, ..IdentityRules::default() };
    // Elsewhere the controller's opt-in lets the statement of whoever hands in be enough.
    let union = TestService::builder().identity(rules.clone()).build().await;
    let contact = union.platform.add_contact(person());
    let stated = |service: &TestService| {
        Some(Proof { assurance: Assurance::MatchedData, at: service.desk.clock.now() - TimeDelta::hours(1) })
    };
    submit(&union, RequestKind::Erasure, &[(Email, STORED)], stated(&union)).await;
    union.work_to_the_end().await;
    assert!(!union.platform.truth(&contact).is_some_and(|truth| truth.exists));
    union.finish().await;

    let service = california(rules).await;
    let contact = service.platform.add_contact(person());
    let first = submit(&service, RequestKind::Erasure, &[(Email, STORED)], stated(&service)).await.request;
    let secret = asked(&service, first).await;
    assert_eq!(service.case(first).await.identity_doubt, Some(IdentityDoubt::NoProof));
    assert!(service.platform.truth(&contact).unwrap().exists);
    // With what was compared it counts, where the controller lets compared data be enough.
    let compared_only =
        |points: &[MatchingPoint], declared| compared(IdentityMethod::MatchedData, points, declared);
    assert!(check(&service, first, compared_only(&[Address], false)).await.is_err());
    // And the link is as good as ever.
    assert!(matches!(confirm(&service, &secret, STORED).await, Confirmation::Confirmed(_)));
    service.work_to_the_end().await;
    assert!(!service.platform.truth(&contact).is_some_and(|truth| truth.exists));

    let _contact = service.platform.add_contact(person());
    let second = submit(&service, RequestKind::Access, &[(Email, STORED)], None).await.request;
    check(&service, second, compared_only(&[Address, PostalCode, Venue], true)).await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(second).await.outcome, Some(Outcome::Fulfilled));
    service.finish().await;
}
