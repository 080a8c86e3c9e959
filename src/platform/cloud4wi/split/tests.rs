//! The splitter against every envelope, every cut, and `serde_json`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const NAMES: &[&str] = &["customers", "data"];
const LIMITS: RecordLimits = RecordLimits { max_bytes: 64 * 1024, max_depth: 64 };

struct Split {
    records: Vec<String>,
    unreadable: u64,
    envelope: Envelope,
}

fn split_in(pieces: &[&[u8]]) -> Result<Split, SplitError> {
    let mut records = Vec::new();
    let mut splitter = Splitter::new(NAMES, LIMITS);
    let mut sink = |text: &[u8]| match std::str::from_utf8(text) {
        Ok(text) if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() => {
            records.push(text.to_owned());
            true
        }
        _ => false,
    };
    for piece in pieces {
        splitter.push(piece, &mut sink)?;
    }
    let envelope = splitter.finish(&mut sink)?;
    let unreadable = splitter.unreadable();
    Ok(Split { records, unreadable, envelope })
}

fn split(text: &str) -> Result<Split, SplitError> {
    split_in(&[text.as_bytes()])
}

#[test]
fn the_list_is_found_in_every_accepted_envelope_and_metadata_may_follow() {
    for text in [
        r#"[{"cid":"a"},{"cid":"b"}]"#,
        r#"{"generated":"x","size":2,"customers":[{"cid":"a"} , {"cid":"b"}],"sid":"s"}"#,
        r#"{"rows":[{"cid":"a"},{"cid":"b"}],"warnings":[],"sid":"s","codes":[1,[2],"]"]}"#,
        r#"{"links":[{"href":"x"}],"customers":[{"cid":"a"},{"cid":"b"}],"sid":"s"}"#,
        r#"{"customers":[{"cid":"a"},{"cid":"b"}],"links":[{"href":"x"}],"sid":"s"}"#,
        "\u{feff} {\"cust\\u006fmers\":[\n{\"cid\":\"a\"}\n,{\"cid\":\"b\"}]\n,\"sid\":\"s\"}\n",
    ] {
        let found = split(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(found.records, [r#"{"cid":"a"}"#, r#"{"cid":"b"}"#], "{text}");
        if text.contains("sid\":") {
            assert_eq!(found.envelope.member("sid"), Some(br#""s""#.as_slice()), "{text}");
        }
    }
}

#[test]
fn f_33_an_unknown_envelope_is_an_error_and_never_an_empty_list() {
    for text in [
        "",
        "  ",
        "null",
        "<html></html>",
        "\"text\"",
        "12",
        "{}",
        r#"{"rows":[]}"#,
        r#"{"customers":null}"#,
        r#"{"rows":[{}],"others":[{}]}"#,
        r#"{"customers":[],"data":[{}]}"#,
        r#"{"a":{"customers":[{}]}}"#,
        r#"{"customers":[{}]} trailing"#,
        r#"{"customers":[,]}"#,
        "{customers:[]}",
        r#"{"a" 1}"#,
    ] {
        assert!(matches!(split(text), Err(SplitError::Shape(_))), "{text}");
    }
    assert_eq!(split(r#"{"customers":[]}"#).unwrap().records.len(), 0);
    assert_eq!(split("[]").unwrap().records.len(), 0);
}

#[test]
fn f_32_an_answer_cut_anywhere_is_never_taken_for_complete() {
    let text = r#"{"customers":[{"cid":"a]"},{"cid":"b\"}"}],"sid":"s","n":12}"#;
    for cut in 1..text.len() {
        assert_eq!(split(&text[..cut]).err(), Some(SplitError::Cut), "{}", &text[..cut]);
    }
}

#[test]
fn f_8_one_bad_record_among_ten_thousand_is_counted_and_left_out() {
    for bad in [
        r#"{"cid":}"#.to_owned(),
        "7".to_owned(),
        "null".to_owned(),
        "[1]".to_owned(),
        format!(r#"{{"a":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000)),
        format!(r#"{{"a":"{}"}}"#, "x".repeat(LIMITS.max_bytes)),
    ] {
        let mut text = String::from("{\"customers\":[");
        for number in 0..10_000 {
            if number == 5000 {
                text.push_str(&bad);
            } else {
                text.push_str(r#"{"cid":"#);
                text.push_str(&number.to_string());
                text.push('}');
            }
            text.push(if number == 9_999 { ']' } else { ',' });
        }
        text.push('}');
        let found = split_in(&text.as_bytes().chunks(1000).collect::<Vec<_>>()).unwrap();
        assert_eq!((found.records.len(), found.unreadable), (9_999, 1), "{bad:.20}");
    }
}

#[test]
fn a_long_list_of_unknown_name_is_delivered_while_it_arrives() {
    let record = format!(r#"{{"a":"{}"}}"#, "x".repeat(1000));
    let many = vec![record.as_str(); 3000].join(",");
    let mut splitter = Splitter::new(NAMES, LIMITS);
    let mut seen = 0;
    let mut sink = |_: &[u8]| {
        seen += 1;
        true
    };
    splitter.push(format!(r#"{{"rows":[{many}"#).as_bytes(), &mut sink).unwrap();
    assert!(splitter.held_bytes == 0 && splitter.records() > 2000);
    splitter.push(br#"],"others":["#, &mut sink).unwrap();
    // Records were handed out already; a second list makes the answer ambiguous, loudly.
    assert!(splitter.push(b"{}]}", &mut sink).is_err());
    assert!(seen >= 2999);
}

#[test]
fn nesting_counts_brackets_outside_of_strings() {
    assert_eq!(nesting(br#"{"a":[{"b":"[[[["}]}"#), 3);
    assert_eq!(nesting(b"12"), 0);
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~\"\\\\\\[\\]{},:é\u{2028}\n]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-c\"\\\\]{0,3}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_list_in_any_pieces_gives_the_records_that_serde_json_reads(
        list in prop::collection::vec(json(), 0..8),
        before in json(), after in json(), bare in any::<bool>(), pretty in any::<bool>(), size in 1_usize..40,
    ) {
        let whole = if bare {
            Value::from(list.clone())
        } else {
            serde_json::json!({"customers": list, "a_before": before, "z_after": after})
        };
        let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.unwrap();
        let found = split_in(&text.as_bytes().chunks(size).collect::<Vec<_>>()).unwrap();
        let read: Vec<Value> = found.records.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        // What serde_json itself reads is the measure: floats lose digits on their way through text.
        let again: Value = serde_json::from_str(&text).unwrap();
        let expected = if bare { again } else { again["customers"].clone() };
        let objects: Vec<Value> = expected.as_array().unwrap().iter().filter(|each| each.is_object()).cloned().collect();
        prop_assert_eq!(found.unreadable, (list.len() - objects.len()) as u64);
        prop_assert_eq!(read, objects);
        if !bare && !after.is_array() {
            let kept: Value = serde_json::from_slice(found.envelope.member("z_after").unwrap()).unwrap();
            prop_assert_eq!(kept, serde_json::from_str::<Value>(&text).unwrap()["z_after"].clone());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..20) {
        drop(split_in(&bytes.chunks(size).collect::<Vec<_>>()));
    }

    #[test]
    fn any_text_of_json_characters_is_read_without_panic(text in "[\\[\\]{}\",:a1 \\\\]{0,60}", size in 1_usize..20) {
        drop(split_in(&text.as_bytes().chunks(size).collect::<Vec<_>>()));
    }
}
