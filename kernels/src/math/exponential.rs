//! Powers of e: reduction to `|r| <= ln 2 / 2` by a two-part `ln 2`, a short approximation, and a
//! scaling by a power of two in two steps, so that subnormal results are rounded only once.

const LOG2_E: f64 = std::f64::consts::LOG2_E;
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1.5 * 2^52: adding it leaves the nearest integer in the low bits of the sum.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;
const TO_INTEGER_F32: f32 = 12_582_912.0;

const P1: f64 = 1.666_666_666_666_660_2e-1;
const P2: f64 = -2.777_777_777_701_559_3e-3;
const P3: f64 = 6.613_756_321_437_934e-5;
const P4: f64 = -1.653_390_220_546_525_2e-6;
const P5: f64 = 4.138_136_797_057_238_5e-8;

/// `e` to the `x`; 0 below -745.14, `inf` above 709.79, NaN for NaN.
#[inline]
pub fn exp(x: f64) -> f64 {
    let clamped = x.clamp(-746.0, 710.0);
    let shifted = clamped * LOG2_E + TO_INTEGER;
    let k = shifted - TO_INTEGER;
    let exponent = low_word(shifted).wrapping_sub(low_word(TO_INTEGER));
    let high = clamped - k * LN_2_HIGH;
    let low = k * LN_2_LOW;
    let r = high - low;
    let t = r * r;
    let c = r - t * (P1 + t * (P2 + t * (P3 + t * (P4 + t * P5))));
    let y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
    let half = exponent >> 1;
    y * power_of_two(half) * power_of_two(exponent - half)
}

/// [`exp`] in single precision; 0 below -103.98, `inf` above 88.73, NaN for NaN.
#[inline]
pub fn exp_f32(x: f32) -> f32 {
    let clamped = x.clamp(-105.0, 89.0);
    let shifted = clamped * std::f32::consts::LOG2_E + TO_INTEGER_F32;
    let k = shifted - TO_INTEGER_F32;
    let exponent =
        (shifted.to_bits().cast_signed()).wrapping_sub(TO_INTEGER_F32.to_bits().cast_signed());
    let r = (clamped - k * 0.693_359_4) - k * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let y = (p * (r * r) + r) + 1.0;
    let half = exponent >> 1;
    y * power_of_two_f32(half) * power_of_two_f32(exponent - half)
}

fn low_word(x: f64) -> i32 {
    x.to_bits() as u32 as i32
}

/// 2^n for normal results, that is n in -1022..=1023.
#[inline]
fn power_of_two(n: i32) -> f64 {
    f64::from_bits((i64::from(n) + 1023).cast_unsigned() << 52)
}

/// 2^n for normal results, that is n in -126..=127.
#[inline]
fn power_of_two_f32(n: i32) -> f32 {
    f32::from_bits(n.wrapping_add(127).cast_unsigned() << 23)
}
