//! Models that leave for other tools and come from them, by the program: a file scores as the
//! engine did, in onnxruntime and back here.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cli::{pelton, text};
use crate::model::{Job, events, run, succeed};

/// A job that has learned from a thousand events and scored a thousand more, whose labels never
/// came; its exported model, and the records of those rows that this very model scored.
struct Exported {
    job: Job,
    file: PathBuf,
    records: Vec<Value>,
}

/// Further settings, under which features leave with the scores.
fn exported(kind: &str) -> Exported {
    let job = Job::new();
    let more = format!("model.kind = '{kind}'\nemit.features = true");
    let config = job.config_with("job", &more);
    job.append(&events(61, 0, false));
    run(&config);
    let unlabelled = |line: &String| {
        let end = line.find(",\"y\"").unwrap_or(line.len() - 1);
        format!("{}}}", &line[..end])
    };
    let later: Vec<String> = events(61, 1000, false).iter().map(unlabelled).collect();
    job.append(&later);
    run(&config);
    let file = job.path("model.onnx");
    let said = succeed(&pelton(&["model", "export", text(&config), "--to", text(&file)]));
    assert!(said.contains("dense [N, 1], sparse [N, 1]"), "{said}");
    // So does a registered version.
    let (registry, again) = (job.path("registry"), job.path("again.onnx"));
    succeed(&pelton(&["model", "register", text(&config), "--to", text(&registry)]));
    let version = registry.join("000001.pelton");
    let from = ["--from", text(&version), "--to", text(&again)];
    succeed(&pelton(&[&["model", "export", text(&config)][..], &from[..]].concat()));
    let [one, other] = [&file, &again].map(|path| std::fs::read(path).expect("a model"));
    assert!(one == other, "{kind}");
    let lines = std::fs::read_to_string(job.path("job.scores")).expect("scores");
    let mut records: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = records.last().expect("many")["model_version"].clone();
    records.retain(|record| record["model_version"] == last);
    assert!(records.len() > 900, "{} of {kind}", records.len());
    Exported { job, file, records }
}

fn score(record: &Value) -> f64 {
    record["score"].as_f64().expect("a score")
}

/// What onnxruntime makes of the features of records; none where there is no Python.
fn by_onnxruntime(file: &Path, records: &[Value]) -> Option<Vec<f64>> {
    let python = std::env::var("PELTON_PYTHON").ok()?;
    let rows = file.with_extension("rows");
    let features: Vec<&Value> = records.iter().map(|record| &record["features"]).collect();
    std::fs::write(&rows, serde_json::to_vec(&features).expect("JSON")).expect("written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exchange/scores.py");
    let output = Command::new(python).args([script, text(file), text(&rows)]).output();
    let said = succeed(&output.expect("PELTON_PYTHON names a python"));
    Some(serde_json::from_str(&said).expect("a list of numbers"))
}

/// Every kind that can leave: what onnxruntime says of the features in the score records is the
/// score in them; and so is what the file says as an imported model of the same stream.
#[test]
fn a_model_that_left_scores_the_same() {
    let mut is_skipped = false;
    for kind in ["auto", "linear", "fm", "ffm", "boost", "forest", "mlp", "deep"] {
        let Exported { job, file, records } = exported(kind);
        match by_onnxruntime(&file, &records) {
            Some(scores) => {
                assert_eq!(scores.len(), records.len());
                for (record, other) in records.iter().zip(scores) {
                    let own = score(record);
                    assert!((own - other).abs() < 1e-5, "{kind}: {own}, onnxruntime {other}");
                }
            }
            None => is_skipped = true,
        }
        let more = format!("model = {{ kind = 'imported', file = '{}' }}", file.display());
        let config = job.config_with("back", &more);
        run(&config);
        let lines = std::fs::read_to_string(job.path("back.scores")).expect("scores");
        let back: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let by_id = |id: &Value| back.iter().find(|own| own["id"] == *id).map(score);
        for record in records.iter().step_by(7) {
            let (own, other) = (score(record), by_id(&record["id"]).expect("all were scored"));
            assert!((own - other).abs() < 1e-5, "{kind}: {own}, back here {other}");
        }
    }
    if is_skipped {
        eprintln!("SKIPPED: onnxruntime was not asked; set PELTON_PYTHON, see scripts/python");
    }
}

/// A new job that starts from a model that exists knows from its first event what another one has
/// to learn; the mixture says how far it trusts it.
#[test]
fn a_job_starts_from_the_model_there_is() {
    let Exported { job: _there, file, .. } = exported("boost");
    let job = Job::new();
    job.append(&events(62, 0, false));
    let losses = |name: &str, more: &str| -> Vec<f64> {
        let config = job.config_with(name, more);
        let paths =
            ["events.jsonl", "report.json", &format!("{name}.out")].map(|own| job.path(own));
        let [input, report, scores] = [&paths[0], &paths[1], &paths[2]].map(|own| text(own));
        let files = ["--input", input, "--report", report, "--scores", scores];
        succeed(&pelton(&[&["replay", text(&config)][..], &files[..]].concat()));
        let lines = std::fs::read_to_string(scores).expect("scores");
        let events = std::fs::read_to_string(input).expect("events");
        let loss = |(score_line, event): (&str, &str)| {
            let record: Value = serde_json::from_str(score_line).expect("JSON");
            let right =
                if event.contains("\"y\":true") { score(&record) } else { 1.0 - score(&record) };
            -right.max(1e-6).ln()
        };
        lines.lines().zip(events.lines()).take(100).map(loss).collect()
    };
    let imported = format!("model.file = '{}'", file.display());
    let (with, without) = (losses("with", &imported), losses("without", ""));
    let report = std::fs::read_to_string(job.path("report.json")).expect("a report");
    assert!(!report.contains("imported"), "that of the run without");
    let [with, without] = [with, without].map(|own| own.iter().sum::<f64>() / 100.0);
    assert!(with < 0.5 * without, "{with}, without it {without}");
    losses("again", &imported);
    let report = std::fs::read_to_string(job.path("report.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let own = &report["members"]["models"]["imported"];
    assert!(own["weight"].as_f64().expect("a weight") > 0.0, "{own}");
    // A file that is named for a replay holds that replay alone, and is not what is replayed.
    let out = std::fs::read_to_string(job.path("again.out")).expect("scores");
    losses("again", &imported);
    assert_eq!(std::fs::read_to_string(job.path("again.out")).expect("scores"), out);
    let (config, input) = (job.path("again.toml"), job.path("events.jsonl"));
    let over =
        pelton(&["replay", text(&config), "--input", text(&input), "--scores", text(&input)]);
    assert_eq!(over.status.code(), Some(2));
}

/// A job knows its model by what is in the file: it goes on where the file lies elsewhere, also
/// with one challenger more, and does not where the file is another.
#[test]
fn a_file_may_move_between_two_runs() {
    let Exported { job: there, file, .. } = exported("boost");
    let Exported { job: _there, file: other, .. } = exported("linear");
    let job = Job::new();
    let config = |name: &str, file: &Path, more: &str| {
        let file = file.display();
        let old = format!("{{ name = 'old', kind = 'imported', file = '{file}' }}");
        job.config_with(name, &format!("model.file = '{file}'\nchallengers = [{old}{more}]"))
    };
    let scores = |name: &str| std::fs::read(job.path(&format!("{name}.scores"))).expect("scores");
    job.append(&events(64, 0, false));
    for name in ["stays", "moves", "joined"] {
        run(&config(name, &file, ""));
    }
    let first = scores("stays");
    let elsewhere = there.path("elsewhere.onnx");
    std::fs::copy(&file, &elsewhere).expect("a copy");
    job.append(&events(64, 1000, false));
    run(&config("stays", &file, ""));
    std::fs::remove_file(&file).expect("removed");
    run(&config("moves", &elsewhere, ""));
    run(&config("joined", &elsewhere, ", { name = 'new', kind = 'linear' }"));
    assert!(scores("stays").len() > first.len() && scores("stays") == scores("moves"));
    assert!(scores("stays") == scores("joined"));
    let refused = pelton(&["run", text(&config("moves", &other, ""))]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("was another one"), "{said}");
}

/// What cannot be used is refused before anything runs, and says what to do.
#[test]
fn a_file_that_does_not_fit_is_refused() {
    let job = Job::new();
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/models");
    let told = |more: &str| {
        let output = pelton(&["check", text(&job.config_with("job", more))]);
        assert_eq!(output.status.code(), Some(2), "{more}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let wrong = told(&format!("model = {{ kind = 'imported', file = '{models}/rises.json' }}"));
    assert!(wrong.contains("no features \"NUMBER\"; there are \"x\""), "{wrong}");
    // Indices of categories mean nothing where they are hashed otherwise.
    let Exported { job: _there, file, .. } = exported("linear");
    let imported = format!("model = {{ kind = 'imported', file = '{}' }}", file.display());
    let other = told(&format!("transform.hash_bits = 12\n{imported}"));
    assert!(other.contains("sparse_bits is 18 there and 12 here"), "{other}");
    let unnamed = told(&format!("model = {{ kind = 'imported', file = '{models}/unnamed.json' }}"));
    assert!(unnamed.contains("file_columns: \"x\""), "{unnamed}");
    std::fs::write(job.path("rubbish.onnx"), b"no model at all").expect("written");
    let rubbish = job.path("rubbish.onnx");
    let rubbish = told(&format!("model = {{ kind = 'imported', file = '{}' }}", rubbish.display()));
    assert!(rubbish.contains("no ONNX model"), "{rubbish}");
    let missing = told("model = { kind = 'imported' }");
    assert!(missing.contains("model.file"), "{missing}");
    let config = job.config_with("job", "model.kind = 'anomaly'");
    job.append(&events(63, 0, false));
    run(&config);
    let to = job.path("model.onnx");
    let output = pelton(&["model", "export", text(&config), "--to", text(&to)]);
    assert!(!output.status.success() && !to.exists());
}
