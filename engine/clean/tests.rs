//! The clean stage against plain re-computation, and against other cuts of the same rows.

use super::*;
use crate::config::Config;
use crate::ring::Reason;

const CONFIG: &str = r#"
    event = { id = "id", time = "t", lateness = "10ms", duplicates_within = "1s", ahead_max = "1h" }
    fields.a = { type = "number", range = [-100, 100], out_of_range = "clip", missing = "mean" }
    fields.b = { type = "number", missing = "last", missing_key = "k", clip_sigma = 3 }
    fields.c = { type = "number", missing = "reject", clip_quantiles = [0.1, 0.9] }
    fields.k = { type = "category", required = true }
    filter = [{ field = "k", except = ["skip"] }]
"#;

/// One row: id, time, numbers a, b, c, category.
type Row = (u128, i64, [f32; 3], u64);

fn run(config: &Config, rows: &[Row], cut: usize) -> (Vec<[u32; 3]>, Vec<Reason>, u64) {
    let mut clean = Clean::new(&config.event, 1000);
    let (mut kept, mut reasons, mut filtered) = (Vec::new(), Vec::new(), 0);
    for chunk in rows.chunks(cut) {
        let mut slot = Slot::new(&config.event.schema, chunk.len());
        for &(id, time_ms, numbers, key) in chunk {
            let row = slot.rows;
            slot.ids[row] = id;
            slot.times_ms[row] = time_ms;
            for (column, value) in numbers.into_iter().enumerate() {
                slot.numbers[[column, row]] = value;
            }
            slot.categories[[0, row]] = key;
            slot.rows += 1;
        }
        clean.run(&mut slot);
        for row in 0..slot.rows {
            kept.push([0, 1, 2].map(|column| slot.numbers[[column, row]].to_bits()));
        }
        reasons.extend(slot.rejects.iter().map(|r| r.reason));
        filtered += slot.filtered;
        assert_eq!(slot.rows + slot.rejects.len() + slot.filtered as usize, chunk.len());
    }
    (kept, reasons, filtered)
}

fn rows() -> Vec<Row> {
    let mut state = 7_u64;
    let mut random = || {
        state = pelton_kernels::hash::mix64(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..3000)
        .map(|i| {
            let wild = if random() < 0.02 { 1e6 } else { 1.0 };
            let hole = |x: f32, r: f32| if r < 0.1 { f32::NAN } else { x };
            let a = hole((random() - 0.5) * 300.0, random());
            let b = hole(random() * wild, random());
            let c = if random() < 0.01 { f32::NAN } else { random() * wild };
            let time_ms = i * 5 - (random() * 30.0) as i64;
            let id = if random() < 0.02 { i as u128 / 2 } else { i as u128 };
            let key = if random() < 0.01 { 0 } else { 1 + (random() * 5.0) as u64 };
            (id, time_ms, [a, b, c], key)
        })
        .collect()
}

#[test]
fn the_cut_of_the_batches_changes_no_bit() {
    let config = Config::parse(CONFIG).expect("a valid configuration");
    let rows = rows();
    let whole = run(&config, &rows, rows.len());
    for cut in [1, 7, 256] {
        assert_eq!(run(&config, &rows, cut), whole, "cut {cut}");
    }
    for reason in [Reason::Late, Reason::Duplicate, Reason::MissingValue] {
        assert!(whole.1.contains(&reason), "{reason:?} never happened");
    }
}

#[test]
fn no_value_that_leaves_is_missing_or_far() {
    let config = Config::parse(CONFIG).expect("a valid configuration");
    let (kept, ..) = run(&config, &rows(), 100);
    let values = |column: usize| kept.iter().map(move |row| f32::from_bits(row[column]));
    assert!(values(0).chain(values(1)).chain(values(2)).all(f32::is_finite));
    assert!(values(0).all(|a| (-100.0..=100.0).contains(&a)));
    assert!(values(1).skip(500).all(|b| b < 10.0), "an outlier of 1e6 was let through");
    assert!(values(2).skip(500).all(|c| c < 1.1), "an outlier of 1e6 was let through");
}

#[test]
fn one_broken_clock_does_not_make_the_stream_late_but_a_gap_is_followed() {
    let config = Config::parse(CONFIG).expect("a valid configuration");
    let hour = 3_600_000;
    let row = |id: i64, time_ms| (id as u128, time_ms, [1.0, 1.0, 1.0], 1);
    let mut rows = vec![row(0, 0), row(1, 100 * hour), row(2, 1)];
    rows.extend((3..40).map(|i| row(i, 200 * hour + i)));
    let (kept, reasons, _) = run(&config, &rows, 8);
    assert_eq!(reasons, vec![Reason::Ahead; 16], "the broken one and fifteen before the gap");
    assert_eq!(kept.len(), rows.len() - 16);
}
