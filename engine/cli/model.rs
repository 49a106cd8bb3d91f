//! `pelton model`: which models are kept, and the way back to one of them.
//!
//! Works on the checkpoints of a configuration while its engine is stopped; listing may be done at
//! any time.

use pelton::device::Device;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use pelton::checkpoint::exchange::{self, Exchanged, Origin};
use pelton::checkpoint::{recover, registry, store};
use pelton::config::Config;
use pelton::error::Error;
use pelton::report;

use pelton_models::contest::{Contest, Standing};

use super::checkpoint::partitions_of;
use super::usage;

/// Arguments of `pelton model`.
#[derive(Debug, Args)]
pub struct Model {
    #[command(subcommand)]
    command: Command,
}

/// What can be done with models.
#[derive(Debug, Subcommand)]
enum Command {
    /// List the model of each checkpoint, oldest first: labels learned, measures, digest.
    ///
    /// Where each partition has a model of its own, those of all of them.
    List {
        /// The configuration.
        config: PathBuf,
    },
    /// Put an earlier checkpoint's model into the newest state.
    ///
    /// Offsets, windows, waiting events and measures stay the newest. The engine must be stopped;
    /// its next start goes on from there.
    Rollback {
        /// The configuration.
        config: PathBuf,
        /// The checkpoint; the one before the newest by default.
        #[arg(long, value_name = "SEQUENCE")]
        to: Option<u64>,
    },
    /// Put the model of any checkpoint of the same settings into the newest state, or make a
    /// challenger of that state the champion.
    ///
    /// The engine must be stopped; its next start goes on from there.
    Promote {
        /// The configuration.
        config: PathBuf,
        /// The file of a checkpoint, or the number of one in the configuration's own place.
        #[arg(value_name = "FILE|SEQUENCE", required_unless_present = "challenger")]
        from: Option<String>,
        /// The name of a challenger, or "model" for the one in [model].
        #[arg(long, value_name = "NAME", conflicts_with = "from")]
        challenger: Option<String>,
    },
    /// Keep the model of a checkpoint as a version, with what it was learned from and how it did.
    ///
    /// May be done while the engine runs. `pelton model promote CONFIG FOLDER/000001.pelton` takes
    /// a version's model into the newest state.
    Register {
        /// The configuration.
        config: PathBuf,
        /// The registry: a folder, made if it is not there.
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
        /// The checkpoint; the newest by default.
        #[arg(long, value_name = "SEQUENCE")]
        checkpoint: Option<u64>,
        /// Something to remember it by.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// List the versions of a registry, oldest first.
    Versions {
        /// The folder.
        folder: PathBuf,
        /// As JSON, with everything that is known.
        #[arg(long)]
        json: bool,
    },
    /// Write the model of a checkpoint as a file that other tools run.
    ///
    /// May be done while the engine runs. The file takes the features that pelton computes, by the
    /// names it lists, and gives the scores that pelton would give; docs/exchange.md tells more.
    Export {
        /// The configuration.
        config: PathBuf,
        /// The file: NAME.onnx, or NAME.safetensors for the numbers alone.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// The checkpoint; the newest by default.
        #[arg(long, value_name = "SEQUENCE")]
        checkpoint: Option<u64>,
        /// The file of a checkpoint instead, such as a version's in a registry.
        #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
        from: Option<PathBuf>,
        /// The partition, where each has a model of its own.
        #[arg(long, value_name = "NUMBER", conflicts_with = "from")]
        partition: Option<i32>,
    },
    /// Let a guard that has tripped learn again; what it takes for usual begins anew.
    Resume {
        /// The configuration.
        config: PathBuf,
    },
}

impl Model {
    /// Does it.
    pub fn run(self) -> Result<(), Error> {
        match self.command {
            Command::List { config } => list(&Config::load(&config)?),
            Command::Rollback { config, to } => {
                let origin = to.map_or(Origin::Before, Origin::Sequence);
                exchange::exchange(&Config::load(&config)?, &origin).map(|done| say(&done))
            }
            Command::Promote { config, challenger: Some(name), .. } => {
                exchange::promote(&Config::load(&config)?, &name).map(|done| say(&done))
            }
            Command::Promote { config, from, .. } => {
                let from = from.unwrap_or_default();
                let number = from.parse().ok().map(Origin::Sequence);
                let origin = number.unwrap_or_else(|| Origin::File(from.into()));
                exchange::exchange(&Config::load(&config)?, &origin).map(|done| say(&done))
            }
            Command::Register { config, to, checkpoint, note } => {
                registry::register(&config, &to, checkpoint, note).map(|version| {
                    println!("version    {}", version.number);
                    println!("file       {}", to.join(&version.file).display());
                    println!("model      {}", short(&version.model_digest));
                })
            }
            Command::Export { config, to, checkpoint, from, partition } => {
                let config = Config::load(&config)?;
                match from {
                    Some(_) => exported(&config, &to, (None, from.as_deref())),
                    None => export(&config, &to, (checkpoint, partition)),
                }
            }
            Command::Versions { folder, json } => versions(&folder, json),
            Command::Resume { config } => {
                exchange::resume(&Config::load(&config)?).map(|done| say(&done))
            }
        }
    }
}

fn export(
    config: &Config,
    to: &Path,
    (checkpoint, partition): (Option<u64>, Option<i32>),
) -> Result<(), Error> {
    let dir = config.checkpoint.dir.as_deref().unwrap_or_default();
    let partitions = partitions_of(config, dir)?;
    let config = match (partition, partitions.as_slice()) {
        (None, []) => config.clone(),
        (None, [only]) => config.of_partition(*only),
        (Some(one), all) if all.contains(&one) => config.of_partition(one),
        (_, all) => {
            let what = "each partition has a model of its own";
            let what = if all.is_empty() { "there is one model for all partitions" } else { what };
            return Err(usage(what, format!("give --partition as one of {all:?}")));
        }
    };
    exported(&config, to, (checkpoint, None))
}

fn exported(config: &Config, to: &Path, which: (Option<u64>, Option<&Path>)) -> Result<(), Error> {
    let done = pelton::export::export(config, to, which)?;
    let [dense, sparse] = done.widths;
    println!("file       {}, {} bytes", done.path.display(), done.bytes);
    println!("model      checkpoint {}, digest {}", done.sequence, short(&done.model_digest));
    println!("inputs     dense [N, {dense}], sparse [N, {sparse}]; output scores");
    Ok(())
}

fn versions(folder: &Path, as_json: bool) -> Result<(), Error> {
    let all = registry::versions(folder)?;
    if as_json {
        let text = serde_json::to_string_pretty(&all).expect("texts and numbers are JSON");
        println!("{text}");
        return Ok(());
    }
    println!(
        "{:>7} {:>7} {:>12}  {:<16}  {:<20}  note",
        "number", "parent", "labels", "digest", "until"
    );
    for own in all {
        let parent = own.parent.map_or("-".to_owned(), |parent| parent.to_string());
        let until = report::time(own.data.watermark_ms).unwrap_or_default();
        let (digest, note) = (short(&own.model_digest), own.note.as_deref().unwrap_or(""));
        let labels = own.data.labels;
        println!("{:>7} {parent:>7} {labels:>12}  {digest:<16}  {until:<20}  {note}", own.number);
        let measures: Vec<_> =
            own.trailing.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        println!("{:>7} {}", "", measures.join("  "));
    }
    Ok(())
}

fn say(done: &Exchanged) {
    let Exchanged { newest, written, versions: [was, is], digests: [before, after] } = done;
    println!("checkpoint {written} written: the state of {newest}, and");
    println!("model      version {was} -> {is}");
    println!("digest     {} -> {}", short(before), short(after));
}

fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

fn list(config: &Config) -> Result<(), Error> {
    let Some(dir) = &config.checkpoint.dir else {
        return Err(usage("the configuration keeps no checkpoints", "give it a [checkpoint] dir"));
    };
    let partitions = partitions_of(config, dir)?;
    for &partition in &partitions {
        println!("partition {partition}");
        let of_one = config.of_partition(partition);
        list_in(of_one.checkpoint.dir.as_deref().unwrap_or(dir), &of_one)?;
    }
    if partitions.is_empty() { list_in(dir, config) } else { Ok(()) }
}

fn list_in(dir: &str, config: &Config) -> Result<(), Error> {
    let store = store::look(dir)?;
    println!("{:>8} {:>12} {:>12}  {:<16}  guard", "number", "version", "learned", "digest");
    for sequence in exchange::sequences(store.as_ref())? {
        let recovery = match recover::read(store.as_ref(), sequence, (config, &Device::Cpu)) {
            Ok((recovery, _)) => recovery,
            Err(error) => {
                println!("{sequence:>8} cannot be used: {error}");
                continue;
            }
        };
        let learner = recovery.pipeline.learner();
        let state = if learner.guard().is_tripped() { "tripped" } else { "well" };
        let (version, learned) = (learner.model_version(), learner.counts().learned);
        let digest = learner.model_digest()?;
        println!("{sequence:>8} {version:>12} {learned:>12}  {:<16}  {state}", short(&digest));
        let trailing = learner.evaluator().trailing();
        let measures: Vec<_> =
            trailing.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        println!("{:>8} {}", "", measures.join("  "));
        for own in learner.contest().map(Contest::standings).unwrap_or_default() {
            let role = if own.is_champion { "champion" } else { "challenger" };
            let Standing { name, loss, evidence, .. } = own;
            println!("{:>8} {role} {name}: loss {loss:.5}, evidence {evidence:.2}", "");
        }
    }
    Ok(())
}
