//! The guide for auditors does what it says: its SQL runs with an auditor's rights, and its programs are the tested ones.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::log::{Log, execute};

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
        let section = GUIDE
            .split(&format!("### `audit_view.{view}`"))
            .nth(1)
            .map(|rest| rest.split("\n#").next().unwrap());
        if !section.is_some_and(|section| section.contains(&format!("| `{column}` |"))) {
            missing.push(format!("{view}.{column}"));
        }
    }
    assert!(missing.is_empty(), "docs/auditor-guide.md does not explain {}", missing.join(", "));
    assert!(without_comment.is_empty(), "no COMMENT ON COLUMN for {}", without_comment.join(", "));
    drop(owner);
    assert!(execute(&log.options(), "SET ROLE auditor; SELECT * FROM dsrd.request").await.is_err());
    log.service.finish().await;
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
