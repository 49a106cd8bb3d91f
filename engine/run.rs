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

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use hdrhistogram::Histogram;

use crate::backoff::Jitter;
use crate::batch::Batcher;
use crate::checkpoint::cut::Cutter;
use crate::checkpoint::format::Sections;
use crate::checkpoint::recover::{Keeping, Recovery};
use crate::checkpoint::writer::{self, Delivery, Snapshot, Writer, Writing};
use crate::config::Config;
use crate::emit::{Emit, Positions, delivered};
use crate::error::Error;
use crate::fail::fail_point;
use crate::live::Live;
use crate::metrics::{Published, Totals};
use crate::pace::Meter;
use crate::pipeline::Pipeline;
use crate::ring::{Reason, Ring, Slot, Span};
use crate::source::Source;
use crate::source::decode::events;
use crate::watchdog::{Doing, Heart};

/// What a run leaves behind.
pub struct Outcome {
    /// The state at the end.
    pub pipeline: Pipeline,
    /// What went in and what became of it.
    pub totals: Totals,
    /// Event records that earlier runs had consumed.
    pub consumed_before: u64,
    /// Nanoseconds from a record's arrival to its score handed over.
    pub latency_ns: Histogram<u64>,
    /// Time from start to end.
    pub wall: Duration,
}

/// Slots where the engine computes, and a source that fills them from there.
fn ring_of(config: &Config, pipeline: &Pipeline, source: &mut dyn Source) -> Result<Ring, Error> {
    events::place(config, pipeline.device(), source)?;
    Ok(Ring::new(pipeline.device(), &config.event.schema, config.batch.rows_max)?)
}

/// Runs the engine until the source ends or `stop` is raised; then everything that was read is
/// scored, emitted and delivered, and a last checkpoint written, before it returns.
///
/// # Errors
/// The first error, in the order of the stages.
pub fn run(
    config: &Config,
    mut source: Box<dyn Source>,
    recovery: Recovery,
    stop: &Arc<AtomicBool>,
    live: &Arc<Live>,
) -> Result<Outcome, Error> {
    let started = Instant::now();
    let ring = Arc::new(ring_of(config, &recovery.pipeline, &mut *source)?);
    let mut emit = Emit::open(config, stop)?;
    let mut read_to = recovery.positions.clone();
    let put_aside = recovery.totals.dead_letters[Reason::Quarantined as usize];
    read_to.push(delivered::quarantined_before(put_aside));
    let behind = (&recovery.sinks, read_to.as_slice(), recovery.settle);
    let (cutter, writing) = begin_keeping(recovery.keeping, behind, &mut emit)?;
    let partition = config.source.partition();
    let hearts = live.stages().of_run(partition);
    emit.watched_by(&hearts.emit);
    let writing = writing.map(|writing| writing.watched_by(&hearts.checkpoint));
    let (cutting, deliveries, writer) = start_writer(cutter, writing, (config, stop));
    let consumed_before = recovery.totals.consumed;
    let state = State { pipeline: recovery.pipeline, totals: recovery.totals, cutting };
    let [(to_compute, from_ingest), (to_emit, from_compute)] = [bounded(1), bounded(1)];
    let meter = Meter::new(&config.batch);
    let batcher = Batcher::paced(source, meter.pace()).watched_by(&hearts.ingest);
    let ended = Arc::new(AtomicBool::new(false));
    let ingest = {
        let (ring, stop, ended) = (Arc::clone(&ring), Arc::clone(stop), Arc::clone(&ended));
        let heart = hearts.ingest.clone();
        spawn("ingest", move || ingest(batcher, (&ring, &heart), [&stop, &ended], &to_compute))
    };
    let compute = {
        let (ring, live, guard) = (Arc::clone(&ring), Arc::clone(live), StopOnExit::new(stop));
        let heart = hearts.compute.clone();
        spawn("compute", move || {
            let (_guard, shown) = (guard, (&*live, partition, &heart));
            compute((state, meter), (&ring, &ended), shown, &from_ingest, &to_emit)
        })
    };
    let emit = {
        let (home, live, guard) = (ring.home(), Arc::clone(live), StopOnExit::new(stop));
        let heart = hearts.emit.clone();
        spawn("emit", move || {
            let _guard = guard;
            send_out(emit, (&live, &heart), &from_compute, (&home, deliveries.as_ref()))
        })
    };
    // The lock on the checkpoints outlives the sinks, also where an error ends the run: whoever
    // waits for it may send once it is free.
    let written;
    let ingested = join("ingest", ingest);
    let computed = join("compute", compute);
    let emitted = join("emit", emit);
    written = writer.map(|thread| join("checkpoint", thread)).transpose();
    let mut batcher = ingested?;
    let (State { pipeline, totals, .. }, last) = computed?;
    let (latency_ns, mut emit) = emitted?;
    let writing = written?;
    if let (Some(writing), Some(last)) = (&writing, last) {
        writing.write(last, emit.positions()?).1?;
    }
    emit.finish()?;
    drop((emit, writing));
    for slot in ring.drain() {
        batcher.acknowledge(&slot)?;
    }
    debug_assert!(totals.balances(), "{totals:?}");
    let wall = started.elapsed();
    Ok(Outcome { pipeline, totals, consumed_before, latency_ns, wall })
}

/// What compute and emit need of the writer, and its thread; none of it without checkpoints.
type Started =
    (Option<Cutting>, Option<Sender<Delivery>>, Option<JoinHandle<Result<Writing, Error>>>);

fn start_writer(
    cutter: Option<Cutter>,
    writing: Option<Writing>,
    (config, stop): (&Config, &Arc<AtomicBool>),
) -> Started {
    let (Some(cutter), Some(writing)) = (cutter, writing) else { return (None, None, None) };
    let breaker = writer::breaker(config.checkpoint.every_ms, Jitter::of_this_process());
    let Writer { snapshots, free, deliveries, thread, .. } =
        writing.guarded_by(breaker).start(stop);
    (Some(Cutting { cutter, free, snapshots }), Some(deliveries), Some(thread))
}

/// What the compute thread owns.
pub(crate) struct State {
    pub(crate) pipeline: Pipeline,
    pub(crate) totals: Totals,
    pub(crate) cutting: Option<Cutting>,
}

/// What takes checkpoints, and the ends of its channels to the writer.
pub(crate) struct Cutting {
    pub(crate) cutter: Cutter,
    pub(crate) free: Receiver<Sections>,
    pub(crate) snapshots: Sender<Snapshot>,
}

/// The very first checkpoint is written before anything is read; after a restart it is found out
/// what was already sent.
pub(crate) fn begin_keeping(
    keeping: Option<Keeping>,
    (sinks, read_to, settle): (&Positions, &[Span], Duration),
    emit: &mut Emit,
) -> Result<(Option<Cutter>, Option<Writing>), Error> {
    let Some(Keeping { cutter, writing, first }) = keeping else { return Ok((None, None)) };
    match first {
        Some(first) => writing.write(first, emit.positions()?).1?,
        None => {
            let count = emit.resume(sinks, read_to, settle)?;
            tracing::info!(count, "records behind the checkpoint were sent before");
        }
    }
    Ok((Some(cutter), Some(writing)))
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
    (ring, heart): (&Ring, &Heart),
    [stop, ended]: [&AtomicBool; 2],
    to_compute: &Sender<Box<Slot>>,
) -> Result<Batcher, Error> {
    heart.is(Doing::WaitsForSlot);
    while let Some(mut slot) = ring.take_unless(stop) {
        heart.begins(0);
        if !batcher.next(&mut slot, stop)? {
            ring.put(slot);
            break;
        }
        fail_point("ingest::filled").map_err(Error::file("read", "the source"))?;
        heart.is(Doing::WaitsForNext);
        if to_compute.send(slot).is_err() {
            break;
        }
        heart.is(Doing::WaitsForSlot);
    }
    heart.is(Doing::Rests);
    ended.store(batcher.has_ended(), Ordering::Release);
    Ok(batcher)
}

/// How often sinks are looked after while there is no batch.
const TEND_EVERY: Duration = Duration::from_millis(50);
const SHOW_EVERY: Duration = Duration::from_millis(250);
/// Longer waits count as this one: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

fn compute(
    (mut state, mut meter): (State, Meter),
    (ring, ended): (&Ring, &AtomicBool),
    (live, partition, heart): (&Live, Option<i32>, &Heart),
    from_ingest: &Receiver<Box<Slot>>,
    to_emit: &Sender<Box<Slot>>,
) -> Result<(State, Option<Snapshot>), Error> {
    let published = Published::of(partition);
    let (mut shown_at, mut is_shown) = (Instant::now(), true);
    loop {
        match from_ingest.recv_timeout(SHOW_EVERY) {
            Ok(mut slot) => {
                heart.begins(slot.rows);
                let begun = Instant::now();
                state.step(&mut slot, begun)?;
                meter.note(slot.rows, begun.elapsed());
                live.add_batch(&slot);
                is_shown = false;
                heart.is(Doing::WaitsForNext);
                if to_emit.send(slot).is_err() {
                    // The writer ends when this closes its channel; the caller waits for it.
                    state.cutting = None;
                    return Ok((state, None));
                }
                heart.is(Doing::Rests);
            }
            // The last batch before a silence is shown too.
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if !is_shown && shown_at.elapsed() >= SHOW_EVERY {
            (shown_at, is_shown) = (Instant::now(), true);
            published.show(&state.totals, &state.pipeline, ring);
            live.show(partition, &state.pipeline);
        }
    }
    let last = state.last_cut()?;
    if ended.load(Ordering::Acquire) {
        state.pipeline.finish()?;
    }
    published.show(&state.totals, &state.pipeline, ring);
    live.show(partition, &state.pipeline);
    if partition.is_some() {
        published.hand_back(&state.pipeline);
    }
    Ok((state, last))
}

impl State {
    /// One batch through the stages, and a checkpoint behind it when one is due.
    pub(crate) fn step(&mut self, slot: &mut Slot, now: Instant) -> Result<(), Error> {
        self.pipeline.step(slot)?;
        self.totals.add(slot);
        let Some(Cutting { cutter, free, snapshots }) = &mut self.cutting else { return Ok(()) };
        cutter.note(slot);
        fail_point("compute::noted").map_err(Error::file("write", "the order log"))?;
        let of = (&self.pipeline, &self.totals);
        cutter.cut_when_due(slot, of, (free, snapshots), now)
    }

    /// The state as the drained stream leaves it, before a recording's last labels are let go: if
    /// more of the stream should follow, it goes on as if it had never stopped.
    pub(crate) fn last_cut(&mut self) -> Result<Option<Snapshot>, Error> {
        let Some(Cutting { mut cutter, .. }) = self.cutting.take() else { return Ok(None) };
        cutter.last(&self.pipeline, &self.totals)
    }
}

fn send_out(
    mut emit: Emit,
    (live, heart): (&Live, &Heart),
    from_compute: &Receiver<Box<Slot>>,
    (home, deliveries): (&Sender<Box<Slot>>, Option<&Sender<Delivery>>),
) -> Result<(Histogram<u64>, Emit), Error> {
    let mut latency_ns =
        Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("legal bounds and precision");
    let seconds = metrics::histogram!("pelton_score_latency_seconds");
    let batch_rows = metrics::histogram!("pelton_batch_rows");
    while let Some(slot) = next_slot(&mut emit, from_compute)? {
        heart.begins(slot.rows);
        emit.run(&slot)?;
        let now_ns = u64::try_from(slot.opened_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        batch_rows.record(slot.rows as f64);
        for rows in slot.arrived_ns[..slot.rows].chunk_by(|a, b| a == b) {
            let waited_ns = now_ns.saturating_sub(rows[0]);
            latency_ns.saturating_record_n(waited_ns, rows.len() as u64);
            seconds.record_many(waited_ns as f64 / 1e9, rows.len());
        }
        live.add_emitted(slot.rows as u64);
        report_delivery(&mut emit, &slot, deliveries)?;
        heart.is(Doing::Rests);
        if home.send(slot).is_err() {
            break;
        }
    }
    emit.flush()?;
    Ok((latency_ns, emit))
}

/// When a checkpoint's cut lies behind this batch, the writer is told once all of it is delivered.
pub(crate) fn report_delivery(
    emit: &mut Emit,
    slot: &Slot,
    deliveries: Option<&Sender<Delivery>>,
) -> Result<(), Error> {
    let (Some(sequence), Some(deliveries)) = (slot.checkpoint, deliveries) else { return Ok(()) };
    emit.flush()?;
    fail_point("emit::flushed").map_err(Error::file("write", "scores"))?;
    let delivery = Delivery { sequence, positions: emit.positions()? };
    // The writer is gone only when the run is ending; its thread tells why.
    let _ = deliveries.send(delivery);
    Ok(())
}

/// What waits for a sink goes on while there is no batch.
fn next_slot(emit: &mut Emit, from: &Receiver<Box<Slot>>) -> Result<Option<Box<Slot>>, Error> {
    loop {
        match from.recv_timeout(TEND_EVERY) {
            Ok(slot) => return Ok(Some(slot)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => emit.tend()?,
        }
    }
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
