//! Generated streams: the same everywhere, in order, of the promised make-up, and back from files.

use std::io::Read;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field as Value;

use super::clicks::{CARDINALITIES, ClickGenerator, ClickRecord, ClickSpec};
use super::fraud::{FraudGenerator, FraudRecord, FraudSpec};
use super::*;
use crate::config::layout::Layout;
use crate::schema::Scalar;
use crate::source::decode::binary::with_scalar;

fn frauds(events: u64, seed: u64) -> FraudGenerator {
    FraudGenerator::new(FraudSpec::new(events, seed))
}

fn clicks(events: u64, seed: u64) -> ClickGenerator {
    ClickGenerator::new(ClickSpec::new(events, seed))
}

fn all<G: Generator>(mut generator: G) -> Vec<G::Record> {
    let (mut record, mut records) = (G::Record::default(), Vec::new());
    while generator.next_into(&mut record) {
        records.push(record.clone());
    }
    assert!(!generator.next_into(&mut record), "the end stays the end");
    records
}

fn digest<G: Generator>(generator: G) -> String {
    let mut text = Vec::new();
    for record in all(generator) {
        record.write_json_parts(Parts::ALL, &mut text);
        text.push(b'\n');
    }
    blake3::hash(&text).to_hex()[..16].to_owned()
}

#[test]
fn the_bytes_are_fixed() {
    // Another value here means that every stream generated so far changes: say so in the notes.
    assert_eq!(digest(frauds(10_000, 1)), "f7f96ce5bc3d6655");
    assert_eq!(digest(clicks(10_000, 1)), "586275f833b5102c");
    assert_ne!(digest(frauds(100, 1)), digest(frauds(100, 2)));
    assert_ne!(digest(clicks(100, 1)), digest(clicks(100, 2)));
}

#[test]
fn payments_come_in_order_with_ids_that_count_up() {
    for (events, customers) in [(0, None), (1, None), (30_000, None), (5_000, Some(1))] {
        let spec = FraudSpec { customers, ..FraudSpec::new(events, 3) };
        let records = all(FraudGenerator::new(spec));
        assert_eq!(records.len() as u64, events);
        assert!(records.is_sorted_by_key(|record| (record.datetime_ms, record.transaction_id)));
        for (id, record) in records.iter().enumerate() {
            assert_eq!(record.transaction_id, id as u64);
            assert!(record.customer_id < spec.customers());
            assert!(record.terminal_id < 2 * spec.customers());
            assert!(record.datetime_ms >= spec.start_ms);
        }
    }
}

#[test]
fn payments_are_of_the_promised_make_up() {
    let spec = FraudSpec::new(351_000, 5);
    assert_eq!(spec.customers(), 1000);
    let records = all(FraudGenerator::new(spec));
    let days = (records[350_999].datetime_ms - spec.start_ms) as f64 / 86_400_000.0;
    assert!((170.0..190.0).contains(&days), "{days}");
    let percent = |scenario| {
        let count = records.iter().filter(|record| record.scenario == scenario).count();
        count as f64 * 100.0 / 351_000.0
    };
    let shares = [1, 2, 3].map(percent);
    assert!((0.03..0.09).contains(&shares[0]), "{shares:?}");
    assert!((0.30..0.75).contains(&shares[1]), "{shares:?}");
    assert!((0.15..0.40).contains(&shares[2]), "{shares:?}");
    for record in &records {
        assert!(record.scenario != 0 || record.amount_cents <= 22_000);
        assert!(record.scenario != 1 || record.amount_cents > 22_000);
        assert!(record.amount_cents < 400_000);
    }
}

#[test]
fn a_terminal_taken_over_is_so_for_28_days() {
    let spec = FraudSpec { customers: Some(300), ..FraudSpec::new(60_000, 8) };
    let records = all(FraudGenerator::new(spec));
    let day = |record: &FraudRecord| (record.datetime_ms - spec.start_ms) / 86_400_000;
    let hit = records.iter().find(|record| record.scenario == 2).unwrap();
    let at_it = |record: &&FraudRecord| record.terminal_id == hit.terminal_id;
    let frauds: Vec<_> =
        records.iter().filter(at_it).filter(|record| record.scenario == 2).collect();
    let (first, last) = (day(frauds[0]), day(frauds[frauds.len() - 1]));
    assert!(frauds.len() > 3 && last - first < 28, "{} in {first}..={last}", frauds.len());
    let between = records.iter().filter(at_it).filter(|r| (first..=last).contains(&day(r)));
    assert!(between.clone().count() >= frauds.len());
    assert!(between.clone().all(|record| record.scenario != 0));
}

#[test]
fn a_shorter_stream_is_the_beginning_of_a_longer_one() {
    let of = |events| {
        let spec = FraudSpec { customers: Some(200), ..FraudSpec::new(events, 4) };
        all(FraudGenerator::new(spec))
    };
    assert_eq!(of(3_000)[..], of(20_000)[..3_000]);
    assert_eq!(all(clicks(500, 4))[..], all(clicks(5_000, 4))[..500]);
}

#[test]
fn clicks_are_of_the_promised_make_up() {
    for seed in [1, 2, 3] {
        let records = all(clicks(100_000, seed));
        assert!(records.is_sorted_by_key(|record| record.time_ms));
        let share = records.iter().filter(|record| record.is_click).count() as f64 / 1e5;
        let loss = records.iter().map(|record| {
            -if record.is_click { record.truth.ln() } else { (1.0 - record.truth).ln() }
        });
        let loss = loss.sum::<f64>() / 1e5;
        assert!((0.22..0.28).contains(&share), "{share}");
        assert!((0.38..0.412).contains(&loss), "{loss}");
        let missing = records.iter().filter(|r| r.numbers[0] == ClickRecord::MISSING).count();
        assert!((0.42..0.48).contains(&(missing as f64 / 1e5)), "{missing}");
        for (column, &cardinality) in CARDINALITIES.iter().enumerate() {
            let values = || records.iter().map(|record| record.categories[column]);
            assert!(values().all(|value| value < cardinality));
            // Zipf: value 0 has 1 / log2(cardinality + 1) of the mass.
            let first = values().filter(|&value| value == 0).count() as f64 / 1e5;
            let expected = 1.0 / (f64::from(cardinality) + 1.0).log2();
            assert!((first - expected).abs() < 0.01, "{column}: {first} against {expected}");
        }
        assert!(records.iter().any(|record| record.categories[25] > 1_000_000));
    }
}

#[test]
fn labels_follow_their_events() {
    let records = all(frauds(2_000, 6));
    let labels = all(Labels::new(frauds(2_000, 6), 604_800_000));
    assert_eq!(labels.len(), records.len());
    for (record, label) in records.iter().zip(&labels) {
        assert_eq!(*label, record.label(604_800_000));
        assert_eq!(label.arrival_ms - record.datetime_ms, 604_800_000);
    }
    let mut text = Vec::new();
    labels[0].write_json(&mut text);
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(value["TRANSACTION_ID"], 0);
    assert_eq!(value["LABEL_DATETIME"], labels[0].arrival_ms);
    assert!(value["TX_FRAUD"].is_number());
}

#[test]
fn parts_decide_what_is_told() {
    let record = FraudRecord { amount_cents: 1205, scenario: 2, ..FraudRecord::default() };
    let json = |parts| {
        let mut text = b"before ".to_vec();
        record.write_json_parts(parts, &mut text);
        String::from_utf8(text.split_off(7)).unwrap()
    };
    let event = "{\"TRANSACTION_ID\":0,\"TX_DATETIME\":0,\"CUSTOMER_ID\":0,\"TERMINAL_ID\":0,\
                 \"TX_AMOUNT\":12.05";
    assert_eq!(json(Parts::EVENT), format!("{event}}}"));
    assert_eq!(json(Parts::RECORD), format!("{event},\"TX_FRAUD\":1}}"));
    assert!(json(Parts::ALL).ends_with(",\"TX_FRAUD\":1,\"TX_FRAUD_SCENARIO\":2}"));
    let mut key = Vec::new();
    FraudRecord { customer_id: 4711, ..record }.write_key(&mut key);
    assert_eq!(key, b"4711");
}

/// The fields as floats in order, missing ones as NaN: what any of the formats must give back.
#[derive(Default)]
struct Floats(Vec<f64>);

impl FieldVisitor for Floats {
    fn integer(&mut self, _: &'static Field, value: i64) {
        self.0.push(value as f64);
    }
    fn decimal(&mut self, _: &'static Field, value: f64) {
        self.0.push(value);
    }
    fn hundredths(&mut self, _: &'static Field, value: u64) {
        self.0.push(value as f64 / 100.0);
    }
    fn missing(&mut self, _: &'static Field) {
        self.0.push(f64::NAN);
    }
}

fn floats<R: Record>(records: &[R]) -> Vec<Vec<u64>> {
    let row = |record: &R| {
        let mut floats = Floats::default();
        record.visit(&mut floats);
        floats.0.into_iter().map(f64::to_bits).collect()
    };
    records.iter().map(row).collect()
}

fn read_parquet(path: &Path) -> Vec<Vec<u64>> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let value = |value: &Value| match value {
        Value::Byte(value) => f64::from(*value),
        Value::Int(value) => f64::from(*value),
        Value::Long(value) => *value as f64,
        Value::Double(value) => *value,
        Value::Null => f64::NAN,
        other => panic!("{other}"),
    };
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    rows.map(|row| row.get_column_iter().map(|(_, v)| value(v).to_bits()).collect()).collect()
}

fn read_bytes(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    if path.extension().unwrap() != "gz" {
        return bytes;
    }
    let mut inner = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut inner).unwrap();
    inner
}

/// The records by the decoder that reads them from topics.
fn read_binary(path: &Path, layout: &Layout) -> Vec<Vec<u64>> {
    let bits = |value: Scalar<'_>| match value {
        Scalar::Int(value) => (value as f64).to_bits(),
        Scalar::Float(value) => value.to_bits(),
        Scalar::Null => f64::NAN.to_bits(),
        other => panic!("{other:?}"),
    };
    let bytes = read_bytes(path);
    let records = bytes.chunks(layout.record_bytes.max(1));
    let row = |record: &[u8]| {
        let values = layout.fields.iter().map(|laid| with_scalar(record, laid, bits).unwrap());
        values.collect()
    };
    records.map(row).collect()
}

fn read_text(path: &Path) -> Vec<Vec<u64>> {
    let text = String::from_utf8(read_bytes(path)).unwrap();
    let float = |text: &str| text.parse().unwrap_or(f64::NAN).to_bits();
    if path.to_string_lossy().contains(".csv") {
        return text.lines().skip(1).map(|line| line.split(',').map(float).collect()).collect();
    }
    let fields = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
        let inner = line.trim_matches(['{', '}']);
        inner.split(',').map(|pair| float(pair.split_once(':').unwrap().1)).collect()
    };
    text.lines().map(fields).collect()
}

fn comes_back<G: Generator + Clone>(generator: G, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let records = all(generator.clone());
    for extension in ["jsonl", "JSON", "ndjson.gz", "csv", "csv.gz", "parquet", "bin", "bin.gz"] {
        let path = folder.path().join(format!("{name}.{extension}"));
        let mut told = Vec::new();
        let mut tell = |records| told.push(records);
        let written = write_file(&mut generator.clone(), &path, Parts::ALL, &mut tell).unwrap();
        assert_eq!(written.records, records.len() as u64);
        assert_eq!(written.bytes, std::fs::metadata(&path).unwrap().len());
        assert_eq!(told.last(), Some(&written.records));
        let given = match extension {
            "parquet" => read_parquet(&path),
            "bin" | "bin.gz" => read_binary(&path, &binary::layout::<G::Record>(Parts::ALL)),
            _ => read_text(&path),
        };
        assert!(given == floats(&records), "{extension}");
        std::fs::remove_file(&path).unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn files_give_the_records_back() {
    comes_back(frauds(3_000, 9), "fraud");
    comes_back(clicks(2_000, 9), "clicks");
    comes_back(frauds(0, 9), "empty");
}

#[test]
fn a_binary_integer_is_never_cut() {
    let record = FraudRecord { transaction_id: 1 << 31, ..FraudRecord::default() };
    let mut out = Vec::new();
    assert!(!binary::write_binary(&record, Parts::EVENT, &mut out));
    assert_eq!(out.len(), binary::layout::<FraudRecord>(Parts::EVENT).record_bytes);
}

#[test]
fn a_parquet_file_has_several_row_groups_and_the_promised_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fraud.parquet");
    write_file(&mut frauds(140_000, 2), &path, Parts::RECORD, &mut |_| ()).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let metadata = reader.metadata().file_metadata();
    assert_eq!((reader.num_row_groups(), metadata.num_rows()), (2, 140_000));
    let columns = metadata.schema_descr().columns();
    let types: Vec<String> =
        columns.iter().map(|c| format!("{} {}", c.name(), c.physical_type())).collect();
    let expected = "TRANSACTION_ID INT32, TX_DATETIME INT64, CUSTOMER_ID INT32, \
                    TERMINAL_ID INT32, TX_AMOUNT DOUBLE, TX_FRAUD INT32";
    assert_eq!(types.join(", "), expected);
}

#[test]
fn a_file_that_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        write_file(&mut frauds(5, 1), &folder.path().join(name), Parts::RECORD, &mut |_| ())
    };
    assert!(matches!(write("a.txt"), Err(GenerateError::Extension { .. })));
    assert!(matches!(write("a.parquet.gz"), Err(GenerateError::Extension { .. })));
    assert!(matches!(write("no/such/a.csv"), Err(GenerateError::Write { .. })));
    std::fs::create_dir(folder.path().join("taken.csv")).unwrap();
    assert!(matches!(write("taken.csv"), Err(GenerateError::Write { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
