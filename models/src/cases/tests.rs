//! Every case on a device against the CPU, for few rows and many, again and again.

use std::sync::Arc;

use pelton_kernels::device::Gpu;
use pelton_kernels::device::double::tested;

use super::*;

/// The first case whose results differ, and how, of the kernels whose names begin so.
pub(super) fn first_difference(gpu: &Arc<Gpu>, sizes: &[usize], family: &str) -> Option<String> {
    let stream = Stream::new(gpu).expect("a stream");
    for case in all().filter(|case| case.kernel.starts_with(family)) {
        for &rows in sizes {
            let mut work = (case.open)(rows, rows as u64).expect("a possible case");
            work.bring(&stream).expect("room");
            for time in 0..3 {
                work.here().expect("the shapes fit");
                work.there(&stream).expect("the shapes fit");
                let [here, there] = work.results(&stream).expect("a copy");
                if here != there {
                    let Case { kernel, shape, .. } = case;
                    return Some(format!("{kernel}, {shape}, {rows} rows, time {time}"));
                }
            }
        }
    }
    None
}

#[test]
fn every_case_has_the_bits_of_the_cpu() {
    for gpu in tested() {
        assert_eq!(first_difference(&gpu, &[1, 31, 257, 3000], ""), None);
    }
}
