//! Networks on what they are for, replay and its odds, and streams that would break them.

#[cfg(feature = "double")]
mod device;
mod gradients;

use pelton_kernels::cases::Draw;
use pelton_kernels::hash::mix64;

use super::*;
use crate::ABSENT;
use crate::linear::{Linear, LinearConfig};
use crate::tests::{SHAPE, Stream, saved, walk};

const FORMS: [Form; 2] = [Form::Mlp, Form::Deep];

fn neural(task: Task, form: Form) -> Neural {
    Neural::new(NeuralConfig::new(task, form), SHAPE).expect("possible")
}

fn log_loss(scores: &[f32], labels: &[f32]) -> f64 {
    let loss = |(score, label): (&f32, &f32)| {
        let right = if *label == 1.0 { *score } else { 1.0 - score };
        -f64::from(right.max(1e-9)).ln()
    };
    scores.iter().zip(labels).map(loss).sum::<f64>() / scores.len() as f64
}

/// Whether two numbers have the same sign: no line tells.
#[test]
fn it_learns_a_curve_that_no_line_is() {
    let stream = Stream::new(1, 12_000, |x, y, _| f32::from(u8::from(x * y > 0.0)));
    let tail = |model: &mut dyn Model| {
        log_loss(&walk(model, &stream, 0, 12_000)[8000..], &stream.labels[8000..])
    };
    let mut linear = Linear::new(LinearConfig::new(Task::Binary), SHAPE).expect("possible");
    assert!(tail(&mut linear) > 0.6);
    for form in FORMS {
        let loss = tail(&mut neural(Task::Binary, form));
        assert!(loss < 0.15, "{form:?}: {loss}");
    }
}

/// The category decides which way a number counts: neither tells alone.
#[test]
fn it_learns_what_a_category_makes_of_a_number() {
    let turned = |category: u32| mix64(u64::from(category)).is_multiple_of(2);
    let stream =
        Stream::new(2, 30_000, |x, _, category| f32::from(u8::from((x > 0.0) == turned(category))));
    for form in FORMS {
        let scores = walk(&mut neural(Task::Binary, form), &stream, 0, 30_000);
        let loss = log_loss(&scores[20_000..], &stream.labels[20_000..]);
        assert!(loss < 0.25, "{form:?}: {loss}");
    }
}

#[test]
fn it_learns_classes_and_values() {
    let task = Task::MultiClass { classes: 4 };
    let stream = Stream::new(5, 8000, |x, y, _| {
        f32::from(u8::from(x * y > 0.0)) + 2.0 * f32::from(u8::from(y > x))
    });
    let values = Stream::new(6, 12_000, |x, y, category| 500.0 + 100.0 * x * y + category as f32);
    let best = |row: &[f32]| (1..4).fold(0, |best, at| if row[at] > row[best] { at } else { best });
    for form in FORMS {
        let scores = walk(&mut neural(task, form), &stream, 0, 8000);
        let rows: Vec<&[f32]> = scores.chunks_exact(4).collect();
        assert!(rows.iter().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-4));
        let right = (6000..8000).filter(|at| best(rows[*at]) as f32 == stream.labels[*at]).count();
        assert!(right > 1850, "{form:?}: {right} of 2000");

        let scores = walk(&mut neural(Task::Regression, form), &values, 0, 12_000);
        let rows = || scores[8000..].iter().zip(&values.labels[8000..]);
        let error = rows().map(|(score, label)| f64::from(score - label).powi(2)).sum::<f64>();
        // The spread of x y alone, times 100, is 1111; that of the category 133.
        assert!(error / 4000.0 < 60.0, "{form:?}: {}", error / 4000.0);
    }
}

/// One label in fifty is positive, at random but for one number: whether or not positives are
/// learned again, probabilities are those of the stream.
#[test]
fn replay_leaves_the_odds_as_they_are() {
    for replay_rows in [0, 256] {
        let mut chance = Draw::new(7);
        let mut stream = Stream::new(8, 60_000, |_, _, _| 0.0);
        for (label, dense) in stream.labels.iter_mut().zip(stream.dense.chunks_exact(2)) {
            let share = if dense[0] > 0.5 { 0.05 } else { 0.01 };
            *label = f32::from(u8::from(chance.unit() < share));
        }
        let config = NeuralConfig { replay_rows, ..NeuralConfig::new(Task::Binary, Form::Mlp) };
        let mut model = Neural::new(config, SHAPE).expect("possible");
        let scores = walk(&mut model, &stream, 0, 60_000);
        let mean = |of: &[f32]| of.iter().map(|own| f64::from(*own)).sum::<f64>() / of.len() as f64;
        let (predicted, seen) = (mean(&scores[10_000..]), mean(&stream.labels[10_000..]));
        assert!((predicted / seen - 1.0).abs() < 0.1, "{replay_rows}: {predicted} for {seen}");
        let of = |is_high: bool| {
            let rows = 30_000..60_000;
            let own = rows.filter(|row| (stream.dense[2 * row] > 0.5) == is_high);
            mean(&own.map(|row| scores[row]).collect::<Vec<_>>())
        };
        assert!((0.035..0.065).contains(&of(true)), "{replay_rows}: {}", of(true));
        assert!((0.006..0.015).contains(&of(false)), "{replay_rows}: {}", of(false));
    }
}

/// Inputs, weights and targets as large as they come leave everything finite and bounded.
#[test]
fn a_hostile_stream_breaks_nothing() {
    for (form, task) in
        FORMS.into_iter().flat_map(|form| [Task::Binary, Task::Regression].map(|task| (form, task)))
    {
        let mut draw = Draw::new(9);
        let mut model = neural(task, form);
        let mut out = [0.0];
        for row in 0..20_000 {
            let large = |draw: &mut Draw| match draw.bits() % 5 {
                0 => f32::MAX,
                1 => -1e20,
                _ => draw.unit() - 0.5,
            };
            let dense = [large(&mut draw), large(&mut draw)];
            let index = (draw.bits() % 65) as u32;
            let sparse = [if index == 64 { ABSENT } else { index }];
            let label = match task {
                Task::Regression if row % 7 == 0 => 1e30,
                _ => (draw.bits() % 2) as f32,
            };
            let weight = if row % 11 == 0 { 1e9 } else { 1e-20 };
            let features = Features { rows: 1, dense: &dense, sparse: &sparse, notes: &[] };
            let batch = LabeledBatch { features, labels: &[label], weights: &[weight] };
            let outcome = model.score_and_learn_each(&batch, &mut out).expect("the shapes fit");
            assert!(out[0].is_finite() && outcome.learned == 1, "{form:?} {task:?} {row}");
        }
        let before = saved(&model);
        for dense in [[f32::NAN, 0.0], [0.0, f32::INFINITY]] {
            let features = Features { rows: 1, dense: &dense, sparse: &[3], notes: &[] };
            let batch = LabeledBatch { features, labels: &[1.0], weights: &[1.0] };
            let outcome = model.learn(&batch).expect("the shapes fit");
            assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 });
            model.score(&features, &mut out).expect("the shapes fit");
            assert!(out[0].is_finite());
        }
        assert!(saved(&model) == before);
        let mut again = neural(task, form);
        again.read_state(&mut &before[..]).expect("own bytes");
    }
}

/// Beside whatever rows it is scored, a row has the same bits; tables are bounded.
#[test]
fn a_row_is_scored_by_itself_and_idle_indices_go() {
    let shape = FeatureShape { sparse_bits: 16, ..SHAPE };
    let config = NeuralConfig { memory_bytes: 0, ..NeuralConfig::new(Task::Binary, Form::Deep) };
    let mut model = Neural::new(config, shape).expect("possible");
    let mut stream = Stream::new(10, 3000, |x, _, _| f32::from(u8::from(x > 0.0)));
    stream.sparse.iter_mut().enumerate().for_each(|(row, index)| *index = (row as u32 * 7) % 5000);
    walk(&mut model, &stream, 0, 3000);
    let (there, lost) = model.embedded();
    assert!(there == 64 && lost > 2000, "{there} {lost}");
    let (features, _) = stream.batch(&[], 0, 3000);
    let mut together = vec![0.0; 3000];
    model.score(&features, &mut together).expect("the shapes fit");
    for (row, expected) in together.iter().enumerate() {
        let (features, _) = stream.batch(&[], row, row + 1);
        let mut out = [0.0];
        model.score(&features, &mut out).expect("the shapes fit");
        assert_eq!(out[0].to_bits(), expected.to_bits());
    }
}

#[test]
fn settings_outside_their_range_are_refused() {
    let good = NeuralConfig::new(Task::Binary, Form::Mlp);
    for config in [
        NeuralConfig { hidden: [12, 8], ..good },
        NeuralConfig { hidden: [0, 8], ..good },
        NeuralConfig { embedding: 0, ..good },
        NeuralConfig { rate: Some(f32::NAN), ..good },
        NeuralConfig { batch_rows: 0, ..good },
        NeuralConfig { replay_rows: 1 << 21, ..good },
        NeuralConfig { task: Task::MultiClass { classes: 0 }, ..good },
    ] {
        assert!(Neural::new(config, SHAPE).is_err(), "{config:?}");
    }
}

/// Contributions sum up to the score, the base is close to the score of a row of zeros (by the
/// midpoint rule), and a column that says nothing has nothing.
#[test]
fn contributions_are_complete() {
    let label = |task| {
        move |x: f32, _: f32, category: u32| match task {
            Task::Binary => f32::from(u8::from(x * (category % 3) as f32 > 0.2)),
            Task::MultiClass { .. } => (category % 3) as f32,
            Task::Regression => 50.0 + 10.0 * x * (category % 3) as f32,
        }
    };
    let tasks = [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression];
    for (form, task) in FORMS.into_iter().flat_map(|form| tasks.map(|task| (form, task))) {
        let mut stream = Stream::new(11, 9000, label(task));
        // The second number is always 0.
        stream.dense.chunks_exact_mut(2).for_each(|dense| dense[1] = 0.0);
        let mut model = neural(task, form);
        walk(&mut model, &stream, 0, 9000);
        let outputs = model.outputs();
        let (features, _) = stream.batch(&[], 0, 100);
        let (mut out, mut scores) = (vec![7.0; 100 * outputs * 4], vec![0.0; 100 * outputs]);
        model.contributions(&features, &mut out).expect("the shapes fit");
        model.score(&features, &mut scores).expect("the shapes fit");
        let mut zero = vec![0.0; outputs];
        let (dense, sparse) = ([0.0; 2], [ABSENT]);
        let none = Features { rows: 1, dense: &dense, sparse: &sparse, notes: &[] };
        model.score(&none, &mut zero).expect("the shapes fit");
        let unit = if task == Task::Regression { 10.0 } else { 1.0 };
        let predicted = |sums: Vec<f32>| match task {
            Task::Binary => vec![sigmoid_f32(sums[0])],
            Task::MultiClass { .. } => {
                let mut shares = sums;
                softmax_f32(&mut shares);
                shares
            }
            Task::Regression => sums,
        };
        let rows = out.chunks_exact(outputs * 4).zip(scores.chunks_exact(outputs));
        for (row, scores) in rows {
            let sums = row.chunks_exact(4).map(|parts| parts.iter().sum()).collect();
            for (own, score) in predicted(sums).iter().zip(scores) {
                assert!((own - score).abs() < 1e-4 * unit, "{form:?} {task:?}: {own} {score}");
            }
            let bases = row.chunks_exact(4).map(|parts| parts[3]).collect();
            for (own, zero) in predicted(bases).iter().zip(&zero) {
                assert!((own - zero).abs() < 0.05 * unit, "{form:?} {task:?}: {own} {zero}");
            }
            assert!(row.chunks_exact(4).all(|parts| parts[1] == 0.0));
        }
        // Numbers and categories both count.
        let size = |at: usize| out.chunks_exact(4).map(|own| own[at].abs()).sum::<f32>();
        assert!(size(2) > 10.0 && (size(0) > 5.0 || outputs > 1), "{form:?} {task:?}");
        assert!(model.contributions(&features, &mut out[1..]).is_err());
    }
}
