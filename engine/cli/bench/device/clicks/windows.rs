//! Windows for the clicks: seven of their categories are keys, each with six exact windows from a
//! minute to a day, of which count and mean are features.
//!
//! The stream goes on in time although its batches come again, so that entries leave as they enter.

use pelton::error::Error;
use pelton::generate::clicks::NUMBERS;
use pelton_kernels::window::device::TableColumns;
use pelton_kernels::window::{
    Aggregate, Feature, Layout, Over, Rows, TableSpec, Target, WindowSpec, WindowTable,
};

use super::{SLOTS, Slot};

/// Category columns, of 18 to two million values.
const KEYS: [usize; 7] = [3, 8, 12, 16, 20, 23, 25];
const WIDTHS_MS: [i64; 6] = [60_000, 300_000, 1_800_000, 3_600_000, 21_600_000, 86_400_000];
/// Features of a key.
const FEATURES: usize = 2 * WIDTHS_MS.len();
/// Features of an event.
pub const GIVEN: usize = KEYS.len() * FEATURES;
/// Bytes that must be moved for an event at least: of each key an entry, the sector of its newest
/// one, and of each window the sector where it begins.
pub const FLOOR: f64 = (KEYS.len() * (12 + 32 + 32 * WIDTHS_MS.len())) as f64;

/// The tables, and where each reads and writes.
pub fn specs() -> Vec<(TableSpec, TableColumns)> {
    let window = |&width_ms: &i64| WindowSpec { width_ms, delay_ms: 0, include_self: false };
    let features = (0..WIDTHS_MS.len()).flat_map(|window| {
        [Aggregate::Count, Aggregate::Mean { value: 0 }]
            .map(|aggregate| Feature { window, aggregate })
    });
    let spec = TableSpec {
        over: Over::Events,
        layout: Layout::Exact,
        values: 1,
        codes: 0,
        windows: WIDTHS_MS.iter().map(window).collect(),
        features: features.collect(),
        lateness_ms: 60_000,
        keys_max: 1 << 24,
        bytes_max: usize::MAX,
    };
    let tables = KEYS.iter().enumerate();
    let table = |(at, &key): (usize, &usize)| {
        let (key, values, codes) = (vec![key], vec![0], Vec::new());
        (spec.clone(), TableColumns { key, values, codes, offset: at * FEATURES })
    };
    tables.map(table).collect()
}

/// The tables on the CPU.
pub struct Here {
    tables: Vec<(WindowTable, TableColumns)>,
    /// `[rows, GIVEN]`.
    pub given: Vec<f32>,
}

impl Here {
    pub fn new(rows: usize) -> Result<Here, Error> {
        let open = |(spec, columns)| Ok((WindowTable::new(&spec)?, columns));
        let tables = specs().into_iter().map(open).collect::<Result<_, Error>>()?;
        Ok(Here { tables, given: vec![0.0; rows * GIVEN] })
    }

    /// Answers and enters the rows of a batch.
    pub fn run(&mut self, slot: &Slot) -> Result<(), Error> {
        let rows = slot.rows();
        for (table, columns) in &mut self.tables {
            let [key] = columns.key[..] else { continue };
            let value = columns.values[0];
            let batch = Rows {
                keys: &slot.categories[key * rows..][..rows],
                times_ms: &slot.times_ms,
                values: &[&slot.numbers[value * rows..][..rows]],
                codes: &[],
            };
            let offset = columns.offset;
            let mut target = Target { out: &mut self.given, stride: GIVEN, offset };
            table.process(&batch, 0..rows, &mut target)?;
        }
        Ok(())
    }
}

/// Batches that come again and again, each time later.
pub struct Stream {
    slots: Vec<Slot>,
    given: usize,
    span_ms: i64,
}

impl Stream {
    pub fn new(slots: Vec<Slot>) -> Stream {
        let first = slots.first().and_then(|slot| slot.times_ms.first().copied());
        let last = slots.last().and_then(|slot| slot.times_ms.last().copied());
        let span_ms = last.zip(first).map_or(0, |(last, first)| last - first + 1);
        Stream { slots, given: 0, span_ms }
    }

    /// The next batch.
    pub fn next(&mut self) -> &mut Slot {
        let slot = &mut self.slots[self.given % SLOTS];
        if self.given >= SLOTS {
            slot.times_ms.iter_mut().for_each(|time_ms| *time_ms += self.span_ms);
        }
        self.given += 1;
        slot
    }
}

/// Dense features of an event, the windows' included where there are any.
pub fn dense_width(has_windows: bool) -> usize {
    NUMBERS + if has_windows { GIVEN } else { 0 }
}
