//! Values that others published or computed: RFC 6962's reference leaves, the examples of the C2SP texts and of Go's
//! note package, and a cosignature made with OpenSSL's Ed25519 (seed 00 01 … 1f).

use dsrd::audit::tlog::{
    Algorithm, Bundle, Checkpoint, CheckpointError, CosigningKey, EMPTY_ROOT, Edge, Hash, KeyError, KeyId,
    NoteError, SignedNote, SigningKey, Tile, TileError, TilePath, VerifierKey, bundles_between, leaf_hash,
    tiles_between,
};
use zeroize::Zeroizing;

pub(crate) const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
pub(crate) const EXAMPLE_NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
pub(crate) const WITNESS_KEY: &str =
    "witness.example.org/w+bac6f48b+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
pub(crate) const WITNESS_LINE: &str = "— witness.example.org/w usb0iwAAAABkGFDLBuRDazBLVac2NE+Y+IjbjQOcXLfF9CSDZVUIoS83rE1nFZsVE8YiWV6Ngr7lV8H6bdoBQGP/l73euDMQ9k+bBQ==";
pub(crate) const CHECKPOINT: &str =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
pub(crate) const LOG_LINE: &str = "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=";

fn counting_seed() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

#[test]
fn the_reference_leaves_of_certificate_transparency_have_the_published_roots() {
    let leaves =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut edge = Edge::new();
    assert_eq!(edge.root(), EMPTY_ROOT);
    for (leaf, root) in leaves.into_iter().zip(roots) {
        edge.push(leaf_hash(&hex::decode(leaf).unwrap()));
        assert_eq!(hex::encode(edge.root().as_bytes()), root);
    }
}

#[test]
fn the_example_key_of_signed_note_verifies_its_example() {
    let key: VerifierKey = EXAMPLE_KEY.parse().unwrap();
    assert_eq!((key.to_string().as_str(), key.algorithm()), (EXAMPLE_KEY, Algorithm::Ed25519));
    assert_eq!(key.id(), KeyId([0x53, 0x0d, 0x90, 0x3a]));
    let note: SignedNote = EXAMPLE_NOTE.parse().unwrap();
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.verify([&key]).unwrap()[0].key, &key);

    let other =
        SignedNote::new("This is an example massage.\n".to_owned(), note.signatures().to_vec()).unwrap();
    assert_eq!(other.verify([&key]), Err(NoteError::Invalid(key.name().clone())));
    assert_eq!(note.verify([&WITNESS_KEY.parse().unwrap()]), Err(NoteError::Unsigned));
}

#[test]
fn a_seed_of_the_go_note_package_signs_byte_for_byte_the_same() {
    let seed = hex::decode("810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173").unwrap();
    let key =
        SigningKey::from_seed("PeterNeumann".parse().unwrap(), &Zeroizing::new(seed.try_into().unwrap()));
    assert_eq!(
        key.verifier().to_string(),
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    );
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    assert_eq!(
        key.sign(text).to_string(),
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    );
}

#[test]
fn the_example_of_a_note_with_empty_lines_within_its_text_is_read_whole() {
    let text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n";
    let note = format!(
        "{text}\n— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    );
    let read: SignedNote = note.parse().unwrap();
    assert_eq!(read.text(), text);
    assert_eq!(read.signatures()[0].name().as_str(), "quasimodo.example/salvatore");
    assert_eq!(read.to_string(), note);
}

#[test]
fn the_example_checkpoint_is_read_and_its_witness_line_kept() {
    let note = format!(
        "{CHECKPOINT}\n{LOG_LINE}\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    );
    let read: SignedNote = note.parse().unwrap();
    let checkpoint: Checkpoint = read.text().parse().unwrap();
    assert_eq!(checkpoint.origin.as_str(), "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size, 20_852_163);
    assert_eq!(
        hex::encode(checkpoint.root.as_bytes()),
        "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    );
    assert_eq!(read.to_string(), note);
    assert_eq!(read.signatures()[1].key_id(), KeyId([0x8d, 0x66, 0xcf, 0x3f]));
}

#[test]
fn a_cosignature_made_by_another_program_is_verified_and_made_again() {
    let key: VerifierKey = WITNESS_KEY.parse().unwrap();
    let note: SignedNote = format!("{CHECKPOINT}\n{LOG_LINE}\n{WITNESS_LINE}\n").parse().unwrap();
    let verified = note.verify([&key]).unwrap();
    assert_eq!(verified.len(), 1);
    assert_eq!(verified[0].signed_at_secs, Some(1_679_315_147));
    // A witness alone does not make a checkpoint of the log.
    let refused = Checkpoint::open(&note, [&key]).unwrap_err();
    assert!(matches!(refused, CheckpointError::NotByLog(_)));

    let witness = CosigningKey::from_seed("witness.example.org/w".parse().unwrap(), &counting_seed());
    assert_eq!(witness.verifier().to_string(), WITNESS_KEY);
    let line = witness.sign(&CHECKPOINT.parse().unwrap(), 1_679_315_147).unwrap();
    assert_eq!(line.to_string(), WITNESS_LINE);
    let later = witness.sign(&CHECKPOINT.parse().unwrap(), 1_679_315_148).unwrap();
    assert_ne!(later, line);

    // The same public key as a log's key has another id, and is not confused with the witness's.
    let log = SigningKey::from_seed("witness.example.org/w".parse().unwrap(), &counting_seed());
    assert_ne!(log.verifier().id(), key.id());
    assert!(!log.verifier().made(&line));
}

#[test]
fn the_debug_form_of_signing_keys_shows_no_seed() {
    let log = SigningKey::from_seed("log.example".parse().unwrap(), &counting_seed());
    let witness = CosigningKey::from_seed("witness.example".parse().unwrap(), &counting_seed());
    assert_eq!(format!("{log:?}"), format!("SigningKey({:?})", log.verifier().to_string()));
    assert_eq!(format!("{witness:?}"), format!("CosigningKey({:?})", witness.verifier().to_string()));
}

#[test]
fn keys_whose_parts_do_not_belong_together_are_refused() {
    let refused = |key: &str| key.parse::<VerifierKey>().unwrap_err();
    let good = EXAMPLE_KEY;
    assert_eq!(refused(&good.replace("foo", "bar")), KeyError::Id);
    assert_eq!(refused(&good.replace("530d903a", "530d903b")), KeyError::Id);
    assert_eq!(refused(&good.replace("530d903a", "530D903A")), KeyError::Form);
    assert_eq!(refused(&good.replace("+Aeky", "+Beky")), KeyError::Algorithm(0x05));
    assert_eq!(refused(&good.replace("example.com/foo", "exa mple")), KeyError::Name);
    assert_eq!(refused(&good.replace("example.com/foo", "")), KeyError::Name);
    assert_eq!(refused("example.com/foo+530d903a"), KeyError::Form);
    assert_eq!(refused(&format!("{good}=")), KeyError::Form);
    // The neutral point of the curve: it would verify signatures of everybody.
    assert_eq!(refused("a+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), KeyError::PublicKey);
}

#[test]
fn paths_are_those_of_the_tlog_tiles_text() {
    let path = |tile: Result<Tile, TileError>| tile.unwrap().path();
    assert_eq!(path(Tile::new(0, 1_234_067, 256)), "tile/0/x001/x234/067");
    assert_eq!(path(Tile::new(1, 0, 17)), "tile/1/000.p/17");
    assert_eq!(path(Tile::new(2, 999, 1)), "tile/2/999.p/1");
    assert_eq!(path(Tile::new(63, 1_000, 255)), "tile/63/x001/000.p/255");
    assert_eq!(Bundle::new(1_234_067, 256).unwrap().path(), "tile/entries/x001/x234/067");
    let largest = u64::try_from(i64::MAX).unwrap();
    let longest = Tile::new(63, largest, 255).unwrap().path();
    assert_eq!(longest.parse(), Ok(TilePath::Hashes(Tile::new(63, largest, 255).unwrap())));

    // "A tree of size 70,000 …"
    let tiles: Vec<_> = tiles_between(0, 70_000).collect();
    let full = |level| tiles.iter().filter(|tile| tile.level() == level && tile.is_full()).count();
    let partial: Vec<_> = tiles.iter().filter(|tile| !tile.is_full()).map(|tile| tile.path()).collect();
    assert_eq!((full(0), full(1), full(2), tiles.len()), (273, 1, 0, 277));
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(bundles_between(0, 70_000).last().unwrap().path(), "tile/entries/273.p/112");
    // "… a tree of size 256 …"
    let paths: Vec<_> = tiles_between(0, 256).map(Tile::path).collect();
    assert_eq!(paths, ["tile/0/000", "tile/1/000.p/1"]);
}

#[test]
fn paths_with_a_second_spelling_or_without_meaning_are_refused() {
    for path in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/300/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/0/+12",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/8/0/000",
        "tile/entries",
        "tile/data/000",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/../000",
    ] {
        assert!(path.parse::<TilePath>().is_err(), "{path:?} was read");
    }
    assert_eq!(Tile::new(64, 0, 1), Err(TileError::Level));
    assert_eq!(Tile::new(0, 0, 0), Err(TileError::Width));
    assert_eq!(Tile::new(0, 0, 257), Err(TileError::Width));
    assert!(matches!(Bundle::new(1 << 63, 1), Err(TileError::Index(_))));
    // The last character carries bits that belong to no byte.
    assert!(Hash::from_base64("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=").is_err());
}
