//! Any text is a configuration or has problems with paths; one that is accepted can be run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::config::Config;
use pelton::error::Actor;
use pelton::pipeline::Pipeline;

fuzz_target!(|text: &str| {
    match Config::parse(text) {
        Err(problems) => {
            assert!(!problems.0.is_empty());
            assert!(problems.0.iter().all(|p| !p.path.is_empty() && !p.message.is_empty()));
        }
        Ok(mut config) => {
            // As large as it likes on paper; here only the shape matters.
            config.features.hash_bits = config.features.hash_bits.min(8);
            config.evaluate.trailing_rows = config.evaluate.trailing_rows.min(100);
            if let Err(error) = Pipeline::new(&config) {
                assert_ne!(error.actor(), Actor::Us, "{error:?}");
            }
        }
    }
});
