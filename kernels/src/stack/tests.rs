//! The stack against a filter with a plain matrix, and on experts that are too sure.

use super::*;
use crate::cases::Draw;
use crate::implicit::pulls;
use crate::math::{log_loss, sigmoid};

/// Learns the examples of two experts' scores; the mean loss of the last half.
fn walk(
    stack: &mut Stack,
    rows: usize,
    mut draw_row: impl FnMut(usize) -> ([f32; 2], bool),
) -> f64 {
    let mut loss = 0.0;
    for row in 0..rows {
        let (scores, is_positive) = draw_row(row);
        let pooled = 0.5 * (scores[0] + scores[1]);
        let score = stack.score(pooled, &scores);
        if row >= rows / 2 {
            loss += log_loss(f64::from(score), is_positive) / (rows / 2) as f64;
        }
        let sign = if is_positive { 1.0 } else { -1.0 };
        let spread = stack.spread(pooled, &scores);
        let [pull, ..] = pulls([sign * score; 4], [spread; 4]);
        stack.learn(spread, sign * pull, (pull * (1.0 - pull)).max(1e-7), 1.0);
    }
    loss
}

#[test]
fn it_begins_as_the_pool() {
    let stack = Stack::new(4);
    assert_eq!(stack.score(0.7, &[1.0, -2.0, 30.0, 4.0]), 0.7);
    assert_eq!(stack.score(99.0, &[0.0; 4]), SCORE_MAX);
}

/// Two experts that each see a half of the truth and are three times too sure: the best score is
/// their sum over three, which no weights that sum to one can say.
#[test]
fn it_learns_what_no_pool_can_say() {
    let mut draw = Draw::new(5);
    let [mut best, mut pool] = [0.0; 2];
    let rows = 40_000;
    let mut stack = Stack::new(2);
    let loss = walk(&mut stack, rows, |row| {
        let parts = [(); 2].map(|()| 3.0 * draw.unit() - 1.5);
        let truth = f64::from(parts[0] + parts[1]);
        let is_positive = f64::from(draw.unit()) < sigmoid(truth);
        if row >= rows / 2 {
            best += log_loss(truth, is_positive) / (rows / 2) as f64;
            pool += log_loss(1.5 * truth, is_positive) / (rows / 2) as f64;
        }
        (parts.map(|part| 3.0 * part), is_positive)
    });
    assert!(loss < best + 0.1 * (pool - best), "{loss}, best {best}, pool {pool}");
}

/// The same weights as a filter that multiplies its matrix out, in double precision.
#[test]
fn it_is_the_filter() {
    let (mut draw, mut stack) = (Draw::new(6), Stack::new(2));
    let mut weights = [1.0, 0.0, 0.0, 0.0];
    let mut matrix = [[0.0; 4]; 4];
    (0..4).for_each(|at| matrix[at][at] = PRIOR);
    for _ in 0..300 {
        let scores = [(); 2].map(|()| 8.0 * draw.unit() - 4.0);
        let x = [0.5_f32, scores[0], scores[1], 1.0].map(f64::from);
        let pull = f64::from(draw.unit()) - 0.5;
        let moved: [f64; 4] =
            std::array::from_fn(|row| (0..4).map(|at| matrix[row][at] * x[at]).sum());
        let spread: f64 = (0..4).map(|at| x[at] * moved[at]).sum();
        let given = stack.spread(0.5, &scores);
        assert!((f64::from(given) - spread).abs() < 1e-6 * (1.0 + spread));
        // Without forgetting (no information is too little to forget by), the bound never binds.
        let information = 0.2;
        stack.learn(given, pull as f32, information as f32, 1.0);
        let reduction = information / (1.0 + information * spread);
        for row in 0..4 {
            weights[row] += f64::from(pull as f32) * moved[row];
            for at in 0..4 {
                matrix[row][at] -= reduction * moved[row] * moved[at];
                matrix[row][at] *= 1.0 + FORGETTING * 4.0 * information;
            }
        }
        let worst: f64 = (0..4).map(|at| matrix[at][at]).fold(0.0, f64::max);
        if worst > PRIOR {
            break;
        }
        for (given, wanted) in stack.weights().iter().zip(weights) {
            assert!((given - wanted).abs() < 1e-5, "{given} {wanted}");
        }
    }
}

#[test]
fn it_is_written_and_read_whole() {
    let mut draw = Draw::new(7);
    let mut stack = Stack::new(2);
    let mut row = |_| ([draw.unit() * 4.0 - 2.0, draw.unit()], draw.unit() < 0.5);
    walk(&mut stack, 500, &mut row);
    let saved = |stack: &Stack| {
        let mut bytes = Vec::new();
        stack.write(&mut StateWriter::new(&mut bytes)).expect("a vector takes all bytes");
        bytes
    };
    let bytes = saved(&stack);
    let mut other = Stack::new(2);
    other.read(&mut StateReader::new(&mut &bytes[..])).expect("own bytes");
    assert!(saved(&other) == bytes);
    let mut again = Draw::new(8);
    let mut row = |_| ([again.unit() * 4.0 - 2.0, again.unit()], again.unit() < 0.5);
    walk(&mut stack, 100, &mut row);
    let mut again = Draw::new(8);
    let mut row = |_| ([again.unit() * 4.0 - 2.0, again.unit()], again.unit() < 0.5);
    walk(&mut other, 100, &mut row);
    assert!(saved(&other) == saved(&stack));
    let mut damaged = bytes.clone();
    damaged[..8].copy_from_slice(&f64::NAN.to_le_bytes());
    assert!(other.read(&mut StateReader::new(&mut &damaged[..])).is_err());
}
