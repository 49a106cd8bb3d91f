//! The threads of a run: ingest, compute, emit, and the slots that go round between them.
//!
//! Ingest polls and decodes; compute owns the [`Pipeline`] and all state; emit writes scores and
//! dead letters and sends the slot home. Bounded channels join them. When one of them fails, its
//! ends of the channels close, the others finish what they hold and follow, and the first error in
//! the order of the stages is the run's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;

use crate::batch::Batcher;
use crate::config::Config;
use crate::emit::Emit;
use crate::error::Error;
use crate::live::Live;
use crate::metrics::{Published, Totals};
use crate::pipeline::Pipeline;
use crate::ring::{Ring, Slot};
use crate::source::Source;

/// What a run leaves behind.
pub struct Outcome {
    /// The state at the end.
    pub pipeline: Pipeline,
    /// What went in and what became of it.
    pub totals: Totals,
    /// Nanoseconds from a record's arrival to its score handed over.
    pub latency_ns: Histogram<u64>,
    /// Time from start to end.
    pub wall: Duration,
}

/// Runs the engine until the source ends or `stop` is raised; then everything that was read is
/// scored, emitted and delivered before it returns.
///
/// # Errors
/// The first error, in the order of the stages.
pub fn run(
    config: &Config,
    source: Box<dyn Source>,
    stop: &Arc<AtomicBool>,
    live: &Arc<Live>,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let ring = Arc::new(Ring::new(&config.event.schema, config.batch.rows_max));
    let emit = Emit::open(config)?;
    let pipeline = Pipeline::new(config)?;
    let (to_compute, from_ingest) = bounded(1);
    let (to_emit, from_compute) = bounded(1);
    let batcher = Batcher::new(source, config.batch.linger_ms);
    let ended = Arc::new(AtomicBool::new(false));
    let ingest = {
        let (ring, stop, ended) = (Arc::clone(&ring), Arc::clone(stop), Arc::clone(&ended));
        spawn("ingest", move || ingest(batcher, &ring, [&stop, &ended], &to_compute))
    };
    let compute = {
        let (ring, live, guard) = (Arc::clone(&ring), Arc::clone(live), StopOnExit::new(stop));
        spawn("compute", move || {
            let _guard = guard;
            compute(pipeline, (&ring, &ended), &live, &from_ingest, &to_emit)
        })
    };
    let emit = {
        let (home, live, guard) = (ring.home(), Arc::clone(live), StopOnExit::new(stop));
        spawn("emit", move || {
            let _guard = guard;
            send_out(emit, &live, &from_compute, &home)
        })
    };
    let ingested = join("ingest", ingest);
    let computed = join("compute", compute);
    let emitted = join("emit", emit);
    let mut batcher = ingested?;
    let (pipeline, totals) = computed?;
    let latency_ns = emitted?;
    for slot in ring.drain() {
        batcher.acknowledge(&slot)?;
    }
    debug_assert!(totals.balances(), "{totals:?}");
    Ok(Outcome { pipeline, totals, latency_ns, wall: started.elapsed() })
}

/// Raised when a stage is gone, by whatever way: ingest must not wait for slots it took along.
struct StopOnExit(Arc<AtomicBool>);

impl StopOnExit {
    fn new(stop: &Arc<AtomicBool>) -> StopOnExit {
        StopOnExit(Arc::clone(stop))
    }
}

impl Drop for StopOnExit {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A closed channel downstream ends the thread without an error: the stage that closed it has one.
fn ingest(
    mut batcher: Batcher,
    ring: &Ring,
    [stop, ended]: [&AtomicBool; 2],
    to_compute: &Sender<Box<Slot>>,
) -> Result<Batcher, Error> {
    while let Some(mut slot) = ring.take_unless(stop) {
        if !batcher.next(&mut slot, stop)? {
            ring.put(slot);
            break;
        }
        if to_compute.send(slot).is_err() {
            break;
        }
    }
    ended.store(batcher.has_ended(), Ordering::Release);
    Ok(batcher)
}

const SHOW_EVERY: Duration = Duration::from_millis(250);
/// Longer waits count as this one: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

fn compute(
    mut pipeline: Pipeline,
    (ring, ended): (&Ring, &AtomicBool),
    live: &Live,
    from_ingest: &Receiver<Box<Slot>>,
    to_emit: &Sender<Box<Slot>>,
) -> Result<(Pipeline, Totals), Error> {
    let published = Published::default();
    let mut totals = Totals::default();
    let mut shown_at = Instant::now();
    for mut slot in from_ingest {
        pipeline.step(&mut slot)?;
        totals.add(&slot);
        live.add_batch(&slot);
        if to_emit.send(slot).is_err() {
            return Ok((pipeline, totals));
        }
        if shown_at.elapsed() >= SHOW_EVERY {
            shown_at = Instant::now();
            published.show(&totals, &pipeline, ring);
            live.show(&pipeline);
        }
    }
    if ended.load(Ordering::Acquire) {
        pipeline.finish()?;
    }
    published.show(&totals, &pipeline, ring);
    live.show(&pipeline);
    Ok((pipeline, totals))
}

fn send_out(
    mut emit: Emit,
    live: &Live,
    from_compute: &Receiver<Box<Slot>>,
    home: &Sender<Box<Slot>>,
) -> Result<Histogram<u64>, Error> {
    let mut latency_ns =
        Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("legal bounds and precision");
    let seconds = metrics::histogram!("pelton_score_latency_seconds");
    let batch_rows = metrics::histogram!("pelton_batch_rows");
    for slot in from_compute {
        emit.run(&slot)?;
        let now_ns = u64::try_from(slot.opened_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        batch_rows.record(slot.rows as f64);
        for rows in slot.arrived_ns[..slot.rows].chunk_by(|a, b| a == b) {
            let waited_ns = now_ns.saturating_sub(rows[0]);
            latency_ns.saturating_record_n(waited_ns, rows.len() as u64);
            seconds.record_many(waited_ns as f64 / 1e9, rows.len());
        }
        live.add_emitted(slot.rows as u64);
        if home.send(slot).is_err() {
            break;
        }
    }
    emit.flush()?;
    Ok(latency_ns)
}

fn spawn<T: Send + 'static>(
    stage: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let thread = Builder::new().name(format!("pelton-{stage}"));
    thread.spawn(work).expect("the system can start a thread")
}

fn join<T>(stage: &'static str, thread: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or(Err(Error::Panicked { stage }))
}
