//! Columns that rows are read into, in memory that a GPU copies to by itself.

use super::device::PinnedDecoded;
use super::{DecodeSpec, Decoded};
use crate::device::{Device, DeviceError, Pinned, Pinning};

/// Columns of their own, `[columns, stride]`.
#[derive(Debug)]
pub struct DecodedRows {
    /// From one column to the next: the most rows.
    pub stride: usize,
    /// As [`Decoded::times_ms`].
    pub times_ms: Pinned<i64>,
    /// As [`Decoded::numbers`].
    pub numbers: Pinned<f32>,
    /// As [`Decoded::categories`].
    pub categories: Pinned<u64>,
    /// As [`Decoded::ids`].
    pub ids: Pinned<u128>,
    /// As [`Decoded::labels`].
    pub labels: Pinned<f32>,
    /// As [`Decoded::texts`].
    pub texts: Pinned<[u32; 2]>,
    /// As [`Decoded::marks`].
    pub marks: Pinned<u8>,
}

impl DecodedRows {
    /// Columns for so many rows; zeros.
    ///
    /// # Errors
    /// [`DeviceError`] when the GPU's driver has no such memory to give.
    pub fn new(
        device: &Device,
        spec: &DecodeSpec,
        stride: usize,
    ) -> Result<DecodedRows, DeviceError> {
        let both = Pinning::Both;
        Ok(DecodedRows {
            stride,
            times_ms: Pinned::new(device, stride, both)?,
            numbers: Pinned::new(device, spec.numbers * stride, both)?,
            categories: Pinned::new(device, spec.categories * stride, both)?,
            ids: Pinned::new(device, stride, both)?,
            labels: Pinned::new(device, stride, both)?,
            texts: Pinned::new(device, spec.texts * stride, both)?,
            marks: Pinned::new(device, stride, both)?,
        })
    }

    /// The columns, to be read into here.
    pub fn columns(&mut self) -> Decoded<'_> {
        Decoded {
            stride: self.stride,
            times_ms: &mut self.times_ms,
            numbers: &mut self.numbers,
            categories: &mut self.categories,
            ids: &mut self.ids,
            labels: &mut self.labels,
            texts: &mut self.texts,
            marks: &mut self.marks,
        }
    }

    /// The columns, to be copied to by a GPU.
    pub fn memory(&mut self) -> PinnedDecoded<'_> {
        PinnedDecoded {
            times_ms: &mut self.times_ms,
            numbers: &mut self.numbers,
            categories: &mut self.categories,
            ids: &mut self.ids,
            labels: &mut self.labels,
            texts: &mut self.texts,
            marks: &mut self.marks,
        }
    }
}
