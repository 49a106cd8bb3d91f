//! `pelton bench features` and `pelton bench pipeline`: generated payments through the engine.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use pelton::batch::Batcher;
use pelton::checkpoint::recover::Recovery;
use pelton::clean::Clean;
use pelton::config::{Config, Replaced};
use pelton::error::Error;
use pelton::features::FeatureStage;
use pelton::generate::fraud::{FraudGenerator, FraudSpec};
use pelton::generate::{Parts, write_file};
use pelton::join::{Join, PendingShape};
use pelton::live::Live;
use pelton::ring::Slot;
use pelton::source::Source;
use serde_json::{Map, Value, json};

use crate::cli::report::{Report, cpu_time};
use crate::cli::{open_file, usage};

/// How much is run.
#[derive(Debug, Args)]
pub struct Size {
    /// How many payments.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: u64,
    /// Another seed, another world.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

const CONFIG: &str = include_str!("../../../examples/fraud/linear.toml");

impl Size {
    /// The example's configuration and a recording of generated payments, which `run` may use.
    fn with_stream<T>(
        &self,
        run: impl FnOnce(&Config, Box<dyn Source>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let replaced = Replaced { is_replay: true, ..Replaced::default() };
        let mut config = Config::parse_with(CONFIG, &replaced)
            .map_err(|problems| Error::Config { path: "the embedded example".into(), problems })?;
        (config.evaluate.from_ms, config.evaluate.to_ms) = (None, None);
        let folder = std::env::temp_dir().join(format!("pelton-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let path = folder.join("payments.parquet");
        let mut generator = FraudGenerator::new(FraudSpec::new(self.events, self.seed));
        let written = write_file(&mut generator, &path, Parts::RECORD, &mut |_| {})
            .map_err(|error| usage(error.to_string(), "make room in the temporary folder"));
        let ran = written.and_then(|_| run(&config, open_file(&path, &config, None, 0)?));
        std::fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
        ran
    }
}

/// The whole engine.
pub fn whole(size: &Size) -> Result<Map<String, Value>, Error> {
    let (report, cpu_seconds) = size.with_stream(|config, source| {
        let (stop, live) = (Arc::new(AtomicBool::new(false)), Arc::new(Live::default()));
        let started = cpu_time();
        let recovery = Recovery::none(config, &pelton::device::open(config)?)?;
        let outcome = pelton::run::run(config, source, recovery, &stop, &live)?;
        Ok((Report::new(&outcome)?, (cpu_time() - started).as_secs_f64()))
    })?;
    let figures = json!({
        "bench": "pipeline",
        "events": report.events,
        "features": 15,
        "events_per_second": report.events_per_second,
        "events_per_cpu_second": report.events as f64 / cpu_seconds,
        "peak_memory_bytes": report.peak_memory_bytes,
        "latency_ms": report.latency_ms,
        "score_digest": report.score_digest,
        "model_digest": report.model_digest,
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}

/// Clean, join and features alone, timed without decoding.
pub fn features(size: &Size) -> Result<Map<String, Value>, Error> {
    let (events, seconds, width) = size.with_stream(|config, source| {
        let mut stage = FeatureStage::new(config)?;
        let shape = stage.shape();
        let label_keys = stage.plan().label_tables.iter().map(|t| t.key.clone()).collect();
        let (dense_width, sparse_width) = (shape.dense_width, shape.sparse_width);
        let (outputs, notes_width, group) = (1, 0, None);
        let pending =
            PendingShape { dense_width, sparse_width, outputs, notes_width, label_keys, group };
        let mut clean = Clean::new(&config.event, config.features.keys_max);
        let mut join = Join::new(&config.labels, pending);
        let mut batcher = Batcher::new(source, 0);
        let mut slot = Slot::new(&config.event.schema, config.batch.rows_max);
        let (mut resolved, stop) = (Vec::new(), AtomicBool::new(false));
        let (mut events, mut seconds) = (0, 0.0);
        while batcher.next(&mut slot, &stop)? {
            let started = cpu_time();
            clean.run(&mut slot);
            join.run(&slot, &mut resolved);
            stage.run(&slot, &mut join, &resolved, None)?;
            resolved.iter().for_each(|label| join.learned(label, None));
            join.settle();
            seconds += (cpu_time() - started).as_secs_f64();
            events += slot.rows as u64;
        }
        Ok((events, seconds, shape.dense_width))
    })?;
    let figures = json!({
        "bench": "features",
        "events": events,
        "features": width,
        "events_per_cpu_second": events as f64 / seconds,
        "nanoseconds_per_event": seconds * 1e9 / events as f64,
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}
