//! A folder of model versions: what each was learned from, and how it did.
//!
//! A version is a checkpoint, whole, under a number, and a JSON file beside it that a person can
//! read: which settings, which part of the stream, which measures, and which version came before.
//! `pelton model promote CONFIG FOLDER/000003.pelton` takes its model into a running job's state.
//! The JSON file is written last, so that a version is there whole or not at all; nothing here is
//! ever changed or removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cut::now_ms;
use super::manifest::ReadPosition;
use super::{exchange, file_name, recover};
use crate::config::Config;
use crate::device::Device;
use crate::error::Error;

/// A version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its number, 1 the first.
    pub number: u64,
    /// The version before it, if there is one.
    pub parent: Option<u64>,
    /// When it was registered, milliseconds since the epoch.
    pub registered_ms: i64,
    /// The program's version.
    pub program: String,
    /// What was said of it.
    pub note: Option<String>,
    /// The file of the checkpoint, in the same folder.
    pub file: String,
    /// The checkpoint's own number, and when it was taken, milliseconds since the epoch.
    pub checkpoint: u64,
    /// See `checkpoint`.
    pub taken_ms: i64,
    /// Kind of the model.
    pub kind: String,
    /// Where there are challengers: which model's scores leave.
    pub champion: Option<String>,
    /// BLAKE3 of the model's state, as hexadecimal text.
    pub model_digest: String,
    /// BLAKE3 of the configuration's file.
    pub config_digest: String,
    /// BLAKE3 of each part of the settings that gives the state its meaning.
    pub settings: BTreeMap<String, String>,
    /// What it was learned from.
    pub data: Span,
    /// The measures over the whole stream so far; what is not defined is absent.
    pub metrics: BTreeMap<String, f64>,
    /// The same over the trailing rows.
    pub trailing: BTreeMap<String, f64>,
}

/// A part of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Event records consumed.
    pub events: u64,
    /// Labels learned.
    pub labels: u64,
    /// Newest event time, milliseconds since the epoch.
    pub watermark_ms: i64,
    /// What is read next, of every partition: it has seen all before that.
    pub positions: Vec<ReadPosition>,
    /// The same of the version before: what lies between is new in this one.
    pub parent_positions: Vec<ReadPosition>,
}

/// Registers the model of a checkpoint, the newest by default.
///
/// # Errors
/// Those of reading the checkpoint; [`Error::File`] when the folder cannot be written;
/// [`Error::Usage`] when there is no such checkpoint.
pub fn register(
    config_path: &Path,
    folder: &Path,
    sequence: Option<u64>,
    note: Option<String>,
) -> Result<Version, Error> {
    let config = Config::load(config_path)?;
    let (sequence, bytes) = exchange::bytes_of(&config, sequence)?;
    let parent = versions(folder)?.pop();
    let number = parent.as_ref().map_or(1, |parent| parent.number + 1);
    let text = std::fs::read(config_path).map_err(Error::file("read", config_path))?;
    let config_digest = blake3::hash(&text).to_hex().to_string();
    let (recovery, manifest) =
        recover::read_bytes(bytes.clone(), &file_name(sequence), (&config, &Device::Cpu))?;
    let learner = recovery.pipeline.learner();
    let champion = learner.contest().map(|contest| contest.standings());
    let champion = champion.and_then(|all| all.into_iter().find(|own| own.is_champion));
    let defined = |measures: Vec<(&'static str, f64)>| {
        let finite = measures.into_iter().filter(|(_, value)| value.is_finite());
        finite.map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let version = Version {
        number,
        registered_ms: now_ms(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        note,
        file: format!("{number:06}.pelton"),
        checkpoint: sequence,
        taken_ms: manifest.taken_ms,
        kind: learner.model_name().to_owned(),
        champion: champion.map(|own| own.name),
        model_digest: learner.model_digest()?,
        config_digest,
        settings: manifest.settings,
        data: Span {
            events: manifest.consumed,
            labels: learner.counts().learned,
            watermark_ms: manifest.watermark_ms,
            positions: manifest.positions,
            parent_positions: parent.as_ref().map_or(Vec::new(), |p| p.data.positions.clone()),
        },
        metrics: defined(learner.evaluator().report()),
        trailing: defined(learner.evaluator().trailing()),
        parent: parent.map(|parent| parent.number),
    };
    std::fs::create_dir_all(folder).map_err(Error::file("write", folder))?;
    write(&folder.join(&version.file), &bytes)?;
    let text = serde_json::to_vec_pretty(&version).expect("texts and numbers are JSON");
    write(&folder.join(format!("{number:06}.json")), &text)?;
    Ok(version)
}

/// The versions of a folder, oldest first; none where there is no folder.
///
/// # Errors
/// [`Error::File`] when it cannot be read; [`Error::Usage`] for a file that describes no version.
pub fn versions(folder: &Path) -> Result<Vec<Version>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file("read", folder))? {
        let path: PathBuf = entry.map_err(Error::file("read", folder))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_number = stem.is_some_and(|stem| stem.parse::<u64>().is_ok());
        if !is_number || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read(&path).map_err(Error::file("read", &path))?;
        let version = serde_json::from_slice(&text).map_err(|error| Error::Usage {
            what: format!("{} describes no version of a model: {error}", path.display()),
            remedy: "name a folder that pelton model register has written".into(),
        })?;
        found.push(version);
    }
    found.sort_by_key(|version: &Version| version.number);
    Ok(found)
}

/// Writes a file of its own, whole or not at all, and on the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    use std::io::Write;
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part).map_err(Error::file("write", &part))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::file("write", &part))?;
    std::fs::rename(&part, path).map_err(Error::file("rename", &part))
}
