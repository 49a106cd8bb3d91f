//! Files of binary records: the rows of the same stream in JSON, from any record on, in any cut.

use std::io::Write as _;
use std::path::Path;

use pelton::config::Config;
use pelton::ring::Reason;
use pelton::source::file::{FileOptions, open};

use super::{RowBits, drained};

const CONFIG: &str = "
    event = { id = 'id', time = 'ts', format = 'binary', record_bytes = 40 }
    layout.id = { offset = 0, type = 'u64' }
    layout.ts = { offset = 8, type = 'i64' }
    layout.amount = { offset = 16, type = 'f64' }
    layout.shop = { offset = 24, type = 'text', bytes = 12 }
    layout.label = { offset = 36, type = 'i32', missing = -1 }
    fields.amount = { type = 'number' }
    fields.shop = { type = 'category' }
    emit = { topic = 'scores', fields = ['shop', 'amount'] }
    features = [{ number = 'amount' }]";

const COUNT: u64 = 50;

fn config() -> Config {
    Config::parse(CONFIG).unwrap_or_else(|problems| panic!("{problems}"))
}

fn records() -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in 0..COUNT {
        bytes.extend(id.to_le_bytes());
        bytes.extend((1000 * id).to_le_bytes());
        bytes.extend((id as f64 + 0.5).to_le_bytes());
        bytes.extend(format!("shop {}", id % 7).as_bytes());
        bytes.extend([0; 6]);
        bytes.extend((id as i32 % 3 - 1).to_le_bytes());
    }
    bytes
}

fn lines() -> String {
    let line = |id: u64| {
        let label = ["null", "0", "1"][id as usize % 3];
        let (time, shop) = (1000 * id, id % 7);
        let event = format!("\"id\":{id},\"ts\":{time},\"amount\":{id}.5");
        format!("{{{event},\"shop\":\"shop {shop}\",\"label\":{label}}}\n")
    };
    (0..COUNT).map(line).collect()
}

type Read = (Vec<RowBits>, Vec<super::Rejected>);

fn read(path: &Path, options: &FileOptions, rows_max: usize) -> Read {
    let schema = config().event.schema;
    let mut source = open(path, &schema, options).expect("opened");
    drained(source.as_mut(), &schema, rows_max)
}

#[test]
fn a_file_of_binary_records_has_the_rows_of_its_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a.jsonl"), lines()).expect("written");
    std::fs::write(path("a.bin"), records()).expect("written");
    let packed = std::fs::File::create(path("a.bin.gz")).expect("a file");
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    packed.write_all(&records()).and_then(|()| packed.try_finish()).expect("written");
    let all = FileOptions::of(&config());
    let part = FileOptions { from_row: 7, limit: Some(20), batch_bytes_max: 90, ..all.clone() };
    for (options, rows_max) in [(&all, 1000), (&all, 3), (&part, 16)] {
        let expected = read(&path("a.jsonl"), options, rows_max);
        assert!(expected.1.is_empty() && expected.0.len() >= 20);
        for name in ["a.bin", "a.bin.gz"] {
            assert_eq!(read(&path(name), options, rows_max), expected, "{name}");
        }
    }
}

#[test]
fn what_is_left_of_a_record_is_a_dead_letter() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.bin");
    std::fs::write(&path, &records()[..40 * 3 + 11]).expect("written");
    let (rows, rejects) = read(&path, &FileOptions::of(&config()), 100);
    assert_eq!(rows.len(), 3);
    assert_eq!(rejects, [(3, Reason::Unparsable, records()[120..131].to_vec())]);
}

#[test]
fn a_layout_that_lacks_something_is_refused_by_name() {
    let problems = |text: &str| Config::parse(text).expect_err("illegal").to_string();
    let text = CONFIG.replace("layout.shop", "layout.other");
    assert!(problems(&text).contains("layout.shop: is missing"), "{}", problems(&text));
    let text = CONFIG.replace("record_bytes = 40", "record_bytes = 39");
    assert!(problems(&text).contains("layout.label.offset"), "{}", problems(&text));
    let text = CONFIG.replace(", record_bytes = 40", "");
    assert!(problems(&text).contains("event.record_bytes: is missing"), "{}", problems(&text));
    let text = CONFIG.replace(", bytes = 12", "");
    assert!(problems(&text).contains("layout.shop.bytes: is missing"), "{}", problems(&text));
    let (config, folder) = (config(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("a.bin");
    std::fs::write(&path, records()).expect("written");
    let opened = open(&path, &config.event.schema, &FileOptions::default());
    assert!(opened.err().is_some_and(|error| error.to_string().contains("event.format")));
    let mut schema = config.event.schema.clone();
    schema.fields[2].place = pelton::schema::Place::Header("origin".into());
    let opened = open(&path, &schema, &FileOptions::of(&config));
    assert!(opened.err().is_some_and(|error| error.to_string().contains("layout.origin")));
}
