//! Latency under an open load: from the moment a payment was due to its score at a consumer.
//!
//! The schedule is fixed beforehand: payment `i` is due at `start + i / rate`, and is written late
//! rather than left out when something holds the producer up. Latency counts from when it was due,
//! so that waiting which the engine (or anyone) causes before a record is even written is not
//! omitted. Producer, engine and consumer are threads of this process, hence one clock; a score is
//! keyed by its payment's id, which is its place in the schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use pelton::config::stream::KafkaConfig;
use pelton::error::Error;
use pelton::generate::fraud::FraudSpec;
use serde_json::{Value, json};

use super::bare::Reader;
use super::stream::Stream;
use crate::cli::usage;

/// Payments due before this are not measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// Written after the last that is measured: its neighbours are no different from any others.
const RUN_OUT: Duration = Duration::from_millis(500);
/// From the start of all threads to the first payment.
const LEAD: Duration = Duration::from_millis(1500);
/// The producer sleeps at least so long: what falls due meanwhile is written a little late.
const TICK: Duration = Duration::from_micros(200);
/// How long the producer gathers records, as an eager one would.
const LINGER_MS: i64 = 1;
/// How long the consumer waits for a further score.
const PATIENCE: Duration = Duration::from_secs(20);

/// A load.
pub struct Load {
    /// Payments per second.
    pub rate: u32,
    /// How long it is measured.
    pub seconds: u32,
    /// The world of the payments.
    pub seed: u64,
}

/// When each payment is due.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    rate: f64,
    events: u64,
}

impl Schedule {
    fn due(&self, event: u64) -> Instant {
        self.start + Duration::from_secs_f64(event as f64 / self.rate)
    }

    fn is_measured(&self, event: u64) -> bool {
        let since = Duration::from_secs_f64(event as f64 / self.rate);
        let until = Duration::from_secs_f64(self.events as f64 / self.rate) - RUN_OUT;
        since >= WARM_UP && since < until
    }
}

impl Load {
    /// Measures the bare loop, then the engine.
    pub fn measure(&self, kafka: &KafkaConfig) -> Result<Value, Error> {
        let floor = self
            .through(kafka, "bare", |stream, scores, stop| stream.bare(scores, stop).map(|_| ()))?;
        let engine = self.through(kafka, "engine", |stream, scores, stop| {
            stream.engine(scores, false, stop).map(|_| ())
        })?;
        Ok(json!({ "rate": self.rate, "seconds": self.seconds, "engine": engine, "floor": floor }))
    }

    fn through(
        &self,
        kafka: &KafkaConfig,
        what: &'static str,
        job: impl Fn(&Stream, &str, &Arc<AtomicBool>) -> Result<(), Error> + Sync,
    ) -> Result<Value, Error> {
        let stream = Stream::make(kafka, what)?;
        let measured = stream.with_scores("latency", |scores| {
            let (stop, gone) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
            std::thread::scope(|scope| {
                let job = scope.spawn(|| {
                    let ended = job(&stream, scores, &stop);
                    gone.store(true, Ordering::Relaxed);
                    ended
                });
                let schedule = self.schedule();
                let events = &stream;
                let producer = scope.spawn(move || self.produce(events, schedule));
                let seen =
                    stream.reader(scores).and_then(|reader| consume(reader, schedule, &gone));
                stop.store(true, Ordering::Relaxed);
                let late = join(producer)?;
                join(job)?;
                Ok(json!({
                    "latency_ms": quantiles(&seen?),
                    "producer_late_ms": quantiles(&late),
                }))
            })
        });
        stream.remove()?;
        measured
    }

    fn schedule(&self) -> Schedule {
        let whole = WARM_UP + Duration::from_secs(self.seconds.into()) + RUN_OUT;
        let rate = f64::from(self.rate.max(1));
        let events = (whole.as_secs_f64() * rate) as u64;
        Schedule { start: Instant::now() + LEAD, rate, events }
    }

    /// Writes every payment when it is due; returns how late each was handed to the client.
    fn produce(&self, stream: &Stream, schedule: Schedule) -> Result<Histogram<u64>, Error> {
        let mut late = histogram();
        wait_until(schedule.start);
        // Called after each payment: waits for the next one's time.
        stream.fill(FraudSpec::new(schedule.events, self.seed), LINGER_MS, |next| {
            let due = schedule.due(next);
            wait_until(due);
            late.saturating_record(nanoseconds(due.elapsed()));
        })?;
        Ok(late)
    }
}

fn wait_until(due: Instant) {
    while let Some(early) = due.checked_duration_since(Instant::now()).filter(|e| !e.is_zero()) {
        std::thread::sleep(early.max(TICK));
    }
}

/// Reads scores until there is one for every payment.
fn consume(
    mut reader: Reader,
    schedule: Schedule,
    gone: &AtomicBool,
) -> Result<Histogram<u64>, Error> {
    let (mut latency, mut count, mut heard_at) = (histogram(), 0, Instant::now() + LEAD);
    while count < schedule.events {
        reader.read(|record, _| {
            let now = Instant::now();
            (count, heard_at) = (count + 1, now);
            let key = record.key().and_then(|key| std::str::from_utf8(key).ok());
            if let Some(event) = key.and_then(|key| key.parse().ok())
                && schedule.is_measured(event)
            {
                let waited = now.saturating_duration_since(schedule.due(event));
                latency.saturating_record(nanoseconds(waited));
            }
            Ok(())
        })?;
        // The error of a job that is gone says more than the scores it did not give.
        let waited = Instant::now().saturating_duration_since(heard_at);
        if gone.load(Ordering::Relaxed) || waited > PATIENCE {
            let missing = schedule.events - count;
            let remedy = "choose a lower --rate, and look at the broker";
            return Err(usage(format!("{missing} scores did not come"), remedy));
        }
    }
    Ok(latency)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000_000, 3).expect("legal bounds and precision")
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    let quantile = |q: f64| ms(histogram.value_at_quantile(q));
    json!({
        "count": histogram.len(),
        "p50": quantile(0.5),
        "p99": quantile(0.99),
        "p999": quantile(0.999),
        "max": ms(histogram.max()),
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or(Err(Error::Panicked { stage: "bench" }))
}
