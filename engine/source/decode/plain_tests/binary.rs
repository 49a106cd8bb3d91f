//! Binary records: read here field by field, by the pen of the decoder of the stream.

use pelton_kernels::decode::{BinaryField, BinaryKind, Format, PLAIN};
use proptest::prelude::*;

use super::super::spec::of_format;
use super::*;
use crate::source::rows::RowWriter;

/// The fields of a record of 64 bytes, and what the decoder of the stream would take from them.
fn packed(unit: TimeUnit, label: LabelMeaning) -> (Schema, Vec<(usize, BinaryKind, Option<u64>)>) {
    let schema = schema(
        vec![
            field("id", &[Target::Id]),
            field("time", &[Target::Time(unit)]),
            field("amount", &[Target::Number(0), Target::Category(0)]),
            field("card", &[Target::Category(1), Target::Number(1)]),
            field("shop", &[Target::Category(2)]),
            field("label", &[Target::Label]),
            field("share", &[Target::Number(2), Target::Category(3)]),
        ],
        label,
    );
    let layout = vec![
        (0, BinaryKind::Text { width: 16 }, None),
        (16, BinaryKind::F64, None),
        (24, BinaryKind::F64, None),
        (33, BinaryKind::U64, Some(u64::MAX)),
        (41, BinaryKind::Text { width: 9 }, None),
        (52, BinaryKind::I32, Some(0xffff_ffff)),
        (57, BinaryKind::F32, None),
    ];
    (schema, layout)
}

/// The scalar of a field: `None` where it is no value at all.
fn scalar(bytes: &[u8], kind: BinaryKind, missing: Option<u64>) -> Option<Scalar<'_>> {
    let bits = |count: usize| {
        let mut all = [0; 8];
        all[..count].copy_from_slice(bytes);
        u64::from_le_bytes(all)
    };
    let float = |x: f64| if x.is_nan() { Scalar::Null } else { Scalar::Float(x + 0.0) };
    match kind {
        BinaryKind::F32 => Some(float(f64::from(f32::from_bits(bits(4) as u32)))),
        BinaryKind::F64 => Some(float(f64::from_bits(bits(8)))),
        BinaryKind::Text { .. } => {
            let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
            let is_one = !text.contains('\0');
            is_one.then_some(if text.is_empty() { Scalar::Null } else { Scalar::Text(text) })
        }
        _ if missing == Some(bits(kind.bytes())) => Some(Scalar::Null),
        BinaryKind::I32 => Some(Scalar::Int(i64::from(bits(4) as u32 as i32))),
        BinaryKind::U32 => Some(Scalar::Int(i64::from(bits(4) as u32))),
        BinaryKind::I64 => Some(Scalar::Int(bits(8) as i64)),
        BinaryKind::U64 => i64::try_from(bits(8)).ok().map(Scalar::Int),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn plain_binary_records_are_those_of_the_stream(
        mut record: [[u8; 32]; 2],
        id in "[a-zé]{0,8}|[0-9]{1,16}",
        time in -1e3..1e12_f64,
        amount in prop_oneof![any::<f64>(), (-1e6..1e6_f64).prop_map(f64::round)],
        shop in "[a-z€]{0,3}",
        label in -2..3_i32,
        is_any in 0..3,
        unit in 0..UNITS.len(),
        meaning in 0..3_usize,
    ) {
        let record = record.as_flattened_mut();
        if is_any > 0 {
            record[..16].fill(0);
            record[..id.len()].copy_from_slice(id.as_bytes());
            record[16..24].copy_from_slice(&time.to_le_bytes());
            record[24..32].copy_from_slice(&amount.to_le_bytes());
            record[41..50].fill(0);
            record[41..41 + shop.len()].copy_from_slice(shop.as_bytes());
            record[52..56].copy_from_slice(&label.to_le_bytes());
        }
        let (schema, layout) = packed(UNITS[unit], meanings()[meaning].clone());
        let fields = schema.fields.iter().zip(&layout).map(|(field, &(offset, kind, missing))| {
            let targets = field.targets.clone();
            BinaryField { offset, kind, missing_bits: missing, targets }
        });
        let format = Format::Binary { fields: fields.collect(), record_bytes: record.len() };
        let rows = plainly(&of_format(&schema, format), &[&*record]);
        if rows.marks[0] == PLAIN {
            let mut slot = Slot::new(&schema, 1);
            let span = slot.span_index(&"topic".into(), 0);
            let mut row = RowWriter::begin(&schema, &mut slot);
            for (index, &(offset, kind, missing)) in layout.iter().enumerate() {
                let value = scalar(&record[offset..offset + kind.bytes()], kind, missing);
                row.set(index, value.expect("a value")).expect("of use");
            }
            let is_finished = row.finish(Position { span, offset: 0 }, None, record);
            prop_assert!(is_finished);
            is_row(&schema, &rows, 0, &slot, record);
        }
    }
}
