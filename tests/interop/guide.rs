//! The guide for auditors does what it says: its SQL runs with an auditor's rights, and its programs are the tested ones.

use dsrd::audit::{self, Action, Actor, Detail, Ending, Event};
use dsrd::domain::IdentifierKind::{Email, Phone};
use dsrd::domain::{Clock as _, RefusalGround, RequestKind};
use dsrd::triage::{self, Facts};
use dsrd_simulator::ContactSpec;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::forgetting::unguarded;
use crate::log::{Log, execute};
use crate::support::service::TestService;

const GUIDE: &str = include_str!("../../docs/auditor-guide.md");

/// The blocks of a language in the guide.
pub(crate) fn blocks(language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    GUIDE.split(start.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[tokio::test]
async fn every_question_of_the_guide_is_answered_to_an_auditor() {
    let log = Log::of_a_real_run().await;
    let mut auditor = PgConnection::connect_with(&log.options()).await.unwrap();
    sqlx::query("SET ROLE auditor").execute(&mut auditor).await.unwrap();
    let questions = blocks("sql");
    assert!(questions.len() >= 8, "{}", questions.len());
    for question in questions {
        // Examples name a month; the run of this test was in its own.
        let question = question.replace("2026-03-01", "2026-01-01").replace("2026-04-01", "2027-01-01");
        let rows = sqlx::query(AssertSqlSafe(question.clone())).fetch_all(&mut auditor).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}: {question}"));
        if question.contains("-- answers") {
            assert!(!rows.is_empty(), "{question}");
        }
    }
    log.service.finish().await;
}

/// The answer to the question of the guide that holds this text: a line a row, its columns as JSON.
async fn answer(options: &PgConnectOptions, part: &str) -> Vec<String> {
    let question = blocks("sql").into_iter().find(|question| question.contains(part)).unwrap();
    let mut auditor = PgConnection::connect_with(options).await.unwrap();
    sqlx::query("SET ROLE auditor").execute(&mut auditor).await.unwrap();
    let rows = format!("SELECT to_jsonb(answer)::text FROM ({question}) AS answer");
    let rows = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut auditor).await.unwrap();
    auditor.close().await.unwrap();
    rows
}

#[tokio::test]
async fn an_erasure_without_a_read_back_is_found_by_the_question_for_it() {
    const QUESTION: &str = "log.action = 'deletion.verified'\n";
    let log = Log::of_a_real_run().await;
    let nobody = log.service.submit(RequestKind::Erasure, &[(Email, "nobody@people.example")]).await.request;
    log.service.work_to_the_end().await;
    log.service.sealer.seal_everything().await.unwrap();
    assert_eq!(
        answer(&log.options(), QUESTION).await,
        [""; 0],
        "a complete search that found nobody is a proof"
    );
    let deleted = log.service.case(log.case).await.reference;
    let nobody = log.service.case(nobody).await.reference;
    log.rest().await;
    for (action, reference) in [("deletion.verified", deleted), ("contact.located", nobody)] {
        let copy = log.copy().await;
        let gone = format!("DELETE FROM audit.entry WHERE action = '{action}'");
        copy.tamper(&unguarded(&gone)).await.unwrap();
        let found = answer(&copy.options, QUESTION).await;
        assert!(found.len() == 1 && found[0].contains(&reference.to_string()), "{action}: {found:?}");
        copy.drop().await;
    }
    // What was received before the first entry that is kept has lost its evidence with the entries that were pruned.
    let copy = log.copy().await;
    copy.tamper(&unguarded("DELETE FROM audit.entry WHERE seq <= 256")).await.unwrap();
    assert_eq!(answer(&copy.options, QUESTION).await, [""; 0]);
    copy.drop().await;
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn late_are_requests_of_people_and_neither_sweeps_nor_the_self_test() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    let contact = service.platform.add_contact(ContactSpec::new().email("dora@people.example"));
    service.submit_sweep(&contact, service.clock.now() + chrono::TimeDelta::days(1)).await;
    service.work_to_the_end().await;
    log.rest().await;
    let copy = log.copy().await;
    let late = "ALTER TABLE dsrd.request DISABLE TRIGGER ALL;
                UPDATE dsrd.request SET due_on = '2020-01-31', statutory_due_on = NULL";
    copy.tamper(late).await.unwrap();
    let found = answer(&copy.options, "::date > due_on").await;
    let mut owner = PgConnection::connect_with(&copy.options).await.unwrap();
    let origins: Vec<String> = sqlx::query_scalar("SELECT origin FROM dsrd.request ORDER BY origin")
        .fetch_all(&mut owner)
        .await
        .unwrap();
    owner.close().await.unwrap();
    assert_eq!(origins, ["retention", "subject", "subject", "subject"]);
    assert_eq!(found.len(), 3, "{found:#?}");
    copy.drop().await;
    log.service.simulator.shutdown().await;
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_ground() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    for name in ["Una", "Altra"] {
        let spec = ContactSpec::new().name(name, "Prova").email(format!("{name}@people.example"));
        let _contact = service.platform.add_contact(spec.phone("+393331234567"));
    }
    let request = service.submit(RequestKind::Access, &[(Phone, "+393331234567")]).await.request;
    service.work_to_the_end().await;
    let mut tx = service.store.begin("test").await.unwrap();
    let (organisation, dpo) = (&service.controller.id, Actor::Person("anna".to_owned()));
    let ground = RefusalGround::Excessive;
    let facts = Facts::read("Forty requests in a month.").unwrap();
    triage::refuse(&mut tx, &service.desk, organisation, request, ground, Some(facts), dpo).await.unwrap();
    tx.commit().await.unwrap();
    service.work_to_the_end().await;
    service.sealer.seal_everything().await.unwrap();
    let rows = answer(&log.options(), "NOT IN ('fulfilled'").await;
    let told = rows
        .iter()
        .any(|row| row.contains("decision.refused") && row.contains("RF-02") && row.contains("person:anna"));
    assert!(told, "{rows:#?}");
    log.service.finish().await;
}

#[tokio::test]
async fn effects_that_nobody_knew_of_are_found_without_reading_the_whole_log() {
    let log = Log::of_a_real_run().await;
    let mut auditor = PgConnection::connect_with(&log.options()).await.unwrap();
    // A log of three hundred entries is read whole for less than any index costs.
    sqlx::raw_sql("SET ROLE auditor; SET enable_seqscan = off").execute(&mut auditor).await.unwrap();
    let question = blocks("sql").into_iter().find(|question| question.contains("'outcome_unknown'")).unwrap();
    let plan =
        sqlx::query(AssertSqlSafe(format!("EXPLAIN {question}"))).fetch_all(&mut auditor).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("entry_000000_seq_idx") && !plan.contains("Filter: (outcome ="), "{plan}");
    log.service.finish().await;
}

#[tokio::test]
async fn an_unknown_effect_is_settled_by_what_was_known_of_the_same_one_only() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    let (organisation, worker) = (&service.controller.id, Actor::Process("worker"));
    let event = |action| Event::of(organisation, log.case, action, worker.clone(), service.clock.now());
    let append = async |event: Event| {
        let mut tx = service.store.begin("test").await.unwrap();
        let id = audit::append(&mut tx, event).await.unwrap();
        tx.commit().await.unwrap();
        service.sealer.seal_everything().await.unwrap();
        id
    };
    let settled = async || -> Vec<Option<String>> {
        let rows = answer(&log.options(), "'outcome_unknown'").await;
        let settled_as = |row: &String| {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            row["settled_as"]
                .as_str()
                .map(|action| format!("{action} {}", row["outcome"].as_str().unwrap_or("-")))
        };
        rows.iter().map(settled_as).collect()
    };
    assert!(settled().await.is_empty());
    // Two policies and two notices: of the one nobody knows, the other is done.
    let of = |key: &'static str, word: &str| Detail::none().word(key, word);
    for (key, began, ended, [one, other]) in [
        ("policy", Action::PolicyBegan, Action::PolicyEnded, ["mktgCommunications", "customs.newsletter"]),
        ("notice", Action::NoticeBegan, Action::NoticeEnded, ["0193c1a2", "0193c1a3"]),
    ] {
        let unknown = append(event(began).with(of(key, one))).await;
        append(event(ended).ending(unknown, Ending::Unknown)).await;
        let done = append(event(began).with(of(key, other))).await;
        append(event(ended).with(of(key, other)).ending(done, Ending::Done)).await;
    }
    assert_eq!(settled().await, [None, None]);
    // The mail was sent once more, in vain at first.
    for ending in [Ending::Failed, Ending::Done] {
        let again = append(event(Action::NoticeBegan).with(of("notice", "0193c1a2"))).await;
        append(event(Action::NoticeEnded).with(of("notice", "0193c1a2")).ending(again, ending)).await;
    }
    assert_eq!(settled().await, [None, Some("notice.ended done".to_owned())]);
    append(event(Action::PolicyVerified).with(Detail::none().count("policies", 2))).await;
    assert_eq!(settled().await, [Some("policy.verified -".to_owned()), Some("notice.ended done".to_owned())]);
    log.service.simulator.shutdown().await;
}

/// The row of the guide that explains a column of a view.
fn row_of(view: &str, column: &str) -> Option<&'static str> {
    let section = GUIDE.split(&format!("### `audit_view.{view}`")).nth(1)?.split("\n#").next()?;
    section.lines().find(|line| line.starts_with(&format!("| `{column}` |")))
}

#[tokio::test]
async fn every_column_that_an_auditor_can_read_is_explained() {
    let log = Log::of_a_real_run().await;
    let mut owner = PgConnection::connect_with(&log.options()).await.unwrap();
    let columns = sqlx::query(
        "SELECT relname::text, attname::text, col_description(pg_class.oid, attnum)
         FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
         WHERE relnamespace = 'audit_view'::regnamespace",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(columns.len() > 80, "{}", columns.len());
    let mut missing = Vec::new();
    let mut without_comment = Vec::new();
    for row in columns {
        let (view, column): (String, String) = (row.get(0), row.get(1));
        if row.get::<Option<String>, _>(2).is_none() {
            without_comment.push(format!("{view}.{column}"));
        }
        if row_of(&view, &column).is_none() {
            missing.push(format!("{view}.{column}"));
        }
    }
    assert!(missing.is_empty(), "docs/auditor-guide.md does not explain {}", missing.join(", "));
    assert!(without_comment.is_empty(), "no COMMENT ON COLUMN for {}", without_comment.join(", "));
    // A view beside the log that auditors join with it.
    let without_comment: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute
         WHERE attrelid = 'audit.opening'::regclass AND attnum > 0 AND col_description(attrelid, attnum) IS NULL",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(without_comment, [""; 0]);
    drop(owner);
    assert!(execute(&log.options(), "SET ROLE auditor; SELECT * FROM dsrd.request").await.is_err());
    log.service.finish().await;
}

/// The words that a column can hold, by the rules of its table: those of its CHECK, and those of the function that stands for the
/// rules of a table.
const WORDS: &str = r"
    WITH rule AS (
      SELECT conrelid::regclass::text AS relation, pg_get_constraintdef(oid) AS text FROM pg_constraint
      WHERE contype = 'c' AND connamespace = 'dsrd'::regnamespace
      UNION ALL
      SELECT 'dsrd.' || replace(proname, '_is_sound', ''), replace(prosrc, 'r.', '') FROM pg_proc
      WHERE pronamespace = 'dsrd'::regnamespace AND proname LIKE '%\_is\_sound'
    ), found AS (
      SELECT relation, regexp_matches(
          text, '(?:CHECK \(\(|WHEN NOT )\(?(\w+) = ANY \((?:ARRAY\[([^\]]*)\]|''\{([^}]*)\}'')\)', 'g') AS part
      FROM rule
    )
    SELECT view.relname::text, part[1], regexp_replace(coalesce(part[2], part[3]), '''|::text', '', 'g'),
           col_description(view.oid, attnum)
    FROM found
      JOIN pg_class AS view ON view.relnamespace = 'audit_view'::regnamespace AND 'dsrd.' || view.relname = relation
      JOIN pg_attribute ON attrelid = view.oid AND attname = part[1]";

#[tokio::test]
async fn where_words_of_a_column_are_explained_all_of_them_are() {
    let service = TestService::start().await;
    let mut owner = PgConnection::connect_with(&service.database.options()).await.unwrap();
    let rows = sqlx::query(WORDS).fetch_all(&mut owner).await.unwrap();
    drop(owner);
    let (mut explained, mut lacking) = (Vec::new(), Vec::new());
    for row in rows {
        let (view, column, words): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let words: Vec<&str> = words.split(',').map(str::trim).collect();
        let guide = row_of(&view, &column).unwrap_or_default().to_owned();
        let comment = row.get::<Option<String>, _>(3).unwrap_or_default().to_lowercase();
        for (place, text) in [("docs/auditor-guide.md", guide), ("COMMENT", comment)] {
            let said: Vec<&str> =
                text.split(|each: char| !each.is_ascii_alphanumeric() && each != '_').collect();
            let missing: Vec<&&str> = words.iter().filter(|word| !said.contains(word)).collect();
            // One word may stand there by chance ("whether it was sent").
            if words.len() - missing.len() < 2 {
                continue;
            }
            explained.push(format!("{view}.{column}"));
            if !missing.is_empty() {
                lacking.push(format!("{place}: {view}.{column} lacks {missing:?}"));
            }
        }
    }
    for wanted in ["request.state", "request.kind", "recipient_task.action", "recipient_task.state"] {
        assert!(explained.iter().any(|each| each == wanted), "{wanted} is not among {explained:?}");
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
    service.finish().await;
}

#[test]
fn the_programs_in_the_guide_are_the_ones_that_are_tested() {
    for (name, tested) in [
        ("root.py", include_str!("root.py")),
        ("verify.py", include_str!("verify.py")),
        ("receipt.py", include_str!("receipt.py")),
        ("opening.py", include_str!("opening.py")),
    ] {
        let shown = blocks("python").contains(&tested.trim_end());
        assert!(shown, "copy tests/interop/{name} into docs/auditor-guide.md");
    }
}
