//! Any bytes are a binary event or one reject, and the events around them are what they are alone.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pelton::config::Config;
use pelton::source::decode::Names;
use pelton_fuzz::{binary_config, spares_its_neighbours};

static CONFIG: LazyLock<Config> = LazyLock::new(binary_config);

/// A good record.
fn good(id: u64) -> Vec<u8> {
    let mut record = [id.to_le_bytes(), 5_i64.to_le_bytes()].concat();
    record.extend_from_slice(&1.5_f32.to_le_bytes());
    record.extend_from_slice(&7_u32.to_le_bytes());
    record.extend_from_slice(b"NL\0\0\0\0\0\0");
    record
}

fuzz_target!(|payload: &[u8]| {
    let names = Names::of_events(&CONFIG);
    spares_its_neighbours(&CONFIG, &names, [&good(1), payload, &good(2)]);
});
