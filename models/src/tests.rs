//! What every member of the family has to hold, and streams that no linear model can learn.

#[cfg(feature = "double")]
pub mod device;
mod little;
#[cfg(feature = "double")]
mod recorded;

use std::sync::Arc;

use pelton_kernels::cases::{Draw, scaled};
use proptest::prelude::*;

use crate::anomaly::{self, Anomaly};
use crate::auto::{Auto, AutoConfig};
use crate::boost::{Boost, BoostConfig};
use crate::contest::{self, Rule};
use crate::factor::{Factor, FactorConfig, Interaction};
use crate::forest::{self, Forest};
use crate::frozen::{self, Frozen};
use crate::linear::{Linear, LinearConfig};
use crate::neural::{Form, Neural, NeuralConfig};
use crate::standardized::Standardized;
use crate::thinned::Thinned;
use crate::{ABSENT, FeatureShape, Features, LabeledBatch, LearnOutcome, Model, Task};

/// The shape of the rows of a [`Stream`].
pub const SHAPE: FeatureShape = FeatureShape { dense_width: 2, sparse_width: 1, sparse_bits: 6 };

/// Two numbers of -1 to 1 and a category of 0 to 38, or none; the label is what a function of them
/// says.
pub struct Stream {
    pub draw: Draw,
    pub dense: Vec<f32>,
    pub sparse: Vec<u32>,
    pub labels: Vec<f32>,
}

impl Stream {
    pub fn new(seed: u64, rows: usize, label: impl Fn(f32, f32, u32) -> f32) -> Stream {
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

    /// Some of the rows, with what was noted of them, and their labels.
    pub fn batch<'a>(
        &'a self,
        notes: &'a [f32],
        from: usize,
        to: usize,
    ) -> (Features<'a>, &'a [f32]) {
        let (dense, sparse) = (&self.dense[2 * from..2 * to], &self.sparse[from..to]);
        (Features { rows: to - from, dense, sparse, notes }, &self.labels[from..to])
    }
}

/// What a model as it is notes of some of the rows.
pub fn notes_of(model: &dyn Model, stream: &Stream, from: usize, to: usize) -> Vec<f32> {
    let mut notes = vec![0.0; (to - from) * model.notes_width()];
    let (features, _) = stream.batch(&[], from, to);
    model.note(&features, &mut notes).expect("the shapes fit");
    notes
}

/// Notes, scores and learns the rows from one to another, one by one; the scores.
pub fn walk(model: &mut dyn Model, stream: &Stream, from: usize, to: usize) -> Vec<f32> {
    let mut scores = vec![0.0; (to - from) * model.outputs()];
    for (row, out) in (from..to).zip(scores.chunks_exact_mut(model.outputs())) {
        let notes = notes_of(model, stream, row, row + 1);
        let (features, labels) = stream.batch(&notes, row, row + 1);
        let batch = LabeledBatch { features, labels, weights: &[1.0] };
        model.score_and_learn_each(&batch, out).expect("the shapes fit");
    }
    assert!(scores.iter().all(|score| score.is_finite()));
    scores
}

/// The state.
pub fn saved(model: &dyn Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write_state(&mut bytes).expect("a vector takes all bytes");
    bytes
}

/// An untrained member.
pub fn member(which: usize, task: Task) -> Box<dyn Model> {
    match which {
        12 => {
            let rule = Rule { is_automatic: true, alpha: 0.5, labels_min: 50 };
            Box::new(contest::tests::contest(task, rule))
        }
        13 => {
            let drawing = Arc::new(frozen::tests::drawing(task).1);
            Box::new(Frozen::new(task, SHAPE, drawing).expect("possible"))
        }
        14 => {
            let drawing = Some(Arc::new(frozen::tests::drawing(task).1));
            Box::new(Auto::beside(AutoConfig::new(task), SHAPE, drawing).expect("possible"))
        }
        _ => member_of(which, task, SHAPE),
    }
}

/// An untrained member of those that can be of any rows, the first [`OF_ANY`].
fn member_of(which: usize, task: Task, shape: FeatureShape) -> Box<dyn Model> {
    let factor =
        |interaction| Factor::new(FactorConfig::new(task, interaction), shape).expect("possible");
    let neural = |form| -> Box<dyn Model> {
        let config = NeuralConfig { replay_rows: 10, ..NeuralConfig::new(task, form) };
        Box::new(Neural::new(config, shape).expect("possible"))
    };
    match which {
        0 => Box::new(Linear::new(LinearConfig::new(task), shape).expect("possible")),
        1 => Box::new(Boost::new(small(task), shape).expect("possible")),
        2 => Box::new(Forest::new(forest::tests::small(task), shape).expect("possible")),
        3 => Box::new(factor(Interaction::Shared)),
        4 => Box::new(factor(Interaction::ByField)),
        5 | 6 => {
            let config = AutoConfig { strangeness: which == 6, ..AutoConfig::new(task) };
            Box::new(Auto::new(config, shape).expect("possible"))
        }
        // There is nothing to be told of classes and values.
        7 => {
            let config = anomaly::tests::small(Task::Binary);
            Box::new(Anomaly::new(config, shape).expect("possible"))
        }
        8 => {
            let linear = Linear::new(LinearConfig::new(task), shape).expect("possible");
            Box::new(Standardized::new(Box::new(linear), task, shape, 8.0).expect("possible"))
        }
        9 => {
            let trees = Boost::new(small(task), shape).expect("possible");
            match task {
                Task::Binary => Box::new(Thinned::new(Box::new(trees), 0.5).expect("possible")),
                _ => Box::new(trees),
            }
        }
        10 => neural(Form::Mlp),
        _ => neural(Form::Deep),
    }
}
pub const MEMBERS: usize = 15;
/// Members that can be of any rows.
const OF_ANY: usize = 12;
/// The member that tells how strange a row is, of two classes only.
pub const STRANGE: usize = 7;
/// Members that learn nothing from labels.
pub const LABEL_BLIND: [usize; 2] = [STRANGE, 13];
/// The member that learns half of the negatives, where there are such.
const THINNED: usize = 9;
/// Members whose steps are their rows, one after another.
const IN_ORDER: [usize; 5] = [1, 2, 7, 10, 11];
/// Members whose states are kept by copies and steps; 12 is a linear champion, with trees in its
/// shadow.
const COPIED: [usize; 10] = [1, 2, 5, 6, 7, 8, 10, 11, 12, 14];

/// Trees that do not take long.
pub fn small(task: Task) -> BoostConfig {
    BoostConfig { sample_rows: 2000, rounds: 20, period_labels: 1000, ..BoostConfig::new(task) }
}

const TASKS: [Task; 3] = [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression];

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(24), ..ProptestConfig::default() })]

    /// Wherever the stream is cut: saved and read, kept and gone back to, it goes on to the bit.
    #[test]
    fn a_restart_and_a_way_back_show_nothing(
        seed: u64, cut in 0_usize..1900, kind in 0_usize..3, which in 0..MEMBERS,
        step in 1_usize..60,
    ) {
        let classes = if kind == 1 { 3.0 } else { 2.0 };
        let stream = Stream::new(seed, 2000, |x, y, _| ((x * y + 1.0) / 2.0 * classes).floor());
        let mut whole = member(which, TASKS[kind]);
        // States are kept now and then, rows learned in steps; of those before the cut one is
        // left, which may lie behind a copy or be one.
        for from in (0..cut).step_by(300) {
            whole.keep().expect("kept");
            let to = cut.min(from + 300);
            for from in (from..to).step_by(step) {
                learn_step(&mut *whole, &stream, from, to.min(from + step));
            }
        }
        let bytes = saved(&*whole);
        let mut resumed = member(which, TASKS[kind]);
        resumed.read_state(&mut &bytes[..]).expect("own bytes");
        prop_assert!(saved(&*resumed) == bytes);
        whole.keep().expect("kept");
        (0..cut.div_ceil(300)).for_each(|_| whole.forget_oldest());
        let mut kept = Vec::new();
        whole.write_kept(&mut kept).expect("a vector takes all bytes");
        let first = walk(&mut *whole, &stream, cut, 2000);
        prop_assert_eq!(&walk(&mut *resumed, &stream, cut, 2000), &first);
        prop_assert!(saved(&*resumed) == saved(&*whole));
        // What is kept is read where its state was.
        resumed.read_state(&mut &bytes[..]).expect("own bytes");
        resumed.read_kept(&mut &kept[..]).expect("own bytes");
        let mut again = Vec::new();
        resumed.write_kept(&mut again).expect("a vector takes all bytes");
        prop_assert!(again == kept);
        walk(&mut *resumed, &stream, cut, 2000);
        for model in [&mut whole, &mut resumed] {
            model.keep().expect("kept");
            model.go_back().expect("kept before");
            prop_assert!(saved(&**model) == bytes);
            prop_assert_eq!(&walk(&mut **model, &stream, cut, 2000), &first);
            model.go_back().expect("still kept");
            prop_assert!(saved(&**model) == bytes);
            model.forget_oldest();
            model.go_back().expect("nothing is kept");
            prop_assert!(saved(&**model) == bytes);
        }
    }

    /// Steps of members that learn row after row are those rows, with the same notes.
    #[test]
    fn steps_of_rows_in_order_change_no_bit(
        seed: u64, step in 1_usize..300, kind in 0_usize..3, at in 0..IN_ORDER.len(),
    ) {
        let stream = Stream::new(seed, 1500, |x, y, _| f32::from(u8::from(x > y)));
        let mut single = member(IN_ORDER[at], TASKS[kind]);
        let mut steps = member(IN_ORDER[at], TASKS[kind]);
        let mut noted = Vec::new();
        for row in 0..1500 {
            noted.extend(notes_of(&*single, &stream, row, row + 1));
            walk(&mut *single, &stream, row, row + 1);
        }
        let width = single.notes_width();
        for from in (0..1500).step_by(step) {
            let to = (from + step).min(1500);
            let (features, labels) = stream.batch(&noted[from * width..to * width], from, to);
            let weights = &vec![1.0; labels.len()];
            steps.learn(&LabeledBatch { features, labels, weights }).expect("the shapes fit");
        }
        prop_assert!(saved(&*steps) == saved(&*single));
    }

    /// Scored, then learned: the bits of both at once, and each label counts for the next row.
    #[test]
    fn scoring_and_learning_apart_is_the_same(
        seed: u64, kind in 0_usize..3, which in 0..MEMBERS,
    ) {
        let stream = Stream::new(seed, 700, |x, y, _| f32::from(u8::from(x > y)));
        let (mut together, mut apart) = (member(which, TASKS[kind]), member(which, TASKS[kind]));
        let scores = walk(&mut *together, &stream, 0, 700);
        for (row, expected) in scores.chunks_exact(apart.outputs()).enumerate() {
            let notes = notes_of(&*apart, &stream, row, row + 1);
            let (features, labels) = stream.batch(&notes, row, row + 1);
            let mut out = vec![0.0; apart.outputs()];
            apart.score(&features, &mut out).expect("the shapes fit");
            prop_assert_eq!(&out[..], expected);
            let batch = LabeledBatch { features, labels, weights: &[1.0] };
            apart.learn(&batch).expect("the shapes fit");
        }
        prop_assert!(saved(&*apart) == saved(&*together));
        // Rows that are left out change no weight.
        let leaves_out = which == THINNED && kind == 0;
        prop_assert_eq!(apart.version() < 700, leaves_out, "{}", apart.version());
    }
}

/// Learns rows as one step.
fn learn_step(model: &mut dyn Model, stream: &Stream, from: usize, to: usize) {
    let notes = notes_of(model, stream, from, to);
    let (features, labels) = stream.batch(&notes, from, to);
    let weights = &vec![1.0; labels.len()];
    model.learn(&LabeledBatch { features, labels, weights }).expect("the shapes fit");
}

#[test]
fn damaged_bytes_are_an_error_or_a_state() {
    let stream = Stream::new(5, 1200, |x, y, _| f32::from(u8::from(x > y)));
    for which in 0..MEMBERS {
        let mut model = member(which, Task::Binary);
        walk(&mut *model, &stream, 0, 1000);
        let bytes = saved(&*model);
        let mut draw = Draw::new(6);
        // What is small is damaged more often in the same time.
        let rounds = if IN_ORDER.contains(&which) { 400 } else { 60 };
        for _ in 0..rounds {
            let mut damaged = bytes.clone();
            let at = (draw.bits() % bytes.len() as u64) as usize;
            damaged[at] ^= 1 << (draw.bits() % 8);
            if draw.unit() < 0.2 {
                damaged.truncate(at);
            }
            let mut other = member(which, Task::Binary);
            if other.read_state(&mut &damaged[..]).is_ok() {
                learn_step(&mut *other, &stream, 1000, 1200);
            }
        }
    }
}

/// Damaged kept states are an error, at once or when they are gone back to, or a state.
#[test]
fn damaged_kept_states_are_an_error_or_a_state() {
    let stream = Stream::new(17, 700, |x, y, _| f32::from(u8::from(x > y)));
    for which in COPIED {
        let mut model = member(which, Task::Binary);
        walk(&mut *model, &stream, 0, 400);
        model.keep().expect("kept");
        walk(&mut *model, &stream, 400, 600);
        model.keep().expect("kept");
        let (state, mut bytes) = (saved(&*model), Vec::new());
        model.write_kept(&mut bytes).expect("a vector takes all bytes");
        let mut draw = Draw::new(18);
        for round in 0..300 {
            let mut damaged = bytes.clone();
            // The copy is most of it; the rows lie behind.
            let tail = if round % 2 == 0 { bytes.len() as u64 } else { 3600 };
            let at = bytes.len() - 1 - (draw.bits() % tail) as usize;
            damaged[at] ^= 1 << (draw.bits() % 8);
            let mut other = member(which, Task::Binary);
            other.read_state(&mut &state[..]).expect("own bytes");
            if other.read_kept(&mut &damaged[..]).is_ok() && other.go_back().is_ok() {
                learn_step(&mut *other, &stream, 600, 700);
            }
        }
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let stream = Stream::new(7, 600, |x, _, _| f32::from(u8::from(x > 0.0)));
    for which in 0..MEMBERS {
        let mut model = member(which, Task::Binary);
        walk(&mut *model, &stream, 0, 600);
        let before = saved(&*model);
        let notes = notes_of(&*model, &stream, 0, 1);
        let (features, _) = stream.batch(&notes, 0, 1);
        let bad = [(f32::NAN, 1.0), (2.0, 1.0), (0.5, 1.0), (-1.0, 1.0), (1.0, f32::NAN)];
        for (label, weight) in bad {
            let batch = LabeledBatch { features, labels: &[label], weights: &[weight] };
            let outcome = model.learn(&batch).expect("a shape");
            assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 }, "{which}");
        }
        // A row that counts for nothing teaches some of them nothing; the others may count it.
        if [1, 2, 5, 6, 7, 10, 11].contains(&which) {
            let batch = LabeledBatch { features, labels: &[1.0], weights: &[0.0] };
            let outcome = model.learn(&batch).expect("a shape");
            assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 }, "{which}");
        }
        assert!(saved(&*model) == before, "{which}");
        assert!(model.score(&Features { rows: 2, ..features }, &mut [0.0]).is_err());
    }
}
