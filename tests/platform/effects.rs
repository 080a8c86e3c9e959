//! Policies and deletions.

use dsrd::platform::cloud4wi::{PolicyBody, PolicyMethod};
use dsrd::platform::{ContactPlatform as _, EffectAnswer, Leave, PlatformError, ReadOnly, Urgency};
use serde_json::{Value, json};
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::support::{LIST, answer, calls, client, client_with, id, page, platform};

const POLICIES: &str = "/v1/customers/a/policies";
const CONTACT: &str = "/v1/customers/a";

#[tokio::test]
async fn a_policy_is_written_in_each_configured_shape_and_method() {
    for (body, shape) in [
        (PolicyBody::Single, json!({"policyKey": "customs.emailMarketing", "accepted": false})),
        (PolicyBody::List, json!({"policies": [{"policyKey": "customs.emailMarketing", "accepted": false}]})),
        (PolicyBody::Map, json!({"policies": {"customs.emailMarketing": false}})),
    ] {
        for (verb, name) in
            [(PolicyMethod::Put, "PUT"), (PolicyMethod::Post, "POST"), (PolicyMethod::Patch, "PATCH")]
        {
            let server = platform().await;
            Mock::given(method(name))
                .and(path(POLICIES))
                .and(body_json(&shape))
                .respond_with(ResponseTemplate::new(201))
                .mount(&server)
                .await;
            let client = client_with(&server.uri(), |settings| {
                settings.policies.method = verb;
                settings.policies.body = body;
            });
            let answered =
                client.set_policy(&id("a"), "customs.emailMarketing", false, Leave::ALWAYS).await.unwrap();
            assert_eq!(answered, EffectAnswer::Accepted);
        }
    }
}

#[tokio::test]
async fn a_policy_that_says_neither_yes_nor_no_is_not_seen_to_be_off() {
    let list = |accepted: Value| json!([{"name": "customs.mktgCommunications", "accepted": accepted}]);
    let map = |accepted: Value| json!({"mktgCommunications": accepted});
    let (yes, no) = (Some(true), Some(false));
    for (policies, shown) in [
        (list(json!(false)), Some(no)),
        (list(json!("no")), Some(no)),
        (list(json!(1)), Some(yes)),
        (map(json!("TRUE")), Some(yes)),
        (list(json!(null)), Some(None)),
        (map(json!(null)), Some(None)),
        (json!([{"name": "mktgCommunications"}]), Some(None)),
        // The one that says no is not the one that says nothing.
        (json!({"mktgCommunications": false, "customs.mktgCommunications": null}), Some(None)),
        (json!({"mktgCommunications": null, "customs.mktgCommunications": true}), Some(yes)),
        (json!({"mktgCommunications": false, "customs.mktgCommunications": false}), Some(no)),
        (list(json!({"accepted": true})), None),
        (map(json!({"accepted": true})), None),
        (map(json!([true])), None),
        (list(json!(0.5)), None),
        (list(json!("perhaps")), None),
    ] {
        // The platform says that it did it, and the profile stays as it is.
        let server = platform().await;
        answer(&server, "PUT", POLICIES, ResponseTemplate::new(200)).await;
        let whole = ResponseTemplate::new(200).set_body_json(json!({"cid": "a", "policies": policies}));
        answer(&server, "GET", "/v2/customers/a", whole).await;
        let client = client(&server.uri());
        client.set_policy(&id("a"), "mktgCommunications", false, Leave::ALWAYS).await.unwrap();
        let found = client.find_contact(&id("a"), Urgency::Request).await;
        if let Some(shown) = shown {
            let contact = found.unwrap().unwrap();
            assert_eq!(contact.policies.get("mktgCommunications").copied(), shown, "{policies}");
        } else {
            let error = found.unwrap_err();
            assert!(matches!(error, PlatformError::Unreadable { .. }), "{policies}: {error}");
        }
    }
}

#[tokio::test]
async fn a_deletion_is_accepted_by_every_success_and_absent_by_404_once_the_path_has_worked() {
    for status in [200, 201, 202, 204] {
        let server = platform().await;
        answer(&server, "DELETE", CONTACT, ResponseTemplate::new(status)).await;
        let client = client(&server.uri());
        assert_eq!(
            client.delete_contact(&id("a"), Leave::ALWAYS).await.unwrap(),
            EffectAnswer::Accepted,
            "{status}"
        );
        assert_eq!(
            client.delete_contact(&id("b"), Leave::ALWAYS).await.unwrap(),
            EffectAnswer::Absent,
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_policy_that_is_refused_as_absent_although_the_contact_is_there_is_a_refusal() {
    let server = platform().await;
    answer(&server, "GET", LIST, page(&[], None)).await;
    let whole = json!({"cid": "a", "policies": [{"name": "mktgCommunications", "accepted": true}]});
    answer(&server, "GET", "/v2/customers/a", ResponseTemplate::new(200).set_body_json(whole)).await;
    let going = json!({"cid": "b", "deleted": true});
    answer(&server, "GET", "/v2/customers/b", ResponseTemplate::new(200).set_body_json(going)).await;
    let client = client(&server.uri());
    let set = async |cid: &str| client.set_policy(&id(cid), "mktgCommunications", false, Leave::ALWAYS).await;
    let error = set("a").await.unwrap_err();
    assert!(
        matches!(&error, PlatformError::Rejected { detail, .. } if detail.contains("the contact exists")),
        "{error}"
    );
    for gone in ["b", "c"] {
        assert_eq!(set(gone).await.unwrap(), EffectAnswer::Absent, "{gone}");
    }
}

#[tokio::test]
async fn f_38_a_server_error_on_an_effect_is_a_lost_answer_and_not_repeated() {
    for status in [500, 502, 503, 504, 408] {
        let server = platform().await;
        answer(&server, "DELETE", CONTACT, ResponseTemplate::new(status)).await;
        answer(&server, "PUT", POLICIES, ResponseTemplate::new(status)).await;
        let client = client(&server.uri());
        for error in [
            client.delete_contact(&id("a"), Leave::ALWAYS).await.unwrap_err(),
            client.set_policy(&id("a"), "mktgCommunications", false, Leave::ALWAYS).await.unwrap_err(),
        ] {
            assert!(matches!(error, PlatformError::AnswerLost { .. }), "{status}: {error}");
        }
        assert_eq!(calls(&server, "DELETE", CONTACT).await, 1);
        assert_eq!(calls(&server, "PUT", POLICIES).await, 1);
    }
}

#[tokio::test]
async fn effects_refused_before_they_happen_are_repeated_where_that_helps_and_final_where_not() {
    for (first, then, expected_calls) in [(429, 200, 2), (401, 200, 2), (403, 200, 2)] {
        let server = platform().await;
        Mock::given(method("DELETE"))
            .and(path(CONTACT))
            .respond_with(ResponseTemplate::new(first).insert_header("retry-after", "0"))
            .up_to_n_times(1)
            .with_priority(1)
            .mount(&server)
            .await;
        answer(&server, "DELETE", CONTACT, ResponseTemplate::new(then)).await;
        assert_eq!(
            client(&server.uri()).delete_contact(&id("a"), Leave::ALWAYS).await.unwrap(),
            EffectAnswer::Accepted
        );
        assert_eq!(calls(&server, "DELETE", CONTACT).await, expected_calls, "{first}");
    }
    for status in [400, 405, 409, 410, 422] {
        let server = platform().await;
        answer(&server, "DELETE", CONTACT, ResponseTemplate::new(status)).await;
        let error = client(&server.uri()).delete_contact(&id("a"), Leave::ALWAYS).await.unwrap_err();
        assert!(matches!(error, PlatformError::Rejected { .. }), "{status}: {error}");
        assert_eq!(calls(&server, "DELETE", CONTACT).await, 1, "{status}");
    }
}

#[tokio::test]
async fn s_22_an_id_is_one_encoded_segment_below_the_base_path() {
    let server = platform().await;
    for (verb, at) in [("POST", "/gateway/v1/sts/login/services"), ("DELETE", "/gateway/v1/customers/a:b@c")]
    {
        let token = json!({ "token": crate::support::token(1) });
        answer(&server, verb, at, ResponseTemplate::new(200).set_body_json(token)).await;
    }
    let client = client(&format!("{}/gateway/", server.uri()));
    assert_eq!(client.delete_contact(&id("a:b@c"), Leave::ALWAYS).await.unwrap(), EffectAnswer::Accepted);
}

#[tokio::test]
async fn a_read_only_platform_makes_no_effect_call() {
    let server = platform().await;
    let read_only = ReadOnly(client(&server.uri()).platform);
    assert!(matches!(
        read_only.delete_contact(&id("a"), Leave::ALWAYS).await,
        Err(PlatformError::ReadOnly { .. })
    ));
    assert!(matches!(
        read_only.set_policy(&id("a"), "x", false, Leave::ALWAYS).await,
        Err(PlatformError::ReadOnly { .. })
    ));
    assert!(server.received_requests().await.unwrap().is_empty());
}
