//! Synthetic streams: payments with frauds, and clicks, the same bytes for the same seed.
//!
//! Before the walk: a [`Generator`] stands in for a topic or a recorded file where none is at hand.
//! It fills one record at a time, allocates nothing per record and keeps memory bounded however
//! many are asked for. [`write_file`] writes a stream to a file whose extension says the format;
//! a Kafka producer takes [`Record::write_json`] and [`Record::write_key`] itself.
//!
//! Invariant: records depend on the generator's spec only - not on the machine, the number of
//! threads or the time of day. All arithmetic that reaches a record is IEEE 754 addition,
//! multiplication, division and square root, or comes from [`pelton_kernels::math`].
//!
//! ```
//! use pelton::generate::fraud::{FraudGenerator, FraudRecord, FraudSpec};
//! use pelton::generate::{Generator, Record};
//!
//! let mut generator = FraudGenerator::new(FraudSpec::new(1000, 42));
//! let (mut record, mut line) = (FraudRecord::default(), Vec::new());
//! while generator.next_into(&mut record) {
//!     line.clear();
//!     record.write_json(&mut line);
//! }
//! assert!(line.starts_with(b"{\"TRANSACTION_ID\":999,\"TX_DATETIME\":"));
//! ```

pub mod binary;
pub mod clicks;
mod columns;
mod file;
pub mod fraud;
mod labels;
mod random;
mod record;
#[cfg(test)]
mod tests;

pub use file::{FileFormat, GenerateError, Written, write_file};
pub use labels::{HasLabel, LabelRecord, Labels};
pub use record::{Field, FieldKind, FieldVisitor, Parts, Record, Role};

/// A stream of records in the order of their time.
pub trait Generator {
    /// What the stream consists of.
    type Record: Record;

    /// Overwrites `record` with the next one; false, and nothing written, at the end.
    fn next_into(&mut self, record: &mut Self::Record) -> bool;
}
