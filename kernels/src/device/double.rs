//! A GPU played by this machine: the same kernels, run as host C++, behind the same border.
//!
//! For tests only (cargo feature `double`): the whole way of a micro-batch over a device, its
//! copies and launches included, is walked where there is no GPU, and can be cut off at a chosen
//! call. Every allocation lies between guard bands, which are looked at when it is given back. What
//! a double cannot show: weak memory order, blocks that run at once, alignment, overlap, speed.

mod graphs;

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::driver::{Driver, Handle};
use super::{Description, DeviceError, Gpu, Pinning};
use graphs::Graphs;

/// Chooses the double in place of a driver; the value is the call that fails, 0 for none.
pub const ENVIRONMENT: &str = "PELTON_DEVICE_DOUBLE";

/// Bytes before and behind each allocation.
const GUARD: usize = 256;
const GUARD_BYTE: u8 = 0xa5;
/// Bytes of memory, where it is not said otherwise.
const MEMORY_BYTES: u64 = 1 << 34;
/// What fresh memory holds: no number that a kernel could take for its own.
const FRESH_BYTE: u8 = 0xcb;

unsafe extern "C" {
    /// Runs a kernel as host C++; 0 when it ran, 1 when there is none of that name.
    fn pelton_host_launch(
        kernel: *const c_char,
        blocks: u32,
        threads: u32,
        shared_bytes: u32,
        arguments: *mut *mut c_void,
    ) -> c_int;
}

/// A function like the one above.
type HostLaunch = unsafe extern "C" fn(*const c_char, u32, u32, u32, *mut *mut c_void) -> c_int;

/// Host execution keeps its threads and shared memory in globals.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Says that tests must find a GPU: a missing one is a failure then.
pub const GPU_REQUIRED: &str = "PELTON_GPU_REQUIRED";

/// The GPUs that tests hold to the CPU: the double, and the first real one where there is one; that
/// one alone where it is asked for.
///
/// # Panics
/// If [`GPU_REQUIRED`] is set and there is none.
#[must_use]
pub fn tested() -> Vec<std::sync::Arc<Gpu>> {
    match (Gpu::open(0), std::env::var_os(GPU_REQUIRED)) {
        (Ok(gpu), Some(_)) => vec![gpu],
        (Err(error), Some(_)) => panic!("no GPU: {error}"),
        (Ok(gpu), None) => vec![Double::open(0), gpu],
        (Err(_), None) => vec![Double::open(0)],
    }
}

/// A GPU without a GPU.
pub struct Double {
    /// Calls until one fails; 0 when none does.
    left: AtomicU64,
    /// Bytes of memory, and how many of them are free.
    memory_bytes: u64,
    free_bytes: AtomicU64,
    host_launch: HostLaunch,
    /// Streams opened so far.
    streams: AtomicU64,
    graphs: Graphs,
}

/// The double, where the environment asks for it.
pub(super) fn asked_for() -> Option<Result<Box<dyn Driver>, DeviceError>> {
    let value = std::env::var(ENVIRONMENT).ok()?;
    let failing = value.parse().map_err(|_| DeviceError::Absent {
        reason: format!("{ENVIRONMENT} must be the number of the call that fails, or 0"),
    });
    Some(failing.map(|failing| Box::new(Double::failing(failing)) as _))
}

impl Double {
    /// A double whose call number `failing` fails, and every later one; 0 for none.
    #[must_use]
    pub fn open(failing: u64) -> std::sync::Arc<Gpu> {
        Gpu::over(Box::new(Double::failing(failing)))
    }

    /// A double with so many bytes of memory.
    #[must_use]
    pub fn of_memory(bytes: u64) -> std::sync::Arc<Gpu> {
        let free_bytes = AtomicU64::new(bytes);
        let double = Double { memory_bytes: bytes, free_bytes, ..Double::failing(0) };
        Gpu::over(Box::new(double))
    }

    /// A double that runs the kernels of another library: broken ones, for tests of the tests.
    ///
    /// # Panics
    /// If the library cannot be opened.
    #[must_use]
    pub fn of_library(path: &std::path::Path) -> std::sync::Arc<Gpu> {
        // SAFETY: it was compiled from the same sources, and runs nothing when it is opened.
        let library = unsafe { libloading::Library::new(path) }.expect("a library");
        // SAFETY: the function has this type; the library stays open for good.
        let host_launch = unsafe {
            let library = Box::leak(Box::new(library));
            *library.get::<HostLaunch>(b"pelton_host_launch").expect("the function")
        };
        Gpu::over(Box::new(Double { host_launch, ..Double::failing(0) }))
    }

    fn failing(call: u64) -> Double {
        Double {
            left: AtomicU64::new(call),
            memory_bytes: MEMORY_BYTES,
            free_bytes: AtomicU64::new(MEMORY_BYTES),
            host_launch: pelton_host_launch,
            streams: AtomicU64::new(0),
            graphs: Graphs::default(),
        }
    }

    /// Counts a call; the chosen one is where the GPU goes away.
    fn counted(&self, call: &'static str) -> Result<(), DeviceError> {
        let was = self.left.load(Ordering::Relaxed);
        if was != 0 && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.left.store(1, Ordering::Relaxed);
            let name = "CUDA_ERROR_ILLEGAL_ADDRESS".to_owned();
            return Err(DeviceError::Lost { call, code: 700, name });
        }
        Ok(())
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes + 2 * GUARD, GUARD).expect("no array is that long")
}

fn allocate(bytes: usize) -> *mut u8 {
    // SAFETY: the layout is never empty.
    let memory = unsafe { alloc(layout(bytes)) };
    assert!(!memory.is_null(), "out of memory");
    // SAFETY: as many bytes were given.
    unsafe {
        memory.write_bytes(GUARD_BYTE, bytes + 2 * GUARD);
        let memory = memory.add(GUARD);
        memory.write_bytes(FRESH_BYTE, bytes);
        memory
    }
}

/// # Safety
/// `memory` came from [`allocate`] with as many bytes.
unsafe fn release(memory: *mut u8, bytes: usize) {
    // SAFETY: the caller's.
    let is_whole = unsafe {
        let before = std::slice::from_raw_parts(memory.sub(GUARD), GUARD);
        let behind = std::slice::from_raw_parts(memory.add(bytes), GUARD);
        before.iter().chain(behind).all(|byte| *byte == GUARD_BYTE)
    };
    // SAFETY: the caller's.
    unsafe { dealloc(memory.sub(GUARD), layout(bytes)) };
    assert!(is_whole || std::thread::panicking(), "a kernel wrote beyond an allocation");
}

impl Driver for Double {
    fn describe(&self) -> Description {
        Description {
            number: 0,
            name: "double".to_owned(),
            memory_bytes: self.memory_bytes,
            multiprocessors: 1,
            capability: (9, 0),
            bus: None,
        }
    }

    fn memory(&self) -> Result<(u64, u64), DeviceError> {
        Ok((self.free_bytes.load(Ordering::Relaxed), self.memory_bytes))
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.counted("cuMemAlloc")?;
        let wanted = bytes as u64;
        let take = |free: u64| free.checked_sub(wanted);
        match self.free_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(allocate(bytes) as u64),
            Err(_) => Err(DeviceError::Memory { bytes: wanted }),
        }
    }

    unsafe fn free(&self, address: u64, bytes: usize) -> Result<(), DeviceError> {
        // SAFETY: the caller's.
        unsafe { release(address as *mut u8, bytes) };
        self.free_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    fn pin(&self, bytes: usize, _: Pinning) -> Result<*mut u8, DeviceError> {
        self.counted("cuMemHostAlloc")?;
        let memory = allocate(bytes);
        // SAFETY: as many bytes were given.
        unsafe { memory.write_bytes(0, bytes) };
        Ok(memory)
    }

    unsafe fn unpin(&self, memory: *mut u8, bytes: usize) -> Result<(), DeviceError> {
        // SAFETY: the caller's.
        unsafe { release(memory, bytes) };
        Ok(())
    }

    fn open_stream(&self) -> Result<Handle, DeviceError> {
        self.counted("cuStreamCreate")?;
        Ok(self.streams.fetch_add(1, Ordering::Relaxed) + 1)
    }

    unsafe fn close_stream(&self, _: Handle) -> Result<(), DeviceError> {
        Ok(())
    }

    fn open_event(&self) -> Result<Handle, DeviceError> {
        self.counted("cuEventCreate").map(|()| 1)
    }

    unsafe fn close_event(&self, _: Handle) -> Result<(), DeviceError> {
        Ok(())
    }

    unsafe fn record(&self, _: Handle, _: Handle) -> Result<(), DeviceError> {
        self.counted("cuEventRecord")
    }

    unsafe fn wait(&self, _: Handle, _: Handle) -> Result<(), DeviceError> {
        self.counted("cuStreamWaitEvent")
    }

    unsafe fn await_event(&self, _: Handle) -> Result<(), DeviceError> {
        self.counted("cuEventSynchronize")
    }

    unsafe fn elapsed_ms(&self, _: Handle, _: Handle) -> Result<f32, DeviceError> {
        self.counted("cuEventElapsedTime").map(|()| 0.0)
    }

    unsafe fn await_stream(&self, _: Handle) -> Result<(), DeviceError> {
        self.counted("cuStreamSynchronize")
    }

    unsafe fn upload(
        &self,
        stream: Handle,
        to: u64,
        from: *const u8,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        self.counted("cuMemcpyHtoDAsync")?;
        if self.graphs.records_copy(stream, to, from as u64, bytes) {
            return Ok(());
        }
        // SAFETY: the caller's.
        unsafe { (to as *mut u8).copy_from_nonoverlapping(from, bytes) };
        Ok(())
    }

    unsafe fn download(
        &self,
        stream: Handle,
        to: *mut u8,
        from: u64,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        self.counted("cuMemcpyDtoHAsync")?;
        if self.graphs.records_copy(stream, to as u64, from, bytes) {
            return Ok(());
        }
        // SAFETY: the caller's.
        unsafe { to.copy_from_nonoverlapping(from as *const u8, bytes) };
        Ok(())
    }

    unsafe fn copy(
        &self,
        stream: Handle,
        to: u64,
        from: u64,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        self.counted("cuMemcpyDtoDAsync")?;
        if self.graphs.records_copy(stream, to, from, bytes) {
            return Ok(());
        }
        // SAFETY: the caller's.
        unsafe { (to as *mut u8).copy_from_nonoverlapping(from as *const u8, bytes) };
        Ok(())
    }

    unsafe fn fill(
        &self,
        stream: Handle,
        to: u64,
        byte: u8,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        self.counted("cuMemsetD8Async")?;
        if self.graphs.records_fill(stream, to, byte, bytes) {
            return Ok(());
        }
        // SAFETY: the caller's.
        unsafe { (to as *mut u8).write_bytes(byte, bytes) };
        Ok(())
    }

    unsafe fn launch(
        &self,
        stream: Handle,
        kernel: &'static str,
        shape: (u32, u32, u32),
        (arguments, sizes): (&mut [*mut c_void], &[usize]),
    ) -> Result<(), DeviceError> {
        self.counted("cuLaunchKernel")?;
        // SAFETY: the caller's: each argument has its size.
        if unsafe { self.graphs.records_launch(stream, kernel, shape, (arguments, sizes)) } {
            return Ok(());
        }
        // Without memory of its own: tests count what a batch asks for.
        let mut name = [0_u8; 64];
        name[..kernel.len()].copy_from_slice(kernel.as_bytes());
        let name = name.as_ptr().cast::<c_char>();
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the caller's: the arguments are the kernel's.
        let result = unsafe {
            let arguments = arguments.as_mut_ptr();
            let (blocks, threads, shared_bytes) = shape;
            (self.host_launch)(name, blocks, threads, shared_bytes, arguments)
        };
        if result == 0 { Ok(()) } else { Err(DeviceError::Kernel { kernel }) }
    }

    unsafe fn begin_graph(&self, stream: Handle) -> Result<(), DeviceError> {
        self.counted("cuStreamBeginCapture")?;
        self.graphs.begin(stream);
        Ok(())
    }

    unsafe fn end_graph(&self, stream: Handle) -> Result<Handle, DeviceError> {
        self.counted("cuStreamEndCapture")?;
        Ok(self.graphs.end(stream))
    }

    unsafe fn launch_graph(&self, graph: Handle, stream: Handle) -> Result<(), DeviceError> {
        self.counted("cuGraphLaunch")?;
        // SAFETY: the caller's: what was recorded addresses is still there.
        unsafe { self.graphs.replay(graph, self, stream) }
    }

    unsafe fn close_graph(&self, graph: Handle) -> Result<(), DeviceError> {
        self.graphs.close(graph);
        Ok(())
    }
}
