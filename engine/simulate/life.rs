//! One life of the engine: its stages on one thread, each a step at a time, in a drawn order.
//!
//! The loops are those of `engine/run.rs` and of the checkpoint writer, taken apart where they
//! could wait for one another; what a stage does in a step is the engine's own code. Channels have
//! the engine's bounds: a stage that would wait cannot make a step.

mod desk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

use super::Flaw;
use super::fate::Fate;
use super::source::SharedReader;
use crate::backoff::Jitter;
use crate::batch::Batcher;
use crate::checkpoint::format::Sections;
use crate::checkpoint::recover::Recovery;
use crate::checkpoint::writer::{self, Delivery, Snapshot, Writing};
use crate::config::Config;
use crate::emit::Emit;
use crate::error::Error;
use crate::metrics::Totals;
use crate::pipeline::Pipeline;
use crate::ring::{Lead, Ring, Slot};
use crate::run::{Cutting, State, begin_keeping, report_delivery};
use desk::{Desk, Stand};

/// A stage of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Records are read.
    Ingest,
    /// Batches go through the pipeline.
    Compute,
    /// Scores go out.
    Emit,
    /// Checkpoints are written.
    Writer,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 4] = [Stage::Ingest, Stage::Compute, Stage::Emit, Stage::Writer];
}

/// What a step has brought about, for whoever keeps the books.
#[derive(Debug, PartialEq, Eq)]
pub enum Move {
    /// The stage would have to wait, or has ended.
    None,
    /// Something.
    Made,
    /// A batch has been computed: its runs by topic, partition, first and next offset.
    Computed(Vec<(Arc<str>, i32, i64, i64)>),
    /// The same, and a checkpoint of this number was taken behind it, or at the end behind all.
    Cut(Vec<(Arc<str>, i32, i64, i64)>, u64),
}

/// An engine that runs.
pub struct Life {
    fate: Arc<Fate>,
    flaw: Option<Flaw>,
    stop: Arc<AtomicBool>,
    ring: Ring,
    reader: SharedReader,
    ingest: Option<Ingest>,
    compute: Option<Compute>,
    emit: Option<Sending>,
    writer: Option<Desk>,
    ended: Ended,
}

/// What the stages leave behind.
#[derive(Default)]
struct Ended {
    batcher: Option<Result<Batcher, Error>>,
    state: Option<Result<(State, Option<Snapshot>), Error>>,
    emit: Option<Result<Emit, Error>>,
    writing: Option<Writing>,
}

struct Ingest {
    batcher: Batcher,
    filled: Option<Box<Slot>>,
    to_compute: Sender<Box<Slot>>,
}

struct Compute {
    state: State,
    computed: Option<Box<Slot>>,
    from_ingest: Receiver<Box<Slot>>,
    to_emit: Sender<Box<Slot>>,
}

struct Sending {
    emit: Emit,
    sent: Option<Box<Slot>>,
    from_compute: Receiver<Box<Slot>>,
    deliveries: Sender<Delivery>,
}

impl Life {
    /// Begins as `pelton::run::run` does.
    ///
    /// # Errors
    /// As that.
    pub fn begin(
        config: &Config,
        mut recovery: Recovery,
        (reader, mut emit): (SharedReader, Emit),
        (fate, flaw): (&Arc<Fate>, Option<Flaw>),
    ) -> Result<Life, Error> {
        if flaw == Some(Flaw::SendsAgain) {
            recovery.sinks = Default::default();
        }
        let behind = (&recovery.sinks, recovery.positions.as_slice(), recovery.settle);
        let (cutter, writing) = begin_keeping(recovery.keeping, behind, &mut emit)?;
        let (snapshots, to_write) = bounded(1);
        let (home, free) = bounded(1);
        let (deliveries, delivered) = bounded(4);
        let sent_home = home.send(Sections::default());
        debug_assert!(sent_home.is_ok(), "the channel has room for one");
        let (to_compute, from_ingest) = bounded(1);
        let (to_emit, from_compute) = bounded(1);
        let cutting = cutter.map(|cutter| Cutting { cutter, free, snapshots });
        let state = State { pipeline: recovery.pipeline, totals: recovery.totals, cutting };
        let stop = reader.lock().stop();
        let source = Box::new(SharedReader(Arc::clone(&reader.0)));
        let batcher = Batcher::new(source, config.batch.linger_ms);
        let desk = |writing: Writing| {
            // The chance in a wait must be the seed's: here it is always the same.
            let breaker = writer::breaker(config.checkpoint.every_ms, Jitter::new(1));
            let (writing, fate) = (writing.guarded_by(breaker), Arc::clone(fate));
            Desk { writing, fate, snapshot: None, snapshots: to_write, delivered, home }
        };
        Ok(Life {
            fate: Arc::clone(fate),
            flaw,
            stop,
            ring: Ring::new(
                &crate::device::Device::Cpu,
                &config.event.schema,
                config.batch.rows_max,
            )
            .expect("ordinary memory asks no driver"),
            reader,
            ingest: Some(Ingest { batcher, filled: None, to_compute }),
            compute: Some(Compute { state, computed: None, from_ingest, to_emit }),
            emit: Some(Sending { emit, sent: None, from_compute, deliveries }),
            writer: writing.map(desk),
            ended: Ended::default(),
        })
    }

    /// Someone asks for an end: what was read goes out.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Nothing more will be written for the source to read.
    pub fn end_source(&self) {
        self.reader.lock().end();
    }

    /// Whether every stage has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ingest.is_none()
            && self.compute.is_none()
            && self.emit.is_none()
            && self.writer.is_none()
    }

    /// Whether the source has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let batcher = self.ended.batcher.as_ref();
        batcher.is_some_and(|batcher| batcher.as_ref().is_ok_and(Batcher::has_ended))
    }

    /// One step of a stage, if it can make one.
    pub fn step(&mut self, stage: Stage) -> Move {
        match stage {
            Stage::Ingest => self.step_ingest(),
            Stage::Compute => self.step_compute(),
            Stage::Emit => self.step_emit(),
            Stage::Writer => self.step_writer(),
        }
    }

    fn step_ingest(&mut self) -> Move {
        let Some(mut ingest) = self.ingest.take() else { return Move::None };
        let stopped = self.stop.load(Ordering::Relaxed);
        if let Some(slot) = ingest.filled.take() {
            match ingest.to_compute.try_send(slot) {
                Ok(()) => {}
                Err(TrySendError::Full(slot)) => {
                    ingest.filled = Some(slot);
                    self.ingest = Some(ingest);
                    return Move::None;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.ended.batcher = Some(Ok(ingest.batcher));
                    return Move::Made;
                }
            }
        } else if self.ring.free_count() == 0 && stopped {
            self.ended.batcher = Some(Ok(ingest.batcher));
            return Move::Made;
        } else if self.ring.free_count() == 0 || !(stopped || self.reader.lock().is_ready()) {
            self.ingest = Some(ingest);
            return Move::None;
        } else if let Some(mut slot) = self.ring.take_unless(&self.stop) {
            match ingest.batcher.next(&mut slot, &self.stop) {
                Ok(true) => {
                    if self.flaw == Some(Flaw::CutsWhileLed) && slot.lead == Lead::Led {
                        slot.lead = Lead::LedToTheEnd;
                    }
                    ingest.filled = Some(slot);
                }
                Ok(false) => {
                    self.ring.put(slot);
                    self.ended.batcher = Some(Ok(ingest.batcher));
                    return Move::Made;
                }
                Err(error) => {
                    self.ended.batcher = Some(Err(error));
                    return Move::Made;
                }
            }
        }
        self.ingest = Some(ingest);
        Move::Made
    }

    fn step_compute(&mut self) -> Move {
        let Some(mut compute) = self.compute.take() else { return Move::None };
        if let Some(slot) = compute.computed.take() {
            match compute.to_emit.try_send(slot) {
                Ok(()) => {}
                Err(TrySendError::Full(slot)) => {
                    compute.computed = Some(slot);
                    self.compute = Some(compute);
                    return Move::None;
                }
                Err(TrySendError::Disconnected(_)) => {
                    compute.state.cutting = None;
                    return self.end_compute(Ok((compute.state, None)));
                }
            }
            self.compute = Some(compute);
            return Move::Made;
        }
        match compute.from_ingest.try_recv() {
            Ok(mut slot) => {
                if let Err(error) = compute.state.step(&mut slot, self.fate.now()) {
                    return self.end_compute(Err(error));
                }
                let runs = runs(&slot);
                let cut = slot.checkpoint;
                compute.computed = Some(slot);
                self.compute = Some(compute);
                cut.map_or(Move::Computed(runs.clone()), |sequence| Move::Cut(runs, sequence))
            }
            Err(TryRecvError::Empty) => {
                self.compute = Some(compute);
                Move::None
            }
            Err(TryRecvError::Disconnected) => self.finish_compute(compute.state),
        }
    }

    fn finish_compute(&mut self, mut state: State) -> Move {
        let has_ended = self.has_ended();
        let last = match state.last_cut() {
            Ok(last) if has_ended => state.pipeline.finish().map(|()| last),
            last => last,
        };
        let sequence = match &last {
            Ok(Some(last)) => Some(last.manifest.sequence),
            _ => None,
        };
        self.end_compute(last.map(|last| (state, last)));
        sequence.map_or(Move::Made, |sequence| Move::Cut(Vec::new(), sequence))
    }

    fn end_compute(&mut self, left: Result<(State, Option<Snapshot>), Error>) -> Move {
        self.ended.state = Some(left);
        self.stop();
        Move::Made
    }

    fn step_emit(&mut self) -> Move {
        let Some(mut sending) = self.emit.take() else { return Move::None };
        let made = if let Some(slot) = sending.sent.take() {
            if sending.deliveries.is_full() {
                sending.sent = Some(slot);
                self.emit = Some(sending);
                return Move::None;
            }
            let reported = self.report(&mut sending, &slot);
            self.ring.put(slot);
            reported
        } else {
            match sending.from_compute.try_recv() {
                Ok(slot) => {
                    let sent = sending.emit.run(&slot);
                    sending.sent = Some(slot);
                    sent
                }
                Err(TryRecvError::Empty) if self.fate.per_mille(100) => sending.emit.tend(),
                Err(TryRecvError::Empty) => {
                    self.emit = Some(sending);
                    return Move::None;
                }
                Err(TryRecvError::Disconnected) => {
                    let flushed = sending.emit.flush();
                    return self.end_emit(flushed.map(|()| sending.emit));
                }
            }
        };
        match made {
            Ok(()) => {
                self.emit = Some(sending);
                Move::Made
            }
            Err(error) => self.end_emit(Err(error)),
        }
    }

    fn report(&self, sending: &mut Sending, slot: &Slot) -> Result<(), Error> {
        let Some(sequence) = slot.checkpoint.filter(|_| self.flaw == Some(Flaw::DoesNotFlush))
        else {
            return report_delivery(&mut sending.emit, slot, Some(&sending.deliveries));
        };
        let _ =
            sending.deliveries.send(Delivery { sequence, positions: sending.emit.positions()? });
        Ok(())
    }

    fn end_emit(&mut self, left: Result<Emit, Error>) -> Move {
        self.ended.emit = Some(left);
        self.stop();
        Move::Made
    }

    fn step_writer(&mut self) -> Move {
        let Some(mut desk) = self.writer.take() else { return Move::None };
        let stand = desk.step();
        if stand == Stand::Over {
            self.ended.writing = Some(desk.writing);
            return Move::Made;
        }
        self.writer = Some(desk);
        if stand == Stand::Waits { Move::None } else { Move::Made }
    }

    /// The end of a run whose stages have all ended, as `pelton::run::run` makes it.
    ///
    /// # Errors
    /// The first error, in the order of the stages.
    pub fn end(self) -> Result<(Pipeline, Totals), Error> {
        let gone = Error::Panicked { stage: "simulated" };
        let (Some(batcher), Some(state), Some(emit)) =
            (self.ended.batcher, self.ended.state, self.ended.emit)
        else {
            return Err(gone);
        };
        let (mut batcher, (state, last), mut emit) = (batcher?, state?, emit?);
        if let (Some(writing), Some(last)) = (self.ended.writing, last) {
            writing.write(last, emit.positions()?).1?;
        }
        emit.finish()?;
        for slot in self.ring.drain() {
            batcher.acknowledge(&slot)?;
        }
        Ok((state.pipeline, state.totals))
    }
}

fn runs(slot: &Slot) -> Vec<(Arc<str>, i32, i64, i64)> {
    let run = |run: &crate::ring::Run| {
        let span = &slot.spans[run.span as usize];
        (Arc::clone(&span.topic), span.partition, run.first, run.next)
    };
    slot.runs.iter().map(run).collect()
}
