//! The configuration of one partition's pipeline, made from that of all.
//!
//! Whatever belongs to one pipeline alone (checkpoints, order log, spilled records, transactional
//! ids, files) gets the partition's name, the same in every instance: that is how one takes over
//! from another. What is learned from is left as it is.

use std::path::{Path, PathBuf};

use super::Config;
use super::checkpoint::CheckpointConfig;
use super::emit::SinkConfig;
use super::read::Section;
use super::stream::{SourceConfig, StateOf};
use crate::checkpoint::store;
use crate::error::Error;

impl SourceConfig {
    /// Whose state is one.
    #[must_use]
    pub fn state(&self) -> StateOf {
        match self {
            SourceConfig::Kafka { state, .. } => *state,
            SourceConfig::File { .. } | SourceConfig::None => StateOf::All,
        }
    }

    /// The only partition that is read, if it is one.
    #[must_use]
    pub fn partition(&self) -> Option<i32> {
        match self.state() {
            StateOf::One(partition) => Some(partition),
            StateOf::All | StateOf::Each => None,
        }
    }
}

impl Config {
    /// The same for one partition alone, with places of its own.
    #[must_use]
    pub fn of_partition(&self, partition: i32) -> Config {
        let name = partition_name(partition);
        let mut config = self.clone();
        if let SourceConfig::Kafka { state, .. } = &mut config.source {
            *state = StateOf::One(partition);
        }
        let within = |place: &mut String| *place = format!("{place}/{name}");
        config.checkpoint.dir.iter_mut().for_each(within);
        config.checkpoint.order_dir.iter_mut().for_each(within);
        config.emit.spill_dir.iter_mut().for_each(|folder| folder.push(&name));
        if let Some(transactions) = &mut config.emit.transactions {
            transactions.id = format!("{}-{name}", transactions.id);
        }
        for sink in [&mut config.emit.sink, &mut config.dead_letters] {
            if let SinkConfig::File(path) = sink {
                *path = file_of(path, &name);
            }
        }
        config
    }
}

/// How a partition's folder is called.
#[must_use]
pub fn partition_name(partition: i32) -> String {
    format!("partition-{partition:04}")
}

/// The partitions that have a folder in this one, in order.
///
/// # Errors
/// [`Error::File`] when it cannot be read.
pub fn partitions_in(folder: &Path) -> Result<Vec<i32>, Error> {
    let listed = std::fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()
    });
    let names = listed.map_err(Error::file("read", folder))?;
    let number = |name: &std::ffi::OsString| {
        let number = name.to_str()?.strip_prefix("partition-")?.parse().ok()?;
        (partition_name(number) == name.to_str()?).then_some(number)
    };
    let mut partitions: Vec<i32> = names.iter().filter_map(number).collect();
    partitions.sort_unstable();
    Ok(partitions)
}

/// `scores.jsonl` becomes `scores-partition-0003.jsonl`.
fn file_of(path: &Path, name: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy()));
    path.with_file_name(format!("{stem}-{name}{}", ending.unwrap_or_default()))
}

/// A partition's state can only follow it through a place that all instances reach and lock.
pub fn check(root: &mut Section<'_>, source: &SourceConfig, checkpoint: &CheckpointConfig) {
    if source.state() != StateOf::Each {
        return;
    }
    match &checkpoint.dir {
        None => root.problem(
            "source.state",
            "is \"partitioned\", which needs [checkpoint] dir: a folder that all instances share",
        ),
        Some(dir) if store::is_url(dir) => root.problem(
            "source.state",
            "is \"partitioned\", but [checkpoint] dir is an object store: only a folder has a lock \
             that an instance holds for as long as it writes scores",
        ),
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "
        event.time = 't'
        source = { topics = ['events'], state = 'partitioned' }
        emit = { file = '/out/scores.jsonl', spill_dir = 'spill', exactly_once = 'transactions' }
        dead_letters.file = 'dead'";

    #[test]
    fn every_partition_has_places_of_its_own() {
        let config = Config::parse(&format!("{BASE}\n[checkpoint]\ndir = '/state'\n")).unwrap();
        let shard = config.of_partition(3);
        assert_eq!((config.source.partition(), shard.source.partition()), (None, Some(3)));
        assert_eq!(shard.checkpoint.dir.as_deref(), Some("/state/partition-0003"));
        assert_eq!(shard.emit.sink, SinkConfig::File("/out/scores-partition-0003.jsonl".into()));
        assert_eq!(shard.dead_letters, SinkConfig::File("dead-partition-0003".into()));
        assert_eq!(shard.emit.spill_dir, Some("spill/partition-0003".into()));
        assert_eq!(shard.emit.transactions.unwrap().id, "pelton-partition-0003");
    }

    #[test]
    fn the_folders_of_partitions_are_found_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["partition-12345", "partition-0010", "partition-0003", "partition-4", "x"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(partitions_in(folder.path()).unwrap(), [3, 10, 12345]);
        assert!(partitions_in(&folder.path().join("y")).is_err());
    }

    #[test]
    fn state_that_follows_its_partition_needs_a_folder() {
        for place in ["", "[checkpoint]\ndir = 's3://bucket/prefix'\n"] {
            let problems = Config::parse(&format!("{BASE}\n{place}")).unwrap_err();
            assert_eq!(problems.0[0].path, "source.state", "{problems:?}");
        }
    }
}
