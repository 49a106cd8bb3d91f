//! Batches that are recorded for the largest of them, by one block a table and by many: what is
//! given again for a smaller batch is its own.

use super::*;
use crate::cases::Draw;
use crate::device::Graph;

/// Rows of the largest batch, and labels.
const MOST: [usize; 2] = [300, 100];

/// A table over labels, the columns of a batch, and the batch as it is recorded.
struct Recorded {
    graph: Option<(Option<u32>, Graph)>,
    windows: DeviceWindows,
    columns: ColumnBuffers,
    on: Stream,
    records: usize,
}

fn spec() -> TableSpec {
    TableSpec {
        over: Over::Labels,
        layout: Layout::Exact,
        values: 2,
        codes: 0,
        windows: vec![WindowSpec { width_ms: 500, delay_ms: 0, include_self: false }],
        features: vec![
            Feature { window: 0, aggregate: Aggregate::Count },
            Feature { window: 0, aggregate: Aggregate::Sum { value: 1 } },
        ],
        lateness_ms: 20,
        keys_max: 1 << 20,
        bytes_max: usize::MAX,
    }
}

fn draw_columns(rows: usize, keys: u64, draw: &mut Draw, now_ms: i64) -> Columns {
    let mut columns = Columns::default();
    for row in 0..rows {
        let late_ms = (draw.bits() % 30) as i64;
        let key = draw.bits() % keys;
        columns.push(key, now_ms + row as i64 - late_ms, draw.number(), draw.bits() % 4);
    }
    columns
}

impl Recorded {
    fn new(gpu: &Arc<Gpu>, arranging: Arranging) -> Recorded {
        let on = Stream::new(gpu).expect("a stream");
        let windows = open(&on, &spec(), (0, arranging));
        let columns = ColumnBuffers::new(gpu, [0, 2, GUARDS[0] + 2], MOST[0]).expect("memory");
        Recorded { graph: None, windows, columns, on, records: 0 }
    }

    fn walk(&mut self, rows: &Columns, labels: &Columns, before_rows: &[u32]) -> Vec<f32> {
        let (count, stride) = (rows.keys.len(), GUARDS[0] + 2);
        let there = self.windows.labels(&self.on, 0, labels.keys.len()).expect("memory");
        there.keys[..labels.keys.len()].copy_from_slice(&labels.keys);
        there.times_ms[..labels.keys.len()].copy_from_slice(&labels.times_ms);
        let values = [&labels.first[..], &labels.second[..]].concat();
        there.values[..values.len()].copy_from_slice(&values);
        there.before_rows[..before_rows.len()].copy_from_slice(before_rows);
        let categories = [&rows.keys[..], &rows.codes].concat();
        let prepared = self.windows.prepare(&self.on, &keyed(count, &categories));
        assert_eq!(prepared.expect("a working GPU"), None);
        let gpu = self.on.gpu();
        let mut wide = vec![0; 2 * MOST[0]];
        wide[..count].copy_from_slice(&rows.keys);
        let from = PinnedColumns {
            times_ms: &mut pinned(gpu, &rows.times_ms, MOST[0]),
            numbers: &mut pinned(gpu, &[], 0),
            categories: &mut pinned(gpu, &wide, 2 * MOST[0]),
        };
        self.columns.give(&self.on, from, count).expect("a working GPU");
        let mut given = pinned(gpu, &vec![0.0; count * stride], count * stride);
        self.columns.give_known(&self.on, &mut given).expect("a working GPU");
        self.windows.arm(&self.on, &mut self.columns).expect("it was prepared");
        let calls = MOST[0] + MOST[1];
        let passes = self.windows.passes(calls);
        if self.graph.as_ref().is_none_or(|(recorded, _)| *recorded != passes) {
            let (on, windows) = (&self.on, &mut self.windows);
            // SAFETY: the windows live longer, and all is touched behind a wait.
            let graph = unsafe { on.graph(|on| windows.give(on, calls)) };
            self.graph = Some((passes, graph.expect("a graph")));
            self.records += 1;
        }
        let graph = &self.graph.as_ref().expect("recorded above").1;
        self.on.replay(graph).expect("a working GPU");
        self.on.wait().expect("a working GPU");
        self.windows.look().expect("room for all");
        self.columns.take_known(&self.on, &mut given).expect("a working GPU");
        given.chunks_exact(stride).flat_map(|row| row[GUARDS[0]..].to_vec()).collect()
    }
}

#[test]
fn what_is_recorded_holds_for_smaller_batches() {
    let by_one = Arranging::default();
    for (gpu, arranging) in
        tested().iter().flat_map(|gpu| [by_one, by_blocks(64)].map(|how| (gpu, how)))
    {
        let mut there = Recorded::new(gpu, arranging);
        let mut here = WindowTable::new(&spec()).expect("legal");
        let mut draw = Draw::new(5);
        for (number, count) in [30, 300, 1, 64, 299, 0, 128, 250, 300].into_iter().enumerate() {
            let now_ms = 1000 + 300 * number as i64;
            let labels = draw_columns((count / 3).min(MOST[1]), 400, &mut draw, now_ms);
            let rows = draw_columns(count, 420, &mut draw, now_ms);
            let before_rows: Vec<u32> = (0..labels.keys.len() as u32).map(|at| 3 * at).collect();
            let mut out = vec![0.0; 2 * count];
            let mut target = Target { out: &mut out, stride: 2, offset: 0 };
            let walked = rows.with(|rows| {
                labels.with(|labels| {
                    let asked = Rows { values: &[], codes: &[], ..*rows };
                    let labels = Rows { codes: &[], ..*labels };
                    here.follow(&asked, &labels, &before_rows, &mut target)
                })
            });
            walked.expect("the shapes fit");
            let given = there.walk(&rows, &labels, &before_rows);
            assert_eq!(first_difference(&spec(), &given, &out), None, "{arranging:?}, {number}");
        }
        let mut bytes = Vec::new();
        there.windows.write_state(&there.on, 0, &mut bytes).expect("a vector takes all bytes");
        assert!(bytes == save(&here), "{arranging:?}");
        // Anew when slots had more than eight bits, and no other time.
        let records = 1 + usize::from(arranging.wide_from == 1);
        assert_eq!(there.records, records, "{arranging:?}");
    }
}

#[test]
fn stretches_are_few_and_all_calls_are_in_one() {
    for arranging in [Arranging::default(), by_blocks(1), by_blocks(37), by_blocks(5000)] {
        let sizes = (0..12_000).chain((0..500).map(|at| at * 33_549));
        for calls in sizes {
            let (count, stretch) = (arranging.stretches(calls), arranging.stretch_of(calls));
            assert!(count <= 256 && count * stretch >= calls, "{arranging:?}, {calls}");
            // What is shaped for more calls cuts a batch into no more stretches than there is room.
            let shaped = arranging.stretch_of(calls * 3 + 1);
            assert!(calls.div_ceil(shaped) <= count, "{arranging:?}, {calls}");
        }
    }
}
