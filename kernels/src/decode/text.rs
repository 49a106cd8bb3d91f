//! What texts are: UTF-8 or not, an integer in its one spelling, a time of day and date.

/// Bytes of the character that begins at `at`; 0 where none does (Unicode, table 3-7).
pub(super) fn character_bytes(bytes: &[u8], at: usize) -> usize {
    let byte = |ahead: usize| bytes.get(at + ahead).copied().unwrap_or(0);
    let is_tail = |ahead: usize| byte(ahead) & 0xc0 == 0x80;
    let (first, second) = (byte(0), byte(1));
    match first {
        0..0x80 => usize::from(at < bytes.len()),
        0xc2..=0xdf if is_tail(1) => 2,
        0xe0..=0xef if is_tail(1) && is_tail(2) => {
            let is_short = first == 0xe0 && second < 0xa0;
            let is_surrogate = first == 0xed && second > 0x9f;
            if is_short || is_surrogate { 0 } else { 3 }
        }
        0xf0..=0xf4 if is_tail(1) && is_tail(2) && is_tail(3) => {
            let is_short = first == 0xf0 && second < 0x90;
            let is_beyond = first == 0xf4 && second > 0x8f;
            if is_short || is_beyond { 0 } else { 4 }
        }
        _ => 0,
    }
}

/// The integer that a text spells in the one form it is printed in.
pub(super) fn canonical_integer(text: &[u8]) -> Option<i64> {
    let is_negative = text.first() == Some(&b'-');
    let digits = &text[usize::from(is_negative)..];
    let leading = *digits.first()?;
    if digits.len() > 19 || (leading == b'0' && (digits.len() > 1 || is_negative)) {
        return None;
    }
    let mut size: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits fit.
        size = size * 10 + u64::from(digit);
    }
    if size > i64::MAX as u64 + u64::from(is_negative) {
        return None;
    }
    Some(if is_negative { 0_u64.wrapping_sub(size) as i64 } else { size as i64 })
}

/// A number of `count` digits.
fn digits(text: &[u8], at: usize, count: usize) -> Option<i64> {
    let mut value = 0;
    for &byte in text.get(at..at + count)? {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(value)
}

/// Milliseconds since the epoch of `2018-04-01T00:00:31.250Z`, in the forms of
/// [`TimeUnit::Rfc3339`](super::TimeUnit::Rfc3339).
pub(super) fn time_ms(text: &[u8]) -> Option<i64> {
    let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
    let has_marks = is(4, b'-') && is(7, b'-') && is(13, b':') && is(16, b':');
    if !has_marks || !(is(10, b'T') || is(10, b' ')) {
        return None;
    }
    let (year, month, day) = (digits(text, 0, 4)?, digits(text, 5, 2)?, digits(text, 8, 2)?);
    let (hour, minute, second) = (digits(text, 11, 2)?, digits(text, 14, 2)?, digits(text, 17, 2)?);
    let is_date = (1..=9998).contains(&year) && (1..=12).contains(&month);
    if !is_date || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    let mut fraction_ms = 0;
    if is(at, b'.') {
        let first = at + 1;
        at = first;
        while let Some(digit) = digits(text, at, 1) {
            let place = [100, 10, 1].get(at - first).copied().unwrap_or(0);
            fraction_ms += digit * place;
            at += 1;
        }
        // Before the epoch it depends on the reader to which side a fraction is cut.
        if at == first || at > first + 9 || year < 1970 {
            return None;
        }
    }
    at += usize::from(is(at, b'Z'));
    if at != text.len() {
        return None;
    }
    let seconds = (days_from_epoch(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1000 + fraction_ms)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date after the year 0: years begin with March, so that the day that
/// is not always there is the last (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}
