//! The thread that writes checkpoints, so that scoring goes on meanwhile.
//!
//! It gets the copy of the state from compute, waits until emit says that every score before the
//! cut has been delivered, adds the manifest, writes the file and removes what is no longer kept.
//! A checkpoint is good only when all of that has happened; until then the one before it counts.
//!
//! A [breaker](crate::breaker) stands before the store: one that fails again and again is not sent
//! the whole state at every cut. Only the last checkpoint of a run does not ask it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::format::Sections;
use super::manifest::{self, Manifest};
use super::order::place::OrderPlace;
use super::retain::{Held, Retention};
use super::store::Store;
use super::{file_name, sequence_of};
use crate::backoff::{Backoff, Jitter};
use crate::breaker::{Breaker, State};
use crate::emit::Positions;
use crate::error::Error;
use crate::fail::fail_point;
use crate::watchdog::{Doing, Heart};

/// A copy of the state at a cut.
#[derive(Debug)]
pub struct Snapshot {
    /// The sections, without the manifest.
    pub sections: Sections,
    /// The manifest, without the positions of the sinks.
    pub manifest: Manifest,
}

/// Emit's word that every score before a cut has been delivered.
#[derive(Debug)]
pub struct Delivery {
    /// The cut.
    pub sequence: u64,
    /// Where the sinks stood then.
    pub positions: Positions,
}

/// What the writer has achieved, for everyone to read.
#[derive(Debug, Default)]
pub struct Progress {
    /// The newest good checkpoint.
    pub good: AtomicU64,
    /// Checkpoints that could not be written.
    pub failed: AtomicU64,
}

impl Progress {
    /// The newest good checkpoint.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.good.load(Ordering::Acquire)
    }
}

/// Writes snapshots into a store.
pub struct Writing {
    store: Box<dyn Store>,
    orders: Option<Arc<dyn OrderPlace>>,
    retention: Retention,
    progress: Arc<Progress>,
    breaker: Option<Breaker>,
    heart: Heart,
}

/// The ends of the channels to the writer's thread.
pub struct Writer {
    /// For compute.
    pub snapshots: Sender<Snapshot>,
    /// Buffers that are free again; one that is out keeps compute from the next cut.
    pub free: Receiver<Sections>,
    /// For emit.
    pub deliveries: Sender<Delivery>,
    /// What has been achieved.
    pub progress: Arc<Progress>,
    /// The thread; it ends when both senders are gone, or with [`Error::Replaced`].
    pub thread: JoinHandle<Result<Writing, Error>>,
}

/// So many checkpoints in a row fail before some are passed over.
const FAILURES_MAX: u32 = 3;
/// The longest wait before the store is tried again, in times between two checkpoints.
const CUTS_MAX: u32 = 10;

/// The breaker before a store that gets a checkpoint each `every_ms` milliseconds.
#[must_use]
pub fn breaker(every_ms: i64, jitter: Jitter) -> Breaker {
    let every = Duration::from_millis(every_ms.unsigned_abs());
    let backoff = Backoff::new(every, every.saturating_mul(CUTS_MAX));
    Breaker::new("checkpoints", FAILURES_MAX, backoff, jitter)
}

impl Writing {
    /// Writes into `store`; order logs lie in `orders`.
    #[must_use]
    pub fn new(
        store: Box<dyn Store>,
        orders: Option<Arc<dyn OrderPlace>>,
        retention: Retention,
        good: u64,
    ) -> Writing {
        let progress = Arc::new(Progress::default());
        progress.good.store(good, Ordering::Relaxed);
        Writing { store, orders, retention, progress, breaker: None, heart: Heart::default() }
    }

    /// Shows by this heart what it does.
    #[must_use]
    pub fn watched_by(self, heart: &Heart) -> Writing {
        Writing { heart: heart.clone(), ..self }
    }

    /// Passes checkpoints over while this breaker is open.
    #[must_use]
    pub fn guarded_by(self, breaker: Breaker) -> Writing {
        Writing { breaker: Some(breaker), ..self }
    }

    /// Starts the thread; it raises `stop` when another engine has taken the place.
    #[must_use]
    pub fn start(mut self, stop: &Arc<AtomicBool>) -> Writer {
        let (snapshots, to_write) = bounded::<Snapshot>(1);
        let (home, free) = bounded(1);
        let (deliveries, delivered) = bounded::<Delivery>(4);
        home.send(Sections::default()).expect("the channel has room for one");
        let (progress, stop) = (Arc::clone(&self.progress), Arc::clone(stop));
        let thread = std::thread::Builder::new().name("pelton-checkpoint".to_owned());
        let work = move || {
            for snapshot in to_write {
                let sequence = snapshot.manifest.sequence;
                self.heart.is(Doing::WaitsForDelivery);
                // A delivery of an earlier cut belongs to a snapshot that was never sent.
                let Some(delivery) = delivered.iter().find(|d| d.sequence == sequence) else {
                    break;
                };
                let written = self.write_or_count(snapshot, delivery.positions, &Instant::now);
                self.heart.is(Doing::Rests);
                let sections = written.inspect_err(|error| {
                    tracing::error!(sequence, %error, "the run ends");
                    stop.store(true, Ordering::Relaxed);
                })?;
                if home.send(sections).is_err() {
                    break;
                }
            }
            Ok(self)
        };
        let thread = thread.spawn(work).expect("the system can start a thread");
        Writer { snapshots, free, deliveries, progress, thread }
    }

    /// Writes a checkpoint; one that cannot be written, or is passed over since the breaker is
    /// open by `clock`, is counted. Returns the buffer.
    ///
    /// # Errors
    /// [`Error::Replaced`]: there will be no checkpoint here any more.
    pub fn write_or_count(
        &mut self,
        mut snapshot: Snapshot,
        positions: Positions,
        clock: &dyn Fn() -> Instant,
    ) -> Result<Sections, Error> {
        let sequence = snapshot.manifest.sequence;
        if self.breaker.as_mut().is_some_and(|breaker| !breaker.allows(clock())) {
            metrics::counter!("pelton_checkpoints_passed_over_total").increment(1);
            tracing::debug!(sequence, "a checkpoint is passed over: its place is away");
            snapshot.sections.clear();
            return Ok(snapshot.sections);
        }
        let (sections, written) = self.write(snapshot, positions);
        match written {
            Ok(()) => self.breaker.iter_mut().for_each(Breaker::succeeded),
            Err(error @ Error::Replaced { .. }) => return Err(error),
            Err(error) => {
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("pelton_checkpoint_failures_total").increment(1);
                self.breaker.iter_mut().for_each(|breaker| breaker.failed(clock()));
                let breaker = self.breaker.as_ref();
                let is_open = breaker.is_some_and(|breaker| breaker.state() == State::Open);
                tracing::error!(sequence, place = self.store.place(), is_open,
                    error = %error.chain(),
                    "a checkpoint could not be written; scoring goes on, and it is tried again");
            }
        }
        Ok(sections)
    }

    /// Writes a checkpoint and removes what is no longer kept.
    ///
    /// # Errors
    /// As [`Store::put`]; nothing has changed then.
    pub fn write(
        &self,
        mut snapshot: Snapshot,
        positions: Positions,
    ) -> (Sections, Result<(), Error>) {
        self.heart.begins(0);
        let waits = self.store.is_remote().then(|| self.heart.meanwhile(Doing::WaitsForStore));
        let started = Instant::now();
        [snapshot.manifest.scores, snapshot.manifest.dead_letters] = positions;
        let sequence = snapshot.manifest.sequence;
        let mut sections = snapshot.sections;
        let add = sections.add(manifest::SECTION, |out| {
            serde_json::to_writer(out, &snapshot.manifest).map_err(std::io::Error::from)
        });
        let put = add
            .and_then(|()| fail_point("checkpoint::before"))
            .map_err(Error::file("write", self.store.place()))
            .and_then(|()| {
                self.store.put(&file_name(sequence), &[&sections.header(), sections.body()])
            });
        if put.is_ok() {
            let (bytes, seconds) = (sections.body().len(), started.elapsed().as_secs_f64());
            self.progress.good.store(sequence, Ordering::Release);
            metrics::counter!("pelton_checkpoints_total").increment(1);
            metrics::gauge!("pelton_checkpoint_sequence").set(sequence as f64);
            metrics::gauge!("pelton_checkpoint_bytes").set(bytes as f64);
            metrics::histogram!("pelton_checkpoint_write_seconds").record(seconds);
            let taken_s = snapshot.manifest.taken_ms as f64 / 1000.0;
            metrics::gauge!("pelton_checkpoint_taken_seconds").set(taken_s);
            tracing::debug!(sequence, bytes, seconds, "checkpoint written");
            self.remove_expired(sequence, snapshot.manifest.taken_ms);
        }
        sections.clear();
        drop(waits);
        self.heart.is(Doing::Rests);
        (sections, put)
    }

    /// What has been achieved.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// A file that cannot be removed stays, and is tried again the next time.
    fn remove_expired(&self, good: u64, now_ms: i64) {
        let Ok(files) = self.store.list() else { return };
        let held: Vec<Held> = files
            .iter()
            .filter_map(|file| {
                let written_ms = file.written_ms;
                sequence_of(&file.name).map(|sequence| Held { sequence, written_ms })
            })
            .collect();
        let expired = self.retention.expired(&held, good, now_ms);
        for &sequence in &expired {
            if let Err(error) = self.store.delete(&file_name(sequence)) {
                tracing::warn!(sequence, error = %error.chain(), "an old checkpoint stays");
            }
        }
        let oldest = held.iter().map(|h| h.sequence).filter(|s| !expired.contains(s)).min();
        self.remove_orders_before(oldest.unwrap_or(good));
    }

    /// An order log is needed as long as a checkpoint at or before its beginning is kept.
    fn remove_orders_before(&self, oldest: u64) {
        let Some(orders) = &self.orders else { return };
        for sequence in orders.list().into_iter().flatten().filter(|&sequence| sequence < oldest) {
            if let Err(error) = orders.remove(sequence) {
                tracing::warn!(sequence, error = %error.chain(), "an old order log stays");
            }
        }
    }
}

#[cfg(test)]
mod tests;
