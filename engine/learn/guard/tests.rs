//! The breaker alone, over streams of scores with a known truth.

use pelton_kernels::hash::mix64;
use pelton_kernels::state::{StateReader, StateWriter};

use super::*;
use crate::config::Config;

const LABELS: u64 = 60_000;
/// Where things go wrong, and for how long.
const FAULT: std::ops::Range<u64> = 40_000..44_000;

/// What is wrong while it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Flipped,
    Flood,
    Constant,
    Wild,
    NotFinite,
    Many,
}

fn config(text: &str) -> GuardConfig {
    let text = format!(
        "event.time = 't'\nlabels.field = 'y'\nfeatures = [{{ calendar = ['hour'] }}]\n{text}"
    );
    Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}")).guard
}

/// Shows a guard a stream; the verdicts that are more than [`Verdict::Good`], by label.
fn verdicts(guard: &mut Guard, fault: Fault, rate: f64, labels: u64) -> Vec<(u64, Verdict)> {
    let mut seen = Vec::new();
    for label in guard.counts().judged..labels {
        let draw = |salt: u64| (mix64(label * 7 + salt) >> 11) as f64 / (1_u64 << 53) as f64;
        let is_wrong = FAULT.contains(&label);
        let score = (rate * 2.0 * draw(1)).clamp(0.001, 0.999);
        let truth = draw(2) < score;
        let label_now = match fault {
            Fault::Flipped if is_wrong => !truth,
            Fault::Flood if is_wrong => truth || draw(3) < 0.7,
            Fault::Constant if is_wrong => true,
            _ => truth,
        };
        let length = match fault {
            Fault::Wild if is_wrong => 3e4,
            Fault::NotFinite if label == FAULT.start => f64::INFINITY,
            _ => 3.0 + draw(4),
        };
        let scored = if fault == Fault::Many && is_wrong { FAULT.start * 2 } else { label * 2 };
        let (scores, truth) = ([score as f32], f32::from(u8::from(label_now)));
        match guard.observe(&Judged { scores: &scores, label: truth, length, scored }) {
            Verdict::Same | Verdict::Good => {}
            verdict => seen.push((label, verdict)),
        }
    }
    seen
}

#[test]
fn wrong_labels_and_wild_features_trip_it_and_it_recovers() {
    for (fault, rate, measure) in [
        (Fault::Flipped, 0.02, Measure::Loss),
        (Fault::Flood, 0.02, Measure::Loss),
        (Fault::Constant, 0.3, Measure::Loss),
        (Fault::Wild, 0.3, Measure::Step),
        (Fault::NotFinite, 0.3, Measure::Step),
    ] {
        let mut guard = Guard::new(&config(""), Task::Binary);
        let seen = verdicts(&mut guard, fault, rate, LABELS);
        let [(tripped, Verdict::Trip(trip)), (closed, Verdict::Recovered)] = seen[..] else {
            panic!("{fault:?}: {seen:?}");
        };
        assert!((FAULT.start..FAULT.start + 1000).contains(&tripped), "{fault:?} {seen:?}");
        let slow = tripped.max(if fault == Fault::NotFinite { 0 } else { FAULT.end }) + 6125;
        assert!((tripped + 5000..=slow).contains(&closed), "{fault:?} {seen:?}");
        assert_eq!((trip.span, guard.counts().trips_total()), (1, 1));
        // The scores do not follow here, so that labels show in the loss first.
        assert_eq!(trip.measure, measure, "{fault:?}");
    }
}

#[test]
fn a_stream_that_is_well_does_not_trip_it() {
    for rate in [0.002, 0.02, 0.3, 0.49] {
        for fault in [Fault::None, Fault::Many] {
            let mut guard = Guard::new(&config(""), Task::Binary);
            assert_eq!(verdicts(&mut guard, fault, rate, LABELS), [], "{rate} {fault:?}");
        }
    }
}

#[test]
fn labels_without_events_trip_it_when_that_is_asked_for() {
    let mut guard = Guard::new(&config("guard.label_rate_factor = 4"), Task::Binary);
    let seen = verdicts(&mut guard, Fault::Many, 0.3, LABELS);
    let rate =
        |verdict: &Verdict| matches!(verdict, Verdict::Trip(t) if t.measure == Measure::LabelRate);
    assert!(rate(&seen[0].1), "{seen:?}");
}

#[test]
fn a_guard_moved_anywhere_goes_on_as_if_nothing_had_happened() {
    let config = config("guard = { window_labels = 80, cool_down_labels = 50 }");
    let saved = |guard: &Guard| {
        let mut bytes = Vec::new();
        guard.write(&mut StateWriter::new(&mut bytes)).unwrap();
        bytes
    };
    let mut whole = Guard::new(&config, Task::Binary);
    let seen = verdicts(&mut whole, Fault::Flipped, 0.05, LABELS);
    assert!(seen.len() >= 2, "{seen:?}");
    let (mut moved, mut also) = (Guard::new(&config, Task::Binary), Vec::new());
    for cut in (0..=LABELS).step_by(997).chain([LABELS]) {
        also.extend(verdicts(&mut moved, Fault::Flipped, 0.05, cut));
        let bytes = saved(&moved);
        moved = Guard::new(&config, Task::Binary);
        moved.read(&mut StateReader::new(&mut &bytes[..])).unwrap();
        assert!(saved(&moved) == bytes, "{cut}");
    }
    assert_eq!(also, seen);
    assert!(saved(&moved) == saved(&whole));
}

#[test]
fn resuming_by_hand_forgets_what_was_usual() {
    let mut guard = Guard::new(&config(""), Task::Binary);
    let seen = verdicts(&mut guard, Fault::Constant, 0.3, FAULT.start + 1500);
    assert!(guard.is_paused() && seen.len() == 1, "{seen:?}");
    guard.resume();
    assert!(!guard.is_paused());
    assert_eq!(verdicts(&mut guard, Fault::Constant, 0.3, LABELS), [], "it is usual now");
    assert_eq!(guard.counts().trips_total(), 1, "counts stay");
}
