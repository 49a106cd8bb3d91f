//! Local time: hour, weekday, and where in the day and week an instant lies.
//!
//! # Formula
//! `local = time + offset`, where the offset is that of the last change at or before the instant;
//! then whole-number division. 1970-01-01 was a Thursday.
//!
//! # Shapes and units
//! Times in milliseconds since the epoch; changes of the offset sorted by time, the first one at
//! `i64::MIN`. Zones come as such a table because a device has no zone database.
//!
//! # Determinism
//! Integers only; the two fractions are one division in f64, their sines and cosines
//! [`math::sin_cos_turns`].

use crate::math;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const WEEK_MS: i64 = 7 * DAY_MS;
/// From Monday, 1969-12-29, to the epoch.
const MONDAY_TO_EPOCH_MS: i64 = 3 * DAY_MS;

/// The offsets of a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    offsets: Vec<(i64, i64)>,
}

/// What a clock on the wall shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// 0 to 23.
    pub hour: u8,
    /// Monday 0 to Sunday 6.
    pub weekday: u8,
    /// Part of the day that has passed, in [0, 1).
    pub day_turn: f64,
    /// Part of the week that has passed since Monday, in [0, 1).
    pub week_turn: f64,
}

impl Calendar {
    /// A zone by its changes: `(from_ms, offset_ms)`, sorted, the first from `i64::MIN`.
    #[must_use]
    pub fn new(offsets: Vec<(i64, i64)>) -> Calendar {
        assert!(
            offsets.first().is_some_and(|first| first.0 == i64::MIN),
            "an offset for all times"
        );
        assert!(offsets.is_sorted_by_key(|&(from_ms, _)| from_ms), "changes in order");
        Calendar { offsets }
    }

    /// The changes: `(from_ms, offset_ms)`.
    #[must_use]
    pub fn offsets(&self) -> &[(i64, i64)] {
        &self.offsets
    }

    /// The local clock at an instant.
    #[inline]
    #[must_use]
    pub fn local(&self, time_ms: i64) -> Clock {
        let local_ms = time_ms.saturating_add(self.offset_ms(time_ms));
        let day_ms = local_ms.rem_euclid(DAY_MS);
        let week_ms = local_ms.saturating_add(MONDAY_TO_EPOCH_MS).rem_euclid(WEEK_MS);
        Clock {
            hour: (day_ms / HOUR_MS) as u8,
            weekday: (week_ms / DAY_MS) as u8,
            day_turn: day_ms as f64 / DAY_MS as f64,
            week_turn: week_ms as f64 / WEEK_MS as f64,
        }
    }

    #[inline]
    fn offset_ms(&self, time_ms: i64) -> i64 {
        if let [(_, offset_ms)] = self.offsets[..] {
            return offset_ms;
        }
        let after = self.offsets.partition_point(|&(from_ms, _)| from_ms <= time_ms);
        self.offsets[after - 1].1
    }
}

/// A part of the calendar, as a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Hour 0..23 as a category.
    Hour,
    /// Weekday, Monday = 0, as a category.
    Weekday,
    /// 1 on Saturday and Sunday.
    Weekend,
    /// 1 in the hours of the night.
    Night,
    /// Time of day on the circle.
    DayCycle {
        /// Its sine, else its cosine.
        sine: bool,
    },
    /// Time of week on the circle.
    WeekCycle {
        /// Its sine, else its cosine.
        sine: bool,
    },
}

impl Part {
    /// The part as a number; `night` has the first and the last hour of the night.
    #[must_use]
    pub fn value(self, clock: &Clock, night: (u8, u8)) -> f32 {
        let is = |yes: bool| f32::from(u8::from(yes));
        match self {
            Part::Hour | Part::Weekday => self.code(clock) as f32,
            Part::Weekend => is(clock.weekday >= 5),
            Part::Night if night.0 <= night.1 => is((night.0..=night.1).contains(&clock.hour)),
            Part::Night => is(clock.hour >= night.0 || clock.hour <= night.1),
            Part::DayCycle { sine } => wave(clock.day_turn, sine),
            Part::WeekCycle { sine } => wave(clock.week_turn, sine),
        }
    }

    /// The part as a category; 0 for parts that are none.
    #[must_use]
    pub fn code(self, clock: &Clock) -> u64 {
        match self {
            Part::Hour => u64::from(clock.hour),
            Part::Weekday => u64::from(clock.weekday),
            _ => 0,
        }
    }
}

fn wave(turn: f64, sine: bool) -> f32 {
    let (sin, cos) = math::sin_cos_turns(turn);
    if sine { sin as f32 } else { cos as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_weekdays_around_the_epoch_and_a_change_of_offset() {
        let utc = Calendar::new(vec![(i64::MIN, 0)]);
        let clock = utc.local(0);
        assert_eq!((clock.hour, clock.weekday), (0, 3), "the epoch began on a Thursday");
        let clock = utc.local(-1);
        assert_eq!((clock.hour, clock.weekday), (23, 2), "and the moment before was a Wednesday");
        let summer = Calendar::new(vec![(i64::MIN, HOUR_MS), (DAY_MS, 2 * HOUR_MS)]);
        assert_eq!(summer.local(DAY_MS - 1).hour, 0);
        assert_eq!(summer.local(DAY_MS).hour, 2);
    }

    #[test]
    fn turns_are_parts_of_day_and_week() {
        let utc = Calendar::new(vec![(i64::MIN, 0)]);
        let monday_noon = 4 * DAY_MS + DAY_MS / 2;
        let clock = utc.local(monday_noon);
        assert_eq!((clock.weekday, clock.day_turn), (0, 0.5));
        assert_eq!(clock.week_turn, 0.5 / 7.0);
    }
}
