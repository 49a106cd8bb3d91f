//! Natural logarithms: `x = 2^k (1 + f)` with `1 + f` between `sqrt(1/2)` and `sqrt(2)`, then an
//! odd series in `s = f / (2 + f)`.

const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const LG1: f64 = 6.666_666_666_666_735e-1;
const LG2: f64 = 3.999_999_999_940_942e-1;
const LG3: f64 = 2.857_142_874_366_239e-1;
const LG4: f64 = 2.222_219_843_214_978_4e-1;
const LG5: f64 = 1.818_357_216_161_805e-1;
const LG6: f64 = 1.531_383_769_920_937_3e-1;
const LG7: f64 = 1.479_819_860_511_658_6e-1;

const LN_2_HIGH_F32: f32 = 6.931_381e-1;
const LN_2_LOW_F32: f32 = 9.058_001e-6;
const LG1_F32: f32 = 0.666_666_6;
const LG2_F32: f32 = 0.400_009_72;
const LG3_F32: f32 = 0.284_987_87;
const LG4_F32: f32 = 0.242_790_79;

/// The bits of `sqrt(1/2)`: mantissas from here up keep their exponent, those below borrow one.
const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_0000_0000;
const SQRT_HALF_BITS_F32: u32 = 0x3f35_04f3;

/// The natural logarithm; `-inf` at 0, NaN below 0.
#[inline]
pub fn ln(x: f64) -> f64 {
    let is_subnormal = x < f64::MIN_POSITIVE;
    let scaled = if is_subnormal { x * 18_014_398_509_481_984.0 } else { x };
    let (mut k, f) = split(scaled);
    k -= if is_subnormal { 54.0 } else { 0.0 };
    let result = series(k, f, 0.0);
    edge(x, result)
}

/// `ln(1 + x)`, exact in the limit of small `x`; `-inf` at -1, NaN below.
#[inline]
pub fn ln_1p(x: f64) -> f64 {
    let u = 1.0 + x;
    let (k, f) = split(u);
    // What rounding `1 + x` lost, relative to it; nothing is lost where `f` can be `x` itself.
    let error = if k >= 2.0 { 1.0 - (u - x) } else { x - (u - 1.0) };
    let lost = error / u;
    let is_near = k == 0.0;
    let result = series(k, if is_near { x } else { f }, if is_near { 0.0 } else { lost });
    if x == 0.0 { x } else { edge(u, result) }
}

/// [`ln`] in single precision.
#[inline]
pub fn ln_f32(x: f32) -> f32 {
    let is_subnormal = x < f32::MIN_POSITIVE;
    let scaled = if is_subnormal { x * 33_554_432.0 } else { x };
    let (mut k, f) = split_f32(scaled);
    k -= if is_subnormal { 25.0 } else { 0.0 };
    edge_f32(x, series_f32(k, f, 0.0))
}

/// [`ln_1p`] in single precision.
#[inline]
pub fn ln_1p_f32(x: f32) -> f32 {
    let u = 1.0 + x;
    let (k, f) = split_f32(u);
    let error = if k >= 2.0 { 1.0 - (u - x) } else { x - (u - 1.0) };
    let lost = error / u;
    let is_near = k == 0.0;
    let result = series_f32(k, if is_near { x } else { f }, if is_near { 0.0 } else { lost });
    if x == 0.0 { x } else { edge_f32(u, result) }
}

/// `x` as `2^k (1 + f)`, for a positive normal `x`.
#[inline]
fn split(x: f64) -> (f64, f64) {
    let bits = x.to_bits().wrapping_sub(SQRT_HALF_BITS).wrapping_add(1023 << 52);
    let k = (bits >> 52) as u32 as i32 - 1023;
    let mantissa = (bits & ((1 << 52) - 1)).wrapping_add(SQRT_HALF_BITS);
    (f64::from(k), f64::from_bits(mantissa) - 1.0)
}

#[inline]
fn split_f32(x: f32) -> (f32, f32) {
    let bits = x.to_bits().wrapping_sub(SQRT_HALF_BITS_F32).wrapping_add(127 << 23);
    let k = (bits >> 23).cast_signed() - 127;
    let mantissa = (bits & ((1 << 23) - 1)).wrapping_add(SQRT_HALF_BITS_F32);
    (k as f32, f32::from_bits(mantissa) - 1.0)
}

/// `k ln 2 + ln(1 + f) + lost`.
#[inline]
fn series(k: f64, f: f64, lost: f64) -> f64 {
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let t1 = w * (LG2 + w * (LG4 + w * LG6));
    let t2 = z * (LG1 + w * (LG3 + w * (LG5 + w * LG7)));
    s * (half_square + (t2 + t1)) + (k * LN_2_LOW + lost) - half_square + f + k * LN_2_HIGH
}

#[inline]
fn series_f32(k: f32, f: f32, lost: f32) -> f32 {
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let t1 = w * (LG2_F32 + w * LG4_F32);
    let t2 = z * (LG1_F32 + w * LG3_F32);
    s * (half_square + (t2 + t1)) + (k * LN_2_LOW_F32 + lost) - half_square + f + k * LN_2_HIGH_F32
}

/// The special values of a logarithm in place of what the bit arithmetic made of them.
#[inline]
fn edge(x: f64, result: f64) -> f64 {
    let upper = if x < f64::INFINITY { result } else { x };
    let zero = if x == 0.0 { f64::NEG_INFINITY } else { upper };
    if x < 0.0 { f64::NAN } else { zero }
}

#[inline]
fn edge_f32(x: f32, result: f32) -> f32 {
    let upper = if x < f32::INFINITY { result } else { x };
    let zero = if x == 0.0 { f32::NEG_INFINITY } else { upper };
    if x < 0.0 { f32::NAN } else { zero }
}
