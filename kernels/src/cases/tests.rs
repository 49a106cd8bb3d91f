//! Every case on a device against the CPU, for few rows and many, again and again.

use super::*;
use crate::device::double::tested;

#[test]
fn every_case_has_the_bits_of_the_cpu() {
    for gpu in tested() {
        let stream = Stream::new(&gpu).expect("a stream");
        for case in CASES {
            for rows in [1, 31, 257, 3000] {
                let mut work = (case.open)(rows, rows as u64).expect("a possible case");
                work.bring(&stream).expect("room");
                for time in 0..3 {
                    work.here().expect("the shapes fit");
                    work.there(&stream).expect("the shapes fit");
                    let [here, there] = work.results(&stream).expect("a copy");
                    let Case { kernel, shape, .. } = case;
                    assert!(here == there, "{kernel}, {shape}, {rows} rows, time {time}");
                }
            }
        }
    }
}
