//! Numbers only: every numeric routine of pelton, free of streams, models and configuration.
//!
//! | module | does | determinism |
//! | --- | --- | --- |
//! | [`math`] | exp, ln, sigmoid, sine, cosine | the same bits everywhere, bounds in ulp |
//! | [`hash`] | bytes to codes, codes to buckets | the same bits everywhere |
//! | [`calendar`] | hour, weekday, turns of day and week | integers, one division |
//! | [`decode`] | plain records, JSON or binary, into columns | integers, one rounding |
//! | [`fixed`] | exact sums of numbers, mean and deviation | exact integers, rounded once |
//! | [`repair`] | missing and wild values of number columns | independent of batch cuts |
//! | [`assemble`] | features of rows from their columns | the same bits everywhere |
//! | [`moments`] | running standardisation of columns | independent of batch cuts |
//! | [`window`] | sliding windows by key | independent of batch cuts |
//! | [`coordinate`] | AdaGrad, FTRL-Proximal, normalised descent per coordinate | fixed order |
//! | [`implicit`] | the pull of an example after its own step | fixed order |
//! | [`covariance`] | the full-matrix filter of a dense block | fixed order |
//! | [`layer`] | layers of a network, forward and backward | fixed order, row by row |
//! | [`descent`] | Adam and AdaGrad over the parameters of a network | fixed order |
//! | [`blend`] | four experts' view of a coordinate | fixed order |
//! | [`mixture`] | weights of experts by their losses | fixed order |
//! | [`pairs`] | interactions of pairs of features by embeddings | fixed order |
//! | [`stack`] | experts' scores as inputs of one more model | fixed order |
//! | [`factor`] | factorization machines of the models on a GPU | fixed order |
//! | [`network`] | networks of the models on a GPU, and the steps they learn in | fixed order |
//! | [`tally`] | sums over judged rows of a binary score | independent of order |
//! | [`cases`] | work for each kernel, for tests and benches | drawn from a seed |
//! | [`device`] | the CPU or a GPU, its memory and streams | changes no result |
//! | [`prefetch`] | a hint about the row that comes soon | changes no result |
//! | [`state`] | numbers to bytes and back, for what is saved | the same bytes everywhere |
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod assemble;
pub mod blend;
pub mod calendar;
pub mod cases;
pub mod coordinate;
pub mod covariance;
pub mod decode;
pub mod descent;
pub mod device;
pub mod error;
pub mod factor;
pub mod fixed;
pub mod hash;
pub mod implicit;
pub mod layer;
pub mod math;
pub mod mixture;
pub mod moments;
pub mod network;
pub mod pairs;
pub mod prefetch;
pub mod recorded;
pub mod repair;
pub mod stack;
pub mod state;
pub mod tally;
pub mod window;

pub use error::KernelError;
