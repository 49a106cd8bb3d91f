//! Files decoded on a device, through the whole engine: the bytes of the scores and of the dead
//! letters, and all digests, are those of the decoder of the stream.

use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use pelton::checkpoint::recover::Recovery;
use pelton::config::Config;
use pelton::device::Device;
use pelton::metrics::Totals;
use pelton::source::file::{self, FileOptions};
use pelton_kernels::device::double::{ENVIRONMENT, tested};

use super::{outcome, save};
use crate::checkpoint::job::Job;
use crate::decode::{files, hostile};
use crate::settings::stream;

/// What a run leaves behind: files, digests, counts.
struct Left {
    scores: String,
    dead: String,
    digests: [String; 2],
    totals: Totals,
    /// Every section of it.
    state: Vec<Vec<u8>>,
}

/// A run over these lines with a GPU that is played by the double, or without.
fn run(config: &str, (records, folder): (&[Vec<u8>], &Path), gpu: Option<&Device>) -> Left {
    let is_binary = config.contains("binary");
    let input = folder.join(if is_binary { "input.bin" } else { "input.jsonl" });
    let between: &[u8] = if is_binary { b"" } else { b"\n" };
    std::fs::write(&input, records.join(between)).expect("written");
    let decode = if gpu.is_some() { "device" } else { "cpu" };
    let dir = folder.to_str().expect("UTF-8");
    let text = format!("source.decode = '{decode}'\n{}", config.replace("DIR", dir));
    let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let options = FileOptions::of(&config);
    let source = file::open(&input, &config.event.schema, &options).expect("opened");
    let recovery = Recovery::none(&config, gpu.unwrap_or(&Device::Cpu)).expect("a pipeline");
    let (stop, live) = Default::default();
    let outcome = pelton::run::run(&config, source, recovery, &stop, &live).expect("a run");
    let take = |name: &str| {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).expect("written");
        std::fs::remove_file(path).expect("removed");
        text.replace(dir, "")
    };
    let learner = outcome.pipeline.learner();
    Left {
        scores: take("scores.jsonl"),
        dead: take("dead.jsonl"),
        digests: [learner.score_digest(), learner.model_digest().expect("it is there")],
        totals: outcome.totals,
        state: save(&outcome.pipeline),
    }
}

/// The runs with and without are the same in every cut; the last one.
fn agree(config: &str, lines: &[Vec<u8>], cuts: &[&str]) -> Left {
    let gpu = Device::Gpu(tested().remove(0));
    let mut last = None;
    // The name of the input is part of what is written.
    let folder = tempfile::tempdir().expect("a folder");
    let input = (lines, folder.path());
    for batch in cuts {
        let config = format!("batch = {{ {batch} }}\n{config}");
        let here = run(&config, input, None);
        let there = run(&config, input, Some(&gpu));
        assert!(there.scores == here.scores, "scores, {batch}");
        assert!(there.dead == here.dead, "dead letters, {batch}");
        assert_eq!(there.digests, here.digests, "{batch}");
        assert_eq!(there.totals, here.totals, "{batch}");
        assert!(there.state == here.state, "state, {batch}");
        last = Some(here);
    }
    last.expect("a cut")
}

const SINKS: &str = "
    dead_letters.file = 'DIR/dead.jsonl'
    model = { kind = 'linear', optimizer = 'ftrl' }
    learn.step_rows = 20";

#[test]
fn a_stream_with_everything_odd_is_the_same() {
    let config = format!(
        "event = {{ id = 'id', time = 't', duplicates_within = '1h' }}
        labels = {{ field = 'label', delay = '10m' }}
        fields.NUMBER = {{ type = 'number', range = [0, 90] }}
        fields.OTHER = {{ type = 'number' }}
        fields.CATEGORY = {{ type = 'category' }}
        fields.SHOP = {{ type = 'category', required = true }}
        features = [{{ number = 'NUMBER' }}, {{ category = 'CATEGORY' }}, {{ calendar = ['hour'] }},
            {{ window = 'SHOP', widths = ['1h'], aggregates = ['count', 'mean(OTHER)'] }}]
        emit = {{ file = 'DIR/scores.jsonl', fields = ['OTHER', 'CATEGORY', 'note'] }}\n{SINKS}"
    );
    let mut lines: Vec<Vec<u8>> = stream::events().into_iter().map(String::into_bytes).collect();
    let cuts =
        ["rows_max = 1", "rows_max = 7", "rows_max = 4096", "rows_max = 64, bytes_max = 2000"];
    let left = agree(&config, &lines, &cuts);
    assert!(left.totals.scored > 1000 && left.totals.dead_letters_total() > 20);
    // The same with something nested in each record, which no kernel reads.
    for line in &mut lines {
        line.pop();
        line.extend_from_slice(b",\"x\":[1]}");
    }
    let hard = agree(&config, &lines, &["rows_max = 256"]);
    assert_eq!((hard.digests, hard.totals), (left.digests, left.totals));
}

#[test]
fn hostile_records_are_rejected_the_same() {
    let config = format!(
        "event = {{ id = 'id', time = 'ts', record_bytes_max = 400000 }}
        labels = {{ field = 'label' }}
        fields.amount = {{ type = 'number' }}
        fields.card = {{ type = 'category' }}
        features = [{{ number = 'amount' }}, {{ category = 'card' }}]
        emit = {{ file = 'DIR/scores.jsonl', fields = ['amount', 'card'] }}\n{SINKS}"
    );
    let mut lines = Vec::new();
    for (id, record) in (0..).zip(hostile::records()) {
        lines.push(record);
        if id % 3 == 0 {
            let line = format!("{{\"id\":\"n{id}\",\"ts\":{id},\"amount\":{id},\"card\":null}}");
            lines.push(line.into_bytes());
        }
    }
    let cuts =
        ["rows_max = 1", "rows_max = 5", "rows_max = 1024", "rows_max = 9, bytes_max = 1024"];
    let left = agree(&config, &lines, &cuts);
    assert!(left.totals.scored > 20 && left.totals.dead_letters_total() > 50, "{:?}", left.totals);
}

#[test]
fn binary_records_are_the_same_and_mean_what_json_means() {
    let rest = format!(
        "labels = {{ field = 'label' }}
        fields.amount = {{ type = 'number', missing = 'reject' }}
        fields.card = {{ type = 'category' }}
        features = [{{ number = 'amount' }}, {{ category = 'card' }},
            {{ window = 'card', widths = ['1h'], aggregates = ['count', 'mean(amount)'] }}]
        emit = {{ file = 'DIR/scores.jsonl', fields = ['amount', 'card'] }}\n{SINKS}"
    );
    let binary = format!(
        "event = {{ id = 'id', time = 'ts', format = 'binary', record_bytes = 36 }}
        layout.id = {{ offset = 0, type = 'u64' }}
        layout.ts = {{ offset = 8, type = 'i64' }}
        layout.amount = {{ offset = 16, type = 'f64' }}
        layout.card = {{ offset = 24, type = 'text', bytes = 8 }}
        layout.label = {{ offset = 32, type = 'i32', missing = -1 }}\n{rest}"
    );
    let json = format!("event = {{ id = 'id', time = 'ts' }}\n{rest}");
    let (mut records, mut lines) = (Vec::new(), Vec::new());
    for id in 0..3000_u64 {
        let (time, card) = (977 * id, format!("c{}", id * id % 50));
        let (amount, shown) = match id % 100 {
            13 => (f64::NAN, "null".to_owned()),
            _ => (id as f64 / 8.0, format!("{:?}", id as f64 / 8.0)),
        };
        let label = id as i32 % 4 - 1;
        let mut record = id.to_le_bytes().to_vec();
        record.extend(time.to_le_bytes());
        record.extend(amount.to_le_bytes());
        record.extend(card.as_bytes());
        record.resize(32, 0);
        record.extend(label.to_le_bytes());
        let truth = if label < 0 { "null".to_owned() } else { label.to_string() };
        let event = format!("\"id\":{id},\"ts\":{time},\"amount\":{shown}");
        lines.push(format!("{{{event},\"card\":\"{card}\",\"label\":{truth}}}").into_bytes());
        records.push(record);
    }
    let of_lines = agree(&json, &lines, &["rows_max = 100"]);
    let of_records = agree(&binary, &records, &["rows_max = 7", "rows_max = 1024"]);
    assert_eq!(of_records.digests, of_lines.digests);
    assert_eq!(of_records.totals, of_lines.totals);
    assert!(of_lines.totals.dead_letters_total() > 700, "labels of 2 mean nothing");
    let scores = of_lines.scores.replace("input.jsonl", "input.bin");
    assert!(scores == of_records.scores, "scores");
}

/// A public recording, as JSON.
#[test]
fn a_recording_is_the_same() {
    let Some(path) = files::recorded("flights.csv.gz") else { return };
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("opened");
    flate2::read::GzDecoder::new(file).take(2 << 20).read_to_string(&mut text).expect("a text");
    let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = rows.next().expect("a header");
    // The last one may be cut off.
    let rows: Vec<_> = rows.filter(|row| row.len() == names.len()).take(20_000).collect();
    let line = |row: &Vec<&str>| {
        let value = |value: &str| match value.parse::<f64>() {
            Ok(_) => value.to_owned(),
            Err(_) if value.is_empty() => "null".to_owned(),
            Err(_) => format!("{value:?}"),
        };
        let pairs = names.iter().zip(row).map(|(name, text)| format!("{name:?}:{}", value(text)));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(", ")).into_bytes()
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    let config = format!(
        "event = {{ time = 'ts' }}
        labels = {{ field = 'label' }}
        fields.distance = {{ type = 'number' }}
        fields.sched_dep_min = {{ type = 'number' }}
        fields.carrier = {{ type = 'category' }}
        fields.dest = {{ type = 'category' }}
        features = [{{ number = 'distance' }}, {{ number = 'sched_dep_min' }},
            {{ category = 'carrier' }}, {{ category = 'dest' }}]
        emit = {{ file = 'DIR/scores.jsonl', fields = ['carrier', 'distance'] }}\n{SINKS}"
    );
    let left = agree(&config, &lines, &["rows_max = 1000"]);
    assert!(left.totals.scored > 10_000, "{:?}", left.totals);
}

/// The double goes away at some call, which may be one of the decoder's: the run ends as without.
#[test]
fn a_device_that_goes_away_while_it_decodes_loses_nothing() {
    let job = Job::new(&[]);
    let input = job.path("payments.jsonl");
    let input = input.to_str().expect("UTF-8");
    let of = ["generate", "fraud", "--seed", "3", "--events", "20000", "--output", input];
    assert!(job.tell(&of).status.success());
    let run = |name: &str, decode: &str, double: &str| {
        let dir = format!("{:?}", job.path(&format!("{name}-checkpoints")));
        let path = job.config(name, &super::WIDE.replace("DIR", &dir));
        let text = std::fs::read_to_string(&path).expect("written");
        let text = text.replace("payments.parquet", "payments.jsonl");
        let text = format!("source.decode = '{decode}'\n{text}");
        std::fs::write(&path, text).expect("written");
        let variables = [(ENVIRONMENT, double), ("RUST_LOG", "info")];
        let mut child = job.start_with(&path, &variables, Stdio::piped());
        let mut log = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut log).expect("a log");
        assert!(child.wait().expect("it ends").success(), "{name}: {log}");
        (outcome(&job, name), log)
    };
    let (here, log) = run("here", "cpu", "0");
    assert!(!log.contains("decoded on the GPU"), "{log}");
    for call in super::calls(&[0, 70, 3000, 7001]) {
        let (there, log) = run(&format!("double-{call}"), "device", &call.to_string());
        // The first few hundred open it.
        let is_early = (1..500).contains(&call);
        assert!(log.contains("decoded on the GPU") || is_early, "call {call}: {log}");
        assert_eq!(log.contains("the GPU is lost"), call != 0, "call {call}: {log}");
        assert!(!log.contains("cannot be used"), "no setting is at fault, call {call}: {log}");
        assert!(there.0 == here.0, "scores, lost at call {call}");
        for digest in ["model_digest", "score_digest", "metrics", "events"] {
            assert_eq!(there.1[digest], here.1[digest], "{digest}, lost at call {call}");
        }
    }
}
