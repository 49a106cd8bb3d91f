//! What to measure, over which rows and in how much memory.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter};

use super::metric::Metric;
use crate::Task;

/// The settings of an [`Evaluator`](super::Evaluator).
///
/// Memory, besides open days of grouped precision: `16 * trailing_rows` bytes, and for `auc`,
/// `average_precision` or `ece` four bytes per judged row up to `exact_rows_max` (twice that while
/// a report is made), 8 MB beyond.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluateSpec {
    /// What the scores and labels are.
    pub task: Task,
    /// The measures, in the order of the report.
    pub metrics: Vec<Metric>,
    /// Event times below this are not judged; milliseconds since the epoch.
    pub from_ms: Option<i64>,
    /// Event times from here on are not judged; milliseconds since the epoch.
    pub to_ms: Option<i64>,
    /// Rows of the trailing report.
    pub trailing_rows: usize,
    /// Scores kept one by one for the ranking measures; beyond it they go into a histogram whose
    /// error bound is reported.
    pub exact_rows_max: usize,
}

/// Why a spec or a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The metric is not defined for the task.
    #[error("metric {} is not defined for this task", .metric.name())]
    MetricUnfit {
        /// The metric.
        metric: Metric,
    },
    /// No event time lies in the bounds.
    #[error("no time lies in [{from_ms}, {to_ms}) ms")]
    BoundsEmpty {
        /// The lower bound, milliseconds since the epoch.
        from_ms: i64,
        /// The upper bound, milliseconds since the epoch.
        to_ms: i64,
    },
    /// A multi-class task needs two classes at least.
    #[error("{classes} classes: two are the least")]
    ClassesTooFew {
        /// Classes given.
        classes: u32,
    },
    /// `k` of grouped precision is 0, or the metric is asked for twice.
    #[error("grouped precision takes one k of at least 1")]
    GroupsNone,
    /// The state was written under other settings.
    #[error("the evaluation state was written under other settings")]
    StateOfAnotherSpec,
    /// The state ends early or is damaged.
    #[error("the evaluation state cannot be read")]
    State(#[from] io::Error),
}

impl EvaluateSpec {
    /// Rows of the trailing report unless said otherwise.
    pub const TRAILING_ROWS: usize = 10_000;
    /// Scores kept one by one unless said otherwise: 16 MB.
    pub const EXACT_ROWS_MAX: usize = 1 << 22;

    /// The metrics over all rows, with the default sizes.
    pub fn new(task: Task, metrics: Vec<Metric>) -> EvaluateSpec {
        EvaluateSpec {
            task,
            metrics,
            from_ms: None,
            to_ms: None,
            trailing_rows: EvaluateSpec::TRAILING_ROWS,
            exact_rows_max: EvaluateSpec::EXACT_ROWS_MAX,
        }
    }

    /// Whether an event of this time is judged.
    #[inline]
    pub fn covers(&self, event_time_ms: i64) -> bool {
        self.from_ms.is_none_or(|from| event_time_ms >= from)
            && self.to_ms.is_none_or(|to| event_time_ms < to)
    }

    pub(super) fn check(&self) -> Result<(), EvaluateError> {
        if let Task::MultiClass { classes } = self.task
            && classes < 2
        {
            return Err(EvaluateError::ClassesTooFew { classes });
        }
        if let Some(&metric) = self.metrics.iter().find(|metric| !metric.fits(&self.task)) {
            return Err(EvaluateError::MetricUnfit { metric });
        }
        let ks: Vec<u32> = self
            .metrics
            .iter()
            .filter_map(|metric| match metric {
                Metric::GroupedPrecisionAtK { k } => Some(*k),
                _ => None,
            })
            .collect();
        if ks.len() > 1 || ks.contains(&0) {
            return Err(EvaluateError::GroupsNone);
        }
        match (self.from_ms, self.to_ms) {
            (Some(from_ms), Some(to_ms)) if from_ms >= to_ms => {
                Err(EvaluateError::BoundsEmpty { from_ms, to_ms })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.list(&self.identity())
    }

    /// Whether the state goes on with the identity of this very spec.
    pub(super) fn reads_itself(&self, state: &mut StateReader<'_>) -> io::Result<bool> {
        let identity = self.identity();
        let length: u64 = state.get()?;
        Ok(length == identity.len() as u64 && state.numbers::<u8>(identity.len())? == identity)
    }

    /// The spec as bytes: version of the state's layout first.
    fn identity(&self) -> Vec<u8> {
        let mut bytes = b"evaluate 2\n".to_vec();
        let classes = match self.task {
            Task::Binary => 1,
            Task::MultiClass { classes } => u64::from(classes),
            Task::Regression => 0,
        };
        let bound = |bytes: &mut Vec<u8>, bound: Option<i64>| {
            bytes.push(u8::from(bound.is_some()));
            bytes.extend(bound.unwrap_or(0).to_le_bytes());
        };
        bytes.extend(classes.to_le_bytes());
        bound(&mut bytes, self.from_ms);
        bound(&mut bytes, self.to_ms);
        bytes.extend((self.trailing_rows as u64).to_le_bytes());
        bytes.extend((self.exact_rows_max as u64).to_le_bytes());
        for metric in &self.metrics {
            bytes.extend(metric.name().as_bytes());
            if let Metric::GroupedPrecisionAtK { k } = metric {
                bytes.extend(k.to_le_bytes());
            }
            bytes.push(b'\n');
        }
        bytes
    }
}
