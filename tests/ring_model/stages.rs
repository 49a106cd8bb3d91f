//! The stages of the model, each beside the loop of the engine that it stands for.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use shuttle::sync::mpsc::{Receiver, SyncSender, sync_channel};
use shuttle::thread;

/// A thread of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Ingest,
    Compute,
    Emit,
    Writer,
}

/// A line that is taken out of the model, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Compute and emit do not raise the stop when they are gone.
    NoStopOnExit,
    /// Compute's end of the writer's channel outlives it.
    SnapshotsHeldOpen,
    /// Ingest keeps the slot it has taken when there is nothing more to read.
    SlotKeptAtTheEnd,
    /// Emit sends a slot home and works on.
    SlotSentHomeTwice,
    /// Emit reports a checkpoint's batch as delivered and then sends it.
    DeliveryBeforeSending,
}

/// What happens in a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Slots in the ring.
    pub slots: u32,
    /// Batches until the source ends.
    pub batches: u32,
    /// Whether checkpoints are taken: behind every batch for which the writer has its buffer.
    pub checkpoints: bool,
    /// The stage that fails at a batch.
    pub fails: Option<(Stage, u32)>,
    /// Whether someone raises the stop at some moment.
    pub stops: bool,
    /// What is wrong with the model.
    pub flaw: Option<Flaw>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { slots: 2, batches: 4, checkpoints: true, fails: None, stops: false, flaw: None }
    }
}

impl Plan {
    fn fails(&self, stage: Stage, batch: u32) -> bool {
        self.fails == Some((stage, batch))
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}

/// A slot on loan; the number is its own.
#[derive(Debug)]
struct Slot {
    number: u32,
    batch: u32,
    checkpoint: Option<u32>,
}

struct Failed;

/// `Ring`: what is free, and the way home.
struct Ring {
    free: Mutex<Receiver<Slot>>,
    home: SyncSender<Slot>,
}

impl Ring {
    fn new(slots: u32) -> Ring {
        // One more than there are, so that a slot that comes home twice is seen and not waited for.
        let (home, free) = sync_channel(slots as usize + 1);
        for number in 0..slots {
            home.send(Slot { number, batch: 0, checkpoint: None }).expect("there is room");
        }
        Ring { free: Mutex::new(free), home }
    }

    /// A wait that ran out and one that found nothing are the same to a scheduler.
    fn take_unless(&self, stop: &AtomicBool) -> Option<Slot> {
        loop {
            match self.free.lock().expect("no panic").try_recv() {
                Ok(slot) => return Some(slot),
                Err(_) if stop.load(Ordering::Relaxed) => return None,
                Err(_) => {}
            }
            thread::yield_now();
        }
    }
}

/// `StopOnExit`.
struct StopOnExit {
    stop: Arc<AtomicBool>,
    is_missing: bool,
}

impl Drop for StopOnExit {
    fn drop(&mut self) {
        if !self.is_missing {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// `ingest`: the number of batches read.
fn ingest(
    plan: &Plan,
    ring: &Ring,
    stop: &AtomicBool,
    to_compute: &SyncSender<Slot>,
) -> Result<u32, Failed> {
    let mut read = 0;
    while let Some(mut slot) = ring.take_unless(stop) {
        if plan.fails(Stage::Ingest, read) {
            return Err(Failed);
        }
        if read == plan.batches || stop.load(Ordering::Relaxed) {
            if !plan.has(Flaw::SlotKeptAtTheEnd) {
                ring.home.send(slot).expect("the ring holds a receiver itself");
            }
            break;
        }
        (slot.batch, slot.checkpoint) = (read, None);
        if to_compute.send(slot).is_err() {
            break;
        }
        read += 1;
    }
    Ok(read)
}

/// `Cutting`: compute's ends of the channels to the writer.
struct Cutting {
    free: Receiver<()>,
    snapshots: SyncSender<u32>,
}

/// `compute`, with `State::step` and `State::last_cut`; what is returned lives on in `run`.
fn compute(
    plan: &Plan,
    mut cutting: Option<Cutting>,
    from_ingest: &Receiver<Slot>,
    to_emit: &SyncSender<Slot>,
) -> Result<Option<Cutting>, Failed> {
    while let Ok(mut slot) = from_ingest.recv() {
        if plan.fails(Stage::Compute, slot.batch) {
            return Err(Failed);
        }
        if let Some(Cutting { free, snapshots }) = &cutting
            && free.try_recv().is_ok()
        {
            slot.checkpoint = Some(slot.batch);
            let _ = snapshots.send(slot.batch);
        }
        if to_emit.send(slot).is_err() {
            return Ok(cutting.take_if(|_| plan.has(Flaw::SnapshotsHeldOpen)));
        }
    }
    drop(cutting.take());
    Ok(None)
}

/// `send_out`: what was sent is counted where the writer can see it.
fn send_out(
    plan: &Plan,
    sent: &AtomicU32,
    from_compute: &Receiver<Slot>,
    (home, deliveries): (&SyncSender<Slot>, Option<&SyncSender<u32>>),
) -> Result<(), Failed> {
    let deliver = |checkpoint| {
        if let (Some(sequence), Some(deliveries)) = (checkpoint, deliveries) {
            let _ = deliveries.send(sequence);
        }
    };
    while let Ok(slot) = from_compute.recv() {
        if plan.has(Flaw::DeliveryBeforeSending) {
            deliver(slot.checkpoint);
        }
        if plan.fails(Stage::Emit, slot.batch) {
            return Err(Failed);
        }
        let before = sent.fetch_add(1, Ordering::SeqCst);
        assert_eq!(before, slot.batch, "batches are sent in order, each once");
        if !plan.has(Flaw::DeliveryBeforeSending) {
            deliver(slot.checkpoint);
        }
        if plan.has(Flaw::SlotSentHomeTwice) {
            let _ = home.send(Slot { ..slot });
        }
        if home.send(slot).is_err() {
            break;
        }
    }
    Ok(())
}

/// `Writing::start`: the thread that writes checkpoints.
fn write(
    plan: &Plan,
    sent: &AtomicU32,
    (to_write, delivered): (&Receiver<u32>, &Receiver<u32>),
    home: &SyncSender<()>,
) {
    let mut newest = None;
    while let Ok(sequence) = to_write.recv() {
        if delivered.iter().find(|&delivery| delivery == sequence).is_none() {
            break;
        }
        // A writer that panics is gone.
        if plan.fails(Stage::Writer, sequence) {
            break;
        }
        assert!(sent.load(Ordering::SeqCst) > sequence, "written behind what it covers");
        assert!(newest.replace(sequence) < Some(sequence), "newer ones follow");
        if home.send(()).is_err() {
            break;
        }
    }
}

/// `run`, and what it promises.
pub fn check(plan: Plan) {
    let ring = Arc::new(Ring::new(plan.slots));
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (cutting, deliveries, writer) = start_writer(plan, &sent);
    let (to_compute, from_ingest) = sync_channel(1);
    let (to_emit, from_compute) = sync_channel(1);
    let guard = |stop: &Arc<AtomicBool>| StopOnExit {
        stop: Arc::clone(stop),
        is_missing: plan.has(Flaw::NoStopOnExit),
    };
    let ingest = {
        let (ring, stop) = (Arc::clone(&ring), Arc::clone(&stop));
        thread::spawn(move || ingest(&plan, &ring, &stop, &to_compute))
    };
    let compute = {
        let guard = guard(&stop);
        thread::spawn(move || {
            let _guard = guard;
            compute(&plan, cutting, &from_ingest, &to_emit)
        })
    };
    let emit = {
        let (home, sent, guard) = (ring.home.clone(), Arc::clone(&sent), guard(&stop));
        thread::spawn(move || {
            let _guard = guard;
            send_out(&plan, &sent, &from_compute, (&home, deliveries.as_ref()))
        })
    };
    let stopper = plan.stops.then(|| {
        let stop = Arc::clone(&stop);
        thread::spawn(move || stop.store(true, Ordering::Relaxed))
    });
    let read = ingest.join().expect("no panic");
    let computed = compute.join().expect("no panic");
    let emitted = emit.join().expect("no panic");
    for thread in writer.into_iter().chain(stopper) {
        thread.join().expect("no panic");
    }
    let has_failed = read.is_err() || computed.is_err() || emitted.is_err();
    if let (Ok(read), false) = (read, has_failed) {
        assert_eq!(sent.load(Ordering::SeqCst), read, "what was read is sent");
        assert!(plan.stops || read == plan.batches, "the source was read to its end");
    }
    check_slots(&plan, &ring, has_failed);
}

/// A failed stage takes along what it holds; nothing else is lost, and nothing is there twice.
fn check_slots(plan: &Plan, ring: &Ring, has_failed: bool) {
    let free = ring.free.lock().expect("no panic");
    let mut is_home = vec![false; plan.slots as usize];
    while let Ok(slot) = free.try_recv() {
        let was_home = std::mem::replace(&mut is_home[slot.number as usize], true);
        assert!(!was_home, "slot {} came home twice", slot.number);
    }
    assert!(has_failed || is_home.iter().all(|&home| home), "a slot is lost: {is_home:?}");
}

/// The writer's thread, and the ends of its channels for compute and emit.
type Writer = (Option<Cutting>, Option<SyncSender<u32>>, Option<thread::JoinHandle<()>>);

fn start_writer(plan: Plan, sent: &Arc<AtomicU32>) -> Writer {
    if !plan.checkpoints {
        return (None, None, None);
    }
    let (snapshots, to_write) = sync_channel(1);
    let (home, free) = sync_channel(1);
    let (deliveries, delivered) = sync_channel(4);
    home.send(()).expect("there is room for one");
    let sent = Arc::clone(sent);
    let thread = thread::spawn(move || write(&plan, &sent, (&to_write, &delivered), &home));
    (Some(Cutting { free, snapshots }), Some(deliveries), Some(thread))
}
