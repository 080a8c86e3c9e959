//! S-26, S-22: whatever text stands in an identifier, an id, a name or an answer of the platform, it arrives as that one
//! parameter and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use dsrd::domain::{ContactId, IdentifierKind, SubjectIdentifier};
use dsrd::platform::cloud4wi::PolicyBody;
use dsrd::platform::{ContactPlatform as _, Leave, Source, Urgency};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{
    Client, LIST, LOGIN, Raw, Script, client, client_with, contact, drain, drain_records, id,
};

/// What the client may ever say in a head, beside what belongs to a body.
const HEADERS: [&str; 6] =
    ["accept", "accept-encoding", "authorization", "cache-control", "host", "user-agent"];

/// The parameters by which people are looked for.
const FILTERS: [&str; 6] = ["email", "phoneNumber", "username", "extId", "extProp1", "extProp2"];

/// The other parameters of lists.
const PAGING: [&str; 6] = ["createdFrom", "createdTo", "sid", "size", "sortBy", "sortReverse"];

/// A request as it stood on the wire, taken apart.
#[derive(Debug)]
struct Seen {
    verb: String,
    path: String,
    query: BTreeMap<String, String>,
    body: String,
}

impl Seen {
    /// Takes a request apart; fails where there is anything in it that does not belong there.
    fn of(text: &str) -> Result<Self, TestCaseError> {
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let mut lines = head.split("\r\n");
        let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        prop_assert_eq!(first.len(), 3, "{}", head);
        let mut names: Vec<String> = Vec::new();
        for line in lines {
            let (name, _) = line.split_once(':').unwrap_or((line, ""));
            if !body.is_empty() && ["content-type", "content-length"].contains(&name) {
                continue;
            }
            names.push(name.to_ascii_lowercase());
        }
        names.sort();
        prop_assert_eq!(&names, &HEADERS, "{}", head);
        let url = reqwest::Url::parse(&format!("http://platform.example{}", first[1])).expect("a URL");
        prop_assert_eq!(url.fragment(), None);
        let mut query = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            prop_assert!(FILTERS.iter().chain(&PAGING).any(|known| *known == name), "{name:?} in {head}");
            let before = query.insert(name.clone().into_owned(), value.into_owned());
            prop_assert_eq!(before, None, "{:?} twice in {}", name, head);
        }
        Ok(Self { verb: first[0].to_owned(), path: url.path().to_owned(), query, body: body.to_owned() })
    }
}

/// A platform that keeps each request as it came. Lists are empty where they are filtered, else of one contact.
struct Platform {
    raw: Raw,
    heads: Arc<Mutex<Vec<String>>>,
    /// What it answers in place of that, first to last.
    answers: Arc<Mutex<VecDeque<String>>>,
}

impl Platform {
    async fn start() -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::<String>::new()));
        let (seen, said) = (Arc::clone(&heads), Arc::clone(&answers));
        let raw = Raw::start(move |_, head| {
            seen.lock().unwrap().push(head.to_owned());
            let planned = said.lock().unwrap().pop_front();
            let body = planned.unwrap_or_else(|| json!({ "customers": asked_for(head) }).to_string());
            // Said beforehand, so that nothing is sent into a connection that is about to close.
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
            Script::Close(format!("{head}: {}\r\n\r\n{body}", body.len()).into_bytes())
        })
        .await;
        Self { raw, heads, answers }
    }

    /// The requests since the last look.
    fn taken(&self) -> Result<Vec<Seen>, TestCaseError> {
        std::mem::take(&mut *self.heads.lock().unwrap()).iter().map(|head| Seen::of(head)).collect()
    }

    fn answers(&self, bodies: impl IntoIterator<Item = Value>) {
        *self.answers.lock().unwrap() = bodies.into_iter().map(|body| body.to_string()).collect();
    }
}

/// Whom a list holds for its filters: the one person there is, or nobody.
fn asked_for(head: &str) -> Vec<Value> {
    let target = head.split(' ').nth(1).unwrap_or_default();
    let url = reqwest::Url::parse(&format!("http://platform.example{target}")).expect("a URL");
    let somebody = everything();
    let fields = ["email", "phone", "username", "extId", "extProp1", "extProp2"];
    let is_meant = url.query_pairs().all(|(name, value)| {
        let filter = FILTERS.iter().position(|filter| *filter == name);
        filter.is_none_or(|at| somebody[fields[at]].as_str() == Some(&*value))
    });
    if is_meant { vec![somebody] } else { Vec::new() }
}

/// Somebody who can be found by everything, so that each filter can be probed.
fn everything() -> Value {
    let mut somebody = contact(1);
    for field in ["username", "extId", "extProp1", "extProp2"] {
        somebody[field] = format!("{field}-1").into();
    }
    somebody
}

/// Texts that would be more than one parameter, segment or header where somebody put them together by hand.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "&email=other@people.example",
        "?size=1",
        "#",
        "/../",
        "..",
        ".",
        "%2e%2e",
        "%00",
        "%0d%0a",
        "\r\nX-Evil: 1\r\n",
        "\n",
        "\t",
        " ",
        "+",
        ";",
        "=",
        "&",
        "\\",
        "\"}",
        "\",\"accepted\":true,\"",
        "'--",
        "@",
        "é",
        "\u{202e}",
        "\u{0}",
        "a",
        "0",
        "*",
        "_",
        "%",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(pieces, 1..6).prop_map(|pieces| pieces.concat()),
        "[ -~]{1,40}",
    ]
}

/// Lets the property be tried with many texts, one after the other, within one runtime.
fn for_every_text(property: &impl AsyncFn(&str) -> Result<(), TestCaseError>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) };
    TestRunner::new(config).run(&hostile(), |text| runtime.block_on(property(&text))).unwrap();
}

fn within<T>(work: impl Future<Output = T>) -> (T, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    (runtime.block_on(work), runtime)
}

#[test]
fn s_26_an_identifier_arrives_as_the_one_parameter_with_exactly_its_text() {
    let (platform, serving) = within(Platform::start());
    let client = client(&platform.raw.url);
    serving.block_on(client.probe()).unwrap();
    let probed: BTreeSet<String> =
        platform.taken().unwrap().into_iter().flat_map(|seen| seen.query.into_values()).collect();
    let asked = Mutex::new(BTreeMap::<IdentifierKind, u32>::new());
    for_every_text(&async |text| {
        for (kind, parameter) in [
            (IdentifierKind::Email, "email"),
            (IdentifierKind::Phone, "phoneNumber"),
            (IdentifierKind::Username, "username"),
            (IdentifierKind::ExternalId, "extId"),
            (IdentifierKind::ExternalProperty1, "extProp1"),
            (IdentifierKind::ExternalProperty2, "extProp2"),
        ] {
            // Few texts are addresses or numbers: those that can be are made so.
            let text = match kind {
                IdentifierKind::Email => format!("{text}@people.example"),
                IdentifierKind::Phone => format!("+39 06 12999777{text}"),
                _ => text.to_owned(),
            };
            let Ok(identifier) = SubjectIdentifier::parse(kind, &text, Some("IT")) else { continue };
            let found = client.search(&identifier).await;
            prop_assert!(found.is_ok_and(|found| found.contacts.is_empty()), "{kind}");
            let mut sent = Vec::new();
            for seen in platform.taken()? {
                prop_assert_eq!(
                    (seen.verb.as_str(), seen.path.as_str(), seen.body.as_str()),
                    ("GET", LIST, "")
                );
                let filters: Vec<&String> =
                    seen.query.keys().filter(|name| FILTERS.contains(&name.as_str())).collect();
                prop_assert!(filters.is_empty() || filters == [parameter], "{:?}", seen);
                sent.extend(seen.query.get(parameter).cloned());
            }
            // The probe asks for somebody who is there and for what nobody has.
            sent.retain(|value| !probed.contains(value));
            let given = identifier.given().expose();
            prop_assert!(sent.contains(given), "{kind}: {sent:?} for {given:?}");
            if !matches!(kind, IdentifierKind::Email | IdentifierKind::Phone) {
                prop_assert!(sent.iter().all(|value| value == given), "{kind}: {sent:?} for {given:?}");
            }
            *asked.lock().unwrap().entry(kind).or_default() += 1;
        }
        Ok(())
    });
    let asked = asked.into_inner().unwrap();
    assert!(
        IdentifierKind::ALL.iter().all(|kind| asked.get(kind).is_some_and(|times| *times >= 5)),
        "{asked:?}"
    );
}

/// What is asked about one contact, of each kind once.
async fn ask_about(client: &Client, contact: &ContactId) {
    // Whether the answers please is not asked here.
    drop(client.find_contact(contact, Urgency::Request).await);
    drop(client.set_policy(contact, "mktgCommunications", false, Leave::ALWAYS).await);
    for source in [Source::Events, Source::Devices, Source::Accountings] {
        drop(drain_records(client, contact, source).await);
    }
    drop(client.delete_contact(contact, Leave::ALWAYS).await);
}

#[test]
fn s_22_s_26_a_contact_id_is_one_segment_of_the_path_or_no_id() {
    let (platform, _serving) = within(Platform::start());
    let client = client(&platform.raw.url);
    let ids = Mutex::new(0);
    for_every_text(&async |text| {
        // So that there are ids among them.
        let plain: String =
            text.chars().filter(|each| each.is_ascii_alphanumeric() || ".:@_-".contains(*each)).collect();
        for text in [text, &plain] {
            let Ok(contact) = text.parse::<ContactId>() else { continue };
            ask_about(&client, &contact).await;
            let (old, new) = (format!("/v1/customers/{text}"), format!("/v2/customers/{text}"));
            let seen = platform.taken()?;
            prop_assert!(seen.len() >= 6, "{seen:?}");
            for seen in seen {
                let segment = [&old, &new]
                    .into_iter()
                    .find(|whole| seen.path == **whole || seen.path.starts_with(&format!("{whole}/")));
                let rest = segment.map(|whole| &seen.path[whole.len()..]);
                let known = ["", "/policies", "/events", "/devices", "/accountings"];
                // Whether a path answers at all is asked of the list.
                let is_list = seen.path == LIST;
                prop_assert!(is_list || rest.is_some_and(|rest| known.contains(&rest)), "{text:?}: {seen:?}");
                // What deletes names the contact and nothing more.
                prop_assert!(
                    seen.verb != "DELETE" || (seen.path == old && seen.query.is_empty()),
                    "{seen:?}"
                );
            }
            *ids.lock().unwrap() += 1;
        }
        Ok(())
    });
    assert!(ids.into_inner().unwrap() > 50);
}

#[test]
fn s_26_the_name_of_a_policy_is_one_text_of_the_body() {
    let (platform, _serving) = within(Platform::start());
    let clients = [PolicyBody::Single, PolicyBody::List, PolicyBody::Map].map(|body| {
        let client = client_with(&platform.raw.url, |settings| settings.policies.body = body);
        (body, client)
    });
    for_every_text(&async |name| {
        for (body, client) in &clients {
            platform.answers([json!({ "status": "OK" })]);
            let set = client.set_policy(&id("a"), name, false, Leave::ALWAYS).await;
            prop_assert!(set.is_ok(), "{set:?}");
            let [seen] = platform.taken()?.try_into().expect("one call");
            let one = json!({ "policyKey": name, "accepted": false });
            let expected = match body {
                PolicyBody::Single => one,
                PolicyBody::List => json!({ "policies": [one] }),
                PolicyBody::Map => json!({ "policies": { name: false } }),
            };
            let body: Value = serde_json::from_str(&seen.body).expect("JSON");
            prop_assert_eq!(body, expected);
            prop_assert_eq!((seen.path.as_str(), seen.query.len()), ("/v1/customers/a/policies", 0));
        }
        Ok(())
    });
}

#[test]
fn s_26_what_the_platform_gives_to_go_on_with_comes_back_as_the_one_parameter() {
    let (platform, _serving) = within(Platform::start());
    let client = client(&platform.raw.url);
    for_every_text(&async |sid| {
        if sid.trim().is_empty() {
            return Ok(());
        }
        platform.answers([json!({ "customers": [contact(1)], "sid": sid }), json!({ "customers": [] })]);
        drop(drain(client.list_created_before("2030-01-01T00:00:00Z".parse().expect("an instant"))).await);
        let seen = platform.taken()?;
        prop_assert!(seen.iter().all(|seen| seen.path == LIST && seen.verb == "GET"), "{seen:?}");
        let given = seen.iter().filter_map(|seen| seen.query.get("sid")).collect::<Vec<_>>();
        prop_assert!(!given.is_empty() && given.iter().all(|given| **given == sid), "{sid:?}: {seen:?}");
        Ok(())
    });
}

/// A token as the platform makes them, for a service with this name.
fn token_of(issuer: &str) -> String {
    let encode = |json: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.signature", encode(json!({"alg": "none"})), encode(json!({ "iss": issuer })))
}

#[test]
fn s_26_a_token_is_one_header_and_the_service_in_it_one_segment() {
    for_every_text(&async |text| {
        for token in [text.to_owned(), token_of(text)] {
            let server = MockServer::start().await;
            let login = ResponseTemplate::new(200).set_body_json(json!({ "token": token }));
            Mock::given(method("POST")).and(path(LOGIN)).respond_with(login).mount(&server).await;
            let asked = client(&server.uri()).check_organisation().await;
            let requests = server.received_requests().await.expect("they are recorded");
            let calls: Vec<&Request> = requests.iter().filter(|call| call.url.path() != LOGIN).collect();
            if calls.is_empty() {
                // Refused before anything was sent.
                prop_assert!(asked.is_err() || !token.contains('.'), "{asked:?}");
                continue;
            }
            for call in calls {
                let mut names: Vec<&str> =
                    call.headers.keys().map(reqwest::header::HeaderName::as_str).collect();
                names.sort_unstable();
                prop_assert_eq!(&names, &HEADERS, "{:?}", text);
                prop_assert_eq!(call.headers.get_all("authorization").iter().count(), 1);
                let segments: Vec<&str> = call.url.path_segments().expect("segments").collect();
                let is_list = call.url.path() == LIST;
                let is_service = segments.len() == 4 && segments[..3] == ["v1", "sts", "services"];
                prop_assert!(is_list || is_service, "{text:?}: {}", call.url);
                if is_service {
                    let encoded = segments[3].replace('+', "%2B");
                    let url = reqwest::Url::parse(&format!("http://x.example/?k={encoded}")).expect("a URL");
                    let decoded = url.query_pairs().next().map(|(_, value)| value.into_owned());
                    prop_assert_eq!(decoded.as_deref(), Some(text), "{}", call.url);
                }
            }
        }
        Ok(())
    });
}
