//! The engine on a device: the bits of the CPU, checkpoints that move between the two, and nothing
//! lost when the device goes away. The device is the double, which runs the same kernels here, or
//! the GPU that a run of the tests asks for.

mod decode;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use pelton::config::Config;
use pelton::device::Device;
use pelton::features::Way;
use pelton::pipeline::{Pipeline, SECTIONS};
use pelton::ring::Slot;
use pelton_kernels::cases::scaled;
use pelton_kernels::device::double::{Double, ENVIRONMENT, tested};
use serde_json::Value;

use crate::checkpoint::job::Job;
use crate::guard::records;
use crate::support::{Feed, Random, Record};

const CONFIG: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'y', time = 't', horizon = '40s' }
    fields.x = { type = 'number' }
    fields.shop = { type = 'category' }
    features = [
        { number = 'x' }, { category = 'shop' }, { calendar = ['hour'] },
        { window = 'shop', widths = ['10s', '1m'], include_current = true,
          aggregates = ['count', 'mean(x)', 'std(x)', 'max(x)', 'since_previous'] },
        { window = 'shop', over = 'labels', widths = ['30s'], delay = '5s',
          aggregates = ['count', 'mean'] },
        { window = 'shop', tiles = 8, widths = ['40s'],
          aggregates = ['sum(x)'] },
    ]
    dead_letters.topic = 'dead'
    guard = { window_labels = 160, warm_up_windows = 4, cool_down_labels = 200 }";

/// What `scripts/check-gpu` replays on a GPU are settings, and what it changes is changed.
#[test]
fn the_replays_of_the_checks_on_a_gpu_have_settings() {
    for device in ["cpu", "cuda:0"] {
        for (optimizer, rows) in [("ftrl", 1024), ("adagrad", 16_384), ("sgd", 7), ("auto", 1)] {
            let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check-gpu"))
                .args(["settings", "examples/fraud/linear.toml", device, optimizer])
                .arg(rows.to_string())
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .output()
                .expect("bash");
            let text = String::from_utf8(output.stdout).expect("text");
            let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
            let shown = format!("{:?}", config.model).to_lowercase();
            assert!(shown.contains(&format!("optimizer: {optimizer}")), "{shown}");
            assert_eq!(config.device.to_string(), device);
            assert_eq!(config.learn.step_rows, rows, "{text}");
        }
    }
}

fn save(pipeline: &Pipeline) -> Vec<Vec<u8>> {
    let section = |name: &&str| {
        let mut bytes = Vec::new();
        pipeline.write_section(name, &mut bytes).expect("a vector takes all bytes");
        bytes
    };
    SECTIONS.iter().map(section).collect()
}

/// Scores, and the state at the end of a run.
type Outcome = (Vec<u32>, Vec<Vec<u8>>);

/// A run in batches of `cut`, which goes on with the other device behind every batch that `moves`.
fn run(
    config: &Config,
    devices: [&Device; 2],
    records: (&[Record], usize),
    moves: fn(usize) -> bool,
) -> Outcome {
    run_by(None, config, devices, records, moves)
}

/// The same, with all batches that may choose going one way.
fn run_by(
    way: Option<Way>,
    config: &Config,
    devices: [&Device; 2],
    (records, cut): (&[Record], usize),
    moves: fn(usize) -> bool,
) -> Outcome {
    let open = |at: usize| {
        let mut pipeline = Pipeline::on(config, devices[at % 2]).expect("a possible configuration");
        way.into_iter().for_each(|way| pipeline.go(way));
        pipeline
    };
    let (mut pipeline, mut moved) = (open(0), 0);
    let mut scores = Vec::new();
    let mut slot = Slot::new(&config.event.schema, cut);
    let (mut feed, mut batch) = (Feed::new(config, records), 0);
    while feed.next_batch(&mut slot) {
        pipeline.step(&mut slot).expect("data never ends a run");
        scores.extend(slot.scores.iter().map(|score| score.to_bits()));
        batch += 1;
        if moves(batch) {
            let saved = save(&pipeline);
            moved += 1;
            pipeline = open(moved);
            for (name, bytes) in SECTIONS.iter().zip(&saved) {
                pipeline.read_section(name, &mut &bytes[..]).expect("own bytes");
            }
            assert!(save(&pipeline) == saved, "what was read is written the same");
        }
    }
    (scores, save(&pipeline))
}

#[test]
fn a_device_gives_the_scores_and_the_state_of_the_cpu() {
    let gpu = Device::Gpu(tested().remove(0));
    // Labels that are flipped for a while make the guard go back to a kept model.
    let records = records(31, 5000, 3000..3400);
    for optimizer in ["auto", "ftrl", "adagrad", "sgd"] {
        for (step_rows, cut) in [(1, 64), (50, 7), (300, 256)] {
            let text = format!(
                "model = {{ kind = 'linear', optimizer = '{optimizer}' }}\n\
                 learn.step_rows = {step_rows}\n{CONFIG}"
            );
            let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
            let stay = |_| false;
            let here = run(&config, [&Device::Cpu; 2], (&records, cut), stay);
            let what = format!("{optimizer}, steps of {step_rows}, batches of {cut}");
            for way in [Way::Wide, Way::Recorded] {
                let there = run_by(Some(way), &config, [&gpu; 2], (&records, cut), stay);
                assert!(there.0 == here.0, "scores: {what}, {way:?}");
                assert!(there.1 == here.1, "state: {what}, {way:?}");
            }
            let often = |batch| batch % 11 == 0;
            let both = run(&config, [&gpu, &Device::Cpu], (&records, cut), often);
            assert!(both == here, "moved between the two: {what}");
        }
    }
}

#[test]
fn scores_that_come_with_the_features_are_finished_as_others_are() {
    let gpu = Device::Gpu(tested().remove(0));
    let records = records(34, 1500, 700..800);
    let wrapped = "calibrate = 'platt', negatives = 0.5";
    for (kind, rest) in [("linear", wrapped), ("fm", wrapped), ("linear", "calibrate = 'isotonic'")]
    {
        // Without labels between the rows of most batches, and with some.
        for step_rows in [1, 200] {
            let text = format!(
                "model = {{ kind = '{kind}', {rest} }}\nlearn.step_rows = {step_rows}\n{CONFIG}"
            );
            let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
            let here = run(&config, [&Device::Cpu; 2], (&records, 60), |_| false);
            for way in [Way::Wide, Way::Recorded] {
                let there = run_by(Some(way), &config, [&gpu; 2], (&records, 60), |_| false);
                assert!(there == here, "{kind}, {rest}, steps of {step_rows}, {way:?}");
            }
        }
    }
}

#[test]
fn networks_and_machines_learn_there_as_here() {
    let gpu = Device::Gpu(tested().remove(0));
    let records = records(33, 900, 500..560);
    for kind in ["mlp", "deep", "fm", "ffm"] {
        let text = format!("model.kind = '{kind}'\nlearn.step_rows = 40\n{CONFIG}");
        let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let here = run(&config, [&Device::Cpu; 2], (&records, 70), |_| false);
        let there = run(&config, [&gpu; 2], (&records, 70), |_| false);
        assert!(there == here, "{kind}");
        let both = run(&config, [&gpu, &Device::Cpu], (&records, 70), |batch| batch % 5 == 0);
        assert!(both == here, "{kind}, moved between the two");
    }
}

#[test]
fn tables_at_their_limits_come_home_and_go_on() {
    let gpu = Device::Gpu(tested().remove(0));
    let records = records(32, 4000, 0..0);
    // Seven shops, of which five are held: somebody is evicted all the time.
    let text = format!(
        "model = {{ kind = 'linear', optimizer = 'sgd' }}\nlearn.step_rows = 50\n\
         transform.keys_max = 5\n{CONFIG}"
    );
    let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let here = run(&config, [&Device::Cpu; 2], (&records, 100), |_| false);
    let there = run(&config, [&gpu; 2], (&records, 100), |_| false);
    assert!(there == here, "through to the end");
    let moved = run(&config, [&gpu, &Device::Cpu], (&records, 100), |batch| batch == 20);
    assert!(moved == here, "moved to the CPU");
}

/// A run to its end: the pipeline as it is then.
fn run_on(config: &Config, device: &Device, records: &[Record]) -> (Vec<u32>, Pipeline) {
    let mut pipeline = Pipeline::on(config, device).expect("a possible configuration");
    let mut slot = Slot::new(&config.event.schema, 100);
    let (mut feed, mut scores) = (Feed::new(config, records), Vec::new());
    while feed.next_batch(&mut slot) {
        pipeline.step(&mut slot).expect("data never ends a run");
        scores.extend(slot.scores.iter().map(|score| score.to_bits()));
    }
    (scores, pipeline)
}

#[test]
fn tables_larger_than_the_memory_stay_and_say_the_same() {
    let text = format!(
        "model = {{ kind = 'linear', optimizer = 'sgd' }}\n\
         transform.hash_bits = 10\nlearn.step_rows = 50\n{CONFIG}"
    );
    let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    // Half of the payments are those of a few shops, the others of a thousand.
    let wide = |(number, record): (usize, Record)| match record {
        Record::Event(text) if number % 2 == 0 => {
            let shop = format!(r#""shop":"w{}-s"#, number * number % 997);
            Record::Event(text.replace(r#""shop":"s"#, &shop))
        }
        record => record,
    };
    let records: Vec<Record> = records(34, 5000, 0..0).into_iter().enumerate().map(wide).collect();
    let (scores, here) = run_on(&config, &Device::Cpu, &records);
    // A double tells to the byte what is asked for.
    let gpu = Double::open(0);
    let (_, there) = run_on(&config, &Device::Gpu(gpu.clone()), &records);
    let (free, all) = gpu.memory().expect("a working GPU");
    let windows: usize = there.features().window_gauges().map(|gauge| gauge.bytes).sum();
    drop(there);
    let mut moved = 0;
    for share in [4, 2] {
        // What is left free for others beside.
        let memory = (all - free - windows as u64 / share) * 16 / 15;
        let gpu = Device::Gpu(Double::of_memory(memory));
        let (scores_there, there) = run_on(&config, &gpu, &records);
        assert!(scores_there == scores, "scores, in {memory} bytes");
        assert!(save(&there) == save(&here), "state, in {memory} bytes");
        let cold = there.features().window_gauges().map(|gauge| gauge.cold);
        moved += cold.map(|cold| cold.moved_out.min(cold.brought_in)).sum::<u64>();
    }
    assert!(moved > 0, "keys moved out and in");
}

const WIDE: &str = "dir = DIR\nevery = '30ms'\n\
    [model]\nkind = 'linear'\noptimizer = 'ftrl'\n[learn]\nstep_rows = 512";

/// The scores of a run by what they say, each once, and its report.
pub fn outcome(job: &Job, name: &str) -> (BTreeMap<String, u64>, Value) {
    let lines = std::fs::read_to_string(job.path(&format!("{name}.jsonl"))).expect("scores");
    let mut scores = BTreeMap::new();
    for line in lines.lines() {
        *scores.entry(line.to_owned()).or_default() += 1;
    }
    let report = std::fs::read(job.path(&format!("{name}.json"))).expect("a report");
    (scores, serde_json::from_slice(&report).expect("JSON"))
}

/// Calls at which a device goes away: these, and some by chance that every run gets to, whichever
/// way its batches go.
fn calls(certain: &[u64]) -> BTreeSet<u64> {
    let mut random = Random::new(5);
    let drawn = (0..scaled(2)).map(|_| 1 + random.below(15_000));
    certain.iter().copied().chain(drawn).collect()
}

#[test]
fn a_device_that_goes_away_loses_nothing() {
    let job = Job::new(&[]);
    let config = |name: &str| {
        let dir = format!("{:?}", job.path(&format!("{name}-checkpoints")));
        job.config(name, &WIDE.replace("DIR", &dir))
    };
    let run = |name: &str, double: Option<&str>| {
        let variables: Vec<_> = double.map(|at| (ENVIRONMENT, at)).into_iter().collect();
        let mut child = job.start_with(&config(name), &variables, Stdio::piped());
        let status = child.wait().expect("it ends");
        let mut log = String::new();
        use std::io::Read as _;
        child.stderr.take().expect("piped").read_to_string(&mut log).expect("a log");
        assert!(status.success(), "{name}: {log}");
        (outcome(&job, name), log)
    };
    let (here, log) = run("here", None);
    assert!(!log.contains("is lost"), "{log}");
    assert!(here.0.values().all(|count| *count == 1), "each score once");
    for at in calls(&[0, 1, 40, 3000, 7001]) {
        let (there, log) = run(&format!("double-{at}"), Some(&at.to_string()));
        assert_eq!(log.contains("the GPU is lost"), at != 0, "call {at}: {log}");
        assert!(there.0 == here.0, "scores, lost at call {at}");
        for digest in ["model_digest", "score_digest", "metrics"] {
            assert_eq!(there.1[digest], here.1[digest], "{digest}, lost at call {at}");
        }
        let device = if at == 0 { "cuda:0" } else { "cpu" };
        assert_eq!(there.1["device"], device, "call {at}");
    }
}

#[test]
fn a_replay_whose_device_goes_away_begins_again() {
    let job = Job::new(&[(ENVIRONMENT, "500")]);
    let config = job.config("replayed", &WIDE.replace("dir = DIR\n", ""));
    let (input, scores) = (job.path("payments.parquet"), job.path("scores.jsonl"));
    let [config, input, scores_to] =
        [&config, &input, &scores].map(|path| path.to_str().expect("UTF-8"));
    let arguments = ["replay", config, "--input", input, "--scores", scores_to, "--limit", "9000"];
    let told = job.tell(&arguments);
    let log = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && log.contains("the GPU is lost"), "{log}");
    let lines = std::fs::read_to_string(&scores).expect("scores").lines().count();
    assert_eq!(lines, 9000, "each score once");
}

#[test]
fn the_bench_of_a_device_walks_every_kernel_and_finds_the_same_bits() {
    let job = Job::new(&[(ENVIRONMENT, "0")]);
    let told = job.tell(&["bench", "device", "--quick", "--json"]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let figures: Value = serde_json::from_slice(&told.stdout).expect("JSON and nothing else");
    for part in ["kernels", "clicks", "small_batches"] {
        let all = figures[part].as_array().expect("a list");
        let wanted = if part == "kernels" { pelton_models::cases::all().count() } else { 1 };
        assert_eq!(all.len(), wanted, "{part}");
        for one in all {
            assert_eq!(one["same_bits"], true, "{one}");
        }
    }
    let copies = figures["gpu"]["copies"].as_array().expect("a list");
    assert_eq!(copies.len(), 6, "{figures}");
}

#[test]
fn the_program_links_no_library_of_cuda() {
    let ldd = std::process::Command::new("ldd").arg(env!("CARGO_BIN_EXE_pelton")).output();
    let linked = String::from_utf8(ldd.expect("ldd, as glibc has it").stdout).expect("a text");
    assert!(linked.contains("libc.so"), "{linked}");
    for name in ["cuda", "nvidia", "cublas", "nvrtc"] {
        assert!(!linked.contains(name), "{linked}");
    }
}
