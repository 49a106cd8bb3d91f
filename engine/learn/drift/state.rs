//! The detectors as bytes: a section of the checkpoint of its own.

use std::io::{self, Read, Write};

use pelton_kernels::hash::hash_bytes;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::alerts::{ALERTS_MAX, Alert, Detector};
use super::{Column, Drift};
use crate::learn::Learner;

/// The settings a state belongs to, as a text; more than that is damage.
const SETTINGS_BYTES_MAX: usize = 1 << 12;

impl Drift {
    /// The settings, task and features that its state belongs to.
    fn settings(&self) -> String {
        if !self.is_on() {
            return String::new();
        }
        let names: Vec<&str> = self.columns.iter().map(Column::name).collect();
        let names = hash_bytes(names.join("\n").as_bytes());
        format!("{:?} {:?} {names:016x}", self.config, self.task)
    }

    fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.clock_ms)?;
        self.sampling.write(state)?;
        self.columns.iter().try_for_each(|column| column.write(state))?;
        self.loss.write(state)?;
        for series in &self.alerts.series {
            state.put(series.count)?;
            state.put(series.last_ms)?;
        }
        state.put(self.alerts.suppressed)?;
        state.length(self.alerts.kept.len())?;
        self.alerts.kept.iter().try_for_each(|alert| {
            state.slice(&[alert.detector as u32, alert.what])?;
            state.put(alert.time_ms)?;
            state.put(alert.scored)?;
            state.slice(&alert.figures)
        })
    }

    /// On an error it is left half read and must not be used.
    fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.clock_ms = state.get()?;
        self.sampling.read(state)?;
        self.columns.iter_mut().try_for_each(|column| column.read(state))?;
        self.loss.read(state)?;
        for series in &mut self.alerts.series {
            (series.count, series.last_ms) = (state.get()?, state.get()?);
            if series.count > 1 << 50 {
                return Err(invalid("there are more alerts than there can be"));
            }
        }
        self.alerts.suppressed = state.get()?;
        self.alerts.kept.clear();
        for _ in 0..state.length(ALERTS_MAX)? {
            let [detector, what] = state.get()?;
            let detector = Detector::ALL.get(detector as usize).copied();
            let detector = detector.ok_or_else(|| invalid("an alert is of no detector"))?;
            let (time_ms, scored, figures) = (state.get()?, state.get()?, state.get()?);
            self.alerts.kept.push_back(Alert { detector, what, time_ms, scored, figures });
        }
        Ok(())
    }
}

impl Learner {
    /// Writes what the detectors of drift have seen and told.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_drift(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.list(self.drift.settings().as_bytes())?;
        if self.drift.is_on() { self.drift.write(state) } else { Ok(()) }
    }

    /// Reads it into a learner that has seen nothing. Under other settings of `[drift]` the state
    /// is passed over: watching begins anew.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read_drift(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        let settings = state.list::<u8>(SETTINGS_BYTES_MAX)?;
        if settings != self.drift.settings().as_bytes() {
            return io::copy(from, &mut io::sink()).map(drop);
        }
        if self.drift.is_on() { self.drift.read(state) } else { Ok(()) }
    }
}
