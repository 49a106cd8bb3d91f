//! Any bytes between two lines of a CSV file are rows or rejects, and the two lines stay rows.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use pelton::config::Config;
use pelton::ring::Slot;
use pelton::source::Progress;
use pelton::source::file::{FileOptions, open};
use pelton_fuzz::config;

static CONFIG: LazyLock<Config> = LazyLock::new(config);
static PATH: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("pelton-fuzz-{}.csv", std::process::id())));

const LINES: [&[u8]; 3] = [b"id,t,amount,card,shop.country", b"1,1,1.5,c,NL", b"2,2,2.5,d,DE"];

fuzz_target!(|bytes: &[u8]| {
    let text = [LINES[0], LINES[1], bytes, LINES[2]].join(&b'\n');
    std::fs::write(&*PATH, text).expect("a temporary folder can be written to");
    let schema = &CONFIG.event.schema;
    let options = FileOptions { record_bytes_max: 4096, ..FileOptions::of(&CONFIG) };
    let mut source = open(&PATH, schema, &options).expect("its header is good");
    // One row more than there can be lines, so that the slot is never full.
    let mut slot = Slot::new(schema, bytes.len() + 4);
    while source.read(&mut slot, Instant::now()).expect("readable") != Progress::Ended {}
    assert_eq!(slot.consumed, (slot.rows + slot.rejects.len()) as u64);
    assert_eq!((slot.raw.get(0), slot.positions[0].offset), (LINES[1], 0));
    let last = slot.rows - 1;
    assert_eq!(slot.raw.get(last), LINES[2]);
    assert_eq!(slot.positions[last].offset + 1, slot.consumed as i64);
});
