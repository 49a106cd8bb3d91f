//! Sums over judged rows on a GPU, and the launch of `tally.cu`.

use super::calibration::{BINS, Bin};
use super::{Calibration, ExactSum, Tally};
use crate::KernelError;
use crate::coordinate::device::TableError;
use crate::device::{Argument, Buffer, DeviceError, Launch, Plain, Stream};

/// A tally on a GPU.
#[derive(Debug)]
pub struct DeviceTally {
    has_log_loss: bool,
    has_calibration: bool,
    cells: Buffer<Cells>,
}

/// As tally.cu declares it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Cells {
    counts: [i64; 4],
    sums: [[u64; 2]; 3],
    bins: [CellsOfBin; BINS],
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct CellsOfBin {
    rows: i64,
    positives: i64,
    scores: [u64; 2],
}

// SAFETY: numbers only, without padding: 560 and 32 bytes.
unsafe impl Plain for Cells {}
// SAFETY: as above.
unsafe impl Plain for CellsOfBin {}

fn words(sum: ExactSum) -> [u64; 2] {
    [sum.0 as u64, (sum.0 >> 64) as u64]
}

fn sum([low, high]: [u64; 2]) -> ExactSum {
    ExactSum((u128::from(low) | u128::from(high) << 64) as i128)
}

impl DeviceTally {
    /// The sums of `here`, on a GPU.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(stream: &Stream, here: &Tally) -> Result<DeviceTally, DeviceError> {
        let log_loss = here.log_loss.unwrap_or_default();
        let of_bins = here.calibration.clone().unwrap_or_default();
        let of_bin = |Bin { rows, positives, scores }: Bin| CellsOfBin {
            rows,
            positives,
            scores: words(scores),
        };
        let cells = Cells {
            counts: [here.rows, here.positives, here.predicted, here.agreed],
            sums: [here.scores, here.squares, log_loss].map(words),
            bins: of_bins.0.map(of_bin),
        };
        Ok(DeviceTally {
            has_log_loss: here.log_loss.is_some(),
            has_calibration: here.calibration.is_some(),
            cells: stream.buffer_of(&[cells])?,
        })
    }

    /// Adds judged rows, without waiting.
    ///
    /// # Shapes
    /// `scores` in `0..=1` and `labels`, 0 or 1: `[rows]` or longer.
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    pub fn add(
        &mut self,
        stream: &Stream,
        (scores, labels): (&Buffer<f32>, &Buffer<f32>),
        rows: usize,
    ) -> Result<(), TableError> {
        for (argument, given) in [("scores", scores.len()), ("labels", labels.len())] {
            if given < rows {
                let (kernel, expected) = ("tally", rows);
                return Err(KernelError::Shape { kernel, argument, expected, given }.into());
            }
        }
        if rows == 0 {
            return Ok(());
        }
        let addresses = [self.cells.address(), scores.address(), labels.address()];
        let rows_there = u32::try_from(rows).expect("a batch is below 2^32 rows");
        let [has_log_loss, has_calibration] =
            [self.has_log_loss, self.has_calibration].map(u32::from);
        let arguments = [
            Argument::of(&addresses[0]),
            Argument::of(&addresses[1]),
            Argument::of(&addresses[2]),
            Argument::of(&rows_there),
            Argument::of(&has_log_loss),
            Argument::of(&has_calibration),
        ];
        let launch = Launch::over("tally_binary", rows, 256);
        // SAFETY: the kernel's arguments; there are as many scores and labels.
        unsafe { stream.launch(launch, &arguments) }.map_err(TableError::from)
    }

    /// Reads the sums into a tally of the same parts; waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn fetch(&self, stream: &Stream, here: &mut Tally) -> Result<(), DeviceError> {
        let mut cells = [Cells::default()];
        stream.read(&self.cells, &mut cells)?;
        let [cells] = cells;
        [here.rows, here.positives, here.predicted, here.agreed] = cells.counts;
        let [scores, squares, log_loss] = cells.sums.map(sum);
        (here.scores, here.squares) = (scores, squares);
        here.log_loss = self.has_log_loss.then_some(log_loss);
        let of_bin = |cells: CellsOfBin| Bin {
            rows: cells.rows,
            positives: cells.positives,
            scores: sum(cells.scores),
        };
        here.calibration = self.has_calibration.then(|| Calibration(cells.bins.map(of_bin)));
        Ok(())
    }
}
