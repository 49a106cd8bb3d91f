//! Whether the arguments of a call fit its table: found out before anything is changed.

use std::ops::Range;

use super::plan::{Plan, TIME_MAX_MS};
use super::{Over, Rows, Target};
use crate::KernelError;

/// Columns that some rows of are asked about (or entered, which needs values and codes too).
pub(super) fn check_rows(
    plan: &Plan,
    rows: &Rows<'_>,
    range: &Range<usize>,
    over: Over,
    enters: bool,
) -> Result<(), KernelError> {
    if plan.over != over {
        let reason = "is over labels where events are given, or the other way round";
        return Err(KernelError::Value { kernel: "window", argument: "table", reason });
    }
    let count = rows.keys.len();
    expect("times_ms", count, rows.times_ms.len())?;
    if range.start > range.end || range.end > count {
        return expect("range", count, range.end);
    }
    if enters {
        expect("values", plan.layout.values, rows.values.len())?;
        expect("codes", plan.layout.codes, rows.codes.len())?;
        rows.values.iter().try_for_each(|column| expect("values", count, column.len()))?;
        rows.codes.iter().try_for_each(|column| expect("codes", count, column.len()))?;
    }
    Ok(())
}

/// A matrix that some rows write `width` columns to.
pub(super) fn check_target(
    width: usize,
    range: &Range<usize>,
    target: &Target<'_>,
) -> Result<(), KernelError> {
    let end = target.offset + width;
    expect("stride", end, target.stride.min(end))?;
    let needed = if range.is_empty() { 0 } else { (range.end - 1) * target.stride + end };
    expect("out", needed, target.out.len().min(needed))
}

/// Whether no difference of the time with another usable one overflows.
pub(super) fn is_usable(time_ms: i64) -> bool {
    (-TIME_MAX_MS..=TIME_MAX_MS).contains(&time_ms)
}

pub(super) fn expect(
    argument: &'static str,
    expected: usize,
    given: usize,
) -> Result<(), KernelError> {
    if expected == given {
        return Ok(());
    }
    Err(KernelError::Shape { kernel: "window", argument, expected, given })
}
