//! Sliding windows by key, exact to the last bit whatever the batch cuts.
//!
//! Feature stage: after cleaning, before scaling. One [`WindowTable`] per key column; it knows no
//! streams and no configuration. Joining labels to events and refusing late events is the caller's.
//!
//! # Formula
//! The window of a row of key k at time t holds the entries e of k that entered before it and have
//! `t - width - delay < e.time <= t - delay`; with `include_self` (for delay 0, tables over events)
//! the row itself too. Entries of one time are ordered by arrival. An aggregate of a value column
//! sees the entries whose value is not NaN:
//!
//! | aggregate | value | empty window or missing key |
//! | --- | --- | --- |
//! | count | entries, NaN or not | 0 |
//! | rate | count / width, per second | 0 |
//! | since | seconds since the newest entry (never the row itself) | width + delay in seconds |
//! | distinct | different codes of a code column, 0 being one of them | 0 |
//! | sum, mean, std | of the values; std is the population's | 0 |
//! | min, max, last | of the values; last is the newest | 0 |
//! | ratio | the row's own value / mean, clamped to +-2^62; 0 if it is NaN or the mean 0 | 0 |
//!
//! # Determinism
//! Sums are exact integers (see [`crate::fixed`]), so an output depends on the *set* of entries in
//! the window and is rounded by one fixed chain of operations. It equals brute force over the
//! whole history in every bit, for any cuts, late rows, saving and loading.
//!
//! # Time and lateness
//! Milliseconds. The watermark is the largest time of a row that asked. A row up to `lateness_ms`
//! behind it is answered for its own time and enters at its own place, after equal times; one
//! further behind is counted in [`WindowCounts::too_late`], gets the empty values and does not
//! enter (neither does a label entry that no window can reach any more).
//!
//! # State
//! Each entry is kept once per key, however many windows there are; a window is a head and a tail
//! into the key's ring, and windows of one delay share the head. Entries that no window can reach
//! any more go when their key is next written to, keys without reachable entries a few per row;
//! neither shows in any output. `keys_max` and `bytes_max` evict the key whose newest entry is the
//! oldest (ties: the smaller key), which shows in the outputs and in [`WindowCounts`].
//!
//! # The tiled layout
//! [`Layout::Tiled`] keeps sums per tile of `tile_ms` (aligned to multiples of it) instead of
//! entries: at most `(longest width + delay + lateness) / tile_ms + 2` tiles per key, however many
//! entries. A window then is the exact one over whole tiles: it holds the entries whose tile
//! *starts* in `(t - width - delay, t - delay]`. Bound: it differs from the exact window only by
//! entries in two strips narrower than a tile: it lacks those in the tile cut by
//! `t - width - delay`, and has (for delay 0 only if there were late rows) those of the tile of
//! `t - delay` that are newer. Count is off by no more than the entries in the strips, sum by no
//! more than the sum of their magnitudes; since is exact but for late rows. `distinct` is refused.
//!
//! # Cost
//! A row moves each cursor past the entries that came into or left its window: constant work per
//! entry and window over the stream, but for min and max, which search their window again after an
//! extreme left it, and for late rows, which move cursors back and forth.
//!
//! # On a GPU
//! [`device`] has the exact layout there: the same outputs, counts and saved bytes.

mod ahead;
mod arena;
mod checks;
mod code_counts;
pub mod device;
mod entry;
mod key_index;
mod keys;
mod lane;
mod lanes;
mod plan;
mod state;
mod table;
#[cfg(test)]
mod tests;

pub use table::WindowTable;

/// What one table keeps and computes.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// What enters the windows.
    pub over: Over,
    /// Entries or tiles.
    pub layout: Layout,
    /// Value columns given with each entry.
    pub values: usize,
    /// Code columns given with each entry.
    pub codes: usize,
    /// The windows.
    pub windows: Vec<WindowSpec>,
    /// The output columns, in order.
    pub features: Vec<Feature>,
    /// How far a row may be behind the newest one.
    pub lateness_ms: i64,
    /// Keys held at most.
    pub keys_max: usize,
    /// [`WindowTable::accounted_bytes`] at most.
    pub bytes_max: usize,
}

/// What enters the windows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Every row that asks enters too: [`WindowTable::process`].
    Events,
    /// Rows ask ([`WindowTable::query`]); labels enter at arrival ([`WindowTable::insert`]).
    Labels,
}

/// How entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One by one: exact.
    Exact,
    /// Summed up by tiles: memory does not grow with volume.
    Tiled {
        /// The width of a tile, at most the narrowest window's.
        tile_ms: i64,
    },
}

/// A window: `(t - width - delay, t - delay]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpec {
    /// How much time it covers.
    pub width_ms: i64,
    /// How far its end is behind the row.
    pub delay_ms: i64,
    /// Whether the row itself is in it; matters for delay 0 in tables over events.
    pub include_self: bool,
}

/// An output column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Index into `TableSpec::windows`.
    pub window: usize,
    /// What is computed over it.
    pub aggregate: Aggregate,
}

/// What is computed over a window; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table says it; the fields index the columns")]
pub enum Aggregate {
    Count,
    Rate,
    Since,
    Distinct { code: usize },
    Sum { value: usize },
    Mean { value: usize },
    Std { value: usize },
    Min { value: usize },
    Max { value: usize },
    Last { value: usize },
    Ratio { value: usize },
}

impl Aggregate {
    /// The value column it is of, if it is of one.
    pub fn value(&self) -> Option<usize> {
        match *self {
            Self::Sum { value }
            | Self::Mean { value }
            | Self::Std { value }
            | Self::Min { value }
            | Self::Max { value }
            | Self::Last { value }
            | Self::Ratio { value } => Some(value),
            Self::Count | Self::Rate | Self::Since | Self::Distinct { .. } => None,
        }
    }
}

/// Columns of a batch; a call names the range of rows it is for.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Codes of the key column; 0 is a missing key.
    pub keys: &'a [u64],
    /// Event times, or arrival times of labels.
    pub times_ms: &'a [i64],
    /// Value columns; NaN is a missing value.
    pub values: &'a [&'a [f32]],
    /// Code columns.
    pub codes: &'a [&'a [u64]],
}

/// A row-major matrix to write features into; several tables may write into one.
#[derive(Debug)]
pub struct Target<'a> {
    /// The matrix.
    pub out: &'a mut [f32],
    /// Elements from one row to the next.
    pub stride: usize,
    /// The table's first column.
    pub offset: usize,
}

impl Target<'_> {
    #[inline]
    fn row(&mut self, row: usize, width: usize) -> &mut [f32] {
        &mut self.out[row * self.stride + self.offset..][..width]
    }
}

/// What was unusual, counted since the table was new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// Rows and label entries without a key.
    pub missing_keys: u64,
    /// Values that were NaN.
    pub missing_values: u64,
    /// Values beyond +-2^62, clamped.
    pub saturated_values: u64,
    /// Rows and label entries later than `lateness_ms` allows, or with a time beyond +-2^60.
    pub too_late: u64,
    /// Keys evicted by a limit.
    pub evicted_keys: u64,
    /// Entries that went with them.
    pub evicted_entries: u64,
}

impl WindowCounts {
    const WORDS: usize = 6;

    fn words(&self) -> [u64; Self::WORDS] {
        let evicted = [self.evicted_keys, self.evicted_entries];
        let values = [self.missing_values, self.saturated_values];
        [self.missing_keys, values[0], values[1], self.too_late, evicted[0], evicted[1]]
    }

    fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [missing_keys, missing_values, saturated_values, too_late, keys, entries] = words;
        let (evicted_keys, evicted_entries) = (keys, entries);
        Self {
            missing_keys,
            missing_values,
            saturated_values,
            too_late,
            evicted_keys,
            evicted_entries,
        }
    }
}
