//! Distances against samples, and chances against tables and frequencies.

use pelton_kernels::cases::Draw;
use proptest::prelude::*;

use super::*;
use crate::drift::Bins;

/// The distance of two samples, at each of their values.
fn of_samples(first: &[f32], second: &[f32]) -> f64 {
    let below = |values: &[f32], at: f32| {
        values.iter().filter(|value| **value <= at).count() as f64 / values.len() as f64
    };
    let at = first.iter().chain(second);
    at.map(|at| (below(first, *at) - below(second, *at)).abs()).fold(0.0, f64::max)
}

fn spread(bins: &Bins, values: &[f32]) -> Vec<f64> {
    let mut counts = vec![0.0; bins.len()];
    values.iter().for_each(|value| counts[bins.bin(*value)] += 1.0);
    counts
}

#[test]
fn chances_are_those_of_the_tables() {
    // The limit distribution (Smirnov, 1948), at sizes where the correction is nothing.
    for (t, chance) in [(0.5, 0.963_945), (1.0, 0.269_999_7), (1.36, 0.049_485), (1.63, 0.009_846)]
    {
        let found = significance(t / 1e6, 2e12, 2e12);
        assert!((found - chance).abs() < 1e-5, "{t}: {found}");
    }
    assert_eq!(significance(0.0, 10.0, 10.0), 1.0);
    assert_eq!(significance(f64::NAN, 0.0, 0.0), 1.0);
    assert_eq!(significance(1.0, 1e6, 1e6), 0.0);
    // It never rises with the distance, and meets the part that is taken for sure.
    let mut last = 1.0;
    for step in 0..2000 {
        let found = significance(f64::from(step) * 1e-3, 100.0, 100.0);
        assert!(found <= last + 1e-12, "{step}: {found} after {last}");
        last = found;
    }
}

#[test]
fn one_distribution_is_called_two_as_often_as_it_should() {
    let mut draw = Draw::new(11);
    let mut found = [0; 2];
    for _ in 0..4000 {
        let first: Vec<f32> = (0..90).map(|_| draw.unit()).collect();
        let second: Vec<f32> = (0..70).map(|_| draw.unit()).collect();
        let chance = significance(of_samples(&first, &second), 90.0, 70.0);
        let bins = Bins::of(&mut first.clone()).expect("values");
        let binned = distance(&spread(&bins, &first), &spread(&bins, &second));
        found[0] += u32::from(chance < 0.05);
        found[1] += u32::from(significance(binned, 90.0, 70.0) < 0.05);
    }
    let [exact, binned] = found.map(|count| f64::from(count) / 4000.0);
    assert!((0.035..0.06).contains(&exact), "{exact}");
    assert!(binned <= exact, "bins make it stricter: {binned} of {exact}");
}

proptest! {
    #[test]
    fn bins_give_the_distance_of_samples_but_for_the_share_of_a_bin(
        first in prop::collection::vec(prop_oneof![0.0_f32..9.0, Just(2.0)], 1..300),
        second in prop::collection::vec(prop_oneof![1.0_f32..12.0, Just(2.0)], 1..300),
    ) {
        let bins = Bins::of(&mut first.clone()).expect("values");
        let (reference, current) = (spread(&bins, &first), spread(&bins, &second));
        let (binned, exact) = (distance(&reference, &current), of_samples(&first, &second));
        let share = |counts: &[f64]| {
            counts.iter().fold(0.0_f64, |a, b| a.max(*b)) / counts.iter().sum::<f64>()
        };
        let most = share(&reference).max(share(&current));
        prop_assert!(binned <= exact + 1e-12 && exact <= binned + most + 1e-12, "{binned} {exact}");
        prop_assert_eq!(binned, distance(&reference, &current));
    }

    #[test]
    fn numbers_that_are_whole_and_few_lose_nothing(
        first in prop::collection::vec(0_u8..12, 200..400),
        second in prop::collection::vec(0_u8..12, 1..300),
    ) {
        // Each of the twelve is an edge where it has a fortieth of the reference.
        let all = |at: u8| first.iter().filter(|value| **value == at).count() * 40 >= first.len();
        prop_assume!((0..12).all(all));
        let [first, second] = [first, second].map(|v| v.into_iter().map(f32::from).collect());
        let (first, second): (Vec<f32>, Vec<f32>) = (first, second);
        let bins = Bins::of(&mut first.clone()).expect("values");
        let binned = distance(&spread(&bins, &first), &spread(&bins, &second));
        prop_assert!((binned - of_samples(&first, &second)).abs() < 1e-12);
    }
}
