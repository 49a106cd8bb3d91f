//! Each rule against its formula in double precision, over random examples.

use super::*;

/// Gradients, values and a coordinate's weight after each, in double precision.
fn examples() -> Vec<(f64, f64)> {
    let mut state = 3_u64;
    (0..2_000)
        .map(|i| {
            state = crate::hash::mix64(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            let gradient = (state >> 40) as f64 / (1_u64 << 24) as f64 - 0.5;
            let value = ((state & 0xffff) as f64 / 65_536.0 - 0.3) * (1.0 + (i / 500) as f64);
            (gradient, value)
        })
        .collect()
}

/// The largest error of `rule` against a reference that returns the weight after each example.
fn error<R: CoordinateRule>(rule: R, mut reference: impl FnMut(f64, f64) -> f64) -> f64 {
    let mut cell = [0.0; 2];
    let mut worst = 0.0_f64;
    for (gradient, value) in examples() {
        let pull = Pull { gradient: gradient as f32, value: value as f32, penalty: 1.0 };
        let change = rule.change(cell, pull);
        cell = [cell[0] + change[0], cell[1] + change[1]];
        let expected = reference(f64::from(gradient as f32), f64::from(value as f32));
        worst = worst.max((f64::from(rule.weight(cell)) - expected).abs());
    }
    worst
}

fn soft(weight: f64, amount: f64) -> f64 {
    weight.signum() * (weight.abs() - amount).max(0.0)
}

#[test]
fn adagrad_is_its_formula() {
    for (l1, l2) in [(0.0, 0.0), (1e-3, 0.0), (0.0, 1e-3)] {
        let rule = AdaGrad { rate: 0.1, l1, l2 };
        let (mut weight, mut sum) = (0.0_f64, 0.0_f64);
        let worst = error(rule, |gradient, value| {
            let g = (gradient + f64::from(l2) * weight * value) * value;
            sum += g * g;
            let step = f64::from(0.1_f32) / (sum.sqrt() + 1e-8);
            weight = soft(weight - step * g, step * f64::from(l1));
            weight
        });
        assert!(worst < 2e-5, "l1 {l1}, l2 {l2}: {worst}");
    }
}

#[test]
fn ftrl_is_its_formula() {
    for (l1, l2) in [(0.0, 0.0), (0.5, 0.0), (0.0, 1.0)] {
        let rule = FtrlProximal { alpha: 0.1, beta: 1.0, l1, l2 };
        let (mut weight, mut z, mut sum) = (0.0_f64, 0.0_f64, 0.0_f64);
        let alpha = f64::from(0.1_f32);
        let worst = error(rule, |gradient, value| {
            let g = gradient * value;
            let sigma = ((sum + g * g).sqrt() - sum.sqrt()) / alpha;
            z += g - sigma * weight;
            sum += g * g;
            weight = -soft(z, f64::from(l1)) / ((1.0 + sum.sqrt()) / alpha + f64::from(l2));
            weight
        });
        assert!(worst < 2e-5, "l1 {l1}, l2 {l2}: {worst}");
    }
}

#[test]
fn normalised_descent_is_its_formula_and_does_not_see_units() {
    let rule = NormalizedSgd { rate: 0.1, l1: 1e-4, l2: 1e-3 };
    let (mut weight, mut scale) = (0.0_f64, 0.0_f64);
    let worst = error(rule, |gradient, value| {
        let next = scale.max(value.abs());
        if scale > 0.0 {
            weight *= (scale / next).powi(2);
        }
        let kept = weight * (1.0 - f64::from(0.1_f32 * 1e-3));
        weight = soft(kept - gradient * value / (next * next), f64::from(0.1_f32 * 1e-4));
        scale = next;
        weight
    });
    assert!(worst < 1e-4, "{worst}");
    let (mut small, mut large) = ([0.0; 2], [0.0; 2]);
    let plain = NormalizedSgd { rate: 0.1, l1: 0.0, l2: 0.0 };
    for (gradient, value) in examples() {
        let (gradient, value) = (gradient as f32, value as f32);
        for (cell, unit) in [(&mut small, 1.0), (&mut large, 1024.0)] {
            let pull = Pull { gradient, value: value * unit, penalty: 1.0 };
            let change = plain.change(*cell, pull);
            *cell = [cell[0] + change[0], cell[1] + change[1]];
        }
        assert!((small[0] - large[0] * 1024.0).abs() <= 1e-5 * small[0].abs().max(1.0));
    }
}

#[test]
fn penalties_pull_to_zero() {
    let (mut plain, mut sparse) = ([0.0; 2], [0.0; 2]);
    for (gradient, value) in examples() {
        let pull = Pull { gradient: gradient as f32, value: value as f32, penalty: 1.0 };
        for (cell, l1) in [(&mut plain, 0.0), (&mut sparse, 20.0)] {
            let rule = FtrlProximal { alpha: 0.1, beta: 1.0, l1, l2: 0.0 };
            let change = rule.change(*cell, pull);
            *cell = [cell[0] + change[0], cell[1] + change[1]];
        }
    }
    let weight = |cell, l1| FtrlProximal { alpha: 0.1, beta: 1.0, l1, l2: 0.0 }.weight(cell);
    assert_eq!(weight(sparse, 20.0), 0.0);
    assert_ne!(weight(plain, 0.0), 0.0);
}

#[test]
fn huge_gradients_leave_cells_finite() {
    let huge = Pull { gradient: 1e18, value: 1e18, penalty: 1.0 };
    let usual = Pull { gradient: -0.5, value: 1.0, penalty: 1.0 };
    fn run<R: CoordinateRule>(rule: R, pulls: [Pull; 2]) {
        let mut cell = [0.0; 2];
        for pull in pulls.into_iter().cycle().take(1_000) {
            let change = rule.change(cell, pull);
            cell = [cell[0] + change[0], cell[1] + change[1]];
            assert!(cell.iter().all(|part| part.is_finite()), "{cell:?}");
            assert!(rule.weight(cell).is_finite());
        }
    }
    run(
        FtrlProximal { alpha: 0.1, beta: 1.0, l1: 0.1, l2: 0.1 },
        [Pull { gradient: 1.0, ..huge }, usual],
    );
    run(AdaGrad { rate: 0.1, l1: 0.1, l2: 0.0 }, [Pull { gradient: 1.0, ..huge }, usual]);
    run(NormalizedSgd { rate: 0.1, l1: 0.1, l2: 0.1 }, [Pull { gradient: 1.0, ..huge }, usual]);
}

#[cfg(feature = "double")]
mod on_a_device {
    use proptest::prelude::*;

    use crate::cases::{Draw, scaled};
    use crate::coordinate::Cell;
    use crate::coordinate::device::{
        Cells, CoordinateTable, RowBuffers, Rule, Running, Table, TableSpec, Task,
    };
    use crate::device::double::tested;
    use crate::device::{Buffer, Stream};

    const ABSENT: u32 = u32::MAX;

    fn spec() -> impl Strategy<Value = TableSpec> {
        let widths = (0..19_usize, 0..35_usize, any::<bool>(), 1..5_usize);
        let rates = (0.0..0.1_f32, 0.0..0.1_f32, 0.5..3.0_f32);
        (widths, prop_oneof![Just(Rule::Ftrl), Just(Rule::AdaGrad)], rates).prop_map(
            |((dense_width, sparse_width, fold, classes), rule, (l1, l2, positive_weight))| {
                TableSpec {
                    task: if classes == 1 { Task::Binary } else { Task::Classes },
                    rule,
                    classes,
                    dense_width,
                    fold,
                    sparse_width,
                    absent: if sparse_width == 0 { 0 } else { 64 },
                    rate: 0.3,
                    beta: 1.0,
                    l1,
                    l2,
                    positive_weight,
                    shift: 0.0,
                }
            },
        )
    }

    fn rows_of_a_step() -> impl Strategy<Value = usize> {
        prop_oneof![1..4_usize, 4..70_usize, 500..600_usize]
    }

    /// Rows, of which few are refused and some name a coordinate twice, or one that all name.
    fn give(rows: &mut RowBuffers, stream: &Stream, spec: &TableSpec, (count, seed): (usize, u64)) {
        let mut draw = Draw::new(seed);
        let dense: Vec<f32> = (0..count * spec.dense_width)
            .map(|_| match draw.unit() {
                x if x < 0.001 => f32::NAN,
                x if x < 0.002 => 1e20,
                x if x < 0.1 => 0.0,
                x => (x - 0.5) * 4.0,
            })
            .collect();
        let sparse: Vec<u32> = (0..count * spec.sparse_width)
            .map(|_| match draw.unit() {
                x if x < 0.1 => ABSENT,
                x if x < 0.4 => 7,
                x => (x * 64.0) as u32,
            })
            .collect();
        let labels: Vec<f32> =
            (0..count).map(|_| (draw.unit() * spec.classes.max(2) as f32).floor()).collect();
        let weights: Vec<f32> = (0..count).map(|_| draw.unit() * 2.0 - 0.01).collect();
        rows.give(stream, (&dense, &sparse), count, Some((&labels, &weights))).expect("a copy");
    }

    /// The bits of all that a step changes.
    fn bits(stream: &Stream, cells: &Cells) -> (Vec<[u32; 2]>, Vec<[u32; 2]>) {
        let read = |buffer: &Buffer<Cell>| {
            let mut read = vec![[0.0; 2]; buffer.len()];
            stream.read(buffer, &mut read).expect("a copy");
            read.iter().map(|cell| cell.map(f32::to_bits)).collect()
        };
        let mut running = [Running::default()];
        stream.read(&cells.running, &mut running).expect("a copy");
        assert_eq!(running, [Running::default()]);
        (read(&cells.dense), read(&cells.sparse))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(scaled(48)))]
        /// One launch and the launches that it stands for: cells, predictions and outcomes.
        #[test]
        fn a_step_that_begins_at_once_is_the_one_that_begins_launch_by_launch(
            spec in spec(),
            counts in prop::collection::vec(rows_of_a_step(), 1..4),
            seed in any::<u64>(),
        ) {
            for gpu in tested() {
                let stream = Stream::new(&gpu).expect("a stream");
                let mut rows =
                    RowBuffers::new(&gpu, spec.dense_width, spec.sparse_width).expect("room");
                let table = || CoordinateTable::new(&stream, spec).expect("room");
                let (mut fused, mut plain, mut asked) = (table(), table(), table());
                plain.unfuse();
                for (at, &count) in counts.iter().enumerate() {
                    give(&mut rows, &stream, &spec, (count, seed ^ at as u64));
                    let mut scores = [(); 3].map(|()| {
                        Buffer::<f32>::new(&gpu, count * spec.classes).expect("room")
                    });
                    let [of_fused, of_plain, of_table] = &mut scores;
                    asked.score(&stream, rows.all(), of_table).expect("scored");
                    let outcome = asked.step(&stream, rows.all()).expect("learned");
                    fused.give_step(&stream, rows.all(), Some(of_fused)).expect("learned");
                    plain.give_step(&stream, rows.all(), Some(of_plain)).expect("learned");
                    prop_assert_eq!(outcome[0] + outcome[1], count as u32);
                    let read = |buffer: &Buffer<f32>| {
                        let mut read = vec![0.0_f32; buffer.len()];
                        stream.read(buffer, &mut read).expect("a copy");
                        read.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                    };
                    let [of_fused, of_plain, of_table] = scores.each_ref().map(read);
                    prop_assert_eq!(&of_fused, &of_plain);
                    prop_assert_eq!(&of_fused, &of_table);
                    let cells = bits(&stream, plain.cells());
                    prop_assert!(bits(&stream, fused.cells()) == cells);
                    prop_assert!(bits(&stream, asked.cells()) == cells);
                }
            }
        }
    }
}
