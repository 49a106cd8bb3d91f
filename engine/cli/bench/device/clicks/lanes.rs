//! Two batches under way on a GPU, on three streams.

use std::sync::Arc;

use pelton::error::Error;
use pelton::generate::clicks::{CATEGORIES, NUMBERS};
use pelton_kernels::assemble::device::{Assembler, ColumnBuffers, PinnedColumns};
use pelton_kernels::coordinate::device::{CoordinateTable, RowBuffers, Table};
use pelton_kernels::device::{Buffer, Device, Event, Gpu, Pinned, Pinning, Stream};
use pelton_kernels::moments::device::DeviceMoments;
use pelton_kernels::moments::{Moments, MomentsSpec};
use pelton_kernels::window::device::DeviceWindows;
use pelton_models::linear::table_spec;

use super::windows::{self, GIVEN, dense_width, specs};
use super::{Slot, assembly, digest_of, model};
use crate::cli::usage;

/// How batches go.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Else each kernel goes by itself, with two scores of a row.
    pub is_fused: bool,
    /// Whether windows are among the features.
    pub has_windows: bool,
}

/// What the way of a batch shares with that of the next.
pub struct Lanes {
    up: Stream,
    compute: Stream,
    down: Stream,
    assembler: Assembler,
    moments: DeviceMoments,
    is_fused: bool,
    windows: Option<DeviceWindows>,
    table: CoordinateTable,
    lanes: [Lane; 2],
}

/// The room of one batch.
struct Lane {
    columns: ColumnBuffers,
    rows: RowBuffers,
    scores: Buffer<f32>,
    scores_here: Pinned<f32>,
    columns_came: Event,
    labels_came: Event,
    scored: Event,
    learned: Event,
    left: Event,
}

impl Lane {
    fn new(stream: &Stream, rows: usize, has_windows: bool) -> Result<Lane, Error> {
        let gpu = stream.gpu();
        let device = Device::Gpu(Arc::clone(gpu));
        let given = if has_windows { GIVEN } else { 0 };
        Ok(Lane {
            columns: ColumnBuffers::new(gpu, [NUMBERS, CATEGORIES, given], rows)?,
            rows: RowBuffers::new(gpu, dense_width(has_windows), CATEGORIES)?,
            scores: Buffer::new(gpu, rows)?,
            scores_here: Pinned::new(&device, rows, Pinning::Both)?,
            columns_came: stream.event()?,
            labels_came: stream.event()?,
            scored: stream.event()?,
            learned: stream.event()?,
            left: stream.event()?,
        })
    }
}

impl Lanes {
    /// Lanes for batches of so many rows.
    pub fn new(gpu: &Arc<Gpu>, rows: usize, kind: Kind) -> Result<Lanes, Error> {
        let Kind { is_fused, has_windows } = kind;
        let (compute, (config, shape)) = (Stream::new(gpu)?, model(has_windows));
        let windows = has_windows.then(|| DeviceWindows::new(&compute, specs())).transpose()?;
        let moments = Moments::new(MomentsSpec::new(shape.dense_width))?;
        let lane = || Lane::new(&compute, rows, has_windows);
        let mut table = CoordinateTable::new(&compute, table_spec(&config, shape))?;
        if !is_fused {
            table.unfuse();
        }
        Ok(Lanes {
            up: Stream::new(gpu)?,
            down: Stream::new(gpu)?,
            assembler: Assembler::new(&compute, &assembly(has_windows))?,
            moments: DeviceMoments::new(&compute, &moments)?,
            is_fused,
            table,
            windows,
            lanes: [lane()?, lane()?],
            compute,
        })
    }

    /// Walks so many batches and waits for the last; the digest of their scores, where each is
    /// looked at before the next goes out.
    pub fn run(
        &mut self,
        stream: &mut windows::Stream,
        batches: usize,
        is_watched: bool,
    ) -> Result<Option<u64>, Error> {
        let mut digest = 0;
        for batch in 0..batches {
            let at = batch % self.lanes.len();
            self.give(at, stream.next())?;
            if is_watched {
                self.down.wait()?;
                digest = digest_of(digest, &self.lanes[at].scores_here);
            }
        }
        self.compute.wait()?;
        self.down.wait()?;
        Ok(is_watched.then_some(digest))
    }

    /// Gives a batch to the streams. A lane is used again once what used it before is done.
    fn give(&mut self, at: usize, slot: &mut Slot) -> Result<(), Error> {
        let Lanes { up, compute, down, assembler, moments, is_fused, windows, table, lanes } = self;
        let (lane, rows) = (&mut lanes[at], slot.rows());
        up.after(&lane.learned)?;
        let Slot { times_ms, numbers, categories, .. } = slot;
        lane.columns.give(up, PinnedColumns { times_ms, numbers, categories }, rows)?;
        up.record(&lane.columns_came)?;
        compute.after(&lane.columns_came)?;
        if let Some(windows) = windows {
            give_windows(windows, compute, (lane, &*slot))?;
        }
        if *is_fused {
            moments.make(compute, (assembler, &lane.columns), &mut lane.rows)?;
        } else {
            assembler.run(compute, &lane.columns, &mut lane.rows)?;
            moments.standardize(compute, &mut lane.rows, 0)?;
        }
        lane.rows.label(up, &slot.labels, &slot.weights)?;
        up.record(&lane.labels_came)?;
        compute.after(&lane.left)?;
        if *is_fused {
            // Scored by the beginning of the step, which has the same weights.
            compute.after(&lane.labels_came)?;
            table.give_step(compute, lane.rows.all(), Some(&mut lane.scores))?;
            compute.record(&lane.scored)?;
        } else {
            table.score(compute, lane.rows.all(), &mut lane.scores)?;
            compute.record(&lane.scored)?;
            compute.after(&lane.labels_came)?;
            table.give_step(compute, lane.rows.all(), None)?;
        }
        compute.record(&lane.learned)?;
        down.after(&lane.scored)?;
        down.download((&mut lane.scores_here, 0), (&lane.scores, 0), rows)?;
        Ok(down.record(&lane.left)?)
    }
}

/// Gives the windows of a batch once it is known what the last one has left of their room.
fn give_windows(
    windows: &mut DeviceWindows,
    compute: &Stream,
    (lane, slot): (&mut Lane, &Slot),
) -> Result<(), Error> {
    compute.wait()?;
    windows.look()?;
    if windows.prepare(compute, &slot.columns(&[]))?.is_some() {
        return Err(usage("the windows do not fit the GPU", "measure on one with more memory"));
    }
    Ok(windows.run(compute, &mut lane.columns)?)
}
