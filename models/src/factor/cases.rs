//! The machine's tables on a GPU by themselves, for the cases of the kernels.

use pelton_kernels::device::{DeviceError, Stream};
use pelton_kernels::factor::device::FactorTable;

use super::{Factor, Machines};
use crate::linear::device::Twin;

/// The tables of a model that lies on the CPU, as it is.
pub(crate) fn factor_table(stream: &Stream, here: &Factor) -> Result<FactorTable, DeviceError> {
    let Machines::Here(rows) = &here.rows else {
        unreachable!("a case begins on the CPU");
    };
    let machine = rows.learner();
    Twin::new(stream, machine.table_spec(), machine)
}
