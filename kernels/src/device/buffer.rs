//! Memory of a device: a typed array that a [`Stream`](super::Stream) fills, works on and reads.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{DeviceError, Gpu};

/// Types without padding, pointers or invalid bit patterns: any bytes are a value.
///
/// # Safety
/// Every bit pattern is a value of the type, and the type has no padding.
pub unsafe trait Plain: Copy + Send + Sync + 'static {}

macro_rules! plain {
    ($($type:ty),*) => {
        // SAFETY: numbers have no padding and no invalid bit patterns.
        $(unsafe impl Plain for $type {})*
    };
}

plain!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64);

// SAFETY: an array of such values has no padding of its own.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// An array in the memory of a GPU.
pub struct Buffer<T: Plain> {
    /// An allocation of its own, or one of which it is a part.
    memory: Arc<Memory>,
    address: u64,
    length: usize,
    of: PhantomData<T>,
}

/// An allocation, which is given back with the last array in it.
struct Memory {
    gpu: Arc<Gpu>,
    address: u64,
    bytes: usize,
}

impl<T: Plain> Buffer<T> {
    /// Room for `length` values, whatever they are.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn new(gpu: &Arc<Gpu>, length: usize) -> Result<Buffer<T>, DeviceError> {
        let bytes = length * size_of::<T>();
        let address = gpu.call(|driver| driver.allocate(bytes))?;
        let memory = Arc::new(Memory { gpu: Arc::clone(gpu), address, bytes });
        Ok(Buffer { memory, address, length, of: PhantomData })
    }

    /// `length` values from byte `at` on, a multiple of 256, as an array of their own: the memory
    /// is that of both.
    ///
    /// # Panics
    /// If they lie beyond the end.
    pub(super) fn part<U: Plain>(&self, at: usize, length: usize) -> Buffer<U> {
        let end = at + length * size_of::<U>();
        assert!(at.is_multiple_of(256) && end <= self.byte_count(), "a part of it");
        let memory = Arc::clone(&self.memory);
        Buffer { memory, address: self.address + at as u64, length, of: PhantomData }
    }

    /// Values it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes it holds.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.length * size_of::<T>()
    }

    /// Where it lies in the memory of the GPU; at least 256-byte aligned.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The GPU it lies on.
    #[must_use]
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.memory.gpu
    }

    /// Makes room for `length` values at least; what it held is lost when it has to grow.
    ///
    /// # Errors
    /// As [`Buffer::new`].
    pub fn reserve(&mut self, length: usize) -> Result<(), DeviceError> {
        if length > self.length {
            *self = Buffer::new(&self.memory.gpu, length.next_power_of_two())?;
        }
        Ok(())
    }

    /// The address of value `index` on; a bug when it lies beyond the end.
    pub(super) fn at(&self, index: usize, length: usize) -> u64 {
        assert!(index + length <= self.length, "within the buffer");
        self.address + (index * size_of::<T>()) as u64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the address is this allocation's own; the driver frees it after the work that was
        // given to it before.
        self.gpu.release(|driver| unsafe { driver.free(self.address, self.bytes) });
    }
}

impl<T: Plain> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("length", &self.length).finish_non_exhaustive()
    }
}
