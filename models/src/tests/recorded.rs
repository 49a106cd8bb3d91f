//! Scores within the recorded launch of a batch: those of the model as it is when the batch is
//! made, wherever its memory has gone since the launch was recorded.

use pelton_kernels::assemble::device::Assembler;
use pelton_kernels::assemble::{AssembleSpec, Columns, Dense, Form, Sparse, SparseColumn};
use pelton_kernels::calendar::Calendar;
use pelton_kernels::device::Device;
use pelton_kernels::device::{Stream, double};
use pelton_kernels::hash::mix64;
use pelton_kernels::recorded::{Makers, RecordedBatch};
use pelton_kernels::window::device::DeviceWindows;

use crate::factor::{Factor, FactorConfig, Interaction};
use crate::linear::{Linear, LinearConfig, Optimizer};
use crate::neural::{self, Neural, NeuralConfig};
use crate::{FeatureShape, Features, LabeledBatch, Model, Task};

const SHAPE: FeatureShape = FeatureShape { dense_width: 3, sparse_width: 5, sparse_bits: 9 };
/// Rows of the recorded shape.
const MOST: usize = 24;

fn spec() -> AssembleSpec {
    let number = |column| Dense::Number { column, form: Form::Log, clip: None };
    let category = |column| SparseColumn { source: Sparse::Category(column), salt: column as u64 };
    AssembleSpec {
        dense: (0..SHAPE.dense_width).map(number).collect(),
        sparse: (0..SHAPE.sparse_width).map(category).collect(),
        hash_bits: SHAPE.sparse_bits,
        calendar: Calendar::new(vec![(i64::MIN, 0)]),
        night: (22, 5),
    }
}

/// Makes batches by the recorded launch, each scored by whatever model it is given.
struct Way {
    stream: Stream,
    assembler: Assembler,
    windows: DeviceWindows,
    recorded: RecordedBatch,
}

impl Way {
    fn new(stream: Stream, outputs: usize) -> Way {
        let widths = [SHAPE.dense_width, SHAPE.sparse_width, 0];
        let made = [SHAPE.dense_width, SHAPE.sparse_width, outputs];
        Way {
            assembler: Assembler::new(&stream, &spec()).expect("assembled"),
            windows: DeviceWindows::new(&stream, Vec::new()).expect("none"),
            recorded: RecordedBatch::new(&stream, MOST, widths, made).expect("room"),
            stream,
        }
    }

    /// Makes a batch drawn from a seed; whether its scores, if asked for, are those of the model.
    fn make(&mut self, model: &dyn Model, (rows, seed): (usize, u64), is_scored: bool) -> bool {
        let bits = |at: usize| mix64(seed << 32 | at as u64);
        let numbers: Vec<f32> =
            (0..rows * SHAPE.dense_width).map(|at| (bits(at) >> 60) as f32 - 7.5).collect();
        let categories: Vec<u64> =
            (0..rows * SHAPE.sparse_width).map(|at| bits(at + 4096) >> 56).collect();
        let (times_ms, given) = (vec![0; rows], &[][..]);
        let columns = Columns {
            rows,
            stride: rows,
            times_ms: &times_ms,
            numbers: &numbers,
            categories: &categories,
            given,
        };
        let Way { stream, assembler, windows, recorded } = self;
        let scorer = model.scorer().filter(|_| is_scored);
        let (moments, has_known) = (None, false);
        let makers = Makers { stream, assembler, windows, moments, has_known, scorer };
        recorded.make(makers, &columns, &mut []).expect("made");
        let (mut dense, mut sparse) =
            (vec![0.0; numbers.len()], vec![0; rows * SHAPE.sparse_width]);
        spec().run(&columns, (&mut dense, &mut sparse)).expect("made here");
        let (dense_there, sparse_there) = recorded.features();
        assert_eq!(&dense_there[..dense.len()], dense);
        assert_eq!(&sparse_there[..sparse.len()], sparse);
        let mut scores = vec![0.0; rows * model.outputs()];
        let mut finished = recorded.scores().map(<[f32]>::to_vec);
        finished.iter_mut().for_each(|scores| model.finish_scores(scores));
        let features = Features { rows, dense: &dense, sparse: &sparse, notes: &[] };
        model.score(&features, &mut scores).expect("scored");
        match finished {
            Some(there) => is_scored && there == scores,
            None => !is_scored,
        }
    }
}

/// Learns rows drawn from a seed.
fn learn(model: &mut dyn Model, rows: usize, seed: u64) {
    let bits = |at: usize| mix64(seed << 32 | at as u64);
    let dense: Vec<f32> =
        (0..rows * SHAPE.dense_width).map(|at| (bits(at) >> 61) as f32 - 3.5).collect();
    let sparse: Vec<u32> =
        (0..rows * SHAPE.sparse_width).map(|at| (bits(at + 99) >> 55) as u32).collect();
    let labels: Vec<f32> = (0..rows).map(|at| (bits(at + 999) & 1) as f32).collect();
    let features = Features { rows, dense: &dense, sparse: &sparse, notes: &[] };
    let batch = LabeledBatch { features, labels: &labels, weights: &vec![1.0; rows] };
    assert_eq!(model.learn(&batch).expect("learned").learned, rows as u64);
}

fn models(device: &Device) -> Vec<Box<dyn Model>> {
    let linear = |task, optimizer| -> Box<dyn Model> {
        let config = LinearConfig { optimizer, ..LinearConfig::new(task) };
        Box::new(Linear::on(device, config, SHAPE).expect("a model"))
    };
    let factor = FactorConfig::new(Task::Binary, Interaction::Shared);
    let network = |task, form| -> Box<dyn Model> {
        let config = NeuralConfig { replay_rows: 10, ..NeuralConfig::new(task, form) };
        Box::new(Neural::on(device, config, SHAPE).expect("a model"))
    };
    vec![
        linear(Task::Binary, Optimizer::AUTO),
        linear(Task::Binary, Optimizer::FTRL),
        linear(Task::MultiClass { classes: 3 }, Optimizer::SGD),
        linear(Task::Regression, Optimizer::ADAGRAD),
        Box::new(Factor::on(device, factor, SHAPE).expect("a model")),
        network(Task::Binary, neural::Form::Mlp),
        network(Task::Regression, neural::Form::Deep),
    ]
}

#[test]
fn a_recorded_launch_scores_by_the_model_as_it_is() {
    for gpu in double::tested() {
        let device = Device::Gpu(gpu.clone());
        for (mut model, mut other) in models(&device).into_iter().zip(models(&device)) {
            let mut way = Way::new(Stream::new(&gpu).expect("a stream"), model.outputs());
            for seed in 0..4 {
                assert!(way.make(&*model, (MOST, seed), true));
                assert!(way.make(&*model, (7, seed + 10), seed != 1));
                learn(&mut *model, 20, seed);
                assert!(way.make(&*model, (MOST - 1, seed + 20), true));
                model.keep().expect("kept");
                // The table of a machine or of embeddings grows, and moves.
                learn(&mut *model, 150, seed + 30);
                assert!(way.make(&*model, (1, seed + 40), true));
                model.go_back().expect("gone back");
                assert!(way.make(&*model, (MOST, seed + 50), true));
                model.forget_oldest();
                // Another model, in its own memory; then the same in new memory.
                learn(&mut *other, 30, seed + 60);
                assert!(way.make(&*other, (MOST, seed + 70), true));
                let mut state = Vec::new();
                other.write_state(&mut state).expect("written");
                model.read_state(&mut &state[..]).expect("read");
                assert!(way.make(&*model, (MOST, seed + 80), true));
            }
        }
    }
}

#[test]
fn scores_of_another_width_are_refused_before_anything_is_made() {
    let gpu = double::tested().remove(0);
    let device = Device::Gpu(gpu.clone());
    let mut way = Way::new(Stream::new(&gpu).expect("a stream"), 1);
    let all = models(&device);
    assert!(way.make(&*all[1], (5, 1), true));
    let Way { stream, assembler, windows, recorded } = &mut way;
    let (moments, has_known, scorer) = (None, false, all[2].scorer());
    let makers = Makers { stream, assembler, windows, moments, has_known, scorer };
    let columns = Columns {
        rows: 1,
        stride: 1,
        times_ms: &[0],
        numbers: &[1.0; 3],
        categories: &[2; 5],
        given: &[],
    };
    assert!(recorded.make(makers, &columns, &mut []).is_err());
    assert!(way.make(&*all[1], (5, 2), true));
}
