//! What every member of the family has to hold, and streams that no linear model can learn.

use pelton_kernels::cases::Draw;
use proptest::prelude::*;

use crate::auto::{Auto, AutoConfig};
use crate::boost::{Boost, BoostConfig};
use crate::factor::{Factor, FactorConfig, Interaction};
use crate::forest::{Forest, ForestConfig};
use crate::linear::{Linear, LinearConfig};
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

    fn row(&self, row: usize) -> (Features<'_>, &[f32]) {
        let (dense, sparse) = (&self.dense[2 * row..2 * row + 2], &self.sparse[row..=row]);
        (Features { rows: 1, dense, sparse, notes: &[] }, &self.labels[row..=row])
    }
}

/// Notes, scores and learns the rows from one to another, one by one; the scores.
pub fn walk(model: &mut dyn Model, stream: &Stream, from: usize, to: usize) -> Vec<f32> {
    let mut scores = vec![0.0; (to - from) * model.outputs()];
    let mut notes = vec![0.0; model.notes_width()];
    for (row, out) in (from..to).zip(scores.chunks_exact_mut(model.outputs())) {
        let (features, labels) = stream.row(row);
        model.note(&features, &mut notes).expect("the shapes fit");
        let features = Features { notes: &notes, ..features };
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
fn member(which: usize, task: Task) -> Box<dyn Model> {
    let factor =
        |interaction| Factor::new(FactorConfig::new(task, interaction), SHAPE).expect("possible");
    match which {
        0 => Box::new(Linear::new(LinearConfig::new(task), SHAPE).expect("possible")),
        1 => Box::new(Boost::new(small(task), SHAPE).expect("possible")),
        2 => Box::new(Forest::new(ForestConfig::new(task), SHAPE).expect("possible")),
        3 => Box::new(factor(Interaction::Shared)),
        4 => Box::new(factor(Interaction::ByField)),
        _ => Box::new(Auto::new(AutoConfig::new(task), SHAPE).expect("possible")),
    }
}
const MEMBERS: usize = 6;

/// Trees that do not take long.
pub fn small(task: Task) -> BoostConfig {
    BoostConfig { sample_rows: 2000, rounds: 20, period_labels: 1000, ..BoostConfig::new(task) }
}

const TASKS: [Task; 3] = [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Wherever the stream is cut: saved and read, kept and gone back to, it goes on to the bit.
    #[test]
    fn a_restart_and_a_way_back_show_nothing(
        seed: u64, cut in 0_usize..1300, kind in 0_usize..3, which in 0..MEMBERS,
    ) {
        let classes = if kind == 1 { 3.0 } else { 2.0 };
        let stream = Stream::new(seed, 1400, |x, y, _| ((x * y + 1.0) / 2.0 * classes).floor());
        let mut whole = member(which, TASKS[kind]);
        walk(&mut *whole, &stream, 0, cut);
        let bytes = saved(&*whole);
        let mut resumed = member(which, TASKS[kind]);
        resumed.read_state(&mut &bytes[..]).expect("own bytes");
        prop_assert!(saved(&*resumed) == bytes);
        whole.keep().expect("kept");
        let mut kept = Vec::new();
        whole.write_kept(&mut kept).expect("a vector takes all bytes");
        let first = walk(&mut *whole, &stream, cut, 1400);
        prop_assert_eq!(&walk(&mut *resumed, &stream, cut, 1400), &first);
        prop_assert!(saved(&*resumed) == saved(&*whole));
        // What is kept is read where its state was.
        resumed.read_state(&mut &bytes[..]).expect("own bytes");
        resumed.read_kept(&mut &kept[..]).expect("own bytes");
        walk(&mut *resumed, &stream, cut, 1400);
        for model in [&mut whole, &mut resumed] {
            model.go_back().expect("kept before");
            prop_assert!(saved(&**model) == bytes);
            prop_assert_eq!(&walk(&mut **model, &stream, cut, 1400), &first);
        }
    }

    /// Scored, then learned: the bits of both at once, and each label counts for the next row.
    #[test]
    fn scoring_and_learning_apart_is_the_same(
        seed: u64, kind in 0_usize..3, which in 0..MEMBERS,
    ) {
        let stream = Stream::new(seed, 700, |x, y, _| f32::from(u8::from(x > y)));
        let (mut together, mut apart) = (member(which, TASKS[kind]), member(which, TASKS[kind]));
        let scores = walk(&mut *together, &stream, 0, 700);
        let mut notes = vec![0.0; apart.notes_width()];
        for (row, expected) in scores.chunks_exact(apart.outputs()).enumerate() {
            let (features, labels) = stream.row(row);
            apart.note(&features, &mut notes).expect("the shapes fit");
            let features = Features { notes: &notes, ..features };
            let mut out = vec![0.0; apart.outputs()];
            apart.score(&features, &mut out).expect("the shapes fit");
            prop_assert_eq!(&out[..], expected);
            let batch = LabeledBatch { features, labels, weights: &[1.0] };
            apart.learn(&batch).expect("the shapes fit");
        }
        prop_assert!(saved(&*apart) == saved(&*together));
        prop_assert_eq!(apart.version(), 700);
    }
}

#[test]
fn damaged_bytes_are_an_error_or_a_state() {
    let stream = Stream::new(5, 700, |x, y, _| f32::from(u8::from(x > y)));
    for which in 0..MEMBERS {
        let mut model = member(which, Task::Binary);
        walk(&mut *model, &stream, 0, 700);
        let bytes = saved(&*model);
        let mut draw = Draw::new(6);
        for _ in 0..60 {
            let mut damaged = bytes.clone();
            let at = (draw.bits() % bytes.len() as u64) as usize;
            damaged[at] ^= 1 << (draw.bits() % 8);
            if draw.unit() < 0.2 {
                damaged.truncate(at);
            }
            let mut other = member(which, Task::Binary);
            if other.read_state(&mut &damaged[..]).is_ok() {
                let notes = vec![0.0; other.notes_width()];
                let features = Features { notes: &notes, ..stream.row(0).0 };
                other.score(&features, &mut [0.0]).expect("the shapes fit");
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
        let notes = vec![0.0; model.notes_width()];
        let features = Features { notes: &notes, ..stream.row(0).0 };
        for (label, weight) in [(f32::NAN, 1.0), (2.0, 1.0), (0.5, 1.0), (1.0, f32::NAN)] {
            let batch = LabeledBatch { features, labels: &[label], weights: &[weight] };
            let outcome = model.learn(&batch).expect("a shape");
            assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 }, "{which}");
        }
        assert!(saved(&*model) == before, "{which}");
        assert!(model.score(&Features { rows: 2, ..features }, &mut [0.0]).is_err());
    }
}
