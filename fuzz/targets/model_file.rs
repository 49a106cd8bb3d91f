//! Bytes are a model of another tool or an error; what was read can be tried on rows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton_exchange::{ExchangeError, Imported, lightgbm, onnx, xgboost};

fuzz_target!(|bytes: &[u8]| {
    let readers: [fn(&[u8]) -> Result<Imported, ExchangeError>; 3] =
        [|bytes| onnx::read(bytes, None), xgboost::read, lightgbm::read];
    for read in readers {
        match read(bytes) {
            Ok(imported) => {
                // Whether it runs is its own affair; that it ends is ours.
                let _ = imported.graph.mixes_rows();
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
