//! Saved states: little-endian, byte-exact, with blocks of zeros left out.

use std::io::{self, Read, Write};

use super::config::{LinearConfig, Optimizer};
use crate::{FeatureShape, Task};

/// Numbers per block; a block of zeros is one byte.
const BLOCK: usize = 256;

/// Which model a state is of: a state of another shape, task or optimiser is refused.
fn header(config: &LinearConfig, shape: FeatureShape) -> [u8; 40] {
    let optimizer = match config.optimizer {
        Optimizer::Blend { .. } => 0_u64,
        Optimizer::Ftrl { .. } => 1,
        Optimizer::AdaGrad { .. } => 2,
        Optimizer::Sgd { .. } => 3,
    };
    let task = match config.task {
        Task::Binary => 0_u64,
        Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
        Task::Regression => 2,
    };
    let mut bytes = [0; 40];
    bytes[..8].copy_from_slice(b"linear-1");
    let fields = [
        optimizer << 1 | u64::from(config.fold),
        task,
        shape.dense_width as u64,
        (shape.sparse_width as u64) << 8 | u64::from(shape.sparse_bits),
    ];
    for (slot, field) in bytes[8..].chunks_exact_mut(8).zip(fields) {
        slot.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}

pub(super) fn write_header(
    out: &mut dyn Write,
    config: &LinearConfig,
    shape: FeatureShape,
) -> io::Result<()> {
    out.write_all(&header(config, shape))
}

pub(super) fn read_header(
    from: &mut dyn Read,
    config: &LinearConfig,
    shape: FeatureShape,
) -> io::Result<()> {
    let mut found = [0; 40];
    from.read_exact(&mut found)?;
    if found == header(config, shape) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

pub(super) fn read_u64(from: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

pub(super) fn read_f32(from: &mut dyn Read) -> io::Result<f32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(f32::from_le_bytes(bytes))
}

/// Writes cells of `N` floats each.
pub(super) fn write_cells<T, const N: usize>(
    out: &mut dyn Write,
    cells: &[T],
    numbers: impl Fn(&T) -> [f32; N],
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(BLOCK * N * 4);
    for block in cells.chunks(BLOCK) {
        bytes.clear();
        for cell in block {
            numbers(cell).iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        }
        if bytes.iter().all(|byte| *byte == 0) {
            out.write_all(&[0])?;
        } else {
            out.write_all(&[1])?;
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// Reads what [`write_cells`] wrote into cells that are all zero.
pub(super) fn read_cells<T, const N: usize>(
    from: &mut dyn Read,
    cells: &mut [T],
    cell: impl Fn([f32; N]) -> T,
) -> io::Result<()> {
    let mut bytes = vec![0; BLOCK * N * 4];
    for block in cells.chunks_mut(BLOCK) {
        let mut flag = [0];
        from.read_exact(&mut flag)?;
        match flag {
            [0] => continue,
            [1] => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        let bytes = &mut bytes[..block.len() * N * 4];
        from.read_exact(bytes)?;
        for (slot, bytes) in block.iter_mut().zip(bytes.chunks_exact(N * 4)) {
            let mut numbers = [0.0; N];
            for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *number = f32::from_le_bytes(*bytes);
            }
            *slot = cell(numbers);
        }
    }
    Ok(())
}

pub(super) fn write_f64s(out: &mut dyn Write, values: &[f64]) -> io::Result<()> {
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

pub(super) fn read_f64s(from: &mut dyn Read, values: &mut [f64]) -> io::Result<()> {
    for value in values {
        *value = f64::from_bits(read_u64(from)?);
    }
    Ok(())
}
