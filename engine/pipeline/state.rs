//! The whole state of a pipeline as bytes, in named sections.
//!
//! Everything a pipeline knows between two steps is in one of [`SECTIONS`]; written together they
//! are one consistent cut of the stream. Invariants: equal states give equal bytes, and a state is
//! a function of the records read, so that no batch cut shows in any section; a new pipeline of the
//! same configuration that reads them goes on to the last bit as if nothing had happened. What this
//! does not do: files, checksums, and the positions to read on from.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, invalid};

use super::Pipeline;
use crate::error::Error;

/// The parts of a saved state.
pub const SECTIONS: [&str; 8] =
    ["clean", "join", "features", "model", "evaluate", "learn", "guard", "drift"];

impl Pipeline {
    /// Writes one of [`SECTIONS`]. Between two steps only.
    ///
    /// # Errors
    /// Those of the writer; `InvalidInput` for a name that is none of [`SECTIONS`].
    pub fn write_section(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        match name {
            "clean" => self.clean.write_state(out),
            "join" => self.join.write_state(out),
            "features" => self.features.write_state(out),
            "model" => self.learner.write_model(out),
            "evaluate" => self.learner.write_evaluator(out),
            "learn" => self.learner.write_state(out),
            "guard" => self.learner.write_guard(out),
            "drift" => self.learner.write_drift(out),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no section has this name")),
        }
    }

    /// Reads one of [`SECTIONS`], which must end where `from` does, into a pipeline of the same
    /// configuration. Once all are read, it is the pipeline that wrote them; after an error it is
    /// neither and must be dropped.
    ///
    /// # Errors
    /// [`Error::State`] when the bytes end early, go on too long, or cannot have been written by a
    /// pipeline of this configuration.
    pub fn read_section(&mut self, name: &str, from: &mut dyn Read) -> Result<(), Error> {
        let read = match name {
            "clean" => self.clean.read_state(from),
            "join" => self.join.read_state(from),
            "features" => self.features.read_state(from),
            "model" => self.learner.read_model(from),
            "evaluate" => self.learner.read_evaluator(from),
            "learn" => self.learner.read_state(from),
            "guard" => self.learner.read_guard(from),
            "drift" => self.learner.read_drift(from),
            _ => Err(invalid("no section has this name")),
        };
        let ended = read.and_then(|()| StateReader::new(from).end());
        ended.map_err(|source| Error::State { section: name.to_owned(), source })
    }
}
