//! Drawn models against the models: rows they have not seen, with categories that nobody has seen
//! and numbers that are none, scored by the model and by its graph.

use pelton_kernels::cases::Draw;

use super::*;
use crate::anomaly::Anomaly;
use crate::auto::{Auto, AutoConfig};
use crate::boost::Boost;
use crate::calibrate::{Calibrated, Calibration};
use crate::contest::{Contest, Rule as ContestRule};
use crate::factor::{Factor, FactorConfig, Interaction};
use crate::forest::Forest;
use crate::linear::{Linear, LinearConfig, Optimizer};
use crate::neural::{Form, Neural, NeuralConfig};
use crate::standardized::Standardized;
use crate::tests::{Stream, small};
use crate::thinned::Thinned;
use crate::{ABSENT, Features, LabeledBatch, Task, anomaly, forest};

/// The largest difference of a probability, or of a value in units of how far values spread.
pub(crate) const TOLERANCE: f64 = 1e-5;
/// Rows that a model is trained by, and rows it is held against its graph by.
const ROWS: usize = 2500;
const UNSEEN: usize = 300;

/// Shapes of rows: numbers, categories, both, and more than one category.
pub(crate) const SHAPES: [FeatureShape; 4] = [
    FeatureShape { dense_width: 2, sparse_width: 1, sparse_bits: 6 },
    FeatureShape { dense_width: 2, sparse_width: 0, sparse_bits: 0 },
    FeatureShape { dense_width: 0, sparse_width: 1, sparse_bits: 6 },
    FeatureShape { dense_width: 2, sparse_width: 3, sparse_bits: 6 },
];
pub(crate) const TASKS: [Task; 3] =
    [Task::Binary, Task::MultiClass { classes: 4 }, Task::Regression];

/// Features of rows of any shape.
struct Rows {
    dense: Vec<f32>,
    sparse: Vec<u32>,
}

impl Rows {
    fn features<'a>(
        &'a self,
        shape: FeatureShape,
        notes: &'a [f32],
        from: usize,
        to: usize,
    ) -> Features<'a> {
        Features {
            rows: to - from,
            dense: &self.dense[from * shape.dense_width..to * shape.dense_width],
            sparse: &self.sparse[from * shape.sparse_width..to * shape.sparse_width],
            notes,
        }
    }
}

/// The rows of a stream in a shape: its numbers, and categories that follow from its category.
fn shown(stream: &Stream, shape: FeatureShape) -> Rows {
    let dense = if shape.dense_width == 0 { Vec::new() } else { stream.dense.clone() };
    let of_row = |category: &u32| -> Vec<u32> {
        let own = |column: u32| match *category {
            ABSENT if column == 1 => 5,
            ABSENT => ABSENT,
            category => (category * (2 * column + 1) + column) % 40,
        };
        (0..shape.sparse_width as u32).map(own).collect()
    };
    Rows { dense, sparse: stream.sparse.iter().flat_map(of_row).collect() }
}

fn label(task: Task) -> impl Fn(f32, f32, u32) -> f32 {
    move |x, y, category| {
        let value = x * y + if category % 3 == 0 { 0.4 } else { 0.0 } + 0.1 * x;
        match task {
            Task::Binary => f32::from(u8::from(value > 0.2)),
            Task::MultiClass { classes } => {
                ((value + 1.0) / 2.0 * classes as f32).floor().clamp(0.0, classes as f32 - 1.0)
            }
            Task::Regression => 1000.0 + 50.0 * value,
        }
    }
}

/// Notes, scores and learns a stream, row by row.
pub(crate) fn train(model: &mut dyn Model, task: Task, shape: FeatureShape, seed: u64) {
    let stream = Stream::new(seed, ROWS, label(task));
    let rows = shown(&stream, shape);
    let (mut notes, mut out) = (vec![0.0; model.notes_width()], vec![0.0; model.outputs()]);
    for row in 0..ROWS {
        model.note(&rows.features(shape, &[], row, row + 1), &mut notes).expect("it fits");
        let features = rows.features(shape, &notes, row, row + 1);
        let labels = &stream.labels[row..=row];
        let batch = LabeledBatch { features, labels, weights: &[1.0] };
        model.score_and_learn_each(&batch, &mut out).expect("it fits");
    }
}

/// Rows that no stream has: any category there can be, and, if there may be such, numbers that are
/// none or huge.
fn unseen(shape: FeatureShape, is_finite: bool) -> Rows {
    let mut draw = Draw::new(77);
    let strange = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -3e38, 0.0, -0.0];
    let dense = (0..UNSEEN * shape.dense_width).map(|_| match draw.unit() {
        few if few < 0.2 && !is_finite => strange[(draw.unit() * 7.0) as usize],
        _ => draw.unit() * 3.0 - 1.5,
    });
    let dense = dense.collect();
    let limit = (1_u32 << shape.sparse_bits) as f32;
    let sparse = (0..UNSEEN * shape.sparse_width).map(|_| match draw.unit() {
        few if few < 0.1 => ABSENT,
        _ => (draw.unit() * limit) as u32,
    });
    Rows { dense, sparse: sparse.collect() }
}

/// The inputs of a graph: every other category that is absent is -1.
fn inputs_of(rows: &Rows, shape: FeatureShape) -> Vec<Tensor> {
    let number = |(at, index): (usize, &u32)| match *index {
        ABSENT if at % 2 == 0 => -1,
        index => i64::from(index),
    };
    let count = |numbers: usize, width: usize| numbers.checked_div(width).unwrap_or(0);
    let dense = Tensor::matrix(rows.dense.clone(), shape.dense_width);
    let indices: Vec<i64> = rows.sparse.iter().enumerate().map(number).collect();
    let lengths = vec![count(indices.len(), shape.sparse_width), shape.sparse_width];
    let sparse = Tensor::new(lengths, Data::I64(indices)).expect("whole rows");
    let widths = [shape.dense_width, shape.sparse_width];
    [dense, sparse]
        .into_iter()
        .zip(widths)
        .filter(|(_, width)| *width > 0)
        .map(|own| own.0)
        .collect()
}

/// Holds a model against its graph, which must do the same with every row; the largest difference,
/// of a probability or in units of how far the values spread. With `is_finite` only numbers that
/// are some are tried.
pub(crate) fn assert_drawn(
    what: &str,
    model: &dyn Model,
    (task, shape): (Task, FeatureShape),
    is_finite: bool,
    tolerance: f64,
) -> f64 {
    let graph = Graph::of(model, shape).expect(what);
    let rows = unseen(shape, is_finite);
    let mut notes = vec![0.0; UNSEEN * model.notes_width()];
    model.note(&rows.features(shape, &[], 0, UNSEEN), &mut notes).expect(what);
    let outputs = model.outputs();
    let mut wanted = vec![0.0; UNSEEN * outputs];
    model.score(&rows.features(shape, &notes, 0, UNSEEN), &mut wanted).expect(what);
    let found = graph.run(&inputs_of(&rows, shape)).expect(what).remove(0);
    assert_eq!(found.shape(), [UNSEEN, outputs], "{what}");
    let unit = match task {
        Task::Regression => {
            let most = wanted.iter().fold(f32::MIN, |most, own| most.max(*own));
            let least = wanted.iter().fold(f32::MAX, |least, own| least.min(*own));
            f64::from(most - least).max(1.0)
        }
        _ => 1.0,
    };
    let mut largest = 0.0_f64;
    for (at, (found, wanted)) in found.as_f32().expect(what).iter().zip(&wanted).enumerate() {
        let off = f64::from((found - wanted).abs()) / unit;
        assert!(off <= tolerance, "{what}, {task:?} of {shape:?}, {at}: {found} {wanted}");
        largest = largest.max(off);
    }
    assert_eq!(graph.mixes_rows(), Ok(false), "{what}");
    let none = Rows { dense: vec![], sparse: vec![] };
    let of_none = graph.run(&inputs_of(&none, shape)).expect(what).remove(0);
    assert_eq!(of_none.shape(), [0, outputs], "{what}");
    largest
}

/// Holds an untrained model, and the same one trained, against their graphs, for all tasks (those
/// that there is a model for) and shapes.
pub(crate) fn assert_all_drawn(
    what: &str,
    is_finite: bool,
    make: impl Fn(Task, FeatureShape) -> Option<Box<dyn Model>>,
) {
    assert_all_within(what, (is_finite, TOLERANCE), make);
}

/// The same within a tolerance of its own.
fn assert_all_within(
    what: &str,
    (is_finite, tolerance): (bool, f64),
    make: impl Fn(Task, FeatureShape) -> Option<Box<dyn Model>>,
) {
    let mut largest = [0.0_f64; 3];
    for (task, largest) in TASKS.into_iter().zip(&mut largest) {
        for (seed, shape) in (31..).zip(SHAPES) {
            let Some(mut model) = make(task, shape) else { continue };
            let own = (task, shape);
            assert_drawn(&format!("{what}, untrained"), &*model, own, is_finite, tolerance);
            train(&mut *model, task, shape, seed);
            *largest = largest.max(assert_drawn(what, &*model, own, is_finite, tolerance));
        }
    }
    println!("{what}: at most {largest:?} off");
}

fn boost(task: Task, shape: FeatureShape) -> Box<dyn Model> {
    Box::new(Boost::new(small(task), shape).expect("possible"))
}

fn trees(task: Task, shape: FeatureShape) -> Box<dyn Model> {
    Box::new(Forest::new(forest::tests::small(task), shape).expect("possible"))
}

fn neural(form: Form, task: Task, shape: FeatureShape) -> Box<dyn Model> {
    let config = NeuralConfig { replay_rows: 10, ..NeuralConfig::new(task, form) };
    Box::new(Neural::new(config, shape).expect("possible"))
}

#[test]
fn boosted_trees_are_drawn() {
    assert_all_drawn("boost", false, |task, shape| Some(boost(task, shape)));
}

#[test]
fn forests_are_drawn() {
    assert_all_drawn("forest", false, |task, shape| Some(trees(task, shape)));
}

#[test]
fn networks_are_drawn() {
    for form in [Form::Mlp, Form::Deep] {
        let name = format!("{form:?}");
        assert_all_drawn(&name, false, |task, shape| Some(neural(form, task, shape)));
    }
}

#[test]
fn linear_models_are_drawn() {
    use Optimizer as Rule;
    for (optimizer, fold) in
        [(Rule::AUTO, true), (Rule::FTRL, false), (Rule::ADAGRAD, true), (Rule::SGD, true)]
    {
        assert_all_drawn(&format!("{optimizer:?}"), false, |task, shape| {
            let positive_weight = if task == Task::Binary { 3.0 } else { 1.0 };
            let config =
                LinearConfig { optimizer, fold, positive_weight, ..LinearConfig::new(task) };
            Some(Box::new(Linear::new(config, shape).expect("possible")))
        });
    }
}

#[test]
fn factorization_machines_are_drawn() {
    for interaction in [Interaction::Shared, Interaction::ByField] {
        assert_all_drawn(&format!("{interaction:?}"), false, |task, shape| {
            let config = FactorConfig::new(task, interaction);
            Some(Box::new(Factor::new(config, shape).expect("possible")))
        });
    }
}

/// Notes of all rows and of categories, members that see this and that, the stack, and the pool.
/// Members' probabilities next to 1 are a few steps of a 32-bit float apart, which the log odds
/// that are pooled magnify: there the last bit shows.
#[test]
fn mixtures_are_drawn() {
    for standardize in [true, false] {
        let what = format!("mixture, scaled {standardize}");
        assert_all_within(&what, (false, 50.0 * TOLERANCE), |task, shape| {
            let config = AutoConfig { standardize, ..AutoConfig::new(task) };
            Some(Box::new(Auto::new(config, shape).expect("possible")))
        });
    }
    let config = AutoConfig { strangeness: true, ..AutoConfig::new(Task::Binary) };
    let strange = Auto::new(config, SHAPES[0]).expect("possible");
    let refused = Graph::of(&strange, SHAPES[0]).expect_err("it has isolation trees");
    assert_eq!(refused.to_string(), "a mixture that notes strangeness cannot be exported");
}

#[test]
fn standardised_models_are_drawn() {
    let behind = |model, task, shape| -> Option<Box<dyn Model>> {
        Some(Box::new(Standardized::new(model, task, shape, 8.0).expect("possible")))
    };
    assert_all_drawn("standardised", false, |task, shape| {
        behind(neural(Form::Deep, task, shape), task, shape)
    });
    // With notes.
    assert_all_drawn("standardised trees", false, |task, shape| {
        behind(boost(task, shape), task, shape)
    });
}

/// What is no probability stays as it is, too.
#[test]
fn corrected_scores_are_drawn() {
    assert_all_drawn("thinned", false, |task, shape| {
        let is_one = task.outputs() == 1;
        is_one.then(|| -> Box<dyn Model> {
            Box::new(Thinned::new(boost(task, shape), 0.3).expect("possible"))
        })
    });
    for how in [Calibration::Platt, Calibration::Isotonic] {
        assert_all_drawn(&format!("{how:?}"), false, |task, shape| {
            let is_one = task.outputs() == 1;
            is_one.then(|| -> Box<dyn Model> {
                Box::new(Calibrated::new(trees(task, shape), how).expect("possible"))
            })
        });
    }
}

/// The champion's, whichever of them it is.
#[test]
fn contests_are_drawn() {
    for champion in ["one", "other"] {
        assert_all_drawn(&format!("contest of {champion}"), false, |task, shape| {
            let rule = ContestRule { is_automatic: false, alpha: 0.05, labels_min: 100 };
            let models = vec![
                ("one".to_owned(), trees(task, shape)),
                ("other".to_owned(), boost(task, shape)),
            ];
            let mut contest = Contest::new(task, shape, rule, models).expect("possible");
            assert!(contest.promote(champion));
            Some(Box::new(contest))
        });
    }
}

/// A model of rows without a number and a category has nothing to be drawn from, and trees of more
/// classes than are noted have no columns.
#[test]
fn rows_of_little_are_drawn_or_refused() {
    let empty = FeatureShape { dense_width: 0, sparse_width: 0, sparse_bits: 0 };
    let refused = Graph::of(&*boost(Task::Binary, empty), empty).expect_err("of nothing");
    assert_eq!(refused.to_string(), "a model of rows without features cannot be exported");
    let (task, shape) = (Task::MultiClass { classes: 12 }, SHAPES[2]);
    for mut model in [boost(task, shape), trees(task, shape)] {
        train(&mut *model, task, shape, 8);
        assert_drawn("without columns", &*model, (task, shape), false, TOLERANCE);
    }
}

#[test]
fn an_anomaly_model_is_not_drawn() {
    let config = anomaly::tests::small(Task::Binary);
    let model = Anomaly::new(config, SHAPES[0]).expect("possible");
    let refused = Graph::of(&model, SHAPES[0]).expect_err("a rank is none");
    assert_eq!(refused.to_string(), "an anomaly model cannot be exported");
}
