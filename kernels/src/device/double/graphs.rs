//! Graphs of a double: work that is noted and done again, in its order.
//!
//! What CUDA forbids while a stream is captured (to wait, to allocate) is not noticed here.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::device::DeviceError;
use crate::device::driver::{Driver, Handle};

/// The most arguments a kernel here has.
const ARGUMENTS_MAX: usize = 64;

/// Work that was noted.
enum Work {
    Copy { to: u64, from: u64, bytes: usize },
    Fill { to: u64, byte: u8, bytes: usize },
    Launch { kernel: &'static str, shape: (u32, u32, u32), arguments: Arguments },
}

/// Values of the arguments of a launch, and how many bytes each has.
struct Arguments {
    values: Vec<Vec<u64>>,
    sizes: Vec<usize>,
}

/// What is being recorded, and what was.
#[derive(Default)]
pub(super) struct Graphs(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    /// By the stream whose work it is: the others go on meanwhile.
    recordings: BTreeMap<Handle, Vec<Work>>,
    graphs: BTreeMap<Handle, Arc<[Work]>>,
    made: Handle,
}

impl Graphs {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self, stream: Handle, work: impl FnOnce() -> Work) -> bool {
        match self.noted().recordings.get_mut(&stream) {
            Some(recording) => {
                recording.push(work());
                true
            }
            None => false,
        }
    }

    pub fn begin(&self, stream: Handle) {
        self.noted().recordings.insert(stream, Vec::new());
    }

    pub fn end(&self, stream: Handle) -> Handle {
        let mut noted = self.noted();
        let work = noted.recordings.remove(&stream).unwrap_or_default();
        noted.made += 1;
        let handle = noted.made;
        noted.graphs.insert(handle, work.into());
        handle
    }

    pub fn close(&self, graph: Handle) {
        self.noted().graphs.remove(&graph);
    }

    /// Notes a copy, of any direction, where work of the stream is recorded; whether it did.
    pub fn records_copy(&self, stream: Handle, to: u64, from: u64, bytes: usize) -> bool {
        self.records(stream, || Work::Copy { to, from, bytes })
    }

    /// Notes that memory is filled.
    pub fn records_fill(&self, stream: Handle, to: u64, byte: u8, bytes: usize) -> bool {
        self.records(stream, || Work::Fill { to, byte, bytes })
    }

    /// Notes a launch with the values of its arguments, as CUDA does.
    ///
    /// # Safety
    /// Each argument is as long as its size says.
    pub unsafe fn records_launch(
        &self,
        stream: Handle,
        kernel: &'static str,
        shape: (u32, u32, u32),
        (arguments, sizes): (&[*mut c_void], &[usize]),
    ) -> bool {
        assert!(arguments.len() <= ARGUMENTS_MAX, "{kernel} has no more than {ARGUMENTS_MAX}");
        self.records(stream, || {
            let copied = arguments.iter().zip(sizes).map(|(argument, &size)| {
                let mut words = vec![0_u64; size.div_ceil(8)];
                // SAFETY: the caller's; the words are as long.
                unsafe {
                    let to = words.as_mut_ptr().cast::<u8>();
                    to.copy_from_nonoverlapping(argument.cast(), size);
                }
                words
            });
            let arguments = Arguments { values: copied.collect(), sizes: sizes.to_vec() };
            Work::Launch { kernel, shape, arguments }
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
        let Some(work) = self.noted().graphs.get(&graph).cloned() else { return Ok(()) };
        work.iter().try_for_each(|work| match work {
            // SAFETY: the caller's. Memory of the double is memory here: one copy serves all ways.
            &Work::Copy { to, from, bytes } => unsafe { driver.copy(stream, to, from, bytes) },
            // SAFETY: as above.
            &Work::Fill { to, byte, bytes } => unsafe { driver.fill(stream, to, byte, bytes) },
            Work::Launch { kernel, shape, arguments: Arguments { values, sizes } } => {
                // As CUDA does, a graph asks for no memory when it is launched.
                let mut places = [null_mut::<c_void>(); ARGUMENTS_MAX];
                for (place, value) in places.iter_mut().zip(values) {
                    *place = value.as_ptr().cast_mut().cast();
                }
                let places = &mut places[..values.len()];
                // SAFETY: the caller's; the arguments are copies of those of the kernel, which a
                // launch only reads.
                unsafe { driver.launch(stream, kernel, *shape, (places, sizes)) }
            }
        })
    }
}
