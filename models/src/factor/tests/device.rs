//! Machines on a device against those here: every score and every saved byte, whatever is done.

use pelton_kernels::cases::scaled;
use pelton_kernels::device::double::{Double, tested};
use pelton_kernels::device::{Device, DeviceError};
use proptest::prelude::*;

use super::*;
use crate::tests::device::{Act, act, compare};

#[test]
fn a_device_has_the_bits_of_the_cpu() {
    let device = Device::Gpu(tested().remove(0));
    let tasks = prop_oneof![
        2 => Just(Task::Binary),
        1 => Just(Task::MultiClass { classes: 3 }),
        // More classes than a block has warps.
        1 => Just(Task::MultiClass { classes: 11 }),
        1 => Just(Task::Regression)
    ];
    let kinds = prop_oneof![Just(Interaction::Shared), Just(Interaction::ByField)];
    let settings = (tasks, kinds, 1..6_usize, any::<bool>());
    // Beyond 64 indices some lose their embeddings; beyond 32 numbers there are no covariances.
    let dense = prop_oneof![4 => 0..8_usize, 1 => 30..36_usize];
    let shapes = (dense, 0..7_usize, prop_oneof![5..7_u32, 9..12_u32]);
    let acts = (prop::collection::vec(act(), 1..8), any::<u64>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: scaled(48),
        ..ProptestConfig::default()
    });
    type Settings = (Task, Interaction, usize, bool);
    type Drawn = (Settings, (usize, usize, u32), (Vec<Act>, u64));
    let run = |(settings, (dense, sparse, bits), (acts, seed)): Drawn| {
        let (task, interaction, factors, is_small) = settings;
        let memory_bytes = if is_small { 0 } else { 4 << 20 };
        let config = FactorConfig { factors, memory_bytes, ..FactorConfig::new(task, interaction) };
        let shape = FeatureShape { dense_width: dense, sparse_width: sparse, sparse_bits: bits };
        let mut here = Factor::new(config, shape).expect("a possible model");
        let mut there = Factor::on(&device, config, shape).expect("a possible model");
        compare([&mut here, &mut there], (shape, task), (&acts, seed))?;
        prop_assert_eq!(here.embedded(), there.embedded());
        prop_assert_eq!(here.expert_weights(), there.expert_weights());
        prop_assert_eq!(here.stack_weights(0), there.stack_weights(0));
        Ok(())
    };
    runner.run(&(settings, shapes, acts), run).expect("the same bits on both");
}

fn saved(model: &Factor) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write_state(&mut bytes).expect("a vector takes all bytes");
    model.write_kept(&mut bytes).expect("a vector takes all bytes");
    bytes
}

/// A table that has outgrown its device says so, and both are what they were.
#[test]
fn memory_that_does_not_suffice_is_told_before_anything_is_learned() {
    let device = Device::Gpu(Double::of_memory(1 << 21));
    let shape = FeatureShape { sparse_bits: 12, ..SHAPE };
    let config = FactorConfig::new(Task::Binary, Interaction::ByField);
    let mut here = Factor::new(config, shape).expect("possible");
    let mut there = Factor::on(&device, config, shape).expect("room enough");
    let mut first = 0_u32;
    let refused = loop {
        let mut stream = Stream::new(u64::from(first), 50, 100, |_, [one, _]| (one % 2) as f32);
        stream.sparse.iter_mut().zip(first..).for_each(|(index, own)| *index = own % 4096);
        if let Err(error) = there.learn(&stream.batch(0, 50)) {
            break error;
        }
        here.learn(&stream.batch(0, 50)).expect("the shapes fit");
        first += 100;
        assert!(first < 4096, "it has no bound");
    };
    assert!(matches!(refused, ModelError::Device(DeviceError::Memory { .. })), "{refused}");
    assert!(first >= 200 && saved(&here) == saved(&there));
}

/// Whatever call fails, an error comes of it and of all that follow; nothing panics.
#[test]
fn a_device_that_goes_away_is_an_error() {
    let config = FactorConfig::new(Task::Regression, Interaction::Shared);
    let mut are_all_done = false;
    for failing in 1..400 {
        let device = Device::Gpu(Double::open(failing));
        let Ok(mut model) = Factor::on(&device, config, SHAPE) else { continue };
        let stream = Stream::new(1, 20, 100, |[x, _], _| x);
        let batch = stream.batch(0, 20);
        let mut out = [0.0; 20];
        let done = [
            model.score(&batch.features, &mut out),
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

/// Rows that are too wide for a block are refused where the model is made.
#[test]
fn a_row_that_is_too_wide_is_told() {
    let device = Device::Gpu(tested().remove(0));
    let shape = FeatureShape { dense_width: 20_000, ..SHAPE };
    let config = FactorConfig::new(Task::Binary, Interaction::Shared);
    assert!(Factor::on(&device, config, shape).is_err());
}

/// States with few rows between them: what changed after each is told by when rows were needed.
#[test]
fn kept_states_of_single_rows_are_those_of_the_cpu() {
    let device = Device::Gpu(tested().remove(0));
    for (interaction, task) in KINDS.into_iter().flat_map(|kind| TASKS.map(|task| (kind, task))) {
        let config = FactorConfig { memory_bytes: 0, ..FactorConfig::new(task, interaction) };
        let mut here = Factor::new(config, SHAPE).expect("possible");
        let mut there = Factor::on(&device, config, SHAPE).expect("possible");
        let stream = Stream::new(5, 60, 100, label(task));
        let mut from = 0;
        for rows in [0, 1, 1, 2, 1, 30, 1, 0, 1] {
            for model in [&mut here, &mut there] {
                model.keep().expect("kept");
                model.learn(&stream.batch(from, from + rows)).expect("learned");
            }
            from += rows;
            assert!(saved(&here) == saved(&there), "{interaction:?} {task:?} {from}");
        }
        for model in [&mut here, &mut there] {
            model.forget_oldest();
            model.go_back().expect("gone back");
            model.learn(&stream.batch(from, from + 1)).expect("learned");
        }
        assert!(saved(&here) == saved(&there), "{interaction:?} {task:?}");
    }
}
