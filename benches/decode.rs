//! Decoding of records into the columns of a slot, in records per second on one core.
//!
//! The record is a card payment of 240 bytes with six wanted fields; `serde_json` drives the same
//! visitor beside the fast parser.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pelton::ring::{Position, Slot};
use pelton::schema::{Field, LabelMeaning, Place, Schema, Target, TimeFrom, TimeUnit};
use pelton::source::Progress;
use pelton::source::decode::{MessageParts, Names, event, json};
use pelton::source::file::{FileOptions, open};
use pelton::source::rows::RowWriter;

const ROWS: usize = 4096;

fn schema() -> Schema {
    let field = |name: &str, targets: &[Target]| Field {
        place: Place::Body(name.to_owned()),
        targets: targets.to_vec(),
    };
    Schema {
        fields: vec![
            field("TRANSACTION_ID", &[Target::Id]),
            field("TX_DATETIME", &[Target::Time(TimeUnit::Milliseconds)]),
            field("CUSTOMER_ID", &[Target::Category(0)]),
            field("TERMINAL_ID", &[Target::Category(1)]),
            field("TX_AMOUNT", &[Target::Number(0)]),
            field("CURRENCY", &[Target::Category(2)]),
        ],
        numbers: vec!["TX_AMOUNT".into()],
        categories: vec!["CUSTOMER_ID".into(), "TERMINAL_ID".into(), "CURRENCY".into()],
        texts: vec![],
        time: TimeFrom::Field,
        has_id: true,
        label: LabelMeaning::Binary,
        keeps_raw: false,
        keeps_labels: false,
    }
}

/// Records of exactly 240 bytes; `rest` is what they carry besides the six fields.
fn records(rest: &str) -> Vec<Vec<u8>> {
    (0..ROWS)
        .map(|i| {
            let mut record = format!(
                "{{\"TRANSACTION_ID\":{},\"TX_DATETIME\":{},\"CUSTOMER_ID\":\"c{:05}\",\
                 \"TERMINAL_ID\":\"t{:05}\",\"TX_AMOUNT\":{}.{:02},\"CURRENCY\":\"EUR\"{rest}",
                1_000_000 + i,
                1_522_540_831_000_u64 + i as u64 * 1000,
                i * 7919 % 5000,
                i * 104_729 % 10_000,
                i * 31 % 200 + 1,
                i % 100,
            );
            let padding = 240 - record.len() - ",\"NOTE\":\"\"}".len();
            record.push_str(&format!(",\"NOTE\":\"{}\"}}", "x".repeat(padding)));
            record.into_bytes()
        })
        .collect()
}

fn decode(c: &mut Criterion) {
    let schema = schema();
    let names = Names::new(&schema);
    let mut slot = Slot::new(&schema, ROWS);
    slot.span_index(&"bench".into(), 0);
    let plain = records("");
    let more = records(",\"LAT\":48.85661,\"LON\":2.35222,\"MCC\":5411,\"OK\":true");
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, records) in [("sonic", &plain), ("sonic_four_more_unwanted", &more)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                slot.rows = 0;
                for (offset, payload) in (0..).zip(records) {
                    let message = MessageParts { payload, ..MessageParts::default() };
                    event(&schema, &names, &mut slot, &message, Position { span: 0, offset });
                }
                assert_eq!(slot.rows, ROWS);
            });
        });
    }
    group.bench_function("serde_json", |b| {
        b.iter(|| {
            slot.rows = 0;
            for (offset, payload) in (0..).zip(&plain) {
                let mut row = RowWriter::begin(&schema, &mut slot);
                let text = json::checked_text(payload, &names).expect("valid");
                let mut parser = serde_json::Deserializer::from_str(text);
                json::read_object(&mut parser, &names, &mut row).expect("valid");
                parser.end().expect("nothing follows");
                row.finish(Position { span: 0, offset }, None, payload);
            }
            assert_eq!(slot.rows, ROWS);
        });
    });
    group.finish();
}

/// The recorded payments, six columns, from the file into slots.
fn parquet(c: &mut Criterion) {
    let folder = std::env::var_os("PELTON_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join("fraud_transactions.parquet");
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there; set PELTON_DATA to its folder", path.display());
        return;
    }
    let mut schema = schema();
    schema.categories.pop();
    schema.fields[5] =
        Field { place: Place::Body("TX_FRAUD".to_owned()), targets: vec![Target::Label] };
    let mut slot = Slot::new(&schema, ROWS);
    let mut group = c.benchmark_group("file");
    group.throughput(Throughput::Elements(1_754_155)).sample_size(10);
    group.bench_function("parquet", |b| {
        b.iter(|| {
            let mut source = open(&path, &schema, &FileOptions::default()).expect("a recording");
            let mut rows = 0;
            loop {
                slot.clear();
                let until = Instant::now() + Duration::from_secs(60);
                let progress = source.read(&mut slot, until).expect("readable");
                rows += slot.rows;
                if progress == Progress::Ended {
                    break assert_eq!(rows, 1_754_155);
                }
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode, parquet);
criterion_main!(benches);
