//! Another checkpoint's model in the newest state: going back, or taking over.
//!
//! What was read so far, windows, events that wait and measures stay those of the newest
//! checkpoint; model and guard are the other's. The result is a new checkpoint, written as any
//! other, from which the next start goes on. Only while no engine has the place open.

use crate::device::Device;
use std::path::{Path, PathBuf};

use super::cut::now_ms;
use super::manifest::Manifest;
use super::order::place::{Folder, OrderPlace};
use super::recover::{self, Recovery};
use super::retain::Retention;
use super::store::{self, Store};
use super::writer::Writing;
use super::{file_name, order_path, sequence_of};
use crate::config::Config;
use crate::emit::Positions;
use crate::error::Error;

/// Where the model is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A checkpoint of the configuration's own place.
    Sequence(u64),
    /// The newest of its place that lies before the newest of all.
    Before,
    /// A checkpoint in a file.
    File(PathBuf),
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The checkpoint whose state stays.
    pub newest: u64,
    /// The new one.
    pub written: u64,
    /// Version of the model before and after.
    pub versions: [u64; 2],
    /// Digest of the model before and after.
    pub digests: [String; 2],
}

/// Puts the model of `origin` into the newest state.
///
/// # Errors
/// As [`Recovery::open`]; [`Error::Usage`] when there is no such checkpoint.
pub fn exchange(config: &Config, origin: &Origin) -> Result<Exchanged, Error> {
    rewrite(config, |store, recovery, newest| {
        let other = match origin {
            Origin::File(path) => {
                let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
                recover::read_bytes(bytes, &path.display().to_string(), (config, &Device::Cpu))?.0
            }
            Origin::Sequence(sequence) => one(store, *sequence, config)?,
            Origin::Before => {
                let before = sequences(store)?.into_iter().filter(|&own| own < newest).max();
                let sequence = before.ok_or_else(|| Error::Usage {
                    what: format!("there is no checkpoint before {newest}"),
                    remedy: "see pelton model list".into(),
                })?;
                one(store, sequence, config)?
            }
        };
        recovery.pipeline.adopt_model(other.pipeline)
    })
}

/// Makes a model of the contest the champion of the newest state.
///
/// # Errors
/// As [`exchange`]; [`Error::Usage`] when no model of the contest is called so.
pub fn promote(config: &Config, name: &str) -> Result<Exchanged, Error> {
    rewrite(config, |_, recovery, _| {
        if recovery.pipeline.promote(name) {
            return Ok(());
        }
        let contest = recovery.pipeline.learner().contest();
        let standings = contest.map(|contest| contest.standings()).unwrap_or_default();
        let names: Vec<String> = standings.into_iter().map(|own| own.name).collect();
        Err(Error::Usage {
            what: format!("no model is called {name:?}"),
            remedy: match names.is_empty() {
                true => "give the configuration [[challengers]]".to_owned(),
                false => format!("name one of {}", names.join(", ")),
            },
        })
    })
}

/// Lets a guard that has tripped learn again, from the newest state.
///
/// # Errors
/// As [`exchange`].
pub fn resume(config: &Config) -> Result<Exchanged, Error> {
    rewrite(config, |_, recovery, _| {
        recovery.pipeline.resume_learning();
        Ok(())
    })
}

/// Every checkpoint of a place, oldest first.
///
/// # Errors
/// As [`Store::list`].
pub fn sequences(store: &dyn Store) -> Result<Vec<u64>, Error> {
    let mut found: Vec<u64> =
        store.list()?.iter().filter_map(|file| sequence_of(&file.name)).collect();
    found.sort_unstable();
    Ok(found)
}

/// The number and the bytes of a checkpoint of the configuration's place, the newest by default.
///
/// # Errors
/// Those of the place; [`Error::Usage`] when there is no such checkpoint.
pub fn bytes_of(config: &Config, sequence: Option<u64>) -> Result<(u64, Vec<u8>), Error> {
    let none = |what: String| Error::Usage { what, remedy: "see pelton model list".into() };
    let dir = config.checkpoint.dir.as_ref();
    let dir = dir.ok_or_else(|| none("the configuration keeps no checkpoints".into()))?;
    let store = store::look(dir)?;
    let all = sequences(store.as_ref())?;
    let sequence = sequence.or(all.last().copied()).filter(|wanted| all.contains(wanted));
    let sequence = sequence.ok_or_else(|| none(format!("there is no such checkpoint in {dir}")))?;
    Ok((sequence, store.get(&file_name(sequence))?))
}

fn one(store: &dyn Store, sequence: u64, config: &Config) -> Result<Recovery, Error> {
    if !sequences(store)?.contains(&sequence) {
        return Err(Error::Usage {
            what: format!("there is no {} in {}", file_name(sequence), store.place()),
            remedy: "see pelton model list".into(),
        });
    }
    Ok(recover::read(store, sequence, (config, &Device::Cpu))?.0)
}

fn rewrite(
    config: &Config,
    change: impl FnOnce(&dyn Store, &mut Recovery, u64) -> Result<(), Error>,
) -> Result<Exchanged, Error> {
    let nothing = |what: String| Error::Usage {
        what,
        remedy: "name the [checkpoint] dir that the engine runs with".into(),
    };
    let dir = config.checkpoint.dir.as_ref();
    let dir = dir.ok_or_else(|| nothing("the configuration keeps no checkpoints".into()))?;
    if !store::is_url(dir) && !Path::new(dir).is_dir() {
        return Err(nothing(format!("there is no folder {dir}")));
    }
    let store = store::open(dir)?;
    let found = recover::newest(store.as_ref(), (config, &Device::Cpu))?;
    let (mut recovery, manifest) =
        found.ok_or_else(|| nothing(format!("there is no checkpoint in {dir}")))?;
    let orders = config.checkpoint.order_dir.clone().map(PathBuf::from);
    let orders = orders.or_else(|| (!store::is_url(dir)).then(|| PathBuf::from(dir)));
    let last_order = orders.as_deref().map(|dir| Folder::new(dir).list()).transpose()?;
    let last_order = last_order.unwrap_or_default().into_iter().max().unwrap_or(0);
    let last = sequences(store.as_ref())?.pop().unwrap_or(0).max(last_order);
    let before = [recovery.pipeline.learner().model_version()];
    let digest = recovery.pipeline.learner().model_digest()?;
    change(store.as_ref(), &mut recovery, manifest.sequence)?;
    let learner = recovery.pipeline.learner();
    let exchanged = Exchanged {
        newest: manifest.sequence,
        written: last + 1,
        versions: [before[0], learner.model_version()],
        digests: [digest, learner.model_digest()?],
    };
    if let Some(folder) = &orders {
        carry_order(folder, manifest.sequence, last + 1)?;
    }
    let positions: Positions = [manifest.scores.clone(), manifest.dead_letters.clone()];
    let manifest = Manifest { sequence: last + 1, taken_ms: now_ms(), ..manifest };
    let snapshot = recover::snapshot_of(&recovery, &manifest)?;
    // Nothing is removed: what was gone back from may be wanted yet.
    let retention = Retention { count: usize::MAX, age_ms: 0 };
    Writing::new(store, None, retention, exchanged.newest).write(snapshot, positions).1?;
    Ok(exchanged)
}

/// What was read behind the newest checkpoint comes in the same order behind the new one.
fn carry_order(folder: &Path, newest: u64, written: u64) -> Result<(), Error> {
    let mut logs = Folder::new(folder).list()?;
    logs.retain(|&sequence| sequence >= newest);
    match logs[..] {
        [] => Ok(()),
        [log] => {
            let (from, to) = (order_path(folder, log), order_path(folder, written));
            std::fs::copy(&from, &to).map(drop).map_err(Error::file("write", to))
        }
        _ => Err(Error::Usage {
            what: format!("behind checkpoint {newest} lie several order logs"),
            remedy: "start the engine and stop it once, so that it writes a whole checkpoint"
                .into(),
        }),
    }
}
