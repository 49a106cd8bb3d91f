//! A topic that scores or dead letters go to, and the producer that writes there.
//!
//! A record that was sent is on its way until it lands; those of a partition land in their order,
//! each once. What is on its way when the producer dies may still land: some of it, and until the
//! topic has been left to settle, later than the next producer's first records.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pelton_kernels::hash;

use super::fate::{Fate, Reach};
use crate::emit::delivered::Delivered;
use crate::emit::{Record, Sink, SinkPosition};
use crate::error::Error;

/// So many records may be on their way.
const IN_FLIGHT_MAX: usize = 60;

/// A record of the topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// The record.
    pub payload: Vec<u8>,
    /// Named facts beside it.
    pub headers: Vec<(String, Vec<u8>)>,
}

#[derive(Default)]
struct Partition {
    stored: Vec<Stored>,
    /// Sent, and not landed.
    in_flight: VecDeque<Stored>,
    /// The same of a producer that is dead.
    left_over: VecDeque<Stored>,
}

/// A topic.
pub struct Topic {
    name: &'static str,
    fate: Arc<Fate>,
    partitions: Mutex<Vec<Partition>>,
}

impl Topic {
    /// An empty topic of so many partitions.
    #[must_use]
    pub fn new(name: &'static str, fate: &Arc<Fate>, partitions: usize) -> Arc<Topic> {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        Arc::new(Topic { name, fate: Arc::clone(fate), partitions: Mutex::new(partitions) })
    }

    /// Every record, partition by partition.
    #[must_use]
    pub fn records(&self) -> Vec<Stored> {
        self.partitions().iter().flat_map(|partition| partition.stored.clone()).collect()
    }

    /// The producer is gone: of what was on its way some will land, the rest never.
    pub fn lose_producer(&self) {
        for partition in self.partitions().iter_mut() {
            partition.stored.extend(partition.left_over.drain(..));
            let mut lands = std::mem::take(&mut partition.in_flight);
            lands.truncate(self.fate.index(lands.len() + 1));
            partition.left_over = lands;
        }
    }

    /// Time goes by: something of a dead producer may land.
    pub fn pass(&self) {
        for partition in self.partitions().iter_mut() {
            let landing = self.fate.index(partition.left_over.len() + 1);
            partition.stored.extend(partition.left_over.drain(..landing));
        }
    }

    fn partitions(&self) -> MutexGuard<'_, Vec<Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records land until at most so many are on their way, each an effect of its own.
    fn land(&self, left_max: usize) -> Result<(), Error> {
        let mut partitions = self.partitions();
        let mut left: usize = partitions.iter().map(|p| p.in_flight.len()).sum();
        while left > left_max {
            let rank = self.fate.index(partitions.len());
            let Some(record) = partitions[rank].in_flight.pop_front() else { continue };
            match self.fate.effect() {
                Reach::Whole => partitions[rank].stored.push(record),
                Reach::Part | Reach::Nothing => partitions[rank].in_flight.push_front(record),
            }
            self.fate.answer().map_err(|error| self.failed(error))?;
            left -= 1;
        }
        Ok(())
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::file("write", self.name)(error)
    }

    fn is_away(&self) -> Result<(), Error> {
        let away = || self.failed(std::io::Error::from(std::io::ErrorKind::TimedOut));
        if self.fate.is_sink_away() { Err(away()) } else { Ok(()) }
    }
}

/// A producer.
pub struct TopicSink(pub Arc<Topic>);

impl Sink for TopicSink {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let topic = &*self.0;
        if topic.fate.effect() == Reach::Whole {
            let mut partitions = topic.partitions();
            let headers = record.headers.iter().map(|(n, v)| ((*n).to_owned(), v.to_vec()));
            let stored = Stored { payload: record.payload.to_vec(), headers: headers.collect() };
            let rank = hash::hash_bytes(record.key) as usize % partitions.len();
            partitions[rank].in_flight.push_back(stored);
        }
        topic.fate.answer().map_err(|error| topic.failed(error))?;
        let on_the_way: usize = topic.partitions().iter().map(|p| p.in_flight.len()).sum();
        if on_the_way > IN_FLIGHT_MAX {
            topic.is_away()?;
            topic.land(IN_FLIGHT_MAX)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.0.is_away()?;
        self.0.land(0)
    }

    fn batch_done(&mut self) -> Result<(), Error> {
        if self.0.fate.is_sink_away() {
            return Ok(());
        }
        let left_max = self.0.fate.index(2 * IN_FLIGHT_MAX);
        self.0.land(left_max)
    }

    fn position(&mut self) -> Result<SinkPosition, Error> {
        let partitions = self.0.partitions();
        let next = partitions.iter().enumerate();
        let next = next.map(|(rank, p)| (rank as i32, p.stored.len() as i64)).collect();
        Ok(SinkPosition::Kafka { topic: self.0.name.to_owned(), next })
    }

    fn tail(
        &mut self,
        position: &SinkPosition,
        settle: Duration,
        delivered: &mut Delivered,
    ) -> Result<(), Error> {
        let SinkPosition::Kafka { next, .. } = position else { return Ok(()) };
        let mut partitions = self.0.partitions();
        for (rank, partition) in partitions.iter_mut().enumerate() {
            if !settle.is_zero() {
                partition.stored.extend(partition.left_over.drain(..));
            }
            let from = next.iter().find(|(p, _)| *p == rank as i32).map_or(0, |(_, n)| *n);
            for record in partition.stored.iter().skip(usize::try_from(from).unwrap_or(0)) {
                if let Some((topic, partition, offset)) = record.origin() {
                    delivered.note(&topic, partition, offset);
                }
            }
        }
        Ok(())
    }
}

/// The record that an output was made from: topic, partition, offset.
pub type Origin = (String, i32, i64);

impl Stored {
    /// Where it came from, as it says itself.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        if self.headers.is_empty() {
            let score: serde_json::Value = serde_json::from_slice(&self.payload).ok()?;
            let partition = i32::try_from(score["partition"].as_i64()?).ok()?;
            return Some((
                score["topic"].as_str()?.to_owned(),
                partition,
                score["offset"].as_i64()?,
            ));
        }
        let header = |wanted: &str| {
            let (_, value) = self.headers.iter().find(|(name, _)| name == wanted)?;
            std::str::from_utf8(value).ok()
        };
        let (partition, offset) = (header("partition")?.parse(), header("offset")?.parse());
        Some((header("topic")?.to_owned(), partition.ok()?, offset.ok()?))
    }
}
