//! `pelton check`: validates and explains a configuration.

use std::path::PathBuf;

use clap::Args;
use pelton::config::Config;
use pelton::config::contest::CHAMPION;
use pelton::config::decode::DecodeBy;
use pelton::config::emit::SinkConfig;
use pelton::config::family::Kind;
use pelton::config::stream::SourceConfig;
use pelton::device::{self, Device};
use pelton::error::Error;
use pelton::features::FeatureStage;
use pelton::features::plan::duration;
use pelton::ring::{Ring, Slot};
use pelton::{imported, model};
use pelton_models::frozen::Feed;

use super::usage;

/// Arguments of `pelton check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file.
    #[arg(required_unless_present = "settings")]
    config: Option<PathBuf>,
    /// Print every setting with its default and legal values instead, as a configuration.
    #[arg(long)]
    settings: bool,
}

impl Check {
    /// Explains, or lists every problem.
    pub fn run(self) -> Result<(), Error> {
        if self.settings {
            print!("{}", Config::settings_toml());
            return Ok(());
        }
        let Some(path) = self.config else {
            return Err(usage("no configuration", "give the path of one"));
        };
        let config = Config::load(&path)?;
        let features = FeatureStage::new(&config)?;
        let imported = explain_imported(&config, &features)?;
        println!("{} is valid", path.display());
        explain_stream(&config);
        explain_features(&config, &features);
        imported.iter().for_each(|line| println!("{line}"));
        explain_memory(&config, &features);
        Ok(())
    }
}

fn explain_stream(config: &Config) {
    match &config.source {
        SourceConfig::Kafka { topics, group, .. } => {
            println!("events   Kafka {}, topics {topics:?}, group {group}", config.kafka.brokers);
        }
        SourceConfig::File { path } => println!("events   {}", path.display()),
        SourceConfig::None => println!("events   from `pelton replay --input`"),
    }
    if let Some(layout) = &config.layout {
        println!("records  binary, {} bytes each", layout.record_bytes);
    }
    let labels = &config.labels;
    let horizon = duration(labels.horizon_ms);
    match &labels.topic {
        Some(topic) => println!("labels   topic {topic}, joined by id within {horizon}"),
        None => println!(
            "labels   field {}, released {} after the event",
            labels.field,
            duration(labels.delay_ms)
        ),
    }
    println!("scores   {}", sink(&config.emit.sink));
    println!("dead     {}", sink(&config.dead_letters));
    println!("device   {}", device(config));
    println!("decode   {}", decode(config));
}

/// Who would read event records on this machine.
fn decode(config: &Config) -> &'static str {
    match (config.decode, device::choose(config)) {
        (DecodeBy::Cpu, _) => "on the CPU",
        (DecodeBy::Device, Ok((Device::Gpu(_), _))) => {
            "on the GPU where records are plain, else on the CPU"
        }
        (DecodeBy::Device, _) => "on the CPU (source.decode = \"device\", but no GPU computes)",
    }
}

/// What this machine would compute on; what it lacks is no fault of the configuration.
fn device(config: &Config) -> String {
    match device::choose(config) {
        Ok((device, None)) => device.to_string(),
        Ok((device, Some(why))) => format!("{device} ({why})"),
        Err(error) => format!("{}: not on this machine ({error})", config.device),
    }
}

fn sink(sink: &SinkConfig) -> String {
    match sink {
        SinkConfig::None => "only counted".to_owned(),
        SinkConfig::File(path) => path.display().to_string(),
        SinkConfig::Kafka(topic) => format!("topic {topic}"),
    }
}

fn explain_features(config: &Config, features: &FeatureStage) {
    let plan = features.plan();
    let scaled = match (config.features.standardize, config.model.family.kind) {
        (true, _) if config.scales_rows() => ", standardised",
        (true, Kind::Auto) => ", standardised for the members that need it",
        (true, _) if config.contest.is_on() => ", standardised for the models that need it",
        _ => "",
    };
    println!("dense    {} features{scaled}", plan.dense_names.len());
    for name in &plan.dense_names {
        println!("    {name}");
    }
    println!("sparse   {} features in 2^{} weights", plan.sparse_names.len(), plan.hash_bits);
    for name in &plan.sparse_names {
        println!("    {name}");
    }
}

/// Models of other tools: what they are fed, or why they cannot be used.
fn explain_imported(config: &Config, features: &FeatureStage) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let challengers = config.contest.challengers.iter().map(|(name, family)| (&**name, family));
    let all = [(CHAMPION, &config.model.family)].into_iter().chain(challengers);
    let files: Vec<_> = all.filter_map(|(name, own)| Some((name, own.file.as_ref()?))).collect();
    for (name, file) in &files {
        let drawing = imported::load(config, file)?;
        lines.push(format!("imported {} as {name}", file.path.display()));
        for ((_, input, _, columns), feed) in drawing.graph.inputs().zip(&drawing.feeds) {
            let of = match feed {
                Feed::Dense(_) => "dense features",
                Feed::Sparse => "sparse features",
            };
            lines.push(format!("    {input}: {columns} {of}"));
        }
    }
    // Whether it gives what the task needs shows when it runs.
    if !files.is_empty() {
        model::build(config, features.shape(), &Device::Cpu)?;
    }
    Ok(lines)
}

fn explain_memory(config: &Config, features: &FeatureStage) {
    let slot = Slot::new(&config.event.schema, config.batch.rows_max);
    println!(
        "slots    {} of {} rows, {} KiB each",
        Ring::slot_count(),
        slot.rows_max(),
        slot.byte_count() / 1024
    );
    for (user, slots) in Ring::USERS {
        println!("    {slots}  {user}");
    }
    let shape = features.shape();
    let row = 4 * (shape.dense_width + shape.sparse_width + config.model.task.outputs());
    println!("pending  {row} bytes of features an event that waits for its label");
    println!(
        "windows  at most {} keys and {} MiB a table",
        config.features.keys_max,
        config.features.bytes_max >> 20
    );
}
