//! The whole state as bytes: a run that is cut there and goes on in another pipeline shows nothing
//! of it, to the last bit, whatever is configured; damaged bytes are refused or read, never worse.

/// The largest piece of memory a thread has asked for.
pub mod memory;
/// Configurations and streams that reach into every corner of the state.
mod world;

use pelton::config::Config;
use pelton::error::{Actor, Error};
use pelton::metrics::Totals;
use pelton::pipeline::{Pipeline, SECTIONS};
use pelton::ring::Slot;

use crate::support::{Feed, Random, Record, Trace};
use world::World;

/// Every section, in their order.
type Saved = Vec<Vec<u8>>;

fn save(pipeline: &Pipeline) -> Saved {
    let section = |name: &&str| {
        let mut bytes = Vec::new();
        pipeline.write_section(name, &mut bytes).expect("a vector takes all bytes");
        bytes
    };
    SECTIONS.iter().map(section).collect()
}

fn load(config: &Config, saved: &Saved) -> Pipeline {
    let mut pipeline = Pipeline::new(config).expect("a possible configuration");
    for (name, bytes) in SECTIONS.iter().zip(saved) {
        pipeline.read_section(name, &mut &bytes[..]).expect("own bytes");
    }
    pipeline
}

/// Everything a run has shown, its state before the end of the stream, and its totals.
#[derive(PartialEq)]
struct Run {
    trace: Trace,
    counts: String,
    saved: Saved,
    totals: Totals,
}

/// Runs the stream in batches of `cut` rows; `moves` says before which batches the state moves
/// into another pipeline.
fn run(
    config: &Config,
    records: &[Record],
    cut: usize,
    mut moves: impl FnMut(usize) -> bool,
) -> Run {
    let mut pipeline = Pipeline::new(config).expect("a possible configuration");
    let (mut trace, mut totals) = (Trace::default(), Totals::default());
    let mut slot = Slot::new(&config.event.schema, cut);
    let mut feed = Feed::new(config, records);
    for batch in 0.. {
        if moves(batch) {
            let saved = save(&pipeline);
            pipeline = load(config, &saved);
            assert!(save(&pipeline) == saved, "what was read is written the same");
            totals = reload(&totals);
        }
        if !feed.next_batch(&mut slot) {
            break;
        }
        pipeline.step(&mut slot).expect("data never ends a run");
        totals.add(&slot);
        trace.add(&slot, &pipeline);
    }
    assert!(totals.balances(), "{totals:?}");
    let saved = save(&pipeline);
    assert!(save(&pipeline) == saved, "the same state is written the same");
    pipeline.finish().expect("data never ends a run");
    trace.end(&pipeline);
    Run { trace, counts: counts(&pipeline), saved, totals }
}

fn reload(totals: &Totals) -> Totals {
    let mut bytes = Vec::new();
    totals.write_state(&mut bytes).expect("a vector takes all bytes");
    Totals::read_state(&mut &bytes[..]).expect("own bytes")
}

/// Every counter of every stage, but for the keys that windows have yet to forget.
fn counts(pipeline: &Pipeline) -> String {
    let windows: Vec<_> = pipeline.features().window_gauges().map(|gauge| gauge.counts).collect();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {} {}",
        pipeline.clean().counts().collect::<Vec<_>>(),
        pipeline.join().counts(),
        windows,
        pipeline.learner().counts(),
        pipeline.learner().evaluator().counts(),
        pipeline.learner().evaluator().trailing(),
        pipeline.join().label_delay_ms(),
        pipeline.join().pending().len(),
    )
}

fn assert_equal(found: &Run, expected: &Run, what: &str) {
    for (index, name) in SECTIONS.iter().enumerate() {
        assert!(found.saved[index] == expected.saved[index], "{what}: section {name} differs");
    }
    assert_eq!(found.counts, expected.counts, "{what}");
    assert_eq!(found.totals, expected.totals, "{what}");
    assert!(found.trace == expected.trace, "{what}: the traces differ");
}

#[test]
fn a_state_goes_on_elsewhere_to_the_last_bit() {
    let mut random = Random::new(31);
    for round in 0..24 {
        let world = World::new(&mut random, round);
        let config = world.config();
        let records = world.records(&mut random, 1200);
        let cut = [1, 16, 64, 256][random.below(4) as usize];
        let whole = run(&config, &records, cut, |_| false);
        let per_mille = if cut == 1 { 30 } else { 300 };
        let moved = run(&config, &records, cut, |_| random.per_mille(per_mille));
        assert_equal(&moved, &whole, &format!("moved, cut {cut}, {}", world.text));
        // What is written does not depend on how the stream was cut into batches either.
        let other = run(&config, &records, 100, |batch| batch == 5);
        assert_equal(&other, &whole, &format!("cut 100, not {cut}, {}", world.text));
    }
}

/// The streams of the other tests are only worth something if all of this happens in them.
#[test]
fn the_worlds_reach_every_corner() {
    let mut random = Random::new(32);
    let mut seen = pelton::join::JoinCounts::default();
    let (mut clipped, mut imputed, mut evicted_keys, mut corrected) = (0, 0, 0, 0);
    let mut reasons = std::collections::BTreeSet::new();
    for round in 0..24 {
        let world = World::new(&mut random, round);
        let config = world.config();
        let records = world.records(&mut random, 1200);
        let mut pipeline = Pipeline::new(&config).expect("a possible configuration");
        let mut slot = Slot::new(&config.event.schema, 64);
        let mut feed = Feed::new(&config, &records);
        while feed.next_batch(&mut slot) {
            pipeline.step(&mut slot).expect("data never ends a run");
            reasons.extend(slot.rejects.iter().map(|reject| reject.reason));
        }
        let counts = pipeline.join().counts();
        seen.joined += counts.joined;
        seen.duplicates += counts.duplicates;
        seen.contradictions += counts.contradictions;
        seen.orphans += counts.orphans;
        seen.orphans_expired += counts.orphans_expired;
        seen.unlabelled += counts.unlabelled;
        seen.assumed += counts.assumed;
        seen.confirmed += counts.confirmed;
        seen.corrected += counts.corrected;
        seen.evicted += counts.evicted;
        seen.quarantined += counts.quarantined;
        seen.returned += counts.returned;
        clipped += pipeline.clean().counts().map(|(_, counts)| counts.clipped).sum::<u64>();
        imputed += pipeline.clean().counts().map(|(_, counts)| counts.imputed).sum::<u64>();
        let gauges = pipeline.features().window_gauges();
        evicted_keys += gauges.map(|gauge| gauge.counts.evicted_keys).sum::<u64>();
        let judged = pipeline.learner().evaluator().counts();
        corrected += judged.corrected;
        assert_eq!(judged.late_for_groups, 0, "a day was folded before its time");
    }
    let text = format!("{seen:?} {clipped} {imputed} {evicted_keys} {corrected}");
    assert!(!text.split([' ', ',']).any(|word| word == "0"), "{text}");
    use pelton::ring::Reason;
    for reason in [Reason::Late, Reason::Ahead, Reason::Duplicate, Reason::OutOfRange] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
}

#[test]
fn damaged_bytes_are_an_error_or_a_state() {
    let mut random = Random::new(33);
    for round in 0..6 {
        let world = World::new(&mut random, round);
        let config = world.config();
        let records = world.records(&mut random, 400);
        let saved = run(&config, &records, 50, |_| false).saved;
        for (name, bytes) in SECTIONS.iter().zip(&saved) {
            let mut pipeline = Pipeline::new(&config).expect("a possible configuration");
            let intact = memory::largest_of(|| {
                pipeline.read_section(name, &mut &bytes[..]).expect("own bytes");
            });
            // Beyond its own size, a damaged tag may ask for the histogram of scores, 8 MB.
            let largest_max = 4 * intact.max(bytes.len()) + (9 << 20);
            for _ in 0..150 {
                let damaged = damage(&mut random, bytes);
                let largest = memory::largest_of(|| {
                    let read = pipeline.read_section(name, &mut &damaged[..]);
                    assert!(
                        damaged.len() == bytes.len() || read.is_err(),
                        "{name}: another length"
                    );
                });
                assert!(largest <= largest_max, "{name}: {largest} bytes at once");
            }
        }
    }
}

/// Cut short, with a byte too many, or with some bits turned.
fn damage(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    match random.below(8) {
        0 => damaged.truncate(random.below(bytes.len() as u64) as usize),
        1 => damaged.push(random.below(256) as u8),
        kind => {
            // Lengths and marks are near the beginning, and matter most.
            let near = if kind < 5 { bytes.len().min(200) } else { bytes.len() };
            for _ in 0..=random.below(3) {
                let at = random.below(near as u64) as usize;
                damaged[at] ^= 1 << random.below(8);
            }
        }
    }
    damaged
}

#[test]
fn a_state_of_another_configuration_is_refused() {
    let text = "event = { id = 'id', time = 't' }\nfields.a.type = 'number'\n\
                features = [{ number = 'a' }]\n";
    let parse = |text: &str| Config::parse(text).expect("a valid configuration");
    let text = &format!("model.kind = 'linear'\n{text}");
    let saved = save(&Pipeline::new(&parse(text)).expect("a possible configuration"));
    let refused = |other: &str, section: &str| {
        let mut pipeline = Pipeline::new(&parse(other)).expect("a possible configuration");
        let at = SECTIONS.iter().position(|name| *name == section).expect("a section");
        let error = pipeline.read_section(section, &mut &saved[at][..]).expect_err(other);
        assert!(matches!(&error, Error::State { section: named, .. } if named == section));
        assert_eq!(error.actor(), Actor::Outside);
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        println!("{error}: {cause}");
    };
    refused(&text.replace("{ number", "{ calendar = ['night'] }, { number"), "features");
    refused(&text.replace("{ number", "{ calendar = ['night'] }, { number"), "join");
    refused(&format!("transform.standardize = false\n{text}"), "features");
    refused(&format!("fields.b.type = 'number'\n{text}"), "clean");
    refused(&format!("fields.a.clip_quantiles = [0.1, 0.9]\n{text}"), "clean");
    refused(&format!("model.optimizer = 'ftrl'\n{text}"), "model");
    refused(&format!("evaluate.metrics = ['brier']\n{text}"), "evaluate");
    refused(&text.replace("{ number", "{ calendar = ['night'] }, { number"), "learn");
    let mut pipeline = Pipeline::new(&parse(text)).expect("a possible configuration");
    assert!(pipeline.read_section("weights", &mut &[][..]).is_err());
    assert!(pipeline.write_section("weights", &mut Vec::new()).is_err());
}
