//! Numbers only: every numeric routine of pelton, free of streams, models and configuration.
//!
//! | module | does | determinism |
//! | --- | --- | --- |
//! | [`math`] | exp, ln, sigmoid, sine, cosine | the same bits everywhere, bounds in ulp |
//! | [`hash`] | bytes to codes, codes to buckets | the same bits everywhere |
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod error;
pub mod hash;
pub mod math;

pub use error::KernelError;
