//! `device` and `[run]`: what a run computes on, and when a stage of the engine counts as stuck.

use std::time::Duration;

use super::read::{Key, Section};
use crate::device::DeviceChoice;
use crate::watchdog::standing::Limits;

/// Reads `device`.
pub fn read_device(root: &mut Section<'_>) -> DeviceChoice {
    let doc = "what computes; \"auto\" is a GPU where there is one, learn.step_rows is wide \
               enough for it (256) and the model learns a step at once (kind \"linear\", another \
               optimizer than \"auto\"), else the CPU; the same answers everywhere; a GPU that is \
               lost gives way to the CPU, from the last checkpoint on";
    let legal = "\"auto\", \"cpu\", or \"cuda:N\" for the GPU of number N";
    root.parsed(Key("device", doc), (DeviceChoice::Auto, "\"auto\""), legal, |value| {
        DeviceChoice::parse(value.as_str()?)
    })
}

/// The watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunConfig {
    /// A stage that works on one batch for so long is reported; 0 = nobody looks.
    pub stall_after_ms: i64,
    /// One that does so for so long ends the process; 0 = never.
    pub stall_exit_ms: i64,
}

impl RunConfig {
    /// Reads `[run]`.
    pub fn read(root: &mut Section<'_>) -> RunConfig {
        let mut section = root.section("run");
        let doc = "a stage that holds a batch for so long without finishing it is reported; \
                   waiting for input, brokers, sinks or another stage does not count; 0s = nobody \
                   looks";
        let stall_after_ms = section.duration_ms(Key("stall_after", doc), "30s", ["0s", "1d"]);
        let doc = "a stage that does so for so long ends the process at once with exit code 4, so \
                   that it is started again from its checkpoint; 0s = never";
        let stall_exit_ms = section.duration_ms(Key("stall_exit", doc), "0s", ["0s", "7d"]);
        if stall_exit_ms > 0 && (stall_after_ms == 0 || stall_exit_ms < stall_after_ms) {
            section.problem("stall_exit", "must be no shorter than stall_after, which must be on");
        }
        section.finish();
        RunConfig { stall_after_ms, stall_exit_ms }
    }

    /// The same for the watchdog.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limit = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        Limits { say: limit(self.stall_after_ms), end: limit(self.stall_exit_ms) }
    }
}
