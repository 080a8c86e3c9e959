//! What fuzzing begins with: for each target some inputs that it accepts, and for entries the words that they are made of. All of it
//! is written by the code, so that it follows the formats; it is committed in `fuzz/`, where the fuzzer reads it.

use std::collections::BTreeMap;

use dsrd::audit::tlog::{
    AddCheckpoint, Bundle, Checkpoint, EMPTY_ROOT, Hash, ProofFile, SessionKey, SignedNote, TILE_WIDTH, Tile,
    TileMap, bundle, consistency_proof, inclusion_proof, leaf_hash,
};
use dsrd::audit::{Action, DetailValue, Ending, Leaf};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::formats::{log_key, receipt, witness_key};
use crate::vectors::{CHECKPOINT, EXAMPLE_KEY, EXAMPLE_NOTE, LOG_LINE, WITNESS_KEY, WITNESS_LINE};
use crate::{entry, grown};

/// Inputs by name.
pub(crate) type Seeds = Vec<(&'static str, Vec<u8>)>;

/// Those of a target.
pub(crate) fn of(target: &str) -> Seeds {
    match target {
        "add_checkpoint" => add_checkpoint(),
        "checkpoint" => texts([
            ("empty", format!("log.example/audit\n0\n{EMPTY_ROOT}\n")),
            ("specification", CHECKPOINT.to_owned()),
            ("small", checkpoint(11).to_string()),
        ]),
        "entry" => entries(),
        "entry_bundle" => bundles(),
        "note" => texts([
            ("cosigned", format!("{CHECKPOINT}\n{LOG_LINE}\n{WITNESS_LINE}\n")),
            ("example", EXAMPLE_NOTE.to_owned()),
            ("two_keys", checkpoint(11).sign([&log_key(1), &log_key(2)]).unwrap().to_string()),
        ]),
        "proof_file" => texts([
            ("bare", ProofFile { extra: None, ..receipt() }.to_string()),
            ("receipt", receipt().to_string()),
        ]),
        "proof_verification" => proofs(),
        "stamped_heads" => {
            texts([("many", "1 99\n7 2\n52736 1\n".to_owned()), ("one", "52736 1\n".to_owned())])
        }
        "tile_path" => {
            let full = Tile::new(0, 1_234_067, TILE_WIDTH).unwrap().path();
            let largest = Tile::new(63, i64::MAX.unsigned_abs(), 255).unwrap().path();
            let entries = Bundle::new(1_234_067, 89).unwrap().path();
            texts([("entries", entries), ("full", full), ("largest", largest)])
        }
        "verifier_key" => texts([
            ("example", EXAMPLE_KEY.to_owned()),
            ("log", log_key(1).verifier().to_string()),
            ("witness", WITNESS_KEY.to_owned()),
        ]),
        _ => Vec::new(),
    }
}

fn texts<const N: usize>(texts: [(&'static str, String); N]) -> Seeds {
    texts.map(|(name, text)| (name, text.into_bytes())).to_vec()
}

/// The checkpoint of a log of that size.
fn checkpoint(size: u64) -> Checkpoint {
    let (edge, _) = grown(size);
    Checkpoint { origin: "log.example/audit".parse().unwrap(), size: edge.size(), root: edge.root() }
}

fn signed(size: u64) -> SignedNote {
    checkpoint(size).sign([&log_key(1)]).unwrap()
}

fn add_checkpoint() -> Seeds {
    let proof = consistency_proof(&tiles(11), 5, 11).unwrap();
    let later = AddCheckpoint { old: 5, proof, note: signed(11) };
    let cosignature = witness_key("witness.example", 9).sign(&checkpoint(11), 1_700_000_000).unwrap();
    let first =
        AddCheckpoint { old: 0, proof: Vec::new(), note: signed(11).with_signatures([cosignature]).unwrap() };
    texts([("first", first.to_string()), ("later", later.to_string())])
}

fn tiles(size: u64) -> TileMap {
    grown(size).1
}

fn proofs() -> Seeds {
    let bytes = |first: u64, second: u64, old: Hash, new: Hash, proof: &[Hash]| {
        let hashes = Hash::row_to_bytes(&[&[old, new], proof].concat());
        [&first.to_be_bytes()[..], &second.to_be_bytes(), &hashes].concat()
    };
    let head = |size| checkpoint(size).root;
    let inclusion = |index, size| {
        let proof = inclusion_proof(&tiles(size), index, size).unwrap();
        bytes(index, size, leaf_hash(&entry(index)), head(size), &proof)
    };
    let consistency = |old, new| {
        let proof = consistency_proof(&tiles(new), old, new).unwrap();
        bytes(old, new, head(old), head(new), &proof)
    };
    vec![
        ("consistent", consistency(5, 11)),
        ("consistent_whole_tile", consistency(256, 300)),
        ("included", inclusion(4, 11)),
        ("included_last", inclusion(299, 300)),
    ]
}

fn bundles() -> Seeds {
    let of = |entries: &[Vec<u8>]| {
        let width = u16::try_from(entries.len()).unwrap().to_be_bytes();
        [&width[..], &bundle::write(entries.iter().map(Vec::as_slice)).unwrap()].concat()
    };
    let entries: Vec<Vec<u8>> = entries().into_iter().map(|(_, entry)| entry).collect();
    vec![
        ("entries", of(&entries[..2])),
        ("full", of(&(0..TILE_WIDTH).map(|place| vec![b'a'; usize::from(place % 3)]).collect::<Vec<_>>())),
        ("one_empty", of(&[Vec::new()])),
    ]
}

/// An entry of a worker about a case.
fn leaf(action: Action, detail: impl IntoIterator<Item = (&'static str, DetailValue)>) -> Leaf {
    let id = |last: u128| Uuid::from_u128(0x0193_7f2e_8c40_7000_8000_0000_0000_0000 + last);
    Leaf {
        action: action.as_str().to_owned(),
        actor: "process:worker".to_owned(),
        at_us: 1_795_473_600_123_456,
        build: Some("0.1.0".to_owned()),
        case: Some(id(1)),
        detail: detail.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        id: id(2),
        intent: None,
        n: Some(17),
        outcome: None,
        policy: None,
        sealed_us: None,
        subject_c: None,
        tenant: Some("venue-group".to_owned()),
        v: 1,
        w: Some("9f86d081884c7d65".to_owned()),
    }
}

/// One with every field, and every kind of value in its detail.
fn whole() -> Leaf {
    let detail = [
        ("all", DetailValue::Flag(true)),
        ("least", DetailValue::Number(-999_999_999_999_999)),
        ("none_2", DetailValue::Flag(false)),
        ("zone", DetailValue::Word("_.:/+- aZ09".to_owned())),
    ];
    Leaf {
        actor: format!("person:{}", "0f".repeat(16)),
        intent: Some(Uuid::max()),
        outcome: Some(Ending::ByFormerAttempt.as_str().to_owned()),
        policy: Some("0a".repeat(32)),
        sealed_us: Some((1 << 53) - 1),
        subject_c: Some("9f".repeat(32)),
        v: 0,
        ..leaf(Action::DeletionEnded, detail)
    }
}

/// One of each shape that the log has.
fn entries() -> Seeds {
    let word = |word: &str| DetailValue::Word(word.to_owned());
    let began = leaf(Action::DeletionBegan, [("contacts", DetailValue::Number(1))]);
    let ended = Leaf {
        action: Action::DeletionEnded.as_str().to_owned(),
        id: Uuid::from_u128(began.id.as_u128() + 1),
        intent: Some(began.id),
        outcome: Some(Ending::Done.as_str().to_owned()),
        ..began.clone()
    };
    let received = Leaf {
        actor: "producer:web_form".to_owned(),
        subject_c: Some("9f".repeat(32)),
        ..leaf(Action::RequestReceived, [("channel", word("email")), ("kind", word("erasure"))])
    };
    let signature = SessionKey::from_seed(&Zeroizing::new([7; 32])).sign(b"an account");
    let about_writer = [
        ("first", DetailValue::Number(1)),
        ("last", DetailValue::Number(17)),
        ("sha256", word(&"9f".repeat(32))),
        ("signature", word(&signature)),
    ];
    let account = Leaf {
        actor: "process:writer".to_owned(),
        case: None,
        tenant: None,
        ..leaf(Action::WriterAccount, about_writer)
    };
    let heartbeat = Leaf { case: None, n: None, tenant: None, w: None, ..leaf(Action::LogHeartbeat, []) };
    let carried_over = Leaf {
        build: None,
        n: None,
        sealed_us: Some(1_795_473_600_200_000),
        v: 0,
        w: None,
        ..leaf(Action::RequestClosed, [("outcome", word("fulfilled"))])
    };
    let all = [
        ("account", account),
        ("began", began),
        ("carried_over", carried_over),
        ("ended", ended),
        ("every_field", whole()),
        ("heartbeat", heartbeat),
        ("received", received),
    ];
    all.map(|(name, leaf)| (name, leaf.to_bytes())).to_vec()
}

/// What entries are made of: the names of the fields, the actions, and the other words that the code knows.
pub(crate) fn words_of_entries() -> Vec<String> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&whole().to_bytes()).unwrap();
    let fields = fields.keys().map(|field| format!("\"{field}\":"));
    let actions = Action::ALL.iter().map(|action| format!("\"{}\"", action.as_str()));
    let endings = [Ending::Done, Ending::Absent, Ending::ByFormerAttempt, Ending::Failed, Ending::Unknown]
        .map(Ending::as_str);
    let endings = endings.map(|ending| format!("\"{ending}\""));
    let others = ["\"person:", "\"process:", "\"schedule:", "\"producer:", "true", "false", ",\"", "{}", "}"];
    fields.chain(actions).chain(endings).chain(others.map(str::to_owned)).collect()
}

/// The words as a dictionary of libFuzzer: one a line, in quotation marks.
pub(crate) fn dictionary_of_entries() -> String {
    let lines = words_of_entries()
        .into_iter()
        .map(|word| format!("\"{}\"\n", word.replace('\\', "\\\\").replace('"', "\\\"")));
    "# What entries are made of; written by `cargo test --test tlog seeds`.\n".to_owned()
        + &lines.collect::<String>()
}
