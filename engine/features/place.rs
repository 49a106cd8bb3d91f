//! Where features are assembled and standardised, and where windows and running moments live: here,
//! or on a GPU.
//!
//! Both do the same operations in the same order: the same features, and the same bytes of state.
//! On a GPU a small batch can go as one launch ([`RecordedBatch`]); whether it does is measured
//! (`place/path.rs`). By either way a model that scores there does so behind the features, and the
//! wait for those is one for the scores.

mod path;
mod there;

use std::io::{self, Read, Write};
use std::time::Instant;

use pelton_kernels::assemble::device::Assembler;
use pelton_kernels::assemble::{AssembleSpec, Columns};
use pelton_kernels::coordinate::device::{RowBuffers, Scorer};
use pelton_kernels::device::{Buffer, Device, Pinned, Stream};
use pelton_kernels::moments::device::DeviceMoments;
use pelton_kernels::moments::{Moments, MomentsSpec};
use pelton_kernels::recorded::RecordedBatch;
use pelton_kernels::window::device::{DeviceWindows, Labels, TableColumns};
use pelton_kernels::window::{TableSpec, WindowTable};

use crate::config::Config;
use crate::error::Error;
use crate::ring::Slot;

use super::plan::Plan;
pub use path::Way;
use there::There;

/// Rows of the batches that are small, by shape.
const SHAPES: [usize; 3] = [64, 256, 1024];

/// The place where features are made.
pub(super) enum Place {
    /// The CPU.
    Here(Box<Here>),
    /// A GPU.
    There(Box<There>),
}

pub(super) struct Here {
    spec: AssembleSpec,
    moments: Option<Moments>,
    dense: Vec<f32>,
    sparse: Vec<u32>,
}

impl Place {
    /// The place on this device, with the window tables that are kept there.
    pub fn on(
        device: &Device,
        config: &Config,
        plan: &Plan,
        tables: Vec<(TableSpec, TableColumns)>,
    ) -> Result<Place, Error> {
        let spec = plan.assembly(&config.features.time_zone);
        let clip = config.features.clip_sigma;
        let moments_spec = MomentsSpec { clip, ..MomentsSpec::new(plan.width()) };
        let is_scaled = config.scales_rows();
        let moments = is_scaled.then(|| Moments::new(moments_spec)).transpose()?;
        let Device::Gpu(gpu) = device else {
            let (dense, sparse) = (Vec::new(), Vec::new());
            return Ok(Place::Here(Box::new(Here { spec, moments, dense, sparse })));
        };
        let stream = Stream::new(gpu)?;
        let schema = &config.event.schema;
        let moments = moments.map(|moments| DeviceMoments::new(&stream, &moments)).transpose()?;
        Ok(Place::There(Box::new(There {
            widths: [schema.numbers.len(), schema.categories.len(), plan.given_width()],
            outputs: config.model.task.outputs(),
            columns: None,
            assembler: Assembler::new(&stream, &spec)?,
            moments,
            moments_spec,
            has_known: tables.len() < plan.event_tables.len() + plan.label_tables.len(),
            windows: DeviceWindows::new(&stream, tables)?,
            rows: RowBuffers::new(gpu, plan.width(), plan.sparse.len())?,
            dense: Pinned::ordinary(0),
            sparse: Pinned::ordinary(0),
            scores: (Buffer::new(gpu, 0)?, Pinned::ordinary(0)),
            is_scored: false,
            small: [const { None }; SHAPES.len()],
            paths: Default::default(),
            began: Instant::now(),
            goes_small: None,
            stream,
        })))
    }

    /// Sends the columns of the batch on their way.
    pub fn begin(&mut self, slot: &mut Slot) -> Result<(), Error> {
        match self {
            Place::Here(_) => Ok(()),
            Place::There(there) => there.begin(slot),
        }
    }

    /// Room for the labels that enter table `index` of those on a GPU; none without one.
    pub fn labels(&mut self, index: usize, count: usize) -> Result<Option<&mut Labels>, Error> {
        match self {
            Place::Here(_) => Ok(None),
            Place::There(there) => Ok(Some(there.windows.labels(&there.stream, index, count)?)),
        }
    }

    /// A table that cannot be kept on the GPU through this batch, and its number there; those
    /// behind it move up.
    pub fn leaving(&mut self, slot: &Slot) -> Result<Option<(usize, WindowTable)>, Error> {
        let Place::There(there) = self else { return Ok(None) };
        let batch = columns_of(slot);
        let Some(index) = there.windows.prepare(&there.stream, &batch)? else { return Ok(None) };
        there.has_known = true;
        let table = there.windows.take_home(&there.stream, index);
        let failed = |source| Error::State { section: "windows".to_owned(), source };
        Ok(Some((index, table.map_err(failed)?)))
    }

    /// The window tables on a GPU.
    pub fn windows(&self) -> Option<&DeviceWindows> {
        match self {
            Place::Here(_) => None,
            Place::There(there) => Some(&there.windows),
        }
    }

    /// Writes a window table that is on a GPU.
    pub fn write_windows(&self, index: usize, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Place::Here(_) => Ok(()),
            Place::There(there) => there.windows.write_state(&there.stream, index, out),
        }
    }

    /// Lets table `index` of those on a GPU be `read`. Where the GPU has no memory for it, it is
    /// not there any more, and those behind it move up: false.
    pub fn take_in(&mut self, index: usize, read: &WindowTable) -> io::Result<bool> {
        let Place::There(there) = self else { return Ok(false) };
        let is_in = there.windows.take_in(&there.stream, index, read)?;
        if !is_in {
            there.has_known = true;
            there.windows.let_go(&there.stream, index).map_err(io::Error::other)?;
        }
        Ok(is_in)
    }

    /// Makes the features of the batch, and its scores where something scores there; `given` has
    /// the aggregates of the windows that are kept here, and gets those of the others.
    pub fn make(
        &mut self,
        slot: &Slot,
        given: &mut Pinned<f32>,
        scorer: Option<&dyn Scorer>,
    ) -> Result<(), Error> {
        match self {
            Place::Here(here) => here.make(slot, given),
            Place::There(there) => there.make(slot, given, scorer),
        }
    }

    /// Scores of the batch last made, where something scored it.
    pub fn scores(&self) -> Option<&[f32]> {
        match self {
            Place::Here(_) => None,
            Place::There(there) => match there.small() {
                Some(small) => small.scores(),
                None => there.is_scored.then_some(&there.scores.1),
            },
        }
    }

    /// Sends every batch that is small enough this way, whatever it costs.
    pub fn go(&mut self, way: Way) {
        if let Place::There(there) = self {
            there.paths.iter_mut().for_each(|path| path.fix(way));
        }
    }

    /// Dense and sparse features of the batch last made, or longer.
    pub fn features(&self) -> (&[f32], &[u32]) {
        match self {
            Place::Here(here) => (&here.dense, &here.sparse),
            Place::There(there) => match there.small() {
                Some(small) => small.features(),
                None => (&there.dense, &there.sparse),
            },
        }
    }

    /// The same in the memory of a GPU.
    pub fn features_there(&self) -> Option<&RowBuffers> {
        match self {
            Place::Here(_) => None,
            Place::There(there) => {
                Some(there.small().map_or(&there.rows, RecordedBatch::features_there))
            }
        }
    }

    /// The running moments, where they are here.
    pub fn moments(&self) -> Option<&Moments> {
        match self {
            Place::Here(here) => here.moments.as_ref(),
            Place::There(_) => None,
        }
    }

    /// Whether columns are standardised.
    pub fn has_moments(&self) -> bool {
        match self {
            Place::Here(here) => here.moments.is_some(),
            Place::There(there) => there.moments.is_some(),
        }
    }

    /// Writes the running moments.
    pub fn write_moments(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Place::Here(here) => here.moments.as_ref().map_or(Ok(()), |own| own.write_state(out)),
            Place::There(there) => there.write_moments(out),
        }
    }

    /// Reads them back.
    pub fn read_moments(&mut self, from: &mut dyn Read) -> io::Result<()> {
        match self {
            Place::Here(here) => here.moments.as_mut().map_or(Ok(()), |own| {
                *own = Moments::read_state(*own.spec(), from)?;
                Ok(())
            }),
            Place::There(there) => there.read_moments(from),
        }
    }
}

/// The columns of a batch, with nothing given.
fn columns_of(slot: &Slot) -> Columns<'_> {
    Columns {
        rows: slot.rows,
        stride: slot.rows_max(),
        times_ms: &slot.times_ms,
        numbers: slot.numbers.values(),
        categories: slot.categories.values(),
        given: &[],
    }
}

impl Here {
    fn make(&mut self, slot: &Slot, given: &[f32]) -> Result<(), Error> {
        let (width, sparse_width) = (self.spec.dense.len(), self.spec.sparse.len());
        self.dense.resize(slot.rows * width, 0.0);
        self.sparse.resize(slot.rows * sparse_width, 0);
        let given = &given[..slot.rows * self.spec.given_width()];
        let columns = Columns { given, ..columns_of(slot) };
        self.spec.run(&columns, (&mut self.dense, &mut self.sparse))?;
        if let Some(moments) = &mut self.moments {
            moments.standardize(&mut self.dense, width.max(1), 0)?;
        }
        Ok(())
    }
}
