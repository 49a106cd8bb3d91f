// What texts and numbers are: the twin of text.rs and number.rs.
#pragma once
#include "../hash.cuh"

namespace decode {
typedef unsigned char Byte;
typedef unsigned long long Word;

constexpr long long INTEGER_MAX = 0x7fffffffffffffffll;

// Some bytes of a record or of the table.
struct Text {
  const Byte* bytes;
  unsigned length;
  // No JSON has a NUL, so that it can stand for the end.
  NUMBERS Byte at(unsigned index) const { return index < length ? bytes[index] : Byte(0); }
  NUMBERS Text part(unsigned from, unsigned to) const { return {bytes + from, to - from}; }
};

NUMBERS bool is_equal(const Text& a, const Text& b) {
  if (a.length != b.length) return false;
  for (unsigned i = 0; i < a.length; ++i)
    if (a.bytes[i] != b.bytes[i]) return false;
  return true;
}

// Above 9 for what is no digit.
NUMBERS unsigned digit_of(Byte byte) { return static_cast<unsigned>(byte) - '0'; }

// Bytes of the character that begins at `at`; 0 where none does.
NUMBERS unsigned character_bytes(const Text& text, unsigned at) {
  const unsigned first = text.at(at), second = text.at(at + 1);
  if (first < 0x80) return at < text.length ? 1 : 0;
  if ((second & 0xc0) != 0x80) return 0;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if ((text.at(at + 2) & 0xc0) != 0x80) return 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool is_short = first == 0xe0 && second < 0xa0;
    const bool is_surrogate = first == 0xed && second > 0x9f;
    return is_short || is_surrogate ? 0 : 3;
  }
  if ((text.at(at + 3) & 0xc0) != 0x80) return 0;
  if (first >= 0xf0 && first <= 0xf4) {
    const bool is_short = first == 0xf0 && second < 0x90;
    const bool is_beyond = first == 0xf4 && second > 0x8f;
    return is_short || is_beyond ? 0 : 4;
  }
  return 0;
}

// The integer that a text spells in the one form it is printed in.
NUMBERS bool canonical_integer(const Text& text, long long& integer) {
  const unsigned is_negative = text.at(0) == '-' ? 1 : 0, digits = text.length - is_negative;
  if (digits == 0 || digits > 19) return false;
  if (text.bytes[is_negative] == '0' && (digits > 1 || is_negative != 0)) return false;
  Word size = 0;
  for (unsigned i = is_negative; i < text.length; ++i) {
    const unsigned digit = digit_of(text.bytes[i]);
    if (digit > 9) return false;
    size = size * 10 + digit;
  }
  if (size > static_cast<Word>(INTEGER_MAX) + is_negative) return false;
  integer = static_cast<long long>(is_negative != 0 ? Word(0) - size : size);
  return true;
}

// A number of `count` digits; negative where there are not as many.
NUMBERS long long digits_at(const Text& text, unsigned at, unsigned count) {
  long long value = 0;
  for (unsigned i = 0; i < count; ++i) {
    const unsigned digit = digit_of(text.at(at + i));
    if (digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

NUMBERS long long days_of_month(long long year, long long month) {
  const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month == 2) return is_leap ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

// Days since 1970-01-01 of a date after the year 0.
NUMBERS long long days_from_epoch(long long year, long long month, long long day) {
  if (month <= 2) --year;
  const long long month_from_march = (month + 9) % 12;
  const long long day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
  return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

// Milliseconds since the epoch of a text like 2018-04-01T00:00:31.250Z.
NUMBERS bool text_time_ms(const Text& text, long long& ms) {
  if (text.at(4) != '-' || text.at(7) != '-' || text.at(13) != ':' || text.at(16) != ':')
    return false;
  if (text.at(10) != 'T' && text.at(10) != ' ') return false;
  const long long year = digits_at(text, 0, 4), month = digits_at(text, 5, 2);
  const long long day = digits_at(text, 8, 2), hour = digits_at(text, 11, 2);
  const long long minute = digits_at(text, 14, 2), second = digits_at(text, 17, 2);
  if (hour < 0 || minute < 0 || second < 0 || hour > 23 || minute > 59 || second > 59) return false;
  if (year < 1 || year > 9998 || month < 1 || month > 12) return false;
  if (day < 1 || day > days_of_month(year, month)) return false;
  unsigned at = 19;
  long long fraction_ms = 0;
  if (text.at(at) == '.') {
    const unsigned first = ++at;
    long long place = 100;
    for (unsigned digit; (digit = digit_of(text.at(at))) <= 9; ++at) {
      fraction_ms += digit * place;
      place /= 10;
    }
    if (at == first || at > first + 9 || year < 1970) return false;
  }
  if (text.at(at) == 'Z') ++at;
  if (at != text.length) return false;
  const long long seconds =
      (days_from_epoch(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
  ms = seconds * 1000 + fraction_ms;
  return true;
}

constexpr unsigned TOKEN_MAX = 128;
constexpr int EXPONENT_MAX = 99;
constexpr unsigned DIGITS_MAX = 19;
constexpr int POWER_MIN = -27, POWER_MAX = 55;
constexpr unsigned MANTISSA_BITS = 52;

// `mantissa * 10^exponent`, negative or not.
struct Number {
  Word mantissa;
  int exponent;
  unsigned digits;
  bool is_negative, is_whole, is_long;

  NUMBERS unsigned take_digits(const Text& text, unsigned at) {
    for (unsigned digit; (digit = digit_of(text.at(at))) <= 9; ++at) {
      // Zeros in front do not count.
      if (digits > 0 || digit > 0) ++digits;
      if (digits > DIGITS_MAX)
        is_long = true;
      else
        mantissa = mantissa * 10 + digit;
    }
    return at;
  }

  // Reads the number that begins at `start`; 0, or where it ends.
  NUMBERS unsigned scan(const Text& text, unsigned start) {
    unsigned at = start;
    mantissa = 0;
    exponent = 0;
    digits = 0;
    is_whole = true;
    is_long = false;
    is_negative = text.at(at) == '-';
    if (is_negative) ++at;
    const unsigned first = at;
    at = take_digits(text, at);
    if (at == first || (at > first + 1 && text.bytes[first] == '0')) return 0;
    if (text.at(at) == '.') {
      const unsigned point = at + 1;
      at = take_digits(text, point);
      if (at == point || at - start > TOKEN_MAX) return 0;
      is_whole = false;
      exponent = -static_cast<int>(at - point);
    }
    if ((text.at(at) | 0x20) == 'e') {
      const Byte sign = text.at(++at);
      if (sign == '-' || sign == '+') ++at;
      const unsigned power = at;
      int by = 0;
      for (unsigned digit; (digit = digit_of(text.at(at))) <= 9; ++at) {
        by = by * 10 + static_cast<int>(digit);
        if (by > EXPONENT_MAX) return 0;
      }
      if (at == power) return 0;
      is_whole = false;
      exponent += sign == '-' ? -by : by;
    }
    return at - start <= TOKEN_MAX ? at : 0;
  }

  NUMBERS bool integer(long long& value) const {
    if (is_long || mantissa > static_cast<Word>(INTEGER_MAX)) return false;
    const long long size = static_cast<long long>(mantissa);
    value = is_negative ? -size : size;
    return true;
  }

  // The double that is nearest, where its digits fit and the power is one of those at hand.
  NUMBERS bool to_double(const Word* powers, double& value) const {
    if (is_long || exponent < POWER_MIN || exponent > POWER_MAX) return false;
    const Word sign = is_negative ? 1ull << 63 : 0;
    if (mantissa == 0) {
      value = bits_to_double(sign);
      return true;
    }
    const int shift = __clzll(static_cast<long long>(mantissa));
    const Word scaled = mantissa << shift;
    const Word* power = powers + 2 * (exponent - POWER_MIN);
    Word below = scaled * power[0], upper = __umul64hi(scaled, power[0]);
    const Word cut = ~0ull >> (MANTISSA_BITS + 3);
    if ((upper & cut) == cut) {
      const Word carried = __umul64hi(scaled, power[1]);
      below += carried;
      if (below < carried) ++upper;
    }
    const unsigned top = static_cast<unsigned>(upper >> 63);
    const unsigned cut_bits = top + 64 - MANTISSA_BITS - 3;
    Word nearest = upper >> cut_bits;
    const bool may_be_half = below <= 1 && exponent >= -4 && exponent <= 23;
    if (may_be_half && (nearest & 3) == 1 && nearest << cut_bits == upper) --nearest;
    nearest = (nearest + (nearest & 1)) >> 1;
    const int two = ((exponent * 217706) >> 16) + 63 + 1023 + static_cast<int>(top) - shift;
    const Word bits = (Word(two) << MANTISSA_BITS) + (nearest - (1ull << MANTISSA_BITS));
    value = bits_to_double(bits | sign);
    return true;
  }
};
}  // namespace decode
