//! Predictions that a GPU makes, on their way here: what all models have that are kept there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pelton_kernels::device::{Buffer, Device, DeviceError, Gpu, Pinned, Pinning, Stream};

/// A name for what a model has on a GPU: it is given once.
pub(crate) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Room for predictions on both sides, made as large as is asked for and then used again.
pub(crate) struct Predictions {
    there: Buffer<f32>,
    here: Pinned<f32>,
}

impl Predictions {
    /// No room yet.
    pub fn new(gpu: &Arc<Gpu>) -> Result<Predictions, DeviceError> {
        Ok(Predictions { there: Buffer::new(gpu, 0)?, here: Pinned::ordinary(0) })
    }

    /// Where as many can be written there.
    pub fn room(&mut self, length: usize) -> Result<&mut Buffer<f32>, DeviceError> {
        self.there.reserve(length)?;
        if self.here.len() < length {
            let device = Device::Gpu(Arc::clone(self.there.gpu()));
            self.here = Pinned::new(&device, length.next_power_of_two(), Pinning::Both)?;
        }
        Ok(&mut self.there)
    }

    /// Reads the first ones, for which there is room; waits.
    pub fn read(&mut self, stream: &Stream, out: &mut [f32]) -> Result<(), DeviceError> {
        stream.download((&mut self.here, 0), (&self.there, 0), out.len())?;
        stream.wait()?;
        out.copy_from_slice(&self.here[..out.len()]);
        Ok(())
    }
}
