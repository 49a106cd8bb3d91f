//! The course of the measures against evaluators that saw the same rows and no more.

use super::*;
use crate::evaluate::Evaluator;
use pelton_kernels::hash::mix64;
use proptest::prelude::*;

const BINARY: [Metric; 3] = [Metric::LogLoss, Metric::Auc, Metric::Accuracy];

fn evaluator(task: Task, metrics: &[Metric], trailing_rows: usize) -> Evaluator {
    let spec = EvaluateSpec { trailing_rows, ..EvaluateSpec::new(task, metrics.to_vec()) };
    Evaluator::new(spec).unwrap()
}

fn drawn(seed: u64, row: u64) -> (f32, f32) {
    let bits = mix64(seed ^ mix64(row));
    let score = (bits >> 40) as f32 / (1_u32 << 24) as f32;
    let is_positive = (bits & 0xFFFF) as f32 / 65536.0 < score;
    (score * score, f32::from(u8::from(is_positive)))
}

#[test]
fn notes_are_few_even_and_those_of_the_evaluator() {
    let mut judge = evaluator(Task::Binary, &BINARY, 1000);
    judge.keep_history();
    for row in 0..150_000_u64 {
        let (score, label) = drawn(7, row);
        judge.observe(row as i64 * 10, 0, &[score], label);
    }
    let notes = judge.history().unwrap().notes();
    assert!((200..=400).contains(&notes.len()), "{}", notes.len());
    let steps: Vec<u64> = notes.windows(2).map(|pair| pair[1].rows - pair[0].rows).collect();
    assert!(steps[..steps.len() - 1].iter().all(|step| *step == 512), "{steps:?}");
    let last = notes.last().unwrap();
    assert_eq!((last.rows, last.time_ms), (150_000, 1_499_990));
    for (figures, report) in [(last.whole, judge.report()), (last.trailing, judge.trailing())] {
        assert_eq!((figures[0], figures[2]), (report[0].1, report[2].1));
        assert!((figures[1] - report[1].1).abs() < 2e-4, "{figures:?} {report:?}");
    }
    // A note in the middle is what an evaluator of those rows alone says.
    let middle = notes[100];
    let mut half = evaluator(Task::Binary, &BINARY, 1000);
    for row in 0..middle.rows {
        let (score, label) = drawn(7, row);
        half.observe(0, 0, &[score], label);
    }
    assert_eq!(middle.whole[0], half.report()[0].1);
    assert_eq!(middle.trailing[2], half.trailing()[2].1);
}

proptest! {
    #[test]
    fn a_correction_leaves_no_trace(
        wrong in prop::collection::vec(any::<bool>(), 1..300), trailing in 0_usize..40
    ) {
        let new = || {
            let mut judge = evaluator(Task::Binary, &BINARY, trailing);
            judge.keep_history();
            judge
        };
        let (mut right, mut corrected) = (new(), new());
        for (row, is_wrong) in wrong.iter().enumerate() {
            let (score, label) = drawn(3, row as u64);
            let given = if *is_wrong { 1.0 - label } else { label };
            right.observe(0, 0, &[score], label);
            corrected.observe(0, 0, &[score], given);
            corrected.correct(0, 0, &[score], given, label);
        }
        let [right, corrected] = [&right, &corrected].map(|judge| judge.history().unwrap());
        prop_assert_eq!(right.curves(&[]), corrected.curves(&[]));
        prop_assert_eq!(right.confusion(), corrected.confusion());
        let last = |history: &History| format!("{:?}", history.notes().last());
        prop_assert_eq!(last(right), last(corrected));
    }
}

#[test]
fn classes_are_judged_by_confidence() {
    let task = Task::MultiClass { classes: 3 };
    let metrics = [Metric::LogLoss, Metric::Accuracy, Metric::Ece];
    let mut judge = evaluator(task, &metrics, 2);
    judge.keep_history();
    // Right with .5, wrong with .75, right with .75: the second and third tie.
    judge.observe(0, 0, &[0.5, 0.25, 0.25], 0.0);
    judge.observe(1, 0, &[0.125, 0.75, 0.125], 2.0);
    judge.observe(2, 0, &[0.125, 0.125, 0.75], 2.0);
    let history = judge.history().unwrap();
    assert_eq!(history.confusion(), [1, 0, 0, 0, 0, 0, 0, 1, 1]);
    assert_eq!(history.totals(), [1, 2]);
    let bins = judge.reliability();
    assert_eq!(bins, history.curves(&[]).unwrap().reliability);
    let bin = |bin: &crate::evaluate::ReliabilityBin| (bin.rows, bin.mean_score, bin.observed);
    assert_eq!(bins.iter().map(bin).collect::<Vec<_>>(), [(1, 0.5, 1.0), (2, 0.75, 0.5)]);
    let report = judge.report();
    assert_eq!(report[2], ("ece", (0.5 + 2.0 * 0.25) / 3.0));
    let last = history.notes()[0];
    assert_eq!([last.whole[0], last.whole[1]], [report[0].1, report[1].1]);
    assert_eq!(last.trailing[1], 0.5);
    // The state takes confidences along.
    let mut bytes = Vec::new();
    judge.write_state(&mut bytes).unwrap();
    let mut other = evaluator(task, &metrics, 2);
    other.read_state(&mut bytes.as_slice()).unwrap();
    assert_eq!((other.report(), other.trailing()), (judge.report(), judge.trailing()));
    assert!(other.history().is_none());
}

#[test]
fn errors_of_values_have_a_course() {
    let mut judge = evaluator(Task::Regression, &[Metric::Mae, Metric::Rmse], 4);
    judge.keep_history();
    for row in 0..300_u16 {
        judge.observe(i64::from(row), 0, &[f32::from(row)], f32::from(row) + 3.0);
    }
    let history = judge.history().unwrap();
    let rows: Vec<u64> = history.notes().iter().map(|note| note.rows).collect();
    assert_eq!(rows, [128, 256, 300]);
    assert!(history.notes().iter().all(|note| note.whole[..2] == [3.0, 3.0]));
    assert!(history.curves(&[]).is_none() && history.confusion().is_empty());
}
