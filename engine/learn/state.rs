//! What the last stage knows, as bytes: the model, the judge, and what waits for the end of a step.
//!
//! Three parts, so that a checkpoint can hold them apart: the model alone is what another program
//! would want.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};
use pelton_models::{FeatureShape, ModelError};

use super::{LearnCounts, Learner, Step};

/// No step can be longer: `learn.step_rows` rows, each with the labels that arrived before it.
const LABELS_MAX: usize = 1 << 40;

impl Learner {
    /// Writes the model.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_model(&self, out: &mut dyn Write) -> io::Result<()> {
        self.model.write_state(out)
    }

    /// Reads the model.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` when it is of another shape; the model is unchanged.
    pub fn read_model(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.model.read_state(from).map_err(|error| match error {
            ModelError::State(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })?;
        self.judges.begin_with(&*self.model);
        Ok(())
    }

    /// Writes what the judge knows.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_evaluator(&self, out: &mut dyn Write) -> io::Result<()> {
        self.judges.write(out)
    }

    /// Reads it; on an error it is left half read and must not be used.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` when other measures had been asked for.
    pub fn read_evaluator(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.judges.read(from)
    }

    /// Writes the rest: counts, the digest of the scores, labels that wait.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        let LearnCounts { scored, scores_nonfinite, learned, refused, unlearned } = self.counts;
        state.slice(&[scored, scores_nonfinite, learned, refused, unlearned])?;
        self.digest.write(state)?;
        self.step.write(state)
    }

    /// Reads it; on an error it is left half read and must not be used.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read_state(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        let [scored, scores_nonfinite, learned, refused, unlearned] = state.get()?;
        self.counts = LearnCounts { scored, scores_nonfinite, learned, refused, unlearned };
        self.digest.read(state)?;
        self.step.read(state, self.model.notes_width())
    }
}

impl Step {
    /// The weights are all 1.
    fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let FeatureShape { dense_width, sparse_width, .. } = self.shape;
        state.slice(&[dense_width as u64, sparse_width as u64])?;
        state.list(&self.labels)?;
        state.slice(&self.dense)?;
        state.slice(&self.sparse)?;
        state.list(&self.notes)
    }

    fn read(&mut self, state: &mut StateReader<'_>, notes_width: usize) -> io::Result<()> {
        let FeatureShape { dense_width, sparse_width, .. } = self.shape;
        state.expect(&[dense_width as u64, sparse_width as u64], "there were other features")?;
        self.labels = state.list(LABELS_MAX)?;
        self.dense = state.numbers(self.labels.len() * dense_width)?;
        self.sparse = state.numbers(self.labels.len() * sparse_width)?;
        self.notes = state.list(self.labels.len() * notes_width)?;
        if self.notes.len() != self.labels.len() * notes_width {
            return Err(invalid("a label that waits lacks its notes"));
        }
        self.weights = vec![1.0; self.labels.len()];
        Ok(())
    }
}
