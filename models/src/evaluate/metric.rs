//! The measures that can be asked for, their names and the tasks they fit.

use crate::Task;

/// A prequential measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Area under the ROC curve, ties one half; undefined unless both classes occur.
    Auc,
    /// Step sum of precision over recall, as scikit-learn's; undefined without a positive.
    AveragePrecision,
    /// Mean negative logarithm of the probability given to the truth, nats, clipped at 2^-23.
    LogLoss,
    /// Mean squared difference of probability and label.
    Brier,
    /// Share of rows whose predicted class is the true one (binary: score of at least one half).
    Accuracy,
    /// Cohen's kappa: agreement beyond that of chance with the same class shares.
    Kappa,
    /// Accuracy of repeating the label judged before: what a useful model has to beat.
    NoChangeAccuracy,
    /// Agreement beyond that of repeating the last label: `(a - n) / (1 - n)` with the accuracy
    /// and the no-change accuracy (Zliobaite et al. 2015, kappa temporal).
    KappaTemporal,
    /// Expected calibration error over 15 equal-width bins.
    CalibrationError,
    /// Expected calibration error over 15 bins of equally many rows (see
    /// [`ReliabilityBin`](super::ReliabilityBin)): of the score (binary), or of the probability
    /// given to the predicted class (multi-class).
    Ece,
    /// Mean score.
    MeanScore,
    /// Mean label; for binary labels the share of positives.
    MeanLabel,
    /// Per UTC day, the share with a positive among the `k` groups of highest score; mean of days.
    GroupedPrecisionAtK {
        /// Groups taken per day, at least 1.
        k: u32,
    },
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Share of the targets' variance that is explained; undefined when all targets are equal.
    R2,
}

/// The `k` of [`Metric::from_name`] when the caller has none to say.
const K_DEFAULT: u32 = 100;

impl Metric {
    /// Every metric, in the order of the documentation.
    pub const ALL: [Metric; 16] = [
        Metric::Auc,
        Metric::AveragePrecision,
        Metric::LogLoss,
        Metric::Brier,
        Metric::Accuracy,
        Metric::Kappa,
        Metric::NoChangeAccuracy,
        Metric::KappaTemporal,
        Metric::CalibrationError,
        Metric::Ece,
        Metric::MeanScore,
        Metric::MeanLabel,
        Metric::GroupedPrecisionAtK { k: K_DEFAULT },
        Metric::Mae,
        Metric::Rmse,
        Metric::R2,
    ];

    /// The name in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Auc => "auc",
            Metric::AveragePrecision => "average_precision",
            Metric::LogLoss => "log_loss",
            Metric::Brier => "brier",
            Metric::Accuracy => "accuracy",
            Metric::Kappa => "kappa",
            Metric::NoChangeAccuracy => "no_change_accuracy",
            Metric::KappaTemporal => "kappa_temporal",
            Metric::CalibrationError => "calibration_error",
            Metric::Ece => "ece",
            Metric::MeanScore => "mean_score",
            Metric::MeanLabel => "mean_label",
            Metric::GroupedPrecisionAtK { .. } => "grouped_precision_at_k",
            Metric::Mae => "mae",
            Metric::Rmse => "rmse",
            Metric::R2 => "r2",
        }
    }

    /// The metric of this name; `k` counts for `grouped_precision_at_k` only.
    pub fn from_name(name: &str, k: u32) -> Option<Metric> {
        let found = Metric::ALL.into_iter().find(|metric| metric.name() == name)?;
        Some(match found {
            Metric::GroupedPrecisionAtK { .. } => Metric::GroupedPrecisionAtK { k },
            other => other,
        })
    }

    /// Whether the metric is defined for the task.
    pub fn fits(self, task: &Task) -> bool {
        let is_regression = matches!(self, Metric::Mae | Metric::Rmse | Metric::R2);
        let is_any_class = matches!(
            self,
            Metric::Accuracy
                | Metric::Kappa
                | Metric::LogLoss
                | Metric::Ece
                | Metric::NoChangeAccuracy
                | Metric::KappaTemporal
        );
        match task {
            Task::Binary => !is_regression,
            Task::MultiClass { .. } => is_any_class,
            Task::Regression => {
                is_regression || matches!(self, Metric::MeanScore | Metric::MeanLabel)
            }
        }
    }
}
