//! The order logs from a checkpoint on, one behind the other.
//!
//! A log begins where the one before it ended, whether or not the checkpoint between them is whole.
//! A disk that was full, or a machine that died, may have kept the one without the end of the
//! other: then the order ends where they do not meet. Invariant: following the order from the
//! checkpoint on, no record is passed over.

use std::collections::HashMap;
use std::sync::Arc;

use super::place::OrderPlace;
use super::{BatchOrder, Lane, OrderLog, Stretch, read};
use crate::checkpoint::manifest::Manifest;
use crate::error::Error;
use crate::ring::Span;

/// What the order logs say.
pub struct Found {
    /// The order of the batches behind the checkpoint.
    pub script: Vec<BatchOrder>,
    /// The log to go on with.
    pub log: Option<OrderLog>,
    /// The highest number of a log.
    pub last: u64,
    /// Whether the checkpoint is the last of a run that has sent all it had, and no run has gone on
    /// from it.
    pub is_drained: bool,
}

impl Found {
    /// There are no logs.
    #[must_use]
    pub fn nothing(manifest: &Manifest) -> Found {
        Found { script: Vec::new(), log: None, last: manifest.sequence, is_drained: false }
    }
}

/// An empty log behind the empty state; logs without any checkpoint belong to nothing.
///
/// # Errors
/// As [`OrderPlace::create`].
pub fn first_order(
    orders: &dyn OrderPlace,
    manifest: &Manifest,
    sync: bool,
) -> Result<Found, Error> {
    for sequence in orders.list()? {
        orders.remove(sequence)?;
    }
    let log = OrderLog::begin(orders, manifest.sequence, sync, &manifest.spans())?;
    Ok(Found { log: Some(log), ..Found::nothing(manifest) })
}

/// The batches of the order logs from a checkpoint on, and the last log, to go on with.
///
/// # Errors
/// As [`OrderPlace::open`].
pub fn orders_from(
    orders: &dyn OrderPlace,
    manifest: &Manifest,
    sync: bool,
) -> Result<Found, Error> {
    let mut sequences = orders.list()?;
    sequences.retain(|&sequence| sequence >= manifest.sequence);
    sequences.sort_unstable();
    let last = sequences.pop().unwrap_or(manifest.sequence);
    let mut chain = Chain::new(&manifest.spans());
    for &sequence in &sequences {
        chain.add(read(orders, sequence)?);
    }
    let (mut log, batches) = OrderLog::reopen(orders, last, sync)?;
    let is_begun = !batches.is_empty();
    let only_begins = last == manifest.sequence && batches.len() == 1;
    chain.add(batches);
    let is_drained = manifest.is_last && only_begins && !chain.is_broken;
    let positions = chain.positions();
    let marked = match is_begun {
        // A log without a beginning may have lost its mark; one that has lost only entries has not.
        _ if is_drained || (manifest.is_last && !is_begun) => log.mark(&positions),
        false => log.append_positions(&positions),
        true => Ok(()),
    };
    let log = match marked {
        Ok(()) => Some(log),
        Err(error) => {
            tracing::error!(%error, "there is no order log until the next checkpoint");
            None
        }
    };
    if chain.is_broken {
        tracing::warn!(batches = chain.script.len(), "the order log has a gap; it ends there");
    }
    Ok(Found { script: chain.script, log, last, is_drained })
}

/// Logs that follow one another.
struct Chain {
    next: HashMap<Lane, i64>,
    script: Vec<BatchOrder>,
    is_broken: bool,
}

impl Chain {
    fn new(positions: &[Span]) -> Chain {
        let next = positions.iter().map(|s| ((Arc::clone(&s.topic), s.partition), s.next));
        Chain { next: next.collect(), script: Vec::new(), is_broken: false }
    }

    /// Adds a log, up to where it does not follow.
    fn add(&mut self, batches: Vec<BatchOrder>) {
        let mut batches = batches.into_iter();
        let Some(begin) = batches.next() else { return };
        let is_known = |s: &Stretch| self.next.get(&lane(s)) == Some(&s.first);
        self.is_broken |= !begin.iter().all(|s| s.first == s.next && is_known(s));
        for batch in batches {
            if self.is_broken {
                return;
            }
            // A partition that is new is read from wherever it was found.
            let mut whole = true;
            for stretch in &batch {
                let next = self.next.insert(lane(stretch), stretch.next);
                whole &= next.is_none_or(|next| next == stretch.first);
            }
            self.is_broken = !whole;
            if whole && !batch.is_empty() {
                self.script.push(batch);
            }
        }
    }

    fn positions(&self) -> Vec<Span> {
        let span = |((topic, partition), next): (&Lane, &i64)| Span {
            topic: Arc::clone(topic),
            partition: *partition,
            next: *next,
        };
        let mut positions: Vec<Span> = self.next.iter().map(span).collect();
        positions.sort_unstable_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        positions
    }
}

fn lane(stretch: &Stretch) -> Lane {
    (Arc::clone(&stretch.topic), stretch.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(partition: i32, first: i64, next: i64) -> Stretch {
        Stretch { topic: "events".into(), partition, first, next }
    }

    fn chain() -> Chain {
        Chain::new(&[Span { topic: "events".into(), partition: 0, next: 5 }])
    }

    #[test]
    fn logs_that_meet_are_one_order() {
        let mut chain = chain();
        chain.add(vec![vec![stretch(0, 5, 5)], vec![stretch(0, 5, 7), stretch(1, 3, 4)], vec![]]);
        chain.add(Vec::new());
        chain.add(vec![vec![stretch(0, 7, 7), stretch(1, 4, 4)], vec![stretch(1, 4, 5)]]);
        assert!(!chain.is_broken);
        assert_eq!(chain.script.len(), 2);
        let next: Vec<_> = chain.positions().iter().map(|span| span.next).collect();
        assert_eq!(next, [7, 5]);
    }

    #[test]
    fn a_partition_that_only_a_later_log_knows_was_not_read_from_there() {
        let mut chain = chain();
        chain.add(vec![vec![stretch(0, 5, 5)]]);
        chain.add(vec![vec![stretch(0, 5, 5), stretch(1, 4, 4)], vec![stretch(1, 4, 5)]]);
        assert!(chain.is_broken);
        assert!(chain.script.is_empty());
    }

    #[test]
    fn a_log_without_its_end_breaks_the_chain() {
        let mut chain = chain();
        chain.add(vec![vec![stretch(0, 5, 5)], vec![stretch(0, 5, 7)]]);
        chain.add(vec![vec![stretch(0, 9, 9)], vec![stretch(1, 0, 1)]]);
        assert_eq!((chain.is_broken, chain.script.len()), (true, 1));
    }
}
