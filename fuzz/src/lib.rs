//! What the fuzz targets share: events of a fixed configuration, and two good ones to put around
//! whatever the fuzzer has made. A record may be refused; its neighbours may not notice.

use pelton::config::Config;
use pelton::ring::{Position, Slot};
use pelton::source::decode::{self, MessageParts, Names};

/// Every kind of column.
const CONFIG: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'label', time = 't' }
    fields.amount = { type = 'number' }
    fields.card = { type = 'category' }
    fields.country = { type = 'category', from = 'shop.country' }
    emit = { file = 'scores.jsonl', fields = ['country', 'amount'] }
    dead_letters = { file = 'dead.jsonl' }
    features = [{ number = 'amount' }]";

/// The same fields in 32 bytes: every type but two, a missing integer, and texts.
const BINARY: &str = "
    event = { id = 'id', time = 't', format = 'binary', record_bytes = 32 }
    layout.id = { offset = 0, type = 'u64' }
    layout.t = { offset = 8, type = 'i64', missing = -1 }
    layout.amount = { offset = 16, type = 'f32' }
    layout.card = { offset = 20, type = 'u32' }
    layout.country = { offset = 24, type = 'text', bytes = 8 }
    labels = { topic = 'labels', id = 'id', field = 'label', time = 't' }
    fields.amount = { type = 'number' }
    fields.card = { type = 'category' }
    fields.country = { type = 'category' }
    emit = { file = 'scores.jsonl', fields = ['country', 'amount'] }
    dead_letters = { file = 'dead.jsonl' }
    features = [{ number = 'amount' }]";

/// A good event.
pub const BEFORE: &[u8] = br#"{"id":1,"t":1,"amount":1.5,"card":"c","shop":{"country":"NL"}}"#;
/// Another one.
pub const AFTER: &[u8] = br#"{"id":2,"t":2,"amount":2.5,"card":"d","shop":{"country":"DE"}}"#;

/// The configuration of the targets that decode records.
pub fn config() -> Config {
    Config::parse(CONFIG).expect("a valid configuration")
}

/// The configuration of the target that decodes binary records.
pub fn binary_config() -> Config {
    Config::parse(BINARY).expect("a valid configuration")
}

/// Any bytes between two good events are a row or one reject, and those two are as they are alone.
pub fn spares_its_neighbours(config: &Config, names: &Names, payloads: [&[u8]; 3]) {
    let [before, payload, after] = payloads;
    let alone = decoded(config, names, &[before, after]);
    assert_eq!(alone.rows, 2);
    let slot = decoded(config, names, &payloads);
    assert_eq!((slot.consumed, slot.rows + slot.rejects.len()), (3, 3));
    assert_eq!(row(&slot, 0), row(&alone, 0));
    assert_eq!(row(&slot, slot.rows - 1), row(&alone, 1));
    if let Some(reject) = slot.rejects.first() {
        assert_eq!((&*reject.bytes, reject.position.offset), (payload, 1));
    }
}

fn decoded(config: &Config, names: &Names, payloads: &[&[u8]]) -> Slot {
    let schema = &config.event.schema;
    let mut slot = Slot::new(schema, payloads.len());
    let span = slot.span_index(&"topic".into(), 0);
    for (offset, payload) in (0..).zip(payloads) {
        let message = MessageParts { payload, ..MessageParts::default() };
        decode::event(schema, names, &mut slot, &message, Position { span, offset });
    }
    slot
}

/// Everything about a row but where it was read.
pub fn row(slot: &Slot, row: usize) -> impl PartialEq + std::fmt::Debug + use<> {
    let texts = slot.texts.len() / slot.rows;
    let bits: Vec<u32> = slot.numbers.row(row).map(f32::to_bits).collect();
    let texts: Vec<Vec<u8>> =
        (0..texts).map(|text| slot.texts.get(row * texts + text).to_vec()).collect();
    let categories: Vec<u64> = slot.categories.row(row).collect();
    (slot.ids[row], slot.times_ms[row], bits, categories, texts, slot.raw.get(row).to_vec())
}
