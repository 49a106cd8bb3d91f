//! Sixth stage: scores and dead letters go out.
//!
//! A [`Sink`] takes keyed records; what a record says is decided here, where it goes is the
//! sink's. A record that was handed over is never dropped: a sink that is full makes the sender
//! wait, and [`Sink::flush`] returns only when everything is delivered.

pub mod delivered;
pub mod file;
pub mod kafka;
mod records;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::stream::SinkConfig;
use crate::error::Error;
use crate::fail::fail_point;
use crate::ring::Slot;

use delivered::Delivered;
use records::{DeadLetters, ScoreRecords};

/// One record on its way out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Records of one key stay in order.
    pub key: &'a [u8],
    /// The record.
    pub payload: &'a [u8],
    /// Its event time, milliseconds since the epoch, if it has one.
    pub time_ms: Option<i64>,
    /// Named facts beside the payload.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// A point in what a sink has received: what is sent later lies behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkPosition {
    /// The end of a file.
    File {
        /// Its path.
        path: String,
        /// Its length.
        bytes: u64,
    },
    /// The ends of a topic's partitions.
    Kafka {
        /// The topic.
        topic: String,
        /// Partition and the offset its next record gets, or a later one.
        next: Vec<(i32, i64)>,
    },
}

/// Where records go.
pub trait Sink: Send {
    /// Hands a record over; waits while the sink is full.
    ///
    /// # Errors
    /// What ends the run: a topic that does not exist, a disk that is full.
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error>;

    /// Returns when every record handed over so far is delivered.
    ///
    /// # Errors
    /// As [`Sink::send`], and for records that could not be delivered.
    fn flush(&mut self) -> Result<(), Error>;

    /// Where the sink stands: every record sent from now on lies behind it.
    ///
    /// # Errors
    /// As [`Sink::send`].
    fn position(&mut self) -> Result<SinkPosition, Error>;

    /// Shows every record the sink holds behind `position`. A record that a crash tore is removed.
    /// Nothing is shown when the position is of another sink.
    ///
    /// # Errors
    /// As [`Sink::send`].
    fn tail(&mut self, position: &SinkPosition, delivered: &mut Delivered) -> Result<(), Error>;

    /// A batch has ended: a chance to look after deliveries without waiting for them.
    ///
    /// # Errors
    /// As [`Sink::send`].
    fn batch_done(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// The emit stage.
pub struct Emit {
    scores: Option<(ScoreRecords, Box<dyn Sink>)>,
    dead_letters: Option<(DeadLetters, Box<dyn Sink>)>,
    /// Scores and dead letters that an earlier run has sent.
    sent_before: [Delivered; 2],
}

/// Where both sinks stand.
pub type Positions = [Option<SinkPosition>; 2];

impl Emit {
    /// Opens the sinks of the configuration.
    ///
    /// # Errors
    /// What keeps a sink from opening.
    pub fn open(config: &Config) -> Result<Emit, Error> {
        let scores = open_sink(config, &config.emit.sink)?;
        let dead_letters = open_sink(config, &config.dead_letters)?;
        Ok(Emit {
            scores: scores.map(|sink| (ScoreRecords::new(config), sink)),
            dead_letters: dead_letters.map(|sink| (DeadLetters::default(), sink)),
            sent_before: Default::default(),
        })
    }

    /// Finds out what an earlier run has sent behind these positions, which is not sent again.
    /// Returns how many records that are.
    ///
    /// # Errors
    /// As [`Sink::tail`].
    pub fn resume(&mut self, positions: &Positions) -> Result<usize, Error> {
        let scores = self.scores.as_mut().map(|(_, sink)| sink);
        let letters = self.dead_letters.as_mut().map(|(_, sink)| sink);
        for (index, sink) in [scores, letters].into_iter().enumerate() {
            if let (Some(sink), Some(position)) = (sink, &positions[index]) {
                sink.tail(position, &mut self.sent_before[index])?;
            }
        }
        Ok(self.sent_before.iter().map(Delivered::left).sum())
    }

    /// Where the sinks of scores and of dead letters stand.
    ///
    /// # Errors
    /// As [`Sink::position`].
    pub fn positions(&mut self) -> Result<Positions, Error> {
        let scores = self.scores.as_mut().map(|(_, sink)| sink.position()).transpose()?;
        let letters = self.dead_letters.as_mut().map(|(_, sink)| sink.position()).transpose()?;
        Ok([scores, letters])
    }

    /// Writes the scores and the dead letters of a batch.
    ///
    /// # Errors
    /// As [`Sink::send`].
    pub fn run(&mut self, slot: &Slot) -> Result<(), Error> {
        let [sent_scores, sent_letters] = &mut self.sent_before;
        if let Some((records, sink)) = &mut self.scores {
            for row in 0..slot.rows {
                if !sent_scores.passes_over(&slot.spans, slot.positions[row]) {
                    sink.send(&records.render(slot, row))?;
                }
            }
            sink.batch_done()?;
        }
        fail_point("emit::scores_sent").map_err(Error::file("write", "scores"))?;
        if let Some((letters, sink)) = &mut self.dead_letters {
            for reject in &slot.rejects {
                if !sent_letters.passes_over(&slot.spans, reject.position) {
                    letters.send(slot, reject, sink.as_mut())?;
                }
            }
            sink.batch_done()?;
        }
        Ok(())
    }

    /// Waits until everything is delivered.
    ///
    /// # Errors
    /// As [`Sink::flush`].
    pub fn flush(&mut self) -> Result<(), Error> {
        if let Some((_, sink)) = &mut self.scores {
            sink.flush()?;
        }
        if let Some((_, sink)) = &mut self.dead_letters {
            sink.flush()?;
        }
        Ok(())
    }
}

fn open_sink(config: &Config, sink: &SinkConfig) -> Result<Option<Box<dyn Sink>>, Error> {
    Ok(match sink {
        SinkConfig::None => None,
        SinkConfig::File(path) => Some(Box::new(file::FileSink::open(path)?)),
        SinkConfig::Kafka(topic) => {
            Some(Box::new(kafka::KafkaSink::open(&config.kafka, config.emit.linger_ms, topic)?))
        }
    })
}
