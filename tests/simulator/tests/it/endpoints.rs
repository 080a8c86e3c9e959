//! Every endpoint, as the notes on the API describe it.

use crate::rig::{Rig, escape};
use dsrd_simulator::{
    ContactSpec, Effect, Endpoint, OrganisationSettings, RateLimit, RetryAfter, ScopeRule, ScrollIds,
    Settings, Wanted,
};

#[tokio::test]
async fn login_gives_a_token_in_body_and_header() {
    let rig = Rig::with_contacts(10).await;
    let reply = rig.login_reply(rig.organisation.client_key(), rig.organisation.client_secret()).await;
    assert_eq!(reply.status, 200);
    let token = reply.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(token.split('.').count(), 3);
    assert_eq!(
        rig.call_as(&token, "GET", &format!("/v1/sts/services/{}", rig.organisation.service_id()), "")
            .await
            .json()["domains"]["service"]["organizations"][0],
        rig.organisation.org_id()
    );
}

#[tokio::test]
async fn a_wrong_pair_is_401_and_a_missing_body_409() {
    let rig = Rig::with_contacts(1).await;
    assert_eq!(rig.login_reply(rig.organisation.client_key(), "wrong").await.status, 401);
    assert_eq!(rig.login_reply("ck-nobody", rig.organisation.client_secret()).await.status, 401);
    let reply = rig.call_as("", "POST", "/v1/sts/login/services", "{}").await;
    assert_eq!(reply.status, 409);
    assert_eq!(reply.json()["status"], "KO");
}

#[tokio::test]
async fn a_missing_revoked_or_expired_token_is_403() {
    let mut rig = Rig::with_contacts(1).await;
    let id = rig.organisation.contact_id(0).unwrap();
    let path = format!("/v2/customers/{id}");
    assert_eq!(rig.call_as("", "GET", &path, "").await.status, 403);
    assert_eq!(rig.call_as("made-up", "GET", &path, "").await.status, 403);
    assert_eq!(rig.contact(&id).await.status, 200);
    assert_eq!(rig.call("POST", "/v1/sts/logout", "").await.status, 200);
    assert_eq!(rig.contact(&id).await.status, 403);
    rig.log_in().await;
    assert_eq!(rig.contact(&id).await.status, 200);
    rig.organisation.expire_tokens();
    assert_eq!(rig.contact(&id).await.status, 403);
    rig.log_in().await;
    rig.organisation.revoke_key(true);
    assert_eq!(rig.contact(&id).await.status, 403);
    assert_eq!(
        rig.login_reply(rig.organisation.client_key(), rig.organisation.client_secret()).await.status,
        401
    );
}

#[tokio::test]
async fn a_token_lives_as_long_as_the_settings_say() {
    let mut settings = Settings::with_contacts(1);
    settings.token_life = std::time::Duration::ZERO;
    let rig = Rig::start(settings).await;
    assert_eq!(rig.list("").await.status, 403);
}

#[tokio::test]
async fn a_missing_scope_is_403() {
    let rig = Rig::with_contacts(1).await;
    let id = rig.organisation.contact_id(0).unwrap();
    rig.organisation.set_scopes(["customer_read"]);
    assert_eq!(rig.contact(&id).await.status, 200);
    assert_eq!(rig.delete(&id).await.status, 403);
    rig.organisation.set_scopes(["customer_write"]);
    assert_eq!(rig.contact(&id).await.status, 403);
    assert_eq!(rig.delete(&id).await.status, 200);
    let mut settings = Settings::with_contacts(1);
    settings.scope_rule = ScopeRule::Both;
    let strict = Rig::start(settings).await;
    strict.organisation.set_scopes(["customer_read"]);
    assert_eq!(strict.list("").await.status, 403);
}

#[tokio::test]
async fn a_key_of_one_organisation_does_not_open_another() {
    let settings = Settings::with_contacts(5).organisation(OrganisationSettings::new("other", 5));
    let rig = Rig::start(settings).await;
    let other = rig.simulator.organisation("other");
    assert_ne!(other.org_id(), rig.organisation.org_id());
    let path = format!("/v2/customers/organizations/{}", other.org_id());
    assert_eq!(rig.get(&path).await.status, 403);
    assert_eq!(rig.contact(&other.contact_id(0).unwrap()).await.status, 404);
    assert_eq!(other.journal().entries().len(), 0);
    assert_eq!(rig.organisation.journal().entries().len(), 3);
}

#[tokio::test]
async fn doubled_slashes_are_accepted_and_unknown_paths_are_404() {
    let rig = Rig::with_contacts(3).await;
    assert_eq!(
        rig.get(&format!("//v2//customers/organizations/{}", rig.organisation.org_id())).await.status,
        200
    );
    assert_eq!(rig.get("/v9/customers").await.status, 404);
    assert_eq!(
        rig.call("POST", &format!("/v2/customers/{}", rig.organisation.contact_id(0).unwrap()), "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn the_list_has_the_documented_envelope_and_ignores_unknown_parameters() {
    let rig = Rig::with_contacts(50).await;
    let page = rig.list("foo=bar&contactEmail=x").await.json();
    assert_eq!(page["size"], 20);
    assert_eq!(page["customers"].as_array().unwrap().len(), 20);
    assert!(page["sid"].is_string());
    assert_eq!(page["generated"], "2026-01-15T09:30:00Z");
    let contact = &page["customers"][0];
    assert_eq!(contact["organizationCid"], rig.organisation.org_id());
    assert!(contact["policies"].as_array().unwrap().iter().any(|policy| policy["name"] == "privacy"));
    assert!(contact["metrics"]["countTotalVisits"].is_i64());
}

#[tokio::test]
async fn bad_parameters_are_409() {
    let rig = Rig::with_contacts(30).await;
    for query in [
        "size=0",
        "size=10001",
        "size=x",
        "size=-1",
        "sid=unknown",
        "sortBy=shoeSize",
        "sortReverse=true",
        "createdFrom=yesterday",
        "modifiedTo=2019-07-31",
        "hasEmail=maybe",
    ] {
        let reply = rig.list(query).await;
        assert_eq!(reply.status, 409, "{query}");
        assert_eq!(reply.json()["status"], "KO");
    }
    let sid = rig.list("size=10").await.sid().unwrap();
    assert_eq!(rig.list(&format!("size=11&sid={}", escape(&sid))).await.status, 409);
    assert_eq!(rig.list(&format!("size=10&sid={}", escape(&sid))).await.status, 200);
}

#[tokio::test]
async fn a_scroll_gives_everybody_once_and_ends() {
    let rig = Rig::with_contacts(95).await;
    let pages = rig.scroll("size=20&sortBy=created_absolute&sortReverse=false", 20).await;
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [20, 20, 20, 20, 15]);
    let mut ids: Vec<String> = pages.concat();
    ids.sort();
    let mut expected = rig.organisation.contact_ids();
    expected.sort();
    assert_eq!(ids, expected);
    let even = Rig::with_contacts(40).await;
    let sizes: Vec<usize> = even.scroll("size=20", 9).await.iter().map(Vec::len).collect();
    assert_eq!(sizes, [20, 20, 0], "a full last page is followed by an empty one");
}

#[tokio::test]
async fn a_scroll_is_a_snapshot() {
    let rig = Rig::with_contacts(30).await;
    let first = rig.list("size=10").await;
    let later = rig.organisation.contact_id(15).unwrap();
    rig.organisation.delete_contact(&later);
    let added = rig.organisation.add_contact(ContactSpec::new());
    let second = rig.list(&format!("sid={}", escape(&first.sid().unwrap()))).await;
    assert!(second.ids().contains(&later));
    let third = rig.list(&format!("sid={}", escape(&first.sid().unwrap()))).await;
    assert!(!third.ids().contains(&added));
    assert_eq!(rig.contact(&later).await.status, 404);
}

#[tokio::test]
async fn a_lost_page_is_not_given_again_unless_each_page_has_its_own_id() {
    for (scroll_ids, again) in [(ScrollIds::OneForAll, false), (ScrollIds::NewPerPage, true)] {
        let mut settings = Settings::with_contacts(30);
        settings.scroll_ids = scroll_ids;
        let rig = Rig::start(settings).await;
        let sid = rig.list("size=10").await.sid().unwrap();
        let first = rig.list(&format!("sid={}", escape(&sid))).await;
        let second = rig.list(&format!("sid={}", escape(&sid))).await;
        assert_eq!(first.ids() == second.ids(), again);
        assert_eq!(first.sid().unwrap() == sid, !again);
        assert_eq!(rig.scroll("size=7", 10).await.concat().len(), 30);
    }
}

#[tokio::test]
async fn a_scroll_expires() {
    let mut settings = Settings::with_contacts(30);
    settings.scroll_life = std::time::Duration::ZERO;
    let rig = Rig::start(settings).await;
    let sid = rig.list("size=10").await.sid().unwrap();
    assert_eq!(rig.list(&format!("size=10&sid={}", escape(&sid))).await.status, 409);
}

#[tokio::test]
async fn every_identifier_finds_its_contact() {
    let rig = Rig::with_contacts(500).await;
    for index in [0, 8, 24, 100, 499] {
        let id = rig.organisation.contact_id(index).unwrap();
        let identifiers = rig.organisation.truth(&id).unwrap().identifiers;
        for (name, value) in [
            ("email", &identifiers.email),
            ("phoneNumber", &identifiers.phone),
            ("username", &identifiers.username),
            ("extId", &identifiers.ext_id),
            ("extProp1", &identifiers.ext_prop1),
            ("extProp2", &identifiers.ext_prop2),
        ] {
            if !value.is_empty() {
                let found = rig.list(&format!("size=100&{name}={}", escape(value))).await.ids();
                assert!(found.contains(&id), "{name} {value}");
                assert!(found.len() < 20);
            }
        }
    }
}

#[tokio::test]
async fn searches_match_exactly_except_for_the_case_of_addresses_and_the_spelling_of_numbers() {
    let rig = Rig::with_contacts(0).await;
    let ada = rig.organisation.add_contact(
        ContactSpec::new().email("Ada.Example@posta.example").phone("+39 (06) 555-1234").ext_id("E-1"),
    );
    let finds = async |query: &str| rig.list(query).await.ids() == [ada.clone()];
    assert!(finds("email=ada.example%40POSTA.example").await);
    assert!(!finds("email=ada.example%40posta.exampl").await);
    assert!(!finds("email=ada").await);
    assert!(finds("phoneNumber=%2B39065551234").await);
    assert!(finds("phoneNumber=39065551234").await);
    assert!(!finds("phoneNumber=065551234").await);
    assert!(finds("extId=E-1").await);
    assert!(!finds("extId=e-1").await);
    assert!(!finds("email=ada.example%40posta.example&extId=E-2").await, "all searches must match");
}

type Test<'a> = Box<dyn Fn(&serde_json::Value) -> bool + 'a>;

#[tokio::test]
async fn filters_agree_with_the_contacts_that_they_return() {
    let rig = Rig::with_contacts(400).await;
    let (location, _) = rig.organisation.locations().remove(2);
    let (segment, _) = rig.organisation.segments().remove(1);
    let everybody = rig.list("size=10000").await.json()["customers"].as_array().unwrap().clone();
    let policy = |contact: &serde_json::Value, name: &str| {
        contact["policies"]
            .as_array()
            .unwrap()
            .iter()
            .any(|policy| policy["name"] == name && policy["accepted"] == true)
    };
    let day = |contact: &serde_json::Value, key: &str| contact[key].as_str().unwrap()[..19].to_owned();
    let cases: Vec<(String, Test<'_>)> = vec![
        ("hasEmail=true".into(), Box::new(|contact| contact["email"].is_string())),
        ("hasEmail=false".into(), Box::new(|contact| contact["email"].is_null())),
        ("hasPhone=false".into(), Box::new(|contact| contact["phone"].is_null())),
        ("emailVerified=true".into(), Box::new(|contact| contact["emailVerified"] == true)),
        ("phoneVerified=true".into(), Box::new(|contact| contact["phoneVerified"] == true)),
        ("signupMethod=kiosk".into(), Box::new(|contact| contact["signupMethod"] == "kiosk")),
        (format!("locations={location}"), Box::new(|contact| contact["locationCid"] == location)),
        (
            format!("segments={segment},none"),
            Box::new(|contact| contact["segmentCids"].as_str().is_some_and(|ids| ids.contains(&segment))),
        ),
        (
            "createdTo=2020-06-01T00:00:00Z".into(),
            Box::new(|contact| day(contact, "created").as_str() <= "2020-06-01T00:00:00"),
        ),
        (
            "createdFrom=2024-06-01T00:00:00Z".into(),
            Box::new(|contact| day(contact, "created").as_str() >= "2024-06-01T00:00:00"),
        ),
        (
            "modifiedFrom=2025-01-01T00:00:00Z".into(),
            Box::new(|contact| day(contact, "modified").as_str() >= "2025-01-01T00:00:00"),
        ),
        (
            "modifiedTo=2023-01-01T00:00:00Z".into(),
            Box::new(|contact| day(contact, "modified").as_str() <= "2023-01-01T00:00:00"),
        ),
        ("mktgCommunications=true".into(), Box::new(|contact| policy(contact, "mktgCommunications"))),
        ("ageVerification=true".into(), Box::new(|contact| policy(contact, "ageVerification"))),
        ("customOptin.survey.v2%202024=true".into(), Box::new(|contact| policy(contact, "survey.v2 2024"))),
        ("customOptin.unheard=true".into(), Box::new(|_| false)),
    ];
    for (query, test) in cases {
        let found = rig.list(&format!("size=10000&{query}")).await.ids().len();
        let expected = everybody.iter().filter(|contact| test(contact)).count();
        assert_eq!(found, expected, "{query}");
        assert!(found < 400, "{query} chooses");
    }
}

#[tokio::test]
async fn date_bounds_are_inclusive() {
    let rig = Rig::with_contacts(0).await;
    let at = "2021-03-04T05:06:07Z";
    let id = rig.organisation.add_contact(ContactSpec::new().created(at.parse().unwrap()));
    for query in
        [format!("createdFrom={at}"), format!("createdTo={at}"), format!("createdFrom={at}&createdTo={at}")]
    {
        assert_eq!(rig.list(&query).await.ids(), std::slice::from_ref(&id));
    }
    assert!(rig.list("createdFrom=2021-03-04T05:06:08Z").await.ids().is_empty());
    assert!(rig.list("createdTo=2021-03-04T05:06:06Z").await.ids().is_empty());
}

#[tokio::test]
async fn every_sort_key_sorts_and_reverses() {
    let rig = Rig::with_contacts(60).await;
    for key in dsrd_simulator::dialect::SORT_KEYS {
        let up = rig.list(&format!("size=100&sortBy={key}")).await.ids();
        let mut down = rig.list(&format!("size=100&sortBy={key}&sortReverse=true")).await.ids();
        down.reverse();
        assert_eq!(up, down, "{key}");
        assert_eq!(up.len(), 60);
    }
    let page = rig.list("size=100&sortBy=lastName").await.json();
    let names: Vec<&str> = page["customers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contact| contact["lastName"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted());
}

#[tokio::test]
async fn contact_and_records_are_read_and_gone_after_deletion() {
    let rig = Rig::with_contacts(0).await;
    let id = rig.organisation.add_contact(
        ContactSpec::new()
            .events(4)
            .devices(2)
            .accountings(5)
            .raw("language", "\"it\"")
            .policy("my policy", true),
    );
    let contact = rig.contact(&id).await.json();
    assert_eq!((&contact["cid"], &contact["language"]), (&id.as_str().into(), &"it".into()));
    let events = rig.get(&format!("/v2/customers/{id}/events")).await.json();
    assert_eq!(events["count"], 4);
    assert_eq!(events["events"][0]["event"]["type"], "signup");
    assert_eq!(events["events"][0]["customerId"], id);
    let when = &events["events"][3]["when"];
    assert!(when["createdAtLocal"].as_str().unwrap().ends_with('Z'));
    let devices = rig.get(&format!("/v2/customers/{id}/devices")).await.json();
    assert_eq!((devices["size"].as_u64(), devices["devices"].as_array().unwrap().len()), (Some(2), 2));
    assert_eq!(devices["devices"][0]["macAddress"].as_str().unwrap().len(), 17);
    let accountings = rig.get(&format!("/v2/customers/{id}/accountings")).await.json();
    assert_eq!(accountings["accountings"].as_array().unwrap().len(), 5);
    let reply = rig.delete(&id).await;
    assert_eq!((reply.status, reply.json()["status"].as_str()), (200, Some("OK")));
    for path in ["", "/events", "/devices", "/accountings"] {
        assert_eq!(rig.get(&format!("/v2/customers/{id}{path}")).await.status, 404);
    }
    assert_eq!(rig.delete(&id).await.status, 404);
    assert_eq!(rig.set_policy(&id, "privacy", false).await.status, 404);
    assert!(!rig.organisation.truth(&id).unwrap().exists);
    assert_eq!(rig.organisation.contact_number(), 0);
    assert!(rig.list("").await.ids().is_empty());
}

#[tokio::test]
async fn policies_are_set_in_the_three_shapes_and_read_back() {
    let rig = Rig::with_contacts(5).await;
    let id = rig.organisation.contact_id(3).unwrap();
    let path = format!("/v1/customers/{id}/policies");
    for body in [
        r#"{"policyKey":"mktgCommunications","accepted":false}"#,
        r#"{"policies":[{"policyKey":"customs.survey.v2 2024","accepted":true},{"policyKey":"privacy","accepted":false}]}"#,
        r#"{"policies":{"customs.partner offers":false}}"#,
    ] {
        let reply = rig.call("PUT", &path, body).await;
        assert_eq!((reply.status, reply.json()["status"].as_str()), (200, Some("OK")));
    }
    let truth = rig.organisation.truth(&id).unwrap();
    for (name, accepted) in [
        ("mktgCommunications", false),
        ("survey.v2 2024", true),
        ("privacy", false),
        ("partner offers", false),
    ] {
        assert_eq!(truth.policy(name), Some(accepted), "{name}");
        let read = rig.contact(&id).await.json();
        let policies = read["policies"].as_array().unwrap();
        assert!(policies.iter().any(|policy| policy["name"] == name && policy["accepted"] == accepted));
    }
    for body in [
        r#"{"policyKey":"nonsense","accepted":true}"#,
        "{}",
        "",
        r#"{"policyKey":"emailMarketing","accepted":true}"#,
    ] {
        assert_eq!(rig.call("PUT", &path, body).await.status, 409, "{body}");
    }
    assert!(!rig.list("size=100&mktgCommunications=true").await.ids().contains(&id));
}

#[tokio::test]
async fn exist_answers_200_or_404() {
    let rig = Rig::with_contacts(0).await;
    let id = rig.organisation.add_contact(ContactSpec::new().email("ada@posta.example"));
    let exist = async |query: &str| {
        rig.get(&format!("/v2/customers/organizations/{}/exist?{query}", rig.organisation.org_id()))
            .await
            .status
    };
    assert_eq!(exist("email=ADA%40posta.example").await, 200);
    assert_eq!(exist(&format!("cid={id}")).await, 200);
    assert_eq!(exist(&format!("cid={id}&email=bob%40posta.example")).await, 404);
    assert_eq!(exist("email=bob%40posta.example").await, 404);
    assert_eq!(exist("").await, 409);
    rig.organisation.delete_contact(&id);
    assert_eq!(exist(&format!("cid={id}")).await, 404);
}

#[tokio::test]
async fn the_organisation_lists_policies_places_segments() {
    let rig = Rig::with_contacts(1).await;
    let org = rig.organisation.org_id();
    let policies = rig.get(&format!("/v1/organizations/{org}/policies")).await.json();
    assert_eq!(policies["policies"][0], "termsOfUse");
    assert_eq!(policies["policies"][1], "privacy");
    let places = rig.get(&format!("/v1/organizations/{org}/locations")).await.json();
    assert_eq!(places["locations"].as_array().unwrap().len(), 8);
    let segments = rig.get(&format!("/v2/segments/organizations/{org}")).await.json();
    assert_eq!(segments["segments"][0]["name"], "VIP");
}

#[tokio::test]
async fn the_organisations_events_are_scrolled_in_their_order() {
    let rig = Rig::with_contacts(40).await;
    let org = rig.organisation.org_id();
    let counts: u32 = rig
        .organisation
        .contact_ids()
        .iter()
        .map(|id| rig.organisation.truth(id).unwrap().records)
        .map(|records| records.events + records.application_events)
        .sum();
    let mut path = format!("/v1/organizations/{org}/events?enableScroll=true&size=50");
    let mut instants = Vec::new();
    loop {
        let page = rig.get(&path).await.json();
        let events = page["events"].as_array().unwrap();
        instants.extend(events.iter().map(|event| event["when"]["createdAt"].as_str().unwrap().to_owned()));
        let Some(id) = page["scrollId"].as_str() else { break };
        path = format!("/v1/organizations/{org}/events?size=50&scrollId={}", escape(id));
    }
    assert_eq!(instants.len(), counts as usize);
    assert!(instants.is_sorted());
    let some =
        rig.get(&format!("/v1/organizations/{org}/events?size=10000&events=send_sms,survey")).await.json();
    let kinds: Vec<&str> = some["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"]["type"].as_str().unwrap())
        .collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| ["send_sms", "survey"].contains(kind)));
    let bounds = "dateStart=2022-01-01T00:00:00Z&dateEnd=2022-12-31T23:59:59Z";
    let year = rig.get(&format!("/v1/organizations/{org}/events?size=10000&{bounds}")).await.json();
    let inside = instants.iter().filter(|at| at.starts_with("2022")).count();
    assert_eq!(year["count"], inside);
    assert!(inside > 0);
    for bad in ["dateStart=then", "size=0", "scrollId=unknown", "sortBy=created"] {
        assert_eq!(rig.get(&format!("/v1/organizations/{org}/events?{bad}")).await.status, 409, "{bad}");
    }
}

#[tokio::test]
async fn the_rate_limit_answers_429_with_the_configured_header() {
    let mut settings = Settings::with_contacts(1);
    settings.organisations[0].rate_limit = Some(RateLimit::new(0.001, 3.0));
    let rig = Rig::start(settings).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(rig.list("").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(rig.list("").await.header("retry-after"), Some("1"));
    let dated = RateLimit {
        retry_after: RetryAfter::HttpDateIn(60),
        logins_count: true,
        ..RateLimit::new(0.001, 0.0)
    };
    rig.organisation.set_rate_limit(Some(dated));
    assert!(rig.list("").await.header("retry-after").unwrap().ends_with("GMT"));
    assert_eq!(
        rig.login_reply(rig.organisation.client_key(), rig.organisation.client_secret()).await.status,
        429
    );
    rig.organisation
        .set_rate_limit(Some(RateLimit { retry_after: RetryAfter::Absent, ..RateLimit::new(0.001, 0.0) }));
    assert_eq!(rig.list("").await.header("retry-after"), None);
    rig.organisation.set_rate_limit(None);
    assert_eq!(rig.list("").await.status, 200);
}

#[tokio::test]
async fn the_journal_orders_calls_and_effects() {
    let rig = Rig::with_contacts(3).await;
    let id = rig.organisation.contact_id(1).unwrap();
    rig.set_policy(&id, "mktgCommunications", false).await;
    rig.delete(&id).await;
    rig.contact(&id).await;
    let journal = rig.simulator.journal();
    let entries = journal.entries();
    let calls: Vec<(u64, Endpoint, u16)> =
        entries.iter().map(|entry| (entry.sequence, entry.endpoint, entry.status)).collect();
    assert_eq!(
        calls,
        [
            (1, Endpoint::Login, 200),
            (2, Endpoint::UpdatePolicies, 200),
            (3, Endpoint::DeleteContact, 200),
            (4, Endpoint::Contact, 404),
        ]
    );
    let set = Effect::PolicySet { contact: id.clone(), key: "mktgCommunications".into(), accepted: false };
    assert_eq!(journal.effects(), [(2, set), (3, Effect::Deleted { contact: id.clone() })]);
    assert_eq!(entries[3].contact.as_deref(), Some(id.as_str()));
    assert_eq!(entries[3].organisation.as_deref(), Some("main"));
    assert_eq!((journal.calls(Endpoint::Contact), journal.failures(Endpoint::Contact)), (1, 1));
    assert_eq!(journal.total_calls(), 4);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let one = Rig::with_contacts(200).await;
    let two = Rig::with_contacts(200).await;
    let query = "size=199&sortBy=email&hasEmail=true";
    let body = one.list(query).await.body;
    assert_eq!(body, two.list(query).await.body);
    let mut settings = Settings::with_contacts(200);
    settings.organisations[0].seed ^= 1;
    assert_ne!(body, Rig::start(settings).await.list(query).await.body);
}

#[tokio::test]
async fn generated_people_of_every_kind_can_be_found() {
    let rig = Rig::with_contacts(1_000).await;
    let old = "2020-01-01T00:00:00Z".parse().unwrap();
    for wanted in [
        Wanted::UniqueIdentifiers,
        Wanted::WithoutEmail,
        Wanted::WithoutPhone,
        Wanted::PlusAddress,
        Wanted::RightToLeftName,
        Wanted::WithExternalId,
        Wanted::AcceptsMarketing,
        Wanted::CreatedBefore(old),
        Wanted::CreatedFrom(old),
    ] {
        let first = rig.organisation.find_generated(wanted, 0).unwrap();
        let second = rig.organisation.find_generated(wanted, 1).unwrap();
        assert_eq!((first.len(), second.len()), (1, 1), "{wanted:?}");
        assert_ne!(first, second);
    }
    for (wanted, name) in [(Wanted::SharedEmail, "email"), (Wanted::SharedPhone, "phoneNumber")] {
        let pair = rig.organisation.find_generated(wanted, 0).unwrap();
        let identifiers = rig.organisation.truth(&pair[0]).unwrap().identifiers;
        let value = if name == "email" { identifiers.email } else { identifiers.phone };
        assert_eq!(rig.list(&format!("{name}={}", escape(&value))).await.ids(), pair);
    }
    let unique = rig.organisation.find_generated(Wanted::UniqueIdentifiers, 0).unwrap();
    let email = rig.organisation.truth(&unique[0]).unwrap().identifiers.email;
    assert_eq!(rig.list(&format!("email={}", escape(&email))).await.ids(), unique);
}
