//! Networks on a device against those here: every score and every saved byte, whatever is done.

use pelton_kernels::cases::scaled;
use pelton_kernels::coordinate::device::RowBuffers;
use pelton_kernels::device::double::{Double, tested};
use pelton_kernels::device::{Device, DeviceError};
use proptest::prelude::*;

use super::*;
use crate::tests::device::{Act, act, compare};

/// What is drawn of the settings.
type Settings = (Task, Form, Rule, [usize; 2], usize, usize, usize);

fn settings() -> impl Strategy<Value = Settings> {
    let tasks = prop_oneof![
        2 => Just(Task::Binary),
        1 => Just(Task::MultiClass { classes: 3 }),
        1 => Just(Task::MultiClass { classes: 11 }),
        1 => Just(Task::Regression)
    ];
    let forms = prop_oneof![Just(Form::Mlp), Just(Form::Deep)];
    let rules = prop_oneof![Just(Rule::Adam), Just(Rule::AdaGrad)];
    let hidden = prop_oneof![
        Just([64, 32]),
        Just([8, 8]),
        Just([16, 40]),
        // Its room does not fit into the memory that a block shares.
        Just([1024, 8])
    ];
    let replay_rows = prop_oneof![Just(0), Just(6)];
    (tasks, forms, rules, hidden, 1..10_usize, prop_oneof![1..9_usize, 30..40_usize], replay_rows)
}

#[test]
fn a_device_has_the_bits_of_the_cpu() {
    let device = Device::Gpu(tested().remove(0));
    // Beyond 64 indices some lose their embeddings.
    let shapes = (0..9_usize, 0..6_usize, prop_oneof![5..7_u32, 9..13_u32]);
    let acts = (prop::collection::vec(act(), 1..10), any::<u64>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: scaled(64),
        ..ProptestConfig::default()
    });
    type Drawn = (Settings, (usize, usize, u32), (Vec<Act>, u64));
    let run = |(settings, (dense, sparse, bits), (acts, seed)): Drawn| {
        let (task, form, optimizer, hidden, embedding, batch_rows, replay_rows) = settings;
        let config = NeuralConfig {
            hidden,
            embedding,
            optimizer,
            batch_rows,
            replay_rows,
            memory_bytes: if seed % 2 == 0 { 0 } else { 1 << 20 },
            ..NeuralConfig::new(task, form)
        };
        let shape = FeatureShape { dense_width: dense, sparse_width: sparse, sparse_bits: bits };
        let mut here = Neural::new(config, shape).expect("a possible model");
        let mut there = Neural::on(&device, config, shape).expect("a possible model");
        compare([&mut here, &mut there], (shape, task), (&acts, seed))?;
        prop_assert_eq!(here.embedded(), there.embedded());
        Ok(())
    };
    runner.run(&(settings(), shapes, acts), run).expect("the same bits on both");
}

/// Rows with as many indices as there are, so that the table grows with each batch.
fn rows_of(first: u32, rows: usize) -> Stream {
    let mut stream = Stream::new(u64::from(first), rows, |x, _, _| f32::from(u8::from(x > 0.0)));
    stream.sparse.iter_mut().zip(first..).for_each(|(index, own)| *index = own);
    stream
}

fn learned(model: &mut Neural, stream: &Stream) -> Result<LearnOutcome, ModelError> {
    let rows = stream.labels.len();
    let (features, labels) = stream.batch(&[], 0, rows);
    model.learn(&LabeledBatch { features, labels, weights: &vec![1.0; rows] })
}

/// A table that has outgrown its device says so, and both are what they were.
#[test]
fn memory_that_does_not_suffice_is_told_before_anything_is_learned() {
    let device = Device::Gpu(Double::of_memory(1 << 20));
    let shape = FeatureShape { sparse_bits: 20, ..SHAPE };
    let config = NeuralConfig::new(Task::Binary, Form::Deep);
    let mut here = Neural::new(config, shape).expect("possible");
    let mut there = Neural::on(&device, config, shape).expect("room enough");
    let mut first = 0;
    here.keep().expect("kept");
    there.keep().expect("kept");
    let refused = loop {
        let stream = rows_of(first, 1000);
        if let Err(error) = learned(&mut there, &stream) {
            break error;
        }
        learned(&mut here, &stream).expect("the shapes fit");
        first += 1000;
    };
    assert!(matches!(refused, ModelError::Device(DeviceError::Memory { .. })), "{refused}");
    assert!(first >= 2000 && saved(&here) == saved(&there));
    // What needs no more of it goes on.
    let stream = rows_of(0, 10);
    learned(&mut here, &stream).expect("the shapes fit");
    learned(&mut there, &stream).expect("room for what is there");
    assert!(saved(&here) == saved(&there));
    let kept = |model: &Neural| {
        let mut bytes = Vec::new();
        model.write_kept(&mut bytes).expect("a vector takes all bytes");
        bytes
    };
    assert!(kept(&here) == kept(&there));
}

/// Whatever call fails, an error comes of it and of all that follow; nothing panics.
#[test]
fn a_device_that_goes_away_is_an_error() {
    let config = NeuralConfig::new(Task::Regression, Form::Deep);
    let mut are_all_done = false;
    for failing in 1..400 {
        let device = Device::Gpu(Double::open(failing));
        let Ok(mut model) = Neural::on(&device, config, SHAPE) else { continue };
        let stream = rows_of(3, 40);
        let (features, labels) = stream.batch(&[], 0, 40);
        let batch = LabeledBatch { features, labels, weights: &[1.0; 40] };
        let mut out = [0.0; 40];
        let done = [
            model.score(&features, &mut out),
            model.learn(&batch).map(drop),
            model.score_and_learn_each(&batch, &mut out).map(drop),
            model.write_state(&mut Vec::new()).map_err(ModelError::State),
        ];
        let first = done.iter().position(Result::is_err).unwrap_or(done.len());
        assert!(done[first..].iter().all(Result::is_err), "{failing}");
        are_all_done |= first == done.len();
    }
    assert!(are_all_done);
}

#[test]
fn rows_that_lie_there_already_have_the_same_scores() {
    let gpu = tested().remove(0);
    let config = NeuralConfig::new(Task::Binary, Form::Deep);
    let mut model = Neural::on(&Device::Gpu(gpu.clone()), config, SHAPE).expect("possible");
    let stream = Stream::new(12, 500, |x, y, _| f32::from(u8::from(x > y)));
    learned(&mut model, &stream).expect("learned");
    let (features, _) = stream.batch(&[], 0, 500);
    let mut rows = RowBuffers::new(&gpu, 2, 1).expect("room");
    let order = pelton_kernels::device::Stream::new(&gpu).expect("a stream");
    rows.give(&order, (&stream.dense, &stream.sparse), 500, None).expect("given");
    order.wait().expect("done");
    let (mut given, mut there) = ([0.0; 500], [0.0; 500]);
    model.score(&features, &mut given).expect("scored");
    model.score_there(&features, rows.all(), &mut there).expect("scored");
    assert_eq!(given.map(f32::to_bits), there.map(f32::to_bits));
}
