//! Any bytes are an event or one reject, and the events around them are what they are alone.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pelton::config::Config;
use pelton::source::decode::Names;
use pelton_fuzz::{AFTER, BEFORE, config, spares_its_neighbours};

static CONFIG: LazyLock<Config> = LazyLock::new(config);

fuzz_target!(|payload: &[u8]| {
    let names = Names::new(&CONFIG.event.schema).limit(4096);
    spares_its_neighbours(&CONFIG, &names, [BEFORE, payload, AFTER]);
});
