//! The model as a whole: every optimiser on small streams with a known truth.

use pelton_kernels::hash::mix64;
use pelton_kernels::math;

use super::*;
use crate::{ABSENT, Task};

#[cfg(feature = "double")]
mod device;
mod kept;
mod reference;
mod robustness;
mod steps;

const ALL: [Optimizer; 4] = [Optimizer::AUTO, Optimizer::FTRL, Optimizer::ADAGRAD, Optimizer::SGD];
const SHAPE: FeatureShape = FeatureShape { dense_width: 3, sparse_width: 2, sparse_bits: 8 };

/// A stream of rows with labels.
struct Stream {
    shape: FeatureShape,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

impl Stream {
    fn rows(&self) -> usize {
        self.labels.len()
    }

    fn batch(&self, from: usize, to: usize) -> LabeledBatch<'_> {
        let (dense, sparse) = (self.shape.dense_width, self.shape.sparse_width);
        LabeledBatch {
            features: Features {
                rows: to - from,
                dense: &self.dense[from * dense..to * dense],
                sparse: &self.sparse[from * sparse..to * sparse],
                notes: &[],
            },
            labels: &self.labels[from..to],
            weights: &self.weights[from..to],
        }
    }
}

/// Uniform numbers in -1..1.
fn uniform(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix64(state) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A linear truth over dense and sparse inputs, which turns around after `turn` rows.
fn stream(task: Task, rows: usize, turn: usize, seed: u64) -> Stream {
    let mut draw = uniform(seed);
    let mut stream = Stream {
        shape: SHAPE,
        dense: Vec::new(),
        sparse: Vec::new(),
        labels: Vec::new(),
        weights: vec![1.0; rows],
    };
    for row in 0..rows {
        let x: [f32; 3] = std::array::from_fn(|_| 2.0 * draw());
        let codes = [(draw().abs() * 20.0) as u32, 32 + (draw().abs() * 5.0) as u32];
        let turned = if row < turn { 1.0 } else { -1.0 };
        let bumps = ((codes[0] % 3) as f32 - 1.0) + ((codes[1] % 2) as f32 - 0.5);
        let score = turned * (1.5 * x[0] - x[1] + bumps);
        let chance = 0.5 * (draw() + 1.0);
        stream.labels.push(match task {
            Task::Binary => f32::from(u8::from(chance < math::sigmoid_f32(score))),
            Task::MultiClass { .. } => f32::from(u8::from(score > 0.7) + u8::from(score > -0.7)),
            Task::Regression => 100.0 + 10.0 * score + draw(),
        });
        stream.dense.extend(x);
        stream.sparse.extend(if row % 11 == 0 { [codes[0], ABSENT] } else { codes });
    }
    stream
}

fn model(task: Task, optimizer: Optimizer) -> Linear {
    let config = LinearConfig { optimizer, fold: false, ..LinearConfig::new(task) };
    Linear::new(config, SHAPE).expect("settings and shape are in range")
}

fn run(model: &mut Linear, stream: &Stream) -> Vec<f32> {
    let mut out = vec![0.0; stream.rows() * model.outputs()];
    model.score_and_learn_each(&stream.batch(0, stream.rows()), &mut out).expect("shapes fit");
    out
}

fn state(model: &Linear) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write_state(&mut bytes).expect("a vector takes all");
    bytes
}

/// The mean loss of predictions over a range of rows.
fn loss(stream: &Stream, out: &[f32], task: Task, range: std::ops::Range<usize>) -> f64 {
    let width = out.len() / stream.rows();
    let count = range.len() as f64;
    let each = |row: usize| {
        let (out, label) = (&out[row * width..(row + 1) * width], stream.labels[row]);
        match task {
            Task::Binary => -f64::from(if label == 1.0 { out[0] } else { 1.0 - out[0] }).ln(),
            Task::MultiClass { .. } => -f64::from(out[label as usize]).ln(),
            Task::Regression => f64::from((out[0] - label).abs()),
        }
    };
    range.map(each).sum::<f64>() / count
}

const TASKS: [Task; 3] = [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression];

#[test]
fn fused_and_separate_walks_give_the_same_bits() {
    for task in TASKS {
        let stream = stream(task, 400, 200, 1);
        for optimizer in ALL {
            for fold in [false, true] {
                let config = LinearConfig { optimizer, fold, l1: 1e-4, ..LinearConfig::new(task) };
                let mut fused = Linear::new(config, SHAPE).expect("in range");
                let mut separate = Linear::new(config, SHAPE).expect("in range");
                let together = run(&mut fused, &stream);
                for row in 0..stream.rows() {
                    let batch = stream.batch(row, row + 1);
                    let width = separate.outputs();
                    let mut out = vec![0.0; width];
                    separate.score(&batch.features, &mut out).expect("shapes fit");
                    assert_eq!(out, together[row * width..(row + 1) * width], "{config:?} {row}");
                    separate.learn(&batch).expect("shapes fit");
                }
                assert!(state(&fused) == state(&separate), "{config:?}");
            }
        }
    }
}

#[test]
fn learns_a_known_truth() {
    for (task, bound) in TASKS.into_iter().zip([0.48, 0.50, 4.5]) {
        let stream = stream(task, 6_000, usize::MAX, 2);
        for optimizer in ALL {
            let out = run(&mut model(task, optimizer), &stream);
            let loss = loss(&stream, &out, task, 5_000..6_000);
            println!("{task:?} {optimizer:?}: {loss}");
            assert!(loss < bound, "{task:?} {optimizer:?}: {loss}");
        }
    }
}

#[test]
fn recovers_after_the_truth_turns_around() {
    for (task, bound) in TASKS.into_iter().zip([0.55, 0.62, 6.0]) {
        let stream = stream(task, 24_000, 20_000, 3);
        for optimizer in [Optimizer::AUTO, Optimizer::SGD] {
            let out = run(&mut model(task, optimizer), &stream);
            let loss = loss(&stream, &out, task, 21_000..24_000);
            println!("{task:?} {optimizer:?}: {loss}");
            assert!(loss < bound, "{task:?} {optimizer:?}: {loss}");
        }
    }
}

#[test]
fn a_saved_model_goes_on_to_the_bit() {
    for task in TASKS {
        let stream = stream(task, 600, 300, 4);
        for optimizer in ALL {
            let mut whole = model(task, optimizer);
            let expected = run(&mut whole, &stream);
            let mut first = model(task, optimizer);
            first.learn_each(&stream, 0..250);
            let mut second = model(task, optimizer);
            second.read_state(&mut state(&first).as_slice()).expect("a state of the same shape");
            assert_eq!(second.version(), 250);
            let rest = second.learn_each(&stream, 250..600);
            assert_eq!(rest, expected[250 * whole.outputs()..]);
            assert!(state(&second) == state(&whole));
        }
    }
}

impl Linear {
    fn learn_each(&mut self, stream: &Stream, range: std::ops::Range<usize>) -> Vec<f32> {
        let mut out = vec![0.0; range.len() * self.outputs()];
        let batch = stream.batch(range.start, range.end);
        self.score_and_learn_each(&batch, &mut out).expect("shapes fit");
        out
    }
}

#[test]
fn a_foreign_or_short_state_changes_nothing() {
    let stream = stream(Task::Binary, 100, 100, 5);
    for optimizer in ALL {
        let mut kept = model(Task::Binary, optimizer);
        run(&mut kept, &stream);
        let before = state(&kept);
        for cut in [0, 10, 39, 41, before.len() / 2, before.len() - 1] {
            assert!(kept.read_state(&mut &before[..cut]).is_err());
            assert!(state(&kept) == before, "{optimizer:?}, cut at {cut}");
        }
        let other = if optimizer == Optimizer::SGD { Optimizer::FTRL } else { Optimizer::SGD };
        assert!(kept.read_state(&mut state(&model(Task::Binary, other)).as_slice()).is_err());
        assert!(state(&kept) == before);
    }
}

/// A model that counts positives `w` times is off by `ln w` in log odds, and says so exactly.
#[test]
fn positive_weight_is_corrected_exactly() {
    let mut stream = stream(Task::Binary, 3_000, usize::MAX, 6);
    for optimizer in ALL {
        let config =
            LinearConfig { positive_weight: 3.0, optimizer, ..LinearConfig::new(Task::Binary) };
        let mut corrected = Linear::new(config, SHAPE).expect("in range");
        stream.weights = vec![1.0; stream.rows()];
        let probabilities = run(&mut corrected, &stream);
        let mean = |from: &[f32]| from.iter().sum::<f32>() / from.len() as f32;
        let (said, true_share) = (mean(&probabilities[500..]), mean(&stream.labels[500..]));
        assert!((said - true_share).abs() < 0.06, "{optimizer:?}: {said} for {true_share}");
        if optimizer == Optimizer::AUTO {
            continue; // its mixture judges the corrected experts
        }
        let mut plain =
            Linear::new(LinearConfig { positive_weight: 1.0, ..config }, SHAPE).expect("in range");
        stream.weights = stream.labels.iter().map(|label| 1.0 + 2.0 * label).collect();
        for (corrected, plain) in probabilities.iter().zip(run(&mut plain, &stream)) {
            let expected = math::logit(f64::from(plain)) - 3.0_f64.ln();
            let given = math::logit(f64::from(*corrected));
            assert!(
                (given - expected).abs() < 1e-3 * expected.abs().max(1.0),
                "{given} {expected}"
            );
        }
    }
}

#[test]
fn l1_of_ftrl_leaves_noise_at_zero() {
    let stream = stream(Task::Binary, 2_000, usize::MAX, 7);
    let dense = |l1| {
        let config = LinearConfig {
            optimizer: Optimizer::FTRL,
            l1,
            fold: false,
            ..LinearConfig::new(Task::Binary)
        };
        let mut model = Linear::new(config, SHAPE).expect("in range");
        run(&mut model, &stream);
        let probe = [3.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0];
        let mut out = [0.0; 3];
        let features = Features { rows: 3, dense: &probe, sparse: &[ABSENT; 6], notes: &[] };
        model.score(&features, &mut out).expect("shapes fit");
        out
    };
    let [signal, noise, bias] = dense(60.0);
    assert_eq!(noise, bias);
    assert!((signal - bias).abs() > 0.1);
    let [_, noise, bias] = dense(0.0);
    assert_ne!(noise, bias);
}

#[test]
fn penalties_shrink_the_predictions_of_every_optimiser() {
    let stream = stream(Task::Binary, 2_000, usize::MAX, 8);
    for optimizer in ALL {
        let spread = |l1, l2| {
            let config = LinearConfig { optimizer, l1, l2, ..LinearConfig::new(Task::Binary) };
            let out = run(&mut Linear::new(config, SHAPE).expect("in range"), &stream);
            out[1_000..].iter().map(|p| (p - 0.5).abs()).sum::<f32>()
        };
        let plain = spread(0.0, 0.0);
        let strong = if matches!(optimizer, Optimizer::Ftrl { .. }) { 100.0 } else { 0.3 };
        assert!(spread(strong, 0.0) < 0.9 * plain, "{optimizer:?} l1");
        assert!(spread(0.0, strong) < 0.9 * plain, "{optimizer:?} l2");
    }
}
