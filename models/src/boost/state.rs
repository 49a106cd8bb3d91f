//! Boosted trees as bytes. Codes and margins of the sample are not written: they follow from the
//! sample and the trees, to the bit.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::bins::{BINS, Bins};
use super::generation::{Generation, Growing};
use super::tree::Split;
use super::{Boost, BoostConfig};
use crate::{FeatureShape, Task};

/// No list here can be longer.
const LENGTH_MAX: usize = 1 << 32;

/// Which model a state is of.
fn header(config: &BoostConfig, shape: FeatureShape) -> [u64; 10] {
    let task = match config.task {
        Task::Binary => 0_u64,
        Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
        Task::Regression => 2,
    };
    let bits = |high: f32, low: f32| u64::from(high.to_bits()) << 32 | u64::from(low.to_bits());
    [
        u64::from_le_bytes(*b"boost--2"),
        task,
        config.sample_rows as u64,
        (config.rounds as u64) << 32 | config.depth as u64,
        bits(config.rate, config.lambda),
        bits(config.hessian_min, config.rows_share),
        config.period_labels,
        config.generations as u64,
        shape.dense_width as u64,
        (shape.sparse_width as u64) << 8 | u64::from(shape.sparse_bits),
    ]
}

impl Boost {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&header(&self.config, self.shape))?;
        state.put(self.learned)?;
        self.memory.write(state)?;
        let sample = &self.sample;
        state.list(&sample.labels)?;
        state.slice(&sample.rows)?;
        state.slice(&sample.weights)?;
        state.slice(&sample.kinds)?;
        state.put(sample.draws)?;
        state.each(sample.strata.iter().map(|stratum| stratum.seen))?;
        state.length(self.serving.len())?;
        self.serving.iter().try_for_each(|generation| write_generation(generation, state))?;
        state.put(u8::from(self.growing.is_some()))?;
        let Some(growing) = &self.growing else { return Ok(()) };
        state.slice(&[growing.began, growing.period])?;
        write_generation(&growing.generation, state)
    }

    /// Reads into an untrained model.
    pub(super) fn read(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        let header = header(&self.config, self.shape);
        state.expect(&header, "the model had another shape, task or settings")?;
        self.learned = state.get()?;
        self.memory.read(state)?;
        let width = self.width;
        let sample = &mut self.sample;
        sample.labels = state.list(LENGTH_MAX)?;
        let rows = sample.labels.len();
        if rows > self.config.sample_rows.max(sample.strata.len()) {
            return Err(invalid("a sample is larger than it can be"));
        }
        sample.rows = state.numbers(rows * width)?;
        sample.weights = state.numbers(rows)?;
        sample.kinds = state.numbers(rows)?;
        sample.draws = state.get()?;
        for (place, kind) in sample.kinds.iter().enumerate() {
            let stratum = sample.strata.get_mut(*kind as usize);
            stratum.ok_or_else(|| invalid("a row is of no kind"))?.places.push(place as u32);
        }
        for stratum in &mut sample.strata {
            stratum.seen = state.get()?;
        }
        for _ in 0..state.length(self.config.generations)? {
            self.serving.push_back(read_generation(state, &self.config, width)?);
        }
        if state.get::<u8>()? == 0 {
            return Ok(());
        }
        let [began, period] = state.get()?;
        let generation = read_generation(state, &self.config, width)?;
        if began > self.learned || period == 0 {
            return Err(invalid("a generation began behind the last label"));
        }
        self.growing = Some(Growing::of(generation, &self.sample, width, (began, period)));
        Ok(())
    }
}

fn write_generation(generation: &Generation, state: &mut StateWriter<'_>) -> io::Result<()> {
    state.slice(&generation.base)?;
    state.put(generation.scale)?;
    generation.bins.edges().iter().try_for_each(|edges| state.list(edges))?;
    state.list(&generation.leaves)?;
    state.slice(&generation.inner)?;
    state.each(generation.splits.iter().map(|split| split.0))
}

fn read_generation(
    state: &mut StateReader<'_>,
    config: &BoostConfig,
    width: usize,
) -> io::Result<Generation> {
    let (outputs, depth) = (config.task.outputs(), config.depth);
    let base = state.numbers(outputs)?;
    let scale = state.get()?;
    let edges = (0..width).map(|_| state.list(BINS)).collect::<io::Result<_>>()?;
    let leaves: Vec<f32> = state.list(LENGTH_MAX)?;
    let trees = leaves.len() >> depth;
    if leaves.len() != trees << depth || !trees.is_multiple_of(outputs) {
        return Err(invalid("a round lacks trees"));
    }
    let inner = state.numbers(trees << depth)?;
    let splits = state.numbers::<u32>(inner.len())?;
    let splits: Vec<Split> = splits.into_iter().map(Split).collect();
    if splits.iter().any(|split| *split != Split::NONE && split.column() >= width) {
        return Err(invalid("a tree looks at a column that is not there"));
    }
    Ok(Generation { bins: Bins::with_edges(edges), base, scale, depth, splits, leaves, inner })
}
