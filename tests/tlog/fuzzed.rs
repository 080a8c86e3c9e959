//! The bodies of the fuzz targets, and the parsers that have no target, over any bytes, over seeds, and over altered seeds. What they
//! promise each time: no bytes bring them down, and what is read is written back the same.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use dsrd::audit::tlog::{Hash, KeyName, Signature};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use crate::bodies::{self, Body};
use crate::formats::{log_key, receipt};
use crate::seeds;

/// Altered seeds for each parser, and byte strings that all of them are given.
const CASES: u32 = 6_000;

/// What is written back as it was read.
fn text<T: std::str::FromStr + ToString>(bytes: &[u8]) -> bool {
    let value = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<T>().ok());
    value.is_some_and(|value| {
        assert_eq!(value.to_string().as_bytes(), bytes);
        true
    })
}

fn hash(bytes: &[u8]) -> bool {
    let hash = std::str::from_utf8(bytes).ok().and_then(|text| Hash::from_base64(text).ok());
    hash.is_some_and(|hash| {
        assert_eq!(hash.to_string().as_bytes(), bytes);
        true
    })
}

/// Parsers without a target: they are parts of the others.
const PARTS: [(&str, Body); 3] =
    [("signature line", text::<Signature>), ("key name", text::<KeyName>), ("hash", hash)];

/// What each parser accepts.
fn parsers() -> impl Iterator<Item = (&'static str, Body, Vec<Vec<u8>>)> {
    let of_parts = [
        receipt().checkpoint.signatures()[1].to_string(),
        log_key(1).verifier().name().to_string(),
        Hash([9; 32]).to_string(),
    ];
    let parts = PARTS.into_iter().zip(of_parts);
    let parts = parts.map(|((name, body), seed)| (name, body, vec![seed.into_bytes()]));
    let seeds = |name| seeds::of(name).into_iter().map(|(_, seed)| seed).collect();
    bodies::TARGETS.into_iter().map(move |(name, body)| (name, body, seeds(name))).chain(parts)
}

/// What is done to a seed.
#[derive(Clone, Debug)]
pub(crate) enum Alteration {
    /// One bit is another one.
    Flip { at: Index, bit: u8 },
    /// Something stands in the place of some bytes.
    Put { at: Index, instead_of: usize, bytes: Vec<u8> },
    /// A part of it stands once more, elsewhere.
    Again { from: Index, bytes: usize, to: Index },
    /// It ends early.
    End { at: Index },
    /// It goes on as another seed does from somewhere.
    Splice { at: Index, from: Index },
}

impl Alteration {
    pub(crate) fn made_in(&self, bytes: &mut Vec<u8>, other: &[u8]) {
        let length = bytes.len();
        match self {
            Self::Flip { .. } if length == 0 => {}
            Self::Flip { at, bit } => bytes[at.index(length)] ^= 1 << bit,
            Self::Put { at, instead_of, bytes: put } => {
                let at = at.index(length + 1);
                bytes.splice(at..(at + instead_of).min(length), put.iter().copied());
            }
            Self::Again { from, bytes: part, to } => {
                let from = from.index(length + 1);
                let part = bytes[from..(from + part).min(length)].to_vec();
                let to = to.index(length + 1);
                bytes.splice(to..to, part);
            }
            Self::End { at } => bytes.truncate(at.index(length + 1)),
            Self::Splice { at, from } => {
                bytes.truncate(at.index(length + 1));
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}

/// Bytes that mean something to one of the formats of lines, or to entries, or any.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let lines =
        ["\n", "\n\n", "— ", " ", "+", "=", "0", "/", "x", ".p/", "extra ", "index ", "A", "\u{2003}", "\r"];
    let json = ["\"", "\\u0061", "null", "-0", "1e3", "\"v\":1", "{", "["].map(str::to_owned);
    let entries: Vec<String> = seeds::words_of_entries().into_iter().chain(json).collect();
    prop_oneof![
        2 => prop::sample::select(lines.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(entries).prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..4),
    ]
}

pub(crate) fn alteration() -> impl Strategy<Value = Alteration> {
    prop_oneof![
        3 => (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Alteration::Flip { at, bit }),
        3 => (any::<Index>(), prop_oneof![Just(0), 0_usize..5], piece())
            .prop_map(|(at, instead_of, bytes)| Alteration::Put { at, instead_of, bytes }),
        1 => (any::<Index>(), 1_usize..40, any::<Index>())
            .prop_map(|(from, bytes, to)| Alteration::Again { from, bytes, to }),
        1 => any::<Index>().prop_map(|at| Alteration::End { at }),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(at, from)| Alteration::Splice { at, from }),
    ]
}

/// What a parser is given; a failure shows it as it can be written into a file.
#[derive(Clone)]
struct Altered(Vec<u8>);

impl fmt::Debug for Altered {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One of the seeds after one to three alterations.
fn altered(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Altered> {
    let alterations = prop::collection::vec(alteration(), 1..4);
    (any::<Index>(), any::<Index>(), alterations).prop_map(move |(seed, other, alterations)| {
        let of = |place: Index| &seeds[place.index(seeds.len())];
        let mut bytes = of(seed).clone();
        for alteration in alterations {
            alteration.made_in(&mut bytes, of(other));
        }
        Altered(bytes)
    })
}

#[test]
fn altered_seeds_are_refused_or_read_without_loss() {
    for (what, body, seeds) in parsers() {
        let accepted = Cell::new(0_u32);
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) };
        let outcome = TestRunner::new(config).run(&altered(seeds.clone()), |Altered(bytes)| {
            if body(&bytes) && !seeds.contains(&bytes) {
                accepted.set(accepted.get() + 1);
            }
            Ok(())
        });
        assert!(outcome.is_ok(), "{what}: {}", outcome.unwrap_err());
        // They reach what lies behind the first checks. A key and a proof hold together by hashes: another one is not met by chance.
        let is_bound = ["proof_verification", "verifier_key"].contains(&what);
        assert!(is_bound || accepted.get() > 0, "{what}: nothing altered was accepted");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn any_bytes_are_refused_or_read_without_loss(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for (_, body) in bodies::TARGETS.into_iter().chain(PARTS) {
            let _ = body(&bytes);
        }
        prop_assert_eq!(Hash::row_from_bytes(&bytes).is_ok(), bytes.len().is_multiple_of(32));
    }
}

fn file(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
}

/// Names of what lies in a folder, without their endings.
fn names(folder: impl AsRef<Path>) -> BTreeSet<String> {
    let found = std::fs::read_dir(file(folder)).unwrap();
    found.map(|each| each.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_target_has_its_body_its_place_in_the_manifest_and_its_seeds() {
    let expected: BTreeSet<String> = bodies::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("targets"), expected);
    assert_eq!(names("seeds"), expected);
    let manifest = std::fs::read_to_string(file("Cargo.toml")).unwrap();
    let readme = std::fs::read_to_string(file("README.md")).unwrap();
    for name in expected {
        let target = std::fs::read_to_string(file(format!("targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("dsrd_fuzz::{name}(")), "{name} calls another body");
        let bin = format!("[[bin]]\nname = \"{name}\"\npath = \"targets/{name}.rs\"\n");
        assert!(manifest.contains(&bin), "{name} is not in the manifest");
        assert!(readme.contains(&format!("| `{name}` | ")), "{name} is not in the README");
    }
}

#[test]
fn the_seeds_are_accepted_and_those_that_the_code_writes() {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    drop(std::fs::remove_dir_all(&fresh));
    let mut stale = Vec::new();
    let mut compare = |path: String, content: &[u8]| {
        if std::fs::read(file(&path)).ok().as_deref() != Some(content) {
            let fresh = fresh.join(&path);
            std::fs::create_dir_all(fresh.parent().unwrap()).unwrap();
            std::fs::write(fresh, content).unwrap();
            stale.push(path);
        }
    };
    for (name, body) in bodies::TARGETS {
        let seeds = seeds::of(name);
        assert!(seeds.len() > 1, "{name}");
        for (seed, bytes) in seeds {
            assert!(body(&bytes), "{name}: the seed {seed} is refused");
            compare(format!("seeds/{name}/{seed}"), &bytes);
        }
        // What a campaign has found and somebody kept beside them.
        for kept in std::fs::read_dir(file(format!("seeds/{name}"))).into_iter().flatten().flatten() {
            let _ = body(&std::fs::read(kept.path()).unwrap());
        }
    }
    compare("entry.dict".to_owned(), seeds::dictionary_of_entries().as_bytes());
    let remedy = format!("look at the difference, then: cp -r {}/. fuzz/", fresh.display());
    assert!(stale.is_empty(), "stale below fuzz/: {stale:?}; {remedy}");
}
