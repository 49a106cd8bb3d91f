//! EXPERIMENT
use std::cell::RefCell;
use std::io::{self, Read, Write};

use pelton_kernels::math::{self, exp, ln_f32, logit_f32};
use pelton_kernels::moments::{Moments, MomentsSpec};

use crate::boost::{Boost, BoostConfig, Memory};
use crate::linear::{Linear, LinearConfig};
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};

fn knob(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

pub struct Auto {
    task: Task,
    shape: FeatureShape,
    outputs: usize,
    version: u64,
    moments: Moments,
    members: Vec<(bool, Box<dyn Model>)>,
    stack: Linear,
    with_x: bool,
    weights: Vec<f64>,
    share: f64,
    eta: f64,
    scratch: RefCell<Scratch>,
    losses: Vec<f64>,
    pooled_loss: f64,
    count: u64,
    notes: Notes,
    stack_notes: bool,
    linear_in: bool,
}

const RATES: [f32; 4] = [0.5, 0.0625, 0.0078125, 0.0002];

pub struct Notes {
    shape: FeatureShape,
    kinds: usize,
    on: bool,
    all: Vec<[f32; 4]>,
    by_index: Vec<([f32; 4], u32)>,
}

impl Notes {
    fn new(shape: FeatureShape, task: Task) -> Notes {
        let on = knob("NOTES", 1.0) > 0.0;
        let kinds = if let Task::MultiClass { classes } = task { classes as usize } else { 1 };
        let size = if shape.sparse_width > 0 { (1 << shape.sparse_bits) * kinds } else { 0 };
        Notes { shape, kinds, on, all: vec![[1.0 / kinds as f32; 4]; kinds], by_index: vec![([0.0; 4], 0); size] }
    }
    fn width(&self) -> usize {
        if self.on { (1 + self.shape.sparse_width) * 4 * self.kinds } else { 0 }
    }
    fn add(&self, sparse: &[u32], out: &mut Vec<f32>) {
        if !self.on { return; }
        for kind in 0..self.kinds {
            out.extend(self.all[kind]);
        }
        for index in sparse {
            for kind in 0..self.kinds {
                if *index == crate::ABSENT { out.extend(self.all[kind]); continue; }
                let (own, count) = &self.by_index[*index as usize * self.kinds + kind];
                if *count == 0 { out.extend([self.all[kind][3]; 4]) } else { out.extend(own) }
            }
        }
    }
    fn learn(&mut self, sparse: &[u32], label: f32) {
        if !self.on { return; }
        let prior = self.all.clone();
        for kind in 0..self.kinds {
            let y = if self.kinds == 1 { label } else { f32::from(u8::from(label as usize == kind)) };
            for (mean, rate) in self.all[kind].iter_mut().zip(RATES) { *mean += rate * (y - *mean); }
            for index in sparse.iter().filter(|i| **i != crate::ABSENT) {
                let (own, count) = &mut self.by_index[*index as usize * self.kinds + kind];
                if *count == 0 { *own = [prior[kind][3]; 4]; *count = 10; }
                *count += 1;
                for (mean, rate) in own.iter_mut().zip(RATES) { *mean += rate.max(1.0 / *count as f32) * (y - *mean); }
            }
        }
    }
}

#[derive(Default)]
struct Scratch {
    own: Vec<f32>,
    noted: Vec<f32>,
    dense: Vec<f32>,
    out: Vec<f32>,
    stacked: Vec<f32>,
    logits: Vec<f32>,
}

impl Auto {
    pub fn new(task: Task, shape: FeatureShape, moments: MomentsSpec) -> Result<Auto, ModelError> {
        let mut members: Vec<(bool, Box<dyn Model>)> = Vec::new();
        members.push((true, Box::new(Linear::new(LinearConfig::new(task), shape)?)));
        let notes = Notes::new(shape, task);
        let linear_in = knob("LINEAR_IN", 0.0) > 0.0;
        let tree_shape = FeatureShape {
            dense_width: shape.dense_width + notes.width() + if linear_in { task.outputs() } else { 0 },
            sparse_width: if notes.on { 0 } else { shape.sparse_width }, ..shape };
        for at in 0..knob("BOOSTS", 2.0) as usize {
            let key = |name: &str, default: [f64; 3]| knob(&format!("B{at}_{name}"), default[at]);
            let base = BoostConfig::new(task);
            let config = BoostConfig {
                memory: if key("RECENT", [0.0, 1.0, 1.0]) > 0.0 { Memory::Recent } else { Memory::Even },
                sample_rows: key("ROWS", [1e5, 8e3, 1e3]) as usize,
                period_labels: key("PERIOD", [4e4, 4e3, 500.0]) as u64,
                rounds: key("ROUNDS", [100.0, 100.0, 30.0]) as usize,
                depth: key("DEPTH", [4.0, 4.0, 3.0]) as usize,
                rate: key("RATE", [0.1, 0.1, 0.2]) as f32,
                lambda: key("LAMBDA", [3.0, 3.0, 3.0]) as f32,
                hessian_min: key("MINH", [3.0, 3.0, 3.0]) as f32,
                generations: key("GENS", [2.0, 2.0, 2.0]) as usize,
                ..base
            };
            members.push((false, Box::new(Boost::new(config, tree_shape)?)));
        }
        let with_x = knob("WITHX", 0.0) > 0.0;
        let outputs = task.outputs();
        let dense_width = members.len() * outputs + if with_x { shape.dense_width } else { 0 } + if knob("STACK_NOTES", 0.0) > 0.0 { notes.width() } else { 0 };
        let stack_shape = FeatureShape { dense_width, sparse_width: 0, ..shape };
        let fold = knob("FOLD", 0.0) > 0.0;
        let stack = Linear::new(LinearConfig { fold, ..LinearConfig::new(task) }, stack_shape)?;
        let count = members.len() + 1;
        Ok(Auto {
            task,
            shape,
            outputs,
            version: 0,
            moments: Moments::new(MomentsSpec { include_current: false, ..moments })?,
            members,
            stack,
            with_x,
            weights: vec![1.0 / count as f64; count],
            share: knob("SHARE", 1e-4),
            eta: knob("ETA", 0.5),
            scratch: RefCell::default(),
            losses: vec![0.0; count],
            pooled_loss: 0.0,
            count: 0,
            notes,
            stack_notes: knob("STACK_NOTES", 0.0) > 0.0,
            linear_in,
        })
    }

    pub fn probe(&self) -> Vec<f32> {
        self.scratch.borrow().logits.clone()
    }
    /// logits: [members + 1, rows, outputs]
    fn predict(&self, features: &Features<'_>, scratch: &mut Scratch) -> Result<(), ModelError> {
        let rows = features.rows;
        let width = self.shape.dense_width;
        scratch.dense.clear();
        scratch.dense.extend_from_slice(features.dense);
        for row in scratch.dense.chunks_exact_mut(width.max(1)) {
            self.moments.apply(row);
        }
        let scaled = Features { rows, dense: &scratch.dense, sparse: features.sparse };
        let part = rows * self.outputs;
        scratch.logits.resize((self.members.len() + 1) * part, 0.0);
        let (dw, sw) = (width, self.shape.sparse_width);
        scratch.noted.clear();
        let mut own = std::mem::take(&mut scratch.own);
        own.resize(part, 0.0);
        if self.linear_in { self.members[0].1.score(&scaled, &mut own)?; self.to_logits(&mut own); }
        for row in 0..rows {
            scratch.noted.extend_from_slice(&features.dense[row * dw..][..dw]);
            self.notes.add(&features.sparse[row * sw..][..sw], &mut scratch.noted);
            if self.linear_in { scratch.noted.extend_from_slice(&own[row * self.outputs..][..self.outputs]); }
        }
        scratch.own = own;
        let noted = Features { rows, dense: &scratch.noted, sparse: if self.notes.on { &[] } else { features.sparse } };
        for ((is_scaled, member), logits) in self.members.iter().zip(scratch.logits.chunks_exact_mut(part)) {
            member.score(if *is_scaled { &scaled } else { &noted }, logits)?;
            self.to_logits(logits);
        }
        let extra = if self.with_x { width } else { 0 };
        let stack_width = self.members.len() * self.outputs + extra;
        scratch.stacked.clear();
        for row in 0..rows {
            for member in 0..self.members.len() {
                for output in 0..self.outputs {
                    scratch.stacked.push(scratch.logits[member * part + row * self.outputs + output]);
                }
            }
            scratch.stacked.extend_from_slice(&scratch.dense[row * width..][..extra]);
            if self.stack_notes {
                let n = self.notes.width();
                let full = width + n + if self.linear_in { self.outputs } else { 0 };
                let own = &scratch.noted[row * full + width..][..n];
                scratch.stacked.extend(own.iter().map(|p| if self.task == Task::Regression { *p } else { logit_f32(p.clamp(0.01, 0.99)) }));
            }
        }
        let _ = stack_width;
        let stacked = Features { rows, dense: &scratch.stacked, sparse: &[] };
        let logits = &mut scratch.logits[self.members.len() * part..];
        self.stack.score(&stacked, logits)?;
        self.to_logits(logits);
        Ok(())
    }

    fn to_logits(&self, out: &mut [f32]) {
        match self.task {
            Task::Binary => out.iter_mut().for_each(|p| *p = logit_f32(p.clamp(1e-7, 1.0 - 1e-7))),
            Task::MultiClass { .. } => out.iter_mut().for_each(|p| *p = ln_f32(p.max(1e-7))),
            Task::Regression => {}
        }
    }

    fn pool(&self, scratch: &Scratch, rows: usize, out: &mut [f32]) {
        let part = rows * self.outputs;
        out.fill(0.0);
        for (weight, logits) in self.weights.iter().zip(scratch.logits.chunks_exact(part)) {
            for (out, logit) in out.iter_mut().zip(logits) {
                *out += *weight as f32 * logit;
            }
        }
        for out in out.chunks_exact_mut(self.outputs) {
            match self.task {
                Task::Binary => out[0] = math::sigmoid_f32(out[0]),
                Task::MultiClass { .. } => math::softmax_f32(out),
                Task::Regression => {}
            }
        }
    }

    fn loss(&self, logits: &[f32], label: f32) -> f64 {
        match self.task {
            Task::Binary => math::log_loss(f64::from(logits[0]), label == 1.0),
            Task::MultiClass { .. } => -f64::from(logits[label as usize]),
            Task::Regression => f64::from((logits[0] - label).abs()),
        }
    }

    fn observe(&mut self, scratch: &Scratch, batch: &LabeledBatch<'_>) {
        let rows = batch.features.rows;
        let part = rows * self.outputs;
        for (row, label) in batch.labels.iter().enumerate() {
            let at = |member: usize| &scratch.logits[member * part + row * self.outputs..][..self.outputs];
            let losses: Vec<f64> = (0..self.weights.len()).map(|m| self.loss(at(m), *label)).collect();
            let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
            let mut total = 0.0;
            let mut pooled = 0.0;
            for ((weight, loss), m) in self.weights.iter_mut().zip(&losses).zip(0..) {
                pooled += *weight * f64::from(at(m)[0]);
                *weight *= exp(-self.eta * (loss - least).min(80.0));
                total += *weight;
            }
            let even = self.share / self.weights.len() as f64;
            for weight in &mut self.weights {
                *weight = *weight / total * (1.0 - self.share) + even;
            }
            self.pooled_loss += math::log_loss(pooled, *label == 1.0);
            self.losses.iter_mut().zip(&losses).for_each(|(sum, loss)| *sum += loss);
            self.count += 1;
            let every = knob("EVERY", 2e5) as u64;
            if self.count % every == 0 {
                let n = every as f64;
                eprintln!("{} losses {:.4?} pooled {:.4} weights {:.3?}", self.count,
                    self.losses.iter().map(|l| l / n).collect::<Vec<_>>(), self.pooled_loss / n, self.weights);
                self.losses.fill(0.0);
                self.pooled_loss = 0.0;
            }
        }
    }
}

impl Model for Auto {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        if features.rows == 0 { return Ok(()); }
        if DUMP.with(|dump| dump.borrow().is_some()) {
            for row in 0..features.rows {
                dump_row(0, features, row, self.shape, 0.0);
            }
            out.fill(0.1);
            return Ok(());
        }
        let mut scratch = self.scratch.take();
        self.predict(features, &mut scratch)?;
        self.pool(&scratch, features.rows, out);
        self.scratch.replace(scratch);
        Ok(())
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        if batch.features.rows == 0 { return Ok(LearnOutcome::default()); }
        let mut scratch = self.scratch.take();
        self.predict(&batch.features, &mut scratch)?;
        self.observe(&scratch, batch);
        let rows = batch.features.rows;
        let stacked = Features { rows, dense: &scratch.stacked, sparse: &[] };
        self.stack.learn(&LabeledBatch { features: stacked, ..*batch })?;
        let scaled = Features { rows, dense: &scratch.dense, sparse: batch.features.sparse };
        let noted = Features { rows, dense: &scratch.noted, sparse: if self.notes.on { &[] } else { batch.features.sparse } };
        let mut outcome = LearnOutcome::default();
        for (is_scaled, member) in &mut self.members {
            let features = if *is_scaled { scaled } else { noted };
            outcome = member.learn(&LabeledBatch { features, ..*batch })?;
        }
        for row in batch.features.dense.chunks_exact(self.shape.dense_width.max(1)) {
            self.moments.observe(row);
        }
        let sw = self.shape.sparse_width;
        for (row, label) in batch.labels.iter().enumerate() {
            self.notes.learn(&batch.features.sparse[row * sw..][..sw], *label);
        }
        self.version += outcome.learned;
        self.scratch.replace(scratch);
        Ok(outcome)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        let mut outcome = LearnOutcome::default();
        let Features { rows, dense, sparse } = batch.features;
        if DUMP.with(|dump| dump.borrow().is_some()) {
            for row in 0..rows {
                dump_row(1, &batch.features, row, self.shape, batch.labels[row]);
            }
            out.fill(0.1);
            return Ok(LearnOutcome { learned: rows as u64, refused: 0 });
        }
        let (dense_width, sparse_width) = (self.shape.dense_width, self.shape.sparse_width);
        for row in 0..rows {
            let features = Features {
                rows: 1,
                dense: &dense[row * dense_width..][..dense_width],
                sparse: &sparse[row * sparse_width..][..sparse_width],
            };
            let own = LabeledBatch {
                features,
                labels: &batch.labels[row..=row],
                weights: &batch.weights[row..=row],
            };
            self.score(&features, &mut out[row * self.outputs..][..self.outputs])?;
            let one = self.learn(&own)?;
            outcome.learned += one.learned;
            outcome.refused += one.refused;
        }
        Ok(outcome)
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        self.members.iter().try_for_each(|(_, member)| member.write_state(out))
    }
    fn read_state(&mut self, _: &mut dyn Read) -> Result<(), ModelError> {
        Ok(())
    }
    fn keep(&mut self) -> Result<(), ModelError> {
        Ok(())
    }
    fn forget_oldest(&mut self) {}
    fn go_back(&mut self) -> Result<(), ModelError> {
        Ok(())
    }
    fn write_kept(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    fn read_kept(&mut self, _: &mut dyn Read) -> Result<(), ModelError> {
        Ok(())
    }
}

thread_local! {
    static DUMP: RefCell<Option<io::BufWriter<std::fs::File>>> = RefCell::new(std::env::var("DUMP").ok().map(|path| io::BufWriter::new(std::fs::File::create(path).expect("dump"))));
}
fn dump_row(tag: u32, features: &Features<'_>, row: usize, shape: FeatureShape, label: f32) {
    DUMP.with(|dump| {
        let mut dump = dump.borrow_mut();
        let out = dump.as_mut().expect("on");
        out.write_all(&tag.to_le_bytes()).expect("dump");
        out.write_all(&label.to_le_bytes()).expect("dump");
        for value in &features.dense[row * shape.dense_width..][..shape.dense_width] {
            out.write_all(&value.to_le_bytes()).expect("dump");
        }
        for value in &features.sparse[row * shape.sparse_width..][..shape.sparse_width] {
            out.write_all(&value.to_le_bytes()).expect("dump");
        }
    });
}
