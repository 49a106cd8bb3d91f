//! Sweeps of every function against the double-precision library (or itself, one precision up).

use super::*;

/// The distance in units in the last place of `expected` rounded to single precision.
fn ulps_f32(given: f32, expected: f64) -> f64 {
    let near = expected as f32;
    if given.to_bits() == near.to_bits() || (given.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    if !given.is_finite() || !near.is_finite() {
        return f64::INFINITY;
    }
    let step = f64::from(f32::from_bits(near.abs().to_bits() + 1)) - f64::from(near.abs());
    (f64::from(given) - expected).abs() / step
}

/// The distance in units in the last place; `expected` may itself be half a unit off.
fn ulps(given: f64, expected: f64) -> f64 {
    if given == expected || (given.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    if !given.is_finite() || !expected.is_finite() {
        return f64::INFINITY;
    }
    (given - expected).abs() / (expected.abs().next_up() - expected.abs())
}

/// The worst distance over every 1021st single-precision pattern (4.2 million values, both signs).
fn worst_f32(given: impl Fn(f32) -> f32, expected: impl Fn(f64) -> f64) -> f64 {
    let over = |bits| {
        let x = f32::from_bits(bits);
        ulps_f32(given(x), expected(f64::from(x)))
    };
    (0..=u32::MAX).step_by(1021).map(over).fold(0.0, f64::max)
}

/// The worst distance over a grid and over random bit patterns.
fn worst(given: impl Fn(f64) -> f64, expected: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let grid = (0..=1_000_000).map(|i| low + (high - low) * f64::from(i) / 1e6);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let random = (0..1_000_000).map(move |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(state ^ (state >> 29))
    });
    grid.chain(random).map(|x| ulps(given(x), expected(x))).fold(0.0, f64::max)
}

fn softplus_f64(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid_f64(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

#[test]
fn single_precision_holds_its_bounds() {
    for (name, given, expected, bound) in [
        ("exp", exp_f32 as fn(f32) -> f32, f64::exp as fn(f64) -> f64, 2.0),
        ("ln", ln_f32, f64::ln, 1.0),
        ("ln_1p", ln_1p_f32, f64::ln_1p, 2.0),
        ("sigmoid", sigmoid_f32, sigmoid_f64, 4.0),
        ("softplus", softplus_f32, softplus_f64, 4.0),
    ] {
        let worst = worst_f32(given, expected);
        println!("{name}: {worst} ulp");
        assert!(worst <= bound, "{name}: {worst} ulp");
    }
}

#[test]
fn double_precision_holds_its_bounds() {
    for (name, given, expected, low, high, bound) in [
        ("exp", exp as fn(f64) -> f64, f64::exp as fn(f64) -> f64, -746.0, 710.0, 1.5),
        ("exp, small", exp, f64::exp, -1.0, 1.0, 1.5),
        ("ln", ln, f64::ln, 0.0, 4.0, 1.5),
        ("ln_1p", ln_1p, f64::ln_1p, -1.0, 3.0, 1.5),
        ("ln_1p, small", ln_1p, f64::ln_1p, -1e-3, 1e-3, 1.5),
        ("sigmoid", sigmoid, sigmoid_f64, -745.0, 40.0, 3.5),
        ("softplus", softplus, softplus_f64, -745.0, 40.0, 3.5),
    ] {
        let worst = worst(given, expected, low, high);
        println!("{name}: {worst} ulp");
        assert!(worst <= bound, "{name}: {worst} ulp");
    }
}

#[test]
fn logit_undoes_sigmoid_and_log_loss_is_minus_log_probability() {
    for i in -3000..=3000 {
        let x = f64::from(i) / 100.0;
        let p = sigmoid(x);
        let room = 2.3e-16 * (1.0 + 1.0 / (1.0 - p).max(1e-16));
        assert!((logit(p) - x).abs() <= room * 2.0, "{x}: {}", logit(p));
        assert!((log_loss(x, true) + ln(p)).abs() < 1e-14 + 1e-15 * x.abs());
    }
    assert_eq!(logit(0.0), f64::NEG_INFINITY);
    assert_eq!(logit_f32(1.0), f32::INFINITY);
    assert!(logit(-0.1).is_nan() && logit(1.1).is_nan());
}

#[test]
fn circle_holds_its_bounds_and_is_exact_at_quarters() {
    for i in -2_000_000..=2_000_000 {
        let x = f64::from(i) * 0.523_456_789;
        let (sine, cosine) = sin_cos(x);
        assert!((sine - x.sin()).abs() <= 2.3e-16 && (cosine - x.cos()).abs() <= 2.3e-16, "{x}");
        let turns = f64::from(i) / 1_048_576.0;
        let (sine, cosine) = sin_cos_turns(turns);
        let angle = turns * std::f64::consts::TAU;
        assert!((sine - angle.sin()).abs() <= 2.3e-16 + 4.5e-16 * angle.abs());
        assert!((cosine - angle.cos()).abs() <= 2.3e-16 + 4.5e-16 * angle.abs());
    }
    assert_eq!(sin_cos_turns(0.25), (1.0, 0.0));
    assert_eq!(sin_cos_turns(-7.5), (0.0, -1.0));
    assert!(sin_cos(f64::INFINITY).0.is_nan() && sin_cos_turns(f64::NAN).1.is_nan());
}

#[test]
fn special_values() {
    assert_eq!((exp(f64::NEG_INFINITY), exp(0.0), exp(1e9)), (0.0, 1.0, f64::INFINITY));
    assert_eq!((exp_f32(-200.0), exp_f32(0.0), exp_f32(100.0)), (0.0, 1.0, f32::INFINITY));
    assert_eq!((ln(1.0), ln(0.0), ln(f64::INFINITY)), (0.0, f64::NEG_INFINITY, f64::INFINITY));
    assert!(ln(-1.0).is_nan() && ln(f64::NAN).is_nan() && exp_f32(f32::NAN).is_nan());
    assert_eq!(ln_1p(-0.0).to_bits(), (-0.0_f64).to_bits());
    assert_eq!((sigmoid_f32(-1e4), sigmoid_f32(1e4), sigmoid(0.0)), (0.0, 1.0, 0.5));
}

/// The bits themselves, so that a change of a platform, a compiler or the code shows.
#[test]
fn bits_are_golden() {
    let mut sum = 0_u64;
    for i in 0..20_000 {
        let x = f64::from(i) * 0.001_234_5 - 12.0;
        let single = x as f32;
        for bits in [
            exp(x).to_bits(),
            ln(x.abs()).to_bits(),
            ln_1p(x.abs()).to_bits(),
            sin_cos(x).0.to_bits(),
            sin_cos_turns(x).1.to_bits(),
            u64::from(exp_f32(single).to_bits()),
            u64::from(ln_f32(single.abs()).to_bits()),
            u64::from(ln_1p_f32(single.abs()).to_bits()),
            u64::from(sigmoid_f32(single).to_bits()),
        ] {
            sum = sum.wrapping_mul(0x100_0000_01b3).wrapping_add(bits);
        }
    }
    assert_eq!(sum, 0xe49d_2ece_d67d_0387, "{sum:#x}");
}
