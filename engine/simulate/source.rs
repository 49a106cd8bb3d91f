//! The source of a simulation: partitions in memory, read as the Kafka source reads its own.
//!
//! Their records are there from the moment they were written, in bursts; a process that starts
//! again is given its partitions one by one, and fetches are short or late as it happens. Led by an
//! order log it follows the real [`Script`]; free, the dice decide whose record is next, as traffic
//! would.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::dice::Dice;
use super::job::{Job, Partition};
use crate::checkpoint::order::BatchOrder;
use crate::config::Config;
use crate::error::Error;
use crate::ring::{Lead, Position, Slot, Span};
use crate::schema::Schema;
use crate::source::decode::{self, LabelNames, MessageParts, Names};
use crate::source::kafka::messages::label_fields;
use crate::source::kafka::script::{Script, Step};
use crate::source::{Progress, Source};

/// Makes rows and labels of the records of a job.
pub struct Decoder {
    schema: Schema,
    names: Names,
    labels: LabelNames,
}

impl Decoder {
    /// The decoder of this configuration.
    #[must_use]
    pub fn new(config: &Config) -> Decoder {
        let bytes_max = config.event.record_bytes_max;
        let names = Names::of_events(config);
        let labels = LabelNames::new(label_fields(&config.labels), bytes_max);
        Decoder { schema: config.event.schema.clone(), names, labels }
    }

    /// Adds a record of a partition to the slot, which is not full, behind all that is there.
    pub fn decode(&self, partition: &Partition, at: usize, span: u32, slot: &mut Slot) {
        let entry = &partition.entries[at];
        let message = MessageParts {
            payload: &entry.payload,
            timestamp_ms: Some(entry.time_ms),
            ..MessageParts::default()
        };
        let position = Position { span, offset: entry.offset };
        if partition.is_label {
            decode::label(&self.schema.label, &self.labels, slot, &message, position);
        } else {
            decode::event(&self.schema, &self.names, slot, &message, position);
        }
    }
}

/// Labels and rejects have no limit of their own in a slot; a long run of them fills it too.
#[must_use]
pub fn is_full(slot: &Slot) -> bool {
    let rows_max = slot.rows_max();
    slot.is_full() || slot.labels.len() >= rows_max || slot.rejects.len() >= rows_max
}

/// What has been written so far, by whomever; outlives every process.
pub struct Written {
    /// Records of each partition.
    counts: Mutex<Vec<usize>>,
    /// Records of all of them.
    total: Mutex<usize>,
}

impl Written {
    /// Nothing.
    #[must_use]
    pub fn new(job: &Job) -> Arc<Written> {
        let counts = Mutex::new(vec![0; job.partitions.len()]);
        Arc::new(Written { counts, total: Mutex::new(0) })
    }

    /// Writes the next so many records; false when there are no more.
    pub fn write(&self, job: &Job, count: usize) -> bool {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let until = total.saturating_add(count).min(job.written.len());
        for &rank in &job.written[*total..until] {
            counts[rank] += 1;
        }
        *total = until;
        until < job.written.len()
    }

    fn of(&self, partition: usize) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)[partition]
    }
}

/// A partition that is ours.
struct Lane {
    partition: usize,
    next: i64,
    /// Index of the record read next.
    at: usize,
    span: Option<u32>,
    is_new: bool,
}

/// The state of a source: shared with whoever asks whether it has anything.
pub struct Reader {
    job: Arc<Job>,
    written: Arc<Written>,
    decoder: Decoder,
    dice: Dice,
    lanes: Vec<Lane>,
    /// Partitions that will be ours, and where they are read from.
    to_come: Vec<(usize, i64)>,
    script: Script,
    /// Whether records are read in the order of their times, as a backlog is.
    by_time: bool,
    now: Instant,
    /// Whether nothing more will be written.
    is_last: bool,
    /// Asks the engine to end.
    stop: Arc<AtomicBool>,
}

impl Reader {
    /// Reads on from these positions, at first in the order of the script.
    #[must_use]
    pub fn new(
        (job, written): (&Arc<Job>, &Arc<Written>),
        resume: &[Span],
        script: Vec<BatchOrder>,
        mut dice: Dice,
        now: Instant,
    ) -> Reader {
        let from = |partition: &Partition| {
            let of = |s: &&Span| s.partition == partition.number && s.topic == partition.topic;
            resume.iter().find(of).map_or(0, |span| span.next)
        };
        Reader {
            to_come: job.partitions.iter().map(from).enumerate().collect(),
            by_time: dice.per_mille(300),
            decoder: Decoder::new(&job.config),
            job: Arc::clone(job),
            written: Arc::clone(written),
            dice,
            lanes: Vec::new(),
            script: Script::new(script),
            now,
            is_last: false,
            stop: Arc::default(),
        }
    }

    /// What is raised when the engine should end.
    #[must_use]
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Nothing more will be written: the source ends with what is there.
    pub fn end(&mut self) {
        self.is_last = true;
    }

    /// Whether a batch can be read without waiting for someone to write.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let has_more = |lane: &Lane| self.written.of(lane.partition) > lane.at;
        let is_behind = |&(partition, next): &(usize, i64)| {
            self.written.of(partition) > first_at(&self.job.partitions[partition], next)
        };
        self.is_last
            || !self.script.is_done()
            || self.lanes.iter().any(has_more)
            || self.to_come.iter().any(is_behind)
    }

    /// A batch was begun for the end of the script, and nothing is at hand behind it: while the
    /// engine waits, someone writes a record or, when all is written, asks it to end.
    fn wait(&self) {
        if !self.is_ready() && !self.written.write(&self.job, 1) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn read(&mut self, slot: &mut Slot) -> Progress {
        self.lanes.iter_mut().for_each(|lane| lane.span = None);
        self.be_given_partitions();
        slot.mark_arrival();
        let is_led = !self.script.is_done();
        let has_read = if is_led { self.fill_led(slot) } else { self.fill(slot) };
        if is_full(slot) || slot.is_cut {
            return Progress::Full;
        }
        let is_at_end = |lane: &Lane| lane.at >= self.written.of(lane.partition);
        let has_ended = self.is_last && self.to_come.is_empty() && self.lanes.iter().all(is_at_end);
        if self.script.is_done() && has_ended && !has_read {
            return Progress::Ended;
        }
        if slot.is_empty() {
            self.wait();
        }
        Progress::Waiting
    }

    /// Labels before events, then by number, as the Kafka source ranks them.
    fn be_given_partitions(&mut self) {
        while !self.to_come.is_empty() && self.dice.per_mille(600) {
            let (partition, next) = self.to_come.swap_remove(self.dice.index(self.to_come.len()));
            let at = first_at(&self.job.partitions[partition], next);
            self.lanes.push(Lane { partition, next, at, span: None, is_new: true });
            self.lanes.sort_by_key(|lane| {
                let partition = &self.job.partitions[lane.partition];
                (!partition.is_label, partition.number)
            });
        }
    }

    fn fill_led(&mut self, slot: &mut Slot) -> bool {
        let mut has_read = false;
        slot.lead = Lead::Led;
        while !is_full(slot) {
            let place = |topic: &str, number: i32| {
                let partition = self.job.partition(topic, number);
                self.lanes.iter().position(|lane| Some(lane.partition) == partition)
            };
            match self.script.step(place, |rank| self.lanes[rank].next, self.now) {
                Step::Read(rank) => {
                    if self.dice.per_mille(30) {
                        break;
                    }
                    if !self.decode_next(rank, slot) {
                        break;
                    }
                    has_read = true;
                }
                Step::Wait => break,
                step => {
                    slot.is_cut = !slot.is_empty();
                    if step == Step::End {
                        slot.lead = if slot.is_cut { Lead::LedToTheEnd } else { Lead::Free };
                    }
                    break;
                }
            }
        }
        has_read
    }

    fn fill(&mut self, slot: &mut Slot) -> bool {
        let mut has_read = false;
        let mut left = 1 + self.dice.index(2 * slot.rows_max());
        while left > 0 && !is_full(slot) {
            let Some(rank) = self.whose_turn() else { break };
            self.name_new_lanes(slot);
            let run = if self.by_time { 1 } else { 1 + self.dice.index(12) };
            for _ in 0..run.min(left) {
                if is_full(slot) || !self.decode_next(rank, slot) {
                    break;
                }
                has_read = true;
                left -= 1;
            }
        }
        has_read
    }

    fn whose_turn(&mut self) -> Option<usize> {
        let time = |lane: &Lane| self.job.partitions[lane.partition].entries[lane.at].time_ms;
        let has_more = |lane: &Lane| lane.at < self.written.of(lane.partition);
        let ready = self.lanes.iter().enumerate().filter(|(_, lane)| has_more(lane));
        if self.by_time {
            return ready.min_by_key(|(_, lane)| time(lane)).map(|(rank, _)| rank);
        }
        let ready: Vec<usize> = ready.map(|(rank, _)| rank).collect();
        (!ready.is_empty()).then(|| ready[self.dice.index(ready.len())])
    }

    fn decode_next(&mut self, rank: usize, slot: &mut Slot) -> bool {
        let lane = &mut self.lanes[rank];
        if lane.at >= self.written.of(lane.partition) {
            return false;
        }
        let partition = &self.job.partitions[lane.partition];
        let number = partition.number;
        let span = *lane.span.get_or_insert_with(|| slot.span_index(&partition.topic, number));
        self.decoder.decode(partition, lane.at, span, slot);
        let next = partition.entries[lane.at].offset + 1;
        let first = std::mem::replace(&mut lane.next, next);
        lane.at += 1;
        slot.spans[span as usize].next = next;
        slot.note_run(span, first, next);
        true
    }

    fn name_new_lanes(&mut self, slot: &mut Slot) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_new) {
            let partition = &self.job.partitions[lane.partition];
            let span = slot.span_index(&partition.topic, partition.number);
            slot.spans[span as usize].next = lane.next;
            slot.note_run(span, lane.next, lane.next);
            lane.is_new = false;
        }
    }
}

/// The index of the first record at or behind an offset.
#[must_use]
pub fn first_at(partition: &Partition, offset: i64) -> usize {
    partition.entries.partition_point(|entry| entry.offset < offset)
}

/// A reader as the engine takes it.
pub struct SharedReader(pub Arc<Mutex<Reader>>);

impl SharedReader {
    /// The reader.
    pub fn lock(&self) -> MutexGuard<'_, Reader> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for SharedReader {
    fn read(&mut self, slot: &mut Slot, _until: Instant) -> Result<Progress, Error> {
        Ok(self.lock().read(slot))
    }
}
