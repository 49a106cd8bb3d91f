//! Splits against a slow reference, nodes against their formula, and the forest on streams that a
//! linear model cannot learn or that turn over.

mod parts;

use pelton_kernels::cases::Draw;

use super::*;
use crate::ABSENT;
use crate::tests::{SHAPE, Stream, notes_of, saved, walk};

const CLASSES: Task = Task::MultiClass { classes: 3 };

/// Few nodes, short trials: what is rare comes often.
pub(crate) fn small(task: Task) -> ForestConfig {
    ForestConfig {
        trees: 4,
        nodes_max: 31,
        grace_rows: 20.0,
        trial_rows: 64.0,
        trial_errors: 1.0,
        warning: 0.3,
        ..ForestConfig::new(task)
    }
}

fn forest(config: ForestConfig) -> Forest {
    Forest::new(config, SHAPE).expect("possible")
}

/// The share of rows whose class is predicted.
fn right(scores: &[f32], labels: &[f32]) -> f64 {
    let outputs = scores.len() / labels.len();
    let is_right = |(scores, label): (&[f32], &f32)| match scores {
        [score] => (*score > 0.5) == (*label == 1.0),
        scores => scores.iter().all(|score| *score <= scores[*label as usize]),
    };
    let rows = scores.chunks_exact(outputs).zip(labels);
    rows.filter(|row| is_right(*row)).count() as f64 / labels.len() as f64
}

fn ring(x: f32, y: f32, category: u32) -> f32 {
    f32::from(u8::from(x * x + y * y < 0.5 || category < 8))
}

#[test]
fn it_learns_what_no_linear_model_can() {
    let stream = Stream::new(1, 8000, ring);
    let scores = walk(&mut forest(ForestConfig::new(Task::Binary)), &stream, 0, 8000);
    let share = right(&scores[4000..], &stream.labels[4000..]);
    assert!(share > 0.93, "{share}");
}

#[test]
fn it_learns_classes_and_values() {
    let stream = Stream::new(2, 8000, |x, y, category| match ring(x, y, category) {
        1.0 => 0.0,
        _ if x > y => 1.0,
        _ => 2.0,
    });
    let scores = walk(&mut forest(ForestConfig::new(CLASSES)), &stream, 0, 8000);
    assert!(scores.chunks_exact(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    let share = right(&scores[3 * 4000..], &stream.labels[4000..]);
    assert!(share > 0.85, "{share}");

    let stream = Stream::new(3, 8000, |x, y, category| 1000.0 + 50.0 * x * x * y + category as f32);
    let scores = walk(&mut forest(ForestConfig::new(Task::Regression)), &stream, 0, 8000);
    let rows = || scores[4000..].iter().zip(&stream.labels[4000..]);
    let error = rows().map(|(score, label)| f64::from(score - label).powi(2)).sum::<f64>();
    let spread = rows().map(|(_, label)| f64::from(label - 1019.5).powi(2)).sum::<f64>();
    assert!(error < 0.3 * spread, "{error} of {spread}");
}

/// A stream that is turned over is learned anew; the probabilities mean what they say.
#[test]
fn it_follows_a_stream_that_turns_over() {
    let mut stream = Stream::new(4, 16_000, ring);
    stream.labels[8000..].iter_mut().for_each(|label| *label = 1.0 - *label);
    let mut model = forest(ForestConfig::new(Task::Binary));
    let scores = walk(&mut model, &stream, 0, 16_000);
    let share = right(&scores[9000..10_000], &stream.labels[9000..10_000]);
    assert!(share > 0.8, "{share} soon after");
    let share = right(&scores[14_000..], &stream.labels[14_000..]);
    assert!(share > 0.9, "{share} long after");
    assert!(model.replaced() > 0);
}

/// Rare labels, thinned common ones: the mean of the scores is the share of positives.
#[test]
fn thinned_labels_leave_probabilities_as_they_are() {
    let mut stream = Stream::new(5, 40_000, |_, _, _| 0.0);
    for row in 0..40_000 {
        let chance = if stream.dense[2 * row] > 0.9 { 0.2 } else { 0.005 };
        stream.labels[row] = f32::from(u8::from(stream.draw.unit() < chance));
    }
    let scores = walk(&mut forest(ForestConfig::new(Task::Binary)), &stream, 0, 40_000);
    for is_high in [false, true] {
        let rows = (20_000..40_000).filter(|row| (stream.dense[2 * row] > 0.9) == is_high);
        let rows: Vec<usize> = rows.collect();
        let of = |numbers: &[f32]| rows.iter().map(|row| f64::from(numbers[*row])).sum::<f64>();
        let (said, came) = (of(&scores), of(&stream.labels));
        assert!((said / came - 1.0).abs() < 0.25, "{said} said, {came} came");
    }
}

#[test]
fn a_number_that_is_none_changes_nothing() {
    let stream = Stream::new(8, 600, ring);
    let mut model = forest(small(Task::Binary));
    walk(&mut model, &stream, 0, 600);
    let before = saved(&model);
    let notes = notes_of(&model, &stream, 0, 1);
    let (dense, sparse) = (&[f32::INFINITY, 0.0], &[ABSENT]);
    let features = Features { rows: 1, dense, sparse, notes: &notes };
    let batch = LabeledBatch { features, labels: &[1.0], weights: &[1.0] };
    let mut out = [0.0];
    let outcome = model.score_and_learn_each(&batch, &mut out).expect("the shapes fit");
    assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 });
    assert!(out[0].is_finite() && saved(&model) == before);
    assert!(Forest::new(ForestConfig { trees: 0, ..small(Task::Binary) }, SHAPE).is_err());
}

/// The largest labels and weights there may be overflow nothing that matters.
#[test]
fn extreme_values_stay_numbers() {
    let mut stream = Stream::new(9, 3000, |x, _, _| if x > 0.0 { 1e12 } else { -1e12 });
    stream.dense.iter_mut().for_each(|number| *number *= f32::MAX);
    let mut model = forest(small(Task::Regression));
    for from in (0..3000).step_by(100) {
        let notes = notes_of(&model, &stream, from, from + 100);
        let (features, labels) = stream.batch(&notes, from, from + 100);
        let batch = LabeledBatch { features, labels, weights: &[1e4; 100] };
        let mut out = [0.0; 100];
        model.score_and_learn_each(&batch, &mut out).expect("the shapes fit");
        assert!(out.iter().all(|score| score.abs() <= 1.1e12), "{out:?}");
    }
    let bytes = saved(&model);
    forest(small(Task::Regression)).read_state(&mut &bytes[..]).expect("own bytes");
}

/// Rows of nothing: a forest of constants.
#[test]
fn without_columns_it_predicts_the_share() {
    let shape = FeatureShape { dense_width: 0, sparse_width: 0, sparse_bits: 1 };
    let mut model = Forest::new(ForestConfig::new(Task::Binary), shape).expect("possible");
    let features = Features { rows: 1, dense: &[], sparse: &[], notes: &[] };
    let mut draw = Draw::new(10);
    for _ in 0..5000 {
        let labels = &[f32::from(u8::from(draw.unit() < 0.3))];
        model.learn(&LabeledBatch { features, labels, weights: &[1.0] }).expect("they fit");
    }
    let mut out = [0.0];
    model.score(&features, &mut out).expect("the shapes fit");
    assert!((out[0] - 0.3).abs() < 0.1, "{out:?}");
}
