//! Rows of `[drift]`.

use super::row::{Row, World, row};
use crate::drift::{Change, records, run};

const PLAIN: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'y', time = 't', horizon = '40s' }
    fields = { x = { type = 'number' }, z = { type = 'number' } }
    features = [{ number = 'x' }, { number = 'z' }]
    guard.action = 'off'
    drift = { window = '4s', window_rows = 400, warm_up_labels = 500, cool_down = '0s' }";

/// ADWIN and PSI look away, so that what the others find is not lost among what these do.
const ALONE: &[(&str, &str)] = &[("drift.delta", "1e-12"), ("drift.psi", "1e6")];

pub const ROWS: &[Row] = &[
    row("drift.action", &["'warn'", "'off'"], "'stop'", losses).on(PLAIN),
    row("drift.delta", &["0.002", "1e-12"], "0.0", losses).on(PLAIN),
    row("drift.tolerance", &["0.1", "0.5"], "-0.1", losses).on(PLAIN).with(ALONE),
    row("drift.threshold", &["50.0", "1e4"], "0.0", losses).on(PLAIN).with(ALONE),
    row("drift.loss_rise", &["0.25", "1e3"], "-1.0", losses).on(PLAIN),
    row("drift.warm_up_labels", &["500", "1000"], "-1", losses).on(PLAIN),
    row("drift.window", &["'4s'", "'8s'"], "'0s'", features).on(PLAIN),
    row("drift.window_rows", &["400", "800"], "8", features).on(PLAIN),
    row("drift.reference_windows", &["2", "3"], "0", features).on(PLAIN),
    row("drift.renew", &["'alert'", "'never'"], "'daily'", features).on(PLAIN),
    row("drift.psi", &["0.25", "1.0"], "-1", features).on(PLAIN),
    row("drift.ks_distance", &["0.2", "0.9"], "1.5", features).on(PLAIN).with(ALONE),
    row("drift.ks_significance", &["1e-6", "0.0"], "2", features).on(PLAIN).with(ALONE),
    row("drift.cool_down", &["'0s'", "'1h'"], "'soon'", losses).on(PLAIN),
];

/// What is told of labels that say something else, after which learning begins anew.
fn losses(world: &World) -> Option<String> {
    told(world, Change::Concept(3000))
}

/// What is told of numbers that are spread otherwise.
fn features(world: &World) -> Option<String> {
    told(world, Change::Features(3000))
}

fn told(world: &World, change: Change) -> Option<String> {
    let pipeline = run(&world.config, &records(42, 6000, change), 256, || false);
    let drift = pipeline.learner().drift();
    let alerts: Vec<_> = drift.alerts().kept().collect();
    let standings: Vec<_> = drift.standings().collect();
    Some(format!("{alerts:?} {} {standings:?}", drift.alerts().suppressed()))
}
