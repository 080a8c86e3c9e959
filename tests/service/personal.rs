//! who may be recognised where. People are invented at random here, so that no list of forbidden words
//! helps the program; the oracle searches every test for its own.

use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::{self, Email, ExternalId, ExternalProperty1, Phone, Username};
use dsrd::domain::{RefusalGround, RequestId, RequestKind};
use dsrd::intake;
use dsrd::triage::{self, Decision, Facts};
use dsrd_simulator::ContactSpec;
use sqlx::Connection as _;
use uuid::Uuid;

use crate::support::logs;
use crate::support::service::TestService;
use crate::upkeep::dump;

/// Somebody whom nobody invented before.
struct Somebody {
    email: String,
    phone: String,
    username: String,
    external: String,
    /// A hardware address, as sign-up pages of some venues store it.
    mac: String,
}

impl Somebody {
    fn invent() -> Self {
        let random = Uuid::new_v4().as_u128();
        let bytes = random.to_be_bytes();
        let mac: Vec<String> = bytes[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            email: format!("{:x}.Prova@posta{:x}.example", random >> 80, bytes[7]),
            // A mobile number as Italy has them.
            phone: format!("+39347{:07}", random % 10_000_000),
            username: format!("nick{:x}", random & 0xFFFF_FFFF),
            external: format!("crm-{:x}", (random >> 40) & 0xFFFF_FFFF),
            mac: mac.join(":"),
        }
    }

    fn contact(&self) -> ContactSpec {
        ContactSpec::new()
            .email(&self.email)
            .phone(&self.phone)
            .username(&self.username)
            .ext_id(&self.external)
            .ext_prop1(&self.mac)
            .devices(2)
            .accountings(3)
    }

    fn identifiers(&self) -> [(IdentifierKind, &str); 5] {
        [
            (Email, &self.email),
            (Phone, &self.phone),
            (Username, &self.username),
            (ExternalId, &self.external),
            (ExternalProperty1, &self.mac),
        ]
    }

    /// Every spelling by which they would be known, in small letters.
    fn traces(&self) -> Vec<String> {
        let (local, _) = self.email.split_once('@').unwrap();
        let digits = self.phone.trim_start_matches('+').to_owned();
        let national = digits.trim_start_matches("39").to_owned();
        let plain = [
            self.email.clone(),
            local.to_owned(),
            format!("00{digits}"),
            digits,
            national,
            self.username.clone(),
            self.external.clone(),
            self.mac.clone(),
            self.mac.replace(':', "-"),
            self.mac.replace(':', ""),
        ];
        let small = plain.iter().map(|text| text.to_lowercase());
        let encoded = plain.iter().cloned().chain(small.clone()).map(hex::encode);
        encoded.chain(small).collect()
    }
}

fn staff() -> Actor {
    Actor::Person("anna".to_owned())
}

async fn refuse(service: &TestService, request: RequestId) {
    let facts = Facts::read("As the record of 3 March shows.").unwrap();
    let decision = Decision::Refusal(RefusalGround::NotARequest);
    let mut tx = service.store.begin("test").await.unwrap();
    let (desk, controller) = (&service.desk, &*service.controller);
    triage::decide(&mut tx, desk, controller, request, (decision, Some(facts)), staff()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Where a text holds a trace. One of few digits counts where it stands by itself: in the middle of others, of the hashes and
/// times of which a database is full, it stands by chance.
fn place_of(trace: &str, text: &str) -> Option<usize> {
    let is_digit = |each: Option<char>| each.is_some_and(|each| each.is_ascii_hexdigit());
    let is_telling = trace.len() >= 16 || !trace.chars().all(|each| each.is_ascii_hexdigit());
    let mut places = text.match_indices(trace);
    let found = places.find(|(at, _)| {
        let around = (text[..*at].chars().next_back(), text[at + trace.len()..].chars().next());
        is_telling || !(is_digit(around.0) || is_digit(around.1))
    });
    found.map(|(at, _)| at)
}

#[test]
fn a_trace_is_found_by_itself_and_not_within_other_digits() {
    for (text, found) in [
        ("tel:3471234567", true),
        ("+393471234567", false),
        ("\"3471234567\"", true),
        ("(3471234567,x)", true),
        ("1763471234567890", false),
        ("ab3471234567", false),
        ("1763471234567890 3471234567", true),
    ] {
        assert_eq!(place_of("3471234567", text).is_some(), found, "{text}");
    }
    assert!(place_of("393471234567", "+393471234567").is_some(), "that way the whole number is found");
    assert!(place_of(&hex::encode("3471234567"), "00333437313233343536370a").is_some());
    assert!(place_of("nick12", "abcnick123").is_some());
}

/// Every kind of identifier asked with, and every kind of end: answered, switched off, deleted, nobody found, two found, a
/// person's task, refused, withdrawn.
async fn requests_of_all_kinds(service: &TestService) -> Vec<Somebody> {
    let mut everybody = Vec::new();
    for number in 0..5 {
        let somebody = Somebody::invent();
        let _contact = service.platform.add_contact(somebody.contact());
        let identifier = somebody.identifiers()[number];
        for kind in [RequestKind::Access, RequestKind::OptOut, RequestKind::Erasure] {
            service.submit(kind, &[identifier]).await;
            service.work_to_the_end().await;
        }
        everybody.push(somebody);
    }
    let unknown = Somebody::invent();
    service.submit(RequestKind::Access, &unknown.identifiers()).await;
    let twice = Somebody::invent();
    let _first = service.platform.add_contact(ContactSpec::new().email(&twice.email).phone(&twice.phone));
    let _second =
        service.platform.add_contact(ContactSpec::new().email(&twice.email).username(&twice.username));
    service.submit(RequestKind::Erasure, &[(Email, &twice.email)]).await;
    let refused = Somebody::invent();
    let _contact = service.platform.add_contact(refused.contact());
    let task = service.submit(RequestKind::Rectification, &refused.identifiers()).await.request;
    let withdrawn = Somebody::invent();
    let undone = service.submit(RequestKind::Complaint, &withdrawn.identifiers()).await.request;
    service.work_to_the_end().await;
    refuse(service, task).await;
    let mut tx = service.store.begin("test").await.unwrap();
    intake::withdraw(&mut tx, &service.desk, &service.controller, undone, staff()).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    everybody.extend([unknown, twice, refused, withdrawn]);
    everybody
}

/// The entries of the log, as they are hashed, in small letters.
async fn entries(service: &TestService) -> String {
    let mut owner = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    let text: String = sqlx::query_scalar(
        "SELECT string_agg(convert_from(entry, 'UTF8'), chr(10))
         FROM (SELECT entry FROM audit.entry UNION ALL SELECT entry FROM audit.inbox) AS written",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    text.to_lowercase()
}

#[tokio::test]
async fn r_71_people_invented_at_random_stand_in_no_entry_and_no_line_of_the_log() {
    let service = TestService::start().await;
    let before = logs::length();
    let everybody = requests_of_all_kinds(&service).await;
    let entries = entries(&service).await;
    assert!(entries.lines().count() > 100 && entries.contains("decision.refused"), "few entries");
    let lines = String::from_utf8_lossy(&logs::since(before)).to_lowercase();
    assert!(lines.lines().count() > 100, "the log is recorded");
    for trace in everybody.iter().flat_map(Somebody::traces) {
        assert_eq!(place_of(&trace, &entries), None, "an entry of the audit log holds {trace}");
        assert_eq!(place_of(&trace, &lines), None, "a line of the log holds {trace}");
    }
    service.finish().await;
}

#[tokio::test]
async fn r_79_a_dump_of_the_database_without_its_key_shows_no_identifier() {
    let service = TestService::start().await;
    let everybody = requests_of_all_kinds(&service).await;
    let dump = dump(&service).await;
    assert!(dump.contains("-- dsrd.identifier\n("), "identifiers are there, sealed");
    for trace in everybody.iter().flat_map(Somebody::traces) {
        let at = place_of(&trace, &dump).map(|at| &dump[at.saturating_sub(300)..at]);
        assert_eq!(at, None, "a table holds {trace}");
    }
    service.finish().await;
}

/// Everything that an auditor can read, as text in small letters, with the names of the relations.
async fn read_by_an_auditor(service: &TestService) -> (Vec<String>, String) {
    let mut owner = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    let readable: Vec<(String, String)> = sqlx::query_as(
        "SELECT format('%I.%I', nspname, relname), string_agg(format('%I', attname), ', ' ORDER BY attnum)
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
           JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
         WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND relkind IN ('r', 'p', 'v', 'm', 'f')
           AND has_column_privilege('auditor', pg_class.oid, attname, 'SELECT')
         GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    sqlx::raw_sql("SET ROLE auditor").execute(&mut owner).await.unwrap();
    let (mut names, mut text) = (Vec::new(), String::new());
    for (relation, columns) in readable {
        let statement =
            format!("SELECT coalesce(string_agg(ROW({columns})::text, chr(10)), '') FROM {relation}");
        // A right to the columns of a schema that is closed opens nothing, and is one too many all the same.
        let rows: Option<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&mut owner).await.ok();
        text.extend(["-- ", relation.as_str(), "\n", rows.as_deref().unwrap_or_default(), "\n"]);
        names.push(relation);
    }
    (names, text.to_lowercase())
}

#[tokio::test]
async fn r_76_an_auditor_reads_no_identifiers_and_no_secrets() {
    let service = TestService::start().await;
    let everybody = requests_of_all_kinds(&service).await;
    let mut owner = sqlx::PgConnection::connect_with(&service.database.options()).await.unwrap();
    let sealed: Vec<String> = sqlx::query_scalar(
        "SELECT encode(sealed, 'hex') FROM dsrd.identifier WHERE sealed IS NOT NULL
         UNION SELECT encode(subject_ref, 'hex') FROM dsrd.identifier",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    service.sealer.seal_everything().await.unwrap();
    let (readable, text) = read_by_an_auditor(&service).await;
    for wanted in ["audit.entry", "audit_view.log", "audit_view.request"] {
        assert!(readable.contains(&wanted.to_owned()), "{readable:?}");
    }
    assert!(text.contains("decision.refused") && text.contains("dsr-"), "what is read is there");
    // Views show what their owner sees: what they show is searched, whatever they are called.
    // Which migrations were applied: by that `verify` tells another release from tampering.
    let of_the_log = |name: &str| {
        name.starts_with("audit.") || name.starts_with("audit_view.") || name == "public._sqlx_migrations"
    };
    let beyond: Vec<&String> = readable.iter().filter(|name| !of_the_log(name)).collect();
    assert!(beyond.is_empty(), "an auditor reads {beyond:?}");
    assert!(sealed.len() > 20, "{}", sealed.len());
    for trace in everybody.iter().flat_map(Somebody::traces).chain(sealed) {
        let at = place_of(&trace, &text).map(|at| &text[text[..at].rfind("-- ").unwrap_or_default()..][..60]);
        assert_eq!(at, None, "an auditor reads {trace}");
    }
    sqlx::raw_sql("SET ROLE auditor").execute(&mut owner).await.unwrap();
    for table in ["dsrd.identifier", "audit_private.subject", "audit_private.actor"] {
        let statement = format!("SELECT count(*) FROM {table}");
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut owner).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{table}: {refused}");
    }
    service.finish().await;
}
