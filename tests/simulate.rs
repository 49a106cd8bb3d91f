//! Thousands of simulated histories of crashes, and engines that are broken on purpose: the
//! simulation must find each of them.
//!
//! `PELTON_SEED` sets the first seed (default 1), `PELTON_SEEDS` how many are lived through
//! (default 3000). A failure prints the command that shows it again.

use pelton::simulate::{Flaw, Plan, Summary, simulate, simulate_all};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
fn every_history_keeps_the_promises() {
    let (seed, count) = (number("PELTON_SEED", 1), number("PELTON_SEEDS", 3000));
    println!("PELTON_SEED={seed} PELTON_SEEDS={count}");
    let lived = simulate_all(Plan::new(seed), count, &|_, _| {});
    let summary = lived.unwrap_or_else(|failure| {
        let again = format!("pelton simulate --seed {} --verbose", failure.seed);
        panic!("seed {}: {}; again: {again}", failure.seed, failure.what)
    });
    println!("{summary:?}");
    // So many histories have seen everything that can go wrong; few of them would not have.
    if count >= 1000 {
        let Summary { process_deaths, machine_deaths, errors, stops, .. } = summary;
        let Summary { resumed, fallbacks, refusals, exact, .. } = summary;
        let seen = [process_deaths, machine_deaths, errors, stops, resumed, fallbacks, refusals];
        assert!(seen.iter().all(|&times| times > count / 50), "{summary:?}");
        assert!(exact > count / 3 && exact < count, "{summary:?}");
    }
}

#[test]
fn a_history_is_its_seed() {
    for seed in 1..20 {
        assert_eq!(simulate(Plan::new(seed)), simulate(Plan::new(seed)), "seed {seed}");
    }
}

/// Each flaw, and words of what it must be found by.
const FLAWS: [(Flaw, &[&str]); 7] = [
    (Flaw::ForgetsOrder, &["instead of", "which has none"]),
    (Flaw::DoesNotFlush, &["none of", "records of"]),
    (Flaw::CutsWhileLed, &["instead of", "which has none"]),
    (Flaw::SkipsARecord, &["was read to"]),
    (Flaw::SendsAgain, &["records of"]),
    (Flaw::DoesNotSettle, &["records of"]),
    (Flaw::KeepsTornEntry, &["instead of", "which has none"]),
];

/// A broken engine is found within so many seeds.
const SEEDS_MAX: u64 = 400;

#[test]
fn a_broken_engine_is_found() {
    for (flaw, words) in FLAWS {
        let plan = Plan { flaw: Some(flaw), ..Plan::new(1) };
        let Err(failure) = simulate_all(plan, SEEDS_MAX, &|_, _| {}) else {
            panic!("{flaw:?} goes unseen");
        };
        println!("{flaw:?}: seed {}: {}", failure.seed, failure.what);
        assert!(words.iter().any(|word| failure.what.contains(word)), "{flaw:?}: {failure:?}");
        let sound = simulate(Plan::new(failure.seed));
        assert!(sound.is_ok(), "{flaw:?} must be the only flaw: {sound:?}");
    }
}
