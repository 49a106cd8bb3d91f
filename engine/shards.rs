//! Where each partition has a state of its own: one pipeline per partition, and the group that
//! says which of them are ours.
//!
//! A *shard* is the partition of one number of all topics, with pipeline, totals, order log and
//! checkpoint folder of its own. Nothing crosses shards: its scores and its model are a function
//! of its partitions alone, whoever computes them. Each is a [`crate::run`] of its own, on
//! threads of its own; this module starts one when the group gives us its partition, and gives the
//! partition back when that run has drained and written its last checkpoint.
//!
//! Invariant: a shard sends nothing unless it holds the lock on its checkpoint folder. That, and
//! not the group, keeps two instances apart: one that was paused and lost its partitions still
//! holds the lock, and whoever the group gave them to waits until it is free.

use crate::device::{self, Device};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::checkpoint::recover::Recovery;
use crate::config::Config;
use crate::error::Error;
use crate::live::Live;
use crate::run::{self, Outcome};
use crate::source::kafka;
use crate::source::kafka::Subscription;
use crate::source::kafka::membership::{Change, Membership};

/// How often the group and the shards are looked after.
const SERVE_EVERY: Duration = Duration::from_millis(50);
/// How often a folder that another instance has open is tried again.
const TRY_EVERY: Duration = Duration::from_millis(100);
/// A shard that has not drained for so long does not hold the group up: its partition is given back
/// while it goes on, and the next instance waits for its lock. The group would put us out after
/// `max.poll.interval.ms`, five minutes.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

/// Serves the partitions that the group gives this instance until `stop` is raised, or all of them
/// have been read to their end where the settings ask for that. `done` is shown what each shard
/// leaves behind when it ends here; a partition that came, went and came back is shown twice.
///
/// # Errors
/// [`Error::Usage`] when the configuration names no topics; those of [`Membership::join`]; the
/// first error of a shard, after the others have drained.
pub fn run(
    (config, device): (&Config, &Device),
    stop: &AtomicBool,
    live: &Arc<Live>,
    done: &mut dyn FnMut(i32, Outcome),
) -> Result<(), Error> {
    let subscription = Subscription::of(config).ok_or_else(|| Error::Usage {
        what: "the configuration names no Kafka topics".into(),
        remedy: "give [source] topics".into(),
    })?;
    let mut membership = Membership::join(&config.kafka, &subscription)?;
    let device = device.clone();
    let mut shards = Shards { config, device, live, all: Vec::new(), leaving: Vec::new() };
    let served = shards.serve(&mut membership, (stop, subscription.stop_at_end), done);
    let drained = shards.drain(&mut membership, done);
    served.and(drained)
}

/// Those this instance keeps, and those it is giving up.
struct Shards<'a> {
    config: &'a Config,
    device: Device,
    live: &'a Arc<Live>,
    all: Vec<Shard>,
    leaving: Vec<Leaving>,
}

/// A partition's pipeline.
struct Shard {
    partition: i32,
    stop: Arc<AtomicBool>,
    /// Its partition is to be given up.
    is_leaving: bool,
    /// None once it has ended.
    thread: Option<JoinHandle<Result<Option<Outcome>, Error>>>,
}

/// Partitions that the group waits for.
struct Leaving {
    partitions: Vec<i32>,
    since: Instant,
}

impl Shards<'_> {
    fn serve(
        &mut self,
        membership: &mut Membership,
        (stop, stop_at_end): (&AtomicBool, bool),
        done: &mut dyn FnMut(i32, Outcome),
    ) -> Result<(), Error> {
        while !stop.load(Ordering::Relaxed) {
            for change in membership.serve(SERVE_EVERY)? {
                self.follow(change);
            }
            self.gather(false, done)?;
            self.give_up_drained(membership);
            let have_ended = self.all.iter().all(|shard| shard.thread.is_none());
            if stop_at_end && have_ended && !self.all.is_empty() && self.leaving.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn follow(&mut self, change: Change) {
        match change {
            Change::Assigned(partitions) => {
                tracing::info!(?partitions, "partitions assigned");
                for partition in partitions {
                    self.all.push(Shard::start((self.config, &self.device), partition, self.live));
                }
            }
            Change::Revoked(partitions) => {
                tracing::info!(?partitions, "partitions to be handed back");
                for shard in self.all.iter_mut().filter(|s| partitions.contains(&s.partition)) {
                    shard.is_leaving = true;
                    shard.stop.store(true, Ordering::Relaxed);
                }
                self.leaving.push(Leaving { partitions, since: Instant::now() });
            }
        }
    }

    /// Takes what ended shards leave behind; one that has lost its GPU begins again.
    fn gather(&mut self, is_ending: bool, done: &mut dyn FnMut(i32, Outcome)) -> Result<(), Error> {
        for shard in &mut self.all {
            let Some(thread) = shard.thread.take_if(|thread| thread.is_finished()) else {
                continue;
            };
            self.live.forget(shard.partition);
            let panicked = Err(Error::Panicked { stage: "shard" });
            match thread.join().unwrap_or(panicked) {
                // Its folder is free by now; the others on this GPU will follow.
                Err(error) if error.is_device_lost() && !shard.is_leaving && !is_ending => {
                    device::say_lost(&error);
                    self.device = Device::Cpu;
                    let on = (self.config, &self.device);
                    *shard = Shard::start(on, shard.partition, self.live);
                }
                ended => {
                    if let Some(outcome) = ended? {
                        done(shard.partition, outcome);
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets the group have the partitions whose shards have drained, or take too long.
    fn give_up_drained(&mut self, membership: &Membership) {
        let Shards { all, leaving, .. } = self;
        leaving.retain(|Leaving { partitions, since }| {
            let is_draining = |shard: &Shard| {
                shard.is_leaving && shard.thread.is_some() && partitions.contains(&shard.partition)
            };
            let is_late = since.elapsed() >= DRAIN_PATIENCE;
            if all.iter().any(is_draining) && !is_late {
                return true;
            }
            tracing::info!(?partitions, is_late, "partitions handed back");
            membership.release(partitions);
            false
        });
        // One that has ended by itself stays until its partition goes: it has nothing more to read.
        all.retain(|shard| shard.thread.is_some() || !shard.is_leaving);
    }

    /// Ends all of them, and stays in the group meanwhile.
    fn drain(
        &mut self,
        membership: &mut Membership,
        done: &mut dyn FnMut(i32, Outcome),
    ) -> Result<(), Error> {
        let mut first = Ok(());
        while self.all.iter().any(|shard| shard.thread.is_some()) {
            self.all.iter().for_each(|shard| shard.stop.store(true, Ordering::Relaxed));
            first = first.and(self.gather(true, done));
            // What the group gives us now is not begun; it gets it back when we leave.
            match membership.serve(SERVE_EVERY) {
                Ok(mut changes) => {
                    changes.retain(|change| matches!(change, Change::Revoked(_)));
                    changes.into_iter().for_each(|change| self.follow(change));
                    self.give_up_drained(membership);
                }
                Err(_) => std::thread::sleep(SERVE_EVERY),
            }
        }
        self.give_up_drained(membership);
        first
    }
}

impl Shard {
    fn start(on: (&Config, &Device), partition: i32, live: &Arc<Live>) -> Shard {
        let stop = Arc::new(AtomicBool::new(false));
        let (config, device) = (on.0.of_partition(partition), on.1.clone());
        let (live, told) = (Arc::clone(live), Arc::clone(&stop));
        let thread = Builder::new().name(format!("pelton-shard-{partition}"));
        let thread = thread.spawn(move || keep((&config, &device), &told, &live));
        let thread = Some(thread.expect("the system can start a thread"));
        Shard { partition, stop, is_leaving: false, thread }
    }
}

/// A shard's life here; none when it never began.
fn keep(
    (config, device): (&Config, &Device),
    stop: &Arc<AtomicBool>,
    live: &Arc<Live>,
) -> Result<Option<Outcome>, Error> {
    let Some(mut recovery) = take_over((config, device), stop)? else { return Ok(None) };
    let script = std::mem::take(&mut recovery.script);
    let source = kafka::open(config, &recovery.positions, script)?;
    run::run(config, source, recovery, stop, live).map(Some)
}

/// Waits until no other instance has the shard's folder open; none when the partition was taken
/// away again before that.
fn take_over(
    (config, device): (&Config, &Device),
    stop: &AtomicBool,
) -> Result<Option<Recovery>, Error> {
    let mut has_said = false;
    while !stop.load(Ordering::Relaxed) {
        match Recovery::open(config, device) {
            Err(Error::InUse { place }) => {
                if !std::mem::replace(&mut has_said, true) {
                    tracing::info!(place = %place.display(), "waiting for another instance");
                }
                std::thread::sleep(TRY_EVERY);
            }
            opened => return opened.map(Some),
        }
    }
    Ok(None)
}
