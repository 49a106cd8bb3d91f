//! The order of work on a GPU: copies and launches of a stream follow one another.
//!
//! Work of different streams overlaps; an [`Event`] puts it in order where it must be. Nothing here
//! waits unless its name says so.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Arc;

use super::buffer::{Buffer, Plain};
use super::driver::Handle;
use super::launch::{Argument, Launch};
use super::pinned::{Copying, Pinned};
use super::{DeviceError, Gpu};

/// A sequence of work on a GPU.
pub struct Stream {
    gpu: Arc<Gpu>,
    handle: Handle,
    /// Work is recorded now: no copy is under way.
    is_recording: Cell<bool>,
}

/// A point in the work of a stream.
pub struct Event {
    gpu: Arc<Gpu>,
    handle: Handle,
}

/// Work that was recorded, to be done again in one launch.
pub struct Graph {
    gpu: Arc<Gpu>,
    handle: Handle,
}

impl Stream {
    /// A stream on this GPU.
    ///
    /// # Errors
    /// [`DeviceError::Lost`], as all that follow.
    pub fn new(gpu: &Arc<Gpu>) -> Result<Stream, DeviceError> {
        let handle = gpu.call(|driver| driver.open_stream())?;
        Ok(Stream { gpu: Arc::clone(gpu), handle, is_recording: Cell::new(false) })
    }

    /// The GPU it is on.
    #[must_use]
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }

    /// Copies `length` values from `from[from_at..]` to `to[to_at..]`; whoever touches `from` waits
    /// for it.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn upload<T: Plain>(
        &self,
        (to, to_at): (&mut Buffer<T>, usize),
        (from, from_at): (&mut Pinned<T>, usize),
        length: usize,
    ) -> Result<(), DeviceError> {
        if length == 0 {
            return Ok(());
        }
        let (address, bytes) = (to.at(to_at, length), length * size_of::<T>());
        self.settle(from);
        let memory = from.part(from_at, length).cast::<u8>();
        // SAFETY: both are as long, by their assertions. The buffer is freed after this work, and
        // the memory is marked as in use until the copy is done.
        self.gpu.call(|driver| unsafe { driver.upload(self.handle, address, memory, bytes) })?;
        self.mark(from, Copying::Out)
    }

    /// Copies the first `length` values of every column of a matrix, `[columns, stride]`; whoever
    /// touches `from` waits for it.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    ///
    /// # Panics
    /// If the two are not equally long, or `length` is beyond the stride.
    pub fn upload_rows<T: Plain>(
        &self,
        to: &mut Buffer<T>,
        from: &mut Pinned<T>,
        (stride, length): (usize, usize),
    ) -> Result<(), DeviceError> {
        assert!(to.len() == from.len() && length <= stride, "matrices of one shape");
        if length == 0 || from.is_empty() {
            return Ok(());
        }
        // One copy is quicker than many where less than as much again is copied for nothing.
        if length * 2 >= stride {
            let end = from.len() - (stride - length);
            return self.upload((to, 0), (from, 0), end);
        }
        self.settle(from);
        let copied = (0..from.len()).step_by(stride).try_for_each(|at| {
            let (address, bytes) = (to.at(at, length), length * size_of::<T>());
            let memory = from.part(at, length).cast::<u8>();
            let gpu = &self.gpu;
            // SAFETY: as in `upload`; all are marked below.
            gpu.call(|driver| unsafe { driver.upload(self.handle, address, memory, bytes) })
        });
        // Marked where one has failed as well: those before it may be under way.
        self.mark(from, Copying::Out)?;
        copied
    }

    /// A buffer with the values of a slice; waits.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn buffer_of<T: Plain>(&self, values: &[T]) -> Result<Buffer<T>, DeviceError> {
        let mut buffer = Buffer::new(&self.gpu, values.len())?;
        self.write(&mut buffer, values)?;
        Ok(buffer)
    }

    /// Copies `length` values from `from[from_at..]` to `to[to_at..]`; whoever touches `to` waits
    /// for it.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn download<T: Plain>(
        &self,
        (to, to_at): (&mut Pinned<T>, usize),
        (from, from_at): (&Buffer<T>, usize),
        length: usize,
    ) -> Result<(), DeviceError> {
        if length == 0 {
            return Ok(());
        }
        let (address, bytes) = (from.at(from_at, length), length * size_of::<T>());
        self.settle(to);
        let memory = to.part(to_at, length).cast::<u8>();
        // SAFETY: as in `upload`.
        self.gpu.call(|driver| unsafe { driver.download(self.handle, memory, address, bytes) })?;
        self.mark(to, Copying::In)
    }

    fn settle<T: Plain>(&self, memory: &Pinned<T>) {
        if !self.is_recording.get() {
            memory.settle_unless_of(self);
        }
    }

    /// Says that a copy of this memory is under way, unless it was only recorded.
    fn mark<T: Plain>(&self, memory: &mut Pinned<T>, copying: Copying) -> Result<(), DeviceError> {
        if self.is_recording.get() { Ok(()) } else { memory.is_used_by(self, copying) }
    }

    /// Copies a slice to the start of a buffer and waits.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn write<T: Plain>(&self, to: &mut Buffer<T>, from: &[T]) -> Result<(), DeviceError> {
        let (address, bytes) = (to.at(0, from.len()), size_of_val(from));
        if bytes == 0 {
            return Ok(());
        }
        let memory = from.as_ptr().cast::<u8>();
        // SAFETY: both are as long; the slice is borrowed until the wait is over.
        self.gpu.call(|driver| unsafe { driver.upload(self.handle, address, memory, bytes) })?;
        self.wait()
    }

    /// Copies the start of a buffer to a slice and waits.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn read<T: Plain>(&self, from: &Buffer<T>, to: &mut [T]) -> Result<(), DeviceError> {
        let (address, bytes) = (from.at(0, to.len()), size_of_val(to));
        if bytes == 0 {
            return Ok(());
        }
        let memory = to.as_mut_ptr().cast::<u8>();
        // SAFETY: both are as long; the slice is borrowed until the wait is over, and any bytes are
        // values of its type.
        self.gpu.call(|driver| unsafe { driver.download(self.handle, memory, address, bytes) })?;
        self.wait()
    }

    /// Copies the first `length` values of one buffer to another.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn copy<T: Plain>(
        &self,
        to: &mut Buffer<T>,
        from: &Buffer<T>,
        length: usize,
    ) -> Result<(), DeviceError> {
        if length == 0 {
            return Ok(());
        }
        let (to, from, bytes) = (to.at(0, length), from.at(0, length), length * size_of::<T>());
        // SAFETY: both are as long, and two buffers never overlap.
        self.gpu.call(|driver| unsafe { driver.copy(self.handle, to, from, bytes) })
    }

    /// Makes every byte of a buffer zero.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn clear<T: Plain>(&self, buffer: &mut Buffer<T>) -> Result<(), DeviceError> {
        let (address, bytes) = (buffer.address(), buffer.byte_count());
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the buffer is as long.
        self.gpu.call(|driver| unsafe { driver.fill(self.handle, address, 0, bytes) })
    }

    /// Runs a kernel.
    ///
    /// # Safety
    /// The arguments are those of the kernel, in type and order, and what they address is as large
    /// as the kernel takes it to be and lives until it is done.
    ///
    /// # Errors
    /// [`DeviceError::Lost`]; [`DeviceError::Kernel`] for a bug.
    pub unsafe fn launch(
        &self,
        launch: Launch,
        arguments: &[Argument<'_>],
    ) -> Result<(), DeviceError> {
        const MOST: usize = 16;
        let (mut places, mut sizes) = ([std::ptr::null_mut::<c_void>(); MOST], [0; MOST]);
        let count = arguments.len();
        assert!(count <= MOST, "no kernel takes that many arguments");
        for (at, argument) in arguments.iter().enumerate() {
            (places[at], sizes[at]) = argument.place();
        }
        let shape = (launch.blocks, launch.threads, launch.shared_bytes);
        let places = (&mut places[..count], &sizes[..count]);
        // SAFETY: what the caller answers for; the driver reads the values before it returns.
        self.gpu.call(|driver| unsafe { driver.launch(self.handle, launch.kernel, shape, places) })
    }

    /// An event that has not happened.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn event(&self) -> Result<Event, DeviceError> {
        let handle = self.gpu.call(|driver| driver.open_event())?;
        Ok(Event { gpu: Arc::clone(&self.gpu), handle })
    }

    /// The event happens when all work given so far is done.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn record(&self, event: &Event) -> Result<(), DeviceError> {
        // SAFETY: both are open as long as they are there.
        self.gpu.call(|driver| unsafe { driver.record(event.handle, self.handle) })
    }

    /// Work given from now on begins after the event.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn after(&self, event: &Event) -> Result<(), DeviceError> {
        // SAFETY: as in `record`.
        self.gpu.call(|driver| unsafe { driver.wait(self.handle, event.handle) })
    }

    /// Waits here until all work is done.
    ///
    /// # Errors
    /// [`DeviceError::Lost`], also for work given long before.
    pub fn wait(&self) -> Result<(), DeviceError> {
        // SAFETY: the stream is open as long as it is there.
        self.gpu.call(|driver| unsafe { driver.await_stream(self.handle) })
    }

    /// Records what `give` gives to this stream instead of doing it.
    ///
    /// # Safety
    /// What the recorded work addresses is there at every [`Stream::replay`]. Host memory whose
    /// copies were recorded is not touched from a replay to the next [`Stream::wait`].
    ///
    /// # Errors
    /// [`DeviceError::Lost`], and those of `give`.
    pub unsafe fn graph(
        &self,
        give: impl FnOnce(&Stream) -> Result<(), DeviceError>,
    ) -> Result<Graph, DeviceError> {
        // SAFETY: the stream is open.
        self.gpu.call(|driver| unsafe { driver.begin_graph(self.handle) })?;
        self.is_recording.set(true);
        let given = give(self);
        self.is_recording.set(false);
        // SAFETY: begun above, and ended whatever became of it.
        let handle = self.gpu.call(|driver| unsafe { driver.end_graph(self.handle) })?;
        let graph = Graph { gpu: Arc::clone(&self.gpu), handle };
        given.map(|()| graph)
    }

    /// Does what was recorded.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn replay(&self, graph: &Graph) -> Result<(), DeviceError> {
        // SAFETY: both are open; whoever recorded it answers for what it addresses.
        self.gpu.call(|driver| unsafe { driver.launch_graph(graph.handle, self.handle) })
    }
}

impl Event {
    /// Waits here for it.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn wait(&self) -> Result<(), DeviceError> {
        // SAFETY: the event is open as long as it is there.
        self.gpu.call(|driver| unsafe { driver.await_event(self.handle) })
    }

    /// Milliseconds since an earlier event; both must have happened.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn ms_since(&self, earlier: &Event) -> Result<f32, DeviceError> {
        // SAFETY: as in `wait`.
        self.gpu.call(|driver| unsafe { driver.elapsed_ms(earlier.handle, self.handle) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // What is under way uses buffers that may be dropped next.
        let _ = self.wait();
        // SAFETY: open until here.
        self.gpu.release(|driver| unsafe { driver.close_stream(self.handle) });
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: open until here.
        self.gpu.release(|driver| unsafe { driver.close_event(self.handle) });
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: open until here.
        self.gpu.release(|driver| unsafe { driver.close_graph(self.handle) });
    }
}

macro_rules! opaque {
    ($($type:ident),*) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        })*
    };
}

opaque!(Stream, Event, Graph);
