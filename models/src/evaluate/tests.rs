//! The evaluator against scikit-learn's values, direct formulas and itself cut in other ways.

use super::*;
use proptest::prelude::*;

const BINARY: [Metric; 12] = [
    Metric::Auc,
    Metric::AveragePrecision,
    Metric::LogLoss,
    Metric::Brier,
    Metric::Accuracy,
    Metric::Kappa,
    Metric::NoChangeAccuracy,
    Metric::KappaTemporal,
    Metric::CalibrationError,
    Metric::Ece,
    Metric::MeanScore,
    Metric::MeanLabel,
];
const DAY_MS: i64 = 86_400_000;

fn evaluator(task: Task, metrics: &[Metric]) -> Evaluator {
    Evaluator::new(EvaluateSpec::new(task, metrics.to_vec())).unwrap()
}

fn binary_with(change: impl FnOnce(&mut EvaluateSpec)) -> Evaluator {
    let mut spec = EvaluateSpec::new(Task::Binary, BINARY.to_vec());
    spec.metrics.push(Metric::GroupedPrecisionAtK { k: 2 });
    change(&mut spec);
    Evaluator::new(spec).unwrap()
}

fn value(report: &[(&'static str, f64)], name: &str) -> f64 {
    report.iter().find(|entry| entry.0 == name).unwrap().1
}

fn bits(report: Vec<(&'static str, f64)>) -> Vec<(&'static str, u64)> {
    report.into_iter().map(|(name, value)| (name, value.to_bits())).collect()
}

fn state(evaluator: &Evaluator) -> Vec<u8> {
    let mut bytes = Vec::new();
    evaluator.write_state(&mut bytes).unwrap();
    bytes
}

fn float(hex: &str) -> f32 {
    f32::from_bits(u32::from_str_radix(hex, 16).unwrap())
}

#[test]
fn equals_scikit_learn() {
    let mut judge: Option<Evaluator> = None;
    let mut compared = 0;
    for line in include_str!("tests/sklearn.txt").lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        match (words[0], words[1]) {
            ("case", "binary") => judge = Some(evaluator(Task::Binary, &BINARY)),
            ("case", "multiclass") => {
                let metrics = [Metric::Accuracy, Metric::Kappa, Metric::LogLoss];
                judge = Some(evaluator(Task::MultiClass { classes: 4 }, &metrics));
            }
            ("case", _) => {
                let metrics = [Metric::Mae, Metric::Rmse, Metric::R2];
                judge = Some(evaluator(Task::Regression, &metrics));
            }
            ("rows", _) => {
                let judge = judge.as_mut().unwrap();
                for row in &words[1..] {
                    let (scores, label) = row.rsplit_once(':').unwrap();
                    let scores: Vec<f32> = scores.split(':').map(float).collect();
                    let label =
                        if label.len() == 8 { float(label) } else { label.parse().unwrap() };
                    judge.observe(0, 0, &scores, label);
                }
            }
            (_, name) => {
                let expected: f64 = words[2].parse().unwrap();
                let given = value(&judge.as_ref().unwrap().report(), name);
                assert!((given - expected).abs() < 1e-9, "{name}: {given} against {expected}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 36);
}

#[test]
fn undefined_is_nan_and_bad_rows_are_counted() {
    let mut judge = evaluator(Task::Binary, &BINARY);
    assert!(judge.report().iter().all(|(_, value)| value.is_nan()));
    judge.observe(0, 0, &[0.25], 0.0);
    judge.observe(0, 0, &[-0.0], 0.0);
    let report = judge.report();
    for name in ["auc", "average_precision", "kappa"] {
        assert!(value(&report, name).is_nan(), "{name}");
    }
    assert_eq!(value(&report, "brier"), 0.03125);
    assert_eq!(value(&report, "no_change_accuracy"), 1.0);
    let before = bits(judge.report());
    for bad in [f32::NAN, f32::INFINITY, -0.1, 1.5] {
        judge.observe(0, 0, &[bad], 1.0);
    }
    for bad in [f32::NAN, 2.0, 0.5, -1.0] {
        judge.observe(0, 0, &[0.5], bad);
    }
    assert_eq!(bits(judge.report()), before);
    let counts = judge.counts();
    assert_eq!((counts.judged, counts.refused_scores, counts.refused_labels), (2, 4, 4));
}

#[test]
fn bounds_are_half_open_and_the_baseline_remembers_beyond_them() {
    let mut judge = binary_with(|spec| (spec.from_ms, spec.to_ms) = (Some(10), Some(20)));
    for (time, label) in [(9, 1.0), (10, 1.0), (19, 0.0), (20, 1.0)] {
        judge.observe(time, 0, &[0.75], label);
    }
    let report = judge.report();
    assert_eq!((judge.counts().judged, judge.counts().out_of_bounds), (2, 2));
    assert_eq!(value(&report, "accuracy"), 0.5);
    assert_eq!(value(&report, "no_change_accuracy"), 0.5);
}

#[test]
fn grouped_precision_takes_the_best_groups_of_each_day() {
    let mut judge = binary_with(|_| ());
    // Day 0: groups 3 and 1 tie for the second place, the smaller code is taken: 1 of 2 has one.
    for (group, score, label) in [(9, 0.9, 1.0), (3, 0.5, 1.0), (1, 0.5, 0.0), (9, 0.1, 0.0)] {
        judge.observe(5, group, &[score], label);
    }
    // Day 1: one group only, and its positive is not the row of the highest score.
    judge.observe(DAY_MS, 4, &[0.2], 1.0);
    judge.observe(DAY_MS, 4, &[0.8], 0.0);
    let name = "grouped_precision_at_k";
    assert_eq!(value(&judge.report(), name), 0.75);
    judge.close_days_before(DAY_MS);
    judge.observe(6, 9, &[0.9], 1.0);
    assert_eq!(judge.counts().late_for_groups, 1);
    assert_eq!(value(&judge.report(), name), 0.75);
    judge.correct(DAY_MS, 4, &[0.2], 1.0, 0.0);
    assert_eq!(value(&judge.report(), name), 0.25);
}

#[test]
fn too_many_open_groups_fold_the_oldest_day() {
    let mut groups = GroupedPrecision::new(1).with_groups_max(2);
    groups.observe(0, 1, 0.5, true);
    groups.observe(DAY_MS, 1, 0.5, false);
    groups.observe(DAY_MS, 2, 0.25, false);
    assert_eq!((groups.days_folded_early, groups.late_rows), (1, 0));
    groups.observe(1, 1, 0.5, true);
    assert_eq!(groups.late_rows, 1);
    assert_eq!(groups.value(), 0.5);
}

#[test]
fn a_spec_that_makes_no_sense_is_refused() {
    let refused = |task, metrics: &[Metric]| {
        Evaluator::new(EvaluateSpec::new(task, metrics.to_vec())).unwrap_err()
    };
    let unfit = refused(Task::Regression, &[Metric::Auc]);
    assert!(matches!(unfit, EvaluateError::MetricUnfit { metric: Metric::Auc }));
    let none = refused(Task::Binary, &[Metric::GroupedPrecisionAtK { k: 0 }]);
    assert!(matches!(none, EvaluateError::GroupsNone));
    let few = refused(Task::MultiClass { classes: 1 }, &[]);
    assert!(matches!(few, EvaluateError::ClassesTooFew { classes: 1 }));
    for metric in Metric::ALL {
        assert_eq!(Metric::from_name(metric.name(), 100), Some(metric));
    }
}

fn stream() -> impl Strategy<Value = Vec<(i64, u64, f32, bool)>> {
    let score = prop_oneof![(0u32..9).prop_map(|step| step as f32 / 8.0), 0.0f32..=1.0];
    prop::collection::vec((0..3 * DAY_MS, 0u64..6, score, any::<bool>()), 0..80)
}

proptest! {
    /// The report after corrections is that of a stream whose labels were right at once.
    #[test]
    fn a_correction_leaves_no_trace(
        rows in stream(), wrong in prop::collection::vec(any::<bool>(), 80), exact in any::<bool>()
    ) {
        let new = || binary_with(|spec| {
            spec.metrics.retain(|metric| {
                !matches!(metric, Metric::NoChangeAccuracy | Metric::KappaTemporal)
            });
            spec.exact_rows_max = if exact { 1000 } else { 0 };
        });
        let (mut right, mut corrected) = (new(), new());
        let label = f32::from;
        for (&(time, group, score, positive), &is_wrong) in rows.iter().zip(&wrong) {
            right.observe(time, group, &[score], label(positive));
            corrected.observe(time, group, &[score], label(positive ^ is_wrong));
        }
        for (&(time, group, score, positive), _) in rows.iter().zip(&wrong).filter(|row| *row.1) {
            corrected.correct(time, group, &[score], label(!positive), label(positive));
        }
        prop_assert_eq!(bits(right.report()), bits(corrected.report()));
        prop_assert_eq!(bits(right.trailing()), bits(corrected.trailing()));
    }

    /// Written, read and gone on is the same as gone on, bytes included.
    #[test]
    fn a_restart_changes_nothing(
        rows in stream(), cut in 0usize..80, exact_rows_max in 0usize..90, trailing in 0usize..30
    ) {
        let new = || binary_with(|spec| {
            (spec.exact_rows_max, spec.trailing_rows) = (exact_rows_max, trailing);
        });
        let (mut whole, mut resumed) = (new(), new());
        for (index, &(time, group, score, positive)) in rows.iter().enumerate() {
            if index == cut {
                let bytes = state(&resumed);
                resumed = new();
                resumed.read_state(&mut bytes.as_slice()).unwrap();
                prop_assert_eq!(state(&resumed), bytes);
            }
            for judge in [&mut whole, &mut resumed] {
                judge.observe(time, group, &[score], f32::from(positive));
                judge.close_days_before(time / 2);
            }
        }
        prop_assert_eq!(state(&whole), state(&resumed));
        prop_assert_eq!(bits(whole.report()), bits(resumed.report()));
        prop_assert_eq!(bits(whole.trailing()), bits(resumed.trailing()));
    }

    /// The trailing report is the report of an evaluator that saw the last rows only.
    #[test]
    fn trailing_is_the_report_of_the_last_rows(rows in stream(), trailing in 1usize..30) {
        let mut whole = binary_with(|spec| spec.trailing_rows = trailing);
        let mut last = binary_with(|spec| spec.trailing_rows = 1000);
        let first = rows.len().saturating_sub(trailing);
        for (index, &(time, group, score, positive)) in rows.iter().enumerate() {
            whole.observe(time, group, &[score], f32::from(positive));
            if index >= first {
                last.observe(time, group, &[score], f32::from(positive));
            }
        }
        prop_assert_eq!(bits(whole.trailing()), bits(last.trailing()));
    }

    /// Sums against direct formulas in double precision.
    #[test]
    fn calibration_and_means_equal_direct_formulas(rows in stream()) {
        prop_assume!(!rows.is_empty());
        let mut judge = binary_with(|_| ());
        let mut gaps = [0.0f64; CALIBRATION_BINS];
        for &(time, group, score, positive) in &rows {
            judge.observe(time, group, &[score], f32::from(positive));
            let bin = ((f64::from(score) * 15.0).floor() as usize).min(14);
            gaps[bin] += f64::from(score) - f64::from(u8::from(positive));
        }
        let rows = rows.len() as f64;
        let expected = gaps.iter().map(|gap| gap.abs()).sum::<f64>() / rows;
        let report = judge.report();
        prop_assert!((value(&report, "calibration_error") - expected).abs() < 1e-10);
        let gap = value(&report, "mean_score") - value(&report, "mean_label");
        prop_assert!((gap - gaps.iter().sum::<f64>() / rows).abs() < 1e-10);
    }
}

#[test]
fn a_state_of_another_spec_or_cut_short_is_refused() {
    let mut judge = binary_with(|_| ());
    judge.observe(0, 1, &[0.5], 1.0);
    let bytes = state(&judge);
    let other = binary_with(|spec| spec.to_ms = Some(9)).read_state(&mut bytes.as_slice());
    assert!(matches!(other, Err(EvaluateError::StateOfAnotherSpec)));
    for length in 0..bytes.len() {
        let cut = binary_with(|_| ()).read_state(&mut &bytes[..length]);
        assert!(matches!(cut, Err(EvaluateError::State(_))), "{length}");
    }
}

#[test]
fn regression_forgets_what_is_corrected() {
    let metrics = [Metric::Mae, Metric::Rmse, Metric::R2, Metric::MeanLabel];
    let (mut right, mut corrected) =
        (evaluator(Task::Regression, &metrics), evaluator(Task::Regression, &metrics));
    for step in 0..50 {
        let (score, target) = (1e3 + step as f32, 1e3 + 1.3 * step as f32);
        right.observe(0, 0, &[score], target);
        corrected.observe(0, 0, &[score], target + 100.0);
        corrected.correct(0, 0, &[score], target + 100.0, target);
    }
    for (a, b) in right.report().iter().zip(corrected.report()) {
        assert!((a.1 - b.1).abs() < 1e-9 * a.1.abs(), "{a:?} {b:?}");
    }
}
