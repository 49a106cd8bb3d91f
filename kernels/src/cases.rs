//! Work for each kernel: one table for the tests that hold a GPU to the CPU, for `pelton bench
//! device` and for the checks on a machine with a GPU.
//!
//! A case is made for any number of rows; doing it again goes on from the state it has left, as a
//! stream does. Inputs are drawn from a seed and lie in the memory of the device before the clock
//! starts: what is measured is the kernel. (Copies have measures of their own.)

mod columns;
mod features;
mod launches;
mod records;
mod windows;

use crate::coordinate::device::TableError;
use crate::decode::device::Form;
use crate::device::{Buffer, Device, Pinned, Pinning, Plain, Stream};
use crate::hash::mix64;
use crate::repair::Outliers;
use crate::state::StateWriter;

use columns::{RepairWork, TallyWork};
pub use launches::{GRAPH, Launches};

use features::{AssembleWork, MomentsWork, ScaledWork, clicks, everything};
use windows::WindowWork;

/// One kernel with inputs.
pub trait Work {
    /// Does it once more on the CPU.
    ///
    /// # Errors
    /// For a bug only.
    fn here(&mut self) -> Result<(), TableError>;

    /// Brings inputs and state to a GPU, as they are here at first.
    ///
    /// # Errors
    /// [`TableError`].
    fn bring(&mut self, stream: &Stream) -> Result<(), TableError>;

    /// Gives it to the GPU once more, without waiting.
    ///
    /// # Errors
    /// [`TableError`].
    ///
    /// # Panics
    /// If it was not brought there, as the following.
    fn there(&mut self, stream: &Stream) -> Result<(), TableError>;

    /// What CPU and GPU have come to, as bytes; waits.
    ///
    /// # Errors
    /// [`TableError`].
    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError>;
}

/// A kernel and the shape of its work.
pub struct Case {
    /// The kernel.
    pub kernel: &'static str,
    /// Its shape.
    pub shape: &'static str,
    /// Bytes of device memory that must be read or written for a row, at least.
    pub bytes_per_row: f64,
    /// Rows of a batch that a GPU is asked for at once.
    pub rows: usize,
    /// Makes the work for so many rows, from a seed.
    pub open: Open,
}

/// How work is made.
pub type Open = fn(usize, u64) -> Result<Box<dyn Work>, TableError>;

/// A wide batch.
pub const BATCH: usize = 1 << 14;

/// Bytes of a row in a window table with every aggregate: a row in, an entry out, its head read and
/// written, and for each of three windows eight sectors and seventeen features.
const EVERY_AGGREGATE: f64 = (20 + 40 + 2 * 64 + 3 * (8 * 32 + 17 * 4)) as f64;

/// The cases of the kernels in this crate.
pub const CASES: &[Case] = &[
    Case {
        kernel: "assemble",
        shape: "13 numbers, 26 categories",
        // Numbers and codes in, dense and sparse features out.
        bytes_per_row: (13 * 4 + 26 * 8 + 39 * 4) as f64,
        rows: BATCH,
        open: |rows, seed| AssembleWork::open((rows, seed), clicks()),
    },
    Case {
        kernel: "assemble",
        shape: "every kind of feature",
        bytes_per_row: (8 + 2 * 4 + 2 * 8 + 6 * 4 + 14 * 4 + 6 * 4) as f64,
        rows: BATCH,
        open: |rows, seed| AssembleWork::open((rows, seed), everything()),
    },
    Case {
        kernel: "decode_json",
        shape: "clicks: 13 numbers, 26 categories, by warps",
        bytes_per_row: records::JSON_CLICK_BYTES,
        rows: BATCH,
        open: |rows, seed| records::open_json_clicks((rows, seed), Form::ByWarp),
    },
    Case {
        kernel: "decode_json",
        shape: "clicks: 13 numbers, 26 categories, by threads",
        bytes_per_row: records::JSON_CLICK_BYTES,
        rows: BATCH,
        open: |rows, seed| records::open_json_clicks((rows, seed), Form::ByThread),
    },
    Case {
        kernel: "decode_json",
        shape: "payments: texts and times, some hard, by warps",
        bytes_per_row: records::PAYMENT_BYTES,
        rows: BATCH,
        open: |rows, seed| records::open_payments((rows, seed), Form::ByWarp),
    },
    Case {
        kernel: "decode_json",
        shape: "payments: texts and times, some hard, by threads",
        bytes_per_row: records::PAYMENT_BYTES,
        rows: BATCH,
        open: |rows, seed| records::open_payments((rows, seed), Form::ByThread),
    },
    Case {
        kernel: "decode_binary",
        shape: "clicks: 13 numbers, 26 categories",
        bytes_per_row: records::BINARY_CLICK_BYTES,
        rows: BATCH,
        open: |rows, seed| records::open_binary_clicks((rows, seed)),
    },
    Case {
        kernel: "moments",
        shape: "13 columns",
        // Values in twice, out once; the copy that makes them raw again, too.
        bytes_per_row: (13 * 4 * 5) as f64,
        rows: BATCH,
        open: |rows, seed| MomentsWork::open(rows, seed),
    },
    Case {
        kernel: "moments",
        shape: "13 numbers, made and scaled at once",
        // Columns in twice, features out.
        bytes_per_row: (13 * 4 * 3) as f64,
        rows: BATCH,
        open: |rows, seed| ScaledWork::open((rows, seed), true),
    },
    Case {
        kernel: "moments",
        shape: "13 numbers, made, then scaled",
        // The floor is that of the task: this way moves two thirds more.
        bytes_per_row: (13 * 4 * 3) as f64,
        rows: BATCH,
        open: |rows, seed| ScaledWork::open((rows, seed), false),
    },
    Case {
        kernel: "repair",
        shape: "13 columns, missing to the mean",
        bytes_per_row: (13 * 4 * 5) as f64,
        rows: BATCH,
        open: |rows, seed| RepairWork::open((rows, seed), [Outliers::Keep; 13]),
    },
    Case {
        kernel: "repair",
        shape: "2 columns, outliers clipped, row by row",
        bytes_per_row: (2 * 4 * 5) as f64,
        rows: BATCH,
        open: |rows, seed| {
            let rules = [Outliers::Sigma(3.0), Outliers::Quantiles(0.05, 0.95)];
            RepairWork::open((rows, seed), rules)
        },
    },
    Case {
        kernel: "tally",
        shape: "log loss and calibration",
        bytes_per_row: 8.0,
        rows: BATCH,
        open: |rows, seed| TallyWork::open(rows, seed),
    },
    Case {
        kernel: "window",
        shape: "7 keys, 6 windows each: count, mean",
        // A key: its code and value in, an entry out, its head read and written, and for each of
        // six windows a sector of times, one of values, one of totals and two features.
        bytes_per_row: (7 * (12 + 24 + 2 * 64 + 6 * (3 * 32 + 2 * 4))) as f64,
        rows: BATCH,
        open: |rows, seed| WindowWork::open((rows, seed), windows::WIDE),
    },
    Case {
        kernel: "window",
        shape: "2 keys and labels, every aggregate, late rows",
        bytes_per_row: 3.0 * EVERY_AGGREGATE,
        rows: BATCH,
        open: |rows, seed| WindowWork::open((rows, seed), windows::EVERYTHING),
    },
    Case {
        kernel: "window",
        shape: "the same, in order by many small blocks",
        bytes_per_row: 3.0 * EVERY_AGGREGATE,
        rows: BATCH,
        open: |rows, seed| WindowWork::open((rows, seed), windows::MANY_BLOCKS),
    },
    Case {
        kernel: "window",
        shape: "the same, most keys on the host",
        // What moves to and fro is not counted.
        bytes_per_row: 3.0 * EVERY_AGGREGATE,
        rows: BATCH,
        open: |rows, seed| WindowWork::open((rows, seed), windows::COLD),
    },
    Case {
        kernel: "window",
        shape: "a key that a third of the rows have, every aggregate, windows of an hour",
        bytes_per_row: 2.0 * EVERY_AGGREGATE,
        rows: BATCH,
        open: |rows, seed| WindowWork::open((rows, seed), windows::BUSY),
    },
    Case {
        kernel: "window",
        shape: "a key that most rows have, from two sources in turns, labels, every aggregate",
        bytes_per_row: 2.0 * EVERY_AGGREGATE,
        rows: BATCH,
        open: |rows, seed| WindowWork::open((rows, seed), windows::TURNS),
    },
    Case {
        kernel: "window",
        shape: "a key that most rows have, batches that overlap, labels, every aggregate",
        bytes_per_row: 2.0 * EVERY_AGGREGATE,
        rows: BATCH,
        open: |rows, seed| WindowWork::open((rows, seed), windows::OVERLAP),
    },
];

/// As many cases of a property test, times what the environment has in `PELTON_CASES_TIMES`
/// (`scripts/hunt`).
///
/// # Panics
/// Where that is no number.
#[must_use]
pub fn scaled(cases: u32) -> u32 {
    let times = std::env::var("PELTON_CASES_TIMES").map_or(1, |times| {
        times.parse().expect("PELTON_CASES_TIMES is how many times as many cases are tried")
    });
    cases.saturating_mul(times)
}

/// Numbers drawn from a seed.
#[derive(Clone, Copy, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Draw {
        Draw(mix64(seed ^ 0x5eed))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.0)
    }

    /// In `0..1`.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    /// As numbers of a stream are: most small, some large, both signs.
    pub fn number(&mut self) -> f32 {
        let (size, sign) = (self.unit(), self.unit());
        size / (1.001 - size) * (sign - 0.3)
    }
}

/// What was brought to a GPU.
fn brought<T>(there: &mut Option<T>) -> &mut T {
    there.as_mut().expect("work is brought to a GPU before it is done there")
}

fn read<T: Plain>(stream: &Stream, buffer: &Buffer<T>, zero: T) -> Result<Vec<T>, TableError> {
    let mut values = vec![zero; buffer.len()];
    stream.read(buffer, &mut values)?;
    Ok(values)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect()
}

fn written(write: impl FnOnce(&mut StateWriter<'_>) -> std::io::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut StateWriter::new(&mut bytes)).expect("a vector takes all bytes");
    bytes
}

fn pinned<T: Plain>(stream: &Stream, values: &[T]) -> Result<Pinned<T>, TableError> {
    let device = Device::Gpu(stream.gpu().clone());
    let mut pinned = Pinned::new(&device, values.len(), Pinning::Both)?;
    pinned.copy_from_slice(values);
    Ok(pinned)
}
