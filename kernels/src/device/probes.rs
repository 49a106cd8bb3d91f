//! What the kernels are made of, held to the Rust bit for bit on the double.

use crate::cases::scaled;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::double::Double;
use super::{Argument, Buffer, Launch, Plain, Stream};
use crate::coordinate::shrink;
use crate::implicit::pulls;
use crate::math;

/// Every exponent and sign, the special values, and what lies beside them.
fn singles() -> Vec<f32> {
    let mut values = Vec::new();
    for exponent in 0..256_u32 {
        for mantissa in [0, 1, 0x35_04f3, 0x40_0000, 0x7f_ffff_u32] {
            let value = f32::from_bits(exponent << 23 | mantissa);
            values.extend([value, -value]);
        }
    }
    let mut state = 1_u64;
    for _ in 0..200_000 {
        state = crate::hash::mix64(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        let unit = (state >> 40) as f32 / (1 << 24) as f32;
        values.extend([unit, (unit - 0.5) * 200.0, f32::from_bits(state as u32)]);
    }
    values
}

fn upload<T: Plain>(stream: &Stream, values: &[T]) -> Buffer<T> {
    let mut buffer = Buffer::new(stream.gpu(), values.len()).expect("room");
    stream.write(&mut buffer, values).expect("a copy");
    buffer
}

fn download<T: Plain + Default>(stream: &Stream, buffer: &Buffer<T>) -> Vec<T> {
    let mut values = vec![T::default(); buffer.len()];
    stream.read(buffer, &mut values).expect("a copy");
    values
}

/// Equal bits, or not a number on both sides.
fn same(ours: f64, theirs: f64) -> bool {
    ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan())
}

#[test]
fn functions_of_singles_have_the_same_bits() {
    let stream = Stream::new(&Double::open(0)).expect("a stream");
    let x = singles();
    let y: Vec<f32> = x.iter().rev().copied().collect();
    let (x_there, y_there) = (upload(&stream, &x), upload(&stream, &y));
    let out = Buffer::<f32>::new(stream.gpu(), x.len()).expect("room");
    let four = |i: usize| {
        let at = |lane| (i & !3) + lane;
        let at = |lane| if at(lane) < x.len() { at(lane) } else { i };
        let margins = std::array::from_fn(|lane| x[at(lane)]);
        pulls(margins, std::array::from_fn(|lane| y[at(lane)].abs()))[i & 3]
    };
    let functions: [(&str, &dyn Fn(usize) -> f32); 9] = [
        ("exp", &|i| math::exp_f32(x[i])),
        ("ln", &|i| math::ln_f32(x[i])),
        ("ln_1p", &|i| math::ln_1p_f32(x[i])),
        ("sigmoid", &|i| math::sigmoid_f32(x[i])),
        ("softplus", &|i| math::softplus_f32(x[i])),
        ("logit", &|i| math::logit_f32(x[i])),
        ("shrink", &|i| shrink(x[i], y[i])),
        ("pull", &|i| pulls([x[i]; 4], [y[i].abs(); 4])[0]),
        ("four pulls", &four),
    ];
    let count = x.len() as u32;
    for (which, (name, function)) in functions.iter().enumerate() {
        let which = which as u32;
        let addresses = [x_there.address(), y_there.address(), out.address()];
        let arguments = [
            Argument::of(&which),
            Argument::of(&addresses[0]),
            Argument::of(&addresses[1]),
            Argument::of(&addresses[2]),
            Argument::of(&count),
        ];
        let launch = Launch::over("probe_singles", x.len(), 128);
        // SAFETY: the kernel's arguments; all three buffers hold `count` values.
        unsafe { stream.launch(launch, &arguments) }.expect("a launch");
        for (i, theirs) in download(&stream, &out).into_iter().enumerate() {
            let ours = function(i);
            let is_same = same(f64::from(ours), f64::from(theirs));
            assert!(is_same, "{name}({:e}, {:e}): {ours:e} here, {theirs:e} there", x[i], y[i]);
        }
    }
}

#[test]
fn functions_of_doubles_have_the_same_bits() {
    let stream = Stream::new(&Double::open(0)).expect("a stream");
    let x: Vec<f64> = singles().into_iter().map(|x| f64::from(x) * 1.000_000_123).collect();
    let there = upload(&stream, &x);
    let out = Buffer::<f64>::new(stream.gpu(), x.len()).expect("room");
    type Function = fn(f64) -> f64;
    let functions: [(&str, Function); 5] = [
        ("exp", math::exp),
        ("ln", math::ln),
        ("ln_1p", math::ln_1p),
        ("sigmoid", math::sigmoid),
        ("softplus", math::softplus),
    ];
    let count = x.len() as u32;
    for (which, (name, function)) in functions.iter().enumerate() {
        let which = which as u32;
        let addresses = [there.address(), out.address()];
        let arguments = [
            Argument::of(&which),
            Argument::of(&addresses[0]),
            Argument::of(&addresses[1]),
            Argument::of(&count),
        ];
        let launch = Launch::over("probe_doubles", x.len(), 128);
        // SAFETY: the kernel's arguments; both buffers hold `count` values.
        unsafe { stream.launch(launch, &arguments) }.expect("a launch");
        for (x, theirs) in x.iter().zip(download(&stream, &out)) {
            let ours = function(*x);
            assert!(same(ours, theirs), "{name}({x:e}): {ours:e} here, {theirs:e} there");
        }
    }
}

#[test]
fn barriers_shuffles_shared_memory_and_atomics_work() {
    let stream = Stream::new(&Double::open(0)).expect("a stream");
    let values = prop::collection::vec(0..1_000_000_u32, 3 * 256);
    let test = |x: Vec<u32>| {
        let there = upload(&stream, &x);
        let sums = upload(&stream, &[0_u32; 3]);
        let scans = Buffer::<u32>::new(stream.gpu(), x.len()).expect("room");
        let addresses = [there.address(), sums.address(), scans.address()];
        let arguments = addresses.each_ref().map(Argument::of);
        let launch =
            Launch { kernel: "probe_block", blocks: 3, threads: 256, shared_bytes: 4 * 256 };
        // SAFETY: the kernel's arguments; a sum a block, a value and a scan a thread.
        unsafe { stream.launch(launch, &arguments) }.expect("a launch");
        let scan = |block: &[u32]| {
            let running = block.iter().scan(0_u32, |sum, x| {
                *sum += x;
                Some(*sum)
            });
            running.collect::<Vec<_>>()
        };
        let expected: Vec<u32> = x.chunks(256).flat_map(scan).collect();
        prop_assert_eq!(download(&stream, &scans), expected);
        let expected: Vec<u32> = x.chunks(256).map(|block| block.iter().sum()).collect();
        prop_assert_eq!(download(&stream, &sums), expected);
        Ok(())
    };
    let mut runner = TestRunner::new(Config { cases: scaled(8), ..Config::default() });
    runner.run(&values, test).expect("sums and scans");
}

#[test]
fn a_double_goes_away_at_its_call_and_stays_away() {
    let gpu = Double::open(3);
    let stream = Stream::new(&gpu).expect("the first call");
    let mut buffer = Buffer::<f32>::new(&gpu, 4).expect("the second");
    let lost = stream.write(&mut buffer, &[1.0; 4]).expect_err("the third");
    assert!(lost.is_lost());
    assert_eq!(stream.wait().expect_err("and all that follow"), lost);
    assert!(Buffer::<f32>::new(&gpu, 4).is_err());
}
