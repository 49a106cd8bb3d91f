//! `pelton model` as a child process: learned rubbish, went back, scores as before.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::cli::{pelton, text};
use crate::guard::records;
use crate::support::Record;

/// A job over a file that grows, with its checkpoints and scores beside it.
pub(crate) struct Job {
    folder: tempfile::TempDir,
}

impl Job {
    pub(crate) fn new() -> Job {
        Job { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration, with its state in this folder.
    pub(crate) fn config(&self, state: &str) -> PathBuf {
        self.config_with(state, "")
    }

    /// The same with further settings.
    pub(crate) fn config_with(&self, state: &str, more: &str) -> PathBuf {
        let path = self.path(&format!("{state}.toml"));
        let dir = self.folder.path().display();
        let config = format!(
            "source.file = '{dir}/events.jsonl'
            emit.file = '{dir}/{state}.scores'
            checkpoint = {{ dir = '{dir}/{state}', keep = 9 }}
            event = {{ id = 'id', time = 't' }}
            labels = {{ field = 'y', delay = '10ms' }}
            guard.action = 'off'
            transform.standardize = false
            fields.x = {{ type = 'number' }}
            fields.shop = {{ type = 'category' }}
            features = [{{ number = 'x' }}, {{ category = 'shop' }}]
            {more}"
        );
        std::fs::write(&path, config).expect("written");
        path
    }

    /// Appends events to the file.
    pub(crate) fn append(&self, events: &[String]) {
        use std::io::Write;
        let path = self.path("events.jsonl");
        let file = std::fs::File::options().create(true).append(true).open(path);
        writeln!(file.expect("a file"), "{}", events.join("\n")).expect("written");
    }
}

/// Events from one on, a thousand at most of them new; their labels say the opposite where they are
/// rubbish.
pub(crate) fn events(seed: u64, from: usize, rubbish: bool) -> Vec<String> {
    let events = records(seed, from as u64 + 1000, 0..0).into_iter().filter_map(|r| match r {
        Record::Event(json) => Some(json),
        Record::Label(_) => None,
    });
    let label = |(index, json): (usize, String)| {
        let x: f64 = json
            .split("\"x\":")
            .nth(1)
            .and_then(|x| x.split(',').next()?.parse().ok())
            .expect("a number");
        let truth = if rubbish { x <= 0.0 } else { x > 0.0 };
        // The label of the last would only be let go by the event after it.
        match index % 1000 {
            999 => json,
            _ => json.replace('}', &format!(",\"y\":{truth}}}")),
        }
    };
    events.enumerate().skip(from).map(label).collect()
}

pub(crate) fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn run(config: &Path) {
    succeed(&pelton(&["run", text(config)]));
}

/// The scores of a file.
pub(crate) fn scores(path: &Path) -> Vec<f64> {
    let lines = std::fs::read_to_string(path).expect("scores");
    let score = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        record["score"].as_f64().expect("a score")
    };
    lines.lines().map(score).collect()
}

#[test]
fn a_model_that_learned_rubbish_is_gone_back_from() {
    let job = Job::new();
    let (config, straight) = (job.config("back"), job.config("straight"));
    job.append(&events(51, 0, false));
    run(&config);
    job.append(&events(51, 1000, true));
    run(&config);
    let listed = succeed(&pelton(&["model", "list", text(&config)]));
    let rows: Vec<Vec<&str>> = listed
        .lines()
        .filter(|l| l.ends_with("well"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let good = rows.iter().find(|row| row[2].parse::<u64>().expect("a count") > 900).expect("one");
    let done = succeed(&pelton(&["model", "rollback", text(&config), "--to", good[0]]));
    assert!(done.contains(good[3]), "its digest is there again: {done}");
    let missing = pelton(&["model", "rollback", text(&config), "--to", "77"]);
    assert_eq!(missing.status.code(), Some(2));
    let copy = job.path("kept.pelton");
    let newest = std::fs::read_dir(job.path("back"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "pelton"))
        .max()
        .expect("one");
    let mut bytes = std::fs::read(newest).expect("a checkpoint");
    std::fs::write(&copy, &bytes).expect("written");
    let again = succeed(&pelton(&["model", "promote", text(&config), text(&copy)]));
    assert!(again.contains(good[3]), "{again}");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, bytes).expect("written");
    let damaged = pelton(&["model", "promote", text(&config), text(&copy)]);
    assert_eq!(damaged.status.code(), Some(3), "{}", String::from_utf8_lossy(&damaged.stderr));
    succeed(&pelton(&["model", "resume", text(&config)]));
    // The next event is scored as the model of back then scores it.
    let next = &events(51, 2000, false)[..1];
    job.append(next);
    run(&config);
    std::fs::remove_file(job.path("events.jsonl")).expect("removed");
    job.append(&events(51, 0, false));
    run(&straight);
    job.append(next);
    run(&straight);
    let (back, straight) = (scores(&job.path("back.scores")), scores(&job.path("straight.scores")));
    assert_eq!((back.len(), straight.len()), (2001, 1001), "nothing is scored twice");
    assert_eq!(back.last(), straight.last());
    assert_ne!(back[1999], back[999]);
}

#[test]
fn a_running_engine_keeps_its_model() {
    let job = Job::new();
    let config = job.config("locked");
    let folder = job.path("locked");
    assert_eq!(pelton(&["model", "rollback", text(&config)]).status.code(), Some(2), "no folder");
    let store = pelton::checkpoint::store::local::LocalStore::open(&folder).expect("a folder");
    let refused = pelton(&["model", "rollback", text(&config)]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && error.contains("another process"), "{error}");
    drop(store);
}

/// Versions are kept with their lineage, and one of them is promoted by its file.
#[test]
fn versions_are_registered_and_promoted() {
    let job = Job::new();
    let config = job.config("kept");
    let registry = job.path("registry");
    assert_eq!(succeed(&pelton(&["model", "versions", text(&registry)])).lines().count(), 1);
    job.append(&events(52, 0, false));
    run(&config);
    let register = ["model", "register", text(&config), "--to", text(&registry)];
    let first = succeed(&pelton(&[&register[..], &["--note", "a first one"]].concat()));
    job.append(&events(52, 1000, true));
    run(&config);
    succeed(&pelton(&register));
    let listed = succeed(&pelton(&["model", "versions", text(&registry)]));
    assert!(listed.contains("a first one"), "{listed}");
    let json = succeed(&pelton(&["model", "versions", text(&registry), "--json"]));
    let versions: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&versions[0]["parent"], &versions[1]["parent"]), (&().into(), &1.into()));
    let data = |version: usize, key: &str| versions[version]["data"][key].clone();
    assert_eq!(data(1, "parent_positions"), data(0, "positions"));
    assert_eq!((data(0, "events"), data(1, "events")), (1000.into(), 2000.into()));
    let loss = |version: usize| versions[version]["metrics"]["log_loss"].as_f64();
    assert!(loss(0) < loss(1));
    let digest = versions[0]["model_digest"].as_str().expect("a text");
    assert!(first.contains(&digest[..16]), "{first}");
    let file = registry.join("000001.pelton");
    let done = succeed(&pelton(&["model", "promote", text(&config), text(&file)]));
    assert!(done.contains(&digest[..16]), "{done}");
    let missing = pelton(&[&register[..], &["--checkpoint", "77"]].concat());
    assert_eq!(missing.status.code(), Some(2));
    std::fs::write(registry.join("000003.json"), "{}").expect("written");
    assert_eq!(pelton(&["model", "versions", text(&registry)]).status.code(), Some(2));
}
