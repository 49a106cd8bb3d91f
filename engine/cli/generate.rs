//! `pelton generate`: deterministic synthetic streams, to a file or to a topic.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use pelton::config::read::parse_duration_ms;
use pelton::config::stream::KafkaConfig;
use pelton::emit::kafka::KafkaSink;
use pelton::emit::{Record as Outgoing, Sink};
use pelton::error::Error;
use pelton::generate::binary::{layout, write_binary};
use pelton::generate::clicks::{ClickGenerator, ClickSpec};
use pelton::generate::fraud::{FraudGenerator, FraudSpec};
use pelton::generate::{
    FileFormat, Generator, HasLabel, LabelRecord, Labels, Parts, Record, write_file,
};

use super::usage;

/// Arguments of `pelton generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// Which stream.
    #[command(subcommand)]
    stream: Stream,
}

/// The streams there are.
#[derive(Debug, Subcommand)]
enum Stream {
    /// Card payments with frauds: TRANSACTION_ID, TX_DATETIME, CUSTOMER_ID, TERMINAL_ID,
    /// TX_AMOUNT, TX_FRAUD.
    Fraud(Output),
    /// Impressions with 13 numbers and 26 categories; the label says whether it was clicked.
    Clicks(Output),
}

/// How much, and where to.
#[derive(Debug, Args)]
struct Output {
    /// How many events.
    #[arg(long, value_name = "N")]
    events: u64,
    /// Another seed, another stream; the same seed, the same bytes.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Write to a file: .jsonl, .csv, .bin (.gz may follow) or .parquet. With .bin the settings
    /// that read it are printed.
    #[arg(long, value_name = "FILE", required_unless_present = "topic", conflicts_with = "topic")]
    output: Option<PathBuf>,
    /// Write to a Kafka topic, which is made if it does not exist.
    #[arg(long, value_name = "T", requires = "brokers")]
    topic: Option<String>,
    /// host:port of the brokers.
    #[arg(long, value_name = "B")]
    brokers: Option<String>,
    /// Events per second; as fast as it goes if not given.
    #[arg(long, value_name = "R", requires = "topic")]
    rate: Option<u32>,
    /// Write the labels to a topic of their own instead of into the events.
    #[arg(long, value_name = "L", requires = "topic")]
    labels_topic: Option<String>,
    /// Write events as binary records, and print the settings that read them; labels in a topic
    /// of their own are JSON.
    #[arg(long, requires = "topic")]
    binary: bool,
    /// How long after its event a label arrives, in event time.
    #[arg(long, value_name = "D", default_value = "7d", value_parser = delay)]
    label_delay: i64,
    /// Partitions of topics that are made.
    #[arg(long, value_name = "P", default_value_t = 1)]
    partitions: i32,
}

fn delay(text: &str) -> Result<i64, String> {
    parse_duration_ms(text).ok_or_else(|| "a duration such as 7d, 12h or 30s".to_owned())
}

impl Generate {
    /// Writes the stream.
    pub fn run(self) -> Result<(), Error> {
        match self.stream {
            Stream::Fraud(output) => {
                let spec = FraudSpec::new(output.events, output.seed);
                output.write(|| FraudGenerator::new(spec))
            }
            Stream::Clicks(output) => {
                let spec = ClickSpec::new(output.events, output.seed);
                output.write(|| ClickGenerator::new(spec))
            }
        }
    }
}

impl Output {
    fn write<G: Generator>(&self, open: impl Fn() -> G) -> Result<(), Error>
    where
        G::Record: HasLabel,
    {
        let bar = ProgressBar::new(self.events);
        let shape = "{wide_bar} {human_pos}/{human_len} events  {per_sec}  eta {eta}";
        bar.set_style(ProgressStyle::with_template(shape).expect("the template is a constant"));
        if let Some(path) = &self.output {
            let mut progress = |events| bar.set_position(events);
            let written = write_file(&mut open(), path, Parts::RECORD, &mut progress)
                .map_err(|error| usage(error.to_string(), "choose another --output"))?;
            bar.finish_and_clear();
            println!("{} events, {} bytes in {}", written.records, written.bytes, path.display());
            if matches!(FileFormat::of(path), Some(FileFormat::Binary { .. })) {
                println!("\n{}", layout::<G::Record>(Parts::RECORD).to_toml());
            }
            return Ok(());
        }
        let (Some(topic), Some(brokers)) = (&self.topic, &self.brokers) else {
            return Err(usage("nowhere to write", "give --output, or --topic and --brokers"));
        };
        let kafka = KafkaConfig { brokers: brokers.clone(), properties: Vec::new() };
        let (labels, linger_ms) = (self.labels_topic.as_deref(), Topics::LINGER_MS);
        let topics = Topics { events: topic, labels, linger_ms, is_binary: self.binary };
        let mut pace = Pace::new(self.rate);
        let labels = Labels::new(open(), self.label_delay);
        topics.make(&kafka, self.partitions)?;
        topics.fill(&kafka, open(), labels, |events| {
            bar.set_position(events);
            pace.wait(events);
        })?;
        bar.finish_and_clear();
        println!("{} events in topic {topic}", self.events);
        if self.binary {
            println!("\n{}", layout::<G::Record>(topics.parts()).to_toml());
        }
        Ok(())
    }
}

/// Where a stream goes.
#[derive(Clone, Copy)]
pub struct Topics<'a> {
    /// Topic of the events; they carry their label when labels have no topic.
    pub events: &'a str,
    /// Topic of the labels.
    pub labels: Option<&'a str>,
    /// How long the producers gather records.
    pub linger_ms: i64,
    /// Whether events are binary records.
    pub is_binary: bool,
}

impl Topics<'_> {
    /// Gathers records where nobody waits for them.
    pub const LINGER_MS: i64 = 5;

    fn parts(&self) -> Parts {
        if self.labels.is_some() { Parts::EVENT } else { Parts::RECORD }
    }

    /// Makes the topics where they do not exist.
    pub fn make(&self, kafka: &KafkaConfig, partitions: i32) -> Result<(), Error> {
        let topics: Vec<(&str, i32)> =
            std::iter::once(self.events).chain(self.labels).map(|t| (t, partitions)).collect();
        pelton::kafka::create_topics(kafka, &topics)
    }

    /// Writes events and labels in the order of their times.
    pub fn fill<G: Generator>(
        &self,
        kafka: &KafkaConfig,
        mut events: G,
        mut labels: Labels<G>,
        mut each: impl FnMut(u64),
    ) -> Result<(), Error>
    where
        G::Record: HasLabel,
    {
        let mut event_sink = KafkaSink::open(kafka, self.linger_ms, self.events)?;
        let mut label_sink =
            self.labels.map(|topic| KafkaSink::open(kafka, self.linger_ms, topic)).transpose()?;
        let parts = self.parts();
        let mut writer = Writer::default();
        let mut event_writer = Writer { is_binary: self.is_binary, ..Writer::default() };
        let (mut event, mut label) = (G::Record::default(), LabelRecord::default());
        let mut has_label = label_sink.is_some() && labels.next_into(&mut label);
        let mut count = 0;
        while events.next_into(&mut event) {
            while let Some(sink) = label_sink.as_mut().filter(|_| has_label)
                && label.time_ms() <= event.time_ms()
            {
                writer.send(&label, Parts::RECORD, sink)?;
                has_label = labels.next_into(&mut label);
            }
            event_writer.send(&event, parts, &mut event_sink)?;
            count += 1;
            each(count);
        }
        while let Some(sink) = label_sink.as_mut().filter(|_| has_label) {
            writer.send(&label, Parts::RECORD, sink)?;
            has_label = labels.next_into(&mut label);
        }
        event_sink.flush()?;
        label_sink.map_or(Ok(()), |mut sink| sink.flush())
    }
}

#[derive(Default)]
struct Writer {
    is_binary: bool,
    key: Vec<u8>,
    payload: Vec<u8>,
}

impl Writer {
    fn send(
        &mut self,
        record: &impl Record,
        parts: Parts,
        to: &mut KafkaSink,
    ) -> Result<(), Error> {
        self.key.clear();
        self.payload.clear();
        record.write_key(&mut self.key);
        if self.is_binary {
            if !write_binary(record, parts, &mut self.payload) {
                let text = "an integer of the stream exceeds its binary field".to_owned();
                return Err(usage(text, "ask for fewer events"));
            }
        } else {
            record.write_json_parts(parts, &mut self.payload);
        }
        // No time: the broker's clock stamps the record, so that latency can be measured from it.
        let (key, payload) = (&self.key[..], &self.payload[..]);
        to.send(&Outgoing { key, payload, time_ms: None, headers: &[] })
    }
}

/// Holds an open-loop rate: event n is due at n / rate, whatever happened to those before.
struct Pace {
    rate: Option<u32>,
    started: Instant,
}

impl Pace {
    fn new(rate: Option<u32>) -> Pace {
        Pace { rate, started: Instant::now() }
    }

    fn wait(&mut self, events: u64) {
        let Some(rate) = self.rate else { return };
        let due = Duration::from_secs_f64(events as f64 / f64::from(rate.max(1)));
        if let Some(early) = due.checked_sub(self.started.elapsed())
            && early > Duration::from_micros(500)
        {
            std::thread::sleep(early);
        }
    }
}
