//! Several instances of the real program in one group, on a real broker: they join, drain, are
//! killed, and stand still until the group has given them up, while events, labels and bad records
//! are written. At the end one instance alone reads what is left.
//!
//! The oracle is one more instance, led through each partition's whole recorded order from the
//! empty state: every score and dead letter must be in its topic once and be the oracle's, and
//! every partition's model, counts and metrics too.
//!
//! `PELTON_KILLS` sets how often the group is disturbed (default 8).

mod fleet;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pelton::error::Actor;
use pelton::source::kafka::membership::Membership;

use crate::crash::job::World;
use crate::crash::{drive, verifier};
use crate::kafka::topics::read_topic;
use crate::kafka::world;
use crate::support::Random;
use fleet::Fleet;

const PARTITIONS: u64 = 6;
const INSTANCES_MAX: usize = 3;
/// Longer than the group waits for a member.
const FREEZE: Duration = Duration::from_millis(6000);

/// What happens to the group, again and again.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Join,
    Leave,
    Freeze,
    Kill,
}

const COURSE: [Disturbance; 8] = [
    Disturbance::Join,
    Disturbance::Freeze,
    Disturbance::Kill,
    Disturbance::Join,
    Disturbance::Leave,
    Disturbance::Kill,
    Disturbance::Join,
    Disturbance::Freeze,
];

#[test]
fn state_follows_its_partition_whatever_becomes_of_the_instances() {
    let Some(brokers) = world::brokers() else { return };
    let count = std::env::var("PELTON_KILLS").ok().and_then(|n| n.parse().ok());
    let mut random = Random::new(2);
    let world = World::new(&brokers, PARTITIONS, true);
    let end = Arc::new(AtomicBool::new(false));
    let driver = {
        let (world, end, seed) = (world.clone(), Arc::clone(&end), random.below(1 << 40));
        std::thread::spawn(move || drive(&world, Random::new(seed), &end))
    };
    let mut fleet = Fleet::new(&world);
    fleet.join();
    fleet.join();
    for turn in 0..count.unwrap_or(COURSE.len()) {
        // Some disturbances come upon another, most when all has been taken over.
        if random.below(4) > 0 {
            fleet.settle();
        }
        std::thread::sleep(Duration::from_millis(random.below(2500)));
        fleet.check();
        disturb(&mut fleet, COURSE[turn % COURSE.len()], &mut random);
    }
    fleet.settle();
    std::thread::sleep(Duration::from_secs(1));
    end.store(true, Ordering::Relaxed);
    let written = driver.join().expect("the driver does not fail");
    while fleet.count() > 0 {
        fleet.leave(0);
    }
    let mut by_the_fleet = 0;
    read_topic(&brokers, &world.scores, |_, _| by_the_fleet += 1);
    let report = fleet.finish();
    println!("{} events, {by_the_fleet} scored by the fleet", written.events);
    assert!(by_the_fleet * 2 > written.events, "most is left to the last one");
    assert_eq!(report["events"], written.events, "{report}");
    assert_eq!(report["dead_letters"], written.bad, "{report}");
    assert_eq!(report["filtered"], written.filtered, "{report}");
    let (oracle, scores, letters) = fleet.oracle();
    for partition in 0..PARTITIONS {
        let of = |report: &serde_json::Value, key| {
            report["partitions"][partition.to_string()][key].clone()
        };
        for key in [
            "events",
            "scored",
            "dead_letters",
            "filtered",
            "labels",
            "model_digest",
            "score_digest",
            "metrics",
        ] {
            assert_eq!(of(&report, key), of(&oracle, key), "{key} of partition {partition}");
        }
    }
    for key in ["events", "labels", "model_digest", "score_digest"] {
        assert_eq!(report[key], oracle[key], "{key}");
    }
    verifier::assert_sent(&world, &scores, &letters, &report);
}

#[test]
fn topics_that_do_not_go_together_are_refused_at_the_start() {
    let Some(brokers) = world::brokers() else { return };
    let (events, labels) = (world::topic(&brokers, "six", 6), world::topic(&brokers, "two", 2));
    let what = world::subscription(&[&events], Some(&labels));
    let error = Membership::join(&world::config(&brokers, &[]), &what).err();
    let error = error.expect("six are not two");
    assert_eq!(error.actor(), Actor::User);
    let text = error.to_string();
    assert!(text.contains("has 6 partitions") && text.contains(&labels), "{text}");
}

/// There are two instances at least, and three at most.
fn disturb(fleet: &mut Fleet, disturbance: Disturbance, random: &mut Random) {
    println!("{disturbance:?} of {}", fleet.count());
    let victim = random.below(fleet.count() as u64) as usize;
    match disturbance {
        Disturbance::Join if fleet.count() < INSTANCES_MAX => fleet.join(),
        Disturbance::Join | Disturbance::Freeze => fleet.freeze(victim, FREEZE),
        Disturbance::Leave => fleet.leave(victim),
        Disturbance::Kill => fleet.kill(victim),
    }
    if fleet.count() < 2 {
        fleet.join();
    }
}
