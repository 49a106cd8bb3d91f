//! Sine and cosine, for calendar features and generators.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// The first 33 bits of pi/2, the next 33, and the rest: `k * part` is exact for `k < 2^20`.
const PI_2_1: f64 = 1.570_796_326_734_125_6;
const PI_2_2: f64 = 6.077_100_506_303_966e-11;
const PI_2_2_REST: f64 = 2.022_266_248_795_950_6e-21;
/// 1.5 * 2^52: adding it leaves the nearest integer in the low bits of the sum.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;

const S1: f64 = -1.666_666_666_666_663_2e-1;
const S2: f64 = 8.333_333_333_322_49e-3;
const S3: f64 = -1.984_126_982_985_795e-4;
const S4: f64 = 2.755_731_370_707_006_8e-6;
const S5: f64 = -2.505_076_025_340_686_3e-8;
const S6: f64 = 1.589_690_995_211_55e-10;
const C1: f64 = 4.166_666_666_666_66e-2;
const C2: f64 = -1.388_888_888_887_411e-3;
const C3: f64 = 2.480_158_728_947_673e-5;
const C4: f64 = -2.755_731_435_139_066_3e-7;
const C5: f64 = 2.087_572_321_298_175e-9;
const C6: f64 = -1.135_964_755_778_819_5e-11;

/// Sine and cosine of `x` radians; NaN beyond 2^20 in size, where the reduction would lose bits.
#[inline]
pub fn sin_cos(x: f64) -> (f64, f64) {
    let bounded = if x.abs() <= 1_048_576.0 { x } else { f64::NAN };
    let shifted = bounded * FRAC_2_PI + TO_INTEGER;
    let k = shifted - TO_INTEGER;
    let r = ((bounded - k * PI_2_1) - k * PI_2_2) - k * PI_2_2_REST;
    quadrant(shifted, r)
}

/// Sine and cosine of `turns` whole circles, exact at quarters: the reduction rounds nothing.
///
/// For the time of day pass `seconds / 86400`. NaN beyond 2^48 turns.
#[inline]
pub fn sin_cos_turns(turns: f64) -> (f64, f64) {
    let bounded = if turns.abs() <= 281_474_976_710_656.0 { turns } else { f64::NAN };
    let quarters = bounded * 4.0;
    let shifted = quarters + TO_INTEGER;
    let k = shifted - TO_INTEGER;
    quadrant(shifted, (quarters - k) * FRAC_PI_2)
}

/// Sine and cosine of `r + k pi/2` for `|r| <= pi/4`, `k` in the low bits of `shifted`.
#[inline]
fn quadrant(shifted: f64, r: f64) -> (f64, f64) {
    let z = r * r;
    let sine = r + (z * r) * (S1 + z * (S2 + z * (S3 + z * (S4 + z * (S5 + z * S6)))));
    let tail = z * (z * (C1 + z * (C2 + z * (C3 + z * (C4 + z * (C5 + z * C6))))));
    let half = 0.5 * z;
    let top = 1.0 - half;
    let cosine = top + (((1.0 - top) - half) + tail);
    let k = shifted.to_bits();
    let (sine, cosine) = if k & 1 == 0 { (sine, cosine) } else { (cosine, sine) };
    let sine = if k & 2 == 0 { sine } else { -sine };
    let cosine = if (k.wrapping_add(1)) & 2 == 0 { cosine } else { -cosine };
    (sine, cosine)
}
