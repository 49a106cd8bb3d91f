//! `pelton dlq` as a child process: from a topic and from a file, and the way back.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::{pelton, text};
use crate::kafka::topics::{Stored, stored};
use crate::kafka::world::{Writer, brokers, create, topic, unique};

/// A folder with a configuration.
struct Job {
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Job {
    fn new(config: &str) -> Job {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pelton.toml");
        std::fs::write(&path, config.replace("{dir}", text(folder.path()))).expect("written");
        Job { config: path, folder }
    }

    /// What `pelton dlq ACTION CONFIG ...` prints.
    fn dlq(&self, action: &str, rest: &[&str]) -> String {
        let output = pelton(&[&["dlq", action, text(&self.config)], rest].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "dlq {action} {rest:?}: {error}");
        String::from_utf8(output.stdout).expect("a text")
    }

    /// The same where it cannot be done: the exit code and what it says.
    fn refused(&self, action: &str, rest: &[&str]) -> (Option<i32>, String) {
        let output = pelton(&[&["dlq", action, text(&self.config)], rest].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn listed(&self, rest: &[&str]) -> Value {
        serde_json::from_str(&self.dlq("list", &[&["--json"], rest].concat())).expect("JSON")
    }
}

const FIELDS: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels-{run}', id = 'id', field = 'label' }
    fields.amount = { type = 'number', range = [0, {most}], missing = 'reject' }
    features = [{ number = 'amount' }]";

fn job(brokers: &str, run: &str, most: u32) -> Job {
    let flow = "
    kafka.brokers = '{brokers}'
    source = { topics = ['events-{run}'], group = 'g-{run}', alone = true, stop_at_end = true }
    emit.topic = 'scores-{run}'
    dead_letters.topic = 'dead-{run}'";
    let config = [flow, FIELDS].concat().replace("{brokers}", brokers).replace("{run}", run);
    Job::new(&config.replace("{most}", &most.to_string()))
}

#[test]
fn dead_letters_of_a_topic_are_listed_shown_and_sent_again_once() {
    let Some(brokers) = brokers() else { return };
    let run = unique("dlq");
    let name = |what: &str| format!("{what}-{run}");
    let topics = ["events", "labels", "scores", "dead"].map(name);
    create(&brokers, &topics.each_ref().map(|topic| (topic.as_str(), 1)));
    let event = |id, amount: &str| format!(r#"{{"id":{id},"t":{},"amount":{amount}}}"#, 1000 + id);
    let mut bodies: Vec<String> = (0..20).map(|id| event(id, "5")).collect();
    bodies[3] = event(3, "500");
    bodies[7] = event(7, "700");
    bodies[11] = "{\"id\": broken".to_owned();
    let records = bodies.iter().map(|body| (topics[0].as_str(), 0, body.clone()));
    Writer::new(&brokers).write_all(records);
    let strict = job(&brokers, &run, 10);
    assert!(pelton(&["run", text(&strict.config)]).status.success());
    assert_eq!(stored(&brokers, &topics[2], 17).len(), 17);

    let listed = strict.listed(&["--limit", "2"]);
    assert_eq!((&listed["total"], &listed["groups"][0]["count"]), (&3.into(), &2.into()));
    assert_eq!(listed["groups"][0]["reason"], "out_of_range");
    assert_eq!(listed["groups"][0]["field"], "amount");
    assert_eq!(listed["newest"].as_array().map(Vec::len), Some(2));
    assert_eq!(strict.listed(&["--reason", "unparsable"])["total"], 1);
    assert_eq!(strict.listed(&["--topic", "another"])["total"], 0);
    assert_eq!(strict.listed(&["--from", "0:1", "--to", "0:1"])["total"], 1);
    assert_eq!(strict.listed(&["--from", "1:0"])["total"], 0);
    assert!(strict.dlq("list", &[]).starts_with("3 dead letters in dead-"));
    let at = listed["groups"][0]["first"]["at"].as_str().expect("a place").to_owned();
    let shown = strict.dlq("show", &[&at]);
    for part in ["reason: out_of_range", "offset: 3", "key: k", "\"amount\": 500"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let (code, error) = strict.refused("show", &["0:99"]);
    assert!(code == Some(2) && error.contains("no dead letter at 0:99"), "{error}");

    let wanted = ["--reason", "out_of_range"];
    let dry = strict.dlq("replay", &[&wanted[..], &["--dry-run"]].concat());
    assert!(dry.starts_with("2 records would be sent"), "{dry}");
    assert!(strict.dlq("replay", &wanted).starts_with("2 records sent and confirmed"));
    let again = strict.dlq("replay", &wanted);
    assert!(again.starts_with("0 records") && again.contains("2 were sent before"), "{again}");
    let found = stored(&brokers, &topics[0], 22);
    assert_eq!(found.len(), 22, "sent once");
    for (copy, original) in [(20, 3), (21, 7)] {
        let (copy, original) = (&found[copy], &found[original]);
        assert_eq!(copy.payload, original.payload);
        assert_eq!((&copy.key, copy.time_ms), (&original.key, original.time_ms));
        let from = copy.header("replayed_from").expect("it says where it comes from");
        assert!(from.starts_with(&format!("dead-{run}:0:")), "{from}");
    }
    // Put right, the engine takes them.
    let lenient = job(&brokers, &run, 1000);
    let config = std::fs::read_to_string(&lenient.config).expect("readable");
    let config = config.replace("alone = true", "alone = true, start = 20");
    std::fs::write(&lenient.config, config).expect("written");
    assert!(pelton(&["run", text(&lenient.config)]).status.success());
    let scores = stored(&brokers, &topics[2], 19);
    let id = |score: &Stored| {
        serde_json::from_slice::<Value>(&score.payload).expect("JSON")["id"].as_i64()
    };
    let ids: Vec<_> = scores[17..].iter().filter_map(id).collect();
    assert_eq!(ids, [3, 7]);
    let twice = strict.dlq("replay", &[&wanted[..], &["--again"]].concat());
    assert!(twice.starts_with("2 records sent"), "{twice}");
}

#[test]
fn dead_letters_of_a_file_are_listed_shown_and_sent_where_one_says() {
    let config = "
    kafka.brokers = '{brokers}'
    emit.file = '{dir}/scores.jsonl'
    dead_letters.file = '{dir}/dead.jsonl'";
    let config = [config, FIELDS].concat().replace("{most}", "10").replace("{run}", "x");
    let job = Job::new(&config.replace("{brokers}", &brokers().unwrap_or_default()));
    let (input, dead) = (job.folder.path().join("in.jsonl"), job.folder.path().join("dead.jsonl"));
    let mut lines = b"{\"id\":1,\"t\":1000,\"amount\":5}\n".to_vec();
    lines.extend_from_slice(b"{\"id\":2,\"t\":1001,\"amount\":50}\n\xff\xfe not JSON\n");
    std::fs::write(&input, lines).expect("written");
    let arguments = ["replay", text(&job.config), "--input", text(&input), "--dead-letters"];
    assert!(pelton(&[&arguments[..], &[text(&dead)]].concat()).status.success());
    assert_eq!(job.listed(&[])["total"], 2);
    append(&dead, "no dead letter\n{\"reason\":\"late\",\"topic\":\"t");
    assert_eq!(job.listed(&[])["total"], 2, "what is no dead letter is passed over");
    let line = job.listed(&["--reason", "unparsable"])["newest"][0]["at"].clone();
    let shown = job.dlq("show", &[line.as_str().expect("a place")]);
    assert!(shown.contains("00000000  ff fe 20 6e") && shown.contains("|.. not JSON|"), "{shown}");
    let (code, error) = job.refused("show", &["0:1"]);
    assert!(code == Some(2) && error.contains("number of a line"), "{error}");
    let (code, error) = job.refused("replay", &[]);
    assert!(code == Some(2) && error.contains("give --into TOPIC"), "{error}");
    let Some(brokers) = brokers() else { return };
    let events = topic(&brokers, "from-file", 1);
    let sent = job.dlq("replay", &["--into", &events]);
    assert!(sent.starts_with("2 records sent"), "{sent}");
    let mut bodies: Vec<_> = stored(&brokers, &events, 2).into_iter().map(|m| m.payload).collect();
    bodies.sort();
    assert_eq!(bodies[1], b"\xff\xfe not JSON", "to the last byte");
}

fn append(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = std::fs::File::options().append(true).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
}

#[test]
fn a_configuration_without_dead_letters_is_said_so() {
    let job = Job::new("event = { time = 't' }");
    let (code, error) = job.refused("list", &[]);
    assert!(code == Some(2) && error.contains("give [dead_letters] topic or file"), "{error}");
}
