//! One suite over the port, for any platform whose people are known. It runs on the client against scripted pages and
//! against the simulator, whose wire types were written by someone else: a wrong reading of the API has to be made
//! twice to go unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use dsrd::domain::{ContactId, IdentifierKind, SubjectIdentifier};
use dsrd::platform::{
    ContactPlatform as _, Coverage, Created, EffectAnswer, FilterTrust, Leave, OrganisationMatch, Source,
    Urgency,
};
use dsrd_simulator::{ContactSpec, RecordCounts, Simulator};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, Request, ResponseTemplate};

use crate::support::{
    Client, ORG, client_with, contact, drain, drain_records, id, page, platform, query, secret_file,
};

/// A platform, and what is true there.
struct World {
    client: Client,
    contacts: u64,
    /// A contact with an e-mail address of its own, a telephone number of its own, and an external id.
    known: ContactId,
    email: String,
    phone: String,
    external_id: String,
    records: BTreeMap<Source, u64>,
    /// A policy that the known contact has accepted.
    policy: &'static str,
    /// A limit, and who was created before it.
    limit: DateTime<Utc>,
    old: BTreeSet<ContactId>,
}

async fn conforms(world: &World) {
    let client = &world.client;
    let known = &world.known;
    let absent = id("00000000000000000000000000000000");

    assert_eq!(client.check_organisation().await.unwrap(), OrganisationMatch::Same);
    let report = client.probe().await.unwrap();
    for (kind, trust) in &report.searches {
        assert_eq!(*trust, FilterTrust::Honoured, "{kind}");
    }
    assert_eq!(report.created, FilterTrust::Honoured);
    assert_eq!(client.count_contacts().await.unwrap(), world.contacts);

    let search = async |kind, text: &str| {
        let identifier = SubjectIdentifier::parse(kind, text, Some("IT")).unwrap();
        let found = client.search(&identifier).await.unwrap();
        assert_eq!((found.coverage, found.unreadable), (Coverage::Complete, 0), "{kind}");
        found.contacts.into_iter().map(|contact| contact.id).collect::<Vec<_>>()
    };
    let only_known = vec![known.clone()];
    assert_eq!(search(IdentifierKind::Email, &world.email).await, only_known);
    assert_eq!(search(IdentifierKind::Email, &format!(" {} ", world.email.to_uppercase())).await, only_known);
    assert_eq!(search(IdentifierKind::Phone, &world.phone).await, only_known);
    assert_eq!(search(IdentifierKind::ExternalId, &world.external_id).await, only_known);
    assert!(search(IdentifierKind::Email, "nobody-at-all@people.example").await.is_empty());
    assert!(search(IdentifierKind::Username, "nobody-at-all").await.is_empty());

    let found = client.find_contact(known, Urgency::Request).await.unwrap().unwrap();
    assert_eq!(&found.id, known);
    assert!(!found.marked_deleted);
    assert_eq!(found.email.as_ref().unwrap().expose().to_lowercase(), world.email.to_lowercase());
    assert_eq!(found.policies.get(world.policy), Some(&true));
    assert!(matches!(found.created, Created::At(_)));
    assert!(found.identifiers.iter().any(|held| held.matches(&world.phone, Some("IT"))));
    assert_eq!(serde_json::from_str::<Value>(found.raw.expose()).unwrap()["cid"], known.as_str());
    assert!(client.find_contact(&absent, Urgency::Sweep).await.unwrap().is_none());

    for source in Source::ALL {
        let read = drain_records(client, known, source).await.unwrap().unwrap();
        assert_eq!((read.records.len() as u64, read.unreadable), (world.records[&source], 0), "{source}");
        assert!(
            read.records
                .iter()
                .all(|record| serde_json::from_str::<Value>(record.expose()).unwrap().is_object())
        );
        assert!(drain_records(client, &absent, source).await.unwrap().is_none(), "{source}");
    }

    let listed = drain(client.list_created_before(world.limit)).await.unwrap();
    let ids: BTreeSet<ContactId> = listed.contacts.iter().map(|contact| contact.id.clone()).collect();
    assert_eq!(ids.len(), listed.contacts.len());
    assert_eq!(ids, world.old);
    assert!(
        listed.contacts.iter().all(|contact| matches!(contact.created, Created::At(at) if at < world.limit))
    );

    assert_eq!(
        client.set_policy(known, world.policy, false, Leave::ALWAYS).await.unwrap(),
        EffectAnswer::Accepted
    );
    let after = client.find_contact(known, Urgency::Request).await.unwrap().unwrap();
    assert_eq!(after.policies.get(world.policy), Some(&false));
    assert_eq!(
        client.set_policy(&absent, world.policy, false, Leave::ALWAYS).await.unwrap(),
        EffectAnswer::Absent
    );

    assert_eq!(client.delete_contact(known, Leave::ALWAYS).await.unwrap(), EffectAnswer::Accepted);
    assert_eq!(client.delete_contact(known, Leave::ALWAYS).await.unwrap(), EffectAnswer::Absent);
    assert!(client.find_contact(known, Urgency::Request).await.unwrap().is_none());
    assert!(search(IdentifierKind::Email, &world.email).await.is_empty());
    assert!(drain_records(client, known, Source::Events).await.unwrap().is_none());
    assert_eq!(client.count_contacts().await.unwrap(), world.contacts - 1);
    client.log_out().await.unwrap();
    assert_eq!(client.count_contacts().await.unwrap(), world.contacts - 1);
}

/// A small platform out of one closure: lists by page, filters exactly, changes and deletes.
fn scripted(people: Vec<Value>) -> impl Fn(&Request) -> ResponseTemplate {
    let people = Mutex::new(people);
    move |request: &Request| {
        let mut people = people.lock().unwrap();
        let segments: Vec<&str> = request.url.path_segments().unwrap().collect();
        let place = |people: &[Value], cid: &str| people.iter().position(|person| person["cid"] == cid);
        let gone =
            ResponseTemplate::new(404).set_body_json(json!({"status": "KO", "message": "no such contact"}));
        let ok = ResponseTemplate::new(200).set_body_json(json!({"status": "OK"}));
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["v1", "sts", "services", "service-1"]) => ResponseTemplate::new(200)
                .set_body_json(json!({"domains": {"service": {"organizations": [ORG]}}})),
            ("POST", ["v1", "sts", "logout"]) => ResponseTemplate::new(200),
            ("GET", ["v2", "customers", "organizations", ORG]) => {
                let at_least = |person: &Value, from: &str| person["created"].as_str().unwrap() >= from;
                let kept: Vec<Value> = people
                    .iter()
                    .filter(|person| {
                        [
                            ("email", "/email"),
                            ("phoneNumber", "/phone"),
                            ("extId", "/extId/id"),
                            ("username", "/username"),
                            ("extProp1", "/extId/prop1"),
                            ("extProp2", "/extId/prop2"),
                        ]
                        .iter()
                        .all(|(name, at)| {
                            query(request, name).is_none_or(|asked| {
                                person.pointer(at).and_then(Value::as_str) == Some(&asked)
                            })
                        })
                    })
                    .filter(|person| query(request, "createdFrom").is_none_or(|from| at_least(person, &from)))
                    .filter(|person| {
                        query(request, "createdTo")
                            .is_none_or(|to| !at_least(person, &to) || person["created"] == to)
                    })
                    .cloned()
                    .collect();
                let size: usize = query(request, "size").unwrap().parse().unwrap();
                let start: usize = query(request, "sid").map_or(0, |sid| sid.parse().unwrap());
                let end = (start + size).min(kept.len());
                let next = (end < kept.len()).then(|| end.to_string());
                page(&kept[start..end], next.as_deref())
            }
            ("GET", ["v2", "customers", cid]) => match place(&people, cid) {
                Some(at) => ResponseTemplate::new(200).set_body_json(json!({ "customer": people[at] })),
                None => gone,
            },
            ("GET", ["v2", "customers", cid, source]) => match place(&people, cid) {
                Some(_) => ResponseTemplate::new(200).set_body_json(
                    json!({ *source: (0..source.len()).map(|n| json!({"n": n})).collect::<Vec<_>>() }),
                ),
                None => gone,
            },
            ("PUT", ["v1", "customers", cid, "policies"]) => match place(&people, cid) {
                Some(at) => {
                    let body: Value = serde_json::from_slice(&request.body).unwrap();
                    people[at]["policies"] =
                        json!([{"name": body["policyKey"], "accepted": body["accepted"]}]);
                    ok
                }
                None => gone,
            },
            ("DELETE", ["v1", "customers", cid]) => match place(&people, cid) {
                Some(at) => {
                    people.remove(at);
                    ok
                }
                None => gone,
            },
            _ => gone,
        }
    }
}

#[tokio::test]
async fn the_client_conforms_against_scripted_pages() {
    let mut people: Vec<Value> = (0..47).map(contact).collect();
    people[7]["extId"] = json!({"id": "external-7"});
    let server = platform().await;
    Mock::given(any()).respond_with(scripted(people)).with_priority(20).mount(&server).await;
    let limit = contact(20)["created"].as_str().unwrap().parse().unwrap();
    conforms(&World {
        client: client_with(&server.uri(), |settings| settings.paging.page_size = 10),
        contacts: 47,
        known: id("contact-00007"),
        email: "person7@people.example".to_owned(),
        phone: "06 12000007".to_owned(),
        external_id: "external-7".to_owned(),
        records: Source::ALL.map(|source| (source, source.as_str().len() as u64)).into(),
        policy: "mktgCommunications",
        limit,
        old: (0..20).map(|number| id(&format!("contact-{number:05}"))).collect(),
    })
    .await;
}

/// A client for the simulator's organisation `main`.
pub(crate) fn simulated(
    simulator: &Simulator,
    change: impl FnOnce(&mut dsrd::platform::cloud4wi::Settings),
) -> Client {
    let organisation = simulator.organisation("main");
    client_with(&simulator.base_url(), |settings| {
        let directory = settings.client_key_file.parent().unwrap().to_owned();
        settings.client_key_file = secret_file(&directory, "key", organisation.client_key(), 0o600);
        settings.client_secret_file = secret_file(&directory, "secret", organisation.client_secret(), 0o600);
        settings.organisation_id = organisation.org_id().parse().unwrap();
        change(settings);
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_conforms_against_the_simulator() {
    let simulator = Simulator::start(dsrd_simulator::Settings::with_contacts(230)).await.unwrap();
    let organisation = simulator.organisation("main");
    let known = organisation.add_contact(
        ContactSpec::new()
            .email("canary.person@people.example")
            .phone("+390612999777")
            .ext_id("external-canary")
            .policy("mktgCommunications", true)
            .events(2345)
            .devices(12)
            .accountings(678),
    );
    let limit: DateTime<Utc> = "2024-06-01T00:00:00Z".parse().unwrap();
    let old: BTreeSet<ContactId> = organisation
        .contact_ids()
        .into_iter()
        .filter(|cid| organisation.truth(cid).unwrap().created_ms < limit.timestamp_millis())
        .map(|cid| id(&cid))
        .collect();
    assert!(!old.is_empty() && (old.len() as u64) < 231);
    let RecordCounts { events, devices, accountings, .. } = organisation.truth(&known).unwrap().records;
    conforms(&World {
        client: simulated(&simulator, |settings| settings.paging.page_size = 25),
        contacts: organisation.contact_number() as u64,
        known: id(&known),
        email: "canary.person@people.example".to_owned(),
        phone: "06 12999777".to_owned(),
        external_id: "external-canary".to_owned(),
        records: BTreeMap::from([
            (Source::Events, events.into()),
            (Source::Devices, devices.into()),
            (Source::Accountings, accountings.into()),
        ]),
        policy: "mktgCommunications",
        limit,
        old,
    })
    .await;
    assert_eq!(organisation.journal().deleted_contacts(), [known]);
    let client = Arc::new(simulated(&simulator, |_| {}));
    assert!(client.count_contacts().await.is_ok());
    simulator.shutdown().await;
}
