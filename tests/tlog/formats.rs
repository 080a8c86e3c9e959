//! Each parser: what is written is read back the same, and what is spelled otherwise is refused. What it does with any bytes:
//! `fuzzed`.

use dsrd::audit::tlog::bundle::{self, BundleError};
use dsrd::audit::tlog::{
    Bundle, Checkpoint, CheckpointError, CosigningKey, Hash, MAX_NOTE_BYTES, MAX_PROOF_HASHES, NoteError,
    NumberError, ProofFile, ProofFileError, Signature, SignedNote, SigningKey, Tile, TilePath, VerifierKey,
    VerifyError, inclusion_proof, leaf_hash,
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::fuzzed::alteration;
use crate::{entry, grown};

pub(crate) fn log_key(seed: u8) -> SigningKey {
    SigningKey::from_seed("log.example/audit".parse().unwrap(), &Zeroizing::new([seed; 32]))
}

pub(crate) fn witness_key(name: &str, seed: u8) -> CosigningKey {
    CosigningKey::from_seed(name.parse().unwrap(), &Zeroizing::new([seed; 32]))
}

/// A receipt for entry 4 of 11, signed by the log and one witness.
pub(crate) fn receipt() -> ProofFile {
    let (edge, tiles) = grown(11);
    let checkpoint =
        Checkpoint { origin: "log.example/audit".parse().unwrap(), size: edge.size(), root: edge.root() };
    let cosignature = witness_key("witness.example", 9).sign(&checkpoint, 1_700_000_000).unwrap();
    let note = checkpoint.sign([&log_key(1)]).unwrap().with_signatures([cosignature]).unwrap();
    ProofFile {
        extra: Some(b"opening".to_vec()),
        index: 4,
        hashes: inclusion_proof(&tiles, 4, 11).unwrap(),
        checkpoint: note,
    }
}

#[test]
fn a_receipt_is_proven_by_its_file_alone_and_only_for_its_entry() {
    let file = receipt().to_string();
    let read = ProofFile::from_bytes(file.as_bytes()).unwrap();
    assert_eq!(read, receipt());
    let (log, witness) = (log_key(1), witness_key("witness.example", 9));
    let keys = [log.verifier(), witness.verifier()];
    let leaf = leaf_hash(&entry(4));
    let opened = read.verify(&leaf, keys).unwrap();
    assert_eq!(opened.checkpoint.size, 11);
    let signed: Vec<_> = opened.signatures.iter().map(|each| (each.key, each.signed_at_secs)).collect();
    assert_eq!(signed, [(keys[0], None), (keys[1], Some(1_700_000_000))]);

    let not_proven = ProofFileError::Proof(VerifyError::Root { size: 11 });
    assert_eq!(read.verify(&leaf_hash(&entry(5)), keys), Err(not_proven.clone()));
    assert_eq!(ProofFile { index: 5, ..read.clone() }.verify(&leaf, keys), Err(not_proven));
    let unsigned = ProofFileError::Checkpoint(CheckpointError::Note(NoteError::Unsigned));
    assert_eq!(read.verify(&leaf, [log_key(2).verifier()]), Err(unsigned));
    let by_witness_only = read.verify(&leaf, [witness.verifier()]).unwrap_err();
    assert!(matches!(by_witness_only, ProofFileError::Checkpoint(CheckpointError::NotByLog(_))));
}

#[test]
fn receipts_of_other_shapes_are_refused() {
    let good = receipt().to_string();
    let refused = |file: String| file.parse::<ProofFile>().unwrap_err();
    assert_eq!(refused(good.replace("proof@v1", "proof@v2")), ProofFileError::Header);
    assert_eq!(refused(good.replace("extra b", "extra ?b")), ProofFileError::Extra);
    assert_eq!(refused(good.replace("index 4", "index 04")), ProofFileError::Index(NumberError::Spelling));
    let huge = refused(good.replace("index 4", "index 9223372036854775808"));
    assert_eq!(huge, ProofFileError::Index(NumberError::TooLarge));
    assert_eq!(refused(good.replace("index 4\n", "")), ProofFileError::Form);
    assert_eq!(refused(good.replace("\n11\n", "\n011\n")), {
        ProofFileError::Checkpoint(CheckpointError::Size(NumberError::Spelling))
    });
    assert_eq!(refused(good.replace('\n', "\r\n")), ProofFileError::Form);
    let line = format!("{}\n", Hash([0; 32]));
    let many = good.replace("index 4\n", &format!("index 4\n{}", line.repeat(MAX_PROOF_HASHES)));
    assert_eq!(refused(many), ProofFileError::TooManyHashes);
    assert_eq!(ProofFile::from_bytes(&vec![b'a'; 1 << 20]), Err(ProofFileError::TooLong));
    assert_eq!(ProofFile::from_bytes(b"\xff"), Err(ProofFileError::Characters));
    let without_extra = ProofFile { extra: None, ..receipt() };
    assert_eq!(without_extra.to_string().parse(), Ok(without_extra));
}

#[test]
fn known_keys_must_verify_and_unknown_ones_are_ignored() {
    let checkpoint: Checkpoint = format!("log.example/audit\n7\n{}\n", Hash([3; 32])).parse().unwrap();
    let (old, new) = (log_key(1), log_key(2));
    let note = checkpoint.sign([&old, &new]).unwrap();
    assert_eq!(note.verify([old.verifier()]).unwrap().len(), 1);
    assert_eq!(note.verify([new.verifier(), old.verifier()]).unwrap().len(), 2);
    assert_eq!(note.verify([log_key(3).verifier()]), Err(NoteError::Unsigned));
    assert_eq!(note.verify([]), Err(NoteError::Unsigned));
    assert_eq!(Checkpoint::open(&note, [new.verifier()]).unwrap().checkpoint, checkpoint);

    // One good signature does not excuse a bad one by another known key.
    let other: Checkpoint = format!("log.example/audit\n8\n{}\n", Hash([3; 32])).parse().unwrap();
    let foreign = other.sign([&old]).unwrap().signatures()[0].clone();
    let mixed =
        SignedNote::new(checkpoint.to_string(), vec![new.sign(&checkpoint.to_string()), foreign]).unwrap();
    assert!(mixed.verify([new.verifier()]).is_ok());
    let invalid = Err(NoteError::Invalid(old.verifier().name().clone()));
    assert_eq!(mixed.verify([old.verifier(), new.verifier()]), invalid);

    // A line that stands twice counts once.
    let line = note.signatures()[0].clone();
    let twice = SignedNote::new(note.text().to_owned(), vec![line.clone(), line.clone()]).unwrap();
    assert_eq!(twice.verify([old.verifier()]).unwrap().len(), 1);
    assert_eq!(note.clone().with_signatures([line]).unwrap(), note);

    let foreign_log: Checkpoint = format!("other.example\n7\n{}\n", Hash([3; 32])).parse().unwrap();
    assert!(matches!(foreign_log.sign([&old]), Err(CheckpointError::ForeignKey(_))));
    // Signed with the right key, but the text speaks of another log.
    let text = foreign_log.to_string();
    let borrowed = SignedNote::new(text.clone(), vec![old.sign(&text)]).unwrap();
    assert!(matches!(Checkpoint::open(&borrowed, [old.verifier()]), Err(CheckpointError::NotByLog(_))));
    // A witness that calls itself like the log is still only a witness.
    let namesake = witness_key("log.example/audit", 5);
    let line = namesake.sign(&checkpoint, 1_700_000_000).unwrap();
    let cosigned = SignedNote::new(checkpoint.to_string(), vec![line]).unwrap();
    assert!(matches!(Checkpoint::open(&cosigned, [namesake.verifier()]), Err(CheckpointError::NotByLog(_))));
}

#[test]
fn checkpoints_of_other_shapes_are_refused() {
    let root = Hash([3; 32]);
    let refused = |text: String| text.parse::<Checkpoint>().unwrap_err();
    assert_eq!(refused(format!("log.example\n7\n{root}")), CheckpointError::Form);
    assert_eq!(refused("log.example\n7\n".to_owned()), CheckpointError::Form);
    assert_eq!(refused(format!("log.example\n7\n{root}\nmore\n")), CheckpointError::ExtensionLines);
    assert_eq!(refused(format!("log.example\n7\n{root}\n\n")), CheckpointError::ExtensionLines);
    assert_eq!(refused(format!("log.example\n+7\n{root}\n")), CheckpointError::Size(NumberError::Spelling));
    assert_eq!(refused(format!("log.example\n\n{root}\n")), CheckpointError::Size(NumberError::Spelling));
    let large = refused(format!("log.example\n18446744073709551616\n{root}\n"));
    assert_eq!(large, CheckpointError::Size(NumberError::TooLarge));
    assert!(matches!(refused(format!("log.example\n7\n{root}=\n")), CheckpointError::Root(_)));
    assert!(matches!(refused(format!("log example\n7\n{root}\n")), CheckpointError::Origin(_)));
    assert_eq!(refused(format!("log.example\n0\n{root}\n")), CheckpointError::EmptyRoot);
}

#[test]
fn notes_of_other_shapes_are_refused() {
    let line = "— log.example AAAAAAA=";
    let refused = |note: String| note.parse::<SignedNote>().unwrap_err();
    assert!(format!("text\n\n{line}\n").parse::<SignedNote>().is_ok());
    assert_eq!(refused(format!("text\n\n{line}")), NoteError::Form);
    assert_eq!(refused(format!("text\n{line}\n")), NoteError::Form);
    assert_eq!(refused("text\n\n".to_owned()), NoteError::Form);
    assert_eq!(refused(format!("text\r\n\r\n{line}\r\n")), NoteError::Characters);
    assert_eq!(refused(format!("te\0xt\n\n{line}\n")), NoteError::Characters);
    assert_eq!(refused(format!("text\n\n{line}\n- log.example AAAAAAA=\n")), NoteError::SignatureLine(2));
    assert_eq!(refused("text\n\n— log.example AAAAAA==\n".to_owned()), NoteError::SignatureLine(1));
    assert_eq!(refused("text\n\n— log.example AAAAAAA\n".to_owned()), NoteError::SignatureLine(1));
    assert_eq!(refused("text\n\n— log.example AAAAAAB=\n".to_owned()), NoteError::SignatureLine(1));
    assert!(matches!(refused("text\n\n— lo+g AAAAAAA=\n".to_owned()), NoteError::Name { line: 1, .. }));
    let lines = format!("{line}\n");
    assert!(format!("text\n\n{}", lines.repeat(64)).parse::<SignedNote>().is_ok());
    assert_eq!(refused(format!("text\n\n{}", lines.repeat(65))), NoteError::TooManySignatures);
    assert_eq!(refused(format!("{}\n\n{line}\n", "a".repeat(MAX_NOTE_BYTES))), NoteError::TooLong);
    let signature: Signature = line.parse().unwrap();
    assert_eq!(SignedNote::new("text".to_owned(), vec![signature.clone()]), Err(NoteError::Form));
    assert_eq!(SignedNote::new("text\n".to_owned(), vec![]), Err(NoteError::Form));
    let long = format!("{}\n", "a".repeat(MAX_NOTE_BYTES - 10));
    assert_eq!(SignedNote::new(long, vec![signature]), Err(NoteError::TooLong));
}

#[test]
fn bundles_hold_exactly_their_entries() {
    let two = Bundle::new(0, 2).unwrap();
    let content = bundle::write([&b"a"[..], b""]).unwrap();
    assert_eq!(content, [0, 1, b'a', 0, 0]);
    assert_eq!(bundle::read(two, &content), Ok(vec![&b"a"[..], b""]));
    assert_eq!(bundle::read(two, &content[..4]), Err(BundleError::Truncated { position: 1 }));
    assert_eq!(bundle::read(two, &content[..3]), Err(BundleError::Width { width: 2 }));
    assert_eq!(bundle::read(two, &[&content[..], &[0, 0]].concat()), Err(BundleError::Width { width: 2 }));
    assert_eq!(bundle::read(two, &[0, 9, 1]), Err(BundleError::Truncated { position: 0 }));
    let long = vec![0; bundle::MAX_ENTRY_BYTES + 1];
    assert!(bundle::write([&long[1..]]).is_ok());
    let refused = BundleError::EntryTooLong { position: 1, bytes: 65_536 };
    assert_eq!(bundle::write([&b"a"[..], &long]), Err(refused));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn tile_paths_and_names_stand_for_each_other(level in 0_u8..64, index in 0_u64..1 << 63, width in 1_u16..257) {
        for index in [index, index >> 30, index >> 50] {
            let tile = Tile::new(level, index, width).unwrap();
            prop_assert_eq!(tile.path().parse(), Ok(TilePath::Hashes(tile)));
            let bundle = Bundle::new(index, width).unwrap();
            prop_assert_eq!(bundle.path().parse(), Ok(TilePath::Entries(bundle)));
        }
    }

    #[test]
    fn checkpoints_and_their_signatures_survive_the_way_through_text(
        name in "[a-z0-9./-]{1,40}", size in 1_u64..1 << 63, root: [u8; 32], seed: [u8; 32], time in 0_u64..1 << 63,
    ) {
        let checkpoint = Checkpoint { origin: name.parse().unwrap(), size, root: Hash(root) };
        let key = SigningKey::from_seed(name.parse().unwrap(), &Zeroizing::new(seed));
        let witness = CosigningKey::from_seed("witness.example".parse().unwrap(), &Zeroizing::new(seed));
        let line = witness.sign(&checkpoint, time).unwrap();
        let note = checkpoint.sign([&key]).unwrap().with_signatures([line]).unwrap();
        let read = SignedNote::from_bytes(note.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&read, &note);
        let keys: Vec<VerifierKey> =
            [key.verifier(), witness.verifier()].map(|key| key.to_string().parse().unwrap()).to_vec();
        let opened = Checkpoint::open(&read, &keys).unwrap();
        prop_assert_eq!(opened.checkpoint, checkpoint);
        prop_assert_eq!(opened.signatures[1].signed_at_secs, Some(time));
    }

    #[test]
    fn bundles_give_back_what_was_put_in(
        entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..257),
        alteration in alteration(),
    ) {
        let name = Bundle::new(0, u16::try_from(entries.len()).unwrap()).unwrap();
        let content = bundle::write(entries.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(bundle::read(name, &content).unwrap(), entries);
        let mut altered = content.clone();
        alteration.made_in(&mut altered, &content);
        if let Ok(read) = bundle::read(name, &altered) {
            prop_assert_eq!(bundle::write(read).unwrap(), altered);
        }
    }
}

#[test]
fn times_beyond_the_format_are_not_signed() {
    let checkpoint = format!("log.example\n7\n{}\n", Hash([3; 32])).parse().unwrap();
    assert_eq!(witness_key("witness.example", 1).sign(&checkpoint, 1 << 63), Err(NumberError::TooLarge));
}
