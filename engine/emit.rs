//! Sixth stage: scores and dead letters go out.
//!
//! A [`Sink`] takes keyed records; what a record says is decided here, where it goes is the
//! sink's. A record that was handed over is never dropped: a sink that is full makes the sender
//! wait, and [`Sink::flush`] returns only when everything is delivered.

pub mod delivered;
pub mod file;
pub mod kafka;
pub mod records;
pub mod spill;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::emit::{SinkConfig, TransactionsConfig};
use crate::error::Error;
use crate::fail::fail_point;
use crate::ring::{Slot, Span};
use crate::watchdog::Heart;

use delivered::Delivered;
use kafka::KafkaSink;
use kafka::transactions::{TransactionalSink, Transactions};
use records::{DeadLetters, ScoreRecords};
use spill::{SpillOptions, SpillSink};

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
        /// Partition and the offset its next record gets, or an earlier one.
        next: Vec<(i32, i64)>,
    },
    /// A sink that may have records on the disk.
    Spilled {
        /// Where the sink inside stood, or an earlier point of it.
        sink: Box<SinkPosition>,
        /// The number of the next record.
        next: u64,
    },
}

/// Where records go.
pub trait Sink: Send {
    /// Hands a record over; waits while the sink is full.
    ///
    /// # Errors
    /// What ends the run: a topic that does not exist, a disk that is full.
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error>;

    /// Hands a record over if there is room for it now; false, and nothing done, when there is
    /// none.
    ///
    /// # Errors
    /// As [`Sink::send`].
    fn try_send(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        self.send(record).map(|()| true)
    }

    /// Returns when every record handed over so far is delivered, or as safe as if it were.
    ///
    /// # Errors
    /// As [`Sink::send`], and for records that could not be delivered.
    fn flush(&mut self) -> Result<(), Error>;

    /// The same, but waits for `wait` at most; whether it has come to that.
    ///
    /// # Errors
    /// As [`Sink::flush`].
    fn flush_for(&mut self, wait: Duration) -> Result<bool, Error> {
        let _ = wait;
        self.flush().map(|()| true)
    }

    /// Records handed over and not delivered yet.
    fn waiting_count(&self) -> usize {
        0
    }

    /// Shows every record that was handed over and not delivered, in order, and forgets it. One
    /// that was on its way may be delivered all the same.
    ///
    /// # Errors
    /// As [`Sink::send`].
    fn take_back(&mut self, each: &mut dyn FnMut(&Record<'_>)) -> Result<(), Error> {
        let _ = each;
        Ok(())
    }

    /// Whether it answers at all; takes a second at most.
    fn is_reachable(&mut self) -> bool {
        true
    }

    /// The run ends: returns when everything is delivered.
    ///
    /// # Errors
    /// As [`Sink::flush`]; [`Error::Undelivered`] when the sink is away for too long.
    fn finish(&mut self) -> Result<(), Error> {
        self.flush()
    }

    /// Where the sink stands: every record sent from now on lies behind it.
    ///
    /// # Errors
    /// As [`Sink::send`].
    fn position(&mut self) -> Result<SinkPosition, Error>;

    /// Notes every record the sink holds behind `position`, once nothing more of an earlier process
    /// has arrived for `settle`. A record that a crash tore is removed. Nothing is noted when the
    /// position is of another sink.
    ///
    /// # Errors
    /// As [`Sink::send`].
    fn tail(
        &mut self,
        position: &SinkPosition,
        settle: Duration,
        delivered: &mut Delivered,
    ) -> Result<(), Error>;

    /// Shows by this heart when it waits for someone else.
    fn watched_by(&mut self, heart: &Heart) {
        let _ = heart;
    }

    /// A batch has ended, or none has come for a while: a chance to look after deliveries without
    /// waiting for them.
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
    /// Where the search for those began.
    resumed_at: Positions,
}

/// Where both sinks stand.
pub type Positions = [Option<SinkPosition>; 2];

impl Emit {
    /// Opens the sinks of the configuration. When `stop` is raised, waiting for them has an end.
    ///
    /// # Errors
    /// What keeps a sink from opening.
    pub fn open(config: &Config, stop: &Arc<AtomicBool>) -> Result<Emit, Error> {
        let scores = open_sink(config, "scores", &config.emit.sink, stop)?;
        let dead_letters = open_sink(config, "dead_letters", &config.dead_letters, stop)?;
        Ok(Emit::with_sinks(config, [scores, dead_letters]))
    }

    /// Sends scores and dead letters to these sinks.
    #[must_use]
    pub fn with_sinks(config: &Config, sinks: [Option<Box<dyn Sink>>; 2]) -> Emit {
        let [scores, dead_letters] = sinks;
        Emit {
            scores: scores.map(|sink| (ScoreRecords::new(config), sink)),
            dead_letters: dead_letters.map(|sink| (DeadLetters::default(), sink)),
            sent_before: [(); 2].map(|()| Delivered::only(config.source.partition())),
            resumed_at: Positions::default(),
        }
    }

    /// Shows by this heart when a sink is waited for.
    pub fn watched_by(&mut self, heart: &Heart) {
        self.sinks().for_each(|sink| sink.watched_by(heart));
    }

    /// Finds out what an earlier run has sent behind these positions, which is not sent again;
    /// `read_to` is where the source reads on: what was made from earlier records does not come
    /// again. `settle` is how long the sinks must be quiet first. Returns how many records that
    /// are.
    ///
    /// # Errors
    /// As [`Sink::tail`].
    pub fn resume(
        &mut self,
        positions: &Positions,
        read_to: &[Span],
        settle: Duration,
    ) -> Result<usize, Error> {
        let scores = self.scores.as_mut().map(|(_, sink)| sink);
        let letters = self.dead_letters.as_mut().map(|(_, sink)| sink);
        for (index, sink) in [scores, letters].into_iter().enumerate() {
            if let (Some(sink), Some(position)) = (sink, &positions[index]) {
                sink.tail(position, settle, &mut self.sent_before[index])?;
                self.sent_before[index].forget_before(read_to);
            }
        }
        self.resumed_at = positions.clone();
        Ok(self.sent_before.iter().map(Delivered::left).sum())
    }

    /// Where the sinks of scores and of dead letters stand. While records that an earlier run has
    /// sent are still to come by, that is where the search for them began: another restart has to
    /// find them again.
    ///
    /// # Errors
    /// As [`Sink::position`].
    pub fn positions(&mut self) -> Result<Positions, Error> {
        let scores = self.scores.as_mut().map(|(_, sink)| sink);
        let letters = self.dead_letters.as_mut().map(|(_, sink)| sink);
        let mut positions = Positions::default();
        for (index, sink) in [scores, letters].into_iter().enumerate() {
            positions[index] = match sink {
                Some(_) if self.sent_before[index].left() > 0 => self.resumed_at[index].clone(),
                Some(sink) => Some(sink.position()?),
                None => None,
            };
        }
        Ok(positions)
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
            for label in &slot.quarantined {
                if !sent_letters.passes_over_quarantined(label.number) {
                    letters.send_quarantined(label, sink.as_mut())?;
                }
            }
            sink.batch_done()?;
        }
        if !slot.quarantined.is_empty() {
            fail_point("emit::put_aside_sent").map_err(Error::file("write", "dead letters"))?;
        }
        Ok(())
    }

    /// No batch has come for a while: what waits for a sink goes on.
    ///
    /// # Errors
    /// As [`Sink::batch_done`].
    pub fn tend(&mut self) -> Result<(), Error> {
        self.sinks().try_for_each(Sink::batch_done)
    }

    /// Waits until everything is delivered, or as safe as if it were.
    ///
    /// # Errors
    /// As [`Sink::flush`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.sinks().try_for_each(Sink::flush)
    }

    /// The run ends: waits until everything is delivered.
    ///
    /// # Errors
    /// As [`Sink::finish`].
    pub fn finish(&mut self) -> Result<(), Error> {
        self.sinks().try_for_each(Sink::finish)
    }

    fn sinks(&mut self) -> impl Iterator<Item = &mut (dyn Sink + 'static)> {
        let scores = self.scores.iter_mut().map(|(_, sink)| sink.as_mut());
        scores.chain(self.dead_letters.iter_mut().map(|(_, sink)| sink.as_mut()))
    }
}

fn open_sink(
    config: &Config,
    name: &'static str,
    sink: &SinkConfig,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Box<dyn Sink>>, Error> {
    let topic = match sink {
        SinkConfig::None => return Ok(None),
        SinkConfig::File(path) => return Ok(Some(Box::new(file::FileSink::open(path)?))),
        SinkConfig::Kafka(topic) => topic,
    };
    let milliseconds = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let linger_ms = config.emit.linger_ms;
    let inner: Box<dyn Sink> = match &config.emit.transactions {
        None => Box::new(KafkaSink::open(&config.kafka, linger_ms, topic)?),
        Some(TransactionsConfig { id, commit_every_ms }) => {
            let commit_every = milliseconds(*commit_every_ms);
            let transactions = Transactions { id: format!("{id}-{name}"), commit_every };
            Box::new(TransactionalSink::open(&config.kafka, linger_ms, topic, &transactions)?)
        }
    };
    let options = SpillOptions {
        name,
        dir: config.emit.spill_dir.clone(),
        bytes_max: config.emit.spill_max_bytes,
        away_after: milliseconds(config.emit.spill_after_ms),
        drain_patience: milliseconds(config.emit.drain_patience_ms),
    };
    Ok(Some(Box::new(SpillSink::open(inner, &options, stop)?)))
}
