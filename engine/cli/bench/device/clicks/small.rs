//! Small batches of clicks, one at a time: how long from columns in page-locked memory to scores
//! here, with nothing else under way.
//!
//! On a GPU by the launches of a wide batch, one by one, and as one recorded launch, from the
//! columns to the scores; the engine takes the one that its own batches show to be quicker.

use std::sync::Arc;
use std::time::Instant;

use pelton::error::Error;
use pelton::generate::clicks::{CATEGORIES, NUMBERS};
use pelton_kernels::assemble::device::{Assembler, ColumnBuffers, PinnedColumns};
use pelton_kernels::coordinate::device::RowBuffers;
use pelton_kernels::device::{Buffer, Device, Gpu, Pinned, Pinning, Stream};
use pelton_kernels::moments::device::DeviceMoments;
use pelton_kernels::recorded::{Makers, RecordedBatch};
use pelton_kernels::window::device::DeviceWindows;
use pelton_models::linear::Linear;
use pelton_models::{Features, Model};
use serde_json::{Value, json};

use super::windows::Stream as Batches;
use super::{Effort, Here, SLOTS, Slot, assembly, model};
use crate::cli::usage;

/// Bytes of an event on its way there, columns, and back, features and a score.
const COPIED: f64 = (8 + NUMBERS * 4 + CATEGORIES * 8 + (NUMBERS + CATEGORIES) * 4 + 4) as f64;

/// A batch's way on a GPU, by either kind of launch.
struct There {
    stream: Stream,
    assembler: Assembler,
    moments: DeviceMoments,
    windows: DeviceWindows,
    columns: ColumnBuffers,
    rows: RowBuffers,
    /// Where they come back to, as in the engine.
    dense: Pinned<f32>,
    sparse: Pinned<u32>,
    scores: Buffer<f32>,
    scores_here: Pinned<f32>,
    recorded: RecordedBatch,
    model: Linear,
}

pub(super) fn measure(gpu: Option<&Arc<Gpu>>, effort: Effort, upload: f64) -> Result<Value, Error> {
    let sizes: &[usize] = if effort.is_quick { &[16] } else { &[1, 16, 256, 1024] };
    let times = if effort.is_quick { 3 } else { 2000 };
    let mut all = Vec::new();
    for &rows in sizes {
        let device = gpu.map_or(Device::Cpu, |gpu| Device::Gpu(Arc::clone(gpu)));
        let mut stream = Batches::new(Slot::generate(&device, rows)?);
        let mut here = Here::new(rows, false)?;
        // A model that has learned something scores no two rows alike.
        here.run(&mut stream, SLOTS)?;
        let (mut figures, slot) = (json!({ "rows": rows }), stream.next());
        let mut scores = vec![0.0; rows];
        if let Some(gpu) = gpu {
            let mut there = There::new(gpu, &here, rows)?;
            let each = spread(times, || there.launch_each(slot, &mut scores))?;
            figures["gpu_launch_by_launch"] = each;
            figures["gpu_recorded"] = spread(times, || there.launch_once(slot, &mut scores))?;
            figures["copied_bytes"] = json!(COPIED * rows as f64);
            figures["floor_of_copies_us"] = json!(COPIED * rows as f64 / upload * 1e6);
            // The moments there have taken in as many batches more.
            (0..times).try_for_each(|_| here.score(slot))?;
        }
        figures["cpu"] = spread(times, || here.score(slot))?;
        if gpu.is_some() {
            figures["same_bits"] = json!(scores == here.scores);
        }
        all.push(figures);
    }
    Ok(Value::from(all))
}

/// Median and 99th percentile of a batch, in microseconds.
fn spread(times: usize, mut run: impl FnMut() -> Result<(), Error>) -> Result<Value, Error> {
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        run()?;
        taken.push(started.elapsed().as_secs_f64() * 1e6);
    }
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken[((times - 1) as f64 * share) as usize];
    Ok(json!({ "p50_us": at(0.5), "p99_us": at(0.99) }))
}

impl Here {
    /// Scores a batch, and learns nothing.
    fn score(&mut self, slot: &Slot) -> Result<(), Error> {
        self.spec.run(&slot.columns(&[]), (&mut self.dense, &mut self.sparse))?;
        self.moments.standardize(&mut self.dense, NUMBERS, 0)?;
        let (dense, sparse) = (&self.dense[..], &self.sparse[..]);
        let features = Features { rows: slot.rows(), dense, sparse, notes: &[] };
        Ok(self.model.score(&features, &mut self.scores)?)
    }
}

impl There {
    /// What is here, on a GPU.
    fn new(gpu: &Arc<Gpu>, here: &Here, rows: usize) -> Result<There, Error> {
        let (stream, (config, shape)) = (Stream::new(gpu)?, model(false));
        let mut state = Vec::new();
        let failed = |source| Error::State { section: "model".to_owned(), source };
        here.model.write_state(&mut state).map_err(failed)?;
        let device = Device::Gpu(Arc::clone(gpu));
        let mut model = Linear::on(&device, config, shape)?;
        model.read_state(&mut &state[..])?;
        let widths = [NUMBERS, CATEGORIES, 0];
        Ok(There {
            assembler: Assembler::new(&stream, &assembly(false))?,
            moments: DeviceMoments::new(&stream, &here.moments)?,
            windows: DeviceWindows::new(&stream, Vec::new())?,
            columns: ColumnBuffers::new(gpu, widths, rows)?,
            rows: RowBuffers::new(gpu, NUMBERS, CATEGORIES)?,
            dense: Pinned::new(&device, rows * NUMBERS, Pinning::Both)?,
            sparse: Pinned::new(&device, rows * CATEGORIES, Pinning::Both)?,
            scores: Buffer::new(gpu, rows)?,
            scores_here: Pinned::new(&device, rows, Pinning::Both)?,
            recorded: RecordedBatch::new(&stream, rows, widths, [NUMBERS, CATEGORIES, 1])?,
            model,
            stream,
        })
    }

    fn launch_each(&mut self, slot: &mut Slot, scores: &mut [f32]) -> Result<(), Error> {
        let rows = slot.rows();
        let pinned = PinnedColumns {
            times_ms: &mut slot.times_ms,
            numbers: &mut slot.numbers,
            categories: &mut slot.categories,
        };
        let stream = &self.stream;
        self.columns.give(stream, pinned, rows)?;
        self.moments.make(stream, (&self.assembler, &self.columns), &mut self.rows)?;
        self.rows.download(stream, &mut self.dense, &mut self.sparse)?;
        if let Some(scorer) = self.model.scorer() {
            scorer.ready(stream)?;
            scorer.give(stream, self.rows.all(), &mut self.scores)?;
            stream.download((&mut self.scores_here, 0), (&self.scores, 0), rows)?;
        }
        stream.wait()?;
        scores.copy_from_slice(&self.scores_here);
        Ok(())
    }

    fn launch_once(&mut self, slot: &Slot, scores: &mut [f32]) -> Result<(), Error> {
        let There { stream, assembler, windows, moments, recorded, model, .. } = self;
        let moments = Some(moments);
        let scorer = model.scorer();
        let makers = Makers { stream, assembler, windows, moments, has_known: false, scorer };
        recorded.make(makers, &slot.columns(&[]), &mut [])?;
        let missing = || usage("no scores with the features".to_owned(), "report this");
        scores.copy_from_slice(recorded.scores().ok_or_else(missing)?);
        Ok(())
    }
}
