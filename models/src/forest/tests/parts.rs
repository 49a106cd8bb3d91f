//! The parts of a forest against slow references.

use proptest::prelude::*;

use super::super::leaves::{LEAF_BINS, Leaves, Slot, Watched};
use super::super::split::Cell as Counts;
use super::super::tree::NONE;
use super::*;

/// Nats a cut wins, by going through the rows.
fn reference(counts: Counts, rows: &[(u8, f32, f32)], is_left: impl Fn(u8) -> bool) -> [f64; 3] {
    let side = |want: Option<bool>| -> Vec<(f64, f64)> {
        let own = rows.iter().filter(|row| want.is_none_or(|want| is_left(row.0) == want));
        own.map(|row| (f64::from(row.1), f64::from(row.2))).collect()
    };
    let weight = |rows: &[(f64, f64)]| rows.iter().map(|row| row.1).sum::<f64>();
    let log_likelihood = |rows: &[(f64, f64)]| {
        let of =
            |label: f64| rows.iter().filter(|row| row.0 == label).map(|row| row.1).sum::<f64>();
        rows.iter().map(|row| row.1 * (of(row.0) / weight(rows)).ln()).sum::<f64>()
    };
    let squares = |rows: &[(f64, f64)]| {
        let mean = rows.iter().map(|row| row.0 * row.1).sum::<f64>() / weight(rows).max(1e-300);
        rows.iter().map(|row| row.1 * (row.0 - mean).powi(2)).sum::<f64>()
    };
    let [all, left, right] = [side(None), side(Some(true)), side(Some(false))];
    let gain = match counts {
        Counts::Classes(_) => log_likelihood(&left) + log_likelihood(&right) - log_likelihood(&all),
        Counts::Moments => {
            let least = squares(&all) / weight(&all) + 1e-30;
            let ratio = (squares(&all) + least) / (squares(&left) + squares(&right) + least);
            0.5 * weight(&all) * ratio.ln()
        }
    };
    [gain, weight(&left), weight(&right)]
}

proptest! {
    /// The cut that is chosen wins as many nats as any, and as many as going through the rows says.
    #[test]
    fn the_best_cut_is_the_best_of_all(
        rows in prop::collection::vec((0_u8..250, 0_u8..3, 1_u8..9), 2..80),
        low in 0_u8..100, spread in 0_u8..150, side_min in 0.0_f64..20.0, is_values: bool,
    ) {
        let counts = if is_values { Counts::Moments } else { Counts::Classes(3) };
        let watched = Watched { column: 0, low, high: low + spread };
        let mut leaves = Leaves::new(counts, 1);
        let slot = leaves.take(Slot { weight: 0.0, next: 1e9, offset: 0.5 }, &[watched]);
        let row = |row: &(u8, u8, u8)| (row.0, f32::from(row.1), f32::from(row.2));
        let rows: Vec<(u8, f32, f32)> = rows.iter().map(row).collect();
        for (code, label, weight) in &rows {
            leaves.add(slot, &[*code], *label, *weight);
        }
        let best = leaves.columns(slot).find_map(|(_, bins)| counts.best(bins, side_min));
        let mut wanted: Option<f64> = None;
        for bin in 0..LEAF_BINS {
            // What lies outside the range is in the nearest bin.
            let is_left = |code: u8| watched.bin(code) <= bin;
            let [gain, left, right] = reference(counts, &rows, is_left);
            if left > 0.0 && right > 0.0 && left >= side_min && right >= side_min {
                wanted = Some(wanted.map_or(gain, |wanted| wanted.max(gain)));
            }
        }
        prop_assert_eq!(best.is_some(), wanted.is_some());
        if let (Some(best), Some(wanted)) = (best, wanted) {
            let [gain, ..] = reference(counts, &rows, |code| watched.bin(code) <= best.bin);
            for gain in [best.gain, gain] {
                let is_near = (gain - wanted).abs() < 1e-6 * (1.0 + wanted.abs());
                prop_assert!(is_near, "{best:?} {gain} {wanted}");
            }
        }
    }

    /// Bins of a leaf follow the codes in their order, and say which codes they hold.
    #[test]
    fn bins_of_a_leaf_hold_their_codes(low: u8, spread: u8) {
        let watched = Watched { column: 0, low, high: low.saturating_add(spread) };
        for code in low..=watched.high {
            let bin = watched.bin(code);
            prop_assert!(bin < LEAF_BINS);
            let [first, last] = watched.codes(bin);
            prop_assert!((first..=last).contains(&usize::from(code)));
        }
    }
}

/// What a walk down a tree predicts, by the formula in doubles.
#[test]
fn a_prediction_is_the_means_on_the_way_shrunken() {
    let stream = Stream::new(11, 3000, ring);
    for (config, outputs) in [(small(Task::Binary), 1), (small(CLASSES), 3)] {
        let mut model = forest(config);
        walk(&mut model, &stream, 0, 3000);
        let mut values = Vec::new();
        for row in 0..200 {
            let notes = notes_of(&model, &stream, row, row + 1);
            model.lay_row(&stream.batch(&notes, row, row + 1).0, 0, &mut values);
            let tree = &model.members[row % 4].tree;
            let mut out = vec![0.0; MEMORIES * outputs];
            tree.predict(&config, &values, &mut out);
            for (place, own) in out.iter().enumerate() {
                let memory = f64::from(config.memories[place / outputs]);
                let (mut at, mut wanted) = (0, f64::from(tree.means[place]));
                while tree.nodes[at].left != 0 {
                    at = Tree::next(&tree.nodes[at], &values);
                    let rows = f64::from(tree.nodes[at].rows).min(memory);
                    let mean = f64::from(tree.means[at * MEMORIES * outputs + place]);
                    wanted += (mean - wanted) * rows / (rows + f64::from(config.shrinkage));
                }
                assert!((f64::from(*own) - wanted).abs() < 1e-5, "{own} {wanted}");
            }
        }
    }
}

/// The histograms of a leaf hold every row that came to it since it began, in the right bin.
#[test]
fn leaves_count_the_rows_that_come() {
    let stream = Stream::new(12, 4000, ring);
    let config =
        ForestConfig { share_min: 1.0, nodes_max: 2047, ..ForestConfig::new(Task::Binary) };
    let mut model = forest(config);
    walk(&mut model, &stream, 0, 4000);
    for member in &model.members {
        let (leaves, mut seen) = (&member.tree.leaves, 0);
        for node in member.tree.nodes.iter().filter(|node| node.slot != NONE) {
            let sums = leaves.columns(node.slot).map(|(_, bins)| bins.iter().sum::<f32>());
            let weight = leaves.slots[node.slot as usize].weight;
            assert!(sums.into_iter().all(|sum| (sum - weight).abs() <= 1e-3 * weight));
            seen += 1;
        }
        assert_eq!(seen, member.tree.nodes.len().div_ceil(2));
        assert!(member.tree.nodes.len() > 3);
    }
}

/// A root that never splits has counted every label `lambda` times, thinned or not, since there
/// were bins.
#[test]
fn thinned_rows_count_for_the_others() {
    let mut stream = Stream::new(16, 20_064, |_, _, _| 0.0);
    stream.labels.iter_mut().step_by(25).for_each(|label| *label = 1.0);
    let mut model = forest(ForestConfig { gain_min: 1e9, ..ForestConfig::new(Task::Binary) });
    walk(&mut model, &stream, 0, 20_064);
    let mut counted = [0.0; 2];
    for member in &model.members {
        let (_, bins) = member.tree.leaves.columns(0).next().expect("a root watches");
        let total = Counts::Classes(2).total(bins);
        counted = [counted[0] + total[0], counted[1] + total[1]];
    }
    let lambda = model.config.lambda * model.members.len() as f64;
    for (counted, labels) in counted.into_iter().zip([19_200.0, 800.0]) {
        let ratio = counted / (lambda * labels);
        assert!((ratio - 1.0).abs() < 0.05, "{counted} of {labels}");
    }
    assert!(model.bins.share(0, 0.1) < 0.3);
}

/// A full tree is cut back and goes on growing; it never has more nodes than it may.
#[test]
fn a_full_tree_is_cut_back() {
    let mut stream = Stream::new(13, 30_000, ring);
    stream.labels[15_000..].iter_mut().for_each(|label| *label = 1.0 - *label);
    let mut model = forest(ForestConfig { warning: 1e-30, ..small(Task::Binary) });
    let mut was_cut_back = false;
    for from in (0..30_000).step_by(100) {
        walk(&mut model, &stream, from, from + 100);
        assert!(model.members.iter().all(|member| member.tree.nodes.len() <= 31));
        was_cut_back |= model.members.iter().any(|member| !member.tree.free.is_empty());
        let bytes = saved(&model);
        forest(model.config).read_state(&mut &bytes[..]).expect("a whole state");
    }
    assert!(was_cut_back);
}

/// New bins keep all that was counted, on the same side of every old edge that is an edge again.
#[test]
fn new_bins_keep_what_was_counted() {
    let mut draw = Draw::new(14);
    let mut bins = Bins::new(1, 1);
    (0..300).for_each(|_| bins.offer(&[draw.unit()], 0));
    assert!(bins.renew().is_first());
    let mut leaves = Leaves::new(Counts::Classes(2), 1);
    let watched = Watched { column: 0, low: 0, high: bins.last(0) };
    let slot = leaves.take(Slot::default(), &[watched]);
    let values: Vec<f32> = (0..500).map(|_| draw.unit()).collect();
    let mut code = [0];
    for value in &values {
        bins.encode(&[*value], &mut code);
        leaves.add(slot, &code, f32::from(u8::from(*value > 0.5)), 1.0);
    }
    (0..3000).for_each(|_| bins.offer(&[draw.unit() * 1.5], 0));
    let remap = bins.renew();
    leaves.remap(&remap);
    let (watched, cells) = leaves.columns(slot).next().expect("a column");
    assert_eq!(cells.iter().sum::<f32>(), 500.0);
    assert_eq!([watched.low, watched.high], [0, bins.last(0)]);
    // Counts below an edge are right but for what shared a bin, old or new.
    for bin in 0..LEAF_BINS {
        let Some(edge) = bins.edge(0, watched.codes(bin)[1]) else { continue };
        let counted: f32 = cells[..2 * (bin + 1)].iter().sum();
        let wanted = values.iter().filter(|value| **value <= edge).count() as f32;
        assert!((counted - wanted).abs() <= 25.0, "{counted} {wanted} up to {edge}");
    }
}

#[test]
fn bins_are_those_of_the_sorted_sample() {
    let mut bins = Bins::new(2, 2);
    let rows: Vec<[f32; 2]> = (0..1000).map(|row| [(row * 7 % 1000) as f32, 3.0]).collect();
    rows.iter().enumerate().for_each(|(at, row)| bins.offer(row, at % 2));
    bins.renew();
    let mut codes = [0; 2];
    for row in &rows {
        bins.encode(row, &mut codes);
        let code = usize::from(codes[0]);
        assert!(bins.edge(0, code).is_none_or(|edge| row[0] <= edge));
        assert!(code == 0 || bins.edge(0, code - 1).is_some_and(|edge| row[0] > edge));
        assert_eq!((codes[0], codes[1]), (bins.code(0, row[0]), 0));
    }
    assert_eq!([bins.last(0), bins.last(1)], [254, 1]);
    // A kind that is three times as rare counts the root of that.
    let mut bins = Bins::new(1, 2);
    (0..40).for_each(|row| bins.offer(&[0.0], usize::from(row % 4 == 0)));
    assert!((bins.share(0, 0.1) - (1.0_f32 / 3.0).sqrt()).abs() < 1e-6);
    assert_eq!([bins.share(1, 0.1), bins.share(0, 0.9)], [1.0, 0.9]);
}

#[test]
fn poisson_numbers_have_their_chances() {
    let poisson = Poisson::new(6.0);
    let mut counts = [0_u32; 64];
    for draw in 0..4096 {
        counts[poisson.draw(draw << 12, 1) as usize] += 1;
    }
    let mut chance = (-6.0_f64).exp();
    for (number, count) in counts.iter().enumerate().take(20) {
        assert!((f64::from(*count) - 4096.0 * chance).abs() <= 1.0, "{number}: {count}");
        chance *= 6.0 / (number + 1) as f64;
    }
}

/// The last layer learns which memory to trust, in steps against the gradient of the log loss.
#[test]
fn the_last_layer_goes_down_the_gradient() {
    let config = ForestConfig::new(CLASSES);
    let mut draw = Draw::new(15);
    for _ in 0..50 {
        let averages: Vec<f32> = (0..MEMORIES * 3).map(|_| 0.05 + 0.9 * draw.unit()).collect();
        let label = (draw.bits() % 3) as f32;
        let loss = |vote: &Vote| {
            let (mut inputs, mut out) = (averages.clone(), [0.0; 3]);
            vote.predict(CLASSES, &mut inputs, &mut out);
            (-f64::from(out[label as usize]).ln(), inputs, out)
        };
        let vote = Vote::new();
        let (before, inputs, out) = loss(&vote);
        let mut learned = vote.clone();
        learned.learn(&ForestConfig { rate: 1e-3, ..config }, (&inputs, &out), (label, 1.0));
        for memory in 0..MEMORIES {
            let mut moved = vote.clone();
            moved.weights[memory] += 1e-2;
            let slope = (loss(&moved).0 - before) / 1e-2;
            let step = f64::from(learned.weights[memory] - vote.weights[memory]);
            assert!(slope.abs() < 2e-2 || slope * step < 0.0, "{slope} {step}");
        }
        assert!(loss(&learned).0 <= before);
    }
}
