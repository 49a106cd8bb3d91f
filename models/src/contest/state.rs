//! A contest as bytes: who takes part and how they stand, then each one's state.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::{Contest, Entrant, Evidence, Kept, UsualResidual};
use crate::{Model, ModelError, Task};

/// No name is longer.
const NAME_MAX: usize = 1 << 10;

impl Contest {
    fn header(&self) -> [u64; 5] {
        let task = match self.task {
            Task::Binary => 0,
            Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
            Task::Regression => 2,
        };
        let sparse = (self.shape.sparse_width as u64) << 8 | u64::from(self.shape.sparse_bits);
        let name = u64::from_le_bytes(*b"contest2");
        [name, task, self.shape.dense_width as u64, sparse, self.entrants.len() as u64]
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&self.header())?;
        let counts = [self.version, self.champion as u64, self.judged, self.tested];
        state.slice(&counts)?;
        state.slice(&[self.tests, self.promotions])?;
        state.put(self.residual.0)?;
        for own in &self.entrants {
            state.list(own.name.as_bytes())?;
            state.put(own.loss)?;
            state.put(own.judged)?;
            own.evidence.write(state)?;
        }
        self.entrants.iter().try_for_each(|own| own.model.write_state(out))
    }

    /// Reads what was written by a contest of the same entrants. An entrant's state that cannot be
    /// read leaves all as they were.
    pub(super) fn read(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        state.expect(&self.header(), "the model had other challengers, another shape or task")?;
        let [version, champion, judged, tested]: [u64; 4] = state.get()?;
        let [tests, promotions]: [u64; 2] = state.get()?;
        let residual = UsualResidual(state.get()?);
        let champion = usize::try_from(champion).unwrap_or(usize::MAX);
        let is_good = champion < self.entrants.len()
            && (1..1 << 40).contains(&tests)
            && tested <= judged
            && residual.is_sound();
        if !is_good {
            return Err(invalid("a contest cannot stand like that").into());
        }
        let mut standing = Vec::new();
        for Entrant { name, .. } in &self.entrants {
            if state.list::<u8>(NAME_MAX)? != name.as_bytes() {
                return Err(invalid("a challenger had another name").into());
            }
            standing.push((state.get::<f64>()?, state.get::<u64>()?, Evidence::read(state)?));
        }
        let mut before = Vec::new();
        for at in 0..self.entrants.len() {
            let model = &mut self.entrants[at].model;
            let mut bytes = Vec::new();
            model.write_state(&mut bytes)?;
            before.push(bytes);
            if let Err(error) = model.read_state(from) {
                // Those before it go back to what they were.
                for (own, bytes) in self.entrants.iter_mut().zip(&before[..at]) {
                    own.model.read_state(&mut &bytes[..])?;
                }
                return Err(error);
            }
        }
        for (own, (loss, judged, evidence)) in self.entrants.iter_mut().zip(standing) {
            (own.loss, own.judged, own.evidence) = (loss, judged, evidence);
        }
        (self.version, self.champion, self.residual) = (version, champion, residual);
        (self.judged, self.tested) = (judged, tested);
        (self.tests, self.promotions) = (tests, promotions);
        self.kept = Kept::new(self.shape, self.notes_width());
        Ok(())
    }
}
