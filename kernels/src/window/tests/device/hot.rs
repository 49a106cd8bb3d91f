//! Keys that most rows have: windows of thousands of entries, read through the nodes of chunks
//! (`window/nodes.cuh`) and held to the CPU's table.

use super::*;
use crate::cases::{Draw, scaled};

/// What a stream is like.
#[derive(Clone, Copy, Debug)]
struct Busy {
    rows: usize,
    /// Rows that come after newer ones, of a thousand.
    late: u64,
    /// Values that are missing, of a thousand.
    missing: u64,
    /// Different codes.
    codes: u64,
    seed: u64,
}

/// Three keys; nine rows of ten have the first.
fn stream_of(busy: Busy) -> Vec<Step> {
    let mut draw = Draw::new(busy.seed);
    let mut is_one = move |of_thousand: u64| draw.bits() % 1000 < of_thousand;
    let mut draw = Draw::new(busy.seed + 1);
    let row = |row: usize| {
        let key = if is_one(900) { 1 } else { 2 + draw.bits() % 2 };
        let ahead_ms = (draw.bits() % 3) as i64;
        let ahead_ms = if is_one(busy.late) { -(draw.bits() as i64 & 1023) } else { ahead_ms };
        // A tide, so that extremes lie anywhere, and ties.
        let tide = (row % 1400).abs_diff(700) as f32 / 50.0;
        let value = (draw.number() * 8.0 + tide).round();
        let value = if is_one(busy.missing) { f32::NAN } else { value };
        // Most codes are seldom seen.
        let unit = draw.unit();
        Step::Row { key, ahead_ms, value, code: (unit * unit * busy.codes as f32) as u64 }
    };
    let mut steps: Vec<Step> = (0..busy.rows).map(row).collect();
    steps.insert(busy.rows / 2, Step::SaveAndLoad);
    steps
}

fn spec_of(widths_ms: [i64; 3]) -> TableSpec {
    let window = |(at, &width_ms): (usize, &i64)| WindowSpec {
        width_ms,
        delay_ms: if at == 1 { 5 } else { 0 },
        include_self: at == 2,
    };
    let windows: Vec<WindowSpec> = widths_ms.iter().enumerate().map(window).collect();
    TableSpec {
        over: Over::Events,
        layout: Layout::Exact,
        values: 2,
        codes: 1,
        features: all_features(Over::Events, Layout::Exact, windows.len()),
        windows,
        lateness_ms: 1_000,
        keys_max: 1 << 20,
        bytes_max: usize::MAX,
    }
}

fn check(spec: &TableSpec, busy: Busy, way: Way) -> Result<(), TestCaseError> {
    let steps = stream_of(busy);
    for gpu in tested() {
        let (outputs, state) = walked(Walker::new(&gpu, spec, way), &steps);
        let (expected, on_cpu) = walked_here(&gpu, spec, &steps, way);
        let difference = first_difference(spec, &outputs, &expected);
        prop_assert_eq!(difference, None, "{:?}, cut {}", busy, way.cut);
        prop_assert!(state == on_cpu, "state: {:?}, cut {}", busy, way.cut);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(12), ..ProptestConfig::default() })]

    #[test]
    fn a_long_window_says_what_that_of_the_cpu_says(
        widths_ms in [20_i64..400, 400_i64..2000, 1000_i64..4000],
        late in prop::sample::select(vec![0, 0, 5]),
        missing in prop::sample::select(vec![0, 30, 1000]),
        codes in prop::sample::select(vec![1, 12, 300, 100_000]),
        seed: u32,
        cut in prop::sample::select(vec![33, 250, 1000]),
        hot in prop::sample::select(vec![None, None, Some(0), Some(1)]),
        wraps_after in prop::sample::select(vec![0_u32, 56, 1000, 1992]),
        arranging in prop::sample::select(vec![Arranging::default(), by_blocks(100)]),
    ) {
        let busy = Busy { rows: 2500, late, missing, codes, seed: u64::from(seed) };
        let first_seq = wraps_after.wrapping_neg();
        let way = Way { cut, reload: true, hot, first_seq, arranging };
        check(&spec_of(widths_ms), busy, way)?;
    }
}
