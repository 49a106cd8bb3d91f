//! The corpus of hostile records, `tests/corpus/records/`: each file as the body of an event, as a
//! label, as lines of a JSON and of a CSV file. Every one is accounted for, and the records before
//! and after it are what they are without it. What a fuzzer finds is added there.

use std::path::Path;

use pelton::ring::Slot;
use pelton::schema::{LabelMeaning, Place, TimeUnit};
use pelton::source::decode::{LabelFields, LabelNames, MessageParts, Names, label};
use pelton::source::file::{FileOptions, open};

use super::{decoded, drained, payments, rows};

const BEFORE: &[u8] = br#"{"id":"a","ts":1,"amount":1.5,"card":"c","shop":{"country":"NL"}}"#;
const AFTER: &[u8] = br#"{"id":"b","ts":2,"amount":2.5,"card":"d","shop":{"country":"DE"}}"#;

/// Name and bytes of every case.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/records");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        cases.push((path.display().to_string(), bytes));
    }
    cases.sort();
    assert!(cases.len() > 30, "{} cases", cases.len());
    cases
}

#[test]
fn events_account_for_every_case_and_spare_their_neighbours() {
    let schema = payments();
    let names = Names::new(&schema).limit(4096);
    let alone = rows(&schema, &decoded(&schema, &names, &[BEFORE, AFTER]));
    for (name, bytes) in corpus() {
        let slot = decoded(&schema, &names, &[BEFORE, &bytes, AFTER]);
        let mut found = rows(&schema, &slot);
        assert_eq!(found.len() + slot.rejects.len(), 3, "{name}");
        assert!(slot.rejects.iter().all(|reject| reject.bytes == bytes), "{name}");
        let mut last = found.pop().expect("a row");
        assert_eq!(std::mem::replace(&mut last.position.offset, 1), 2, "{name}");
        assert_eq!((&found[0], &last), (&alone[0], &alone[1]), "{name}");
    }
}

#[test]
fn labels_account_for_every_case() {
    let place = |name: &str| Place::Body(name.to_owned());
    let time = Some((place("t"), TimeUnit::Milliseconds));
    let fields = LabelFields { id: place("id"), label: place("label"), time };
    let names = LabelNames::new(fields, 4096);
    let mut slot = Slot::new(&payments(), 1);
    for (name, bytes) in corpus() {
        slot.clear();
        let message = MessageParts { payload: &bytes, ..MessageParts::default() };
        let position = pelton::ring::Position::default();
        label(&LabelMeaning::Binary, &names, &mut slot, &message, position);
        assert_eq!(slot.labels.len() + slot.rejects.len(), 1, "{name}");
        assert!(slot.rejects.iter().all(|reject| reject.bytes == bytes), "{name}");
    }
}

#[test]
fn files_account_for_every_line_and_spare_its_neighbours() {
    let schema = payments();
    let folder = tempfile::tempdir().expect("a folder");
    let header: &[u8] = b"id,ts,amount,card,shop.country,label\n";
    let lines: [&[u8]; 2] = [b"a,1,1.5,c,NL,0", b"b,2,2.5,d,DE,1"];
    let json: [&[u8]; 2] = [br#"{"id":"a","ts":1,"label":0}"#, br#"{"id":"b","ts":2,"label":1}"#];
    for (name, bytes) in corpus() {
        for (file, header, [before, after]) in [("x.csv", header, lines), ("x.jsonl", b"", json)] {
            let path = folder.path().join(file);
            let text = [before, &bytes, after].join(&b'\n');
            std::fs::write(&path, [header, &text].concat()).expect("written");
            let options = FileOptions { record_bytes_max: 4096, ..FileOptions::default() };
            let mut source = open(&path, &schema, &options).expect("opened");
            let (found, rejects) = drained(source.as_mut(), &schema, 3);
            let ends = (found.first(), found.last());
            let (Some(first), Some(last)) = ends else { panic!("{name}: no rows in {file}") };
            assert_eq!((first.raw.as_slice(), first.position.offset), (before, 0), "{name} {file}");
            let count = found.len() + rejects.len();
            let end = (last.raw.as_slice(), last.position.offset + 1);
            assert_eq!(end, (after, count as i64), "{name} {file}");
        }
    }
}
