// Local time and its parts: the twin of calendar.rs, and of sin_cos_turns in math/circle.rs.
#pragma once
#include "numbers.cuh"

struct Clock {
  unsigned hour, weekday;
  double day_turn, week_turn;
};

NUMBERS void sine_cosine_of_turns(double turns, double& sine_out, double& cosine_out) {
  const double TO_INTEGER = 6755399441055744.0;
  const double nan = bits_to_double(0x7ff8000000000000ull);
  const double bounded = absolute(turns) <= 281474976710656.0 ? turns : nan;
  const double quarters = bounded * 4.0;
  const double shifted = quarters + TO_INTEGER;
  const double k = shifted - TO_INTEGER;
  const double r = (quarters - k) * 1.57079632679489661923;
  const double z = r * r;
  const double sine =
      r + (z * r) * (-1.6666666666666632e-1 +
                     z * (8.33333333332249e-3 +
                          z * (-1.984126982985795e-4 +
                               z * (2.7557313707070068e-6 +
                                    z * (-2.5050760253406863e-8 + z * 1.58969099521155e-10)))));
  const double tail =
      z * (z * (4.16666666666666e-2 +
                z * (-1.388888888887411e-3 +
                     z * (2.480158728947673e-5 +
                          z * (-2.7557314351390663e-7 +
                               z * (2.087572321298175e-9 + z * -1.1359647557788195e-11))))));
  const double half = 0.5 * z;
  const double top = 1.0 - half;
  const double cosine = top + (((1.0 - top) - half) + tail);
  const unsigned long long quadrant = double_to_bits(shifted);
  const bool is_straight = (quadrant & 1) == 0;
  const double first = is_straight ? sine : cosine, second = is_straight ? cosine : sine;
  sine_out = (quadrant & 2) == 0 ? first : -first;
  cosine_out = ((quadrant + 1) & 2) == 0 ? second : -second;
}

NUMBERS long long saturating_sum(long long a, long long b) {
  const long long least = -0x7fffffffffffffffll - 1;
  if (b > 0 && a > 0x7fffffffffffffffll - b) return 0x7fffffffffffffffll;
  if (b < 0 && a < least - b) return least;
  return a + b;
}

// The remainder that is never negative.
NUMBERS long long remainder_of(long long a, long long by) {
  const long long rest = a % by;
  return rest < 0 ? rest + by : rest;
}

// What a clock on the wall shows; `offsets` has pairs of from_ms and offset_ms.
NUMBERS Clock local_clock(const long long* offsets, unsigned changes, long long time_ms) {
  const long long DAY_MS = 86400000, HOUR_MS = 3600000;
  // The first change behind the instant; the first one of all is before it.
  unsigned low = 1, high = changes;
  while (low < high) {
    const unsigned middle = low + (high - low) / 2;
    if (offsets[2 * middle] <= time_ms)
      low = middle + 1;
    else
      high = middle;
  }
  const long long local_ms = saturating_sum(time_ms, offsets[2 * (low - 1) + 1]);
  const long long day_ms = remainder_of(local_ms, DAY_MS);
  const long long week_ms = remainder_of(saturating_sum(local_ms, 3 * DAY_MS), 7 * DAY_MS);
  Clock clock;
  clock.hour = static_cast<unsigned>(day_ms / HOUR_MS);
  clock.weekday = static_cast<unsigned>(week_ms / DAY_MS);
  clock.day_turn = static_cast<double>(day_ms) / static_cast<double>(DAY_MS);
  clock.week_turn = static_cast<double>(week_ms) / static_cast<double>(7 * DAY_MS);
  return clock;
}

enum Part : unsigned {
  HOUR = 0,
  WEEKDAY = 1,
  WEEKEND = 2,
  NIGHT = 3,
  DAY_COSINE = 4,
  DAY_SINE = 5,
  WEEK_COSINE = 6,
  WEEK_SINE = 7
};

NUMBERS unsigned long long part_code(unsigned part, const Clock& clock) {
  return part == HOUR ? clock.hour : part == WEEKDAY ? clock.weekday : 0;
}

NUMBERS float part_value(unsigned part, const Clock& clock, unsigned night_first,
                         unsigned night_last) {
  if (part <= WEEKDAY) return static_cast<float>(part_code(part, clock));
  if (part == WEEKEND) return clock.weekday >= 5 ? 1.0f : 0.0f;
  if (part == NIGHT) {
    const bool is_behind = clock.hour >= night_first, is_before = clock.hour <= night_last;
    const bool is = night_first <= night_last ? is_behind && is_before : is_behind || is_before;
    return is ? 1.0f : 0.0f;
  }
  double sine, cosine;
  sine_cosine_of_turns(part <= DAY_SINE ? clock.day_turn : clock.week_turn, sine, cosine);
  return static_cast<float>(part == DAY_SINE || part == WEEK_SINE ? sine : cosine);
}
