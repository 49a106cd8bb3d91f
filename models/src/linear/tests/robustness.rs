//! Inputs that try to break the model: nothing spreads, nothing panics, everything is counted.

use super::*;

fn odd() -> Vec<f32> {
    vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::MAX, 1e20, -1e16, 1e-40, -0.0]
}

fn all_finite(model: &Linear, task: Task) -> bool {
    let probe = stream(task, 50, 50, 99);
    let mut out = vec![f32::NAN; 50 * model.outputs()];
    model.score(&probe.batch(0, 50).features, &mut out).expect("shapes fit");
    out.iter().all(|value| value.is_finite())
}

#[test]
fn odd_inputs_labels_and_weights_never_spread() {
    for task in TASKS {
        for optimizer in ALL {
            let mut model = model(task, optimizer);
            let mut hostile = stream(task, 900, 900, 10);
            for (place, value) in odd().into_iter().cycle().take(300).enumerate() {
                match place % 3 {
                    0 => hostile.dense[place * 9] = value,
                    1 => hostile.labels[place * 3] = value,
                    _ => hostile.weights[place * 3] = value,
                }
            }
            let out = run(&mut model, &hostile);
            assert!(out.iter().all(|value| value.is_finite()), "{task:?} {optimizer:?}");
            assert!(all_finite(&model, task), "{task:?} {optimizer:?}");
            let usual = stream(task, 20_000, usize::MAX, 11);
            let after = run(&mut model, &usual);
            assert!(after.iter().all(|value| value.is_finite()), "{task:?} {optimizer:?}");
        }
    }
}

#[test]
fn what_cannot_be_learned_is_counted_and_changes_nothing() {
    for task in TASKS {
        let stream = stream(task, 200, 200, 12);
        for optimizer in ALL {
            let mut model = model(task, optimizer);
            run(&mut model, &stream);
            let before = state(&model);
            let cases: [([f32; 3], f32, f32); 7] = [
                ([f32::NAN, 0.0, 0.0], 1.0, 1.0),
                ([0.0, f32::INFINITY, 0.0], 1.0, 1.0),
                ([0.0, 0.0, 1e18], 1.0, 1.0),
                ([0.0; 3], f32::NAN, 1.0),
                ([0.0; 3], f32::INFINITY, 1.0),
                ([0.0; 3], 1.0, f32::NAN),
                ([0.0; 3], 1.0, -1.0),
            ];
            for (dense, label, weight) in cases {
                let batch = LabeledBatch {
                    features: Features { rows: 1, dense: &dense, sparse: &[1, 2], notes: &[] },
                    labels: &[label],
                    weights: &[weight],
                };
                let outcome = model.learn(&batch).expect("shapes fit");
                assert_eq!(
                    (outcome.learned, outcome.refused),
                    (0, 1),
                    "{dense:?} {label} {weight}"
                );
                assert!(state(&model) == before, "{task:?} {optimizer:?}");
            }
        }
    }
    let mut model = model(Task::Binary, Optimizer::AUTO);
    let stream = stream(Task::Regression, 10, 10, 13);
    assert_eq!(model.learn(&stream.batch(0, 10)).expect("shapes fit").refused, 10);
}

#[test]
fn a_row_that_cannot_be_scored_gets_the_score_of_an_empty_one() {
    for optimizer in ALL {
        let mut model = model(Task::Binary, optimizer);
        run(&mut model, &stream(Task::Binary, 500, 500, 14));
        let mut out = [0.0; 2];
        let dense = [f32::NAN, 1.0, 1.0, 0.0, 0.0, 0.0];
        let features =
            Features { rows: 2, dense: &dense, sparse: &[1, 2, ABSENT, ABSENT], notes: &[] };
        model.score(&features, &mut out).expect("shapes fit");
        assert_eq!(out[0], out[1]);
    }
}

#[test]
fn shapes_are_checked_before_anything_is_written() {
    for optimizer in ALL {
        let mut model = model(Task::Binary, optimizer);
        let good = stream(Task::Binary, 4, 4, 15);
        let batch = good.batch(0, 4);
        let before = state(&model);
        let wrong_index = [1, 2, 3, 4, 5, 6, 7, 256];
        let features = Features { sparse: &wrong_index, ..batch.features };
        assert!(model.learn(&LabeledBatch { features, ..batch }).is_err());
        let features = Features { dense: &batch.features.dense[1..], ..batch.features };
        assert!(model.learn(&LabeledBatch { features, ..batch }).is_err());
        assert!(model.learn(&LabeledBatch { labels: &batch.labels[1..], ..batch }).is_err());
        assert!(model.learn(&LabeledBatch { weights: &batch.weights[1..], ..batch }).is_err());
        assert!(model.score(&batch.features, &mut [0.0; 3]).is_err());
        assert!(model.score_and_learn_each(&batch, &mut [0.0; 5]).is_err());
        assert!(state(&model) == before);
    }
    for (rate, l1, positive_weight) in
        [(0.0, 0.0, 1.0), (f32::NAN, 0.0, 1.0), (0.1, -1.0, 1.0), (0.1, 0.0, 0.0)]
    {
        let optimizer = Optimizer::AUTO.with_rate(rate);
        let config =
            LinearConfig { optimizer, l1, positive_weight, ..LinearConfig::new(Task::Binary) };
        assert!(Linear::new(config, SHAPE).is_err(), "{config:?}");
    }
}

#[test]
fn empty_shapes_and_batches_work() {
    for task in TASKS {
        for optimizer in ALL {
            for (dense_width, sparse_width) in [(0, 0), (1, 0), (0, 1), (70, 9)] {
                let shape = FeatureShape { dense_width, sparse_width, sparse_bits: 4 };
                let config = LinearConfig { optimizer, ..LinearConfig::new(task) };
                let mut model = Linear::new(config, shape).expect("in range");
                let empty = Features { rows: 0, dense: &[], sparse: &[], notes: &[] };
                model.score(&empty, &mut []).expect("nothing fits nothing");
                let (dense, sparse) = (vec![0.5; 3 * dense_width], vec![ABSENT; 3 * sparse_width]);
                let features = Features { rows: 3, dense: &dense, sparse: &sparse, notes: &[] };
                let batch = LabeledBatch { features, labels: &[1.0, 0.0, 1.0], weights: &[1.0; 3] };
                let mut out = vec![f32::NAN; 3 * model.outputs()];
                model.score_and_learn_each(&batch, &mut out).expect("shapes fit");
                assert_eq!(model.learn(&batch).expect("shapes fit").learned, 3);
                assert!(out.iter().all(|value| value.is_finite()));
                let mut restored = Linear::new(config, shape).expect("in range");
                restored.read_state(&mut state(&model).as_slice()).expect("the same shape");
                assert!(state(&restored) == state(&model));
            }
        }
    }
}

#[test]
fn regression_does_not_see_units_and_survives_outliers() {
    let mut clean = stream(Task::Regression, 8_000, usize::MAX, 16);
    for optimizer in ALL {
        let fit = |stream: &Stream| {
            let mut model = model(Task::Regression, optimizer);
            let out = run(&mut model, stream);
            loss(stream, &out, Task::Regression, 6_000..8_000)
        };
        let before = fit(&clean);
        let mut large = stream(Task::Regression, 8_000, usize::MAX, 16);
        large.labels.iter_mut().for_each(|label| *label *= 1024.0);
        assert!((fit(&large) / 1024.0 / before - 1.0).abs() < 0.02, "{optimizer:?}");
        for row in (50..6_000).step_by(97) {
            large.labels[row] = -3e7;
        }
        let after = fit(&large) / 1024.0;
        println!("{optimizer:?}: {before} clean, {after} with outliers");
        assert!(after < 2.0 * before + 1.0, "{optimizer:?}: {after}, {before} without outliers");
    }
    clean.labels.clear();
}

/// Inputs in whatever unit they come, none standardised: no expert is lost for good.
#[test]
fn inputs_of_any_size_never_stop_the_learning() {
    for task in TASKS {
        for sizes in [[1.0, 1e5, 3e-3], [1e5, 1e5, 7e4], [1e9, 1.0, 1e6], [1e12, 1e-6, 1.0]] {
            for fold in [false, true] {
                let mut large = stream(task, 20_000, usize::MAX, 17);
                for row in large.dense.as_chunks_mut::<3>().0 {
                    *row = [row[0] * sizes[0], row[1] * sizes[1], row[2] * sizes[2]];
                }
                let config = LinearConfig { fold, ..LinearConfig::new(task) };
                let mut model = Linear::new(config, SHAPE).expect("in range");
                let mut out = vec![0.0; large.rows() * model.outputs()];
                let outcome = model.score_and_learn_each(&large.batch(0, large.rows()), &mut out);
                let refused = outcome.expect("shapes fit").refused;
                assert_eq!(refused, 0, "{task:?}, inputs to {sizes:?}, fold {fold}");
                assert!(out.iter().all(|value| value.is_finite()), "{task:?}, {sizes:?}");
                assert!(all_finite(&model, task), "{task:?}, inputs to {sizes:?}, fold {fold}");
                let weights = model.expert_weights().expect("a blend");
                assert!(weights.iter().all(|weight| weight.is_finite()), "{weights:?}");
            }
        }
    }
}
