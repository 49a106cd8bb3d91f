//! What a machine learns: its steps against differences of its score, and streams of pairs.

use pelton_kernels::blend::EXPERTS;

use super::*;
use crate::linear::rows::{Row, RowLearner};
use crate::linear::{Linear, LinearConfig};

/// The expert whose steps are looked at: the slow descent, whose rates are constant.
const LANE: usize = 2;

/// What the pairs of the row taken last add to the score of a class, over all of them and in double
/// precision; `cells` are the expert's.
fn pair_score(machine: &mut Machine, cells: &[f64], class: usize) -> f64 {
    let (pairs, _, inputs) = machine.embeddings().parts();
    let (shift, is_shared) = (class * pairs.width(), pairs.width() == pairs.factors);
    let mut score = 0.0;
    for (index, one) in inputs.iter().enumerate() {
        for other in &inputs[index + 1..] {
            let [to, from] = if is_shared { [0, 0] } else { [other.field, one.field] };
            for factor in 0..pairs.factors {
                let left = cells[one.at + shift + to * pairs.factors + factor];
                let right = cells[other.at + shift + from * pairs.factors + factor];
                score += left * right * f64::from(one.value) * f64::from(other.value);
            }
        }
    }
    score
}

fn weights(machine: &mut Machine) -> Vec<f64> {
    machine.embeddings().parts().1.iter().map(|cell| f64::from(cell.weights[LANE])).collect()
}

/// The derivative of a class's score by each cell, by central differences.
fn slopes(machine: &mut Machine, class: usize) -> Vec<f64> {
    let mut cells = weights(machine);
    let (count, step) = (cells.len(), 1e-4);
    let slope = |at: usize| {
        let own = cells[at];
        let mut moved = |by: f64| {
            cells[at] = own + by;
            pair_score(machine, &cells, class)
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        cells[at] = own;
        slope
    };
    (0..count).map(slope).collect()
}

/// A step of a descent moves every cell of a class by the derivative of its score, times one number
/// that has the sign of the error; and a score is the linear one and the pairs.
#[test]
fn a_step_goes_along_the_slope_of_the_score() {
    for (task, interaction) in TASKS.into_iter().flat_map(|task| KINDS.map(|kind| (task, kind))) {
        let stream = Stream::new(11, 215, 12, label(task));
        let mut model = model(task, interaction);
        walk(&mut model, &stream, 0, 200);
        let machine = model.rows.learner_mut();
        for at in 200..215 {
            let [x, y] = [stream.dense[2 * at], stream.dense[2 * at + 1]];
            let values = [x, y, x.abs() - 0.8, y.abs() - 0.8, 1.0, 0.0, 0.0, 0.0];
            let row = Row { values: &values, sparse: &stream.sparse[2 * at..2 * at + 2] };
            machine.embeddings().admit(row, 201);
            machine.embeddings().take(row);
            let mut scores = vec![0.0; machine.scores_width()];
            machine.score(row, &mut scores);
            let mut linear = scores.clone();
            machine.linear_scores(row, &mut linear);
            let before = weights(machine);
            let slopes: Vec<_> = (0..task.outputs()).map(|class| slopes(machine, class)).collect();
            for class in 0..task.outputs() {
                let [whole, part] = [&scores, &linear].map(|scores| scores[class * EXPERTS + LANE]);
                let wanted = pair_score(machine, &before, class);
                assert!((f64::from(whole - part) - wanted).abs() < 1e-5);
            }
            let label = stream.labels[at];
            assert!(machine.learn(row, &scores, label, 1.0));
            let after = weights(machine);
            for (class, slopes) in slopes.iter().enumerate() {
                let length: f64 = slopes.iter().map(|slope| slope * slope).sum();
                let moves = || after.iter().zip(&before).map(|(after, before)| after - before);
                let along = moves().zip(slopes).map(|(moved, slope)| moved * slope).sum::<f64>();
                let factor = along / length;
                let is_up = match task {
                    Task::Binary => label == 1.0,
                    Task::MultiClass { .. } => label as usize == class,
                    Task::Regression => factor > 0.0,
                };
                assert_eq!(factor > 0.0, is_up, "{task:?} {interaction:?}");
                for (moved, slope) in moves().zip(slopes).filter(|(_, slope)| **slope != 0.0) {
                    let error = (moved - factor * slope).abs();
                    assert!(error < 2e-6 + 1e-3 * moved.abs(), "{moved} {factor} {slope}");
                }
            }
        }
    }
}

fn share_right(scores: &[f32], labels: &[f32]) -> f64 {
    let right =
        scores.iter().zip(labels).filter(|(score, label)| (**score > 0.5) == (**label > 0.5));
    right.count() as f64 / labels.len() as f64
}

/// Signs of two numbers, and of two categories: nothing a linear model can say.
#[test]
fn it_learns_pairs_that_a_linear_model_cannot() {
    let of_numbers = |[x, y]: [f32; 2], _: [u32; 2]| f32::from(u8::from(x * y > 0.0));
    let of_codes = |_: [f32; 2], codes: [u32; 2]| f32::from(u8::from(codes[0] % 2 == codes[1] % 2));
    for stream in [Stream::new(1, 6000, 20, of_numbers), Stream::new(2, 9000, 20, of_codes)] {
        let (rows, half) = (stream.labels.len(), stream.labels.len() / 2);
        let mut linear = Linear::new(LinearConfig::new(Task::Binary), SHAPE).expect("possible");
        let mut scores = vec![0.0; rows];
        linear.score_and_learn_each(&stream.batch(0, rows), &mut scores).expect("the shapes fit");
        let plain = share_right(&scores[half..], &stream.labels[half..]);
        assert!(plain < 0.6, "the linear model: {plain}");
        for interaction in KINDS {
            let mut model = model(Task::Binary, interaction);
            let scores = walk(&mut model, &stream, 0, rows);
            let own = share_right(&scores[half..], &stream.labels[half..]);
            assert!(own > 0.85, "{interaction:?}: {own}");
        }
    }
}

#[test]
fn it_learns_classes_and_values() {
    for interaction in KINDS {
        let task = TASKS[1];
        let stream = Stream::new(3, 6000, 12, label(task));
        let mut model = model(task, interaction);
        let scores = walk(&mut model, &stream, 0, 6000);
        let rows: Vec<&[f32]> = scores.chunks_exact(3).collect();
        assert!(rows.iter().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
        let best =
            |row: &[f32]| (1..3).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        let right = (3000..6000).filter(|at| best(rows[*at]) as f32 == stream.labels[*at]).count();
        assert!(right > 2400, "{interaction:?}: {right}");

        let task = Task::Regression;
        let stream = Stream::new(4, 6000, 12, label(task));
        let mut model = self::model(task, interaction);
        let scores = walk(&mut model, &stream, 0, 6000);
        let error = |guess: &dyn Fn(usize) -> f32| {
            let squared = |at: usize| f64::from(guess(at) - stream.labels[at]).powi(2);
            (3000..6000).map(squared).sum::<f64>()
        };
        let [own, plain] = [error(&|at| scores[at]), error(&|_| 40.0)];
        assert!(own < 0.2 * plain, "{interaction:?}: {own} of {plain}");
    }
}

/// The score of rows one by one, and of all together as a step of rows.
#[test]
fn cuts_change_no_bit() {
    for (task, interaction) in TASKS.into_iter().flat_map(|task| KINDS.map(|kind| (task, kind))) {
        let stream = Stream::new(5, 400, 30, label(task));
        let [mut whole, mut single, mut step] = [(); 3].map(|()| model(task, interaction));
        let together = walk(&mut whole, &stream, 0, 400);
        let outputs = single.outputs();
        let mut apart = vec![0.0; 400 * outputs];
        for (at, out) in apart.chunks_exact_mut(outputs).enumerate() {
            let batch = stream.batch(at, at + 1);
            single.score(&batch.features, out).expect("the shapes fit");
            single.learn(&batch).expect("the shapes fit");
        }
        assert_eq!(together, apart);
        step.learn(&stream.batch(0, 400)).expect("the shapes fit");
        assert!(saved(&whole) == saved(&single));
        assert!(saved(&whole) == saved(&step));
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    for interaction in KINDS {
        let stream = Stream::new(7, 300, 30, label(Task::Binary));
        let mut model = model(Task::Binary, interaction);
        walk(&mut model, &stream, 0, 299);
        let before = saved(&model);
        let good = [0.5, -0.5];
        for (dense, label, weight) in [
            ([f32::NAN, 0.5], 1.0, 1.0),
            ([0.5, f32::INFINITY], 1.0, 1.0),
            ([1e30, 0.5], 1.0, 1.0),
            (good, f32::NAN, 1.0),
            (good, 2.0, 1.0),
            (good, 1.0, f32::NAN),
            (good, 1.0, -1.0),
        ] {
            // An index that has no embedding must not get one.
            let features = Features { rows: 1, dense: &dense, sparse: &[255, 254], notes: &[] };
            let batch = LabeledBatch { features, labels: &[label], weights: &[weight] };
            let outcome = model.learn(&batch).expect("the shapes fit");
            assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 });
            let mut score = [0.0];
            let outcome = model.score_and_learn_each(&batch, &mut score).expect("the shapes fit");
            assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 });
            assert!((0.0..=1.0).contains(&score[0]));
            assert!(saved(&model) == before);
        }
    }
}
