//! Windows and standardisation over synthetic payments: 200 days, 5,000 cards, 10,000 terminals.
//!
//! Floors, one core of an AMD EPYC (Turin) at 2.6 GHz base: the three tables of the fraud stream
//! together below 600 ns per event; standardisation below 3 ns per value.
//!
//! Run: `cargo bench -p pelton-kernels --bench window`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pelton_kernels::moments::{Moments, MomentsSpec};
use pelton_kernels::window::{
    Aggregate, Feature, Layout, Over, Rows, TableSpec, Target, WindowSpec, WindowTable,
};

const DAY_MS: i64 = 86_400_000;
const EVENTS: usize = 1_750_000;
const DAYS: i64 = 183;

/// A stream of its own: deterministic, in time order.
struct Payments {
    times_ms: Vec<i64>,
    customers: Vec<u64>,
    terminals: Vec<u64>,
    amounts: Vec<f32>,
    label_times_ms: Vec<i64>,
    frauds: Vec<f32>,
}

/// The published splitmix64 step.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn payments(events: usize, customers: u64, terminals: u64) -> Payments {
    let mut state = 7;
    let span = DAYS * DAY_MS;
    let times_ms: Vec<i64> = (0..events as i64).map(|i| i * span / events as i64).collect();
    // Codes are hashes: spread over all 64 bits.
    let mut codes = |many: u64| {
        let code = |key: u64| (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (0..events).map(|_| code(next(&mut state) % many)).collect::<Vec<u64>>()
    };
    let (customers, terminals) = (codes(customers), codes(terminals));
    let amounts = (0..events).map(|_| (next(&mut state) % 20_000) as f32 / 100.0).collect();
    let frauds = (0..events).map(|_| f32::from(next(&mut state).is_multiple_of(119))).collect();
    let label_times_ms = times_ms.iter().map(|time| time + 7 * DAY_MS).collect();
    Payments { times_ms, customers, terminals, amounts, label_times_ms, frauds }
}

fn spec(over: Over, delay_ms: i64, values: usize, aggregates: &[Aggregate]) -> TableSpec {
    let widths = [DAY_MS, 7 * DAY_MS, 30 * DAY_MS];
    let window = |width_ms| WindowSpec { width_ms, delay_ms, include_self: delay_ms == 0 };
    let of = |window| aggregates.iter().map(move |&aggregate| Feature { window, aggregate });
    TableSpec {
        over,
        layout: Layout::Exact,
        values,
        codes: 0,
        windows: widths.map(window).to_vec(),
        features: (0..3).flat_map(of).collect(),
        lateness_ms: 0,
        keys_max: 100_000_000,
        bytes_max: usize::MAX,
    }
}

fn customer_spec() -> TableSpec {
    spec(Over::Events, 0, 1, &[Aggregate::Count, Aggregate::Mean { value: 0 }])
}

fn terminal_spec() -> TableSpec {
    spec(Over::Events, 7 * DAY_MS, 0, &[Aggregate::Count])
}

fn risk_spec() -> TableSpec {
    spec(Over::Labels, 0, 1, &[Aggregate::Mean { value: 0 }])
}

fn table(spec: &TableSpec) -> WindowTable {
    WindowTable::new(spec).expect("a legal specification")
}

const STRIDE: usize = 12;
const BATCH: usize = 256;

fn over_events(payments: &Payments, keys: &[u64], mut table: WindowTable) -> WindowTable {
    let mut out = vec![0.0; STRIDE * BATCH];
    let amounts = [&payments.amounts[..]];
    let values = &amounts[..usize::from(table.width() == 6)];
    for from in (0..keys.len()).step_by(BATCH) {
        let to = keys.len().min(from + BATCH);
        let columns: Vec<&[f32]> = values.iter().map(|column| &column[from..to]).collect();
        let times_ms = &payments.times_ms[from..to];
        let rows = Rows { keys: &keys[from..to], times_ms, values: &columns, codes: &[] };
        let mut target = Target { out: &mut out, stride: STRIDE, offset: 0 };
        table.process(&rows, 0..to - from, &mut target).expect("the shapes fit");
    }
    black_box(&out);
    table
}

/// Labels come between events, so that most calls are for one row.
fn over_labels(payments: &Payments, mut table: WindowTable) -> WindowTable {
    let mut out = vec![0.0; STRIDE * EVENTS];
    let (mut arrived, frauds) = (0, [&payments.frauds[..]]);
    let (keys, times_ms) = (&payments.terminals[..], &payments.times_ms[..]);
    let rows = Rows { keys, times_ms, values: &[], codes: &[] };
    let labels = Rows { keys, times_ms: &payments.label_times_ms, values: &frauds, codes: &[] };
    for (row, &time_ms) in times_ms.iter().enumerate() {
        let due = arrived;
        while payments.label_times_ms[arrived] <= time_ms {
            arrived += 1;
        }
        if arrived > due {
            table.insert(&labels, due..arrived).expect("the shapes fit");
        }
        let mut target = Target { out: &mut out, stride: STRIDE, offset: 0 };
        table.query(&rows, row..row + 1, &mut target).expect("the shapes fit");
    }
    black_box(&out);
    table
}

fn print_memory(name: &str, table: &WindowTable) {
    let (keys, entries, bytes) = (table.keys_held(), table.entries_held(), table.bytes());
    println!("{name}: {keys} keys, {entries} entries, {bytes} bytes");
    println!("  {} per key and {} per entry", bytes / keys.max(1), bytes / entries.max(1));
}

fn windows(criterion: &mut Criterion) {
    let small = payments(EVENTS, 5_000, 10_000);
    let large = payments(EVENTS, 1_000_000, 1_000_000);
    print_memory("customers", &over_events(&small, &small.customers, table(&customer_spec())));
    print_memory("terminals", &over_events(&small, &small.terminals, table(&terminal_spec())));
    print_memory("risk", &over_labels(&small, table(&risk_spec())));
    print_memory("1M keys", &over_events(&large, &large.customers, table(&customer_spec())));
    let mut group = criterion.benchmark_group("window");
    group.sample_size(10).throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("customers", |bencher| {
        bencher.iter(|| over_events(&small, &small.customers, table(&customer_spec())));
    });
    group.bench_function("terminals", |bencher| {
        bencher.iter(|| over_events(&small, &small.terminals, table(&terminal_spec())));
    });
    group.bench_function("risk", |bencher| {
        bencher.iter(|| over_labels(&small, table(&risk_spec())));
    });
    group.bench_function("customers_1m_keys", |bencher| {
        bencher.iter(|| over_events(&large, &large.customers, table(&customer_spec())));
    });
    group.finish();
}

fn moments(criterion: &mut Criterion) {
    const WIDTH: usize = 32;
    const ROWS: usize = 50_000;
    let mut state = 3;
    let cents = |state: &mut u64| (next(state) % 100_000) as f32 / 64.0;
    let values: Vec<f32> = (0..WIDTH * ROWS).map(|_| cents(&mut state)).collect();
    let mut group = criterion.benchmark_group("moments");
    group.sample_size(20).throughput(Throughput::Elements((WIDTH * ROWS) as u64));
    for every in [1, 16] {
        let spec = MomentsSpec { refresh_every_rows: every, ..MomentsSpec::new(WIDTH) };
        let mut matrix = values.clone();
        group.bench_function(format!("standardize_every_{every}"), |bencher| {
            bencher.iter(|| {
                matrix.copy_from_slice(&values);
                let mut moments = Moments::new(spec).expect("legal");
                moments.standardize(&mut matrix, WIDTH, 0).expect("the shapes fit");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, windows, moments);
criterion_main!(benches);
