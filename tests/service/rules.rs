//! The rules of the tables that hold cases and notices (migration `rules_in_one_look`): each refuses under its own name.

use dsrd::domain::{IdentifierKind, RequestKind};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::support::service::TestService;

/// What breaks which rule of which table. Every other rule holds for the row that results.
const BREAKS: &[(&str, &str, &str)] = &[
    ("request", "kind = 'curiosity'", "request_kind_check"),
    ("request", "origin = 'nowhere'", "request_origin_check"),
    ("request", "channel = 'pigeon'", "request_channel_check"),
    ("request", "language = 'English'", "request_language_check"),
    ("request", "requester_role = 'neighbour'", "request_requester_role_check"),
    ("request", "state = 'lost'", "request_state_check"),
    (
        "request",
        "state = 'closed', outcome = 'forgotten', closed_at = now(), informed_at = now(), verified_at = now()",
        "request_outcome_check",
    ),
    ("request", "assurance = 'hope', assured_at = now()", "request_assurance_check"),
    ("request", "identity_doubt = 'a_feeling'", "request_identity_doubt_check"),
    ("request", "sibling_no = 21", "request_sibling_no_check"),
    ("request", "erasure_ground = 'whim'", "request_erasure_ground_check"),
    (
        "request",
        "erasure_ground = 'unlawful', erasure_categories = '{shoes}'",
        "request_erasure_categories_check",
    ),
    ("request", "kind = 'access', erasure_ground = 'unlawful'", "only_an_erasure_has_a_ground"),
    ("request", "erasure_categories = '{events}'", "categories_have_a_ground"),
    ("request", "state = 'closed', closed_at = now()", "closed_with_an_outcome"),
    (
        "request",
        "state = 'closed', outcome = 'fulfilled', closed_at = now(), verified_at = now()",
        "closed_was_told",
    ),
    (
        "request",
        "state = 'closed', outcome = 'fulfilled', closed_at = now(), informed_at = now()",
        "fulfilled_was_read_back",
    ),
    (
        "request",
        "kind = 'opt_out', state = 'closed', outcome = 'refused', closed_at = now(), informed_at = now()",
        "opt_out_is_never_refused",
    ),
    ("request", "reminds_of = gen_random_uuid()", "a_reminder_is_superseded"),
    ("request", "park_reason = 'ambiguous_match'", "parked_with_a_reason"),
    ("request", "assurance = 'none', assured_at = now()", "proven_at_an_instant"),
    (
        "request",
        "kind = 'opt_out', state = 'needs_identity', identity_doubt = 'no_proof', identity_wanted_at = now(),
         identity_until = now()",
        "an_opt_out_needs_no_identity",
    ),
    ("request", "state = 'needs_identity'", "identity_is_wanted_with_an_end"),
    ("request", "statutory_due_on = due_on - 1", "conservative_is_never_later"),
    (
        "request",
        "state = 'closed', outcome = 'withdrawn', closed_at = now(), contact_id = 'x', contact_forgotten_at = now()",
        "a_forgotten_contact_is_not_named",
    ),
    ("request", "identifiers_forgotten_at = now()", "only_closed_requests_are_forgotten"),
    ("request", "origin = 'retention'", "retention_names_its_contact"),
    ("request", "origin = 'self_test'", "a_self_test_has_its_channel"),
    ("notice", "kind = 'greeting'", "notice_kind_check"),
    ("notice", "sender = 'postman'", "notice_sender_check"),
    ("notice", "state = 'lost'", "notice_state_check"),
    ("notice", "round = 21", "notice_round_check"),
    ("notice", "sent_at = now()", "sent_at_an_instant"),
    ("notice", "bounced_at = now(), made_good_at = NULL", "only_sent_notices_bounce"),
    ("notice", "made_good_at = now()", "only_failures_are_made_good"),
    ("identifier", "kind = 'shoe_size'", "identifier_kind_check"),
    ("identifier", "role = 'guessed'", "identifier_role_check"),
    ("identifier", r"subject_ref = '\x00'", "identifier_subject_ref_check"),
    ("suppression", "purpose = 'fun'", "suppression_purpose_check"),
    ("suppression", "kind = 'shoe_size'", "suppression_kind_check"),
    ("suppression", r"hash = '\x00'", "suppression_hash_check"),
    ("suppression", "source = 'rumour'", "suppression_source_check"),
    ("suppression", "jurisdiction = 'E-1'", "suppression_jurisdiction_check"),
];

#[tokio::test]
async fn each_rule_of_a_row_refuses_under_its_own_name() {
    let service = TestService::start().await;
    service.submit(RequestKind::Erasure, &[(IdentifierKind::Email, "ada@people.example")]).await;
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    // Rules of a row alone are looked at here: not what a trigger knows of other rows.
    sqlx::raw_sql(
        "INSERT INTO dsrd.suppression (organisation_id, purpose, kind, hash, source, jurisdiction, since)
           VALUES ('main', 'marketing', 'email', sha256('x'), 'opt_out', 'EU', now());
         SET session_replication_role = replica",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    for (table, change, rule) in BREAKS {
        let update = format!("UPDATE dsrd.{table} SET {change}");
        let error = sqlx::query(AssertSqlSafe(update)).execute(&mut owner).await.expect_err(rule);
        let error = error.into_database_error().expect("an answer of the server");
        assert_eq!(error.constraint(), Some(*rule), "{error}");
        assert_eq!(error.code().as_deref(), Some("23514"), "{error}");
        assert_eq!(error.table(), Some(*table), "{error}");
    }
    // Every rule that the functions know is broken above.
    let known: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT (regexp_matches(prosrc, 'THEN ''([a-z_]+)''', 'g'))[1]
         FROM pg_proc WHERE pronamespace = 'dsrd'::regnamespace AND proname LIKE '%\\_is\\_sound'",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    for rule in known {
        assert!(BREAKS.iter().any(|each| each.2 == rule), "nothing breaks {rule}");
    }
    owner.close().await.unwrap();
    service.finish().await;
}
