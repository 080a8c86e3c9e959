//! S-41, S-42: no type shows what it holds of a person. Which types there are, the source says: who adds one has to print it here.

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use chrono::NaiveDate;
use dsrd::audit::Actor;
use dsrd::delivery::{self, NewNotice, NewPackage, NoticeKind, PackageId, RecipientLetter, Sender};
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{
    Clock as _, Declaration, MasterKey, OneTimeCode, Personal, RequestId, RequestKind, SubjectIdentifier,
};
use dsrd::intake::Corrections;
use dsrd::platform::{Source, Urgency};
use dsrd::report::Own;
use dsrd::triage::Facts;
use dsrd_simulator::ContactSpec;
use futures_util::TryStreamExt as _;
use regex::Regex;
use sqlx::{Connection as _, PgConnection};

use crate::parked;
use crate::support::oracle::CANARY;
use crate::support::service::TestService;
use crate::support::settings::mail_settings;

/// Fields that sound like a person, hold plain text and can be printed, and what they hold in truth.
const NO_PERSON: [(&str, &str); 18] = [
    (
        "audit/manifest/mod.rs Opening.contact",
        "the platform's id, in a file that shows whose erasure a sweep handed in",
    ),
    ("audit/verify/receipts.rs ProvenItem.contact", "the same id, for who holds that file"),
    ("cli/decide/mod.rs Command.contact", "a code that stands for a contact while a decision is open"),
    ("cli/demo/people.rs Person.email", "somebody invented"),
    ("cli/demo/people.rs Person.phone", "somebody invented"),
    ("config/settings.rs Organisation.contact", "the data protection officer's public address"),
    ("delivery/handover.rs Landing.contact", "the data protection officer's public address"),
    ("delivery/settings.rs Settings.from_address", "the controller's address"),
    ("delivery/settings.rs Settings.reply_to_address", "the controller's address"),
    ("delivery/settings.rs SmtpSettings.username", "the daemon's account at its mail server"),
    ("domain/controller.rs Controller.contact", "the data protection officer's public address"),
    ("identity/link.rs ProofLanding.contact", "the data protection officer's public address"),
    ("platform/cloud4wi/settings.rs Dialect.email", "the name of a parameter"),
    ("platform/cloud4wi/settings.rs Dialect.phone", "the name of a parameter"),
    ("platform/cloud4wi/settings.rs Dialect.username", "the name of a parameter"),
    ("report/header.rs ReportHeader.controller_contact", "the data protection officer's public address"),
    ("report/package.rs ControllerWire.contact", "the data protection officer's public address"),
    ("suppression/ledger/mod.rs Entry.contact", "sealed"),
];

/// The settings of a contact that the controller invented.
const INVENTED: [&str; 3] = [
    "self_test/settings.rs Settings.email",
    "self_test/settings.rs Settings.phone",
    "self_test/settings.rs Settings.username",
];

/// A source file below `src`, without comments and without the tests in it.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let (code, _) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let place = path.strip_prefix(&root).unwrap().display().to_string();
            found.push((place, lines.collect::<Vec<_>>().join("\n")));
        }
    }
    found.retain(|(place, _)| !place.contains("tests"));
    found
}

fn every_source() -> Vec<(String, String)> {
    let found = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(found.len() > 300, "{} files", found.len());
    found
}

/// What stands between an opening mark and the one that closes it.
fn body(rest: &str) -> &str {
    let Some(start) = rest.find(['{', '(', ';']) else { return "" };
    let (opens, closes) = match rest.as_bytes()[start] {
        b'{' => ('{', '}'),
        b'(' => ('(', ')'),
        _ => return "",
    };
    let mut depth = 0;
    for (place, each) in rest[start..].char_indices() {
        depth += i32::from(each == opens) - i32::from(each == closes);
        if depth == 0 {
            return &rest[start..start + place];
        }
    }
    rest
}

/// A type as the source declares it.
struct Declared {
    place: String,
    name: String,
    is_public: bool,
    /// Whether `Debug` is derived, or it can be serialised.
    prints_itself: bool,
    body: String,
}

fn declared() -> Vec<Declared> {
    let head = Regex::new(r"(?m)^((?:[ \t]*#\[[^\n]*\]\n)*)[ \t]*(pub(?:\([^)]*\))? )?(?:struct|enum) (\w+)")
        .unwrap();
    let mut found = Vec::new();
    for (place, text) in every_source() {
        for each in head.captures_iter(&text) {
            let attributes = each.get(1).map_or("", |attributes| attributes.as_str());
            let end = each.get(0).map_or(0, |whole| whole.end());
            found.push(Declared {
                place: place.clone(),
                name: each[3].to_owned(),
                is_public: each.get(2).is_some_and(|visible| visible.as_str() == "pub "),
                prints_itself: attributes.contains("Debug") || attributes.contains("Serialize"),
                body: body(&text[end..]).to_owned(),
            });
        }
    }
    assert!(found.len() > 500, "{} types", found.len());
    found
}

#[test]
fn s_41_a_field_that_sounds_like_a_person_is_wrapped_or_known_to_hold_none() {
    let field = Regex::new(
        r"\b(\w*(?:email|phone|username|person|given|birth|first_name|last_name|mac_|address|contact)\w*): (?:Option<|Vec<|Box<|Cow<'\w+, |&(?:'\w+ )?)*(?:String|str|Vec<u8>|Value|RawValue)\b",
    )
    .unwrap();
    let mut found = BTreeSet::new();
    for declared in declared().into_iter().filter(|declared| declared.prints_itself) {
        for each in field.captures_iter(&declared.body) {
            found.insert(format!("{} {}.{}", declared.place, declared.name, &each[1]));
        }
    }
    let known: BTreeSet<String> =
        NO_PERSON.iter().map(|(field, _)| *field).chain(INVENTED).map(str::to_owned).collect();
    assert_eq!(found, known, "wrap it in `Personal`, or say what it holds");
}

#[test]
fn s_41_nothing_that_is_written_by_hand_to_print_a_type_opens_a_personal_value() {
    let written =
        Regex::new(r"(?m)^[ \t]*impl(?:<[^{]*>)? (?:\w+::)*(Debug|Display|Serialize) for [^{]*").unwrap();
    let (mut seen, mut opened) = (0, Vec::new());
    for (place, text) in every_source() {
        for each in written.find_iter(&text) {
            seen += 1;
            if body(&text[each.start()..]).contains("expose") {
                opened.push(format!("{place}: {}", each.as_str().trim()));
            }
        }
        // The same by attributes, and by what makes a text of anything.
        for opener in ["serialize_with", "fn to_string(&self)"] {
            if text.contains(opener) && text.contains("expose()") {
                opened.push(format!("{place}: {opener}"));
            }
        }
    }
    assert!(seen > 50, "{seen}");
    assert_eq!(opened, Vec::<String>::new());
}

/// What was printed.
#[derive(Default)]
struct Printed(BTreeSet<String>);

impl Printed {
    /// Prints a value that holds the canary in both ways, and finds nothing of it.
    #[track_caller]
    fn clean<T: Debug>(&mut self, value: &T) {
        let text = format!("{value:?} {value:#?}");
        let name = type_name::<T>();
        for secret in [CANARY, "1234567", "geheim"] {
            assert!(!text.to_lowercase().contains(secret), "{name} shows {secret}: {text}");
        }
        let plain = name.split('<').next().unwrap_or(name);
        self.0.insert(plain.rsplit("::").next().unwrap_or(plain).to_owned());
    }
}

#[tokio::test]
async fn s_41_every_public_type_that_holds_something_of_a_person_prints_none_of_it() {
    let service = TestService::start().await;
    let mut printed = Printed::default();
    let canary = || Personal::new("canarino geheim".to_owned());
    let (organisation, request) = (service.controller.id.clone(), RequestId(uuid::Uuid::now_v7()));
    let day = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    let now = service.clock.now();

    let email = SubjectIdentifier::parse(Email, "canarino@posta.example", None).unwrap();
    printed.clean(&email);
    printed.clean(&SubjectIdentifier::parse(Phone, "+39 333 1234567", None).unwrap());
    assert!(!serde_json::to_string(&email).unwrap().contains(CANARY));
    let identifiers = BTreeMap::from([(Email, Some(canary()))]);
    printed.clean(&Corrections { identifiers, ..Corrections::default() });
    printed.clean(&Declaration::new("canarino-7", day).unwrap());
    printed.clean(&Facts::read("What canarino wrote.").unwrap());
    let facts = delivery::Facts::of(RequestKind::Access, day, day);
    printed.clean(&NewNotice {
        organisation: organisation.clone(),
        request,
        kind: NoticeKind::AccessReady,
        sender: Sender::Pump,
        recipient_no: 1,
        language: "it".to_owned(),
        facts,
        words: Some(canary()),
        link_token: Some(canary()),
    });
    printed.clean(&NewPackage {
        organisation: organisation.clone(),
        request,
        package_id: PackageId(uuid::Uuid::nil()),
        file_name: "1-1-a.zip.age".to_owned(),
        identity: canary(),
        token: canary(),
        sha256: [0; 32],
        bytes: 1,
        manifest: serde_json::Value::Null,
        created_at: now,
        expires_at: now,
    });
    printed.clean(&OneTimeCode::read(&Personal::new("01234567".to_owned())).unwrap());
    printed.clean(&OneTimeCode::of_secret(&MasterKey::generate(), &canary()));
    let mut own = Own::new(Some("IT"));
    own.add(&email);
    own.add_text("+39 333 1234567");
    printed.clean(&own);
    let letter = || RecipientLetter {
        controller: &service.controller,
        language: "en",
        reference: "DSR-AAAA-BBBB",
        action: "erase",
        on: day,
        answer_by: day,
        objects: canary(),
        to: "privacy@crm.example",
        message_id: "<1@prova.example>".to_owned(),
        at: now,
    };
    printed.clean(&letter());
    let prepared = delivery::prepare_letter(&mail_settings(), letter()).unwrap();
    printed.clean(&prepared);
    printed.clean(&prepared.mail);

    // What comes from the platform, from producers and out of the service.
    let contact =
        ContactSpec::new().name("Canarino", "Prova").email("canarino@posta.example").phone("+39 333 1234567");
    let contact = service.platform.add_contact(contact.events(3)).parse().unwrap();
    let access = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await.request;
    service.work_to_the_end().await;
    let platform = &service.executor.sites[&organisation].platform;
    printed.clean(&platform.find_contact(&contact, Urgency::Request).await.unwrap().unwrap());
    let mut records = platform.records(&contact, Source::Events, Urgency::Request).await.unwrap().unwrap();
    printed.clean(&records.try_next().await.unwrap().unwrap().records.remove(0));
    drop(records);
    printed.clean(&service.mails.sent().pop().unwrap());
    let dpo = Actor::Person("dpo".to_owned());
    let directory = &service.executor.packages.report.directory;
    let keys = &service.desk.keys;
    let opened =
        delivery::open_for_staff(&service.store, keys, directory, &organisation, access, dpo, now).await;
    printed.clean(&opened.unwrap().unwrap());
    let mut producer = PgConnection::connect_with(&service.database.options()).await.unwrap();
    sqlx::query(
        "INSERT INTO dsrd.intake (organisation_id, idempotency_key, kind, received_at, channel, email)
         VALUES ('main', 'row', NULL, '2026-11-20T09:00:00Z', 'web', 'canarino@posta.example')",
    )
    .execute(&mut producer)
    .await
    .unwrap();
    crate::intake::take(&service).await;
    let row = parked::list(&service).await.remove(0);
    for column in parked::open(&service, row.intake).await.unwrap().columns {
        printed.clean(&column);
    }

    let holding: BTreeSet<String> = declared()
        .into_iter()
        .filter(|declared| declared.is_public && declared.name != "Personal")
        .filter(|declared| declared.body.contains("Personal<"))
        .map(|declared| declared.name)
        .collect();
    let unprinted: Vec<&String> = holding.difference(&printed.0).collect();
    assert!(holding.len() >= 15 && unprinted.is_empty(), "print these here, too: {unprinted:?}");
    service.finish().await;
}
