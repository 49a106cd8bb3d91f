//! A spec as the readers have it: flat lists of plain numbers, which a GPU takes as they are.

use super::spec::{BinaryKind, DecodeSpec, Format, LabelMeaning, Target, TimeUnit};
use super::text::canonical_integer;
use super::{Decoded, TargetKind};

/// A field. Of JSON: its name, `length` bytes at `at` of the texts, the first of them in `word`.
/// Binary: `length` bytes at `at` of the record, and in `word` the bits of a missing integer.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Entry {
    pub word: u64,
    pub at: u32,
    pub length: u32,
    /// A part of the targets.
    pub first_target: u32,
    pub targets: u32,
    /// The field expected after it.
    pub next: u32,
    /// Of a binary field: one of [`kind`].
    pub kind: u32,
}

/// No index of a field.
pub(super) const NO_FIELD: u32 = u32::MAX;

/// A target by number: see [`TargetKind`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct TargetEntry {
    pub kind: u32,
    pub column: u32,
}

/// A class: its name, and the integer it is the spelling of.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct ClassEntry {
    pub integer: i64,
    pub is_integer: u32,
    pub at: u32,
    pub length: u32,
    pub unused: u32,
}

/// Types of binary fields.
pub(super) mod kind {
    pub const F32: u32 = 0;
    pub const F64: u32 = 1;
    pub const I32: u32 = 2;
    pub const I64: u32 = 3;
    pub const U32: u32 = 4;
    pub const U64: u32 = 5;
    pub const TEXT: u32 = 6;
    /// Added to an integer's where there is a missing one.
    pub const CAN_MISS: u32 = 8;
}

/// Meanings of labels.
pub(super) mod meaning {
    pub const BINARY: u32 = 0;
    pub const CLASSES: u32 = 1;
    pub const NUMBER: u32 = 2;
}

/// What a reader knows.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
    pub targets: Vec<TargetEntry>,
    pub classes: Vec<ClassEntry>,
    /// Names and classes.
    pub texts: Vec<u8>,
    /// The field expected first.
    pub first: u32,
    /// The field expected at each place of a record, [`NO_FIELD`] where none is.
    pub order: Vec<u32>,
    pub meaning: u32,
    /// Bytes of a binary record, or the most of another.
    pub record_bytes: u32,
    pub has: Has,
    widths: [usize; 3],
}

/// What the records of a kind have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Has {
    pub id: bool,
    pub time: bool,
    pub label: bool,
    pub places: bool,
}

impl Table {
    /// The table of a spec that can be.
    pub fn new(spec: &DecodeSpec) -> Table {
        let mut texts = Vec::new();
        let (mut entries, record_bytes) = match &spec.format {
            Format::Json { fields, record_bytes_max } => {
                let names = fields.iter().map(|field| name_entry(&field.name, &mut texts));
                (names.collect::<Vec<_>>(), *record_bytes_max)
            }
            Format::Binary { fields, record_bytes } => {
                let places = fields.iter().map(|field| {
                    let (kind, missing) = (kind_of(field.kind), field.missing_bits);
                    let can_miss = kind != kind::TEXT && missing.is_some();
                    Entry {
                        word: missing.unwrap_or(0),
                        at: number(field.offset),
                        length: number(field.kind.bytes()),
                        kind: kind + if can_miss { kind::CAN_MISS } else { 0 },
                        ..Entry::default()
                    }
                });
                (places.collect(), *record_bytes)
            }
        };
        let mut targets = Vec::new();
        let fields = spec.targets();
        for (index, (entry, of)) in entries.iter_mut().zip(&fields).enumerate() {
            (entry.first_target, entry.targets) = (number(targets.len()), number(of.len()));
            entry.next = number(index + 1);
            targets.extend(of.iter().map(|&target| target_entry(target)));
        }
        let (meaning, classes) = match &spec.label {
            LabelMeaning::Binary => (meaning::BINARY, &[][..]),
            LabelMeaning::Classes(classes) => (meaning::CLASSES, &**classes),
            LabelMeaning::Number => (meaning::NUMBER, &[][..]),
        };
        let classes = classes.iter().map(|class| class_entry(class, &mut texts)).collect();
        let has = |wanted: fn(&Target) -> bool| fields.iter().copied().flatten().any(wanted);
        Table {
            has: Has {
                id: has(|target| *target == Target::Id),
                time: has(|target| matches!(target, Target::Time(_))),
                label: has(|target| *target == Target::Label),
                places: matches!(spec.format, Format::Binary { .. }),
            },
            entries,
            targets,
            classes,
            texts,
            first: 0,
            order: (0..number(fields.len())).collect(),
            meaning,
            record_bytes: number(record_bytes),
            widths: [spec.numbers, spec.categories, spec.texts],
        }
    }

    pub fn is_binary(&self) -> bool {
        self.has.places
    }

    /// Number, category and text columns.
    pub fn widths(&self) -> [usize; 3] {
        self.widths
    }

    pub fn targets_of(&self, entry: &Entry) -> &[TargetEntry] {
        &self.targets[entry.first_target as usize..][..entry.targets as usize]
    }

    pub fn text(&self, at: u32, length: u32) -> &[u8] {
        &self.texts[at as usize..][..length as usize]
    }

    /// Ends a row in which the fields of `seen` were read: `None` where id or time are not.
    pub fn finish(&self, out: &mut Decoded<'_>, row: usize, seen: u128) -> Option<()> {
        let is_whole = self.fill(out, row, seen);
        is_whole.then_some(())
    }

    /// Makes all fields but those of `seen` missing; whether the row has id and time, where wanted.
    pub fn fill(&self, out: &mut Decoded<'_>, row: usize, seen: u128) -> bool {
        let mut is_whole = true;
        if !self.has.label {
            out.labels[row] = f32::NAN;
        }
        for (index, entry) in self.entries.iter().enumerate() {
            if seen >> index & 1 != 0 {
                continue;
            }
            for target in self.targets_of(entry) {
                let at = target.column as usize * out.stride + row;
                match target.kind {
                    TargetKind::ID => {
                        out.ids[row] = 0;
                        is_whole = false;
                    }
                    TargetKind::NUMBER => out.numbers[at] = f32::NAN,
                    TargetKind::CATEGORY => out.categories[at] = 0,
                    TargetKind::LABEL => out.labels[row] = f32::NAN,
                    TargetKind::TEXT => out.texts[at] = [0, 0],
                    _ => {
                        out.times_ms[row] = 0;
                        is_whole = false;
                    }
                }
            }
        }
        is_whole
    }
}

/// The first bytes of a name as a number, zeros behind a short one.
pub(super) fn first_word(name: &[u8]) -> u64 {
    let bytes = name.iter().take(8).enumerate();
    bytes.fold(0, |word, (at, &byte)| word | u64::from(byte) << (8 * at))
}

fn name_entry(name: &str, texts: &mut Vec<u8>) -> Entry {
    let [at, length] = add(name, texts);
    Entry { word: first_word(name.as_bytes()), at, length, ..Entry::default() }
}

fn class_entry(class: &str, texts: &mut Vec<u8>) -> ClassEntry {
    let [at, length] = add(class, texts);
    let integer = canonical_integer(class.as_bytes());
    let is_integer = u32::from(integer.is_some());
    ClassEntry { integer: integer.unwrap_or(0), is_integer, at, length, unused: 0 }
}

fn add(text: &str, texts: &mut Vec<u8>) -> [u32; 2] {
    let at = number(texts.len());
    texts.extend_from_slice(text.as_bytes());
    [at, number(text.len())]
}

fn target_entry(target: Target) -> TargetEntry {
    let (kind, column) = match target {
        Target::Id => (TargetKind::ID, 0),
        Target::Time(TimeUnit::Seconds) => (TargetKind::SECONDS, 0),
        Target::Time(TimeUnit::Milliseconds) => (TargetKind::MILLISECONDS, 0),
        Target::Time(TimeUnit::Microseconds) => (TargetKind::MICROSECONDS, 0),
        Target::Time(TimeUnit::Nanoseconds) => (TargetKind::NANOSECONDS, 0),
        Target::Time(TimeUnit::Rfc3339) => (TargetKind::RFC3339, 0),
        Target::Number(column) => (TargetKind::NUMBER, column),
        Target::Category(column) => (TargetKind::CATEGORY, column),
        Target::Label => (TargetKind::LABEL, 0),
        Target::Text(column) => (TargetKind::TEXT, column),
    };
    TargetEntry { kind, column: number(column) }
}

fn kind_of(kind: BinaryKind) -> u32 {
    match kind {
        BinaryKind::F32 => kind::F32,
        BinaryKind::F64 => kind::F64,
        BinaryKind::I32 => kind::I32,
        BinaryKind::I64 => kind::I64,
        BinaryKind::U32 => kind::U32,
        BinaryKind::U64 => kind::U64,
        BinaryKind::Text { .. } => kind::TEXT,
    }
}

/// Sizes that the spec's check has bounded, and names, whose bytes together are far fewer.
fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
