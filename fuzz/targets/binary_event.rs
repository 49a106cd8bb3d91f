//! Any bytes are a binary event or one reject, and the events around them are what they are alone.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pelton::config::Config;
use pelton::ring::{Position, Slot};
use pelton::source::decode::{self, MessageParts, Names};
use pelton_fuzz::{binary_config, row};

static CONFIG: LazyLock<Config> = LazyLock::new(binary_config);

/// A good record.
fn good(id: u64) -> Vec<u8> {
    let mut record = [id.to_le_bytes(), 5_i64.to_le_bytes()].concat();
    record.extend_from_slice(&1.5_f32.to_le_bytes());
    record.extend_from_slice(&7_u32.to_le_bytes());
    record.extend_from_slice(b"NL\0\0\0\0\0\0");
    record
}

fn decoded(payloads: &[&[u8]]) -> Slot {
    let schema = &CONFIG.event.schema;
    let names = Names::of_events(&CONFIG);
    let mut slot = Slot::new(schema, payloads.len());
    let span = slot.span_index(&"topic".into(), 0);
    for (offset, payload) in (0..).zip(payloads) {
        let message = MessageParts { payload, ..MessageParts::default() };
        decode::event(schema, &names, &mut slot, &message, Position { span, offset });
    }
    slot
}

fuzz_target!(|payload: &[u8]| {
    let (before, after) = (good(1), good(2));
    let alone = decoded(&[&before, &after]);
    assert_eq!(alone.rows, 2);
    let slot = decoded(&[&before, payload, &after]);
    assert_eq!((slot.consumed, slot.rows + slot.rejects.len()), (3, 3));
    assert_eq!(row(&slot, 0), row(&alone, 0));
    assert_eq!(row(&slot, slot.rows - 1), row(&alone, 1));
    if let Some(reject) = slot.rejects.first() {
        assert_eq!((&*reject.bytes, reject.position.offset), (payload, 1));
    }
});
