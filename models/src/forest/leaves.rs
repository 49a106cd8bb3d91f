//! Histograms of the leaves that may split, in one flat array: a slot each.
//!
//! A leaf looks at a few columns drawn for it, and counts labels in [`LEAF_BINS`] bins of each,
//! which cover only the codes that can come there: the deeper a leaf, the finer its bins. Adding a
//! row is a scatter-add of one number a column.

use super::bins::Remap;
use super::split::Cell;

/// Bins of a column in a leaf.
pub(super) const LEAF_BINS: usize = 64;

/// A column of a leaf: which, and the first and last code that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    pub column: u16,
    pub low: u8,
    pub high: u8,
}

/// What is known of a leaf that may split.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Slot {
    /// Weight counted.
    pub weight: f32,
    /// Weight at which it is looked at again.
    pub next: f32,
    /// What labels are counted from, of values.
    pub offset: f32,
}

/// The slots.
#[derive(Clone, Debug)]
pub(super) struct Leaves {
    cell: Cell,
    /// Columns of a leaf.
    columns: usize,
    pub slots: Vec<Slot>,
    /// `[slots, columns]`.
    pub watched: Vec<Watched>,
    /// `[slots, columns, LEAF_BINS, cell]`.
    pub cells: Vec<f32>,
    /// Slots that are free and all zero, the next one last.
    pub free: Vec<u32>,
}

impl Watched {
    /// How many codes share a bin, as a power of two.
    #[inline]
    fn shift(self) -> u32 {
        const BITS: u32 = LEAF_BINS.trailing_zeros();
        (u8::BITS - (self.high - self.low).leading_zeros()).saturating_sub(BITS)
    }

    /// The bin of a code; one outside the range is in the nearest.
    #[inline]
    pub fn bin(self, code: u8) -> usize {
        usize::from((code.clamp(self.low, self.high) - self.low) >> self.shift())
    }

    /// The first and last code of a bin.
    pub fn codes(self, bin: usize) -> [usize; 2] {
        let first = usize::from(self.low) + (bin << self.shift());
        [first, (first + (1 << self.shift()) - 1).min(usize::from(self.high))]
    }
}

impl Leaves {
    /// Of no slots.
    pub fn new(cell: Cell, columns: usize) -> Leaves {
        let (slots, watched, cells, free) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Leaves { cell, columns, slots, watched, cells, free }
    }

    /// What a bin counts.
    pub fn cell(&self) -> Cell {
        self.cell
    }

    /// Columns of a leaf.
    pub fn columns_of_each(&self) -> usize {
        self.columns
    }

    /// Numbers of a slot.
    pub fn stride(&self) -> usize {
        self.columns * LEAF_BINS * self.cell.width()
    }

    /// A slot for a leaf that watches these columns.
    pub fn take(&mut self, slot: Slot, watched: &[Watched]) -> u32 {
        let stride = self.stride();
        let at = match self.free.pop() {
            Some(free) => free as usize,
            None => {
                self.slots.push(Slot::default());
                self.watched.resize(self.slots.len() * self.columns, Watched::default());
                self.cells.resize(self.slots.len() * stride, 0.0);
                self.slots.len() - 1
            }
        };
        self.slots[at] = slot;
        self.watched[at * self.columns..][..self.columns].copy_from_slice(watched);
        at as u32
    }

    /// Gives a slot back.
    pub fn give(&mut self, slot: u32) {
        let (at, stride) = (slot as usize, self.stride());
        self.slots[at] = Slot::default();
        self.watched[at * self.columns..][..self.columns].fill(Watched::default());
        self.cells[at * stride..][..stride].fill(0.0);
        self.free.push(slot);
    }

    /// Lets all that a leaf has counted count half.
    pub fn halve(&mut self, slot: u32) {
        let (at, stride) = (slot as usize, self.stride());
        self.slots[at].weight *= 0.5;
        self.cells[at * stride..][..stride].iter_mut().for_each(|cell| *cell *= 0.5);
    }

    /// Counts a row; whether it is time to look for a split.
    #[inline]
    pub fn add(&mut self, at: u32, codes: &[u8], label: f32, weight: f32) -> bool {
        let (at, width) = (at as usize, self.cell.width());
        let slot = &mut self.slots[at];
        slot.weight += weight;
        let label = if self.cell == Cell::Moments { label - slot.offset } else { label };
        let is_due = slot.weight >= slot.next;
        let watched = &self.watched[at * self.columns..][..self.columns];
        let stride = self.columns * LEAF_BINS * width;
        let columns = self.cells[at * stride..][..stride].chunks_exact_mut(LEAF_BINS * width);
        for (watched, bins) in watched.iter().zip(columns) {
            let bin = watched.bin(codes[usize::from(watched.column)]);
            self.cell.add(&mut bins[bin * width..][..width], label, weight);
        }
        is_due
    }

    /// The columns of a leaf with their histograms.
    pub fn columns(&self, at: u32) -> impl Iterator<Item = (Watched, &[f32])> {
        let (at, stride) = (at as usize, self.stride());
        let watched = &self.watched[at * self.columns..][..self.columns];
        let columns = self.cells[at * stride..][..stride].chunks_exact(stride / self.columns);
        watched.iter().copied().zip(columns)
    }

    /// Carries every histogram over to new bins: what was in an old bin is in the one of its upper
    /// edge.
    pub fn remap(&mut self, remap: &Remap) {
        let width = self.cell.width();
        let mut room = vec![0.0; LEAF_BINS * width];
        let columns = self.cells.chunks_exact_mut(LEAF_BINS * width);
        for (watched, cells) in self.watched.iter_mut().zip(columns) {
            let column = usize::from(watched.column);
            let [low, high] = [usize::from(watched.low), usize::from(watched.high)];
            let [low, high] = remap.range(column, [low, high]);
            let renewed = Watched { low, high, ..*watched };
            room.fill(0.0);
            for (bin, own) in cells.chunks_exact(width).enumerate() {
                if own.iter().all(|number| *number == 0.0) {
                    continue;
                }
                let [_, code] = remap.range(column, watched.codes(bin));
                let into = &mut room[renewed.bin(code) * width..][..width];
                into.iter_mut().zip(own).for_each(|(into, own)| *into += own);
            }
            cells.copy_from_slice(&room);
            *watched = renewed;
        }
    }
}
