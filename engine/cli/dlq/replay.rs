//! `pelton dlq replay`: the original records back to where they came from.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use pelton::config::Config;
use pelton::config::stream::KafkaConfig;
use pelton::dead_letters::marks::Marks;
use pelton::dead_letters::{Letter, Queue};
use pelton::emit::kafka::KafkaSink;
use pelton::emit::{Record, Sink};
use pelton::error::Error;

use super::{Filter, complain, usage};

/// Records that are sent before their delivery is waited for and noted.
const RECORDS_PER_MARK: usize = 500;
/// How long the producer gathers records.
const LINGER_MS: i64 = 5;

/// Arguments of `pelton dlq replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The configuration whose [dead_letters] are meant.
    config: PathBuf,
    #[command(flatten)]
    filter: Filter,
    /// Write to this topic instead of the one each record came from.
    #[arg(long, value_name = "TOPIC")]
    into: Option<String>,
    /// Only say what would be sent.
    #[arg(long)]
    dry_run: bool,
    /// Also what was sent before.
    #[arg(long)]
    again: bool,
    /// Where it is noted what was sent; else the configuration's path with `.replayed` behind it.
    #[arg(long, value_name = "FILE")]
    marks: Option<PathBuf>,
}

/// What became of the dead letters.
#[derive(Debug, Default)]
struct Counts {
    /// Records sent, or to be sent, by topic.
    sent: BTreeMap<String, u64>,
    sent_before: u64,
    cut: u64,
}

/// Writes records and notes what is delivered.
struct Replaying {
    kafka: KafkaConfig,
    queue: String,
    sinks: BTreeMap<String, KafkaSink>,
    marks: Marks,
    on_their_way: Vec<Letter>,
}

impl Replay {
    /// Sends what is wanted.
    pub fn run(&self) -> Result<(), Error> {
        let config = Config::load(&self.config)?;
        let queue = Queue::of(&config)?;
        let wanted = self.filter.wanted(&queue)?;
        let path = self.marks_path();
        let marks = match self.dry_run {
            true => Marks::look(&path, &queue.name()),
            false => Marks::open(&path, &queue.name())?,
        };
        let mut replaying = Replaying {
            kafka: config.kafka.clone(),
            queue: queue.name(),
            sinks: BTreeMap::new(),
            marks,
            on_their_way: Vec::new(),
        };
        let mut counts = Counts::default();
        let strangers = queue.read(&wanted, &mut |letter| {
            self.take(letter, &mut replaying, &mut counts)?;
            Ok(ControlFlow::Continue(()))
        })?;
        replaying.confirm()?;
        complain(&queue, strangers);
        self.report(&counts);
        Ok(())
    }

    fn marks_path(&self) -> PathBuf {
        self.marks.clone().unwrap_or_else(|| {
            let mut path = self.config.clone().into_os_string();
            path.push(".replayed");
            path.into()
        })
    }

    fn take(
        &self,
        letter: Letter,
        replaying: &mut Replaying,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        if letter.is_cut() {
            counts.cut += 1;
        } else if !self.again && replaying.marks.has(&letter) {
            counts.sent_before += 1;
        } else {
            let topic = self.target(&letter)?;
            *counts.sent.entry(topic.clone()).or_default() += 1;
            if !self.dry_run {
                replaying.send(&topic, letter)?;
            }
        }
        Ok(())
    }

    fn target(&self, letter: &Letter) -> Result<String, Error> {
        let topic = self.into.as_deref().or(letter.text("topic"));
        let Some(topic) = topic else {
            let what = format!("the dead letter at {} does not say its topic", letter.place);
            return Err(usage(what, "give --into TOPIC"));
        };
        // No topic has a slash in its name, and every path of another folder has.
        if topic.contains('/') {
            let what = format!("the dead letter at {} comes from the file {topic}", letter.place);
            return Err(usage(what, "give --into TOPIC"));
        }
        Ok(topic.to_owned())
    }

    fn report(&self, counts: &Counts) {
        let verb = if self.dry_run { "would be sent" } else { "sent and confirmed" };
        let total: u64 = counts.sent.values().sum();
        println!("{total} records {verb}");
        for (topic, count) in &counts.sent {
            println!("  {count} to {topic}");
        }
        if counts.sent_before > 0 {
            println!("{} were sent before; --again sends them again", counts.sent_before);
        }
        if counts.cut > 0 {
            println!("{} cannot be sent: only the beginning of each was kept", counts.cut);
        }
    }
}

impl Replaying {
    fn send(&mut self, topic: &str, letter: Letter) -> Result<(), Error> {
        if !self.sinks.contains_key(topic) {
            let sink = KafkaSink::open(&self.kafka, LINGER_MS, topic)?;
            self.sinks.insert(topic.to_owned(), sink);
        }
        let sink = self.sinks.get_mut(topic).expect("it was just made sure of");
        let from = format!("{}:{}", self.queue, letter.place);
        let replayed = [("replayed_from", from.as_bytes())];
        let headers: Vec<(&str, &[u8])> = letter.original_headers().chain(replayed).collect();
        sink.send(&Record {
            key: letter.header("key").unwrap_or_default(),
            payload: &letter.bytes,
            time_ms: letter.time_ms(),
            headers: &headers,
        })?;
        self.on_their_way.push(letter);
        if self.on_their_way.len() >= RECORDS_PER_MARK { self.confirm() } else { Ok(()) }
    }

    /// Waits until what was sent is delivered, then notes it.
    fn confirm(&mut self) -> Result<(), Error> {
        for sink in self.sinks.values_mut() {
            sink.flush()?;
        }
        for letter in self.on_their_way.drain(..) {
            self.marks.add(&letter);
        }
        self.marks.save()
    }
}
