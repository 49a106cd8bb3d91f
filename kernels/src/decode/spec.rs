//! What records are made of, and which columns their values fill.

use std::collections::BTreeSet;

use crate::KernelError;

/// The most fields of a record that fill columns.
pub const FIELDS_MAX: usize = 128;

/// The most bytes of a record: what is longer is hard, whatever the spec says.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// Records of one kind.
///
/// It can be where it has at most [`FIELDS_MAX`] fields, every column is filled by exactly one
/// field, id, time and label by at most one; names are distinct and have no dots (those of nested
/// values); the fields of a binary record lie within it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeSpec {
    /// How records are spelled.
    pub format: Format,
    /// Number columns.
    pub numbers: usize,
    /// Category columns.
    pub categories: usize,
    /// Columns of texts to repeat.
    pub texts: usize,
    /// What labels mean.
    pub label: LabelMeaning,
}

/// How records are spelled.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// One flat object each, line ends and other whitespace around it allowed.
    Json {
        /// The names that are wanted.
        fields: Vec<JsonField>,
        /// Longer records are hard.
        record_bytes_max: usize,
    },
    /// The same number of bytes each, with every field in its place; bytes between fields are not
    /// looked at.
    Binary {
        /// The fields that are wanted.
        fields: Vec<BinaryField>,
        /// Bytes of a record; one that is longer or shorter is hard.
        record_bytes: usize,
    },
}

/// A name that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonField {
    /// The name, UTF-8; a record that spells it with an escape is hard.
    pub name: String,
    /// What its value fills.
    pub targets: Vec<Target>,
}

/// A field of a binary record: numbers little-endian, at any offset.
///
/// # Missing values
/// A float is missing where it is NaN, a text where it is empty. An integer is missing where it has
/// the bits of `missing_bits`; without them it never is. A missing value is what `null` is in JSON.
///
/// # Values
/// Floats and integers are numbers (negative zero is zero); a `u64` beyond `i64` is hard. A text
/// ends before its first NUL, or with the field; everything behind the first NUL is NUL and all is
/// UTF-8, or the row is hard.
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryField {
    /// Bytes of the record before it.
    pub offset: usize,
    /// Its type.
    pub kind: BinaryKind,
    /// An integer that stands for a missing value: its bits, zeros above those of the field.
    pub missing_bits: Option<u64>,
    /// What its value fills.
    pub targets: Vec<Target>,
}

/// The type of a binary field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryKind {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// A text of at most `width` bytes, filled up with NUL.
    Text {
        /// Bytes of the field.
        width: usize,
    },
}

/// What a value fills, and which values are plain for it (a text that spells a number counts where
/// it is spelled as in JSON).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The identity: a whole number below 9e15 or of `i64`, a text of 1 to 64 bytes.
    Id,
    /// The time: a number, or a text that spells one; of [`TimeUnit::Rfc3339`] see there.
    Time(TimeUnit),
    /// A column of the numbers: a number or truth value, a text that spells a number (spaces
    /// around it allowed) or is blank, a missing value.
    Number(usize),
    /// A column of the categories: any value.
    Category(usize),
    /// The label: what has a meaning as one, a missing value.
    Label,
    /// A column of texts to repeat: any value.
    Text(usize),
}

/// How a record spells a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since the epoch, fractions allowed.
    Seconds,
    /// Milliseconds since the epoch.
    Milliseconds,
    /// Microseconds since the epoch, floored to milliseconds.
    Microseconds,
    /// Nanoseconds since the epoch, floored to milliseconds.
    Nanoseconds,
    /// A text as RFC 3339 (`2018-04-01T00:00:31Z`), or the same without a zone, read as UTC. Plain
    /// are `2018-04-01T00:00:31`, with a space for the `T`, with a `Z` at the end, and after 1970
    /// with up to 9 digits of a fraction; years are 1 to 9998.
    Rfc3339,
}

/// What the values of a label mean.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelMeaning {
    /// 0 or 1: numbers, truth values, or the texts `0`, `1`, `true`, `false`.
    Binary,
    /// One of the named classes; its index.
    Classes(Vec<String>),
    /// The number itself, a finite one.
    Number,
}

impl BinaryKind {
    /// Bytes of the field.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            BinaryKind::F32 | BinaryKind::I32 | BinaryKind::U32 => 4,
            BinaryKind::F64 | BinaryKind::I64 | BinaryKind::U64 => 8,
            BinaryKind::Text { width } => width,
        }
    }
}

fn refused(argument: &'static str, reason: &'static str) -> KernelError {
    KernelError::Value { kernel: "decode", argument, reason }
}

impl DecodeSpec {
    /// What each field fills, in the order of the fields.
    pub(super) fn targets(&self) -> Vec<&[Target]> {
        match &self.format {
            Format::Json { fields, .. } => fields.iter().map(|field| &*field.targets).collect(),
            Format::Binary { fields, .. } => fields.iter().map(|field| &*field.targets).collect(),
        }
    }

    pub(super) fn check(&self) -> Result<(), KernelError> {
        match &self.format {
            Format::Json { fields, record_bytes_max } => {
                let names: BTreeSet<&str> = fields.iter().map(|field| &*field.name).collect();
                if names.len() != fields.len() {
                    return Err(refused("fields", "have two of one name"));
                }
                if names.iter().any(|name| name.contains('.')) {
                    return Err(refused("fields", "have a dot in a name, as nested values have"));
                }
                if *record_bytes_max > RECORD_BYTES_MAX {
                    return Err(refused("record_bytes_max", "is above 2^20"));
                }
            }
            Format::Binary { fields, record_bytes } => {
                if *record_bytes > RECORD_BYTES_MAX {
                    return Err(refused("record_bytes", "is above 2^20"));
                }
                let ends = |field: &BinaryField| field.offset.checked_add(field.kind.bytes());
                if fields.iter().any(|field| ends(field).is_none_or(|end| end > *record_bytes)) {
                    return Err(refused("fields", "reach beyond the record"));
                }
            }
        }
        self.check_targets()
    }

    fn check_targets(&self) -> Result<(), KernelError> {
        let fields = self.targets();
        if fields.len() > FIELDS_MAX {
            return Err(refused("fields", "are more than 128"));
        }
        let mut filled = [vec![0; self.numbers], vec![0; self.categories], vec![0; self.texts]];
        let mut alone = [0; 3];
        for target in fields.into_iter().flatten() {
            let count = match *target {
                Target::Number(column) => filled[0].get_mut(column),
                Target::Category(column) => filled[1].get_mut(column),
                Target::Text(column) => filled[2].get_mut(column),
                Target::Id => Some(&mut alone[0]),
                Target::Time(_) => Some(&mut alone[1]),
                Target::Label => Some(&mut alone[2]),
            };
            *count.ok_or(refused("targets", "name a column that is not there"))? += 1;
        }
        if filled.iter().flatten().any(|&count| count != 1) {
            return Err(refused("targets", "do not fill every column once"));
        }
        if alone.iter().any(|&count| count > 1) {
            return Err(refused("targets", "have two ids, times or labels"));
        }
        Ok(())
    }
}
