//! Scales of a plot: where a value lies between two ends, and which values are named.
//!
//! Three kinds: linear, log odds (for probabilities that crowd at 0 or 1), and event time (UTC).
//! Invariant: places and names are the same on every machine; logarithms are the house's own.

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use pelton_kernels::math;

/// Names on a scale at most.
const TICKS_MAX: usize = 7;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Probabilities closer to 0 or 1 than this are drawn here.
const PROBABILITY_MIN: f64 = 1e-7;

/// From where to where a plot goes, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Even steps.
    Linear {
        /// The low end.
        from: f64,
        /// The high end.
        to: f64,
    },
    /// Probabilities by their log odds.
    LogOdds {
        /// The low end, a probability.
        from: f64,
        /// The high end.
        to: f64,
    },
    /// Event time, milliseconds since the epoch.
    Time {
        /// The low end.
        from_ms: i64,
        /// The high end.
        to_ms: i64,
    },
}

/// A value that is named on a scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where it lies, 0 to 1.
    pub place: f64,
    /// Its name.
    pub name: String,
}

impl Scale {
    /// All probabilities, evenly.
    pub const SHARES: Scale = Scale::Linear { from: 0.0, to: 1.0 };

    /// A linear scale around most of the values: a 50th at either end may lie beyond it, so that a
    /// bad start does not flatten the rest. It begins at 0 unless that would waste it.
    #[must_use]
    pub fn around(values: impl IntoIterator<Item = f64>) -> Scale {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: usize| values.get(values.len().saturating_sub(1) * share / 50).copied();
        let (Some(low), Some(high)) = (at(1), at(49)) else { return Scale::SHARES };
        let margin = 0.08 * (high - low).max(1e-3 * high.abs()).max(1e-9);
        let from = if (0.0..0.4 * high).contains(&low) { 0.0 } else { low - margin };
        Scale::Linear { from, to: high + margin }
    }

    /// Where a value lies, 0 to 1; beyond an end, at the end; none for what is no number.
    #[must_use]
    pub fn place(&self, value: f64) -> Option<f64> {
        let (from, to, value) = match *self {
            Scale::Linear { from, to } => (from, to, value),
            Scale::LogOdds { from, to } => (log_odds(from), log_odds(to), log_odds(value)),
            Scale::Time { from_ms, to_ms } => (from_ms as f64, to_ms as f64, value),
        };
        let place = if to > from { (value - from) / (to - from) } else { 0.5 };
        (!place.is_nan()).then(|| place.clamp(0.0, 1.0))
    }

    /// The values that are named, lowest first.
    #[must_use]
    pub fn ticks(&self) -> Vec<Tick> {
        match *self {
            Scale::Linear { from, to } => self.named(linear_ticks(from, to)),
            Scale::LogOdds { from, to } => self.named(odds_ticks(from, to)),
            Scale::Time { from_ms, to_ms } => self.named(time_ticks(from_ms, to_ms)),
        }
    }

    fn named(&self, ticks: Vec<(f64, String)>) -> Vec<Tick> {
        let tick = |(value, name)| Some(Tick { place: self.place(value)?, name });
        ticks.into_iter().filter_map(tick).collect()
    }
}

fn log_odds(probability: f64) -> f64 {
    math::logit(probability.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN))
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(from: f64, to: f64) -> Vec<(f64, String)> {
    let least = (to - from) / TICKS_MAX as f64;
    if !(least > 0.0 && least.is_finite()) {
        return Vec::new();
    }
    let (mut power, mut decimals) = (1.0_f64, 0_usize);
    while power * 10.0 <= least {
        power *= 10.0;
    }
    while power > least {
        power /= 10.0;
        decimals += 1;
    }
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| power * factor >= least);
    let factor = factor.unwrap_or(10.0);
    let step = power * factor;
    let decimals = decimals.saturating_sub(usize::from(factor == 10.0));
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    let tick = |index: i64| (index as f64 * step, format!("{:.decimals$}", index as f64 * step));
    (first..=last).map(tick).collect()
}

/// Round probabilities; finer ones where the ends are close.
fn odds_ticks(from: f64, to: f64) -> Vec<(f64, String)> {
    const WIDE: [&str; 11] = [
        "0.00001", "0.0001", "0.001", "0.01", "0.1", "0.5", "0.9", "0.99", "0.999", "0.9999",
        "0.99999",
    ];
    const CLOSE: [&str; 11] =
        ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "0.8", "0.9", "0.95", "0.98", "0.99"];
    let names = if from >= 0.005 && to <= 0.995 { CLOSE } else { WIDE };
    let values = names.iter().filter_map(|name| Some((name.parse().ok()?, (*name).to_owned())));
    values.filter(|(value, _)| (from..=to).contains(value)).collect()
}

fn time_ticks(from_ms: i64, to_ms: i64) -> Vec<(f64, String)> {
    const STEPS_MS: [i64; 12] = [
        MINUTE_MS,
        5 * MINUTE_MS,
        15 * MINUTE_MS,
        30 * MINUTE_MS,
        HOUR_MS,
        3 * HOUR_MS,
        6 * HOUR_MS,
        12 * HOUR_MS,
        DAY_MS,
        2 * DAY_MS,
        7 * DAY_MS,
        14 * DAY_MS,
    ];
    const MONTHS: [i64; 8] = [1, 2, 3, 6, 12, 24, 60, 120];
    let span = to_ms.saturating_sub(from_ms);
    if let Some(step) = STEPS_MS.into_iter().find(|step| span / step < TICKS_MAX as i64) {
        let first = from_ms.div_euclid(step) + i64::from(from_ms.rem_euclid(step) > 0);
        let ticks = (first..).map(|index| index * step).take_while(|at| *at <= to_ms);
        let format = if step < DAY_MS { "%m-%d %H:%M" } else { "%Y-%m-%d" };
        return ticks.filter_map(|at| Some((at as f64, day_and_time(at, format)?))).collect();
    }
    let last = MONTHS.len() - 1;
    let months = MONTHS.into_iter().find(|m| span / (30 * DAY_MS * m) < TICKS_MAX as i64);
    let months = months.unwrap_or(MONTHS[last]);
    let Some(begin) = civil(from_ms) else { return Vec::new() };
    let begin = i64::from(begin.year()) * 12 + i64::from(begin.month()) - 1;
    let ticks = (begin.div_euclid(months)..).map(|index| month_ms(index * months));
    let ticks = ticks.map_while(|at| at.filter(|at| *at <= to_ms)).filter(|at| *at >= from_ms);
    ticks.filter_map(|at| Some((at as f64, day_and_time(at, "%Y-%m")?))).collect()
}

fn civil(at_ms: i64) -> Option<Date> {
    Some(Timestamp::from_millisecond(at_ms).ok()?.to_zoned(TimeZone::UTC).date())
}

/// When a month begins; they are counted from that of the year 0.
fn month_ms(month: i64) -> Option<i64> {
    let year = i16::try_from(month.div_euclid(12)).ok()?;
    let month = i8::try_from(month.rem_euclid(12) + 1).ok()?;
    let zoned = Date::new(year, month, 1).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// A time in UTC as the format has it; none for one that no calendar has.
pub(super) fn day_and_time(at_ms: i64, format: &str) -> Option<String> {
    let zoned = Timestamp::from_millisecond(at_ms).ok()?.to_zoned(TimeZone::UTC);
    Some(zoned.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.name).collect()
    }

    #[test]
    fn round_values_are_named() {
        assert_eq!(names(&Scale::SHARES), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let small = Scale::Linear { from: 0.012, to: 0.031 };
        assert_eq!(names(&small), ["0.015", "0.020", "0.025", "0.030"]);
        let large = Scale::Linear { from: -300.0, to: 2900.0 };
        assert_eq!(names(&large), ["0", "500", "1000", "1500", "2000", "2500"]);
        let rare = Scale::LogOdds { from: 1e-4, to: 0.9 };
        assert_eq!(names(&rare), ["0.0001", "0.001", "0.01", "0.1", "0.5", "0.9"]);
    }

    #[test]
    fn times_are_named_by_what_turns() {
        let from_ms = 1_522_540_831_000; // 2018-04-01 00:00:31
        let within = |span_ms| names(&Scale::Time { from_ms, to_ms: from_ms + span_ms });
        assert_eq!(within(183 * DAY_MS)[..2], ["2018-05", "2018-06"]);
        assert_eq!(
            within(3 * DAY_MS),
            [
                "04-01 12:00",
                "04-02 00:00",
                "04-02 12:00",
                "04-03 00:00",
                "04-03 12:00",
                "04-04 00:00"
            ]
        );
        assert_eq!(within(90 * MINUTE_MS)[0], "04-01 00:15");
        assert_eq!(within(40 * 366 * DAY_MS), ["2020-01", "2030-01", "2040-01", "2050-01"]);
        for span_ms in (0..20).map(|bits| 1_i64 << (2 * bits)) {
            assert!(within(span_ms).len() <= TICKS_MAX + 1, "{span_ms}");
        }
        assert!(names(&Scale::Time { from_ms: i64::MIN, to_ms: i64::MAX }).is_empty());
    }

    #[test]
    fn every_value_has_its_place() {
        assert_eq!(Scale::SHARES.place(0.25), Some(0.25));
        assert_eq!(Scale::SHARES.place(7.0), Some(1.0));
        assert_eq!(Scale::SHARES.place(f64::NAN), None);
        let odds = Scale::LogOdds { from: 0.1, to: 0.9 };
        assert!((odds.place(0.5).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!((odds.place(0.0), odds.place(1.0)), (Some(0.0), Some(1.0)));
        let course = (0..100).map(|at| if at == 0 { 9.0 } else { 0.9 + at as f64 / 1000.0 });
        let Scale::Linear { from, to } = Scale::around(course) else { panic!("not linear") };
        assert!(from > 0.8 && to < 1.1, "{from} {to}");
        assert_eq!(Scale::around([f64::NAN]), Scale::SHARES);
    }
}
