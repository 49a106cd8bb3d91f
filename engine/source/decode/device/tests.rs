//! Slots filled by way of a GPU, which the double plays, are those that the decoder of the stream
//! fills alone: rows, rejects and labels, their order, and what came along with them.

use std::time::Instant;

use metrics_exporter_prometheus::PrometheusBuilder;
use pelton_kernels::cases::scaled;
use pelton_kernels::device::double::{Double, tested};
use proptest::prelude::*;

use crate::config::Config;
use crate::ring::{Arena, Reason, Slot};
use crate::schema::{Place, TimeUnit};
use crate::source::decode::events::{Events, place};
use crate::source::decode::plain_tests::record;
use crate::source::decode::{LabelFields, LabelNames, label};
use crate::source::rows::reject_event;
use crate::source::{Progress, Source};

use super::*;

/// What a source meets.
#[derive(Clone, Debug)]
enum Step {
    /// An event record, its key and its time.
    Event(Vec<u8>, Option<Vec<u8>>, Option<i64>),
    Label(Vec<u8>),
    /// A line that was only seen by its beginning.
    TooLong,
    /// Nothing is at hand for a while.
    Finish,
}

const CONFIG: &str = "
    source.decode = 'device'
    fields.amount = { type = 'number' }
    fields.card = { type = 'category' }
    fields.merchant_of_payment = { type = 'category' }
    emit = { topic = 'scores', fields = ['amount', 'card'] }
    features = [{ number = 'amount' }]
    batch.bytes_max = 1024";

fn config(text: &str) -> Config {
    let text = format!("{text}\n{CONFIG}");
    Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

const LIMIT: &str = "record_bytes_max = 300";

/// Settings that change what is made of a record: ids, times, labels, what is kept.
fn configs() -> Vec<Config> {
    let ways = [
        ("id = 'id', time = 'ts'", "labels.topic = 'labels'\ndead_letters.topic = 'dead'"),
        ("id = 'id', time = 'ts'", ""),
        ("time = 'row', row_step = '365d'", "dead_letters.topic = 'dead'"),
        ("id = 'id', time = 'message'", "model.task = 'regression'"),
    ];
    let config = |(event, rest)| config(&format!("event = {{ {event}, {LIMIT} }}\n{rest}"));
    ways.map(config).into()
}

fn events(config: &Config) -> Events {
    Events::new(config.event.schema.clone(), Names::of_events(config))
}

fn events_there(config: &Config) -> Events {
    let mut events = events(config);
    assert!(events.read_by(DeviceReader::new(config, &tested().remove(0)).expect("a GPU")));
    events
}

/// Fills slots of so many rows, as a source does, and says all there is in them.
fn filled(config: &Config, mut events: Events, steps: &[Step], rows_max: usize) -> Vec<String> {
    let body = |name: &str| Place::Body(name.to_owned());
    let fields = LabelFields { id: body("id"), label: body("label"), time: None };
    let labels = LabelNames::new(fields, 300);
    let schema = &config.event.schema;
    let (mut slot, mut seen) = (Slot::new(schema, rows_max), Vec::new());
    let mut span = slot.span_index(&"topic".into(), 3);
    for (offset, step) in (i64::MAX / 31_536_000_000 - 20..).zip(steps) {
        let is_full = |slot: &Slot| slot.is_full() || slot.is_full_of_rejects();
        if is_full(&slot) {
            events.finish(&mut slot).expect("a double");
        }
        if is_full(&slot) {
            seen.push(shown(&slot));
            slot.clear();
            span = slot.span_index(&"topic".into(), 3);
        }
        let position = Position { span, offset };
        match step {
            Step::Event(payload, key, time) => {
                let (key, timestamp_ms) = (key.as_deref(), *time);
                let message = MessageParts { payload, key, headers: &[], timestamp_ms };
                events.add(&mut slot, &message, position).expect("a double");
            }
            Step::Label(payload) => {
                let message = MessageParts { payload, timestamp_ms: Some(5), ..Default::default() };
                label(&schema.label, &labels, &mut slot, &message, position);
            }
            Step::TooLong => {
                reject_event(schema, &mut slot, Fault::record(Reason::TooLarge), position, b"{");
            }
            Step::Finish => events.finish(&mut slot).expect("a double"),
        }
    }
    events.finish(&mut slot).expect("a double");
    seen.push(shown(&slot));
    seen
}

fn shown(slot: &Slot) -> String {
    assert_eq!(slot.unread, 0);
    let all = |arena: &Arena| {
        let text = |index| String::from_utf8_lossy(arena.get(index)).into_owned();
        (0..arena.len()).map(text).collect::<Vec<_>>()
    };
    let rows = slot.rows;
    let numbers = (0..slot.numbers.count())
        .map(|column| slot.number(column).iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    let categories = (0..slot.categories.count()).map(|column| slot.category(column));
    let truths = slot.recorded_labels[..rows].iter().map(|x| x.to_bits());
    format!(
        "{:?}",
        (
            (rows, &slot.ids[..rows], &slot.times_ms[..rows], &slot.positions[..rows]),
            (numbers.collect::<Vec<_>>(), categories.collect::<Vec<_>>()),
            truths.collect::<Vec<_>>(),
            (all(&slot.texts), all(&slot.raw), all(&slot.envelopes), all(&slot.label_raw)),
            (&slot.labels, &slot.rejects, slot.consumed),
        )
    )
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop::option::of(prop::collection::vec(any::<u8>(), 0..4));
    let event = (record(TimeUnit::Milliseconds), key, prop::option::of(0..9_i64));
    let event = event.prop_map(|(body, key, time)| Step::Event(body, key, time));
    let long = "x{0,1200}".prop_map(|note| {
        let body = format!("{{\"id\":1,\"ts\":2,\"note\":\"{note}\"}}");
        Step::Event(body.into_bytes(), None, Some(3))
    });
    let usual = (0..999_u32, "[a-z]{0,20}").prop_map(|(id, card)| {
        let body = format!("{{\"id\":{id},\"ts\":77,\"amount\":{id}.25,\"card\":\"{card}\"}}");
        Step::Event(body.into_bytes(), None, Some(3))
    });
    let label = prop_oneof!["\\{\"id\":[0-9],\"label\":[012]\\}", "\\{\"id\":[0-9]\\}", "x?"];
    prop_oneof![
        4 => event,
        4 => usual,
        1 => long,
        2 => label.prop_map(|body| Step::Label(body.into_bytes())),
        1 => Just(Step::TooLong),
        1 => Just(Step::Finish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(400)))]

    #[test]
    fn slots_are_those_of_the_decoder_of_the_stream(
        which in 0..configs().len(),
        steps in prop::collection::vec(step(), 0..60),
        rows_max in prop_oneof![1..4_usize, Just(16), Just(64)],
    ) {
        let config = &configs()[which];
        let here = filled(config, events(config), &steps, rows_max);
        let there = filled(config, events_there(config), &steps, rows_max);
        prop_assert_eq!(here, there);
    }
}

const BINARY: &str = "
    event = { id = 'id', time = 'ts', format = 'binary', record_bytes = 44 }
    layout.id = { offset = 0, type = 'u64', missing = 3 }
    layout.ts = { offset = 8, type = 'f64' }
    layout.amount = { offset = 16, type = 'f32' }
    layout.card = { offset = 21, type = 'text', bytes = 15 }
    layout.merchant_of_payment = { offset = 36, type = 'i32', missing = -1 }
    layout.label = { offset = 40, type = 'u32', missing = 7 }
    dead_letters.topic = 'dead'";

/// A record of that layout, or nearly.
fn binary_record() -> impl Strategy<Value = Vec<u8>> {
    let card = prop_oneof!["[a-zé]{0,7}", "[0-9]{1,15}", "a\0{0,3}b", "-0"];
    let id = prop_oneof![0..9_u64, any::<u64>()];
    let rest = (-1..3_i32, prop_oneof![4 => 0..2_u32, 1 => Just(7), 1 => any::<u32>()]);
    let time = prop_oneof![6 => 0.0..1e12_f64, 1 => any::<f64>()];
    (id, time, any::<f32>(), card, rest, 0..12_usize).prop_map(
        |(id, time, amount, card, (shop, label), kind)| {
            let mut record = Vec::new();
            record.extend(id.to_le_bytes());
            record.extend(time.to_le_bytes());
            record.extend(amount.to_le_bytes());
            record.push(0xfe);
            record.extend(card.as_bytes());
            record.resize(36, 0);
            record.extend(shop.to_le_bytes());
            record.extend(label.to_le_bytes());
            match kind {
                0 => record.truncate(43),
                1 => record.push(0),
                2 => record[23] = 0xff,
                _ => {}
            }
            record
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(400)))]

    #[test]
    fn binary_slots_are_those_of_the_decoder_of_the_stream(
        steps in prop::collection::vec(prop_oneof![
            4 => binary_record().prop_map(|record| Step::Event(record, None, Some(1))),
            1 => step(),
        ], 0..60),
        rows_max in prop_oneof![1..4_usize, Just(64)],
    ) {
        let config = config(BINARY);
        let here = filled(&config, events(&config), &steps, rows_max);
        let there = filled(&config, events_there(&config), &steps, rows_max);
        prop_assert_eq!(here, there);
    }
}

#[test]
fn binary_records_are_plain() {
    let config = config(BINARY);
    let recorder = PrometheusBuilder::new().build_recorder();
    let records: Vec<Step> = (0..50_u64)
        .map(|id| {
            let mut record = vec![0; 44];
            record[..8].copy_from_slice(&(10 + id).to_le_bytes());
            record[8..16].copy_from_slice(&5.5_f64.to_le_bytes());
            record[21..25].copy_from_slice("née".as_bytes());
            Step::Event(record, None, None)
        })
        .collect();
    metrics::with_local_recorder(&recorder, || {
        filled(&config, events_there(&config), &records, 64);
    });
    let page = recorder.handle().render();
    assert!(page.contains("pelton_decoded_records_total{read=\"plain\"} 50"), "{page}");
    // A recording of the stream as JSON lines is not for that reader.
    let reader = DeviceReader::new(&config, &Double::open(0)).expect("a double");
    assert!(!events(&configs()[0]).read_by(reader));
}

/// A record with something nested is one that kernels leave to others.
#[test]
fn records_that_are_all_hard_and_records_that_are_all_plain_are_counted() {
    let config = &configs()[0];
    let recorder = PrometheusBuilder::new().build_recorder();
    for (rest, read) in [("", "plain"), (",\"x\":{}", "hard")] {
        let body = |id| format!("{{\"id\":{id},\"ts\":{id},\"amount\":1e-3{rest}}}").into_bytes();
        let steps: Vec<Step> = (0..90).map(|id| Step::Event(body(id), None, None)).collect();
        let here = filled(config, events(config), &steps, 16);
        metrics::with_local_recorder(&recorder, || {
            assert_eq!(here, filled(config, events_there(config), &steps, 16));
        });
        let page = recorder.handle().render();
        let line = format!("pelton_decoded_records_total{{read=\"{read}\"}} 90");
        assert!(page.contains(&line), "{page}");
    }
}

#[test]
fn a_gpu_that_goes_away_ends_the_reading() {
    let config = &configs()[0];
    let body = br#"{"id":1,"ts":2}"#;
    let mut ends = 0;
    for call in 1..200 {
        let Ok(reader) = DeviceReader::new(config, &Double::open(call)) else { continue };
        let mut events = events(config);
        assert!(events.read_by(reader));
        let mut slot = Slot::new(&config.event.schema, 8);
        let span = slot.span_index(&"topic".into(), 3);
        let message = MessageParts { payload: body, ..MessageParts::default() };
        events.add(&mut slot, &message, Position { span, offset: 0 }).expect("there is room");
        match events.finish(&mut slot) {
            Ok(()) => assert_eq!(slot.rows, 1),
            Err(error) => {
                assert!(error.is_device_lost(), "{error}");
                ends += 1;
            }
        }
    }
    assert!(ends > 5, "{ends}");
}

/// A source that is asked whether a GPU may read its records.
struct Asked(usize);

impl Source for Asked {
    fn read(&mut self, _: &mut Slot, _: Instant) -> Result<Progress, Error> {
        Ok(Progress::Ended)
    }

    fn read_by(&mut self, _: DeviceReader) -> bool {
        self.0 += 1;
        true
    }
}

#[test]
fn only_a_gpu_with_the_memory_is_given_to_a_source() {
    let mut config = configs().remove(0);
    let mut asked = Asked(0);
    for device in [Device::Cpu, Device::Gpu(Double::of_memory(100_000))] {
        place(&config, &device, &mut asked).expect("the CPU decodes");
    }
    assert_eq!(asked.0, 0);
    let gpu = Device::Gpu(Double::open(0));
    place(&config, &gpu, &mut asked).expect("there is memory");
    assert_eq!(asked.0, 1);
    config.decode = crate::config::decode::DecodeBy::Cpu;
    place(&config, &gpu, &mut asked).expect("the CPU decodes");
    assert_eq!(asked.0, 1, "the CPU is asked for");
}

#[test]
fn fields_that_kernels_cannot_read_are_named() {
    let of = |text: &str| {
        let text =
            format!("source.decode = 'device'\nevent = {{ id = 'id', time = 'ts' }}\n{text}");
        Config::parse(&text).err().map(|problems| problems.to_string()).unwrap_or_default()
    };
    let category =
        |from: &str| of(&format!("fields.card = {{ type = 'category', from = '{from}' }}"));
    assert_eq!(category("other"), "");
    for (from, name) in [
        ("message:key", "the field key is the key of a message"),
        ("header:origin", "the field origin is a header"),
        ("shop.country", "the field shop.country lies in another object"),
    ] {
        let problems = category(from);
        assert!(problems.contains("source.decode: ") && problems.contains(name), "{problems}");
    }
    let many: Vec<_> =
        (0..130).map(|i| format!("fields.n{i:03} = {{ type = 'number' }}")).collect();
    let problems = of(&many.join("\n"));
    assert!(problems.contains("which are too many"), "{problems}");
}
