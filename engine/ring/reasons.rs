//! Reasons of the scores of a batch: which inputs add or take the most, and how much.

/// Reasons by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasons {
    /// Where the reasons of each row end.
    ends: Vec<usize>,
    /// Number of an input's name, and what it adds to the log odds (or the value).
    all: Vec<(u32, f32)>,
}

impl Reasons {
    /// Adds those of the next row.
    pub fn push(&mut self, row: impl Iterator<Item = (u32, f32)>) {
        self.all.extend(row);
        self.ends.push(self.all.len());
    }

    /// Those of a row, largest first; none where none were asked for.
    #[must_use]
    pub fn of(&self, row: usize) -> &[(u32, f32)] {
        let Some(end) = self.ends.get(row) else { return &[] };
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..*end]
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.all.clear();
    }
}
