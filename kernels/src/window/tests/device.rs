//! Tables on a GPU against brute force and against the CPU's: every output and every saved byte,
//! for any cuts, labels, late rows, limits and moves between the two.

mod cold;
mod crowd;
mod hot;
mod late;
mod recorded;

use std::sync::Arc;

use super::super::device::{Arranging, DeviceWindows, TableColumns};
use super::*;
use crate::assemble::Columns as BatchColumns;
use crate::assemble::device::{ColumnBuffers, PinnedColumns};
use crate::cases::scaled;
use crate::device::double::tested;
use crate::device::{Device, Gpu, Pinned, Pinning, Stream};

/// Outputs before and behind those of the table, which nothing may touch.
const GUARDS: [usize; 2] = [2, 1];

/// A table that is on a GPU until a limit is near.
enum Place {
    There(Box<DeviceWindows>),
    Here(Box<WindowTable>),
}

struct Walker<'a> {
    spec: &'a TableSpec,
    stream: Stream,
    place: Place,
    rows: Columns,
    labels: Columns,
    before_rows: Vec<u32>,
    outputs: Vec<f32>,
    way: Way,
}

/// How a stream goes over a GPU.
#[derive(Clone, Copy)]
struct Way {
    /// Rows of a batch.
    cut: usize,
    /// Whether the table is saved and read in between.
    reload: bool,
    /// Keys that stay on the GPU after a batch, where not all do.
    hot: Option<usize>,
    /// The number of a key's first entry.
    first_seq: u32,
    arranging: Arranging,
}

/// All batches by many blocks, each of which has so many calls.
fn by_blocks(stretch: usize) -> Arranging {
    Arranging { wide_from: 1, stretch }
}

fn pinned<T: crate::device::Plain>(gpu: &Arc<Gpu>, values: &[T], room: usize) -> Pinned<T> {
    let device = Device::Gpu(Arc::clone(gpu));
    let mut pinned = Pinned::new(&device, room, Pinning::Both).expect("memory");
    pinned[..values.len()].copy_from_slice(values);
    pinned
}

/// A batch as far as its keys are made of it.
fn keyed(rows: usize, categories: &[u64]) -> BatchColumns<'_> {
    BatchColumns { rows, stride: rows, times_ms: &[], numbers: &[], categories, given: &[] }
}

fn open(
    stream: &Stream,
    spec: &TableSpec,
    (first_seq, arranging): (u32, Arranging),
) -> DeviceWindows {
    let own = spec.over == Over::Events;
    let columns = TableColumns {
        key: vec![0],
        values: if own { vec![0, 1] } else { vec![] },
        codes: if own { vec![1] } else { vec![] },
        offset: GUARDS[0],
    };
    let tables = vec![(spec.clone(), columns)];
    let mut windows = DeviceWindows::new(stream, tables).expect("a legal specification");
    windows.begin_at(first_seq);
    windows.arrange(arranging);
    windows
}

impl Walker<'_> {
    fn new<'a>(gpu: &Arc<Gpu>, spec: &'a TableSpec, way: Way) -> Walker<'a> {
        let stream = Stream::new(gpu).expect("a stream");
        Walker {
            spec,
            place: Place::There(Box::new(open(&stream, spec, (way.first_seq, way.arranging)))),
            stream,
            rows: Columns::default(),
            labels: Columns::default(),
            before_rows: Vec::new(),
            outputs: Vec::new(),
            way,
        }
    }

    /// Works on the rows and labels that wait.
    fn run(&mut self) {
        if let Place::There(windows) = &mut self.place {
            let labels = windows.labels(&self.stream, 0, self.labels.keys.len()).expect("memory");
            labels.keys[..self.labels.keys.len()].copy_from_slice(&self.labels.keys);
            labels.times_ms[..self.labels.keys.len()].copy_from_slice(&self.labels.times_ms);
            let values = [&self.labels.first[..], &self.labels.second[..]].concat();
            labels.values[..values.len()].copy_from_slice(&values);
            labels.before_rows[..self.before_rows.len()].copy_from_slice(&self.before_rows);
            let rows = self.rows.keys.len();
            let categories = [&self.rows.keys[..], &self.rows.codes].concat();
            if windows.prepare(&self.stream, &keyed(rows, &categories)).expect("a GPU").is_some() {
                let table = windows.take_home(&self.stream, 0).expect("own bytes");
                assert!(windows.is_empty());
                self.place = Place::Here(Box::new(table));
            }
        }
        let (rows, width) = (self.rows.keys.len(), self.spec.features.len());
        let stride = GUARDS[0] + width + GUARDS[1];
        let mut out = match &mut self.place {
            Place::Here(_) => vec![-7.0; rows * stride],
            Place::There(_) => self.run_there(stride),
        };
        if let Place::Here(table) = &mut self.place {
            let mut target = Target { out: &mut out, stride, offset: GUARDS[0] };
            let (before, labels) = (&self.before_rows, &self.labels);
            self.rows
                .with(|rows| match self.spec.over {
                    Over::Events => table.process(rows, 0..rows.keys.len(), &mut target),
                    Over::Labels => labels.with(|labels| {
                        let codes = Rows { codes: &[], ..*labels };
                        let asked = Rows { values: &[], codes: &[], ..*rows };
                        table.follow(&asked, &codes, before, &mut target)
                    }),
                })
                .expect("the shapes fit");
        }
        for row in out.chunks_exact(stride) {
            assert_eq!((&row[..GUARDS[0]], row[stride - 1]), (&[-7.0, -7.0][..], -7.0), "guard");
            self.outputs.extend_from_slice(&row[GUARDS[0]..GUARDS[0] + width]);
        }
        (self.rows, self.labels) = (Columns::default(), Columns::default());
        self.before_rows.clear();
    }

    fn run_there(&mut self, stride: usize) -> Vec<f32> {
        let Place::There(windows) = &mut self.place else { unreachable!("looked at before") };
        let (stream, rows) = (&self.stream, self.rows.keys.len());
        let (gpu, room) = (stream.gpu(), rows + 3);
        let widen = |columns: [&[f32]; 2]| {
            let rows = columns.into_iter().flat_map(|c| c.iter().copied().chain([9.0; 3]));
            rows.collect::<Vec<f32>>()
        };
        let numbers = widen([&self.rows.first, &self.rows.second]);
        let spare = [1_u64; 3];
        let categories: Vec<u64> = [&self.rows.keys[..], &spare, &self.rows.codes, &spare].concat();
        let mut columns = ColumnBuffers::new(gpu, [2, 2, stride], room).expect("memory");
        let from = PinnedColumns {
            times_ms: &mut pinned(gpu, &self.rows.times_ms, room),
            numbers: &mut pinned(gpu, &numbers, 2 * room),
            categories: &mut pinned(gpu, &categories, 2 * room),
        };
        columns.give(stream, from, rows).expect("a working GPU");
        let mut given = pinned(gpu, &vec![-7.0; rows * stride], room * stride);
        columns.give_known(stream, &mut given).expect("a working GPU");
        windows.run(stream, &mut columns).expect("a working GPU");
        windows.settle(stream).expect("room for all");
        if let Some(keys) = self.way.hot {
            windows.cool(stream, 0, keys).expect("a working GPU");
        }
        columns.take_known(stream, &mut given).expect("a working GPU");
        given[..rows * stride].to_vec()
    }

    fn saved(&self) -> Vec<u8> {
        match &self.place {
            Place::Here(table) => save(table),
            Place::There(windows) => {
                let mut bytes = Vec::new();
                windows.write_state(&self.stream, 0, &mut bytes).expect("a vector takes all");
                bytes
            }
        }
    }

    /// Goes on from the saved state, read by a CPU's table in between.
    fn reload(&mut self) {
        let bytes = self.saved();
        let table = WindowTable::read_state(self.spec, &mut &bytes[..]).expect("own bytes");
        assert_eq!(save(&table), bytes, "the CPU writes the same bytes");
        if matches!(self.place, Place::There(_)) {
            let mut windows =
                open(&self.stream, self.spec, (self.way.first_seq, self.way.arranging));
            windows.read_state(&self.stream, 0, &mut &bytes[..]).expect("own bytes");
            self.place = Place::There(Box::new(windows));
            assert_eq!(self.saved(), bytes, "a loaded state writes the same bytes");
        }
    }
}

/// The outputs of a stream, and its last state.
fn walked(mut walker: Walker<'_>, steps: &[Step]) -> (Vec<f32>, Vec<u8>) {
    let mut now_ms = 1_000;
    for step in steps {
        match *step {
            Step::Row { key, ahead_ms, value, code } => {
                walker.rows.push(key, now_ms + ahead_ms, value, code);
                now_ms = now_ms.max(now_ms + ahead_ms);
                if walker.rows.keys.len() == walker.way.cut {
                    walker.run();
                }
            }
            Step::Label { key, ahead_ms, value, code } if walker.spec.over == Over::Labels => {
                walker.labels.push(key, now_ms + ahead_ms, value, code);
                walker.before_rows.push(walker.rows.keys.len() as u32);
            }
            Step::SaveAndLoad if walker.way.reload => {
                walker.run();
                walker.reload();
            }
            _ => {}
        }
    }
    walker.run();
    (walker.outputs.clone(), walker.saved())
}

/// The same by the CPU alone.
fn walked_here(gpu: &Arc<Gpu>, spec: &TableSpec, steps: &[Step], way: Way) -> (Vec<f32>, Vec<u8>) {
    let mut walker = Walker::new(gpu, spec, Way { reload: false, ..way });
    let table = WindowTable::new(spec).expect("a legal specification");
    walker.place = Place::Here(Box::new(table));
    walked(walker, steps)
}

/// Where there are labels they have no codes: none comes with them on the way of the engine.
fn there(spec: TableSpec) -> TableSpec {
    let layout = Layout::Exact;
    let mut features = all_features(spec.over, layout, spec.windows.len());
    let codes = usize::from(spec.over == Over::Events);
    features
        .retain(|feature| codes == 1 || !matches!(feature.aggregate, Aggregate::Distinct { .. }));
    // Most stay on the device; three keys at most are a limit that is soon near.
    let keys_max = if spec.keys_max == 3 { 3 } else { 1000 };
    TableSpec { layout, features, codes, keys_max, ..spec }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(150), ..ProptestConfig::default() })]

    #[test]
    fn equals_brute_force_and_the_cpu_for_any_cuts(
        spec in spec().prop_map(there),
        steps in prop::collection::vec(step(), 1..400),
        cut in prop::sample::select(vec![1, 7, 40, 256]),
        reload: bool,
        // All keys are on the host between batches, most of them, or none.
        hot in prop::sample::select(vec![None, Some(0), Some(2), Some(5)]),
        // Numbers may wrap.
        first_seq in prop::sample::select(vec![0, 8, 48_u32.wrapping_neg()]),
        // By one block; by many of a few calls, or each batch by one of them.
        arranging in prop::sample::select(vec![
            Arranging::default(), by_blocks(37), by_blocks(5), by_blocks(1024),
        ]),
    ) {
        let way = Way { cut, reload, hot, first_seq, arranging };
        let expected = brute_force(&spec, &steps);
        for gpu in tested() {
            let (outputs, state) = walked(Walker::new(&gpu, &spec, way), &steps);
            prop_assert_eq!(first_difference(&spec, &outputs, &expected), None, "cut {}", cut);
            let (_, on_cpu) = walked_here(&gpu, &spec, &steps, way);
            prop_assert_eq!(&state, &on_cpu, "state after cuts of {}", cut);
        }
    }
}
