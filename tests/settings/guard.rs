//! Rows of `[guard]`.

use pelton::config::Config;
use pelton::pipeline::Pipeline;
use pelton::ring::Slot;

use super::row::{Row, World, row};
use crate::guard::records;
use crate::support::Feed;

const PLAIN: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'y', time = 't', horizon = '40s' }
    fields.x = { type = 'number' }
    fields.shop = { type = 'category' }
    features = [{ number = 'x' }, { category = 'shop' }]
    guard = { window_labels = 160, warm_up_windows = 4, cool_down_labels = 200 }";
/// Only the measure that is asked about is watched.
const ALONE: &[(&str, &str)] = &[
    ("guard.loss_rise", "1e6"),
    ("guard.calibration_gap", "1e6"),
    ("guard.label_shift", "1e6"),
    ("guard.step_factor", "1e9"),
    ("guard.deviations", "0.0"),
];

pub const ROWS: &[Row] = &[
    row("guard.action", &["'pause'", "'warn'", "'off'"], "'stop'", trips).on(PLAIN),
    row("guard.window_labels", &["160", "400"], "4", trips).on(PLAIN),
    row("guard.warm_up_windows", &["4", "1000"], "0", trips).on(PLAIN),
    row("guard.cool_down_labels", &["200", "1500"], "0", trips).on(PLAIN),
    row("guard.deviations", &["0.0", "1e6"], "-1", trips).on(PLAIN),
    row("guard.loss_rise", &["0.4", "1e6"], "-1", trips).on(PLAIN).with(ALONE),
    row("guard.calibration_gap", &["0.01", "1e6"], "'wide'", trips).on(PLAIN).with(ALONE),
    row("guard.label_shift", &["0.01", "1e6"], "-3", trips).on(PLAIN).with(ALONE),
    row("guard.step_factor", &["1.0", "1e9"], "0.5", trips).on(PLAIN).with(ALONE),
    row("guard.label_rate_factor", &["0.0", "1.0"], "0.5", trips).on(PLAIN).with(ALONE),
];

/// Which trips a span of flipped labels has caused, and what became of the labels.
fn trips(world: &World) -> Option<String> {
    let config: &Config = &world.config;
    let mut pipeline = Pipeline::new(config).expect("a possible configuration");
    let (mut slot, mut learned) = (Slot::new(&config.event.schema, 64), Vec::new());
    let records = records(41, 5000, 3000..3400);
    let mut feed = Feed::new(config, &records);
    while feed.next_batch(&mut slot) {
        pipeline.step(&mut slot).expect("data never ends a run");
        learned.push(pipeline.learner().counts().learned);
    }
    let counts = pipeline.learner().guard().counts();
    Some(format!("{counts:?} {:?} {learned:?}", pipeline.join().counts()))
}
