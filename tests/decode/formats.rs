//! One stream in every file format is the same rows to the bit, wherever it is cut.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use pelton::error::Error;
use pelton::source::file::{FileOptions, open};
use pelton_kernels::cases::scaled;
use proptest::prelude::*;

use super::{RowBits, drained, payments};

/// A payment as it is, before it is written.
#[derive(Clone, Debug)]
pub struct Payment {
    id: i64,
    ts: i64,
    amount: Option<f64>,
    card: Option<String>,
    country: Option<String>,
    label: Option<i64>,
}

fn payment() -> impl Strategy<Value = Payment> {
    let amount = prop::option::of(prop_oneof![-1e6..1e6, any::<i16>().prop_map(f64::from)]);
    let card = prop::option::of("[a-z0-9,\"é]{1,9}|-?[0-9]{1,3}");
    let country = prop::option::of("[A-Z]{2}");
    let label = prop::option::of(0..2_i64);
    (any::<i64>(), 0..1_i64 << 40, amount, card, country, label).prop_map(
        |(id, ts, amount, card, country, label)| Payment { id, ts, amount, card, country, label },
    )
}

fn json_lines(payments: &[Payment]) -> String {
    let mut text = String::new();
    for p in payments {
        let row = serde_json::json!({
            "id": p.id, "unwanted": [1], "ts": p.ts, "amount": p.amount, "card": p.card,
            "shop": {"country": p.country}, "label": p.label,
        });
        writeln!(text, "{row}").expect("in memory");
    }
    text
}

fn csv_text(payments: &[Payment]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["label", "shop.country", "unwanted", "card", "amount", "ts", "id"];
    writer.write_record(header).expect("in memory");
    for p in payments {
        let shown = |value: Option<String>| value.unwrap_or_default();
        let record = [
            shown(p.label.map(|label| label.to_string())),
            shown(p.country.clone()),
            "x".to_owned(),
            shown(p.card.clone()),
            shown(p.amount.map(|amount| amount.to_string())),
            p.ts.to_string(),
            p.id.to_string(),
        ];
        writer.write_record(&record).expect("in memory");
    }
    writer.into_inner().expect("in memory")
}

/// A row group that is being written.
type Group<'a> = parquet::file::writer::SerializedRowGroupWriter<'a, fs::File>;

/// Writes a Parquet file; each call writes the columns of one group, in order.
pub fn write_parquet(path: &Path, message: &str, groups: &[&dyn Fn(&mut Group<'_>)]) {
    let schema = Arc::new(parse_message_type(message).expect("a schema"));
    let properties = WriterProperties::builder().set_data_page_row_count_limit(50).build();
    let file = fs::File::create(path).expect("created");
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).expect("begun");
    for write in groups {
        let mut group = writer.next_row_group().expect("a group");
        write(&mut group);
        group.close().expect("written");
    }
    writer.close().expect("written");
}

/// Writes one column; `level` is the definition level of a value that is there.
pub fn write_column<T: DataType>(group: &mut Group<'_>, values: &[Option<T::T>], level: i16) {
    let mut column = group.next_column().expect("no error").expect("a column");
    let levels: Vec<_> = values.iter().map(|v| if v.is_some() { level } else { 0 }).collect();
    let present: Vec<_> = values.iter().flatten().cloned().collect();
    let levels = (level > 0).then_some(levels.as_slice());
    column.typed::<T>().write_batch(&present, levels, None).expect("written");
    column.close().expect("written");
}

fn write_payments(path: &Path, payments: &[Payment]) {
    let message = "message payment {
        required int64 id; optional int64 unwanted; required int64 ts (TIMESTAMP_MILLIS);
        optional double amount; optional binary card (UTF8);
        optional group shop { optional binary country (UTF8); } optional int64 label; }";
    let text = |text: &Option<String>| text.as_deref().map(ByteArray::from);
    let write = |payments: &[Payment], group: &mut Group<'_>| {
        let each =
            |of: &dyn Fn(&Payment) -> Option<i64>| payments.iter().map(of).collect::<Vec<_>>();
        let bytes = |of: &dyn Fn(&Payment) -> Option<ByteArray>| {
            payments.iter().map(of).collect::<Vec<_>>()
        };
        write_column::<Int64Type>(group, &each(&|p| Some(p.id)), 0);
        write_column::<Int64Type>(group, &each(&|_| None), 1);
        write_column::<Int64Type>(group, &each(&|p| Some(p.ts)), 0);
        let amounts: Vec<_> = payments.iter().map(|p| p.amount).collect();
        write_column::<DoubleType>(group, &amounts, 1);
        write_column::<ByteArrayType>(group, &bytes(&|p| text(&p.card)), 1);
        write_column::<ByteArrayType>(group, &bytes(&|p| text(&p.country)), 2);
        write_column::<Int64Type>(group, &each(&|p| p.label), 1);
    };
    let (first, second) = payments.split_at(payments.len() / 3);
    write_parquet(path, message, &[&|group| write(first, group), &|group| write(second, group)]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// The same payments in each format.
fn write_all(folder: &Path, payments: &[Payment]) -> Vec<PathBuf> {
    let paths = ["p.parquet", "p.csv", "p.csv.gz", "p.jsonl", "p.NDJSON", "p.json.gz"];
    let paths: Vec<_> = paths.iter().map(|name| folder.join(name)).collect();
    write_payments(&paths[0], payments);
    let (csv, json) = (csv_text(payments), json_lines(payments).into_bytes());
    fs::write(&paths[1], &csv).expect("written");
    // Two members, cut in the middle of a line.
    let (head, tail) = csv.split_at(csv.len() / 2);
    fs::write(&paths[2], [gzip(head), gzip(tail)].concat()).expect("written");
    fs::write(&paths[3], &json).expect("written");
    fs::write(&paths[4], &json).expect("written");
    fs::write(&paths[5], gzip(&json)).expect("written");
    paths
}

fn read(path: &Path, options: &FileOptions, rows_max: usize) -> Vec<RowBits> {
    let mut schema = payments();
    schema.keeps_raw = false;
    // A text keeps the type it has in the file, and CSV knows none.
    schema.fields[0].targets.pop();
    schema.fields[4].targets.pop();
    schema.texts.clear();
    let mut source = open(path, &schema, options).expect("opened");
    let (rows, rejects) = drained(source.as_mut(), &schema, rows_max);
    assert_eq!(rejects, []);
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(40)))]

    #[test]
    fn every_format_and_every_cut_gives_the_same_rows(
        payments in prop::collection::vec(payment(), 1..300),
        rows_max in 1..400_usize,
        from_row in 0..320_u64,
        limit in prop::option::of(0..320_u64),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = write_all(folder.path(), &payments);
        let expected = read(&paths[3], &FileOptions::default(), 1000);
        prop_assert_eq!(expected.len(), payments.len());
        for path in &paths {
            prop_assert_eq!(&read(path, &FileOptions::default(), rows_max), &expected);
            let options =
                FileOptions { from_row, limit, batch_bytes_max: 500, ..FileOptions::default() };
            let count = limit.map_or(usize::MAX, |limit| limit as usize);
            let part = expected.iter().skip(from_row as usize).take(count);
            let part: Vec<_> = part.cloned().collect();
            prop_assert_eq!(&read(path, &options, rows_max), &part);
        }
    }
}

fn reason(result: Result<impl Sized, Error>) -> String {
    match result {
        Err(error @ Error::Recording { .. }) => error.to_string(),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let schema = payments();
    let opened = |path: &Path| open(path, &schema, &FileOptions::default());
    let mistaken = reason(opened(&write("a.csv", b"ID,ts,amount,crad,shop.country,label\n")));
    assert!(mistaken.contains("no column `id` (the nearest is `ID`)"), "{mistaken}");
    assert!(mistaken.contains("no column `card` (the nearest is `crad`)"), "{mistaken}");
    let twice = reason(opened(&write("b.csv", b"id,ts,amount,card,shop.country,label,ts\n")));
    assert!(twice.contains("two columns `ts`"), "{twice}");
    assert!(reason(opened(&write("c.csv", b""))).contains("empty"));
    assert!(reason(opened(&write("d.txt", b""))).contains(".parquet"));
    assert!(reason(opened(&write("e.parquet", b"PAR1 or so"))).contains("Parquet"));
    assert!(matches!(opened(&folder.path().join("none.csv")), Err(Error::File { .. })));

    let lines = b"{\"id\":1,\"ts\":1}\n".repeat(100_000);
    let packed = gzip(&lines);
    let mut noise = packed.clone();
    noise.extend_from_slice(b"no gzip member");
    for (bytes, expected) in [(&packed[..packed.len() - 9], "cut off"), (&noise, "damaged")] {
        let mut source = opened(&write("f.jsonl.gz", bytes)).expect("the head is fine");
        let mut slot = pelton::ring::Slot::new(&schema, 200_000);
        let read = source
            .read(&mut slot, std::time::Instant::now() + std::time::Duration::from_secs(3600));
        let said = reason(read);
        assert!(said.contains(expected), "{said}");
    }
    let mut by_message = payments();
    by_message.time = pelton::schema::TimeFrom::Message;
    let path = write("g.jsonl", b"");
    assert!(reason(open(&path, &by_message, &FileOptions::default())).contains("time field"));
}
