//! Host memory that a GPU copies from and to by itself.
//!
//! Ordinary memory, aligned to cache lines, where there is no GPU; page-locked memory where there
//! is one. Invariant: whoever writes it waits for the copy that is under way, whoever reads it for
//! one that writes it, so that a slot can be handed on and looked at while its upload still runs.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use super::buffer::Plain;
use super::driver::Handle;
use super::stream::{Event, Stream};
use super::{Device, DeviceError, Gpu, Pinning};

/// A cache line; what a GPU reads at once is no larger.
const ALIGNMENT: usize = 64;

/// An array in host memory, page-locked where the device is a GPU.
pub struct Pinned<T: Plain> {
    memory: NonNull<T>,
    length: usize,
    /// Of page-locked memory.
    gpu: Option<Arc<Gpu>>,
    /// Happens when the last copy is done.
    done: Option<Event>,
    /// The stream of a copy that may still be under way, and what it does.
    under_way: Cell<Option<(Handle, Copying)>>,
}

/// What a copy does to host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copying {
    /// It reads it.
    Out,
    /// It writes it.
    In,
}

// SAFETY: it owns its memory, and its values can be sent; a copy under way is tied to it by `done`.
unsafe impl<T: Plain> Send for Pinned<T> {}

impl<T: Plain> Pinned<T> {
    /// `length` zeros.
    ///
    /// # Errors
    /// [`DeviceError`] when the driver has no such memory to give.
    pub fn new(device: &Device, length: usize, pinning: Pinning) -> Result<Self, DeviceError> {
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        let bytes = length * size_of::<T>();
        let gpu = device.gpu().filter(|_| bytes > 0).cloned();
        let memory = match &gpu {
            Some(gpu) => gpu.call(|driver| driver.pin(bytes, pinning))?.cast(),
            None => allocate(bytes).cast(),
        };
        let memory = NonNull::new(memory).expect("neither gives a null pointer without an error");
        let (done, under_way) = (None, Cell::new(None));
        Ok(Pinned { memory, length, gpu, done, under_way })
    }

    /// Ordinary memory, `length` zeros.
    #[must_use]
    pub fn ordinary(length: usize) -> Self {
        Pinned::new(&Device::Cpu, length, Pinning::Both).expect("ordinary memory asks no driver")
    }

    /// Waits for the copy that is under way. A failure shows at the next call of the GPU.
    #[inline]
    pub fn settle(&self) {
        if self.under_way.get().is_some() {
            self.wait();
        }
    }

    #[cold]
    fn wait(&self) {
        self.under_way.set(None);
        if let Some(done) = &self.done {
            let _ = done.wait();
        }
    }

    /// Says that a copy of the stream, given to it just now, reads or writes this memory. One that
    /// cannot be marked is waited for.
    pub(super) fn is_used_by(
        &mut self,
        stream: &Stream,
        copying: Copying,
    ) -> Result<(), DeviceError> {
        if self.done.is_none() {
            self.done = Some(stream.event()?);
        }
        let done = self.done.as_ref().expect("made above");
        if let Err(error) = stream.record(done) {
            let _ = stream.wait();
            return Err(error);
        }
        // One that writes may still be under way before one that reads.
        let was = self.under_way.get().map_or(Copying::Out, |(_, copying)| copying);
        let copying = if was == Copying::In { was } else { copying };
        self.under_way.set(Some((stream.handle(), copying)));
        Ok(())
    }

    /// Waits for a copy of another stream: one mark serves one stream.
    pub(super) fn settle_unless_of(&self, stream: &Stream) {
        if self.under_way.get().is_some_and(|(handle, _)| handle != stream.handle()) {
            self.settle();
        }
    }

    /// `length` values of another type from byte `at` on.
    ///
    /// # Panics
    /// If they lie beyond the end or are not aligned.
    pub(super) fn view<U: Plain>(&self, at: usize, length: usize) -> &[U] {
        check_view::<U>(size_of_val::<[T]>(self), at, length);
        let values = self.as_ptr().cast::<u8>().wrapping_add(at).cast();
        // SAFETY: inside the memory and aligned, by the assertions; any bytes are values.
        unsafe { std::slice::from_raw_parts(values, length) }
    }

    /// The same to be written.
    ///
    /// # Panics
    /// As [`Pinned::view`].
    pub(super) fn view_mut<U: Plain>(&mut self, at: usize, length: usize) -> &mut [U] {
        check_view::<U>(size_of_val::<[T]>(self), at, length);
        let values = self.as_mut_ptr().cast::<u8>().wrapping_add(at).cast();
        // SAFETY: as in `view`; the memory is borrowed as a whole.
        unsafe { std::slice::from_raw_parts_mut(values, length) }
    }

    /// The memory as the driver sees it, whatever copy is under way.
    pub(super) fn part(&self, at: usize, length: usize) -> *mut T {
        assert!(at + length <= self.length, "within the memory");
        // SAFETY: inside the allocation, by the assertion.
        unsafe { self.memory.as_ptr().add(at) }
    }
}

/// Whether `length` values from byte `at` on are inside memory of so many bytes, and aligned in it.
fn check_view<U: Plain>(bytes: usize, at: usize, length: usize) {
    const { assert!(align_of::<U>() <= ALIGNMENT) };
    assert!(at + length * size_of::<U>() <= bytes, "within the memory");
    assert!(at.is_multiple_of(align_of::<U>()), "aligned, as the memory is");
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.max(1), ALIGNMENT).expect("no array is that long")
}

fn allocate(bytes: usize) -> *mut u8 {
    let layout = layout(bytes);
    // SAFETY: the layout is never empty.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    memory
}

impl<T: Plain> Deref for Pinned<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        if self.under_way.get().is_some_and(|(_, copying)| copying == Copying::In) {
            self.wait();
        }
        // SAFETY: `length` values, zeroed at first; every bit pattern is a value; no copy writes
        // them now.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }
}

impl<T: Plain> DerefMut for Pinned<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.settle();
        // SAFETY: as in `deref`; the only reference, and no copy reads them now.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.length) }
    }
}

impl<T: Plain> Drop for Pinned<T> {
    fn drop(&mut self) {
        self.settle();
        let (memory, bytes) = (self.memory.as_ptr().cast::<u8>(), self.length * size_of::<T>());
        match &self.gpu {
            // SAFETY: it came from the driver with as many bytes; the last copy is done.
            Some(gpu) => gpu.release(|driver| unsafe { driver.unpin(memory, bytes) }),
            // SAFETY: it came from `allocate` with as many bytes.
            None => unsafe { dealloc(memory, layout(bytes)) },
        }
    }
}

impl<T: Plain + std::fmt::Debug> std::fmt::Debug for Pinned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_pinned = self.gpu.is_some();
        f.debug_struct("Pinned")
            .field("length", &self.length)
            .field("is_pinned", &is_pinned)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_memory_is_aligned_zeroed_and_written() {
        for length in [0, 1, 7, 4096] {
            let mut pinned = Pinned::<f32>::ordinary(length);
            assert_eq!(pinned.as_ptr() as usize % ALIGNMENT, 0);
            assert!(pinned.iter().all(|value| *value == 0.0));
            pinned.fill(1.5);
            assert_eq!(pinned.iter().sum::<f32>(), 1.5 * length as f32);
        }
    }
}
