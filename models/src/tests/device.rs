//! Two models against each other, one of them on a device: every score, explanation and saved byte,
//! whatever is done.

use proptest::prelude::*;

use crate::{ABSENT, FeatureShape, Features, LabeledBatch, Model, Task};

/// The bits of an explanation.
fn explained(model: &dyn Model, drawn: &Drawn, shape: FeatureShape) -> Vec<u32> {
    let outputs = drawn.labels.len() * model.outputs();
    let mut out = vec![0.0; outputs * shape.explained_width(0)];
    model.explain(&drawn.batch().features, &mut out).expect("explained");
    out.iter().map(|part| part.to_bits()).collect()
}

/// What is done to a model.
#[derive(Clone, Debug)]
pub enum Act {
    Score(usize),
    Learn(usize),
    Each(usize),
    Keep,
    Forget,
    GoBack,
    /// Save it and read it into the other one.
    Swap,
}

/// Anything.
pub fn act() -> impl Strategy<Value = Act> {
    let rows = prop_oneof![Just(1), 2..40_usize, 250..600_usize];
    prop_oneof![
        2 => rows.clone().prop_map(Act::Score),
        4 => rows.clone().prop_map(Act::Learn),
        2 => (1..30_usize).prop_map(Act::Each),
        1 => Just(Act::Keep),
        1 => Just(Act::Forget),
        1 => Just(Act::GoBack),
        1 => Just(Act::Swap),
    ]
}

/// Rows drawn from a seed, some of which no model can learn.
struct Drawn {
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

fn draw(seed: u64, rows: usize, shape: FeatureShape, task: Task) -> Drawn {
    let mut state = seed;
    let mut next = || {
        state = pelton_kernels::hash::mix64(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        state
    };
    let mut unit = move || (next() >> 40) as f32 / (1 << 24) as f32;
    let mut drawn = Drawn { dense: vec![], sparse: vec![], labels: vec![], weights: vec![] };
    for _ in 0..rows {
        let wild = unit();
        for _ in 0..shape.dense_width {
            let plain = (unit() - 0.5) * 6.0;
            drawn.dense.push(match unit() {
                x if x < 0.1 => 0.0,
                x if x < 0.12 => -0.0,
                x if x < 0.13 && wild < 0.1 => f32::NAN,
                x if x < 0.14 && wild < 0.1 => 1e20,
                x if x < 0.15 => 1e-39,
                _ => plain,
            });
        }
        for _ in 0..shape.sparse_width {
            // Few enough that a row names some twice.
            let index = (unit() * unit() * (1 << shape.sparse_bits) as f32) as u32;
            drawn.sparse.push(if unit() < 0.1 { ABSENT } else { index });
        }
        drawn.labels.push(match (task, unit()) {
            (_, x) if x < 0.02 => f32::NAN,
            (Task::Binary, x) => f32::from(u8::from(x < 0.3)),
            (Task::MultiClass { classes }, x) => (x * classes as f32).floor(),
            (Task::Regression, x) => (x - 0.5) * 100.0,
        });
        drawn.weights.push(if unit() < 0.1 { unit() * 3.0 } else { 1.0 });
    }
    drawn
}

impl Drawn {
    fn batch(&self) -> LabeledBatch<'_> {
        let (dense, sparse) = (&self.dense[..], &self.sparse[..]);
        let features = Features { rows: self.labels.len(), dense, sparse, notes: &[] };
        LabeledBatch { features, labels: &self.labels, weights: &self.weights }
    }
}

fn saved(model: &dyn Model) -> [Vec<u8>; 2] {
    let (mut state, mut kept) = (Vec::new(), Vec::new());
    model.write_state(&mut state).expect("a vector takes everything");
    model.write_kept(&mut kept).expect("a vector takes everything");
    [state, kept]
}

fn restored(model: &mut dyn Model, [state, kept]: &[Vec<u8>; 2]) {
    model.read_state(&mut &state[..]).expect("its own state");
    model.read_kept(&mut &kept[..]).expect("its own kept states");
}

fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|score| score.to_bits()).collect()
}

/// Does the same to two untrained models of such rows, drawn from a seed.
pub fn compare(
    [here, there]: [&mut dyn Model; 2],
    (shape, task): (FeatureShape, Task),
    (acts, seed): (&[Act], u64),
) -> Result<(), TestCaseError> {
    let mut kept = 0;
    for (at, act) in acts.iter().enumerate() {
        let drawn = |rows| draw(seed ^ (at as u64) << 32, rows, shape, task);
        let mut scores = [Vec::new(), Vec::new()];
        match *act {
            Act::Score(rows) => {
                let drawn = drawn(rows);
                for (model, scores) in [&*here, &*there].into_iter().zip(&mut scores) {
                    scores.resize(rows * task.outputs(), 0.0);
                    model.score(&drawn.batch().features, scores).expect("scores");
                }
                let explained = [&*here, &*there].map(|model| explained(model, &drawn, shape));
                prop_assert_eq!(&explained[0], &explained[1]);
            }
            Act::Learn(rows) => {
                let drawn = drawn(rows);
                let one = here.learn(&drawn.batch()).expect("learned");
                prop_assert_eq!(one, there.learn(&drawn.batch()).expect("learned"));
            }
            Act::Each(rows) => {
                let drawn = drawn(rows);
                let [first, second] = &mut scores;
                first.resize(rows * task.outputs(), 0.0);
                second.resize(first.len(), 0.0);
                let one = here.score_and_learn_each(&drawn.batch(), first).expect("learned");
                let other = there.score_and_learn_each(&drawn.batch(), second).expect("learned");
                prop_assert_eq!(one, other);
            }
            Act::Keep if kept < 4 => {
                here.keep().expect("kept");
                there.keep().expect("kept");
                kept += 1;
            }
            Act::Forget if kept > 0 => {
                here.forget_oldest();
                there.forget_oldest();
                kept -= 1;
            }
            Act::GoBack => {
                here.go_back().expect("gone back");
                there.go_back().expect("gone back");
                kept = kept.min(1);
            }
            Act::Swap => {
                let [one, other] = [saved(here), saved(there)];
                restored(here, &other);
                restored(there, &one);
            }
            Act::Keep | Act::Forget => {}
        }
        let [first, second] = scores.each_ref().map(|scores| bits(scores));
        prop_assert!(first == second, "scores after {act:?}, act {at}");
        prop_assert!(saved(here) == saved(there), "states after {act:?}, act {at}");
        prop_assert_eq!(here.version(), there.version());
    }
    Ok(())
}
