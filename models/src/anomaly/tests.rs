//! Trees against a recount and a walk by the definition; ranks, rarity and the whole on streams
//! that are known.

use pelton_kernels::cases::{Draw, scaled};
use proptest::prelude::*;

use super::ranks::Ranks;
use super::rarity::Rarity;
use super::tree::{Draws, Ground, Node, depth_of, depths_alone};
use super::*;
use crate::ABSENT;
use crate::tests::{SHAPE, Stream, saved, walk};

/// Trees and a window that a short stream goes through several times.
pub fn small(task: Task) -> AnomalyConfig {
    AnomalyConfig {
        trees: 10,
        sample_rows: 64,
        window_rows: 128,
        stride: 2,
        ..AnomalyConfig::new(task)
    }
}

const NUMBERS: FeatureShape = FeatureShape { dense_width: 3, sparse_width: 0, sparse_bits: 0 };

/// About a normal variable.
fn normal(draw: &mut Draw) -> f32 {
    (0..12).map(|_| draw.unit()).sum::<f32>() - 6.0
}

/// Rows of three numbers that hang together.
fn usual(draw: &mut Draw) -> [f32; 3] {
    let common = normal(draw);
    [(); 3].map(|()| common + 0.5 * normal(draw))
}

/// What a model says of rows that it learns one by one.
fn ranks_of(model: &mut Anomaly, rows: &[[f32; 3]]) -> Vec<f32> {
    let learn = |row: &[f32; 3]| {
        let features = Features { rows: 1, dense: row, sparse: &[], notes: &[] };
        let (batch, mut out) = (LabeledBatch { features, labels: &[0.0], weights: &[1.0] }, [0.0]);
        model.score_and_learn_each(&batch, &mut out).expect("the shapes fit");
        out[0]
    };
    rows.iter().map(learn).collect()
}

fn untrained(config: AnomalyConfig) -> Anomaly {
    Anomaly::new(config, NUMBERS).expect("possible")
}

/// Checks a node by the rows that come to it, and those below.
fn recount(nodes: &[Node], at: usize, cuts: usize, rows: &[&[f32]], alone: &[f32]) -> usize {
    let node = nodes[at];
    if node.children as usize == at {
        assert_eq!(node.depth, cuts as f32 + alone[rows.len() + 1]);
        return rows.len();
    }
    let values = || rows.iter().map(|row| row[node.column as usize]);
    assert_eq!(node.range[0], values().fold(f32::MAX, f32::min));
    assert_eq!(node.range[1], values().fold(f32::MIN, f32::max));
    assert_eq!(node.depth, (cuts + 1) as f32);
    let first = node.children as usize;
    if node.cut == f32::INFINITY {
        assert_eq!(node.range[0], node.range[1]);
        return recount(nodes, first, cuts, rows, alone);
    }
    let (left, right): (Vec<&[f32]>, Vec<&[f32]>) =
        rows.iter().copied().partition(|row| row[node.column as usize] < node.cut);
    assert!(!left.is_empty() && !right.is_empty(), "{node:?}");
    let left = recount(nodes, first, cuts + 1, &left, alone);
    left + recount(nodes, first + 1, cuts + 1, &right, alone)
}

/// The mean depth of a row by the definition: it parts at a node, or goes on.
fn expected_depth(nodes: &[Node], at: usize, row: &[f32]) -> f64 {
    let node = nodes[at];
    let own = f64::from(node.depth);
    if node.children as usize == at {
        return own;
    }
    let value = f64::from(row[node.column as usize]);
    let [low, high] = node.range.map(f64::from);
    let gap = (low - value).max(value - high).max(0.0);
    let apart = if gap > 0.0 { gap / (gap + high - low) } else { 0.0 };
    let next = node.children as usize + usize::from(row[node.column as usize] >= node.cut);
    apart * own + (1.0 - apart) * expected_depth(nodes, next, row)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(48), ..ProptestConfig::default() })]

    #[test]
    fn trees_are_those_of_the_rows(
        seed: u64, rows in 1_usize..120, width in 1_usize..7, steps in 1_u32..50,
        trees in 1_usize..7,
    ) {
        let mut draw = Draw::new(seed);
        // Few steps make ties and columns that are all the same.
        let mut number = || (draw.unit() * steps as f32).floor() - 1.0;
        let values: Vec<f32> = (0..rows * width).map(|_| number()).collect();
        let alone = depths_alone(rows + 1);
        let ground = Ground { rows: &values, width, depth_max: 7, alone: &alone };
        let mut draws = Draws(seed);
        let grow = |_| {
            let mut places: Vec<u32> = (0..rows as u32).collect();
            ground.grow(&mut places, &mut draws)
        };
        let forest: Vec<Vec<Node>> = (0..trees).map(grow).collect();
        let all: Vec<&[f32]> = values.chunks_exact(width).collect();
        for nodes in &forest {
            prop_assert_eq!(recount(nodes, 0, 0, &all, &alone), rows);
            let is_sound = |(at, node): (usize, &Node)| node.is_sound(at, nodes.len(), width, 64.0);
            prop_assert!(nodes.iter().enumerate().all(is_sound));
            prop_assert!(nodes.len() <= 4 * rows);
        }
        for _ in 0..20 {
            let row: Vec<f32> = (0..width).map(|_| 3.0 * number()).collect();
            let expected: f64 = forest.iter().map(|nodes| expected_depth(nodes, 0, &row)).sum();
            let given = f64::from(depth_of(&forest, &row));
            prop_assert!((given - expected).abs() < 1e-3, "{given} {expected}");
        }
    }

    /// Against all depths that are in the window, by the width of a bin.
    #[test]
    fn a_rank_is_a_share_of_the_window(seed: u64, rows in 1_usize..300, window in 1_usize..100) {
        let mut draw = Draw::new(seed);
        let mut ranks = Ranks::new(20.0);
        let depths: Vec<f32> = (0..rows).map(|_| 4.0 + 12.0 * draw.unit()).collect();
        depths.iter().enumerate().for_each(|(row, depth)| ranks.set(row % window, Some(*depth)));
        let recent = &depths[rows.saturating_sub(window)..];
        let share = |depth: f32| {
            let count = recent.iter().filter(|own| **own < depth).count();
            count as f32 / (recent.len() + 1) as f32
        };
        let mut before = 0.0;
        for step in 1..2000 {
            let depth = step as f32 / 100.0;
            let given = ranks.share_stranger(depth);
            let (least, most) = (share(depth - 0.04), share(depth + 0.04));
            let one = 1.0 / (recent.len() + 1) as f32;
            prop_assert!(least <= given + 1e-6 && given <= most + one + 1e-6, "{given}");
            prop_assert!(given > before);
            before = given;
        }
    }
}

/// Against the recurrence: the first cut leaves each number of rows on one side equally often.
#[test]
fn depths_alone_are_those_of_random_cuts() {
    let mut expected = vec![0.0_f64; 2];
    for rows in 2..200 {
        let sides: f64 = (1..rows).map(|left| left as f64 * expected[left]).sum();
        expected.push(1.0 + 2.0 * sides / (rows as f64 * (rows - 1) as f64));
    }
    for (given, expected) in depths_alone(199).iter().zip(&expected) {
        assert!((f64::from(*given) - expected).abs() < 1e-5, "{given} {expected}");
    }
}

#[test]
fn planted_rows_are_strange_and_usual_ones_evenly_so() {
    let mut draw = Draw::new(1);
    let mut rows: Vec<[f32; 3]> = (0..20_000).map(|_| usual(&mut draw)).collect();
    // A small cluster far out, and rows whose numbers are usual one by one but not together.
    let (far, apart): (Vec<usize>, Vec<usize>) =
        ((5000..20_000).step_by(300).collect(), (5100..20_000).step_by(300).collect());
    far.iter().for_each(|at| rows[*at] = usual(&mut draw).map(|value| value * 0.1 + 7.0));
    apart.iter().for_each(|at| rows[*at] = [2.2, -2.2, 0.0]);
    let ranks = ranks_of(&mut untrained(AnomalyConfig::new(Task::Binary)), &rows);
    assert!(ranks.iter().all(|rank| (0.0..1.0).contains(rank)));
    assert!(far.iter().all(|at| ranks[*at] > 0.97), "{:?}", far.iter().map(|at| ranks[*at]));
    let strange = apart.iter().filter(|at| ranks[**at] > 0.95).count();
    assert!(strange * 10 >= apart.len() * 9, "{strange} of {}", apart.len());
    let mut usual: Vec<f32> =
        (3000..20_000).filter(|at| at % 100 != 0).map(|at| ranks[at]).collect();
    usual.sort_by(f32::total_cmp);
    for part in 1..20 {
        let (own, expected) = (usual[usual.len() * part / 20], part as f32 / 20.0);
        assert!((own - expected).abs() < 0.04, "{own} for {expected}");
    }
}

#[test]
fn what_goes_on_becomes_usual() {
    let config = AnomalyConfig { trees: 32, window_rows: 512, ..small(Task::Binary) };
    let mut draw = Draw::new(2);
    let rows: Vec<[f32; 3]> = (0..8000)
        .map(|row| usual(&mut draw).map(|value| if row < 4000 { value } else { value + 12.0 }))
        .collect();
    let ranks = ranks_of(&mut untrained(config), &rows);
    let mean = |from: usize, to: usize| ranks[from..to].iter().sum::<f32>() / (to - from) as f32;
    assert!((mean(2000, 4000) - 0.5).abs() < 0.05, "{}", mean(2000, 4000));
    assert!(mean(4000, 4030) > 0.95, "{}", mean(4000, 4030));
    // The window is 1024 rows; trees are at most another one old.
    assert!((mean(6100, 8000) - 0.5).abs() < 0.05, "{}", mean(6100, 8000));
    // What was usual before is strange now.
    let mut model = untrained(config);
    ranks_of(&mut model, &rows);
    assert!(ranks_of(&mut model, &[[0.0; 3]])[0] > 0.99);
}

/// The unit of a column says nothing: to the bit for a power of two, else up to rounding.
#[test]
fn units_do_not_count() {
    let mut draw = Draw::new(3);
    let rows: Vec<[f32; 3]> =
        (0..6000).map(|_| usual(&mut draw).map(|value| value * value * value)).collect();
    let ranks = |factor: f32| {
        let scaled: Vec<[f32; 3]> = rows.iter().map(|[x, y, z]| [*x, y * factor, *z]).collect();
        ranks_of(&mut untrained(AnomalyConfig::new(Task::Binary)), &scaled)
    };
    let plain = ranks(1.0);
    assert_eq!(plain, ranks(1024.0));
    let other = ranks(1000.0);
    let changed = plain.iter().zip(&other).map(|(one, other)| (one - other).abs());
    let mean = changed.sum::<f32>() / plain.len() as f32;
    assert!(mean < 0.01, "{mean}");
}

/// A column that is the same in all rows is not cut, but another value in it is noticed.
#[test]
fn a_new_value_of_a_constant_is_strange() {
    let mut draw = Draw::new(4);
    let rows: Vec<[f32; 3]> =
        (0..4000).map(|_| [normal(&mut draw), normal(&mut draw), 5.0]).collect();
    let mut model = untrained(AnomalyConfig::new(Task::Binary));
    ranks_of(&mut model, &rows);
    let own = ranks_of(&mut model, &[[0.0, 0.0, 5.0], [0.0, 0.0, 5.1]]);
    assert!(own[0] < 0.5 && own[1] > 0.95, "{own:?}");
}

#[test]
fn labels_say_nothing() {
    let stream = Stream::new(5, 1500, |x, y, _| f32::from(u8::from(x > y)));
    let mut flipped = Stream::new(5, 1500, |x, y, _| f32::from(u8::from(x <= y)));
    let model = || Anomaly::new(small(Task::Binary), SHAPE).expect("possible");
    let (mut one, mut other) = (model(), model());
    assert_eq!(walk(&mut one, &stream, 0, 1500), walk(&mut other, &flipped, 0, 1500));
    assert!(saved(&one) == saved(&other));
    // Features do.
    flipped.dense[0] += 1.0;
    let mut third = model();
    walk(&mut third, &flipped, 0, 1500);
    assert!(saved(&one) != saved(&third));
}

#[test]
fn a_rare_category_is_strange() {
    let shape = FeatureShape { dense_width: 1, sparse_width: 2, sparse_bits: 20 };
    let mut draw = Draw::new(6);
    let mut strange = Strangeness::new(AnomalyConfig::new(Task::Binary), shape).expect("possible");
    let mut row = |id: u32| {
        let category = 100 + (draw.unit() * 5.0) as u32;
        ([normal(&mut draw)], [category, 1000 + id])
    };
    for id in 0..8000 {
        let (dense, sparse) = row(id);
        strange.learn(&dense, &sparse);
    }
    // Ids are new in each row, categories are not.
    let usual: f32 = (0..200)
        .map(|id| {
            let (dense, sparse) = row(9000 + id);
            strange.rank(&dense, &sparse)
        })
        .sum::<f32>()
        / 200.0;
    assert!((usual - 0.5).abs() < 0.1, "{usual}");
    assert!(strange.rank(&[0.0], &[77, 20_000]) > 0.99);
    assert!(strange.rank(&[0.0], &[ABSENT, 20_000]) > 0.99);
    assert!(strange.strangeness(&[0.0], &[77, 20_000]) > 3.0);
}

/// Shares are those of the rows, however often counts were halved.
#[test]
fn rarity_is_the_logarithm_of_a_share() {
    let shape = FeatureShape { dense_width: 0, sparse_width: 1, sparse_bits: 4 };
    let mut rarity = Rarity::new(shape);
    for row in 0..300_000_u32 {
        rarity.learn(&[if row % 10 == 0 { ABSENT } else { row % 10 / 8 }]);
    }
    for (index, share) in [(0, 0.7_f64), (1, 0.2), (ABSENT, 0.1), (7, 0.0)] {
        let mut given = Vec::new();
        rarity.append(&[index], &mut given);
        let expected = -(share + 1.0 / 4096.0).ln();
        assert!((f64::from(given[0]) - expected).abs() < 1e-3, "{given:?} {expected}");
    }
}

#[test]
fn what_it_cannot_do_is_refused() {
    for task in [Task::Regression, Task::MultiClass { classes: 3 }] {
        assert!(Anomaly::new(AnomalyConfig::new(task), SHAPE).is_err());
    }
    let fine = AnomalyConfig::new(Task::Binary);
    let wrong = [
        AnomalyConfig { trees: 0, ..fine },
        AnomalyConfig { sample_rows: 4097, ..fine },
        AnomalyConfig { window_rows: 63, ..fine },
        AnomalyConfig { stride: 0, ..fine },
    ];
    assert!(wrong.iter().all(|config| Anomaly::new(*config, SHAPE).is_err()));
    let wide = FeatureShape { dense_width: 1 << 17, ..SHAPE };
    assert!(Anomaly::new(fine, wide).is_err());
    // Rows without columns are all alike.
    let none = FeatureShape { dense_width: 0, sparse_width: 0, sparse_bits: 0 };
    let mut empty = Strangeness::new(fine, none).expect("possible");
    (0..100).for_each(|_| empty.learn(&[], &[]));
    assert!((0.0..1.0).contains(&empty.rank(&[], &[])));
}

/// What is no number counts as 0, what is huge is as far as can be.
#[test]
fn numbers_that_are_none_do_no_harm() {
    let mut draw = Draw::new(8);
    let mut model = untrained(small(Task::Binary));
    let odd = [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 4.0, -0.0];
    let mut pick = |row: usize| match row % 3 {
        0 => [odd[row % 6], odd[row / 3 % 6], 1.0],
        _ => usual(&mut draw),
    };
    let rows: Vec<[f32; 3]> = (0..1500).map(&mut pick).collect();
    assert!(ranks_of(&mut model, &rows).iter().all(|rank| (0.0..1.0).contains(rank)));
    let mut other = untrained(small(Task::Binary));
    other.read_state(&mut &saved(&model)[..]).expect("own bytes");
}

/// The column that is far off is why a row is strange.
#[test]
fn the_strange_column_is_the_reason() {
    let mut model = untrained(AnomalyConfig::new(Task::Binary));
    let mut draw = Draw::new(71);
    let rows: Vec<[f32; 3]> = (0..3000).map(|_| [(); 3].map(|()| normal(&mut draw))).collect();
    ranks_of(&mut model, &rows);
    for column in 0..3 {
        let mut row = [(); 3].map(|()| 0.3 * normal(&mut draw));
        row[column] = 9.0;
        let features = Features { rows: 1, dense: &row, sparse: &[], notes: &[] };
        let mut parts = [0.0; 4];
        model.explain(&features, &mut parts).expect("the shapes fit");
        let others = parts[..3].iter().enumerate().filter(|(at, _)| *at != column);
        let most = others.fold(0.0_f32, |most, (_, part)| most.max(part.abs()));
        assert!(parts[column] > 3.0 * most && parts[column] > 1.0, "{column}: {parts:?}");
    }
}
