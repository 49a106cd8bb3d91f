//! Moments against sums over all rows, for any cuts.

use super::*;
use proptest::prelude::*;

fn value() -> impl Strategy<Value = f32> {
    let odd = [f32::NAN, -0.0, 0.1, 0.1, 7.0, 1e10, -5e18, f32::INFINITY, 1e-9];
    prop_oneof![1 => prop::sample::select(odd.to_vec()), 3 => -1000.0_f32..1000.0]
}

const WIDTH: usize = 3;

fn spec() -> impl Strategy<Value = MomentsSpec> {
    let half_life_rows = prop::sample::select(vec![0, 0, 5, 16]);
    (any::<bool>(), half_life_rows, 0_u64..12, 1_u64..6).prop_map(
        |(include_current, half_life_rows, refresh_dense_rows, refresh_every_rows)| MomentsSpec {
            width: WIDTH,
            include_current,
            clip: 2.5,
            half_life_rows,
            refresh_dense_rows,
            refresh_every_rows,
        },
    )
}

/// Runs rows of WIDTH in chunks of `cut`, between two guard columns, saved and loaded on the way.
fn run(spec: MomentsSpec, rows: &[f32], cut: usize) -> (Vec<u32>, Vec<u8>) {
    let mut moments = Moments::new(spec).expect("legal");
    let mut out = Vec::new();
    for chunk in rows.chunks(cut * WIDTH) {
        let mut matrix: Vec<f32> =
            chunk.chunks_exact(WIDTH).flat_map(|r| [9.0, r[0], r[1], r[2], 9.0]).collect();
        moments.standardize(&mut matrix, WIDTH + 2, 1).expect("the shapes fit");
        for row in matrix.chunks_exact(WIDTH + 2) {
            assert_eq!((row[0], row[WIDTH + 1]), (9.0, 9.0));
            out.extend(row[1..=WIDTH].iter().map(|value| value.to_bits()));
        }
        let mut bytes = Vec::new();
        moments.write_state(&mut bytes).expect("a vector takes all bytes");
        moments = Moments::read_state(spec, &mut &bytes[..]).expect("own bytes");
    }
    let mut bytes = Vec::new();
    moments.write_state(&mut bytes).expect("a vector takes all bytes");
    (out, bytes)
}

/// The moments of the rows before `end`, from their weights and the pairwise differences.
fn expected(spec: MomentsSpec, column: &[f32], row: usize) -> f32 {
    let position = row as u64;
    let refreshed = if position < spec.refresh_dense_rows {
        position
    } else {
        // Where the schedule turns sparse, the last dense row may be the newer refresh.
        let sparse = position - position % spec.refresh_every_rows;
        sparse.max(spec.refresh_dense_rows.saturating_sub(1).min(position))
    };
    let end = refreshed as usize + usize::from(spec.include_current);
    let known: Vec<f32> = column[..end].iter().copied().filter(|v| !v.is_nan()).collect();
    let x = column[row];
    if known.is_empty() || x.is_nan() {
        return 0.0;
    }
    let clamped = known.iter().map(|v| v.clamp(-fixed::VALUE_MAX, fixed::VALUE_MAX));
    let numbers: Vec<i128> = clamped.map(fixed::quantize).collect();
    let mut pairs = U256::default();
    for (i, a) in numbers.iter().enumerate() {
        numbers[..i].iter().for_each(|b| pairs = pairs.plus(U256::square(a - b)));
    }
    let deviation = fixed::spread(1, 0, 0, pairs).sqrt();
    let mean = fixed::mean(numbers.len() as u64, numbers.iter().sum());
    if deviation == 0.0 {
        return 0.0;
    }
    let inverse = numbers.len() as f64 / deviation * (1_u64 << fixed::FRACTION_BITS) as f64;
    let x = f64::from(x.clamp(-fixed::VALUE_MAX, fixed::VALUE_MAX));
    let clip = f64::from(spec.clip);
    ((x - mean) * inverse).clamp(-clip, clip) as f32
}

proptest! {
    #[test]
    fn equals_the_sums_over_all_rows(
        spec in spec(), rows in prop::collection::vec(value(), 0..60 * WIDTH),
    ) {
        let rows = &rows[..rows.len() / WIDTH * WIDTH];
        let spec = MomentsSpec { half_life_rows: 0, ..spec };
        let (out, _) = run(spec, rows, 7);
        for c in 0..WIDTH {
            let column: Vec<f32> = rows.iter().copied().skip(c).step_by(WIDTH).collect();
            for row in 0..column.len() {
                let (given, wanted) = (out[row * WIDTH + c], expected(spec, &column, row));
                let close = (f32::from_bits(given) - wanted).abs() <= 1e-6 * wanted.abs();
                prop_assert!(close, "row {}: {} for {}", row, f32::from_bits(given), wanted);
                prop_assert!(!spec.clip.is_nan() && wanted.abs() <= spec.clip);
            }
        }
    }

    #[test]
    fn cuts_and_checkpoints_change_no_bit(
        spec in spec(), rows in prop::collection::vec(value(), 0..60 * WIDTH),
    ) {
        let rows = &rows[..rows.len() / WIDTH * WIDTH];
        let whole = run(spec, rows, 1000);
        for cut in [1, 7, 16] {
            prop_assert_eq!(&run(spec, rows, cut), &whole);
        }
    }
}

#[test]
fn half_life_fades_by_half() {
    let spec = MomentsSpec { half_life_rows: 100, ..MomentsSpec::new(1) };
    let mut moments = Moments::new(spec).expect("legal");
    let mut rows: Vec<f32> = (0..1000).map(|i| if i < 500 { 0.0 } else { 8.0 }).collect();
    moments.standardize(&mut rows, 1, 0).expect("the shapes fit");
    // The last 100 rows weigh 1, those before 1/2, 1/4, ...: rows 0..500 weigh 1/32 as much as
    // a stream of such halves, 2 * 100.
    let ones: f64 = (0..5).map(|i| 100.0 / f64::from(1 << i)).sum();
    let zeros: f64 = (5..10).map(|i| 100.0 / f64::from(1 << i)).sum();
    let (mean, deviation) = moments.column(0);
    let share = ones / (ones + zeros);
    assert!((mean - 8.0 * share).abs() < 2e-3, "{mean}");
    assert!((deviation - 8.0 * (share * (1.0 - share)).sqrt()).abs() < 2e-3, "{deviation}");
}

#[test]
fn refuses_what_does_not_fit() {
    let mut moments = Moments::new(MomentsSpec::new(2)).expect("legal");
    assert!(moments.standardize(&mut [0.0; 5], 2, 0).is_err());
    assert!(moments.standardize(&mut [0.0; 6], 2, 1).is_err());
    assert_eq!(moments.rows(), 0);
    assert!(Moments::new(MomentsSpec { clip: f32::NAN, ..MomentsSpec::new(1) }).is_err());
    assert!(Moments::new(MomentsSpec { refresh_every_rows: 0, ..MomentsSpec::new(1) }).is_err());
}

#[cfg(feature = "double")]
mod on_a_device {
    use super::*;
    use crate::assemble::device::{Assembler, ColumnBuffers, PinnedColumns};
    use crate::assemble::{AssembleSpec, Dense, Form, Sparse, SparseColumn};
    use crate::calendar::{Calendar, Part};
    use crate::cases::{Draw, scaled};
    use crate::coordinate::device::RowBuffers;
    use crate::device::double::tested;
    use crate::device::{Device, Pinned, Pinning, Stream};
    use crate::moments::device::DeviceMoments;

    fn state(moments: &Moments) -> Vec<u8> {
        let mut bytes = Vec::new();
        moments.write_state(&mut bytes).expect("a vector takes all bytes");
        bytes
    }

    proptest! {
        /// Long batches too, of which a thread has some rows each; the state moves there and back.
        #[test]
        fn a_device_has_the_bits_of_the_cpu(
            spec in spec(),
            rows in prop::collection::vec(value(), 0..1400 * WIDTH),
            cuts in prop::collection::vec(1_usize..900, 1..4),
        ) {
            for gpu in tested() {
                let stream = Stream::new(&gpu).expect("a stream");
                let mut here = Moments::new(spec).expect("legal");
                let mut there = DeviceMoments::new(&stream, &here).expect("room");
                let mut buffers = RowBuffers::new(&gpu, WIDTH + 2, 0).expect("room");
                let mut left = &rows[..rows.len() / WIDTH * WIDTH];
                for cut in cuts.iter().cycle() {
                    let (now, later) = left.split_at(left.len().min(cut * WIDTH));
                    left = later;
                    if now.is_empty() {
                        break;
                    }
                    let wide = now.chunks_exact(WIDTH).flat_map(|r| [9.0, r[0], r[1], r[2], 9.0]);
                    let mut matrix: Vec<f32> = wide.collect();
                    let count = now.len() / WIDTH;
                    buffers.give(&stream, (&matrix, &[]), count, None).expect("a copy");
                    here.standardize(&mut matrix, WIDTH + 2, 1).expect("the shapes fit");
                    there.standardize(&stream, &mut buffers, 1).expect("the shapes fit");
                    let device = Device::Gpu(gpu.clone());
                    let mut out = Pinned::new(&device, matrix.len(), Pinning::Both).expect("room");
                    let mut none = Pinned::ordinary(0);
                    buffers.download(&stream, &mut out, &mut none).expect("a copy");
                    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    prop_assert_eq!(bits(&out), bits(&matrix));
                    let mut fetched = Moments::new(spec).expect("legal");
                    there.fetch(&stream, &mut fetched).expect("a copy");
                    prop_assert!(state(&fetched) == state(&here));
                    there = DeviceMoments::new(&stream, &fetched).expect("room");
                }
            }
        }
    }

    /// Numbers as they are and in logarithms, clipped, and as many columns that are given.
    fn features() -> AssembleSpec {
        let number = |column, form, clip| Dense::Number { column, form, clip };
        let dense = vec![
            number(0, Form::Log, None),
            Dense::Given(0),
            number(1, Form::Identity, Some((-1.0, 40.0))),
            Dense::Calendar(Part::Hour),
        ];
        let salted = |source| SparseColumn { source, salt: 3 };
        AssembleSpec {
            dense,
            sparse: [Sparse::Category(0), Sparse::Cross(vec![0, 0])].map(salted).to_vec(),
            hash_bits: 12,
            calendar: Calendar::new(vec![(i64::MIN, 3_600_000)]),
            night: (22, 5),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(scaled(64)))]
        /// Features made and standardised at once, and one after the other; the state, too. Batches
        /// begin anywhere between two refreshes.
        #[test]
        fn features_made_and_scaled_at_once_are_those_made_and_scaled(
            spec in spec(),
            every in prop_oneof![1..5_u64, Just(16)],
            cuts in prop::collection::vec(prop_oneof![1..20_usize, 900..2600_usize], 1..5),
            (stride, seed) in (2600..2604_usize, any::<u64>()),
        ) {
            let (width, refresh_every_rows) = (features().dense.len(), every);
            let spec = MomentsSpec { width, refresh_every_rows, ..spec };
            for gpu in tested() {
                let stream = Stream::new(&gpu).expect("a stream");
                let device = Device::Gpu(gpu.clone());
                let here = Moments::new(spec).expect("legal");
                let there = || DeviceMoments::new(&stream, &here).expect("room");
                let (mut at_once, mut in_turn) = (there(), there());
                let assembler = Assembler::new(&stream, &features()).expect("room");
                let mut columns = ColumnBuffers::new(&gpu, [2, 1, 1], stride).expect("room");
                let mut rows = [(); 2].map(|()| RowBuffers::new(&gpu, width, 2).expect("room"));
                let mut draw = Draw::new(seed);
                for cut in cuts.iter().copied() {
                    let mut pinned = |length| {
                        let mut pinned = Pinned::new(&device, length, Pinning::Both).expect("room");
                        pinned.fill_with(|| match draw.unit() {
                            x if x < 0.1 => f32::NAN,
                            _ => draw.number(),
                        });
                        pinned
                    };
                    let (mut numbers, mut given) = (pinned(2 * stride), pinned(stride));
                    let mut times = Pinned::new(&device, stride, Pinning::Both).expect("room");
                    times.fill_with(|| (draw.bits() >> 20) as i64);
                    let mut categories = Pinned::new(&device, stride, Pinning::Both).expect("room");
                    categories.fill_with(|| draw.bits());
                    let from = PinnedColumns {
                        times_ms: &mut times,
                        numbers: &mut numbers,
                        categories: &mut categories,
                    };
                    columns.give(&stream, from, cut).expect("a copy");
                    columns.give_known(&stream, &mut given).expect("a copy");
                    let [first, second] = &mut rows;
                    at_once.make(&stream, (&assembler, &columns), first).expect("made");
                    assembler.run(&stream, &columns, second).expect("made");
                    in_turn.standardize(&stream, second, 0).expect("scaled");
                    let made = rows.each_ref().map(|rows| {
                        let room = cut * width;
                        let mut dense =
                            Pinned::new(&device, room, Pinning::Both).expect("room");
                        let mut sparse =
                            Pinned::new(&device, cut * 2, Pinning::Both).expect("room");
                        rows.download(&stream, &mut dense, &mut sparse).expect("a copy");
                        let dense: Vec<u32> = dense.iter().map(|x| x.to_bits()).collect();
                        (dense, sparse.to_vec())
                    });
                    prop_assert!(made[0] == made[1]);
                    let states = [&at_once, &in_turn].map(|there| {
                        let mut fetched = Moments::new(spec).expect("legal");
                        there.fetch(&stream, &mut fetched).expect("a copy");
                        state(&fetched)
                    });
                    prop_assert!(states[0] == states[1]);
                }
            }
        }
    }
}
