//! Bins of small samples by hand, and of any by what they promise.

use proptest::prelude::*;

use super::*;

#[test]
fn a_sample_of_tenths_has_a_group_for_each() {
    let mut sample: Vec<f32> = (1..=400).rev().map(|at| at as f32).collect();
    let bins = Bins::of(&mut sample).expect("values");
    assert_eq!(bins.len(), BINS_MAX);
    let counts: Vec<f64> = bins.counts().iter().map(|count| *count as f64).collect();
    assert_eq!(bins.counts()[0], 0);
    assert!(bins.counts()[1..=40].iter().all(|count| *count == 10));
    assert_eq!(bins.counts()[41], 0);
    let mut wanted = vec![40.0; 12];
    (wanted[0], wanted[11]) = (0.0, 0.0);
    assert_eq!(bins.grouped(&counts), wanted);
    for (value, bin) in [(-5.0, 0), (1.0, 1), (10.0, 1), (10.5, 2), (400.0, 40), (401.0, 41)] {
        assert_eq!(bins.bin(value), bin, "{value}");
    }
}

#[test]
fn a_value_that_most_rows_have_is_alone() {
    let mut sample = vec![0.0; 90];
    sample.extend((1..=10).map(|at| at as f32));
    let bins = Bins::of(&mut sample).expect("values");
    assert_eq!([bins.bin(-0.1), bins.bin(-0.0), bins.bin(0.0), bins.bin(0.1)], [0, 1, 1, 2]);
    let counts: Vec<f64> = bins.counts().iter().map(|count| *count as f64).collect();
    assert_eq!(bins.grouped(&counts), [0.0, 90.0, 10.0, 0.0]);
    // One value alone has what is below it, itself, and what is above.
    let bins = Bins::of(&mut vec![7.0; 5]).expect("values");
    assert_eq!((bins.len(), bins.counts()), (3, &[0, 5, 0][..]));
    assert_eq!(Bins::of(&mut vec![f32::NAN, f32::INFINITY]), None);
}

proptest! {
    #[test]
    fn each_value_is_between_the_edges_of_its_bin(
        values in prop::collection::vec(prop_oneof![-3.0_f32..3.0, Just(0.0), Just(1.0)], 1..300),
        other in prop::num::f32::NORMAL, damaged: prop::sample::Index,
    ) {
        let bins = Bins::of(&mut values.clone()).expect("values");
        prop_assert_eq!(bins.counts().iter().sum::<u64>(), values.len() as u64);
        prop_assert!(bins.len() <= BINS_MAX);
        prop_assert_eq!((bins.counts()[0], bins.counts()[bins.len() - 1]), (0, 0));
        prop_assert!(bins.counts()[1..bins.len() - 1].iter().all(|count| *count > 0));
        for value in values.iter().chain([&other]) {
            let bin = bins.bin(*value);
            prop_assert!(bin == 0 || bins.edges[bin - 1] < *value);
            prop_assert!(bin == bins.edges.len() || *value <= bins.edges[bin]);
        }
        // A bin holds more than a fortieth only of one value.
        for bin in 1..bins.len() - 1 {
            let own: Vec<f32> = values.iter().copied().filter(|v| bins.bin(*v) == bin).collect();
            let at_edge = own.iter().filter(|value| **value == bins.edges[bin]).count();
            prop_assert!(own.len() - at_edge <= values.len().div_ceil(QUANTILES));
        }
        let mut bytes = Vec::new();
        bins.write(&mut StateWriter::new(&mut bytes)).expect("a vector takes all bytes");
        let read = Bins::read(&mut StateReader::new(&mut &bytes[..])).expect("as written");
        prop_assert_eq!(&read, &bins);
        let shorter = &bytes[..damaged.index(bytes.len())];
        prop_assert!(Bins::read(&mut StateReader::new(&mut &shorter[..])).is_err());
        bytes[damaged.index(read.len())] ^= 0x80;
        if let Ok(bins) = Bins::read(&mut StateReader::new(&mut &bytes[..])) {
            prop_assert!(bins.bin(other) < bins.len());
        }
    }
}
