//! Measures of a binary score: one probability against a label of 0 or 1.
//!
//! Every measure is scikit-learn's of the same name; [`Tally`] says how its sums are made.
//! Invariant: a measure depends on the multiset of rows only.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter};
use pelton_kernels::tally::Tally;

use super::metric::Metric;
use super::ranking::Ranking;
use super::reliability::{ReliabilityBin, expected_error, reliability};
use super::row::JudgedRow;

/// Counts and sums over judged rows.
#[derive(Clone, Debug)]
pub(super) struct BinaryTally {
    sums: Tally,
    /// Kept only when a metric asks for it.
    ranking: Option<Ranking>,
}

impl BinaryTally {
    pub(super) fn new(metrics: &[Metric], exact_rows_max: usize) -> BinaryTally {
        let wants = |metric: Metric| metrics.contains(&metric);
        let ranks = [Metric::Auc, Metric::AveragePrecision, Metric::Ece].into_iter().any(wants);
        BinaryTally {
            sums: Tally::new(wants(Metric::LogLoss), wants(Metric::CalibrationError)),
            ranking: ranks.then(|| Ranking::new(exact_rows_max)),
        }
    }

    /// Adds (`sign` 1) or takes away (`sign` -1) a row.
    #[inline]
    pub(super) fn add(&mut self, row: &JudgedRow, sign: i64) {
        let is_positive = row.label == 1.0;
        self.sums.add(row.score, is_positive, sign);
        if let Some(ranking) = &mut self.ranking {
            ranking.add(row.score, is_positive, sign);
        }
    }

    /// The values of the metrics, in their order; NaN where undefined or not of this kind. When
    /// the ranking is no longer exact, the bounds on its error follow under names of their own.
    pub(super) fn report(&self, metrics: &[Metric]) -> Vec<(&'static str, f64)> {
        let ranked = self.ranking.as_ref().map(|ranking| (ranking.is_exact(), ranking.measures()));
        let (sums, rows) = (&self.sums, self.sums.rows() as f64);
        let mut report = Vec::with_capacity(metrics.len() + 2);
        for metric in metrics {
            let value = match metric {
                Metric::Auc => ranked.map(|(_, measures)| measures.auc),
                Metric::AveragePrecision => ranked.map(|(_, measures)| measures.average_precision),
                Metric::LogLoss => sums.log_loss(),
                Metric::Brier => Some(sums.brier()),
                Metric::Accuracy => Some(self.accuracy()),
                Metric::Kappa => Some(self.kappa()),
                Metric::CalibrationError => sums.calibration_error(),
                Metric::Ece => Some(expected_error(&self.reliability())),
                Metric::MeanScore => Some(sums.mean_score()),
                Metric::MeanLabel => Some(sums.positives() as f64 / rows),
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

    /// How the scores compare with what came true; nothing where scores are not kept.
    pub(super) fn reliability(&self) -> Vec<ReliabilityBin> {
        self.ranking.as_ref().map(reliability).unwrap_or_default()
    }

    pub(super) fn accuracy(&self) -> f64 {
        self.sums.agreed() as f64 / self.sums.rows() as f64
    }

    fn kappa(&self) -> f64 {
        let (rows, sums) = (self.sums.rows(), &self.sums);
        let (positives, predicted) = (sums.positives(), sums.predicted());
        let marginals = [[positives, predicted], [rows - positives, rows - predicted]];
        kappa(rows, sums.agreed(), marginals.into_iter())
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.sums.write(state)?;
        self.ranking.as_ref().map_or(Ok(()), |ranking| ranking.write(state))
    }

    /// Reads into a tally made for the same metrics.
    pub(super) fn read(
        &mut self,
        exact_rows_max: usize,
        state: &mut StateReader<'_>,
    ) -> io::Result<()> {
        self.sums.read(state)?;
        if let Some(ranking) = &mut self.ranking {
            *ranking = Ranking::read(exact_rows_max, state)?;
        }
        Ok(())
    }
}

/// Cohen's kappa from the agreement and each class's (labelled, predicted) counts: the share of
/// agreement beyond chance; NaN when chance alone would always agree.
pub(super) fn kappa(rows: i64, agreed: i64, marginals: impl Iterator<Item = [i64; 2]>) -> f64 {
    let rows = rows as f64;
    let chance: f64 = marginals.map(|[a, b]| (a as f64 / rows) * (b as f64 / rows)).sum();
    (agreed as f64 / rows - chance) / (1.0 - chance)
}
