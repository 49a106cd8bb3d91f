//! `pelton run`: the main job.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use pelton::checkpoint::recover::Recovery;
use pelton::config::Config;
use pelton::config::stream::{SourceConfig, StateOf};
use pelton::control::Control;
use pelton::device;
use pelton::error::Error;
use pelton::live::Live;
use pelton::shards;
use pelton::source::{self, Source};
use pelton::watchdog::Watchdog;

use super::progress::Progress;
use super::report::{Report, ShardsReport};
use super::{open_file, usage};

/// Arguments of `pelton run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file.
    config: PathBuf,
    /// Write a report of the run as JSON when it ends.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Run {
    /// Runs until the source ends or a signal comes.
    pub fn run(self) -> Result<(), Error> {
        let config = Config::load(&self.config)?;
        warn_of_loss(&config);
        if config.source.state() == StateOf::Each {
            return self.run_shards(&config);
        }
        let device = device::open(&config)?;
        let stop = Arc::new(AtomicBool::new(false));
        let control = Control::start(&config.metrics, &stop)?;
        let keeps = config.checkpoint.dir.is_some();
        let outcome = device::supervise(&device, keeps, (&stop, &control), |device| {
            let mut recovery = Recovery::open(&config, device)?;
            let source = open_source(&config, &mut recovery)?;
            let live = Arc::new(Live::default());
            let _watchdog = Watchdog::start(&config.run, &live);
            tracing::info!(config = %self.config.display(), "running");
            let progress = Progress::start(&live, source.rows_total(), "events");
            let outcome = pelton::run::run(&config, source, recovery, &stop, &live);
            progress.finish();
            outcome
        });
        control.stop();
        let outcome = outcome?;
        let report = Report::new(&outcome)?;
        tracing::info!(
            events = report.events,
            labels = report.labels,
            dead_letters = report.dead_letters,
            "drained"
        );
        report.finish(self.report.as_ref())
    }

    /// The same where each partition has a state of its own.
    fn run_shards(&self, config: &Config) -> Result<(), Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let device = device::open(config)?;
        let control = Control::start(&config.metrics, &stop)?;
        let live = Arc::new(Live::default());
        let _watchdog = Watchdog::start(&config.run, &live);
        tracing::info!(config = %self.config.display(), "running, each partition by itself");
        let progress = Progress::start(&live, None, "events");
        let (mut report, mut added) = (ShardsReport::start(), Ok(()));
        let ran = shards::run((config, &device), &stop, &live, &mut |partition, outcome| {
            tracing::info!(partition, events = outcome.totals.consumed, "drained");
            added = std::mem::replace(&mut added, Ok(())).and(report.add(partition, &outcome));
        });
        progress.finish();
        control.stop();
        ran.and(added)?;
        report.finish().finish(self.report.as_ref())
    }
}

/// A file that a checkpoint knows is read on from there, Kafka in the order of the earlier run.
fn open_source(config: &Config, recovery: &mut Recovery) -> Result<Box<dyn Source>, Error> {
    match &config.source {
        SourceConfig::Kafka { .. } => {
            let script = std::mem::take(&mut recovery.script);
            source::kafka::open(config, &recovery.positions, script)
        }
        SourceConfig::File { path } => {
            let known =
                recovery.positions.iter().find(|span| *span.topic == *path.to_string_lossy());
            let from_row = known.map_or(0, |span| span.next.unsigned_abs());
            open_file(path, config, None, from_row)
        }
        SourceConfig::None => Err(usage(
            "the configuration names no source",
            "give [source] topics or file, or use `pelton replay CONFIG --input FILE`",
        )),
    }
}

fn warn_of_loss(config: &Config) {
    if config.checkpoint.dir.is_none() {
        tracing::warn!("no [checkpoint] dir: what is learned is lost when the process ends");
    }
}
