//! Two batches under way on a GPU, on three streams.

use std::sync::Arc;

use pelton::error::Error;
use pelton::generate::clicks::{CATEGORIES, NUMBERS};
use pelton_kernels::assemble::device::{Assembler, ColumnBuffers, PinnedColumns};
use pelton_kernels::coordinate::device::{CoordinateTable, RowBuffers, Table};
use pelton_kernels::device::{Buffer, Device, Event, Gpu, Pinned, Pinning, Stream};
use pelton_kernels::moments::device::DeviceMoments;
use pelton_kernels::moments::{Moments, MomentsSpec};
use pelton_models::linear::table_spec;

use super::{Slot, assembly, digest_of, model};

/// What the way of a batch shares with that of the next.
pub struct Lanes {
    up: Stream,
    compute: Stream,
    down: Stream,
    assembler: Assembler,
    moments: DeviceMoments,
    is_fused: bool,
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
    fn new(stream: &Stream, rows: usize) -> Result<Lane, Error> {
        let gpu = stream.gpu();
        let device = Device::Gpu(Arc::clone(gpu));
        Ok(Lane {
            columns: ColumnBuffers::new(gpu, [NUMBERS, CATEGORIES, 0], rows)?,
            rows: RowBuffers::new(gpu, NUMBERS, CATEGORIES)?,
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
    /// Lanes for batches of so many rows; not fused: each kernel by itself, and two scores of a
    /// row.
    pub fn new(gpu: &Arc<Gpu>, rows: usize, is_fused: bool) -> Result<Lanes, Error> {
        let (compute, (config, shape)) = (Stream::new(gpu)?, model());
        let mut table = CoordinateTable::new(&compute, table_spec(&config, shape))?;
        if !is_fused {
            table.unfuse();
        }
        Ok(Lanes {
            up: Stream::new(gpu)?,
            down: Stream::new(gpu)?,
            assembler: Assembler::new(&compute, &assembly())?,
            moments: DeviceMoments::new(&compute, &Moments::new(MomentsSpec::new(NUMBERS))?)?,
            is_fused,
            table,
            lanes: [Lane::new(&compute, rows)?, Lane::new(&compute, rows)?],
            compute,
        })
    }

    /// Walks so many batches and waits for the last; the digest of their scores, where each is
    /// looked at before the next goes out.
    pub fn run(
        &mut self,
        slots: &mut [Slot],
        batches: usize,
        is_watched: bool,
    ) -> Result<Option<u64>, Error> {
        let mut digest = 0;
        for batch in 0..batches {
            let at = batch % self.lanes.len();
            self.give(at, &mut slots[batch % super::SLOTS])?;
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
        let Lanes { up, compute, down, assembler, moments, is_fused, table, lanes } = self;
        let (lane, rows) = (&mut lanes[at], slot.rows());
        up.after(&lane.learned)?;
        let Slot { times_ms, numbers, categories, labels, weights } = slot;
        lane.columns.give(up, PinnedColumns { times_ms, numbers, categories }, rows)?;
        up.record(&lane.columns_came)?;
        compute.after(&lane.columns_came)?;
        if *is_fused {
            moments.make(compute, (assembler, &lane.columns), &mut lane.rows)?;
        } else {
            assembler.run(compute, &lane.columns, &mut lane.rows)?;
            moments.standardize(compute, &mut lane.rows, 0)?;
        }
        lane.rows.label(up, labels, weights)?;
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
