//! Instances of the program that share a group and a folder of checkpoints.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pelton::source::kafka::membership::{Change, Membership};
use serde_json::Value;
use tempfile::TempDir;

use crate::crash::job::{CONFIG, World, copy_beginning, ended};
use crate::kafka::world;
use crate::support::signal;

/// Members that died are noticed soon.
const PROPERTIES: &str = "properties = { \"session.timeout.ms\" = \"2500\", \
                          \"heartbeat.interval.ms\" = \"500\" }\n[source]\nstate = \"partitioned\"";

/// The instances and their folder.
pub struct Fleet {
    folder: TempDir,
    world: World,
    group: String,
    instances: Vec<Child>,
    started: usize,
}

/// However a test ends, nothing it started goes on.
impl Drop for Fleet {
    fn drop(&mut self) {
        for instance in &mut self.instances {
            let _ = instance.kill();
            let _ = instance.wait();
        }
    }
}

impl Fleet {
    pub fn new(world: &World) -> Fleet {
        let folder = tempfile::tempdir().expect("a folder");
        let group = format!("{}-group", world.events);
        Fleet { folder, world: world.clone(), group, instances: Vec::new(), started: 0 }
    }

    pub fn count(&self) -> usize {
        self.instances.len()
    }

    /// One more instance.
    pub fn join(&mut self) {
        let config = self.config("member", &self.state(), &self.topics(), false);
        self.started += 1;
        let child = self.start(&config, &format!("member-{}", self.started));
        self.instances.push(child);
    }

    /// An instance drains and leaves.
    pub fn leave(&mut self, index: usize) {
        let child = self.instances.remove(index);
        signal("TERM", child.id());
        ended(child, "an instance told to leave");
    }

    /// An instance dies at once.
    pub fn kill(&mut self, index: usize) {
        let mut child = self.instances.remove(index);
        child.kill().expect("killed");
        child.wait().expect("a child");
    }

    /// An instance stands still for so long that the group gives it up.
    pub fn freeze(&mut self, index: usize, pause: Duration) {
        let process = self.instances[index].id();
        signal("STOP", process);
        std::thread::sleep(pause);
        signal("CONT", process);
    }

    /// Returns once every partition is held by some instance.
    pub fn settle(&mut self) {
        let Err(partition) = self.wait_for_takers() else { return };
        // A broker whose group has lost its leader while it was forming may let it wait for ever
        // (Tansu 0.6.0 does). Then a member alone gets nothing either.
        let count = self.count();
        while self.count() > 0 {
            self.leave(0);
        }
        assert!(self.group_hangs(), "nobody takes partition {partition}, and the group works");
        self.group += "-again";
        println!("the broker's group hangs; all go on as {}", self.group);
        (0..count).for_each(|_| self.join());
        if let Err(partition) = self.wait_for_takers() {
            panic!("nobody takes partition {partition}");
        }
    }

    /// A partition that nobody holds for a long time.
    fn wait_for_takers(&mut self) -> Result<(), u64> {
        let deadline = Instant::now() + Duration::from_secs(60);
        for partition in 0..self.world.partitions {
            let lock = self.state().join(format!("partition-{partition:04}/lock"));
            let is_held = || {
                let file = std::fs::File::open(&lock).ok()?;
                matches!(file.try_lock(), Err(TryLockError::WouldBlock)).then_some(())
            };
            while is_held().is_none() {
                self.check();
                if Instant::now() >= deadline {
                    return Err(partition);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// Whether the group gives the only member that is left no partition.
    fn group_hangs(&self) -> bool {
        let World { brokers, events, labels, .. } = &self.world;
        let mut what = world::subscription(&[events], Some(labels));
        (what.group, what.alone) = (self.group.clone(), false);
        let mut member = Membership::join(&world::config(brokers, &[]), &what).expect("a member");
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            let changes = member.serve(Duration::from_millis(100)).expect("served");
            let is_ours = |change: &Change| matches!(change, Change::Assigned(p) if !p.is_empty());
            if changes.iter().any(is_ours) {
                return false;
            }
        }
        true
    }

    /// No instance has ended by itself.
    pub fn check(&mut self) {
        for child in &mut self.instances {
            let status = child.try_wait().expect("a child");
            assert!(status.is_none(), "an instance ended by itself: {status:?}");
        }
    }

    /// One instance alone reads what is left to its end; its report.
    pub fn finish(&self) -> Value {
        self.run_alone("last", &self.state(), &self.topics())
    }

    /// An instance led through each partition's whole order from the empty state, whose scores and
    /// dead letters go to files: its report, and the files.
    pub fn oracle(&self) -> (Value, Vec<PathBuf>, Vec<PathBuf>) {
        let own = self.folder.path().join("oracle");
        for entry in std::fs::read_dir(self.state()).expect("checkpoints") {
            let from = entry.expect("an entry").path();
            let to = own.join(from.file_name().expect("a name"));
            std::fs::create_dir_all(&to).expect("a folder");
            copy_beginning(&from, &to);
        }
        let (scores, letters) =
            (self.folder.path().join("scores.jsonl"), self.folder.path().join("dead.jsonl"));
        let sinks = format!("[emit]\nfile = {scores:?}\n[dead_letters]\nfile = {letters:?}\n");
        let report = self.run_alone("oracle", &own, &sinks);
        let of_each = |name: &str| {
            let file = |p| self.folder.path().join(format!("{name}-partition-{p:04}.jsonl"));
            (0..self.world.partitions).map(file).collect()
        };
        (report, of_each("scores"), of_each("dead"))
    }

    fn run_alone(&self, name: &str, state: &Path, sinks: &str) -> Value {
        let config = self.config(name, state, sinks, true);
        ended(self.start(&config, name), name);
        let report = std::fs::read_to_string(self.report(name)).expect("a report");
        serde_json::from_str(&report).expect("a report is JSON")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn topics(&self) -> String {
        let World { scores, dead_letters, .. } = &self.world;
        format!("[emit]\ntopic = {scores:?}\n[dead_letters]\ntopic = {dead_letters:?}\n")
    }

    fn config(&self, name: &str, state: &Path, sinks: &str, is_last: bool) -> PathBuf {
        let world = &self.world;
        let text = CONFIG
            .replace("[source]", PROPERTIES)
            .replace("BROKERS", &world.brokers)
            .replace("EVENTS", &world.events)
            .replace("LABELS", &world.labels)
            .replace("GROUP", &self.group)
            .replace("alone = true", &format!("alone = {is_last}"))
            .replace("STOP", &is_last.to_string())
            .replace("CHECKPOINTS", state.to_str().expect("UTF-8"));
        let path = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, text + sinks).expect("written");
        path
    }

    fn report(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.json"))
    }

    fn start(&self, config: &Path, name: &str) -> Child {
        let mut program = Command::new(env!("CARGO_BIN_EXE_pelton"));
        program.arg("run").arg(config).arg("--report").arg(self.report(name));
        let level = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
        program.env("RUST_LOG", level).stdout(Stdio::null()).spawn().expect("the program starts")
    }
}
