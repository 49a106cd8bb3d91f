//! Features against their definitions, and on a device against the CPU.

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn spec(dense: Vec<Dense>, sparse: Vec<Sparse>) -> AssembleSpec {
    let salted = |(at, source)| SparseColumn { source, salt: hash::mix64(at as u64 + 1) };
    AssembleSpec {
        dense,
        sparse: sparse.into_iter().enumerate().map(salted).collect(),
        hash_bits: 12,
        calendar: Calendar::new(vec![(i64::MIN, HOUR_MS), (50 * HOUR_MS, 2 * HOUR_MS)]),
        night: (22, 5),
    }
}

#[test]
fn features_are_what_they_are_said_to_be() {
    let number = |form, clip| Dense::Number { column: 1, form, clip };
    let dense = vec![
        number(Form::Identity, None),
        number(Form::Log, Some((-2.0, 2.0))),
        Dense::Calendar(Part::Night),
        Dense::Given(0),
    ];
    let buckets = Sparse::Buckets { column: 0, boundaries: vec![0.0, 1.0] };
    let sparse =
        vec![Sparse::Category(1), Sparse::Cross(vec![0, 1]), buckets, Sparse::Calendar(Part::Hour)];
    let spec = spec(dense, sparse);
    let columns = Columns {
        rows: 2,
        stride: 3,
        times_ms: &[20 * HOUR_MS, 21 * HOUR_MS],
        numbers: &[1.0, -1.0, 9.0, -7.0, 3.0, 9.0],
        categories: &[5, 6, 99, 7, 0, 99],
        given: &[0.5, 0.25],
    };
    let (mut dense, mut sparse) = ([f32::NAN; 8], [0; 8]);
    spec.run(&columns, (&mut dense, &mut sparse)).expect("the shapes fit");
    let log = 3.0_f32.ln();
    assert!((dense[1] + log).abs() < 1e-6 && (dense[5] - log).abs() < 1e-6);
    (dense[1], dense[5]) = (0.0, 0.0);
    assert_eq!(dense, [-7.0, 0.0, 0.0, 0.5, 3.0, 0.0, 1.0, 0.25]);
    let bucket = |at: usize, code| hash::bucket(code, spec.sparse[at].salt, 12);
    let cross = |a, b| bucket(1, hash::cross([a, b]));
    let first = [bucket(0, 7), cross(5, 7), bucket(2, 3), bucket(3, 22)];
    let second = [bucket(0, 0), cross(6, 0), bucket(2, 1), bucket(3, 23)];
    assert_eq!(sparse, [first, second].concat()[..]);
}

#[test]
fn shapes_that_do_not_fit_are_refused_before_anything_is_written() {
    let number = Dense::Number { column: 1, form: Form::Identity, clip: None };
    let spec = spec(vec![number, Dense::Given(0)], vec![Sparse::Category(0)]);
    let good = Columns {
        rows: 2,
        stride: 2,
        times_ms: &[0; 2],
        numbers: &[0.0; 4],
        categories: &[0; 2],
        given: &[0.0; 2],
    };
    let (mut dense, mut sparse) = ([1.0; 4], [1; 2]);
    let mut refused = |columns: Columns<'_>, dense_length: usize| {
        let run = spec.run(&columns, (&mut dense[..dense_length], &mut sparse));
        assert!(matches!(run, Err(KernelError::Shape { .. })), "{columns:?}");
    };
    refused(Columns { stride: 1, ..good }, 4);
    refused(Columns { times_ms: &[0], ..good }, 4);
    refused(Columns { numbers: &[0.0; 3], ..good }, 4);
    refused(Columns { categories: &[0], ..good }, 4);
    refused(Columns { given: &[0.0], ..good }, 4);
    refused(good, 3);
    assert_eq!((dense, sparse), ([1.0; 4], [1; 2]));
}

#[cfg(feature = "double")]
mod on_a_device {
    use proptest::prelude::*;

    use super::*;
    use crate::assemble::device::{Assembler, ColumnBuffers, PinnedColumns};
    use crate::coordinate::device::RowBuffers;
    use crate::device::double::tested;
    use crate::device::{Device, Pinned, Pinning, Stream};

    const NUMBERS: usize = 3;
    const CATEGORIES: usize = 3;

    fn any_part() -> impl Strategy<Value = Part> {
        prop::sample::select(vec![
            Part::Hour,
            Part::Weekday,
            Part::Weekend,
            Part::Night,
            Part::DayCycle { sine: true },
            Part::DayCycle { sine: false },
            Part::WeekCycle { sine: true },
            Part::WeekCycle { sine: false },
        ])
    }

    fn any_dense() -> impl Strategy<Value = Dense> {
        let clip = prop::option::of((-3.0_f32..0.0, 0.0_f32..3.0));
        let form = prop::sample::select(vec![Form::Identity, Form::Log]);
        prop_oneof![
            (0..NUMBERS, form, clip).prop_map(|(column, form, clip)| Dense::Number {
                column,
                form,
                clip
            }),
            any_part().prop_map(Dense::Calendar),
            (0..4_usize).prop_map(Dense::Given),
        ]
    }

    fn any_sparse() -> impl Strategy<Value = Sparse> {
        let boundaries = prop::collection::vec(-5.0_f32..5.0, 0..9);
        let sorted = boundaries.prop_map(|mut boundaries| {
            boundaries.sort_by(f32::total_cmp);
            boundaries
        });
        prop_oneof![
            (0..CATEGORIES).prop_map(Sparse::Category),
            prop::collection::vec(0..CATEGORIES, 2..4).prop_map(Sparse::Cross),
            (0..NUMBERS, sorted)
                .prop_map(|(column, boundaries)| Sparse::Buckets { column, boundaries }),
            any_part().prop_map(Sparse::Calendar),
        ]
    }

    fn any_number() -> impl Strategy<Value = f32> {
        let odd = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0, 1e-42, f32::MAX];
        prop_oneof![1 => prop::sample::select(odd.to_vec()), 5 => -6.0_f32..6.0]
    }

    fn any_time() -> impl Strategy<Value = i64> {
        prop_oneof![1 => any::<i64>(), 4 => -100 * HOUR_MS..500 * HOUR_MS]
    }

    proptest! {
        #[test]
        fn a_device_has_the_bits_of_the_cpu(
            dense in prop::collection::vec(any_dense(), 0..6),
            sparse in prop::collection::vec(any_sparse(), 0..6),
            rows in 0_usize..70,
            room in 0_usize..90,
            numbers in prop::collection::vec(any_number(), NUMBERS * 160),
            codes in prop::collection::vec(any::<u64>(), CATEGORIES * 160),
            times_ms in prop::collection::vec(any_time(), 160),
        ) {
            let spec = spec(dense, sparse);
            let (stride, given_width) = (rows + room, spec.given_width());
            let known: Vec<f32> = numbers.iter().rev().copied().cycle()
                .take(rows * given_width).collect();
            let columns = Columns {
                rows,
                stride,
                times_ms: &times_ms[..stride],
                numbers: &numbers[..NUMBERS * stride],
                categories: &codes[..CATEGORIES * stride],
                given: &known,
            };
            let [dense_width, sparse_width] = [spec.dense.len(), spec.sparse.len()];
            let mut dense = vec![0.0; rows * dense_width];
            let mut sparse = vec![0; rows * sparse_width];
            spec.run(&columns, (&mut dense, &mut sparse)).expect("the shapes fit");
            for gpu in tested() {
                let stream = Stream::new(&gpu).expect("a stream");
                let device = Device::Gpu(gpu.clone());
                let mut times_there = Pinned::new(&device, stride, Pinning::Both).expect("room");
                times_there.copy_from_slice(columns.times_ms);
                let length = columns.numbers.len();
                let mut numbers_there = Pinned::new(&device, length, Pinning::Both).expect("room");
                numbers_there.copy_from_slice(columns.numbers);
                let length = columns.categories.len();
                let mut codes_there = Pinned::new(&device, length, Pinning::Both).expect("room");
                codes_there.copy_from_slice(columns.categories);
                let mut given = Pinned::new(&device, known.len(), Pinning::Upload).expect("room");
                given.copy_from_slice(&known);
                let pinned = PinnedColumns {
                    times_ms: &mut times_there,
                    numbers: &mut numbers_there,
                    categories: &mut codes_there,
                };
                let widths = [NUMBERS, CATEGORIES, given_width];
                let mut there = ColumnBuffers::new(&gpu, widths, stride).expect("room");
                let mut made = RowBuffers::new(&gpu, dense_width, sparse_width).expect("room");
                let assembler = Assembler::new(&stream, &spec).expect("room");
                there.give(&stream, pinned, rows).expect("a copy");
                there.give_known(&stream, &mut given).expect("a copy");
                assembler.run(&stream, &there, &mut made).expect("the shapes fit");
                let mut out = Pinned::new(&device, dense.len(), Pinning::Both).expect("room");
                let mut out_sparse =
                    Pinned::new(&device, sparse.len(), Pinning::Both).expect("room");
                made.download(&stream, &mut out, &mut out_sparse).expect("a copy");
                let bits = |x: &[f32]| -> Vec<u32> {
                    x.iter().map(|x| if x.is_nan() { u32::MAX } else { x.to_bits() }).collect()
                };
                prop_assert_eq!(bits(&out), bits(&dense));
                prop_assert_eq!(&out_sparse[..], &sparse[..]);
            }
        }
    }
}
