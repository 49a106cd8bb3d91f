//! Sorts judged scores: a radix sort over the bits of non-negative floats.
//!
//! The bits of non-negative floats order as the floats do, so a score in `0..=1` sorts as an
//! integer below 2^30; bit 31, the float's sign, is free and carries the label. Three stable passes
//! of ten bits each read and write every row once: about a tenth of a comparison sort's time on
//! millions of rows. Invariant: the order depends on the multiset of rows only, apart from rows of
//! equal score, which keep their order of arrival. It does not sort floats above 1 or below 0.

/// Bit 31 of a row: set when the label is positive.
pub(super) const LABEL_BIT: u32 = 1 << 31;

const DIGIT_BITS: u32 = 10;
const DIGITS: usize = 3;
const BUCKETS: usize = 1 << DIGIT_BITS;

/// A judged score with its label in the sign bit.
#[inline]
pub(super) fn pack(score: f32, is_positive: bool) -> u32 {
    debug_assert!((0.0..=1.0).contains(&score));
    score.to_bits() | (u32::from(is_positive) << 31)
}

/// The rows in ascending order of their scores, labels ignored.
pub(super) fn sort_rows(rows: &[u32]) -> Vec<u32> {
    let mut counts = [[0usize; BUCKETS]; DIGITS];
    for &row in rows {
        for (digit, count) in counts.iter_mut().enumerate() {
            count[bucket(row, digit)] += 1;
        }
    }
    let mut from = rows.to_vec();
    let mut to = vec![0u32; rows.len()];
    for (digit, count) in counts.iter_mut().enumerate() {
        if count.contains(&rows.len()) {
            continue;
        }
        let mut start = 0;
        for slot in count.iter_mut() {
            start += std::mem::replace(slot, start);
        }
        for &row in &from {
            let slot = &mut count[bucket(row, digit)];
            to[*slot] = row;
            *slot += 1;
        }
        std::mem::swap(&mut from, &mut to);
    }
    from
}

#[inline]
fn bucket(row: u32, digit: usize) -> usize {
    (row >> (digit as u32 * DIGIT_BITS)) as usize & (BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_as_a_comparison_sort_does(
            given in prop::collection::vec((0.0f32..=1.0, any::<bool>()), 0..300)
        ) {
            let mut rows: Vec<u32> = given.iter().map(|&(s, l)| pack(s, l)).collect();
            rows.extend([pack(0.0, true), pack(1.0, false), pack(1.0, true), pack(1e-45, false)]);
            let sorted = sort_rows(&rows);
            rows.sort_by_key(|row| row & !LABEL_BIT);
            prop_assert_eq!(sorted, rows);
        }
    }
}
