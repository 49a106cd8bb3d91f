//! A deterministic simulation of the whole engine: one seed is one history of the world.
//!
//! The stages of a run make their steps one at a time in a drawn order (`life`); source, sinks,
//! disk and clock are doubles in memory that delay, fail, forget and tear (`source`, `topic`,
//! `disk`, `fate`). At drawn moments the process or the machine dies and the engine recovers.
//! At the end everything that should be there is compared with the same records led once through
//! the engine in the order the surviving history read them (`oracle`).
//!
//! Real are: batches, pipeline, cuts, checkpoint format, writer and retention, recovery, order log,
//! script, emit and what it passes over. Not simulated: the Kafka client, threads (their model is
//! another test), the file system's own calls.

mod dice;
mod disk;
mod fate;
mod history;
mod job;
mod life;
mod oracle;
mod source;
mod topic;
mod verify;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use history::History;
use tracing::subscriber::NoSubscriber;

/// Something taken out of the engine, to see that the simulation finds it. For tests.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No entry reaches the order log.
    ForgetsOrder,
    /// A delivery is reported without waiting for it.
    DoesNotFlush,
    /// Checkpoints are taken while the source is led.
    CutsWhileLed,
    /// A partition is read on one record late.
    SkipsARecord,
    /// What was sent before a crash is not looked for.
    SendsAgain,
    /// The sinks are read before they have settled.
    DoesNotSettle,
    /// A torn entry stays in the order log.
    KeepsTornEntry,
}

/// What one seed is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Steps of the stages before everything that fails is mended and the stream ends.
    pub steps: u64,
    /// Whether the engine's log is left out, and that of what happens around it.
    pub is_quiet: bool,
    /// What is wrong with the engine.
    #[doc(hidden)]
    pub flaw: Option<Flaw>,
}

impl Plan {
    /// Steps of a history, if nothing else is said.
    pub const STEPS: u64 = 300;

    /// The usual history of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Plan {
        Plan { seed, steps: Plan::STEPS, is_quiet: true, flaw: None }
    }
}

/// What has happened in a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps of the stages.
    pub steps: u64,
    /// Event and label records.
    pub records: u64,
    /// Deaths of the process.
    pub process_deaths: u64,
    /// Deaths of the machine.
    pub machine_deaths: u64,
    /// Runs that ended by an error of their own, and such that did not start.
    pub errors: u64,
    /// Runs that were asked to end, and did.
    pub stops: u64,
    /// Checkpoints that were gone on from.
    pub resumed: u64,
    /// Of these, such that were not the newest, which was damaged.
    pub fallbacks: u64,
    /// Starts that were refused since no checkpoint was whole.
    pub refusals: u64,
    /// Histories that had to be those of one order to the last bit, and not only complete.
    pub exact: u64,
}

impl Summary {
    /// Both.
    pub fn add(&mut self, other: &Summary) {
        self.steps += other.steps;
        self.records += other.records;
        self.process_deaths += other.process_deaths;
        self.machine_deaths += other.machine_deaths;
        self.errors += other.errors;
        self.stops += other.stops;
        self.resumed += other.resumed;
        self.fallbacks += other.fallbacks;
        self.refusals += other.refusals;
        self.exact += other.exact;
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was found.
    pub what: String,
}

/// Lives through one seed.
///
/// # Errors
/// [`Failure`] when a promise was broken, or the engine panicked.
pub fn simulate(plan: Plan) -> Result<Summary, Failure> {
    let live = || History::new(plan)?.live();
    let run = || match plan.is_quiet {
        true => tracing::subscriber::with_default(NoSubscriber::new(), live),
        false => live(),
    };
    let lived = catch_unwind(AssertUnwindSafe(run));
    let panicked = |_| Err("the engine panicked".to_owned());
    lived.unwrap_or_else(panicked).map_err(|what| Failure { seed: plan.seed, what })
}

/// Lives through `count` seeds from that of `plan` on, on every core; after a failure no further
/// seed is begun. `each` is shown every seed that is through.
///
/// # Errors
/// The failure of the lowest seed that has one, of those that were begun.
pub fn simulate_all(
    plan: Plan,
    count: u64,
    each: &(dyn Fn(u64, &Summary) + Sync),
) -> Result<Summary, Failure> {
    let (next, has_failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sum, failures) = (Mutex::new(Summary::default()), Mutex::new(Vec::new()));
    let work = || {
        while !has_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let seed = plan.seed.wrapping_add(index);
            match simulate(Plan { seed, ..plan }) {
                Ok(summary) => {
                    each(seed, &summary);
                    sum.lock().unwrap_or_else(PoisonError::into_inner).add(&summary);
                }
                Err(failure) => {
                    has_failed.store(true, Ordering::Relaxed);
                    failures.lock().unwrap_or_else(PoisonError::into_inner).push((index, failure));
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|(index, _)| *index);
    match failures.into_iter().next() {
        Some((_, failure)) => Err(failure),
        None => Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}
