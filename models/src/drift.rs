//! Detectors of drift: whether numbers of late come from where those before them came from.
//!
//! [`Adwin`] watches the mean of a stream of numbers, such as a model's losses. A detector never
//! sees an event or a label; whoever has it decides what a drift means. Invariants: results are
//! those of the values in their order, to the bit and on any machine; memory is bounded.

pub mod adwin;

pub use adwin::Adwin;
