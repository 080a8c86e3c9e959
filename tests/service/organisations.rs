//! S-14: what belongs to one organisation is not there for another.

use dsrd::audit::Actor;
use dsrd::domain::IdentifierKind::Email;
use dsrd::domain::{OrganisationId, Outcome, RequestKind};
use dsrd::intake::{self, CaseError};
use dsrd::{delivery, execution};
use dsrd_simulator::ContactSpec;

use crate::support::service::TestService;

#[tokio::test]
async fn s_14_the_ids_of_another_organisation_are_not_found() {
    let service = TestService::builder().second_organisation().build().await;
    let other: OrganisationId = "other".parse().unwrap();
    let theirs = service.simulator.organisation("other");
    let contact = service.platform.add_contact(ContactSpec::new().email("canarino@posta.example").events(3));
    let stranger = theirs.add_contact(ContactSpec::new().email("canarina@posta.example"));
    let access = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await.request;
    let foreign = service.submit(RequestKind::Erasure, &[(Email, "canarina@posta.example")]).await.request;
    let open = service.submit(RequestKind::Access, &[(Email, "canarino@posta.example")]).await.request;
    service.worker().await.work_once().await.unwrap();
    service.work_to_the_end().await;
    assert_eq!(service.case(access).await.outcome, Some(Outcome::Fulfilled));
    // Known to the other organisation only: nobody for us.
    assert_eq!(service.case(foreign).await.outcome, Some(Outcome::FulfilledNoData));
    assert!(theirs.truth(&stranger).unwrap().exists && service.platform.truth(&contact).unwrap().exists);

    let mut connection = service.store.connection().await.unwrap();
    let keys = &service.desk.keys;
    assert!(intake::find_case(&mut connection, &other, access).await.unwrap().is_none());
    assert!(intake::identifiers(&mut connection, keys, &other, access).await.unwrap().is_empty());
    assert!(execution::checkpoints_of(&mut connection, &other, access).await.unwrap().is_empty());
    assert!(
        !execution::checkpoints_of(&mut connection, &service.controller.id, access).await.unwrap().is_empty()
    );
    drop(connection);
    let directory = &service.executor.packages.report.directory;
    let dpo = || Actor::Person("dpo".to_owned());
    let opened = delivery::open_for_staff(
        &service.store,
        keys,
        directory,
        &other,
        access,
        dpo(),
        service.desk.clock.now(),
    )
    .await
    .unwrap();
    assert!(opened.is_none(), "the package of another organisation");
    let mut tx = service.store.begin("test").await.unwrap();
    for result in [
        intake::withdraw(&mut tx, &service.desk, &service.executor.sites[&other].controller, open, dpo())
            .await,
        intake::resume(&mut tx, &service.desk, &other, open, dpo()).await,
        intake::record_informed(&mut tx, &service.desk, &other, open, dpo()).await,
    ] {
        assert!(matches!(result, Err(CaseError::NotFound)), "{result:?}");
    }
    tx.commit().await.unwrap();
    service.finish().await;
}

/// Statements that are about the queue or the log as a whole, or about a row by an id that was read under its
/// organisation.
const OF_ALL: &[(&str, &str)] = &[
    ("FROM dsrd.job WHERE job_id = $1 AND fence = $2", "the job of a lease, by its fence"),
    ("WHERE job_id = $1 AND fence = $2", "the job of a lease, by its fence"),
    ("dsrd.instance", "jobs of a worker process, whoever's they are"),
    ("owner = $1", "jobs of a worker process, whoever's they are"),
    ("token_sha256 = $1", "a link is its own proof, and names one package"),
    ("SET token_sha256 = NULL WHERE package_id = $1", "a package that was just found by its organisation"),
    ("SELECT job_id, fence FROM dsrd.job WHERE state = 'leased'", "the files of the daemon's directory"),
    ("SELECT file_name FROM dsrd.package WHERE destroyed_at IS NULL", "the files of the daemon's directory"),
    ("count(*) FILTER (WHERE state = 'ready'", "a figure of the daemon"),
    ("SELECT count(*) AS \"count!\" FROM dsrd.stray_effect", "a figure of the daemon"),
    ("has_table_privilege", "rights, not rows"),
];

/// The SQL of every checked statement of the source.
fn statements() -> Vec<(String, String)> {
    fn collect(directory: &std::path::Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.file_name().is_some_and(|name| name == "sql.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for part in text.split("sqlx::query").skip(1) {
                    let Some(start) = part.find('"') else { continue };
                    let raw = part[..start].ends_with("r#");
                    let end = if raw { "\"#" } else { "\"" };
                    let body = &part[start + 1..];
                    let sql = &body[..body.find(end).unwrap()];
                    found.push((path.display().to_string(), sql.to_owned()));
                }
            }
        }
    }
    let mut found = Vec::new();
    collect(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

#[tokio::test]
async fn s_14_every_statement_on_a_table_of_an_organisation_names_it() {
    let service = TestService::start().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_schema || '.' || columns.table_name
         FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
         WHERE column_name = 'organisation_id' AND table_schema = 'dsrd' AND table_type = 'BASE TABLE'",
    )
    .fetch_all(&mut *service.store.connection().await.unwrap())
    .await
    .unwrap();
    assert!(tables.len() >= 10, "{tables:?}");
    let statements = statements();
    assert!(statements.len() >= 50, "the statements were found");
    let names = |sql: &str, table: &str| {
        sql.match_indices(table).any(|(at, _)| {
            !sql[at + table.len()..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
        })
    };
    let broken: Vec<_> = statements
        .iter()
        .filter(|(_, sql)| tables.iter().any(|table| names(sql, table)))
        .filter(|(_, sql)| !sql.contains("organisation_id"))
        .filter(|(_, sql)| !OF_ALL.iter().any(|(mark, _)| sql.contains(mark)))
        .map(|(path, sql)| format!("{path}: {sql}"))
        .collect();
    assert!(broken.is_empty(), "statements without their organisation:\n{}", broken.join("\n\n"));
    service.finish().await;
}
