//! Rows of `[checkpoint]`: what lies in which folder after runs over a small recording.

use pelton::device::Device;
use std::path::Path;

use pelton::checkpoint::order::OrderLog;
use pelton::checkpoint::order::place::Folder;
use pelton::checkpoint::recover::Recovery;
use pelton::live::Live;
use pelton::ring::{Run, Span};
use pelton::source::Source;
use pelton::source::file::{self, FileOptions};

use super::look::{Trickle, open, write_events};
use super::row::{NONE, Row, World, row};

const RECORDED: (&str, &str) = ("labels", "{ field = 'label' }");
const DIR: (&str, &str) = ("checkpoint.dir", "'{dir}/state'");

pub const ROWS: &[Row] = &[
    row("checkpoint.dir", &[NONE, "'{dir}/a'", "'{dir}/b'"], "5", folders).with(&[RECORDED]),
    row("checkpoint.order_dir", &["'{dir}/a'", "'{dir}/b'"], "5", folders).with(&[RECORDED, DIR]),
    row("checkpoint.every", &["'10ms'", "'1d'"], "'1ms'", count_of_one_run).with(&[
        RECORDED,
        DIR,
        ("checkpoint.keep", "100"),
    ]),
    row("checkpoint.keep", &["1", "3"], "0", count_of_many_runs).with(&[RECORDED, DIR]),
    row("checkpoint.keep_for", &["'0ms'", "'1ms'"], "'1'", count_of_many_runs).with(&[
        RECORDED,
        DIR,
        ("checkpoint.keep", "100"),
    ]),
    row("checkpoint.order_sync", &["false", "true"], "1", syncs).with(&[RECORDED, DIR]),
    row("checkpoint.settle", &["'1s'", "'20ms'"], "'1h'", settling).with(&[RECORDED, DIR]),
];

fn run(world: &World, source: Box<dyn Source>) {
    let recovery = Recovery::open(&world.config, &Device::Cpu).expect("a folder of ours");
    let (stop, live) = Default::default();
    pelton::run::run(&world.config, source, recovery, &stop, &std::sync::Arc::<Live>::clone(&live))
        .expect("a run");
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// What lies in which folder after a run.
fn folders(world: &World) -> Option<String> {
    run(world, open(&world.config, &write_events(world)));
    let folder = |name| names(&world.folder.path().join(name));
    Some(format!("a: {:?}, b: {:?}, state: {:?}", folder("a"), folder("b"), folder("state")))
}

fn count(world: &World) -> usize {
    let folder = world.folder.path().join("state");
    names(&folder).iter().filter(|name| name.ends_with(".pelton")).count()
}

/// Whether a run over a trickle leaves more than its first and its last checkpoint.
fn count_of_one_run(world: &World) -> Option<String> {
    let input = write_events(world);
    let options = FileOptions { limit: Some(60), batch_bytes_max: 1, ..FileOptions::default() };
    let source = file::open(&input, &world.config.event.schema, &options).expect("opened");
    run(world, Box::new(Trickle(source)));
    Some(format!("more than two: {}", count(world) > 2))
}

/// How many checkpoints are left after five runs, some milliseconds apart.
fn count_of_many_runs(world: &World) -> Option<String> {
    let input = write_events(world);
    for _ in 0..5 {
        run(world, open(&world.config, &input));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Some(count(world).to_string())
}

/// How often the order log is synced.
fn syncs(world: &World) -> Option<String> {
    let place = Folder::new(world.folder.path());
    let mut log = OrderLog::create(&place, 1, world.config.checkpoint.order_sync).expect("made");
    let spans = [Span { topic: "events".into(), partition: 0, next: 1 }];
    for first in 0..3 {
        log.append(&spans, &[Run { span: 0, first, next: first + 1 }]).expect("written");
    }
    Some(log.sync_count().to_string())
}

/// How long the sinks must be quiet after a crash: a run that never got to its last checkpoint.
fn settling(world: &World) -> Option<String> {
    run(world, open(&world.config, &write_events(world)));
    let folder = world.folder.path().join("state");
    for name in names(&folder).iter().filter(|name| name.ends_with(".pelton")).skip(1) {
        std::fs::remove_file(folder.join(name)).expect("removed");
    }
    Some(format!(
        "{:?}",
        Recovery::open(&world.config, &Device::Cpu).expect("the first is there").settle
    ))
}
