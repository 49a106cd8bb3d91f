//! The order of an earlier run, followed once more.
//!
//! After a crash the records since the checkpoint are read again in the order in which they were
//! read then, batch by batch, since scores made in that order have already been sent. Pure: it is
//! told where each partition stands and says what is next; it reads nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::checkpoint::order::{BatchOrder, Stretch};

/// How long a partition of the script may not be ours before its part is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read one record of the partition in this place.
    Read(usize),
    /// A partition that is next is not ours yet.
    Wait,
    /// The batch ends here; the script goes on.
    BatchEnd,
    /// The batch ends here, and so does the script.
    End,
}

/// The batches that are still to be followed.
#[derive(Debug, Default)]
pub struct Script {
    batches: VecDeque<VecDeque<Stretch>>,
    waiting_since: Option<Instant>,
}

impl Script {
    /// The order of these batches.
    #[must_use]
    pub fn new(batches: Vec<BatchOrder>) -> Script {
        let batches = batches.into_iter().map(VecDeque::from).collect();
        Script { batches, waiting_since: None }
    }

    /// Whether there is nothing more to follow.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.batches.is_empty()
    }

    /// What is next, when `place` says where a partition is, and `next` what it would read.
    pub fn step(
        &mut self,
        place: impl Fn(&str, i32) -> Option<usize>,
        next: impl Fn(usize) -> i64,
        now: Instant,
    ) -> Step {
        let Some(batch) = self.batches.front_mut() else { return Step::End };
        while let Some(stretch) = batch.front() {
            match place(&stretch.topic, stretch.partition) {
                Some(rank) if next(rank) < stretch.next => {
                    self.waiting_since = None;
                    return Step::Read(rank);
                }
                None if stretch.first < stretch.next => {
                    if now.duration_since(*self.waiting_since.get_or_insert(now)) < PATIENCE {
                        return Step::Wait;
                    }
                    tracing::warn!(
                        topic = &*stretch.topic,
                        partition = stretch.partition,
                        "a partition of the order log is not ours any more; its part is given up"
                    );
                    batch.pop_front();
                }
                _ => {
                    batch.pop_front();
                }
            }
        }
        self.batches.pop_front();
        if self.batches.is_empty() { Step::End } else { Step::BatchEnd }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(partition: i32, first: i64, next: i64) -> Stretch {
        Stretch { topic: "events".into(), partition, first, next }
    }

    #[test]
    fn batches_are_followed_record_by_record() {
        let batches = vec![
            vec![stretch(0, 5, 5), stretch(1, 0, 2), stretch(0, 5, 6), stretch(1, 2, 3)],
            vec![stretch(0, 6, 7)],
        ];
        let mut script = Script::new(batches);
        let mut next = [5, 0];
        let mut order = Vec::new();
        let now = Instant::now();
        while !script.is_done() {
            let place = |_: &str, partition: i32| Some(partition as usize);
            match script.step(place, |rank| next[rank], now) {
                Step::Read(rank) => {
                    next[rank] += 1;
                    order.push(rank.to_string());
                }
                other => order.push(format!("{other:?}")),
            }
        }
        assert_eq!(order, ["1", "1", "0", "1", "BatchEnd", "0", "End"]);
        assert_eq!(next, [7, 3]);
    }

    #[test]
    fn a_partition_that_never_comes_is_given_up() {
        let mut script = Script::new(vec![vec![stretch(0, 0, 1), stretch(1, 0, 1)]]);
        let place = |_: &str, partition: i32| (partition == 1).then_some(0);
        let now = Instant::now();
        assert_eq!(script.step(place, |_| 0, now), Step::Wait);
        assert_eq!(script.step(place, |_| 0, now + PATIENCE), Step::Read(0));
        assert_eq!(script.step(place, |_| 1, now + PATIENCE), Step::End);
    }
}
