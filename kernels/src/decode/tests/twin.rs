//! A device against the CPU: every bit, for bytes of every kind.

use std::sync::Arc;

use crate::cases::scaled;
use proptest::prelude::*;

use super::super::device::{DecodedBuffers, DeviceDecoder, Form, RecordBuffers};
use super::*;
use crate::device::double::tested;
use crate::device::{Gpu, Stream};

/// What a device makes of the records, in columns of which some hold more rows than there are.
fn there(
    gpu: &Arc<Gpu>,
    (decoder, form): (&Decoder, Form),
    records: &mut Records,
    of: &mut DecodedRows,
) {
    let stream = Stream::new(gpu).expect("a stream");
    let widths = decoder.table.widths();
    let mut given = RecordBuffers::new(gpu, records.rows_max(), records.bytes_max()).expect("room");
    let mut out = DecodedBuffers::new(gpu, widths, of.stride).expect("room");
    let device = DeviceDecoder::new(&stream, decoder).expect("room");
    given.give(&stream, records).expect("they fit");
    device.run_as(form, &stream, &given, &mut out).expect("a shape");
    out.fetch(&stream, of.memory()).expect("a shape");
    // What is not read is whatever was there.
    if !decoder.has_time() {
        of.times_ms.fill(-1);
    }
    if !decoder.has_id() {
        of.ids.fill(7);
    }
}

/// All devices make of these records what the CPU does; how many rows are plain.
fn same<R: AsRef<[u8]>>(spec: &DecodeSpec, of: &[R]) -> usize {
    let mut decoder = Decoder::new(spec).expect("a spec");
    if let Some(record) = of.first() {
        decoder.follow(record.as_ref());
    }
    let mut given = records(of);
    let mut here = untouched(&Device::Cpu, spec, of.len() + 3);
    decoder.run(&given, &mut here.columns()).expect("a shape");
    for gpu in tested() {
        for form in [Form::ByThread, Form::ByWarp] {
            let mut rows = untouched(&Device::Gpu(Arc::clone(&gpu)), spec, of.len() + 3);
            there(&gpu, (&decoder, form), &mut given, &mut rows);
            assert_eq!(bits(&rows), bits(&here), "{form:?}");
        }
    }
    here.marks.iter().filter(|&&mark| mark == PLAIN).count()
}

const UNITS: [TimeUnit; 5] = [
    TimeUnit::Seconds,
    TimeUnit::Milliseconds,
    TimeUnit::Microseconds,
    TimeUnit::Nanoseconds,
    TimeUnit::Rfc3339,
];

fn every_spec(of: fn(TimeUnit, LabelMeaning) -> DecodeSpec) -> Vec<DecodeSpec> {
    let units = UNITS.into_iter();
    units.flat_map(|unit| meanings().map(|meaning| of(unit, meaning))).collect()
}

/// Some are times.
const TIMES: &str = "\"(0|19|20)[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]\
    (\\.[0-9]{1,10})?Z?\"";

/// Values as they may stand in a record.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,18})",
        "-?(0|[1-9][0-9]{0,9})\\.[0-9]{1,8}",
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?",
        "\"[a-z0-9 -]{0,70}\"",
        "\" {0,2}-?[0-9]{1,4}(\\.[0-9]{1,3})?(e-?[0-9])? {0,2}\"",
        TIMES,
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "1",
            "17",
            "\"b\"",
            "\"true\"",
            "\"\"",
            "\"é€😀\"",
            "-0",
            "\"\\n\"",
            "[]",
            "{}",
            "\"fourteen-bytes\"",
            "\"fifteen--bytes.\"",
            "1e",
            "\"a",
            "",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "\"-0.0\"",
        ])
        .prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "id",
        "ts",
        "amount",
        "card",
        "merchant_of_payment",
        "label",
        "merchant_of_paymenT",
        "i",
        "idx",
        "",
        "é",
        "a\\\"",
    ])
}

/// Records that are nearly as they should be.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let pairs = prop::collection::vec((name(), value()), 0..9);
    let space = prop::sample::select(vec!["", " ", "\n", "\t\r "]);
    let with_id = (any::<bool>(), pairs, space, any::<prop::sample::Index>(), any::<bool>());
    with_id.prop_map(|(has_id, pairs, space, at, is_cut)| {
        let mut parts: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{space}\"{name}\":{value}")).collect();
        if has_id {
            parts.retain(|part| !part.contains("\"id\"") && !part.contains("\"ts\""));
            parts.insert(at.index(parts.len() + 1), "\"id\":7".to_owned());
            parts.insert(at.index(parts.len() + 1), "\"ts\":1000".to_owned());
        }
        let mut record = format!("{{{}{space}}}{space}", parts.join(",")).into_bytes();
        if is_cut && at.index(3) == 0 {
            record.truncate(at.index(record.len() + 1));
        }
        record
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(64)))]

    #[test]
    fn records_of_all_values(of in prop::collection::vec(record(), 0..80), which in 0..15_usize) {
        same(&every_spec(payments)[which], &of);
    }

    #[test]
    fn words_of_json_in_any_order(
        of in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![
            "{", "}", "\"id\":", "\"ts\":", "\"amount\":", "1", "-20", "0", "1.5", "1e2", "null",
            "true", "\"x\"", "\"", "\\", "[", "]", " ", ",", "\"id\":7", "\"ts\":9", "é", ":", "\0",
        ]), 0..10).prop_map(|words| words.concat()), 0..40),
        has_ends: bool,
    ) {
        let of: Vec<String> = match has_ends {
            true => of.iter().map(|words| format!("{{\"id\":1,\"ts\":2{words}}}")).collect(),
            false => of,
        };
        same(&payments(TimeUnit::Seconds, LabelMeaning::Number), &of);
    }

    #[test]
    fn hostile_bytes(
        of in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..40),
    ) {
        same(&payments(TimeUnit::Rfc3339, LabelMeaning::Binary), &of);
        same(&packed(TimeUnit::Seconds, LabelMeaning::Binary), &of);
    }

    #[test]
    fn binary_records_of_any_bytes(
        of in prop::collection::vec((any::<[u8; 28]>(), "[a-z0-9é]{0,20}", any::<[u8; 8]>(), 0..5),
            0..80),
        which in 0..15_usize,
        are_small: bool,
    ) {
        let of: Vec<Vec<u8>> = of.into_iter().map(|(mut front, text, mut back, cut)| {
            if are_small {
                front[3..8].fill(0);
                front[12..16].fill(0);
                back[1..4].fill(0);
            }
            let mut text = text.into_bytes();
            text.resize(20, 0);
            let mut record = [&front[..], &text[..20], &back[..]].concat();
            record.truncate(if cut == 0 { 55 } else { 56 });
            record
        }).collect();
        same(&every_spec(packed)[which], &of);
    }
}

#[test]
fn records_that_do_not_fit_into_shared_memory_are_read_where_they_lie() {
    let mut spec = payments(TimeUnit::Seconds, LabelMeaning::Binary);
    let Format::Json { record_bytes_max, .. } = &mut spec.format else { unreachable!() };
    *record_bytes_max = 1 << 20;
    // Short ones by whole blocks, and 20 of 8 kB in one of them: more than 32 kB.
    let of: Vec<String> = (0..600)
        .map(|row: usize| {
            let long = if row / 20 == 13 { "x".repeat(4000 + row) } else { String::new() };
            format!("{{\"id\":{row},\"ts\":{row}.5,\"z\":\"{long}\",\"card\":\"{long}\"}}")
        })
        .collect();
    assert_eq!(same(&spec, &of), 600);
    // And one that is longer than all.
    let of = [of[0].clone(), format!("{{\"id\":1,\"ts\":2,\"card\":\"{}\"}}", "y".repeat(90_000))];
    assert_eq!(same(&spec, &of), 2);
}

#[test]
fn every_length_of_text_has_its_hash_and_digest() {
    let spec = payments(TimeUnit::Seconds, LabelMeaning::Binary);
    let of: Vec<String> = (0..200)
        .map(|length| {
            let text = (0..length).map(|at| char::from(b'a' + (at % 23) as u8));
            let text: String = text.collect();
            let id = if length < 100 { &text } else { "7" };
            format!("{{\"id\":\"{id}\",\"ts\":2,\"card\":\"{text}\"}}")
        })
        .collect();
    // But ids of no bytes and of more than 64.
    assert_eq!(same(&spec, &of), 200 - 1 - 35);
}

#[test]
fn many_fields_and_records_without_time_and_id() {
    let fields = (0..FIELDS_MAX).map(|at| field(&format!("f{at}"), &[Target::Number(at)]));
    let spec = DecodeSpec {
        format: Format::Json { fields: fields.collect(), record_bytes_max: 10_000 },
        numbers: FIELDS_MAX,
        categories: 0,
        texts: 0,
        label: LabelMeaning::Binary,
    };
    let pairs = |step: usize| {
        let pairs = (0..FIELDS_MAX).map(|at| format!("\"f{}\":{at}", at * step % 131));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    };
    let twice = format!("{{{},{}}}", "\"f127\":1", "\"f127\":1");
    let of = [pairs(1), pairs(7), "{}".to_owned(), pairs(50), "{\"f64\":1}".to_owned(), twice];
    assert_eq!(same(&spec, &of), 5);
    // 256 names, and one more.
    let many = |count: usize| {
        let pairs = (0..count).map(|at| format!("\"f{}\": {at}", if at < 100 { at } else { 200 }));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(same(&spec, &[many(256), many(257), many(255), many(300)]), 2);
}

#[test]
fn what_does_not_fit_is_refused() {
    let spec = payments(TimeUnit::Seconds, LabelMeaning::Binary);
    let decoder = Decoder::new(&spec).expect("a spec");
    for gpu in tested() {
        let stream = Stream::new(&gpu).expect("a stream");
        let device = DeviceDecoder::new(&stream, &decoder).expect("room");
        let mut few = RecordBuffers::new(&gpu, 1, 100).expect("room");
        assert!(few.give(&stream, &mut records(&["{}", "{}"])).is_err());
        assert!(few.give(&stream, &mut records(&["x".repeat(200)])).is_err());
        few.give(&stream, &mut records(&["{}"])).expect("it fits");
        let mut narrow = DecodedBuffers::new(&gpu, [1, 2, 2], 4).expect("room");
        assert!(device.run(&stream, &few, &mut narrow).is_err());
        let mut none = DecodedBuffers::new(&gpu, [2, 2, 2], 0).expect("room");
        assert!(device.run(&stream, &few, &mut none).is_err());
        let mut nothing = RecordBuffers::new(&gpu, 1, 100).expect("room");
        nothing.give(&stream, &mut records::<&str>(&[])).expect("it fits");
        device.run(&stream, &nothing, &mut none).expect("no rows are no work");
    }
}
