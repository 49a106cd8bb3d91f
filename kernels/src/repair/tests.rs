//! Repaired columns against the definition told plainly, and on a device against the CPU.

use crate::cases::scaled;
use proptest::prelude::*;

use super::*;

fn any_value() -> impl Strategy<Value = f32> {
    let odd = [f32::NAN, f32::NAN, f32::NAN, -0.0, 1e6, -1e30, f32::INFINITY, 1e-9, 5e6];
    prop_oneof![1 => prop::sample::select(odd.to_vec()), 4 => -10.0_f32..10.0]
}

fn any_spec() -> impl Strategy<Value = RepairSpec> {
    let outliers = prop_oneof![
        2 => Just(Outliers::Keep),
        1 => (0.5_f32..4.0).prop_map(Outliers::Sigma),
        1 => (0.0_f32..0.4, 0.5_f32..1.0).prop_map(|(low, high)| Outliers::Quantiles(low, high)),
    ];
    let range = prop::option::of((-9.0_f32..0.0, 0.0_f32..9.0));
    (range, any::<bool>(), prop::option::of(-1.0_f32..1.0), outliers).prop_map(
        |(range, clips_range, constant, outliers)| RepairSpec {
            range,
            clips_range,
            constant,
            outliers,
        },
    )
}

fn state(repair: &Repair) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = &mut StateWriter::new(&mut bytes);
    repair.write_sums(writer).expect("a vector takes all bytes");
    repair.write_quantiles(writer).expect("a vector takes all bytes");
    bytes
}

proptest! {
    /// Without outliers: constants or means of what was there before, in double precision.
    #[test]
    fn missing_values_become_what_they_should(
        spec in any_spec(), values in prop::collection::vec(any_value(), 0..200)
    ) {
        let spec = RepairSpec { outliers: Outliers::Keep, ..spec };
        let mut repair = Repair::new(spec);
        let mut repaired = values.clone();
        repair.run(&mut repaired);
        let (mut sum, mut size, mut count) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (given, repaired) in values.iter().zip(repaired) {
            let (low, high) = spec.range.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
            let is_outside = *given < low || *given > high;
            if given.is_nan() || (is_outside && !spec.clips_range) {
                let mean = if count == 0.0 { 0.0 } else { sum / count };
                let wanted = spec.constant.map_or(mean, f64::from);
                let error = 1e-6 * (size / f64::max(count, 1.0)) + 1e-6;
                prop_assert!((f64::from(repaired) - wanted).abs() <= error, "{repaired} {wanted}");
                continue;
            }
            prop_assert_eq!(repaired, given.clamp(low, high));
            let exact = f64::from(fixed::admit(repaired).0);
            (sum, size, count) = (sum + exact, size + exact.abs(), count + 1.0);
        }
    }

    #[test]
    fn cuts_change_no_bit(
        spec in any_spec(), values in prop::collection::vec(any_value(), 0..400), cut in 1_usize..50
    ) {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let (mut whole, mut pieces) = (Repair::new(spec), Repair::new(spec));
        let (mut once, mut often) = (values.clone(), values);
        whole.run(&mut once);
        often.chunks_mut(cut).for_each(|piece| pieces.run(piece));
        prop_assert_eq!(bits(&once), bits(&often));
        prop_assert_eq!(state(&whole), state(&pieces));
    }
}

#[cfg(feature = "double")]
mod on_a_device {
    use super::*;
    use crate::device::Stream;
    use crate::device::double::tested;
    use crate::repair::device::DeviceRepair;

    proptest! {
        #![proptest_config(ProptestConfig { cases: scaled(64), ..ProptestConfig::default() })]
        #[test]
        fn a_device_has_the_bits_of_the_cpu(
            specs in prop::collection::vec(any_spec(), 1..4),
            values in prop::collection::vec(any_value(), 3 * 900),
            cuts in prop::collection::vec(1_usize..500, 1..4),
        ) {
            for gpu in tested() {
                let stream = Stream::new(&gpu).expect("a stream");
                let mut here: Vec<Repair> = specs.iter().map(|spec| Repair::new(*spec)).collect();
                let mut there = DeviceRepair::new(&stream, &here).expect("room");
                let mut first = 0;
                for rows in &cuts {
                    let rows = *rows.min(&(900 - first));
                    let stride = rows + 3;
                    // What lies behind the rows stays as it is.
                    let column = |at: usize| &values[at * 900 + first..][..rows];
                    let mut numbers: Vec<f32> = (0..specs.len())
                        .flat_map(|at| column(at).iter().copied().chain([7.0; 3]))
                        .collect();
                    let mut buffer = stream.buffer_of(&numbers).expect("room");
                    there.run(&stream, &mut buffer, (stride, rows)).expect("the shapes fit");
                    let mut out = vec![0.0_f32; numbers.len()];
                    stream.read(&buffer, &mut out).expect("a copy");
                    for (repair, column) in here.iter_mut().zip(numbers.chunks_mut(stride)) {
                        repair.run(&mut column[..rows]);
                    }
                    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    prop_assert_eq!(bits(&out), bits(&numbers));
                    let mut fetched = here.clone();
                    fetched.iter_mut().for_each(|repair| *repair = Repair::new(repair.spec));
                    there.fetch(&stream, &mut fetched).expect("a copy");
                    for (fetched, here) in fetched.iter().zip(&here) {
                        prop_assert!(state(fetched) == state(here));
                    }
                    there = DeviceRepair::new(&stream, &fetched).expect("room");
                    first += rows;
                }
            }
        }
    }
}
