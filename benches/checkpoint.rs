//! The state of a pipeline after forty days of generated payments, as bytes and back.
//!
//! Writing happens on the compute thread between two batches, so its time is a pause of the stream.
//! The buffer is reused, as a checkpoint does it. `copy` moves the same bytes from one buffer to
//! another: the floor of any way to write them. Bytes of each section are printed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pelton::config::{Config, Replaced};
use pelton::generate::fraud::{FraudGenerator, FraudRecord, FraudSpec};
use pelton::generate::{Generator, Record};
use pelton::pipeline::{Pipeline, SECTIONS};
use pelton::ring::{Position, Slot};
use pelton::source::decode::{self, MessageParts, Names};

const CONFIG: &str = include_str!("../examples/fraud/linear.toml");
/// About 9,700 a day, as the handbook's 5,000 customers make them.
const PAYMENTS: u64 = 390_000;
const CUSTOMERS: u32 = 5_000;

/// The example's configuration, judging from the first day on.
fn config() -> Config {
    let replaced = Replaced { is_replay: true, ..Replaced::default() };
    let mut config = Config::parse_with(CONFIG, &replaced).expect("the example is valid");
    (config.evaluate.from_ms, config.evaluate.to_ms) = (None, None);
    config
}

fn run(config: &Config) -> Pipeline {
    let schema = &config.event.schema;
    let names = Names::new(schema);
    let mut pipeline = Pipeline::new(config).expect("the example is possible");
    let mut slot = Slot::new(schema, config.batch.rows_max);
    let spec = FraudSpec { customers: Some(CUSTOMERS), ..FraudSpec::new(PAYMENTS, 1) };
    let mut payments = FraudGenerator::new(spec);
    let (mut payment, mut json) = (FraudRecord::default(), Vec::new());
    loop {
        slot.clear();
        let span = slot.span_index(&"generated".into(), 0);
        while !slot.is_full() && payments.next_into(&mut payment) {
            json.clear();
            payment.write_json(&mut json);
            let message = MessageParts { payload: &json, ..MessageParts::default() };
            decode::event(schema, &names, &mut slot, &message, Position { span, offset: 0 });
        }
        if slot.is_empty() {
            return pipeline;
        }
        pipeline.step(&mut slot).expect("data never ends a run");
    }
}

fn write(pipeline: &Pipeline, out: &mut Vec<u8>) {
    out.clear();
    for name in SECTIONS {
        pipeline.write_section(name, out).expect("a vector takes all bytes");
    }
}

fn checkpoint(criterion: &mut Criterion) {
    let config = config();
    let pipeline = run(&config);
    let mut sections = Vec::new();
    for name in SECTIONS {
        let mut bytes = Vec::new();
        pipeline.write_section(name, &mut bytes).expect("a vector takes all bytes");
        println!("section {name}: {} bytes", bytes.len());
        sections.push(bytes);
    }
    let whole = sections.concat();
    let mut group = criterion.benchmark_group("checkpoint, 40 days of payments");
    group.throughput(Throughput::Bytes(whole.len() as u64)).sample_size(20);
    let mut out = Vec::with_capacity(whole.len());
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            out.clear();
            out.extend_from_slice(&whole);
        });
    });
    group.bench_function("write", |bencher| bencher.iter(|| write(&pipeline, &mut out)));
    assert!(out == whole, "equal states give equal bytes");
    for (name, bytes) in SECTIONS.iter().zip(&sections) {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("write {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                pipeline.write_section(name, &mut out).expect("a vector takes all bytes");
            });
        });
    }
    group.throughput(Throughput::Bytes(whole.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let mut fresh = Pipeline::new(&config).expect("the example is possible");
            for (name, bytes) in SECTIONS.iter().zip(&sections) {
                fresh.read_section(name, &mut &bytes[..]).expect("own bytes");
            }
            fresh
        });
    });
    group.finish();
}

criterion_group!(benches, checkpoint);
criterion_main!(benches);
