//! The files by which the daemon is deployed: its unit and its image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

const UNIT: &str = "deploy/systemd/dsrd.service";

#[test]
fn s_49_the_unit_takes_every_right_away_that_the_daemon_does_not_need() {
    let unit = fs::read_to_string(file(UNIT)).unwrap();
    let set: Vec<&str> = unit.lines().map(str::trim).collect();
    for line in [
        "User=dsrd",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "MemoryDenyWriteExecute=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "UMask=0077",
        "LimitCORE=0",
        "StateDirectoryMode=0700",
    ] {
        assert!(set.contains(&line), "{line}");
    }
    assert!(!set.iter().any(|line| line.starts_with("ReadWritePaths") || line.starts_with("BindPaths")));

    // The same judged from outside, where the tool is there: 1.2 of 10 when it was written.
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=15", "--no-pager"])
        .arg(file(UNIT))
        .output();
    match judged {
        Ok(judged) => assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout)),
        Err(error) => println!("systemd-analyze is not here ({error}): only the lines were compared"),
    }
}

#[test]
fn s_50_the_image_runs_the_program_alone_as_a_user_without_rights() {
    let text = fs::read_to_string(file("deploy/docker/Dockerfile")).unwrap();
    let last = text.rfind("\nFROM ").expect("a stage");
    let stage = &text[last + 1..];
    // An image without a shell and without a package manager.
    assert!(
        stage.starts_with("FROM gcr.io/distroless/") && stage.lines().next().unwrap().ends_with(":nonroot")
    );
    let instruction = |word: &str| -> Vec<&str> {
        stage.lines().filter_map(|line| line.strip_prefix(word)).map(str::trim).collect()
    };
    let [user] = instruction("USER ")[..] else { panic!("one user") };
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().expect("a number, not a name")).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| *id >= 1_000), "{user}");
    assert_eq!(
        instruction("COPY "),
        [
            "--from=build /source/target/dist/dsrd /usr/bin/dsrd".to_owned(),
            // An empty directory: a volume that is mounted over nothing would be root's, and the daemon could not write.
            format!("--from=build --chown={user} /empty /var/lib/dsrd"),
        ],
        "the program alone, and a place that is its own"
    );
    assert!(text[..last].lines().any(|line| line == "RUN mkdir -m 0700 /empty"));
    // `COPY . .` takes what lies there: neither secrets nor what was built outside comes along, in no layer.
    let ignored = fs::read_to_string(file(".dockerignore")).unwrap();
    for name in ["**/target", ".git", "secrets", "dsrd.toml"] {
        assert!(ignored.lines().any(|line| line == name), "{name} is not in .dockerignore");
    }
    // Without the simulated platform; with everything that the settings of a production may ask for.
    let built = text[..last].lines().find(|line| line.starts_with("RUN cargo build ")).expect("it is built");
    for part in ["--profile dist", "--locked", "--no-default-features", "--features timestamps"] {
        assert!(built.contains(part), "{part} is not in {built}");
    }
    assert!(instruction("RUN ").is_empty() && instruction("ADD ").is_empty());
    assert_eq!(instruction("VOLUME "), ["[\"/var/lib/dsrd\"]"], "all that is written to");
    // No shell form: there is none.
    for word in ["ENTRYPOINT ", "CMD "] {
        assert!(instruction(word).iter().all(|value| value.starts_with('[')), "{word}");
    }
}
