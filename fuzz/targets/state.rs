//! Any bytes in a section are refused or are a state, and a state that was read can be written and
//! goes on. The fuzzer changes single bytes of sections that a pipeline has written.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pelton::config::Config;
use pelton::pipeline::{Pipeline, SECTIONS};
use pelton::ring::{Position, Slot};
use pelton::source::decode::{self, MessageParts, Names};
use pelton_fuzz::config;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let mut config = config();
    config.features.hash_bits = 6;
    config.evaluate.trailing_rows = 20;
    config
});

static SAVED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut pipeline = Pipeline::new(&CONFIG).expect("a possible configuration");
    pipeline.step(&mut events(0..40)).expect("data never ends a run");
    let section = |name: &&str| {
        let mut bytes = Vec::new();
        pipeline.write_section(name, &mut bytes).expect("a vector takes all bytes");
        bytes
    };
    SECTIONS.iter().map(section).collect()
});

fn events(ids: std::ops::Range<u32>) -> Slot {
    let schema = &CONFIG.event.schema;
    let names = Names::new(schema).limit(4096);
    let mut slot = Slot::new(schema, ids.len());
    let span = slot.span_index(&"topic".into(), 0);
    for id in ids {
        let payload = format!(
            r#"{{"id":{id},"t":{id}000,"amount":{}.5,"card":"c{}","shop":{{"country":"NL"}}}}"#,
            id % 7,
            id % 5
        );
        let message = MessageParts { payload: payload.as_bytes(), ..MessageParts::default() };
        let position = Position { span, offset: i64::from(id) };
        decode::event(schema, &names, &mut slot, &message, position);
    }
    slot
}

fuzz_target!(|changes: Vec<(u8, u16, u8)>| {
    let mut saved = SAVED.clone();
    for (section, at, byte) in changes {
        let bytes = &mut saved[usize::from(section) % SECTIONS.len()];
        let length = bytes.len().max(1);
        if let Some(changed) = bytes.get_mut(usize::from(at) % length) {
            *changed = byte;
        }
    }
    let mut pipeline = Pipeline::new(&CONFIG).expect("a possible configuration");
    for (name, bytes) in SECTIONS.iter().zip(&saved) {
        if pipeline.read_section(name, &mut &bytes[..]).is_err() {
            return;
        }
    }
    for name in SECTIONS {
        pipeline.write_section(name, &mut Vec::new()).expect("a vector takes all bytes");
    }
    // Nothing is claimed of what comes out, but that it is no panic.
    let _ = pipeline.step(&mut events(30..60));
    let _ = pipeline.finish();
});
