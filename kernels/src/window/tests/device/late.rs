//! Keys whose entries come out of order, in stretches and here and there: what is merged by runs
//! (`window/runs.cuh`) is what the CPU's table makes of one call after the other.

use super::*;
use crate::cases::{Draw, scaled};

/// In which order the times of a stream come.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Partitions take turns, so many rows each, over the same time.
    Stretches { partitions: usize, rows: usize },
    /// So many of a thousand are behind, by less than so much.
    Jitter { late: u64, by_ms: u64 },
}

/// What a stream is like.
#[derive(Clone, Copy, Debug)]
struct Disorder {
    order: Order,
    rows: usize,
    /// Between two times of one partition, less than this: 1 lets all be equal.
    step_ms: u64,
    /// Different codes.
    codes: u64,
    /// Rows of a hundred that have the first of three keys.
    hot: u64,
    seed: u64,
}

fn times_of(disorder: Disorder) -> Vec<i64> {
    let mut draw = Draw::new(disorder.seed);
    let (mut clocks_ms, mut times_ms) = (vec![2_000_i64; 8], Vec::new());
    for row in 0..disorder.rows {
        let (clock, late_ms) = match disorder.order {
            Order::Stretches { partitions, rows } => (row / rows % partitions, 0),
            Order::Jitter { late, by_ms } if draw.bits() % 1000 < late => {
                (0, (draw.bits() % by_ms) as i64)
            }
            Order::Jitter { .. } => (0, 0),
        };
        clocks_ms[clock] += (draw.bits() % disorder.step_ms) as i64;
        times_ms.push(clocks_ms[clock] - late_ms);
    }
    times_ms
}

/// Rows of these times; over labels they are the labels', and rows ask in between.
fn stream_of(disorder: Disorder, over: Over) -> Vec<Step> {
    let (mut draw, mut now_ms) = (Draw::new(disorder.seed + 1), 1_000);
    let mut steps = Vec::new();
    for time_ms in times_of(disorder) {
        let key = |draw: &mut Draw| match draw.bits() % 100 < disorder.hot {
            true => 1,
            false => 1 + draw.bits() % 3,
        };
        let ahead_ms = time_ms - now_ms;
        let value = if draw.unit() < 0.03 { f32::NAN } else { (draw.number() * 8.0).round() };
        let (key_of_time, code) = (key(&mut draw), draw.bits() % disorder.codes);
        if over == Over::Labels {
            steps.push(Step::Label { key: key_of_time, ahead_ms, value, code });
            // As old as a label, newer or older.
            let ahead_ms = ahead_ms + (draw.bits() % 5) as i64 - 2;
            if draw.unit() < 0.3 {
                now_ms = now_ms.max(now_ms + ahead_ms);
                steps.push(Step::Row { key: key(&mut draw), ahead_ms, value, code });
            }
            continue;
        }
        now_ms = now_ms.max(time_ms);
        steps.push(Step::Row { key: key_of_time, ahead_ms, value, code });
    }
    steps.insert(disorder.rows / 2, Step::SaveAndLoad);
    steps
}

fn spec_of(over: Over, widths_ms: [i64; 3], lateness_ms: i64) -> TableSpec {
    let window = |(at, &width_ms): (usize, &i64)| WindowSpec {
        width_ms,
        delay_ms: if at == 1 { 7 } else { 0 },
        include_self: at == 2,
    };
    let windows: Vec<WindowSpec> = widths_ms.iter().enumerate().map(window).collect();
    let features = all_features(over, Layout::Exact, windows.len());
    let spec = TableSpec {
        over,
        layout: Layout::Exact,
        values: 2,
        codes: 1,
        features,
        windows,
        lateness_ms,
        keys_max: 1 << 20,
        bytes_max: usize::MAX,
    };
    there(spec)
}

fn check(spec: &TableSpec, disorder: Disorder, way: Way) -> Result<(), TestCaseError> {
    let steps = stream_of(disorder, spec.over);
    for gpu in tested() {
        let (outputs, state) = walked(Walker::new(&gpu, spec, way), &steps);
        let (expected, on_cpu) = walked_here(&gpu, spec, &steps, Way { cut: 97, ..way });
        let difference = first_difference(spec, &outputs, &expected);
        prop_assert_eq!(difference, None, "{:?}, cut {}", disorder, way.cut);
        prop_assert!(state == on_cpu, "state: {:?}, cut {}", disorder, way.cut);
    }
    Ok(())
}

fn order() -> impl Strategy<Value = Order> {
    let rows = prop::sample::select(vec![1, 7, 33, 60, 300]);
    prop_oneof![
        (2..=4_usize, rows).prop_map(|(partitions, rows)| Order::Stretches { partitions, rows }),
        (prop::sample::select(vec![10, 100, 700]), prop::sample::select(vec![3, 30, 900]))
            .prop_map(|(late, by_ms)| Order::Jitter { late, by_ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(24), ..ProptestConfig::default() })]

    #[test]
    fn entries_in_any_order_are_where_the_cpu_has_them(
        over in prop::sample::select(vec![Over::Events, Over::Events, Over::Labels]),
        order in order(),
        step_ms in prop::sample::select(vec![1, 2, 4]),
        codes in prop::sample::select(vec![2, 40, 1000]),
        widths_ms in [3_i64..60, 60_i64..500, 400_i64..3000],
        lateness_ms in prop::sample::select(vec![5, 200, 5_000]),
        seed: u32,
        cut in prop::sample::select(vec![40, 300, 1200]),
        hot in prop::sample::select(vec![None, None, Some(1)]),
        wraps_after in prop::sample::select(vec![0_u32, 80, 600]),
        arranging in prop::sample::select(vec![Arranging::default(), by_blocks(100)]),
    ) {
        let seed = u64::from(seed);
        let disorder = Disorder { order, rows: 1200, step_ms, codes, hot: 80, seed };
        let first_seq = wraps_after.wrapping_neg();
        let way = Way { cut, reload: true, hot, first_seq, arranging };
        check(&spec_of(over, widths_ms, lateness_ms), disorder, way)?;
    }
}

#[test]
fn thousands_of_calls_of_a_key_are_one_batch() -> Result<(), TestCaseError> {
    let stretches = Order::Stretches { partitions: 4, rows: 500 };
    for order in [stretches, Order::Jitter { late: 10, by_ms: 40 }] {
        let disorder = Disorder { order, rows: 4_000, step_ms: 3, codes: 60, hot: 100, seed: 5 };
        let arranging = by_blocks(1000);
        let way = Way { cut: 4_000, reload: false, hot: None, first_seq: 0, arranging };
        check(&spec_of(Over::Events, [30, 300, 900], 5_000), disorder, way)?;
        check(&spec_of(Over::Labels, [30, 300, 900], 5_000), disorder, way)?;
    }
    Ok(())
}
