//! What a running engine shows to whoever watches: progress bars and the live view.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pipeline::Pipeline;
use crate::ring::Slot;
use crate::watchdog::heart::Register;

/// Counters that are read while the engine runs; each is written by the threads of one
/// stage.
#[derive(Debug, Default)]
pub struct Live {
    consumed: AtomicU64,
    scored: AtomicU64,
    dead_letters: AtomicU64,
    emitted: AtomicU64,
    views: Mutex<BTreeMap<Option<i32>, View>>,
    stages: Register,
}

/// What is refreshed once a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Labels learned.
    pub learned: u64,
    /// Events that wait for their label.
    pub pending: u64,
    /// Newest event time, milliseconds since the epoch.
    pub watermark_ms: i64,
    /// Metrics over the trailing window.
    pub trailing: Vec<(&'static str, f64)>,
}

impl Live {
    /// A batch has been through the stages.
    pub fn add_batch(&self, slot: &Slot) {
        self.consumed.fetch_add(slot.consumed, Ordering::Relaxed);
        self.scored.fetch_add(slot.rows as u64, Ordering::Relaxed);
        self.dead_letters.fetch_add(slot.rejects.len() as u64, Ordering::Relaxed);
    }

    /// Scores have been handed to the sink.
    pub fn add_emitted(&self, rows: u64) {
        self.emitted.fetch_add(rows, Ordering::Relaxed);
    }

    /// Refreshes the view of a partition's pipeline, or of the only one.
    pub fn show(&self, partition: Option<i32>, pipeline: &Pipeline) {
        let view = View {
            learned: pipeline.learner().counts().learned,
            pending: pipeline.join().pending().len() as u64,
            watermark_ms: pipeline.join().watermark_ms(),
            trailing: pipeline.learner().evaluator().trailing(),
        };
        let mut views = self.views.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        views.insert(partition, view);
    }

    /// Event records read so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Events scored so far.
    #[must_use]
    pub fn scored(&self) -> u64 {
        self.scored.load(Ordering::Relaxed)
    }

    /// Records dead-lettered so far.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Relaxed)
    }

    /// Scores handed to the sink so far.
    #[must_use]
    pub fn emitted(&self) -> u64 {
        self.emitted.load(Ordering::Relaxed)
    }

    /// Where the stages of runs say that they are there, for the watchdog.
    #[must_use]
    pub fn stages(&self) -> &Register {
        &self.stages
    }

    /// A partition's pipeline is not here any more.
    pub fn forget(&self, partition: i32) {
        let mut views = self.views.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        views.remove(&Some(partition));
    }

    /// The view as of the last second; of several pipelines the sums, the newest time, and the
    /// trailing metrics of the first, since those of two models have no sum.
    #[must_use]
    pub fn view(&self) -> View {
        let views = self.views.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut views = views.values();
        let mut all = views.next().cloned().unwrap_or_default();
        for view in views {
            all.learned += view.learned;
            all.pending += view.pending;
            all.watermark_ms = all.watermark_ms.max(view.watermark_ms);
        }
        all
    }
}
