//! Log-in, renewal, and what refused tokens lead to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use dsrd::platform::{ContactPlatform as _, Leave, PlatformError, Urgency};
use serde_json::json;
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{LIST, LOGIN, answer, calls, client, contact, id, page, platform, token};

/// Accepts tokens from the given number on; answers others with `status`.
fn guarded(first_good: usize, status: u16, good: ResponseTemplate) -> impl Fn(&Request) -> ResponseTemplate {
    move |request: &Request| {
        let bearer = request.headers.get("authorization").unwrap().to_str().unwrap().to_owned();
        let accepted =
            (first_good..first_good + 10).any(|number| bearer == format!("Bearer {}", token(number)));
        if accepted { good.clone() } else { ResponseTemplate::new(status) }
    }
}

#[tokio::test]
async fn f_37_fifty_workers_share_one_log_in() {
    let server = platform().await;
    answer(&server, "GET", LIST, page(&[contact(1)], None)).await;
    let client = Arc::new(client(&server.uri()));
    let workers: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.count_contacts().await.unwrap() })
        })
        .collect();
    for worker in workers {
        assert_eq!(worker.await.unwrap(), 1);
    }
    assert_eq!(calls(&server, "POST", LOGIN).await, 1);
}

#[tokio::test]
async fn f_37_a_token_that_ends_as_401_or_403_is_renewed_once_for_all_and_the_calls_repeated() {
    for status in [401, 403] {
        let server = platform().await;
        answer(&server, "GET", LIST, guarded(2, status, page(&[contact(1)], None))).await;
        let client = Arc::new(client(&server.uri()));
        let workers: Vec<_> = (0..50)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.count_contacts().await })
            })
            .collect();
        for worker in workers {
            assert_eq!(worker.await.unwrap().unwrap(), 1);
        }
        assert_eq!(calls(&server, "POST", LOGIN).await, 2, "{status}");
    }
}

#[tokio::test]
async fn f_37_a_missing_scope_is_named_after_one_renewal_and_does_not_make_every_call_log_in() {
    let server = platform().await;
    answer(&server, "GET", LIST, ResponseTemplate::new(403)).await;
    let client = client(&server.uri());
    for _ in 0..5 {
        let error = client.count_contacts().await.unwrap_err();
        assert!(
            matches!(error, PlatformError::Forbidden { scopes, .. } if scopes.contains("customer_read")),
            "{error}"
        );
    }
    assert_eq!(calls(&server, "POST", LOGIN).await, 2);
    answer(&server, "DELETE", "/v1/customers/a", ResponseTemplate::new(403)).await;
    let error = client.delete_contact(&id("a"), Leave::ALWAYS).await.unwrap_err();
    assert!(error.to_string().contains("organization_write, customer_write"), "{error}");
}

#[tokio::test]
async fn f_37_a_wrong_or_revoked_key_is_one_clear_error_without_a_storm_of_log_ins() {
    let server = MockServer::start().await;
    answer(&server, "POST", LOGIN, ResponseTemplate::new(401)).await;
    let client = Arc::new(client(&server.uri()));
    let workers: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.count_contacts().await })
        })
        .collect();
    for worker in workers {
        assert!(matches!(worker.await.unwrap(), Err(PlatformError::BadCredentials { .. })));
    }
    assert_eq!(calls(&server, "POST", LOGIN).await, 1);

    // Revoked while running: a second 401 with the fresh token.
    let server = platform().await;
    answer(&server, "GET", LIST, ResponseTemplate::new(401)).await;
    let error = crate::support::client(&server.uri()).count_contacts().await.unwrap_err();
    assert!(matches!(error, PlatformError::BadCredentials { .. }), "{error}");
    assert_eq!(calls(&server, "GET", LIST).await, 2);
}

#[tokio::test]
async fn the_token_is_found_in_body_or_header_and_the_credentials_are_sent_trimmed() {
    for in_body in [true, false] {
        let server = MockServer::start().await;
        let login = if in_body {
            ResponseTemplate::new(200).set_body_json(json!({ "token": token(1) }))
        } else {
            ResponseTemplate::new(201)
                .insert_header("authorization", format!("Bearer {}", token(1)))
                .set_body_json(json!({"status": "OK"}))
        };
        Mock::given(method("POST"))
            .and(path(LOGIN))
            .and(body_json(json!({"clientKey": "ck-test", "clientSecret": "secret-canary-of-the-key"})))
            .respond_with(login)
            .mount(&server)
            .await;
        answer(&server, "GET", LIST, guarded(1, 403, page(&[], None))).await;
        assert_eq!(client(&server.uri()).count_contacts().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_old_token_is_replaced_before_it_is_used_and_an_answer_without_token_is_unreadable() {
    let server = platform().await;
    answer(&server, "GET", LIST, page(&[], None)).await;
    let client = client(&server.uri());
    client.count_contacts().await.unwrap();
    client.clock.advance(TimeDelta::hours(22));
    client.count_contacts().await.unwrap();
    assert_eq!(calls(&server, "POST", LOGIN).await, 1);
    client.clock.advance(TimeDelta::hours(1));
    client.count_contacts().await.unwrap();
    assert_eq!(calls(&server, "POST", LOGIN).await, 2);

    let server = MockServer::start().await;
    answer(&server, "POST", LOGIN, ResponseTemplate::new(200).set_body_string("{}")).await;
    let error = crate::support::client(&server.uri()).count_contacts().await.unwrap_err();
    assert!(matches!(error, PlatformError::Unreadable { operation: "log in", .. }), "{error}");
}

#[tokio::test]
async fn f_29_a_log_in_that_is_throttled_waits_and_goes_on() {
    let server = MockServer::start().await;
    let count = AtomicUsize::new(0);
    answer(&server, "POST", LOGIN, move |_: &Request| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            ResponseTemplate::new(429).insert_header("retry-after", "0")
        } else {
            ResponseTemplate::new(200).set_body_json(json!({ "token": token(1) }))
        }
    })
    .await;
    answer(&server, "GET", LIST, page(&[], None)).await;
    assert_eq!(client(&server.uri()).count_contacts().await.unwrap(), 0);
}

#[tokio::test]
async fn log_out_revokes_the_token_and_the_next_call_logs_in_again() {
    let server = platform().await;
    answer(&server, "GET", LIST, page(&[], None)).await;
    answer(&server, "POST", "/v1/sts/logout", guarded(1, 403, ResponseTemplate::new(200))).await;
    let client = client(&server.uri());
    client.log_out().await.unwrap();
    assert_eq!(calls(&server, "POST", "/v1/sts/logout").await, 0);
    client.count_contacts().await.unwrap();
    client.log_out().await.unwrap();
    assert_eq!(calls(&server, "POST", "/v1/sts/logout").await, 1);
    client.count_contacts().await.unwrap();
    assert_eq!(calls(&server, "POST", LOGIN).await, 2);
}

#[tokio::test]
async fn s_14_a_key_of_another_organisation_is_noticed() {
    use dsrd::platform::OrganisationMatch;
    const SERVICE: &str = "/v1/sts/services/service-1";
    let service = |organisation: &str| {
        ResponseTemplate::new(200)
            .set_body_json(json!({"domains": {"service": {"organizations": [organisation]}}}))
    };
    for (answered, expected) in [
        (service(crate::support::ORG), OrganisationMatch::Same),
        (service("another"), OrganisationMatch::Other),
        (ResponseTemplate::new(404), OrganisationMatch::Unknown),
        (ResponseTemplate::new(403), OrganisationMatch::Unknown),
        (ResponseTemplate::new(200).set_body_string("<html>"), OrganisationMatch::Unknown),
    ] {
        let server = platform().await;
        answer(&server, "GET", SERVICE, answered).await;
        answer(&server, "GET", LIST, page(&[contact(1)], None)).await;
        assert_eq!(client(&server.uri()).check_organisation().await.unwrap(), expected);
    }
    // Where the service is not shown, a contact says whose it is.
    let server = platform().await;
    let stranger = json!({"cid": "a", "organizationCid": "another"});
    answer(&server, "GET", LIST, page(&[stranger], None)).await;
    assert_eq!(client(&server.uri()).check_organisation().await.unwrap(), OrganisationMatch::Other);
    // And where the organisation's own list is refused, that is the error.
    let server = platform().await;
    answer(&server, "GET", LIST, ResponseTemplate::new(403)).await;
    let error = client(&server.uri()).check_organisation().await.unwrap_err();
    assert!(matches!(error, PlatformError::Forbidden { .. }), "{error}");
}

#[tokio::test]
async fn a_wrong_base_url_is_a_configuration_error_and_not_an_absent_contact() {
    let server = platform().await;
    let client = client(&server.uri());
    let error = client.find_contact(&id("a"), Urgency::Request).await.unwrap_err();
    assert!(error.to_string().contains("check base_url and organisation_id"), "{error}");
    let error = client.delete_contact(&id("a"), Leave::ALWAYS).await.unwrap_err();
    assert!(matches!(error, PlatformError::Rejected { .. }), "{error}");
    // Once the organisation's list answers, 404 means gone.
    answer(&server, "GET", LIST, page(&[], None)).await;
    assert!(client.find_contact(&id("a"), Urgency::Request).await.unwrap().is_none());
}
