//! The place on a GPU: the two ways of a batch, wide and as one launch.

use std::io::{self, Read, Write};
use std::time::Instant;

use pelton_kernels::assemble::device::{Assembler, ColumnBuffers, PinnedColumns};
use pelton_kernels::coordinate::device::{RowBuffers, Scorer};
use pelton_kernels::device::{Buffer, Device, Pinned, Pinning, Stream};
use pelton_kernels::moments::device::DeviceMoments;
use pelton_kernels::moments::{Moments, MomentsSpec};
use pelton_kernels::recorded::{Makers, RecordedBatch};
use pelton_kernels::window::device::DeviceWindows;

use super::path::{Path, Way};
use super::{SHAPES, columns_of};
use crate::error::Error;
use crate::ring::Slot;

pub(in crate::features) struct There {
    pub(super) stream: Stream,
    /// Of numbers, categories and what is given.
    pub(super) widths: [usize; 3],
    /// Scores of a row.
    pub(super) outputs: usize,
    /// Made for the first batch, which tells how many rows there can be.
    pub(super) columns: Option<ColumnBuffers>,
    pub(super) assembler: Assembler,
    pub(super) moments: Option<DeviceMoments>,
    /// Of the same kind as those there: the form in which they are saved.
    pub(super) moments_spec: MomentsSpec,
    pub(super) windows: DeviceWindows,
    /// Whether some of what is given comes from tables here.
    pub(super) has_known: bool,
    pub(super) rows: RowBuffers,
    pub(super) dense: Pinned<f32>,
    pub(super) sparse: Pinned<u32>,
    /// Scores of the batch last made, where something scored it; on both sides.
    pub(super) scores: (Buffer<f32>, Pinned<f32>),
    pub(super) is_scored: bool,
    /// By shape.
    pub(super) small: [Option<RecordedBatch>; SHAPES.len()],
    pub(super) paths: [Path; SHAPES.len()],
    /// When the batch was begun.
    pub(super) began: Instant,
    /// The batch goes as one launch, of this shape.
    pub(super) goes_small: Option<usize>,
}

impl There {
    pub(super) fn begin(&mut self, slot: &mut Slot) -> Result<(), Error> {
        let shape = SHAPES.iter().position(|&most| slot.rows <= most);
        self.goes_small = shape.filter(|&shape| self.paths[shape].choose() == Way::Recorded);
        self.began = Instant::now();
        if self.goes_small.is_some() {
            return Ok(());
        }
        self.send(slot)
    }

    /// Sends the columns of the batch on their way, as they lie in the slot.
    fn send(&mut self, slot: &mut Slot) -> Result<(), Error> {
        let rows_max = slot.rows_max();
        let columns = match &mut self.columns {
            Some(columns) if columns.rows_max() == rows_max => columns,
            columns => {
                let gpu = self.stream.gpu();
                let room = ColumnBuffers::new(gpu, self.widths, rows_max)?;
                let (device, rows) = (Device::Gpu(gpu.clone()), &self.rows);
                let made = [rows.dense_width(), rows.sparse_width()].map(|width| width * rows_max);
                self.dense = Pinned::new(&device, made[0], Pinning::Both)?;
                self.sparse = Pinned::new(&device, made[1], Pinning::Both)?;
                columns.insert(room)
            }
        };
        let pinned = PinnedColumns {
            times_ms: &mut slot.times_ms,
            numbers: slot.numbers.memory(),
            categories: slot.categories.memory(),
        };
        Ok(columns.give(&self.stream, pinned, slot.rows)?)
    }

    pub(super) fn make(
        &mut self,
        slot: &Slot,
        given: &mut Pinned<f32>,
        scorer: Option<&dyn Scorer>,
    ) -> Result<(), Error> {
        match self.goes_small {
            Some(shape) => self.make_small(shape, slot, given, scorer),
            None => self.make_wide(given, scorer),
        }?;
        if let Some(shape) = SHAPES.iter().position(|&most| slot.rows <= most) {
            let way = if self.goes_small.is_some() { Way::Recorded } else { Way::Wide };
            self.paths[shape].note(way, self.began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    fn make_small(
        &mut self,
        shape: usize,
        slot: &Slot,
        given: &mut Pinned<f32>,
        scorer: Option<&dyn Scorer>,
    ) -> Result<(), Error> {
        let There { stream, assembler, windows, moments, small, widths, rows, .. } = self;
        let (outputs, has_known) = (self.outputs, self.has_known);
        let small = match &mut small[shape] {
            Some(small) => small,
            none => {
                let made = [rows.dense_width(), rows.sparse_width(), outputs];
                none.insert(RecordedBatch::new(stream, SHAPES[shape], *widths, made)?)
            }
        };
        let moments = moments.as_mut();
        let makers = Makers { stream, assembler, windows, moments, has_known, scorer };
        let columns = columns_of(slot);
        Ok(small.make(makers, &columns, &mut given[..slot.rows * widths[2]])?)
    }

    fn make_wide(
        &mut self,
        given: &mut Pinned<f32>,
        scorer: Option<&dyn Scorer>,
    ) -> Result<(), Error> {
        let There { stream, columns, assembler, windows, moments, rows, dense, sparse, .. } = self;
        let columns = columns.as_mut().expect("a batch is begun before its features are made");
        if self.has_known {
            columns.give_known(stream, given)?;
        }
        windows.run(stream, columns)?;
        match moments {
            Some(moments) => moments.make(stream, (assembler, columns), rows)?,
            None => assembler.run(stream, columns, rows)?,
        }
        rows.download(stream, dense, sparse)?;
        if !windows.is_empty() {
            columns.take_known(stream, given)?;
        }
        self.is_scored = scorer.is_some() && rows.count() > 0;
        if let Some(scorer) = scorer.filter(|_| rows.count() > 0) {
            let (there, here) = &mut self.scores;
            let length = rows.count() * self.outputs;
            there.reserve(length)?;
            if here.len() < length {
                let device = Device::Gpu(stream.gpu().clone());
                *here = Pinned::new(&device, length.next_power_of_two(), Pinning::Both)?;
            }
            scorer.ready(stream)?;
            scorer.give(stream, rows.all(), there)?;
            stream.download((here, 0), (there, 0), length)?;
        }
        // Whoever reads them waits for the copies; a failure has to be seen here.
        stream.wait()?;
        Ok(windows.look()?)
    }

    /// The way that the batch went, where it was one launch.
    pub(super) fn small(&self) -> Option<&RecordedBatch> {
        self.goes_small.and_then(|shape| self.small[shape].as_ref())
    }

    pub(super) fn write_moments(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(there) = &self.moments else { return Ok(()) };
        let mut moments = Moments::new(self.moments_spec).map_err(io::Error::other)?;
        there.fetch(&self.stream, &mut moments).map_err(io::Error::other)?;
        moments.write_state(out)
    }

    pub(super) fn read_moments(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let Some(there) = &mut self.moments else { return Ok(()) };
        let moments = Moments::read_state(self.moments_spec, from)?;
        there.send(&self.stream, &moments).map_err(io::Error::other)
    }
}
