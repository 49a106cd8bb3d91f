//! The types of Parquet, and the recorded streams.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type, Int96, Int96Type,
};
use pelton::ring::{Reason, Slot};
use pelton::schema::{LabelMeaning, Scalar, Schema, Target, TimeFrom, TimeUnit, category};
use pelton::source::Progress;
use pelton::source::file::{FileOptions, open};

use super::formats::{write_column, write_parquet};
use super::{drained, field};

/// Every column as category and text.
fn all_ways(columns: &[&str]) -> Schema {
    let fields = columns
        .iter()
        .enumerate()
        .map(|(i, name)| field(name, &[Target::Category(i), Target::Text(i)]));
    let names: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
    Schema {
        fields: fields.collect(),
        numbers: vec![],
        categories: names.clone(),
        texts: names,
        time: TimeFrom::Row { step_ms: 10 },
        has_id: false,
        label: LabelMeaning::Number,
        keeps_raw: true,
        keeps_labels: false,
    }
}

#[test]
fn every_parquet_type_has_a_meaning() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("types.parquet");
    let message = "message types {
        required boolean flag; required int32 small (UINT_32); required int64 large (UINT_64);
        required int32 day (DATE); required float real; required int64 cents (DECIMAL(18,2));
        required fixed_len_byte_array(3) coarse (DECIMAL(6,1));
        required fixed_len_byte_array(16) uuid (UUID); required binary text; required int96 old; }";
    let fixed = |bytes: &[u8]| Some(FixedLenByteArray::from(ByteArray::from(bytes.to_vec())));
    let mut old = Int96::new();
    old.set_data(1_000_000, 0, 2_440_589);
    write_parquet(
        &path,
        message,
        &[&|group| {
            write_column::<BoolType>(group, &[Some(true)], 0);
            write_column::<Int32Type>(group, &[Some(-1)], 0);
            write_column::<Int64Type>(group, &[Some(-1)], 0);
            write_column::<Int32Type>(group, &[Some(-2)], 0);
            write_column::<FloatType>(group, &[Some(-0.5)], 0);
            write_column::<Int64Type>(group, &[Some(-12_345)], 0);
            write_column::<FixedLenByteArrayType>(group, &[fixed(&[0xff, 0xff, 0xf1])], 0);
            write_column::<FixedLenByteArrayType>(group, &[fixed(b"0123456789abcdef")], 0);
            write_column::<ByteArrayType>(group, &[Some(ByteArray::from("a\"b"))], 0);
            write_column::<Int96Type>(group, &[Some(old)], 0);
        }],
    );
    let columns =
        ["flag", "small", "large", "day", "real", "cents", "coarse", "uuid", "text", "old"];
    let schema = all_ways(&columns);
    let mut source = open(&path, &schema, &FileOptions::default()).expect("opened");
    assert_eq!(source.rows_total(), Some(1));
    let (rows, rejects) = drained(source.as_mut(), &schema, 8);
    assert_eq!((rows.len(), rejects), (1, vec![]));
    let texts: Vec<_> = rows[0].texts.iter().map(|text| String::from_utf8_lossy(text)).collect();
    let uuid = "\"30313233-3435-3637-3839-616263646566\"";
    let expected = ["true", "4294967295", "\"18446744073709551615\"", "-172800", "-0.5", "-123.45"];
    assert_eq!(texts[..6], expected);
    assert_eq!(texts[6..], ["-1.5", uuid, "\"a\\\"b\"", "86400001"]);
    assert_eq!(rows[0].categories[2], category(Scalar::Text("18446744073709551615")));
    let raw: serde_json::Value = serde_json::from_slice(&rows[0].raw).expect("JSON");
    assert_eq!((&raw["cents"], &raw["text"]), (&(-123.45).into(), &"a\"b".into()));
}

#[test]
fn parquet_times_are_in_the_file_s_unit_and_bad_rows_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("times.parquet");
    let message = "message times { optional int64 at (TIMESTAMP_MICROS); optional binary who; }";
    let texts: [&[u8]; 4] = [b"a", b"b", b"\xff", b"d"];
    write_parquet(
        &path,
        message,
        &[&|group| {
            write_column::<Int64Type>(group, &[Some(1_999), None, Some(3_000), Some(-1)], 1);
            let texts = texts.map(|text| Some(ByteArray::from(text.to_vec())));
            write_column::<ByteArrayType>(group, &texts, 1);
        }],
    );
    let mut schema = all_ways(&["at", "who"]);
    schema.time = TimeFrom::Field;
    schema.fields[0].targets = vec![Target::Time(TimeUnit::Seconds)];
    let mut source = open(&path, &schema, &FileOptions::default()).expect("opened");
    let (rows, rejects) = drained(source.as_mut(), &schema, 8);
    let times: Vec<_> = rows.iter().map(|row| (row.time_ms, row.position.offset)).collect();
    assert_eq!(times, [(1, 0), (-1, 3)]);
    assert_eq!(rejects[0], (1, Reason::BadTime, br#"{"at":null,"who":"b"}"#.to_vec()));
    let replaced = "{\"at\":3000,\"who\":\"\u{fffd}\"}".as_bytes().to_vec();
    assert_eq!(rejects[1], (2, Reason::Unparsable, replaced));

    let path = folder.path().join("list.parquet");
    write_parquet(&path, "message lists { repeated int64 at; }", &[]);
    let error = open(&path, &all_ways(&["at"]), &FileOptions::default()).err().expect("refused");
    assert!(error.to_string().contains("column `at` is a list"), "{error}");
}

/// A recorded stream, or a loud word that it is not there.
pub fn recorded(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PELTON_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there; set PELTON_DATA to its folder", path.display());
    None
}

/// Reads it all: rows, sum of labels, first and last time.
fn totals(path: &std::path::Path, schema: &Schema) -> (usize, f64, i64, i64) {
    let mut source = open(path, schema, &FileOptions::default()).expect("opened");
    let mut slot = Slot::new(schema, 4096);
    let (mut rows, mut labels, mut first, mut last) = (0, 0.0, None, 0);
    let started = Instant::now();
    loop {
        slot.clear();
        let progress =
            source.read(&mut slot, Instant::now() + Duration::from_secs(60)).expect("readable");
        assert_eq!(slot.rejects, []);
        rows += slot.rows;
        labels += slot.recorded_labels[..slot.rows].iter().map(|&x| f64::from(x)).sum::<f64>();
        if slot.rows > 0 {
            first.get_or_insert(slot.times_ms[0]);
            last = slot.times_ms[slot.rows - 1];
        }
        if progress == Progress::Ended {
            break;
        }
    }
    println!("{}: {:.0} rows/s", path.display(), rows as f64 / started.elapsed().as_secs_f64());
    (rows, labels, first.unwrap_or_default(), last)
}

#[test]
fn the_recorded_payments() {
    let Some(path) = recorded("fraud_transactions.parquet") else { return };
    let mut schema = all_ways(&["CUSTOMER_ID", "TERMINAL_ID"]);
    (schema.has_id, schema.time, schema.keeps_raw) = (true, TimeFrom::Field, false);
    schema.texts.clear();
    for column in &mut schema.fields {
        column.targets.pop();
    }
    schema.numbers = vec!["TX_AMOUNT".into()];
    schema.fields.extend([
        field("TRANSACTION_ID", &[Target::Id]),
        field("TX_DATETIME", &[Target::Time(TimeUnit::Milliseconds)]),
        field("TX_AMOUNT", &[Target::Number(0)]),
        field("TX_FRAUD", &[Target::Label]),
    ]);
    let expected = (1_754_155, 14_681.0, 1_522_540_831_000, 1_538_351_997_000);
    assert_eq!(totals(&path, &schema), expected);
}

#[test]
fn the_recorded_flights_and_prices() {
    if let Some(path) = recorded("flights.csv.gz") {
        let mut schema = all_ways(&["carrier", "tailnum"]);
        schema.time = TimeFrom::Field;
        schema.fields.push(field("ts", &[Target::Time(TimeUnit::Milliseconds)]));
        schema.fields.push(field("label", &[Target::Label]));
        let (rows, labels, first, last) = totals(&path, &schema);
        assert_eq!((rows, (labels / rows as f64 * 1e4).round()), (327_346, 4063.0));
        assert!(first < last);
    }
    if let Some(path) = recorded("elec.csv.gz") {
        let mut schema = all_ways(&["period"]);
        schema.fields.push(field("label", &[Target::Label]));
        let (rows, labels, first, last) = totals(&path, &schema);
        assert_eq!((rows, (labels / rows as f64 * 1e4).round()), (45_312, 4245.0));
        assert_eq!((first, last), (0, 453_110));
    }
}
