//! `pelton run` over topics of its own, watched by its metrics page.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pelton::config::Config;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{pelton, text};
use crate::crash::job::ended;
use crate::kafka::world::{Writer, topic};
use crate::settings::look::ask_for_page;
use crate::support::{Record, signal};

const CONFIG: &str = "
    kafka.brokers = '{brokers}'
    source = { topics = ['{events}'], group = 'g-{events}', alone = true, stop_at_end = {stop} }
    event = { id = 'id', time = 't' }
    labels = { topic = '{labels}', id = 'id', field = 'y', time = 't', horizon = '40s' }
    fields.x = { type = 'number' }
    fields.shop = { type = 'category' }
    filter = [{ field = 'shop', except = ['s6'] }]
    features = [
        { number = 'x' },
        { category = 'shop' },
        { window = 'shop', widths = ['2s'], aggregates = ['count', 'mean(x)'] },
        { window = 'shop', over = 'labels', widths = ['5s'], aggregates = ['mean'] },
    ]
    emit.topic = '{scores}'
    dead_letters.topic = '{dead}'
    checkpoint = { dir = '{dir}/state', every = '200ms', settle = '200ms' }
    batch.rows_max = 64
    model.kind = 'linear'
    metrics.listen = '127.0.0.1:{port}'
    guard = { window_labels = 160, warm_up_windows = 4, cool_down_labels = 200 }";

/// The program, its topics and its folder.
pub struct Job {
    folder: TempDir,
    port: u16,
    brokers: String,
    events: String,
    pub labels: String,
    pub scores: String,
    pub dead_letters: String,
    writer: Writer,
    child: Option<Child>,
}

/// However a test ends, nothing it started goes on.
impl Drop for Job {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Job {
    pub fn new(brokers: &str) -> Job {
        let named = |what: &str| topic(brokers, what, 1);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let job = Job {
            folder: tempfile::tempdir().expect("a folder"),
            port: listener.local_addr().expect("it has a port").port(),
            brokers: brokers.to_owned(),
            events: named("aside-events"),
            labels: named("aside-labels"),
            scores: named("aside-scores"),
            dead_letters: named("aside-dead"),
            writer: Writer::new(brokers),
            child: None,
        };
        std::fs::write(job.path(), job.text(false)).expect("written");
        job
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("pelton.toml")
    }

    fn text(&self, stop_at_end: bool) -> String {
        CONFIG
            .replace("{brokers}", &self.brokers)
            .replace("{events}", &self.events)
            .replace("{labels}", &self.labels)
            .replace("{scores}", &self.scores)
            .replace("{dead}", &self.dead_letters)
            .replace("{dir}", text(self.folder.path()))
            .replace("{port}", &self.port.to_string())
            .replace("{stop}", &stop_at_end.to_string())
    }

    /// The configuration as the engine reads it.
    pub fn parsed(&self) -> Config {
        Config::parse(&self.text(false)).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// Writes records to the topics they are for, and returns when they are there.
    pub fn write(&self, records: &[Record]) {
        self.writer.write_all(records.iter().map(|record| match record {
            Record::Event(text) => (self.events.as_str(), 0, text.clone()),
            Record::Label(text) => (self.labels.as_str(), 0, text.clone()),
        }));
    }

    /// Starts the program.
    pub fn start(&mut self, stop_at_end: bool) {
        std::fs::write(self.path(), self.text(stop_at_end)).expect("written");
        let mut program = Command::new(env!("CARGO_BIN_EXE_pelton"));
        program.arg("run").arg(self.path()).arg("--report").arg(self.report());
        program.env("RUST_LOG", "warn").stdout(Stdio::null());
        self.child = Some(program.spawn().expect("the program starts"));
    }

    /// Runs it until it dies at a fail point.
    pub fn die_at(&self, point: &str) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_pelton"));
        program.arg("run").arg(self.path()).env("RUST_LOG", "warn").env("PELTON_FAIL", point);
        let mut child = program.stdout(Stdio::null()).spawn().expect("the program starts");
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            match child.try_wait().expect("a child") {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let status = status.unwrap_or_else(|| panic!("{point} was not reached"));
        assert_eq!(status.code(), None, "it ended by itself: {status}");
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join("report.json")
    }

    /// A value of the metrics page; 0 where it is not there.
    pub fn metric(&self, name: &str) -> u64 {
        let page = ask_for_page(self.port).unwrap_or_default();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().expect("a whole number"))
    }

    /// Waits until a value of the metrics page is this.
    pub fn wait_for(&self, name: &str, value: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = self.metric(name);
            if found == value {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {found}, not {value}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Labels learned and not taken back.
    pub fn learned(&self) -> u64 {
        self.metric("pelton_labels_learned_total") - self.metric("pelton_labels_unlearned_total")
    }

    /// Tells it to drain; the report.
    pub fn stop(&mut self) -> Value {
        signal("TERM", self.child.as_ref().expect("it runs").id());
        self.end()
    }

    /// Waits for its end; the report.
    pub fn end(&mut self) -> Value {
        ended(self.child.take().expect("it runs"), "the program");
        let report = std::fs::read_to_string(self.report()).expect("a report");
        serde_json::from_str(&report).expect("a report is JSON")
    }

    /// What `pelton dlq ACTION CONFIG ...` prints.
    pub fn dlq(&self, action: &str, rest: &[&str]) -> String {
        let path = self.path();
        let output = pelton(&[&["dlq", action, text(&path)], rest].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "dlq {action} {rest:?}: {error}");
        String::from_utf8(output.stdout).expect("a text")
    }
}
