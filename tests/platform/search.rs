//! Searching on a platform whose filters lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dsrd::domain::{IdentifierKind, SubjectIdentifier};
use dsrd::platform::{ContactPlatform as _, Coverage, FilterTrust};
use serde_json::{Value, json};
use wiremock::{MockServer, Request, ResponseTemplate};

use crate::support::{LIST, answer, calls, client, client_with, contact, email, id, page, platform, query};

/// A list of these contacts that filters exactly by the parameters that it honours.
async fn list_honouring(
    server: &MockServer,
    contacts: Vec<Value>,
    honoured: &'static [(&'static str, &'static str)],
) {
    answer(server, "GET", LIST, move |request: &Request| {
        let kept: Vec<Value> = contacts
            .iter()
            .filter(|contact| {
                honoured.iter().all(|(parameter, pointer)| {
                    query(request, parameter).is_none_or(|asked| {
                        contact.pointer(pointer).and_then(Value::as_str) == Some(asked.as_str())
                    })
                })
            })
            .cloned()
            .collect();
        let size: usize = query(request, "size").unwrap().parse().unwrap();
        page(&kept[..kept.len().min(size)], None)
    })
    .await;
}

#[tokio::test]
async fn a_search_asks_in_every_spelling_and_merges_by_id() {
    let server = platform().await;
    // More than the probe looks at: it would see that capitals matter here, and have everybody read.
    let mut people: Vec<Value> = (0..25).map(contact).collect();
    people.push(json!({"cid": "upper", "email": "Person1@People.Example"}));
    list_honouring(&server, people, &[("email", "/email"), ("phoneNumber", "/phone")]).await;
    let client = client(&server.uri());
    let found = client.search(&email("Person1@People.Example")).await.unwrap();
    let ids: Vec<_> = found.contacts.iter().map(|contact| contact.id.to_string()).collect();
    assert_eq!(ids, ["contact-00001", "upper"]);
    assert_eq!((found.strangers, found.unreadable, found.coverage), (0, 0, Coverage::Complete));
    // National spelling, read with the organisation's country.
    let phone = SubjectIdentifier::parse(IdentifierKind::Phone, "06 12000003", Some("IT")).unwrap();
    let found = client.search(&phone).await.unwrap();
    assert_eq!(found.contacts.len(), 1);
    assert_eq!(found.contacts[0].id, id("contact-00003"));
    let requests = server.received_requests().await.unwrap();
    assert!(
        requests.iter().any(|request| request.url.query().unwrap_or_default().contains("phoneNumber=%2B39"))
    );
}

#[tokio::test]
async fn s_7_an_ignored_filter_is_noticed_by_the_probe_and_strangers_never_match() {
    let server = platform().await;
    list_honouring(&server, (0..20).map(contact).collect(), &[]).await;
    let client = client(&server.uri());
    let report = client.probe().await.unwrap();
    assert!(report.searches.values().all(|trust| *trust == FilterTrust::Ignored));
    assert_eq!(report.created, FilterTrust::Ignored);
    assert_eq!(report.policies, None);
    let found = client.search(&email("person7@people.example")).await.unwrap();
    assert_eq!(found.contacts.len(), 1);
    assert_eq!(found.contacts[0].id, id("contact-00007"));
    assert_eq!((found.strangers, found.coverage), (19, Coverage::Complete));
    let nobody = client.search(&email("nobody@people.example")).await.unwrap();
    assert_eq!((nobody.contacts.len(), nobody.coverage), (0, Coverage::Complete));

    // Where a full read is not allowed, absence is not claimed.
    let strict = client_with(&server.uri(), |settings| settings.full_scan = false);
    let unknown = strict.search(&email("nobody@people.example")).await.unwrap();
    assert_eq!((unknown.contacts.len(), unknown.coverage), (0, Coverage::FilterNotHonoured));
}

#[tokio::test]
async fn s_7_a_filter_that_begins_to_lie_after_the_probe_is_noticed_by_what_comes_back() {
    let server = platform().await;
    answer(&server, "GET", LIST, |request: &Request| {
        let probe = query(request, "email").is_some_and(|asked| asked.ends_with(".invalid"));
        if probe { page(&[], None) } else { page(&(0..20).map(contact).collect::<Vec<_>>(), None) }
    })
    .await;
    let client = client(&server.uri());
    let report = client.probe().await.unwrap();
    assert_eq!(report.searches[&IdentifierKind::Email], FilterTrust::Honoured);
    let nobody = client.search(&email("nobody@people.example")).await.unwrap();
    assert_eq!((nobody.contacts.len(), nobody.coverage), (0, Coverage::Complete));
    let strict = client_with(&server.uri(), |settings| settings.full_scan = false);
    let unknown = strict.search(&email("nobody@people.example")).await.unwrap();
    assert_eq!(unknown.coverage, Coverage::FilterNotHonoured);
    assert!(unknown.strangers > 0);
}

#[tokio::test]
async fn s_8_prefix_matches_of_the_platform_are_dropped_and_counted() {
    let server = platform().await;
    answer(&server, "GET", LIST, |request: &Request| {
        let asked = query(request, "email").unwrap_or_default();
        if asked.ends_with(".invalid") {
            return page(&[], None);
        }
        let longer = json!({"cid": "longer", "email": format!("{asked}.org")});
        page(&[longer, contact(1)], None)
    })
    .await;
    let found = client(&server.uri()).search(&email("person1@people.example")).await.unwrap();
    assert_eq!(found.contacts.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["contact-00001"]);
    assert_eq!((found.strangers, found.coverage), (1, Coverage::Complete));
}

#[tokio::test]
async fn contacts_that_the_list_shows_without_the_field_are_read_whole_before_they_are_judged() {
    let server = platform().await;
    answer(&server, "GET", LIST, |request: &Request| {
        let probe = query(request, "email").is_some_and(|asked| asked.ends_with(".invalid"));
        if probe { page(&[], None) } else { page(&[json!({"cid": "a"}), json!({"cid": "b"})], None) }
    })
    .await;
    let whole = |cid: &str, address: &str| {
        ResponseTemplate::new(200).set_body_json(json!({"cid": cid, "email": address}))
    };
    answer(&server, "GET", "/v2/customers/a", whole("a", "ada@people.example")).await;
    answer(&server, "GET", "/v2/customers/b", whole("b", "bob@people.example")).await;
    let found = client(&server.uri()).search(&email("ada@people.example")).await.unwrap();
    assert_eq!(found.contacts.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!((found.strangers, found.coverage), (1, Coverage::Complete));
}

#[tokio::test]
async fn f_8_a_match_that_cannot_be_read_is_counted_so_that_absence_is_not_claimed() {
    let server = platform().await;
    answer(&server, "GET", LIST, |request: &Request| {
        let probe = query(request, "email").is_some_and(|asked| asked.ends_with(".invalid"));
        if probe {
            return page(&[], None);
        }
        ResponseTemplate::new(200)
            .set_body_string(r#"{"customers":[{"cid":"a","email":"ada@people.example\ud800"}]}"#)
    })
    .await;
    let found = client(&server.uri()).search(&email("ada@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.unreadable), (0, 1));
}

#[tokio::test]
async fn a_filter_that_the_platform_refuses_is_of_unknown_trust_and_absence_needs_a_full_read() {
    let server = platform().await;
    answer(&server, "GET", LIST, |request: &Request| {
        if query(request, "email").is_some_and(|asked| asked.ends_with(".invalid")) {
            return ResponseTemplate::new(409);
        }
        if query(request, "email").is_some() { page(&[], None) } else { page(&[contact(1)], None) }
    })
    .await;
    let client = client(&server.uri());
    let found = client.search(&email("person1@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (1, Coverage::Complete));
    assert_eq!(calls(&server, "GET", LIST).await, 3);
}

#[tokio::test]
async fn the_probe_tells_policies_and_the_difference_of_the_clocks() {
    let server = platform().await;
    answer(&server, "GET", LIST, page(&[], None).insert_header("date", "Thu, 15 Jan 2026 09:31:30 GMT"))
        .await;
    let policies = json!({"status": "OK", "policies": ["termsOfUse", "privacy"]});
    let at = "/v1/organizations/155d60f21dc1938562900a0e201d54f6/policies";
    answer(&server, "GET", at, ResponseTemplate::new(200).set_body_json(policies)).await;
    let report = client(&server.uri()).probe().await.unwrap();
    assert_eq!(report.clock_difference_secs, Some(90));
    assert_eq!(report.policies.unwrap(), ["termsOfUse", "privacy"]);
    assert!(report.searches.values().all(|trust| *trust == FilterTrust::Honoured));
    assert_eq!(report.searches.len(), IdentifierKind::ALL.len());
}

#[tokio::test]
async fn s_7_a_filter_that_finds_nobody_ever_is_noticed_by_a_value_that_the_platform_shows() {
    let server = platform().await;
    answer(&server, "GET", LIST, finds_nobody_by_email).await;
    let client = client(&server.uri());
    let report = client.probe().await.unwrap();
    assert_eq!(report.searches[&IdentifierKind::Email], FilterTrust::Unknown);
    let found = client.search(&email("person3@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (1, Coverage::Complete));
    let strict = client_with(&server.uri(), |settings| settings.full_scan = false);
    strict.probe().await.unwrap();
    let unknown = strict.search(&email("person3@people.example")).await.unwrap();
    assert_eq!((unknown.contacts.len(), unknown.coverage), (0, Coverage::FilterNotHonoured));
}

/// Five people on a platform where e-mail has another name, and names that it does not know match nobody.
fn finds_nobody_by_email(request: &Request) -> ResponseTemplate {
    let people: Vec<Value> = (0..5).map(contact).collect();
    if query(request, "email").is_some() { page(&[], None) } else { page(&people, None) }
}

#[tokio::test]
async fn s_7_a_filter_that_finds_nobody_ever_is_noticed_also_by_a_search_before_the_probe() {
    let server = platform().await;
    answer(&server, "GET", LIST, finds_nobody_by_email).await;
    let found = client(&server.uri()).search(&email("person3@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (1, Coverage::Complete));
    let strict = client_with(&server.uri(), |settings| settings.full_scan = false);
    let unknown = strict.search(&email("person3@people.example")).await.unwrap();
    assert_eq!((unknown.contacts.len(), unknown.coverage), (0, Coverage::FilterNotHonoured));
}

#[tokio::test]
async fn s_7_a_probe_that_breaks_off_leaves_no_trust_behind_and_takes_none_away() {
    let server = platform().await;
    let away = Arc::new(AtomicBool::new(true));
    let is_away = away.clone();
    answer(&server, "GET", LIST, move |request: &Request| {
        // The look for a value that somebody shows is what fails.
        let asks_for_somebody = query(request, "email").is_some_and(|asked| !asked.ends_with(".invalid"));
        if asks_for_somebody && is_away.load(Ordering::SeqCst) {
            return ResponseTemplate::new(503);
        }
        finds_nobody_by_email(request)
    })
    .await;
    let client = client_with(&server.uri(), |settings| settings.rate.attempts = 2);
    client.probe().await.unwrap_err();
    away.store(false, Ordering::SeqCst);
    let found = client.search(&email("person3@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (1, Coverage::Complete));
    // Known by now not to find anybody; a later probe that breaks off does not change that.
    away.store(true, Ordering::SeqCst);
    client.probe().await.unwrap_err();
    away.store(false, Ordering::SeqCst);
    let found = client.search(&email("person3@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (1, Coverage::Complete));
}

#[tokio::test]
async fn s_6_one_of_two_contacts_found_by_a_filter_of_unknown_trust_is_not_the_only_one() {
    let server = platform().await;
    let twin = |cid: &str| json!({"cid": cid, "email": "ada@people.example"});
    answer(&server, "GET", LIST, move |request: &Request| match query(request, "email") {
        Some(asked) if asked.ends_with(".invalid") => ResponseTemplate::new(409),
        Some(_) => page(&[twin("a")], None),
        None => page(&[twin("a"), twin("b")], None),
    })
    .await;
    let found = client(&server.uri()).search(&email("ada@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (2, Coverage::Complete));
    let strict = client_with(&server.uri(), |settings| settings.full_scan = false);
    let found = strict.search(&email("ada@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (1, Coverage::FilterNotHonoured));
}

#[tokio::test]
async fn a_list_that_shows_of_nobody_what_is_searched_for_proves_no_absence() {
    // Few are read one by one; of many it is said that it cannot be known.
    for (count, expected) in [(2, (1, Coverage::Complete)), (21, (0, Coverage::FilterNotHonoured))] {
        let server = platform().await;
        let bare: Vec<Value> = (0..count).map(|number| json!({"cid": format!("c{number}")})).collect();
        answer(&server, "GET", LIST, move |_: &Request| page(&bare, None)).await;
        for number in 0..count {
            let whole =
                json!({"cid": format!("c{number}"), "email": format!("person{number}@people.example")});
            let at = format!("/v2/customers/c{number}");
            answer(&server, "GET", &at, ResponseTemplate::new(200).set_body_json(whole)).await;
        }
        let found = client(&server.uri()).search(&email("person1@people.example")).await.unwrap();
        assert_eq!((found.contacts.len(), found.coverage), expected, "{count}");
    }
}

#[tokio::test]
async fn whoever_has_no_date_may_stand_behind_a_list_that_goes_on_by_date() {
    let server = platform().await;
    answer(&server, "GET", LIST, |request: &Request| {
        let from = query(request, "createdFrom").unwrap_or_default();
        let people =
            (0..95).map(contact).filter(|person| person["created"].as_str().unwrap() >= from.as_str());
        page(&people.take(12).collect::<Vec<_>>(), None)
    })
    .await;
    let found = client(&server.uri()).search(&email("nobody@people.example")).await.unwrap();
    assert_eq!((found.contacts.len(), found.strangers), (0, 95));
    assert_eq!(found.coverage, Coverage::FilterNotHonoured);
}

#[tokio::test]
async fn a_phone_number_is_also_searched_as_it_is_dialled_in_the_organisations_country() {
    let server = platform().await;
    let people = vec![
        json!({"cid": "national", "phone": "0612345678"}),
        json!({"cid": "other", "phone": "061234567"}),
    ];
    list_honouring(&server, people, &[("phoneNumber", "/phone")]).await;
    let phone = SubjectIdentifier::parse(IdentifierKind::Phone, "+39 06 1234 5678", None).unwrap();
    let found = client(&server.uri()).search(&phone).await.unwrap();
    assert_eq!(found.contacts.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["national"]);
}

#[tokio::test]
async fn s_7_a_platform_that_finds_the_very_spelling_only_that_it_holds_proves_no_absence() {
    for (kind, field, plain, odd, asked) in [
        (
            IdentifierKind::Email,
            "email",
            "person0@people.example",
            "Person1@People.Example",
            "person1@people.example",
        ),
        (IdentifierKind::Phone, "phone", "+390612000000", "+39 06 1234 5678", "+390612345678"),
    ] {
        let server = platform().await;
        // Who stands beside the other one is spelt as people are searched for, and tells nothing.
        let people = vec![
            json!({"cid": "plain", field: plain}),
            json!({"cid": "odd", field: odd}),
            json!({"cid": "plain-again", field: plain}),
        ];
        list_honouring(&server, people, &[("email", "/email"), ("phoneNumber", "/phone")]).await;
        let asked = SubjectIdentifier::parse(kind, asked, None).unwrap();
        let client = client(&server.uri());
        let found = client.search(&asked).await.unwrap();
        let ids: Vec<_> = found.contacts.iter().map(|found| found.id.as_str()).collect();
        assert_eq!((ids, found.coverage), (vec!["odd"], Coverage::Complete), "{kind}");
        assert_eq!(client.probe().await.unwrap().searches[&kind], FilterTrust::Unknown, "{kind}");
        let strict = client_with(&server.uri(), |settings| settings.full_scan = false);
        let unknown = strict.search(&asked).await.unwrap();
        assert_eq!((unknown.contacts.len(), unknown.coverage), (0, Coverage::FilterNotHonoured), "{kind}");
    }
}

#[tokio::test]
async fn a_phone_number_is_found_that_is_held_with_the_zeros_of_an_international_call() {
    let server = platform().await;
    let people = vec![json!({"cid": "zeros", "phone": "00393201234567"})];
    list_honouring(&server, people, &[("phoneNumber", "/phone")]).await;
    // Without a full read, which would find everybody.
    let client = client_with(&server.uri(), |settings| settings.full_scan = false);
    let phone = SubjectIdentifier::parse(IdentifierKind::Phone, "+39 320 1234567", None).unwrap();
    let found = client.search(&phone).await.unwrap();
    assert_eq!((found.contacts.len(), found.coverage), (1, Coverage::Complete));
}
