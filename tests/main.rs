//! Tests that cross modules.

/// The Kafka source and sink, against a broker.
mod kafka;
