//! Two parsers drive the same visitor over the same text: they set the same cells, or both refuse.
//!
//! Two exceptions. `serde_json` as it is built here reads a float within 2 units of the last
//! place; the fast parser rounds correctly, which is checked against the standard library. And a
//! value with two faults is refused for the one its parser comes to first: of `-07` in the place
//! of an object, the fast parser hands out `-0` before it sees that no number goes on like that.

use pelton::ring::Reason;
use pelton::schema::{Place, Scalar};
use pelton::source::decode::{Names, json};
use pelton::source::rows::{Cells, Fault};
use pelton_kernels::cases::scaled;
use proptest::prelude::*;

/// A scalar that owns its text.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// Keeps what is set; refuses the text `refuse`.
#[derive(Debug, Default)]
struct Recorder(Vec<(usize, Owned)>);

impl Cells for Recorder {
    fn set(&mut self, field: usize, value: Scalar<'_>) -> Result<(), Fault> {
        let owned = match value {
            Scalar::Null => Owned::Null,
            Scalar::Bool(value) => Owned::Bool(value),
            Scalar::Int(value) => Owned::Int(value),
            Scalar::Float(value) => Owned::Float(value),
            Scalar::Text("refuse") => {
                return Err(Fault { reason: Reason::OutOfRange, field: Some(field) });
            }
            Scalar::Text(value) => Owned::Text(value.to_owned()),
        };
        self.0.push((field, owned));
        Ok(())
    }
}

fn names() -> Names {
    let places = ["a", "b", "c.a", "c.d.e", "", "é"].map(|path| Place::Body(path.to_owned()));
    Names::of_places(&places)
}

fn by_sonic(names: &Names, bytes: &[u8]) -> Result<Vec<(usize, Owned)>, Fault> {
    let mut cells = Recorder::default();
    json::decode_record(bytes, names, &mut cells).map(|()| cells.0)
}

fn by_serde_json(names: &Names, bytes: &[u8]) -> Result<Vec<(usize, Owned)>, Fault> {
    let mut cells = Recorder::default();
    let text = json::checked_text(bytes, names)?;
    let mut parser = serde_json::Deserializer::from_str(text);
    json::read_object(&mut parser, names, &mut cells)?;
    parser.end().map_err(|_| Fault::record(Reason::Unparsable))?;
    Ok(cells.0)
}

fn are_alike(a: &Owned, b: &Owned) -> bool {
    match (a, b) {
        (Owned::Float(a), Owned::Float(b)) => a.to_bits().abs_diff(b.to_bits()) <= 2,
        _ => a == b,
    }
}

fn assert_agreement(bytes: &[u8]) {
    let names = names();
    let shown = String::from_utf8_lossy(bytes);
    // Twice: the second time the names expect the order of the first.
    for _ in 0..2 {
        match (by_sonic(&names, bytes), by_serde_json(&names, bytes)) {
            (Ok(sonic), Ok(serde)) => {
                let alike = sonic.len() == serde.len()
                    && sonic.iter().zip(&serde).all(|(a, b)| a.0 == b.0 && are_alike(&a.1, &b.1));
                assert!(alike, "{shown}\n{sonic:?}\n{serde:?}");
            }
            (Err(sonic), Err(serde)) => {
                let reasons = [sonic.reason, serde.reason];
                assert!(sonic == serde || reasons.contains(&Reason::Unparsable), "{shown}");
            }
            (sonic, serde) => panic!("{shown}\n{sonic:?}\n{serde:?}"),
        }
    }
}

/// A number as a record may spell it, also wrongly.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|i| i.to_string()),
        any::<u64>().prop_map(|i| i.to_string()),
        any::<f64>().prop_map(|x| format!("{x:?}")),
        "-?[0-9]{1,25}",
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        "[-+.0-9eE]{1,8}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-f ]{0,40}",
        Just("refuse".to_owned()),
        "(\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude00|[a\"{}é]){0,12}",
        "\\PC{0,12}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        number(),
        text().prop_map(|text| format!("\"{text}\"")),
        "true|false|null|nul|True|NaN|Infinity|",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            object_of(inner),
        ]
    })
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = prop_oneof!["[a-e]", Just(String::new()), Just("c.a".to_owned()), text()];
    let member = (name, "[ \t]{0,2}", value).prop_map(|(n, s, v)| format!("{s}\"{n}\"{s}:{s}{v}"));
    prop::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(",")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(20_000)))]

    #[test]
    fn on_records(record in object_of(value())) {
        assert_agreement(record.as_bytes());
    }

    #[test]
    fn on_mutated_records(
        record in object_of(value()),
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut mutated = record.into_bytes();
        let at = at.index(mutated.len());
        mutated.splice(at..(at + 1), bytes);
        assert_agreement(&mutated);
    }

    #[test]
    fn floats_are_correctly_rounded(
        number in "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,25}([eE][+-]?[0-9]{1,2})?",
    ) {
        let read = by_sonic(&names(), format!("{{\"a\":{number}}}").as_bytes());
        let expected = number.parse::<f64>().expect("a number") + 0.0;
        let [(0, Owned::Float(read))] = read.expect("valid")[..] else { panic!("one float") };
        prop_assert_eq!(read.to_bits(), expected.to_bits());
    }
}

#[test]
fn at_the_limits_of_depth() {
    for depth in [json::DEPTH_MAX - 1, json::DEPTH_MAX, 127, 128, 254, 300] {
        let nested = |open: &str, close: &str| {
            let record = format!("{{\"x\":{}{}}}", open.repeat(depth), close.repeat(depth));
            assert_agreement(record.as_bytes());
            by_sonic(&names(), record.as_bytes()).is_ok()
        };
        assert_eq!(nested("[", "]"), depth < json::DEPTH_MAX);
        nested("{\"c\":", "}");
        assert!(
            by_sonic(&names(), format!("{{\"x\":\"{}\"}}", "[".repeat(depth)).as_bytes()).is_ok()
        );
    }
}
