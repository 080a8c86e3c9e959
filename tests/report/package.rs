//! The package as a file: names, privacy, errors, any records.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use dsrd::report::{
    FILE_NAMES, Package, PackageKey, ReportError, Section, Settings, Spool, open_package, prepare_directory,
    read_package,
};
use proptest::prelude::*;

use crate::ground::{archive, csv_rows, files, header, json, settings, spool, unpack};
use crate::hostile::hostile;
use crate::required::skipped;

#[test]
fn s_18_names_come_from_a_fixed_list_and_other_unpackers_open_the_package() {
    let names = ["../../etc/passwd", "C:\\x", "a\0b", "REPORT.HTML", "\u{202e}fdp.exe"];
    let long = "n".repeat(300);
    let mut records = hostile(&names);
    records.push((Section::Events, format!("{{\"{long}\":\"{long}\",\"../x\":1}}")));
    let borrowed: Vec<_> = records.iter().map(|(section, record)| (*section, record.as_str())).collect();
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let package = Package::write(&header(), spool(&settings, &borrowed), &settings).unwrap();
    let clear = archive(&settings, &package);
    let entries = unpack(clear.clone());
    let mut expected = FILE_NAMES.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(entries.keys().cloned().collect::<Vec<_>>(), expected);

    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("package.zip");
    fs::write(&path, &clear).unwrap();
    let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                  print('\\n'.join(f'{i.filename} {i.file_size}' for i in z.infolist()))";
    let (mut readers, mut missing) = (Vec::new(), Vec::new());
    if let Ok(output) = Command::new("python3").args(["-c", script]).arg(&path).output() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listed = String::from_utf8(output.stdout).unwrap();
        for (name, bytes) in &entries {
            assert!(listed.lines().any(|line| line == format!("{name} {}", bytes.len())), "{name}: {listed}");
        }
        readers.push("python3");
    } else {
        missing.push("python3");
    }
    // Each into a directory of its own: the same names with the same bytes, and nothing beside them.
    for (program, arguments) in
        [("unzip", vec!["-qq"]), ("bsdtar", vec!["-xf"]), ("7z", vec!["x", "-bd", "-bso0"])]
    {
        let there = tempfile::tempdir().unwrap();
        let run = Command::new(program).args(arguments).arg(&path).current_dir(there.path()).output();
        let Ok(output) = run else {
            missing.push(program);
            continue;
        };
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        let unpacked: BTreeMap<String, Vec<u8>> = files(there.path())
            .into_iter()
            .map(|name| (name.clone(), fs::read(there.path().join(name)).unwrap()))
            .collect();
        assert!(unpacked == entries, "{program}: {:?}", unpacked.keys());
        readers.push(program);
    }
    if readers.len() < 3 {
        skipped(&format!(
            "three other unpackers open the package: {readers:?} did, {missing:?} are not here"
        ));
    }
}

#[test]
fn s_44_a_package_is_private_encrypted_and_opens_with_its_key_only() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory.path().join("packages"));
    prepare_directory(&settings.directory).unwrap();
    let record = r#"{"name":"CANARY-CANARY-CANARY"}"#;
    let package =
        Package::write(&header(), spool(&settings, &[(Section::Events, record)]), &settings).unwrap();
    assert_eq!(files(&settings.directory), [package.manifest.file_name.as_str()]);
    let path = settings.directory.join(&package.manifest.file_name);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&settings.directory).unwrap().mode() & 0o777, 0o700);
    assert_eq!(metadata.len(), package.manifest.bytes);

    let sealed = fs::read(&path).unwrap();
    assert_eq!(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&sealed)), package.manifest.sha256);
    for clear in [&b"CANARY"[..], b"PK\x03\x04", b"report.html"] {
        assert!(!sealed.windows(clear.len()).any(|window| window == clear));
    }
    let shown = format!("{package:?} {}", serde_json::to_string(&package.manifest).unwrap());
    assert!(!shown.contains("CANARY") && !shown.contains("AGE-SECRET-KEY"), "{shown}");

    let again = PackageKey::parse(package.key.expose()).unwrap();
    assert!(open_package(&path, &again, &mut Vec::new()).is_ok());
    assert!(matches!(PackageKey::parse("wrong"), Err(ReportError::Key)));
    let other = Package::write(&header(), spool(&settings, &[]), &settings).unwrap();
    assert!(matches!(read_package(&path, &other.key), Err(ReportError::DoesNotOpen { .. })));

    let mut altered = sealed.clone();
    *altered.last_mut().unwrap() ^= 1;
    fs::write(&path, &altered).unwrap();
    assert!(matches!(open_package(&path, &package.key, &mut Vec::new()), Err(ReportError::HandOver { .. })));
    fs::write(&path, &sealed[..sealed.len() - 100]).unwrap();
    assert!(open_package(&path, &package.key, &mut Vec::new()).is_err());
    fs::remove_file(&path).unwrap();
    assert!(matches!(read_package(&path, &package.key), Err(ReportError::Read { .. })));
}

#[test]
fn f_19_s_12_errors_are_typed_and_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let small = Settings { largest_package_bytes: 10_000, ..settings.clone() };
    // Hashes do not compress, so the package cannot be small.
    let noise: String = (0..1_000_u32)
        .map(|number| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(number.to_le_bytes())))
        .collect();
    let record = format!("{{\"noise\":\"{noise}\"}}");
    let error = Package::write(&header(), spool(&small, &[(Section::Events, &record)]), &small).unwrap_err();
    assert!(
        matches!(error, ReportError::TooLarge { setting: "largest_package_bytes", limit_bytes: 10_000 }),
        "{error}"
    );
    assert_eq!(files(directory.path()), Vec::<String>::new());

    // The directory vanishes, or a file stands in its place, between the two passes.
    let full = spool(&settings, &[(Section::Events, &record)]);
    let gone = Settings { directory: directory.path().join("gone"), ..settings.clone() };
    let error = Package::write(&header(), full, &gone).unwrap_err();
    assert!(matches!(error, ReportError::Write { .. }), "{error}");
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(prepare_directory(&file.join("below")), Err(ReportError::Directory { .. })));
    assert_eq!(files(directory.path()), ["file"]);
}

#[test]
fn reports_can_be_made_in_any_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<Spool>();
    assert_send::<Package>();
    assert_send::<dsrd::report::PackageReader>();
    assert_send::<ReportError>();
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[=+@ \t\r\n,\";'-]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::btree_map("[a-c.\"\n=\u{0}]{0,2}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_records_give_as_many_csv_rows_and_the_same_json(
        records in prop::collection::vec(any_json(), 0..12),
        csv_columns in 1_u32..6,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { csv_columns, ..settings(directory.path()) };
        let texts: Vec<String> = records.iter().map(ToString::to_string).collect();
        let borrowed: Vec<_> = texts.iter().map(|record| (Section::Accountings, record.as_str())).collect();
        let package = Package::write(&header(), spool(&settings, &borrowed), &settings).unwrap();
        let entries = unpack(archive(&settings, &package));
        let (_, rows) = csv_rows(&entries, Section::Accountings);
        prop_assert_eq!(rows.len(), records.len());
        let report = json(&entries);
        let read: Vec<&str> = report.records[&Section::Accountings].iter().map(|record| record.get()).collect();
        prop_assert_eq!(read, texts);
    }
}
