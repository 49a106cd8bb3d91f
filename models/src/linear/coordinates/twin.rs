//! What a table on a device and the learner here have in common: the one is read into the other to
//! be saved, and written from it after a saved state was read.

use pelton_kernels::coordinate::device::Running;
use pelton_kernels::coordinate::{Cell, CoordinateRule};

use super::{Coordinates, Lengths};

impl<R: CoordinateRule> Coordinates<R> {
    /// Dense and sparse cells, to be overwritten.
    pub fn cells_mut(&mut self) -> (&mut [Cell], &mut [Cell]) {
        (&mut self.dense, &mut self.sparse)
    }

    /// What is taken off the log odds before they become a probability.
    pub fn shift(&self) -> f32 {
        self.link.shift()
    }

    /// Everything else that learning changes.
    pub fn running(&self) -> Running {
        let target = self.link.target_state();
        Running { length_rows: self.lengths.rows, length_sum: self.lengths.sum, ..target }
    }

    /// Takes it.
    pub fn set_running(&mut self, running: &Running) {
        self.link.set_target_state(running);
        self.lengths = Lengths { rows: running.length_rows, sum: running.length_sum };
    }
}
