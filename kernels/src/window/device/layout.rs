//! What the kernels of windows are given: structures as `table.cuh` declares them.

use super::super::plan::{Formula, Plan};
use super::super::{Over, TableSpec};
use crate::KernelError;
use crate::device::Plain;

/// Entries of a chunk.
pub(super) const CHUNK: usize = 8;
/// The end of a list of what is free.
const NOTHING: u32 = u32::MAX;
const RING_CLASSES: usize = 30;

/// A window.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct WindowArgued {
    width_ms: i64,
    delay_ms: i64,
    with_self: u32,
    first_reading: u32,
    readings: u32,
    unused: u32,
}

/// An output column.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct ReadingArgued {
    kind: u32,
    column: u32,
    source: u32,
    unused: u32,
    constant: f64,
}

/// A reference to a chunk.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct ChunkRef {
    first_ms: i64,
    chunk: u32,
    level: u32,
}

/// What is kept of a key beside its entries.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct KeyHead {
    /// 0 for a slot that is free.
    pub key: u64,
    first: u32,
    end: u32,
    ring: u32,
    bits: u32,
    pub newest_ms: i64,
    own: [ChunkRef; 2],
}

impl KeyHead {
    /// Entries of the key.
    pub fn len(&self) -> u32 {
        self.end.wrapping_sub(self.first)
    }
}

/// How a table stands after a batch.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Standing {
    pub watermark_ms: i64,
    /// Missing keys, missing values, saturated values, too late.
    pub counts: [u64; 4],
    pub entries: u64,
    pub slots: u32,
    pub free_slots: u32,
    pub chunks: u32,
    pub free_chunks: u32,
    pub rings: u32,
    pub segments: u32,
    /// What there was no room for: a bug of the bounds here.
    pub failures: u32,
    pub free_chunk: u32,
    pub free_rings: [u32; RING_CLASSES],
}

impl Default for Standing {
    fn default() -> Standing {
        Standing {
            watermark_ms: i64::MIN,
            counts: [0; 4],
            entries: 0,
            slots: 0,
            free_slots: 0,
            chunks: 0,
            free_chunks: 0,
            rings: 0,
            segments: 0,
            failures: 0,
            free_chunk: NOTHING,
            free_rings: [NOTHING; RING_CLASSES],
        }
    }
}

impl Standing {
    /// Keys held, idle ones included.
    pub fn keys(&self) -> usize {
        (self.slots - self.free_slots) as usize
    }
}

/// What a batch says of one key.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Segment {
    numbers: [u32; 6],
    horizon_ms: i64,
}

/// A table and its batch, as `KeyedTable` has them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct TableArgued {
    /// Keys, slots, heads, free slots, when used, rings, chunks, standing.
    pub kept: [u64; 8],
    /// Windows, readings.
    pub plan: [u64; 2],
    /// Times, numbers, categories, the list of columns, the outputs.
    pub rows_at: [u64; 5],
    /// Keys, times, values, codes, rows before which.
    pub labels_at: [u64; 5],
    /// Sources, places, watermarks, sorted, sorting, visible, segments.
    pub work: [u64; 7],
    pub lateness_ms: i64,
    pub reach_ms: i64,
    pub distinct_ms: i64,
    pub key_bits: u32,
    pub slots_max: u32,
    pub chunks_max: u32,
    pub rings_max: u32,
    pub chunk_words: u32,
    pub key_columns: u32,
    pub values: u32,
    pub codes: u32,
    pub windows: u32,
    pub readings: u32,
    pub rows: u32,
    pub labels: u32,
    pub stride: u32,
    pub out_stride: u32,
    pub out_offset: u32,
    pub sort_passes: u32,
    pub has_squares: u32,
    pub is_over_labels: u32,
    pub is_loading: u32,
    pub batch: u32,
    pub has_extremes: u32,
    pub has_distincts: u32,
    pub first_seq: u32,
    pub unused: u32,
    pub code_lists: u64,
}

// SAFETY: numbers only, without padding: 32, 24, 16, 64, 200, 32 and 344 bytes.
unsafe impl Plain for WindowArgued {}
// SAFETY: as above.
unsafe impl Plain for ReadingArgued {}
// SAFETY: as above.
unsafe impl Plain for ChunkRef {}
// SAFETY: as above.
unsafe impl Plain for KeyHead {}
// SAFETY: as above.
unsafe impl Plain for Standing {}
// SAFETY: as above.
unsafe impl Plain for Segment {}
// SAFETY: as above.
unsafe impl Plain for TableArgued {}

const _: () = {
    assert!(size_of::<WindowArgued>() == 32 && size_of::<ReadingArgued>() == 24);
    assert!(size_of::<ChunkRef>() == 16 && size_of::<KeyHead>() == 64);
    assert!(size_of::<Standing>() == 200 && size_of::<Segment>() == 32);
    assert!(size_of::<TableArgued>() == 344);
};

/// What a GPU computes of a table.
pub(super) struct Layout {
    pub plan: Plan,
    pub windows: Vec<WindowArgued>,
    pub readings: Vec<ReadingArgued>,
    /// Of a chunk, in 32 bits.
    pub chunk_words: usize,
    pub has_squares: bool,
    /// Whether `min` or `max` is read.
    pub has_extremes: bool,
    /// Whether `distinct` is, and the widest window that does.
    pub has_distincts: bool,
    pub distinct_ms: i64,
    /// Words of a saved entry.
    pub entry_words: usize,
}

impl Layout {
    /// The layout of a table of entries; one of tiles is refused.
    pub fn new(spec: &TableSpec) -> Result<Layout, KernelError> {
        let plan = Plan::new(spec)?;
        if plan.layout.is_tiled() {
            let reason = "a table of tiles is not kept on a GPU";
            return Err(KernelError::Value { kernel: "window", argument: "layout", reason });
        }
        let (mut windows, mut readings) = (Vec::new(), Vec::new());
        for group in &plan.groups {
            for window in &plan.windows[group.windows.clone()] {
                let first = readings.len();
                let all = plan.before.iter().chain(&plan.after);
                let own = all.filter(|reading| reading.window == window.index);
                readings.extend(own.map(|reading| argued(&plan, reading.column, reading.formula)));
                windows.push(WindowArgued {
                    width_ms: window.width_ms,
                    delay_ms: group.delay_ms,
                    with_self: u32::from(group.with_self),
                    first_reading: small(first),
                    readings: small(readings.len() - first),
                    unused: 0,
                });
            }
        }
        let has_squares = plan.squares > 0;
        let (has_extremes, has_distincts) = (!plan.extremes.is_empty(), !plan.distincts.is_empty());
        let totals = if has_squares { 16 } else { 8 };
        // A value has room for what a node knows of one code; chunks begin with sectors of memory.
        let others = spec.codes.saturating_sub(spec.values).next_multiple_of(CHUNK);
        let nodes = if has_distincts { others } else { 0 };
        let entries = CHUNK * (2 + spec.values + 3 * spec.codes);
        let reading = plan.windows.iter().filter(|window| !window.distincts.is_empty());
        let distinct_ms = reading.map(|window| window.width_ms).max().unwrap_or(0);
        Ok(Layout {
            chunk_words: entries + totals * spec.values + nodes,
            entry_words: plan.layout.words(),
            plan,
            windows,
            readings,
            has_squares,
            has_extremes,
            has_distincts,
            distinct_ms,
        })
    }

    pub fn is_over_labels(&self) -> bool {
        self.plan.over == Over::Labels
    }
}

fn argued(plan: &Plan, column: usize, formula: Formula) -> ReadingArgued {
    let value = |term: usize| plan.sums[term].value;
    let (kind, source, constant) = match formula {
        Formula::Count => (0, 0, 0.0),
        Formula::Rate { width_s } => (1, 0, width_s),
        Formula::Since { empty_s } => (2, 0, f64::from(empty_s)),
        Formula::Distinct { term } => (3, plan.distincts[term].column, 0.0),
        Formula::Sum { term } => (4, value(term), 0.0),
        Formula::Mean { term } => (5, value(term), 0.0),
        Formula::Std { term, .. } => (6, value(term), 0.0),
        Formula::Min { term } => (7, plan.extremes[term].column, 0.0),
        Formula::Max { term } => (8, plan.extremes[term].column, 0.0),
        Formula::Last { value } => (9, value, 0.0),
        Formula::Ratio { value, .. } => (10, value, 0.0),
    };
    ReadingArgued { kind, column: small(column), source: small(source), unused: 0, constant }
}

/// Columns, rows and places are below 2^32.
pub(super) fn small(value: usize) -> u32 {
    u32::try_from(value).expect("columns, rows and places are below 2^32")
}
