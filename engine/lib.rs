//! Pelton: events in, scores out, labels back.
//!
//! A micro-batch walks through the modules in this order:
//!
//! | | module | what happens |
//! | --- | --- | --- |
//! | 1 | [`source`], [`batch`] | records are decoded into the columns of a [`ring`] slot |
//! | 2 | [`clean`] | rows that cannot be scored leave, missing or wild values are repaired |
//! | 3 | [`join`] | rows become pending events, labels find theirs |
//! | 4 | [`features`] | what the model sees is made, once, exact windows among it |
//! | 5 | [`learn`] | rows are scored, labels judge and are learned, in stream order |
//! | 6 | [`emit`] | scores and dead letters go out |
//! | 7 | [`checkpoint`] | every so often the whole state is kept, for a restart to go on from |
//!
//! [`pipeline`] calls them in order, [`run`] puts them on threads, [`config`] says what they do.
#![deny(unsafe_code)]

pub mod backoff;
pub mod batch;
pub mod breaker;
pub mod checkpoint;
pub mod clean;
pub mod config;
pub mod control;
pub mod dead_letters;
pub mod device;
pub mod emit;
pub mod error;
pub mod export;
pub mod fail;
pub mod features;
pub mod generate;
pub mod ids;
pub mod imported;
pub mod join;
pub mod kafka;
pub mod learn;
pub mod live;
pub mod metrics;
pub mod model;
pub mod pace;
pub mod pipeline;
pub mod report;
pub mod ring;
pub mod run;
pub mod schema;
pub mod shards;
pub mod simulate;
pub mod source;
pub mod watchdog;
