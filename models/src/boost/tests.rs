//! Trees against a slow reference, derivatives against differences, and the model on streams that
//! a linear one cannot learn.

use pelton_kernels::cases::Draw;
use proptest::prelude::*;

use super::tree::{Growth, Pull, Room, Tree};
use super::*;
use crate::ABSENT;

/// The split with the largest gain, by trying each of them over all rows.
fn reference(growth: &Growth, codes: &[u8], width: usize, pulls: &[Pull]) -> Option<f64> {
    let total = |side: &dyn Fn(u8) -> bool, column: usize| {
        pulls
            .iter()
            .filter(|pull| side(codes[pull.row as usize * width + column]))
            .fold([0.0, 0.0], |[g, h], pull| {
                [g + f64::from(pull.gradient), h + f64::from(pull.hessian)]
            })
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

proptest! {
    #[test]
    fn the_root_splits_where_the_gain_is_largest(
        rows in prop::collection::vec((0_u8..6, 0_u8..255, -2.0_f32..2.0, 0.1_f32..1.0), 1..60),
        lambda in 0.1_f64..5.0, hessian_min in 0.0_f64..3.0,
    ) {
        let growth = Growth { depth: 1, rate: 1.0, lambda, hessian_min };
        let codes: Vec<u8> = rows.iter().flat_map(|row| [row.0, row.1]).collect();
        let pull = |(row, &(_, _, gradient, hessian)): (usize, &(u8, u8, f32, f32))| {
            Pull { row: row as u32, gradient, hessian }
        };
        let mut pulls: Vec<Pull> = rows.iter().enumerate().map(pull).collect();
        let wanted = reference(&growth, &codes, 2, &pulls);
        let tree = Tree::grow(&growth, (&codes, 2), &mut pulls, &mut Room::default());
        let root = tree.nodes[0];
        prop_assert_eq!(root.left != 0, wanted.is_some());
        // Leaves have the values that are best for their rows.
        let mut sums = vec![[0.0_f64; 2]; tree.nodes.len()];
        for pull in &pulls {
            let own = &codes[pull.row as usize * 2..][..2];
            let at = match root.left {
                0 => 0,
                left if u32::from(own[root.column as usize]) > root.bin => left as usize + 1,
                left => left as usize,
            };
            sums[at] =
                [sums[at][0] + f64::from(pull.gradient), sums[at][1] + f64::from(pull.hessian)];
        }
        let worth = |[g, h]: [f64; 2]| g * g / (h + lambda);
        if let Some(wanted) = wanted {
            let all = sums.iter().fold([0.0; 2], |[g, h], sum| [g + sum[0], h + sum[1]]);
            let gain = worth(sums[1]) + worth(sums[2]) - worth(all);
            prop_assert!((gain - wanted).abs() <= 1e-9 * (1.0 + wanted), "{gain} {wanted}");
        }
        for (node, [g, h]) in tree.nodes.iter().zip(&sums).filter(|(node, _)| node.left == 0) {
            let best = -g / (h + lambda);
            prop_assert!((f64::from(node.value) - best).abs() <= 1e-6 * (1.0 + best.abs()));
        }
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

const SHAPE: FeatureShape = FeatureShape { dense_width: 2, sparse_width: 1, sparse_bits: 6 };

/// A stream whose label no linear model can tell: two numbers of unequal signs, or a category.
struct Stream {
    draw: Draw,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
}

impl Stream {
    fn new(seed: u64, rows: usize, label: impl Fn(f32, f32, u32) -> f32) -> Stream {
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

    fn batch(&self, from: usize, to: usize) -> (Features<'_>, &[f32]) {
        let (dense, sparse) = (&self.dense[2 * from..2 * to], &self.sparse[from..to]);
        (Features { rows: to - from, dense, sparse }, &self.labels[from..to])
    }
}

fn small(task: Task) -> BoostConfig {
    BoostConfig { sample_rows: 2000, rounds: 20, period_labels: 1000, ..BoostConfig::new(task) }
}

/// Scores and learns the rows from one to another; the scores.
fn walk(model: &mut Boost, stream: &Stream, from: usize, to: usize) -> Vec<f32> {
    let (features, labels) = stream.batch(from, to);
    let weights = vec![1.0; to - from];
    let mut scores = vec![0.0; (to - from) * model.outputs()];
    let batch = LabeledBatch { features, labels, weights: &weights };
    model.score_and_learn_each(&batch, &mut scores).expect("the shapes fit");
    assert!(scores.iter().all(|score| score.is_finite()));
    scores
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

fn saved(model: &Boost) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write_state(&mut bytes).expect("a vector takes all bytes");
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Wherever the stream is cut: saved and read, kept and gone back to, it goes on to the bit.
    #[test]
    fn a_restart_and_a_way_back_show_nothing(seed: u64, cut in 0_usize..2500, kind in 0..3) {
        let task = [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression][kind as usize];
        let classes = if kind == 1 { 3.0 } else { 2.0 };
        let stream = Stream::new(seed, 2600, |x, y, _| ((x * y + 1.0) / 2.0 * classes).floor());
        let mut whole = Boost::new(small(task), SHAPE).expect("possible");
        walk(&mut whole, &stream, 0, cut);
        let bytes = saved(&whole);
        let mut resumed = Boost::new(small(task), SHAPE).expect("possible");
        resumed.read_state(&mut &bytes[..]).expect("own bytes");
        prop_assert!(saved(&resumed) == bytes);
        whole.keep().expect("kept");
        let mut kept = Vec::new();
        whole.write_kept(&mut kept).expect("a vector takes all bytes");
        let first = walk(&mut whole, &stream, cut, 2600);
        prop_assert_eq!(&walk(&mut resumed, &stream, cut, 2600), &first);
        prop_assert!(saved(&resumed) == saved(&whole));
        resumed.read_kept(&mut &kept[..]).expect("own bytes");
        for model in [&mut whole, &mut resumed] {
            model.go_back().expect("kept before");
            prop_assert!(saved(model) == bytes);
            prop_assert_eq!(&walk(model, &stream, cut, 2600), &first);
        }
    }
}

#[test]
fn damaged_bytes_are_an_error_or_a_state() {
    let stream = Stream::new(5, 700, |x, y, _| f32::from(u8::from(x > y)));
    let mut model = Boost::new(small(Task::Binary), SHAPE).expect("possible");
    walk(&mut model, &stream, 0, 700);
    let bytes = saved(&model);
    let mut draw = Draw::new(6);
    for _ in 0..300 {
        let mut damaged = bytes.clone();
        let at = (draw.bits() % bytes.len() as u64) as usize;
        damaged[at] ^= 1 << (draw.bits() % 8);
        if draw.unit() < 0.2 {
            damaged.truncate(at);
        }
        let mut other = Boost::new(small(Task::Binary), SHAPE).expect("possible");
        if other.read_state(&mut &damaged[..]).is_ok() {
            let (features, _) = stream.batch(0, 5);
            other.score(&features, &mut [0.0; 5]).expect("the shapes fit");
        }
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let stream = Stream::new(7, 600, |x, _, _| f32::from(u8::from(x > 0.0)));
    let mut model = Boost::new(small(Task::Binary), SHAPE).expect("possible");
    walk(&mut model, &stream, 0, 600);
    let before = saved(&model);
    let (features, _) = stream.batch(0, 1);
    for (label, weight) in [(f32::NAN, 1.0), (2.0, 1.0), (0.5, 1.0), (1.0, f32::NAN), (1.0, 0.0)] {
        let (labels, weights) = (&[label], &[weight]);
        let outcome = model.learn(&LabeledBatch { features, labels, weights }).expect("a shape");
        assert_eq!(outcome, LearnOutcome { learned: 0, refused: 1 });
    }
    assert!(saved(&model) == before);
    assert!(Boost::new(BoostConfig { depth: 0, ..small(Task::Binary) }, SHAPE).is_err());
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

/// Half of the labels are positive, however many there are: floats do not count beyond 2^24.
#[test]
fn a_mean_holds_however_long_the_stream_is() {
    let shape = FeatureShape { dense_width: 0, ..SHAPE };
    let mut encoder = Encoder::new(Task::Binary, shape, LABELS_MAX);
    let features = Features { rows: 1, dense: &[], sparse: &[3] };
    for label in 0..24_000_000_u32 {
        encoder.count(&features, 0, (label % 2) as f32);
    }
    let mut row = Vec::new();
    encoder.encode(&features, 0, &mut row);
    assert!((row[0] - 0.5).abs() < 1e-4, "{row:?}");
}
