//! Sixth stage: scores and dead letters go out.
//!
//! A [`Sink`] takes keyed records; what a record says is decided here, where it goes is the
//! sink's. A record that was handed over is never dropped: a sink that is full makes the sender
//! wait, and [`Sink::flush`] returns only when everything is delivered.

pub mod file;
pub mod kafka;
mod records;

use crate::config::Config;
use crate::config::stream::SinkConfig;
use crate::error::Error;
use crate::ring::Slot;

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
}

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
        })
    }

    /// Writes the scores and the dead letters of a batch.
    ///
    /// # Errors
    /// As [`Sink::send`].
    pub fn run(&mut self, slot: &Slot) -> Result<(), Error> {
        if let Some((records, sink)) = &mut self.scores {
            for row in 0..slot.rows {
                sink.send(&records.render(slot, row))?;
            }
            sink.batch_done()?;
        }
        if let Some((letters, sink)) = &mut self.dead_letters {
            for reject in &slot.rejects {
                letters.send(slot, reject, sink.as_mut())?;
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
