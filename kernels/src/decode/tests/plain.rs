//! Which rows are plain, and what they become.

use super::*;
use crate::hash::{hash_bytes, mix64};

fn spec() -> DecodeSpec {
    payments(TimeUnit::Milliseconds, LabelMeaning::Binary)
}

fn is_plain(record: &str) -> bool {
    *decoded(&spec(), &[record]).marks == [PLAIN]
}

fn text_code(text: &str) -> u64 {
    mix64(hash_bytes(text.as_bytes()) ^ 0x7465_7874_0000_0001)
}

#[test]
fn a_payment_is_read() {
    let record = "  {\"id\":\"pay-7\" , \"x\":[]_, \"ts\":1522540831250,\"amount\":-12.50,\t\
        \"other\":null,\"card\":\"4711\",\"merchant_of_payment\":\"  \",\"label\":true}\r\n";
    let record = record.replace("\"x\":[]_, ", "");
    let rows = decoded(&spec(), &["nothing", &record, "{}"]);
    assert_eq!(*rows.marks, [HARD, PLAIN, HARD]);
    assert_eq!(*rows.times_ms, [0, 1_522_540_831_250, 0]);
    let pay = u128::from_le_bytes(*b"pay-7\0\0\0\0\0\0\0\0\0\0\x07");
    assert_eq!(*rows.ids, [0, pay, 0]);
    assert_eq!(rows.numbers[1], -12.5);
    assert!(rows.numbers.iter().enumerate().all(|(at, x)| at == 1 || x.is_nan()));
    assert_eq!(*rows.categories, [0, mix64(4711), 0, 0, text_code("  "), 0]);
    assert_eq!(rows.labels[1], 1.0);
    assert!(rows.labels[0].is_nan() && rows.labels[2].is_nan());
    let spelled = |[at, length]: [u32; 2]| &record[at as usize..][..length as usize];
    assert_eq!([spelled(rows.texts[1]), spelled(rows.texts[4])], ["\"pay-7\"", "-12.50"]);
    for at in [0, 2, 3, 5] {
        assert_eq!(rows.texts[at], [0, 0]);
    }
}

#[test]
fn what_is_not_wanted_or_missing_does_not_matter() {
    for record in [
        r#"{"id":1,"ts":2}"#,
        r#"{"ts":2,"id":1,"amount":null,"label":null,"card":null}"#,
        r#"{"id":1,"zz":"é€😀","ts":2,"zz":1e99,"zz":0.1234567890123456789012345,"":"" }"#,
        r#"{"id":1,"ts":2,"i":1,"ids":2,"merchant_of_paymen":3,"merchant_of_paymenu":4}"#,
        r#"{"id":1,"ts":"2","amount":" 1.5 ","card":true,"merchant_of_payment":7.25}"#,
        "{\n\"id\"\t: 1 ,\r\"ts\" :2\n}\n\n",
    ] {
        assert!(is_plain(record), "{record}");
    }
}

#[test]
fn what_is_unusual_is_hard() {
    for record in [
        "",
        "{",
        "}",
        "{}",
        "[]",
        "null",
        "{\"id\":1,\"ts\":2",
        "{\"id\":1,\"ts\":2}}",
        "{\"id\":1,\"ts\":2} x",
        "{\"id\":1,\"ts\":2,}",
        "{,\"id\":1,\"ts\":2}",
        "{\"id\":1 \"ts\":2}",
        "{\"id\":1,\"ts\"=2}",
        "{\"id\":1,\"ts\":2}\0",
        "\u{feff}{\"id\":1,\"ts\":2}",
        "{id:1,\"ts\":2}",
        "{\"id\":1,\"ts\":2,\"id\":1}",
        "{\"id\":1}",
        "{\"ts\":2}",
        "{\"id\":null,\"ts\":2}",
        "{\"id\":true,\"ts\":2}",
        "{\"id\":1.5,\"ts\":2}",
        "{\"id\":\"\",\"ts\":2}",
        "{\"id\":1,\"ts\":null}",
        "{\"id\":1,\"ts\":true}",
        "{\"id\":1,\"ts\":\"now\"}",
        "{\"id\":1,\"ts\":9223372036854775807}",
        "{\"id\":9223372036854775808,\"ts\":2}",
        "{\"id\":1,\"ts\":2,\"x\":[]}",
        "{\"id\":1,\"ts\":2,\"x\":{}}",
        "{\"id\":1,\"ts\":2,\"x\":\"\\n\"}",
        "{\"i\\u0064\":1,\"ts\":2}",
        "{\"id\":1,\"ts\":2,\"x\":\"\n\"}",
        "{\"id\":1,\"ts\":2,\"x\":tru}",
        "{\"id\":1,\"ts\":2,\"x\":True}",
        "{\"id\":1,\"ts\":2,\"x\":01}",
        "{\"id\":1,\"ts\":2,\"x\":1e400}",
        "{\"id\":1,\"ts\":2,\"amount\":1e56}",
        "{\"id\":1,\"ts\":2,\"amount\":0.12345678901234567890}",
        "{\"id\":1,\"ts\":2,\"amount\":\"much\"}",
        "{\"id\":1,\"ts\":2,\"amount\":\"inf\"}",
        "{\"id\":1,\"ts\":2,\"label\":2}",
        "{\"id\":1,\"ts\":2,\"label\":\"\"}",
    ] {
        assert!(!is_plain(record), "{record}");
    }
    let id = |bytes: usize| format!("{{\"id\":\"{}\",\"ts\":2}}", "x".repeat(bytes));
    assert!(is_plain(&id(64)) && !is_plain(&id(65)));
    let long = |bytes: usize| format!("{{\"id\":1,\"ts\":2}}{}", " ".repeat(bytes - 15));
    assert!(is_plain(&long(400)) && !is_plain(&long(401)));
}

#[test]
fn texts_that_are_not_utf8_are_hard() {
    let spec = spec();
    for bytes in [&b"\xc3"[..], b"\xc3\x28", b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let record = [b"{\"id\":1,\"ts\":2,\"x\":\"", bytes, b"\"}"].concat();
        assert_eq!(*decoded(&spec, &[record]).marks, [HARD], "{bytes:?}");
    }
}

#[test]
fn times_are_those_of_their_unit() {
    let at = |unit, time: &str| {
        let rows = decoded(
            &payments(unit, LabelMeaning::Binary),
            &[format!("{{\"id\":1,\"ts\":{time}}}")],
        );
        (*rows.marks == [PLAIN]).then(|| rows.times_ms[0])
    };
    assert_eq!(at(TimeUnit::Seconds, "1522540831"), Some(1_522_540_831_000));
    assert_eq!(at(TimeUnit::Seconds, "1522540831.2509"), Some(1_522_540_831_250));
    assert_eq!(at(TimeUnit::Seconds, "-0.0001"), Some(-1));
    assert_eq!(at(TimeUnit::Seconds, "\"-1.5\""), Some(-1500));
    assert_eq!(at(TimeUnit::Seconds, "9223372036854775"), None);
    assert_eq!(at(TimeUnit::Seconds, "253402300799"), Some(253_402_300_799_000));
    assert_eq!(at(TimeUnit::Seconds, "253402300800"), None);
    assert_eq!(at(TimeUnit::Microseconds, "-1"), Some(-1));
    assert_eq!(at(TimeUnit::Microseconds, "1999"), Some(1));
    assert_eq!(at(TimeUnit::Nanoseconds, "1999999.5"), Some(1));
    assert_eq!(at(TimeUnit::Nanoseconds, "-1000000"), Some(-1));
    assert_eq!(at(TimeUnit::Rfc3339, "\"2018-04-01T00:00:31Z\""), Some(1_522_540_831_000));
    assert_eq!(at(TimeUnit::Rfc3339, "1522540831"), None);
}

#[test]
fn labels_mean_what_the_spec_says() {
    let [binary, classes, number] = meanings();
    let label = |meaning: &LabelMeaning, label: &str| {
        let spec = payments(TimeUnit::Milliseconds, meaning.clone());
        let rows = decoded(&spec, &[format!("{{\"id\":1,\"ts\":2,\"label\":{label}}}")]);
        (*rows.marks == [PLAIN]).then(|| rows.labels[0])
    };
    for (text, expected) in [
        ("1", Some(1.0)),
        ("0", Some(0.0)),
        ("-0", Some(0.0)),
        ("1.0", Some(1.0)),
        ("\"false\"", Some(0.0)),
        ("false", Some(0.0)),
        ("2", None),
        ("0.5", None),
        ("\"yes\"", None),
    ] {
        assert_eq!(label(&binary, text), expected, "binary {text}");
    }
    for (text, expected) in [
        ("\"b\"", Some(1.0)),
        ("true", Some(2.0)),
        ("17", Some(3.0)),
        ("17.0", Some(3.0)),
        ("\"1.5\"", Some(4.0)),
        ("1.5", None),
        ("false", None),
        ("\"17\"", Some(3.0)),
        ("1", None),
        ("\"017\"", None),
        ("-0.0", Some(0.0)),
    ] {
        assert_eq!(label(&classes, text), expected, "class {text}");
    }
    for (text, expected) in [
        ("2.5", Some(2.5)),
        ("\"2.5\"", Some(2.5)),
        ("\"-0\"", Some(-0.0)),
        ("\"\"", None),
        ("-0.0", Some(0.0)),
        ("\"inf\"", None),
        ("true", Some(1.0)),
    ] {
        assert_eq!(label(&number, text), expected, "number {text}");
    }
    assert!(label(&number, "null").is_some_and(f32::is_nan));
}

#[test]
fn records_in_another_order_are_followed() {
    let spec = spec();
    let mut decoder = Decoder::new(&spec).expect("a spec");
    let record = r#"{"label":1,"x":2,"card":3,"ts":4,"card":5,"id":6}"#;
    let other = r#"{"ts":4,"id":6,"amount":1.25,"label":0}"#;
    let expected = decoded(&spec, &[record, other]);
    for order in [record, other, "{\"id\":1", "", "{\"label\":[]}"] {
        decoder.follow(order.as_bytes());
        let mut rows = untouched(&Device::Cpu, &spec, 2);
        decoder.run(&records(&[record, other]), &mut rows.columns()).expect("a shape");
        assert_eq!(bits(&rows), bits(&expected), "{order}");
    }
}

fn packed_record(amount: f64, card: u32, shop: &str, label: i32, share: f32) -> Vec<u8> {
    let mut bytes = [3_u64.to_le_bytes(), 1_522_540_831_250_u64.to_le_bytes()].concat();
    bytes.extend(amount.to_le_bytes());
    bytes.extend(card.to_le_bytes());
    bytes.extend(shop.as_bytes());
    bytes.resize(48, 0);
    bytes.extend(label.to_le_bytes());
    bytes.extend(share.to_le_bytes());
    bytes
}

#[test]
fn binary_records_are_read() {
    let spec = packed(TimeUnit::Milliseconds, LabelMeaning::Binary);
    let plain = packed_record(-12.5, 4711, "Café", 1, -0.0);
    let missing = packed_record(f64::NAN, u32::MAX, "", -1, f32::INFINITY);
    let rows = decoded(&spec, &[&plain, &missing]);
    assert_eq!(*rows.marks, [PLAIN; 2]);
    assert_eq!(*rows.times_ms, [1_522_540_831_250; 2]);
    assert_eq!(*rows.ids, [(1 << 120) | 3; 2]);
    assert_eq!(rows.numbers[0], -12.5);
    assert_eq!(rows.numbers[2].to_bits(), 0);
    assert!(rows.numbers[1].is_nan() && rows.numbers[3].is_nan());
    let float = |x: f64| mix64(x.to_bits() ^ 0x666c_6f61_7400_0001);
    let zero = u64::MAX; // mix64(0) is 0, which is the missing one
    let categories = [float(-12.5), 0, mix64(4711), 0, text_code("Café"), 0, zero];
    assert_eq!(rows.categories[..7], categories);
    assert_eq!(rows.categories[7], float(f64::INFINITY));
    assert_eq!(rows.labels[0], 1.0);
    assert!(rows.labels[1].is_nan());
    assert_eq!(*rows.texts, [[0, 8]; 2]);
}

#[test]
fn unusual_binary_records_are_hard() {
    let spec = packed(TimeUnit::Milliseconds, LabelMeaning::Binary);
    let plain = packed_record(1.0, 2, "abc", 0, 0.5);
    let with = |at: usize, bytes: &[u8]| {
        let mut record = plain.clone();
        record[at..at + bytes.len()].copy_from_slice(bytes);
        record
    };
    for (what, record) in [
        ("short", plain[..55].to_vec()),
        ("long", [&plain[..], b"\0"].concat()),
        ("empty", vec![]),
        ("an id above i64", with(7, &[0x80])),
        ("no time", with(8, &i64::MIN.to_le_bytes())),
        ("a time of no year", with(8, &i64::MAX.to_le_bytes())),
        ("a text with a gap", with(32, b"x")),
        ("a text that is not UTF-8", with(28, b"\xff")),
        ("half a character", with(47, b"\xc3")),
        ("a label without meaning", with(48, &2_i32.to_le_bytes())),
    ] {
        assert_eq!(*decoded(&spec, &[record]).marks, [HARD], "{what}");
    }
    assert_eq!(*decoded(&spec, &[plain]).marks, [PLAIN]);
}

#[test]
fn a_spec_that_cannot_be_is_refused() {
    let json = |fields: Vec<JsonField>, numbers| DecodeSpec {
        format: Format::Json { fields, record_bytes_max: 100 },
        numbers,
        categories: 0,
        texts: 0,
        label: LabelMeaning::Binary,
    };
    let number = |name: &str, column| field(name, &[Target::Number(column)]);
    assert!(Decoder::new(&json(vec![number("a", 0), number("b", 1)], 2)).is_ok());
    let many = (0..129).map(|column| number(&column.to_string(), column)).collect();
    for (what, spec) in [
        ("two of one name", json(vec![number("a", 0), number("a", 1)], 2)),
        ("a dot", json(vec![number("a.b", 0)], 1)),
        ("a column twice", json(vec![number("a", 0), number("b", 0)], 1)),
        ("a column by none", json(vec![number("a", 0)], 2)),
        ("no such column", json(vec![number("a", 1)], 1)),
        ("too many", json(many, 129)),
        ("two ids", json(vec![field("a", &[Target::Id]), field("b", &[Target::Id])], 0)),
    ] {
        assert!(Decoder::new(&spec).is_err(), "{what}");
    }
    let mut spec = packed(TimeUnit::Seconds, LabelMeaning::Binary);
    let Format::Binary { record_bytes, .. } = &mut spec.format else { unreachable!() };
    *record_bytes = 55;
    assert!(Decoder::new(&spec).is_err(), "a field beyond the record");
}

#[test]
fn columns_of_another_shape_are_refused() {
    let spec = spec();
    let decoder = Decoder::new(&spec).expect("a spec");
    let records = records(&["{}", "{}"]);
    let mut short = untouched(&Device::Cpu, &spec, 1);
    assert!(decoder.run(&records, &mut short.columns()).is_err());
    let mut narrow = untouched(&Device::Cpu, &spec, 2);
    let mut columns = narrow.columns();
    columns.numbers = &mut columns.numbers[1..];
    assert!(decoder.run(&records, &mut columns).is_err());
    assert_eq!(*narrow.marks, [7, 7], "nothing was written");
    let mut wide = untouched(&Device::Cpu, &spec, 5);
    assert_eq!(decoder.run(&records, &mut wide.columns()), Ok(2));
}
