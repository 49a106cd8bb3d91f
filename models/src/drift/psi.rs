//! The population stability index: how far the shares of two histograms are apart.
//!
//! # Formula
//! `sum over bins of (q - p) ln(q / p)`, the symmetric divergence of Jeffreys (1946) that credit
//! scoring calls so (Siddiqi, "Credit Risk Scorecards", 2006): below .1 nothing has happened, from
//! .25 on the population is another. Half a value is added to each bin, so that an empty one is no
//! infinity: `p = (count + 1/2) / (sum + bins / 2)` (Krichevsky and Trofimov, 1981).
//!
//! Of two samples of `n` and `m` values of the same population it is about
//! `(bins - 1) (1 / n + 1 / m)`, by chance (Yurdakul, 2018).

use pelton_kernels::math::ln;

/// The index of two histograms over the same bins.
///
/// # Shapes
/// `reference, current: [bins]`; counts, which may be parts of one.
#[must_use]
pub fn index(reference: &[f64], current: &[f64]) -> f64 {
    let half = reference.len() as f64 / 2.0;
    let of = |counts: &[f64]| counts.iter().sum::<f64>() + half;
    let (reference_sum, current_sum) = (of(reference), of(current));
    reference.iter().zip(current).fold(0.0, |sum, (before, now)| {
        let (p, q) = ((before + 0.5) / reference_sum, (now + 0.5) / current_sum);
        sum + (q - p) * ln(q / p)
    })
}

#[cfg(test)]
mod tests {
    use pelton_kernels::cases::Draw;

    use super::*;
    use crate::drift::Bins;

    #[test]
    fn small_cases_by_hand() {
        assert_eq!(index(&[], &[]), 0.0);
        assert_eq!(index(&[3.0, 5.0, 2.0], &[3.0, 5.0, 2.0]), 0.0);
        // 1.5/4 against 2.5/4, both ways.
        let wanted = 2.0 * (1.0 / 4.0) * (2.5_f64 / 1.5).ln();
        assert!((index(&[1.0, 2.0], &[2.0, 1.0]) - wanted).abs() < 1e-15);
        // Nothing in a bin: .5/5 against 4.5/5.
        let wanted = 2.0 * 0.8 * 9.0_f64.ln();
        assert!((index(&[0.0, 4.0], &[4.0, 0.0]) - wanted).abs() < 1e-14);
        let uneven = (2.5_f64 / 11.5 - 0.5 / 5.5) * ((2.5_f64 / 11.5) / (0.5 / 5.5)).ln()
            + (4.5_f64 / 11.5 - 2.5 / 5.5) * ((4.5_f64 / 11.5) / (2.5 / 5.5)).ln()
            + (4.5_f64 / 11.5 - 2.5 / 5.5) * ((4.5_f64 / 11.5) / (2.5 / 5.5)).ln();
        assert!((index(&[0.0, 2.0, 2.0], &[2.0, 4.0, 4.0]) - uneven).abs() < 1e-15);
    }

    #[test]
    fn it_is_symmetric_and_grows_with_the_shift() {
        let mut draw = Draw::new(3);
        let mut sample = |shift: f32| -> Vec<f32> {
            (0..4000).map(|_| (0..12).map(|_| draw.unit()).sum::<f32>() - 6.0 + shift).collect()
        };
        let bins = Bins::of(&mut sample(0.0)).expect("values");
        let spread = |values: &[f32]| {
            let mut counts = vec![0.0; bins.len()];
            values.iter().for_each(|value| counts[bins.bin(*value)] += 1.0);
            bins.grouped(&counts)
        };
        let reference: Vec<f64> = bins.counts().iter().map(|count| *count as f64).collect();
        let reference = bins.grouped(&reference);
        // Of normal populations that differ by a shift it is the square of it, without bins.
        for (shift, least, most) in [(0.0, 0.0, 0.02), (0.5, 0.2, 0.27), (1.0, 0.75, 1.1)] {
            let current = spread(&sample(shift));
            let found = index(&reference, &current);
            assert!((least..most).contains(&found), "{shift}: {found}");
            assert!((found - index(&current, &reference)).abs() < 1e-12);
        }
    }
}
