//! Reasons in score records, by the program: true to the model, the same however the stream is cut,
//! and of no influence on scores.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cli::{pelton, text};
use crate::model::{Job, events, succeed};

/// The score records of a replay under further settings.
fn records(job: &Job, name: &str, more: &str) -> Vec<Value> {
    let config = job.config_with(name, more);
    let (input, scores) = (job.path("events.jsonl"), job.path(&format!("{name}.out")));
    let files = ["--input", text(&input), "--scores", text(&scores)];
    succeed(&pelton(&[&["replay", text(&config)][..], &files[..]].concat()));
    let lines = std::fs::read_to_string(&scores).expect("scores");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_record_says_why() {
    let job = Job::new();
    job.append(&events(91, 0, false));
    let plain = records(&job, "plain", "");
    let told = records(&job, "told", "emit.reasons = 2");
    assert_eq!(records(&job, "cut", "emit.reasons = 2\nbatch.rows_max = 7"), told);
    let mut names = BTreeSet::new();
    let mut led_by_x = 0;
    for (plain, told) in plain.iter().zip(&told) {
        assert_eq!((&plain["score"], plain.get("reasons")), (&told["score"], None));
        let reasons = told["reasons"].as_array().expect("a list");
        assert!(reasons.len() <= 2);
        let adds: Vec<f64> =
            reasons.iter().map(|own| own["adds"].as_f64().expect("a number").abs()).collect();
        assert!(adds.is_sorted_by(|a, b| a >= b), "{told}");
        let own = reasons.iter().filter_map(|own| own["feature"].as_str());
        led_by_x += usize::from(own.clone().next() == Some("x"));
        names.extend(own.map(str::to_owned));
    }
    // The label is the sign of x, and nothing else.
    assert!(led_by_x > 800, "{led_by_x} of {}", told.len());
    let known = ["x", "shop", "recent_labels"];
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
}

/// Of a linear model without size terms the reasons are all there is: with the base, which the
/// records do not tell, they are the log odds; rows of the same moment have the same base.
#[test]
fn reasons_of_a_line_add_up() {
    let job = Job::new();
    job.append(&events(92, 0, false));
    let linear = "emit.reasons = 64\nlearn.step_rows = 100
        model = { kind = 'linear', optimizer = 'ftrl', fold = false }";
    let mut bases: Vec<(u64, f64)> = Vec::new();
    for record in records(&job, "line", linear) {
        let score = record["score"].as_f64().expect("a score");
        let adds = record["reasons"].as_array().expect("a list").iter();
        let sum: f64 = adds.map(|own| own["adds"].as_f64().expect("a number")).sum();
        let version = record["model_version"].as_u64().expect("a version");
        bases.push((version, (score / (1.0 - score)).ln() - sum));
    }
    let steps: Vec<&[(u64, f64)]> = bases.chunk_by(|a, b| a.0 == b.0).collect();
    assert!(steps.len() > 5);
    for step in steps {
        assert!(step.iter().all(|(_, base)| (base - step[0].1).abs() < 1e-3), "{step:?}");
    }
}
