//! Hostile records: each is rejected with its reason, and its neighbours do not move by a bit.

use pelton::ring::{Position, Reason, Slot};
use pelton::schema::{LabelMeaning, Place, Target, TimeUnit};
use pelton::source::decode::{LabelFields, LabelNames, MessageParts, Names, event, label};
use pelton::source::file::{FileOptions, open};
use pelton_kernels::cases::scaled;
use proptest::prelude::*;

use super::{decoded, drained, field, payments, rows};

const BEFORE: &[u8] =
    br#"{"id":"a-1","ts":1000,"amount":1.5,"card":"c1","shop":{"country":"NL"},"label":1}"#;
const AFTER: &[u8] =
    br#"{"id":2,"ts":2000,"amount":-0.25,"card":7,"shop":{"country":"\u00e9"},"label":null}"#;

/// Bytes that are no record at all, whoever reads them.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let mut cases: Vec<(&str, Vec<u8>)> = [
        ("empty", &b""[..]),
        ("blank", b" \n\t "),
        ("zeros", b"\0\0\0\0"),
        ("byte order mark", b"\xef\xbb\xbf{\"id\":1,\"ts\":1}"),
        ("utf-16", b"{\0\"\0i\0d\0\"\0:\x001\0}\0"),
        ("truncated in a name", b"{\"id"),
        ("truncated after a name", b"{\"id\":"),
        ("truncated in a text", b"{\"id\":\"abc"),
        ("truncated in an escape", b"{\"id\":\"abc\\u00"),
        ("truncated in a number", b"{\"id\":1,\"ts\":1e"),
        ("truncated before the end", b"{\"id\":1,\"ts\":1"),
        ("trailing comma", b"{\"id\":1,\"ts\":1,}"),
        ("leading comma", b"{,\"id\":1,\"ts\":1}"),
        ("no comma", b"{\"id\":1 \"ts\":1}"),
        ("no colon", b"{\"id\" 1}"),
        ("trailing garbage", b"{\"id\":1,\"ts\":1}x"),
        ("two records", b"{\"id\":1,\"ts\":1}{\"id\":2,\"ts\":2}"),
        ("text after the end", b"{\"id\":1,\"ts\":1}\0"),
        ("an array", b"[{\"id\":1,\"ts\":1}]"),
        ("a text", b"\"id\""),
        ("a number", b"42"),
        ("null", b"null"),
        ("bare name", b"{id:1,ts:1}"),
        ("single quotes", b"{'id':1,'ts':1}"),
        ("comment", b"{\"id\":1,/* */\"ts\":1}"),
        ("NaN", b"{\"id\":1,\"ts\":1,\"x\":NaN}"),
        ("Infinity", b"{\"id\":1,\"ts\":1,\"x\":Infinity}"),
        ("-Infinity", b"{\"id\":1,\"ts\":1,\"x\":-Infinity}"),
        ("beyond f64", b"{\"id\":1,\"ts\":1,\"x\":1e400}"),
        ("leading zero", b"{\"id\":1,\"ts\":1,\"x\":01}"),
        ("plus sign", b"{\"id\":1,\"ts\":1,\"x\":+1}"),
        ("bare point", b"{\"id\":1,\"ts\":1,\"x\":1.}"),
        ("hexadecimal", b"{\"id\":1,\"ts\":1,\"x\":0x10}"),
        ("bare minus", b"{\"id\":1,\"ts\":1,\"x\":-}"),
        ("python's true", b"{\"id\":1,\"ts\":1,\"x\":True}"),
        ("tab in a text", b"{\"id\":1,\"ts\":1,\"x\":\"a\tb\"}"),
        ("line end in a name", b"{\"id\":1,\"ts\":1,\"x\ny\":1}"),
        ("unknown escape", b"{\"id\":1,\"ts\":1,\"x\":\"\\q\"}"),
        ("escape over a quote", b"{\"id\":1,\"ts\":1,\"x\":\"\\u\"}\",\"y\":\"    \"}"),
        ("lone surrogate", b"{\"id\":1,\"ts\":1,\"x\":\"\\ud800\"}"),
        ("swapped surrogates", b"{\"id\":1,\"ts\":1,\"x\":\"\\udc00\\ud800\"}"),
        ("not UTF-8 in an unwanted value", b"{\"id\":1,\"ts\":1,\"x\":\"\xff\"}"),
        ("not UTF-8 in a name", b"{\"id\":1,\"ts\":1,\"\xc3\x28\":1}"),
        ("overlong UTF-8", b"{\"id\":1,\"ts\":1,\"x\":\"\xc0\xaf\"}"),
        ("surrogate in UTF-8", b"{\"id\":1,\"ts\":1,\"x\":\"\xed\xa0\x80\"}"),
        ("not UTF-8 after the end", b"{\"id\":1,\"ts\":1}\xff"),
        ("vertical tab between", b"{\"id\":1,\x0b\"ts\":1}"),
        ("unbalanced", b"{\"id\":1,\"ts\":1,\"x\":[}]"),
    ]
    .map(|(name, bytes)| (name, bytes.to_vec()))
    .to_vec();
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{{\"id\":1,\"ts\":1,\"x\":{}{}}}", open.repeat(depth), close.repeat(depth))
    };
    cases.push(("deep arrays", nested("[", "]", 100).into_bytes()));
    cases.push(("very deep arrays", nested("[", "]", 400_000).into_bytes()));
    cases.push(("very deep, never closed", nested("[", "", 900_000).into_bytes()));
    cases.push(("very deep objects", nested("{\"x\":", "}", 100_000).into_bytes()));
    cases
}

/// Records that are well formed but cannot be an event: with reason and the field to blame.
const UNUSABLE: [(&[u8], Reason, Option<&str>); 22] = [
    (br#"{}"#, Reason::BadTime, None),
    (br#"{"ts":1}"#, Reason::MissingId, None),
    (br#"{"id":null,"ts":1}"#, Reason::MissingId, Some("id")),
    (br#"{"id":"","ts":1}"#, Reason::MissingId, Some("id")),
    (br#"{"id":true,"ts":1}"#, Reason::MissingId, Some("id")),
    (br#"{"id":1.5,"ts":1}"#, Reason::MissingId, Some("id")),
    (br#"{"id":1}"#, Reason::BadTime, None),
    (br#"{"id":1,"ts":null}"#, Reason::BadTime, Some("ts")),
    (br#"{"id":1,"ts":"yesterday"}"#, Reason::BadTime, Some("ts")),
    (br#"{"id":1,"ts":true}"#, Reason::BadTime, Some("ts")),
    (br#"{"id":1,"ts":9223372036854775807}"#, Reason::BadTime, Some("ts")),
    (br#"{"id":1,"ts":18446744073709551615}"#, Reason::BadTime, Some("ts")),
    (br#"{"id":1,"ts":1e300}"#, Reason::BadTime, Some("ts")),
    (br#"{"id":1,"ts":1,"amount":"much"}"#, Reason::WrongType, Some("amount")),
    (br#"{"id":1,"ts":1,"amount":[1.5]}"#, Reason::WrongType, Some("amount")),
    (br#"{"id":1,"ts":1,"amount":{"eur":1.5}}"#, Reason::WrongType, Some("amount")),
    (br#"{"id":1,"ts":1,"card":[]}"#, Reason::WrongType, Some("card")),
    (br#"{"id":1,"ts":1,"shop":"NL"}"#, Reason::WrongType, Some("shop.country")),
    (br#"{"id":1,"ts":1,"shop":[{"country":"NL"}]}"#, Reason::WrongType, Some("shop.country")),
    (br#"{"id":1,"ts":1,"shop":{"country":{}}}"#, Reason::WrongType, Some("shop.country")),
    (br#"{"id":1,"ts":1,"label":2}"#, Reason::BadLabel, Some("label")),
    (br#"{"id":[1],"id":1,"ts":1}"#, Reason::WrongType, Some("id")),
];

/// Records that look odd and are fine.
const ODD: [&[u8]; 9] = [
    b" \r\n\t{ \"id\" : 1 , \"ts\" : 1 } \n",
    br#"{"id":1,"ts":1,"amount":null,"card":null,"shop":null}"#,
    br#"{"id":1,"ts":1,"shop":{}}"#,
    br#"{"id":18446744073709551615,"ts":1,"card":18446744073709551615}"#,
    br#"{"id":1,"ts":1,"amount":123456789012345678901234567890}"#,
    br#"{"id":1,"ts":1,"amount":1e39}"#,
    br#"{"\u0069d":1,"ts":1}"#,
    br#"{"id":1,"ts":"1","amount":" 2.5 ","label":"true"}"#,
    br#"{"id":1,"ts":1,"":[[],{"a":[{"":"]}"}]}],"x":"\"\\\/\b\f\n\r\t\ud83d\ude00"}"#,
];

/// All of them, and some that are fine.
pub fn records() -> Vec<Vec<u8>> {
    let unusable = UNUSABLE.iter().map(|(bytes, ..)| bytes);
    let small = unusable.chain(&ODD).chain([&BEFORE, &AFTER]).map(|bytes| bytes.to_vec());
    small.chain(broken().into_iter().map(|(_, bytes)| bytes)).collect()
}

fn assert_rejected(bytes: &[u8], reason: Reason, field: Option<&str>) {
    let (schema, names) = (payments(), Names::new(&payments()));
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
    let slot = decoded(&schema, &names, &[BEFORE, bytes, AFTER]);
    assert_eq!(slot.rejects.len(), 1, "{shown}");
    let reject = slot.rejects[0].clone();
    assert_eq!((reject.reason, reject.field.as_deref()), (reason, field), "{shown}");
    assert_eq!((reject.bytes.as_slice(), reject.is_label), (bytes, false), "{shown}");
    assert_eq!(reject.position, Position { span: 0, offset: 1 });
    let mut expected = rows(&schema, &decoded(&schema, &names, &[BEFORE, AFTER]));
    expected[1].position.offset = 2;
    assert_eq!(rows(&schema, &slot), expected, "{shown}");
}

#[test]
fn broken_records_cost_themselves_only() {
    for (name, bytes) in broken() {
        println!("{name}");
        assert_rejected(&bytes, Reason::Unparsable, None);
    }
    let large = format!("{{\"id\":1,\"ts\":1,\"x\":\"{}\"}}", "x".repeat(Names::RECORD_BYTES_MAX));
    assert_rejected(large.as_bytes(), Reason::TooLarge, None);
}

#[test]
fn unusable_records_name_their_field() {
    for (bytes, reason, field) in UNUSABLE {
        assert_rejected(bytes, reason, field);
    }
}

#[test]
fn odd_records_are_rows() {
    let schema = payments();
    let slot = decoded(&schema, &Names::new(&schema), &ODD);
    assert_eq!(slot.rejects, vec![]);
    assert_eq!(slot.number(0)[4], 123_456_789_012_345_678_901_234_567_890_f64 as f32);
    assert!(slot.number(0)[5].is_nan(), "beyond f32 is missing");
    assert_eq!(slot.texts.get(2 * 3), b"\"18446744073709551615\"");
    assert_eq!(slot.number(0)[7], 2.5);
}

#[test]
fn the_last_of_two_values_stays() {
    let schema = payments();
    let twice = br#"{"id":1,"id":2,"ts":1,"ts":2,"amount":1,"amount":2,"card":1,"card":2,
        "shop":{"country":"NL","country":"DE"},"shop":{},"label":0,"label":1}"#;
    let once = br#"{"id":2,"ts":2,"amount":2,"card":2,"shop":{"country":"DE"},"label":1}"#;
    let names = Names::new(&schema);
    let mut twice = rows(&schema, &decoded(&schema, &names, &[twice]));
    let once = rows(&schema, &decoded(&schema, &names, &[once]));
    twice[0].raw.clone_from(&once[0].raw);
    assert_eq!(twice, once);
}

#[test]
fn keys_and_headers_are_fields() {
    let mut schema = payments();
    schema.fields[0].place = Place::Key;
    schema.fields[3].place = Place::Header("card".into());
    let names = Names::new(&schema);
    let mut slot = Slot::new(&schema, 4);
    slot.span_index(&"topic".into(), 0);
    let headers: [(&str, &[u8]); 2] = [("x", b"\xff"), ("card", b"c1")];
    let payload = br#"{"ts":1,"id":"ignored","card":"ignored"}"#;
    let message =
        MessageParts { payload, key: Some(b"a-1"), headers: &headers, timestamp_ms: None };
    assert!(event(&schema, &names, &mut slot, &message, Position::default()));
    assert_eq!(slot.texts.get(0), b"\"a-1\"");
    let c1 = pelton::schema::category(pelton::schema::Scalar::Text("c1"));
    assert_eq!(slot.category(0), [c1]);
    let no_text = MessageParts { key: Some(b"\xff"), ..message };
    assert!(!event(&schema, &names, &mut slot, &no_text, Position::default()));
    let no_key = MessageParts { key: None, ..message };
    assert!(!event(&schema, &names, &mut slot, &no_key, Position::default()));
    let reasons: Vec<_> = slot.rejects.iter().map(|r| (r.reason, r.field.as_deref())).collect();
    assert_eq!(reasons, [(Reason::Unparsable, Some("key")), (Reason::MissingId, None)]);
}

fn label_names(time: bool) -> LabelNames {
    let place = |name: &str| Place::Body(name.to_owned());
    let time = time.then(|| (place("known"), TimeUnit::Seconds));
    LabelNames::new(LabelFields { id: place("id"), label: place("label"), time }, 1 << 20)
}

fn read_label(labels: &LabelNames, slot: &mut Slot, payload: &[u8], timestamp_ms: Option<i64>) {
    let message = MessageParts { payload, timestamp_ms, ..MessageParts::default() };
    let position = Position { span: 0, offset: 9 };
    label(&LabelMeaning::Binary, labels, slot, &message, position);
}

#[test]
fn labels_are_read_or_rejected() {
    let schema = payments();
    let mut slot = decoded(&schema, &Names::new(&schema), &[BEFORE, AFTER]);
    let before = rows(&schema, &slot);
    let labels = label_names(true);
    read_label(&labels, &mut slot, br#"{"id":"a-1","label":true,"known":2}"#, Some(7));
    let read = slot.labels[0];
    assert_eq!((read.id, read.time_ms, read.value), (before[0].id, 2000, 1.0));
    assert_eq!((read.before_row, read.position.offset), (2, 9));
    read_label(&label_names(false), &mut slot, br#"{"id":2,"label":0,"known":"x"}"#, Some(7));
    assert_eq!(slot.labels[1].time_ms, 7);
    let unusable: [(&[u8], Reason, &str); 7] = [
        (br#"{"label":1,"known":2}"#, Reason::MissingId, "id"),
        (br#"{"id":{},"label":1,"known":2}"#, Reason::WrongType, "id"),
        (br#"{"id":1,"known":2}"#, Reason::BadLabel, "label"),
        (br#"{"id":1,"label":null,"known":2}"#, Reason::BadLabel, "label"),
        (br#"{"id":1,"label":"perhaps","known":2}"#, Reason::BadLabel, "label"),
        (br#"{"id":1,"label":1}"#, Reason::BadTime, "known"),
        (br#"{"id":1,"label":1,"known":"soon"}"#, Reason::BadTime, "known"),
    ];
    for (bytes, reason, field) in unusable {
        read_label(&labels, &mut slot, bytes, Some(7));
        let reject = slot.rejects.pop().expect("rejected");
        assert_eq!((reject.reason, reject.field.as_deref()), (reason, Some(field)));
        assert_eq!((reject.bytes.as_slice(), reject.is_label), (bytes, true));
    }
    for (name, bytes) in broken() {
        read_label(&labels, &mut slot, &bytes, Some(7));
        let reject = slot.rejects.pop().expect(name);
        assert_eq!((reject.reason, reject.field), (Reason::Unparsable, None), "{name}");
    }
    assert_eq!(slot.labels.len(), 2);
    assert_eq!(rows(&schema, &slot), before, "labels are no events");
}

/// Lines between two good ones, and what becomes of each: a reason, or nothing for a row.
const CSV: [(&[u8], &[Option<Reason>]); 16] = [
    (b"1,2", &[Some(Reason::Unparsable)]),
    (b"1,2,3,4,5,1,7", &[Some(Reason::Unparsable)]),
    (b"1,2,\"3,c,NL,1", &[Some(Reason::Unparsable)]),
    (b"1,2,\"3\n,c,NL,1\n\"", &[Some(Reason::Unparsable); 3]),
    (b"1,2,\"3\"x,c,NL,1", &[Some(Reason::Unparsable)]),
    (b"1,2,\xff,c,NL,1", &[Some(Reason::Unparsable)]),
    (b"1,2,3,\xff\xfe,NL,1", &[Some(Reason::Unparsable)]),
    (b"\0", &[Some(Reason::Unparsable)]),
    (b",2,3,c,NL,1", &[Some(Reason::MissingId)]),
    (b"1,,3,c,NL,1", &[Some(Reason::BadTime)]),
    (b"1,2,x,c,NL,1", &[Some(Reason::WrongType)]),
    (b"1,2,3,c,NL,5", &[Some(Reason::BadLabel)]),
    (b"1,2,3,\"c\nd\",\"N\"\"L\",1", &[None]),
    (b"1,2,,,,", &[None]),
    (b"\n\r\n\n1,2,3,c,NL,1", &[None]),
    (b"1,2,inf,c,NL,1", &[None]),
];

#[test]
fn a_bad_csv_line_costs_itself_only() {
    let schema = payments();
    let folder = tempfile::tempdir().expect("a folder");
    for (hostile, outcomes) in CSV {
        for end in [&b"\n"[..], b"\r\n"] {
            let shown = String::from_utf8_lossy(hostile).into_owned();
            let path = folder.path().join("hostile.csv");
            let header = b"id,ts,amount,card,shop.country,label";
            let lines: [&[u8]; 4] = [header, b"10,1,1.5,c,NL,0", hostile, b"11,2,2.5,d,\"DE\",1"];
            std::fs::write(&path, lines.join(end)).expect("written");
            let mut source = open(&path, &schema, &FileOptions::default()).expect("opened");
            let (found, rejects) = drained(source.as_mut(), &schema, 5);
            let reasons: Vec<_> = rejects.iter().map(|(_, reason, _)| *reason).collect();
            let expected: Vec<_> = outcomes.iter().flatten().copied().collect();
            assert_eq!(reasons, expected, "{shown}");
            let last = found.last().expect("a neighbour");
            let first_raw = (found[0].raw.as_slice(), found[0].position.offset);
            assert_eq!(first_raw, (lines[1], 0), "{shown}");
            let offset = 1 + outcomes.len() as i64;
            assert_eq!((last.raw.as_slice(), last.position.offset), (lines[3], offset), "{shown}");
            assert_eq!(found.len(), 2 + outcomes.iter().filter(|o| o.is_none()).count(), "{shown}");
        }
    }
}

#[test]
fn a_long_line_costs_itself_only() {
    let schema = payments();
    let folder = tempfile::tempdir().expect("a folder");
    let long = "x".repeat(1_000_000);
    let csv = format!("id,ts,amount,card,shop.country,label\n1,1,,,,\n2,1,,{long},,\n3,1,,,,");
    let json = format!("{{\"id\":1,\"ts\":1}}\n{{\"id\":\"{long}\"}}\n{{\"id\":3,\"ts\":1}}");
    for (name, text) in [("long.csv", csv), ("long.jsonl", json)] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        let options = FileOptions { record_bytes_max: 100, ..FileOptions::default() };
        let mut source = open(&path, &schema, &options).expect("opened");
        let (found, rejects) = drained(source.as_mut(), &schema, 8);
        let offsets: Vec<_> = found.iter().map(|row| row.position.offset).collect();
        assert_eq!((offsets, rejects.len()), (vec![0, 2], 1), "{name}");
        assert_eq!((rejects[0].0, rejects[0].1), (1, Reason::TooLarge), "{name}");
        assert_eq!(rejects[0].2.len(), 100, "its beginning is kept");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(2000)))]

    #[test]
    fn random_bytes_never_panic(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..8),
    ) {
        survive(&payloads);
    }

    #[test]
    fn mutated_records_never_panic(
        mutations in prop::collection::vec(
            (0..3_u8, any::<prop::sample::Index>(), any::<u8>()),
            1..6,
        ),
    ) {
        let mut record = BEFORE.to_vec();
        for (kind, at, byte) in mutations {
            let at = at.index(record.len().max(1));
            match kind {
                0 if at < record.len() => record[at] = byte,
                1 => record.insert(at, byte),
                _ => record.truncate(at),
            }
        }
        survive(&[BEFORE.to_vec(), record, AFTER.to_vec()]);
    }
}

/// As messages, labels, CSV and JSON lines: everything is accounted for.
fn survive(payloads: &[Vec<u8>]) {
    let schema = payments();
    let slices: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
    let mut slot = decoded(&schema, &Names::new(&schema), &slices);
    rows(&schema, &slot);
    assert_eq!(slot.consumed, payloads.len() as u64);
    let rejects = slot.rejects.len();
    for payload in payloads {
        read_label(&label_names(true), &mut slot, payload, None);
    }
    assert_eq!(slot.labels.len() + slot.rejects.len() - rejects, payloads.len());
    let folder = tempfile::tempdir().expect("a folder");
    let header: &[u8] = b"id,ts,amount,card,shop.country,label";
    for (name, header) in [("x.csv", header), ("x.jsonl", b"")] {
        let path = folder.path().join(name);
        let text = [&[header], slices.as_slice()].concat().join(&b'\n');
        std::fs::write(&path, text).expect("written");
        let options = FileOptions { record_bytes_max: 60, ..FileOptions::default() };
        let mut source = open(&path, &schema, &options).expect("opened");
        drained(source.as_mut(), &schema, 3);
    }
}

#[test]
fn a_field_of_several_columns_fills_them_all() {
    let mut schema = payments();
    schema.fields[2] = field("amount", &[Target::Number(0), Target::Category(0), Target::Text(1)]);
    let slot = decoded(&schema, &Names::new(&schema), &[br#"{"id":1,"ts":1,"amount":7}"#]);
    assert_eq!((slot.number(0), slot.texts.get(1)), (&[7.0][..], &b"7"[..]));
    assert_eq!(slot.category(0), [pelton::schema::category(pelton::schema::Scalar::Int(7))]);
}
