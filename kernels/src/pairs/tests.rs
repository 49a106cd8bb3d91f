//! Pairs against the sum over all of them in double precision, and derivatives against differences.

use proptest::prelude::*;

use super::*;
use crate::cases::Draw;

/// The sum over all pairs, as it is defined, of one expert's weights.
fn brute(pairs: Pairs, weights: &[f64], inputs: &[Input], shift: usize) -> f64 {
    let mut sum = 0.0;
    for (index, one) in inputs.iter().enumerate() {
        for other in &inputs[index + 1..] {
            let [left, right] = match pairs.form {
                Form::Shared => [one.at, other.at],
                Form::ByField { .. } => {
                    [one.at + other.field * pairs.factors, other.at + one.field * pairs.factors]
                }
            };
            let product = (0..pairs.factors)
                .map(|factor| weights[left + shift + factor] * weights[right + shift + factor])
                .sum::<f64>();
            sum += product * f64::from(one.value) * f64::from(other.value);
        }
    }
    sum
}

/// Cells and a row of `columns` inputs among them.
fn drawn(form: usize, columns: usize, seed: u64) -> (Pairs, Vec<BlendCell>, Vec<Input>, usize) {
    let form = [Form::Shared, Form::ByField { fields: columns }][form];
    let mut draw = Draw::new(seed);
    let pairs = Pairs { form, factors: 1 + (draw.bits() % 8) as usize };
    let (rows, shift) = (columns + 3, (draw.bits() % 5) as usize);
    let count = rows * pairs.width() + shift;
    let mut lanes = |low: f32, high: f32| -> Lanes {
        std::array::from_fn(|_| low + (high - low) * draw.unit())
    };
    let cell = |_| BlendCell { weights: lanes(-0.5, 0.5), variances: lanes(0.01, 0.3) };
    let cells = (0..count).map(cell).collect();
    let mut draw = Draw::new(seed ^ 1);
    let input = |field| {
        // Each a row of its own, in another order.
        let at = (rows - 1 - field) * pairs.width();
        Input { at, field, value: draw.unit() * 4.0 - 2.0 }
    };
    let inputs = (0..columns).map(input).collect();
    (pairs, cells, inputs, shift)
}

fn lane_of(cells: &[BlendCell], lane: usize) -> Vec<f64> {
    cells.iter().map(|cell| f64::from(cell.weights[lane])).collect()
}

proptest! {
    #[test]
    fn a_score_is_the_sum_over_all_pairs(form in 0_usize..2, columns in 0_usize..12, seed: u64) {
        let (pairs, cells, inputs, shift) = drawn(form, columns, seed);
        let mut sums = vec![[f32::NAN; EXPERTS]; pairs.factors];
        let score = pairs.score(&cells, (&inputs, shift), &mut sums);
        for lane in 0..EXPERTS {
            let wanted = brute(pairs, &lane_of(&cells, lane), &inputs, shift);
            prop_assert!((f64::from(score[lane]) - wanted).abs() < 2e-5, "{score:?} {wanted}");
        }
    }

    #[test]
    fn derivatives_are_those_of_the_score(form in 0_usize..2, columns in 2_usize..9, seed: u64) {
        let (pairs, cells, inputs, shift) = drawn(form, columns, seed);
        let mut sums = vec![[0.0; EXPERTS]; pairs.factors];
        pairs.score(&cells, (&inputs, shift), &mut sums);
        let mut seen = vec![[0.0_f32; EXPERTS]; cells.len()];
        pairs.see(&cells, (&inputs, shift), &sums, |at, derivative| {
            for (seen, derivative) in seen[at].iter_mut().zip(derivative) {
                *seen += derivative;
            }
        });
        for lane in 0..EXPERTS {
            let mut weights = lane_of(&cells, lane);
            for (at, seen) in seen.iter().enumerate() {
                let (own, step) = (weights[at], 1e-4);
                let mut moved = |by: f64| {
                    weights[at] = own + by;
                    brute(pairs, &weights, &inputs, shift)
                };
                let wanted = (moved(step) - moved(-step)) / (2.0 * step);
                weights[at] = own;
                let error = (f64::from(seen[lane]) - wanted).abs();
                prop_assert!(error < 2e-5, "cell {at}: {} {wanted}", seen[lane]);
            }
        }
    }

    /// A step is `w + pull P g` with every derivative as it was before, and the variance loses
    /// `reduction (P g)^2`, grows, and stays in its bounds; nothing else moves.
    #[test]
    fn a_step_is_that_of_the_filter(form in 0_usize..2, columns in 2_usize..9, seed: u64) {
        let (pairs, cells, inputs, shift) = drawn(form, columns, seed);
        let mut sums = vec![[0.0; EXPERTS]; pairs.factors];
        pairs.score(&cells, (&inputs, shift), &mut sums);
        let spreads = pairs.spreads(&cells, (&inputs, shift), &sums);
        let step = BlendStep {
            pulls: [0.4, -0.3, 0.9, -0.1],
            reductions: [0.2, 0.1, 0.0, 0.0],
            inflations: [1.01, 1.5, 1.0, 1.0],
            priors: [0.3; EXPERTS],
            l1: 0.0,
            l2: 0.0,
        };
        let (mut wanted, mut spread) = (cells.clone(), [0.0_f32; EXPERTS]);
        pairs.see(&cells, (&inputs, shift), &sums, |at, derivative| {
            for (lane, derivative) in derivative.into_iter().enumerate() {
                let variance = cells[at].variances[lane];
                spread[lane] += variance * derivative * derivative;
                let moved = variance * derivative;
                wanted[at].weights[lane] += step.pulls[lane] * moved;
                let reduced = variance - step.reductions[lane] * moved * moved;
                let next = reduced * step.inflations[lane];
                wanted[at].variances[lane] = next.clamp(VARIANCE_MIN, 0.3);
            }
        });
        let mut learned = cells.clone();
        pairs.learn(&mut learned, (&inputs, shift), &sums, &step);
        let numbers = |cell: &BlendCell| [cell.weights, cell.variances].concat();
        for (at, (learned, wanted)) in learned.iter().zip(&wanted).enumerate() {
            for (learned, wanted) in numbers(learned).iter().zip(numbers(wanted)) {
                prop_assert!((learned - wanted).abs() < 1e-5, "cell {at}: {learned} {wanted}");
            }
        }
        for lane in 0..EXPERTS {
            prop_assert!((spreads[lane] - spread[lane]).abs() < 1e-4 * (1.0 + spread[lane]));
        }
    }
}

/// However hard it is pulled, nothing leaves its bounds.
#[test]
fn a_wild_step_stays_inside() {
    for form in 0..2 {
        let (pairs, mut cells, inputs, shift) = drawn(form, 6, 3);
        let mut sums = vec![[0.0; EXPERTS]; pairs.factors];
        let priors = [0.3; EXPERTS];
        let step = BlendStep {
            pulls: [1e9, -1e9, 1e20, -1e20],
            reductions: [1e9; EXPERTS],
            inflations: [1.5; EXPERTS],
            priors,
            l1: 0.0,
            l2: 0.0,
        };
        for _ in 0..100 {
            pairs.score(&cells, (&inputs, shift), &mut sums);
            pairs.learn(&mut cells, (&inputs, shift), &sums, &step);
            for cell in &cells {
                assert!(cell.weights.iter().all(|weight| weight.abs() <= LIMIT));
                let is_inside = |variance: &f32| *variance >= VARIANCE_MIN && *variance <= 0.3;
                assert!(cell.variances.iter().all(is_inside));
            }
        }
    }
}
