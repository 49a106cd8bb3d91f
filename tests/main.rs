//! Tests that cross modules.

/// The program as a child process: exit codes, errors, reports, the drain.
mod cli;
/// The program killed again and again: nothing lost, nothing doubled, the same bytes.
mod crash;
/// Records of every kind into columns, from messages and from files.
mod decode;
/// The Kafka source and sink, against a broker.
mod kafka;
/// The promises of the whole path: exact features, no influence of batch cuts.
mod pipeline;
/// Streams made from a seed, and the engine run over them step by step.
mod support;
