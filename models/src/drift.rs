//! Detectors of drift: whether numbers of late come from where those before them came from.
//!
//! [`Adwin`] and [`PageHinkley`] watch the mean of a stream of numbers, such as a model's losses;
//! [`psi`] and [`ks`] compare how numbers of late are spread over the bins of a reference
//! ([`Bins`]). A detector never sees an event or a label; whoever has it decides what a drift
//! means. Invariants: results are those of the values in their order, to the bit and on any
//! machine; memory is bounded.

pub mod adwin;
pub mod bins;
pub mod ks;
pub mod page_hinkley;
pub mod psi;

pub use adwin::Adwin;
pub use bins::Bins;
pub use page_hinkley::PageHinkley;
