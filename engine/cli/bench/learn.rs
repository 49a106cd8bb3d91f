//! `pelton bench learn`: predict, then learn, one event after another.
//!
//! The columns are decoded beforehand, as an ingest thread would leave them; the measured loop
//! makes the features of a batch (logarithms of the numbers, hashes of the categories) and hands
//! them to the model, which scores and learns each row before the next one.

use clap::{Args, ValueEnum};
use pelton::error::Error;
use pelton::generate::Generator;
use pelton::generate::clicks::{CATEGORIES, ClickGenerator, ClickRecord, ClickSpec, NUMBERS};
use pelton::schema::{Scalar, category};
use pelton_kernels::{hash, math};
use pelton_models::linear::{Linear, LinearConfig, Optimizer};
use pelton_models::{FeatureShape, Features, LabeledBatch, Model, Task};
use serde_json::{Map, Value, json};

use super::median;
use crate::cli::report::cpu_time;

/// Arguments of `pelton bench learn`.
#[derive(Debug, Args)]
pub struct Learn {
    /// How many events.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: u64,
    /// Another seed, another truth.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Passes over the same events, each with an untrained model; the median is shown.
    #[arg(long, value_name = "P", default_value_t = 5)]
    passes: usize,
    /// The optimiser of the linear model.
    #[arg(long, value_enum, default_value_t = Rule::Ftrl)]
    optimizer: Rule,
}

/// The optimisers, by the names of [model] optimizer.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rule {
    Auto,
    Ftrl,
    Adagrad,
    Sgd,
}

const BATCH_ROWS: usize = 4096;
const WEIGHT_BITS: u32 = 22;

/// Decoded clicks, one column after another.
struct Columns {
    numbers: Vec<Vec<f32>>,
    categories: Vec<Vec<u64>>,
    labels: Vec<f32>,
    truths: Vec<f64>,
}

impl Learn {
    /// Runs the passes.
    pub fn measure(&self) -> Result<Map<String, Value>, Error> {
        let columns = Columns::generate(self.events, self.seed);
        let mut rates = Vec::new();
        let mut log_loss = 0.0;
        for _ in 0..self.passes.max(1) {
            let started = cpu_time();
            log_loss = self.pass(&columns)?;
            let seconds = (cpu_time() - started).as_secs_f64();
            rates.push(columns.labels.len() as f64 / seconds);
        }
        let truths = columns.truths.iter().zip(&columns.labels);
        let hidden: f64 = truths
            .map(|(&p, &y)| -f64::from(y).mul_add((p / (1.0 - p)).ln(), (1.0 - p).ln()))
            .sum();
        let rate = median(rates);
        let figures = json!({
            "bench": "learn",
            "events": self.events,
            "numbers": NUMBERS,
            "categories": CATEGORIES,
            "weights": 1_u64 << WEIGHT_BITS,
            "optimizer": format!("{:?}", self.optimizer).to_lowercase(),
            "passes": self.passes,
            "events_per_cpu_second": rate,
            "nanoseconds_per_event": 1e9 / rate,
            "floor_cache_lines_per_event": CATEGORIES,
            "log_loss": log_loss,
            "log_loss_of_the_hidden_truth": hidden / columns.labels.len() as f64,
        });
        Ok(figures.as_object().cloned().unwrap_or_default())
    }

    /// One pass with an untrained model; returns the mean log loss of the scores.
    fn pass(&self, columns: &Columns) -> Result<f64, Error> {
        let optimizer = match self.optimizer {
            Rule::Auto => Optimizer::AUTO,
            Rule::Ftrl => Optimizer::FTRL,
            Rule::Adagrad => Optimizer::ADAGRAD,
            Rule::Sgd => Optimizer::SGD,
        };
        let config = LinearConfig { optimizer, fold: false, ..LinearConfig::new(Task::Binary) };
        let (dense_width, sparse_width, sparse_bits) = (NUMBERS, CATEGORIES, WEIGHT_BITS);
        let mut model =
            Linear::new(config, FeatureShape { dense_width, sparse_width, sparse_bits })?;
        let (mut dense, mut sparse) = (Vec::new(), Vec::new());
        let (mut scores, weights) = (vec![0.0; BATCH_ROWS], vec![1.0; BATCH_ROWS]);
        let mut loss = 0.0;
        for start in (0..columns.labels.len()).step_by(BATCH_ROWS) {
            let end = columns.labels.len().min(start + BATCH_ROWS);
            let rows = end - start;
            columns.features(start..end, &mut dense, &mut sparse);
            let features = Features { rows, dense: &dense, sparse: &sparse, notes: &[] };
            let labels = &columns.labels[start..end];
            let batch = LabeledBatch { features, labels, weights: &weights[..rows] };
            model.score_and_learn_each(&batch, &mut scores[..rows])?;
            loss += scores.iter().zip(labels).map(|(&p, &y)| log_loss(p, y)).sum::<f64>();
        }
        assert_eq!(model.version(), columns.labels.len() as u64, "every event is learned");
        Ok(loss / columns.labels.len() as f64)
    }
}

fn log_loss(score: f32, label: f32) -> f64 {
    let truth = f64::from(if label == 1.0 { score } else { 1.0 - score });
    -math::ln(truth.max(1e-7))
}

impl Columns {
    fn generate(events: u64, seed: u64) -> Columns {
        let mut columns = Columns {
            numbers: vec![Vec::new(); NUMBERS],
            categories: vec![Vec::new(); CATEGORIES],
            labels: Vec::new(),
            truths: Vec::new(),
        };
        let mut generator = ClickGenerator::new(ClickSpec::new(events, seed));
        let mut record = ClickRecord::default();
        while generator.next_into(&mut record) {
            for (column, &count) in columns.numbers.iter_mut().zip(&record.numbers) {
                column.push(if count == ClickRecord::MISSING { f32::NAN } else { count as f32 });
            }
            for (column, &value) in columns.categories.iter_mut().zip(&record.categories) {
                column.push(category(Scalar::Int(i64::from(value))));
            }
            columns.labels.push(f32::from(u8::from(record.is_click)));
            columns.truths.push(record.truth);
        }
        columns
    }

    /// Logarithms (a missing number is 0) and hashes of some rows, row-major.
    fn features(&self, rows: std::ops::Range<usize>, dense: &mut Vec<f32>, sparse: &mut Vec<u32>) {
        dense.resize(rows.len() * NUMBERS, 0.0);
        sparse.resize(rows.len() * CATEGORIES, 0);
        for (index, column) in self.numbers.iter().enumerate() {
            for (out, &x) in dense[index..].iter_mut().step_by(NUMBERS).zip(&column[rows.clone()]) {
                *out = if x.is_nan() { 0.0 } else { math::ln_1p_f32(x) };
            }
        }
        for (index, column) in self.categories.iter().enumerate() {
            let salt = hash::mix64(index as u64 + 1);
            let out = sparse[index..].iter_mut().step_by(CATEGORIES);
            for (out, &code) in out.zip(&column[rows.clone()]) {
                *out = hash::bucket(code, salt, WEIGHT_BITS);
            }
        }
    }
}
