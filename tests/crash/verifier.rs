//! The verifier of the crash tests: reads what the outside has seen and holds it against an oracle.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::kafka::topics::read_topic;

use super::job::{Job, World};

/// The record an output was made from: partition and offset of the events' topic.
pub type Origin = (i64, i64);

/// Every score and dead letter is there once, and is the oracle's; the model is the oracle's.
pub fn verify(world: &World, job: &Job, report: &Value) {
    let (config, score_file, letter_file) = job.oracle();
    let oracle = job.finish_as("oracle", &config);
    for key in ["events", "scored", "dead_letters", "filtered", "labels", "model_digest"] {
        assert_eq!(report[key], oracle[key], "{key}: {report} {oracle}");
    }
    assert_eq!(report["score_digest"], oracle["score_digest"]);
    assert_eq!(report["metrics"], oracle["metrics"]);
    assert_sent(world, &[score_file], &[letter_file], report);
}

/// Every score and dead letter of the topics is there once, and in one of these files; the counts
/// of the report agree.
pub fn assert_sent(
    world: &World,
    score_files: &[PathBuf],
    letter_files: &[PathBuf],
    report: &Value,
) {
    let scores = by_origin(&world.brokers, &world.scores, |payload, _| {
        let record: Value = serde_json::from_slice(payload).expect("scores are JSON");
        (origin(&record), String::from_utf8_lossy(payload).into_owned())
    });
    assert_same(&scores, &lines(score_files), "scores");
    let letters = by_origin(&world.brokers, &world.dead_letters, |payload, headers| {
        let number = |name: &str| headers[name].parse().expect("a number");
        let origin = (number("partition"), number("offset"));
        (origin, format!("{} {}", headers["reason"], String::from_utf8_lossy(payload)))
    });
    let expected: BTreeMap<Origin, Vec<String>> = lines(letter_files)
        .into_iter()
        .map(|(origin, lines)| {
            let text = |line: String| {
                let line: Value = serde_json::from_str(&line).expect("dead letters are JSON");
                let text = |key: &str| line[key].as_str().expect("a text").to_owned();
                format!("{} {}", text("reason"), text("bytes"))
            };
            (origin, lines.into_iter().map(text).collect())
        })
        .collect();
    assert_same(&letters, &expected, "dead letters");
    let total = scores.len() as u64 + letters.len() as u64;
    let count = |key: &str| report[key].as_u64().expect("a count");
    assert_eq!(total + count("filtered"), count("events"));
}

/// What was sent is what the oracle says, each once; the first few differences are shown.
fn assert_same(
    sent: &BTreeMap<Origin, Vec<String>>,
    expected: &BTreeMap<Origin, Vec<String>>,
    what: &str,
) {
    let doubled: Vec<_> = sent.iter().filter(|(_, all)| all.len() > 1).collect();
    assert!(doubled.is_empty(), "{} {what} sent twice: {:?}", doubled.len(), &doubled[..1]);
    let differ = |(origin, all): &(&Origin, &Vec<String>)| sent.get(*origin) != Some(*all);
    let wrong: Vec<_> = expected.iter().filter(differ).collect();
    assert!(wrong.is_empty(), "{} {what} lost or wrong: {:?}", wrong.len(), &wrong[..1]);
    assert_eq!(sent.len(), expected.len(), "{what} that the oracle does not know");
}

fn origin(record: &Value) -> Origin {
    // In a file of dead letters the headers are texts.
    let number = |key: &str| {
        let value = &record[key];
        value.as_i64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
    };
    (number("partition"), number("offset"))
}

fn lines(paths: &[PathBuf]) -> BTreeMap<Origin, Vec<String>> {
    let mut all: BTreeMap<Origin, Vec<String>> = BTreeMap::new();
    for path in paths {
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let record: Value = serde_json::from_str(line).expect("lines are JSON");
            all.entry(origin(&record)).or_default().push(line.to_owned());
        }
    }
    all
}

/// Everything in a topic, by the record it was made from.
fn by_origin(
    brokers: &str,
    topic: &str,
    read: impl Fn(&[u8], &BTreeMap<String, String>) -> (Origin, String),
) -> BTreeMap<Origin, Vec<String>> {
    let mut all: BTreeMap<Origin, Vec<String>> = BTreeMap::new();
    read_topic(brokers, topic, |payload, headers| {
        let (origin, text) = read(payload, headers);
        all.entry(origin).or_default().push(text);
    });
    all
}
