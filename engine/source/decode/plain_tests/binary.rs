//! Binary records: the plain ones are those of the decoder of the stream.

use pelton_kernels::cases::scaled;
use pelton_kernels::decode::{BinaryKind, PLAIN};
use proptest::prelude::*;

use super::super::spec::binary_spec;
use super::*;
use crate::config::layout::{Laid, Layout};

/// The fields of a record of 64 bytes, and where they lie.
fn packed(unit: TimeUnit, label: LabelMeaning) -> (Schema, Layout) {
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
    let places = [
        (0, BinaryKind::Text { width: 16 }, None),
        (16, BinaryKind::F64, None),
        (24, BinaryKind::F64, None),
        (33, BinaryKind::U64, Some(u64::MAX)),
        (41, BinaryKind::Text { width: 9 }, None),
        (52, BinaryKind::I32, Some(0xffff_ffff)),
        (57, BinaryKind::F32, None),
    ];
    let laid = schema.fields.iter().zip(places).map(|(field, (offset, kind, missing_bits))| Laid {
        name: field.name().to_owned(),
        offset,
        kind,
        missing_bits,
    });
    let layout = Layout { record_bytes: 64, fields: laid.collect() };
    (schema, layout)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(2000)))]

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
        let rows = plainly(&binary_spec(&schema, &layout), &[&*record]);
        if rows.marks[0] == PLAIN {
            let fields = schema.fields.iter().map(Field::name).enumerate();
            let names = Names::new(&schema).laid_out(&layout, fields);
            let mut slot = Slot::new(&schema, 1);
            let span = slot.span_index(&"topic".into(), 0);
            let message = MessageParts { payload: record, ..MessageParts::default() };
            event(&schema, &names, &mut slot, &message, Position { span, offset: 0 });
            is_row(&schema, &rows, 0, &slot, record);
        }
    }
}
