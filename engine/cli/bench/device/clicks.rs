//! Score and learn clicks, from decoded columns in page-locked memory to the weights: features,
//! standardisation, scores and one step a batch, 13 numbers and 26 categories, 2^22 weights.
//!
//! On a GPU upload, compute and read-back have a stream each, in order by events, and two batches
//! are under way: while one is computed the next comes in and the scores of the last go out. Once
//! more with windows of seven keys among the features (`clicks/windows.rs`).

mod lanes;
mod small;
mod windows;

use std::sync::Arc;
use std::time::Instant;

use pelton::error::Error;
use pelton::generate::Generator;
use pelton::generate::clicks::{CATEGORIES, ClickGenerator, ClickRecord, ClickSpec, NUMBERS};
use pelton::schema::{Scalar, category};
use pelton_kernels::assemble::{AssembleSpec, Columns, Dense, Form, Sparse, SparseColumn};
use pelton_kernels::calendar::Calendar;
use pelton_kernels::device::{Device, EnergyMeter, Gpu, Pinned, Pinning};
use pelton_kernels::hash;
use pelton_kernels::moments::{Moments, MomentsSpec};
use pelton_models::linear::{Linear, LinearConfig, Optimizer};
use pelton_models::{FeatureShape, Features, LabeledBatch, Model, Task};
use serde_json::{Value, json};

use super::{Effort, median};
use lanes::{Kind, Lanes};
use windows::{GIVEN, Stream, dense_width};

const WEIGHT_BITS: u32 = 22;
/// Batches of decoded columns that are there from the start, and come again and again.
const SLOTS: usize = 4;
/// Bytes of an event's columns, and of its label with its weight.
const UPLOADED: f64 = (8 + NUMBERS * 4 + CATEGORIES * 8 + 8) as f64;
/// Bytes of the features of an event.
const FEATURES: usize = 4 * (NUMBERS + CATEGORIES);
/// Bytes of the sectors of the tables that its categories name, read or written once.
const SECTORS: usize = 32 * CATEGORIES;
/// Bytes that its way must move in the memory of a GPU, at least: columns written and read,
/// features written, weights read and written.
const FLOOR: f64 = 2.0 * UPLOADED + (FEATURES + 2 * SECTORS) as f64;
/// What both ways move, launch by launch as docs/wide.md has them: the upload, sparse features, the
/// sums of dense and of sparse coordinates, the changes of both.
const COMMON: f64 = UPLOADED
    + (12 * CATEGORIES) as f64
    + (4 * NUMBERS + 16) as f64
    + (4 * CATEGORIES + 12 + 2 * SECTORS) as f64
    + (4 * CATEGORIES + 4 + 4 * SECTORS) as f64;
/// Dense features made as they are scaled, and the beginning of a step.
const FUSED: f64 = COMMON + (12 * NUMBERS) as f64 + (FEATURES + SECTORS + 24) as f64;
/// Dense features made, then scaled; scores, scores again, what is accepted, measured and
/// differentiated.
const UNFUSED: f64 = COMMON
    + (8 * NUMBERS + 12 * NUMBERS) as f64
    + (2 * (FEATURES + SECTORS) + 12) as f64
    + (4 * NUMBERS + 16) as f64
    + (FEATURES + 12 + 28) as f64;

/// A batch of decoded columns.
struct Slot {
    times_ms: Pinned<i64>,
    numbers: Pinned<f32>,
    categories: Pinned<u64>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

/// Latencies of small batches.
pub(super) fn measure_small(
    gpu: Option<&Arc<Gpu>>,
    effort: Effort,
    upload: f64,
) -> Result<Value, Error> {
    small::measure(gpu, effort, upload)
}

/// The ways on a GPU, and the bytes of an event that each moves where that is counted.
const WAYS: [(&str, Kind, Option<f64>); 3] = [
    ("fused", Kind { is_fused: true, has_windows: false }, Some(FUSED)),
    ("unfused", Kind { is_fused: false, has_windows: false }, Some(UNFUSED)),
    ("with_windows", Kind { is_fused: true, has_windows: true }, None),
];

pub(super) fn measure(
    gpu: Option<&Arc<Gpu>>,
    effort: Effort,
    ceilings: [f64; 2],
) -> Result<Value, Error> {
    let sizes: &[usize] =
        if effort.is_quick { &[64] } else { &[1 << 10, 1 << 12, 1 << 14, 1 << 16] };
    let mut all = Vec::new();
    for &rows in sizes {
        let mut figures = json!({ "rows": rows, "uploaded_bytes_per_event": UPLOADED });
        let mut digests = Vec::new();
        for (name, has_windows) in [("cpu", false), ("cpu_with_windows", true)] {
            let mut stream = Stream::new(Slot::generate(&Device::Cpu, rows)?);
            let mut here = Here::new(rows, has_windows)?;
            digests.push(here.run(&mut stream, 2 * SLOTS)?);
            // As many events for every size.
            let batches = if effort.is_quick { SLOTS } else { (1 << 19) / rows };
            let (rate, _) = rate(effort, (rows * batches) as f64, None, || {
                here.run(&mut stream, batches).map(drop)
            })?;
            figures[name] = json!({ "events_per_second": rate });
        }
        if let Some(gpu) = gpu {
            measure_there(gpu, effort, (rows, &digests, ceilings), &mut figures)?;
        }
        all.push(figures);
    }
    Ok(Value::from(all))
}

/// The ways on a GPU, beside what its memory and the bus would let through.
fn measure_there(
    gpu: &Arc<Gpu>,
    effort: Effort,
    (rows, digests, [upload, memory]): (usize, &[u64], [f64; 2]),
    figures: &mut Value,
) -> Result<(), Error> {
    let (meter, mut same_bits) = (EnergyMeter::of(gpu), true);
    let with_windows = FLOOR + (12 * GIVEN) as f64 + windows::FLOOR;
    for (name, kind, moved) in WAYS {
        let mut stream = Stream::new(Slot::generate(&Device::Gpu(Arc::clone(gpu)), rows)?);
        let mut lanes = Lanes::new(gpu, rows, kind)?;
        let digest = lanes.run(&mut stream, 2 * SLOTS, true)?;
        same_bits &= digest == Some(digests[usize::from(kind.has_windows)]);
        let batches = if effort.is_quick { SLOTS } else { (1 << 24) / rows };
        let (rate, joules) = rate(effort, (rows * batches) as f64, meter.as_ref(), || {
            lanes.run(&mut stream, batches, false).map(drop)
        })?;
        let floor = if kind.has_windows { with_windows } else { FLOOR };
        figures[name] = json!({
            "gpu_events_per_second": rate,
            "joules_per_million_events": joules,
            "share_of_upload_rate": rate * UPLOADED / upload,
            "floor_bytes_per_event": floor,
            "share_of_floor": rate * floor / memory,
        });
        if let Some(moved) = moved {
            figures[name]["moved_bytes_per_event"] = json!(moved);
            figures[name]["share_of_memory_rate"] = json!(rate * moved / memory);
        }
    }
    figures["same_bits"] = json!(same_bits);
    figures["ceiling_of_uploads"] = json!(upload / UPLOADED);
    figures["ceiling_of_memory"] = json!(memory / FLOOR);
    figures["ceiling_of_memory_with_windows"] = json!(memory / with_windows);
    Ok(())
}

/// Events a second, the median of some passes, and joules per million events, where the GPU counts.
fn rate(
    effort: Effort,
    events: f64,
    meter: Option<&EnergyMeter>,
    mut run: impl FnMut() -> Result<(), Error>,
) -> Result<(f64, Option<f64>), Error> {
    let passes = effort.passes.min(3);
    let before = meter.and_then(EnergyMeter::joules);
    let once = |_| {
        let started = Instant::now();
        run().map(|()| started.elapsed().as_secs_f64())
    };
    let seconds = (0..passes).map(once).collect::<Result<_, Error>>().map(median)?;
    let after = meter.and_then(EnergyMeter::joules);
    let drawn = after.zip(before).map(|(after, before)| after - before);
    Ok((events / seconds, drawn.map(|joules| joules / (passes as f64 * events) * 1e6)))
}

fn assembly(has_windows: bool) -> AssembleSpec {
    let number = |column| Dense::Number { column, form: Form::Log, clip: None };
    let given = (0..dense_width(has_windows) - NUMBERS).map(Dense::Given);
    let category = |column| {
        let salt = hash::mix64(column as u64 + 1);
        SparseColumn { source: Sparse::Category(column), salt }
    };
    AssembleSpec {
        dense: (0..NUMBERS).map(number).chain(given).collect(),
        sparse: (0..CATEGORIES).map(category).collect(),
        hash_bits: WEIGHT_BITS,
        calendar: Calendar::new(vec![(i64::MIN, 0)]),
        night: (22, 5),
    }
}

fn model(has_windows: bool) -> (LinearConfig, FeatureShape) {
    let (dense_width, sparse_width) = (dense_width(has_windows), CATEGORIES);
    let sparse_bits = WEIGHT_BITS;
    let task = LinearConfig::new(Task::Binary);
    let config = LinearConfig { optimizer: Optimizer::FTRL, fold: false, ..task };
    (config, FeatureShape { dense_width, sparse_width, sparse_bits })
}

impl Slot {
    fn generate(device: &Device, rows: usize) -> Result<Vec<Slot>, Error> {
        let mut generator = ClickGenerator::new(ClickSpec::new((SLOTS * rows) as u64, 1));
        let mut record = ClickRecord::default();
        let mut slots = Vec::new();
        for _ in 0..SLOTS {
            let mut slot = Slot {
                times_ms: Pinned::new(device, rows, Pinning::Both)?,
                numbers: Pinned::new(device, rows * NUMBERS, Pinning::Both)?,
                categories: Pinned::new(device, rows * CATEGORIES, Pinning::Both)?,
                labels: vec![0.0; rows],
                weights: vec![1.0; rows],
            };
            for row in 0..rows {
                generator.next_into(&mut record);
                for (column, &count) in record.numbers.iter().enumerate() {
                    let count = if count == ClickRecord::MISSING { 0.0 } else { count as f32 };
                    slot.numbers[column * rows + row] = count;
                }
                for (column, &value) in record.categories.iter().enumerate() {
                    let code = category(Scalar::Int(i64::from(value)));
                    slot.categories[column * rows + row] = code;
                }
                slot.labels[row] = f32::from(u8::from(record.is_click));
            }
            slots.push(slot);
        }
        Ok(slots)
    }

    fn rows(&self) -> usize {
        self.labels.len()
    }

    fn columns<'a>(&'a self, given: &'a [f32]) -> Columns<'a> {
        Columns {
            rows: self.rows(),
            stride: self.rows(),
            times_ms: &self.times_ms,
            numbers: &self.numbers,
            categories: &self.categories,
            given,
        }
    }
}

/// The way on the CPU, by one thread.
struct Here {
    spec: AssembleSpec,
    moments: Moments,
    model: Linear,
    windows: Option<windows::Here>,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    scores: Vec<f32>,
}

impl Here {
    fn new(rows: usize, has_windows: bool) -> Result<Here, Error> {
        let ((config, shape), width) = (model(has_windows), dense_width(has_windows));
        Ok(Here {
            spec: assembly(has_windows),
            moments: Moments::new(MomentsSpec::new(width))?,
            model: Linear::new(config, shape)?,
            windows: has_windows.then(|| windows::Here::new(rows)).transpose()?,
            dense: vec![0.0; rows * width],
            sparse: vec![0; rows * CATEGORIES],
            scores: vec![0.0; rows],
        })
    }

    /// Walks so many batches; the digest of their scores.
    fn run(&mut self, stream: &mut Stream, batches: usize) -> Result<u64, Error> {
        let (mut digest, width) = (0, dense_width(self.windows.is_some()));
        for _ in 0..batches {
            let slot = &*stream.next();
            let rows = slot.rows();
            if let Some(windows) = &mut self.windows {
                windows.run(slot)?;
            }
            let given = self.windows.as_ref().map_or(&[][..], |windows| &windows.given);
            let columns = slot.columns(given);
            self.spec.run(&columns, (&mut self.dense, &mut self.sparse))?;
            self.moments.standardize(&mut self.dense, width, 0)?;
            let features = Features { rows, dense: &self.dense, sparse: &self.sparse, notes: &[] };
            self.model.score(&features, &mut self.scores)?;
            let (labels, weights) = (&slot.labels[..], &slot.weights[..]);
            self.model.learn(&LabeledBatch { features, labels, weights })?;
            digest = digest_of(digest, &self.scores);
        }
        Ok(digest)
    }
}

fn digest_of(before: u64, scores: &[f32]) -> u64 {
    scores.iter().fold(before, |digest, score| hash::mix64(digest ^ u64::from(score.to_bits())))
}
