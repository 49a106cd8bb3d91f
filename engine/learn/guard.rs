//! The learning breaker: it sees every judged label and says when learning must pause, and when it
//! may go on.
//!
//! A trailing window of judged labels, made of [`PARTS`] runs, is compared at the end of each run
//! with the mean and deviation of the windows before ([`Measure`]). A figure that leaves the band
//! trips the breaker; from then on the past is not touched, and once [`GuardConfig`]'s cool-down
//! has passed, the first window that lies within the old band closes it. Something that is not
//! finite trips it at once.
//!
//! Invariant: a function of the judged labels and the events scored between them, in the order of
//! the stream: neither batch cuts nor the clock show. What it does not do: touch the model, or
//! labels; the [`Learner`](super::Learner) does as it says.

pub mod figures;
mod state;
#[cfg(test)]
mod tests;

use pelton_models::Task;

use crate::config::guard::{Action, GuardConfig};
use figures::{Figures, Judged, Measure, Scale, Tally};

/// Runs of a window.
pub const PARTS: u64 = 8;
/// Windows that the past remembers, about.
const MEMORY_WINDOWS: u64 = 50;
/// Limits are for classes; a regression's figures are in other units, and lie further apart.
const REGRESSION: f64 = 8.0;

/// What has to happen at a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it was before.
    Same,
    /// A measure has left its band.
    Trip(Trip),
    /// A window has ended and all is well: a good moment to keep the model.
    Good,
    /// The cool-down has passed and all is as it should be again.
    Recovered,
}

/// Why the breaker has tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// The measure.
    pub measure: Measure,
    /// The number of this trip, from 1.
    pub span: u64,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardCounts {
    /// Labels seen.
    pub judged: u64,
    /// Trips by measure, in the order of [`Measure::ALL`].
    pub trips: [u64; Measure::ALL.len()],
}

impl GuardCounts {
    /// All trips.
    #[must_use]
    pub fn trips_total(&self) -> u64 {
        self.trips.iter().sum()
    }
}

/// The breaker.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    task: Task,
    counts: GuardCounts,
    /// The run that is being filled, then those before it, newest first.
    runs: Vec<Tally>,
    /// Events scored before the run began.
    scored: u64,
    /// Runs ended since the window was last begun anew.
    runs_ended: u64,
    past: Past,
    /// The figures of the window judged last.
    figures: Figures,
    /// Labels judged when it tripped; none while all is well.
    tripped_at: Option<u64>,
}

/// What windows used to look like.
#[derive(Debug)]
struct Past {
    windows: u64,
    mean: Figures,
    variance: Figures,
    scale: Scale,
}

impl Guard {
    /// A guard that has seen nothing.
    #[must_use]
    pub fn new(config: &GuardConfig, task: Task) -> Guard {
        let empty = Tally::new(task);
        let past = Past {
            windows: 0,
            mean: Figures::default(),
            variance: Figures::default(),
            scale: empty.scale(),
        };
        Guard {
            config: *config,
            task,
            counts: GuardCounts::default(),
            runs: vec![empty; PARTS as usize],
            scored: 0,
            runs_ended: 0,
            past,
            figures: Figures::default(),
            tripped_at: None,
        }
    }

    /// Whether it watches at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.config.action != Action::Off
    }

    /// Whether a trip pauses learning.
    #[must_use]
    pub fn can_pause(&self) -> bool {
        self.config.action == Action::Pause
    }

    /// Whether it has tripped and not closed again.
    #[must_use]
    pub fn is_tripped(&self) -> bool {
        self.tripped_at.is_some()
    }

    /// Whether labels must not be learned now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_tripped() && self.can_pause()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> GuardCounts {
        self.counts
    }

    /// Labels judged before the window that ends now.
    #[must_use]
    pub fn window_began_at(&self) -> u64 {
        self.counts.judged.saturating_sub(self.run_labels() * PARTS)
    }

    /// Takes a judged label in.
    pub fn observe(&mut self, judged: &Judged<'_>) -> Verdict {
        self.counts.judged += 1;
        let is_finite = self.runs[0].add(self.task, judged);
        if !is_finite {
            self.begin_run(judged.scored);
            return self.trip(Measure::Step);
        }
        if self.runs[0].rows < self.run_labels() {
            return Verdict::Same;
        }
        self.runs[0].events = judged.scored.saturating_sub(self.scored);
        self.runs_ended += 1;
        let verdict = self.judge_window();
        self.begin_run(judged.scored);
        verdict
    }

    /// Closes it by hand. What is new now is not measured by what was: the past begins anew.
    pub fn resume(&mut self) {
        let (counts, scored) = (self.counts, self.scored);
        *self = Guard::new(&self.config, self.task);
        (self.counts, self.scored) = (counts, scored);
    }

    /// What is usual becomes what it is for another guard; it closes, and a window begins.
    pub fn adopt(&mut self, other: Guard) {
        self.resume();
        self.past = other.past;
    }

    /// The figures of the window judged last and the least and most they may be, by measure.
    #[must_use]
    pub fn bands(&self) -> [(Measure, f64, [f64; 2]); Measure::ALL.len()] {
        Measure::ALL.map(|measure| (measure, self.figures[measure as usize], self.band(measure)))
    }

    /// The settings that its state belongs to.
    pub(super) fn settings(&self) -> String {
        match self.config.action {
            Action::Off => String::new(),
            _ => format!("{:?} {:?}", self.config, self.task),
        }
    }

    fn run_labels(&self) -> u64 {
        self.config.window_labels / PARTS
    }

    /// A run of its own begins; the oldest leaves the window.
    fn begin_run(&mut self, scored: u64) {
        self.runs.rotate_right(1);
        self.runs[0] = Tally::new(self.task);
        self.scored = scored;
    }

    fn judge_window(&mut self) -> Verdict {
        let own = Tally::of(&self.runs, self.task).scale();
        // The very first window is like itself.
        let past = if self.past.windows == 0 { &own } else { &self.past.scale };
        let figures = Tally::figures(&self.runs, self.task, past);
        self.figures = figures;
        let is_whole = self.runs_ended >= PARTS;
        let is_known = self.past.windows >= self.config.warm_up_windows;
        let outside = match is_whole && is_known {
            true => Measure::ALL.into_iter().find(|m| self.is_outside(*m, figures[*m as usize])),
            false => None,
        };
        if let Some(at) = self.tripped_at {
            let has_cooled = self.counts.judged - at >= self.config.cool_down_labels;
            if !has_cooled || !is_whole || outside.is_some() {
                return Verdict::Same;
            }
            (self.tripped_at, self.runs_ended) = (None, 0);
            return Verdict::Recovered;
        }
        if let Some(measure) = outside {
            return self.trip(measure);
        }
        if !self.runs_ended.is_multiple_of(PARTS) {
            return Verdict::Same;
        }
        self.past.add(&figures, &own);
        Verdict::Good
    }

    fn trip(&mut self, measure: Measure) -> Verdict {
        if self.is_tripped() {
            return Verdict::Same;
        }
        self.counts.trips[measure as usize] += 1;
        (self.tripped_at, self.runs_ended) = (Some(self.counts.judged), 0);
        Verdict::Trip(Trip { measure, span: self.counts.trips_total() })
    }

    fn is_outside(&self, measure: Measure, figure: f64) -> bool {
        let [least, most] = self.band(measure);
        // What is no number is nowhere.
        !(least <= figure && figure <= most)
    }

    /// The least and the most a figure may be.
    fn band(&self, measure: Measure) -> [f64; 2] {
        let config = &self.config;
        let units = if self.task == Task::Regression { REGRESSION } else { 1.0 };
        let at = measure as usize;
        let mean = self.past.mean[at];
        let usual = config.deviations * self.past.variance[at].sqrt();
        let above = |limit: f64| mean + usual.max(limit);
        match measure {
            Measure::Loss => [f64::MIN, above(config.loss_rise * units)],
            Measure::Calibration => [f64::MIN, above(config.calibration_gap * units)],
            Measure::Step => [f64::MIN, above(pelton_kernels::math::ln(config.step_factor))],
            Measure::Labels => [f64::MIN, above(config.label_shift * units)],
            Measure::LabelRate if config.label_rate_factor == 0.0 => [f64::MIN, f64::MAX],
            Measure::LabelRate => {
                let reach = usual.max(pelton_kernels::math::ln(config.label_rate_factor));
                [mean - reach, mean + reach]
            }
        }
    }
}

impl Past {
    /// A window that was well; old ones fade.
    fn add(&mut self, figures: &Figures, scale: &Scale) {
        self.windows += 1;
        let share = 1.0 / self.windows.min(MEMORY_WINDOWS) as f64;
        for (at, figure) in figures.iter().enumerate() {
            let moved = figure - self.mean[at];
            self.mean[at] += share * moved;
            self.variance[at] += share * (moved * (figure - self.mean[at]) - self.variance[at]);
        }
        for (mean, own) in self.scale.labels.iter_mut().zip(&scale.labels) {
            *mean += share * (own - *mean);
        }
        self.scale.variance += share * (scale.variance - self.scale.variance);
    }
}
