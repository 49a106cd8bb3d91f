//! Any bytes are an event or one reject, and the events around them are what they are alone.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pelton::config::Config;
use pelton::ring::{Position, Slot};
use pelton::source::decode::{self, MessageParts, Names};
use pelton_fuzz::{AFTER, BEFORE, config, row};

static CONFIG: LazyLock<Config> = LazyLock::new(config);

fn decoded(payloads: &[&[u8]]) -> Slot {
    let schema = &CONFIG.event.schema;
    let names = Names::new(schema).limit(4096);
    let mut slot = Slot::new(schema, payloads.len());
    let span = slot.span_index(&"topic".into(), 0);
    for (offset, payload) in (0..).zip(payloads) {
        let message = MessageParts { payload, ..MessageParts::default() };
        decode::event(schema, &names, &mut slot, &message, Position { span, offset });
    }
    slot
}

fuzz_target!(|payload: &[u8]| {
    let alone = decoded(&[BEFORE, AFTER]);
    let slot = decoded(&[BEFORE, payload, AFTER]);
    assert_eq!((slot.consumed, slot.rows + slot.rejects.len()), (3, 3));
    assert_eq!(row(&slot, 0), row(&alone, 0));
    assert_eq!(row(&slot, slot.rows - 1), row(&alone, 1));
    if let Some(reject) = slot.rejects.first() {
        assert_eq!((&*reject.bytes, reject.position.offset), (payload, 1));
    }
});
