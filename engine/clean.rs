//! Second stage: every value of a row that reaches the features is present, finite and plausible.
//!
//! First it is decided which rows stay (filter, lateness, duplicates, required values, ranges);
//! the others leave the batch as rejects or as filtered. Then the numbers of the rows that stay
//! are repaired column by column: missing values imputed, outliers clipped, by running statistics
//! of the values before them. All of it goes row by row in stream order, so that the result does
//! not depend on where a batch was cut.
//!
//! Not here: types (the decoder rejects what is no number) and scaling (features).

mod running;
mod screen;
mod state;

use crate::config::event::{EventConfig, Missing, NumberRule, OutOfRange, Outliers};
use crate::ring::Slot;

use running::{LastSeen, RunningMoments, RunningQuantiles};
use screen::Screen;

/// What has been repaired so far, by number column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairCounts {
    /// Missing values that were imputed.
    pub imputed: u64,
    /// Values outside the range that were clipped to it, or made missing.
    pub out_of_range: u64,
    /// Outliers that were clipped.
    pub clipped: u64,
}

/// The state of the clean stage.
pub struct Clean {
    screen: Screen,
    columns: Vec<Column>,
}

struct Column {
    rule: NumberRule,
    moments: RunningMoments,
    quantiles: Option<RunningQuantiles>,
    last: Option<LastSeen>,
    counts: RepairCounts,
}

impl Clean {
    /// The stage for events of this kind.
    #[must_use]
    pub fn new(config: &EventConfig, keys_max: usize) -> Clean {
        let columns = config.numbers.iter().map(|rule| Column::new(rule, keys_max)).collect();
        Clean { screen: Screen::new(config), columns }
    }

    /// Removes the rows that cannot be scored and repairs the others.
    pub fn run(&mut self, slot: &mut Slot) {
        self.screen.run(slot);
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.repair(slot, index);
        }
    }

    /// What has been repaired so far, by number column.
    pub fn counts(&self) -> impl Iterator<Item = (&str, RepairCounts)> {
        self.columns.iter().map(|column| (column.rule.name.as_str(), column.counts))
    }
}

impl Column {
    fn new(rule: &NumberRule, keys_max: usize) -> Column {
        let quantiles = match rule.outliers {
            Outliers::Quantiles(low, high) => Some(RunningQuantiles::new(low, high)),
            Outliers::Keep | Outliers::Sigma(_) => None,
        };
        let last = match rule.missing {
            Missing::Last { .. } => Some(LastSeen::new(keys_max)),
            Missing::Constant(_) | Missing::Mean | Missing::Reject => None,
        };
        let (moments, counts) = (RunningMoments::default(), RepairCounts::default());
        Column { rule: rule.clone(), moments, quantiles, last, counts }
    }

    fn repair(&mut self, slot: &mut Slot, index: usize) {
        let rows = slot.rows;
        let mut values = slot.numbers.row_mut(index);
        let values = values.as_slice_mut().expect("rows of a standard-layout array");
        for (row, value) in values[..rows].iter_mut().enumerate() {
            let key = match self.rule.missing {
                Missing::Last { key } => slot.categories[[key, row]],
                Missing::Constant(_) | Missing::Mean | Missing::Reject => 0,
            };
            let given = self.in_range(*value);
            if given.is_nan() {
                self.counts.imputed += 1;
                *value = self.impute(key);
                continue;
            }
            *value = self.clip_outlier(given);
            self.observe(given, *value, key);
        }
    }

    /// The screen has removed rows whose range rule is to reject them.
    fn in_range(&mut self, value: f32) -> f32 {
        let Some((low, high)) = self.rule.range else { return value };
        if value.is_nan() || (low..=high).contains(&value) {
            return value;
        }
        self.counts.out_of_range += 1;
        match self.rule.out_of_range {
            OutOfRange::Clip => value.clamp(low, high),
            OutOfRange::Missing | OutOfRange::Reject => f32::NAN,
        }
    }

    fn impute(&self, key: u64) -> f32 {
        let last = self.last.as_ref().and_then(|last| last.get(key));
        match (self.rule.missing, last) {
            (Missing::Constant(constant), _) => constant,
            (_, Some(value)) => value,
            (_, None) => self.moments.mean(),
        }
    }

    fn clip_outlier(&mut self, value: f32) -> f32 {
        let bounds = match (self.rule.outliers, &self.quantiles) {
            (Outliers::Sigma(sigma), _) => self.moments.bounds(sigma),
            (_, Some(quantiles)) => quantiles.bounds(),
            (_, None) => None,
        };
        let clipped = bounds.map_or(value, |(low, high)| value.max(low).min(high));
        self.counts.clipped += u64::from(clipped != value);
        clipped
    }

    /// Quantiles learn the value as it was given, or their tails would shrink by their own
    /// clipping; the moments learn the clipped value, or one wild value would open the gate for
    /// the next.
    fn observe(&mut self, given: f32, clipped: f32, key: u64) {
        self.moments.add(clipped);
        if let Some(quantiles) = &mut self.quantiles {
            quantiles.add(given);
        }
        if let Some(last) = &mut self.last {
            last.put(key, clipped);
        }
    }
}

#[cfg(test)]
mod tests;
