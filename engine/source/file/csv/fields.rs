//! One CSV record into its fields.
//!
//! Fields are ranges of the record; only those with doubled quotes are copied. Stricter than most
//! readers in one point: after a closing quote only a delimiter or the end may follow.

use std::ops::Range;

/// The fields of the record that was split last.
pub struct Fields {
    delimiter: u8,
    fields: Vec<Field>,
    /// Fields without the doubling of their quotes.
    copied: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Field {
    /// A range of the record.
    Lent(Range<usize>),
    /// A range of the copies.
    Copied(Range<usize>),
}

/// What a split has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A whole record.
    Closed,
    /// The last field's closing quote is missing.
    Open,
    /// Something follows a closing quote.
    Malformed,
}

impl Fields {
    /// No fields yet.
    pub fn new(delimiter: u8) -> Fields {
        Fields { delimiter, fields: Vec::new(), copied: Vec::new() }
    }

    /// Splits a record.
    pub fn split(&mut self, record: &[u8]) -> Shape {
        self.fields.clear();
        self.copied.clear();
        let mut at = 0;
        loop {
            let end = match record.get(at) {
                Some(b'"') => match self.quoted(record, at + 1) {
                    Some(end) => end,
                    None => return Shape::Open,
                },
                _ => {
                    let rest = &record[at..];
                    let length = rest.iter().position(|&byte| byte == self.delimiter);
                    let end = at + length.unwrap_or(rest.len());
                    self.fields.push(Field::Lent(at..end));
                    end
                }
            };
            match record.get(end) {
                None => return Shape::Closed,
                Some(&byte) if byte == self.delimiter => at = end + 1,
                Some(_) => return Shape::Malformed,
            }
        }
    }

    /// The number of fields.
    pub fn count(&self) -> usize {
        self.fields.len()
    }

    /// Field `column` of `record`, which is the one that was split last.
    pub fn get<'a>(&'a self, record: &'a [u8], column: usize) -> &'a [u8] {
        match &self.fields[column] {
            Field::Lent(range) => &record[range.clone()],
            Field::Copied(range) => &self.copied[range.clone()],
        }
    }

    /// Adds the field whose opening quote is before `start`; returns where its closing quote ends.
    fn quoted(&mut self, record: &[u8], start: usize) -> Option<usize> {
        let next_quote = |from: usize| {
            record[from..].iter().position(|&byte| byte == b'"').map(|length| from + length)
        };
        let mut quote = next_quote(start)?;
        if record.get(quote + 1) != Some(&b'"') {
            self.fields.push(Field::Lent(start..quote));
            return Some(quote + 1);
        }
        let copy_start = self.copied.len();
        let mut from = start;
        while record.get(quote + 1) == Some(&b'"') {
            self.copied.extend_from_slice(&record[from..=quote]);
            from = quote + 2;
            quote = next_quote(from)?;
        }
        self.copied.extend_from_slice(&record[from..quote]);
        self.fields.push(Field::Copied(copy_start..self.copied.len()));
        Some(quote + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(record: &str) -> (Shape, Vec<String>) {
        let mut fields = Fields::new(b',');
        let shape = fields.split(record.as_bytes());
        let texts = (0..fields.count()).map(|column| fields.get(record.as_bytes(), column));
        (shape, texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }

    proptest! {
        #[test]
        fn what_a_csv_writer_writes_is_read(
            fields in prop::collection::vec("[a,\"\n x]{0,6}", 1..6),
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&fields).expect("in memory");
            let written = writer.into_inner().expect("in memory");
            let record = std::str::from_utf8(&written).expect("text").trim_end_matches('\n');
            prop_assert_eq!(split(record), (Shape::Closed, fields));
        }

        #[test]
        fn closed_records_have_the_fields_another_reader_sees(record in "[a,\"]{1,12}") {
            let (shape, fields) = split(&record);
            if shape == Shape::Closed {
                let mut builder = csv::ReaderBuilder::new();
                let mut reader = builder.has_headers(false).from_reader(record.as_bytes());
                let other = reader.records().next().expect("one").expect("text");
                prop_assert_eq!(fields, other.iter().map(str::to_owned).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn quotes_out_of_place() {
        assert_eq!(split("a,\"b").0, Shape::Open);
        assert_eq!(split("a,\"b\"\"").0, Shape::Open);
        assert_eq!(split("\"a\"b,c").0, Shape::Malformed);
        assert_eq!(split("5\" pipe,x").0, Shape::Closed);
    }
}
