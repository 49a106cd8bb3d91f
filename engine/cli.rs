//! The command line.

mod bench;
mod check;
mod checkpoint;
mod demo;
mod dlq;
mod generate;
mod html;
mod model;
mod progress;
mod replay;
mod report;
mod run;
mod simulate;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use pelton::config::Config;
use pelton::error::Error;
use pelton::source::file::FileOptions;
use pelton::source::{self, Source};
use tracing_subscriber::EnvFilter;

/// An online learning engine: events in, scores out, labels back.
///
/// Start with `pelton demo`, then `pelton check examples/fraud/pelton.toml`, and replay a recorded
/// stream with `pelton replay CONFIG --input FILE`.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Arguments {
    /// Log as JSON lines instead of text.
    #[arg(long, global = true)]
    log_json: bool,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Score events from Kafka (or a file) and learn from their labels, until the source ends or
    /// SIGTERM/SIGINT.
    ///
    /// On a signal the engine stops reading, scores and delivers what it has read, and exits 0.
    Run(run::Run),
    /// Run the same engine over a recorded stream, as fast as it goes.
    ///
    /// Labels are taken from the recording and released after [labels] delay. Formats: .parquet,
    /// .csv, .csv.gz, .jsonl, .jsonl.gz. Scores and dead letters go to files if asked, never to
    /// Kafka.
    Replay(replay::Replay),
    /// Validate a configuration and explain what it does: features, memory, slots.
    Check(check::Check),
    /// Look at checkpoints: what lies there, and whether a run could go on from it.
    Checkpoint(checkpoint::Checkpoint),
    /// Look at the models of checkpoints, and go back to one.
    Model(model::Model),
    /// Write a synthetic stream, the same bytes for the same seed, to a file or to Kafka.
    Generate(generate::Generate),
    /// Look at dead letters, and send their records again.
    Dlq(dlq::Dlq),
    /// Measure this machine: learning, features, the whole pipeline.
    Bench(bench::Bench),
    /// Live through simulated histories of crashes, full disks and slow sinks, and check that
    /// nothing was lost, doubled or scored otherwise.
    ///
    /// One seed is one history. The whole engine runs, on one thread, with a source, sinks, a disk
    /// and a clock in memory. A seed that breaks a promise is printed, with exit code 4.
    Simulate(simulate::Simulate),
    /// Run everything on an embedded default, with a live view, in under a minute.
    Demo(demo::Demo),
}

/// Carries out what was asked for.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.command {
        Command::Run(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Checkpoint(command) => command.run(),
        Command::Model(command) => command.run(),
        Command::Generate(command) => command.run(),
        Command::Dlq(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Demo(command) => command.run(),
    }
}

/// Logs go to standard error; `RUST_LOG` chooses what is logged.
pub fn start_log(arguments: &Arguments) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if arguments.log_json { log.json().init() } else { log.init() }
}

/// Opens a recorded stream for this configuration; `limit` events at most, the first being
/// `from_row`.
fn open_file(
    path: &Path,
    config: &Config,
    limit: Option<u64>,
    from_row: u64,
) -> Result<Box<dyn Source>, Error> {
    let options = FileOptions { from_row, limit, ..FileOptions::of(config) };
    source::file::open(path, &config.event.schema, &options)
}

/// A problem with the arguments themselves.
fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::Usage { what: what.into(), remedy: remedy.into() }
}

/// Writes a text to a file of its own, whole or not at all.
fn write_whole(path: &PathBuf, text: &str) -> Result<(), Error> {
    let mut name = path.clone().into_os_string();
    name.push(".part");
    std::fs::write(&name, text).map_err(Error::file("write", &name))?;
    std::fs::rename(&name, path).map_err(Error::file("rename", &name))
}
