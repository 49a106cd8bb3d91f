//! Graphs of a double: work that is noted and done again, in its order.
//!
//! What CUDA forbids while a stream is captured (to wait, to allocate) is not noticed here.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::device::DeviceError;
use crate::device::driver::{Driver, Handle};

/// Work that was noted.
#[derive(Clone)]
enum Work {
    Copy { to: u64, from: u64, bytes: usize },
    Fill { to: u64, byte: u8, bytes: usize },
    Launch { kernel: &'static str, shape: (u32, u32, u32), arguments: Vec<Vec<u64>> },
}

/// What is being recorded, and what was.
#[derive(Default)]
pub(super) struct Graphs(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    recording: Option<Vec<Work>>,
    graphs: BTreeMap<Handle, Vec<Work>>,
    made: Handle,
}

impl Graphs {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self, work: impl FnOnce() -> Work) -> bool {
        match &mut self.noted().recording {
            Some(recording) => {
                recording.push(work());
                true
            }
            None => false,
        }
    }

    pub fn begin(&self) {
        self.noted().recording = Some(Vec::new());
    }

    pub fn end(&self) -> Handle {
        let mut noted = self.noted();
        let work = noted.recording.take().unwrap_or_default();
        noted.made += 1;
        let handle = noted.made;
        noted.graphs.insert(handle, work);
        handle
    }

    pub fn close(&self, graph: Handle) {
        self.noted().graphs.remove(&graph);
    }

    /// Notes a copy, of any direction, where work is recorded; whether it did.
    pub fn records_copy(&self, to: u64, from: u64, bytes: usize) -> bool {
        self.records(|| Work::Copy { to, from, bytes })
    }

    /// Notes that memory is filled.
    pub fn records_fill(&self, to: u64, byte: u8, bytes: usize) -> bool {
        self.records(|| Work::Fill { to, byte, bytes })
    }

    /// Notes a launch with the values of its arguments, as CUDA does.
    ///
    /// # Safety
    /// Each argument is as long as its size says.
    pub unsafe fn records_launch(
        &self,
        kernel: &'static str,
        shape: (u32, u32, u32),
        (arguments, sizes): (&[*mut c_void], &[usize]),
    ) -> bool {
        self.records(|| {
            let copied = arguments.iter().zip(sizes).map(|(argument, &size)| {
                let mut words = vec![0_u64; size.div_ceil(8)];
                // SAFETY: the caller's; the words are as long.
                unsafe {
                    let to = words.as_mut_ptr().cast::<u8>();
                    to.copy_from_nonoverlapping(argument.cast(), size);
                }
                words
            });
            Work::Launch { kernel, shape, arguments: copied.collect() }
        })
    }

    /// Does what was recorded.
    ///
    /// # Safety
    /// What it addresses is still there.
    pub unsafe fn replay(
        &self,
        graph: Handle,
        driver: &dyn Driver,
        stream: Handle,
    ) -> Result<(), DeviceError> {
        let work = self.noted().graphs.get(&graph).cloned().unwrap_or_default();
        work.into_iter().try_for_each(|work| match work {
            // SAFETY: the caller's. Memory of the double is memory here: one copy serves all ways.
            Work::Copy { to, from, bytes } => unsafe { driver.copy(stream, to, from, bytes) },
            // SAFETY: as above.
            Work::Fill { to, byte, bytes } => unsafe { driver.fill(stream, to, byte, bytes) },
            Work::Launch { kernel, shape, mut arguments } => {
                let sizes: Vec<usize> = arguments.iter().map(|words| words.len() * 8).collect();
                let mut places: Vec<*mut c_void> =
                    arguments.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
                // SAFETY: the caller's; the arguments are copies of those of the kernel.
                unsafe { driver.launch(stream, kernel, shape, (&mut places, &sizes)) }
            }
        })
    }
}
