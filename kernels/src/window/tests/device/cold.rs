//! Tables that are larger than the memory of their GPU: whatever moves to the host and back, what
//! they say and the bytes they save are those of the CPU.

use super::*;
use crate::cases::Draw;
use crate::device::double::Double;

/// Numbers and categories of a row; the last category is a code.
const WIDTHS: [usize; 2] = [2, 3];

/// What a stream is like.
#[derive(Clone, Copy)]
struct Crowd {
    /// Keys there are.
    keys: u64,
    /// The share of the rows that a few keys have.
    busy: f32,
    /// A key of two columns.
    is_crossed: bool,
    over: Over,
    /// Rows of a batch.
    rows: usize,
    /// Calls of a block, where many bring a batch in order.
    stretch: Option<usize>,
}

const WIDE: Crowd = Crowd {
    keys: 1500,
    busy: 0.5,
    is_crossed: false,
    over: Over::Events,
    rows: 200,
    stretch: None,
};

/// A batch by columns.
#[derive(Default)]
struct Batch {
    times_ms: Vec<i64>,
    numbers: [Vec<f32>; 2],
    categories: [Vec<u64>; 3],
    label_keys: Vec<u64>,
    label_times_ms: Vec<i64>,
    label_values: Vec<f32>,
    before_rows: Vec<u32>,
}

/// A table on a GPU and its twin on the CPU, walked side by side.
struct Twins {
    crowd: Crowd,
    spec: TableSpec,
    columns: TableColumns,
    on: Stream,
    buffers: ColumnBuffers,
    there: Option<DeviceWindows>,
    home: Option<WindowTable>,
    here: WindowTable,
    draw: Draw,
    now_ms: i64,
    /// What moved so far: of all tables that were there, one after the other.
    moved: [u64; 2],
}

fn spec_of(crowd: Crowd) -> (TableSpec, TableColumns) {
    let window = |width_ms, delay_ms, include_self| WindowSpec { width_ms, delay_ms, include_self };
    let is_own = crowd.over == Over::Events;
    let windows = vec![window(60, 0, is_own), window(4_000, 0, false), window(20_000, 200, false)];
    let (values, codes) = if is_own { (2, 1) } else { (1, 0) };
    let mut features = all_features(crowd.over, Layout::Exact, windows.len());
    features.retain(|feature| match feature.aggregate {
        Aggregate::Distinct { .. } => codes == 1,
        aggregate => aggregate.value().is_none_or(|value| value < values),
    });
    let spec = TableSpec {
        over: crowd.over,
        layout: Layout::Exact,
        values,
        codes,
        windows,
        features,
        lateness_ms: 40,
        keys_max: 1 << 20,
        bytes_max: usize::MAX,
    };
    let columns = TableColumns {
        key: if crowd.is_crossed { vec![0, 1] } else { vec![0] },
        values: if is_own { vec![0, 1] } else { vec![] },
        codes: if is_own { vec![2] } else { vec![] },
        offset: 0,
    };
    (spec, columns)
}

/// They are there before the table grows.
fn buffers_on(gpu: &Arc<Gpu>, crowd: Crowd, spec: &TableSpec) -> ColumnBuffers {
    let widths = [WIDTHS[0], WIDTHS[1], spec.features.len()];
    ColumnBuffers::new(gpu, widths, crowd.rows).expect("memory for a batch")
}

fn batch(crowd: Crowd, draw: &mut Draw, now_ms: &mut i64) -> Batch {
    let mut batch = Batch::default();
    let key = |draw: &mut Draw| {
        let is_busy = draw.unit() < crowd.busy;
        // Some have no key.
        if is_busy { draw.bits() % 6 } else { 6 + draw.bits() % crowd.keys }
    };
    for row in 0..crowd.rows {
        *now_ms += (draw.bits() % 5) as i64;
        let late_ms = if draw.unit() < 0.05 { (draw.bits() % 60) as i64 } else { 0 };
        batch.times_ms.push(*now_ms - late_ms);
        batch.numbers[0].push(if draw.unit() < 0.05 { f32::NAN } else { draw.number() });
        batch.numbers[1].push(draw.number());
        batch.categories[0].push(key(draw));
        batch.categories[1].push(draw.bits() % 3);
        batch.categories[2].push(draw.bits() % 9);
        if crowd.over == Over::Labels && draw.unit() < 0.7 {
            batch.label_keys.push(key(draw));
            batch.label_times_ms.push(*now_ms - late_ms);
            batch.label_values.push((draw.bits() % 2) as f32);
            batch.before_rows.push(row as u32);
        }
    }
    batch
}

impl Twins {
    fn new(gpu: &Arc<Gpu>, crowd: Crowd, seed: u64) -> Twins {
        let on = Stream::new(gpu).expect("a stream");
        let (spec, columns) = spec_of(crowd);
        let buffers = buffers_on(gpu, crowd, &spec);
        let alone = vec![(spec.clone(), columns.clone())];
        let mut there = DeviceWindows::new(&on, alone).expect("memory for what is empty");
        there.arrange(crowd.stretch.map_or_else(Arranging::default, by_blocks));
        let here = WindowTable::new(&spec).expect("legal");
        let (there, home) = (Some(there), None);
        let (draw, now_ms, moved) = (Draw::new(seed), 0, [0; 2]);
        Twins { crowd, spec, columns, on, buffers, there, home, here, draw, now_ms, moved }
    }

    /// Walks a batch on both sides and compares what it says.
    fn walk(&mut self, what: &str) {
        let batch = batch(self.crowd, &mut self.draw, &mut self.now_ms);
        self.walk_batch(&batch, what);
    }

    fn walk_batch(&mut self, batch: &Batch, what: &str) {
        let expected = walk_on_cpu(&mut self.here, (&self.spec, &self.columns), batch);
        self.go_home_if_needed(batch, what);
        let given = match &mut self.home {
            Some(home) => walk_on_cpu(home, (&self.spec, &self.columns), batch),
            None => self.walk_there(batch),
        };
        let width = self.spec.features.len();
        let differs = given.iter().zip(&expected).position(|(x, y)| x.to_bits() != y.to_bits());
        let differs = differs.map(|at| (at / width, at % width));
        assert_eq!(differs, None, "{what}: row and column");
    }

    fn go_home_if_needed(&mut self, batch: &Batch, what: &str) {
        let Some(windows) = &mut self.there else { return };
        let labels = windows.labels(&self.on, 0, batch.label_keys.len()).expect("host memory");
        labels.keys[..batch.label_keys.len()].copy_from_slice(&batch.label_keys);
        labels.times_ms[..batch.label_keys.len()].copy_from_slice(&batch.label_times_ms);
        labels.values[..batch.label_keys.len()].copy_from_slice(&batch.label_values);
        labels.before_rows[..batch.label_keys.len()].copy_from_slice(&batch.before_rows);
        let categories = batch.categories.concat();
        let leaving = windows.prepare(&self.on, &keyed(self.crowd.rows, &categories));
        if leaving.unwrap_or_else(|error| panic!("{what}: {error}")).is_some() {
            let cold = windows.cold(0);
            self.moved = [self.moved[0] + cold.moved_out, self.moved[1] + cold.brought_in];
            self.home = Some(windows.take_home(&self.on, 0).expect("own bytes"));
            self.there = None;
        }
    }

    fn walk_there(&mut self, batch: &Batch) -> Vec<f32> {
        let (rows, gpu) = (batch.times_ms.len(), self.on.gpu());
        let windows = self.there.as_mut().expect("looked at before");
        let width = self.spec.features.len();
        let from = PinnedColumns {
            times_ms: &mut pinned(gpu, &batch.times_ms, rows),
            numbers: &mut pinned(gpu, &batch.numbers.concat(), WIDTHS[0] * rows),
            categories: &mut pinned(gpu, &batch.categories.concat(), WIDTHS[1] * rows),
        };
        self.buffers.give(&self.on, from, rows).expect("a working GPU");
        windows.run(&self.on, &mut self.buffers).expect("it was prepared");
        windows.settle(&self.on).expect("room for all");
        let mut given = pinned(gpu, &[], rows * width);
        self.buffers.take_known(&self.on, &mut given).expect("a working GPU");
        given.to_vec()
    }

    fn state(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match (&self.there, &self.home) {
            (Some(windows), _) => windows.write_state(&self.on, 0, &mut bytes),
            (None, Some(home)) => home.write_state(&mut bytes),
            (None, None) => Ok(()),
        }
        .expect("a vector takes all bytes");
        bytes
    }

    /// Goes on from the CPU's state, on a GPU of its own.
    fn move_to(&mut self, gpu: &Arc<Gpu>) {
        if let Some(windows) = self.there.take() {
            let cold = windows.cold(0);
            self.moved = [self.moved[0] + cold.moved_out, self.moved[1] + cold.brought_in];
        }
        self.home = None;
        self.on = Stream::new(gpu).expect("a stream");
        self.buffers = buffers_on(gpu, self.crowd, &self.spec);
        let alone = vec![(self.spec.clone(), self.columns.clone())];
        let mut windows = DeviceWindows::new(&self.on, alone).expect("memory for what is empty");
        windows.arrange(self.crowd.stretch.map_or_else(Arranging::default, by_blocks));
        assert!(windows.take_in(&self.on, 0, &self.here).expect("own bytes"));
        self.there = Some(windows);
    }

    fn moved(&self) -> [u64; 2] {
        let cold = self.there.as_ref().map(|windows| windows.cold(0)).unwrap_or_default();
        [self.moved[0] + cold.moved_out, self.moved[1] + cold.brought_in]
    }
}

fn walk_on_cpu(
    table: &mut WindowTable,
    (spec, columns): (&TableSpec, &TableColumns),
    batch: &Batch,
) -> Vec<f32> {
    let (rows, stride) = (batch.times_ms.len(), spec.features.len());
    let crossed = |row: usize| match [0, 1].map(|column: usize| batch.categories[column][row]) {
        [0, _] | [_, 0] => 0,
        codes => crate::hash::cross(codes).max(1),
    };
    let keys: Vec<u64> = match columns.key[..] {
        [column] => batch.categories[column].clone(),
        _ => (0..rows).map(crossed).collect(),
    };
    let mut out = vec![0.0; rows * stride];
    let mut target = Target { out: &mut out, stride, offset: 0 };
    let (keys, times_ms) = (&keys[..], &batch.times_ms[..]);
    if spec.over == Over::Events {
        let values = [&batch.numbers[0][..], &batch.numbers[1][..]];
        let codes = [&batch.categories[2][..]];
        let all = Rows { keys, times_ms, values: &values, codes: &codes };
        table.process(&all, 0..rows, &mut target).expect("the shapes fit");
        return out;
    }
    let asked = Rows { keys, times_ms, values: &[], codes: &[] };
    let values = [&batch.label_values[..]];
    let labels = Rows {
        keys: &batch.label_keys,
        times_ms: &batch.label_times_ms,
        values: &values,
        codes: &[],
    };
    table.follow(&asked, &labels, &batch.before_rows, &mut target).expect("the shapes fit");
    out
}

#[test]
fn a_table_larger_than_the_memory_stays_and_says_the_same() {
    let crowds = [
        WIDE,
        Crowd { keys: 900, is_crossed: true, ..WIDE },
        Crowd { busy: 0.1, stretch: Some(64), ..WIDE },
        Crowd { over: Over::Labels, stretch: Some(90), ..WIDE },
    ];
    for (number, crowd) in crowds.into_iter().enumerate() {
        let (mut stayed, mut cold_max) = (0, 0);
        for memory_kib in [300, 450, 700, 1100] {
            let what = format!("crowd {number}, {memory_kib} KiB");
            let mut twins = Twins::new(&Double::of_memory(memory_kib << 10), crowd, 21);
            for batch in 0..40 {
                twins.walk(&format!("{what}, batch {batch}"));
                let cold = twins.there.as_ref().map(|windows| windows.cold(0).keys);
                cold_max = cold_max.max(cold.unwrap_or(0));
                if batch % 13 == 7 {
                    assert!(twins.state() == save(&twins.here), "{what}, batch {batch}");
                }
            }
            assert!(twins.state() == save(&twins.here), "{what}");
            let [out, into] = twins.moved();
            stayed += usize::from(twins.home.is_none() && out > 0 && into > 0);
            let counts = twins.there.as_ref().map(|windows| windows.counts(0));
            assert!(counts.is_none_or(|counts| counts == twins.here.counts()), "{what}");
        }
        assert!(stayed > 0, "crowd {number}: no table stayed while keys moved");
        assert!(cold_max > 100, "crowd {number}: {cold_max} keys lay on the host at most");
    }
}

#[test]
fn memory_that_ends_anywhere_changes_nothing() {
    let mut homes = 0;
    for step in 0..50 {
        let bytes = (40_000_f64 * 1.045_f64.powi(step)) as u64;
        let over = if step % 3 == 0 { Over::Labels } else { Over::Events };
        let crowd = Crowd { keys: 300, over, rows: 100, ..WIDE };
        let what = format!("{bytes} bytes");
        let mut twins = Twins::new(&Double::of_memory(bytes + 80_000), crowd, 22);
        for _ in 0..12 {
            twins.walk(&what);
        }
        assert!(twins.state() == save(&twins.here), "{what}");
        homes += usize::from(twins.home.is_some());
    }
    assert!((5..40).contains(&homes), "{homes} of fifty came home");
}

#[test]
fn a_saved_table_larger_than_the_memory_goes_on_there() {
    let crowd = Crowd { stretch: Some(64), ..WIDE };
    let mut twins = Twins::new(&Double::open(0), crowd, 23);
    for memory_kib in [4000, 400_000, 1000, 900, 700] {
        let what = format!("{memory_kib} KiB");
        for _ in 0..8 {
            twins.walk(&what);
        }
        assert!(twins.state() == save(&twins.here), "before {what}");
        twins.move_to(&Double::of_memory(memory_kib << 10));
        assert!(twins.state() == save(&twins.here), "{what}");
        let cold = twins.there.as_ref().expect("taken in").cold(0);
        assert_eq!(cold.keys > 0, memory_kib <= 1000, "{what}: {cold:?}");
    }
    for _ in 0..8 {
        twins.walk("the end");
    }
    assert!(twins.moved()[1] > 0, "keys came in");
}

#[test]
fn a_key_that_is_only_asked_for_is_in_use() {
    let mut twins =
        Twins::new(&Double::open(0), Crowd { over: Over::Labels, rows: 50, ..WIDE }, 26);
    let walk = |twins: &mut Twins, asked: u64, labelled: Option<u64>| {
        let mut batch = batch(twins.crowd, &mut twins.draw, &mut twins.now_ms);
        batch.categories[0] = (asked..asked + 50).collect();
        let labels = if labelled.is_some() { batch.label_keys.len() } else { 0 };
        batch.label_keys = (0..labels as u64).map(|at| labelled.unwrap_or(0) + at).collect();
        batch.label_times_ms.truncate(labels);
        batch.label_values.truncate(labels);
        batch.before_rows.truncate(labels);
        twins.walk_batch(&batch, "only asked");
    };
    walk(&mut twins, 1000, Some(1));
    walk(&mut twins, 1000, Some(101));
    // The first keys have the older labels, and are asked for.
    walk(&mut twins, 1, None);
    let windows = twins.there.as_mut().expect("there is memory");
    windows.cool(&twins.on, 0, 50).expect("a working GPU");
    assert!(windows.cold(0).moved_out > 0);
    walk(&mut twins, 1, None);
    assert_eq!(twins.moved()[1], 0, "none of them had moved out");
    walk(&mut twins, 101, None);
    assert!(twins.moved()[1] > 0, "the others had");
}

#[test]
fn what_no_window_reaches_is_forgotten_on_the_host_too() {
    let crowd = Crowd { keys: 100_000, ..WIDE };
    let (mut twins, mut held_max) = (Twins::new(&Double::open(0), crowd, 24), 0);
    for batch in 0..40 {
        twins.walk("with all on the host");
        let windows = twins.there.as_mut().expect("there is memory");
        windows.cool(&twins.on, 0, 0).expect("a working GPU");
        assert_eq!(windows.cold(0).keys, windows.keys_held(0), "batch {batch}");
        held_max = held_max.max(windows.cold(0).keys);
        twins.now_ms += 5_000;
    }
    // A hundred new ones come with a batch, and can be reached for four batches.
    let out = twins.moved()[0];
    assert!(out > 3500 && held_max < 1500, "{held_max} keys at most of {out} that moved");
    assert!(twins.state() == save(&twins.here));
}

#[test]
fn a_table_whose_keys_go_to_and_fro_comes_home() {
    let mut twins = Twins::new(&Double::open(0), Crowd { keys: 20, ..WIDE }, 25);
    let mut batches = 0;
    while twins.home.is_none() {
        twins.walk("to and fro");
        if let Some(windows) = &mut twins.there {
            windows.cool(&twins.on, 0, 0).expect("a working GPU");
        }
        batches += 1;
        assert!(batches < 400, "it is still there");
    }
    // What moved was looked at after a stretch of calls, not before.
    assert!(batches >= (1 << 14) / WIDE.rows, "home after {batches} batches");
    assert!(twins.state() == save(&twins.here));
}
