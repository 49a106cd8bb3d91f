//! Labels gone wrong: learning pauses, the model goes back, labels are put aside and come again,
//! and none of it depends on cuts or survives less than a restart.

use pelton::config::Config;
use pelton::config::guard::{Action, GuardConfig};
use pelton::pipeline::{Pipeline, SECTIONS};
use pelton::ring::{QuarantinedLabel, Slot};

use crate::support::{Feed, Random, Record};

const CONFIG: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'y', time = 't', horizon = '40s' }
    fields.x = { type = 'number' }
    fields.shop = { type = 'category' }
    features = [{ number = 'x' }, { category = 'shop' }]
    dead_letters.topic = 'dead'
    guard = { window_labels = 160, warm_up_windows = 4, cool_down_labels = 200 }";

fn config(more: &str) -> Config {
    Config::parse(&format!("{more}\n{CONFIG}")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The same with another guard.
fn guarded(change: impl FnOnce(&mut GuardConfig)) -> Config {
    let mut config = config("");
    change(&mut config.guard);
    config
}

/// Payments with labels a little later; those of the ids in `flipped` say the opposite. The times
/// are in the order of the records, a label before the event of its time.
pub fn records(seed: u64, count: u64, flipped: std::ops::Range<u64>) -> Vec<Record> {
    let mut random = Random::new(seed);
    let mut records = Vec::new();
    let mut due: Vec<(u64, String)> = Vec::new();
    for id in 0..count {
        let now_ms = time_ms(id);
        while due.first().is_some_and(|(at, _)| *at <= id) {
            records.push(Record::Label(due.remove(0).1));
        }
        let x = random.below(2000) as f64 / 100.0 - 10.0;
        let shop = random.below(7);
        records
            .push(Record::Event(format!(r#"{{"id":{id},"t":{now_ms},"x":{x},"shop":"s{shop}"}}"#)));
        let chance = if x + shop as f64 > 3.0 { 970 } else { 30 };
        let truth = random.per_mille(chance) != flipped.contains(&id);
        // Some come in the same breath, some never, and their order is not that of the events.
        if random.per_mille(950) {
            let at = (id + random.below(30)).max(id + 1);
            due.push((at, label(id, time_ms(at), truth)));
            due.sort_by_key(|(at, _)| *at);
        }
    }
    records
}

fn time_ms(id: u64) -> u64 {
    1_600_000_000_000 + id * 10
}

fn label(id: u64, time_ms: u64, truth: bool) -> String {
    format!(r#"{{"id":{id},"t":{time_ms},"y":{truth}}}"#)
}

/// What a run has shown.
#[derive(Default, PartialEq)]
struct Seen {
    scores: Vec<u32>,
    quarantined: Vec<QuarantinedLabel>,
    saved: Vec<Vec<u8>>,
}

fn save(pipeline: &Pipeline) -> Vec<Vec<u8>> {
    let section = |name: &&str| {
        let mut bytes = Vec::new();
        pipeline.write_section(name, &mut bytes).expect("a vector takes all bytes");
        bytes
    };
    SECTIONS.iter().map(section).collect()
}

fn load(config: &Config, saved: &[Vec<u8>]) -> Pipeline {
    let mut pipeline = Pipeline::new(config).expect("a possible configuration");
    for (name, bytes) in SECTIONS.iter().zip(saved) {
        pipeline.read_section(name, &mut &bytes[..]).expect("own bytes");
    }
    pipeline
}

/// Runs the records in batches of `cut`, moved into another pipeline where `moves` says so.
fn run(
    config: &Config,
    records: &[Record],
    cut: usize,
    mut moves: impl FnMut() -> bool,
) -> (Seen, Pipeline) {
    let mut pipeline = Pipeline::new(config).expect("a possible configuration");
    let mut seen = Seen::default();
    let mut slot = Slot::new(&config.event.schema, cut);
    let mut feed = Feed::new(config, records);
    while feed.next_batch(&mut slot) {
        if moves() {
            let saved = save(&pipeline);
            pipeline = load(config, &saved);
            assert!(save(&pipeline) == saved, "what was read is written the same");
        }
        pipeline.step(&mut slot).expect("data never ends a run");
        seen.scores.extend(slot.scores.iter().map(|score| score.to_bits()));
        seen.quarantined.append(&mut slot.quarantined);
    }
    seen.saved = save(&pipeline);
    (seen, pipeline)
}

#[test]
fn a_span_of_flipped_labels_leaves_no_trace_in_the_model() {
    let config = config("");
    let records = records(31, 6000, 4000..4400);
    let (seen, pipeline) = run(&config, &records, 64, || false);
    let (learner, counts) = (pipeline.learner(), pipeline.join().counts());
    assert_eq!(learner.guard().counts().trips_total(), 1);
    assert!(!learner.guard().is_paused(), "it has recovered");
    assert_eq!(counts.quarantined, seen.quarantined.len() as u64);
    let judged = learner.evaluator().counts().judged;
    assert_eq!(judged, counts.joined, "every label judges");
    let learned = learner.counts();
    assert_eq!(learned.learned - learned.unlearned + counts.quarantined, counts.joined);
    let offsets: Vec<i64> = seen.quarantined.iter().map(|label| label.offset).collect();
    assert!(offsets.is_sorted(), "in the order in which they were read");
    let numbers = seen.quarantined.iter().map(|label| label.number);
    assert!(numbers.eq(0..seen.quarantined.len() as u64));
    for label in &seen.quarantined {
        let Record::Label(record) = &records[label.offset as usize] else { panic!("an event") };
        assert_eq!((record.as_bytes(), label.span), (&label.bytes[..], 1), "to the last byte");
        assert_eq!(
            label.envelope.key.as_deref(),
            Some(&format!("key {}", label.offset % 5).into_bytes()[..])
        );
    }
    // The same stream without these labels makes the same model.
    let without: Vec<Record> = (0..)
        .zip(&records)
        .filter(|(offset, _)| !offsets.contains(offset))
        .map(|(_, record)| record.clone())
        .collect();
    let off = guarded(|guard| guard.action = Action::Off);
    let (_, other) = run(&off, &without, 64, || false);
    assert_eq!(learner.model_digest().ok(), other.learner().model_digest().ok());
}

#[test]
fn neither_cuts_nor_restarts_show() {
    for step_rows in [1, 50] {
        let config = config(&format!("learn.step_rows = {step_rows}"));
        let records = records(32, 5000, 3000..3500);
        let (whole, pipeline) = run(&config, &records, 4096, || false);
        assert!(pipeline.learner().guard().counts().trips_total() > 0);
        assert!(!whole.quarantined.is_empty());
        let mut random = Random::new(33);
        for cut in [1, 7, 256] {
            let (seen, _) = run(&config, &records, cut, || random.per_mille(40));
            assert!(seen.scores == whole.scores, "scores, cut {cut}, step {step_rows}");
            assert!(seen.quarantined == whole.quarantined, "labels, cut {cut}");
            for (name, (own, other)) in SECTIONS.iter().zip(seen.saved.iter().zip(&whole.saved)) {
                assert!(own == other, "section {name}, cut {cut}, step {step_rows}");
            }
        }
    }
}

#[test]
fn labels_put_aside_come_again_and_count_once() {
    let config = config("");
    let mut records = records(34, 6000, 4000..4400);
    let (seen, before) = run(&config, &records, 64, || false);
    let put_aside = seen.quarantined.len() as u64;
    assert!(put_aside > 400, "{put_aside}");
    // They come again, put right where they were wrong, and then a third time.
    for _ in 0..2 {
        for label in &seen.quarantined {
            let text = String::from_utf8(label.bytes.clone()).expect("a text");
            let id: u64 =
                text[6..].split(',').next().and_then(|id| id.parse().ok()).expect("an id");
            let is_wrong = (4000..4400).contains(&id);
            let text = if is_wrong { flip(&text) } else { text };
            records.push(Record::Label(text));
        }
    }
    let (again, after) = run(&config, &records, 64, || false);
    assert_eq!(again.quarantined.len() as u64, put_aside, "none is put aside again");
    let (was, counts) = (before.join().counts(), after.join().counts());
    assert_eq!(counts.returned, put_aside, "each finds its event");
    assert_eq!(counts.duplicates, was.duplicates + put_aside, "and once only");
    assert_eq!(counts.joined, was.joined);
    let learned = after.learner().counts().learned;
    assert_eq!(learned, before.learner().counts().learned + put_aside);
    let judged = |pipeline: &Pipeline| pipeline.learner().evaluator().counts();
    assert_eq!(judged(&after).judged, judged(&before).judged, "nothing is judged twice");
    assert!(judged(&after).corrected > 300, "what was wrong is judged anew");
}

/// The same label, which says the opposite.
pub fn flip(label: &str) -> String {
    match label.contains("true") {
        true => label.replace("true", "false"),
        false => label.replace("false", "true"),
    }
}

#[test]
fn an_event_whose_time_is_over_is_not_waited_for() {
    let config = config("");
    let mut records = records(35, 6000, 4000..4400);
    let (seen, _) = run(&config, &records, 64, || false);
    // A minute passes.
    records.push(Record::Event(r#"{"id":9999,"t":1600000160000,"x":1,"shop":"s1"}"#.to_owned()));
    let (_, mut pipeline) = run(&config, &records, 7, || true);
    assert_eq!(pipeline.join().pending().len(), 1);
    let labels: Vec<Record> = seen
        .quarantined
        .iter()
        .map(|label| Record::Label(String::from_utf8(label.bytes.clone()).expect("a text")))
        .collect();
    let (mut slot, mut feed) = (Slot::new(&config.event.schema, 64), Feed::new(&config, &labels));
    while feed.next_batch(&mut slot) {
        pipeline.step(&mut slot).expect("data never ends a run");
    }
    assert_eq!(pipeline.join().counts().returned, 0);
    assert_eq!(pipeline.join().orphans_waiting(), labels.len());
}

#[test]
fn a_warning_changes_nothing_and_other_settings_begin_anew() {
    let records = records(36, 5000, 4000..4400);
    let warns = guarded(|guard| guard.action = Action::Warn);
    let off = guarded(|guard| guard.action = Action::Off);
    let (warned, pipeline) = run(&warns, &records, 64, || false);
    assert!(pipeline.learner().guard().counts().trips_total() > 0);
    let (plain, _) = run(&off, &records, 64, || false);
    assert!(warned.scores == plain.scores && warned.quarantined.is_empty());
    let paused = &run(&config(""), &records[..8400], 64, || false).1;
    assert!(paused.learner().guard().is_paused(), "{:?}", paused.learner().guard().bands());
    let other = guarded(|guard| guard.deviations = 7.0);
    let moved = load(&other, &save(paused));
    assert!(!moved.learner().guard().is_paused(), "a guard of other settings is closed");
    assert_eq!(moved.learner().model_digest().ok(), paused.learner().model_digest().ok());
}
