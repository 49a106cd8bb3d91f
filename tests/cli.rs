//! The program itself as a child process: exit codes, errors, reports, the drain at SIGTERM.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kafka::world::brokers;
use crate::support::signal;

const LINEAR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fraud/linear.toml");

pub fn pelton(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pelton"));
    program.env_remove("PELTON_BROKERS").env("RUST_LOG", "warn");
    program.args(arguments).output().expect("the program starts")
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a report was written");
    serde_json::from_str(&text).expect("a report is JSON")
}

#[test]
fn every_problem_of_a_configuration_is_named_and_the_exit_code_is_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.toml");
    let wrong =
        "batch = { rows_max = 0, linger = '5' }\nsauce = {}\n[fields]\na = { type = 'text' }";
    std::fs::write(&path, wrong).expect("written");
    let output = pelton(&["check", text(&path)]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    for part in ["batch.rows_max", "batch.linger", "fields.a.type", "did you mean `source`?"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn the_examples_are_valid() {
    for example in ["fraud/linear", "fraud/pelton", "elec/pelton", "flights/pelton"] {
        let path = format!("{}/examples/{example}.toml", env!("CARGO_MANIFEST_DIR"));
        let output = pelton(&["check", &path]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_simulation_says_what_it_has_lived_through() {
    let output = pelton(&["simulate", "--seed", "7", "--seeds", "3", "--steps", "50", "--verbose"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout);
    for part in ["seed 7: ", "seed 8: ", "seed 9: ", "3 seeds: "] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
}

#[test]
fn a_missing_input_is_the_users_to_fix() {
    let output = pelton(&["replay", LINEAR, "--input", "no-such-file.parquet"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-file.parquet"));
}

/// A configuration with the settings that `generate` printed for binary records.
fn with_layout(config: &str, told: &str) -> String {
    let (_, settings) = told.split_once("[event]\n").expect("settings of the event");
    let (event, layout) = settings.split_once("[layout]").expect("and the layout");
    config.replace("[event]\n", &format!("[event]\n{event}")) + "\n[layout]" + layout
}

#[test]
fn a_replay_is_the_same_whatever_the_format_and_the_batch() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = std::fs::read_to_string(LINEAR).expect("the example");
    let mut reports = Vec::new();
    let formats = [("parquet", 4096), ("jsonl", 7), ("csv.gz", 1), ("csv", 256), ("bin", 33)];
    for (format, rows_max) in formats {
        let input = folder.path().join(format!("payments.{format}"));
        let generated = ["generate", "fraud", "--events", "8000", "--seed", "5", "--output"];
        let generated = pelton(&[&generated[..], &[text(&input)]].concat());
        assert!(generated.status.success());
        let told = String::from_utf8(generated.stdout).expect("text");
        let path = folder.path().join("config.toml");
        let mut own = config.replace("listen = \"127.0.0.1:9464\"", "");
        assert_eq!(told.contains("[layout]"), format == "bin", "{told}");
        if format == "bin" {
            own = with_layout(&own, &told);
        }
        std::fs::write(&path, format!("batch.rows_max = {rows_max}\n{own}")).expect("written");
        let report = folder.path().join("report.json");
        let arguments = ["replay", text(&path), "--input", text(&input), "--report", text(&report)];
        let output = pelton(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        reports.push(json(&report));
    }
    assert_eq!(reports[0]["events"], 8000);
    assert_eq!(reports[0]["labels"], 8000, "the last labels arrive when the recording ends");
    for report in &reports[1..] {
        assert_eq!(report["score_digest"], reports[0]["score_digest"]);
        assert_eq!(report["model_digest"], reports[0]["model_digest"]);
        assert_eq!(report["metrics"], reports[0]["metrics"]);
        assert_eq!(report["drift"], reports[0]["drift"]);
        assert!(report["drift"]["alerts"].is_array(), "{report}");
    }
}

#[test]
fn nobody_who_reads_is_no_bug() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pelton"));
    program.args(["check", "--settings"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_demo_runs_through_the_broker() {
    let Some(brokers) = brokers() else { return };
    let output = pelton(&["demo", "--brokers", &brokers, "--events", "20000"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("20000 (20000 scored, 0 filtered)"), "{printed}");
    assert!(printed.contains("labels        20000"), "{printed}");
}

#[test]
fn the_bench_through_the_broker_accounts_for_every_payment() {
    let Some(brokers) = brokers() else { return };
    let output = pelton(&[
        "bench",
        "broker",
        "--brokers",
        &brokers,
        "--events",
        "3000",
        "--passes",
        "2",
        "--rate",
        "300",
        "--seconds",
        "1",
        "--json",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(figures["labels"], 3000, "{figures}");
    for who in ["engine", "floor"] {
        assert!(figures[who]["events_per_cpu_second"].as_f64() > Some(0.0), "{figures}");
        let latency = &figures["latency"][0][who]["latency_ms"];
        assert_eq!(latency["count"], 300, "all due in the second that is measured: {figures}");
        assert!(latency["p50"].as_f64() > Some(0.0), "nothing is seen before it is due: {figures}");
    }
}

#[test]
fn sigterm_drains_and_every_event_read_has_a_score() {
    let Some(brokers) = brokers() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let name = |what: &str| format!("drain-{}-{what}", std::process::id());
    let (events, labels) = (name("events"), name("labels"));
    let filled = pelton(&[
        "generate",
        "fraud",
        "--events",
        "5000",
        "--topic",
        &events,
        "--labels-topic",
        &labels,
        "--brokers",
        &brokers,
        "--partitions",
        "2",
        "--binary",
    ]);
    assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
    let scores = folder.path().join("scores.jsonl");
    let told = String::from_utf8_lossy(&filled.stdout);
    let config = with_layout(&std::fs::read_to_string(LINEAR).expect("the example"), &told)
        .replace("127.0.0.1:9092", &brokers)
        .replace("topics = [\"transactions\"]", &format!("topics = [\"{events}\"]"))
        .replace("group = \"pelton-fraud\"", &format!("group = \"{}\"", name("group")))
        .replace("topic = \"labels\"", &format!("topic = \"{labels}\""))
        .replace("topic = \"scores\"", &format!("file = {:?}", text(&scores)))
        .replace("topic = \"dead-letters\"", "")
        .replace("listen = \"127.0.0.1:9464\"", "");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, config).expect("written");
    let report = folder.path().join("report.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_pelton"))
        .args(["run", text(&path), "--report", text(&report)])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(Duration::from_secs(6));
    signal("TERM", child.id());
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not drain");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(0));
    let report = json(&report);
    let written = std::fs::read_to_string(&scores).expect("scores were written");
    assert_eq!(report["events"], 5000, "{report}");
    assert_eq!(written.lines().count(), 5000);
    assert_eq!(report["dead_letters"], 0, "{report}");
}
