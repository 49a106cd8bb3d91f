//! Networks on a device against those here: every score and every saved byte, whatever is done.

use pelton_kernels::device::Device;
use pelton_kernels::device::double::Double;
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
    let device = Device::Gpu(Double::open(0));
    // Beyond 64 indices some lose their embeddings.
    let shapes = (0..9_usize, 0..6_usize, prop_oneof![5..7_u32, 9..13_u32]);
    let acts = (prop::collection::vec(act(), 1..10), any::<u64>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 96,
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
