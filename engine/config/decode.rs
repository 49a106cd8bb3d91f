//! `[source] decode`: who reads event records, and whether a GPU can.

use super::event::EventConfig;
use super::layout::Layout;
use super::read::{Key, Section};
use crate::source::decode::spec::{refusals, spec};

/// Who reads event records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecodeBy {
    /// The decoder of the stream, here.
    #[default]
    Cpu,
    /// The GPU of the run, where it has one.
    Device,
}

impl DecodeBy {
    /// Reads it from `[source]`.
    pub fn read(section: &mut Section<'_>) -> DecodeBy {
        let doc = "who reads event records: the CPU, or the GPU where the run has one (else the \
                   CPU), many at once; the same rows and dead letters either way, for a record of \
                   which the GPU is not sure is read by the CPU. For topics, .jsonl and .bin \
                   files whose fields are flat: no key, header, or dotted path of JSON";
        let choices = [("cpu", DecodeBy::Cpu), ("device", DecodeBy::Device)];
        section.choice(Key("decode", doc), &choices)
    }
}

/// Fields that kernels cannot read are problems wherever the run is, so that a configuration is
/// legal on every machine or on none.
pub fn check(
    root: &mut Section<'_>,
    by: DecodeBy,
    (event, layout): (&EventConfig, Option<&Layout>),
) {
    if by == DecodeBy::Cpu {
        return;
    }
    for reason in refusals((event, layout), &spec(event, layout)) {
        root.problem("source.decode", format!("cannot be \"device\": {reason}"));
    }
}
