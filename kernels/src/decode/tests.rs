//! What is plain and what it becomes: against the standard library, against records made of known
//! values, and on a device against the CPU for bytes of every kind.

mod parts;
mod plain;
#[cfg(feature = "double")]
mod twin;

use super::*;
use crate::device::Device;

/// Columns that hold what no row has.
pub(super) fn untouched(device: &Device, spec: &DecodeSpec, stride: usize) -> DecodedRows {
    let mut rows = DecodedRows::new(device, spec, stride).expect("memory");
    rows.times_ms.fill(-1);
    rows.numbers.fill(-7.5);
    rows.categories.fill(77);
    rows.ids.fill(7);
    rows.labels.fill(-7.5);
    rows.texts.fill([7, 7]);
    rows.marks.fill(7);
    rows
}

/// All of it as bits.
pub(super) fn bits(rows: &DecodedRows) -> impl PartialEq + std::fmt::Debug {
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    (
        (rows.times_ms.to_vec(), bits(&rows.numbers), rows.categories.to_vec()),
        (rows.ids.to_vec(), bits(&rows.labels), rows.texts.to_vec(), rows.marks.to_vec()),
    )
}

pub(super) fn records<R: AsRef<[u8]>>(of: &[R]) -> Records {
    let bytes = of.iter().map(|record| record.as_ref().len()).sum();
    let mut records = Records::new(&Device::Cpu, of.len(), bytes).expect("ordinary memory");
    assert!(of.iter().all(|record| records.push(record.as_ref())), "there is room");
    assert!(!records.push(b"more"), "and no more than that");
    records
}

/// What these records become.
pub(super) fn decoded<R: AsRef<[u8]>>(spec: &DecodeSpec, of: &[R]) -> DecodedRows {
    let mut rows = untouched(&Device::Cpu, spec, of.len());
    let decoder = Decoder::new(spec).expect("a spec that can be");
    let hard = decoder.run(&records(of), &mut rows.columns()).expect("columns of its shape");
    assert_eq!(hard, rows.marks.iter().filter(|&&mark| mark == HARD).count());
    assert!(rows.marks.iter().all(|&mark| mark == HARD || mark == PLAIN));
    rows
}

pub(super) fn field(name: &str, targets: &[Target]) -> JsonField {
    JsonField { name: name.to_owned(), targets: targets.to_vec() }
}

/// A payment, with every kind of column.
pub(super) fn payments(unit: TimeUnit, label: LabelMeaning) -> DecodeSpec {
    DecodeSpec {
        format: Format::Json {
            fields: vec![
                field("id", &[Target::Id, Target::Text(0)]),
                field("ts", &[Target::Time(unit)]),
                field("amount", &[Target::Number(0), Target::Text(1)]),
                field("card", &[Target::Category(0)]),
                field("merchant_of_payment", &[Target::Category(1), Target::Number(1)]),
                field("label", &[Target::Label]),
            ],
            record_bytes_max: 400,
        },
        numbers: 2,
        categories: 2,
        texts: 2,
        label,
    }
}

/// The same as bytes: 8 + 8 + 8 + 4 + 20 + 4 + 4.
pub(super) fn packed(unit: TimeUnit, label: LabelMeaning) -> DecodeSpec {
    let field = |offset, kind, missing_bits, targets: &[Target]| BinaryField {
        offset,
        kind,
        missing_bits,
        targets: targets.to_vec(),
    };
    DecodeSpec {
        format: Format::Binary {
            fields: vec![
                field(0, BinaryKind::U64, None, &[Target::Id, Target::Text(0)]),
                field(8, BinaryKind::I64, Some(1 << 63), &[Target::Time(unit)]),
                field(16, BinaryKind::F64, None, &[Target::Number(0), Target::Category(0)]),
                field(24, BinaryKind::U32, Some(0xffff_ffff), &[Target::Category(1)]),
                field(28, BinaryKind::Text { width: 20 }, None, &[Target::Category(2)]),
                field(48, BinaryKind::I32, Some(0xffff_ffff), &[Target::Label]),
                field(52, BinaryKind::F32, None, &[Target::Number(1), Target::Category(3)]),
            ],
            record_bytes: 56,
        },
        numbers: 2,
        categories: 4,
        texts: 1,
        label,
    }
}

pub(super) fn meanings() -> [LabelMeaning; 3] {
    let classes = ["0", "b", "true", "17", "1.5"].map(str::to_owned).to_vec();
    [LabelMeaning::Binary, LabelMeaning::Classes(classes), LabelMeaning::Number]
}
