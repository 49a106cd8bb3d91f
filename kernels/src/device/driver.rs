//! What is asked of a GPU's driver: the border behind which CUDA, or a double of it, does the work.
//!
//! Addresses and handles are plain numbers here; [`Buffer`](super::Buffer),
//! [`Pinned`](super::Pinned) and [`Stream`](super::Stream) own them and keep the rules that the
//! methods below state.

use std::ffi::c_void;

use super::DeviceError;

/// What a GPU is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its number on this machine.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Its place on the PCI bus, `domain:bus:device.0` in hexadecimal, where it has one.
    pub bus: Option<String>,
}

/// How pinned host memory is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// Written here in order and read by the bus: write-combined, slow to read back here.
    Upload,
    /// Read and written on both sides.
    Both,
}

/// A stream, an event or a graph of the driver.
pub(super) type Handle = u64;

/// The driver of one GPU.
pub(super) trait Driver: Send + Sync {
    /// What the GPU is.
    fn describe(&self) -> Description;

    /// Free and total bytes of device memory.
    fn memory(&self) -> Result<(u64, u64), DeviceError>;

    /// Device memory, at least 256-byte aligned; its content is arbitrary. 0 bytes are allowed.
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError>;

    /// Gives device memory back.
    ///
    /// # Safety
    /// `address` came from [`Driver::allocate`] with as many bytes, and nothing uses it any more.
    unsafe fn free(&self, address: u64, bytes: usize) -> Result<(), DeviceError>;

    /// Page-locked host memory, at least 64-byte aligned, zeroed.
    fn pin(&self, bytes: usize, pinning: Pinning) -> Result<*mut u8, DeviceError>;

    /// Gives host memory back.
    ///
    /// # Safety
    /// `memory` came from [`Driver::pin`] with as many bytes, and no copy uses it any more.
    unsafe fn unpin(&self, memory: *mut u8, bytes: usize) -> Result<(), DeviceError>;

    /// A stream of its own.
    fn open_stream(&self) -> Result<Handle, DeviceError>;

    /// Ends a stream.
    ///
    /// # Safety
    /// `stream` is open.
    unsafe fn close_stream(&self, stream: Handle) -> Result<(), DeviceError>;

    /// An event.
    fn open_event(&self) -> Result<Handle, DeviceError>;

    /// Ends an event.
    ///
    /// # Safety
    /// `event` is open.
    unsafe fn close_event(&self, event: Handle) -> Result<(), DeviceError>;

    /// The event happens once all work of the stream so far is done.
    ///
    /// # Safety
    /// Both are open.
    unsafe fn record(&self, event: Handle, stream: Handle) -> Result<(), DeviceError>;

    /// Later work of the stream waits for the event.
    ///
    /// # Safety
    /// Both are open.
    unsafe fn wait(&self, stream: Handle, event: Handle) -> Result<(), DeviceError>;

    /// Waits here for the event.
    ///
    /// # Safety
    /// `event` is open.
    unsafe fn await_event(&self, event: Handle) -> Result<(), DeviceError>;

    /// Milliseconds between two events that have happened.
    ///
    /// # Safety
    /// Both are open and have been recorded.
    unsafe fn elapsed_ms(&self, from: Handle, to: Handle) -> Result<f32, DeviceError>;

    /// Waits here for all work of the stream.
    ///
    /// # Safety
    /// `stream` is open.
    unsafe fn await_stream(&self, stream: Handle) -> Result<(), DeviceError>;

    /// Copies host memory to the device, in the order of the stream.
    ///
    /// # Safety
    /// Both places hold as many bytes and stay as they are until the copy is done.
    unsafe fn upload(
        &self,
        stream: Handle,
        to: u64,
        from: *const u8,
        bytes: usize,
    ) -> Result<(), DeviceError>;

    /// Copies device memory to the host, in the order of the stream.
    ///
    /// # Safety
    /// As [`Driver::upload`].
    unsafe fn download(
        &self,
        stream: Handle,
        to: *mut u8,
        from: u64,
        bytes: usize,
    ) -> Result<(), DeviceError>;

    /// Copies within device memory, in the order of the stream; the places do not overlap.
    ///
    /// # Safety
    /// As [`Driver::upload`].
    unsafe fn copy(
        &self,
        stream: Handle,
        to: u64,
        from: u64,
        bytes: usize,
    ) -> Result<(), DeviceError>;

    /// Fills device memory with a byte, in the order of the stream.
    ///
    /// # Safety
    /// The place holds as many bytes.
    unsafe fn fill(
        &self,
        stream: Handle,
        to: u64,
        byte: u8,
        bytes: usize,
    ) -> Result<(), DeviceError>;

    /// Runs a kernel, in the order of the stream: `shape` is blocks, threads and bytes of dynamic
    /// shared memory; `sizes` are those of the arguments, in bytes.
    ///
    /// # Safety
    /// `arguments` point at values of the kernel's parameter types, in order, and what these
    /// address is large enough and alive until the kernel is done.
    unsafe fn launch(
        &self,
        stream: Handle,
        kernel: &'static str,
        shape: (u32, u32, u32),
        arguments: (&mut [*mut c_void], &[usize]),
    ) -> Result<(), DeviceError>;

    /// Work given to the stream from now on is recorded instead of done.
    ///
    /// # Safety
    /// `stream` is open.
    unsafe fn begin_graph(&self, stream: Handle) -> Result<(), DeviceError>;

    /// Ends the recording: a graph that does it all in one launch.
    ///
    /// # Safety
    /// `stream` is open and [`Driver::begin_graph`] was called on it.
    unsafe fn end_graph(&self, stream: Handle) -> Result<Handle, DeviceError>;

    /// Does what was recorded.
    ///
    /// # Safety
    /// Both are open; what the recorded work addresses is still there.
    unsafe fn launch_graph(&self, graph: Handle, stream: Handle) -> Result<(), DeviceError>;

    /// Ends a graph.
    ///
    /// # Safety
    /// `graph` is open.
    unsafe fn close_graph(&self, graph: Handle) -> Result<(), DeviceError>;
}
