//! Splits against a slow reference, nodes against their formula, and the forest on streams that a
//! linear model cannot learn or that turn over.

mod parts;

use pelton_kernels::cases::Draw;
use proptest::prelude::*;

use super::*;
use crate::ABSENT;

const SHAPE: FeatureShape = FeatureShape { dense_width: 2, sparse_width: 1, sparse_bits: 6 };
const CLASSES: Task = Task::MultiClass { classes: 3 };

/// Two numbers in -1..1 and a category of 40, sometimes absent, with a label of them.
struct Stream {
    draw: Draw,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
}

impl Stream {
    fn new(seed: u64, rows: usize, label: impl Fn(f32, f32, u32) -> f32) -> Stream {
        let draw = Draw::new(seed);
        let mut stream = Stream { draw, dense: vec![], sparse: vec![], labels: vec![] };
        for _ in 0..rows {
            let [x, y] = [(); 2].map(|()| stream.draw.unit() * 2.0 - 1.0);
            let category = (stream.draw.unit() * 40.0) as u32;
            stream.dense.extend([x, y]);
            stream.sparse.push(if category == 39 { ABSENT } else { category });
            stream.labels.push(label(x, y, category));
        }
        stream
    }

    fn batch(&self, from: usize, to: usize) -> (Features<'_>, &[f32]) {
        let (dense, sparse) = (&self.dense[2 * from..2 * to], &self.sparse[from..to]);
        (Features { rows: to - from, dense, sparse, notes: &[] }, &self.labels[from..to])
    }
}

/// Few nodes, short trials: what is rare comes often.
fn small(task: Task) -> ForestConfig {
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

/// Scores and learns the rows from one to another; the scores.
fn walk(model: &mut Forest, stream: &Stream, from: usize, to: usize) -> Vec<f32> {
    let (features, labels) = stream.batch(from, to);
    let weights = vec![1.0; to - from];
    let mut scores = vec![0.0; (to - from) * model.outputs()];
    let batch = LabeledBatch { features, labels, weights: &weights };
    model.score_and_learn_each(&batch, &mut scores).expect("the shapes fit");
    assert!(scores.iter().all(|score| score.is_finite()));
    scores
}

fn saved(model: &Forest) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write_state(&mut bytes).expect("a vector takes all bytes");
    bytes
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

fn task(kind: usize) -> (Task, impl Fn(f32, f32, u32) -> f32) {
    let classes = if kind == 1 { 3.0 } else { 2.0 };
    let label = move |x: f32, y: f32, _| ((x * y + 1.0) / 2.0 * classes).floor();
    ([Task::Binary, CLASSES, Task::Regression][kind], label)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Wherever the stream is cut: saved and read, kept and gone back to, it goes on to the bit.
    #[test]
    fn a_restart_and_a_way_back_show_nothing(seed: u64, cut in 0_usize..2500, kind in 0_usize..3) {
        let (task, label) = task(kind);
        let stream = Stream::new(seed, 2600, label);
        let mut whole = forest(small(task));
        // States are kept now and then; of those before the cut one is left, which lies behind a
        // copy or is one.
        for from in (0..cut).step_by(300) {
            whole.keep().expect("kept");
            walk(&mut whole, &stream, from, cut.min(from + 300));
        }
        let bytes = saved(&whole);
        let mut resumed = forest(small(task));
        resumed.read_state(&mut &bytes[..]).expect("own bytes");
        prop_assert!(saved(&resumed) == bytes);
        whole.keep().expect("kept");
        (0..cut.div_ceil(300)).for_each(|_| whole.forget_oldest());
        let mut kept = Vec::new();
        whole.write_kept(&mut kept).expect("a vector takes all bytes");
        let first = walk(&mut whole, &stream, cut, 2600);
        prop_assert_eq!(&walk(&mut resumed, &stream, cut, 2600), &first);
        prop_assert!(saved(&resumed) == saved(&whole));
        resumed.read_kept(&mut &kept[..]).expect("own bytes");
        let mut again = Vec::new();
        resumed.write_kept(&mut again).expect("a vector takes all bytes");
        prop_assert!(again == kept);
        for model in [&mut whole, &mut resumed] {
            model.keep().expect("kept");
            model.go_back().expect("kept before");
            prop_assert!(saved(model) == bytes);
            prop_assert_eq!(&walk(model, &stream, cut, 2600), &first);
            model.go_back().expect("still kept");
            prop_assert!(saved(model) == bytes);
            model.forget_oldest();
            model.go_back().expect("nothing is kept");
            prop_assert!(saved(model) == bytes);
        }
    }

    /// Scored and learned at once, or one after the other, or in steps: the same bits.
    #[test]
    fn batches_change_no_bit(seed: u64, step in 1_usize..300, kind in 0_usize..3) {
        let (task, label) = task(kind);
        let stream = Stream::new(seed, 1500, label);
        let [mut whole, mut single, mut steps] = [(); 3].map(|()| forest(small(task)));
        let wanted = walk(&mut whole, &stream, 0, 1500);
        let mut scores = vec![0.0; wanted.len()];
        for (row, out) in scores.chunks_exact_mut(single.outputs()).enumerate() {
            let (features, labels) = stream.batch(row, row + 1);
            single.score(&features, out).expect("the shapes fit");
            single.learn(&LabeledBatch { features, labels, weights: &[1.0] }).expect("they fit");
        }
        for from in (0..1500).step_by(step) {
            let (features, labels) = stream.batch(from, (from + step).min(1500));
            let weights = &vec![1.0; labels.len()];
            steps.learn(&LabeledBatch { features, labels, weights }).expect("the shapes fit");
        }
        prop_assert_eq!(scores, wanted);
        prop_assert!(saved(&single) == saved(&whole));
        prop_assert!(saved(&steps) == saved(&whole));
    }
}

#[test]
fn damaged_bytes_are_an_error_or_a_state() {
    let stream = Stream::new(6, 1200, ring);
    let mut model = forest(small(Task::Binary));
    walk(&mut model, &stream, 0, 1000);
    let bytes = saved(&model);
    let mut draw = Draw::new(7);
    for _ in 0..400 {
        let mut damaged = bytes.clone();
        let at = (draw.bits() % bytes.len() as u64) as usize;
        damaged[at] ^= 1 << (draw.bits() % 8);
        if draw.unit() < 0.2 {
            damaged.truncate(at);
        }
        let mut other = forest(small(Task::Binary));
        if other.read_state(&mut &damaged[..]).is_ok() {
            let (features, labels) = stream.batch(1000, 1200);
            let weights = &[1.0; 200];
            other.learn(&LabeledBatch { features, labels, weights }).expect("the shapes fit");
        }
    }
}

/// Damaged kept states are an error, at once or when they are gone back to, or a state.
#[test]
fn damaged_kept_states_are_an_error_or_a_state() {
    let stream = Stream::new(17, 600, ring);
    let mut model = forest(small(Task::Binary));
    walk(&mut model, &stream, 0, 400);
    model.keep().expect("kept");
    walk(&mut model, &stream, 400, 600);
    model.keep().expect("kept");
    let (state, mut bytes) = (saved(&model), Vec::new());
    model.write_kept(&mut bytes).expect("a vector takes all bytes");
    let mut draw = Draw::new(18);
    for round in 0..300 {
        let mut damaged = bytes.clone();
        // The copy is most of it; the rows lie behind.
        let tail = if round % 2 == 0 { bytes.len() as u64 } else { 3600 };
        let at = bytes.len() - 1 - (draw.bits() % tail) as usize;
        damaged[at] ^= 1 << (draw.bits() % 8);
        let mut other = forest(small(Task::Binary));
        other.read_state(&mut &state[..]).expect("own bytes");
        if other.read_kept(&mut &damaged[..]).is_ok() && other.go_back().is_ok() {
            walk(&mut other, &stream, 0, 100);
        }
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let stream = Stream::new(8, 600, ring);
    let mut model = forest(small(Task::Binary));
    walk(&mut model, &stream, 0, 600);
    let before = saved(&model);
    let bad = [(f32::NAN, 1.0), (2.0, 1.0), (0.5, 1.0), (-1.0, 1.0), (1.0, f32::NAN), (1.0, 0.0)];
    for (label, weight) in bad {
        let (features, _) = stream.batch(0, 1);
        let (labels, weights) = (&[label], &[weight]);
        let outcome = model.learn(&LabeledBatch { features, labels, weights }).expect("a shape");
        assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 });
    }
    let features =
        Features { rows: 1, dense: &[f32::INFINITY, 0.0], sparse: &[ABSENT], notes: &[] };
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
        let (features, labels) = stream.batch(from, from + 100);
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
