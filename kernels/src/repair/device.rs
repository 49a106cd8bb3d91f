//! Repair of number columns on a GPU: what is known of each, and the launch of `repair.cu`.

use std::sync::Arc;

use super::quantiles::{BINS, Cursor, RunningQuantiles};
use super::{Outliers, Repair, RepairCounts, RepairSpec, RunningMoments};
use crate::KernelError;
use crate::coordinate::device::TableError;
use crate::device::{Argument, Buffer, DeviceError, Gpu, Launch, Plain, Stream};
use crate::fixed::device::Sums;

/// Threads of a column.
const THREADS: u32 = 256;

/// Number columns under repair, on a GPU. Their values come in order; imputation by the last value
/// of a key is the CPU's alone.
#[derive(Debug)]
pub struct DeviceRepair {
    columns: Buffer<Entry>,
    /// `[columns with quantiles, BINS]`.
    bins: Buffer<u64>,
}

/// As repair.cu declares it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Entry {
    sums: Sums,
    counts: [u64; 3],
    total: u64,
    cursors: [CursorThere; 2],
    bins: u64,
    numbers: [f32; 4],
    flags: [u32; 4],
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct CursorThere {
    fraction: f64,
    bin: u64,
    below: u64,
}

// SAFETY: numbers only, without padding: 184 and 24 bytes.
unsafe impl Plain for Entry {}
// SAFETY: as above.
unsafe impl Plain for CursorThere {}

impl CursorThere {
    fn of(cursor: &Cursor) -> CursorThere {
        let Cursor { fraction, bin, below } = *cursor;
        CursorThere { fraction, bin: bin as u64, below }
    }
}

impl Entry {
    fn of(repair: &Repair, bins: u64) -> Entry {
        let RepairSpec { range, clips_range, constant, outliers } = repair.spec;
        let RepairCounts { imputed, out_of_range, clipped } = repair.counts;
        let RunningMoments { count, sum, squares } = repair.moments;
        let (low, high) = range.unwrap_or_default();
        let (outliers, sigma) = match outliers {
            Outliers::Keep => (0, 0.0),
            Outliers::Sigma(sigma) => (1, sigma),
            Outliers::Quantiles(..) => (2, 0.0),
        };
        let (total, cursors) = match &repair.quantiles {
            Some(RunningQuantiles { total, low, high, .. }) => {
                (*total, [CursorThere::of(low), CursorThere::of(high)])
            }
            None => (0, [CursorThere::default(); 2]),
        };
        let is = |yes: bool| u32::from(yes);
        Entry {
            sums: Sums::new(count, sum, squares),
            counts: [imputed, out_of_range, clipped],
            total,
            cursors,
            bins,
            numbers: [low, high, constant.unwrap_or_default(), sigma],
            flags: [is(range.is_some()), is(clips_range), is(constant.is_some()), outliers],
        }
    }
}

impl DeviceRepair {
    /// The columns, with what is known of them.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(stream: &Stream, columns: &[Repair]) -> Result<DeviceRepair, DeviceError> {
        let gpu: &Arc<Gpu> = stream.gpu();
        let kept = columns.iter().filter_map(|repair| repair.quantiles.as_ref());
        let values: Vec<u64> =
            kept.flat_map(|quantiles| quantiles.bins().iter().copied()).collect();
        let mut bins = Buffer::new(gpu, values.len())?;
        stream.write(&mut bins, &values)?;
        let mut next = bins.address();
        let entries: Vec<Entry> = columns
            .iter()
            .map(|repair| {
                let own = if repair.has_quantiles() { next } else { 0 };
                next += if repair.has_quantiles() { 8 * BINS as u64 } else { 0 };
                Entry::of(repair, own)
            })
            .collect();
        Ok(DeviceRepair { columns: stream.buffer_of(&entries)?, bins })
    }

    /// Repairs the next rows of all columns where they lie, without waiting.
    ///
    /// # Shapes
    /// `numbers`: `[columns, stride]`; the first `rows` of each column are repaired.
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    pub fn run(
        &mut self,
        stream: &Stream,
        numbers: &mut Buffer<f32>,
        (stride, rows): (usize, usize),
    ) -> Result<(), TableError> {
        let equal = |argument, given: usize, expected: usize| match given == expected {
            true => Ok(()),
            false => Err(KernelError::Shape { kernel: "repair", argument, expected, given }),
        };
        equal("numbers", numbers.len(), self.columns.len() * stride)?;
        equal("rows", rows.min(stride), rows)?;
        if rows == 0 || self.columns.is_empty() {
            return Ok(());
        }
        let small = |value: usize| u32::try_from(value).expect("rows and columns are below 2^32");
        let launch = Launch {
            kernel: "repair_columns",
            blocks: small(self.columns.len()),
            threads: THREADS,
            shared_bytes: THREADS * small(size_of::<Sums>()),
        };
        let (columns, to) = (self.columns.address(), numbers.address());
        let [rows, stride] = [rows, stride].map(small);
        let arguments =
            [Argument::of(&columns), Argument::of(&to), Argument::of(&rows), Argument::of(&stride)];
        // SAFETY: the kernel's arguments; every column has `stride` values, by the check above, and
        // its bins where it keeps them.
        unsafe { stream.launch(launch, &arguments) }.map_err(TableError::from)
    }

    /// Reads what is known into columns of the same rules; waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    ///
    /// # Panics
    /// If they are of other rules.
    pub fn fetch(&self, stream: &Stream, columns: &mut [Repair]) -> Result<(), DeviceError> {
        let mut entries = vec![Entry::default(); self.columns.len()];
        stream.read(&self.columns, &mut entries)?;
        let mut bins = vec![0; self.bins.len()];
        stream.read(&self.bins, &mut bins)?;
        let mut bins = bins.chunks_exact(BINS);
        for (repair, entry) in columns.iter_mut().zip(entries) {
            let [imputed, out_of_range, clipped] = entry.counts;
            repair.counts = RepairCounts { imputed, out_of_range, clipped };
            let (count, sum, squares) = entry.sums.parts();
            repair.moments = RunningMoments { count, sum, squares };
            if let Some(quantiles) = &mut repair.quantiles {
                let own = bins.next().expect("the same columns keep quantiles").to_vec();
                quantiles.set_bins(own).expect("counts of values that were added one by one");
            }
        }
        Ok(())
    }
}
