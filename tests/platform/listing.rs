//! Lists whose paging lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use dsrd::platform::{ContactPlatform as _, PlatformError, Source};
use serde_json::{Value, json};
use wiremock::{MockServer, Request, ResponseTemplate};

use crate::support::{
    Client, LIST, answer, calls, client_with, contact, drain, drain_records, id, page, platform, query,
};

const SIZE: usize = 10;

fn reader(server: &MockServer) -> Client {
    client_with(&server.uri(), |settings| {
        settings.paging.page_size = u32::try_from(SIZE).unwrap();
        settings.paging.max_pages = 60;
    })
}

fn people(count: usize) -> Vec<Value> {
    (0..u32::try_from(count).unwrap()).map(contact).collect()
}

fn later() -> DateTime<Utc> {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

/// Pages by sid: `s0`, `s1` … as the script makes them.
async fn pages(server: &MockServer, script: impl Fn(usize) -> ResponseTemplate + Send + Sync + 'static) {
    answer(server, "GET", LIST, move |request: &Request| {
        assert_eq!(query(request, "size").as_deref(), Some("10"));
        assert_eq!(query(request, "sortBy").as_deref(), Some("created_absolute"));
        let number = query(request, "sid").map_or(0, |sid| sid[1..].parse().unwrap());
        script(number)
    })
    .await;
}

/// Answers the page of a number.
type Script = Box<dyn Fn(usize) -> ResponseTemplate + Send + Sync>;
/// Turns the right contacts of a page into those that come, and the number of the next page; may look up other pages.
type Change = fn(usize, Vec<Value>, &dyn Fn(usize) -> Vec<Value>) -> (Vec<Value>, Option<usize>);

fn sid(number: usize) -> String {
    format!("s{number}")
}

#[tokio::test]
async fn f_34_every_contact_comes_once_in_spite_of_lying_pages() {
    let all = people(35);
    let slices = move |number: usize| all.iter().skip(number * SIZE).take(SIZE).cloned().collect::<Vec<_>>();
    let slices = Arc::new(slices);
    let make = |change: Change| -> Script {
        let slices = slices.clone();
        Box::new(move |number| {
            let (contacts, next) = change(number, slices(number), &*slices);
            page(&contacts, next.map(sid).as_deref())
        })
    };
    let scripts: Vec<(&str, Script)> = vec![
        ("plain", make(|number, contacts, _| (contacts, (number < 3).then_some(number + 1)))),
        ("id up to an empty page", make(|number, contacts, _| (contacts, Some(number + 1)))),
        (
            "one page twice",
            make(|number, contacts, slices| match number {
                0 => (contacts, Some(1)),
                more => (slices(more - 1), (more < 4).then_some(more + 1)),
            }),
        ),
        (
            "overlapping",
            make(|number, contacts, slices| {
                let mut both = if number > 0 { slices(number - 1) } else { Vec::new() };
                both.extend(contacts);
                (both, (number < 3).then_some(number + 1))
            }),
        ),
        (
            "each contact twice",
            make(|number, contacts, _| {
                (
                    contacts.iter().flat_map(|each| [each.clone(), each.clone()]).collect(),
                    (number < 3).then_some(number + 1),
                )
            }),
        ),
        (
            "a short page in the middle",
            make(|number, _, slices| {
                // Six pages of six.
                let all: Vec<Value> = (0..4).flat_map(slices).collect();
                (all.into_iter().skip(number * 6).take(6).collect(), (number < 5).then_some(number + 1))
            }),
        ),
        (
            "an empty page with an id",
            make(|number, _, slices| match number {
                1 => (Vec::new(), Some(2)),
                0 => (slices(0), Some(1)),
                more => (slices(more - 1), (more < 4).then_some(more + 1)),
            }),
        ),
    ];
    for (name, script) in scripts {
        let server = platform().await;
        pages(&server, script).await;
        let listed = drain(reader(&server).list_created_before(later()))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let ids: std::collections::BTreeSet<_> =
            listed.contacts.iter().map(|contact| contact.id.clone()).collect();
        assert_eq!((listed.contacts.len(), ids.len()), (35, 35), "{name}");
        assert!(calls(&server, "GET", LIST).await <= 8, "{name}");
    }
}

#[tokio::test]
async fn f_34_lists_that_do_not_end_or_do_not_go_on_fail_loudly_after_few_calls() {
    // The same page and id for ever.
    let server = platform().await;
    pages(&server, |_| page(&people(SIZE), Some("s0"))).await;
    let error = drain(reader(&server).list_created_before(later())).await.unwrap_err();
    assert!(error.to_string().contains("nothing new"), "{error}");
    assert!(calls(&server, "GET", LIST).await <= 4);

    // New contacts for ever.
    let server = platform().await;
    pages(&server, |number| {
        let fresh: Vec<Value> =
            (0..SIZE).map(|each| contact(u32::try_from(number * SIZE + each).unwrap())).collect();
        page(&fresh, Some(&sid(number + 1)))
    })
    .await;
    let error = drain(reader(&server).list_created_before(later())).await.unwrap_err();
    assert!(
        matches!(&error, PlatformError::TooLarge { limit, .. } if limit == "paging.max_pages"),
        "{error}"
    );
    assert_eq!(calls(&server, "GET", LIST).await, 60);

    // A full page, no id, and a filter by creation that is ignored.
    let server = platform().await;
    pages(&server, |_| page(&people(SIZE), None)).await;
    let error = drain(reader(&server).list_created_before(later())).await.unwrap_err();
    assert!(matches!(error, PlatformError::Unreadable { .. }), "{error}");
    assert!(calls(&server, "GET", LIST).await <= 3);

    // A full page without id and without dates.
    let server = platform().await;
    let undated: Vec<Value> = (0..SIZE).map(|number| json!({"cid": format!("c{number}")})).collect();
    pages(&server, move |_| page(&undated, None)).await;
    assert!(drain(reader(&server).list_created_before(later())).await.is_err());

    // More contacts of one second than a page holds.
    let server = platform().await;
    let same: Vec<Value> = (0..30)
        .map(|number| json!({"cid": format!("c{number}"), "created": "2020-01-01T00:00:00Z"}))
        .collect();
    pages(&server, move |_| page(&same[..SIZE], None)).await;
    assert!(drain(reader(&server).list_created_before(later())).await.is_err());
}

/// A list without ids that honours the lower bound of creation and gives at most `cap` contacts.
async fn keyed(server: &MockServer, cap: usize) {
    answer(server, "GET", LIST, move |request: &Request| {
        let from = query(request, "createdFrom").unwrap_or_default();
        let kept: Vec<Value> = people(95)
            .into_iter()
            .filter(|contact| contact["created"].as_str().unwrap() >= from.as_str())
            .take(cap)
            .collect();
        page(&kept, None)
    })
    .await;
}

#[tokio::test]
async fn f_34_without_ids_the_list_goes_on_by_creation_date_also_when_the_platform_caps_the_page() {
    for (size, cap) in [(10, 10), (50, 12), (500, 20)] {
        let server = platform().await;
        keyed(&server, cap).await;
        let client = client_with(&server.uri(), |settings| settings.paging.page_size = size);
        let listed = drain(client.list_created_before(later())).await.unwrap();
        assert_eq!(listed.contacts.len(), 95, "size {size}, cap {cap}");
    }
}

/// A list without ids of contacts created at these minutes, which shows their dates by `shown` and gives at most `cap`.
async fn keyed_at(server: &MockServer, minutes: Vec<i64>, cap: usize, hours_ahead: i64) {
    let instant = |minutes: i64| DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(26_000_000 + minutes);
    answer(server, "GET", LIST, move |request: &Request| {
        let from = query(request, "createdFrom")
            .map_or(DateTime::UNIX_EPOCH, |text| text.parse::<DateTime<Utc>>().unwrap());
        let kept: Vec<Value> = minutes
            .iter()
            .enumerate()
            .map(|(number, minutes)| (number, instant(*minutes)))
            .filter(|(_, created)| *created >= from)
            .take(cap)
            .map(|(number, created)| {
                let shown = created + chrono::TimeDelta::hours(hours_ahead);
                json!({"cid": format!("c{number}"), "created": shown.format("%Y-%m-%dT%H:%M:%SZ").to_string()})
            })
            .collect();
        page(&kept, None)
    })
    .await;
}

#[tokio::test]
async fn f_34_a_list_that_goes_on_by_creation_date_is_whole_or_an_error_and_never_cut_in_silence() {
    let spread = |count: i64, apart: i64| (0..count).map(|number| number * apart).collect::<Vec<_>>();
    // More contacts of one second than the platform's own page holds, in the middle of 95.
    let same = (0..95).map(|number| if (20..60).contains(&number) { 20 } else { number }).collect();
    for (name, minutes, cap, hours, whole) in [
        ("a second longer than the cap", same, 12, 0, None),
        ("local dates ahead, capped", spread(95, 30), 12, 2, None),
        ("local dates ahead, full pages", spread(95, 30), 50, 2, None),
        ("local dates ahead, one page", spread(35, 300), 35, 2, Some(35)),
        ("local dates behind", spread(95, 600), 12, -7, Some(95)),
    ] {
        let server = platform().await;
        keyed_at(&server, minutes, cap, hours).await;
        let client = client_with(&server.uri(), |settings| settings.paging.page_size = 50);
        let listed = drain(client.list_created_before(later())).await;
        match (listed, whole) {
            (Ok(listed), Some(number)) => assert_eq!(listed.contacts.len(), number, "{name}"),
            (Err(PlatformError::Unreadable { detail, .. }), None) => {
                assert!(detail.starts_with("paging"), "{name}: {detail}");
            }
            (listed, _) => panic!("{name}: {listed:?}"),
        }
    }
}

#[tokio::test]
async fn f_35_an_expired_id_begins_the_list_anew_three_times_at_most() {
    for (status, expiries, works) in [(404, 1, true), (409, 3, true), (410, 3, true), (409, 4, false)] {
        for at_page in [1, 2, 50] {
            let server = platform().await;
            let expired = AtomicUsize::new(0);
            pages(&server, move |number| {
                if number == at_page && expired.fetch_add(1, Ordering::SeqCst) < expiries {
                    return ResponseTemplate::new(status);
                }
                let contacts: Vec<Value> =
                    (0..SIZE).map(|each| contact(u32::try_from(number * SIZE + each).unwrap())).collect();
                page(&contacts, (number < at_page).then(|| sid(number + 1)).as_deref())
            })
            .await;
            let client = client_with(&server.uri(), |settings| settings.paging.page_size = 10);
            let listed = drain(client.list_created_before(later())).await;
            if works {
                assert_eq!(listed.unwrap().contacts.len(), (at_page + 1) * SIZE, "{status} {at_page}");
            } else {
                assert!(matches!(listed, Err(PlatformError::Rejected { .. })), "{status} {at_page}");
            }
        }
    }
    // Without an id it is a refusal.
    let server = platform().await;
    answer(&server, "GET", LIST, ResponseTemplate::new(409)).await;
    assert!(matches!(reader(&server).count_contacts().await, Err(PlatformError::Rejected { .. })));
    assert_eq!(calls(&server, "GET", LIST).await, 1);
}

#[tokio::test]
async fn only_contacts_that_were_surely_created_before_are_listed() {
    let server = platform().await;
    let contacts = vec![
        json!({"cid": "old", "created": "2019-12-31T23:59:59Z"}),
        json!({"cid": "exact", "created": "2020-01-01T00:00:00Z"}),
        json!({"cid": "new", "created": "2024-01-01T00:00:00Z"}),
        json!({"cid": "local", "created": "2019-12-31 20:00:00"}),
        json!({"cid": "long-ago", "created": "2019-12-30"}),
        json!({"cid": "nonsense", "created": "yesterday"}),
        json!({"cid": "none"}),
        json!({"cid": "null", "created": null}),
    ];
    pages_any(&server, contacts).await;
    let listed =
        drain(reader(&server).list_created_before("2020-01-01T00:00:00Z".parse().unwrap())).await.unwrap();
    let ids: Vec<_> = listed.contacts.iter().map(|contact| contact.id.as_str()).collect();
    assert_eq!(ids, ["old", "long-ago"]);
    assert_eq!((listed.strangers, listed.undated, listed.unreadable), (3, 3, 0));
    let requests = server.received_requests().await.unwrap();
    assert!(
        requests.iter().any(|request| query(request, "createdTo").as_deref() == Some("2020-01-01T00:00:00Z"))
    );
}

async fn pages_any(server: &MockServer, contacts: Vec<Value>) {
    answer(server, "GET", LIST, move |_: &Request| page(&contacts, None)).await;
}

#[tokio::test]
async fn records_go_on_with_the_id_under_the_name_under_which_it_came() {
    for name in ["sid", "scrollId"] {
        let server = platform().await;
        answer(&server, "GET", "/v2/customers/a/events", move |request: &Request| {
            let number: usize = query(request, name).map_or(0, |sid| sid.parse().unwrap());
            let events: Vec<Value> = (0..3).map(|each| json!({"n": number * 3 + each})).collect();
            let mut body = json!({ "events": events });
            if number < 4 {
                body[name] = (number + 1).to_string().into();
            }
            ResponseTemplate::new(200).set_body_json(body)
        })
        .await;
        let read = drain_records(&reader(&server), &id("a"), Source::Events).await.unwrap().unwrap();
        let numbers: Vec<i64> = read
            .records
            .iter()
            .map(|record| serde_json::from_str::<Value>(record.expose()).unwrap()["n"].as_i64().unwrap())
            .collect();
        assert_eq!(numbers, (0..15).collect::<Vec<_>>(), "{name}");
    }
    let server = platform().await;
    let same = json!({"events": [{"n": 1}], "sid": "again"});
    answer(&server, "GET", "/v2/customers/a/events", ResponseTemplate::new(200).set_body_json(same)).await;
    let error = drain_records(&reader(&server), &id("a"), Source::Events).await.unwrap_err();
    assert!(error.to_string().contains("same page"), "{error}");
}

#[tokio::test]
async fn records_of_an_absent_contact_are_none_and_a_wrong_path_is_an_error() {
    let server = platform().await;
    answer(&server, "GET", LIST, page(&[], None)).await;
    assert!(drain_records(&reader(&server), &id("a"), Source::Devices).await.unwrap().is_none());
    let server = platform().await;
    answer(&server, "GET", "/v2/customers/a", ResponseTemplate::new(200).set_body_json(json!({"cid": "a"})))
        .await;
    let error = drain_records(&reader(&server), &id("a"), Source::Devices).await.unwrap_err();
    assert!(matches!(error, PlatformError::Rejected { .. }), "{error}");
}
