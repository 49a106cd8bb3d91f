//! Numbers only: every numeric routine of pelton, free of streams, models and configuration.
//!
//! | module | does | determinism |
//! | --- | --- | --- |
//! | [`math`] | exp, ln, sigmoid, sine, cosine | the same bits everywhere, bounds in ulp |
//! | [`hash`] | bytes to codes, codes to buckets | the same bits everywhere |
//! | [`calendar`] | hour, weekday, turns of day and week | integers, one division |
//! | [`fixed`] | exact sums of numbers, mean and deviation | exact integers, rounded once |
//! | [`moments`] | running standardisation of columns | independent of batch cuts |
//! | [`window`] | sliding windows by key | independent of batch cuts |
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod calendar;
pub mod error;
pub mod fixed;
pub mod hash;
pub mod math;
pub mod moments;
pub mod window;

pub use error::KernelError;
