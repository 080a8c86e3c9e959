//! A witness as a real process that is killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use dsrd::audit::LogKeys;
use dsrd::audit::tlog::{AddCheckpoint, Checkpoint, Edge, SigningKey, TileMap, consistency_proof, leaf_hash};
use tokio::process::Command;

use crate::process::{Daemon, eventually};

/// The request by which a log grows from one size to another.
fn request(key: &SigningKey, old: u64, size: u64) -> String {
    let (mut edge, mut tiles) = (Edge::new(), TileMap::default());
    for index in 0..size {
        tiles.extend(edge.push(leaf_hash(&index.to_be_bytes())));
    }
    tiles.extend(edge.partial_tiles());
    let origin = key.verifier().name().clone();
    let note = Checkpoint { origin, size, root: edge.root() }.sign([key]).expect("a note");
    let proof = consistency_proof(&tiles, old, size).expect("a proof");
    AddCheckpoint { old, proof, note }.to_string()
}

/// The body of a short answer; `None` if it broke off.
async fn text(mut answer: reqwest::Response) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).ok()
}

/// A witness, and where it listens: on a port that the system gives to it, which nobody else can have taken meanwhile.
async fn serve(key: &SigningKey, state: &Path) -> (Daemon, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsrd"));
    command
        .env_clear()
        .env("HOME", state)
        .args(["witness", "serve", "--name", "witness.example/w", "--log", &key.verifier().to_string()])
        .args(["--listen", "127.0.0.1:0", "--state-dir"])
        .arg(state.join("witness"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let mut witness = Daemon::start(command);
    witness.wait_for("the witness listens").await;
    let log = witness.log();
    let line = log.lines().find(|line| line.contains("the witness listens")).expect("the line");
    let (_, rest) = line.split_once("127.0.0.1:").expect("an address");
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (witness, format!("http://127.0.0.1:{port}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_is_killed_never_forgets_what_it_signed() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let state = tempfile::tempdir().expect("a directory");
    let key = LogKeys::generate().signing_keys(&"log.example/a".parse().expect("a name")).remove(0);
    let client = reqwest::Client::new();
    let mut signed = 0;
    for round in 0..6_u64 {
        let (witness, address) = serve(&key, state.path()).await;
        let (live, url) = (format!("{address}/health/live"), format!("{address}/add-checkpoint"));
        eventually("the witness listens", Duration::from_mins(1), || async {
            client.get(&live).send().await.is_ok()
        })
        .await;
        // What it remembers is what it signed, or what it was about to sign when it was killed.
        let seen = match client.post(&url).body(request(&key, 0, 1)).send().await.expect("an answer") {
            answer if answer.status() == 200 => 1,
            answer => {
                assert_eq!(answer.status(), 409);
                text(answer).await.expect("a size").trim().parse::<u64>().expect("a size")
            }
        };
        assert!(seen >= signed, "it signed {signed} and remembers {seen}");
        let growing = async {
            let (mut old, mut last) = (seen, seen);
            while let Ok(answer) = client.post(&url).body(request(&key, old, old + 1)).send().await {
                if answer.status() != 200 || text(answer).await.is_none() {
                    break;
                }
                old += 1;
                last = old;
            }
            last
        };
        let killing = async {
            tokio::time::sleep(Duration::from_millis(40 + 23 * round)).await;
            witness.kill().await;
        };
        (signed, ()) = tokio::join!(growing, killing);
    }
    assert!(signed > 1, "it signed between the kills");
}
