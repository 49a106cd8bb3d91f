//! What the experts' tables on a device and the learner here have in common: the ones are made as
//! the learner is, read into it to be saved, and written from it after a saved state was read.

use pelton_kernels::blend::device::{BlendCells, BlendSpec, BlendTable};
use pelton_kernels::coordinate::device::{Running, Table, TableSpec};
use pelton_kernels::device::{DeviceError, Stream};

use super::super::device::Twin;
use super::{Blend, EXPERTS, FORGETTING, MIXTURE};

impl Twin<Blend> for BlendTable {
    fn new(stream: &Stream, table: TableSpec, here: &Blend) -> Result<Self, DeviceError> {
        let mut table = BlendTable::new(stream, here.spec(table))?;
        table.send(stream, here)?;
        Ok(table)
    }

    fn fetch(stream: &Stream, cells: &BlendCells, here: &mut Blend) -> Result<(), DeviceError> {
        here.fetch(stream, cells)
    }

    fn send(&mut self, stream: &Stream, here: &Blend) -> Result<(), DeviceError> {
        here.send(stream, self.cells_mut())?;
        self.look_at_mixture(stream)
    }

    fn expert_weights(&self) -> Option<[f32; EXPERTS]> {
        Some(self.mixture())
    }
}

impl Blend {
    /// What tables on a device are made for.
    pub(crate) fn spec(&self, table: TableSpec) -> BlendSpec {
        BlendSpec {
            table,
            has_covariances: !self.covariances.is_empty(),
            dense_priors: self.dense_priors,
            sparse_priors: self.sparse_priors,
            forgetting: FORGETTING,
            mixture: [MIXTURE.rate, MIXTURE.share],
        }
    }

    /// Reads cells of a device.
    pub(crate) fn fetch(&mut self, stream: &Stream, cells: &BlendCells) -> Result<(), DeviceError> {
        let here = self;
        stream.read(&cells.dense, &mut here.dense)?;
        stream.read(&cells.sparse, &mut here.sparse)?;
        stream.read(&cells.mixture, &mut here.mixture)?;
        let mut values = vec![0.0; cells.covariances.len()];
        stream.read(&cells.covariances, &mut values)?;
        let each = values.len() / here.covariances.len().max(1);
        for (covariance, values) in
            here.covariances.iter_mut().zip(values.chunks_exact(each.max(1)))
        {
            let Ok(()) = covariance.restore(|own| {
                own.copy_from_slice(values);
                Ok::<(), std::convert::Infallible>(())
            });
        }
        let mut running = [Running::default()];
        stream.read(&cells.running, &mut running)?;
        here.link.set_target_state(&running[0]);
        Ok(())
    }

    /// Writes the cells of a device.
    pub(crate) fn send(&self, stream: &Stream, cells: &mut BlendCells) -> Result<(), DeviceError> {
        let here = self;
        let (mut values, mut variances) = (Vec::new(), Vec::new());
        for covariance in &here.covariances {
            values.extend_from_slice(&covariance.values());
            variances.extend_from_slice(covariance.variances());
        }
        stream.write(&mut cells.dense, &here.dense)?;
        stream.write(&mut cells.sparse, &here.sparse)?;
        stream.write(&mut cells.covariances, &values)?;
        stream.write(&mut cells.variances, &variances)?;
        stream.write(&mut cells.mixture, &here.mixture)?;
        stream.write(&mut cells.running, &[here.link.target_state()])
    }
}
