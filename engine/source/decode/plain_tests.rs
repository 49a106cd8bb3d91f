//! The decoder of plain rows ([`pelton_kernels::decode`]) against the decoder of the stream: a row
//! that is plain has its cells, bit for bit, and generated streams are plain throughout.

mod binary;

use pelton_kernels::cases::scaled;
use pelton_kernels::decode::{DecodeSpec, DecodedRows, Decoder, PLAIN, Records};
use pelton_kernels::device::Device;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::spec::json_spec;
use super::*;
use crate::generate::clicks::{ClickGenerator, ClickRecord, ClickSpec};
use crate::generate::fraud::{FraudGenerator, FraudRecord, FraudSpec};
use crate::generate::{Generator, Parts, Record};
use crate::schema::{Field, Target, TimeFrom};
use crate::source::rows::render;

fn field(name: &str, targets: &[Target]) -> Field {
    Field { place: Place::Body(name.to_owned()), targets: targets.to_vec() }
}

/// A schema of these fields: every column they fill is there.
fn schema(fields: Vec<Field>, label: LabelMeaning) -> Schema {
    let targets: Vec<Target> = fields.iter().flat_map(|field| field.targets.clone()).collect();
    let named = |wanted: fn(&Target) -> bool| {
        targets.iter().filter(|target| wanted(target)).map(|target| format!("{target:?}")).collect()
    };
    Schema {
        numbers: named(|target| matches!(target, Target::Number(_))),
        categories: named(|target| matches!(target, Target::Category(_))),
        texts: named(|target| matches!(target, Target::Text(_))),
        time: TimeFrom::Field,
        has_id: true,
        label,
        keeps_raw: false,
        keeps_labels: false,
        fields,
    }
}

/// The rows as the decoder of plain ones has them.
fn plainly<R: AsRef<[u8]>>(spec: &DecodeSpec, of: &[R]) -> DecodedRows {
    let bytes = of.iter().map(|record| record.as_ref().len()).sum();
    let mut records = Records::new(&Device::Cpu, of.len(), bytes).expect("memory");
    assert!(of.iter().all(|record| records.push(record.as_ref())));
    let mut rows = DecodedRows::new(&Device::Cpu, spec, of.len()).expect("memory");
    let decoder = Decoder::new(spec).expect("a spec");
    decoder.run(&records, &mut rows.columns()).expect("a shape");
    rows
}

/// The value as the score record repeats it, from its own spelling.
fn rendered(spelling: &[u8]) -> Vec<u8> {
    struct Rendered(Vec<u8>);
    impl Cells for Rendered {
        fn set(&mut self, _field: usize, value: Scalar<'_>) -> Result<(), Fault> {
            render(value, &mut self.0);
            Ok(())
        }
    }
    if spelling.is_empty() {
        return Vec::new();
    }
    let body = [b"{\"t\":", spelling, b"}"].concat();
    let mut text = Rendered(Vec::new());
    let names = Names::of_places([&Place::Body("t".to_owned())]);
    json::decode_record(&body, &names, &mut text).expect("a value of a plain record");
    text.0
}

/// Every plain row is the row of `slot`, which has one of this record alone.
fn is_row(schema: &Schema, rows: &DecodedRows, row: usize, slot: &Slot, record: &[u8]) {
    let shown = String::from_utf8_lossy(record);
    assert_eq!((slot.rows, slot.rejects.len()), (1, 0), "{shown}");
    assert_eq!(rows.ids[row], slot.ids[0], "id of {shown}");
    assert_eq!(rows.times_ms[row], slot.times_ms[0], "time of {shown}");
    let label = slot.recorded_labels[0];
    assert_eq!(rows.labels[row].to_bits(), label.to_bits(), "label of {shown}");
    let at = |column: usize| column * rows.stride + row;
    for column in 0..schema.numbers.len() {
        let (found, expected) = (rows.numbers[at(column)], slot.numbers[[column, 0]]);
        assert_eq!(found.to_bits(), expected.to_bits(), "number {column} of {shown}");
    }
    for column in 0..schema.categories.len() {
        let (found, expected) = (rows.categories[at(column)], slot.categories[[column, 0]]);
        assert_eq!(found, expected, "category {column} of {shown}");
    }
}

/// Holds the plain rows of JSON records to the decoder of the stream; how many there are.
fn agrees<R: AsRef<[u8]>>(schema: &Schema, of: &[R]) -> usize {
    const RECORD_BYTES_MAX: usize = 600;
    let rows = plainly(&json_spec(schema, RECORD_BYTES_MAX), of);
    let names = Names::new(schema).limit(RECORD_BYTES_MAX);
    let mut slot = Slot::new(schema, 1);
    let mut count = 0;
    for (row, record) in of.iter().map(AsRef::as_ref).enumerate() {
        if rows.marks[row] != PLAIN {
            continue;
        }
        count += 1;
        slot.clear();
        let span = slot.span_index(&"topic".into(), 0);
        let message = MessageParts { payload: record, ..MessageParts::default() };
        event(schema, &names, &mut slot, &message, Position { span, offset: 0 });
        is_row(schema, &rows, row, &slot, record);
        for column in 0..schema.texts.len() {
            let [at, length] = rows.texts[column * rows.stride + row].map(|n| n as usize);
            let text = rendered(&record[at..at + length]);
            assert_eq!(text, slot.texts.get(column), "{}", String::from_utf8_lossy(record));
        }
    }
    count
}

const UNITS: [TimeUnit; 5] = [
    TimeUnit::Seconds,
    TimeUnit::Milliseconds,
    TimeUnit::Microseconds,
    TimeUnit::Nanoseconds,
    TimeUnit::Rfc3339,
];

fn meanings() -> [LabelMeaning; 3] {
    let classes = ["0", "b", "true", "17", "1.5", "b"].map(str::to_owned).to_vec();
    [LabelMeaning::Binary, LabelMeaning::Classes(classes), LabelMeaning::Number]
}

fn payments(unit: TimeUnit, label: LabelMeaning) -> Schema {
    let fields = vec![
        field("id", &[Target::Id, Target::Text(0)]),
        field("ts", &[Target::Time(unit)]),
        field("amount", &[Target::Number(0), Target::Text(1)]),
        field("card", &[Target::Category(0)]),
        field("merchant_of_payment", &[Target::Category(1), Target::Number(1)]),
        field("label", &[Target::Label]),
    ];
    schema(fields, label)
}

/// All records of a stream, as JSON; how many there are.
fn stream<G: Generator>(mut generator: G, parts: Parts, schema: &Schema) -> usize {
    let (mut record, mut lines) = (G::Record::default(), Vec::new());
    while generator.next_into(&mut record) {
        let mut line = Vec::new();
        record.write_json_parts(parts, &mut line);
        lines.push(line);
    }
    assert_eq!(agrees(schema, &lines), lines.len(), "all rows are plain");
    lines.len()
}

#[test]
fn generated_streams_are_plain() {
    let payments = schema(
        vec![
            field("TRANSACTION_ID", &[Target::Id, Target::Text(0)]),
            field("TX_DATETIME", &[Target::Time(TimeUnit::Milliseconds)]),
            field("CUSTOMER_ID", &[Target::Category(0)]),
            field("TERMINAL_ID", &[Target::Category(1), Target::Text(1)]),
            field("TX_AMOUNT", &[Target::Number(0), Target::Text(2)]),
            field("TX_FRAUD", &[Target::Label]),
        ],
        LabelMeaning::Binary,
    );
    let names = ClickRecord::FIELDS.iter().map(|field| field.name);
    let targets = [Target::Id, Target::Time(TimeUnit::Milliseconds)]
        .into_iter()
        .chain((0..13).map(Target::Number))
        .chain((0..26).map(Target::Category))
        .chain([Target::Label]);
    let clicks = names.zip(targets).map(|(name, target)| field(name, &[target])).collect();
    let clicks = schema(clicks, LabelMeaning::Binary);
    assert_eq!(FraudRecord::FIELDS.len(), 7);
    for parts in [Parts::EVENT, Parts::RECORD, Parts::ALL] {
        for seed in 0..3 {
            let spec = FraudSpec::new(20_000, seed);
            assert!(stream(FraudGenerator::new(spec), parts, &payments) > 10_000);
            let spec = ClickSpec::new(5000, seed);
            assert_eq!(stream(ClickGenerator::new(spec), parts, &clicks), 5000);
        }
    }
}

/// Some are times.
const TIMES: &str = "\"(0|19|20|99)[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:\
    [0-6][0-9](\\.[0-9]{1,10})?Z?\"";

/// Values as they may stand in a record.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,18})",
        "-?(0|[1-9][0-9]{0,9})\\.[0-9]{1,8}",
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?",
        "\"[a-z0-9 -]{0,70}\"",
        "\" {0,2}-?[0-9]{1,4}(\\.[0-9]{1,3})?(e-?[0-9])? {0,2}\"",
        TIMES,
        "\"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\"",
        any::<f64>().prop_map(|x| format!("{x:?}")),
        (-1e9..1e9_f64).prop_map(|x| format!("{x:?}")),
        any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "1",
            "1.0",
            "17",
            "\"b\"",
            "\"true\"",
            "\"1.5\"",
            "\"\"",
            "\"é€😀\"",
            "-0",
            "\"-0.0\"",
            "\"\\n\"",
            "[]",
            "{}",
            "\"fourteen-bytes\"",
            "1e",
            "\"fifteen--bytes.\"",
            "\"a",
            "",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "\"inf\"",
            "\"\u{a0}1\"",
            "\"1\u{3000}\"",
            "\"nan\"",
            "\"+1\"",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Records that are nearly as they should be, most with a usable id and time.
pub(super) fn record(unit: TimeUnit) -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "id",
        "ts",
        "amount",
        "card",
        "merchant_of_payment",
        "label",
        "merchant_of_paymenT",
        "i",
        "",
        "é",
        "a\\\"",
    ]);
    let space = prop::sample::select(vec!["", "", "", " ", "\n", "\t\r "]);
    let pairs = prop::collection::vec((name, value()), 0..6);
    (0..4, pairs, space, any::<prop::sample::Index>()).prop_map(move |(kind, pairs, space, at)| {
        let mut parts: Vec<(&str, String)> = pairs;
        if kind > 0 {
            let time = if unit == TimeUnit::Rfc3339 { "\"2024-02-29 12:34:56.789\"" } else { "99" };
            let is_usual = |name: &str| kind > 1 && matches!(name, "id" | "ts");
            parts.retain(|(name, _)| !is_usual(name));
            parts.insert(at.index(parts.len() + 1), ("id", "7".to_owned()));
            parts.insert(at.index(parts.len() + 1), ("ts", time.to_owned()));
        }
        let parts = parts.iter().map(|(name, value)| format!("{space}\"{name}\":{value}"));
        let mut record =
            format!("{{{}{space}}}{space}", parts.collect::<Vec<_>>().join(",")).into_bytes();
        if kind == 0 && at.index(3) == 0 {
            record.truncate(at.index(record.len() + 1));
        }
        record
    })
}

/// The tests below speak of plain records only: there are some, and not only some.
#[test]
fn records_are_plain_and_hard() {
    let mut runner = TestRunner::deterministic();
    let records = record(TimeUnit::Milliseconds);
    let of: Vec<Vec<u8>> =
        (0..1000).map(|_| records.new_tree(&mut runner).expect("a record").current()).collect();
    let count = agrees(&payments(TimeUnit::Milliseconds, LabelMeaning::Binary), &of);
    assert!((200..900).contains(&count), "{count} of 1000 are plain");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(300)))]

    #[test]
    fn plain_records_are_those_of_the_stream(
        (which, of) in (0..UNITS.len()).prop_flat_map(|which| {
            (Just(which), prop::collection::vec(record(UNITS[which]), 1..40))
        }),
        meaning in 0..3_usize,
    ) {
        agrees(&payments(UNITS[which], meanings()[meaning].clone()), &of);
    }

    #[test]
    fn single_values_of_every_kind(
        values in prop::collection::vec(value(), 1..60),
        which in 0..UNITS.len(),
        meaning in 0..3_usize,
    ) {
        let unit = UNITS[which];
        let schema = payments(unit, meanings()[meaning].clone());
        let time = if unit == TimeUnit::Rfc3339 { "\"2024-02-29T12:34:56Z\"" } else { "99" };
        let mut of = Vec::new();
        for value in values {
            of.push(format!("{{\"id\":1,\"ts\":{value}}}"));
            of.push(format!("{{\"id\":{value},\"ts\":{time}}}"));
            for name in ["amount", "card", "merchant_of_payment", "label", "other"] {
                of.push(format!("{{\"id\":1,\"ts\":{time},\"{name}\":{value}}}"));
            }
        }
        agrees(&schema, &of);
    }

    #[test]
    fn words_of_json_in_any_order(
        of in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![
            "{", "}", "\"id\":", "\"ts\":", "\"amount\":", "1", "-20", "0", "1.5", "1e2", "null",
            "true", "\"x\"", "\"", "\\", "[", "]", " ", ",", "\"id\":7", "\"ts\":9", "é", ":", "\0",
            "\u{feff}", ",\"card\":3", ",\"label\":0",
        ]), 0..7).prop_map(|words| words.concat()), 1..40),
        has_ends: bool,
    ) {
        let of: Vec<String> = match has_ends {
            true => of.iter().map(|words| format!("{{\"id\":1,\"ts\":2{words}}}")).collect(),
            false => of,
        };
        agrees(&payments(TimeUnit::Seconds, LabelMeaning::Number), &of);
    }

    #[test]
    fn bytes_in_the_place_of_a_text(bytes in prop::collection::vec(prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![
            0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2, 0xdf, 0xe0, 0xed, 0xf0, 0xf4_u8,
        ]),
    ], 0..12)) {
        let ends = [&b"{\"id\":1,\"ts\":2,\"card\":\""[..], b"\"}"];
        let schema = payments(TimeUnit::Seconds, LabelMeaning::Binary);
        agrees(&schema, &[[ends[0], &bytes, ends[1]].concat(), bytes]);
    }
}
