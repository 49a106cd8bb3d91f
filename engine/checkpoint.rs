//! Last stage: every so often the whole state is kept, and a restart goes on from there.
//!
//! A checkpoint is one consistent cut between two micro-batches: the offset to read next of every
//! partition, windows, running statistics, pending events with their features, weights, metrics.
//! It is taken on the compute thread as a copy of the state into a buffer of its own
//! ([`cut`]), and written by a thread of its own ([`writer`]) once every score before the cut has
//! been delivered. What happens after the cut needs no log but the *order* in which partitions
//! were read ([`order`]): the records themselves are still where they came from.
//!
//! After a crash ([`recover`]) the newest whole checkpoint is read, the source is led through the
//! logged order, and scores that were already sent are passed over
//! ([`emit::delivered`](crate::emit::delivered)): weights, windows and scores are the bytes of a
//! run that never stopped.
//!
//! A checkpoint that cannot be written never stops the scoring: it is counted, logged, and tried
//! again. Not here: what a state consists of; each stage writes its own section.

pub mod cut;
pub mod exchange;
pub mod format;
pub mod manifest;
pub mod order;
pub mod recover;
pub mod registry;
pub mod retain;
pub mod store;
pub mod writer;

use std::path::{Path, PathBuf};

/// Numbers below this leave room for those that follow.
const SEQUENCE_END: u64 = 1 << 60;

/// The name of the checkpoint of this number.
#[must_use]
pub fn file_name(sequence: u64) -> String {
    format!("checkpoint-{sequence:016}.pelton")
}

/// The number of the checkpoint of this name; none when it is not exactly the name of one.
#[must_use]
pub fn sequence_of(name: &str) -> Option<u64> {
    let sequence = name.strip_prefix("checkpoint-")?.strip_suffix(".pelton")?.parse().ok()?;
    (sequence < SEQUENCE_END && file_name(sequence) == name).then_some(sequence)
}

/// The order log that begins at the checkpoint of this number.
#[must_use]
pub fn order_path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(order_name(sequence))
}

fn order_name(sequence: u64) -> String {
    format!("order-{sequence:016}.log")
}

/// The checkpoint at which the order log of this name begins; none when it is not exactly the name
/// of one.
#[must_use]
pub fn order_sequence_of(name: &str) -> Option<u64> {
    let sequence = name.strip_prefix("order-")?.strip_suffix(".log")?.parse().ok()?;
    (sequence < SEQUENCE_END && order_name(sequence) == name).then_some(sequence)
}
