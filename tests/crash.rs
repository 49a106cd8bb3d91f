//! The driver of the crash tests: a stream of known records, and a program that dies on the way.
//!
//! The job is the real program as a child process on a real broker. It is killed at random moments
//! and at fail points between any two outside effects, started again each time, and allowed to
//! finish at last. The verifier then reads everything the outside has seen. The oracle is the same
//! program, led once through the whole recorded order from the empty state, without a crash.
//!
//! `PELTON_KILLS` sets how often it is killed (default once for each place).

pub mod job;
pub mod verifier;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::kafka::world::{self, Writer};
use crate::support::Random;
use job::{Death, Job, World};

/// What the driver has written.
#[derive(Default)]
pub struct Written {
    /// Event records, bad ones included.
    pub events: u64,
    /// Bad event records.
    pub bad: u64,
    /// Event records that the filter leaves out.
    pub filtered: u64,
}

/// Writes events and labels at a few thousand a second until it is told to end.
pub fn drive(world: &World, mut random: Random, end: &AtomicBool) -> Written {
    let writer = Writer::new(&world.brokers);
    let mut written = Written::default();
    let mut waiting: Vec<(u64, i32, String)> = Vec::new();
    for tick in 0_u64.. {
        let time_ms = 1_600_000_000_000 + tick * 1000;
        let mut records = Vec::new();
        for _ in 0..20 {
            let id = written.events;
            let (card, terminal) = (random.below(40), random.below(60));
            let partition = (card % world.partitions) as i32;
            let amount = random.below(30_000) as f64 / 100.0;
            let body = match random.below(100) {
                0 => format!("{{\"id\":{id},\"time\":{time_ms},\"amount\":\"x\"}}"),
                1 => "not JSON".to_owned(),
                kind => {
                    let shop = if kind < 5 { "test" } else { "real" };
                    written.filtered += u64::from(kind < 5);
                    let label = u8::from(amount > 250.0 || (card == 7 && random.below(2) == 0));
                    let due = tick + random.below(12);
                    let label = format!("{{\"id\":{id},\"time\":{time_ms},\"label\":{label}}}");
                    let to = match world.are_keyed_alike {
                        true => partition,
                        false => random.below(world.partitions) as i32,
                    };
                    waiting.push((due, to, label.clone()));
                    if random.per_mille(20) {
                        waiting.push((due + 3, to, label));
                    }
                    format!(
                        "{{\"id\":{id},\"time\":{time_ms},\"amount\":{amount},\"card\":{card},\
                         \"terminal\":{terminal},\"shop\":\"{shop}\"}}"
                    )
                }
            };
            written.bad += u64::from(!body.contains("shop"));
            written.events += 1;
            records.push((world.events.as_str(), partition, body));
        }
        let due = |entry: &mut (u64, i32, String)| entry.0 <= tick;
        for (_, to, label) in waiting.extract_if(.., due) {
            records.push((world.labels.as_str(), to, label));
        }
        writer.write_all(records);
        if end.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    written
}

/// Places between two outside effects, and how often each is passed before it strikes.
const PLACES: [(&str, u64); 11] = [
    ("compute::noted", 40),
    ("order::half_written", 40),
    ("emit::scores_sent", 40),
    ("emit::flushed", 4),
    ("checkpoint::before", 4),
    ("checkpoint::created", 4),
    ("checkpoint::half_written", 4),
    ("checkpoint::written", 4),
    ("checkpoint::synced", 4),
    ("checkpoint::renamed", 4),
    ("nowhere", 1),
];

/// The same where scores and dead letters go out in transactions.
const PLACES_IN_TRANSACTIONS: [(&str, u64); 4] = [
    ("emit::scores_sent", 40),
    ("emit::commit", 20),
    ("emit::flushed", 4),
    ("checkpoint::renamed", 4),
];

#[test]
fn killed_again_and_again_it_scores_as_if_nothing_had_happened() {
    kill_at(&PLACES, "");
}

/// On a broker that hides what was aborted this is what a reader at `read_committed` sees; one that
/// shows it must not be sent it again either.
#[test]
fn killed_in_transactions_it_scores_as_if_nothing_had_happened() {
    kill_at(&PLACES_IN_TRANSACTIONS, "exactly_once = \"transactions\"\ncommit_every = \"20ms\"");
}

fn kill_at(places: &[(&'static str, u64)], emit: &str) {
    let Some(brokers) = world::brokers() else { return };
    if !cfg!(feature = "failpoints") {
        println!("SKIPPED: the crash test needs --features failpoints");
        return;
    }
    let kills =
        std::env::var("PELTON_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(places.len());
    let mut random = Random::new(1);
    let world = World::new(&brokers, 2, false);
    let end = Arc::new(AtomicBool::new(false));
    let driver = {
        let (world, end, seed) = (world.clone(), Arc::clone(&end), random.below(1 << 40));
        std::thread::spawn(move || drive(&world, Random::new(seed), &end))
    };
    let job = Job::new(&world, emit);
    let mut deaths = BTreeMap::new();
    for life in 0..kills {
        let (place, passes) = places[life % places.len()];
        let point = format!("{place}={}:die", 1 + random.below(passes));
        // A life without a point of its own is killed wherever it is; the others get there.
        let patience = match place {
            "nowhere" => Duration::from_millis(700 + random.below(1500)),
            _ => Duration::from_secs(20),
        };
        let died = job.live_and_die(&point, patience) == Death::AtThePoint;
        *deaths.entry(if died { place } else { "killed" }).or_insert(0) += 1;
    }
    end.store(true, Ordering::Relaxed);
    let written = driver.join().expect("the driver does not fail");
    let report = job.finish();
    println!("deaths: {deaths:?}, {} events", written.events);
    assert!(deaths.len() >= places.len().min(kills), "places were not reached: {deaths:?}");
    assert_eq!(report["events"], written.events, "{report}");
    assert_eq!(report["dead_letters"], written.bad, "{report}");
    assert_eq!(report["filtered"], written.filtered, "{report}");
    verifier::verify(&world, &job, &report);
}
