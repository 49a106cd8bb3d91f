//! `[guard]`: when learning is to be paused, and for how long.

use super::read::{Key, Section};

/// What happens when a measure leaves its band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Learning pauses, the model goes back, labels are put aside.
    Pause,
    /// It is only said and counted.
    Warn,
    /// Nothing is watched.
    Off,
}

/// The learning breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuardConfig {
    /// What happens.
    pub action: Action,
    /// Judged labels of the trailing window.
    pub window_labels: u64,
    /// Windows of the past before anything is believed.
    pub warm_up_windows: u64,
    /// Judged labels before learning may go on.
    pub cool_down_labels: u64,
    /// A band is at least so many deviations of the past wide.
    pub deviations: f64,
    /// How much the loss may rise, beyond that of predicting the window's own base rate, nats.
    pub loss_rise: f64,
    /// How far the mean prediction may be from the mean label.
    pub calibration_gap: f64,
    /// How far the log odds of a class may move.
    pub label_shift: f64,
    /// How many times as large as usual the model's steps may be.
    pub step_factor: f64,
    /// How many times as many, or as few, labels an event may have; 0 = any.
    pub label_rate_factor: f64,
}

impl GuardConfig {
    /// Reads `[guard]`.
    pub fn read(root: &mut Section<'_>) -> GuardConfig {
        let mut section = root.section("guard");
        let doc = "when labels or features go wild: pause learning, return to the model of before \
                   and put the labels aside; only warn; or do not look";
        let choices = [("pause", Action::Pause), ("warn", Action::Warn), ("off", Action::Off)];
        let action = section.choice(Key("action", doc), &choices);
        let doc = "judged labels of the window that is compared with the past";
        let window_labels = section.integer(Key("window_labels", doc), 1000, 8..=1_000_000);
        let doc = "windows that make a past; before that only what is not finite counts";
        let warm_up_windows = section.integer(Key("warm_up_windows", doc), 10, 1..=10_000);
        let doc = "judged labels after which learning may go on, once all is as it was";
        let cool_down_labels =
            section.integer(Key("cool_down_labels", doc), 5000, 1..=1_000_000_000);
        let doc = "a measure must leave its past by this many standard deviations, and by the \
                   limit below";
        let deviations = section.float(Key("deviations", doc), 6.0, 0.0..=1e6);
        let doc = "rise of the loss of the worst eighth of a window, less that of predicting the \
                   window's base rate, nats";
        let loss_rise = section.float(Key("loss_rise", doc), 0.4, 0.0..=1e6);
        let doc = "distance of the mean prediction from the mean label";
        let calibration_gap = section.float(Key("calibration_gap", doc), 0.3, 0.0..=1e6);
        let doc = "distance of a window's log odds of positives (or of any class) from the past's";
        let label_shift = section.float(Key("label_shift", doc), 3.5, 0.0..=1e6);
        let doc = "mean size of the gradients in the worst eighth of a window, as a multiple of \
                   the past's";
        let step_factor = section.float(Key("step_factor", doc), 50.0, 1.0..=1e9);
        let doc = "labels per scored event, as a multiple or a fraction of the past's; 0 = any, as \
                   labels that were held up arrive all at once";
        let label_rate_factor = section.float(Key("label_rate_factor", doc), 0.0, 0.0..=1e9);
        if label_rate_factor > 0.0 && label_rate_factor < 1.0 {
            section.problem("label_rate_factor", "must be 0, or 1 and more");
        }
        section.finish();
        GuardConfig {
            action,
            window_labels: window_labels.unsigned_abs(),
            warm_up_windows: warm_up_windows.unsigned_abs(),
            cool_down_labels: cool_down_labels.unsigned_abs(),
            deviations,
            loss_rise,
            calibration_gap,
            label_shift,
            step_factor,
            label_rate_factor,
        }
    }
}
