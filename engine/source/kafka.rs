//! Events and labels from Kafka topics, as one stream ordered by event time while it is behind.
//!
//! One thread reads all partitions of all topics that the consumer group gives us. Each has a
//! [queue] of its own; [`Merge`] says whose record is next, and the record is decoded
//! straight into the slot from the memory it was received in. A record that cannot be decoded
//! becomes a reject of the batch with its topic, partition, offset and bytes.
//!
//! Invariant: the spans of a slot name, for every partition we read, the offset after the last
//! record that was put into a slot. That is all a restart needs; what the group has committed is
//! for dashboards. While no broker can be reached the source waits, as for records.

mod callbacks;
mod decode;
pub mod group;
pub mod hold;
mod lane;
pub mod membership;
pub mod merge;
pub mod messages;
pub mod queue;
pub mod script;
mod subscription;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::checkpoint::order::BatchOrder;
use crate::config::Config;
use crate::config::stream::KafkaConfig;
use crate::error::Error;
use crate::ring::{Lead, Position, Slot, Span};
use crate::source::decode::device::DeviceReader;
use crate::source::{Progress, Source};
use crate::watchdog::{Doing, Heart};

use group::{Change, From, Group, Partition};
use hold::Hold;
use lane::{Lane, is_before};
use merge::{Merge, Stand};
use messages::Messages;
use queue::{Bell, Front, PartitionQueue};
use script::{Script, Step};

pub use decode::Decode;
pub use subscription::Subscription;

/// Opens the source of a configuration; partitions that `resume` names are read on from there, at
/// first in the order of `script`.
///
/// # Errors
/// As [`KafkaSource::open`]; [`Error::Usage`] when the configuration names no topics.
pub fn open(
    config: &Config,
    resume: &[Span],
    script: Vec<BatchOrder>,
) -> Result<Box<dyn Source>, Error> {
    let subscription = Subscription::of(config).ok_or_else(|| Error::Usage {
        what: "the configuration names no Kafka topics".into(),
        remedy: "give [source] topics".into(),
    })?;
    let decode = Messages::new(config);
    let mut source = KafkaSource::open(&config.kafka, &subscription, decode, resume)?;
    source.follow(script);
    Ok(Box::new(source))
}

/// How often lag is shown.
const LAG_EVERY: Duration = Duration::from_secs(1);
/// The group is served at least this often while records are waited for.
const SERVE_EVERY: Duration = Duration::from_millis(500);

/// The source.
pub struct KafkaSource<D> {
    // Lanes hold records, which must be freed before the client: they are dropped first.
    lanes: Vec<Lane>,
    merge: Merge,
    script: Script,
    group: Group,
    bell: Arc<Bell>,
    decode: D,
    label_topic: Option<String>,
    stop_at_end: bool,
    hold: Option<Duration>,
    batch_bytes_max: usize,
    /// Bytes of the records in the slot that is being filled.
    batch_bytes: usize,
    served_at: Instant,
    lag_at: Instant,
    heart: Heart,
}

impl<D: Decode> KafkaSource<D> {
    /// Joins the group; partitions that `resume` names are read on from there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a property that librdkafka does not take; [`Error::Kafka`] when no
    /// broker answers within 30 s, refuses us, or a topic does not exist.
    pub fn open(
        kafka: &KafkaConfig,
        subscription: &Subscription,
        decode: D,
        resume: &[Span],
    ) -> Result<KafkaSource<D>, Error> {
        let bell = Bell::new();
        let mut group = Group::join(kafka, subscription, &bell)?;
        group.resume_from(resume.iter().map(|s| ((Arc::clone(&s.topic), s.partition), s.next)));
        Ok(KafkaSource {
            lanes: Vec::new(),
            merge: Merge::default(),
            script: Script::default(),
            group,
            bell,
            decode,
            label_topic: subscription.label_topic.clone(),
            stop_at_end: subscription.stop_at_end,
            hold: subscription.hold,
            batch_bytes_max: subscription.batch_bytes_max,
            batch_bytes: 0,
            served_at: Instant::now(),
            lag_at: Instant::now(),
            heart: Heart::default(),
        })
    }

    /// Reads the next batches in this order, before the traffic decides again.
    pub fn follow(&mut self, script: Vec<BatchOrder>) {
        self.script = Script::new(script);
    }

    /// Records not yet read of each partition, as far as it is known.
    pub fn lag(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.lanes.iter().filter_map(|lane| {
            let behind = lane.queue.high()?.saturating_sub(lane.next).max(0);
            Some((&*lane.name.0, lane.name.1, behind))
        })
    }

    fn serve_group(&mut self) -> Result<(), Error> {
        let _asks = self.heart.meanwhile(Doing::WaitsForBroker);
        self.served_at = Instant::now();
        for change in self.group.serve()? {
            match change {
                Change::Revoked(gone) => {
                    tracing::info!(?gone, "partitions handed back");
                    for lane in self.lanes.extract_if(.., |lane| gone.contains(&lane.name)) {
                        self.group.left_at(lane.name.clone(), lane.next);
                    }
                }
                Change::Assigned(ours) => {
                    tracing::info!(?ours, "partitions assigned");
                    // Queues first: records fetched before would go to the common queue.
                    for (name, from) in &ours {
                        let lane = self.lane(name.clone(), *from);
                        self.lanes.extend(lane);
                    }
                    self.group.begin(&ours)?;
                }
            }
            metrics::counter!("pelton_kafka_rebalances_total").increment(1);
            self.rank_lanes();
        }
        Ok(())
    }

    fn lane(&self, name: Partition, from: From) -> Option<Lane> {
        let queue = PartitionQueue::open(self.group.consumer(), &name.0, name.1, &self.bell)?;
        Some(Lane {
            is_label: self.label_topic.as_deref() == Some(&*name.0),
            name,
            queue,
            next: from.next,
            not_before_ms: from.not_before_ms,
            end_at: -1,
            has_ended: false,
            time_ms: i64::MIN,
            span: None,
            is_new: true,
            hold: Hold::new(self.hold),
        })
    }

    /// Labels before events, then by name: the same ranks whatever order the group gave them in.
    fn rank_lanes(&mut self) {
        self.lanes.sort_by(|a, b| (!a.is_label, &a.name).cmp(&(!b.is_label, &b.name)));
        self.merge = Merge::new(self.lanes.len());
    }

    /// Asks every partition that had nothing what it has now.
    fn look(&mut self) -> Result<(), Error> {
        for rank in 0..self.lanes.len() {
            if !matches!(self.merge.stand(rank), Stand::Ready(_)) {
                self.tell(rank)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, rank: usize) -> Result<(), Error> {
        let stand = self.stand(rank)?;
        self.merge.tell(rank, stand);
        Ok(())
    }

    /// What the partition has; ends on the way are noted and passed.
    fn stand(&mut self, rank: usize) -> Result<Stand, Error> {
        let lane = &mut self.lanes[rank];
        loop {
            match lane.queue.front() {
                Some(Front::Record(record)) if is_before(&record, lane.not_before_ms) => {
                    lane.next = record.offset() + 1;
                    lane.queue.pass();
                }
                Some(Front::Record(record)) => {
                    lane.not_before_ms = None;
                    let time = match lane.is_label {
                        true => self.decode.label_time_ms(&record),
                        false => self.decode.event_time_ms(&record),
                    };
                    lane.time_ms = time.unwrap_or(lane.time_ms);
                    let stand = Stand::Ready(lane.time_ms);
                    return Ok(lane.hold.judge(stand, self.served_at, &lane.name.0, lane.name.1));
                }
                Some(Front::End(offset)) => {
                    lane.end_at = offset.max(lane.next);
                    lane.queue.pass();
                    self.group.heard();
                }
                Some(Front::Failed(code)) => {
                    lane.queue.pass();
                    self.group.judge_code(code)?;
                }
                None => break,
            }
        }
        let is_at_end =
            lane.end_at >= lane.next || lane.queue.high().is_some_and(|high| lane.next >= high);
        lane.has_ended |= is_at_end;
        let stand = if is_at_end { Stand::AtEnd } else { Stand::Behind };
        Ok(lane.hold.judge(stand, Instant::now(), &lane.name.0, lane.name.1))
    }

    /// Moves records into the slot as the script says, to the end of its batch.
    fn fill_led(&mut self, slot: &mut Slot) -> Result<bool, Error> {
        let mut has_read = false;
        slot.lead = Lead::Led;
        while !self.is_full(slot) {
            let place = |topic: &str, partition: i32| {
                self.lanes.iter().position(|l| l.name.1 == partition && *l.name.0 == *topic)
            };
            match self.script.step(place, |rank| self.lanes[rank].next, Instant::now()) {
                Step::Read(rank) => {
                    self.stand(rank)?;
                    if !self.decode_front(rank, slot)? {
                        break;
                    }
                    has_read = true;
                }
                Step::Wait => break,
                step => {
                    slot.is_cut = !slot.is_empty();
                    if step == Step::End {
                        slot.lead = if slot.is_cut { Lead::LedToTheEnd } else { Lead::Free };
                        self.rank_lanes();
                    }
                    break;
                }
            }
        }
        Ok(has_read)
    }

    /// Moves records into the slot until it is full or nothing more can be said to be next.
    fn fill(&mut self, slot: &mut Slot) -> Result<bool, Error> {
        let mut has_read = false;
        while !self.is_full(slot)
            && let Some(rank) = self.merge.take()
        {
            self.name_new_lanes(slot);
            has_read = true;
            self.decode_front(rank, slot)?;
            if self.merge.is_alone() {
                while !self.is_full(slot) && self.decode_front(rank, slot)? {}
            }
            self.tell(rank)?;
        }
        Ok(has_read)
    }

    /// Decodes the partition's record at hand; false when there is none.
    fn decode_front(&mut self, rank: usize, slot: &mut Slot) -> Result<bool, Error> {
        let lane = &mut self.lanes[rank];
        let Some(Front::Record(record)) = lane.queue.front() else { return Ok(false) };
        let span = *lane.span.get_or_insert_with(|| slot.span_index(&lane.name.0, lane.name.1));
        let position = Position { span, offset: record.offset() };
        if lane.is_label {
            self.decode.label(&record, position, slot);
        } else {
            self.decode.event(&record, position, slot)?;
        }
        self.batch_bytes += record.body().len();
        let first = std::mem::replace(&mut lane.next, position.offset + 1);
        slot.spans[span as usize].next = lane.next;
        slot.note_run(span, first, lane.next);
        lane.queue.pass();
        Ok(true)
    }

    /// Partitions that no checkpoint can know yet are named along with the first record, so that a
    /// restart does not ask again where to start them; not while an order log leads, since what is
    /// named then goes to no log.
    fn name_new_lanes(&mut self, slot: &mut Slot) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_new) {
            let span = slot.span_index(&lane.name.0, lane.name.1);
            slot.spans[span as usize].next = lane.next;
            slot.note_run(span, lane.next, lane.next);
            lane.is_new = false;
        }
    }

    /// Labels have no limit of their own in a slot; a long run of them fills it too.
    fn is_full(&self, slot: &Slot) -> bool {
        let is_long = slot.labels.len() >= slot.rows_max() || slot.is_full_of_rejects();
        slot.is_full() || is_long || self.batch_bytes >= self.batch_bytes_max
    }

    fn show_lag(&mut self) {
        self.lag_at = Instant::now();
        for (topic, partition, lag) in self.lag() {
            let of = [("topic", topic.to_owned()), ("partition", partition.to_string())];
            metrics::gauge!("pelton_kafka_lag_records", &of).set(lag as f64);
        }
    }

    fn has_ended(&self) -> bool {
        self.stop_at_end && !self.lanes.is_empty() && self.lanes.iter().all(|lane| lane.has_ended)
    }
}

impl<D: Decode> Source for KafkaSource<D> {
    fn read(&mut self, slot: &mut Slot, until: Instant) -> Result<Progress, Error> {
        self.lanes.iter_mut().for_each(|lane| lane.span = None);
        if slot.is_empty() {
            self.batch_bytes = 0;
        }
        let mut has_read = false;
        loop {
            self.serve_group()?;
            if self.lag_at.elapsed() >= LAG_EVERY {
                self.show_lag();
            }
            slot.mark_arrival();
            has_read |= if self.script.is_done() {
                self.look()?;
                self.fill(slot)?
            } else {
                self.fill_led(slot)?
            };
            if has_read {
                self.group.heard();
            }
            let was_full = self.is_full(slot);
            self.decode.finish(slot)?;
            if self.is_full(slot) || slot.is_cut {
                return Ok(Progress::Full);
            }
            // Records that became rejects leave room.
            if was_full {
                continue;
            }
            if self.script.is_done() && self.has_ended() && !has_read {
                return Ok(Progress::Ended);
            }
            if has_read || Instant::now() >= until {
                return Ok(Progress::Waiting);
            }
            self.bell.wait_until(until.min(self.served_at + SERVE_EVERY));
        }
    }

    fn watched_by(&mut self, heart: &Heart) {
        self.heart = heart.clone();
    }

    fn read_by(&mut self, reader: DeviceReader) -> bool {
        self.decode.read_by(reader)
    }

    fn acknowledge(&mut self, spans: &[Span]) -> Result<(), Error> {
        for span in spans {
            self.group.processed((Arc::clone(&span.topic), span.partition), span.next);
        }
        Ok(())
    }
}
