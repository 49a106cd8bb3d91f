//! Second stage: every value of a row that reaches the features is present, finite and plausible.
//!
//! First it is decided which rows stay (filter, lateness, duplicates, required values, ranges);
//! the others leave the batch as rejects or as filtered. Then the numbers of the rows that stay
//! are repaired column by column: missing values imputed, outliers clipped, by running statistics
//! of the values before them. All of it goes row by row in stream order, so that the result does
//! not depend on where a batch was cut.
//!
//! Not here: types (the decoder rejects what is no number) and scaling (features).

mod last;
mod screen;
mod state;

use pelton_kernels::repair::{Repair, RepairCounts, RepairSpec};

use crate::config::event::{EventConfig, Missing, NumberRule, OutOfRange};
use crate::ring::Slot;

use last::LastSeen;
use screen::Screen;

/// The state of the clean stage.
pub struct Clean {
    screen: Screen,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    repair: Repair,
    /// The last values by the category of this column.
    last: Option<(usize, LastSeen)>,
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
            column.run(slot, index);
        }
    }

    /// What has been repaired so far, by number column.
    pub fn counts(&self) -> impl Iterator<Item = (&str, RepairCounts)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.repair.counts()))
    }
}

impl Column {
    fn new(rule: &NumberRule, keys_max: usize) -> Column {
        let (constant, last) = match rule.missing {
            Missing::Constant(constant) => (Some(constant), None),
            Missing::Last { key } => (None, Some((key, LastSeen::new(keys_max)))),
            Missing::Mean | Missing::Reject => (None, None),
        };
        // The screen has removed rows whose range rule is to reject them.
        let clips_range = rule.out_of_range == OutOfRange::Clip;
        let (range, outliers) = (rule.range, rule.outliers);
        let repair = Repair::new(RepairSpec { range, clips_range, constant, outliers });
        Column { name: rule.name.clone(), repair, last }
    }

    fn run(&mut self, slot: &mut Slot, index: usize) {
        let rows = slot.rows;
        let Slot { numbers, categories, .. } = slot;
        let values = &mut numbers.column_mut(index)[..rows];
        let Some((key, last)) = &mut self.last else {
            return self.repair.run(values);
        };
        for (value, &key) in values.iter_mut().zip(categories.column(*key)) {
            let (repaired, is_given) = self.repair.one(*value, || last.get(key));
            *value = repaired;
            if is_given {
                last.put(key, repaired);
            }
        }
    }
}

#[cfg(test)]
mod tests;
