//! The topics of a measurement, and one pass of the bare loop or the engine over them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pelton::checkpoint::recover::Recovery;
use pelton::config::Config;
use pelton::config::stream::KafkaConfig;
use pelton::emit::kafka::KafkaSink;
use pelton::error::Error;
use pelton::generate::Labels;
use pelton::generate::fraud::{FraudGenerator, FraudSpec};
use pelton::live::Live;
use pelton::run::Outcome;
use pelton::source;
use toml::Value;

use super::bare;
use crate::cli::demo::{LABEL_DELAY_MS, config_table, parse, set};
use crate::cli::generate::Topics;
use crate::cli::report::cpu_time;

/// One topic of each kind, of one partition, with names of this process.
pub struct Stream {
    kafka: KafkaConfig,
    what: &'static str,
    events: String,
    labels: String,
    dead_letters: String,
}

/// What a pass took.
pub struct Pass {
    events: u64,
    /// Labels that met their event.
    pub labels: u64,
    wall_seconds: f64,
    cpu_seconds: f64,
}

impl Pass {
    /// Payments per second.
    pub fn per_second(&self) -> f64 {
        self.events as f64 / self.wall_seconds
    }

    /// Payments per second of CPU, all threads of the process.
    pub fn per_cpu_second(&self) -> f64 {
        self.events as f64 / self.cpu_seconds
    }

    /// Times `work`, which returns payments and labels.
    fn of(work: impl FnOnce() -> Result<(u64, u64), Error>) -> Result<Pass, Error> {
        let (started, cpu) = (Instant::now(), cpu_time());
        let (events, labels) = work()?;
        let cpu_seconds = (cpu_time() - cpu).as_secs_f64();
        Ok(Pass { events, labels, wall_seconds: started.elapsed().as_secs_f64(), cpu_seconds })
    }
}

impl Stream {
    /// Makes the topics.
    pub fn make(kafka: &KafkaConfig, what: &'static str) -> Result<Stream, Error> {
        let stream = Stream {
            kafka: kafka.clone(),
            what,
            events: name(what, "events"),
            labels: name(what, "labels"),
            dead_letters: name(what, "dead-letters"),
        };
        pelton::kafka::create_topics(kafka, &stream.topics().map(|topic| (topic, 1)))?;
        Ok(stream)
    }

    /// Removes them.
    pub fn remove(&self) -> Result<(), Error> {
        pelton::kafka::delete_topics(&self.kafka, &self.topics())
    }

    fn topics(&self) -> [&str; 3] {
        [&self.events, &self.labels, &self.dead_letters]
    }

    /// Runs with a topic for scores that is there only meanwhile: a broker that keeps everything in
    /// memory need not hold every pass.
    pub fn with_scores<T>(
        &self,
        pass: &str,
        run: impl FnOnce(&str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let scores = name(self.what, &format!("scores-{pass}"));
        pelton::kafka::create_topics(&self.kafka, &[(&scores, 1)])?;
        let ran = run(&scores);
        pelton::kafka::delete_topics(&self.kafka, &[&scores])?;
        ran
    }

    /// Writes payments and labels in the order of their times; `each` is told how many payments
    /// have been written, and may wait.
    pub fn fill(
        &self,
        spec: FraudSpec,
        linger_ms: i64,
        each: impl FnMut(u64),
    ) -> Result<(), Error> {
        let (events, labels) = (&*self.events, Some(&*self.labels));
        let topics = Topics { events, labels, linger_ms, is_binary: false };
        let open = || FraudGenerator::new(spec);
        topics.fill(&self.kafka, open(), Labels::new(open(), LABEL_DELAY_MS), each)
    }

    /// The bare loop, from its connection to the last acknowledgement.
    pub fn bare_pass(&self, pass: usize) -> Result<Pass, Error> {
        self.with_scores(&format!("bare-{pass}"), |scores| {
            Pass::of(|| Ok((self.bare(scores, &AtomicBool::new(true))?, 0)))
        })
    }

    /// The engine, from its connection to the last acknowledgement.
    pub fn engine_pass(&self, pass: usize) -> Result<Pass, Error> {
        self.with_scores(&format!("engine-{pass}"), |scores| {
            Pass::of(|| {
                let outcome = self.engine(scores, true, &Arc::new(AtomicBool::new(false)))?;
                Ok((outcome.totals.scored, outcome.pipeline.join().counts().joined))
            })
        })
    }

    /// The bare loop; once `may_end`, it ends where the topics do. Returns the payments it read.
    pub fn bare(&self, scores: &str, may_end: &AtomicBool) -> Result<u64, Error> {
        let linger_ms = self.config(scores, true)?.emit.linger_ms;
        let mut reader = bare::Reader::open(&self.kafka, &[&self.events, &self.labels])?;
        let mut sink = KafkaSink::open(&self.kafka, linger_ms, scores)?;
        bare::copy(&mut reader, &mut sink, may_end)
    }

    /// The engine, until `stop` is raised or, if it is to `stop_at_end`, the topics end.
    pub fn engine(
        &self,
        scores: &str,
        stop_at_end: bool,
        stop: &Arc<AtomicBool>,
    ) -> Result<Outcome, Error> {
        let config = self.config(scores, stop_at_end)?;
        let source = source::kafka::open(&config, &[], Vec::new())?;
        let recovery = Recovery::none(&config, &pelton::device::open(&config)?)?;
        pelton::run::run(&config, source, recovery, stop, &Arc::new(Live::default()))
    }

    /// A reader of the scores.
    pub fn reader(&self, scores: &str) -> Result<bare::Reader, Error> {
        bare::Reader::open(&self.kafka, &[scores])
    }

    fn config(&self, scores: &str, stop_at_end: bool) -> Result<Config, Error> {
        let mut table = config_table();
        set(&mut table, "source", "topics", vec![Value::from(self.events.as_str())].into());
        set(&mut table, "source", "group", scores.into());
        set(&mut table, "source", "alone", true.into());
        set(&mut table, "source", "stop_at_end", stop_at_end.into());
        set(&mut table, "labels", "topic", self.labels.as_str().into());
        set(&mut table, "emit", "topic", scores.into());
        set(&mut table, "dead_letters", "topic", self.dead_letters.as_str().into());
        let mut config = parse(&table)?;
        config.kafka = self.kafka.clone();
        Ok(config)
    }
}

fn name(what: &str, kind: &str) -> String {
    format!("pelton-bench-{}-{what}-{kind}", std::process::id())
}
