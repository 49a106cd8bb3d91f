//! Whose turn it is: several partitions as one stream, ordered by time while any is behind.
//!
//! Among the partitions that have a record at hand, the one with the smallest time is next. A
//! partition without a record holds the others back only while it is known to have more (it is
//! behind its end); one that has reached its end never does. So a backlog is read in the same
//! order however fast each partition comes in, and live traffic is never delayed. At equal times
//! the partition of lower rank is first: ranks put labels before events.
//!
//! Pure: it is told what each partition has and decides; it reads nothing and knows no clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a partition has to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// A record of this time.
    Ready(i64),
    /// Nothing at hand, and more is known to follow.
    Behind,
    /// Nothing at hand, and nothing is known to follow.
    AtEnd,
}

/// The order of the partitions, named by their ranks `0..count`.
#[derive(Debug, Default)]
pub struct Merge {
    stands: Vec<Stand>,
    ready: BinaryHeap<Reverse<(i64, usize)>>,
    behind: usize,
}

impl Merge {
    /// `count` partitions, of which nothing is known: all are behind.
    #[must_use]
    pub fn new(count: usize) -> Merge {
        Merge { stands: vec![Stand::Behind; count], ready: BinaryHeap::new(), behind: count }
    }

    /// What was last said of a partition.
    #[must_use]
    pub fn stand(&self, rank: usize) -> Stand {
        self.stands[rank]
    }

    /// Says what a partition has. One that is ready stays so until [`Merge::take`] names it.
    pub fn tell(&mut self, rank: usize, stand: Stand) {
        let before = std::mem::replace(&mut self.stands[rank], stand);
        assert!(!matches!(before, Stand::Ready(_)), "a partition that is ready waits for its turn");
        self.behind -= usize::from(before == Stand::Behind);
        self.behind += usize::from(stand == Stand::Behind);
        if let Stand::Ready(time) = stand {
            self.ready.push(Reverse((time, rank)));
        }
    }

    /// Takes the partition whose record is next; its stand must be told again. `None` while nothing
    /// is ready, or a partition that is behind may still have something earlier.
    pub fn take(&mut self) -> Option<usize> {
        if self.behind > 0 {
            return None;
        }
        let Reverse((_, rank)) = self.ready.pop()?;
        self.stands[rank] = Stand::AtEnd;
        Some(rank)
    }

    /// Whether no partition but the one just taken has or awaits anything, so that its records need
    /// no times to find their place.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.ready.is_empty() && self.behind == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads partitions that are replenished in the order `fills`, as far as it goes.
    fn replay(partitions: &[Vec<i64>], fills: &[usize]) -> Vec<(i64, usize)> {
        let mut merge = Merge::new(partitions.len());
        let mut given = vec![0; partitions.len()];
        let mut read = vec![0; partitions.len()];
        let mut order = Vec::new();
        let stand = |rank: usize, read: &[usize], given: &[usize]| {
            let all: &[i64] = &partitions[rank];
            match read[rank] {
                at if at < given[rank] => Stand::Ready(all[at]),
                at if at < all.len() => Stand::Behind,
                _ => Stand::AtEnd,
            }
        };
        for &fill in fills.iter().chain(&[usize::MAX]) {
            for (rank, all) in partitions.iter().enumerate() {
                let more = if fill == usize::MAX { all.len() } else { usize::from(rank == fill) };
                given[rank] = (given[rank] + more).min(all.len());
                if !matches!(merge.stand(rank), Stand::Ready(_)) {
                    merge.tell(rank, stand(rank, &read, &given));
                }
            }
            while let Some(rank) = merge.take() {
                order.push((partitions[rank][read[rank]], rank));
                read[rank] += 1;
                merge.tell(rank, stand(rank, &read, &given));
            }
        }
        order
    }

    proptest! {
        #[test]
        fn a_backlog_has_one_order_whatever_arrives_first(
            partitions in prop::collection::vec(prop::collection::vec(0_i64..20, 0..12), 1..5),
            fills in prop::collection::vec(0_usize..5, 0..60),
        ) {
            let order = replay(&partitions, &fills);
            prop_assert_eq!(&order, &replay(&partitions, &[]));
            prop_assert_eq!(order.len(), partitions.iter().map(Vec::len).sum::<usize>());
        }

        #[test]
        fn sorted_partitions_come_out_sorted_and_ties_by_rank(
            mut partitions in prop::collection::vec(prop::collection::vec(0_i64..20, 0..12), 1..5),
        ) {
            partitions.iter_mut().for_each(|p| p.sort_unstable());
            let order = replay(&partitions, &[]);
            prop_assert!(order.is_sorted());
        }
    }

    #[test]
    fn a_partition_at_its_end_holds_nobody_back() {
        let mut merge = Merge::new(2);
        merge.tell(0, Stand::Ready(7));
        assert_eq!(merge.take(), None, "partition 1 may have something earlier");
        merge.tell(1, Stand::AtEnd);
        assert_eq!(merge.take(), Some(0));
        assert!(merge.is_alone());
    }
}
