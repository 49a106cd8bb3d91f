//! What a table on a device and the learner here have in common: the one is read into the other to
//! be saved, and written from it after a saved state was read.

use pelton_kernels::coordinate::CoordinateRule;
use pelton_kernels::coordinate::device::{Cells, CoordinateTable, Running, Table, TableSpec};
use pelton_kernels::device::{DeviceError, Stream};

use super::super::device::Twin;
use super::{Coordinates, Lengths};

impl<R: CoordinateRule + Send> Twin<Coordinates<R>> for CoordinateTable {
    fn new(stream: &Stream, spec: TableSpec, _: &Coordinates<R>) -> Result<Self, DeviceError> {
        CoordinateTable::new(stream, spec)
    }

    fn fetch(stream: &Stream, cells: &Cells, here: &mut Coordinates<R>) -> Result<(), DeviceError> {
        stream.read(&cells.dense, &mut here.dense)?;
        stream.read(&cells.sparse, &mut here.sparse)?;
        let mut running = [Running::default()];
        stream.read(&cells.running, &mut running)?;
        let [running] = running;
        here.link.set_target_state(&running);
        here.lengths = Lengths { rows: running.length_rows, sum: running.length_sum };
        Ok(())
    }

    fn send(&mut self, stream: &Stream, here: &Coordinates<R>) -> Result<(), DeviceError> {
        let target = here.link.target_state();
        let Lengths { rows: length_rows, sum: length_sum } = here.lengths;
        let cells = self.cells_mut();
        stream.write(&mut cells.dense, &here.dense)?;
        stream.write(&mut cells.sparse, &here.sparse)?;
        stream.write(&mut cells.running, &[Running { length_rows, length_sum, ..target }])
    }
}
