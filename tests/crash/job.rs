//! The job of the crash tests: `pelton run` as a child process, started, killed, started again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::kafka::world;

/// The topics of one test.
#[derive(Clone)]
pub struct World {
    pub brokers: String,
    pub events: String,
    pub labels: String,
    pub scores: String,
    pub dead_letters: String,
    /// Of events, and of labels.
    pub partitions: u64,
    /// Whether a label lies in the partition of its event's number.
    pub are_keyed_alike: bool,
}

impl World {
    pub fn new(brokers: &str, partitions: u64, are_keyed_alike: bool) -> World {
        let topic = |what: &str, partitions| world::topic(brokers, what, partitions);
        World {
            brokers: brokers.to_owned(),
            events: topic("crash-events", partitions as i32),
            labels: topic("crash-labels", partitions as i32),
            scores: topic("crash-scores", 3),
            dead_letters: topic("crash-dead", 1),
            partitions,
            are_keyed_alike,
        }
    }
}

/// How the program came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// At the fail point.
    AtThePoint,
    /// By SIGKILL, wherever it was.
    Killed,
}

/// The program with a folder of its own.
pub struct Job {
    folder: TempDir,
    world: World,
    /// Settings of `[emit]`.
    emit: String,
}

pub const CONFIG: &str = r#"
[kafka]
brokers = "BROKERS"
[source]
topics = ["EVENTS"]
group = "GROUP"
alone = true
stop_at_end = STOP
[event]
id = "id"
time = "time"
[fields]
amount = { type = "number", missing = "reject", clip_sigma = 6.0 }
card = { type = "category", required = true }
terminal = { type = "category", required = true }
shop = { type = "category" }
[[filter]]
field = "shop"
except = ["test"]
[labels]
topic = "LABELS"
time = "time"
[[features]]
number = "amount"
[[features]]
category = "terminal"
[[features]]
window = "card"
widths = ["1m", "10m"]
aggregates = ["count", "mean(amount)", "max(amount)"]
[[features]]
window = "terminal"
over = "labels"
widths = ["5m"]
aggregates = ["count", "mean"]
[checkpoint]
dir = "CHECKPOINTS"
every = "40ms"
keep = 10000
settle = "200ms"
"#;

impl Job {
    /// A folder of its own, and these settings of `[emit]` besides the topic.
    pub fn new(world: &World, emit: &str) -> Job {
        let folder = tempfile::tempdir().expect("a folder");
        let id = format!("transactional_id = {:?}", world.scores);
        Job { folder, world: world.clone(), emit: format!("{emit}\n{id}") }
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.folder.path().join("checkpoints")
    }

    /// Runs until it dies at `point`, or is killed after `patience`; says which.
    pub fn live_and_die(&self, point: &str, patience: Duration) -> Death {
        let mut child = self.start("run", &self.config("run", false), Some(point));
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().expect("a child") {
                assert_eq!(status.code(), None, "it ended by itself at {point}: {status}");
                return Death::AtThePoint;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("killed");
        let status = child.wait().expect("a child");
        assert_eq!(status.code(), None, "it ended by itself at {point}: {status}");
        Death::Killed
    }

    /// Runs to the end of the topics and returns the report.
    pub fn finish(&self) -> Value {
        self.finish_as("last", &self.config("last", true))
    }

    /// Runs another configuration to the end of the topics.
    pub fn finish_as(&self, name: &str, config: &Path) -> Value {
        let child = self.start(name, config, None);
        ended(child, name);
        let report = std::fs::read_to_string(self.report(name)).expect("a report");
        serde_json::from_str(&report).expect("a report is JSON")
    }

    /// A configuration like the job's, led through its whole order from the first checkpoint on,
    /// whose scores and dead letters go to files.
    pub fn oracle(&self) -> (PathBuf, PathBuf, PathBuf) {
        let own = self.folder.path().join("oracle");
        std::fs::create_dir(&own).expect("a folder");
        copy_beginning(&self.checkpoints(), &own);
        let (scores, letters) =
            (self.folder.path().join("scores.jsonl"), self.folder.path().join("dead.jsonl"));
        let text = CONFIG.replace("CHECKPOINTS", own.to_str().expect("UTF-8"));
        let sinks = format!("[emit]\nfile = {scores:?}\n[dead_letters]\nfile = {letters:?}\n");
        (self.write("oracle", &(text + &sinks), true), scores, letters)
    }

    fn config(&self, name: &str, stop_at_end: bool) -> PathBuf {
        let world = &self.world;
        let folder = self.checkpoints();
        let text = CONFIG.replace("CHECKPOINTS", folder.to_str().expect("UTF-8"));
        let sinks = format!(
            "[emit]\ntopic = {:?}\n{}\n[dead_letters]\ntopic = {:?}\n",
            world.scores, self.emit, world.dead_letters
        );
        self.write(name, &(text + &sinks), stop_at_end)
    }

    fn write(&self, name: &str, text: &str, stop_at_end: bool) -> PathBuf {
        let world = &self.world;
        let text = text
            .replace("BROKERS", &world.brokers)
            .replace("EVENTS", &world.events)
            .replace("LABELS", &world.labels)
            .replace("GROUP", &format!("{}-group", world.events))
            .replace("STOP", &stop_at_end.to_string());
        let path = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).expect("written");
        path
    }

    fn report(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.json"))
    }

    fn start(&self, name: &str, config: &Path, point: Option<&str>) -> Child {
        let mut program = Command::new(env!("CARGO_BIN_EXE_pelton"));
        program.arg("run").arg(config).arg("--report").arg(self.report(name));
        program.env("RUST_LOG", "warn").env("PELTON_FAIL", point.unwrap_or_default());
        program.stdout(Stdio::null()).spawn().expect("the program starts")
    }
}

/// The first checkpoint and the whole order.
pub fn copy_beginning(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("checkpoints") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if name.starts_with("order-") || name == "checkpoint-0000000000000001.pelton" {
            std::fs::copy(&path, to.join(name)).expect("copied");
        }
    }
}

/// It ends, and without an error.
pub fn ended(mut child: Child, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what} does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0), "{what}");
}
