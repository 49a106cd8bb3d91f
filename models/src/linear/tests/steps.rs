//! Steps of many rows: the formulas once more in double precision, coordinate by coordinate.

use super::*;

/// Coordinates of the reference: dense inputs, the bias, sparse ones behind.
type Inputs = Vec<(usize, f64)>;

const DENSE: usize = 3;
const COORDINATES: usize = DENSE + 1 + (1 << 8);

fn inputs(stream: &Stream, row: usize) -> Inputs {
    let dense = stream.dense[row * DENSE..(row + 1) * DENSE].iter().enumerate();
    let mut inputs: Inputs = dense.map(|(i, x)| (i, f64::from(*x))).collect();
    inputs.push((DENSE, 1.0));
    let sparse = &stream.sparse[row * 2..(row + 1) * 2];
    let present = sparse.iter().filter(|index| **index != ABSENT);
    inputs.extend(present.map(|index| (DENSE + 1 + *index as usize, 1.0)));
    inputs
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The pull after its own step, by bisection.
fn pull(margin: f64, reach: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        let is_above = middle > sigmoid(-(margin + reach * middle));
        if is_above { high = middle } else { low = middle }
    }
    high
}

/// Sums of one coordinate over a step.
#[derive(Clone, Copy, Default)]
struct Sums {
    gradient: f64,
    squares: f64,
    touches: f64,
    curvature: f64,
}

/// A model by the book: FTRL without penalties, AdaGrad, descent.
struct Book {
    rule: Optimizer,
    /// `[z or w, n or s]`
    cells: Vec<[f64; 2]>,
    lengths: [f64; 2],
}

impl Book {
    fn weight(&self, index: usize) -> f64 {
        let [first, second] = self.cells[index];
        match self.rule {
            Optimizer::Ftrl { beta, .. } => {
                -first * self.rate() / (f64::from(beta) + second.sqrt())
            }
            _ => first,
        }
    }

    fn score(&self, inputs: &Inputs) -> f64 {
        inputs.iter().map(|(index, x)| self.weight(*index) * x).sum()
    }

    fn rate(&self) -> f64 {
        f64::from(self.rule.rate())
    }

    fn learn(&mut self, rows: &[(Inputs, f64)]) {
        let scores: Vec<f64> = rows.iter().map(|(inputs, _)| self.score(inputs)).collect();
        let mut largest = vec![0.0_f64; COORDINATES];
        for (index, x) in rows.iter().flat_map(|(inputs, _)| inputs) {
            largest[*index] = largest[*index].max(x.abs());
        }
        let is_scaled = matches!(self.rule, Optimizer::Sgd { .. });
        let scale = |index: usize| match is_scaled {
            true => self.cells[index][1].max(largest[index]),
            false => 1.0,
        };
        let length = |inputs: &Inputs| -> f64 {
            let share = |(index, x): &(usize, f64)| if *x == 0.0 { 0.0 } else { x / scale(*index) };
            inputs.iter().map(|input| share(input).powi(2)).sum()
        };
        let size = |inputs: &Inputs| -> f64 {
            inputs.iter().map(|(index, x)| x.abs() / scale(*index).max(1e-300)).sum()
        };
        let lengths: Vec<f64> = rows.iter().map(|(inputs, _)| length(inputs)).collect();
        let known =
            [self.lengths[0] + rows.len() as f64, self.lengths[1] + lengths.iter().sum::<f64>()];
        let rate = if is_scaled { self.rate() * known[0] / known[1] } else { 1.0 };
        let mut sums = vec![Sums::default(); COORDINATES];
        for (((inputs, label), score), length) in rows.iter().zip(scores).zip(lengths) {
            let sign = 2.0 * label - 1.0;
            let gradient = match is_scaled {
                true => -sign * rate * pull(sign * score, rate * length),
                false => sigmoid(score) - label,
            };
            let stiffness = size(inputs) * rate * 0.25;
            for (index, x) in inputs.iter().filter(|(_, x)| *x != 0.0) {
                let sums = &mut sums[*index];
                sums.gradient += gradient * x;
                sums.squares += (gradient * x).powi(2);
                sums.touches += 1.0;
                sums.curvature += x.abs() * stiffness;
            }
        }
        if is_scaled {
            self.lengths = known;
        }
        let touched: Vec<usize> = (0..COORDINATES).filter(|i| sums[*i].touches > 0.0).collect();
        for index in touched {
            self.cells[index] = self.stepped(index, sums[index], largest[index]);
        }
    }

    fn stepped(&self, index: usize, sums: Sums, largest: f64) -> [f64; 2] {
        let ([first, second], rate) = (self.cells[index], self.rate());
        if let Optimizer::Sgd { .. } = self.rule {
            let scale = second.max(largest);
            let ratio = if second > 0.0 { second / scale } else { 1.0 };
            let shared = (sums.curvature / scale).max(1.0).min(sums.touches);
            let moved = sums.gradient / shared / (scale * scale);
            return [first * ratio * ratio - moved, scale];
        }
        let most = sums.gradient.powi(2).max(sums.squares);
        let newton = (rate * sums.curvature).powi(2) - second;
        let next = second + newton.max(sums.squares).min(most);
        match self.rule {
            Optimizer::Ftrl { .. } => {
                let sigma = (next.sqrt() - second.sqrt()) / rate;
                [first + sums.gradient - sigma * self.weight(index), next]
            }
            _ => [first - rate * sums.gradient / (next.sqrt() + 1e-8), next],
        }
    }
}

const RULES: [Optimizer; 3] = [Optimizer::FTRL, Optimizer::ADAGRAD, Optimizer::SGD];

#[test]
fn steps_follow_the_formulas() {
    for rule in RULES {
        let stream = stream(Task::Binary, 2_300, 1_500, 5);
        let config =
            LinearConfig { optimizer: rule, fold: false, ..LinearConfig::new(Task::Binary) };
        let mut model = Linear::new(config, SHAPE).expect("a possible model");
        let mut book = Book { rule, cells: vec![[0.0; 2]; COORDINATES], lengths: [0.0; 2] };
        let mut from = 0;
        for rows in [2, 33, 7, 256, 2, 1_000, 1_000] {
            model.learn(&stream.batch(from, from + rows)).expect("shapes fit");
            let step: Vec<_> = (from..from + rows)
                .map(|row| (inputs(&stream, row), f64::from(stream.labels[row])))
                .collect();
            book.learn(&step);
            from += rows;
            let mut out = vec![0.0; stream.rows()];
            model.score(&stream.batch(0, stream.rows()).features, &mut out).expect("shapes fit");
            for (row, given) in out.into_iter().enumerate() {
                let expected = sigmoid(book.score(&inputs(&stream, row)));
                let error = (f64::from(given) - expected).abs();
                assert!(error < 2e-4, "{rule:?}, step of {rows}, row {row}: {given}, {expected}");
            }
        }
    }
}

/// A thousand rows that all push the bias the same way do not push it past where they want it.
#[test]
fn a_wide_step_does_not_overshoot() {
    let shape = FeatureShape { dense_width: 0, sparse_width: 0, sparse_bits: 0 };
    let labels: Vec<f32> = (0..1000).map(|row| f32::from(u8::from(row % 10 == 0))).collect();
    for optimizer in ALL {
        let config = LinearConfig { optimizer, ..LinearConfig::new(Task::Binary) };
        let mut model = Linear::new(config, shape).expect("a possible model");
        let features = Features { rows: 1000, dense: &[], sparse: &[], notes: &[] };
        let batch = LabeledBatch { features, labels: &labels, weights: &[1.0; 1000] };
        let mut score = [0.0];
        for step in 0..200 {
            model.learn(&batch).expect("shapes fit");
            let one = Features { rows: 1, dense: &[], sparse: &[], notes: &[] };
            model.score(&one, &mut score).expect("shapes fit");
            assert!((0.04..0.51).contains(&score[0]), "{optimizer:?}, step {step}: {score:?}");
        }
        assert!((score[0] - 0.1).abs() < 0.05, "{optimizer:?}: {score:?}");
    }
}

/// The order of the rows of a step shows in nothing but dense sums' last bits; with sparse inputs
/// alone it shows nowhere.
#[test]
fn the_order_within_a_step_does_not_show() {
    let shape = FeatureShape { dense_width: 0, sparse_width: 2, sparse_bits: 8 };
    for rule in RULES {
        for task in [Task::Binary, Task::MultiClass { classes: 3 }] {
            let mut stream = stream(task, 500, 400, 9);
            let config = LinearConfig { optimizer: rule, ..LinearConfig::new(task) };
            let state = |stream: &Stream| {
                let mut model = Linear::new(config, shape).expect("a possible model");
                let batch = LabeledBatch {
                    features: Features {
                        rows: 500,
                        dense: &[],
                        sparse: &stream.sparse,
                        notes: &[],
                    },
                    labels: &stream.labels,
                    weights: &stream.weights,
                };
                model.learn(&batch).expect("shapes fit");
                let mut out = vec![0.0; 500 * task.outputs()];
                model.score(&batch.features, &mut out).expect("shapes fit");
                out.iter().map(|score| f64::from(*score)).sum::<f64>()
            };
            let before = state(&stream);
            stream.labels.reverse();
            let pairs: Vec<[u32; 2]> =
                stream.sparse.as_chunks::<2>().0.iter().rev().copied().collect();
            stream.sparse = pairs.as_flattened().to_vec();
            assert!((state(&stream) - before).abs() < 1e-3, "{rule:?} {task:?}");
        }
    }
}

#[test]
fn the_blend_learns_a_step_row_after_row() {
    let stream = stream(Task::Binary, 300, 200, 4);
    let config = LinearConfig::new(Task::Binary);
    let [mut together, mut each] = [(); 2].map(|()| Linear::new(config, SHAPE).expect("possible"));
    let batch = stream.batch(0, 300);
    together.learn(&batch).expect("shapes fit");
    each.score_and_learn_each(&batch, &mut [0.0; 300]).expect("shapes fit");
    let state = |model: &Linear| {
        let mut bytes = Vec::new();
        model.write_state(&mut bytes).expect("a vector takes everything");
        bytes
    };
    assert!(state(&together) == state(&each));
}
