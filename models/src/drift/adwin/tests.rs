//! The window against one that keeps every value, and how often and how soon it gives alarms.

use pelton_kernels::cases::{Draw, scaled};
use proptest::prelude::*;

use super::*;

/// The same windows by keeping the values of each bucket and taking every sum of them anew.
struct Reference {
    delta: f64,
    /// Oldest first.
    buckets: Vec<Vec<f64>>,
    seen: usize,
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance_of(values: &[f64]) -> f64 {
    let mean = mean_of(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

impl Reference {
    fn values(&self) -> Vec<f64> {
        self.buckets.concat()
    }

    fn update(&mut self, value: f64) -> bool {
        self.buckets.push(vec![value]);
        let mut size = 1;
        loop {
            let of_size: Vec<usize> =
                (0..self.buckets.len()).filter(|at| self.buckets[*at].len() == size).collect();
            if of_size.len() <= BUCKETS {
                break;
            }
            let newer = self.buckets.remove(of_size[1]);
            self.buckets[of_size[0]].extend(newer);
            size *= 2;
        }
        self.seen += 1;
        let mut is_shrunk = false;
        while self.seen.is_multiple_of(32) && self.has_cut() {
            self.buckets.remove(0);
            is_shrunk = true;
        }
        is_shrunk
    }

    fn has_cut(&self) -> bool {
        let values = self.values();
        let n = values.len() as f64;
        let (variance, confidence) = (variance_of(&values), (2.0 * n.ln() / self.delta).ln());
        let mut cut = 0;
        self.buckets.iter().any(|bucket| {
            cut += bucket.len();
            let (older, newer) = values.split_at(cut);
            if older.len() < 5 || newer.len() < 5 {
                return false;
            }
            let inverse = 1.0 / older.len() as f64 + 1.0 / newer.len() as f64;
            let bound = (2.0 * inverse * variance * confidence).sqrt();
            (mean_of(older) - mean_of(newer)).abs() > bound + 2.0 / 3.0 * inverse * confidence
        })
    }
}

fn saved(window: &Adwin) -> Vec<u8> {
    let mut bytes = Vec::new();
    window.write(&mut StateWriter::new(&mut bytes)).expect("a vector takes all bytes");
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(40), ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_window_of_the_reference(
        seed: u64, levels in prop::collection::vec((0.0_f32..1.0, 20_usize..900), 1..5),
        is_binary: bool,
    ) {
        let (mut window, mut draw) = (Adwin::new(0.002), Draw::new(seed));
        let mut reference = Reference { delta: 0.002, buckets: vec![], seen: 0 };
        for (level, length) in levels {
            for _ in 0..length {
                let unit = draw.unit();
                let value = if is_binary { u8::from(unit < level).into() } else { unit * level };
                let value = f64::from(value);
                prop_assert_eq!(window.update(value), reference.update(value));
                prop_assert_eq!(window.width() as usize, reference.values().len());
                let values = reference.values();
                prop_assert!((window.mean() - mean_of(&values)).abs() < 1e-12);
                prop_assert!((window.variance() - variance_of(&values)).abs() < 1e-12);
            }
        }
    }

    /// Wherever it is saved and read, it goes on to the bit; a damaged state is an error.
    #[test]
    fn a_saved_window_goes_on(seed: u64, cut in 0_usize..3000, damaged: prop::sample::Index) {
        let mut draw = Draw::new(seed);
        let scale = |at| if at < 1500 { 1.0 } else { 0.5 };
        let values: Vec<f64> =
            (0..3000).map(|at| f64::from(draw.unit()) * scale(at)).collect();
        let mut whole = Adwin::new(0.002);
        let alarms: Vec<bool> = values.iter().map(|value| whole.update(*value)).collect();
        let mut first = Adwin::new(0.002);
        values[..cut].iter().for_each(|value| { first.update(*value); });
        let bytes = saved(&first);
        let mut second = Adwin::new(0.002);
        second.read(&mut StateReader::new(&mut &bytes[..])).expect("as written");
        prop_assert_eq!(&saved(&second), &bytes);
        let rest: Vec<bool> = values[cut..].iter().map(|value| second.update(*value)).collect();
        prop_assert_eq!(&rest[..], &alarms[cut..]);
        prop_assert_eq!(saved(&second), saved(&whole));
        let shorter = &bytes[..damaged.index(bytes.len())];
        prop_assert!(second.read(&mut StateReader::new(&mut &shorter[..])).is_err());
        prop_assert_eq!(saved(&second), saved(&whole));
        let mut wrong = bytes.clone();
        wrong[damaged.index(bytes.len())] ^= 0x80;
        if second.read(&mut StateReader::new(&mut &wrong[..])).is_ok() {
            values.iter().for_each(|value| { second.update(*value); });
            prop_assert!(second.mean().is_finite());
        }
    }
}

#[test]
fn what_is_no_number_changes_nothing() {
    let mut window = Adwin::new(0.002);
    window.update(0.5);
    let bytes = saved(&window);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e101] {
        assert!(!window.update(value));
    }
    assert_eq!(saved(&window), bytes);
    for at in 0..10_000 {
        window.update(if at % 2 == 0 { VALUE_MAX } else { -VALUE_MAX });
    }
    assert!(window.mean().is_finite() && window.variance().is_finite());
}

#[test]
fn of_a_long_window_the_oldest_bucket_is_dropped() {
    let mut window = Adwin { rows_max: 4, ..Adwin::new(0.002) };
    for _ in 0..100_000 {
        assert!(!window.update(0.25));
    }
    assert!((54..=75).contains(&window.width()), "{}", window.width());
    assert_eq!(window.mean(), 0.25);
    assert!(Adwin::new(0.002).byte_count() + 32 * size_of::<Row>() < 3500);
}

/// Share of streams with an alarm, and alarms per million values.
fn false_alarms(streams: u64, length: usize, mut value: impl FnMut(&mut Draw) -> f64) -> [f64; 2] {
    let mut counts = [0.0; 2];
    for seed in 0..streams {
        let (mut window, mut draw) = (Adwin::new(0.002), Draw::new(seed));
        let alarms = (0..length).filter(|_| window.update(value(&mut draw))).count();
        counts[0] += f64::from(u8::from(alarms > 0)) / streams as f64;
        counts[1] += alarms as f64 * 1e6 / (streams as f64 * length as f64);
    }
    counts
}

#[test]
fn a_stream_that_stands_seldom_gives_an_alarm() {
    for share in [0.5, 0.2, 0.02, 0.001] {
        let [streams, rate] =
            false_alarms(200, 10_000, |draw| f64::from(u8::from(draw.unit() < share)));
        println!("binary {share}: {streams} of the streams, {rate} per million values");
        assert!(streams < 0.08, "{share}: {streams}");
    }
    let [streams, rate] = false_alarms(200, 10_000, |draw| f64::from(draw.unit()));
    println!("uniform: {streams} of the streams, {rate} per million values");
    assert!(streams < 0.08, "{streams}");
}

#[test]
fn a_shift_is_found_soon() {
    for (before, after, most) in [(0.2, 0.8, 64), (0.2, 0.4, 300), (0.2, 0.25, 4000)] {
        let (mut found, mut longest, mut delays) = (0, 0, 0);
        for seed in 0..50 {
            let (mut window, mut draw) = (Adwin::new(0.002), Draw::new(seed));
            let mut draw = |share| f64::from(u8::from(draw.unit() < share));
            (0..5000).for_each(|_| {
                window.update(draw(before));
            });
            let mean = window.mean();
            if let Some(delay) = (1..=8000).find(|_| window.update(draw(after))) {
                (found, delays, longest) = (found + 1, delays + delay, longest.max(delay));
                assert!(window.mean() > mean);
            }
        }
        println!("{before} -> {after}: {} values in the mean, {longest} at most", delays / 50);
        assert_eq!(found, 50);
        assert!(delays / 50 <= most, "{before} -> {after}: {}", delays / 50);
    }
}
