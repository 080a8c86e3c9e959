//! Who may read the log and nothing else verifies it: a login of the auditor's own, no configuration, no right to write.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::database::TestDatabase;
use crate::program::{Finished, Scene, dsrd, run};

/// Makes a login that may be used without a password, as the cluster of the tests knows none.
async fn login(database: &TestDatabase, name: &str, rights: &str) -> PgConnectOptions {
    let mut owner = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE ROLE {name} LOGIN {rights}")))
        .execute(&mut owner)
        .await
        .unwrap();
    let rules: String = sqlx::query_scalar("SHOW hba_file").fetch_one(&mut owner).await.unwrap();
    let text = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("local all {name} trust\n{text}")).unwrap();
    sqlx::query("SELECT pg_reload_conf()").execute(&mut owner).await.unwrap();
    owner.close().await.unwrap();
    let options = database.options().username(name);
    // The server takes up the rule when it has a moment.
    for _ in 0..200 {
        if let Ok(connection) = PgConnection::connect_with(&options).await {
            connection.close().await.unwrap();
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    options
}

/// How many entries there are, numbered or not.
async fn entries(database: &TestDatabase) -> i64 {
    let mut owner = PgConnection::connect_with(&database.options()).await.unwrap();
    let count = "SELECT (SELECT count(*) FROM audit.entry) + (SELECT count(*) FROM audit.inbox)";
    sqlx::query_scalar(count).fetch_one(&mut owner).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_the_rights_of_a_reader_alone_verifies_the_log() {
    let database = TestDatabase::create().await;
    let scene = Scene::new(database.options().to_url_lossy().as_ref()).await;
    for _ in 0..3 {
        scene.run(&["audit", "list"]).expect(0);
    }
    let key = scene.run(&["--json", "audit", "key", "show"]).expect(0).json()[0]["verifier_key"].clone();
    fs::write(scene.path("log.policy"), format!("log {}\nquorum none\n", key.as_str().unwrap())).unwrap();
    let mut owner = PgConnection::connect_with(&database.options()).await.unwrap();
    let head: String = sqlx::query_scalar("SELECT note FROM audit.head").fetch_one(&mut owner).await.unwrap();
    fs::write(scene.path("kept.txt"), &head).unwrap();
    let before = entries(&database).await;
    let verify = |options: &PgConnectOptions| -> Finished {
        let url = scene.path("reader.url");
        fs::write(&url, options.to_url_lossy().as_str()).unwrap();
        fs::set_permissions(&url, Permissions::from_mode(0o600)).unwrap();
        let mut command = dsrd(&["--json", "audit", "verify", "--database-url-file"]);
        command.arg(url).arg("--policy").arg(scene.path("log.policy"));
        run(command.arg("--known-head").arg(scene.path("kept.txt")), "")
    };
    for (name, role) in [("reader_of_the_log", "aud_reader"), ("auditor_of_the_log", "auditor")] {
        let options = login(&database, name, &format!("IN ROLE {role}")).await;
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let memberships = "SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole";
        let of: i64 = sqlx::query_scalar(memberships).fetch_one(&mut connection).await.unwrap();
        assert_eq!(of, 1, "it is a member of {role} and of nothing else");
        for written in [
            "INSERT INTO audit.inbox (entry) VALUES ('{}')",
            "UPDATE audit.edge SET n = 1",
            "TABLE dsrd.identifier",
        ] {
            let refused = sqlx::raw_sql(written).execute(&mut connection).await.unwrap_err();
            assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{role}: {written}");
        }
        connection.close().await.unwrap();
        let report = verify(&options).expect(0).json();
        assert_eq!(
            (&report["verdict"], &report["level"], &report["catalogue_checked"]),
            (&"ok".into(), &"L2".into(), &true.into()),
            "{role}: {report}"
        );
        assert_eq!(report["counts"]["entries"], report["size"], "{role}: {report}");
    }
    // Without any right nothing is called in order.
    let nobody = verify(&login(&database, "nobody_of_the_log", "").await).expect(2);
    assert!(nobody.stdout.is_empty() && !nobody.stderr.is_empty(), "{nobody:?}");
    assert_eq!(entries(&database).await, before, "who only reads leaves nothing behind");
}
