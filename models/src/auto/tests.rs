//! The mixture against its regret bound, and on streams that call for one member or another.

use pelton_kernels::cases::Draw;
use proptest::prelude::*;

use super::*;
use crate::tests::{SHAPE, Stream, saved, walk};

fn log_loss(scores: &[f32], labels: &[f32]) -> f64 {
    let loss = |(score, label): (&f32, &f32)| {
        let right = if *label == 1.0 { *score } else { 1.0 - score };
        -f64::from(right.max(1e-9)).ln()
    };
    scores.iter().zip(labels).map(loss).sum::<f64>() / scores.len() as f64
}

proptest! {
    /// Hedge: the weighted losses exceed those of the best member by no more than
    /// `ln N / rate + rate / 8 * sum of squared ranges` (Cesa-Bianchi, Lugosi 2006, theorem 2.2
    /// with ranges), and by what is spread evenly; the pool in log odds, being convex, does better.
    #[test]
    fn the_mixture_regrets_no_more_than_it_may(seed: u64, members in 2_usize..6, rows in 1..400) {
        let mut draw = Draw::new(seed);
        let mut shares = Shares::new(members);
        let (mut weighted, mut ranges, mut spread) = (0.0, 0.0, 0.0);
        let skill: Vec<f32> = (0..members).map(|_| draw.unit()).collect();
        for _ in 0..rows {
            let losses: Vec<f64> =
                skill.iter().map(|skill| f64::from(skill * draw.unit())).collect();
            let mixed: f64 = shares.weights.iter().zip(&losses).map(|(w, l)| w * l).sum();
            let most = losses.iter().fold(0.0_f64, |most, loss| most.max(*loss));
            let least = losses.iter().fold(f64::MAX, |least, loss| least.min(*loss));
            ranges += (most - least) * (most - least);
            // A share takes at most that much of the best one's weight.
            spread += -(1.0 - (0.005 * mixed).min(0.1)).ln();
            weighted += mixed;
            shares.observe(&losses, mixed);
            prop_assert!((shares.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(shares.weights.iter().all(|weight| *weight > 0.0));
        }
        let bound = ((members as f64).ln() + spread) / 0.5 + 0.5 / 8.0 * ranges;
        prop_assert!(shares.regret() <= bound + 1e-9, "{} {bound}", shares.regret());
        prop_assert!((shares.mixed - weighted).abs() < 1e-9);
    }
}

#[test]
fn it_changes_its_mind() {
    let mut shares = Shares::new(2);
    (0..5000).for_each(|_| shares.observe(&[0.2, 0.7], 0.2));
    assert!(shares.weights[0] > 0.99, "{:?}", shares.weights);
    (0..60).for_each(|_| shares.observe(&[0.9, 0.2], 0.6));
    assert!(shares.weights[1] > 0.9, "{:?}", shares.weights);
}

/// Trees tell what no product of two can, the factorization machine what is new: the mixture has
/// both.
#[test]
fn it_learns_a_curve_and_follows_a_turn() {
    let noise = |x: f32| (x * 12_345.0).fract().abs() < 0.05;
    let curve = Stream::new(1, 9000, |x, y, _| f32::from(u8::from((x * y > 0.0) != noise(x))));
    let mut model = Auto::new(AutoConfig::new(Task::Binary), SHAPE).expect("possible");
    let scores = walk(&mut model, &curve, 0, 9000);
    let loss = log_loss(&scores[6000..], &curve.labels[6000..]);
    assert!(loss < 0.40, "{loss}");
    let status = model.members();
    assert_eq!(status.iter().map(|own| own.name).collect::<Vec<_>>(), ["ffm", "boost", "stack"]);
    assert!(status[0].weight < 0.05 && status[1].loss < status[0].loss, "{status:?}");

    // The world turns over: within a few hundred labels the mixture is right again.
    let turned = Stream::new(2, 2000, |x, _, _| f32::from(u8::from(x < 0.0)));
    let mut model = Auto::new(AutoConfig::new(Task::Binary), SHAPE).expect("possible");
    let before = Stream::new(3, 4000, |x, _, _| f32::from(u8::from(x > 0.0)));
    walk(&mut model, &before, 0, 4000);
    let scores = walk(&mut model, &turned, 0, 2000);
    let loss = log_loss(&scores[500..], &turned.labels[500..]);
    assert!(loss < 0.25, "{loss}");
}

/// The world changes for good: fresh trees are grown and take over, and soon the mixture is as good
/// as one that knows nothing of the past. Saved while they grow, it goes on to the bit.
#[test]
fn trees_are_renewed_after_a_drift() {
    let noisy = |x: f32, is: bool| f32::from(u8::from(is != ((x * 12_345.0).fract().abs() < 0.05)));
    let mut stream = Stream::new(9, 16_000, |x, y, _| noisy(x, (x * 4.0).sin() * y > 0.0));
    let after = Stream::new(10, 8000, |x, y, _| noisy(x, (y * 4.0).cos() * x > 0.0));
    let scratch = {
        let mut model = Auto::new(AutoConfig::new(Task::Binary), SHAPE).expect("possible");
        walk(&mut model, &after, 0, 8000)
    };
    stream.dense[2 * 8000..].copy_from_slice(&after.dense);
    stream.labels[8000..].copy_from_slice(&after.labels);
    stream.sparse[8000..].copy_from_slice(&after.sparse);
    let mut model = Auto::new(AutoConfig::new(Task::Binary), SHAPE).expect("possible");
    walk(&mut model, &stream, 0, 8000);
    assert_eq!(model.renewals(), [0, 0]);
    let mut at = 8000;
    while model.renewal.fresh.is_none() && at < 12_000 {
        walk(&mut model, &stream, at, at + 100);
        at += 100;
    }
    let mut resumed = Auto::new(AutoConfig::new(Task::Binary), SHAPE).expect("possible");
    resumed.read_state(&mut &saved(&model)[..]).expect("own bytes");
    assert!(resumed.renewal.fresh.is_some(), "nothing was noticed");
    let scores = walk(&mut model, &stream, at, 16_000);
    assert_eq!(walk(&mut resumed, &stream, at, 16_000), scores);
    assert!(saved(&resumed) == saved(&model));
    assert_eq!(model.renewals()[1], 1);
    let loss = log_loss(&scores[12_000 - at..], &stream.labels[12_000..]);
    let best = log_loss(&scratch[4000..], &stream.labels[12_000..]);
    assert!(loss < best + 0.03, "{loss}, from nothing {best}");
}

/// A label that goes on as the last ones went is told by the notes alone.
#[test]
fn it_notices_labels_that_go_on() {
    let mut stream = Stream::new(4, 6000, |_, _, _| 0.0);
    let mut label = 0.0;
    for own in &mut stream.labels {
        label = if stream.draw.unit() < 0.1 { 1.0 - label } else { label };
        *own = label;
    }
    let mut model = Auto::new(AutoConfig::new(Task::Binary), SHAPE).expect("possible");
    let scores = walk(&mut model, &stream, 0, 6000);
    // The entropy of one flip in ten is .325.
    let loss = log_loss(&scores[2000..], &stream.labels[2000..]);
    assert!(loss < 0.36, "{loss}");
}

#[test]
fn it_learns_classes_and_values() {
    let task = Task::MultiClass { classes: 4 };
    let stream = Stream::new(5, 5000, |x, y, _| {
        f32::from(u8::from(x > 0.0)) + 2.0 * f32::from(u8::from(y > x))
    });
    let mut model = Auto::new(AutoConfig::new(task), SHAPE).expect("possible");
    let scores = walk(&mut model, &stream, 0, 5000);
    let best = |row: &[f32]| (1..4).fold(0, |best, at| if row[at] > row[best] { at } else { best });
    let rows: Vec<&[f32]> = scores.chunks_exact(4).collect();
    assert!(rows.iter().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-4));
    let right = (3000..5000).filter(|at| best(rows[*at]) as f32 == stream.labels[*at]).count();
    assert!(right > 1900, "{right} of 2000");

    let stream = Stream::new(6, 5000, |x, y, category| 500.0 + 100.0 * x * y + category as f32);
    let mut model = Auto::new(AutoConfig::new(Task::Regression), SHAPE).expect("possible");
    let scores = walk(&mut model, &stream, 0, 5000);
    let rows = || scores[3000..].iter().zip(&stream.labels[3000..]);
    let error = rows().map(|(score, label)| f64::from(score - label).powi(2)).sum::<f64>() / 2000.0;
    // The spread of x y alone, times 100, is 1111; that of the category 133.
    assert!(error < 150.0, "{error}");
}

/// A row that lacks a number is learned by the mixture, whatever a member makes of it.
#[test]
fn a_row_that_lacks_a_number_counts() {
    for (task, label) in [(Task::Binary, 1.0), (Task::MultiClass { classes: 3 }, 2.0)] {
        let drawing = Some(Arc::new(crate::frozen::tests::drawing(task).1));
        let mut model = Auto::beside(AutoConfig::new(task), SHAPE, drawing).expect("possible");
        let notes = vec![0.0; model.notes_width()];
        let features = Features { rows: 1, dense: &[f32::NAN, 0.5], sparse: &[3], notes: &notes };
        let batch = LabeledBatch { features, labels: &[label], weights: &[1.0] };
        let outcome = model.learn(&batch).expect("the shapes fit");
        assert_eq!((outcome.learned, outcome.refused, model.version()), (1, 0, 1));
    }
}

/// What is noted is what was known when the row was scored, whatever was learned since.
#[test]
fn a_row_is_learned_with_its_own_notes() {
    let stream = Stream::new(8, 400, |x, _, _| f32::from(u8::from(x > 0.0)));
    let mut model = Auto::new(AutoConfig::new(Task::Binary), SHAPE).expect("possible");
    let features = Features { rows: 1, dense: &[0.5, 0.5], sparse: &[3], notes: &[] };
    let mut notes = vec![0.0; model.notes_width()];
    model.note(&features, &mut notes).expect("the shapes fit");
    walk(&mut model, &stream, 0, 400);
    let mut later = notes.clone();
    model.note(&features, &mut later).expect("the shapes fit");
    assert_ne!(notes, later);
    let score = |notes: &[f32]| {
        let mut out = [0.0];
        model.score(&Features { notes, ..features }, &mut out).expect("the shapes fit");
        out[0]
    };
    assert_ne!(score(&notes), score(&later));
}

/// The last note says how strange a row is, and the label of a strange row is learned by it.
#[test]
fn strangeness_is_noted() {
    let config = AutoConfig { strangeness: true, ..AutoConfig::new(Task::Binary) };
    let mut model = Auto::new(config, SHAPE).expect("possible");
    let plain = Auto::new(AutoConfig::new(Task::Binary), SHAPE).expect("possible");
    assert_eq!(model.notes_width(), plain.notes_width() + 1);
    walk(&mut model, &Stream::new(9, 3000, |x, _, _| f32::from(u8::from(x > 0.0))), 0, 3000);
    let last = |dense: &[f32]| {
        let mut notes = vec![0.0; 2 * model.notes_width()];
        let features = Features { rows: 2, dense, sparse: &[3, 3], notes: &[] };
        model.note(&features, &mut notes).expect("the shapes fit");
        [notes[model.notes_width() - 1], notes[2 * model.notes_width() - 1]]
    };
    let [usual, strange] = last(&[0.1, 0.2, 30.0, -20.0]);
    assert!(usual < 1.0 && strange > 3.0, "{usual} {strange}");
}
