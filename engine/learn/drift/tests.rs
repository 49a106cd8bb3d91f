//! Which rows are looked at, and which alerts are given, on streams made by hand.

use super::alerts::{ALERTS_MAX, Alert, Alerts, Detector};
use super::sampling::{PARTS, Sampling};
use crate::config::Config;
use crate::config::drift::DriftConfig;

fn config() -> DriftConfig {
    let text = "event.time = 't'\nlabels.field = 'y'\nfeatures = [{ calendar = ['hour'] }]\n\
                drift = { window = '8s', window_rows = 800 }";
    Config::parse(text).unwrap_or_else(|problems| panic!("{problems}")).drift
}

/// Walks rows at these times; rows taken, and where runs ended.
fn walk(sampling: &mut Sampling, times_ms: impl Iterator<Item = i64>) -> (u64, Vec<usize>) {
    let (mut taken, mut ends) = (0, Vec::new());
    for (row, now_ms) in times_ms.enumerate() {
        sampling.pass(now_ms);
        if !sampling.is_taken(row as u64) {
            continue;
        }
        if sampling.has_ended(now_ms) {
            sampling.end_run(now_ms);
            ends.push(row);
        }
        sampling.take(now_ms);
        taken += 1;
    }
    (taken, ends)
}

#[test]
fn runs_end_by_time_or_by_rows_whichever_is_later() {
    // A hundred rows make a run, and a second does.
    let mut sampling = Sampling::new(&config());
    let (taken, ends) = walk(&mut sampling, (0..1000).map(|row| row * 10));
    assert_eq!((taken, ends), (1000, (1..10).map(|run| run * 100).collect()));
    let mut sampling = Sampling::new(&config());
    let (taken, ends) = walk(&mut sampling, (0..1000).map(|row| row * 1000));
    assert_eq!((taken, ends.len()), (1000, 9), "a slow stream is seen whole");
    assert_eq!(sampling.stride(), 1);
}

#[test]
fn of_many_rows_as_many_are_taken_as_of_few() {
    let mut sampling = Sampling::new(&config());
    let (taken, ends) = walk(&mut sampling, (0..200_000).map(|row| row / 10));
    assert_eq!(ends.len(), 19, "{ends:?}");
    assert_eq!(sampling.stride(), 64);
    assert!((19 * 100..19 * 260 + 500).contains(&taken), "{taken}");
    // Each row taken stands for those that were not.
    assert!((1.0 / sampling.per_row() - 64.0).abs() < 1.0, "{}", sampling.per_row());
    // A flood within a run is met at once, and forgotten when it has passed.
    let mut sampling = Sampling::new(&config());
    let (taken, _) = walk(&mut sampling, (0..100_000).map(|_| 7));
    assert!((200..1500).contains(&taken), "{taken}");
    walk(&mut sampling, (1..500).map(|row| row * 1000));
    assert_eq!(sampling.stride(), 1);
    assert_eq!(sampling.part(), sampling.part() % PARTS);
}

#[test]
fn another_alert_of_the_kind_waits_for_the_cool_down() {
    let mut alerts = Alerts::new(1);
    let alert =
        |detector, what, time_ms| Alert { detector, what, time_ms, scored: 0, figures: [0.0; 2] };
    assert!(alerts.add(alert(Detector::Adwin, 0, 100), 50));
    assert!(!alerts.add(alert(Detector::Adwin, 0, 149), 50));
    assert!(alerts.add(alert(Detector::PageHinkley, 0, 149), 50), "of another detector");
    assert!(alerts.add(alert(Detector::Psi, 1, 149), 50), "about something else");
    assert!(alerts.add(alert(Detector::Adwin, 0, 150), 50));
    assert_eq!((alerts.total(), alerts.suppressed()), (4, 1));
    let counts: Vec<_> = alerts.counts().collect();
    let wanted = [
        (Detector::Adwin, 0, 2),
        (Detector::PageHinkley, 0, 1),
        (Detector::Psi, 1, 1),
        (Detector::Ks, 1, 0),
    ];
    assert_eq!(counts, wanted);
    (0..1000).for_each(|at| {
        alerts.add(alert(Detector::Ks, 1, at * 100), 50);
    });
    assert_eq!((alerts.kept().count(), alerts.total()), (ALERTS_MAX, 1004));
}
