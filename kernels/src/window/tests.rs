//! Windows against brute force over the whole history, in every bit.

#[cfg(feature = "double")]
mod device;
mod limits;
mod oracle;

use crate::cases::scaled;
use oracle::Oracle;
use proptest::prelude::*;

use super::*;

/// One step of a stream; labels and checkpoints come between rows.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Row { key: u64, ahead_ms: i64, value: f32, code: u64 },
    Label { key: u64, ahead_ms: i64, value: f32, code: u64 },
    SaveAndLoad,
}

/// A column-wise stream that is cut at labels, at checkpoints and every `cut` rows.
#[derive(Default)]
struct Columns {
    keys: Vec<u64>,
    times_ms: Vec<i64>,
    first: Vec<f32>,
    second: Vec<f32>,
    codes: Vec<u64>,
}

impl Columns {
    fn push(&mut self, key: u64, time_ms: i64, value: f32, code: u64) -> ([f32; 2], u64) {
        self.keys.push(key);
        self.times_ms.push(time_ms);
        self.first.push(value);
        self.second.push(code as f32 - value / 3.0);
        self.codes.push(code);
        ([value, code as f32 - value / 3.0], code)
    }

    fn with<T>(&self, call: impl FnOnce(&Rows<'_>) -> T) -> T {
        let (values, codes) = ([&self.first[..], &self.second[..]], [&self.codes[..]]);
        let (keys, times_ms) = (&self.keys[..], &self.times_ms[..]);
        call(&Rows { keys, times_ms, values: &values, codes: &codes })
    }
}

fn value() -> impl Strategy<Value = f32> {
    let odd = [f32::NAN, -0.0, 0.1, 0.1, 1.5, -3.25, 1e10, 5e18, f32::NEG_INFINITY, 3e-7];
    prop_oneof![prop::sample::select(odd.to_vec()), -100.0_f32..100.0]
}

fn step() -> impl Strategy<Value = Step> {
    let event = || (0_u64..5, -14_i64..9, value(), 0_u64..4);
    prop_oneof![
        8 => event().prop_map(|(key, ahead_ms, value, code)| {
            // Rows are mostly in order; ties are frequent.
            let ahead_ms = if ahead_ms % 3 == 0 { ahead_ms } else { ahead_ms.max(0) / 2 };
            Step::Row { key, ahead_ms, value, code }
        }),
        3 => event().prop_map(|(key, ahead_ms, value, code)| {
            Step::Label { key, ahead_ms, value, code }
        }),
        1 => Just(Step::SaveAndLoad),
    ]
}

fn window() -> impl Strategy<Value = WindowSpec> {
    let delay_ms = prop::sample::select(vec![0, 0, 0, 3, 11]);
    (4_i64..50, delay_ms, any::<bool>()).prop_map(|(width_ms, delay_ms, include_self)| WindowSpec {
        width_ms,
        delay_ms,
        include_self,
    })
}

/// Every aggregate over every window.
pub(super) fn all_features(over: Over, layout: Layout, windows: usize) -> Vec<Feature> {
    let mut aggregates = vec![Aggregate::Count, Aggregate::Rate, Aggregate::Since];
    for value in 0..2 {
        aggregates.extend([Aggregate::Sum { value }, Aggregate::Mean { value }]);
        aggregates.extend([Aggregate::Std { value }, Aggregate::Min { value }]);
        aggregates.extend([Aggregate::Max { value }, Aggregate::Last { value }]);
        if over == Over::Events {
            aggregates.push(Aggregate::Ratio { value });
        }
    }
    if layout == Layout::Exact {
        aggregates.push(Aggregate::Distinct { code: 0 });
    }
    let of = |window| aggregates.iter().map(move |&aggregate| Feature { window, aggregate });
    (0..windows).flat_map(of).collect()
}

fn spec() -> impl Strategy<Value = TableSpec> {
    let over = prop::sample::select(vec![Over::Events, Over::Labels]);
    let tiled = [Layout::Exact, Layout::Exact, Layout::Tiled { tile_ms: 4 }];
    let layout = prop::sample::select(tiled.to_vec());
    let windows = prop::collection::vec(window(), 1..4);
    let lateness_ms = prop::sample::select(vec![0, 6, 40]);
    let keys_max = prop::sample::select(vec![1, 2, 3, 1000]);
    (over, layout, windows, lateness_ms, keys_max).prop_map(
        |(over, layout, windows, lateness_ms, keys_max)| TableSpec {
            over,
            layout,
            values: 2,
            codes: 1,
            features: all_features(over, layout, windows.len()),
            windows,
            lateness_ms,
            keys_max,
            bytes_max: usize::MAX,
        },
    )
}

/// Runs the pending rows of a stream and returns their outputs.
fn run(table: &mut WindowTable, over: Over, columns: &Columns, cut: usize) -> Vec<f32> {
    let (rows, width) = (columns.keys.len(), table.width());
    let (stride, offset) = (width + 3, 2);
    let mut out = vec![-7.0; rows * stride];
    columns.with(|all| {
        for from in (0..rows).step_by(cut) {
            let range = from..rows.min(from + cut);
            let mut target = Target { out: &mut out, stride, offset };
            let result = match over {
                Over::Events => table.process(all, range, &mut target),
                Over::Labels => table.query(all, range, &mut target),
            };
            result.expect("the shapes fit");
        }
    });
    let mut features = Vec::new();
    for row in out.chunks_exact(stride) {
        assert_eq!((&row[..offset], row[stride - 1]), (&[-7.0, -7.0][..], -7.0), "guard");
        features.extend_from_slice(&row[offset..offset + width]);
    }
    features
}

fn save(table: &WindowTable) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.write_state(&mut bytes).expect("a vector takes all bytes");
    bytes
}

/// The outputs of a stream, and its last state.
fn play(spec: &TableSpec, steps: &[Step], cut: usize, reload: bool) -> (Vec<f32>, Vec<u8>) {
    let mut table = WindowTable::new(spec).expect("a legal specification");
    let (mut now_ms, mut pending, mut outputs) = (1_000, Columns::default(), Vec::new());
    for step in steps {
        match *step {
            Step::Row { key, ahead_ms, value, code } => {
                pending.push(key, now_ms + ahead_ms, value, code);
                now_ms = now_ms.max(now_ms + ahead_ms);
                continue;
            }
            Step::Label { .. } if spec.over == Over::Events => continue,
            _ => {}
        }
        outputs.extend(run(&mut table, spec.over, &pending, cut));
        pending = Columns::default();
        match *step {
            Step::Label { key, ahead_ms, value, code } => {
                let mut label = Columns::default();
                label.push(key, now_ms + ahead_ms, value, code);
                label.with(|rows| table.insert(rows, 0..1)).expect("the shapes fit");
            }
            Step::SaveAndLoad if reload => {
                let bytes = save(&table);
                table = WindowTable::read_state(spec, &mut &bytes[..]).expect("own bytes");
                assert_eq!(save(&table), bytes, "a loaded state writes the same bytes");
            }
            _ => {}
        }
    }
    outputs.extend(run(&mut table, spec.over, &pending, cut));
    (outputs, save(&table))
}

/// The same with labels among the rows, in one call.
fn follow(spec: &TableSpec, steps: &[Step]) -> (Vec<f32>, Vec<u8>) {
    let (mut now_ms, mut before_rows) = (1_000, Vec::new());
    let (mut rows, mut labels) = (Columns::default(), Columns::default());
    for step in steps {
        match *step {
            Step::Row { key, ahead_ms, value, code } => {
                rows.push(key, now_ms + ahead_ms, value, code);
                now_ms = now_ms.max(now_ms + ahead_ms);
            }
            Step::Label { key, ahead_ms, value, code } => {
                labels.push(key, now_ms + ahead_ms, value, code);
                before_rows.push(rows.keys.len() as u32);
            }
            Step::SaveAndLoad => {}
        }
    }
    let mut table = WindowTable::new(spec).expect("a legal specification");
    let mut out = vec![0.0; rows.keys.len() * table.width()];
    let mut target = Target { out: &mut out, stride: table.width(), offset: 0 };
    let (keys, times_ms) = (&rows.keys[..], &rows.times_ms[..]);
    let rows = Rows { keys, times_ms, values: &[], codes: &[] };
    labels.with(|labels| table.follow(&rows, labels, &before_rows, &mut target)).expect("shapes");
    (out, save(&table))
}

fn brute_force(spec: &TableSpec, steps: &[Step]) -> Vec<f32> {
    let mut oracle = Oracle::new(spec.clone());
    let (mut now_ms, mut outputs, mut columns) = (1_000, Vec::new(), Columns::default());
    for step in steps {
        match *step {
            Step::Row { key, ahead_ms, value, code } => {
                let (values, code) = columns.push(key, now_ms + ahead_ms, value, code);
                outputs.extend(oracle.row(key, now_ms + ahead_ms, values, code));
                now_ms = now_ms.max(now_ms + ahead_ms);
            }
            Step::Label { key, ahead_ms, value, code } if spec.over == Over::Labels => {
                let (values, code) = columns.push(key, now_ms + ahead_ms, value, code);
                oracle.label(key, now_ms + ahead_ms, values, code);
            }
            _ => {}
        }
    }
    outputs
}

fn first_difference(spec: &TableSpec, given: &[f32], expected: &[f32]) -> Option<String> {
    assert_eq!(given.len(), expected.len());
    let pairs = given.iter().zip(expected);
    let at = pairs.enumerate().find(|(_, (a, b))| a.to_bits() != b.to_bits())?;
    let (row, column) = (at.0 / spec.features.len(), at.0 % spec.features.len());
    let feature = spec.features[column];
    Some(format!("row {row}, {feature:?}: {} for {}", at.1.0, at.1.1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(400), ..ProptestConfig::default() })]

    #[test]
    fn equals_brute_force_for_any_cuts(
        spec in spec(), steps in prop::collection::vec(step(), 1..160),
    ) {
        let expected = brute_force(&spec, &steps);
        let (outputs, state) = play(&spec, &steps, 1, true);
        prop_assert_eq!(first_difference(&spec, &outputs, &expected), None);
        for (cut, reload) in [(7, false), (16, true), (256, false)] {
            let (outputs, other) = play(&spec, &steps, cut, reload);
            prop_assert_eq!(first_difference(&spec, &outputs, &expected), None, "cut {}", cut);
            prop_assert_eq!(&other, &state, "state after cuts of {}", cut);
        }
    }

    #[test]
    fn rows_and_labels_together_are_rows_and_labels_in_turns(
        spec in spec(), steps in prop::collection::vec(step(), 1..160),
    ) {
        let spec = TableSpec {
            over: Over::Labels,
            features: all_features(Over::Labels, spec.layout, spec.windows.len()),
            ..spec
        };
        let (outputs, state) = follow(&spec, &steps);
        prop_assert_eq!(first_difference(&spec, &outputs, &brute_force(&spec, &steps)), None);
        prop_assert_eq!(state, play(&spec, &steps, 1, true).1);
    }
}
