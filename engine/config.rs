//! All settings.

pub mod read;

pub use read::{Problem, Problems};
