//! Compute's side of a checkpoint: when it is due, and the copy of the state.
//!
//! Before a batch is sent out its reading order goes to the order log; after it, when a checkpoint
//! is due and the writer has its buffer back, the state is copied and the batch is marked, so that
//! emit reports when everything up to it has been delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender};

use super::format::Sections;
use super::manifest::{Manifest, ReadPosition};
use super::order::OrderLog;
use super::order::place::OrderPlace;
use super::writer::Snapshot;
use crate::error::Error;
use crate::metrics::Totals;
use crate::pipeline::{Pipeline, SECTIONS};
use crate::ring::{Lead, Slot, Span};

/// What compute needs for checkpoints.
pub struct Cutter {
    every: Duration,
    taken_at: Instant,
    /// Number of the cut last taken.
    sequence: u64,
    settings: BTreeMap<String, String>,
    challengers: String,
    positions: BTreeMap<(Arc<str>, i32), i64>,
    order: Order,
    /// Whether the source is still led through an earlier run's order: a cut in the middle of it
    /// would forget the rest.
    is_led: bool,
}

/// The order log, if there is one.
struct Order {
    place: Option<Arc<dyn OrderPlace>>,
    sync: bool,
    log: Option<OrderLog>,
}

/// The place of the order logs, whether each entry is synced, and the log to go on with.
pub type Orders = (Option<Arc<dyn OrderPlace>>, bool, Option<OrderLog>);

impl Cutter {
    /// Goes on behind the checkpoint of `manifest`, with its order log; `last` is the highest
    /// number in use. `is_led` says whether the log has anything to lead the source through. The
    /// first checkpoint is due when its time has passed after `now`.
    #[must_use]
    pub fn new(
        manifest: &Manifest,
        last: u64,
        every_ms: i64,
        (place, sync, log): Orders,
        is_led: bool,
        now: Instant,
    ) -> Cutter {
        let positions = manifest.positions.iter();
        Cutter {
            every: Duration::from_millis(every_ms.unsigned_abs()),
            taken_at: now,
            sequence: last,
            settings: manifest.settings.clone(),
            challengers: manifest.challengers.clone(),
            positions: positions
                .map(|p| ((p.topic.as_str().into(), p.partition), p.next))
                .collect(),
            order: Order { place, sync, log },
            is_led,
        }
    }

    /// Notes what a batch was read from; to be called before anything of it goes out.
    pub fn note(&mut self, slot: &Slot) {
        for Span { topic, partition, next } in &slot.spans {
            self.positions.insert((Arc::clone(topic), *partition), *next);
        }
        self.is_led = slot.lead == Lead::Led;
        if slot.lead == Lead::Free && !slot.runs.is_empty() {
            self.order.append(slot);
        }
    }

    /// Takes a checkpoint behind this batch if one is due and the writer has a buffer free.
    ///
    /// # Errors
    /// [`Error::State`] for a bug only: memory takes everything.
    pub fn cut_when_due(
        &mut self,
        slot: &mut Slot,
        (pipeline, totals): (&Pipeline, &Totals),
        (free, snapshots): (&Receiver<Sections>, &Sender<Snapshot>),
        now: Instant,
    ) -> Result<(), Error> {
        if self.is_led || now.saturating_duration_since(self.taken_at) < self.every {
            return Ok(());
        }
        let Ok(sections) = free.try_recv() else { return Ok(()) };
        let snapshot = self.snapshot(sections, pipeline, totals)?;
        self.taken_at = now;
        slot.checkpoint = Some(snapshot.manifest.sequence);
        // The writer is gone only when the run is ending; its thread tells why.
        let _ = snapshots.send(snapshot);
        Ok(())
    }

    /// Takes a last checkpoint when the stream was drained; none while the source is being led.
    ///
    /// # Errors
    /// As [`Cutter::cut_when_due`].
    pub fn last(
        &mut self,
        pipeline: &Pipeline,
        totals: &Totals,
    ) -> Result<Option<Snapshot>, Error> {
        if self.is_led {
            return Ok(None);
        }
        let mut last = self.snapshot(Sections::default(), pipeline, totals)?;
        last.manifest.is_last = true;
        Ok(Some(last))
    }

    fn snapshot(
        &mut self,
        mut sections: Sections,
        pipeline: &Pipeline,
        totals: &Totals,
    ) -> Result<Snapshot, Error> {
        let started = Instant::now();
        self.sequence += 1;
        for section in SECTIONS {
            sections
                .add(section, |out| pipeline.write_section(section, out))
                .map_err(|source| Error::State { section: section.to_owned(), source })?;
        }
        sections
            .add(TOTALS, |out| totals.write_state(out))
            .map_err(|source| Error::State { section: TOTALS.to_owned(), source })?;
        self.order.begin(self.sequence, &self.positions);
        metrics::histogram!("pelton_checkpoint_copy_seconds")
            .record(started.elapsed().as_secs_f64());
        Ok(Snapshot { sections, manifest: self.manifest(pipeline, totals) })
    }

    fn manifest(&self, pipeline: &Pipeline, totals: &Totals) -> Manifest {
        let position = |((topic, partition), next): (&(Arc<str>, i32), &i64)| ReadPosition {
            topic: topic.to_string(),
            partition: *partition,
            next: *next,
        };
        Manifest {
            sequence: self.sequence,
            taken_ms: now_ms(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            settings: self.settings.clone(),
            challengers: self.challengers.clone(),
            is_last: false,
            consumed: totals.consumed,
            watermark_ms: pipeline.join().watermark_ms(),
            positions: self.positions.iter().map(position).collect(),
            scores: None,
            dead_letters: None,
        }
    }
}

/// The section of what went in and what became of it.
pub const TOTALS: &str = "totals";

impl Order {
    /// On a full disk scoring goes on without a log until the next checkpoint, which begins a new
    /// one; a crash before that may score again, in another order, what has already been sent.
    fn append(&mut self, slot: &Slot) {
        let Some(log) = &mut self.log else { return };
        if let Err(error) = log.append(&slot.spans, &slot.runs) {
            self.lose(&error);
        }
    }

    /// A new log for what follows a cut.
    fn begin(&mut self, sequence: u64, positions: &BTreeMap<(Arc<str>, i32), i64>) {
        let Some(place) = &self.place else { return };
        let span = |((topic, partition), next): (&(Arc<str>, i32), &i64)| Span {
            topic: Arc::clone(topic),
            partition: *partition,
            next: *next,
        };
        let positions: Vec<Span> = positions.iter().map(span).collect();
        match OrderLog::begin(place.as_ref(), sequence, self.sync, &positions) {
            Ok(log) => {
                self.log = Some(log);
                metrics::gauge!("pelton_order_log_up").set(1.0);
            }
            Err(error) => self.lose(&error),
        }
    }

    fn lose(&mut self, error: &Error) {
        self.log = None;
        metrics::gauge!("pelton_order_log_up").set(0.0);
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%error, cause, "the order log is lost until the next checkpoint");
    }
}

/// The wall clock, milliseconds since the epoch: for the eye and for retention, never for state.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
