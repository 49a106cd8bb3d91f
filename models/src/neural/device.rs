//! A network on a GPU: parameters, embeddings and what is remembered of them live there.
//!
//! Scores, learned numbers and saved bytes are those of the CPU, bit for bit, so that a checkpoint
//! moves between devices. What needs no number of the network stays here: which rows make a
//! mini-batch, what is learned again, the deviation of targets, and which index has which embedding
//! ([`crate::index_table`]): that is a clock in the order of the stream, a short list of changes
//! for each mini-batch, and it costs what it costs a CPU, a small part of learning. So learning is
//! given to the GPU without waiting for it, as a walk of many mini-batches at once
//! ([`pelton_kernels::network::Walk`]). Earlier states are those of [`crate::kept`]: copies as
//! bytes, and the rows since.
//!
//! Memory on the GPU is that of [`pelton_kernels::network::device`]. Where it does not suffice for
//! what a call may need, the call is refused before anything is learned.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use pelton_kernels::coordinate::device::{
    RowBuffers, RowsThere, Scorer, TableError, Task as DeviceTask,
};
use pelton_kernels::device::{Buffer, Device, DeviceError, Event, Gpu, Stream};
use pelton_kernels::network::device::{DeviceNetwork, NetworkState};
use pelton_kernels::network::{Lesson, NetworkSpec};

use super::plans::Walking;
use super::replay::REPLAYS;
use super::{Neural, NeuralConfig};
use crate::kept::Kept;
use crate::predictions::{Predictions, number};
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};

/// Rows of a walk that are scored or come to wait; few in tests, so that there are several walks.
const CHUNK: usize = if cfg!(test) { 150 } else { 1024 };

/// What lives on a GPU, and the way there.
pub(crate) struct There {
    /// Names it: another one has another number.
    number: u64,
    stream: Stream,
    /// Behind all that was given when somebody else wanted to score by it.
    given: Event,
    network: DeviceNetwork,
    rows: RowBuffers,
    predictions: Predictions,
    plan: Walking,
}

/// The same, for those who score by it as well as the one who learns.
pub(crate) struct Place(RefCell<There>);

/// The network as the kernels know it.
fn spec_of(config: &NeuralConfig, shape: FeatureShape, scale: f32) -> NetworkSpec {
    NetworkSpec {
        task: match config.task {
            Task::Binary => DeviceTask::Binary,
            Task::MultiClass { .. } => DeviceTask::Classes,
            Task::Regression => DeviceTask::Regression,
        },
        rule: config.optimizer,
        rate: config.rate(),
        dense: shape.dense_width,
        sparse: shape.sparse_width,
        factors: config.embedding,
        outputs: config.task.outputs(),
        hidden: config.hidden,
        is_deep: config.form == super::Form::Deep,
        scale,
        rows_max: config.rows_max(shape),
    }
}

impl There {
    /// Room for a network like `here` on a GPU.
    pub fn new(gpu: &Arc<Gpu>, here: &Neural) -> Result<There, ModelError> {
        let stream = Stream::new(gpu)?;
        let spec = spec_of(&here.config, here.shape, here.plan.scale());
        Ok(There {
            number: number(),
            given: stream.event()?,
            network: DeviceNetwork::new(&stream, spec)?,
            rows: RowBuffers::new(gpu, spec.dense, spec.sparse)?,
            predictions: Predictions::new(gpu)?,
            plan: Walking::default(),
            stream,
        })
    }

    /// Takes all that `here` has learned; its embeddings are given up there.
    pub fn send(&mut self, here: &mut Neural) -> Result<(), DeviceError> {
        let keys: Vec<u32> = here.embeddings.indices().collect();
        let mut residual = here.link.target_state().residual;
        let (numbers, squares) = here.embeddings.numbers_mut(keys.len());
        let state = NetworkState {
            parameters: &mut here.parameters,
            descent: &mut here.descent,
            residual: &mut residual,
            numbers,
            squares,
        };
        self.network.send(&self.stream, &state, &keys)?;
        here.embeddings.give_up_numbers();
        Ok(())
    }

    /// Reads what was learned there into `here`, which has the same table.
    fn fetch(&self, here: &mut Neural) -> Result<(), DeviceError> {
        let rows = here.embeddings.counts().0;
        let mut running = here.link.target_state();
        let (numbers, squares) = here.embeddings.numbers_mut(rows);
        let mut state = NetworkState {
            parameters: &mut here.parameters,
            descent: &mut here.descent,
            residual: &mut running.residual,
            numbers,
            squares,
        };
        self.network.fetch(&self.stream, &mut state)?;
        here.link.set_target_state(&running);
        Ok(())
    }

    /// Predictions of rows; of such that lie there already where `there` has them.
    fn score(
        &mut self,
        features: &Features<'_>,
        (there, unit): (Option<RowsThere<'_>>, [f64; 2]),
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let There { stream, network, rows, predictions, .. } = self;
        let rows = match there.filter(|rows| rows.is_on(stream.gpu())) {
            Some(rows) => rows,
            None => {
                rows.give(stream, (features.dense, features.sparse), features.rows, None)?;
                rows.all()
            }
        };
        network.score(stream, (rows, Some(unit)), predictions.room(out.len())?)?;
        Ok(predictions.read(stream, out)?)
    }

    /// Gives the GPU what was planned, of which these rows are scored where `out` takes it; waits
    /// for scores alone.
    fn go(&mut self, features: &Features<'_>, out: Option<&mut [f32]>) -> Result<(), ModelError> {
        let Some(out) = out else {
            let There { stream, network, plan, .. } = self;
            let given = network.walk(stream, &plan.walk, None);
            plan.clear();
            return Ok(given?);
        };
        let There { stream, network, rows, predictions, plan, .. } = self;
        let room = predictions.room(out.len())?;
        rows.give(stream, (features.dense, &plan.places), features.rows, None)?;
        let given = network.walk(stream, &plan.walk, Some((rows.all(), room)));
        plan.places.clear();
        plan.walk.clear();
        given?;
        predictions.read(stream, out)?;
        let outputs = out.len() / features.rows;
        for (link, out) in plan.links.drain(..).zip(out.chunks_exact_mut(outputs)) {
            link.predict(out);
        }
        Ok(())
    }
}

impl Neural {
    /// An untrained model on a device.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for a setting or shape outside its range; [`ModelError::Device`] when
    /// the network does not fit the device.
    pub fn on(
        device: &Device,
        config: NeuralConfig,
        shape: FeatureShape,
    ) -> Result<Neural, ModelError> {
        let mut own = Neural::new(config, shape)?;
        if let Device::Gpu(gpu) = device {
            let mut there = There::new(gpu, &own)?;
            there.send(&mut own)?;
            own.there = Some(Box::new(Place(RefCell::new(there))));
        }
        Ok(own)
    }

    /// This model on the CPU, where it lies on a device: all of it is copied.
    pub(super) fn fetched(&self) -> Result<Option<Neural>, DeviceError> {
        let Some(there) = &self.there else { return Ok(None) };
        let mut own = Neural {
            config: self.config,
            shape: self.shape,
            learned: self.learned,
            steps: self.steps,
            weights: self.weights,
            link: self.link.clone(),
            plan: self.plan.clone(),
            parameters: self.parameters.clone(),
            descent: self.descent.clone(),
            embeddings: self.embeddings.clone(),
            replay: self.replay.clone(),
            kept: Kept::new(self.shape, 0),
            gradient: Vec::new(),
            room: Cell::default(),
            there: None,
        };
        there.0.borrow().fetch(&mut own)?;
        Ok(Some(own))
    }

    /// Scores rows where the model lies on a device.
    pub(super) fn score_by(
        &self,
        there: &Place,
        (features, rows): (&Features<'_>, Option<RowsThere<'_>>),
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        if features.rows == 0 {
            return Ok(());
        }
        there.0.borrow_mut().score(features, (rows, self.link.target_unit()), out)
    }

    /// Makes room for learning so many rows where the model lies on a device: what fails behind it
    /// is lost for good.
    pub(super) fn reserve(&self, rows: usize) -> Result<(), DeviceError> {
        self.there.as_ref().map_or(Ok(()), |there| there.0.borrow_mut().reserve(self, rows))
    }

    /// Learns rows by a device, and scores each before it where `out` takes it.
    pub(super) fn learn_by(
        &mut self,
        mut there: Box<Place>,
        batch: &LabeledBatch<'_>,
        out: Option<&mut [f32]>,
    ) -> Result<LearnOutcome, ModelError> {
        let before = self.learned;
        let walked = self.walk(there.there(), batch, out);
        self.there = Some(there);
        let learned = self.learned - before;
        walked.map(|()| LearnOutcome { learned, refused: batch.features.rows as u64 - learned })
    }

    fn walk(
        &mut self,
        there: &mut There,
        batch: &LabeledBatch<'_>,
        mut out: Option<&mut [f32]>,
    ) -> Result<(), ModelError> {
        let (rows, outputs) = (batch.features.rows, self.outputs());
        let [dense, sparse] = [self.shape.dense_width, self.shape.sparse_width];
        for from in (0..rows).step_by(CHUNK) {
            let to = rows.min(from + CHUNK);
            for row in from..to {
                if out.is_some() {
                    let indices = &batch.features.sparse[row * sparse..][..sparse];
                    there.plan.score(row - from, indices, self);
                }
                if self.let_wait(batch, row) {
                    self.plan_pending(&mut there.plan);
                }
            }
            let features = Features {
                rows: to - from,
                dense: &batch.features.dense[from * dense..to * dense],
                sparse: &batch.features.sparse[from * sparse..to * sparse],
                notes: &[],
            };
            let out = out.as_deref_mut().map(|out| &mut out[from * outputs..to * outputs]);
            there.go(&features, out)?;
        }
        Ok(())
    }

    /// Plans the mini-batch that is whole: what [`Neural::learn_pending`] does here.
    fn plan_pending(&mut self, plan: &mut Walking) {
        let pending = self.take_pending();
        plan.walk.open(pending.offset, &pending.biases);
        for row in (0..pending.rows.len()).map(|at| pending.rows.row(at)) {
            plan.seat(row, self);
            let target = match self.config.task {
                Task::Regression => self.link.target(row.label),
                _ => row.label,
            };
            plan.walk.lesson(&Lesson {
                dense: row.dense,
                places: &plan.own,
                begins: &plan.begins,
                target,
                share: pending.share(row),
            });
        }
        plan.walk.close();
        self.give_back(pending);
    }
}

impl Place {
    /// For the one who changes it.
    pub fn there(&mut self) -> &mut There {
        self.0.get_mut()
    }

    /// Predictions, as the kernels that are tried have to give them.
    pub fn score_on(
        &self,
        stream: &Stream,
        (rows, unit): (RowsThere<'_>, [f64; 2]),
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        self.0.borrow().network.score(stream, (rows, Some(unit)), predictions)
    }
}

/// Learning is given without waiting: who scores by the network begins behind it.
impl Scorer for Place {
    fn outputs(&self) -> usize {
        self.0.borrow().network.spec().outputs
    }

    fn place(&self) -> [u64; 2] {
        let own = self.0.borrow();
        [own.number, own.network.moves()]
    }

    fn ready(&self, stream: &Stream) -> Result<(), DeviceError> {
        let own = self.0.borrow();
        own.stream.record(&own.given)?;
        stream.after(&own.given)
    }

    /// Of a regression, in the unit of the targets, which each label moves.
    fn give(
        &self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        self.0.borrow().network.score(stream, (rows, None), predictions)
    }
}

impl There {
    /// Makes room for learning so many rows, with all that may be learned beside them.
    fn reserve(&mut self, here: &Neural, rows: usize) -> Result<(), DeviceError> {
        let [waiting, waiting_max] = here.replay.waiting();
        let again = if here.config.replay_rows > 0 { 1 + REPLAYS } else { 1 };
        let chunk = rows.min(CHUNK);
        let lessons = (chunk + if rows > CHUNK { waiting_max } else { waiting }) * again;
        let begins = (rows + waiting) * again * here.shape.sparse_width;
        let (there, rows_max) = (here.embeddings.counts().0, self.network.spec().rows_max);
        let table = rows_max.min(there + begins);
        self.rows.reserve(chunk)?;
        self.predictions.room(chunk * here.config.task.outputs())?;
        self.network.reserve(&self.stream, table, [lessons, chunk])
    }
}
