//! The optimisers and the blend again, in double precision and without shared code.

use super::*;

/// One row's inputs as (coordinate, value): dense, bias, sparse.
fn inputs(stream: &Stream, row: usize) -> Vec<(usize, f64)> {
    let dense = stream.dense[row * 3..row * 3 + 3].iter().map(|value| f64::from(*value));
    let present = stream.sparse[row * 2..row * 2 + 2].iter().filter(|index| **index != ABSENT);
    let all = dense.chain([1.0]).enumerate();
    all.chain(present.map(|index| (4 + *index as usize, 1.0))).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The pull `t = sigmoid(-(margin + reach t))` by bisection.
fn pull(margin: f64, reach: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if middle > sigmoid(-(margin + reach * middle)) { high = middle } else { low = middle }
    }
    high
}

#[test]
fn adagrad_and_ftrl_follow_their_papers() {
    let stream = stream(Task::Binary, 1_500, 700, 20);
    for optimizer in [Optimizer::ADAGRAD, Optimizer::FTRL] {
        let (mut weights, mut sums, mut zs) = ([0.0; 300], [0.0_f64; 300], [0.0_f64; 300]);
        for (row, given) in
            run(&mut model(Task::Binary, optimizer), &stream).into_iter().enumerate()
        {
            let inputs = inputs(&stream, row);
            let score: f64 = inputs.iter().map(|(index, value)| weights[*index] * value).sum();
            assert!((f64::from(given) - sigmoid(score)).abs() < 1e-4, "{optimizer:?} row {row}");
            for (index, value) in inputs {
                let g = (sigmoid(score) - f64::from(stream.labels[row])) * value;
                let before = sums[index];
                sums[index] += g * g;
                if let Optimizer::Ftrl { .. } = optimizer {
                    zs[index] += g - (sums[index].sqrt() - before.sqrt()) / 0.1 * weights[index];
                    weights[index] = -zs[index] / ((1.0 + sums[index].sqrt()) / 0.1);
                } else {
                    weights[index] -= 0.05 * g / (sums[index].sqrt() + 1e-8);
                }
            }
        }
    }
}

/// Two filters with covariances as matrices over dense inputs, two descents, and their mixture.
struct Reference {
    weights: [[f64; 300]; 4],
    matrices: [[[f64; 4]; 4]; 2],
    variances: [[f64; 300]; 2],
    mixture: [f64; 4],
}

impl Reference {
    fn new() -> Reference {
        let matrix = |prior| {
            std::array::from_fn(|i| std::array::from_fn(|j| if i == j { prior } else { 0.0 }))
        };
        Reference {
            weights: [[0.0; 300]; 4],
            matrices: [matrix(1.0), matrix(0.1)],
            variances: [[1.0; 300], [0.1; 300]],
            mixture: [0.25; 4],
        }
    }

    fn scores(&self, inputs: &[(usize, f64)]) -> [f64; 4] {
        std::array::from_fn(|e| inputs.iter().map(|(index, x)| self.weights[e][*index] * x).sum())
    }

    /// `P x`, over dense and sparse coordinates.
    fn projected(&self, filter: usize, inputs: &[(usize, f64)]) -> Vec<f64> {
        let entry = |i: usize, j: usize| match (i < 4, i == j) {
            (true, _) if j < 4 => self.matrices[filter][i][j],
            (false, true) => self.variances[filter][i],
            _ => 0.0,
        };
        inputs.iter().map(|(i, _)| inputs.iter().map(|(j, x)| entry(*i, *j) * x).sum()).collect()
    }

    fn learn(&mut self, inputs: &[(usize, f64)], label: f64) {
        let scores = self.scores(inputs);
        let sign = 2.0 * label - 1.0;
        let length: f64 = inputs.iter().map(|(_, x)| x * x).sum();
        let kept: [f64; 4] =
            std::array::from_fn(|e| self.mixture[e] * sigmoid(sign * scores[e]).sqrt());
        self.mixture =
            kept.map(|kept_one| (1.0 - 1e-5) * kept_one / kept.iter().sum::<f64>() + 1e-5 / 4.0);
        for (filter, (forgetting, prior)) in [(5e-4, 1.0), (8e-3, 0.1)].into_iter().enumerate() {
            let moved = self.projected(filter, inputs);
            let spread: f64 = moved.iter().zip(inputs).map(|(p, (_, x))| p * x).sum();
            let t = pull(sign * scores[filter], spread);
            let h = t * (1.0 - t) / (1.0 + t * (1.0 - t) * spread);
            let inflation = 1.0 + forgetting * 4.0 * t * (1.0 - t);
            for (place, (index, _)) in inputs.iter().enumerate() {
                self.weights[filter][*index] += sign * t * moved[place];
                if *index >= 4 {
                    let next =
                        (self.variances[filter][*index] - h * moved[place].powi(2)) * inflation;
                    self.variances[filter][*index] = next.min(prior);
                }
            }
            let matrix = &mut self.matrices[filter];
            for i in 0..4 {
                for j in 0..4 {
                    matrix[i][j] = (matrix[i][j] - h * moved[i] * moved[j]) * inflation;
                }
            }
            let shrinks: [f64; 4] = std::array::from_fn(|i| (prior / matrix[i][i]).sqrt().min(1.0));
            for (i, row) in matrix.iter_mut().enumerate() {
                row.iter_mut().enumerate().for_each(|(j, entry)| *entry *= shrinks[i] * shrinks[j]);
            }
        }
        for (expert, rate) in [(2, 0.05), (3, 0.5)] {
            let step = sign * rate * pull(sign * scores[expert], rate * length);
            inputs.iter().for_each(|(index, x)| self.weights[expert][*index] += step * x);
        }
    }
}

#[test]
fn the_blend_is_two_filters_two_descents_and_their_mixture() {
    let stream = stream(Task::Binary, 3_000, 2_000, 21);
    let mut reference = Reference::new();
    for (row, given) in
        run(&mut model(Task::Binary, Optimizer::AUTO), &stream).into_iter().enumerate()
    {
        let inputs = inputs(&stream, row);
        let scores = reference.scores(&inputs);
        let pooled: f64 = (0..4).map(|e| reference.mixture[e] * scores[e].clamp(-15.0, 15.0)).sum();
        let error = (f64::from(given) - sigmoid(pooled)).abs();
        assert!(error < 2e-3, "row {row}: {given}, not {}", sigmoid(pooled));
        reference.learn(&inputs, f64::from(stream.labels[row]));
    }
    println!("mixture {:?}", reference.mixture);
}

/// A step of plain descent is minus the derivative of the loss, by central differences.
#[test]
fn gradients_are_the_derivatives_of_the_loss() {
    for (task, labels) in [(Task::Binary, 2), (Task::MultiClass { classes: 3 }, 3)] {
        let link = super::link::Link::new(task, 1.0);
        let shape = FeatureShape { dense_width: 0, sparse_width: 0, sparse_bits: 0 };
        let rule = FtrlProximal { alpha: 1.0, beta: 1.0, l1: 0.0, l2: 0.0 };
        let mut learner = super::coordinates::Coordinates::new(rule, link.clone(), shape, 0, None);
        for label in 0..labels {
            let scores = [0.7, -0.4, 0.2];
            let scores = &scores[..link.outputs];
            let gradients = learner.gradients_at(scores, label as f32);
            for (class, gradient) in gradients.into_iter().enumerate() {
                let at = |moved: f32| {
                    let mut scores = scores.to_vec();
                    scores[class] += moved;
                    f64::from(link.loss(&scores, label as f32))
                };
                let slope = (at(0.01) - at(-0.01)) / 0.02;
                assert!((f64::from(gradient) - slope).abs() < 1e-4, "{task:?} {label} {class}");
            }
        }
    }
}
