//! Machines against differences of their loss, and on streams that a linear model cannot learn.

#[cfg(feature = "double")]
mod device;
mod learning;
mod states;

use pelton_kernels::cases::Draw;

use super::*;
use crate::ABSENT;

const SHAPE: FeatureShape = FeatureShape { dense_width: 2, sparse_width: 2, sparse_bits: 8 };
const KINDS: [Interaction; 2] = [Interaction::Shared, Interaction::ByField];
const TASKS: [Task; 3] = [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression];

/// Rows with labels.
struct Stream {
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

impl Stream {
    /// Two numbers in -1..1 and two categories of `values` each, one of them missing now and then.
    fn new(
        seed: u64,
        rows: usize,
        values: u32,
        label: impl Fn([f32; 2], [u32; 2]) -> f32,
    ) -> Stream {
        let mut draw = Draw::new(seed);
        let weights = vec![1.0; rows];
        let mut stream = Stream { dense: vec![], sparse: vec![], labels: vec![], weights };
        for row in 0..rows {
            let numbers = [(); 2].map(|()| draw.unit() * 2.0 - 1.0);
            let codes = [(); 2].map(|()| (draw.unit() * values as f32) as u32);
            stream.dense.extend(numbers);
            let second = if row % 13 == 0 { ABSENT } else { 128 + codes[1] };
            stream.sparse.extend([codes[0], second]);
            stream.labels.push(label(numbers, codes));
        }
        stream
    }

    fn batch(&self, from: usize, to: usize) -> LabeledBatch<'_> {
        let (dense, sparse) = (&self.dense[2 * from..2 * to], &self.sparse[2 * from..2 * to]);
        LabeledBatch {
            features: Features { rows: to - from, dense, sparse, notes: &[] },
            labels: &self.labels[from..to],
            weights: &self.weights[from..to],
        }
    }
}

fn model(task: Task, interaction: Interaction) -> Factor {
    Factor::new(FactorConfig::new(task, interaction), SHAPE).expect("possible")
}

/// A label that depends on pairs, for each task.
fn label(task: Task) -> impl Fn([f32; 2], [u32; 2]) -> f32 {
    move |numbers, codes| {
        let truth = numbers[0] * numbers[1] + ((codes[0] + codes[1]) % 2) as f32 - 0.5;
        match task {
            Task::Binary => f32::from(u8::from(truth > 0.0)),
            Task::MultiClass { .. } => f32::from(u8::from(truth > 0.3) + u8::from(truth > -0.3)),
            Task::Regression => 40.0 + 10.0 * truth,
        }
    }
}

/// Scores and learns the rows from one to another; the scores.
fn walk(model: &mut Factor, stream: &Stream, from: usize, to: usize) -> Vec<f32> {
    let mut scores = vec![0.0; (to - from) * model.outputs()];
    let outcome = model.score_and_learn_each(&stream.batch(from, to), &mut scores);
    assert_eq!(outcome.expect("the shapes fit").refused, 0);
    assert!(scores.iter().all(|score| score.is_finite()));
    scores
}

fn saved(model: &Factor) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write_state(&mut bytes).expect("a vector takes all bytes");
    bytes
}
