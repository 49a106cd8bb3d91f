//! Score records and dead letters in Kafka transactions: a reader at `read_committed` sees them
//! commit by commit, and none that an engine wrote after another had taken its place.
//!
//! A transaction takes records until it is old or large enough, then it is committed. What is in it
//! is kept until then: when the brokers want it aborted, it is sent again in the next one. So a
//! record counts as delivered when its transaction is committed, not when it is acknowledged.
//! Nothing here waits for long but [`Sink::send`] and [`Sink::flush`]: every step is asked for as
//! often as it takes.
//!
//! The transactional id tells the brokers who we are: who comes later with the same id ends the
//! transaction of whoever had it, and that one's next call is an error which ends its run.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;

use crate::backoff::{Backoff, Jitter};
use crate::config::stream::KafkaConfig;
use crate::emit::delivered::Delivered;
use crate::emit::spill::frame::Frames;
use crate::emit::{Record, Sink, SinkPosition};
use crate::error::Error;
use crate::fail::fail_point;
use crate::kafka;

use super::{ANSWER, CONNECT, KafkaSink, PATIENCE};

/// Records of a transaction at most; they are kept in memory until it is committed.
const RECORDS_MAX: u64 = 10_000;
/// How long one step is waited for.
const STEP: Duration = Duration::from_millis(20);
/// A transaction that was aborted so often in a row ends the run.
const ABORTS_MAX: u32 = 10;
/// So often in a row the client may say that a step does not fit, before it is believed.
const MISFITS_MAX: u32 = 20;

/// Who we are in transactions, and how long one takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transactions {
    /// The transactional id.
    pub id: String,
    /// A transaction is committed when it is so old.
    pub commit_every: Duration,
}

/// How the transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The brokers do not know us yet.
    Unknown,
    /// There is none.
    Idle,
    /// It takes records.
    Open { since: Instant },
    /// Its records are on their way, then its end.
    Committing,
    /// The brokers do not want it.
    Aborting,
    /// It was aborted; the next one begins at this time or later.
    Again { at: Instant },
    /// The next one: what was in it goes again, from this record on.
    Repeating { from: u64 },
}

/// A producer for one topic.
pub struct TransactionalSink {
    sink: KafkaSink,
    commit_every: Duration,
    state: State,
    /// What was handed over and is not committed.
    kept: Frames,
    /// How often in a row a step did not fit.
    misfits: u32,
    backoff: Backoff,
    jitter: Jitter,
}

impl TransactionalSink {
    /// Connects, and waits until whatever an earlier producer of this id had open is over.
    ///
    /// # Errors
    /// As [`KafkaSink::open`]; [`Error::Kafka`] when the brokers keep no transactions.
    pub fn open(
        kafka: &KafkaConfig,
        linger_ms: i64,
        topic: &str,
        transactions: &Transactions,
    ) -> Result<TransactionalSink, Error> {
        let sink = KafkaSink::open_as(kafka, linger_ms, topic, Some(&transactions.id))?;
        let mut sink = TransactionalSink {
            sink,
            commit_every: transactions.commit_every,
            state: State::Unknown,
            kept: Frames::default(),
            misfits: 0,
            backoff: backoff(),
            jitter: Jitter::of_this_process(),
        };
        let until = Instant::now() + CONNECT;
        while !sink.begin_session(STEP)? {
            if Instant::now() >= until {
                let timed_out = KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut);
                return Err(sink.failed("begin", timed_out));
            }
        }
        Ok(sink)
    }

    /// Makes us known; false when the brokers have not answered yet.
    fn begin_session(&mut self, wait: Duration) -> Result<bool, Error> {
        let answer = self.sink.producer.init_transactions(wait);
        let is_known = self.judge("begin", answer)?;
        if is_known && self.state == State::Unknown {
            self.state = State::Idle;
        }
        Ok(is_known)
    }

    /// Whether a step was done; what is to be tried again is false, and so is a transaction that
    /// must be aborted.
    fn judge(&mut self, step: &'static str, answer: Result<(), KafkaError>) -> Result<bool, Error> {
        match answer {
            Ok(()) => {
                self.misfits = 0;
                Ok(true)
            }
            Err(KafkaError::Transaction(error)) if error.is_retriable() && !error.is_fatal() => {
                Ok(false)
            }
            // A call that timed out may leave its answer behind, which librdkafka (2.12) then takes
            // for that of the next step, and goes on too early. Nothing is lost: its last step
            // looks at the state, and asking again puts it right.
            Err(KafkaError::Transaction(error))
                if error.code() == RDKafkaErrorCode::State && self.misfits < MISFITS_MAX =>
            {
                self.misfits += 1;
                Ok(false)
            }
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                let error = KafkaError::Transaction(error);
                self.must_abort(step, error)?;
                Ok(false)
            }
            Err(KafkaError::Flush(_)) => Ok(false),
            Err(error) => Err(self.failed(step, error)),
        }
    }

    fn must_abort(&mut self, step: &'static str, error: KafkaError) -> Result<(), Error> {
        if self.state == State::Aborting {
            return Ok(());
        }
        if self.backoff.attempts() >= ABORTS_MAX {
            return Err(self.failed(step, error));
        }
        metrics::counter!("pelton_transactions_aborted_total").increment(1);
        tracing::warn!(topic = self.sink.topic, %error, "a transaction is aborted, and sent again");
        self.sink.context().keep_returned();
        self.state = State::Aborting;
        Ok(())
    }

    /// Goes on with whatever the transaction waits for, for about `wait` at most.
    fn step(&mut self, wait: Duration) -> Result<(), Error> {
        match self.state {
            State::Idle | State::Open { .. } => self.serve(),
            State::Unknown => self.begin_session(wait).map(|_| ()),
            State::Committing => self.commit(wait),
            State::Aborting => self.abort(wait),
            State::Again { at } => {
                let early = at.saturating_duration_since(Instant::now());
                if !early.is_zero() {
                    return self.rest(early.min(wait));
                }
                if self.begin()? {
                    self.state = State::Repeating { from: 0 };
                }
                Ok(())
            }
            State::Repeating { from } => self.repeat(from),
        }
    }

    fn commit(&mut self, wait: Duration) -> Result<(), Error> {
        self.serve()?;
        if self.state != State::Committing {
            return Ok(());
        }
        fail_point("emit::commit").map_err(Error::file("commit to", &self.sink.topic))?;
        let answer = self.sink.producer.commit_transaction(wait);
        if self.judge("commit", answer)? {
            // One whose end is only taken note of was counted before.
            let ended = u64::from(self.kept.count() > 0);
            metrics::counter!("pelton_transactions_committed_total").increment(ended);
            self.kept.clear();
            self.backoff.reset();
            self.state = State::Idle;
        }
        Ok(())
    }

    fn abort(&mut self, wait: Duration) -> Result<(), Error> {
        let answer = self.sink.producer.abort_transaction(wait);
        self.sink.producer.poll(Duration::ZERO);
        if !self.judge("abort", answer)? {
            return Ok(());
        }
        // They are kept; and what failed with the transaction is no failure of its own.
        self.sink.context().take_returned(self.sink.next);
        self.sink.take_failure();
        let pause = self.backoff.next(self.jitter.unit()).unwrap_or_default();
        self.state = State::Again { at: Instant::now() + pause };
        Ok(())
    }

    fn repeat(&mut self, from: u64) -> Result<(), Error> {
        let (mut number, mut next) = (0, from);
        let sink = &mut self.sink;
        self.kept.try_for_each(|record| {
            if number == next && sink.offer(record)? {
                next += 1;
            }
            number += 1;
            Ok::<(), Error>(())
        })?;
        let is_whole = next == self.kept.count();
        self.state = if is_whole { State::Committing } else { State::Repeating { from: next } };
        self.serve()
    }

    fn begin(&mut self) -> Result<bool, Error> {
        let (answer, misfits) = (self.sink.producer.begin_transaction(), self.misfits);
        let has_begun = self.judge("begin", answer)?;
        if self.misfits > misfits {
            // The end of the last one has not been taken note of.
            let is_again = matches!(self.state, State::Again { .. });
            self.state = if is_again { State::Aborting } else { State::Committing };
        }
        Ok(has_begun)
    }

    fn rest(&mut self, wait: Duration) -> Result<(), Error> {
        self.sink.producer.poll(wait);
        self.serve()
    }

    /// Looks for records that were not delivered: their transaction cannot be committed.
    fn serve(&mut self) -> Result<(), Error> {
        self.sink.unpolled = 0;
        self.sink.producer.poll(Duration::ZERO);
        let Some(error) = self.sink.take_failure() else { return Ok(()) };
        let is_fatal = self.sink.producer.client().fatal_error().is_some();
        if is_fatal || kafka::ends_a_run(error.rdkafka_error_code()) {
            return Err(self.failed("write", error));
        }
        match self.state {
            State::Unknown | State::Idle => Err(self.failed("write", error)),
            _ => self.must_abort("write", error),
        }
    }

    /// Whether a record may be handed over now.
    fn takes_records(&mut self) -> Result<bool, Error> {
        if let State::Open { since } = self.state
            && (self.kept.count() >= RECORDS_MAX || since.elapsed() >= self.commit_every)
        {
            self.state = State::Committing;
        }
        if !matches!(self.state, State::Idle | State::Open { .. }) {
            self.step(STEP)?;
        }
        if self.state == State::Idle && self.begin()? {
            self.state = State::Open { since: Instant::now() };
        }
        Ok(matches!(self.state, State::Open { .. }))
    }

    fn failed(&self, step: &'static str, error: KafkaError) -> Error {
        let sink = &self.sink;
        let fenced = match sink.producer.client().fatal_error() {
            Some((code, _)) if is_fenced(code) => " (another engine has taken this id)",
            _ => "",
        };
        let id = sink.transactional_id.as_deref().unwrap_or_default();
        let action = || format!("{step} a transaction for {:?} as {id:?}{fenced}", sink.topic);
        kafka::error(&sink.brokers, action)(error)
    }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5))
}

impl Sink for TransactionalSink {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error> {
        while !self.try_send(record)? {
            self.rest(Duration::from_millis(1))?;
        }
        Ok(())
    }

    fn try_send(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        let is_taken = self.takes_records()? && self.sink.offer(record)?;
        if is_taken {
            self.kept.push(record);
        }
        Ok(is_taken)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let until = Instant::now() + PATIENCE;
        while !self.flush_for(STEP)? {
            if Instant::now() >= until {
                let timed_out = KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut);
                return Err(self.failed("commit", timed_out));
            }
        }
        Ok(())
    }

    fn flush_for(&mut self, wait: Duration) -> Result<bool, Error> {
        if let State::Open { .. } = self.state {
            self.state = State::Committing;
        }
        if self.kept.count() > 0 {
            self.step(wait)?;
        }
        Ok(self.kept.count() == 0)
    }

    fn waiting_count(&self) -> usize {
        usize::try_from(self.kept.count()).unwrap_or(usize::MAX)
    }

    fn take_back(&mut self, each: &mut dyn FnMut(&Record<'_>)) -> Result<(), Error> {
        // The producer's own records are among those kept.
        self.sink.take_back(&mut |_| {})?;
        self.kept.for_each(each);
        self.kept.clear();
        self.state = State::Unknown;
        Ok(())
    }

    fn is_reachable(&mut self) -> bool {
        match self.state {
            State::Unknown => self.begin_session(ANSWER).unwrap_or(false),
            _ => self.sink.is_reachable(),
        }
    }

    fn position(&mut self) -> Result<SinkPosition, Error> {
        self.sink.position()
    }

    fn tail(
        &mut self,
        position: &SinkPosition,
        settle: Duration,
        delivered: &mut Delivered,
    ) -> Result<(), Error> {
        self.sink.tail(position, settle, delivered)
    }

    fn batch_done(&mut self) -> Result<(), Error> {
        match self.state {
            State::Open { since } if since.elapsed() >= self.commit_every => {
                self.state = State::Committing;
                self.step(STEP)
            }
            State::Idle | State::Open { .. } => self.serve(),
            _ => self.step(STEP),
        }
    }
}
