//! Streams that drift, and streams that do not: who says so, when, and how often; and none of it
//! depends on cuts or survives less than a restart.

use pelton::config::Config;
use pelton::learn::drift::alerts::{ALERTS_MAX, Detector};
use pelton::pipeline::{Pipeline, SECTIONS};
use pelton::ring::Slot;

use crate::support::{Feed, Random, Record};

const CONFIG: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'y', time = 't', horizon = '40s' }
    fields.x = { type = 'number' }
    fields.z = { type = 'number' }
    fields.shop = { type = 'category' }
    features = [
        { number = 'x', forms = ['identity', 'log'] }, { number = 'z' }, { calendar = ['night'] },
        { window = 'shop', widths = ['5s'], aggregates = ['mean(x)'] },
    ]
    transform.hash_bits = 6
    guard.action = 'off'
    drift = { window = '16s', window_rows = 400, warm_up_labels = 1000, cool_down = '5s' }";

/// What changes in the stream, from which event on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Nothing.
    None,
    /// The numbers `x` are larger.
    Features(u64),
    /// Labels say something else of the same numbers.
    Concept(u64),
}

/// Events every ten milliseconds, each with its label three events later.
pub fn records(seed: u64, count: u64, change: Change) -> Vec<Record> {
    let mut random = Random::new(seed);
    let (mut records, mut labels) = (Vec::new(), Vec::new());
    for id in 0..count {
        let now_ms = 1_600_000_000_000 + id * 10;
        let mut number = || random.below(2000) as f64 / 100.0 - 10.0;
        let (mut x, z) = (number(), number());
        if matches!(change, Change::Features(at) if id >= at) {
            x = x * 0.5 + 8.0;
        }
        let chance = match change {
            Change::Concept(at) if id >= at => 500,
            _ if z > 0.0 => 950,
            _ => 50,
        };
        let (truth, shop) = (random.per_mille(chance), random.below(500));
        labels.push(format!(r#"{{"id":{id},"t":{now_ms},"y":{truth}}}"#));
        let event = format!(r#"{{"id":{id},"t":{now_ms},"x":{x},"z":{z},"shop":"s{shop}"}}"#);
        records.push(Record::Event(event));
        if let Some(label) = id.checked_sub(3).map(|id| labels[id as usize].clone()) {
            records.push(Record::Label(label));
        }
    }
    records
}

fn config(more: &str) -> Config {
    Config::parse(&format!("{CONFIG}\n{more}")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn save(pipeline: &Pipeline) -> Vec<Vec<u8>> {
    let section = |name: &&str| {
        let mut bytes = Vec::new();
        pipeline.write_section(name, &mut bytes).expect("a vector takes all bytes");
        bytes
    };
    SECTIONS.iter().map(section).collect()
}

/// Runs the records in batches of `cut`, moved into another pipeline where `moves` says so.
pub fn run(
    config: &Config,
    records: &[Record],
    cut: usize,
    mut moves: impl FnMut() -> bool,
) -> Pipeline {
    let mut pipeline = Pipeline::new(config).expect("a possible configuration");
    let mut slot = Slot::new(&config.event.schema, cut);
    let mut feed = Feed::new(config, records);
    while feed.next_batch(&mut slot) {
        if moves() {
            let saved = save(&pipeline);
            pipeline = Pipeline::new(config).expect("a possible configuration");
            for (name, bytes) in SECTIONS.iter().zip(&saved) {
                pipeline.read_section(name, &mut &bytes[..]).expect("own bytes");
            }
            assert!(save(&pipeline) == saved, "what was read is written the same");
        }
        pipeline.step(&mut slot).expect("data never ends a run");
    }
    pipeline
}

/// Detector, what it is about, and the events scored by then.
fn alerts(pipeline: &Pipeline) -> Vec<(Detector, String, u64)> {
    let drift = pipeline.learner().drift();
    let alert = |alert| (drift.what(alert).to_owned(), alert);
    let alerts = drift.alerts().kept().map(alert);
    alerts.map(|(what, alert)| (alert.detector, what, alert.scored)).collect()
}

#[test]
fn a_stream_that_stands_gives_no_alert() {
    for seed in 50..56 {
        let pipeline = run(&config(""), &records(seed, 12_000, Change::None), 256, || false);
        // The score moves while the model goes on learning.
        let seen = alerts(&pipeline);
        assert!(seen.iter().all(|(_, what, _)| what == "score"), "seed {seed}: {seen:?}");
        assert!(seen.len() <= 4, "seed {seed}: {seen:?}");
        let drift = pipeline.learner().drift();
        let standings: Vec<_> = drift.standings().collect();
        let names: Vec<&str> = standings.iter().map(|standing| standing.name).collect();
        assert_eq!(names, ["x", "z", "mean(x) of shop over 5s", "score"], "each once");
        for standing in standings {
            let most = if standing.name == "score" { 9.0 } else { 0.1 };
            assert!((0.0..most).contains(&standing.psi), "{standing:?}");
            assert!((0.0..most).contains(&standing.distance), "{standing:?}");
        }
        let (loss, labels) = drift.loss();
        assert!((0.05..0.2).contains(&loss) && labels > 9000, "{loss} of {labels}");
    }
}

#[test]
fn labels_that_say_something_else_are_found_by_both_detectors_of_the_loss() {
    for (task, seed) in [("binary", 60), ("regression", 61), ("multiclass", 62)] {
        let classes = if task == "multiclass" { "model.classes = ['1', '0']" } else { "" };
        let config = config(&format!("model.task = '{task}'\n{classes}"));
        let at = 9000;
        let numbers = if task == "multiclass" { ["\"1\"", "\"0\""] } else { ["1", "0"] };
        let as_numbers = |record| match record {
            Record::Label(text) => {
                Record::Label(text.replace("true", numbers[0]).replace("false", numbers[1]))
            }
            event => event,
        };
        let records: Vec<Record> =
            records(seed, 12_000, Change::Concept(at)).into_iter().map(as_numbers).collect();
        let pipeline = run(&config, &records, 256, || false);
        let seen = alerts(&pipeline);
        for wanted in [Detector::Adwin, Detector::PageHinkley] {
            let found = seen.iter().find(|(detector, ..)| *detector == wanted);
            let Some((_, what, scored)) = found else { panic!("{task}: {wanted:?} in {seen:?}") };
            assert_eq!(what, "loss");
            let soon = if wanted == Detector::Adwin { 1000 } else { 2000 };
            assert!((at..at + soon).contains(scored), "{task}: {seen:?}");
        }
        // The score is another as well, but none of the features.
        let is_loss = |what: &String| what == "loss" || what == "score";
        assert!(seen.iter().all(|(_, what, _)| is_loss(what)), "{task}: {seen:?}");
        let mut alerts = pipeline.learner().drift().alerts().kept();
        let alert = alerts.find(|alert| alert.detector.is_of_loss()).expect("one");
        let [before, after] = alert.figures;
        assert!(before * 1.25 < after, "{task}: {alert:?}");
        assert!(alert.time().starts_with("2020-09-13T12:2"), "{}", alert.time());
    }
}

#[test]
fn features_that_are_spread_otherwise_are_found_and_named() {
    let at = 7000;
    // After an alert another reference is taken: each detector is asked alone.
    for (wanted, other) in [(Detector::Psi, "ks_distance = 1.0"), (Detector::Ks, "psi = 1e6")] {
        let text = CONFIG.replace("drift = {", &format!("drift = {{ {other},"));
        let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let pipeline = run(&config, &records(70, 12_000, Change::Features(at)), 256, || false);
        let seen = alerts(&pipeline);
        for name in ["x", "mean(x) of shop over 5s"] {
            let found: Vec<u64> = seen
                .iter()
                .filter(|(detector, what, _)| *detector == wanted && what == name)
                .map(|(.., scored)| *scored)
                .collect();
            // Once: the new values are usual by then.
            assert!(matches!(found[..], [scored] if (at..at + 1600).contains(&scored)), "{seen:?}");
        }
        let is_known = |what: &String| what.contains('x') || what == "score";
        assert!(seen.iter().all(|(_, what, _)| is_known(what)), "{seen:?}");
    }
}

#[test]
fn neither_cuts_nor_restarts_show() {
    for (step_rows, change) in [(1, Change::Features(6000)), (50, Change::Concept(6000))] {
        let config = config(&format!("learn.step_rows = {step_rows}"));
        let records = records(80, 10_000, change);
        let whole = run(&config, &records, 4096, || false);
        assert!(alerts(&whole).len() >= 2, "{:?}", alerts(&whole));
        let mut random = Random::new(81);
        for cut in [1, 7, 256] {
            let moved =
                run(&config, &records, cut, || random.per_mille(if cut == 1 { 2 } else { 40 }));
            assert_eq!(alerts(&moved), alerts(&whole), "cut {cut}");
            for ((name, own), other) in SECTIONS.iter().zip(save(&moved)).zip(save(&whole)) {
                assert!(own == other, "section {name}, cut {cut}");
            }
        }
    }
}

#[test]
fn a_flood_of_alerts_is_bounded() {
    // Everything is an alert, whenever it is looked at.
    let eager = "psi = 0.0, ks_distance = 0.0, ks_significance = 1.0, renew = 'never'";
    let base = CONFIG.replace("cool_down = '5s'", &format!("cool_down = '1s', {eager}"));
    let config = Config::parse(&base).unwrap_or_else(|problems| panic!("{problems}"));
    let records = records(90, 60_000, Change::None);
    let pipeline = run(&config, &records, 256, || false);
    let seen = alerts(&pipeline);
    // What stands above its limit is told once.
    assert!(seen.len() <= 4 * 2, "{seen:?}");
    let base = base.replace("renew = 'never'", "reference_windows = 1").replace("'1s'", "'0s'");
    let base = base.replace("'16s'", "'1s'").replace("400", "80");
    let config = Config::parse(&base).unwrap_or_else(|problems| panic!("{problems}"));
    let drift = run(&config, &records, 256, || false);
    let alerts = drift.learner().drift().alerts();
    assert_eq!(alerts.kept().count(), ALERTS_MAX);
    assert!(alerts.total() > ALERTS_MAX as u64);
    let counted: u64 = drift.learner().drift().counts().map(|(.., count)| count).sum();
    assert_eq!(counted, alerts.total());
    assert!(alerts.kept().map(|alert| alert.time_ms).is_sorted());
}

#[test]
fn what_is_not_watched_costs_nothing_and_says_nothing() {
    let base = CONFIG.replace("drift = {", "drift = { action = 'off',");
    let off = Config::parse(&base).unwrap_or_else(|problems| panic!("{problems}"));
    let records = records(95, 4000, Change::Features(2000));
    let pipeline = run(&off, &records, 256, || false);
    assert_eq!(alerts(&pipeline), []);
    assert_eq!(pipeline.learner().drift().standings().count(), 0);
    let at = SECTIONS.iter().position(|name| *name == "drift").expect("a section");
    assert_eq!(save(&pipeline)[at].len(), 8, "no more than the length of no settings");
    // It may be turned on over a state that was written without it, and the other way round.
    let (on, watched) = (config(""), run(&config(""), &records, 256, || false));
    for (config, saved) in [(&on, save(&pipeline)), (&off, save(&watched))] {
        let mut pipeline = Pipeline::new(config).expect("a possible configuration");
        for (name, bytes) in SECTIONS.iter().zip(&saved) {
            pipeline.read_section(name, &mut &bytes[..]).expect("passed over");
        }
        assert_eq!(pipeline.learner().drift().alerts().total(), 0);
    }
}
