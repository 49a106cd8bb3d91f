//! Calibrations against direct solutions, and the wrapped model against itself cut in other ways.

use super::*;
use crate::linear::{Linear, LinearConfig};
use crate::{FeatureShape, Task};
use pelton_kernels::hash::mix64;
use pelton_kernels::math::{logit, sigmoid};
use pelton_kernels::tally::loss;
use proptest::prelude::*;

const HOW: [Calibration; 2] = [Calibration::Platt, Calibration::Isotonic];
const SHAPE: FeatureShape = FeatureShape { dense_width: 2, sparse_width: 1, sparse_bits: 6 };

fn uniform(seed: u64) -> f64 {
    (mix64(seed) >> 11) as f64 / (1_u64 << 53) as f64
}

/// (raw score, label): labels follow `sigmoid(z)`, scores are `sigmoid(slope z + offset)`.
fn distorted(rows: u64, [mean, slope, offset]: [f64; 3]) -> Vec<(f32, f32)> {
    let row = |at: u64| {
        let spread: f64 = (0..6).map(|part| uniform(at * 8 + part) - 0.5).sum();
        let z = mean + 2.0 * spread;
        let label = f32::from(u8::from(uniform(at * 8 + 7) < sigmoid(z)));
        (sigmoid(slope * z + offset) as f32, label)
    };
    (1..=rows).map(row).collect()
}

/// Mean loss of the raw and of the calibrated scores, each judged before it is learned.
fn losses(how: Calibration, rows: &[(f32, f32)]) -> [f64; 2] {
    let mut own = Own::new(how);
    let mut sums = [0.0; 2];
    for &(raw, label) in rows {
        let mut score = raw;
        own.apply(&mut score);
        for (sum, score) in sums.iter_mut().zip([raw, score]) {
            *sum += loss(f64::from(if label == 1.0 { score } else { 1.0 - score }));
        }
        own.observe(raw, label, 1.0);
    }
    sums.map(|sum| sum / rows.len() as f64)
}

/// Slope and offset of least loss over all rows, by plain Newton steps in double precision.
fn solved(rows: &[(f32, f32)]) -> [f64; 2] {
    let mut at = [1.0, 0.0];
    for _ in 0..50 {
        let (mut g, mut h) = ([0.0; 2], [0.0; 3]);
        for &(score, label) in rows {
            let x = logit(f64::from(score));
            let q = 1.0 / (1.0 + (-(at[0] * x + at[1])).exp());
            let (miss, w) = (f64::from(label) - q, q * (1.0 - q));
            g = [g[0] + miss * x, g[1] + miss];
            h = [h[0] + w * x * x, h[1] + w * x, h[2] + w];
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        at[0] += (h[2] * g[0] - h[1] * g[1]) / determinant;
        at[1] += (h[0] * g[1] - h[1] * g[0]) / determinant;
    }
    at
}

#[test]
fn platt_finds_what_newton_over_all_rows_finds() {
    for shape in [[0.0, 2.0, 1.0], [-3.0, 0.5, 0.7], [-5.0, 1.5, 3.0]] {
        let rows = distorted(60_000, shape);
        let (expected, mut own) = (solved(&rows), Platt::new());
        // A window holds a part of the rows: over time its noise cancels.
        let (mut sums, mut count) = ([0.0; 2], 0.0);
        for (at, row) in rows.iter().enumerate() {
            own.observe(row.0, row.1 == 1.0, 1.0);
            if at > 10_000 && at % 100 == 0 {
                let [low, high] = [0.25, 0.75].map(|score| logit(f64::from(own.apply(score))));
                let slope = (high - low) / (logit(0.75) - logit(0.25));
                sums = [sums[0] + slope, sums[1] + 0.5 * (low + high)];
                count += 1.0;
            }
        }
        for (sum, expected) in sums.iter().zip(expected) {
            let gap = sum / count - expected;
            assert!(gap.abs() < 0.06 * (1.0 + expected.abs()), "{shape:?}: {gap} of {expected}");
        }
    }
}

fn learned(how: Calibration, rows: &[(f32, f32)]) -> Own {
    let mut own = Own::new(how);
    rows.iter().for_each(|row| own.observe(row.0, row.1, 1.0));
    own
}

#[test]
fn wrong_scores_are_put_right_and_right_ones_hardly_touched() {
    for how in HOW {
        for shape in [[0.0, 2.5, 1.0], [-1.0, 0.4, -1.0], [-4.0, 1.0, 2.5]] {
            let [raw, calibrated] = losses(how, &distorted(40_000, shape));
            assert!(calibrated < 0.97 * raw, "{how:?} {shape:?}: {raw} {calibrated}");
        }
        for mean in [0.0, -2.0, -5.0] {
            let [raw, calibrated] = losses(how, &distorted(40_000, [mean, 1.0, 0.0]));
            assert!(calibrated < 1.015 * raw, "{how:?} {mean}: {raw} {calibrated}");
        }
    }
}

proptest! {
    /// The rising means are max over beginnings of min over ends of the mean between (Barlow et
    /// al. 1972, the min-max formula).
    #[test]
    fn pooling_equals_the_min_max_formula(
        bins in prop::collection::vec((1_u32..9, 0.0..=1.0_f64), 1..25)
    ) {
        let bins: Vec<Pool> = bins
            .iter()
            .map(|&(rows, mean)| Pool {
                rows: f64::from(rows), scores: 0.0, labels: f64::from(rows) * mean,
            })
            .collect();
        let mean = |a: usize, b: usize| {
            bins[a..=b].iter().fold(Pool::default(), |all, bin| all.and(*bin)).mean()
        };
        let mut at = 0;
        for pool in pooled(&bins) {
            let mut rows = 0.0;
            while rows < pool.rows {
                let best = (0..=at)
                    .map(|a| (at..bins.len()).map(|b| mean(a, b)).fold(f64::MAX, f64::min))
                    .fold(f64::MIN, f64::max);
                prop_assert!((pool.mean() - best).abs() < 1e-9);
                rows += bins[at].rows;
                at += 1;
            }
        }
        prop_assert_eq!(at, bins.len());
    }

    #[test]
    fn the_order_of_scores_stays(seed in any::<u64>(), a in 0.0_f32..=1.0, b in 0.0_f32..=1.0) {
        let noise = |at: u64| uniform(seed ^ at) as f32;
        let rows: Vec<_> = (0..3000)
            .map(|at| (noise(2 * at), f32::from(u8::from(noise(2 * at + 1) < 0.2))))
            .collect();
        for how in HOW {
            let own = learned(how, &rows);
            let [mut low, mut high] = [a.min(b), a.max(b)];
            own.apply(&mut low);
            own.apply(&mut high);
            prop_assert!(low <= high && low >= 0.0 && high <= 1.0, "{low} {high}");
        }
    }
}

struct Rows {
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

impl Rows {
    fn new(count: u64) -> Rows {
        let mut rows = Rows { dense: vec![], sparse: vec![], labels: vec![], weights: vec![] };
        for at in 0..count {
            let x = uniform(at * 4) as f32;
            rows.dense.extend([x, uniform(at * 4 + 1) as f32]);
            rows.sparse.push((mix64(at) % 64) as u32);
            rows.labels.push(f32::from(u8::from((uniform(at * 4 + 2) as f32) < x)));
            rows.weights.push(1.0);
        }
        rows
    }

    fn batch(&self, from: usize, to: usize) -> LabeledBatch<'_> {
        LabeledBatch {
            features: Features {
                rows: to - from,
                dense: &self.dense[2 * from..2 * to],
                sparse: &self.sparse[from..to],
                notes: &[],
            },
            labels: &self.labels[from..to],
            weights: &self.weights[from..to],
        }
    }
}

fn model(how: Calibration) -> Calibrated<dyn Model> {
    let linear = Linear::new(LinearConfig::new(Task::Binary), SHAPE).unwrap();
    Calibrated::new(Box::new(linear) as Box<dyn Model>, how).unwrap()
}

fn state(model: &dyn Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write_state(&mut bytes).unwrap();
    bytes
}

#[test]
fn cuts_change_no_bit() {
    let mut rows = Rows::new(2500);
    (rows.dense[200], rows.labels[300], rows.weights[400]) = (f32::NAN, 0.5, f32::NAN);
    for how in HOW {
        let [mut one, mut two, mut three] = [model(how), model(how), model(how)];
        let [mut a, mut b, mut c] = [vec![0.0; 2500], vec![0.0; 2500], vec![0.0; 2500]];
        for row in 0..2500 {
            let batch = rows.batch(row, row + 1);
            one.score(&batch.features, &mut a[row..=row]).unwrap();
            one.learn(&batch).unwrap();
            two.score_and_learn_each(&batch, &mut b[row..=row]).unwrap();
        }
        for from in (0..2500).step_by(100) {
            let batch = rows.batch(from, from + 100);
            let outcome = three.score_and_learn_each(&batch, &mut c[from..from + 100]).unwrap();
            let refused = u64::from([100, 300, 400].contains(&from));
            assert_eq!((outcome.learned, outcome.refused), (100 - refused, refused), "{from}");
        }
        let bits = |scores: &[f32]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&a), bits(&b));
        assert_eq!(bits(&a), bits(&c));
        assert!(state(&one) == state(&two) && state(&one) == state(&three));
    }
}

#[test]
fn a_refused_row_changes_nothing() {
    let mut rows = Rows::new(1);
    for how in HOW {
        for (value, label, weight) in
            [(f32::NAN, 1.0, 1.0), (0.5, 0.5, 1.0), (0.5, f32::NAN, 1.0), (0.5, 1.0, f32::NAN)]
        {
            (rows.dense[0], rows.labels[0], rows.weights[0]) = (value, label, weight);
            let mut given = model(how);
            let before = state(&given);
            assert_eq!(given.learn(&rows.batch(0, 1)).unwrap().refused, 1);
            assert!(state(&given) == before, "{value} {label} {weight}");
        }
    }
}

#[test]
fn a_state_is_whole_or_refused() {
    let rows = Rows::new(20_000);
    for how in HOW {
        let mut whole = model(how);
        whole.learn(&rows.batch(0, 19_000)).unwrap();
        let bytes = state(&whole);
        let mut other = model(how);
        other.read_state(&mut bytes.as_slice()).unwrap();
        assert!(state(&other) == bytes);
        // What was learned after it is the same as well, window and all.
        for from in [19_000, 19_500] {
            whole.learn(&rows.batch(from, from + 500)).unwrap();
            other.learn(&rows.batch(from, from + 500)).unwrap();
        }
        assert!(state(&other) == state(&whole));
        let before = state(&other);
        for length in (0..bytes.len()).step_by(97) {
            assert!(other.read_state(&mut &bytes[..length]).is_err(), "{length}");
        }
        let mut damaged = bytes.clone();
        damaged[16..24].fill(0xFF);
        assert!(other.read_state(&mut damaged.as_slice()).is_err());
        assert!(state(&other) == before);
    }
    let mut another = model(Calibration::Isotonic);
    assert!(another.read_state(&mut state(&model(Calibration::Platt)).as_slice()).is_err());
}

#[test]
fn it_goes_back_to_what_was_kept() {
    let rows = Rows::new(3000);
    for how in HOW {
        let mut given = model(how);
        given.learn(&rows.batch(0, 1000)).unwrap();
        given.keep().unwrap();
        let kept = state(&given);
        given.learn(&rows.batch(1000, 2000)).unwrap();
        given.keep().unwrap();
        let (mut bytes, mut again) = (Vec::new(), Vec::new());
        given.write_kept(&mut bytes).unwrap();
        let mut other = model(how);
        other.read_state(&mut state(&given).as_slice()).unwrap();
        other.read_kept(&mut bytes.as_slice()).unwrap();
        other.write_kept(&mut again).unwrap();
        assert!(bytes == again);
        for mut model in [given, other] {
            model.learn(&rows.batch(2000, 3000)).unwrap();
            model.go_back().unwrap();
            assert!(state(&model) == kept);
            model.forget_oldest();
        }
    }
}

#[test]
fn only_binary_scores_are_calibrated() {
    let classes = LinearConfig::new(Task::MultiClass { classes: 3 });
    let linear = Linear::new(classes, SHAPE).unwrap();
    assert!(Calibrated::new(Box::new(linear), Calibration::Platt).is_err());
}
