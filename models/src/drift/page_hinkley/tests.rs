//! The sum against the formula as it was written, and how often and how soon it gives alarms.

use pelton_kernels::cases::{Draw, scaled};
use proptest::prelude::*;

use super::*;

/// The sum less its minimum, with mean and deviation taken anew for every value.
fn reference(values: &[f64], tolerance: f64, threshold: f64) -> Option<usize> {
    let (mut sum, mut least) = (0.0, 0.0_f64);
    (WARM_UP as usize..values.len()).find(|at| {
        let (before, value) = (&values[..*at], values[*at]);
        let count = before.len() as f64;
        let mean = before.iter().sum::<f64>() / count;
        let variance = before.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        sum += ((value - mean) / variance.sqrt()).clamp(-8.0, 8.0) - tolerance;
        least = least.min(sum);
        sum - least > threshold
    })
}

fn saved(test: &PageHinkley) -> Vec<u8> {
    let mut bytes = Vec::new();
    test.write(&mut StateWriter::new(&mut bytes)).expect("a vector takes all bytes");
    bytes
}

/// About normal: twelve uniform ones.
fn normal(draw: &mut Draw) -> f64 {
    (0..12).map(|_| f64::from(draw.unit())).sum::<f64>() - 6.0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(24), ..ProptestConfig::default() })]

    #[test]
    fn the_alarm_is_where_the_formula_says(
        seed: u64, tolerance in 0.0_f64..0.3, threshold in 1.0_f64..40.0, rise in -1.0_f64..1.0,
        scale in 0.001_f64..1000.0,
    ) {
        let mut draw = Draw::new(seed);
        let value = |at| (normal(&mut draw) + if at < 1400 { 0.0 } else { rise }) * scale;
        let values: Vec<f64> = (0..1800).map(value).collect();
        let mut test = PageHinkley::new(tolerance, threshold);
        let found = values.iter().position(|value| test.update(*value).is_some());
        prop_assert_eq!(found, reference(&values, tolerance, threshold));
    }

    /// Wherever it is saved and read, it goes on to the bit; a damaged state is an error.
    #[test]
    fn a_saved_test_goes_on(seed: u64, cut in 0_usize..4000, damaged: prop::sample::Index) {
        let mut draw = Draw::new(seed);
        let values: Vec<f64> =
            (0..4000).map(|at| normal(&mut draw) + if at < 2500 { 0.0 } else { 1.0 }).collect();
        let mut whole = PageHinkley::new(0.1, 50.0);
        let alarms: Vec<_> = values.iter().map(|value| whole.update(*value)).collect();
        prop_assert!(alarms.iter().any(Option::is_some));
        let mut first = PageHinkley::new(0.1, 50.0);
        values[..cut].iter().for_each(|value| { first.update(*value); });
        let bytes = saved(&first);
        let mut second = PageHinkley::new(0.1, 50.0);
        second.read(&mut StateReader::new(&mut &bytes[..])).expect("as written");
        prop_assert_eq!(&saved(&second), &bytes);
        let rest: Vec<_> = values[cut..].iter().map(|value| second.update(*value)).collect();
        prop_assert_eq!(&rest[..], &alarms[cut..]);
        prop_assert_eq!(saved(&second), saved(&whole));
        let shorter = &bytes[..damaged.index(bytes.len())];
        prop_assert!(second.read(&mut StateReader::new(&mut &shorter[..])).is_err());
        let mut wrong = bytes.clone();
        wrong[damaged.index(bytes.len())] ^= 0x40;
        if second.read(&mut StateReader::new(&mut &wrong[..])).is_ok() {
            values.iter().for_each(|value| { second.update(*value); });
            prop_assert!(second.mean.is_finite() && second.excess.is_finite());
        }
    }
}

#[test]
fn what_is_no_number_changes_nothing_and_constants_are_no_rise() {
    let mut test = PageHinkley::new(0.1, 50.0);
    for _ in 0..10_000 {
        assert_eq!(test.update(0.25), None);
    }
    let bytes = saved(&test);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e101] {
        assert_eq!(test.update(value), None);
    }
    assert_eq!(saved(&test), bytes);
    // One value that is unlike all before is no alarm; several are.
    assert_eq!(test.update(1e90), None);
    let rise = (0..20).find_map(|_| test.update(1e90)).expect("a rise");
    assert!(rise.before <= 0.2501 && (rise.after - 1e90).abs() < 1e80 && rise.since < 20);
}

#[test]
fn a_fall_is_no_rise() {
    let (mut test, mut draw) = (PageHinkley::new(0.1, 50.0), Draw::new(5));
    for at in 0..20_000 {
        let level = if at < 10_000 { 1.0 } else { 0.0 };
        assert_eq!(test.update(level + normal(&mut draw)), None, "{at}");
    }
}

/// Alarms per million values of streams that stand.
fn false_alarms(mut value: impl FnMut(&mut Draw) -> f64) -> f64 {
    let mut alarms = 0;
    for seed in 0..50 {
        let (mut test, mut draw) = (PageHinkley::new(0.1, 50.0), Draw::new(seed));
        alarms += (0..40_000).filter(|_| test.update(value(&mut draw)).is_some()).count();
    }
    alarms as f64 / 2.0
}

#[test]
fn a_stream_that_stands_seldom_gives_an_alarm() {
    for share in [0.5, 0.2, 0.02, 0.001] {
        let rate = false_alarms(|draw| f64::from(u8::from(draw.unit() < share)));
        println!("binary {share}: {rate} per million values");
        assert!(rate <= 10.0, "{share}: {rate}");
    }
    let rate = false_alarms(normal);
    println!("normal: {rate} per million values");
    assert!(rate <= 3.0, "{rate}");
}

#[test]
fn a_rise_is_found_soon() {
    for (before, after, most) in [(0.2, 0.8, 50), (0.2, 0.4, 160), (0.2, 0.3, 600)] {
        let (mut found, mut longest, mut delays) = (0, 0, 0);
        for seed in 0..50 {
            let (mut test, mut draw) = (PageHinkley::new(0.1, 50.0), Draw::new(seed));
            let mut draw = |share| f64::from(u8::from(draw.unit() < share));
            (0..5000).for_each(|_| {
                test.update(draw(before));
            });
            if let Some(delay) = (1..=20_000).find(|_| test.update(draw(after)).is_some()) {
                (found, delays, longest) = (found + 1, delays + delay, longest.max(delay));
            }
        }
        println!("{before} -> {after}: {found} found, {} values, {longest} at most", delays / 50);
        assert!(found == 50 && delays / 50 <= most, "{before} -> {after}: {found}");
    }
}
