//! Explanations of every family: that they sum to the score, against Shapley values by all subsets,
//! and that they change nothing.

use pelton_kernels::cases::{Draw, scaled};
use pelton_kernels::math::{logit_f32, softmax_f32};
use proptest::prelude::*;

use super::*;
use crate::calibrate::{Calibrated, Calibration};
use crate::linear::{Linear, LinearConfig, Optimizer};
use crate::tests::{LABEL_BLIND, MEMBERS, SHAPE, STRANGE, Stream, member, notes_of, saved, walk};
use crate::{ABSENT, Features, Model, Task};

const CLASSES: Task = Task::MultiClass { classes: 4 };

/// The contributions of rows.
fn explained(model: &dyn Model, features: &Features<'_>) -> Vec<f32> {
    let width = SHAPE.explained_width(model.notes_width());
    let mut out = vec![f32::NAN; features.rows * model.outputs() * width];
    model.explain(features, &mut out).expect("the shapes fit");
    assert!(out.iter().all(|part| part.is_finite()));
    out
}

fn scored(model: &dyn Model, features: &Features<'_>) -> Vec<f32> {
    let mut out = vec![0.0; features.rows * model.outputs()];
    model.score(features, &mut out).expect("the shapes fit");
    out
}

/// A model that has learned rows whose labels have interactions.
fn taught(mut model: Box<dyn Model>, task: Task, seed: u64) -> (Box<dyn Model>, Stream) {
    let stream = Stream::new(seed, 2600, |x, y, category| {
        let noise = f32::from(u8::from((x * 12_345.0).fract().abs() < 0.1));
        match task {
            Task::Binary => (f32::from(u8::from(x * y > 0.0 || category < 8)) - noise).abs(),
            Task::MultiClass { .. } => (f32::from(u8::from(x > y)) * 2.0 + noise) % 4.0,
            Task::Regression => 700.0 + 100.0 * x * y + 30.0 * x + category as f32,
        }
    });
    walk(&mut *model, &stream, 0, 2400);
    (model, stream)
}

/// Sums of contributions are log odds, log odds up to a constant, or the value.
fn check_sums(model: &dyn Model, task: Task, features: &Features<'_>) {
    let (parts, scores) = (explained(model, features), scored(model, features));
    let outputs = model.outputs();
    let width = parts.len() / (features.rows * outputs);
    let mut sums: Vec<f32> = parts.chunks_exact(width).map(|list| list.iter().sum()).collect();
    for (sums, scores) in sums.chunks_exact_mut(outputs).zip(scores.chunks_exact(outputs)) {
        match task {
            Task::Binary => {
                let (sum, score) = (sums[0], scores[0]);
                // The nearer to 0 or 1, the less of its log odds a score can say.
                let rounding = 2e-7 / (score * (1.0 - score)).max(1e-7);
                let off = (sum - logit_f32(score)).abs();
                assert!(off < 1e-3 + rounding, "{sum} {score}");
            }
            Task::MultiClass { .. } => {
                softmax_f32(sums);
                let near = |(sum, score): (&f32, &f32)| (sum - score).abs() < 2e-4;
                assert!(sums.iter().zip(scores).all(near), "{sums:?} {scores:?}");
            }
            Task::Regression => {
                // Parts of about 1 can sum to next to nothing.
                let off = (sums[0] - scores[0]).abs();
                assert!(off < 2e-5 * scores[0].abs().max(0.01), "{sums:?} {scores:?}");
            }
        }
    }
}

#[test]
fn contributions_sum_to_the_score_and_change_nothing() {
    for task in [Task::Binary, CLASSES, Task::Regression] {
        let fits = |which: &usize| *which != STRANGE || task == Task::Binary;
        for which in (0..MEMBERS).filter(fits) {
            // Before anything is learned too.
            let stream = Stream::new(3, 5, |_, _, _| 0.0);
            let fresh = member(which, task);
            let notes = notes_of(&*fresh, &stream, 0, 5);
            let parts = explained(&*fresh, &stream.batch(&notes, 0, 5).0);
            assert!(parts.iter().all(|part| part.is_finite()));

            let (model, mut stream) = taught(member(which, task), task, 11);
            stream.sparse[2405] = ABSENT;
            stream.dense[2 * 2410] = 30.0;
            let (before, notes) = (saved(&*model), notes_of(&*model, &stream, 2400, 2600));
            let (features, _) = stream.batch(&notes, 2400, 2600);
            check_sums(&*model, task, &features);
            let parts = explained(&*model, &features);
            assert!(saved(&*model) == before, "{which}");
            // One by one, and again, the same bits; what is absent adds nothing.
            let width = SHAPE.explained_width(model.notes_width());
            for (row, list) in parts.chunks_exact(width * model.outputs()).enumerate() {
                let own = &notes[row * model.notes_width()..][..model.notes_width()];
                let (one, _) = stream.batch(own, 2400 + row, 2401 + row);
                assert_eq!(explained(&*model, &one), list, "{which}");
                // That there is none may be strange.
                if one.sparse[0] == ABSENT && which != STRANGE {
                    assert!(list.chunks_exact(width).all(|list| list[2] == 0.0));
                }
            }
            let bad = Features { rows: 1, dense: &[f32::NAN, 1.0], sparse: &[3], notes: &notes };
            let bad = Features { notes: &bad.notes[..model.notes_width()], ..bad };
            check_sums(&*model, task, &bad);
            assert!(model.explain(&features, &mut [0.0]).is_err());
        }
    }
}

/// Every input has the same multiple of what the model inside gives it.
#[test]
fn calibrated_scores_are_explained_too() {
    for how in [Calibration::Platt, Calibration::Isotonic] {
        for which in 0..MEMBERS {
            let inner = member(which, Task::Binary);
            let mut model = Calibrated::new(inner, how).expect("one output");
            let is_noise = |x: f32| (x * 12_345.0).fract().abs() < 0.2;
            let label = |x, y, _| f32::from(u8::from((x > y) != is_noise(x)));
            let stream = Stream::new(12, 2600, label);
            walk(&mut model, &stream, 0, 2400);
            let notes = notes_of(&model, &stream, 2400, 2600);
            let (features, _) = stream.batch(&notes, 2400, 2600);
            check_sums(&model, Task::Binary, &features);
            let width = SHAPE.explained_width(model.notes_width());
            let own = explained(&model, &features);
            let inside = explained(model.model(), &features);
            let slope = own[0] / inside[0];
            assert!(slope > 0.0 && slope != 1.0, "{slope}");
            for (own, inside) in own.chunks_exact(width).zip(inside.chunks_exact(width)) {
                let near = |(own, inside): (&f32, &f32)| (own - slope * inside).abs() < 1e-4;
                assert!(own.iter().zip(inside).take(width - 1).all(near), "{own:?} {inside:?}");
            }
        }
    }
}

/// The log odds, or value, of a row of which only some inputs are there.
fn worth(model: &dyn Model, task: Task, row: (&[f32], u32), coalition: u32) -> f64 {
    let has = |input: u32| coalition >> input & 1 == 1;
    let dense = [0, 1].map(|input| if has(input) { row.0[input as usize] } else { 0.0 });
    let sparse = [if has(2) { row.1 } else { ABSENT }];
    let features = Features { rows: 1, dense: &dense, sparse: &sparse, notes: &[] };
    let score = f64::from(scored(model, &features)[0]);
    if task == Task::Binary { (score / (1.0 - score)).ln() } else { score }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(6), ..ProptestConfig::default() })]

    /// Linear models and factorization machines: exactly the Shapley values against inputs of 0,
    /// by the definition (Shapley 1953), all subsets of three inputs.
    #[test]
    fn sums_of_pairs_have_their_shapley_values(seed: u64, is_value: bool, which in 0_usize..6) {
        let task = if is_value { Task::Regression } else { Task::Binary };
        let linear = |optimizer| -> Box<dyn Model> {
            let config = LinearConfig { optimizer, ..LinearConfig::new(task) };
            Box::new(Linear::new(config, SHAPE).expect("possible"))
        };
        let model = match which {
            0 | 3 | 4 => member(which, task),
            1 => linear(Optimizer::FTRL),
            2 => linear(Optimizer::ADAGRAD),
            _ => linear(Optimizer::SGD),
        };
        let (model, stream) = taught(model, task, seed);
        for at in 2400..2440 {
            let row = (&stream.dense[2 * at..2 * at + 2], stream.sparse[at]);
            let worths: Vec<f64> = (0..8).map(|c| worth(&*model, task, row, c)).collect();
            let parts = explained(&*model, &stream.batch(&[], at, at + 1).0);
            let most = worths.iter().fold(1.0_f64, |most, own| most.max(own.abs()));
            // Log odds are taken back from scores of 32 bits, which come in steps short of 1 (and
            // finely above 0).
            let highest = worths.iter().fold(0.0_f64, |highest, own| highest.max(*own));
            let step = if is_value { 0.0 } else { f64::from(f32::EPSILON) * highest.exp() };
            let tolerance = 1e-4 * most + step;
            prop_assert!((f64::from(parts[3]) - worths[0]).abs() < tolerance);
            for input in 0..3 {
                let without = (0..8_usize).filter(|c| c >> input & 1 == 0);
                let value: f64 = without
                    .map(|c| {
                        let share = [1.0 / 3.0, 1.0 / 6.0, 1.0 / 3.0][c.count_ones() as usize];
                        share * (worths[c | 1 << input] - worths[c])
                    })
                    .sum();
                let own = f64::from(parts[input]);
                prop_assert!((own - value).abs() < tolerance, "{own} {value} {parts:?}");
            }
        }
    }

    /// Against a stable sort.
    #[test]
    fn the_largest_are_the_first_of_all_sorted(seed: u64, inputs in 0_usize..40, k in 0_usize..10) {
        let mut draw = Draw::new(seed);
        let parts: Vec<f32> = (0..=inputs).map(|_| (draw.unit() * 9.0).floor() - 4.0).collect();
        let mut expected: Vec<u32> = (0..inputs as u32).collect();
        expected.retain(|input| parts[*input as usize] != 0.0);
        expected.sort_by(|a, b| {
            parts[*b as usize].abs().total_cmp(&parts[*a as usize].abs())
        });
        expected.truncate(k);
        let mut found = vec![7];
        top(&parts, k, &mut found);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn what_tells_nothing_counts_little() {
    let stream = Stream::new(21, 3000, |x, _, _| f32::from(u8::from(x > 0.0)));
    for which in (0..MEMBERS).filter(|which| !LABEL_BLIND.contains(which)) {
        let mut model = member(which, Task::Binary);
        walk(&mut *model, &stream, 0, 2600);
        let notes = notes_of(&*model, &stream, 2600, 3000);
        let inputs = SHAPE.explained_width(model.notes_width()) - 1;
        let mut importance = Importance::new(inputs);
        let parts = explained(&*model, &stream.batch(&notes, 2600, 3000).0);
        importance.observe(&parts).expect("whole lists");
        let [x, y] = [importance.values()[0], importance.values()[1]];
        assert!(x > 0.5 && y < 0.2 * x, "{which}: {x} {y}");
    }
}

/// What a category tells is found at it and at the notes about it.
#[test]
fn categories_count_by_themselves_and_their_notes() {
    let stream = Stream::new(22, 3000, |_, _, category| (category % 2) as f32);
    for which in (0..MEMBERS).filter(|which| !LABEL_BLIND.contains(which)) {
        let mut model = member(which, Task::Binary);
        walk(&mut *model, &stream, 0, 2600);
        let notes = notes_of(&*model, &stream, 2600, 3000);
        let width = SHAPE.explained_width(model.notes_width());
        let (mut of_category, mut of_others) = (0.0, 0.0);
        for list in explained(&*model, &stream.batch(&notes, 2600, 3000).0).chunks_exact(width) {
            let noted = |note: &usize| model.noted_feature(*note) == Some(0);
            let about = (0..model.notes_width()).filter(noted).map(|note| list[3 + note]);
            let own = about.sum::<f32>() + list[2];
            of_category += own.abs();
            of_others += (list[..width - 1].iter().sum::<f32>() - own).abs();
        }
        assert!(of_others < 0.2 * of_category, "{which}: {of_category} {of_others}");
        assert_eq!(model.noted_feature(model.notes_width()), None);
    }
}

#[test]
fn importance_is_a_mean_of_sizes() {
    let mut importance = Importance::new(2);
    importance.observe(&[1.0, -2.0, 9.0, -3.0, 0.0, 9.0]).expect("whole lists");
    assert!(importance.observe(&[1.0; 4]).is_err());
    importance.observe(&[2.0, 4.0, 9.0]).expect("a whole list");
    assert_eq!((importance.values(), importance.lists()), (&[2.0, 2.0][..], 3));
}

/// The slope of the line to the whole, or of the map itself where the sum vanishes, limited.
#[test]
fn mapped_contributions_sum_to_the_whole() {
    let mut parts = [0.2, 0.1, 0.5];
    map(&mut parts, [0.0, 1.5], 5.0);
    assert!((parts[0] - 1.0).abs() < 1e-6 && (parts[1] - 0.5).abs() < 1e-6, "{parts:?}");
    assert!(parts[2].abs() < 1e-6);
    let mut parts = [0.2, -0.2, 0.5];
    map(&mut parts, [0.0, 0.0], 4.0);
    assert_eq!(parts, [0.8, -0.8, 0.0]);
    let mut parts = [0.5, -0.5, 1e-6];
    map(&mut parts, [-13.8, -13.8], 1e6);
    assert_eq!(parts, [2.5, -2.5, -13.8]);
}
