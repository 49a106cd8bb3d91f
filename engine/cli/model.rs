//! `pelton model`: which models are kept, and the way back to one of them.
//!
//! Works on the checkpoints of a configuration while its engine is stopped; listing may be done at
//! any time.

use pelton::device::Device;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use pelton::checkpoint::exchange::{self, Exchanged, Origin};
use pelton::checkpoint::{recover, store};
use pelton::config::Config;
use pelton::error::Error;

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
            Command::Resume { config } => {
                exchange::resume(&Config::load(&config)?).map(|done| say(&done))
            }
        }
    }
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
