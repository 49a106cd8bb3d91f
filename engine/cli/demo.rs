//! `pelton demo`: the main job on an embedded default, with a live view.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use pelton::checkpoint::recover::Recovery;
use pelton::config::Config;
use pelton::config::stream::{KafkaConfig, SourceConfig};
use pelton::control::Control;
use pelton::error::Error;
use pelton::generate::fraud::{FraudGenerator, FraudSpec};
use pelton::generate::{Labels, Parts, write_file};
use pelton::live::Live;
use pelton::source::{self, Source};
use toml::{Table, Value};

use super::generate::Topics;
use super::report::Report;
use super::{open_file, usage};

/// Arguments of `pelton demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Run through Kafka at these brokers (host:port); without, from a file.
    #[arg(long, value_name = "B", env = "PELTON_BROKERS")]
    brokers: Option<String>,
    /// How many payments.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: u64,
    /// Another seed, another world of payments.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

/// The configuration that README shows; the demo replaces its topics and addresses.
const CONFIG: &str = include_str!("../../examples/fraud/linear.toml");
/// How long after its payment a label arrives.
pub const LABEL_DELAY_MS: i64 = 7 * 86_400_000;

impl Demo {
    /// Makes a stream, runs the engine over it, says what came out.
    pub fn run(self) -> Result<(), Error> {
        println!(
            "Pelton demo: {} card payments of a made-up world, some of them frauds.",
            self.events
        );
        println!("Every payment is scored when it happens; what it was is known seven days later,");
        println!("and the model learns it then, from the features that were scored.\n");
        let folder = std::env::temp_dir().join(format!("pelton-demo-{}", std::process::id()));
        let prepared = match &self.brokers {
            Some(brokers) => self.through_kafka(brokers),
            None => self.through_file(&folder),
        };
        let ran = prepared.and_then(|(config, source)| watch(&config, source));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
        }
        ran
    }

    fn spec(&self) -> FraudSpec {
        FraudSpec::new(self.events, self.seed)
    }

    fn through_kafka(&self, brokers: &str) -> Result<(Config, Box<dyn Source>), Error> {
        let name = |what: &str| format!("pelton-demo-{}-{what}", std::process::id());
        let mut table = config_table();
        set(&mut table, "kafka", "brokers", brokers.into());
        set(&mut table, "source", "topics", vec![Value::from(name("transactions"))].into());
        set(&mut table, "source", "group", name("group").into());
        set(&mut table, "source", "stop_at_end", true.into());
        set(&mut table, "labels", "topic", name("labels").into());
        set(&mut table, "emit", "topic", name("scores").into());
        set(&mut table, "dead_letters", "topic", name("dead-letters").into());
        let config = parse(&table)?;
        let kafka = KafkaConfig { brokers: brokers.to_owned(), properties: Vec::new() };
        let (events, labels) = (name("transactions"), name("labels"));
        let linger_ms = Topics::LINGER_MS;
        let topics = Topics { events: &events, labels: Some(&labels), linger_ms, is_binary: false };
        topics.make(&kafka, 1)?;
        pelton::kafka::create_topics(&kafka, &[(&name("scores"), 1), (&name("dead-letters"), 1)])?;
        println!("writing payments and their labels to Kafka at {brokers} ...");
        let open = || FraudGenerator::new(self.spec());
        topics.fill(&kafka, open(), Labels::new(open(), LABEL_DELAY_MS), |_| {})?;
        println!("reading them back: topics {events}, {labels}; scores go to {}\n", name("scores"));
        let source = source::kafka::open(&config, &[], Vec::new())?;
        Ok((config, source))
    }

    fn through_file(&self, folder: &std::path::Path) -> Result<(Config, Box<dyn Source>), Error> {
        std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let path = folder.join("payments.jsonl");
        let mut generator = FraudGenerator::new(self.spec());
        write_file(&mut generator, &path, Parts::RECORD, &mut |_| {})
            .map_err(|error| usage(error.to_string(), "make room in the temporary folder"))?;
        println!("no --brokers: the payments come from a file, the scores are only counted\n");
        let mut table = config_table();
        for (section, key) in [("labels", "topic"), ("emit", "topic"), ("dead_letters", "topic")] {
            if let Some(Value::Table(section)) = table.get_mut(section) {
                section.remove(key);
            }
        }
        table.remove("source");
        let mut config = parse(&table)?;
        config.source = SourceConfig::File { path: path.clone() };
        let source = open_file(&path, &config, None, 0)?;
        Ok((config, source))
    }
}

/// The example without its dates and its address for metrics.
pub fn config_table() -> Table {
    let mut table: Table = CONFIG.parse().expect("the example is checked by a test");
    table.remove("metrics");
    if let Some(Value::Table(evaluate)) = table.get_mut("evaluate") {
        evaluate.remove("from");
        evaluate.remove("to");
    }
    table
}

/// Sets one key of one section.
pub fn set(table: &mut Table, section: &str, key: &str, value: Value) {
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        section.insert(key.to_owned(), value);
    }
}

/// The configuration of a table.
pub fn parse(table: &Table) -> Result<Config, Error> {
    Config::parse(&table.to_string())
        .map_err(|problems| Error::Config { path: "the embedded configuration".into(), problems })
}

fn watch(config: &Config, source: Box<dyn Source>) -> Result<(), Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let control = Control::start(&config.metrics, &stop)?;
    let live = Arc::new(Live::default());
    let done = Arc::new(AtomicBool::new(false));
    let view = {
        let (live, done) = (Arc::clone(&live), Arc::clone(&done));
        std::thread::spawn(move || show(&live, &done))
    };
    let recovery = Recovery::none(config, &pelton::device::open(config)?)?;
    let outcome = pelton::run::run(config, source, recovery, &stop, &live);
    done.store(true, Ordering::Relaxed);
    view.thread().unpark();
    // A view that failed to print is no reason to fail the run.
    let _ = view.join();
    control.stop();
    println!();
    let report = Report::new(&outcome?)?;
    report.finish(None)?;
    println!("\nNext: pelton check examples/fraud/linear.toml, and README for your own stream.");
    Ok(())
}

/// Two lines a second.
fn show(live: &Live, done: &AtomicBool) {
    println!(
        "{:<12}{:>12}{:>12}{:>12}{:>10}{:>10}{:>9}",
        "day", "scored", "per second", "labels", "waiting", "AUC", "dead"
    );
    let (mut before, mut at) = (0, Instant::now());
    let style = if std::io::stdout().is_terminal() { ("\x1b[36m", "\x1b[0m") } else { ("", "") };
    while !done.load(Ordering::Relaxed) {
        std::thread::park_timeout(Duration::from_millis(500));
        let (scored, view) = (live.scored(), live.view());
        let rate = (scored - before) as f64 / at.elapsed().as_secs_f64();
        (before, at) = (scored, Instant::now());
        let metric = |name: &str| {
            let found = view.trailing.iter().find(|(n, value)| *n == name && value.is_finite());
            found.map_or("-".to_owned(), |(_, value)| format!("{value:.3}"))
        };
        println!(
            "{}{:<12}{}{:>12}{:>12.0}{:>12}{:>10}{:>10}{:>9}",
            style.0,
            day(view.watermark_ms),
            style.1,
            scored,
            rate,
            view.learned,
            view.pending,
            metric("auc"),
            live.dead_letters(),
        );
    }
}

fn day(time_ms: i64) -> String {
    let known = pelton::features::plan::date(time_ms).filter(|_| time_ms > 0);
    known.unwrap_or_else(|| "-".to_owned())
}
