//! The model on a device against the one here: every score and every saved byte, whatever is done.

use pelton_kernels::cases::scaled;
use pelton_kernels::device::Device;
use pelton_kernels::device::double::tested;
use proptest::prelude::*;

use super::*;
use crate::tests::device::{Act, act, compare};

#[test]
fn a_device_has_the_bits_of_the_cpu() {
    let device = Device::Gpu(tested().remove(0));
    let tasks = prop_oneof![
        Just(Task::Binary),
        Just(Task::MultiClass { classes: 3 }),
        Just(Task::Regression)
    ];
    let rules = prop_oneof![
        1 => Just(Optimizer::FTRL),
        1 => Just(Optimizer::ADAGRAD),
        1 => Just(Optimizer::SGD),
        2 => Just(Optimizer::AUTO),
    ];
    let settings = (tasks, rules, any::<bool>(), any::<bool>());
    // Beyond 64 inputs the blend keeps no covariances.
    let shapes = (prop_oneof![4 => 0..11_usize, 1 => 60..70_usize], 0..11_usize, 3..7_u32);
    let acts = (prop::collection::vec(act(), 1..10), any::<u64>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: scaled(96),
        ..ProptestConfig::default()
    });
    type Settings = (Task, Optimizer, bool, bool);
    type Drawn = (Settings, (usize, usize, u32), (Vec<Act>, u64));
    let run = |(settings, (dense, sparse, bits), (acts, seed)): Drawn| {
        let (task, optimizer, fold, penalized) = settings;
        let (l1, l2) = if penalized { (1e-3, 1e-2) } else { (0.0, 0.0) };
        let positive_weight = if task == Task::Binary && penalized { 3.0 } else { 1.0 };
        let config =
            LinearConfig { optimizer, fold, l1, l2, positive_weight, ..LinearConfig::new(task) };
        let shape = FeatureShape { dense_width: dense, sparse_width: sparse, sparse_bits: bits };
        let mut here = Linear::new(config, shape).expect("a possible model");
        let mut there = Linear::on(&device, config, shape).expect("a possible model");
        compare([&mut here, &mut there], (shape, task), (&acts, seed))
    };
    runner.run(&(settings, shapes, acts), run).expect("the same bits on both");
}
