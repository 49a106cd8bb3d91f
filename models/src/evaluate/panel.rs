//! The tally of one run of rows: the task's own measures and the no-change baseline.
//!
//! One panel judges all rows; a second is filled from the last rows whenever recent measures are
//! asked for, so both follow the same definitions.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter};

use super::binary::BinaryTally;
use super::metric::Metric;
use super::multiclass::MultiClassTally;
use super::no_change::NoChange;
use super::regression::RegressionTally;
use super::reliability::ReliabilityBin;
use super::row::JudgedRow;
use super::spec::EvaluateSpec;
use crate::Task;

/// Everything measured over one run of rows, grouped precision apart.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    tally: Tally,
    no_change: NoChange,
}

#[derive(Clone, Debug)]
enum Tally {
    Binary(Box<BinaryTally>),
    MultiClass(MultiClassTally),
    Regression(RegressionTally),
}

impl Panel {
    pub(super) fn new(spec: &EvaluateSpec, exact_rows_max: usize) -> Panel {
        let tally = match spec.task {
            Task::Binary => {
                Tally::Binary(Box::new(BinaryTally::new(&spec.metrics, exact_rows_max)))
            }
            Task::MultiClass { classes } => {
                let (classes, metrics) = (classes as usize, &spec.metrics);
                Tally::MultiClass(MultiClassTally::new(classes, metrics, exact_rows_max))
            }
            Task::Regression => Tally::Regression(RegressionTally::default()),
        };
        Panel { tally, no_change: NoChange::default() }
    }

    /// Judges a row by every measure.
    #[inline]
    pub(super) fn judge(&mut self, row: &JudgedRow) {
        self.add(row, 1);
        self.no_change.judge(row.label as u32);
    }

    /// Notes the label of a row that is not to be judged.
    pub(super) fn remember(&mut self, row: &JudgedRow) {
        self.no_change.remember(row.label as u32);
    }

    /// Takes a judged row out of the task's measures.
    pub(super) fn withdraw(&mut self, row: &JudgedRow) {
        self.add(row, -1);
    }

    /// Puts a withdrawn row back under another label.
    pub(super) fn judge_again(&mut self, row: &JudgedRow) {
        self.add(row, 1);
    }

    /// Values by name in the order of the metrics, error bounds after them; NaN where undefined.
    pub(super) fn report(&self, metrics: &[Metric]) -> Vec<(&'static str, f64)> {
        let by_value = |value: &dyn Fn(Metric) -> f64| {
            metrics.iter().map(|&metric| (metric.name(), value(metric))).collect()
        };
        let mut report: Vec<(&'static str, f64)> = match &self.tally {
            Tally::Binary(tally) => tally.report(metrics),
            Tally::MultiClass(tally) => by_value(&|metric| tally.value(metric)),
            Tally::Regression(tally) => by_value(&|metric| tally.value(metric)),
        };
        let no_change = self.no_change.accuracy();
        for (entry, metric) in report.iter_mut().zip(metrics) {
            match metric {
                Metric::NoChangeAccuracy => entry.1 = no_change,
                Metric::KappaTemporal => {
                    entry.1 = (self.accuracy() - no_change) / (1.0 - no_change);
                }
                _ => {}
            }
        }
        report
    }

    /// How predictions compare with what came true; nothing where it is not kept.
    pub(super) fn reliability(&self) -> Vec<ReliabilityBin> {
        match &self.tally {
            Tally::Binary(tally) => tally.reliability(),
            Tally::MultiClass(tally) => tally.reliability(),
            Tally::Regression(_) => Vec::new(),
        }
    }

    fn accuracy(&self) -> f64 {
        match &self.tally {
            Tally::Binary(tally) => tally.accuracy(),
            Tally::MultiClass(tally) => tally.value(Metric::Accuracy),
            Tally::Regression(_) => f64::NAN,
        }
    }

    #[inline]
    fn add(&mut self, row: &JudgedRow, sign: i64) {
        match &mut self.tally {
            Tally::Binary(tally) => tally.add(row, sign),
            Tally::MultiClass(tally) => tally.add(row, sign),
            Tally::Regression(tally) => tally.add(row, sign),
        }
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.no_change.write(state)?;
        match &self.tally {
            Tally::Binary(tally) => tally.write(state),
            Tally::MultiClass(tally) => tally.write(state),
            Tally::Regression(tally) => tally.write(state),
        }
    }

    /// Reads into a panel made for the same spec.
    pub(super) fn read(
        &mut self,
        exact_rows_max: usize,
        state: &mut StateReader<'_>,
    ) -> io::Result<()> {
        self.no_change = NoChange::read(state)?;
        match &mut self.tally {
            Tally::Binary(tally) => tally.read(exact_rows_max, state),
            Tally::MultiClass(tally) => tally.read(exact_rows_max, state),
            Tally::Regression(tally) => tally.read(state),
        }
    }
}
