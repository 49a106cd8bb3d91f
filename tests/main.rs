//! Tests that cross modules.

/// The program and its checkpoints in a folder: killed runs, and the commands that look at them.
mod checkpoint;
/// The program as a child process: exit codes, errors, reports, the drain.
mod cli;
/// Champion and challengers: a shadow that changes nothing, and promotions.
mod contest;
/// The program killed again and again: nothing lost, nothing doubled, the same bytes.
mod crash;
/// Records of every kind into columns, from messages and from files.
mod decode;
/// The engine on a device, which may go away.
#[cfg(feature = "double")]
mod device;
/// Dead letters looked at and sent again.
mod dlq;
/// Streams that drift, and streams that do not: who says so, when, and how often.
pub mod drift;
/// Models that leave for other tools, and those that come from them.
mod exchange;
/// Checkpoints and order logs as a disk may hand them back.
mod fuzz_checkpoint;
/// Configurations as strangers write them: refused by path, or runnable.
mod fuzz_config;
/// Labels gone wrong: learning pauses, labels are put aside and come again.
pub mod guard;
/// The Kafka source and sink, against a broker.
mod kafka;
/// Models gone back to, by the program.
mod model;
/// Checkpoints in an object store, against a server.
mod objects;
/// The page of a replay, by the program: the same for the same stream, and true.
mod page;
/// The promises of the whole path: exact features, no influence of batch cuts.
mod pipeline;
/// Labels put aside and sent again, by the program and through a broker.
mod quarantine;
/// Reasons in score records.
mod reasons;
/// Instances that share a group join, leave, die and freeze: each partition's state goes on.
mod rebalance;
/// The hand-over of slots between the threads, under thousands of schedules.
mod ring_model;
/// Every setting does something, and illegal values are refused by name.
mod settings;
/// Simulated histories of crashes, thousands of them.
mod simulate;
/// The whole state as bytes: a run that is cut there and goes on elsewhere shows nothing of it.
mod state;
/// Streams made from a seed, and the engine run over them step by step.
mod support;
/// The rules of the house, checked on every file.
mod tidy;
/// A stage that stands still is found out, and the process ended where that is asked for.
mod watchdog;
