//! What one core can do at best: memory copies, elementary functions, dependent loads.

use std::convert::Infallible;
use std::hint::black_box;

use pelton_kernels::{hash, math};
use serde_json::{Value, json};

use super::Effort;

pub(super) fn measure(effort: Effort) -> Value {
    let values = if effort.is_quick { 1 << 14 } else { 1 << 22 };
    let from = vec![1_u8; effort.copy_bytes];
    let mut to = vec![0_u8; effort.copy_bytes];
    let copy = seconds(effort, || {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    });
    let singles: Vec<f32> = (0..values).map(|i| (i % 2000) as f32 / 100.0 - 10.0).collect();
    let mut out = vec![0.0_f32; values];
    let sigmoid = seconds(effort, || {
        out.iter_mut().zip(&singles).for_each(|(out, &x)| *out = math::sigmoid_f32(x));
        black_box(&mut out);
    });
    let mut buckets = vec![0_u32; values];
    let bits = values.trailing_zeros();
    let hashing = seconds(effort, || {
        for (index, bucket) in buckets.iter_mut().enumerate() {
            *bucket = hash::bucket(index as u64, 7, bits);
        }
        black_box(&mut buckets);
    });
    // Each address depends on the value before it: nothing can be fetched ahead.
    let chain = seconds(effort, || {
        let mut at = 0_u32;
        for _ in 0..values / 16 {
            at = buckets[at as usize] ^ 1;
        }
        black_box(at);
    });
    json!({
        "copy_bytes_per_second": effort.copy_bytes as f64 / copy,
        "sigmoid_per_second": values as f64 / sigmoid,
        "hash_per_second": values as f64 / hashing,
        "dependent_load_nanoseconds": chain * 1e9 / (values / 16) as f64,
    })
}

fn seconds(effort: Effort, mut work: impl FnMut()) -> f64 {
    let Ok(seconds) = effort.seconds(|| {
        work();
        Ok::<(), Infallible>(())
    });
    seconds
}
