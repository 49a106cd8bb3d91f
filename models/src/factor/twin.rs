//! What a machine's tables on a device and the learner here have in common: the ones are made as
//! the learner is, read into it to be saved, and written from it after a saved state was read.

use pelton_kernels::coordinate::device::{Table as _, TableSpec};
use pelton_kernels::device::{DeviceError, Stream};
use pelton_kernels::factor::FactorSpec;
use pelton_kernels::factor::device::{FactorCells, FactorTable, Figures};
use pelton_kernels::pairs::Form;

use super::machine::Machine;
use crate::index_table::Table;
use crate::linear::LinearConfig;
use crate::linear::device::{Twin, table_spec};

impl Machine {
    /// The blend as a device takes it.
    pub fn table_spec(&self) -> TableSpec {
        table_spec(&LinearConfig::new(self.config.task), self.embeddings.shape)
    }

    /// What tables on a device are made for.
    pub fn spec(&self, table: TableSpec) -> FactorSpec {
        let own = &self.embeddings;
        FactorSpec {
            blend: self.linear.spec(table),
            factors: own.pairs.factors,
            fields: match own.pairs.form {
                Form::Shared => 0,
                Form::ByField { fields } => fields,
            },
            rows_max: own.rows_max,
            priors: own.priors,
            scale: own.scale(),
        }
    }
}

impl Twin<Machine> for FactorTable {
    fn new(stream: &Stream, table: TableSpec, here: &Machine) -> Result<Self, DeviceError> {
        let mut table = FactorTable::new(stream, here.spec(table))?;
        table.send(stream, here)?;
        Ok(table)
    }

    fn fetch(stream: &Stream, cells: &FactorCells, here: &mut Machine) -> Result<(), DeviceError> {
        here.linear.fetch(stream, &cells.blend)?;
        let mut figures: [Figures; 1] = [[0; 4]];
        stream.read(&cells.figures, &mut figures)?;
        let [[rows, hand, expired, learned]] = figures;
        let rows = rows as usize;
        let (mut keys, mut seen) = (vec![0; rows], vec![0; rows]);
        stream.read(&cells.keys, &mut keys)?;
        stream.read(&cells.seen, &mut seen)?;
        let own = &mut here.embeddings;
        own.table = Table::of(own.rows_max, (keys, seen), [hand, expired])
            .expect("a device gives each index one row");
        let count = (own.shape.dense_width + rows) * own.row_cells;
        own.cells.resize(count, Default::default());
        stream.read(&cells.cells, &mut own.cells)?;
        here.learned = learned;
        let (mut weights, mut values) =
            (vec![0.0; cells.stacks.len()], vec![0.0; cells.covariances.len()]);
        stream.read(&cells.stacks, &mut weights)?;
        stream.read(&cells.covariances, &mut values)?;
        let classes = here.stacks.len();
        let weights = weights.chunks_exact(weights.len() / classes);
        let values = values.chunks_exact(values.len() / classes);
        for (stack, (weights, values)) in here.stacks.iter_mut().zip(weights.zip(values)) {
            stack.restore(weights, values);
        }
        Ok(())
    }

    fn send(&mut self, stream: &Stream, here: &Machine) -> Result<(), DeviceError> {
        let own = &here.embeddings;
        let (keys, seen) = own.table.rows();
        self.reserve(stream, keys.len())?;
        let [rows, hand, expired] = own.table.figures();
        let (mut weights, mut values) = (Vec::new(), Vec::new());
        for stack in &here.stacks {
            let (own, covariance) = stack.values();
            weights.extend_from_slice(own);
            values.extend_from_slice(&covariance);
        }
        let cells = self.cells_mut();
        here.linear.send(stream, &mut cells.blend)?;
        stream.write(&mut cells.cells, &own.cells)?;
        stream.write(&mut cells.keys, keys)?;
        stream.write(&mut cells.seen, seen)?;
        stream.write(&mut cells.figures, &[[rows, hand, expired, here.learned]])?;
        stream.write(&mut cells.stacks, &weights)?;
        stream.write(&mut cells.covariances, &values)?;
        self.index(stream)?;
        self.look(stream)
    }

    fn expert_weights(&self) -> Option<[f32; 4]> {
        Some(self.mixture())
    }
}
