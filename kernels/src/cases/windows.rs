//! Work for the windows: a stream that goes on in time, batch after batch, over the same keys.

use super::{Draw, Work, brought, bytes, pinned};
use crate::assemble::Columns;
use crate::assemble::device::{ColumnBuffers, PinnedColumns};
use crate::coordinate::device::TableError;
use crate::device::{Pinned, Stream};
use crate::window::device::{Arranging, DeviceWindows, TableColumns};
use crate::window::{
    Aggregate, Feature, Layout, Over, Rows, TableSpec, Target, WindowSpec, WindowTable,
};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
/// Between two rows, on average.
const STEP_MS: u64 = 20;
const NUMBERS: usize = 2;
/// Codes of the last category.
const CODES: u64 = 12;

/// How a stream of this work looks.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Key columns, each with a table over events.
    keys: usize,
    /// Every aggregate, and a table over labels of the first key.
    has_all: bool,
    /// The share of rows that come after newer ones.
    late: f32,
    /// Rows in a row of each of two sources over the same time; 0 for one source.
    stretch: usize,
    /// The share of a batch's time that the next one has too.
    overlap: f64,
    /// Keys that stay on the GPU after a batch, where not all do.
    hot: Option<usize>,
    /// Keys of the first column; one is seen more than the others.
    most: u64,
    /// How wide the windows are.
    seconds: &'static [i64],
    /// How calls are brought in order, where it is not left to their number.
    arranging: Option<Arranging>,
}

/// Seven keys of a payment, each with six windows.
pub(super) const WIDE: Shape = Shape {
    keys: 7,
    has_all: false,
    late: 0.0,
    stretch: 0,
    overlap: 0.0,
    hot: None,
    most: 100,
    // Minutes to a day.
    seconds: &[60, 300, 1800, 3600, 21_600, 86_400],
    arranging: None,
};
/// Whatever there is; so little time that entries leave in any batch.
pub(super) const EVERYTHING: Shape = Shape {
    keys: 2,
    has_all: true,
    late: 0.02,
    stretch: 0,
    overlap: 0.0,
    hot: None,
    most: 100,
    seconds: &[1, 3, 12],
    arranging: None,
};
/// The same, where even few calls are brought in order by many blocks.
pub(super) const MANY_BLOCKS: Shape =
    Shape { arranging: Some(Arranging { wide_from: 1, stretch: 100 }), ..EVERYTHING };
/// The same, where most keys lie on the host between batches.
pub(super) const COLD: Shape = Shape { hot: Some(5), ..EVERYTHING };
/// Rows in order, a third of them of one key, and long windows.
pub(super) const BUSY: Shape =
    Shape { keys: 1, late: 0.0, most: 30, seconds: &[10, 300, 3600], ..EVERYTHING };
/// Most rows have one key, and come from two sources that take turns.
pub(super) const TURNS: Shape = Shape { keys: 1, stretch: 20, most: 3, ..EVERYTHING };
/// Most rows have one key, and a batch comes among the entries of the one before.
pub(super) const OVERLAP: Shape = Shape { keys: 1, overlap: 0.75, most: 3, ..EVERYTHING };

pub(super) struct WindowWork {
    shape: Shape,
    specs: Vec<(TableSpec, TableColumns)>,
    here: Vec<WindowTable>,
    times_ms: Vec<i64>,
    span_ms: i64,
    numbers: Vec<f32>,
    categories: Vec<u64>,
    labels: LabelColumns,
    out: Vec<f32>,
    there: Option<There>,
}

/// Labels that come among the rows.
#[derive(Default)]
struct LabelColumns {
    keys: Vec<u64>,
    times_ms: Vec<i64>,
    values: Vec<f32>,
    before_rows: Vec<u32>,
}

struct There {
    windows: DeviceWindows,
    columns: ColumnBuffers,
    times_ms: Pinned<i64>,
    label_times_ms: Vec<i64>,
}

fn aggregates(over: Over, has_all: bool) -> Vec<Aggregate> {
    if !has_all {
        return vec![Aggregate::Count, Aggregate::Mean { value: 0 }];
    }
    let mut all = vec![Aggregate::Count, Aggregate::Rate, Aggregate::Since];
    for value in 0..values_of(over) {
        all.extend([Aggregate::Sum { value }, Aggregate::Mean { value }]);
        all.extend([Aggregate::Std { value }, Aggregate::Last { value }]);
        all.extend([Aggregate::Min { value }, Aggregate::Max { value }]);
    }
    if over == Over::Events {
        all.extend([Aggregate::Ratio { value: 1 }, Aggregate::Distinct { code: 0 }]);
    }
    all
}

fn values_of(over: Over) -> usize {
    if over == Over::Events { NUMBERS } else { 1 }
}

fn spec(over: Over, shape: Shape) -> TableSpec {
    let seconds = shape.seconds;
    let window = |(at, &seconds): (usize, &i64)| WindowSpec {
        width_ms: seconds * SECOND_MS,
        delay_ms: if at == 2 { SECOND_MS } else { 0 },
        include_self: at % 2 == 0,
    };
    let features = (0..seconds.len()).flat_map(|window| {
        let all = aggregates(over, shape.has_all).into_iter();
        all.map(move |aggregate| Feature { window, aggregate })
    });
    TableSpec {
        over,
        layout: Layout::Exact,
        values: values_of(over),
        codes: usize::from(over == Over::Events),
        windows: seconds.iter().enumerate().map(window).collect(),
        features: features.collect(),
        lateness_ms: if shape.overlap > 0.0 { MINUTE_MS } else { SECOND_MS },
        keys_max: 1 << 22,
        bytes_max: usize::MAX,
    }
}

fn specs(shape: Shape) -> Vec<(TableSpec, TableColumns)> {
    let overs =
        std::iter::repeat_n(Over::Events, shape.keys).chain(shape.has_all.then_some(Over::Labels));
    let mut offset = 0;
    overs
        .enumerate()
        .map(|(index, over)| {
            let spec = spec(over, shape);
            let own = over == Over::Events;
            let columns = TableColumns {
                key: vec![index % shape.keys],
                values: if own { vec![0, 1] } else { vec![] },
                codes: if own { vec![shape.keys] } else { vec![] },
                offset,
            };
            offset += spec.features.len();
            (spec, columns)
        })
        .collect()
}

/// Times of rows, and how much time passes.
fn times_of(rows: usize, shape: Shape, draw: &mut Draw) -> (Vec<i64>, i64) {
    let mut now_ms = 0;
    let mut time = || {
        now_ms += (draw.bits() % (2 * STEP_MS)) as i64;
        let is_late = shape.late > 0.0 && draw.unit() < shape.late;
        now_ms - if is_late { (draw.bits() % 1200) as i64 } else { 0 }
    };
    let mut times_ms: Vec<i64> = (0..rows).map(|_| time()).collect();
    if shape.stretch > 0 {
        for turn in times_ms.chunks_mut(2 * shape.stretch) {
            let odd = turn.iter().skip(1).step_by(2);
            let taken: Vec<i64> = turn.iter().step_by(2).chain(odd).copied().collect();
            turn.copy_from_slice(&taken);
        }
    }
    (times_ms, ((now_ms + 1) as f64 * (1.0 - shape.overlap)) as i64)
}

impl WindowWork {
    pub fn open((rows, seed): (usize, u64), shape: Shape) -> Result<Box<dyn Work>, TableError> {
        let (mut draw, specs) = (Draw::new(seed), specs(shape));
        let (times_ms, span_ms) = times_of(rows, shape, &mut draw);
        let mut labels = LabelColumns::default();
        for (row, &time_ms) in times_ms.iter().enumerate() {
            if shape.has_all && draw.unit() < 0.2 {
                labels.keys.push(draw.bits() % (shape.most / 2).max(2));
                labels.times_ms.push(time_ms);
                labels.values.push((draw.bits() % 2) as f32);
                labels.before_rows.push(row as u32);
            }
        }
        let mut categories = Vec::new();
        for key in 0..shape.keys {
            // A few busy ones and many that are seldom seen; more of them with each key.
            let most = (shape.most << (2 * key)) as f32;
            let code = |draw: &mut Draw| (draw.unit().powi(3) * most) as u64 + 1;
            categories.extend((0..rows).map(|_| code(&mut draw)));
        }
        categories.extend((0..rows).map(|_| draw.bits() % CODES));
        let width: usize = specs.iter().map(|(spec, _)| spec.features.len()).sum();
        let here = specs.iter().map(|(spec, _)| WindowTable::new(spec));
        Ok(Box::new(WindowWork {
            here: here.collect::<Result<_, _>>()?,
            numbers: (0..rows * NUMBERS).map(|_| draw.number()).collect(),
            out: vec![0.0; rows * width],
            span_ms,
            there: None,
            shape,
            specs,
            times_ms,
            categories,
            labels,
        }))
    }
}

impl Work for WindowWork {
    fn here(&mut self) -> Result<(), TableError> {
        let rows = self.times_ms.len();
        let stride = self.out.len() / rows.max(1);
        let numbers: Vec<&[f32]> = self.numbers.chunks(rows.max(1)).collect();
        let categories: Vec<&[u64]> = self.categories.chunks(rows.max(1)).collect();
        for ((spec, columns), table) in self.specs.iter().zip(&mut self.here) {
            let (keys, times_ms) = (categories[columns.key[0]], &self.times_ms[..]);
            let mut target = Target { out: &mut self.out, stride, offset: columns.offset };
            if spec.over == Over::Events {
                let codes = [categories[categories.len() - 1]];
                let all = Rows { keys, times_ms, values: &numbers, codes: &codes };
                table.process(&all, 0..rows, &mut target)?;
                continue;
            }
            let asked = Rows { keys, times_ms, values: &[], codes: &[] };
            let LabelColumns { keys, times_ms, values, before_rows } = &self.labels;
            let labels = Rows { keys, times_ms, values: &[values], codes: &[] };
            table.follow(&asked, &labels, before_rows, &mut target)?;
        }
        let times_ms = self.times_ms.iter_mut().chain(&mut self.labels.times_ms);
        times_ms.for_each(|time_ms| *time_ms += self.span_ms);
        Ok(())
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let rows = self.times_ms.len();
        let widths = [NUMBERS, self.categories.len() / rows.max(1), self.out.len() / rows.max(1)];
        let mut columns = ColumnBuffers::new(stream.gpu(), widths, rows)?;
        let mut times_ms = pinned(stream, &self.times_ms)?;
        let from = PinnedColumns {
            times_ms: &mut times_ms,
            numbers: &mut pinned(stream, &self.numbers)?,
            categories: &mut pinned(stream, &self.categories)?,
        };
        columns.give(stream, from, rows)?;
        let mut windows = DeviceWindows::new(stream, self.specs.clone())?;
        windows.arrange(self.shape.arranging.unwrap_or_default());
        let label_times_ms = self.labels.times_ms.clone();
        self.there = Some(There { windows, columns, times_ms, label_times_ms });
        Ok(())
    }

    /// Times and labels come anew with each batch; all else is there.
    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let There { windows, columns, times_ms, label_times_ms } = brought(&mut self.there);
        let (rows, count) = (times_ms.len(), self.labels.keys.len());
        columns.give_times(stream, times_ms)?;
        if let Some(index) = self.specs.iter().position(|(spec, _)| spec.over == Over::Labels) {
            let labels = windows.labels(stream, index, count)?;
            labels.keys[..count].copy_from_slice(&self.labels.keys);
            labels.times_ms[..count].copy_from_slice(label_times_ms);
            labels.values[..count].copy_from_slice(&self.labels.values);
            labels.before_rows[..count].copy_from_slice(&self.labels.before_rows);
        }
        let batch = Columns {
            rows,
            stride: rows,
            times_ms: &[],
            numbers: &[],
            categories: &self.categories,
            given: &[],
        };
        if windows.prepare(stream, &batch)?.is_some() {
            let bytes = windows.bytes(0) as u64;
            return Err(crate::device::DeviceError::Memory { bytes }.into());
        }
        windows.run(stream, columns)?;
        if let Some(keys) = self.shape.hot {
            (0..windows.len()).try_for_each(|index| windows.cool(stream, index, keys))?;
        }
        let moved = times_ms.iter_mut().chain(label_times_ms);
        moved.for_each(|time_ms| *time_ms += self.span_ms);
        Ok(())
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let There { windows, columns, .. } = brought(&mut self.there);
        windows.settle(stream)?;
        let mut given = pinned(stream, &vec![0.0; self.out.len()])?;
        columns.take_known(stream, &mut given)?;
        let mut all = [bytes(&self.out), bytes(&given)];
        for (index, table) in self.here.iter().enumerate() {
            table.write_state(&mut all[0]).expect("a vector takes all bytes");
            let written = windows.write_state(stream, index, &mut all[1]);
            written.expect("a vector takes all bytes, and the GPU was there just now");
        }
        Ok(all)
    }
}
