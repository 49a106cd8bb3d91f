//! Trees against a slow reference, derivatives against differences, and the model on streams that
//! a linear one cannot learn.

use proptest::prelude::*;

use super::pull::{Pull, Scale};
use super::tree::{Codes, Growth, Room, Split, Tree, leaf_of};
use super::*;
use crate::tests::{SHAPE, Stream, small, walk};

/// A row asks for a first and a second derivative.
type Ask = [f32; 2];

/// The largest gain of a split of these rows, by trying each of them over all rows.
fn reference(growth: &Growth, codes: &[u8], width: usize, asks: &[(usize, Ask)]) -> Option<f64> {
    let total = |side: &dyn Fn(u8) -> bool, column: usize| {
        let own = asks.iter().filter(|(row, _)| side(codes[row * width + column]));
        own.fold([0.0, 0.0], |[g, h], (_, ask)| [g + f64::from(ask[0]), h + f64::from(ask[1])])
    };
    let worth = |[g, h]: [f64; 2]| g * g / (h + growth.lambda);
    let mut best = None;
    for column in 0..width {
        for bin in 0..=254_u8 {
            let (left, right) = (total(&|c| c <= bin, column), total(&|c| c > bin, column));
            if left[1] < growth.hessian_min || right[1] < growth.hessian_min {
                continue;
            }
            let gain = worth(left) + worth(right) - worth(total(&|_| true, column));
            if gain > best.unwrap_or(1e-3) {
                best = Some(gain);
            }
        }
    }
    best
}

/// Checks a node of a tree and those below: it splits where the gain is largest, and all of them
/// have the values that are best for their rows.
fn check_node(growth: &Growth, codes: &[u8], tree: &Tree, node: usize, asks: &[(usize, Ask)]) {
    let sum = |asks: &[(usize, Ask)]| {
        let add = |[g, h]: [f64; 2], (_, ask): &(usize, Ask)| {
            [g + f64::from(ask[0]), h + f64::from(ask[1])]
        };
        asks.iter().fold([0.0; 2], add)
    };
    let all = sum(asks);
    let value = -all[0] / (all[1] + growth.lambda) * f64::from(growth.rate);
    let found = f64::from(tree.values[node]);
    assert!((found - value).abs() <= 1e-5 * (1.0 + value.abs()), "{found} {value}");
    let Some(split) = tree.splits.get(node) else { return };
    let wanted = reference(growth, codes, 2, asks);
    if *split == Split::NONE {
        // What fixed point does to a gain at the least.
        assert!(wanted.is_none_or(|gain| gain < 1e-3 + 1e-5), "{wanted:?}");
        return;
    }
    let goes_left =
        |(row, _): &(usize, Ask)| u32::from(codes[row * 2 + split.column()]) <= split.0 & 255;
    let (left, right): (Vec<_>, Vec<_>) = asks.iter().copied().partition(goes_left);
    let worth = |[g, h]: [f64; 2]| g * g / (h + growth.lambda);
    let gain = worth(sum(&left)) + worth(sum(&right)) - worth(all);
    let wanted = wanted.unwrap_or(1e-3);
    assert!((gain - wanted).abs() <= 1e-5 * (1.0 + wanted), "{gain} {wanted}");
    check_node(growth, codes, tree, 2 * node, &left);
    check_node(growth, codes, tree, 2 * node + 1, &right);
}

proptest! {
    #[test]
    fn every_node_splits_where_the_gain_is_largest(
        rows in prop::collection::vec((0_u8..6, 0_u8..=255, -2.0_f32..2.0, 0.1_f32..1.0), 1..80),
        depth in 1_usize..4, lambda in 0.1_f64..5.0, hessian_min in 0.0_f64..3.0,
    ) {
        let growth = Growth { depth, rate: 0.5, lambda, hessian_min };
        let codes: Vec<u8> = rows.iter().flat_map(|row| [row.0, row.1]).collect();
        let asks: Vec<(usize, Ask)> =
            rows.iter().enumerate().map(|(at, row)| (at, [row.2, row.3])).collect();
        let sums = rows.iter().fold([0.0; 2], |[g, h], row| {
            [g + f64::from(row.2.abs()), h + f64::from(row.3)]
        });
        let scale = Scale::new(sums);
        let pull = |(row, ask): &(usize, Ask)| Pull { row: *row as u32, packed: scale.pack(*ask) };
        let mut pulls: Vec<Pull> = asks.iter().map(pull).collect();
        let mut values = vec![f32::NAN; rows.len()];
        let room = &mut Room::default();
        let of = Codes { codes: &codes, width: 2 };
        let tree = Tree::grow(&growth, of, (&mut pulls, scale), room, |value, own| {
            own.iter().for_each(|pull| values[pull.row as usize] = value);
        });
        check_node(&growth, &codes, &tree, 1, &asks);
        // The leaf a row is told is the one a walk comes to.
        let leaves = &tree.values[tree.splits.len()..];
        for (codes, value) in codes.chunks_exact(2).zip(&values) {
            prop_assert_eq!(leaves[leaf_of(&tree.splits, depth, codes)], *value);
        }
        // The order of the rows tells nothing.
        let mut turned: Vec<Pull> = asks.iter().rev().map(pull).collect();
        let again = Tree::grow(&growth, of, (&mut turned, scale), room, |_, _| {});
        prop_assert_eq!(tree, again);
    }

    #[test]
    fn derivatives_are_those_of_the_loss(
        margins in prop::collection::vec(-3.0_f32..3.0, 4),
        label in 0_usize..4,
        output in 0_usize..4,
    ) {
        let task = Task::MultiClass { classes: 4 };
        let loss = |moved: f64| {
            let margin = |at: usize| {
                f64::from(margins[at]) + if at == output { moved } else { 0.0 }
            };
            (0..4).map(|at| margin(at).exp()).sum::<f64>().ln() - margin(label)
        };
        let step = 1e-4;
        let first = (loss(step) - loss(-step)) / (2.0 * step);
        let second = (loss(step) - 2.0 * loss(0.0) + loss(-step)) / (step * step);
        let mut shares = margins.clone();
        generation::predict(task, &mut shares);
        let of = shares[output];
        let [gradient, hessian] = generation::derivatives(task, of, output, label as f32);
        prop_assert!((f64::from(gradient) - first).abs() < 1e-4);
        prop_assert!((f64::from(hessian) - second).abs() < 1e-4);
    }
}

#[test]
fn it_learns_what_no_linear_model_can() {
    let stream =
        Stream::new(1, 6000, |x, y, category| f32::from(u8::from(x * y > 0.0 || category < 8)));
    let mut model = Boost::new(small(Task::Binary), SHAPE).expect("possible");
    let scores = walk(&mut model, &stream, 0, 6000);
    let right = (3000..6000).filter(|at| (scores[*at] > 0.5) == (stream.labels[*at] == 1.0));
    let right = right.count() as f64 / 3000.0;
    assert!(right > 0.9, "{right}");
}

#[test]
fn it_learns_classes_and_values() {
    let classes = Task::MultiClass { classes: 3 };
    let stream = Stream::new(2, 6000, |x, y, _| {
        if x * x + y * y < 0.4 {
            0.0
        } else if x > y {
            1.0
        } else {
            2.0
        }
    });
    let mut model = Boost::new(small(classes), SHAPE).expect("possible");
    let scores = walk(&mut model, &stream, 0, 6000);
    let best = |row: &[f32]| (1..3).fold(0, |best, at| if row[at] > row[best] { at } else { best });
    let rows: Vec<&[f32]> = scores.chunks_exact(3).collect();
    assert!(rows.iter().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    let right = (3000..6000).filter(|at| best(rows[*at]) as f32 == stream.labels[*at]).count();
    assert!(right as f64 > 0.85 * 3000.0, "{right}");

    let stream = Stream::new(3, 6000, |x, y, category| 50.0 + 10.0 * x * y + category as f32);
    let mut model = Boost::new(small(Task::Regression), SHAPE).expect("possible");
    let scores = walk(&mut model, &stream, 0, 6000);
    let rows = || scores[3000..].iter().zip(&stream.labels[3000..]);
    let error = rows().map(|(score, label)| f64::from(score - label).powi(2)).sum::<f64>() / 3000.0;
    let spread = rows().map(|(_, label)| f64::from(label - 69.5).powi(2)).sum::<f64>() / 3000.0;
    assert!(error < 0.2 * spread, "{error} of {spread}");
}

#[test]
fn settings_outside_their_ranges_are_refused() {
    assert!(Boost::new(BoostConfig { depth: 0, ..small(Task::Binary) }, SHAPE).is_err());
    assert!(Boost::new(BoostConfig { rows_share: 0.0, ..small(Task::Binary) }, SHAPE).is_err());
}

#[test]
fn every_row_is_as_likely_to_be_in_the_sample() {
    let mut thirds = [0_u32; 3];
    for seed in 0..40_u64 {
        let mut sample = Sample::new(1, 1, 50);
        sample.draws = seed << 32;
        for row in 0..600 {
            sample.offer(&[row as f32], (0.0, 1.0), 0);
        }
        assert_eq!((sample.len(), sample.strata[0].weight()), (50, Some(12.0)));
        sample.rows.iter().for_each(|row| thirds[*row as usize / 200] += 1);
    }
    // 2000 rows, 667 a third; six deviations are 127.
    assert!(thirds.iter().all(|third| third.abs_diff(667) < 127), "{thirds:?}");
}

/// A class that is configured and never comes must not take the penalties away from the others.
#[test]
fn a_kind_that_never_came_changes_no_weight() {
    let mut sample = Sample::new(1, 3, 60);
    for row in 0..100 {
        let kind = usize::from(row % 5 == 0);
        sample.offer(&[row as f32], (kind as f32, 1.0), kind);
    }
    assert_eq!(sample.weights_by_kind(), [4.0, 1.0, 0.0]);
}

/// Rows are drawn by how wrong they are, and counted for it: sums are those of all rows, about.
#[test]
fn a_draw_of_rows_keeps_the_sums() {
    let stream = Stream::new(8, 3000, |x, y, _| f32::from(u8::from(x * y > 0.0)));
    let sums = |share: f32| {
        let config = BoostConfig { rows_share: share, depth: 1, rounds: 1, ..small(Task::Binary) };
        let mut model = Boost::new(config, SHAPE).expect("possible");
        walk(&mut model, &stream, 0, 3000);
        let growing = model.growing.as_mut().expect("between two generations");
        growing.before =
            model.sample.rows.chunks_exact(model.width).map(|row| row[0].abs().min(0.9)).collect();
        growing.ask(Task::Binary, &model.sample, (0, 1));
        let scale = growing.draw_rows(share, 7);
        let total = growing.pulls.iter().map(|pull| pull.packed).sum();
        (growing.pulls.len() as f64, scale.sums(total)[1])
    };
    let ((all, whole), (some, drawn)) = (sums(1.0), sums(0.3));
    assert!(some < 0.4 * all, "{some} of {all}");
    assert!((drawn / whole - 1.0).abs() < 0.1, "{drawn} {whole}");
}

/// More classes than are noted, and no number: trees are leaves, which learn how common each is.
#[test]
fn rows_without_columns_are_learned() {
    let shape = FeatureShape { dense_width: 0, ..SHAPE };
    let mut model = Boost::new(small(Task::MultiClass { classes: 12 }), shape).expect("possible");
    let (mut scores, features) =
        ([0.0; 12], Features { rows: 1, dense: &[], sparse: &[3], notes: &[] });
    for row in 0..1500 {
        let label = if row % 2 == 0 { 7.0 } else { (row % 12) as f32 };
        let batch = LabeledBatch { features, labels: &[label], weights: &[1.0] };
        model.score_and_learn_each(&batch, &mut scores).expect("it fits");
    }
    assert!(scores[7] > 0.4 && scores[2] < 0.2, "{scores:?}");
}
