//! Alerts: what has drifted, when in event time, and how far. Bounded: within the cool-down of an
//! alert there is no other of its kind, and of all only the newest are kept.

use std::collections::VecDeque;

use crate::dead_letters::summary::rfc3339;

/// Alerts that are kept.
pub const ALERTS_MAX: usize = 100;

/// What an alert about the loss is about; features follow, in their order.
pub const LOSS: u32 = 0;

/// What has found a drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detector {
    /// The window of Bifet and Gavalda, over the loss.
    Adwin,
    /// The sum of Page and Hinkley, over the loss.
    PageHinkley,
    /// The population stability index of a feature or the score.
    Psi,
    /// The distance of Kolmogorov and Smirnov of a feature or the score.
    Ks,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Detector; 4] =
        [Detector::Adwin, Detector::PageHinkley, Detector::Psi, Detector::Ks];

    /// Its name on the metrics page, in the log and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Detector::Adwin => "adwin",
            Detector::PageHinkley => "page_hinkley",
            Detector::Psi => "psi",
            Detector::Ks => "ks",
        }
    }

    /// Whether it watches the loss.
    #[must_use]
    pub fn is_of_loss(self) -> bool {
        matches!(self, Detector::Adwin | Detector::PageHinkley)
    }
}

/// A drift that has been told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alert {
    /// What has found it.
    pub detector: Detector,
    /// [`LOSS`], or one more than the index of the feature.
    pub what: u32,
    /// Newest event time by then, milliseconds since the epoch.
    pub time_ms: i64,
    /// Events scored by then.
    pub scored: u64,
    /// The mean loss before and since; or the figure and its limit.
    pub figures: [f64; 2],
}

impl Alert {
    /// Names of the figures.
    #[must_use]
    pub fn figure_names(&self) -> [&'static str; 2] {
        if self.detector.is_of_loss() { ["before", "after"] } else { ["figure", "limit"] }
    }

    /// Event time as people write it.
    #[must_use]
    pub fn time(&self) -> String {
        rfc3339(self.time_ms).unwrap_or_else(|| format!("{} ms", self.time_ms))
    }

    /// The line in the log.
    pub(super) fn say(&self, what: &str) {
        let (detector, at, scored) = (self.detector.name(), self.time(), self.scored);
        let [first, second] = self.figures;
        if self.detector.is_of_loss() {
            let (before, after) = (first, second);
            tracing::warn!(detector, what, %at, scored, before, after, "drift: the loss has risen");
        } else {
            let (figure, limit) = (first, second);
            tracing::warn!(
                detector, what, %at, scored, figure, limit, "drift: values are spread otherwise"
            );
        }
    }
}

/// How often a detector has told of one thing, and when last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Series {
    pub count: u64,
    pub last_ms: i64,
}

/// What has been told.
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    pub(super) kept: VecDeque<Alert>,
    /// Two of the loss, then two of each feature.
    pub(super) series: Vec<Series>,
    pub(super) suppressed: u64,
}

impl Alerts {
    /// None, of the loss and so many features.
    pub(super) fn new(columns: usize) -> Alerts {
        let series = vec![Series { count: 0, last_ms: i64::MIN }; 2 * (columns + 1)];
        Alerts { kept: VecDeque::new(), series, suppressed: 0 }
    }

    /// The newest, at most [`ALERTS_MAX`], newest last.
    pub fn kept(&self) -> impl Iterator<Item = &Alert> {
        self.kept.iter()
    }

    /// All that were given.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.series.iter().map(|series| series.count).sum()
    }

    /// Those that were not, because another had just been.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// How many were given, by detector and [`Alert::what`].
    pub(super) fn counts(&self) -> impl Iterator<Item = (Detector, u32, u64)> {
        self.series.iter().enumerate().map(|(at, series)| {
            let what = (at / 2) as u32;
            let detector = Detector::ALL[at % 2 + if what == LOSS { 0 } else { 2 }];
            (detector, what, series.count)
        })
    }

    /// Takes one in, unless one of its kind was given less than this before; whether it did.
    pub(super) fn add(&mut self, alert: Alert, cool_down_ms: i64) -> bool {
        let at = 2 * alert.what as usize + alert.detector as usize % 2;
        let Some(series) = self.series.get_mut(at) else { return false };
        let cool_ms = series.last_ms.saturating_add(cool_down_ms);
        if series.count > 0 && alert.time_ms < cool_ms {
            self.suppressed += 1;
            return false;
        }
        (series.count, series.last_ms) = (series.count + 1, alert.time_ms);
        if self.kept.len() == ALERTS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(alert);
        true
    }
}
