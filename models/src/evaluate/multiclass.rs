//! Measures of a multi-class score: one probability per class against the index of the true class.
//!
//! The class of the highest probability is the prediction, the lower index on a tie. Log loss takes
//! the probability of the true class, clipped as for binary scores; probabilities are taken as they
//! are given, not scaled to a sum of one. Invariant: independent of the rows' order.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter};
use pelton_kernels::tally::{ExactSum, loss};

use super::binary::kappa;
use super::metric::Metric;
use super::ranking::Ranking;
use super::reliability::{ReliabilityBin, expected_error, reliability};
use super::row::JudgedRow;

/// Counts and sums over judged rows.
#[derive(Clone, Debug)]
pub(super) struct MultiClassTally {
    rows: i64,
    agreed: i64,
    labelled: Vec<i64>,
    predicted: Vec<i64>,
    log_loss: ExactSum,
    /// The confidence of each prediction and whether it was right, kept only for `ece`.
    confidences: Option<Ranking>,
}

impl MultiClassTally {
    pub(super) fn new(classes: usize, metrics: &[Metric], exact_rows_max: usize) -> Self {
        let wants_confidences = metrics.contains(&Metric::Ece);
        MultiClassTally {
            rows: 0,
            agreed: 0,
            labelled: vec![0; classes],
            predicted: vec![0; classes],
            log_loss: ExactSum::default(),
            confidences: wants_confidences.then(|| Ranking::new(exact_rows_max)),
        }
    }

    /// Adds (`sign` 1) or takes away (`sign` -1) a row.
    pub(super) fn add(&mut self, row: &JudgedRow, sign: i64) {
        let label = row.label as usize;
        self.rows += sign;
        self.labelled[label] += sign;
        self.predicted[row.predicted as usize] += sign;
        self.agreed += sign * i64::from(row.predicted as usize == label);
        self.log_loss.add(loss(f64::from(row.score)), sign);
        if let Some(confidences) = &mut self.confidences {
            confidences.add(row.confidence, row.predicted as usize == label, sign);
        }
    }

    /// How confidences compare with the share of right predictions; nothing where not kept.
    pub(super) fn reliability(&self) -> Vec<ReliabilityBin> {
        self.confidences.as_ref().map(reliability).unwrap_or_default()
    }

    /// The value of a metric; NaN where undefined or not of this kind.
    pub(super) fn value(&self, metric: Metric) -> f64 {
        let marginals = self.labelled.iter().zip(&self.predicted).map(|(&a, &b)| [a, b]);
        match metric {
            Metric::Accuracy => self.agreed as f64 / self.rows as f64,
            Metric::Kappa => kappa(self.rows, self.agreed, marginals),
            Metric::LogLoss => self.log_loss.value() / self.rows as f64,
            Metric::Ece => expected_error(&self.reliability()),
            _ => f64::NAN,
        }
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.rows)?;
        state.put(self.agreed)?;
        state.slice(&self.labelled)?;
        state.slice(&self.predicted)?;
        self.log_loss.write(state)?;
        self.confidences.as_ref().map_or(Ok(()), |confidences| confidences.write(state))
    }

    pub(super) fn read(
        &mut self,
        exact_rows_max: usize,
        state: &mut StateReader<'_>,
    ) -> io::Result<()> {
        self.rows = state.get()?;
        self.agreed = state.get()?;
        state.fill(&mut self.labelled)?;
        state.fill(&mut self.predicted)?;
        self.log_loss = ExactSum::read(state)?;
        if let Some(confidences) = &mut self.confidences {
            *confidences = Ranking::read(exact_rows_max, state)?;
        }
        Ok(())
    }
}
