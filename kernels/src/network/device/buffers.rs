//! What a network has in the memory of a GPU besides its parameters: the rows of its table, and
//! walks on their way there.

use std::sync::Arc;

use super::super::{NetworkSpec, Walk};
use crate::coordinate::device::RowBuffers;
use crate::device::{Buffer, Device, DeviceError, Gpu, Pinned, Pinning, Stream};

/// The rows of the table.
#[derive(Debug)]
pub(super) struct TableRows {
    /// `[rows, width]`.
    pub numbers: Buffer<f32>,
    pub squares: Buffer<[f32; 2]>,
    pub keys: Buffer<u32>,
}

/// What a walk is made of, on its way to the GPU.
#[derive(Debug)]
pub(super) struct Lessons {
    pub rows: RowBuffers,
    /// Steps, begins, biases.
    words_here: Pinned<u32>,
    words: Buffer<u32>,
}

impl TableRows {
    pub fn new(gpu: &Arc<Gpu>, rows: usize, width: usize) -> Result<TableRows, DeviceError> {
        Ok(TableRows {
            numbers: Buffer::new(gpu, rows * width)?,
            squares: Buffer::new(gpu, rows)?,
            keys: Buffer::new(gpu, rows)?,
        })
    }
}

impl Lessons {
    pub fn new(gpu: &Arc<Gpu>, spec: &NetworkSpec) -> Result<Lessons, DeviceError> {
        Ok(Lessons {
            rows: RowBuffers::new(gpu, spec.dense, spec.sparse)?,
            words_here: Pinned::ordinary(0),
            words: Buffer::new(gpu, 0)?,
        })
    }

    pub fn reserve(&mut self, rows: usize, words: usize) -> Result<(), DeviceError> {
        self.rows.reserve(rows)?;
        self.words.reserve(words)?;
        if self.words_here.len() < words {
            let device = Device::Gpu(Arc::clone(self.words.gpu()));
            self.words_here = Pinned::new(&device, words.next_power_of_two(), Pinning::Upload)?;
        }
        Ok(())
    }

    /// Copies a walk to the GPU; where steps, begins and biases are.
    pub fn give(&mut self, stream: &Stream, walk: &Walk) -> Result<[u64; 3], DeviceError> {
        let (steps, begins) = (walk.steps.as_flattened(), walk.begins.as_flattened());
        let behind = steps.len() + begins.len();
        let words = behind + walk.biases.len();
        self.reserve(walk.targets.len(), words)?;
        let here = &mut self.words_here[..words];
        here[..steps.len()].copy_from_slice(steps);
        here[steps.len()..behind].copy_from_slice(begins);
        let biases = here[behind..].iter_mut().zip(&walk.biases);
        biases.for_each(|(word, bias)| *word = bias.to_bits());
        stream.upload((&mut self.words, 0), (&mut self.words_here, 0), words)?;
        let labels = Some((&walk.targets[..], &walk.shares[..]));
        self.rows.give(stream, (&walk.dense, &walk.places), walk.targets.len(), labels)?;
        Ok([0, steps.len(), behind].map(|at| self.words.address() + 4 * at as u64))
    }
}
