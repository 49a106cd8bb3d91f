//! `pelton checkpoint`: what lies in a folder or an object store, and whether a run could go on
//! from it.
//!
//! Where each partition has a folder of its own, all of them are looked at, one after another. Only
//! looks: nothing is locked, written or removed, so that it may be asked while an engine
//! writes there.

use pelton::device::Device;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use pelton::checkpoint::file_name;
use pelton::checkpoint::format::Whole;
use pelton::checkpoint::manifest::Manifest;
use pelton::checkpoint::store::{self, Store, StoredFile};
use pelton::checkpoint::{recover, sequence_of};
use pelton::config::Config;
use pelton::config::shard::{partition_name, partitions_in};
use pelton::config::stream::StateOf;
use pelton::error::Error;
use serde::Serialize;

use super::usage;

/// Arguments of `pelton checkpoint`.
#[derive(Debug, Args)]
pub struct Checkpoint {
    #[command(subcommand)]
    command: Command,
}

/// What can be asked about checkpoints.
#[derive(Debug, Subcommand)]
enum Command {
    /// List the checkpoints of a place, oldest first, and whether they are whole.
    List(Place),
    /// Show one checkpoint: what it says about itself, its sections and their sizes.
    Show {
        #[command(flatten)]
        place: Place,
        /// Its number; the newest by default.
        sequence: Option<u64>,
    },
    /// Check every checkpoint to its last byte; exit code 3 when the newest is damaged.
    ///
    /// With a configuration, also whether a run with its settings would go on from the newest.
    Verify(Place),
}

/// Where the checkpoints lie.
#[derive(Debug, Args)]
struct Place {
    /// A configuration, or the folder or URL of its [checkpoint] dir; with folders of partitions
    /// in it, all of them.
    #[arg(value_name = "CONFIG|DIR")]
    place: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A checkpoint as it was found.
#[derive(Debug, Serialize)]
struct Found {
    /// Whose it is, where each partition has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    sequence: u64,
    written_ms: i64,
    bytes: u64,
    /// Why it cannot be used; absent when it is whole.
    damage: Option<String>,
    sections: Vec<Section>,
    manifest: Option<Manifest>,
    #[serde(skip)]
    error: Option<Error>,
}

#[derive(Debug, Serialize)]
struct Section {
    name: String,
    bytes: usize,
}

impl Checkpoint {
    /// Prints what was asked for.
    pub fn run(self) -> Result<(), Error> {
        match self.command {
            Command::List(place) => {
                let found = find(&place.open()?, None)?;
                print(&found, place.json, |found| print_lines(found))
            }
            Command::Show { place, sequence } => show(&place.open()?, sequence, place.json),
            Command::Verify(place) => verify(&place.open()?, place.json),
        }
    }
}

/// What [`Opened::find`] finds in all of them.
fn find(all: &[Opened], one: Option<Option<u64>>) -> Result<Vec<Found>, Error> {
    let found: Result<Vec<_>, _> = all.iter().map(|opened| opened.find(one)).collect();
    Ok(found?.into_iter().flatten().collect())
}

/// One checkpoint, or one of each partition that has it.
fn show(all: &[Opened], sequence: Option<u64>, as_json: bool) -> Result<(), Error> {
    let mut found = find(all, Some(sequence))?;
    let Some(first) = found.first() else { return Err(all[0].nothing(sequence)) };
    if first.partition.is_none() {
        print(first, as_json, Found::print_all)?;
    } else {
        print(&found, as_json, |found| {
            for one in found {
                print_partition(one.partition);
                one.print_all();
            }
        })?;
    }
    found.iter_mut().find_map(|found| found.error.take()).map_or(Ok(()), Err)
}

/// The first thing that is wrong with any of them ends it, once all are printed.
fn verify(all: &[Opened], as_json: bool) -> Result<(), Error> {
    let mut found = find(all, None)?;
    print(&found, as_json, |found| print_lines(found))?;
    let mut first = Ok(());
    for opened in all {
        let newest = found.iter_mut().rfind(|found| found.partition == opened.partition);
        first = first.and(opened.verify_newest(newest, as_json));
    }
    first
}

fn print_lines(found: &[Found]) {
    for of_one in found.chunk_by(|a, b| a.partition == b.partition) {
        print_partition(of_one[0].partition);
        of_one.iter().for_each(Found::print_line);
    }
}

fn print_partition(partition: Option<i32>) {
    if let Some(partition) = partition {
        println!("partition {partition}");
    }
}

fn print<T: Serialize>(found: &T, as_json: bool, print: impl FnOnce(&T)) -> Result<(), Error> {
    if as_json {
        let text = serde_json::to_string_pretty(found).expect("texts and numbers are JSON");
        println!("{text}");
    } else {
        print(found);
    }
    Ok(())
}

/// A place that is open to look at.
struct Opened {
    partition: Option<i32>,
    store: Box<dyn Store>,
    config: Option<Config>,
}

impl Place {
    /// A file is a configuration, anything else the place itself. At least one.
    fn open(&self) -> Result<Vec<Opened>, Error> {
        let path = PathBuf::from(&self.place);
        if store::is_url(&self.place) || path.is_dir() {
            let partitions = if path.is_dir() { partitions_in(&path)? } else { Vec::new() };
            return open_each(&self.place, &partitions, None);
        }
        let config = Config::load(&path)?;
        let Some(dir) = &config.checkpoint.dir else {
            return Err(usage(
                format!("{} keeps no checkpoints", path.display()),
                "give it a [checkpoint] dir",
            ));
        };
        open_each(dir, &partitions_of(&config, dir)?, Some(&config))
    }
}

/// The partitions that have checkpoints below `dir`; none where there is one state.
///
/// # Errors
/// [`Error::File`] when the folder cannot be read; [`Error::Usage`] when no partition has any.
pub fn partitions_of(config: &Config, dir: &str) -> Result<Vec<i32>, Error> {
    if config.source.state() != StateOf::Each {
        return Ok(Vec::new());
    }
    let partitions = partitions_in(Path::new(dir))?;
    if partitions.is_empty() {
        return Err(nothing_in(dir));
    }
    Ok(partitions)
}

fn open_each(dir: &str, partitions: &[i32], config: Option<&Config>) -> Result<Vec<Opened>, Error> {
    if partitions.is_empty() {
        let store = store::look(dir)?;
        return Ok(vec![Opened { partition: None, store, config: config.cloned() }]);
    }
    let open = |&partition: &i32| {
        let store = store::look(&format!("{dir}/{}", partition_name(partition)))?;
        let config = config.map(|config| config.of_partition(partition));
        Ok(Opened { partition: Some(partition), store, config })
    };
    partitions.iter().map(open).collect()
}

impl Opened {
    /// Every checkpoint, oldest first, or one: of this number, or the newest.
    fn find(&self, one: Option<Option<u64>>) -> Result<Vec<Found>, Error> {
        let files = self.store.list()?.into_iter();
        let numbered = files.filter_map(|file| Some((sequence_of(&file.name)?, file)));
        let mut files: Vec<(u64, StoredFile)> = numbered.collect();
        files.sort_unstable_by_key(|&(sequence, _)| sequence);
        match one {
            None => {}
            Some(Some(wanted)) => files.retain(|&(sequence, _)| sequence == wanted),
            Some(None) => drop(files.drain(..files.len().saturating_sub(1))),
        }
        let mut found = Vec::with_capacity(files.len());
        for (sequence, file) in files {
            match self.read(sequence, &file) {
                // An engine at work removes old ones meanwhile.
                Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                read => found.push(read?),
            }
        }
        Ok(found)
    }

    fn read(&self, sequence: u64, file: &StoredFile) -> Result<Found, Error> {
        let mut found = Found {
            partition: self.partition,
            sequence,
            written_ms: file.written_ms,
            bytes: file.bytes,
            damage: None,
            sections: Vec::new(),
            manifest: None,
            error: None,
        };
        let bytes = self.store.get(&file.name)?;
        let damaged = |source| Error::Checkpoint { name: file.name.clone(), source };
        let whole = Whole::parse(bytes).map_err(damaged).and_then(|whole| {
            let manifest = recover::parse_manifest(&whole, &file.name)?;
            Ok((whole, manifest))
        });
        match whole {
            Ok((whole, manifest)) => {
                let section = |(name, bytes): (&str, &[u8])| Section {
                    name: name.into(),
                    bytes: bytes.len(),
                };
                found.sections = whole.sections().map(section).collect();
                found.manifest = Some(manifest);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                found.damage = cause.or_else(|| Some(error.to_string()));
                found.error = Some(error);
            }
        }
        Ok(found)
    }

    fn verify_newest(&self, newest: Option<&mut Found>, as_json: bool) -> Result<(), Error> {
        let newest = newest.ok_or_else(|| self.nothing(None))?;
        if let Some(error) = newest.error.take() {
            return Err(error);
        }
        if let Some(config) = &self.config {
            recover::read(self.store.as_ref(), newest.sequence, (config, &Device::Cpu))?;
            if !as_json {
                let of = self.partition.map_or(String::new(), |p| format!(" of partition {p}"));
                println!("a run would go on from {}{of}", newest.sequence);
            }
        }
        Ok(())
    }

    fn nothing(&self, sequence: Option<u64>) -> Error {
        let place = self.store.place();
        match sequence {
            Some(sequence) => usage(
                format!("there is no {} in {place}", file_name(sequence)),
                "look with `pelton checkpoint list`",
            ),
            None => nothing_in(&place),
        }
    }
}

fn nothing_in(place: &str) -> Error {
    usage(
        format!("there is no checkpoint in {place}"),
        "look at the [checkpoint] dir that the engine runs with",
    )
}

impl Found {
    fn print_line(&self) {
        let Found { sequence, bytes, .. } = self;
        let Some(manifest) = &self.manifest else {
            let damage = self.damage.as_deref().unwrap_or_default();
            let written = time(self.written_ms);
            println!("{sequence:>8}  {written:<24} {bytes:>12} bytes  DAMAGED: {damage}");
            return;
        };
        let (taken, watermark) = (time(manifest.taken_ms), time(manifest.watermark_ms));
        let consumed = manifest.consumed;
        println!(
            "{sequence:>8}  {taken:<24} {bytes:>12} bytes {consumed:>12} events to {watermark:<24} \
             whole"
        );
    }

    fn print_all(&self) {
        self.print_line();
        let Some(manifest) = &self.manifest else { return };
        println!("program   {}", manifest.program);
        if manifest.is_last {
            println!("          the run ended right behind it");
        }
        for position in &manifest.positions {
            println!("read      {} {} to {}", position.topic, position.partition, position.next);
        }
        for (name, digest) in &manifest.settings {
            println!("settings  {name:<12} {}", digest.get(..16).unwrap_or(digest));
        }
        for Section { name, bytes } in &self.sections {
            println!("section   {name:<12} {bytes:>12} bytes");
        }
    }
}

/// A time for the eye; before the first event there is none.
fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| "-".to_owned(), |at| at.to_string())
}
