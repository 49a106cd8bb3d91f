//! Ranking measures against brute force: every pair for the area, every threshold for precision.

use super::*;
use proptest::prelude::*;

fn naive_auc(rows: &[(f32, bool)]) -> f64 {
    let (mut right, mut pairs) = (0.0, 0.0);
    for a in rows.iter().filter(|row| row.1) {
        for b in rows.iter().filter(|row| !row.1) {
            pairs += 1.0;
            right += if a.0 > b.0 {
                1.0
            } else if a.0 == b.0 {
                0.5
            } else {
                0.0
            };
        }
    }
    right / pairs
}

fn naive_average_precision(rows: &[(f32, bool)]) -> f64 {
    let mut thresholds: Vec<f32> = rows.iter().map(|row| row.0).collect();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    let positives = rows.iter().filter(|row| row.1).count() as f64;
    let (mut value, mut recall_before) = (0.0, 0.0);
    for threshold in thresholds {
        let called: Vec<_> = rows.iter().filter(|row| row.0 >= threshold).collect();
        let hits = called.iter().filter(|row| row.1).count() as f64;
        value += (hits / positives - recall_before) * hits / called.len() as f64;
        recall_before = hits / positives;
    }
    if positives > 0.0 { value } else { f64::NAN }
}

fn ranked(rows: &[(f32, bool)], rows_max: usize) -> RankingMeasures {
    let mut ranking = Ranking::new(rows_max);
    rows.iter().for_each(|&(score, label)| ranking.add(score, label, 1));
    ranking.measures()
}

fn close(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-12
}

fn rows() -> impl Strategy<Value = Vec<(f32, bool)>> {
    let coarse = (0u32..5).prop_map(|step| step as f32 / 4.0);
    let near_ends = prop_oneof![Just(0.0f32), Just(1.0), Just(1e-45), Just(1.0 - 6e-8)];
    let score = prop_oneof![coarse, 0.0f32..=1.0, near_ends];
    prop::collection::vec((score, any::<bool>()), 0..60)
}

proptest! {
    #[test]
    fn equals_brute_force(rows in rows()) {
        let measures = ranked(&rows, usize::MAX);
        prop_assert!(close(measures.auc, naive_auc(&rows)));
        prop_assert!(close(measures.average_precision, naive_average_precision(&rows)));
        prop_assert_eq!(measures.auc_error_max, 0.0);
    }

    #[test]
    fn the_histogram_keeps_within_its_stated_error(rows in rows()) {
        let (exact, rough) = (ranked(&rows, usize::MAX), ranked(&rows, 0));
        if !exact.auc.is_nan() {
            prop_assert!((exact.auc - rough.auc).abs() <= rough.auc_error_max + 1e-12);
        }
        if !exact.average_precision.is_nan() {
            let error = (exact.average_precision - rough.average_precision).abs();
            prop_assert!(error <= rough.average_precision_error_max + 1e-12);
        }
    }

    #[test]
    fn withdrawn_rows_leave_no_trace(
        kept in rows(), gone in rows(), rows_max in prop_oneof![0usize..80, Just(usize::MAX)]
    ) {
        let mut ranking = Ranking::new(rows_max);
        gone.iter().for_each(|&(score, label)| ranking.add(score, label, 1));
        kept.iter().for_each(|&(score, label)| ranking.add(score, label, 1));
        gone.iter().for_each(|&(score, label)| ranking.add(score, label, -1));
        let rows_max = if ranking.is_exact() { usize::MAX } else { 0 };
        let (left, plain) = (ranking.measures(), ranked(&kept, rows_max));
        prop_assert_eq!(left.auc.to_bits(), plain.auc.to_bits());
        prop_assert_eq!(left.average_precision.to_bits(), plain.average_precision.to_bits());
    }

    #[test]
    fn bins_keep_the_order(a in 0.0f32..=1.0, b in 0.0f32..=1.0) {
        let (low, high) = (a.min(b), a.max(b));
        prop_assert!(bin(low.to_bits()) <= bin(high.to_bits()));
        prop_assert!(bin(1.0f32.to_bits()) == BINS - 1);
        // A bin is at most 2^-11 of the distance to the nearer end wide.
        if bin(low.to_bits()) == bin(high.to_bits()) {
            let nearer = f64::from(high).min(1.0 - f64::from(low));
            let width = f64::from(high) - f64::from(low);
            prop_assert!(width <= nearer / 2048.0 + 1e-41);
        }
    }
}

#[test]
fn the_bound_is_small_when_the_scores_are_spread() {
    // A hundred thousand scores over all of 0..1: the bins are finer than the rows are dense.
    let mut state = 1u64;
    let rows: Vec<(f32, bool)> = (0..100_000)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let score = (state >> 40) as f32 / (1u64 << 24) as f32;
            (score * score, (state >> 20) % 1000 < (score * 300.0) as u64)
        })
        .collect();
    let (exact, rough) = (ranked(&rows, usize::MAX), ranked(&rows, 1000));
    assert!((exact.auc - rough.auc).abs() <= rough.auc_error_max);
    assert!(rough.auc_error_max < 1e-3 && rough.average_precision_error_max < 1e-2, "{rough:?}");
}
