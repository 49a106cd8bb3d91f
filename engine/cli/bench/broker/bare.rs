//! The floor: what the client library costs when nothing is done with the records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pelton::config::stream::{KafkaConfig, Start};
use pelton::emit::kafka::KafkaSink;
use pelton::emit::{Record as Outgoing, Sink};
use pelton::error::Error;
use pelton::source::kafka::Subscription;
use pelton::source::kafka::group::{Change, Group};
use pelton::source::kafka::queue::{Bell, Front, PartitionQueue, Record};

/// As large as a score record of the example.
const SCORE_BYTES: usize = 170;
/// The group is served, and the end looked for, at least this often.
const SERVE_EVERY: Duration = Duration::from_millis(20);
/// Records of a partition that are read before the others are looked at.
const RECORDS_PER_TURN: usize = 4096;

/// Reads all partitions of some topics in no particular order, straight from the client's queues.
pub struct Reader {
    // The lanes hold records, which must be freed before the client: they are dropped first.
    lanes: Vec<Lane>,
    group: Group,
    bell: Arc<Bell>,
    first_topic: String,
}

struct Lane {
    queue: PartitionQueue,
    is_first_topic: bool,
    is_at_end: bool,
}

impl Reader {
    /// Connects; every topic is read from its beginning.
    pub fn open(kafka: &KafkaConfig, topics: &[&str]) -> Result<Reader, Error> {
        let bell = Bell::new();
        let subscription = Subscription {
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            label_topic: None,
            group: format!("{}-bare", topics[0]),
            alone: true,
            partition: None,
            member: None,
            start: Start::Earliest,
            stop_at_end: false,
            batch_bytes_max: usize::MAX,
            hold: None,
        };
        let group = Group::join(kafka, &subscription, &bell)?;
        Ok(Reader { lanes: Vec::new(), group, bell, first_topic: topics[0].to_owned() })
    }

    /// Hands what is at hand to `take`, with whether it is of the first topic, and waits a little
    /// when there is nothing; false when all partitions were at their ends.
    pub fn read(
        &mut self,
        mut take: impl FnMut(&Record<'_>, bool) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        self.serve_group()?;
        let mut has_read = false;
        for lane in &mut self.lanes {
            for _ in 0..RECORDS_PER_TURN {
                match lane.queue.front() {
                    Some(Front::Record(record)) => take(&record, lane.is_first_topic)?,
                    Some(Front::End(_)) => lane.is_at_end = true,
                    Some(Front::Failed(code)) => {
                        self.group.judge_code(code)?;
                    }
                    None => break,
                }
                lane.queue.pass();
                has_read = true;
            }
        }
        if !has_read {
            self.bell.wait_until(Instant::now() + SERVE_EVERY);
        }
        let is_at_end = !has_read && self.lanes.iter().all(|lane| lane.is_at_end);
        Ok(self.lanes.is_empty() || !is_at_end)
    }

    fn serve_group(&mut self) -> Result<(), Error> {
        for change in self.group.serve()? {
            let Change::Assigned(ours) = change else { continue };
            for ((topic, partition), _) in &ours {
                let consumer = self.group.consumer();
                let queue = PartitionQueue::open(consumer, topic, *partition, &self.bell);
                let is_first_topic = **topic == *self.first_topic;
                self.lanes.extend(queue.map(|queue| Lane {
                    queue,
                    is_first_topic,
                    is_at_end: false,
                }));
            }
            self.group.begin(&ours)?;
        }
        Ok(())
    }
}

/// Writes a record for each one read of the first topic, keyed by its offset; once `may_end`, ends
/// where the topics end, with everything delivered. Returns how many it wrote.
pub fn copy(reader: &mut Reader, sink: &mut KafkaSink, may_end: &AtomicBool) -> Result<u64, Error> {
    let payload = [b'x'; SCORE_BYTES];
    let (mut count, mut key) = (0, itoa::Buffer::new());
    loop {
        let ends = may_end.load(Ordering::Relaxed);
        let has_more = reader.read(|record, is_event| {
            if !is_event {
                return Ok(());
            }
            count += 1;
            let key = key.format(record.offset()).as_bytes();
            sink.send(&Outgoing { key, payload: &payload, time_ms: record.time_ms(), headers: &[] })
        })?;
        if ends && !has_more {
            break;
        }
        // As the engine after each batch: a chance to see what could not be delivered.
        sink.batch_done()?;
    }
    sink.flush()?;
    Ok(count)
}
