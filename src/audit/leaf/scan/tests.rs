//! The pass over the bytes, compared with a general reader of JSON.

use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;

use super::super::by_form;
use super::*;

/// The largest number of a detail.
const LARGEST: i64 = 999_999_999_999_999;

fn uuids() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

type Words = (
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);
type Rest =
    (u64, Option<u64>, Option<u64>, Uuid, Option<Uuid>, Option<Uuid>, BTreeMap<String, DetailValue>, u8);

fn leaf_of((words, rest): (Words, Rest)) -> Leaf {
    let (action, actor, outcome, policy, subject_c, tenant, w, build) = words;
    let (at_us, n, sealed_us, id, case, intent, detail, v) = rest;
    Leaf {
        action,
        actor,
        at_us,
        build,
        case,
        detail,
        id,
        intent,
        n,
        outcome,
        policy,
        sealed_us,
        subject_c,
        tenant,
        v,
        w,
    }
}

/// Entries that keep every rule.
fn entries() -> impl Strategy<Value = Leaf> {
    let value = prop_oneof![
        any::<bool>().prop_map(DetailValue::Flag),
        prop_oneof![-3..3_i64, Just(LARGEST), Just(-LARGEST)].prop_map(DetailValue::Number),
        "[a-zA-Z0-9_.:/+ -]{0,12}".prop_map(DetailValue::Word),
    ];
    let number = || prop_oneof![0..20_u64, 0..TOO_LARGE, Just(TOO_LARGE - 1)];
    let words = (
        "[a-z_]{1,6}\\.[a-z_]{1,6}(\\.[a-z_]{1,6})?",
        "(person:[0-9a-f]{32})|((process|schedule|producer):[a-zA-Z0-9_.-]{1,12})",
        option::of("[a-z_]{1,6}"),
        option::of("[0-9a-f]{64}"),
        option::of("[0-9a-f]{64}"),
        option::of("[a-z0-9-]{1,6}"),
        option::of("[0-9a-f]{16}"),
        option::of("[a-zA-Z0-9+.-]{1,6}"),
    );
    let rest = (
        number(),
        option::of(number()),
        option::of(number()),
        uuids(),
        option::of(uuids()),
        option::of(uuids()),
        btree_map("[a-z][a-z0-9_]{0,4}", value, 0..4),
        0..2_u8,
    );
    (words, rest).prop_map(leaf_of)
}

/// Entries of every form, most of which break a rule.
fn leaves() -> impl Strategy<Value = Leaf> {
    let value = prop_oneof![
        any::<bool>().prop_map(DetailValue::Flag),
        (-LARGEST - 10..LARGEST + 10).prop_map(DetailValue::Number),
        prop_oneof![Just(LARGEST), Just(LARGEST + 1), Just(-LARGEST - 1)].prop_map(DetailValue::Number),
        (-3..3_i64).prop_map(DetailValue::Number),
        "[a-zA-Z0-9_.:/+ -]{0,12}".prop_map(DetailValue::Word),
    ];
    let number = || prop_oneof![0..20_u64, any::<u64>().prop_map(|number| number >> 10)];
    let words = (
        "[a-z_]{0,6}\\.[a-z_]{1,6}(\\.[a-z_]{1,6})?",
        "(person:[0-9a-f]{32})|((process|schedule|producer):[a-zA-Z0-9_.-]{0,12})",
        option::of("[a-z_]{0,6}"),
        option::of("[0-9a-f]{64}"),
        option::of("[0-9a-f]{63,64}"),
        option::of("[a-z0-9-]{0,6}"),
        option::of("[0-9a-f]{16}"),
        option::of("[a-zA-Z0-9+.-]{0,6}"),
    );
    let rest = (
        number(),
        option::of(number()),
        option::of(number()),
        uuids(),
        option::of(uuids()),
        option::of(uuids()),
        btree_map("[a-z_][a-z0-9_]{0,4}", value, 0..4),
        0..3_u8,
    );
    (words, rest).prop_map(leaf_of)
}

/// What is nearly an entry: what somebody writes who does not know the one spelling, or who tries how much is let through.
#[derive(Clone, Copy, Debug)]
enum Slip {
    /// A zero before a number.
    Zero,
    /// A number that is "-0".
    MinusZero,
    /// A number of sixteen digits in the detail.
    Large(i64),
    /// An instant that not every reader of JSON can hold.
    Late(u64),
    /// A member of the detail once more.
    Twice,
    /// The members of the detail the other way round.
    Backwards,
    /// A capital letter in an id.
    Capital,
    /// White space between two fields.
    Space,
    /// Something behind the entry.
    After(char),
}

fn slips() -> impl Strategy<Value = Slip> {
    prop_oneof![
        Just(Slip::Zero),
        Just(Slip::MinusZero),
        prop_oneof![Just(LARGEST + 1), Just(-LARGEST - 1)].prop_map(Slip::Large),
        prop_oneof![Just(TOO_LARGE), Just(u64::MAX)].prop_map(Slip::Late),
        Just(Slip::Twice),
        Just(Slip::Backwards),
        Just(Slip::Capital),
        Just(Slip::Space),
        prop_oneof![Just(' '), Just('}'), Just('\n'), Just('0')].prop_map(Slip::After),
    ]
}

impl Slip {
    /// The bytes with the slip; nothing where there is no place for it.
    fn made_in(self, leaf: &Leaf, place: prop::sample::Index) -> Option<String> {
        let text = String::from_utf8(leaf.to_bytes()).unwrap();
        let members: Vec<String> =
            leaf.detail.iter().map(|(key, value)| format!("{}:{}", json(key), json(value))).collect();
        let with_detail =
            |members: &[String]| text.replacen(&json(&leaf.detail), &format!("{{{}}}", members.join(",")), 1);
        // No word holds a quotation mark: one before a colon closes a key, unless it opens a word that begins with a colon; only then a colon stands before it.
        let starts_of = |first: fn(char) -> bool| -> Vec<usize> {
            let keys_ends = text.match_indices("\":").filter(|(at, _)| !text[..*at].ends_with(':'));
            let values = keys_ends.map(|(at, found)| at + found.len());
            values.filter(|at| text[*at..].starts_with(first)).collect()
        };
        let one_of = |places: &[usize]| (!places.is_empty()).then(|| places[place.index(places.len())]);
        match self {
            Self::Zero => {
                let at = one_of(&starts_of(|first| first.is_ascii_digit()))?;
                Some(format!("{}0{}", &text[..at], &text[at..]))
            }
            Self::MinusZero => {
                let at = one_of(&starts_of(|first| first.is_ascii_digit() || first == '-'))?;
                let rest = text[at..].trim_start_matches(|each: char| each.is_ascii_digit() || each == '-');
                Some(format!("{}-0{rest}", &text[..at]))
            }
            Self::Late(at_us) => {
                let late = Leaf { at_us, ..leaf.clone() };
                Some(String::from_utf8(late.to_bytes()).unwrap())
            }
            Self::Large(number) => {
                let last = format!("\"zzzzzz\":{number}");
                Some(with_detail(&[members, vec![last]].concat()))
            }
            Self::Twice => {
                let first = members.first()?.clone();
                Some(with_detail(&[vec![first], members].concat()))
            }
            Self::Backwards => {
                let backwards: Vec<String> = members.iter().rev().cloned().collect();
                (members.len() > 1).then(|| with_detail(&backwards))
            }
            Self::Capital => {
                let id = leaf.id.to_string();
                let capital = id.to_uppercase();
                (capital != id).then(|| text.replacen(&id, &capital, 1))
            }
            Self::Space => {
                let commas: Vec<usize> = text.match_indices(',').map(|(at, _)| at + 1).collect();
                let at = one_of(&commas)?;
                Some(format!("{} {}", &text[..at], &text[at..]))
            }
            Self::After(sign) => Some(format!("{text}{sign}")),
        }
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// What this pass says, and what reading as any JSON and writing again says.
fn both(bytes: &[u8]) -> (Result<Leaf, LeafError>, Result<Leaf, LeafError>) {
    (parse(bytes), by_form(bytes))
}

proptest! {
    #[test]
    fn one_pass_says_what_reading_and_writing_again_says(leaf in prop_oneof![leaves(), entries()]) {
        let (seen, by_form) = both(&leaf.to_bytes());
        prop_assert_eq!(seen, by_form);
    }

    #[test]
    fn one_pass_reads_every_entry(leaf in entries()) {
        prop_assert_eq!(parse(&leaf.to_bytes()), Ok(leaf));
    }

    #[test]
    fn one_pass_refuses_what_is_nearly_an_entry(
        leaf in entries(),
        slips in [slips(), slips(), slips(), slips()],
        place: prop::sample::Index,
    ) {
        for slip in slips {
            let Some(altered) = slip.made_in(&leaf, place) else { continue };
            let (seen, by_form) = both(altered.as_bytes());
            prop_assert!(seen.is_err(), "{:?}: {}", slip, altered);
            prop_assert_eq!(seen, by_form);
        }
    }

    #[test]
    fn and_does_so_of_altered_entries(
        leaf in entries(),
        place: prop::sample::Index,
        length in 0..3_usize,
        instead in prop_oneof![
            "[ -~]{0,2}",
            Just("\\u0061".to_owned()),
            Just("null".to_owned()),
            Just("-0".to_owned()),
            Just("00".to_owned()),
            Just("A".to_owned()),
            Just("\",\"".to_owned()),
            Just("é".to_owned()),
        ],
    ) {
        let mut bytes = leaf.to_bytes();
        let from = place.index(bytes.len());
        let to = (from + length).min(bytes.len());
        bytes.splice(from..to, instead.bytes());
        let (seen, by_form) = both(&bytes);
        prop_assert_eq!(seen, by_form);
    }

    #[test]
    fn a_part_taken_from_elsewhere_changes_nothing_of_it(
        leaf in entries(),
        from: prop::sample::Index,
        length in 1..40_usize,
        to: prop::sample::Index,
    ) {
        let mut bytes = leaf.to_bytes();
        let from = from.index(bytes.len());
        let part = bytes[from..(from + length).min(bytes.len())].to_vec();
        let to = to.index(bytes.len());
        bytes.splice(to..to, part);
        let (seen, by_form) = both(&bytes);
        prop_assert_eq!(seen, by_form);
    }

    #[test]
    fn a_view_shows_the_fields(leaf in entries()) {
        let bytes = LeafBytes::of(leaf.to_bytes().into());
        prop_assert!(bytes.is_ok(), "{:?}", bytes);
        if let Ok(bytes) = bytes {
            let view = bytes.view();
            prop_assert_eq!((view.action(), view.actor()), (leaf.action.as_str(), leaf.actor.as_str()));
            prop_assert_eq!((view.outcome(), view.tenant()), (leaf.outcome.as_deref(), leaf.tenant.as_deref()));
            prop_assert_eq!((view.subject_c(), view.w()), (leaf.subject_c.as_deref(), leaf.w.as_deref()));
            prop_assert_eq!((view.case(), view.id(), view.intent()), (leaf.case, leaf.id, leaf.intent));
            prop_assert_eq!((view.at_us(), view.n(), view.v()), (leaf.at_us, leaf.n, leaf.v));
            prop_assert_eq!(view.detail_text(), serde_json::to_string(&leaf.detail).unwrap());
            for (key, value) in &leaf.detail {
                let (number, word) = match value {
                    DetailValue::Flag(_) => (None, None),
                    DetailValue::Number(number) => (Some(*number), None),
                    DetailValue::Word(word) => (None, Some(word.as_str())),
                };
                prop_assert_eq!((view.detail_number(key), view.detail_word(key)), (number, word));
            }
            prop_assert_eq!(view.to_leaf(), leaf);
        }
    }
}
