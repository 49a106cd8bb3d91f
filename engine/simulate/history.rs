//! One history of the world: lives and deaths of an engine, what goes wrong around it, and at the
//! end the books.
//!
//! The books know, for every checkpoint that was ever taken, in which order the records before it
//! were read. A life that goes on from it goes on with that order, so that at the end there is one:
//! the order of the history that survived.

use crate::device::Device;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::dice::Dice;
use super::disk::{Disk, Logs};
use super::fate::{Death, Fate};
use super::job::Job;
use super::life::{Life, Move, Stage};
use super::oracle::Stretch;
use super::source::{Reader, SharedReader, Written};
use super::topic::{Topic, TopicSink};
use super::{Flaw, Plan, Summary, verify};
use crate::checkpoint::recover::Recovery;
use crate::emit::{Emit, Sink};
use crate::error::Error;
use crate::metrics::Totals;
use crate::pipeline::Pipeline;

/// So many idle rounds in a row, once all is mended, are a standstill.
const STANDSTILL: u32 = 2000;

/// How often in a thousand steps something happens.
struct Risks {
    death: u64,
    machine: u64,
    stop: u64,
    disk: u64,
    sink: u64,
    flip: u64,
    burst: u64,
}

/// A history that is being lived.
pub struct History {
    plan: Plan,
    job: Arc<Job>,
    fate: Arc<Fate>,
    disk: Arc<Disk>,
    topics: [Arc<Topic>; 2],
    written: Arc<Written>,
    dice: Dice,
    risks: Risks,
    /// How often each stage makes a step, against the others.
    weights: [u64; 4],
    /// In which order records were read, in the history that this life goes on.
    order: Vec<Stretch>,
    /// The same at each cut.
    cuts: BTreeMap<u64, Vec<Stretch>>,
    /// Whether a life had a reason to fail.
    may_fail: bool,
    is_exact: bool,
    has_logs: bool,
    is_mended: bool,
    summary: Summary,
}

/// What the last life has left.
pub struct Left {
    /// Its state.
    pub pipeline: Pipeline,
    /// What went in, and what became of it.
    pub totals: Totals,
}

/// How a life came to an end.
enum End {
    /// The source ended.
    Drained(Box<Left>),
    /// It was asked to end, failed, died, or did not begin.
    Again,
}

impl History {
    /// The history of a seed, before it begins.
    ///
    /// # Errors
    /// What is wrong with the job: a bug of the simulation.
    pub fn new(plan: Plan) -> Result<History, String> {
        let mut dice = Dice::new(plan.seed, "history");
        let job = Arc::new(Job::new(plan.seed, plan.steps).map_err(|error| error.chain())?);
        let fate = Arc::new(Fate::new(Dice::new(plan.seed, "fate")));
        let logs = dice.pick(&[Logs::Beside, Logs::Beside, Logs::Beside, Logs::Apart]);
        let logs = if dice.per_mille(100) { Logs::Nowhere } else { logs };
        let disk = Disk::new(&fate, logs, plan.flaw);
        let partitions = 1 + dice.index(3);
        let topics = ["scores", "dead"].map(|name| Topic::new(name, &fate, partitions));
        let risks = Risks {
            death: dice.pick(&[0, 10, 30]),
            machine: dice.pick(&[0, 300, 1000]),
            stop: dice.pick(&[0, 5]),
            disk: dice.pick(&[0, 0, 8]),
            sink: dice.pick(&[0, 0, 8]),
            flip: dice.pick(&[0, 0, 0, 300]),
            burst: dice.pick(&[60, 200, 600]),
        };
        let weights = [0; 4].map(|_| dice.pick(&[1, 4, 12]));
        let written = Written::new(&job);
        Ok(History {
            plan,
            job,
            fate,
            disk,
            topics,
            written,
            dice,
            risks,
            weights,
            order: Vec::new(),
            cuts: BTreeMap::from([(1, Vec::new())]),
            may_fail: false,
            is_exact: true,
            has_logs: logs != Logs::Nowhere,
            is_mended: false,
            summary: Summary::default(),
        })
    }

    /// Lives to the end, and once more to see that nothing more happens.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn live(mut self) -> Result<Summary, String> {
        let left = self.live_until_drained()?;
        let sent = self.topics.each_ref().map(|topic| topic.records().len());
        let again = self.live_until_drained()?;
        if self.topics.each_ref().map(|topic| topic.records().len()) != sent {
            return Err("a run over a stream that had ended has sent something".into());
        }
        if left.totals != again.totals {
            return Err(format!("ended twice with {:?} and {:?}", left.totals, again.totals));
        }
        self.is_exact &= !self.fate.has_lost_order();
        verify::check(&self.job, &self.order, &left, &self.topics, self.is_exact, &mut self.dice)?;
        self.summary.records = self.job.written.len() as u64;
        self.summary.exact = u64::from(self.is_exact);
        Ok(self.summary)
    }

    fn live_until_drained(&mut self) -> Result<Left, String> {
        loop {
            if let End::Drained(left) = self.live_once()? {
                return Ok(*left);
            }
        }
    }

    fn live_once(&mut self) -> Result<End, String> {
        self.may_fail = self.fate.is_disk_full() || self.fate.is_sink_away();
        let end = match self.begin()? {
            Some(life) => self.go_on(life)?,
            None => End::Again,
        };
        let death = self.fate.died();
        tracing::info!(step = self.summary.steps, ?death, "a life is over");
        match death {
            Some(Death::Machine) => self.summary.machine_deaths += 1,
            Some(Death::Process) => self.summary.process_deaths += 1,
            None => {}
        }
        let is_synced = self.job.config.checkpoint.order_sync;
        let keeps_order = death == Some(Death::Process) || death.is_none() || is_synced;
        self.is_exact &= keeps_order && (self.has_logs || matches!(end, End::Drained(_)));
        self.disk.die(death.unwrap_or(Death::Process));
        self.topics.iter().for_each(|topic| topic.lose_producer());
        self.fate.revive();
        if self.dice.per_mille(self.risks.flip) && !self.is_mended {
            self.disk.flip_a_bit();
        }
        Ok(end)
    }

    /// Recovers as `pelton run` does; none when there was a reason not to.
    fn begin(&mut self) -> Result<Option<Life>, String> {
        let there = self.disk.checkpoints();
        let newest = there.iter().rev().find(|(_, is_whole)| *is_whole).map(|(s, _)| *s);
        let (store, orders) = self.disk.places();
        let config = &self.job.config;
        let recovery =
            Recovery::from_places((config, &Device::Cpu), store, orders, self.fate.now());
        let mut recovery = match recovery {
            Err(Error::NoCheckpoint { .. }) if newest.is_none() && !there.is_empty() => {
                self.summary.refusals += 1;
                self.disk.repair();
                return Ok(None);
            }
            Err(error) => return self.excuse(&error).map(|()| None),
            Ok(_) if newest.is_none() && !there.is_empty() => {
                return Err("no checkpoint is whole, and the run began anew".into());
            }
            Ok(recovery) => recovery,
        };
        let good = recovery.keeping.as_ref().map(|k| k.writing.progress().good());
        if let Some(newest) = newest {
            if good != Some(newest) {
                return Err(format!("checkpoint {newest} is whole, {good:?} was gone on from"));
            }
            self.is_exact &= !self.disk.is_back(newest);
            self.summary.resumed += 1;
            self.summary.fallbacks += u64::from(there.last().is_some_and(|(_, whole)| !whole));
        }
        let known = self.cuts.get(&newest.unwrap_or(1)).cloned();
        self.order = known.ok_or("a checkpoint is there that nobody has taken")?;
        match self.plan.flaw {
            Some(Flaw::SkipsARecord) => {
                recovery.positions.first_mut().into_iter().for_each(|span| span.next += 1);
            }
            Some(Flaw::DoesNotSettle) => recovery.settle = Duration::ZERO,
            _ => {}
        }
        let script = std::mem::take(&mut recovery.script);
        let dice = Dice::new(self.dice.below(u64::MAX), "reader");
        let from = (&self.job, &self.written);
        let reader = Reader::new(from, &recovery.positions, script.clone(), dice, self.fate.now());
        let reader = SharedReader(Arc::new(Mutex::new(reader)));
        let sink =
            |topic: &Arc<Topic>| Some(Box::new(TopicSink(Arc::clone(topic))) as Box<dyn Sink>);
        let emit = Emit::with_sinks(config, self.topics.each_ref().map(sink));
        let (step, settle) = (self.summary.steps, recovery.settle);
        let batches = script.len();
        tracing::info!(step, ?newest, batches, ?settle, positions = ?recovery.positions, "begin");
        match Life::begin(config, recovery, (reader, emit), (&self.fate, self.plan.flaw)) {
            Ok(life) => Ok(Some(life)),
            Err(error) => self.excuse(&error).map(|()| None),
        }
    }

    /// Steps until the life is over.
    fn go_on(&mut self, mut life: Life) -> Result<End, String> {
        let mut idle = 0;
        while !life.is_over() {
            self.pass(&life);
            if self.step(&mut life) {
                idle = 0;
            } else {
                idle += 1;
                if self.is_mended && idle > STANDSTILL {
                    return Err("no stage can make a step, and the run does not end".into());
                }
            }
            if self.fate.died().is_some() {
                return Ok(End::Again);
            }
        }
        let has_ended = life.has_ended();
        match life.end() {
            _ if self.fate.died().is_some() => Ok(End::Again),
            Err(error) => self.excuse(&error).map(|()| End::Again),
            Ok((pipeline, totals)) if has_ended => {
                Ok(End::Drained(Box::new(Left { pipeline, totals })))
            }
            Ok(_) => {
                self.summary.stops += 1;
                Ok(End::Again)
            }
        }
    }

    /// An error is none of the engine's if something had gone wrong around it.
    fn excuse(&mut self, error: &Error) -> Result<(), String> {
        self.summary.errors += 1;
        let is_excused = self.may_fail || self.fate.died().is_some();
        if is_excused { Ok(()) } else { Err(format!("without a reason: {}", error.chain())) }
    }

    /// Time goes by, and things happen.
    fn pass(&mut self, life: &Life) {
        self.fate.pass();
        self.summary.steps += 1;
        if self.summary.steps > self.plan.steps {
            if !self.is_mended {
                self.is_mended = true;
                self.fate.mend();
                self.written.write(&self.job, usize::MAX);
            }
            life.end_source();
            self.topics.iter().for_each(|topic| topic.pass());
            return;
        }
        let Risks { death, machine, stop, disk, sink, burst, .. } = self.risks;
        if self.dice.per_mille(burst) {
            let count = 1 + self.dice.index(20);
            self.written.write(&self.job, count);
        }
        if self.dice.per_mille(death) {
            let is_machine = self.dice.per_mille(machine);
            let dies = if is_machine { Death::Machine } else { Death::Process };
            match self.dice.below(4) {
                0 => self.fate.die(dies),
                _ => self.fate.doom(self.dice.below(60), dies),
            }
        }
        if self.dice.per_mille(stop) {
            life.stop();
        }
        if self.dice.per_mille(if self.fate.is_disk_full() { 100 } else { disk }) {
            self.fate.fill_disk(!self.fate.is_disk_full());
        }
        if self.dice.per_mille(if self.fate.is_sink_away() { 100 } else { sink }) {
            self.fate.send_sink_away(!self.fate.is_sink_away());
        }
        self.may_fail |= self.fate.is_disk_full() || self.fate.is_sink_away();
        if self.dice.per_mille(100) {
            self.topics.iter().for_each(|topic| topic.pass());
        }
    }

    /// One step of some stage; false when none can make one.
    fn step(&mut self, life: &mut Life) -> bool {
        let mut at = self.dice.below(self.weights.iter().sum());
        let mut drawn = 0;
        while at >= self.weights[drawn] {
            at -= self.weights[drawn];
            drawn += 1;
        }
        for turn in 0..Stage::ALL.len() {
            let stage = Stage::ALL[(drawn + turn) % Stage::ALL.len()];
            match life.step(stage) {
                Move::None => continue,
                Move::Made => {}
                Move::Computed(runs) => self.note(&runs),
                Move::Cut(runs, sequence) => {
                    self.note(&runs);
                    self.cuts.insert(sequence, self.order.clone());
                }
            }
            return true;
        }
        false
    }

    fn note(&mut self, runs: &[(Arc<str>, i32, i64, i64)]) {
        for (topic, partition, first, next) in runs {
            let partition = self.job.partition(topic, *partition);
            self.order.extend(partition.map(|partition| (partition, *first, *next)));
        }
    }
}
