//! `[drift]`: when the stream, or the loss of its model, counts as another than before.

use super::read::{Key, Section};

/// What becomes of a reference that rows have drifted away from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    /// After an alert another is taken: what is new is usual from then on.
    Alert,
    /// The first one stays.
    Never,
}

/// The detectors of drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftConfig {
    /// Whether anything is watched.
    pub is_on: bool,
    /// Chance that an alarm of ADWIN is false.
    pub delta: f64,
    /// Page-Hinkley: a rise of less is none, standard deviations.
    pub tolerance: f64,
    /// Page-Hinkley: so much must come together, standard deviations.
    pub threshold: f64,
    /// A rise of the loss by a smaller part of it is no alert.
    pub loss_rise: f64,
    /// Labels before loss and scores are watched.
    pub warm_up_labels: u64,
    /// Event time of the trailing window of rows.
    pub window_ms: i64,
    /// Rows it has at least, of those looked at.
    pub window_rows: u64,
    /// How many windows make a reference.
    pub reference_windows: u64,
    /// Whether the reference is taken anew.
    pub renew: Renew,
    /// Population stability index of an alert.
    pub psi: f64,
    /// Distance of Kolmogorov and Smirnov of an alert.
    pub ks_distance: f64,
    /// Chance of that distance below which it is believed.
    pub ks_significance: f64,
    /// Event time between two alerts of one detector about one thing.
    pub cool_down_ms: i64,
}

impl DriftConfig {
    /// Reads `[drift]`.
    pub fn read(root: &mut Section<'_>) -> DriftConfig {
        let mut section = root.section("drift");
        let doc = "when the loss, a dense feature or the score drifts: say so, or do not look";
        let is_on = section.choice(Key("action", doc), &[("warn", true), ("off", false)]);
        let doc = "ADWIN: chance that an alarm about the loss is false";
        let delta = section.float(Key("delta", doc), 0.002, 1e-12..=0.5);
        let doc = "Page-Hinkley: a rise of the loss by less is none, in standard deviations of \
                   the mean of eight labels";
        let tolerance = section.float(Key("tolerance", doc), 0.1, 0.0..=10.0);
        let doc = "Page-Hinkley: how much of a rise must come together, in the same deviations";
        let threshold = section.float(Key("threshold", doc), 50.0, 1.0..=1e9);
        let doc = "a detected rise of the loss by less than this part of it is no alert";
        let loss_rise = section.float(Key("loss_rise", doc), 0.25, 0.0..=1e6);
        let doc = "labels before the loss is watched and the reference of the score begins";
        let warm_up_labels =
            section.integer(Key("warm_up_labels", doc), 5000, 0..=1_000_000_000_000);
        let doc = "event time of the trailing rows that are compared with the reference";
        let window_ms = section.duration_ms(Key("window", doc), "7d", ["1s", "3650d"]);
        let doc = "rows a window has at least, however long that takes; of streams with many more \
                   a part is looked at";
        let window_rows = section.integer(Key("window_rows", doc), 1000, 80..=1_000_000_000);
        let doc = "windows that make the reference, once the windows of a feature are filled";
        let reference_windows = section.integer(Key("reference_windows", doc), 2, 1..=10_000);
        let doc = "whether a reference is taken anew after an alert, or stays the first one";
        let choices = [("alert", Renew::Alert), ("never", Renew::Never)];
        let renew = section.choice(Key("renew", doc), &choices);
        let doc = "population stability index (over tenths of the reference) above which a \
                   feature has drifted";
        let psi = section.float(Key("psi", doc), 0.25, 0.0..=1e6);
        let doc = "distance of Kolmogorov and Smirnov above which a feature has drifted, where \
                   the chance of it is below ks_significance as well";
        let ks_distance = section.float(Key("ks_distance", doc), 0.2, 0.0..=1.0);
        let doc = "chance of the distance between rows of one distribution";
        let ks_significance = section.float(Key("ks_significance", doc), 1e-6, 0.0..=1.0);
        let doc = "event time after an alert in which the same detector gives no other about the \
                   same thing";
        let cool_down_ms = section.duration_ms(Key("cool_down", doc), "1d", ["0s", "3650d"]);
        section.finish();
        DriftConfig {
            is_on,
            delta,
            tolerance,
            threshold,
            loss_rise,
            warm_up_labels: warm_up_labels.unsigned_abs(),
            window_ms,
            window_rows: window_rows.unsigned_abs(),
            reference_windows: reference_windows.unsigned_abs(),
            renew,
            psi,
            ks_distance,
            ks_significance,
            cool_down_ms,
        }
    }
}
