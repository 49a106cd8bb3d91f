//! CUDA's driver: only this file and the one below it name it.
//!
//! Every result that is not a success ends the use of this GPU, since CUDA's errors are mostly
//! about work given earlier, and its context is not to be trusted afterwards.

mod opening;

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::driver::{Driver, Handle};
use super::{Description, DeviceError, Pinning};

pub(super) use opening::open;

/// A GPU by its primary context.
pub(super) struct Cuda {
    device: sys::CUdevice,
    context: sys::CUcontext,
    description: Description,
    modules: Vec<sys::CUmodule>,
    /// All kernels, by name.
    functions: HashMap<&'static str, Function>,
}

struct Function(sys::CUfunction);

// SAFETY: CUDA's driver may be called by any thread; contexts, modules and functions are handles
// into it. Each call makes the context current for its thread first.
unsafe impl Send for Cuda {}
// SAFETY: as above.
unsafe impl Sync for Cuda {}

thread_local! {
    /// The context that is current in this thread, as a number.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

fn name_of(error: DriverError) -> String {
    error.error_name().map_or_else(
        |_| format!("error {}", error.0 as u32),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// A result that is not a success is the end.
fn lost<T>(call: &'static str, result: Result<T, DriverError>) -> Result<T, DeviceError> {
    result.map_err(|error| DeviceError::Lost { call, code: error.0 as u32, name: name_of(error) })
}

/// Where memory is asked for, its lack is no loss.
fn room<T>(
    call: &'static str,
    bytes: usize,
    result: Result<T, DriverError>,
) -> Result<T, DeviceError> {
    match result {
        Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
            Err(DeviceError::Memory { bytes: bytes as u64 })
        }
        result => lost(call, result),
    }
}

/// Nothing is handed out for 0 bytes, but it needs an address.
fn at_least_one(bytes: usize) -> usize {
    bytes.max(256)
}

fn stream_of(handle: Handle) -> sys::CUstream {
    handle as sys::CUstream
}

fn event_of(handle: Handle) -> sys::CUevent {
    handle as sys::CUevent
}

impl Cuda {
    /// Makes the context current in this thread.
    fn bind(&self) -> Result<(), DeviceError> {
        let own = self.context as usize;
        if CURRENT.get() != own {
            // SAFETY: the context is retained until this is dropped.
            lost("cuCtxSetCurrent", unsafe { result::ctx::set_current(self.context) })?;
            CURRENT.set(own);
        }
        Ok(())
    }

    fn function(&self, kernel: &'static str) -> Result<sys::CUfunction, DeviceError> {
        let found = self.functions.get(kernel);
        found.map(|function| function.0).ok_or(DeviceError::Kernel { kernel })
    }
}

impl Driver for Cuda {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn memory(&self) -> Result<(u64, u64), DeviceError> {
        self.bind()?;
        let (free, total) = lost("cuMemGetInfo", result::mem_get_info())?;
        Ok((free as u64, total as u64))
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.bind()?;
        // SAFETY: the memory is handed out as bytes of any value.
        room("cuMemAlloc", bytes, unsafe { result::malloc_sync(at_least_one(bytes)) })
    }

    unsafe fn free(&self, address: u64, _: usize) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's; the driver waits for work that uses it.
        lost("cuMemFree", unsafe { result::free_sync(address) })
    }

    fn pin(&self, bytes: usize, pinning: Pinning) -> Result<*mut u8, DeviceError> {
        self.bind()?;
        let bytes = at_least_one(bytes);
        let flags = sys::CU_MEMHOSTALLOC_PORTABLE
            | match pinning {
                Pinning::Upload => sys::CU_MEMHOSTALLOC_WRITECOMBINED,
                Pinning::Both => 0,
            };
        // SAFETY: the memory is zeroed before it is handed out.
        let memory = unsafe { result::malloc_host(bytes, flags) };
        let memory = room("cuMemHostAlloc", bytes, memory)?.cast::<u8>();
        // SAFETY: as many bytes were given.
        unsafe { memory.write_bytes(0, bytes) };
        Ok(memory)
    }

    unsafe fn unpin(&self, memory: *mut u8, _: usize) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        lost("cuMemFreeHost", unsafe { result::free_host(memory.cast()) })
    }

    fn open_stream(&self) -> Result<Handle, DeviceError> {
        self.bind()?;
        let kind = result::stream::StreamKind::NonBlocking;
        lost("cuStreamCreate", result::stream::create(kind)).map(|stream| stream as Handle)
    }

    unsafe fn close_stream(&self, stream: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        lost("cuStreamDestroy", unsafe { result::stream::destroy(stream_of(stream)) })
    }

    fn open_event(&self) -> Result<Handle, DeviceError> {
        self.bind()?;
        let flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
        lost("cuEventCreate", result::event::create(flags)).map(|event| event as Handle)
    }

    unsafe fn close_event(&self, event: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        lost("cuEventDestroy", unsafe { result::event::destroy(event_of(event)) })
    }

    unsafe fn record(&self, event: Handle, stream: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        let (event, stream) = (event_of(event), stream_of(stream));
        // SAFETY: the caller's.
        lost("cuEventRecord", unsafe { result::event::record(event, stream) })
    }

    unsafe fn wait(&self, stream: Handle, event: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        let (event, stream) = (event_of(event), stream_of(stream));
        // SAFETY: the caller's.
        lost("cuStreamWaitEvent", unsafe { result::stream::wait_event(stream, event, flags) })
    }

    unsafe fn await_event(&self, event: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        lost("cuEventSynchronize", unsafe { result::event::synchronize(event_of(event)) })
    }

    unsafe fn elapsed_ms(&self, from: Handle, to: Handle) -> Result<f32, DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        let elapsed = unsafe { result::event::elapsed(event_of(from), event_of(to)) };
        lost("cuEventElapsedTime", elapsed)
    }

    unsafe fn await_stream(&self, stream: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        lost("cuStreamSynchronize", unsafe { result::stream::synchronize(stream_of(stream)) })
    }

    unsafe fn upload(
        &self,
        stream: Handle,
        to: u64,
        from: *const u8,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's: as many bytes, until the copy is done.
        let copied = unsafe {
            let from = std::slice::from_raw_parts(from, bytes);
            result::memcpy_htod_async(to, from, stream_of(stream))
        };
        lost("cuMemcpyHtoDAsync", copied)
    }

    unsafe fn download(
        &self,
        stream: Handle,
        to: *mut u8,
        from: u64,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's: as many bytes, until the copy is done.
        let copied = unsafe {
            let to = std::slice::from_raw_parts_mut(to, bytes);
            result::memcpy_dtoh_async(to, from, stream_of(stream))
        };
        lost("cuMemcpyDtoHAsync", copied)
    }

    unsafe fn copy(
        &self,
        stream: Handle,
        to: u64,
        from: u64,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        let copied = unsafe { result::memcpy_dtod_async(to, from, bytes, stream_of(stream)) };
        lost("cuMemcpyDtoDAsync", copied)
    }

    unsafe fn fill(
        &self,
        stream: Handle,
        to: u64,
        byte: u8,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        let filled = unsafe { result::memset_d8_async(to, byte, bytes, stream_of(stream)) };
        lost("cuMemsetD8Async", filled)
    }

    unsafe fn launch(
        &self,
        stream: Handle,
        kernel: &'static str,
        (blocks, threads, shared_bytes): (u32, u32, u32),
        (arguments, _): (&mut [*mut c_void], &[usize]),
    ) -> Result<(), DeviceError> {
        self.bind()?;
        let function = self.function(kernel)?;
        let (grid, block) = ((blocks, 1, 1), (threads, 1, 1));
        let stream = stream_of(stream);
        // SAFETY: the caller's: the arguments are the kernel's.
        let launched = unsafe {
            result::launch_kernel(function, grid, block, shared_bytes, stream, arguments)
        };
        lost("cuLaunchKernel", launched)
    }

    unsafe fn begin_graph(&self, stream: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the caller's.
        let begun = unsafe { result::stream::begin_capture(stream_of(stream), mode) };
        lost("cuStreamBeginCapture", begun)
    }

    unsafe fn end_graph(&self, stream: Handle) -> Result<Handle, DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        let graph = unsafe { result::stream::end_capture(stream_of(stream)) };
        let graph = lost("cuStreamEndCapture", graph)?;
        // SAFETY: the graph was made above, and is needed no more once it is instantiated.
        let (ready, dropped) = unsafe {
            let flags =
                sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
            (result::graph::instantiate(graph, flags), result::graph::destroy(graph))
        };
        lost("cuGraphDestroy", dropped)?;
        lost("cuGraphInstantiate", ready).map(|graph| graph as Handle)
    }

    unsafe fn launch_graph(&self, graph: Handle, stream: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        let launched =
            unsafe { result::graph::launch(graph as sys::CUgraphExec, stream_of(stream)) };
        lost("cuGraphLaunch", launched)
    }

    unsafe fn close_graph(&self, graph: Handle) -> Result<(), DeviceError> {
        self.bind()?;
        // SAFETY: the caller's.
        lost("cuGraphExecDestroy", unsafe {
            result::graph::exec_destroy(graph as sys::CUgraphExec)
        })
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // At the end of a process the driver may be gone already; what it says is of no use.
        if self.bind().is_ok() {
            for module in self.modules.drain(..) {
                // SAFETY: loaded in this context, and no function of it runs: all streams ended.
                let _ = unsafe { result::module::unload(module) };
            }
        }
        CURRENT.set(0);
        // SAFETY: retained when it was opened.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}
