//! The Kafka source and sink against a real broker, and against librdkafka's mock for faults.
//!
//! The broker is that of `PELTON_BROKERS`, or the one `scripts/broker start` has started. Without
//! any these tests fail, unless `PELTON_SKIP_BROKER=1` says that this is meant.

#![allow(clippy::unwrap_used)]

mod away;
#[cfg(feature = "double")]
mod decode;
mod degraded;
mod group;
mod order;
mod outage;
pub mod settings;
mod sink;
mod spill;
pub mod topics;
mod transactions;
pub mod world;
