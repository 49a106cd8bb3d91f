//! `pelton replay`: the same engine over a recorded stream.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use pelton::checkpoint::recover::Recovery;
use pelton::config::emit::SinkConfig;
use pelton::config::stream::SourceConfig;
use pelton::config::{Config, Replaced};
use pelton::control::Control;
use pelton::device;
use pelton::error::Error;
use pelton::live::Live;
use pelton::watchdog::Watchdog;

use super::progress::Progress;
use super::report::Report;
use super::{html, open_file, usage, write_whole};

/// Arguments of `pelton replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The configuration file.
    config: PathBuf,
    /// The recorded stream; else the configuration's [source] file.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Read so many events at most.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write a page with plots (measures over time, calibration, thresholds and costs): one file
    /// that opens in any browser without a network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the scores as JSON lines; what the file held before is gone.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Write dead letters as JSON lines; what the file held before is gone.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
}

impl Replay {
    /// Replays to the end of the recording.
    pub fn run(self) -> Result<(), Error> {
        let config = self.config()?;
        let path = match (&self.input, &config.source) {
            (Some(path), _) | (None, SourceConfig::File { path }) => path.clone(),
            (None, _) => {
                return Err(usage("there is nothing to replay", "give --input FILE"));
            }
        };
        let device = device::open(&config)?;
        let stop = Arc::new(AtomicBool::new(false));
        let control = Control::start(&config.metrics, &stop)?;
        // A recording can be read again from its start, once what was written of it is taken back.
        let written = Written::so_far(&config, [&self.scores, &self.dead_letters], &path)?;
        let outcome = device::supervise(&device, true, (&stop, &control), |device| {
            written.take_back()?;
            let source = open_file(&path, &config, self.limit, 0)?;
            let mut recovery = Recovery::none(&config, device)?;
            if self.html.is_some() {
                recovery.pipeline.keep_history();
            }
            let live = Arc::new(Live::default());
            let _watchdog = Watchdog::start(&config.run, &live);
            let progress = Progress::start(&live, source.rows_total(), "events");
            let outcome = pelton::run::run(&config, source, recovery, &stop, &live);
            progress.finish();
            outcome
        });
        control.stop();
        let outcome = outcome?;
        let report = Report::new(&outcome)?;
        report.finish(self.report.as_ref())?;
        let Some(html) = &self.html else { return Ok(()) };
        let about = html::About { config_path: &self.config, config: &config, input: &path };
        write_whole(html, &html::page(&about, &report, &outcome)?)?;
        println!("page          {}", html.display());
        Ok(())
    }

    /// The configuration as a replay needs it: labels from the recording, sinks from the arguments.
    fn config(&self) -> Result<Config, Error> {
        let text =
            std::fs::read_to_string(&self.config).map_err(Error::file("read", &self.config))?;
        let replaced = Replaced {
            is_replay: true,
            scores: self.scores.clone(),
            dead_letters: self.dead_letters.clone(),
        };
        Config::parse_with(&text, &replaced)
            .map_err(|problems| Error::Config { path: self.config.clone(), problems })
    }
}

/// The files of a replay's sinks, and how much of them is not the replay's: of a file that is named
/// for it nothing, of one in the configuration what it held before.
struct Written(Vec<(PathBuf, u64)>);

impl Written {
    fn so_far(
        config: &Config,
        named: [&Option<PathBuf>; 2],
        input: &Path,
    ) -> Result<Written, Error> {
        let mut files = Vec::new();
        for (sink, named) in [&config.emit.sink, &config.dead_letters].into_iter().zip(named) {
            let SinkConfig::File(path) = sink else { continue };
            let about = std::fs::metadata(path);
            if about.is_ok() && path.canonicalize().ok() == input.canonicalize().ok() {
                let what = format!("{} is what is replayed", path.display());
                return Err(usage(what, "write to another file"));
            }
            let length = if named.is_some() { 0 } else { about.map_or(0, |about| about.len()) };
            files.push((path.clone(), length));
        }
        Ok(Written(files))
    }

    /// Cuts the files back to that; what is not there yet has nothing to be taken back.
    fn take_back(&self) -> Result<(), Error> {
        for (path, length) in self.0.iter().filter(|(path, _)| path.is_file()) {
            let file = File::options().write(true).open(path);
            let cut = file.and_then(|file| file.set_len(*length));
            cut.map_err(Error::file("write", path))?;
        }
        Ok(())
    }
}
