//! Several tables at once over a long stream: many keys that come and go, a few that are busy, a
//! key of two columns.

use super::*;
use crate::cases::Draw;
use crate::hash;

const WIDTHS: [usize; 2] = [2, 3];

/// A stream by columns.
struct Stream3 {
    times_ms: Vec<i64>,
    numbers: [Vec<f32>; 2],
    categories: [Vec<u64>; 3],
    /// Labels by table: keys, times, values, rows before which.
    labels: (Vec<u64>, Vec<i64>, Vec<f32>, Vec<u32>),
}

/// Mostly in order; half of the rows are of few keys, the others of ever new ones.
fn batch(rows: usize, draw: &mut Draw, now_ms: &mut i64) -> Stream3 {
    let mut stream = Stream3 {
        times_ms: Vec::new(),
        numbers: [Vec::new(), Vec::new()],
        categories: [Vec::new(), Vec::new(), Vec::new()],
        labels: (Vec::new(), Vec::new(), Vec::new(), Vec::new()),
    };
    for row in 0..rows {
        *now_ms += (draw.bits() % 7) as i64;
        let busy = draw.unit() < 0.5;
        let key = if busy { draw.bits() % 4 } else { 4 + (*now_ms as u64) * 3 + draw.bits() % 3 };
        // A key with a late row is walked, which takes its time where many are its.
        let is_late = draw.unit() < 0.05 && (rows <= 500 || !busy);
        let late_ms = if is_late { (draw.bits() % 60) as i64 } else { 0 };
        stream.times_ms.push(*now_ms - late_ms);
        let number = if draw.unit() < 0.05 { f32::NAN } else { draw.number() };
        stream.numbers[0].push(number);
        stream.numbers[1].push(draw.number());
        stream.categories[0].push(key);
        stream.categories[1].push(draw.bits() % 3);
        stream.categories[2].push(draw.bits() % 9);
        if draw.unit() < 0.3 {
            let labels = &mut stream.labels;
            labels.0.push(draw.bits() % 40);
            labels.1.push(*now_ms);
            labels.2.push((draw.bits() % 2) as f32);
            labels.3.push(row as u32);
        }
    }
    if rows == 0 {
        // Only the table over labels has calls.
        stream.labels = (vec![1, 2, 1], vec![*now_ms; 3], vec![0.5; 3], vec![0; 3]);
    }
    stream
}

/// Events of one column, events of two columns, labels of one.
fn specs() -> Vec<(TableSpec, TableColumns)> {
    let window = |width_ms, delay_ms, include_self| WindowSpec { width_ms, delay_ms, include_self };
    let windows = vec![window(50, 0, true), window(900, 0, false), window(3000, 200, false)];
    let spec = |over: Over| {
        let mut features = all_features(over, Layout::Exact, windows.len());
        let (values, codes) = if over == Over::Events { (2, 1) } else { (1, 0) };
        features.retain(|feature| match feature.aggregate {
            Aggregate::Distinct { .. } => codes == 1,
            aggregate => aggregate.value().is_none_or(|value| value < values),
        });
        TableSpec {
            over,
            layout: Layout::Exact,
            values,
            codes,
            windows: windows.clone(),
            features,
            lateness_ms: 40,
            keys_max: 1 << 20,
            bytes_max: usize::MAX,
        }
    };
    let width = spec(Over::Events).features.len();
    let columns = |key: Vec<usize>, own: bool, offset| TableColumns {
        key,
        values: if own { vec![0, 1] } else { vec![] },
        codes: if own { vec![2] } else { vec![] },
        offset,
    };
    vec![
        (spec(Over::Events), columns(vec![0], true, 0)),
        (spec(Over::Events), columns(vec![1, 2], true, width)),
        (spec(Over::Labels), columns(vec![0], false, 2 * width)),
    ]
}

fn given_width() -> usize {
    specs().iter().map(|(spec, _)| spec.features.len()).sum()
}

fn walk_here(tables: &mut [WindowTable], stream: &Stream3) -> Vec<f32> {
    let (rows, stride) = (stream.times_ms.len(), given_width());
    let mut out = vec![0.0; rows * stride];
    let crossed: Vec<u64> = (0..rows)
        .map(|row| match [1, 2].map(|column: usize| stream.categories[column][row]) {
            [0, _] | [_, 0] => 0,
            codes => hash::cross(codes).max(1),
        })
        .collect();
    let values = [&stream.numbers[0][..], &stream.numbers[1][..]];
    let codes = [&stream.categories[2][..]];
    for (index, (spec, columns)) in specs().iter().enumerate() {
        let keys = if index == 1 { &crossed[..] } else { &stream.categories[0][..] };
        let times_ms = &stream.times_ms[..];
        let mut target = Target { out: &mut out, stride, offset: columns.offset };
        let table = &mut tables[index];
        if spec.over == Over::Events {
            let all = Rows { keys, times_ms, values: &values, codes: &codes };
            table.process(&all, 0..rows, &mut target).expect("the shapes fit");
            continue;
        }
        let asked = Rows { keys, times_ms, values: &[], codes: &[] };
        let (keys, times_ms, values, before) = &stream.labels;
        let labels = Rows { keys, times_ms, values: &[values], codes: &[] };
        table.follow(&asked, &labels, before, &mut target).expect("the shapes fit");
    }
    out
}

fn walk_there(windows: &mut DeviceWindows, on: &Stream, stream: &Stream3) -> Vec<f32> {
    let (gpu, rows, stride) = (on.gpu(), stream.times_ms.len(), given_width());
    let (keys, times_ms, values, before) = &stream.labels;
    let labels = windows.labels(on, 2, keys.len()).expect("memory");
    labels.keys[..keys.len()].copy_from_slice(keys);
    labels.times_ms[..keys.len()].copy_from_slice(times_ms);
    labels.values[..keys.len()].copy_from_slice(values);
    labels.before_rows[..keys.len()].copy_from_slice(before);
    let widths = [WIDTHS[0], WIDTHS[1], stride];
    let room = rows.max(1);
    let mut columns = ColumnBuffers::new(gpu, widths, room).expect("memory");
    let from = PinnedColumns {
        times_ms: &mut pinned(gpu, &stream.times_ms, room),
        numbers: &mut pinned(gpu, &stream.numbers.concat(), WIDTHS[0] * room),
        categories: &mut pinned(gpu, &stream.categories.concat(), WIDTHS[1] * room),
    };
    columns.give(on, from, rows).expect("a working GPU");
    let categories = stream.categories.concat();
    assert_eq!(windows.prepare(on, &keyed(rows, &categories)).expect("a working GPU"), None);
    windows.run(on, &mut columns).expect("a working GPU");
    windows.settle(on).expect("room for all");
    let mut given = pinned(gpu, &[], rows * stride);
    columns.take_known(on, &mut given).expect("a working GPU");
    given.to_vec()
}

/// Walks batches of so many rows; the most keys of the first table.
fn walk(batches: &[usize], arranging: Arranging, gpu: &Arc<Gpu>) -> usize {
    let on = Stream::new(gpu).expect("a stream");
    let mut windows = DeviceWindows::new(&on, specs()).expect("legal specifications");
    windows.arrange(arranging);
    let new = |(spec, _): (TableSpec, TableColumns)| WindowTable::new(&spec).expect("legal");
    let mut tables: Vec<WindowTable> = specs().into_iter().map(new).collect();
    let (mut draw, mut now_ms, mut keys_max) = (Draw::new(11), 0, 0);
    for (number, &rows) in batches.iter().enumerate() {
        let stream = batch(rows, &mut draw, &mut now_ms);
        let expected = walk_here(&mut tables, &stream);
        let given = walk_there(&mut windows, &on, &stream);
        for (at, (x, y)) in given.iter().zip(&expected).enumerate() {
            let (row, column) = (at / given_width(), at % given_width());
            assert_eq!(x.to_bits(), y.to_bits(), "{arranging:?}, {number}, {row}, {column}");
        }
        for (index, table) in tables.iter().enumerate() {
            assert_eq!(windows.counts(index), table.counts(), "{arranging:?}, batch {number}");
        }
        keys_max = keys_max.max(windows.keys_held(0));
    }
    for (index, table) in tables.iter().enumerate() {
        let mut bytes = Vec::new();
        windows.write_state(&on, index, &mut bytes).expect("a vector takes all bytes");
        assert!(bytes == save(table), "state of table {index}, {arranging:?}");
    }
    keys_max
}

#[test]
fn tables_work_side_by_side_while_keys_come_and_go() {
    for gpu in tested() {
        let keys_max = walk(&[500; 24], Arranging::default(), &gpu);
        // Idle keys were forgotten on the way: thousands of different ones have come.
        let distinct = 24 * 500 / 2;
        assert!(keys_max < distinct, "{keys_max} keys of {distinct}");
        walk(&[500; 5], by_blocks(64), &gpu);
    }
}

/// Blocks that have a tile, some tiles, all of the calls, or of which there would be too many.
#[test]
fn batches_of_many_calls_go_by_many_blocks() {
    for gpu in tested() {
        walk(&[4500, 4500], Arranging::default(), &gpu);
        for stretch in [2500, 1 << 20, 7] {
            walk(&[3500], by_blocks(stretch), &gpu);
        }
        walk(&[1, 4, 0, 3, 0, 2], by_blocks(2), &gpu);
    }
}
