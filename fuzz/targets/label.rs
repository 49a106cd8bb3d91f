//! Any bytes are a label or one reject.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pelton::config::Config;
use pelton::ring::{Position, Slot};
use pelton::schema::{Place, TimeUnit};
use pelton::source::decode::{self, LabelFields, LabelNames, MessageParts};
use pelton_fuzz::config;

static CONFIG: LazyLock<Config> = LazyLock::new(config);

fn names() -> LabelNames {
    let place = |name: &str| Place::Body(name.to_owned());
    let time = Some((place("t"), TimeUnit::Milliseconds));
    LabelNames::new(LabelFields { id: place("id"), label: place("label"), time }, 4096)
}

fuzz_target!(|payload: &[u8]| {
    let schema = &CONFIG.event.schema;
    let mut slot = Slot::new(schema, 1);
    let span = slot.span_index(&"topic".into(), 0);
    let message = MessageParts { payload, ..MessageParts::default() };
    decode::label(&schema.label, &names(), &mut slot, &message, Position { span, offset: 7 });
    assert_eq!(slot.labels.len() + slot.rejects.len(), 1);
    assert!(slot.labels.iter().all(|label| label.value == 0.0 || label.value == 1.0));
    if let Some(reject) = slot.rejects.first() {
        assert!(reject.is_label && reject.bytes == payload);
    }
});
