//! The hand-over between the threads of a run, checked under thousands of schedules.
//!
//! A model of `engine/run.rs`, `engine/ring.rs` and the thread of `engine/checkpoint/writer.rs`:
//! the same loops around the same channels, with numbers for batches and the scheduler of shuttle
//! for the system's. Whatever a stage computes is left out. What is claimed, with a failure
//! anywhere or a stop at any moment: every thread ends (shuttle reports a deadlock), no slot is in
//! two places, what was read is sent, in order, and a checkpoint is written only behind what it
//! covers. Each claim is shown to fail when the line that keeps it is taken out ([`Flaw`]).
//!
//! `PELTON_SCHEDULES` sets how many schedules each case runs (default 400 of each kind). A failure
//! prints the schedule, which `shuttle::replay` runs again.

mod stages;

use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use stages::{Flaw, Plan, Stage, check};

/// Steps of a schedule that ends; one that goes round in circles is cut off there.
const STEPS_MAX: usize = 20_000;

/// Runs a plan under schedules that are drawn evenly, and under such that keep a thread waiting as
/// long as they can.
fn explore(plan: Plan) {
    let count = std::env::var("PELTON_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    if plan.flaw.is_some() {
        config.failure_persistence = FailurePersistence::None;
    }
    Runner::new(RandomScheduler::new(count), config.clone()).run(move || check(plan));
    Runner::new(PctScheduler::new(3, count), config).run(move || check(plan));
}

fn is_found(plan: Plan) -> bool {
    catch_unwind(AssertUnwindSafe(|| explore(plan))).is_err()
}

#[test]
fn every_slot_comes_home_and_every_batch_is_sent() {
    for slots in [1, 2, 5] {
        for checkpoints in [false, true] {
            explore(Plan { slots, checkpoints, ..Plan::default() });
        }
    }
}

#[test]
fn a_stop_is_seen_and_what_was_read_is_sent() {
    for checkpoints in [false, true] {
        explore(Plan { batches: 40, stops: true, checkpoints, ..Plan::default() });
    }
}

#[test]
fn whatever_stage_fails_all_of_them_end() {
    for stage in [Stage::Ingest, Stage::Compute, Stage::Emit, Stage::Writer] {
        for batch in [0, 1, 3] {
            for slots in [1, 5] {
                explore(Plan { slots, fails: Some((stage, batch)), ..Plan::default() });
            }
        }
    }
}

#[test]
fn the_model_finds_what_it_looks_for() {
    let emit_fails = Plan { fails: Some((Stage::Emit, 1)), ..Plan::default() };
    let cases = [
        (Flaw::NoStopOnExit, Plan { slots: 1, ..emit_fails }),
        (Flaw::SnapshotsHeldOpen, emit_fails),
        (Flaw::SlotKeptAtTheEnd, Plan::default()),
        (Flaw::SlotSentHomeTwice, Plan::default()),
        (Flaw::DeliveryBeforeSending, Plan::default()),
    ];
    for (flaw, plan) in cases {
        assert!(!is_found(plan), "{flaw:?} must be the only flaw");
        assert!(is_found(Plan { flaw: Some(flaw), ..plan }), "{flaw:?} goes unseen");
    }
}
