//! Measures of a binary score: one probability against a label of 0 or 1.
//!
//! Every measure is scikit-learn's of the same name. A score of at least one half predicts the
//! positive class. Log loss clips scores to `[2^-23, 1 - 2^-23]`, the float's epsilon, as
//! `sklearn.metrics.log_loss` does for single precision, so one certain error costs 15.9 nats and
//! not infinity. Invariant: a measure depends on the multiset of rows only.

use std::io;

use pelton_kernels::math;
use pelton_kernels::state::{StateReader, StateWriter};

use super::calibration::Calibration;
use super::exact::ExactSum;
use super::metric::Metric;
use super::ranking::Ranking;
use super::row::JudgedRow;

/// Counts and sums over judged rows.
#[derive(Clone, Debug)]
pub(super) struct BinaryTally {
    rows: i64,
    positives: i64,
    predicted: i64,
    agreed: i64,
    scores: ExactSum,
    squares: ExactSum,
    /// The costly parts are kept only when a metric asks for them.
    log_loss: Option<ExactSum>,
    calibration: Option<Calibration>,
    ranking: Option<Ranking>,
}

impl BinaryTally {
    pub(super) fn new(metrics: &[Metric], exact_rows_max: usize) -> BinaryTally {
        let wants = |metric: Metric| metrics.contains(&metric);
        let ranks = wants(Metric::Auc) || wants(Metric::AveragePrecision);
        BinaryTally {
            rows: 0,
            positives: 0,
            predicted: 0,
            agreed: 0,
            scores: ExactSum::default(),
            squares: ExactSum::default(),
            log_loss: wants(Metric::LogLoss).then(ExactSum::default),
            calibration: wants(Metric::CalibrationError).then(Calibration::default),
            ranking: ranks.then(|| Ranking::new(exact_rows_max)),
        }
    }

    /// Adds (`sign` 1) or takes away (`sign` -1) a row.
    #[inline]
    pub(super) fn add(&mut self, row: &JudgedRow, sign: i64) {
        let (score, is_positive) = (f64::from(row.score), row.label == 1.0);
        let is_agreed = row.predicted == u32::from(is_positive);
        self.rows += sign;
        self.positives += sign * i64::from(is_positive);
        self.predicted += sign * i64::from(row.predicted);
        self.agreed += sign * i64::from(is_agreed);
        let miss = score - f64::from(row.label);
        self.scores.add(score, sign);
        self.squares.add(miss * miss, sign);
        if let Some(sum) = &mut self.log_loss {
            sum.add(loss(if is_positive { score } else { 1.0 - score }), sign);
        }
        if let Some(calibration) = &mut self.calibration {
            calibration.add(score, is_positive, sign);
        }
        if let Some(ranking) = &mut self.ranking {
            ranking.add(row.score, is_positive, sign);
        }
    }

    /// The values of the metrics, in their order; NaN where undefined or not of this kind. When
    /// the ranking is no longer exact, the bounds on its error follow under names of their own.
    pub(super) fn report(&self, metrics: &[Metric]) -> Vec<(&'static str, f64)> {
        let ranked = self.ranking.as_ref().map(|ranking| (ranking.is_exact(), ranking.measures()));
        let rows = self.rows as f64;
        let mut report = Vec::with_capacity(metrics.len() + 2);
        for metric in metrics {
            let value = match metric {
                Metric::Auc => ranked.map(|(_, measures)| measures.auc),
                Metric::AveragePrecision => ranked.map(|(_, measures)| measures.average_precision),
                Metric::LogLoss => self.log_loss.map(|sum| sum.value() / rows),
                Metric::Brier => Some(self.squares.value() / rows),
                Metric::Accuracy => Some(self.accuracy()),
                Metric::Kappa => Some(self.kappa()),
                Metric::CalibrationError => self.calibration.as_ref().map(Calibration::error),
                Metric::MeanScore => Some(self.scores.value() / rows),
                Metric::MeanLabel => Some(self.positives as f64 / rows),
                _ => None,
            };
            report.push((metric.name(), value.unwrap_or(f64::NAN)));
        }
        if let Some((false, measures)) = ranked {
            let ap_error = measures.average_precision_error_max;
            if metrics.contains(&Metric::Auc) {
                report.push(("auc_error_max", measures.auc_error_max));
            }
            if metrics.contains(&Metric::AveragePrecision) {
                report.push(("average_precision_error_max", ap_error));
            }
        }
        report
    }

    pub(super) fn accuracy(&self) -> f64 {
        self.agreed as f64 / self.rows as f64
    }

    fn kappa(&self) -> f64 {
        let marginals = [
            [self.positives, self.predicted],
            [self.rows - self.positives, self.rows - self.predicted],
        ];
        kappa(self.rows, self.agreed, marginals.into_iter())
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.rows, self.positives, self.predicted, self.agreed])?;
        self.scores.write(state)?;
        self.squares.write(state)?;
        self.log_loss.map_or(Ok(()), |sum| sum.write(state))?;
        self.calibration.as_ref().map_or(Ok(()), |calibration| calibration.write(state))?;
        self.ranking.as_ref().map_or(Ok(()), |ranking| ranking.write(state))
    }

    /// Reads into a tally made for the same metrics.
    pub(super) fn read(
        &mut self,
        exact_rows_max: usize,
        state: &mut StateReader<'_>,
    ) -> io::Result<()> {
        self.rows = state.get()?;
        self.positives = state.get()?;
        self.predicted = state.get()?;
        self.agreed = state.get()?;
        self.scores = ExactSum::read(state)?;
        self.squares = ExactSum::read(state)?;
        if let Some(sum) = &mut self.log_loss {
            *sum = ExactSum::read(state)?;
        }
        if let Some(calibration) = &mut self.calibration {
            *calibration = Calibration::read(state)?;
        }
        if let Some(ranking) = &mut self.ranking {
            *ranking = Ranking::read(exact_rows_max, state)?;
        }
        Ok(())
    }
}

/// The logarithmic loss in nats of the probability that was given to what came true.
#[inline]
pub(super) fn loss(probability: f64) -> f64 {
    let epsilon = f64::from(f32::EPSILON);
    -math::ln(probability.clamp(epsilon, 1.0 - epsilon))
}

/// Cohen's kappa from the agreement and each class's (labelled, predicted) counts: the share of
/// agreement beyond chance; NaN when chance alone would always agree.
pub(super) fn kappa(rows: i64, agreed: i64, marginals: impl Iterator<Item = [i64; 2]>) -> f64 {
    let rows = rows as f64;
    let chance: f64 = marginals.map(|[a, b]| (a as f64 / rows) * (b as f64 / rows)).sum();
    (agreed as f64 / rows - chance) / (1.0 - chance)
}
