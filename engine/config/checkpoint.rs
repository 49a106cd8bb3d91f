//! `[checkpoint]`: where the state is kept, how often, for how long.

use super::read::{Key, Section};
use crate::checkpoint::store;

/// How state survives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointConfig {
    /// A folder, or the URL of an object store; none = state is lost with the process.
    pub dir: Option<String>,
    /// The folder of the order log; the folder of the checkpoints by default, none with an object
    /// store.
    pub order_dir: Option<String>,
    /// Wall time between two checkpoints.
    pub every_ms: i64,
    /// So many of the newest are kept.
    pub keep: usize,
    /// Older ones are removed, the newest good one apart; 0 = whatever their age.
    pub keep_for_ms: i64,
    /// Whether the order of each batch is on the disk before its scores go out.
    pub order_sync: bool,
    /// After a crash the score topic must be quiet for this long before it is read.
    pub settle_ms: i64,
}

impl CheckpointConfig {
    /// Reads `[checkpoint]`.
    pub fn read(root: &mut Section<'_>) -> CheckpointConfig {
        let mut section = root.section("checkpoint");
        let doc = "folder, or URL of an object store (s3://, gs://, az://); none = state is lost \
                   with the process";
        let dir = section.text_maybe(Key("dir", doc));
        if let Some(dir) = &dir
            && let Err(why) = store::check(dir)
        {
            section.problem("dir", format!("is {dir:?}, but {why}"));
        }
        let doc = "folder of the order log; else that of the checkpoints. With an object store and \
                   no such folder there is no log: after a crash no score is sent twice, but what \
                   followed the last checkpoint may be read with its partitions interleaved \
                   otherwise, and learned in that order";
        let order_dir = section.text_maybe(Key("order_dir", doc));
        if order_dir.as_deref().is_some_and(store::is_url) {
            section.problem("order_dir", "is an URL, but must be a folder: it is appended to");
        }
        let doc = "wall time between two checkpoints";
        let every_ms = section.duration_ms(Key("every", doc), "30s", ["10ms", "1d"]);
        let keep = section.count(Key("keep", "newest checkpoints that are kept"), 3, 1..=10_000);
        let doc = "older checkpoints are removed, the newest good one apart; 0ms = of any age";
        let keep_for_ms = section.duration_ms(Key("keep_for", doc), "0ms", ["0ms", "3650d"]);
        let doc = "sync the order of each batch to the disk before its scores go out: scores then \
                   also survive the death of the machine, at the price of a sync a batch";
        let order_sync = section.flag(Key("order_sync", doc), false);
        let doc = "after a crash the topics written to must be quiet for this long before their \
                   ends are read: the broker may still be writing what was on its way";
        let settle_ms = section.duration_ms(Key("settle", doc), "1s", ["0ms", "10m"]);
        section.finish();
        CheckpointConfig { dir, order_dir, every_ms, keep, keep_for_ms, order_sync, settle_ms }
    }
}
