//! `pelton bench device`: the ceilings of this machine, to hold the other figures against.

use std::hint::black_box;
use std::time::Instant;

use pelton_kernels::{hash, math};
use serde_json::{Map, Value, json};

use super::median;

const COPY_BYTES: usize = 256 << 20;
const VALUES: usize = 1 << 22;
const PASSES: usize = 7;

/// Measures each ceiling a few times; medians.
pub fn measure() -> Map<String, Value> {
    let from = vec![1_u8; COPY_BYTES];
    let mut to = vec![0_u8; COPY_BYTES];
    let copy = seconds(|| {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    });
    let values: Vec<f32> = (0..VALUES).map(|i| (i % 2000) as f32 / 100.0 - 10.0).collect();
    let mut out = vec![0.0_f32; VALUES];
    let sigmoid = seconds(|| {
        out.iter_mut().zip(&values).for_each(|(out, &x)| *out = math::sigmoid_f32(x));
        black_box(&mut out);
    });
    let mut buckets = vec![0_u32; VALUES];
    let hashing = seconds(|| {
        for (index, bucket) in buckets.iter_mut().enumerate() {
            *bucket = hash::bucket(index as u64, 7, 22);
        }
        black_box(&mut buckets);
    });
    // Each address depends on the value before it: nothing can be fetched ahead.
    let chain = seconds(|| {
        let mut at = 0_u32;
        for _ in 0..VALUES / 16 {
            at = buckets[at as usize] ^ 1;
        }
        black_box(at);
    });
    let figures = json!({
        "bench": "device",
        "device": "cpu",
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "copy_bytes_per_second": COPY_BYTES as f64 / copy,
        "sigmoid_per_second": VALUES as f64 / sigmoid,
        "hash_per_second": VALUES as f64 / hashing,
        "dependent_load_nanoseconds": chain * 1e9 / (VALUES / 16) as f64,
    });
    figures.as_object().cloned().unwrap_or_default()
}

fn seconds(mut work: impl FnMut()) -> f64 {
    let once = |_| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    median((0..PASSES).map(once).collect())
}
