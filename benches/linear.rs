//! Predict and learn of the linear model, in rows per second on one core.
//!
//! Rows are like clicks: 13 numbers and 26 category codes, hashed into 2^22 weights inside the
//! measured loop, each row scored and then learned before the next. Each measured iteration goes on
//! with the trained table, so that its cells are where a long run leaves them: in main memory.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pelton_kernels::hash::{bucket, mix64};
use pelton_kernels::math::sigmoid;
use pelton_models::linear::{Linear, LinearConfig, Optimizer};
use pelton_models::{FeatureShape, Features, LabeledBatch, Model, Task};

const ROWS: usize = 1 << 18;
const CHUNK: usize = 1024;
const NUMBERS: usize = 13;
const CATEGORIES: usize = 26;
const BITS: u32 = 22;

/// Decoded columns, row-major.
struct Clicks {
    dense: Vec<f32>,
    codes: Vec<u64>,
    labels: Vec<f32>,
}

/// Numbers near a normal distribution, categories near Zipf's law with 10 to a million values.
fn clicks() -> Clicks {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix64(state) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut clicks = Clicks { dense: Vec::new(), codes: Vec::new(), labels: Vec::new() };
    for _ in 0..ROWS {
        let mut log_odds = -1.2;
        for column in 0..NUMBERS {
            let value = 2.0 * (uniform() + uniform() + uniform() - 1.5);
            log_odds += 0.05 * value * (column as f64 - 6.0);
            clicks.dense.push(value as f32);
        }
        for column in 0..CATEGORIES {
            let values = 10_f64.powi(1 + (column % 6) as i32);
            let code = mix64(values.powf(uniform()) as u64 + ((column as u64) << 40));
            log_odds += 0.8 * ((mix64(code ^ 5) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5);
            clicks.codes.push(code);
        }
        clicks.labels.push(f32::from(u8::from(uniform() < sigmoid(log_odds))));
    }
    clicks
}

/// One pass, hashing included; returns the sum of the scores, so that none is left out.
fn pass(model: &mut Linear, clicks: &Clicks, salts: &[u64; CATEGORIES]) -> f32 {
    let weights = [1.0; CHUNK];
    let (mut sparse, mut out) = (vec![0; CHUNK * CATEGORIES], [0.0; CHUNK]);
    let mut sum = 0.0;
    let chunks = clicks.codes.chunks_exact(CHUNK * CATEGORIES);
    let inputs = clicks.dense.chunks_exact(CHUNK * NUMBERS).zip(clicks.labels.chunks_exact(CHUNK));
    for (codes, (dense, labels)) in chunks.zip(inputs) {
        let rows = sparse.as_chunks_mut::<CATEGORIES>().0.iter_mut();
        for (indices, codes) in rows.zip(codes.as_chunks::<CATEGORIES>().0) {
            for ((index, code), salt) in indices.iter_mut().zip(codes).zip(salts) {
                *index = bucket(*code, *salt, BITS);
            }
        }
        let features = Features { rows: CHUNK, dense, sparse: &sparse, notes: &[] };
        let batch = LabeledBatch { features, labels, weights: &weights };
        model.score_and_learn_each(&batch, &mut out).expect("shapes fit");
        sum += out.iter().sum::<f32>();
    }
    sum
}

fn learn(criterion: &mut Criterion) {
    let clicks = clicks();
    let salts = std::array::from_fn(|column| mix64(1000 + column as u64));
    let shape = FeatureShape { dense_width: NUMBERS, sparse_width: CATEGORIES, sparse_bits: BITS };
    let mut group = criterion.benchmark_group("linear, clicks");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for (name, optimizer, fold) in [
        ("adagrad", Optimizer::ADAGRAD, false),
        ("ftrl", Optimizer::FTRL, false),
        ("sgd", Optimizer::SGD, false),
        ("blend", Optimizer::AUTO, false),
        ("blend with sizes", Optimizer::AUTO, true),
    ] {
        let config = LinearConfig { optimizer, fold, ..LinearConfig::new(Task::Binary) };
        let mut model = Linear::new(config, shape).expect("settings are in range");
        println!("{name}: checksum {}", pass(&mut model, &clicks, &salts));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (),
                |()| pass(&mut model, &clicks, &salts),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, learn);
criterion_main!(benches);
