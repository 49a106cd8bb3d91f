//! Records as they came, JSON lines or fixed-layout binary, into the columns of a batch: the
//! decoder of a GPU, and the same on the CPU.
//!
//! The decoder of the stream is elsewhere and is the truth. This one reads the rows that are
//! *plain*, those of which it is sure what the other one makes of them, and calls all others
//! *hard*: they are read by the other decoder, which also says what is wrong with one of them, if
//! anything is. So a record is never refused here, and what is plain is right by construction.
//!
//! # Plain rows
//! JSON: one flat object of ASCII whitespace, names, texts without escapes (valid UTF-8), numbers
//! of at most 128 bytes, `true`, `false` and `null`. No wanted name occurs twice; whole numbers are
//! those of `i64`; other wanted numbers have at most 19 significant digits and a power of ten from
//! -27 to 55, behind the last of them: these are rounded correctly from one or two products (D.
//! Lemire, "Number parsing at a gigabyte per second", 2021). Names that are not wanted may have any
//! plain value; there are at most 256 names. Binary: see
//! [`BinaryField`]. In both every value fits what it fills (see [`Target`]), and time and id are
//! there where they are wanted.
//!
//! # Shapes
//! Columns lie one after another, `[columns, stride]` with the rows filled from the start, as
//! [`Decoded`] has them. A hard row is missing in every column.
//!
//! # Determinism
//! Integers, and single correctly rounded operations on floats: the same bits everywhere, and every
//! row is a function of its own bytes.

mod binary;
pub mod device;
mod digest;
mod json;
mod number;
mod powers;
mod records;
mod rows;
mod spec;
mod table;
mod text;
mod value;

pub use records::Records;
pub use rows::DecodedRows;
pub use spec::{
    BinaryField, BinaryKind, DecodeSpec, FIELDS_MAX, Format, JsonField, LabelMeaning, Target,
    TimeUnit,
};

use crate::KernelError;
use table::Table;

/// The mark of a row that the other decoder has to read.
pub const HARD: u8 = 0;
/// The mark of a row that was read.
pub const PLAIN: u8 = 1;

/// The numbers of [`Target`], as the table has them.
struct TargetKind;

impl TargetKind {
    const ID: u32 = 0;
    const SECONDS: u32 = 1;
    const MILLISECONDS: u32 = 2;
    const MICROSECONDS: u32 = 3;
    const NANOSECONDS: u32 = 4;
    const RFC3339: u32 = 5;
    const NUMBER: u32 = 6;
    const CATEGORY: u32 = 7;
    const LABEL: u32 = 8;
    const TEXT: u32 = 9;
}

/// Reads plain records of one kind.
#[derive(Clone, Debug)]
pub struct Decoder {
    table: Table,
}

/// The columns that rows are read into.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// From one column to the next: the most rows.
    pub stride: usize,
    /// `[stride]`, milliseconds since the epoch; not touched where no time is read.
    pub times_ms: &'a mut [i64],
    /// `[numbers, stride]`; NaN is missing.
    pub numbers: &'a mut [f32],
    /// `[categories, stride]`; 0 is missing.
    pub categories: &'a mut [u64],
    /// `[stride]`; not touched where no id is read.
    pub ids: &'a mut [u128],
    /// `[stride]`; NaN is none.
    pub labels: &'a mut [f32],
    /// `[texts, stride]`: where the value's own spelling begins in the record, and its bytes, the
    /// quotes of a text included; no bytes where the record lacks it.
    pub texts: &'a mut [[u32; 2]],
    /// `[stride]`: [`PLAIN`] or [`HARD`].
    pub marks: &'a mut [u8],
}

impl Decoder {
    /// A reader of these records.
    ///
    /// # Errors
    /// [`KernelError::Value`] where the spec cannot be: see [`DecodeSpec`].
    pub fn new(spec: &DecodeSpec) -> Result<Decoder, KernelError> {
        spec.check()?;
        Ok(Decoder { table: Table::new(spec) })
    }

    /// Whether rows get their ids here; where not, the ids are not touched.
    #[must_use]
    pub fn has_id(&self) -> bool {
        self.table.has.id
    }

    /// Whether rows get their times here; where not, the times are not touched.
    #[must_use]
    pub fn has_time(&self) -> bool {
        self.table.has.time
    }

    /// Expects the wanted names in the order this record has them in. It changes the speed of later
    /// look-ups and no result; without it that order is the spec's.
    pub fn follow(&mut self, record: &[u8]) {
        if !self.table.is_binary() {
            json::follow(&mut self.table, record);
        }
    }

    /// Reads all records; the number of rows that are hard.
    ///
    /// # Errors
    /// [`KernelError::Shape`], before anything is written.
    pub fn run(&self, records: &Records, out: &mut Decoded<'_>) -> Result<usize, KernelError> {
        self.check(records.rows(), out)?;
        let read = (0..records.rows()).filter(|&row| !self.read(records.record(row), out, row));
        Ok(read.count())
    }

    /// Reads one record into a row that is there; whether it is plain.
    fn read(&self, record: &[u8], out: &mut Decoded<'_>, row: usize) -> bool {
        let table = &self.table;
        let read = match table.is_binary() {
            true => binary::read(table, record, out, row),
            false => json::read(table, record, out, row),
        };
        let is_plain = read.is_some_and(|seen| table.finish(out, row, seen).is_some());
        if !is_plain {
            table.fill(out, row, 0);
        }
        out.marks[row] = if is_plain { PLAIN } else { HARD };
        is_plain
    }

    fn check(&self, rows: usize, out: &Decoded<'_>) -> Result<(), KernelError> {
        let kernel = "decode";
        let [numbers, categories, texts] = self.table.widths();
        if out.stride < rows {
            let argument = "stride";
            return Err(KernelError::Shape { kernel, argument, expected: rows, given: out.stride });
        }
        let shapes = [
            ("times_ms", out.times_ms.len(), 1),
            ("numbers", out.numbers.len(), numbers),
            ("categories", out.categories.len(), categories),
            ("ids", out.ids.len(), 1),
            ("labels", out.labels.len(), 1),
            ("texts", out.texts.len(), texts),
            ("marks", out.marks.len(), 1),
        ];
        for (argument, given, columns) in shapes {
            let expected = columns * out.stride;
            if given != expected {
                return Err(KernelError::Shape { kernel, argument, expected, given });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
